"""Columns of trace gases as satellites measure them, from NetCDF: needs `jingwei[grids]`.

Level 2 (swath: TROPOMI, GEMS, TEMPO) and level 3 (even grid) alike. Variables are found in all groups
by their CF standard name or a usual short name; others are given by hand. What is missing is told by
name, with what the file has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.field.tables import FieldError

AVOGADRO = 6.02214076e23  # 1/mol
DOBSON = 446.15  # µmol/m² in one Dobson unit
MOST = 5_000.0  # µmol/m²; half the pixels beyond it: the unit is wrong
CLOUD = 0.3  # cloud fraction up to which a pixel counts where the file has no quality value
# Sentinel-5P product user manuals: NO2 (S5P-KNMI-L2-0021-MA) and HCHO (S5P-L2-DLR-PUM-400F).
QUALITY = {"no2": 0.75, "hcho": 0.5}
# CF standard names first, then names of producers, in small letters.
NAMES = {
    "no2": (
        "troposphere_mole_content_of_nitrogen_dioxide", "nitrogendioxide_tropospheric_column",
        "tropospheric_no2_column_number_density", "columnamountno2trop",
        "columnamountno2tropcloudscreened", "vertical_column_troposphere", "tropno2",
        "no2_tropospheric_column", "no2",
    ),
    "hcho": (
        "troposphere_mole_content_of_formaldehyde", "formaldehyde_tropospheric_vertical_column",
        "tropospheric_hcho_column_number_density", "columnamounthcho", "columnamounthchotrop",
        "hcho_tropospheric_column", "hcho",
    ),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon"),
    "time": ("time",),
    "quality": ("qa_value",),
    "cloud": (
        "cloud_fraction", "cloudfraction", "effectivecloudfraction", "eff_cloudfrac",
        "cloud_fraction_crb",
    ),
}  # fmt: skip
GASES = ("no2", "hcho")
UNPACKED = 1024**3  # bytes of the variables that are wanted


class SceneError(FieldError):
    """A file of a satellite cannot be used; `code` and `about` say the same as the text, for those who
    tell it in another language."""

    def __init__(self, code: str, text: str, **about: str) -> None:
        super().__init__(text)
        self.code, self.about = code, about


@dataclass(frozen=True)
class Scene:
    """One gas at one time. `longitude`, `latitude` (rows, columns) in degrees; `column` in µmol/m², NaN
    where the pixel may not be used; `source`: satellite and product as the file says; `notes`: what
    was assumed; `synthetic`: the file says that it was not measured."""

    gas: str
    time: datetime
    longitude: Floats
    latitude: Floats
    column: Floats
    source: str
    notes: tuple[str, ...]
    synthetic: bool


def scale(unit: str) -> float | None:
    """What a column density in `unit` is to be multiplied with to be in µmol/m²; None for a unit that
    is none."""
    text = unit.strip().lower().replace("μ", "u").replace("µ", "u")
    text = re.sub(r"[\s*·]+", " ", text).replace("^", "").replace("**", "")
    power = re.match(r"^(?:1e\+?|10)(\d{1,2}) ", text)
    factor = 10.0 ** int(power[1]) if power else 1.0
    text = text[power.end() :] if power else text
    text = re.sub(r"\s*/\s*(c?m)2\b", r" \1-2", text)
    match text:
        case "mol m-2":
            return factor * 1e6
        case "umol m-2" | "micromol m-2":
            return factor
        case "molec cm-2" | "molecules cm-2" | "molecule cm-2" | "molec. cm-2" | "cm-2" | "1 cm-2":
            return factor * 1e4 / AVOGADRO * 1e6
        case "du" | "dobson" | "dobson units":
            return factor * DOBSON
    return None


def read(
    source: Path, *, names: dict[str, str] | None = None, time: datetime | None = None
) -> list[Scene]:
    """The scenes of a file: one for each gas that it holds and each of its times.

    `names` maps no2, hcho, latitude, longitude, time, quality, cloud to names of the file; `time`
    (aware) is taken where the file says none. Pixels whose quality is not above `QUALITY`, without
    one those with more cloud than `CLOUD`, become NaN. Raises FieldError where the file cannot be
    used: it says why and what the file has.
    """
    given = names or {}
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise SceneError(
            "names", f"names: {', '.join(unknown)} is none of {', '.join(NAMES)}",
            names=", ".join(unknown), known=", ".join(NAMES),
        )  # fmt: skip
    variables, about = _variables(source, set(given.values()))
    found = {k: _find(variables, k, given, source) for k in NAMES}
    gases = [g for g in GASES if found[g] is not None]
    lacking = [k for k in ("latitude", "longitude") if found[k] is None]
    lacking += [] if gases else ["no2 or hcho"]
    if lacking:
        has = ", ".join(variables) or "nothing"
        raise SceneError(
            "lacks",
            f"{source.name}: lacks {', '.join(lacking)} under any known name (it has {has});"
            " say which is which, for example no2=NAME",
            file=source.name, names=", ".join(lacking), has=has,
        )  # fmt: skip
    longitude, latitude, swath = _places(found["longitude"], found["latitude"], source)
    times = _times(found["time"], about, time, swath, source)
    scenes = []
    for gas in gases:
        table, notes = _column(gas, found, swath, source)
        if len(table) != len(times):
            if len(times) != 1 and len(table) != 1:
                raise SceneError(
                    "times", f"{source.name}: {gas} has {len(table)} times, time has {len(times)}",
                    file=source.name, gas=gas, values=str(len(table)), times=str(len(times)),
                )  # fmt: skip
            times = times[:1] if len(table) == 1 else times * len(table)
        product = about.get("title") or about.get("Title") or about.get("id") or source.stem
        synthetic = "synthetic" in " ".join(str(v) for v in about.values()).lower()
        scenes += [
            Scene(gas, t, longitude, latitude, one, str(product)[:120], tuple(notes), synthetic)
            for t, one in zip(times, table, strict=True)
        ]
    return scenes


def _variables(source: Path, given: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All variables of all groups, loaded where they may be wanted, and the attributes of the file."""
    names = {n for known in NAMES.values() for n in known} | {n.lower() for n in given}
    try:
        import xarray
    except ImportError as error:
        raise SceneError(
            "library", f"{source.name}: satellite data need xarray: install jingwei[grids] ({error})",
            file=source.name,
        ) from error  # fmt: skip
    try:
        with source.open("rb") as f:
            head = f.read(8)
        if head[:3] == b"CDF":
            groups = {"/": xarray.open_dataset(source, engine="scipy", decode_timedelta=False)}
        else:
            groups = xarray.open_groups(source, engine="h5netcdf", decode_timedelta=False)
        variables: dict[str, Any] = {}
        about: dict[str, Any] = {}
        size = 0
        for group in groups.values():
            with group:
                about = {**group.attrs, **about}
                for name, variable in group.variables.items():
                    if str(name) in variables:
                        continue
                    variables[str(name)] = group[name]
                    if not {str(name).lower(), variable.attrs.get("standard_name")} & names:
                        continue
                    size += variable.nbytes
                    if size > UNPACKED:
                        raise SceneError(
                            "large", f"{source.name}: is larger than 1 GiB unpacked: cut out the city"
                            " first", file=source.name,
                        )  # fmt: skip
                    group[name].load()
    except SceneError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, EOFError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SceneError(
            "unreadable", f"{source.name}: cannot be read as NetCDF ({first})", file=source.name,
            why=first,
        ) from error  # fmt: skip
    return variables, about


