"""Pages of the 48-hour forecast."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from jingwei.bureau import paper
from jingwei.bureau.access import may, requires
from jingwei.bureau.air import forecast_days as days
from jingwei.bureau.air import forecast_selectors as selectors
from jingwei.bureau.air import forecast_services
from jingwei.bureau.air import report as reports
from jingwei.bureau.air.forecasting import FACTORS
from jingwei.bureau.findings.export import csv_response


@require_safe
@requires("air.view")
def forecast(request: HttpRequest) -> HttpResponse:
    """The newest forecast, or `?run=`: all stations."""
    run = selectors.at(request.GET.get("run", ""))
    if request.htmx:  # the page that waits
        return HttpResponse(status=204) if run is None else HttpResponse(headers={"HX-Refresh": "true"})  # fmt: skip
    context = {
        "run": run,
        "pending": selectors.pending(),
        "may_learn": may(request.user, "air.forecast"),
    }
    if run is not None:
        rows = list(selectors.stations(request.user, run))
        context |= {
            "outlooks": selectors.outlooks(rows, run),
            "slides": selectors.slides(rows, run),
            "days": days.city_days(run),
            "day_rows": days.day_rows(rows, run),
            "recent_days": days.recent_city(timezone.now()),
            "bounds": days.ABOVE,
            "episode": days.open_episode(),
            "said": selectors.said(run),
            "starts": selectors.starts(),
        }
    return render(request, "air/forecast.html", context)


@require_safe
@requires("air.view")
def station(request: HttpRequest, station: int) -> HttpResponse:
    """One station of the newest forecast or `?run=`; `?of=` a pollutant, else the index."""
    run = selectors.at(request.GET.get("run", ""))
    row = run and selectors.stations(request.user, run).filter(station=station).first()
    if run is None or row is None:
        raise Http404(_("There is no forecast for this station."))
    wanted = request.GET.get("of", selectors.INDEX)
    pollutant = wanted if wanted in row.result["series"] else selectors.INDEX
    now = timezone.now()
    skill = selectors.skill(run.model, pollutant, run.about["reach"] > 0)
    return render(
        request,
        "air/station.html",
        {
            "run": run,
            "row": row,
            "pollutant": pollutant,
            "pollutants": [selectors.INDEX, *row.result["series"]],
            "chart": selectors.chart(row, run, pollutant, now),
            "hours": selectors.hours(row, run),
            "factors": list(FACTORS),
            "skill": skill,
            "recent": selectors.recent(row, pollutant, now),
            "days": days.station_days(row),
            "recent_days": days.recent_station(row, now),
            "bounds": days.ABOVE,
            "said": selectors.said(run),
            "starts": selectors.starts(),
        },
    )


@require_safe
@requires("air.view")
def station_csv(request: HttpRequest, station: int) -> HttpResponse:
    run = selectors.at(request.GET.get("run", ""))
    row = run and selectors.stations(request.user, run).filter(station=station).first()
    if run is None or row is None:
        raise Http404(_("There is no forecast for this station."))
    header = [_("Hour"), _("AQI"), "AQI 5 %", "AQI 95 %", _("Class"), _("Leading pollutant"),
              *(f"{n} (µg/m³)" for n in FACTORS)]  # fmt: skip
    found = [
        [timezone.localtime(h["time"]), h["aqi"], h["low"], h["high"], h["name"], h["leading"], *h["values"]]
        for h in selectors.hours(row, run)
    ]  # fmt: skip
    return csv_response(f"forecast-{row.station.mn}-{run.start:%Y%m%d%H}.csv", header, found)


@require_safe
@requires("air.view")
def days_csv(request: HttpRequest) -> HttpResponse:
    """The days of the city and of all stations of the newest forecast or `?run=`, with their chances."""
    run = selectors.at(request.GET.get("run", ""))
    if run is None:
        raise Http404(_("No forecast yet"))
    header = [_("Place"), _("Date"), _("Daily AQI"), _("Class"), _("Leading pollutant"), _("Hours forecast"),
              *(_("Chance of AQI > %d (%%)") % above for above in days.ABOVE)]  # fmt: skip
    found = [
        [row.row.station.name if row.row else _("City"), d["day"], d["aqi"], d["name"], d["primary"],
         d["ahead"], *(round(p, 1) for _above, p in d["chances"])]
        for row in days.day_rows(list(selectors.stations(request.user, run)), run)
        for d in row.days if d
    ]  # fmt: skip
    return csv_response(f"forecast-days-{run.start:%Y%m%d%H}.csv", header, found)


@require_safe
@requires("air.view")
def sources(request: HttpRequest, station: int) -> HttpResponse:
    """What the registered stacks add at a station, as the map asks for it."""
    run = selectors.at(request.GET.get("run", ""))
    row = run and selectors.stations(request.user, run).filter(station=station).first()
    if run is None or row is None:
        raise Http404(_("There is no forecast for this station."))
    return JsonResponse(selectors.sources(request.user, row, run))


@require_safe
@requires("air.view")
def report(request: HttpRequest) -> HttpResponse:
    """The decision report; `?cut=` percent of all industries, `?cut-INDUSTRY=` of one; `?group=`: `cut` of
    this industry alone; `?format=pdf`: as a file."""
    run = selectors.at(request.GET.get("run", ""))
    context: dict[str, Any] = {"run": run, "pending": selectors.pending()}
    if run is not None:
        cut = _percent(request.GET.get("cut", ""), 30)
        asked = {k.removeprefix("cut-"): v for k, v in request.GET.items() if k.startswith("cut-")}
        if group := request.GET.get("group", ""):
            asked, cut = {group: str(cut)}, 0
        cuts = {k: _percent(v, cut) for k, v in asked.items()}
        found = reports.report(request.user, run, cuts, cut)
        context |= found | {
            "days": days.city_days(run),
            "day_rows": days.day_rows(list(selectors.stations(request.user, run)), run),
            "episode": days.open_episode(),
        }
    if run is None:
        return render(request, "air/report.html", context)
    return paper.answer(request, "air/report.html", context, _("Decision report"), run.start)


def _percent(text: str, other: int) -> int:
    return min(int(text), 100) if text.isdecimal() and len(text) < 9 else other


@require_POST
@requires("air.forecast")
def learn(request: HttpRequest) -> HttpResponse:
    """Ask the worker to learn anew."""
    forecast_services.learn(request.user)
    return redirect("air:forecast")
