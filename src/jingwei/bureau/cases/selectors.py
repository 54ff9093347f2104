"""Everything that reads cases, always through `restrict(user)`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role, may
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import Reach, department_label
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import HAND_OVER, NOTES, Field, Flow, Transition
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.models import OUTSIDE, Case, CaseEvent, CaseQuerySet
from jingwei.bureau.cases.search import matching
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.selectors import asked, day, exceedances
from jingwei.bureau.prepared import Prepared
from jingwei.bureau.registry.models import Region
from jingwei.standards import causes

# Whose superior hears of a delay: the district of its enterprises, grids and itself (level 1).
_UNDER_DISTRICT = (Role.ENTERPRISE, Role.GRID, Role.DISTRICT)


def districts() -> QuerySet[Region]:
    """The regions that have a district centre."""
    return Region.objects.filter(
        pk__in=Department.objects.filter(kind=Department.Kind.DISTRICT).values(
            "jurisdictions__area"
        )
    ).defer("geometry")


# Asked by the forms of acts: the departments that may lead, the kinds of a case's findings.
may_lead: Prepared[Department] = Prepared(
    lambda: Department.objects.filter(
        kind__in=(Department.Kind.DISTRICT, Department.Kind.DEPARTMENT)
    )
)
kinds_in: Prepared[str] = Prepared(
    lambda case: Finding.objects.filter(cases=case).order_by().values_list("kind", flat=True)
)
# For the list of cases, which is opened most.
districts_to_choose: Prepared[Region] = Prepared(districts)


def district_of(region: str) -> Department:
    """The district centre whose jurisdiction the region is in; `Refused` where there is none."""
    found = (
        Department.objects.filter(kind=Department.Kind.DISTRICT, jurisdictions__area=region)
        .order_by("code")
        .first()
    )
    if found is None:
        raise Refused(_("No district centre is responsible for the region %s.") % region)
    return found


_centre: Prepared[Department] = Prepared(
    lambda: Department.objects.filter(kind=Department.Kind.CITY).order_by("code")[:1]
)


def centre() -> Department:
    """The city centre; `Refused` where there is none."""
    found = _centre.first()
    if found is None:
        raise Refused(_("No city centre is set up."))
    return found


def issuer() -> str:
    """In whose name papers go out: the ecology and environment bureau of the city (生态环境局),
    in Chinese as the papers are; before a city is loaded, the city centre."""
    top = Region.objects.filter(parent=None).order_by("code").values_list("name", flat=True).first()
    return f"{top}生态环境局" if top else str(centre())


def suggested_lead(case: Case) -> tuple[Department | None, str]:
    """The department that the dispatch rules name for the case's findings, and why."""
    from jingwei.bureau.findings.dispatch import propose

    finding = case.findings.order_by("pk").first()
    if finding is None:
        return None, ""
    found = propose(finding)
    return found.department, found.why


def handling(case: Case, user: Any) -> dict[str, Any]:
    """What the page of a case in handling shows above the forms: the way among departments, the
    verdict, the look-backs, and whether an order to the enterprise can be drafted from here."""
    from jingwei.bureau.cases.flows.handling import LOOKS, MOVES, VERDICTS, next_look

    moves = case.detail.get("moves", [])
    names = {
        d.pk: department_label(d)
        for d in Department.objects.filter(
            pk__in={pk for move in moves for pk in (move["from"], move["to"]) if pk}
        )
    }
    looks, code = len(case.detail.get("looks", ())), case.detail.get("cause_code")
    return {
        "moves": [
            {**move, "from": names.get(move["from"], ""), "to": names.get(move["to"], "")}
            for move in moves
        ],
        "moves_left": max(MOVES - len(moves), 0),
        "cause": causes.name(code, get_language() or "zh-hans") if code else "",
        "verdict": dict(VERDICTS).get(case.detail.get("verdict"), ""),
        "looks": [
            {"days": days, "done": n < looks, "due": next_look(case.closed, n)}
            for n, days in enumerate(LOOKS)
        ]
        if case.closed and "looks" in case.detail
        else [],
        "may_order": bool(case.enterprise_id)
        and not case.at.final
        and may(user, "case.open")
        and not case.children.filter(flow="order").exclude(state="withdrawn").exists(),
    }


