"""Windows over series, compiled. Every kernel skips NaN and looks back only: row t sees rows <= t.

Windows are counted in rows. A window whose valid rows are fewer than `least` gives NaN. Running
sums start anew every `FRESH` rows, so that rounding cannot pile up; they are kept in binary64.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numba as nb
import numpy as np
import numpy.typing as npt

from jingwei.analysis.detection.monitor import Floats, Ints

F = TypeVar("F")
FRESH = 4096
LANES = 64


def _njit(function: F, **options: Any) -> F:
    return cast(F, nb.njit(cache=True, nogil=True, **options)(function))


def _rolling_mean(x: Floats, w: int, least: int) -> Floats:
    n = len(x)
    out = np.full(n, np.nan)
    total = 0.0
    count = 0
    for t in range(n):
        if t % FRESH == 0:
            total = 0.0
            count = 0
            for i in range(max(0, t - w), t):
                if not np.isnan(x[i]):
                    total += x[i]
                    count += 1
        if not np.isnan(x[t]):
            total += x[t]
            count += 1
        if t >= w and not np.isnan(x[t - w]):
            total -= x[t - w]
            count -= 1
        if count >= least:
            out[t] = total / count
    return out


rolling_mean = _njit(_rolling_mean)


def _rolling_moments(x: Floats, y: Floats, w: int, least: int) -> Floats:
    """Means, variances and covariance of x and y over the rows where both are there.

    Returns (6, T): count, mean x, mean y, var x, var y, cov (population moments).
    """
    n = len(x)
    out = np.full((6, n), np.nan)
    sx = 0.0
    sy = 0.0
    sxx = 0.0
    syy = 0.0
    sxy = 0.0
    count = 0
    # Sums are taken about the first valid pair: large levels would cost digits.
    ox = 0.0
    oy = 0.0
    for i in range(n):
        if not (np.isnan(x[i]) or np.isnan(y[i])):
            ox = x[i]
            oy = y[i]
            break
    for t in range(n):
        first = t
        if t % FRESH == 0:
            sx = sy = sxx = syy = sxy = 0.0
            count = 0
            first = max(0, t - w + 1)
        for i in range(first, t + 1):
            a = x[i] - ox
            b = y[i] - oy
            if not (np.isnan(a) or np.isnan(b)):
                sx += a
                sy += b
                sxx += a * a
                syy += b * b
                sxy += a * b
                count += 1
        if first == t and t >= w and t % FRESH != 0:
            a = x[t - w] - ox
            b = y[t - w] - oy
            if not (np.isnan(a) or np.isnan(b)):
                sx -= a
                sy -= b
                sxx -= a * a
                syy -= b * b
                sxy -= a * b
                count -= 1
        if count >= least:
            mx = sx / count
            my = sy / count
            out[0, t] = count
            out[1, t] = mx + ox
            out[2, t] = my + oy
            out[3, t] = max(sxx / count - mx * mx, 0.0)
            out[4, t] = max(syy / count - my * my, 0.0)
            out[5, t] = sxy / count - mx * my
    return out


rolling_moments = _njit(_rolling_moments)


def _explained(x: Floats, y: Floats, w: int, least: int) -> Floats:
    """Share of the variance of y that a linear fit within the window explains, (T,) in 0 … 1.

    x: (T, p), scaled to about 1. The fit is held by a ridge of 2 % of each column's variance in the
    window and 0.001; rows where anything is missing do not count.
    """
    n, p = x.shape
    out = np.full(n, np.nan)
    good = np.zeros(n, dtype=np.bool_)
    for t in range(n):
        good[t] = not np.isnan(y[t])
        for i in range(p):
            if np.isnan(x[t, i]):
                good[t] = False
    q = p + 1
    sums = np.zeros(q)
    pairs = np.zeros((q, q))
    row = np.empty(q)
    count = 0
    for t in range(n):
        first = t
        if t % FRESH == 0:
            sums[:] = 0.0
            pairs[:] = 0.0
            count = 0
            first = max(0, t - w + 1)
        for s in range(first, t + 1):
            if good[s]:
                row[:p] = x[s]
                row[p] = y[s]
                count += 1
                for i in range(q):
                    sums[i] += row[i]
                    for j in range(i + 1):
                        pairs[i, j] += row[i] * row[j]
        if first == t and t >= w and t % FRESH != 0 and good[t - w]:
            row[:p] = x[t - w]
            row[p] = y[t - w]
            count -= 1
            for i in range(q):
                sums[i] -= row[i]
                for j in range(i + 1):
                    pairs[i, j] -= row[i] * row[j]
        if count < least:
            continue
        spread = pairs[p, p] / count - (sums[p] / count) ** 2
        if spread <= 1e-12:
            continue
        c = np.empty((p, p))
        v = np.empty(p)
        for i in range(p):
            v[i] = pairs[p, i] / count - sums[p] * sums[i] / count**2
            for j in range(i + 1):
                c[i, j] = pairs[i, j] / count - sums[i] * sums[j] / count**2
                c[j, i] = c[i, j]
        held = c.copy()
        for i in range(p):
            held[i, i] += 0.02 * max(c[i, i], 0.0) + 0.001
        b = np.linalg.solve(held, v)
        told = 2.0 * np.dot(b, v) - np.dot(b, np.dot(c, b))
        out[t] = min(max(told / spread, 0.0), 1.0)
    return out


explained = _njit(_explained)


def _runs(x: Floats) -> Ints:
    """Length of the run of equal values that ends in each row; 0 where the value is missing."""
    n = len(x)
    out = np.zeros(n, dtype=np.int64)
    for t in range(n):
        if np.isnan(x[t]):
            continue
        out[t] = out[t - 1] + 1 if t > 0 and x[t] == x[t - 1] else 1
    return out


runs = _njit(_runs)


def _cusum(z: Floats, k: float, keep: float) -> Floats:
    """One-sided cumulative sum max(0, keep * S - z - k): grows while z stays below -k."""
    out = np.zeros(len(z))
    s = 0.0
    for t in range(len(z)):
        if not np.isnan(z[t]):
            s = max(0.0, keep * s - z[t] - k)
        out[t] = s
    return out


cusum = _njit(_cusum)


def _lagged_scale(r: Floats, half: float, lag: int, least: int) -> Floats:
    """Exponentially weighted mean of |r| times 1.2533 (the sigma of a normal), rows <= t - lag."""
    n = len(r)
    out = np.full(n, np.nan)
    g = 0.5 ** (1.0 / half)
    total = 0.0
    weight = 0.0
    count = 0
    for t in range(n):
        i = t - lag
        if i >= 0 and not np.isnan(r[i]):
            # A single wild value must not blind the detectors for weeks.
            a = abs(r[i])
            if count >= least and a > 5.0 * total / weight:
                a = 5.0 * total / weight
            total = g * total + a
            weight = g * weight + 1.0
            count += 1
        if count >= least:
            out[t] = 1.2533 * total / weight
    return out


lagged_scale = _njit(_lagged_scale)


def _follow(r: Floats, half: float, lag: int, share: float, prior: float) -> Floats:
    """What a slow correction adds: `share` of the exponentially weighted mean of r over the rows
    <= t - lag, shrunk towards 0 as if `prior` rows of 0 had been seen (T,)."""
    n = len(r)
    out = np.zeros(n)
    g = 0.5 ** (1.0 / half)
    total = 0.0
    weight = 0.0
    for t in range(n):
        i = t - lag
        if i >= 0:
            total *= g
            weight *= g
            if not np.isnan(r[i]):
                total += r[i]
                weight += 1.0
        out[t] = share * total / (weight + prior)
    return out


follow = _njit(_follow)


def _best_lag(d: Floats, w: int, low: int, high: int, first: int) -> tuple[Floats, Ints]:
    """Largest correlation of the last w values of d with w values that ended low..high rows before.

    d: differences of a series (T,). For each row t >= first: the largest correlation over the lags,
    and its lag. Rows whose windows hold a missing value or no movement give -1.
    """
    n = len(d)
    best = np.full(n, -1.0)
    where = np.zeros(n, dtype=np.int64)
    sums = np.zeros(n)
    squares = np.zeros(n)
    for t in range(w - 1, n):
        s = 0.0
        q = 0.0
        for i in range(t - w + 1, t + 1):
            s += d[i]
            q += d[i] * d[i]
        sums[t] = s / w
        squares[t] = q - s * s / w
    for lag in range(low, high + 1):
        begin = max(first - w + 1, lag)
        cross = 0.0
        held = 0
        for t in range(begin, n):
            p = d[t] * d[t - lag]
            if np.isnan(p):
                cross = 0.0
                held = 0
                continue
            cross += p
            held += 1
            if held > w:
                cross -= d[t - w] * d[t - w - lag]
                held = w
            if held == w and t >= first:
                both = squares[t] * squares[t - lag]
                if both > 0.0:
                    c = (cross - w * sums[t] * sums[t - lag]) / np.sqrt(both)
                    if c > best[t]:
                        best[t] = c
                        where[t] = lag
    return best, where


best_lag = _njit(_best_lag)


def _top_spread(x: Floats, w: int, k: int, stride: int) -> Floats:
    """Distance between the largest and the k-th largest value of each window, every stride rows."""
    n = len(x)
    out = np.full(n, np.nan)
    top = np.empty(k)
    last = np.nan
    for t in range(n):
        if t % stride == 0:
            held = 0
            seen = 0
            for i in range(max(0, t - w + 1), t + 1):
                v = x[i]
                if np.isnan(v):
                    continue
                seen += 1
                if held < k:
                    j = held
                    held += 1
                elif v > top[k - 1]:
                    j = k - 1
                else:
                    continue
                while j > 0 and top[j - 1] < v:
                    top[j] = top[j - 1]
                    j -= 1
                top[j] = v
            last = top[0] - top[k - 1] if seen >= (3 * w) // 4 and held == k else np.nan
        out[t] = last
    return out


top_spread = _njit(_top_spread)


def _digit_counts(digit: Ints, w: int, base: int) -> Ints:
    """How often each digit 0..base-1 stands in the last w rows; digit -1 = none. (T, base)."""
    n = len(digit)
    out = np.zeros((n, base), dtype=np.int64)
    for t in range(n):
        if t > 0:
            out[t] = out[t - 1]
        if digit[t] >= 0:
            out[t, digit[t]] += 1
        if t >= w and digit[t - w] >= 0:
            out[t, digit[t - w]] -= 1
    return out


digit_counts = _njit(_digit_counts)


def _learn(gram: Floats, cross: Floats, x: Floats, y: Floats, w: Floats) -> None:
    """gram += x' diag(w) x (lower triangle), cross += x' diag(w) y. x: (n, p).

    Written out, as is `solve`: a threaded BLAS is slower at this size on busy cores, and its sums
    depend on the number of threads.
    """
    n, p = x.shape
    for r in range(n):
        for i in range(p):
            a = w[r] * x[r, i]
            cross[i] += a * y[r]
            for j in range(i + 1):
                gram[i, j] += a * x[r, j]


learn = _njit(_learn, fastmath={"contract"})


def _solve(gram: Floats, cross: Floats, penalty: Floats) -> Floats:
    """(gram + diag(penalty))^-1 cross by Cholesky; gram: lower triangle of a positive
    semi-definite matrix, penalty > 0."""
    p = len(cross)
    low = np.zeros((p, p))
    for i in range(p):
        for j in range(i + 1):
            s = gram[i, j]
            if i == j:
                s += penalty[i]
            d = 0.0
            for k in range(j):
                d += low[i, k] * low[j, k]
            s -= d
            low[i, j] = np.sqrt(max(s, 1e-12)) if i == j else s / low[j, j]
    x = np.empty(p)
    for i in range(p):
        s = cross[i]
        for k in range(i):
            s -= low[i, k] * x[k]
        x[i] = s / low[i, i]
    for i in range(p - 1, -1, -1):
        s = x[i]
        for k in range(i + 1, p):
            s -= low[k, i] * x[k]
        x[i] = s / low[i, i]
    return x


solve = _njit(_solve, fastmath={"contract", "reassoc"})


def windows(codes: Ints, w: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of the w codes that end in each row (T,); rows before w - 1 have none (0).

    codes: equal values have equal codes. Hash = sum of mixed code * odd constant ** place, modulo
    2^64; equal stretches have equal hashes, and whoever uses it compares the values themselves.
    """
    mixed = codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    total = np.zeros(len(codes), dtype=np.uint64)
    factor = 1
    for place in range(w):
        total[w - 1 :] += mixed[w - 1 - place : len(codes) - place] * np.uint64(factor)
        factor = factor * 0x100000001B3 % 2**64
    return total


