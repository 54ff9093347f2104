"""The city model on JAX, for a GPU: the same puffs, layers and blur as `puffs` and `kernels`.

Needs `jingwei[jax]`. One compiled program runs all hours: a scan whose state is every living puff,
in blocks of equal age, so that each block has a fixed number of steps and nothing is compiled anew
from hour to hour. A step moves all puffs of a group at once and scatters their mass into the layers;
each layer is blurred by two products with a band matrix, summed over the layers by the second. Only
sources, weather and the finished fields cross between machine and device. Sources beyond `CHUNK`
are done in parts of equal size whose fields are added: memory does not grow with their number.

Single precision, but for comparisons (`double`). Scattered adds come in any order on a GPU: two runs
differ in the last digits there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import puffs
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.spread import FILLED

CHUNK = 1 << 16  # sources at once
PADDED = 256  # their number is filled up to a multiple of this
ABREAST = 16  # receptors at once


class EngineError(ValueError):
    """JAX, or the device asked for, is not there."""


@dataclass(frozen=True)
class Form:
    """All that the compiled program depends on beside the shapes of its arrays."""

    nx: int
    ny: int
    releases: int
    memory: int
    schedule: tuple[int, ...]
    classes: int  # 0: no mesh
    groups: int


def at_hand() -> bool:
    """Whether JAX is installed and finds a GPU."""
    try:
        device("jax-gpu")
    except EngineError:
        return False
    return True


def device(engine: str) -> Any:
    """The device of `engine`: "jax" takes what JAX finds, "jax-gpu" a GPU. Raises EngineError."""
    try:
        import jax
    except ImportError as error:
        raise EngineError(
            f"engine {engine!r} needs JAX: install jingwei[jax], for an NVIDIA GPU jax[cuda12] besides,"
            f" or take engine 'numba' ({error})"
        ) from error
    if engine == "jax":
        return jax.devices()[0]
    try:
        return jax.devices("gpu")[0]
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise EngineError(
            f"engine 'jax-gpu': JAX finds no GPU, only {jax.devices()[0].platform} ({first}): install"
            " jax[cuda12] on a machine with one, or take engine 'jax' or 'numba'"
        ) from error


def forward(
    sources: puffs.Sources,
    winds: puffs.Winds,
    grid: puffs.Grid,
    *,
    places: Floats,
    group: npt.NDArray[np.int32],
    groups: int,
    memory: int,
    releases: int,
    schedule: tuple[int, ...],
    mesh: bool,
    engine: str,
    double: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> puffs.Fields:
    """As `puffs.forward`, which checks what is given and calls this. Raises EngineError."""
    where = device(engine)
    import jax

    kind = np.float64 if double else np.float32
    sigmas = puffs.layers(grid.size, _widest(winds, grid, memory))
    form = Form(
        grid.nx, grid.ny, releases, memory, tuple(schedule), len(sigmas) if mesh else 0, groups
    )
    n = len(sources)
    parts = max(-(-n // CHUNK), 1)
    each = max(-(-n // parts), 1)
    full = -(-each // PADDED) * PADDED
    field: Any = None
    stations = np.zeros((winds.hours, len(places), groups))
    sums = np.zeros(5)
    emitted = 0.0
    with jax.enable_x64(double), jax.default_device(where):
        weather = _weather(winds, kind)
        layout = _layout(grid, places, sigmas, kind)
        for k in range(parts):
            part = slice(k * each, min((k + 1) * each, n))
            given = _given(sources, winds, part, full, group, kind, releases)
            emitted += releases * float(given["mass"].sum(dtype=np.float64))
            fields, series, books = _program()(form, given, weather, layout)
            field = field + fields if k else fields
            stations += np.asarray(series, np.float64)
            sums += np.asarray(books, np.float64).sum(axis=(0, 2))
            progress((k + 1) * winds.hours // parts, winds.hours)
        out = np.asarray(field, np.float32) if mesh else np.zeros((0, *grid.shape), np.float32)
    lost, left, dropped, aged, airborne = sums.tolist()
    balance = puffs.Balance(emitted, airborne, left, lost, aged)
    told = f"jax {jax.__version__} on {where.device_kind} ({where.platform})"
    return puffs.Fields(out, stations, balance, dropped, told)


def _widest(winds: puffs.Winds, grid: puffs.Grid, memory: int) -> float:
    """No puff of this weather grows wider, m: the steepest of all curves to the end of its life.

    In steps of four layers, so that other weather seldom asks for another program.
    """
    sv, zi = float(winds.turbulence[..., 4].max()), float(winds.zi.max())
    reach = sv * (memory + 1) * puffs.HOUR
    widest = max(reach * (1 + 0.7 * reach / zi) ** -0.3, 4 * grid.size)
    steps = math.ceil(math.log(widest / (0.5 * grid.size)) / math.log(puffs.RATIO) / 4) * 4
    half = np.sqrt(grid.nx**2 + grid.ny**2) * grid.size / 4
    most = max(half, 4 * grid.size)
    return float(min(0.5 * grid.size * puffs.RATIO ** (steps - 0.5), most))


def _weather(winds: puffs.Winds, kind: Any) -> dict[str, Any]:
    """Every hour's wind, its change in the hour, and its turbulence, node by node."""
    u, v = winds.u, winds.v
    flow = np.stack([u[:-1], v[:-1], np.diff(u, axis=0), np.diff(v, axis=0)], axis=-1)
    return {
        "flow": flow.astype(kind),
        "turbulence": winds.turbulence[:-1].astype(kind),
        "node": np.array([winds.x0, winds.y0, winds.size], kind),
        "rates": winds.rates.astype(kind),
        "temperature": np.array(winds.temperature, kind),
    }


