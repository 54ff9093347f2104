"""Reading: the forecast as pages show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.analysis.air import savings
from jingwei.bureau.air import forecast_days as days
from jingwei.bureau.air.forecasting import FACTORS, HOUR, ITEMS, MEDIAN
from jingwei.bureau.air.models import Forecast, ForecastModel, State, StationForecast
from jingwei.bureau.air.selectors import bases, lost_said, part_said
from jingwei.bureau.language import english
from jingwei.bureau.monitoring.observations import normal_marks, value_unit
from jingwei.bureau.registry.models import Enterprise, Outlet, Point
from jingwei.standards import aqi, units
from jingwei.telemetry.lake import Lake

LATE = timedelta(hours=6)  # made so long after its start, a forecast is a hindcast
RECENT = timedelta(days=10)
SPANS = ((1, 6), (7, 12), (13, 24), (25, 48))
INDEX = "AQI"
LASTING = 3  # hours in a row above a class that count as an episode at a station
# Of a station's part: its model has learned from hours after the start (`Forecast.hindsight`).
HINDSIGHT = Q(forecast__model__until__gt=F("forecast__start") + HOUR)


def newest() -> Forecast | None:
    return Forecast.objects.filter(state=State.DONE).select_related("model", "weather").first()


def at(pk: str) -> Forecast | None:
    """The forecast with this key, else the newest."""
    if pk.isdecimal():
        found = Forecast.objects.filter(pk=int(pk), state=State.DONE)
        if one := found.select_related("model", "weather").first():
            return one
    return newest()


def starts(limit: int = 20) -> QuerySet[Forecast]:
    return Forecast.objects.filter(state=State.DONE)[:limit]


def learned() -> ForecastModel | None:
    """What forecasts are made with."""
    return ForecastModel.objects.filter(state=State.DONE).first()


def pending() -> str:
    """Why there is no newer forecast yet, in a sentence; empty where nothing is amiss."""
    model = ForecastModel.objects.first()
    if model is None:
        return _("Nothing was learned yet: the worker begins by itself as soon as there is an air station.")  # fmt: skip
    if model.state == State.WAITING:
        return _("The forecast is being learned; this takes some minutes. The page shows it by itself.")  # fmt: skip
    if model.state == State.REFUSED:
        return why(model.reason)
    last = Forecast.objects.first()
    if last is not None and last.state == State.REFUSED:
        return why(last.reason)
    if last is None or last.state == State.WAITING:
        return _("The forecast is being computed.")
    return ""


def stations(user: Any, forecast: Forecast) -> QuerySet[StationForecast]:
    return (
        StationForecast.objects.restrict(user, "air.view")
        .filter(forecast=forecast)
        .select_related("station__region")
        .defer("station__region__geometry")
        .order_by("station__name")
    )


@dataclass
class Outlook:
    """A station in the list: the worst class of the first and the second day, and when the index is
    highest."""

    row: StationForecast
    first: int
    second: int
    peak: int
    low: int
    high: int
    when: datetime
    leading: str
    chance: float

    @property
    def names(self) -> tuple[str, str]:
        return days.level_name(self.first), days.level_name(self.second)


def outlooks(rows: Sequence[StationForecast], forecast: Forecast) -> list[Outlook]:
    found = []
    for row in rows:
        levels, index = row.result["level"], row.result["aqi"]
        k = max(range(len(index)), key=lambda h: index[h][MEDIAN])
        found.append(
            Outlook(
                row, max(levels[:24]), max(levels[24:]), index[k][MEDIAN], index[k][0],
                index[k][-1], forecast.start + (k + 1) * HOUR, row.result["leading"][k],
                max(sum(c[3:]) for c in row.result["chance"]),
            )
        )  # fmt: skip
    return found


def said(forecast: Forecast) -> list[str]:
    """What was assumed, left out or is missing, in sentences."""
    about, model = forecast.about, forecast.model
    found = []
    late = (forecast.finished or forecast.asked) - forecast.start - HOUR
    if late > LATE and forecast.hindsight and model is not None:
        found.append(_("Computed %(hours)d hours after its start with what was learned from days until %(until)s: it knows days that it forecasts and looks better than it could have been, so it is left out wherever forecasts are compared with what came.") % {"hours": late / HOUR, "until": date_format(timezone.localtime(model.until), "Y-m-d")})  # fmt: skip
    elif late > LATE:
        found.append(_("Computed %d hours after its start: a hindcast, from nothing later than the start.") % (late / HOUR))  # fmt: skip
    reach = about["reach"]
    if reach == 0:
        found.append(_("No forecast of the weather was at hand: the forecast rests on the measured air alone and is much less sure."))  # fmt: skip
    elif reach < 48:
        found.append(_("The weather forecast ends after %d hours: the hours beyond rest on the measured air alone and are much less sure.") % reach)  # fmt: skip
    if silent := len(about["silent"]):
        found.append(ngettext("%d station had no value in the last six hours and has no forecast.", "%d stations had no value in the last six hours and have no forecast.", silent) % silent)  # fmt: skip
    for key, text in (
        ("negative", _("%d negative concentrations were left out.")),
        ("stuck", _("%d concentrations that stood still for a day or more were left out.")),
    ):
        if about["dropped"].get(key):
            found.append(text % about["dropped"][key])
    missing = [n for n in FACTORS if n not in about["pollutants"]]
    if missing:
        found.append(_("Without %s: not measured, or too little of it. The index may be higher than forecast.") % ", ".join(missing))  # fmt: skip
    if model is not None:
        found += field_said(model)
        if about["reach"] and not model.about["dewpoint"]:
            found.append(_("The stations report no humidity: the dew point is not used."))
        if about.get("joint"):
            found.append(_("The index takes the pollutants to be high together as often as they were on the days left out of the learning."))  # fmt: skip
        else:
            found.append(_("The pollutants are taken to be high all together for the index: its chances of high classes are the lowest possible, the true ones are as high or higher. Learn anew to have them better."))  # fmt: skip
    return found


def field_said(model: ForecastModel) -> list[str]:
    """What the dispersion field of the stacks is worth to the forecast, where it was tried."""
    given = model.about.get("field")
    if given is None:
        return []
    if not given:
        return [_("The dispersion field of the stacks could not be tried: no registered stack or no weather.")]  # fmt: skip
    found = []
    for name, used in given.items():
        errors = model.about["errors"].get(name, {})
        if "field" not in errors:
            continue
        whole, bare = errors["field"]["spans"][-1][2], errors["weather"]["spans"][-1][2]
        about = {"name": name, "field": whole, "bare": bare}
        found.append(
            _("%(name)s: the forecast uses the dispersion field of the registered stacks; on the days not learned from it errs by %(field)s µg/m³, without the field by %(bare)s.") % about
            if used
            else _("%(name)s: the dispersion field of the registered stacks does not help and is not used; on the days not learned from the forecast errs by %(bare)s µg/m³, with the field by %(field)s.") % about
        )  # fmt: skip
    return found


def why(reason: str) -> str:
    """Why there is no forecast, and what to do."""
    code, _space, rest = reason.partition(" ")
    try:
        about = json.loads(rest) if rest else {}
    except ValueError:
        about = {}
    about = {"have": "", "want": "", "why": "", **about}
    return {
        "silent": _("No air station has sent a concentration in this time: look at the data transmission of the stations."),
        "old": _("No air station has a value of the last six hours: look at the data transmission of the stations."),
        "short": _("There are %(have)s hours with measured air, and %(want)s are needed to learn from: hand in earlier years (jingwei air forecast --archive FILE) or wait."),
        "archive": _("The archive cannot be read: %(why)s"),
        "strangers": _("No station of the archive (%(have)s …) is registered: name the stations by code, MN or name."),
        "nothing": _("No pollutant could be learned: %(why)s"),
        "no_model": _("Nothing was learned yet."),
        "gone": _("A station that was learned from is no longer registered: learn anew."),
        "lost": _("The file of what was learned is gone: learn anew."),
        "changed": _("The file of what was learned is not the recorded one (SHA-256): learn anew and find out who changed it."),
        "error": _("The computation failed; the fault is in the log of the worker. It is tried again; tell the administrator."),
    }.get(code, reason) % about  # fmt: skip


# ---- peaks -------------------------------------------------------------------------------------------


@dataclass
class Peak:
    """Where and when the hourly index is most likely above `above`: `chance` in percent there, and at how
    many `stations` its median is above for `LASTING` hours or more in a row."""

    above: int
    chance: float
    station: StationForecast
    when: datetime
    stations: int


def peaks(rows: Sequence[StationForecast], forecast: Forecast) -> list[Peak]:
    """The classes from heavy pollution's grades on, as far as any station has a chance of 1 % or more."""
    found = []
    uppers = [x.upper for x in aqi.LEVELS]
    for above in (150, 200, 300):
        first = uppers.index(above) + 1
        likely = [
            (sum(c[first:]), r, k) for r in rows for k, c in enumerate(r.result.get("chance", []))
        ]
        chance, row, k = max(likely, key=lambda x: x[0], default=(0.0, None, 0))
        if row is None or chance < 0.01:
            break
        lasting = sum(_lasts([q[MEDIAN] > above for q in r.result["aqi"]]) for r in rows)
        found.append(Peak(above, 100 * chance, row, forecast.start + (k + 1) * HOUR, lasting))
    return found


