"""SM4 as HJ 212-2025 appendix A.2 uses it: ECB on 16-byte groups, a shorter remainder stays clear.

Encrypted is what stands between `CP=&&` and the closing `&&`; the check sum is that of the clear
segment. Whether the ciphertext travels as raw bytes or as text is read differently (the printed
declared lengths say raw bytes): all four forms are read and written.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

FORMS: Final = ("raw", "hex", "base64", "literal")

_LITERAL: Final = re.compile(rb"\{\s*0[xX][0-9A-Fa-f]{2}(?:\s*,\s*0[xX][0-9A-Fa-f]{2})*\s*\}")
_BYTE: Final = re.compile(rb"0[xX]([0-9A-Fa-f]{2})")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]*")


def _check(key: bytes) -> None:
    if len(key) != 16:
        raise ValueError(f"an SM4 key has 16 bytes, not {len(key)}")


def encrypt(clear: bytes, key: bytes) -> bytes:
    """Whole 16-byte groups encrypted with SM4-ECB, the remainder as it is; same length."""
    return _apply(clear, key, True)


def decrypt(cipher: bytes, key: bytes) -> bytes:
    """The reverse of `encrypt`."""
    return _apply(cipher, key, False)


def _apply(data: bytes, key: bytes, forward: bool) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    _check(key)
    whole = len(data) // 16 * 16
    # ECB is what the standard prescribes.
    cipher = Cipher(algorithms.SM4(key), modes.ECB())  # noqa: S305
    worker = cipher.encryptor() if forward else cipher.decryptor()
    return worker.update(data[:whole]) + worker.finalize() + data[whole:]


def write(cipher: bytes, form: str) -> bytes:
    """Ciphertext (with its clear remainder) in one of `FORMS`.

    "hex" and "base64" take all bytes together; "literal" is `{0xE4,0x3E,…}` as the standard prints
    it, with the remainder behind the brace.
    """
    if form == "raw":
        return cipher
    if form == "hex":
        return cipher.hex().upper().encode()
    if form == "base64":
        return base64.b64encode(cipher)
    if form == "literal":
        whole = len(cipher) // 16 * 16
        if not whole:
            return cipher
        return b"{" + b",".join(b"0x%02X" % b for b in cipher[:whole]) + b"}" + cipher[whole:]
    raise ValueError(f"form {form!r}: wanted one of {', '.join(FORMS)}")


def read(region: bytes) -> Iterator[tuple[str, bytes]]:
    """Every way to read a region as ciphertext: (form, cipher bytes with their clear remainder).

    The sender's form is not declared; the check sum over the deciphered segment tells which of
    them it was. Text forms are tried with the remainder inside the encoding and in clear behind it.
    """
    literal = _LITERAL.match(region)
    if literal:
        cipher = bytes.fromhex(b"".join(_BYTE.findall(literal.group())).decode())
        yield "literal", cipher + region[literal.end() :]
    size = len(region)
    run = len(_HEX.match(region).group())  # type: ignore[union-attr]  # matches the empty text too
    if run == size and size % 2 == 0:
        yield "hex", bytes.fromhex(region.decode())
    whole = run // 32 * 32
    if whole and size - whole < 16 and whole != size:
        yield "hex", bytes.fromhex(region[:whole].decode()) + region[whole:]
    if size >= 4:  # what one byte takes
        for tail in range(min(16, size - 3)):
            text = region[: size - tail]
            if len(text) % 4:
                continue
            try:
                cipher = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
            if tail == 0 or len(cipher) % 16 == 0:
                yield "base64", cipher + region[size - tail :]
    yield "raw", region


def encrypt_segment(segment: bytes, key: bytes, form: str = "raw") -> bytes:
    """The data segment with its CP region encrypted. ValueError where there is no `CP=&&…&&`."""
    start = segment.find(b"CP=&&") + 5
    if start < 5 or not segment.endswith(b"&&") or len(segment) < start + 2:
        raise ValueError("no CP=&&…&& to encrypt")
    return segment[:start] + write(encrypt(segment[start:-2], key), form) + b"&&"


def authorization(user: str, password: str, key: bytes) -> str:
    """The value of the HTTPS `Authorization` header of appendix H.1.2 (multimedia transfer).

    Base64 of SM4-ECB with PKCS #7 padding of `user:password`.
    """
    clear = f"{user}:{password}".encode()
    fill = 16 - len(clear) % 16
    return base64.b64encode(encrypt(clear + bytes([fill]) * fill, key)).decode()
