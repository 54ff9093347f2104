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
                          device state, RT (hours a device ran) of days; null where none came or
                          the text was no number
    min, max, cou         double: lowest, highest, cumulative value of the period
    zs, zs_min, zs_max    double: the same values converted to the reference condition on site
    flag                  text: data mark as sent, null where none came
    received              timestamp, UTC: when the telegram arrived
    seq                   int64: the telegram in the journal (`journal.get`)
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import partial
from itertools import compress, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jingwei.telemetry import rollups
from jingwei.telemetry.catalog import LakeError, catalog, partition
from jingwei.telemetry.journal import microseconds, moment
from jingwei.telemetry.parquet import IN_FORCE, KEY, SCHEMA, engine, reason
from jingwei.telemetry.remote import RemoteError, opened, place

RESOLUTIONS = ("realtime", "minute", "hour", "day", "state")
MEASURED = RESOLUTIONS[:4]  # "state" is the running state of treatment facilities (CN 2021)

SERIES = (
    "factor", "time", "value", "min", "max", "cou", "zs", "zs_min", "zs_max", "flag", "received",
    "seq",
)  # fmt: skip

SPREAD = pa.schema(
    [
        ("label", pa.string()),
        ("converted", pa.bool_()),
        ("points", pa.int64()),
        ("received", pa.int64()),
        ("valid", pa.int64()),
        ("mean", pa.float64()),
        ("p95", pa.float64()),
    ]
)

SINGLY = 5_000  # points that are looked up one by one; for more, all newest values are read


class Latest(NamedTuple):
    """The newest observation of one factor in one resolution.

    Times are kept as microseconds since 1970 UTC, which compare and subtract much faster than
    `time` and `received`, made of them when asked for.
    """

    mn: str
    st: str
    factor: str
    resolution: str
    time_us: int
    value: float | None
    zs: float | None
    flag: str | None
    received_us: int
    seq: int

    @property
    def time(self) -> datetime:
        return moment(self.time_us)

    @property
    def received(self) -> datetime:
        return moment(self.received_us)


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


DICTIONARIES = frozenset({"mn", "st", "factor", "flag"})
_RESTLESS = "the files change faster than they can be read"


class _Partition(NamedTuple):
    """`single`: one file, no row of which came again; `rollup`: what was added up of it; `closed`:
    one file, sorted, in which receptions of one observation follow each other."""

    paths: list[str]
    single: bool
    rollup: list[str]
    closed: bool


def _codes(table: pa.Table, name: str) -> Any:
    """The places of a dictionary column that is in one chunk."""
    return table.column(name).chunk(0).indices.to_numpy(zero_copy_only=False)


def _last_point(table: pa.Table) -> int:
    """Where the rows of the last device begin."""
    mn = _codes(table, "mn")
    other = np.flatnonzero(mn != mn[-1])
    return int(other[-1]) + 1 if len(other) else 0


