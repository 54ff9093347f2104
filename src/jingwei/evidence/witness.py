"""Witnesses (C2SP tlog-witness): a witness that runs, and the log's side that asks it.

A witness keeps, for each log that it knows, the newest checkpoint it has cosigned, and cosigns
another only after a proof that the log has grown out of that one. So a log that would show two
histories must win over a quorum of witnesses. The protocol is text over HTTP; nothing in it is
secret, and every answer is verified by who receives it, so TLS adds nothing to its truth.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from jingwei.evidence import merkle, web
from jingwei.evidence.merkle import HASH_SIZE, MAX_SIZE, ProofError
from jingwei.evidence.note import (
    COSIGNATURE,
    MAX_NOTE,
    Checkpoint,
    KeyFile,
    NoteError,
    Signature,
    SignatureError,
    Verifier,
    parse_checkpoint,
    parse_note,
    signature_line,
)
from jingwei.evidence.policy import SKEW, Party

KEY, STATE = "witness.key", "witness.sqlite"
MAX_PROOF = 63
MAX_REQUEST = MAX_NOTE + 64 * 50
TIMEOUT = 10.0  # seconds that one read may take
LIFETIME = 60.0  # seconds that one connection may last
CONNECTIONS = 32

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")

logger = logging.getLogger(__name__)


class RefusalError(Exception):
    """What a witness answers instead of a cosignature: HTTP status and text."""

    def __init__(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        super().__init__(text)
        self.status, self.text, self.kind = status, text, kind


def request(old: int, proof: Iterable[bytes], note: str) -> bytes:
    """The body of `add-checkpoint`."""
    lines = [f"old {old}", *(base64.b64encode(step).decode() for step in proof), "", note]
    return "\n".join(lines).encode()


class Witness:
    """The rules of the witness, over one SQLite file; any number of threads and processes.

    `folder` holds key and state, `logs` are the keys of the logs that are cosigned.
    """

    def __init__(self, folder: Path, logs: Iterable[Verifier]) -> None:
        self.signer = KeyFile.load(folder / KEY)
        if self.signer.verifier.kind != COSIGNATURE:
            raise NoteError(f"{folder / KEY} is no key of a witness")
        self._state = folder / STATE
        self._logs: dict[str, list[Verifier]] = {}
        for key in logs:
            if key.kind == COSIGNATURE:
                raise NoteError(f"{key.name}: a witness's key is no key of a log")
            self._logs.setdefault(key.name, []).append(key)
        with self._database() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS latest (origin_hash TEXT PRIMARY KEY, origin TEXT,"
                " size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT"
            )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._state, timeout=30, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = FULL")
            yield db

    def add_checkpoint(self, body: bytes) -> str:
        """Check, store and cosign; the signature line. Raises `RefusalError`."""
        old, proof, note = _parse_request(body)
        origin = note.partition("\n")[0]
        keys = self._logs.get(origin)
        if keys is None:
            raise RefusalError(404, "the log is unknown here\n")
        try:
            checkpoint = parse_checkpoint(note, keys)
        except SignatureError as error:
            raise RefusalError(403, f"{error}\n") from None
        except NoteError as error:
            raise RefusalError(400, f"{error}\n") from None
        if old > checkpoint.size:
            raise RefusalError(400, "the old size is greater than the checkpoint's\n")
        # The text that was verified, with the log's own signatures only.
        text = checkpoint.text()
        opened = parse_note(note, keys)
        lines = "".join(_line(s) for s in opened.signatures if _trusted(s, keys))
        with self._database() as db:
            db.execute("BEGIN IMMEDIATE")  # check and store are one step
            row = db.execute(
                "SELECT size, root FROM latest WHERE origin_hash = ?", (_hash(origin),)
            ).fetchone()
            size, root = row or (0, merkle.EMPTY_ROOT)
            if old != size:
                raise RefusalError(409, f"{size}\n", "text/x.tlog.size")
            _check(checkpoint, old, root, proof)
            cosignature = signature_line(text, self.signer)
            db.execute(
                "INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?)",
                (
                    _hash(origin),
                    origin,
                    checkpoint.size,
                    checkpoint.root,
                    f"{text}\n{lines}{cosignature}",
                ),
            )
            db.execute("COMMIT")
        return cosignature

    def latest(self, origin_hash: str) -> str:
        """The newest checkpoint that was cosigned for a log. Raises `RefusalError`."""
        with self._database() as db:
            row = db.execute(
                "SELECT note FROM latest WHERE origin_hash = ?", (origin_hash,)
            ).fetchone()
        if row is None:
            raise RefusalError(404, "no checkpoint of such a log was cosigned here\n")
        return str(row[0])


def _parse_request(body: bytes) -> tuple[int, list[bytes], str]:
    try:
        head, gap, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise RefusalError(400, "the request is not UTF-8\n") from None
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if not gap or not old or int(old[1]) > MAX_SIZE:
        raise RefusalError(
            400, "wanted a line `old SIZE`, proof lines, an empty line, a checkpoint\n"
        )
    if len(lines) > MAX_PROOF:
        raise RefusalError(400, f"more than {MAX_PROOF} proof lines\n")
    return int(old[1]), [_step(line) for line in lines], note


def _step(line: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != HASH_SIZE or base64.b64encode(raw).decode() != line:
        raise RefusalError(400, "a proof line is no base64 of a hash\n")
    return raw


def _check(checkpoint: Checkpoint, old: int, root: bytes, proof: list[bytes]) -> None:
    """Raise `RefusalError` 422 unless the checkpoint has grown out of (`old`, `root`).

    409 where it has the same size and another root: both of the log, so it was forked.
    """
    if old and old == checkpoint.size and root != checkpoint.root:
        raise RefusalError(409, f"the root of {old} entries was {root.hex()}\n")
    try:
        if checkpoint.size == 0 and checkpoint.root != merkle.EMPTY_ROOT:
            raise ProofError("size 0 with a root that is not the empty tree's")
        if old:
            merkle.verify_consistency(old, checkpoint.size, proof, root, checkpoint.root)
        elif proof:
            raise ProofError("from size 0 the proof must be empty")
    except ProofError as error:
        raise RefusalError(422, f"{error}\n") from None


def _hash(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _trusted(signature: Signature, keys: list[Verifier]) -> bool:
    return any(k.name == signature.name and k.key_id == signature.key_id for k in keys)


def _line(signature: Signature) -> str:
    value = base64.b64encode(signature.key_id + signature.value).decode()
    return f"— {signature.name} {value}\n"


# -- the server


class Server(ThreadingHTTPServer):
    """The witness over HTTP: at most `CONNECTIONS` at once, each of `LIFETIME` seconds at most."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.sendall(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("connection of %s ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "jingwei-witness"
    sys_version = ""
    timeout = TIMEOUT

    def setup(self) -> None:
        super().setup()
        self._end = threading.Timer(LIFETIME, _hang_up, [self.connection])
        self._end.daemon = True
        self._end.start()

    def finish(self) -> None:
        self._end.cancel()
        super().finish()

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_GET(self) -> None:
        self._answer(self._get)

    def _post(self) -> str:
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not re.fullmatch(r"[0-9]{1,9}", length):
            self.close_connection = True
            raise RefusalError(411, "wanted a Content-Length\n")
        if int(length) > MAX_REQUEST:
            self.close_connection = True
            raise RefusalError(413, f"at most {MAX_REQUEST} bytes\n")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise RefusalError(400, "the request is cut short\n")
        if self.path != "/add-checkpoint":
            raise RefusalError(404, "wanted POST /add-checkpoint\n")
        return self.server.witness.add_checkpoint(body)

    def _get(self) -> str:
        found = re.fullmatch(r"/([0-9a-f]{64})/checkpoint", self.path)
        if not found:
            raise RefusalError(404, "wanted GET /<SHA-256 of the origin>/checkpoint\n")
        return self.server.witness.latest(found[1])

    def _answer(self, work: Any) -> None:
        kind = "text/plain; charset=utf-8"
        try:
            status, text = 200, work()
        except RefusalError as refusal:
            status, text, kind = refusal.status, refusal.text, refusal.kind
        except (sqlite3.Error, OSError, NoteError) as error:
            logger.error("the witness cannot answer: %s", error)
            status, text = 500, "the witness cannot answer now\n"
        logger.info("%s %s %s", self.command, self.path[:80], status)
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


