"""Listed supervision (挂牌督办): when it is proposed, and why.

The rules are data and are shown with every proposal. Their numbers are this program's own
defaults, not those of a regulation: the ministry's measures on listed supervision name the kinds
of cases and leave numbers to the authority. A rule proposes; a leader decides with reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.cases.flow import ESCALATE, Text

if TYPE_CHECKING:
    from jingwei.bureau.cases.models import Case


@dataclass(frozen=True)
class Rule:
    """`least` of what `counts` counts, within `days` before now (0: whenever)."""

    counts: str
    least: int
    days: int
    label: Text


RULES = (
    Rule("orders", 3, 365, gettext_lazy("orders to the enterprise in 12 months")),
    Rule("rejections", 2, 0, gettext_lazy("verifications of this order that failed")),
    Rule("overdue", 1, 0, gettext_lazy("times this order's own deadline was missed by two days")),
)


def count(case: Case, rule: Rule, now: datetime) -> int:
    """How many there are of what the rule counts."""
    if rule.counts == "orders":
        orders = type(case).objects.filter(
            flow="order", enterprise_id=case.enterprise_id, issued__isnull=False
        )
        return orders.filter(issued__gte=now - timedelta(days=rule.days)).count()
    if rule.counts == "rejections":
        return case.events.filter(transition="reject").count()
    risen = case.events.filter(transition=ESCALATE).values_list("data", flat=True)
    return sum(data["rule"] == "business" and data["level"] == 2 for data in risen)


def proposal(case: Case, now: datetime | None = None) -> list[dict[str, Any]]:
    """Every rule with what was counted: `label`, `least`, `count`, `met`."""
    now = now or timezone.now()
    found = []
    for rule in RULES:
        number = count(case, rule, now)
        found.append(
            {
                "label": rule.label,
                "least": rule.least,
                "count": number,
                "met": number >= rule.least,
            }
        )
    return found


def words(case: Case) -> str:
    """The rules that are met, as the reason that a proposal begins with."""
    met = [p for p in proposal(case) if p["met"]]
    return "；".join(
        _("%(count)s %(what)s") % {"count": p["count"], "what": p["label"]} for p in met
    )