def _once(table: pa.Table) -> pa.Table:
    """Sorted rows without those of which a later reception follows."""
    keys = [_codes(table, name) for name in KEY[:3]]
    keys.append(table.column("time").cast("int64").to_numpy())
    last = np.zeros(len(table), dtype=bool)
    last[-1:] = True
    for key in keys:
        last[:-1] |= key[1:] != key[:-1]
    return table if last.all() else table.filter(pa.array(last)).combine_chunks()


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No garbage collection in here (of any thread)."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _chosen(
    points: Iterable[tuple[str, str]] | None, factors: Iterable[str] | None
) -> tuple[str, list[Any]]:
    """A condition with question marks, and their values."""
    where, values = "true", list[Any]()
    if points is not None:
        pairs = sorted(set(points))
        where += (
            " AND mn IN (SELECT unnest(?::VARCHAR[]))"
            " AND (mn, st) IN (SELECT (unnest(?::VARCHAR[]), unnest(?::VARCHAR[])))"
        )
        mns = [mn for mn, _ in pairs]
        values += [mns, mns, [st for _, st in pairs]]
    if factors is not None:
        where += " AND factor IN (SELECT unnest(?::VARCHAR[]))"
        values.append(sorted(set(factors)))
    return where, values


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
        select = (
            "SELECT mn, st, factor, resolution, time, value, zs, flag, received, seq FROM latest"
        )
        order = " ORDER BY mn, st, factor"
        among = None if points is None else set(points)
        found: list[Latest] = []
        new = cast(Callable[[Any], Latest], partial(tuple.__new__, Latest))
        # Tens of thousands of rows that stay would make the collector look through everything again
        # and again.
        with catalog(self.root) as db, _collector_at_rest():
            db.execute("BEGIN")
            for name in wanted:
                if among is None:
                    rows = db.execute(f"{select} WHERE resolution = ?{order}", (name,))
                    found += map(new, rows)
                elif len(among) > SINGLY:
                    every = db.execute(f"{select} WHERE resolution = ?{order}", (name,)).fetchall()
                    chosen = map(among.__contains__, map(itemgetter(0, 1), every))
                    found += map(new, compress(every, chosen))
                elif among:
                    pairs = ",".join(["(?,?)"] * len(among))
                    rows = db.execute(
                        f"{select} WHERE resolution = ? AND (mn, st) IN (VALUES {pairs}){order}",
                        (name, *(text for point in among for text in point)),
                    )
                    found += map(new, rows)
            if len(wanted) > 1:
                found.sort()  # no two have the same point, factor and resolution
        return found

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
        where, values = _chosen(None, factors)
        return self._read(
            SERIES, resolution, start, end, f"mn = ? AND st = ? AND {where}", [mn, st, *values]
        )

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
        where, values = _chosen(points, factors)
        return self._read(("mn", "st", *SERIES), resolution, start, end, where, values)

    def rollup(
        self,
        resolution: str,
        step: str,
        start: datetime,
        end: datetime,
        points: Iterable[tuple[str, str]] | None = None,
        factors: Iterable[str] | None = None,
    ) -> pa.Table:
        """Observations of many points added up by local hour or day (`step`), by mn, st, factor and
        time; those periods that begin with start <= time < end. Columns: `rollups.SCHEMA`.

        What is over was added up when its day was closed; only days that are not closed yet are
        read row by row. It says what was received and judges nothing: the values of an hour or a
        day by which is judged are those of the judgement.
        """
        if step not in rollups.STEPS.get(resolution, ()):
            raise LakeError(f"{resolution} data are not added up by {step!r}")
        where, values = _chosen(points, factors)
        where += " AND time >= ? AND time < ?"
        low, high = rollups.begin(start, step), rollups.begin(end, step)
        columns = ", ".join(rollups.SCHEMA.names)
        rows = f"SELECT * FROM read_parquet(?) WHERE {where}{IN_FORCE}"  # noqa: S608
        for _ in range(3):
            files = self._files(resolution, low, high, step)
            ready = [path for file in files for path in file.rollup]
            fresh = [path for file in files if not file.rollup for path in file.paths]
            parts, given = [], list[Any]()
            for paths, source in (
                (ready, f"read_parquet(?) WHERE {where}"),
                (fresh, f"({rollups.query(rows, step)})"),
            ):
                if paths:
                    parts.append(f"SELECT {columns} FROM {source}")  # noqa: S608
                    given += [paths, *values, low, high]
            if not parts:
                return rollups.SCHEMA.empty_table()
            found = self._run(
                " UNION ALL ".join(parts) + " ORDER BY mn, st, factor, time", given, ready + fresh
            )
            if found is not None:
                return found.cast(rollups.SCHEMA)
        raise LakeError(f"{self.root}: {_RESTLESS}")

    def spread(
        self,
        resolution: str,
        start: datetime,
        end: datetime,
        wanted: Iterable[tuple[str, str, str, str]],
        normal: Iterable[str],
    ) -> pa.Table:
        """How the values of many points lie with start <= time < end, added up where they are read.

        `wanted`: (mn, st, factor, label); values of one label are taken together, but those that
        were converted on site (`zs`) apart from the others. `normal`: data marks of values that
        count. Columns label, converted, points (that have a value), received, valid (of them with
        a number and a normal mark, or none), mean and p95 (95th percentile) of the valid ones.
        """
        rows = sorted(set(wanted))
        if not rows:
            return SPREAD.empty_table()
        parts = [list(column) for column in zip(*rows, strict=True)]
        points, marks = sorted({(mn, st) for mn, st, _, _ in rows}), sorted({"", *normal})
        where, values = _chosen(points, parts[2])
        for _ in range(3):
            files = self._files(resolution, start, end)
            single = [path for file in files if file.single for path in file.paths]
            several = [path for file in files if not file.single for path in file.paths]
            selects, given = [], list[Any]()
            for paths, choice in ((single, ""), (several, IN_FORCE)):
                if paths:
                    selects.append(
                        "(SELECT mn, st, factor, value, zs, flag FROM read_parquet(?)"  # noqa: S608
                        f" WHERE {where} AND time >= ? AND time < ?{choice})"
                    )
                    given += [paths, *values, start, end]
            if not selects:
                return SPREAD.empty_table()
            query = (
                "WITH wanted AS (SELECT unnest(?::VARCHAR[]) AS mn, unnest(?::VARCHAR[]) AS st,"  # noqa: S608
                " unnest(?::VARCHAR[]) AS factor, unnest(?::VARCHAR[]) AS label),"
                f" read AS ({' UNION ALL '.join(selects)}),"
                " judged AS (SELECT label, mn, st, zs IS NOT NULL AS converted,"
                " coalesce(zs, value) AS shown, coalesce(isfinite(coalesce(zs, value))"
                " AND coalesce(flag, '') IN (SELECT unnest(?::VARCHAR[])), false) AS good"
                " FROM read JOIN wanted USING (mn, st, factor))"
                " SELECT label, converted,"
                " count(DISTINCT (mn, st)) FILTER (good)::BIGINT AS points,"
                " count(*)::BIGINT AS received, count(*) FILTER (good)::BIGINT AS valid,"
                " favg(shown) FILTER (good) AS mean,"
                " quantile_cont(shown, 0.95) FILTER (good) AS p95"
                " FROM judged GROUP BY label, converted ORDER BY label, converted"
            )
            found = self._run(query, [*parts, *given, marks], single + several)
            if found is not None:
                return found.cast(SPREAD)
        raise LakeError(f"{self.root}: {_RESTLESS}")

    def pieces(
        self, resolution: str, day: date, columns: Sequence[str], rows: int = 1 << 20
    ) -> Iterator[pa.Table]:
        """A partition (local day; of daily values the month that `day` begins), piece by piece, for
        who reads all of it: about `rows` rows each, no point in two, by mn, st, factor and time.

        Columns mn, st, factor, flag (where asked for) are dictionaries; the latest reception of each
        observation. No more than a piece is held of a closed day; one that is not closed yet is read
        at once.
        """
        names = list(dict.fromkeys([*KEY, *columns]))
        start = datetime.combine(day, datetime.min.time(), timezone(timedelta(hours=8)))
        files = self._files(resolution, start, start + timedelta(microseconds=1))
        if not files:
            return
        if not files[0].closed:
            month = resolution == "day"
            end = (
                (start + timedelta(days=31)).replace(day=1) if month else start + timedelta(days=1)
            )
            whole = self._read(names, resolution, start, end, "true", [])
            for name in DICTIONARIES & set(names):
                at = whole.schema.get_field_index(name)
                whole = whole.set_column(at, name, whole.column(at).dictionary_encode())
            if len(whole):
                yield whole.unify_dictionaries().combine_chunks()
            return
        rest: list[pa.Table] = []
        (path,) = files[0].paths
        try:
            with (
                opened(path) as stream,
                pq.ParquetFile(stream, read_dictionary=sorted(DICTIONARIES & set(names))) as file,
            ):
                groups = file.num_row_groups
                step = max(rows // max(file.metadata.num_rows // max(groups, 1), 1), 1)
                for first in range(0, groups, step):
                    some = range(first, min(first + step, groups))
                    got = file.read_row_groups(some, columns=names, use_threads=False)
                    table = pa.concat_tables([*rest, got]).unify_dictionaries().combine_chunks()
                    last = some.stop == groups
                    cut = len(table) if last else _last_point(table)
                    rest = [] if last else [table.slice(cut)]
                    if cut:
                        piece = table.slice(0, cut)
                        yield piece if files[0].single else _once(piece)
        except (OSError, pa.ArrowException) as error:
            raise LakeError(f"{path}: {error}") from error

    def _read(
        self,
        columns: Sequence[str],
        resolution: str,
        start: datetime,
        end: datetime,
        where: str,
        values: Sequence[Any],
    ) -> pa.Table:
        names = ", ".join(f'"{c}"' for c in columns)
        select = (  # nothing of the caller's is put in but question marks
            f"SELECT {names} FROM read_parquet(?) WHERE {where} AND time >= ? AND time < ?"  # noqa: S608
        )
        for _ in range(3):
            files = self._files(resolution, start, end)
            # Where no row came again there is nothing to choose from.
            single = [path for file in files if file.single for path in file.paths]
            several = [path for file in files if not file.single for path in file.paths]
            parts, given = [], []
            for paths, choice in ((single, ""), (several, IN_FORCE)):
                if paths:
                    parts.append(f"({select}{choice})")
                    given += [paths, *values, start, end]
            if not parts:
                return _schema(columns).empty_table()
            order = f" ORDER BY {', '.join(c for c in columns if c in KEY)}"
            found = self._run(" UNION ALL ".join(parts) + order, given, single + several)
            if found is not None:
                return found
        raise LakeError(f"{self.root}: {_RESTLESS}")

    def _files(
        self, resolution: str, start: datetime, end: datetime, step: str = ""
    ) -> list[_Partition]:
        """The partitions of the period, and their files, as of one moment."""
        if resolution not in RESOLUTIONS:
            raise LakeError(f"no resolution {resolution!r}; there are {', '.join(RESOLUTIONS)}")
        if start >= end:
            return []
        low = partition(resolution, microseconds(start))
        high = partition(resolution, microseconds(end) - 1)
        with catalog(self.root) as db:
            rows = db.execute(
                "SELECT day, file.path, closed, again, rollup.path FROM file"
                " LEFT JOIN rollup ON source = file.path AND step = ?"
                " WHERE resolution = ? AND day BETWEEN ? AND ? ORDER BY day, file.path",
                (step, resolution, low, high),
            ).fetchall()
        found = []
        for _, group in groupby(rows, key=lambda row: row[0]):
            some = list(group)
            alone = len(some) == 1
            found.append(
                _Partition(
                    [place(self.root, path) for _, path, *_ in some],
                    alone and bool(some[0][2]) and some[0][3] == 0,
                    [place(self.root, some[0][4])] if alone and some[0][4] else [],
                    alone and bool(some[0][2]),
                )
            )
        return found

    def _run(self, query: str, values: Sequence[Any], places: Sequence[str]) -> pa.Table | None:
        """The table of a query; None where a file went meanwhile: take the new list.

        Files that are replaced are kept for some minutes, so that hardly anyone comes too late.
        """
        try:
            with contextlib.closing(engine(places)) as cursor:
                return cursor.sql(query, params=list(values)).to_arrow_table()
        except duckdb.IOException as error:
            with catalog(self.root) as db:
                present = {
                    place(self.root, path)
                    for (path,) in db.execute("SELECT path FROM file UNION SELECT path FROM rollup")
                }
            if set(places) - present:
                return None
            raise LakeError(f"{self.root}: {reason(error)}") from error
        except (duckdb.Error, RemoteError) as error:
            raise LakeError(f"{self.root}: {reason(error)}") from error

    def versions(
        self, mn: str, st: str, factor: str, resolution: str, time: datetime
    ) -> list[Version]:
        """Every reception of one observation, the one in force last."""
        names = ", ".join(f'"{c}"' for c in SERIES[1:])
        for _ in range(3):
            files = self._files(resolution, time, time + timedelta(microseconds=1))
            paths = [path for file in files for path in file.paths]
            if not paths:
                return []
            found = self._run(
                f"SELECT {names} FROM read_parquet(?)"  # noqa: S608
                " WHERE mn = ? AND st = ? AND factor = ? AND time = ? ORDER BY received, seq",
                [paths, mn, st, factor, time],
                paths,
            )
            if found is not None:
                return [Version(**row) for row in found.to_pylist()]
        raise LakeError(f"{self.root}: {_RESTLESS}")

    def conflicts(
        self,
        resolution: str,
        start: datetime,
        end: datetime,
        points: Iterable[tuple[str, str]],
        limit: int = 1000,
    ) -> list[tuple[str, str, str, datetime, list[float | None]]]:
        """Observations that came several times with values that differ (a number and none differ
        too): (mn, st, factor, time, the values in the order in which they came), the newest first.
        """
        pairs = sorted(set(points))
        for _ in range(3):
            files = self._files(resolution, start, end)
            # Where no row came again nothing can differ.
            paths = [path for file in files if not file.single for path in file.paths]
            if not paths:
                return []
            found = self._run(
                "SELECT mn, st, factor, time, list(value ORDER BY received, seq) AS value"
                " FROM read_parquet(?)"
                " WHERE (mn, st) IN (SELECT (unnest(?::VARCHAR[]), unnest(?::VARCHAR[])))"
                " AND time >= ? AND time < ? GROUP BY mn, st, factor, time"
                " HAVING min(value) IS DISTINCT FROM max(value)"
                " OR count(value) NOT IN (0, count(*))"
                " ORDER BY time DESC, mn, st, factor LIMIT ?",
                [paths, [mn for mn, _ in pairs], [st for _, st in pairs], start, end, limit],
                paths,
            )
            if found is not None:
                return [tuple(row.values()) for row in found.to_pylist()]
        raise LakeError(f"{self.root}: {_RESTLESS}")

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

    def problems(self, since: date | None = None, mn: str = "") -> list[Problem]:
        """What ingest counted (of one device), newest day first, most frequent first."""
        with catalog(self.root) as db:
            rows = db.execute(
                "SELECT day, kind, mn, count, seq FROM problem WHERE day >= ? AND ? IN ('', mn)"
                " ORDER BY day DESC, count DESC, kind, mn",
                (since.isoformat() if since else "", mn),
            ).fetchall()
        return [Problem(date.fromisoformat(d), k, mn, n, seq) for d, k, mn, n, seq in rows]

    def points(self) -> list[tuple[str, str]]:
        """Every (mn, st) of which there is an observation."""
        with catalog(self.root) as db:
            return db.execute("SELECT DISTINCT mn, st FROM latest ORDER BY mn, st").fetchall()


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(c) for c in columns])


__all__ = [
    "MEASURED",
    "RESOLUTIONS",
    "SERIES",
    "Change",
    "Lake",
    "LakeError",
    "Latest",
    "Problem",
    "Version",
]
