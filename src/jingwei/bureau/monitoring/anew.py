"""A span of time judged anew, beside the judgements that stand. Nothing is written.

The same rules as the worker's (`judging.Work`), over all hours and days of the lake: hour means,
validity, conversion, limits. A task is one month of one shard of points, on an executor
(`telemetry.executor`): a year of a city on one machine, of a province on many. Days are made from
the hours judged here, not from those that stand. A worker sees the data folder and the database; no
Django before a task begins.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jingwei.telemetry.executor import Executor

if TYPE_CHECKING:
    from jingwei.bureau.monitoring.judgements import Draft
    from jingwei.bureau.registry.models import Point

T = TypeVar("T")

SHARD = 20  # points of a task: some 100 MB in a month
KEPT = 10_000  # differences that are named; all are counted


class AnewError(RuntimeError):
    """A worker that does not see what this process sees."""


@dataclass(frozen=True, order=True)
class Difference:
    """A period of a point of which something else stands than the rules say now.

    `what`: "absent" (nothing stands), "gone" (what stands has nothing behind it), "other" (in
    `factors`).
    """

    point: str
    period: str
    time: str
    what: str
    factors: tuple[str, ...] = ()


@dataclass
class Tally:
    """Periods of a factor of a point: those with a cell, the valid ones, those over a limit."""

    hours: int = 0
    valid: int = 0
    over: int = 0
    days: int = 0
    days_valid: int = 0
    days_over: int = 0


@dataclass
class Found:
    """What came of a task, or of all. `waiting`: periods that are to be judged again anyway."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    count: int = 0  # of all differences
    waiting: int = 0
    judged: int = 0  # hours and days

    def add(self, other: Found) -> None:
        for key, one in other.tallies.items():
            mine = self.tallies.setdefault(key, Tally())
            for name, n in asdict(one).items():
                setattr(mine, name, getattr(mine, name) + n)
        self.differences = sorted([*self.differences, *other.differences])[:KEPT]
        self.count += other.count
        self.waiting += other.waiting
        self.judged += other.judged


def months(start: date, end: date) -> Iterator[tuple[date, date]]:
    """The span cut where a month ends.

    >>> list(months(date(2026, 1, 31), date(2026, 2, 2)))
    [(datetime.date(2026, 1, 31), datetime.date(2026, 2, 1)), (datetime.date(2026, 2, 1), datetime.date(2026, 2, 2))]
    """
    while start < end:
        after = min((start.replace(day=1) + timedelta(days=32)).replace(day=1), end)
        yield start, after
        start = after


def run(
    lake: Path, points: Iterable[int], start: date, end: date, now: datetime, by: Executor
) -> Found:
    """Judge the local days from `start` to before `end` as they are at `now`.

    Raises `AnewError` where a worker sees another database, `ExecutorError`, `LakeError`.
    """
    keys = sorted(points)
    tasks = [
        (str(lake), tuple(keys[at : at + SHARD]), first, last, now)
        for first, last in months(start, end)
        for at in range(0, len(keys), SHARD)
    ]
    found = Found()
    for _, part in by.run(task, tasks):
        found.add(part)
    return found