def _screen(
    x: npt.NDArray[np.float32], w: int, low: float, high: float, k: float
) -> npt.NDArray[np.float32]:
    """The fused screen of a fleet: one pass, six statistics, LANES series beside each other.

    x: (T, LANES) float32, time-major, standardised by series (median 0, scale 1), NaN missing.
    w: window in rows. low, high: a band below the limit. k: slack of the CUSUM.
    Returns (6, LANES): longest run of equal values; smallest window variance of the first
    difference; smallest ratio of second- to first-difference energy; largest share of a window
    inside the band; largest downward CUSUM; largest share missing in a window.
    """
    n, lanes = x.shape
    out = np.zeros((6, lanes), dtype=np.float32)
    run = np.zeros(lanes, dtype=np.float32)
    e1 = np.zeros(lanes, dtype=np.float32)
    e2 = np.zeros(lanes, dtype=np.float32)
    band = np.zeros(lanes, dtype=np.float32)
    gone = np.zeros(lanes, dtype=np.float32)
    down = np.zeros(lanes, dtype=np.float32)
    zero = np.float32(0.0)
    one = np.float32(1.0)
    for j in range(lanes):
        out[1, j] = np.float32(3.4e38)
        out[2, j] = np.float32(3.4e38)
    keep = np.float32(1.0 - 1.0 / w)
    step = np.float32(1.0 / w)
    slack = np.float32(k)
    lo = np.float32(low)
    hi = np.float32(high)
    tiny = np.float32(1e-12)
    for t in range(2, n):
        for j in range(lanes):
            v = x[t, j]
            p = x[t - 1, j]
            d = v - p
            dd = d - (p - x[t - 2, j])
            there = v == v
            whole = dd == dd
            run[j] = run[j] + one if d == zero else zero
            d2 = d * d if whole else e1[j]
            q2 = dd * dd if whole else e2[j]
            e1[j] = keep * e1[j] + step * d2
            e2[j] = keep * e2[j] + step * q2
            inside = one if lo <= v <= hi else zero
            band[j] = keep * band[j] + step * inside
            gone[j] = keep * gone[j] + (zero if there else step)
            s = down[j] - v - slack if there else down[j]
            down[j] = s if s > zero else zero
            out[0, j] = max(out[0, j], run[j])
            out[3, j] = max(out[3, j], band[j])
            out[4, j] = max(out[4, j], down[j])
            out[5, j] = max(out[5, j], gone[j])
        if t >= 3 * w:
            for j in range(lanes):
                out[1, j] = min(out[1, j], e1[j])
                out[2, j] = min(out[2, j], e2[j] / (e1[j] + tiny))
    return out


screen = _njit(_screen, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy")
