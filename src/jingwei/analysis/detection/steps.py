"""The step test: does the level fall at a gap (a calibration), more than it does anywhere?

Two measures of the level: the standardised residual z, and the robust relative residual (logarithm of
report over expectation, held to `Track.HELD` deviations, weighted by how sure it is at that level),
which heavy-tailed pollutants need. What the other pollutants of the outlet do at the same time is
taken off: a plant that runs otherwise moves them together, a meddled analyser moves alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection import streams
from jingwei.analysis.detection.calibration import MONTH
from jingwei.analysis.detection.monitor import Floats, Ints

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

TESTS = 4.35  # gaps a month that the step test reckons with at least
VIRTUAL = 6.0  # hours: length of the gaps that are tried everywhere, and how far they lie apart
COMMON = 6.0  # deviations: how much of another pollutant's step is taken off at most


@dataclass
class Steps:
    """Honest distribution of the step statistic, as if a gap could stand anywhere."""

    deviation: dict[tuple[str, int], float]  # (measure, hours after)
    heights: Floats  # highest first
    edge: float
    scale: float
    share: float
    tests: float  # gaps a month

    def p(self, x: float) -> float:
        if x > self.edge:
            return self.share * math.exp(-(x - self.edge) / self.scale)
        return (float(np.searchsorted(-self.heights, -x)) + 0.5) / len(self.heights)


def _measures(t: streams.Track) -> dict[str, tuple[Floats, Floats]]:
    """measure -> prefix sums of numerator and weight, each (T + 1,)."""

    def sums(x: Floats) -> Floats:
        total: Floats = np.r_[0.0, np.cumsum(np.nan_to_num(x))].astype(np.float64)
        return total

    there = np.where(np.isnan(t.z), np.nan, 1.0)
    return {"z": (sums(t.z), sums(there)), "u": (sums(t.pull), sums(t.weight))}


def _shift(
    sums: tuple[Floats, Floats], count: Floats, first: Ints, last: Ints, before: int, after: int
) -> Floats:
    """Level of `before` rows ahead of the gaps first..last minus that of `after` rows behind them,
    one a gap; NaN where fewer than 48 h or 60 % of the rows are there. count: prefix sum of rows."""
    n = len(count) - 1
    a, stop = np.maximum(first - before, 0), last + 1 + after
    good = stop <= n
    stop = np.minimum(stop, n)
    good &= (count[first] - count[a] >= before * 48 / streams.GAP_BEFORE) & (
        count[stop] - count[last + 1] >= 0.6 * after
    )
    top, weight = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = (top[first] - top[a]) / (weight[first] - weight[a])
        behind = (top[stop] - top[last + 1]) / (weight[stop] - weight[last + 1])
    return np.where(good, ahead - behind, np.nan)


def _all_shifts(
    t: streams.Track, first: Ints, last: Ints, per_hour: float
) -> dict[tuple[str, int], Floats]:
    count = np.r_[0.0, np.cumsum(~np.isnan(t.z))]
    before = max(1, round(streams.GAP_BEFORE * per_hour))
    return {
        (name, after): _shift(sums, count, first, last, before, max(1, round(after * per_hour)))
        for name, sums in _measures(t).items()
        for after in streams.GAP_AFTER
    }


def _alone(
    own: Mapping[tuple[str, int], Floats],
    others: list[Mapping[tuple[str, int], Floats]],
    deviation: Mapping[tuple[str, int], float],
    of_others: list[Mapping[tuple[str, int], float]],
) -> dict[int, Floats]:
    """hours after -> step in deviations, less the largest step of another pollutant (n gaps,)."""
    out: dict[int, Floats] = {}
    for key, d in own.items():
        if key not in deviation:
            continue
        x = d / deviation[key]
        common = np.zeros(len(d))
        for other, scale in zip(others, of_others, strict=True):
            if key in scale:
                common = np.fmax(common, np.clip(other[key] / scale[key], 0.0, COMMON))
        x = x - common
        out[key[1]] = x if key[1] not in out else np.fmax(out[key[1]], x)
    return out


def fit_steps(suite: Suite, tracks: list[streams.Track], burn: int, per_hour: float) -> None:
    """Try a gap at every place of the history and keep how far the level shifts honestly."""
    modelled = [t for t in tracks if t.modelled]
    gap = max(1, round(VIRTUAL * per_hour))
    shifts: dict[str, dict[tuple[str, int], Floats]] = {}
    deviations: dict[str, dict[tuple[str, int], float]] = {}
    for t in modelled:
        first = np.arange(burn, len(t.z) - gap, gap, dtype=np.int64)
        shifts[t.name] = _all_shifts(t, first, first + gap - 1, per_hour)
        deviations[t.name] = {}
        for key, d in shifts[t.name].items():
            valid = np.abs(d[~np.isnan(d)])
            if len(valid) >= 100 and np.median(valid) > 0:
                deviations[t.name][key] = 1.4826 * float(np.median(valid))
    for t in modelled:
        rest = [o.name for o in modelled if o is not t]
        alone = _alone(
            shifts[t.name],
            [shifts[o] for o in rest],
            deviations[t.name],
            [deviations[o] for o in rest],
        )
        if not alone:
            continue
        best = np.fmax.reduce(list(alone.values()))
        sample = np.sort(best[np.isfinite(best)])[::-1]
        if len(sample) < 200:
            continue
        k = max(20, len(sample) // 40)
        edge = float(sample[k])
        scale = max(float(np.mean(sample[:k]) - edge), 1e-6)
        missing = np.isnan(t.y) & t.running
        number = len(streams.gaps(missing[burn:], round(streams.GAP_MOST * per_hour)))
        months = max((len(t.z) - burn) / per_hour / MONTH, 1e-9)
        suite.stepping[t.name] = Steps(
            deviations[t.name],
            sample,
            edge,
            scale,
            k / len(sample),
            max(TESTS, number / months),
        )


def step_scores(
    suite: Suite, t: streams.Track, tracks: list[streams.Track], start: int, per_hour: float
) -> Floats:
    """-ln(rate per month) of the step at each real gap, written over the days after it."""
    out = np.full(len(t.z), -np.inf)
    model_of = suite.stepping[t.name]
    missing = np.isnan(t.y) & t.running
    found = [
        (a, b)
        for a, b in streams.gaps(missing, round(streams.GAP_MOST * per_hour))
        if b + 1 >= start and t.settled[b]
    ]
    if not found:
        return out
    first, last = (np.array(x, dtype=np.int64) for x in zip(*found, strict=True))
    rest = [o for o in tracks if o is not t and o.name in suite.stepping]
    alone = _alone(
        _all_shifts(t, first, last, per_hour),
        [_all_shifts(o, first, last, per_hour) for o in rest],
        model_of.deviation,
        [suite.stepping[o.name].deviation for o in rest],
    )
    best = np.full(len(first), -np.inf)
    for after in streams.GAP_AFTER:
        if after not in alone:
            continue
        now = alone[after]
        best = np.fmax(best, now)
        for i in np.flatnonzero(~np.isnan(now)).tolist():
            rarity = -math.log(model_of.tests * model_of.p(float(best[i])))
            stop = int(last[i]) + 1 + max(1, round(after * per_hour))
            reach = min(len(out), stop + round(24 * per_hour))
            out[stop - 1 : reach] = np.maximum(out[stop - 1 : reach], rarity)
    return out
