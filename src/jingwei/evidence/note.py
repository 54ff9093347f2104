"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

Three kinds of keys, told apart by the bytes before the key in its text form:

    01                 Ed25519 over the note text (RFC 8032)
    04                 Ed25519 cosignature of a witness, with the time at which it signed
    ff "SM2-with-SM3"  SM2 over the note text, r || s (GB/T 32918), key as 04 || x || y; C2SP keeps ff
                       for kinds without a byte of their own, to be followed by a longer name

A note is a text, an empty line, and signature lines `— name base64(key id || signature)`. A
checkpoint is a note whose text is origin, tree size, base64 root and optional extension lines.
Readers here take what a stranger sends: they return the parsed value or raise `NoteError` with
the one reason, and never look at more than `MAX_NOTE` bytes or `MAX_SIGNATURES` signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jingwei.evidence import sm2
from jingwei.evidence.merkle import HASH_SIZE, MAX_SIZE

MAX_NOTE = 65_536
MAX_SIGNATURES = 100
ED25519 = b"\x01"
COSIGNATURE = b"\x04"
SM2 = b"\xffSM2-with-SM3"
_KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, SM2: 65}
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteError(ValueError):
    """A note, checkpoint or key that cannot be accepted; the text says why."""


class SignatureError(NoteError):
    """The note is well formed, but nobody who is trusted has signed it, or the signature is false."""