def cases(user: Any, action: str = "case.view") -> CaseQuerySet:
    """The cases the user may see, with what a list shows of them."""
    return (
        Case.objects.restrict(user, action)
        .select_related("enterprise", "region", "department")
        .defer("region__geometry")
    )


def reaches(user: Any, case: Case) -> bool:
    """Whether the user may act on the case, as `restrict` says; where the own department leads it,
    without asking the database."""
    inside = user.role not in OUTSIDE and may(user, "case.act")
    if inside and case.department_id in user.department_ids():
        return True
    return Case.objects.restrict(user, "case.act").filter(pk=case.pk).exists()


def flows(user: Any) -> list[Flow]:
    """The flows of which the user may see cases."""
    outside = user.role in OUTSIDE and not user.is_superuser
    return [f for f in FLOWS.values() if not outside or user.role in f.known_to]


def may_open(user: Any, flow: Flow) -> bool:
    """Whether the user may open a case of the flow."""
    return may(user, flow.action) and user.role in flow.opening.roles


def flows_to_open(user: Any, chosen: Sequence[Finding]) -> list[Flow]:
    """The flows that begin with findings and that the user may open with these; first the one
    that fits best: an order where all are of enterprises."""
    named = bool(chosen) and all(f.enterprise_id for f in chosen)
    kinds = {f.kind for f in chosen}
    found = [
        f
        for f in FLOWS.values()
        if f.needs_findings and may_open(user, f) and (not f.kinds or kinds <= f.kinds)
    ]
    return sorted(found, key=lambda f: (f.needs_enterprise and not named, not f.needs_enterprise))


def openings(user: Any, case: Case) -> list[Flow]:
    """The flows that this user may open from this case."""
    return [
        f
        for f in FLOWS.values()
        if case.flow in f.from_flows and case.issued and may_open(user, f)
        if f.follows is None or f.follows(case)
    ]


def states(user: Any, flow: str = "") -> list[tuple[str, str]]:
    """(name, label) of the states in which the user may see cases, of one flow or all; one name
    stands once, with the labels that flows give it."""
    outside = user.role in OUTSIDE and not user.is_superuser
    names = tuple(f.name for f in flows(user) if not flow or f.name == flow)
    return _named(names, outside, get_language() or "")


