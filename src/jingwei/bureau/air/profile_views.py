"""Pages: profiles of the city's own sources beside the published ones."""

from __future__ import annotations

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from jingwei.analysis.air.apportion import own, tables
from jingwei.bureau.access import may, requires
from jingwei.bureau.air import apportion_selectors as selectors
from jingwei.bureau.air import apportion_services as services
from jingwei.bureau.air import apportion_tables as words
from jingwei.bureau.air import apportioning
from jingwei.bureau.air.apportion_forms import ProfilesForm
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.language import column
from jingwei.evidence import digest
from jingwei.telemetry.sheet import SheetError


def _head() -> list[str]:
    return [column(names) for names in own.HEADS.values()]


def _page(
    request: HttpRequest, form: ProfilesForm, problems: list[str] | None = None
) -> HttpResponse:
    context = {
        "form": form,
        "problems": problems or [],
        "own": selectors.own_profiles(),
        "published": selectors.published_profiles(),
        "may_ask": may(request.user, "air.forecast"),
    }
    status = 422 if problems or form.errors else 200
    return render(request, "air/profiles.html", context, status=status)


@require_safe
@requires("air.view")
def profiles(request: HttpRequest) -> HttpResponse:
    """Own profiles in use and the published ones; how to hand in more."""
    return _page(request, ProfilesForm())


@require_POST
@requires("air.forecast")
def hand_in(request: HttpRequest) -> HttpResponse:
    """Profiles of own sources: read, checked, and kept whole or not at all."""
    form = ProfilesForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form)
    want = form.cleaned_data
    file: UploadedFile = want["table"]
    try:
        if file.size and file.size > apportioning.LARGEST:
            raise SheetError("large", limit=apportioning.LARGEST >> 20)
        content = file.read()
        found = own.parse(apportioning.rows(content), want["unit"], selectors.taken_names())
        about = {"name": str(file.name)[:120], "sha256": digest.both(content)["sha256"]}
        rows = services.keep_profiles(found, origin=want["origin"], file=about, user=request.user)
    except (SheetError, tables.TableError) as error:
        return _page(request, form, words.refusal(error, "profiles"))
    except IntegrityError:  # somebody was faster
        return _page(request, form, [_("One of these profiles was handed in meanwhile: look at the list.")])  # fmt: skip
    messages.success(request, ngettext("%d profile is kept: runs asked from now on use it.", "%d profiles are kept: runs asked from now on use them.", len(rows)) % len(rows))  # fmt: skip
    return redirect("air:profiles")


@require_POST
@requires("air.forecast")
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    services.withdraw(get_object_or_404(apportioning.in_use(), pk=pk), request.user)
    messages.info(request, _("The profile is withdrawn; runs that used it keep it."))
    return redirect("air:profiles")


@require_safe
@requires("air.view")
def profiles_csv(request: HttpRequest) -> HttpResponse:
    """The own profiles in use, as they can be handed in again."""
    return csv_response("source-profiles.csv", [*_head(), _("Measured by")], (
        [p.name, s, v, e, p.origin] for p in apportioning.in_use() for s, v, e in p.rows
    ))  # fmt: skip


@require_safe
@requires("air.forecast")
def template_csv(request: HttpRequest) -> HttpResponse:
    """`?as=xlsx`: a workbook."""
    name = _("Example: replace by your source")
    parts = (("OC", 0.3, 0.06), ("EC", 0.12, 0.03), ("SO4", 0.08, 0.02), ("Fe", 0.015, 0.004))
    lines = [[name, *part] for part in parts]
    if request.GET.get("as") == "xlsx":
        return xlsx_response("source-profiles-template.xlsx", _head(), lines)
    return csv_response("source-profiles-template.csv", _head(), lines)
