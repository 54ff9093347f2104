"""Waste incineration power plants: MEE Order 10 and the marking rules of Announcement 2019-50.

Everything is per furnace. Sources: "O10-…" are articles of 《生活垃圾焚烧发电厂自动监测数据应用管理规定》
(MEE Order 10, 2019), "M19-…" clauses of 《生活垃圾焚烧发电厂自动监测数据标记规则》 (Announcement 2019-50);
both were read in full (`standards/data/rules.csv`). Where the texts leave something open, the
docstring says what was chosen.

Hours and five-minute periods are consecutive ones of local time, named by their start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from jingwei.analysis.compliance import Verdict
from jingwei.standards import limits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST_TEMPERATURE: Final = 850.0  # °C, O10-7
COLD: Final = 400.0  # °C, M19-4.1
COUNT_BELOW: Final = 5  # more of them in a day are a violation, O10-11
DAYS_OVER: Final = 5  # from so many a month on: production limited or stopped, O10-10a
PM_EXEMPT: Final = 150.0  # mg/m³, hourly, O10-10b
HOURS_START_STOP: Final = 60  # a furnace and year, O10-10b
HOURS_BAKE_COOL: Final = 700  # a furnace and year, O10-10c
HOURS_MAINTENANCE: Final = 30  # a furnace and quarter, O10-12
MARK_WITHIN: Final = timedelta(hours=1)  # M19-5.2
ANSWER_WITHIN: Final = timedelta(hours=6)  # M19-5.2
VALID_HOURS: Final = 20  # of a day, HJ 212-2017 App. D

FACTORS: Final = MappingProxyType(
    {"pm": "a34013", "nox": "a21002", "so2": "a21026", "hcl": "a21024", "co": "a21005"}
)
"""The five pollutants of O10-6, with their codes of HJ 212-2017."""


class Condition(IntEnum):
    """State of a furnace: the seven condition marks, NORMAL without mark (M19-4.1)."""

    NORMAL = 0
    BAKE = 1  # 烘炉
    START = 2  # 启炉
    STOP = 3  # 停炉
    COOL = 4  # 停炉降温
    IDLE = 5  # 停运
    FAULT = 6  # 故障
    ACCIDENT = 7  # 事故


class Anomaly(IntEnum):
    """What is wrong with the monitoring: the four anomaly marks (M19-4.2)."""

    NONE = 0
    MAINTENANCE = 1  # CEMS维护
    NO_LINK = 2  # 通讯中断
    TEMPERATURE = 3  # 炉温异常
    THERMOCOUPLE = 4  # 热电偶故障


_CONDITIONS: Final = ("正常运行", "烘炉", "启炉", "停炉", "停炉降温", "停运", "故障", "事故")
_ANOMALIES: Final = ("", "CEMS维护", "通讯中断", "炉温异常", "热电偶故障")


def zh(mark: Condition | Anomaly) -> str:
    """The mark as the announcement writes it.

    >>> zh(Condition.BAKE), zh(Anomaly.MAINTENANCE)
    ('烘炉', 'CEMS维护')
    """
    return _CONDITIONS[mark] if isinstance(mark, Condition) else _ANOMALIES[mark]


# Furnace temperature ----------------------------------------------------------------------------


def furnace_temperature(middle: npt.ArrayLike, upper: npt.ArrayLike) -> Floats:
    """The furnace's temperature: mean of the medians of the middle and the upper section (M19-3.4).

    Both (thermocouples, n) in °C, NaN for a broken one; (n,) comes back, NaN where a section has
    no reading: one section alone does not stand for both.

    >>> furnace_temperature([[900.0], [910.0], [100.0]], [[860.0], [870.0], [880.0]]).tolist()
    [885.0]
    """
    return (_median(middle) + _median(upper)) / 2


def _median(readings: npt.ArrayLike) -> Floats:
    x = np.sort(np.atleast_2d(np.asarray(readings, dtype=np.float64)), axis=0)  # NaN goes last
    n = np.isfinite(x).sum(axis=0)
    at = np.arange(x.shape[1])
    low, high = np.maximum(n - 1, 0) // 2, n // 2
    both = (x[low, at] + x[np.minimum(high, len(x) - 1), at]) / 2
    return np.where(n > 0, both, np.nan)


def five_minutes(time: npt.ArrayLike, temperature: npt.ArrayLike) -> tuple[Ints, Floats]:
    """Five-minute means (M19-3.4) of temperatures (n,) at `time` (seconds): starts and means.

    NaN readings are left out; a period without any reading is absent.
    """
    t = np.asarray(time, dtype=np.int64)
    c = np.asarray(temperature, dtype=np.float64)
    some = np.isfinite(c)
    start, group = np.unique(t[some] // 300 * 300, return_inverse=True)
    order = np.lexsort((c[some], group))
    if not len(start):
        return start, np.zeros(0)
    first = np.flatnonzero(np.diff(np.concatenate(([-1], group[order]))))
    return start, np.add.reduceat(c[some][order], first) / np.bincount(group)


def below_temperature(
    temperature: npt.ArrayLike, condition: npt.ArrayLike, anomaly: npt.ArrayLike
) -> Bools:
    """Which five-minute means count as below 850 °C (O10-7, O10-11); all (n,).

    `condition`, `anomaly`: codes of the same periods. Counted is normal operation alone, so no
    period with a condition mark; none marked 炉温异常 (O10-11); and none with a broken thermocouple,
    whose reading is no temperature (M19-4.2).
    """
    c = np.asarray(temperature, dtype=np.float64)
    what = np.asarray(anomaly)
    counted = (np.asarray(condition) == Condition.NORMAL) & ~np.isin(
        what, (Anomaly.TEMPERATURE, Anomaly.THERMOCOUPLE)
    )
    return np.asarray((c < LEAST_TEMPERATURE) & counted, dtype=bool)


def temperature_days(below: npt.ArrayLike, day: npt.ArrayLike) -> dict[int, int]:
    """Days with more than five counted five-minute means below 850 °C, with their number (O10-11)."""
    days, number = np.unique(np.asarray(day)[np.asarray(below, dtype=bool)], return_counts=True)
    return {int(d): int(n) for d, n in zip(days, number, strict=True) if n > COUNT_BELOW}


# Accounts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accounts:
    """The exemption accounts of one furnace, all arrays (n,) of hours.

    `exempt`: pollutants above their limit are no exceedance in this hour (O10-10b, c, d);
    `excused`: missing or invalid data are no offence in this hour (O10-12); `start_stop`,
    `bake_cool`, `maintenance`: hours used so far of 60, 700 (calendar year) and 30 (quarter).
    """

    exempt: Bools
    excused: Bools
    start_stop: Ints
    bake_cool: Ints
    maintenance: Ints


def accounts(
    condition: npt.ArrayLike,
    anomaly: npt.ArrayLike,
    pm: npt.ArrayLike,
    year: npt.ArrayLike,
    quarter: npt.ArrayLike,
) -> Accounts:
    """Book the marked hours of one furnace; all arrays (n,), hours in their order.

    `condition`, `anomaly`: codes; `pm`: hourly mean of particles, mg/m³; `year`, `quarter`: labels
    (2026; 20261). An hour of 启炉, 停炉, 故障 or 事故 is exempt, and counts, where its particles are
    known and at most 150 mg/m³ (O10-10b); the 61st in a year is not. Hours of 烘炉 and 停炉降温 are
    exempt up to 700 (O10-10c), those of 停运 always (O10-10d). CEMS维护 excuses missing data up to 30
    hours a quarter, 停运 always (O10-12).
    """
    state, what = np.asarray(condition), np.asarray(anomaly)
    dust = np.asarray(pm, dtype=np.float64)
    moving = np.isin(state, (Condition.START, Condition.STOP, Condition.FAULT, Condition.ACCIDENT))
    clean = np.asarray(moving & (dust <= PM_EXEMPT), dtype=bool)
    heating = np.asarray(np.isin(state, (Condition.BAKE, Condition.COOL)), dtype=bool)
    idle = np.asarray(state == Condition.IDLE, dtype=bool)
    tended = np.asarray((what == Anomaly.MAINTENANCE) & ~idle, dtype=bool)
    start_stop = _used(clean, np.asarray(year))
    bake_cool = _used(heating, np.asarray(year))
    maintenance = _used(tended, np.asarray(quarter))
    return Accounts(
        exempt=(clean & (start_stop <= HOURS_START_STOP))
        | (heating & (bake_cool <= HOURS_BAKE_COOL))
        | idle,
        excused=(tended & (maintenance <= HOURS_MAINTENANCE)) | idle,
        start_stop=start_stop,
        bake_cool=bake_cool,
        maintenance=maintenance,
    )


def _used(counted: Bools, label: npt.NDArray[np.generic]) -> Ints:
    """Running number of counted hours, anew with each label."""
    running = np.cumsum(counted)
    begins = np.flatnonzero(np.concatenate(([True], label[1:] != label[:-1])))[: len(label)]
    before = np.concatenate(([0], running))[begins]
    lengths = np.diff(np.append(begins, len(label)))
    return np.asarray(running - np.repeat(before, lengths), dtype=np.int64)


# Daily means ------------------------------------------------------------------------------------


@cache
def day_limits() -> Mapping[str, float]:
    """24-hour limits of GB 18485-2014, mg/m³ at 11 % O2, by the keys of `FACTORS`.

    How sure they are stands in `standards.limits` (secondary: two peers agree).
    """
    found = {}
    for key, code in FACTORS.items():
        (row,) = limits.find(standard="GB 18485-2014", factor=code, period="day")
        found[key] = float(row.value)
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Days:
    """Daily means of one pollutant of one furnace, all arrays (m,) of days.

    `value`: mean of all valid hours; `counted`: mean of those that are not exempt (NaN: none, or
    fewer than 20 of them);
    `hours`: valid ones; `verdict`: codes of `Verdict` (NONE: fewer than 20 valid hours).
    """

    day: npt.NDArray[np.generic]
    value: Floats
    counted: Floats
    hours: Ints
    verdict: npt.NDArray[np.int8]


def judge_days(
    value: npt.ArrayLike, exempt: npt.ArrayLike, day: npt.ArrayLike, limit: float
) -> Days:
    """Daily means of converted hourly values against the 24-hour limit (O10-6); all (n,).

    `value`: valid hourly means, mg/m³ at 11 % O2 (NaN: not valid); `exempt`: of `accounts`; `day`:
    a label an hour. A day needs 20 valid hours (HJ 212-2017). How the exempt hours are taken out of
    a daily mean is not said: a day exceeds here only where it does so with them and without them, and
    without them it has a mean where 20 are left.
    """
    v, label = np.asarray(value, dtype=np.float64), np.asarray(day)
    days, group = np.unique(label, return_inverse=True)
    free = np.asarray(exempt, dtype=bool)
    whole, hours = _means(v, np.isfinite(v), group, len(days))
    rest, left = _means(v, np.isfinite(v) & ~free, group, len(days))
    rest = np.where(left < VALID_HOURS, np.nan, rest)
    over = (whole > limit) & (rest > limit)
    verdict = np.where(hours < VALID_HOURS, Verdict.NONE, np.where(over, Verdict.EXCEEDED, 1))
    return Days(days, whole, rest, hours, verdict.astype(np.int8))


def _means(v: Floats, use: npt.NDArray[np.bool_], group: Ints, m: int) -> tuple[Floats, Ints]:
    at = np.flatnonzero(use)
    at = at[np.lexsort((v[at], group[at]))]
    n = np.bincount(group[at], minlength=m).astype(np.int64)
    total = np.bincount(group[at], weights=v[at], minlength=m)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan), n


def exceedance_days(verdicts: Sequence[npt.ArrayLike]) -> Bools:
    """Days on which any of the pollutants exceeds: one day is one, however many do (O10-6)."""
    return np.asarray(
        np.any([np.asarray(v) == Verdict.EXCEEDED for v in verdicts], axis=0), dtype=bool
    )


def stop_months(exceeded: npt.ArrayLike, month: npt.ArrayLike) -> dict[int, int]:
    """Months with five or more exceedance days, with their number: production is to be limited or
    stopped (O10-10a: 累计超标5天以上; in Chinese law 以上 includes the number).
    """
    months, n = np.unique(np.asarray(month)[np.asarray(exceeded, dtype=bool)], return_counts=True)
    return {int(k): int(c) for k, c in zip(months, n, strict=True) if c >= DAYS_OVER}


def unexcused(valid: npt.ArrayLike, account: Accounts) -> Bools:
    """Hours whose data are missing or invalid without an excuse: the equipment was not kept working
    (O10-12; Air Act art. 100 (3)).
    """
    return np.asarray(~np.asarray(valid, dtype=bool) & ~account.excused, dtype=bool)


# Marks as a state machine -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marked:
    """One marked span of a furnace, from `start` (with) to `end` (without).

    `note`: cause, process, measures; `refractory`: a 烘炉 after work on the refractory lining;
    `resent`: the data of a 通讯中断 have been sent again.
    """

    mark: Condition | Anomaly
    start: datetime
    end: datetime
    note: str = ""
    refractory: bool = False
    resent: bool = False

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"{zh(self.mark)}: ends {self.end} before it starts {self.start}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What speaks against a mark. `rule`: id in `standards.rules`; `key`: which part of it;
    `numbers`: what was found and what is asked.
    """

    rule: str
    key: str
    marked: Marked
    numbers: Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Readings:
    """What the furnace itself says: arrays (n,) of five-minute periods, by ascending `time`.

    `time`: starts, aware; `temperature`: °C; `o2`: % of the flue gas; `feeding`: waste is fed (None:
    not known).
    """

    time: Sequence[datetime]
    temperature: Floats
    o2: Floats
    feeding: Bools | None = None
    ambient_o2: float = 20.9


