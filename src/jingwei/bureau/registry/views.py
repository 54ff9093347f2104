"""Enterprise list, enterprise file, boundaries."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.registry import selectors
from jingwei.bureau.registry.models import Enterprise

PAGE = 50
FILTERS = ("q", "region", "industry", "permit", "sort")


@require_safe
@requires("enterprise.view")
def enterprises(request: HttpRequest) -> HttpResponse:
    """The enterprises in the user's jurisdiction, filtered by the URL."""
    rows = selectors.search(request.user, request.GET)
    return render(
        request,
        "registry/list.html",
        {
            "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
            "regions": selectors.regions_with_enterprises(request.user),
            "industries": Enterprise.Industry.choices,
            "permits": [
                ("none", _("No valid permit")),
                ("no_limits", _("Permit without limits")),
            ],
            "sorts": [
                ("name", _("Name")),
                ("region", _("District")),
                ("points", _("Monitoring points")),
            ],
            "filters": {name: request.GET.get(name, "") for name in FILTERS},
            "may_edit": may(request.user, "permit.edit"),
            "filtered": any(request.GET.get(name) for name in FILTERS if name != "sort"),
        },
    )


class _Echo:
    """A file that hands every line on."""

    def write(self, line: str) -> str:
        return line


def guarded(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that could begin one gets an apostrophe."""
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    if isinstance(value, str) and value[:1] in ("\t", "\r", "\n"):
        return f"'{value}"
    return value


def csv_lines(header: list[str], rows: Iterable[list[Any]]) -> Iterator[str]:
    """CSV with a byte order mark (so that spreadsheets read UTF-8) and guarded cells."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(header)
    for row in rows:
        yield writer.writerow([guarded(cell) for cell in row])


def stream_csv(name: str, header: list[str], rows: Iterable[list[Any]]) -> StreamingHttpResponse:
    """A table as a download that carries the day in its name."""
    response = StreamingHttpResponse(
        csv_lines(header, rows), content_type="text/csv; charset=utf-8"
    )
    day = timezone.localdate().isoformat()
    response["Content-Disposition"] = f'attachment; filename="{name}-{day}.csv"'
    return response


@require_safe
@requires("enterprise.view")
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The same list as CSV, all pages."""
    rows = selectors.search(request.user, request.GET)
    header = [
        _("Unified social credit code"),
        _("Name"),
        _("Industry"),
        _("District"),
        _("Address"),
        _("Longitude"),
        _("Latitude"),
        _("Valid permits"),
        _("Outlets"),
        _("Monitoring points"),
        _("Fictional"),
    ]
    return stream_csv(
        "enterprises",
        header,
        (
            [
                e.uscc,
                e.name,
                str(e.get_industry_display()),
                e.region.label,
                e.address,
                e.longitude,
                e.latitude,
                e.permit_count,
                e.outlet_count,
                e.point_count,
                _("yes") if e.fictional else _("no"),
            ]
            for e in rows.iterator(chunk_size=500)
        ),
    )


@require_safe
@requires("enterprise.view")
def enterprise(request: HttpRequest, uscc: str) -> HttpResponse:
    """One enterprise, one file."""
    return render(
        request,
        "registry/enterprise.html",
        {"file": selectors.enterprise_file(request.user, uscc)},
    )


@require_safe
@requires("home.view")
def regions(request: HttpRequest) -> HttpResponse:
    """Boundaries as GeoJSON. The browser keeps them for an hour and asks again by ETag."""
    body = json.dumps(selectors.boundaries(), ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/geo+json")
    response["ETag"] = etag
    patch_cache_control(response, private=True, max_age=3600)
    return get_conditional_response(request, etag=etag, response=response)
