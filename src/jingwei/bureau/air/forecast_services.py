"""Learn, forecast, keep: what the worker does for the 48-hour forecast."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from jingwei.analysis.air.forecast import history
from jingwei.analysis.air.forecast import weather as airs
from jingwei.bureau.air import beside, episodes, forecasting
from jingwei.bureau.air.contributions import stacks
from jingwei.bureau.air.forecasting import HOUR, ForecastError, Sky, Station
from jingwei.bureau.air.models import (
    Forecast,
    ForecastModel,
    State,
    StationForecast,
    WeatherForecast,
)
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.registry.models import Point
from jingwei.evidence import canonical, digest

AGAIN = timedelta(days=7)  # learned anew so often
RETRY = timedelta(days=1)  # after a refusal
ISSUES = (2, 8, 14, 20)  # local hours whose end begins a forecast, as the weather services' runs
SETTLED = timedelta(minutes=10)  # after the hour its values have come
LATE = timedelta(hours=7)  # what is made later is a hindcast and warns of nothing

_beside = beside.Beside("forecast")


# ---- asked for ----------------------------------------------------------------------------------


def learn(user: Any = None) -> ForecastModel:
    """A request to learn; one that still waits is not made twice."""
    with transaction.atomic():
        known = ForecastModel.objects.filter(state=State.WAITING).first()
        return known or ForecastModel.objects.create(actor=_person(user))


def ask(start: datetime) -> Forecast:
    """A forecast from the end of the hour `start`; one that is there is not made again, one that was
    not possible is tried anew."""
    with transaction.atomic():
        row, _made = Forecast.objects.get_or_create(start=start)
        if row.state == State.REFUSED:
            row.state, row.reason, row.started, row.finished = State.WAITING, "", None, None
            row.save(update_fields=["state", "reason", "started", "finished"])
        return row


def _person(user: Any) -> Any:
    return user if getattr(user, "pk", None) else None


def keep_archive(source: Path) -> history.History:
    """Take years before the lake begins from a file (`history.read`). Raises FieldError, or
    ForecastError where none of its stations is registered."""
    found = history.read(source)
    names = {x for s in stations() for x in (s.code, s.mn, s.name)}
    if not names & set(found.stations):
        raise ForecastError("strangers", have=", ".join(found.stations[:3]))
    forecasting.folder().mkdir(parents=True, exist_ok=True)
    whole = forecasting.archive()
    part = whole.with_suffix(".part.parquet")
    if source.suffix == ".parquet":
        shutil.copyfile(source, part)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(history.table(source), part)
    part.replace(whole)
    return found


def take_weather(source: Path, name: str = "", user: Any = None) -> WeatherForecast:
    """A forecast of the weather from a file (`analysis.air.forecast.weather.read`). Raises
    FieldError."""
    found = airs.read(source)
    rows = [[None if v != v else round(float(v), 2) for v in row] for row in found.values]
    return WeatherForecast.objects.create(
        received=timezone.now(), actor=_person(user), source=name or source.name[:120],
        start=forecasting.moment(found.times[0]), hours=rows,
        digest=hashlib.sha256(canonical.dumps(rows)).hexdigest(),
    )  # fmt: skip


# ---- the worker ---------------------------------------------------------------------------------


def work(now: datetime) -> None:
    """Take up what is ready; else begin what is due: to learn, or to forecast."""
    _beside.work(now, _begin)


def _begin(now: datetime) -> tuple[Any, beside.Begun] | None:
    asked = beside.take(ForecastModel.objects.all(), now)
    if asked is None and _stale(now):
        learn()
        asked = beside.take(ForecastModel.objects.all(), now)
    if asked is not None:
        return asked, _learning(asked, now)
    models = ForecastModel.objects.all()
    if models.filter(state=State.WAITING).exists() and not models.filter(state=State.DONE).exists():
        return None  # somebody learns the first: what waits for it must not be refused
    forecast = taken(now)
    if forecast is None and (start := _due(now)) is not None:
        ask(start)
        forecast = taken(now)
    return None if forecast is None else (forecast, _forecasting(forecast))


def taken(now: datetime) -> Forecast | None:
    """The waiting forecast that begins last, taken up: whoever looks wants the days to come, and
    hindcasts can wait."""
    found: Forecast | None = beside.take(Forecast.objects.all(), now, ("-start",))
    return found


def _stale(now: datetime) -> bool:
    """Whether to learn anew: never yet, a week ago, or a day after it was not possible."""
    newest = ForecastModel.objects.first()
    if newest is None:
        return Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True).exists()
    since = now - newest.asked
    return since > (RETRY if newest.state == State.REFUSED else AGAIN)


def _due(now: datetime) -> datetime | None:
    """The newest hour of `ISSUES` whose values have come and that has no forecast yet."""
    hour = timezone.localtime(now - HOUR - SETTLED).replace(minute=0, second=0, microsecond=0)
    while hour.hour not in ISSUES:
        hour -= HOUR
    if not ForecastModel.objects.filter(state=State.DONE).exists():
        return None
    return None if Forecast.objects.filter(start=hour).exists() else hour


def stations(only: list[int] | None = None) -> list[Station]:
    """The city's air stations, or those of a learned forecast, in its order."""
    rows = Point.objects.filter(kind=Point.Kind.AIR_STATION)
    if only is None:
        return [Station.of(p) for p in rows.filter(enabled=True).order_by("pk")]
    found = rows.in_bulk(only)
    return [Station.of(found[pk]) for pk in only if pk in found]


