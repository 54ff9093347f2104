"""Missing hours and days are asked for at the devices that should have sent them.

Politely: only from devices that are connected and have had time to send it by themselves, within
their hours, one request a device at a time and few in all at once, with a growing pause after each
try, and not for ever. A device that says that it has no data of a time is not asked for it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F
from django.utils import timezone

from jingwei.bureau.monitoring import device_selectors, device_services
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.monitoring.models import TransmissionDay
from jingwei.bureau.monitoring.selectors import lake
from jingwei.bureau.monitoring.services import day_start, local_day
from jingwei.bureau.registry.models import Device, Point
from jingwei.hj212 import moment

EVERY = timedelta(minutes=5)
BACK = timedelta(days=14)  # so far back is asked: a line that was cut for a week, and more
SETTLE = timedelta(hours=2)  # so long an hour may take to come by itself, a day likewise
CALM = timedelta(minutes=10)  # a device that has just connected sends what it missed by itself
AT_ONCE = 20  # requests under way, all devices together
TRIES = 5  # for one time
PAUSE = timedelta(minutes=30)  # after the first try; doubled after each
LONGEST = 24  # hours, or days, asked for in one request

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_last: datetime | None = None


def tick(now: datetime) -> int:
    """`pull`, every few minutes."""
    global _last
    if _last is not None and timedelta(0) <= now - _last < EVERY:
        return 0
    _last = now
    return pull(now)


def pull(now: datetime) -> int:
    """Ask for what is missing as far as that is polite now; how many requests were made."""
    open_ = DeviceCommand.objects.filter(finished=None)
    room = AT_ONCE - open_.filter(actor=None).count()
    if room <= 0:
        return 0
    busy = set(open_.values_list("point__mn", flat=True))
    candidates = [p for p in _short(now) if p.mn not in busy]
    candidates = _ready(candidates, now)
    asked = 0
    for point, cn, first, last in _gaps(candidates, now):
        if asked >= room:
            break
        if point.mn in busy:
            continue
        try:
            device_services.ask(None, point, cn, {"BeginTime": first, "EndTime": last}, "", now=now)
        except ValidationError:
            continue  # disabled meanwhile
        busy.add(point.mn)
        asked += 1
    return asked


def _short(now: datetime) -> list[Point]:
    """Points of which hours are missing, by the count of what was due."""
    since = local_day(now - BACK)
    rows = (
        TransmissionDay.objects.filter(
            day__gte=since, received__lt=F("expected"), point__enabled=True
        )
        .values_list("point", flat=True)
        .distinct()
    )
    return list(Point.objects.filter(pk__in=rows).order_by("mn", "st"))


def _ready(points: list[Point], now: datetime) -> list[Point]:
    """Those whose device is connected, settled, and may be asked at this hour."""
    if not points:
        return []
    mns = {p.mn for p in points}
    store = device_selectors.the_book()
    try:
        seen = store.devices(mns)
    finally:
        store.close()
    settings = {d.mn: d for d in Device.objects.filter(mn__in=mns)}
    hour = timezone.localtime(now).hour

    def may(point: Point) -> bool:
        there, own = seen.get(point.mn), settings.get(point.mn, Device())
        return (
            there is not None
            and there.connected
            and (there.since is None or now - there.since >= CALM)
            and own.pull
            and own.pull_from <= hour < own.pull_until
        )

    return [p for p in points if may(p)]


def _gaps(points: list[Point], now: datetime) -> Iterator[tuple[Point, str, datetime, datetime]]:
    """The first time of each point that is missing and may be asked for: command, from, to."""
    if not points:
        return
    tried = _tried(points, now)
    keys = [(p.mn, p.st) for p in points]
    begin = max(day_start(local_day(now - BACK)), now - BACK - _DAY)
    there: dict[str, dict[tuple[str, str], set[datetime]]] = {}
    for resolution in ("hour", "day"):
        found: dict[tuple[str, str], set[datetime]] = defaultdict(set)
        table = lake().scan(resolution, begin, now, points=keys)
        for mn, st, at in zip(
            *(table[name].to_pylist() for name in ("mn", "st", "time")), strict=True
        ):
            found[mn, st].add(at.astimezone(UTC))
        there[resolution] = found
    since = {
        row["point"]: row["since"]
        for row in TransmissionDay.objects.filter(point__in=points)
        .order_by("-day")
        .values("point", "since")
    }  # the oldest day comes last
    for point in points:
        start = max(begin, since.get(point.pk, begin))
        for cn, resolution, step in (("2061", "hour", _HOUR), ("2031", "day", _DAY)):
            run = _run(start, step, there[resolution][point.mn, point.st], tried[point.pk, cn], now)
            if run is not None:
                yield (point, cn, *run)
                break


def _run(
    start: datetime, step: timedelta, there: set[datetime], tried: Any, now: datetime
) -> tuple[datetime, datetime] | None:
    """The first missing periods in a row that may be asked for now: the first and the last one."""
    first: datetime | None = None
    time = day_start(local_day(start))
    if time < start:
        time += -((time - start) // step) * step
    last = time
    while time + step + SETTLE <= now:
        missing = time not in there and _may(time, tried, now)
        if missing and first is None:
            first = time
        if first is not None and (not missing or time - first >= LONGEST * step):
            break
        if missing:
            last = time
        time += step
    return None if first is None else (first, last)


def _may(time: datetime, tried: Any, now: datetime) -> bool:
    """Whether a period may be asked for (again)."""
    tries = [t for t in tried if t[0] <= time <= t[1]]
    if not tries:
        return True
    if len(tries) >= TRIES or any(t[3] for t in tries):
        return False
    return bool(now - max(t[2] for t in tries) >= PAUSE * 2 ** (len(tries) - 1))


def _tried(points: list[Point], now: datetime) -> dict[tuple[int, str], list[Any]]:
    """What the system has asked before: (from, to, when, whether there are no data)."""
    found: dict[tuple[int, str], list[Any]] = defaultdict(list)
    rows = DeviceCommand.objects.filter(
        point__in=points, actor=None, created__gte=now - BACK - 2 * _DAY, cn__in=("2061", "2031")
    )
    for command in rows:
        shown = command.params.get("shown", {})
        first, last = moment(shown.get("BeginTime", "")), moment(shown.get("EndTime", ""))
        if first is not None and last is not None:
            found[command.point_id, command.cn].append(
                (
                    first,
                    last,
                    command.finished or command.created,
                    command.result.get("why") == "no_data",
                )
            )
    return found
