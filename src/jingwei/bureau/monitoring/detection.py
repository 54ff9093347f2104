"""The detectors at work: who is due, what goes to them, what becomes of what they say.

Every outlet with automatic hourly data is looked at once a local day, after the day's late hours
have come. Its fit is learnt anew every `REFIT` days, but not while a finding of it is open: what
may be falsified must not become what is normal. The work runs beside the worker's round through
`telemetry.executor`; a round hands out one batch, as large as takes some seconds, or takes in the
results of the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone, translation

from jingwei.analysis.detection.calibration import SHARES, learn
from jingwei.analysis.detection.texts import DETECTORS
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.detecting import Result, Task, program, work
from jingwei.bureau.monitoring.detecting_plain import about_power
from jingwei.bureau.monitoring.detecting_rows import Outlet as Job
from jingwei.bureau.monitoring.detecting_rows import Peer
from jingwei.bureau.monitoring.detection_inputs import columns_of, ends, peers_of, readings
from jingwei.bureau.monitoring.detection_inputs import role as role
from jingwei.bureau.monitoring.device_labels import information
from jingwei.bureau.monitoring.models import Detected, DetectionFit, DetectionWatch
from jingwei.bureau.monitoring.observations import (
    day_start,
    in_force,
    local_day,
    moment,
    normal_marks,
)
from jingwei.bureau.registry.models import Medium, Outlet, PermitLimit, Point
from jingwei.telemetry.executor import Executor, executor

log = logging.getLogger(__name__)

HISTORY = timedelta(days=365)  # at most so much is learnt from
FIRST = timedelta(days=14)  # what an outlet's first look judges
REFIT = timedelta(days=28)
FROZEN = timedelta(days=90)  # so long an open finding keeps the fit as it is
APART = timedelta(days=7)  # one case an outlet in so many days
SETTLE = timedelta(hours=3)  # so long after midnight a day's hours may still come
RETRY = timedelta(hours=6)  # after an error
SECONDS = 10.0  # that a batch of the worker should take, so that it stops soon when asked to
LEAST, MOST = 4, 512  # outlets in a batch
SHARD = 16  # outlets read from the lake in one go, at most
ENTRY = 60  # outlets in one entry of the evidence log
PROCESSES = max(1, (os.cpu_count() or 2) // 2)
LOOK = timedelta(minutes=5)  # between two searches for who is due

# What a case found -> what the laboratory learns from: was the detector right?
LEARNT = {
    "confirmed": "falsified",
    "falsified": "falsified",
    "fault": "fault",
    "maintenance": "maintenance",
    "production": "production",
    "other": "fault",
}
NORMAL = ("production", "other")  # verdicts after which a stretch is learnt from like any other
SEVERITY = {"exact": 3, "rule": 2, "evidence": 2, "inspection": 2, "screening": 1}

# Rooms that know what findings turned out to be: each gives (finding, verdict, case).
verdict_sources: list[Callable[[], Iterable[tuple[Finding, str, Any]]]] = []


# --- who is due --------------------------------------------------------------------------------


def enrol(now: datetime) -> int:
    """Watch every outlet that has an enabled automatic monitor; how many are new."""
    wanted = (
        Outlet.objects.filter(
            points__enabled=True, points__kind=Point.Kind.SOURCE, detection_watch=None
        )
        .distinct()
        .values_list("pk", flat=True)
    )
    rows = [DetectionWatch(outlet_id=pk, due=now) for pk in wanted]
    DetectionWatch.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def judged_until(now: datetime) -> datetime:
    """The end of the last local day whose hours have settled."""
    return day_start(local_day(now - SETTLE))


def jobs(
    watches: Sequence[DetectionWatch], end: datetime, *, fresh: bool = False
) -> tuple[list[Job], list[DetectionWatch]]:
    """What is to be done for these outlets until `end`; `fresh`: learn anew. Also those of them
    that have nothing to be judged by (no monitor, no limit)."""
    outlets = [w.outlet_id for w in watches]
    points: dict[int, list[Point]] = defaultdict(list)
    for p in (
        Point.objects.filter(outlet__in=outlets, enabled=True, kind=Point.Kind.SOURCE)
        .select_related("outlet")
        .order_by("st", "mn")
    ):
        points[p.outlet_id or 0].append(p)
    limits: dict[int, list[PermitLimit]] = defaultdict(list)
    for row in PermitLimit.objects.filter(outlet__in=outlets, lower=False).order_by("pk"):
        limits[row.outlet_id].append(row)
    said, given = verdicts(), shares()
    left_out = _left_out(outlets, said)
    declared = marking.standing(outlets, end - HISTORY - FIRST, end)
    frozen = set(
        Detected.objects.filter(
            outlet__in=outlets,
            finding__state__in=(Finding.State.NEW, Finding.State.IN_CASE),
            noticed__gt=end - FROZEN,
        )
        .exclude(finding__in=said)
        .values_list("outlet", flat=True)
    )
    read, by_end = readings(points, end), ends(p.pk for here in points.values() for p in here)
    found, idle = [], []
    for watch in watches:
        here = points[watch.outlet_id]
        columns, targets, bounds = columns_of(
            here, in_force(limits[watch.outlet_id], local_day(end))
        )
        if not targets:
            idle.append(watch)
            continue
        since, until = end - HISTORY - FIRST, None
        out, parts, peers = left_out[watch.outlet_id], given, None
        fit = watch.fit
        if fit is not None and fit.until + REFIT < end and watch.outlet_id not in frozen:
            since, until = end - HISTORY, end - timedelta(days=1)
        elif fit is not None:
            since, until = fit.since, fit.until
            if not fresh:  # it rests on what was known when it was made
                parts = fit.settings["shares"]
                peers = {
                    target: tuple(
                        Peer(p["mn"], p["st"], p["factor"], tuple(p["normal"])) for p in group
                    )
                    for target, group in fit.settings.get("peers", {}).items()
                }
                out = [
                    (datetime.fromisoformat(a), datetime.fromisoformat(b))
                    for a, b in fit.settings["left_out"]
                ]
        found.append(
            Job(
                watch.outlet_id,
                columns,
                targets,
                bounds,
                frozenset().union(*(normal_marks(p.version) for p in here)),
                since,
                until,
                end,
                parts,
                tuple((a, b) for a, b in out if until is not None and a < until),
                tuple(
                    (moment(s), moment(s) + timedelta(hours=1))
                    for mark in declared[watch.outlet_id]
                    for s in marking.counted(mark)
                ),
                tuple(
                    (moment(s), moment(s) + timedelta(hours=1))
                    for mark in declared[watch.outlet_id]
                    if mark.sort not in marking.DEVICE
                    for s in marking.counted(mark)
                ),
                peers_of(watch.outlet, targets) if peers is None else peers,
                tuple(read[watch.outlet_id]),
                frozenset((p.mn, p.st) for p in here if p.pk in by_end),
                watch.outlet.medium == Medium.WATER,
            )
        )
    return found, idle


def _left_out(
    outlets: Iterable[int], said: Mapping[int, str]
) -> dict[int, list[tuple[datetime, datetime]]]:
    """Stretches that turned out not to be what is normal, or that nobody has judged yet."""
    spans: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    rows = Detected.objects.filter(outlet__in=list(outlets)).exclude(
        Q(finding__state=Finding.State.DISMISSED)
        | Q(finding__in=[pk for pk, verdict in said.items() if verdict in NORMAL])
    )
    for outlet, began, ended in rows.order_by("began", "pk").values_list(
        "outlet", "began", "ended"
    ):
        spans[outlet].append((began, ended))
    return spans


# --- what officers found ------------------------------------------------------------------------


def verdicts() -> dict[int, str]:
    """What findings of the detectors turned out to be: finding -> verdict of the case."""
    return {finding.pk: verdict for source in verdict_sources for finding, verdict, _ in source()}


def shares() -> dict[str, float] | None:
    """How the budget is shared among the detectors after the officers' verdicts; None before any.

    Taken up by every fit that is made from then on (`calibration.learn`).
    """
    said = verdicts()
    pairs = [
        (detector, LEARNT[said[finding]])
        for finding, detector in Detected.objects.filter(
            finding__in=said, tier=Detected.Tier.STATISTICAL
        )
        .order_by("pk")
        .values_list("finding", "detector")
        if said[finding] in LEARNT
    ]
    return learn(dict(SHARES), pairs) if pairs else None


# --- running ------------------------------------------------------------------------------------


def tasks(found: Sequence[Job], shard: int = SHARD) -> list[Task]:
    """Shards of the work."""
    return [
        Task(
            settings.ENV.lake,
            settings.ENV.data / "detection",
            settings.TIME_ZONE,
            settings.ENV.detection_budget,
            tuple(found[at : at + shard]),
        )
        for at in range(0, len(found), shard)
    ]


def run(
    now: datetime,
    outlets: Iterable[int] | None = None,
    *,
    fresh: bool = False,
    by: Executor | None = None,
    end: datetime | None = None,
) -> list[Result]:
    """Look at outlets (None: all that are watched) and keep what comes of it.

    `fresh`: learn anew. `by`: an executor; without one the work is done here. `end`: judge until
    then (default: the last day that has settled).
    """
    enrol(now)
    rows = DetectionWatch.objects.select_related("fit", "outlet").order_by("outlet")
    if outlets is not None:
        rows = rows.filter(outlet__in=list(outlets))
    found, idle = jobs(list(rows), end or judged_until(now), fresh=fresh)
    _rest(idle, now)
    results = []
    made = (
        ((i, work(task)) for i, task in enumerate(tasks(found)))
        if by is None
        else by.run(work, [(task,) for task in tasks(found)])
    )
    ends = {job.pk: job.end for job in found}
    for _, part in made:
        store(part, ends, now)
        results += part
    return results


_thread: ThreadPoolExecutor | None = None
_under_way: tuple[Future[list[list[Result]]], dict[int, datetime], float] | None = None
_size = LEAST  # of the next batch
_searched: datetime | None = None


def tick(now: datetime) -> int:
    """Take in what is done, hand out what is due; how many outlets were taken in."""
    global _under_way, _searched, _thread, _size
    taken = 0
    if _under_way is not None:
        future, ends, began = _under_way
        if not future.done():
            return 0
        _under_way = None
        took = max(monotonic() - began, 0.1)
        _size = max(LEAST, min(MOST, int(_size * min(2.0, SECONDS / took))))
        try:
            for part in future.result():
                store(part, ends, now)
                taken += len(part)
        except Exception as error:
            log.exception("the detectors failed")
            text = f"{type(error).__name__}: {error}"[:300]
            DetectionWatch.objects.filter(outlet__in=ends).update(error=text, due=now + RETRY)
            return 0
        _searched = None
    if _searched is not None and timedelta(0) <= now - _searched < LOOK:
        return taken
    _searched = now
    enrol(now)
    due = DetectionWatch.objects.filter(due__lte=now).select_related("fit", "outlet")
    found, idle = jobs(list(due.order_by("due", "outlet")[:_size]), judged_until(now))
    _rest(idle, now)
    if found:
        _thread = _thread or ThreadPoolExecutor(1, "detection")
        parts = tasks(found, max(1, min(SHARD, -(-len(found) // PROCESSES))))
        ends = {job.pk: job.end for job in found}
        _under_way = (_thread.submit(_elsewhere, parts), ends, monotonic())
    return taken


def _elsewhere(parts: list[Task]) -> list[list[Result]]:
    by = executor(settings.ENV.executor, PROCESSES)
    return [result for _, result in sorted(by.run(work, [(p,) for p in parts]), key=lambda r: r[0])]


def _next(now: datetime, outlet: int) -> datetime:
    """Early on the next local day, the outlets one after the other over two hours."""
    tomorrow = day_start(local_day(now - SETTLE) + timedelta(days=1))
    return tomorrow + SETTLE + timedelta(minutes=outlet % 120)


def _rest(idle: Iterable[DetectionWatch], now: datetime) -> None:
    """Outlets that have nothing to be judged by."""
    for watch in idle:
        watch.due = _next(now, watch.outlet_id)
        watch.looked = now
        watch.reasons = [
            {
                "code": "no_target",
                "column": "",
                "text": {
                    "zh": "没有带限值的自动监测因子，无可检测的数据",
                    "en": "No monitored factor has a limit: nothing to judge",
                },
            }
        ]
        watch.save(update_fields=["due", "looked", "reasons"])


# --- keeping ------------------------------------------------------------------------------------


@transaction.atomic
def store(results: Sequence[Result], ends: dict[int, datetime], now: datetime) -> int:
    """Keep fits, watches and findings of a batch, with one entry in the log; findings made."""
    made = 0
    watches = {
        w.outlet_id: w
        for w in DetectionWatch.objects.select_for_update(of=("self",))
        .filter(outlet__in=[r.outlet for r in results])
        .select_related("fit", "outlet__enterprise")
        .order_by("outlet")
    }
    said: list[dict[str, Any]] = []
    touched: list[DetectionWatch] = []
    fits: list[DetectionFit] = []
    for result in results:
        watch = watches.get(result.outlet)
        if watch is None:
            continue
        end = ends[result.outlet]
        watch.looked, watch.error, watch.due = now, result.error, _next(now, watch.outlet_id)
        touched.append(watch)
        if result.error:
            log.warning("outlet %s could not be judged: %s", watch.outlet_id, result.error)
            watch.due = now + RETRY
            continue
        watch.reasons = result.reasons
        if result.until is None:
            continue
        if _fit(watch, result, now):
            fits.append(watch.fit)
        watch.coverage, watch.sha256 = result.coverage, result.judged
        watch.watched, watch.treatment = result.watched, result.treatment
        before = watch.judged or result.until
        if result.judged and end > before:
            watch.hours += round((end - max(before, result.until)) / timedelta(hours=1))
        watch.judged = max(end, watch.judged or end)
        keys = []
        for finding in result.findings:
            detected, new = _keep(watch, finding, now)
            made += new
            keys.append([detected.finding_id, detected.sheet["evidence"]["sha256"]])
        said.append(
            {
                "outlet": watch.outlet_id,
                "fit": result.sha256,
                "from": result.until,
                "to": end,
                "rows": result.judged,
                "findings": keys,
            }
        )
    for at in range(0, len(said), ENTRY):
        entry = record(
            "detection",
            f"detection:{local_day(now):%Y%m%d}",
            {
                "program": program(),
                "budget": settings.ENV.detection_budget,
                "at": now,
                "outlets": said[at : at + ENTRY],
            },
        )
        here = {s["outlet"] for s in said[at : at + ENTRY]}
        for watch in touched:
            if watch.outlet_id in here:
                watch.evidence = entry
        for fit in fits:
            if fit.outlet_id in here:
                fit.evidence = entry
    DetectionFit.objects.bulk_update(fits, ["evidence"])
    for watch in touched:
        watch.save()
    return made


def _fit(watch: DetectionWatch, result: Result, now: datetime) -> bool:
    """Keep the fit where it is another one than before; whether it is."""
    old = watch.fit
    if old is not None and (
        old.sha256 == result.sha256
        and old.program == program()
        and old.settings == json.loads(json.dumps(result.settings))
        and old.until == result.until
    ):
        return False
    watch.fit = DetectionFit.objects.create(
        outlet_id=watch.outlet_id,
        since=result.since,
        until=result.until,
        made=now,
        rows=result.rows,
        sha256=result.sha256,
        program=program(),
        settings=result.settings,
        learnt=result.learnt,
    )
    return True


def kind_of(finding: dict[str, Any]) -> str:
    """The scenario kind of what a detector raised."""
    return Kind.POWER if about_power(finding["detector"]) else Kind.FALSIFICATION


def channel_name(name: str) -> str:
    """A column of a monitor by its factor's name, a setting by what it is of which factor."""
    factor, dash, code = name.removesuffix(".state").rpartition("-")
    if code.startswith("i1"):
        said = information(code)
        return f"{factor_name(factor)} {said}" if dash else said
    return factor_name(name.removesuffix(".state"))


