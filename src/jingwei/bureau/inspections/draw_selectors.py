"""Everything that reads draws and the pool of inspectors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.export import cell
from jingwei.bureau.inspections.models import Draw, Grade, Inspector, Unit
from jingwei.bureau.registry.models import Enterprise
from jingwei.bureau.rows import beyond
from jingwei.evidence import draw as rules

UNGRADED = "ungraded"
LISTING = "list.csv"
VERIFIER = "draw.py"
# How many per cent a stratum is proposed with, by risk: the bureau changes it on the page.
PROPOSED = {"general": 10, "key": 25, "special": 50, UNGRADED: 10}


def draws(user: Any) -> QuerySet[Draw]:
    """The draws that the user may see: drafts only for those who make them."""
    if not may(user, "draw.view"):
        return Draw.objects.none()
    rows = Draw.objects.select_related("replaces", "by").defer("plan", "result", "listing")
    return rows if may(user, "draw.manage") else published(rows)


def published(rows: QuerySet[Draw] | None = None) -> QuerySet[Draw]:
    """The draws that the public knows of: from the moment their lists are frozen."""
    rows = Draw.objects.all() if rows is None else rows
    return rows.exclude(plan_sha256="")


def inspectors(*, active: bool = True) -> list[Inspector]:
    """The pool, in the order of the codes, with people and their jurisdictions."""
    rows = Inspector.objects.select_related("user__department").prefetch_related("recusals")
    return list(rows.filter(active=True, user__is_active=True) if active else rows)


def pool(user: Any, draw: Draw) -> QuerySet[Enterprise]:
    """The enterprises that a draft draws from, by its region and industries."""
    rows = Enterprise.objects.restrict(user, "enterprise.view").select_related("grade")
    if draw.lists.get("region"):
        rows = rows.filter(region=draw.lists["region"])
    if draw.lists.get("industries"):
        rows = rows.filter(industry__in=draw.lists["industries"])
    return rows.order_by("uscc")


def stratum(enterprise: Enterprise) -> str:
    """Risk and credit as one word: `key-yellow`; `ungraded` where no grade is recorded."""
    grade = getattr(enterprise, "grade", None)
    return f"{grade.risk}-{grade.credit}" if grade else UNGRADED


def stratum_label(name: str) -> str:
    """A stratum in the reader's language."""
    if name == UNGRADED:
        return _("Not graded")
    risk, _dash, credit = name.partition("-")
    risks, credits = dict(Grade.Risk.choices), dict(Grade.Credit.choices)
    return f"{risks.get(risk, risk)} · {credits.get(credit, credit)}"


@dataclass(frozen=True)
class Stratum:
    name: str
    size: int
    percent: int
    minimum: int

    @property
    def label(self) -> str:
        return stratum_label(self.name)

    @property
    def quota(self) -> int:
        share = {"numerator": self.percent, "denominator": 100, "minimum": self.minimum}
        return rules.quota(share, self.size)


def strata(
    units: Iterable[Enterprise],
    ratios: Mapping[str, Any],
    excluded: Mapping[str, str] | None = None,
) -> list[Stratum]:
    """The strata of a list, with their ratios (proposed ones where none are set)."""
    sizes: dict[str, int] = {}
    for unit in units:
        sizes.setdefault(stratum(unit), 0)
        sizes[stratum(unit)] += unit.uscc not in (excluded or {})
    found = []
    for name in sorted(sizes):
        percent, minimum = ratios.get(name) or (PROPOSED.get(name.partition("-")[0], 10), 1)
        found.append(Stratum(name, sizes[name], percent, minimum))
    return found


# --- what is published ---------------------------------------------------------------------------


def listing(draw: Draw) -> str:
    """The list with names, tickets and results as CSV, for people to read."""
    assert draw.result is not None
    known = _known([unit["code"] for unit in draw.plan["units"]])
    reasons = {item["code"]: item["reason"] for item in draw.plan["excluded"]}
    teams = {item["code"]: " ".join(item["inspectors"]) for item in draw.result["selected"]}
    ranks = ranking(draw)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    with translation.override("zh-hans"):
        writer.writerow(
            [
                _("Unified social credit code"), _("Name"), _("District"), _("Stratum"),
                _("Excluded because"), _("Ticket"), _("Rank"), _("Drawn"), _("Inspectors"),
            ]
        )  # fmt: skip
        yes, no = _("yes"), _("no")
        for unit in draw.plan["units"]:
            code = unit["code"]
            name, region = known.get(code, ("", ""))
            row = [
                code, name, region, stratum_label(unit["stratum"]), reasons.get(code, ""),
                draw.result["tickets"].get(code, ""), ranks.get(code, ""),
                yes if code in teams else no, teams.get(code, ""),
            ]  # fmt: skip
            writer.writerow([cell(value) for value in row])
    return out.getvalue()


@beyond()
def _known(codes: list[str]) -> dict[str, tuple[str, str]]:
    """Name and district of enterprises by code."""
    found: dict[str, tuple[str, str]] = {}
    for at in range(0, len(codes), 500):
        some = Enterprise.objects.filter(uscc__in=codes[at : at + 500]).select_related("region")
        found |= {e.uscc: (e.name, e.region.name) for e in some.defer("region__geometry")}
    return found


def names(codes: list[str]) -> dict[str, str]:
    """Names of enterprises by code."""
    return {code: name for code, (name, _region) in _known(codes).items()}


