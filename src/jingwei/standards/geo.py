"""Places: the shifted datums of Chinese web maps and WGS-84, distance, point in area.

All functions take and give degrees, longitude first, as GeoJSON does. Stores hold WGS-84
(CGCS2000 agrees with it to centimetres); GCJ-02 (AMap, Tencent, Google in China) and BD-09 (Baidu)
exist at the edge only.

Sources: neither shift is published by its makers; both are the reverse engineering that all open
tools use: GCJ-02 googollee/eviltransform (MIT), BD-09 wandergis/coordtransform (MIT). The tests
carry their vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import asin, atan2, cos, hypot, pi, radians, sin, sqrt
from typing import Any

# Krasovsky 1940 ellipsoid, on which the shift of GCJ-02 is defined
_A = 6378245.0
_E2 = 0.00669342162296594323
_BD = pi * 3000.0 / 180.0
# Where web maps are shifted (eviltransform, outOfChina): longitude, latitude
_WEST, _SOUTH, _EAST, _NORTH = 72.004, 0.8293, 137.8347, 55.8271
_RADIUS = 6371008.8  # mean radius of the earth in metres (IUGG: (2a + b) / 3)

DATUMS = ("wgs84", "gcj02", "bd09")

Place = tuple[float, float]


def _bend(x: float, y: float) -> Place:
    """The shift in metres-like units, east and north, for offsets from 105 E, 35 N."""
    wave = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + wave
    east += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + wave
    north += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y / 30.0 * pi)) * 2.0 / 3.0
    return east, north


def gcj02_from_wgs84(longitude: float, latitude: float) -> Place:
    """WGS-84 to GCJ-02, for a place in mainland China (elsewhere there is no shift to apply)."""
    east, north = _bend(longitude - 105.0, latitude - 35.0)
    phi = latitude / 180.0 * pi
    magic = 1 - _E2 * sin(phi) ** 2
    d_lat = north * 180.0 / (_A * (1 - _E2) / (magic * sqrt(magic)) * pi)
    d_lon = east * 180.0 / (_A / sqrt(magic) * cos(phi) * pi)
    return longitude + d_lon, latitude + d_lat


def bd09_from_gcj02(longitude: float, latitude: float) -> Place:
    """GCJ-02 to BD-09."""
    z = hypot(longitude, latitude) + 0.00002 * sin(latitude * _BD)
    theta = atan2(latitude, longitude) + 0.000003 * cos(longitude * _BD)
    return z * cos(theta) + 0.0065, z * sin(theta) + 0.006


def _inverse(forth: Callable[[float, float], Place], longitude: float, latitude: float) -> Place:
    """What `forth` maps to the place, by fixed-point iteration to 1e-9 degrees (0.1 mm)."""
    lon, lat = longitude, latitude
    for _ in range(30):
        x, y = forth(lon, lat)
        lon, lat = lon + longitude - x, lat + latitude - y
        if abs(longitude - x) < 1e-9 and abs(latitude - y) < 1e-9:
            break
    return lon, lat


def wgs84_from_gcj02(longitude: float, latitude: float) -> Place:
    """GCJ-02 to WGS-84."""
    return _inverse(gcj02_from_wgs84, longitude, latitude)


def gcj02_from_bd09(longitude: float, latitude: float) -> Place:
    """BD-09 to GCJ-02. The inverse of the way there; the approximation that coordtransform uses
    for the way back differs from it by up to 1e-6 degrees (0.1 m)."""
    return _inverse(bd09_from_gcj02, longitude, latitude)


def to_wgs84(longitude: float, latitude: float, datum: str = "wgs84") -> Place:
    """A place given in one of `DATUMS`, in WGS-84.

    Raises `ValueError` for an unknown datum, for what is no place on earth, and for a shifted datum
    outside of China, where web maps are not shifted.
    """
    if datum not in DATUMS:
        raise ValueError(f"datum {datum!r}: wanted one of {', '.join(DATUMS)}")
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise ValueError(f"{longitude}, {latitude} is no longitude and latitude in degrees")
    if datum == "wgs84":
        return longitude, latitude
    if not (_WEST <= longitude <= _EAST and _SOUTH <= latitude <= _NORTH):
        raise ValueError(f"{longitude}, {latitude} is outside of China: {datum} is not used there")
    if datum == "bd09":
        longitude, latitude = gcj02_from_bd09(longitude, latitude)
    return wgs84_from_gcj02(longitude, latitude)


def distance(a: Place, b: Place) -> float:
    """Metres between two places on the sphere of mean radius (haversine; within 0.6 % of the
    ellipsoid)."""
    (lon1, lat1), (lon2, lat2) = ((radians(x), radians(y)) for x, y in (a, b))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * _RADIUS * asin(sqrt(min(1.0, h)))


def box(place: Place, metres: float) -> tuple[float, float, float, float]:
    """West, south, east, north of a box in degrees that holds every place at most so far away."""
    d_lat = metres / _RADIUS * 180.0 / pi
    shrink = max(1e-6, cos(radians(min(90.0, abs(place[1]) + d_lat))))
    d_lon = min(180.0, d_lat / shrink)
    return place[0] - d_lon, place[1] - d_lat, place[0] + d_lon, place[1] + d_lat


def contains(geometry: Mapping[str, Any] | None, longitude: float, latitude: float) -> bool:
    """Whether a GeoJSON Polygon or MultiPolygon (RFC 7946, 3.1.6) holds the place; holes do not
    count. False for any other geometry. On an edge either answer may come."""
    if not geometry:
        return False
    if geometry.get("type") == "Polygon":
        parts = [geometry["coordinates"]]
    elif geometry.get("type") == "MultiPolygon":
        parts = geometry["coordinates"]
    else:
        return False
    return any(
        bool(rings)
        and _inside(rings[0], longitude, latitude)
        and not any(_inside(hole, longitude, latitude) for hole in rings[1:])
        for rings in parts
    )


def _inside(ring: Sequence[Sequence[float]], x: float, y: float) -> bool:
    """Even-odd rule."""
    inside = False
    for (x1, y1, *_a), (x2, y2, *_b) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside
