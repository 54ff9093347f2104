"""How often the rules of this room fired in the last 90 days, for the page of rules."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, IntegerField, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, TruncDate
from django.urls import reverse
from django.utils import timezone

from jingwei.analysis.incineration import COUNT_BELOW, HOURS_MAINTENANCE, Condition
from jingwei.bureau.access import may
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.monitoring import marking, stop_months
from jingwei.bureau.monitoring.models import (
    EmissionDay,
    Exceedance,
    Furnace,
    FurnaceDay,
    Inquiry,
    Mark,
    OrderProposal,
    Sample,
    TransmissionDay,
)
from jingwei.bureau.monitoring.services import local_day
from jingwei.bureau.registry.fired import SINCE_DAYS, Fired
from jingwei.bureau.registry.models import Enterprise, Point

FILLED = ("S-75-oc90", "S-75-oc75", "S-75-inv90", "S-75-inv75", "S-356")
FAULTS = {
    "A18-3": "flat",
    "A18-3.1": "negative",
    "A18-3.2": "over_range",
    "IX-clock": "clock",
    "M22-6": "mark",
    "S-75-control": "out_of_control",
    "V-air-min": "few",
}
"""Rules by the fault (`validity.names`) that they find."""
LONG_EXCEEDANCE = 3  # hours of a day, A18-7
LOW_RATE = 0.9  # P-2
_ARTICLE = {
    Condition.BAKE: "O10-10c",
    Condition.COOL: "O10-10c",
    Condition.IDLE: "O10-10d",
}


def counts(user: Any) -> dict[str, Fired]:
    """What the rules found, of what the user may see."""
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
    found["O10-12"] = Fired(cold.filter(unexcused__gt=0).count(), furnaces)
    found["M19-5.2"] = Fired(asked.exclude(ordered=None).count(), furnaces)
    found |= (
        _over(over)
        | _stopped(user, since)
        | _transmission(user, day)
        | _accounts(user, now)
        | _findings(user, since)
    )
    sampled = Sample.objects.restrict(user, "point.view").filter(withdrawn=None, taken__gte=since)
    found |= dict.fromkeys(("O10-8", "PEN-mark"), Fired(sampled.count()))
    marks = Mark.objects.restrict(user, "point.view").filter(withdrawn=None, start__gte=since)
    late = sum(not marking.timely(m, m.start) for m in marks.only("start", "at"))
    found["M22-5"] = Fired(late, reverse("monitoring:marks"))
    if may(user, "trigger.view"):
        rows = OrderProposal.objects.restrict(user, "trigger.view").filter(triggered__gte=since)
        numbers = dict(rows.order_by().values_list("code").annotate(Count("pk")))
        address = reverse("monitoring:proposals")
        found |= {f"T-{code}": Fired(n, f"{address}?rule={code}") for code, n in numbers.items()}
    return found


def _over(over: Any) -> dict[str, Fired]:
    """Days with more than three exceeding hours (not of incinerators)."""
    industry = {"point__outlet__enterprise__industry": Enterprise.Industry.INCINERATION}
    often = (
        over.filter(period="hour")
        .exclude(**industry)
        .annotate(date=TruncDate("time"))
        .order_by()
        .values("point", "date")
        .annotate(n=Count("time", distinct=True))
        .filter(n__gt=LONG_EXCEEDANCE)
    )
    return {"A18-7": Fired(often.count(), reverse("monitoring:exceedances"))}


def _stopped(user: Any, since: Any) -> dict[str, Fired]:
    """Months of furnaces whose fifth exceedance day ended since then."""
    rows = Exceedance.objects.restrict(user, "point.view")
    n = sum(m.reached >= since for m in stop_months.of(rows, local_day(since)))
    return {"O10-10a": Fired(n, reverse("monitoring:furnaces"))}


def _transmission(user: Any, day: Any) -> dict[str, Fired]:
    """Values that are not valid by fault, hours of which nothing came, days of low transmission."""
    days = TransmissionDay.objects.restrict(user, "point.view").filter(
        day__gte=day, point__kind=Point.Kind.SOURCE
    )
    faulty = days.exclude(faults={})
    sums = faulty.aggregate(
        **{
            name: Coalesce(Sum(Cast(KeyTextTransform(name, "faults"), IntegerField())), 0)
            for name in {*FAULTS.values()}
        }
    )
    water = Coalesce(Sum(Cast(KeyTextTransform("few", "faults"), IntegerField())), 0)
    few = faulty.filter(point__outlet__medium="water").aggregate(n=water)["n"]
    silent = days.aggregate(
        hours=Coalesce(Sum(F("due") - F("hours"), filter=Q(due__gt=F("hours"))), 0),
        values=Coalesce(
            Sum(F("expected") - F("received"), filter=Q(expected__gt=F("received"))), 0
        ),
    )
    low = days.filter(
        expected__gt=F("stopped"), valid__lt=LOW_RATE * (F("expected") - F("stopped"))
    )
    bulletin = reverse("monitoring:bulletin")
    return {
        **{rule: Fired(sums[name], bulletin) for rule, name in FAULTS.items()},
        "V-air-min": Fired(sums["few"] - few, bulletin),
        "V-water": Fired(few, bulletin),
        "A18-3.3": Fired(silent["hours"], bulletin),
        "A18-1": Fired(silent["values"], bulletin),
        "TR": Fired(low.count(), bulletin),
    }


def _accounts(user: Any, now: Any) -> dict[str, Fired]:
    """Exempt hours of this year by article, and furnaces over their hours of maintenance."""
    hours: Counter[str] = Counter()
    over = 0
    for furnace in (
        Furnace.objects.restrict(user, "point.view").filter(marks__withdrawn=None).distinct()
    ):
        books = marking.account(furnace, now, now)
        for condition, exempt in zip(books.condition, books.exempt, strict=True):
            if exempt:
                hours[_ARTICLE.get(condition, "O10-10b")] += 1
        over += bool((books.accounts.maintenance > HOURS_MAINTENANCE).any())
    address = reverse("monitoring:furnaces")
    return {
        "A18-4": Fired(over, address),
        **{rule: Fired(hours[rule], address) for rule in ("O10-10b", "O10-10c", "O10-10d")},
    }


def _findings(user: Any, since: Any) -> dict[str, Fired]:
    """Findings that name their rule, and those of amounts."""
    rows = Finding.objects.restrict(user, "finding.view").filter(began__gte=since)
    named = (
        rows.annotate(rule=KeyTextTransform("rule", "facts"))
        .order_by()
        .values_list("rule")
        .annotate(Count("pk"))
    )
    address = reverse("findings:list")
    counted = {"A18-3", "O10-12"}  # by their hours and days
    found = {
        rule: Fired(n, f"{address}?kind={Kind.FALSIFICATION}")
        for rule, n in named
        if rule and rule not in counted
    }
    amounts = rows.filter(episode__startswith="amount/").count()
    return found | {"IX-amount": Fired(amounts, reverse("monitoring:amounts"))}
