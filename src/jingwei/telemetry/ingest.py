"""Ingest: telegrams from the journal become rows of the lake, each exactly once.

One step reads what is new in the journal, decodes it, writes Parquet files and commits in one
transaction of the lake's catalog: the files, the position in the journal, the latest values, the
change feed, the counters. Killed at any moment, the next step begins where the last commit stood;
files that no commit names are removed at the start. Between steps small files are merged and days
that are over are rewritten, sorted by mn, st, factor, time.

A telegram that says what was said before (`repeats`) is counted and stored once. A text that is no
number becomes null and is counted; nothing is dropped for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jingwei import hj212
from jingwei.hj212 import Message
from jingwei.telemetry import columns, journal, repeats, rollups, splits
from jingwei.telemetry.catalog import (
    LakeError,
    add_files,
    catalog,
    digest,
    drop_files,
    partition,
    transaction,
)
from jingwei.telemetry.journal import (
    ALL,
    BrokenSegmentError,
    make_folder,
    microseconds,
    sync,
)
from jingwei.telemetry.observations import decode, keys_beside, observations
from jingwei.telemetry.packing import Record
from jingwei.telemetry.parquet import reason, sources, write_sorted
from jingwei.telemetry.remote import place, put, remove, scheme
from jingwei.telemetry.repeats import Came, hash64

log = logging.getLogger("jingwei.ingest")

MERGE = 12  # so many files of one level in a partition make one of the next
CLOSE_AFTER = timedelta(hours=3)  # after the end of a partition's last day, local time
QUIET = timedelta(minutes=1)  # a partition that is over is closed when nothing came for so long
KEEP_RETIRED = timedelta(minutes=10)
KEEP_SEEN = timedelta(microseconds=repeats.KEEP)
KEEP_PACKETS = timedelta(days=3)  # where the packets of split telegrams lie
KEEP_CHANGES = {
    "realtime": timedelta(days=3),
    "minute": timedelta(days=3),
    "state": timedelta(days=3),
    "hour": timedelta(days=60),
    "day": timedelta(days=60),
}
KEEP_PROBLEMS = timedelta(days=400)
TRY_AGAIN = timedelta(minutes=10)  # a partition that could not be merged is left alone so long
TIDY_SECONDS = 1.0  # a step spends about so long on merging

_NEWEST = """
INSERT INTO latest(mn, st, factor, resolution, time, value, zs, flag, received, seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET time = excluded.time, value = excluded.value, zs = excluded.zs,
    flag = excluded.flag, received = excluded.received, seq = excluded.seq
WHERE (excluded.time, excluded.received, excluded.seq) > (time, received, seq)
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one step did. `telegrams`: rows read from the journal (0: nothing new); `observations`:
    rows added to the lake; `batch`: the last batch; `problems`: files that could not be read or
    merged (also logged, once each)."""

    telegrams: int
    observations: int
    batch: int
    problems: tuple[str, ...] = ()


# A resolution, a partition, what is to be done there, and the word for it.
_Job = tuple[str, str, Callable[[sqlite3.Connection, datetime], None], str]


@dataclass(slots=True)
class _Taken:
    """What a batch brings: sorted rows by (resolution, partition); what `repeats` remembers; the
    packets of split telegrams (hash of the telegram, `seq`); counted oddities."""

    parts: dict[tuple[str, str], pa.Table] = field(default_factory=dict)
    seen: dict[int, Came] = field(default_factory=dict)
    packets: list[tuple[int, int]] = field(default_factory=list)
    odd: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)


class Ingest:
    """The only writer of a lake. Several may exist, in several processes: each step takes a lock.

    Raises `LakeError` or `OSError` when something cannot be written; a step can be repeated.
    """

    def __init__(
        self,
        journal_root: Path,
        lake_root: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.journal_root = journal_root
        self.root = lake_root
        self._keys = keys_beside(journal_root)
        self._clock = clock
        self._mutex = threading.Lock()
        self._handle: IO[bytes] | None = None
        self._pruned: datetime | None = None
        self._trouble: dict[tuple[str, str], tuple[datetime, str]] = {}  # partitions left alone
        self._said: set[str] = set()
        make_folder(lake_root)
        with self.alone():
            self._sweep()

    def close(self) -> None:
        """Nothing is lost without it; it gives back the lock file."""
        with self._mutex:
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The catalog, and nobody else writing to the lake meanwhile."""
        with self._mutex:
            if self._handle is None:
                self._handle = (self.root / "ingest.lock").open("ab")
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            try:
                with catalog(self.root) as db:
                    yield db
            except sqlite3.Error as error:
                raise LakeError(f"{self.root / 'catalog.sqlite'}: {error}") from error
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def step(self, limit: int = 20_000) -> Report:
        """Take in up to `limit` new telegrams as one batch; then merge for a moment.

        Returns when the batch is committed; with `telegrams` 0 there was nothing new.
        """
        with self.alone() as db:
            report = self._take(db, limit)
            trouble = self._tidy(db, self._clock(), QUIET, time.monotonic() + TIDY_SECONDS)
        report = replace(report, problems=(*report.problems, *trouble))
        for problem in set(report.problems) - self._said:
            log.error("%s", problem)
        self._said = set(report.problems)
        return report

    def tidy(self) -> None:
        """Do all merging that is due and close every day that is over, at once.

        Raises `LakeError` when some files could not be merged; the others are."""
        with self.alone() as db:
            trouble = self._tidy(db, self._clock(), timedelta(0), None)
        if trouble:
            raise LakeError("; ".join(trouble))

    def move(self, store: str, limit: int = 1) -> int:
        """Copy up to `limit` closed days to a remote store (`s3://bucket/folder`) and read them
        from there; how many were moved. The local files are deleted when nobody reads them any
        more.

        Nobody waits for it: the lake is locked at the beginning and at the end of each copy only.
        A killed copy is deleted a day later. Raises `LakeError`, `OSError` (the store cannot be
        used); what was not copied whole stays here.
        """
        moved = 0
        while moved < limit:
            with self.alone() as db:
                local = db.execute(
                    "SELECT path FROM file WHERE closed AND again IS NOT NULL"
                    " AND path NOT LIKE '%://%' ORDER BY day, path LIMIT 1"
                ).fetchone()
                if local is None:
                    break
                (path,) = local
                there = f"{store.rstrip('/')}/{path}"
                given_up = microseconds(self._clock() + timedelta(days=1))
                db.execute("INSERT OR REPLACE INTO retired VALUES (?, ?)", (there, given_up))
            put(self.root / path, there)
            with self.alone() as db, transaction(db):
                found = db.execute("SELECT 1 FROM file WHERE path = ?", (path,)).fetchone()
                if found is None:
                    continue  # merged with what came late; the copy goes as if it had been killed
                at = microseconds(self._clock())
                db.execute("UPDATE file SET path = ? WHERE path = ?", (there, path))
                db.execute("UPDATE rollup SET source = ? WHERE source = ?", (there, path))
                db.execute("DELETE FROM retired WHERE path = ?", (there,))
                db.execute("INSERT INTO retired VALUES (?, ?)", (path, at))
            moved += 1
        return moved

    # Taking in

    def _take(self, db: sqlite3.Connection, limit: int) -> Report:
        (last,) = db.execute(
            "SELECT coalesce((SELECT value FROM meta WHERE key = 'batch'), 0)"
        ).fetchone()
        positions = dict(db.execute("SELECT segment, row FROM position"))
        telegrams: list[tuple[int, Record]] = []  # with the number of the segment
        moved: dict[int, int] = {}
        problems: list[str] = []
        for segment in journal.segments(self.journal_root):
            before = positions.get(segment.number, 0)
            if before == ALL:
                continue
            if len(telegrams) >= limit:
                break
            try:
                found, ended = segment.take(before, limit - len(telegrams))
            except (BrokenSegmentError, sqlite3.OperationalError) as error:
                problems.append(str(error))
                continue
            telegrams += ((segment.number, record) for record in found)
            after = ALL if ended else found[-1][0] if found else before
            if after != before:
                moved[segment.number] = after
        if not moved:
            return Report(0, 0, last, tuple(problems))
        batch = last + 1 if telegrams else last
        taken = self._decode(db, telegrams)
        written: list[tuple[Any, ...]] = []
        now = microseconds(self._clock())
        try:
            for (resolution, day), table in sorted(taken.parts.items()):
                written.append(self._write(resolution, day, table, batch, now))
            with transaction(db):
                add_files(db, written)
                db.executemany("INSERT OR REPLACE INTO position VALUES (?, ?)", moved.items())
                if telegrams:
                    db.execute("INSERT OR REPLACE INTO meta VALUES ('batch', ?)", (batch,))
                    db.execute("INSERT INTO batch VALUES (?, ?)", (batch, now))
                db.executemany(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)",
                    [(hash_, *came, batch) for hash_, came in taken.seen.items()],
                )
                db.executemany(
                    "INSERT OR IGNORE INTO packet VALUES (?, ?, ?)",
                    [(*packet, batch) for packet in taken.packets],
                )
                for (resolution, _day), table in taken.parts.items():
                    db.executemany(_NEWEST, columns.newest(table, resolution))
                    db.executemany(
                        "INSERT OR IGNORE INTO change VALUES (?, ?, ?, ?, ?)",
                        ((resolution, batch, *key) for key in columns.touched(table)),
                    )
                db.executemany(
                    "INSERT INTO problem VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " count = count + excluded.count, seq = excluded.seq",
                    [(*key, count, seq) for key, (count, seq) in taken.odd.items()],
                )
        except BaseException:
            for path, *_ in written:
                (self.root / path).unlink(missing_ok=True)
            raise
        count = sum(table.num_rows for table in taken.parts.values())
        return Report(len(telegrams), count, batch, tuple(problems))

    def _decode(self, db: sqlite3.Connection, telegrams: Sequence[tuple[int, Record]]) -> _Taken:
        count = len(telegrams)
        raws = [record[4] for _, record in telegrams]
        received = np.fromiter((record[1] for _, record in telegrams), np.int64, count)
        seqs = np.fromiter((number << 32 | r[0] for number, r in telegrams), np.int64, count)
        said = columns.read(raws, received, seqs, self._keys)
        repeated, seen = self._repeated(db, said, raws, received, seqs)
        packets = self._completed(
            db, {i: m for i, m in said.packets.items() if i not in repeated}, said, received, seqs
        )
        taken = _Taken(seen=seen, packets=packets)
        odd = taken.odd

        def count_odd(i: int, kind: str, mn: str) -> None:
            key = (partition("hour", int(received[i])), kind, mn)
            odd[key] = (odd.get(key, (0, 0))[0] + 1, int(seqs[i]))

        for i, kind, mn in said.odd:
            if i not in repeated:
                count_odd(i, kind, mn)
        for i, mn in columns.senders(said.rows.values(), repeated).items():
            count_odd(i, "repeated", mn)
        for resolution, table in said.rows.items():
            for day, part in columns.partitions(columns.without(table, repeated), resolution):
                taken.parts[resolution, day] = columns.arranged(part)
        return taken

    def _repeated(
        self,
        db: sqlite3.Connection,
        said: columns.Columns,
        raws: Sequence[bytes],
        received: npt.NDArray[np.int64],
        seqs: npt.NDArray[np.int64],
    ) -> tuple[set[int], dict[int, Came]]:
        """Which of the telegrams that bear data have come before, and what is to be remembered."""
        bearing, slots = repeats.slots(said.rows, said.packets, len(raws))
        index = {int(seqs[i]): i for i in bearing}
        came = [
            (slot, repeats.came(int(received[i]), int(seqs[i]), raws[i]))
            for i, slot in zip(bearing, slots, strict=True)
        ]
        known = self._seen(db, slots)
        if known:  # what was corrected is remembered by its bytes
            known |= self._seen(db, [one.whole for slot, one in came if slot in known])

        def copy(seq: int, earlier: int, whole: bool) -> bool:
            raw = raws[index[seq]]
            before = raws[index[earlier]] if earlier in index else self._raw(earlier)
            if whole or before is None:
                return raw == before
            return repeats.said(raw) == repeats.said(before)

        found, seen = repeats.again(came, known, copy)
        return {index[seq] for seq in found}, seen

    def _seen(self, db: sqlite3.Connection, hashes: Sequence[int]) -> dict[int, Came]:
        return {
            hash_: Came(*came)
            for hash_, *came in _those(
                db,
                "SELECT hash, received, seq, content, whole FROM seen WHERE hash IN ({})",
                hashes,
            )
        }

    def _completed(
        self,
        db: sqlite3.Connection,
        packets: Mapping[int, Message],
        said: columns.Columns,
        received: npt.NDArray[np.int64],
        seqs: npt.NDArray[np.int64],
    ) -> list[tuple[int, int]]:
        """Put items together again that were cut between two packets: the rows of these telegrams
        in `said`. What is to be remembered of the packets."""
        if not packets:
            return []
        hashes = {i: hash64(repr(hj212.split(message)).encode()) for i, message in packets.items()}
        index = {int(seqs[i]): i for i in packets}
        every = [(int(received[i]), int(seqs[i]), message) for i, message in packets.items()]
        for _, seq in _those(
            db, "SELECT hash, seq FROM packet WHERE hash IN ({})", sorted(set(hashes.values()))
        ):
            with contextlib.suppress(journal.JournalError, sqlite3.Error):
                before = journal.get(self.journal_root, seq)
                message = decode(before.raw, self._keys)
                every.append((microseconds(before.received), seq, message))
        rows: dict[str, list[tuple[Any, ...]]] = {}
        changed: list[int] = []
        for at, seq, message in splits.completed(every):
            i = index.get(seq)
            if i is not None and message is not packets[i]:
                resolution, some = observations(message, at, seq)
                rows.setdefault(resolution, []).extend((*row, i) for row in some)
                changed.append(i)
        for resolution, some in rows.items():
            others = columns.without(said.rows[resolution], changed)
            said.rows[resolution] = pa.concat_tables([others, columns.tabled(some)])
        return [(hash_, int(seqs[i])) for i, hash_ in hashes.items()]

    def _raw(self, seq: int) -> bytes | None:
        try:
            return journal.get(self.journal_root, seq).raw
        except (journal.JournalError, sqlite3.Error):
            return None

    def _write(
        self, resolution: str, day: str, table: pa.Table, batch: int, now: int
    ) -> tuple[Any, ...]:
        """Write a fresh file, durable; returns its row of the catalog."""
        path = self.new_path(resolution, day, batch)
        try:
            with (self.root / path).open("xb") as f:
                pq.write_table(table, f, compression="zstd")
                f.flush()
                os.fsync(f.fileno())
            sync((self.root / path).parent)
            sha256 = digest(self.root / path)
        except BaseException:
            (self.root / path).unlink(missing_ok=True)
            raise
        return (path, resolution, day, 0, table.num_rows, batch, batch, 0, now, sha256)

    def new_path(self, resolution: str, day: str, batch: int) -> str:
        make_folder(self.root / resolution / day)
        return f"{resolution}/{day}/{batch:010}-{uuid.uuid4().hex[:8]}.parquet"

    # Keeping in order

    def _tidy(
        self, db: sqlite3.Connection, now: datetime, quiet: timedelta, until: float | None
    ) -> list[str]:
        """Merge and clean up until all is done or the time is; what could not be merged and why."""
        self._drop_retired(db, now)
        if self._pruned is None or now - self._pruned > timedelta(hours=1):
            self._prune(db, now)
            self._pruned = now
        if until is None:
            self._trouble.clear()
        self._trouble = {k: v for k, v in self._trouble.items() if now - v[0] < TRY_AGAIN}
        while True:
            job = self._due(db, now, quiet) or self._unread(db)
            if job is None:
                break
            resolution, day, act, what = job
            try:
                act(db, now)
            except (LakeError, OSError, duckdb.Error, pa.ArrowException) as error:
                # A damaged file or a full disk stops neither the taking in nor other partitions.
                text = f"{self.root / resolution / day} cannot be {what}: {reason(error)}"
                self._trouble[resolution, day] = (now, text)
            if until is not None and time.monotonic() > until:
                break
        return [text for _, text in self._trouble.values()]

    def _due(self, db: sqlite3.Connection, now: datetime, quiet: timedelta) -> _Job | None:
        """The next partition to merge, all of it (it is closed) or the files of one level."""

        for resolution, day in db.execute(
            "SELECT resolution, day FROM file GROUP BY resolution, day"
            " HAVING min(closed) = 0 AND max(made) <= ? ORDER BY resolution, day",
            (microseconds(now - quiet),),
        ).fetchall():
            if (resolution, day) not in self._trouble and now >= closes(
                resolution, date.fromisoformat(day)
            ):
                merge = partial(self._merge, resolution=resolution, day=day, level=None)
                return resolution, day, merge, "merged"
        for resolution, day, level in db.execute(
            "SELECT resolution, day, level FROM file WHERE closed = 0"
            " GROUP BY resolution, day, level HAVING count(*) >= ? ORDER BY level",
            (MERGE,),
        ).fetchall():
            if (resolution, day) not in self._trouble:
                merge = partial(self._merge, resolution=resolution, day=day, level=level)
                return resolution, day, merge, "merged"
        return None

    def _unread(self, db: sqlite3.Connection) -> _Job | None:
        """The next closed file to add up."""
        for path, resolution, day in rollups.due(db):
            if (resolution, day) not in self._trouble:
                add_up = partial(self._add_up, path=path, resolution=resolution, day=day)
                return resolution, day, add_up, "added up"
        return None

    def _add_up(
        self, db: sqlite3.Connection, now: datetime, path: str, resolution: str, day: str
    ) -> None:
        rollups.survey(self.root, db, path, resolution, day)

    def _merge(
        self, db: sqlite3.Connection, now: datetime, resolution: str, day: str, level: int | None
    ) -> None:
        """Make one file, sorted, of a partition's files of one level (or of all: close it)."""
        query = (
            "SELECT path, rows, batch_lo, batch_hi, sha256 FROM file"
            " WHERE resolution = ? AND day = ?"
        )
        if level is None:
            files = db.execute(query, (resolution, day)).fetchall()
        else:
            files = db.execute(
                f"{query} AND closed = 0 AND level = ?", (resolution, day, level)
            ).fetchall()
        low, high = min(f[2] for f in files), max(f[3] for f in files)
        path = self.new_path(resolution, day, high)
        closing = level is None
        try:
            places = [place(self.root, f[0]) for f in files]
            for here, (*_, sha256) in zip(places, files, strict=True):
                if sha256 and not scheme(here) and digest(Path(here)) != sha256:
                    raise LakeError(
                        f"{here} is not what was written; nothing was merged (see `jingwei fsck`)"
                    )
            count = write_sorted(f"FROM {sources(places)}", self.root / path, places)
            if count != sum(f[1] for f in files):
                raise LakeError(
                    f"{self.root / resolution / day}: the catalog says {sum(f[1] for f in files)}"
                    f" rows, the files have {count}; nothing was merged (see `jingwei fsck`)"
                )
            sync((self.root / path).parent)
            at, sha256 = microseconds(now), digest(self.root / path)
            with transaction(db):
                drop_files(db, [f[0] for f in files], at)
                row = (path, resolution, day, (level or 0) + 1, count, low, high, closing, at)
                add_files(db, [(*row, sha256)])
        except BaseException:
            (self.root / path).unlink(missing_ok=True)
            raise

    def _drop_retired(self, db: sqlite3.Connection, now: datetime) -> None:
        old = db.execute(
            "SELECT path FROM retired WHERE at <= ?", (microseconds(now - KEEP_RETIRED),)
        ).fetchall()
        gone = []
        for (path,) in old:
            # A remote store that does not answer is asked again later.
            with contextlib.suppress(OSError):
                remove(place(self.root, path))
                gone.append((path,))
        db.executemany("DELETE FROM retired WHERE path = ?", gone)

    def _prune(self, db: sqlite3.Connection, now: datetime) -> None:
        """Forget old changes, hashes and counters."""

        def batch_before(age: timedelta) -> int:
            row = db.execute(
                "SELECT max(batch) FROM batch WHERE at < ?", (microseconds(now - age),)
            ).fetchone()
            return int(row[0] or 0)

        with transaction(db):
            for resolution, age in KEEP_CHANGES.items():
                db.execute(
                    "DELETE FROM change WHERE resolution = ? AND batch <= ?",
                    (resolution, batch_before(age)),
                )
            db.execute("DELETE FROM seen WHERE batch <= ?", (batch_before(KEEP_SEEN),))
            db.execute("DELETE FROM packet WHERE batch <= ?", (batch_before(KEEP_PACKETS),))
            db.execute(
                "DELETE FROM batch WHERE batch < ?", (batch_before(max(KEEP_CHANGES.values())),)
            )
            db.execute(
                "DELETE FROM problem WHERE day < ?",
                (partition("hour", microseconds(now - KEEP_PROBLEMS)),),
            )

    def _sweep(self) -> None:
        """Remove files that no commit names: what a killed step left behind."""
        with catalog(self.root) as db:
            known = {
                path
                for (path,) in db.execute(
                    "SELECT path FROM file UNION SELECT path FROM rollup"
                    " UNION SELECT path FROM retired"
                )
            }
        for path in self.root.glob("*/*/*.parquet"):
            if path.relative_to(self.root).as_posix() not in known:
                path.unlink(missing_ok=True)


def _those(db: sqlite3.Connection, query: str, values: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The rows of a query with `IN ({})`, for any number of values."""
    for at in range(0, len(values), 30_000):
        some = values[at : at + 30_000]
        yield from db.execute(query.format(",".join("?" * len(some))), some)


def closes(resolution: str, day: date) -> datetime:
    """When a partition is closed."""
    if resolution == "day":
        end = (day + timedelta(days=31)).replace(day=1)
    else:
        end = day + timedelta(days=1)
    midnight = datetime(end.year, end.month, end.day, tzinfo=UTC) - timedelta(hours=8)
    return midnight + CLOSE_AFTER
