"""The catalog of a lake: which files count, how far the journal is taken in, what is newest.

One SQLite file, `catalog.sqlite`, beside the Parquet files. Whoever writes takes the ingest's lock
and one transaction; whoever reads sees one state.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from jingwei.telemetry.journal import make_folder

VERSION = 4

_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- The files that make up the lake. `day` is the first day of the partition, `level` how often the
-- rows were merged, `closed` whether the file is the sorted whole of a day that is over, `again`
-- how many of its rows came again later (null: not counted, `rollups` does it), `sha256` of its bytes
-- (null: written by a version that kept none).
CREATE TABLE IF NOT EXISTS file(
    path TEXT PRIMARY KEY, resolution TEXT NOT NULL, day TEXT NOT NULL, level INTEGER NOT NULL,
    rows INTEGER NOT NULL, batch_lo INTEGER NOT NULL, batch_hi INTEGER NOT NULL,
    closed INTEGER NOT NULL, made INTEGER NOT NULL, again INTEGER, sha256 BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_day ON file(resolution, day);
-- What was computed of a closed file in steps of an hour or a day; it counts as long as `source` is
-- the only file of its partition.
CREATE TABLE IF NOT EXISTS rollup(
    path TEXT PRIMARY KEY, source TEXT NOT NULL, step TEXT NOT NULL, rows INTEGER NOT NULL,
    sha256 BLOB, UNIQUE (source, step)
) WITHOUT ROWID;
-- Files that were merged into others, to be deleted when nobody reads them any more.
CREATE TABLE IF NOT EXISTS retired(path TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
-- How far each journal segment has been taken in.
CREATE TABLE IF NOT EXISTS position(segment INTEGER PRIMARY KEY, row INTEGER NOT NULL);
-- The change feed, and when each batch was committed (for forgetting old changes).
CREATE TABLE IF NOT EXISTS change(
    resolution TEXT NOT NULL, batch INTEGER NOT NULL, mn TEXT NOT NULL, st TEXT NOT NULL,
    time INTEGER NOT NULL, PRIMARY KEY (resolution, batch, mn, st, time)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch(batch INTEGER PRIMARY KEY, at INTEGER NOT NULL);
-- What was taken in lately (`repeats`): slot → the telegram in force, and all bytes → one that was
-- corrected; with hashes of what it says and of all its bytes. 64 bits; the bytes are compared.
CREATE TABLE IF NOT EXISTS seen(
    hash INTEGER PRIMARY KEY, received INTEGER NOT NULL, seq INTEGER NOT NULL,
    content INTEGER NOT NULL, whole INTEGER NOT NULL, batch INTEGER NOT NULL
);
-- Where the packets of split telegrams lie, by a hash of what those of one telegram have in common.
CREATE TABLE IF NOT EXISTS packet(
    hash INTEGER NOT NULL, seq INTEGER NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY (hash, seq)
) WITHOUT ROWID;
-- What was odd, counted by kind, device and local day of reception, with the last telegram.
CREATE TABLE IF NOT EXISTS problem(
    day TEXT NOT NULL, kind TEXT NOT NULL, mn TEXT NOT NULL, count INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (day, kind, mn)
) WITHOUT ROWID;
"""
_LATEST = """
-- The resolution first: all points of one are read in one go, in order.
CREATE TABLE latest(
    resolution TEXT NOT NULL, mn TEXT NOT NULL, st TEXT NOT NULL, factor TEXT NOT NULL,
    time INTEGER NOT NULL, value REAL, zs REAL, flag TEXT, received INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (resolution, mn, st, factor)
) WITHOUT ROWID;
"""
_FROM_1 = f"""
ALTER TABLE file ADD COLUMN again INTEGER;
ALTER TABLE latest RENAME TO latest_1;
{_LATEST}
INSERT INTO latest SELECT resolution, mn, st, factor, time, value, zs, flag, received, seq
    FROM latest_1;
DROP TABLE latest_1;
"""  # noqa: S608
_SEEN = "DROP TABLE seen;\n"  # it had hashes of other bytes; what comes again counts once more
_DIGEST = "ALTER TABLE {} ADD COLUMN sha256 BLOB;\n"
# What brings the tables of each version to this one; `_TABLES` makes those that are missing.
_BRING = {
    0: _LATEST,
    1: _FROM_1 + _DIGEST.format("file") + _SEEN,
    2: _DIGEST.format("file") + _DIGEST.format("rollup") + _SEEN,
    3: _SEEN,
}


class LakeError(Exception):
    """The lake cannot do what was asked; the text says what, where and why."""


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
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise LakeError(f"{path} is of a later version of Jingwei ({version})")
            if version < VERSION:
                _bring(db, version)
            db.execute("PRAGMA synchronous = FULL")
            return
        except sqlite3.DatabaseError as error:
            # SQLite does not wait for its turn when two processes make the catalog at once.
            if "locked" not in str(error) or attempt == 49:
                raise LakeError(f"{path} cannot be used: {error}") from error
            with contextlib.suppress(sqlite3.Error):
                db.rollback()
            time.sleep(0.1)


def _bring(db: sqlite3.Connection, version: int) -> None:
    """Make the tables, or those of an earlier version anew, in one transaction."""
    if not version:
        db.execute("PRAGMA journal_mode = WAL")
    with transaction(db):
        if db.execute("PRAGMA user_version").fetchone() != (version,):
            return  # another process was first
        for statement in _statements(_BRING[version] + _TABLES):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside is committed at the end, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def digest(path: Path) -> bytes:
    """SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").digest()


def add_files(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows: path, resolution, day, level, rows, batch_lo, batch_hi, closed, made, sha256."""
    db.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)", rows)


def drop_files(db: sqlite3.Connection, paths: Iterable[str], at: int) -> None:
    """Take files and what was computed of them out of the lake; they are deleted later."""
    for path in paths:
        gone = [
            path,
            *(p for (p,) in db.execute("SELECT path FROM rollup WHERE source = ?", (path,))),
        ]
        db.execute("DELETE FROM rollup WHERE source = ?", (path,))
        db.execute("DELETE FROM file WHERE path = ?", (path,))
        db.executemany("INSERT INTO retired VALUES (?, ?)", [(p, at) for p in gone])
