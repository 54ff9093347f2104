"""Ways of the air from the stations' wind, and clusters of ways that are alike."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.air import boundary, puffs, ways, weather

START = datetime(2026, 6, 20, 16, tzinfo=UTC)
PLANE = weather.Plane(116.4, 39.9)
PLACES = np.array([[0.0, 0.0], [12e3, 5e3], [-9e3, 11e3]])


def wind(speed: list[float], direction: list[float]):
    return np.repeat(np.array(speed)[:, None], 3, 1), np.repeat(np.array(direction)[:, None], 3, 1)


def come(speed, direction, **more):
    return ways.backward(PLACES, *wind(speed, direction), START, plane=PLANE, place=(0.0, 0.0), **more)  # fmt: skip


def test_a_steady_west_wind_comes_from_the_west() -> None:
    found = come([3.0] * 12, [270.0] * 12, hours=6)
    assert found.arrival.tolist() == [6, 7, 8, 9, 10, 11]
    assert found.tracks.shape == (6, 25, 2)
    assert (found.lost, found.calm, found.filled) == (0, 0, 0)
    assert found.tracks[..., 1] == pytest.approx(0, abs=1e-6)
    # Six hours of the wind at 50 m, which is more than the 3 m/s of the vane.
    raised = -found.tracks[:, -1, 0] / (6 * 3600)
    assert (raised > 3).all()
    assert raised.max() < 3 * float(boundary.wind(50.0, 1.0, 10.0, 20.0, 1.0))
    # At 80 km and more half of the way is farther than 30 km from every station.
    assert found.outside.shape == (6,)
    assert (found.outside > 0.2).all()
    assert (found.outside < 0.8).all()


def test_a_turning_wind_bends_the_way() -> None:
    found = come([4.0] * 7, [360.0] * 3 + [270.0] * 4, hours=6, every=6)
    (way,) = found.tracks
    # The air of the hour from six on arrives in its middle: the last three and a half hours it came
    # from the west, the two and a half before from the north.
    assert way[8, 1] == pytest.approx(0, abs=1e-6)
    west, north = -way[-1, 0], way[-1, 1]
    assert west / north == pytest.approx(3.5 / 2.5, rel=0.1)
    assert north > 2.5 * 3600 * 4


def test_a_long_gap_costs_the_ways_that_cross_it_and_no_others() -> None:
    speed, direction = [3.0] * 24, [270.0] * 24
    speed[10:15] = [np.nan] * 5
    found = come(speed, direction, hours=4)
    assert found.arrival.tolist() == [4, 5, 6, 7, 8, 9, 19, 20, 21, 22, 23]
    assert found.lost == 9
    speed[10:15] = [np.nan] * 3 + [3.0] * 2  # three hours are filled from both sides
    found = come(speed, direction, hours=4)
    assert (found.lost, found.filled) == (0, 3)
    with pytest.raises(weather.WeatherError):
        come([np.nan] * 24, [270.0] * 24, hours=4)
    with pytest.raises(weather.WeatherError):
        come([0.2] * 24, [270.0] * 24, hours=4)  # calm has no direction


def straight(angle: float, length: float = 50e3, steps: int = 24) -> np.ndarray:
    """A way that came straight from a bearing."""
    far = np.linspace(0, length, steps + 1)
    return np.column_stack([far * np.sin(np.radians(angle)), far * np.cos(np.radians(angle))])


def mesh(u: np.ndarray, v: np.ndarray, **more) -> puffs.Winds:
    rest = {k: np.full(u.shape, x) for k, x in (("ustar", 0.3), ("obukhov", 1e5), ("zi", 800.0))}
    return puffs.Winds(u=u, v=v, **rest, **more)


def test_ways_go_through_winds_of_a_mesh() -> None:
    """West wind in the west of the station, none in the east, from row 10 on for 30 hours."""
    u = np.zeros((31, 5, 5))
    u[:, :, :3] = 2.0
    winds = mesh(u, np.zeros(u.shape), x0=-20e3, y0=-20e3, size=10e3)
    found = ways.through(winds, 60, 10, place=(0.0, 0.0), hours=6, every=2)
    # Of the rows 6, 8 … 58 those whose six hours lie within 10 to 40, in the middle of their hour.
    assert found.arrival.tolist() == list(range(16, 40, 2))
    assert found.lost == 27 - 12
    np.testing.assert_allclose(found.tracks[:, -1, 0], -2.0 * 6 * 3600)
    np.testing.assert_allclose(found.tracks[..., 1], 0.0)
    # 43 km in six hours, the mesh ends at 20 km: of the places of whole hours 0, 7, 14 km lie inside.
    np.testing.assert_allclose(found.outside, 4 / 7)
    # Each way by itself: the wind falls to a half, and with it what lies beyond the mesh.
    half = mesh(u * np.where(np.arange(31) < 16, 1.0, 0.5)[:, None, None], 0 * u, x0=-20e3, y0=-20e3, size=10e3)  # fmt: skip
    early, *_middle, late = ways.through(half, 60, 10, place=(0.0, 0.0), hours=6, every=2).outside
    assert early == pytest.approx(4 / 7)
    assert late == pytest.approx(1 / 7)
    with pytest.raises(weather.WeatherError):
        ways.through(winds, 60, 58, place=(0.0, 0.0), hours=6)
    with pytest.raises(ValueError, match="every 0"):
        ways.through(winds, 60, 10, place=(0.0, 0.0), hours=6, every=0)


def test_distances_by_hand() -> None:
    tracks = np.array([straight(0, 20e3, 2), straight(90, 20e3, 2), straight(0, 40e3, 2)])
    angle = ways.distances(tracks, "angle")
    np.testing.assert_allclose(angle, np.pi / 2 * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    euclid = ways.distances(tracks, "euclid")
    # Places after one and two steps: 10 and 20 km north or east, 20 and 40 km north.
    assert euclid[0, 1] == pytest.approx(np.sqrt(2 * 10e3**2 + 2 * 20e3**2))
    assert euclid[0, 2] == pytest.approx(np.sqrt(10e3**2 + 20e3**2))
    assert euclid[1, 2] == pytest.approx(np.sqrt(10e3**2 + 20e3**2 + 20e3**2 + 40e3**2))
    # The law of cosines, as Sirois and Bottenheim have it.
    bent = np.array([straight(0, 20e3, 2), [[0, 0], [6e3, 8e3], [1e3, 7e3]]])
    told = []
    for k in (1, 2):
        a, b, c = (np.sum(v**2) for v in (bent[0, k], bent[1, k], bent[0, k] - bent[1, k]))
        told.append(np.arccos((a + b - c) / (2 * np.sqrt(a * b))))
    assert ways.distances(bent, "angle")[0, 1] == pytest.approx(np.mean(told))
    # Where the air stood there is no angle: the other place counts alone.
    stood = np.array([straight(0, 20e3, 2), [[0, 0], [0, 0], [5e3, 0]]])
    assert ways.distances(stood, "angle")[0, 1] == pytest.approx(np.pi / 2)
    with pytest.raises(ValueError, match="method"):
        ways.distances(tracks, "manhattan")
    with pytest.raises(ValueError, match="known"):
        ways.distances([[[0, 0], [np.nan, 1]]], "angle")


def test_three_directions_become_three_clusters() -> None:
    random = np.random.default_rng(4)
    true = np.repeat([0, 1, 2], [30, 20, 10])
    angles = np.array([10.0, 130.0, 250.0])[true] + random.normal(0, 8, 60)
    lengths = random.uniform(20e3, 90e3, 60)
    mixed = random.permutation(60)
    tracks = np.array([straight(a, x) for a, x in zip(angles, lengths, strict=True)])[mixed]
    found = ways.cluster(ways.distances(tracks, "angle"), 3)
    np.testing.assert_array_equal(found.member, true[mixed])  # numbered by size
    assert found.silhouette > 0.8
    assert found.member[found.middle].tolist() == [0, 1, 2]
    # More clusters than there are directions lie less well apart.
    assert ways.cluster(ways.distances(tracks, "angle"), 5).silhouette < found.silhouette


def test_speed_parts_ways_by_distance_and_not_by_angle() -> None:
    tracks = np.array([straight(90, x) for x in (10e3, 11e3, 12e3, 80e3, 82e3)])
    assert ways.cluster(ways.distances(tracks, "euclid"), 2).member.tolist() == [0, 0, 0, 1, 1]
    assert ways.distances(tracks, "angle") == pytest.approx(0, abs=1e-6)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=4, max_size=9), st.integers(1, 3))  # fmt: skip
def test_no_single_swap_betters_a_partition(points, count: int) -> None:
    xy = np.array(points)
    d = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    found = ways.cluster(d, count)
    cost = d[found.middle].min(axis=0).sum()
    assert found.cost * len(d) == pytest.approx(cost)
    for gone in range(count):
        for one in range(len(d)):
            other = found.middle.copy()
            other[gone] = one
            assert d[other].min(axis=0).sum() >= cost - 1e-6 * max(cost, 1)
    assert (np.diff(np.bincount(found.member, minlength=count)) <= 0).all()


def test_the_silhouette_by_hand() -> None:
    d = np.abs(np.subtract.outer([0.0, 1.0, 10.0], [0.0, 1.0, 10.0]))
    found = ways.cluster(d, 2)
    # a = 1, b = 10 and 9: (10 - 1)/10, (9 - 1)/9; alone: 0.
    assert found.silhouette == pytest.approx((0.9 + 8 / 9 + 0) / 3)
    assert np.isnan(ways.cluster(d, 1).silhouette)
    assert ways.cluster(d, 1).middle.tolist() == [1]
    best = min(combinations(range(3), 2), key=lambda m: d[list(m)].min(axis=0).sum())
    assert found.cost * 3 == d[list(best)].min(axis=0).sum()
    with pytest.raises(ValueError, match="4 of distances"):
        ways.cluster(d, 4)