# From -> to. FAULT and ACCIDENT may come at any time; what follows them, see `_follows`.
_NEXT: Final[Mapping[Condition, frozenset[Condition]]] = MappingProxyType(
    {
        Condition.NORMAL: frozenset({Condition.STOP}),
        Condition.STOP: frozenset({Condition.COOL}),
        Condition.COOL: frozenset({Condition.IDLE, Condition.BAKE}),
        Condition.IDLE: frozenset({Condition.BAKE}),
        Condition.BAKE: frozenset({Condition.START}),
        Condition.START: frozenset({Condition.NORMAL}),
    }
)
_BROKEN: Final = (Condition.FAULT, Condition.ACCIDENT)
_LONGEST: Final = {
    Condition.BAKE: timedelta(hours=12),
    Condition.START: timedelta(hours=4),
    Condition.FAULT: timedelta(hours=4),
    Condition.ACCIDENT: timedelta(hours=4),
}
_LONGEST_REFRACTORY: Final = timedelta(hours=168)


def _follows(before: Condition, last_sound: Condition, now: Condition) -> bool:
    """Whether `now` may follow `before`; `last_sound`: the last state that was no fault or accident.

    The order is that of M19-order. After a fault or accident the furnace may go on as it was, or
    go on in the order, or be shut down or heated up again (烘炉 after 故障 or 事故 is foreseen in
    M19-4.1).
    """
    if now == before or now in _BROKEN:
        return True
    if before in _BROKEN:
        again = {last_sound, Condition.STOP, Condition.COOL, Condition.IDLE, Condition.BAKE}
        return now in again | _NEXT[last_sound]
    return now in _NEXT[before]


