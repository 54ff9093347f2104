"""The own dispersion field as a feature of the forecast: what known stacks add in the coming wind.

Three years of starts with 48 hours each are far too many for puffs. Steady plumes for every direction,
speed and kind of sky are computed once; a forecast of the weather picks from them. So the feature
knows no memory of earlier hours and one wind for the city, and is only as good as the inventory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import boundary, plume
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.forecast.history import WEATHER, History
from jingwei.analysis.air.forecast.model import Extra, Weather
from jingwei.analysis.air.forecast.weather import LEADS
from jingwei.analysis.air.puffs import Sources, Winds, effective_heights
from jingwei.analysis.air.weather import CALM, Plane, sun_elevation

Ints = npt.NDArray[np.int64]
NAME = "dispersion"
STEP = 5.0  # degrees
SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # m/s at 10 m
# Sun (degrees) from which a sky holds, the sun it is computed for, and the least depth of the layer
# in m: night, low sun, high sun. Half-covered, as everywhere here where nothing is known of clouds.
SKIES = ((-90.0, None, 100.0), (0.0, 15.0, 400.0), (30.0, 45.0, 1200.0))
CLOUD, ROUGHNESS, BREATH = 0.5, 1.0, 1.5  # the last: height of the samplers, m


@dataclass(frozen=True)
class Response:
    """What all sources add at each station, µg/m³: (skies, speeds, directions, stations)."""

    table: Floats

    def __call__(self, u: Floats, v: Floats, speed: Floats, sun: Floats) -> Floats:
        """Of winds to the east and north, speeds (m/s) and sun elevations (degrees), all (n,):
        (n, stations), NaN where one is missing. Without direction (calm, or components that cancel)
        the mean of all directions in the least wind."""
        known = np.isfinite(u) & np.isfinite(v) & np.isfinite(speed) & np.isfinite(sun)
        place = np.degrees(np.arctan2(-np.nan_to_num(u), -np.nan_to_num(v))) % 360 / STEP
        count = self.table.shape[2]
        low = np.floor(place).astype(np.int64) % count
        part = (place - np.floor(place))[:, None]
        grid = np.log(SPEEDS)
        log = np.log(np.clip(np.nan_to_num(speed, nan=1.0), SPEEDS[0], SPEEDS[-1]))
        row = np.clip(np.searchsorted(grid, log) - 1, 0, len(SPEEDS) - 2)
        up = ((log - grid[row]) / (grid[row + 1] - grid[row]))[:, None]
        sky = np.searchsorted([s[0] for s in SKIES], np.nan_to_num(sun), side="right") - 1
        found: Floats = np.zeros((len(u), self.table.shape[3]))
        for r, share in ((row, 1 - up), (row + 1, up)):
            found += share * (1 - part) * self.table[sky, r, low]
            found += share * part * self.table[sky, r, (low + 1) % count]
        still = (np.nan_to_num(speed) < CALM) | (np.hypot(np.nan_to_num(u), np.nan_to_num(v)) < 0.1)
        found[still] = self.table[:, 0].mean(axis=1)[sky[still]]
        found[~known] = np.nan
        return found


def response(sources: Sources, places: npt.ArrayLike, temperature: float = 288.0) -> Response:
    """Steady plumes (`plume.relative_concentration`) of sources with rates in g/s at places (n, 2) in
    m of the same plane. Raises ValueError where there is none of either, or rates by hour."""
    at = floats(places).reshape(-1, 2)
    if not len(sources) or not len(at) or sources.rate.ndim != 1:
        raise ValueError(f"response: {len(sources)} sources of steady rates and {len(at)} places")
    angle = np.radians(np.arange(0.0, 360.0, STEP))[:, None]
    table = np.zeros((len(SKIES), len(SPEEDS), len(angle), len(at)))
    for i, (_from, sun, least) in enumerate(SKIES):
        for j, speed in enumerate(SPEEDS):
            if sun is None:
                ustar, length = boundary.stable_scales(speed, 10.0, ROUGHNESS, CLOUD, temperature)
            else:
                flux = boundary.heat_flux(sun, CLOUD, temperature)
                ustar, length = boundary.unstable_scales(speed, 10.0, ROUGHNESS, flux, temperature)
            zi = max(float(boundary.mechanical_depth(ustar)), least)
            air = plume.Weather(speed, 10.0, float(length), float(ustar), ROUGHNESS, zi)

            def node(value: float) -> Floats:
                return np.full((2, 1, 1), value)

            flow = Winds(
                x0=0.0, y0=0.0, size=1.0, u=node(plume.wind_at(50.0, air)), v=node(0.0),
                ustar=node(air.ustar), obukhov=node(air.obukhov), zi=node(zi),
                temperature=temperature,
            )  # fmt: skip
            heights = effective_heights(sources, flow, 0)
            for k in np.flatnonzero(sources.rate > 0).tolist():
                east, north = at[:, 0] - sources.x[k], at[:, 1] - sources.y[k]
                # The wind from `angle` carries towards -sin, -cos of it.
                along = -(east * np.sin(angle) + north * np.cos(angle))
                across = east * np.cos(angle) - north * np.sin(angle)
                share = plume.relative_concentration(
                    along, across, BREATH, height=float(heights[k]), weather=air
                )
                table[i, j] += 1e6 * sources.rate[k] * share
    return Response(table)


def feature(found: Response, weather: Weather, plane: Plane, zone: float = 8.0) -> Extra:
    """What `model.train(extra=…)` takes: the field at every station and lead under the forecast
    `weather`, the same that the model is given. `zone`: hours that the history's standard time is
    ahead of UTC; the sun is that of the plane's origin."""

    def extra(history: History, starts: Ints) -> dict[str, Floats]:
        if found.table.shape[3] != len(history.stations):
            raise ValueError(
                f"dispersion: {found.table.shape[3]} places, {len(history.stations)} stations"
            )
        coming = weather(history, starts)
        when = history.times[starts][:, None] + np.arange(1, LEADS + 1).astype("timedelta64[h]")
        hours, back = np.unique(when.ravel(), return_inverse=True)
        sun = np.array([_sun(h, plane, zone) for h in hours])[back]
        u, v, speed = (coming[..., WEATHER.index(w)].ravel() for w in ("u", "v", "speed"))
        table = found(u, v, speed, sun).reshape(len(starts), LEADS, -1)
        return {NAME: np.swapaxes(table, 1, 2)}

    return extra


def _sun(hour: np.datetime64, plane: Plane, zone: float) -> float:
    seconds = int(hour.astype("datetime64[s]").astype(np.int64))
    moment = datetime.fromtimestamp(seconds, UTC) - timedelta(hours=zone)
    return sun_elevation(moment, plane.longitude, plane.latitude)
