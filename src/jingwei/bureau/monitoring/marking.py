"""What enterprises' marks do to the judgement: reading them, and their effect on each hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from django.db.models import Q
from django.utils import timezone

from jingwei.analysis import incineration, marks
from jingwei.analysis.incineration import Anomaly, Condition
from jingwei.bureau.monitoring.models import Furnace, Judgement, Mark
from jingwei.bureau.monitoring.observations import HOUR, local_day, moment, seconds
from jingwei.bureau.registry.models import Enterprise, Outlet, Point
from jingwei.standards import formulas
from jingwei.standards.formulas import AIR_O2

Sort = Mark.Sort
DEVICE = frozenset({Sort.DEVICE_FAULT, Sort.DEVICE_UPKEEP, Sort.DEVICE_TRIAL, Sort.MAINTENANCE})
PHASE = {
    Sort.COLD_START: "cold_start",
    Sort.WARM_START: "warm_start",
    Sort.SHUTDOWN: "stop",
}
CONDITION = {
    Sort.BAKE: Condition.BAKE,
    Sort.START: Condition.START,
    Sort.STOP: Condition.STOP,
    Sort.COOL: Condition.COOL,
    Sort.IDLE: Condition.IDLE,
    Sort.FAULT: Condition.FAULT,
    Sort.ACCIDENT: Condition.ACCIDENT,
}
ANOMALY = {
    Sort.MAINTENANCE: Anomaly.MAINTENANCE,
    Sort.NO_LINK: Anomaly.NO_LINK,
    Sort.TEMPERATURE: Anomaly.TEMPERATURE,
    Sort.THERMOCOUPLE: Anomaly.THERMOCOUPLE,
}
INDUSTRY = {
    Enterprise.Industry.THERMAL_POWER: "power",
    Enterprise.Industry.CEMENT: "cement",
    Enterprise.Industry.INCINERATION: "waste_incineration",
    Enterprise.Industry.PAPER: "paper",
    Enterprise.Industry.HEATING: "boiler",
    Enterprise.Industry.CERAMICS: "ceramic",
}
"""Industries of the registry as `start_stop.csv` and `marks.INDUSTRIES` name them. Steel is not among
them: only its sintering machines have a window, and an outlet says so by its facility."""
FACILITY = {
    Outlet.Facility.POWER_UNIT: "power",
    Outlet.Facility.BOILER: "boiler",
    Outlet.Facility.CEMENT_KILN: "cement",
    Outlet.Facility.SINTER: "sinter",
    Outlet.Facility.CERAMIC_KILN: "ceramic",
    Outlet.Facility.OTHER: "",
}
MOVING = frozenset({Condition.START, Condition.STOP, Condition.FAULT, Condition.ACCIDENT})
PM = incineration.FACTORS["pm"]
OXYGEN = "a19001"


def hours(start: datetime, end: datetime) -> range:
    """The starts (seconds) of all hours that a span touches."""
    return range(seconds(start) // HOUR * HOUR, -(-seconds(end) // HOUR) * HOUR, HOUR)


@dataclass
class Effects:
    """What marks do to the hours of one outlet, by second: `device` makes what is measured invalid,
    `exempt` keeps it from being a basis (factors; empty: all)."""

    device: dict[int, int] = field(default_factory=dict)
    exempt: dict[int, list[tuple[int, frozenset[str]]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def is_exempt(self, second: int, factor: str) -> int | None:
        """The mark that exempts a value, None where none does."""
        for number, factors in self.exempt.get(second, ()):
            if not factors or factor in factors:
                return number
        return None


def branch(outlet: Outlet) -> str:
    """Whose start-up and shut-down windows hold at an outlet: those of its facility, else of its
    enterprise's industry; "" where none is known."""
    if outlet.facility:
        return FACILITY[Outlet.Facility(outlet.facility)]
    return INDUSTRY.get(outlet.enterprise.industry, "")  # type: ignore[call-overload,no-any-return]


def binds(outlet: Outlet, day: date) -> bool:
    """Whether Announcement 2022-21 is in force for an outlet on a day, by its enterprise's industry or
    its own facility (M22-10)."""
    own = INDUSTRY.get(outlet.enterprise.industry, "")  # type: ignore[call-overload]
    return marks.applies(own, day) or marks.applies(branch(outlet), day)


def excuses(mark: Mark, day: date) -> bool:
    """Whether a device mark makes data of a day invalid: those of a furnace by Announcement 2019-50,
    the others where Announcement 2022-21 is in force (M22-6, M22-10)."""
    return mark.sort == Sort.MAINTENANCE or binds(mark.outlet, day)


def timely(mark: Mark, when: datetime) -> bool:
    """Whether a mark was set by 12:00 of the day after the data of `when` (M22-5)."""
    return mark.at <= marks.due(local_day(when))


def counted(mark: Mark) -> list[int]:
    """The hours that a mark touches and was set for in time."""
    return [s for s in hours(mark.start, mark.end) if timely(mark, moment(s))]


def standing(
    outlets: Iterable[int | None], start: datetime, end: datetime
) -> dict[int, list[Mark]]:
    """The marks that stand and touch the span, by outlet."""
    found: dict[int, list[Mark]] = defaultdict(list)
    for mark in (
        Mark.objects.filter(
            outlet__in=[o for o in outlets if o], withdrawn=None, start__lt=end, end__gt=start
        )
        .select_related("outlet__enterprise")
        .order_by("start", "pk")
    ):
        found[mark.outlet_id].append(mark)
    return found