def examine(marks: Sequence[Marked], readings: Readings) -> list[Problem]:
    """Everything that speaks against the marks of one furnace: order, durations, conditions, notes.

    Time that no condition mark covers is normal operation (M19-4.1.7). Readings that are missing
    (NaN) prove nothing. A problem accuses nobody: a false mark is evasion of supervision (O10-13)
    only once a person has established it.
    """
    conditions = sorted(
        (m for m in marks if isinstance(m.mark, Condition) and m.mark), key=lambda m: m.start
    )
    anomalies = [m for m in marks if isinstance(m.mark, Anomaly) and m.mark]
    return [
        *_overlaps(conditions),
        *_order(conditions),
        *(p for i in range(len(conditions)) for p in _condition(conditions, i, readings)),
        *(p for m in anomalies for p in _anomaly(m, conditions, readings)),
    ]


def _overlaps(marks: Sequence[Marked]) -> Iterator[Problem]:
    for a, b in pairwise(marks):
        if b.start < a.end:
            yield Problem("M19-order", "overlap", b, {"with": zh(a.mark), "until": str(a.end)})


def _order(marks: Sequence[Marked]) -> Iterator[Problem]:
    before = sound = Condition.NORMAL
    end: datetime | None = None
    for m in marks:
        now = Condition(m.mark)
        if end is None:
            # What came before the first mark is not known.
            before = sound = now if now not in _BROKEN else Condition.NORMAL
        elif m.start > end:
            if not _follows(before, sound, Condition.NORMAL):
                yield Problem("M19-order", "order", m, {"from": zh(before), "to": "正常运行"})
            before = sound = Condition.NORMAL
        if not _follows(before, sound, now):
            yield Problem("M19-order", "order", m, {"from": zh(before), "to": zh(now)})
        before, end = now, m.end
        if now not in _BROKEN:
            sound = now


