"""The weather of a city from its own stations: what `Winds` needs, where there is no forecast.

Wind of some stations at 10 m becomes a field without sources or sinks of air; turbulence comes from
wind, sun and an assumed cloud. Everything that was assumed or filled in is said in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import boundary
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.puffs import Winds

EARTH = 6_371_000.0  # mean radius, m
CALM = 0.5  # m/s; below it a vane says nothing
CARRIED = 50.0  # m; the height whose wind carries the plumes
LONGEST_GAP = 3  # hours without any wind that are filled from the hours around


class WeatherError(ValueError):
    """The wind does not suffice: what is missing, in words."""


@dataclass(frozen=True)
class Plane:
    """Metres east and north of an origin: good to 0.5 % within 100 km."""

    longitude: float
    latitude: float

    def to(self, longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> tuple[Floats, Floats]:
        east = np.radians(floats(longitude) - self.longitude) * np.cos(np.radians(self.latitude))
        return EARTH * east, EARTH * np.radians(floats(latitude) - self.latitude)

    def back(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        east = np.degrees(floats(x) / EARTH) / np.cos(np.radians(self.latitude))
        return self.longitude + east, self.latitude + np.degrees(floats(y) / EARTH)


@dataclass(frozen=True)
class Weather:
    """`winds` from `start` on; `calm` and `filled`: hours in which no station had wind enough for a
    direction, and hours without any wind that were filled; `stations`: how many had some; `speed`
    and `direction` of each hour."""

    start: datetime
    winds: Winds
    stations: int
    calm: int
    filled: int
    speed: Floats
    direction: Floats

    @property
    def still(self) -> bool:
        """No station ever had wind enough for a direction: `direction` is NaN, the wind 0."""
        return bool(np.isnan(self.direction).all())


def sun_elevation(time: datetime, longitude: float, latitude: float) -> float:
    """Degrees above the horizon; aware time. Spencer (1971) Search 2(5), 172: declination and
    equation of time as Fourier series of the day's angle; good to better than a degree."""
    offset = time.utcoffset()
    assert offset is not None
    utc = time - offset
    hours = utc.hour + utc.minute / 60
    g = 2 * np.pi * (utc.timetuple().tm_yday - 1 + (hours - 12) / 24) / 365
    declination = (
        0.006918 - 0.399912 * np.cos(g) + 0.070257 * np.sin(g) - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g) - 0.002697 * np.cos(3 * g) + 0.00148 * np.sin(3 * g)
    )  # fmt: skip
    minutes = 229.18 * (
        0.000075 + 0.001868 * np.cos(g) - 0.032077 * np.sin(g)
        - 0.014615 * np.cos(2 * g) - 0.040849 * np.sin(2 * g)
    )  # fmt: skip
    angle = np.radians(15 * (hours + minutes / 60 + longitude / 15 - 12))
    place = np.radians(latitude)
    sine = np.sin(place) * np.sin(declination) + np.cos(place) * np.cos(declination) * np.cos(angle)
    return float(np.degrees(np.arcsin(np.clip(sine, -1, 1))))


def divergence_free(u: Floats, v: Floats, size: float) -> tuple[Floats, Floats]:
    """The nearest wind without sources or sinks of air; u, v (ny, nx) on nodes `size` m apart.

    Sasaki's (1958) variational adjustment with equal weights and open borders: the gradient of a
    potential that is zero outside is taken away, its Poisson equation solved by sine transforms.
    Divergence is that of the faces between nodes, where components are means of their neighbours.
    """
    from scipy.fft import dstn, idstn

    ny, nx = u.shape
    if min(nx, ny) < 3:
        return u, v
    # On faces: between nodes in x and y, with the outermost values going on beyond the border.
    wide, high = np.pad(u, ((0, 0), (1, 1)), mode="edge"), np.pad(v, ((1, 1), (0, 0)), mode="edge")
    east, north = (wide[:, :-1] + wide[:, 1:]) / 2, (high[:-1] + high[1:]) / 2
    source = (np.diff(east, axis=1) + np.diff(north, axis=0)) / size
    kx = 2 * np.cos(np.pi * np.arange(1, nx + 1) / (nx + 1)) - 2
    ky = 2 * np.cos(np.pi * np.arange(1, ny + 1) / (ny + 1)) - 2
    potential = idstn(dstn(source, type=1) * size**2 / (ky[:, None] + kx[None, :]), type=1)
    border = np.pad(potential, 1)
    east = east - np.diff(border[1:-1], axis=1) / size
    north = north - np.diff(border[:, 1:-1], axis=0) / size
    return (east[:, :-1] + east[:, 1:]) / 2, (north[:-1] + north[1:]) / 2


