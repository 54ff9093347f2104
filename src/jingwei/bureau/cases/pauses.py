"""The pause ledger: a case's own deadline stands still while the case cannot be handled.

A pause has a reason and a legal basis. On resumption the deadline moves by the working time that
passed meanwhile, reckoned as periods are: of working days, the working days after the day on which
the pause began up to that on which it ended; of days, all days; of hours, the office hours in it,
full ones. The level clock of whoever has the case goes on. A case that goes where nobody could
resume it (it is reported as rectified, refused, closed) is not paused any more. `case.pauses` is
the ledger, folded from the events; the step that moves a deadline stands in its derivation (`proof`
checks one against the other).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.calendar import in_force
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import Field, Text, Transition
from jingwei.standards import workdays

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case

GROUNDS: tuple[tuple[str, Text], ...] = (
    ("analysis", _("Monitoring, inspection or expert appraisal under way")),
    ("other_organ", _("Waits for another organ's decision")),
    ("unreachable", _("A party cannot be reached or has died")),
    ("force_majeure", _("Force majeure")),
    ("other", _("Another ground")),
)


def suspension(
    sources: tuple[str, ...], roles: frozenset[Role], **kw: Any
) -> tuple[Transition, ...]:
    """The acts "pause" and "resume" for a flow, in these states, by these roles."""
    return (
        Transition(
            "pause", _("Pause the deadline"), sources, None, roles,
            (
                Field("ground", _("Ground"), "choice", choices=lambda case: list(GROUNDS)),
                Field("text", _("Reason for the pause")),
                Field("basis", _("Legal basis"), "line", help=_("Law and article that allow it.")),
            ),
            guard=_runs, effect=_pause, **kw,
        ),
        Transition(
            "resume", _("Resume"), sources, None, roles,
            (Field("text", _("Why it can go on")),),
            guard=_stands, effect=_resume, **kw,
        ),
    )  # fmt: skip


def _runs(case: Case, user: User) -> Text | None:
    if case.paused:
        return _("The deadline is paused already.")
    return None if case.due else _("The case has no deadline yet.")


def _stands(case: Case, user: User) -> Text | None:
    return None if case.paused else _("The deadline is not paused.")


def _pause(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    if case.due <= now:
        raise Refused(_("The deadline has passed already: it can be extended, but not paused."))
    begun = {
        "from": now.astimezone(UTC).isoformat(),
        "to": None,
        "ground": data["ground"],
        "reason": data["text"],
        "basis": data["basis"],
    }
    return {"paused": now, "pauses": [*case.pauses, begun]}


def _resume(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    unit, span, calendar = case.derivation[-1]["unit"], (case.paused, now), in_force(now)
    if unit == "days":
        due, step = moved_days(case.derivation, case.due, *span, calendar)
    else:
        due, step = moved(case.due, *span, unit, calendar)
    ended = {**case.pauses[-1], "to": now.astimezone(UTC).isoformat()}
    changes: dict[str, Any] = {"paused": None, "pauses": [*case.pauses[:-1], ended]}
    if step:
        changes |= {"due": due, "derivation": [*case.derivation, step]}
    return changes


def longer(
    steps: Sequence[Mapping[str, Any]], days: int, calendar: workdays.Calendar | None = None
) -> tuple[datetime, list[int]]:
    """(due, years without holiday notice) of a period in days that gets so many more: reckoned
    from its beginning, so that a last day that was moved over a weekend is not moved twice."""
    whole = sum(int(step["amount"]) for step in steps) + days
    start = parse_datetime(steps[0]["start"])
    assert start is not None
    due, found = workdays.deadline(workdays.Rule(whole, "days"), start, calendar)
    return due.astimezone(UTC), list(found.unknown_years)


def left(case: Case, changes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What ends the pause of a case that comes, by these changes, where nobody could end it.

    A deadline that the act itself sets is not moved.
    """
    resume = case.rules.transition("resume")
    if resume is None or case.paused is None or "paused" in changes:
        return {}
    if {case.state, changes.get("state", case.state)} <= set(resume.sources):
        return {}
    ended = _resume(case, {}, now)
    return {name: value for name, value in ended.items() if name not in changes}


