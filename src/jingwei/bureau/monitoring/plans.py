"""How far plans of self-monitoring are carried out: completion, publication, what is missing or late.

Manual lines are held against the results that were entered; automatic ones against the values that
the outlet's monitors should have sent (all factors of the point that measures the line's factor).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, Sum
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.analysis import permits
from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import User
from jingwei.bureau.findings.models import Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.models import Cursor, TransmissionDay
from jingwei.bureau.monitoring.services import day_start, local_day
from jingwei.bureau.notices.services import tell
from jingwei.bureau.registry.models import Enterprise, ManualResult, MonitoringPlan, Point

NAME = "plans"
RECENT = timedelta(days=31)  # a period that ended longer ago is no news any more


@dataclass(frozen=True)
class Line:
    """A line of a plan in a year. `received`, `expected`: values of an automatic line."""

    plan: MonitoringPlan
    done: permits.Completion | None
    received: int = 0
    expected: int = 0

    @property
    def completion(self) -> float | None:
        if self.done is not None:
            return self.done.completion
        return min(1.0, self.received / self.expected) if self.expected else None

    @property
    def publication(self) -> float | None:
        return self.done.publication if self.done else None

    @property
    def missing(self) -> int:
        return sum(n for _start, n in self.done.missing) if self.done else 0

    @property
    def late(self) -> int:
        return len(self.done.late) if self.done else 0

    @property
    def unpublished(self) -> int:
        return len(self.done.unpublished) if self.done else 0


def lines(plans: Iterable[MonitoringPlan], year: int, today: date) -> list[Line]:
    """How far each line was carried out in a year, as of `today`."""
    rows = list(plans)
    first, last = date(year, 1, 1), date(year, 12, 31)
    results: dict[tuple[int, str], list[permits.Result]] = defaultdict(list)
    outlets = {p.outlet_id for p in rows}
    for r in ManualResult.objects.filter(
        outlet__in=outlets, replaced_by=None, sampled__gte=first, sampled__lte=last
    ):
        results[r.outlet_id, r.factor].append(permits.Result(r.sampled, r.reported, r.published))
    sent = _sent(outlets, first, min(last, today - timedelta(days=1)))
    out = []
    for plan in rows:
        begins, ends = max(first, plan.valid_from), min(last, plan.valid_to or last)
        if plan.means == MonitoringPlan.Means.AUTOMATIC:
            received, expected = sent.get((plan.outlet_id, plan.factor), (0, 0))
            out.append(Line(plan, None, received, expected))
            continue
        asked = permits.Plan(
            plan.factor, plan.every, plan.times, plan.report_days, plan.publish_days  # type: ignore[arg-type]
        )  # fmt: skip
        done = permits.completion(asked, results[plan.outlet_id, plan.factor], begins, ends, today)
        out.append(Line(plan, done))
    return out


def _sent(outlets: set[int], first: date, last: date) -> dict[tuple[int, str], tuple[int, int]]:
    """(received, expected) values by outlet and factor, of the first point that measures it."""
    points = Point.objects.filter(outlet__in=outlets, enabled=True).order_by("pk")
    sums = {
        pk: (received, expected)
        for pk, received, expected in TransmissionDay.objects.filter(
            point__in=points, day__gte=first, day__lte=last
        )
        .values_list("point")
        .annotate(Sum("received"), Sum("expected"))
        .order_by()
    }
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for p in points:
        for factor in p.factors:
            if p.outlet_id is not None:
                found.setdefault((p.outlet_id, factor), sums.get(p.pk, (0, 0)))
    return found


def of_year(plans: Any, year: int) -> Any:
    """The lines that are in force in some part of a year."""
    return plans.filter(
        Q(valid_to=None) | Q(valid_to__gte=date(year, 1, 1)), valid_from__lte=date(year, 12, 31)
    ).select_related("permit__enterprise", "outlet")


@dataclass(frozen=True)
class Summary:
    """One enterprise's plan in a year; rates of 0…1, None where nothing is due."""

    enterprise: Enterprise
    lines: list[Line]

    @property
    def due(self) -> int:
        return sum(x.done.due for x in self.lines if x.done)

    @property
    def completion(self) -> float | None:
        done = sum(x.done.done for x in self.lines if x.done)
        return done / self.due if self.due else None

    @property
    def automatic(self) -> float | None:
        rates = [x.completion for x in self.lines if not x.done and x.completion is not None]
        return sum(rates) / len(rates) if rates else None

    @property
    def publication(self) -> float | None:
        rates = [x.publication for x in self.lines if x.publication is not None]
        return sum(rates) / len(rates) if rates else None

    @property
    def missing(self) -> int:
        return sum(x.missing for x in self.lines)

    @property
    def late(self) -> int:
        return sum(x.late for x in self.lines)

    @property
    def unpublished(self) -> int:
        return sum(x.unpublished for x in self.lines)


