"""Evaluation of ambient air over a period: HJ 663-2013 with GB 3095-2012, for stations and cities.

How sure: the rules and limits below come from memory of HJ 663-2013 and GB 3095-2012 table 4 and
agree with secondary pages; neither text was read. HJ 663-2026 (three-year sliding means,
exceptional events) is in force with GB 3095-2026 since 2026-03-01 and was not read: nothing here
evaluates by it, and `evaluate` refuses a year that ends after `UNTIL`.

* A day is valid with at least 20 hourly values; an 8-hour ozone mean with at least 6 of 8; the
  day's largest 8-hour mean with at least 14 of the 8-hour means that end from 8:00 to 24:00, or
  where it is above the limit anyway.
* A year is valid with at least 324 daily values, and at least 27 in each month (25 in February).
* The percentile: of n sorted values X(1) ... X(n), k = 1 + (n - 1) p / 100, s the whole part of k,
  m = X(s) + (X(s + 1) - X(s)) (k - s).
* A city's daily value is the mean of its stations' daily values, valid with at least 75 % of them;
  the year's statistics come from the city's daily values.
* Results are rounded by GB/T 8170 (half to even): µg/m³ to whole numbers, CO to one decimal.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

UNTIL: Final = date(2026, 2, 28)
DAY_HOURS: Final = 20
YEAR_DAYS: Final = 324
MONTH_DAYS: Final = 27
FEBRUARY_DAYS: Final = 25
STATIONS: Final = 0.75


@dataclass(frozen=True, slots=True)
class Item:
    """How a pollutant is evaluated: percentile of the daily values (98, 95 or 90), limits of class
    II for the year (None: no yearly mean) and the day, decimals of its unit.
    """

    percentile: int
    year_limit: float | None
    day_limit: float
    decimals: int = 0


ITEMS: Final = MappingProxyType(
    {
        "so2": Item(98, 60.0, 150.0),
        "no2": Item(98, 40.0, 80.0),
        "pm10": Item(95, 70.0, 150.0),
        "pm25": Item(95, 35.0, 75.0),
        "co": Item(95, None, 4.0, 1),
        "o3_8h": Item(90, None, 160.0),
    }
)
"""GB 3095-2012, class II (memory). `o3_8h`: the day's largest 8-hour mean. CO in mg/m³, the others
in µg/m³."""


def daily_mean(hours: ArrayLike) -> Floats:
    """Daily means of hourly values (days, 24), NaN for missing: (days,), NaN below 20 values."""
    h = np.asarray(hours, dtype=np.float64)
    good = np.isfinite(h)
    n = good.sum(axis=-1)
    total = np.where(good, h, 0.0).sum(axis=-1)
    return np.where(n >= DAY_HOURS, total / np.maximum(n, 1), np.nan)


def daily_ozone(hours: ArrayLike) -> Floats:
    """The largest 8-hour mean of each day: hourly ozone (days, 24) -> (days,).

    The 8-hour means are those that end from 8:00 to 24:00, 17 a day, so they stay within the day.
    """
    h = np.asarray(hours, dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(h, 8, axis=-1)
    good = np.isfinite(windows)
    n = good.sum(axis=-1)
    means = np.where(n >= 6, np.where(good, windows, 0.0).sum(axis=-1) / np.maximum(n, 1), -np.inf)
    top = means.max(axis=-1)
    enough = ((n >= 6).sum(axis=-1) >= 14) | (top > ITEMS["o3_8h"].day_limit)
    return np.where(enough & np.isfinite(top), top, np.nan)


def percentile(values: ArrayLike, p: float) -> float:
    """The p-th percentile of values, NaN left out; NaN where there are none.

    >>> percentile([1.0, 2.0, 3.0, 4.0, 5.0], 90)
    4.6
    """
    x = np.sort(np.asarray(values, dtype=np.float64).ravel())
    x = x[np.isfinite(x)]
    if not len(x):
        return float("nan")
    k = 1 + (len(x) - 1) * Decimal(str(p)) / 100
    s = int(k)
    if s >= len(x):
        return float(x[-1])
    return float(x[s - 1] + (x[s] - x[s - 1]) * float(k - s))


def city(stations: ArrayLike) -> Floats:
    """Daily values of a city: (stations, days, ...) -> (days, ...), NaN below 75 % of the stations."""
    x = np.sort(np.asarray(stations, dtype=np.float64), axis=0)  # sums do not depend on the order
    good = np.isfinite(x)
    n = good.sum(axis=0)
    total = np.where(good, x, 0.0).sum(axis=0)
    return np.where(n >= STATIONS * len(x), total / np.maximum(n, 1), np.nan)


def valid_year(year: int, days: ArrayLike) -> tuple[bool, tuple[int, ...]]:
    """Whether daily values (one each day of the year) make a valid year, and the days by month."""
    d = np.asarray(days, dtype=np.float64)
    length = 366 if calendar.isleap(year) else 365
    if d.shape != (length,):
        raise ValueError(f"{d.size} daily values for the {length} days of {year}")
    months = np.array([(date(year, 1, 1) + timedelta(days=i)).month for i in range(length)])
    counts = tuple(int(np.isfinite(d[months == m]).sum()) for m in range(1, 13))
    least = [FEBRUARY_DAYS if m == 2 else MONTH_DAYS for m in range(1, 13)]
    enough = all(n >= k for n, k in zip(counts, least, strict=True))
    return sum(counts) >= YEAR_DAYS and enough, counts


def rounded(item: str, value: float) -> float:
    """A concentration as it is published (GB/T 8170, half to even)."""
    if not np.isfinite(value):
        return float("nan")
    places = Decimal(1).scaleb(-ITEMS[item].decimals)
    # Twelve digits first: a mean of 72.5 must not become 72.49999999999999.
    return float(Decimal(f"{value:.12g}").quantize(places, rounding=ROUND_HALF_EVEN))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One pollutant, one year. `mean` and `percentile` are rounded; `reached` whether all limits
    are kept (None: the year is not valid); `over`: days above the daily limit; `single`: the single
    index of the composite index (mean / yearly limit; CO and ozone: percentile / daily limit).
    """

    item: str
    valid: bool
    days: int
    mean: float
    percentile: float
    over: int
    reached: bool | None
    single: float


