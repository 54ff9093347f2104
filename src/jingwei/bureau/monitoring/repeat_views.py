"""Enforcement samples of a point, and periods that came several times with values that differ."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import samples, selectors, steps
from jingwei.bureau.monitoring.forms import RESOLUTION_LABELS
from jingwei.bureau.monitoring.models import Sample
from jingwei.bureau.monitoring.observations import current_code, day_start, value_unit
from jingwei.bureau.monitoring.verdicts import is_rate
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import codes

MOST = 500  # rows of the list
LONGEST = 31  # days looked through at once
SPAN = 7  # days where nothing is chosen


# Enforcement samples ----------------------------------------------------------------------------


class SampleForm(forms.Form):
    """A sample as its report has it; what may be sampled are the factors with limits."""

    what = forms.ChoiceField(
        label=gettext_lazy("Factor and period"),
        help_text=gettext_lazy(
            "The value is held against this limit: enter it in its unit and at its reference oxygen."
        ),
    )
    taken = forms.DateTimeField(
        label=gettext_lazy("Taken"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    value = forms.FloatField(
        label=gettext_lazy("Value"), widget=forms.NumberInput(attrs={"step": "any", "min": 0})
    )
    report = forms.CharField(label=gettext_lazy("Number of the report"), max_length=80)
    note = forms.CharField(
        label=gettext_lazy("Who sampled, and why"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, data: Any, limits: list[PermitLimit]) -> None:
        super().__init__(data)
        rows = sorted(limits, key=lambda r: (r.period != "hour", r.factor))
        self.fields["what"].choices = list(  # type: ignore[attr-defined]
            {f"{r.factor} {r.period}": _choice(r) for r in rows if not is_rate(r)}.items()
        )


def _choice(row: PermitLimit) -> str:
    shown = steps.limit_row(row)
    text = f"{shown['name']} · {row.get_period_display()} · {shown['sign']} {shown['value']} {shown['unit']}"
    if row.reference_o2 is not None:
        text += " · " + _("at %(o2)s %% O2") % {"o2": f"{row.reference_o2:g}"}
    return text


@require_http_methods(["GET", "HEAD", "POST"])
@requires("point.view")
def point_samples(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    point = get_object_or_404(
        Point.objects.restrict(request.user, "point.view")
        .select_related("outlet__enterprise", "region")
        .defer("region__geometry"),
        mn=mn,
        st=st,
    )
    may_enter = may(request.user, "sample.enter")
    form = SampleForm(request.POST or None, selectors.limits_of(point))
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        factor, period = given.pop("what").split()
        try:
            samples.enter(request.user, point, factor=factor, period=period, **given)
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("The sample is entered; its time is judged again."))
            return redirect("monitoring:samples", mn, st)
    rows = point.samples.select_related("user", "evidence")
    return render(
        request,
        "monitoring/samples.html",
        {
            "point": point,
            "form": form,
            "may_enter": may_enter,
            "rows": [
                {"sample": r, "name": factor_name(r.factor), "unit": codes.symbol(r.unit)}
                for r in rows
            ],
        },
    )


@require_POST
@requires("sample.enter")
def sample_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(
        Sample.objects.restrict(request.user, "sample.enter").select_related("point"), pk=pk
    )
    try:
        samples.withdraw(request.user, row, request.POST.get("why", ""))
        messages.success(request, _("The sample is withdrawn; its time is judged again."))
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("monitoring:samples", row.point.mn, row.point.st)


# Periods with values that differ ----------------------------------------------------------------


class RepeatFilter(forms.Form):
    since = forms.DateField(
        label=gettext_lazy("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=gettext_lazy("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    resolution = forms.ChoiceField(
        label=gettext_lazy("Period"),
        required=False,
        choices=[(k, RESOLUTION_LABELS[k]) for k in ("hour", "day")],
    )


def _repeats(request: HttpRequest) -> tuple[RepeatFilter, dict[str, Any], list[dict[str, Any]]]:
    """The filter, the span that was looked through, and the rows."""
    form = RepeatFilter(request.GET)
    want = form.cleaned_data if form.is_valid() else {}
    last = want.get("until") or timezone.localdate()
    first = want.get("since") or last - timedelta(days=SPAN - 1)
    first = max(min(first, last), last - timedelta(days=LONGEST - 1))
    resolution = want.get("resolution") or "hour"
    known = {
        (p.mn, p.st): p
        for p in Point.objects.restrict(request.user, "point.view").select_related(
            "outlet__enterprise"
        )
    }
    found = selectors.lake().conflicts(
        resolution, day_start(first), day_start(last + timedelta(days=1)), known, MOST
    )
    rows = []
    for mn, st, factor, moment, values in found:
        point = known[mn, st]
        rows.append(
            {
                "point": point,
                "factor": factor,
                "name": factor_name(factor, point.version),
                "unit": value_unit(current_code(factor, point.version), point),
                "time": moment,
                "values": values,
                "resolution": resolution,
            }
        )
    form.initial = {"since": first, "until": last, "resolution": resolution}
    return form, {"first": first, "last": last, "resolution": resolution}, rows


@require_safe
@requires("point.view")
def repeats(request: HttpRequest) -> HttpResponse:
    form, span, rows = _repeats(request)
    return render(
        request,
        "monitoring/repeats.html",
        {
            "form": RepeatFilter(
                {
                    "since": span["first"].isoformat(),
                    "until": span["last"].isoformat(),
                    "resolution": span["resolution"],
                }
            ),
            "errors": form.errors,
            "span": span,
            "rows": rows,
            "full": len(rows) == MOST,
            "most": MOST,
            "query": request.GET.urlencode(),
        },
    )


@require_safe
@requires("point.view")
def repeats_csv(request: HttpRequest) -> HttpResponse:
    _form, _span, rows = _repeats(request)
    return csv_response(
        "repeats.csv",
        [_("MN"), _("ST"), _("Name"), _("Factor"), _("Time"), _("Values in the order in which they came"), _("Unit")],
        (
            [
                r["point"].mn, r["point"].st, r["point"].name, r["factor"],
                timezone.localtime(r["time"]).strftime("%Y-%m-%d %H:%M"),
                " → ".join(steps.number(v) for v in r["values"]), r["unit"],
            ]
            for r in rows
        ),
    )  # fmt: skip
