"""How often an address asks, counted over all processes of a machine in one small file.

A table of slots, each a minute and a count: bounded, without a row or a lock in the database for a
request that anybody may send. Two addresses that share a slot share its count; with 65,536 slots
that is rare, and which share one cannot be chosen without the installation's key.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from pathlib import Path

SLOTS = 65_536
_SLOT = struct.Struct("<II")


def within(path: Path, key: bytes, who: str, most: int, minute: int) -> bool:
    """Count one more request of `who` in this minute; False where that is more than `most`.

    Where the file cannot be used, nothing is limited.
    """
    digest = hashlib.blake2b(who.encode(), key=key[:64], digest_size=8).digest()
    place = int.from_bytes(digest) % SLOTS * _SLOT.size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # of this opened file: holds threads apart too
            found = os.pread(fd, _SLOT.size, place)
            then, count = _SLOT.unpack(found) if len(found) == _SLOT.size else (0, 0)
            count = min(count, most) + 1 if then == minute else 1
            os.pwrite(fd, _SLOT.pack(minute, count), place)
        finally:
            os.close(fd)
    except OSError:
        return True
    return count <= most
