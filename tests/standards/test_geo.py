"""Datums: the vectors that eviltransform and coordtransform publish; properties of the rest."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import geo

# WGS-84 latitude, longitude; GCJ-02 latitude, longitude (googollee/eviltransform, python/test.py)
VECTORS = [
    (31.1774276, 121.5272106, 31.17530398364597, 121.531541859215),  # Shanghai
    (22.543847, 113.912316, 22.540796131694766, 113.9171764808363),  # Shenzhen
    (39.911954, 116.377817, 39.91334545536069, 116.38404722455657),  # Beijing
]
china = st.tuples(st.floats(74, 134), st.floats(19, 53))


@pytest.mark.parametrize(("lat", "lon", "gcj_lat", "gcj_lon"), VECTORS)
def test_published_vectors_of_gcj02(lat, lon, gcj_lat, gcj_lon):
    assert geo.gcj02_from_wgs84(lon, lat) == pytest.approx((gcj_lon, gcj_lat), abs=1e-12)
    assert geo.to_wgs84(gcj_lon, gcj_lat, "gcj02") == pytest.approx((lon, lat), abs=1e-9)


def test_published_vectors_of_bd09():
    """wandergis/coordtransform, README: gcj02tobd09, bd09togcj02 of 116.404, 39.915. Its way back
    is an approximation; ours is the inverse of the way there."""
    there = geo.bd09_from_gcj02(116.404, 39.915)
    assert there == pytest.approx((116.41036949371029, 39.92133699351022), abs=1e-12)
    back = geo.gcj02_from_bd09(116.404, 39.915)
    assert back == pytest.approx((116.39762729119315, 39.90865673957631), abs=1e-6)


@given(china)
def test_there_and_back(place):
    gcj = geo.gcj02_from_wgs84(*place)
    bd = geo.bd09_from_gcj02(*gcj)
    assert geo.wgs84_from_gcj02(*gcj) == pytest.approx(place, abs=2e-9)
    assert geo.gcj02_from_bd09(*bd) == pytest.approx(gcj, abs=2e-9)
    assert geo.to_wgs84(*bd, "bd09") == pytest.approx(place, abs=5e-9)
    assert geo.to_wgs84(*place) == place
    assert 10 < geo.distance(place, gcj) < 1500
    assert 200 < geo.distance(gcj, bd) < 1500


@pytest.mark.parametrize(
    ("lon", "lat", "datum", "says"),
    [
        (116.0, 40.0, "beijing54", "wanted one of"),
        (181.0, 40.0, "wgs84", "no longitude"),
        (40.0, 116.0, "gcj02", "no longitude"),
        (2.35, 48.86, "gcj02", "outside of China"),
        (float("nan"), 40.0, "wgs84", "no longitude"),
    ],
)
def test_refusals(lon, lat, datum, says):
    with pytest.raises(ValueError, match=says):
        geo.to_wgs84(lon, lat, datum)


def test_distance_of_a_degree():
    """A degree of a great circle of the mean sphere is 111,195 m."""
    assert geo.distance((116, 40), (116, 41)) == pytest.approx(111195, abs=1)
    assert geo.distance((0, 0), (180, 0)) == pytest.approx(math.pi * 6371008.8)


@given(china, st.floats(1, 50_000), st.floats(0, 2 * math.pi), st.floats(0, 1))
def test_a_box_holds_what_is_near(place, metres, bearing, share):
    d = metres * share / 6371008.8
    lat1, lon1 = math.radians(place[1]), math.radians(place[0])
    lat2 = math.asin(
        math.sin(lat1) * math.cos(d) + math.cos(lat1) * math.sin(d) * math.cos(bearing)
    )
    lon2 = lon1 + math.atan2(
        math.sin(bearing) * math.sin(d) * math.cos(lat1),
        math.cos(d) - math.sin(lat1) * math.sin(lat2),
    )
    near = math.degrees(lon2), math.degrees(lat2)
    assert geo.distance(place, near) == pytest.approx(metres * share, abs=0.01)
    west, south, east, north = geo.box(place, metres)
    assert west - 1e-9 <= near[0] <= east + 1e-9
    assert south - 1e-9 <= near[1] <= north + 1e-9


RING = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
HOLE = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]


def test_areas():
    square = {"type": "Polygon", "coordinates": [RING, HOLE]}
    assert geo.contains(square, 3, 3)
    assert not geo.contains(square, 1.5, 1.5)
    assert not geo.contains(square, 5, 3)
    both = {"type": "MultiPolygon", "coordinates": [[HOLE], [[[x + 9, y] for x, y in RING]]]}
    assert geo.contains(both, 10, 3)
    assert not geo.contains(both, 3, 3)
    assert not geo.contains(None, 3, 3)
    assert not geo.contains({"type": "Point", "coordinates": [3, 3]}, 3, 3)