def _lasts(hours: list[bool]) -> bool:
    return any(all(hours[k : k + LASTING]) for k in range(len(hours) - LASTING + 1))


# ---- the map ------------------------------------------------------------------------------------


def slides(rows: Sequence[StationForecast], forecast: Forecast) -> dict[str, Any]:
    """What the map shows hour by hour: classes at the stations, the city's wind on some places."""
    places = [(r.station.longitude, r.station.latitude) for r in rows]
    grid = []
    if places:
        (west, south), (east, north) = (np.min(places, axis=0), np.max(places, axis=0))
        grid = [
            [round(float(x), 4), round(float(y), 4)]
            for x in np.linspace(west - 0.05, east + 0.05, 6)
            for y in np.linspace(south - 0.05, north + 0.05, 5)
        ]
    reach = forecast.about["reach"]
    wind = forecast.about.get("wind")
    return {
        "times": [(forecast.start + (k + 1) * HOUR).isoformat() for k in range(48)],
        "wind": [w if k < reach else [None, None, None] for k, w in enumerate(wind)]
        if wind
        else None,
        "grid": grid,
        "names": [days.level_name(k) for k in range(1, 7)],
        "stations": [
            {
                "pk": r.station_id,
                "name": r.station.name,
                "at": [r.station.longitude, r.station.latitude],
                "level": r.result["level"],
                "aqi": [q[MEDIAN] for q in r.result["aqi"]],
                "leading": r.result["leading"],
                "days": [days.said(d) for d in days.station_days(r) if d["chances"]],
                "url": f"{r.get_absolute_url()}?run={forecast.pk}",
                "sources": reverse("air:sources-json", args=[r.station_id]) + f"?run={forecast.pk}",
            }
            for r in rows
        ],
        "words": {
            "wind": _("Wind"),
            "calm": _("no wind forecast"),
            "play": _("Play"),
            "pause": _("Pause"),
            "adds": _("Adds (µg/m³)"),
            "rest": _("Other outlets"),
            "nothing": _("No registered stack adds anything worth naming in this hour."),
            "failed": _("The contributions could not be loaded: choose the station again."),
            "open": _("Forecast of this station"),
        },
    }