def in_django(work: Callable[[], T]) -> T:
    """Do a piece of work with Django around it, in any process."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jingwei.config.settings")
    django.setup()
    from django.db import connections

    try:
        return work()
    finally:
        connections.close_all()


def points_of(keys: Collection[int]) -> list[Point]:
    """The points of these keys, by MN and system type. Raises `AnewError` where this process sees
    another database."""
    from django.db import DatabaseError

    from jingwei.bureau.registry.models import Point

    chosen, rows = set(keys), Point.objects.select_related("outlet__enterprise")
    if len(chosen) <= SHARD:  # SQLite takes only so many in one question
        rows = rows.filter(pk__in=chosen)
    try:
        points = sorted((p for p in rows if p.pk in chosen), key=lambda p: (p.mn, p.st))
    except DatabaseError as error:
        raise AnewError(f"the database of this worker cannot be read: {error}") from error
    if len(points) != len(chosen):
        raise AnewError(
            "the database of this worker lacks points: its JINGWEI_DATABASE (or JINGWEI_DATA) is"
            " another one"
        )
    return points


def task(lake: str, keys: tuple[int, ...], start: date, end: date, now: datetime) -> Found:
    """A task, in any process: `piece` with Django around it."""
    return in_django(lambda: piece(lake, keys, start, end, now))


def piece(lake: str, keys: tuple[int, ...], start: date, end: date, now: datetime) -> Found:
    """Points judged over a span, and held against what stands."""
    from jingwei.bureau.monitoring import judging
    from jingwei.bureau.monitoring.observations import HOUR, day_start, seconds
    from jingwei.telemetry.lake import Lake

    points = points_of(keys)
    low, high = seconds(day_start(start)), seconds(day_start(end))

    def work() -> judging.Work:
        return judging.Work(Lake(Path(lake)), now, judging.Report())

    hours = [
        d
        for d in work().hours({p: set(range(low, high, HOUR)) for p in points})[0]
        if low <= d.second < high  # not the neighbours
    ]
    made: dict[int, list[Any]] = {p.pk: [] for p in points}
    for d in hours:
        made[d.point.pk].append((d.second, d.factors, " ".join(map(str, d.telegrams))))
    starts = set()
    day = start
    while day < end:
        starts.add(seconds(day_start(day)))
        day += timedelta(days=1)
    days = work().days({p: set(starts) for p in points}, hours=made)[0]
    found = Found(judged=len(hours) + len(days))
    _tally(found, hours, "")
    _tally(found, days, "days_")
    for period, drafts in (("hour", hours), ("day", days)):
        _compare(found, points, period, drafts, low, high)
    return found


def _tally(found: Found, drafts: list[Draft], prefix: str) -> None:
    from jingwei.bureau.monitoring.judging import EXCEEDED

    counts: Counter[tuple[str, str, str]] = Counter()
    whole = "days" if prefix else "hours"
    for d in drafts:
        for code, one in d.factors.items():
            counts[d.point.key, code, whole] += 1
            if not one.get("fault") and one.get("value") is not None:
                counts[d.point.key, code, f"{prefix}valid"] += 1
            if any(said[0] == EXCEEDED for said in one.get("limits", {}).values()):
                counts[d.point.key, code, f"{prefix}over"] += 1
    for (point, code, name), n in counts.items():
        setattr(found.tallies.setdefault((point, code), Tally()), name, n)


def _compare(
    found: Found, points: list[Point], period: str, drafts: list[Draft], low: int, high: int
) -> None:
    from jingwei.bureau.monitoring.models import Due, Judgement
    from jingwei.bureau.monitoring.observations import moment, seconds

    names = {p.pk: p.key for p in points}
    span = {"point__in": list(names), "time__gte": moment(low), "time__lt": moment(high)}
    stood = {
        (point, seconds(when)): factors
        for point, when, factors in Judgement.objects.filter(period=period, stands=True, **span)
        .values_list("point", "time", "factors")
        .iterator(chunk_size=2000)
    }
    waiting = {
        (point, seconds(when))
        for point, when in Due.objects.filter(what=period, **span).values_list("point", "time")
    }
    now = {(d.point.pk, d.second): d.factors for d in drafts}
    for key in sorted(now.keys() | stood.keys()):
        is_, was = now.get(key), stood.get(key)
        if is_ == was:
            continue
        if key in waiting:
            found.waiting += 1
            continue
        what, factors = "other", tuple[str, ...]()
        if is_ is None or was is None:
            what = "gone" if is_ is None else "absent"
        else:
            factors = tuple(sorted(f for f in {*is_, *was} if is_.get(f) != was.get(f)))
        found.count += 1
        if len(found.differences) < KEPT:
            when = moment(key[1]).isoformat()
            found.differences.append(Difference(names[key[0]], period, when, what, factors))
