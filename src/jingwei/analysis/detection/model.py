"""What the outlet should emit, given how it runs: a recency-weighted ridge, walked forward.

For each channel y (a pollutant, O2, flow) and process state x the model is

    f(y_t) = b . phi(x_t),   b = argmin  sum_{s <= t - lag} g^(t-s) (f(y_s) - b . phi(x_s))^2 + c |b|^2

with phi = 1, x, means of x over 3 and 12 hours, all products of two (quadratic), and `FOURIER`
random Fourier features (Rahimi and Recht 2007: a ridge on them approximates a Gaussian-process
regression with a squared-exponential kernel). x is scaled by the history's mean and deviation and
clipped at 3 deviations, so that no input can send the prediction to infinity. f is the square root
for skewed channels (median far below the 99th percentile), else identity. Half-lives of `FAST` are
averaged; `SLOW` with a longer lag is the second, nearly frozen baseline.

On top lies a bias term (`corrected`) for windows shorter than its lag.

No lagged pollutant is a feature: a model that sees what was written follows the writer. Nothing
younger than `lag` is learnt from, so that a falsification shows before it is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import factorial

import numpy as np
import numpy.typing as npt

from jingwei.analysis.detection import kernels
from jingwei.analysis.detection.monitor import Bools, Floats

FOURIER = 128
WIDTH = 0.6  # of the Fourier features' frequencies, per standard deviation
PENALTY = 30.0
MEANS = (3, 12)  # hours
EXACT = 11  # columns: 2^11 states, a few ms
FAST = (350.0, 1200.0, 4000.0)  # half-lives, hours
SLOW = (6000.0,)
FAST_LAG = 72.0  # hours
SLOW_LAG = 336.0
REFIT = 24  # hours between two refits
LEAST = 700  # valid rows before the first fit
BIAS_HALF = 60.0  # hours
BIAS_SHARE = 0.4
BIAS_PRIOR = 10.0  # hours
GATE = 0.6  # R² out of time that a model needs before it may accuse
CLIP = 3.0
STALE = 24.0 * 30  # hours without any row after which old knowledge counts a quarter
STALE_WEIGHT = 0.25


@dataclass(frozen=True)
class Scaler:
    """Mean and deviation of each process column over the history, and the Fourier frequencies."""

    names: tuple[str, ...]
    mean: Floats
    deviation: Floats
    frequencies: Floats  # (n columns, FOURIER)
    phases: Floats

    @classmethod
    def fit(cls, columns: Mapping[str, Floats]) -> Scaler:
        names, means, deviations = [], [], []
        for name, column in columns.items():
            valid = column[~np.isnan(column)]
            if len(valid) < 2 or len(valid) < 0.5 * len(column):
                continue
            deviation = float(valid.std())
            if deviation <= 1e-9 * max(1.0, abs(float(valid.mean()))):
                continue  # a constant says nothing
            names.append(name)
            means.append(float(valid.mean()))
            deviations.append(deviation)
        generator = np.random.Generator(np.random.PCG64(20110101))
        n = len(names)
        return cls(
            tuple(names),
            np.array(means),
            np.array(deviations),
            generator.normal(size=(n, FOURIER)) * WIDTH,
            generator.uniform(0.0, 2.0 * np.pi, FOURIER),
        )

    def scaled(self, columns: Mapping[str, Floats]) -> Floats:
        """(T, n): scaled and clipped; a missing value holds the last one for 6 rows, then NaN."""
        first = next(iter(columns.values()))
        out = np.empty((len(first), len(self.names)))
        for i, name in enumerate(self.names):
            z = (columns[name] - self.mean[i]) / self.deviation[i]
            out[:, i] = _hold(z, 6)
        return out

    def features(self, z: Floats, per_hour: float) -> Floats:
        """phi (T, P); rows with a missing state are NaN throughout."""
        x = np.clip(z, -CLIP, CLIP)
        means = []
        for hours in MEANS:
            w = max(1, round(hours * per_hour))
            columns = (np.ascontiguousarray(x[:, i]) for i in range(x.shape[1]))
            means.append(np.column_stack([kernels.rolling_mean(c, w, 1) for c in columns]))
        out = self.expand(x, means)
        out[np.isnan(z).any(axis=1)] = np.nan
        return out

    def expand(self, x: Floats, means: Sequence[Floats]) -> Floats:
        """phi (T, P) of the clipped state (T, n) and its means over `MEANS` hours, each (T, n)."""
        rows, columns = np.triu_indices(x.shape[1])
        waves = np.cos(x @ self.frequencies + self.phases)
        parts = [np.ones((len(x), 1)), x, *means, x[:, rows] * x[:, columns]]
        return np.hstack([*parts, waves * (3.0 * np.sqrt(2.0 / FOURIER))])


def _hold(x: Floats, most: int) -> Floats:
    there = ~np.isnan(x)
    if there.all():
        return x
    last = np.maximum.accumulate(np.where(there, np.arange(len(x)), -1))
    age = np.arange(len(x)) - last
    return np.where((last >= 0) & (age <= most), x[np.maximum(last, 0)], np.nan)


@dataclass
class Memory:
    """Weighted sums of one walk: what a ridge knows."""

    half: float
    gram: Floats  # lower triangle
    cross: Floats
    count: int

    def age(self, hours: float) -> None:
        g = 0.5 ** (hours / self.half)
        self.gram *= g
        self.cross *= g

    def copy(self) -> Memory:
        return Memory(self.half, self.gram.copy(), self.cross.copy(), self.count)


def solved(memory: Memory) -> Floats:
    """The coefficients (P,) of what a memory knows."""
    penalty = np.full(len(memory.cross), PENALTY)
    penalty[0] = 1e-6
    return kernels.solve(memory.gram, memory.cross, penalty)


@dataclass(frozen=True)
class Transform:
    """f of the module's docstring."""

    root: bool
    low: float  # bounds of what was ever seen, on the scale of y
    high: float

    @classmethod
    def fit(cls, y: Floats) -> Transform:
        valid = y[~np.isnan(y)]
        middle, high = np.percentile(valid, [50, 99])
        return cls(
            bool(valid.min() >= 0 and high > 3.0 * max(middle, 1e-12)),
            float(valid.min()),
            float(valid.max()),
        )

    def forward(self, y: Floats) -> Floats:
        return np.sqrt(np.maximum(y, 0.0)) if self.root else y.astype(np.float64)

    def back(self, f: Floats) -> Floats:
        y = np.maximum(f, 0.0) ** 2 if self.root else f
        spread = self.high - self.low
        return np.clip(y, min(self.low, 0.0), self.high + 0.25 * spread)


