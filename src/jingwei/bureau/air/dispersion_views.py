"""Pages of the dispersion model."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.air import dispersion, inventory, scenes, weather_tables
from jingwei.bureau.air import dispersion_selectors as selectors
from jingwei.bureau.air import dispersion_services as services
from jingwei.bureau.air.dispersion_forms import DispersionForm, InventoryForm
from jingwei.bureau.air.models import Dispersion
from jingwei.bureau.air.selectors import HOUR, bases
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.language import column, factor_name

PER_PAGE = 50
LOST = "lost field"


@require_safe
@requires("air.view")
def dispersions(request: HttpRequest) -> HttpResponse:
    """What was asked, newest first."""
    page = Paginator(selectors.runs(), PER_PAGE).get_page(request.GET.get("page"))
    rows = [(r, factor_name(r.factor), selectors.which(r)) for r in page]
    context = {"page": page, "rows": rows, "may_ask": selectors.may_ask(request.user)}
    return render(request, "air/dispersions.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("air.disperse")
def disperse(request: HttpRequest) -> HttpResponse:
    """Ask; `?period=`, `?factor=`, `?start=`, `?end=` fill the form."""
    if request.method == "POST":
        form = DispersionForm(request.user, request.POST, request.FILES)
        if form.is_valid():
            told = form.cleaned_data
            row = services.ask(
                request.user, told["factor"], told["start"], told["end"], form.asked_for(),
                form.content,
            )  # fmt: skip
            if held := scenes.held(form.data.get("key", ""), request.user):
                scenes.let_go(held)
            return redirect(row)
    else:
        now = selectors.now_hour()
        initial: dict[str, Any] = {
            "factor": "a21026", "start": now - 24 * HOUR, "end": now, "half_life": 4,
            "deposition": True, "washout": True, "which": "all", "weather": "stations",
        }  # fmt: skip
        for name in ("start", "end"):
            try:
                given = parse_datetime(request.GET.get(name, ""))
            except ValueError:
                given = None
            if given is not None:
                initial[name] = given
        for name in ("period", "factor"):
            if name in request.GET:
                initial[name] = request.GET[name]
        if initial["factor"] != "a21026":
            initial |= {"half_life": None, "deposition": False}
        form = DispersionForm(request.user, initial=initial)
    status = 422 if form.errors else 200
    return render(request, "air/disperse.html", {"form": form}, status=status)


def _run(pk: int) -> Dispersion:
    row: Dispersion = get_object_or_404(
        Dispersion.objects.select_related("actor", "evidence"), pk=pk
    )
    return row


def _done(pk: int) -> Dispersion:
    row = _run(pk)
    if row.state != Dispersion.State.DONE:
        raise Http404(_("This run has no result."))
    return row


@require_safe
@requires("air.view")
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """The result, made to be printed; `?at=` one station. While it is computed, a page that looks again."""
    row = _run(pk)
    if request.htmx:
        if row.state == Dispersion.State.WAITING:
            return render(request, "air/dispersion_progress.html", {"run": row})
        return HttpResponse(headers={"HX-Refresh": "true"})
    context: dict[str, Any] = {
        "run": row, "factor": factor_name(row.factor), "which": selectors.which(row),
        "may_ask": selectors.may_ask(request.user),
        "may_cancel": selectors.may_cancel(request.user, row),
    }  # fmt: skip
    if row.state == Dispersion.State.REFUSED:
        context["why"] = selectors.why(row)
    elif row.state == Dispersion.State.DONE:
        seen = selectors.places(request.user, row)
        wanted = request.GET.get("at", "")
        at = selectors.chosen(row, seen, wanted)
        one = seen[0] if len(at) == 1 and len(seen) == 1 else None
        if wanted.isdecimal() and len(at) == 1:
            one = next((p for p in seen if str(p.pk) == wanted), one)
        where = one.name if one else _("mean of the stations")
        figures = selectors.figures(row, at, seen)
        industries, regions = selectors.groups(row, at)
        context |= {
            "stations": seen, "at": one, "where": where if seen else _("mean of the area"),
            "figures": figures, "verdict": selectors.verdict(row, figures, where),
            "sources": selectors.sources(request.user, row, at),
            "source_count": len(row.result["sources"]),
            "industries": industries, "regions": regions, "said": selectors.said(row),
            "slides": selectors.slides(request.user, row), "bases": bases(),
            "first": selectors.started(row),
            "last": selectors.started(row) + row.result["hours"] * HOUR,
            "there": dispersion.place(row.field).is_file(),
        }  # fmt: skip
        if at:
            context["chart"] = selectors.chart(row, at, seen)
    return render(request, "air/dispersion.html", context)


@require_POST
@requires("air.disperse")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    row = _run(pk)
    if not services.cancel(request.user, row):
        messages.info(request, _("It was ready before it could be cancelled."))
    return redirect(row)


@require_safe
@requires("air.view")
def hour(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """The classes of every cell in an hour of the run."""
    row = _done(pk)
    if number >= row.result["hours"]:
        raise Http404(_("This run has no such hour."))
    try:
        content = selectors.classes(row, number)
    except OSError:
        raise Http404(LOST) from None
    return HttpResponse(
        content, content_type="application/octet-stream", headers={"Cache-Control": "private, max-age=86400"}
    )  # fmt: skip


@require_safe
@requires("air.view")
def spot(request: HttpRequest, pk: int) -> HttpResponse:
    """What the map asks for a place; `?longitude=` and `?latitude=`."""
    row = _done(pk)
    try:
        longitude, latitude = (float(request.GET.get(k, "")) for k in ("longitude", "latitude"))
    except ValueError:
        raise Http404(_("Say which place.")) from None
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise Http404(_("Say which place."))
    try:
        return JsonResponse(selectors.spot(request.user, row, longitude, latitude))
    except OSError:
        raise Http404(LOST) from None


@require_safe
@requires("air.view")
def field(request: HttpRequest, pk: int) -> FileResponse:
    """The hourly field as NetCDF."""
    row = _done(pk)
    try:
        content = dispersion.place(row.field).open("rb")
    except OSError:
        raise Http404(LOST) from None
    return FileResponse(
        content, as_attachment=True, filename=f"dispersion-{pk}.nc", content_type="application/x-netcdf"
    )  # fmt: skip


@require_safe
@requires("air.view")
def stations_csv(request: HttpRequest, pk: int) -> HttpResponse:
    row = _done(pk)
    seen = selectors.places(request.user, row)
    real = selectors.measured(row, seen)
    first = selectors.started(row)
    header = [_("Hour"), _("Air station"), "MN", _("Modelled (µg/m³)"), _("Measured (µg/m³)")]
    rows = []
    for p in seen:
        adds = selectors.modelled(row, [row.result["stations"].index(p.pk)])
        rows += [[first + h * HOUR, p.name, p.mn, adds[h], real[p.pk][h]] for h in range(len(adds))]
    return csv_response(f"dispersion-{pk}-stations.csv", header, rows)


@require_safe
@requires("air.view")
def sources_csv(request: HttpRequest, pk: int) -> HttpResponse:
    row = _done(pk)
    header = [
        _("Air station"), _("Outlet"), _("Industry"), _("Division"), _("Rate (g/s)"),
        _("Known from"), _("Adds, mean (µg/m³)"), _("Share (%)"),
    ]  # fmt: skip
    known = bases()
    rows = [
        [
            p.name, s.name, s.industry, s.region, s.rate, known[s.basis],
            float(f"{s.value:.4g}"), round(100 * s.part, 2),
        ]
        for p in selectors.places(request.user, row)
        for s in selectors.sources(
            request.user, row, [row.result["stations"].index(p.pk)], limit=None
        )
    ]  # fmt: skip
    return csv_response(f"dispersion-{pk}-sources.csv", header, rows)


@require_safe
@requires("air.disperse")
def weather_template(request: HttpRequest) -> HttpResponse:
    now = selectors.now_hour() - 24 * HOUR
    rows = [[now + h * HOUR, 2.5, 225, 12.0, 0, 15] for h in range(3)]
    return csv_response("weather.csv", [*map(column, weather_tables.COLUMNS.values())], rows)


# ---- inventory ------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@requires("air.disperse")
def amounts(request: HttpRequest) -> HttpResponse:
    """Annual amounts as handed in, and a table of them."""
    form = InventoryForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            lines = inventory.read(file, request.user)
        except ValidationError as error:
            form.add_error("file", error)
        else:
            file.seek(0)
            n = services.keep_amounts(
                request.user, lines, file.name, hashlib.sha256(file.read()).hexdigest()
            )
            messages.success(
                request, ngettext("%d amount was kept.", "%d amounts were kept.", n) % n
            )
            return redirect("air:amounts")
    page = Paginator(selectors.amounts(request.user), PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "rows": [(a, factor_name(a.factor)) for a in page]}
    return render(request, "air/amounts.html", context, status=422 if form.errors else 200)


@require_safe
@requires("air.disperse")
def amounts_template(request: HttpRequest) -> HttpResponse:
    """The columns, with the first outlets as an example."""
    rows = [
        [o.enterprise.uscc, o.code, "a21002", selectors.now_hour().year - 1, 12.5]
        for o in selectors.outlets(request.user)[:3]
    ]
    return csv_response("annual-amounts.csv", [*map(column, inventory.COLUMNS.values())], rows)
