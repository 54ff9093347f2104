"""Tiles of a Merkle tree as files (C2SP tlog-tiles): paths, hash tiles, entry bundles, reading.

A tile at level L holds up to 256 nodes of tree level 8·L; an entry bundle holds the same 256
entries as the level-0 tile of its number, each behind its length in 16 bits, big-endian.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jingwei.evidence import merkle, web
from jingwei.evidence.merkle import HASH_SIZE
from jingwei.evidence.note import MAX_NOTE, NoteError

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_ENTRY = 65_535
ENTRIES = -1
"""In place of a level: the entry bundles."""

_DIGITS = re.compile("[0-9]{1,3}")  # str.isdigit takes "²" for a digit, int does not
_MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)
_CACHED = 64  # tiles as they are read, 8 KiB each
_TREES = 1_024  # tiles with all nodes over them, 16 KiB each: what makes the next proof cheap


class TileError(ValueError):
    """A tile or bundle that is not there, or not what it must be; the text names the file."""


class UnreachableError(OSError):
    """A web server did not give what was asked for: that says nothing of the log."""


def path(level: int, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/x001/x234/067[.p/<W>]`, with `entries` for the level of the bundles."""
    if level < ENTRIES or level > 63 or index < 0 or not 0 < width <= WIDTH:
        raise ValueError(f"no tile ({level}, {index}, {width})")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{'entries' if level == ENTRIES else level}/{digits(index)}{partial}"


def digits(number: int) -> str:
    """`x001/x234/067`: a number as a path of groups of three digits."""
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03}")
    return "/".join(reversed(parts))


def kept_path(size: int) -> str:
    """Where the checkpoint of this size is kept: `checkpoints/x001/234`."""
    return f"checkpoints/{digits(size)}"


def width_of(level: int, index: int, size: int) -> int:
    """How many hashes (or entries) the tile has in a tree of `size`: 0 to 256."""
    nodes = size >> (HEIGHT * max(level, 0))
    return max(0, min(WIDTH, nodes - index * WIDTH))


