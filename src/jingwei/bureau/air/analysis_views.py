"""Pages of analysis: what long series of a station or an outlet say."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.analysis.air.normalise import NormaliseError
from jingwei.bureau.access import requires
from jingwei.bureau.air import analysis, readings, wind, yearly
from jingwei.bureau.air import trend as trending
from jingwei.bureau.air.analysis_forms import (
    PeriodForm,
    TimeForm,
    TrendForm,
    WindForm,
    YearForm,
    away,
    nearest_wind,
)
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.monitoring.observations import local_day
from jingwei.bureau.monitoring.selectors import points
from jingwei.bureau.registry.models import Point


def _tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of analysis, with what is chosen."""
    here = request.resolver_match.url_name if request.resolver_match else ""
    query = request.GET.urlencode()
    return [
        {"view": f"air:{name}", "label": label, "current": name == here, "query": query}
        for name, label in (
            ("analysis", _("Time and variation")),
            ("wind", _("Wind and pollution")),
            ("ways", _("Trajectories")),
            ("trend", _("Trend")),
            ("taylor", _("Taylor diagram")),
            ("year", _("Evaluation of a year")),
        )
    ]


def page(
    request: HttpRequest, name: str, form: PeriodForm | YearForm, found: dict[str, Any]
) -> HttpResponse:
    context = {"form": form, "tabs": _tabs(request), "query": request.GET.urlencode(), **found}
    return render(request, f"air/analysis_{name}.html", context)


def refused(form: PeriodForm | YearForm) -> HttpResponse:
    """Why there is no table."""
    return HttpResponse(form.errors.as_text(), status=400, content_type="text/plain; charset=utf-8")


def hours(form: PeriodForm, codes: list[str]) -> readings.Hours:
    want = form.cleaned_data
    return readings.hours(want["point"], codes, want["start"], want["end"], timezone.now())


@require_safe
@requires("air.view")
def time(request: HttpRequest) -> HttpResponse:
    """Time plot, variation by hour, weekday and month, calendar of one point."""
    form = TimeForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return page(request, "time", form, {})
    want = form.cleaned_data
    h = hours(form, want["factor"])
    some = [f for f in h.factors.values() if f.good]
    lines = [analysis.averaged(h, f, want["average"]) for f in some]
    cycles = analysis.cycles(h)
    calendars = [analysis.calendar(h, f) for f in some]
    return page(
        request,
        "time",
        form,
        {
            "hours": h,
            "some": some,
            "lines": lines,
            "few": [x.label for x in lines if not any(m is not None for m in x.means)],
            "cycles": cycles,
            "calendars": calendars,
            "pictures": {
                "series": analysis.chart(lines, want["average"], h) if lines else None,
                "cycles": [analysis.bands(c) for c in cycles],
                "calendars": [c["picture"] for c in calendars],
            },
        },
    )


@require_safe
@requires("air.view")
def time_csv(request: HttpRequest) -> HttpResponse:
    """`?table=`: the averaged series, or a cycle (hour, weekday, month) of each factor."""
    form = TimeForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return refused(form)
    want = form.cleaned_data
    h = hours(form, want["factor"])
    table = request.GET.get("table", "series")
    cycle = next((c for c in analysis.cycles(h) if c.key == table), None)
    if cycle is None:
        lines = [analysis.averaged(h, f, want["average"]) for f in h.factors.values()]
        header, rows = analysis.csv_rows(h, lines)
    else:
        header, rows = [cycle.title], [[name] for name in cycle.places]
        for n, (factor, _course) in enumerate(cycle.courses):
            header += [
                _("Valid hours"), f"{factor.name} ({factor.unit})", _("2.5 %"), _("97.5 %"),
            ]  # fmt: skip
            for row, (_name, cells) in zip(rows, cycle.rows(), strict=True):
                row += cells[n]
    name = f"{h.point.mn}-{want['start']}-{want['end']}-{table if cycle else 'series'}.csv"
    return csv_response(name, header, rows)


def _winds(form: WindForm) -> tuple[readings.Hours, readings.Hours | None, wind.Winds | None]:
    """The factor's hours, those of the wind, and both together; None where nobody sends wind."""
    h = hours(form, [form.cleaned_data["factor"]])
    source = form.source()
    if source is None:
        return h, None, None
    at = readings.hours(
        source, [readings.SPEED, readings.DIRECTION], h.first, h.last, timezone.now()
    )
    return h, at, wind.winds(next(iter(h.factors.values())), at)


