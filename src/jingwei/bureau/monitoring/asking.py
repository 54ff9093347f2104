"""What is to be judged though no telegram of its own asks for it: minutes came, hours changed, an
account of a furnace moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.models import Cursor, Due, Furnace, HourNaming, Mark
from jingwei.bureau.monitoring.observations import HOUR, day_start, local_day, moment, seconds
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.lake import Lake

if TYPE_CHECKING:
    from jingwei.bureau.monitoring.judging import Draft

MINUTES = 20_000  # changes of minutes looked through in one transaction


def ask(wanted: Iterable[tuple[int, str, datetime, datetime]], now: datetime) -> None:
    """Ask for periods to be judged again: (point, what, time, after). What is asked for already and
    not yet due needs no second row."""
    rows = set(wanted)
    if not rows:
        return
    there = set(
        Due.objects.filter(after__gt=now, point__in={r[0] for r in rows}).values_list(
            "point", "what", "time"
        )
    )
    Due.objects.bulk_create(
        [
            Due(point_id=point, what=what, time=when, after=max(after, now))
            for point, what, when, after in sorted(rows)
            if after <= now or (point, what, when) not in there
        ],
        batch_size=500,
    )


def ask_days(changed: list[Draft], now: datetime) -> None:
    starts = {
        (d.point.pk, day_start(local_day(d.time)))
        for d in changed
        if d.point.kind == Point.Kind.SOURCE
    }
    ask(((pk, Due.What.DAY, start, start + timedelta(days=1) + GRACE) for pk, start in starts), now)


def ask_accounts(changed: list[Draft], now: datetime) -> None:
    """The particles of a marked hour decide about the exemption account, and so about every later
    marked hour of the year."""
    moving = [s for s, c in marking.CONDITION.items() if c in marking.MOVING]
    drafts = {(d.point.outlet_id, d.second): d.point for d in changed if d.point.outlet_id}
    if not drafts:
        return
    since: dict[int, int] = {}
    found: dict[int, set[int]] = defaultdict(set)
    points: dict[int, Point] = {}
    for mark in Mark.objects.filter(
        outlet__in={outlet for outlet, _ in drafts}, withdrawn=None, sort__in=moving
    ):
        for second in marking.hours(mark.start, mark.end):
            found[mark.outlet_id].add(second)
            if point := drafts.get((mark.outlet_id, second)):
                points[mark.outlet_id] = point
                since[mark.outlet_id] = min(second, since.get(mark.outlet_id, second))
    ask(
        (
            (points[outlet].pk, str(Due.What.HOUR), moment(second), now)
            for outlet, first in since.items()
            for second in found[outlet]
            if second > first and second + HOUR <= seconds(now) and (outlet, second) not in drafts
        ),
        now,
    )


def follow_minutes(now: datetime, limit: int = MINUTES) -> bool:
    """Ask for the hours whose minutes changed: at once where the hour is over, else when it is
    complete; and for the day of a furnace whose temperatures came. Whether anything was done.
    """
    name = "minutes"
    cursor, _created = Cursor.objects.get_or_create(name=name)
    changes = Lake(settings.ENV.lake).changes(cursor.batch, "minute", limit)
    if not changes:
        return False
    points = {
        (p.mn, p.st): p.pk
        for p in Point.objects.filter(mn__in={c.mn for c in changes}).only("mn", "st")
    }
    heated = set(Furnace.objects.values_list("point", flat=True))
    wanted = set()
    ends = set(HourNaming.objects.filter(name=HourNaming.Name.END).values_list("point", flat=True))
    for pk, second in {
        (points[c.mn, c.st], seconds(c.time) // HOUR * HOUR)
        for c in changes
        if (c.mn, c.st) in points
    }:
        complete = moment(second) + timedelta(hours=1) + GRACE
        called = moment(second + HOUR if pk in ends else second)
        wanted.add((pk, str(Due.What.HOUR), called, complete))
        if pk in heated:
            start = day_start(local_day(moment(second)))
            wanted.add((pk, str(Due.What.FURNACE), start, complete))
    with transaction.atomic():
        locked = Cursor.objects.select_for_update().get(name=name)
        if (locked.batch, locked.rounds) != (cursor.batch, cursor.rounds):
            return True
        ask(wanted, now)
        locked.batch, locked.rounds = changes[-1].batch, locked.rounds + 1
        locked.save()
    return True
