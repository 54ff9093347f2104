"""The hours of a point as the pages of analysis take them: on a grid without holes, faults left out.

Hours are what the lake holds, checked as the judgement checks them (number, mark, clock, range,
standing still); of a pollution source the standing judgements come before the lake, so that what an
enterprise marked and what was made from minutes counts here as it counts there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.utils import timezone

from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.monitoring.observations import (
    HOUR,
    check,
    check_flat,
    current_code,
    day_start,
    read,
    value_unit,
)
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.lake import Lake

Floats = npt.NDArray[np.float64]
SPEED, DIRECTION = "a01007", "a01008"


@dataclass(frozen=True)
class Factor:
    """One factor over the hours. `left`: values that came and may not be used; `missing`: hours over
    of which nothing came."""

    code: str
    name: str
    unit: str
    value: Floats
    left: int
    missing: int

    @property
    def good(self) -> int:
        return int(np.isfinite(self.value).sum())

    @property
    def due(self) -> int:
        return self.good + self.left + self.missing

    @property
    def share(self) -> float:
        """Valid hours in percent of those due, rounded down to a tenth: 100 means all."""
        return 1000 * self.good // self.due / 10


@dataclass(frozen=True)
class Hours:
    """Factors of one point over the hours from `first` to `last` (local days, both included)."""

    point: Point
    first: date
    last: date
    local: npt.NDArray[np.datetime64]  # wall clock of each hour's start
    start: datetime
    factors: dict[str, Factor]

    def times(self) -> list[int]:
        """Starts of the hours, ms since 1970."""
        begin = round(self.start.timestamp()) * 1000
        return [begin + 3_600_000 * h for h in range(len(self.local))]


def grid(first: date, last: date) -> tuple[datetime, int, npt.NDArray[np.datetime64]]:
    """Start, number and wall clock of the hours of some local days."""
    start = day_start(first)
    count = round((day_start(last + timedelta(days=1)) - start).total_seconds() / HOUR)
    wall = np.datetime64(timezone.localtime(start).replace(tzinfo=None), "h")
    return start, count, wall + np.arange(count)


def hours(point: Point, codes: list[str], first: date, last: date, now: datetime) -> Hours:
    """The hours of some factors (codes of 2017). Reads hours alone, and one point's."""
    start, count, local = grid(first, last)
    table = read(Lake(settings.ENV.lake), "hour", start, start + timedelta(hours=count), [point])
    series = table.get(point.pk, {})
    check(point, series, {})
    check_flat(point, series)
    begin = int(start.timestamp())
    over = min(count, max(0, int((now.timestamp() - begin) // HOUR)))
    found = {}
    standing = _standing(point, start, count) if point.kind == Point.Kind.SOURCE else {}
    for code in codes:
        value = np.full(count, np.nan)
        seen = np.zeros(count, dtype=bool)
        column = series.get(code)
        if column is not None:
            at = (column.time - begin) // HOUR
            whole = column.time % HOUR == begin % HOUR
            seen[at[whole]] = True
            value[at[whole]] = np.where(column.fault == 0, column.value, np.nan)[whole]
        for hour, cells in standing.items():
            if (cell := cells.get(code)) is not None:
                seen[hour] = True
                good = not cell.get("fault") and cell["value"] is not None
                value[hour] = cell["value"] if good else np.nan
        came = int(seen.sum())
        good = int(np.isfinite(value).sum())
        found[code] = Factor(
            code,
            factor_name(code),
            value_unit(code, point),
            value,
            came - good,
            max(0, over - int(seen[:over].sum())),
        )
    return Hours(point, first, last, local, start, found)


def _standing(point: Point, start: datetime, count: int) -> dict[int, dict[str, Any]]:
    """What stands of a point's hours, by place on the grid."""
    rows = Judgement.objects.filter(
        point=point,
        period="hour",
        stands=True,
        time__gte=start,
        time__lt=start + timedelta(hours=count),
    ).values_list("time", "factors")
    return {round((time - start).total_seconds() / HOUR): cells for time, cells in rows}


def offered(point: Point) -> list[str]:
    """Factors (codes of 2017) that the point is registered to send, each once; not the direction of
    the wind, of which an arithmetic mean says nothing."""
    found = dict.fromkeys(current_code(f, point.version) for f in point.factors)
    return [f for f in found if f != DIRECTION]
