"""The weather taken out of a trend: a year in which the wind rises and the emissions fall."""

from __future__ import annotations

import numpy as np
import pytest

from jingwei.analysis.air import normalise, statistics


def year() -> tuple[np.ndarray, ...]:
    """Emissions fall by a third; a rising wind makes the measured mean fall twice as fast."""
    random = np.random.default_rng(5)
    hour = np.arange(365 * 24)
    day = hour / 24
    speed = np.clip(random.gamma(3, 0.7, len(hour)) + 1.5 * day / 365, 0.1, None)
    warm = 10 + 10 * np.sin(2 * np.pi * day / 365) + random.normal(0, 3, len(hour))
    value = (60 - 20 * day / 365) * 2.2 / (speed + 1) + random.normal(0, 3, len(hour))
    clock = np.column_stack([hour % 24, hour // 24 % 7, hour // 24])
    return day, value, clock, np.column_stack([speed, warm])


def test_the_trend_is_that_of_the_emissions() -> None:
    day, value, clock, weather = year()
    value[100:400] = np.nan
    found = normalise.normalise(day, value, clock, weather)
    assert found.hours == 365 * 24 - 300
    assert not found.season
    assert found.explained > 0.8

    def slope(course: np.ndarray) -> float:
        """A year, as share of the mean."""
        return statistics.theil_sen(found.days / 365, course / np.nanmean(course)).slope

    true = -20 / 50
    assert abs(slope(found.normal) - true) < 0.06
    assert slope(found.measured) < true - 0.3  # what one would have believed
    assert np.isnan(found.measured[1])  # a week with a third of its hours has no mean
    again = normalise.normalise(day, value, clock, weather)
    np.testing.assert_array_equal(found.normal, again.normal)


def test_too_few_hours_are_refused() -> None:
    day, value, clock, weather = year()
    weather[normalise.LEAST - 1 :] = np.nan
    with pytest.raises(normalise.NormaliseError, match="few"):
        normalise.normalise(day, value, clock, weather)
