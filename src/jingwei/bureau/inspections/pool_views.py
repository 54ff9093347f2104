"""The pool of inspectors with recusals, and the grades by which draws make their strata."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from jingwei.bureau.access import may, requires
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.inspections import draw_selectors as selectors
from jingwei.bureau.inspections import pool as services
from jingwei.bureau.inspections.forms import InspectorForm, RecusalForm
from jingwei.bureau.inspections.models import Inspector
from jingwei.bureau.registry.models import Enterprise

PAGE = 100
MAX_BYTES = 4 * 1024 * 1024


@require_GET
@requires("draw.view")
def pool(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "inspections/pool.html",
        {
            "inspectors": selectors.inspectors(active=False),
            "may_manage": may(request.user, "draw.manage"),
        },
    )


@require_http_methods(["GET", "POST"])
@requires("draw.manage")
def inspector(request: HttpRequest, inspector: int = 0) -> HttpResponse:
    """One entry of the pool (0: a new one) with its recusals."""
    row = get_object_or_404(Inspector, pk=inspector) if inspector else None
    act = request.POST.get("act", "")
    form = InspectorForm(request.POST if act == "keep" else None, instance=row)
    recusal = RecusalForm(request.POST if act == "recuse" else None)
    status, refused = 200, ""
    if request.method == "POST":
        try:
            if act == "keep" and form.is_valid():
                row = services.keep_inspector(request.user, form)
                messages.success(request, _("Saved."))
                return redirect("inspections:inspector", row.pk)
            if act == "recuse" and row and recusal.is_valid():
                services.recuse(request.user, row, **recusal.cleaned_data)
                messages.success(request, _("The recusal is recorded."))
                return redirect("inspections:inspector", row.pk)
            if act == "end" and row:
                number = request.POST.get("recusal", "")
                found = get_object_or_404(
                    row.recusals, pk=int(number) if number.isdecimal() and len(number) < 19 else 0
                )
                services.end_recusal(request.user, found)
                messages.success(request, _("The recusal is ended."))
                return redirect("inspections:inspector", row.pk)
        except Refused as error:
            refused = str(error)
        status = 422
    return render(
        request,
        "inspections/inspector.html",
        {
            "inspector": row,
            "form": form,
            "recusal": recusal,
            "recusals": row.recusals.select_related("enterprise") if row else [],
            "refused": refused,
        },
        status=status,
    )


@require_http_methods(["GET", "POST"])
@requires("draw.view")
def grades(request: HttpRequest) -> HttpResponse:
    """Credit and risk of the enterprises; a POST imports them from CSV (`draw.manage`)."""
    refused, status = "", 200
    if request.method == "POST":
        upload = request.FILES.get("file")
        try:
            if upload is None or upload.size > MAX_BYTES:
                raise Refused(_("Choose a CSV file of at most 4 MB."))
            try:
                text = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise Refused(_("The file is not in UTF-8: save it as “CSV UTF-8”.")) from None
            count = services.import_grades(request.user, text)
        except Refused as error:
            refused, status = str(error), 422
        else:
            messages.success(
                request,
                ngettext("%d grade is set.", "%d grades are set.", count) % count,
            )
            return redirect("inspections:grades")
    rows = (
        Enterprise.objects.restrict(request.user, "enterprise.view")
        .select_related("grade", "region")
        .defer("region__geometry")
        .order_by("name")
    )
    return render(
        request,
        "inspections/grades.html",
        {
            "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
            "may_manage": may(request.user, "draw.manage"),
            "columns": ",".join(services.COLUMNS),
            "refused": refused,
        },
        status=status,
    )
