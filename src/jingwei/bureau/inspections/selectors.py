"""Everything that reads inspections: lists, teams, the sheet of a phone, the record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone, translation
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role, may
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case, CaseQuerySet
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.inspections.flow import INSPECTION, NAME, ON_THE_SPOT
from jingwei.bureau.inspections.models import Draw, Inspector, Mission, Origin, Plan, Record
from jingwei.bureau.language import english
from jingwei.bureau.rows import beyond
from jingwei.evidence import canonical
from jingwei.standards import checklists

MIN_TEAM = 2  # law-enforcement officers on the spot (Administrative Penalty Law, art. 42)


# --- lists ---------------------------------------------------------------------------------------


def inspections(user: Any, action: str = "case.view") -> CaseQuerySet:
    """The inspections that the user may see."""
    return (
        Case.objects.restrict(user, action)
        .filter(flow=NAME)
        .select_related("enterprise", "region", "department")
        .defer("region__geometry")
    )


def search(user: Any, query: Any) -> CaseQuerySet:
    """The list by its URL: `origin`, `state`, `mine` (where the user is in the team), `q`, `draw`."""
    asked = {
        name: (query.get(name) or "").replace("\x00", "").strip()
        for name in ("origin", "state", "mine", "q", "draw")
    }
    rows = inspections(user)
    if asked["origin"]:
        rows = rows.filter(detail__origin=asked["origin"])
    if asked["draw"]:
        rows = rows.filter(detail__draw=asked["draw"])
    if asked["state"]:
        rows = rows.filter(state=asked["state"])
    if asked["q"]:
        rows = rows.filter(title__icontains=asked["q"])
    rows = rows.order_by("-pk")
    if asked["mine"]:
        rows = rows.filter(pk__in=[c.pk for c in own_open(user)])
    return rows


def closed_cases(user: Any, most: int = 20) -> list[Case]:
    """Closed cases of enterprises that nobody has looked back at yet, the newest first."""
    rows = (
        Case.objects.restrict(user, "case.view")
        .filter(closed__isnull=False, enterprise__isnull=False)
        .exclude(flow=NAME)
        .exclude(children__flow=NAME)
        .select_related("enterprise")
    )
    return list(rows.order_by("-closed")[:most])


def new_findings(user: Any, most: int = 20) -> list[Finding]:
    """Findings of enterprises that nobody has taken up yet, the newest first."""
    rows = Finding.objects.restrict(user, "finding.judge").filter(
        state=Finding.State.NEW, enterprise__isnull=False
    )
    return list(rows.select_related("enterprise").order_by("-ended")[:most])


def own_open(user: Any) -> list[Case]:
    """What the user has to do on the spot: inspections of whose team he is."""
    inspector = Inspector.objects.filter(user=user).first()
    if inspector is None:
        return []
    rows = inspections(user).filter(state__in=ON_THE_SPOT).order_by("pk")
    # A text inside a JSON list is looked for here: SQLite has no lookup for it.
    return [case for case in rows if inspector.code in case.detail.get("team", [])]


def origin_label(case: Case) -> str:
    """Why the inspection is made, in the reader's language."""
    origin = case.detail.get("origin", "")
    return str(dict(Origin.choices).get(origin, origin))


def day_of(case: Case) -> date | None:
    """The day for which it is planned."""
    return parse_date(case.detail.get("day", ""))


@dataclass(frozen=True)
class PlanLine:
    """A line of a yearly plan with what came of it."""

    item: Any
    opened: int
    done: int
    problems: int

    @property
    def late(self) -> bool:
        return self.done < self.item.count and self.item.until < timezone.localdate()


def plan_lines(user: Any, plan: Plan) -> list[PlanLine]:
    """The lines of a plan. Double random inspections count by their draw, others by kind and year."""
    rows = list(inspections(user))
    found = []
    for item in plan.items.select_related("draw"):
        if item.draw:
            mine = [c for c in rows if c.detail.get("draw") == item.draw.name]
        else:
            mine = [
                c
                for c in rows
                if c.detail.get("origin") == item.origin
                and not c.detail.get("draw")
                and timezone.localtime(c.opened).year == plan.year
            ]
        signed = [c for c in mine if "record" in c.detail]
        found.append(
            PlanLine(item, len(mine), len(signed), sum(bool(c.detail["problems"]) for c in signed))
        )
    return found


