"""What `jingwei fsck` asks of penalties: every stored amount can be worked again from its table,
lies within the law, and is what was published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.penalties import acts
from jingwei.standards import daily, discretion


def check() -> Iterator[str]:
    """One sentence a problem."""
    for case in Case.objects.filter(flow="penalty").select_related("enterprise").iterator():
        told = case.detail.get("proposal") or {}
        if told.get("kind") == "fine":
            yield from (f"penalty {case.pk}: {problem}" for problem in _proposal(case))
        if case.detail.get("published"):
            yield from (f"penalty {case.pk}: {problem}" for problem in _published(case))


def _proposal(case: Case) -> Iterator[str]:
    told, basis = case.detail["proposal"], acts.basis_of(case)
    if told.get("daily"):
        yield from _daily(case, told)
        return
    sheet = discretion.sheets().get(told["sheet"])
    if sheet is not None and sheet.table.model == "weights":
        known = {c.key: c for c in discretion.circumstances_for(sheet, basis)}
        share = None if told["share"] is None else Decimal(told["share"])
        chosen = {
            key: share if key in known and known[key].least is not None else None
            for key in told["circumstances"]
        }
        result = discretion.compute(sheet, basis, told["grades"], chosen)
        if str(result.amount) != told["computed"]["amount"]:
            yield f"its table gives {result.amount} yuan, {told['computed']['amount']} are stored"
    lightened = any(
        c.table == "*" and c.kind == "lighter" and c.key in told["circumstances"]
        for c in discretion.circumstances()
    )
    decision = case.detail.get("decision") or told
    amount = Decimal(decision["amount"])
    if amount > basis.highest or (amount < basis.lowest and not lightened):
        yield f"{amount} yuan are outside {basis.lowest} to {basis.highest} of {basis.rule}"


def _daily(case: Case, told: dict[str, Any]) -> Iterator[str]:
    before, days = case.parent, told["daily"]
    decision = before.detail["decision"] if before else {}
    if before is None or before.pk != days["original"]:
        yield "it is not opened from the fine that it follows"
        return
    result = daily.reckon(
        case.detail["offence"],
        Decimal(decision["amount"]),
        timezone.localtime(datetime.fromisoformat(decision["at"])).date(),
        date.fromisoformat(days["served"]),
        date.fromisoformat(days["rechecked"]),
    )
    decided = (case.detail.get("decision") or told)["amount"]
    if not str(result.amount) == told["amount"] == decided:
        yield f"its days give {result.amount} yuan, {told['amount']} and {decided} are stored"


def _published(case: Case) -> Iterator[str]:
    entry = EvidenceEntry.objects.filter(pk=case.detail["published"]["entry"]).first()
    if entry is None:
        yield "the entry of its publication is gone"
        return
    if json.loads(entry.content)["content"] != acts.facts_of_decision(case):
        yield f"what was published (leaf {entry.index}) is not what was decided"
