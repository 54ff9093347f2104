"""What `jingwei fsck` asks of this room: every case is the fold of its events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jingwei.bureau.cases import pauses, search
from jingwei.bureau.cases.apps import APPEND_ONLY
from jingwei.bureau.cases.clock import standing
from jingwei.bureau.cases.flow import ESCALATE, HAND_OVER, NOTES
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.cases.writing import COLUMNS, FOLDED, plain, testimony
from jingwei.bureau.findings import immutable
from jingwei.evidence import digest


def check() -> Iterator[str]:
    """One sentence per problem: missing triggers, rows that no event explains, changed files."""
    for name in immutable.missing(APPEND_ONLY):
        yield f"cases: the trigger {name} is missing; `jingwei prepare` puts it back"
    for pk in search.outdated():
        yield f"case {pk}: its text is not indexed as it is now (`cases.search.fill` puts it back)"
    for case in Case.objects.order_by("pk").iterator(chunk_size=500):
        for problem in replay(case):
            yield f"case {case.pk}: {problem}"


def replay(case: Case) -> Iterator[str]:
    """Fold the events of a case and compare with its row; what differs."""
    flow = FLOWS.get(case.flow)
    if flow is None:
        yield f"there is no flow {case.flow!r}"
        return
    if case.state not in {state.name for state in flow.states}:
        yield f"the flow {case.flow!r} has no state {case.state!r}"
        return
    folded: dict[str, Any] = {
        name: plain(Case._meta.get_field(name.removesuffix("_id")).get_default())
        for name in COLUMNS
    }
    folded |= {"state": "", "party_ids": []}
    version = 0
    events = (
        CaseEvent.objects.filter(case=case)
        .select_related("evidence", "department", "case")
        .prefetch_related("files")
        .order_by("seq")
    )
    for number, event in enumerate(events, start=1):
        if event.seq != number:
            yield f"event {number} is missing"
            return
        step = flow.transition(event.transition)
        if event.source != folded["state"]:
            yield f"event {number} starts from {event.source!r}, but the case was {folded['state']!r}"
        if step is None:
            if event.transition not in (ESCALATE, HAND_OVER, *NOTES):
                yield f"event {number}: the flow knows no {event.transition!r}"
        elif event.source not in (step.sources or ("",)):
            yield f"event {number}: {event.transition!r} is not possible from {event.source!r}"
        elif event.target != step.target_from(event.source):
            yield f"event {number}: {event.transition!r} does not lead to {event.target!r}"
        elif event.role not in step.roles and not (step.clock and event.actor_id is None):
            yield f"event {number}: {event.role!r} may not do {event.transition!r}"
        detail = {**folded["detail"], **event.changes.get("detail", {})}
        folded |= event.changes | {"detail": detail}
        if event.target != folded["state"]:
            yield f"event {number} ends in {event.target!r}, but changed the state to {folded['state']!r}"
        if number == 1:
            told = sorted(event.data.get("findings", ()))
            linked = sorted(case.findings.values_list("pk", flat=True))
            if linked != told:
                yield f"it is of the findings {linked}, but was opened with {told}"
        version += step.locks if step else event.transition == HAND_OVER
        yield from _evidence(event, folded["number"])
    for name in FOLDED:
        row = plain(getattr(case, name))
        if row != folded[name]:
            yield f"{name} is {row!r}, but its events say {folded[name]!r}"
    yield from pauses.proof(case)
    if case.version != version:
        yield f"version is {case.version}, but its events say {version}"
    stored = case.clock, case.asks
    case.derive()
    if stored != (case.clock, case.asks):
        yield f"it is sorted by {stored}, not by {(case.clock, case.asks)}"
    level, rises = standing(case)
    if case.escalated != level:
        yield f"it stands at level {case.escalated}, but of its clocks level {level} was written"
    if case.escalate_at != rises:
        yield f"the next escalation is set to {case.escalate_at}, not to {rises}"


def _evidence(event: CaseEvent, number: str | None) -> Iterator[str]:
    files = [{"sha256": f.sha256, "sm3": f.sm3} for f in event.files.all()]
    event.case.number = number  # as it was then
    said = json.loads(event.evidence.content)["content"]
    expected = testimony(event, files)
    for name in sorted(set(said) | set(expected)):
        if said.get(name) != expected.get(name):
            yield f"event {event.seq}: {name} is not what the evidence log says"
    for file in event.files.all():
        try:
            with file.file.open("rb") as f:
                found = digest.both(iter(lambda f=f: f.read(1 << 20), b""))
        except OSError as error:
            yield f"file {file.pk} of event {event.seq} cannot be read: {error.strerror or error}"
            continue
        if found != {"sha256": file.sha256, "sm3": file.sm3}:
            yield f"file {file.pk} of event {event.seq} was changed on the disk"
