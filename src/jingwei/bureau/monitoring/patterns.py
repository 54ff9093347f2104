"""The patterns at work: once a week the week of every outlet, kinds of it in each industry, and when
exceedances come. Leads for planning inspections; nothing is raised by them.

As `detection`: the worker hands out a batch through `telemetry.executor` and takes the results in
at a later round. First every outlet by itself, then, when none is due, the industries whose weeks
are newer than their kinds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from jingwei.bureau.monitoring import detection
from jingwei.bureau.monitoring.models import (
    DetectionWatch,
    ExceedanceRule,
    PatternLook,
    WeekKinds,
    WeekProfile,
)
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.monitoring.patterning import (
    PARAMETERS,
    WEATHER,
    Block,
    Grouped,
    Result,
    Task,
    group,
    program,
    work,
)
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.executor import Executor, executor

log = logging.getLogger(__name__)

SPAN = timedelta(weeks=26)
AT = timedelta(hours=5)  # of Mondays: after the detectors' nightly look
RETRY = timedelta(hours=6)
LOOK = timedelta(minutes=5)  # between two searches for what is due
BATCH = 48  # outlets handed out in one round: some seconds, so that the worker stops soon
SHARD = 16
WEEKS = 5000  # weeks of outlets grouped in one round, or one industry with more
PROCESSES = max(1, (os.cpu_count() or 2) // 2)

# Rooms that know of campaigns: each gives (codes of regions, empty for the city; first and last day)
# of those within two days.
campaign_sources: list[Callable[[date, date], Iterable[tuple[frozenset[str], date, date]]]] = []


def enrol(now: datetime) -> int:
    """Look at every outlet that the detectors watch; how many are new."""
    rows = [
        PatternLook(outlet_id=pk, due=now)
        for pk in DetectionWatch.objects.filter(outlet__pattern_look=None).values_list(
            "outlet", flat=True
        )
    ]
    PatternLook.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def following(now: datetime) -> datetime:
    """Five o'clock of the next Monday."""
    today = local_day(now)
    monday = day_start(today + timedelta(days=-today.weekday())) + AT
    return monday if monday > now else monday + timedelta(days=7)


def tasks(looks: Sequence[PatternLook], end: datetime, now: datetime) -> list[Task]:
    """Shards of the work for these outlets; those with nothing to be looked at by are put off."""
    since = end - SPAN
    watches = DetectionWatch.objects.filter(outlet__in=[k.outlet_id for k in looks])
    found, idle = detection.jobs(
        list(watches.select_related("fit", "outlet__enterprise").order_by("outlet")), end
    )
    for watch in idle:
        _keep(Result(watch.outlet_id, reasons={"": "no_target"}), end, now)
    places = {w.outlet_id: w.outlet.enterprise.region_id for w in watches}
    campaigns = [
        one for source in campaign_sources for one in source(local_day(since), local_day(end))
    ]
    each = [
        (
            job,
            tuple(
                sorted(
                    (day_start(a), day_start(b + timedelta(days=1)))
                    for regions, a, b in campaigns
                    if not regions or places[job.pk] in regions
                )
            ),
        )
        for job in found
    ]
    stations = tuple(
        sorted(
            (p.mn, p.st)
            for p in Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True)
            if set(WEATHER) & set(p.factors)
        )
    )
    return [
        Task(settings.ENV.lake, settings.TIME_ZONE, since, end, tuple(each[at : at + SHARD]), stations)
        for at in range(0, len(each), SHARD)
    ]  # fmt: skip


def blocks() -> list[Block]:
    """The industries whose weeks are newer than their kinds, or were never grouped."""
    made = {(k.industry, k.factor): k.made for k in WeekKinds.objects.all()}
    newest: dict[tuple[str, str], datetime] = {}
    for industry, factor, looked in WeekProfile.objects.order_by("outlet").values_list(
        "outlet__enterprise__industry", "factor", "outlet__pattern_look__looked"
    ):
        key = (industry, factor)
        newest[key] = max(looked, newest.get(key, looked))
    WeekKinds.objects.exclude(
        pk__in=[k.pk for k in WeekKinds.objects.all() if (k.industry, k.factor) in newest]
    ).delete()
    stale = sorted(k for k, t in newest.items() if k not in made or made[k] < t)
    found, total = [], 0
    for industry, factor in stale:
        here = list(
            WeekProfile.objects.filter(outlet__enterprise__industry=industry, factor=factor)
            .order_by("outlet")
            .values_list("outlet", "week")
        )
        total += len(here)
        if found and total > WEEKS:
            break
        found.append(
            Block(industry, factor, tuple(o for o, _ in here), tuple(tuple(w) for _, w in here))
        )
    return found


# --- running ------------------------------------------------------------------------------------


def run(now: datetime, outlets: Iterable[int] | None = None, *, by: Executor | None = None) -> int:
    """Look at outlets (None: all that are watched) and group their industries now; how many."""
    detection.enrol(now)
    enrol(now)
    looks = PatternLook.objects.order_by("outlet")
    if outlets is not None:
        looks = looks.filter(outlet__in=list(outlets))
    end = detection.judged_until(now)
    taken = 0
    for _, part in _done(work, tasks(list(looks), end, now), by):
        taken += store(part, end, now)
    while todo := blocks():
        for _, grouped in _done(group, todo, by):
            keep(grouped, end, now)
    return taken