def pack(entries: Iterable[bytes]) -> bytes:
    """An entry bundle."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack(data: bytes, width: int, name: str = "bundle") -> list[bytes]:
    """The first `width` entries of a bundle; `TileError` if it is cut, or longer when exact."""
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data) or start > len(data):
            raise TileError(f"{name} is cut short after {len(entries)} of {width} entries")
        entries.append(data[start:end])
        at = end
    if at != len(data):
        raise TileError(f"{name} has {len(data) - at} bytes after its {width} entries")
    return entries


class Reader:
    """Reads a log's folder as any web server shows it: `checkpoint`, `tile/…`.

    Everything read is only as good as the check that follows: compare roots and proofs with a
    checkpoint that was opened with a trusted key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._trees: OrderedDict[tuple[int, int, int], list[bytes]] = OrderedDict()

    def checkpoint(self, name: str = "checkpoint") -> bytes:
        """The signed note as it lies there; `NoteError` where there is none."""
        try:
            data = self._fetch(name, MAX_NOTE)
        except TileError as error:
            raise NoteError(str(error)) from None
        if data is None:
            raise NoteError(f"cannot read {name}: No such file or directory")
        return data

    def _fetch(self, name: str, limit: int) -> bytes | None:
        """A file's bytes, at most one more than `limit`; None where there is no such file."""
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise TileError(f"cannot read {name}: {error.strerror}") from None

    def kept(self, *, newest_first: bool = False) -> list[int]:
        """The sizes of the checkpoints that are kept (`log.Log.keep`), ascending."""
        return _numbers(self.folder / "checkpoints", newest_first)

    def hashes(self, level: int, index: int, size: int) -> list[bytes]:
        """The hashes of a tile in a tree of `size` leaves."""
        width = width_of(level, index, size)
        data = self._tile(level, index, width)
        return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]

    def entries(self, index: int, size: int) -> list[bytes]:
        """The entries of bundle `index` in a log of `size` entries."""
        width = width_of(ENTRIES, index, size)
        data, name, whole = self._read(ENTRIES, index, width, _MAX_BUNDLE)
        return unpack(data, whole, name)[:width]

    def entry(self, index: int, size: int) -> bytes:
        """Entry (leaf number) `index` in a log of `size` entries; `ValueError` outside of it."""
        if not 0 <= index < size:
            raise ValueError(f"entry {index} is not in a log of {size}")
        return self.entries(index // WIDTH, size)[index % WIDTH]

    def node(self, size: int) -> merkle.Nodes:
        """Look-up of nodes in the tree of `size` leaves, for `merkle`'s proofs and roots."""

        def node(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, HEIGHT)
            first = index << height
            rows = self._tree(tile_level, first // WIDTH, size)
            at = ((first % WIDTH) >> height) * HASH_SIZE
            if at >= len(rows[height]):
                raise TileError(f"node ({level}, {index}) is not in a tree of {size}")
            return rows[height][at : at + HASH_SIZE]

        return node

    def root(self, size: int) -> bytes:
        return merkle.tree_root(size, self.node(size))

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """As `merkle.inclusion_proof`, but from the leaf upwards: a tile is looked up once for all of
        its eight levels, not once for each."""
        if not 0 <= index < size:
            raise ValueError(f"leaf {index} is not in a tree of {size}")
        proof: list[bytes] = []
        level, number = 0, index  # the node on the way; its sibling goes into the proof
        while (size - 1) >> level:
            tile = number // WIDTH
            if not width_of(level // HEIGHT, tile, size):  # the last node, alone on all its levels
                level, number = level + HEIGHT, tile
                continue
            for height, row in enumerate(self._tree(level // HEIGHT, tile, size), level):
                sibling = number ^ 1
                if sibling < size >> height:
                    at = sibling % (WIDTH >> height - level) * HASH_SIZE
                    proof.append(row[at : at + HASH_SIZE])
                elif sibling << height < size:  # not whole
                    proof.append(merkle.range_root(sibling << height, size, self.node(size)))
                number >>= 1
            level += HEIGHT
        return proof

    def consistency_proof(self, size1: int, size2: int) -> list[bytes]:
        return merkle.consistency_proof(size1, size2, self.node(size2))

    def partials(self, level: int, index: int) -> Sequence[int]:
        """The widths for which a partial tile (or bundle) lies in the folder."""
        folder = self.folder / (path(level, index) + ".p")
        if not folder.is_dir():
            return []
        return sorted(int(file.name) for file in folder.iterdir() if _DIGITS.fullmatch(file.name))

    def raw(self, level: int, index: int, width: int) -> bytes:
        """The bytes of exactly this file."""
        limit = _MAX_BUNDLE if level == ENTRIES else width * HASH_SIZE
        name = path(level, index, width)
        data = self._fetch(name, limit)
        if data is None:
            raise TileError(f"cannot read {name}: No such file or directory")
        if len(data) > limit:
            raise TileError(f"{name} is longer than {limit} bytes")
        return data

    def _tree(self, level: int, index: int, size: int) -> list[bytes]:
        """All nodes within a tile: row h has, one after the other, those of height h that are whole."""
        key = level, index, width_of(level, index, size)
        if key in self._trees:
            self._trees.move_to_end(key)
            return self._trees[key]
        rows = [self._tile(*key)]
        for _ in range(HEIGHT - 1):
            rows.append(merkle.parents(rows[-1]))
        self._trees[key] = rows
        if len(self._trees) > _TREES:
            self._trees.popitem(last=False)
        return rows

    def _tile(self, level: int, index: int, width: int) -> bytes:
        key = level, index, width
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        data, name, whole = self._read(level, index, width, WIDTH * HASH_SIZE)
        if len(data) != whole * HASH_SIZE:
            raise TileError(f"{name} has {len(data)} bytes, not {whole * HASH_SIZE}")
        data = data[: width * HASH_SIZE]
        self._cache[key] = data
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return data

    def _read(self, level: int, index: int, width: int, limit: int) -> tuple[bytes, str, int]:
        """Bytes, name and width of the tile; the full one where a partial one is gone."""
        if width < 1:
            raise TileError(f"tile {index} of level {level} is beyond the end of the log")
        for whole in dict.fromkeys((width, WIDTH)):
            name = path(level, index, whole)
            data = self._fetch(name, limit)
            if data is None:
                continue
            if len(data) > limit:
                raise TileError(f"{name} is longer than {limit} bytes")
            return data, name, whole
        raise TileError(f"{path(level, index, width)} is missing")


class WebReader(Reader):
    """The same over HTTP: reads somebody's log from its base address, each file in `timeout` seconds."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        super().__init__(Path("/nonexistent"))
        self._url, self._timeout = url.rstrip("/"), timeout

    def partials(self, level: int, index: int) -> Sequence[int]:
        """Unknown: a web server lists no folders."""
        return []

    def kept(self, *, newest_first: bool = False) -> list[int]:
        return []

    def _fetch(self, name: str, limit: int) -> bytes | None:
        address = f"{self._url}/{name}"
        try:
            status, data = web.ask("GET", address, limit=limit, timeout=self._timeout)
        except web.WebError as error:
            raise UnreachableError(f"{address} cannot be read: {error}") from None
        if status in (404, 410):
            return None
        if status != 200:
            raise UnreachableError(f"{address} answers {status}")
        return data


def _numbers(folder: Path, newest_first: bool) -> list[int]:
    """The numbers of the files under `folder` (see `digits`), in order."""

    def walk(folder: Path, number: int) -> Iterator[int]:
        for path in folder.iterdir():
            name = path.name
            if len(name) == 3 and _DIGITS.fullmatch(name):
                yield number * 1000 + int(name)
            elif len(name) == 4 and name[0] == "x" and _DIGITS.fullmatch(name[1:]):
                yield from walk(path, number * 1000 + int(name[1:]))

    return sorted(walk(folder, 0), reverse=newest_first) if folder.is_dir() else []