def stacks_said(forecast: Forecast) -> str:
    """What the contributions rest on, or why there are none."""
    about = forecast.about.get("stacks") or {"lacking": "no_stacks", "outlets": 0, "assumed": 0}
    if about["lacking"]:
        return {
            "wind": _("Without a forecast of the wind the contributions cannot be computed."),
            "no_stacks": _("Without a forecast of the wind or registered outlets within 60 km there are no contributions."),
        }.get(about["lacking"], "")  # fmt: skip
    found = [_("By known emissions (monitors, else permits, else the inventory) of %(n)d outlets in the city's mean wind; %(assumed)d rates are only assumed. What is formed in the air, traffic and dust are not in it.") % {"n": about["outlets"], "assumed": about["assumed"]}]  # fmt: skip
    if about.get("lost") and "SO2" in forecast.about["pollutants"]:
        found.append(lost_said())
    if about.get("parts"):
        found += [part_said(name) for name in savings.PARTS if name in forecast.about["pollutants"]]
    else:
        found.append(_("All nitrogen oxides of stacks are counted as NO2 and all their particles as PM10 and PM2.5: upper bounds."))  # fmt: skip
    return (" " if english() else "").join(found)


def sources(user: Any, row: StationForecast, forecast: Forecast) -> dict[str, Any]:
    """What stacks add at the station, by pollutant and hour. Wind knows no district: outlets elsewhere
    are named too; a link leads to those whose file `user` may open."""
    given = row.result.get("sources") or {}
    wanted = {pk for part in given.values() for pk in part["outlets"]}
    outlets = Outlet.objects.select_related("enterprise").in_bulk(wanted)
    files = Enterprise.objects.restrict(user, "enterprise.view")
    own = set(files.filter(outlets__in=wanted).values_list("pk", flat=True))
    found = []
    words, basis = bases(), (forecast.about.get("stacks") or {}).get("basis", {})
    for name, part in given.items():
        hours = forecast.about["reach"]
        known = {pk: words[b] for b, pks in basis.get(name, {}).items() for pk in pks}
        named = []
        for pk, values in zip(part["outlets"], part["hours"], strict=True):
            outlet = outlets.get(pk)
            if outlet is None:
                continue
            here = outlet.enterprise_id in own
            named.append(
                {
                    "name": f"{outlet.enterprise.name} {outlet.code}",
                    "url": outlet.enterprise.get_absolute_url() if here else "",
                    "known": known.get(pk, ""),
                    "hours": values + [0.0] * (48 - hours),
                }
            )
        found.append({"name": name, "outlets": named, "rest": part["rest"] + [0.0] * (48 - hours)})
    return {"pollutants": found, "said": stacks_said(forecast)}


