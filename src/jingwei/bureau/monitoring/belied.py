"""What the flue gas contradicts over a day or half a month, in all industries: standstill that was
marked (A18-13), the oxygen of air (A18-16), and values that hardly move (A18-3).
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.analysis import marks as laboratory
from jingwei.analysis import validity
from jingwei.bureau.findings.models import Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.marking import Sort
from jingwei.bureau.monitoring.models import Cursor, Judgement
from jingwei.bureau.monitoring.observations import (
    day_start,
    in_force,
    local_day,
    moves,
    seconds,
    value_unit,
)
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry.models import Medium, PermitLimit, Point
from jingwei.standards import units

NAME = "standstill"
HALF_MONTH = timedelta(days=15)
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
    air, steady = [], set()
    for pk, found in hours.items():
        point = points[pk]
        limits = _limits(point, end)
        state = _state(point, [factors for factors, _marked in found], limits)
        if any(marked for _, marked in found):
            made += _hold(point, state, [marked for _, marked in found], start)
        if 2 * int(laboratory.air_though_running(state).sum()) > len(found):
            air.append(point)
        if any(_within(found, code) for code in {c for factors, _ in found for c in factors}):
            steady.add(point)
    for point in {*air, *steady}:
        made += _half_month(point, end, point in air)
    return made


def _limits(point: Point, end: datetime) -> dict[str, PermitLimit]:
    """The hourly limits that are applied on the day that ends, by factor."""
    rows = PermitLimit.objects.filter(outlet=point.outlet_id, period="hour", lower=False)
    return {row.factor: row for row in in_force(rows, local_day(end - timedelta(days=1)))}


def _state(
    point: Point, rows: list[dict[str, Any]], limits: dict[str, PermitLimit]
) -> laboratory.State:
    scale = units.scale(value_unit("a00000", point), "m³/h") or math.nan

    def column(code: str, by: float = 1.0) -> list[float]:
        return [by * _number(factors.get(code)) for factors in rows]

    return laboratory.State(
        velocity=column("a01011"),
        temperature=column("a01012"),
        moisture=column("a01014"),
        flow=column("a00000", scale),
        o2=column("a19001"),
        share=[_share(point, factors, limits) for factors in rows],
    )


def _hold(point: Point, state: laboratory.State, marked: list[bool], start: datetime) -> int:
    """A day's standstill against the flue gas (A18-13)."""
    said = [c for c in laboratory.contradictions(state, marked) if c.rule == "A18-13"]
    for one in said:
        with translation.override("zh-hans"):
            _notice(
                point,
                f"standstill/{point.key}/{local_day(start):%Y%m%d}",
                _("%(place)s: marked as out of operation, but the flue gas says otherwise"),
                start,
                start + timedelta(days=1),
                {"rule": one.rule, "hours": one.hours, "marked": one.of},
                [
                    _("A fan cools the flue, or a neighbour's gas comes through a common stack."),
                    _("The oxygen meter drifts."),
                ],
                _("Compare with electricity, fan current and operating records of this day."),
                _("Rule from a secondary source; three of five signs in most hours."),
            )
    return len(said)


def _within(found: list[tuple[dict[str, Any], bool]], code: str) -> bool:
    """Whether a factor that cannot stand still stays within 5 % all the hours of a day."""
    if not moves(code) or len(found) < 24:
        return False
    values = [_number(factors.get(code)) for factors, _ in found]
    return bool(validity.steady(values, hours=24)[23:].any())


def _half_month(point: Point, end: datetime, air: bool) -> int:
    """The half month before `end`: A18-16 where the last day looks like it, and A18-3 by factor."""
    begin = end - HALF_MONTH
    rows: dict[int, dict[str, Any]] = {
        seconds(when): factors
        for when, factors in Judgement.objects.filter(
            point=point, period="hour", stands=True, time__gte=begin, time__lt=end
        ).values_list("time", "factors")
    }
    times = range(seconds(begin), seconds(end), 3600)
    made = 0
    half = f"{local_day(end - timedelta(days=1)):%Y%m}{'a' if local_day(end - timedelta(days=1)).day <= 15 else 'b'}"
    state = _state(point, [rows.get(s, {}) for s in times], _limits(point, end))
    said = [c for c in laboratory.contradictions(state, [False] * len(times)) if c.rule == "A18-16"]
    for one in said if air else []:
        with translation.override("zh-hans"):
            _notice(
                point,
                f"air/{point.key}/{half}",
                _("%(place)s: oxygen as of air for half a month, but the flue gas says that the plant runs"),
                begin,
                end,
                {"rule": one.rule, "hours": one.hours, "of": one.of},
                [
                    _("Air leaks into the sampling line."),
                    _("The oxygen meter drifts."),
                ],
                _("Check the sampling line for leaks and the oxygen meter with a standard gas."),
                _("Rule from a secondary source; two of four signs in more than 80 % of the hours."),
            )  # fmt: skip
        made += 1
    for code in sorted({c for factors in rows.values() for c in factors if moves(c)}):
        values = [
            math.nan if (cell := rows.get(s, {}).get(code)) is None or cell.get("mark") == STOPPED
            else _number(cell)
            for s in times
        ]  # fmt: skip
        if not validity.steady(values)[-1]:
            continue
        with translation.override("zh-hans"):
            _notice(
                point,
                f"steady/{point.key}/{code}/{half}",
                _("%(place)s: hourly means of %(factor)s within 5 %% for half a month").replace(
                    "%(factor)s", factor_name(code)
                ),
                begin,
                end,
                {"rule": "A18-3", "factor": code, "lowest": min(values), "highest": max(values)},
                [_("The process is very steady, or the values lie near the detection limit.")],
                _("Compare analyser, logger and platform; let the analyser measure a standard gas."),
                _("Rule from a secondary source; of what the 5 % are is not said: here of the highest."),
            )  # fmt: skip
        made += 1
    return made


def _notice(
    point: Point,
    episode: str,
    title: str,
    began: datetime,
    ended: datetime,
    facts: dict[str, Any],
    innocent: list[str],
    next_check: str,
    confidence: str,
) -> None:
    notice(
        kind=Kind.FALSIFICATION,
        episode=episode,
        title=title % {"place": str(point.enterprise or point.name)},
        region=point.region_id,
        longitude=point.longitude,
        latitude=point.latitude,
        began=began,
        ended=ended,
        enterprise=point.enterprise,
        point=point,
        facts=facts,
        innocent=innocent,
        next_check=next_check,
        confidence=confidence,
    )


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
