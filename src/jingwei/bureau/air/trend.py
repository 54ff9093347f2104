"""Trend of a factor: Theil-Sen with and without the season, and without the weather."""

from __future__ import annotations

import calendar as months
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from jingwei.analysis.air import normalise, statistics
from jingwei.bureau.air import readings
from jingwei.bureau.air.analysis import figure
from jingwei.bureau.air.readings import DIRECTION, SPEED, Days, Floats
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry.models import Point

YEAR = 365.25  # days
POINTS = 6  # means that a trend needs
SEASONS = 24  # months that taking the season out needs
WEATHER = ("a01001", "a01002", "a01006")  # temperature, humidity, pressure: where they are sent


@dataclass(frozen=True)
class Trend:
    """`times`: middle of each mean (ms since 1970); `value`: the means, deseasonalised where
    `season`; `found`: per year, None where there are too few means."""

    step: str
    times: list[int]
    value: Floats
    raw: Floats
    season: bool
    found: statistics.Trend | None
    block: int

    @property
    def known(self) -> int:
        return int(np.isfinite(self.raw).sum())

    @property
    def covered(self) -> int:
        """Days between the first and the last mean that is there."""
        known = np.flatnonzero(np.isfinite(self.raw))
        if not len(known):
            return 0
        return round((self.times[known[-1]] - self.times[known[0]]) / 86_400_000)

    @property
    def percent(self) -> tuple[float, float, float] | None:
        """Slope and interval as percent of the mean a year."""
        mean = float(np.nanmean(self.raw)) if self.known else 0.0
        if self.found is None or mean <= 0:
            return None
        f = self.found
        return 100 * f.slope / mean, 100 * f.low / mean, 100 * f.high / mean


def default_step(days: int) -> str:
    """The averaging that suits a period."""
    return "month" if days >= 730 else "week" if days >= 180 else "day"


def trend(d: Days, step: str, season: bool) -> Trend:
    """Means of days, weeks (5 valid days) or months (three quarters of their days), the slope of all
    pairs of them per year, its interval and p by a block bootstrap (blocks of n^(1/3) means)."""
    value = d.factor.value
    day = np.datetime64(d.first) + np.arange(len(value))
    if step == "day":
        means, middle = value, [d.first + timedelta(days=n) for n in range(len(value))]
    elif step == "week":
        period = (day.astype(np.int64) + 3) // 7
        found = statistics.averages(value, period, 5)
        means = found.mean
        middle = [date(1970, 1, 1) + timedelta(days=int(p) * 7) for p in found.period]
    else:
        period = day.astype("M8[M]").astype(np.int64)
        numbers = np.unique(period)
        first = [date(1970 + int(p) // 12, int(p) % 12 + 1, 1) for p in numbers]
        long = {
            int(p): months.monthrange(f.year, f.month)[1]
            for p, f in zip(numbers, first, strict=True)
        }
        found = statistics.averages(value, period, [0.75 * long[int(p)] for p in period])
        means, middle = found.mean, [f + timedelta(days=14) for f in first]
    raw = np.asarray(means, dtype=float)
    season = season and step == "month" and np.isfinite(raw).sum() >= SEASONS
    if season:
        try:
            means = statistics.deseasonalise(raw)
        except ValueError:
            season = False
    years = np.array([(m - middle[0]).days / YEAR for m in middle])
    known = int(np.isfinite(raw).sum())
    block = max(1, round(known ** (1 / 3)))
    slope = None
    if known >= POINTS:
        slope = statistics.theil_sen(years, means, block=block, draws=1000 if known <= 150 else 300)
    times = [round(day_start(m).timestamp()) * 1000 for m in middle]
    return Trend(step, times, np.asarray(means, dtype=float), raw, bool(season), slope, block)


def chart(t: Trend, name: str, unit: str) -> dict[str, Any]:
    """Means, and the line of the trend with those of its interval through the middle."""
    series = [
        {
            "name": _("%s without the season") % name if t.season else name,
            "unit": unit,
            "data": [[a, figure(v)] for a, v in zip(t.times, t.value, strict=True)],
        }
    ]
    if t.found is not None and len(t.times) > 1:
        years = (np.array(t.times) - t.times[0]) / (86_400_000 * YEAR)
        middle = float(np.median(years[np.isfinite(t.value)]))
        level = t.found.intercept + t.found.slope * middle
        for label, slope in (
            (_("Trend"), t.found.slope),
            (_("Lower bound (95 %)"), t.found.low),
            (_("Upper bound (95 %)"), t.found.high),
        ):
            known = np.flatnonzero(np.isfinite(t.value))
            ends = [
                [t.times[k], figure(level + slope * (float(years[k]) - middle))]
                for k in range(int(known[0]), int(known[-1]) + 1)
            ]
            series.append({"name": label, "unit": unit, "data": ends, "dashed": True})
    step = {"day": 1, "week": 7, "month": 31}[t.step] * 86_400_000
    return {"label": _("Trend of %s") % name, "step": step, "exact": "day", "series": series}


def without_weather(
    point: Point, wind: Point, code: str, first: date, last: date, now: datetime
) -> dict[str, Any]:
    """The weather-normalised course by week. Raises `NormaliseError`."""
    h = readings.hours(point, [code], first, last, now)
    at = readings.hours(wind, [SPEED, DIRECTION, *WEATHER], first, last, now)
    value = h.factors[code].value
    columns = [f.value for f in at.factors.values() if f.good]
    if not columns:
        raise normalise.NormaliseError("few")
    wall = h.local
    whole = wall.astype("M8[D]")
    clock = np.column_stack(
        [
            (wall - whole).astype(np.int64),
            (whole.astype(np.int64) + 3) % 7,
            (whole - wall.astype("M8[Y]").astype("M8[D]")).astype(np.int64),
        ]
    )
    found = normalise.normalise(np.arange(len(value)) / 24, value, clock, np.column_stack(columns))
    begin = h.times()[0]
    unit = h.factors[code].unit
    times = [round(begin + 86_400_000 * d) for d in found.days]
    years = found.days / YEAR
    slopes = [
        statistics.theil_sen(years, v).slope if np.isfinite(v).sum() >= POINTS else None
        for v in (found.measured, found.normal)
    ]
    return {
        "found": found,
        "explained": None if found.explained != found.explained else round(100 * found.explained),
        "measured": figure(slopes[0], 3),
        "normal": figure(slopes[1], 3),
        "names": [f.name for f in at.factors.values() if f.good],
        "rows": list(zip(times, found.measured.tolist(), found.normal.tolist(), strict=True)),
        "picture": {
            "label": _("Measured and without the weather"),
            "step": 7 * 86_400_000,
            "exact": "day",
            "series": [
                {
                    "name": name,
                    "unit": unit,
                    "dashed": dashed,
                    "data": [[a, figure(v)] for a, v in zip(times, some, strict=True)],
                }
                for name, some, dashed in (
                    (_("Measured"), found.measured, False),
                    (_("Without the weather"), found.normal, True),
                )
            ],
        },
    }
