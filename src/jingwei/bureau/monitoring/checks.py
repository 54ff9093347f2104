"""What `jingwei fsck` asks of this room: do judgements, exceedances, evidence, journal, lake and cursors agree?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.bureau.evidencelog.services import time_text
from jingwei.bureau.monitoring import judgements
from jingwei.bureau.monitoring.declare import SAID_OF_MARK
from jingwei.bureau.monitoring.models import (
    Cursor,
    Exceedance,
    Inquiry,
    Mark,
    OrderProposal,
    QualityCheck,
    Sample,
)
from jingwei.bureau.monitoring.services import fact
from jingwei.telemetry import journal
from jingwei.telemetry.lake import Lake

_NAME = ("point", "factor", "period", "time", "permit_limit")  # what tells facts of an entry apart


def check() -> Iterator[str]:
    """One sentence for each problem."""
    last = Lake(settings.ENV.lake).batch()
    for cursor in Cursor.objects.filter(name__startswith="judge-"):
        if cursor.batch > last:
            yield (
                f"Cursor {cursor.name} stands at batch {cursor.batch}, but the lake ends at {last}:"
                " the lake was rebuilt or is another one; delete the cursor to judge anew."
            )
        for key in cursor.counts.get("unknown", {}):
            yield f"The lake has data of point {key}, which is not registered."
    yield from judgements.check()
    yield from _exceedances()
    yield from _declared()
    yield from _declined()


def _declared() -> Iterator[str]:
    """Marks, samples and checks against what the evidence log was told of them: they decide what counts."""
    marks = Mark.objects.select_related("evidence", "outlet__enterprise", "furnace").order_by("pk")
    for mark in marks.iterator(chunk_size=500):
        yield from _as_told(f"Mark {mark.pk}", f"mark:{mark.pk}", mark, {
            "outlet": f"{mark.outlet.enterprise.uscc} {mark.outlet.code}",
            "furnace": mark.furnace.name if mark.furnace else "", "sort": str(mark.sort),
            "start": time_text(mark.start), "end": time_text(mark.end),
            **{name: getattr(mark, name) for name in SAID_OF_MARK},
        }, {"note": mark.note}, since=SAID_OF_MARK)  # fmt: skip
    rows = Sample.objects.select_related("evidence", "point").order_by("pk")
    for row in rows.iterator(chunk_size=500):
        yield from _as_told(f"Sample {row.pk}", f"sample:{row.pk}", row, {
            "point": row.point.key, "factor": row.factor, "period": row.period,
            "time": time_text(row.time), "taken": time_text(row.taken), "value": row.value,
            "unit": row.unit, "report": row.report,
        }, {"note": row.note, "why": ""}, {"note": row.note, "why": row.why})  # fmt: skip
    checks = QualityCheck.objects.select_related("evidence", "point").order_by("pk")
    for one in checks.iterator(chunk_size=500):
        yield from _as_told(f"Check {one.pk}", f"check:{one.pk}", one, {
            "point": one.point.key, "factor": one.factor, "sort": str(one.sort),
            "time": time_text(one.time), "passed": one.passed, "report": one.report,
        }, {"result": one.result, "why": ""}, {"result": one.result, "why": one.why})  # fmt: skip
    for inquiry in Inquiry.objects.exclude(answer="").order_by("pk").iterator(chunk_size=500):
        for entry in _entries("mark", f"inquiry:{inquiry.pk}"):
            if problem := spoken(entry, {"answer": inquiry.answer}):
                yield f"Inquiry {inquiry.pk}: {problem}."


def _declined() -> Iterator[str]:
    """Why no order was issued, as it was said when that was decided."""
    rows = OrderProposal.objects.filter(state=OrderProposal.State.DECLINED).order_by("pk")
    for row in rows.iterator(chunk_size=500):
        for entry in _entries("proposal", f"proposal:{row.pk}"):
            if told(entry)["act"] == "declined" and (p := spoken(entry, {"reason": row.reason})):
                yield f"Proposal {row.pk}: {p}."


def _entries(kind: str, subject: str) -> QuerySet[EvidenceEntry]:
    return EvidenceEntry.objects.filter(kind=kind, subject=subject).order_by("pk")


def _as_told(
    what: str,
    subject: str,
    row: Any,
    is_: dict[str, Any],
    said: dict[str, Any],
    last: dict[str, Any] | None = None,
    since: tuple[str, ...] = (),
) -> Iterator[str]:
    """`is_` and what people `said` against the row's entry, `last` said against that of its end.
    Of what is named in `since` earlier entries do not tell."""
    if row.evidence is None:
        yield f"{what} has no entry in the evidence log."
        return
    if row.user_id and row.evidence.actor and row.evidence.actor != str(row.user_id):
        yield f"{what} is of account {row.user_id}, but the evidence log commits to another."
        return
    content = json.loads(row.evidence.content, parse_int=float)["content"]
    for name, value in is_.items():
        if name in since and name not in content:
            continue
        if value != content.get(name):
            yield f"{what}: {name} is {value!r}, but the evidence log says {content.get(name)!r}."
            return
    if problem := spoken(row.evidence, said):
        yield f"{what}: {problem}."
        return
    ends = [
        entry
        for entry in _entries(row.evidence.kind, subject).exclude(pk=row.evidence_id)
        if told(entry).get("act") == "withdrawn"
    ]
    if bool(row.withdrawn) != bool(ends):
        yield f"{what} is {'' if row.withdrawn else 'not '}withdrawn, but the evidence log says otherwise."
        return
    for entry in ends:
        if problem := spoken(entry, last or said):
            yield f"{what}: {problem}."


def _exceedances() -> Iterator[str]:
    """Every row against its fact in the evidence log, and every fact against the rows."""
    # (name, "") counts exceedances of that name, (name, reason) those that stand no more.
    said: Counter[tuple[Any, str]] = Counter()
    entries = EvidenceEntry.objects.filter(kind="exceedances").values_list("content", flat=True)
    for content in entries.iterator(chunk_size=100):
        for one in _facts(content):
            if one["act"] != "withdrawn":
                said[_name(one), ""] += 1
            if one["act"] != "found":
                reason = one["reason"] or Exceedance.Withdrawn.CORRECTED.value
                said[_name(one), reason] += 1

    found: Counter[tuple[Any, str]] = Counter()
    known: dict[int, bool] = {}
    entry, facts = None, []
    rows = Exceedance.objects.select_related("point").order_by("evidence_id", "pk")
    for row in rows.iterator(chunk_size=500):
        if row.finding_id is None:
            yield f"Exceedance {row.pk} belongs to no finding."
        if row.evidence_id is None:
            yield f"Exceedance {row.pk} has no entry in the evidence log."
        else:
            if row.evidence_id != entry:
                entry = row.evidence_id
                facts = _facts(EvidenceEntry.objects.get(pk=entry).content)
            is_ = {**fact(row, ""), "time": time_text(row.time)}
            was = _fact_of(is_, facts)
            if was is None:
                yield f"Exceedance {row.pk}: its entry in the evidence log does not tell of it."
            else:
                for name in is_:
                    if name not in ("act", "reason") and is_[name] != was[name]:
                        yield (
                            f"Exceedance {row.pk}: {name} is {is_[name]!r},"
                            f" but the evidence log says {was[name]!r}."
                        )
                        break
                found[_name(was), ""] += 1
                if row.withdrawn:
                    found[_name(was), row.withdrawn] += 1
        for seq in row.telegrams:
            if seq not in known:
                known[seq] = _stored(seq)
            if not known[seq]:
                yield f"Exceedance {row.pk} rests on telegram {seq}, which the journal does not have."
    for name, reason in sorted({*(said - found), *(found - said)}):
        point, factor, period, time, _limit = name
        yield (
            f"Exceedances of {point} {factor}, {period} {time}"
            f"{f', withdrawn ({reason})' if reason else ''}: {found[name, reason]},"
            f" but the evidence log tells of {said[name, reason]}."
        )


def _facts(content: str) -> list[dict[str, Any]]:
    # All numbers as floats, for the log writes 5.0 as 5 and 1e20 in digits.
    facts: list[dict[str, Any]] = json.loads(content, parse_int=float)["content"].get(
        "exceedances", []
    )
    return facts


def _name(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in _NAME)


def _fact_of(row: dict[str, Any], facts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The fact that a row was made with: the one of its name, else the one most like it."""
    made = [one for one in facts if one["act"] != "withdrawn"]
    for one in made:
        if _name(one) == _name(row):
            return one
    return max(made, key=lambda one: sum(row[n] == one[n] for n in row), default=None)


def _stored(seq: int) -> bool:
    try:
        journal.get(settings.ENV.journal, seq)
    except journal.JournalError:
        return False
    return True
