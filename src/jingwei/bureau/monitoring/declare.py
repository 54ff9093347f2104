"""What enterprises declare: marks set and withdrawn, inquiries answered. One function, one
transaction; every act leaves an entry in the evidence log and has the touched hours judged again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.analysis import incineration
from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring import marking, transmission
from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.marking import Sort, moment
from jingwei.bureau.monitoring.models import Due, Furnace, Inquiry, Mark
from jingwei.bureau.monitoring.observations import HOUR, day_start, local_day
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry.models import Outlet, Point

LONGEST = timedelta(days=400)
NOTED = frozenset(
    {
        Sort.DEVICE_FAULT, Sort.PLANT_FAULT, Sort.FAULT, Sort.ACCIDENT, Sort.MAINTENANCE,
        Sort.TEMPERATURE, Sort.THERMOCOUPLE,
    }
)  # fmt: skip
"""Marks that must say why (M19-4.1, M19-4.2)."""
OF_FURNACE = frozenset({*marking.CONDITION, *marking.ANOMALY})
SAID_OF_MARK = ("refractory", "resent", "grounds", "facilities")
"""What an enterprise ticks with a mark; it decides how long the mark counts and what it excuses."""


@transaction.atomic
def set_mark(
    user: Any,
    *,
    outlet: Outlet,
    sort: str,
    start: datetime,
    end: datetime,
    furnace: Furnace | None = None,
    note: str = "",
    refractory: bool = False,
    resent: bool = False,
    grounds: bool = False,
    facilities: bool = True,
    now: datetime | None = None,
) -> Mark:
    """Set a mark on a span of an outlet's or a furnace's data. Raises `Refused` with what to do.

    A mark that comes too late (M22-5) is kept and shown, and has no effect.
    """
    now = now or timezone.now()
    if not may(user, "mark.set") or outlet.enterprise.uscc != user.enterprise_code:
        raise Refused(_("Only the enterprise itself marks its data."))
    note = " ".join(note.split())
    if end <= start:
        raise Refused(_("The mark ends before it begins: correct one of the times."))
    if end - start > LONGEST:
        raise Refused(_("The span is longer than 400 days: set several marks."))
    if start > now + timedelta(days=1):
        raise Refused(_("The mark begins more than a day ahead: set it when it is due."))
    if (sort in OF_FURNACE) != (furnace is not None):
        raise Refused(
            _("Choose the furnace that the mark is for.")
            if sort in OF_FURNACE
            else _("This mark is for the whole outlet: leave the furnace empty.")
        )
    if furnace is not None and furnace.outlet_id != outlet.pk:
        raise Refused(_("The furnace does not belong to this outlet."))
    if sort in NOTED and not note:
        raise Refused(_("This mark needs its cause, process and measures in a few words."))
    mark = Mark(
        outlet=outlet,
        furnace=furnace,
        sort=sort,
        start=start,
        end=end,
        note=note[:300],
        refractory=refractory,
        resent=resent,
        grounds=grounds,
        facilities=facilities,
        user=user,
        at=now,
    )
    mark.save()
    mark.evidence = _record(mark, "set", user, now)
    mark.save(update_fields=["evidence"])
    if furnace is not None:
        _answer(furnace, mark, now)
    _again(mark, now)
    return mark


@transaction.atomic
def withdraw(user: Any, mark: Mark, now: datetime | None = None) -> Mark:
    """Withdraw a mark: its hours are judged as if it had not been set. Raises `Refused`."""
    now = now or timezone.now()
    mark = (
        Mark.objects.select_for_update(of=("self",))
        .select_related("outlet__enterprise")
        .get(pk=mark.pk)
    )
    if not may(user, "mark.set") or mark.outlet.enterprise.uscc != user.enterprise_code:
        raise Refused(_("Only the enterprise itself marks its data."))
    if mark.withdrawn:
        raise Refused(_("This mark was withdrawn before."))
    mark.withdrawn = now
    mark.save(update_fields=["withdrawn"])
    _record(mark, "withdrawn", user, now)
    _again(mark, now)
    return mark


@transaction.atomic
def answer(user: Any, inquiry: Inquiry, text: str, now: datetime | None = None) -> Inquiry:
    """Answer an inquiry with words, where no mark fits (M19-5.2). Raises `Refused`."""
    now = now or timezone.now()
    inquiry = (
        Inquiry.objects.select_for_update(of=("self",))
        .select_related("furnace__outlet__enterprise")
        .get(pk=inquiry.pk)
    )
    enterprise = inquiry.furnace.outlet.enterprise
    if not may(user, "mark.set") or enterprise.uscc != user.enterprise_code:
        raise Refused(_("Only the enterprise itself marks its data."))
    text = " ".join(text.split())
    if not text:
        raise Refused(_("Say what was verified."))
    if inquiry.answered or inquiry.marked:
        raise Refused(_("This was answered before."))
    inquiry.answer = text[:300]
    _done(inquiry, now)
    inquiry.save()
    record(
        "mark",
        f"inquiry:{inquiry.pk}",
        {
            "act": "answered",
            "inquiry": inquiry.pk,
            "time": inquiry.time,
            "factor": inquiry.factor,
            "why": str(inquiry.why),
            "at": now,
        },
        actor=str(user.pk),
        said={"answer": inquiry.answer},
    )
    return inquiry


def _record(mark: Mark, act: str, user: Any, now: datetime) -> Any:
    return record(
        "mark",
        f"mark:{mark.pk}",
        {
            "act": act,
            "mark": mark.pk,
            "outlet": f"{mark.outlet.enterprise.uscc} {mark.outlet.code}",
            "furnace": mark.furnace.name if mark.furnace else "",
            "sort": str(mark.sort),
            "start": mark.start,
            "end": mark.end,
            **{name: getattr(mark, name) for name in SAID_OF_MARK},
            "at": now,
        },
        actor=str(user.pk),
        said={"note": mark.note},
    )


def _again(mark: Mark, now: datetime) -> None:
    """Have what the mark touches judged again, at once or when it is over: its hours, and the days
    of a furnace; of a furnace every later marked hour of the year too, for the accounts moved."""
    points = list(Point.objects.filter(outlet=mark.outlet))
    spans = [(mark.start, mark.end)]
    if mark.furnace_id and mark.sort in marking.CONDITION:
        later = Mark.objects.filter(furnace=mark.furnace, withdrawn=None, end__gt=mark.start)
        spans += [(max(m.start, mark.start), m.end) for m in later.exclude(pk=mark.pk)]
    hours = {s for a, b in spans for s in marking.hours(a, b)}
    wanted = [
        (p.pk, str(Due.What.HOUR), moment(s), max(now, moment(s + HOUR) + GRACE))
        for p in points
        for s in hours
    ]
    if mark.furnace is not None:
        day = local_day(mark.start)
        while day_start(day) < mark.end:
            start = day_start(day)
            wanted.append((mark.furnace.point_id, str(Due.What.FURNACE), start, max(now, start)))
            day += timedelta(days=1)
    ask(wanted, now)
    if mark.sort in (Mark.Sort.STANDSTILL, Mark.Sort.IDLE):
        transmission.recount(points, local_day(mark.start), local_day(mark.end), now)


def _answer(furnace: Furnace, mark: Mark, now: datetime) -> None:
    for inquiry in Inquiry.objects.filter(
        furnace=furnace,
        void=False,
        marked=None,
        answered=None,
        time__lt=mark.end,
        time__gt=mark.start - timedelta(hours=1),
    ):
        _done(inquiry, now)
        inquiry.save()


def _done(inquiry: Inquiry, now: datetime) -> None:
    if inquiry.ordered is None and now > inquiry.found + incineration.MARK_WITHIN:
        inquiry.ordered = inquiry.found + incineration.MARK_WITHIN
    if inquiry.ordered is None:
        inquiry.marked = now
    else:
        inquiry.answered = now