@dataclass(frozen=True)
class Walk:
    """One channel walked through a stretch, all (T,) on the scale of f; NaN where not possible."""

    f: Floats
    fast: Floats
    slow: Floats
    use: Bools  # rows that may be learnt from


def walk(
    phi: Floats,
    f: Floats,
    use: Bools,
    half: float,
    lag: int,
    refit: int,
    per_hour: float,
    memory: Memory | None,
    upto: int | None = None,
) -> tuple[Floats, Memory]:
    """Predict each row from rows at least `lag` older; returns (T,) and what was learnt up to the
    end (or to row `upto`), for a later stretch to start from.

    With a memory, the rows before the first refit are predicted from it.
    """
    n, p = phi.shape
    known = memory.copy() if memory is not None else Memory(half, np.zeros((p, p)), np.zeros(p), 0)
    good = use & ~np.isnan(f) & ~np.isnan(phi[:, 0])
    out = np.full(n, np.nan)
    done = 0
    usable = ~np.isnan(phi[:, 0])

    def learn(stop: int) -> None:
        nonlocal done
        if stop <= done:
            return
        known.age((stop - done) / per_hour)
        rows = np.flatnonzero(good[done:stop]) + done
        if len(rows):
            w = 0.5 ** ((stop - rows) / per_hour / half)
            kernels.learn(known.gram, known.cross, phi[rows], f[rows], w)
            known.count += len(rows)
        done = stop

    for t in range(0, n, refit):
        learn(max(0, t - lag))
        if known.count < LEAST * per_hour:
            continue
        beta = solved(known)
        rows = np.flatnonzero(usable[t : t + refit]) + t
        out[rows] = phi[rows] @ beta
    learn(n if upto is None else upto)
    return out, known


def corrected(f: Floats, fast: Floats, use: Bools, per_hour: float) -> Floats:
    """The fast expectation put right by `BIAS_SHARE` of its recent error (T,): the best prediction.

    The error is at least `FAST_LAG` old, so that nothing falsified within these hours is in it; windows
    longer than that must not be judged by it (they would learn what they look for).
    """
    r = np.where(use, f - fast, np.nan)
    return fast + kernels.follow(
        r,
        BIAS_HALF * per_hour,
        round(FAST_LAG * per_hour),
        BIAS_SHARE,
        BIAS_PRIOR * per_hour,
    )


@dataclass(frozen=True)
class Quality:
    """How a model did out of time. `passed`: it may accuse.

    r2, mae: of the expectation that accuses (`Walk.fast`). r2_corrected: with its recent error taken
    off (`corrected`): the best prediction, which has learnt from recent reports and opens no gate.
    """

    r2: float
    mae: float
    rows: int
    passed: bool
    r2_corrected: float = float("nan")


def measured(
    transform: Transform, y: Floats, f: Floats, fast: Floats, use: Bools, per_hour: float, of: Bools
) -> Quality:
    """The quality of a walk in the unit of y: judged on the rows `of`, corrected by those of `use`."""
    near = quality(y, transform.back(corrected(f, fast, use, per_hour)), of)
    return replace(quality(y, transform.back(fast), of), r2_corrected=near.r2)


