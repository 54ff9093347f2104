"""Permits: rates and amounts against what is permitted, totals, self-monitoring plans.

A permit limits concentrations (`compliance`), rates (kg/h) and amounts (a month, a year). An amount
over the permitted total is a finding of its own. Masses are kilograms; the hours of a year enter
with what stands in for invalid ones (`validity.substitute_75`, `substitute_356`), and how much of a
total is such substitution is always told.
"""

from __future__ import annotations

import calendar
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from jingwei.analysis.compliance import Judgements, Limit, judge_hours
from jingwei.standards import formulas

K = TypeVar("K", bound=Hashable)

# Rates ------------------------------------------------------------------------------------------


def judge_rates(
    concentration: npt.ArrayLike,
    flow: npt.ArrayLike,
    mark: Sequence[str | None] | npt.NDArray[Any],
    *,
    limit: float,
) -> Judgements:
    """Hourly emission rates against a permitted rate in kg/h; all (n,).

    `concentration`: measured, dry, standard state, mg/m³, not converted to reference oxygen; `flow`:
    dry m³/h at standard state; `mark`: of the worse of both. A negative flow or concentration has
    no verdict. Source: HJ 212-2017 App. D (33); rates: GB 16297-1996 and the permit.
    """
    c, q = np.asarray(concentration, np.float64), np.asarray(flow, np.float64)
    rate = formulas.emission_rate(c, q)
    rate = np.where((c < 0) | (q < 0), -1.0, rate)  # refused as negative, not two minus a plus
    return judge_hours(rate, mark, limit=Limit(limit, "kg/h"), unit="kg/h")


# Amounts ----------------------------------------------------------------------------------------


class AmountVerdict(IntEnum):
    """NONE: no total is permitted, or nothing was measured."""

    NONE = 0
    WITHIN = 1
    AHEAD = 2  # the projection to the year's end is over the permitted total
    OVER = 3


@dataclass(frozen=True, slots=True)
class Amount:
    """A year's amount of one factor against its permitted total, kg.

    `total`: so far; `covered`: the days that it stands for, parts of days counted as such;
    `substituted`: of it not measured; `months`: by month 1-12; `projected`: to the
    year's end, `low` and `high`: at the slowest and the fastest pace of 30 days of this year;
    `used_up`: the day on which the permitted total will be or was reached (None: not this year).
    """

    year: int
    until: date
    total: float
    covered: float
    substituted: float
    months: tuple[float, ...]
    permitted: float | None
    projected: float
    low: float
    high: float
    used_up: date | None
    verdict: AmountVerdict


def amount(
    year: int,
    days: Sequence[float],
    permitted: float | None,
    *,
    substituted: Sequence[float] | None = None,
    covered: Sequence[float] | None = None,
) -> Amount:
    """Judge the daily masses `days` (kg, from 1 January on, NaN: none known) against `permitted`.

    The projection goes on at the mean daily pace of the year so far (all days that are known,
    standing ones included). Days that are not known count with that mean too, and of days that are
    known in part the rest (`covered`: the share of each day that is known, 0 to 1; None: of known
    days all of it), so that a gap in the data does not look like saved emissions; `total` has what
    is known only. `substituted`: the part of each day that is not measured. Raises ValueError for a
    negative mass, a share outside 0 to 1 or too many days.
    """
    length = 366 if calendar.isleap(year) else 365
    d = np.asarray(days, dtype=np.float64)
    if len(d) > length:
        raise ValueError(f"{len(d)} days for a year of {length}")
    if (d < 0).any():
        raise ValueError("a day's mass is negative")
    if permitted is not None and not (math.isfinite(permitted) and permitted >= 0):
        raise ValueError(f"permitted total {permitted!r}: wanted a number, 0 or more")
    share = np.isfinite(d).astype(np.float64)
    if covered is not None:
        given = np.asarray(covered, dtype=np.float64)
        if not ((given >= 0) & (given <= 1)).all():
            raise ValueError("the share of a day that is known is not from 0 to 1")
        share *= given
    known = share > 0
    total = math.fsum(d[known].tolist())
    first = date(year, 1, 1)
    whole = math.fsum(share.tolist())
    pace = total / whole if known.any() else 0.0
    paces = _paces(d, share, pace)
    left = length - whole
    projected, low, high = (total + left * p for p in (pace, min(paces), max(paces)))
    months = [0.0] * 12
    for i in np.flatnonzero(known).tolist():
        months[(first + timedelta(days=i)).month - 1] += float(d[i])

    used_up = None
    verdict = AmountVerdict.NONE
    if permitted is not None and known.any():
        filled = np.where(known, d, 0.0) + (1 - share) * pace
        filled = np.concatenate((filled, np.full(length - len(d), pace)))
        reached = np.flatnonzero(np.cumsum(filled) > permitted)
        if len(reached):
            used_up = first + timedelta(days=int(reached[0]))
        verdict = (
            AmountVerdict.OVER
            if total > permitted
            else AmountVerdict.AHEAD
            if projected > permitted
            else AmountVerdict.WITHIN
        )
    extra = np.nansum(np.asarray(substituted, dtype=np.float64)) if substituted is not None else 0.0
    return Amount(
        year=year,
        until=first + timedelta(days=max(len(d) - 1, 0)),
        total=total,
        covered=whole,
        substituted=float(extra),
        months=tuple(months),
        permitted=permitted,
        projected=projected,
        low=low,
        high=high,
        used_up=used_up,
        verdict=verdict,
    )


