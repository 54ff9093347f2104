"""Waste incinerators: furnace temperatures, marks against the state, inquiries and their deadlines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.analysis import incineration
from jingwei.analysis.compliance import Verdict
from jingwei.analysis.incineration import Anomaly, Condition, Marked, Problem, Readings
from jingwei.analysis.validity import Fault
from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import User
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.monitoring import marking, unexcused
from jingwei.bureau.monitoring.marking import Sort
from jingwei.bureau.monitoring.models import (
    Cursor,
    Due,
    Furnace,
    FurnaceDay,
    Inquiry,
    Judgement,
    Mark,
)
from jingwei.bureau.monitoring.observations import (
    check,
    local_day,
    moment,
    read,
    seconds,
)
from jingwei.bureau.notices.services import tell
from jingwei.telemetry.lake import Lake

PERIOD = 300  # seconds of a furnace temperature
MEAN = "a01901"
OXYGEN = "a19001"
BACK = timedelta(days=8)  # marks that ended so long ago are examined with the next
BELIED = frozenset(
    {
        "temperature", "start_temperature", "end_temperature", "oxygen", "feeding", "not_below",
        "not_normal_operation",
    }
)  # fmt: skip
"""Problems in which the state contradicts the mark: these are findings, the others are for the page."""


def temperatures(
    furnace: Furnace, start: datetime, end: datetime
) -> tuple[incineration.Ints, incineration.Floats]:
    """Five-minute furnace temperatures of a span: starts (seconds) and °C (M19-3.4)."""
    lake = Lake(settings.ENV.lake)
    series = read(lake, "minute", start, end, [furnace.point])[furnace.point_id]
    check(furnace.point, series, {})
    codes = [*furnace.middle, *furnace.upper] or [MEAN]
    columns = [series[c] for c in codes if c in series]
    if not columns:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    times = np.unique(np.concatenate([c.time for c in columns]))

    def table(wanted: list[str]) -> Any:
        out = np.full((max(1, len(wanted)), len(times)), np.nan)
        for row, code in enumerate(wanted):
            if code in series:
                c = series[code]
                good = c.fault == 0
                out[row, np.searchsorted(times, c.time[good])] = c.value[good]
        return out

    if furnace.middle or furnace.upper:
        heat = incineration.furnace_temperature(table(furnace.middle), table(furnace.upper))
    else:
        heat = table([MEAN])[0]
    return incineration.five_minutes(times, heat)


def marked(rows: Iterable[Mark]) -> list[Marked]:
    """Marks as the laboratory wants them, by their order."""
    return [
        Marked(
            marking.CONDITION.get(Sort(m.sort)) or marking.ANOMALY[Sort(m.sort)],
            m.start,
            m.end,
            m.note,
            m.refractory,
            m.resent,
        )
        for m in rows
        if m.sort in marking.CONDITION or m.sort in marking.ANOMALY
    ]


def marks_of(furnace: Furnace, start: datetime, end: datetime) -> list[Mark]:
    return list(
        Mark.objects.filter(furnace=furnace, withdrawn=None, start__lt=end, end__gt=start).order_by(
            "start", "pk"
        )
    )


def states(rows: list[Mark], times: Any) -> tuple[Any, Any]:
    """Condition and anomaly codes of five-minute periods; of overlapping marks the first begun."""
    condition = np.full(len(times), int(Condition.NORMAL))
    anomaly = np.full(len(times), int(Anomaly.NONE))
    for m in reversed(rows):
        at = (times >= seconds(m.start)) & (times < seconds(m.end))
        if m.sort in marking.CONDITION:
            condition[at] = marking.CONDITION[Sort(m.sort)]
        elif m.sort in marking.ANOMALY:
            anomaly[at] = marking.ANOMALY[Sort(m.sort)]
    return condition, anomaly


# Furnace days -----------------------------------------------------------------------------------


def work(now: datetime, limit: int = 400) -> int:
    """Count the furnace days that are due and hold the marks against the state; how many days."""
    due = list(
        Due.objects.filter(what=Due.What.FURNACE, after__lte=now).order_by("after", "pk")[:limit]
    )
    if not due or _waiting():
        return 0
    days: dict[int, dict[datetime, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in due:
        days[row.point_id][row.time].append(row.pk)
    furnaces = Furnace.objects.filter(point__in=days).select_related(
        "point", "outlet__enterprise__region"
    )
    for furnace in furnaces:
        own = days[furnace.point_id]
        examine(furnace, min(own), max(own) + timedelta(days=1))
        for start, rows in sorted(own.items()):
            # The lake is read first: whoever writes meanwhile waits for one day's rows, not for
            # the telegrams of hundreds of days.
            series = temperatures(furnace, start, start + timedelta(days=1))
            with transaction.atomic():
                Due.objects.filter(pk__in=rows).delete()
                _count(furnace, start, series, now)
    # Those whose furnace is gone.
    Due.objects.filter(pk__in=[row.pk for row in due]).delete()
    return len(due)


def _waiting() -> bool:
    """Whether hours wait to be judged: a day is counted when they are."""
    cursor = Cursor.objects.filter(name="judge-hour").first()
    return bool(Lake(settings.ENV.lake).changes(cursor.batch if cursor else 0, "hour", 1))


def _count(
    furnace: Furnace,
    start: datetime,
    series: tuple[incineration.Ints, incineration.Floats],
    now: datetime,
) -> None:
    end = start + timedelta(days=1)
    times, heat = series
    gaps, device = unexcused.hours(furnace, start, now)
    known = FurnaceDay.objects.filter(furnace=furnace, day=local_day(start)).exists()
    if not (len(times) or gaps or device or known):
        return
    rows = [m for m in marks_of(furnace, start, end) if marking.timely(m, start)]
    condition, anomaly = states(rows, times)
    below = incineration.below_temperature(heat, condition, anomaly)
    cold = heat < incineration.LEAST_TEMPERATURE
    free = heat[(condition == Condition.NORMAL)]
    FurnaceDay.objects.update_or_create(
        furnace=furnace,
        day=local_day(start),
        defaults={
            "periods": len(times),
            "below": int(below.sum()),
            "marked": int((cold & ~below).sum()),
            "lowest": float(free.min()) if len(free) else None,
            "unexcused": len(gaps),
            "missing": unexcused.summary(gaps, device),
        },
    )
    unexcused.tell(furnace, start, gaps, now)
    _temperature_finding(furnace, start, times[below], heat[below])


def _temperature_finding(furnace: Furnace, start: datetime, times: Any, heat: Any) -> None:
    """More than five five-minute means below 850 °C in a day (Order 10 art. 11)."""
    key = f"furnace/{furnace.pk}/{local_day(start):%Y%m%d}"
    over = len(times) > incineration.COUNT_BELOW
    if not over and not Finding.objects.filter(episode=key).exists():
        return
    point = furnace.point
    with translation.override("zh-hans"):
        notice(
            kind=Kind.EXCEEDANCE,
            episode=key,
            title=_("%(place)s: furnace temperature below 850 °C more than five times a day")
            % {"place": f"{point.enterprise or point.name} {furnace.name}"},
            region=point.region_id,
            longitude=point.longitude,
            latitude=point.latitude,
            began=moment(int(times[0])) if over else start,
            ended=moment(int(times[-1]) + PERIOD) if over else start + timedelta(days=1),
            severity=3,
            enterprise=point.enterprise,
            point=point,
            facts={
                "factor": MEAN,
                "period": "five_minutes",
                "periods": len(times),
                "lowest": float(heat.min()) if len(heat) else None,
                "limit": incineration.LEAST_TEMPERATURE,
                "unit": "℃",
                "lower_bound": True,
                "source": "MEE Order 10 art. 7, 11; Air Act art. 117 (7)",
                "verified": "verified",
            },
            innocent=[
                _("Thermocouples are coked or broken and were not marked in time."),
                _("Start-up or shut-down that was not marked in time."),
            ],
            next_check=_(
                "Compare the thermocouples of both sections with the control system; check feeding,"
                " burners and marks of this day."
            )
            if over
            else _("The values were corrected and no exceedance stands; verify, then dismiss."),
            confidence=_("Full text of the order; five-minute means from the telegrams."),
        )


def problems(furnace: Furnace, start: datetime, end: datetime) -> list[tuple[Mark, Problem]]:
    """What speaks against the marks that touch a span: order, durations, temperatures, oxygen, notes."""
    rows = marks_of(furnace, start - BACK, end)
    if not rows:
        return []
    low, high = min(m.start for m in rows), max(m.end for m in rows)
    times, heat = temperatures(furnace, low, high)
    readings = Readings(
        [moment(t) for t in times.tolist()],
        heat,
        _oxygen(furnace, times, low, high),
        ambient_o2=furnace.ambient_o2,
    )
    own = [m for m in rows if m.sort in marking.CONDITION or m.sort in marking.ANOMALY]
    made = marked(own)
    said = {id(x): m for x, m in zip(made, own, strict=True)}
    found = incineration.examine(made, readings)
    return [(said[id(p.marked)], p) for p in found if p.marked.start < end and p.marked.end > start]


def _oxygen(furnace: Furnace, times: Any, start: datetime, end: datetime) -> Any:
    """The valid oxygen of each period's hour, NaN for none."""
    by_hour = {
        seconds(when): cell["value"]
        for when, factors in Judgement.objects.filter(
            point__outlet=furnace.outlet_id,
            period="hour",
            stands=True,
            time__gte=start - timedelta(hours=1),
            time__lt=end,
        ).values_list("time", "factors")
        if (cell := factors.get(OXYGEN)) and not cell.get("fault") and cell["value"] is not None
    }
    return np.array([by_hour.get(t // 3600 * 3600, np.nan) for t in times.tolist()])


def examine(furnace: Furnace, start: datetime, end: datetime) -> int:
    """Make a finding of every mark that the state contradicts; how many problems there were."""
    found = [(m, p) for m, p in problems(furnace, start, end) if p.key in BELIED]
    point = furnace.point
    for mark, problem in found:
        with transaction.atomic(), translation.override("zh-hans"):
            notice(
                kind=Kind.FALSIFICATION,
                episode=f"mark/{mark.pk}/{problem.rule}/{problem.key}"[:120],
                title=_("%(place)s: mark “%(mark)s” contradicts the state of the furnace")
                % {
                    "place": f"{point.enterprise or point.name} {furnace.name}",
                    "mark": mark.get_sort_display(),
                },
                region=point.region_id,
                longitude=point.longitude,
                latitude=point.latitude,
                began=mark.start,
                ended=mark.end,
                enterprise=point.enterprise,
                point=point,
                facts={"mark": mark.pk, "rule": problem.rule, "problem": problem.key,
                       **problem.numbers},
                innocent=[
                    _("The times of the mark were entered wrongly."),
                    _("A sensor was broken or its reading delayed."),
                ],
                next_check=_("Compare the mark with the operating records and the control system."),
                confidence=_("Rule read in full; a person must establish that the mark is false."),
            )  # fmt: skip
    return len(found)


# Inquiries --------------------------------------------------------------------------------------

_CODES = frozenset(incineration.FACTORS.values())


def inquire(changed: Iterable[Any], now: datetime) -> None:
    """Ask about suspicious hours of incinerators among the drafts of a judgement, and withdraw what
    a correction cleared up. An hour is found when it ends (M19-5.2: within one hour)."""
    drafts = [d for d in changed if d.point.outlet_id]
    furnaces: dict[int, list[Furnace]] = defaultdict(list)
    for furnace in Furnace.objects.filter(outlet__in={d.point.outlet_id for d in drafts}):
        furnaces[furnace.outlet_id].append(furnace)
    if not furnaces:
        return
    drafts = [d for d in drafts if d.point.outlet_id in furnaces]
    unexcused.again(furnaces, drafts, now)
    there = {
        (i.furnace_id, seconds(i.time), i.factor, str(i.why)): i
        for i in Inquiry.objects.filter(
            furnace__in=[f for found in furnaces.values() for f in found],
            time__in={d.time for d in drafts},
        )
    }
    new = []
    for d in drafts:
        wanted = {
            (code, why) for code in _CODES & d.factors.keys() for why in _why(d.factors[code])
        }
        for furnace in furnaces[d.point.outlet_id]:
            for code, why in wanted:
                if (furnace.pk, d.second, code, why) not in there:
                    found = d.time + timedelta(hours=1)
                    new.append(
                        Inquiry(furnace=furnace, time=d.time, factor=code, why=why, found=found)
                    )
            for (pk, second, code, why), row in there.items():
                if (pk, second) == (furnace.pk, d.second):
                    void = (code, why) not in wanted
                    if void != row.void:
                        row.void = void
                        row.save(update_fields=["void"])
    Inquiry.objects.bulk_create(new, ignore_conflicts=True)


def _why(cell: dict[str, Any]) -> Iterable[str]:
    fault = cell.get("fault", 0)
    if fault & Fault.MARK or cell["value"] is None:
        return
    if cell["value"] == 0:
        yield Inquiry.Why.ZERO.value
    elif fault & Fault.FLAT:
        yield Inquiry.Why.CONSTANT.value
    if fault & Fault.OVER_RANGE:
        yield Inquiry.Why.RANGE.value
    if "sample" not in cell and any(
        v[0] == Verdict.EXCEEDED for v in cell.get("limits", {}).values()
    ):
        yield Inquiry.Why.EXCEEDED.value


@transaction.atomic
def follow(now: datetime) -> int:
    """Order what was not marked within an hour, and tell the enterprise; how many."""
    rows = list(
        Inquiry.objects.select_for_update(of=("self",))
        .filter(void=False, marked=None, ordered=None, found__lte=now - incineration.MARK_WITHIN)
        .select_related("furnace__outlet__enterprise")[:500]
    )
    by_furnace: dict[Furnace, int] = defaultdict(int)
    for row in rows:
        row.ordered = row.found + incineration.MARK_WITHIN
        by_furnace[row.furnace] += row.ordered + incineration.ANSWER_WITHIN > now
    Inquiry.objects.bulk_update(rows, ["ordered"], batch_size=500)
    for furnace, count in by_furnace.items():
        if count:
            tell(
                User.objects.filter(
                    role=Role.ENTERPRISE, enterprise_code=furnace.outlet.enterprise.uscc
                ),
                _ASK,
                kind="turn",
                url=furnace.get_absolute_url(),
                key=f"inquiry/{furnace.pk}/{int(now.timestamp()) // 3600}",
                now=now,
            )
    return len(rows)


_ASK = gettext_lazy(
    "Suspicious hours of a furnace were not marked in time: answer within six hours."
)


def standing(inquiry: Inquiry, now: datetime) -> tuple[incineration.Duty, datetime]:
    """Where an inquiry stands on the way of M19-5.2, and the time that matters."""
    return incineration.duty(
        now,
        inquiry.found,
        marked=inquiry.marked,
        ordered=inquiry.ordered,
        answered=inquiry.answered,
    )


def year_start(now: datetime) -> datetime:
    return timezone.localtime(now).replace(
        month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