def plans(user: Any) -> QuerySet[Plan]:
    """The yearly plans."""
    return Plan.objects.all() if may(user, "draw.view") else Plan.objects.none()


@beyond()
def results(draw: Draw) -> list[dict[str, Any]]:
    """What came of the inspections of a draw: for the public, once they are published."""
    rows = (
        Case.objects.filter(flow=NAME, detail__draw=draw.name, state__in=("published", "closed"))
        .select_related("enterprise")
        .order_by("pk")
    )
    return [
        {
            "code": c.enterprise.uscc,
            "name": c.enterprise.name,
            "problems": c.detail["problems"],
            "day": timezone.localtime(parse_datetime(c.detail["started"])).date(),
            "handed": c.detail.get("handed", ""),
            "record": c.detail["record"],
        }
        for c in rows
    ]


# --- teams ---------------------------------------------------------------------------------------


def able(case: Case) -> list[Inspector]:
    """The inspectors of the pool who may do this inspection: in the jurisdiction, qualified, not
    recused."""
    recused = set(case.enterprise.recusals.values_list("inspector", flat=True))
    rows = Inspector.objects.filter(active=True, user__is_active=True)
    found = []
    for inspector in rows.select_related("user__department"):
        areas = inspector.user.areas()
        if (
            inspector.pk not in recused
            and (areas is None or case.region_id in areas)
            and inspector.user.role in (Role.DISTRICT, Role.GRID)
            and (
                not inspector.qualifications or case.enterprise.industry in inspector.qualifications
            )
        ):
            found.append(inspector)
    return found


def check_team(case: Case, codes: list[str]) -> list[str]:
    """The codes of a team, checked. Raises `Refused`."""
    codes = sorted(set(codes))
    if len(codes) < MIN_TEAM:
        raise Refused(_("At least two inspectors act on the spot."))
    if set(codes) - {i.code for i in able(case)}:
        raise Refused(_("An inspector of the team is recused, not qualified, or elsewhere."))
    return codes


def team(case: Case) -> list[Inspector]:
    """The inspectors of the team."""
    rows = Inspector.objects.filter(code__in=case.detail.get("team", []))
    return list(rows.select_related("user"))


def member(case: Case, user: Any) -> Inspector | None:
    """The user as an inspector of the team; None where he is none of it."""
    return next((i for i in team(case) if i.user_id == user.pk), None)


# --- the sheet -----------------------------------------------------------------------------------


def checklist(case: Case) -> list[checklists.Item]:
    """The items of the enterprise's industry, and behind them what the campaign checks for which
    the inspection was planned."""
    lines = case.detail.get("lines", ())
    return [*checklists.checklist(case.enterprise.industry), *checklists.of_campaign(lines)]


def proposed_team(case: Case | None) -> list[str]:
    """The codes of the team as it is; before one is set, of the campaign's teams of the place who
    may do this inspection."""
    if case is None:
        return []
    mission = Mission.objects.filter(case=case).first()
    if "team" in case.detail or mission is None:
        return list(case.detail.get("team", ()))
    teams = mission.programme.teams.filter(Q(region=None) | Q(region=case.region_id))
    named = set(teams.values_list("members", flat=True))
    return [i.code for i in able(case) if i.user_id in named]


def record_of(case: Case) -> Record | None:
    """The signed record of the case, if there is one."""
    return Record.objects.filter(case=case).first()


def sheet_digest(case: Case) -> str:
    """SHA-256 of the sheet as the phone reckons it too: canonical JSON (RFC 8785) of the case's
    number, the answers in the order of their items, the photos in that of their identifiers."""
    answers = sorted([a.item, a.value, a.note] for a in case.answers.all())
    photos = sorted([str(p.uid), p.sha256] for p in case.photos.all())
    sheet = {"case": case.pk, "answers": answers, "photos": photos}
    return hashlib.sha256(canonical.dumps(sheet)).hexdigest()


def missing(case: Case) -> list[str]:
    """Codes of items without an answer, and of problems with neither note nor photo."""
    answers = {a.item: a for a in case.answers.all()}
    pictured = set(case.photos.values_list("item", flat=True))
    found = []
    for item in checklist(case):
        answer = answers.get(item.code)
        if answer is None or (
            item.problem(answer.value) and not answer.note and item.code not in pictured
        ):
            found.append(item.code)
    return found


