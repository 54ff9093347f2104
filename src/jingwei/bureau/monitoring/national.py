"""The national line of waste incinerators: where a permit has no daily limit for one of the five
pollutants, the 24-hour limit of GB 18485-2014 holds (Order 10 art. 6: of the standard, or the local one).

The limit is entered as a row of the permit in force, with its source, which says that it is the national
line; it ends where the permit gets a line of its own, and the days since are judged again. A stricter local standard is entered as a permit's
line: the program knows none.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from jingwei.analysis import incineration
from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.models import Due, Furnace, Judgement
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry import changes
from jingwei.bureau.registry.models import Outlet, Permit, PermitLimit
from jingwei.bureau.registry.services import check_limit
from jingwei.standards import limits

STANDARD = "GB 18485-2014"
ORDER_10 = date(2020, 1, 1)  # in force since
BACK = timedelta(days=40)  # days judged again by a line that was entered now


def enter(now: datetime) -> int:
    """Enter the national daily line wherever a furnace's outlet has none in force; how many."""
    today, made = local_day(now), 0
    for outlet in {
        f.outlet_id: f.outlet for f in Furnace.objects.select_related("outlet")
    }.values():
        permit = (
            Permit.objects.filter(
                enterprise=outlet.enterprise_id, valid_from__lte=today, valid_to__gte=today
            )
            .order_by("-valid_from", "-pk")
            .first()
        )
        if permit is None:
            continue
        for factor in incineration.FACTORS.values():
            rows = [
                r
                for r in PermitLimit.objects.filter(
                    outlet=outlet, factor=factor, period="day", lower=False
                )
                if not r.never
            ]
            if any(
                r.valid_from <= today and (r.valid_to is None or today <= r.valid_to) for r in rows
            ):
                continue
            with transaction.atomic():
                since = _enter(permit, outlet, factor, rows, today)
                _again(outlet.pk, max(since, today - BACK), now)
            made += 1
    return made


def _enter(
    permit: Permit, outlet: Outlet, factor: str, rows: list[PermitLimit], today: date
) -> date:
    (line,) = limits.find(standard=STANDARD, factor=factor, period="day")
    since = max(
        permit.valid_from, ORDER_10,
        *(r.valid_to + timedelta(days=1) for r in rows if r.valid_to and r.valid_to < today),
    )  # fmt: skip
    later = min((r.valid_from for r in rows if r.valid_from > today), default=None)
    row = PermitLimit(
        permit=permit,
        outlet=outlet,
        assumed=True,
        factor=factor,
        period="day",
        value=line.value,
        unit=line.unit,
        reference_o2=float(line.reference_o2) if line.reference_o2 is not None else None,
        source=f"{STANDARD} {line.clause}（国家标准限值：许可证未载明日均限值）",
        verified=line.verified,
        valid_from=since,
        valid_to=later - timedelta(days=1) if later else None,
    )
    check_limit(row)
    changes.enter_limit(None, row)
    return since


def gave_way(limit: PermitLimit, since: date) -> None:
    """Judge again the days that were judged by the national line and fall under the permit's own."""
    _again(limit.outlet_id, since, timezone.now())


def _again(outlet: int, since: date, now: datetime) -> None:
    """Have the days judged by it that have data."""
    found = Judgement.objects.filter(
        point__outlet=outlet, period="hour", time__gte=day_start(since)
    ).values_list("point", "time")
    days = {(point, local_day(time)) for point, time in found}
    ask(
        (
            (
                point,
                str(Due.What.DAY),
                day_start(day),
                max(now, day_start(day) + timedelta(days=1) + GRACE),
            )
            for point, day in days
        ),
        now,
    )
