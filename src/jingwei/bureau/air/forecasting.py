"""What the lake holds of the city's air becomes a learned forecast, and that becomes 48 hours ahead.

Nothing here touches the database: `Stations` and `Sky` carry what is needed of it, so that all of it can
run in a thread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings

from jingwei.analysis.air.forecast import classes, daily, dispersion, history, model, store, verify
from jingwei.analysis.air.forecast.history import WEATHER, History
from jingwei.analysis.air.forecast.model import LEVELS, WARM
from jingwei.analysis.air.forecast.weather import LEADS, Degraded
from jingwei.bureau.air.contributions import Stacks, contributions, sources, told_basis
from jingwei.bureau.monitoring.observations import normal_marks, value_unit
from jingwei.standards import aqi, units
from jingwei.telemetry.lake import Lake

HOUR = timedelta(hours=1)
OFFSET = np.timedelta64(8, "h")  # standard time of China
FACTORS = {
    "PM2.5": "a34004", "PM10": "a34002", "SO2": "a21026", "NO2": "a21004", "CO": "a21005",
    "O3": "a05024",
}  # fmt: skip
ITEMS = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "CO": "co", "O3": "o3"}
SKY = {"temperature": "a01001", "humidity": "a01002", "pressure": "a01006", "speed": "a01007",
       "direction": "a01008"}  # fmt: skip
KEPT = timedelta(days=15)  # not learned from: the days that judge what was learned
PAST = timedelta(days=3 * 366)  # of the lake; older years lie in the archive
LEAST = 2 * 3 * model.BLOCK + WARM + LEADS + round(KEPT / HOUR)  # hours with measured air
ROWS = (20_000, 300_000)  # cases to learn from: half of all station hours, within these
MEDIAN = LEVELS.index(0.5)
FLOOR = -100.0  # µg/m³, own choice: farther below 0 it is a mark of failure (-999), no offset
BACK = 3  # measured days told before that of the start


class ForecastError(Exception):
    """There is no forecast; `code` says why, `about` what it needs."""

    def __init__(self, code: str, **about: Any) -> None:
        super().__init__(code)
        self.code, self.about = code, about

    def __str__(self) -> str:
        return f"{self.code} {json.dumps(self.about, sort_keys=True)}" if self.about else self.code


@dataclass(frozen=True)
class Station:
    """What is needed of an air station; `at`: longitude, latitude; `units`: scale of each factor to µg/m³, °C, hPa, %, m/s."""

    pk: int
    mn: str
    st: str
    code: str
    name: str
    version: str
    at: tuple[float, float]
    units: dict[str, float]

    @classmethod
    def of(cls, point: Any) -> Station:
        wanted = dict.fromkeys(FACTORS.values(), "µg/m³") | {SKY["pressure"]: "hPa"}
        scales = {f: units.scale(value_unit(f, point), unit) or 1.0 for f, unit in wanted.items()}
        return cls(
            point.pk,
            point.mn,
            point.st,
            point.station_code,
            point.name,
            point.version,
            (point.longitude, point.latitude),
            scales,
        )


@dataclass(frozen=True)
class Sky:
    """A forecast of the weather: the number of its row, and hours from `start` on."""

    pk: int
    start: datetime
    hours: npt.NDArray[np.float64]  # (n, len(WEATHER))


def folder() -> Path:
    return Path(settings.ENV.data) / "air"


def place(digest: str) -> Path:
    """Where a learned forecast lies."""
    return folder() / f"forecast-{digest}.json.gz"


def archive() -> Path:
    """Years before the lake begins, one table (`history.read`); stations by code, MN or name."""
    return folder() / "archive.parquet"


# ---- what was measured --------------------------------------------------------------------------


def local(moment: datetime) -> np.datetime64:
    """The hour in standard time, as `History` counts."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "h") + OFFSET


def moment(hour: np.datetime64) -> datetime:
    seconds = int((hour - OFFSET).astype("datetime64[s]").astype(np.int64))
    return datetime.fromtimestamp(seconds, UTC)