def detector_name(key: str) -> str:
    """The detector's name in the reader's language."""
    if key in DETECTORS:
        words = DETECTORS[key].name
    else:
        from jingwei.analysis.detection.rules import NAMES  # compiled code: not at every start

        if key not in NAMES:
            return key
        words = NAMES[key]
    return words.en if (translation.get_language() or "").startswith("en") else words.zh


def _keep(watch: DetectionWatch, sheet: dict[str, Any], now: datetime) -> tuple[Detected, bool]:
    """The row of what was raised; and whether it is new. What lies within seven days of a row of
    the outlet and kind, or goes on from it, is that row."""
    began, ended, found = (datetime.fromisoformat(sheet[k]) for k in ("start", "end", "found"))
    kind = kind_of(sheet)
    same = Q(found__gte=found - APART, found__lte=found + APART) | Q(
        detector=sheet["detector"], factor=sheet["factor"],
        began__lte=ended, ended__gte=began - timedelta(days=1),
    )  # fmt: skip
    near = Detected.objects.filter(same, outlet=watch.outlet_id, finding__kind=kind)
    row = near.select_related("finding").order_by("found", "pk").first()
    digest = _digest(sheet)
    if row is not None and row.sheet.get("digest") == digest:
        return row, False
    if row is not None and row.finding.state != Finding.State.NEW:
        # People act on the sheet that they saw; the finding's time is widened below.
        _notice(watch, row.finding.episode, kind, sheet, began, ended)
        return row, False
    episode = (
        row.finding.episode
        if row is not None
        else f"detection/{kind}/{watch.outlet_id}/{timezone.localtime(found):%Y%m%d%H}"
    )
    finding = _notice(watch, episode, kind, sheet, began, ended)
    entry = record(
        "detection",
        f"finding:{finding.pk}",
        {
            "finding": finding.pk,
            "outlet": watch.outlet_id,
            "detector": sheet["detector"],
            "factor": sheet["factor"],
            "rows": sheet["evidence"]["sha256"],
            "sheet": digest,
            "fit": watch.fit.sha256 if watch.fit else "",
            "program": program(),
        },
    )
    values = {
        "outlet": watch.outlet,
        "fit": watch.fit,
        "detector": sheet["detector"],
        "factor": sheet["factor"],
        "tier": sheet["tier"],
        "grade": sheet["grade"],
        "began": began,
        "ended": ended,
        "found": found if row is None else min(found, row.found),
        "p_value": sheet["p_value"],
        "rate": (sheet["evidence"]["numbers"].get("rate_per_month") or 0.0)
        if sheet["tier"] == Detected.Tier.STATISTICAL
        else 0.0,
        "budget": settings.ENV.detection_budget,
        "sheet": {**sheet, "digest": digest},
        "evidence": entry,
    }
    detected, _ = Detected.objects.update_or_create(
        finding=finding, defaults=values, create_defaults={**values, "noticed": now}
    )
    return detected, row is None


