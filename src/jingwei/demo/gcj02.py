"""GCJ-02, the shifted datum of Chinese web maps, and WGS-84.

The shift is the published reverse engineering that all open tools use (googollee/eviltransform,
MIT; the test carries its vectors). All functions take and give degrees, longitude first, as
GeoJSON does.
"""

from __future__ import annotations

from math import cos, pi, sin, sqrt

# Krasovsky 1940 ellipsoid, on which the shift is defined
_A = 6378245.0
_E2 = 0.00669342162296594323


def _bend(x: float, y: float) -> tuple[float, float]:
    """The shift in metres-like units, east and north, for offsets from 105 E, 35 N."""
    wave = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + wave
    east += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + wave
    north += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y / 30.0 * pi)) * 2.0 / 3.0
    return east, north


def from_wgs84(longitude: float, latitude: float) -> tuple[float, float]:
    """WGS-84 to GCJ-02, for a place in mainland China (elsewhere there is no shift to apply)."""
    east, north = _bend(longitude - 105.0, latitude - 35.0)
    phi = latitude / 180.0 * pi
    magic = 1 - _E2 * sin(phi) ** 2
    d_lat = north * 180.0 / (_A * (1 - _E2) / (magic * sqrt(magic)) * pi)
    d_lon = east * 180.0 / (_A / sqrt(magic) * cos(phi) * pi)
    return longitude + d_lon, latitude + d_lat


def to_wgs84(longitude: float, latitude: float) -> tuple[float, float]:
    """GCJ-02 to WGS-84, by fixed-point iteration to 1e-9 degrees (0.1 mm)."""
    lon, lat = longitude, latitude
    for _ in range(30):
        x, y = from_wgs84(lon, lat)
        lon, lat = lon + longitude - x, lat + latitude - y
        if abs(longitude - x) < 1e-9 and abs(latitude - y) < 1e-9:
            break
    return lon, lat
