"""What was measured before, during and after a campaign (效果评估): read once, kept as it stood.

Three stretches: the campaign up to its last day that is over, as many days before it and after it;
at most `LONGEST` days each, those next to the campaign's first and last day. Points of the campaign's
regions, and beside them those of the other regions over the same days: what changed there alike is
season, weather or market, not the campaign. Which points and factors: by the campaign's matters
(`standards.matters.monitors`); of outlets the factors that their permits limit.

Values are hourly means as received, with a number and a normal data mark, converted on site where the
device sends that (those apart from the others). Nothing is taken off for the weather.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Sum
from django.utils import timezone

from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.campaigns.selectors import local_midnight
from jingwei.bureau.monitoring.models import Exceedance, TransmissionDay
from jingwei.bureau.monitoring.observations import medium, normal_marks, sent_code, value_unit
from jingwei.bureau.monitoring.selectors import lake
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import matters

LONGEST = 92  # days of a stretch
STRETCHES = ("before", "during", "after")
SIDES = ("inside", "outside")
Key = tuple[str, str, str, str, bool]  # side, kind of point, factor, unit, converted on site
Over = dict[str, dict[tuple[str, str], int]]  # side: (factor, period): exceedances
PERIODS = (PermitLimit.Period.HOUR, PermitLimit.Period.DAY)


def stretches(programme: Programme, today: date) -> list[tuple[str, date, date]]:
    """(name, first day, last day); those that have not begun are left out."""
    yesterday = today - timedelta(days=1)
    over = programme.last_day
    last = min(over, yesterday)
    length = timedelta(days=min((over - programme.begins).days + 1, LONGEST))
    day = timedelta(days=1)
    found = (
        ("before", programme.begins - length, programme.begins - day),
        ("during", max(programme.begins, last + day - length), last),
        ("after", over + day, min(over + length, yesterday)),
    )
    return [(name, a, b) for name, a, b in found if a <= b]


def evaluate(programme: Programme, today: date | None = None) -> dict[str, Any]:
    """The figures of an evaluation as plain data. Raises `LakeError`.

    `stretches`: name, first, last; `rows`: one a side, kind of point, factor, unit and whether converted on site,
    with `cells` by stretch: points, hours (received), valid, mean, p95; of outlets also `exceeded`
    (hourly exceedances that stand) and `per_1000` (of valid hours). `sides`: by side and stretch the
    outlets and points concerned, the coverage (values judged valid of those due; None where nothing
    was due), and how many exceedances of hourly and daily limits stand.
    """
    spans = stretches(programme, today or timezone.localdate())
    sides = _points(programme)
    wanted = {side: _wanted(points) for side, points in sides.items()}
    table: dict[Key, dict[str, Any]] = {}
    about: dict[str, dict[str, Any]] = {side: {} for side in SIDES if sides[side]}
    normal = normal_marks("2005") | normal_marks("2017")
    for name, first, last in spans:
        start, end = local_midnight(first), local_midnight(last + timedelta(days=1))
        # One read a stretch; the side stands in the label.
        labels = [
            (mn, st, sent, f"{side} {what}")
            for side in SIDES
            for mn, st, sent, what in wanted[side]
        ]
        found = lake().spread("hour", start, end, labels, normal).to_pylist()
        over = {side: _exceeded(sides[side], start, end) for side in SIDES}
        for row in found:
            side, kind, code, unit = row["label"].split(" ", 3)
            cell = {k: row[k] for k in ("points", "received", "valid")}
            cell |= {k: None if row[k] is None else float(f"{row[k]:.4g}") for k in ("mean", "p95")}
            table.setdefault((side, kind, code, unit, row["converted"]), {})[name] = cell
        for side in about:
            about[side][name] = _coverage(sides[side], first, last) | {
                "exceedances": sum(over[side].values())
            }
        _share(table, over, name)
    rows = [
        {
            "side": side,
            "kind": kind,
            "factor": code,
            "unit": unit,
            "converted": converted,
            "cells": cells,
        }
        for (side, kind, code, unit, converted), cells in sorted(
            table.items(), key=lambda item: (item[0][1:], SIDES.index(item[0][0]))
        )
    ]
    return {
        "stretches": [
            {"name": n, "first": a.isoformat(), "last": b.isoformat()} for n, a, b in spans
        ],
        "rows": rows,
        "sides": about,
    }


Watched = list[tuple[Point, list[str]]]  # with the factors that are looked at


def _points(programme: Programme) -> dict[str, Watched]:
    """The points by which the campaign's matters are seen, in its regions and outside."""
    media, ambient = matters.monitors(programme.matters)
    regions = set(programme.regions.values_list("pk", flat=True))
    limited = defaultdict(set)
    limits = PermitLimit.objects.filter(period__in=PERIODS).order_by()
    for outlet, factor in limits.values_list("outlet_id", "factor").distinct():
        limited[outlet].add(factor)
    found: dict[str, Watched] = {side: [] for side in SIDES}
    for point in (
        Point.objects.filter(enabled=True)
        .exclude(kind=Point.Kind.MICRO_STATION)
        .select_related("outlet")
    ):
        known = set(ambient)
        if point.kind == Point.Kind.SOURCE:
            known = limited[point.outlet_id] if medium(point) in media else set()
        if factors := sorted(known & set(point.factors)):
            inside = not regions or point.region_id in regions
            found["inside" if inside else "outside"].append((point, factors))
    return found


