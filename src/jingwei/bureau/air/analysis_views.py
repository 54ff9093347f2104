"""Pages of analysis: what long series of a station or an outlet say."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.air import analysis, readings
from jingwei.bureau.air.analysis_forms import PeriodForm, TimeForm
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.monitoring.observations import local_day


def _tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of analysis, with what is chosen."""
    here = request.resolver_match.url_name if request.resolver_match else ""
    query = request.GET.urlencode()
    return [
        {"view": f"air:{name}", "label": label, "current": name == here, "query": query}
        for name, label in (("analysis", _("Time and variation")),)
    ]


def _page(request: HttpRequest, name: str, form: PeriodForm, found: dict[str, Any]) -> HttpResponse:
    context = {"form": form, "tabs": _tabs(request), "query": request.GET.urlencode(), **found}
    return render(request, f"air/analysis_{name}.html", context)


def _hours(form: PeriodForm, codes: list[str]) -> readings.Hours:
    want = form.cleaned_data
    return readings.hours(want["point"], codes, want["start"], want["end"], timezone.now())


@require_safe
@requires("air.view")
def time(request: HttpRequest) -> HttpResponse:
    """Time plot, variation by hour, weekday and month, calendar of one point."""
    form = TimeForm(request.user, request.GET, local_day(timezone.now()))
    if not form.is_valid():
        return _page(request, "time", form, {})
    want = form.cleaned_data
    h = _hours(form, want["factor"])
    some = [f for f in h.factors.values() if f.good]
    lines = [analysis.averaged(h, f, want["average"]) for f in some]
    cycles = analysis.cycles(h)
    calendars = [analysis.calendar(h, f) for f in some]
    return _page(
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
        return HttpResponse(form.errors.as_text(), status=400, content_type="text/plain")
    want = form.cleaned_data
    h = _hours(form, want["factor"])
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
