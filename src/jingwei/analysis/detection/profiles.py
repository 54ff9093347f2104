"""How the outlets of an industry spend their week: kinds of weekly profile, and who departs from his.

A profile is the mean emission of each hour of the week, divided by its own mean (shape only). The
outlets of an industry are grouped by k-means; how many groups there are is not chosen but found:
the largest number whose groups come out again in the other half of the outlets (prediction strength
of at least 0.8: Tibshirani and Walther 2005, doi 10.1198/106186005X59243). No groups is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jingwei.analysis.detection.associations import adjust
from jingwei.analysis.detection.monitor import Floats, Ints, Monitor

WEEK = 168
STRENGTH = 0.8
SPLITS = 8
STARTS = 6
ROUNDS = 60
LEAST = 5  # outlets that a group needs before one of them can depart from it


def profile(monitor: Monitor, column: str, least: int = 4, gaps: int = 0) -> Floats | None:
    """Shape of the week, (168,), mean 1, Monday 0 o'clock first (zone of `start`).

    Up to `gaps` hours of the week may have fewer than `least` values (that of the weekly calibration
    never has any): they are put between the hours beside them. None where more have, or the mean is
    not positive.
    """
    y = monitor.values[column]
    first = monitor.start.weekday() * 24 + monitor.start.hour + monitor.start.minute / 60
    slot = np.floor(first + np.arange(len(y)) / monitor.hour + 1e-9).astype(np.int64) % WEEK
    good = ~np.isnan(y)
    count = np.bincount(slot[good], minlength=WEEK)
    known = np.flatnonzero(count >= least * monitor.hour)
    if len(known) < max(WEEK - gaps, 1):
        return None
    total = np.bincount(slot[good], weights=y[good], minlength=WEEK)
    mean = np.interp(np.arange(WEEK), known, total[known] / count[known], period=WEEK)
    level = float(mean.mean())
    return mean / level if level > 0 else None


def _nearest(x: Floats, centers: Floats) -> tuple[Ints, Floats]:
    """The nearest centre of each row, and the squared distance to it."""
    d = (x**2).sum(axis=1)[:, None] - 2 * x @ centers.T + (centers**2).sum(axis=1)[None, :]
    label: Ints = d.argmin(axis=1)
    return label, np.maximum(d[np.arange(len(x)), label], 0.0)


def k_means(x: Floats, k: int, generator: np.random.Generator) -> tuple[Ints, Floats]:
    """Labels (n,) and centres (k, p): k-means++ starts, the best of `STARTS`. Groups are numbered
    by size, largest first."""
    best: tuple[float, Ints, Floats] | None = None
    for _ in range(STARTS):
        centers = x[generator.integers(len(x))][None, :]
        while len(centers) < k:
            _, d = _nearest(x, centers)
            total = d.sum()
            row = (
                int(generator.choice(len(x), p=d / total))
                if total > 0
                else int(generator.integers(len(x)))
            )
            centers = np.vstack([centers, x[row]])
        label, d = _nearest(x, centers)
        for _ in range(ROUNDS):
            centers = np.array(
                [x[label == i].mean(axis=0) if (label == i).any() else centers[i] for i in range(k)]
            )
            new, d = _nearest(x, centers)
            if np.array_equal(new, label):
                break
            label = new
        if best is None or d.sum() < best[0]:
            best = (float(d.sum()), label, centers)
    assert best is not None
    _, label, centers = best
    order = np.argsort(-np.bincount(label, minlength=k), kind="stable")
    rank = np.empty(k, dtype=np.int64)
    rank[order] = np.arange(k)
    return rank[label], centers[order]


def _strength(x: Floats, k: int, generator: np.random.Generator) -> float:
    """Prediction strength of one split: the groups of one half, predicted from the other."""
    order = generator.permutation(len(x))
    one, two = x[order[: len(x) // 2]], x[order[len(x) // 2 :]]
    _, centers = k_means(one, k, generator)
    label, _ = k_means(two, k, generator)
    predicted, _ = _nearest(two, centers)
    worst = 1.0
    for group in range(k):
        members = predicted[label == group]
        if len(members) < 2:
            return 0.0
        same = np.bincount(members, minlength=k)
        pairs = len(members) * (len(members) - 1)
        worst = min(worst, float((same * (same - 1)).sum() / pairs))
    return worst


@dataclass(frozen=True)
class Kinds:
    """labels (n,): group of each outlet, the largest first. centers (k, 168). strength: k -> mean
    prediction strength, for every k tried."""

    labels: Ints
    centers: Floats
    strength: dict[int, float]

    @property
    def count(self) -> int:
        return len(self.centers)


def kinds(profiles: Floats, most: int = 8, seed: int = 20260101) -> Kinds:
    """The kinds of week in an industry. profiles: (n, 168), no NaN. Same input, same groups.

    ValueError for NaN or fewer than two outlets.
    """
    x = np.asarray(profiles, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or np.isnan(x).any():
        raise ValueError("profiles must be a block of at least two outlets without gaps")
    strength = {1: 1.0}
    best = 1
    for k in range(2, min(most, len(x) // (2 * LEAST)) + 1):
        generator = np.random.Generator(np.random.PCG64([seed, k]))
        strength[k] = float(np.mean([_strength(x, k, generator) for _ in range(SPLITS)]))
        if strength[k] >= STRENGTH:
            best = k
    labels, centers = k_means(x, best, np.random.Generator(np.random.PCG64([seed, 0, best])))
    return Kinds(labels, centers, strength)


@dataclass(frozen=True)
class Standing:
    """An outlet beside the others of its kind. distance: root mean square departure of its week from
    their mean (itself left out), in shares of the mean. p: share of the kind that departs as far
    or farther; q: adjusted for the number of outlets. hours: of the week in which it departs
    most, largest first, with its value and theirs."""

    kind: int
    peers: int
    distance: float
    p: float
    q: float
    hours: tuple[tuple[int, float, float], ...]


def compare(profiles: Floats, found: Kinds, shown: int = 5) -> list[Standing | None]:
    """Where each outlet stands in its kind; None where the kind has fewer than `LEAST` outlets.

    p comes from a log-normal through median and median deviation of the kind's distances: ranks
    alone could never be rarer than one in the kind.
    """
    from scipy.stats import norm

    x = np.asarray(profiles, dtype=np.float64)
    distance = np.full(len(x), np.nan)
    centers = np.zeros_like(x)
    p = np.full(len(x), np.nan)
    for kind in range(found.count):
        rows = np.flatnonzero(found.labels == kind)
        if len(rows) < LEAST:
            continue
        total = x[rows].sum(axis=0)
        centers[rows] = (total[None, :] - x[rows]) / (len(rows) - 1)
        distance[rows] = np.sqrt(((x[rows] - centers[rows]) ** 2).mean(axis=1))
        logs = np.log(np.maximum(distance[rows], 1e-12))
        middle = float(np.median(logs))
        spread = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.05)
        p[rows] = norm.sf((logs - middle) / spread)
    judged = np.flatnonzero(~np.isnan(p))
    q = dict(zip(judged.tolist(), adjust(p[judged].tolist()), strict=True))
    sizes = np.bincount(found.labels, minlength=found.count)
    out: list[Standing | None] = []
    for i in range(len(x)):
        if i not in q:
            out.append(None)
            continue
        far = np.argsort(-np.abs(x[i] - centers[i]), kind="stable")[:shown].tolist()
        out.append(
            Standing(
                int(found.labels[i]),
                int(sizes[found.labels[i]]) - 1,
                float(distance[i]),
                float(p[i]),
                q[i],
                tuple((h, float(x[i, h]), float(centers[i, h])) for h in far),
            )
        )
    return out
