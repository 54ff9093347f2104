"""Is a log on disk what its checkpoints say? The tree is rebuilt from the entries alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jingwei.evidence import merkle, tiles
from jingwei.evidence.log import LogError
from jingwei.evidence.merkle import HASH_SIZE, CompactRange
from jingwei.evidence.note import Checkpoint
from jingwei.evidence.tiles import ENTRIES, WIDTH, Reader, TileError

Progress = Callable[[int, int], None]
Each = Callable[[int, Sequence[bytes]], None]


def check(
    reader: Reader,
    checkpoints: Sequence[Checkpoint],
    *,
    each: Each | None = None,
    progress: Progress | None = None,
) -> None:
    """Rebuild the tree from the entries alone and compare it with every tile and checkpoint.

    Goes through the entries once, in order, with one bundle in memory. `each(first, entries)`
    is called for every bundle that agrees with its tile, `progress(done, size)` after it. Raises
    `LogError` that names the first difference.
    """
    size = max((c.size for c in checkpoints), default=0)
    wanted: dict[int, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        wanted.setdefault(checkpoint.size, []).append(checkpoint)
    tree = CompactRange()
    levels: list[list[bytes]] = [[]]
    _compare_roots(tree, wanted)
    try:
        for number in range(-(-size // WIDTH)):
            entries = reader.entries(number, size)
            _compare_partials(reader, ENTRIES, number, tiles.pack(entries), entries)
            hashes = reader.hashes(0, number, size)
            for i, (entry, value) in enumerate(zip(entries, hashes, strict=True)):
                leaf = merkle.leaf_hash(entry)
                if leaf != value:
                    name = tiles.path(ENTRIES, number, len(entries))
                    raise LogError(
                        f"entry {number * WIDTH + i} in {name} is not the one that the tile"
                        f" {tiles.path(0, number, len(hashes))} was made of"
                    )
                tree.append(leaf)
                _compare_roots(tree, wanted)
            levels[0] = hashes
            _compare_tiles(reader, levels, number, size)
            if each:
                each(number * WIDTH, entries)
            if progress:
                progress(tree.size, size)
        for level in range(1, len(levels)):
            if levels[level]:
                _compare_tile(reader, level, (size >> (8 * level)) // WIDTH, levels[level], size)
    except TileError as error:
        raise LogError(str(error)) from None


def _compare_roots(tree: CompactRange, wanted: dict[int, list[Checkpoint]]) -> None:
    for checkpoint in wanted.get(tree.size, ()):
        if tree.root() != checkpoint.root:
            raise LogError(
                f"the {tree.size} entries give root {tree.root().hex()},"
                f" the checkpoint says {checkpoint.root.hex()}"
            )


def _compare_tiles(reader: Reader, levels: list[list[bytes]], number: int, size: int) -> None:
    """Compare the tile just read at level 0 with its partial files, and all tiles that it fills."""
    _compare_partials(reader, 0, number, b"".join(levels[0]), levels[0])
    level = 0
    while len(levels[level]) == WIDTH:
        above = merkle.root_hash(levels[level])
        levels[level] = []
        level += 1
        if level == len(levels):
            levels.append([])
        levels[level].append(above)
        if len(levels[level]) == WIDTH:
            index = ((number + 1) * WIDTH >> (8 * level)) // WIDTH - 1
            _compare_tile(reader, level, index, levels[level], size)


def _compare_tile(reader: Reader, level: int, index: int, rebuilt: list[bytes], size: int) -> None:
    for i, (value, right) in enumerate(
        zip(reader.hashes(level, index, size), rebuilt, strict=True)
    ):
        if value != right:
            raise LogError(
                f"hash {i} in {tiles.path(level, index, len(rebuilt))} is not the root of the"
                f" tile {tiles.path(level - 1, index * WIDTH + i)} under it"
            )
    _compare_partials(reader, level, index, b"".join(rebuilt), rebuilt)


def _compare_partials(
    reader: Reader, level: int, index: int, data: bytes, items: Sequence[bytes]
) -> None:
    """Earlier partial files of a tile must be its beginning (those beyond the size are no part of the log)."""
    for width in reader.partials(level, index):
        if not 0 < width <= len(items) or width == WIDTH:
            continue
        begin = tiles.pack(items[:width]) if level == ENTRIES else data[: width * HASH_SIZE]
        if reader.raw(level, index, width) != begin:
            raise LogError(f"{tiles.path(level, index, width)} is not how its tile begins")