def from_stations(
    places: npt.ArrayLike,
    speed: npt.ArrayLike,
    direction: npt.ArrayLike,
    start: datetime,
    *,
    plane: Plane,
    reach: float = 30_000.0,
    size: float = 5_000.0,
    roughness: float = 1.0,
    cloud: float = 0.5,
    temperature: float = 288.0,
    smooth: float = 5_000.0,
) -> Weather:
    """Hourly weather from stations: places (n, 2) in m of `plane`, speed (hours + 1, n) in m/s at
    10 m, direction (hours + 1, n) in degrees from which the wind comes; NaN where missing. Row h is
    the mean of the hour that begins at `start` + h, as stations send it; so the wind at the moment
    `start` + h, from which `Winds` goes on linearly, is the mean of the rows before and after it,
    and sun and turbulence of row h are those of its middle.

    Wind between stations: weights 1 / (distance² + smooth²), divergence taken out, raised to
    `CARRIED` by the similarity profile. Where the wind is below `CALM` the direction of the station
    is not believed and that of the others taken; calm throughout, the air stands and only spreads.
    Hours without any wind are filled from those around. Raises `WeatherError` where more than
    `LONGEST_GAP` of them follow each other.
    """
    at, s, d = floats(places).reshape(-1, 2), floats(speed), floats(direction)
    if s.shape != d.shape or s.ndim != 2 or s.shape[1] != len(at) or len(s) < 2:
        raise ValueError(f"weather: {at.shape} places, speed {s.shape}, direction {d.shape}")
    offset = start.utcoffset()
    if offset is None:
        raise ValueError("weather: start has no time zone")
    s = np.where((s >= 0) & (s < 75), s, np.nan)
    d = np.where((d >= 0) & (d <= 360), d, np.nan)
    sure = np.isfinite(s) & np.isfinite(d) & (s >= CALM)
    still = np.isfinite(s) & (s < CALM)
    some = np.atleast_1d((sure | still).any(axis=1))
    gap = 0
    for hour, known in enumerate(some):
        gap = 0 if known else gap + 1
        if gap > LONGEST_GAP or gap == len(some):
            began = start + timedelta(hours=hour - gap + 1)
            raise WeatherError(f"no station has wind from {began:%Y-%m-%d %H:%M} on")
    rad = np.radians(d)
    east = np.where(sure, -s * np.sin(rad), np.nan)
    north = np.where(sure, -s * np.cos(rad), np.nan)
    x0, y0 = at.min(axis=0) - reach
    nx, ny = (np.ceil((at.max(axis=0) + reach - (x0, y0)) / size) + 1).astype(int)
    grid = np.meshgrid(x0 + size * np.arange(nx), y0 + size * np.arange(ny))
    far = (grid[0][..., None] - at[:, 0]) ** 2 + (grid[1][..., None] - at[:, 1]) ** 2
    weight = 1 / (far + smooth**2)
    hours = len(s)
    shape = (hours, ny, nx)
    u, v = np.full(shape, np.nan), np.full(shape, np.nan)
    for hour in range(hours):
        # A still station counts with its speed in the direction of the others.
        w = weight * sure[hour]
        if not sure[hour].any():
            continue
        total = w.sum(axis=-1)
        hu = (w * np.nan_to_num(east[hour])).sum(axis=-1) / total
        hv = (w * np.nan_to_num(north[hour])).sum(axis=-1) / total
        if still[hour].any():
            wind = np.hypot(hu, hv)
            both = weight * (sure[hour] | still[hour])
            told = (both * np.nan_to_num(s[hour])).sum(axis=-1) / both.sum(axis=-1)
            scale = np.minimum(told / np.maximum(wind, 1e-6), 1.0)
            hu, hv = hu * scale, hv * scale
        u[hour], v[hour] = divergence_free(hu, hv, size)
    blind = ~np.isfinite(u[:, 0, 0])
    calm = int((blind & some)[:-1].sum())
    known = np.flatnonzero(~blind)
    for array in (u, v):
        flat = array.reshape(hours, -1)
        if not len(known):
            flat[:] = 0.0
            continue
        for column in range(flat.shape[1]):
            flat[:, column] = np.interp(np.arange(hours), known, flat[known, column])
    if (blind & some).any():  # a direction from the hours around, but the speed that was measured
        for hour in np.flatnonzero(blind & some).tolist():
            told = float(np.nanmean(s[hour][still[hour]]))
            ratio = told / max(float(np.hypot(u[hour], v[hour]).mean()), 1e-6)
            u[hour] *= min(ratio, 1.0)
            v[hour] *= min(ratio, 1.0)
    ustar, obukhov, zi = _turbulence(np.hypot(u, v), start, plane, roughness, cloud, temperature)
    raised = boundary.wind(CARRIED, 1.0, 10.0, obukhov, roughness)
    mean = np.array([_mean(s[h], sure[h] | still[h]) for h in range(hours)])
    vane = np.degrees(np.arctan2(-u.mean(axis=(1, 2)), -v.mean(axis=(1, 2)))) % 360
    vane = vane if len(known) else np.full(hours, np.nan)
    winds = Winds(
        x0=float(x0),
        y0=float(y0),
        size=size,
        u=_moments(u * raised),
        v=_moments(v * raised),
        ustar=ustar,
        obukhov=obukhov,
        zi=zi,
        temperature=temperature,
    )
    return Weather(
        start,
        winds,
        int((sure | still).any(axis=0).sum()),
        calm,
        int((~some)[:-1].sum()),
        mean,
        vane,
    )


