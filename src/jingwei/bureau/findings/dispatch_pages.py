"""Pages of the dispatch rules: the table, and one rule with its trial."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from jingwei.bureau.access import requires
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.findings import dispatch
from jingwei.bureau.findings.models import DispatchRule, Kind
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.registry.models import Region

SHOWN = 50  # findings that would go elsewhere


@require_http_methods(["GET", "POST"])
@requires("dispatch.manage")
def rules(request: HttpRequest) -> HttpResponse:
    refused, status = "", 200
    if request.method == "POST":
        said = request.POST
        number = said.get("department", "")
        department = (
            Department.objects.filter(pk=number).first()
            if number.isdecimal() and len(number) < 19
            else None
        )
        try:
            if department is None:
                raise Refused(_("Choose a department."))
            rule = dispatch.write(
                request.user,
                area=said.get("area", ""),
                matter=said.get("matter", ""),
                department=department,
                reason=said.get("reason", ""),
            )
        except Refused as error:
            refused, status = str(error), 422
        else:
            messages.success(request, _("The rule is written; it is in test mode."))
            return redirect("findings:rule", pk=rule.pk)
    names = {r.pk: r.label for r in Region.objects.defer("geometry")}
    order = {"live": 0, "test": 1, "retired": 2}
    rows = DispatchRule.objects.select_related("department")
    context = {
        "rules": [_line(r, names) for r in sorted(rows, key=lambda r: order[r.state])],
        "regions": Region.objects.defer("geometry"),
        "kinds": Kind.choices,
        "departments": [(d.pk, department_label(d)) for d in Department.objects.all()],
        "said": request.POST,
        "refused": refused,
    }
    return render(request, "findings/rules.html", context, status=status)


def _line(rule: DispatchRule, names: dict[str, str]) -> dict[str, Any]:
    return {
        "row": rule,
        "area": names.get(rule.area, rule.area) if rule.area else _("The whole city"),
        "kind": rule.get_matter_display() if rule.matter else _("Every kind"),
        "department": department_label(rule.department),
    }


@require_http_methods(["GET", "POST"])
@requires("dispatch.manage")
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(DispatchRule.objects.select_related("department"), pk=pk)
    refused, status = "", 200
    if request.method == "POST":
        acts = {"live": dispatch.put_in_force, "retire": dispatch.retire}
        act = acts.get(request.POST.get("act", ""))
        try:
            if act is None:
                raise Refused(_("Choose what is to be done."))
            act(request.user, pk, request.POST.get("reason", ""))
        except Refused as error:
            refused, status = str(error), 409
        else:
            messages.success(request, _("The rule is changed."))
            return redirect("findings:rule", pk=pk)
    names = {r.pk: r.label for r in Region.objects.filter(pk=row.area).defer("geometry")}
    trial = dispatch.trial(row) if row.state != DispatchRule.State.RETIRED else None
    context = {
        "rule": _line(row, names),
        "trial": trial,
        "moved": [
            (f, department_label(old), department_label(new)) for f, old, new in trial.moved[:SHOWN]
        ]
        if trial
        else [],
        "refused": refused,
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "findings/rule.html", context, status=status)