def _span(m: Marked, readings: Readings) -> npt.NDArray[np.intp]:
    return np.array([i for i, t in enumerate(readings.time) if m.start <= t < m.end], dtype=np.intp)


def _condition(marks: Sequence[Marked], i: int, readings: Readings) -> Iterator[Problem]:
    m = marks[i]
    mark = Condition(m.mark)
    rule = f"M19-4.1-{zh(mark)}"
    longest = _LONGEST.get(mark)
    if mark == Condition.BAKE and m.refractory:
        longest = _LONGEST_REFRACTORY
    if longest is not None and m.end - m.start > longest:
        hours = (m.end - m.start) / timedelta(hours=1)
        yield Problem(
            rule, "duration", m, {"hours": hours, "longest": longest / timedelta(hours=1)}
        )
    if mark in _BROKEN and not m.note.strip():
        yield Problem(rule, "note", m, {})

    at = _span(m, readings)
    heat = readings.temperature[at]
    known = heat[np.isfinite(heat)]
    adjacent = marks[i - 1] if i and marks[i - 1].end == m.start else None
    follows = marks[i + 1] if i + 1 < len(marks) and marks[i + 1].start == m.end else None
    if mark in (Condition.START, Condition.STOP) and len(known) and known.min() < LEAST_TEMPERATURE:
        yield Problem(
            rule, "temperature", m, {"lowest": float(known.min()), "least": LEAST_TEMPERATURE}
        )
    if mark == Condition.BAKE:
        warm = (Condition.COOL, *_BROKEN)
        if len(known) and known[0] >= COLD and not (adjacent and adjacent.mark in warm):
            yield Problem(
                rule, "start_temperature", m, {"at_start": float(known[0]), "below": COLD}
            )
        to_start = follows is not None and follows.mark == Condition.START
        if to_start and len(known) and known[-1] < LEAST_TEMPERATURE:
            numbers = {"at_end": float(known[-1]), "least": LEAST_TEMPERATURE}
            yield Problem(rule, "end_temperature", m, numbers)
        if readings.feeding is not None and readings.feeding[at].any():
            yield Problem(rule, "feeding", m, {"periods": int(readings.feeding[at].sum())})
    if mark == Condition.COOL and len(known):
        if known[0] < LEAST_TEMPERATURE and not (adjacent and adjacent.mark in _BROKEN):
            numbers = {"at_start": float(known[0]), "least": LEAST_TEMPERATURE}
            yield Problem(rule, "start_temperature", m, numbers)
        if known[-1] > COLD and not (follows and follows.mark == Condition.BAKE):
            yield Problem(rule, "end_temperature", m, {"at_end": float(known[-1]), "most": COLD})
    if mark == Condition.IDLE:
        o2 = readings.o2[at]
        o2 = o2[np.isfinite(o2)]
        least = readings.ambient_o2 - 2
        if len(o2) and o2.min() < least:
            yield Problem(rule, "oxygen", m, {"lowest": float(o2.min()), "least": least})