# -- the log's side


class AnswerError(Exception):
    """A witness did not cosign; the text says why."""


class ForkError(AnswerError):
    """The witness has seen another history of the log, or more of it than there is."""


def submit(
    party: Party,
    note: str,
    checkpoint: Checkpoint,
    prove: Any,
    known: int,
    *,
    timeout: float = TIMEOUT,
) -> str:
    """Ask a witness to cosign a checkpoint; the signature line of its key, verified.

    `prove(old, size)` gives a consistency proof, `known` is the size that the witness is thought to
    have cosigned last; where it says another, it is asked once more from there. Raises
    `AnswerError` or `ForkError`, and bounds what it reads and how long it waits.
    """
    old = known if 0 <= known <= checkpoint.size else 0
    for attempt in (1, 2):
        body = request(old, prove(old, checkpoint.size) if old else (), note)
        status, answer = post(party.url, body, timeout)
        if status != 409:
            break
        number = _NUMBER.fullmatch(answer)
        if old == checkpoint.size and (not number or int(number[1]) == old):
            raise ForkError(
                f"{party.name} finds another history of {old} entries: {_clean(answer)}"
            )
        if not number or attempt == 2:
            raise AnswerError(f"{party.name} answers with a conflict again and again")
        old = int(number[1])
        if old > checkpoint.size:
            raise ForkError(
                f"{party.name} has cosigned {old} entries, the log has {checkpoint.size}:"
                " it was set back or forked"
            )
    if status == 422:
        raise ForkError(f"{party.name} finds another history: {_clean(answer)}")
    if status != 200:
        raise AnswerError(f"{party.name} answers {status}: {_clean(answer)}")
    try:
        # Signatures of others in the answer are of no use here: keep the one of this key.
        text = checkpoint.text()
        opened = parse_note(f"{text}\n".encode() + answer, party.key)
        if opened.text != text:  # an empty line in the answer makes a text of what comes before it
            raise NoteError("the answer has an empty line")
    except NoteError as error:
        raise AnswerError(f"{party.name} answers with no valid cosignature: {error}") from None
    if max(moment for _, moment in opened.times) > time.time() + SKEW:
        raise AnswerError(f"{party.name} dates its cosignature in the future: set its clock right")
    return next(_line(s) for s in opened.signatures if _trusted(s, [party.key]))


def post(url: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    """POST to `<url>/add-checkpoint`; status and at most `MAX_NOTE` bytes. Raises `AnswerError`."""
    try:
        address = f"{url.rstrip('/')}/add-checkpoint"
        status, answer = web.ask("POST", address, limit=MAX_NOTE, timeout=timeout, body=body)
    except web.WebError as error:
        raise AnswerError(f"{url[:200]} cannot be reached: {_clean(str(error).encode())}") from None
    if len(answer) > MAX_NOTE:
        raise AnswerError(f"{url[:200]} answers with more than {MAX_NOTE} bytes")
    return status, answer


def _clean(text: bytes) -> str:
    """The first line of what a stranger says, printable and short."""
    line = text[:200].decode(errors="replace").strip().partition("\n")[0]
    return "".join(c if c.isprintable() else "?" for c in line) or "without a reason"
