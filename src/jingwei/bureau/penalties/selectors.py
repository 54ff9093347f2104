"""Everything that reads penalties, always through `restrict(user)`; the public list shows decisions
that were published, and of them nothing but what `acts.facts_of_decision` names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role
from jingwei.bureau.cases import selectors as cases_selectors
from jingwei.bureau.cases.models import Case, CaseQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.selectors import asked, day
from jingwei.bureau.language import english
from jingwei.bureau.penalties import acts, proposal
from jingwei.bureau.penalties.guards import fined
from jingwei.bureau.rows import beyond
from jingwei.standards import discretion, law

SIMILAR = 5


def penalties(user: Any) -> CaseQuerySet:
    """The penalties the user may see."""
    return cases_selectors.cases(user).filter(flow="penalty")


def search(user: Any, query: Any) -> CaseQuerySet:
    """The list by its URL: `state` (a state, "open", or "unpublished"), `offence`, `region`, `q`
    (title, number, enterprise), `from`, `to` (days of filing), `sort`."""
    rows = penalties(user)
    state, offence, region, text = (asked(query, n) for n in ("state", "offence", "region", "q"))
    if state == "open":
        rows = rows.filter(closed__isnull=True)
    elif state == "unpublished":
        rows = rows.filter(
            state__in=("decided", "served", "enforcing", "paid"), detail__published__isnull=True
        )
    elif state:
        rows = rows.filter(state=state)
    if offence:
        rows = rows.filter(detail__offence=offence)
    if region:
        rows = rows.filter(region=region)
    if text:
        rows = rows.filter(
            Q(title__icontains=text)
            | Q(number__icontains=text)
            | Q(enterprise__name__icontains=text)
            | Q(enterprise__former_names__icontains=text)
        )
    for name, lookup in (("from", "opened__date__gte"), ("to", "opened__date__lte")):
        limit = day(query, name)
        if limit:
            rows = rows.filter(**{lookup: limit})
    orders = {"clock": ("clock", "pk"), "opened": ("-opened", "-pk"), "number": ("-number", "-pk")}
    return rows.order_by(*orders.get(asked(query, "sort"), orders["opened"]))


def row(case: Case, now: datetime) -> dict[str, Any]:
    """What a list says of a penalty; amounts in yuan, None where there is none yet."""
    detail = case.detail
    decision, told = detail.get("decision"), detail.get("proposal")
    amount = (decision or told or {}).get("amount")
    owed = (
        acts.owed(case, proposal.local_day(now))
        if detail.get("payment") and case.state not in ("revoked",)
        else None
    )
    return {
        "case": case,
        "offence": offence_name(detail["offence"]),
        "amount": Decimal(amount) if amount else None,
        "decided": bool(decision),
        "owed": owed,
        "published": parse_datetime((detail.get("published") or {}).get("at", "")),
        "publish_by": parse_datetime((decision or {}).get("publish_by", "")),
        "late": bool(decision)
        and not detail.get("published")
        and case.state != "revoked"
        and datetime.fromisoformat(decision["publish_by"]) < now,
    }


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the rows of a list: number, decided, yuan decided, yuan paid, late publications."""
    decided = [r for r in rows if r["decided"] and r["case"].state != "revoked"]
    return {
        "count": len(rows),
        "decided": len(decided),
        "amount": sum((r["amount"] for r in decided), Decimal(0)),
        "paid": sum((r["owed"]["paid"] for r in decided if r["owed"]), Decimal(0)),
        "late": sum(r["late"] for r in rows),
    }


def offence_name(key: str) -> str:
    zh, en = law.offences().get(key, (key, key))
    return en if english() else zh


def published(query: Any) -> QuerySet[Case]:
    """The cases whose decisions are published, newest first, by `q` (number, enterprise) and
    `offence`."""
    rows = (
        Case.objects.filter(flow="penalty", detail__published__entry__isnull=False)
        .exclude(state="revoked")
        .select_related("enterprise", "region")
        .defer("region__geometry")
        .order_by("-pk")
    )
    text, offence = asked(query, "q"), asked(query, "offence")
    if text:
        rows = rows.filter(Q(enterprise__name__icontains=text) | Q(number__icontains=text))
    return rows.filter(detail__offence=offence) if offence else rows


