"""Columns from NetCDF: names, units, quality, groups; and what is said where a file cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from jingwei.analysis.air import satellite
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.hotgrids import Grid
from jingwei.analysis.air.weather import Plane

LON, LAT = np.linspace(116.0, 116.9, 10), np.linspace(39.5, 40.4, 10)
COLUMN = np.arange(100.0).reshape(10, 10) * 1e-6  # mol/m²


def even(place: Path, **change: Any) -> Path:
    """Level 3: two days of an even grid, in the classic format."""
    about = {"units": "mol m-2", "standard_name": satellite.NAMES["no2"][0]} | change.get(
        "attrs", {}
    )
    data = xarray.Dataset(
        {change.get("name", "column"): (("time", "lat", "lon"), np.stack([COLUMN, 2 * COLUMN]) * change.get("times", 1.0), about)},
        coords={
            "time": ("time", np.array(["2026-10-01T05:30", "2026-10-02T05:10"], "datetime64[ns]")),
            "lat": ("lat", LAT), "lon": ("lon", LON),
        },
        attrs={"title": "Even NO2", **change.get("about", {})},
    )  # fmt: skip
    if drop := change.get("drop"):
        data = data.drop_vars(drop)
    file = place / "even.nc"
    data.to_netcdf(file, engine="scipy")
    return file


def swath(place: Path, quality: np.ndarray | None = None) -> Path:
    """Level 2 as TROPOMI lays it out: group PRODUCT, two-dimensional places, quality in hundredths."""
    lon, lat = np.meshgrid(LON, LAT)
    file = place / "S5P_swath.nc"
    xarray.Dataset(
        attrs={"time_coverage_start": "2026-10-03T05:01:02Z", "title": "S5P NO2"}
    ).to_netcdf(file, engine="h5netcdf")
    product = xarray.Dataset(
        {
            "nitrogendioxide_tropospheric_column": (("time", "scanline", "ground_pixel"), COLUMN[None], {"units": "mol m-2"}),
            "qa_value": (("time", "scanline", "ground_pixel"), (np.ones((10, 10)) if quality is None else quality)[None]),
            "longitude": (("time", "scanline", "ground_pixel"), lon[None]),
            "latitude": (("time", "scanline", "ground_pixel"), lat[None]),
            "time": (("time",), np.array(["2026-10-03"], "datetime64[ns]")),
        }
    )  # fmt: skip
    product.to_netcdf(file, mode="a", group="PRODUCT", engine="h5netcdf")
    return file


def test_an_even_grid_gives_a_scene_a_day(tmp_path: Path) -> None:
    one, two = satellite.read(even(tmp_path))
    assert one.time == datetime(2026, 10, 1, 5, 30, tzinfo=UTC)
    assert (one.gas, one.source, one.synthetic) == ("no2", "Even NO2", False)
    np.testing.assert_allclose(one.column, COLUMN * 1e6)
    np.testing.assert_allclose(two.column, 2 * one.column)
    assert one.notes == ("quality",)  # the file says nothing of it
    assert one.longitude[3, 7] == pytest.approx(LON[7])
    assert one.latitude[3, 7] == pytest.approx(LAT[3])


def test_a_swath_is_found_in_its_group_and_bad_pixels_go(tmp_path: Path) -> None:
    quality = np.ones((10, 10))
    quality[2] = 0.75  # not above it
    (scene,) = satellite.read(swath(tmp_path, quality))
    assert scene.time == datetime(2026, 10, 3, 5, 1, 2, tzinfo=UTC)  # not the midnight of `time`
    assert np.isnan(scene.column[2]).all()
    assert np.isfinite(scene.column).sum() == 90
    assert not scene.notes


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        ("mol m-2", 1e6), ("mol/m2", 1e6), ("mol m^-2", 1e6), ("µmol m-2", 1.0), ("umol/m2", 1.0),
        ("molec cm-2", 1.66053907e-14), ("molecules/cm2", 1.66053907e-14),
        ("1e15 molec cm-2", 16.6053907), ("10^15 molecules/cm^2", 16.6053907), ("DU", 446.15),
    ],
)  # fmt: skip
def test_units(unit: str, times: float) -> None:
    assert satellite.scale(unit) == pytest.approx(times, rel=1e-6)


@pytest.mark.parametrize("unit", ["", "K", "kg m-2", "mol", "ppb", "mol m-3"])
def test_what_is_no_column(unit: str) -> None:
    assert satellite.scale(unit) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "vcd", "attrs": {"standard_name": "odd"}}, r"lacks no2 or hcho .*it has vcd.*no2=NAME"),
        ({"attrs": {"units": "K"}}, r"column has the unit 'K'; wanted a column density"),
        ({"attrs": {"units": ""}}, r"column has no unit; wanted a column density"),
        ({"times": 1e4}, r"around 6.6e\+05 µmol/m².*is its unit 'mol m-2' right"),
        ({"drop": "lat"}, r"lacks latitude"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(FieldError, match=said):
        satellite.read(even(tmp_path, **change))


def test_other_names_are_given_by_hand(tmp_path: Path) -> None:
    file = even(tmp_path, name="vcd", attrs={"standard_name": "odd"})
    assert satellite.read(file, names={"no2": "vcd"})[0].gas == "no2"
    with pytest.raises(FieldError, match="has no 'vdc'"):
        satellite.read(file, names={"no2": "vdc"})
    with pytest.raises(FieldError, match="so2 is none of no2, hcho"):
        satellite.read(file, names={"so2": "vcd"})


def test_no_netcdf_and_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_text("time,no2\n")
    with pytest.raises(FieldError, match=r"a\.nc: cannot be read as NetCDF"):
        satellite.read(tmp_path / "a.nc")
    with pytest.raises(FieldError, match="cannot be read"):
        satellite.read(tmp_path / "none.nc")
    file = even(tmp_path, drop="time")
    with pytest.raises(FieldError, match="does not say when it was taken"):
        satellite.read(file)
    when = datetime(2026, 10, 5, tzinfo=UTC)
    assert satellite.read(file, time=when)[0].time == when


def test_what_was_made_up_is_known_as_such(tmp_path: Path) -> None:
    assert satellite.read(even(tmp_path, about={"comment": "SYNTHETIC, not measured"}))[0].synthetic


def test_pixels_fill_the_cells_that_they_cover_and_clouds_stay_holes() -> None:
    plane = Plane(116.4, 39.9)
    lon, lat = np.meshgrid(
        np.arange(115.8, 117.0, 0.05), np.arange(39.5, 40.3, 0.05)
    )  # 4.3 × 5.6 km
    x, y = plane.to(lon, lat)
    column = np.where(lon < 116.4, 100.0, 200.0)
    column[(abs(lon - 116.1) < 0.01) & (abs(lat - 39.9) < 0.01)] = np.nan
    scene = satellite.Scene(
        "no2", datetime(2026, 10, 1, tzinfo=UTC), lon, lat, column, "", (), False
    )
    grid = Grid.on(plane, [-40e3, 40e3], [-30e3, 30e3], 3000)
    found = satellite.on_cells(scene, x, y, grid.centres(), grid.size)
    cx, cy = grid.centres()
    bx, by = plane.to(116.1, 39.9)
    hole = (abs(cx - bx) < 2100) & (abs(cy - by) < 2700)  # half a pixel
    assert hole.any()
    assert np.isnan(found[hole]).all()
    assert np.isfinite(found).mean() > 0.97  # every other cell lies in some pixel
    assert np.unique(found[np.isfinite(found) & (cx < -4e3)]).tolist() == [100.0]
    assert np.unique(found[np.isfinite(found) & (cx > 4e3)]).tolist() == [200.0]
    wide = Grid.on(plane, [-40e3, 40e3], [-30e3, 30e3], 20_000)
    means = satellite.on_cells(scene, x, y, wide.centres(), wide.size)
    assert np.isfinite(means).all()  # many pixels in each
    far = Grid.on(plane, [400e3, 440e3], [0.0, 30e3], 3000)
    assert np.isnan(satellite.on_cells(scene, x, y, far.centres(), far.size)).all()
