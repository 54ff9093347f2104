"""Before and after a response: an effect that was put in is found, none is found where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from jingwei.analysis.air import response
from jingwei.analysis.air.normalise import NormaliseError

HOURS = 150 * 24
DURING = (100 * 24, 104 * 24)


def world(seed: int, cut: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Concentration = emission by hour of the day / wind, with noise; `cut` of it during the response,
    in which the wind is weak."""
    random = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    wind = np.empty(HOURS)
    wind[0] = 3.0
    for h in range(1, HOURS):
        wind[h] = 3 + 0.95 * (wind[h - 1] - 3) + 0.35 * random.standard_normal()
    wind = np.clip(wind, 0.7, None)
    wind[slice(*DURING)] = np.clip(wind[slice(*DURING)] * 0.6, 0.7, None)
    emission = 60 * (1 + 0.4 * np.sin(2 * np.pi * hour / 24))
    value = emission / wind * np.exp(0.15 * random.standard_normal(HOURS))
    value[slice(*DURING)] *= 1 - cut
    clock = np.column_stack([hour % 24, hour // 24 % 7, 200 + hour // 24])
    return value, clock, wind[:, None]


def masks() -> tuple[np.ndarray, np.ndarray]:
    during, other = np.zeros(HOURS, bool), np.zeros(HOURS, bool)
    during[slice(*DURING)] = True
    other[DURING[1] : DURING[1] + 24] = True
    return during, other


@pytest.mark.parametrize("cut", [0.3, 0.0])
def test_what_was_put_in_is_found(cut: float) -> None:
    value, clock, wind = world(1, cut)
    found = response.compare(value, clock, wind, *masks())
    assert found.low < -cut < found.high
    assert found.change == pytest.approx(-cut, abs=0.08)
    assert found.sure == (cut > 0)
    assert found.change == pytest.approx(found.measured / found.expected - 1)
    # The mere comparison with the days before would have hidden much of it.
    before = value[DURING[0] - 96 : DURING[0]].mean()
    assert found.measured > (1 - cut) * 1.2 * before
    assert found.explained > 0.6
    assert np.isfinite(found.hourly).sum() == DURING[1] - DURING[0]


def test_the_same_input_gives_the_same_answer() -> None:
    given = world(2, 0.2)
    one, two = (response.compare(*given, *masks()) for _ in range(2))
    assert (one.change, one.low, one.high) == (two.change, two.low, two.high)


def test_what_does_not_suffice_is_said() -> None:
    value, clock, wind = world(3, 0.2)
    during, other = masks()
    short = slice(DURING[0] - 40 * 24, DURING[1] + 24)
    with pytest.raises(NormaliseError, match="few"):
        response.compare(value[short], clock[short], wind[short], during[short], other[short])
    value[DURING[0] : DURING[0] + 60] = np.nan
    with pytest.raises(NormaliseError, match="gap"):
        response.compare(value, clock, wind, during, other)


def test_trailing_means() -> None:
    given = np.array([[1.0], [np.nan], [3.0], [5.0]])
    np.testing.assert_allclose(response.trailing(given, 2)[:, 0], [1.0, 1.0, 3.0, 4.0])
    assert np.isnan(response.trailing(np.full((3, 1), np.nan), 2)).all()
