"""Permitted amounts, plans of self-monitoring with results, and live triggers of the demo city.

The amounts are chosen from what the replayed monitors emit, so that most enterprises keep them,
some will be over by the year's end, and two are over in this month.
"""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Avg, Sum

SOURCE = "演示：按回放数据选定的许可排放量（虚构）"
NEARLY, OVER = (0.97, 0.8)  # of what the year or the month comes to
TIGHT, MONTHLY, RATES, LATE, MISSING = (5, 9, 3, 4, 7)  # every so manieth enterprise
MANUAL = {"air": ("a20057", "mg/m³", "0.0025"), "water": ("w22001", "mg/L", "0.42")}
LIVE = ("A18-7", "A18-8", "P-1")


def build(anchor: datetime) -> None:
    """Give every demo permit its amounts and its plan; nothing where they are already."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.monitoring import amounts, triggers
    from jingwei.bureau.monitoring.services import local_day
    from jingwei.bureau.registry import triggers as rules
    from jingwei.bureau.registry.models import Permit, PermitAmount, TriggerRule

    today = local_day(anchor)
    amounts.refresh(anchor)
    permits = Permit.objects.filter(enterprise__fictional=True, amounts=None).select_related(
        "enterprise"
    )
    for number, permit in enumerate(permits.order_by("pk"), 1):
        with transaction.atomic():
            _amounts(permit, number, today)
            _plan(permit, number, today)
    with transaction.atomic():
        found = PermitAmount.objects.select_related("permit__enterprise")
        amounts.judge({a.permit.enterprise for a in found}, [], today)
    dispatcher = User.objects.filter(username="dispatcher").first()
    if dispatcher is not None and not TriggerRule.objects.exists():
        given = rules.presets()
        for code in LIVE:
            values = {name: getattr(given[code], name) for name in rules.FIELDS}
            made = rules.draft(dispatcher, code, note="演示：采用预设", **values)
            triggers.try_out(dispatcher, made, anchor - timedelta(days=4))
            rules.go_live(dispatcher, made, anchor - timedelta(days=4))
    triggers.propose(anchor)


def _amounts(permit: Any, number: int, today: date) -> None:
    """A yearly amount a factor, for some a monthly one or a rate, as a change of the permit."""
    from jingwei.bureau.monitoring.models import EmissionDay
    from jingwei.bureau.registry import changes
    from jingwei.bureau.registry.lines import WHOLE, Line, line_of

    begin = date(today.year, 1, 1)
    if not permit.valid_from < begin <= permit.valid_to:
        return
    lines = [line_of(r) for r in changes.rows_on(permit, begin)]
    limited = {line.factor for line in lines}
    days = EmissionDay.objects.filter(point__outlet__enterprise=permit.enterprise, day__lt=today)
    length = 366 if calendar.isleap(today.year) else 365
    made: list[Line] = []
    for factor in sorted(limited):
        mine = days.filter(factor=factor, kg__gt=0)
        per_day = (
            mine.values("day").annotate(kg_day=Sum("kg")).aggregate(Avg("kg_day"))["kg_day__avg"]
        )
        if not per_day:
            continue
        share = NEARLY if number % TIGHT == 0 else 1.15 + 0.1 * (number % 4)
        made.append(_line(WHOLE, factor, "year", per_day * length * share, "kg"))
        if number % MONTHLY == 0:
            month = mine.filter(day__gte=today.replace(day=1)).aggregate(Sum("kg"))["kg__sum"]
            if month:
                made.append(
                    _line(
                        WHOLE,
                        factor,
                        "month",
                        month * (OVER if factor == min(limited) else 2),
                        "kg",
                    )
                )
        top = mine.order_by("-peak").values_list("point__outlet__code", "peak").first()
        if number % RATES == 0 and factor == min(limited) and top and top[1]:
            made.append(_line(top[0], factor, "rate", top[1] * 1.1, "kg/h"))
    if made:
        changes.apply(
            None,
            permit.enterprise,
            permit,
            changes.Change(
                act="changed", number=permit.number, category=permit.category,
                valid_from=permit.valid_from, valid_to=permit.valid_to, in_force=begin,
                note="载明许可排放量", lines=[*lines, *made],
            ),
        )  # fmt: skip


def _line(outlet: str, factor: str, period: str, value: float, unit: str) -> Any:
    from jingwei.bureau.registry.lines import Line

    rounded = Decimal(f"{float(f'{value:.3g}'):f}").quantize(Decimal("0.000001")).normalize()
    return Line(outlet, factor, period, rounded, unit, source=SOURCE, verified="memory")


def _plan(permit: Any, number: int, today: date) -> None:
    """Automatic lines for what is limited, one quarterly manual line an outlet, with its results."""
    from jingwei.analysis.permits import period_end, period_start
    from jingwei.bureau.registry import selfmonitoring

    begin = date(today.year, 1, 1)
    for outlet in permit.enterprise.outlets.all():
        sent = {f for p in outlet.points.all() for f in p.factors}
        limited = set(outlet.limits.values_list("factor", flat=True))
        base = {
            "permit": permit,
            "outlet": outlet,
            "source": "演示监测方案（虚构）",
            "valid_from": begin,
        }
        for factor in sorted(limited & sent):
            selfmonitoring.add_line(None, factor=factor, means="automatic", every="day", **base)
        factor, unit, value = MANUAL[outlet.medium]
        selfmonitoring.add_line(
            None, factor=factor, means="manual", every="quarter", report_days=15, publish_days=20,
            **base,
        )  # fmt: skip
        start = begin
        while (end := period_end(start, "quarter")) < today:
            sampled = start + timedelta(days=20 + number % 40)
            last = period_end(period_start(end + timedelta(days=1), "quarter"), "quarter") >= today
            if not (number % MISSING == 0 and last):
                slow = number % LATE == 0 and last
                told = sampled + timedelta(days=30 if slow else 9)
                selfmonitoring.enter(
                    None, outlet, factor=factor, sampled=sampled, value=Decimal(value), unit=unit,
                    laboratory="示例检测有限公司", report=f"SL-{sampled:%Y%m%d}-{number:03d}",
                    reported=told, published=None if slow else told + timedelta(days=2),
                )  # fmt: skip
            start = end + timedelta(days=1)
