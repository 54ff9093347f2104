"""Made-up regions for benchmarks and for tests of what cannot be measured in the open."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise

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
    """What `trace` found. recall, least_squares: share of the exceeders in the first 30. Shares of true
    rates within their 90 % intervals: `coverage` of all, `listed` of the first 30, `exceeding` of all
    exceeders, `caught` of those in the first 30 (NaN without one). `probability`, `exceeds` (n,): that a
    source exceeds three times its inventory, as told and in truth. `unsettled`: of the first 30, on
    which the two chains do not agree."""

    recall: float
    least_squares: float
    coverage: float
    listed: float
    exceeding: float
    caught: float
    probability: Floats
    exceeds: npt.NDArray[np.bool_]
    unsettled: int
    located: int
    visible: int
    seconds: float


def reliability(found: list[Found]) -> list[tuple[float, float, int, float, float]]:
    """By told probability, over all cities: from, below, sources, mean of what was told, true share."""
    told = np.concatenate([f.probability for f in found])
    true = np.concatenate([f.exceeds for f in found])
    rows = []
    for low, high in pairwise(STEPS):
        these = (told >= low) & (told < high)
        if these.any():
            rows.append(
                (low, min(high, 1.0), int(these.sum()), float(told[these].mean()),
                 float(true[these].mean()))
            )  # fmt: skip
    return rows


STEPS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.01)
THRESHOLD = 3.0


def trace(truth: Truth, *, seed: int, noise: float = 0.3, memory: int = 8) -> Found:
    """Measure with the true wind, look for the exceeders with the model's; both recalls are of the
    first 30. `visible`: how many exceeders one could find at all at three standard errors, if
    everything else were known."""
    random = np.random.default_rng(seed + 1000)
    clock = time.perf_counter()
    inventory = floats(truth.sources.rate)
    real = tracing.matrix(truth.sources, truth.true, truth.stations, memory=memory)
    exact = real @ (inventory * truth.factor)
    measured = exact * (1 + noise * random.standard_normal(len(exact)))
    ways = tracing.transport(
        truth.sources, truth.model, truth.stations, degrees=8.0, speed=0.15, memory=memory
    )
    answer = tracing.invert(
        ways.mean, measured, inventory, hours=truth.model.hours,
        noise=0.02 * float(np.mean(exact)), relative=noise, members=ways.members,
        threshold=THRESHOLD,
    )  # fmt: skip
    first = [c.source for c in answer.ranked[:30]]
    # The trap, for comparison: non-negative least squares on the matrix of the wind as given.
    a = ways.members[0][1]
    weight = 1 / (0.02 * np.mean(exact) + noise * (a @ inventory))
    dense = (a.multiply(inventory).multiply(weight[:, None])).tocsr()
    plain = lsq_linear(dense, measured * weight, bounds=(0, np.inf), max_iter=60, lsmr_tol="auto").x
    trap = np.argsort(-plain)[:30]
    extra = real.multiply(inventory * (truth.factor - 1)).tocsc()[:, truth.exceeders].toarray()
    signal = np.sqrt(
        np.sum((extra / (noise * np.maximum(exact, 0.05 * exact.mean()))[:, None]) ** 2, axis=0)
    )
    rate = inventory * truth.factor
    inside = (answer.low <= rate) & (rate <= answer.high)
    caught = np.intersect1d(truth.exceeders, first)
    return Found(
        recall=len(caught) / len(truth.exceeders),
        least_squares=float(np.isin(truth.exceeders, trap).mean()),
        coverage=float(inside.mean()),
        listed=float(inside[first].mean()),
        exceeding=float(inside[truth.exceeders].mean()),
        caught=float(inside[caught].mean()) if len(caught) else float("nan"),
        probability=answer.probability,
        exceeds=truth.factor > THRESHOLD,
        unsettled=sum(not c.settled for c in answer.ranked[:30]),
        visible=int((signal > 3).sum()),
        located=len(caught),
        seconds=time.perf_counter() - clock,
    )
