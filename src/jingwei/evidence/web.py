"""Asking somebody over HTTP: bounded in bytes and, from the first to the last of them, in time."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from urllib.parse import urljoin, urlsplit

REDIRECTS = 3
_KINDS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class WebError(Exception):
    """There was no answer; the text says why, in the words of the other side too."""


def ask(
    method: str,
    url: str,
    *,
    limit: int,
    timeout: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of an answer, at most one byte more than `limit`, within `timeout` seconds.

    A GET follows a few redirections, another method none. Raises `WebError`.
    """
    for _ in range(REDIRECTS + 1):
        status, answer, elsewhere = _once(method, url, limit, timeout, body, headers or {})
        if method != "GET" or status not in (301, 302, 303, 307, 308) or not elsewhere:
            return status, answer
        url = urljoin(url, elsewhere)
    raise WebError(f"it redirects more than {REDIRECTS} times")


def _once(
    method: str,
    url: str,
    limit: int,
    timeout: float,
    body: bytes | None,
    headers: Mapping[str, str],
) -> tuple[int, bytes, str]:
    late = threading.Event()
    try:
        parts = urlsplit(url)
        if parts.scheme not in _KINDS or not parts.hostname:
            raise ValueError("it is no http or https address")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _KINDS[parts.scheme](parts.hostname, parts.port, timeout=timeout)
        with closing(connection):
            connection.connect()
            end = threading.Timer(timeout, _hang_up, [connection.sock, late])
            end.daemon = True
            end.start()
            try:
                connection.request(method, target, body, dict(headers))
                response = connection.getresponse()
                answer = response.read(limit + 1)
                elsewhere = response.headers.get("Location", "")
            finally:
                end.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        if not late.is_set():
            raise WebError(str(error) or type(error).__name__) from None
    if late.is_set():  # what came until then may look whole
        raise WebError(f"it took longer than {timeout:g} seconds")
    return response.status, answer, elsewhere


def _hang_up(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