def _find(
    variables: dict[str, Any], wanted: str, given: dict[str, str], source: Path
) -> Any | None:
    if wanted in given:
        if given[wanted] not in variables:
            has = ", ".join(variables)
            raise SceneError(
                "has_no", f"{source.name}: has no {given[wanted]!r} (it has {has})",
                file=source.name, name=given[wanted], has=has,
            )  # fmt: skip
        return variables[given[wanted]]
    for variable in variables.values():
        if variable.attrs.get("standard_name") == NAMES[wanted][0]:
            return variable
    lower = {name.lower(): name for name in variables}
    return next((variables[lower[n]] for n in NAMES[wanted] if n in lower), None)


def _places(longitude: Any, latitude: Any, source: Path) -> tuple[Floats, Floats, bool]:
    """Longitude and latitude of every pixel (rows, columns), and whether it is a swath."""
    lon, lat = (np.squeeze(floats(v.values)) for v in (longitude, latitude))
    swath = lon.ndim == 2 and lon.shape == lat.shape
    if not swath:
        if lon.ndim != 1 or lat.ndim != 1 or min(len(lon), len(lat)) < 2:
            raise SceneError(
                "no_grid",
                f"{source.name}: latitude {lat.shape} and longitude {lon.shape} make no grid",
                file=source.name, latitude=str(lat.shape), longitude=str(lon.shape),
            )  # fmt: skip
        lon, lat = np.meshgrid(lon, lat)
    with np.errstate(invalid="ignore"):
        wrong = (np.abs(lat) > 90) | (np.abs(lon) > 360)
    if wrong.any() or not np.isfinite(lat).any():
        raise SceneError(
            "degrees", f"{source.name}: latitude and longitude are not in degrees", file=source.name
        )
    return floats((lon + 180) % 360 - 180), floats(lat), swath


