"""How rarely: from scores to false cases per outlet and month.

A stream's honest peaks, at least `APART` apart, are ranked; above the highest `TOP` of them the rate
falls exponentially (Pickands-Balkema-de Haan with the shape shrunk to 0: one outlet has too few
months to tell a shape). Windows of a family go through that step together once more. Before the
families of an outlet are fused, rarities above `BEND` nats are bent to those of a Pareto tail of
shape `SHAPE`: a thin tail let single honest oddities count as impossible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jingwei.analysis.detection.monitor import Floats

APART = 168.0  # hours between two peaks, and the reach of one case
TOP = 16
MONTH = 730.5  # hours
MOST = 25.0  # nats: beyond that an extrapolation says nothing more
SHAPE = 0.15
BEND = 2.0
DECADE = 1.0 / np.log(10.0)  # the scale of a -log10 p under its own null

# Shares of the budget: families of the statistical tier. Found on 2011-2013 (docs/validation).
SHARES: dict[str, float] = {
    "quiet": 1.0,
    "smooth": 1.0,
    "rough": 0.1,
    "ceiling": 3.0,
    "replay": 0.1,
    "digits": 0.5,
    "low": 3.0,
    "high": 0.1,
    "cusum": 2.0,
    "drift": 2.0,
    "still": 1.0,
    "restless": 0.5,
    "white": 0.1,
    "spread": 0.1,
    "daily_replay": 3.0,
    "decouple": 1.0,
    "deaf": 3.0,
    "joint": 2.0,
    "deficit": 0.1,
    "covert": 2.0,
    "hot_missing": 0.5,
    "step_at_gap": 2.0,
    "channel": 1.0,
    "dilution": 1.0,
    "peer": 1.0,
    "facility_power": 0.5,
    "fingerprint": 0.3,
}
MODELLED = frozenset(
    [
        "low",
        "high",
        "cusum",
        "drift",
        "still",
        "restless",
        "white",
        "spread",
        "daily_replay",
        "decouple",
        "deaf",
        "deficit",
        "covert",
        "hot_missing",
        "step_at_gap",
        "channel",
        "dilution",
        "facility_power",
        "fingerprint",
    ]
)
LOGS = frozenset({"digits", "hot_missing"})  # scores that are -log10 p already


def peaks(score: Floats, apart: int, most: int = 400) -> Floats:
    """Heights of the peaks of a stream, at least `apart` rows apart, highest first."""
    left = np.where(np.isnan(score), -np.inf, score)
    out: list[float] = []
    while len(left) and len(out) < most:
        row = int(np.argmax(left))
        if left[row] == -np.inf:
            break
        out.append(float(left[row]))
        left[max(0, row - apart) : row + apart + 1] = -np.inf
    return np.array(out)


@dataclass(frozen=True)
class Tail:
    """Rate of honest peaks above a height, per month.

    heights: peaks, highest first. months: of the history they were seen in.
    """

    heights: Floats
    months: float
    edge: float
    scale: float
    count: int

    @classmethod
    def fit(cls, heights: Floats, months: float, least: float = 0.02) -> Tail | None:
        """None for fewer than five peaks. least: floor of the scale, in the score's own unit."""
        heights = heights[np.isfinite(heights)]
        if len(heights) < 5 or months <= 0:
            return None
        count = int(min(TOP, max(4, len(heights) // 3)))
        edge = float(heights[count]) if len(heights) > count else float(heights[-1])
        scale = float(np.mean(heights[:count] - edge))
        span = float(heights[0] - heights[-1])
        scale = max(scale, 0.05 * span, least)
        return cls(heights, months, edge, scale, count)

    def rarity(self, x: Floats) -> Floats:
        """-ln of the rate per month at each score (T,); -inf where the score is NaN."""
        ranks = np.searchsorted(-self.heights, -np.asarray(x), side="right")
        body = -np.log((ranks + 0.5) / self.months)
        excess = np.maximum((np.asarray(x) - self.edge) / self.scale, 0.0)
        above = -np.log((self.count + 0.5) / self.months) + excess
        out = np.where(x > self.edge, above, body)
        return np.where(np.isnan(x), -np.inf, np.minimum(out, MOST))


def bend(u: Floats) -> Floats:
    """Rarity under a Pareto tail of shape `SHAPE` where an exponential one said u nats."""
    above = BEND + np.log1p(SHAPE * np.maximum(u - BEND, 0.0)) / SHAPE
    return np.where(u > BEND, above, u)


@dataclass(frozen=True)
class Family:
    """A family of streams of one target: its windows and the family as a whole."""

    windows: dict[str, Tail]
    whole: Tail

    def rarity(self, streams: dict[str, Floats]) -> tuple[Floats, list[str], Floats]:
        """Rarity of the family (T,), the windows' names, and which of them was rarest (T,)."""
        names = [w for w in self.windows if w in streams]
        if not names:
            n = len(next(iter(streams.values()))) if streams else 0
            return np.full(n, -np.inf), [], np.zeros(n, dtype=np.int64)
        block = np.array([self.windows[w].rarity(streams[w]) for w in names])
        best = block.max(axis=0)
        whole = self.whole.rarity(np.where(np.isfinite(best), best, np.nan))
        return whole, names, block.argmax(axis=0)

    @classmethod
    def fit(
        cls,
        streams: dict[str, Floats],
        honest: Floats,
        months: float,
        apart: int,
        least: float = 0.02,
    ) -> Family | None:
        """honest: (T,) of 1, NaN where the history is not honest or not yet settled."""
        windows = {}
        for name, stream in streams.items():
            tail = Tail.fit(peaks(stream * honest, apart), months, least)
            if tail is not None:
                windows[name] = tail
        if not windows:
            return None
        block = np.array([windows[w].rarity(streams[w] * honest) for w in windows])
        best = block.max(axis=0)
        whole = Tail.fit(peaks(np.where(np.isfinite(best), best, np.nan), apart), months, 0.5)
        return None if whole is None else cls(windows, whole)


def fleet(p: Sequence[float], q: float = 0.3) -> list[bool]:
    """Which findings of a fleet to show so that at most a share q of them is expected false.

    Benjamini and Hochberg 1995, step-up. p: one p value an outlet (1 for those without a finding).
    """
    n = len(p)
    order = np.argsort(np.asarray(p, dtype=np.float64), kind="stable")
    ranked = np.asarray(p, dtype=np.float64)[order]
    passing = np.flatnonzero(ranked <= q * np.arange(1, n + 1) / max(n, 1))
    keep = np.zeros(n, dtype=bool)
    if len(passing):
        keep[order[: passing[-1] + 1]] = True
    return keep.tolist()


VERDICTS = ("fault", "maintenance", "production", "falsified")


def learn(weights: dict[str, float], verdicts: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Shares of the budget after officers' verdicts (detector, verdict).

    A share grows with the detector's hits and shrinks with its misses: posterior mean of a hit
    under a Beta(2, 2) prior, times the old share; the sum stays. ValueError for unknown words.
    """
    hits: dict[str, float] = {}
    misses: dict[str, float] = {}
    for detector, verdict in verdicts:
        if verdict not in VERDICTS:
            raise ValueError(f"verdict {verdict} is none of {', '.join(VERDICTS)}")
        into = hits if verdict == "falsified" else misses
        into[detector] = into.get(detector, 0.0) + 1.0
    new = {
        d: w * (2.0 + hits.get(d, 0.0)) / (4.0 + hits.get(d, 0.0) + misses.get(d, 0.0)) * 2.0
        for d, w in weights.items()
    }
    total, before = sum(new.values()), sum(weights.values())
    return {d: w * before / total for d, w in new.items()} if total > 0 else dict(weights)
