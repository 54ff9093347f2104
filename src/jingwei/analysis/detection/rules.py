"""The regulator's own anomaly rules (A18-… of `standards.rules`) as a named set.

They are applied as written, with their own numbers; they are no statistics, have no false-case
budget, and many honest outlets break them. `regulator(monitor)` runs those that a monitor's columns
allow; `APPLICABLE` says which exist here and what they need, `ELSEWHERE` where the others belong.
Rules of hours are applied to rows of an hour (means of an hour where the step is shorter).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jingwei.analysis.detection import kernels
from jingwei.analysis.detection.exact import STOPPED
from jingwei.analysis.detection.finding import Finding, Words
from jingwei.analysis.detection.habit import resolution
from jingwei.analysis.detection.hits import stretches
from jingwei.analysis.detection.monitor import HOUR, Bools, Floats, Monitor
from jingwei.analysis.detection.ruled import ruled
from jingwei.standards.rules import rule as standard_rule

HALF_MONTH = 15 * 24
STEADY, STEADY_O2 = 0.1, 0.5  # of flow and load; % oxygen: what a plant that does not change moves
Broken = Iterator[tuple[str, int, int, dict[str, Any]]]  # factor, first row, last row, numbers


def hourly(monitor: Monitor) -> Monitor:
    """The monitor in hours: means of an hour with at least 45 minutes of it there (HJ 75-2017)."""
    if monitor.step >= HOUR:
        return monitor
    each = round(HOUR / monitor.step)
    first = monitor.start.replace(minute=0, second=0, microsecond=0)
    lead = round((monitor.start - first) / monitor.step)
    count = -(-(len(monitor) + lead) // each)

    def mean(x: Floats) -> Floats:
        line = np.full(count * each, np.nan)
        line[lead : lead + len(x)] = x
        block = line.reshape(count, each)
        held = (~np.isnan(block)).sum(axis=1)
        total = np.nansum(block, axis=1)
        return np.where(held >= 0.75 * each, total / np.maximum(held, 1), np.nan)

    marks = None
    if monitor.marks is not None:
        marks = {}
        for target in monitor.targets:
            sequence = monitor.mark(target)
            if sequence is None:
                continue
            padded = np.full(count * each, "", dtype=sequence.dtype)
            padded[lead : lead + len(sequence)] = sequence
            # An hour is stopped when more than half of it is marked so.
            stopped = (padded.reshape(count, each) == STOPPED).mean(axis=1) > 0.5
            marks[target] = [STOPPED if s else "" for s in stopped]
    return Monitor(
        first,
        HOUR,
        {k: mean(v) for k, v in monitor.values.items()},
        monitor.targets,
        monitor.limits,
        monitor.roles,
        monitor.reference_o2,
        marks,
    )


def _producing(m: Monitor, target: str) -> Bools:
    """Hours of normal production: not marked as stopped, O2 below 20 % where measured."""
    marks = m.mark(target)
    on = np.ones(len(m), dtype=bool) if marks is None else marks != STOPPED
    for name in m.having("o2"):
        on &= ~(m.values[name] > 20.0)
    return on


def missing_hours(m: Monitor) -> Broken:
    """A18-1: an hour missing for more than 168 h without re-send."""
    for t in m.targets:
        for a, b in stretches(np.isnan(m.values[t])):
            if b - a + 1 > 168:
                yield t, a, b, {"hours": b - a + 1}


def constant(m: Monitor) -> Broken:
    """A18-3: equal and >= 0 for 4 h in production; or within 5 % for half a month."""
    for t in [*m.targets, *m.having("o2", "flow", "raw")]:
        y = m.values[t]
        on = _producing(m, m.targets[0])
        runs = kernels.runs(np.where(on & (y >= 0), y, np.nan))
        for last in np.flatnonzero((runs >= 4) & np.r_[runs[1:] <= 1, True]).tolist():
            yield (
                t,
                last - int(runs[last]) + 1,
                last,
                {"hours": int(runs[last]), "value": float(y[last])},
            )
        yield from _flat(t, np.where(on, y, np.nan))


def _flat(t: str, y: Floats) -> Broken:
    for begin in range(0, len(y) - HALF_MONTH + 1, 24):
        part = y[begin : begin + HALF_MONTH]
        part = part[~np.isnan(part)]
        if len(part) < 0.9 * HALF_MONTH:
            continue
        middle = float(part.mean())
        if middle > 0 and np.abs(part - middle).max() <= 0.05 * middle:
            yield (
                t,
                begin,
                begin + HALF_MONTH - 1,
                {"mean": middle, "largest_deviation": float(np.abs(part / middle - 1).max())},
            )
            return


def negative(m: Monitor) -> Broken:
    """A18-3.1: below 0 in normal production."""
    for t in [*m.targets, *m.having("o2", "flow", "raw")]:
        for a, b in stretches((m.values[t] < 0) & _producing(m, m.targets[0])):
            yield t, a, b, {"lowest": float(m.values[t][a : b + 1].min())}


def no_link(m: Monitor) -> Broken:
    """A18-3.3: no factor of the point reports."""
    nothing = np.all([np.isnan(v) for v in m.values.values()], axis=0)
    for a, b in stretches(nothing):
        yield m.targets[0], a, b, {"hours": b - a + 1}


def _over(m: Monitor, t: str) -> Bools:
    limit = m.limits.get(t)
    if limit is None:
        return np.zeros(len(m), dtype=bool)
    return (m.values[t] > limit) & _producing(m, t)


def short_exceedance(m: Monitor) -> Broken:
    """A18-6: an hourly mean above the standard in production."""
    for t in m.targets:
        for a, b in stretches(_over(m, t)):
            yield (
                t,
                a,
                b,
                {"highest": float(np.nanmax(m.values[t][a : b + 1])), "limit": m.limits[t]},
            )


def _days(m: Monitor) -> Iterator[tuple[int, int]]:
    first = (24 - m.start.hour) % 24
    for begin in range(first, len(m) - 23, 24):
        yield begin, begin + 23


def long_exceedance(m: Monitor) -> Broken:
    """A18-7: more than 3 hourly exceedances in a day."""
    for t in m.targets:
        over = _over(m, t)
        for a, b in _days(m):
            if over[a : b + 1].sum() > 3:
                yield t, a, b, {"hours": int(over[a : b + 1].sum()), "limit": m.limits[t]}


def daily_mean(m: Monitor) -> Broken:
    """A18-8: daily mean (of at least 20 valid hours, HJ 75-2017) above the standard."""
    for t in m.targets:
        if t not in m.limits:
            continue
        y = np.where(_producing(m, t), m.values[t], np.nan)
        for a, b in _days(m):
            part = y[a : b + 1]
            part = part[~np.isnan(part)]
            if len(part) >= 20 and part.mean() > m.limits[t]:
                yield t, a, b, {"mean": float(part.mean()), "limit": m.limits[t]}


def jump_then_flat(m: Monitor) -> Broken:
    """A18-11: hours that differ by 60 % and more, then within 5 % for 5 h, 4 times in half a month.

    Only where 5 % is no less than a last digit (near the detection limit values step and stay), and
    where the plant did not change with it: a jump of flow, load or oxygen explains one of the rest.
    """
    same = np.ones(len(m), dtype=bool)
    with np.errstate(invalid="ignore"):
        for c in m.having("flow", "load"):
            v = m.values[c]
            same &= ~(np.abs(np.diff(v, prepend=v[:1])) > STEADY * np.abs(v))
        for c in m.having("o2"):
            v = m.values[c]
            same &= ~(np.abs(np.diff(v, prepend=v[:1])) > STEADY_O2)
    for t in m.targets:
        y = np.where(_producing(m, t), m.values[t], np.nan)
        least = resolution(y[~np.isnan(y)]) / 0.05
        with np.errstate(divide="ignore", invalid="ignore"):
            jump = np.r_[False, np.abs(np.diff(y)) >= 0.6 * np.abs(y[:-1])]
        events = []
        for row in np.flatnonzero(jump & same).tolist():
            part = y[row : row + 5]
            if (
                len(part) == 5
                and not np.isnan(part).any()
                and part.mean() >= least
                and (np.abs(part / part.mean() - 1) <= 0.05).all()
            ):
                events.append(row)
        for i in range(len(events) - 3):
            if events[i + 3] - events[i] <= HALF_MONTH:
                yield t, events[i], events[i + 3] + 4, {"times": 4}
                break


def hugging(m: Monitor) -> Broken:
    """A18-12: 80 % of more than 48 h of production in half a month between 0.85 and 1 of the limit."""
    for t in m.targets:
        limit = m.limits.get(t)
        if limit is None:
            continue
        y = np.where(_producing(m, t), m.values[t], np.nan)
        until = -1
        for begin in range(0, max(1, len(y) - HALF_MONTH + 1), 24):
            part = y[begin : begin + HALF_MONTH]
            part = part[~np.isnan(part)]
            near = float(np.mean((part >= 0.85 * limit) & (part <= limit))) if len(part) else 0.0
            if len(part) > 48 and near >= 0.8 and begin > until:
                until = min(begin + HALF_MONTH, len(y)) - 1
                yield t, begin, until, {"share": near, "hours": len(part), "limit": limit}


def data_while_stopped(m: Monitor) -> Broken:
    """A18-13: stopped, yet 3 of: temperature > 42 °C, flow > 10000 m³, O2 < 17 %, concentration
    > 30 % of the standard (velocity > 3 m/s needs a velocity column) in more than half the hours."""
    for t in m.targets:
        marks = m.mark(t)
        if marks is None:
            continue
        signs = [m.values[c] > 42 for c in m.having("temperature")[:1]]
        signs += [m.values[c] > 10000 for c in m.having("flow")[:1]]
        signs += [m.values[c] < 17 for c in m.having("o2")[:1]]
        if t in m.limits:
            signs.append(m.values[t] > 0.3 * m.limits[t])
        if len(signs) < 3:
            continue
        count = np.sum(signs, axis=0)
        for a, b in stretches(marks == STOPPED):
            share = float(np.mean(count[a : b + 1] >= 3))
            if share > 0.5:
                yield t, a, b, {"share": share, "hours": b - a + 1}


def night_above_day(m: Monitor) -> Broken:
    """A18-14: mean of concentration and of flow at night (21-04 h) above the day's (05-20 h) by 30 %."""
    flows = m.having("flow")
    hours = m.hours_of_day()
    dark = (hours >= 21) | (hours <= 4)
    for t in m.targets:
        over = []
        for a in range((21 - m.start.hour) % 24, len(m) - 23, 24):
            rows = slice(a, a + 24)
            ratios = []
            for c in [t, *flows[:1]]:
                v, n = m.values[c][rows], dark[rows]
                night, day = v[n & ~np.isnan(v)], v[~n & ~np.isnan(v)]
                if len(night) >= 6 and len(day) >= 12 and day.mean() > 0:
                    ratios.append(float(night.mean() / day.mean()))
            if flows and len(ratios) == 2 and min(ratios) > 1.3:
                over.append((a, ratios))
        for a, ratios in over:
            yield t, a, a + 23, {"concentration_ratio": ratios[0], "flow_ratio": ratios[1]}


