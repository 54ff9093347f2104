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


def test_cells_that_are_never_seen_change_nothing() -> None:
    """A dozen stations in a city of a thousand cells are tested as if there were only their cells."""
    days = sky(4, hot=1.5)
    whole = hotgrids.persistent(days)
    wide = np.full((60, 80, 96), np.nan)
    wide[:, :20, :24] = days
    found = hotgrids.persistent(wide)
    np.testing.assert_array_equal(found.p[:20, :24], whole.p)
    assert found.hot.sum() == whole.hot.sum()


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


def test_the_rate_of_false_discoveries_is_that_of_the_definition() -> None:
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    q = hotgrids.adjusted(p, np.ones(10, bool))
    # R: p.adjust(p, "BH")
    np.testing.assert_allclose(
        q, [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.10571429, 0.216, 0.216, 0.216], rtol=1e-6
    )
    some = hotgrids.adjusted(p, np.arange(10) < 2)
    np.testing.assert_allclose(some, [0.002, 0.008, *[1.0] * 8])


def test_gi_star_as_its_paper_defines_it() -> None:
    random = np.random.default_rng(3)
    field = random.normal(10, 2, (6, 7))
    field[2, 3] = np.nan
    found = hotgrids.clustered(field)
    known = np.isfinite(field)
    x, n = field[known], int(known.sum())
    s = np.sqrt((x**2).mean() - x.mean() ** 2)
    for j, i in ((0, 0), (4, 4), (2, 2)):
        block = field[max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2]
        w = int(np.isfinite(block).sum())
        z = (np.nansum(block) - x.mean() * w) / (s * np.sqrt((n * w - w**2) / (n - 1)))
        assert found[j, i] == pytest.approx(z)
    assert np.isnan(found[2, 3])
    assert np.isnan(hotgrids.clustered(np.ones((4, 4)))).all()
    hill = np.zeros((12, 12))
    hill[4:7, 4:7] = 5.0
    assert np.unravel_index(np.nanargmax(hotgrids.clustered(hill)), hill.shape) == (5, 5)


def test_what_a_region_brings_along_goes() -> None:
    slope = np.add.outer(np.zeros(30), np.arange(30.0))[None]  # a gradient over the city
    spot = slope.copy()
    spot[0, 15, 15] += 7
    spot[0, 3, 3] = np.nan
    found = hotgrids.over_surroundings(spot, 4)
    assert found[0, 15, 15] == pytest.approx(7)
    inner = found[0, 5:-5, 5:-5]
    assert np.median(np.abs(inner)) < 0.1
    assert np.isnan(found[0, 3, 3])
    alone = np.full((1, 9, 9), np.nan)
    alone[0, 4, 4] = 3.0
    assert np.isnan(hotgrids.over_surroundings(alone, 2)).all()


def test_layers_together_find_what_each_alone_may_miss() -> None:
    one, two = sky(5, hot=1.1), sky(6, hot=1.1)
    found = hotgrids.find({"no2": one, "hcho": two, "stations": one[:4]})
    assert found.left == ("stations",)
    assert set(found.layers) == {"no2", "hcho"}
    assert found.hot[4:6, 7:9].all()
    assert found.hot.sum() <= 8
    assert (found.q >= found.p).all()
    assert found.near[4:6, 7:9].max() < 0.05
    assert len(set(found.groups[4:6, 7:9].ravel())) == 1
    with pytest.raises(ValueError, match="in any layer"):
        hotgrids.find({"no2": one[:4]})


def test_significant_but_seldom_is_not_hot() -> None:
    """A cell high on a fifth of many days is no chance, and still no hot spot."""
    random = np.random.default_rng(8)
    days = random.standard_normal((400, 10, 10))
    days[::7, 2, 2] += 9.0
    days[::2, 7, 7] += 9.0
    found = hotgrids.find({"no2": days})
    assert found.q[2, 2] < 0.05
    assert not found.hot[2, 2]
    assert found.hot[7, 7]


@pytest.mark.parametrize("twins", [False, True])
def test_chance_in_two_layers_is_hardly_ever_hot(twins: bool) -> None:
    hits = []
    for seed in range(25):
        one = sky(seed)
        two = one.copy() if twins else sky(seed + 100)
        hits.append(hotgrids.find({"a": one, "b": two}).hot.any())
    assert np.mean(hits) <= 0.12


def test_cells_keep_their_numbers_whatever_part_is_covered() -> None:
    grid = hotgrids.Grid.around([115.42, 117.51], [39.44, 41.06])
    assert (grid.plane.longitude, grid.plane.latitude) == (116.5, 40.2)
    x, y = grid.plane.to([115.42, 117.51], [39.44, 41.06])
    cx, cy = grid.centres()
    assert cx[0, 0] - 1500 <= x[0] < cx[0, 0] + 1500
    assert cy[-1, 0] - 1500 <= y[1] <= cy[-1, 0] + 1500
    part = hotgrids.Grid.on(grid.plane, [0, 12_000], [0, 9_000], 3000)
    assert part.shape == (3, 4)
    assert (part.name(0, 0), part.name(2, 3)) == ("E000N000", "E003N002")
    row, column = 0 - grid.north, 0 - grid.east
    assert grid.name(row, column) == "E000N000"
    assert grid.name(0, 0).startswith("W")
    ring = grid.outline(row, column)
    assert ring[0] == ring[-1] == (116.5, 40.2)
    assert ring[2][1] - ring[0][1] == pytest.approx(3000 / 111_195, rel=1e-3)
    lon, lat = grid.places()
    assert lon[row, column] == pytest.approx(sum(p[0] for p in ring[:4]) / 4, abs=1e-5)
    assert lat[row, column] == pytest.approx(sum(p[1] for p in ring[:4]) / 4, abs=1e-5)
    with pytest.raises(ValueError, match="no place"):
        hotgrids.Grid.around([], [])


def test_inside_agrees_with_the_registers_own_rule() -> None:
    from jingwei.standards import geo

    ring = [[0.0, 0.0], [4.0, 0.5], [5.0, 4.0], [2.0, 2.0], [0.5, 5.0], [0.0, 0.0]]
    hole = [[1.0, 1.0], [2.0, 1.0], [2.0, 1.5], [1.0, 1.5], [1.0, 1.0]]
    shape = {"type": "MultiPolygon", "coordinates": [[ring, hole], [[[6, 6], [7, 6], [6, 7], [6, 6]]]]}  # fmt: skip
    random = np.random.default_rng(1)
    x, y = random.uniform(-1, 8, 400), random.uniform(-1, 8, 400)
    found = hotgrids.inside(shape, x, y)
    assert found.tolist() == [geo.contains(shape, a, b) for a, b in zip(x, y, strict=True)]
    assert found.any()
    assert not found.all()
    assert not hotgrids.inside(None, x, y).any()
