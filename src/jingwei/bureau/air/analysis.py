"""From hours to what the pages of analysis show: averages, courses, calendar. Computes, reads nothing."""

from __future__ import annotations

import calendar as months
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from jingwei.analysis.air import statistics
from jingwei.bureau.air.readings import Factor, Hours
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.monitoring.selectors import AQI_FACTORS
from jingwei.bureau.registry.models import Point
from jingwei.standards import aqi, evaluation, units

Floats = npt.NDArray[np.float64]
OZONE = "a05024"
SHARE = 0.75  # of the hours of a week or month that must be valid for a mean
AVERAGES = ("hour", "day", "day8", "week", "month")


def figure(value: float | None, digits: int = 4) -> float | None:
    """A number as it is shown; None for none."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class Line:
    """A factor averaged: starts of the periods (ms since 1970), means (None: too few), valid hours."""

    factor: Factor
    label: str
    times: list[int]
    means: list[float | None]
    counts: list[int]


def averaged(h: Hours, factor: Factor, average: str) -> Line:
    """Hour as it is; day by HJ 663 (20 valid hours; `day8`: of ozone the largest 8-hour mean); week
    and month with three quarters of their hours."""
    if average == "hour":
        means = [figure(v) for v in factor.value]
        return Line(factor, factor.name, h.times(), means, [int(m is not None) for m in means])
    if average in ("day", "day8"):
        values = days(factor, eight=average == "day8")
        first = h.first
        times = [_millis(first + timedelta(days=d)) for d in range(len(values))]
        counts = np.isfinite(factor.value.reshape(-1, 24)).sum(axis=1)
        eight = average == "day8" and factor.code == OZONE
        label = _("%s, largest 8-hour mean") % factor.name if eight else factor.name
        return Line(factor, label, times, [figure(v) for v in values], counts.tolist())
    day = h.local.astype("M8[D]")
    if average == "week":
        period = (day.astype(np.int64) + 3) // 7  # weeks begin on Monday
        least = np.full(len(day), SHARE * 168)
        starts = [date(1969, 12, 29) + timedelta(weeks=int(p)) for p in np.unique(period)]
    else:
        period = h.local.astype("M8[M]").astype(np.int64)
        starts = [date(1970 + int(p) // 12, int(p) % 12 + 1, 1) for p in np.unique(period)]
        long = {
            int(p): months.monthrange(s.year, s.month)[1]
            for p, s in zip(np.unique(period), starts, strict=True)
        }
        least = np.array([SHARE * 24 * long[int(p)] for p in period])
    found = statistics.averages(factor.value, period, least)
    return Line(
        factor,
        factor.name,
        [_millis(s) for s in starts],
        [figure(v) for v in found.mean],
        found.count.tolist(),
    )


def days(factor: Factor, *, eight: bool) -> Floats:
    """Daily values by HJ 663: the mean of 20 hours or more; `eight`: of ozone the largest 8-hour mean."""
    table = factor.value.reshape(-1, 24)
    if not (eight and factor.code == OZONE):
        return evaluation.daily_mean(table)
    # The rule counts a short day whose largest mean is above the limit of 160 µg/m³.
    scale = units.scale(factor.unit, "µg/m³") or 1.0
    return np.asarray(evaluation.daily_ozone(table * scale) / scale)


def _millis(day: date) -> int:
    return round(day_start(day).timestamp()) * 1000


def chart(lines: list[Line], average: str, h: Hours) -> dict[str, Any]:
    """Options of `console/chart.js`; factors of a second unit go to a second axis."""
    kinds = list(dict.fromkeys(x.factor.unit for x in lines))
    step = {"hour": 3_600_000, "day": 86_400_000, "day8": 86_400_000, "week": 7 * 86_400_000}
    return {
        "label": " · ".join([h.point.name, *(x.label for x in lines)]),
        "step": step.get(average, 31 * 86_400_000),
        "exact": "minute" if average == "hour" else "day",
        "series": [
            {
                "name": x.label,
                "unit": x.factor.unit,
                "axis": min(kinds.index(x.factor.unit), 1),
                "data": [list(row) for row in zip(x.times, x.means, strict=True)],
            }
            for x in lines
        ],
    }


@dataclass(frozen=True)
class Cycle:
    """The course over a cycle: names of its places, by factor the course."""

    key: str
    title: str
    places: list[str]
    courses: list[tuple[Factor, statistics.Course]]

    def rows(self) -> list[tuple[str, list[tuple[int, float | None, float | None, float | None]]]]:
        """By place: count, mean, low and high of each factor."""
        return [
            (
                name,
                [
                    (int(c.count[n]), figure(c.mean[n]), figure(c.low[n]), figure(c.high[n]))
                    for _f, c in self.courses
                ],
            )
            for n, name in enumerate(self.places)
        ]


def weekdays() -> list[str]:
    return [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")]


def month_names() -> list[str]:
    return [
        _("Jan"), _("Feb"), _("Mar"), _("Apr"), _("May"), _("Jun"),
        _("Jul"), _("Aug"), _("Sep"), _("Oct"), _("Nov"), _("Dec"),
    ]  # fmt: skip


def cycles(h: Hours) -> list[Cycle]:
    """Variation by hour of the day, weekday and month (this only over more than one month)."""
    day = h.local.astype("M8[D]").astype(np.int64)
    clock = (h.local - h.local.astype("M8[D]")).astype(np.int64)
    month = h.local.astype("M8[M]").astype(np.int64) % 12
    wanted = [
        ("hour", _("By hour of the day"), clock, [f"{n:02}" for n in range(24)]),
        ("weekday", _("By weekday"), (day + 3) % 7, weekdays()),
    ]
    if len(np.unique(month)) > 1:
        wanted.append(("month", _("By month"), month, month_names()))
    found = []
    for key, title, place, names in wanted:
        courses = [
            (f, statistics.course(f.value, place, len(names))) for f in h.factors.values() if f.good
        ]
        if courses:
            found.append(Cycle(key, title, names, courses))
    return found


def bands(cycle: Cycle) -> dict[str, Any]:
    """A cycle for the picture: one factor in its unit, several as multiples of their own means."""
    several = len(cycle.courses) > 1
    series = []
    for factor, course in cycle.courses:
        by = float(np.nanmean(factor.value)) if several else 1.0
        by = by if by else 1.0
        series.append(
            {
                "name": factor.name,
                "unit": "" if several else factor.unit,
                "mean": [figure(v / by) for v in course.mean],
                "low": [figure(v / by) for v in course.low],
                "high": [figure(v / by) for v in course.high],
                "count": course.count.tolist(),
            }
        )
    unit = _("multiple of its mean") if several else cycle.courses[0][0].unit
    return {"label": cycle.title, "places": cycle.places, "unit": unit, "series": series}


def calendar(h: Hours, factor: Factor) -> dict[str, Any]:
    """Daily values as HJ 663 takes them; of the six pollutants with the level of HJ 633 by the text
    in force on the day."""
    values = days(factor, eight=True)
    item = AQI_FACTORS.get(factor.code)
    scale = units.scale(factor.unit, aqi.ITEMS[item].unit) if item else None
    rated = item and scale and h.point.kind == Point.Kind.AIR_STATION
    rows = []
    counts = np.isfinite(factor.value.reshape(-1, 24)).sum(axis=1).tolist()
    for n, (value, count) in enumerate(zip(values.tolist(), counts, strict=True)):
        day = h.first + timedelta(days=n)
        level = None
        if rated and value == value:
            level = _level(item, value * scale, day)
        rows.append({"day": day, "value": figure(value, 3), "count": count, "level": level})
    eight = factor.code == OZONE
    return {
        "factor": factor,
        "label": _("%s, largest 8-hour mean") % factor.name if eight else factor.name,
        "rows": rows,
        "rated": bool(rated),
        "picture": {
            "label": _("Calendar of daily values: %s") % factor.name,
            "range": [h.first.isoformat(), h.last.isoformat()],
            "unit": factor.unit,
            "weekdays": [weekdays()[6], *weekdays()[:6]],
            "months": month_names(),
            "rated": bool(rated),
            "data": [
                [r["day"].isoformat(), r["value"], r["level"]]
                for r in rows
                if r["value"] is not None
            ],
        },
    }


def _level(item: str, value: float, day: date) -> int | None:
    """The level of a day's value: ozone by its 8-hour mean."""
    found = aqi.daily({"o3_8h" if item == "o3" else item: value}, aqi.edition(day))
    part = next(iter(found.iaqi.values()), None)
    return None if part is None else aqi.level(part)


def csv_rows(h: Hours, lines: list[Line]) -> tuple[list[str], list[list[Any]]]:
    """The averaged series as a table: time and, by factor, mean and valid hours."""
    header = [_("Time")]
    for x in lines:
        header += [f"{x.label} ({x.factor.unit})", _("Valid hours")]
    rows = []
    for n, time in enumerate(lines[0].times if lines else []):
        row: list[Any] = [datetime.fromtimestamp(time / 1000, h.start.tzinfo)]
        for x in lines:
            row += [x.means[n], x.counts[n]]
        rows.append(row)
    return header, rows
