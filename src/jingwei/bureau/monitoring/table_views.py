"""Pages of tables of observations: hand in, map, look, take in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.language import english
from jingwei.bureau.monitoring import table_services as services
from jingwei.bureau.monitoring.table_forms import FIELDS, MappingForm, factor_choices
from jingwei.bureau.monitoring.table_models import ObservationFile
from jingwei.standards import codes


@require_http_methods(["GET", "HEAD", "POST"])
@requires("observation.enter")
def table_list(request: HttpRequest) -> HttpResponse:
    """Hand in a table; what was handed in before."""
    refused, status = "", 200
    if request.method == "POST":
        upload = request.FILES.get("file")
        try:
            if upload is None:
                raise Refused(_("Choose a file."))
            return redirect(services.hand_in(request.user, upload))
        except Refused as error:
            refused, status = str(error), 422
    context = {
        "page": Paginator(services.visible(request.user), 20).get_page(request.GET.get("page")),
        "refused": refused,
        "largest": services.LARGEST >> 20,
    }
    return render(request, "monitoring/tables/list.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("observation.enter")
def table(request: HttpRequest, pk: int) -> HttpResponse:
    """One table: what its columns are, what its rows become; POST maps it or takes it in."""
    row = get_object_or_404(services.visible(request.user), pk=pk)
    if row.state == ObservationFile.State.DONE:
        return render(request, "monitoring/tables/done.html", {"file": row})
    try:
        look = services.look(request.user, row)
    except Refused as error:
        context = {"file": row, "refused": str(error)}
        return render(request, "monitoring/tables/table.html", context, status=422)
    act = request.POST.get("do", "")
    form = MappingForm(
        look.header, _systems(request.user), row.mapping, request.POST if act == "look" else None
    )
    refused, status = "", 200
    if request.method == "POST":
        try:
            if act == "take":
                services.take(request.user, pk, skip_errors=bool(request.POST.get("skip")))
                messages.success(request, _("The observations are taken in."))
                return redirect(row)
            if form.is_valid():
                services.set_mapping(request.user, pk, form.mapping())
                return redirect(row)
            status = 422
        except Refused as error:
            refused, status = str(error), 409
    context = {
        "file": row,
        "form": form,
        "look": look,
        "refused": refused,
        "fields": FIELDS,
        "factors": factor_choices(),
        "samples": _samples(look),
    }
    return render(request, "monitoring/tables/table.html", context, status=status)


def _systems(user: Any) -> list[tuple[str, str]]:
    """System types of the points for which the user may take observations in."""
    found = services.points(user).values_list("st", flat=True).distinct().order_by("st")
    known = {st: codes.system(st) for st in found}
    names = {st: (k.en if english() else k.zh) if k else "" for st, k in known.items()}
    return [(st, f"{st} {name}".strip()) for st, name in names.items()]


def _samples(look: services.Look) -> dict[int, str]:
    """The first cell that is not empty, by column."""
    found: dict[int, str] = {}
    for line in look.lines:
        for i, cell in enumerate(line.cells):
            if cell:
                found.setdefault(i, cell[:24])
    return found


@require_safe
@requires("observation.enter")
def table_template_csv(request: HttpRequest) -> HttpResponse:
    """A table that is recognised without any mapping, with one row as an example."""
    head = [_("MN"), _("DataTime"), "a21026", "a21026 Flag"]
    if not english():
        head = ["设备编号", "监测时间", "二氧化硫", "二氧化硫标记"]
    example = next(
        iter(services.points(request.user).order_by("mn").values_list("mn", flat=True)[:1]), "MN"
    )
    return csv_response("observations.csv", head, [[example, "2026-03-10 12:00", "12.5", "N"]])