def moved(
    due: datetime,
    begun: datetime,
    ended: datetime,
    unit: str,
    calendar: workdays.Calendar | None = None,
) -> tuple[datetime, dict[str, Any] | None]:
    """The deadline after a pause, and the step of the derivation; no step where no working time
    passed. `unit` is that of the deadline: working_days or working_hours."""
    if unit == "working_hours":
        passed = workdays.office_time(begun, ended, calendar)
        rule = workdays.Rule(ceil(passed.total_seconds() / 3600), unit) if passed else None
        counted: list[str] = []
    else:
        days = workdays.working_days_between(begun, ended, calendar)
        rule = workdays.Rule(len(days), "working_days") if days else None
        counted = [day.isoformat() for day in days]
    if rule is None:
        return due, None
    new, found = workdays.deadline(rule, due, calendar)
    said = found.to_json()
    span = [workdays.clock(moment) for moment in (begun, ended, due, new)]
    return new.astimezone(UTC), {
        **{name: said[name] for name in ("amount", "unit", "start", "due", "unknown_years")},
        "pause": [begun.astimezone(UTC).isoformat(), ended.astimezone(UTC).isoformat()],
        "counted": counted,
        "zh": f"{span[0]} 至 {span[1]} 中止计时，其间 {rule.text('zh')} → 期限由 {span[2]}"
        f" 顺延至 {span[3]}",
        "en": f"paused from {span[0]} to {span[1]}, in which {rule.text('en')} passed → the"
        f" deadline moves from {span[2]} to {span[3]}",
    }


def moved_days(
    steps: Sequence[Mapping[str, Any]],
    due: datetime,
    begun: datetime,
    ended: datetime,
    calendar: workdays.Calendar | None = None,
) -> tuple[datetime, dict[str, Any] | None]:
    """The same of a deadline in days, whose derivation so far is `steps`."""
    days = (timezone.localdate(ended) - timezone.localdate(begun)).days
    if not days:
        return due, None
    new, unknown = longer(steps, days, calendar)
    span = [workdays.clock(moment) for moment in (begun, ended, due, new)]
    return new, {
        "amount": days,
        "unit": "days",
        "start": due.astimezone(UTC).isoformat(),
        "due": new.isoformat(),
        "unknown_years": unknown,
        "pause": [begun.astimezone(UTC).isoformat(), ended.astimezone(UTC).isoformat()],
        "counted": [],
        "zh": f"{span[0]} 至 {span[1]} 中止计时，其间 {days} 日 → 期限由 {span[2]} 顺延至 {span[3]}",
        "en": f"paused from {span[0]} to {span[1]}, in which {days} days passed → the deadline moves"
        f" from {span[2]} to {span[3]}",
    }


def ledger(case: Case) -> list[dict[str, Any]]:
    """The pauses of a case for a reader: times as times, grounds in words."""
    return [
        {
            **pause,
            "from": parse_datetime(pause["from"]),
            "to": parse_datetime(pause["to"]) if pause["to"] else None,
            "ground": dict(GROUNDS).get(pause["ground"], pause["ground"]),
        }
        for pause in case.pauses
    ]


def proof(case: Case) -> Iterator[str]:
    """What in ledger, deadline and derivation does not fit together; one sentence each."""
    steps = case.derivation
    if bool(steps) != (case.due is not None):
        yield "the deadline has no derivation" if case.due else "a derivation without a deadline"
    elif steps and parse_datetime(steps[-1]["due"]) != case.due:
        yield f"the deadline is {case.due}, but its derivation ends {steps[-1]['due']}"
    ledger = {p["from"]: p for p in case.pauses}
    for before, step in zip([None, *steps], steps, strict=False):
        if "pause" not in step:
            continue
        begun, ended = step["pause"]
        if ledger.get(begun, {}).get("to") != ended:
            yield f"the deadline was moved by a pause from {begun} that the ledger does not have"
        if before is None or parse_datetime(step["start"]) != parse_datetime(before["due"]):
            yield f"the pause from {begun} does not move the deadline that stood before it"
        first, last = (timezone.localdate(parse_datetime(t)).isoformat() for t in (begun, ended))
        outside = [d for d in step["counted"] if not first < d <= last]
        if step["unit"] == "working_days" and (outside or len(step["counted"]) != step["amount"]):
            yield f"the pause from {begun} moves the deadline by other days than lie in it"
        days = (date.fromisoformat(last) - date.fromisoformat(first)).days
        if step["unit"] == "days" and days != step["amount"]:
            yield f"the pause from {begun} moves the deadline by other days than lie in it"
    if case.paused and case.at.final:
        yield "its deadline is paused, but the case is over"
    standing = [p for p in case.pauses if p["to"] is None]
    if len(standing) > 1 or bool(standing) != (case.paused is not None):
        yield "the ledger of pauses and the clock do not agree on whether it stands"
    elif standing and parse_datetime(standing[0]["from"]) != case.paused:
        yield f"the clock stands since {case.paused}, the ledger says {standing[0]['from']}"