def _done(function: Callable[[Any], Any], todo: Sequence[Any], by: Executor | None) -> Any:
    if by is None:
        return ((i, function(one)) for i, one in enumerate(todo))
    return by.run(function, [(one,) for one in todo])


_thread: ThreadPoolExecutor | None = None
_under_way: tuple[Future[list[Any]], datetime, list[int]] | None = None
_searched: datetime | None = None


def tick(now: datetime) -> int:
    """Take in what is done, hand out what is due; how many outlets and groups were taken in."""
    global _under_way, _searched, _thread
    taken = 0
    if _under_way is not None:
        future, end, outlets = _under_way
        if not future.done():
            return 0
        _under_way = None
        try:
            for part in future.result():
                if isinstance(part, Grouped):
                    keep(part, end, now)
                    taken += 1
                else:
                    taken += store(part, end, now)
        except Exception as error:
            log.exception("the patterns failed")
            text = f"{type(error).__name__}: {error}"[:300]
            PatternLook.objects.filter(outlet__in=outlets).update(error=text, due=now + RETRY)
            _searched = now
            return 0
        _searched = None
    if _searched is not None and timedelta(0) <= now - _searched < LOOK:
        return taken
    _searched = now
    enrol(now)
    end = detection.judged_until(now)
    looks = list(PatternLook.objects.filter(due__lte=now).order_by("due", "outlet")[:BATCH])
    parts = tasks(looks, end, now)
    todo: list[Any] = parts or ([] if looks else blocks())
    if todo:
        _thread = _thread or ThreadPoolExecutor(1, "patterns")
        function: Callable[[Any], Any] = work if parts else group
        _under_way = (
            _thread.submit(_elsewhere, function, todo),
            end,
            [look.outlet_id for look in looks],
        )
    return taken


def _elsewhere(function: Callable[[Any], Any], todo: list[Any]) -> list[Any]:
    by = executor(settings.ENV.executor, PROCESSES)
    return [r for _, r in sorted(_done(function, todo, by), key=lambda pair: pair[0])]


# --- keeping ------------------------------------------------------------------------------------


@transaction.atomic
def store(results: Sequence[Result], end: datetime, now: datetime) -> int:
    """Keep the weeks and rules of a batch; how many outlets."""
    for result in results:
        _keep(result, end, now)
    return len(results)


def _keep(result: Result, end: datetime, now: datetime) -> None:
    look = PatternLook.objects.filter(outlet=result.outlet).first()
    if look is None:
        return
    look.error = result.error
    if result.error:
        log.warning("patterns of outlet %s: %s", result.outlet, result.error)
        look.due = now + RETRY
        look.save(update_fields=["error", "due"])
        return
    look.due, look.looked = following(now), now
    look.since, look.until, look.rows = result.since, end, result.rows
    look.sha256, look.weather, look.program = result.sha256, result.weather, program()
    look.parameters, look.events, look.reasons = PARAMETERS, result.events, result.reasons
    look.save()
    WeekProfile.objects.filter(outlet=result.outlet).exclude(factor__in=result.weeks).delete()
    for factor, week in result.weeks.items():
        WeekProfile.objects.update_or_create(
            outlet_id=result.outlet, factor=factor, defaults={"week": week}
        )
    ExceedanceRule.objects.filter(outlet=result.outlet).delete()
    ExceedanceRule.objects.bulk_create(
        ExceedanceRule(outlet_id=result.outlet, factor=factor, **rule)
        for factor, rules in result.rules.items()
        for rule in rules
    )


@transaction.atomic
def keep(grouped: Grouped, end: datetime, now: datetime) -> WeekKinds | None:
    """Keep the kinds of week of an industry, and where its outlets stand; None where the weeks are gone
    meanwhile."""
    rows = list(WeekProfile.objects.filter(factor=grouped.factor, outlet__in=grouped.standings))
    if not rows:
        return None
    kinds, _ = WeekKinds.objects.update_or_create(
        industry=grouped.industry,
        factor=grouped.factor,
        defaults={
            "made": now,
            "since": end - SPAN,
            "until": end,
            "outlets": len(grouped.standings),
            "sizes": grouped.sizes,
            "centers": grouped.centers,
            "strength": grouped.strength,
            "parameters": PARAMETERS,
            "sha256": grouped.sha256,
            "program": program(),
        },
    )
    for row in rows:
        kind, standing = grouped.standings[row.outlet_id]
        row.kinds, row.kind = kinds, kind if grouped.centers else None
        told = standing or {}
        row.peers, row.distance = told.get("peers"), told.get("distance")
        row.p, row.q, row.hours = told.get("p"), told.get("q"), told.get("hours", [])
    WeekProfile.objects.bulk_update(
        rows, ["kinds", "kind", "peers", "distance", "p", "q", "hours"], batch_size=500
    )
    return kinds
