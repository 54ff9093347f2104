"""The steady plume: mass, lid, symmetry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jingwei.analysis.air import spread
from jingwei.analysis.air.plume import (
    Weather,
    convective_factor,
    ground_factor,
    relative_concentration,
)

DAY = Weather(speed=4.0, z_speed=10.0, obukhov=-30.0, ustar=0.4, z0=0.1, zi=900.0)
NIGHT = Weather(speed=3.0, z_speed=10.0, obukhov=40.0, ustar=0.2, z0=0.1)


@pytest.mark.parametrize("weather", [DAY, NIGHT])
@pytest.mark.parametrize("height", [0.5, 40.0, 150.0])
@pytest.mark.parametrize("x", [300.0, 3000.0, 30000.0])
def test_what_is_released_passes_every_distance(weather: Weather, height: float, x: float) -> None:
    """The flux through a plane across the wind is the release rate."""
    y = np.linspace(-12000, 12000, 401)
    y = y**3 / 12000**2  # fine in the middle
    z = np.linspace(0, weather.depth, 601)
    c = relative_concentration(x, y[:, None], z[None, :], height=height, weather=weather)
    _, carried = spread.sigma_z(
        x, ustar=weather.ustar, obukhov=weather.obukhov, speed=weather.speed,
        z_speed=weather.z_speed, z0=weather.z0, height=height, zi=weather.depth,
    )  # fmt: skip
    flux = np.trapezoid(np.trapezoid(c, z, axis=1), y) * float(carried)
    assert flux == pytest.approx(1.0, abs=0.03)


def test_nothing_upwind_and_the_same_on_both_sides() -> None:
    assert relative_concentration(-100.0, 0.0, 1.5, height=10.0, weather=DAY) == 0
    left, right = relative_concentration(500.0, [-40.0, 40.0], 1.5, height=10.0, weather=DAY)
    assert left == right > 0


def test_lid() -> None:
    assert ground_factor(0.0, 300.0, 100.0, 200.0) == 0  # above the lid
    assert ground_factor(0.0, 100.0, 500.0, 200.0) == pytest.approx(1 / 200)
    # Near the switch to even mixing the images agree with it.
    assert ground_factor(0.0, 100.0, 0.799 * 200, 200.0) == pytest.approx(1 / 200, rel=0.02)
    assert ground_factor(0.0, 0.0, 10.0, 1e5) == pytest.approx(2 / (np.sqrt(2 * np.pi) * 10))


@pytest.mark.parametrize("time", [30.0, 300.0, 1200.0, 40000.0])
def test_convective_plume_stays_in_the_layer(time: float) -> None:
    z = np.linspace(0, 1000, 4001)
    found = np.trapezoid(convective_factor(z, 200.0, time, 2.0, 1000.0), z)
    assert found == pytest.approx(1, abs=0.01)


def test_convective_plume_comes_down_first() -> None:
    """Most of the air sinks: the ground maximum of an elevated release passes the mixed value."""
    time = np.linspace(20, 1500, 200)
    ground = convective_factor(0.0, 200.0, time, 2.0, 1000.0) * 1000
    assert ground.max() > 1.5
    assert ground[-1] == pytest.approx(1, abs=0.25)


def test_measured_turbulence_is_used() -> None:
    wide = relative_concentration(
        500.0, 0.0, 1.5, height=1.0, weather=replace(DAY, sigma_theta=20.0)
    )
    thin = relative_concentration(
        500.0, 0.0, 1.5, height=1.0, weather=replace(DAY, sigma_theta=5.0)
    )
    assert thin > 2 * wide


def test_deposition_takes_more_with_distance() -> None:
    x = np.array([100.0, 1000.0, 10000.0])
    kept = relative_concentration(
        x, 0.0, 1.5, height=1.0, weather=NIGHT, surface=100.0
    ) / relative_concentration(x, 0.0, 1.5, height=1.0, weather=NIGHT)
    assert 1 > kept[0] > kept[1] > kept[2] > 0


@pytest.mark.parametrize("field", ["speed", "ustar", "z0"])
def test_impossible_weather_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        replace(DAY, **{field: 0.0})
    with pytest.raises(ValueError, match="Obukhov"):
        replace(DAY, obukhov=0.0)
