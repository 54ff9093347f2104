"""The lake's Parquet files: their columns, the engine that reads them, and writing them in order.

A file is named by its path below the lake's folder, or by a URL where closed days were moved to a
remote store (`remote.py`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from jingwei.telemetry import remote

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
ORDER = "mn, st, factor, time, received, seq"
# Of the receptions of one observation the latest is in force.
IN_FORCE = (
    " QUALIFY row_number() OVER"
    " (PARTITION BY mn, st, factor, time ORDER BY received DESC, seq DESC) = 1"
)

_base: tuple[int, Any] | None = None
_schemes: set[str] = set()
_lock = threading.Lock()


def _connect(threads: int, **config: Any) -> Any:
    base = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": "2GB",
            "temp_directory": str(Path(tempfile.gettempdir()) / f"jingwei-{uuid.uuid4().hex}"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **config,
        }
    )
    base.execute("SET GLOBAL TimeZone = 'UTC'")
    return base


def engine(places: Iterable[str] = ()) -> Any:
    """A DuckDB cursor for the calling thread, on one in-memory database a process; it reads the
    URLs among `places` too. Raises `remote.RemoteError`."""
    global _base
    with _lock:
        if _base is None or _base[0] != os.getpid():
            _base = (os.getpid(), _connect(min(4, os.cpu_count() or 1)))
            _schemes.clear()
        for scheme in {remote.scheme(place) for place in places} - {""} - _schemes:
            _base[1].register_filesystem(remote.filesystem(scheme))
            _schemes.add(scheme)
        return _base[1].cursor()


def query(sql: str, values: list[Any], places: Iterable[str] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query. Raises duckdb.Error, `remote.RemoteError`."""
    with contextlib.closing(engine(places)) as cursor:
        found: list[tuple[Any, ...]] = cursor.execute(sql, values).fetchall()
    return found


def quoted(path: Path | str) -> str:
    """A path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def sources(places: Iterable[Path | str]) -> str:
    """`read_parquet` of these files."""
    return f"read_parquet([{', '.join(map(quoted, places))}])"


def write_sorted(query: str, path: Path, places: Iterable[str] = ()) -> int:
    """Write the rows of a query in the order of the lake, durable; how many there are.

    The same rows give the same bytes: one thread writes, so that the groups of rows are cut alike.
    Raises duckdb.Error.
    """
    names = ", ".join(f'"{c}"' for c in SCHEMA.names)
    ordered = f"SELECT {names} FROM ({query}) ORDER BY {ORDER}"  # noqa: S608
    return _copy(ordered, path, places, min(4, os.cpu_count() or 1))


def write_exact(query: str, path: Path, places: Iterable[str] = ()) -> int:
    """The same for a query that adds and orders: on one thread, so that sums of doubles are added
    in the order of the rows and come out the same bit for bit."""
    return _copy(query, path, places, 1)


def _copy(query: str, path: Path, places: Iterable[str], threads: int) -> int:
    # What DuckDB finds out about the rows would decide whether columns are written as nullable.
    with contextlib.closing(
        _connect(threads, disabled_optimizers="statistics_propagation")
    ) as writer:
        for scheme in {remote.scheme(place) for place in places} - {""}:
            writer.register_filesystem(remote.filesystem(scheme))
        (count,) = writer.execute(
            f"COPY ({query}) TO {quoted(path)}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP})"
        ).fetchone()
    with path.open("rb") as f:
        os.fsync(f.fileno())
    return int(count)


def reason(error: Exception) -> str:
    """What DuckDB says, without the query."""
    return str(error).partition("\n")[0]
