"""HJ 663-2013: valid days and years, percentiles, cities; order does not matter."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import evaluation as ev

NAN = float("nan")


def test_examples_of_the_docstrings():
    assert doctest.testmod(ev).failed == 0


def test_a_day_needs_twenty_hours():
    hours = np.full((2, 24), 30.0)
    hours[0, :4] = hours[1, :5] = NAN
    assert ev.daily_mean(hours)[0] == 30.0
    assert np.isnan(ev.daily_mean(hours)[1])


def test_ozone_is_the_largest_of_the_days_eight_hour_means():
    hours = np.full((1, 24), 50.0)
    hours[0, 10:18] = 130.0
    assert ev.daily_ozone(hours)[0] == 130.0
    # 13 of 17 eight-hour means are too few, unless the largest is above the limit
    hours[0, :5] = NAN
    assert (ev.daily_ozone(hours)[0], np.isnan(ev.daily_ozone(hours)).any()) == (130.0, False)
    hours[0, :6] = NAN
    assert np.isnan(ev.daily_ozone(hours)[0])
    hours[0, 10:18] = 161.0
    assert ev.daily_ozone(hours)[0] == 161.0
    assert np.isnan(ev.daily_ozone(np.full((1, 24), NAN))[0])


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.sampled_from([90, 95, 98]))
def test_percentiles_are_the_linear_ones(values, p):
    assert ev.percentile(values, p) == pytest.approx(float(np.percentile(values, p)), rel=1e-12)


def test_a_percentile_by_hand():
    # n = 365, p = 98: k = 1 + 364 * 0.98 = 357.72
    assert ev.percentile(np.arange(1.0, 366.0), 98) == pytest.approx(357.72)
    assert math.isnan(ev.percentile([NAN], 95))


@pytest.mark.parametrize(
    ("year", "gone", "valid"),
    [
        (2025, 41, True),  # 324 left, spread over the months
        (2025, 42, False),
        (2024, 42, True),
    ],
)
def test_a_year_needs_324_days(year, gone, valid):
    days = np.full(366 if year == 2024 else 365, 10.0)
    # from the 31st, 30th … of each month on, at most 4 a month
    first = np.cumsum([0, 31, 29 if year == 2024 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    spread = [
        f + i
        for i in range(4)
        for k, f in enumerate(first)
        if not (k in (1, 3, 5, 8, 10) and i == 3)
    ]
    days[spread[:gone]] = NAN
    assert ev.valid_year(year, days)[0] == valid


def test_each_month_needs_its_days():
    days = np.full(365, 10.0)
    days[31:34] = NAN  # February with 25
    assert ev.valid_year(2025, days)[0]
    days[34] = NAN
    assert ev.valid_year(2025, days) == (False, (31, 24, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
    days = np.full(365, 10.0)
    days[:5] = NAN  # January with 26
    assert not ev.valid_year(2025, days)[0]
    with pytest.raises(ValueError, match="365 days"):
        ev.valid_year(2025, [1.0])


def test_a_city_needs_three_quarters_of_its_stations():
    stations = np.array([[10.0, 10.0], [20.0, 20.0], [30.0, NAN], [NAN, NAN]])
    got = ev.city(stations)
    assert got[0] == 20.0
    assert np.isnan(got[1])


@given(
    st.lists(
        st.lists(st.floats(0, 500) | st.just(NAN), min_size=3, max_size=3), min_size=1, max_size=9
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_stations_does_not_matter(rows, random):
    mixed = rows[:]
    random.shuffle(mixed)
    np.testing.assert_array_equal(ev.city(rows), ev.city(mixed))


@pytest.mark.parametrize(
    ("item", "value", "wanted"),
    [
        ("pm25", 34.5, 34.0),
        ("pm25", 35.5, 36.0),
        ("pm25", 72.49999999999999, 72.0),
        ("co", 0.25, 0.2),
        ("co", 0.35, 0.4),
    ],
)
def test_half_to_even(item, value, wanted):
    assert ev.rounded(item, value) == wanted


def test_a_year_by_hand():
    days = np.full(365, 30.0)
    days[::10] = 80.0  # 37 days: 10 % of the year, so the 95th percentile is 80
    got = ev.evaluate(2025, "pm25", days)
    assert (got.mean, got.percentile, got.over) == (35.0, 80.0, 37)
    assert got.reached is False  # the mean is kept, the percentile is not
    assert got.single == 1.0
    assert ev.evaluate(2025, "pm25", np.full(365, 35.4)).reached is True  # rounded before compared
    days[:60] = NAN
    assert ev.evaluate(2025, "pm25", days).reached is None
    assert ev.evaluate(2025, "co", np.full(365, 2.0)).single == 0.5


def test_the_new_text_is_not_guessed():
    with pytest.raises(ValueError, match="HJ 663-2026"):
        ev.evaluate(2026, "pm25", np.full(365, 1.0))
    with pytest.raises(ValueError, match="item"):
        ev.evaluate(2025, "pm1", np.full(365, 1.0))


def test_the_composite_index_wants_all_six():
    at = {"so2": 6, "no2": 20, "pm10": 35, "pm25": 35, "co": 1, "o3_8h": 80}
    made = {k: ev.evaluate(2025, k, np.full(365, float(x))) for k, x in at.items()}
    assert ev.composite(made) == pytest.approx(0.1 + 0.5 + 0.5 + 1 + 0.25 + 0.5)
    del made["co"]
    assert math.isnan(ev.composite(made))
