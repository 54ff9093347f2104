"""How often the fines of the law were decided, for the page of rules."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jingwei.bureau.penalties.selectors import penalties
from jingwei.bureau.registry.fired import SINCE_DAYS, Fired
from jingwei.standards import catalogue, law

WHO = "enterprise"  # the party of every penalty that is kept here


def counts(user: Any) -> dict[str, Fired]:
    """Penalties decided in the last `SINCE_DAYS` days, by the fine and, where its article is a rule of
    its own, by that."""
    since = timezone.now() - timedelta(days=SINCE_DAYS)
    fines = {(p.rule, p.offence): catalogue.fine(p) for p in law.penalties() if p.who == WHO}
    found: Counter[str] = Counter()
    rows = penalties(user).exclude(state="revoked").filter(detail__has_key="decision")
    for detail in rows.values_list("detail", flat=True).iterator(chunk_size=500):
        decision = detail["decision"]
        at = parse_datetime(decision["at"])
        if at is not None and at >= since:
            found[decision["rule"]] += 1
            found[fines.get((decision["rule"], detail["offence"]), "")] += 1
    rules = {rule for rule, _ in fines} & {e.id for e in catalogue.entries()}
    address = reverse("penalties:list")
    return {id: Fired(found[id], address) for id in (*sorted(rules), *fines.values())}
