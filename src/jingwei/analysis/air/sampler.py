"""Gibbs sampling of emission factors and wind errors on a sparse matrix, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.kernels import Ints, Single, _njit


def _chain(
    columns: Ints,
    rows: Ints,
    values: Single,
    y: Floats,
    variance: Floats,
    wind: Floats,
    hours: Ints,
    log_grid: Floats,
    begin: Floats,
    fixed: npt.NDArray[np.bool_],
    usual: Floats,
    share: Floats,
    tail: float,
    plume: float,
    draws: int,
    burn: int,
    seed: int,
) -> tuple[Single, Floats]:
    """Draws (draws, n) of the factors and (draws, 2) of the prior's spread and share.

    y = B f + wind e + noise. B by columns (`columns`, `rows`, `values`: CSC of m x n); e: standard
    normal, one for each column of `wind` (m, r) and each hour, whose rows are hours[k]:hours[k+1];
    noise: Student-t with `tail` degrees of freedom and scale sqrt(variance). Log f is normal about 0
    with an unknown spread, or, with an unknown probability, anywhere on the grid. usual: shape and
    rate of the gamma prior of 1/spread²; share: the beta prior of the probability. A factor that is
    anywhere is handed out times a lognormal error `plume`: what is wrong with the plume of one source
    all the time does not average out, and only the spread of the others was learned with it in.
    Factors are drawn one after the other on the cells of the grid (griddy Gibbs, Ritter and Tanner
    1992).
    """
    np.random.seed(seed)
    m, n, cells, r = len(y), len(columns) - 1, len(log_grid), wind.shape[1]
    grid = np.exp(log_grid)
    width = log_grid[1] - log_grid[0]
    f, rest = begin.copy(), y.copy()
    for j in range(n):
        for p in range(columns[j], columns[j + 1]):
            rest[rows[p]] -= values[p] * f[j]
    e = np.zeros((len(hours) - 1, r))
    weight = 1.0 / variance
    spread, part = np.sqrt(usual[1] / usual[0]), share[0] / (share[0] + share[1])
    core, prior, mass = np.empty(cells), np.empty(cells), np.empty(cells)
    out = np.empty((draws, n), np.float32)
    about = np.empty((draws, 2))
    wide = 1.0 / cells
    off = np.zeros(n)
    for d in range(burn + draws):
        for c in range(cells):
            core[c] = np.exp(-0.5 * (log_grid[c] / spread) ** 2) * width / (spread * 2.5066282746)
            prior[c] = np.log((1 - part) * core[c] + part * wide)
        squares, near, far = 0.0, 0, 0
        for j in range(n):
            if fixed[j]:
                continue
            a = b = 0.0
            for p in range(columns[j], columns[j + 1]):
                t = weight[rows[p]] * values[p]
                a += t * values[p]
                b += t * rest[rows[p]]
            b += a * f[j]
            top = -np.inf
            for c in range(cells):
                mass[c] = prior[c] + b * grid[c] - 0.5 * a * grid[c] * grid[c]
                top = max(top, mass[c])
            total = 0.0
            for c in range(cells):
                if mass[c] > top - 40:
                    total += np.exp(mass[c] - top)
                mass[c] = total
            pick = min(int(np.searchsorted(mass, np.random.random() * total)), cells - 1)
            log = log_grid[pick] + (np.random.random() - 0.5) * width
            change = np.exp(log) - f[j]
            f[j] += change
            for p in range(columns[j], columns[j + 1]):
                rest[rows[p]] -= values[p] * change
            usually = (1 - part) * core[pick]
            if np.random.random() * (usually + part * wide) < usually:
                squares += log * log
                near += 1
                off[j] = 0.0
            else:
                far += 1
                off[j] = plume * np.random.standard_normal()
        spread = np.sqrt((usual[1] + 0.5 * squares) / np.random.gamma(usual[0] + 0.5 * near))
        one, other = np.random.gamma(share[0] + far), np.random.gamma(share[1] + near)
        part = one / (one + other)
        if r:
            for k in range(len(hours) - 1):
                precision, push = np.eye(r), np.zeros(r)
                for i in range(hours[k], hours[k + 1]):
                    whole = rest[i]
                    for q in range(r):
                        whole += wind[i, q] * e[k, q]
                    for q in range(r):
                        t = weight[i] * wind[i, q]
                        push[q] += t * whole
                        for s in range(r):
                            precision[q, s] += t * wind[i, s]
                lower = np.linalg.cholesky(precision)
                drawn = np.linalg.solve(precision, push)
                drawn += np.linalg.solve(lower.T.copy(), np.random.standard_normal(r))
                for i in range(hours[k], hours[k + 1]):
                    for q in range(r):
                        rest[i] -= wind[i, q] * (drawn[q] - e[k, q])
                e[k] = drawn
        for i in range(m):
            scale = 0.5 * (tail + rest[i] * rest[i] / variance[i])
            weight[i] = np.random.gamma(0.5 * (tail + 1)) / (scale * variance[i])
        if d >= burn:
            for j in range(n):
                out[d - burn, j] = f[j] * np.exp(off[j])
            about[d - burn, 0], about[d - burn, 1] = spread, part
    return out, about


chain = _njit(_chain)
