"""Exceedance days of waste incinerators by natural month (Order 10 art. 6, 10): the one count behind
the account of a furnace, the page of rules and the trigger of supervision orders.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from django.db.models import Q, QuerySet

from jingwei.analysis import incineration
from jingwei.bureau.monitoring.models import Exceedance, Furnace
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.registry.models import Enterprise, Medium


@dataclass(frozen=True)
class StopMonth:
    """A month in which an outlet of furnaces exceeds on five days or more: production is to be
    limited or stopped. `rows`: what exceeds up to the end of the fifth day."""

    outlet: int
    first: date
    days: tuple[date, ...]
    rows: tuple[Exceedance, ...]

    @property
    def reached(self) -> datetime:
        """When it was known: the end of the fifth exceedance day."""
        return day_start(self.days[incineration.DAYS_OVER - 1] + timedelta(days=1))


def of(rows: QuerySet[Exceedance], since: date) -> list[StopMonth]:
    """The months from that of `since` on, of those exceedances among `rows` that stand. One day is
    one, however many pollutants exceed; the furnaces of one outlet exceed together."""
    furnaces = Q(
        point__outlet__enterprise__industry=Enterprise.Industry.INCINERATION,
        point__outlet__medium=Medium.AIR,
    ) | Q(point__outlet__in=Furnace.objects.values("outlet"))
    rows = rows.filter(
        furnaces, period="day", withdrawn="", factor__in=list(incineration.FACTORS.values()),
        time__gte=day_start(since.replace(day=1)),
    ).select_related("point__outlet__enterprise")  # fmt: skip
    by_outlet: dict[int, list[Exceedance]] = defaultdict(list)
    for row in rows.order_by("time", "pk"):
        assert row.point.outlet_id is not None
        by_outlet[row.point.outlet_id].append(row)
    out = []
    for outlet, own in by_outlet.items():
        days = sorted({local_day(r.time) for r in own})
        over = incineration.stop_months([True] * len(days), [d.year * 100 + d.month for d in days])
        for first, some in groupby(days, key=lambda d: d.replace(day=1)):
            if first.year * 100 + first.month in over:
                month = tuple(some)
                fifth = month[incineration.DAYS_OVER - 1]
                until = tuple(r for r in own if first <= local_day(r.time) <= fifth)
                out.append(StopMonth(outlet, first, month, until))
    return sorted(out, key=lambda m: (m.first, m.outlet))
