"""Pages: hot grids, and what a response to heavy pollution changed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_POST, require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.air import effects
from jingwei.bureau.air import hotgrid_selectors as selectors
from jingwei.bureau.air import hotgrid_services as services
from jingwei.bureau.air.models import Episode, EpisodeEffect, HotCell, HotGrid, State
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.findings.services import Refused


@require_safe
@requires("air.view")
def hotgrids(request: HttpRequest) -> HttpResponse:
    """The hot cells of a run (`?run=`, else the city's newest), what they rest on, and what came from
    satellites."""
    run = selectors.at(request.GET.get("run", ""))
    waiting = HotGrid.objects.filter(state=State.WAITING).exists()
    waiting = waiting or (run is None and services.due(timezone.now()))
    if request.htmx:  # the page that waits: loaded anew once there is an answer
        if waiting:
            return HttpResponse(status=204)
        return HttpResponse(headers={"HX-Refresh": "true"})
    newest = HotGrid.objects.select_related("region").defer("region__geometry").first()
    context: dict[str, Any] = {
        "run": run,
        "waiting": waiting,
        "refused": selectors.why(newest.reason) if newest and newest.state == State.REFUSED else "",
        "refused_of": newest.region.label if newest and newest.region else "",
        "regions": selectors.regions(),
        "may_run": may(request.user, "air.forecast"),
    }
    if run is not None:
        rows = selectors.cells(request.user, run)
        fine = selectors.fine(request.user, run)
        hot = [f.row for f in fine if f.row]
        scenes = selectors.scenes(run)
        context |= {
            "rows": rows[: selectors.SHOWN],
            "count": len(rows),
            "areas": selectors.areas(rows),
            "fine": fine,
            "fine_high": [f for f in fine if f.above],
            "fine_rest": [f for f in fine if not f.above],
            "fine_hot": len(hot),
            "why_not_fine": selectors.why_not_fine(run),
            "sensors": selectors.sensors(run),
            "verdict": selectors.verdict(run, hot if run.region else rows),
            "said": selectors.said(run),
            "shapes": selectors.shapes(run, rows, fine),
            "runs": selectors.runs()[:24],
            "scenes": scenes[: selectors.SHOWN],
            "scene_count": scenes.count(),
            "synthetic": run.result["said"]["synthetic"],
        }
    return render(request, "air/hotgrids.html", context)


@require_POST
@requires("air.forecast")
def compute(request: HttpRequest) -> HttpResponse:
    """A new run: of the city, or of the 500 m of one region (`region`)."""
    region = None
    if code := request.POST.get("region", ""):
        region = get_object_or_404(selectors.regions(), code=code)
    row = services.ask(timezone.now(), request.user, region)
    page = reverse("air:hotgrids")
    return redirect(page if region is None else f"{page}?run={row.pk}")


@require_safe
@requires("air.view")
def hotgrids_csv(request: HttpRequest) -> HttpResponse:
    run = selectors.at(request.GET.get("run", ""))
    rows = selectors.cells(request.user, run) if run else []
    header = [
        _("Cell"), pgettext("hot grids", "Area"), _("District"), _("Longitude"), _("Latitude"),
        _("False discovery rate"), "Gi*", _("Layer"), _("Days seen"), _("Days high"), _("Mean"),
        _("Around it"), _("Unit"), _("Finding"),
    ]  # fmt: skip
    lines = [
        [
            r.cell.name, r.cell.group, r.cell.region.label, r.cell.longitude, r.cell.latitude,
            r.cell.q, r.cell.gi, x.name, x.seen, x.high, x.value, x.background, x.unit,
            r.cell.finding_id if r.cell.finding else "",
        ]
        for r in rows
        for x in r.lines
    ]  # fmt: skip
    name = f"hotgrids-{run.first}-{run.last}.csv" if run else "hotgrids.csv"
    return csv_response(name, header, lines)


@require_safe
@requires("air.view")
def fine_csv(request: HttpRequest) -> HttpResponse:
    """All cells of 500 m with micro-stations, a line for each pollutant."""
    run = selectors.at(request.GET.get("run", ""))
    header = [
        _("Cell"), _("Cell of 3 km"), _("Hot cell of 3 km"), _("District"), _("Longitude"),
        _("Latitude"), _("Hot"), _("False discovery rate"), _("Layer"), _("Micro-stations"), _("Hours"),
        _("Days seen"), _("Days high"), _("Mean"), _("Around it"), _("Excess"), _("95 % from"),
        _("95 % to"), _("Unit"), _("Finding"),
    ]  # fmt: skip
    lines = [
        [
            f.told["name"], f.told["parent"], selectors.where(f.told["where"]), f.told["region"],
            f.told["longitude"], f.told["latitude"], _("yes") if f.row else _("no"), f.told["q"],
            x["name"], x["stations"], x["hours"], x["seen"], x["high"], x["value"], x["background"],
            x["excess"], x["low"], x["upper"], "µg/m³",
            f.row.cell.finding_id if f.row and f.row.cell.finding else "",
        ]
        for f in (selectors.fine(request.user, run) if run else [])
        for x in f.lines
    ]  # fmt: skip
    return csv_response(f"hotgrids-500m-{run.first}-{run.last}.csv" if run else "hotgrids-500m.csv", header, lines)  # fmt: skip


@require_POST
@requires("finding.file")
def raise_cell(request: HttpRequest, pk: int) -> HttpResponse:
    """Raise a hot cell as a finding; who may push it to a district goes on with that."""
    get_object_or_404(HotCell.objects.restrict(request.user, "finding.file"), pk=pk)
    try:
        finding = services.raise_finding(request.user, pk)
    except Refused as error:
        messages.error(request, str(error))
        return redirect("air:hotgrids")
    if finding.state == "new" and may(request.user, "case.open"):
        messages.success(request, _("The finding is filed. Push it to the district now, or leave it for later."))  # fmt: skip
        return redirect(f"{reverse('cases:open')}?flow=four_step&finding={finding.pk}")
    messages.success(request, _("The finding is filed."))
    return redirect(finding)


@require_safe
@requires("air.view")
def effect(request: HttpRequest, pk: int) -> HttpResponse:
    """What was measured and emitted during a response against before, the weather taken out."""
    row = get_object_or_404(Episode, pk=pk)
    found = EpisodeEffect.objects.select_related("evidence").filter(episode=row).first()
    if request.htmx:
        if found is None or found.state == State.WAITING:
            return HttpResponse(status=204)
        return HttpResponse(headers={"HX-Refresh": "true"})
    emitted, emitters = effects.emissions(request.user, row)
    first, last = effects.span(row)
    context: dict[str, Any] = {
        "row": row,
        "first": first,
        "last": last,
        "effect": found,
        "emitted": emitted,
        "emitters": emitters,
        "before": effects.BEFORE,
        "acted": row.state in (Episode.State.DECLARED, Episode.State.ENDED),
        "over": last < timezone.localtime().date(),
        "may_compute": may(request.user, "air.forecast"),
    }
    if found is not None and found.state == State.REFUSED:
        context["why"] = selectors.why(found.reason)
    elif found is not None and found.state == State.DONE:
        lines = selectors.changes(found)
        context |= {
            "changes": lines,
            "verdict": selectors.effect_verdict(lines),
            "pictures": selectors.pictures(found),
        }
    return render(request, "air/effect.html", context)


@require_POST
@requires("air.forecast")
def effect_compute(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Episode, pk=pk)
    _first, last = effects.span(row)
    if row.state not in (Episode.State.DECLARED, Episode.State.ENDED):
        messages.error(request, _("This warning was never declared: there was no response."))
    elif last >= timezone.localtime().date():
        messages.error(
            request, _("The days of the warning are not over yet: compare them afterwards.")
        )
    else:
        services.ask_effect(row)
    return redirect("air:effect", pk=pk)
