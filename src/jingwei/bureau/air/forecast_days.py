"""Reading: the forecast by the day, its chances, and how the last ones came true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import F, Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from jingwei.analysis.air.forecast.daily import ABOVE, ENOUGH
from jingwei.bureau.air.forecasting import HOUR, ITEMS
from jingwei.bureau.air.models import Episode, Forecast, State, StationForecast
from jingwei.bureau.language import english
from jingwei.standards import aqi, heavy

PAST = timedelta(days=60)  # of forecasts that are compared with what came
SHOWN = 10  # days of them in the list, and so many are wanted for figures of the chances


def level_name(level: int) -> str:
    one = aqi.LEVELS[level - 1]
    return one.en if english() else one.zh


def said(day: dict[str, Any]) -> str:
    """One day of a station in a line."""
    about = {"day": date_format(day["date"], "m-d"), "aqi": day["aqi"], "name": day["name"],
             "light": round(day["chances"][0][1]), "heavy": round(day["chances"][2][1])}  # fmt: skip
    return _("%(day)s: daily AQI %(aqi)d %(name)s, above 100 with %(light)d %%, above 200 with %(heavy)d %%") % about  # fmt: skip


def named(days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Days with their class and its name."""
    found = []
    for d in days:
        level = aqi.level(d["aqi"]) if d["aqi"] is not None else 0
        found.append(
            {
                **d,
                "date": date.fromisoformat(d["day"]),
                "level": level,
                "name": level_name(level) if level else "",
                "primary": ", ".join(_item(i) for i in d["primary"]),
                "chances": _chances(d),
            }
        )
    return found


def _chances(day: dict[str, Any]) -> list[tuple[int, float]]:
    """Bounds of the daily index and the chance above each in percent; none of what is measured."""
    told = day.get("chance") or []
    return [(above, 100 * p) for above, p in zip(ABOVE, told, strict=False)]


def _item(key: str) -> str:
    return next((n for n, i in ITEMS.items() if i == key.removesuffix("_8h")), key)


def city_days(forecast: Forecast | None) -> list[dict[str, Any]]:
    return named(forecast.about.get("days", [])) if forecast else []


def station_days(row: StationForecast) -> list[dict[str, Any]]:
    return named(row.result.get("days", []))


@dataclass
class DayRow:
    """A place in the table of the days: the city (without `row`) or a station, its days as `named` gives
    them, None where it has none of that day."""

    row: StationForecast | None
    days: list[dict[str, Any] | None]


def day_rows(rows: Sequence[StationForecast], forecast: Forecast) -> list[DayRow]:
    """The days that are at least partly forecast, for the city and the stations; none where the forecast
    was made without their chances."""
    city = [d for d in city_days(forecast) if d["chances"]]
    found = [DayRow(None, list(city))]
    for row in rows:
        own = {d["day"]: d for d in station_days(row)}
        found.append(DayRow(row, [own.get(d["day"]) for d in city]))
    return found if city else []


def grade_chances(forecast: Forecast | None) -> list[dict[str, Any]]:
    """How likely the days reach each grade of warning or a higher one, in percent."""
    told = (forecast.about.get("grades") if forecast else None) or []
    return [g | {"chance": 100 * p} for g, p in zip(grades(), told, strict=False)]


def grades() -> list[dict[str, Any]]:
    """The grades of warning, with their rule and source."""
    return [
        {
            "level": g.level,
            "key": g.key,
            "name": g.en if english() else g.zh,
            "rule": g.rule_en if english() else g.rule,
            "source": g.source,
        }
        for g in heavy.GRADES
    ]


def open_episode() -> Episode | None:
    states = (Episode.State.PROPOSED, Episode.State.DECLARED)
    return Episode.objects.filter(state__in=states).first()


# ---- what was told and what came ----------------------------------------------------------------


@dataclass
class Came:
    """A day that is over: what the last forecast before it began told, and what came."""

    day: date
    told: dict[str, Any]
    came: dict[str, Any]
    before: int | None


def recent_city(now: datetime) -> dict[str, Any] | None:
    """The city's days of the last `PAST` against what was told before they began."""
    rows = Forecast.objects.filter(state=State.DONE, start__gte=now - PAST, start__lt=now)
    rows = rows.exclude(Q(model__until__gt=F("start") + HOUR))
    return _recent(rows.order_by("start").values_list("about__days", flat=True))


def recent_station(row: StationForecast, now: datetime) -> dict[str, Any] | None:
    """The same of one station."""
    rows = StationForecast.objects.filter(
        station=row.station_id, forecast__start__gte=now - PAST, forecast__start__lt=now
    ).exclude(Q(forecast__model__until__gt=F("forecast__start") + HOUR))
    return _recent(rows.order_by("forecast__start").values_list("result__days", flat=True))


def _recent(given: Iterable[list[dict[str, Any]] | None]) -> dict[str, Any] | None:
    """`given`: days as forecasts have told them, the oldest forecast first. A day counts as it was told
    by the last forecast of all its hours; what came is what later forecasts know of it; `before` is the
    last day of which that forecast knew `ENOUGH` hours (what it expects of the others counts in)."""
    came: dict[str, dict[str, Any]] = {}
    told: dict[str, tuple[dict[str, Any], int | None]] = {}
    for days in given:
        whole = [d for d in days or [] if not d["ahead"]]
        came |= {d["day"]: d for d in whole}
        known = [d for d in days or [] if d["ahead"] <= 24 - ENOUGH]
        last = known[-1]["aqi"] if known else None
        told |= {d["day"]: (d, last) for d in days or [] if d["ahead"] == 24}
    both = [d for d in sorted(told) if d in came and came[d]["aqi"] is not None]
    if not both:
        return None
    rows = [
        Came(date.fromisoformat(d), *named([told[d][0], came[d]]), before=told[d][1]) for d in both
    ]
    kept = [r for r in rows if r.before is not None]
    found = {
        "days": len(rows),
        "rows": rows[: -SHOWN - 1 : -1],
        "hits": sum(r.told["level"] == r.came["level"] for r in rows),
        "error": float(np.mean([abs(r.told["aqi"] - r.came["aqi"]) for r in rows])),
        "kept_days": len(kept),
        "kept_hits": sum(aqi.level(r.before or 0) == r.came["level"] for r in kept),
        "kept_error": float(np.mean([abs((r.before or 0) - r.came["aqi"]) for r in kept])) if kept else None,
        "bounds": [],
    }  # fmt: skip
    sure = [r for r in kept if r.told["chances"]]
    for j, above in enumerate(ABOVE if len(sure) >= SHOWN else ()):
        chance = np.array([r.told["chances"][j][1] / 100 for r in sure])
        high = np.array([r.came["aqi"] > above for r in sure])
        was = np.array([(r.before or 0) > above for r in sure])
        found["bounds"].append(
            {
                "above": above, "told": float(chance.sum()), "came": int(high.sum()),
                "brier": float(np.mean((chance - high) ** 2)),
                "kept": float(np.mean(was != high)),
            }
        )  # fmt: skip
    return found
