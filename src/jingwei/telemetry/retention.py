"""Deleting telegrams that need not be kept any more, so that what they were stays provable.

The law wants raw monitoring records kept for five years at least (Regulation on Ecological and
Environmental Monitoring, 生态环境监测条例, State Council Order 820, in force 2026-01-01, art. 26:
`law.RECORD_YEARS`). A rule that says less is refused. Only whole segments go, whose seal stands in
the evidence log: the telegrams are deleted and the seal stays in the segment's place, so that
whoever kept a copy can still prove it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jingwei.standards.law import RECORD_YEARS
from jingwei.telemetry import seal
from jingwei.telemetry.journal import (
    PACKED_SCHEMA,
    JournalError,
    Segment,
    month_of,
    put,
    segments,
)
from jingwei.telemetry.seal import Seal


class RetentionError(ValueError):
    """A rule that must not be; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What was received from `since` on is needed for `why` and stays."""

    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Old:
    """A segment whose time is over. `held`: why it stays nevertheless, empty where it may go."""

    segment: Segment
    seal: Seal
    size: int  # bytes on the disk
    recorded: str  # its entry in the evidence log
    held: tuple[str, ...]


def before(now: datetime, years: int) -> datetime:
    """What was received before this may go. Raises `RetentionError` below the legal term."""
    if years < RECORD_YEARS:
        raise RetentionError(
            f"{years} years are too few: raw monitoring records are kept for {RECORD_YEARS} years"
            " at least (Order 820 of the State Council, art. 26)"
        )
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    return now.replace(year=now.year - years, day=day)


def old(root: Path, limit: datetime, holds: Sequence[Hold] = ()) -> Iterator[Old]:
    """The sealed and recorded segments of a journal received before `limit`, the oldest first.

    Raises `JournalError`, `OSError` where one cannot be read.
    """
    for segment in segments(root):
        if month_of(segment.number) > f"{limit:%Y/%m}":
            return
        meta = segment.meta()
        found = seal.stored(root, segment, meta)
        if found is None or not meta.get("recorded") or meta.get("pruned"):
            continue
        last = found.last or datetime.fromisoformat(meta["opened"])
        if last < limit:
            held = tuple(hold.why for hold in holds if hold.since <= last)
            yield Old(segment, found, segment.size(), meta["recorded"], held)


def prune(one: Old, now: datetime) -> None:
    """Delete the telegrams of a segment; its seal stays. Atomic: a reader sees all or none.

    Raises `JournalError` for a segment that is held, `OSError`.
    """
    if one.held:
        raise JournalError(f"segment {one.seal.name} is needed for {', '.join(one.held)}")
    path = one.segment.path
    blank = path.with_name(f".{uuid.uuid4().hex}.new")
    try:
        with (
            one.segment.open() as view,
            contextlib.closing(sqlite3.connect(blank, isolation_level=None)) as new,
        ):
            new.executescript(PACKED_SCHEMA)
            new.execute("PRAGMA synchronous = FULL")
            new.execute("BEGIN")
            new.executemany("INSERT INTO meta VALUES (?, ?)", view.meta().items())
            new.execute("INSERT INTO meta VALUES ('pruned', ?)", (now.isoformat(),))
            new.execute("COMMIT")
        put(one.segment, blank)
    finally:
        blank.unlink(missing_ok=True)


def pruned(root: Path) -> set[int]:
    """The segments whose telegrams were deleted."""
    found = set()
    for segment in segments(root):
        with contextlib.suppress(JournalError, OSError, sqlite3.Error):
            if "pruned" in segment.meta():
                found.add(segment.number)
    return found