def _times(
    variable: Any | None,
    about: dict[str, Any],
    given: datetime | None,
    swath: bool,
    source: Path,
) -> list[datetime]:
    """Of a swath the time at which it begins comes first: its variable counts from midnight."""
    if given is not None:
        return [given]
    told = [_moment(about.get(n)) for n in ("time_coverage_start", "RangeBeginningDateTime")]
    began = next((t for t in told if t), None)
    if swath and began:
        return [began]
    if variable is not None and np.issubdtype(variable.dtype, np.datetime64):
        stamps = np.atleast_1d(variable.values).ravel()
        if not np.isnat(stamps).any() and len(stamps):
            seconds = stamps.astype("datetime64[s]").astype(np.int64)
            return [datetime.fromtimestamp(int(s), UTC) for s in seconds]
    if began:
        return [began]
    raise SceneError(
        "no_time", f"{source.name}: does not say when it was taken: give the time", file=source.name
    )


def _moment(text: Any) -> datetime | None:
    try:
        told = datetime.fromisoformat(str(text).strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _column(gas: str, found: dict[str, Any], swath: bool, source: Path) -> tuple[Floats, list[str]]:
    """Usable columns in µmol/m² (times, rows, columns), and what was assumed."""
    variable = found[gas]
    order = _order(variable, found, swath)
    unit = str(variable.attrs.get("units", "")).strip()
    times = scale(unit)
    if times is None:
        said = f"the unit {unit!r}" if unit else "no unit"
        raise SceneError(
            "unit" if unit else "no_unit",
            f"{source.name}: {variable.name} has {said}; wanted a column density"
            " (mol m-2, umol m-2, molec cm-2 or DU)",
            file=source.name, name=str(variable.name), unit=unit,
        )  # fmt: skip
    column = floats(variable.transpose(*order).values) * times
    shape = tuple(variable.sizes[d] for d in order[-2:])
    wanted = np.squeeze(found["longitude"].values).shape
    if not swath:
        wanted = (found["latitude"].size, found["longitude"].size)
    if column.ndim < 2 or shape != tuple(wanted) or column.size % int(np.prod(shape)):
        raise SceneError(
            "shape",
            f"{source.name}: {variable.name} has the shape {column.shape}, its places {tuple(wanted)}",
            file=source.name, name=str(variable.name), shape=str(column.shape),
            places=str(tuple(wanted)),
        )  # fmt: skip
    notes = []
    good = np.isfinite(column.reshape(-1, *shape))
    for name in ("quality", "cloud"):
        judge = found[name]
        if judge is None or judge.size not in (column.size, int(np.prod(shape))):
            continue
        table = floats(judge.transpose(*_order(judge, found, swath)).values).reshape(-1, *shape)
        with np.errstate(invalid="ignore"):
            good = good & (table > QUALITY[gas] if name == "quality" else table <= CLOUD)
        break
    else:
        notes.append("quality")
    column = column.reshape(-1, *shape)
    column = np.where(good, column, np.nan)
    if good.any() and float(np.median(np.abs(column[good]))) > MOST:
        about = f"{np.median(np.abs(column[good])):.3g}"
        raise SceneError(
            "magnitude",
            f"{source.name}: {variable.name} is around {about} µmol/m², no column of {gas.upper()}: is"
            f" its unit {unit!r} right?",
            file=source.name, name=str(variable.name), about=about, gas=gas.upper(), unit=unit,
        )  # fmt: skip
    return column, notes


def _order(variable: Any, found: dict[str, Any], swath: bool) -> list[Any]:
    """The dimensions of a variable with those of place last."""
    if swath:
        places = [d for d in found["longitude"].dims if found["longitude"].sizes[d] > 1]
    else:
        places = [found["latitude"].dims[-1], found["longitude"].dims[-1]]
    here = [d for d in places if d in variable.dims]
    return [d for d in variable.dims if d not in here] + here


def on_cells(
    scene: Scene,
    x: Floats,
    y: Floats,
    centres: tuple[Floats, Floats],
    size: float,
    *,
    of: npt.NDArray[np.bool_] | None = None,
) -> Floats:
    """Columns in even cells: x, y (rows, columns) are the pixels' places in m, `centres` those of the
    cells (ny, nx); `of`: cells that are wanted.

    A cell with centres of good pixels in it takes their mean; a cell smaller than the pixels takes the
    pixel that it lies in, unless that pixel is bad: clouds stay holes. Over many days, on which the
    pixels lie otherwise, that is the usual oversampling (Sun et al. 2018 Atmos. Meas. Tech. 11, 6679)
    with the pixel's footprint as its weight.
    """
    from scipy.spatial import cKDTree

    cx, cy = centres
    found = np.full(cx.shape, np.nan)
    reach = _reach(x, y)
    near = (
        np.isfinite(x) & np.isfinite(y)
        & (x >= cx.min() - reach - size) & (x <= cx.max() + reach + size)
        & (y >= cy.min() - reach - size) & (y <= cy.max() + reach + size)
    )  # fmt: skip
    if not near.any():
        return found
    px, py, value = x[near], y[near], scene.column[near]
    ny, nx = cx.shape
    i = np.floor((px - (cx[0, 0] - size / 2)) / size).astype(np.int64)
    j = np.floor((py - (cy[0, 0] - size / 2)) / size).astype(np.int64)
    here = (i >= 0) & (i < nx) & (j >= 0) & (j < ny)
    some = here & np.isfinite(value)
    flat = j[some] * nx + i[some]
    count = np.bincount(flat, minlength=nx * ny).reshape(ny, nx)
    total = np.bincount(flat, value[some], minlength=nx * ny).reshape(ny, nx)
    found = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    taken = np.bincount(j[here] * nx + i[here], minlength=nx * ny).reshape(ny, nx) > 0
    empty = ~taken
    if empty.any():
        gap, which = cKDTree(np.column_stack([px, py])).query(
            np.column_stack([cx[empty], cy[empty]]), distance_upper_bound=reach
        )
        inside = np.isfinite(gap)
        found[empty] = np.where(inside, np.append(value, np.nan)[which], np.nan)
    return found if of is None else np.where(of, found, np.nan)


def _reach(x: Floats, y: Floats) -> float:
    """Half the diagonal of a usual pixel, m."""
    steps = []
    for axis in (0, 1):
        if x.shape[axis] > 1:
            gap = np.hypot(np.diff(x, axis=axis), np.diff(y, axis=axis))
            steps.append(float(np.nanmedian(gap)) if np.isfinite(gap).any() else 0.0)
    return 0.55 * float(np.hypot(steps[0], steps[1])) if len(steps) == 2 else 0.55 * sum(steps)
