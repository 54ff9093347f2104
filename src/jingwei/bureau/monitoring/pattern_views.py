"""Pages of the patterns: kinds of week of each industry and who departs from his; rules of exceedances."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.monitoring import pattern_selectors as reading
from jingwei.bureau.monitoring.models import ExceedanceRule, WeekProfile
from jingwei.bureau.monitoring.patterning import PARAMETERS

PER_PAGE = 30
_ANY = [("", gettext_lazy("All"))]


class PatternFilter(forms.Form):
    industry = forms.ChoiceField(label=gettext_lazy("Industry"), required=False)
    factor = forms.ChoiceField(label=gettext_lazy("Factor"), required=False)
    region = forms.ChoiceField(label=gettext_lazy("District"), required=False)

    def __init__(self, data: Any, user: Any) -> None:
        super().__init__(data)
        for name, known in zip(self.fields, reading.choices(user), strict=True):
            self.fields[name].choices = [*_ANY, *known]


def _chosen(request: HttpRequest, rows: QuerySet[Any]) -> tuple[PatternFilter, QuerySet[Any]]:
    form = PatternFilter(request.GET, request.user)
    if not form.is_valid():
        return form, rows.none()
    for name, lookup in (
        ("industry", "outlet__enterprise__industry"),
        ("factor", "factor"),
        ("region", "outlet__enterprise__region"),
    ):
        if form.cleaned_data[name]:
            rows = rows.filter(**{lookup: form.cleaned_data[name]})
    return form, rows


def _weeks(request: HttpRequest) -> tuple[PatternFilter, QuerySet[WeekProfile]]:
    form, rows = _chosen(request, reading.profiles(request.user))
    return form, rows.order_by(
        F("q").asc(nulls_last=True), F("distance").desc(nulls_last=True), "pk"
    )


def _rules(request: HttpRequest) -> tuple[PatternFilter, QuerySet[ExceedanceRule]]:
    form, rows = _chosen(request, reading.rules(request.user))
    return form, rows.order_by("q", "p", "pk")


def _about(request: HttpRequest) -> dict[str, Any]:
    """What both pages say of how far the looks have come."""
    looks = reading.looks(request.user)
    last = looks.exclude(looked=None).order_by("-looked").first()
    return {
        "outlets": looks.count(),
        "looked": looks.exclude(looked=None).count(),
        "last": last,
        "parameters": PARAMETERS,
        "filtered": any(request.GET.get(k) for k in ("industry", "factor", "region")),
        "query": request.GET.urlencode(),
    }


@require_safe
@requires("detection.view")
def patterns(request: HttpRequest) -> HttpResponse:
    """Kinds of week of each industry and factor; who departs from his kind, the rarest first."""
    form, rows = _weeks(request)
    want = form.cleaned_data if form.is_valid() else {}
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    cards = reading.kinds(request.user, want.get("industry", ""), want.get("factor", ""))
    return render(
        request,
        "monitoring/patterns.html",
        {
            "form": form,
            "cards": [reading.card(row) for row in cards],
            "page": page,
            "shown": [reading.standing(row) for row in page],
            **_about(request),
        },
    )


@require_safe
@requires("detection.view")
def pattern_rules(request: HttpRequest) -> HttpResponse:
    """When exceedances come, outlet by outlet, the surest rule first."""
    form, rows = _rules(request)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "monitoring/pattern_rules.html",
        {
            "form": form,
            "page": page,
            "shown": [(row, reading.sentence(row), reading.lift(row)) for row in page],
            **_about(request),
        },
    )


@require_safe
@requires("detection.view")
def patterns_csv(request: HttpRequest) -> HttpResponse:
    _form, rows = _weeks(request)
    return csv_response(
        "patterns.csv",
        [_("Industry"), _("Factor"), _("District"), _("Enterprise"), _("Outlet"), _("Kind of week"),
         _("Outlets compared with"), _("Departure (share of the mean)"), "p", "q",
         _("Hours of the largest departure"), _("From"), _("To"), "SHA-256",
         *(reading.hour_name(h) for h in range(168))],
        (
            [
                told["industry"], told["factor"], row.outlet.enterprise.region.label,
                row.outlet.enterprise.name, row.outlet.code, told["kind"], row.peers, row.distance,
                row.p, row.q, "; ".join(told["hours"]), row.outlet.pattern_look.since,
                row.outlet.pattern_look.until, row.outlet.pattern_look.sha256, *row.week,
            ]
            for row in rows
            if (told := reading.standing(row))
        ),
    )  # fmt: skip


@require_safe
@requires("detection.view")
def pattern_rules_csv(request: HttpRequest) -> HttpResponse:
    _form, rows = _rules(request)
    return csv_response(
        "exceedance-rules.csv",
        [_("Industry"), _("Factor"), _("District"), _("Enterprise"), _("Outlet"), _("Condition"),
         _("Exceedances under the condition"), _("Exceedances"), _("Share of the time"), _("Lift"),
         _("p (Fisher)"), "q", _("Rule"), _("From"), _("To"), "SHA-256"],
        (
            [
                reading.industry_name(row.outlet.enterprise.industry), reading.column_name(row.factor),
                row.outlet.enterprise.region.label, row.outlet.enterprise.name, row.outlet.code,
                reading.conditions(row), row.events, row.all_events, round(row.rows, 4),
                reading.lift(row), row.p, row.q, reading.sentence(row),
                row.outlet.pattern_look.since, row.outlet.pattern_look.until,
                row.outlet.pattern_look.sha256,
            ]
            for row in rows
        ),
    )  # fmt: skip
