"""Hot grids: what satellites, stations and the dispersion model say of each cell of the city, day by day,
becomes cells that are high again and again; 500 m by micro-stations are in `finegrids`.

`city` and `question` read the database; `compute` does not, so that it can run in a thread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import hotgrids as cells
from jingwei.analysis.air import loss, weather
from jingwei.analysis.air import tracing as backward
from jingwei.analysis.air.attribution import MEMORY, background
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.hotgrids import Bools, Grid
from jingwei.analysis.air.weather import Plane, WeatherError
from jingwei.bureau.air import finegrids, forecasting
from jingwei.bureau.air.contributions import Stacks, fate, sources, stacks
from jingwei.bureau.air.finegrids import short
from jingwei.bureau.air.forecasting import HOUR, ForecastError, Station
from jingwei.bureau.air.models import Gas, HotGrid, SatelliteScene
from jingwei.bureau.air.tracing import RefusedError
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry.models import Point, Region

Floats = npt.NDArray[np.float64]
DAYS = 90  # that a run looks back
SHARE, LEAST, RATE = 0.1, 10, 0.05
AROUND = 5  # cells on each side that are a cell's surroundings: 15 km
STATIONS = ("PM2.5", "NO2", "SO2")  # layers of the stations themselves
RESIDUALS = ("NO2", "SO2")  # of what is emitted as such
VALID = 20  # hours of a daily mean (HJ 663)


@dataclass(frozen=True)
class City:
    """The grid over the city and which of its cells lie in which region ("": outside)."""

    grid: Grid
    region: npt.NDArray[np.str_]

    @property
    def inside(self) -> Bools:
        return np.asarray(self.region != "")


def city(size: float = cells.CELL) -> City:
    """The cells of the registered districts with their surroundings. Raises RefusedError `boundary`."""
    rows = list(Region.objects.filter(children=None).exclude(geometry=None).order_by("code"))
    places = [p for r in rows for p in _corners(r.geometry)]
    if not places:
        raise RefusedError("boundary")
    box = np.array(places)
    low, high = box.min(axis=0), box.max(axis=0)
    tight = Grid.around([low[0], high[0]], [low[1], high[1]], size)
    more = AROUND
    grid = Grid(
        tight.plane, size, tight.east - more, tight.north - more, tight.nx + 2 * more,
        tight.ny + 2 * more,
    )  # fmt: skip
    lon, lat = grid.places()
    region = np.full(grid.shape, "", dtype="U12")
    for row in rows:
        region[(region == "") & cells.inside(row.geometry, lon, lat)] = row.code
    if not (region != "").any():
        raise RefusedError("boundary")
    return City(grid, region)


def _corners(geometry: Any) -> list[tuple[float, float]]:
    parts = geometry.get("coordinates", [])
    if geometry.get("type") == "Polygon":
        parts = [parts]
    return [(p[0], p[1]) for rings in parts for p in (rings[0] if rings else [])]


def told(grid: Grid) -> dict[str, float]:
    """A grid as it is kept."""
    return {
        "longitude": grid.plane.longitude, "latitude": grid.plane.latitude, "size": grid.size,
        "east": grid.east, "north": grid.north, "nx": grid.nx, "ny": grid.ny,
    }  # fmt: skip


def kept(row: dict[str, Any]) -> Grid:
    """The grid that `told` keeps."""
    return Grid(
        Plane(row["longitude"], row["latitude"]), row["size"], row["east"], row["north"],
        row["nx"], row["ny"],
    )  # fmt: skip


def moved(values: Floats, old: Grid, new: Grid) -> Floats | None:
    """Values of one grid in the cells of another; None where the two do not share their cells."""
    if (old.plane, old.size) != (new.plane, new.size):
        return None
    found = np.full(new.shape, np.nan)
    up, right = old.north - new.north, old.east - new.east
    top, bottom = max(up, 0), min(up + old.ny, new.ny)
    left, end = max(right, 0), min(right + old.nx, new.nx)
    if top < bottom and left < end:
        found[top:bottom, left:end] = values[top - up : bottom - up, left - right : end - right]
    return found


@dataclass
class Question:
    """All that goes into a run. `scenes`: gas, day, grid, values (ny, nx) and digest of each; `away`:
    names of stations and micro-stations outside the cells, which do not count."""

    city: City
    first: date
    last: date
    scenes: list[tuple[str, date, Grid, Floats, str]]
    synthetic: int
    stations: list[Station]
    stacks: Stacks | None
    micro: list[Station]
    regions: list[str]  # of each micro-station
    wanted: frozenset[str] | None  # the regions of a run of 500 m alone; None: a run of the city
    away: tuple[str, ...] = ()


def question(run: HotGrid) -> Question:
    """Read what is needed. Raises RefusedError `boundary`."""
    here = city()
    rows = SatelliteScene.objects.filter(day__gte=run.first, day__lte=run.last).order_by("taken", "gas")  # fmt: skip
    scenes = []
    for row in rows:
        grid = kept(row.grid)
        values = np.array([np.nan if v is None else v for v in row.values], float)
        scenes.append((row.gas, row.day, grid, values.reshape(grid.shape), row.sha256))
    known = Point.objects.filter(enabled=True).order_by("pk")
    every = list(known.filter(kind__in=Point.AMBIENT))
    there = [p for p in every if here.grid.holds(p.longitude, p.latitude)]
    points = [p for p in there if p.kind == Point.Kind.AIR_STATION]
    micro = [p for p in there if p.kind == Point.Kind.MICRO_STATION]
    end = day_start(run.last + timedelta(days=1))
    hours = ((run.last - run.first).days + 1) * 24
    return Question(
        here, run.first, run.last, scenes, sum(r.synthetic for r in rows),
        [Station.of(p) for p in points], stacks(points, end, hours) if run.region is None else None,
        [Station.of(p) for p in micro], [p.region_id for p in micro],
        None if run.region is None else frozenset([run.region_id, *within(run.region_id)]),
        tuple(p.name for p in every if p not in there),
    )  # fmt: skip


def within(region: str) -> list[str]:
    """Codes of the regions below one, at any depth."""
    found: list[str] = []
    level = [region]
    while level:
        level = list(Region.objects.filter(parent__in=level).values_list("code", flat=True))
        found += level
    return found


def compute(q: Question) -> dict[str, Any]:
    """The run; touches no database. `cells` are the hot ones, most certain first; `field` [row, column,
    strength, q] of all that were tested; `micro`: the 500 m, as `finegrids.compute` gives them. Raises
    RefusedError `nothing`."""
    if q.wanted is not None:
        return _region(q)
    grid, inside = q.city.grid, q.city.inside
    days = (q.last - q.first).days + 1
    raw: dict[str, Floats] = {}
    about: dict[str, dict[str, Any]] = {}
    strangers = _satellites(q, days, raw, about)
    known, dropped = _measured(q)
    sent, dropped_micro = _sent(q)
    seconds = _stations(q, known, raw, about) if known is not None else 0
    excess: dict[str, Floats] = {}
    for name, values in raw.items():
        if name.startswith("satellite"):
            over = cells.over_surroundings(values, AROUND)
        else:
            middle = np.array([_median(day) for day in values])
            over = values - middle[:, None, None]
        excess[name] = np.where(inside, over, np.nan)
    try:
        found = cells.find(excess, share=SHARE, least=LEAST, rate=RATE)
    except ValueError:
        raise RefusedError("nothing") from None
    lon, lat = grid.places()
    hot = sorted(
        zip(*np.nonzero(found.hot), strict=True), key=lambda c: (found.q[c], -found.strength[c])
    )
    rank = {int(found.groups[c]): n for n, c in reversed(list(enumerate(hot)))}
    order = {g: n for n, g in enumerate(sorted(rank, key=lambda g: rank[g]), 1)}
    rows = []
    for c in hot:
        rows.append(
            {
                "name": grid.name(int(c[0]), int(c[1])),
                "group": order[int(found.groups[c])],
                "region": str(q.city.region[c]),
                "longitude": round(float(lon[c]), 5),
                "latitude": round(float(lat[c]), 5),
                "p": short(found.p[c]), "q": short(found.q[c]),
                "gi": short(found.gi[c]), "near": short(found.near[c]),
                "strength": short(found.strength[c]),
                "layers": _layers(found, c, raw, excess),
            }
        )  # fmt: skip
    tested = np.zeros(grid.shape, bool)
    for one in found.layers.values():
        tested |= one.seen >= LEAST
    return {
        "grid": told(grid),
        "cells": rows,
        "city": int(inside.sum()),
        "tested": int(tested.sum()),
        "layers": {
            name: about[name] | {"cells": int((one.seen >= LEAST).sum())}
            for name, one in found.layers.items()
        },
        "left": {name: about[name]["days"] for name in found.left},
        "field": [
            [int(j), int(i), short(found.strength[j, i]), short(found.q[j, i])]
            for j, i in zip(*np.nonzero(tested), strict=True)
        ],
        "micro": _micro(q, sent, known, found.hot),
        "away": list(q.away),
        "said": {
            "scenes": len(q.scenes), "synthetic": q.synthetic, "strangers": strangers,
            "stations": len(q.stations), "residual_days_left": seconds,
            "no_stacks": int(q.stacks is None),
            "assumed": q.stacks.assumed if q.stacks else 0,
            **{f"dropped_{k}": n for k, n in (dropped | dropped_micro).items()},
        },
        "digest": _digest(q, raw, sent, known),
    }  # fmt: skip


def _region(q: Question) -> dict[str, Any]:
    """A run of 500 m over some regions alone. Raises RefusedError `micro` with why."""
    known, dropped = _measured(q)
    sent, dropped_micro = _sent(q)
    told_ = _micro(q, sent, known, np.zeros(q.city.grid.shape, bool))
    if not told_["cells"]:
        raise RefusedError(f"micro {told_['why']}".strip())
    return {
        "grid": told(q.city.grid), "cells": [], "city": int(q.city.inside.sum()), "tested": 0,
        "layers": {}, "left": {}, "field": [], "micro": told_, "away": list(q.away),
        "said": {"scenes": 0, "synthetic": 0, "strangers": 0, "stations": len(q.stations),
                 "residual_days_left": 0, "no_stacks": 0, "assumed": 0,
                 **{f"dropped_{k}": n for k, n in (dropped | dropped_micro).items()}},
        "digest": _digest(q, {}, sent, known),
    }  # fmt: skip


def _micro(q: Question, sent: History | None, known: History | None, hot: Bools) -> dict[str, Any]:
    return finegrids.compute(
        q.city.grid, hot, q.micro, q.regions, q.stations, _late(sent), _late(known), q.wanted
    )


def _late(given: History | None) -> History | None:
    """Without the hours before the first day."""
    if given is None:
        return None
    values, weather_ = (
        {k: v[MEMORY:] for k, v in d.items()} for d in (given.values, given.weather)
    )
    return History(given.times[MEMORY:], given.stations, values, weather_)


def _satellites(
    q: Question, days: int, raw: dict[str, Floats], about: dict[str, dict[str, Any]]
) -> int:
    """Mean of each day's scenes of a gas; the number of scenes on cells that are no longer the city's."""
    strangers = 0
    for gas in Gas.values:
        total, count = np.zeros((days, *q.city.grid.shape)), np.zeros((days, *q.city.grid.shape))
        used = 0
        for one, day, grid, values, _digest in q.scenes:
            if one != gas:
                continue
            here = moved(values, grid, q.city.grid)
            if here is None:
                strangers += 1
                continue
            at = (day - q.first).days
            total[at] += np.nan_to_num(here)
            count[at] += np.isfinite(here)
            used += 1
        if used:
            name = f"satellite {gas}"
            raw[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
            seen = int((count[:, q.city.inside] > 0).any(axis=1).sum())
            about[name] = {"days": seen, "scenes": used}
    return strangers


def _measured(q: Question) -> tuple[History | None, dict[str, int]]:
    """Hours of the stations, half a day before the first for what comes from afar."""
    return _hours(q, q.stations) if q.stations else (None, {})


def _sent(q: Question) -> tuple[History | None, dict[str, int]]:
    """The same of the micro-stations, negative readings too: an offset is taken out by calibration."""
    found, dropped = _hours(q, q.micro, raw=True) if q.micro else (None, {})
    return found, {f"micro_{k}": n for k, n in dropped.items()}


def _hours(
    q: Question, stations: Sequence[Station], raw: bool = False
) -> tuple[History | None, dict[str, int]]:
    start = day_start(q.first) - MEMORY * HOUR
    end = day_start(q.last + timedelta(days=1))
    try:
        return forecasting.measured(stations, start, end, raw=raw)
    except ForecastError:
        return None, {}


def _stations(
    q: Question, known: History, raw: dict[str, Floats], about: dict[str, dict[str, Any]]
) -> int:
    """Daily means of the stations in their cells, and of what known emissions leave unexplained; the
    number of days without a residual, because there was no wind."""
    grid = q.city.grid
    lon, lat = zip(*(s.at for s in q.stations), strict=True)
    x, y = grid.plane.to(lon, lat)

    def layer(name: str, hours: Floats, **more: Any) -> None:
        means = daily(hours)
        if np.isfinite(means).any():
            raw[name] = np.stack([grid.mean(x, y, day) for day in means])
            seen = np.isfinite(means)
            about[name] = {"days": int(seen.any(axis=1).sum()), "stations": int(seen.any(axis=0).sum())} | more  # fmt: skip

    for name in STATIONS:
        if name in known.values:
            layer(f"station {name}", known.values[name][MEMORY:])
    if q.stacks is None:
        return 0
    explained, left = _explained(q.stacks, q.stations, known)
    for name in RESIDUALS:
        if name in known.values and (q.stacks.rates.get(name, np.zeros(1)) > 0).any():
            values = known.values[name][MEMORY:]
            residual = values - background(values)[:, None] - explained[name]
            layer(f"residual {name}", residual)
    return left


def _explained(
    given: Stacks, stations: Sequence[Station], known: History
) -> tuple[dict[str, Floats], int]:
    """What known emissions add at the stations in each hour after the first `MEMORY`, µg/m³, NaN on days
    without wind; and the number of these days. One wind for the city."""
    days = (len(known) - MEMORY) // 24
    found = {n: np.full((days * 24, len(stations)), np.nan) for n in RESIDUALS}
    if not known.weather:
        return found, days
    wind = {w: known.weather[w] for w in ("u", "v", "speed", "temperature")}
    direction = np.degrees(np.arctan2(-wind["u"], -wind["v"])) % 360
    plumes = sources(given, np.ones(len(given.x)))
    px, py = given.plane.to([s.at[0] for s in stations], [s.at[1] for s in stations])
    spots = np.column_stack([px, py, np.full(len(px), 3.0)])
    start = forecasting.moment(known.times[0])
    left = 0
    for day in range(days):
        cut = slice(day * 24, day * 24 + MEMORY + 24)
        speed, turn = (np.append(a[cut], a[cut][-1])[:, None] for a in (wind["speed"], direction))
        warmth = wind["temperature"][cut]
        mean = float(np.nanmean(warmth)) if np.isfinite(warmth).any() else 15.0
        try:
            air = weather.from_stations(
                np.zeros((1, 2)), speed, turn, start + day * 24 * HOUR, plane=given.plane,
                temperature=mean + 273.15,
            )  # fmt: skip
        except WeatherError:
            late = slice(cut.stop - 24, cut.stop)
            left += any(
                np.isfinite(known.values[n][late]).any() for n in RESIDUALS if n in known.values
            )
            continue
        # What leaves the air in the same way shares a matrix.
        matrices = {
            fate(name): backward.matrix(
                plumes, loss.usual(air.winds, name), spots, memory=MEMORY, threads=1
            )
            for name in {fate(n): n for n in RESIDUALS}.values()
        }
        for name in RESIDUALS:
            late = matrices[fate(name)][MEMORY * len(spots) :]
            adds = np.asarray(late @ (1e6 * given.rates[name])).reshape(24, len(spots))
            found[name][day * 24 : day * 24 + 24] = adds
    return found, left


def daily(hours: Floats) -> Floats:
    """Means (days, stations) of the hours from local midnight on; NaN with fewer than `VALID`."""
    table = hours[: len(hours) // 24 * 24].reshape(-1, 24, hours.shape[1])
    count = np.isfinite(table).sum(axis=1)
    total = np.nansum(table, axis=1)
    return np.where(count >= VALID, total / np.maximum(count, 1), np.nan)


def _layers(
    found: cells.Found, c: Any, raw: dict[str, Floats], excess: dict[str, Floats]
) -> dict[str, Any]:
    """What each layer says of a cell: days seen, days high, p, strength, mean value and mean of its
    surroundings on these days."""
    rows = {}
    for name, one in found.layers.items():
        if one.seen[c] < LEAST:
            continue
        days = np.isfinite(excess[name][(slice(None), *c)])
        value = float(raw[name][(days, *c)].mean())
        rows[name] = {
            "seen": int(one.seen[c]), "high": int(one.high[c]), "p": short(one.p[c]),
            "strength": short(one.strength[c]), "value": short(value),
            "background": short(value - float(excess[name][(days, *c)].mean())),
        }  # fmt: skip
    return rows


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _digest(
    q: Question, raw: dict[str, Floats], sent: History | None, known: History | None
) -> str:
    """SHA-256 over the cells of the city, the files of the scenes, all layers, places and hours of the
    stations and micro-stations, and the wind."""

    def hours(of: History | None) -> dict[str, str]:
        return {} if of is None else {k: _hash(v) for k, v in {**of.values, **of.weather}.items()}

    facts: dict[str, Any] = {
        "grid": told(q.city.grid),
        "inside": hashlib.sha256(q.city.inside.tobytes()).hexdigest(),
        "first": q.first.isoformat(),
        "last": q.last.isoformat(),
        "scenes": sorted({s[4] for s in q.scenes}),
        "stations": [[s.mn, s.st, *s.at] for s in q.stations],
        "micro": [[s.mn, s.st, *s.at] for s in q.micro],
        "regions": q.regions,
        "known": hours(known),
        "sent": hours(sent),
        "wanted": sorted(q.wanted) if q.wanted is not None else None,
        "layers": {name: _hash(v) for name, v in raw.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _hash(values: Floats) -> str:
    return hashlib.sha256(np.round(np.nan_to_num(values, nan=-1e9), 6).tobytes()).hexdigest()