def running_at_air_oxygen(m: Monitor) -> Broken:
    """A18-16: O2 > 20 % but 2 of temperature >= 60 °C, humidity >= 5 %, flow >= 80000 m³, for more
    than 120 h and 80 % of the time (velocity >= 5 m/s needs a velocity column)."""
    for o2 in m.having("o2")[:1]:
        air = m.values[o2] > 20.0
        signs = [m.values[c] >= 60 for c in m.having("temperature")[:1]]
        signs += [m.values[c] >= 5 for c in m.having("humidity")[:1]]
        signs += [m.values[c] >= 80000 for c in m.having("flow")[:1]]
        if len(signs) < 2:
            continue
        count = np.sum(signs, axis=0)
        for a, b in stretches(air, 6):
            both = air[a : b + 1] & (count[a : b + 1] >= 2)
            if both.sum() > 120 and both.mean() > 0.8:
                yield o2, a, b, {"hours": int(both.sum()), "share": float(both.mean())}


def treatment_off(m: Monitor) -> Broken:
    """A18-17, A18-18: production has power, treatment has none (all meters together below 5 % of
    their own median); hours in which a meter says nothing are not judged."""
    p, q = m.total("power_production"), m.total("power_treatment")
    if p is None or q is None:
        return
    treatment = m.having("power_treatment")
    if not (np.any(p > 0) and np.any(q > 0)):
        return
    off = (p > 0.3 * np.nanmedian(p[p > 0])) & (q < 0.05 * np.nanmedian(q[q > 0]))
    for a, b in stretches(off):
        yield (
            treatment[0],
            a,
            b,
            {"hours": b - a + 1, "production": float(np.nanmean(p[a : b + 1]))},
        )


