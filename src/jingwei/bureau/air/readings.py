"""The hours of a point as the pages of analysis take them: on a grid without holes, faults left out.

Hours are what the lake holds, checked as the judgement checks them (number, mark, clock, range,
standing still); of a pollution source the standing judgements come before the lake, so that what an
enterprise marked and what was made from minutes counts here as it counts there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.utils import timezone

from jingwei.analysis import validity
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.monitoring.observations import (
    HOUR,
    SIGNED,
    check,
    check_flat,
    current_code,
    day_start,
    normal_marks,
    read,
    sent_code,
    value_unit,
)
from jingwei.bureau.monitoring.selectors import AQI_FACTORS
from jingwei.bureau.registry.models import Point
from jingwei.standards import aqi, evaluation, units
from jingwei.telemetry.lake import Lake

Floats = npt.NDArray[np.float64]
SPEED, DIRECTION = "a01007", "a01008"
BY_HOUR = 366  # days of which daily means are made from the hours themselves


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
    seen: npt.NDArray[np.bool_] | None = None  # where anything came

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
            seen,
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


@dataclass(frozen=True)
class Days:
    """Daily means of one factor from `first` on, NaN where not valid (fewer than 20 valid hours).
    `left`: days that came and may not be used; `missing`: days of which nothing came; `rolled`: read
    from sums of closed days, whose marked days are left out whole."""

    point: Point
    factor: Factor
    first: date
    last: date
    left: int
    missing: int
    rolled: bool


def daily(point: Point, code: str, first: date, last: date, now: datetime) -> Days:
    """Daily means: of up to a year from the hours, of more from the lake's roll-ups by day."""
    start, count, _local = grid(first, last)
    length = count // 24
    over = min(length, max(0, (timezone.localtime(now).date() - first).days))
    if length <= BY_HOUR:
        hour = hours(point, [code], first, last, now).factors[code]
        value = evaluation.daily_mean(hour.value.reshape(-1, 24))
        assert hour.seen is not None
        came = hour.seen.reshape(-1, 24).any(axis=1)
    else:
        value = np.full(length, np.nan)
        came = np.zeros(length, dtype=bool)
        sent = sent_code(code, point.version)
        rows = Lake(settings.ENV.lake).rollup(
            "hour", "day", start, start + timedelta(hours=count), [(point.mn, point.st)], [sent]
        )
        signed = value_unit(code, point) in SIGNED
        for row in rows.to_pylist():
            at = round((row["time"] - start).total_seconds() / 86400)
            came[at] = row["received"] > 0
            sound = not row["marked"] and (signed or (row["min"] or 0) >= 0)
            if sound and row["count"] >= evaluation.DAY_HOURS:
                value[at] = row["mean"]
    missing = int((~came[:over]).sum())
    factor = Factor(code, factor_name(code), value_unit(code, point), value, 0, missing)
    left = int((~np.isfinite(value[:over])).sum()) - missing
    return Days(point, factor, first, last, max(left, 0), missing, length > BY_HOUR)


def year(points: Iterable[Point], wanted: int, now: datetime) -> dict[int, dict[str, Floats]]:
    """The six pollutants of the stations over a calendar year as HJ 663 takes them: by point and
    item (`evaluation.ITEMS`) hours (days, 24) in the item's unit, NaN where not valid. Reads hours
    alone, month by month; marks, negative values and wrong clocks are left out."""
    first = date(wanted, 1, 1)
    start, count, _local = grid(first, date(wanted, 12, 31))
    begin = int(start.timestamp())
    found: dict[int, dict[str, Floats]] = {}
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.version, []).append(point)
    for version, some in groups.items():
        place = {(p.mn, p.st): p for p in some}
        normal = normal_marks(version)
        sent = {sent_code(code, version): code for code in AQI_FACTORS}
        for month in range(1, 13):
            low = day_start(date(wanted, month, 1))
            high = day_start(date(wanted + month // 12, month % 12 + 1, 1))
            if low > now:
                break
            rows = Lake(settings.ENV.lake).scan("hour", low, high, list(place), list(sent))
            for point_key, factor, at, value in _sound(rows, normal):
                point = place[point_key]
                item = AQI_FACTORS[sent[factor]]
                item = "o3_8h" if item == "o3" else item
                scale = units.scale(value_unit(sent[factor], point), aqi.ITEMS[item].unit)
                if not scale:
                    continue
                tables = found.setdefault(point.pk, {})
                table = tables.setdefault(item, np.full((count // 24, 24), np.nan))
                table.reshape(-1)[(at - begin) // HOUR] = value * scale
    return found


def _sound(
    rows: Any, normal: frozenset[str]
) -> Iterator[tuple[tuple[str, str], str, npt.NDArray[np.int64], Floats]]:
    """The usable values of a scan by (mn, st) and factor: key, factor, seconds, values."""
    if not len(rows):
        return
    names = [rows.column(c).combine_chunks().dictionary_encode() for c in ("mn", "st", "factor")]
    keys = [np.asarray(c.indices) for c in names]
    words = [c.dictionary.to_pylist() for c in names]
    value = rows.column("value").to_numpy()
    time, came = (
        rows.column(c).cast("int64").to_numpy() // 1_000_000 for c in ("time", "received")
    )
    flag = rows.column("flag").combine_chunks().fill_null("").dictionary_encode()
    allowed = np.array([f in normal for f in flag.dictionary.to_pylist()])
    good = allowed[np.asarray(flag.indices)] & (time % HOUR == 0)
    good &= (validity.check(value) == 0) & (validity.clock(time, came) == 0)
    cut = np.zeros(len(value), dtype=bool)
    cut[0] = True
    for key in keys:
        cut[1:] |= key[1:] != key[:-1]
    begins = np.flatnonzero(cut)
    for a, b in zip(begins.tolist(), [*begins[1:].tolist(), len(value)], strict=True):
        mn, st, factor = (w[k[a]] for w, k in zip(words, keys, strict=True))
        use = good[a:b]
        if use.any():
            yield (mn, st), factor, time[a:b][use], value[a:b][use]
