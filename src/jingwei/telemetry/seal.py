"""Sealing: what a journal segment held when its hour was over, as one hash that anyone can check.

A segment that is rolled, or whose hour has passed (its writer is then shut out), gets a seal in
its own meta table: the number of telegrams, the first and last time of reception, the RFC 6962
root over the telegrams in the order of their rows, and a SHA-256 over the same bytes in a row for
who has no Merkle code at hand. The caller records the seal in the evidence log and then says so
with `recorded`; the file becomes read-only with that.

Leaves and the bytes that the SHA-256 is over are those of `packing.py`. When the seal is recorded,
`pack` puts the telegrams into compressed blocks: the same telegrams, the same seal, about a tenth
of the bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jingwei.evidence.merkle import CompactRange, leaf_hash
from jingwei.telemetry import blocks, packing
from jingwei.telemetry.journal import (
    PACKED_SCHEMA,
    BrokenSegmentError,
    JournalError,
    Segment,
    View,
    moment,
    put,
    segments,
)
from jingwei.telemetry.packing import framed, leaf

GRACE = timedelta(minutes=2)  # how long after its hour a segment is left to its writer


@dataclass(frozen=True, slots=True)
class Seal:
    """The seal of one segment. `name` is unique within the installation: journal and number."""

    name: str
    number: int
    count: int
    first: datetime | None
    last: datetime | None
    root: str  # hex
    sha256: str  # hex


def compute(root: Path, segment: Segment) -> Seal:
    """The seal that the segment's telegrams give now."""
    edge = CompactRange()
    flat = hashlib.sha256()
    first: int | None = None
    last: int | None = None
    with segment.open() as view:
        for _, received, peer, reason, raw in view.records():
            entry = leaf(received, peer, reason, raw)
            edge.append(leaf_hash(entry))
            flat.update(framed(entry))
            first = received if first is None else min(first, received)
            last = received if last is None else max(last, received)
    return Seal(
        f"{root.name}/{segment.number}",
        segment.number,
        edge.size,
        None if first is None else moment(first),
        None if last is None else moment(last),
        edge.root().hex(),
        flat.hexdigest(),
    )


def stored(root: Path, segment: Segment, meta: dict[str, str] | None = None) -> Seal | None:
    """The seal written in the segment, or None where it is not sealed."""
    meta = segment.meta() if meta is None else meta
    if meta.get("state") != "sealed":
        return None

    def when(key: str) -> datetime | None:
        return datetime.fromisoformat(meta[key]) if meta.get(key) else None

    return Seal(
        f"{root.name}/{segment.number}",
        segment.number,
        int(meta["count"]),
        when("first"),
        when("last"),
        meta["root"],
        meta["sha256"],
    )


def _done(segment: Segment) -> bool:
    return not segment.path.stat().st_mode & 0o222


def sealable(root: Path, now: datetime | None = None) -> list[Segment]:
    """Segments that are not sealed yet and may be."""
    return [
        segment
        for segment, meta in _unrecorded(root, None)
        if meta["state"] == "rolled" or (meta["state"] == "open" and _over(meta, now))
    ]


def _over(meta: dict[str, str], now: datetime | None) -> bool:
    hour = datetime.fromisoformat(meta["opened"]).replace(minute=0, second=0, microsecond=0)
    return (now or datetime.now(UTC)) >= hour + timedelta(hours=1) + GRACE


def _unrecorded(root: Path, problems: list[str] | None) -> list[tuple[Segment, dict[str, str]]]:
    found = []
    for segment in segments(root):
        try:
            if not _done(segment):
                meta = segment.meta()
                if "state" not in meta or "opened" not in meta:
                    raise BrokenSegmentError(f"{segment.path} does not say its state")
                found.append((segment, meta))
        except (OSError, JournalError, sqlite3.OperationalError) as error:
            if problems is not None:
                problems.append(str(error))
    return found


def seal(
    root: Path, now: datetime | None = None, *, problems: list[str] | None = None
) -> list[Seal]:
    """Seal what can be sealed; return every seal that is not marked as recorded yet.

    So a seal comes again until `recorded` is called: the caller records it in the evidence log
    unless an entry of its name is there already. A segment that cannot be read is named in
    `problems` and stops none of the others.
    """
    seals: list[Seal] = []
    for segment, meta in _unrecorded(root, problems):
        try:
            if meta["state"] == "open" and not _over(meta, now):
                continue
            if meta["state"] != "sealed":
                meta = _seal(root, segment)
            present = stored(root, segment, meta)
            if meta.get("recorded"):
                recorded(root, f"{root.name}/{segment.number}")  # a reader was in the way before
            elif present is not None:
                seals.append(present)
        except (OSError, JournalError, sqlite3.OperationalError) as error:
            if problems is not None:
                problems.append(str(error))
    return seals


def _seal(root: Path, segment: Segment) -> dict[str, str]:
    with segment.open(write=True) as view:
        # Shuts the writer out: it looks at the state inside each of its commits.
        view.db.execute("UPDATE meta SET value = 'rolled' WHERE key = 'state' AND value = 'open'")
        if view.log is not None:
            view.log.sync()
        rows = view.meta().get("rows")
    found = compute(root, segment)
    if rows is not None and found.count != int(rows):
        raise BrokenSegmentError(
            f"{segment.path} holds {found.count} telegrams, {rows} were written"
        )
    with segment.open(write=True) as view:
        view.db.execute("BEGIN IMMEDIATE")
        view.db.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            [
                ("count", str(found.count)),
                ("first", found.first.isoformat() if found.first else ""),
                ("last", found.last.isoformat() if found.last else ""),
                ("root", found.root),
                ("sha256", found.sha256),
                ("state", "sealed"),
            ],
        )
        view.db.execute("COMMIT")
        _settle(view.db)
        return view.meta()


