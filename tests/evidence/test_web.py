"""Who answers slowly, endlessly or elsewhere costs no more than the limits say."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from jingwei.evidence import web
from jingwei.evidence.tiles import TileError, UnreachableError, WebReader
from jingwei.evidence.web import WebError

Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that takes one connection after the other and lets `answer` write to it."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65_536)
                    answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def text(head: str, body: str = "") -> Answer:
    return lambda c: c.sendall(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}".encode())


def dripping(first: bytes) -> Answer:
    """Never silent for long, never done."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    return answer


@pytest.mark.parametrize(
    "first", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 2", b""]
)
def test_a_slow_answer_ends_in_time(first: bytes) -> None:
    with answering(dripping(first)) as url:
        for method in ("GET", "POST"):
            with pytest.raises(WebError, match=r"it took longer than 0\.3 seconds"):
                web.ask(method, url, limit=10**9, timeout=0.3)
        with pytest.raises(
            UnreachableError, match=r"tile/0/000\.p/1 cannot be read: it took longer"
        ):
            WebReader(url, timeout=0.3).hashes(0, 0, 1)


def test_a_long_answer_is_cut() -> None:
    with answering(text("200 OK", "x" * 10_000)) as url:
        assert web.ask("GET", url, limit=100, timeout=5) == (200, b"x" * 101)
        with pytest.raises(TileError, match="is longer than"):
            WebReader(url).hashes(0, 0, 1)


def test_redirections_are_few_and_stay_on_the_web() -> None:
    with answering(text("200 OK", "there")) as there:
        with answering(text(f"302 Found\r\nLocation: {there}/x")) as url:
            assert web.ask("GET", url, limit=100, timeout=5) == (200, b"there")
            assert web.ask("POST", url, limit=100, timeout=5, body=b"x") == (302, b"")
        with (
            answering(text("302 Found\r\nLocation: file:///etc/passwd")) as url,
            pytest.raises(WebError, match="no http or https address"),
        ):
            web.ask("GET", url, limit=100, timeout=5)
    with (
        answering(text("302 Found\r\nLocation: /again")) as url,
        pytest.raises(WebError, match="redirects more than 3 times"),
    ):
        web.ask("GET", url, limit=100, timeout=5)


@pytest.mark.parametrize(
    "url", ["", "rubbish", "ftp://x/", "file:///x", "http://", "http://[", "http://x:99999/"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(WebError):
        web.ask("GET", url, limit=1, timeout=1)


def test_answers_that_are_none() -> None:
    for bad in (b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1_000):
        with answering(lambda c, bad=bad: c.sendall(bad)) as url, pytest.raises(WebError):
            web.ask("GET", url, limit=1, timeout=2)