@require_safe
@requires("air.view")
def winds(request: HttpRequest) -> HttpResponse:
    """Wind rose, pollution rose, polar plots of one factor."""
    form = WindForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return page(request, "wind", form, {})
    h, at, w = _winds(form)
    if at is None or w is None:
        return page(request, "wind", form, {"nobody": True})
    quantile = form.cleaned_data["quantile"]
    far = away(at.point, h.point)
    both = dataclasses.replace(h, factors=h.factors | at.factors)
    said = [
        _("Hours with a value and wind: %(n)d. Nothing was filled in.") % {"n": w.both},
        _("Sectors of the wind by what the vane sends; hours below 0.5 m/s have no direction."),
        _("Polar plot: cells of 10° and a thirtieth of the speed's range, penalised splines weighed by hours, strength by cross-validation (after Carslaw and Ropkins 2012)."),
    ]  # fmt: skip
    if at.point != h.point:
        said.insert(0, _("The wind is that of %(name)s, %(km).1f km away.") % {"name": at.point.name, "km": far / 1000})  # fmt: skip
    if w.bad:
        said.append(_("Directions outside 0–360° were left out: %d.") % w.bad)
    context: dict[str, Any] = {"hours": both, "at": at, "winds": w, "said": said}
    if w.known:
        roses = wind.roses(w)
        table = wind.table(w, quantile)
        if len(roses) and len(roses[0]["sectors"]) == 12:
            said.append(_("Directions come in steps of 10°: 12 sectors, since 16 would hold three steps here and two there."))  # fmt: skip
        polars = wind.polars(w, table["level"] if table else None)
        context |= {
            "roses": roses,
            "table": table,
            "polars": polars,
            "percent": round(100 * quantile),
            "pictures": {
                "roses": roses,
                "polars": polars,
                "quarters": [_("N"), _("E"), _("S"), _("W")],
            },
        }
    return page(request, "wind", form, context)


@require_safe
@requires("air.view")
def winds_csv(request: HttpRequest) -> HttpResponse:
    """By sector; `?table=mean` or `cpf`: the cells of a polar plot."""
    form = WindForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return refused(form)
    h, _at, w = _winds(form)
    table = wind.table(w, form.cleaned_data["quantile"]) if w else None
    kind = request.GET.get("table", "")
    name = (
        f"{h.point.mn}-{h.first}-{h.last}-wind{'-' + kind if kind in ('mean', 'cpf') else ''}.csv"
    )
    if kind in ("mean", "cpf"):
        found = wind.polars(w, table["level"]) if w and table else []
        cells = next((p["cells"] for p in found if p["key"] == kind), [])
        header = [_("East (m/s)"), _("North (m/s)"), _("Estimate"), _("2.5 %"), _("97.5 %")]
        return csv_response(name, header, cells)
    factor = next(iter(h.factors.values()))
    header = [_("Wind from"), _("Hours"), f"{factor.name} ({factor.unit})", "CPF"]
    rows = [[r["name"], r["hours"], r["mean"], r["cpf"]] for r in table["rows"]] if table else []
    return csv_response(name, header, rows)


def _trend(form: TrendForm) -> tuple[readings.Days, trending.Trend]:
    want = form.cleaned_data
    d = readings.daily(want["point"], want["factor"], want["start"], want["end"], timezone.now())
    season = want["season"] == "out"
    found = trending.trend(d, want["step"], season)
    if "step" not in form.asked and want["step"] == "week" and found.found is None:
        form.data["step"] = "day"  # nobody asked for weeks, and there are too few
        found = trending.trend(d, "day", season)
    return d, found


