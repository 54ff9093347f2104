"""Self-monitoring: all enterprises, one enterprise's plan and results, import of results."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.language import column, factor_name
from jingwei.bureau.monitoring import plans
from jingwei.bureau.registry import selfmonitoring, sheets
from jingwei.bureau.registry.forms import UploadForm
from jingwei.bureau.registry.models import (
    Enterprise,
    ManualResult,
    MonitoringPlan,
    Outlet,
    Permit,
    Region,
)
from jingwei.standards import codes

PER_PAGE = 50
RESULTS = 100  # newest ones on the page of an enterprise
_DATE = {"type": "date"}


def _year(request: HttpRequest) -> int:
    text = request.GET.get("year", "")
    this = timezone.localdate().year
    return int(text) if text.isdecimal() and 2015 <= int(text) <= this + 1 else this


def _chosen(request: HttpRequest) -> tuple[dict[str, Any], list[plans.Summary]]:
    query = {
        k: request.GET.get(k, "").replace("\x00", "").strip()[:80] for k in ("q", "region", "show")
    }
    rows = MonitoringPlan.objects.restrict(request.user, "enterprise.view")
    if query["q"]:
        rows = rows.filter(permit__enterprise__name__icontains=query["q"])
    if query["region"]:
        rows = rows.filter(permit__enterprise__region=query["region"])
    year = _year(request)
    found = plans.summaries(rows, year, timezone.localdate())
    if query["show"] == "missing":
        found = [s for s in found if s.missing]
    elif query["show"] == "late":
        found = [s for s in found if s.late or s.unpublished]
    return query | {"year": year}, found


@require_safe
@requires("enterprise.view")
def plan_list(request: HttpRequest) -> HttpResponse:
    query, found = _chosen(request)
    return render(
        request,
        "monitoring/plans.html",
        {
            "query": query,
            "filtered": query["q"] or query["region"] or query["show"],
            "page": Paginator(found, PER_PAGE).get_page(request.GET.get("page")),
            "regions": Region.objects.exclude(parent=None).defer("geometry"),
            "shows": [("missing", _("Results missing")), ("late", _("Late or unpublished"))],
        },
    )


@require_safe
@requires("enterprise.view")
def plans_csv(request: HttpRequest) -> HttpResponse:
    _query, found = _chosen(request)
    return csv_response(
        "self-monitoring.csv",
        [_("Enterprise"), _("Outlet"), _("Factor"), _("Means"), _("Frequency"), _("Due"), _("Measured"),
         _("Completion (%)"), _("Publication (%)"), _("Missing"), _("Late"), _("Unpublished")],
        (
            [
                s.enterprise.name, x.plan.outlet.code, factor_name(x.plan.factor),
                x.plan.get_means_display(), f"{x.plan.times} / {x.plan.get_every_display()}",
                x.done.due if x.done else x.expected, x.done.done if x.done else x.received,
                _hundred(x.completion), _hundred(x.publication), x.missing, x.late, x.unpublished,
            ]
            for s in found
            for x in s.lines
        ),
    )  # fmt: skip


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


# One enterprise ---------------------------------------------------------------------------------


class _OutletForm(forms.ModelForm):
    """A form whose outlets are those of one enterprise; what the service refuses stands at its field."""

    def __init__(self, *args: Any, enterprise: Enterprise, **kw: Any) -> None:
        super().__init__(*args, **kw)
        outlets = Outlet.objects.filter(enterprise=enterprise)
        self.fields["outlet"].queryset = outlets
        self.fields["factor"].widget.attrs["list"] = "factors"
        if "permit" in self.fields:
            permits = Permit.objects.filter(enterprise=enterprise)
            self.fields["permit"].queryset = permits
            self.fields["permit"].initial = permits.first()
        if outlets.count() == 1:
            self.fields["outlet"].initial = outlets.first()

    def _post_clean(self) -> None:
        """The service checks; the row itself is not the form's business."""

    def refuse(self, error: ValidationError) -> None:
        if not hasattr(error, "message_dict"):
            self.add_error(None, list(error.messages))
            return
        for name, texts in error.message_dict.items():
            self.add_error(name if name in self.fields else None, texts)


class PlanForm(_OutletForm):
    class Meta:
        model = MonitoringPlan
        fields = ("permit", "outlet", "factor", "means", "every", "times", "report_days",
                  "publish_days", "source", "valid_from")  # fmt: skip
        widgets = {"valid_from": forms.DateInput(attrs=_DATE)}


class ResultForm(_OutletForm):
    replaces = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = ManualResult
        fields = ("outlet", "factor", "sampled", "value", "unit", "below_detection", "laboratory",
                  "report", "reported", "published")  # fmt: skip
        widgets = {n: forms.DateInput(attrs=_DATE, format="%Y-%m-%d") for n in ("sampled", "reported", "published")}  # fmt: skip


class EndForm(forms.Form):
    line = forms.IntegerField()
    day = forms.DateField(label=gettext_lazy("Last day"), widget=forms.DateInput(attrs=_DATE))


