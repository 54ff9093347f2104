"""Weather from GRIB files, written here by ecCodes as producers write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jingwei.analysis.air import boundary, gridded, meteorology
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.weather import CARRIED, Plane, at

eccodes = pytest.importorskip("eccodes")
PLANE = Plane(117.0, 36.5)
LAT, LON = np.linspace(37.0, 36.0, 9), np.linspace(116.4, 117.6, 11)
EAST, NORTH = PLANE.to(*np.meshgrid(LON, LAT))
TEN, TWO, SURFACE = ("heightAboveGround", 10), ("heightAboveGround", 2), ("surface", 0)
Row = tuple[str, tuple[str, int], int, np.ndarray]


def one(handle: Any, row: Row, about: dict[str, Any]) -> None:
    name, (kind, level), step, values = row
    lat, lon = about.get("lat", LAT), about.get("lon", LON)
    west, north = about.get("iScansNegatively", 0), about.get("jScansPositively", 0)
    if west:
        lon, values = lon[::-1], values[:, ::-1]
    if north:
        lat, values = lat[::-1], values[::-1]
    flat = values.ravel()
    keys: dict[str, Any] = {
        "Ni": len(lon), "Nj": len(lat),
        "latitudeOfFirstGridPointInDegrees": lat[0], "latitudeOfLastGridPointInDegrees": lat[-1],
        "longitudeOfFirstGridPointInDegrees": lon[0] % 360,
        "longitudeOfLastGridPointInDegrees": lon[-1] % 360,
        "iDirectionIncrementInDegrees": abs(lon[1] - lon[0]),
        "jDirectionIncrementInDegrees": abs(lat[1] - lat[0]),
        "iScansNegatively": west, "jScansPositively": north,
        "dataDate": about.get("date", 20240501), "dataTime": about.get("hour", 0) * 100,
        "typeOfLevel": kind, "level": level, "shortName": name, "step": step, "bitsPerValue": 24,
    }  # fmt: skip
    for key, value in keys.items():
        eccodes.codes_set(handle, key, float(value) if isinstance(value, np.floating) else value)
    if np.isnan(flat).any():
        eccodes.codes_set(handle, "missingValue", 9999.0)
        eccodes.codes_set(handle, "bitmapPresent", 1)
        flat = np.where(np.isnan(flat), 9999.0, flat)
    eccodes.codes_set_values(handle, flat.astype(float))


def write(path: Path, rows: list[Row], *, edition: int = 2, **about: Any) -> Path:
    """Values from north to south and west to east; the scan order of `about` is only how they lie
    in the file."""
    with path.open("wb") as f:
        for row in rows:
            handle = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
            one(handle, row, about)
            eccodes.codes_write(handle, f)
            eccodes.codes_release(handle)
    return path


def weather(step: int) -> list[Row]:
    """Wind that grows to the east and with time, from the south in the north; a warm afternoon."""
    u = 3 + EAST / 50e3 + 0.1 * step
    v = NORTH / 55e3
    return [
        ("u", ("isobaricInhPa", 850), step, 9 * u), ("2t", TWO, step, 295 + 0 * u),
        ("10u", TEN, step, u), ("10v", TEN, step, v), ("blh", SURFACE, step, 900 + 0 * u),
        ("zust", SURFACE, step, 0.4 + 0 * u), ("ishf", SURFACE, step, -100 + 0 * u),
        ("u", ("isobaricInhPa", 500), step, 12 * u), ("t", ("isobaricInhPa", 850), step, 280 + 0 * u),
    ]  # fmt: skip


def all_hours(hours: int = 6) -> list[Row]:
    return [row for step in range(hours + 1) for row in weather(step)]


def checked(found: meteorology.Gridded) -> None:
    winds = found.winds
    assert found.start == np.datetime64("2024-05-01T00")
    assert winds.hours == 6
    assert winds.temperature == pytest.approx(295, rel=1e-5)
    # ECMWF's flux counts downwards: 100 W/m² up, L = -rho cp T u*³ / (k g H).
    exact = -1.2 * 1004 * 295 * 0.4**3 / (0.4 * 9.81 * 100)
    assert winds.obukhov == pytest.approx(exact, rel=1e-4)
    # The wind at 10 m is raised to the layer that carries the plumes.
    raised = boundary.wind(CARRIED, 1.0, 10.0, exact, 1.0)
    assert raised > 1.3
    u, v = at(winds, 10e3, 0.0, 2.5)
    assert u == pytest.approx((3 + 0.2 + 0.25) * raised, rel=1e-4)
    assert v == pytest.approx(0, abs=1e-4)
    assert at(winds, 0.0, 40e3, 0)[1] == pytest.approx(40 / 55 * raised, rel=1e-4)
    assert at(winds, 0.0, -40e3, 0)[1] == pytest.approx(-40 / 55 * raised, rel=1e-4)
    assert winds.zi == pytest.approx(900, rel=1e-5)


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("west", [0, 1])
@pytest.mark.parametrize("north", [0, 1])
def test_every_scan_order(tmp_path: Path, edition: int, west: int, north: int) -> None:
    """From the north or the south, from the west or the east: the same weather. Levels of other
    heights in the same file are not taken for those wanted."""
    path = write(
        tmp_path / "gfs.f006", all_hours(), edition=edition, iScansNegatively=west,
        jScansPositively=north,
    )  # fmt: skip
    found = meteorology.read(path, PLANE)
    assert found.notes == ()
    checked(found)
    assert list(tmp_path.iterdir()) == [path]  # no index is left beside it


def test_order_of_messages_and_runs_of_analyses(tmp_path: Path) -> None:
    rows = all_hours()
    checked(meteorology.read(write(tmp_path / "a.grib2", rows[::-1]), PLANE))
    with (tmp_path / "b.grib2").open("wb") as out:  # analyses: each hour is a run of its own
        for hour in range(7):
            part = write(tmp_path / "part", [(n, k, 0, v) for n, k, _s, v in weather(hour)], hour=hour)  # fmt: skip
            out.write(part.read_bytes())
    checked(meteorology.read(tmp_path / "b.grib2", PLANE))


def test_the_same_as_netcdf(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    time = np.datetime64("2024-05-01T00", "ns") + np.arange(7) * np.timedelta64(3600, "s")
    names = {"10u": "u10", "10v": "v10", "blh": "blh", "zust": "zust", "2t": "t2m", "ishf": "ishf"}
    units = {"blh": "m", "t2m": "K", "ishf": "W m-2"}
    data: dict[str, Any] = {}
    for name, called in names.items():
        cube = np.stack([v for n, _k, _s, v in all_hours() if n == name])
        # Time last: whatever order the dimensions come in.
        data[called] = (("latitude", "longitude", "time"), np.moveaxis(cube, 0, 2),
                        {"units": units.get(called, "m s**-1")})  # fmt: skip
    path = tmp_path / "a.nc"
    xarray.Dataset(data, {"time": time, "latitude": LAT, "longitude": LON}).to_netcdf(
        path, engine="h5netcdf"
    )
    found = meteorology.read(path, PLANE)
    assert found.notes == ()
    checked(found)
    other = meteorology.read(write(tmp_path / "a.grib2", all_hours()), PLANE)
    assert found.winds.u == pytest.approx(other.winds.u, rel=1e-5)


def test_steps_of_three_hours_and_fluxes_that_begin_later(tmp_path: Path) -> None:
    rows = [
        row for step in (0, 3, 6) for row in weather(step) if step or row[0] != "ishf"
    ]  # fmt: skip
    found = meteorology.read(write(tmp_path / "a.grib2", rows), PLANE)
    checked(found)
    assert found.notes == (
        "ishf is there from 2024-05-01T03:00:00 to 2024-05-01T06:00:00: its first and last go on",
    )
    late = [row for row in rows if row[0] != "ishf" or row[2] == 6]
    with pytest.raises(FieldError, match=r"ishf is there from 2024-05-01T06.* only, the wind from"):
        meteorology.read(write(tmp_path / "b.grib2", late), PLANE)
    short = meteorology.read(write(tmp_path / "c.grib2", rows), PLANE, hours=48)
    assert short.winds.hours == 6
    assert "ends after 6 of 48 hours (2024-05-01T06:00:00)" in short.notes


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    def without(*names: str) -> Path:
        return write(tmp_path / "a.grib2", [r for r in all_hours(2) if r[0] not in names])

    with pytest.raises(FieldError, match=r"lacks v under any known name \(it has u, 2t, 10u, blh"):
        meteorology.read(without("10v"), PLANE)
    with pytest.raises(FieldError, match=r"u is there at isobaricInhPa 500, isobaricInhPa 850 only, wanted heightAboveGround 10"):  # fmt: skip
        meteorology.read(without("10u"), PLANE)
    named = meteorology.read(without("10u"), PLANE, names={"u": "u"})
    assert named.notes == ("u is at isobaricInhPa 850: taken as heightAboveGround 10",)
    bare = meteorology.read(without("blh", "zust", "ishf", "2t"), PLANE)
    assert [n.split(":")[0] for n in bare.notes] == [
        "no temperature", "no friction velocity", "no heat flux", "no depth of the boundary layer"
    ]  # fmt: skip
    assert bare.winds.temperature == 288  # not that of 850 hPa
    with pytest.raises(FieldError, match="has no 'wind'"):
        meteorology.read(without(), PLANE, names={"u": "wind"})


def test_missing_values_and_sums_are_refused(tmp_path: Path) -> None:
    rows = all_hours(2)
    hole = rows[11][3].copy()
    hole[2, 3] = np.nan
    assert rows[11][:3] == ("10u", TEN, 1)
    rows[11] = (*rows[11][:3], hole)
    with pytest.raises(FieldError, match=r"10u is missing in 1 cells, first at 2024-05-01T01"):
        meteorology.read(write(tmp_path / "a.grib2", rows), PLANE)
    path = write(tmp_path / "b.grib2", [*all_hours(2), *[("sshf", SURFACE, s, 3600 * hole) for s in (1, 2)]])  # fmt: skip
    with pytest.raises(FieldError, match=r"sshf has the unit 'J m\*\*-2' \(a sum over the step\), wanted one of wm-2"):  # fmt: skip
        meteorology.read(path, PLANE, names={"heat": "sshf"})


def test_files_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.grib2", all_hours(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(FieldError, match="cannot be read as GRIB in field 27"):
        meteorology.read(path, PLANE)
    path.write_bytes(b"")
    with pytest.raises(FieldError, match=r"cannot be read as GRIB \(no field in it\)"):
        meteorology.read(path, PLANE)
    path.write_bytes(whole + whole)
    with pytest.raises(FieldError, match=r"has u .* more than once for 2024-05-01T00:00:00: several members"):  # fmt: skip
        meteorology.read(path, PLANE)
    write(path, [r for r in all_hours(2) if r[0] != "10v"])
    other = write(tmp_path / "v", [r for r in all_hours(2) if r[0] == "10v"], lon=LON + 0.12)
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with pytest.raises(FieldError, match="10v is on another grid than 10u"):
        meteorology.read(path, PLANE)
    monkeypatch.setattr(meteorology, "LARGEST", 1000)
    write(path, all_hours(2))
    with pytest.raises(
        FieldError, match="covers 110 x 115 km, 3 hours: more than 1000 values; cut"
    ):
        meteorology.read(path, PLANE)


def test_a_grid_that_is_not_even(tmp_path: Path) -> None:
    path = tmp_path / "a.grib2"
    with path.open("wb") as f:
        handle = eccodes.codes_grib_new_from_samples("reduced_gg_sfc_grib2")
        eccodes.codes_set(handle, "shortName", "10u")
        eccodes.codes_write(handle, f)
        eccodes.codes_release(handle)
    with pytest.raises(FieldError, match=r"the grid of 10u is reduced_gg, not even in longitude"):
        meteorology.read(path, PLANE)


def test_without_the_library_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.bin", weather(0))
    assert gridded.is_grib(path)
    monkeypatch.setitem(__import__("sys").modules, "eccodes", None)
    with pytest.raises(FieldError, match=r"GRIB needs ecCodes: install jingwei\[grib\]"):
        meteorology.read(path, PLANE)
