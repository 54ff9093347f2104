"""Reports over the daily masses: amounts against permits, totals, tax equivalents."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import amounts, totals
from jingwei.bureau.monitoring.services import local_day
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Medium, Permit, PermitAmount, PermitLimit, Region
from jingwei.standards import tax

PER_PAGE = 60
STATES = {
    "over": ("abnormal", gettext_lazy("Over the permitted amount")),
    "ahead": ("watch", gettext_lazy("Will be over")),
    "within": ("normal", gettext_lazy("Within")),
    "none": ("offline", gettext_lazy("No data")),
}


class PeriodForm(forms.Form):
    """Which year and month, which enterprises; wrong values are named beside their field."""

    year = forms.IntegerField(label=gettext_lazy("Year"), min_value=2015, max_value=2100)
    month = forms.TypedChoiceField(
        label=gettext_lazy("Month"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", gettext_lazy("All")), *((n, str(n)) for n in range(1, 13))],
    )
    q = forms.CharField(label=gettext_lazy("Search"), required=False, max_length=80)
    region = forms.ChoiceField(label=gettext_lazy("District"), required=False)
    medium = forms.ChoiceField(
        label=gettext_lazy("Medium"),
        required=False,
        choices=[("", gettext_lazy("All")), *Medium.choices],
    )

    def __init__(self, data: Any, **kw: Any) -> None:
        filled = data.copy()
        filled.setdefault("year", str(local_day(timezone.now()).year))
        super().__init__(filled, **kw)
        regions = Region.objects.exclude(parent=None).defer("geometry")
        self.fields["region"].choices = [("", _("All")), *((r.pk, r.label) for r in regions)]

    def rows(self, user: Any) -> Any:
        """The daily masses that were asked for."""
        want = self.cleaned_data
        found = totals.rows(user, want["year"], want["month"])
        if want["q"]:
            found = found.filter(
                Q(point__outlet__enterprise__name__icontains=want["q"])
                | Q(point__outlet__enterprise__uscc__istartswith=want["q"])
            )
        if want["region"]:
            found = found.filter(point__outlet__enterprise__region=want["region"])
        if want["medium"]:
            found = found.filter(point__outlet__medium=want["medium"])
        return found


class TaxForm(PeriodForm):
    air = forms.FloatField(
        label=gettext_lazy("Yuan an equivalent, air"), initial=tax.RANGE["air"][0],
        min_value=tax.RANGE["air"][0], max_value=tax.RANGE["air"][1],
        widget=forms.NumberInput(attrs={"step": "0.1"}),
    )  # fmt: skip
    water = forms.FloatField(
        label=gettext_lazy("Yuan an equivalent, water"), initial=tax.RANGE["water"][0],
        min_value=tax.RANGE["water"][0], max_value=tax.RANGE["water"][1],
        widget=forms.NumberInput(attrs={"step": "0.1"}),
    )  # fmt: skip

    def __init__(self, data: Any, **kw: Any) -> None:
        filled = data.copy()
        for name in ("air", "water"):
            filled.setdefault(name, str(tax.RANGE[name][0]))
        super().__init__(filled, **kw)


# Amounts against permits ------------------------------------------------------------------------


def shown_lines(rows: list[PermitAmount], year: int, today: date) -> list[dict[str, Any]]:
    """Permitted amounts against what was emitted in a year, with the words that a page needs."""
    said = force.said(rows, force.amounts_beside(rows, today), today)
    return [shown_line(line, said[line.amount.pk]) for line in amounts.lines(rows, year, today)]


def shown_line(line: amounts.Line, remarks: list[str]) -> dict[str, Any]:
    """One of them. `remarks`: what is to be said of the amount."""
    colour, label = STATES[line.state]
    amount = line.amount
    return {
        "line": line,
        "amount": amount,
        "outlet": amount.outlet.code if amount.outlet else _("Whole enterprise"),
        "factor": factor_name(amount.factor),
        "unit": "kg/h" if amount.period == PermitAmount.Period.RATE else "kg",
        "colour": colour,
        "label": label,
        "remarks": remarks,
        "share": None if line.share is None else 100 * line.share,
        "bar": min(1.0, line.share or 0.0),
        "substituted": 100 * line.substituted / line.so_far if line.so_far else None,
        "projected": line.year.projected if line.year and line.known else None,
        "low": line.year.low if line.year else None,
        "high": line.year.high if line.year else None,
        "used_up": amounts.used_up(line),
        "over": [(f"{m:02d}", x) for m, x in line.over.items()],
        "peaks": line.peaks[:10],
    }


@require_safe
@requires("enterprise.view")
def permit_amounts(request: HttpRequest, permit: int) -> HttpResponse:
    """The amounts of one permit; as a page, or as the part that the permit's page loads."""
    found = get_object_or_404(
        Permit.objects.restrict(request.user, "enterprise.view").select_related("enterprise"),
        pk=permit,
    )
    today = local_day(timezone.now())
    rows = force.amounts(PermitAmount.objects.filter(permit=found), today)
    context = {
        "permit": found,
        "year": today.year,
        "rows": shown_lines(rows, today.year, today),
    }
    part = "monitoring/amount_rows.html"
    return render(request, part if request.htmx else "monitoring/permit_amounts.html", context)


def _all_amounts(request: HttpRequest) -> tuple[dict[str, str], list[dict[str, Any]]]:
    query = {
        k: request.GET.get(k, "").replace("\x00", "").strip() for k in ("q", "state", "region")
    }
    today = local_day(timezone.now())
    found = PermitAmount.objects.restrict(request.user, "enterprise.view")
    if query["q"]:
        found = found.filter(permit__enterprise__name__icontains=query["q"])
    if query["region"]:
        found = found.filter(permit__enterprise__region=query["region"])
    rows = shown_lines(force.amounts(found, today), today.year, today)
    if query["state"]:
        rows = [r for r in rows if r["line"].state == query["state"]]
    order = list(STATES)
    rows.sort(key=lambda r: (order.index(r["line"].state), -(r["share"] or 0.0)))
    return query, rows


