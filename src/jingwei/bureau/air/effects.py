"""What a response to heavy pollution changed: what was measured against what the same weather would have
given without it, and what the monitors of the stacks say they emitted before and during it.

`question` reads the database, `compute` does not, so that it can run in a thread; `emissions` reads for a page.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Count, Sum
from django.utils import timezone

from jingwei.analysis.air import response
from jingwei.analysis.air.forecast import history
from jingwei.analysis.air.forecast.history import WEATHER, History
from jingwei.analysis.air.normalise import NormaliseError
from jingwei.bureau.air import forecasting
from jingwei.bureau.air.forecasting import ForecastError, Station
from jingwei.bureau.air.models import Episode
from jingwei.bureau.air.tracing import RefusedError
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.models import EmissionDay
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry.models import Enterprise, Point

POLLUTANTS = ("PM2.5", "PM10", "NO2", "SO2", "CO")  # ozone is formed, not emitted
EMITTED = ("a21026", "a21002", "a34013")
AROUND = timedelta(days=365)  # learned from, before and after
SHOWN = 3  # days around the response in the picture
BEFORE = 14  # days that the emissions are compared with
COVERED = 0.75  # of the days must have a mass
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """Days of the response (both included), and of the other responses around it."""

    first: date
    last: date
    others: list[tuple[date, date]]
    stations: list[Station]
    now: Any


def span(row: Episode) -> tuple[date, date]:
    """The days on which the warning was in force: to its last day, or to that on which it was lifted."""
    if row.ended is not None:
        lifted = timezone.localtime(row.ended).date()
        if row.first <= lifted < row.last:
            return row.first, lifted
    return row.first, row.last


def question(row: Episode) -> Question:
    first, last = span(row)
    acted = (Episode.State.DECLARED, Episode.State.ENDED)
    others = [span(e) for e in Episode.objects.filter(state__in=acted).exclude(pk=row.pk)]
    points = Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True).order_by("pk")
    return Question(first, last, others, [Station.of(p) for p in points], timezone.now())


def compute(q: Question) -> dict[str, Any]:
    """By pollutant the comparison, or why there is none. Raises RefusedError `silent`, `few`, `gap` or
    `library` where that holds for all of them."""
    known = _known(q)
    days = known.times.astype("datetime64[D]")

    def within(first: date, last: date, more: int = 0) -> npt.NDArray[np.bool_]:
        low, high = np.datetime64(first), np.datetime64(last) + more
        return np.asarray((days >= low) & (days <= high))

    during = within(q.first, q.last)
    if not during.any():
        raise RefusedError("silent")
    other = within(q.first, q.last, 1) & ~during
    for first, last in q.others:
        other |= within(first, last, 1)
    index = np.arange(len(known))
    weekday = (days.astype(np.int64) + 3) % 7
    clock = np.column_stack([known.hour(index), weekday, known.day(index)])
    sky = [known.weather[w] for w in WEATHER if w in known.weather]
    if not sky:
        raise RefusedError("few")
    weather = np.column_stack(sky)
    found: dict[str, Any] = {}
    shown = within(q.first - timedelta(days=SHOWN), q.last + timedelta(days=SHOWN))
    begin = round(forecasting.moment(known.times[0]).timestamp()) * 1000
    reasons = set()
    for name in POLLUTANTS:
        if name not in known.values:
            continue
        value = _mean(known.values[name])
        try:
            one = response.compare(value, clock, weather, during, other)
        except NormaliseError as error:
            found[name] = {"reason": str(error)}
            reasons.add(str(error))
            continue
        found[name] = {
            "measured": _short(one.measured), "expected": _short(one.expected),
            "change": _short(one.change), "low": _short(one.low), "high": _short(one.high),
            "sure": one.sure, "explained": _short(one.explained), "hours": one.hours,
            "blocks": one.blocks,
            "series": [
                [begin + 3_600_000 * int(h), _short(value[h]), _short(one.hourly[h])]
                for h in np.flatnonzero(shown)
            ],
        }  # fmt: skip
    if all("reason" in f for f in found.values()):
        raise RefusedError(next(iter(sorted(reasons)), "silent"))
    return {
        "first": q.first.isoformat(),
        "last": q.last.isoformat(),
        "stations": len(known.stations),
        "pollutants": found,
        "digest": _digest(known, q),
    }


def _known(q: Question) -> History:
    if not q.stations:
        raise RefusedError("silent")
    older = None
    if forecasting.archive().exists():
        try:
            older = history.read(forecasting.archive())
        except ValueError as error:
            raise RefusedError("archive", str(error)[:200]) from error
    start = day_start(q.first - AROUND)
    end = min(day_start(q.last + AROUND), q.now).replace(minute=0, second=0, microsecond=0)
    try:
        known, _dropped = forecasting.measured(q.stations, start, end, older)
    except ForecastError as error:
        raise RefusedError("silent") from error
    cut = slice(
        max(known.at(forecasting.local(start)), 0), max(known.at(forecasting.local(end)), 0)
    )
    return History(
        known.times[cut], known.stations, {k: v[cut] for k, v in known.values.items()},
        {k: v[cut] for k, v in known.weather.items()},
    )  # fmt: skip


def _mean(values: Floats) -> Floats:
    """Mean of an hour over the stations; NaN where fewer than half of those that ever send did."""
    ever = np.isfinite(values).any(axis=0)
    count = np.isfinite(values).sum(axis=1)
    total = np.nansum(values, axis=1)
    return np.where(count >= max(1, ever.sum() / 2), total / np.maximum(count, 1), np.nan)


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _digest(known: History, q: Question) -> str:
    made = hashlib.sha256(f"{q.first} {q.last} {q.others} {known.stations}".encode())
    for name in sorted(known.values):
        made.update(np.round(np.nan_to_num(known.values[name], nan=-1e9), 6).tobytes())
    for name in sorted(known.weather):
        made.update(np.round(np.nan_to_num(known.weather[name], nan=-1e9), 6).tobytes())
    return made.hexdigest()


# ---- what was emitted ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Emitted:
    """Monitored mass of one factor, kg a day over the points that have both times: before, during."""

    factor: str
    name: str
    points: int
    before: float
    during: float

    @property
    def change(self) -> float | None:
        """Percent."""
        return 100 * (self.during / self.before - 1) if self.before > 0 else None


@dataclass(frozen=True)
class Emitter:
    """One enterprise's mass of one factor, kg a day."""

    enterprise: Enterprise
    name: str
    before: float
    during: float

    @property
    def change(self) -> float:
        return 100 * (self.during / self.before - 1)


