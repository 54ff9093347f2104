"""Marks and furnaces: what enterprises declare, the accounts of each furnace, what is asked of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.analysis import incineration
from jingwei.analysis.compliance import Reason, Verdict
from jingwei.analysis.incineration import Duty
from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import (
    declare,
    exempt_days,
    furnaces,
    marking,
    steps,
    stop_months,
    unexcused,
)
from jingwei.bureau.monitoring.marking import Sort
from jingwei.bureau.monitoring.models import (
    Exceedance,
    Furnace,
    FurnaceDay,
    Inquiry,
    Judgement,
    Mark,
)
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.registry.models import Outlet

PER_PAGE = 50
DAYS = 31  # of a furnace's page
DUTIES = {
    Duty.MARKED: ("normal", gettext_lazy("Marked in time")),
    Duty.WAITING: ("watch", gettext_lazy("To be marked by")),
    Duty.ORDER: ("abnormal", gettext_lazy("Not marked within the hour")),
    Duty.ORDERED: ("abnormal", gettext_lazy("To be answered by")),
    Duty.ANSWERED: ("normal", gettext_lazy("Answered in time")),
    Duty.OVERDUE: ("abnormal", gettext_lazy("Not answered in time")),
}
_MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class MarkFilter(forms.Form):
    q = forms.CharField(label=gettext_lazy("Search"), required=False, max_length=80)
    sort = forms.ChoiceField(
        label=gettext_lazy("Mark"),
        required=False,
        choices=[("", gettext_lazy("All")), *Sort.choices],
    )


class MarkForm(forms.Form):
    """One mark as the enterprise sets it. Lists hold only its own outlets and furnaces."""

    place = forms.ChoiceField(label=gettext_lazy("Outlet or furnace"))
    sort = forms.ChoiceField(label=gettext_lazy("Mark"), choices=Sort.choices)
    start = forms.DateTimeField(label=gettext_lazy("From"), widget=_MOMENT)
    end = forms.DateTimeField(label=gettext_lazy("Until"), widget=_MOMENT)
    note = forms.CharField(
        label=gettext_lazy("Cause, process, measures"),
        required=False,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    refractory = forms.BooleanField(
        label=gettext_lazy(
            "Heating up after work on the refractory lining (168 h instead of 12 h)"
        ),
        required=False,
    )
    resent = forms.BooleanField(
        label=gettext_lazy("The data of the broken communication have been sent again"),
        required=False,
    )
    grounds = forms.BooleanField(
        label=gettext_lazy("There are grounds for the longer start-up time"), required=False
    )
    facilities = forms.BooleanField(
        label=gettext_lazy("The treatment facilities ran as required"), required=False, initial=True
    )

    def __init__(self, data: Any, user: Any, **kw: Any) -> None:
        super().__init__(data, **kw)
        outlets = Outlet.objects.filter(enterprise__uscc=user.enterprise_code or "-")
        own = Furnace.objects.filter(outlet__in=outlets).select_related("outlet")
        self.outlets = {f"o{o.pk}": o for o in outlets}
        self.furnaces = {f"f{f.pk}": f for f in own}
        self.fields["place"].choices = [
            *((k, f"{o.code} {o.name}") for k, o in self.outlets.items()),
            *((k, f"{f.outlet.code} {f.name}") for k, f in self.furnaces.items()),
        ]

    def where(self) -> tuple[Outlet, Furnace | None]:
        key = self.cleaned_data["place"]
        if key in self.furnaces:
            return self.furnaces[key].outlet, self.furnaces[key]
        return self.outlets[key], None


def _marks(user: Any) -> Any:
    return Mark.objects.restrict(user, "point.view").select_related(
        "outlet__enterprise__region", "furnace"
    )


def _row(mark: Mark) -> dict[str, Any]:
    late = not marking.timely(mark, mark.start)
    return {
        "mark": mark,
        "late": late,
        "effect": _effect(mark),
        "until": marking.marks.due(local_day(mark.start)),
    }


def _effect(mark: Mark) -> str:
    """What the mark does, in one sentence."""
    if mark.withdrawn:
        return _("withdrawn")
    if mark.sort in marking.DEVICE:
        if not marking.excuses(mark, local_day(mark.start)):
            return _(
                "excuses nothing: Announcement 2022-21 is in force for waste incineration, thermal power, cement and paper only"
            )
        return _("data invalid: no basis for an exceedance")
    if mark.sort in marking.PHASE:
        industry = marking.branch(mark.outlet)
        window = marking.marks.window(industry, marking.PHASE[Sort(mark.sort)])
        if window is None:
            return _("no start-up or shut-down window is known for this facility: all is judged")
        hours = window.hours_at_most if mark.grounds else window.hours
        names = "、".join(factor_name(f) for f in window.factors) or _("all factors")
        return _("%(factors)s not judged for %(hours)s h (%(rule)s, secondary)") % {
            "factors": names,
            "hours": f"{hours:g}",
            "rule": window.rule,
        }
    if mark.sort in marking.CONDITION:
        return _("by the furnace's accounts (Order 10 art. 10)")
    if mark.sort in (Sort.TEMPERATURE, Sort.THERMOCOUPLE):
        return _("five-minute means of the furnace temperature are not counted (Order 10 art. 11)")
    return ""


@require_safe
@requires("point.view")
def marks(request: HttpRequest) -> HttpResponse:
    rows = _marks(request.user)
    form = MarkFilter(request.GET)
    want = form.cleaned_data if form.is_valid() else {}
    if query := want.get("q", "").strip():
        rows = rows.filter(Q(outlet__enterprise__name__icontains=query) | Q(note__icontains=query))
    if want.get("sort"):
        rows = rows.filter(sort=want["sort"])
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "monitoring/marks.html",
        {
            "form": form,
            "page": page,
            "rows": [_row(m) for m in page],
            "may_set": may(request.user, "mark.set") and bool(request.user.enterprise_code),
            "query": request.GET.urlencode(),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires("mark.set")
def mark_new(request: HttpRequest) -> HttpResponse:
    initial = {
        "place": request.GET.get("place", ""),
        "sort": request.GET.get("sort", ""),
        "facilities": True,
    }
    form = MarkForm(request.POST or None, request.user, initial=initial)
    if request.method == "POST" and form.is_valid():
        outlet, furnace = form.where()
        values = {k: v for k, v in form.cleaned_data.items() if k != "place"}
        try:
            mark = declare.set_mark(request.user, outlet=outlet, furnace=furnace, **values)
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("The mark is set; its hours are judged again."))
            if mark.sort in marking.DEVICE and not marking.excuses(mark, local_day(mark.start)):
                messages.warning(request, _effect(mark))
            return redirect(furnace or "monitoring:marks")
    return render(request, "monitoring/mark_new.html", {"form": form})


@require_POST
@requires("mark.set")
def mark_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    mark = get_object_or_404(_marks(request.user), pk=pk)
    try:
        declare.withdraw(request.user, mark)
        messages.success(request, _("The mark is withdrawn; its hours are judged again."))
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("monitoring:marks")


# Furnaces ---------------------------------------------------------------------------------------

_ON_SITE = {
    "temperature_5min": gettext_lazy("Five-minute means of the furnace temperature"),
    "daily_means": gettext_lazy("Daily means of the automatic monitoring"),
    "missing": gettext_lazy("Data that are missing or not valid"),
    "marks": gettext_lazy("Marks, and the records that they rest on"),
    "signature": gettext_lazy("Data taken from the device, signed by the person in charge"),
}


def _furnaces(user: Any) -> Any:
    return Furnace.objects.restrict(user, "point.view").select_related(
        "outlet__enterprise__region", "point"
    )


def _accounts(furnace: Furnace, now: Any) -> list[dict[str, Any]]:
    """The three accounts with what is used and what is left, this year and quarter."""
    books = marking.account(furnace, now, now).accounts
    used = {
        "start_stop": int(books.start_stop[-1]) if len(books.start_stop) else 0,
        "bake_cool": int(books.bake_cool[-1]) if len(books.bake_cool) else 0,
        "maintenance": _quarter(furnace, now),
    }
    return [
        {
            "label": label,
            "used": used[key],
            "of": most,
            "over": used[key] > most,
            "rule": rule,
        }
        for key, label, most, rule in (
            (
                "start_stop",
                _("Start-up, shut-down, fault, accident with particles up to 150 mg/m³, this year"),
                incineration.HOURS_START_STOP,
                "O10-10b",
            ),
            (
                "bake_cool",
                _("Heating up and cooling down, this year"),
                incineration.HOURS_BAKE_COOL,
                "O10-10c",
            ),
            (
                "maintenance",
                _("CEMS maintenance, this quarter"),
                incineration.HOURS_MAINTENANCE,
                "O10-12",
            ),
        )
    ]


def _quarter(furnace: Furnace, now: Any) -> int:
    """Hours of maintenance used in the present quarter, with those that the device marked."""
    today = day_start(local_day(now))
    begin, end = unexcused.quarter_start(local_day(now)), today + timedelta(days=1)
    books = marking.account(furnace, now, now)
    return unexcused.used(furnace, today, books) + unexcused.by_device(
        furnace, max(begin, today), end
    )


@require_safe
@requires("point.view")
def furnace_list(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    rows = []
    for f in _furnaces(request.user):
        last = f.days.first()
        rows.append({"furnace": f, "accounts": _accounts(f, now), "last": last})
    exempt = exempt_days.of({r["furnace"].outlet_id for r in rows}, furnaces.year_start(now))
    for row in rows:
        row["undecided"] = len({x.day for x in exempt.get(row["furnace"].outlet_id, [])})
    return render(request, "monitoring/furnaces.html", {"rows": rows, "now": now})


@require_safe
@requires("point.view")
def furnace(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(_furnaces(request.user), pk=pk)
    now = timezone.now()
    today = local_day(now)
    since = today - timedelta(days=DAYS - 1)
    own = list(_marks(request.user).filter(furnace=found)[:PER_PAGE])
    spoken = {}
    for mark, problem in furnaces.problems(found, day_start(since), now):
        spoken.setdefault(mark.pk, []).append(steps.problem_text(problem))
    return render(
        request,
        "monitoring/furnace.html",
        {
            "furnace": found,
            "year": today.year,
            "accounts": _accounts(found, now),
            "days": _days(found, since, today),
            "stop_months": _stop_months(found, today),
            "exempt_days": [
                {"name": factor_name(x.factor), "it": x, "limit": steps.limit_row(x.limit)}
                for x in exempt_days.of([found.outlet_id], furnaces.year_start(now)).get(
                    found.outlet_id, []
                )
            ],
            "own_reading": steps.own_reading(),
            "on_site": [_ON_SITE[key] for key, _zh in incineration.EVIDENCE],
            "pollutants": [factor_name(c) for c in incineration.FACTORS.values()],
            "marks": [{**_row(m), "problems": spoken.get(m.pk, [])} for m in own],
            "inquiries": [_inquiry(i, now) for i in found.inquiries.filter(void=False)[:PER_PAGE]],
            "may_set": may(request.user, "mark.set")
            and found.outlet.enterprise.uscc == request.user.enterprise_code,
            "least": incineration.LEAST_TEMPERATURE,
            "most": incineration.COUNT_BELOW,
        },
    )


def _inquiry(row: Inquiry, now: Any) -> dict[str, Any]:
    duty, when = furnaces.standing(row, now)
    state, label = DUTIES[duty]
    return {
        "inquiry": row,
        "name": factor_name(row.factor),
        "state": state,
        "label": label,
        "when": when,
        "open": duty in (Duty.WAITING, Duty.ORDER, Duty.ORDERED, Duty.OVERDUE)
        and not (row.marked or row.answered),
    }


def _days(found: Furnace, since: Any, today: Any) -> list[dict[str, Any]]:
    """Each day: furnace temperature, and the five daily means with their verdicts."""
    heat = {d.day: d for d in FurnaceDay.objects.filter(furnace=found, day__gte=since)}
    means: dict[Any, dict[str, Any]] = {}
    for when, factors in Judgement.objects.filter(
        point__outlet=found.outlet_id,
        period="day",
        stands=True,
        time__gte=day_start(since),
    ).values_list("time", "factors"):
        means[local_day(when)] = {
            code: _mean(factors[code]) for code in incineration.FACTORS.values() if code in factors
        }
    out = []
    for back in range((today - since).days + 1):
        day = today - timedelta(days=back)
        if day not in heat and day not in means:
            continue
        out.append(
            {
                "day": day,
                "start": day_start(day),
                "heat": heat.get(day),
                "cold": day in heat and heat[day].below > incineration.COUNT_BELOW,
                "missing": steps.missing_text(heat[day].missing) if day in heat else "",
                "final": timezone.now() >= marking.marks.due(day),
                "means": [
                    (code, factor_name(code), means.get(day, {}).get(code))
                    for code in incineration.FACTORS.values()
                ],
            }
        )
    return out


def _mean(cell: dict[str, Any]) -> dict[str, Any]:
    said = list(cell.get("limits", {}).values())
    judged = [v for v in said if v[0]]
    exempt = any(v[1] == Reason.EXEMPT for v in said)
    referred = next(iter(cell.get("converted", {}).values()), [cell["value"]])
    return {
        "value": judged[0][2] if judged else referred[0] if exempt else cell["value"],
        "exempt": exempt,
        "over": any(v[0] == Verdict.EXCEEDED for v in said),
        "judged": bool(judged),
        "faults": steps.fault_texts(cell.get("fault", 0)),
    }


def _stop_months(found: Furnace, today: Any) -> list[tuple[str, int]]:
    """Months of this year with five or more exceedance days (O10-10a)."""
    rows = Exceedance.objects.filter(point__outlet=found.outlet_id)
    months = stop_months.of(rows, today.replace(month=1))
    return [(f"{m.first:%Y-%m}", len(m.days)) for m in months]


@require_POST
@requires("mark.set")
def inquiry_answer(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(
        Inquiry.objects.restrict(request.user, "point.view").select_related("furnace"), pk=pk
    )
    try:
        declare.answer(request.user, row, request.POST.get("text", ""))
        messages.success(request, _("The answer is recorded."))
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect(row.furnace)
