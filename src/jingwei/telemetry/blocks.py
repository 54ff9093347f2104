"""The log of a segment: one block a commit, each on the disk before the next is begun.

Every byte of a telegram is written once, behind the end of one file, and one `fdatasync` makes a
block durable: as cheap as a disk can be asked to be. All numbers are little-endian.

    file     b"JNGWLOG1", the mark (8 random bytes, so that no telegram can look like a block),
             CRC-32 of the mark
    block    the head: mark, first row, count, bytes of texts, bytes of raws, CRC-32 of what stands
             before it and of the body (4 bytes each); then the body:
               received   8 bytes a telegram, signed: microseconds since 1970-01-01 UTC
               lengths    4 bytes a telegram each: of raw in bytes, of peer and of reason in characters
               texts      all peers, then all reasons, UTF-8
               raws       the telegrams as they came

Only the last block can be torn, by a writer that was killed or a machine that stopped: it was never
acknowledged and counts as not there. Whatever else is not as it was written is damage. Reading
needs no lock: a block that is being written looks like a torn one.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from jingwei.telemetry.packing import Record

SUFFIX = ".log"

_MAGIC = b"JNGWLOG1"
_HEAD = struct.Struct("<8sIIIII")
_CRC = struct.Struct("<I")
EMPTY = len(_MAGIC) + 8 + _CRC.size  # bytes of a log without blocks
_FIXED = 8 + 3 * 4  # bytes of a telegram beside its texts and its raw
_KEPT = 16  # logs whose blocks this process remembers


class DamagedError(ValueError):
    """A log that is not as it was written."""


class NoRoomError(OSError):
    """A block could not be written whole; the log is as it was before, and may be written on."""


class Writer:
    """The one writer of a new log. Not thread-safe. Raises `FileExistsError` where there is a log.

    `rows`: the telegrams there are; `sound`: false when it is not sure how the log ends, which must
    be left then.
    """

    def __init__(self, path: Path) -> None:
        self.sound = True
        self._mark = os.urandom(8)
        self._size = 0
        self.rows = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            self._write([_MAGIC + self._mark + _CRC.pack(zlib.crc32(self._mark))])
            os.fsync(self._fd)
        except BaseException:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    def append(
        self,
        received: Sequence[int],
        peers: Sequence[str],
        reasons: Sequence[str],
        raws: Sequence[bytes],
    ) -> int:
        """Write one block and make it durable; returns the row of its first telegram.

        Raises `NoRoomError`, when nothing was written, or `OSError`.
        """
        count, first = len(raws), self.rows + 1
        texts = ("".join(peers) + "".join(reasons)).encode()
        body = b"".join((
            struct.pack(f"<{count}q", *received),
            struct.pack(f"<{3 * count}I", *map(len, raws), *map(len, peers), *map(len, reasons)),
            texts,
            *raws,
        ))  # fmt: skip
        size = len(body) - count * _FIXED - len(texts)
        head = _HEAD.pack(self._mark, first, count, len(texts), size, 0)[: -_CRC.size]
        head += _CRC.pack(zlib.crc32(body, zlib.crc32(head)))
        self.sound = False
        self._write([head, body])
        os.fdatasync(self._fd)
        self.rows += count
        self.sound = True
        return first

    def _write(self, parts: Sequence[bytes]) -> None:
        """Behind the end, or nothing."""
        end = self._size + sum(map(len, parts))
        at = self._size
        try:
            at += os.pwritev(self._fd, parts, at)
            if at < end:  # a disk that is nearly full, or more than 2 GiB
                data = memoryview(b"".join(parts))
                while at < end:
                    at += os.pwrite(self._fd, data[at - self._size :], at)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            self.sound = True
            raise NoRoomError(error.errno, error.strerror) from error
        self._size = end

    def close(self) -> None:
        os.close(self._fd)


class _Head(NamedTuple):
    first: int  # row
    telegrams: int
    texts: int  # bytes
    raws: int
    crc: int

    def size(self) -> int:
        """Bytes of the body."""
        return self.telegrams * _FIXED + self.texts + self.raws


class _Index:
    """Where the blocks of a log begin, as far as it was looked through. Only grows."""

    def __init__(self) -> None:
        self.first = array("Q")  # row
        self.at = array("Q")  # byte
        self.last = 0
        self.end = EMPTY
        self.lock = threading.Lock()


_indexes: OrderedDict[tuple[int, int, bytes], _Index] = OrderedDict()
_lock = threading.Lock()


def _index(key: tuple[int, int, bytes]) -> _Index:
    with _lock:
        found = _indexes.pop(key) if key in _indexes else _Index()
        _indexes[key] = found
        if len(_indexes) > _KEPT:
            _indexes.popitem(last=False)
        return found


class Reader:
    """Reads a log, also while it is written. Raises `FileNotFoundError`, and `DamagedError` anywhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            start = self._bytes(0, EMPTY)
            self._mark = start[len(_MAGIC) : -_CRC.size]
            if start != _MAGIC + self._mark + _CRC.pack(zlib.crc32(self._mark)):
                raise DamagedError(f"{path} is not the log of a journal segment")
            status = os.fstat(self._fd)
            self._index = _index((status.st_dev, status.st_ino, self._mark))
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        os.close(self._fd)

    def sync(self) -> None:
        """Make durable what its writer, killed or not done yet, may have left in memory."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise DamagedError(f"{self._path} cannot be made durable: {error}") from None

    def _bytes(self, at: int, count: int) -> bytes:
        try:
            return os.pread(self._fd, count, at)
        except OSError as error:
            raise DamagedError(f"{self._path} cannot be read at byte {at}: {error}") from None

    def last(self) -> int:
        """The last row, 0 where there is none."""
        return self._look()[1]

    def records(self, after: int = 0) -> Iterator[Record]:
        """The telegrams behind the row `after`, in order."""
        count, last = self._look()
        if after >= last:
            return
        first, at = self._index.first, self._index.at
        for k in range(max(0, bisect_right(first, after + 1, 0, count) - 1), count):
            yield from self._records(first[k], at[k], max(0, after + 1 - first[k]))

    def newest(self, text: bytes) -> Iterator[list[Record]]:
        """The telegrams of each block that has this text in its bytes, the newest block first."""
        count, _ = self._look()
        for k in range(count - 1, -1, -1):
            first, at = self._index.first[k], self._index.at[k]
            if text in self._body(at, self._head(at, first))[1]:
                yield list(self._records(first, at))

    def _look(self) -> tuple[int, int]:
        """How many blocks there are by now, and the last row."""
        index = self._index
        with index.lock:
            size = os.fstat(self._fd).st_size
            if size < index.end:
                raise DamagedError(f"{self._path} is cut off at byte {size}")
            if size > index.end:
                self._extend(index, size)
            return len(index.first), index.last

    def _extend(self, index: _Index, size: int) -> None:
        found: list[tuple[int, int]] = []
        last, end = index.last, index.end
        with contextlib.suppress(DamagedError):
            while (stop := end + _HEAD.size + (head := self._head(end, last + 1)).size()) <= size:
                found.append((last + 1, end))
                last, end = last + head.telegrams, stop
        if found:  # only the last of all can be torn
            first, at = found[-1]
            try:
                self._body(at, self._head(at, first))
            except DamagedError:
                found.pop()
                last, end = first - 1, at
        if self._mark in self._bytes(end, size - end)[1:]:
            raise DamagedError(f"{self._path} is damaged at byte {end}: more was written after it")
        index.first.extend(first for first, _ in found)
        index.at.extend(at for _, at in found)
        index.last, index.end = last, end

    def _head(self, at: int, first: int) -> _Head:
        data = self._bytes(at, _HEAD.size)
        if len(data) == _HEAD.size:
            mark, *rest = _HEAD.unpack(data)
            head = _Head(*rest)
            if mark == self._mark and head.first == first and head.telegrams:
                return head
        raise DamagedError(f"{self._path} is damaged at byte {at}")

    def _body(self, at: int, head: _Head) -> tuple[bytes, bytes]:
        """What stands before the raws, and the raws."""
        data = self._bytes(at, _HEAD.size + head.size())
        before = _HEAD.size - _CRC.size
        body = data[_HEAD.size :]
        if len(body) < head.size() or zlib.crc32(body, zlib.crc32(data[:before])) != head.crc:
            raise DamagedError(f"{self._path} is damaged at byte {at}")
        cut = len(body) - head.raws
        return body[:cut], body[cut:]

    def _records(self, first: int, at: int, skip: int = 0) -> Iterator[Record]:
        head = self._head(at, first)
        fixed, raws = self._body(at, head)
        n = head.telegrams
        received = struct.unpack_from(f"<{n}q", fixed)
        lengths = struct.unpack_from(f"<{3 * n}I", fixed, 8 * n)
        text = fixed[_FIXED * n :].decode()
        words = list(accumulate(lengths[n:], initial=0))
        places = list(accumulate(lengths[:n], initial=0))
        if places[-1] != len(raws) or words[-1] != len(text):
            raise DamagedError(f"{self._path} is damaged at byte {at}")
        for k in range(skip, n):
            yield (
                first + k,
                received[k],
                text[words[k] : words[k + 1]],
                text[words[n + k] : words[n + k + 1]],
                raws[places[k] : places[k + 1]],
            )
