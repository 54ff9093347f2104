"""Everything that reads programmes; cases always through `restrict(user)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import get_language

from jingwei.bureau.access import CITY_WIDE, may
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.campaigns.models import Answer, Item, Programme, Share
from jingwei.bureau.campaigns.services import hashed
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.cases.models import Case, CaseQuerySet
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring.models import Exceedance
from jingwei.bureau.registry.models import Region
from jingwei.standards import matters


def programmes(user: Any, kind: str = "") -> QuerySet[Programme]:
    rows = Programme.objects.restrict(user, "campaign.view").select_related("lead")
    rows = rows.annotate(
        total=Count("items", distinct=True),
        cleared=Count("items", filter=Q(items__case__closed__isnull=False), distinct=True),
    )
    return rows.filter(kind=kind) if kind else rows


def own_cases(user: Any, programme: Programme) -> CaseQuerySet:
    """The cases of a programme that the user may see: a list's items, or what a campaign opened."""
    rows = cases.cases(user)
    if programme.kind == Programme.Kind.LIST:
        return rows.filter(list_item__programme=programme)
    return in_scope(rows, programme, programme.begins, programme.ends)


def in_scope(rows: Any, programme: Programme, first: date, last: date) -> Any:
    """Cases opened from `first` to `last` in the campaign's regions and matters."""
    regions = list(programme.regions.values_list("pk", flat=True))
    rows = rows.filter(opened__gte=_begin(first), opened__lt=_begin(last + timedelta(days=1)))
    if regions:
        rows = rows.filter(region__in=regions)
    if programme.matters:
        rows = rows.filter(matter__in=_kinds(programme))
    return rows


def _kinds(programme: Programme) -> set[str]:
    return set().union(*(matters.kinds(m) | {m} for m in programme.matters))


