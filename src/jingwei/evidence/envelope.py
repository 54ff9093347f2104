"""Secrets that can be forgotten: each sealed under a key of its own that lies in a folder.

What is sealed (`seal`) may be stored and copied anywhere; it is AES-256-GCM (NIST SP 800-38D) under
a random data key. The data key lies in the folder, itself sealed under a master key (key wrapping,
so that the master can be changed without touching what is sealed). `erase` destroys a data key: no
copy of what was sealed can be opened any more (NIST SP 800-88r1, 2.5, cryptographic erase). Copies
of the folder must therefore be few, and end when the law demands it.

    folder/master-0001           32 random bytes, hexadecimal, mode 600; the newest is used
    folder/keys/ab/abcdef…       "master-number nonce sealed-data-key", hexadecimal, mode 600
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC = b"JW1"
_ID, _NONCE = 16, 12


class SealError(Exception):
    """What is sealed cannot be opened: damaged, bound to something else, or not ours."""


class ErasedError(SealError):
    """The key of what is sealed was erased."""


class KeyFolder:
    """The keys in `folder`, which is made (mode 700) with a first master key where it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def seal(self, secret: bytes, bound: str) -> bytes:
        """Seal `secret`, bound to a name: it opens under the same name only."""
        with self._locked(exclusive=False):
            identifier, key, nonce = (secrets.token_bytes(n) for n in (_ID, 32, _NONCE))
            number, master = self._master()
            path = self._path(identifier)
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            _write(path, _wrap(key, number, master, identifier))
            head = _MAGIC + identifier
            return head + nonce + AESGCM(key).encrypt(nonce, secret, head + bound.encode())

    def open(self, sealed: bytes, bound: str) -> bytes:
        """What was sealed. Raises `ErasedError`, `SealError`."""
        identifier = _identifier(sealed)
        with self._locked(exclusive=False):
            try:
                text = self._path(identifier).read_text(encoding="ascii")
            except FileNotFoundError:
                raise ErasedError("its key was erased") from None
            except (OSError, ValueError) as error:
                raise SealError(f"its key cannot be read: {error}") from None
            key = self._unwrap(text, identifier)
        head = _MAGIC + identifier
        body = sealed[len(head) :]
        try:
            return AESGCM(key).decrypt(body[:_NONCE], body[_NONCE:], head + bound.encode())
        except (InvalidTag, ValueError):
            raise SealError("it was changed, or sealed for something else") from None

    def erase(self, sealed: bytes) -> bool:
        """Destroy the key of what is sealed; False where it was erased before."""
        path = self._path(_identifier(sealed))
        with self._locked(exclusive=True):
            try:
                with path.open("r+b") as file:
                    file.write(b"\0" * path.stat().st_size)
                    file.flush()
                    os.fsync(file.fileno())
            except FileNotFoundError:
                return False
            path.unlink()
            _sync(path.parent)
            return True

    def kept(self, sealed: bytes) -> bool:
        """Whether the key of what is sealed is still there."""
        return self._path(_identifier(sealed)).exists()

    def rotate(self) -> int:
        """Make a new master key, wrap every data key anew, destroy the old masters; how many keys
        were wrapped. Interrupted, it is done again from where it stood: an old master goes only
        when nothing is wrapped under it any more."""
        with self._locked(exclusive=True):
            newest = max(self._masters())
            _write(self._master_path(newest + 1), secrets.token_hex(32))
            number, master = self._master()
            done = 0
            for path in sorted((self.folder / "keys").glob("*/*")):
                if path.suffix:  # a copy half written when the power went
                    path.unlink()
                    continue
                identifier = bytes.fromhex(path.name)
                key = self._unwrap(path.read_text(encoding="ascii"), identifier)
                _write(path, _wrap(key, number, master, identifier))
                done += 1
            for old in self._masters():
                if old != number:
                    self._master_path(old).unlink()
            _sync(self.folder)
            return done

    # --- parts -----------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not self._masters():
                fcntl.flock(fd, fcntl.LOCK_EX)
                if not self._masters():
                    _write(self._master_path(1), secrets.token_hex(32))
            fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def _masters(self) -> list[int]:
        names = (p.name.removeprefix("master-") for p in self.folder.glob("master-*"))
        return sorted(int(n) for n in names if n.isdigit())

    def _master_path(self, number: int) -> Path:
        return self.folder / f"master-{number:04}"

    def _master(self) -> tuple[int, bytes]:
        number = max(self._masters())
        return number, self._read_master(number)

    def _read_master(self, number: int) -> bytes:
        path = self._master_path(number)
        try:
            key = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise SealError(f"the master key {path.name} cannot be read: {error}") from None
        if len(key) != 32:
            raise SealError(f"the master key {path.name} is cut short")
        return key

    def _path(self, identifier: bytes) -> Path:
        name = identifier.hex()
        return self.folder / "keys" / name[:2] / name

    def _unwrap(self, text: str, identifier: bytes) -> bytes:
        try:
            number, nonce, wrapped = text.split()
            master = self._read_master(int(number))
            return AESGCM(master).decrypt(bytes.fromhex(nonce), bytes.fromhex(wrapped), identifier)
        except (InvalidTag, ValueError):
            raise SealError("its key is damaged") from None


def _wrap(key: bytes, number: int, master: bytes, identifier: bytes) -> str:
    nonce = secrets.token_bytes(_NONCE)
    wrapped = AESGCM(master).encrypt(nonce, key, identifier)
    return f"{number} {nonce.hex()} {wrapped.hex()}"


def _identifier(sealed: bytes) -> bytes:
    if len(sealed) < len(_MAGIC) + _ID + _NONCE + 16 or not sealed.startswith(_MAGIC):
        raise SealError("it is not sealed by us")
    return sealed[len(_MAGIC) : len(_MAGIC) + _ID]


def _write(path: Path, text: str) -> None:
    """Whole or not at all, on the disk before it counts."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
