"""How often the rules of this room fired in the last 90 days, for the page of rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, IntegerField, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce
from django.urls import reverse
from django.utils import timezone

from jingwei.analysis.incineration import COUNT_BELOW
from jingwei.bureau.access import may
from jingwei.bureau.monitoring.models import (
    EmissionDay,
    Exceedance,
    FurnaceDay,
    Inquiry,
    OrderProposal,
)
from jingwei.bureau.monitoring.services import local_day
from jingwei.bureau.registry.fired import SINCE_DAYS, Fired
from jingwei.bureau.registry.models import Enterprise

FILLED = ("S-75-inv90", "S-75-inv75", "S-356")


def counts(user: Any) -> dict[str, Fired]:
    """Exceedances, substituted hours, proposed orders that the user may see."""
    now = timezone.now()
    since = now - timedelta(days=SINCE_DAYS)
    day = local_day(since)
    over = Exceedance.objects.restrict(user, "point.view").filter(withdrawn="", time__gte=since)
    furnace = {"point__outlet__enterprise__industry": Enterprise.Industry.INCINERATION}
    water = {"point__outlet__medium": "water"}
    listed = reverse("monitoring:exceedances") + f"?since={day}&period="
    found = {
        "A18-6": Fired(over.filter(period="hour").count(), listed + "hour"),
        "A18-8": Fired(over.filter(period="day").exclude(**water).count(), listed + "day"),
        "A18-10": Fired(over.filter(period="day", **water).count(), listed + "day"),
        "O10-6": Fired(over.filter(period="day", **furnace).count(), listed + "day"),
    }
    days = EmissionDay.objects.restrict(user, "enterprise.view").filter(day__gte=day)
    sums = days.exclude(rules={}).aggregate(
        **{
            key.replace("-", "_"): Coalesce(
                Sum(Cast(KeyTextTransform(key, "rules"), IntegerField())), 0
            )
            for key in FILLED
        }
    )
    totals = reverse("monitoring:totals")
    found |= {key: Fired(sums[key.replace("-", "_")], totals) for key in FILLED}
    cold = FurnaceDay.objects.restrict(user, "point.view").filter(day__gte=day)
    asked = Inquiry.objects.restrict(user, "point.view").filter(time__gte=since, void=False)
    furnaces = reverse("monitoring:furnaces")
    found["O10-11"] = Fired(cold.filter(below__gt=COUNT_BELOW).count(), furnaces)
    found["M19-5.2"] = Fired(asked.exclude(ordered=None).count(), furnaces)
    if may(user, "trigger.view"):
        rows = OrderProposal.objects.restrict(user, "trigger.view").filter(triggered__gte=since)
        numbers = dict(rows.order_by().values_list("code").annotate(Count("pk")))
        address = reverse("monitoring:proposals")
        found |= {f"T-{code}": Fired(n, f"{address}?rule={code}") for code, n in numbers.items()}
    return found
