"""The city model once more, slow and plain: the oracle of `puffs` and its kernels.

NumPy only; the same formulas through the public functions of `spread` and `plume`. A cell's value is
the exact mean of each Gaussian puff over the cell; no layers, no blur, 64-bit throughout. With
`releases` and `schedule` of 60 it is the limit of continuous release.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from jingwei.analysis.air import spread
from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.plume import ground_factor
from jingwei.analysis.air.puffs import (
    HOUR,
    SCHEDULE,
    Grid,
    Sources,
    Winds,
    effective_heights,
    nearest,
    steps,
)


def wind(winds: Winds, x: Floats, y: Floats, hour: int, t: float) -> tuple[Floats, Floats]:
    """Wind at places (n,), `t` of the hour gone: bilinear in space, linear in time."""
    ny, nx = winds.u.shape[1:]
    a = np.clip((x - winds.x0) / winds.size, 0, nx - 1)
    b = np.clip((y - winds.y0) / winds.size, 0, ny - 1)
    i, j = np.minimum(a.astype(int), max(nx - 2, 0)), np.minimum(b.astype(int), max(ny - 2, 0))
    i1, j1 = np.minimum(i + 1, nx - 1), np.minimum(j + 1, ny - 1)
    fx, fy = a - i, b - j

    def one(values: Floats) -> Floats:
        now = (1 - t) * values[hour] + t * values[hour + 1]
        low = (1 - fx) * now[j, i] + fx * now[j, i1]
        high = (1 - fx) * now[j1, i] + fx * now[j1, i1]
        return np.asarray((1 - fy) * low + fy * high)

    return one(winds.u), one(winds.v)


def _turbulence(winds: Winds, x: Floats, y: Floats, hour: int) -> list[Floats]:
    ix, iy = nearest(x, y, winds)
    return [winds.turbulence[hour, iy, ix, k] for k in range(5)]


def forward(
    sources: Sources,
    winds: Winds,
    grid: Grid,
    *,
    receptors: Floats | None = None,
    memory: int = 24,
    releases: int = 2,
    schedule: tuple[int, ...] = SCHEDULE,
) -> tuple[Floats, Floats]:
    """(mesh (hours, ny, nx), receptors (hours, n)) of all sources together, u/m³."""
    east = grid.x0 + (np.arange(grid.nx + 1) - 0.5) * grid.size
    north = grid.y0 + (np.arange(grid.ny + 1) - 0.5) * grid.size
    places = np.zeros((0, 3)) if receptors is None else receptors
    mesh = np.zeros((winds.hours, *grid.shape))
    series = np.zeros((winds.hours, len(places)))
    blocks: list[tuple[float, list[Floats]]] = []
    for hour in range(winds.hours):
        heights = effective_heights(sources, winds, hour)
        deposition, loss = winds.rates[hour]
        for m in range(releases):
            zero = np.zeros(len(sources))
            mass = sources.at(hour) * (HOUR / releases)
            born = (hour + (m + 0.5) / releases) * HOUR
            blocks.append((born, [sources.x, sources.y, zero, zero, mass, heights, zero]))
        for born, state in blocks:
            x, y, sy, sz, mass, h, met = state
            us, ws, ob, zi, sv = _turbulence(winds, x, y, hour)
            begin = max(born, hour * HOUR)
            length = (hour + 1) * HOUR - begin
            count = steps(begin - born, length, schedule)
            dt = length / count
            deep = spread.lid_met(zi, met, h, sz)
            lid = np.where((h > zi) & (h <= deep), 0.0, spread.FILLED * zi)
            curve = {"ustar": us, "wstar": ws, "obukhov": ob, "zi": zi, "height": h}
            before = None
            for k in range(count):
                t = begin - born + k * dt
                at = begin / HOUR - hour + k * dt / HOUR
                u, v = wind(winds, x, y, hour, at)
                u, v = wind(winds, x + dt / 2 * u, y + dt / 2 * v, hour, at + dt / HOUR / 2)
                xm, ym, speed = x + dt / 2 * u, y + dt / 2 * v, np.hypot(u, v)
                x, y = x + dt * u, y + dt * v
                if before is None:
                    before = spread.puff_sigma_z(t, speed=speed, **curve)
                y0, y1 = (spread.sigma_y(t + f * dt, sv, zi, h) for f in (0.0, 1.0))
                middle, sy = sy + (y1 - y0) / 2, sy + y1 - y0
                after = spread.puff_sigma_z(t + dt, speed=speed, **curve)
                low, sz = (
                    sz,
                    np.where(sz < lid, np.minimum(sz + np.maximum(after - before, 0), lid), sz),
                )
                before = after
                s = np.maximum((low + sz) / 2, 0.1)
                down = ground_factor(0.0, h, s, deep)
                gone = (loss + deposition * down) * dt
                mean = mass * np.where(gone > 0, -np.expm1(-gone) / np.maximum(gone, 1e-300), 1.0)
                mass = mass * np.exp(-gone)
                weight = mean * down * dt / HOUR
                gx = np.diff(ndtr((east - xm[:, None]) / middle[:, None]), axis=1)
                gy = np.diff(ndtr((north - ym[:, None]) / middle[:, None]), axis=1)
                mesh[hour] += gy.T @ (weight[:, None] * gx) / grid.size**2
                if len(places):
                    r2 = (places[:, 0, None] - xm) ** 2 + (places[:, 1, None] - ym) ** 2
                    g = np.exp(-0.5 * r2 / middle**2) / (2 * np.pi * middle**2)
                    level = ground_factor(places[:, 2, None], h, s, deep)
                    series[hour] += (g * level) @ (mean * dt / HOUR)
            state[:] = x, y, sy, sz, mass, h, deep
        blocks = [b for b in blocks if (hour + 1) * HOUR - b[0] < memory * HOUR]
    return mesh, series
