"""Ask, compute, keep. The computing runs beside the worker's other work, in a thread that touches
neither database nor lake."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from jingwei.bureau.air import tracing
from jingwei.bureau.air.models import Trace
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Point
from jingwei.evidence import canonical, digest

ABANDONED = timedelta(minutes=3)  # without a sign of life, as after a kill, it is taken up again
ALIVE = timedelta(minutes=1)  # between two signs of life of what is being computed
BUDGET = 0.2  # seconds that a tick waits for an answer

_job: tuple[Trace, str, Future[dict[str, Any]]] | None = None


def ask(
    user: Any,
    station: Point,
    factor: str,
    start: datetime,
    end: datetime,
    finding: Finding | None = None,
) -> Trace:
    """A question to be answered by the worker; the same one that still waits is not asked twice."""
    with transaction.atomic():
        known = Trace.objects.filter(
            station=station, factor=factor, start=start, end=end, finding=finding,
            state=Trace.State.WAITING,
        ).first()  # fmt: skip
        if known:
            return known
        return Trace.objects.create(
            station=station, factor=factor, start=start, end=end, finding=finding,
            actor=user if getattr(user, "pk", None) else None,
        )  # fmt: skip


def work(now: datetime) -> None:
    """Take up what is ready; begin the oldest question that waits."""
    global _job
    if _job is None:
        trace = _take(now)
        if trace is None:
            return
        try:
            question = tracing.question(trace)
        except tracing.RefusedError as error:
            _refuse(trace.pk, error)
            return
        end: Future[dict[str, Any]] = Future()
        _job = (trace, question.digest(), end)
        threading.Thread(target=_compute, args=(question, end), name="trace", daemon=True).start()
    trace, told, end = _job
    wait([end], BUDGET)
    if end.done():
        _job = None
        _end(trace.pk, told, end)
    elif trace.started is not None and now - trace.started > ALIVE:
        trace.started = now
        trace.save(update_fields=["started"])


def run(trace: Trace) -> Trace:
    """Answer one question here and now (the command line)."""
    end: Future[dict[str, Any]] = Future()
    told = ""
    try:
        question = tracing.question(trace)
        told = question.digest()
        _compute(question, end)
    except tracing.RefusedError as error:
        end.set_exception(error)
    _end(trace.pk, told, end)
    trace.refresh_from_db()
    return trace


def _take(now: datetime) -> Trace | None:
    free = Q(started=None) | Q(started__lt=now - ABANDONED)
    trace = (
        Trace.objects.filter(free, state=Trace.State.WAITING)
        .select_related("station")
        .order_by("asked", "pk")
        .first()
    )
    if trace is None:
        return None
    mine = Trace.objects.filter(free, pk=trace.pk, state=Trace.State.WAITING).update(started=now)
    if not mine:
        return None
    trace.started = now
    return trace


def _compute(question: tracing.Question, end: Future[dict[str, Any]]) -> None:
    try:
        end.set_result(tracing.answer(question))
    except BaseException as error:
        end.set_exception(error)


def _end(pk: int, told: str, end: Future[dict[str, Any]]) -> None:
    try:
        result = end.result()
    except tracing.RefusedError as error:
        _refuse(pk, error)
        return
    except Exception:
        Trace.objects.filter(pk=pk, state=Trace.State.WAITING).update(
            state=Trace.State.REFUSED, reason="error", finished=timezone.now()
        )
        raise
    with transaction.atomic():
        trace = Trace.objects.select_for_update().select_related("station").get(pk=pk)
        if trace.state != Trace.State.WAITING:
            return
        entry = record(
            "trace",
            f"trace:{pk}",
            {
                "station": trace.station.mn,
                "factor": trace.factor,
                "start": trace.start,
                "end": trace.end,
                "input": told,
                "result": digest.both(canonical.dumps(result)),
            },
            actor=str(trace.actor_id or ""),
        )
        Trace.objects.filter(pk=pk).update(
            state=Trace.State.DONE, result=result, digest=told, evidence=entry,
            finished=timezone.now(),
        )  # fmt: skip


def _refuse(pk: int, error: tracing.RefusedError) -> None:
    Trace.objects.filter(pk=pk, state=Trace.State.WAITING).update(
        state=Trace.State.REFUSED, reason=str(error)[:300], finished=timezone.now()
    )
