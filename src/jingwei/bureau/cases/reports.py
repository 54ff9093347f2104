"""Pages beside the cases: statistics and the monthly assessment."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_GET

from jingwei.analysis import assessment as formula
from jingwei.bureau.access import requires
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases import selectors, statistics
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.findings.selectors import asked, day


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}"


def _days(days: float | None) -> str:
    return "" if days is None else f"{days:.1f}"


def _period(request: HttpRequest) -> tuple[date, date]:
    last = day(request.GET, "to") or timezone.localdate()
    first = day(request.GET, "from") or last - timedelta(days=89)
    return first, max(first, last)


def _row(found: statistics.Figures) -> list[Any]:
    return [
        found.received,
        found.closed,
        _percent(found.handled),
        _percent(found.on_time),
        _days(found.median),
        _days(found.p90),
        found.transfers,
        found.returns,
        _percent(found.repeat_rate),
    ]


@require_GET
@requires("case.statistics")
def statistics_page(request: HttpRequest) -> HttpResponse:
    """Handling rate, on-time rate, times, transfers, returns and repeats, by department."""
    first, last = _period(request)
    flow = asked(request.GET, "flow")
    whole, found = statistics.figures(request.user, first, last, flow)
    header = [
        _("Responsible department"),
        pgettext("number of cases", "Received"),
        _("Closed"),
        _("Handling rate (%)"),
        _("On-time rate (%)"),
        _("Median (days)"),
        _("90th percentile (days)"),
        _("Transfers"),
        _("Returns"),
        _("Repeat rate (%)"),
    ]
    rows = [[f.label, *_row(f)] for f in found]
    kind = request.GET.get("format")
    if kind in ("csv", "xlsx"):
        response = csv_response if kind == "csv" else xlsx_response
        return response(f"statistics.{kind}", header, [*rows, [_("All"), *_row(whole)]])
    return render(
        request,
        "cases/statistics.html",
        {
            "header": header,
            "rows": rows,
            "whole": _row(whole),
            "first": first,
            "last": last,
            "query": request.GET,
            "flows": [(f.name, f.label) for f in selectors.flows(request.user)],
        },
    )


@require_GET
@requires("case.statistics")
def assessment(request: HttpRequest) -> HttpResponse:
    """The month of departments and grid officers, with the formula of their scores."""
    first, last = statistics.month(asked(request.GET, "month"), timezone.localdate())
    _whole, found = statistics.figures(request.user, first, last)
    found.sort(key=lambda f: (-(f.score or 0), -f.received, f.department.code))
    departments = [
        [
            f.label,
            f.received,
            _percent(f.handled),
            _percent(f.on_time),
            _percent(f.not_returned),
            "" if f.score is None else f.score,
        ]
        for f in found
    ]
    officers = [
        [
            str(o.user),
            department_label(o.user.department),
            o.done,
            o.on_time,
            o.located,
            o.late,
            "" if o.score is None else o.score,
        ]
        for o in statistics.officers(request.user, first, last)
    ]
    of_departments = [
        _("Responsible department"),
        pgettext("number of cases", "Received"),
        _("Handling rate (%)"),
        _("On-time rate (%)"),
        _("Not sent back (%)"),
        _("Score"),
    ]
    of_officers = [
        _("Grid officer"),
        _("Grid station"),
        _("Tasks done"),
        _("On time"),
        _("With position"),
        _("After escalation"),
        _("Score"),
    ]
    wanted = request.GET.get("table")
    if wanted in ("departments", "officers"):
        header, rows = (
            (of_departments, departments) if wanted == "departments" else (of_officers, officers)
        )
        kind = "xlsx" if request.GET.get("format") == "xlsx" else "csv"
        response = csv_response if kind == "csv" else xlsx_response
        return response(f"assessment-{wanted}-{first:%Y-%m}.{kind}", header, rows)
    return render(
        request,
        "cases/assessment.html",
        {
            "month": f"{first:%Y-%m}",
            "of_departments": of_departments,
            "departments": departments,
            "of_officers": of_officers,
            "officers": officers,
            "weights": formula.DEPARTMENT,
            "officer_weights": formula.OFFICER,
        },
    )
