"""The bulletin of a day or a month: transmission and exceedances by district."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Sum

from jingwei.analysis.incineration import COUNT_BELOW
from jingwei.analysis.validity import Rates
from jingwei.bureau.monitoring import selectors
from jingwei.bureau.monitoring.models import Exceedance, FurnaceDay, TransmissionDay, day_rates
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry.models import Point, Region

_SUMS = ("expected", "received", "valid", "stopped", "due", "came")


@dataclass
class Line:
    """A district, a point or the whole: what was due and came, and what exceeded.

    `due`, `came`: hours that were due, and of which anything came; `hours`, `days`: exceedances of hourly and daily limits; `enterprises`: that exceeded; `furnaces`:
    days on which a furnace was below 850 °C more than five times; `unsent`: factors of a point
    that limits bind and of which nothing came on a day of the span with data.
    """

    key: str
    name: str
    point: Point | None = None
    points: int = 0
    expected: int = 0
    received: int = 0
    valid: int = 0
    stopped: int = 0
    due: int = 0
    came: int = 0
    hours: int = 0
    days: int = 0
    furnaces: int = 0
    enterprises: set[int] = field(default_factory=set)
    unsent: set[str] = field(default_factory=set)

    @property
    def rates(self) -> Rates:
        return day_rates(self.expected, self.received, self.valid, self.stopped)

    @property
    def silent(self) -> int:
        """Hours of which nothing of the point came: no link (A18-3.3)."""
        return max(0, self.due - self.came)

    def add(self, other: Line) -> None:
        for name in (*_SUMS, "points", "hours", "days", "furnaces"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.enterprises |= other.enterprises


@dataclass
class Bulletin:
    first: date
    last: date
    regions: list[Line]
    whole: Line
    points: list[Line]  # of the chosen district, the lowest transmission first


def month(day: date) -> tuple[date, date]:
    """First and last day of the month."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def make(user: Any, first: date, last: date, region: str = "") -> Bulletin:
    """What the user may see of the sources from `first` to `last` (local days, both included)."""
    points = Point.objects.restrict(user, "point.view").filter(kind=Point.Kind.SOURCE)
    lines: dict[int, Line] = {}
    of: dict[int, str] = {}
    for p in points.select_related("outlet__enterprise"):
        lines[p.pk] = Line(p.key, p.name, p, 1)
        of[p.pk] = p.region_id
    for row in (
        TransmissionDay.objects.filter(point__in=lines, day__gte=first, day__lte=last)
        .values("point")
        .annotate(**{f"s_{name}": Sum("hours" if name == "came" else name) for name in _SUMS})
        .order_by()
    ):
        for name in _SUMS:
            setattr(lines[row["point"]], name, row[f"s_{name}"])
    for point, factors in TransmissionDay.objects.filter(
        point__in=lines, day__gte=first, day__lte=last
    ).values_list("point", "unsent"):
        lines[point].unsent.update(factors)
    for point, period, enterprise in _exceedances(user, first, last).values_list(
        "point", "period", "point__outlet__enterprise"
    ):
        if line := lines.get(point):
            if period == "hour":
                line.hours += 1
            else:
                line.days += 1
            line.enterprises.add(enterprise)
    for point, enterprise in FurnaceDay.objects.filter(
        furnace__point__in=lines, day__gte=first, day__lte=last, below__gt=COUNT_BELOW
    ).values_list("furnace__point", "furnace__outlet__enterprise"):
        lines[point].furnaces += 1
        lines[point].enterprises.add(enterprise)
    names = {r.pk: r for r in Region.objects.filter(pk__in=set(of.values())).defer("geometry")}
    regions: dict[str, Line] = {}
    whole = Line("", "")
    for pk, line in lines.items():
        place = of[pk]
        regions.setdefault(place, Line(place, names[place].label)).add(line)
        whole.add(line)
    chosen = [line for pk, line in lines.items() if of[pk] == region]
    chosen.sort(key=lambda x: (x.rates.effective is None, x.rates.effective or 0.0, x.name))
    return Bulletin(first, last, [regions[k] for k in sorted(regions)], whole, chosen)


def _exceedances(user: Any, first: date, last: date) -> Any:
    return Exceedance.objects.restrict(user, "point.view").filter(
        withdrawn="",
        time__gte=day_start(first),
        time__lt=day_start(last + timedelta(days=1)),
    )


def exceedances(user: Any, first: date, last: date, region: str = "") -> list[dict[str, Any]]:
    """The standing exceedances of the span by point, factor and period: how many, the worst."""
    rows = selectors.exceedances(user).filter(
        withdrawn="",
        time__gte=day_start(first),
        time__lt=day_start(last + timedelta(days=1)),
    )
    if region:
        rows = rows.filter(point__region=region)
    groups: dict[tuple[int, str, str], list[Exceedance]] = defaultdict(list)
    for e in rows:
        groups[e.point_id, e.factor, e.period].append(e)
    found = [
        {
            "worst": (worst := max(group, key=lambda e: (e.multiple or 0.0, e.value))),
            "count": len(group),
            "first": min(e.time for e in group),
            "last": max(e.time for e in group),
            "region": worst.point.region.label,
        }
        for group in groups.values()
    ]
    return sorted(found, key=lambda r: (-(r["worst"].multiple or 0.0), r["worst"].pk))
