"""A user's CSV or Parquet file as a series to replay."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jingwei.telemetry.replay import OFFSET, Cells, Series, SeriesError


def from_csv(
    path: Path, columns: Sequence[str], *, step: int, time: str | None = None
) -> tuple[Series, datetime | None]:
    """A user's CSV as a cyclic series of `columns`, and the UTC time of its first row if it says.

    With `time` (a column of ISO 8601 or `YYYY-MM-DD HH:MM[:SS]`, China's time where no zone is
    given) rows are placed by it, and steps without a row stay missing; without it they follow
    each other in steps of `step` seconds. An empty cell, `NA` and `NaN` are missing. Raises
    `SeriesError` with file, line and reason.
    """
    rows: list[tuple[int, list[float]]] = []
    with path.open(encoding="utf-8-sig", newline="") as f:
        reader = csv.DictReader(f)
        wanted = [*columns, *([time] if time else [])]
        missing = [c for c in wanted if c not in (reader.fieldnames or [])]
        if missing:
            raise SeriesError(
                f"{path}: no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or [])}"
            )
        for number, row in enumerate(reader):
            where = f"{path}, line {reader.line_num}"
            values = [_number(row[c], where, c) for c in columns]
            rows.append((_local(row[time], where) if time else number * step, values))
    return _grid(path, rows, columns, step, placed=time is not None)


def from_parquet(
    path: Path, columns: Sequence[str], *, step: int, time: str | None = None
) -> tuple[Series, datetime | None]:
    """The same from a Parquet file: `time` is a column of timestamps (without a zone: China's) or
    of text as `from_csv` takes it. Raises `SeriesError`."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise SeriesError(f"{path} cannot be read: {error}") from None
    missing = [c for c in [*columns, *([time] if time else [])] if c not in table.column_names]
    if missing:
        has = ", ".join(table.column_names)
        raise SeriesError(f"{path}: no column {', '.join(missing)}; it has {has}")
    data = table.select([*dict.fromkeys([*columns, *([time] if time else [])])]).to_pylist()
    rows = []
    for number, row in enumerate(data):
        where = f"{path}, row {number + 1}"
        values = [_number(None if row[c] is None else str(row[c]), where, c) for c in columns]
        rows.append((_local(str(row[time]), where) if time else number * step, values))
    return _grid(path, rows, columns, step, placed=time is not None)


def _grid(
    path: Path, rows: list[tuple[int, list[float]]], columns: Sequence[str], step: int, *,
    placed: bool,
) -> tuple[Series, datetime | None]:  # fmt: skip
    """Rows (local second, values) as a series in equal steps."""
    if not rows:
        raise SeriesError(f"{path}: no rows")
    first = min(at for at, _ in rows)
    first -= first % step
    count = (max(at for at, _ in rows) - first) // step + 1
    if count > 10_000_000:
        raise SeriesError(f"{path}: {count} steps of {step} s between first and last row")
    grid = np.full((len(columns), count), np.nan)
    for at, values in rows:
        grid[:, (at - first) // step] = values
    cells = {c: Cells.of(grid[i]) for i, c in enumerate(columns)}
    begins = datetime.fromtimestamp(first - OFFSET, UTC) if placed else None
    return Series(path.stem, step, "cyclic", cells, about={"title": path.name}), begins


def _number(text: str | None, where: str, column: str) -> float:
    if text is None or text.strip().lower() in ("", "na", "nan", "null"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise SeriesError(f"{where}: {column} is {text!r}, not a number") from None


def _local(text: str, where: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SeriesError(f"{where}: {text!r} is no time; wanted 2026-01-31 15:00") from None
    if moment.tzinfo is None:
        return int(moment.replace(tzinfo=UTC).timestamp())
    return int(moment.timestamp()) + OFFSET