def section(m: Monitor) -> Broken:
    """A18-15: a cross-section (a parameter column whose name holds "section") 30 % off its first value."""
    for c in m.having("parameter"):
        if "section" not in c.lower():
            continue
        v = m.values[c]
        valid = v[~np.isnan(v)]
        if len(valid) and valid[0] > 0:
            for a, b in stretches(np.abs(v / valid[0] - 1) > 0.3):
                yield (
                    c,
                    a,
                    b,
                    {"setting": float(valid[0]), "now": float(np.nanmedian(v[a : b + 1]))},
                )


APPLICABLE: dict[str, Callable[[Monitor], Broken]] = {
    "A18-1": missing_hours,
    "A18-3": constant,
    "A18-3.1": negative,
    "A18-3.3": no_link,
    "A18-6": short_exceedance,
    "A18-7": long_exceedance,
    "A18-8": daily_mean,
    "A18-11": jump_then_flat,
    "A18-12": hugging,
    "A18-13": data_while_stopped,
    "A18-14": night_above_day,
    "A18-15": section,
    "A18-16": running_at_air_oxygen,
    "A18-18": treatment_off,
}
ELSEWHERE = {
    "A18-3.2": "needs the instrument's range, which a monitor does not carry",
    "A18-4": "a sum of marks per quarter and furnace: analysis.incineration",
    "A18-9": "the limit of a sewage plant's inlet: give it as the limit of that monitor (A18-8)",
    "A18-10": "the same rule as A18-8 with the limit of wastewater",
    "A18-17": "cooking fumes: fan as power_production, purifier as power_treatment (A18-18)",
}
NAMES = {
    "A18-1": Words("缺失超过 168 小时未补传", "Missing for more than 168 h without re-send"),
    "A18-3": Words("数据恒定", "Constant values in production"),
    "A18-3.1": Words("负值", "Negative values in production"),
    "A18-3.3": Words("全部因子无数据", "No factor reports"),
    "A18-6": Words("小时超标", "Hourly mean above the standard"),
    "A18-7": Words("一日内超标多于 3 小时", "More than 3 hourly exceedances in a day"),
    "A18-8": Words("日均值超标", "Daily mean above the standard"),
    "A18-11": Words("突变后持平", "Jumps followed by flat hours"),
    "A18-12": Words("长期贴近限值", "Hugging the limit"),
    "A18-13": Words("停运期间有运行数据", "Running values while stopped"),
    "A18-14": Words("夜间高于白天 30 %", "Night above day by 30 %"),
    "A18-15": Words("截面积参数偏离 30 %", "Cross-section off by 30 %"),
    "A18-16": Words(
        "氧量显示停运而其他参数显示运行", "Air's oxygen while other channels show running"
    ),
    "A18-18": Words("生产用电而治理设施不用电", "Production has power, treatment has none"),
}
WHY = Words("设备故障、启停或标记不全", "A fault, a start or stop, or an incomplete mark")
HOW = Words("核对运维记录、标记和生产记录", "Compare maintenance log, marks and production records")


def regulator(monitor: Monitor, names: tuple[str, ...] = tuple(APPLICABLE)) -> list[Finding]:
    """The rules broken by a stretch, one finding each time, in order of rule and time.

    names: which rules; KeyError for one that is not in `APPLICABLE`. p_value is 1: a rule says
    nothing of rarity. The evidence hash is over the hours judged (`hourly`).
    """
    m = hourly(monitor)
    found = []
    for name in names:
        law = standard_rule(name)
        for factor, a, b, numbers in APPLICABLE[name](m):
            text = NAMES[name]
            found.append(
                ruled(
                    m,
                    name,
                    factor,
                    (a, b),
                    numbers,
                    Words(f"{text.zh}（{name}）", f"{text.en} ({name})"),
                    law.rule,
                    {"rule": name, "parameters": law.parameters, "source": law.source},
                    ((WHY, HOW),),
                    HOW,
                )
            )
    return found
