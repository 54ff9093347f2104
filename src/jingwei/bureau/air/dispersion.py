"""A run of the dispersion model: from the register, the lake and the weather to what outlets add to the
air, hour by hour. `question` reads, `compute` touches neither database nor lake."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils import timezone

from jingwei.analysis.air import disperse, loss, meteorology, weather
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.forecast.history import WEATHER
from jingwei.analysis.air.puffs import Sources, Winds
from jingwei.analysis.air.weather import WeatherError
from jingwei.bureau.air import grid_words, tracing, weather_tables
from jingwei.bureau.air.forecasting import folder
from jingwei.bureau.air.models import Dispersion, WeatherForecast
from jingwei.bureau.air.tracing import DIRECTION, HOUR, NAMES, SPEED, TEMPERATURE
from jingwei.bureau.air.tracing import RefusedError as RefusedError
from jingwei.bureau.registry.models import Medium, Outlet, Point

LONGEST = 72  # hours of a run
LEAD = 6  # hours before the run that fill the air
NAMED = 200  # sources told at a place; what the others add is told together
NEAR = 5  # sources told at a place of the lattice
TOLD = 20  # outlets beyond reach kept by name
ARROWS = 8  # wind arrows along a side of the map
STEPS = (1.0, 2.0, 5.0)  # of the legend
CLASSES = 7
Array = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass
class Question:
    """All that goes into a run. Rows of `wind` (2, hours + 1, places) are the hours from `begin`, the
    first `lead` of which only fill the air; `rain` mm/h and `sigma` degrees (hours + 1,), NaN unknown;
    `file` a gridded file of weather instead."""

    factor: str
    begin: datetime
    lead: int
    hours: int
    points: list[Point]
    plane: weather.Plane
    outlets: list[Outlet]
    rates: Array
    basis: list[str]
    gas: Array
    options: dict[str, Any]
    at: list[tuple[float, float]]
    wind: Array
    warmth: float
    rain: Array
    sigma: Array
    coming: int
    several: int = 0
    # Names of stations and of chosen outlets farther than `tracing.REACH` from the middle.
    away: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    file: Path | None = None
    file_sha256: str = ""

    def digest(self) -> str:
        """SHA-256 over everything, in one canonical form."""
        r = tracing._rounded
        facts = {
            "factor": self.factor, "begin": self.begin.isoformat(), "lead": self.lead,
            "hours": self.hours, "points": [[p.mn, p.longitude, p.latitude] for p in self.points],
            "plane": [self.plane.longitude, self.plane.latitude],
            "outlets": [
                [o.enterprise.uscc, o.code, o.longitude, o.latitude, o.diameter] for o in self.outlets
            ],
            "rates": r(self.rates), "basis": self.basis, "gas": r(self.gas),
            "options": self.options, "at": self.at, "wind": r(self.wind),
            "warmth": round(self.warmth, 3), "rain": r(self.rain), "sigma": r(self.sigma),
            "file": self.file_sha256,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def this_hour() -> datetime:
    """The hour under way."""
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def place(digest: str) -> Path:
    """Where the field of a run lies."""
    return folder() / f"dispersion-{digest}.nc"


def weather_place(digest: str) -> Path:
    """Where a file of weather that was handed in lies."""
    return folder() / f"weather-{digest}"


# ---- what is read ---------------------------------------------------------------------------------


def question(row: Dispersion) -> Question:
    """Read what is needed. Raises `RefusedError`."""
    points = list(Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True).order_by("pk"))
    plane = _plane(points)
    every = points
    points = [p for p in points if tracing.reached(plane, p)]
    now = this_hour()
    day = 24 * HOUR
    known = (
        (row.start, row.end) if row.end <= now else (min(row.start, now) - day, min(row.start, now))
    )
    outlets, rates, basis, beyond = tracing.emissions(row.factor, *known, plane)
    chosen = set(wanted(row.asked_for).values_list("pk", flat=True))
    keep = [i for i, o in enumerate(outlets) if o.pk in chosen]
    if not keep:
        raise RefusedError("no_sources")
    outlets, rates, basis = [outlets[i] for i in keep], rates[keep], [basis[i] for i in keep]
    begin = row.start.astimezone(UTC) - LEAD * HOUR
    hours = round((row.end - begin) / HOUR)
    q = Question(
        row.factor, begin, LEAD, hours, points, plane, outlets, rates, basis,
        tracing.gas(outlets, known[1] - day, 24), row.asked_for, [],
        np.full((2, hours + 1, 0), np.nan), 15.0, np.full(hours + 1, np.nan),
        np.full(hours + 1, np.nan), 0, tracing.several(row.factor, *known, outlets),
        tuple(p.name for p in every if p not in points),
        tuple(f"{o.enterprise.name} {o.code}" for o in beyond if o.pk in chosen),
    )  # fmt: skip
    kind = row.asked_for.get("weather", "stations")
    if kind == "stations":
        _own_weather(q, now)
    else:
        path = weather_place(row.weather)
        try:
            content = path.read_bytes()
        except OSError:
            raise RefusedError("lost") from None
        if hashlib.sha256(content).hexdigest() != row.weather:
            raise RefusedError("lost")
        q.file_sha256 = row.weather
        if kind == "table":
            _table_weather(q, content)
        else:
            q.file = path
    if row.asked_for.get("rain_mm") is not None:
        q.rain = np.where(np.isfinite(q.rain), q.rain, float(row.asked_for["rain_mm"]))
    return q


def _plane(points: list[Point]) -> weather.Plane:
    places = [(p.longitude, p.latitude) for p in points] or list(
        Outlet.objects.filter(medium=Medium.AIR).values_list("longitude", "latitude")
    )
    if not places:
        raise RefusedError("no_sources")
    return tracing.middle(places)


def wanted(asked_for: dict[str, Any]) -> Any:
    """The outlets that were asked for."""
    rows = Outlet.objects.filter(medium=Medium.AIR)
    which = asked_for.get("which", "all")
    if which == "industry":
        return rows.filter(enterprise__industry=asked_for["industry"])
    if which == "region":
        return rows.filter(enterprise__region__code__startswith=asked_for["region"])
    if which == "outlets":
        return rows.filter(pk__in=asked_for["outlets"])
    return rows


def _own_weather(q: Question, now: datetime) -> None:
    """Wind of the stations as far as measured, then one wind of the forecast for the whole city."""
    points, end = q.points, q.begin + q.hours * HOUR
    past = q.hours + 1 if end <= now else max(round((now - q.begin) / HOUR), 0)
    factors = (SPEED, DIRECTION, TEMPERATURE)
    table = tracing.means(points, factors, q.begin, past) if past and points else {}
    blank = np.full((past, len(points)), np.nan)
    speed, direction, warm = (table.get(f, blank) for f in factors)
    if np.isfinite(warm).any():
        q.warmth = float(np.nanmean(warm))
    if end <= now:
        q.at = [(p.longitude, p.latitude) for p in points]
        q.wind = np.stack([speed, direction])
        # The wind at the end of the last hour is that of its beginning, where it has not come yet.
        last = ~np.isfinite(q.wind[:, -1])
        q.wind[:, -1] = np.where(last, q.wind[:, -2], q.wind[:, -1])
        return
    rows = np.full((q.hours + 1, 3), np.nan)  # u, v, speed
    turn = np.radians(direction)
    for k, part in enumerate((-speed * np.sin(turn), -speed * np.cos(turn), speed)):
        some = np.isfinite(part).any(axis=1)
        rows[: len(part), k][some] = np.nanmean(part[some], axis=1)
    sky = (
        WeatherForecast.objects.filter(start__lte=max(now, q.begin))
        .order_by("-start", "-pk")
        .first()
    )
    if sky is not None:
        order = [WEATHER.index(w) for w in ("u", "v", "speed")]
        told = np.array([[np.nan if v is None else v for v in h] for h in sky.hours], float)
        for h in range(past, q.hours + 1):
            k = round((q.begin + h * HOUR - sky.start) / HOUR)
            if 0 <= k < len(told):
                rows[h] = told[k, order]
                q.coming += 1
        if not np.isfinite(rows[-1]).all():
            rows[-1] = rows[-2]
        warm = told[:, WEATHER.index("temperature")]
        if np.isfinite(warm).any():
            q.warmth = float(np.nanmean(warm))
    q.at = [(q.plane.longitude, q.plane.latitude)]
    vane = np.degrees(np.arctan2(-rows[:, 0], -rows[:, 1])) % 360
    q.wind = np.stack([rows[:, 2:], vane[:, None]])


def _table_weather(q: Question, content: bytes) -> None:
    try:
        given = weather_tables.read(content)
    except weather_tables.TableError as error:
        raise RefusedError("file", str(error)) from None
    q.at = [(q.plane.longitude, q.plane.latitude)]
    q.wind = np.full((2, q.hours + 1, 1), np.nan)
    for h in range(q.hours + 1):
        hour = given.get(q.begin + h * HOUR)
        if hour is None and h == q.hours:  # the end of the last hour
            hour = given.get(q.begin + (h - 1) * HOUR)
        if hour is None:
            continue
        q.wind[:, h, 0] = hour.speed, hour.direction
        q.rain[h], q.sigma[h] = hour.rain, hour.sigma
    warm = [x.temperature for x in given.values() if np.isfinite(x.temperature)]
    if warm:
        q.warmth = float(np.mean(warm))


# ---- what is computed -----------------------------------------------------------------------------


@dataclass
class Sky:
    """`winds` from `begin` on, the first `lead` hours of which fill the air; `rain` (hours,) mm/h."""

    begin: datetime
    lead: int
    winds: Winds
    rain: Array
    notes: list[str]
    said: dict[str, int]


def _sky(q: Question) -> Sky:
    if q.file is not None:
        return _gridded(q, q.file)
    asked = np.ones(q.hours, bool)
    asked[: q.lead] = False
    begin, stop = weather.judged(q.wind[0], q.wind[1], asked) or (0, 0)
    if stop - max(begin, q.lead) < 1:
        raise RefusedError("wind")
    x, y = q.plane.to([p[0] for p in q.at], [p[1] for p in q.at])
    part = slice(begin, stop + 1)
    start = q.begin + begin * HOUR
    try:
        found = weather.from_stations(
            np.column_stack([x, y]), q.wind[0, part], q.wind[1, part], start, plane=q.plane,
            temperature=q.warmth + 273.15,
        )  # fmt: skip
    except WeatherError:
        raise RefusedError("wind") from None
    winds = found.winds
    sigma = (
        np.radians(q.sigma[part]) * q.wind[0, part, 0]
        if q.wind.shape[2] == 1
        else np.array([np.nan])
    )
    said = {
        "wind_stations": found.stations, "calm": 0 if found.still else found.calm,
        "filled": found.filled, "still": int(found.still), "coming": q.coming,
        "sigma": int(np.isfinite(sigma[:-1]).sum()),
    }  # fmt: skip
    if np.isfinite(sigma).any():
        wide = np.broadcast_to(sigma[:, None, None], winds.u.shape)
        winds = replace(winds, sigma_v=np.ascontiguousarray(wide))
    rain = q.rain[part][:-1]
    return Sky(start, max(q.lead - begin, 0), winds, rain, [], said)


def _gridded(q: Question, file: Path) -> Sky:
    try:
        found = meteorology.read(file, q.plane, names=q.options.get("names") or None)
    except FieldError as error:
        raise RefusedError("file", grid_words.why(error)[:200]) from None
    began = datetime.fromtimestamp(int(found.start.astype("datetime64[s]").astype(int)), UTC)
    shift = int((q.begin - began) // HOUR)
    lo, hi = max(shift, 0), min(shift + q.hours, found.winds.hours)
    lead = min(max(shift + q.lead - lo, 0), q.lead)
    if hi - lo - lead < 1:
        last = began + found.winds.hours * HOUR
        raise RefusedError("span", f"{timezone.localtime(began):%Y-%m-%d %H:%M} – {timezone.localtime(last):%Y-%m-%d %H:%M}")  # fmt: skip
    winds = disperse.hours(found.winds, lo, hi)
    if found.rain is not None:
        rain = (found.rain[lo:hi] + found.rain[lo + 1 : hi + 1]) / 2
    else:
        rain = q.rain[lo - shift : hi - shift]
    x, y = q.plane.to([o.longitude for o in q.outlets], [o.latitude for o in q.outlets])
    ny, nx = winds.u.shape[1:]
    i, j = (x - winds.x0) / winds.size, (y - winds.y0) / winds.size
    outside = int(((i < 0) | (j < 0) | (i > nx - 1) | (j > ny - 1)).sum())
    if outside == len(q.outlets):
        raise RefusedError("elsewhere")
    return Sky(
        began + lo * HOUR,
        lead,
        winds,
        rain,
        [grid_words.said(n) for n in found.notes],
        {"outside": outside},
    )


def losses(q: Question, sky: Sky) -> tuple[Winds, dict[str, Any]]:
    """The weather with what leaves the air of it, and that in figures."""
    about = loss.LOSSES[NAMES[q.factor]]
    told: dict[str, Any] = {"cited": about.cited}
    rate = np.zeros(sky.winds.hours)
    if half := q.options.get("half_life"):
        rate += float(loss.half_life(half))
        told["half_life"] = half
    wet = np.nan_to_num(sky.rain)
    if q.options.get("washout") and about.scavenging:
        rate += loss.washout(wet, *about.scavenging)
        told["rain"] = round(float(wet[sky.lead :].sum()), 1)
        told["rain_unknown"] = int(np.isnan(sky.rain[sky.lead :]).sum())
    winds = replace(sky.winds, loss=rate)
    if q.options.get("deposition") and about.surface:
        speed = loss.velocity(winds.ustar[:-1], winds.obukhov[:-1], about.surface)
        winds = replace(winds, deposition=speed)
        told["deposition"] = [_figure(100 * float(f(speed))) for f in (np.min, np.max)]
    return winds, told


def compute(q: Question, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Run the model and keep its field: the result with the field's SHA-256 as `field`. Raises
    `RefusedError`, and what `progress` raises."""
    sky = _sky(q)
    winds, told = losses(q, sky)
    sx, sy = q.plane.to([o.longitude for o in q.outlets], [o.latitude for o in q.outlets])
    px, py = q.plane.to([p.longitude for p in q.points], [p.latitude for p in q.points])
    height, velocity, gas = q.gas
    industries = sorted({o.enterprise.industry for o in q.outlets})
    sources = Sources(
        x=np.atleast_1d(sx), y=np.atleast_1d(sy),
        height=np.where(np.isfinite(height), height, tracing.DEFAULT_HEIGHT), rate=q.rates,
        diameter=np.array([o.diameter or 0.0 for o in q.outlets]),
        velocity=np.nan_to_num(velocity), gas=np.nan_to_num(gas),
        group=np.array([industries.index(o.enterprise.industry) for o in q.outlets], np.int32),
    )  # fmt: skip
    grid = disperse.cover(np.concatenate([sources.x, px]), np.concatenate([sources.y, py]))
    try:
        made = disperse.run(
            sources,
            winds,
            grid,
            np.column_stack([px, py]),
            lead=sky.lead,
            progress=progress,
            threads=max((os.cpu_count() or 2) // 2, 1),  # the others have work to do, too
        )
    except disperse.TooLargeError:
        raise RefusedError("large") from None
    start = sky.begin + sky.lead * HOUR
    content = disperse.netcdf(
        made, q.plane, start, pollutant=NAMES[q.factor],
        about={"title": "Jingwei dispersion run", "input_sha256": q.digest(), "engine": made.engine},
    )  # fmt: skip
    field = hashlib.sha256(content).hexdigest()
    target = place(field)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".part{id(content)}")
    part.write_bytes(content)
    part.replace(target)
    lon, lat = disperse.axes(grid, q.plane)
    half = (float(lon[1] - lon[0]) / 2, float(lat[1] - lat[0]) / 2)
    peak = np.unravel_index(int(made.mesh.argmax()), made.mesh.shape)
    nx, ny = q.plane.back(made.lattice[:, 0], made.lattice[:, 1])
    b = made.balance
    rises = np.isfinite(velocity) & np.isfinite(gas) & (np.asarray(sources.diameter) > 0)
    return {
        "field": field,
        "start": start.isoformat(),
        "hours": len(made.mesh),
        "asked_hours": q.hours - q.lead,
        "late": round((start - q.begin) / HOUR) - q.lead,
        "lead": sky.lead,
        "engine": made.engine,
        "grid": {
            "size": grid.size, "nx": grid.nx, "ny": grid.ny,
            "west": float(lon[0]) - half[0], "east": float(lon[-1]) + half[0],
            "south": float(lat[0]) - half[1], "north": float(lat[-1]) + half[1],
        },
        "breaks": breaks(made.mesh),
        "peak": {
            "value": _figure(float(made.mesh[peak])), "hour": int(peak[0]),
            "at": [round(float(lon[peak[2]]), 5), round(float(lat[peak[1]]), 5)],
        },
        "mean": _figure(float(made.mesh.mean())),
        "industries": industries,
        "sources": [
            {
                "outlet": o.pk, "name": f"{o.enterprise.name} {o.code}",
                "enterprise": o.enterprise_id, "industry": o.enterprise.industry,
                "region": o.enterprise.region_id, "rate": _figure(float(r)), "basis": basis,
                "at": [o.longitude, o.latitude],
            }
            for o, r, basis in zip(q.outlets, q.rates, q.basis, strict=True)
        ],
        "stations": [p.pk for p in q.points],
        "away": list(q.away),
        "beyond": list(q.beyond[:TOLD]),
        "series": [[[_figure(v) for v in made.series[:, s, g]] for g in range(len(industries))]
                   for s in range(len(q.points))],
        "shares": [_top(made.shares[s], NAMED) for s in range(len(q.points))],
        "lattice": [
            [round(float(a), 5), round(float(c), 5), _top(row, NEAR)]
            for a, c, row in zip(nx, ny, made.near, strict=True)
        ],
        "wind": _arrows(winds, grid, q.plane, sky.lead),
        "losses": told,
        "balance": {
            k: _figure(getattr(b, k)) for k in ("emitted", "airborne", "left", "lost", "aged")
        },
        "notes": sky.notes,
        "said": {
            "stations": len(q.points), **sky.said,
            **{f"basis_{k}": n for k, n in Counter(q.basis).items()},
            "no_height": int((~np.isfinite(height)).sum()), "no_rise": int((~rises).sum()),
            "several": q.several, "beyond": len(q.beyond),
        },
    }  # fmt: skip


