"""Pages by which findings come in: the form of each kind, files of a finding, import of tables."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jingwei.bureau import once
from jingwei.bureau.access import requires
from jingwei.bureau.evidencelog.services import reading
from jingwei.bureau.findings import files, filing, imports
from jingwei.bureau.findings.forms import Desk, FindingForm, starting
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.models import Finding, FindingFile, ImportFile, Kind
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.registry.models import Enterprise

OFFERED = 500  # enterprises that the form offers while one types


@require_GET
@requires("finding.file")
def choose(request: HttpRequest) -> HttpResponse:
    """Which kind? One tile each."""
    return render(request, "findings/choose.html", {"scenarios": SCENARIOS.values()})


@require_http_methods(["GET", "POST"])
@requires("finding.file")
def new(request: HttpRequest, kind: str) -> HttpResponse:
    if kind not in SCENARIOS:
        raise Http404
    desk = Desk(request.user)
    token = request.POST.get("token", "") or secrets.token_hex(8)
    refused, status = "", 200
    if request.method == "POST":
        form = FindingForm(kind, desk, request.POST, request.FILES)
        if form.is_valid():
            try:
                finding = filing.file(request.user, form, token=once.token(request, kind))
            except Refused as error:
                refused, status = str(error), 409
            else:
                messages.success(request, _("The finding is filed."))
                return redirect(finding)
        else:
            status = 422
    else:
        form = FindingForm(kind, desk, initial=starting(kind))
    names = Enterprise.objects.restrict(request.user, "enterprise.view").order_by("name")
    return render(
        request,
        "findings/new.html",
        {
            "form": form,
            "scenario": SCENARIOS[kind],
            "token": token,
            "refused": refused,
            "enterprises": names.values_list("name", flat=True)[:OFFERED],
        },
        status=status,
    )


@require_POST
@requires("finding.file")
def add_files(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(Finding.objects.restrict(request.user, "finding.file"), pk=pk)
    field = files.FilesField(photos=False)
    try:
        filing.add_files(request.user, pk, field.clean(request.FILES.getlist("files")))
    except Refused as error:
        messages.error(request, str(error))
    except files.ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The files are kept, with their digests."))
    return redirect("findings:finding", pk=pk)


@require_GET
@requires("finding.view")
def file(request: HttpRequest, pk: int) -> HttpResponse:
    """The bytes as they came in. Reading a file of a complaint leaves an entry."""
    rows = FindingFile.objects.restrict(request.user, "finding.view").select_related("finding")
    row = get_object_or_404(rows, pk=pk)
    if row.finding.kind == Kind.COMPLAINT:
        with transaction.atomic():
            reading(request.user, "complaint", f"finding-file:{row.pk}")
    try:
        stream = row.file.open("rb")
    except OSError:
        raise Http404(_("The file is missing on the disk.")) from None
    answer = FileResponse(
        stream,
        as_attachment=not row.is_image,
        filename=files.download_name(row.name, row.content_type),
        content_type=row.content_type,
    )
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["Cache-Control"] = "private, no-store"
    return answer


# --- import ----------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires("finding.import")
def importing(request: HttpRequest) -> HttpResponse:
    """Hand in a table; the list of what was handed in before."""
    refused, status, kind = "", 200, request.POST.get("kind", request.GET.get("kind", ""))
    if request.method == "POST":
        upload = request.FILES.get("file")
        try:
            if kind not in SCENARIOS:
                raise Refused(_("Choose the kind."))
            if upload is None:
                raise Refused(_("Choose a file."))
            row = imports.hand_in(request.user, kind, upload)
        except Refused as error:
            refused, status = str(error), 422
        else:
            return redirect(row)
    rows = imports.visible(request.user)
    context = {
        "page": Paginator(rows, 20).get_page(request.GET.get("page")),
        "kinds": Kind.choices,
        "kind": kind,
        "refused": refused,
        "most": imports.ROWS,
        "largest": imports.LARGEST // 1024**2,
    }
    return render(request, "findings/imports.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires("finding.import")
def imported(request: HttpRequest, pk: int) -> HttpResponse:
    """One file: what would be imported, or was; POST imports it."""
    row = get_object_or_404(imports.visible(request.user), pk=pk)
    refused, status = "", 200
    if request.method == "POST":
        try:
            count = imports.confirm(request.user, pk)
        except Refused as error:
            refused, status = str(error), 409
        else:
            messages.success(request, _("%d findings are imported.") % count)
            return redirect(row)
    context: dict[str, Any] = {"file": row, "refused": refused}
    if row.state == ImportFile.State.DONE:
        context["findings"] = Finding.objects.restrict(request.user, "finding.view").filter(
            imported=row
        )[:200]
    else:
        try:
            context["preview"] = imports.preview(request.user, row)
        except Refused as error:
            context["refused"] = str(error)
    return render(request, "findings/import.html", context, status=status)


@require_GET
@requires("finding.import")
def template(request: HttpRequest, kind: str, form: str) -> HttpResponse:
    """An empty table of a kind with its headings: CSV or Excel."""
    if kind not in SCENARIOS:
        raise Http404
    return imports.template(kind, form)
