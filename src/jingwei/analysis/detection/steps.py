"""The step test: does the level fall at a gap (a calibration), more than it does anywhere?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection import streams
from jingwei.analysis.detection.monitor import Floats

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

TESTS = 4.35  # gaps a month that the step test reckons with at least


@dataclass
class Steps:
    """Honest distribution of the step statistic, as if a gap could stand anywhere."""

    deviation: dict[int, float]
    heights: Floats  # highest first
    edge: float
    scale: float
    share: float

    def p(self, x: float) -> float:
        if x > self.edge:
            return self.share * math.exp(-(x - self.edge) / self.scale)
        return (float(np.searchsorted(-self.heights, -x)) + 0.5) / len(self.heights)


def fit_steps(suite: Suite, tracks: list[streams.Track], burn: int, per_hour: float) -> None:
    for t in tracks:
        if not t.modelled:
            continue
        shifted = streams.steps(t.z, per_hour, round(6 * per_hour))
        deviation = {}
        best = np.full(len(t.z), -np.inf)
        for after, d in shifted.items():
            part = d[burn:]
            part = part[~np.isnan(part)]
            if len(part) < 500:
                continue
            deviation[after] = float(np.sqrt(np.mean(part**2)))
            # The largest over the waiting times, per gap: align on the gap's end.
            w = round(after * per_hour)
            aligned = np.full(len(d), -np.inf)
            aligned[:-w] = np.where(np.isnan(d[w:]), -np.inf, d[w:] / deviation[after])
            best = np.maximum(best, aligned)
        sample = best[burn :: max(1, round(6 * per_hour))]
        sample = np.sort(sample[np.isfinite(sample)])[::-1]
        if len(sample) < 200:
            continue
        k = max(20, len(sample) // 40)
        edge = float(sample[k])
        scale = max(float(np.mean(sample[:k]) - edge), 1e-6)
        suite.stepping[t.name] = Steps(deviation, sample, edge, scale, k / len(sample))


def step_scores(suite: Suite, t: streams.Track, start: int, per_hour: float) -> Floats:
    """-ln(rate per month) of the step at each real gap, written over the days after it."""
    out = np.full(len(t.z), -np.inf)
    model_of = suite.stepping[t.name]
    missing = np.isnan(t.y) & t.running
    for first, last in streams.gaps(missing, round(streams.GAP_MOST * per_hour)):
        if last + 1 < start or not t.settled[last]:
            continue
        begin = max(0, first - round(streams.GAP_BEFORE * per_hour))
        before = t.z[begin:first]
        before = before[~np.isnan(before)]
        if len(before) < 48 * per_hour:
            continue
        level = float(before.mean())
        best = 0.0
        for after in streams.GAP_AFTER:
            if after not in model_of.deviation:
                continue
            w = round(after * per_hour)
            stop = last + 1 + w
            if stop > len(t.z):
                break
            part = t.z[last + 1 : stop]
            part = part[~np.isnan(part)]
            if len(part) < 0.6 * w:
                continue
            x = (level - float(part.mean())) / model_of.deviation[after]
            best = max(best, x)
            rarity = -math.log(TESTS * model_of.p(best))
            reach = min(len(out), stop + round(24 * per_hour))
            out[stop - 1 : reach] = np.maximum(out[stop - 1 : reach], rarity)
    return out