@require_safe
@requires("air.view")
def trend(request: HttpRequest) -> HttpResponse:
    """Theil-Sen trend of one factor; asked for, the course without the weather."""
    form = TrendForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return page(request, "trend", form, {})
    want = form.cleaned_data
    d, t = _trend(form)
    said = [
        _("Daily means need 20 valid hours, weeks 5 valid days, months three quarters of theirs."),
        _("Slope: median over all pairs of means (Sen 1968); interval and p by bootstrap of blocks of %(n)d means, because neighbours hang together.") % {"n": t.block},
    ]  # fmt: skip
    if d.rolled:
        said.append(_("More than a year is read from daily sums: days with a marked or negative hour are left out whole."))  # fmt: skip
    if t.season:
        said.append(_("Season: classical decomposition, the mean of each calendar month less the centred mean over twelve months."))  # fmt: skip
    elif want["season"] == "out":
        said.append(_("The season was left in: taking it out needs monthly means of %(n)d months, there are %(known)d means.") % {"n": trending.SEASONS, "known": t.known})  # fmt: skip
    short = t.covered < 330
    context: dict[str, Any] = {"days": d, "trend": t, "said": said, "short": short}
    pictures: dict[str, Any] = {}
    if t.known:
        pictures["trend"] = trending.chart(t, d.factor.name, d.factor.unit)
    if want["weather"] == "out":
        source = nearest_wind(request.user, d.point)
        try:
            if source is None:
                raise NormaliseError("few")
            found = trending.without_weather(
                d.point, source, want["factor"], d.first, d.last, timezone.now()
            )
            pictures["weather"] = found["picture"]
            context |= {"weather": found, "wind": source}
        except NormaliseError as error:
            context["refused"] = {
                "few": _("Fewer than 90 days of hours have both a value and weather: choose a longer period."),
                "library": _("The program that learns it is not installed: the administrator installs jingwei[air]."),
            }[str(error)]  # fmt: skip
    return page(request, "trend", form, context | {"pictures": pictures})


@require_safe
@requires("air.view")
def trend_csv(request: HttpRequest) -> HttpResponse:
    form = TrendForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return refused(form)
    d, t = _trend(form)
    unit = f"{d.factor.name} ({d.factor.unit})"
    rows = [
        [datetime.fromtimestamp(a / 1000, UTC), analysis.figure(raw), analysis.figure(v)]
        for a, raw, v in zip(t.times, t.raw, t.value, strict=True)
    ]
    header = [_("Time"), unit, _("%s without the season") % unit if t.season else _("As used")]
    return csv_response(f"{d.point.mn}-{d.first}-{d.last}-trend.csv", header, rows)


def _year(request: HttpRequest, form: YearForm) -> yearly.Year:
    stations = points(request.user, "air.view").filter(kind=Point.Kind.AIR_STATION, enabled=True)
    return yearly.evaluate(
        list(stations.order_by("name")), form.cleaned_data["year"], timezone.now()
    )


@require_safe
@requires("air.view")
def year(request: HttpRequest) -> HttpResponse:
    """Evaluation of a calendar year: the city by pollutant, the stations by one of them."""
    form = YearForm(request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return page(request, "year", form, {})
    found = _year(request, form)
    item = form.cleaned_data["item"]
    rows = [(p, items[item]) for p, items in found.stations if item in items]
    context = {
        "found": found,
        "rows": rows,
        "without": [p.name for p, items in found.stations if item not in items],
        "item": yearly.name(item),
        "some": rows[0][1] if rows else None,
        "running": found.year == form.today.year,
    }
    return page(request, "year", form, context)


@require_safe
@requires("air.view")
def year_csv(request: HttpRequest) -> HttpResponse:
    """All stations and the city, all pollutants."""
    form = YearForm(request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return refused(form)
    found = _year(request, form)
    places = [(_("City"), {r.item: r for r in found.city})]
    places += [(p.name, items) for p, items in found.stations]
    rows = [
        [
            place, r.name, r.unit, r.days, _yes(r.valid), r.mean, r.rank, r.percentile, r.over,
            _yes(r.reached), r.single,
        ]
        for place, items in places
        for r in items.values()
    ]  # fmt: skip
    header = [
        _("Place"), _("Pollutant"), _("Unit"), _("Valid days"), _("Year valid"), _("Mean"),
        _("Percentile"), _("Percentile value"), _("Days over the limit"), _("Class II reached"),
        _("Single index"),
    ]  # fmt: skip
    return csv_response(f"air-year-{found.year}.csv", header, rows)


def _yes(value: bool | None) -> str:
    return "" if value is None else _("yes") if value else _("no")