def _layout(grid: puffs.Grid, places: Floats, sigmas: Floats, kind: Any) -> dict[str, Any]:
    pad = puffs.MARGIN
    weights = np.zeros((len(sigmas), max(grid.nx, grid.ny) + 2 * pad))
    for row, sigma in zip(weights, sigmas, strict=True):
        half = puffs.taps(sigma, grid.size)[: len(row)]
        row[: len(half)] = half
    return {
        "cell": np.array([grid.x0 - pad * grid.size, grid.y0 - pad * grid.size, grid.size], kind),
        "edges": puffs._edges(grid, places if len(places) else None).astype(kind),
        "sigmas": sigmas.astype(kind),
        "weights": weights.astype(kind),
        "places": places.astype(kind),
    }


def _given(
    sources: puffs.Sources,
    winds: puffs.Winds,
    part: slice,
    full: int,
    group: npt.NDArray[np.int32],
    kind: Any,
    releases: int,
) -> dict[str, Any]:
    """The sources of a part, filled up to `full` with such as emit nothing."""
    n = part.stop - part.start

    def filled(values: Floats | None, rest: float = 0.0) -> Any:
        out = np.full(full, rest, kind)
        if values is not None:
            out[:n] = values[part]
        return out

    mass = np.zeros((winds.hours, full), kind)
    for hour in range(winds.hours):
        mass[hour, :n] = sources.at(hour)[part] * (puffs.HOUR / releases)
    whole = sources.diameter is not None and sources.velocity is not None
    known = {
        "diameter": sources.diameter, "velocity": sources.velocity, "gas": sources.gas
    } if whole and sources.gas is not None else {}  # fmt: skip
    members = np.zeros(full, np.int32)
    members[:n] = group[part]
    return {
        "x": filled(sources.x), "y": filled(sources.y), "height": filled(sources.height),
        **{k: filled(known.get(k)) for k in ("diameter", "velocity", "gas")},
        "group": members, "mass": mass,
    }  # fmt: skip