def evaluate(year: int, item: str, days: ArrayLike) -> Evaluation:
    """Evaluate the daily values (NaN: not valid) of a station or a city in one calendar year.

    Raises ValueError for an unknown item, a wrong number of days, and a year that is not to be
    evaluated by HJ 663-2013 any more.
    """
    if item not in ITEMS:
        raise ValueError(f"item {item!r}: wanted one of {', '.join(ITEMS)}")
    if date(year, 12, 31) > UNTIL:
        raise ValueError(f"{year}: HJ 663-2013 ended on {UNTIL}; HJ 663-2026 is not implemented")
    d = np.asarray(days, dtype=np.float64)
    valid, counts = valid_year(year, d)
    rule = ITEMS[item]
    good = np.sort(d[np.isfinite(d)])
    mean = rounded(item, float(good.mean())) if len(good) else float("nan")
    high = rounded(item, percentile(good, rule.percentile))
    published = np.array([rounded(item, x) for x in good.tolist()])
    kept = high <= rule.day_limit and (rule.year_limit is None or mean <= rule.year_limit)
    single = high / rule.day_limit if rule.year_limit is None else mean / rule.year_limit
    return Evaluation(
        item=item,
        valid=valid,
        days=sum(counts),
        mean=mean,
        percentile=high,
        over=int((published > rule.day_limit).sum()),
        reached=bool(kept) if valid else None,
        single=single,
    )


def composite(evaluations: Mapping[str, Evaluation]) -> float:
    """The composite index: the sum of the six single indices; NaN where one is lacking.

    Source: technical rules for the ranking of cities (secondary).
    """
    if set(evaluations) != set(ITEMS):
        return float("nan")
    return float(sum(round(evaluations[k].single, 12) for k in sorted(ITEMS)))
