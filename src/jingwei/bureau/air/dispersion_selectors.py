"""Reading: runs of the dispersion model as pages and tables show them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from jingwei.analysis.air import disperse
from jingwei.bureau.access import may
from jingwei.bureau.air import dispersion, tracing
from jingwei.bureau.air.models import AnnualAmount, Dispersion, WeatherForecast
from jingwei.bureau.air.selectors import named, stations
from jingwei.bureau.air.tracing import HOUR, NAMES
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.observations import value_unit
from jingwei.bureau.registry.models import Enterprise, Medium, Outlet, Point, Region
from jingwei.standards import units

LISTED = 30  # sources in the table
LINES = 2  # industries in the chart
UNIT = "µg/m³"


def runs() -> QuerySet[Dispersion]:
    return Dispersion.objects.select_related("actor").defer("result")


def may_ask(user: Any) -> bool:
    return may(user, "air.disperse")


def may_cancel(user: Any, row: Dispersion) -> bool:
    """Who asked for the run, or stands in for him today; else the roles of `air.cancel`."""
    if not may_ask(user):
        return False
    return row.actor_id in {p.pk for p in user.acts_for()} or may(user, "air.cancel")


def amounts(user: Any) -> QuerySet[AnnualAmount]:
    return AnnualAmount.objects.restrict(user, "air.view").select_related(
        "outlet__enterprise", "actor"
    )


def outlets(user: Any) -> QuerySet[Outlet]:
    """Air outlets that the user may choose one by one."""
    rows = Outlet.objects.restrict(user, "air.disperse").filter(medium=Medium.AIR)
    return rows.select_related("enterprise").order_by("enterprise__name", "code")


def regions() -> list[tuple[str, str]]:
    """Divisions with a registered air outlet."""
    rows = Region.objects.filter(enterprises__outlets__medium=Medium.AIR).distinct()
    return [(r.code, r.label) for r in rows.defer("geometry").order_by("code")]


def forecast_end(now: datetime) -> datetime | None:
    """How far the weather handed in reaches."""
    row = WeatherForecast.objects.filter(start__lte=now).order_by("-start", "-pk").first()
    return None if row is None else row.start + len(row.hours) * HOUR


def started(row: Dispersion) -> datetime:
    """The first hour that was computed."""
    return datetime.fromisoformat(row.result["start"]) if row.result else row.start


def which(row: Dispersion) -> str:
    """Which outlets, in words."""
    asked = row.asked_for
    kind = asked.get("which", "all")
    if kind == "industry":
        return str(Enterprise.Industry(asked["industry"]).label)
    if kind == "region":
        region = Region.objects.filter(code=asked["region"]).defer("geometry").first()
        return region.label if region else asked["region"]
    if kind == "outlets":
        return _("%(n)d chosen outlets") % {"n": len(asked["outlets"])}
    return _("All outlets")


def why(row: Dispersion) -> str:
    """Why there is no result, and what to do."""
    code, _space, about = row.reason.partition(" ")
    texts = {
        "no_sources": _("None of the chosen outlets within 60 km of the stations' middle emits this pollutant: choose others, or enter permits, limits or annual amounts first."),
        "wind": _("No hour of this time has wind within three hours of it: choose a time in which the stations report wind, or hand in a file."),
        "span": _("The file of weather covers %s only: choose hours within it."),
        "elsewhere": _("The file of weather covers none of the chosen outlets: hand in one of this area."),
        "file": _("The file of weather cannot be used (%s)."),
        "lost": _("The file of weather is no longer in the data folder: hand it in again."),
        "large": _("Too many outlets for so many hours: choose an industry or a division, or fewer hours."),
        "error": _("The computation failed; the fault is in the log of the worker. Ask again or tell the administrator."),
    }  # fmt: skip
    text = texts.get(code, row.reason)
    return text % about if "%s" in text else text


# ---- one run --------------------------------------------------------------------------------------


@dataclass
class Share:
    """What a source or group adds, µg/m³ on average, and its part of all."""

    name: str
    value: float
    part: float
    industry: str = ""
    region: str = ""
    rate: float | None = None
    basis: str = ""
    url: str = ""

    @property
    def adds(self) -> str:
        return f"{self.value:.3g}" if self.value >= 1e-4 else "< 0.0001"

    @property
    def percent(self) -> str:
        return f"{100 * self.part:.1f} %"


def places(user: Any, row: Dispersion) -> list[Point]:
    """Stations of the run that the user may see, in the order of the run."""
    known = stations(user, "air.view").in_bulk(row.result["stations"])
    return [known[pk] for pk in row.result["stations"] if pk in known]


def chosen(row: Dispersion, seen: list[Point], wanted: str) -> list[int]:
    """Numbers in the run of the stations meant: one, or all of them."""
    numbers = {p.pk: row.result["stations"].index(p.pk) for p in seen}
    if wanted.isdecimal() and int(wanted) in numbers:
        return [numbers[int(wanted)]]
    return list(numbers.values())


def _adds(row: Dispersion, at: list[int]) -> tuple[dict[int, float], float]:
    """µg/m³ by source, mean over stations (over the lattice where there is none), and of the rest."""
    told = [row.result["shares"][s] for s in at] or [x[2] for x in row.result["lattice"]]
    found: dict[int, float] = defaultdict(float)
    for one in told:
        for i, value in one["of"]:
            found[i] += value / len(told)
    return found, sum(one["rest"] for one in told) / max(len(told), 1)


def sources(user: Any, row: Dispersion, at: list[int], limit: int | None = LISTED) -> list[Share]:
    """By source, the largest first. Wind knows no district: outlets elsewhere are named too."""
    found, rest = _adds(row, at)
    total = sum(found.values()) + rest
    about = row.result["sources"]
    order = sorted(found, key=lambda i: -found[i])
    names = dict(Region.objects.values_list("code", "name"))
    urls = _urls(user, {about[i]["enterprise"] for i in order[:limit]})
    return [
        Share(
            about[i]["name"], found[i], found[i] / total if total else 0.0,
            str(Enterprise.Industry(about[i]["industry"]).label),
            names.get(about[i]["region"], about[i]["region"]),
            about[i]["rate"], about[i]["basis"], urls.get(about[i]["enterprise"], ""),
        )
        for i in order[:limit]
    ]  # fmt: skip


def _urls(user: Any, wanted: set[int]) -> dict[int, str]:
    """Files of enterprises that the user may open; none for nobody."""
    if user is None:
        return {}
    rows = Enterprise.objects.restrict(user, "enterprise.view").filter(pk__in=wanted)
    return {e.pk: e.get_absolute_url() for e in rows}


def groups(row: Dispersion, at: list[int]) -> tuple[list[Share], list[Share]]:
    """By industry and by division."""
    about = row.result["sources"]
    industry: dict[str, float] = defaultdict(float)
    region: dict[str, float] = defaultdict(float)
    found, rest = _adds(row, at)
    for i, value in found.items():
        industry[str(Enterprise.Industry(about[i]["industry"]).label)] += value
        region[about[i]["region"]] += value
    names = dict(Region.objects.values_list("code", "name"))
    if at:  # exact: of all sources
        industry = {
            str(Enterprise.Industry(name).label): float(
                np.mean([np.mean([v or 0.0 for v in row.result["series"][s][g]]) for s in at])
            )
            for g, name in enumerate(row.result["industries"])
        }
    total = sum(found.values()) + rest
    by_region = {names.get(code, code): value for code, value in region.items()}
    if rest > 0.005 * total:
        by_region[_("Other outlets")] = rest

    def rows(of: dict[str, float]) -> list[Share]:
        order = sorted(of.items(), key=lambda pair: -pair[1])
        return [Share(n, v, v / total if total else 0.0) for n, v in order]

    return rows(industry), rows(by_region)


def modelled(row: Dispersion, at: list[int]) -> list[float]:
    """Mean over these stations of every hour, µg/m³."""
    table = np.array([[[v or 0.0 for v in g] for g in row.result["series"][s]] for s in at])
    return [float(f"{v:.4g}") for v in table.sum(axis=1).mean(axis=0)] if len(at) else []


def measured(row: Dispersion, seen: list[Point]) -> dict[int, list[float | None]]:
    """What these stations measured in the hours of the run, µg/m³, by their key."""
    hours = row.result["hours"]
    if not seen:
        return {}
    table = tracing.means(seen, (row.factor,), started(row), hours)[row.factor]
    found: dict[int, list[float | None]] = {}
    for i, p in enumerate(seen):
        scale = units.scale(value_unit(row.factor, p), UNIT)
        values = table[:, i] * scale if scale else np.full(hours, np.nan)
        found[p.pk] = [None if v != v else round(float(v), 1) for v in values]
    return found


def _mean(rows: Iterable[list[float | None]]) -> list[float | None]:
    found = []
    for values in zip(*rows, strict=True):
        some = [v for v in values if v is not None]
        found.append(round(sum(some) / len(some), 1) if some else None)
    return found


def times(row: Dispersion) -> list[str]:
    first = started(row)
    return [(first + h * HOUR).isoformat() for h in range(row.result["hours"])]


def chart(row: Dispersion, at: list[int], seen: list[Point]) -> dict[str, Any]:
    """Modelled and measured, mean over the chosen stations; the industries that add most."""
    when = times(row)
    own = [p for p in seen if row.result["stations"].index(p.pk) in at]
    table = np.array([[[v or 0.0 for v in g] for g in row.result["series"][s]] for s in at])
    of = table.mean(axis=0)  # (industries, hours)
    order = [int(g) for g in np.argsort(-of.mean(axis=1)) if of[g].any()]

    def line(name: str, values: Any, dashed: bool = False) -> dict[str, Any]:
        data = [[t, v] for t, v in zip(when, values, strict=True)]
        return {"name": name, "unit": UNIT, "data": data, "dashed": dashed}

    real = _mean(measured(row, own).values()) if own else []
    found = [line(_("Modelled, from the given outlets"), modelled(row, at))]
    if any(v is not None for v in real):
        found.append(line(_("Measured, from everything"), real))
    if len(order) > 1:
        found += [
            line(
                str(Enterprise.Industry(row.result["industries"][g]).label),
                [float(f"{v:.4g}") for v in of[g]], True,
            )
            for g in order[:LINES]
        ]  # fmt: skip
    return {
        "label": _("Modelled and measured"), "step": 3_600_000, "exact": "minute", "series": found,
    }  # fmt: skip


def figures(row: Dispersion, at: list[int], seen: list[Point]) -> dict[str, Any]:
    """Means over the hours and chosen stations: modelled, measured, and the part."""
    own = [p for p in seen if row.result["stations"].index(p.pk) in at]
    adds = modelled(row, at)
    real = [v for v in _mean(measured(row, own).values()) if v is not None] if own else []
    mean, air = (sum(a) / len(a) if a else None for a in (adds, real))
    peak = row.result["peak"]
    return {
        "modelled": mean,
        "adds": None if mean is None else f"{mean:.3g}",
        "measured": air,
        "part": 100 * mean / air if mean is not None and air else None,
        "peak": peak["value"],
        "peak_time": started(row) + peak["hour"] * HOUR,
        "lost": 100
        * (row.result["balance"]["lost"] or 0)
        / (row.result["balance"]["emitted"] or 1),
    }


def slides(user: Any, row: Dispersion) -> dict[str, Any]:
    """What the map needs: hours, classes, wind, stations, outlets."""
    outlets = row.result["sources"]
    top = max((s["rate"] or 0.0 for s in outlets), default=0.0) or 1.0
    return {
        "times": times(row),
        "grid": row.result["grid"],
        "breaks": row.result["breaks"],
        "wind": row.result["wind"],
        "stations": [
            {"name": p.name, "at": [p.longitude, p.latitude]} for p in places(user, row)
        ],
        "outlets": [
            {"name": s["name"], "at": s["at"], "size": round(3 + 7 * ((s["rate"] or 0) / top) ** 0.5, 1)}
            for s in outlets
        ],
        "words": {
            "play": _("Play"), "pause": _("Pause"), "below": _("below %s") % f"{row.result['breaks'][0]:g}",
            "failed": _("This hour could not be read: load the page again."),
            "outside": _("This place lies outside the area of the run."),
            "here": _("At this place"), "mean": _("mean"), "source": _("Outlet"),
            "adds": _("Adds (µg/m³)"), "part": _("Share"), "rest": _("All others"),
            "near": _("Outlets are told at the nearest of a coarser set of places, %s km away; means over all hours."),
            "few": _("With so many outlets they are not told place by place; see the table below."),
        },
    }  # fmt: skip


@lru_cache(maxsize=2)
def field(digest: str) -> disperse.Field:
    """The field of a run. Raises OSError, and ValueError for another file of that name."""
    return disperse.read(dispersion.place(digest).read_bytes())


def classes(row: Dispersion, hour: int) -> bytes:
    """Class of the legend of every cell, row by row from the south-west, one byte each."""
    values = field(row.field).values[hour]
    return bytes(np.digitize(values, row.result["breaks"]).astype(np.uint8).tobytes())


def spot(user: Any, row: Dispersion, longitude: float, latitude: float) -> dict[str, Any]:
    """The hours of a cell, and the outlets that add most near it."""
    made = field(row.field)
    cell = made.cell(longitude, latitude)
    if cell is None:
        return {"outside": True}
    values = [float(f"{v:.3g}") for v in made.values[:, cell[0], cell[1]].tolist()]
    told: dict[str, Any] = {"hours": values, "outlets": [], "near": None}
    if row.result["lattice"]:
        shrink = np.cos(np.radians(latitude))
        way = [
            np.hypot((x - longitude) * shrink, y - latitude) * 111.2
            for x, y, _o in row.result["lattice"]
        ]  # km
        k = int(np.argmin(way))
        of = row.result["lattice"][k][2]
        about = row.result["sources"]
        total = sum(v for _i, v in of["of"]) + of["rest"]
        urls = _urls(user, {about[i]["enterprise"] for i, _v in of["of"]})
        told |= {
            "near": round(way[k], 1), "rest": of["rest"], "total": total,
            "outlets": [
                {"name": about[i]["name"], "url": urls.get(about[i]["enterprise"], ""), "adds": v}
                for i, v in of["of"]
            ],
        }  # fmt: skip
    return told


# ---- what is said ---------------------------------------------------------------------------------


def _kilograms(grams: float | None) -> str:
    return f"{(grams or 0.0) / 1000:,.0f}"


def said(row: Dispersion) -> list[str]:
    """What was assumed, left out or filled in, in sentences."""
    told, about = row.result, Counter(row.result["said"])
    name = NAMES[row.factor]
    found = [_("Only registered outlets are in it: traffic, dust, homes and what the wind brings from elsewhere are not, and nothing is formed in the air.")]  # fmt: skip
    if name in ("NO2", "PM10", "PM2.5"):
        found.append(_("Outlets are known by their nitrogen oxides or particles; of these a usual part is taken to be %s.") % factor_name(row.factor))  # fmt: skip
    for key, text in (
        ("basis_monitor", _("%d outlets by their monitors (believed as reported), the mean over the hours.")),
        ("basis_permit", _("%d outlets by their permitted yearly amount, evenly over the year.")),
        ("basis_inventory", _("%d outlets by the annual amount of the inventory, evenly over the year.")),
        ("basis_assumed", _("%d outlets without a known amount: the lower quartile of the others was assumed.")),
        ("several", _("%d outlets have several monitors of this pollutant: the register does not say whether they watch one duct. Their mean was taken; if each watches a duct of its own, the outlet emits their sum.")),
        ("no_height", _("%d outlets without a stack height: 15 m was assumed.")),
        ("no_rise", _("%d outlets without diameter, gas velocity or gas temperature: no plume rise was counted, so their share may be too high.")),
        ("calm", _("%d hours with calm at all stations: the direction of the hours around was taken.")),
        ("filled", _("%d hours without any wind were filled from the hours around.")),
        ("coming", _("%d hours have the wind of the weather forecast, one for the whole city.")),
        ("sigma", _("%d hours have the measured spread of the wind direction.")),
        ("outside", _("%d outlets lie outside the file of weather: its outermost wind was taken for them.")),
    ):  # fmt: skip
        if about[key]:
            found.append(text % about[key])
    if away := told.get("away"):
        found.append(_("%(n)d air stations lie more than 60 km from the middle of the stations and were left out: %(names)s.") % {"n": len(away), "names": named(away)})  # fmt: skip
    if n := about["beyond"]:
        found.append(_("%(n)d of the chosen outlets emit this pollutant but lie more than 60 km from the middle of the stations and were left out: %(names)s.") % {"n": n, "names": named(told["beyond"])})  # fmt: skip
    if about["still"]:
        found.append(_("No station ever had wind enough for a direction: the air stands and only spreads."))  # fmt: skip
    if told["late"] > 0:
        found.append(_("The first %d hours are missing: the weather begins later.") % told["late"])
    missing = told["asked_hours"] - told["hours"] - max(told["late"], 0)
    if missing > 0:
        found.append(_("The last %d hours are missing: the weather ends before.") % missing)
    if told["lead"]:
        found.append(_("The %d hours before were computed too, so that the air is not empty at the beginning.") % told["lead"])  # fmt: skip
    else:
        found.append(_("No weather of the hours before is known: the air is empty at the beginning, and the first hours are too low."))  # fmt: skip
    found += _losses(row)
    if told["grid"]["size"] > disperse.SIZE:
        found.append(_("The area is large: cells of %d m instead of 500 m.") % told["grid"]["size"])
    found.append(_("The field covers outlets and stations and 10 km around them; what is blown beyond is not shown."))  # fmt: skip
    found.append(_("The ground is taken as flat: the register knows no heights of the ground. Buildings are not resolved."))  # fmt: skip
    if told["notes"]:
        found.append(_("Of the file of weather: %s.") % "; ".join(told["notes"]))
    b = told["balance"]
    found.append(
        _("Books of the model: %(emitted)s kg emitted, of it %(lost)s kg taken out on the way, %(left)s kg blown out of the area, %(airborne)s kg still there, %(aged)s kg no longer followed after a day.")
        % {k: _kilograms(b[k]) for k in ("emitted", "lost", "left", "airborne", "aged")}
    )  # fmt: skip
    found.append(_("Computed by: %s.") % told["engine"])
    return found


def _losses(row: Dispersion) -> list[str]:
    told, found = row.result["losses"], []
    if "half_life" in told:
        found.append(_("Loss in the air with a half-life of %g hours.") % told["half_life"])
    if "deposition" in told:
        low, high = told["deposition"]
        found.append(
            _("Dry deposition with %(low)g to %(high)g cm/s.") % {"low": low, "high": high}
        )
    if "rain" in told:
        if told["rain"]:
            found.append(_("Washed out by %g mm of rain.") % told["rain"])
        elif not told["rain_unknown"]:
            found.append(_("Wash-out by rain was asked for, but there was none."))
        if told["rain_unknown"]:
            found.append(_("Rain of %d hours is not known and was taken as none: stations do not report it; give it in a file or in the form.") % told["rain_unknown"])  # fmt: skip
    if not found:
        return [_("Nothing is taken out of the air: no loss, no deposition, no rain.")]
    return [*found, _("Sources of these figures: %s.") % told["cited"]] if told["cited"] else found


def verdict(row: Dispersion, fig: dict[str, Any], where: str) -> str:
    """The answer in a sentence."""
    about = {
        "where": where,
        "adds": f"{fig['modelled'] or 0:.3g}",
        "factor": factor_name(row.factor),
    }
    if fig["modelled"] is None:
        return _("No air station lies in the area; the map shows the field.")
    if fig["part"] is None:
        return (
            _("The given outlets add %(adds)s µg/m³ of %(factor)s on average (%(where)s).") % about
        )
    about |= {
        "air": f"{fig['measured']:.3g}",
        "part": f"{fig['part']:.0f}" if fig["part"] >= 10 else f"{fig['part']:.2g}",
    }
    return _("The given outlets add %(adds)s µg/m³ of %(factor)s on average (%(where)s): %(part)s %% of the measured %(air)s µg/m³. Stacks are only a part of what is in the air.") % about  # fmt: skip


def now_hour() -> datetime:
    return dispersion.this_hour()