def stretches(speed: npt.ArrayLike, direction: npt.ArrayLike) -> list[tuple[int, int]]:
    """First and last rows of the stretches of (rows, n) whose gaps without wind can be filled."""
    s, d = floats(speed), floats(direction)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(s) & (s >= 0) & (s < 75)
        known &= (s < CALM) | ((d >= 0) & (d <= 360))
    rows = np.flatnonzero(known.any(axis=1))
    if not len(rows):
        return []
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > LONGEST_GAP + 1) + 1)
    return [(int(p[0]), int(p[-1])) for p in parts]


def judged(
    speed: npt.ArrayLike, direction: npt.ArrayLike, wanted: npt.ArrayLike
) -> tuple[int, int] | None:
    """Hours begin…stop (not included) with wind, or with some at most `LONGEST_GAP` hours away: of
    the stretches of wind (hours + 1, n) the one that has most of the `wanted` hours (hours,). None
    where none has any."""
    want = np.asarray(wanted, bool)
    best, most = None, 0
    for first, last in stretches(speed, direction):
        begin, stop = max(first - LONGEST_GAP, 0), min(last + LONGEST_GAP, len(want))
        if (count := int(want[begin:stop].sum())) > most:
            best, most = (begin, stop), count
    return best


def _moments(rows: Floats) -> Floats:
    """At the beginning of each hour, from hourly means (hours, ...): the mean of both sides."""
    return np.concatenate([rows[:1], (rows[:-1] + rows[1:]) / 2])


