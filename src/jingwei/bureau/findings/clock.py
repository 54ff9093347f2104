"""The clock of a new finding: until when somebody must have decided on it.

It is set once, when the finding comes in, by how severe it is then, and runs while the finding is
new. No edit moves it, neither a severity given later nor a longer episode; merging, dismissing or
taking into a case ends it, and what is given back has the deadline it had.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models.expressions import RawSQL

from jingwei.bureau.accounts.calendar import in_force, reckoned
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import told
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding
from jingwei.standards import workdays
from jingwei.standards.workdays import Rule

log = logging.getLogger(__name__)
# Numbers of this program, no law's: the triage of a case has 8 working hours, too.
LIMITS: Final = {
    Finding.Severity.HIGH: Rule(4, "working_hours"),
    Finding.Severity.MEDIUM: Rule(8, "working_hours"),
    Finding.Severity.LOW: Rule(3, "working_days"),
}
# The levels of delay and when each is reached after the deadline: the city's dispatchers hear of
# the first, the leaders too of the second.
ESCALATION: Final = ((1, None), (2, Rule(8, "working_hours")))
# Written out, not given as a value: only so SQLite knows that the indexes of what is new suffice.
NEW: Final = RawSQL("'new'", [])
TOGETHER = 100  # findings whose escalations are written in one transaction
_CLOCK = ("due", "derivation", "escalated", "escalate_at", "announced")


def started(severity: int, now: datetime) -> dict[str, Any]:
    """The columns of a clock that starts now."""
    due, derivation = reckoned(now, LIMITS[Finding.Severity(severity)])
    return {"due": due, "derivation": derivation, "escalate_at": due}


def of(finding: Finding) -> dict[str, Any]:
    """The columns of the clock of a finding, for one that is split from it."""
    return {name: getattr(finding, name) for name in _CLOCK}


def escalate(now: datetime) -> int:
    """Let rise what is due at `now`, each level once; how many findings rose.

    After an outage every level that was passed meanwhile is written, with the moment at which it
    was reached. Two machines at once: the second finds nothing left to do.
    """
    due = Finding.objects.filter(state=NEW, escalate_at__lte=now)
    late = list(due.order_by("escalate_at", "pk").values_list("pk", flat=True))
    risen = 0
    for start in range(0, len(late), TOGETHER):
        some = late[start : start + TOGETHER]
        try:
            risen += _escalate(some, now)
        except Exception:  # which of them? each by itself
            for pk in some:
                try:
                    risen += _escalate([pk], now)
                except Exception:
                    log.exception("finding %s: the clock failed; the next tick tries again", pk)
    return risen


@transaction.atomic
def _escalate(pks: list[int], now: datetime) -> int:
    """Findings on which somebody decides just now are passed over on PostgreSQL: the next tick
    finds them, if they are still new."""
    free = connection.features.has_select_for_update_skip_locked
    rows = Finding.objects.select_for_update(of=("self",), skip_locked=free)
    rows = rows.filter(pk__in=pks, state=Finding.State.NEW, escalate_at__lte=now).order_by("pk")
    found = list(rows)
    for finding in found:
        _rise(finding, now)
    return len(found)


def _rise(finding: Finding, now: datetime) -> None:
    """The finding is locked."""
    finding.escalate_at = None
    for level, reached in levels(finding):
        if level <= finding.escalated:
            continue
        if reached > now:
            finding.escalate_at = reached
            break
        record(
            "finding.overdue",
            f"finding:{finding.pk}",
            {"finding": finding.pk, "level": level, "due": finding.due, "reached": reached},
        )
        finding.escalated, finding.announced = level, None
    finding.save(update_fields=["escalated", "escalate_at", "announced"])


def levels(finding: Finding) -> list[tuple[int, datetime]]:
    """Each level of delay with the moment at which it is reached."""
    due = finding.due
    if due is None:
        return []
    calendar = in_force(_start(finding))
    return [
        (level, workdays.deadline(after, due, calendar)[0].astimezone(UTC) if after else due)
        for level, after in ESCALATION
    ]


def _start(finding: Finding) -> datetime:
    return datetime.fromisoformat(finding.derivation[0]["start"])


def problems(finding: Finding, risen: Mapping[str, int]) -> Iterator[str]:
    """One sentence each, for `fsck`: the deadline against its derivation and the evidence log, and
    the level of delay against what was `written`."""
    if finding.due is None:
        if finding.state == Finding.State.NEW:
            yield "it is new and has no clock"
        return
    step = finding.derivation[0]
    due, derivation = reckoned(_start(finding), Rule(step["amount"], step["unit"]))
    if due != finding.due or derivation != finding.derivation:
        yield f"it is due at {finding.due}, but its derivation gives {due}"
    said = told(finding.evidence) if finding.evidence else {}
    if "due" in said and datetime.fromisoformat(said["due"]) != finding.due:
        yield f"it is due at {finding.due}, but the evidence log says {said['due']}"
    level = max(risen.get(f"finding:{finding.pk}", 0), said.get("escalated", 0))
    if finding.escalated != level:
        yield f"its delay stands at level {finding.escalated}, but the evidence log says {level}"


def written() -> dict[str, int]:
    """The highest level of delay that the evidence log tells of, by subject."""
    highest: dict[str, int] = {}
    for entry in EvidenceEntry.objects.filter(kind="finding.overdue").order_by("pk").iterator():
        highest[entry.subject] = max(told(entry)["level"], highest.get(entry.subject, 0))
    return highest
