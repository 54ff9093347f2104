"""The stream of findings: list, one finding, map, what people decide about it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from jingwei.bureau.access import may, requires
from jingwei.bureau.findings import facts, selectors, services
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import Enterprise

PAGE = 50


@require_GET
@requires("finding.view")
def listing(request: HttpRequest) -> HttpResponse:
    query = request.GET
    page = Paginator(selectors.search(request.user, query), PAGE).get_page(query.get("page"))
    enterprise = Enterprise.objects.restrict(request.user, "enterprise.view").filter(
        uscc=selectors.asked(query, "enterprise")
    )
    return render(
        request,
        "findings/list.html",
        {
            "page": page,
            "query": query,
            "kinds": Kind.choices,
            "states": Finding.State.choices,
            "regions": selectors.regions(request.user),
            "enterprise": enterprise.first() if query.get("enterprise") else None,
            "may_open": may(request.user, "case.open"),
        },
    )


@require_GET
@requires("finding.view")
def export(request: HttpRequest) -> HttpResponse:
    header = [
        _("Number"),
        _("Kind"),
        _("State"),
        _("Severity"),
        _("Title"),
        _("District"),
        _("Enterprise"),
        _("Point"),
        _("Began"),
        _("Last noticed"),
        _("Longitude"),
        _("Latitude"),
    ]
    rows = (
        (
            f.pk,
            f.get_kind_display(),
            f.get_state_display(),
            f.get_severity_display(),
            f.title,
            f.region.label,
            f.enterprise.name if f.enterprise else "",
            f.point.key if f.point else "",
            f.began,
            f.ended,
            f.longitude,
            f.latitude,
        )
        for f in selectors.search(request.user, request.GET).iterator(chunk_size=1000)
    )
    return csv_response("findings.csv", header, rows)


@require_GET
@never_cache
@requires("finding.view")
def on_map(request: HttpRequest) -> HttpResponse:
    features = [
        {
            "type": "Feature",
            "id": f.pk,
            "geometry": {"type": "Point", "coordinates": [f.longitude, f.latitude]},
            "properties": {
                "id": f.pk,
                "title": f.title,
                "kind": f.kind,
                "kind_label": f.get_kind_display(),
                "state": f.state,
                "severity": f.severity,
                "enterprise": f.enterprise.name if f.enterprise else "",
                "began": f.began.isoformat(),
                "ended": f.ended.isoformat(),
                "url": f.get_absolute_url(),
            },
        }
        for f in selectors.for_map(request.user)
    ]
    return JsonResponse({"type": "FeatureCollection", "features": features})


@require_GET
@requires("finding.view")
def finding(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "findings/finding.html", _context(request, pk))


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    row = get_object_or_404(selectors.findings(request.user).select_related("evidence"), pk=pk)
    judges = (
        may(request.user, "finding.judge")
        and Finding.objects.restrict(request.user, "finding.judge").filter(pk=pk).exists()
    )
    cases = row.cases.restrict(request.user, "case.view").order_by("-pk")
    return {
        "finding": row,
        "facts": list(facts.rows(row.facts)),
        "exceedances": [
            {"row": e, "factor": factor_name(e.factor)} for e in selectors.exceedances(row)
        ],
        "cases": cases,
        "decisions": row.decisions.select_related("actor", "evidence"),
        "may_dismiss": judges and row.state == Finding.State.NEW,
        "may_reopen": judges and row.state == Finding.State.DISMISSED,
        "may_open": may(request.user, "case.open") and row.state == Finding.State.NEW,
        "may_prove": may(request.user, "evidence.view"),
    }


@require_POST
@requires("finding.judge")
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, services.dismiss, _("The finding is dismissed."))


@require_POST
@requires("finding.judge")
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, services.reopen, _("The finding is open again."))


def _decide(request: HttpRequest, pk: int, decide: Any, done: str) -> HttpResponse:
    get_object_or_404(Finding.objects.restrict(request.user, "finding.judge"), pk=pk)
    reason = request.POST.get("reason", "")
    try:
        decide(request.user, pk, reason)
    except services.Refused as refused:
        context = _context(request, pk) | {"refused": str(refused), "reason": reason}
        return render(request, "findings/finding.html", context, status=409)
    messages.success(request, done)
    return redirect(reverse("findings:finding", args=[pk]))
