"""Figures over cases: how many, how fast, how often passed on; the monthly assessment.

All counts are of cases that the reader may see. "Issued" is when a case went out to whoever
handles it; a case missed its deadline where the clock has written so, however it ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jingwei.analysis import assessment
from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.models import Case, CaseEvent

REPEAT = timedelta(days=180)
LONGEST = 366  # days that a page reckons over


@dataclass
class Figures:
    """Of one department, or of all (`department` None); times in days."""

    department: Any = None
    received: int = 0
    closed: int = 0
    missed: int = 0
    judged: int = 0  # closed, or past their deadline
    transfers: int = 0
    returns: int = 0
    reported: int = 0  # rectifications reported
    repeats: int = 0
    named: int = 0  # about a known enterprise
    days: list[float] = field(default_factory=list)

    @property
    def label(self) -> str:
        return department_label(self.department)

    @property
    def handled(self) -> float | None:
        return assessment.share(self.closed, self.received)

    @property
    def on_time(self) -> float | None:
        return assessment.share(self.judged - self.missed, self.judged)

    @property
    def repeat_rate(self) -> float | None:
        return assessment.share(self.repeats, self.named)

    @property
    def median(self) -> float | None:
        return assessment.quantile(self.days, 0.5)

    @property
    def p90(self) -> float | None:
        return assessment.quantile(self.days, 0.9)

    @property
    def not_returned(self) -> float | None:
        return assessment.share(max(self.reported - self.returns, 0), self.reported)

    @property
    def score(self) -> float | None:
        parts = {
            "handled": self.handled,
            "on_time": self.on_time,
            "not_returned": self.not_returned,
        }
        return assessment.score(parts, assessment.DEPARTMENT) if self.received else None


def span(first: date, last: date) -> tuple[datetime, datetime]:
    """From 0:00 of the first day to 24:00 of the last, at most a year."""
    last = min(max(last, first), first + timedelta(days=LONGEST))
    begin = timezone.make_aware(datetime.combine(first, time()))
    return begin, timezone.make_aware(datetime.combine(last + timedelta(days=1), time()))


def month(text: str, today: date) -> tuple[date, date]:
    """First and last day of a month "2026-11"; of the last full month for anything else."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def figures(
    user: Any, first: date, last: date, flow: str = "", now: datetime | None = None
) -> tuple[Figures, list[Figures]]:
    """Over the cases issued in these days: of all, and of each department that has or had any.

    Transfers, returns and reports count for the department that had the case at that moment,
    whoever has it now.
    """
    now = now or timezone.now()
    begin, end = span(first, last)
    missed = CaseEvent.objects.filter(
        case=OuterRef("pk"), transition=ESCALATE, data__rule="business", data__level=1
    )
    before = Case.objects.filter(
        enterprise=OuterRef("enterprise"),
        matter=OuterRef("matter"),
        closed__lt=OuterRef("opened"),
        closed__gte=OuterRef("opened") - REPEAT,
    ).exclude(issued=None)
    rows = (
        Case.objects.restrict(user, "case.view")
        .filter(issued__gte=begin, issued__lt=end)
        .annotate(missed=Exists(missed), repeated=Exists(before))
        .select_related("department")
        .only(
            "department", "issued", "closed", "due", "enterprise_id", "flow", "paused",
        )
    )  # fmt: skip
    if flow:
        rows = rows.filter(flow=flow)
    whole, found = Figures(), {}
    for department, name in _counted(rows):
        own = found.setdefault(department, Figures())
        for part in (whole, own):
            setattr(part, name, getattr(part, name) + 1)
    offices = Department.objects.in_bulk(found)
    for pk, own in found.items():
        own.department = offices[pk]
    for case in rows.iterator(chunk_size=2000):
        own = found.setdefault(case.department_id, Figures(case.department))
        for part in (whole, own):
            part.received += 1
            part.closed += case.closed is not None
            past = bool(case.due and case.due <= now and not case.paused)
            part.judged += case.closed is not None or past
            part.missed += case.missed and (case.closed is not None or past)
            part.named += case.enterprise_id is not None
            part.repeats += case.enterprise_id is not None and case.repeated
            if case.closed:
                part.days.append((case.closed - case.issued).total_seconds() / 86400)
    return whole, sorted(found.values(), key=lambda f: (-f.received, f.department.code))


def _counted(rows: Any) -> Iterator[tuple[int, str]]:
    """(department, name) of every time that one of these cases was passed on, sent back, or reported
    as rectified: the department that had the case until then."""
    named: dict[tuple[str, str], str] = {
        (flow.name, act): name
        for flow in FLOWS.values()
        for name, acts in flow.counts.items()
        for act in acts
    }
    acts = {act for _flow, act in named}
    events = CaseEvent.objects.filter(case__in=rows.values("pk"))
    events = events.filter(Q(transition__in=acts) | Q(changes__has_key="department_id"))
    told = events.order_by("case_id", "seq").values_list(
        "case_id", "case__flow", "transition", "changes__department_id"
    )
    has: dict[int, int] = {}
    for pk, flow, act, department in told.iterator(chunk_size=2000):
        if (flow, act) in named:
            yield has[pk], named[flow, act]
        has[pk] = department or has[pk]


@dataclass
class Officer:
    """What one person of a grid did: acts that were waited for, those within the clock, those
    with a position, and those that came after the clock had risen."""

    user: Any
    done: int = 0
    on_time: int = 0
    located: int = 0
    late: int = 0

    @property
    def score(self) -> float | None:
        parts = {
            "on_time": assessment.share(self.on_time, self.done),
            "located": assessment.share(self.located, self.done),
            "not_late": assessment.share(self.done - self.late, self.done),
        }
        return assessment.score(parts, assessment.OFFICER)


def officers(user: Any, first: date, last: date) -> list[Officer]:
    """The grid officers who acted in these days where a case waited for them.

    On time: within the level clock that ran when they acted; late: after it had risen.
    """
    begin, end = span(first, last)
    acts = (
        CaseEvent.objects.restrict(user, "case.view")
        .filter(role=Role.GRID, at__gte=begin, at__lt=end)
        .exclude(transition="comment")
        .select_related("actor__department")
        .order_by("case_id", "seq")
    )
    acts = list(acts)
    clocks = _clocks({act.case_id for act in acts})
    found: dict[int, Officer] = {}
    for act in acts:
        own = found.setdefault(act.actor_id, Officer(act.actor))
        due, risen = clocks.get((act.case_id, act.seq), (None, False))
        own.done += 1
        own.on_time += due is None or act.at <= due
        own.late += risen
        own.located += bool(act.data.get("position"))
    return sorted(found.values(), key=lambda o: (-(o.score or 0), -o.done, o.user.username))


def _clocks(cases: Iterable[int]) -> dict[tuple[int, int], tuple[datetime | None, bool]]:
    """For each event of these cases: the level deadline before it, and whether it had risen."""
    found = {}
    events = CaseEvent.objects.filter(Q(case__in=list(cases))).order_by("case_id", "seq")
    due: datetime | None = None
    risen, last = False, None
    for event in events.iterator(chunk_size=2000):
        if event.case_id != last:
            due, risen, last = None, False, event.case_id
        found[event.case_id, event.seq] = (due, risen)
        if event.transition == ESCALATE:
            risen = risen or event.data["rule"] == "level"
        if "level_due" in event.changes:
            text = event.changes["level_due"]
            due, risen = parse_datetime(text) if text else None, False
    return found
