"""Samples and source apportionment: taken in, asked, computed beside the worker's other work, kept."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from jingwei.analysis.air.apportion import own, tables
from jingwei.bureau.air import apportioning, beside
from jingwei.bureau.air.models import Apportionment, SampleSet, SourceProfile, State
from jingwei.bureau.air.tracing import RefusedError
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.registry.models import Point
from jingwei.evidence import canonical, digest

WAITING = 3  # runs of one set that may wait at once

_beside = beside.Beside("apportionment")
_progress: dict[str, Any] = {}


class BusyError(Exception):
    """Too many runs of these samples wait already."""


def keep_samples(
    table: tables.Table,
    *,
    name: str,
    source: str = "",
    station: Point | None = None,
    hours: float = 24.0,
    synthetic: bool = False,
    files: list[dict[str, str]] | None = None,
    user: Any = None,
) -> tuple[SampleSet, bool]:
    """Keep samples; (the set, whether it is new): the same samples are kept once."""
    kept = apportioning.told(table)
    about = {"table": kept, "hours": str(hours), "station": station.mn if station else ""}
    made = hashlib.sha256(canonical.dumps(about)).hexdigest()
    with transaction.atomic():
        row, new = SampleSet.objects.get_or_create(
            digest=made,
            defaults={
                "name": name, "source": source, "station": station, "hours": hours,
                "unit": table.unit, "synthetic": synthetic, "files": files or [],
                "notes": [list(n) for n in table.notes], "table": kept,
                "samples": len(table.times), "actor": user if getattr(user, "pk", None) else None,
            },
        )  # fmt: skip
        if new:
            row.evidence = record(
                "samples", f"samples:{row.pk}", said_of(row), actor=str(row.actor_id or "")
            )
            row.save(update_fields=["evidence"])
    return row, new


def said_of(row: SampleSet) -> dict[str, Any]:
    """What the evidence log is told of a set of samples."""
    return {
        "samples": row.samples,
        "digest": row.digest,
        "files": row.files,
        "synthetic": row.synthetic,
        "table": digest.both(canonical.dumps(row.table)),
    }


def keep_profiles(
    found: list[own.Profile], *, origin: str, file: dict[str, str], user: Any = None
) -> list[SourceProfile]:
    """Keep profiles of own sources, all of a file or none. Raises IntegrityError where one of a name is in
    use."""
    made = []
    with transaction.atomic():
        for one in found:
            row = SourceProfile.objects.create(
                name=one.source, origin=origin, rows=[list(r) for r in one.rows], file=file,
                actor=user if getattr(user, "pk", None) else None,
            )  # fmt: skip
            row.evidence = record(
                "profile", f"profile:{row.pk}", said_of_profile(row), actor=str(row.actor_id or "")
            )
            row.save(update_fields=["evidence"])
            made.append(row)
    return made


def said_of_profile(row: SourceProfile) -> dict[str, Any]:
    """What the evidence log is told of a profile."""
    facts = {"name": row.name, "origin": row.origin, "rows": row.rows}
    return {"file": row.file["sha256"], "profile": digest.both(canonical.dumps(facts))}


def withdraw(row: SourceProfile, user: Any) -> None:
    """Take a profile out of use; runs that used it keep it."""
    with transaction.atomic():
        known = SourceProfile.objects.select_for_update(of=("self",)).get(pk=row.pk)
        if known.ended is None:
            known.ended = timezone.now()
            known.save(update_fields=["ended"])
            record("profile", f"profile:{row.pk}", {"withdrawn": known.ended}, actor=str(user.pk))


def ask(samples: SampleSet, wanted: dict[str, Any], user: Any = None) -> Apportionment:
    """A run to be computed by the worker; the same one that still waits is not asked twice. Raises
    `BusyError`."""
    with transaction.atomic():
        waiting = list(Apportionment.objects.filter(samples=samples, state=State.WAITING))
        for row in waiting:
            if row.wanted == wanted:
                return row
        if len(waiting) >= WAITING:
            raise BusyError
        return Apportionment.objects.create(
            samples=samples, wanted=wanted, actor=user if getattr(user, "pk", None) else None
        )


def work(now: datetime) -> None:
    """Take up what is ready, begin the oldest run that waits, write down how far it is."""
    _beside.work(now, _begin)
    if _beside.job is not None and _progress:
        row = _beside.job[0]
        if row.progress != _progress:
            row.progress = dict(_progress)
            Apportionment.objects.filter(pk=row.pk, state=State.WAITING).update(
                progress=row.progress
            )


def run_now(row: Apportionment) -> Apportionment:
    """Compute here and now (the demo, tests)."""
    done: Apportionment = beside.here(row, _computing(row))
    return done


def _begin(now: datetime) -> tuple[Apportionment, beside.Begun] | None:
    row = beside.take(Apportionment.objects.select_related("samples__station"), now)
    return None if row is None else (row, _computing(row))


def _computing(row: Apportionment) -> beside.Begun:
    def keep(end: Future[Any]) -> None:
        _kept(row.pk, end)

    try:
        question = apportioning.question(row)
    except RefusedError as error:
        return beside.refused(error), keep
    _progress.clear()
    tell = apportioning.progress(_progress)
    return lambda: apportioning.compute(question, tell), keep


def _refuse(pk: int, reason: str) -> None:
    Apportionment.objects.filter(pk=pk, state=State.WAITING).update(
        state=State.REFUSED, reason=reason[:300], finished=timezone.now()
    )


def _kept(pk: int, end: Future[Any]) -> None:
    try:
        found = end.result()
    except RefusedError as error:
        _refuse(pk, str(error))
        return
    except Exception:
        _refuse(pk, "error")
        raise
    with transaction.atomic():
        row = Apportionment.objects.select_for_update(of=("self",)).get(pk=pk)
        if row.state != State.WAITING:
            return
        told = found.pop("digest")
        entry = record(
            "apportionment", f"apportionment:{pk}",
            {"samples": row.samples_id, "wanted": digest.both(canonical.dumps(row.wanted)),
             "input": told, "result": digest.both(canonical.dumps(found))},
            actor=str(row.actor_id or ""),
        )  # fmt: skip
        Apportionment.objects.filter(pk=pk).update(
            state=State.DONE, result=found, digest=told, evidence=entry, finished=timezone.now()
        )
