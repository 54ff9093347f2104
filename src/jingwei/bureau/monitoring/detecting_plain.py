"""What is judged without a fit: hour means against minutes, power chain by chain, the regulator's rules;
and what of all that an outlet's data do not allow.

Knows neither Django nor the database (`detecting`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from jingwei.analysis.detection import Finding, Monitor
from jingwei.bureau.monitoring.detecting_rows import HOUR, LEAST_PEERS, Outlet, minutes, rows_of
from jingwei.telemetry.lake import Lake

if TYPE_CHECKING:
    from jingwei.analysis.detection import Suite

MEANS = timedelta(days=7)  # of hours that are held against their minutes, at most
MEAN_HOURS = 24  # with all their minutes, before one knows how the device makes its means
MEAN_SHARE = 0.7  # of them that must agree, before those that do not are a contradiction
MEAN_ROWS = 2  # neighbouring hours that must depart
HALF_MONTH = timedelta(days=15)
METERS = timedelta(days=60)  # of history that say what a meter usually reads
RULES = ("A18-11", "A18-12", "A18-14")
"""The regulator's rules that the rest of the office does not judge; A18-18 is `treatment`'s, A18-15 and
A18-17 need what no device sends (`rules_fired.csv`)."""
APART = timedelta(days=7)
TIERS = ("rule", "statistical", "exact")


@dataclass
class Plain:
    """What came of it. watched: one row a detector, `text` why not ("" where it is watched)."""

    findings: list[Finding] = field(default_factory=list)
    watched: list[dict[str, Any]] = field(default_factory=list)
    treatment: list[dict[str, Any]] = field(default_factory=list)

    def say(self, detector: str, why: str = "", **numbers: Any) -> None:
        zh, en = WHY[why]
        self.watched.append(
            {
                "detector": detector,
                "on": not why,
                "text": {"zh": zh.format(**numbers), "en": en.format(**numbers)},
            }
        )


WHY = {
    "": ("", ""),
    "no_reference": ("许可限值没有基准氧含量", "the permit names no reference oxygen"),
    "no_oxygen": ("没有上传氧含量", "no oxygen is sent"),
    "no_converted": ("没有上传折算值", "no converted values are sent"),
    "never_held": (
        "历史上折算值与实测值、氧量就对不上",
        "in the history the converted values never were what the measured ones and oxygen give",
    ),
    "short": ("历史数据太少", "the history is too short"),
    "no_minutes": ("没有上传分钟数据", "no minute values are sent"),
    "few_hours": (
        "最近 7 天分钟数据齐全的小时只有 {n} 个，少于 24 个",
        "in the last 7 days only {n} hours have all their minutes; 24 are needed",
    ),
    "no_means": (
        "最近 7 天只有 {share} % 的小时值等于分钟均值，算法与平均不同",
        "in the last 7 days only {share} % of the hours are the means of their minutes: the device makes them otherwise",
    ),
    "no_signs": (
        "除浓度外没有氧含量、负荷等能反映运行的数据",
        "nothing but concentrations shows whether the plant runs (no oxygen, load or second channel)",
    ),
    "no_readings": (
        "没有读取过仪器参数（在设备页下达“提取现场机信息”）",
        "no setting of the instrument was read (command “device information” on the device's page)",
    ),
    "one_reading": (
        "仪器参数只读取过一次，再次读取后才能比较",
        "the settings were read but once; they are compared from the second reading on",
    ),
    "few_peers": (
        "同行业中监测同一因子的其他排放口不足 3 个",
        "fewer than 3 other outlets of the industry measure the same factor",
    ),
    "quiet_peers": (
        "同类排放口的历史数据太少",
        "the comparable outlets have too little history",
    ),
    "no_production": ("没有生产设施的用电数据", "no meter of production"),
    "no_treatment": ("没有治理设施的用电数据", "no meter of the treatment"),
    "no_total": ("没有总用电数据", "no meter of the whole"),
    "never_ran": (
        "生产或治理设施的用电数据不足 48 小时在运行",
        "the meters show less than 48 hours of running",
    ),
    "no_limit": ("没有可比较的小时限值", "no limit to compare hours with"),
    "no_flow": ("没有上传流量", "no flow is sent"),
    "no_section": (
        "HJ 212 没有截面积参数的编码，数采仪不传",
        "HJ 212 has no code for the cross-section: loggers do not send it",
    ),
}


def judge(lake: Lake, outlet: Outlet, suite: Suite, later: Monitor, zone: ZoneInfo) -> Plain:
    """What needs no fit of a stretch, and what of all is watched. later: as the suite judged it."""
    out = Plain()
    _identities(out, suite, outlet, later)
    _means(out, lake, outlet, later, zone)
    _marks(out, suite)
    _settings(out, outlet)
    _peers(out, outlet, later)
    joined = join(suite.history, later)
    _power(out, outlet, joined, later.start, zone)
    _rules(out, outlet, joined, later.start)
    return out


def join(history: Monitor, later: Monitor) -> Monitor:
    """History and stretch as one monitor, with the columns that both have (settings left out)."""
    gap = max(0, round((later.start - history.end) / history.step))
    keep = (
        len(history) if later.start >= history.end else round((later.start - history.start) / HOUR)
    )
    names = [c for c in history.values if c in later.values]
    values = {
        c: np.concatenate([history.values[c][:keep], np.full(gap, np.nan), later.values[c]])
        for c in names
    }
    assert history.roles is not None
    targets = [t for t in history.targets if t in values]
    marks: dict[str, Sequence[str]] = {}
    for t in targets:
        parts = [m.mark(t) for m in (history, later)]
        old, new = (
            np.full(len(m), "") if part is None else part
            for m, part in zip((history, later), parts, strict=True)
        )
        marks[t] = np.concatenate([old[:keep], np.full(gap, ""), new]).tolist()
    return Monitor(
        history.start, history.step, values, targets, history.limits,
        {c: history.roles[c] for c in names}, None, marks,
    )  # fmt: skip


def _tail(monitor: Monitor, since: datetime) -> Monitor:
    return monitor.rows(max(0, round((since - monitor.start) / HOUR)), len(monitor))


# --- sums that must come out ------------------------------------------------------------------


def _identities(out: Plain, suite: Suite, outlet: Outlet, later: Monitor) -> None:
    """Why conversion is not checked, of the first target for which it is not."""
    why = ""
    for target in later.targets:
        identity = suite.identities.get(target)
        if outlet.limits.get(target, (0.0, None))[1] is None:
            here = "no_reference"
        elif not later.having("o2"):
            here = "no_oxygen"
        elif later.conversion(target) is None:
            here = "no_converted"
        elif identity is None:
            here = "short"
        else:
            here = "" if identity.holds else "never_held"
        if not here:
            out.say("convert_identity")
            return
        why = why or here
    out.say("convert_identity", why or "no_reference")


def _means(out: Plain, lake: Lake, outlet: Outlet, later: Monitor, zone: ZoneInfo) -> None:
    """The hours as sent against the means of their minutes, where all minutes are there."""
    from jingwei.analysis.detection.identities import average_identity, recomputed
    from jingwei.analysis.detection.ruled import exactly

    hours = _tail(later, later.end - MEANS)
    shift = {
        c.name: HOUR if (c.mn, c.st) in outlet.ends else timedelta(0)
        for c in outlet.columns
        if c.role == "target"
    }
    fine = minutes(lake, outlet, hours.start - HOUR, hours.end, zone)
    judged = agreed = 0
    on = False
    for target in hours.targets:
        if target not in fine:
            continue
        own = Monitor(
            hours.start - shift[target], HOUR, {target: hours.values[target]}, [target]
        )  # hours by their start
        weight = next(iter(fine[target].having("flow")), "")
        hits, agreement = average_identity(
            fine[target], own, 1.0, weight=weight, least_rows=MEAN_ROWS
        )
        said = agreement[target]
        judged, agreed = judged + said.judged, agreed + said.agreed
        if said.judged < MEAN_HOURS or said.agreed < MEAN_SHARE * said.judged:
            continue
        on = True
        means = recomputed(fine[target], own, target, 1.0)
        for hit in hits:
            hit.parameters |= _minute_rows(fine[target], own, hit.first, hit.last)
            out.findings.append(exactly(own, hit, {"recomputed": means}))
    if on:
        out.say("average_identity")
    elif not fine:
        out.say("average_identity", "no_minutes")
    elif judged < MEAN_HOURS:
        out.say("average_identity", "few_hours", n=judged)
    else:
        out.say("average_identity", "no_means", share=round(100 * agreed / judged))


def _minute_rows(fine: Monitor, hours: Monitor, first: int, last: int) -> dict[str, Any]:
    """Which minutes a departing mean was recomputed from, so that anyone can check them."""
    a = round((hours.time(first) - fine.start) / fine.step)
    b = round((hours.time(last + 1) - fine.start) / fine.step) - 1
    return {
        "minutes_from": fine.time(a).isoformat(),
        "minutes_to": fine.time(b).isoformat(),
        "minute_step_seconds": fine.step.total_seconds(),
        "minutes_sha256": fine.sha256(a, b),
    }


# --- what the suite judges, said ------------------------------------------------------------


def _marks(out: Plain, suite: Suite) -> None:
    history = suite.history
    signs = suite.running.signs(history)
    alive = [c for c in signs if c in history.having("o2", "load")]
    out.say("mark_contradiction", "" if len(signs) > 1 and alive else "no_signs")


def _settings(out: Plain, outlet: Outlet) -> None:
    names = [one.name for one in outlet.readings]
    again = len(names) > len(set(names))
    out.say("param_change", "" if again else "one_reading" if names else "no_readings")


def _peers(out: Plain, outlet: Outlet, later: Monitor) -> None:
    enough = any(len(group) >= LEAST_PEERS for group in outlet.peers.values())
    out.say("peer", "" if later.peers else "quiet_peers" if enough else "few_peers")


# --- power ------------------------------------------------------------------------------------


def _power(out: Plain, outlet: Outlet, joined: Monitor, since: datetime, zone: ZoneInfo) -> None:
    """Contradictions of the meters, and the hours of treatment off while producing, by month."""
    from jingwei.analysis.detection import treatment

    meters = joined.having("power_production", "power_treatment", "power_total")
    if not meters:
        return  # an outlet without any meter: nothing of power is expected
    (chain,) = treatment.chains(joined) or (None,)
    if chain is None:
        lacking = "no_treatment" if joined.having("power_production") else "no_production"
        for name in ("power_off", "power_sum"):
            out.say(name, lacking)
        return
    values = dict(joined.values)
    for name in meters:
        line = np.array(values[name])
        for a, b in outlet.idle:
            line[rows_of(a, b, joined.start, len(joined))] = np.nan
        values[name] = line
    whole = replace(joined, values=values)
    seen = treatment.hours(whole, chain)
    out.say("power_off", "" if seen else "never_ran")
    out.say("power_sum", "no_total" if chain.total is None else "" if seen else "never_ran")
    recent = _tail(whole, since - METERS)
    out.findings += [f for f in treatment.findings(recent, [chain]) if f.end > since]
    usual = treatment.state(whole, chain)
    if usual is None:
        return
    local = np.array([f"{whole.time(i).astimezone(zone):%Y-%m}" for i in range(len(whole))])
    for month in sorted(set(local[usual.known])):
        rows = local == month
        out.treatment.append(
            {
                "month": month,
                "judged": int((usual.known & rows).sum()),
                "producing": int((usual.producing & rows).sum()),
                "off": int((usual.producing & ~usual.treating & rows).sum()),
                "weak": int((usual.weak & rows).sum()),
            }
        )


# --- rules ------------------------------------------------------------------------------------


def _rules(out: Plain, outlet: Outlet, joined: Monitor, since: datetime) -> None:
    """The regulator's rules over the stretch and the half month before it."""
    from jingwei.analysis.detection.rules import regulator

    m = _tail(_judged(joined, outlet), since - HALF_MONTH)
    lacking = {
        "A18-11": "" if m.having("o2", "flow", "load") else "no_signs",
        "A18-12": "" if m.limits else "no_limit",
        "A18-14": "" if m.having("flow") else "no_flow",
    }
    names = tuple(rule for rule in RULES if not lacking[rule])
    out.findings += [f for f in regulator(m, names) if f.end > since]
    for rule in RULES:
        out.say(rule, lacking[rule])
    out.say("A18-15", "no_section")


