from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.analysis.detection.calibration import Tail, fleet, learn, peaks
from jingwei.analysis.detection.learning import count_cases


def test_peaks_lie_apart_and_come_highest_first() -> None:
    x = np.array([0.0, 5.0, 4.0, 0.0, 3.0, np.nan, 1.0])
    assert peaks(x, 2).tolist() == [5.0, 3.0]
    assert peaks(np.full(5, np.nan), 2).tolist() == []


def test_the_rate_of_an_exponential_tail_is_found() -> None:
    """Peaks of a unit exponential, 4 a month: rate(x) = 4 exp(-x); also far beyond the sample."""
    errors = []
    for seed in range(40):
        heights = np.sort(np.random.default_rng(seed).exponential(size=120))[::-1]
        tail = Tail.fit(heights, 30.0)
        assert tail is not None
        x = np.array([4.0, 6.0])
        errors.append(tail.rarity(x) - (x - np.log(4.0)))
    assert np.abs(np.median(errors, axis=0)).max() < 0.4


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=8, max_size=60), st.floats(1, 60))
def test_rarity_never_falls(heights: list[float], months: float) -> None:
    tail = Tail.fit(np.sort(np.array(heights))[::-1], months)
    assert tail is not None
    grid = np.linspace(-60, 80, 500)
    assert (np.diff(tail.rarity(grid)) >= -1e-9).all()
    assert tail.rarity(np.array([np.nan]))[0] == -np.inf


def test_too_few_peaks_calibrate_nothing() -> None:
    assert Tail.fit(np.arange(4.0), 10.0) is None


def test_fleet_list_is_benjamini_hochberg() -> None:
    """The example of Benjamini and Hochberg 1995, section 3.2: four of fifteen at q = 0.05."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
    ]  # fmt: skip
    assert fleet(p, 0.05) == [True] * 4 + [False] * 11
    assert fleet([0.9, 0.8], 0.3) == [False, False]
    assert fleet([], 0.3) == []


def test_verdicts_move_the_budget() -> None:
    shares = {"low": 1.0, "digits": 1.0, "white": 1.0}
    new = learn(shares, [("low", "fault")] * 6 + [("digits", "falsified")] * 6)
    assert new["low"] < 0.6 < 1.2 < new["digits"]
    assert sum(new.values()) == pytest.approx(3.0)
    assert learn(shares, []) == shares
    with pytest.raises(ValueError, match="verdict fraud"):
        learn(shares, [("low", "fraud")])


def test_one_case_takes_in_what_follows_within_its_reach() -> None:
    flags = np.zeros(500, dtype=bool)
    flags[[10, 20, 170, 179, 400]] = True
    assert count_cases(flags, 168) == 3
