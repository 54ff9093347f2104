"""Boundary layer, spread, rise and loss: limits, consistency, worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.air import boundary, loss, rise, spread

lengths = st.one_of(st.floats(-500, -2), st.floats(2, 500))


def test_wind_is_a_logarithm_in_neutral_air() -> None:
    found = boundary.wind([2.0, 10.0, 50.0], 4.0, 10.0, 1e7, 0.1)
    assert found == pytest.approx(4 * np.log([20, 100, 500]) / np.log(100), rel=1e-5)


@given(obukhov=lengths, z0=st.floats(0.001, 1.0), speed=st.floats(0.5, 15))
def test_wind_profile(obukhov: float, z0: float, speed: float) -> None:
    assert boundary.wind(10.0, speed, 10.0, obukhov, z0) == pytest.approx(speed)
    profile = boundary.wind(np.linspace(0, 100, 60), speed, 10.0, obukhov, z0)
    assert profile[0] == 0
    assert (np.diff(profile) > 0).all()
    half = boundary.wind(3.5 * z0, speed, 10.0, obukhov, z0)
    assert half == pytest.approx(boundary.wind(7 * z0, speed, 10.0, obukhov, z0) / 2)


def test_profile_has_the_gradient_of_similarity() -> None:
    """k z/u* du/dz is (1-16 z/L)^(-1/4) in unstable air (Businger-Dyer)."""
    obukhov, z0 = -30.0, 0.05
    ustar = float(boundary.friction_velocity(5.0, 10.0, obukhov, z0))
    z = np.array([5.0, 10.0, 40.0])
    du = boundary.wind(z * 1.0005, 5.0, 10.0, obukhov, z0) - boundary.wind(
        z * 0.9995, 5.0, 10.0, obukhov, z0
    )
    phi = 0.4 * z / ustar * du / (0.001 * z)
    assert phi == pytest.approx((1 - 16 * z / obukhov) ** -0.25, rel=1e-3)


def test_obukhov_length_by_hand() -> None:
    # 1.2 * 1004 * 293 * 0.4³ / (0.4 * 9.81 * 150) = 38.4
    assert boundary.obukhov_length(0.4, 150.0) == pytest.approx(-38.384, abs=0.01)
    assert boundary.obukhov_length(0.2, -20.0) == pytest.approx(35.985, abs=0.01)
    assert boundary.convective_velocity(0.4, -38.384, 1000.0) == pytest.approx(1.609, abs=0.01)
    assert boundary.convective_velocity(0.4, 40.0, 1000.0) == 0


def test_stable_scales_solve_their_equations() -> None:
    ustar, length = boundary.stable_scales(np.array([4.0, 8.0]), 10.0, 0.1, 0.0)
    # u* = k (u - ...) : the profile u = u*/k (ln z/z0 + 5 z/L) returns the wind.
    assert ustar / 0.4 * (np.log(100) + 5 * 10 / length) == pytest.approx([4.0, 8.0], rel=1e-6)
    weak, _ = boundary.stable_scales(0.3, 10.0, 0.1, 0.0)
    assert 0.02 <= weak < ustar[0]


def test_unstable_scales_solve_their_equations() -> None:
    ustar, length = boundary.unstable_scales(3.0, 10.0, 0.1, 200.0)
    assert length == pytest.approx(float(boundary.obukhov_length(ustar, 200.0)), rel=1e-4)
    assert ustar == pytest.approx(float(boundary.friction_velocity(3.0, 10.0, length, 0.1)))


def test_heat_flux_follows_the_sun() -> None:
    noon = float(boundary.heat_flux(60.0, 0.0, 298.0))
    assert 150 < noon < 300
    assert boundary.heat_flux(60.0, 1.0, 298.0) < noon
    assert boundary.heat_flux(0.0, 0.0, 283.0) < 0


def test_sigma_y() -> None:
    """Grows like sv t at first, like t^0.7 at last, more slowly for a release near the ground."""
    assert spread.sigma_y(0.1, 0.5, 1000.0, 50.0) == pytest.approx(0.05, rel=1e-3)
    late = spread.sigma_y(np.array([1e6, 2e6]), 0.5, 1000.0, 0.46)
    assert late[1] / late[0] == pytest.approx(2**0.7, rel=1e-3)
    assert spread.sigma_y(300.0, 0.5, 1000.0, 0.46) < spread.sigma_y(300.0, 0.5, 1000.0, 100.0)


@given(obukhov=lengths, x=st.floats(10, 5000))
def test_surface_sigma_z_is_a_fixed_point(obukhov: float, x: float) -> None:
    about = {
        "ustar": 0.3, "obukhov": obukhov, "speed": 4.0, "z_speed": 2.0, "z0": 0.01,
        "height": 0.5, "zi": 800.0,
    }  # fmt: skip
    sigma, carried = spread.sigma_z_surface(x, **about)
    at = min(float(spread.mean_height(sigma, 0.5)), 400.0)  # of a filled layer its middle
    again = float(boundary.wind(at, 4.0, 2.0, obukhov, 0.01))
    assert carried == pytest.approx(max(again, 0.5), rel=2e-3)
    assert 0 < sigma <= spread.FILLED * 800
    further, _ = spread.sigma_z_surface(2 * x, **about)
    assert further >= sigma


def test_mean_height_of_a_release_at_the_ground_and_far_above() -> None:
    assert spread.mean_height(10.0, 0.0) == pytest.approx(10 * np.sqrt(2 / np.pi))
    assert spread.mean_height(1.0, 50.0) == pytest.approx(50.0)


def test_elevated_sigma_z_limits() -> None:
    assert spread.sigma_z_elevated(1.0, 0.5, 200.0) == pytest.approx(0.5, rel=2e-3)
    late = spread.sigma_z_elevated(1e6, 0.5, 100.0)
    assert late == pytest.approx(np.sqrt(2 * 0.25 * 100 * 1e6), rel=1e-3)
    ways = [
        spread.sigma_z(
            1000.0, ustar=0.3, obukhov=length, speed=4.0, z_speed=10.0, z0=0.1, height=60.0, zi=zi
        )[0]
        for length, zi in ((-20.0, 1500.0), (1e5, 600.0), (20.0, 300.0))
    ]
    assert ways[0] > ways[1] > ways[2] > 0


def test_short_samples_see_less_of_the_large_eddies() -> None:
    assert spread.averaging_share(1e9, 30.0) == pytest.approx(1)
    assert spread.averaging_share(1e-3, 30.0) == pytest.approx(0, abs=1e-4)
    hour = spread.lateral_turbulence(0.3, 1.8, zi=1200.0, speed=4.0)
    assert hour == pytest.approx(np.sqrt(3.6 * 0.09 + 0.35 * 1.8**2))
    assert spread.lateral_turbulence(0.3, 1.8, zi=1200.0, speed=4.0, averaging=600.0) < hour
    assert spread.lateral_turbulence(0.02, 0.0) == 0.2


@pytest.mark.parametrize(
    ("speed", "sun", "cloud", "stability"),
    [(1.5, 65, 0, "A"), (4.0, 45, 0, "B"), (4.0, 65, 0.6, "B"), (7.0, 20, 0, "D"), (2.5, -5, 0, "F"),
     (2.5, -5, 0.6, "E"), (1.0, 50, 1.0, "D"), (3.5, -5, 0.1, "E")],
)  # fmt: skip
def test_pasquill_classes_of_turner(speed: float, sun: float, cloud: float, stability: str) -> None:
    assert spread.pasquill_class(speed, sun, cloud) == stability


def test_pasquill_gifford_of_briggs() -> None:
    y, z = spread.pasquill_gifford(1000.0, "D")
    assert (float(y), float(z)) == pytest.approx((76.3, 37.9), abs=0.1)
    with pytest.raises(ValueError, match="stability class 'G'"):
        spread.pasquill_gifford(1000.0, "G")


def stack(**other: float) -> float:
    about = {"velocity": 15.0, "diameter": 4.0, "gas": 410.0, "air": 288.0, "wind": 5.0} | other
    return float(rise.plume_rise(**about))


def test_plume_rise() -> None:
    flux = float(rise.buoyancy_flux(15.0, 4.0, 410.0, 288.0))
    assert flux == pytest.approx(9.81 * 15 * 4 * 122 / 410)
    assert stack() == pytest.approx(38.71 * flux**0.6 / 5)
    assert stack(frequency=0.02) == pytest.approx(2.6 * (flux / (5 * 0.02**2)) ** (1 / 3))
    assert stack(gas=288.0) == pytest.approx(3 * 4 * 15 / 5)  # momentum alone
    assert stack(wind=0.0) == stack(wind=0.5)
    # Calm stable air bounds the rise.
    flux *= (12.0 / 4.0) ** 2
    calm = stack(wind=0.5, frequency=0.02, diameter=12.0)
    assert calm == pytest.approx(4 * flux**0.25 * 0.02**-0.75)


def test_downwash_and_penetration() -> None:
    assert rise.downwash(50.0, 2.0, 20.0, 5.0) == 50
    assert rise.downwash(50.0, 2.0, 5.0, 5.0) == pytest.approx(48.0)
    assert rise.downwash(1.0, 2.0, 0.0, 5.0) == 0
    assert rise.penetration(100.0, [200.0, 150.0, 100.0, 40.0]) == pytest.approx([0, 0, 0.5, 1])


def test_terrain() -> None:
    assert rise.terrain_height(100.0, 0.0, 5.0, 0.02) == pytest.approx(100)
    over = float(rise.terrain_height(100.0, 80.0, 50.0, 0.01))  # strong wind: half and half
    assert over == pytest.approx(60)
    assert rise.terrain_height(60.0, 100.0, 0.5, 0.03) == pytest.approx(0.0, abs=1e-9)


def test_deposition_velocity() -> None:
    dry = float(loss.deposition_velocity(0.4, -30.0, 0.05, loss.SO2_DAY))
    assert 0.003 < dry < 1 / loss.SO2_DAY
    assert loss.deposition_velocity(0.1, 20.0, 0.05, loss.SO2_NIGHT) < dry


def test_depletion_balances_what_deposits() -> None:
    x = np.linspace(1, 500, 2000)
    ground = 0.05 / (1 + x / 100)
    left = loss.depletion(x, ground, 0.01)
    gone = np.sum(0.5 * (left[1:] * ground[1:] + left[:-1] * ground[:-1]) * np.diff(x)) * 0.01
    assert left[0] - left[-1] == pytest.approx(gone, rel=1e-6)


def test_rates() -> None:
    assert np.exp(-loss.half_life(4.0) * 4 * 3600) == pytest.approx(0.5)
    assert loss.washout(0.0) == 0
    assert loss.washout(10.0) > loss.washout(1.0) > 0