class Signer(Protocol):
    """Whatever can sign a note: a key file, an HSM."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes:
        """4 bytes that, with the name, tell this key from others."""

    def sign(self, text: bytes) -> bytes:
        """The signature over `text`, without the key id."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that a reader trusts; `str()` gives its text form, `parse` reads it back."""

    name: str
    public: bytes
    kind: bytes = ED25519

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read `name+8 hex digits+base64(kind || key)` (C2SP signed-note, "verifier keys")."""
        name, plus, rest = text.strip().partition("+")
        key_id, plus2, encoded = rest.partition("+")
        if not plus or not plus2:
            raise NoteError("a verifier key has the form NAME+HASH+KEY")
        _check_name(name)
        verifier = cls(name, *_split_key(_base64(encoded, "the verifier key"), "the verifier key"))
        if key_id != verifier.key_id.hex():
            raise NoteError("the verifier key's hash does not belong to its name and key")
        return verifier

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.public, self.kind)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over the note `text`; never raises."""
        if self.kind == SM2:
            return sm2.verify(self.public, text, signature)
        if self.kind == COSIGNATURE:
            moment = int.from_bytes(signature[:8], "big")
            if len(signature) != 72 or moment > MAX_SIZE:
                return False
            text, signature = cosigned_text(text, moment), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True

    def __str__(self) -> str:
        encoded = base64.b64encode(self.kind + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


def cosigned_text(text: bytes, moment: int) -> bytes:
    """What a witness signs at POSIX time `moment` (C2SP tlog-cosignature)."""
    return b"cosignature/v1\ntime %d\n" % moment + text


def _split_key(raw: bytes, what: str) -> tuple[bytes, bytes]:
    """(key, kind) of the bytes `kind || key`."""
    for kind, size in _KEY_SIZES.items():
        if raw.startswith(kind) and len(raw) == len(kind) + size:
            if kind == SM2:
                try:
                    sm2.point(raw[len(kind) :])
                except sm2.Sm2Error as error:
                    raise NoteError(f"{what}: {error}") from None
            return raw[len(kind) :], kind
    raise NoteError(f"{what} is no Ed25519 key, cosignature key or SM2 key")


class KeyFile:
    """An Ed25519 signer whose key lies in a file of mode 600: of a log, or of a witness (`kind`).

    The file holds one line `PRIVATE+KEY+name+hash+base64(kind || seed)`, the form that Go's
    sumdb/note writes. A witness's signature carries the time, which `clock` tells.
    """

    def __init__(self, name: str, seed: bytes, kind: bytes = ED25519) -> None:
        _check_name(name)
        if len(seed) != 32 or kind not in (ED25519, COSIGNATURE):
            raise NoteError("an Ed25519 key has a seed of 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw(), kind)
        self.clock: Callable[[], float] = time.time

    @classmethod
    def create(cls, path: Path, name: str, kind: bytes = ED25519) -> KeyFile:
        """Make a key and write it durably; `FileExistsError` where there is one already."""
        seed = os.urandom(32)
        signer = cls(name, seed, kind)
        encoded = base64.b64encode(kind + seed).decode()
        create_secret(path, f"PRIVATE+KEY+{name}+{signer.key_id.hex()}+{encoded}\n".encode())
        return signer

    @classmethod
    def load(cls, path: Path) -> KeyFile:
        """Read a key; `NoteError` where the file is damaged or others may read it."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                text = file.read(4096).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise NoteError(f"cannot read the signing key {path}: {error}") from None
        if mode & 0o077:
            raise NoteError(f"the signing key {path} has mode {mode:o}: set it to 600")
        parts = text.strip().split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise NoteError(f"the signing key {path} is damaged")
        raw = _base64(parts[4], f"the signing key {path}")
        if len(raw) != 33 or raw[:1] not in (ED25519, COSIGNATURE):
            raise NoteError(f"the signing key {path} is no Ed25519 key")
        signer = cls(parts[2], raw[1:], raw[:1])
        if signer.key_id.hex() != parts[3]:
            raise NoteError(f"the signing key {path} is damaged: its hash does not fit")
        return signer

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def key_id(self) -> bytes:
        return self.verifier.key_id

    def sign(self, text: bytes) -> bytes:
        if self.verifier.kind == ED25519:
            return self._key.sign(text)
        moment = int(self.clock())
        return moment.to_bytes(8, "big") + self._key.sign(cosigned_text(text, moment))


class Sm2KeyFile:
    """An SM2 signer whose key lies in a PEM file of mode 600; OpenSSL 3 signs. Raises `NoteError`."""

    def __init__(self, name: str, path: Path) -> None:
        _check_name(name)
        self.path = path
        try:
            if path.stat().st_mode & 0o077:
                raise NoteError(f"the signing key {path} can be read by others: set it to mode 600")
            self.verifier = Verifier(name, sm2.public_key(path), SM2)
        except (OSError, sm2.Sm2Error) as error:
            raise NoteError(f"cannot read the signing key {path}: {error}") from None

    @classmethod
    def create(cls, path: Path, name: str) -> Sm2KeyFile:
        """Make a key and write it durably; `FileExistsError` where there is one already."""
        _check_name(name)
        try:
            create_secret(path, sm2.generate())
        except sm2.Sm2Error as error:
            raise NoteError(f"cannot make an SM2 key: {error}") from None
        return cls(name, path)

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def key_id(self) -> bytes:
        return self.verifier.key_id

    def sign(self, text: bytes) -> bytes:
        try:
            return sm2.sign(self.path, text)
        except sm2.Sm2Error as error:
            raise NoteError(f"cannot sign with SM2: {error}") from None


def create_secret(path: Path, data: bytes) -> None:
    """Write a file of mode 600 durably; it appears whole or not at all, and replaces none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A key half written by a crash must not stay: the whole file appears under its name at once.
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)
    finally:
        scratch.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def key_id(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    """SHA-256(name || 0x0A || kind || key)[:4] (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note of which at least one signature was verified; `verified` names the good ones.

    `times` says, for those of them that are witnesses, when they signed (POSIX seconds).
    """

    text: str
    signatures: tuple[Signature, ...]
    verified: tuple[Verifier, ...]
    times: tuple[tuple[Verifier, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: the root (32 bytes) of its first `size` entries."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    verified: tuple[Verifier, ...] = ()
    times: tuple[tuple[Verifier, int], ...] = ()  # of the witnesses among them

    def text(self) -> str:
        """The note text that is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        return "\n".join([*lines, *self.extensions]) + "\n"


def sign_note(text: str, signers: Sequence[Signer]) -> str:
    """The signed note over `text`, which must end in a line feed."""
    _check_text(text)
    return f"{text}\n{''.join(signature_line(text, signer) for signer in signers)}"


def signature_line(text: str, signer: Signer) -> str:
    """The line `— name base64(key id || signature)` over a note's text."""
    value = base64.b64encode(signer.key_id + signer.sign(text.encode())).decode()
    return f"— {signer.name} {value}\n"


def parse_note(note: str | bytes, keys: str | Verifier | Iterable[str | Verifier]) -> Note:
    """Open a note with the keys a reader trusts (texts or `Verifier`s).

    Signatures by other keys are kept unlooked at. A bad signature by a trusted key, or none by
    any, raises `NoteError`.
    """
    trusted = _verifiers(keys)
    if isinstance(note, bytes):
        if len(note) > MAX_NOTE:
            raise NoteError(f"the note is longer than {MAX_NOTE} bytes")
        try:
            note = note.decode()
        except UnicodeDecodeError:
            raise NoteError("the note is not UTF-8") from None
    elif not isinstance(note, str):
        raise NoteError("the note is no text")
    if len(note) > MAX_NOTE:
        raise NoteError(f"the note is longer than {MAX_NOTE} bytes")
    head, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise NoteError("the note has no signatures, or is cut short")
    text = head + "\n"
    _check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"the note has more than {MAX_SIGNATURES} signatures")
    signatures = tuple(_signature(line) for line in lines)
    verified: dict[Verifier, None] = {}
    times: dict[Verifier, int] = {}
    for signature in dict.fromkeys(signatures):  # a line that comes again is verified once
        for key in trusted:
            if key.name != signature.name or key.key_id != signature.key_id:
                continue
            if not key.verify(text.encode(), signature.value):
                raise SignatureError(f"the signature of {key.name} is false")
            verified[key] = None
            if key.kind == COSIGNATURE:
                times[key] = max(times.get(key, 0), int.from_bytes(signature.value[:8], "big"))
    if not verified:
        raise SignatureError("no signature by a trusted key")
    return Note(text, signatures, tuple(verified), tuple(times.items()))


def parse_checkpoint(
    text: str | bytes, keys: str | Verifier | Iterable[str | Verifier]
) -> Checkpoint:
    """Open a signed checkpoint (C2SP tlog-checkpoint).

    `keys` are the verifier keys that the reader trusts, as text (`NAME+HASH+KEY`) or `Verifier`;
    one whose name is the checkpoint's origin must have signed it, not as a witness. Raises
    `NoteError`.
    """
    note = parse_note(text, keys)
    origin, *rest = note.text[:-1].split("\n")
    if len(rest) < 2:
        raise NoteError("the checkpoint is cut short: wanted origin, size and root")
    size, root, *extensions = rest
    if not origin:
        raise NoteError("the checkpoint has no origin")
    if not _NUMBER.fullmatch(size) or int(size) > MAX_SIZE:
        raise NoteError("the checkpoint's size is no number from 0 to 2^63 - 1")
    raw = _base64(root, "the checkpoint's root")
    if len(raw) != HASH_SIZE:
        raise NoteError(f"the checkpoint's root has {len(raw)} bytes, not {HASH_SIZE}")
    if "" in extensions:
        raise NoteError("the checkpoint has an empty extension line")
    if all(key.name != origin or key.kind == COSIGNATURE for key in note.verified):
        raise SignatureError("the log itself has not signed the checkpoint")
    return Checkpoint(origin, int(size), raw, tuple(extensions), note.verified, note.times)


def _verifiers(keys: str | Verifier | Iterable[str | Verifier]) -> list[Verifier]:
    if isinstance(keys, str | Verifier):
        keys = [keys]
    return [key if isinstance(key, Verifier) else Verifier.parse(key) for key in keys]


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not encoded:
        raise NoteError("a signature line is malformed")
    _check_name(name)
    raw = _base64(encoded, "a signature")
    if len(raw) < 5:
        raise NoteError("a signature is cut short")
    return Signature(name, raw[:4], raw[4:])


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NoteError("a key name is 1 to 255 characters without spaces and plus signs")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise NoteError("a key name is not UTF-8") from None


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteError("the note's text does not end in a line feed")
    if any(ord(c) < 0x20 and c != "\n" for c in text):
        raise NoteError("the note has control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteError("the note is not UTF-8") from None


def _base64(text: str, what: str) -> bytes:
    """Strict base64: the one encoding of its bytes (RFC 4648 section 3.5)."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is no base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError(f"{what} is no canonical base64")
    return raw