def effects(
    point: Point,
    rows: list[Mark],
    furnaces: list[Furnace],
    cells: Mapping[int, Mapping[str, Any]],
) -> Effects:
    """What the marks of the point's outlet do. `cells`: stored cells of the hours at hand, by second,
    for the particles that decide about the exemption account.

    A device mark that was set in time makes data invalid (M22-6) in the industries for which the
    announcement is in force (M22-10); a condition mark exempts within the window of its facility where the facilities met the requirements; the marks of a furnace
    exempt by its accounts (Order 10 art. 10), of an outlet with several furnaces where all do.
    """
    found = Effects()
    assert point.outlet is not None
    industry = branch(point.outlet)
    for mark in rows:
        if mark.sort in DEVICE:
            for second in counted(mark):
                if excuses(mark, local_day(moment(second))):
                    found.device.setdefault(second, mark.pk)
        elif (phase := PHASE.get(Sort(mark.sort))) and mark.facilities:
            good = set(counted(mark))
            window = marks.window(industry, phase)
            if window is None:
                continue
            since = np.arange(len(hours(mark.start, mark.end)), dtype=float)
            factors = frozenset(window.factors)
            free = marks.not_judged(
                industry, phase, next(iter(factors), ""), since, grounds=mark.grounds
            )
            for second, yes in zip(hours(mark.start, mark.end), free, strict=True):
                if yes and second in good:
                    found.exempt[second].append((mark.pk, factors))
    own = [m for m in rows if m.furnace_id]
    if furnaces and own:
        each = []
        for furnace in furnaces:
            books = account(furnace, min(m.start for m in own), max(m.end for m in own), cells)
            each.append(
                {s: books.by[s] for s, yes in zip(books.time, books.exempt, strict=True) if yes}
            )
        for second in set(each[0]).intersection(*each[1:]):
            found.exempt[second].append((each[0][second], frozenset()))
    return found


# The accounts of a furnace ----------------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """The marked hours of a furnace in whole years: starts (seconds), codes, and the accounts."""

    time: list[int]
    condition: list[int]
    anomaly: list[int]
    pm: list[float]
    by: dict[int, int]  # the condition mark of an hour
    accounts: incineration.Accounts

    @property
    def exempt(self) -> list[bool]:
        return [bool(x) for x in self.accounts.exempt]


def account(
    furnace: Furnace,
    start: datetime,
    end: datetime,
    cells: Mapping[int, Mapping[str, Any]] | None = None,
) -> Books:
    """The exemption accounts of the calendar years that the span touches (`incineration.accounts`).

    Where several condition marks touch an hour the first begun counts. `cells`: of hours that are
    being judged just now; of all others what stands is read.
    """
    first = timezone.localtime(start).replace(
        month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    last = first.replace(year=timezone.localtime(end).year + 1)
    rows = list(
        Mark.objects.filter(
            furnace=furnace, withdrawn=None, start__lt=last, end__gt=first
        ).order_by("start", "pk")
    )
    condition: dict[int, int] = {}
    anomaly: dict[int, int] = {}
    by: dict[int, int] = {}
    low, high = seconds(first), seconds(last)
    for mark in rows:
        for second in counted(mark):
            if not low <= second < high:
                continue
            if mark.sort in CONDITION:
                if second not in condition:
                    condition[second], by[second] = CONDITION[Sort(mark.sort)], mark.pk
            elif mark.sort in ANOMALY:
                anomaly.setdefault(second, ANOMALY[Sort(mark.sort)])
    times = sorted({*condition, *anomaly})
    moving = [s for s in times if condition.get(s) in MOVING]
    dust = particles(furnace, moving, cells or {})
    local = [timezone.localtime(moment(s)) for s in times]
    pm = [dust.get(s, float("nan")) for s in times]
    conditions = [condition.get(s, 0) for s in times]
    anomalies = [anomaly.get(s, 0) for s in times]
    return Books(
        times,
        conditions,
        anomalies,
        pm,
        by,
        incineration.accounts(
            np.array(conditions, dtype=int),
            np.array(anomalies, dtype=int),
            np.array(pm),
            np.array([t.year for t in local], dtype=int),
            np.array([t.year * 10 + (t.month - 1) // 3 + 1 for t in local], dtype=int),
        ),
    )


def particles(
    furnace: Furnace, times: list[int], cells: Mapping[int, Mapping[str, Any]]
) -> dict[int, float]:
    """Hourly means of particles (mg/m³ at 11 % O2, or as measured where oxygen says nothing)."""
    missing = [moment(s) for s in times if s not in cells]
    stored: dict[int, Mapping[str, Any]] = {s: cells[s] for s in times if s in cells}
    for at in range(0, len(missing), 400):
        for when, factors in Judgement.objects.filter(
            Q(point__outlet=furnace.outlet_id),
            period="hour",
            stands=True,
            time__in=missing[at : at + 400],
        ).values_list("time", "factors"):
            if PM in factors:
                stored[seconds(when)] = factors
    out = {}
    for second, factors in stored.items():
        cell, air = factors.get(PM), factors.get(OXYGEN)
        if cell is None or cell["value"] is None or cell.get("fault"):
            continue
        value = float(cell["value"])
        if air and not air.get("fault") and air["value"] is not None and 0 <= air["value"] < AIR_O2:
            value = float(formulas.to_reference_o2(value, air["value"], 11.0))
        out[second] = value
    return out
