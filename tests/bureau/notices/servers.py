"""Two real servers: one that takes e-mails (SMTP, RFC 5321) and one that takes requests (HTTP)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """What it got, and how it answers: status, body, headers; `slow`: a byte now and then."""

    origin: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def web() -> Iterator[Web]:
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with made.lock:
                made.posts.append(Post(self.path, dict(self.headers), body))
                status, answer = (
                    made.answers.pop(0) if made.answers else (200, b'{"errcode":0,"errmsg":"ok"}')
                )
            if made.slow:
                with contextlib.suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    end = time.monotonic() + 60
                    while time.monotonic() < end:
                        self.wfile.write(b"X-Slow: 1\r\n")
                        self.wfile.flush()
                        time.sleep(made.slow)
                return
            self.send_response(status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            with made.lock:
                made.posts.append(Post("GET " + self.path, dict(self.headers), b""))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mail:
    """What arrived; `refuse`: answer to RCPT in its place."""

    port: int = 0
    arrived: list[tuple[str, list[str], Message]] = field(default_factory=list)
    refuse: list[bytes] = field(default_factory=list)


async def _serve(mail: Mail, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def say(line: bytes) -> None:
        writer.write(line + b"\r\n")

    sender, to = "", []
    say(b"220 test ESMTP")
    while line := (await reader.readline()).rstrip(b"\r\n"):
        verb = line.split(b" ")[0].split(b":")[0].upper()
        if verb in (b"EHLO", b"HELO"):
            say(b"250-test")
            say(b"250 SMTPUTF8" if verb == b"EHLO" else b"250 ok")
        elif verb == b"MAIL":
            sender, to = line[11:].split(b">")[0].decode(), []
            say(b"250 ok")
        elif verb == b"RCPT":
            if mail.refuse:
                say(mail.refuse.pop(0))
            else:
                to.append(line[9:].split(b">")[0].decode())
                say(b"250 ok")
        elif verb == b"DATA":
            say(b"354 go on")
            lines = []
            while (part := await reader.readline()) not in (b".\r\n", b""):
                lines.append(part[1:] if part.startswith(b"..") else part)
            mail.arrived.append((sender, to, message_from_bytes(b"".join(lines), policy=default)))
            say(b"250 taken")
        elif verb == b"QUIT":
            say(b"221 bye")
            break
        else:
            say(b"250 ok")
        await writer.drain()
    writer.close()


@contextlib.contextmanager
def smtp() -> Iterator[Mail]:
    mail = Mail()
    started = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> None:
        server = await asyncio.start_server(
            lambda r, w: _serve(mail, r, w), "127.0.0.1", 0, limit=1 << 20
        )
        mail.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await server.serve_forever()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            loop.run_until_complete(start())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield mail
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()
        loop.close()