def summaries(plans: Any, year: int, today: date) -> list[Summary]:
    """Enterprise by enterprise, what is missing most first."""
    by_enterprise: dict[Enterprise, list[Line]] = defaultdict(list)
    for line in lines(of_year(plans, year), year, today):
        by_enterprise[line.plan.permit.enterprise].append(line)
    rows = [Summary(e, found) for e, found in by_enterprise.items()]
    return sorted(rows, key=lambda s: (-s.missing, -s.late, s.enterprise.name))


# Findings and messages --------------------------------------------------------------------------


def remind(now: datetime) -> int:
    """Once a local day: a finding for every recent period without its results, and a message to the
    enterprise; how many findings are new."""
    today = local_day(now)
    with transaction.atomic():
        cursor, _created = Cursor.objects.select_for_update().get_or_create(name=NAME)
        if cursor.counts.get("day") == today.isoformat():
            return 0
        made = 0
        with translation.override("zh-hans"):
            for year in sorted({today.year, (today - RECENT).year}):
                manual = MonitoringPlan.objects.filter(means=MonitoringPlan.Means.MANUAL)
                for line in lines(of_year(manual, year), year, today):
                    made += _missing(line, today)
        cursor.counts = {"day": today.isoformat()}
        cursor.save()
    return made


def _missing(line: Line, today: date) -> int:
    assert line.done is not None
    plan, made = line.plan, 0
    enterprise = plan.permit.enterprise
    for start, lacking in line.done.missing:
        end = permits.period_end(start, plan.every)  # type: ignore[arg-type]
        if end < today - RECENT:
            continue
        _finding, created = notice(
            kind=Kind.OFFLINE,
            episode=f"self-monitoring/{plan.pk}/{start}",
            title=_("%(enterprise)s %(outlet)s: self-monitoring of %(factor)s is missing")
            % {
                "enterprise": enterprise.name,
                "outlet": plan.outlet.code,
                "factor": factor_name(plan.factor),
            },
            region=enterprise.region_id,
            enterprise=enterprise,
            longitude=plan.outlet.longitude,
            latitude=plan.outlet.latitude,
            began=day_start(start),
            ended=day_start(end + timedelta(days=1)),
            severity=1,
            facts={"factor": plan.factor, "wanted": plan.times, "lacking": lacking, "permit": plan.permit.number},
            innocent=[_("The measurement was made, but its result was not entered here."),
                      _("The outlet stood still for the whole period.")],
            next_check=_("Ask the enterprise for the test report of this period."),
            confidence=_("Counted from the results that were entered, against the plan in the permit."),
        )  # fmt: skip
        if created:
            _tell(plan, start, lacking)
        made += created
    return made


def _tell(plan: MonitoringPlan, start: date, lacking: int) -> None:
    enterprise = plan.permit.enterprise

    def text() -> str:
        return _("%(count)d results of %(factor)s at %(outlet)s are missing for the period from %(day)s.") % {
            "count": lacking, "factor": factor_name(plan.factor), "outlet": plan.outlet.code, "day": start,
        }  # fmt: skip

    tell(
        User.objects.filter(role=Role.ENTERPRISE, enterprise_code=enterprise.uscc, is_active=True),
        text,
        kind="turn",
        url=reverse("monitoring:self_monitoring", args=[enterprise.uscc]),
        key=f"self-monitoring/{plan.pk}/{start}",
    )
