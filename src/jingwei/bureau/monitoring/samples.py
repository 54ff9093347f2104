"""Enforcement samples: what officers measured lawfully prevails over the automatic value of the same
time, and one is enough (Order 10 art. 8, O10-8; measures on administrative penalties, PEN-mark).

A sample is entered with its report and the reason, is never changed, and leaves an entry in the
evidence log; the hour or day that it belongs to is judged again by it. The automatic value stays
beside it, and masses and transmission rates go by the automatic value alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.analysis.compliance import LARGEST
from jingwei.analysis.validity import Fault
from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.models import Due, Sample
from jingwei.bureau.monitoring.observations import (
    HOUR,
    LENGTH,
    current_code,
    day_start,
    in_force,
    local_day,
    moment,
    seconds,
    value_unit,
)
from jingwei.bureau.monitoring.transmission import GRACE, SAMPLE
from jingwei.bureau.registry.force import is_rate
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import codes

Cell = dict[str, Any]


def of(points: Iterable[Point], period: str) -> dict[int, list[tuple[int, str, Cell | None]]]:
    """The samples by point: (second, factor, as a cell of `Judgement.factors` has it; None: withdrawn)."""
    found: dict[int, list[tuple[int, str, Cell | None]]] = defaultdict(list)
    for row in Sample.objects.filter(point__in=list(points), period=period).order_by("pk"):
        one = {"number": row.pk, "value": row.value, "unit": row.unit, "report": row.report}
        found[row.point_id].append((seconds(row.time), row.factor, None if row.withdrawn else one))
    return found


def put(factors: dict[str, Cell], code: str, one: Cell | None) -> None:
    """Lay a sample beside the automatic value, or where none came; of a withdrawn one that it is gone."""
    cell = factors.setdefault(code, {"value": None, "fault": int(Fault.MISSING), "origin": SAMPLE})
    if one is not None:
        cell["sample"] = one


def unit_of(point: Point, factor: str, period: str, when: datetime) -> str:
    """The unit of the limit that holds then, else the one in which the point sends the factor."""
    day = local_day(when)
    rows = PermitLimit.objects.filter(outlet=point.outlet_id, factor=factor, period=period)
    for row in in_force(rows, day):
        if not is_rate(row):
            return row.unit
    return value_unit(factor, point)


@transaction.atomic
def enter(
    user: Any,
    point: Point,
    *,
    factor: str,
    period: str,
    taken: datetime,
    value: float,
    report: str,
    note: str,
    now: datetime | None = None,
) -> Sample:
    """Enter a sample. Raises `Refused` with what to do."""
    now = now or timezone.now()
    report, note = " ".join(report.split()), " ".join(note.split())
    code = current_code(factor, point.version)
    if not may(user, "sample.enter"):
        raise Refused(_("Only officers enter enforcement samples."))
    if codes.factor(code) is None:
        raise Refused(_("%(code)s is no factor of HJ 212") % {"code": code})
    if period not in LENGTH:
        raise Refused(_("Choose the hour or the day that the sample stands for."))
    if not (math.isfinite(value) and 0 <= value <= LARGEST):
        raise Refused(_("The value must be a number, 0 or more."))
    if taken > now:
        raise Refused(_("The sample cannot be taken in the future."))
    if not report or not note:
        raise Refused(_("Give the number of the report, and who sampled and why."))
    start = (
        moment(seconds(taken) // HOUR * HOUR) if period == "hour" else day_start(local_day(taken))
    )
    same = Sample.objects.filter(
        point=point, factor=code, period=period, time=start, withdrawn=None
    )
    if same.exists():
        raise Refused(_("There is a sample of this time already: withdraw it first."))
    row = Sample(
        point=point, factor=code, period=period, time=start, taken=taken, value=value,
        unit=unit_of(point, code, period, start), report=report[:80], note=note[:300], user=user,
        at=now,
    )  # fmt: skip
    row.save()
    row.evidence = _record(row, "entered", user, now)
    row.save(update_fields=["evidence"])
    _again(row, now)
    return row


@transaction.atomic
def withdraw(user: Any, sample: Sample, why: str, now: datetime | None = None) -> Sample:
    """Withdraw a sample: its time is judged by the automatic value again. Raises `Refused`."""
    now = now or timezone.now()
    row = Sample.objects.select_for_update(of=("self",)).get(pk=sample.pk)
    why = " ".join(why.split())
    if not may(user, "sample.enter"):
        raise Refused(_("Only officers enter enforcement samples."))
    if row.withdrawn:
        raise Refused(_("This sample was withdrawn before."))
    if not why:
        raise Refused(_("Say why the sample is withdrawn."))
    row.withdrawn, row.why = now, why[:300]
    row.save(update_fields=["withdrawn", "why"])
    _record(row, "withdrawn", user, now)
    _again(row, now)
    return row


def _record(row: Sample, act: str, user: Any, now: datetime) -> Any:
    return record(
        "sample",
        f"sample:{row.pk}",
        {
            "act": act, "sample": row.pk, "point": row.point.key, "factor": row.factor,
            "period": row.period, "time": row.time, "taken": row.taken, "value": row.value,
            "unit": row.unit, "report": row.report, "at": now,
        },
        actor=str(user.pk),
        said={"note": row.note, "why": row.why},
    )  # fmt: skip


def _again(row: Sample, now: datetime) -> None:
    what = Due.What.HOUR if row.period == "hour" else Due.What.DAY
    over = row.time + timedelta(seconds=HOUR if row.period == "hour" else 86400) + GRACE
    ask([(row.point_id, str(what), row.time, max(now, over))], now)