def _blocks(form: Form) -> list[tuple[int, Floats]]:
    """Groups of blocks that step together: the number of steps, and for each block (begin in hours
    after the whole hour, age in s, length of a step in s, number of its steps)."""
    ages = []
    for age in range(form.memory + 1):
        rows = []
        for m in range(form.releases):
            born = (m + 0.5) / form.releases
            begin = born if age == 0 else 0.0
            old = (begin + age - born) * puffs.HOUR
            length = (1 - begin) * puffs.HOUR
            count = puffs.steps(old, length, form.schedule)
            rows.append((begin, old, length / count, count))
        ages.append(rows)
    found: list[list[tuple[float, float, float, int]]] = []
    for age, rows in enumerate(ages):
        # Puffs of this hour step along with those of the hour before: fewer, fuller steps.
        if age == 1 or (age > 1 and {r[3] for r in found[-1]} == {r[3] for r in rows}):
            found[-1] += rows
        else:
            found.append(list(rows))
    return [(max(r[3] for r in rows), floats(rows)) for rows in found]


@lru_cache(maxsize=1)
def _program() -> Any:
    """The compiled program: (form, sources, weather, layout) to (fields (hours, ny, nx), series
    (hours, receptors, groups), books (hours, 5, parts))."""
    import jax

    return jax.jit(_hours, static_argnums=0)


def _hours(form: Form, given: Any, weather: Any, layout: Any) -> Any:
    import jax
    import jax.numpy as jnp

    n = given["x"].shape[0]
    kind = given["x"].dtype
    blocks = _blocks(form)
    pad = puffs.MARGIN
    bands = []
    for inner in (form.ny, form.nx) if form.classes else ():
        far = jnp.abs(jnp.arange(inner)[:, None] + pad - jnp.arange(inner + 2 * pad)[None, :])
        bands.append(layout["weights"][:, far])

    def hour(state: Any, now: Any) -> Any:
        flow, turbulence, rates, mass = now
        heights = _heights(given, flow, turbulence, weather)
        both = (form.releases, n)
        zero = jnp.zeros(both, kind)
        fresh = [given["x"], given["y"], zero, zero, mass, heights, zero]
        living = [
            jnp.concatenate([jnp.broadcast_to(a, both), b])
            for a, b in zip(fresh, state, strict=True)
        ]
        shape = (form.classes, form.ny + 2 * pad, form.nx + 2 * pad)
        deposit = jnp.zeros(math.prod(shape), kind)
        seen = jnp.zeros((layout["places"].shape[0], n), kind)
        after, books, first = [], jnp.zeros((3, n), kind), 0
        for count, about in blocks:
            some = [a[first : first + len(about)] for a in living]
            moved, deposit, seen, sums = _advance(
                count,
                about,
                some,
                flow,
                turbulence,
                {**weather, "rates": rates},
                layout,
                shape,
                deposit,
                seen,
            )
            after.append(moved)
            books = books + jnp.stack(sums)
            first += len(about)
        stay = [jnp.concatenate(a) for a in zip(*after, strict=True)]
        keep = form.memory * form.releases
        aged = stay[4][keep:].sum(axis=0)
        field = jnp.zeros((0, form.ny, form.nx), kind)
        if form.classes:
            across = jnp.einsum(
                "cij,ckj->cik", deposit.reshape(shape), bands[1], precision="highest"
            )
            field = jnp.einsum("cli,cik->lk", bands[0], across, precision="highest")
            field = (field / layout["cell"][2] ** 2).astype(jnp.float32)
        series = jnp.zeros((seen.shape[0], form.groups), kind).at[:, given["group"]].add(seen)
        return [a[:keep] for a in stay], (field, series, jnp.stack([*books, aged]))

    begin = [jnp.zeros((form.memory * form.releases, n), kind) for _ in range(7)]
    hours = (weather["flow"], weather["turbulence"], weather["rates"], given["mass"])
    last, (fields, series, books) = jax.lax.scan(hour, begin, hours)
    airborne = jnp.zeros((books.shape[0], 1, n), kind).at[-1, 0].set(last[4].sum(axis=0))
    # Sums of a few numbers each: the machine adds them up in double precision.
    books = jnp.concatenate([books, airborne], axis=1)
    return fields, series, books.reshape(*books.shape[:2], -1, 32).sum(axis=-1)