def _wanted(points: Watched) -> list[tuple[str, str, str, str]]:
    """(mn, st, code as sent, "kind factor unit") of everything that is looked at."""
    return [
        (p.mn, p.st, sent_code(code, p.version), f"{p.kind} {code} {value_unit(code, p)}")
        for p, factors in points
        for code in factors
    ]


def _exceeded(points: Watched, start: datetime, end: datetime) -> dict[tuple[str, str], int]:
    """Exceedances that stand today, by factor and period."""
    rows = Exceedance.objects.filter(
        point__in=[p.pk for p, _ in points],
        withdrawn="",
        period__in=PERIODS,
        time__gte=start,
        time__lt=end,
    )
    counted = rows.order_by().values_list("factor", "period").annotate(Count("pk"))
    return {(factor, period): n for factor, period, n in counted}


def _share(table: dict[Key, dict[str, Any]], over: Over, name: str) -> None:
    """Write a stretch's hourly exceedances of outlets into its cells, and their number in 1000
    valid hours.

    Where some devices convert a factor on site and some do not it has two rows: both together
    stand in the one of converted values.
    """
    valid: dict[tuple[str, str], int] = defaultdict(int)
    last: dict[tuple[str, str], Key] = {}
    for key in sorted(table):
        side, kind, code, *_ = key
        if kind == Point.Kind.SOURCE and name in table[key]:
            valid[side, code] += table[key][name]["valid"]
            last[side, code] = key
    for (side, code), key in last.items():
        count, hours = over[side].get((code, "hour"), 0), valid[side, code]
        table[key][name] |= {
            "exceeded": count,
            "per_1000": round(1000 * count / hours, 2) if hours else None,
        }


def _coverage(points: Watched, first: date, last: date) -> dict[str, Any]:
    days = TransmissionDay.objects.filter(
        point__in=[p.pk for p, _ in points], day__gte=first, day__lte=last
    )
    sums = days.aggregate(Sum("expected"), Sum("valid"), Sum("stopped"))
    due = (sums["expected__sum"] or 0) - (sums["stopped__sum"] or 0)
    valid = sums["valid__sum"] or 0
    return {
        "points": len(points),
        "outlets": len({p.outlet_id for p, _ in points if p.outlet_id}),
        "due": due,
        "valid": valid,
        "coverage": round(valid / due, 4) if due > 0 else None,
    }
