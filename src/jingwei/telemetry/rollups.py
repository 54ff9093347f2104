"""What was received by hour and by day, added up once when a day is closed.

A page that shows a month then reads thirty small files and not a month of minutes. A roll-up is
computed of one closed file, counts as long as that file is the only one of its partition, and has
the same bytes whenever it is computed again of the same file (`jingwei lake rebuild` does so).

It knows nothing of validity: it says what came. Columns:

    mn, st, factor     text
    time               timestamp, UTC: the start of the local hour or day
    received           int64: observations
    count              int64: of them with a number
    mean, min, max     double: arithmetic mean of the values; lowest of min and value, highest of
                       max and value
    cou                double: sum of the cumulative values
    zs                 double: mean of the values converted on site
    marked             int64: observations with another data mark than N
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jingwei.telemetry.catalog import CHINA, DAY, LakeError, digest, transaction
from jingwei.telemetry.journal import make_folder, microseconds, moment, sync
from jingwei.telemetry.parquet import IN_FORCE, KEY, reason, sources, write_exact
from jingwei.telemetry.remote import opened, place

STEPS = {"realtime": ("hour", "day"), "minute": ("hour", "day"), "hour": ("day",)}
_LENGTH = {"hour": DAY // 24, "day": DAY}

SCHEMA = pa.schema(
    [
        ("mn", pa.string()),
        ("st", pa.string()),
        ("factor", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("received", pa.int64()),
        ("count", pa.int64()),
        ("mean", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("cou", pa.float64()),
        ("zs", pa.float64()),
        ("marked", pa.int64()),
    ]
)


def begin(time: datetime, step: str) -> datetime:
    """The first start of a local hour or day that is not before `time`."""
    length = _LENGTH[step]
    return moment(-((-microseconds(time) - CHINA) // length) * length - CHINA)


def query(rows: str, step: str) -> str:
    """The roll-up of a query of observations that are in force, in no particular order."""
    length = _LENGTH[step]
    start = f"(epoch_us(time) + {CHINA}) // {length} * {length} - {CHINA}"
    # Sums are compensated (Kahan), so that the order of the rows hardly matters.
    return (
        f"SELECT mn, st, factor, make_timestamp({start})::TIMESTAMPTZ AS time,"  # noqa: S608
        " count(*)::BIGINT AS received, count(value)::BIGINT AS count, favg(value) AS mean,"
        " min(least(min, value)) AS min, max(greatest(max, value)) AS max,"
        " CASE WHEN count(cou) > 0 THEN fsum(cou) END AS cou, favg(zs) AS zs,"
        " count(*) FILTER (flag <> 'N')::BIGINT AS marked"
        f" FROM ({rows}) GROUP BY ALL"
    )


def compute(file: str, step: str, again: int, out: Path) -> int:
    """Write the roll-up of a closed file; its rows. Raises duckdb.Error, `OSError`."""
    rows = f"SELECT * FROM {sources([file])}{IN_FORCE if again else ''}"  # noqa: S608
    return write_exact(f"{query(rows, step)} ORDER BY mn, st, factor, time", out, [file])


def repeats(file: str) -> int:
    """How many rows of a sorted file came again later: those with the key of the row before.

    Raises `OSError`, pa.ArrowException.
    """
    count = 0
    last: list[object] | None = None
    with opened(file) as stream, pq.ParquetFile(stream, read_dictionary=list(KEY[:3])) as content:
        for number in range(content.num_row_groups):
            table = content.read_row_group(number, columns=list(KEY)).combine_chunks()
            if not table.num_rows:
                continue
            first = [table[name][0].as_py() for name in KEY]
            count += first == last
            last = [table[name][-1].as_py() for name in KEY]
            same = None
            for name in KEY:
                column = table[name].chunk(0)
                column = getattr(column, "indices", column)
                equal = pc.equal(column[1:], column[:-1])
                same = equal if same is None else pc.and_(same, equal)
            count += pc.sum(same).as_py() or 0
    return count


def due(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """(path, resolution, day) of the closed files that have no roll-ups yet."""
    return db.execute(
        "SELECT path, resolution, day FROM file WHERE closed AND again IS NULL ORDER BY day"
    ).fetchall()


def add_up(file: str, resolution: str, outs: Sequence[str]) -> tuple[int, list[int]]:
    """A task: write the roll-ups of a closed file, one a step of `STEPS`; (its repeats, their rows).

    Raises `LakeError`.
    """
    try:
        again = repeats(file)
        rows = []
        for step, out in zip(STEPS.get(resolution, ()), outs, strict=True):
            fresh = Path(f"{out}-{uuid.uuid4().hex}")
            rows.append(compute(file, step, again, fresh))
            fresh.rename(out)  # a task that runs twice leaves one whole file
        return again, rows
    except (OSError, duckdb.Error, pa.ArrowException) as error:
        raise LakeError(f"{file} cannot be added up: {reason(error)}") from error


def survey(root: Path, db: sqlite3.Connection, path: str, resolution: str, day: str) -> None:
    """Count the repeats of a closed file and add it up here and now. Raises `LakeError`, `OSError`."""
    outs = [str(_fresh(root, resolution, step, day)) for step in STEPS.get(resolution, ())]
    try:
        again, rows = add_up(place(root, path), resolution, outs)
        settle(root, db, path, (resolution, day), again, rows, outs, 0)
    finally:
        for out in outs:
            if not db.execute(
                "SELECT 1 FROM rollup WHERE path = ?", (_name(root, out),)
            ).fetchone():
                Path(out).unlink(missing_ok=True)


def settle(
    root: Path,
    db: sqlite3.Connection,
    path: str,
    partition: tuple[str, str],
    again: int,
    rows: Sequence[int],
    outs: Sequence[str],
    at: int,
    *,
    only_compare: bool = False,
) -> bool:
    """Take in what `add_up` made of a closed file; whether something else was kept of it before.

    A file that is in the lake no more, or of which the same is kept, changes nothing.
    """
    found = db.execute("SELECT again FROM file WHERE path = ? AND closed", (path,)).fetchone()
    if found is None:
        return False
    resolution, day = partition
    steps = STEPS.get(resolution, ())
    kept = dict(db.execute("SELECT step, path FROM rollup WHERE source = ?", (path,)))
    if found[0] is not None:
        if found[0] == again and set(kept) == set(steps) and all(
            _digest(root / kept[step]) == _digest(Path(out))
            for step, out in zip(steps, outs, strict=True)
        ):  # fmt: skip
            return False
        if only_compare:
            return True
    elif only_compare:
        return False
    made = []
    for step, out, count in zip(steps, outs, rows, strict=True):
        place_ = Path(out)
        if root / f"{resolution}-{step}" / day != place_.parent:
            place_ = _fresh(root, resolution, step, day)
            Path(out).rename(place_)
        sync(place_.parent)
        made.append((_name(root, place_), path, step, count, digest(place_)))
    with transaction(db):
        db.execute(
            "INSERT OR REPLACE INTO retired SELECT path, ? FROM rollup WHERE source = ?", (at, path)
        )
        db.execute("DELETE FROM rollup WHERE source = ?", (path,))
        db.execute("UPDATE file SET again = ? WHERE path = ?", (again, path))
        db.executemany("INSERT INTO rollup VALUES (?, ?, ?, ?, ?)", made)
    return found[0] is not None


def _fresh(root: Path, resolution: str, step: str, day: str) -> Path:
    """A new name for a roll-up, in its folder."""
    folder = root / f"{resolution}-{step}" / day
    make_folder(folder)
    return folder / f"{uuid.uuid4().hex}.parquet"


def _name(root: Path, file: Path | str) -> str:
    return Path(file).relative_to(root).as_posix()


def _digest(path: Path) -> bytes:
    try:
        return digest(path)
    except OSError:
        return b""  # lost: nothing has the same