def quality(y: Floats, predicted: Floats, use: Bools) -> Quality:
    rows = use & ~np.isnan(y) & ~np.isnan(predicted)
    n = int(rows.sum())
    if n < 2:
        return Quality(float("nan"), float("nan"), n, False)
    error = y[rows] - predicted[rows]
    spread = float(((y[rows] - y[rows].mean()) ** 2).sum())
    r2 = 1.0 - float((error**2).sum()) / spread if spread > 0 else float("nan")
    return Quality(r2, float(np.abs(error).mean()), n, bool(r2 >= GATE))


@dataclass
class Channel:
    """The model of one column: transform, memories at the end of the history, quality."""

    name: str
    transform: Transform
    memories: list[Memory]  # FAST then SLOW
    quality: Quality

    def run(
        self, phi: Floats, y: Floats, use: Bools, per_hour: float, fresh: bool
    ) -> tuple[Walk, list[Memory]]:
        """Walk a stretch; from the memories, or from nothing if `fresh`."""
        f = self.transform.forward(y)
        refit = max(1, round(REFIT * per_hour))
        results, memories = [], []
        plans = [(h, FAST_LAG) for h in FAST] + [(h, SLOW_LAG) for h in SLOW]
        for i, (half, lag_hours) in enumerate(plans):
            lag = round(lag_hours * per_hour)
            start = None if fresh else self.memories[i]
            predicted, memory = walk(phi, f, use, half, lag, refit, per_hour, start)
            results.append(predicted)
            memories.append(memory)
        fast = np.mean(results[: len(FAST)], axis=0)
        return Walk(f, fast, results[-1], use), memories


def importance(
    scaler: Scaler, z: Floats, f: Floats, use: Bools, per_hour: float, memory: Memory
) -> dict[str, float]:
    """Permutation importance: by how much the mean squared error grows when a column is shuffled.

    To be computed on rows that the memory has not learnt from (out of time). Relative to the
    unshuffled error; deterministic.
    """
    beta = kernels.solve(memory.gram, memory.cross, np.full(len(memory.cross), PENALTY))
    rows = np.flatnonzero(use & ~np.isnan(f) & ~np.isnan(z).any(axis=1))
    if len(rows) < 100:
        return {}
    z, f = z[rows], f[rows]
    base = float(np.mean((f - scaler.features(z, per_hour) @ beta) ** 2))
    generator = np.random.Generator(np.random.PCG64(7))
    order = generator.permutation(len(rows))
    result = {}
    for i, name in enumerate(scaler.names):
        shuffled = z.copy()
        shuffled[:, i] = shuffled[order, i]
        error = float(np.mean((f - scaler.features(shuffled, per_hour) @ beta) ** 2))
        result[name] = error / base - 1.0
    return result


def contributions(
    scaler: Scaler, z: Floats, row: int, memory: Memory, per_hour: float
) -> dict[str, float]:
    """What each column contributes to the prediction of one row, against the history's mean state.

    Shapley values: exact over all subsets of up to `EXACT` columns, else the mean over 64 orders
    drawn once (antithetic pairs). They sum to the prediction less that of the mean state. A column
    counts with its means of the hours before. For alarms only. Unit: that of f.
    """
    beta = kernels.solve(memory.gram, memory.cross, np.full(len(memory.cross), PENALTY))
    n = len(scaler.names)
    x = np.clip(z[: row + 1], -CLIP, CLIP)
    states = [x[row]]
    for hours in MEANS:
        part = x[max(0, row + 1 - max(1, round(hours * per_hour))) :]
        held = (~np.isnan(part)).sum(axis=0)
        states.append(np.nansum(part, axis=0) / np.maximum(held, 1))

    def worth(masks: npt.NDArray[np.bool_]) -> Floats:
        now, *means = (np.where(masks, s[None, :], 0.0) for s in states)
        result: Floats = scaler.expand(now, means) @ beta
        return result

    total = np.zeros(n)
    if n <= EXACT:
        codes = np.arange(2**n)
        masks = (codes[:, None] >> np.arange(n)[None, :]) & 1 == 1
        value = worth(masks)
        size = masks.sum(axis=1)
        weight = np.array(
            [factorial(k) * factorial(n - k - 1) / factorial(n) for k in range(n)] + [0.0]
        )
        for i in range(n):
            without = codes[~masks[:, i]]
            total[i] = (weight[size[without]] * (value[without | (1 << i)] - value[without])).sum()
    else:
        generator = np.random.Generator(np.random.PCG64(11))
        orders = [generator.permutation(n) for _ in range(32)]
        for order in [*orders, *[o[::-1] for o in orders]]:
            rank = np.argsort(order)
            value = worth(rank[None, :] < np.arange(n + 1)[:, None])
            total[order] += np.diff(value) / 64
    return dict(zip(scaler.names, total.tolist(), strict=True))
