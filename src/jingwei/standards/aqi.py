"""The ambient air quality index: HJ 633-2012 (with GB 3095-2012) and HJ 633-2026 (GB 3095-2026).

The date of the value decides which text applies: HJ 633-2026 is in force since 2026-03-01.

How sure: the table and the rules of 2026 come from five independent implementations that agree,
the official text was not read (secondary). Those of 2012 reproduce every complete row of three
hours of the national feed (see `docs/validation/aqi.md`).

Both texts, in short:

* concentrations are rounded first (GB/T 8170, half to even): µg/m³ to whole numbers, CO (mg/m³)
  to one decimal;
* IAQI between two breakpoints is linear and rounded up to a whole number;
* AQI is the largest IAQI; the items that have it are the primary pollutants, unless it is at
  most 50; above the table the IAQI is 500;
* the hourly report judges the 1-hour means of particles by the breakpoints of the daily table;
* 2012: SO2 above 800 µg/m³ in an hour is reported by its 24-hour mean, ozone above 800 µg/m³
  in 8 hours by its 1-hour value; 2026: IAQI 200 and 300 instead;
* 2026: where an item is missing and the rest gives at most 100, no AQI is published; above 100 it
  is. The text of 2012 says nothing of missing items: none is published then.

One table (`data/aqi_breakpoints.csv`) serves the exact scalar functions and the array function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jingwei.standards import tables

Edition = Literal["2012", "2026"]
Period = Literal["hour", "day"]

IN_FORCE_2026: Final = date(2026, 3, 1)
INDEX: Final = (0, 50, 100, 150, 200, 300, 400, 500)


@dataclass(frozen=True, slots=True)
class Level:
    """A class of the index: `upper` is its last AQI; `colour` as HJ 633 appendix A prints it."""

    number: int
    zh: str
    en: str
    upper: int
    colour: str


LEVELS: Final = (
    Level(1, "优", "Excellent", 50, "#00e400"),
    Level(2, "良", "Good", 100, "#ffff00"),
    Level(3, "轻度污染", "Lightly polluted", 150, "#ff7e00"),
    Level(4, "中度污染", "Moderately polluted", 200, "#ff0000"),
    Level(5, "重度污染", "Heavily polluted", 300, "#99004c"),
    Level(6, "严重污染", "Severely polluted", 500, "#7e0023"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A pollutant of the index. `decimals`: places that its concentration is rounded to."""

    key: str
    zh: str
    en: str
    unit: str
    decimals: int = 0


ITEMS: Final = MappingProxyType(
    {
        i.key: i
        for i in (
            Item("pm10", "颗粒物(PM10)", "PM10", "µg/m³"),
            Item("pm25", "细颗粒物(PM2.5)", "PM2.5", "µg/m³"),
            Item("so2", "二氧化硫", "SO2", "µg/m³"),
            Item("no2", "二氧化氮", "NO2", "µg/m³"),
            Item("co", "一氧化碳", "CO", "mg/m³", 1),
            Item("o3", "臭氧1小时", "O3 1 h", "µg/m³"),
            Item("o3_8h", "臭氧8小时", "O3 8 h", "µg/m³"),
        )
    }
)
HOURLY: Final = ("pm10", "pm25", "so2", "no2", "co", "o3")
DAILY: Final = ("pm10", "pm25", "so2", "no2", "co", "o3_8h")


@dataclass(frozen=True, slots=True)
class Aqi:
    """An index. `value` and `level` are None where it may not be published; `missing` says why.

    `primary` holds item keys in the order of `HOURLY`/`DAILY`; `iaqi` all that could be computed.
    A value with `missing` items (2026, above 100) is a lower bound of the true one.
    """

    value: int | None
    level: int | None
    primary: tuple[str, ...]
    iaqi: dict[str, int]
    missing: tuple[str, ...]
    edition: str

    @property
    def label(self) -> Level | None:
        """The class with its names and colour."""
        return LEVELS[self.level - 1] if self.level else None


def edition(day: date) -> Edition:
    """The text that judges a value of that day (a date, or a time in local time)."""
    return "2026" if (day.year, day.month, day.day) >= (2026, 3, 1) else "2012"