@lru_cache(maxsize=100)
def _named(flows: tuple[str, ...], outside: bool, language: str) -> list[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {}
    for name in flows:
        for state in FLOWS[name].states:
            if state.issued or not outside:
                found.setdefault(state.name, {})[str(state.label)] = None
    return [(name, " / ".join(labels)) for name, labels in found.items()]


def _states(
    *,
    final: bool | None = None,
    role: str | None = None,
    lead: bool | None = None,
) -> Q:
    """States of all flows: final or not, waiting for a role (of the case's department alone or
    not)."""
    wanted = Q(pk__in=[])
    for flow in FLOWS.values():
        names = [
            s.name
            for s in flow.states
            if (final is None or s.final == final)
            and (role is None or role in s.roles)
            and (lead is None or s.lead == lead)
        ]
        if names:
            wanted |= Q(flow=flow.name, state__in=names)
    return wanted


def opened(user: Any) -> CaseQuerySet:
    """Cases under way."""
    return cases(user).filter(_states(final=False))


def overdue(user: Any, now: datetime | None = None) -> CaseQuerySet:
    """Cases whose running clock is past its time."""
    return cases(user).filter(clock__lte=now or timezone.now())


def numbered(user: Any, text: str) -> Case | None:
    """The case of a document number, or of the number in its page's address."""
    key = Q(number=text)
    if text.isascii() and text.isdecimal() and len(text) < 19:
        key |= Q(pk=int(text))
    return cases(user).filter(key).first()


def waiting_for(user: Any) -> CaseQuerySet:
    """The cases in which this user's role and jurisdiction must act now, the most urgent first.

    Delays rise: what its own people, grids and enterprises leave undone comes to the district at
    level 1, everything to the city at level 2, to its leaders at level 3.
    """
    return cases(user, "case.act").filter(_turn(user)).order_by("clock", "pk")


COUNTED = 1000  # of what waits; nobody needs to know how many more


def waiting_count(user: Any) -> int:
    """How many cases wait for the user, at most `COUNTED`: shown on every page, so it must not
    read a million rows."""
    return _waiting(Reach(user)).count()


@lru_cache(maxsize=500)
def _waiting(asking: Reach) -> Prepared[int]:
    user = asking.user
    return Prepared(
        lambda: (
            Case.objects.restrict(user, "case.act")
            .filter(_turn(user))
            .order_by()
            .values_list("pk")[:COUNTED]
        )
    )


def _turn(user: Any) -> Q:
    mine = _states(role=user.role, lead=False)
    mine |= _states(role=user.role, lead=True) & Q(department__in=user.department_ids())
    if user.role == Role.DISTRICT:
        for role in _UNDER_DISTRICT:
            mine |= _states(role=role) & Q(escalated__gte=1)
    elif user.role == Role.DISPATCHER:
        mine |= Q(escalated__gte=2)  # of no case that is over: an act that ends it sets it to 0
    elif user.role == Role.LEADER:
        mine |= Q(escalated__gte=3)
        mine |= Q(asks=Role.LEADER.value)
    if user.role in (Role.DISTRICT, Role.DEPARTMENT):
        mine |= _joint(user)
    colleagues = User.objects.filter(role=user.role, is_active=True)
    others = colleagues.exclude(pk__in=[person.pk for person in user.acts_for()])
    return mine & ~Q(holder__in=others.values("pk"))


def _joint(user: Any) -> Q:
    """Joint handling in which the user's office takes part and has not yet said what it did."""
    offices = user.department_ids()
    parties = Case.parties.through.objects.filter(department_id__in=offices)
    waits = Q(pk__in=[])
    for flow in FLOWS.values():
        for act in flow.transitions:
            if act.only == "joint":
                did = CaseEvent.objects.filter(
                    case=OuterRef("pk"), transition=act.name, department_id__in=offices
                )
                asked = Q(flow=flow.name, state__in=act.sources) & (act.asked or Q())
                waits |= asked & ~Exists(did)
    return Q(pk__in=parties.values("case_id")) & waits


def key_figures(user: Any, now: datetime | None = None) -> dict[str, Any]:
    """`open`, `overdue`: numbers of cases; `median_days`: from issue to closure, of the cases
    closed in the last 90 days (the latest 1,000); None where there was none."""
    now = now or timezone.now()
    closed = (
        Case.objects.restrict(user, "case.view")
        .filter(closed__gte=now - timedelta(days=90), issued__isnull=False)
        .order_by("-closed")
        .values_list("issued", "closed")[:1000]
    )
    days = [(end - start).total_seconds() / 86400 for start, end in closed]
    return {
        "open": opened(user).count(),
        "overdue": overdue(user, now).count(),
        "median_days": statistics.median(days) if days else None,
    }


def search(user: Any, query: Any) -> CaseQuerySet:
    """The list by its URL: `flow`, `state`, `mine`, `overdue`, `q` (title, number, enterprise), `region`,
    `from`, `to` (days of opening, Asia/Shanghai), `sort` (without it the most urgent first, of
    what is over the newest)."""
    mine = asked(query, "mine")
    rows = waiting_for(user) if mine else cases(user)
    flow, state, region, text = (asked(query, n) for n in ("flow", "state", "region", "q"))
    if flow:
        rows = rows.filter(flow=flow)
    if state == "open":
        rows = rows.filter(_states(final=False))
    elif state:
        rows = rows.filter(state=state)
    if asked(query, "overdue"):
        rows = rows.filter(clock__lte=timezone.now())
    if asked(query, "listed"):
        rows = rows.filter(listed__isnull=False)
    if region:
        rows = rows.filter(region=region)
    if text:
        rows = rows.filter(matching(text))
    for name, lookup in (("from", "opened__date__gte"), ("to", "opened__date__lte")):
        limit = day(query, name)
        if limit:
            rows = rows.filter(**{lookup: limit})
    orders = {
        "clock": ("clock", "pk"),
        "opened": ("-opened", "-pk"),
        "number": (F("number").desc(nulls_last=True), "-pk"),
    }
    over = any(s.final for f in FLOWS.values() for s in f.states if s.name == state)
    sort = asked(query, "sort") or ("opened" if over else "clock")  # the most urgent first
    return rows.order_by(*orders.get(sort, orders["clock"]))


LISTED = (
    "flow", "state", "number", "title", "due", "level_due", "paused", "escalated", "listed",
    "enterprise__name", "region__name", "region__name_en",
)  # fmt: skip


def listed(rows: CaseQuerySet) -> CaseQuerySet:
    """Only what a line of the list shows."""
    return rows.select_related(None).select_related("enterprise", "region").only(*LISTED)


def timeline(user: Any, case: Case) -> list[CaseEvent]:
    """The events of a case that the user may read, oldest first, with files, evidence, `said`:
    (label, value) of what the form asked besides its text, and `instead_of`: in whose place."""
    events = list(
        CaseEvent.objects.restrict(user, "case.view")
        .filter(case=case)
        .select_related("actor", "department", "evidence", "case")
        .prefetch_related("files")
        .order_by("seq")
    )
    departments = {d.pk: department_label(d) for d in Department.objects.all()}
    named = {
        e.data[key]
        for e in events
        for key in (("from", "to") if e.transition == HAND_OVER else ("instead_of",))
        if key in e.data
    }
    people = User.objects.in_bulk(named)
    for event in events:
        event.instead_of = people.get(event.data.get("instead_of"))
        step = case.rules.transition(event.transition)
        event.said = [
            (field.label, _spoken(field, event.data[field.name], case, departments))
            for field in (step.fields if step else ())
            if field.kind not in ("position",) and event.data.get(field.name) not in (None, "", [])
        ]
        if event.transition in NOTES:
            event.outside = event.data["authority"]
            told = ((_("Authority"), "authority"), (_("Who answers"), "name"))
            event.said = [(label, event.data[key]) for label, key in told if key in event.data]
        if event.transition == HAND_OVER:
            event.said = [
                (_(label), str(people.get(event.data[key], "")))
                for label, key in (("From", "from"), ("To", "to"))
            ]
    return events


def _spoken(field: Field, value: Any, case: Case, departments: dict[int, str]) -> str:
    """What a form said, as a reader wants it: names for keys."""
    if isinstance(value, list):
        return "、".join(_spoken(field, v, case, departments) for v in value)
    if field.kind in ("department", "departments"):
        return departments.get(value, str(value))
    if field.kind == "person":
        return str(User.objects.filter(pk=value).first() or value)
    if field.name == "region":
        return next((r.label for r in Region.objects.filter(pk=value)), str(value))
    if field.kind == "bool":
        return _("Yes") if value else _("No")
    made = field.kind(field, case) if callable(field.kind) else None
    if hasattr(made, "spoken"):  # a field of a room says what its value means
        return str(made.spoken(value))
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    choices = getattr(made, "choices", ())
    if field.choices:
        choices = field.choices(case)
    return str(dict(choices).get(value, value))


def allowed(user: Any, case: Case) -> list[Transition]:
    """The acts open to this user in this case now."""
    from jingwei.bureau.cases.services import refusal

    if not Case.objects.restrict(user, "case.act").filter(pk=case.pk).exists():
        return []
    return [
        step
        for step in case.rules.allowed(case.state, user.role)
        if refusal(user, case, step) is None
    ]


def facts(case: Case) -> list[dict[str, Any]]:
    """What the case is about: as it stood when the order was issued, before that as it is."""
    return case.facts or snapshot(case)


_exceedances: Prepared[Any] = Prepared(exceedances)
_findings: Prepared[Finding] = Prepared(
    lambda case: Finding.objects.filter(cases=case).select_related("point__outlet").order_by("pk")
)
ROWS = 100  # of one finding in one document


def snapshot(case: Case) -> list[dict[str, Any]]:
    """The case's findings as plain data, each with the hours over the limit that stand.

    At most 100 rows of a finding, those furthest over the limit; `count` says how many there are.
    """
    found = []
    for finding in _findings(case.pk):
        rows = _exceedances(finding.pk)
        kept = sorted(rows, key=lambda e: -(e.multiple or 0))[:ROWS]
        kept.sort(key=lambda e: (e.time, e.factor))
        outlet = finding.point.outlet if finding.point else None
        found.append(
            {
                "finding": finding.pk,
                "title": finding.title,
                "point": finding.point.key if finding.point else "",
                "outlet": str(outlet) if outlet else "",
                "began": finding.began.astimezone(UTC).isoformat(),
                "ended": finding.ended.astimezone(UTC).isoformat(),
                "count": len(rows),
                "rows": [
                    {
                        "time": e.time.astimezone(UTC).isoformat(),
                        "period": e.period,
                        "factor": e.factor,
                        "reported": e.reported["value"],
                        "o2": e.reported["o2"],
                        "reference_o2": e.limit.reference_o2,
                        "value": e.value,
                        "limit": e.limit_value,
                        "multiple": e.multiple,
                        "unit": e.unit,
                        "source": e.limit.source,
                        "verified": e.limit.verified,
                    }
                    for e in kept
                ],
            }
        )
    return found


def last_event(case: Case, *transitions: str) -> CaseEvent | None:
    """The latest event of these kinds."""
    return (
        case.events.filter(transition__in=transitions)
        .select_related("evidence")
        .order_by("-seq")
        .first()
    )


def published(query: Any) -> QuerySet[Case]:
    """The published orders, for everybody, the latest first, by `region` and `q` (number, what
    was written for the public). Show of them what `public` says, and nothing else."""
    rows = (
        Case.objects.filter(flow="order", published__isnull=False)
        .select_related("region", "enterprise")
        .defer("region__geometry")
        .order_by("-published", "-pk")
    )
    region, text = asked(query, "region"), asked(query, "q")
    if region:
        rows = rows.filter(region=region)
    if text:
        rows = rows.filter(Q(detail__public__summary__icontains=text) | Q(number__icontains=text))
    return rows


def public(case: Case) -> dict[str, Any]:
    """What everybody may know of a published order."""
    from jingwei.bureau.cases.flows.order import conclusion

    told = case.detail["public"]
    parts = told["parts"]
    return {
        "number": case.number,
        "summary": told["summary"],
        "enterprise": case.enterprise.name if "enterprise" in parts and case.enterprise else "",
        "requirement": case.text if "requirement" in parts else "",
        "result": conclusion(case) if "result" in parts else "",
        "district": case.region.label,
        "issued": case.issued,
        "due": case.due,
        "closed": case.closed,
        "published": case.published,
        "listed": case.listed,
        "state": case.state_label,
        "colour": case.at.colour,
    }


def verdicts() -> list[tuple[Finding, str, Case]]:
    """What detections turned out to be: (finding, verdict, case), for those who calibrate."""
    from jingwei.bureau.cases.flows.handling import DETECTED

    found = []
    cases_ = Case.objects.filter(flow="handling", detail__verdict__isnull=False).order_by("pk")
    for case in cases_.prefetch_related("findings"):
        verdict = case.detail.get("verdict")
        if verdict:
            found += [(f, verdict, case) for f in case.findings.all() if f.kind in DETECTED]
    return found
