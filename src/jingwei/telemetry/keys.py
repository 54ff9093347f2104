"""SM4 keys of devices at rest: sealed with AES-256-GCM under one key file of mode 0600.

The database, the register and the command book hold only sealed text; who has them and not the
key file learns no key and no new password. Sealed text is bound to the device number (MN) and
does not open for another.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from functools import lru_cache
from pathlib import Path

NAME = "device.key"  # beside the register in the data folder
_MARK = "a1."


class SealError(ValueError):
    """A sealed text cannot be opened, or the key file cannot be used; the text says why."""


class KeyBox:
    """Seals and opens secrets of devices. The key file is made where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def seal(self, mn: str, secret: bytes) -> str:
        """The secret as text that only this box opens, and only for this device."""
        nonce = secrets.token_bytes(12)
        text = _cipher(self._key(make=True)).encrypt(nonce, secret, mn.encode())
        return _MARK + base64.b64encode(nonce + text).decode()

    def open(self, mn: str, sealed: str) -> bytes:
        """The secret; raises `SealError` where the text is damaged, another device's or another
        key file's."""
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(sealed.removeprefix(_MARK), validate=True)
            if not sealed.startswith(_MARK) or len(data) < 29:
                raise SealError(f"MN {mn}: no sealed secret")
            return bytes(_cipher(self._key()).decrypt(data[:12], data[12:], mn.encode()))
        except (InvalidTag, binascii.Error):
            raise SealError(f"MN {mn}: the secret was not sealed with {self.path}") from None

    def _key(self, *, make: bool = False) -> bytes:
        try:
            text = self.path.read_text().strip()
        except FileNotFoundError:
            if not make:
                raise SealError(f"{self.path} is missing: no device key can be opened") from None
            return self._make()
        except OSError as error:
            raise SealError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise SealError(f"{self.path} is damaged: 64 hexadecimal digits are wanted")
        return key

    def _make(self) -> bytes:
        key = secrets.token_bytes(32)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        blank = self.path.with_name(f".{self.path.name}-{secrets.token_hex(8)}")
        handle = os.open(blank, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as f:
                f.write(key.hex() + "\n")
                f.flush()
                os.fsync(f.fileno())
            os.link(blank, self.path)  # exclusive, and never half-made
        except FileExistsError:
            return self._key()
        finally:
            blank.unlink(missing_ok=True)
        return key


@lru_cache(maxsize=8)
def _cipher(key: bytes):  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def read_key(text: str) -> bytes:
    """The 16 bytes of an SM4 key written as 32 hexadecimal digits or as 16 ASCII characters
    (`NewSK` of command 1014). Raises `ValueError` saying what is wanted."""
    text = text.strip()
    if len(text) == 32:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    if len(text) == 16 and text.isascii() and text.isprintable():
        return text.encode()
    raise ValueError("an SM4 key has 32 hexadecimal digits, or 16 printable characters")