def breaks(mesh: Any) -> list[float]:
    """The borders of the legend's classes: a 1-2-5 series, the highest below the peak."""
    top = float(mesh.max())
    if not top > 0:
        return [1.0]
    every = [s * 10.0**k for k in range(-9, 9) for s in STEPS]
    return [float(f"{x:.3g}") for x in every if x < top][-CLASSES:] or [float(f"{top / 2:.1g}")]


def _top(row: Array, most: int) -> dict[str, Any]:
    """The sources that add most, [number, µg/m³], and what the others add together."""
    order = [int(i) for i in np.argsort(-row)[:most] if row[i] > 0]
    return {
        "of": [[i, _figure(float(row[i]))] for i in order],
        "rest": _figure(max(float(row.sum() - row[order].sum()), 0.0)),
    }


def _arrows(winds: Winds, grid: Any, plane: weather.Plane, lead: int) -> dict[str, Any]:
    """Mean wind of each hour at evenly spaced places."""
    xs = np.linspace(grid.x0, grid.x0 + grid.size * (grid.nx - 1), ARROWS + 2)[1:-1]
    ys = np.linspace(grid.y0, grid.y0 + grid.size * (grid.ny - 1), ARROWS + 2)[1:-1]
    x, y = (a.ravel() for a in np.meshgrid(xs, ys))
    lon, lat = plane.back(x, y)
    rows = []
    for h in range(lead, winds.hours):
        u, v = weather.at(winds, x, y, np.full(len(x), h + 0.5))
        rows.append([[round(float(a), 1), round(float(b), 1)] for a, b in zip(u, v, strict=True)])
    places = [[round(float(a), 4), round(float(b), 4)] for a, b in zip(lon, lat, strict=True)]
    return {"at": places, "hours": rows}


def _figure(value: float) -> float | None:
    return tracing._figure(float(value))
