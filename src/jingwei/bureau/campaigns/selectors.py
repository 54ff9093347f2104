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
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import CITY_WIDE, may
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.campaigns.course import CAMPAIGN, matter_choices
from jingwei.bureau.campaigns.models import (
    Answer,
    Change,
    Item,
    Programme,
    Recommendation,
    Share,
)
from jingwei.bureau.campaigns.services import hashed
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.cases.models import Case, CaseQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import told
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import Region
from jingwei.standards import causes as coded
from jingwei.standards import matters

STRETCHES = {"before": _("Before"), "during": _("During"), "after": _("After")}
SIDES = {
    "inside": _("In the campaign’s scope"),
    "outside": _("Other regions, same days"),
}


def programmes(user: Any, kind: str = "") -> QuerySet[Programme]:
    rows = Programme.objects.restrict(user, "campaign.view").select_related("lead")
    rows = rows.annotate(
        total=Count("items", distinct=True),
        cleared=Count("items", filter=Q(items__case__closed__isnull=False), distinct=True),
    )
    return rows.filter(kind=kind) if kind else rows


def periods(first: date, last: date) -> list[tuple[frozenset[str], date, date]]:
    """Campaigns of any of these days: their regions (empty: the city), first and last day."""
    rows = Programme.objects.filter(
        kind=Programme.Kind.CAMPAIGN, begins__lte=last, ends__gte=first
    ).prefetch_related("regions")
    return sorted(
        (
            (frozenset(r.pk for r in p.regions.all()), p.begins, p.last_day)
            for p in rows
            if p.last_day >= max(p.begins, first)
        ),
        key=lambda one: (one[1], one[2], sorted(one[0])),
    )


def own_cases(user: Any, programme: Programme) -> CaseQuerySet:
    """The cases of a programme that the user may see: a list's items, or what a campaign opened."""
    rows = cases.cases(user)
    if programme.kind == Programme.Kind.LIST:
        return rows.filter(list_item__programme=programme)
    return in_scope(rows, programme, programme.begins, programme.last_day)


def in_scope(rows: Any, programme: Programme, first: date, last: date) -> Any:
    """Cases opened from `first` to `last` in the campaign's regions and matters, and inspections
    that were planned for it."""
    regions = list(programme.regions.values_list("pk", flat=True))
    rows = rows.filter(
        opened__gte=local_midnight(first), opened__lt=local_midnight(last + timedelta(days=1))
    )
    scope = Q()
    if regions:
        scope &= Q(region__in=regions)
    if programme.matters:
        scope &= Q(matter__in=_kinds(programme))
    return rows.filter(scope | Q(mission__programme=programme)) if scope else rows


def inspections(user: Any, programme: Programme) -> list[Case]:
    """The inspections that were planned for a campaign, those to come first."""
    rows = cases.cases(user).filter(mission__programme=programme).order_by("closed", "-pk")
    return sorted(rows, key=lambda case: bool(case.issued))


def _kinds(programme: Programme) -> set[str]:
    return set().union(*(matters.kinds(m) | {m} for m in programme.matters))


def local_midnight(day: date) -> datetime:
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
            progress.cleared += case.closed is not None  # being looked back at, too
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
    if department.isdecimal() and len(department) < 10:
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
        if sign.isdecimal() and sign.isascii():
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


# --- what happened to a programme --------------------------------------------------------------


def happened(programme: Programme) -> list[dict[str, Any]]:
    """Its course (`course.CAMPAIGN`), the latest first, as the evidence log has it: at, label, who,
    entry, and of what has a row its text, `rows` (label, was, is) and names of members."""
    told_of = Q(kind="campaign", subject=f"campaign:{programme.pk}")
    entries = EvidenceEntry.objects.filter(Q(pk=programme.evidence_id) | told_of).order_by("-pk")
    steps = [(entry, told(entry)["act"]) for entry in entries]
    own = [(entry, act) for entry, act in steps if act == "begin" or CAMPAIGN.transition(act)]
    rows = {row.evidence_id: row for row in programme.changes.all()}
    wanted = {m for row in rows.values() for m in row.data.get("members", ())}
    wanted |= {int(entry.actor) for entry, _act in own if entry.actor.isdecimal()}
    people = User.objects.in_bulk(wanted)
    found = []
    for entry, act in own:
        row = rows.get(entry.pk)
        named = [str(people[m]) for m in row.data.get("members", ()) if m in people] if row else []
        found.append(
            {
                "at": entry.created,
                "label": CAMPAIGN.label_of(act),
                "who": people.get(int(entry.actor)) if entry.actor.isdecimal() else None,
                "entry": entry,
                "over": act == "call_off",
                "text": row.text if row else "",
                "rows": _rows(row) if row else [],
                "team": row.data.get("name", "") if row else "",
                "members": named,
            }
        )
    return found


def _rows(change: Change) -> list[tuple[Any, str, str]]:
    """What was otherwise before: (label, was, is)."""
    amend = CAMPAIGN.transition("amend")
    labels = {f.name: f.label for f in amend.fields} if amend else {}
    labels["text"] = labels["plan"]
    return [
        (labels[name], _said(name, was), _said(name, is_))
        for name, (was, is_) in change.changes.items()
    ]


def _said(name: str, value: Any) -> str:
    """A value of the plan as the page says it."""
    if name == "regions":
        known = Region.objects.filter(pk__in=value).defer("geometry")
        return "、".join(r.label for r in known) or str(_("The whole city"))
    if name == "matters":
        names = dict(matter_choices())
        return "、".join(names.get(m, m) for m in value) or str(_("All matters"))
    if name == "lead":
        lead = Department.objects.filter(code=value).first()
        return department_label(lead) if lead else value
    return str(value) or "—"


