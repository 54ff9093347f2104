"""Loops of `pmf`, compiled. All arrays float64, C order."""

from __future__ import annotations

import numba as nb
import numpy as np

from jingwei.analysis.air.boundary import Floats


@nb.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def descend(
    x: Floats,
    w: Floats,
    g: Floats,
    f: Floats,
    low: Floats,
    high: Floats,
    sweeps: int,
    tolerance: float,
    robust: float,
) -> tuple[float, int]:
    """Cyclic coordinate descent (hierarchical alternating least squares) on
    sum w (x - g f)², g >= 0 and low <= f <= high, in place; (the sum, sweeps taken).

    Shapes x, w (n, m), g (n, k), f, low, high (k, m). Ends when `sweeps` are done or ten of them
    lower the sum by less than `tolerance` of it. `robust` > 0: residuals beyond it count linearly
    (weights w min(1, robust/|r|), Huber; Paatero 1997).
    """
    n, m = x.shape
    k = g.shape[1]
    r = x - g @ f
    v = w.copy()
    num, den = np.empty(m), np.empty(m)
    before = np.inf
    q = 0.0
    for sweep in range(sweeps):
        if robust > 0:
            for i in range(n):
                for j in range(m):
                    size = abs(r[i, j]) * np.sqrt(w[i, j])
                    v[i, j] = w[i, j] * min(1.0, robust / max(size, 1e-12))
        for i in range(n):
            for _ in range(2):
                for a in range(k):
                    top, bottom = 0.0, 1e-300
                    for j in range(m):
                        wf = v[i, j] * f[a, j]
                        top += wf * r[i, j]
                        bottom += wf * f[a, j]
                    new = max(g[i, a] + top / bottom, 0.0)
                    step = new - g[i, a]
                    if step != 0.0:
                        g[i, a] = new
                        for j in range(m):
                            r[i, j] -= step * f[a, j]
        for _ in range(2):
            for a in range(k):
                num[:] = 0.0
                den[:] = 1e-300
                for i in range(n):
                    one = g[i, a]
                    if one != 0.0:
                        for j in range(m):
                            wg = v[i, j] * one
                            num[j] += wg * r[i, j]
                            den[j] += wg * one
                for j in range(m):
                    new = min(max(f[a, j] + num[j] / den[j], low[a, j]), high[a, j])
                    num[j] = new - f[a, j]
                    f[a, j] = new
                for i in range(n):
                    one = g[i, a]
                    if one != 0.0:
                        for j in range(m):
                            r[i, j] -= one * num[j]
        if sweep % 10 == 9 or sweep == sweeps - 1:
            q = 0.0
            for i in range(n):
                for j in range(m):
                    q += v[i, j] * r[i, j] * r[i, j]
            if before - q < tolerance * q:
                return q, sweep + 1
            before = q
    return q, sweeps
