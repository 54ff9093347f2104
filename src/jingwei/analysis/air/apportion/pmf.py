"""Positive matrix factorisation: X = G F + E with errors of known size.

Paatero and Tapper (1994) Environmetrics 5, 111; uncertainty of the solution as Paatero et al.
(2014) Atmos. Meas. Tech. 7, 781: bootstrap, displacement, and both together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats

ROBUST = 4.0  # scaled residuals beyond this count linearly, Paatero (1997)
DOUBLINGS = 20  # of the way up before a value is held to have no end


def _descend(*args: Any) -> Any:
    """`kernels.descend`, compiled where something is computed: pages that show what was need none."""
    from jingwei.analysis.air.apportion import kernels

    return kernels.descend(*args)


@dataclass(frozen=True)
class Samples:
    """values, errors (samples, species), errors > 0; NaN in values: missing (has no weight)."""

    values: Floats
    errors: Floats
    species: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape != self.errors.shape:
            raise ValueError(
                f"pmf: values {self.values.shape} and errors {self.errors.shape} do not fit together"
            )
        if self.values.shape[1] != len(self.species):
            raise ValueError(f"pmf: {self.values.shape[1]} columns, {len(self.species)} names")
        known = np.isfinite(self.values)
        bad = known & ~(np.isfinite(self.errors) & (self.errors > 0))
        if bad.any():
            i, j = np.argwhere(bad)[0]
            raise ValueError(
                f"pmf: the uncertainty of {self.species[j]} in row {i + 1} is"
                f" {self.errors[i, j]}, must be above 0"
            )
        for j, name in enumerate(self.species):
            if not (self.values[known[:, j], j] > 0).any():
                raise ValueError(f"pmf: {name} has no value above 0; leave it out")

    @property
    def weights(self) -> Floats:
        """1/error², 0 where missing."""
        known = np.isfinite(self.values)
        return np.where(known, 1 / np.where(known, self.errors, 1.0) ** 2, 0.0)

    @property
    def filled(self) -> Floats:
        return np.ascontiguousarray(np.nan_to_num(self.values))


@dataclass(frozen=True)
class Solution:
    """contributions G (samples, factors), of mean 1; profiles F (factors, species), in the unit of
    the values. `q`: sum of squared scaled residuals; `robust`: with those beyond 4 counted
    linearly; `goal`: degrees of freedom, nm - k(n + m); `all_q`: of every start that was followed
    to its end, the lowest first; `forbidden` (factors, species): what a constraint holds at 0, so
    that its resamples and displacements hold it too; None for none."""

    contributions: Floats
    profiles: Floats
    q: float
    robust: float
    goal: float
    all_q: tuple[float, ...]
    forbidden: npt.NDArray[np.bool_] | None = None

    def upper(self) -> Floats | None:
        """The bound that `forbidden` puts on the profiles."""
        return None if self.forbidden is None else np.where(self.forbidden, 0.0, np.inf)

    @property
    def factors(self) -> int:
        return int(self.profiles.shape[0])

    def shares(self) -> Floats:
        """Share of each species that each factor explains, (factors, species); columns sum to 1."""
        return np.asarray(self.profiles / np.maximum(self.profiles.sum(axis=0), 1e-300))


def residuals(samples: Samples, g: Floats, f: Floats) -> Floats:
    """Scaled residuals (samples, species), 0 where missing."""
    return np.asarray((samples.filled - g @ f) * np.sqrt(samples.weights))


def _sums(samples: Samples, g: Floats, f: Floats) -> tuple[float, float]:
    size = np.abs(residuals(samples, g, f))
    plain = float(np.sum(size**2))
    # As EPA PMF 5 and esat count it: the squared residual divided by |r|/4 beyond 4.
    return plain, float(np.sum(np.where(size > ROBUST, size * ROBUST, size**2)))


def _normal(g: Floats, f: Floats) -> tuple[Floats, Floats]:
    mean = np.maximum(g.mean(axis=0), 1e-300)
    return g / mean, f * mean[:, None]


def _bounds(
    shape: tuple[int, int], low: Floats | None, high: Floats | None
) -> tuple[Floats, Floats]:
    under = np.zeros(shape) if low is None else floats(low)
    over = np.full(shape, np.inf) if high is None else floats(high)
    if under.shape != shape or over.shape != shape or not (under <= over).all():
        raise ValueError(f"pmf: bounds need the shape {shape} and low <= high")
    return np.ascontiguousarray(np.maximum(under, 0.0)), np.ascontiguousarray(over)


def factorise(
    samples: Samples,
    factors: int,
    *,
    starts: int = 40,
    robust: bool = False,
    low: Floats | None = None,
    high: Floats | None = None,
    seed: int = 1,
    tolerance: float = 1e-5,
    sweeps: int = 2000,
) -> Solution:
    """The best of `starts` random starts; the worse ones are given up early.

    All go 20 sweeps, the better quarter 60 more, the best three of those to their end. `low`, `high`
    (factors, species) bound the profiles (constraints: 0 to forbid, equal to fix) in the unit of
    the values, for contributions of any mean. Raises ValueError for too many factors.
    """
    n, m = samples.values.shape
    if not 1 <= factors < min(n, m):
        raise ValueError(f"pmf: {factors} factors of {n} samples and {m} species")
    under, over = _bounds((factors, m), low, high)
    x, w = samples.filled, np.ascontiguousarray(samples.weights)
    mean = np.maximum(x.mean(axis=0), 1e-12)
    limit = ROBUST if robust else 0.0
    random = np.random.default_rng(seed)
    field: list[tuple[float, Floats, Floats]] = []
    for _ in range(starts):
        g = random.lognormal(0.0, 0.7, (n, factors))
        f = random.lognormal(0.0, 1.0, (factors, m)) * mean / factors
        f = np.ascontiguousarray(np.clip(f, under, over))
        q, _ = _descend(x, w, g, f, under, over, 20, 0.0, limit)
        field.append((q, g, f))
    for keep, more, end in ((-(-starts // 4), 60, 0.0), (3, sweeps, tolerance)):
        field = sorted(field, key=lambda s: s[0])[:keep]
        field = [
            (_descend(x, w, g, f, under, over, more, end, limit)[0], g, f) for _, g, f in field
        ]
    field.sort(key=lambda s: s[0])
    g, f = _normal(field[0][1], field[0][2])
    q, r = _sums(samples, g, f)
    goal = float((w > 0).sum() - factors * (n + m))
    order = np.argsort(-(f.sum(axis=1)))
    return Solution(
        np.ascontiguousarray(g[:, order]), np.ascontiguousarray(f[order]), q, r, goal,
        tuple(s[0] for s in field), (over == 0)[order] if (over == 0).any() else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Bootstrap:
    """`mapped` (factors, factors + 1): how often a resample's factor was which of the base's (last
    column: none); low, middle, high (factors, species): 5, 50, 95 % of the profiles; `found`: for each
    factor of the base the profiles of the resamples that were mapped to it, (those, species)."""

    mapped: npt.NDArray[np.int64]
    low: Floats
    middle: Floats
    high: Floats
    found: tuple[Floats, ...]


def _matches(base: Floats, other: Floats, least: float) -> list[int]:
    """For each column of `other` the column of `base` that it correlates best with, -1: none."""
    a = base - base.mean(axis=0)
    b = other - other.mean(axis=0)
    size = np.sqrt((b**2).sum(axis=0))[:, None] * np.sqrt((a**2).sum(axis=0))
    r = (b.T @ a) / np.maximum(size, 1e-300)
    return [int(row.argmax()) if row.max() >= least else -1 for row in r]


def _resample(
    samples: Samples, base: Solution, block: int, random: np.random.Generator, limit: float
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """G, F of a block resample of the rows, from the base's profiles, and its rows."""
    n = len(samples.values)
    first = random.integers(0, n, -(-n // block))
    rows = np.asarray((first[:, None] + np.arange(block)).ravel()[:n] % n)
    x = np.ascontiguousarray(samples.filled[rows])
    w = np.ascontiguousarray(samples.weights[rows])
    g = np.ascontiguousarray(base.contributions[rows])
    f = base.profiles * random.lognormal(0.0, 0.3, base.profiles.shape)
    under, over = _bounds((f.shape[0], f.shape[1]), None, base.upper())
    f = np.ascontiguousarray(np.minimum(f, over))
    _descend(x, w, g, f, under, over, 400, 1e-4, limit)
    return g, f, rows


def bootstrap(
    samples: Samples,
    base: Solution,
    *,
    runs: int = 50,
    block: int = 10,
    least: float = 0.6,
    robust: bool = False,
    seed: int = 1,
) -> Bootstrap:
    """Block resampling of the rows. A factor is mapped to the base factor whose contributions it
    correlates with best, by at least `least`."""
    random = np.random.default_rng(seed)
    k = base.factors
    mapped = np.zeros((k, k + 1), np.int64)
    found: list[list[Floats]] = [[] for _ in range(k)]
    for _ in range(runs):
        g, f, rows = _resample(samples, base, block, random, ROBUST if robust else 0.0)
        g, f = _normal(g, f)
        for a, b in enumerate(_matches(base.contributions[rows], g, least)):
            mapped[a, b] += 1
            if b >= 0:
                found[b].append(f[a])
    nothing = np.full((1, base.profiles.shape[1]), np.nan)
    stacked = [np.stack(one) if one else nothing for one in found]
    low, middle, high = (
        np.stack([np.quantile(one, level, axis=0) for one in stacked])
        for level in (0.05, 0.5, 0.95)
    )
    return Bootstrap(mapped, low, middle, high, tuple(stacked))


@dataclass(frozen=True)
class Displacement:
    """low, high (factors, species): how far a profile's value may go before Q rises by more than
    `rise`, everything else fitted anew; `swaps`: how often a factor became another on the way."""

    rise: float
    low: Floats
    high: Floats
    swaps: int


def _held(
    x: Floats,
    w: Floats,
    g: Floats,
    f: Floats,
    a: int,
    j: int,
    value: float,
    limit: float,
    most: Floats | None,
) -> float:
    """Q with f[a, j] times the mean of g[:, a] held at `value`; g and f are moved in place. `most`:
    upper bounds of the others."""
    under, over = _bounds((f.shape[0], f.shape[1]), None, most)
    q = np.inf
    for _ in range(6):
        held = value / max(float(g[:, a].mean()), 1e-12)
        under[a, j] = over[a, j] = f[a, j] = held
        q, _ = _descend(x, w, g, f, under, over, 4, 0.0, limit)
    return float(q)


def displace(
    samples: Samples,
    base: Solution,
    *,
    rise: float = 4.0,
    elements: list[tuple[int, int]] | None = None,
    robust: bool = False,
    steps: int = 7,
) -> Displacement:
    """Displacement of every value of the profiles, or of `elements` (factor, species) only.

    A value is the species' level in a factor of contributions with mean 1. The others follow by a
    few sweeps a step, so an interval is a little too narrow rather than too wide. Its end is 0 or inf
    where Q rises by less than `rise` however far a value goes. What a constraint holds at 0 stays there.
    """
    x, w = samples.filled, np.ascontiguousarray(samples.weights)
    limit = ROBUST if robust else 0.0
    low, high = base.profiles.copy(), base.profiles.copy()
    most = base.upper()
    under, over = _bounds((base.factors, x.shape[1]), None, most)
    g0, f0 = base.contributions.copy(), base.profiles.copy()
    q0 = float(_descend(x, w, g0, f0, under, over, 200, 1e-7, limit)[0])
    g0, f0 = _normal(g0, f0)

    def too_far(a: int, j: int, value: float) -> tuple[bool, int]:
        g, f = g0.copy(), f0.copy()
        risen = _held(x, w, g, f, a, j, value, limit, most) - q0 > rise
        return risen, int(_matches(g0, g, 0.6)[a] not in (a, -1))

    swaps = 0
    mean = np.maximum(x.mean(axis=0), 1e-12)
    if elements is None:
        elements = [(a, j) for a in range(base.factors) for j in range(x.shape[1])]
    for a, j in elements:
        if base.forbidden is not None and base.forbidden[a, j]:
            continue
        for sign, out in ((-1, low), (1, high)):
            inner = f0[a, j]
            far = -inner if sign < 0 else max(inner, mean[j])
            for _ in range(1 if sign < 0 else DOUBLINGS):
                outer = f0[a, j] + far
                risen, swapped = too_far(a, j, outer)
                if risen:
                    break
                inner, far = outer, 2 * far
                swaps += swapped
            else:  # never: down to nothing, or without end
                out[a, j] = 0.0 if sign < 0 else np.inf
                continue
            for _ in range(steps - 1):
                probe = 0.5 * (inner + outer)
                risen, swapped = too_far(a, j, probe)
                if risen:
                    outer = probe
                else:
                    inner = probe
                    swaps += swapped
            out[a, j] = inner
    return Displacement(rise, np.minimum(low, f0), np.maximum(high, f0), swaps)


@dataclass(frozen=True)
class Both:
    """Displacement in resamples, by element: `counted`: resamples in which its factor was found again;
    low, high: 5 % of their lows, 95 % of their highs, both rounded outwards (of 20 resamples or fewer the
    lowest and the highest), NaN where there is none; `swaps`: how often a factor became another on the
    way."""

    low: Floats
    high: Floats
    counted: npt.NDArray[np.int64]
    swaps: int


def bootstrap_displace(
    samples: Samples,
    base: Solution,
    elements: list[tuple[int, int]],
    *,
    runs: int = 10,
    block: int = 10,
    rise: float = 4.0,
    robust: bool = False,
    seed: int = 1,
    tell: Callable[[int], None] | None = None,
) -> Both:
    """Displacement of `elements` (factor, species) in each of `runs` resamples (BS-DISP). `tell`: takes
    how many resamples are done."""
    random = np.random.default_rng(seed)
    lows: list[list[float]] = [[] for _ in elements]
    highs: list[list[float]] = [[] for _ in elements]
    swaps = 0
    for run in range(runs):
        if tell:
            tell(run)
        g, f, rows = _resample(samples, base, block, random, ROBUST if robust else 0.0)
        g, f = _normal(g, f)
        back = _matches(base.contributions[rows], g, 0.6)
        try:
            part = Samples(samples.values[rows], samples.errors[rows], samples.species)
        except ValueError:  # a species is in none of its rows
            continue
        one = Solution(g, f, 0.0, 0.0, 0.0, (), base.forbidden)
        here = [(back.index(a), j) if a in back else (-1, j) for a, j in elements]
        found = displace(
            part, one, rise=rise, elements=[e for e in here if e[0] >= 0], robust=robust
        )
        swaps += found.swaps
        for n, (a, j) in enumerate(here):
            if a >= 0:
                lows[n].append(float(found.low[a, j]))
                highs[n].append(float(found.high[a, j]))
    return Both(
        np.array([np.quantile(v, 0.05, method="lower") if v else np.nan for v in lows]),
        np.array([np.quantile(v, 0.95, method="higher") if v else np.nan for v in highs]),
        np.array([len(v) for v in lows], np.int64),
        swaps,
    )