def emissions(user: Any, row: Episode) -> tuple[list[Emitted], list[Emitter]]:
    """What the stacks within the user's reach emitted on the days of the response and on the `BEFORE`
    days before it, by their monitors; and the enterprises that cut least, those that emit more first.
    A point counts where `COVERED` of the days of both times have a mass."""
    first, last = span(row)
    sums: dict[bool, dict[tuple[int, str], tuple[float, int]]] = {}
    for during, low, high in (
        (False, first - timedelta(days=BEFORE), first - timedelta(days=1)),
        (True, first, last),
    ):
        rows = (
            EmissionDay.objects.restrict(user, "point.view")
            .filter(factor__in=EMITTED, day__gte=low, day__lte=high, without__lt=12)
            .values("point", "factor")
            .annotate(mass=Sum("kg"), number=Count("pk"))
            .order_by()
        )
        least = COVERED * ((high - low).days + 1)
        sums[during] = {
            (r["point"], r["factor"]): (r["mass"] / r["number"], r["number"])
            for r in rows
            if r["number"] >= least
        }
    both = sums[False].keys() & sums[True].keys()
    owners = Point.objects.filter(pk__in={p for p, _f in both}).select_related("outlet__enterprise")
    owner = {p.pk: p.enterprise for p in owners}
    total: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    by: dict[tuple[Any, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for point, factor in both:
        before, during = sums[False][point, factor][0], sums[True][point, factor][0]
        total[factor][0] += 1
        total[factor][1] += before
        total[factor][2] += during
        if owner.get(point) is not None:
            by[owner[point], factor][0] += before
            by[owner[point], factor][1] += during
    found = [
        Emitted(f, factor_name(f), int(total[f][0]), total[f][1], total[f][2])
        for f in EMITTED
        if f in total
    ]
    least = [
        Emitter(enterprise, factor_name(factor), before, during)
        for (enterprise, factor), (before, during) in by.items()
        if before >= 0.01 * total[factor][1] and before > 0
    ]
    least.sort(key=lambda e: (-e.change, e.enterprise.pk))
    return found, least[:15]
