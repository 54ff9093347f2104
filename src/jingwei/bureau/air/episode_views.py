"""Pages of heavy-pollution episodes."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.air import episodes as services
from jingwei.bureau.air import forecast_days as days
from jingwei.bureau.air import forecast_selectors as selectors
from jingwei.bureau.air.forms import DecisionForm
from jingwei.bureau.air.models import Episode

PER_PAGE = 50


@require_safe
@requires("air.view")
def episodes(request: HttpRequest) -> HttpResponse:
    """What was proposed and decided, newest first, and what the city's days look like now."""
    rows = Episode.objects.select_related("actor")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "air/episodes.html", {"page": page, "days": days.city_days(selectors.newest()), "grades": days.grades()})  # fmt: skip


def _page(
    request: HttpRequest, row: Episode, form: DecisionForm, status: int = 200
) -> HttpResponse:
    run = row.forecast
    peaks = selectors.peaks(list(selectors.stations(request.user, run)), run) if run else []
    return render(
        request, "air/episode.html",
        {"peaks": peaks, "row": row, "form": form, "may_decide": may(request.user, "air.decide"),
         "days": days.named(row.days), "grade": days.grades()[row.level - 1],
         "grade_chances": days.grade_chances(run)},
        status=status,
    )  # fmt: skip


@require_safe
@requires("air.view")
def episode(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(
        Episode.objects.select_related("forecast", "evidence", "previous"), pk=pk
    )
    return _page(request, row, DecisionForm(initial={"level": row.level}))


@require_POST
@requires("air.decide")
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """`act`: declare, dismiss or end."""
    row = get_object_or_404(
        Episode.objects.select_related("forecast", "evidence", "previous"), pk=pk
    )
    form = DecisionForm(request.POST)
    act = request.POST.get("act", "")
    if act not in ("declare", "dismiss", "end"):
        form.add_error(None, _("Choose what to do."))
    if form.is_valid():
        note = form.cleaned_data["note"]
        try:
            if act == "end":
                services.end(request.user, row, note)
            else:
                level = form.cleaned_data["level"] or row.level
                services.decide(request.user, row, act == "declare", level, note)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect(row)
    return _page(request, row, form, 422)