def named(draw: Draw, most: int = 500) -> list[tuple[dict[str, str], str]]:
    """The units of a plan with their names, the first `most` of them."""
    units = draw.plan["units"][:most]
    known = names([u["code"] for u in units])
    return [(u, known.get(u["code"], "")) for u in units]


def quotas(draw: Draw) -> list[Stratum]:
    """The strata of a frozen plan, excluded units not counted."""
    gone = {item["code"] for item in draw.plan["excluded"]}
    sizes = dict.fromkeys((s["name"] for s in draw.plan["strata"]), 0)
    for unit in draw.plan["units"]:
        sizes[unit["stratum"]] += unit["code"] not in gone
    return [
        Stratum(s["name"], sizes[s["name"]], s["numerator"] * 100 // s["denominator"], s["minimum"])
        for s in draw.plan["strata"]
    ]


def ranking(draw: Draw) -> dict[str, int]:
    """The rank of every ticket in its stratum, the lowest first."""
    groups: dict[str, list[tuple[str, str]]] = {}
    where = {unit["code"]: unit["stratum"] for unit in draw.plan["units"]}
    for code, ticket in draw.result["tickets"].items():
        groups.setdefault(where[code], []).append((ticket, code))
    return {
        code: rank
        for group in groups.values()
        for rank, (_ticket, code) in enumerate(sorted(group), start=1)
    }


def files(draw: Draw) -> dict[str, bytes]:
    """What may be downloaded of a draw: the plan and the verifier from the freeze on, all after it."""
    found = {rules.PLAN: rules.canonical(draw.plan), VERIFIER: draw.verifier.encode()}
    if draw.result is None:
        return found
    found[rules.RESULT] = rules.canonical(draw.result)
    found[LISTING] = draw.listing.encode("utf-8-sig")
    return {**found, rules.MANIFEST: rules.manifest(draw.result, found)}


@dataclass(frozen=True)
class Ticket:
    """One enterprise in one draw, with every step of the reckoning."""

    code: str
    name: str
    stratum: str
    excluded: str
    ticket: str = ""
    rank: int = 0
    rivals: int = 0
    quota: int = 0
    last: str = ""  # the highest ticket of the stratum that was drawn
    selected: bool = False
    inspectors: tuple[str, ...] = ()

    @property
    def stratum_name(self) -> str:
        return stratum_label(self.stratum)


@beyond()
def ticket(draw: Draw, code: str) -> Ticket | None:
    """The ticket of the enterprise with this code; None where it is not on the list."""
    unit = next((u for u in draw.plan["units"] if u["code"] == code), None)
    if unit is None:
        return None
    name = Enterprise.objects.filter(uscc=code).values_list("name", flat=True).first() or ""
    reason = next((e["reason"] for e in draw.plan["excluded"] if e["code"] == code), "")
    if reason or draw.result is None or not draw.published:
        return Ticket(code, name, unit["stratum"], reason)
    members = {u["code"] for u in draw.plan["units"] if u["stratum"] == unit["stratum"]}
    tickets = sorted(t for c, t in draw.result["tickets"].items() if c in members)
    stratum_ = next(s for s in draw.plan["strata"] if s["name"] == unit["stratum"])
    quota = rules.quota(stratum_, len(tickets))
    mine = draw.result["tickets"][code]
    team = next((s["inspectors"] for s in draw.result["selected"] if s["code"] == code), None)
    return Ticket(
        code=code,
        name=name,
        stratum=unit["stratum"],
        excluded="",
        ticket=mine,
        rank=tickets.index(mine) + 1,
        rivals=len(tickets),
        quota=quota,
        last=tickets[quota - 1] if quota else "",
        selected=team is not None,
        inspectors=tuple(team or ()),
    )


def own_draws(user: Any) -> list[tuple[Draw, Ticket]]:
    """An enterprise's tickets in all draws with it on the list, the newest first."""
    units = Unit.objects.restrict(user, "draw.own").select_related("draw").order_by("-draw_id")
    pairs = [(unit.draw, ticket(unit.draw, unit.uscc)) for unit in units[:50]]
    return [(draw, found) for draw, found in pairs if found is not None]


@dataclass(frozen=True)
class SourceState:
    """A source of the seed as a page shows it."""

    index: int
    source: dict[str, Any]
    due: Any
    known: bool
    value: Any
    text: str
    checked: bool  # a drand round whose signature was verified when it was entered


def sources(draw: Draw) -> list[SourceState]:
    """The sources of a draft or a draw, what came of them, and what is still waited for."""
    from jingwei.bureau.inspections.drawing import when

    now = timezone.now()
    entered = [
        json.loads(step.evidence.content)["content"]
        for step in draw.steps.filter(act="value").select_related("evidence")
    ]
    checked = {said["source"] for said in entered if said.get("checked")}
    found = []
    for i, source in enumerate((draw.plan or {}).get("sources") or draw.sources):
        value = draw.values[i] if i < len(draw.values) else None
        text = ""
        if source["kind"] == "numbers" and value is not None:
            text = rules.numbers_field(value, ordered=source["ordered"])
        elif source["kind"] == "drand" and value is not None:
            text = value["randomness"]
        found.append(
            SourceState(i, source, when(source), when(source) <= now, value, text, i in checked)
        )
    return found


def steps(draw: Draw) -> list[Any]:
    """What was done about the draw, with the leaf numbers in the evidence log."""
    return list(draw.steps.select_related("evidence"))


def freeze_entry(draw: Draw) -> EvidenceEntry | None:
    """The entry that holds the hash of the plan."""
    step = draw.steps.filter(act="freeze").select_related("evidence").first()
    return step.evidence if step else None