# --- campaigns -------------------------------------------------------------------------------


def figures(user: Any, programme: Programme, last: date | None = None) -> dict[str, int]:
    """A campaign's figures up to the end of a day: cases opened, closed, overdue, by flow."""
    last = last or programme.last_day
    rows = list(in_scope(cases.cases(user), programme, programme.begins, last))
    until = local_midnight(last + timedelta(days=1))
    closed = [c for c in rows if c.closed and c.closed < until]
    regions = list(programme.regions.values_list("pk", flat=True))
    found = Finding.objects.restrict(user, "finding.view").filter(
        began__gte=local_midnight(programme.begins), began__lt=until
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


def shown_evaluation(programme: Programme) -> dict[str, Any] | None:
    """The latest evaluation as its page shows it: a table a side and factor, cells by stretch."""
    row = programme.evaluations.select_related("actor").first()
    if row is None:
        return None
    figures = row.figures
    names = [s["name"] for s in figures["stretches"]]
    empty = dict.fromkeys(("points", "received", "valid", "mean", "p95", "exceeded", "per_1000"))
    return {
        "row": row,
        "stretches": [
            {
                "label": STRETCHES[s["name"]],
                "first": date.fromisoformat(s["first"]),
                "last": date.fromisoformat(s["last"]),
            }
            for s in figures["stretches"]
        ],
        "compared": "outside" in figures["sides"],
        "over": "after" in names,
        "sides": [
            {
                "label": SIDES[side],
                "cells": [{"stretch": STRETCHES[n], **cells[n]} for n in names],
            }
            for side, cells in figures["sides"].items()
        ],
        "rows": [
            {
                "side": SIDES[r["side"]],
                "inside": r["side"] == "inside",
                "factor": factor_name(r["factor"]),
                "ambient": r["kind"] != "source",
                "unit": r["unit"],
                "converted": r["converted"],
                "change": _change(r["cells"]),
                "cells": [
                    {"stretch": STRETCHES[n], **empty, **r["cells"].get(n, {})} for n in names
                ],
            }
            for r in figures["rows"]
        ],
    }


def _change(cells: dict[str, Any]) -> float | None:
    """How the mean changed from before to after the campaign, or to its days where those are all
    there are yet, in per cent."""
    before = cells.get("before", {}).get("mean")
    since = cells.get("after", cells.get("during", {})).get("mean")
    return round(100 * (since - before) / before, 1) if before and since is not None else None


@dataclass
class Recurring:
    """A coded cause and the closed cases that name it."""

    code: str
    cases: list[Case]

    @property
    def count(self) -> int:
        return len(self.cases)

    @property
    def name(self) -> str:
        return coded.name(self.code, get_language() or "zh-hans")


def causes(user: Any, programme: Programme) -> list[Recurring]:
    """Causes of the programme's closed cases by their code, the most frequent first.

    Cases without one (of before the list, or of flows that do not ask) are left out.
    """
    found: dict[str, list[Case]] = {}
    for case in own_cases(user, programme).filter(closed__isnull=False).order_by("pk"):
        if code := case.detail.get("cause_code"):
            found.setdefault(code, []).append(case)
    return sorted((Recurring(c, rows) for c, rows in found.items()), key=lambda r: -r.count)


def proposals(found: list[Recurring], programme: Programme) -> list[dict[str, Any]]:
    """What recurring causes propose: a measure from the list (`standards.causes`) where as many
    closed cases name the cause as it wants; who does it is who led most of them, to begin with."""
    language = get_language() or "zh-hans"
    made = set(
        programme.recommendations.filter(withdrawn__isnull=True).values_list("cause", flat=True)
    )
    found_ = []
    for recurring in found:
        cause = coded.table().get(recurring.code)
        if cause is None or recurring.count < cause.least or recurring.code in made:
            continue
        leads = Counter(case.department_id for case in recurring.cases)
        found_.append(
            {
                "cause": recurring,
                "least": cause.least,
                "days": cause.days,
                "who": coded.said(cause.who, language),
                "initial": {
                    "cause": recurring.code,
                    "measure": coded.said(cause.measure, language),
                    "department": leads.most_common(1)[0][0],
                    "due": timezone.localdate() + timedelta(days=cause.days),
                },
            }
        )
    return found_


def recommendations(programme: Programme) -> list[Recommendation]:
    """Those that stand, with the `name` of their cause."""
    rows = list(
        programme.recommendations.filter(withdrawn__isnull=True).select_related(
            "department", "actor", "evidence"
        )
    )
    for row in rows:
        row.name = coded.name(row.cause, get_language() or "zh-hans")
        row.who = department_label(row.department)
    return rows


# --- four steps ------------------------------------------------------------------------------

STEPS = ("pushed", "investigating", "rectifying", "watching", "followup", "closed")


def four_steps(user: Any, first: date, last: date) -> tuple[list[str], list[dict[str, Any]]]:
    """Cases of four-step supervision by region and state, opened from `first` to `last`."""
    from jingwei.bureau.campaigns.flows import FOUR_STEP

    rows = (
        Case.objects.restrict(user, "case.view")
        .filter(
            flow="four_step",
            opened__gte=local_midnight(first),
            opened__lt=local_midnight(last + timedelta(days=1)),
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