def public_rows(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """The facts of published decisions, each with its entry of the log."""
    found = list(cases)
    entries = EvidenceEntry.objects.in_bulk([case.detail["published"]["entry"] for case in found])
    return [
        {
            **acts.facts_of_decision(case),
            "offence": offence_name(case.detail["offence"]),
            "basis": case.detail["proposal"]["cite_en" if english() else "cite_zh"],
            "amount": Decimal(case.detail["decision"]["amount"]),
            "decided": parse_datetime(case.detail["decision"]["at"]),
            "published": parse_datetime(case.detail["published"]["at"]),
            "region": case.region.label,
            "entry": entries.get(case.detail["published"]["entry"]),
        }
        for case in found
    ]


# --- evidence ---------------------------------------------------------------------------------


def chain(case: Case) -> list[Case]:
    """The case and those it came from, the oldest first."""
    found = [case]
    while found[-1].parent is not None and len(found) < 10:
        found.append(found[-1].parent)
    return found[::-1]


def exhibits(case: Case) -> list[dict[str, Any]]:
    """The evidence as it stands: every log entry of the case and of those it came from, of their
    findings and of the exceedances behind these. `sha256` is of the leaf's bytes."""
    found: dict[int, EvidenceEntry] = {}
    for link in chain(case):
        for finding in link.findings.all():
            found |= {
                e.pk: e for e in EvidenceEntry.objects.filter(subject=f"finding:{finding.pk}")
            }
            for exceedance in finding.exceedances.select_related("evidence"):
                if exceedance.evidence:
                    found[exceedance.evidence.pk] = exceedance.evidence
        for event in link.events.select_related("evidence"):
            found[event.evidence.pk] = event.evidence
    return [
        {
            "entry": entry.pk,
            "kind": entry.kind,
            "subject": entry.subject,
            "time": entry.created.isoformat(),
            "sha256": hashlib.sha256(entry.content.encode()).hexdigest(),
        }
        for _pk, entry in sorted(found.items())
    ]


@beyond()
def similar(case: Case, user: Any) -> list[dict[str, Any]]:
    """Decided penalties for the same offence, the nearest in excess first: published ones, and
    those the user may see."""
    mine = _highest(case) or Decimal(0)
    others = list(
        Case.objects.filter(
            flow="penalty", detail__offence=case.detail["offence"], detail__decision__isnull=False
        )
        .exclude(pk=case.pk)
        .exclude(state="revoked")
        .select_related("enterprise")
        .order_by("-pk")[:200]
    )
    seen = set(penalties(user).filter(pk__in=[o.pk for o in others]).values_list("pk", flat=True))
    rows = []
    for other in others:
        if other.pk not in seen and not other.detail.get("published"):
            continue
        multiple = _highest(other)
        rows.append(
            {
                "case": other,
                "link": other.pk in seen,
                "multiple": multiple,
                "amount": Decimal(other.detail["decision"]["amount"]),
                "at": parse_datetime(other.detail["decision"]["at"]),
                "far": abs((multiple or Decimal(0)) - mine),
            }
        )
    return sorted(rows, key=lambda r: r["far"])[:SIMILAR]


def _highest(case: Case) -> Decimal | None:
    return max((multiple for multiple, _special in proposal.excesses(case)), default=None)


# --- the panel on the case's page -------------------------------------------------------------


def panel(case: Case, user: Any) -> dict[str, Any]:
    """What the panel shows. The party sees facts, basis and computation from the notice on; what
    other tables would give and how others were decided is for the bureau."""
    detail, now = case.detail, timezone.now()
    outside = user.role == Role.ENTERPRISE and not user.is_superuser
    told = detail.get("proposal") or {}
    found = proposal.bases(case, now)
    basis = acts.basis_of(case) if told.get("kind") == "fine" else None
    sheet = discretion.sheets().get(told.get("sheet", ""))
    preview = None
    follows = fined(case) is not None  # its amount comes from days, not from tables
    if not told and found and not outside and not follows:
        basis = found[0].penalty
        sheet = proposal.sheet(case, basis)
        preview = computed_now(case, {})
    return {
        "penalty": detail,
        "offence": offence_name(detail["offence"]),
        "bases": found,
        "basis": basis,
        "milder": (told.get("why") or (found[0].why if found else "")) == "milder",
        "sheet": sheet,
        "sheet_title": _titles(sheet),
        "foreign": sheet is not None and not case.region_id.startswith(sheet.table.area),
        "computed": shown(told["computed"]) if told.get("computed") else preview,
        "is_preview": preview is not None,
        "proposed": Decimal(told["amount"]) if told.get("amount") else None,
        "decided_amount": Decimal(detail["decision"]["amount"]) if detail.get("decision") else None,
        "ground": next((m for m in discretion.minor() if m.key == told.get("ground")), None),
        "exhibits": told.get("exhibits") or [],
        "leaves": _leaves(told.get("exhibits") or []),
        "comparison": []
        if outside or not found or follows
        else proposal.comparison(case, found[0], sheet),
        "similar": [] if outside else similar(case, user),
        "owed": acts.owed(case, proposal.local_day(now)) if detail.get("payment") else None,
        "outside": outside,
        "english": english(),
        "periods": _periods(detail),
        "may_fit": proposal.minor(case) if not outside and case.state == "investigating" else None,
        "minor": []
        if outside or case.state != "investigating"
        else [m for m in discretion.minor() if m.offence in ("*", detail["offence"])],
    }


def computed_now(case: Case, query: Any) -> dict[str, Any] | None:
    """What the table gives for the choices of a form that has not been sent (`grades_…`,
    `circumstances`, `share`), or for the facts as measured; an `error` where they do not fit."""
    found = proposal.bases(case, timezone.now())
    sheet = proposal.sheet(case, found[0].penalty) if found else None
    if sheet is None:
        return None
    grades = proposal.suggested(case, sheet)
    for key in grades:
        told = asked(query, f"grades_{key}")
        if told.isdecimal() and len(told) < 4:
            grades[key] = int(told)
    chosen = query.getlist("circumstances") if hasattr(query, "getlist") else []
    try:
        share = Decimal(asked(query, "share") or "NaN")
        result = proposal.compute(
            case, found[0], sheet, grades, chosen, share if share.is_finite() else None
        )
    except (ValueError, ArithmeticError) as error:
        return {"error": str(error)}
    return shown(result.to_json())


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """A stored computation in the reader's language."""
    return {
        **result,
        "amount": Decimal(result["amount"]),
        "steps": [
            {**step, "text": step["en"] if english() else step["zh"]} for step in result["steps"]
        ],
    }


def _titles(sheet: discretion.Sheet | None) -> dict[str, Any]:
    if sheet is None:
        return {}
    return {
        "table": sheet.table.title_en if english() else sheet.table.title_zh,
        "number": sheet.table.number,
        "issuer": sheet.table.issuer_en if english() else sheet.table.issuer_zh,
        "sheet": sheet.title_en if english() else sheet.title_zh,
        "until": sheet.table.until,
        "source": sheet.table.source.partition(": ")[0],
    }


def _leaves(exhibits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The exhibits by kind, with their leaf numbers."""
    rows = EvidenceEntry.objects.in_bulk([e["entry"] for e in exhibits])
    groups: dict[str, list[EvidenceEntry]] = {}
    for exhibit in exhibits:
        entry = rows.get(exhibit["entry"])
        if entry is not None:
            groups.setdefault(entry.kind, []).append(entry)
    return [{"label": entries[0].kind_label, "entries": entries} for entries in groups.values()]


def _periods(detail: dict[str, Any]) -> list[dict[str, Any]]:
    """The periods beside the kernel's clocks, each with its end and how it was reckoned."""
    language = "en" if english() else "zh"
    found = []
    for label, part, key, derivation in (
        (_("Statement and hearing until"), detail.get("notice"), "until", "derivation"),
        (_("To be published by"), detail.get("decision"), "publish_by", "publish_derivation"),
        (_("Court at the earliest"), detail.get("urged"), "until", "derivation"),
    ):
        if part:
            found.append(
                {
                    "label": label,
                    "until": parse_datetime(part[key]),
                    "text": part[derivation][language],
                }
            )
    return found
