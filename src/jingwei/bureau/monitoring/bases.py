"""On what basis a point sends its concentrations, and the end of an instrument's range: entered and
changed by the office. A change leaves an entry in the evidence log and has the hours and days that it
touches judged again; what was judged before stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.monitoring import gas
from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.models import (
    Basis,
    Cursor,
    Due,
    Exceedance,
    InstrumentRange,
    Judgement,
)
from jingwei.bureau.monitoring.observations import current_code, day_start, local_day
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry.models import Point

Declared = Basis | InstrumentRange
Span = tuple[date | None, date | None]  # first day, day after the last; None: no such end
_STACK = (Basis.State.STACK, Basis.State.STACK_WET)


@dataclass(frozen=True)
class Touched:
    """What a change has judged again, and how many exceedances that stand are among it."""

    hours: list[datetime]
    days: list[datetime]
    exceedances: int

    def __bool__(self) -> bool:
        return bool(self.hours or self.days)


def touched(row: Declared) -> Touched:
    """The hours and days with a judgement that the row, as it is now (saved or not), changes."""
    hours: set[datetime] = set()
    days: set[datetime] = set()
    exceedances = 0
    for since, until in _spans(row):
        span: dict[str, datetime] = {}
        if since is not None:
            span["time__gte"] = day_start(since)
        if until is not None:
            span["time__lt"] = day_start(until)
        about = Judgement.objects.filter(
            point=row.point_id, stands=True, factors__has_key=row.factor, **span
        )
        for period, when in about.values_list("period", "time"):
            (hours if period == "hour" else days).add(when)
        codes = {row.factor, *((gas.NOX,) if row.factor in (gas.NO, gas.NO2) else ())}
        exceedances += Exceedance.objects.filter(
            point=row.point_id, factor__in=codes, withdrawn="", **span
        ).count()
    days |= {day_start(local_day(when)) for when in hours}
    return Touched(sorted(hours), sorted(days), exceedances)


def _spans(row: Declared) -> list[Span]:
    """The spans in which the row makes a difference."""
    if isinstance(row, InstrumentRange):
        before = InstrumentRange.objects.filter(pk=row.pk).values_list("high", flat=True).first()
        return [] if before == row.high else [(None, None)]
    rows = list(Basis.objects.filter(point=row.point_id, factor=row.factor))
    after = [*(r for r in rows if r.pk != row.pk), row]
    starts: list[date | None] = [None, *sorted({r.since for r in (*rows, row)})]
    found: list[Span] = []
    for since, until in zip(starts, [*starts[1:], None], strict=True):
        if _on(rows, since) == _on(after, since):
            continue
        if found and found[-1][1] == since:
            since = found.pop()[0]
        found.append((since, until))
    return found


def _on(rows: Sequence[Basis], day: date | None) -> tuple[str, float | None]:
    """What counts on a day: the state, and the air pressure where it is used."""
    begun = [r for r in rows if day is not None and r.since <= day]
    if not begun:
        return Basis.State.STANDARD, None
    last = max(begun, key=lambda r: r.since)
    return last.state, last.barometer if last.state in _STACK else None


def check(row: Declared) -> None:
    """Refuse a factor that no value would ever be found for. Raises `ValidationError` by field."""
    point: Point = row.point
    row.factor = current_code(row.factor.strip(), point.version)
    sent = {current_code(f, point.version) for f in point.factors}
    if row.factor not in sent:
        raise ValidationError(
            {
                "factor": _("The point does not send %(factor)s; it sends %(all)s.")
                % {"factor": row.factor, "all": ", ".join(sorted(sent)) or "—"}
            }
        )
    if isinstance(row, Basis) and not gas.is_concentration(row.factor, point):
        raise ValidationError(
            {"factor": _("%(factor)s of this point is no concentration of flue gas.")
             % {"factor": row.factor}}
        )  # fmt: skip


@transaction.atomic
def declare(user: Any, row: Declared, now: datetime | None = None) -> Touched:
    """Save a basis or a range, leave the entry in the evidence log, and have what it touches judged
    again as a late telegram would. What was touched. Raises `ValidationError`.
    """
    now = now or timezone.now()
    check(row)
    before = type(row).objects.filter(pk=row.pk).first() if row.pk else None
    # A judgement under way finds its cursor moved, and starts anew with what is declared now.
    Cursor.objects.filter(name__in=("judge-hour", "judge-day")).update(
        rounds=models.F("rounds") + 1
    )
    found = touched(row)
    row.save()
    record(
        "basis",
        f"{'basis' if isinstance(row, Basis) else 'range'}:{row.pk}",
        {
            "act": "changed" if before else "entered",
            "point": row.point.key,
            "factor": row.factor,
            **_facts(row),
            "before": _facts(before) if before else None,
            "hours": len(found.hours),
            "days": len(found.days),
            "at": now,
        },
        actor=str(user.pk),
    )
    end = timedelta(days=1) + GRACE
    ask(
        [
            *((row.point_id, str(Due.What.HOUR), when, now) for when in found.hours),
            *((row.point_id, str(Due.What.DAY), when, max(now, when + end)) for when in found.days),
        ],
        now,
    )
    return found


def _facts(row: Declared) -> dict[str, Any]:
    if isinstance(row, InstrumentRange):
        return {"high": row.high}
    return {"state": str(row.state), "since": row.since, "barometer": row.barometer}
