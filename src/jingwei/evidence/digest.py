"""SHA-256 (FIPS 180-4) and SM3 (GB/T 32905-2016): every content is named by both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


def sm3(data: bytes) -> bytes:
    """SM3 of `data`, 32 bytes; by the system's OpenSSL, else by that of `cryptography`."""
    return _sm3((data,))


def both(data: bytes | Iterable[bytes]) -> dict[str, str]:
    """`{"sha256": hex, "sm3": hex}` of bytes, or of chunks read one after the other."""
    chunks = (data,) if isinstance(data, bytes) else data
    first, second = hashlib.sha256(), _sm3_hash()
    for chunk in chunks:
        first.update(chunk)
        second.update(chunk)
    return {"sha256": first.hexdigest(), "sm3": _finish(second).hex()}


def _sm3_hash() -> hashlib._Hash | hashes.Hash:
    try:
        return hashlib.new("sm3")
    except ValueError:  # this Python's OpenSSL was built without SM3
        return hashes.Hash(hashes.SM3())


def _finish(state: hashlib._Hash | hashes.Hash) -> bytes:
    return state.finalize() if isinstance(state, hashes.Hash) else state.digest()


def _sm3(chunks: Iterable[bytes]) -> bytes:
    state = _sm3_hash()
    for chunk in chunks:
        state.update(chunk)
    return _finish(state)
