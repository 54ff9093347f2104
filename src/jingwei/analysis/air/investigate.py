"""From an exceedance at a station to a ranked list of sources, on files or arrays.

Hours of one period, the stations around, the sources with their inventory, and measured wind become
what `attribution` asks for, the engine behind the office's own tracing; the same input gives the
same answer there. What is missing or assumed is told in `notes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import attribution, weather
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.field.tables import FieldError, number, rows
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.puffs import Sources

HEIGHT = 15.0  # m, of a source without one: the least of GB 16297-1996, 7.4
LOCAL = timezone(timedelta(hours=8))
REACH = 60e3  # m; a source further away is left out
GIVEN_UP = {
    "negative": "values are negative and were left out",
    "stuck": f"values stood still for {attribution.STUCK} hours or more and were left out",
}


@dataclass(frozen=True)
class Places:
    """Names with longitude and latitude (degrees, WGS-84), (n,)."""

    names: tuple[str, ...]
    longitude: Floats
    latitude: Floats


@dataclass(frozen=True)
class Register:
    """Sources as listed: places, stack height (m, NaN unknown), rate (kg/h by inventory), diameter (m),
    velocity (m/s), gas temperature (°C), NaN unknown; `monitored`: the rate is measured and stands."""

    places: Places
    height: Floats
    rate: Floats
    diameter: Floats
    velocity: Floats
    temperature: Floats
    monitored: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Suspect:
    """One line of the answer. rate, low, high, inventory: kg/h, median and middle 90 %; `share`: of
    what the sources bring to the station in the period; `level`: that in µg/m³, mean of the period;
    `distance` in m and `bearing` in degrees from the station; `alike`: names of sources that the
    data cannot tell from it."""

    name: str
    probability: float
    inventory: float
    rate: float
    low: float
    high: float
    share: float
    level: float
    distance: float
    bearing: float
    monitored: bool
    alike: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """`measured`, `background`, `explained`: means of the period at the station, µg/m³."""

    station: str
    hours: int
    measured: float
    background: float
    explained: float
    suspects: tuple[Suspect, ...]
    notes: tuple[str, ...]


def read_places(source: Path) -> Places:
    """CSV with station (or name), longitude, latitude. Raises FieldError."""
    names, found = [], []
    for line, row in rows(source, ("station", "longitude", "latitude")):
        names.append(row["station"].strip())
        found.append(_position(source, line, row))
    if not found:
        raise FieldError(f"{source}: has no row")
    table = floats(found)
    return Places(tuple(names), table[:, 0], table[:, 1])


def _position(source: Path, line: int, row: dict[str, str]) -> tuple[float, float]:
    lon, lat = number(source, line, row, "longitude"), number(source, line, row, "latitude")
    if not (-180 <= lon <= 180 and -85 <= lat <= 85):
        raise FieldError(f"{source}, line {line}: {lon}, {lat} is no place on earth (degrees?)")
    return lon, lat


def read_register(source: Path) -> tuple[Register, list[str]]:
    """CSV with source, longitude, latitude, rate (kg/h) and, where known, height, diameter, velocity,
    temperature (m, m, m/s, °C) and monitored (yes). Notes say what is missing."""
    names, where, about = [], [], []
    monitored, bare = [], 0
    for line, row in rows(source, ("source", "longitude", "latitude", "rate")):
        names.append(row["source"].strip())
        where.append(_position(source, line, row))
        rate = number(source, line, row, "rate")
        if not rate >= 0:
            raise FieldError(f"{source}, line {line}: rate is {rate}, must not be negative")
        one = [rate]
        for column in ("height", "diameter", "velocity", "temperature"):
            known = (row.get(column) or "").strip()
            one.append(number(source, line, row, column) if known else np.nan)
        if one[1] < 0:
            raise FieldError(f"{source}, line {line}: height is {one[1]}, must not be negative")
        bare += int(np.isnan(one[1]))
        about.append(one)
        monitored.append((row.get("monitored") or "").strip().lower() in ("yes", "true", "1", "是"))
    if not names:
        raise FieldError(f"{source}: has no row")
    place, table = floats(where), floats(about)
    notes = []
    if bare:
        notes.append(f"{bare} of {len(names)} sources have no height: taken as {HEIGHT:g} m")
    if not table[:, 0].any():
        notes.append("every inventory is 0: nothing can be told about amounts")
    return (
        Register(
            Places(tuple(names), place[:, 0], place[:, 1]), table[:, 1], table[:, 0],
            table[:, 2], table[:, 3], table[:, 4], np.array(monitored, bool),
        ),
        notes,
    )  # fmt: skip


def city_wind(
    history: History, first: int, last: int, centre: tuple[float, float]
) -> tuple[weather.Weather, list[str]]:
    """One wind for the whole city, the mean of its stations, of hours first…last (the last included).

    Raises WeatherError where more than three hours in a row have none.
    """
    if not history.weather:
        raise FieldError("there is no wind: the data need TEMP, DEWP, PRES, wd and WSPM")
    at = np.minimum(np.arange(first, last + 2), len(history) - 1)
    u, v, speed, t = (history.weather[k][at] for k in ("u", "v", "speed", "temperature"))
    start = history.times[first].astype("datetime64[s]").astype(datetime).replace(tzinfo=LOCAL)
    found = weather.from_stations(
        [[0.0, 0.0]],
        speed[:, None],
        np.degrees(np.arctan2(-u, -v))[:, None] % 360,
        start,
        plane=weather.Plane(*centre),
        temperature=(float(np.nanmean(t)) if np.isfinite(t).any() else 15.0) + 273.15,
    )
    notes = []
    if found.filled:
        notes.append(f"wind was missing in {found.filled} hours and was bridged")
    if found.calm:
        notes.append(
            "calm throughout: the air has no direction, the list goes by distance and inventory alone"
            if found.still
            else f"{found.calm} hours were calm: the direction of the hours around was taken"
        )
    return found, notes


def _with_wind(
    history: History, pollutant: str, station: str, first: int, last: int, memory: int
) -> tuple[int, int]:
    """Hours begin…stop (not included) that can be judged: `weather.judged`, or all if there is none."""
    begin = max(first - memory, 0)
    if not history.weather:
        return begin, last + 1
    at = np.minimum(np.arange(begin, last + 2), len(history) - 1)
    u, v, speed = (history.weather[k][at, None] for k in ("u", "v", "speed"))
    wanted = np.isfinite(history.values[pollutant][at[:-1], history.stations.index(station)])
    wanted[: first - begin] = False
    direction = np.degrees(np.arctan2(-u, -v)) % 360
    some = weather.judged(speed, direction, wanted) or (0, len(wanted))
    return begin + some[0], begin + some[1]


def trace(
    history: History,
    pollutant: str,
    station: str,
    first: int,
    last: int,
    *,
    stations: Places,
    register: Register,
    threshold: float = attribution.THRESHOLD,
    top: int = 30,
    seed: int = 1,
) -> Found:
    """The ranked list for hours first…last (both included) at `station`.

    Raises FieldError for a station that is not there, a period without data or wind, or no source
    within REACH.
    """
    notes = list(history.notes)
    if pollutant not in history.values:
        raise FieldError(f"{pollutant} is not measured ({', '.join(history.values)} are)")
    if station not in history.stations:
        raise FieldError(f"station {station!r}: wanted one of {', '.join(history.stations)}")
    if station not in stations.names:
        raise FieldError(f"station {station!r} has no place")
    if last >= len(history):
        notes.append(f"data end after {max(len(history) - first, 0)} of {last - first + 1} hours")
        last = len(history) - 1
    if not 0 <= first <= last:
        raise FieldError(
            f"there are no data in the period ({history.times[0]}…{history.times[-1]})"
        )
    placed = [s for s in history.stations if s in stations.names]
    lost = [s for s in history.stations if s not in stations.names]
    if lost:
        notes.append(f"without a place and left out: {', '.join(lost)}")
    where = [stations.names.index(s) for s in placed]
    own = placed.index(station)
    centre = (float(stations.longitude[where[own]]), float(stations.latitude[where[own]]))
    plane = weather.Plane(*centre)
    sx, sy = plane.to(stations.longitude[where], stations.latitude[where])
    px, py = plane.to(register.places.longitude, register.places.latitude)
    near = np.flatnonzero(np.hypot(px, py) <= REACH)
    if not len(near):
        raise FieldError(f"no source lies within {REACH / 1e3:g} km of {station}")
    if len(near) < len(px):
        notes.append(
            f"{len(px) - len(near)} sources lie beyond {REACH / 1e3:g} km and are left out"
        )
    memory = attribution.MEMORY
    begin, stop = _with_wind(history, pollutant, station, first, last, memory)
    if (lost_hours := last + 1 - first - (stop - max(first, begin))) > 0:
        notes.append(
            f"{lost_hours} of {last - first + 1} hours have no wind within"
            f" {weather.LONGEST_GAP} hours and are not judged"
        )
    first, last = max(first, begin), stop - 1
    air, more = city_wind(history, begin, last, centre)
    notes += more
    lead = first - begin
    if lead < memory:
        notes.append(f"only {lead} hours of wind before the period: older air is not followed")
    y = history.values[pollutant][begin : last + 1][:, [history.stations.index(s) for s in placed]]
    mine = y[lead:, own]
    if not np.isfinite(mine).any():
        raise FieldError(f"{station} has no value of {pollutant} in the period")
    if gaps := int(np.isnan(mine).sum()):
        notes.append(f"{station} has no value in {gaps} of {len(mine)} hours")
    if len(placed) < 4:
        notes.append(f"only {len(placed)} stations: the background is hardly known")
    height = np.where(np.isnan(register.height), HEIGHT, register.height)[near]
    rise = np.isfinite(register.diameter + register.velocity + register.temperature)[near]
    kg_h = register.rate[near]
    sources = Sources(
        x=px[near],
        y=py[near],
        height=height,
        rate=kg_h / 3.6,  # g/s
        diameter=np.where(rise, register.diameter[near], 0.0),
        velocity=np.where(rise, register.velocity[near], 0.0),
        gas=np.where(rise, register.temperature[near] + 273.15, 0.0),
    )
    if (~rise).any():
        notes.append(f"{int((~rise).sum())} of {len(near)} sources are without plume rise")
    try:
        told = attribution.attribute(
            sources, register.monitored[near], air,
            np.column_stack([sx, sy, np.full(len(sx), 3.0)]), y,
            station=own, first=lead, pollutant=pollutant, threshold=threshold, seed=seed,
        )  # fmt: skip
    except attribution.AttributionError as error:
        raise FieldError(f"{station}: {error}") from None
    notes += [f"{n} {GIVEN_UP[why]}" for why, n in told.dropped.items()]
    if not told.shares:
        notes.append("no source of the register is upwind of the station in these hours")
    suspects = []
    for s in told.shares[:top]:
        j, unit = s.source, 3.6 / s.reach  # from µg/m³ at the station to kg/h
        suspects.append(
            Suspect(
                name=register.places.names[near[j]],
                probability=s.probability,
                inventory=float(kg_h[j]),
                rate=s.likely * unit,
                low=s.low * unit,
                high=s.high * unit,
                share=s.likely / told.likely if told.likely > 0 else 0.0,
                level=s.likely,
                distance=float(np.hypot(px[near[j]], py[near[j]])),
                bearing=float(np.degrees(np.arctan2(px[near[j]], py[near[j]])) % 360),
                monitored=bool(register.monitored[near[j]]),
                alike=tuple(register.places.names[near[i]] for i in s.alike),
            )
        )
    asked = np.isfinite(told.measured)
    asked[:lead] = False
    return Found(
        station=station,
        hours=len(mine),
        measured=float(told.measured[asked].mean()),
        background=float(told.background[asked].mean()),
        explained=told.likely,
        suspects=tuple(suspects),
        notes=tuple(notes),
    )
