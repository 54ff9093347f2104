"""Pages of the air room."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.air import selectors, services
from jingwei.bureau.air.forms import TraceForm
from jingwei.bureau.air.models import Trace
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import Point

PER_PAGE = 50


@require_safe
@requires("air.view")
def traces(request: HttpRequest) -> HttpResponse:
    """What was asked, newest first; `?station=` one station's."""
    rows = selectors.traces(request.user)
    station = request.GET.get("station", "")
    if station.isdecimal():
        rows = rows.filter(station=int(station))
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    chosen = Point.objects.filter(pk=int(station)).first() if station.isdecimal() else None
    return render(
        request,
        "air/traces.html",
        {
            "page": page,
            "rows": [(t, factor_name(t.factor)) for t in page],
            "station": chosen,
            "may_ask": selectors.may_ask(request.user),
        },
    )


@require_http_methods(["GET", "POST"])
@requires("air.trace")
def new(request: HttpRequest) -> HttpResponse:
    """Ask; `?finding=` or `?exceedance=` fills the form from one, `?station=` chooses a station."""
    finding = selectors.asked_finding(request.user, request.GET.get("finding", ""))
    over = selectors.asked_exceedance(request.user, request.GET.get("exceedance", ""))
    if over and not finding and over.finding_id:
        finding = selectors.asked_finding(request.user, str(over.finding_id))
    now, under = timezone.now(), None
    if request.method == "POST":
        form = TraceForm(request.user, request.POST)
        if form.is_valid():
            want = form.cleaned_data
            trace = services.ask(
                request.user, want["station"], want["factor"], want["start"], want["end"], finding
            )
            return redirect(trace)
    else:
        hour = now.replace(minute=0, second=0, microsecond=0)
        initial = {"start": hour - 24 * selectors.HOUR, "end": hour, "factor": "a34004"}
        if over:
            initial = selectors.proposed_by(request.user, over, now)
        elif finding:
            initial = selectors.proposed(request.user, finding, now)
        elif request.GET.get("station", "").isdecimal():
            initial["station"] = int(request.GET["station"])
        under = initial.pop("downwind", None)
        form = TraceForm(request.user, initial=initial)
    status = 422 if form.errors else 200
    context = {"form": form, "finding": finding, "exceedance": over, "under": under}
    if over:
        context["exceeded"] = factor_name(over.factor)
        context["traced"] = bool(selectors.traced(over.factor))
    return render(request, "air/new.html", context, status=status)


def _trace(request: HttpRequest, pk: int) -> Trace:
    found: Trace = get_object_or_404(
        selectors.traces(request.user).select_related("finding", "evidence"), pk=pk
    )
    return found


@require_safe
@requires("air.view")
def trace(request: HttpRequest, pk: int) -> HttpResponse:
    """The answer, made to be printed; while it is computed, a page that looks again."""
    row = _trace(request, pk)
    if request.htmx:  # the page that waits: it is loaded anew once there is an answer
        if row.state == Trace.State.WAITING:
            return HttpResponse(status=204)
        return HttpResponse(headers={"HX-Refresh": "true"})
    context = {"trace": row, "factor": factor_name(row.factor), "may_ask": selectors.may_ask(request.user)}  # fmt: skip
    if row.state == Trace.State.REFUSED:
        context["why"] = selectors.why(row)
    elif row.state == Trace.State.DONE:
        lines = selectors.lines(request.user, row)
        context |= {
            "lines": lines,
            "suspects": [x for x in lines if x.probability >= selectors.SUSPECT],
            "verdict": selectors.verdict(row, lines),
            "said": selectors.said(row),
            "chart": selectors.chart(row),
            "rose": selectors.rose(row),
            "shapes": selectors.shapes(row, lines),
            "bases": selectors.bases(),
            "unexplained": max(row.result["increment"] - row.result["likely"], 0.0),
        }
    return render(request, "air/trace.html", context)


@require_safe
@requires("air.view")
def trace_csv(request: HttpRequest, pk: int) -> HttpResponse:
    row = _trace(request, pk)
    header = [
        _("Enterprise"), _("Outlet"), _("Known rate (g/s)"), _("Known from"),
        _("Likely rate (g/s)"), _("5 % rate (g/s)"), _("95 % rate (g/s)"),
        _("From known rate (µg/m³)"), _("Likely (µg/m³)"), _("5 % (µg/m³)"), _("95 % (µg/m³)"),
        _("Probability of more than three times the known rate"), _("Distance (km)"), _("Direction"),
    ]  # fmt: skip
    known = selectors.bases()
    found = [
        [
            x.outlet.enterprise.name, x.outlet.code, x.rate, known[x.basis],
            *(x.rates or (None, None, None)), x.known, x.likely, x.low, x.high, x.probability,
            round(x.distance / 1000, 1), x.bearing,
        ]
        for x in selectors.lines(request.user, row, limit=10_000)
    ]  # fmt: skip
    return csv_response(f"trace-{pk}.csv", header, found)