def _nearest(table: Any, x: Any, y: Any, node: Any) -> Any:
    import jax.numpy as jnp

    ny, nx = table.shape[:2]
    i = jnp.clip(jnp.rint((x - node[0]) / node[2]), 0, nx - 1).astype(jnp.int32)
    j = jnp.clip(jnp.rint((y - node[1]) / node[2]), 0, ny - 1).astype(jnp.int32)
    return table.reshape(ny * nx, -1)[j * nx + i]


def _heights(given: Any, flow: Any, turbulence: Any, weather: Any) -> Any:
    """`puffs.effective_heights`: downwash, Briggs rise and lid, with the formulas of `rise`."""
    import jax.numpy as jnp

    node, air = weather["node"], weather["temperature"]
    at = _nearest(flow, given["x"], given["y"], node)
    turb = _nearest(turbulence, given["x"], given["y"], node)
    u = jnp.hypot(at[:, 0] + at[:, 2] / 2, at[:, 1] + at[:, 3] / 2)
    u = jnp.maximum(u, 0.5)
    ustar, obukhov, zi = turb[:, 0], turb[:, 2], turb[:, 3]
    h = given["height"]
    known = (given["diameter"] > 0) & (given["velocity"] > 0) & (given["gas"] > 0)
    d, v = (jnp.where(known, given[k], 0.0) for k in ("diameter", "velocity"))
    gas = jnp.where(known, given["gas"], air)
    theta = air * ustar**2 / (0.4 * 9.81 * jnp.maximum(obukhov, 1.0))
    gradient = jnp.maximum(theta / 0.8 * (1 + 10 / jnp.maximum(obukhov, 1.0)), 0.005)
    stable = obukhov > 0
    n = jnp.where(stable, jnp.sqrt(9.81 / air * jnp.minimum(gradient, 0.035)), 1.0)
    start = jnp.maximum(h + 2 * d * jnp.minimum(v / u - 1.5, 0), 0.0)
    flux = 9.81 * v * d**2 / 4 * jnp.maximum(gas - air, 0) / gas
    neutral = jnp.where(flux < 55, 21.425 * flux**0.75, 38.71 * flux**0.6) / u
    momentum = 3 * d * v / u
    bent = jnp.minimum(2.6 * jnp.cbrt(flux / (u * n**2)), 4.0 * flux**0.25 * n**-0.75)
    impulse = v**2 * d**2 / 4 * air / gas
    push = jnp.minimum(1.5 * jnp.cbrt(impulse / (u * n)), momentum)
    rise = jnp.where(stable, jnp.maximum(bent, push), jnp.maximum(neutral, momentum))
    lid = zi - h
    through = jnp.clip(1.5 - lid / jnp.maximum(rise, 1e-6), 0.0, 1.0)
    under = (through < 0.5) & (lid > 0)
    return jnp.where(known, jnp.where(under, jnp.minimum(start + rise, 0.98 * zi), start + rise), h)


def _wind(x: Any, y: Any, t: Any, flow: Any, node: Any) -> Any:
    """`kernels.wind`."""
    import jax.numpy as jnp

    ny, nx = flow.shape[:2]
    a = jnp.clip((x - node[0]) / node[2], 0, nx - 1)
    b = jnp.clip((y - node[1]) / node[2], 0, ny - 1)
    i = jnp.minimum(a.astype(jnp.int32), max(nx - 2, 0))
    j = jnp.minimum(b.astype(jnp.int32), max(ny - 2, 0))
    fx, fy = (a - i), (b - j)
    right, up = min(nx - 1, 1), min(ny - 1, 1) * nx
    table, at = flow.reshape(ny * nx, 4), j * nx + i
    found = []
    corners = [table[at], table[at + right], table[at + up], table[at + up + right]]
    weights = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy]
    for k in (0, 1):
        terms = [w * (c[..., k] + t * c[..., k + 2]) for w, c in zip(weights, corners, strict=True)]
        found.append(sum(terms[1:], terms[0]))
    return found