@require_safe
@requires("enterprise.view")
def amounts_list(request: HttpRequest) -> HttpResponse:
    """All permitted amounts in the user's area, what is over first."""
    query, rows = _all_amounts(request)
    return render(
        request,
        "monitoring/amounts.html",
        {
            "query": query,
            "filtered": any(query.values()),
            "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
            "states": [(k, label) for k, (_colour, label) in STATES.items()],
            "regions": Region.objects.exclude(parent=None).defer("geometry"),
            "year": local_day(timezone.now()).year,
        },
    )


@require_safe
@requires("enterprise.view")
def amounts_csv(request: HttpRequest) -> HttpResponse:
    _query, rows = _all_amounts(request)
    return csv_response(
        "permitted-amounts.csv",
        [_("Enterprise"), _("Permit number"), _("Outlet"), _("Factor"), _("Period"), _("Permitted"),
         _("So far"), _("Of it substituted (%)"), _("Unit"), _("Used (%)"), _("Projected"),
         _("Used up on"), _("Days with data"), _("State"), _("How sure")],
        (
            [
                r["amount"].permit.enterprise.name, r["amount"].permit.number, r["outlet"],
                r["factor"], r["amount"].get_period_display(), r["line"].permitted,
                r["line"].so_far, r["substituted"], r["unit"], r["share"], r["projected"],
                r["used_up"], r["line"].known, str(r["label"]), r["amount"].get_verified_display(),
            ]
            for r in rows
        ),
    )  # fmt: skip


# Totals -----------------------------------------------------------------------------------------


def _total_rows(request: HttpRequest) -> tuple[PeriodForm, str, list[totals.Total]]:
    form = PeriodForm(request.GET)
    group = request.GET.get("by", "enterprise")
    group = group if group in totals.GROUPS else "enterprise"
    found = totals.totals(form.rows(request.user), group) if form.is_valid() else []
    return form, group, found


@require_safe
@requires("enterprise.view")
def totals_page(request: HttpRequest) -> HttpResponse:
    form, group, found = _total_rows(request)
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in found:
        sums[row.factor][0] += row.kg
        sums[row.factor][1] += row.kg * (row.substituted or 0.0)
    return render(
        request,
        "monitoring/totals.html",
        {
            "form": form,
            "group": group,
            "group_label": totals.GROUPS[group][0],
            "groups": [(k, label) for k, (label, _keys) in totals.GROUPS.items()],
            "page": Paginator(found, PER_PAGE).get_page(request.GET.get("page")),
            "sums": [
                (factor_name(f), kg, 100 * part / kg if kg else None)
                for f, (kg, part) in sorted(sums.items(), key=lambda x: -x[1][0])
            ],
            "query": request.GET.urlencode(),
        },
    )


@require_safe
@requires("enterprise.view")
def totals_csv(request: HttpRequest) -> HttpResponse:
    _form, group, found = _total_rows(request)
    return csv_response(
        f"emissions-by-{group}.csv",
        [totals.GROUPS[group][0], _("Factor"), _("Mass (kg)"), _("Of it substituted (%)"),
         _("Valid hours (%)"), _("Hours covered (%)"), _("Days with data")],
        (
            [r.name, factor_name(r.factor), r.kg, *(None if x is None else 100 * x for x in (r.substituted, r.valid, r.covered)), r.days]
            for r in found
        ),
    )  # fmt: skip


# Tax equivalents --------------------------------------------------------------------------------


def _tax_rows(request: HttpRequest) -> tuple[TaxForm, list[totals.Due]]:
    form = TaxForm(request.GET)
    if not form.is_valid():
        return form, []
    want = form.cleaned_data
    return form, totals.tax_report(
        form.rows(request.user), {"air": want["air"], "water": want["water"]}
    )


@require_safe
@requires("enterprise.view")
def tax_page(request: HttpRequest) -> HttpResponse:
    """Pollution equivalents month by month, as a report to hold a declaration against."""
    form, found = _tax_rows(request)
    return render(
        request,
        "monitoring/tax.html",
        {
            "form": form,
            "page": Paginator(found, PER_PAGE).get_page(request.GET.get("page")),
            "rows": found,
            "names": {x.factor: factor_name(x.factor) for d in found for x in d.lines},
            "equivalents": sum(d.equivalents for d in found),
            "yuan": sum(d.yuan for d in found),
            "sure": dict(PermitLimit.Verified.choices),
            "query": request.GET.urlencode(),
            "printed": local_day(timezone.now()),
        },
    )


@require_safe
@requires("enterprise.view")
def tax_csv(request: HttpRequest) -> HttpResponse:
    form, found = _tax_rows(request)
    year = form.cleaned_data.get("year", "") if form.is_valid() else ""
    return csv_response(
        "tax-equivalents.csv",
        [_("Enterprise"), _("Credit code"), _("Outlet"), _("Year"), _("Month"), _("Factor"),
         _("Mass (kg)"), _("Equivalents"), _("Counted"), _("Equivalents due"), _("How sure")],
        (
            [
                d.enterprise, d.uscc, d.code, year, d.month, factor_name(x.factor), x.kg,
                x.equivalents, _("yes") if x.counted else _("no"), x.due,
                str(dict(PermitLimit.Verified.choices).get(x.verified, x.verified)),
            ]
            for d in found
            for x in d.lines
        ),
    )  # fmt: skip
