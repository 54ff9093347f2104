"""Evaluation of a calendar year for stations and the city: HJ 663-2013, as far as it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from django.utils.translation import gettext as _

from jingwei.bureau.air import readings
from jingwei.bureau.air.analysis import figure
from jingwei.bureau.registry.models import Point
from jingwei.standards import air_year, aqi, evaluation


@dataclass(frozen=True)
class Row:
    """One pollutant of one place. `reached` and `over` are None where nothing is evaluated."""

    item: str
    valid: bool
    days: int
    mean: float | None
    percentile: float | None
    over: int | None
    reached: bool | None
    single: float | None

    @property
    def name(self) -> str:
        return name(self.item)

    @property
    def unit(self) -> str:
        return aqi.ITEMS[self.item].unit

    @property
    def rank(self) -> int:
        """Which percentile of the daily values."""
        return evaluation.ITEMS[self.item].percentile


def name(item: str) -> str:
    """The pollutant: ozone by its daily value."""
    return {
        "so2": "SO₂", "no2": "NO₂", "pm10": "PM10", "pm25": "PM2.5", "co": "CO",
        "o3_8h": _("O₃ (largest 8-hour mean)"),
    }[item]  # fmt: skip


@dataclass(frozen=True)
class Year:
    """The city's rows, and by station its own; `judged`: whether HJ 663-2013 holds for the year;
    `composite` index of the city, None where one pollutant lacks."""

    year: int
    judged: bool
    city: list[Row]
    stations: list[tuple[Point, dict[str, Row]]]
    composite: float | None


def evaluate(points: list[Point], year: int, now: datetime) -> Year:
    """Read and evaluate. A year that HJ 663-2013 does not hold for gets its figures and no verdict."""
    tables = readings.year(points, year, now)
    keyed = {str(pk): items for pk, items in tables.items()}
    judged = date(year, 12, 31) <= evaluation.UNTIL
    found: dict[str, dict[str, Row]] = {}
    composite = None
    if judged:
        city: dict[str, evaluation.Evaluation] = {}
        for place, e in air_year.evaluate(keyed, year):
            found.setdefault(place, {})[e.item] = Row(
                e.item, e.valid, e.days, figure(e.mean), figure(e.percentile), e.over, e.reached,
                figure(e.single, 3),
            )  # fmt: skip
            if place == air_year.CITY:
                city[e.item] = e
        composite = figure(evaluation.composite(city), 3)
    else:
        for place, items in _daily(keyed).items():
            found[place] = {item: _described(year, item, days) for item, days in items.items()}
    stations = [(p, found[str(p.pk)]) for p in points if str(p.pk) in found]
    order = [i for i in evaluation.ITEMS if i in found.get(air_year.CITY, {})]
    rows = [found[air_year.CITY][i] for i in order]
    return Year(year, judged, rows, stations, composite)


def _daily(hours: air_year.Hours) -> dict[str, dict[str, readings.Floats]]:
    """Daily values by place and item, those of the city among them."""
    daily = {
        place: {
            item: (evaluation.daily_ozone if item == "o3_8h" else evaluation.daily_mean)(table)
            for item, table in items.items()
        }
        for place, items in hours.items()
    }
    if daily:
        daily[air_year.CITY] = {
            item: evaluation.city([d[item] for d in daily.values() if item in d])
            for item in evaluation.ITEMS
            if any(item in d for d in daily.values())
        }
    return daily


def _described(year: int, item: str, days: readings.Floats) -> Row:
    valid, counts = evaluation.valid_year(year, days)
    good = days[np.isfinite(days)]
    mean = evaluation.rounded(item, float(np.sort(good).mean())) if len(good) else np.nan
    high = evaluation.percentile(good, evaluation.ITEMS[item].percentile)
    return Row(
        item, valid, sum(counts), figure(mean), figure(evaluation.rounded(item, high)), None, None,
        None,
    )  # fmt: skip
