"""How often the rules of this room fired in the last 90 days, for the page of rules."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
from django.db.models import Count, F, IntegerField, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, TruncDate
from django.urls import reverse
from django.utils import timezone

from jingwei.analysis import incineration
from jingwei.analysis.detection.texts import DETECTORS
from jingwei.analysis.incineration import COUNT_BELOW, HOURS_MAINTENANCE, Condition
from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.retention import KIND as PRUNED
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.monitoring import furnaces, marking, stop_months
from jingwei.bureau.monitoring.detecting_plain import RULES
from jingwei.bureau.monitoring.detection_models import Detected
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
from jingwei.bureau.monitoring.observations import seconds
from jingwei.bureau.monitoring.services import local_day
from jingwei.bureau.registry.fired import SINCE_DAYS, Fired
from jingwei.bureau.registry.models import Enterprise, Point
from jingwei.standards import catalogue

Sort = Mark.Sort
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
NOTHING = incineration.Readings([], np.empty(0), np.empty(0))
"""No readings: of marks their order and length alone are looked at."""
NAMED = ("A18-13", "A18-16")
"""Rules that their findings name, and that are counted by them."""
UNTREATED = ("A18-18", "power_off", "power_late", "power_early", "power_weak")
"""Detectors of production with power while the treatment has none or too little."""
LONG_EXCEEDANCE = 3  # hours of a day, A18-7
LOW_RATE = 0.9  # P-2
CLAUSES = {
    Sort.BAKE: "M19-4.1-烘炉",
    Sort.START: "M19-4.1-启炉",
    Sort.STOP: "M19-4.1-停炉",
    Sort.COOL: "M19-4.1-停炉降温",
    Sort.IDLE: "M19-4.1-停运",
    Sort.FAULT: "M19-4.1-故障",
    Sort.ACCIDENT: "M19-4.1-事故",
    Sort.MAINTENANCE: "M19-4.2-CEMS维护",
    Sort.NO_LINK: "M19-4.2-通讯中断",
    Sort.TEMPERATURE: "M19-4.2-炉温异常",
    Sort.THERMOCOUPLE: "M19-4.2-热电偶故障",
}
"""Clauses of Announcement 2019-50 by the mark that they define."""
_ARTICLE = {
    Condition.BAKE: "O10-10c",
    Condition.COOL: "O10-10c",
    Condition.IDLE: "O10-10d",
}


def counts(user: Any) -> dict[str, Fired]:
    """What the rules found, of what the user may see.

    What is counted of each, and why of some nothing is: `standards/data/rules_fired.csv`.
    """
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
    books = reverse("monitoring:furnaces")
    heat = cold.aggregate(
        means=Coalesce(Sum("periods"), 0), below=Coalesce(Sum(F("below") + F("marked")), 0)
    )
    found["M19-3.4"] = Fired(heat["means"], books)
    found["O10-7"] = Fired(heat["below"], books)
    found["O10-11"] = Fired(cold.filter(below__gt=COUNT_BELOW).count(), books)
    found["O10-12"] = Fired(cold.filter(unexcused__gt=0).count(), books)
    found["M19-5.2"] = Fired(asked.exclude(ordered=None).count(), books)
    found |= _over(over) | _stopped(user, since) | _transmission(user, day)
    found |= _findings(user, since)
    found |= _accounts(user, since, now) | _marks(user, since)
    sampled = Sample.objects.restrict(user, "point.view").filter(withdrawn=None, taken__gte=since)
    found |= dict.fromkeys(("O10-8", "PEN-mark"), Fired(sampled.count()))
    if may(user, "trigger.view"):
        rows = OrderProposal.objects.restrict(user, "trigger.view").filter(triggered__gte=since)
        numbers = dict(rows.order_by().values_list("code").annotate(Count("pk")))
        address = reverse("monitoring:proposals")
        numbers = {e.id[2:]: 0 for e in catalogue.entries() if e.group == "triggers"} | numbers
        found |= {f"T-{code}": Fired(n, f"{address}?rule={code}") for code, n in numbers.items()}
    gone = EvidenceEntry.objects.filter(kind=PRUNED, created__gte=since)
    found["R820-26"] = Fired(gone.count(), reverse("evidencelog:list") + f"?kind={PRUNED}")
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
    lines = over.filter(period="day", limit__assumed=True, **industry).count()
    return {
        "A18-7": Fired(often.count(), reverse("monitoring:exceedances")),
        "O10-6-line": Fired(lines, reverse("monitoring:exceedances")),
    }


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
        "A18-1": Fired(silent["values"] + sums["few"] - few, bulletin),
        "TR": Fired(low.count(), bulletin),
    }


def _accounts(user: Any, since: Any, now: Any) -> dict[str, Fired]:
    """Exempt hours by article, furnaces over their hours of maintenance, marks out of order."""
    hours: Counter[str] = Counter()
    over = disorder = 0
    first, last = seconds(since), seconds(now)
    for furnace in (
        Furnace.objects.restrict(user, "point.view")
        .filter(marks__withdrawn=None, marks__end__gt=since)
        .distinct()
    ):
        books = marking.account(furnace, since, now)
        recent = [i for i, time in enumerate(books.time) if first <= time <= last]
        for i in recent:
            if books.exempt[i]:
                hours[_ARTICLE.get(Condition(books.condition[i]), "O10-10b")] += 1
        over += any(books.accounts.maintenance[i] > HOURS_MAINTENANCE for i in recent)
        rows = furnaces.marked(furnaces.marks_of(furnace, since, now))
        disorder += sum(p.rule == "M19-order" for p in incineration.examine(rows, NOTHING))
    address = reverse("monitoring:furnaces")
    return {
        "A18-4": Fired(over, address),
        "M19-order": Fired(disorder, address),
        **{rule: Fired(hours[rule], address) for rule in ("O10-10b", "O10-10c", "O10-10d")},
    }


def _marks(user: Any, since: Any) -> dict[str, Fired]:
    """Marks by the clause that defines them, by time, and by the window of starts and stops."""
    rows = Mark.objects.restrict(user, "point.view").filter(withdrawn=None, start__gte=since)
    found: Counter[str] = Counter()
    for mark in rows.select_related("outlet__enterprise"):
        sort = Sort(mark.sort)
        found["M22-3" if marking.timely(mark, mark.start) else "M22-5"] += 1
        if sort in CLAUSES:
            found[CLAUSES[sort]] += 1
        else:
            found["M22-4"] += 1
        if sort in marking.PHASE:
            window = marking.marks.window(marking.branch(mark.outlet), marking.PHASE[sort])
            if window is not None:
                found[window.rule] += 1
    rules = {"M22-3", "M22-4", "M22-5", *CLAUSES.values()}
    rules |= {w.rule for w in marking.marks.windows()}
    address = reverse("monitoring:marks")
    return {rule: Fired(found[rule], address) for rule in sorted(rules)}


def _findings(user: Any, since: Any) -> dict[str, Fired]:
    """Findings that name their rule, those of marks that are belied, of amounts and of detectors."""
    rows = Finding.objects.restrict(user, "finding.view").filter(began__gte=since)
    named = dict(
        rows.filter(facts__rule__in=NAMED)
        .annotate(rule=KeyTextTransform("rule", "facts"))
        .order_by()
        .values_list("rule")
        .annotate(Count("pk"))
    )
    falsified = reverse("findings:list") + f"?kind={Kind.FALSIFICATION}"
    belied = rows.filter(kind=Kind.FALSIFICATION, facts__has_key="mark").count()
    amounts = rows.filter(episode__startswith="amount/").count()
    raised = dict(
        Detected.objects.filter(finding__in=rows)
        .order_by()
        .values_list("detector")
        .annotate(Count("pk"))
    )
    fleet = reverse("monitoring:detection") + "?detector="
    return {
        **{rule: Fired(named.get(rule, 0), falsified) for rule in NAMED},
        "O10-13": Fired(belied, falsified),
        "R820-25": Fired(belied + named.get("A18-13", 0), falsified),
        "IX-amount": Fired(amounts, reverse("monitoring:amounts")),
        "A18-18": Fired(
            sum(raised.get(key, 0) for key in UNTREATED),
            reverse("findings:list") + f"?kind={Kind.POWER}",
        ),
        **{rule: Fired(raised.get(rule, 0), fleet + rule) for rule in RULES},
        **{f"D-{key}": Fired(raised.get(key, 0), fleet + key) for key in DETECTORS},
    }
