"""Transmission days: what was due, came, was valid or stood still, of the hours of each local day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min

from jingwei.analysis import validity
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring.models import Cursor, Judgement, TransmissionDay
from jingwei.bureau.monitoring.observations import current_code, day_start, local_day
from jingwei.bureau.registry.models import MonitoringPlan, PermitLimit, Point

GRACE = timedelta(minutes=10)  # an hour mean is due this long after its hour has ended
STOPPED = "F"  # the mark of a source or an instrument out of service
SAMPLE = "sample"  # origin of a cell of which nothing came but an officers' sample


@dataclass(slots=True)
class _Day:
    received: int = 0
    valid: int = 0
    stopped: int = 0
    hours: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    seen: set[str] = field(default_factory=set)  # factors of which anything came


def due_factors(point: Point) -> frozenset[str]:
    """What the register says that a point sends, in codes of 2017."""
    return frozenset(current_code(code, point.version) for code in point.factors)


def count(changed: Iterable[Any], known: int, now: datetime) -> None:
    """Count the local days of changed hours (drafts of the judgement) from what stands. `known`:
    the last judgement that was there before these."""
    days: dict[tuple[int, date], _Day] = {}
    points: dict[int, Point] = {}
    due: dict[int, frozenset[str]] = {}
    local: dict[int, tuple[datetime, date]] = {}
    for d in changed:
        pk = d.point.pk
        if pk not in points:
            points[pk], due[pk] = d.point, due_factors(d.point)
        if d.second not in local:
            local[d.second] = (d.time, local_day(d.time))
        when, day = local[d.second]
        _add(days.setdefault((pk, day), _Day()), when, d.factors, due[pk])
    if not days:
        return
    for pk, when, factors in Judgement.objects.filter(
        point__in=points,
        period="hour",
        stands=True,
        pk__lte=known,
        time__gte=day_start(min(local.values())[1]),
        time__lt=day_start(max(local.values())[1] + timedelta(days=1)),
    ).values_list("point", "time", "factors"):
        if found := days.get((pk, local_day(when))):
            _add(found, when, factors, due[pk])
    _store(points, days, now)


def _add(day: _Day, when: datetime, factors: dict[str, Any], due: frozenset[str]) -> None:
    came = False
    for code, cell in factors.items():
        if cell.get("origin") == SAMPLE:
            continue
        came = True
        if not cell.get("fault", 0) & Fault.PART:
            day.seen.add(code)
        if code in due:
            day.received += 1
            if fault := cell.get("fault"):
                day.faults.update(validity.names(fault))
            else:
                day.valid += 1
            day.stopped += cell.get("mark") == STOPPED
    if came:
        day.hours += 1
        day.first = when if day.first is None else min(day.first, when)


class _Bound:
    """Which factors limits bind that a point should send: those of its outlet's limits by the hour
    or day, without what another point of the outlet is registered to send and what the permit's
    plan has measured by hand."""

    def __init__(self, points: Iterable[Point]) -> None:
        outlets = {p.outlet_id for p in points if p.outlet_id}
        self.limits: dict[int, list[tuple[str, date, date]]] = defaultdict(list)
        for outlet, *row, end in PermitLimit.objects.filter(
            outlet__in=outlets, period__in=("hour", "day")
        ).values_list("outlet", "factor", "valid_from", "valid_to"):
            self.limits[outlet].append((row[0], row[1], end or date.max))
        self.others: dict[int, dict[int, frozenset[str]]] = defaultdict(dict)
        for p in Point.objects.filter(outlet__in=outlets, enabled=True):
            self.others[p.outlet_id or 0][p.pk] = due_factors(p)
        plans: dict[tuple[int, str], set[str]] = defaultdict(set)
        for outlet, factor, means in MonitoringPlan.objects.filter(outlet__in=outlets).values_list(
            "outlet", "factor", "means"
        ):
            plans[outlet, factor].add(means)
        self.by_hand = {key for key, means in plans.items() if means == {"manual"}}

    def on(self, point: Point, day: date) -> set[str]:
        outlet = point.outlet_id or 0
        own = self.others[outlet].get(point.pk, frozenset())
        elsewhere = {f for pk, fs in self.others[outlet].items() if pk != point.pk for f in fs}
        return {
            factor
            for factor, begin, end in self.limits.get(outlet, ())
            if begin <= day <= end
            and (factor in own or factor not in elsewhere)
            and (outlet, factor) not in self.by_hand
        }


def _due_hours(day: date, since: datetime, now: datetime) -> int:
    """Hours of the day due by `now`, from `since`."""
    end = min(day_start(day + timedelta(days=1)), now - GRACE)
    return max(0, int((end - since) / timedelta(hours=1)))


def _expected(point: Point, day: date, since: datetime, now: datetime) -> tuple[int, int]:
    """The hours that are due, and the values: for each factor that the point should send."""
    hours = _due_hours(day, since, now)
    return hours, hours * len(due_factors(point))


def _store(points: dict[int, Point], days: dict[tuple[int, date], _Day], now: datetime) -> None:
    """Write the touched days. On a point's first day hours are expected from its first hour only."""
    by_point: dict[int, dict[date, _Day]] = defaultdict(dict)
    for (point_id, day), counted in days.items():
        if counted.first is not None:
            by_point[point_id][day] = counted
    firsts = {
        row["point"]: row["first"]
        for row in TransmissionDay.objects.filter(point__in=by_point)
        .values("point")
        .annotate(first=Min("day"))
        .order_by()
    }
    bound = _Bound(points.values())
    rows = []
    for point_id, counted in by_point.items():
        point, known = points[point_id], firsts.get(point_id)
        first = min(min(counted), known) if known else min(counted)
        for day, c in counted.items():
            assert c.first is not None
            since = c.first if day == first else day_start(day)
            hours, values = _expected(point, day, since, now)
            rows.append(
                TransmissionDay(
                    point=point,
                    day=day,
                    since=since,
                    expected=values,
                    due=hours,
                    received=c.received,
                    valid=c.valid,
                    stopped=c.stopped,
                    hours=c.hours,
                    faults=dict(c.faults),
                    unsent=sorted(bound.on(point, day) - c.seen),
                )
            )
        if known and first < known and known not in counted:  # no longer the first: a whole day
            hours, values = _expected(point, known, day_start(known), now)
            TransmissionDay.objects.filter(point=point, day=known).update(
                since=day_start(known), due=hours, expected=values
            )
    TransmissionDay.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["point", "day"],
        update_fields=[
            "since",
            "expected",
            "received",
            "valid",
            "due",
            "stopped",
            "hours",
            "faults",
            "unsent",
        ],
    )


