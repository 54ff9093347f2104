"""Ways of the air to a station by the wind of the city's own stations, and which of them are alike.

A wind measured near the ground in one city says where the air of the last hours came from within
reach of the stations. Beyond that it is the city's wind carried on, without the wind aloft and
without rise or sinking: directions, not places. Trajectories of a weather model reach farther.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import weather
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.puffs import Winds

Ints = npt.NDArray[np.int64]
STEP = 900.0  # s
REACH = 30_000.0  # m beyond the outermost station; `weather.from_stations` has a field so far
METHODS = ("angle", "euclid")


@dataclass(frozen=True)
class Ways:
    """`arrival` (n,): hour of each arrival, in the middle of it; `tracks` (n, steps + 1, 2): x, y in m
    of the plane from the arrival back, one place each `STEP`; `lost`: arrivals without a way, since for
    more than `weather.LONGEST_GAP` hours no station had wind or the winds end; `calm`, `filled`: hours as in `Weather`;
    `outside` (n,): share of each way's places farther than `REACH` from all stations with wind, 0…1."""

    arrival: Ints
    tracks: Floats
    lost: int
    calm: int
    filled: int
    outside: Floats


def backward(
    places: npt.ArrayLike,
    speed: npt.ArrayLike,
    direction: npt.ArrayLike,
    start: datetime,
    *,
    plane: weather.Plane,
    place: tuple[float, float],
    hours: int,
    every: int = 1,
    temperature: float = 288.0,
) -> Ways:
    """Ways of `hours` hours to `place` (m of the plane) for every `every`th hour from row `hours` on.

    `places` (n, 2) of the stations, `speed` in m/s and `direction` in degrees (rows, n), row h the
    hour `start` + h, NaN where missing. A gap too long to fill parts the weather; ways that would
    cross it are left out. Raises `WeatherError` where no way is left, ValueError for odd shapes.
    """
    xy, s, d = floats(places).reshape(-1, 2), floats(speed), floats(direction)
    if s.shape != d.shape or s.ndim != 2 or s.shape[1] != len(xy) or hours < 1 or every < 1:
        raise ValueError(f"ways: {xy.shape} places, speed {s.shape}, direction {d.shape}")
    wanted = np.arange(hours, len(s), every)
    steps = round(hours * 3600 / STEP)
    arrivals, tracks, calm, filled = [], [], 0, 0
    for first, last in weather.stretches(s, d):
        mine = wanted[(wanted - hours >= first) & (wanted <= last)]
        if not len(mine):
            continue
        cut = np.r_[first : last + 1, last]  # for the wind at the end of the last hour
        try:
            air = weather.from_stations(
                xy, s[cut], d[cut], start + timedelta(hours=first),
                plane=plane, reach=REACH, temperature=temperature,
            )  # fmt: skip
        except weather.WeatherError:
            continue
        if air.still:
            continue  # calm throughout: it has no direction
        calm += air.calm
        filled += air.filled
        middle = (mine - first + 0.5).tolist()
        found = weather.trajectories(air.winds, place, middle, hours, STEP)
        arrivals.append(mine)
        tracks.append(np.stack([way[: steps + 1, :2] for way in found]))
    if not arrivals:
        raise weather.WeatherError("no hours in a row with wind are long enough for a way")
    arrival, ways = np.concatenate(arrivals), np.concatenate(tracks)
    blowing = xy[(np.isfinite(s) & np.isfinite(d)).any(axis=0)]
    # Every hour of a way is enough to say how much of it lies outside.
    some = ways[:, :: round(3600 / STEP)].reshape(-1, 1, 2)
    near = np.hypot(*np.moveaxis(some - blowing, -1, 0)).min(axis=1)
    outside = (near > REACH).reshape(len(ways), -1).mean(axis=1)
    return Ways(arrival, ways, len(wanted) - len(arrival), calm, filled, outside)


def through(
    winds: Winds, rows: int, shift: int, *, place: tuple[float, float], hours: int, every: int = 1
) -> Ways:
    """The same through winds on a mesh, the first hour of which is row `shift` (may be below 0) of `rows`
    hours. `outside`: share of each way's places beyond the mesh, where its outermost winds go on. Raises
    `WeatherError` where no way is left."""
    if hours < 1 or every < 1:
        raise ValueError(f"ways: {hours} hours, every {every}")
    wanted = np.arange(hours, rows, every)
    middle = wanted - shift + 0.5
    known = (middle - hours >= 0) & (middle <= winds.hours)
    if not known.any():
        raise weather.WeatherError("the winds do not reach over a whole way")
    steps = round(hours * 3600 / STEP)
    found = weather.trajectories(winds, place, middle[known].tolist(), hours, STEP)
    tracks = np.stack([way[: steps + 1, :2] for way in found])
    reach = winds.size * (np.array(winds.u.shape[:0:-1]) - 1)
    some = tracks[:, :: round(3600 / STEP)] - (winds.x0, winds.y0)
    beyond = ((some < 0) | (some > reach)).any(axis=-1)
    return Ways(wanted[known], tracks, int((~known).sum()), 0, 0, beyond.mean(axis=1))