def _begin(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


@dataclass
class Progress:
    """How far one department, or all, has come."""

    label: str
    department: Department | None = None
    total: int = 0
    cleared: int = 0
    overdue: int = 0
    late: int = 0  # open milestones whose day is over
    states: Counter[str] = field(default_factory=Counter)

    @property
    def percent(self) -> int:
        return 100 * self.cleared // self.total if self.total else 0

    @property
    def open(self) -> int:
        return self.total - self.cleared


def board(rows: Iterable[Case]) -> tuple[Progress, list[Progress]]:
    """Progress over all and by department, the most open first."""
    whole, by = Progress(""), dict[int, Progress]()
    for case in rows:
        one = by.setdefault(
            case.department_id,
            Progress(department_label(case.department), case.department),
        )
        for progress in (whole, one):
            progress.total += 1
            progress.cleared += case.at.final
            progress.overdue += case.overdue
            progress.late += len(late_milestones(case))
            progress.states[str(case.state_label)] += 1
    return whole, sorted(by.values(), key=lambda p: (-p.open, p.label))


def late_milestones(case: Case) -> list[dict[str, Any]]:
    """The milestones of an item whose day is over and that nobody has reported."""
    today = timezone.localdate().isoformat()
    planned = case.detail.get("milestones", ())
    return [m for m in planned if not m.get("done") and m["day"] < today]


def items(user: Any, programme: Programme, query: Any) -> list[Item]:
    """The items of a list that the user may see, by `department`, `state` (open, cleared,
    overdue, late: with late milestones)."""
    rows = (
        Item.objects.filter(programme=programme, case__in=own_cases(user, programme))
        .select_related("case__department", "case__region", "case__enterprise")
        .defer("case__region__geometry")
    )
    department = query.get("department", "")
    if department.isdigit() and len(department) < 10:
        rows = rows.filter(case__department=int(department))
    state = query.get("state", "")
    if state in ("open", "overdue", "late"):
        rows = rows.filter(case__closed__isnull=True)
    elif state == "cleared":
        rows = rows.filter(case__closed__isnull=False)
    found = sorted(rows, key=lambda item: _natural(item.number))
    for item in found:
        item.late = len(late_milestones(item.case))
    if state == "late":
        return [i for i in found if i.late]
    return [i for i in found if i.case.overdue] if state == "overdue" else found


def _natural(text: str) -> list[Any]:
    """2 before 10, 1-2 before 1-10."""
    parts, number = [], ""
    for sign in f"{text}\0":
        if sign.isdigit() and sign.isascii():
            number += sign
            continue
        if number:
            parts.append((0, int(number), ""))
            number = ""
        parts.append((1, 0, sign))
    return parts


def responsibilities(user: Any, department: Department) -> list[Item]:
    """The responsibility list (责任清单) of a department: all open items that it leads or joins."""
    rows = cases.cases(user).filter(flow="rectification", closed__isnull=True)
    rows = rows.filter(Q(department=department) | Q(parties=department)).distinct()
    found = (
        Item.objects.filter(case__in=rows)
        .select_related("programme", "case__department", "case__region", "case__enterprise")
        .defer("case__region__geometry")
    )
    for item in found:
        item.late = len(late_milestones(item.case))
    return sorted(found, key=lambda i: (i.case.due, _natural(i.number)))


def panel(case: Case, user: User) -> dict[str, Any]:
    """What the page of a case shows of its item."""
    item = Item.objects.filter(case=case).select_related("programme").first()
    late = late_milestones(case)
    reached = [{**m, "late": m in late} for m in case.detail.get("milestones", [])]
    return {"item": item, "milestones": reached, "detail": case.detail}


def whose(user: Any) -> list[str]:
    """In whose jurisdictions the cases lie that the user's figures count; nothing for the city's."""
    people = user.acts_for()
    if any(person.is_superuser or person.role in CITY_WIDE for person in people):
        return []
    return sorted({department_label(p.department) for p in people if p.department})


# --- campaigns -------------------------------------------------------------------------------


def figures(user: Any, programme: Programme, last: date | None = None) -> dict[str, int]:
    """A campaign's figures up to the end of a day: cases opened, closed, overdue, by flow."""
    last = last or programme.ends
    rows = list(in_scope(cases.cases(user), programme, programme.begins, last))
    until = _begin(last + timedelta(days=1))
    closed = [c for c in rows if c.closed and c.closed < until]
    regions = list(programme.regions.values_list("pk", flat=True))
    found = Finding.objects.restrict(user, "finding.view").filter(
        began__gte=_begin(programme.begins), began__lt=until
    )
    if regions:
        found = found.filter(region__in=regions)
    if programme.matters:
        found = found.filter(kind__in=_kinds(programme))
    return {
        "findings": found.count(),
        "opened": len(rows),
        "closed": len(closed),
        "inspections": sum(c.flow == "inspection" for c in rows),
        "penalties": sum(c.flow == "penalty" for c in rows),
        "overdue": sum(c.overdue for c in rows),
    }


@dataclass
class Window:
    """Monitored values of a stretch of time: exceedances that stand, per 30 days."""

    label: str
    first: date
    last: date
    exceedances: int
    points: int

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def per_month(self) -> float:
        return round(30 * self.exceedances / self.days, 1)


def effect(programme: Programme, labels: tuple[str, str, str]) -> list[Window]:
    """Before, during and after: three stretches, before and after as long as the campaign.

    Exceedances of hourly and daily limits at points of the campaign's regions that stand today;
    what is not over yet ends yesterday. A difference may have other causes: production, season,
    weather.
    """
    length = programme.ends - programme.begins + timedelta(days=1)
    yesterday = timezone.localdate() - timedelta(days=1)
    spans = (
        (programme.begins - length, programme.begins - timedelta(days=1)),
        (programme.begins, min(programme.ends, yesterday)),
        (programme.ends + timedelta(days=1), min(programme.ends + length, yesterday)),
    )
    regions = list(programme.regions.values_list("pk", flat=True))
    found = []
    for label, (first, last) in zip(labels, spans, strict=True):
        if last < first:
            continue
        rows = Exceedance.objects.filter(
            withdrawn="", time__gte=_begin(first), time__lt=_begin(last + timedelta(days=1))
        )
        if regions:
            rows = rows.filter(point__region__in=regions)
        points = rows.values("point").distinct().count()
        found.append(Window(label, first, last, rows.count(), points))
    return found


def causes(user: Any, programme: Programme) -> list[tuple[str, int]]:
    """Causes that closed cases of the programme name, the most frequent first.

    As the people who handled them wrote them; equal texts are counted together.
    """
    said = Counter[str]()
    for case in own_cases(user, programme).filter(closed__isnull=False):
        cause = str(case.detail.get("cause") or "").strip()
        if cause:
            said[cause[:120]] += 1
    return said.most_common(10)


# --- four steps ------------------------------------------------------------------------------

STEPS = ("pushed", "investigating", "rectifying", "watching", "followup", "closed")


def four_steps(user: Any, first: date, last: date) -> tuple[list[str], list[dict[str, Any]]]:
    """Cases of four-step supervision by region and state, opened from `first` to `last`."""
    from jingwei.bureau.campaigns.flows import FOUR_STEP

    rows = (
        Case.objects.restrict(user, "case.view")
        .filter(
            flow="four_step", opened__gte=_begin(first), opened__lt=_begin(last + timedelta(days=1))
        )
        .values_list("region_id", "state", "detail__found")
    )
    counts: dict[str, Counter[str]] = {}
    for region, state, found in rows:
        here = counts.setdefault(region, Counter())
        here[state] += 1
        here["source"] += found == "source"
        here["all"] += 1
    names = {r.pk: r.label for r in Region.objects.filter(pk__in=counts).defer("geometry")}
    table = [
        {
            "code": code,
            "region": names[code],
            "cells": [here[s] for s in STEPS],
            "all": here["all"],
            "source": here["source"],
        }
        for code, here in sorted(counts.items())
    ]
    return [str(FOUR_STEP.state(s).label) for s in STEPS], table


# --- sharing ---------------------------------------------------------------------------------


def shares(user: Any) -> QuerySet[Share]:
    visible = Case.objects.restrict(user, "case.view")
    return (
        Share.objects.filter(case__in=visible)
        .select_related("case", "actor")
        .prefetch_related("answers")
    )


def shares_panel(user: Any, case: Case) -> dict[str, Any] | None:
    """What the page of a case shows the bureau of its neighbours; None for nothing."""
    if not may(user, "campaign.view"):
        return None
    rows = list(case.shares.prefetch_related("answers"))
    share = may(user, "campaign.share") and case.issued is not None
    if not rows and not share:
        return None
    return {
        "template": "campaigns/shares_panel.html",
        "shares": rows,
        "may_share": share,
        "now": timezone.now(),
    }


def answers(made: Share) -> QuerySet[Answer]:
    """What came by this link, with the files that came with it."""
    return made.answers.prefetch_related("event__files")


def shared(token: str) -> Share | None:
    """The share behind a link that is in force; None for any other."""
    return (
        Share.objects.filter(digest=hashed(token), revoked__isnull=True, expires__gt=timezone.now())
        .select_related("case__enterprise", "case__region")
        .first()
    )


def matter_choices() -> list[tuple[str, str]]:
    language = get_language() or "zh-hans"
    return [(m, matters.name(m, language)) for m in matters.table()]
