"""A run of the city model as a product: mesh, series and who adds what, within bounds of memory; and the
field as a NetCDF file that other programs open.

Units as `puffs`: g and m in, µg/m³ out.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import puffs
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.puffs import Balance, Grid, Sources, Winds
from jingwei.analysis.air.weather import Plane

SIZE = 500.0  # m; cells of the mesh unless the area is too large for them
CELLS = 160_000  # of a mesh: 200 x 200 km at `SIZE`
MARGIN = 10_000.0  # m around sources and stations
BREATH = 3.0  # m; the height of stations' inlets
SERIES = 256 << 20  # bytes that the series by source may take
LATTICE = 400  # places at most whose sources are told one by one
MICRO = 1e6  # µg in a g


class TooLargeError(ValueError):
    """What is asked for needs more memory than is granted: `sources`, `places`, `hours`."""

    def __init__(self, sources: int, places: int, hours: int) -> None:
        super().__init__(f"{sources} sources at {places} places over {hours} hours are too many")


@dataclass(frozen=True)
class Run:
    """`mesh` (hours, ny, nx) µg/m³ at the ground; `series` (hours, places, groups) and `shares` (places,
    sources), the mean over the hours, at the places asked for; `lattice` (k, 2) places on the mesh and
    `near` (k, sources) their means, none where there were too many sources. `engine` computed it."""

    grid: Grid
    mesh: npt.NDArray[np.float32]
    series: Floats
    shares: Floats
    lattice: Floats
    near: Floats
    balance: Balance
    engine: str


def cover(
    x: npt.ArrayLike, y: npt.ArrayLike, *, margin: float = MARGIN, size: float = SIZE
) -> Grid:
    """Cells over all places with `margin` m around: of `size` m, or twice, three times … as wide where
    `CELLS` do not suffice."""
    xs, ys = floats(x), floats(y)
    west, east = float(xs.min()) - margin, float(xs.max()) + margin
    south, north = float(ys.min()) - margin, float(ys.max()) + margin
    times = 1
    while True:
        wide = times * size
        nx, ny = int(np.ceil((east - west) / wide)) + 1, int(np.ceil((north - south) / wide)) + 1
        if nx * ny <= CELLS:
            return Grid(west, south, wide, nx, ny)
        times += 1


def lattice(grid: Grid, most: int) -> Floats:
    """At most `most` places evenly over the mesh, (n, 2) m; none for less than four."""
    if most < 4:
        return np.zeros((0, 2))
    step = 1
    while (-(-grid.nx // step)) * (-(-grid.ny // step)) > most:
        step += 1
    i, j = (np.arange(step // 2, n, step) for n in (grid.nx, grid.ny))
    at = np.meshgrid(grid.x0 + grid.size * i, grid.y0 + grid.size * j)
    return np.column_stack([a.ravel() for a in at])


def hours(winds: Winds, first: int, last: int) -> Winds:
    """The weather from the hour `first` to the moment `last` (hours after the beginning)."""
    part, span = slice(first, last + 1), slice(first, last)
    cut = {n: getattr(winds, n)[part] for n in ("u", "v", "ustar", "obukhov", "zi")}
    if winds.sigma_v is not None:
        cut["sigma_v"] = winds.sigma_v[part]
    for name in ("deposition", "loss"):
        if np.ndim(getattr(winds, name)):
            cut[name] = getattr(winds, name)[span]
    return replace(winds, **cut)


def run(
    sources: Sources,
    winds: Winds,
    grid: Grid,
    places: npt.ArrayLike,
    *,
    lead: int = 0,
    engine: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Fields of all hours but the first `lead`, which only fill the air. `places` (n, 2) m;
    `Sources.group` numbers the groups of `series`. Raises TooLargeError, and ValueError as
    `puffs.forward`."""
    spots = floats(places).reshape(-1, 2)
    n, most = len(sources), max(winds.hours, 1)
    group = np.zeros(n, np.int64) if sources.group is None else sources.group.astype(np.int64)
    room = SERIES // (8 * most * max(n, 1))
    if len(spots) > room:
        raise TooLargeError(n, len(spots), most)
    more = lattice(grid, min(LATTICE, room - len(spots)))
    receptors = np.column_stack(
        [np.concatenate([spots, more]), np.full(len(spots) + len(more), 0.0)]
    )
    receptors[:, 2] = BREATH
    each = replace(sources, group=np.arange(n, dtype=np.int32))
    found = puffs.forward(
        each, winds, grid, receptors=receptors, engine=engine, threads=threads, progress=progress
    )
    told = MICRO * found.stations[lead:]
    groups = int(group.max()) + 1 if n else 1
    member = np.zeros((n, groups))
    member[np.arange(n), group] = 1.0
    mean = told.mean(axis=0)
    k = len(spots)
    return Run(
        grid, found.mesh[lead:] * np.float32(MICRO), told[:, :k] @ member, mean[:k], more, mean[k:],
        found.balance, found.engine,
    )  # fmt: skip


