"""Quick looks from one station: where the wind brings it from. Arrays in, tables out.

Wind direction in degrees, where from, clockwise from north. They point at directions, not at
sources; `investigate` names sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats

CALM = 0.5  # m/s


def _pairs(*series: npt.ArrayLike) -> list[Floats]:
    """The rows where all series (n,) are known; raises ValueError for other shapes or none left."""
    given = [floats(s) for s in series]
    if len({g.shape for g in given}) != 1 or given[0].ndim != 1:
        raise ValueError(f"wanted rows of one length, got {[g.shape for g in given]}")
    use = np.logical_and.reduce([np.isfinite(g) for g in given])
    if not use.any():
        raise ValueError("no hour has both a value and wind")
    return [g[use] for g in given]


@dataclass(frozen=True)
class Sectors:
    """By sector (sectors,), the first one around north: hours, mean (NaN where none), cpf: share of
    the sector's hours at or above `level`; calm hours are in none."""

    centre: Floats
    hours: npt.NDArray[np.int64]
    mean: Floats
    cpf: Floats
    level: float
    calm: int


def sectors(
    value: npt.ArrayLike,
    direction: npt.ArrayLike,
    speed: npt.ArrayLike,
    *,
    count: int = 16,
    quantile: float = 0.75,
) -> Sectors:
    """Means and the conditional probability function m/n at a quantile of all values.

    Ashbaugh et al. (1985) Atmos. Environ. 19, 1263.
    """
    v, d, s = _pairs(value, direction, speed)
    level = float(np.quantile(v, quantile))
    blowing = s >= CALM
    which = (np.floor(d[blowing] % 360 / (360 / count) + 0.5) % count).astype(int)
    v = v[blowing]
    hours = np.bincount(which, minlength=count)
    safe = np.maximum(hours, 1)
    nothing = np.where(hours > 0, 0.0, np.nan)
    return Sectors(
        centre=np.arange(count) * 360 / count,
        hours=hours,
        mean=np.bincount(which, v, minlength=count) / safe + nothing,
        cpf=np.bincount(which, v >= level, minlength=count) / safe + nothing,
        level=level,
        calm=int((~blowing).sum()),
    )


@dataclass(frozen=True)
class Rose:
    """Hours by class of value and sector of wind (classes, sectors), the first sector around north;
    class k holds edges[k] <= value < edges[k + 1], the last what is above. `calm`: hours below
    `CALM`; `missing`: hours with a value and without wind; shares are of `total` = blowing + calm."""

    edges: Floats
    centre: Floats
    hours: npt.NDArray[np.int64]
    calm: int
    missing: int

    @property
    def total(self) -> int:
        return int(self.hours.sum()) + self.calm


def rose(
    value: npt.ArrayLike,
    direction: npt.ArrayLike,
    speed: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    count: int = 16,
) -> Rose:
    """Wind rose (value: the speed) or pollution rose (value: a concentration).

    A calm hour needs no direction. Raises ValueError for other shapes, edges that do not ascend or
    a value below the first one.
    """
    v, d, s, e = floats(value), floats(direction), floats(speed), floats(edges)
    if len({v.shape, d.shape, s.shape}) != 1 or v.ndim != 1:
        raise ValueError(f"rose: {v.shape}, {d.shape} and {s.shape} do not fit together")
    if len(e) < 1 or (np.diff(e) <= 0).any():
        raise ValueError("rose: edges must ascend")
    known = np.isfinite(v)
    calm = known & (s < CALM)
    blowing = known & (s >= CALM) & np.isfinite(d)
    if (v[blowing] < e[0]).any():
        raise ValueError(f"rose: a value lies below the first edge {e[0]}")
    sector = (np.floor(d[blowing] % 360 / (360 / count) + 0.5) % count).astype(np.int64)
    level = np.searchsorted(e, v[blowing], side="right") - 1
    hours = np.bincount(level * count + sector, minlength=len(e) * count)
    return Rose(
        edges=e,
        centre=np.arange(count) * 360 / count,
        hours=hours.reshape(len(e), count).astype(np.int64),
        calm=int(calm.sum()),
        missing=int((known & ~calm & ~blowing).sum()),
    )


