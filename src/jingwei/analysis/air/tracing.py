"""From measurements back to sources: the source-receptor matrix and who is behind an exceedance.

`matrix` sends puffs backwards from the receptors; `invert` weighs every source's inventory against
what was measured, with the errors of the wind in the covariance. Plain least squares with
non-negative rates puts wind errors into sources; `field.city` measures how often
(docs/validation/air.md).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.puffs import SCHEDULE, Sources, Winds, effective_heights

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Bools = npt.NDArray[np.bool_]


def matrix(
    sources: Sources,
    winds: Winds,
    receptors: npt.ArrayLike,
    *,
    memory: int = 24,
    arrivals: int = 2,
    schedule: tuple[int, ...] = SCHEDULE,
    threads: int | None = None,
) -> csr_matrix:
    """Hourly mean at receptors per unit steady release, s/m³: shape (hours * receptors, sources).

    Row hour * len(receptors) + receptor. `arrivals` puffs an hour go back from each receptor for up
    to `memory` hours, not beyond the first hour of `winds`.
    """
    from scipy.sparse import csr_matrix

    from jingwei.analysis.air import kernels  # compiled code: loaded where it is wanted

    places = floats(receptors).reshape(-1, 3)
    if not np.isfinite(places).all():
        raise ValueError("receptors: a coordinate is missing")
    heights = np.stack([effective_heights(sources, winds, h) for h in range(winds.hours)])
    spots = np.stack([sources.x, sources.y], axis=1)
    buckets = kernels.buckets(spots, 2000.0)
    flow = np.stack(
        [winds.u[:-1], winds.v[:-1], np.diff(winds.u, axis=0), np.diff(winds.v, axis=0)], axis=-1
    )
    node = np.array([winds.x0, winds.y0, winds.size])
    rates = np.array([winds.deposition, winds.loss])
    plan = np.array([schedule[min(k, len(schedule) - 1)] for k in range(memory + 1)], np.int64)

    def one(row: int) -> tuple[npt.NDArray[np.int64], Floats]:
        hour, place = divmod(row, len(places))
        found = np.zeros(len(sources))
        for k in range(arrivals):
            kernels.back(
                places[place], hour, (k + 0.5) / arrivals, 1.0 / arrivals, plan, flow,
                winds.turbulence, node, rates, spots, heights, *buckets, found,
            )  # fmt: skip
        where = np.flatnonzero(found > 1e-4 * found.max()) if found.any() else np.zeros(0, int)
        return where, found[where]

    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8)) as pool:
        parts = list(pool.map(one, range(winds.hours * len(places))))
    starts = np.concatenate([[0], np.cumsum([len(w) for w, _ in parts])])
    columns = np.concatenate([w for w, _ in parts]) if parts else np.zeros(0, int)
    values = np.concatenate([v for _, v in parts]) if parts else np.zeros(0)
    return csr_matrix((values, columns, starts), shape=(len(parts), len(sources)))


def turned(winds: Winds, degrees: float = 0.0, factor: float = 1.0) -> Winds:
    """The wind turned anticlockwise and stretched everywhere."""
    angle = np.radians(degrees)
    c, s = factor * np.cos(angle), factor * np.sin(angle)
    return replace(winds, u=c * winds.u - s * winds.v, v=s * winds.u + c * winds.v)


@dataclass(frozen=True)
class Candidate:
    """One source in the ranked list. `low`, `high`: the middle 90 % of its rate, u/s."""

    source: int
    probability: float
    inventory: float
    rate: float
    low: float
    high: float
    alike: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """`probability` (n,) that a source exceeds `threshold` times its inventory; posterior median
    and 5 %, 95 % quantiles of its rate (n,), u/s; the ranked list."""

    probability: Floats
    rate: Floats
    low: Floats
    high: Floats
    ranked: tuple[Candidate, ...]


def invert(
    a: csr_matrix,
    measured: npt.ArrayLike,
    inventory: npt.ArrayLike,
    *,
    hours: int,
    noise: npt.ArrayLike,
    relative: float = 0.3,
    shifted: tuple[csr_matrix, ...] = (),
    spread: float = 0.4,
    degrees: float = 2.0,
    threshold: float = 3.0,
    pinned: Bools | None = None,
    first: int = 30,
    draws: int = 600,
    seed: int = 1,
) -> Answer:
    """Posterior of all rates by Gibbs sampling.

    measured (m,) minus background, u/m³, NaN where missing; rows of `a` as from `matrix`, `hours`
    equal blocks. noise (m,) or scalar: standard deviation of instrument and background; `relative`:
    of the model, by value. `shifted`: matrices under winds one standard deviation off (turned,
    faster); their differences make the covariance of what a wrong wind does to all stations of an
    hour together. Prior: log of rate over inventory is Student-t with scale `spread` and `degrees`
    of freedom, so that most keep near their inventory and a few may be far off; `pinned` sources
    (monitored) keep theirs. Raises ValueError for shapes that do not fit.
    """
    from jingwei.analysis.air import kernels

    y, q0 = floats(measured), floats(inventory)
    m, n = a.shape
    if y.shape != (m,) or q0.shape != (n,) or m % hours:
        raise ValueError(
            f"invert: {m} rows in {hours} hours, {y.shape} measurements, {n} sources,"
            f" {q0.shape} inventories do not fit together"
        )
    if not (np.isfinite(q0).all() and (q0 >= 0).all()):
        raise ValueError("invert: an inventory is missing or negative")
    if not np.isfinite(y).any():
        raise ValueError("invert: there is no measurement")
    sd = np.broadcast_to(floats(noise), (m,))
    block = m // hours
    fixed = np.zeros(n, bool) if pinned is None else pinned
    scaled = [b.multiply(q0).tocsr() for b in (a, *shifted)]  # columns per inventory
    # A grid of multiples of the inventory, even in the log, and the prior on it.
    grid = np.exp(np.linspace(np.log(0.05), np.log(60.0), 72))
    prior = -(degrees + 1) / 2 * np.log1p((np.log(grid) / spread) ** 2 / degrees)
    factor = np.ones(n)
    random = np.random.default_rng(seed)
    for round_ in range(3):
        h, g = np.zeros((n, n)), np.zeros(n)
        for k in range(hours):
            rows = slice(k * block, (k + 1) * block)
            seen = np.flatnonzero(np.isfinite(y[rows]))
            if not len(seen):
                continue
            one = scaled[0][rows][seen]
            told = one @ factor
            moves = [s[rows][seen] @ factor - told for s in scaled[1:]]
            # What a wrong wind does is not linear: half goes to the common shift, the size of it
            # to every station for itself.
            own = sum((d**2 for d in moves), np.zeros(len(seen)))
            cov = np.diag(sd[rows][seen] ** 2 + (relative * told) ** 2 + 0.5 * own)
            for d in moves:
                cov += 0.5 * np.outer(d, d)
            used = np.flatnonzero(np.diff(one.tocsc().indptr))
            dense = one[:, used].toarray()
            solved = np.linalg.solve(cov, np.column_stack([dense, y[rows][seen]]))
            h[np.ix_(used, used)] += dense.T @ solved[:, :-1]
            g[used] += dense.T @ solved[:, -1]
        count = draws if round_ == 2 else 150
        chain = kernels.gibbs(
            h,
            g,
            np.log(grid),
            prior,
            factor,
            fixed,
            count,
            count // 3,
            int(random.integers(1 << 31)),
        )
        factor = chain.mean(axis=0)
    probability = np.where(fixed, 0.0, (chain > threshold).mean(axis=0))
    low, middle, high = np.quantile(chain, [0.05, 0.5, 0.95], axis=0) * q0
    order = np.lexsort((-chain.mean(axis=0), -probability))
    size = np.sqrt(np.maximum(np.diag(h), 1e-300))
    ranked = []
    for j in order[:first]:
        like = np.flatnonzero(h[j] / (size[j] * size) > 0.9) if size[j] > 1e-9 else order[:0]
        alike = tuple(int(i) for i in like if i != j)
        ranked.append(
            Candidate(
                int(j),
                float(probability[j]),
                float(q0[j]),
                float(middle[j]),
                float(low[j]),
                float(high[j]),
                alike,
            )
        )
    return Answer(probability, middle, low, high, tuple(ranked))
