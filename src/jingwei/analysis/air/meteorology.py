"""Gridded meteorology, NetCDF or GRIB2, as `Winds`: needs `jingwei[grids]`; GRIB2 cfgrid besides.

Names differ from producer to producer: variables are found by their CF standard name or one of the
usual short names; others are given by hand. What is missing is told by name, with what the file has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jingwei.analysis.air import boundary
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.puffs import Winds
from jingwei.analysis.air.weather import Plane

# What is wanted: CF standard names, then usual short names.
NAMES = {
    "u": ("eastward_wind", "u10", "10u", "u", "u10m", "ugrd10m", "uwnd"),
    "v": ("northward_wind", "v10", "10v", "v", "v10m", "vgrd10m", "vwnd"),
    "zi": ("atmosphere_boundary_layer_thickness", "blh", "pblh", "hpbl", "zi"),
    "heat": ("surface_upward_sensible_heat_flux", "ishf", "hfx", "shf", "shtfl"),
    "ustar": ("friction_velocity", "zust", "ust", "fricv", "ustar"),
    "temperature": ("air_temperature", "t2m", "2t", "t2", "tmp2m"),
    "time": ("time", "valid_time", "step"),
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
}


@dataclass(frozen=True)
class Gridded:
    """`winds` from the hour `start` (as in the file, usually UTC) on; `notes`: what was assumed."""

    start: np.datetime64
    winds: Winds
    notes: tuple[str, ...]


def _open(source: Path) -> Any:
    try:
        import xarray
    except ImportError as error:
        raise FieldError(
            f"{source}: gridded meteorology needs xarray: install jingwei[grids] ({error})"
        ) from error
    grib = source.suffix.lower() in (".grib", ".grib2", ".grb", ".grb2")
    try:
        return xarray.open_dataset(source, engine="cfgrib" if grib else None, decode_timedelta=True)
    except (OSError, ValueError, ImportError, RuntimeError, EOFError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FieldError(
            f"{source}: cannot be read as {'GRIB' if grib else 'NetCDF'} ({first})"
        ) from error


def _find(data: Any, wanted: str, given: dict[str, str], source: Path) -> Any | None:
    """The variable for `wanted`, None where there is none."""
    if wanted in given:
        if given[wanted] not in data.variables:
            raise FieldError(
                f"{source}: has no {given[wanted]!r} (it has {', '.join(map(str, data.variables))})"
            )
        return data[given[wanted]]
    for name, variable in data.variables.items():
        if variable.attrs.get("standard_name") in NAMES[wanted][:1]:
            return data[name]
    lower = {str(n).lower(): n for n in data.variables}
    for name in NAMES[wanted]:
        if name in lower:
            return data[lower[name]]
    return None


def read(
    source: Path,
    plane: Plane,
    *,
    size: float = 5_000.0,
    hours: int | None = None,
    names: dict[str, str] | None = None,
    roughness: float = 1.0,
) -> Gridded:
    """Hourly `Winds` on a mesh of `size` m over the file's area. Dimensions: time, latitude, longitude.

    Needs u and v (m/s, at 10 m). u*, depth of the boundary layer (m) and sensible heat flux (W/m², up
    positive) where the file has them, else neutral air: said in the notes. `names` maps u, v, zi,
    heat, ustar, temperature, time, latitude, longitude to names of the file. Times are interpolated
    to whole hours; `hours` asks for so many: FieldError where the file ends before.
    """
    given = names or {}
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise FieldError(f"names: {', '.join(unknown)} is none of {', '.join(NAMES)}")
    with _open(source) as data:
        found: dict[str, Any] = {k: _find(data, k, given, source) for k in NAMES}
        lacking = [k for k in ("u", "v", "time", "latitude", "longitude") if found[k] is None]
        if lacking:
            has = ", ".join(map(str, data.variables)) or "nothing"
            raise FieldError(
                f"{source}: lacks {', '.join(lacking)} under any known name (it has {has});"
                " say which is which by `names`"
            )
        times = np.atleast_1d(np.asarray(found["time"].values)).astype("datetime64[s]")
        lat, lon = (np.atleast_1d(floats(found[k].values)) for k in ("latitude", "longitude"))
        if lat.ndim != 1 or lon.ndim != 1:
            raise FieldError(f"{source}: the grid is not even in longitude and latitude")
        shape = (len(times), len(lat), len(lon))
        tables: dict[str, Floats] = {}
        for k in ("u", "v", "zi", "heat", "ustar", "temperature"):
            if found[k] is None:
                continue
            values = floats(found[k].values)
            if values.size != np.prod(shape):
                raise FieldError(
                    f"{source}: {found[k].name} has the shape {values.shape}, wanted"
                    f" {shape} (time, latitude, longitude)"
                )
            tables[k] = values.reshape(shape)
    if len(times) < 2 or (np.diff(times) <= np.timedelta64(0, "s")).any():
        raise FieldError(f"{source}: wanted two times at least, one after another")
    return _regular(source, plane, size, hours, times, lat, lon, tables, roughness)


def _regular(
    source: Path, plane: Plane, size: float, hours: int | None, times: Any, lat: Floats, lon: Floats,
    tables: dict[str, Floats], roughness: float,
) -> Gridded:  # fmt: skip
    notes = []
    for axis, values in ((1, lat), (2, lon)):
        if len(values) < 2:
            raise FieldError(f"{source}: one row of cells is no grid")
        if values[0] > values[-1]:
            tables = {k: np.flip(v, axis) for k, v in tables.items()}
    lat, lon = np.sort(lat), np.sort(lon)
    x, y = plane.to(lon, np.full(len(lon), plane.latitude))[0], plane.to(0.0 * lat, lat)[1]
    nx, ny = (int((a[-1] - a[0]) // size) + 1 for a in (x, y))
    if nx < 2 or ny < 2:
        raise FieldError(f"{source}: covers less than two cells of {size:g} m")
    gx, gy = floats(x[0] + size * np.arange(nx)), floats(y[0] + size * np.arange(ny))
    seconds = (times - times[0]).astype(float)
    whole = int(seconds[-1] // 3600)
    if hours is not None and whole < hours:
        raise FieldError(f"{source}: ends after {whole} of {hours} hours ({times[-1]})")
    wanted = floats(np.arange((hours if hours is not None else whole) + 1) * 3600.0)
    if np.diff(seconds).max() > 3 * 3600 + 1:
        notes.append(f"times are up to {np.diff(seconds).max() / 3600:g} h apart: interpolated")
    even = {}
    for name, values in tables.items():
        gaps = int((~np.isfinite(values)).sum())
        if gaps:
            raise FieldError(f"{source}: {name} is missing in {gaps} cells")
        even[name] = _to(_to(_to(values, seconds, wanted, 0), y, gy, 1), x, gx, 2)
    u, v = even["u"], even["v"]
    speed = np.maximum(np.hypot(u, v), 0.3)
    kelvin = float(even["temperature"].mean()) if "temperature" in even else 288.0
    neutral = np.full(u.shape, 1e5)
    ustar = even.get("ustar")
    if ustar is None:
        ustar = boundary.friction_velocity(speed, 10.0, neutral, roughness)
        notes.append("no friction velocity: from the wind and a roughness of the whole area")
    ustar = np.maximum(ustar, 0.02)
    if "heat" in even:
        obukhov = boundary.obukhov_length(ustar, even["heat"], kelvin)
    else:
        obukhov = neutral
        notes.append("no heat flux: the air is taken as neutral, day and night")
    if "zi" in even:
        zi = np.clip(even["zi"], 50.0, 5000.0)
    else:
        zi = np.clip(boundary.mechanical_depth(ustar), 100.0, 4000.0)
        notes.append("no depth of the boundary layer: from the friction velocity")
    return Gridded(
        times[0],
        Winds(float(gx[0]), float(gy[0]), size, u, v, ustar, obukhov, zi, temperature=kelvin),
        tuple(notes),
    )


def _to(values: Floats, old: Floats, new: Floats, axis: int) -> Floats:
    """Linear interpolation along one axis; `old` rises."""
    at = np.clip(np.searchsorted(old, new, side="right") - 1, 0, len(old) - 2)
    share = np.clip((new - old[at]) / (old[at + 1] - old[at]), 0.0, 1.0)
    form = [1] * values.ndim
    form[axis] = len(new)
    w = share.reshape(form)
    return np.asarray(
        (1 - w) * np.take(values, at, axis=axis) + w * np.take(values, at + 1, axis=axis)
    )
