"""Whether a point names its hours by their start or by their end, weighed from many telegrams.

HJ 212 names an hour by its start, but there are loggers that name it by its end. The mean of an
hour comes soon after the hour is over: so a little more than an hour after its name in the one case,
a little after it in the other. A clock that is an hour ahead makes the one look like the other;
real-time data, named by the moment itself, say how far the clock is ahead, and by the device's own
clock the two can be told apart. Without real-time data only the start can be recognised; what looks
like the end stays as it was known before.

Two things follow. Of a point that names hours by the start an hour that came before it was over has
a wrong clock (`observations.check`). Of one that names them by the end the minutes of the hour
before the name are those of the hour (`observations.from_minutes`). All numbers are presets.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.models import Due, HourNaming
from jingwei.bureau.monitoring.observations import HOUR, moment, sent_code
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.lake import Lake

Name = HourNaming.Name
SPAN = timedelta(days=7)  # of hours that are weighed
NEAR = timedelta(hours=2, minutes=30)  # on either side of now: real-time data that tell the clock
AGAIN = timedelta(days=1)  # a point is weighed once a day
AT_ONCE = 200  # points in one round
LEAST = 24  # hours that must speak
SHARE = 0.9  # of them that must agree
SLACK = 600  # s by which clocks may differ
PROMPT = 1800  # s: an hour that came later after its end was sent again, and does not speak
MOMENTS = 5  # real-time values that must be there


def weigh(late: npt.ArrayLike, ahead: int | None) -> tuple[int, int]:
    """How many hours speak for the start and how many for the end.

    `late`: seconds from the name of an hour to its reception; `ahead`: of the device's clock.

    >>> weigh([3660, 3660, 90000], 0), weigh([60], 3600), weigh([60], 0)
    ((2, 0), (1, 0), (0, 1))
    """
    own = np.asarray(late, dtype=np.int64) + (ahead or 0)
    start = (own >= HOUR - SLACK) & (own < HOUR + PROMPT)
    end = (own >= -SLACK) & (own < PROMPT)
    return int(start.sum()), int(end.sum())


def decide(start: int, end: int, ahead: int | None, before: str) -> str:
    """The name by what hours say; `before` where too few speak or they differ, and where the end is
    spoken for but nothing tells the clock."""
    spoken = start + end
    if spoken < LEAST:
        return before
    if start >= SHARE * spoken:
        return str(Name.START)
    if end >= SHARE * spoken and ahead is not None:
        return str(Name.END)
    return before


def look(now: datetime) -> int:
    """Weigh the points whose turn it is, at most `AT_ONCE`; how many there were."""
    points = list(
        Point.objects.filter(
            Q(naming=None) | Q(naming__weighed__lte=now - AGAIN),
            kind=Point.Kind.SOURCE,
            enabled=True,
        ).order_by(F("naming__weighed").asc(nulls_first=True), "pk")[:AT_ONCE]
    )
    if points:
        _look(points, now)
    return len(points)


def _look(points: list[Point], now: datetime) -> None:
    lake = Lake(settings.ENV.lake)
    hours = _times(lake, "hour", now - SPAN, now + NEAR, points)
    moments = _times(lake, "realtime", now - NEAR, now + NEAR, points)
    known = {n.point_id: n for n in HourNaming.objects.filter(point__in=points)}
    rows, again = [], []
    for p in points:
        none = np.zeros((2, 0), dtype=np.int64)
        time, received = hours.get((p.mn, p.st), none)
        at, came = moments.get((p.mn, p.st), none)
        ahead = int(np.median(at - came)) if len(at) >= MOMENTS else None
        start, end = weigh(received - time, ahead)
        before = known[p.pk].name if p.pk in known else ""
        name = decide(start, end, ahead, before)
        since = now if name != before else known[p.pk].since if p.pk in known else None
        rows.append(
            HourNaming(
                point=p, name=name, hours=start + end, agree=start, ahead=ahead, since=since,
                weighed=now,
            )
        )  # fmt: skip
        if name != before:
            shifted = Name.END in (name, before)  # other minutes are its own
            touched = time if shifted else time[received - time < HOUR - SLACK]
            again += [(p.pk, str(Due.What.HOUR), moment(t), now) for t in touched.tolist()]
    with transaction.atomic():
        HourNaming.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["point"],
            update_fields=["name", "hours", "agree", "ahead", "since", "weighed"],
        )
        ask(again, now)


def _times(
    lake: Lake, resolution: str, start: datetime, end: datetime, points: Iterable[Point]
) -> dict[tuple[str, str], Any]:
    """(name, reception) in seconds of one factor of each point, (2, n), by MN and ST."""
    wanted = {(p.mn, p.st): p for p in points}
    first = {sent_code(f, p.version) for p in wanted.values() for f in p.factors[:1]}
    rows = lake.scan(resolution, start, end, points=sorted(wanted), factors=sorted(first))
    found: dict[tuple[str, str], dict[int, int]] = {}
    for mn, st, at, came in zip(
        rows.column("mn").to_pylist(),
        rows.column("st").to_pylist(),
        (rows.column("time").cast("int64").to_numpy() // 1_000_000).tolist(),
        (rows.column("received").cast("int64").to_numpy() // 1_000_000).tolist(),
        strict=True,
    ):
        times = found.setdefault((mn, st), {})
        times[at] = min(came, times.get(at, came))
    return {key: np.array(sorted(times.items())).T for key, times in found.items()}


def of(points: Iterable[Point]) -> dict[int, str]:
    """The names by point; those that cannot be told are not among them."""
    rows = HourNaming.objects.filter(point__in=list(points)).exclude(name="")
    return dict(rows.values_list("point", "name"))