def _learning(
    asked: ForecastModel, now: datetime, rows: int | None = None, field: bool | None = None
) -> beside.Begun:
    """`field`: with the dispersion field of the stacks; None: as the last time."""
    known = stations()
    hour = now.replace(minute=0, second=0, microsecond=0)
    if field is None:
        last = ForecastModel.objects.filter(state=State.DONE).first()
        field = last is not None and last.about.get("field") is not None
    points = Point.objects.filter(pk__in=[s.pk for s in known]).order_by("pk")
    given = stacks(list(points), hour) if field else None
    return lambda: forecasting.fit(known, hour, rows, given), lambda end: _learned(asked.pk, end)


def _learned(pk: int, end: Future[Any]) -> None:
    try:
        made: forecasting.Fitted = end.result()
    except ForecastError as error:
        _refuse(ForecastModel, pk, str(error))
        return
    except Exception:
        _refuse(ForecastModel, pk, "error")
        raise
    target = forecasting.place(made.digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(made.data)
    part.replace(target)
    with transaction.atomic():
        row = ForecastModel.objects.select_for_update().get(pk=pk)
        if row.state != State.WAITING:
            return
        entry = record(
            "forecast.model", f"forecast-model:{pk}",
            {"model": made.digest, "until": made.until, "about": digest.both(canonical.dumps(made.about))},
            actor=str(row.actor_id or ""),
        )  # fmt: skip
        ForecastModel.objects.filter(pk=pk).update(
            state=State.DONE, until=made.until, digest=made.digest, about=made.about,
            evidence=entry, finished=timezone.now(),
        )  # fmt: skip


def _forecasting(row: Forecast) -> beside.Begun:
    known_then = row.start + HOUR
    all_made = ForecastModel.objects.filter(state=State.DONE)
    # The newest that has not learned from the days it is to forecast, else the newest, and that is said.
    made = all_made.filter(until__lte=known_then).first() or all_made.first()
    if made is None:
        return beside.refused(ForecastError("no_model")), lambda end: _told(row.pk, None, None, end)
    known = stations(made.about["stations"])
    if len(known) != len(made.about["stations"]):
        return beside.refused(ForecastError("gone")), lambda end: _told(row.pk, None, None, end)
    now = timezone.now()
    late = now - row.start >= LATE
    handed = WeatherForecast.objects.filter(
        start__lte=known_then, received__lte=known_then + SETTLED if late else now
    )
    weather = handed.order_by("-start", "-pk").first()
    sky = None
    if weather is not None and weather.start + len(weather.hours) * HOUR > row.start + HOUR:
        hours = np.array([[np.nan if v is None else v for v in h] for h in weather.hours], float)
        sky = Sky(weather.pk, weather.start, hours)

    points = Point.objects.filter(pk__in=made.about["stations"]).order_by("pk")
    given = stacks(list(points), row.start) if sky is not None else None

    def compute() -> forecasting.Run:
        try:
            data = forecasting.place(made.digest).read_bytes()
        except OSError as error:
            raise ForecastError("lost") from error
        if hashlib.sha256(data).hexdigest() != made.digest:
            raise ForecastError("changed")
        return forecasting.run(known, data, row.start, sky, given)

    return compute, lambda end: _told(row.pk, made.pk, sky.pk if sky else None, end)


def _told(pk: int, model: int | None, weather: int | None, end: Future[Any]) -> None:
    try:
        made: forecasting.Run = end.result()
    except ForecastError as error:
        _refuse(Forecast, pk, str(error))
        return
    except Exception:
        _refuse(Forecast, pk, "error")
        raise
    with transaction.atomic():
        row = Forecast.objects.select_for_update().get(pk=pk)
        if row.state != State.WAITING:
            return
        result = {"about": made.about, "stations": {str(k): v for k, v in made.stations.items()}}
        entry = record(
            "forecast", f"forecast:{pk}",
            {"start": row.start, "model": model, "weather": weather, "input": made.digest,
             "result": digest.both(canonical.dumps(result))},
        )  # fmt: skip
        StationForecast.objects.bulk_create(
            StationForecast(forecast=row, station_id=k, result=v) for k, v in made.stations.items()
        )
        Forecast.objects.filter(pk=pk).update(
            state=State.DONE, model=model, weather=weather, digest=made.digest, about=made.about,
            evidence=entry, finished=timezone.now(),
        )  # fmt: skip
        row.refresh_from_db()
        told = made.about["days"]
        if (row.finished or row.asked) - row.start < LATE:
            episodes.propose(told, row, sum(d["ahead"] > 0 for d in told))


def _refuse(kind: type[ForecastModel] | type[Forecast], pk: int, reason: str) -> None:
    kind.objects.filter(pk=pk, state=State.WAITING).update(  # type: ignore[attr-defined]
        state=State.REFUSED, reason=reason[:300], finished=timezone.now()
    )


# ---- here and now (the command line) ------------------------------------------------------------


def learn_now(
    user: Any = None, rows: int | None = None, field: bool | None = None
) -> ForecastModel:
    row = learn(user)
    learned: ForecastModel = beside.here(row, _learning(row, timezone.now(), rows, field))
    return learned


def forecast_now(start: datetime) -> Forecast:
    row = ask(start)
    if row.state != State.DONE:
        beside.here(row, _forecasting(row))
    return row