def fitting(direction: npt.ArrayLike, count: int = 16) -> int:
    """How many sectors suit directions that come rounded: 12 where all are multiples of 10° and
    `count` sectors would hold unequal numbers of them (Droppo and Napier 2008, J. Air Waste Manage.
    Assoc. 58, 913, on that bias), else `count`."""
    d = floats(direction)
    d = d[np.isfinite(d)]
    rounded = len(d) > 0 and bool((np.abs(d % 10) < 1e-9).all())
    return 12 if rounded and 36 % count else count


@dataclass(frozen=True)
class Polar:
    """Smoothed surface over u, v (to the east and north of the station, where the wind comes from):
    centres (n,), value, low, high (n, n): 95 % of the mean; NaN where there are no data nearby."""

    centre: Floats
    value: Floats
    low: Floats
    high: Floats
    smoothing: float


def _basis(x: Floats, low: float, high: float, pieces: int) -> Floats:
    """Cubic B-splines, (n, pieces + 3)."""
    from scipy.interpolate import BSpline  # late: slow to import

    step = (high - low) / pieces
    knots = low + step * np.arange(-3, pieces + 4)
    inside = np.clip(x, low, high - 1e-9 * (high - low))
    return floats(BSpline.design_matrix(inside, knots, 3).toarray())


