"""The bulletin: page, printable, and as CSV."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import bulletin
from jingwei.bureau.monitoring.observations import local_day


class BulletinForm(forms.Form):
    span = forms.ChoiceField(
        label=gettext_lazy("Bulletin"),
        required=False,
        choices=[("day", gettext_lazy("Daily")), ("month", gettext_lazy("Monthly"))],
    )
    day = forms.DateField(
        label=gettext_lazy("Date"),
        required=False,
        # Where dates end, there are no days around one.
        validators=[MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2199, 12, 31))],
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    region = forms.CharField(required=False, max_length=12, widget=forms.HiddenInput)


def _chosen(request: HttpRequest) -> tuple[BulletinForm, date, date, str]:
    yesterday = local_day(timezone.now()) - timedelta(days=1)
    form = BulletinForm(request.GET)
    good = form.cleaned_data if form.is_valid() else {}
    day = good.get("day") or yesterday
    span = good.get("span") or "day"
    first, last = bulletin.month(day) if span == "month" else (day, day)
    shown = BulletinForm({"span": span, "day": day.isoformat(), "region": good.get("region", "")})
    shown.is_valid()
    return (form if form.errors else shown), first, last, good.get("region", "")


@require_safe
@requires("point.view")
def page(request: HttpRequest) -> HttpResponse:
    form, first, last, region = _chosen(request)
    found = bulletin.make(request.user, first, last, region)
    rows = [
        {**row, "name": factor_name(row["worst"].factor)}
        for row in bulletin.exceedances(request.user, first, last, region)
    ]
    return render(
        request,
        "monitoring/bulletin.html",
        {
            "form": form,
            "found": found,
            "rows": rows,
            "region": next((r for r in found.regions if r.key == region), None),
            "monthly": first != last,
            "earlier": first - timedelta(days=1),
            "later": last + timedelta(days=1),
            "now": timezone.now(),
            "query": request.GET.urlencode(),
        },
    )


def _percent(x: float | None) -> Any:
    return "" if x is None else round(100 * x, 2)


@require_safe
@requires("point.view")
def page_csv(request: HttpRequest) -> HttpResponse:
    _form, first, last, region = _chosen(request)
    found = bulletin.make(request.user, first, last, region)
    lines = found.points if region else [*found.regions, found.whole]
    return csv_response(
        f"bulletin-{first}-{last}.csv",
        [_("District") if not region else _("Point"), _("Points"), _("Values due"), _("Received"),
         _("Valid"), _("Out of operation"), _("Transmission rate (%)"), _("Validity rate (%)"),
         _("Effective transmission rate (%)"), _("Hours without link"), _("Hours over the limit"), _("Days over the limit"),
         _("Furnace days below 850 °C"), _("Enterprises over the limit")],
        (
            [
                x.name or _("Whole city"), x.points, x.expected, x.received, x.valid, x.stopped,
                _percent(x.rates.transmission), _percent(x.rates.validity),
                _percent(x.rates.effective), x.silent, x.hours, x.days, x.furnaces, len(x.enterprises),
            ]
            for x in lines
        ),
    )  # fmt: skip