def _settle(db: sqlite3.Connection) -> None:
    """Make the segment one plain file without a write-ahead log, where no reader is in the way."""
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("PRAGMA journal_mode = DELETE")


def recorded(root: Path, name: str, reference: str = "") -> None:
    """Mark the seal `name` as recorded in the evidence log (`reference`: the entry); idempotent.

    Raises `JournalError` when there is no such sealed segment.
    """
    for segment in segments(root):
        if f"{root.name}/{segment.number}" == name:
            break
    else:
        raise JournalError(f"no segment {name} in {root}")
    if _done(segment):
        return
    if segment.meta().get("state") != "sealed":
        raise JournalError(f"segment {name} is not sealed")
    with segment.open(write=True) as view:
        view.db.execute(
            "INSERT OR IGNORE INTO meta VALUES ('recorded', ?)",
            (reference or datetime.now(UTC).isoformat(),),
        )
        _settle(view.db)
        (mode,) = view.db.execute("PRAGMA journal_mode").fetchone()
    if mode == "delete":
        with contextlib.suppress(FileNotFoundError):
            segment.log.chmod(0o444)
        segment.path.chmod(0o444)


_packed: dict[Path, set[int]] = {}  # by journal: segments known to be packed


def pack(root: Path, limit: int = 4, *, problems: list[str] | None = None) -> int:
    """Compress up to `limit` recorded segments; how many were.

    The packed file is checked against the seal before it takes the other's place by renaming, so
    that a reader sees the one or the other and nothing is ever between them.
    """
    done = _packed.setdefault(root, set())
    count = 0
    if not done:
        _sweep(root)
    for segment in segments(root):
        if count >= limit:
            break
        if segment.number in done:
            continue
        try:
            if not _done(segment):
                continue
            with segment.open() as view:
                there = view.log is None
            if not there:
                _pack(root, segment)
                count += 1
            done.add(segment.number)
        except (OSError, JournalError, sqlite3.OperationalError) as error:
            if problems is not None:
                problems.append(str(error))
    return count


def _sweep(root: Path) -> None:
    """Remove what a killed process left behind an hour ago or earlier: files half made, logs whose
    telegrams are packed, and empty ones whose segment was not made any more."""
    for path in (*root.glob("*/*/.*.new*"), *root.glob(f"*/*/*{blocks.SUFFIX}")):
        with contextlib.suppress(FileNotFoundError, JournalError):
            status = path.stat()
            if time.time() - status.st_mtime > 3600 and (
                path.name.startswith(".") or _spent(path, status.st_size)
            ):
                path.unlink()


def _spent(log: Path, size: int) -> bool:
    segment = Segment(log.with_suffix(".sqlite"), 0)
    if not segment.path.exists():
        return size <= blocks.EMPTY
    with segment.open() as view:
        return view.log is None


def _pack(root: Path, segment: Segment) -> None:
    blank = segment.path.with_name(f".{uuid.uuid4().hex}.new")
    try:
        with (
            segment.open() as view,
            contextlib.closing(sqlite3.connect(blank, isolation_level=None)) as new,
        ):
            new.executescript(PACKED_SCHEMA)
            new.execute("PRAGMA synchronous = FULL")
            new.execute("BEGIN")
            new.executemany("INSERT INTO meta VALUES (?, ?)", view.meta().items())
            new.executemany("INSERT INTO block VALUES (?, ?, ?, ?)", _blocks(view))
            new.execute("COMMIT")
        problem = verify(root, Segment(blank, segment.number))
        if problem or stored(root, Segment(blank, segment.number)) is None:
            raise JournalError(f"{segment.path} cannot be packed: {problem or 'it is not sealed'}")
        put(segment, blank)
    finally:
        blank.unlink(missing_ok=True)


def _blocks(view: View) -> Iterator[tuple[int, int, int, bytes]]:
    waiting: list[bytes] = []
    size = first = last = 0
    for row, received, peer, reason, raw in view.records():
        if waiting and (size >= packing.BLOCK or row != last + 1):
            yield first, last, size, packing.compress(b"".join(waiting))
            waiting, size = [], 0
        entry = framed(leaf(received, peer, reason, raw))
        first, last = (first if waiting else row), row
        waiting.append(entry)
        size += len(entry)
    if waiting:
        yield first, last, size, packing.compress(b"".join(waiting))


def verify(root: Path, segment: Segment) -> str | None:
    """One sentence when the telegrams of a sealed segment no longer match its seal, else None."""
    meta = segment.meta()
    before = stored(root, segment, meta)
    if before is None or "pruned" in meta:  # by rule (`retention`): the seal is what is left
        return None
    now = compute(root, segment)
    if now.root == before.root and now.sha256 == before.sha256 and now.count == before.count:
        return None
    return (
        f"segment {before.name} was changed after it was sealed: {before.count} telegrams with "
        f"root {before.root} were sealed, {now.count} telegrams with root {now.root} are there"
    )
