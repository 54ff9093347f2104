"""Events that trigger rules count, their simulation on history, and proposals of orders.

A live rule proposes; a person issues an order, or declines with a reason. A room to the right that
records further events names their source by `register`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.analysis import incineration, permits, triggers
from jingwei.analysis.triggers import Event, Order
from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import stop_months
from jingwei.bureau.monitoring.models import (
    Exceedance,
    Inquiry,
    Mark,
    OrderProposal,
    TransmissionDay,
)
from jingwei.bureau.monitoring.services import LENGTH, day_start, local_day
from jingwei.bureau.registry import triggers as rules
from jingwei.bureau.registry.models import Enterprise, Point, TriggerRule

HISTORY = timedelta(days=90)  # of a simulation
LOW_RATE = 0.9  # a day's transmission rate below it is low: preset
MOMENT = timedelta(microseconds=1)  # the end of a day is the beginning of the next
AMOUNT = "amount/"  # how the episodes of findings about amounts begin


@dataclass(frozen=True, slots=True)
class Seen:
    """An event and the finding that tells of it (None: none does)."""

    event: Event
    finding: int | None = None


Source = Callable[[datetime, datetime], Iterable[Seen]]
_sources: dict[str, Source] = {}


def register(kind: str, source: Source) -> None:
    """Say where the events of a kind come from: `source(since, until)`, times in [since, until)."""
    _sources[kind] = source


def recorded(kind: str) -> bool:
    """Whether anything records events of this kind."""
    return kind in _sources


# Sources ----------------------------------------------------------------------------------------


def _exceeded(period: str, furnaces: bool) -> Source:
    """Exceedances that stand, at the end of their period: only then they are known."""

    def source(since: datetime, until: datetime) -> Iterable[Seen]:
        length = LENGTH[period]
        rows = Exceedance.objects.filter(
            period=period, withdrawn="", time__gte=since - length, time__lt=until - length,
            point__outlet__isnull=False,
        )  # fmt: skip
        furnace = Q(point__outlet__enterprise__industry=Enterprise.Industry.INCINERATION)
        rows = rows.filter(furnace) if furnaces else rows.exclude(furnace) if period == "hour" else rows  # fmt: skip
        kind = "incineration_day_exceeded" if furnaces else f"{period}_exceeded"
        found = rows.values_list("point", "point__outlet__enterprise__uscc", "time", "finding")
        for point, uscc, time, finding in found:
            yield Seen(Event(kind, time + length, str(point), uscc), finding)

    return source


def _days(since: datetime, until: datetime) -> Any:
    """Transmission days that are over, of points of enterprises."""
    return TransmissionDay.objects.filter(
        day__gte=local_day(since) - timedelta(days=1), day__lt=local_day(until),
        point__outlet__isnull=False, expected__gt=0,
    ).select_related("point__outlet__enterprise")  # fmt: skip


def _low(since: datetime, until: datetime) -> Iterable[Seen]:
    for row in _days(since, until):
        end = day_start(row.day + timedelta(days=1))
        if row.rate < LOW_RATE and since <= end < until:
            yield Seen(Event("transmission_low", end, str(row.point_id), row.point.enterprise.uscc))


def _missing(since: datetime, until: datetime) -> Iterable[Seen]:
    """The hours of days on which nothing came at all."""
    for row in _days(since, until).filter(received=0):
        start, end = row.since, day_start(row.day + timedelta(days=1))
        for n in range(int((end - start) / LENGTH["hour"])):
            time = start + (n + 1) * LENGTH["hour"]
            if since <= time < until:
                yield Seen(
                    Event("hour_missing", time, str(row.point_id), row.point.enterprise.uscc)
                )


def _unmarked(since: datetime, until: datetime) -> Iterable[Seen]:
    """Suspicious hours of furnaces that nobody marked within the hour (Announcement 2019-50, 5.2)."""
    rows = Inquiry.objects.filter(
        Q(marked=None) | Q(marked__gt=F("found") + incineration.MARK_WITHIN),
        void=False,
        found__gte=since - incineration.MARK_WITHIN,
        found__lt=until - incineration.MARK_WITHIN,
    )
    found = rows.values_list("furnace__point", "furnace__outlet__enterprise__uscc", "found")
    for point, uscc, time in found:
        event = Event("incineration_unmarked", time + incineration.MARK_WITHIN, str(point), uscc)
        yield Seen(event)


def _maintenance(since: datetime, until: datetime) -> Iterable[Seen]:
    """When the marks CEMS维护 of a furnace pass 30 hours in a quarter (Order 10, art. 12)."""
    first = day_start(permits.period_start(local_day(since), "quarter"))
    rows = Mark.objects.filter(
        sort=Mark.Sort.MAINTENANCE, withdrawn=None, furnace__isnull=False,
        start__gte=first, start__lt=until,
    ).select_related("furnace__outlet__enterprise").order_by("start")  # fmt: skip
    used: dict[tuple[int | None, Any], timedelta] = defaultdict(timedelta)
    most = timedelta(hours=incineration.HOURS_MAINTENANCE)
    for row in rows:
        key = (row.furnace_id, permits.period_start(local_day(row.start), "quarter"))
        before, used[key] = used[key], used[key] + (row.end - row.start)
        time = row.end - (used[key] - most)
        if before <= most < used[key] and since <= time < until and row.furnace is not None:
            uscc = row.furnace.outlet.enterprise.uscc
            yield Seen(Event("maintenance_over", time, str(row.furnace.point_id), uscc))


def _stopped(since: datetime, until: datetime) -> Iterable[Seen]:
    """When the fifth exceedance day of a furnace in a natural month ends (Order 10, art. 10)."""
    rows = Exceedance.objects.all()
    for month in stop_months.of(rows, local_day(since) - timedelta(days=1)):
        if since <= month.reached < until:
            point = month.rows[-1].point
            assert point.outlet is not None
            uscc = point.outlet.enterprise.uscc
            event = Event("incineration_month_exceeded", month.reached, str(point.pk), uscc)
            for row in month.rows:
                yield Seen(event, row.finding_id)


def _over(since: datetime, until: datetime) -> Iterable[Seen]:
    rows = Finding.objects.filter(
        episode__startswith=AMOUNT, created__gte=since, created__lt=until
    ).exclude(state=Finding.State.DISMISSED)
    for row in rows.select_related("enterprise"):
        if row.enterprise:
            yield Seen(Event("amount_over", row.created, "", row.enterprise.uscc), row.pk)


register("hour_exceeded", _exceeded("hour", furnaces=False))
register("day_exceeded", _exceeded("day", furnaces=False))
register("incineration_day_exceeded", _exceeded("day", furnaces=True))
register("transmission_low", _low)
register("hour_missing", _missing)
register("amount_over", _over)
register("incineration_unmarked", _unmarked)
register("maintenance_over", _maintenance)
register("incineration_month_exceeded", _stopped)

ONCE: Final[Mapping[str, permits.Every]] = {
    "incineration_month_exceeded": "month",
    "maintenance_over": "quarter",
}
"""Events that a subject has once in a natural period, at a moment that late data move."""


# Simulation -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issued:
    """An order that a rule would have issued, with what it is about and the findings behind it."""

    order: Order
    enterprise: Enterprise
    point: Point | None
    findings: tuple[int, ...]


def run(rule: TriggerRule, since: datetime, until: datetime) -> list[Issued]:
    """What a rule would have issued from `since` to `until`, the newest first.

    Raises ValueError for a rule that cannot be counted.
    """
    trigger = rules.as_trigger(rule)
    source = _sources.get(rule.event)
    if source is None:
        return []
    seen = list(source(since, until))
    told: dict[Event, set[int]] = defaultdict(set)
    for s in seen:
        if s.finding is not None:
            told[s.event].add(s.finding)
    orders = triggers.simulate([trigger], [s.event for s in seen])
    enterprises = {
        e.uscc: e
        for e in Enterprise.objects.filter(uscc__in={o.events[0].enterprise for o in orders})
    }
    points = Point.objects.in_bulk(
        {int(o.subject) for o in orders if trigger.per == "point" and o.subject}
    )
    return [
        Issued(
            o,
            enterprises[o.events[0].enterprise],
            points.get(int(o.subject)) if trigger.per == "point" and o.subject else None,
            tuple(sorted({pk for e in o.events for pk in told.get(e, ())})),
        )
        for o in reversed(orders)
        if o.events[0].enterprise in enterprises
    ]


def simulate(rule: TriggerRule, now: datetime | None = None) -> list[Issued]:
    """The last 90 days."""
    now = now or timezone.now()
    return run(rule, now - HISTORY, now)


def try_out(user: Any, rule: TriggerRule, now: datetime | None = None) -> TriggerRule:
    """Simulate a draft on history and keep that it was: without this it does not go live."""
    now = now or timezone.now()
    found = simulate(rule, now)
    return rules.tried(
        user, rule, since=now - HISTORY, until=now, orders=len(found),
        enterprises=len({o.enterprise.pk for o in found}),
    )  # fmt: skip


def by_enterprise(orders: Sequence[Issued]) -> list[tuple[Enterprise, int, datetime]]:
    """(enterprise, how many orders, the last one), most first."""
    found: dict[int, list[Issued]] = defaultdict(list)
    for one in orders:
        found[one.enterprise.pk].append(one)
    rows = [(x[0].enterprise, len(x), max(o.order.issued for o in x)) for x in found.values()]
    return sorted(rows, key=lambda r: (-r[1], r[0].name))


# Proposals --------------------------------------------------------------------------------------


def propose(now: datetime) -> int:
    """Let the live rules propose what is due; how many proposals are new.

    Only what is triggered after a rule went live; events before it count in its window. While a
    proposal's deadline runs, the same rule proposes nothing more for the same subject, even where
    late data move the moment at which it was triggered; what happens once a month or a quarter is
    proposed once.
    """
    made = 0
    for rule in TriggerRule.objects.filter(state=TriggerRule.State.LIVE):
        assert rule.since is not None
        try:
            found = run(
                rule, max(rule.since, now - HISTORY) - timedelta(hours=rule.window_hours), now
            )
        except ValueError:
            continue  # `triggers.check` refuses such a rule before it is saved
        for issued in reversed(found):
            if issued.order.issued >= rule.since:
                made += _propose(rule, issued)
    _taken()
    return made


@transaction.atomic
def _propose(rule: TriggerRule, issued: Issued) -> bool:
    TriggerRule.objects.select_for_update().get(pk=rule.pk)
    order = issued.order
    same = Q(triggered__lte=order.due, due__gte=order.issued)
    if every := ONCE.get(rule.event):
        first = permits.period_start(local_day(order.issued - MOMENT), every)
        end = day_start(permits.period_end(first, every) + timedelta(days=1))
        same |= Q(triggered__gt=day_start(first), triggered__lte=end)
    open_ = OrderProposal.objects.filter(
        same, code=rule.code, enterprise=issued.enterprise, point=issued.point
    )
    if open_.exists():
        return False
    proposal = OrderProposal.objects.create(
        code=rule.code,
        version=rule.version,
        enterprise=issued.enterprise,
        point=issued.point,
        triggered=order.issued,
        due=order.due,
        receiver=rule.receiver,
        severity=rule.severity,
        events=[
            {"kind": e.kind, "time": e.time.isoformat(), "point": e.point} for e in order.events
        ],
    )
    proposal.findings.set(issued.findings)
    proposal.evidence = record(
        "proposal",
        f"proposal:{proposal.pk}",
        {
            "act": "proposed",
            "rule": rule.code,
            "version": rule.version,
            "enterprise": issued.enterprise.uscc,
            "point": issued.point.key if issued.point else "",
            "triggered": order.issued,
            "due": order.due,
            "events": len(order.events),
            "findings": list(issued.findings),
        },
    )
    proposal.save(update_fields=["evidence"])
    return True


def _taken() -> None:
    """Proposals whose findings somebody took into a case are dealt with."""
    OrderProposal.objects.filter(
        state=OrderProposal.State.OPEN, findings__state=Finding.State.IN_CASE
    ).update(state=OrderProposal.State.TAKEN)


@transaction.atomic
def decline(user: Any, proposal: OrderProposal, reason: str) -> OrderProposal:
    """Say, with a reason, that no order is issued."""
    if not may(user, "proposal.decide"):
        raise ValidationError(_("Your role may not decide on proposed orders."))
    reason = " ".join(reason.split())
    if not reason:
        raise ValidationError(_("Give a reason."))
    if len(reason) > 300:
        raise ValidationError(_("The reason is too long: at most 300 characters."))
    now = timezone.now()
    state = OrderProposal.State
    if not OrderProposal.objects.filter(pk=proposal.pk, state=state.OPEN).update(
        state=state.DECLINED, reason=reason, actor=user, decided=now
    ):
        raise ValidationError(_("Somebody else has dealt with this proposal meanwhile."))
    record(
        "proposal",
        f"proposal:{proposal.pk}",
        {"act": "declined", "proposal": proposal.pk, "at": now},
        actor=str(user.pk),
        said={"reason": reason},
    )
    proposal.refresh_from_db()
    return proposal
