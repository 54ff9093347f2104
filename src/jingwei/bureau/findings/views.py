"""The stream of findings: list, one finding, map, what people decide about it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from jingwei.bureau.access import Role, may, requires
from jingwei.bureau.accounts import lists
from jingwei.bureau.accounts.calendar import sentences
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.findings import dispatch, episodes, facts, selectors, services, sheets
from jingwei.bureau.findings.alike import MOST, groups
from jingwei.bureau.findings.complaints import complaint_of
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import Enterprise, Medium
from jingwei.standards import geo

PAGE = 50
TRACED = (Kind.EXCEEDANCE, Kind.AIR_HOTSPOT, Kind.SATELLITE)


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
            "office": _office(request.user),
            "may_open": may(request.user, "case.handle"),
            "may_judge": may(request.user, "finding.judge"),
            "may_file": may(request.user, "finding.file"),
            "may_import": may(request.user, "finding.import"),
            "may_dispatch": may(request.user, "dispatch.manage"),
            "saved": lists.shown(request.user, "findings:list"),
        },
    )


def _table(request: HttpRequest) -> tuple[list[Any], Iterator[tuple[Any, ...]]]:
    office = _office(request.user)
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
        *([_("To be decided by")] if office else []),
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
            *([f.due if f.state == Finding.State.NEW else ""] if office else []),
        )
        for f in selectors.search(request.user, request.GET).iterator(chunk_size=1000)
    )
    return header, rows


@require_GET
@requires("finding.view")
def export(request: HttpRequest) -> HttpResponse:
    return csv_response(_("Findings") + ".csv", *_table(request))


@require_GET
@requires("finding.view")
def export_xlsx(request: HttpRequest) -> HttpResponse:
    return xlsx_response(_("Findings") + ".xlsx", *_table(request))


@require_GET
@requires("finding.judge")
def alike(request: HttpRequest) -> HttpResponse:
    """What may be merged, in the whole jurisdiction."""
    found, more = groups(request.user, request.GET)
    return render(
        request,
        "findings/alike.html",
        {
            "page": Paginator(found, 20).get_page(request.GET.get("page")),
            "more": more,
            "most": MOST,
            "query": request.GET,
            "kinds": Kind.choices,
            "regions": selectors.regions(request.user),
        },
    )


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
    user = request.user
    row = get_object_or_404(
        selectors.findings(user).select_related("evidence", "merged_into", "split_from"), pk=pk
    )
    judges = (
        may(user, "finding.judge")
        and Finding.objects.restrict(user, "finding.judge").filter(pk=pk).exists()
    )
    office = _office(user)
    over = [{"row": e, "factor": factor_name(e.factor)} for e in selectors.exceedances(row)]
    kept = list(selectors.files(user, row))
    new = row.state == Finding.State.NEW
    seen = Finding.objects.restrict(user, "finding.view")
    scenario = SCENARIOS[row.kind]
    suggestions = episodes.suggestions(user, row) if judges else []
    complaint = complaint_of(user, row)
    return {
        "finding": row,
        "about": scenario.about,
        "sheet": sheets.of(request, row),
        "token": secrets.token_hex(8),
        "derivation": sentences(row.derivation) if office and new and row.due else [],
        "facts": list(facts.rows(row.facts, row.kind)),
        "exceedances": over,
        "series": _series(row, over),
        "extent": row.facts.get(scenario.extent) if scenario.extent else None,
        "gcj02": geo.gcj02_from_wgs84(row.longitude, row.latitude),
        "files": kept,
        "merged": seen.filter(merged_into=row),
        "split_off": seen.filter(split_from=row),
        "into": seen.filter(pk=row.merged_into_id).first() if row.merged_into_id else None,
        "suggestions": suggestions,
        "cases": row.cases.restrict(user, "case.view").order_by("-pk"),
        # Who judged what and why is the bureau's business.
        "decisions": row.decisions.select_related("actor", "evidence") if office else [],
        "proposal": _proposal(row) if judges and new else None,
        "severities": Finding.Severity.choices,
        "complaint": complaint,
        "may_identity": bool(complaint and complaint["may_open"]),
        "may_dismiss": judges and new,
        "may_reopen": judges and row.state == Finding.State.DISMISSED,
        "may_unmerge": judges and row.state == Finding.State.MERGED,
        "may_grade": judges and row.state in (Finding.State.NEW, Finding.State.IN_CASE),
        "may_merge": bool(suggestions),
        "may_split": judges and new and (len(over) > 1 or bool(kept)),
        "may_add": may(user, "finding.file")
        and row.state in (Finding.State.NEW, Finding.State.IN_CASE),
        "may_open": may(user, "case.handle") and new,
        "may_trace": may(user, "air.trace") and _airborne(row),
        "may_prove": may(user, "evidence.view"),
    }


def _office(user: Any) -> bool:
    """Until when the bureau wants to have decided is the bureau's business."""
    return user.is_superuser or user.role != Role.ENTERPRISE


def _airborne(row: Finding) -> bool:
    """Whether one can ask whose air it is."""
    outlet = row.point.outlet if row.point else None
    return row.kind in TRACED and not (outlet and outlet.medium == Medium.WATER)


def _proposal(row: Finding) -> dict[str, str]:
    found = dispatch.propose(row)
    return {"department": department_label(found.department), "why": found.why}