# ---- the field as a file --------------------------------------------------------------------------


def netcdf(
    made: Run, plane: Plane, start: datetime, *, pollutant: str, about: dict[str, str]
) -> bytes:
    """The field as a NetCDF file of the classic kind with CF names; the same run gives the same bytes.

    The plane keeps meridians and parallels straight, so latitude and longitude are axes. `about`
    becomes attributes of the file (ASCII).
    """
    from scipy.io import netcdf_file

    out = io.BytesIO()
    longitude, latitude = axes(made.grid, plane)
    file = netcdf_file(out, "w", version=2)
    file.Conventions = "CF-1.8"
    for name, text in about.items():
        setattr(file, name, text.encode("ascii", "replace"))
    for name, length in (("time", len(made.mesh)), ("latitude", len(latitude)), ("longitude", len(longitude))):  # fmt: skip
        file.createDimension(name, length)
    begin = int(start.astimezone(UTC).timestamp())
    seconds = begin + 3600 * np.arange(len(made.mesh))
    rows: list[tuple[str, str, tuple[str, ...], Any, dict[str, str]]] = [
        ("time", "i4", ("time",), seconds, {
            "standard_name": "time", "units": "seconds since 1970-01-01 00:00:00 UTC",
            "long_name": "beginning of the hour that the mean is of",
        }),
        ("latitude", "f8", ("latitude",), latitude, {"standard_name": "latitude", "units": "degrees_north"}),
        ("longitude", "f8", ("longitude",), longitude, {"standard_name": "longitude", "units": "degrees_east"}),
        ("concentration", "f4", ("time", "latitude", "longitude"), made.mesh, {
            "units": "ug m-3", "cell_methods": "time: mean area: mean",
            "long_name": f"{pollutant} at the ground from the given sources alone",
        }),
    ]  # fmt: skip
    for name, kind, dims, values, attributes in rows:
        variable = file.createVariable(name, kind, dims)
        for key, text in attributes.items():
            setattr(variable, key, text.encode("ascii", "replace"))
        variable[:] = values
    file.flush()
    content = out.getvalue()
    file.close()
    return content


def axes(grid: Grid, plane: Plane) -> tuple[Floats, Floats]:
    """Longitudes (nx,) and latitudes (ny,) of the centres of the cells."""
    x, y = grid.x0 + grid.size * np.arange(grid.nx), grid.y0 + grid.size * np.arange(grid.ny)
    return plane.back(x, 0.0 * x)[0], plane.back(0.0 * y, y)[1]


@dataclass(frozen=True)
class Field:
    """`values` (hours, ny, nx) µg/m³, read as they are wanted; longitudes and latitudes of the cells."""

    longitude: Floats
    latitude: Floats
    values: Any

    def cell(self, longitude: float, latitude: float) -> tuple[int, int] | None:
        """Row and column of the cell at a place; None outside."""
        found = []
        for axis, at in ((self.latitude, latitude), (self.longitude, longitude)):
            step = float(axis[1] - axis[0])
            k = round((at - float(axis[0])) / step)
            if not 0 <= k < len(axis):
                return None
            found.append(k)
        return found[0], found[1]


def read(content: bytes) -> Field:
    """The field of a file as `netcdf` makes it."""
    from scipy.io import netcdf_file

    with netcdf_file(io.BytesIO(content), "r", mmap=False) as file:
        v = file.variables
        return Field(
            floats(v["longitude"][:].copy()), floats(v["latitude"][:].copy()),
            np.asarray(v["concentration"][:], np.float32),
        )  # fmt: skip
