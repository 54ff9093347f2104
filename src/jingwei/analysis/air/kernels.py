"""Puffs, compiled: moving, spreading, leaving their mass on the mesh or at receptors.

A block of puffs is a float32 array (7, n): x, y, sigma_y, sigma_z, mass, height, lid met
(`spread.lid_met`). Formulas
are those of `spread` and `plume`, where the sources stand; `reference` holds them against this.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from typing import Any, TypeVar, cast

import numba as nb
import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats

F = TypeVar("F")
HIGH = 60.0  # m; from about here upwards sigma_y does not depend on the height
LEVELS = 800  # of height, 1 % apart from 1 m on: the last is 3 km
Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def _njit(function: F, **options: Any) -> F:
    return cast(F, nb.njit(cache=True, nogil=True, error_model="numpy", **options)(function))


def _wind(x: float, y: float, t: float, flow: Floats, node: Floats) -> tuple[float, float]:
    """Wind at a place, t in hours after the whole hour: bilinear in space, linear in time."""
    ny, nx = flow.shape[0], flow.shape[1]
    a = min(max((x - node[0]) / node[2], 0.0), nx - 1.000001)
    b = min(max((y - node[1]) / node[2], 0.0), ny - 1.000001)
    i, j = int(a), int(b)
    fx, fy = a - i, b - j
    i1, j1 = min(i + 1, nx - 1), min(j + 1, ny - 1)
    w00, w01 = (1 - fx) * (1 - fy), fx * (1 - fy)
    w10, w11 = (1 - fx) * fy, fx * fy
    p, q, r, s = flow[j, i], flow[j, i1], flow[j1, i], flow[j1, i1]
    u = w00 * (p[0] + t * p[2]) + w01 * (q[0] + t * q[2])
    u += w10 * (r[0] + t * r[2]) + w11 * (s[0] + t * s[2])
    v = w00 * (p[1] + t * p[3]) + w01 * (q[1] + t * q[3])
    v += w10 * (r[1] + t * r[3]) + w11 * (s[1] + t * s[3])
    return u, v


def _sigma_y(t: float, sv: float, scale: float) -> float:
    reach = sv * t
    return float(reach * (1 + scale * reach) ** -0.3)


def _sigma_z(t: float, u: float, us: float, ob: float, w: float, sw: float, tl: float) -> float:
    if ob > 0:
        near = 0.57 * us * t / (1 + 3 * (us / u) * (u * t / ob) ** 0.6666666666666666)
    else:
        near = 0.57 * us * t * (1 - 1.5 * us * t / ob)
    if w >= 1:
        return float(near)
    return float(w * near + (1 - w) * sw * t / np.sqrt(1 + t / (2 * tl)))


def _ground(h: float, s: float, zi: float) -> float:
    """Vertical share at the ground, 1/m: `plume.ground_factor` at z = 0."""
    if h > zi:
        return 0.0
    if s > 0.7 * zi:
        q = np.exp(-4.934802200544679 * s * s / (zi * zi))
        c = np.cos(3.141592653589793 * h / zi)
        return float((1 + 2 * q * (c + q * q * q * (2 * c * c - 1))) / zi)
    a = h / s
    total = np.exp(-0.5 * a * a)
    if s > 0.2 * zi or h > 0.5 * zi:
        for n in (1, 2):
            b, c = (2 * n * zi - h) / s, (2 * n * zi + h) / s
            total += np.exp(-0.5 * b * b) + np.exp(-0.5 * c * c)
    return float(0.7978845608028654 * total / s)


wind = _wind = _njit(_wind)
_sigma_y = _njit(_sigma_y)
_sigma_z = _njit(_sigma_z)
ground = _ground = _njit(_ground)


def _vertical(z: float, h: float, s: float, zi: float) -> float:
    """Vertical share at z, 1/m: `plume.ground_factor`."""
    if h > zi:
        return 0.0
    if s > 0.7 * zi:
        q = np.exp(-4.934802200544679 * s * s / (zi * zi))
        c, d = np.cos(3.141592653589793 * h / zi), np.cos(3.141592653589793 * z / zi)
        second = q * q * q * (2 * c * c - 1) * (2 * d * d - 1)
        return float((1 + 2 * q * (c * d + second)) / zi)
    total = 0.0
    for n in range(-2, 3):
        a, b = (z - h - 2 * n * zi) / s, (z + h - 2 * n * zi) / s
        total += np.exp(-0.5 * a * a) + np.exp(-0.5 * b * b)
    return float(0.3989422804014327 * total / s)


vertical = _vertical = _njit(_vertical)


def _line(dx: float, dy: float, lx: float, ly: float, s: float) -> float:
    """Horizontal share, 1/m², of a puff smeared evenly over the line (lx, ly) whose middle is
    (dx, dy) away: Gaussian across it, difference of error functions along it."""
    length = np.sqrt(lx * lx + ly * ly)
    square = dx * dx + dy * dy
    if s <= 0 or square > (4 * s + 0.5 * length) ** 2:
        return 0.0
    if length < 0.1 * s:
        return float(0.15915494309189535 * np.exp(-0.5 * square / (s * s)) / (s * s))
    along = (dx * lx + dy * ly) / length
    across = square - along * along
    root = 1.4142135623730951 * s
    ends = math.erf((along + 0.5 * length) / root) - math.erf((along - 0.5 * length) / root)
    return float(0.19947114020071635 * np.exp(-0.5 * across / (s * s)) / s * ends / length)


line = _line = _njit(_line)


def _nearest(x: float, y: float, turbulence: Floats, node: Floats) -> tuple[int, int]:
    ny, nx = turbulence.shape[0], turbulence.shape[1]
    i = int(min(max(np.rint((x - node[0]) / node[2]), 0), nx - 1))
    return i, int(min(max(np.rint((y - node[1]) / node[2]), 0), ny - 1))


_nearest = _njit(_nearest)


def _local(
    i: int, j: int, h: float, turbulence: Floats
) -> tuple[float, float, float, float, float, float, float, float]:
    """Turbulence of a node for a puff at height h: u*, L, zi, sigma_v, the scale of sigma_y, the
    near-ground share of sigma_z, sigma_w and its time scale."""
    us, ws, ob = turbulence[j, i, 0], turbulence[j, i, 1], turbulence[j, i, 2]
    zi, sv = turbulence[j, i, 3], turbulence[j, i, 4]
    scale = max(78 * 0.46 / max(h, 0.46), 0.7) / zi
    at = min(max(h, 0.5), 0.9 * zi)
    share = min(max(at / zi, 1e-6), 1.0)
    convective = min(1.6 * share**0.6666666666666666, 0.35) * ws * ws
    sw = max(np.sqrt(convective + 1.69 * us * us * (1 - share)), 0.02)
    if ob < 0:
        tl = 0.15 * zi / sw
        low = h <= 0.1 * zi
    else:
        tl = 1 / (1 / (0.36 * at) + 0.02 / (0.27 * sw)) / sw
        low = h <= 2.0
    w = 1.0 if low else min(max(1 - h / zi, 0.0), 1.0)
    return us, ob, zi, sv, scale, w, sw, tl


_local = _njit(_local)


def _move(
    x: float, y: float, t: float, dt: float, flow: Floats, node: Floats
) -> tuple[float, float, float, float, float]:
    """Midpoint step: place in the middle, place at the end, and the speed in the middle."""
    h = dt / 3600
    u, v = _wind(x, y, t, flow, node)
    xm, ym = x + 0.5 * dt * u, y + 0.5 * dt * v
    u, v = _wind(xm, ym, t + 0.5 * h, flow, node)
    return x + 0.5 * dt * u, y + 0.5 * dt * v, x + dt * u, y + dt * v, np.sqrt(u * u + v * v)


_move = _njit(_move)


def _advance(
    state: Single,
    group: npt.NDArray[np.int32],
    age: float,
    begin: float,
    length: float,
    count: int,
    flow: Floats,
    turbulence: Floats,
    node: Floats,
    rates: Floats,
    cell: Floats,
    edges: Floats,
    sigmas: Floats,
    out: Single,
    places: Floats,
    square: Floats,
    starts: Ints,
    order: Ints,
    series: Floats,
    sums: Floats,
) -> None:
    """Follow the puffs of a block for `length` s in `count` steps; begin: hours after the hour.

    Their ground-level mass (hourly mean, u/m) goes to the layers `out` (c, ny, nx), none where c
    is 0; concentrations at `places` (n, 3) to `series` (n, groups), where a step counts as the
    line it is, not as its middle. `edges`: west, south, east, north, margin. `sums` gains: mass
    that left, mass lost, mass dropped.
    """
    n = state.shape[1]
    classes, ny, nx = out.shape
    bx, by = int(square[3]), int(square[4])
    dt = length / count
    inverse = 1 / cell[2]
    own = cell[2] * cell[2] / 12
    step = np.log(1.35)
    for p in range(n):
        m = float(state[4, p])
        if m <= 0:
            continue
        x, y = float(state[0, p]), float(state[1, p])
        sy, sz, h = float(state[2, p]), float(state[3, p]), float(state[5, p])
        i, j = _nearest(x, y, turbulence, node)
        us, ob, zi, sv, scale, w, sw, tl = _local(i, j, h, turbulence)
        deep = max(zi, min(float(state[6, p]), h + 2 * sz))  # `spread.lid_met`
        lid = 1.2 * zi  # `spread.FILLED`
        if zi < h <= deep:
            lid = 0.0
        t = age
        before_y = _sigma_y(t, sv, scale)
        before_z = -1.0
        for k in range(count):
            xs, ys = x, y
            xm, ym, x, y, u = _move(x, y, begin + k * dt / 3600, dt, flow, node)
            u = max(u, 0.5)
            if before_z < 0:
                before_z = _sigma_z(t, u, us, ob, w, sw, tl)
            after_y = _sigma_y(t + dt, sv, scale)
            mid = sy + 0.5 * (after_y - before_y)
            sy += after_y - before_y
            before_y = after_y
            low = sz
            if sz < lid:
                after_z = _sigma_z(t + dt, u, us, ob, w, sw, tl)
                sz = min(sz + max(after_z - before_z, 0.0), lid)
                before_z = after_z
            share = _ground(h, max(0.5 * (low + sz), 0.1), deep)
            t += dt
            mean = m
            gone = (rates[1] + rates[0] * share) * dt
            if gone > 0:
                part = -m * np.expm1(-gone)
                mean = part / gone
                sums[1] += part
                m -= part
            if len(order) > 0 and share > 0:
                reach = 4 * mid + 0.5 * u * dt
                i0 = max(int(np.floor((xm - reach - square[0]) / square[2])), 0)
                i1 = min(int(np.floor((xm + reach - square[0]) / square[2])), bx - 1)
                j0 = max(int(np.floor((ym - reach - square[1]) / square[2])), 0)
                j1 = min(int(np.floor((ym + reach - square[1]) / square[2])), by - 1)
                for jj in range(j0, j1 + 1):
                    for ii in range(i0, i1 + 1):
                        for e in range(starts[jj * bx + ii], starts[jj * bx + ii + 1]):
                            r = order[e]
                            c = _line(places[r, 0] - xm, places[r, 1] - ym, x - xs, y - ys, mid)
                            if c > 0:
                                above = places[r, 2]
                                v = share
                                if above > 0:
                                    v = _vertical(above, h, max(0.5 * (low + sz), 0.1), deep)
                                series[r, group[p]] += mean * c * v * dt / 3600
            a, b = (xm - cell[0]) * inverse, (ym - cell[1]) * inverse
            i, j = int(np.floor(a)), int(np.floor(b))
            if classes > 0 and share > 0 and i >= 0 and j >= 0 and i < nx - 1 and j < ny - 1:
                amount = mean * share * dt / 3600
                sums[2] += amount
                variance = max(mid * mid - own, 0.0)
                s = np.sqrt(variance)
                c = 0
                if s >= sigmas[1]:
                    c = min(1 + int(np.log(s / sigmas[1]) / step), classes - 2)
                lower, upper = sigmas[c] * sigmas[c], sigmas[c + 1] * sigmas[c + 1]
                f = min(max((variance - lower) / (upper - lower), 0.0), 1.0)
                # A square as wide as the puff, at most a cell, shared by area: the exact cell means
                # of a square, so that only the variance beyond its own is left to the blur.
                wide = min(max(mid * inverse * 3.4641016151377544, 1e-6), 1.0)
                fx = min(max((a - i - 0.5) / wide + 0.5, 0.0), 1.0)
                fy = min(max((b - j - 0.5) / wide + 0.5, 0.0), 1.0)
                for q in range(2):
                    some = amount * (f if q else 1 - f)
                    out[c + q, j, i] += some * (1 - fx) * (1 - fy)
                    out[c + q, j, i + 1] += some * fx * (1 - fy)
                    out[c + q, j + 1, i] += some * (1 - fx) * fy
                    out[c + q, j + 1, i + 1] += some * fx * fy
            # Further out than the margin and three of its sigmas, a puff has no weight any more.
            away = max(edges[0] - x, x - edges[2], edges[1] - y, y - edges[3])
            if away > edges[4] + 3 * sy:
                sums[0] += m
                m = 0.0
                break
        state[0, p], state[1, p], state[2, p] = x, y, sy
        state[3, p], state[4, p], state[6, p] = sz, m, deep


advance = _njit(_advance)


def buckets(places: Floats, size: float = 5000.0) -> tuple[Floats, Ints, Ints]:
    """Receptors sorted into squares: (x0, y0, size, nx, ny), starts, indices."""
    if not len(places):
        return np.array([0.0, 0.0, size, 1.0, 1.0]), np.zeros(2, np.int64), np.zeros(0, np.int64)
    low, high = places[:, :2].min(axis=0), places[:, :2].max(axis=0)
    size = max(size, float((high - low).max()) / 500)
    nx, ny = (int((high[k] - low[k]) / size) + 1 for k in (0, 1))
    square = ((places[:, 1] - low[1]) / size).astype(np.int64) * nx
    square += ((places[:, 0] - low[0]) / size).astype(np.int64)
    order = np.argsort(square, kind="stable").astype(np.int64)
    starts = np.searchsorted(square[order], np.arange(nx * ny + 1)).astype(np.int64)
    return np.array([low[0], low[1], size, nx, ny]), starts, order


def _blur_rows(source: Single, weights: Floats, out: Single) -> None:
    """out[j] += sum over k of weights[|k|] source[j + k]; nothing comes in from outside."""
    ny, nx = source.shape
    reach = len(weights) - 1
    for j in range(ny):
        row = out[j]
        for k in range(max(-reach, -j), min(reach, ny - 1 - j) + 1):
            w = np.float32(weights[abs(k)])
            line = source[j + k]
            for i in range(nx):
                row[i] += w * line[i]


blur_rows = _njit(_blur_rows, fastmath=True)


def blur(layers: Single, weights: list[Floats], out: Single, pool: Executor) -> None:
    """Sum of all layers, each blurred along both axes by its own weights, added to `out` (ny, nx)."""

    def one(c: int) -> Single | None:
        if not layers[c].any():
            return None
        across = np.zeros(layers[c].shape, np.float32)
        blur_rows(layers[c], weights[c], across)
        turned = np.ascontiguousarray(across.T)
        along = np.zeros(turned.shape, np.float32)
        blur_rows(turned, weights[c], along)
        return along

    for found in pool.map(one, range(len(layers))):
        if found is not None:
            out += found.T


# Gauss-Legendre on (0, 1), eight points.
_X, _W = (
    0.5 * (a + b) for a, b in zip(np.polynomial.legendre.leggauss(8), (1.0, 0.0), strict=True)
)


def _grown(
    age: float, first: float, h: float, u: float, k: int, hour: int, i: int, j: int, way: Floats,
    turbulence: Floats, rates: Floats, deposits: bool,
) -> tuple[float, float, float, float]:  # fmt: skip
    """What a puff is on arrival that left node (i, j) `age` s before, `first` s before the end of the
    hour k (or before its arrival): sigma_y, sigma_z, lid met, and the exponent by which dry
    deposition has thinned it. It grows as in `advance`, hour by hour; `way` (n, 3): node and speed at
    the beginning of each hour, the hour of the arrival first.

    Deposition is the integral of v_d of the hour times the vertical share at the ground; up to two
    hours from the stack by the root of the age, as there the share falls like one over it.
    """
    sy, sz, deep, total = 0.0, 0.0, 0.0, 0.0
    begin, end = 0.0, first
    for m in range(k, hour + 1):
        if m > k:
            begin, end = end, min(end + 3600.0, age)
            i, j, u = int(way[hour - m, 0]), int(way[hour - m, 1]), way[hour - m, 2]
        zi = turbulence[m, j, i, 3]
        deep = max(zi, min(deep, h + 2 * sz))
        grows = sz < 1.2 * zi and not zi < h <= deep
        settles = deposits and rates[m, 0] > 0
        us, ob, zi, sv, scale, w, sw, tl = _local(i, j, h, turbulence[m])
        sy += _sigma_y(end, sv, scale) - _sigma_y(begin, sv, scale)
        if not grows:
            if settles:
                total += rates[m, 0] * (end - begin) * _ground(h, max(sz, 0.1), deep)
            continue
        low = sz
        before = _sigma_z(begin, u, us, ob, w, sw, tl)
        sz = min(low + max(_sigma_z(end, u, us, ob, w, sw, tl) - before, 0.0), 1.2 * zi)
        if settles and begin < 3600:
            root = np.sqrt(begin)
            wide = np.sqrt(end) - root
            for g in range(len(_X)):
                v = root + wide * _X[g]
                s = low + max(_sigma_z(v * v, u, us, ob, w, sw, tl) - before, 0.0)
                down = _ground(h, max(min(s, 1.2 * zi), 0.1), deep)
                total += _W[g] * 2 * v * wide * rates[m, 0] * down
        elif settles:
            down = _ground(h, max(0.5 * (low + sz), 0.1), deep)
            total += rates[m, 0] * (end - begin) * down
    return sy, max(sz, 0.1), deep, float(total)


_grown = _njit(_grown)


def _back(
    place: Floats,
    hour: int,
    start: float,
    share: float,
    plan: Ints,
    flow: Floats,
    turbulence: Floats,
    node: Floats,
    rates: Floats,
    spots: Floats,
    heights: Floats,
    levels: Ints,
    square: Floats,
    starts: Ints,
    order: Ints,
    out: Floats,
) -> None:
    """Follow one puff from a receptor back in time and gather every source's share: out (n,) +=
    s/m³. `start`: hours after the whole hour at which it arrives; flow, turbulence and rates
    (hours, 2; deposition m/s and loss 1/s) of all hours. The adjoint of `advance`; sources are
    looked for within what a puff at `HIGH` would reach. In one step those with the same of `levels`
    (hours, n), as `heights`, share the growth of the first that is met.
    """
    x, y = place[0], place[1]
    sy, age, kept = 0.0, 0.0, 1.0
    bx, by = int(square[3]), int(square[4])
    deposits = rates[:, 0].max() > 0
    way = np.empty((len(plan), 3))
    known = np.empty((LEVELS, 4))
    since = np.full(len(known), -1)
    step = 0
    u = 0.5
    k = hour
    for back in range(len(plan)):
        if k < 0:
            break
        length = 3600 * start if back == 0 else 3600.0
        if back == len(plan) - 1:
            length = 3600 * (1 - start)
        count = max(1, int(np.rint(plan[back] * length / 3600)))
        dt = length / count
        at = start if back == 0 else 1.0
        for i in range(count):
            ix, iy = _nearest(x, y, turbulence[k], node)
            _us, _ob, _zi, sv, scale, _w, _sw, _tl = _local(ix, iy, HIGH, turbulence[k])
            xs, ys = x, y
            xm, ym, x, y, u = _move(x, y, at - i * dt / 3600, -dt, flow[k], node)
            u = max(u, 0.5)
            grown = _sigma_y(age + dt, sv, scale) - _sigma_y(age, sv, scale)
            mid = sy + 0.5 * grown
            sy += grown
            middle = age + 0.5 * dt
            ix, iy = _nearest(x, y, turbulence[k], node)
            age += dt
            gone = rates[k, 1] * dt
            mean = kept if gone <= 0 else -kept * np.expm1(-gone) / gone
            reach = 4 * mid + 0.5 * u * dt
            i0 = max(int(np.floor((xm - reach - square[0]) / square[2])), 0)
            i1 = min(int(np.floor((xm + reach - square[0]) / square[2])), bx - 1)
            j0 = max(int(np.floor((ym - reach - square[1]) / square[2])), 0)
            j1 = min(int(np.floor((ym + reach - square[1]) / square[2])), by - 1)
            for jj in range(j0, j1 + 1):
                for ii in range(i0, i1 + 1):
                    for e in range(starts[jj * bx + ii], starts[jj * bx + ii + 1]):
                        r = order[e]
                        dx, dy = spots[r, 0] - xm, spots[r, 1] - ym
                        if dx * dx + dy * dy > reach * reach:
                            continue
                        h = heights[k, r]
                        level = levels[k, r]
                        if since[level] != step:
                            since[level] = step
                            known[level] = _grown(
                                middle, (i + 0.5) * dt, h, u, k, hour, ix, iy, way, turbulence,
                                rates, deposits,
                            )  # fmt: skip
                        own, sz, deep, thinned = known[level]
                        c = _line(dx, dy, x - xs, y - ys, own)
                        if c > 0:
                            c *= _vertical(place[2], h, sz, deep) * np.exp(-thinned)
                            out[r] += share * mean * c * dt
            kept *= np.exp(-gone)
            step += 1
        ix, iy = _nearest(x, y, turbulence[k], node)
        way[back, 0], way[back, 1], way[back, 2] = ix, iy, u
        k -= 1


back = _njit(_back)