def _series(row: Finding, over: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What `chart.js` draws: the values over the limit of one factor, else the series that came
    with the finding: `facts.series` = {name, unit, data: [[time, value], …]}."""
    given = row.facts.get("series")
    if isinstance(given, dict) and isinstance(given.get("data"), list):
        name, unit = str(given.get("name", "")), str(given.get("unit", ""))
        return {"label": row.title, "series": [{"name": name, "unit": unit, "data": given["data"]}]}
    if len({(e["row"].factor, e["row"].period, e["row"].point_id) for e in over}) != 1:
        return None
    first = over[0]["row"]
    limits = {(e["row"].limit_value, e["row"].limit.lower) for e in over}
    return {
        "label": row.title,
        "series": [
            {
                "name": over[0]["factor"],
                "unit": first.unit,
                "data": [[e["row"].time.isoformat(), e["row"].value] for e in over],
            }
        ],
        "limits": [{"name": _("Limit"), "value": v, "lower": low} for v, low in sorted(limits)],
        "step": 86_400_000 if first.period == "day" else 3_600_000,
        "exact": "day" if first.period == "day" else "minute",
        "around": _around(first, over),
    }


def _around(first: Any, over: list[dict[str, Any]]) -> str:
    """Where all the values around these are: a day before and after, of daily means ten."""
    margin = timedelta(days=10 if first.period == "day" else 1)
    times = [e["row"].time for e in over]
    begin, end = min(times) - margin, max(times) + margin + timedelta(hours=1)
    asked = {
        "factor": first.factor,
        "resolution": first.period,
        "from": int(max(begin, end - timedelta(days=60)).timestamp()),
        "until": int(end.timestamp()),
    }
    return (
        f"{reverse('monitoring:series', args=[first.point.mn, first.point.st])}?{urlencode(asked)}"
    )


@require_POST
@requires("finding.judge")
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, services.dismiss, _("The finding is dismissed."))


@require_POST
@requires("finding.judge")
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, services.reopen, _("The finding is open again."))


@require_POST
@requires("finding.judge")
def unmerge(request: HttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, episodes.unmerge, _("The merging is undone."))


@require_POST
@requires("finding.judge")
def grade(request: HttpRequest, pk: int) -> HttpResponse:
    severity = _numbers(request, "severity")

    def act(user: Any, pk: int, reason: str) -> None:
        services.grade(user, pk, severity[0] if severity else 0, reason)

    return _decide(request, pk, act, _("The severity is decided."))


@require_POST
@requires("finding.judge")
def merge(request: HttpRequest, pk: int) -> HttpResponse:
    """Confirm suggestions, or keep them apart (`act=apart`)."""
    others = _numbers(request, "other")

    def apart(user: Any, pk: int, reason: str) -> None:
        if not others:
            raise services.Refused(_("Choose the findings that belong to this one."))
        with transaction.atomic():
            for other in others:
                episodes.keep_apart(user, pk, other, reason)

    def together(user: Any, pk: int, reason: str) -> None:
        episodes.merge(user, others, pk, reason)

    if request.POST.get("act") == "apart":
        return _decide(request, pk, apart, _("They are kept apart."))
    return _decide(request, pk, together, _("The findings are merged."))


@require_POST
@requires("finding.judge")
def split(request: HttpRequest, pk: int) -> HttpResponse:
    def act(user: Any, pk: int, reason: str) -> None:
        episodes.split(
            user,
            pk,
            rows=_numbers(request, "row"),
            files=_numbers(request, "file"),
            reason=reason,
        )

    return _decide(request, pk, act, _("The finding is split."))


def _numbers(request: HttpRequest, name: str) -> list[int]:
    return [int(n) for n in request.POST.getlist(name) if n.isdecimal() and len(n) < 19]


def _decide(request: HttpRequest, pk: int, decide: Any, done: str) -> HttpResponse:
    get_object_or_404(Finding.objects.restrict(request.user, "finding.judge"), pk=pk)
    try:
        decide(request.user, pk, request.POST.get("reason", ""))
    except (services.Refused, Finding.DoesNotExist) as refused:
        text = str(refused) if isinstance(refused, services.Refused) else _("No such finding.")
        return again(request, pk, text)
    messages.success(request, done)
    if "list" in request.POST:  # from the list of what may be merged, back to it
        return redirect(f"{reverse('findings:alike')}?{request.POST['list']}")
    return redirect(reverse("findings:finding", args=[pk]))


def again(request: HttpRequest, pk: int, refused: str) -> HttpResponse:
    """The finding's page after a refusal: what was said stands in its form again, or to be copied
    where the page has that form no more."""
    tried = request.resolver_match.url_name if request.resolver_match else ""
    context = _context(request, pk)
    context |= {"refused": refused}
    if context[f"may_{tried}"]:
        chosen = {n: _numbers(request, n) for n in ("other", "row", "file", "severity")}
        context |= {"tried": tried, "reason": request.POST.get("reason", ""), "chosen": chosen}
    else:
        context |= {"left_over": _said(request, context)}
    return render(request, "findings/finding.html", context, status=409)


def _said(request: HttpRequest, context: dict[str, Any]) -> list[tuple[str, str]]:
    others = Finding.objects.restrict(request.user, "finding.view")
    rows, files = _numbers(request, "row"), _numbers(request, "file")
    severities = dict(Finding.Severity.choices)
    said = {
        _("Reason"): [request.POST.get("reason", "").strip()],
        _("Severity"): [severities.get(n, n) for n in _numbers(request, "severity")],
        _("Findings"): [f.title for f in others.filter(pk__in=_numbers(request, "other"))],
        _("Values over the limit"): [
            f"{timezone.localtime(e['row'].time):%Y-%m-%d %H:%M} {e['factor']}"
            for e in context["exceedances"]
            if e["row"].pk in rows
        ],
        _("Photos and documents"): [f.name for f in context["files"] if f.pk in files],
    }
    return [(label, "、".join(map(str, some))) for label, some in said.items() if any(some)]