def polar(
    value: npt.ArrayLike,
    direction: npt.ArrayLike,
    speed: npt.ArrayLike,
    *,
    above: float | None = None,
    size: int = 61,
    pieces: int = 12,
    least: int = 1,
) -> Polar:
    """Bivariate polar plot: means of cells of 10° and a thirtieth of the speed's range, smoothed.

    Tensor P-splines (Eilers and Marx 1996 Stat. Sci. 11, 89) with second-order penalty, weights by
    the number of hours, on the square root of the mean so that nothing gets negative; the strength
    of smoothing by generalised cross-validation. `above`: the share of hours above that level (CPF)
    in place of the mean. After Carslaw and Ropkins (2012) Environ. Model. Softw. 27-28, 52.
    """
    from scipy.linalg import eigh

    v, d, s = _pairs(value, direction, speed)
    if above is not None:
        v = (v >= above).astype(float)
    far = float(np.quantile(s, 0.995))
    if far <= 0:
        raise ValueError("the wind never blows")
    ring = np.minimum((s / far * 30).astype(int), 30)
    slice_ = np.rint(d % 360 / 10).astype(int) % 36
    cell = ring * 36 + slice_
    hours = np.bincount(cell, minlength=31 * 36)
    known = np.flatnonzero(hours >= least)
    total = np.bincount(cell, v, minlength=31 * 36)
    mean = total[known] / hours[known]
    if len(known) < 30:
        raise ValueError(f"a polar plot needs wind of 30 kinds at least, not {len(known)}")
    radius = (known // 36 + 0.5) / 30 * far
    angle = np.radians(known % 36 * 10)
    x, y = radius * np.sin(angle), radius * np.cos(angle)
    edge = 1.05 * far
    z = np.sqrt(np.maximum(mean, 0.0))
    weight = np.minimum(hours[known], 50).astype(float)

    def tensor(px: Floats, py: Floats) -> Floats:
        a, b = _basis(px, -edge, edge, pieces), _basis(py, -edge, edge, pieces)
        return np.asarray((a[:, :, None] * b[:, None, :]).reshape(len(px), -1))

    design = tensor(x, y)
    k = pieces + 3
    second = np.diff(np.eye(k), n=2, axis=0)
    rough = np.kron(second.T @ second, np.eye(k)) + np.kron(np.eye(k), second.T @ second)
    normal, right = (design.T * weight) @ design, (design.T * weight) @ z
    # With V' (normal + least rough) V = 1 and V' rough V = diag(waves) every strength is a division.
    strengths = np.geomspace(1e-2, 1e4, 19)
    base = normal + strengths[0] * rough + 1e-8 * np.eye(k * k)
    waves, turn = eigh(rough, base)
    waves, fitted, target = np.maximum(waves, 0.0), design @ turn, turn.T @ right
    best: tuple[float, float, Floats, float] | None = None
    for strength in strengths:
        shrink = 1 / (1 + (strength - strengths[0]) * waves)
        freedom = float(np.sum((1 - strengths[0] * waves) * shrink))
        miss = float(np.sum(weight * (z - fitted @ (shrink * target)) ** 2))
        score = len(z) * miss / max(len(z) - freedom, 1.0) ** 2
        if best is None or score < best[0]:
            best = (score, float(strength), shrink, miss / max(len(z) - freedom, 1.0))
    assert best is not None
    _, strength, shrink, variance = best
    centre = np.linspace(-far, far, size)
    gx, gy = (a.ravel() for a in np.meshgrid(centre, centre))
    grid = tensor(gx, gy) @ turn
    told = grid @ (shrink * target)
    error = np.sqrt(np.maximum(variance * (grid**2 @ shrink), 0.0))
    # Only where a cell with data is near, and inside the circle.
    gap = np.min((gx[:, None] - x) ** 2 + (gy[:, None] - y) ** 2, axis=1)
    show = (gap <= (0.1 * far) ** 2) & (np.hypot(gx, gy) <= far)
    top = 1.0 if above is not None else np.inf

    def shape(a: Floats) -> Floats:
        return np.where(show, np.minimum(np.maximum(a, 0.0) ** 2, top), np.nan).reshape(size, size)

    return Polar(
        centre, shape(told), shape(told - 1.96 * error), shape(told + 1.96 * error), strength
    )


@dataclass(frozen=True)
class Fields:
    """On cells [y, x]: hours that trajectories spent, pscf, cwt; NaN where none passed."""

    x: Floats
    y: Floats
    passes: Floats
    pscf: Floats
    cwt: Floats


def potential_sources(
    tracks: Sequence[Floats],
    value: npt.ArrayLike,
    *,
    size: float,
    quantile: float = 0.75,
    weigh: bool = True,
) -> Fields:
    """Potential source contribution function and concentration-weighted trajectories.

    tracks: one (points, 2 or more) of x, y in m an arrival, as from `weather.trajectories`; value
    (n,) at arrival. PSCF m/n of points in a cell that belong to
    values at or above the quantile (Ashbaugh et al. 1985); CWT the mean of the values of the points
    in a cell (Hsu et al. 2003 Atmos. Environ. 37, 545). `weigh`: cells with few points count less,
    by 1, 0.7, 0.42, 0.17 above 3, 1.5, 1 times the mean number of points and below (Polissar et al.
    2001 Atmos. Environ. 35, 6015; recalled, not re-read).
    """
    v = floats(value)
    if len(tracks) != len(v) or not size > 0:
        raise ValueError(f"{len(tracks)} tracks and {len(v)} values do not fit together")
    known = np.isfinite(v)
    if not known.any():
        raise ValueError("no trajectory has a value")
    level = float(np.quantile(v[known], quantile))
    chosen = np.flatnonzero(known).tolist()
    points = np.concatenate([floats(tracks[n])[:, :2] for n in chosen])
    worth = np.repeat(v[known], [len(tracks[n]) for n in chosen])
    low = np.floor(points.min(axis=0) / size)
    cell = (np.floor(points / size) - low).astype(int)
    nx, ny = cell.max(axis=0) + 1
    flat = cell[:, 1] * nx + cell[:, 0]
    passes = np.bincount(flat, minlength=nx * ny).astype(float)
    safe = np.where(passes > 0, passes, np.nan)
    pscf = np.bincount(flat, worth >= level, minlength=nx * ny) / safe
    cwt = np.bincount(flat, worth, minlength=nx * ny) / safe
    if weigh:
        ratio = passes / passes[passes > 0].mean()
        share = np.select([ratio > 3, ratio > 1.5, ratio > 1], [1.0, 0.7, 0.42], 0.17)
        pscf, cwt = pscf * share, cwt * share
    return Fields(
        (low[0] + np.arange(nx) + 0.5) * size,
        (low[1] + np.arange(ny) + 0.5) * size,
        passes.reshape(ny, nx),
        pscf.reshape(ny, nx),
        cwt.reshape(ny, nx),
    )
