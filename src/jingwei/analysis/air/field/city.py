"""Made-up regions for benchmarks and for tests of what cannot be measured in the open."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from jingwei.analysis.air import tracing
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.puffs import Grid, Sources, Winds


def region(
    stacks: int, cells: int, hours: int, *, size: float = 500.0, seed: int = 6
) -> tuple[Sources, Winds, Grid]:
    """A region of `cells` x `cells` with a turning, sheared, divergence-free wind and day and night.

    The stacks stand in the middle half: 20 to 150 m high, a third of them with plume rise,
    emissions lognormal with sigma 1.
    """
    random = np.random.default_rng(seed)
    side = cells * size
    nodes = max(int(side / 5000), 4) + 1
    at = np.linspace(-1, 1, nodes)
    x, y = np.meshgrid(at, at)
    hour = np.arange(hours + 1)[:, None, None]
    u = 2.5 + 1.5 * np.sin(hour / 5) - 0.8 * np.sin(2 * y) + 0 * x
    v = 0.8 + 1.5 * np.cos(hour / 7) + 0.8 * np.sin(2 * x) + 0 * y
    sun = np.sin(2 * np.pi * (hour % 24 - 6) / 24) + 0 * u
    day = sun > 0
    winds = Winds(
        x0=-size / 2,
        y0=-size / 2,
        size=side / (nodes - 1),
        u=u,
        v=v,
        ustar=0.08 * np.hypot(u, v) + 0.05,
        obukhov=np.where(day, -40.0, 60.0),
        zi=np.where(day, 300 + 900 * np.maximum(sun, 0), 250.0),
    )
    place = random.uniform(0.25, 0.75, (2, stacks)) * side
    high = random.random(stacks) < 1 / 3
    sources = Sources(
        x=place[0],
        y=place[1],
        height=random.choice([20.0, 45.0, 80.0, 150.0], stacks),
        rate=random.lognormal(0.0, 1.0, stacks),
        diameter=np.where(high, 3.0, 0.0),
        velocity=np.where(high, 12.0, 0.0),
        gas=np.where(high, 390.0, 0.0),
    )
    return sources, winds, Grid(0.0, 0.0, size, cells, cells)


@dataclass(frozen=True)
class Truth:
    """A city with exceeders: sources with inventory rates, true factors, wrong and true weather."""

    sources: Sources
    factor: Floats
    model: Winds
    true: Winds
    stations: Floats
    exceeders: npt.NDArray[np.intp]


def exceeders(
    seed: int,
    *,
    enterprises: int = 3000,
    stations: int = 120,
    hours: int = 72,
    true: int = 15,
    degrees: float = 8.0,
    speed: float = 0.15,
) -> Truth:
    """3,000 enterprises on 30 x 30 km, stacks of 15 to 45 m, 120 stations among them; 15 enterprises
    at 5 to 20 times their inventory, drawn in proportion to it, as a ton is as likely to be
    exceeded as any other; the others within lognormal 0.3 of theirs. In three days the
    wind goes once round. The wind of the model is off by a new random turn and factor every hour
    (standard deviations `degrees` and `speed`).
    """
    random = np.random.default_rng(seed)
    _, winds, _ = region(1, 100, hours, seed=seed)
    hour = np.arange(hours + 1)[:, None, None]
    angle = 2 * np.pi * hour / 72 + 0.4 * np.sin(hour / 3)
    strength = 3 + np.sin(hour / 5)
    winds = replace(
        winds,
        u=strength * np.cos(angle) + 0.3 * winds.u / 4,
        v=strength * np.sin(angle) + 0.3 * winds.v / 4,
    )
    place = random.uniform(10e3, 40e3, (2, enterprises))
    sources = Sources(
        x=place[0],
        y=place[1],
        height=random.choice([15.0, 25.0, 45.0], enterprises),
        rate=random.lognormal(0, 1, enterprises),
    )
    share = sources.rate / sources.rate.sum()
    who = random.choice(enterprises, true, replace=False, p=share)
    factor = random.lognormal(0, 0.3, enterprises)
    factor[who] = random.uniform(5, 20, true)
    turn = np.radians(degrees) * random.standard_normal(hours + 1)[:, None, None]
    gain = np.exp(speed * random.standard_normal(hours + 1))[:, None, None]
    c, s = gain * np.cos(turn), gain * np.sin(turn)
    real = replace(winds, u=c * winds.u - s * winds.v, v=s * winds.u + c * winds.v)
    at = np.column_stack([random.uniform(9e3, 41e3, (stations, 2)), np.full(stations, 2.0)])
    return Truth(sources, factor, winds, real, at, np.sort(who))


@dataclass(frozen=True)
class Found:
    recall: float
    least_squares: float
    coverage: float
    located: int
    visible: int
    seconds: float


def trace(truth: Truth, *, seed: int, noise: float = 0.3, memory: int = 8) -> Found:
    """Measure with the true wind, look for the exceeders with the model's; both recalls are of the
    first 30. `coverage`: share of all true rates within the 90 % intervals. `visible`: how many
    exceeders one could find at all at three standard errors, if everything else were known."""
    random = np.random.default_rng(seed + 1000)
    clock = time.perf_counter()
    inventory = floats(truth.sources.rate)
    real = tracing.matrix(truth.sources, truth.true, truth.stations, memory=memory)
    exact = real @ (inventory * truth.factor)
    measured = exact * (1 + noise * random.standard_normal(len(exact)))
    a, turned, faster = (
        tracing.matrix(truth.sources, w, truth.stations, memory=memory)
        for w in (
            truth.model, tracing.turned(truth.model, 8.0), tracing.turned(truth.model, 0.0, 1.15)
        )
    )  # fmt: skip
    answer = tracing.invert(
        a, measured, inventory, hours=truth.model.hours, noise=0.02 * float(np.mean(exact)),
        relative=noise, shifted=(turned, faster),
    )  # fmt: skip
    first = [c.source for c in answer.ranked[:30]]
    weight = 1 / (0.02 * np.mean(exact) + noise * (a @ inventory))
    # The trap, for comparison: non-negative least squares on the same matrix.
    dense = (a.multiply(inventory).multiply(weight[:, None])).tocsr()
    plain = lsq_linear(dense, measured * weight, bounds=(0, np.inf), max_iter=60, lsmr_tol="auto").x
    trap = np.argsort(-plain)[:30]
    extra = real.multiply(inventory * (truth.factor - 1)).tocsc()[:, truth.exceeders].toarray()
    signal = np.sqrt(
        np.sum((extra / (noise * np.maximum(exact, 0.05 * exact.mean()))[:, None]) ** 2, axis=0)
    )
    rate = inventory * truth.factor
    inside = (answer.low <= rate) & (rate <= answer.high)
    return Found(
        recall=float(np.isin(truth.exceeders, first).mean()),
        least_squares=float(np.isin(truth.exceeders, trap).mean()),
        coverage=float(inside.mean()),
        visible=int((signal > 3).sum()),
        located=int(np.isin(truth.exceeders, first).sum()),
        seconds=time.perf_counter() - clock,
    )
