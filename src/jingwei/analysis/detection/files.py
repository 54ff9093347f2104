"""An outlet's file: Parquet with one column a channel, and `time` if the rows have times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from jingwei.analysis.detection.monitor import Floats, Monitor

CHINA = timezone(timedelta(hours=8))
MOST_ROWS = 20_000_000


class InputError(ValueError):
    """The file or an option cannot be used; one sentence says why."""


def instant(text: str) -> datetime:
    """An ISO 8601 time; without a zone it is China Standard Time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no ISO 8601 time, such as 2026-01-31T00:00") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=CHINA)


def pairs(options: Sequence[str], what: str) -> dict[str, str]:
    out = {}
    for option in options:
        name, sign, value = option.partition("=")
        if not sign or not name or not value:
            raise InputError(f"{what} {option!r} must read NAME=VALUE")
        out[name] = value
    return out


def read(
    path: Path,
    targets: Sequence[str],
    *,
    limits: Sequence[str] = (),
    roles: Sequence[str] = (),
    reference_o2: float | None = None,
    start: str | None = None,
) -> Monitor:
    """Read a monitor. Rows are put on their grid of time; what is between becomes missing.

    A column `X_mark` or `mark` holds marks. InputError (or ValueError of `Monitor`) in one sentence.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path} is no file")
    try:
        table: Any = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None
    if table.num_rows == 0:
        raise InputError(f"{path} has no rows")
    numbers: dict[str, Floats] = {}
    marks: dict[str, list[str]] = {}
    times: list[datetime] | None = None
    for name in table.column_names:
        column = table.column(name)
        kind = column.type
        if name == "time":
            if not pa.types.is_timestamp(kind):
                raise InputError(f"column time of {path} is {kind}, not a timestamp")
            times = [_aware(v, path) for v in column.to_pylist()]
        elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
            numbers[name] = np.asarray(
                column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
            )
        elif pa.types.is_decimal(kind):
            numbers[name] = np.array(
                [np.nan if v is None else float(v) for v in column.to_pylist()], dtype=np.float64
            )
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if name == "mark" or name.endswith("_mark"):
                marks[name.removesuffix("_mark")] = [
                    "" if v is None else v for v in column.to_pylist()
                ]
            elif name in targets:
                raise InputError(f"column {name} of {path} is text, not a number")
    first, step, rows, count = _grid(times, start, table.num_rows, path)
    values = {}
    for name, column in numbers.items():
        placed = np.full(count, np.nan)
        placed[rows] = column
        values[name] = placed
    placed_marks: dict[str, list[str]] = {}
    for name, texts in marks.items():
        target_names = list(targets) if name == "mark" else [name]
        line = [""] * count
        for row, text in zip(rows.tolist(), texts, strict=True):
            line[row] = text
        for target in target_names:
            placed_marks[target] = line
    bounds = {}
    for name, text in pairs(limits, "limit").items():
        try:
            bounds[name] = float(text)
        except ValueError:
            raise InputError(f"limit of {name} is no number: {text!r}") from None
    return Monitor(
        first,
        step,
        values,
        targets,
        bounds,
        pairs(roles, "role"),
        reference_o2,
        placed_marks or None,
    )


def _aware(value: datetime | None, path: Path) -> datetime:
    if value is None:
        raise InputError(f"column time of {path} has an empty cell")
    return value if value.tzinfo is not None else value.replace(tzinfo=CHINA)


def _grid(
    times: list[datetime] | None, start: str | None, n: int, path: Path
) -> tuple[datetime, timedelta, np.ndarray[Any, np.dtype[np.int64]], int]:
    """First time, step, row of each record, number of rows."""
    if times is None:
        if start is None:
            raise InputError(f"{path} has no column time; give --start for consecutive hours")
        return instant(start), timedelta(hours=1), np.arange(n, dtype=np.int64), n
    if n < 2:
        raise InputError(f"{path} has one row only")
    seconds = np.array([t.astimezone(UTC).timestamp() for t in times])
    order = np.diff(seconds)
    if (order <= 0).any():
        raise InputError(f"times of {path} do not rise at row {int(np.argmax(order <= 0)) + 2}")
    step = float(np.median(order))
    rows = np.round((seconds - seconds[0]) / step).astype(np.int64)
    if np.abs((seconds - seconds[0]) / step - rows).max() > 0.01:
        raise InputError(f"times of {path} do not lie on a grid of {step:g} s")
    count = int(rows[-1]) + 1
    if count > MOST_ROWS:
        raise InputError(f"times of {path} span {count} steps; at most {MOST_ROWS} are read")
    return times[0].astimezone(CHINA), timedelta(seconds=step), rows, count


def until(monitor: Monitor, text: str) -> int:
    """The row at which learning ends."""
    time = instant(text)
    row = int(np.ceil((time - monitor.start) / monitor.step))
    if not 0 < row < len(monitor):
        raise InputError(
            f"--fit-until {text} must lie inside the file: {monitor.start.isoformat()} to "
            f"{monitor.end.isoformat()}"
        )
    return row
