"""Checks of instruments: entered, confirmed, withdrawn; what they do to the hours.

A failed check makes the data of its factor invalid from the last passed check to the next passed one
(`analysis.quality`); those hours are judged again, their masses filled. What an enterprise enters by
12:00 of the day after the check counts at once; what it enters later counts when an officer confirms
it, as with marks (M22-5; for checks: own choice).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.analysis import marks as laboratory
from jingwei.analysis.quality import Check, Period, out_of_control
from jingwei.bureau.access import Role, may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.models import Due
from jingwei.bureau.monitoring.observations import HOUR, current_code, day_start, local_day, moment
from jingwei.bureau.monitoring.quality_models import QualityCheck
from jingwei.bureau.monitoring.transmission import GRACE
from jingwei.bureau.registry.models import Point

Periods = dict[str, list[Period]]  # by factor
LONGEST = timedelta(days=400)


def counting(points: Iterable[Point]) -> dict[int, dict[str, list[QualityCheck]]]:
    """The checks that count, by point and factor, in the order of time."""
    found: dict[int, dict[str, list[QualityCheck]]] = defaultdict(lambda: defaultdict(list))
    rows = QualityCheck.objects.filter(
        point__in=list(points), withdrawn=None, counts__isnull=False
    ).order_by("time", "pk")
    for row in rows:
        found[row.point_id][row.factor].append(row)
    return found


def periods(points: Iterable[Point]) -> dict[int, Periods]:
    """The periods out of control, by point and factor."""
    return {
        point: {factor: p for factor, rows in by_factor.items() if (p := _periods(rows))}
        for point, by_factor in counting(points).items()
    }


def _periods(rows: Iterable[QualityCheck]) -> list[Period]:
    return out_of_control(Check(r.time, r.passed, r.pk) for r in rows)


def out_now(points: Iterable[Point]) -> dict[int, set[str]]:
    """By point the factors whose instrument is out of control now: no check passed since one failed."""
    valid = QualityCheck.objects.filter(withdrawn=None, counts__isnull=False)
    passed = valid.filter(
        point=OuterRef("point"), factor=OuterRef("factor"), passed=True, time__gte=OuterRef("time")
    )
    found: dict[int, set[str]] = defaultdict(set)
    for point, factor in (
        valid.filter(~Exists(passed), point__in=list(points), passed=False)
        .order_by()
        .values_list("point", "factor")
    ):
        found[point].add(factor)
    return found


def hours(period: Period, now: datetime) -> range:
    """The starts (seconds) of the hours that a period touches, up to now."""
    return marking.hours(period.begin, period.end or now)


def at(
    found: Periods, code: str, parts: Iterable[str], second: int, length: int = HOUR
) -> Period | None:
    """The period out of control that touches the `length` seconds from `second` on, of a factor or one
    of the parts that its value was put together from."""
    for factor in (code, *parts):
        for one in found.get(factor, ()):
            begun = one.begin.timestamp() < second + length
            if begun and (one.end is None or one.end.timestamp() > second):
                return one
    return None


# Writing ----------------------------------------------------------------------------------------


@transaction.atomic
def enter(
    user: Any,
    point: Point,
    *,
    factor: str,
    sort: str,
    time: datetime,
    passed: bool,
    result: str,
    report: str = "",
    now: datetime | None = None,
) -> QualityCheck:
    """Enter a check. Raises `Refused` with what to do."""
    now = now or timezone.now()
    result, report = " ".join(result.split()), " ".join(report.split())
    _entering(user, point)
    code = current_code(factor, point.version)
    if factor not in point.factors and code not in point.factors:
        raise Refused(_("The point does not send this factor: choose one that it sends."))
    if sort not in QualityCheck.Sort.values:
        raise Refused(_("Choose what kind of check it was."))
    if time > now:
        raise Refused(_("The check cannot lie in the future."))
    if time < now - LONGEST:
        raise Refused(_("The check lies more than 400 days back: nothing is judged again so late."))
    if not result:
        raise Refused(_("Give the result and what is allowed."))
    same = QualityCheck.objects.filter(point=point, factor=code, time=time, withdrawn=None)
    if same.filter(passed=passed).exists():
        raise Refused(_("This check was entered before."))
    before = _standing(point, code)
    timely = user.role != Role.ENTERPRISE or now <= laboratory.due(local_day(time))
    row = QualityCheck(
        point=point, factor=code, sort=sort, time=time, passed=passed, result=result[:200],
        report=report[:80], user=user, at=now, counts=now if timely else None,
    )  # fmt: skip
    row.save()
    row.evidence = _record(row, "entered", user, now)
    row.save(update_fields=["evidence"])
    _again(row, before, now)
    return row


@transaction.atomic
def confirm(user: Any, check: QualityCheck, now: datetime | None = None) -> QualityCheck:
    """Let a check count that the enterprise entered too late. Raises `Refused`."""
    now = now or timezone.now()
    row = QualityCheck.objects.select_for_update(of=("self",)).get(pk=check.pk)
    if not may(user, "check.confirm"):
        raise Refused(_("Only officers confirm a check."))
    if row.withdrawn or row.counts:
        raise Refused(_("This check needs no confirmation."))
    before = _standing(row.point, row.factor)
    row.counts, row.confirmer = now, user
    row.save(update_fields=["counts", "confirmer"])
    _record(row, "confirmed", user, now)
    _again(row, before, now)
    return row


@transaction.atomic
def withdraw(user: Any, check: QualityCheck, why: str, now: datetime | None = None) -> QualityCheck:
    """Withdraw a check: its hours are judged as if it had not been entered. Raises `Refused`."""
    now = now or timezone.now()
    row = QualityCheck.objects.select_for_update(of=("self",)).get(pk=check.pk)
    why = " ".join(why.split())
    _entering(user, row.point)
    if user.role == Role.ENTERPRISE and row.confirmer_id:
        raise Refused(_("An officer confirmed this check: ask the officer to withdraw it."))
    if user.role == Role.ENTERPRISE and row.user.role != Role.ENTERPRISE:
        raise Refused(_("An officer entered this check: only officers withdraw it."))
    if row.withdrawn:
        raise Refused(_("This check was withdrawn before."))
    if not why:
        raise Refused(_("Say why the check is withdrawn."))
    before = _standing(row.point, row.factor)
    row.withdrawn, row.why = now, why[:300]
    row.save(update_fields=["withdrawn", "why"])
    _record(row, "withdrawn", user, now)
    _again(row, before, now)
    return row


def _entering(user: Any, point: Point) -> None:
    own = point.outlet is not None and point.outlet.enterprise.uscc == user.enterprise_code
    if not may(user, "check.enter") or (user.role == Role.ENTERPRISE and not own):
        raise Refused(_("Only officers and the enterprise itself enter checks."))


def _standing(point: Point, factor: str) -> list[Period]:
    return periods([point]).get(point.pk, {}).get(factor, [])


def _record(row: QualityCheck, act: str, user: Any, now: datetime) -> Any:
    return record(
        "check",
        f"check:{row.pk}",
        {
            "act": act, "check": row.pk, "point": row.point.key, "factor": row.factor,
            "sort": str(row.sort), "time": row.time, "passed": row.passed, "report": row.report,
            "counts": row.counts is not None, "at": now,
        },
        actor=str(user.pk),
        said={"result": row.result, "why": row.why},
    )  # fmt: skip


def _again(row: QualityCheck, before: list[Period], now: datetime) -> None:
    """Have the hours and days judged again that are out of control now and were not, or were and are
    not, or by another check."""
    after = _standing(row.point, row.factor)
    was, is_ = ({(s, p.failed) for p in some for s in hours(p, now)} for some in (before, after))
    changed = {s for s, _failed in was ^ is_ if s + HOUR <= now.timestamp() + HOUR}
    wanted = {
        (row.point_id, str(Due.What.HOUR), moment(s), max(now, moment(s + HOUR) + GRACE))
        for s in changed
    }
    for day in {local_day(moment(s)) for s in changed}:
        start = day_start(day)
        after_day = start + timedelta(days=1) + GRACE
        wanted.add((row.point_id, str(Due.What.DAY), start, max(now, after_day)))
    ask(wanted, now)
