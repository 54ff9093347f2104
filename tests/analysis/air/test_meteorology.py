"""Gridded weather from NetCDF files as producers write them, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jingwei.analysis.air import boundary, meteorology
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.weather import CARRIED, Plane, at

xarray = pytest.importorskip("xarray")
PLANE = Plane(117.0, 36.5)
HOURS = 31


def grid(**change: object) -> object:
    """Wind that grows to the east and with time, north to south as ECMWF writes it."""
    time = np.datetime64("2024-05-01T00", "ns") + np.arange(HOURS) * np.timedelta64(3600, "s")
    lat, lon = np.linspace(37.0, 36.0, 9), np.linspace(116.4, 117.6, 11)
    east = PLANE.to(lon, 0 * lon)[0]
    u = 3 + east[None, None, :] / 50e3 + 0.1 * np.arange(HOURS)[:, None, None] + 0 * lat[:, None]
    south = np.linspace(1, -1, 9)[None, :, None] + 0 * u
    dims = ("time", "latitude", "longitude")
    about = {
        "u10": (dims, u, {"units": "m s-1"}),
        "v10": (dims, south, {"units": "m s**-1"}),
        "blh": (dims, 900 + 0 * u, {"units": "m"}),
        "zust": (dims, 0.4 + 0 * u, {"units": "m/s"}),
        "ishf": (dims, -100 + 0 * u, {"units": "W m**-2"}),  # ECMWF counts downwards
        "t2m": (dims, 295 + 0 * u, {"units": "K"}),
    }
    about.update(change)  # type: ignore[arg-type]
    return xarray.Dataset(
        {k: v for k, v in about.items() if v is not None},
        coords={"time": time, "latitude": lat, "longitude": lon},
    )


def test_a_file_becomes_winds(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    grid().to_netcdf(path, engine="h5netcdf")
    found = meteorology.read(path, PLANE)
    winds = found.winds
    assert winds.hours == HOURS - 1
    assert found.start == np.datetime64("2024-05-01T00")
    assert found.notes == ()
    # The wind at 10 m is raised to the layer that carries the plumes.
    raised = boundary.wind(CARRIED, 1.0, 10.0, winds.obukhov[0, 0, 0], 1.0)
    assert raised > 1.3
    u, v = at(winds, 10e3, 0.0, 6.5)
    assert u == pytest.approx((3 + 0.2 + 0.65) * raised, rel=1e-6)
    assert v == pytest.approx(0, abs=1e-6)
    # North is north although the file begins there.
    assert at(winds, 0.0, 40e3, 0)[1] > 0.5 > -0.5 > at(winds, 0.0, -40e3, 0)[1]
    # L = -rho cp T u*³ / (k g H)
    exact = -1.2 * 1004 * 295 * 0.4**3 / (0.4 * 9.81 * 100)
    assert winds.obukhov == pytest.approx(exact, rel=1e-6)
    assert winds.temperature == pytest.approx(295)


def test_other_names_and_what_is_assumed(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    bare = grid(blh=None, zust=None, ishf=None, t2m=None)
    bare.rename({"u10": "wind_e", "v10": "wind_n"}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(FieldError, match=r"lacks u, v under any known name .*wind_e.* by `names`"):
        meteorology.read(path, PLANE)
    found = meteorology.read(path, PLANE, names={"u": "wind_e", "v": "wind_n"})
    assert [n.split(":")[0] for n in found.notes] == [
        "no temperature", "no friction velocity", "no heat flux", "no depth of the boundary layer"
    ]  # fmt: skip
    assert (np.abs(found.winds.obukhov) > 1e4).all()
    with pytest.raises(FieldError, match="has no 'wind_x'"):
        meteorology.read(path, PLANE, names={"u": "wind_x", "v": "wind_n"})
    with pytest.raises(FieldError, match="names: w is none of"):
        meteorology.read(path, PLANE, names={"w": "wind_e"})


def test_standard_names_are_found_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    data = grid().rename({"u10": "a", "v10": "b"})
    data["a"].attrs["standard_name"] = "eastward_wind"
    data["b"].attrs["standard_name"] = "northward_wind"
    data.to_netcdf(path, engine="h5netcdf")
    assert meteorology.read(path, PLANE).winds.hours == HOURS - 1


def test_units_are_converted_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    data = grid()
    told = meteorology.read(_written(data, path), PLANE).winds
    data["u10"], data["v10"] = data["u10"] / 0.514444, data["v10"] / 0.514444
    data["blh"], data["t2m"] = data["blh"] / 1e3, data["t2m"] - 273.15
    for name, unit in {"u10": "kt", "v10": "knots", "blh": "km", "t2m": "degC"}.items():
        data[name].attrs["units"] = unit
    found = meteorology.read(_written(data, path), PLANE).winds
    assert found.u == pytest.approx(told.u)
    assert found.zi == pytest.approx(told.zi)
    assert found.temperature == pytest.approx(told.temperature)
    up = grid(hfx=(data["u10"].dims, 100 + 0 * data["u10"].values, {"units": "W/m²"}), ishf=None)
    del up["zust"].attrs["units"]
    again = meteorology.read(_written(up, path), PLANE)
    assert again.winds.obukhov == pytest.approx(told.obukhov)
    assert again.notes == ("no unit of zust: taken as SI (m/s, m, W/m², K)",)
    data["u10"].attrs["units"] = "Pa s-1"
    with pytest.raises(FieldError, match=r"u10 has the unit 'Pa s-1', wanted one of ms-1, m/s"):
        meteorology.read(_written(data, path), PLANE)


def _written(data: object, path: Path) -> Path:
    path.unlink(missing_ok=True)
    data.to_netcdf(path, engine="h5netcdf")  # type: ignore[attr-defined]
    return path


def test_weather_that_ends_is_said(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    grid().to_netcdf(path, engine="h5netcdf")
    found = meteorology.read(path, PLANE, hours=48)
    assert found.winds.hours == 30
    assert found.notes == ("ends after 30 of 48 hours (2024-05-02T06:00:00)",)
    assert meteorology.read(path, PLANE, hours=24).winds.hours == 24
    grid().isel(time=slice(None, None, 6)).to_netcdf(path, engine="h5netcdf")
    sparse = meteorology.read(path, PLANE)
    assert "up to 6 h apart" in sparse.notes[0]
    raised = boundary.wind(CARRIED, 1.0, 10.0, sparse.winds.obukhov[0, 0, 0], 1.0)
    assert at(sparse.winds, 10e3, 0.0, 7)[0] == pytest.approx(3.9 * raised, rel=1e-6)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    path.write_text("no such thing")
    with pytest.raises(FieldError, match="cannot be read as NetCDF"):
        meteorology.read(path, PLANE)
    with pytest.raises(FieldError, match="cannot be read as GRIB"):
        meteorology.read(tmp_path / "none.grib2", PLANE)
    data = grid()
    data["u10"][3, 2, 2] = np.nan
    data.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(FieldError, match="u10 is missing in 1 cells, first at 2024-05-01T03"):
        meteorology.read(path, PLANE)
    grid().isel(latitude=[0]).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(FieldError, match="one row of cells"):
        meteorology.read(path, PLANE)


def test_a_file_with_a_broken_part_is_refused(tmp_path: Path) -> None:
    """It opens, and its values cannot be unpacked."""
    path = tmp_path / "a.nc"
    packed = {n: {"zlib": True} for n in ("u10", "v10")}
    grid().to_netcdf(path, engine="h5netcdf", encoding=packed)
    data = bytearray(path.read_bytes())
    starts = [k for k in range(len(data) - 2) if data[k : k + 2] in (b"x^", b"x\x9c")]
    assert starts
    for k in starts:
        data[k : k + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(FieldError, match="cannot be read as NetCDF"):
        meteorology.read(path, PLANE)


def test_rain_is_read(tmp_path: Path) -> None:
    path = tmp_path / "air.nc"
    data = grid()
    rain = 0 * data["u10"].values
    rain[5] = 2 / 3600
    data["tprate"] = (data["u10"].dims, rain, {"units": "kg m-2 s-1"})
    found = meteorology.read(_written(data, path), PLANE).rain
    assert found is not None
    assert found[5] == pytest.approx(2)
    assert found[[4, 6]] == pytest.approx(0)
    assert meteorology.read(_written(grid(), path), PLANE).rain is None
