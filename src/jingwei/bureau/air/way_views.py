"""Pages of analysis: backward trajectories with their clusters and maps, and Taylor diagrams."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from jingwei.analysis.air.weather import WeatherError
from jingwei.bureau.access import requires
from jingwei.bureau.air import readings, taylor, trajectories
from jingwei.bureau.air.analysis import figure
from jingwei.bureau.air.analysis_forms import TaylorForm, WaysForm
from jingwei.bureau.air.analysis_views import hours, page, refused
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.monitoring.observations import local_day
from jingwei.bureau.monitoring.selectors import points
from jingwei.bureau.registry.models import Point


def _found(form: WaysForm) -> tuple[readings.Hours, readings.Factor, trajectories.Found | None]:
    want = form.cleaned_data
    h = hours(form, [want["factor"]])
    factor = h.factors[want["factor"]]
    return h, factor, trajectories.find(h, factor, want, timezone.now())


@require_safe
@requires("air.view")
def ways(request: HttpRequest) -> HttpResponse:
    """Backward trajectories; `?map=` clusters, pscf or cwt: what the map shows first."""
    form = WaysForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return page(request, "ways", form, {})
    try:
        h, factor, found = _found(form)
    except WeatherError:
        return page(request, "ways", form, {"windless": True})
    if found is None:
        return page(request, "ways", form, {"nobody": True})
    shown = request.GET.get("map", "")
    shown = shown if shown in trajectories.MAPS and found.fields is not None else "clusters"
    want = form.cleaned_data
    context: dict[str, Any] = {
        "hours": h,
        "factor": factor,
        "found": found,
        "rows": trajectories.rows(found),
        "level": figure(found.level),
        "percent": round(100 * want["quantile"]),
        "back": want["back"],
        "shown": shown,
        "maps": [
            ("clusters", _("Clusters")),
            *([("pscf", "PSCF"), ("cwt", "CWT")] if found.fields is not None else []),
        ],
        "limits": trajectories.limits(found),
        "said": trajectories.said(found, want),
        "pictures": trajectories.picture(found, factor, shown),
    }
    return page(request, "ways", form, context)


@require_safe
@requires("air.view")
def ways_csv(request: HttpRequest) -> HttpResponse:
    """The clusters; `?table=ways`: every place of every way; `?table=cells`: PSCF and CWT."""
    form = WaysForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return refused(form)
    want = form.cleaned_data
    h = hours(form, [want["factor"]])
    factor = h.factors[want["factor"]]
    try:
        found = trajectories.find(h, factor, want, timezone.now())
    except WeatherError:
        found = None  # too little wind: the tables are empty, the page says why
    table = request.GET.get("table", "")
    table = table if table in ("ways", "cells") else "clusters"
    unit = f"{factor.name} ({factor.unit})"
    rows: Iterable[list[Any]] = []
    if table == "cells":
        header = [_("West (°)"), _("South (°)"), _("East (°)"), _("North (°)"), _("Hours of ways"), "PSCF", f"CWT ({factor.unit})"]  # fmt: skip
        per_hour = trajectories.per_hour()
        if found is not None:
            rows = (
                [c["west"], c["south"], c["east"], c["north"], c["passes"] / per_hour, c["pscf"], c["cwt"]]
                for c in trajectories.cells(found)
            )  # fmt: skip
    elif table == "ways":
        header = [_("Arrival"), _("Cluster"), unit, _("Hours before"), _("Longitude"), _("Latitude")]  # fmt: skip
        if found is not None:
            rows = trajectories.places(found)
    else:
        header = [_("Cluster"), _("Ways"), _("Share (%)"), _("From (°)"), _("Distance (km)"), _("With a value"), unit, _("2.5 %"), _("97.5 %"), _("High values (%)")]  # fmt: skip
        if found is not None:
            rows = (
                [r.number, r.ways, figure(r.share, 3), r.degrees, figure(r.distance, 3), r.values, r.mean, r.low, r.high, figure(r.over, 3)]
                for r in trajectories.rows(found)
            )  # fmt: skip
    return csv_response(f"{h.point.mn}-{h.first}-{h.last}-{table}.csv", header, rows)


@dataclasses.dataclass(frozen=True)
class _Compared:
    """Rows of the diagram; `hours` of the reference, `runs` of the forecast and hindcasts in them."""

    rows: list[taylor.Row]
    hours: readings.Hours
    runs: int
    late: int
    forecast: bool  # whether a forecast is compared
    known: bool  # whether the factor is forecast at all


def _compared(request: HttpRequest, form: TaylorForm) -> _Compared:
    want = form.cleaned_data
    now = timezone.now()
    h = hours(form, [want["factor"]])
    stations = list(
        points(request.user, "air.view")
        .filter(kind=Point.Kind.AIR_STATION, enabled=True)
        .order_by("name")
    )
    if want["compare"] == "stations":
        others = [
            readings.hours(p, [want["factor"]], h.first, h.last, now)
            for p in stations
            if p != h.point and want["factor"] in readings.offered(p)
        ]
        rows = taylor.between(h, others, want["factor"])
        return _Compared(rows, h, 0, 0, False, True)
    name = taylor.pollutant(want["factor"])
    if name is None:
        return _Compared([], h, 0, 0, True, False)
    if want["compare"] == "lead":
        p = taylor.pairs(h.point, name, h.first, h.last, now)
        return _Compared(taylor.by_lead(p) if p.runs else [], h, p.runs, p.late, True, True)
    low, high = (int(n) for n in want["ahead"].split("-"))
    found = [taylor.pairs(s, name, h.first, h.last, now) for s in stations]
    some = [(s, p) for s, p in zip(stations, found, strict=True) if p.runs]
    rows = taylor.by_station([s for s, _p in some], [p for _s, p in some], low, high)
    return _Compared(
        rows, h, max((p.runs for p in found), default=0), max((p.late for p in found), default=0),
        True, True,
    )  # fmt: skip


@require_safe
@requires("air.view")
def evaluate(request: HttpRequest) -> HttpResponse:
    """Taylor diagram: the forecast of a station by hours ahead, of all stations, or stations among
    themselves."""
    form = TaylorForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return page(request, "taylor", form, {})
    found = _compared(request, form)
    factor = next(iter(found.hours.factors.values()))
    drawn = [r for r in found.rows if r.found is not None]
    said = [
        _("Angle: correlation; distance from the origin: standard deviation over the measured one; distance from the mark of the measurement: centred difference (Taylor 2001). The nearer to that mark, the better; the bias is not in the picture, see the table."),
    ]  # fmt: skip
    if found.forecast:
        said.append(_("Forecast: its median. All marks of a span rest on the same hours. Damped persistence is the last value fading to what is usual; what is no nearer to the measurement than it has no skill."))  # fmt: skip
        said.append(ngettext("%(n)d run started in the period, %(late)d of them computed afterwards (hindcasts).", "%(n)d runs started in the period, %(late)d of them computed afterwards (hindcasts).", found.runs) % {"n": found.runs, "late": found.late})  # fmt: skip
    else:
        said.append(_("Hours in which both stations have a valid value. A station near the mark tells the same as this one: it adds little to it."))  # fmt: skip
    if few := [r.name for r in found.rows if r.found is None]:
        said.append(_("Not drawn, fewer than %(n)d pairs or a series that does not move: %(names)s.") % {"n": taylor.LEAST, "names": ", ".join(dict.fromkeys(few))})  # fmt: skip
    label = _("Taylor diagram: %s") % factor.name
    context = {
        "hours": found.hours,
        "factor": factor,
        "compared": found,
        "rows": drawn,
        "words": taylor.words(),
        "said": said,
        "unit": "µg/m³" if found.forecast else factor.unit,
        "pictures": taylor.picture(drawn, label) if drawn else None,
    }
    return page(request, "taylor", form, context)


@require_safe
@requires("air.view")
def evaluate_csv(request: HttpRequest) -> HttpResponse:
    form = TaylorForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return refused(form)
    found = _compared(request, form)
    words = taylor.words()
    header = [
        _("Compared"), _("Kind"), _("Pairs"), _("Standard deviation, measured"),
        _("Standard deviation, compared"), _("Correlation"), _("Centred RMS difference"), _("Bias"),
        _("RMSE"),
    ]  # fmt: skip
    rows = [
        [r.name, words[r.kind], r.pairs]
        + (
            [None] * 6 if (t := r.found) is None else
            [figure(t.measured), figure(t.model), figure(t.correlation), figure(t.centred_rms), figure(t.bias), figure(r.rmse)]
        )
        for r in found.rows
    ]  # fmt: skip
    h = found.hours
    return csv_response(f"{h.point.mn}-{h.first}-{h.last}-taylor.csv", header, rows)
