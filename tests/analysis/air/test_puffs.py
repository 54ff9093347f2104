"""The city model against its oracle: movement, spread, mesh, mass."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from jingwei.analysis.air import kernels, plume, reference, spread
from jingwei.analysis.air.field.city import region
from jingwei.analysis.air.puffs import (
    Grid,
    Sources,
    Winds,
    effective_heights,
    forward,
    layers,
    taps,
)
from jingwei.analysis.air.scores import scores

CITY = region(12, 100, 3)
PLACES = np.array([[25e3, 25e3, 0.0], [28e3, 31e3, 0.0], [12.6e3, 36e3, 10.0], [0.0, 0.0, 0.0]])


def steady(speed: float, hours: int = 3, obukhov: float = -50.0) -> Winds:
    one = np.ones((hours + 1, 2, 2))
    return Winds(
        x0=-1e5, y0=-1e5, size=2e5, u=speed * one, v=0 * one, ustar=0.3 * one,
        obukhov=obukhov * one, zi=800.0 * one,
    )  # fmt: skip


def single(height: float = 30.0, rate: float = 1.0) -> Sources:
    one = np.ones(1)
    return Sources(x=0 * one, y=0 * one, height=height * one, rate=rate * one)


def above(field: np.ndarray, share: float = 1e-4) -> np.ndarray:
    return field > share * field.max()


def test_mesh_against_exact_puffs() -> None:
    """Puff-to-mesh against the exact cell means of the same puffs: NMSE <= 0.02, FAC2 >= 0.99."""
    exact, series = reference.forward(*CITY, receptors=PLACES)
    found = forward(*CITY, receptors=PLACES, threads=2)
    where = above(exact)
    result = scores(exact[where], found.mesh[where].astype(float))
    assert result.nmse <= 0.02
    assert result.fac2 >= 0.99
    assert abs(result.fb) < 0.005
    # At receptors nothing is gathered: the two must agree but for the length of a step near stacks.
    ours = found.stations.sum(axis=2)
    assert ours == pytest.approx(series, rel=0.02, abs=2e-3 * series.max())


def test_steps_are_fine_enough() -> None:
    """Against puffs every minute with steps of a minute, once the first hour has filled the air."""
    sources, winds, grid = region(4, 100, 2, seed=3)
    exact, _ = reference.forward(sources, winds, grid, releases=60, schedule=(60, 60, 60, 60))
    found = forward(sources, winds, grid, threads=1)
    where = above(exact[1])
    result = scores(exact[1][where], found.mesh[1][where].astype(float))
    assert result.nmse <= 0.02
    assert result.fac2 >= 0.9  # thin edges of single plumes; see docs/validation/air.md


@pytest.mark.parametrize("obukhov", [-50.0, -5000.0, 2000.0, 100.0])
def test_the_near_field_is_the_plume(obukhov: float) -> None:
    """A steady wind: receptors see what the plume formula says of that wind. At 1 km, three steps
    from the stack, a step counts with the spread of its middle."""
    x = np.array([1000.0, 3000.0, 8000.0])
    places = np.stack([x, np.zeros(3), np.zeros(3)], axis=1)
    found = forward(
        single(1.0), steady(5.0, 2, obukhov), Grid(0, 0, 500, 30, 10), receptors=places,
        releases=60, threads=1, mesh=False,
    ).stations[-1, :, 0]  # fmt: skip
    weather = plume.Weather(speed=5.0, z_speed=20.0, obukhov=obukhov, ustar=0.3, z0=0.2, zi=800.0)
    about = {"ustar": 0.3, "obukhov": obukhov, "height": 1.0, "zi": 800.0, "speed": 5.0}
    time = x / 5.0
    sigma_y = spread.sigma_y(time, weather.sigma_v, 800.0, 1.0)
    sigma_z = spread.puff_sigma_z(time, wstar=weather.wstar, **about)
    told = plume.ground_factor(0.0, 1.0, sigma_z, 800.0) / (np.sqrt(2 * np.pi) * sigma_y * 5.0)
    for ours, theirs, most in zip(found, told, (0.06, 0.02, 0.02), strict=True):
        assert ours == pytest.approx(theirs, rel=most)
    # `relative_concentration` rides on the wind of its own growing height, puffs keep to the one given:
    # where both fill the layer, that wind is all that is between them.
    riding = plume.relative_concentration(x, 0.0, 0.0, height=1.0, weather=weather)
    wide, carried = spread.sigma_z(x, z_speed=20.0, z0=0.2, **about)
    full = (wide >= spread.FILLED * 800.0) & (sigma_z >= spread.FILLED * 800.0)
    assert full.any() == (obukhov == -50.0)
    assert found[full] / riding[full] == pytest.approx(carried[full] / 5.0, rel=0.02)


@pytest.mark.parametrize("height", [2.0, 50.0, 290.0, 299.9])
@pytest.mark.parametrize("sigma", [5.0, 50.0, 150.0, 209.0, 211.0, 360.0, 800.0])
def test_what_is_below_the_lid_stays_there(height: float, sigma: float) -> None:
    """The vertical share sums to one over the layer on both sides of its switch from images to cosines,
    which is no step; a filled layer is evenly mixed; what is above the lid has no share below."""
    zi = 300.0
    z = np.linspace(0, zi, 4001)
    share = np.array([kernels.vertical(x, height, sigma, zi) for x in z])
    assert np.trapezoid(share, z) == pytest.approx(1.0, rel=1e-5)
    assert kernels.vertical(10.0, zi + 1, sigma, zi) == 0
    for at in (0.0, 100.0, zi):
        two = [kernels.vertical(at, height, s, zi) * zi for s in (0.7 * zi, 0.7 * zi + 1e-9)]
        assert two[0] == pytest.approx(two[1], abs=1e-6)
    ground = [kernels.ground(height, s, zi) * zi for s in (0.7 * zi, 0.7 * zi + 1e-9)]
    assert ground[0] == pytest.approx(ground[1], abs=1e-6)
    # At the ground no farther from evenly mixed than the first harmonic: 2 exp(-(1.2 pi)²/2).
    assert kernels.ground(height, spread.FILLED * zi, zi) * zi == pytest.approx(1.0, abs=1.7e-3)


@pytest.mark.parametrize("height", [1.0, 60.0])
def test_far_from_the_stack_the_layer_is_filled_evenly(height: float) -> None:
    """Plume and puffs alike: what arrives across the wind is Q/(u zi), not 8.6 % more."""
    weather = plume.Weather(speed=5.0, z_speed=20.0, obukhov=-20.0, ustar=0.4, z0=0.2, zi=400.0)
    about = {"ustar": 0.4, "obukhov": -20.0, "speed": 5.0, "z_speed": 20.0, "z0": 0.2}
    sigma, carried = spread.sigma_z([40e3], height=height, zi=400.0, **about)
    y = np.linspace(-60e3, 60e3, 4001)
    across = plume.relative_concentration(40e3, y, 0.0, height=height, weather=weather)
    assert sigma[0] == pytest.approx(spread.FILLED * 400.0)
    assert np.trapezoid(across, y) * carried[0] * 400.0 == pytest.approx(1.0, abs=2e-3)
    one = np.ones((4, 2, 2))
    winds = Winds(
        x0=-1e5, y0=-1e5, size=2e5, u=5 * one, v=0 * one, ustar=0.4 * one, obukhov=-20.0 * one,
        zi=400.0 * one, sigma_v_floor=0.1, sigma_v=0.1 * one,
    )  # fmt: skip
    places = np.column_stack([np.full(201, 20e3), np.linspace(-2e3, 2e3, 201), np.zeros(201)])
    found = forward(
        single(height), winds, Grid(0, 0, 500, 50, 10), receptors=places, releases=12, threads=1,
        mesh=False,
    ).stations[-1, :, 0]  # fmt: skip
    assert np.trapezoid(found, places[:, 1]) * 5 * 400 == pytest.approx(1.0, abs=0.01)


def test_mass_is_conserved() -> None:
    sources, winds, _ = CITY
    grid = Grid(-100e3, -100e3, 1000.0, 250, 250)  # wide enough for every puff
    found = forward(sources, replace(winds, deposition=0.01, loss=1e-5), grid, threads=2)
    b = found.balance
    assert b.lost > 0
    assert b.left == 0
    assert b.airborne + b.lost == pytest.approx(b.emitted, rel=1e-6)
    on_mesh = found.mesh.sum(dtype=np.float64) * grid.size**2
    assert on_mesh == pytest.approx(found.dropped, rel=1e-6)


def test_mass_that_leaves_or_ages_is_booked() -> None:
    found = forward(single(), steady(9.0, 6), Grid(0, -5e3, 500, 20, 20), memory=2, threads=1)
    b = found.balance
    assert b.left > 0
    assert b.airborne + b.left + b.aged == pytest.approx(b.emitted, rel=1e-6)


def test_deposition_and_loss_lower_the_field() -> None:
    grid = Grid(0, -10e3, 500, 80, 40)
    plain = forward(single(), steady(3.0), grid, threads=1)
    lossy = forward(single(), replace(steady(3.0), loss=1e-4), grid, threads=1)
    age = np.arange(80) * 500 / 3.0
    ratio = lossy.mesh[-1].sum(axis=0)[4:40] / plain.mesh[-1].sum(axis=0)[4:40]
    assert ratio == pytest.approx(np.exp(-1e-4 * age[4:40]), rel=0.05)


def test_calm_air_keeps_its_puffs() -> None:
    """No wind: the field spreads round the stack, symmetric and finite."""
    found = forward(single(), steady(0.0, 6), Grid(-10e3, -10e3, 500, 41, 41), threads=1)
    last = found.mesh[-1]
    assert np.unravel_index(last.argmax(), last.shape) == (20, 20)
    assert last == pytest.approx(last[::-1, ::-1], rel=1e-3, abs=1e-9)
    assert np.isfinite(last).all()


def test_above_the_lid_nothing_reaches_the_ground() -> None:
    found = forward(single(900.0), steady(4.0), Grid(0, -10e3, 500, 60, 40), threads=1)
    assert found.mesh.max() == 0
    winds = steady(4.0)
    winds = replace(winds, zi=np.linspace(800, 1600, 4)[:, None, None] * np.ones((1, 2, 2)))
    grown = forward(single(900.0), winds, Grid(0, -10e3, 500, 60, 40), threads=1)
    assert grown.mesh[-1].max() > 0  # the growing layer takes it in


def test_contributions_add_up() -> None:
    sources, winds, grid = CITY
    grouped = replace(sources, group=np.arange(12, dtype=np.int32) % 4)
    parts = forward(grouped, winds, grid, receptors=PLACES, mesh=False, threads=2).stations
    whole = forward(sources, winds, grid, receptors=PLACES, mesh=False, threads=1).stations
    assert parts.shape == (3, 4, 4)
    assert parts.sum(axis=2) == pytest.approx(whole[..., 0], rel=1e-9)
    alone = replace(sources, rate=np.where(grouped.group == 2, sources.rate, 0.0))
    one = forward(alone, winds, grid, receptors=PLACES, mesh=False, threads=1).stations
    assert parts[..., 2] == pytest.approx(one[..., 0], rel=1e-9)


def test_threads_do_not_change_the_result() -> None:
    one, three = (forward(*CITY, threads=n).mesh for n in (1, 3))
    assert one == pytest.approx(three, rel=1e-4, abs=float(1e-4 * one.max()))


TWENTIETH = """
import json, re
from pathlib import Path