# ---- one station --------------------------------------------------------------------------------


def unit(pollutant: str) -> str:
    return "" if pollutant == INDEX else "µg/m³"


def quantiles(row: StationForecast, pollutant: str) -> list[list[float]]:
    if pollutant == INDEX:
        return row.result["aqi"]  # type: ignore[no-any-return]
    return row.result["series"][pollutant]["q"]  # type: ignore[no-any-return]


def measured(
    station: Point, pollutant: str, start: datetime, end: datetime
) -> dict[datetime, float]:
    """What the station has measured, hour by hour, µg/m³, or the hourly index of it."""
    factors = FACTORS if pollutant == INDEX else {pollutant: FACTORS[pollutant]}
    rows = Lake(settings.ENV.lake).scan(
        "hour", start, end, [(station.mn, station.st)], list(factors.values())
    )
    normal = normal_marks(station.version)
    names = {code: name for name, code in factors.items()}
    found: dict[datetime, dict[str, float]] = {}
    scales = {c: units.scale(value_unit(c, station), "µg/m³") or 1.0 for c in factors.values()}
    for r in rows.select(["factor", "time", "value", "flag"]).to_pylist():
        if r["value"] is not None and r["value"] >= 0 and (r["flag"] or "") in normal:
            value = r["value"] * scales[r["factor"]]
            found.setdefault(r["time"], {})[names[r["factor"]]] = value
    if pollutant != INDEX:
        return {t: v[pollutant] for t, v in found.items()}
    index = {
        t: aqi.hourly(
            {ITEMS[n]: x / 1000 if n == "CO" else x for n, x in v.items()},
            aqi.edition(t.date()),
        ).value
        for t, v in found.items()
    }
    return {t: float(v) for t, v in index.items() if v is not None}


def chart(
    row: StationForecast, forecast: Forecast, pollutant: str, now: datetime
) -> dict[str, Any]:
    past = measured(row.station, pollutant, forecast.start - 71 * HOUR, now)
    q = quantiles(row, pollutant)
    times = [(forecast.start + (k + 1) * HOUR).isoformat() for k in range(len(q))]
    item = ITEMS.get(pollutant)
    bounds = list(aqi.INDEX[1:]) if item is None else [b * (1000 if item == "co" else 1) for b in aqi.breakpoints(item)[1:]]  # fmt: skip
    return {
        "label": _("%s: measured and forecast with its band") % pollutant,
        "unit": unit(pollutant),
        "times": times,
        "q": q,
        "damped": row.result["series"][pollutant]["damped"] if pollutant != INDEX else None,
        "measured": [[t.isoformat(), round(v, 1)] for t, v in sorted(past.items())],
        "start": (forecast.start + HOUR).isoformat(),
        "bounds": [
            {"value": b, "name": days.level_name(k + 2), "level": k + 2}
            for k, b in enumerate([b for b, i in zip(bounds, aqi.INDEX[1:], strict=False) if i in (50, 100, 150, 200, 300)])
        ],
        "words": {
            "measured": _("Measured"),
            "median": _("Forecast (median)"),
            "half": _("Middle 50 %"),
            "wide": _("5–95 %"),
            "damped": _("Damped persistence"),
            "now": _("Start of the forecast"),
        },
    }  # fmt: skip


