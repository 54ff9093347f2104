"""Satellite columns of the demo city, all made up: a hump over each registered source and over the
city, drifting with the day's wind, noise and clouds; written as NetCDF that says so, read as any other file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

DAYS = 30
STEP = 0.05  # degrees; somewhat coarser than the cells
WIDTH = 4_000.0  # m; of a source's hump
GASES = {  # standard name, background and city in µmol/m², sources' sum
    "no2": ("troposphere_mole_content_of_nitrogen_dioxide", 40.0, 60.0, 450.0),
    "hcho": ("troposphere_mole_content_of_formaldehyde", 90.0, 40.0, 250.0),
}
VOC = ("chemicals", "steel", "other")  # industries that stand in for emitters of VOC


def build(anchor: datetime) -> int:
    """Import the scenes of the `DAYS` before the load; their number, 0 without xarray."""
    import tempfile

    from jingwei.analysis.air.field.tables import FieldError
    from jingwei.bureau.air import hotgrid_services
    from jingwei.bureau.air.models import SatelliteScene
    from jingwei.bureau.air.tracing import RefusedError

    if SatelliteScene.objects.exists():
        return int(SatelliteScene.objects.count())
    made = 0
    with tempfile.TemporaryDirectory() as folder:
        for gas in GASES:
            file = Path(folder, f"demo-{gas}.nc")
            if write(file, gas, anchor):
                try:
                    made += len(hotgrid_services.take_scenes(file)[0])
                except (FieldError, RefusedError):
                    return made  # no xarray here, or the city was loaded without its districts
    return made


def write(file: Path, gas: str, anchor: datetime) -> bool:
    """The file of one gas; False where the city has no source of it."""
    from scipy.io import netcdf_file

    from jingwei.analysis.air.weather import Plane

    places, rates = _sources(gas, anchor)
    if not len(places):
        return False
    plane = Plane(float(np.median(places[:, 0])), float(np.median(places[:, 1])))
    lon = np.arange(plane.longitude - 1.3, plane.longitude + 1.3, STEP)
    lat = np.arange(plane.latitude - 1.0, plane.latitude + 1.3, STEP)
    x, y = plane.to(*np.meshgrid(lon, lat))
    sx, sy = plane.to(places[:, 0], places[:, 1])
    name, base, city, total = GASES[gas]
    random = np.random.default_rng(list(gas.encode()))
    overpass = anchor.astimezone(UTC).replace(hour=5, minute=30, second=0, microsecond=0)
    first = overpass - timedelta(days=DAYS)
    column = np.empty((DAYS, *x.shape), np.float32)
    for day in range(DAYS):
        drift, strong = random.normal(0, 2_000, 2), random.lognormal(0, 0.3)
        hump = np.zeros(x.shape)
        for rate, px, py in zip(rates, sx, sy, strict=True):
            far = (x - px - drift[0]) ** 2 + (y - py - drift[1]) ** 2
            hump += rate * np.exp(-far / (2 * WIDTH**2))
        told = base + city * np.exp(-(x**2 + y**2) / (2 * 25_000.0**2)) + total * hump
        told = strong * told * (1 + 0.2 * random.standard_normal(x.shape))
        told[_smooth(random.standard_normal(x.shape)) > 0.4] = np.nan  # cloud
        column[day] = told
    with netcdf_file(file, "w") as data:
        data.title = f"SYNTHETIC demo {gas.upper()} columns, not measured"
        data.comment = "Made by code from the demo register; no satellite saw this."
        for key, size in (("time", DAYS), ("latitude", len(lat)), ("longitude", len(lon))):
            data.createDimension(key, size)
        _variable(data, "time", ("time",), "d", 24.0 * np.arange(DAYS), f"hours since {first:%Y-%m-%d %H:%M:%S}")  # fmt: skip
        _variable(data, "latitude", ("latitude",), "d", lat, "degrees_north")
        _variable(data, "longitude", ("longitude",), "d", lon, "degrees_east")
        _variable(data, gas, ("time", "latitude", "longitude"), "f", column, "umol m-2")
        data.variables[gas].standard_name = name
    return True


def _variable(
    data: Any, name: str, axes: tuple[str, ...], kind: str, values: Any, unit: str
) -> None:
    made = data.createVariable(name, kind, axes)
    made[:] = values
    made.units = unit


def _smooth(field: Any) -> Any:
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(field, 3)
    return soft / soft.std()


def _sources(gas: str, anchor: datetime) -> tuple[Any, Any]:
    """Places (n, 2) in degrees and shares of the city's emission, at most a tenth each."""
    from jingwei.bureau.air import tracing
    from jingwei.bureau.registry.models import Medium, Outlet

    outlets = list(
        Outlet.objects.filter(medium=Medium.AIR).select_related("enterprise").order_by("pk")
    )
    if gas == "hcho":
        outlets = [o for o in outlets if o.enterprise.industry in VOC]
    places = np.array([(o.longitude, o.latitude) for o in outlets]).reshape(-1, 2)
    shares = np.ones(len(outlets))
    if gas == "no2" and outlets:
        plane = tracing.middle([(o.longitude, o.latitude) for o in outlets])
        outlets, shares, _basis, _beyond = tracing.emissions(
            "a21004", anchor - timedelta(days=DAYS), anchor, plane
        )
        places = np.array([(o.longitude, o.latitude) for o in outlets]).reshape(-1, 2)
    return places, np.minimum(shares / shares.sum(), 0.1) if len(shares) else shares
