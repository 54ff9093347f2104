"""Quick looks and statistics, against published numbers and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from jingwei.analysis.air import receptor, statistics


def blown(n: int = 4000, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A source in the north-east that is smelt at 3 m/s and more."""
    random = np.random.default_rng(seed)
    direction = random.uniform(0, 360, n)
    speed = random.gamma(3, 1, n)
    off = (direction - 45 + 180) % 360 - 180
    value = 10 + 40 * np.exp(-((off / 20) ** 2)) * (speed > 3) + random.gamma(1, 1, n)
    return value, direction, speed


def test_sectors_point_at_the_source() -> None:
    value, direction, speed = blown()
    found = receptor.sectors(value, direction, speed, quantile=0.95)
    assert found.centre[np.nanargmax(found.mean)] == 45
    assert found.centre[np.nanargmax(found.cpf)] == 45
    assert found.hours.sum() + found.calm == len(value)
    # 350° and 10° belong to the sector around north.
    north = receptor.sectors([1.0, 2.0, 9.0], [350.0, 10.0, 90.0], [2.0, 2.0, 2.0])
    assert (north.hours[0], north.mean[0]) == (2, 1.5)
    assert north.hours[4] == 1


def test_calm_is_in_no_sector_and_missing_is_left_out() -> None:
    found = receptor.sectors([1.0, 2.0, np.nan], [0.0, 0.0, 0.0], [0.1, 3.0, 3.0])
    assert (found.calm, found.hours.sum(), found.mean[0]) == (1, 1, 2.0)
    with pytest.raises(ValueError, match="no hour has both"):
        receptor.sectors([np.nan], [1.0], [1.0])
    with pytest.raises(ValueError, match="rows of one length"):
        receptor.sectors([1.0, 2.0], [1.0], [1.0])


def test_polar_plot_peaks_where_the_source_is() -> None:
    value, direction, speed = blown()
    found = receptor.polar(value, direction, speed)
    j, i = np.unravel_index(np.nanargmax(found.value), found.value.shape)
    x, y = found.centre[i], found.centre[j]
    assert np.degrees(np.arctan2(x, y)) == pytest.approx(45, abs=15)
    assert np.hypot(x, y) > 3
    show = np.isfinite(found.value)
    assert (found.low[show] <= found.value[show]).all()
    assert (found.value[show] <= found.high[show]).all()
    # Away from the source it is the level of everywhere else.
    away = found.value[np.abs(found.centre + 3).argmin(), np.abs(found.centre + 3).argmin()]
    assert away == pytest.approx(11, abs=2)
    chance = receptor.polar(value, direction, speed, above=30.0)
    assert 0 <= np.nanmin(chance.value) <= np.nanmax(chance.value) <= 1
    with pytest.raises(ValueError, match="30 kinds"):
        receptor.polar([1.0, 2.0], [10.0, 20.0], [1.0, 2.0])


def test_potential_sources_by_hand() -> None:
    tracks = np.array([[[500.0, 500.0], [1500.0, 500.0]], [[500.0, 500.0], [500.0, 1500.0]]])
    found = receptor.potential_sources(tracks, [10.0, 2.0], size=1000.0, quantile=0.75, weigh=False)
    np.testing.assert_array_equal(found.passes, [[2, 1], [1, 0]])
    np.testing.assert_array_equal(found.pscf, [[0.5, 1.0], [0.0, np.nan]])
    np.testing.assert_array_equal(found.cwt, [[6.0, 10.0], [2.0, np.nan]])
    assert (found.x.tolist(), found.y.tolist()) == ([500.0, 1500.0], [500.0, 1500.0])
    weighed = receptor.potential_sources(tracks, [10.0, 2.0], size=1000.0)
    assert weighed.pscf[0, 1] == pytest.approx(0.17)
    assert weighed.cwt[0, 0] == pytest.approx(6.0 * 0.42)
    with pytest.raises(ValueError, match="no trajectory"):
        receptor.potential_sources(tracks, [np.nan, np.nan], size=1000.0)


# Statistics -----------------------------------------------------------------------------------


def test_trend_of_sens_own_example() -> None:
    """Sen (1968), as the tests of scipy cite it: slope 4, interval at 93 % 3.71 to 4.38."""
    t, y = [1, 2, 3, 4, 10, 12, 18], [9, 15, 19, 20, 45, 55, 78]
    found = statistics.theil_sen(t, y, level=0.93)
    assert (found.slope, found.intercept) == (4.0, 6.0)
    assert (found.low, found.high) == pytest.approx((3.71, 4.38), abs=0.005)
    assert found.p < 0.01


def test_trend_is_that_of_scipy() -> None:
    random = np.random.default_rng(1)
    t = np.arange(60.0)
    y = 0.3 * t + random.standard_t(2, 60)
    y[7] = np.nan
    found = statistics.theil_sen(t, y)
    known = np.isfinite(y)
    peer = theilslopes(y[known], t[known])
    assert (found.slope, found.low, found.high) == pytest.approx(
        (peer.slope, peer.low_slope, peer.high_slope)
    )
    blocks = statistics.theil_sen(t, y, block=6, draws=200)
    assert blocks.low < found.slope < blocks.high
    with pytest.raises(ValueError, match="too few"):
        statistics.theil_sen([1, 2, 3], [1, 2, 3])


def test_season_goes_and_trend_stays() -> None:
    t = np.arange(72)
    y = 50 + 0.2 * t + 10 * np.cos(2 * np.pi * t / 12)
    found = statistics.deseasonalise(y)
    assert found == pytest.approx(50 + 0.2 * t, abs=1e-9)
    assert statistics.theil_sen(t, found).slope == pytest.approx(0.2)
    holes = y.copy()
    holes[[3, 20, 41]] = np.nan
    again = statistics.deseasonalise(holes)
    assert np.isnan(again[[3, 20, 41]]).all()
    assert again[np.isfinite(again)] == pytest.approx((50 + 0.2 * t)[np.isfinite(again)], abs=1.5)
    with pytest.raises(ValueError, match="two periods"):
        statistics.deseasonalise(y[:20])


def test_taylors_identity() -> None:
    """Taylor (2001), equation 2."""
    random = np.random.default_rng(2)
    o = random.gamma(2, 10, 500)
    p = 0.7 * o + random.normal(3, 5, 500)
    found = statistics.taylor(o, p)
    square = found.model**2 + found.measured**2
    square -= 2 * found.model * found.measured * found.correlation
    assert found.centred_rms**2 == pytest.approx(square)
    assert found.bias == pytest.approx(p.mean() - o.mean())
    assert statistics.taylor(o, o + 5).centred_rms == pytest.approx(0, abs=1e-12)
    # By hand: deviations -2 -1 0 1 2 and -1 -2 1 0 2, their products 8, squared differences 4.
    told = statistics.taylor([1, 2, 3, 4, 5, np.nan], [3, 2, 5, 4, 6, 7])
    assert (told.pairs, told.bias) == (5, 1)
    assert (told.measured, told.model) == pytest.approx((np.sqrt(2), np.sqrt(2)))
    assert told.correlation == pytest.approx(0.8)
    assert told.centred_rms == pytest.approx(np.sqrt(0.8))
    with pytest.raises(ValueError, match="pairs that differ"):
        statistics.taylor([1, 1], [2, 3])


def test_course_of_the_day() -> None:
    hour = np.tile(np.arange(24), 50)
    value = hour + np.random.default_rng(3).standard_normal(1200)
    value[hour == 5] = np.nan
    found = statistics.course(value, hour, 24)
    assert found.count[4] == 50
    assert found.count[5] == 0
    assert np.isnan(found.mean[5])
    others = np.arange(24) != 5
    assert found.mean[others] == pytest.approx(np.arange(24)[others], abs=0.6)
    inside = (found.low <= np.arange(24)) & (np.arange(24) <= found.high)
    assert inside[others].mean() > 0.8
    with pytest.raises(ValueError, match="0…23"):
        statistics.course([1.0], [24], 24)