def _mean(values: Floats, where: npt.NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _turbulence(
    speed: Floats,
    start: datetime,
    plane: Plane,
    roughness: float,
    cloud: float,
    temperature: float,
) -> tuple[Floats, Floats, Floats]:
    """u*, L and zi (hours, ny, nx). By day the layer grows with the heat that came since sunrise,
    zi² = 2 (1 + 2 * 0.2) / 0.005 * sum(H / rho cp) dt: Carson (1973) Q. J. R. Meteorol. Soc. 99, 450,
    with a lapse rate of 5 K/km and Deardorff's entrainment of 0.2; never below Venkatram (1980). The
    sum goes back beyond row 0 to sunrise, a day at most, and ends in the middle of the row."""

    def heating(hour: int) -> float:
        middle = start + timedelta(hours=hour + 0.5)
        sun = sun_elevation(middle, plane.longitude, plane.latitude)
        return max(float(boundary.heat_flux(sun, cloud, temperature)), 0.0) if sun > 0 else 0.0

    ustar, obukhov, zi = (np.empty_like(speed) for _ in range(3))
    unit = 3600 / (boundary.AIR_DENSITY * boundary.AIR_HEAT)
    heat, before = 0.0, -1
    while before >= -24 and (flux := heating(before)) > 0:
        heat, before = heat + flux * unit, before - 1
    for hour in range(len(speed)):
        flux = heating(hour)
        heat = heat + flux * unit if flux > 0 else 0.0
        s = np.maximum(speed[hour], 0.3)
        if flux > 0:
            ustar[hour], obukhov[hour] = boundary.unstable_scales(
                s, 10.0, roughness, flux, temperature
            )
        else:
            ustar[hour], obukhov[hour] = boundary.stable_scales(
                s, 10.0, roughness, cloud, temperature
            )
        grown = np.sqrt(2 * 1.4 / 0.005 * (heat - flux * unit / 2))
        zi[hour] = np.clip(np.maximum(boundary.mechanical_depth(ustar[hour]), grown), 100.0, 4000.0)
    return ustar, obukhov, zi


def trajectories(
    winds: Winds, place: Sequence[float], arrivals: Sequence[float], hours: int, step: float = 600.0
) -> list[Floats]:
    """Ways of the air that arrives at a place so many hours after the weather begins (the mean of an
    hour arrives half an hour after its beginning): a list of (steps + 1, 3) x, y, age in hours, from the arrival back; shorter where it leaves the weather in time. Heun's method."""
    when = np.asarray(arrivals, float)
    count = round(hours * 3600 / step)
    ways = np.full((len(when), count + 1, 3), np.nan)
    ways[:, 0] = float(place[0]), float(place[1]), 0.0
    for k in range(count):
        age = k * step / 3600
        go = when - age - step / 3600 >= 0
        if not go.any():
            break
        x, y = ways[go, k, 0], ways[go, k, 1]
        now = when[go] - age
        u1, v1 = at(winds, x, y, now)
        u2, v2 = at(winds, x - u1 * step, y - v1 * step, now - step / 3600)
        ways[go, k + 1, 0] = x - step * (u1 + u2) / 2
        ways[go, k + 1, 1] = y - step * (v1 + v2) / 2
        ways[go, k + 1, 2] = age + step / 3600
    return [way[np.isfinite(way[:, 0])] for way in ways]


def at(
    winds: Winds, x: npt.ArrayLike, y: npt.ArrayLike, hour: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Wind at places and times (n,): linear between nodes and hours, the outermost values go on."""
    hours, ny, nx = winds.u.shape

    def place(value: Floats, most: int) -> tuple[npt.NDArray[np.int64], Floats]:
        inside = np.clip(value, 0.0, most - 1.0)
        low = np.minimum(inside.astype(np.int64), most - 2)
        return low, inside - low

    ix, fx = place((floats(x) - winds.x0) / winds.size, nx)
    iy, fy = place((floats(y) - winds.y0) / winds.size, ny)
    it, ft = place(floats(hour), hours)
    found = []
    for field in (winds.u, winds.v):
        total: Floats = np.zeros(np.shape(fx))
        for dt, wt in ((0, 1 - ft), (1, ft)):
            for dy, wy in ((0, 1 - fy), (1, fy)):
                for dx, wx in ((0, 1 - fx), (1, fx)):
                    total = total + wt * wy * wx * field[it + dt, iy + dy, ix + dx]
        found.append(total)
    return found[0], found[1]
