"""Persistent hot cells: found where they are, not where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from jingwei.analysis.air import hotgrids


def sky(seed: int, hot: float = 0.0, days: int = 60, memory: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    field = random.standard_normal((days, 20, 24))
    for n in range(1, days):
        field[n] = memory * field[n - 1] + np.sqrt(1 - memory**2) * field[n]
    field = 5 + 2 * random.standard_normal((days, 1, 1)) + field
    field[:, 4:6, 7:9] += hot
    field[random.random(field.shape) < 0.4] = np.nan  # cloud
    return np.asarray(field)


def test_hot_cells_are_found_and_form_one_group() -> None:
    found = hotgrids.persistent(sky(1, hot=1.5))
    assert found.hot[4:6, 7:9].all()
    assert found.hot.sum() <= 6
    assert len(set(found.groups[4:6, 7:9].ravel())) == 1
    assert found.strength[4:6, 7:9].mean() > 1
    assert found.p[4, 7] < 1e-4
    assert (found.high <= found.seen).all()


@pytest.mark.parametrize(("memory", "most"), [(0.0, 0.1), (0.7, 0.2)])
def test_chance_alone_is_hardly_ever_hot(memory: float, most: float) -> None:
    skies = [hotgrids.persistent(sky(s, memory=memory)).hot.any() for s in range(30)]
    assert np.mean(skies) <= most


def test_memory_makes_it_harder() -> None:
    days = sky(2, hot=1.0)
    free = hotgrids.persistent(days, independent=1.0)
    held = hotgrids.persistent(days, independent=0.25)
    assert held.p[4, 7] > free.p[4, 7]
    assert held.hot.sum() <= free.hot.sum()


def test_few_days_are_never_hot() -> None:
    days = sky(3, hot=9.0)
    days[5:, 4:6, 7:9] = np.nan
    assert not hotgrids.persistent(days).hot[4:6, 7:9].any()
    with pytest.raises(ValueError, match="no cell was seen on 10 days"):
        hotgrids.persistent(days[:5])
    with pytest.raises(ValueError, match=r"wanted \(days, y, x\)"):
        hotgrids.persistent(days[0])


def test_pixels_go_into_cells() -> None:
    found = hotgrids.gridded(
        [100, 2900, 3100, -5, 100], [10, 20, 30, 10, 5900], [1.0, 3.0, 5.0, 9.0, np.nan],
        x0=0, y0=0, nx=2, ny=2,
    )  # fmt: skip
    np.testing.assert_array_equal(found, [[2.0, 5.0], [np.nan, np.nan]])
