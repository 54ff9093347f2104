"""Intervals of what a cut saves: known cases, order and shapes."""

from __future__ import annotations

import numpy as np
import pytest

from jingwei.analysis.air import savings


def test_a_monitored_source_is_as_sure_as_the_model() -> None:
    (one,) = savings.intervals([[2.0]], ["monitor"], draws=40_000)
    # Two independent normal errors of the logarithm add up by squares.
    wide = np.hypot(savings.MODEL, savings.RATES["monitor"]) * 1.6449
    assert one.middle == pytest.approx(2.0, rel=0.02)
    assert one.low == pytest.approx(2 * np.exp(-wide), rel=0.03)
    assert one.high == pytest.approx(2 * np.exp(wide), rel=0.03)


def test_what_is_less_known_is_less_sure_and_many_are_surer_than_one() -> None:
    def width(basis: str, count: int) -> float:
        (found,) = savings.intervals([[1.0 / count] * count], [basis] * count)
        return found.high / found.low

    assert width("monitor", 1) < width("permit", 1) < width("assumed", 1)
    assert width("permit", 1) == width("inventory", 1)
    assert width("permit", 20) < width("permit", 1)
    # The error of the model is common: it does not average out.
    assert width("monitor", 200) > np.exp(2 * 1.6 * savings.MODEL)


def test_of_nitrogen_oxides_and_particles_only_a_part_arrives() -> None:
    assert savings.part("SO2") == savings.part("") == 1.0
    for name, (low, high) in savings.PARTS.items():
        assert low < savings.part(name) < high <= 1.0
        (bare,), (told,) = (
            savings.intervals([[2.0]], ["monitor"], pollutant=p, draws=40_000) for p in ("", name)
        )
        assert told.middle == pytest.approx(bare.middle, rel=0.02)
        wide = [np.log(x.high / x.low) for x in (bare, told)]
        assert np.hypot(wide[0], np.log(high / low)) == pytest.approx(wide[1], rel=0.03)


def test_a_further_source_leaves_the_others_as_they_are() -> None:
    (one,) = savings.intervals([[2.0]], ["permit"])
    (same,) = savings.intervals([[2.0, 0.0]], ["permit", "assumed"])
    (more,) = savings.intervals([[2.0, 0.1]], ["permit", "assumed"])
    assert same == one
    assert more.high > one.high


def test_rows_are_sums_and_grow_with_what_is_added() -> None:
    found = savings.intervals([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [0.0, 0.0]], ["permit"] * 2)
    assert found[2].high == pytest.approx(2 * found[0].high)
    assert found[1].low > found[0].low
    assert found[3] == savings.Interval(0.0, 0.0, 0.0)
    assert found == savings.intervals([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [0.0, 0.0]], ["permit"] * 2)  # fmt: skip
    with pytest.raises(ValueError, match="basis 'guess'"):
        savings.intervals([[1.0]], ["guess"])
    with pytest.raises(ValueError, match="none negative"):
        savings.intervals([[-1.0]], ["permit"])