def level(value: int) -> int:
    """The class 1..6 of an AQI (HJ 633, table 2). Raises ValueError for a negative one."""
    if value < 0:
        raise ValueError(f"AQI {value}: an index is not negative")
    return next((x.number for x in LEVELS if value <= x.upper), 6)


@dataclass(frozen=True, slots=True)
class _Row:
    points: tuple[int, ...]  # breakpoints in units of 10**-decimals
    above: int | str  # IAQI above the last one, or the item that takes over


@cache
def _table() -> dict[tuple[str, str, str], _Row]:
    found: dict[tuple[str, str, str], _Row] = {}
    for r in tables.read("aqi_breakpoints.csv"):
        scale = 10 ** ITEMS[r["item"]].decimals
        points = tuple(int(r[f"iaqi_{i}"]) * scale for i in INDEX if r[f"iaqi_{i}"])
        above = int(r["above"]) if r["above"].isdigit() else r["above"]
        found[r["edition"], r["period"], r["item"]] = _Row(points, above)
    return found


def _row(item: str, edition: str, period: str) -> _Row:
    try:
        return _table()[edition, period, item]
    except KeyError:
        raise ValueError(
            f"no IAQI of {item!r} by the {period} in the edition {edition!r}"
        ) from None


def breakpoints(item: str, edition: str = "2026", period: str = "hour") -> tuple[float, ...]:
    """The concentrations at IAQI 0, 50, 100, 150, 200, 300, 400, 500 (fewer where the table ends)."""
    scale = 10 ** ITEMS[item].decimals
    return tuple(p / scale for p in _row(item, edition, period).points)


def rounded(item: str, concentration: float) -> Decimal:
    """The concentration as the texts round it (GB/T 8170, half to even)."""
    places = Decimal(1).scaleb(-ITEMS[item].decimals)
    return Decimal(str(concentration)).quantize(places, rounding=ROUND_HALF_EVEN)


