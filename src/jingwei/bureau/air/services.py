"""Questions of where air comes from: asked, answered beside the worker's other work, kept."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from jingwei.bureau.air import beside, tracing
from jingwei.bureau.air.models import Trace
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Point
from jingwei.evidence import canonical, digest

_beside = beside.Beside("trace")


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
    _beside.work(now, _begin)


def run(trace: Trace) -> Trace:
    """Answer one question here and now (the command line)."""
    answered: Trace = beside.here(trace, _answering(trace))
    return answered


def _begin(now: datetime) -> tuple[Trace, beside.Begun] | None:
    trace = beside.take(Trace.objects.select_related("station"), now)
    return None if trace is None else (trace, _answering(trace))


def _answering(trace: Trace) -> beside.Begun:
    try:
        question = tracing.question(trace)
    except tracing.RefusedError as error:
        return beside.refused(error), lambda end: _end(trace.pk, "", end)
    told = question.digest()
    return lambda: tracing.answer(question), lambda end: _end(trace.pk, told, end)


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
