"""Pages beside the cases: statistics, the monthly assessment, saved filters."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_GET, require_POST

from jingwei.analysis import assessment as formula
from jingwei.bureau.access import requires
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases import selectors, services, statistics
from jingwei.bureau.cases.models import SavedFilter
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.findings.selectors import asked, day

# What a saved filter may hold: the parameters of the list, without the page.
FILTERS = ("q", "flow", "state", "region", "from", "to", "sort", "mine", "overdue", "listed")


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


# --- saved filters ---------------------------------------------------------------------------


@require_POST
@requires("case.view")
def save_filter(request: HttpRequest) -> HttpResponse:
    """Keep the filters of the list under a name; the same name again replaces them."""
    posted = QueryDict(request.POST.get("query", "")[:500])
    query = QueryDict(mutable=True)
    for name in FILTERS:
        if posted.get(name):
            query[name] = posted[name]
    name = " ".join(request.POST.get("name", "").split())[:40]
    if name and query:
        services.save_filter(request.user, name, query.urlencode())
        messages.success(request, _("Saved: %(name)s.") % {"name": name})
    else:
        messages.error(request, _("Set a filter and give it a name."))
    return redirect(f"{reverse('cases:list')}?{query.urlencode()}")


@require_POST
@requires("case.view")
def drop_filter(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(SavedFilter, pk=pk, user=request.user)
    services.drop_filter(request.user, row.pk)
    return redirect("cases:list")
