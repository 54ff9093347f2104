"""From measurements back to sources: the source-receptor matrix and who is behind an exceedance.

`matrix` sends puffs backwards from the receptors, `transport` under several winds, because the wind
is known with an error; `invert` weighs every source's inventory against what was measured. Plain
least squares with non-negative rates puts wind errors into sources; `field.city` measures how often
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
    from scipy.sparse import csc_matrix, csr_matrix

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
    to `memory` hours, not beyond the first hour of `winds`. What `winds` loses on the way, by first
    order and by deposition, is lost here, too.
    """
    from scipy.sparse import csr_matrix

    from jingwei.analysis.air import kernels  # compiled code: loaded where it is wanted

    places = floats(receptors).reshape(-1, 3)
    if not np.isfinite(places).all():
        raise ValueError("receptors: a coordinate is missing")
    heights = np.stack([effective_heights(sources, winds, h) for h in range(winds.hours)])
    # Growth depends but little on the height: sources within 1 % of it share it.
    levels = np.rint(100 * np.log(np.maximum(heights, 1.0))).astype(np.int64)
    levels = np.minimum(levels, kernels.LEVELS - 1)
    spots = np.stack([sources.x, sources.y], axis=1)
    buckets = kernels.buckets(spots, 2000.0)
    flow = np.stack(
        [winds.u[:-1], winds.v[:-1], np.diff(winds.u, axis=0), np.diff(winds.v, axis=0)], axis=-1
    )
    node = np.array([winds.x0, winds.y0, winds.size])
    rates = winds.rates
    plan = np.array([schedule[min(k, len(schedule) - 1)] for k in range(memory + 1)], np.int64)

    def one(row: int) -> tuple[npt.NDArray[np.int64], Floats]:
        hour, place = divmod(row, len(places))
        found = np.zeros(len(sources))
        for k in range(arrivals):
            kernels.back(
                places[place], hour, (k + 0.5) / arrivals, 1.0 / arrivals, plan, flow,
                winds.turbulence, node, rates, spots, heights, levels, *buckets, found,
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
class Transport:
    """`mean`: the matrix to be expected, the wind being uncertain; the members and their weights."""

    mean: csr_matrix
    members: tuple[tuple[float, csr_matrix], ...]


def transport(
    sources: Sources,
    winds: Winds,
    receptors: npt.ArrayLike,
    *,
    degrees: float,
    speed: float,
    memory: int = 24,
    threads: int | None = None,
) -> Transport:
    """Matrices under the wind and under winds turned and stretched to both sides; `degrees` and
    `speed` (share) are one standard deviation of its error.

    The members stand at sqrt(3) standard deviations with a sixth of the weight each (unscented
    transform, Julier and Uhlmann 1997): exact to the third moment. The mean is wider and lower than
    the plume of the wind as given: whoever takes that one for the truth finds every rate too low, as
    a true plume hardly ever lies where the given one peaks.
    """
    far = np.sqrt(3.0)
    middle = matrix(sources, winds, receptors, memory=memory, threads=threads)
    members = [(1 / 3, middle)]
    for other in (
        turned(winds, far * degrees), turned(winds, -far * degrees),
        turned(winds, 0.0, float(np.exp(far * speed))),
        turned(winds, 0.0, float(np.exp(-far * speed))),
    ):  # fmt: skip
        one = matrix(sources, other, receptors, memory=memory, arrivals=1, threads=threads)
        members.append((1 / 6, one))
    mean = members[0][0] * middle
    for weight, one in members[1:]:
        mean = mean + weight * one
    return Transport(mean.tocsr(), tuple(members))


@dataclass(frozen=True)
class Candidate:
    """One source in the ranked list. `low`, `high`: the middle 90 % of its rate, u/s; `settled`: the
    two chains agree on it (`SETTLED`)."""

    source: int
    probability: float
    inventory: float
    rate: float
    low: float
    high: float
    alike: tuple[int, ...]
    settled: bool = True


@dataclass(frozen=True)
class Answer:
    """`probability` (n,) that a source exceeds `threshold` times its inventory; posterior median
    and 5 %, 95 % quantiles of its rate (n,), u/s; the ranked list; `rhat` (n,), NaN where it was not
    sampled; posterior means of the inventory's spread in the log and of the share of sources far
    off; how many sources any station could see."""

    probability: Floats
    rate: Floats
    low: Floats
    high: Floats
    ranked: tuple[Candidate, ...]
    rhat: Floats
    spread: float
    share: float
    seen: int


# Own choices, tried on made-up cities other than those reported (docs/validation/air.md).
SPREAD = (
    4.0,
    0.4,
)  # of log rate over inventory: what it is before the data, and worth how many sources
FAR = (1.0, 49.0)  # one source in fifty is far off its inventory, before the data
TAIL = 4.0  # degrees of freedom of what neither noise nor the common error of the wind explains
PLUME = 0.25  # lognormal error of one source's plume that stays, as at Chilbolton and Ginninderra
COMMON = 0.5  # part of the wind's error that all stations of an hour share
GRID = np.linspace(np.log(0.05), np.log(60.0), 72)  # of log rate over inventory
NEGLIGIBLE = 0.1  # standard deviations in all that 60 times the inventory changes
LISTED = 100  # first of the list of which it is said what is alike
SETTLED = 1.1  # Gelman and Rubin's R-hat


def invert(
    a: csr_matrix,
    measured: npt.ArrayLike,
    inventory: npt.ArrayLike,
    *,
    hours: int,
    noise: npt.ArrayLike,
    relative: float = 0.3,
    members: tuple[tuple[float, csr_matrix], ...] = (),
    threshold: float = 3.0,
    pinned: Bools | None = None,
    first: int = 30,
    draws: int = 600,
    seed: int = 1,
) -> Answer:
    """Posterior of all rates by Gibbs sampling, two chains of `draws` / 2.

    measured (m,) minus background, u/m³, NaN where missing; rows of `a` as from `transport` (mean),
    `hours` equal blocks. noise (m,) or scalar: standard deviation of instrument and background;
    `relative`: of the model, by value; errors are Student-t. `members` (weight, matrix): what the
    wind's error does to all stations of an hour together is sampled with the rates.

    Prior: most rates are near their inventory (lognormal), a small share anywhere between 1/20 and 60
    times it; the spread of the ones and the share of the others are learned with the rates. `pinned`
    sources (monitored) keep theirs. A source that no station could see keeps the prior. Raises
    ValueError for shapes that do not fit.
    """
    from jingwei.analysis.air import sampler  # compiled code: loaded where it is wanted

    y, q0 = floats(measured), floats(inventory)
    m, n = a.shape
    if y.shape != (m,) or q0.shape != (n,) or m % hours:
        raise ValueError(
            f"invert: {m} rows in {hours} hours, {y.shape} measurements, {n} sources,"
            f" {q0.shape} inventories do not fit together"
        )
    if not (np.isfinite(q0).all() and (q0 >= 0).all()):
        raise ValueError("invert: an inventory is missing or negative")
    known = np.flatnonzero(np.isfinite(y))
    if not len(known):
        raise ValueError("invert: there is no measurement")
    sd = np.broadcast_to(floats(noise), (m,))[known]
    y = y[known]
    # The hours' first rows among those that are known.
    starts = np.searchsorted(known, np.arange(hours + 1) * (m // hours)).astype(np.int64)
    fixed = np.zeros(n, bool) if pinned is None else pinned
    part = a[known].tocsc()
    part.data = (part.data * np.repeat(q0, np.diff(part.indptr))).astype(np.float32)
    some = [(w, b[known]) for w, b in members]
    usual = np.array([SPREAD[0], SPREAD[0] * SPREAD[1] ** 2])
    random = np.random.default_rng(seed)
    factor = np.ones(n)
    pilot = max(draws // 6, 20)

    def errors() -> tuple[Floats, Floats]:
        """Variances (rows,) and common errors of the wind (rows, members) at the factors so far."""
        told = part @ factor
        moves = [np.sqrt(w) * (b @ (q0 * factor) - told) for w, b in some]
        wind = np.stack(moves, axis=1) if moves else np.zeros((len(y), 0))
        own = (1 - COMMON) * (wind**2).sum(axis=1)
        return sd**2 + (relative * told) ** 2 + own + 1e-300, np.sqrt(COMMON) * wind

    variance, wind = errors()
    reach = np.sqrt(part.power(2).T @ (1 / variance)) * np.exp(GRID[-1])
    seen = np.flatnonzero(reach > NEGLIGIBLE)
    matrix_ = part[:, seen]
    left = part @ np.where(reach > NEGLIGIBLE, 0.0, 1.0)

    def sample(begin: Floats, count: int, one: int) -> tuple[npt.NDArray[np.float32], Floats]:
        return sampler.chain(
            matrix_.indptr.astype(np.int64), matrix_.indices.astype(np.int64), matrix_.data,
            y - left, variance, wind, starts, GRID, begin, fixed[seen], usual, np.array(FAR), TAIL, PLUME,
            count, max(count // 2, 50), one,
        )  # fmt: skip

    # The sizes of the errors depend on the rates: two short chains for them, then the long ones.
    for _ in range(2):
        factor[seen] = sample(factor[seen], pilot, int(random.integers(1 << 31)))[0].mean(axis=0)
        variance, wind = errors()
    two = [(factor[seen], int(random.integers(1 << 31))), (np.ones(len(seen)), int(random.integers(1 << 31)))]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        chains = list(pool.map(lambda c: sample(c[0], max(draws // 2, 10), c[1]), two))
    spread, share = np.concatenate([about for _, about in chains]).mean(axis=0)
    found = np.concatenate([one for one, _ in chains])
    # Without data: the prior, with what was learned of it.
    cells = (1 - share) * np.exp(-0.5 * (GRID / spread) ** 2) * (GRID[1] - GRID[0]) / (
        spread * np.sqrt(2 * np.pi)
    ) + share / len(GRID)
    sums = np.cumsum(cells / cells.sum())
    probability = np.full(n, 1 - np.interp(np.log(threshold), GRID, sums))
    low, middle, high = (np.full(n, np.exp(np.interp(p, sums, GRID))) for p in (0.05, 0.5, 0.95))
    average = np.full(n, float(np.exp(GRID) @ cells / cells.sum()))
    rhat = np.full(n, np.nan)
    probability[seen] = (found > threshold).mean(axis=0)
    low[seen], middle[seen], high[seen] = np.quantile(found, [0.05, 0.5, 0.95], axis=0)
    average[seen] = found.mean(axis=0)
    rhat[seen] = _rhat(np.log(chains[0][0]), np.log(chains[1][0]))
    for values in (low, middle, high, average):
        values[fixed] = 1.0
    probability[fixed] = 0.0
    rhat[fixed] = np.nan
    order = np.lexsort((-average, -probability))[:first]
    twins = _alike(part, 1 / variance, order[:LISTED])
    ranked = tuple(
        Candidate(
            int(j), float(probability[j]), float(q0[j]), float(q0[j] * middle[j]),
            float(q0[j] * low[j]), float(q0[j] * high[j]), twins.get(int(j), ()),
            not rhat[j] > SETTLED,
        )
        for j in order
    )  # fmt: skip
    return Answer(
        probability, q0 * middle, q0 * low, q0 * high, ranked, rhat, float(spread), float(share),
        len(seen),
    )  # fmt: skip


def _rhat(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> Floats:
    """Potential scale reduction of two chains (draws, n) (Gelman and Rubin 1992)."""
    count = len(one)
    within = 0.5 * (one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1))
    between = 0.5 * (one.mean(axis=0) - other.mean(axis=0)) ** 2
    found: Floats = np.sqrt((count - 1) / count + between / np.maximum(within, 1e-12)).astype(float)
    return found


def _alike(
    part: csc_matrix, weight: Floats, first: npt.NDArray[np.intp]
) -> dict[int, tuple[int, ...]]:
    """For each of some sources those whose columns are more than 0.9 the same, by weighted cosine."""
    size = np.sqrt(part.power(2).T @ weight)
    few = part[:, first]
    few.data = few.data * weight[few.indices]
    both = (part.T @ few).tocsc()
    found = {}
    for k, j in enumerate(first):
        rows = both.indices[both.indptr[k] : both.indptr[k + 1]]
        values = both.data[both.indptr[k] : both.indptr[k + 1]]
        like = rows[values > 0.9 * size[j] * size[rows]] if size[j] > 1e-9 else rows[:0]
        found[int(j)] = tuple(sorted(int(i) for i in like if i != j))
    return found