def _judged(m: Monitor, outlet: Outlet) -> Monitor:
    """With targets and limits as they are judged: converted to the permit's reference oxygen, by the
    device or, where it sends none, here."""
    values, limits = dict(m.values), {}
    oxygen = m.having("o2")
    for target in m.targets:
        limit, reference = outlet.limits.get(target, (0.0, None))
        if reference is not None:
            if not oxygen:
                continue
            o2 = m.values[oxygen[0]]
            here = np.where(
                (o2 >= 0) & (o2 <= 20.0), values[target] * (21.0 - reference) / (21.0 - o2), np.nan
            )
            sent = m.values.get(f"{target}_zs", here)
            values[target] = np.where(np.isnan(sent), here, sent)
        if limit > 0:
            limits[target] = limit
    return Monitor(m.start, m.step, values, m.targets, limits, m.roles, None, m.marks)


def about_power(detector: str) -> bool:
    """Whether a detector's finding says that electricity and treatment contradict."""
    return detector.startswith("power_") or detector in ("facility_power", "A18-18")


# --- one an outlet and kind in seven days ------------------------------------------------------


def cases(found: Iterable[Finding]) -> list[Finding]:
    """Of findings within seven days of each other the strongest, which names the others: exact
    before statistical before rules, then the rarer."""
    leads: list[list[Finding]] = []
    for f in sorted(found, key=lambda f: (f.found, f.detector, f.factor)):
        if leads and f.found - _lead(leads[-1]).found <= APART:
            leads[-1].append(f)
        else:
            leads.append([f])
    groups: list[list[Finding]] = []
    for group in leads:  # a lead may lie late in its group
        if groups and _lead(group).found - _lead(groups[-1]).found <= APART:
            groups[-1] += group
        else:
            groups.append(group)
    out = []
    for group in groups:
        lead = _lead(group)
        also = {f"{f.detector}:{f.factor}" for f in group} | {a for f in group for a in f.also}
        own = f"{lead.detector}:{lead.factor}"
        out.append(replace(lead, also=tuple(sorted(also - {own}))))
    return out


def _lead(group: list[Finding]) -> Finding:
    return min(
        group,
        key=lambda f: (-TIERS.index(f.tier), -f.score, f.found, f.start, f.detector, f.factor),
    )
