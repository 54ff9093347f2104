"""The demo city's air: a question whose it is, the months before the lake to learn a forecast from,
and a forecast of the weather. The worker does the rest after the start."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from jingwei.demo import apportion, satellite

# Of the measured year: so that nothing learned knows the days that the replay is still to play.
ARCHIVE = 180  # days
BEFORE, WEATHER = 3, 23  # days of "forecast" weather: from so long before the load on
COMPASS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW",
           "NW", "NNW")  # fmt: skip


def build(anchor: datetime) -> None:
    """Ask; the worker answers after the start."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.air import dispersion_services, services
    from jingwei.bureau.air.models import Dispersion, Trace
    from jingwei.bureau.registry.models import Point

    station = Point.objects.filter(kind=Point.Kind.AIR_STATION).order_by("pk").first()
    if station is None:
        return
    forecast(anchor)
    satellite.build(anchor)
    apportion.build(anchor)
    if Trace.objects.exists():
        return
    end = anchor.replace(minute=0, second=0, microsecond=0)
    dispatcher = User.objects.get(username="dispatcher")
    services.ask(dispatcher, station, "a21004", end - timedelta(hours=24), end)
    if not Dispersion.objects.exists():
        asked_for = {
            "which": "all", "weather": "stations", "half_life": 4.0, "deposition": True,
            "washout": True, "rain_mm": None,
        }  # fmt: skip
        dispersion_services.ask(dispatcher, "a21026", end - timedelta(hours=24), end, asked_for)


def forecast(anchor: datetime) -> None:
    """The measured months before the load as an archive, and the weather to come: the measured one,
    made worse as forecasts are (`analysis.air.forecast.weather.Degraded`), given as a file."""
    import tempfile

    import pyarrow as pa
    import pyarrow.parquet
    from django.utils import timezone

    from jingwei.bureau.air import forecast_services, forecasting
    from jingwei.bureau.air.models import WeatherForecast

    if forecasting.archive().exists() or WeatherForecast.objects.exists():
        return
    hour = anchor.replace(minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory() as folder:
        table = _table(hour - timedelta(days=ARCHIVE), ARCHIVE * 24)
        pyarrow.parquet.write_table(pa.table(table), Path(folder, "archive.parquet"))
        forecast_services.keep_archive(Path(folder, "archive.parquet"))
        pyarrow.parquet.write_table(
            _worse(hour - timedelta(days=BEFORE)), Path(folder, "weather.parquet")
        )
        row = forecast_services.take_weather(
            Path(folder, "weather.parquet"), "演示气象预报（实测加误差）"
        )
        # As if handed in when it begins: the hindcasts take only what was there in time.
        row.received = row.start
        row.save(update_fields=["received"])
    episode()
    first = hour - timedelta(days=BEFORE)
    for k in range(1, 24 * BEFORE):  # hindcasts, so that there is something to compare
        start = first + timedelta(hours=k)
        if timezone.localtime(start).hour in forecast_services.ISSUES:
            forecast_services.ask(start)


def episode() -> None:
    """The worst days of the archive as a warning that was declared and lifted, where any reached one."""
    from jingwei.analysis.air.forecast import daily, history
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.air import episodes, forecasting
    from jingwei.bureau.air.models import Episode
    from jingwei.standards import heavy

    if Episode.objects.exists():
        return
    known = history.read(forecasting.archive())
    days = forecasting.days(daily.days(known.times, known.values, {}, ARCHIVE - 2))
    found = heavy.grade([d["aqi"] for d in days])
    if found is None:
        return
    row = episodes.propose(days[max(found.first - 1, 0) : found.last + 2])
    if row is not None:
        dispatcher = User.objects.get(username="dispatcher")
        episodes.decide(dispatcher, row, True, row.level, "演示：按历史实测回顾，经会商发布。")
        episodes.end(dispatcher, row, "演示：冷空气过境，空气质量转好。")


def _series() -> tuple[dict[str, str], dict[str, np.ndarray], np.datetime64]:
    """Codes of the stations by series, the measured columns (stations, hours), the first hour."""
    import pyarrow.parquet

    from jingwei.demo import catalogue

    rows = pyarrow.parquet.read_table(catalogue.DATA / "prsa_beijing.parquet")
    codes = {s.series: s.code for s in catalogue.stations()}
    who = np.array(rows["station"].to_pylist())
    columns = {
        name: np.stack([rows[name].to_numpy()[who == s] for s in codes])
        for name in rows.column_names
        if name not in ("station", "time")
    }
    return codes, columns, rows["time"].to_numpy().min().astype("datetime64[h]")


def _hours(first: np.datetime64, start: datetime, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """Local hours from `start` on, and which measured hour each of them replays (same month and day)."""
    from jingwei.telemetry.replay import OFFSET, same_day

    local = np.datetime64(int(start.timestamp()) + OFFSET, "s").astype("datetime64[h]")
    times = local + np.arange(hours)
    begin = int(first.astype("datetime64[D]").astype(int))
    day = times.astype("datetime64[D]").astype(int)
    same = {int(d): same_day(int(d), begin) for d in np.unique(day)}
    return times, np.array([same[int(d)] for d in day]) * 24 + times.astype(int) % 24


def _table(start: datetime, hours: int) -> dict[str, np.ndarray]:
    """In the layout of the published set, `station` by code."""
    codes, columns, first = _series()
    times, at = _hours(first, start, hours)
    found = {
        "time": np.tile(times.astype("datetime64[s]"), len(codes)),
        "station": np.repeat(np.array(list(codes.values())), hours),
    }
    for name, values in columns.items():
        given = values[:, at % values.shape[1]].ravel().astype(float)
        if name == "WD":
            known = np.nan_to_num(given)
            points = np.array(COMPASS)[np.rint(known / 22.5).astype(int) % 16]
            found["wd"] = np.where(np.isnan(given), "NA", points)
        else:
            found[name] = given
    return found


def _worse(start: datetime) -> object:
    """A row for every station and hour; all share errors that last (0.9 from hour to hour), grow over
    two days and then stay."""
    import pyarrow as pa

    from jingwei.analysis.air.forecast.weather import ERRORS

    _codes, columns, first = _series()
    hours = WEATHER * 24
    times, at = _hours(first, start, hours)
    here = {name: values[:, at % values.shape[1]] for name, values in columns.items()}
    angle = np.radians(here["WD"])
    made = {
        "temperature": here["TEMP"], "pressure": here["PRES"],
        "u": -here["WSPM"] * np.sin(angle), "v": -here["WSPM"] * np.cos(angle),
    }  # fmt: skip
    random = np.random.default_rng(16)
    for name in made:
        noise = random.standard_normal(hours)
        for h in range(1, hours):
            noise[h] = 0.9 * noise[h - 1] + np.sqrt(1 - 0.9**2) * noise[h]
        low, high = ERRORS[name]
        made[name] = made[name] + noise * (
            low + (high - low) * np.minimum(np.arange(hours) / 47, 1)
        )
    return pa.table(
        {
            "time": np.tile(times.astype("datetime64[s]"), len(angle)),
            "TEMP": made["temperature"].ravel(),
            "PRES": made["pressure"].ravel(),
            "WSPM": np.hypot(made["u"], made["v"]).ravel(),
            "WD": (np.degrees(np.arctan2(-made["u"], -made["v"])) % 360).ravel(),
        }
    )
