"""GCJ-02: the vectors that eviltransform publishes (googollee/eviltransform, python/test.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.demo import gcj02

# WGS-84 latitude, longitude; GCJ-02 latitude, longitude
VECTORS = [
    (31.1774276, 121.5272106, 31.17530398364597, 121.531541859215),  # Shanghai
    (22.543847, 113.912316, 22.540796131694766, 113.9171764808363),  # Shenzhen
    (39.911954, 116.377817, 39.91334545536069, 116.38404722455657),  # Beijing
]


@pytest.mark.parametrize(("lat", "lon", "gcj_lat", "gcj_lon"), VECTORS)
def test_published_vectors(lat, lon, gcj_lat, gcj_lon):
    assert gcj02.from_wgs84(lon, lat) == pytest.approx((gcj_lon, gcj_lat), abs=1e-12)
    assert gcj02.to_wgs84(gcj_lon, gcj_lat) == pytest.approx((lon, lat), abs=1e-9)


@given(st.floats(74, 134), st.floats(19, 53))
def test_inverse(lon, lat):
    there = gcj02.from_wgs84(lon, lat)
    assert gcj02.to_wgs84(*there) == pytest.approx((lon, lat), abs=2e-9)
    assert there != (lon, lat)
