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

import hashlib
import sqlite3
import uuid
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jingwei.telemetry.catalog import CHINA, DAY, transaction
from jingwei.telemetry.journal import make_folder, microseconds, moment, sync_folder
from jingwei.telemetry.parquet import IN_FORCE, KEY, sources, write_exact
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


def survey(root: Path, db: sqlite3.Connection, path: str, resolution: str, day: str) -> None:
    """Count the repeats of a closed file and add it up; commits both at once.

    Raises `OSError`, duckdb.Error, pa.ArrowException.
    """
    file = place(root, path)
    again = repeats(file)
    made: list[tuple[str, str, str, int]] = []
    try:
        for step in STEPS.get(resolution, ()):
            name = f"{resolution}-{step}/{day}/{uuid.uuid4().hex}.parquet"
            out = root / name
            make_folder(out.parent)
            made.append((name, path, step, compute(file, step, again, out)))
            sync_folder(out.parent)
        with transaction(db):
            db.execute("UPDATE file SET again = ? WHERE path = ?", (again, path))
            db.executemany("INSERT INTO rollup VALUES (?, ?, ?, ?)", made)
    except BaseException:
        for name, *_ in made:
            (root / name).unlink(missing_ok=True)
        raise


def differs(root: Path, db: sqlite3.Connection, path: str) -> bool:
    """Whether what is kept of a closed file is not what it gives now."""
    row = db.execute("SELECT resolution, again FROM file WHERE path = ?", (path,)).fetchone()
    kept = dict(db.execute("SELECT step, path FROM rollup WHERE source = ?", (path,)))
    if row is None or row[1] is None:
        return False
    resolution, again = row
    file = place(root, path)
    if again != repeats(file) or set(kept) != set(STEPS.get(resolution, ())):
        return True
    for step, name in kept.items():
        fresh = root / f".{uuid.uuid4().hex}.rollup"
        try:
            compute(file, step, again, fresh)
            if not (root / name).is_file() or _digest(root / name) != _digest(fresh):
                return True
        finally:
            fresh.unlink(missing_ok=True)
    return False


def forget(db: sqlite3.Connection, path: str, at: int) -> None:
    """Take what was computed of a file out of the lake, to be computed anew."""
    with transaction(db):
        db.execute(
            "INSERT OR REPLACE INTO retired SELECT path, ? FROM rollup WHERE source = ?", (at, path)
        )
        db.execute("DELETE FROM rollup WHERE source = ?", (path,))
        db.execute("UPDATE file SET again = NULL WHERE path = ?", (path,))


def _digest(path: Path) -> bytes:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").digest()
