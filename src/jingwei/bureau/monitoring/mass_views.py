"""How masses were reckoned: of a permitted amount by month and day, of a point hour by hour."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.bureau.access import requires
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import amounts, mass_steps
from jingwei.bureau.monitoring.models import EmissionDay
from jingwei.bureau.monitoring.observations import local_day
from jingwei.bureau.monitoring.report_views import shown_line, shown_lines
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Medium, PermitAmount, Point
from jingwei.standards import codes

Period = PermitAmount.Period
FIRST = date(2015, 1, 1)  # before it nothing is looked for


def _medium(amount: PermitAmount) -> str:
    if amount.outlet is not None:
        return str(amount.outlet.medium)
    return str(Medium.WATER if amount.factor.startswith("w") else Medium.AIR)


def _asked(request: HttpRequest, today: date) -> tuple[int, int | None]:
    """Year and month of the address; what is no year or month gives way to this year, no month."""
    given = request.GET.get("year", ""), request.GET.get("month", "")
    year, month = (int(x) if x.isdecimal() and len(x) < 5 else 0 for x in given)
    year = year if FIRST.year <= year <= today.year else (today - timedelta(days=1)).year
    return year, month if 1 <= month <= 12 else None


@require_safe
@requires("enterprise.view")
def amount(request: HttpRequest, amount: int) -> HttpResponse:
    """One permitted amount: from the hours to the verdict, and the months or days behind it."""
    found = get_object_or_404(
        PermitAmount.objects.restrict(request.user, "enterprise.view").select_related(
            "permit__enterprise", "outlet"
        ),
        pk=amount,
    )
    today = local_day(timezone.now())
    year, month = _asked(request, today)
    line = amounts.lines([found], year, today)[0]
    medium = _medium(found)
    rows = mass_steps.days_of(found, *mass_steps.span_of(year, None, today))
    chosen = [r for r in rows if r.day.month == month] if month else rows
    span = f"{year}" if not month else f"{year}-{month:02d}"
    if found.period == Period.RATE:
        top = mass_steps.added(chosen, date(year, 1, 1)).top
        shown = mass_steps.of_rate(found, line.permitted, top, medium)
    else:
        wanted = chosen
        if found.period == Period.MONTH and not month and rows:
            span = f"{rows[-1].day:%Y-%m}"
            wanted = [r for r in rows if r.day.month == rows[-1].day.month]
        elif found.period == Period.YEAR:
            span, wanted = f"{year}", rows
        end = mass_steps.last_day(
            date.fromisoformat(f"{span}-01") if "-" in span else date(year, 12, 1)
        )
        part = mass_steps.added(wanted, date(year, 1, 1))
        shown = mass_steps.of_amount(line, part, medium, end < today)
    return render(
        request,
        "monitoring/amount.html",
        {
            "amount": found,
            "row": shown_line(
                line, force.remarks(found, force.amounts_beside([found], today), today)
            ),
            "why": force.defect_text(found),
            "place": found.outlet.code if found.outlet else _("Whole enterprise"),
            "factor": factor_name(found.factor),
            "steps": shown,
            "span": span,
            "year": year,
            "month": month or 0,
            "months": [
                (0, f"{year}"),
                *((m, f"{m:02d}") for m in sorted({r.day.month for r in rows})),
            ],
            "days": bool(month),
            "parts": _days(chosen, line) if month else _months(rows, line, year),
        },
    )


def _months(rows: list[EmissionDay], line: amounts.Line, year: int) -> list[tuple[Any, ...]]:
    rate = line.amount.period == Period.RATE
    return [
        (
            part,
            "?" + urlencode({"year": year, "month": part.start.month}),
            "",
            bool(rate and part.top and (part.top.peak or 0.0) > line.permitted)
            or part.start.month in line.over,
        )
        for part in mass_steps.by_month(rows)
    ]


def _days(rows: list[EmissionDay], line: amounts.Line) -> list[tuple[Any, ...]]:
    rate = line.amount.period == Period.RATE
    return [
        (
            mass_steps.added([row], row.day),
            _masses_url(row.point, row.factor, row.day),
            row.point,
            rate and (row.peak or 0.0) > line.permitted,
        )
        for row in rows
    ]


def _masses_url(point: Point, factor: str, day: date) -> str:
    query = urlencode({"factor": factor, "day": day.isoformat()})
    return reverse("monitoring:masses", args=[point.mn, point.st]) + "?" + query


@require_safe
@requires("point.view")
def masses(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    """A day of a point: the mass of every hour, how it came about, and the sum."""
    point = get_object_or_404(
        Point.objects.restrict(request.user, "point.view")
        .select_related("outlet__enterprise")
        .defer("region__geometry"),
        mn=mn,
        st=st,
    )
    if point.outlet is None:
        raise Http404(_("Only outlets emit masses."))
    now = timezone.now()
    known = EmissionDay.objects.filter(point=point)
    factors = amounts.known_factors(known)
    factor = request.GET.get("factor", "")
    factor = factor if factor in factors else next(iter(factors), "")
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        newest = known.filter(factor=factor).order_by("-day").values_list("day", flat=True).first()
        day = newest or local_day(now)
    day = min(max(day, FIRST), local_day(now))
    medium = str(point.outlet.medium)
    one = amounts.reckoned(point, factor, day, now) if factor else None
    rate = mass_steps.rate_of(point, factor, day)
    hours = mass_steps.hours_of(one, day, medium, rate[1] if rate else None) if one else []
    return render(
        request,
        "monitoring/masses.html",
        {
            "point": point,
            "name": factor_name(factor) if factor else "",
            "factor": factor,
            "factors": [(f, factor_name(f)) for f in factors],
            "day": day,
            "before": day - timedelta(days=1),
            "after": min(day + timedelta(days=1), local_day(now)),
            "hours": hours,
            "steps": mass_steps.of_day(one, hours, day, medium) if one and hours else [],
            "rate": rate[1] if rate else None,
            "rate_source": rate[0].source if rate else "",
            "per_volume": codes.symbol(amounts.PER_VOLUME[medium]),
        },
    )


def of_outlet(point: Point, user: Any, today: date) -> list[dict[str, Any]]:
    """The amounts in force for the outlet of a point, for the point's own page."""
    if point.outlet_id is None:
        return []
    rows = force.amounts(
        PermitAmount.objects.restrict(user, "enterprise.view").filter(outlet=point.outlet_id), today
    )
    return shown_lines(rows, today.year, today)