def expect(now: datetime) -> int:
    """Bring what is expected up to `now`: days without any data get a row, open days grow.

    Returns how many rows were written. Points that never sent anything, and disabled ones, expect
    nothing. One read where no hour has become due since the last call.
    """
    cursor, _created = Cursor.objects.get_or_create(name="expect")
    hour = int((now - GRACE).timestamp()) // 3600
    return _expect(now, hour) if cursor.batch < hour else 0


@transaction.atomic
def _expect(now: datetime, hour: int) -> int:
    cursor = Cursor.objects.select_for_update().get(name="expect")
    if cursor.batch >= hour:
        return 0
    back_to = local_day(datetime.fromtimestamp(cursor.batch * 3600, UTC))
    today = local_day(now)
    spans = {
        row["point"]: (row["first"], row["last"])
        for row in TransmissionDay.objects.filter(point__enabled=True)
        .values("point")
        .annotate(first=Min("day"), last=Max("day"))
        .order_by()
    }
    points = Point.objects.in_bulk(list(spans))
    start = max(back_to, min((first for first, _last in spans.values()), default=today))
    there = {
        (row.point_id, row.day): row
        for row in TransmissionDay.objects.filter(point__in=points, day__gte=start)
    }
    missing, grown = [], []
    for point_id, (first, _last) in spans.items():
        point = points[point_id]
        day = max(start, first)
        while day <= today:
            row = there.get((point_id, day))
            since = row.since if row else day_start(day)
            hours, values = _expected(point, day, since, now)
            if row is None:
                missing.append(
                    TransmissionDay(
                        point=point, day=day, since=since, due=hours, expected=values,
                        received=0, valid=0,
                    )
                )  # fmt: skip
            elif (row.due, row.expected) != (hours, values):
                row.due, row.expected = hours, values
                grown.append(row)
            day += timedelta(days=1)
    TransmissionDay.objects.bulk_create(missing, batch_size=500, ignore_conflicts=True)
    TransmissionDay.objects.bulk_update(grown, ["due", "expected"], batch_size=500)
    cursor.batch = hour
    cursor.save(update_fields=["batch"])
    return len(missing) + len(grown)