def _move(x: Any, y: Any, t: Any, dt: Any, flow: Any, node: Any) -> Any:
    """`kernels.move`."""
    import jax.numpy as jnp

    u, v = _wind(x, y, t, flow, node)
    u, v = _wind(x + 0.5 * dt * u, y + 0.5 * dt * v, t + 0.5 * dt / 3600, flow, node)
    speed = jnp.maximum(jnp.sqrt(u * u + v * v), 0.5)
    return x + 0.5 * dt * u, y + 0.5 * dt * v, x + dt * u, y + dt * v, speed


def _local(x: Any, y: Any, h: Any, turbulence: Any, node: Any) -> Any:
    """`kernels.local`."""
    import jax.numpy as jnp

    found = _nearest(turbulence, x, y, node)
    us, ws, ob, zi, sv = (found[..., k] for k in range(5))
    scale = jnp.maximum(78 * 0.46 / jnp.maximum(h, 0.46), 0.7) / zi
    at = jnp.minimum(jnp.maximum(h, 0.5), 0.9 * zi)
    share = jnp.clip(at / zi, 1e-6, 1.0)
    convective = jnp.minimum(1.6 * share ** (2 / 3), 0.35) * ws * ws
    sw = jnp.maximum(jnp.sqrt(convective + 1.69 * us * us * (1 - share)), 0.02)
    length = 1 / (1 / (0.36 * at) + 0.02 / (0.27 * sw))
    tl = jnp.where(ob < 0, 0.15 * zi, length) / sw
    low = jnp.where(ob < 0, h <= 0.1 * zi, h <= 2.0)
    w = jnp.where(low, 1.0, jnp.clip(1 - h / zi, 0.0, 1.0))
    return us, ob, zi, sv, scale, w, sw, tl


def _sigma_z(t: Any, u: Any, us: Any, ob: Any, w: Any, sw: Any, tl: Any) -> Any:
    """`kernels.sigma_z`."""
    import jax.numpy as jnp

    grow = us * t
    far = jnp.cbrt(u * t / jnp.abs(ob)) ** 2
    near = jnp.where(
        ob > 0, 0.57 * grow / (1 + 3 * us / u * far), 0.57 * grow * (1 - 1.5 * grow / ob)
    )
    return jnp.where(w >= 1, near, w * near + (1 - w) * sw * t / jnp.sqrt(1 + t / (2 * tl)))


def _ground(h: Any, s: Any, zi: Any) -> Any:
    """`kernels.ground`; its far mirror images are 0 in single precision where it leaves them out."""
    import jax.numpy as jnp

    total = jnp.exp(-0.5 * (h / s) ** 2)
    for n in (1, 2):
        total += jnp.exp(-0.5 * ((2 * n * zi - h) / s) ** 2)
        total += jnp.exp(-0.5 * ((2 * n * zi + h) / s) ** 2)
    found = jnp.where(s > 0.7 * zi, _wide(0.0, h, s, zi), math.sqrt(2 / math.pi) * total / s)
    return jnp.where(h > zi, 0.0, found)


def _wide(z: Any, h: Any, s: Any, zi: Any) -> Any:
    """The cosine series of `plume.ground_factor`."""
    import jax.numpy as jnp

    q = jnp.exp(-0.5 * (math.pi * jnp.minimum(s / zi, 5.0)) ** 2)
    c, d = jnp.cos(math.pi * h / zi), jnp.cos(math.pi * z / zi)
    return (1 + 2 * q * (c * d + q**3 * (2 * c * c - 1) * (2 * d * d - 1))) / zi


def _vertical(z: Any, h: Any, s: Any, zi: Any) -> Any:
    """`kernels.vertical`."""
    import jax.numpy as jnp

    total = jnp.zeros_like(h)
    for n in range(-2, 3):
        total += jnp.exp(-0.5 * ((z - h - 2 * n * zi) / s) ** 2)
        total += jnp.exp(-0.5 * ((z + h - 2 * n * zi) / s) ** 2)
    found = jnp.where(s > 0.7 * zi, _wide(z, h, s, zi), total / (math.sqrt(2 * math.pi) * s))
    return jnp.where(h > zi, 0.0, found)