def measured(
    stations: Sequence[Station],
    start: datetime,
    end: datetime,
    older: History | None = None,
    raw: bool = False,
) -> tuple[History, dict[str, int]]:
    """Hours from `start` (or the beginning of `older`) to `end`, and how many values were left out why.

    Values marked not normal are not read; negative ones and such that stand still for a day are left
    out. `raw`: negative ones down to `FLOOR` stay, for sensors whose offset is still to be taken out. Wind is averaged as a vector; the dew point follows from temperature and humidity (Magnus, WMO
    No. 8 annex 4.B). Raises `ForecastError` where no station has sent anything.
    """
    first = local(start) if older is None else min(local(start), older.times[0])
    hours = int((local(end) - first) / np.timedelta64(1, "h"))
    wanted = {f: k for k, f in enumerate([*FACTORS.values(), *SKY.values()])}
    cube = np.full((len(wanted), hours, len(stations)), np.nan)
    where = {(s.mn, s.st): i for i, s in enumerate(stations)}
    rows = Lake(settings.ENV.lake).scan("hour", start, end, list(where), list(wanted))
    marks = [normal_marks(s.version) for s in stations]
    if len(rows):
        at = (rows["time"].to_numpy().astype("datetime64[s]") + OFFSET - first) / np.timedelta64(
            1, "h"
        )
        value = rows["value"].to_numpy().astype(float)
        pairs = zip(rows["mn"].to_pylist(), rows["st"].to_pylist(), strict=True)
        who = np.array([where[p] for p in pairs])
        what = np.array([wanted[f] for f in rows["factor"].to_pylist()])
        normal = np.array(
            [(m or "") in marks[i] for m, i in zip(rows["flag"].to_pylist(), who, strict=True)],
            bool,
        )
        scale = np.array([[s.units.get(f, 1.0) for f in wanted] for s in stations])
        use = normal & np.isfinite(value) & (at == at.astype(np.int64))
        cube[what[use], at[use].astype(np.int64), who[use]] = (
            value[use] * scale[who[use], what[use]]
        )
    dropped = {"negative": 0, "stuck": 0}
    values = {}
    for name, factor in FACTORS.items():
        one = cube[wanted[factor]]
        with np.errstate(invalid="ignore"):
            bad = one < (FLOOR if raw else 0.0)
        still = np.column_stack([history.stuck(one[:, k]) for k in range(len(stations))])
        dropped["negative"] += int(bad.sum())
        dropped["stuck"] += int((still & ~bad).sum())
        values[name] = np.where(bad | still, np.nan, one)
    sky = _sky({k: cube[wanted[f]] for k, f in SKY.items()})
    if older is not None:
        values, sky = _joined(stations, values, sky, older, first)
    values = {k: v for k, v in values.items() if np.isfinite(v).any()}
    if not values:
        raise ForecastError("silent")
    if not any(np.isfinite(sky[w]).any() for w in ("speed", "temperature", "pressure")):
        sky = {}
    times = first + np.arange(hours).astype("timedelta64[h]")
    return History(times, tuple(s.mn for s in stations), values, sky), dropped


def _sky(given: dict[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.float64]]:
    speed, direction = given["speed"], np.radians(given["direction"])
    with np.errstate(invalid="ignore", divide="ignore"):
        humid = np.where(
            (given["humidity"] > 0) & (given["humidity"] <= 100), given["humidity"], np.nan
        )
        alpha = np.log(humid / 100) + 17.62 * given["temperature"] / (243.12 + given["temperature"])
        dew = 243.12 * alpha / (17.62 - alpha)
    parts = {
        "temperature": given["temperature"], "dewpoint": dew, "pressure": given["pressure"],
        "u": -speed * np.sin(direction), "v": -speed * np.cos(direction), "speed": speed,
    }  # fmt: skip
    return {w: history.mean(parts[w]) for w in WEATHER}


def _joined(
    stations: Sequence[Station],
    values: dict[str, npt.NDArray[np.float64]],
    sky: dict[str, npt.NDArray[np.float64]],
    older: History,
    first: np.datetime64,
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float64]]]:
    """The archive where the lake has nothing."""
    begin = int((older.times[0] - first) / np.timedelta64(1, "h"))
    columns = [next(i for i, n in enumerate(older.stations) if n in (s.code, s.mn, s.name)) for s in stations
               if {s.code, s.mn, s.name} & set(older.stations)]  # fmt: skip
    known = [k for k, s in enumerate(stations) if {s.code, s.mn, s.name} & set(older.stations)]
    if not known:
        raise ForecastError("strangers", have=", ".join(older.stations[:3]))
    for name, series in values.items():
        span = series[begin : begin + len(older)]
        if name in older.values:
            old = older.values[name][: len(span), columns]
            span[:, known] = np.where(np.isnan(span[:, known]), old, span[:, known])
    for name, line in sky.items():
        part = line[begin : begin + len(older)]
        if name in older.weather:
            part[:] = np.where(np.isnan(part), older.weather[name][: len(part)], part)
    return values, sky


