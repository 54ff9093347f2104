"""The city model on JAX against the kernels and against the oracle, on whatever device JAX finds.

JAX runs in a process of its own: its threads would make every later fork of a test unsafe.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jingwei.analysis.air import accelerator, reference
from jingwei.analysis.air.field.city import region
from jingwei.analysis.air.puffs import (
    SCHEDULE,
    Fields,
    Grid,
    Sources,
    Winds,
    effective_heights,
    forward,
)
from jingwei.analysis.air.scores import scores

needed = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed (jingwei[jax])"
)
PLACES = np.array([[25e3, 25e3, 0.0], [28e3, 31e3, 0.0], [12.6e3, 36e3, 10.0], [0.0, 0.0, 0.0]])
Case = tuple[Sources, Winds, Grid]
Apart = Callable[..., Any]


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda act, *args, **about: pool.submit(act, *args, **about).result()


def city(seed: int) -> Case:
    """A random region whose puffs deposit, decay and belong to three groups."""
    sources, winds, grid = region(30, 100, 4, seed=seed)
    random = np.random.default_rng(seed)
    sources = replace(sources, group=random.integers(0, 3, 30).astype(np.int32))
    gust = random.normal(0, 0.5, (2, *winds.u.shape))
    winds = replace(
        winds, u=winds.u + gust[0], v=winds.v + gust[1], deposition=0.01, loss=1e-5,
        obukhov=winds.obukhov * random.choice([-1, 1]),
    )  # fmt: skip
    return sources, winds, grid


def computed(case: Case, *, double: bool = False, **about: Any) -> tuple[Fields, int]:
    """What JAX finds, and how many programs it has compiled for it so far."""
    sources, winds, grid = case
    asked: dict[str, Any] = {
        "places": PLACES, "group": sources.group, "groups": 3, "memory": 24, "releases": 2,
        "schedule": SCHEDULE, "mesh": True,
    }  # fmt: skip
    found = accelerator.forward(
        sources, winds, grid, engine="jax", double=double, **(asked | about)
    )
    return found, accelerator._program()._cache_size()


def in_parts(case: Case, chunk: int) -> tuple[Fields, int]:
    whole = accelerator.CHUNK
    accelerator.CHUNK = chunk
    before = accelerator._program()._cache_size()
    try:
        found, after = computed(case)
    finally:
        accelerator.CHUNK = whole
    return found, after - before


def same(ours: Fields, told: Fields, within: float) -> None:
    assert np.abs(ours.mesh - told.mesh).max() <= within * told.mesh.max()
    assert np.abs(ours.stations - told.stations).max() <= within * told.stations.max()
    b, other = ours.balance, told.balance
    for name in ("emitted", "airborne", "left", "lost", "aged"):
        mine, theirs = getattr(b, name), getattr(other, name)
        assert mine == pytest.approx(theirs, rel=within, abs=within * other.emitted), name
    assert ours.dropped == pytest.approx(told.dropped, rel=within)
    assert b.airborne + b.left + b.lost + b.aged == pytest.approx(b.emitted, rel=1e-6)


# Single precision knows a place 50 km away to 4 mm and a sum over 360 steps to a few 1e-6: 1e-4 of
# the maximum leaves room for another order of the sums. With double precision the rest is the
# kernels' own rounding, which keep their puffs in single precision from hour to hour: 1e-5.
@needed
@pytest.mark.parametrize(("double", "within"), [(False, 1e-4), (True, 1e-5)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_as_the_kernels(apart: Apart, seed: int, double: bool, within: float) -> None:
    case = city(seed)
    told = forward(*case, receptors=PLACES, threads=1)
    ours, _programs = apart(computed, case, double=double)
    assert told.balance.lost > 0
    assert told.stations.max() > 0
    same(ours, told, within)


@needed
def test_against_exact_puffs(apart: Apart) -> None:
    """The goal of puff-to-mesh: NMSE <= 0.02, FAC2 >= 0.99."""
    case = city(1)
    exact, series = reference.forward(*case, receptors=PLACES)
    ours, _programs = apart(computed, case)
    where = exact > 1e-4 * exact.max()
    result = scores(exact[where], ours.mesh[where].astype(float))
    assert result.nmse <= 0.02
    assert result.fac2 >= 0.99
    assert ours.stations.sum(axis=2) == pytest.approx(series, rel=0.02, abs=2e-3 * series.max())


@needed
def test_one_program_for_all_hours_and_any_weather(apart: Apart) -> None:
    sources, winds, grid = city(1)
    _found, before = apart(computed, (sources, winds, grid))
    other = replace(winds, u=winds.v, v=-winds.u, zi=0.9 * winds.zi, loss=0.0, temperature=270.0)
    fewer = replace(
        sources, **{k: getattr(sources, k)[:25] for k in ("x", "y", "height", "rate", "diameter",
                                                         "velocity", "gas", "group")}
    )  # fmt: skip
    _found, after = apart(computed, (fewer, other, grid))
    assert after == before


@needed
def test_many_sources_are_done_in_parts(apart: Apart) -> None:
    """Memory is that of one part, and the parts are of one size: one program for all of them."""
    case = city(2)
    whole, _programs = apart(computed, case)
    parts, compiled = apart(in_parts, case, 8)
    same(parts, whole, 1e-5)
    assert compiled == 0  # filled up to the same number as the whole


@needed
def test_another_plan(apart: Apart) -> None:
    """Puffs that leave the mesh, that grow too old, three releases an hour, two lengths of step."""
    sources, winds, _grid = city(3)
    case = (sources, winds, Grid(18e3, 18e3, 500.0, 30, 24))
    about: dict[str, Any] = {"memory": 2, "releases": 3, "schedule": (12, 4)}
    told = forward(*case, receptors=PLACES[:2], threads=1, **about)
    ours, _programs = apart(computed, case, places=PLACES[:2], **about)
    assert min(told.balance.left, told.balance.aged) > 0
    same(ours, told, 1e-4)


@needed
def test_mass_stays_on_a_wide_mesh(apart: Apart) -> None:
    sources, winds, _grid = city(1)
    grid = Grid(-50e3, -50e3, 1500.0, 100, 100)  # wide enough for every puff
    none = np.zeros((0, 3))
    ours, _programs = apart(computed, (sources, replace(winds, loss=0.0, deposition=0.0), grid), places=none)  # fmt: skip
    b = ours.balance
    assert b.lost == b.left == 0
    assert b.airborne == pytest.approx(b.emitted, rel=1e-6)
    assert ours.mesh.sum(dtype=np.float64) * grid.size**2 == pytest.approx(ours.dropped, rel=1e-6)


def heights(case: Case) -> Any:
    import jax

    sources, winds, _grid = case
    with jax.enable_x64(True):
        given = accelerator._given(
            sources, winds, slice(0, len(sources)), 512, np.zeros(len(sources), np.int32), np.float64, 2
        )  # fmt: skip
        weather = accelerator._weather(winds, np.float64)
        found = [
            accelerator._heights(given, f, t, weather)
            for f, t in zip(weather["flow"], weather["turbulence"], strict=True)
        ]
        return np.asarray(found)[:, : len(sources)]


@needed
def test_plumes_rise_as_high(apart: Apart) -> None:
    """Cold, warm and hot, slow and fast, day and night, above the lid and below."""
    sources, winds, grid = region(400, 100, 24)
    random = np.random.default_rng(4)
    sources = replace(
        sources, diameter=random.choice([0.0, 0.5, 3.0, 9.0], 400),
        velocity=random.choice([0.0, 1.0, 12.0, 30.0], 400),
        gas=random.choice([0.0, 280.0, 310.0, 390.0, 800.0], 400),
    )  # fmt: skip
    told = np.array([effective_heights(sources, winds, hour) for hour in range(24)])
    assert (told > sources.height).any()
    assert (told < sources.height).any()
    assert apart(heights, (sources, winds, grid)) == pytest.approx(told, rel=1e-9)


@needed
def test_the_device_is_told(apart: Apart) -> None:
    sources, winds, _grid = city(1)
    small = (sources, winds, Grid(18e3, 18e3, 500.0, 30, 24))
    about: dict[str, Any] = {
        "mesh": False, "receptors": PLACES[:2], "memory": 1, "schedule": (4,)
    }  # fmt: skip
    found = apart(forward, *small, engine="jax", **about)
    assert found.engine.startswith("jax ")
    assert found.engine.rpartition("(")[2] in ("cpu)", "gpu)")
    assert found.mesh.shape == (0, 24, 30)
    told = forward(*small, threads=1, **about)
    assert told.engine == "numba on 1 threads"
    assert found.stations == pytest.approx(told.stations, abs=1e-4 * told.stations.max())
    if found.engine.endswith("(cpu)"):
        with pytest.raises(accelerator.EngineError, match="JAX finds no GPU, only cpu"):
            apart(forward, *small, engine="jax-gpu", **about)
    else:
        assert apart(forward, *small, engine="jax-gpu", **about).engine == found.engine


def test_an_engine_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="engine 'cuda': wanted one of numba, jax, jax-gpu"):
        forward(*city(1), engine="cuda")
    monkeypatch.setitem(sys.modules, "jax", None)
    for engine in ("jax", "jax-gpu"):
        with pytest.raises(accelerator.EngineError, match=r"needs JAX: install jingwei\[jax\]"):
            forward(*city(1), engine=engine)