def _line(dx: Any, dy: Any, lx: Any, ly: Any, s: Any) -> Any:
    """`kernels.line`."""
    import jax.numpy as jnp
    from jax.scipy.special import erf

    length = jnp.sqrt(lx * lx + ly * ly)
    square = dx * dx + dy * dy
    safe, long = jnp.maximum(s, 1e-3), jnp.maximum(length, 1e-3)
    point = jnp.exp(-0.5 * square / safe**2) / (2 * math.pi * safe**2)
    along = (dx * lx + dy * ly) / long
    across = jnp.maximum(square - along * along, 0.0)
    root = math.sqrt(2) * safe
    ends = erf((along + 0.5 * length) / root) - erf((along - 0.5 * length) / root)
    smeared = jnp.exp(-0.5 * across / safe**2) / (2 * math.sqrt(2 * math.pi) * safe) * ends / long
    found = jnp.where(length < 0.1 * s, point, smeared)
    return jnp.where((s <= 0) | (square > (4 * s + 0.5 * length) ** 2), 0.0, found)


def _advance(
    count: int, about: Floats, some: Any, flow: Any, turbulence: Any, weather: Any, layout: Any,
    shape: tuple[int, int, int], deposit: Any, seen: Any,
) -> Any:  # fmt: skip
    """`kernels.advance` for a group of blocks (blocks, n): its puffs after the hour, the layers, the
    receptors' share by source, and by source the mass (lost, left behind the margin, dropped)."""
    import jax
    import jax.numpy as jnp

    x, y, sy, sz, mass, h, met = some
    kind = x.dtype
    begin, age, dt, steps = (jnp.asarray(about[:, k, None], kind) for k in range(4))
    node, rates, edges = weather["node"], weather["rates"], layout["edges"]
    us, ob, zi, sv, scale, w, sw, tl = _local(x, y, h, turbulence, node)
    deep = jnp.maximum(zi, jnp.minimum(met, h + 2 * sz))  # `spread.lid_met`
    lid = jnp.where((h > zi) & (h <= deep), 0.0, FILLED * zi)
    curve = (us, ob, w, sw, tl)

    def width(t: Any) -> Any:
        reach = sv * t
        return reach * (1 + scale * reach) ** -0.3

    def step(k: Any, carry: Any) -> Any:
        x, y, sy, sz, mass, before_y, before_z, deposit, seen, lost, left, dropped = carry
        active = (k < steps) & (mass > 0)
        t = age + k * dt
        xm, ym, xe, ye, u = _move(x, y, begin + k * dt / 3600, dt, flow, node)
        after_y = width(t + dt)
        grown = after_y - before_y
        mid = sy + 0.5 * grown
        after_z = _sigma_z(t + dt, u, *curve)
        high = jnp.where(sz < lid, jnp.minimum(sz + jnp.maximum(after_z - before_z, 0.0), lid), sz)
        s = jnp.maximum(0.5 * (sz + high), 0.1)
        share = _ground(h, s, deep)
        gone = (rates[1] + rates[0] * share) * dt
        kept = mass * jnp.exp(-gone)
        mean = jnp.where(gone > 0, -jnp.expm1(-gone) / jnp.where(gone > 0, gone, 1.0), 1.0) * mass
        amount = jnp.where(active, mean, 0.0) * share * dt / 3600
        if seen.shape[0]:
            there = (xm, ym, xe - x, ye - y, mid, h, s, deep, share, amount)
            seen = seen + jax.lax.map(
                lambda place: _at(place, *there), layout["places"], batch_size=ABREAST
            )
        if shape[0]:
            deposit, inside = _scatter(deposit, shape, layout, xm, ym, mid, amount)
            dropped = dropped + jnp.where(inside, amount, 0.0).sum(axis=0)
        away = jnp.maximum(
            jnp.maximum(edges[0] - xe, xe - edges[2]), jnp.maximum(edges[1] - ye, ye - edges[3])
        )
        outside = active & (away > edges[4] + 3 * (sy + grown))
        lost = lost + jnp.where(active, mass - kept, 0.0).sum(axis=0)
        left = left + jnp.where(outside, kept, 0.0).sum(axis=0)
        return (
            jnp.where(active, xe, x), jnp.where(active, ye, y),
            jnp.where(active, sy + grown, sy), jnp.where(active, high, sz),
            jnp.where(outside, 0.0, jnp.where(active, kept, mass)),
            after_y, after_z, deposit, seen, lost, left, dropped,
        )  # fmt: skip

    _xm, _ym, _x, _y, u = _move(x, y, begin, dt, flow, node)
    none = jnp.zeros(x.shape[1], kind)
    first = (x, y, sy, sz, mass, width(age + 0 * x), _sigma_z(age + 0 * x, u, *curve))
    found = jax.lax.fori_loop(0, count, step, (*first, deposit, seen, none, none, none))
    return [*found[:5], h, deep], found[7], found[8], found[9:]


