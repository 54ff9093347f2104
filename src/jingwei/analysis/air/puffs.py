"""Hourly fields and station series of a city: puffs that follow the wind, gathered on a mesh.

Every source releases `releases` puffs an hour. A puff moves with the wind of where it is, spreads
by `spread` with the turbulence of where it is, and loses mass by deposition and first-order loss.
On its way it leaves its ground-level mass on a mesh, in the layer that belongs to its lateral
spread; each layer is blurred once an hour by its own Gaussian. So the cost of a puff does not grow
with its size: 60,000 sources on 1,000 x 1,000 cells are possible on one machine. Receptors are
evaluated exactly, puff by puff. `reference` does the same slowly and exactly.

Coordinates are metres in any plane projection, mass in any unit u: rates u/s, concentrations u/m³.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import boundary, rise, spread
from jingwei.analysis.air.boundary import Floats, floats

HOUR = 3600.0
# Steps an hour of a puff in its 1st, 2nd, 3rd and any later hour.
SCHEDULE = (60, 20, 8, 3)
MARGIN = 24  # cells around the mesh in which puffs still count
RATIO = 1.35  # from one layer's sigma to the next
ENGINES = ("numba", "jax", "jax-gpu", "auto")


@dataclass(frozen=True)
class Grid:
    """Cells of `size` m; x0, y0 is the centre of cell (0, 0); fields are [y, x]."""

    x0: float
    y0: float
    size: float
    nx: int
    ny: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.ny, self.nx


@dataclass(frozen=True)
class Sources:
    """n sources. `rate` (n,) or (hours, n), u/s. `height` is the stack's, m; diameter (m), velocity
    (m/s) and gas temperature (K) give the plume rise, 0 where unknown: then there is none.
    """

    x: Floats
    y: Floats
    height: Floats
    rate: Floats
    diameter: Floats | None = None
    velocity: Floats | None = None
    gas: Floats | None = None
    group: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        n = len(self.x)
        for name in ("y", "height", "diameter", "velocity", "gas", "group"):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                raise ValueError(f"sources: {name} has shape {values.shape}, wanted ({n},)")
            if values is not None and not np.isfinite(values).all():
                where = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ValueError(f"sources: {name} of source {where} is missing")
        if self.rate.shape[-1:] != (n,) or self.rate.ndim > 2:
            raise ValueError(f"sources: rate has shape {self.rate.shape}, wanted (hours, {n})")
        if not (np.isfinite(self.rate).all() and (self.rate >= 0).all()):
            raise ValueError("sources: a rate is missing or negative")
        if (self.height < 0).any():
            raise ValueError("sources: a stack height is negative")

    def __len__(self) -> int:
        return len(self.x)

    def at(self, hour: int) -> Floats:
        """Rates in an hour; the last known hour goes on."""
        return self.rate if self.rate.ndim == 1 else self.rate[min(hour, len(self.rate) - 1)]


@dataclass(frozen=True)
class Winds:
    """Weather on nodes `size` m apart, at whole hours 0…hours: every array (hours + 1, ny, nx).

    u, v: wind to the east and north (m/s) of the layer that carries the plumes; ustar (m/s);
    obukhov (m); zi (m); temperature (K). `deposition` m/s and `loss` 1/s for the one pollutant, one
    value or one an hour (hours,); `sigma_v` (hours + 1, ny, nx) m/s as observed, NaN or None where it
    follows from similarity. Between nodes and hours the wind is interpolated linearly; turbulence is that of the nearest
    node at the beginning of the hour. Beyond the outermost nodes their values go on.
    """

    x0: float
    y0: float
    size: float
    u: Floats
    v: Floats
    ustar: Floats
    obukhov: Floats
    zi: Floats
    temperature: float = 288.0
    deposition: Floats | float = 0.0
    loss: Floats | float = 0.0
    sigma_v: Floats | None = None
    sigma_v_floor: float = spread.SIGMA_V_FLOOR
    _turbulence: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = self.u.shape
        if len(shape) != 3 or shape[0] < 2:
            raise ValueError(f"winds: u has shape {shape}, wanted (hours + 1, ny, nx)")
        for name in ("u", "v", "ustar", "obukhov", "zi"):
            values = getattr(self, name)
            if values.shape != shape:
                raise ValueError(f"winds: {name} has shape {values.shape}, wanted {shape}")
            if not np.isfinite(values).all():
                hour = int(np.argwhere(~np.isfinite(values))[0][0])
                raise ValueError(f"winds: {name} is missing in hour {hour}")
        for name in ("deposition", "loss"):
            given = floats(getattr(self, name))
            if given.shape not in ((), (self.hours,)):
                raise ValueError(f"winds: {name} has shape {given.shape}, wanted ({self.hours},)")
            if not (np.isfinite(given).all() and (given >= 0).all()):
                raise ValueError(f"winds: {name} is missing or negative")
        if self.sigma_v is not None and self.sigma_v.shape != shape:
            raise ValueError(f"winds: sigma_v has shape {self.sigma_v.shape}, wanted {shape}")
        wstar = boundary.convective_velocity(self.ustar, self.obukhov, self.zi)
        sv = spread.lateral_turbulence(self.ustar, wstar, floor=self.sigma_v_floor)
        if self.sigma_v is not None:
            seen = np.maximum(self.sigma_v, self.sigma_v_floor)
            sv = np.where(np.isfinite(self.sigma_v), seen, sv)
        table = np.stack([self.ustar, wstar, self.obukhov, self.zi, sv], axis=-1)
        object.__setattr__(self, "_turbulence", np.ascontiguousarray(table))

    @property
    def hours(self) -> int:
        return int(self.u.shape[0]) - 1

    @property
    def turbulence(self) -> Floats:
        """(hours + 1, ny, nx, 5): u*, w*, L, zi, sigma_v."""
        return self._turbulence

    @property
    def rates(self) -> Floats:
        """(hours, 2): deposition m/s and loss 1/s of each hour."""
        out = np.empty((self.hours, 2))
        out[:, 0], out[:, 1] = self.deposition, self.loss
        return out


@dataclass(frozen=True)
class Balance:
    """Mass, u: emitted = airborne + left (behind the mesh's margin) + lost + aged out."""

    emitted: float
    airborne: float
    left: float
    lost: float
    aged: float


@dataclass(frozen=True)
class Fields:
    """Ground-level hourly means: `mesh` (hours, ny, nx) float32, `stations` (hours, receptors,
    groups); `dropped` the mass-seconds per metre left on the mesh before blurring, over hours;
    `engine` what computed it, and where.
    """

    mesh: npt.NDArray[np.float32]
    stations: Floats
    balance: Balance
    dropped: float
    engine: str


def effective_heights(sources: Sources, winds: Winds, hour: int) -> Floats:
    """Heights of the plumes that leave in an hour: stack, downwash and Briggs rise, m.

    The wind is that of the middle of the hour. A plume that wins through the lid (penetration above a half) stays above it; otherwise it stays
    below.
    """
    ix, iy = nearest(sources.x, sources.y, winds)
    u = np.hypot(*((a[hour, iy, ix] + a[hour + 1, iy, ix]) / 2 for a in (winds.u, winds.v)))
    ustar, obukhov, zi = (a[hour, iy, ix] for a in (winds.ustar, winds.obukhov, winds.zi))
    if sources.diameter is None or sources.velocity is None or sources.gas is None:
        return floats(sources.height)
    known = (sources.diameter > 0) & (sources.velocity > 0) & (sources.gas > 0)
    d = np.where(known, sources.diameter, 0.0)
    v = np.where(known, sources.velocity, 0.0)
    gas = np.where(known, sources.gas, winds.temperature)
    n = np.where(obukhov > 0, boundary.brunt_vaisala(obukhov, ustar, winds.temperature), 0.0)
    start = rise.downwash(sources.height, d, np.where(known, v, 1e3), u)
    dh = rise.plume_rise(
        velocity=v, diameter=d, gas=gas, air=winds.temperature, wind=u, frequency=n
    )
    lid = zi - sources.height
    through = rise.penetration(dh, lid)
    held = np.where((through < 0.5) & (lid > 0), np.minimum(start + dh, 0.98 * zi), start + dh)
    return np.asarray(np.where(known, held, sources.height))


def nearest(
    x: Floats, y: Floats, winds: Winds
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Nearest node of each place."""
    ny, nx = winds.u.shape[1:]
    ix = np.clip(np.rint((x - winds.x0) / winds.size), 0, nx - 1).astype(np.intp)
    iy = np.clip(np.rint((y - winds.y0) / winds.size), 0, ny - 1).astype(np.intp)
    return ix, iy


def steps(age: float, length: float, schedule: tuple[int, ...]) -> int:
    """Steps of a puff that is `age` s old for the next `length` s."""
    per_hour = schedule[min(int(age / HOUR + 1e-9), len(schedule) - 1)]
    return max(1, round(per_hour * length / HOUR))


def layers(size: float, largest: float) -> Floats:
    """Sigmas of the layers, m: 0, size/2, then a factor RATIO each up to `largest`."""
    found = [0.0, 0.5 * size]
    while found[-1] < largest:
        found.append(found[-1] * RATIO)
    return np.array(found)


def taps(sigma: float, size: float) -> Floats:
    """One half of a discrete Gaussian of variance sigma², from the middle outwards; sums to 1 with
    its mirror image. Up to 0.7 cells three taps have that variance exactly."""
    s = sigma / size
    if s == 0:
        return np.array([1.0])
    if s < 0.7:
        return np.array([1 - s * s, s * s / 2])
    reach = int(np.ceil(4.5 * s))
    half = np.exp(-0.5 * (np.arange(reach + 1) / s) ** 2)
    return np.asarray(half / (half[0] + 2 * half[1:].sum()))


def _edges(grid: Grid, places: Floats | None) -> Floats:
    """West, south, east and north of mesh and receptors, and the margin behind them, m."""
    west, south = grid.x0, grid.y0
    east, north = west + (grid.nx - 1) * grid.size, south + (grid.ny - 1) * grid.size
    if places is not None:
        west, east = min(west, float(places[:, 0].min())), max(east, float(places[:, 0].max()))
        south, north = min(south, float(places[:, 1].min())), max(north, float(places[:, 1].max()))
    return np.array([west, south, east, north, MARGIN * grid.size])


def forward(
    sources: Sources,
    winds: Winds,
    grid: Grid,
    *,
    receptors: npt.ArrayLike | None = None,
    memory: int = 24,
    releases: int = 2,
    schedule: tuple[int, ...] = SCHEDULE,
    threads: int | None = None,
    mesh: bool = True,
    engine: str = "numba",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fields:
    """Hourly ground-level means over all hours of `winds`.

    `receptors` (n, 3): x, y, z in m; their series are split by `Sources.group` (numbers from 0).
    A puff is followed for `memory` hours. `engine`: "numba" on `threads` cores; "jax" on the device
    that JAX finds, which `Fields.engine` names; "jax-gpu" on a GPU or not at all; "auto" on a GPU where
    JAX is installed and finds one, else "numba". Raises ValueError
    for input that cannot be used and for an engine that is not there.
    """
    from jingwei.analysis.air import accelerator, kernels

    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: wanted one of {', '.join(ENGINES)}")
    places = floats(np.zeros((0, 3)) if receptors is None else receptors).reshape(-1, 3)
    if not np.isfinite(places).all():
        raise ValueError("receptors: a coordinate is missing")
    group = np.zeros(len(sources), np.int32) if sources.group is None else sources.group
    groups = int(group.max()) + 1 if len(group) else 1
    if len(group) and group.min() < 0:
        raise ValueError("sources: groups are numbered from 0")
    if 8 * winds.hours * len(places) * groups > 1 << 30:
        raise ValueError(
            f"{len(places)} receptors x {groups} groups x {winds.hours} hours need more than 1 GiB;"
            " take fewer groups, or the source-receptor matrix of jingwei.analysis.air.tracing"
        )
    if engine == "auto":
        engine = "jax-gpu" if accelerator.at_hand() else "numba"
    if engine != "numba":
        return accelerator.forward(
            sources, winds, grid, places=places, group=group, groups=groups, memory=memory,
            releases=releases, schedule=schedule, mesh=mesh, engine=engine, progress=progress,
        )  # fmt: skip
    threads = threads or min(os.cpu_count() or 1, 8)
    n = len(sources)
    half = np.sqrt(grid.nx**2 + grid.ny**2) * grid.size / 4
    sigmas = layers(grid.size, max(half, 4 * grid.size))
    out = np.zeros((winds.hours if mesh else 0, *grid.shape), np.float32)
    stations = np.zeros((winds.hours, len(places), groups))
    buckets = kernels.buckets(places)
    # The layers reach beyond the mesh, so that what is outside and wide still counts inside.
    pad = MARGIN
    shape = (len(sigmas) if mesh else 0, grid.ny + 2 * pad, grid.nx + 2 * pad)
    deposits = [np.zeros(shape, np.float32) for _ in range(threads)]
    weights = [taps(s, grid.size) for s in sigmas]
    edges = _edges(grid, places if len(places) else None)
    parts = [slice(n * i // threads, n * (i + 1) // threads) for i in range(threads)]
    cell = np.array([grid.x0 - MARGIN * grid.size, grid.y0 - MARGIN * grid.size, grid.size])
    node = np.array([winds.x0, winds.y0, winds.size])
    rates = winds.rates
    blocks: list[tuple[float, kernels.Single]] = []  # (time of release in s, state (7, n))
    emitted = left = lost = aged = dropped = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for hour in range(winds.hours):
            heights = effective_heights(sources, winds, hour)
            for m in range(releases):
                mass = sources.at(hour) * (HOUR / releases)
                state = np.zeros((7, n), np.float32)
                state[0], state[1], state[4], state[5] = sources.x, sources.y, mass, heights
                blocks.append(((hour + (m + 0.5) / releases) * HOUR, state))
                emitted += float(state[4].sum(dtype=np.float64))
            flow = np.ascontiguousarray(
                np.stack(
                    [
                        winds.u[hour],
                        winds.v[hour],
                        winds.u[hour + 1] - winds.u[hour],
                        winds.v[hour + 1] - winds.v[hour],
                    ],
                    axis=-1,
                )
            )
            turbulence = winds.turbulence[hour]

            def work(
                i: int,
                hour: int = hour,
                flow: Floats = flow,
                turb: Floats = turbulence,
                blocks: list[tuple[float, kernels.Single]] = blocks,
            ) -> tuple[Floats, Floats]:
                sums = np.zeros(3)
                series = np.zeros((len(places), groups))
                for born, state in blocks:
                    begin = max(born, hour * HOUR)
                    length = (hour + 1) * HOUR - begin
                    count = steps(begin - born, length, schedule)
                    part = state[:, parts[i]]
                    about = (
                        begin - born, begin / HOUR - hour, length, count, flow, turb, node, rates[hour],
                    )  # fmt: skip
                    kernels.advance(
                        part, group[parts[i]], *about, cell, edges, sigmas, deposits[i],
                        places, *buckets, series, sums,
                    )  # fmt: skip
                return sums, series

            for sums, series in pool.map(work, range(threads)):
                left, lost, dropped = left + sums[0], lost + sums[1], dropped + sums[2]
                stations[hour] += series
            if mesh:
                total = deposits[0]
                for other in deposits[1:]:
                    total += other
                whole = np.zeros(shape[1:], np.float32)
                kernels.blur(total, weights, whole, pool)
                out[hour] = whole[pad:-pad, pad:-pad] / grid.size**2
                for d in deposits:
                    d.fill(0)
            old = [b for b in blocks if (hour + 1) * HOUR - b[0] >= memory * HOUR]
            aged += sum(float(b[1][4].sum(dtype=np.float64)) for b in old)
            blocks = [b for b in blocks if (hour + 1) * HOUR - b[0] < memory * HOUR]
            progress(hour + 1, winds.hours)
    airborne = sum(float(b[1][4].sum(dtype=np.float64)) for b in blocks)
    balance = Balance(emitted, airborne, left, lost, aged)
    return Fields(out, stations, balance, dropped, f"numba on {threads} threads")
