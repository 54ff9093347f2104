"""Telegrams as bytes: the leaf that is hashed when a segment is sealed, and blocks of leaves.

The leaf of a telegram is, big-endian:

    received   8 bytes, signed: microseconds since 1970-01-01 UTC
    peer       2 bytes of length, then UTF-8
    reason     2 bytes of length, then UTF-8 (empty in the journal of accepted telegrams)
    raw        the telegram as it came, to the end

A block is the leaves of some telegrams, each behind 4 bytes of its length, compressed with zstd.
The SHA-256 of a seal is over the same bytes uncompressed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

BLOCK = 1 << 18  # bytes of leaves after which a block is closed: one telegram costs a millisecond
LEVEL = 9  # of zstd

Record = tuple[int, int, str, str, bytes]  # row, received, peer, reason, raw

_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">qH")
_SHORT = struct.Struct(">H")


class PackingError(ValueError):
    """Bytes that are no block of telegrams."""


def leaf(received: int, peer: str, reason: str, raw: bytes) -> bytes:
    """The canonical bytes of one telegram; `received` in microseconds."""
    who, why = peer.encode(), reason.encode()
    return b"".join((_HEAD.pack(received, len(who)), who, _SHORT.pack(len(why)), why, raw))


def framed(entry: bytes) -> bytes:
    """A leaf behind its length."""
    return _LENGTH.pack(len(entry)) + entry


def compress(data: bytes) -> bytes:
    import pyarrow as pa  # the gateway, which only writes, does without it

    return bytes(pa.Codec("zstd", compression_level=LEVEL).compress(data, asbytes=True))


def decompress(data: bytes, size: int) -> bytes:
    """The bytes of a block; raises `PackingError` where it is damaged."""
    import pyarrow as pa

    if not 0 <= size <= 1 << 28:
        raise PackingError(f"a block of {size} bytes")
    try:
        return bytes(pa.Codec("zstd").decompress(data, decompressed_size=size, asbytes=True))
    except OSError as error:
        raise PackingError(f"a block cannot be decompressed: {error}") from None


def records(block: bytes, first: int) -> Iterator[Record]:
    """The telegrams of a block whose first row is `first`; raises `PackingError`."""
    at = 0
    row = first
    try:
        while at < len(block):
            (length,) = _LENGTH.unpack_from(block, at)
            at += 4
            end = at + length
            received, size = _HEAD.unpack_from(block, at)
            at += _HEAD.size
            peer = block[at : at + size].decode()
            at += size
            (size,) = _SHORT.unpack_from(block, at)
            at += 2
            reason = block[at : at + size].decode()
            at += size
            if not at <= end <= len(block):
                raise PackingError("a block ends within a telegram")
            yield row, received, peer, reason, block[at:end]
            at = end
            row += 1
    except (struct.error, UnicodeDecodeError) as error:
        raise PackingError(f"a block is damaged: {error}") from None
