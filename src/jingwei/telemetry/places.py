"""How far each target of the forwarding is in the journal (`forward.Course`)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from jingwei.telemetry import journal
from jingwei.telemetry.journal import ALL, microseconds, moment

NAME: Final = "forward.sqlite"  # in the data folder
READ: Final = 500  # telegrams read from the journal at once
KEPT: Final = 200_000  # telegrams set aside that are remembered, a target


class PlacesError(ValueError):
    """The places cannot be read or written; the text says where and why."""


_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS target(
    name TEXT PRIMARY KEY, sent INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position(
    target TEXT NOT NULL, segment INTEGER NOT NULL, row INTEGER NOT NULL,
    PRIMARY KEY (target, segment)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aside(
    target TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL,
    again INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (target, seq)
) WITHOUT ROWID;
"""


class Places:
    """How far each target is, durable. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(
                path, isolation_level=None, timeout=10, check_same_thread=False
            )
            self._db.executescript(_SCHEMA)
            self._db.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise PlacesError(f"{path}: {error}") from None

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def names(self) -> list[str]:
        """The targets that have a place."""
        with self._lock:
            return [name for (name,) in self._db.execute("SELECT name FROM target ORDER BY name")]

    def load(self, name: str) -> tuple[dict[int, int], int, int] | None:
        """(positions by segment, sent, skipped) of a target; None for a new one."""
        with self._lock:
            row = self._db.execute(
                "SELECT sent, skipped FROM target WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                return None
            found = self._db.execute("SELECT segment, row FROM position WHERE target = ?", (name,))
            return dict(found.fetchall()), row[0], row[1]

    def save(
        self,
        name: str,
        positions: Mapping[int, int],
        sent: int,
        skipped: int,
        aside: Iterable[tuple[int, str, str]] = (),
        done: Iterable[int] = (),
    ) -> int:
        """Write down how a target stands; `aside` (number, kind, reason) are set aside, `done` (set
        aside before) are not any more. Returns how many of those set aside had to be forgotten."""
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO target VALUES (?, ?, ?)", (name, sent, skipped))
            db.executemany(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                [(name, segment, row) for segment, row in positions.items()],
            )
            db.executemany(
                "INSERT OR REPLACE INTO aside VALUES (?, ?, ?, ?, 0)",
                [(name, *one) for one in aside],
            )
            db.executemany(
                "DELETE FROM aside WHERE target = ? AND seq = ?", [(name, seq) for seq in done]
            )
            return db.execute(
                "DELETE FROM aside WHERE target = ?1 AND seq <= (SELECT seq FROM aside"
                " WHERE target = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                (name, KEPT),
            ).rowcount

    def again(self, name: str, kind: str = "") -> int:
        """Ask that what was set aside (of one kind) is sent again; how many."""
        with self._write() as db:
            return db.execute(
                "UPDATE aside SET again = 1 WHERE target = ? AND (? = '' OR kind = ?)",
                (name, kind, kind),
            ).rowcount

    def asked(self, name: str) -> list[int]:
        """Numbers of telegrams that were set aside and are to be sent again."""
        with self._lock:
            found = self._db.execute(
                "SELECT seq FROM aside WHERE target = ? AND again = 1 ORDER BY seq LIMIT ?",
                (name, READ),
            )
            return [seq for (seq,) in found]

    def aside(self, name: str) -> int:
        with self._lock:
            row = self._db.execute("SELECT count(*) FROM aside WHERE target = ?", (name,))
            return int(row.fetchone()[0])


class Feed:
    """The journal as one target reads it."""

    def __init__(self, root: Path, positions: dict[int, int]) -> None:
        self.root = root
        self._read = dict(positions)  # the last row handed out, by segment
        self._open: dict[int, OrderedDict[int, int]] = {}  # rows handed out and not done: received
        self._lock = threading.Lock()
        self.problems: list[str] = []

    def take(self, limit: int = READ) -> list[tuple[int, int, bytes]]:
        """Up to `limit` new telegrams as (number, received in microseconds, bytes)."""
        found: list[tuple[int, int, bytes]] = []
        self.problems = []
        for segment in journal.segments(self.root):
            before = self._read.get(segment.number, 0)
            if before == ALL:
                continue
            if len(found) >= limit:
                break
            try:
                records, ended = segment.take(before, limit - len(found))
            except (journal.BrokenSegmentError, sqlite3.OperationalError) as error:
                self.problems.append(str(error))
                continue
            found += ((segment.number << 32 | r[0], r[1], r[4]) for r in records)
            with self._lock:
                if records:
                    rows = self._open.setdefault(segment.number, OrderedDict())
                    rows.update((r[0], r[1]) for r in records)
                self._read[segment.number] = ALL if ended else records[-1][0] if records else before
        return found

    def done(self, seq: int) -> None:
        with self._lock:
            rows = self._open.get(seq >> 32)
            if rows is not None:
                rows.pop(seq & ALL, None)
                if not rows:
                    del self._open[seq >> 32]

    def positions(self) -> dict[int, int]:
        """The row up to which everything is done, by segment."""
        with self._lock:
            first = {number: next(iter(rows)) - 1 for number, rows in self._open.items()}
            return self._read | first

    def oldest(self) -> int | None:
        """When the oldest telegram that is not done was received, in microseconds."""
        with self._lock:
            read = dict(self._read)
            found = [next(iter(rows.values())) for rows in self._open.values()]
        for segment in journal.segments(self.root) if not found else ():
            before = read.get(segment.number, 0)
            if before == ALL:
                continue
            with contextlib.suppress(journal.JournalError, sqlite3.Error), segment.open() as view:
                record = next(view.records(before), None)
                if record is not None:
                    return record[1]
        return min(found, default=None)

    def waiting(self) -> int:
        """Telegrams that are not done: handed out, or not yet read."""
        with self._lock:
            read, count = dict(self._read), sum(map(len, self._open.values()))
        for segment in journal.segments(self.root):
            before = read.get(segment.number, 0)
            if before != ALL:
                with (
                    contextlib.suppress(journal.JournalError, sqlite3.Error),
                    segment.open() as view,
                ):
                    count += max(0, view.last() - before)
        return count


def unread(path: Path, root: Path) -> dict[str, datetime]:
    """By target, when the oldest telegram of a journal that is not done was received; `path`: the
    places. Raises `PlacesError`."""
    if not path.exists():
        return {}
    found = {}
    places = Places(path)
    try:
        for name in places.names():
            known = places.load(name)
            oldest = Feed(root, known[0]).oldest() if known else None
            if oldest is not None:
                found[name] = moment(oldest)
    except sqlite3.Error as error:
        raise PlacesError(f"{path}: {error}") from None
    finally:
        places.close()
    return found


def beginning(root: Path, since: datetime | None) -> dict[int, int]:
    """Where a new target begins: behind everything that was received before `since`, or by now."""
    found: dict[int, int] = {}
    for segment in journal.segments(root):
        with contextlib.suppress(journal.JournalError, sqlite3.Error), segment.open() as view:
            state, last = view.meta()["state"], view.last()
            if since is None:
                found[segment.number] = ALL if state != "open" else last
                continue
            first = microseconds(since)
            row = next((r[0] for r in view.records() if r[1] >= first), None)
            if row is not None:
                found[segment.number] = row - 1
            else:
                found[segment.number] = ALL if state != "open" else last
    return found
