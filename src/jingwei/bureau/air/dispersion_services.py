"""Runs of the dispersion model: asked, computed beside the worker's other work, kept; annual amounts of an
inventory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from jingwei.bureau.air import beside, dispersion, inventory
from jingwei.bureau.air.dispersion_selectors import may_cancel
from jingwei.bureau.air.models import AnnualAmount, Dispersion
from jingwei.bureau.evidencelog.services import record
from jingwei.evidence import canonical, digest

_beside = beside.Beside("dispersion")
# Of the run under way in this process: per cent done, and which are no longer wanted.
_done: dict[int, int] = {}
_unwanted: set[int] = set()


class CancelledError(Exception):
    """Somebody no longer wants it."""


def ask(
    user: Any, factor: str, start: datetime, end: datetime, asked_for: dict[str, Any],
    weather: bytes | None = None,
) -> Dispersion:  # fmt: skip
    """A run to be computed by the worker; `weather` a file of it. The same one that still waits is not
    asked twice."""
    sha256 = ""
    if weather is not None:
        sha256 = hashlib.sha256(weather).hexdigest()
        target = dispersion.weather_place(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            part = target.with_suffix(".part")
            part.write_bytes(weather)
            part.replace(target)
    given = {"factor": factor, "start": start, "end": end, "weather": sha256}
    with transaction.atomic():
        for known in Dispersion.objects.filter(state=Dispersion.State.WAITING, **given):
            if known.asked_for == asked_for:
                return known
        return Dispersion.objects.create(asked_for=asked_for, actor=_person(user), **given)


def cancel(user: Any, row: Dispersion) -> bool:
    """A run that still waits or is being computed is given up; whether there was something to cancel.
    Raises `PermissionDenied`."""
    if not may_cancel(user, row):
        raise PermissionDenied
    changed = Dispersion.objects.filter(pk=row.pk, state=Dispersion.State.WAITING).update(
        state=Dispersion.State.CANCELLED, finished=timezone.now()
    )
    return bool(changed)


def work(now: datetime) -> None:
    """Take up what is ready; begin the oldest run that waits; tell how far it is."""
    _beside.work(now, _begin)
    if _beside.job is None:
        _done.clear()
        _unwanted.clear()
        return
    pk = _beside.job[0].pk
    waiting = Dispersion.objects.filter(pk=pk, state=Dispersion.State.WAITING)
    if not waiting.exists():
        _unwanted.add(pk)
    elif (part := _done.get(pk, 0)) != _beside.job[0].progress:
        _beside.job[0].progress = part
        waiting.update(progress=part)


def run(row: Dispersion) -> Dispersion:
    """Compute one here and now (the command line)."""
    made: Dispersion = beside.here(row, _computing(row))
    return made


def _begin(now: datetime) -> tuple[Dispersion, beside.Begun] | None:
    row = beside.take(Dispersion.objects.all(), now)
    return None if row is None else (row, _computing(row))


def _computing(row: Dispersion) -> beside.Begun:
    pk = row.pk
    try:
        question = dispersion.question(row)
    except dispersion.RefusedError as error:
        return beside.refused(error), lambda end: _end(pk, "", end)
    told = question.digest()

    def progress(done: int, total: int) -> None:
        if pk in _unwanted:
            raise CancelledError
        _done[pk] = 100 * done // max(total, 1)

    return lambda: dispersion.compute(question, progress), lambda end: _end(pk, told, end)


def _end(pk: int, told: str, end: Future[dict[str, Any]]) -> None:
    try:
        result = end.result()
    except CancelledError:
        return
    except dispersion.RefusedError as error:
        _refuse(pk, str(error))
        return
    except Exception:
        _refuse(pk, "error")
        raise
    field = result.pop("field")
    with transaction.atomic():
        row = Dispersion.objects.select_for_update().get(pk=pk)
        if row.state != Dispersion.State.WAITING:
            return
        entry = record(
            "dispersion",
            f"dispersion:{pk}",
            {
                "factor": row.factor, "start": row.start, "end": row.end, "input": told,
                "weather": row.weather, "field": field,
                "result": digest.both(canonical.dumps(result)),
            },
            actor=str(row.actor_id or ""),
        )  # fmt: skip
        Dispersion.objects.filter(pk=pk).update(
            state=Dispersion.State.DONE, progress=100, result=result, digest=told, field=field,
            evidence=entry, finished=timezone.now(),
        )  # fmt: skip


def _refuse(pk: int, reason: str) -> None:
    Dispersion.objects.filter(pk=pk, state=Dispersion.State.WAITING).update(
        state=Dispersion.State.REFUSED, reason=reason[:300], finished=timezone.now()
    )


@transaction.atomic
def keep_amounts(user: Any, rows: Sequence[inventory.Line], name: str, sha256: str) -> int:
    """Annual amounts as a file gives them; what was known of the same outlet, factor and year is
    replaced. How many there are."""
    now = timezone.now()
    entry = record(
        "inventory",
        f"inventory:{sha256[:16]}",
        {
            "sha256": sha256,
            "amounts": digest.both(canonical.dumps([[r.outlet.pk, r.factor, r.year, r.tonnes] for r in rows])),
        },
        actor=str(getattr(user, "pk", "") or ""),
    )  # fmt: skip
    for r in rows:
        AnnualAmount.objects.update_or_create(
            outlet=r.outlet, factor=r.factor, year=r.year,
            defaults={
                "tonnes": r.tonnes, "source": name[:120], "received": now, "actor": _person(user),
                "evidence": entry,
            },
        )  # fmt: skip
    return len(rows)


def _person(user: Any) -> Any:
    return user if getattr(user, "pk", None) else None