def hours(row: StationForecast, forecast: Forecast) -> list[dict[str, Any]]:
    """48 rows: time, index with its band, class, leading pollutant, medians."""
    out = []
    for k, level in enumerate(row.result["level"]):
        index = row.result["aqi"][k]
        out.append(
            {
                "time": forecast.start + (k + 1) * HOUR,
                "aqi": index[MEDIAN],
                "low": index[0],
                "high": index[-1],
                "level": level,
                "name": days.level_name(level),
                "leading": row.result["leading"][k] if index[MEDIAN] > 50 else "",
                "chance": row.result["chance"][k][level - 1],
                "values": [
                    row.result["series"][n]["q"][k][MEDIAN] if n in row.result["series"] else None
                    for n in FACTORS
                ],
            }
        )
    return out


def skill(model: ForecastModel | None, pollutant: str, weather: bool) -> dict[str, Any] | None:
    """How the learned forecast did on the days that it had not seen, by spans and by lead."""
    name = "PM2.5" if pollutant == INDEX else pollutant
    errors = (model.about["errors"] if model else {}).get(name)
    if not errors:
        return None
    kind = "weather" if weather and "weather" in errors else "bare"
    if kind == "weather" and ((model.about if model else {}).get("field") or {}).get(name):
        kind = "field"
    spans = []
    for first, last, rmse, kept, damped, bias, within, cases in errors[kind]["spans"]:
        spans.append(
            {
                "span": f"{first}–{last}", "rmse": rmse, "kept": kept, "damped": damped,
                "over_kept": _skill(rmse, kept), "over_damped": _skill(rmse, damped), "bias": bias,
                "within": None if within is None else 100 * within, "cases": cases,
            }
        )  # fmt: skip
    return {
        "pollutant": name,
        "weather": kind != "bare",
        "spans": spans,
        "chart": {
            "label": _("Error by hours ahead"),
            "unit": "µg/m³",
            "leads": errors[kind]["leads"],
            "words": [_("This forecast"), _("Persistence"), _("Damped persistence")],
            "axis": _("Hours ahead"),
        },
    }


def _skill(rmse: float | None, other: float | None) -> float | None:
    """1 - MSE/MSE of the reference, in percent."""
    return None if not rmse or not other else 100 * (1 - rmse**2 / other**2)


def recent(row: StationForecast, pollutant: str, now: datetime) -> dict[str, Any] | None:
    """The station's last forecasts against what came."""
    name = "PM2.5" if pollutant == INDEX else pollutant
    past = [
        s
        for s in StationForecast.objects.filter(
            station=row.station, forecast__start__gte=now - RECENT, forecast__start__lt=now - HOUR
        )
        .exclude(HINDSIGHT)
        .select_related("forecast")
        if name in s.result["series"]
    ]
    if not past:
        return None
    first = min(s.forecast.start for s in past)
    came = measured(row.station, name, first, now)
    pairs = []
    for s in past:
        series = s.result["series"][name]
        for k, q in enumerate(series["q"]):
            true = came.get(s.forecast.start + (k + 1) * HOUR)
            if true is not None:
                pairs.append((k + 1, true, q[MEDIAN], q[0], q[-1], series["damped"][k], series["last"]))  # fmt: skip
    if not pairs:
        return None
    table = np.array([[np.nan if v is None else v for v in p] for p in pairs])
    spans = []
    for low, high in SPANS:
        some = table[(table[:, 0] >= low) & (table[:, 0] <= high)]
        if not len(some):
            continue
        true = some[:, 1]
        spans.append(
            {
                "span": f"{low}–{high}",
                "cases": len(some),
                "mae": float(np.mean(np.abs(some[:, 2] - true))),
                "bias": float(np.mean(some[:, 2] - true)),
                "damped": float(np.mean(np.abs(some[:, 5] - true))),
                "kept": float(np.nanmean(np.abs(some[:, 6] - true))),
                "within": 100 * float(np.mean((some[:, 3] <= true) & (true <= some[:, 4]))),
            }
        )
    hindcasts = sum((s.forecast.finished or s.forecast.asked) - s.forecast.start > LATE + HOUR for s in past)  # fmt: skip
    return {"pollutant": name, "runs": len(past), "hindcasts": hindcasts, "spans": spans}
