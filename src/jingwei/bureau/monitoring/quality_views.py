"""Checks of a point's instruments, and the periods out of control that follow from them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from jingwei.bureau.access import Role, may, requires
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import quality
from jingwei.bureau.monitoring.observations import current_code
from jingwei.bureau.monitoring.quality_models import QualityCheck
from jingwei.bureau.registry.models import Point


class CheckForm(forms.Form):
    """A check as its record has it."""

    factor = forms.ChoiceField(label=gettext_lazy("Factor"))
    sort = forms.ChoiceField(label=gettext_lazy("Kind of check"), choices=QualityCheck.Sort.choices)
    time = forms.DateTimeField(
        label=gettext_lazy("Checked at"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    passed = forms.TypedChoiceField(
        label=gettext_lazy("Conclusion of the check"),
        choices=[("no", gettext_lazy("failed")), ("yes", gettext_lazy("passed"))],
        coerce=lambda x: x == "yes",
        help_text=gettext_lazy(
            "A failed check makes the data since the last passed check invalid, until one passes."
        ),
    )
    result = forms.CharField(
        label=gettext_lazy("Result and what is allowed"),
        max_length=200,
        help_text=gettext_lazy("For example: span drift 11.2 % of full scale, allowed 10 %."),
    )
    report = forms.CharField(
        label=gettext_lazy("Number of the record"), max_length=80, required=False
    )

    def __init__(self, data: Any, point: Point) -> None:
        super().__init__(data)
        self.fields["factor"].choices = [  # type: ignore[attr-defined]
            (f, factor_name(f, point.version)) for f in point.factors
        ]


def _point(request: HttpRequest, mn: str, st: str) -> Point:
    rows = Point.objects.restrict(request.user, "point.view").filter(kind=Point.Kind.SOURCE)
    return get_object_or_404(
        rows.select_related("outlet__enterprise", "region").defer("region__geometry"), mn=mn, st=st
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires("point.view")
def point_checks(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    point = _point(request, mn, st)
    form = CheckForm(request.POST or None, point)
    if request.method == "POST" and form.is_valid():
        try:
            row = quality.enter(request.user, point, **form.cleaned_data)
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            if row.counts:
                messages.success(
                    request, _("The check is entered; what it decides is judged again.")
                )
            else:
                messages.warning(
                    request,
                    _(
                        "Entered after 12:00 of the day after the check: it has no effect until an officer confirms it."
                    ),
                )
            return redirect("monitoring:quality", mn, st)
    rows = list(point.quality_checks.select_related("user", "confirmer", "evidence"))
    by_number = {r.pk: r for r in rows}
    spans = [
        {
            "name": factor_name(factor),
            "period": period,
            "failed": by_number.get(period.failed),
            "good": by_number.get(period.good or 0),
            "hours": len(quality.hours(period, timezone.now())),
        }
        for factor, found in quality.periods([point]).get(point.pk, {}).items()
        for period in found
    ]
    spans.sort(key=lambda s: s["period"].begin, reverse=True)
    return render(
        request,
        "monitoring/quality.html",
        {
            "point": point,
            "form": form,
            "may_enter": _may_enter(request.user, point),
            "may_prove": may(request.user, "evidence.view"),
            "may_confirm": may(request.user, "check.confirm"),
            "spans": spans,
            "rows": [
                {
                    "check": r,
                    "name": factor_name(current_code(r.factor, point.version)),
                    "may_withdraw": _may_withdraw(request.user, point, r),
                }
                for r in rows
            ],
        },
    )


def _may_enter(user: Any, point: Point) -> bool:
    return bool(Point.objects.restrict(user, "check.enter").filter(pk=point.pk).exists())


def _may_withdraw(user: Any, point: Point, row: QualityCheck) -> bool:
    if row.withdrawn or not _may_enter(user, point):
        return False
    return user.role != Role.ENTERPRISE or (
        row.confirmer_id is None and row.user.role == Role.ENTERPRISE
    )


@require_POST
@requires("check.enter")
def check_withdraw(request: HttpRequest, check: int) -> HttpResponse:
    row = _row(request, check, "check.enter")
    return _done(
        request,
        row,
        lambda: quality.withdraw(request.user, row, request.POST.get("why", "")),
        _("The check is withdrawn; what it decided is judged again."),
    )


@require_POST
@requires("check.confirm")
def check_confirm(request: HttpRequest, check: int) -> HttpResponse:
    row = _row(request, check, "check.confirm")
    return _done(
        request,
        row,
        lambda: quality.confirm(request.user, row),
        _("The check counts now; what it decides is judged again."),
    )


def _row(request: HttpRequest, pk: int, action: str) -> QualityCheck:
    rows = QualityCheck.objects.restrict(request.user, action)
    return get_object_or_404(rows.select_related("point__outlet__enterprise", "user"), pk=pk)


def _done(request: HttpRequest, row: QualityCheck, act: Any, said: str) -> HttpResponse:
    try:
        act()
        messages.success(request, said)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("monitoring:quality", row.point.mn, row.point.st)