@require_http_methods(["GET", "POST"])
@requires("enterprise.view")
def self_monitoring(request: HttpRequest, uscc: str) -> HttpResponse:
    """The plan of one enterprise, how far it is carried out, its results, and the forms."""
    enterprise = get_object_or_404(
        Enterprise.objects.restrict(request.user, "enterprise.view"), uscc=uscc
    )
    today = timezone.localdate()
    status, said = 200, request.POST.get("do", "")
    given: dict[str, _OutletForm] = {}
    if request.method == "POST":
        answer = _act(request, enterprise, said, given)
        if answer is not None:
            return answer
        status = 422
    correct = request.GET.get("correct", "")
    old = (
        ManualResult.objects.filter(
            pk=int(correct), outlet__enterprise=enterprise, replaced_by=None
        ).first()
        if correct.isdecimal() and len(correct) < 19
        else None
    )
    initial = {"sampled": today, "reported": today, "unit": "mg/m³"}
    result_form = given.get("result") or ResultForm(
        enterprise=enterprise,
        instance=old,
        initial={"replaces": old.pk} if old else initial,
    )
    year = _year(request)
    mine = MonitoringPlan.objects.filter(permit__enterprise=enterprise)
    found = plans.lines(plans.of_year(mine, year), year, today)
    results = ManualResult.objects.filter(outlet__enterprise=enterprise).select_related(
        "outlet", "actor"
    )
    media = set(enterprise.outlets.values_list("medium", flat=True))
    return render(
        request,
        "monitoring/self_monitoring.html",
        {
            "enterprise": enterprise,
            "year": year,
            "years": range(today.year, today.year - 4, -1),
            "summary": plans.Summary(enterprise, found),
            "rows": [(x, factor_name(x.plan.factor)) for x in found],
            "results": [(r, factor_name(r.factor)) for r in results[:RESULTS]],
            "may_enter": may(request.user, "result.enter"),
            "may_plan": may(request.user, "plan.edit"),
            "result_form": result_form,
            "result_open": bool(old) or "result" in given,
            "correcting": old,
            "plan_form": given.get("line")
            or PlanForm(enterprise=enterprise, initial={"valid_from": today}),
            "plan_open": "line" in given,
            "factors": [
                (f.code, f.name("zh-hans"), f.en)
                for f in codes.factors("2017").values()
                if f.medium in media
            ],
            "today": today,
        },
        status=status,
    )


def _act(
    request: HttpRequest, enterprise: Enterprise, said: str, given: dict[str, _OutletForm]
) -> HttpResponse | None:
    """Do what was posted; None where the form has to be shown again (it is in `given` then)."""
    back = redirect("monitoring:self_monitoring", uscc=enterprise.uscc)
    action = {"line": "plan.edit", "end": "plan.edit"}.get(said, "result.enter")
    if not may(request.user, action):
        messages.error(request, _("Your role may not do this."))
        return back
    try:
        if said == "publish":
            row = get_object_or_404(
                ManualResult, pk=_number(request, "result"), outlet__enterprise=enterprise
            )
            selfmonitoring.publish(request.user, row, timezone.localdate())
            messages.success(request, _("The result counts as published today."))
            return back
        if said == "end":
            form = EndForm(request.POST)
            if not form.is_valid():
                raise ValidationError(_("Give the last day of the line."))
            line = get_object_or_404(
                MonitoringPlan, pk=form.cleaned_data["line"], permit__enterprise=enterprise
            )
            selfmonitoring.end_line(request.user, line, form.cleaned_data["day"])
            messages.success(request, _("The line ends on %s.") % form.cleaned_data["day"])
            return back
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return back
    if said not in ("line", "result"):
        return back
    made: _OutletForm = (PlanForm if said == "line" else ResultForm)(
        request.POST, enterprise=enterprise
    )
    given[said] = made
    if not made.is_valid():
        return None
    values = dict(made.cleaned_data)
    try:
        if said == "line":
            selfmonitoring.add_line(request.user, **values)
            messages.success(request, _("The line is added to the plan."))
        else:
            old = values.pop("replaces")
            replaces = get_object_or_404(ManualResult, pk=old, outlet__enterprise=enterprise) if old else None  # fmt: skip
            selfmonitoring.enter(request.user, values.pop("outlet"), replaces=replaces, **values)
            messages.success(request, _("The result is entered."))
    except ValidationError as error:
        made.refuse(error)
        return None
    return back


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


@require_http_methods(["GET", "POST"])
@requires("result.enter")
def results_import(request: HttpRequest, uscc: str) -> HttpResponse:
    """Results from a file: what is in it, then it is entered whole or not at all."""
    enterprise = get_object_or_404(
        Enterprise.objects.restrict(request.user, "result.enter"), uscc=uscc
    )
    form, good, wrong, status = UploadForm(), [], [], 200
    if request.method == "POST":
        form, status = UploadForm(request.POST, request.FILES), 422
        if form.is_valid():
            try:
                rows = sheets.read(form.cleaned_data["file"], selfmonitoring.COLUMNS)
                good, wrong = selfmonitoring.examine(enterprise, rows)
                if not wrong and request.POST.get("do") == "write":
                    count = selfmonitoring.write(request.user, good)
                    messages.success(request, _("%(count)d results were entered.") % {"count": count})  # fmt: skip
                    return redirect("monitoring:self_monitoring", uscc=uscc)
                status = 422 if wrong else 200
            except ValidationError as error:
                form.add_error("file", error.messages)
                good = []
    return render(
        request,
        "monitoring/results_import.html",
        {
            "enterprise": enterprise,
            "form": form,
            "good": [(v, factor_name(v["factor"])) for v in good],
            "wrong": wrong,
            "columns": [(names[0], names[1]) for names in selfmonitoring.COLUMNS.values()],
        },
        status=status,
    )


@require_safe
@requires("result.enter")
def results_template_csv(request: HttpRequest) -> HttpResponse:
    return csv_response(
        "results-template.csv",
        # Chinese comes first in these.
        [column(names[::-1]) for names in selfmonitoring.COLUMNS.values()],
        [list(selfmonitoring.EXAMPLE)],
    )
