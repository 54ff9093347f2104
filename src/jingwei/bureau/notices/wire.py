"""The network's side of the outbox: one e-mail, one request. Runs in threads; reads no database.

Whatever the other side does, an attempt ends within `LIMIT` seconds: time-outs bound each step,
and a watchdog closes the connection of a peer that answers byte by byte.
"""

from __future__ import annotations

import contextlib
import http.client
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from jingwei.bureau.notices.robots import Request, refusal

LIMIT = 8.0  # seconds for one attempt
STEP = 4.0  # seconds for one step of it
ANSWER = 64 * 1024


class SendError(Exception):
    """It could not be sent; `final`: trying again will not help."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


def origin(address: str) -> str:
    """`https://host[:port]` of an address, as JINGWEI_WEBHOOK_HOSTS names it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


@contextlib.contextmanager
def _watchdog(connection: http.client.HTTPConnection | smtplib.SMTP) -> Iterator[None]:
    def close() -> None:
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(LIMIT, close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def post(request: Request, format: str, allowed: tuple[str, ...]) -> None:
    """Post a request; raises `SendError`.

    Asks no host that the administrator has not named, follows no redirect, uses no proxy, reads
    no more of an answer than it needs.
    """
    parts = urlsplit(request.address)
    if "@" in parts.netloc or origin(request.address) not in allowed:
        raise SendError(f"{origin(request.address)} is not among JINGWEI_WEBHOOK_HOSTS", final=True)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=STEP)
        with contextlib.closing(connection), _watchdog(connection):
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(
                "POST",
                path,
                request.body,
                {
                    "Content-Type": "application/json; charset=utf-8",
                    "User-Agent": "Jingwei",
                    "Connection": "close",
                    **request.headers,
                },
            )
            answer = connection.getresponse()
            content = answer.read(ANSWER)
            status = answer.status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SendError(_short(error)) from None
    if not 200 <= status < 300:
        # 408, 425, 429 and 5xx pass; any other answer will be the same next time.
        again = status in (408, 425, 429) or status >= 500
        raise SendError(f"HTTP {status}", final=not again)
    problem = refusal(format, content)
    if problem:
        raise SendError(problem)


def mail(server: Mapping[str, Any], sender: str, to: str, subject: str, text: str) -> None:
    """Send one e-mail; `server`: arguments of Django's SMTP backend. Raises `SendError`."""
    backend = EmailBackend(timeout=STEP, fail_silently=False, **server)
    try:
        backend.open()
        with _watchdog(backend.connection):
            EmailMessage(subject, text, sender, [to], connection=backend).send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _said in error.recipients.values()]
        raise SendError(_short(error), final=all(code >= 500 for code in codes)) from None
    except smtplib.SMTPResponseException as error:
        raise SendError(
            f"SMTP {error.smtp_code}: {_text(error.smtp_error)}"[:250],
            # A refused login is the bureau's mistake and will be mended; a refused text will not.
            final=error.smtp_code >= 500 and not isinstance(error, smtplib.SMTPAuthenticationError),
        ) from None
    except (OSError, smtplib.SMTPException, ssl.SSLError, ValueError) as error:
        raise SendError(_short(error)) from None
    finally:
        with contextlib.suppress(Exception):
            backend.close()


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:250]