def _anomaly(m: Marked, conditions: Sequence[Marked], readings: Readings) -> Iterator[Problem]:
    mark = Anomaly(m.mark)
    rule = f"M19-4.2-{zh(mark)}"
    if mark == Anomaly.NO_LINK:
        if not m.resent:
            yield Problem(rule, "not_resent", m, {})
    elif not m.note.strip():
        yield Problem(rule, "note", m, {})
    if mark == Anomaly.TEMPERATURE:
        for c in conditions:
            if c.start < m.end and m.start < c.end:
                yield Problem(rule, "not_normal_operation", m, {"condition": zh(c.mark)})
        heat = readings.temperature[_span(m, readings)]
        heat = heat[np.isfinite(heat)]
        if len(heat) and heat.min() >= LEAST_TEMPERATURE:
            yield Problem(
                rule, "not_below", m, {"lowest": float(heat.min()), "below": LEAST_TEMPERATURE}
            )


# Deadlines --------------------------------------------------------------------------------------


class Duty(IntEnum):
    """Where a suspicious value stands on the way of M19-5.2."""

    MARKED = 0  # verified and marked in time
    WAITING = 1  # the hour is not over
    ORDER = 2  # an electronic supervision order is to be issued
    ORDERED = 3  # issued, the six hours are not over
    ANSWERED = 4  # answered with marks in time
    OVERDUE = 5  # not answered in time


def duty(
    now: datetime,
    found: datetime,
    *,
    marked: datetime | None = None,
    ordered: datetime | None = None,
    answered: datetime | None = None,
) -> tuple[Duty, datetime]:
    """Where a zero, constant, over-range or exceeding value found at `found` stands, and the time
    that matters: when the present deadline ends, or when it was done (M19-5.2). Aware times.
    """
    if ordered is not None:
        due = ordered + ANSWER_WITHIN
        if answered is not None and answered <= due:
            return Duty.ANSWERED, answered
        return (Duty.ORDERED if now <= due else Duty.OVERDUE), due
    due = found + MARK_WITHIN
    if marked is not None and marked <= due:
        return Duty.MARKED, marked
    return (Duty.WAITING if now <= due else Duty.ORDER), due


EVIDENCE: Final = (
    ("temperature_5min", "炉膛温度5分钟均值"),
    ("daily_means", "自动监测日均值"),
    ("missing", "数据缺失、无效情况"),
    ("marks", "标记内容及其记录"),
    ("signature", "从设备提取数据由负责人签字确认"),
)
"""What is taken as evidence on site (O10-9): key and Chinese text."""
