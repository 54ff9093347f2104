"""Variables on an even grid of longitude and latitude, as NetCDF and GRIB files give them.

NetCDF needs `jingwei[grids]` (xarray), GRIB of both editions `jingwei[grib]` (ecCodes). GRIB is read
message by message, not through cfgrib: that mirrors fields written from east to west, leaves out
variables whose levels differ from the first one's, and goes on after a broken message; all that in
silence. Here every value is put where the message says that it lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.field.tables import GridError

Times = npt.NDArray[np.datetime64]
_MISSING = 9.999e20
LACKS = "lacks %(lacking)s under any known name (it has %(has)s); say which is which by `names`"
HAS_NO = "has no '%(name)s' (it has %(has)s)"


@dataclass(frozen=True)
class Variable:
    """`values` (times, latitudes, longitudes), all three axes rising, NaN where missing; `names` are
    those it goes by, the first its own; `level` as GRIB says it ("heightAboveGround 10"), else "";
    `kind` "instant", "avg", "accum" …, else ""."""

    names: tuple[str, ...]
    standard: str
    units: str
    level: str
    kind: str
    times: Times
    latitude: Floats
    longitude: Floats
    values: Floats


def is_grib(source: Path) -> bool:
    """By its first four bytes; by its name where there is no such file."""
    try:
        with source.open("rb") as f:
            if f.read(4) == b"GRIB":
                return True
    except OSError:
        pass
    return source.suffix.lower() in (".grib", ".grib2", ".grb", ".grb2")


# ---- GRIB ----------------------------------------------------------------------------------------


def grib(source: Path, wanted: Iterable[str]) -> tuple[list[Variable], list[str]]:
    """The variables of these names, and the names of all. Raises GridError."""
    try:
        import eccodes
    except (ImportError, RuntimeError) as error:
        raise GridError(
            source, "GRIB needs ecCodes: install jingwei[grib] (%(error)s)", error=error
        ) from error
    names = set(wanted)
    found: dict[tuple[str, ...], list[tuple[np.datetime64, Any]]] = {}
    about: dict[tuple[str, ...], dict[str, str]] = {}
    seen: list[str] = []
    number = 0
    try:
        with source.open("rb") as f:
            while (message := eccodes.codes_grib_new_from_file(f)) is not None:
                number += 1
                try:
                    told = {
                        k: str(eccodes.codes_get(message, k, ktype=str))
                        for k in ("shortName", "cfVarName", "cfName", "units", "typeOfLevel",
                                  "level", "stepType", "gridType", "validityDate", "validityTime")
                    }  # fmt: skip
                    if told["shortName"] not in seen:
                        seen.append(told["shortName"])
                    if not names & {told["shortName"].lower(), told["cfVarName"].lower()}:
                        continue
                    level = f"{told['typeOfLevel']} {told['level']}"
                    key = (told["shortName"], level, told["stepType"])
                    about.setdefault(key, told)
                    found.setdefault(key, []).append((_when(told), _field(message, told, source)))
                finally:
                    eccodes.codes_release(message)
    except (OSError, eccodes.CodesInternalError) as error:
        if not number:
            raise GridError(source, "cannot be read as GRIB (%(error)s)", error=error) from error
        raise GridError(
            source, "cannot be read as GRIB in field %(number)d (%(error)s)", number=number + 1,
            error=error,
        ) from error  # fmt: skip
    if not number:
        raise GridError(source, "cannot be read as GRIB (no field in it)")
    return [_joined(key, about[key], rows, source) for key, rows in found.items()], seen


def _when(told: dict[str, str]) -> np.datetime64:
    day, clock = told["validityDate"], told["validityTime"].zfill(4)
    return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:8]}T{clock[:2]}:{clock[2:4]}:00", "s")


def _field(message: Any, told: dict[str, str], source: Path) -> tuple[Floats, Floats, Floats]:
    """Latitudes, longitudes and values on them, whichever way the message runs through its grid."""
    import eccodes

    if told["gridType"] not in ("regular_ll", "regular_gg"):
        raise GridError(
            source,
            "the grid of %(name)s is %(grid)s, not even in longitude and latitude: interpolate it"
            " first (for example cdo remapbil)",
            name=told["shortName"], grid=told["gridType"],
        )  # fmt: skip
    eccodes.codes_set(message, "missingValue", _MISSING)
    values = floats(eccodes.codes_get_values(message))
    values = np.where(values == _MISSING, np.nan, values)
    places = (floats(eccodes.codes_get_array(message, k)) for k in ("latitudes", "longitudes"))
    # To a millionth of a degree: what an axis of GRIB can say.
    latitude, j = np.unique(np.round(next(places), 6), return_inverse=True)
    longitude, i = np.unique(np.round(next(places), 6), return_inverse=True)
    table = np.full((len(latitude), len(longitude)), np.nan)
    if values.size != table.size:
        raise GridError(source, "the grid of %(name)s has holes", name=told["shortName"])
    table[j, i] = values
    return floats(latitude), floats(longitude), table


def _joined(
    key: tuple[str, ...], told: dict[str, str], rows: list[tuple[np.datetime64, Any]], source: Path
) -> Variable:
    rows.sort(key=lambda r: r[0])
    times = np.array([t for t, _f in rows], "datetime64[s]")
    double = np.flatnonzero(np.diff(times) == np.timedelta64(0, "s"))
    if len(double):
        raise GridError(
            source,
            "has %(name)s (%(level)s) more than once for %(time)s: several members or runs in one"
            " file; cut out one of them",
            name=key[0], level=key[1], time=times[double[0]],
        )  # fmt: skip
    latitude, longitude, _values = rows[0][1]
    for when, (lat, lon, _v) in rows:
        if not np.array_equal(lat, latitude) or not np.array_equal(lon, longitude):
            raise GridError(
                source, "the grid of %(name)s at %(time)s is not that of the others", name=key[0],
                time=when,
            )  # fmt: skip
    return Variable(
        (told["shortName"], told["cfVarName"]), told["cfName"], told["units"], key[1], key[2], times,
        latitude, longitude,
        np.stack([f[2] for _t, f in rows]),
    )  # fmt: skip


# ---- NetCDF --------------------------------------------------------------------------------------


def netcdf(
    source: Path, axes: dict[str, tuple[str, ...]], given: dict[str, str]
) -> tuple[list[Variable], list[str]]:
    """All variables over time, latitude and longitude, and the names of all. `axes`: what these three
    are called; `given`: what they are called in this file. Raises GridError."""
    try:
        import xarray
    except ImportError as error:
        raise GridError(
            source, "NetCDF needs xarray: install jingwei[grids] (%(error)s)", error=error
        ) from error
    try:
        with xarray.open_dataset(source, decode_timedelta=True) as data:
            return _variables(data, axes, given, source)
    except GridError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, EOFError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GridError(source, "cannot be read as NetCDF (%(error)s)", error=first) from error


def _variables(
    data: Any, axes: dict[str, tuple[str, ...]], given: dict[str, str], source: Path
) -> tuple[list[Variable], list[str]]:
    """Values are read here, a broken part of a file is found only now."""
    seen = [str(n) for n in data.variables]
    axis: dict[str, Any] = {k: _axis(data, k, axes[k], given, source) for k in axes}
    if any(v is None for v in axis.values()):
        lacking = ", ".join(k for k, v in axis.items() if v is None)
        raise GridError(source, LACKS, lacking=lacking, has=", ".join(seen) or "–")
    lat, lon = (floats(np.atleast_1d(axis[k].values)) for k in ("latitude", "longitude"))
    same = axis["latitude"].dims == axis["longitude"].dims != ()
    if lat.ndim != 1 or lon.ndim != 1 or same:
        raise GridError(source, "the grid is not even in longitude and latitude")
    stamps = np.atleast_1d(axis["time"].values)
    if stamps.ndim != 1 or not np.issubdtype(stamps.dtype, np.datetime64):
        raise GridError(
            source,
            "%(name)s is no row of times (units such as 'hours since 2024-05-01' are missing, or"
            " there are several runs)",
            name=axis["time"].name,
        )
    places = [d for v in axis.values() for d in v.dims]
    found = []
    for name, variable in data.variables.items():
        missing = [d for d in places if d not in variable.dims]
        if name in axis or missing or not np.issubdtype(variable.dtype, np.number):
            continue
        extra = [d for d in variable.dims if d not in places]
        if any(variable.sizes[d] > 1 for d in extra):
            continue  # levels or members: none can be chosen here
        values = floats(variable.transpose(*extra, *places).values)
        values = values.reshape(len(stamps), len(lat), len(lon))
        order = [np.argsort(a, kind="stable") for a in (stamps, lat, lon)]
        found.append(
            Variable(
                (str(name),), str(variable.attrs.get("standard_name", "")),
                str(variable.attrs.get("units", "")).strip(), "", "",
                stamps[order[0]].astype("datetime64[s]"), lat[order[1]], lon[order[2]],
                values[np.ix_(*order)],
            )
        )  # fmt: skip
    return found, seen


def _axis(
    data: Any, wanted: str, names: tuple[str, ...], given: dict[str, str], source: Path
) -> Any | None:
    if wanted in given:
        if given[wanted] not in data.variables:
            raise GridError(
                source, HAS_NO, name=given[wanted], has=", ".join(map(str, data.variables))
            )
        return data[given[wanted]]
    for name, variable in data.variables.items():
        if variable.attrs.get("standard_name") == names[0]:
            return data[name]
    lower = {str(n).lower(): n for n in data.variables}
    return next((data[lower[n]] for n in names if n in lower), None)
