"""A year of hourly air data in a file, evaluated by station and for the city (HJ 663-2013)."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Final

import numpy as np

from jingwei.standards import evaluation
from jingwei.standards.files import FileError

HOURLY: Final = {"so2": "so2", "no2": "no2", "pm10": "pm10", "pm25": "pm25", "co": "co", "o3": "o3_8h"}  # fmt: skip
"""Columns of the file, and the item that each is evaluated as (`evaluation.ITEMS`)."""
COLUMNS: Final = (
    "place", "item", "valid", "days", "mean", "percentile", "over", "reached", "single_index",
)  # fmt: skip
CITY: Final = "*"

Hours = dict[str, dict[str, evaluation.Floats]]  # by station and item: (days, 24)


def read(path: Path, year: int) -> tuple[Hours, Counter[str]]:
    """The hours of a year by station and item, NaN for missing; and why rows or values were left out.

    Columns `station`, `time` (local, the start of the hour: 2025-01-31 08:00) and those of
    `HOURLY`, in µg/m³ (CO: mg/m³). A value that is no number or negative is missing; of an hour that
    comes twice the last counts. Raises FileError for a file without these columns.
    """
    length = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    found: Hours = {}
    left: Counter[str] = Counter()
    with path.open(encoding="utf-8-sig", newline="") as f:
        reader = csv.DictReader(f)
        names = [c for c in HOURLY if c in (reader.fieldnames or ())]
        if not names or not {"station", "time"} <= set(reader.fieldnames or ()):
            raise FileError(
                f"{path}: wanted the columns station, time and some of {', '.join(HOURLY)}"
            )
        for row in reader:
            try:
                when = datetime.fromisoformat((row["time"] or "").strip())
            except ValueError:
                left["time that cannot be read"] += 1
                continue
            if when.tzinfo is not None or when.year != year:
                left["time with a zone" if when.tzinfo else "another year"] += 1
                continue
            day = (when.date() - date(year, 1, 1)).days
            items = found.setdefault((row["station"] or "").strip(), {})
            for name in names:
                table = items.setdefault(HOURLY[name], np.full((length, 24), np.nan))
                table[day, when.hour] = _number(row[name], left)
    return found, left


def _number(text: str | None, left: Counter[str]) -> float:
    if text is None or not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        left["value that is negative or no number"] += 1
        return math.nan
    return value


def evaluate(hours: Hours, year: int) -> Iterator[tuple[str, evaluation.Evaluation]]:
    """(station or `CITY`, evaluation), item by item. The city's from its stations' daily values."""
    daily = {
        station: {
            item: (evaluation.daily_ozone if item == "o3_8h" else evaluation.daily_mean)(table)
            for item, table in items.items()
        }
        for station, items in hours.items()
    }
    for station in sorted(daily):
        for item in sorted(daily[station]):
            yield station, evaluation.evaluate(year, item, daily[station][item])
    for item in sorted({i for items in daily.values() for i in items}):
        table = [items[item] for items in daily.values() if item in items]
        yield CITY, evaluation.evaluate(year, item, evaluation.city(table))


def write(path: Path, year: int, out: Path) -> tuple[int, Counter[str]]:
    """Evaluate a file; how many lines were written, and what was left out. Raises FileError, and
    ValueError for a year that HJ 663-2013 does not hold for."""
    hours, left = read(path, year)
    lines = list(evaluate(hours, year))
    with out.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(COLUMNS)
        for place, e in lines:
            reached = "" if e.reached is None else "yes" if e.reached else "no"
            writer.writerow(
                [place, e.item, "yes" if e.valid else "no", e.days, _text(e.mean),
                 _text(e.percentile), e.over, reached, _text(round(e.single, 4))]
            )  # fmt: skip
    return len(lines), left


def _text(x: float) -> str:
    return f"{x:g}" if math.isfinite(x) else ""
