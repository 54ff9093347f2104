from __future__ import annotations

import numpy as np
import pytest

from analysis.detection.conftest import HOUR, START
from jingwei.analysis.detection import Monitor
from jingwei.analysis.detection.profiles import compare, kinds, profile

HOURS = np.arange(168)


def industry(
    sizes: tuple[int, ...], seed: int, noise: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Day shifts on working days, round the clock, nights only, by number; with noise of its own."""
    rng = np.random.default_rng(seed)
    day = (HOURS % 24 >= 8) & (HOURS % 24 < 18) & (HOURS < 120)
    night = (HOURS % 24 >= 22) | (HOURS % 24 < 5)
    shapes = [np.where(day, 3.0, 0.2), np.ones(168), np.where(night, 2.5, 0.4)]
    rows, truth = [], []
    for kind, size in enumerate(sizes):
        for _ in range(size):
            row = shapes[kind] * np.exp(noise * rng.normal(size=168))
            rows.append(row / row.mean())
            truth.append(kind)
    return np.array(rows), np.array(truth)


@pytest.mark.parametrize("seed", range(3))
def test_the_number_of_kinds_is_found(seed: int) -> None:
    for sizes in ((40, 0, 0), (40, 30, 0), (40, 30, 20)):
        block, truth = industry(sizes, seed)
        found = kinds(block)
        assert found.count == sum(s > 0 for s in sizes)
        # Same groups, numbered by size.
        assert np.array_equal(found.labels, truth)


def test_who_departs_from_his_kind_is_named() -> None:
    block, _ = industry((40, 30), 7)
    block[3, 100:124] *= 2.5
    block[3] /= block[3].mean()
    found = kinds(block)
    told = compare(block, found)
    assert [i for i, s in enumerate(told) if s is not None and s.q < 0.05] == [3]
    assert told[3] is not None
    assert all(100 <= h < 124 for h, _, _ in told[3].hours)
    assert told[3].peers == 39


def test_few_of_a_kind_are_not_compared() -> None:
    block, _ = industry((3,), 1)
    assert compare(block, kinds(block)) == [None] * 3


def test_same_input_same_kinds() -> None:
    block, _ = industry((20, 20, 20), 5, 0.3)
    one, two = kinds(block), kinds(block)
    assert one.centers.tobytes() == two.centers.tobytes()
    assert one.strength == two.strength


def test_the_week_of_a_monitor() -> None:
    n = 168 * 5
    week = 1.0 + (HOURS == 30)  # Tuesday, 6 o'clock
    # 2012-01-01 was a Sunday: the series begins at hour 144 of the week.
    y = np.roll(np.tile(week, 5), -144)
    y[5] = np.nan
    shape = profile(Monitor(START, HOUR, {"NOX": y}, ["NOX"]), "NOX")
    assert shape is not None
    assert shape.mean() == pytest.approx(1.0)
    assert int(shape.argmax()) == 30
    y[np.arange(n) % 168 == 3] = np.nan
    monitor = Monitor(START, HOUR, {"NOX": y}, ["NOX"])
    assert profile(monitor, "NOX") is None
    # The hour of a weekly calibration lies between those beside it.
    filled = profile(monitor, "NOX", gaps=1)
    assert filled is not None
    hour = (3 + 144) % 168
    assert filled[hour] == pytest.approx((filled[hour - 1] + filled[(hour + 1) % 168]) / 2)
    assert int(filled.argmax()) == 30
    y[:] = np.nan
    assert profile(Monitor(START, HOUR, {"NOX": y}, ["NOX"]), "NOX", gaps=168) is None


@pytest.mark.parametrize("bad", [np.ones((1, 168)), np.full((9, 168), np.nan), np.ones(168)])
def test_what_cannot_be_grouped(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="without gaps"):
        kinds(bad)
