"""What is asked of long series: trend, course of day and week, model against measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from jingwei.analysis.air.boundary import Floats, floats


@dataclass(frozen=True)
class Trend:
    """slope per unit of time with its interval, intercept, p of no trend, known points."""

    slope: float
    low: float
    high: float
    intercept: float
    p: float
    points: int


def theil_sen(
    time: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    level: float = 0.95,
    block: int = 0,
    draws: int = 1000,
    seed: int = 1,
) -> Trend:
    """Median of the slopes of all pairs, with Sen's interval from Kendall's variance (ties allowed
    for): Sen (1968) J. Am. Stat. Assoc. 63, 1379.

    `block` > 0: the interval by a block bootstrap of that length instead, for values that hang
    together in time, and p from the share of its slopes on the other side of zero (as openair has
    it), no less than 1 / draws; else p is that of the Mann-Kendall test, which takes the values for
    independent. The intercept is the median of value - slope * time.
    Raises ValueError for fewer than 4 known points or times that are all the same.
    """
    t, y = floats(time), floats(value)
    if t.shape != y.shape or t.ndim != 1:
        raise ValueError(f"trend: {t.shape} times and {y.shape} values do not fit together")
    use = np.isfinite(t) & np.isfinite(y)
    t, y = t[use], y[use]
    if len(t) < 4 or np.ptp(t) == 0:
        raise ValueError(f"trend: {len(t)} known points are too few")
    if not 0 < level < 1:
        raise ValueError("trend: the level lies between 0 and 1")
    n = len(t)
    i, j = np.triu_indices(n, 1)
    apart = t[j] != t[i]
    first, then, gap = i[apart], j[apart], (t[j] - t[i])[apart]
    slopes = np.sort((y[then] - y[first]) / gap)
    middle = float(np.median(slopes))
    score = float(np.sum(np.sign(y[j] - y[i]) * np.sign(t[j] - t[i])))
    variance = n * (n - 1) * (2 * n + 5) / 18.0
    for series in (t, y):
        _, ties = np.unique(series, return_counts=True)
        variance -= float(np.sum(ties * (ties - 1) * (2 * ties + 5))) / 18.0
    sigma = np.sqrt(max(variance, 1e-12))
    z = (abs(score) - 1) / sigma if score else 0.0
    p = float(2 * ndtr(-max(z, 0.0)))
    if block:
        random = np.random.default_rng(seed)
        rest = y - middle * t
        found = []
        for _ in range(draws):
            start = random.integers(0, n, -(-n // block))
            drawn = rest[((start[:, None] + np.arange(block)).ravel()[:n] % n)]
            found.append(middle + float(np.median((drawn[then] - drawn[first]) / gap)))
        low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
        below = float(np.mean(np.asarray(found) < 0))
        p = max(2 * min(below, 1 - below), 1 / draws)
    else:
        wide = ndtri(0.5 + level / 2) * sigma
        count = len(slopes)
        a = max(round((count - wide) / 2) - 1, 0)
        b = min(round((count + wide) / 2), count - 1)
        low, high = slopes[a], slopes[b]
    return Trend(
        slope=middle,
        low=float(low),
        high=float(high),
        intercept=float(np.median(y - middle * t)),
        p=p,
        points=n,
    )


def deseasonalise(value: npt.ArrayLike, period: int = 12) -> Floats:
    """Values (n,) at even times less what repeats with `period`, the mean kept.

    Classical decomposition: trend by the centred mean over a period, season by the mean of what is
    left at each place in the period (Cleveland and Terpenning 1982). Missing values are left out.
    Raises ValueError for less than two periods.
    """
    y = floats(value)
    if y.ndim != 1 or len(y) < 2 * period or period < 2:
        raise ValueError(f"deseasonalise: {len(y)} values, wanted two periods of {period}")
    weight = np.ones(period + 1 - period % 2)
    if period % 2 == 0:
        weight[[0, -1]] = 0.5
    known = np.isfinite(y).astype(float)
    top = np.convolve(np.nan_to_num(y), weight, "same")
    bottom = np.convolve(known, weight, "same")
    half = len(weight) // 2
    trend = np.where(bottom > 0.7 * weight.sum(), top / np.maximum(bottom, 1e-9), np.nan)
    trend[:half] = trend[len(y) - half :] = np.nan
    left = y - trend
    season = np.full(period, np.nan)
    for k in range(period):
        some = left[k::period]
        if np.isfinite(some).any():
            season[k] = np.nanmean(some)
    if np.isnan(season).any():
        raise ValueError("deseasonalise: a place in the period has no value at all")
    season -= season.mean()
    return np.asarray(y - season[np.arange(len(y)) % period])


@dataclass(frozen=True)
class Taylor:
    """Standard deviations (n in the denominator), correlation, centred RMS difference:
    rms² = s_model² + s_measured² - 2 s_model s_measured r. Taylor (2001) J. Geophys. Res. 106, 7183."""

    pairs: int
    measured: float
    model: float
    correlation: float
    centred_rms: float
    bias: float


def taylor(measured: npt.ArrayLike, model: npt.ArrayLike) -> Taylor:
    """Statistics of a Taylor diagram. Raises ValueError for fewer than two known pairs."""
    o, p = floats(measured), floats(model)
    if o.shape != p.shape:
        raise ValueError(f"taylor: {o.shape} measured and {p.shape} modelled do not fit together")
    use = np.isfinite(o) & np.isfinite(p)
    o, p = o[use], p[use]
    if len(o) < 2 or np.ptp(o) == 0 or np.ptp(p) == 0:
        raise ValueError("taylor: fewer than two pairs that differ")
    return Taylor(
        pairs=len(o),
        measured=float(o.std()),
        model=float(p.std()),
        correlation=float(np.corrcoef(o, p)[0, 1]),
        centred_rms=float(np.std((p - p.mean()) - (o - o.mean()))),
        bias=float(p.mean() - o.mean()),
    )


@dataclass(frozen=True)
class Averages:
    """Means over periods (n,): their numbers, the known values in them, NaN where they are too few."""

    period: npt.NDArray[np.int64]
    mean: Floats
    count: npt.NDArray[np.int64]


def averages(value: npt.ArrayLike, period: npt.ArrayLike, least: npt.ArrayLike) -> Averages:
    """Means of the known values (n,) of each period (n,) of ascending numbers; `least` (n,) or one:
    how many known values its period needs."""
    v, at = floats(value), np.asarray(period, np.int64)
    if v.shape != at.shape or v.ndim != 1:
        raise ValueError(f"averages: {v.shape} values and {at.shape} periods do not fit together")
    numbers, first, group = np.unique(at, return_index=True, return_inverse=True)
    known = np.isfinite(v)
    count = np.bincount(group[known], minlength=len(numbers))
    total = np.bincount(group[known], v[known], minlength=len(numbers))
    need = np.broadcast_to(np.asarray(least), v.shape)[first]
    enough = (count >= need) & (count > 0)
    return Averages(numbers, np.where(enough, total / np.maximum(count, 1), np.nan), count)


@dataclass(frozen=True)
class Course:
    """By place in the cycle: number of values, mean and its 95 % interval by bootstrap, NaN: none."""

    count: npt.NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats


def course(
    value: npt.ArrayLike, place: npt.ArrayLike, places: int, *, draws: int = 400, seed: int = 1
) -> Course:
    """Course over a cycle: place (n,) is the hour 0…23, the weekday 0…6 or the month 0…11."""
    v, at = floats(value), np.asarray(place, np.int64)
    if v.shape != at.shape or (len(at) and (at.min() < 0 or at.max() >= places)):
        raise ValueError(f"course: places must be 0…{places - 1}, one a value")
    random = np.random.default_rng(seed)
    count = np.zeros(places, np.int64)
    out = np.full((3, places), np.nan)
    for k in range(places):
        some = v[(at == k) & np.isfinite(v)]
        count[k] = len(some)
        if len(some):
            means = some[random.integers(0, len(some), (draws, len(some)))].mean(axis=1)
            out[:, k] = some.mean(), *np.quantile(means, [0.025, 0.975])
    return Course(count, *out)
