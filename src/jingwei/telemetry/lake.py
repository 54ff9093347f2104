"""The lake: observations in columns, one row for one point, factor and time, as received.

Parquet files by resolution and day, and beside them `catalog.sqlite`, which says which files make
up the lake. Whatever is not in the catalog is not in the lake: a reader takes the list of files in
one read transaction and reads them with DuckDB; the writer (`ingest.Ingest`) commits new files,
the position in the journal, the latest values and the change feed in one transaction. A file never
changes; one that was merged away stays on disk for some minutes for those who still read it.

Rows are never overwritten. Where an observation came more than once, the latest reception wins
(greatest `received`, then `seq`); `versions` shows them all.

Partitions are local days (UTC+8, all of China; a year has too few daily values for that, so the
resolution "day" is kept by month). Columns:

    mn, st, factor        text
    time                  timestamp, UTC, microseconds: the start of the period, or the moment
    value                 double: Rtd of real-time data, Avg of the others (Data of noise), RS of
                          device state; null where none came or the text was no number
    min, max, cou         double: lowest, highest, cumulative value of the period
    zs, zs_min, zs_max    double: the same values converted to the reference condition on site
    flag                  text: data mark as sent, null where none came
    received              timestamp, UTC: when the telegram arrived
    seq                   int64: the telegram in the journal (`journal.get`)
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from jingwei.telemetry.journal import make_folder, microseconds, moment

RESOLUTIONS = ("realtime", "minute", "hour", "day", "state")
MEASURED = RESOLUTIONS[:4]  # "state" is the running state of treatment facilities (CN 2021)

SCHEMA = pa.schema(
    [
        ("mn", pa.string()),
        ("st", pa.string()),
        ("factor", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("value", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("cou", pa.float64()),
        ("zs", pa.float64()),
        ("zs_min", pa.float64()),
        ("zs_max", pa.float64()),
        ("flag", pa.string()),
        ("received", pa.timestamp("us", "UTC")),
        ("seq", pa.int64()),
    ]
)
ROWS_A_GROUP = 32_768  # in a sorted file
KEY = ("mn", "st", "factor", "time")
SERIES = (
    "factor", "time", "value", "min", "max", "cou", "zs", "zs_min", "zs_max", "flag", "received",
    "seq",
)  # fmt: skip

_CATALOG = """
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- The files that make up the lake. `day` is the first day of the partition, `level` how often the
-- rows were merged, `closed` whether the file is the sorted whole of a day that is over.
CREATE TABLE IF NOT EXISTS file(
    path TEXT PRIMARY KEY, resolution TEXT NOT NULL, day TEXT NOT NULL, level INTEGER NOT NULL,
    rows INTEGER NOT NULL, batch_lo INTEGER NOT NULL, batch_hi INTEGER NOT NULL,
    closed INTEGER NOT NULL, made INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_day ON file(resolution, day);
-- Files that were merged into others, to be deleted when nobody reads them any more.
CREATE TABLE IF NOT EXISTS retired(path TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
-- How far each journal segment has been taken in.
CREATE TABLE IF NOT EXISTS position(segment INTEGER PRIMARY KEY, row INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS latest(
    mn TEXT NOT NULL, st TEXT NOT NULL, factor TEXT NOT NULL, resolution TEXT NOT NULL,
    time INTEGER NOT NULL, value REAL, zs REAL, flag TEXT, received INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (mn, st, factor, resolution)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS latest_resolution ON latest(resolution);
-- The change feed, and when each batch was committed (for forgetting old changes).
CREATE TABLE IF NOT EXISTS change(
    resolution TEXT NOT NULL, batch INTEGER NOT NULL, mn TEXT NOT NULL, st TEXT NOT NULL,
    time INTEGER NOT NULL, PRIMARY KEY (resolution, batch, mn, st, time)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch(batch INTEGER PRIMARY KEY, at INTEGER NOT NULL);
-- Frames taken in lately: 64 bits of BLAKE2b → the telegram that came first (bytes are compared).
CREATE TABLE IF NOT EXISTS seen(hash INTEGER PRIMARY KEY, seq INTEGER NOT NULL, batch INTEGER NOT NULL);
-- What was odd, counted by kind, device and local day of reception, with the last telegram.
CREATE TABLE IF NOT EXISTS problem(
    day TEXT NOT NULL, kind TEXT NOT NULL, mn TEXT NOT NULL, count INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (day, kind, mn)
) WITHOUT ROWID;
COMMIT;
PRAGMA user_version = 1;
"""


class LakeError(Exception):
    """The lake cannot do what was asked; the text says what, where and why."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest observation of one factor in one resolution."""

    mn: str
    st: str
    factor: str
    resolution: str
    time: datetime
    value: float | None
    zs: float | None
    flag: str | None
    received: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Version:
    """One reception of one observation."""

    time: datetime
    value: float | None
    min: float | None
    max: float | None
    cou: float | None
    zs: float | None
    zs_min: float | None
    zs_max: float | None
    flag: str | None
    received: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Change:
    """Batch `batch` brought something for this point and time."""

    batch: int
    mn: str
    st: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """How often something odd was met in one device's telegrams on one local day."""

    day: date
    kind: str
    mn: str
    count: int
    seq: int


CHINA = 8 * 3_600_000_000
DAY = 86_400_000_000
_FIRST_DAY = date(1970, 1, 1)


def partition(resolution: str, time: int) -> str:
    """The partition (ISO date of its first local day) of a time in microseconds since 1970 UTC."""
    day = _FIRST_DAY + timedelta(days=(time + CHINA) // DAY)
    return (day.replace(day=1) if resolution == "day" else day).isoformat()


@contextlib.contextmanager
def catalog(root: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the lake's catalog, which is made where there is none."""
    path = root / "catalog.sqlite"
    if not path.exists():
        make_folder(root)
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        _prepare(db, path)
        yield db
    finally:
        db.close()


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    for attempt in range(50):
        try:
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                db.executescript(_CATALOG)
            db.execute("PRAGMA synchronous = FULL")
            return
        except sqlite3.DatabaseError as error:
            # SQLite does not wait for its turn when two processes make the catalog at once.
            if "locked" not in str(error) or attempt == 49:
                raise LakeError(f"{path} cannot be used: {error}") from error
            with contextlib.suppress(sqlite3.Error):
                db.rollback()
            time.sleep(0.1)


_engine: tuple[int, Any] | None = None
_engine_lock = threading.Lock()


def engine() -> Any:
    """A DuckDB cursor for the calling thread, on one in-memory database a process."""
    global _engine
    with _engine_lock:
        if _engine is None or _engine[0] != os.getpid():
            base = duckdb.connect(
                config={
                    "threads": min(4, os.cpu_count() or 1),
                    "memory_limit": "2GB",
                    "temp_directory": str(Path(tempfile.gettempdir()) / f"jingwei-{os.getpid()}"),
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                }
            )
            base.execute("SET GLOBAL TimeZone = 'UTC'")
            _engine = (os.getpid(), base)
        return _engine[1].cursor()


def quoted(path: Path) -> str:
    """A path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def write_sorted(query: str, path: Path) -> int:
    """Write the rows of a query in the order of the lake, durable; how many there are.

    The same rows give the same bytes: one thread writes, so that the groups of rows are cut alike.
    Raises duckdb.Error.
    """
    names = ", ".join(f'"{c}"' for c in SCHEMA.names)
    with contextlib.closing(engine()) as cursor:
        (count,) = cursor.execute(
            f"COPY (SELECT {names} FROM ({query})"  # noqa: S608
            f" ORDER BY mn, st, factor, time, received, seq) TO {quoted(path)}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP})"
        ).fetchone()
    with path.open("rb") as f:
        os.fsync(f.fileno())
    return int(count)


def reason(error: Exception) -> str:
    """What DuckDB says, without the query."""
    return str(error).partition("\n")[0]


class Lake:
    """A reader. Cheap to make, usable from any process and thread; writes nothing but an empty
    catalog where there is none. Times are aware; a period is [start, end). Raises `LakeError`
    where the lake cannot be read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def latest(
        self, resolution: str | None = None, points: Sequence[tuple[str, str]] | None = None
    ) -> list[Latest]:
        """The newest observation of every factor, by mn, st, factor.

        `resolution` None: all measured resolutions (not "state"); `points`: (mn, st) pairs, None
        for all. Observations with a time ahead of their reception are not taken for the newest.
        """
        wanted = MEASURED if resolution is None else (resolution,)
        marks = ",".join("?" * len(wanted))
        query = (  # only question marks are put in
            "SELECT mn, st, factor, resolution, time, value, zs, flag, received, seq"  # noqa: S608
            f" FROM latest WHERE resolution IN ({marks})"
        )
        order = " ORDER BY mn, st, factor, resolution"
        rows: list[tuple[Any, ...]] = []
        with catalog(self.root) as db:
            db.execute("BEGIN")
            if points is None:
                rows = db.execute(query + order, wanted).fetchall()
            else:
                unique = sorted(set(points))
                for at in range(0, len(unique), 5000):
                    some = unique[at : at + 5000]
                    values = ",".join(["(?,?)"] * len(some))
                    flat = [text for point in some for text in point]
                    rows += db.execute(
                        f"{query} AND (mn, st) IN (VALUES {values}){order}", (*wanted, *flat)
                    )
        return [
            Latest(m, s, f, r, moment(t), v, z, mark, moment(got), seq)
            for m, s, f, r, t, v, z, mark, got, seq in rows
        ]

    def series(
        self,
        mn: str,
        st: str,
        factors: Iterable[str] | None,
        resolution: str,
        start: datetime,
        end: datetime,
    ) -> pa.Table:
        """Observations of one point with start <= time < end, by factor and time.

        Columns `SERIES`; the latest reception of each observation. `factors` None: all.
        """
        where, values = "mn = ? AND st = ?", [mn, st]
        return self._read(SERIES, resolution, start, end, where, values, factors)

    def scan(
        self,
        resolution: str,
        start: datetime,
        end: datetime,
        points: Iterable[tuple[str, str]] | None = None,
        factors: Iterable[str] | None = None,
    ) -> pa.Table:
        """Observations of many points with start <= time < end, by mn, st, factor and time.

        Columns mn, st and `SERIES`; the latest reception of each observation.
        """
        where, values = "true", []
        if points is not None:
            pairs = sorted(set(points))
            where = (
                "mn IN (SELECT unnest(?::VARCHAR[])) AND "
                "(mn, st) IN (SELECT (unnest(?::VARCHAR[]), unnest(?::VARCHAR[])))"
            )
            mns = [mn for mn, _ in pairs]
            values = [mns, mns, [st for _, st in pairs]]
        return self._read(("mn", "st", *SERIES), resolution, start, end, where, values, factors)

    def _read(
        self,
        columns: Sequence[str],
        resolution: str,
        start: datetime,
        end: datetime,
        where: str,
        values: Sequence[Any],
        factors: Iterable[str] | None,
    ) -> pa.Table:
        names = ", ".join(f'"{c}"' for c in columns)
        wanted = None if factors is None else sorted(set(factors))
        if wanted is not None:
            where += " AND factor IN (SELECT unnest(?::VARCHAR[]))"
            values = [*values, wanted]
        query = (  # nothing of the caller's is put in but question marks
            f"SELECT {names} FROM read_parquet(?)"  # noqa: S608
            f" WHERE {where} AND time >= ? AND time < ?"
            " QUALIFY row_number() OVER"
            " (PARTITION BY mn, st, factor, time ORDER BY received DESC, seq DESC) = 1"
            f" ORDER BY {', '.join(c for c in columns if c in KEY)}"
        )
        found = self._query(query, resolution, start, end, [*values, start, end])
        return _schema(columns).empty_table() if found is None else found

    def _query(
        self, query: str, resolution: str, start: datetime, end: datetime, values: Sequence[Any]
    ) -> pa.Table | None:
        """Run a query over the files of the period; None where there are none."""
        if resolution not in RESOLUTIONS:
            raise LakeError(f"no resolution {resolution!r}; there are {', '.join(RESOLUTIONS)}")
        if start >= end:
            return None
        low = partition(resolution, microseconds(start))
        high = partition(resolution, microseconds(end) - 1)
        for attempt in range(3):
            with catalog(self.root) as db:
                files = [
                    str(self.root / path)
                    for (path,) in db.execute(
                        "SELECT path FROM file WHERE resolution = ? AND day BETWEEN ? AND ?"
                        " ORDER BY day, path",
                        (resolution, low, high),
                    )
                ]
            if not files:
                return None
            try:
                with contextlib.closing(engine()) as cursor:
                    return cursor.sql(query, params=[files, *values]).to_arrow_table()
            except duckdb.IOException as error:
                # A reader so slow that its files were deleted takes the new list.
                if attempt == 2:
                    raise LakeError(f"{self.root}: {reason(error)}") from error
            except duckdb.Error as error:
                raise LakeError(f"{self.root}: {reason(error)}") from error
        return None  # pragma: no cover

    def versions(
        self, mn: str, st: str, factor: str, resolution: str, time: datetime
    ) -> list[Version]:
        """Every reception of one observation, the one in force last."""
        names = ", ".join(f'"{c}"' for c in SERIES[1:])
        found = self._query(
            f"SELECT {names} FROM read_parquet(?)"  # noqa: S608
            " WHERE mn = ? AND st = ? AND factor = ? AND time = ? ORDER BY received, seq",
            resolution,
            time,
            time + timedelta(microseconds=1),
            [mn, st, factor, time],
        )
        return [] if found is None else [Version(**row) for row in found.to_pylist()]

    def changes(self, after_batch: int, resolution: str, limit: int = 10_000) -> list[Change]:
        """What the batches behind `after_batch` touched, by batch, mn, st, time.

        About `limit` rows: a batch is never cut, so that a consumer may keep the number of the
        last batch as its cursor. An observation occurs again with every batch that brings it.
        Changes are kept for `ingest.KEEP_CHANGES`; who was away longer must scan.
        """
        with catalog(self.root) as db:
            rows = db.execute(
                "SELECT batch, mn, st, time FROM change WHERE resolution = ? AND batch > ?"
                " AND batch <= coalesce((SELECT batch FROM change WHERE resolution = ?"
                " AND batch > ? ORDER BY batch LIMIT 1 OFFSET ?), ?)"
                " ORDER BY batch, mn, st, time",
                (resolution, after_batch, resolution, after_batch, max(limit, 1) - 1, 1 << 62),
            ).fetchall()
        return [Change(batch, mn, st, moment(time)) for batch, mn, st, time in rows]

    def batch(self) -> int:
        """The number of the last batch committed, 0 before the first."""
        with catalog(self.root) as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'batch'").fetchone()
        return int(row[0]) if row else 0

    def problems(self, since: date | None = None) -> list[Problem]:
        """What ingest counted, newest day first, most frequent first."""
        with catalog(self.root) as db:
            rows = db.execute(
                "SELECT day, kind, mn, count, seq FROM problem WHERE day >= ?"
                " ORDER BY day DESC, count DESC, kind, mn",
                (since.isoformat() if since else "",),
            ).fetchall()
        return [Problem(date.fromisoformat(d), k, mn, n, seq) for d, k, mn, n, seq in rows]

    def points(self) -> list[tuple[str, str]]:
        """Every (mn, st) of which there is an observation."""
        with catalog(self.root) as db:
            return db.execute("SELECT DISTINCT mn, st FROM latest ORDER BY mn, st").fetchall()


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(c) for c in columns])
