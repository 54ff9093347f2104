"""Sealing: what a journal segment held when its hour was over, as one hash that anyone can check.

A segment that is rolled, or whose hour has passed (its writer is then shut out), gets a seal in
its own meta table: the number of telegrams, the first and last time of reception, the RFC 6962
root over the telegrams in the order of their rows, and a SHA-256 over the same bytes in a row for
who has no Merkle code at hand. The caller records the seal in the evidence log and then says so
with `recorded`; the file becomes read-only with that.

The leaf of a telegram (`leaf`) is, big-endian:

    received   8 bytes, signed: microseconds since 1970-01-01 UTC
    peer       2 bytes of length, then UTF-8
    reason     2 bytes of length, then UTF-8 (empty in the journal of accepted telegrams)
    raw        the telegram as it came, to the end

The SHA-256 is taken over, for each telegram, 4 bytes of length of the leaf and the leaf.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jingwei.evidence.merkle import CompactRange, leaf_hash
from jingwei.telemetry.journal import BrokenSegmentError, JournalError, Segment, moment, segments

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


def leaf(received: int, peer: str, reason: str, raw: bytes) -> bytes:
    """The canonical bytes of one telegram (module docstring); `received` in microseconds."""
    who, why = peer.encode(), reason.encode()
    return b"".join(
        (
            received.to_bytes(8, "big", signed=True),
            len(who).to_bytes(2, "big"),
            who,
            len(why).to_bytes(2, "big"),
            why,
            raw,
        )
    )


def compute(root: Path, segment: Segment) -> Seal:
    """The seal that the segment's telegrams give now."""
    edge = CompactRange()
    flat = hashlib.sha256()
    first: int | None = None
    last: int | None = None
    with segment.open() as db:
        for _, received, peer, reason, raw in segment.records(db):
            entry = leaf(received, peer, reason, raw)
            edge.append(leaf_hash(entry))
            flat.update(len(entry).to_bytes(4, "big"))
            flat.update(entry)
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
    with segment.open(write=True) as db:
        # Shuts the writer out: it looks at the state inside each of its commits.
        db.execute("UPDATE meta SET value = 'rolled' WHERE key = 'state' AND value = 'open'")
    found = compute(root, segment)
    with segment.open(write=True) as db:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
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
        db.execute("COMMIT")
        _settle(db)
        return dict(db.execute("SELECT key, value FROM meta"))


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
    with segment.open(write=True) as db:
        db.execute(
            "INSERT OR IGNORE INTO meta VALUES ('recorded', ?)",
            (reference or datetime.now(UTC).isoformat(),),
        )
        _settle(db)
        (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    if mode == "delete":
        segment.path.chmod(0o444)


def verify(root: Path, segment: Segment) -> str | None:
    """One sentence when the telegrams of a sealed segment no longer match its seal, else None."""
    before = stored(root, segment)
    if before is None:
        return None
    now = compute(root, segment)
    if now.root == before.root and now.sha256 == before.sha256 and now.count == before.count:
        return None
    return (
        f"segment {before.name} was changed after it was sealed: {before.count} telegrams with "
        f"root {before.root} were sealed, {now.count} telegrams with root {now.root} are there"
    )
