"""The air station that the plume of a stack may have reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from jingwei.bureau.air import tracing
from jingwei.bureau.registry.models import Point
from jingwei.standards import geo

SECTOR = 45.0  # degrees on either side of where the wind blows to
CALM = 0.5  # m/s; a slower wind has no direction
LEAST = 1000.0  # m; nearer than this no station is nearer


@dataclass(frozen=True)
class Downwind:
    """`station`, and in how many (`hours`) of the hours with wind (`windy`) it lay downwind. With
    `hours` 0 none did, or no wind is known: then it is the nearest. None where none is near enough
    for a trace to reach the stack."""

    station: Point | None
    hours: int = 0
    windy: int = 0


def choose(
    stations: Sequence[Point], stack: tuple[float, float], start: datetime, end: datetime
) -> Downwind:
    """Of the stations within `tracing.REACH` of a stack (longitude, latitude), the one with the most
    hours downwind for its distance: a plume thins out as it goes. The wind of an hour is the vector
    mean over these stations."""
    apart = [(geo.distance((p.longitude, p.latitude), stack), p) for p in stations]
    apart = [(d, p) for d, p in apart if d <= tracing.REACH]
    if not apart:
        return Downwind(None)
    away, stations = [d for d, _p in apart], [p for _d, p in apart]
    hours = round((end - start) / tracing.HOUR)
    wanted = (tracing.SPEED, tracing.DIRECTION)
    table = tracing.means(stations, wanted, start, hours)
    speed, comes = table[tracing.SPEED], np.radians(table[tracing.DIRECTION])
    flow = np.full((2, hours), np.nan)
    for i, part in enumerate((-speed * np.sin(comes), -speed * np.cos(comes))):
        known = np.isfinite(part).any(axis=1)
        flow[i, known] = np.nanmean(part[known], axis=1)
    windy = np.hypot(*flow) >= CALM  # NaN is not
    east = np.radians([p.longitude - stack[0] for p in stations]) * np.cos(np.radians(stack[1]))
    north = np.radians([p.latitude - stack[1] for p in stations])
    off = np.degrees(np.arctan2(east, north)[:, None] - np.arctan2(*flow[:, windy])[None, :])
    under = (np.abs((off + 180) % 360 - 180) <= SECTOR).sum(axis=1)
    if not under.any():
        return Downwind(stations[int(np.argmin(away))], 0, int(windy.sum()))
    best = int(np.argmax(under / np.maximum(away, LEAST)))
    return Downwind(stations[best], int(under[best]), int(windy.sum()))