def _at(
    place: Any, xm: Any, ym: Any, lx: Any, ly: Any, mid: Any, h: Any, s: Any, zi: Any, share: Any,
    amount: Any,
) -> Any:  # fmt: skip
    """What every source's puffs add at a place in this step, u/m³ of the hour's mean."""
    import jax.numpy as jnp

    level = jnp.where(place[2] > 0, _vertical(place[2], h, s, zi), share)
    weight = jnp.where(share > 0, amount / jnp.where(share > 0, share, 1.0), 0.0)
    return (weight * level * _line(place[0] - xm, place[1] - ym, lx, ly, mid)).sum(axis=0)


def _scatter(
    deposit: Any, shape: tuple[int, int, int], layout: Any, xm: Any, ym: Any, mid: Any, amount: Any
) -> Any:
    """Share the amounts among two layers and four cells each; and whether a puff is on the mesh."""
    import jax.numpy as jnp

    classes, ny, nx = shape
    cell, sigmas = layout["cell"], layout["sigmas"]
    a, b = (xm - cell[0]) / cell[2], (ym - cell[1]) / cell[2]
    i, j = jnp.floor(a), jnp.floor(b)
    inside = (amount > 0) & (i >= 0) & (j >= 0) & (i < nx - 1) & (j < ny - 1)
    variance = jnp.maximum(mid * mid - cell[2] * cell[2] / 12, 0.0)
    spread = jnp.sqrt(variance) / sigmas[1]
    rank = jnp.floor(jnp.log(jnp.maximum(spread, 1.0)) / math.log(puffs.RATIO)).astype(jnp.int32)
    c = jnp.where(spread >= 1, jnp.minimum(1 + rank, classes - 2), 0)
    lower, upper = sigmas[c] ** 2, sigmas[c + 1] ** 2
    f = jnp.clip((variance - lower) / (upper - lower), 0.0, 1.0)
    wide = jnp.clip(mid / cell[2] * math.sqrt(12), 1e-6, 1.0)
    fx = jnp.clip((a - i - 0.5) / wide + 0.5, 0.0, 1.0)
    fy = jnp.clip((b - j - 0.5) / wide + 0.5, 0.0, 1.0)
    size = classes * ny * nx
    at = (c * ny + j.astype(jnp.int32)) * nx + i.astype(jnp.int32)
    where, what = [], []
    for q, layer in ((0, 1 - f), (ny * nx, f)):
        for p, row in ((0, 1 - fy), (nx, fy)):
            for o, column in ((0, 1 - fx), (1, fx)):
                where.append(jnp.where(inside, at + q + p + o, size).ravel())
                what.append((amount * layer * row * column).ravel())
    added = deposit.at[jnp.concatenate(where)].add(jnp.concatenate(what), mode="drop")
    return added, inside
