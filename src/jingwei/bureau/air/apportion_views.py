"""Pages: samples that were handed in, and who made what was in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.analysis.air.apportion import tables
from jingwei.bureau.access import may, requires
from jingwei.bureau.air import apportion_selectors as selectors
from jingwei.bureau.air import apportion_services as services
from jingwei.bureau.air import apportion_tables as words
from jingwei.bureau.air import apportioning
from jingwei.bureau.air.apportion_forms import RunForm, SamplesForm, as_initial
from jingwei.bureau.air.models import Apportionment, SampleSet, State
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.evidence import digest
from jingwei.telemetry.sheet import SheetError

PER_PAGE = 50


@require_safe
@requires("air.view")
def apportion(request: HttpRequest) -> HttpResponse:
    """Runs, newest first, and the sets of samples."""
    page = Paginator(selectors.runs(), PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "air/apportion.html",
        {"page": page, "sets": selectors.sets(), "may_ask": may(request.user, "air.forecast")},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires("air.forecast")
def samples_new(request: HttpRequest) -> HttpResponse:
    """Hand in concentrations and uncertainties: they are read, checked, and kept whole or not at all."""
    problems: list[str] = []
    form = SamplesForm(request.user)
    if request.method == "POST":
        form = SamplesForm(request.user, request.POST, request.FILES)
        if form.is_valid():
            table, problems = _read(form.cleaned_data)
            if table is not None:
                return _keep(request, form.cleaned_data, table)
    context = {"form": form, "problems": problems}
    status = 422 if problems or form.errors else 200
    return render(request, "air/samples_new.html", context, status=status)


def _read(want: dict[str, Any]) -> tuple[tables.Table | None, list[str]]:
    found = []
    for name in ("concentrations", "uncertainties"):
        file: UploadedFile = want[name]
        if file.size and file.size > apportioning.LARGEST:
            error = SheetError("large", limit=apportioning.LARGEST >> 20)
            return None, words.refusal(error, name)
        content = file.read()
        want[f"{name}_sha256"] = digest.both(content)["sha256"]
        try:
            found.append(apportioning.rows(content))
        except SheetError as error:
            return None, words.refusal(error, name)
    try:
        return tables.parse(found[0], found[1], want["unit"]), []
    except tables.TableError as error:
        return None, words.refusal(error)


def _keep(request: HttpRequest, want: dict[str, Any], table: tables.Table) -> HttpResponse:
    row, new = services.keep_samples(
        table, name=want["name"], source=want["source"], station=want["station"],
        hours=want["hours"], user=request.user,
        files=[
            {"name": want[n].name[:120], "sha256": want[f"{n}_sha256"]}
            for n in ("concentrations", "uncertainties")
        ],
    )  # fmt: skip
    if new:
        messages.success(request, _("The samples are kept. Look at what was read, then ask."))
    else:
        messages.info(request, _("These samples were handed in before: here they are."))
    return redirect(row)


@require_safe
@requires("air.forecast")
def samples_template_csv(request: HttpRequest) -> HttpResponse:
    """`?table=uncertainties` or `limits`; `?as=xlsx`: a workbook."""
    kind = request.GET.get("table", "")
    names = ["OC", "EC", "SO4", "NO3", "NH4", "Al", "Fe", "Zn", "Pb (ng/m3)", "As (ng/m3)", "PM2.5"]
    header = [_("Time"), *names]
    lines: list[list[Any]] = {
        "uncertainties": [
            ["2026-01-01", 0.62, 0.21, 0.53, 0.71, 0.34, 0.05, 0.06, 0.02, 3.1, 0.6, 3.2],
            ["2026-01-02", 0.55, 0.18, 0.44, 0.66, 0.31, 0.04, 0.05, 0.02, 2.7, 0.5, 2.8],
        ],
        "limits": [
            ["MDL", 0.1, 0.05, 0.02, 0.02, 0.02, 0.02, 0.01, 0.005, 0.5, 0.5, 1],
            ["EF", 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.15, 0.05],
        ],
    }.get(
        kind,
        [
            ["2026-01-01", 6.2, 2.1, 5.3, 7.1, 3.4, 0.35, 0.42, 0.11, 28.4, 3.9, 64],
            ["2026-01-02", 5.5, 1.8, 4.4, 6.6, 3.1, "<0.02", 0.37, 0.09, 24.1, "", 55],
        ],
    )  # fmt: skip
    name = kind if kind in ("uncertainties", "limits") else "concentrations"
    answer = xlsx_response if request.GET.get("as") == "xlsx" else csv_response
    suffix = "xlsx" if request.GET.get("as") == "xlsx" else "csv"
    return answer(f"samples-{name}.{suffix}", header, lines)


def _page(request: HttpRequest, row: SampleSet, form: RunForm, status: int = 200) -> HttpResponse:
    context = {
        "row": row,
        "form": form,
        "first": selectors.when(row.table["times"][0]),
        "last": selectors.when(row.table["times"][-1]),
        "noted": words.noted(row),
        "runs": selectors.runs().filter(samples=row),
        "may_ask": may(request.user, "air.forecast"),
    }
    return render(request, "air/samples.html", context, status=status)


@require_safe
@requires("air.view")
def samples(request: HttpRequest, pk: int) -> HttpResponse:
    """What was read, species by species, and the question; `?run=` fills it as a run had it."""
    row = get_object_or_404(SampleSet.objects.select_related("station", "evidence"), pk=pk)
    rows = words.screened(row)
    initial = None
    asked = request.GET.get("run", "")
    if asked.isdecimal() and (run := Apportionment.objects.filter(pk=int(asked), samples=row).first()):  # fmt: skip
        initial = as_initial(run.wanted, [r.screened.species for r in rows])
    return _page(request, row, RunForm(row, rows, initial=initial))


@require_POST
@requires("air.forecast")
def samples_ask(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(SampleSet.objects.select_related("station", "evidence"), pk=pk)
    form = RunForm(row, words.screened(row), request.POST)
    if form.is_valid():
        try:
            return redirect(services.ask(row, form.wanted(), request.user))
        except services.BusyError:
            form.add_error(None, _("Three runs of these samples wait already: look at them first."))
    return _page(request, row, form, 422)


@require_safe
@requires("air.view")
def apportionment(request: HttpRequest, pk: int) -> HttpResponse:
    """The answer, made to be printed; while it is computed, how far it is."""
    row = get_object_or_404(
        Apportionment.objects.select_related("samples__station", "evidence", "actor"), pk=pk
    )
    context: dict[str, Any] = {"row": row, "may_ask": may(request.user, "air.forecast")}
    if row.state == State.WAITING:
        context["step"], context["percent"] = selectors.at_work(row)
        if request.htmx:
            return render(request, "air/apportion_progress.html", context)
    elif request.htmx:
        return HttpResponse(headers={"HX-Refresh": "true"})
    elif row.state == State.REFUSED:
        context["why"] = selectors.why(row.reason)
    else:
        found = selectors.factors(row)
        context |= {
            "factors": found,
            "verdict": selectors.verdict(row, found),
            "numbers": selectors.numbers(row),
            "reasons": selectors.reasons(row),
            "profiles": selectors.profile_rows(row),
            "mapped": selectors.mapped(row),
            "resamples": row.result["bootstrap"]["runs"],
            "cycles": selectors.cycles(row),
            "windless": selectors.windless(row),
            "wind_said": selectors.wind_said(row),
            "sectors": bool(row.result["wind"].get("sectors")),
            "cells": bool(row.result["wind"].get("cells")),
            "balance": selectors.balance(row, found),
            "said": selectors.said(row),
            "pictures": selectors.pictures(row, found),
        }
    return render(request, "air/apportionment.html", context)


@require_safe
@requires("air.view")
def apportionment_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """`?table=` contributions (else), profiles, numbers, bootstrap, cycles, balance, map."""
    row = get_object_or_404(
        Apportionment.objects.select_related("samples"), pk=pk, state=State.DONE
    )
    table = request.GET.get("table", "")
    make = TABLES.get(table)
    if make is None:
        table, make = "contributions", _contributions
    header, lines = make(row, selectors.factors(row))
    return csv_response(f"apportionment-{pk}-{table}.csv", header, lines)


Lines = tuple[list[str], Iterable[list[Any]]]


def _contributions(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    unit = row.result["unit"]
    header = [_("Time"), *(f"{f.label} ({unit})" for f in found)]
    times = row.samples.table["times"]
    return header, ([selectors.when(t), *c] for t, c in zip(times, row.result["contributions"], strict=True))  # fmt: skip


def _profiles(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    header = [
        _("Factor found"), _("Species"), _("Mean"), _("5 %"), _("95 %"), _("Displacement, low"),
        _("Displacement, high"), _("BS-DISP, low"), _("BS-DISP, high"), _("Unit"),
    ]  # fmt: skip
    return header, (
        [f.label, r["species"], c["value"], c["low"], c["high"], c["displaced_low"],
         c["displaced_high"], *(c["both"] or (None, None)), row.result["unit"]]
        for a, f in enumerate(found)
        for r in selectors.profile_rows(row)
        for c in [r["cells"][a]]
    )  # fmt: skip


def _numbers(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    header = [
        _("Number of factors"), "Q", "Qexp", "Q/Qexp", "IM", "IS", _("Found again, least (%)"),
        _("Smallest factor (%)"),
    ]  # fmt: skip
    return header, (
        [n.factors, n.q, n.expected, n.ratio, n.im, n.is_, n.again, n.smallest]
        for n in selectors.numbers(row)
    )


def _bootstrap(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    header = [_("Factor of the resamples"), *(f.label for f in found), _("none")]
    return header, ([name, *cells, none] for name, cells, none in selectors.mapped(row))


def _cycles(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    labels = selectors.pictures(row, found)["labels"]
    header = [
        _("Factor found"),
        _("Cycle"),
        _("Part"),
        _("Air samples"),
        _("Mean"),
        _("2.5 %"),
        _("97.5 %"),
    ]
    return header, (
        [f.label, title, labels[key][k], c["count"][k], c["mean"][k], c["low"][k], c["high"][k]]
        for key, title in selectors.cycles(row)
        for f, c in zip(found, row.result["cycles"][key], strict=True)
        for k in range(len(c["count"]))
    )


def _balance(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    given = row.result.get("balance")
    if not given:
        return [_("Time")], []
    names = [selectors.source_name(s["name"]) for s in given["sources"]]
    header = [_("Time"), "χ²", "R²", _("Share of the mass (%)")]
    for name in names:
        header += [name, _("%s, error") % name, _("%s, t") % name]
    return header, (
        [b.time, b.chi2, b.r2, b.mass, *(v for cell in b.cells for v in cell)]
        for b in selectors.balanced(row)
    )


def _map(row: Apportionment, found: list[selectors.Factor]) -> Lines:
    wind = row.result["wind"]
    header = [
        _("West (°)"), _("South (°)"), _("East (°)"), _("North (°)"), _("Hours of ways"),
        *(f"PSCF {f.label}" for f in found),
    ]  # fmt: skip
    per = wind.get("per_hour", 1)
    return header, ([*c[:4], c[4] / per, *c[5]] for c in wind.get("cells") or [])


TABLES = {
    "contributions": _contributions,
    "profiles": _profiles,
    "numbers": _numbers,
    "bootstrap": _bootstrap,
    "cycles": _cycles,
    "balance": _balance,
    "map": _map,
}