def months_over(of: Amount, permitted: Mapping[int, float]) -> dict[int, float]:
    """Months (1-12) whose amount is over the total permitted for that month, with the excess in kg."""
    return {
        month: of.months[month - 1] - limit
        for month, limit in sorted(permitted.items())
        if of.months[month - 1] > limit
    }


def _paces(d: npt.NDArray[np.float64], share: npt.NDArray[np.float64], pace: float) -> list[float]:
    """Mean daily mass of every 30 days in a row of which at least 20 are known; else the year's."""
    sums = np.concatenate(([0.0], np.cumsum(np.where(share > 0, d, 0.0))))
    counts = np.concatenate(([0.0], np.cumsum(share)))
    if len(d) < 30:
        return [pace]
    n = counts[30:] - counts[:-30]
    enough = n >= 20
    found = (sums[30:] - sums[:-30])[enough] / n[enough]
    return [*np.maximum(found, 0.0).tolist(), pace]


def totals(masses: Iterable[tuple[K, float]]) -> dict[K, float]:
    """Emissions (kg) by any key: outlet, enterprise, district, basin. The order does not matter,
    not even in the last digit; NaN masses are left out.
    """
    parts: defaultdict[K, list[float]] = defaultdict(list)
    for key, mass in masses:
        parts[key].append(0.0 if math.isnan(mass) else mass)
    return {key: math.fsum(some) for key, some in parts.items()}


# Self-monitoring --------------------------------------------------------------------------------

Every = Literal["day", "week", "month", "quarter", "half_year", "year"]
_MONTHS: Final[Mapping[str, int]] = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a permit asks to be measured by hand: `times` a period, reported and published within so
    many days after sampling (None: the permit does not say).
    """

    factor: str
    every: Every
    times: int = 1
    report_days: int | None = None
    publish_days: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement: sampled on a day, reported and published (None: not yet)."""

    sampled: date
    reported: date | None = None
    published: date | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """How far a plan is carried out. `missing`: starts of periods with too few results, and how many
    lack; rates of 0 to 1, None where nothing is due.
    """

    due: int
    done: int
    late: tuple[Result, ...]
    unpublished: tuple[Result, ...]
    missing: tuple[tuple[date, int], ...]
    completion: float | None
    publication: float | None


def period_start(day: date, every: Every) -> date:
    """The first day of the period; weeks begin on Monday.

    >>> period_start(date(2026, 8, 31), "half_year")
    datetime.date(2026, 7, 1)
    """
    if every == "day":
        return day
    if every == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[every]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def _next(start: date, every: Every) -> date:
    if every in ("day", "week"):
        return start + timedelta(days=1 if every == "day" else 7)
    month = start.month - 1 + _MONTHS[every]
    return date(start.year + month // 12, month % 12 + 1, 1)


def period_end(start: date, every: Every) -> date:
    """The last day of the period that begins on `start`.

    >>> period_end(date(2026, 7, 1), "quarter")
    datetime.date(2026, 9, 30)
    """
    return _next(start, every) - timedelta(days=1)


def completion(
    plan: Plan, results: Iterable[Result], begins: date, ends: date, today: date
) -> Completion:
    """Compare results with a plan, for the periods that lie in `begins` … `ends` whole and are over.

    More results than asked for in one period do not make up for another. A result is late where it
    was reported after its days, or was not and they are over; likewise unpublished.
    """
    by_period: defaultdict[date, int] = defaultdict(int)
    inside = [r for r in results if begins <= r.sampled <= min(ends, today)]
    for r in inside:
        by_period[period_start(r.sampled, plan.every)] += 1
    start = period_start(begins, plan.every)
    if start < begins:
        start = _next(start, plan.every)
    due = done = 0
    missing = []
    while (after := _next(start, plan.every)) <= min(ends + timedelta(days=1), today):
        n = min(by_period[start], plan.times)
        due += plan.times
        done += n
        if n < plan.times:
            missing.append((start, plan.times - n))
        start = after

    def overdue(sampled: date, days: int | None, was: date | None) -> bool:
        return days is not None and (was or today) > sampled + timedelta(days=days)

    late = tuple(r for r in inside if overdue(r.sampled, plan.report_days, r.reported))
    open_ = tuple(r for r in inside if overdue(r.sampled, plan.publish_days, r.published))
    published = sum(r.published is not None for r in inside)
    return Completion(
        due=due,
        done=done,
        late=late,
        unpublished=open_,
        missing=tuple(missing),
        completion=done / due if due else None,
        publication=published / len(inside) if inside else None,
    )