def _digest(sheet: dict[str, Any]) -> str:
    text = json.dumps(
        {k: v for k, v in sheet.items() if k != "digest"}, sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _notice(
    watch: DetectionWatch,
    episode: str,
    kind: str,
    sheet: dict[str, Any],
    began: datetime,
    ended: datetime,
) -> Finding:
    outlet = watch.outlet
    enterprise = outlet.enterprise
    target = outlet.points.filter(enabled=True, kind=Point.Kind.SOURCE).order_by("st", "mn").first()
    with translation.override("zh-hans"):
        factor = sheet["factor"].removesuffix(".state")
        about = channel_name(factor) if factor != "*" else ""
        title = f"{enterprise.name}{outlet.code}{about}：{detector_name(sheet['detector'])}"
    finding, _ = notice(
        kind=kind,
        episode=episode,
        title=title[:200],
        region=enterprise.region_id,
        longitude=outlet.longitude,
        latitude=outlet.latitude,
        began=began,
        ended=ended,
        severity=SEVERITY.get(sheet["tier"]) or SEVERITY[sheet["grade"]],
        enterprise=enterprise,
        point=target,
        facts={"factor": factor} if factor != "*" else {},
        innocent=[i["explanation"]["zh"] for i in sheet["innocent_explanations"]],
        next_check=sheet["next_check"]["zh"][:300],
    )
    return finding
