"""Backward trajectories of a station: ways of the air, clusters of them, PSCF and CWT.

Reads the stations' wind; what is computed stands in `jingwei.analysis.air.ways` and `receptor`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.analysis.air import receptor, statistics, weather
from jingwei.analysis.air import ways as backward
from jingwei.analysis.air.weather import WeatherError
from jingwei.bureau.air.analysis import figure
from jingwei.bureau.air.readings import DIRECTION, SPEED, Factor, Hours
from jingwei.bureau.air.selectors import bearing
from jingwei.bureau.air.tracing import HOUR, REACH, means, near
from jingwei.bureau.registry.models import Point

Floats = npt.NDArray[np.float64]
LEAST = 12  # ways, below which nothing is grouped
MAPS = ("clusters", "pscf", "cwt")


@dataclass(frozen=True)
class Found:
    """The ways (metres of `plane`), by way the value at arrival (NaN: none), their clusters;
    `stations` whose wind was taken; `fields` None where no way has a value."""

    plane: weather.Plane
    ways: backward.Ways
    value: Floats
    times: list[datetime]
    clusters: backward.Clusters
    stations: int
    fields: receptor.Fields | None
    level: float


def find(h: Hours, factor: Factor, want: dict[str, Any], now: datetime) -> Found | None:
    """None where nobody near sends wind. Raises `WeatherError` where the wind does not suffice."""
    plane = weather.Plane(h.point.longitude, h.point.latitude)
    stations = near(plane, Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True))
    begin = h.start - timedelta(hours=want["back"])
    over = min(len(h.local), max(0, int((now - h.start) / HOUR)))
    table = means(stations, (SPEED, DIRECTION), begin, want["back"] + over)
    speed, direction = table[SPEED], table[DIRECTION]
    blowing = (np.isfinite(speed) & np.isfinite(direction)).any(axis=0)
    if not blowing.any():
        return None
    x, y = plane.to([p.longitude for p in stations], [p.latitude for p in stations])
    places = np.column_stack([x, y])[blowing]
    ways = backward.backward(
        places, speed[:, blowing], direction[:, blowing], begin,
        plane=plane, place=(0.0, 0.0), hours=want["back"], every=want["every"],
    )  # fmt: skip
    if len(ways.arrival) < max(LEAST, want["clusters"]):
        raise WeatherError("few")
    hourly = ways.tracks[:, :: per_hour()]
    clusters = backward.cluster(backward.distances(hourly, want["method"]), want["clusters"])
    value = factor.value[ways.arrival - want["back"]]
    fields, level = None, float("nan")
    if np.isfinite(value).any():
        level = float(np.nanquantile(value, want["quantile"]))
        fields = receptor.potential_sources(
            list(ways.tracks), value, size=1000.0 * want["size"], quantile=want["quantile"]
        )
    times = [begin + int(a) * HOUR for a in ways.arrival]
    return Found(plane, ways, value, times, clusters, int(blowing.sum()), fields, level)


@dataclass(frozen=True)
class Row:
    """A cluster: where its air comes from, and what the station then measures."""

    number: int
    ways: int
    share: float
    bearing: str
    degrees: int
    distance: float  # km from the station at the far end of the mean way
    values: int
    mean: float | None
    low: float | None
    high: float | None
    over: float | None  # share of its values at or above the level, in percent


def rows(found: Found) -> list[Row]:
    """The clusters, the largest first."""
    count = len(found.clusters.middle)
    member = found.clusters.member
    course = statistics.course(found.value, member, count)
    out = []
    for k, way in enumerate(middles(found)):
        mine = member == k
        some = found.value[mine & np.isfinite(found.value)]
        # The direction of the whole way, not of its end alone.
        east, north = way[1:].mean(axis=0)
        degrees = float(np.degrees(np.arctan2(east, north)) % 360)
        out.append(
            Row(
                k + 1, int(mine.sum()), 100 * float(mine.mean()), bearing(degrees),
                round(degrees) % 360, float(np.hypot(*way[-1])) / 1000, int(course.count[k]),
                figure(course.mean[k], 3), figure(course.low[k], 3), figure(course.high[k], 3),
                100 * float(np.mean(some >= found.level)) if len(some) else None,
            )
        )  # fmt: skip
    return out


def middles(found: Found) -> list[Floats]:
    """The mean way of each cluster, place by place."""
    count = len(found.clusters.middle)
    return [found.ways.tracks[found.clusters.member == k].mean(axis=0) for k in range(count)]


def cells(found: Found) -> list[dict[str, Any]]:
    """The cells that ways passed: corners west, south, east, north in degrees, places, PSCF, CWT."""
    if found.fields is None:
        return []
    f = found.fields
    half = (f.x[1] - f.x[0]) / 2 if len(f.x) > 1 else (f.y[1] - f.y[0]) / 2 if len(f.y) > 1 else 0
    west, south = found.plane.back(f.x - half, f.y - half)
    east, north = found.plane.back(f.x + half, f.y + half)
    return [
        {
            "west": round(float(west[i]), 4), "south": round(float(south[j]), 4),
            "east": round(float(east[i]), 4), "north": round(float(north[j]), 4),
            "passes": int(f.passes[j, i]),
            "pscf": figure(f.pscf[j, i], 3), "cwt": figure(f.cwt[j, i], 3),
        }
        for j in range(len(f.y))
        for i in range(len(f.x))
        if f.passes[j, i] > 0
    ]  # fmt: skip


def per_hour() -> int:
    """Places of a way in an hour."""
    return round(3600 / backward.STEP)


def places(found: Found) -> Iterator[list[Any]]:
    """The places of every way hour by hour: arrival, cluster, value, age in hours, longitude, latitude."""
    for k, way in enumerate(found.ways.tracks):
        longitude, latitude = found.plane.back(*way[:: per_hour()].T)
        for age, (a, b) in enumerate(zip(longitude, latitude, strict=True)):
            yield [
                found.times[k], int(found.clusters.member[k]) + 1, figure(found.value[k]), age,
                round(float(a), 4), round(float(b), 4),
            ]  # fmt: skip


def picture(found: Found, factor: Factor, shown: str) -> dict[str, Any]:
    """What the map draws: ways by cluster, mean ways, cells."""

    def line(way: Floats) -> list[list[float]]:
        longitude, latitude = found.plane.back(way[:, 0], way[:, 1])
        return [[round(float(a), 3), round(float(b), 3)] for a, b in zip(longitude, latitude, strict=True)]  # fmt: skip

    step = per_hour()
    member = found.clusters.member.tolist()
    return {
        "shown": shown,
        "ways": [[k, line(way[::step])] for k, way in zip(member, found.ways.tracks, strict=True)],
        "middles": [line(way[::step]) for way in middles(found)],
        "cells": [
            [c[k] for k in ("west", "south", "east", "north", "passes", "pscf", "cwt")]
            for c in cells(found)
        ],
        "unit": factor.unit,
        "notes": {
            "clusters": _("Thin: the ways of the air to the station. Thick: the mean way of each cluster."),
            "pscf": _("Share of the hours of air over a cell that arrived with high values."),
            "cwt": _("Mean of what the station measured when its air had been over a cell."),
        },
        "words": {
            "places": _("hours of ways"),
            "cluster": _("Cluster"),
        },
        "per_hour": step,
    }  # fmt: skip


def limits(found: Found) -> list[str]:
    """How far the ways may be believed."""
    return [
        ngettext(
            "The ways follow the wind of %(n)d station within %(km)d km, measured near the ground and raised to 50 m. Nothing is known of the wind aloft, of rising or sinking air.",
            "The ways follow the wind of %(n)d stations within %(km)d km, measured near the ground and raised to 50 m. Nothing is known of the wind aloft, of rising or sinking air.",
            found.stations,
        ) % {"n": found.stations, "km": REACH / 1000},
        _("%(share)d %% of the places lie farther than %(km)d km from every station with wind: there the city's wind simply goes on. Read them as directions, not as places. For transport between regions take trajectories of a weather model.") % {"share": round(100 * float(found.ways.outside.mean())), "km": backward.REACH / 1000},
    ]  # fmt: skip


def said(found: Found, want: dict[str, Any]) -> list[str]:
    """What was left out or filled in, and how it was computed."""
    ways = found.ways
    out = []
    for text, n in (
        (_("%d arrivals have no way: more than three hours in a row before them are without wind, or all of them calm."), ways.lost),
        (_("%d hours with calm at all stations: the direction of the hours around was taken."), ways.calm),
        (_("%d hours without any wind were filled from the hours around."), ways.filled),
    ):  # fmt: skip
        if n:
            out.append(text % n)
    out.append({
        "angle": _("Clusters: mean angle between two ways as seen from the station (Sirois and Bottenheim 1995); the speed does not count."),
        "euclid": _("Clusters: Euclidean distance of the places of the same age; fast air is parted from slow."),
    }[want["method"]])  # fmt: skip
    out.append(_("Grouped around middle ways (Kaufman and Rousseeuw 1990), as openair does. Mean silhouette %(s).2f: near 1 the clusters are well apart, below 0.25 the grouping is arbitrary.") % {"s": found.clusters.silhouette})  # fmt: skip
    if found.fields is not None:
        out.append(_("PSCF: share of a cell's places whose arrival was at or above %(level)g, the %(share)d %% quantile (Ashbaugh 1985). CWT: mean of the values at arrival (Hsu 2003). Cells that few ways passed count less (Polissar 2001).") % {"level": figure(found.level), "share": round(100 * want["quantile"])})  # fmt: skip
        out.append(_("A source lights up the whole way behind it too. The maps show where the air had been when the station was high, never who emitted: for that ask the source tracing."))  # fmt: skip
    return out