def test_averages_want_enough_values() -> None:
    value = np.array([1.0, 3.0, np.nan, 10.0, np.nan, np.nan])
    found = statistics.averages(value, [7, 7, 7, 8, 8, 8], 2)
    assert found.period.tolist() == [7, 8]
    assert found.count.tolist() == [2, 1]
    np.testing.assert_array_equal(found.mean, [2.0, np.nan])
    # Each period may want its own number, and one of nothing has no mean.
    assert statistics.averages(value, [7, 7, 7, 8, 8, 8], [2, 2, 2, 1, 1, 1]).mean[1] == 10
    assert np.isnan(statistics.averages([np.nan], [0], 0).mean[0])
    with pytest.raises(ValueError, match="fit together"):
        statistics.averages([1.0], [1, 2], 1)


def test_roses_by_hand() -> None:
    found = receptor.rose(
        [1.0, 3.0, 5.0, 2.0, np.nan, 4.0],
        [350.0, 10.0, 90.0, np.nan, 90.0, np.nan],
        [2.0, 2.0, 2.0, 0.3, 2.0, 2.0],
        [0.0, 2.0, 4.0],
    )
    assert found.hours[:, 0].tolist() == [1, 1, 0]  # 350° and 10° are north
    assert found.hours[:, 4].tolist() == [0, 0, 1]
    # A calm hour needs no direction; the last hour has a value and no direction.
    assert (found.calm, found.missing, found.total) == (1, 1, 4)
    with pytest.raises(ValueError, match="below the first edge"):
        receptor.rose([-1.0], [0.0], [2.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="ascend"):
        receptor.rose([1.0], [0.0], [2.0], [1.0, 1.0])


@given(
    st.lists(st.tuples(st.floats(0, 360), st.floats(0, 20)), min_size=1, max_size=50),
    st.sampled_from([8, 12, 16, 36]),
)
def test_a_rose_loses_no_hour(rows: list[tuple[float, float]], count: int) -> None:
    direction, speed = np.array(rows).T
    found = receptor.rose(speed, direction, speed, [0.0, 1.0, 5.0], count=count)
    assert found.total == len(rows)
    assert found.calm == (speed < receptor.CALM).sum()
    both = receptor.sectors(speed, direction, speed, count=count)
    assert found.hours.sum(axis=0).tolist() == both.hours.tolist()


def test_sectors_fit_rounded_directions() -> None:
    assert receptor.fitting([10.0, 350.0, 40.0]) == 12
    assert receptor.fitting([10.0, 350.0, 40.0], 36) == 36
    assert receptor.fitting([22.5, 45.0]) == 16
    assert receptor.fitting([]) == 16


def test_season_is_that_of_the_classical_decomposition() -> None:
    """Data and seasonal figures as the tests of statsmodels print them (`seasonal_decompose`)."""
    data = [-50, 175, 149, 214, 247, 237, 225, 329, 729, 809, 530, 489, 540, 457, 195, 176,
            337, 239, 128, 102, 232, 429, 3, 98, 43, -141, -77, -13, 125, 361, -45, 184]  # fmt: skip
    found = np.array(data) - statistics.deseasonalise(data, 4)
    np.testing.assert_allclose(found, np.tile([62.46, 86.17, -88.38, -60.25], 8), atol=0.005)


def test_p_by_blocks_says_what_is_no_trend() -> None:
    random = np.random.default_rng(7)
    t = np.arange(60.0)
    noise = random.normal(0, 5, 60)
    none = statistics.theil_sen(t, noise, block=4)
    assert none.low < 0 < none.high
    assert none.p > 0.05
    clear = statistics.theil_sen(t, 0.5 * t + noise, block=4)
    assert clear.p == pytest.approx(0.001)
    assert clear.low < 0.5 < clear.high