def iaqi(
    item: str, concentration: float, edition: str = "2026", period: str = "hour"
) -> int | None:
    """The individual index of one concentration (HJ 633, formula 1), exactly.

    `concentration` in the item's unit. None where the edition of 2012 hands the item over to
    another mean (SO2 over 800 µg/m³ in an hour, ozone over 800 µg/m³ in 8 hours). Raises
    ValueError for a negative or non-finite concentration and for an item that the period lacks.
    """
    row = _row(item, edition, period)
    if not math.isfinite(concentration) or concentration < 0:
        raise ValueError(f"{item} {concentration}: a concentration is a number from 0 on")
    value = int(rounded(item, concentration).scaleb(ITEMS[item].decimals))
    if value > row.points[-1]:
        return row.above if isinstance(row.above, int) else None
    for i in range(1, len(row.points)):
        low, high = row.points[i - 1], row.points[i]
        if value <= high:
            part = (INDEX[i] - INDEX[i - 1]) * (value - low)
            return INDEX[i - 1] - (-part // (high - low))
    raise AssertionError("breakpoints start at zero")


def _usable(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _index(
    values: Mapping[str, float | None], edition: str, period: Period, items: tuple[str, ...]
) -> Aqi:
    found: dict[str, int] = {}
    missing: list[str] = []
    for item in items:
        value = _usable(values.get(item))
        index = None if value is None else iaqi(item, value, edition, period)
        if value is not None and index is None:
            other = _row(item, edition, period).above
            more = _usable(values.get(str(other)))
            if more is not None:
                index = (
                    iaqi("so2", more, edition, "day")
                    if other == "so2_24h"
                    else iaqi("o3", more, edition, "hour")
                )
        if index is None:
            missing.append(item)
        else:
            found[item] = index
    top = max(found.values(), default=None)
    published = top is not None and (not missing or (edition == "2026" and top > 100))
    value = top if published else None
    return Aqi(
        value=value,
        level=None if value is None else level(value),
        primary=tuple(i for i in items if found.get(i) == value and value > 50) if value else (),
        iaqi=found,
        missing=tuple(missing),
        edition=edition,
    )


def hourly(values: Mapping[str, float | None], edition: str = "2026") -> Aqi:
    """The index of one hour from 1-hour means: `pm25`, `pm10`, `so2`, `no2`, `o3` in µg/m³, `co`
    in mg/m³, and for the edition of 2012 `so2_24h` in case SO2 is above 800 µg/m³.

    None, NaN and negative values count as missing.
    """
    return _index(values, edition, "hour", HOURLY)


def daily(values: Mapping[str, float | None], edition: str = "2026") -> Aqi:
    """The index of one day from 24-hour means (`pm25`, `pm10`, `so2`, `no2` in µg/m³, `co` in
    mg/m³) and the largest 8-hour mean of ozone `o3_8h`; for the edition of 2012 also the largest
    1-hour value `o3`, which is used where `o3_8h` is above 800 µg/m³ only.
    """
    return _index(values, edition, "day", DAILY)


def iaqi_array(
    item: str, concentration: ArrayLike, edition: str = "2026", period: str = "hour"
) -> NDArray[np.int16]:
    """`iaqi` for an array of any shape; -1 where the value is missing (NaN), negative, infinite
    or handed over to another mean.
    """
    row = _row(item, edition, period)
    c = np.asarray(concentration, dtype=np.float64)
    ok = np.isfinite(c) & (c >= 0)
    # The inner rounding takes the binary error off what is a half in decimal (0.35 * 10).
    scaled = np.rint(np.round(np.where(ok, c, 0.0) * 10 ** ITEMS[item].decimals, 6))
    top = row.points[-1]
    value = np.minimum(scaled, top + 1).astype(np.int64)
    points = np.array(row.points, dtype=np.int64)
    index = np.array(INDEX[: len(points)], dtype=np.int64)
    i = np.clip(np.searchsorted(points, value, side="left"), 1, len(points) - 1)
    low, high = points[i - 1], points[i]
    result = index[i - 1] - (-(index[i] - index[i - 1]) * (value - low) // (high - low))
    result = np.where(value > top, row.above if isinstance(row.above, int) else -1, result)
    return np.asarray(np.where(ok, result, -1), dtype=np.int16)


@dataclass(frozen=True, slots=True)
class AqiArray:
    """`value` and `level` (-1 and 0: none); `primary[item]` and `missing[item]`: masks."""

    value: NDArray[np.int16]
    level: NDArray[np.int8]
    primary: dict[str, NDArray[np.bool_]]
    missing: dict[str, NDArray[np.bool_]]


def index_array(
    values: Mapping[str, ArrayLike], edition: str = "2026", period: Period = "hour"
) -> AqiArray:
    """`hourly` or `daily` for arrays of one shape (n,), by item key; an absent key is all missing."""
    items = HOURLY if period == "hour" else DAILY
    shape = next((np.shape(v) for v in values.values()), (0,))
    nothing = np.full(shape, np.nan)
    found: dict[str, NDArray[np.int16]] = {}
    for item in items:
        c = np.asarray(values.get(item, nothing), dtype=np.float64)
        index = iaqi_array(item, c, edition, period)
        other = _row(item, edition, period).above
        if isinstance(other, str) and other in values:
            over = np.isfinite(c) & (c > 0) & (index < 0)
            index = np.where(
                over,
                iaqi_array("so2", values[other], edition, "day")
                if other == "so2_24h"
                else iaqi_array("o3", values[other], edition, "hour"),
                index,
            )
        found[item] = index
    stacked = np.stack([found[i] for i in items])
    top = stacked.max(axis=0)
    lacking = (stacked < 0).any(axis=0)
    hidden = lacking & (top <= 100) if edition == "2026" else lacking
    value = np.where(hidden, np.int16(-1), top).astype(np.int16)
    uppers = np.array([x.upper for x in LEVELS])
    number = np.searchsorted(uppers, value, side="left") + 1
    return AqiArray(
        value=value,
        level=np.where(value < 0, 0, np.minimum(number, 6)).astype(np.int8),
        primary={i: (found[i] == value) & (value > 50) for i in items},
        missing={i: found[i] < 0 for i in items},
    )
