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
from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.models import Cursor, Furnace, Judgement, Mark, TransmissionDay
from jingwei.bureau.monitoring.observations import (
    HOUR,
    current_code,
    day_start,
    local_day,
    seconds,
)
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
    rows = list(changed)
    if not rows:
        return
    points: dict[int, Point] = {d.point.pk: d.point for d in rows}
    local = {d.second: local_day(d.time) for d in rows}
    first, last = min(local.values()), max(local.values())
    still = Still(points.values(), first, last)
    due = {pk: due_factors(p) for pk, p in points.items()}
    days: dict[tuple[int, date], _Day] = {}
    for d in rows:
        day = days.setdefault((d.point.pk, local[d.second]), _Day())
        _add(day, d.time, d.factors, due[d.point.pk], still.at(d.point, d.second))
    _add_standing(days, points, still, first, last, known)
    _store(points, days, now, still)


@transaction.atomic
def recount(points: Iterable[Point], first: date, last: date, now: datetime) -> None:
    """Count the days again of points whose enterprise said something of their standstill."""
    by_pk = {p.pk: p for p in points}
    still = Still(by_pk.values(), first, last)
    rows = {
        (row.point_id, row.day): row
        for row in TransmissionDay.objects.filter(
            point__in=by_pk, day__gte=first, day__lte=last
        ).select_for_update()
    }
    days: dict[tuple[int, date], _Day] = {key: _Day() for key in rows}
    _add_standing(days, by_pk, still, first, last)
    _store(by_pk, days, now, still)
    silent = []
    for (pk, day), counted in days.items():
        if counted.first is None:
            row = rows[pk, day]
            row.due, row.expected = _expected(by_pk[pk], day, row.since, now, still)
            silent.append(row)
    TransmissionDay.objects.bulk_update(silent, ["due", "expected"], batch_size=500)


def _add_standing(
    days: dict[tuple[int, date], _Day],
    points: dict[int, Point],
    still: Still,
    first: date,
    last: date,
    known: int | None = None,
) -> None:
    rows = Judgement.objects.filter(
        point__in=points,
        period="hour",
        stands=True,
        time__gte=day_start(first),
        time__lt=day_start(last + timedelta(days=1)),
    )
    if known is not None:
        rows = rows.filter(pk__lte=known)
    due = {pk: due_factors(p) for pk, p in points.items()}
    for pk, when, factors in rows.values_list("point", "time", "factors"):
        if (found := days.get((pk, local_day(when)))) is not None:
            _add(found, when, factors, due[pk], still.at(points[pk], seconds(when)))


def _add(
    day: _Day, when: datetime, factors: dict[str, Any], due: frozenset[str], still: bool
) -> None:
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
            day.stopped += cell.get("mark") == STOPPED or (still and bool(fault))
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


class Still:
    """The hours that enterprises marked as out of operation, in time (M22-5): of an outlet, or of
    every furnace that it has. Then nothing is due: values that come and are not valid count as
    stopped, and hours of which nothing came are not expected. What is valid is counted as any."""

    def __init__(self, points: Iterable[Point], first: date, last: date) -> None:
        start, end = day_start(first), day_start(last + timedelta(days=1))
        rows = list(points)
        self.hours: dict[int, set[int]] = defaultdict(set)
        self.came: dict[int, set[int]] = defaultdict(set)
        of_furnace: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for mark in Mark.objects.filter(
            outlet__in={p.outlet_id for p in rows if p.outlet_id},
            sort__in=(Mark.Sort.STANDSTILL, Mark.Sort.IDLE),
            withdrawn=None,
            start__lt=end,
            end__gt=start,
        ):
            found = {s for s in marking.counted(mark) if seconds(start) <= s < seconds(end)}
            if mark.sort == Mark.Sort.IDLE and mark.furnace_id:
                of_furnace[mark.outlet_id][mark.furnace_id] |= found
            else:
                self.hours[mark.outlet_id] |= found
        for outlet, furnace in Furnace.objects.filter(outlet__in=of_furnace).values_list(
            "outlet", "pk"
        ):
            of_furnace[outlet].setdefault(furnace, set())
        for outlet, each in of_furnace.items():
            self.hours[outlet] |= set.intersection(*each.values())
        marked = [p.pk for p in rows if self.hours.get(p.outlet_id or 0)]
        for pk, when in (
            Judgement.objects.filter(
                point__in=marked, period="hour", stands=True, time__gte=start, time__lt=end
            )
            .exclude(telegrams="")
            .values_list("point", "time")
        ):
            self.came[pk].add(seconds(when))

    def at(self, point: Point, second: int) -> bool:
        return second in self.hours.get(point.outlet_id or 0, ())

    def silent(self, point: Point, start: datetime, end: datetime) -> int:
        """The marked hours from `start` to `end` of which nothing came."""
        hours = self.hours.get(point.outlet_id or 0, set()) - self.came.get(point.pk, set())
        return sum(seconds(start) <= s and s + HOUR <= seconds(end) for s in hours)


def _expected(
    point: Point, day: date, since: datetime, now: datetime, still: Still
) -> tuple[int, int]:
    """The hours of the day that are due by `now`, from `since`, and the values: for each factor that
    the point should send. Hours out of operation of which nothing came are not."""
    end = min(day_start(day + timedelta(days=1)), now - GRACE)
    hours = max(0, int((end - since) / timedelta(hours=1)))
    hours = max(0, hours - still.silent(point, since, end))
    return hours, hours * len(due_factors(point))


def _store(
    points: dict[int, Point], days: dict[tuple[int, date], _Day], now: datetime, still: Still
) -> None:
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
            hours, values = _expected(point, day, since, now, still)
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
            before = Still([point], known, known)
            hours, values = _expected(point, known, day_start(known), now, before)
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
    still = Still(points.values(), start, today)
    missing, grown = [], []
    for point_id, (first, _last) in spans.items():
        point = points[point_id]
        day = max(start, first)
        while day <= today:
            row = there.get((point_id, day))
            since = row.since if row else day_start(day)
            hours, values = _expected(point, day, since, now, still)
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