# ---- learning -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitted:
    """What is kept of learning: the bytes, their digest, the first hour not learned from, and what
    is told of it."""

    data: bytes
    until: datetime
    about: dict[str, Any]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def fit(
    stations: Sequence[Station],
    now: datetime,
    rows: int | None = None,
    given: Stacks | None = None,
) -> Fitted:
    """Learn every pollutant that is measured, with a forecast of the weather and without.

    `given`: the registered stacks. Then what they emit is learned with their dispersion field too,
    and that is kept where it errs less on the days not learned from.

    The last `KEPT` before `now` are not learned from: on them the forecast is judged, from every
    sixth hour. There is no archive of weather forecasts, so the weather that was measured, made worse
    as forecasts are (`Degraded`), stands in for them. Raises `ForecastError`.
    """
    older = None
    if archive().exists():
        try:
            older = history.read(archive())
        except ValueError as error:
            raise ForecastError("archive", why=str(error)[:200]) from error
    known, dropped = measured(stations, now - PAST, now, older)
    some = np.logical_or.reduce([np.isfinite(v).any(axis=1) for v in known.values.values()])
    seen = np.flatnonzero(some)
    known = _cut(known, int(seen[0]))
    if int(some.sum()) < LEAST:
        raise ForecastError("short", have=int(some.sum()), want=LEAST)
    until = len(known) - round(KEPT / HOUR)
    starts = np.arange(until, len(known) - LEADS, 6)
    count = rows or int(np.clip(len(known) * len(stations) // 2, *ROWS))
    models: dict[str, model.Model] = {}
    told: dict[str, Any] = {}
    left: dict[str, str] = {}
    used: dict[str, bool] = {}
    places = [s.at for s in stations]
    for name in known.values:
        try:
            kinds: dict[str, Any] = {"bare": (None, None)}
            if known.weather:
                air = Degraded(memory=0.9)
                kinds["weather"] = (air, None)
                if given is not None and np.any(given.rates.get(name, 0)):
                    kinds["field"] = (air, field(given, places, name, air))
            for kind, (coming, extra) in kinds.items():
                made = model.train(known, name, until, weather=coming, extra=extra, rows=count)
                models[f"{name} {kind}"] = made
                told.setdefault(name, {})[kind] = _judged(known, made, starts)
            if "field" in kinds:
                errs = {k: told[name][k]["spans"][-1][2] for k in ("field", "weather")}
                used[name] = None not in errs.values() and errs["field"] < errs["weather"]
                if not used[name]:
                    del models[f"{name} field"]
        except ValueError as error:
            left[name] = str(error)[:200]
            models = {k: m for k, m in models.items() if not k.startswith(f"{name} ")}
            told.pop(name, None)
    if not models:
        raise ForecastError("nothing", why=next(iter(left.values()), ""))
    return Fitted(
        store.dump(models),
        moment(known.times[until]),
        {
            "stations": [s.pk for s in stations],
            "hours": int(some.sum()),
            "since": moment(known.times[0]).isoformat(),
            "rows": count,
            "archive": 0 if older is None else len(older),
            "weather": bool(known.weather),
            "dewpoint": bool(known.weather) and bool(np.isfinite(known.weather["dewpoint"]).any()),
            "dropped": dropped,
            "left": left,
            "judged": {"from": moment(known.times[until]).isoformat(), "starts": len(starts)},
            "errors": told,
            "field": None if given is None else used,
        },
    )


def field(
    given: Stacks, places: Sequence[tuple[float, float]], name: str, weather: model.Weather
) -> model.Extra:
    """What the stacks add of one pollutant at places (longitude, latitude), as a feature; computed
    when it is first asked for."""
    x, y = given.plane.to([p[0] for p in places], [p[1] for p in places])
    found: list[model.Extra] = []

    def extra(history: History, starts: npt.NDArray[np.int64]) -> dict[str, Any]:
        if not found:
            made = dispersion.response(sources(given, given.rates[name]), np.column_stack([x, y]))
            found.append(dispersion.feature(made, weather, given.plane))
        return found[0](history, starts)

    return extra


def _cut(known: History, begin: int) -> History:
    return replace(
        known,
        times=known.times[begin:],
        values={k: v[begin:] for k, v in known.values.items()},
        weather={k: v[begin:] for k, v in known.weather.items()},
    )


def _judged(known: History, made: model.Model, starts: npt.NDArray[np.int64]) -> dict[str, Any]:
    found = made.at(known, starts)
    spans = verify.errors(known, found)
    keys = ("rmse", "persistence", "damped", "bias", "within", "cases")
    return {
        "spans": [[e.first, e.last, *(_figure(getattr(e, k)) for k in keys)] for e in spans],
        "leads": [
            [_figure(e.rmse), _figure(e.persistence), _figure(e.damped)]
            for e in verify.by_lead(known, found)
        ],
    }


def _figure(value: float) -> float | None:
    return None if not np.isfinite(value) else float(f"{value:.4g}")


# ---- forecasting --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """`stations`: result by the station's key; `about` for the city; `digest` of what went in."""

    stations: dict[int, dict[str, Any]]
    about: dict[str, Any]
    digest: str


def run(
    stations: Sequence[Station],
    data: bytes,
    start: datetime,
    sky: Sky | None = None,
    given: Stacks | None = None,
) -> Run:
    """48 hours from the end of the hour `start`, by the models in `data` for their own `stations`.

    `given`: the registered stacks, whose part at each station is told besides.

    With weather the models that know it count as far as it reaches, beyond that the others. Raises
    `ForecastError` where no station has a value of the last hours.
    """
    known, dropped = measured(stations, start - (WARM + 48) * HOUR, start + HOUR)
    begin = len(known) - 1
    coming, reach = ahead(sky, start)

    def sky_of(_history: History, _starts: npt.NDArray[np.int64]) -> Any:
        return coming

    places = [s.at for s in stations]
    air = {f"{name} {kind}": sky_of for name in FACTORS for kind in ("weather", "field")}
    further = {
        f"{name} field": field(given, places, name, sky_of)
        for name in (given.rates if given is not None else ())
    }
    models = store.load(data, air, further)
    present = [n for n in FACTORS if n in known.values and f"{n} bare" in models]
    known = _shaped(known, models.values())
    told: dict[str, model.Forecast] = {}
    learned: list[model.Model] = []
    for name in present:
        bare = models[f"{name} bare"]
        answer = bare.at(known, [begin])
        better = models.get(f"{name} weather")
        if f"{name} field" in models and f"{name} field" in further:
            better = models[f"{name} field"]
        if reach and better is not None:
            answer = model.spliced(better.at(known, [begin]), answer, reach)
        learned.append(bare if better is None else model.joined(better, bare, reach))
        told[name] = answer
    if not told:
        raise ForecastError("silent")
    if not any(np.isfinite(t.last).any() for t in told.values()):
        raise ForecastError("old")
    together = classes.joint(learned)
    joint = classes.index(told, aqi.edition((start + timedelta(hours=8)).date()), together)
    courses = (
        {n: np.moveaxis(t.mean, 0, -1) for n, t in told.items()}
        if together is None
        else together.draws(told, 0)
    )
    whole = daily.days(known.times, known.values, courses, BACK)
    found = {
        s.pk: _station(told, joint, i) | {"days": days(whole, i)}
        for i, s in enumerate(stations)
        if any(np.isfinite(t.last[0, i]) for t in told.values())
    }
    silent = [s.pk for s in stations if s.pk not in found]
    lacking, basis = "no_stacks", {}
    if given is not None:
        adds, lacking = contributions(given, places, known, coming[0], reach, start)
        for one, add in zip(stations, adds, strict=True):
            if one.pk in found:
                found[one.pk]["sources"] = add
        basis = told_basis(given, adds)
    mark = hashlib.sha256(data)
    for name in sorted(known.values):
        mark.update(np.round(known.values[name], 6).tobytes())
    for name in sorted(known.weather):
        mark.update(np.round(known.weather[name], 6).tobytes())
    mark.update(np.round(coming, 6).tobytes())
    if given is not None:
        for name in sorted(given.rates):
            mark.update(np.round(given.rates[name], 9).tobytes())
    return Run(
        found,
        {
            "pollutants": list(told),
            "reach": reach,
            "joint": together is not None or len(told) == 1,
            "wind": None if not reach else [
                [_figure(v) for v in row] for row in coming[0][:, [WEATHER.index(w) for w in ("u", "v", "speed")]]
            ],
            "silent": silent,
            "stacks": {"lacking": lacking, "outlets": len(given.outlets) if given else 0, "assumed": given.assumed if given else 0, "basis": basis, "parts": True, "lost": True},
            "dropped": dropped,
            "city": _city(told),
            "days": days(whole),
            "grades": together and [round(p, 3) for p in daily.grades(whole.index[-1], whole.ahead)],
        },
        mark.hexdigest(),
    )  # fmt: skip


def _shaped(known: History, models: Iterable[model.Model]) -> History:
    """With the columns that were learned from: what has fallen silent is empty, what is new is not
    used."""
    names = {n for m in models for n in (*m.names, m.pollutant)}
    silence = np.full((len(known), len(known.stations)), np.nan)
    learned = [n for n in FACTORS if n in names]
    weather = any(n.startswith(f"{WEATHER[0]} past") for n in names)
    return replace(
        known,
        values={n: known.values.get(n, silence) for n in learned},
        weather={w: known.weather.get(w, silence[:, 0]) for w in WEATHER} if weather else {},
    )


def ahead(sky: Sky | None, start: datetime) -> tuple[npt.NDArray[np.float64], int]:
    """Weather of the hours after `start` (1, LEADS, len(WEATHER)), and how many hours it reaches: to
    the first hour without wind."""
    found = np.full((1, LEADS, len(WEATHER)), np.nan)
    if sky is None:
        return found, 0
    shift = round((start + HOUR - sky.start) / HOUR)
    for k in range(LEADS):
        if 0 <= shift + k < len(sky.hours):
            found[0, k] = sky.hours[shift + k]
    blown = np.isfinite(found[0][:, [WEATHER.index(w) for w in ("u", "v", "speed")]]).all(axis=1)
    return found, int(np.argmin(blown)) if not blown.all() else LEADS


def _station(told: dict[str, model.Forecast], joint: classes.Index, i: int) -> dict[str, Any]:
    decimals = {"CO": 0}
    return {
        "series": {
            name: {
                "q": np.round(t.quantiles[0, i], decimals.get(name, 1)).tolist(),
                "damped": np.round(t.damped[0, i], decimals.get(name, 1)).tolist(),
                "last": _figure(float(t.last[0, i])),
            }
            for name, t in told.items()
        },
        "aqi": joint.index[0, i].astype(int).tolist(),
        "level": [aqi.level(max(int(v), 0)) for v in joint.index[0, i, :, MEDIAN]],
        "leading": [joint.pollutants[k] for k in joint.leading[0, i]],
        "chance": np.round(joint.probability[0, i], 3).tolist(),
    }


def _city(told: dict[str, model.Forecast]) -> dict[str, Any]:
    """Means over the stations of the expected values, hour by hour, µg/m³."""
    return {n: np.round(history.mean(t.mean[0].T), 2).tolist() for n, t in told.items()}


def days(whole: daily.Days, place: int = -1) -> list[dict[str, Any]]:
    """The daily index (HJ 633) of a station, or of the city (the mean of its stations): of what was
    measured up to the start, then the middle of what is forecast; days with too few hours are left out.

    Each: day, aqi (of the items at hand), primary, how many of its hours are forecast (`ahead`) and,
    where some are and there is more than one course, the chances of an index above each of
    `daily.ABOVE`.
    """
    found = []
    chances = [whole.over(a)[place] for a in daily.ABOVE]
    for k, top in enumerate(whole.expected[place]):
        if np.isnan(top):
            continue
        ahead = int(whole.ahead[k])
        one = {
            "day": str(whole.day[k]),
            "aqi": int(top),
            "primary": [ITEMS[n] for n in whole.leading(place, k)],
            "ahead": ahead,
        }
        if ahead and whole.index.shape[-1] > 1:
            one["chance"] = [round(float(c[k]), 3) for c in chances]
        found.append(one)
    return found