def distances(tracks: npt.ArrayLike, method: str) -> Floats:
    """How unlike ways (n, steps + 1, 2) are, (n, n); the first point of all is the arrival.

    angle: mean angle in radians under which the places of the same age are seen from the arrival,
    Sirois and Bottenheim (1995) J. Geophys. Res. 100, 2867: the direction counts, the speed does
    not. euclid: root of the summed squares of their distances in m, so that long ways count more.
    Both as in `trajCluster` of openair (Carslaw and Ropkins 2012 Environ. Model. Softw. 27-28, 52).
    A place on the arrival itself has no direction: it is left out of the mean.
    """
    way = floats(tracks)
    if way.ndim != 3 or way.shape[1] < 2 or way.shape[2] != 2 or not np.isfinite(way).all():
        raise ValueError(f"ways: {way.shape} tracks, wanted known (n, 2 or more, 2)")
    if method not in METHODS:
        raise ValueError(f"ways: method {method!r}, wanted one of {' '.join(METHODS)}")
    n = len(way)
    total: Floats = np.zeros((n, n))
    if method == "euclid":
        for k in range(1, way.shape[1]):
            square = ((way[:, None, k] - way[None, :, k]) ** 2).sum(axis=-1)
            total += square
        return np.asarray(np.sqrt(total))
    count: Floats = np.zeros((n, n))
    for k in range(1, way.shape[1]):
        out = way[:, k] - way[:, 0]
        far = np.hypot(out[:, 0], out[:, 1])
        seen = far > 0
        unit = out / np.where(seen, far, 1.0)[:, None]
        both = seen[:, None] & seen[None, :]
        total += np.where(both, np.arccos(np.clip(unit @ unit.T, -1.0, 1.0)), 0.0)
        count += both
    found = total / np.maximum(count, 1)
    np.fill_diagonal(found, 0.0)  # what rounding leaves of the angle to oneself
    return np.asarray(found)


@dataclass(frozen=True)
class Clusters:
    """`member` (n,): cluster of each way, 0 the largest; `middle` (k,): the way in the middle of
    each; `cost`: mean distance to it; `silhouette`: Rousseeuw's (1987) mean width, -1…1: how well the
    clusters are apart, NaN for one cluster."""

    member: Ints
    middle: Ints
    cost: float
    silhouette: float


def cluster(distance: npt.ArrayLike, count: int) -> Clusters:
    """Partition around medoids of a distance matrix (n, n): Kaufman and Rousseeuw (1990) Finding
    Groups in Data, chapter 2, the first ways by BUILD, then the best SWAP until none is better.
    Raises ValueError for fewer ways than clusters."""
    d = floats(distance)
    n = len(d)
    if d.shape != (n, n) or not 1 <= count <= n:
        raise ValueError(f"clusters: {count} of distances {d.shape}")
    middle = [int(np.argmin(d.sum(axis=0)))]
    near = d[middle[0]].copy()
    while len(middle) < count:
        gain = np.maximum(near[None, :] - d, 0.0).sum(axis=1)
        gain[middle] = -1.0
        middle.append(int(np.argmax(gain)))
        near = np.minimum(near, d[middle[-1]])
    for _ in range(100):
        rows = d[middle]
        order = np.argsort(rows, axis=0, kind="stable")
        first = np.take_along_axis(rows, order[:1], axis=0)[0]
        second = (
            np.take_along_axis(rows, order[1:2], axis=0)[0] if count > 1 else np.full(n, np.inf)
        )
        best = (1e-9 * max(float(first.sum()), 1.0), -1, -1)
        for k in range(count):
            rest = np.where(order[0] == k, second, first)
            saved = first.sum() - np.minimum(rest[None, :], d).sum(axis=1)
            saved[middle] = -np.inf
            one = int(np.argmax(saved))
            if saved[one] > best[0]:
                best = (float(saved[one]), k, one)
        if best[1] < 0:
            break
        middle[best[1]] = best[2]
    member = np.argmin(d[middle], axis=0)
    size = np.bincount(member, minlength=count)
    order = np.argsort(-size, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    member = rank[member]
    return Clusters(
        member,
        np.asarray(middle, np.int64)[order],
        float(np.mean(d[middle].min(axis=0))),
        _silhouette(d, member, count),
    )


def _silhouette(d: Floats, member: Ints, count: int) -> float:
    if count < 2:
        return float("nan")
    size = np.bincount(member, minlength=count).astype(float)
    to = np.stack([d[:, member == k].sum(axis=1) for k in range(count)], axis=1)
    own = np.take_along_axis(to, member[:, None], axis=1)[:, 0] / np.maximum(size[member] - 1, 1)
    mean = to / np.maximum(size, 1)
    mean[np.arange(len(d)), member] = np.inf
    other = mean.min(axis=1)
    width = np.where(
        size[member] > 1, (other - own) / np.maximum(np.maximum(other, own), 1e-300), 0
    )
    return float(width.mean())