def sheet(case: Case, user: Any) -> dict[str, Any]:
    """What the page on the spot begins with and is told again after every sending."""
    return {
        "case": case.pk,
        "state": case.state,
        "answers": {
            a.item: {
                "value": a.value,
                "note": a.note,
                "version": a.version,
                "by": "" if a.by_id == user.pk else str(a.by),
            }
            for a in case.answers.select_related("by")
        },
        "photos": [
            {
                "uid": str(p.uid),
                "item": p.item,
                "sha256": p.sha256,
                "taken": p.taken.isoformat(),
                "url": p.get_absolute_url(),
            }
            for p in case.photos.all()
        ],
        "record": case.detail.get("record", ""),
    }


def items(case: Case) -> list[dict[str, Any]]:
    """The checklist for the page on the spot, in the reader's language."""
    return [
        {
            "code": i.code,
            "part": i.part_en if english() else i.part,
            "text": i.item_en if english() else i.item,
            "kind": i.kind,
            "unit": i.unit,
            "least": i.least,
            "most": i.most,
            "evidence": i.evidence,
            "basis": i.basis,
            "unsure": i.status == "memory" and bool(i.basis),
        }
        for i in checklist(case)
    ]


def content(case: Case, sheet: str, at: datetime) -> dict[str, Any]:
    """What the record says, without the signatures. In Chinese: it is a document of the office."""
    answers = {a.item: a for a in case.answers.all()}
    with translation.override("zh-hans"):
        return {
            "case": case.pk,
            "title": case.title,
            "origin": origin_label(case),
            "draw": case.detail.get("draw", ""),
            "enterprise": {
                "uscc": case.enterprise.uscc,
                "name": case.enterprise.name,
                "address": case.enterprise.address,
                "industry": str(case.enterprise.get_industry_display()),
            },
            "region": case.region.name,
            "department": case.department.name,
            "team": [
                {"code": i.code, "name": str(i.user), "certificate": i.certificate}
                for i in team(case)
            ],
            "started": case.detail["started"],
            "ended": at.isoformat(),
            "checklist": {"industry": case.enterprise.industry, "edition": checklists.edition()},
            "answers": [
                {
                    "code": i.code,
                    "part": i.part,
                    "item": i.item,
                    "basis": i.basis,
                    "status": i.status,
                    "kind": i.kind,
                    "value": answers[i.code].value,
                    "unit": i.unit,
                    "note": answers[i.code].note,
                    "problem": i.problem(answers[i.code].value),
                }
                for i in checklist(case)
            ],
            "photos": [
                {
                    "uid": str(p.uid),
                    "item": p.item,
                    "sha256": p.sha256,
                    "taken": p.taken.isoformat(),
                    "position": _printed(p.position),
                }
                for p in case.photos.all()
            ],
            "sheet_sha256": sheet,
        }


def _printed(position: dict[str, float] | None) -> str:
    """A position as text: longitude, latitude (WGS-84), accuracy in metres."""
    if not position:
        return ""
    return f"{position['longitude']:.6f},{position['latitude']:.6f},{round(position['accuracy'])}"


# --- the case's page -----------------------------------------------------------------------------


def goes(case: Case, user: Any) -> bool:
    """Whether the page for the spot is this person's now."""
    return member(case, user) is not None and case.state in ON_THE_SPOT


def early(case: Case) -> dict[str, bool]:
    """`before`: the inspection may begin and its planned day is still to come; `early`: it began
    before that day."""
    day, started = day_of(case), case.detail.get("started")
    begun = timezone.localdate(datetime.fromisoformat(started)) if started else None
    return {
        "before": case.state == "ready" and day is not None and timezone.localdate() < day,
        "early": begun is not None and day is not None and begun < day,
    }


def panel(case: Case, user: Any) -> dict[str, Any]:
    """What the case's page shows above its forms."""
    record = record_of(case)
    answers = record.content["answers"] if record else []
    children = Case.objects.restrict(user, "case.view").filter(parent=case)
    return {
        "team": team(case),
        "origin": origin_label(case),
        "planned_day": day_of(case),
        "mission": Mission.objects.filter(case=case).select_related("programme").first(),
        "draw": Draw.objects.filter(name=case.detail.get("draw", "")).first(),
        "record": record,
        "problems": [a for a in answers if a["problem"]],
        "children": children,
        "finding": case.detail.get("finding"),
        "handed": case.detail.get("handed", ""),
        **early(case),
        "may_open": may(user, "case.open"),
        "may_campaign": may(user, "campaign.view"),
    }


STATES = [(s.name, s.label) for s in INSPECTION.states]
