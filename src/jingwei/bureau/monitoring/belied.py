"""Marks of standstill that the flue gas contradicts, in all industries: one finding a point and day."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.analysis import marks as laboratory
from jingwei.bureau.findings.models import Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.marking import Sort
from jingwei.bureau.monitoring.models import Cursor, Judgement
from jingwei.bureau.monitoring.observations import day_start, local_day, moves, seconds, value_unit
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry.models import Medium, PermitLimit, Point
from jingwei.standards import units

NAME = "standstill"
STOPPED = "F"
STILL = frozenset({Sort.STANDSTILL, Sort.IDLE})


def examine(now: datetime) -> int:
    """Hold the standstill of the last finished local day against what the flue gas says; findings
    made. Each day is looked at once, `GRACE` and six hours after its end: late hours have come."""
    day = local_day(now - GRACE - timedelta(hours=6)) - timedelta(days=1)
    cursor, _created = Cursor.objects.get_or_create(name=NAME)
    if cursor.batch >= day.toordinal():
        return 0
    with transaction.atomic():
        locked = Cursor.objects.select_for_update().get(name=NAME)
        if locked.batch >= day.toordinal():
            return 0
        made = _examine(day_start(day))
        locked.batch = day.toordinal()
        locked.save(update_fields=["batch"])
    return made


def _examine(start: datetime) -> int:
    end = start + timedelta(days=1)
    points = (
        Point.objects.filter(kind=Point.Kind.SOURCE, outlet__medium=Medium.AIR)
        .select_related("outlet__enterprise")
        .in_bulk()
    )
    still: dict[int, set[int]] = defaultdict(set)
    declared = marking.standing({p.outlet_id for p in points.values()}, start, end)
    for outlet, rows in declared.items():
        for mark in rows:
            if mark.sort in STILL:
                still[outlet].update(marking.hours(mark.start, mark.end))
    hours: dict[int, list[tuple[dict[str, Any], bool]]] = defaultdict(list)
    for pk, when, factors in Judgement.objects.filter(
        point__in=points, period="hour", stands=True, time__gte=start, time__lt=end
    ).values_list("point", "time", "factors"):
        outlet = points[pk].outlet_id or 0
        marked = seconds(when) in still[outlet] or any(
            c.get("mark") == STOPPED for code, c in factors.items() if moves(code)
        )
        hours[pk].append((factors, marked))
    made = 0
    for pk, found in hours.items():
        if any(marked for _, marked in found):
            made += _hold(points[pk], found, start)
    return made


def _hold(point: Point, found: list[tuple[dict[str, Any], bool]], start: datetime) -> int:
    limits = {
        row.factor: row
        for row in PermitLimit.objects.filter(outlet=point.outlet_id, period="hour", lower=False)
    }
    scale = units.scale(value_unit("a00000", point), "m³/h") or math.nan

    def column(code: str, by: float = 1.0) -> list[float]:
        return [by * _number(factors.get(code)) for factors, _ in found]

    state = laboratory.State(
        velocity=column("a01011"),
        temperature=column("a01012"),
        moisture=column("a01014"),
        flow=column("a00000", scale),
        o2=column("a19001"),
        share=[_share(point, factors, limits) for factors, _ in found],
    )
    said = laboratory.contradictions(state, [marked for _, marked in found])
    for one in said:
        if one.rule != "A18-13":
            continue
        with translation.override("zh-hans"):
            notice(
                kind=Kind.FALSIFICATION,
                episode=f"standstill/{point.key}/{local_day(start):%Y%m%d}",
                title=_("%(place)s: marked as out of operation, but the flue gas says otherwise")
                % {"place": str(point.enterprise or point.name)},
                region=point.region_id,
                longitude=point.longitude,
                latitude=point.latitude,
                began=start,
                ended=start + timedelta(days=1),
                enterprise=point.enterprise,
                point=point,
                facts={"rule": one.rule, "hours": one.hours, "marked": one.of},
                innocent=[
                    _("A fan cools the flue, or a neighbour's gas comes through a common stack."),
                    _("The oxygen meter drifts."),
                ],
                next_check=_(
                    "Compare with electricity, fan current and operating records of this day."
                ),
                confidence=_("Rule from a secondary source; three of five signs in most hours."),
            )
    return sum(one.rule == "A18-13" for one in said)


def _number(cell: dict[str, Any] | None) -> float:
    return math.nan if cell is None or cell["value"] is None else float(cell["value"])


def _share(point: Point, factors: dict[str, Any], limits: dict[str, PermitLimit]) -> float:
    """The largest concentration as a share of its limit, as measured."""
    shares = [
        _number(cell) * scale / float(limits[code].value)
        for code, cell in factors.items()
        if code in limits
        and limits[code].value > 0
        and (scale := units.scale(value_unit(code, point), limits[code].unit)) is not None
    ]
    known = [x for x in shares if not math.isnan(x)]
    return max(known, default=math.nan)
