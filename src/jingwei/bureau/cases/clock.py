"""The clock: escalations, what it does when a case wakes, and what follows from an act for the clocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.calendar import in_force
from jingwei.bureau.cases import pauses
from jingwei.bureau.cases.deadlines import deadline, moment
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.models import CITY, Case, CaseEvent
from jingwei.bureau.cases.writing import append, apply, save
from jingwei.bureau.prepared import Prepared

_escalation_keys: Prepared[str] = Prepared(
    lambda case: (
        CaseEvent.objects.filter(case=case, transition=ESCALATE)
        .order_by()
        .values_list("key", flat=True)
    )
)


def escalate(case_id: int, now: datetime) -> list[CaseEvent]:
    """Write the escalations of one case that are due at `now`, each once; the new events.

    After an outage every level that was passed meanwhile is written, in order, each with the
    moment at which it fell due. Two machines at once: the second finds nothing left to do.
    """
    with transaction.atomic():
        return escalate_locked(Case.objects.select_for_update().get(pk=case_id), now)


@transaction.atomic
def escalate_all(cases: Iterable[int], now: datetime) -> list[CaseEvent]:
    """The same for many cases, in one transaction. Cases on which somebody acts just now are
    passed over on PostgreSQL: the next tick finds them."""
    free = connection.features.has_select_for_update_skip_locked
    rows = Case.objects.select_for_update(of=("self",), skip_locked=free)
    rows = rows.filter(pk__in=list(cases), escalate_at__lte=now).order_by("pk")
    known = rows.select_related("enterprise", "department", "region").defer("region__geometry")
    return [event for case in known for event in escalate_locked(case, now)]


def escalate_locked(case: Case, now: datetime) -> list[CaseEvent]:
    """The case is locked."""
    events = []
    possible = escalations(case)
    written = _written(case, possible)
    for reached, rule, level, due in possible:
        key = escalation_key(case, rule, level, due)
        if reached > now or key in written:
            continue
        changes = {"escalated": max(case.escalated, level)}
        apply(case, changes)
        events.append(
            append(
                case,
                ESCALATE,
                source=case.state,
                user=None,
                now=now,
                data={"rule": rule, "level": level, "due": due, "reached": reached},
                changes=changes,
                internal=True,
                key=key,
                risen=(level,),
            )
        )
    left = [
        m
        for m, r, level, d in possible
        if m > now and escalation_key(case, r, level, d) not in written
    ]
    case.escalate_at = min(left, default=None)
    # The version stays: the clock does not make a form stale that somebody is filling in.
    case.save(update_fields=["escalated", "escalate_at"])
    return events


def wake(case_id: int, now: datetime, since: datetime | None = None) -> CaseEvent | None:
    """Do what the clock does in a case whose `wake_at` has come; None where nothing is to be done.

    `since`: when it would have come, in a case of before its flow set one. Two machines at once:
    the second finds that the time has been changed.
    """
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        case.wake_at = case.wake_at or since
        if case.wake_at is None or case.wake_at > now:
            return None
        step, due = case.rules.alarm(case.state), case.wake_at
        changes: dict[str, Any] = {"wake_at": None}
        case.wake_at = None
        source = case.state
        if step is None:
            raise ValueError(f"case {case_id}: nothing wakes in the state {source!r}")
        if step.effect:
            changes |= step.effect(case, {}, now)
        if step.target_from(source) != source:
            changes["state"] = step.target
        changes |= with_clocks(case, changes, now)
        save(case, case.version, changes)
        return append(
            case,
            step.name,
            source=source,
            user=None,
            now=now,
            data={"due": due},
            changes=changes,
            internal=step.internal,
            key=f"wake:{case.pk}:{due.astimezone(UTC):%Y%m%dT%H%M%S.%f}",
        )


def escalations(case: Case) -> list[tuple[datetime, str, int, datetime]]:
    """(moment, rule, level, deadline) of every escalation that the running clocks can give."""
    if case.at.final:
        return []
    clocks = [("level", case.level_due), ("business", case.running_due)]
    running = [(rule, due) for rule, due in clocks if due]
    if not running:
        return []
    calendar = in_force(case.level_since)
    return sorted(
        (moment(due, after, calendar) if after else due, rule, level, due)
        for rule, due in running
        for level, after in case.rules.escalation
    )


def escalation_key(case: Case, rule: str, level: int, due: datetime) -> str:
    """What makes an escalation happen once."""
    return f"escalate:{case.pk}:{rule}:{level}:{due.astimezone(UTC):%Y%m%dT%H%M%S.%f}"


def standing(case: Case) -> tuple[int, datetime | None]:
    """The highest level that was written of the clocks that run, 0 for none, and when the next
    falls due that was not; None where none will."""
    possible = escalations(case)
    if not possible:
        return 0, None
    written = _written(case, possible) if case.pk else set()
    highest, left = 0, []
    for reached, rule, level, due in possible:
        if escalation_key(case, rule, level, due) in written:
            highest = max(highest, level)
        else:
            left.append(reached)
    return highest, min(left, default=None)


def _written(case: Case, possible: list[Any]) -> set[str]:
    """The keys of those escalations that stand in the events."""
    keys = {escalation_key(case, rule, level, due) for _m, rule, level, due in possible}
    return keys & set(_escalation_keys(case.pk))


def with_clocks(case: Case, changes: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Apply the changes; apply and return what follows from them, in whatever flow.

    The level clock starts anew with a new state or department: no edit, extension or comment
    starts it. Whoever is late in a state stays late in it: a case that comes back there has the
    level again that was written of its deadline.
    """
    moved = changes.get("department_id", case.department_id) != case.department_id
    result = {**_let_go(case, changes), **pauses.left(case, changes, now)}
    apply(case, {**changes, **result})
    if not moved and not {"state", "due", "paused"} & set(changes):
        return result
    if moved or "state" in changes:
        limit = case.at.limit
        level_due, derivation = deadline(now, limit, since="state") if limit else (None, [])
        clock = {"level_since": now, "level_due": level_due, "level_derivation": derivation}
        apply(case, clock)
        result |= clock
    level, case.escalate_at = standing(case)
    if case.escalated != level:
        result["escalated"] = case.escalated = level
    return result


def _let_go(case: Case, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What frees a case of its holder, where it goes to another department or district than the
    one for which the holder has it. Who works for the whole city keeps it, and so does a grid
    officer while the case stays in the district."""
    gone = {
        name
        for name in ("department_id", "region_id")
        if changes.get(name, getattr(case, name)) != getattr(case, name)
    }
    if not gone or case.holder is None or case.holder.role in CITY:
        return {}
    if case.holder.role == Role.GRID and "region_id" not in gone:
        return {}
    return {"holder_id": None}