import numpy as np

from jingwei.analysis.air.disperse import hours
from jingwei.analysis.air.field.city import region
from jingwei.analysis.air.puffs import Sources, forward

sources, winds, grid = region(24_000, 1000, 6)
whole = forward(sources, winds, grid, threads=2)
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
sums = [float(f.sum(dtype=np.float64)) * grid.size**2 for f in whole.mesh]
# Every second stack, and the others: each half lies all over the region. One hour is enough.
rest = whole.mesh[:1].copy()
for first in (0, 1):
    every = {k: None if v is None else v[..., first::2] for k, v in vars(sources).items()}
    rest -= forward(Sources(**every), hours(winds, 0, 1), grid, threads=2).mesh
b = whole.balance
print(json.dumps({
    "stacks": len(sources), "shape": whole.mesh.shape, "sums": sums, "dropped": whole.dropped,
    "emitted": b.emitted, "booked": b.airborne + b.left + b.lost + b.aged,
    "released": float(sum(sources.at(h).sum() for h in range(winds.hours)) * 3600),
    "least": float(whole.mesh.min()), "most": float(whole.mesh[:1].max()),
    "apart": float(np.abs(rest).max()), "peak_gib": int(peak[1]) / 2**20,
}))
"""


def test_a_twentieth_of_the_bench() -> None:
    """24,000 of the 60,000 stacks on all 1,000 x 1,000 cells, 6 of the 48 hours: 2/5 of the stacks times
    1/8 of the hours, and every length of step. In a process of its own, the peak of which is its own."""
    run = [sys.executable, "-c", TWENTIETH]
    told = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    assert told["stacks"] * told["shape"][0] * 20 == 60_000 * 48
    assert told["shape"][1:] == [1000, 1000]
    assert told["emitted"] == pytest.approx(told["released"], rel=1e-5)
    assert told["booked"] == pytest.approx(told["emitted"], rel=1e-6)
    assert sum(told["sums"]) == pytest.approx(told["dropped"], rel=1e-6)
    assert min(told["sums"]) > 0
    assert told["least"] >= 0
    assert told["apart"] <= 1e-5 * told["most"]
    # The whole adds 42 hours of the field and the puffs of 24 hours of 60,000 stacks, 7 floats each.
    whole = told["peak_gib"] + (42 * 1000 * 1000 * 4 + 60_000 * 24 * 2 * 7 * 4) / 2**30
    assert whole <= 4
    assert told["peak_gib"] <= 1


@pytest.mark.parametrize("sigma", [0.0, 100.0, 300.0, 400.0, 2000.0, 40000.0])
def test_taps_have_the_right_moments(sigma: float) -> None:
    half = taps(sigma, 500.0)
    k = np.arange(len(half))
    assert half[0] + 2 * half[1:].sum() == pytest.approx(1, abs=1e-12)
    assert 2 * (half * k**2).sum() * 500**2 == pytest.approx(sigma**2, rel=3e-3)


def test_layers_reach_far_enough() -> None:
    found = layers(500.0, 50e3)
    assert found[0] == 0
    assert found[-1] >= 50e3
    assert found[2:] / found[1:-1] == pytest.approx(1.35)


def test_line_is_the_integral_of_points() -> None:
    at = (np.arange(2000) + 0.5) / 2000 - 0.5
    points = np.exp(-0.5 * ((300 - 800 * at) ** 2 + (50 - 100 * at) ** 2) / 120**2)
    told = points.mean() / (2 * np.pi * 120**2)
    assert kernels.line(300.0, 50.0, 800.0, 100.0, 120.0) == pytest.approx(told, rel=1e-4)
    assert kernels.line(1e5, 0.0, 800.0, 100.0, 120.0) == 0


@pytest.mark.parametrize("s", [5.0, 100.0, 400.0, 900.0])
@pytest.mark.parametrize("h", [10.0, 300.0, 790.0, 900.0])
def test_kernel_and_plume_agree_on_the_vertical(h: float, s: float) -> None:
    told = float(plume.ground_factor(0.0, h, s, 800.0))
    assert kernels.ground(h, s, 800.0) == pytest.approx(told, rel=1e-3, abs=1e-9)
    told = float(plume.ground_factor(25.0, h, s, 800.0))
    assert kernels.vertical(25.0, h, s, 800.0) == pytest.approx(told, rel=1e-9, abs=1e-12)


def test_heights() -> None:
    three = np.full(3, 50.0)
    sources = Sources(
        x=np.zeros(3), y=np.zeros(3), height=three, rate=np.ones(3),
        diameter=np.array([0.0, 3.0, 3.0]), velocity=np.array([0.0, 15.0, 15.0]),
        gas=np.array([0.0, 400.0, 700.0]),
    )  # fmt: skip
    low, warm, hot = effective_heights(sources, steady(4.0), 0)
    assert low == 50
    assert 100 < warm < hot <= 800
    plain = replace(sources, diameter=None)
    assert (effective_heights(plain, steady(4.0), 0) == 50).all()


def test_bad_input_is_named() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="height of source 0 is missing"):
        Sources(x=one, y=one, height=one * np.nan, rate=one)
    with pytest.raises(ValueError, match="negative"):
        Sources(x=one, y=one, height=one, rate=-one)
    with pytest.raises(ValueError, match="wanted"):
        Sources(x=one, y=np.ones(2), height=one, rate=one)
    winds = steady(3.0)
    gap = winds.u.copy()
    gap[2] = np.nan
    with pytest.raises(ValueError, match="u is missing in hour 2"):
        replace(winds, u=gap)
    with pytest.raises(ValueError, match="hours \\+ 1"):
        replace(winds, u=winds.u[:1])
    with pytest.raises(ValueError, match="receptors: a coordinate"):
        forward(single(), winds, Grid(0, 0, 500, 9, 9), receptors=[[0.0, np.nan, 0.0]])
