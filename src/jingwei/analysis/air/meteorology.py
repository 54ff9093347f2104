"""Gridded meteorology, NetCDF (`jingwei[grids]`) or GRIB (`jingwei[grib]`), as `Winds`.

Names differ from producer to producer: variables are found by their CF standard name or one of the
usual short names; others are given by hand. What is missing is told by name, with what the file has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jingwei.analysis.air import boundary, gridded
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.field.tables import FieldError, GridError, Said
from jingwei.analysis.air.gridded import Variable
from jingwei.analysis.air.puffs import Winds
from jingwei.analysis.air.weather import CARRIED, Plane

# What is wanted: CF standard names, then usual short names.
NAMES = {
    "u": ("eastward_wind", "u10", "10u", "u", "u10m", "ugrd10m", "uwnd"),
    "v": ("northward_wind", "v10", "10v", "v", "v10m", "vgrd10m", "vwnd"),
    "zi": ("atmosphere_boundary_layer_thickness", "blh", "pblh", "hpbl", "zi"),
    "heat": ("surface_upward_sensible_heat_flux", "ishf", "hfx", "shf", "shtfl"),
    "ustar": ("friction_velocity", "zust", "ust", "fricv", "ustar"),
    "temperature": ("air_temperature", "t2m", "2t", "t2", "tmp2m"),
    "rain": ("precipitation_flux", "prate", "tprate", "mtpr", "avg_tprate"),
    "time": ("time", "valid_time", "step"),
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
}
AXES = ("time", "latitude", "longitude")
# The level that GRIB must say: m above the ground.
LEVELS = {
    "u": "heightAboveGround 10", "v": "heightAboveGround 10",
    "temperature": "heightAboveGround 2",
}  # fmt: skip
# Downward positive, as all vertical fluxes of ECMWF are (its parameter 231).
DOWNWARD = ("ishf",)
# Spellings of units without blanks, stars, carets and dots: factor and offset to SI.
_SPEED = {"ms-1": (1.0, 0.0), "m/s": (1.0, 0.0), "kt": (0.514444, 0.0), "knots": (0.514444, 0.0),
          "kmh-1": (1 / 3.6, 0.0), "km/h": (1 / 3.6, 0.0)}  # fmt: skip
UNITS = {
    "u": _SPEED, "v": _SPEED, "ustar": _SPEED,
    "zi": {"m": (1.0, 0.0), "metre": (1.0, 0.0), "meters": (1.0, 0.0), "km": (1e3, 0.0)},
    "heat": {"wm-2": (1.0, 0.0), "w/m2": (1.0, 0.0)},
    "temperature": {"k": (1.0, 0.0), "kelvin": (1.0, 0.0), "c": (1.0, 273.15),
                    "degc": (1.0, 273.15), "°c": (1.0, 273.15), "celsius": (1.0, 273.15)},
    "rain": {"kgm-2s-1": (3600.0, 0.0), "mms-1": (3600.0, 0.0), "mm/s": (3600.0, 0.0),
             "mmh-1": (1.0, 0.0), "mm/h": (1.0, 0.0)},
}  # fmt: skip
EDGE = np.timedelta64(3, "h")  # for so long before and after its times a variable goes on
_PLACELESS = "has no time, latitude and longitude for '%(name)s' (it has %(has)s)"
LARGEST = 200_000_000  # values of a table of `Winds`: nodes x hours


@dataclass(frozen=True)
class Gridded:
    """`winds` from the hour `start` (as in the file, usually UTC) on, raised to `CARRIED`; `notes`: what
    was assumed; `rain` (hours + 1,) mm/h, mean of the area, None where the file has none."""

    start: np.datetime64
    winds: Winds
    notes: tuple[Said, ...]
    rain: Floats | None = None


def read(
    source: Path,
    plane: Plane,
    *,
    size: float = 5_000.0,
    hours: int | None = None,
    names: dict[str, str] | None = None,
    roughness: float = 1.0,
) -> Gridded:
    """Hourly `Winds` on a mesh of `size` m over the file's area.

    Needs u and v (at 10 m; the similarity profile raises them to `CARRIED`). u*, depth of the boundary layer and sensible heat flux where the file has
    them, else neutral air: said in the notes. Units are converted as the file says them, SI where it
    does not. `names` maps u, v, zi, heat, ustar, temperature, rain, time, latitude, longitude to names of
    the file. Times are interpolated to whole hours; `hours` asks for so many: where the file ends
    before, what it has is taken and a note says so.
    """
    given = names or {}
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise FieldError(f"names: {', '.join(unknown)} is none of {', '.join(NAMES)}")
    if gridded.is_grib(source):
        asked = [n for k, v in NAMES.items() if k not in AXES for n in v]
        variables, has = gridded.grib(source, [n.lower() for n in [*asked, *given.values()]])
    else:
        variables, has = gridded.netcdf(source, {k: NAMES[k] for k in AXES}, given)
    notes: list[Said] = []
    found: dict[str, Variable] = {}
    for key in NAMES:
        if key not in AXES and (one := _find(variables, key, given, source, has, notes)):
            found[key] = one
    lacking = [k for k in ("u", "v") if k not in found]
    if lacking:
        raise GridError(
            source, gridded.LACKS, lacking=", ".join(lacking), has=", ".join(has) or "–"
        )
    unsaid = [v.names[0] for v in found.values() if not v.units]
    if unsaid:
        notes.append(
            Said("no unit of %(names)s: taken as SI (m/s, m, W/m², K)", names=", ".join(unsaid))
        )
    tables = {k: _si(k, v, source) for k, v in found.items()}
    wind = found["u"]
    if len(wind.times) < 2 or (np.diff(wind.times) <= np.timedelta64(0, "s")).any():
        raise GridError(source, "wanted two times at least, one after another")
    return _regular(source, plane, size, hours, found, tables, notes, roughness)


def _find(
    variables: list[Variable],
    wanted: str,
    given: dict[str, str],
    source: Path,
    has: list[str],
    notes: list[Said],
) -> Variable | None:
    """The variable for `wanted`, None where there is none."""
    level = LEVELS.get(wanted, "")
    if wanted in given:
        mine = [v for v in variables if given[wanted] in v.names]
        if not mine:
            why = gridded.HAS_NO if given[wanted] not in has else _PLACELESS
            raise GridError(source, why, name=given[wanted], has=", ".join(has))
        one = next((v for v in mine if v.level == level), mine[0])
        if level and one.level not in ("", level):
            notes.append(
                Said(
                    "%(name)s is at %(level)s: taken as %(wanted)s", name=one.names[0],
                    level=one.level, wanted=level,
                )
            )  # fmt: skip
        return one
    named = [v for n in NAMES[wanted] for v in variables if n in {a.lower() for a in v.names}]
    standard = [v for v in variables if v.standard == NAMES[wanted][0]]
    mine = standard + named
    fits = [v for v in mine if not level or v.level in ("", level)]
    if mine and not fits and wanted in ("u", "v"):
        raise GridError(
            source, "%(name)s is there at %(levels)s only, wanted %(wanted)s (m)", name=wanted,
            levels=", ".join(sorted({v.level for v in mine})[:5]), wanted=level,
        )  # fmt: skip
    return min(fits, key=lambda v: v.kind not in ("", "instant"), default=None)


def _si(key: str, variable: Variable, source: Path) -> Floats:
    """Values in SI; the heat flux upwards."""
    name = variable.names[0]
    plain = "".join(c for c in variable.units.lower() if c not in " *^.·").replace("²", "2")
    if plain and plain not in UNITS[key]:
        summed = key == "heat" and variable.kind == "accum"
        raise GridError(
            source,
            "%(name)s has the unit '%(unit)s' (a sum over the step), wanted one of %(wanted)s"
            if summed
            else "%(name)s has the unit '%(unit)s', wanted one of %(wanted)s",
            name=name,
            unit=variable.units,
            wanted=", ".join(UNITS[key]),
        )
    if variable.kind not in ("", "instant", "avg"):
        raise GridError(
            source, "%(name)s is no mean and no instant but '%(kind)s'", name=name,
            kind=variable.kind,
        )  # fmt: skip
    factor, offset = UNITS[key].get(plain, (1.0, 0.0))
    sign = -1.0 if set(DOWNWARD) & set(variable.names) else 1.0
    if variable.standard == NAMES["heat"][0]:
        sign = 1.0
    gaps = ~np.isfinite(variable.values)
    if gaps.any():
        when = variable.times[int(np.argwhere(gaps)[0][0])]
        raise GridError(
            source, "%(name)s is missing in %(n)d cells, first at %(time)s", name=name,
            n=int(gaps.sum()), time=when,
        )  # fmt: skip
    return floats(sign * (factor * variable.values + offset))


def _regular(
    source: Path, plane: Plane, size: float, hours: int | None, found: dict[str, Variable],
    tables: dict[str, Floats], notes: list[Said], roughness: float,
) -> Gridded:  # fmt: skip
    wind = found["u"]
    for variable in found.values():
        if not np.array_equal(variable.latitude, wind.latitude) or not np.array_equal(
            variable.longitude, wind.longitude
        ):
            raise GridError(
                source, "%(name)s is on another grid than %(wind)s", name=variable.names[0],
                wind=wind.names[0],
            )  # fmt: skip
    times, lat = wind.times, wind.latitude
    lon = (wind.longitude - plane.longitude + 180) % 360 - 180 + plane.longitude
    east = np.argsort(lon)
    lon, tables = lon[east], {k: v[:, :, east] for k, v in tables.items()}
    if len(lat) < 2 or len(lon) < 2:
        raise GridError(source, "one row of cells is no grid")
    x, y = plane.to(lon, np.full(len(lon), plane.latitude))[0], plane.to(0.0 * lat, lat)[1]
    nx, ny = (int((a[-1] - a[0]) // size) + 1 for a in (x, y))
    if nx < 2 or ny < 2:
        raise GridError(source, "covers less than two cells of %(size)g m", size=size)
    gx, gy = floats(x[0] + size * np.arange(nx)), floats(y[0] + size * np.arange(ny))
    seconds = (times - times[0]).astype(float)
    whole = int(seconds[-1] // 3600)
    if whole < 1:
        raise GridError(
            source, "has less than an hour, %(first)s to %(last)s", first=times[0], last=times[-1]
        )
    if hours is not None and whole < hours:
        notes.append(
            Said(
                "ends after %(whole)d of %(hours)d hours (%(last)s)", whole=whole, hours=hours,
                last=times[-1],
            )
        )  # fmt: skip
    wanted = floats(np.arange((whole if hours is None else min(hours, whole)) + 1) * 3600.0)
    if nx * ny * len(wanted) > LARGEST:
        raise GridError(
            source,
            "covers %(east).0f x %(north).0f km, %(hours)d hours: more than %(most)d values; cut out"
            " the region first, or take a larger cell",
            east=nx * size / 1e3, north=ny * size / 1e3, hours=len(wanted), most=LARGEST,
        )  # fmt: skip
    if np.diff(seconds).max() > 3 * 3600 + 1:
        gap = float(np.diff(seconds).max()) / 3600
        notes.append(Said("times are up to %(gap)g h apart: interpolated", gap=gap))
    even = {}
    for key, values in tables.items():
        name, own = found[key].names[0], found[key].times
        early, late = own[0] - times[0], times[0] + int(wanted[-1]) - own[-1]
        if max(early, late) > EDGE or len(own) < 2:
            raise GridError(
                source,
                "%(name)s is there from %(first)s to %(last)s only, the wind from %(begin)s to %(end)s",
                name=name, first=own[0], last=own[-1], begin=times[0], end=times[-1],
            )  # fmt: skip
        if max(early, late) > np.timedelta64(0, "s"):
            notes.append(
                Said(
                    "%(name)s is there from %(first)s to %(last)s: its first and last go on",
                    name=name, first=own[0], last=own[-1],
                )
            )  # fmt: skip
        if found[key].kind == "avg":
            notes.append(Said("%(name)s is a mean over the step that ends at its time", name=name))
        since = floats((own - times[0]).astype(float))
        even[key] = _to(_to(_to(values, since, wanted, 0), y, gy, 1), x, gx, 2)
    u, v = even["u"], even["v"]
    speed = np.maximum(np.hypot(u, v), 0.3)
    kelvin = 288.0
    if "temperature" in even:
        kelvin = float(even["temperature"].mean())
        if not 200 < kelvin < 340:
            raise GridError(
                source, "%(name)s is %(kelvin)g K on average", kelvin=kelvin,
                name=found["temperature"].names[0],
            )  # fmt: skip
    else:
        notes.append(Said("no temperature: 288 K"))
    neutral = np.full(u.shape, 1e5)
    ustar = even.get("ustar")
    if ustar is None:
        ustar = boundary.friction_velocity(speed, 10.0, neutral, roughness)
        notes.append(Said("no friction velocity: from the wind and a roughness of the whole area"))
    ustar = np.maximum(ustar, 0.02)
    if "heat" in even:
        obukhov = boundary.obukhov_length(ustar, even["heat"], kelvin)
    else:
        obukhov = neutral
        notes.append(Said("no heat flux: the air is taken as neutral, day and night"))
    if "zi" in even:
        zi = np.clip(even["zi"], 50.0, 5000.0)
    else:
        zi = np.clip(boundary.mechanical_depth(ustar), 100.0, 4000.0)
        notes.append(Said("no depth of the boundary layer: from the friction velocity"))
    raised = boundary.wind(CARRIED, 1.0, 10.0, obukhov, roughness)
    x0, y0 = float(gx[0]), float(gy[0])
    return Gridded(
        times[0],
        Winds(x0, y0, size, u * raised, v * raised, ustar, obukhov, zi, temperature=kelvin),
        tuple(notes),
        np.maximum(even["rain"], 0.0).mean(axis=(1, 2)) if "rain" in even else None,
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
