"""Power of production and treatment, chain by chain: does the treatment run when it must?

A chain is what the regulator's power monitoring calls a process chain: the meters of production, the
meters of the treatment that must run with it, and the meter of both together where there is one.
A meter is on where it reads more than a tenth of what it usually reads when it runs; switching is
allowed `Chain.late` hours of grace. Contradictions:

- `power_off`: production runs, the treatment does not;
- `power_late`: the treatment started more than the grace after production;
- `power_early`: it stopped more than the grace before production did;
- `power_weak`: it runs on less than half of the power that it usually takes at this production;
- `power_sum`: the parts read more than the meter of the whole;
- `power_hidden`: production reads off, the whole reads far more than the parts and than its idle.

Late and early are told apart from off because they have other causes; hours count once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jingwei.analysis.detection.explanations import MAINTENANCE, ON_SITE, SENSOR
from jingwei.analysis.detection.finding import Finding, Words
from jingwei.analysis.detection.hits import stretches
from jingwei.analysis.detection.monitor import Bools, Floats, Monitor
from jingwei.analysis.detection.power import EMPTY_RUN, FORMULA, REWIRED, TOLD
from jingwei.analysis.detection.ruled import ruled
from jingwei.analysis.detection.streams import Quiet

ON_SHARE = 0.1  # of the usual running power
WEAK_SHARE = 0.5
SUM_TOLERANCE = 0.05
LEAST = 48  # rows with a running meter before one knows what is usual

Broken = Iterator[tuple[str, str, int, int, dict[str, Any]]]  # detector, column, rows, numbers


@dataclass(frozen=True)
class Chain:
    """production, treatment: columns of power (kW) or energy a row (kWh), summed. total: the meter
    of the whole chain. late: hours of grace at start and stop."""

    name: str
    production: tuple[str, ...]
    treatment: tuple[str, ...]
    total: str | None = None
    late: float = 1.0


@dataclass(frozen=True)
class Hours:
    """What a chain did, in hours. off: production ran and the treatment did not."""

    chain: str
    judged: float
    producing: float
    off: float
    weak: float


def chains(monitor: Monitor) -> list[Chain]:
    """One chain of all meters by their roles; none where production or treatment has no meter."""
    production, treatment = monitor.having("power_production"), monitor.having("power_treatment")
    if not production or not treatment:
        return []
    total = monitor.having("power_total")
    return [Chain("", tuple(production), tuple(treatment), total[0] if total else None)]


def usual(power: Floats) -> float:
    """What a meter reads when it runs: the median of what exceeds a tenth of its 95 % point; NaN
    where it has hardly ever run."""
    valid = power[~np.isnan(power)]
    if not len(valid):
        return float("nan")
    high = float(np.quantile(valid, 0.95))
    running = valid[valid > ON_SHARE * high] if high > 0 else valid[:0]
    return float(np.median(running)) if len(running) >= LEAST else float("nan")


def _sum(monitor: Monitor, names: Sequence[str]) -> Floats:
    total: Floats = np.sum([monitor.values[c] for c in names], axis=0)
    return total


@dataclass(frozen=True)
class State:
    """What a chain's meters say of each row, (T,): power of production `p` and treatment `q`, where both
    are known, which of them run, where the treatment runs on too little."""

    p: Floats
    q: Floats
    known: Bools
    producing: Bools
    treating: Bools
    weak: Bools
    usual_p: float
    usual_q: float
    ratio: float


def state(m: Monitor, chain: Chain) -> State | None:
    """The state of a chain; None where its meters hardly ever ran."""
    p, q = _sum(m, chain.production), _sum(m, chain.treatment)
    usual_p, usual_q = usual(p), usual(q)
    if np.isnan(usual_p) or np.isnan(usual_q):
        return None
    known = ~(np.isnan(p) | np.isnan(q))
    producing = known & (p > ON_SHARE * usual_p)
    treating = known & (q > ON_SHARE * usual_q)
    both = producing & treating
    ratio = float(np.median(q[both] / p[both])) if both.sum() >= LEAST else float("nan")
    # Treatment need not follow production, so that what it takes at least is what counts.
    expected = np.minimum(ratio * p, usual_q)
    weak = both & (q < WEAK_SHARE * expected)
    return State(p, q, known, producing, treating, weak, usual_p, usual_q, ratio)


def hours(monitor: Monitor, chain: Chain) -> Hours | None:
    """Hours of production and of production without treatment; None where the meters never ran."""
    s = state(monitor, chain)
    if s is None:
        return None
    h = 1.0 / monitor.hour
    return Hours(
        chain.name,
        float(s.known.sum()) * h,
        float(s.producing.sum()) * h,
        float((s.producing & ~s.treating).sum()) * h,
        float(s.weak.sum()) * h,
    )


def _off(m: Monitor, chain: Chain, s: State) -> Broken:
    """Production without treatment, told by how it begins and ends."""
    grace = round(chain.late * m.hour)
    column = chain.treatment[0]
    for a, b in stretches(s.producing & ~s.treating):
        if b - a + 1 <= grace:
            continue
        began = a > 0 and s.known[a - 1] and not s.producing[a - 1]
        ended = b + 1 < len(m) and s.known[b + 1] and not s.producing[b + 1]
        starts = b + 1 < len(m) and s.treating[b + 1]
        ran = a > 0 and s.treating[a - 1]
        kind = "power_off"
        if began and starts:
            kind = "power_late"
        elif ended and ran:
            kind = "power_early"
        yield (
            kind,
            column,
            a,
            b,
            {
                "hours": (b - a + 1) / m.hour,
                "production": float(s.p[a : b + 1].mean()),
                "treatment": float(s.q[a : b + 1].mean()),
                "usual_treatment": s.usual_q,
            },
        )


def _weak(m: Monitor, chain: Chain, s: State) -> Broken:
    least = max(2, round(3 * m.hour))
    for a, b in stretches(s.weak, 2):
        if b - a + 1 >= least:
            yield (
                "power_weak",
                chain.treatment[0],
                a,
                b,
                {
                    "hours": (b - a + 1) / m.hour,
                    "production": float(np.nanmean(s.p[a : b + 1])),
                    "treatment": float(np.nanmean(s.q[a : b + 1])),
                    "usual_share": s.ratio,
                },
            )


def _total(m: Monitor, chain: Chain, s: State) -> Broken:
    if chain.total is None:
        return
    total = m.values[chain.total]
    parts = s.p + s.q
    rest = total - parts
    with np.errstate(invalid="ignore"):
        over = s.known & (parts > (1 + SUM_TOLERANCE) * total) & (parts > ON_SHARE * s.usual_p)
    for a, b in stretches(over, 2):
        if b - a + 1 >= 2:
            yield (
                "power_sum",
                chain.total,
                a,
                b,
                {
                    "hours": (b - a + 1) / m.hour,
                    "total": float(np.nanmean(total[a : b + 1])),
                    "parts": float(np.nanmean(parts[a : b + 1])),
                },
            )
    resting = s.known & ~s.producing & ~np.isnan(total)
    if not resting.any():
        return
    # What else hangs on the meter of the whole: what it reads beyond the parts as a rule.
    idle = float(np.nanquantile(rest[s.known], 0.75)) if s.known.any() else 0.0
    hidden = resting & (rest > max(2.0 * idle, idle + 0.5 * s.usual_p))
    least = max(2, round(2 * m.hour))
    for a, b in stretches(hidden, 2):
        if b - a + 1 >= least:
            yield (
                "power_hidden",
                chain.total,
                a,
                b,
                {
                    "hours": (b - a + 1) / m.hour,
                    "total": float(np.nanmean(total[a : b + 1])),
                    "parts": float(np.nanmean(parts[a : b + 1])),
                    "usual_rest": idle,
                    "usual_production": s.usual_p,
                },
            )


def findings(monitor: Monitor, given: Sequence[Chain] | None = None) -> list[Finding]:
    """The contradictions of a monitor's chains (by default `chains(monitor)`), in order of time.

    A chain whose meters hardly ever ran is not judged. ValueError for a column that is not there.
    """
    out = []
    for chain in chains(monitor) if given is None else given:
        names = [*chain.production, *chain.treatment, *([chain.total] if chain.total else [])]
        for name in names:
            if name not in monitor.values:
                raise ValueError(f"chain {chain.name or '1'} names {name}, which is no column")
        with Quiet():
            s = state(monitor, chain)
            if s is None:
                continue
            broken = [
                *_off(monitor, chain, s),
                *_weak(monitor, chain, s),
                *_total(monitor, chain, s),
            ]
        for kind, column, a, b, numbers in broken:
            told = TOLD[kind]
            out.append(
                ruled(
                    monitor,
                    kind,
                    column,
                    (a, b),
                    numbers,
                    Words(told.zh.format(**numbers), told.en.format(**numbers)),
                    FORMULA[kind],
                    {
                        "chain": chain.name,
                        "production": list(chain.production),
                        "treatment": list(chain.treatment),
                        "total": chain.total,
                        "grace_hours": chain.late,
                        "usual_production": s.usual_p,
                        "usual_treatment": s.usual_q,
                    },
                    (EMPTY_RUN, REWIRED, MAINTENANCE if kind != "power_sum" else SENSOR),
                    ON_SITE,
                    names,
                )
            )
    return sorted(out, key=lambda f: (f.start, f.detector, f.factor))
