"""Hot grids: cells that are high again and again, more often than chance allows.

Each day a cell is high or not among the cells that were seen that day; persistence is counted and
tested; the false discovery rate over all cells is held. Column densities of a satellite (NO2, HCHO),
residuals of the dispersion model or station means serve alike: `find` puts such layers together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.weather import Plane

CELL = 3000.0  # m
FINE = 500.0  # m; a sixth of a cell, for what micro-stations tell
OFTEN = 0.25  # of its days a hot cell is high at least; chance gives `share`
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Even cells of `size` m on a plane; cell (east, north) has its south-western corner at
    (east * size, north * size), and `east`, `north` are those of the grid's own corner cell: numbers
    stay the same whatever part of the plane the grid covers."""

    plane: Plane
    size: float
    east: int
    north: int
    nx: int
    ny: int

    @classmethod
    def around(cls, longitude: npt.ArrayLike, latitude: npt.ArrayLike, size: float = CELL) -> Grid:
        """The cells that hold all places; the plane touches the earth at their middle, rounded to
        0.1°. Raises ValueError for no place."""
        lon, lat = floats(longitude).ravel(), floats(latitude).ravel()
        if not len(lon):
            raise ValueError("grid: no place")
        plane = Plane(round((lon.min() + lon.max()) / 2, 1), round((lat.min() + lat.max()) / 2, 1))
        return cls.on(plane, *plane.to(lon, lat), size)

    @classmethod
    def on(cls, plane: Plane, x: npt.ArrayLike, y: npt.ArrayLike, size: float) -> Grid:
        """The cells that hold all places of a plane."""
        px, py = floats(x).ravel(), floats(y).ravel()
        east, north = floor(px.min() / size), floor(py.min() / size)
        return cls(
            plane, size, east, north,
            max(1, ceil(px.max() / size) - east), max(1, ceil(py.max() / size) - north),
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        return self.ny, self.nx

    def centres(self) -> tuple[Floats, Floats]:
        """x, y (ny, nx) of the cells' middles, m."""
        x = (self.east + 0.5 + np.arange(self.nx)) * self.size
        y = (self.north + 0.5 + np.arange(self.ny)) * self.size
        gx, gy = np.meshgrid(x, y)
        return floats(gx), floats(gy)

    def places(self) -> tuple[Floats, Floats]:
        """Longitude and latitude (ny, nx) of the cells' middles."""
        return self.plane.back(*self.centres())

    def outline(self, row: int, column: int) -> list[tuple[float, float]]:
        """The closed ring of a cell in degrees, counter-clockwise."""
        x, y = (self.east + column) * self.size, (self.north + row) * self.size
        s = self.size
        lon, lat = self.plane.back([x, x + s, x + s, x, x], [y, y, y + s, y + s, y])
        return [(round(a, 6), round(b, 6)) for a, b in zip(lon.tolist(), lat.tolist(), strict=True)]

    def name(self, row: int, column: int) -> str:
        """As `E012S003`: how many cells east (W: west) and north (S: south) of the plane's middle."""
        e, n = self.east + column, self.north + row
        return f"{'E' if e >= 0 else 'W'}{abs(e):03d}{'N' if n >= 0 else 'S'}{abs(n):03d}"

    def holds(self, longitude: float, latitude: float) -> bool:
        """Whether a place lies in one of the cells."""
        x, y = self.plane.to(longitude, latitude)
        east, north = x / self.size - self.east, y / self.size - self.north
        return bool(0 <= east < self.nx and 0 <= north < self.ny)

    def mean(self, x: npt.ArrayLike, y: npt.ArrayLike, value: npt.ArrayLike) -> Floats:
        """Means of what lies in each cell (`gridded`)."""
        return gridded(
            x, y, value, x0=self.east * self.size, y0=self.north * self.size, nx=self.nx,
            ny=self.ny, size=self.size,
        )  # fmt: skip


def inside(geometry: Mapping[str, Any] | None, longitude: Floats, latitude: Floats) -> Bools:
    """Which places lie in a GeoJSON Polygon or MultiPolygon; holes do not count (even-odd rule)."""
    found = np.zeros(longitude.shape, bool)
    parts = (geometry or {}).get("coordinates", [])
    if (geometry or {}).get("type") == "Polygon":
        parts = [parts]
    elif (geometry or {}).get("type") != "MultiPolygon":
        return found
    for rings in parts:
        part = np.zeros(longitude.shape, bool)
        for ring in rings:
            for (x1, y1), (x2, y2) in pairwise(ring):
                if y1 == y2:
                    continue
                crosses = (y1 > latitude) != (y2 > latitude)
                part ^= crosses & (longitude < x1 + (latitude - y1) * (x2 - x1) / (y2 - y1))
        found |= part
    return found


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
    the cells (`independent` sets that share). Significant by `adjusted` at `rate`. Cells with fewer than `least`
    days are never hot. Days on which fewer than 1 / `share` cells were seen do not count. Raises
    ValueError where no cell has as many.
    """
    from scipy.ndimage import label  # scipy.stats takes long to load: where it is wanted
    from scipy.stats import binom

    given = floats(days)
    if given.ndim != 3 or not 0 < share < 1 or not 0 < rate < 1:
        raise ValueError(f"hot grids: wanted (days, y, x) and shares below 1, got {given.shape}")
    known = np.isfinite(given)
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
    if not (seen >= least).any():
        raise ValueError(f"hot grids: no cell was seen on {least} days")
    count = high.sum(axis=0)
    shrink = _independent(high, known, count, seen) if independent is None else independent
    actual = float(count.sum() / max(seen.sum(), 1))
    trials = np.maximum(np.rint(seen * shrink), 1)
    p = binom.sf(np.ceil(count * shrink - 1e-9) - 1, trials, actual)
    enough = seen >= least
    p = np.where(enough, p, 1.0)
    hot = adjusted(p, enough) <= rate
    groups, _ = label(hot, structure=np.ones((3, 3)))
    strength = np.where(seen > 0, excess.sum(axis=0) / np.maximum(seen, 1), np.nan)
    return Hot(seen, count, floats(p), floats(strength), hot, np.asarray(groups, np.int64))


def adjusted(p: npt.ArrayLike, tested: Bools) -> Floats:
    """The smallest false discovery rate at which each test would still count (1 where not tested):
    Benjamini and Hochberg (1995) J. R. Stat. Soc. B 57, 289; valid for positively dependent tests
    (Benjamini and Yekutieli 2001 Ann. Stat. 29, 1165)."""
    given = floats(p)
    found = np.ones(given.shape)
    some = given[tested]
    if not len(some):
        return found
    order = np.argsort(some)[::-1]
    steps = some[order] * len(some) / np.arange(len(some), 0, -1)
    one = np.empty(len(some))
    one[order] = np.minimum(np.minimum.accumulate(steps), 1.0)
    found[tested] = one
    return found


def over_surroundings(days: npt.ArrayLike, reach: int, least: int = 8) -> Floats:
    """days (n, ny, nx) less the median of the cells up to `reach` cells away, NaN where fewer than
    `least` of them are known: what a region brings along goes, what a place adds stays."""
    given = floats(days)
    span = 2 * reach + 1
    wide = np.pad(given, ((0, 0), (reach, reach), (reach, reach)), constant_values=np.nan)
    found = np.full(given.shape, np.nan)
    for n, day in enumerate(wide):
        views = np.lib.stride_tricks.sliding_window_view(day, (span, span))
        flat = views.reshape(*given.shape[1:], span * span)
        enough = np.isfinite(flat).sum(axis=-1) > least
        use = enough & np.isfinite(given[n])
        if use.any():
            found[n][use] = given[n][use] - np.nanmedian(flat[use], axis=-1)
    return found


def clustered(field: npt.ArrayLike) -> Floats:
    """Gi* of each cell with its eight neighbours, weights 1: Getis and Ord (1992) Geogr. Anal. 24, 189;
    as a standard normal variate, Ord and Getis (1995) Geogr. Anal. 27, 286, eq. 14. field (ny, nx);
    NaN where the field is, and everywhere where it does not vary."""
    given = floats(field)
    known = np.isfinite(given)
    n = int(known.sum())
    found = np.full(given.shape, np.nan)
    if n < 3 or np.ptp(given[known]) == 0:
        return found
    mean = float(given[known].mean())
    spread = float(np.sqrt(np.mean(given[known] ** 2) - mean**2))

    def around(a: Floats) -> Floats:
        wide = np.pad(a, 1)
        ny, nx = a.shape
        return floats(sum(wide[j : j + ny, i : i + nx] for j in range(3) for i in range(3)))

    total = around(np.where(known, given, 0.0))
    count = around(known.astype(float))
    scale = spread * np.sqrt(np.maximum(n * count - count**2, 1e-12) / (n - 1))
    z = (total - mean * count) / scale
    found[known & (count < n)] = z[known & (count < n)]
    return found


@dataclass(frozen=True)
class Found:
    """What several layers say together, fields [y, x]: `p` of all layers, `q` its false discovery
    rate, `gi` (Gi* of the mean strength), `near` (its false discovery rate), `strength` (mean over the
    layers), `hot`, `groups` as `Hot`; `layers`: each alone; `left`: layers of which too few days or
    cells are known."""

    p: Floats
    q: Floats
    gi: Floats
    near: Floats
    strength: Floats
    hot: Bools
    groups: npt.NDArray[np.int64]
    layers: dict[str, Hot]
    left: tuple[str, ...]


def find(
    layers: Mapping[str, npt.ArrayLike],
    *,
    share: float = 0.1,
    least: int = 10,
    rate: float = 0.05,
    often: float = OFTEN,
    also: Mapping[str, npt.ArrayLike] | None = None,
) -> Found:
    """layers: each (days, ny, nx), NaN where not seen. Each is tested by `persistent`; the p of a cell
    in the layers that saw it are put together by the Cauchy combination, which holds however they
    depend on one another: Liu and Xie (2020) J. Am. Stat. Assoc. 115, 393. A cell is hot where the
    false discovery rate over all cells is `rate` at most and it is high on the share `often` of its
    days in one layer that alone has p <= `rate`: significant and often. `also`: by layer the p (ny, nx) of a second condition that must hold as well:
    the greater of the two counts. Raises ValueError where no layer has a cell with `least` days.
    """
    from scipy.ndimage import label
    from scipy.stats import norm

    told: dict[str, Hot] = {}
    left = []
    for name, days in layers.items():
        try:
            one = persistent(days, share=share, least=least, rate=rate)
            told[name] = one
            if also is not None and name in also:
                told[name] = replace(one, p=np.maximum(one.p, floats(also[name])))
        except ValueError:
            if floats(days).ndim != 3:
                raise
            left.append(name)
    if not told:
        raise ValueError(f"hot grids: no cell was seen on {least} days in any layer")
    shape = next(iter(told.values())).p.shape
    total, count = np.zeros(shape), np.zeros(shape)
    strong, seen = np.zeros(shape), np.zeros(shape)
    persists = np.zeros(shape, bool)
    for one in told.values():
        enough = one.seen >= least
        total += np.where(enough, np.tan((0.5 - np.clip(one.p, 1e-15, 0.99)) * np.pi), 0.0)
        count += enough
        strong += np.where(one.seen > 0, np.nan_to_num(one.strength), 0.0)
        seen += one.seen > 0
        persists |= enough & (one.p <= rate) & (one.high >= often * one.seen)
    tested = count > 0
    p = np.where(tested, 0.5 - np.arctan(total / np.maximum(count, 1)) / np.pi, 1.0)
    q = adjusted(p, tested)
    hot = tested & (q <= rate) & persists
    strength = np.where(seen > 0, strong / np.maximum(seen, 1), np.nan)
    gi = clustered(strength)
    near = adjusted(norm.sf(np.nan_to_num(gi)), np.isfinite(gi))
    groups, _ = label(hot, structure=np.ones((3, 3)))
    return Found(
        floats(p), q, gi, near, floats(strength), hot, np.asarray(groups, np.int64), told,
        tuple(left),
    )  # fmt: skip


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
        r += 1 / max(float(seen[seen > 0].mean()), 1.0)
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
