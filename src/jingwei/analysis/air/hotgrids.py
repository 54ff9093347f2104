"""Hot grids: cells that are high again and again, more often than chance allows.

Each day a cell is high or not among the cells that were seen that day; persistence is counted and
tested; the false discovery rate over all cells is held. Column densities of a satellite (NO2, HCHO),
residuals of the dispersion model or station means serve alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label
from scipy.stats import binom

from jingwei.analysis.air.boundary import Floats, floats

CELL = 3000.0  # m


@dataclass(frozen=True)
class Hot:
    """Fields [y, x]: seen (days with a value), high (days in the top share), p of so many by chance,
    strength (mean excess over the day's median, in units of the day's spread), hot (significant);
    `groups`: number of the connected hot area, 0 outside."""

    seen: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    p: Floats
    strength: Floats
    hot: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]


def persistent(
    days: npt.ArrayLike,
    *,
    share: float = 0.1,
    least: int = 10,
    rate: float = 0.05,
    independent: float | None = None,
) -> Hot:
    """days (n, ny, nx), NaN where not seen (cloud).

    A cell is high on a day where it is among the top `share` of the cells seen that day. Under chance
    the count is binomial; days that follow one another are not independent, so only the share
    1/(1 + 2 sum of r_k) of them counts, r_k the correlation of being high after k days, pooled over
    the cells (`independent` sets that share). Significant by Benjamini and Hochberg (1995) J. R. Stat. Soc. B 57, 289 at `rate`,
    valid for positively dependent cells (Benjamini and Yekutieli 2001). Cells with fewer than `least`
    days are never hot. Raises ValueError where no cell has as many.
    """
    given = floats(days)
    if given.ndim != 3 or not 0 < share < 1 or not 0 < rate < 1:
        raise ValueError(f"hot grids: wanted (days, y, x) and shares below 1, got {given.shape}")
    known = np.isfinite(given)
    seen = known.sum(axis=0)
    if not (seen >= least).any():
        raise ValueError(f"hot grids: no cell was seen on {least} days")
    high = np.zeros(given.shape, bool)
    excess = np.zeros(given.shape)
    for n, day in enumerate(given):
        some = day[known[n]]
        if len(some) < 1 / share:
            known[n] = False
            continue
        level = np.quantile(some, 1 - share)
        high[n] = known[n] & (day > level)
        middle = np.median(some)
        spread = 1.4826 * np.median(np.abs(some - middle)) or np.std(some) or 1.0
        excess[n] = np.where(known[n], (day - middle) / spread, 0.0)
    seen = known.sum(axis=0)
    count = high.sum(axis=0)
    shrink = _independent(high, known, count, seen) if independent is None else independent
    actual = float(count.sum() / max(seen.sum(), 1))
    trials = np.maximum(np.rint(seen * shrink), 1)
    p = binom.sf(np.ceil(count * shrink - 1e-9) - 1, trials, actual)
    enough = seen >= least
    p = np.where(enough, p, 1.0)
    tested = np.sort(p[enough])
    line = rate * np.arange(1, len(tested) + 1) / len(tested)
    below = np.flatnonzero(tested <= line)
    bound = tested[below[-1]] if len(below) else -1.0
    hot = enough & (p <= bound)
    groups, _ = label(hot, structure=np.ones((3, 3)))
    strength = np.where(seen > 0, excess.sum(axis=0) / np.maximum(seen, 1), np.nan)
    return Hot(seen, count, floats(p), floats(strength), hot, np.asarray(groups, np.int64))


def _independent(
    high: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
    count: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int64],
) -> float:
    """Share of the days that count as independent."""
    # Within cells, so that hot cells themselves do not look like memory; that alone makes r about
    # 1/n too low.
    left = np.where(known, high - count / np.maximum(seen, 1), 0.0)
    variance = float(np.sum(left**2)) / max(int(known.sum()), 1)
    total = 0.0
    for k in range(1, min(15, len(high) // 3) + 1):
        both = known[k:] & known[:-k]
        if variance <= 0 or not both.any():
            break
        r = float(np.sum((left[k:] * left[:-k])[both])) / float(both.sum()) / variance
        r += 1 / max(float(seen.mean()), 1.0)
        if r < 0.02:
            break
        total += r
    return 1 / (1 + 2 * total)


def gridded(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    x0: float,
    y0: float,
    nx: int,
    ny: int,
    size: float = CELL,
) -> Floats:
    """Means of pixels or stations (n,) in cells of `size` m; (ny, nx), NaN where none. x0, y0: the
    south-western corner; what lies outside is left out."""
    px, py, v = floats(x).ravel(), floats(y).ravel(), floats(value).ravel()
    if not px.shape == py.shape == v.shape:
        raise ValueError(f"hot grids: {px.shape} x, {py.shape} y, {v.shape} values")
    with np.errstate(invalid="ignore"):
        i, j = np.floor((px - x0) / size), np.floor((py - y0) / size)
        use = np.isfinite(v) & (i >= 0) & (i < nx) & (j >= 0) & (j < ny)
    flat = (j[use] * nx + i[use]).astype(np.int64)
    count = np.bincount(flat, minlength=nx * ny)
    total = np.bincount(flat, v[use], minlength=nx * ny)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(ny, nx)
