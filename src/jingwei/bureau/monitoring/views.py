"""Pages and files of the monitoring room."""

from __future__ import annotations

import itertools
import re
import statistics
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.language import english, factor_name
from jingwei.bureau.monitoring import gas, mass_views, selectors, steps
from jingwei.bureau.monitoring.forms import (
    RESOLUTION_LABELS,
    STATE_LABELS,
    ExceedanceFilter,
    PointFilter,
    SeriesForm,
)
from jingwei.bureau.monitoring.hourly import hourly
from jingwei.bureau.monitoring.models import Exceedance
from jingwei.bureau.monitoring.observations import medium
from jingwei.bureau.monitoring.selectors import SPANS, STEP, PointState, Series
from jingwei.bureau.monitoring.services import (
    current_code,
    day_start,
    in_force,
    local_day,
    sent_code,
)
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Medium, Point
from jingwei.standards import aqi, codes

PER_PAGE = 50
SHOWN_VALUES = 3  # latest values of a point in lists and on the map


# Points -----------------------------------------------------------------------------------------


def _chosen_points(request: HttpRequest) -> tuple[PointFilter, list[PointState]]:
    """The filter as the URL gives it, and the states that pass it."""
    states = selectors.point_states(request.user)
    regions = {s.point.region_id: s.point.region.label for s in states}
    form = PointFilter(request.GET, sorted(regions.items()))
    if not form.is_valid():
        return form, []
    want = form.cleaned_data
    query = want["q"].strip().lower()

    def passes(s: PointState) -> bool:
        p = s.point
        texts = (p.name, p.mn, p.station_code, str(p.enterprise or ""))
        return (
            (not query or any(query in text.lower() for text in texts))
            and want["state"] in ("", s.state)
            and want["kind"] in ("", p.kind)
            and want["region"] in ("", p.region_id)
        )

    return form, [s for s in states if passes(s)]


@require_safe
@requires("point.view")
def points(request: HttpRequest) -> HttpResponse:
    form, states = _chosen_points(request)
    page = Paginator(states, PER_PAGE).get_page(request.GET.get("page"))
    rows = [_point_row(s) for s in page]
    return render(
        request,
        "monitoring/points.html",
        {
            "form": form,
            "page": page,
            "rows": rows,
            "query": request.GET.urlencode(),
            "may_see_devices": may(request.user, "device.view"),
            "may_enter": may(request.user, "observation.enter"),
        },
    )


def _point_row(s: PointState) -> dict[str, Any]:
    return {
        "point": s.point,
        "state": s.state,
        "state_label": STATE_LABELS[s.state],
        "reason": steps.state_reason(s),
        "last_seen": s.last_seen,
        "values": _values(s)[:SHOWN_VALUES],
        "aqi": s.aqi,
        "level": _level(s.aqi),
    }


def _values(s: PointState) -> list[dict[str, Any]]:
    """The newest value of each factor, with name, unit and mark in the reader's language."""
    version = s.point.version
    normal = selectors.normal_marks(version)
    return [
        {
            "factor": r.factor,
            "name": factor_name(r.factor, version),
            "value": r.value,
            "unit": selectors.value_unit(current_code(r.factor, version), s.point),
            "flag": r.flag or "",
            "mark": selectors.mark_name(r.flag or "", version),
            "normal": (r.flag or "") in normal,
            "out": r.factor in s.out,
            "resolution": r.resolution,
            "resolution_label": RESOLUTION_LABELS[r.resolution],
            "time": r.time,
        }
        for r in s.latest
    ]


def _level(found: aqi.Aqi | None) -> dict[str, Any] | None:
    if found is None or found.label is None:
        return None
    label = found.label
    in_english = english()
    return {
        "number": label.number,
        "name": label.en if in_english else label.zh,
        "colour": label.colour,
        "primary": "、".join(
            aqi.ITEMS[k].en if in_english else aqi.ITEMS[k].zh for k in found.primary
        ),
    }


@require_safe
@requires("point.view")
def points_csv(request: HttpRequest) -> HttpResponse:
    _form, states = _chosen_points(request)
    return csv_response(
        "points.csv",
        [_("MN"), _("ST"), _("Name"), _("Kind"), _("Enterprise"), _("Region"), _("State"),
         _("Last seen"), _("Factor"), _("Value"), _("Unit"), _("Mark"), _("Time"), _("Not valid")],
        (
            [
                s.point.mn, s.point.st, s.point.name, s.point.get_kind_display(),
                str(s.point.enterprise or ""), s.point.region.label, str(STATE_LABELS[s.state]),
                _local(s.last_seen), v["name"], v["value"], v["unit"], v["flag"], _local(v["time"]),
                steps.fault_text("out_of_control") if v["out"] else "",
            ]
            for s in states
            for v in (_values(s) or [_NO_VALUE])
        ),
    )  # fmt: skip


_NO_VALUE: dict[str, Any] = {
    "name": "", "value": None, "unit": "", "flag": "", "time": None, "out": False
}  # fmt: skip


def _local(moment: datetime | None) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


@require_safe
@requires("point.view")
def map_points(request: HttpRequest) -> HttpResponse:
    """Points and stations as GeoJSON; properties as `console/map.js` wants them."""
    features = []
    for s in selectors.point_states(request.user):
        p, level = s.point, _level(s.aqi)
        shown: dict[str, Any] = {
            "key": p.key,
            "kind": p.kind,
            "name": p.name,
            "url": p.get_absolute_url(),
            "enterprise": str(p.enterprise or ""),
            "region": p.region.label,
            "state": s.state,
            "reason": steps.state_reason(s),
            "seen": s.last_seen.isoformat() if s.last_seen else None,
            "values": [
                {"name": v["name"], "value": v["value"], "unit": v["unit"]}
                for v in _values(s)[:SHOWN_VALUES]
            ],
        }
        if p.kind == Point.Kind.AIR_STATION:
            shown |= {
                "aqi": s.aqi.value if s.aqi else None,
                "level": level["number"] if level else None,
                "level_name": level["name"] if level else "",
                "colour": level["colour"] if level else "",
                "primary": level["primary"] if level else "",
                "edition": s.aqi.edition if s.aqi else "",
                "time": s.aqi_time.isoformat() if s.aqi_time else None,
            }
        features.append(
            {
                "type": "Feature",
                "id": p.pk,
                "geometry": {"type": "Point", "coordinates": [p.longitude, p.latitude]},
                "properties": shown,
            }
        )
    return JsonResponse(
        {"type": "FeatureCollection", "features": features},
        content_type="application/geo+json",
        json_dumps_params={"ensure_ascii": False},
    )


SHORT = ("realtime", "minute")
MOST_MINUTES = timedelta(days=7, hours=1)  # a page shows more of them added up by the hour

# One point --------------------------------------------------------------------------------------


def _point(request: HttpRequest, mn: str, st: str, action: str = "point.view") -> Point:
    return get_object_or_404(selectors.points(request.user, action), mn=mn, st=st)


def _asked_span(request: HttpRequest) -> tuple[datetime, datetime] | None:
    """The span that an address names by itself ("from", "until": seconds), 100 days at most."""
    begin = selectors.parse_moment(request.GET.get("from", ""))
    end = selectors.parse_moment(request.GET.get("until", ""))
    if begin is None or end is None or not begin < end <= begin + timedelta(days=100):
        return None
    return begin, max(min(end, timezone.now()), begin + timedelta(hours=1))


def _chosen_series(
    request: HttpRequest, point: Point, *, page: bool = False
) -> tuple[SeriesForm, Series | None, str]:
    """The series asked for; a `page` shows many days of minutes by the hour."""
    factors = selectors.sent_factors(point)
    given = request.GET.copy()
    if (sent := sent_code(given.get("factor", ""), point.version)) in factors:
        given["factor"] = sent
    form = SeriesForm(given, factors, point.version)
    factor, resolution, span = form.chosen()
    now = timezone.now()
    if not factor:
        return form, None, span

    def read(start: datetime, end: datetime) -> Series:
        hours = page and resolution in SHORT and end - start > MOST_MINUTES
        found = hourly if hours else selectors.series
        return found(point, factor, resolution, start, end, now)

    if asked := _asked_span(request):
        return form, read(*asked), span
    start = now - SPANS[span]
    if resolution == "day":
        start = day_start(local_day(start))
    elif resolution in STEP:  # whole periods: the first is complete
        step = STEP[resolution]
        start = datetime.fromtimestamp(start.timestamp() // step.total_seconds() * step.total_seconds(), start.tzinfo)  # fmt: skip
    return form, read(start, now), span


@require_safe
@requires("point.view")
def point(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    found = _point(request, mn, st)
    now = timezone.now()
    state = selectors.point_states(request.user, now, [found])[0]
    form, series, span = _chosen_series(request, found, page=True)
    limits = selectors.limits_of(found)
    valid = in_force(limits, local_day(now))
    rows: list[Any] = selectors.with_gaps(series, now) if series else []
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    choice = (
        {"factor": series.factor, "resolution": series.resolution, "span": span} if series else {}
    )
    own = selectors.exceedances(request.user).filter(point=found)
    return render(
        request,
        "monitoring/point.html",
        {
            "point": found,
            "state": _point_row(state),
            "may_see_devices": may(request.user, "device.view"),
            "may_trace": found.kind == Point.Kind.AIR_STATION and may(request.user, "air.trace"),
            "values": _values(state),
            "level": _level(state.aqi),
            "aqi": state.aqi,
            "aqi_time": state.aqi_time,
            "iaqi": _iaqi(state.aqi),
            "limits": [steps.limit_row(x, limits, local_day(now)) for x in valid],
            "other_limits": [steps.limit_row(x) for x in limits if x not in valid],
            "replay": steps.replayed(found.replay),
            "form": form.settled(),
            "series": series,
            "resolution_label": RESOLUTION_LABELS[series.resolution] if series else "",
            "page": page,
            "shown": [(row, _value_url(series, row.time)) for row in page] if series else [],
            "choice": urlencode(choice),
            "exceedances": [_exceedance_row(request, e) for e in own.filter(withdrawn="")[:10]],
            "own": found.kind == Point.Kind.SOURCE,
            "amounts": mass_views.of_outlet(found, request.user, local_day(now)),
            "samples": found.samples.filter(withdrawn=None).count(),
            "rate": selectors.transmission_rate([found.pk], local_day(now)),
            "unsent": _unsent(found, now),
            "naming": selectors.naming_of(found),
        },
    )


def _unsent(point: Point, now: datetime) -> dict[str, Any] | None:
    """What is limited here, but did not come, in words."""
    day = selectors.unsent(point, local_day(now))
    if day is None:
        return None
    return {
        "day": day.day,
        "factors": day.unsent,
        "part": gas.NOX in day.unsent
        and bool({gas.NO, gas.NO2} & set(selectors.sent_factors(point))),
    }


def _value_url(data: Series, moment: datetime) -> str:
    """The page of one value; the time as seconds since 1970, to the microsecond."""
    seconds = f"{moment.timestamp():.6f}".rstrip("0").rstrip(".")
    query = {"factor": data.factor, "resolution": data.resolution, "time": seconds}
    return reverse("monitoring:value", args=[data.point.mn, data.point.st]) + "?" + urlencode(query)


def _iaqi(found: aqi.Aqi | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    in_english = english()
    return [
        {
            "name": aqi.ITEMS[k].en if in_english else aqi.ITEMS[k].zh,
            "value": found.iaqi.get(k),
            "primary": k in found.primary,
        }
        for k in aqi.HOURLY
    ]


@require_safe
@requires("point.view")
def series(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    """The series as the options of `console/chart.js`."""
    found = _point(request, mn, st)
    _form, data, span = _chosen_series(request, found, page=True)
    if data is None:
        return JsonResponse({"series": [], "limits": []})
    decimals = None
    raw = {
        "name": data.name,
        "unit": data.unit,
        "decimals": decimals,
        "data": [[_ms(r.time), r.value, r.flag] for r in data.rows],
    }
    shown: list[dict[str, Any]] = [raw]
    if data.converted:
        reference = next(x.reference_o2 for x in data.limits if x.reference_o2 is not None)
        converted = {
            "name": _("%(name)s at %(o2)g %% O2") % {"name": data.name, "o2": reference},
            "unit": data.unit,
            # The mark stays with the raw value: a value without verdict has no converted one.
            "data": [[_ms(r.time), r.converted, r.flag] for r in data.rows],
        }
        raw["noJudge"] = True
        raw["dashed"] = True
        shown = [converted, raw]
    limits = []
    for row in data.limits:
        scale = selectors.unit_scale(row.unit, data.unit)
        if scale is not None and force.usable(row):
            limits.append(
                {"name": _("Limit"), "value": float(row.value) * scale, "lower": row.lower}
            )
    query = urlencode({"factor": data.factor, "resolution": data.resolution, "span": span})
    return JsonResponse(
        {
            "label": f"{found.name} · {data.name}",
            "series": shown,
            "limits": limits,
            "step": _step(data),
            "flags": {m.flag: selectors.mark_name(m.flag, found.version) for m in codes.marks(found.version)},
            "exact": {"realtime": "second", "day": "day"}.get(data.resolution, "minute"),
            "range": [_ms(data.start), _ms(data.end)],
            "csv": reverse("monitoring:series_csv", args=[mn, st]) + "?" + query,
            "value": reverse("monitoring:value", args=[mn, st])
            + "?"
            + urlencode({"factor": data.factor, "resolution": data.resolution}),
            "missing": data.missing,
            "cut": data.cut,
        },
        json_dumps_params={"ensure_ascii": False},
    )  # fmt: skip


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _step(data: Series) -> int:
    """Milliseconds between two values; of real-time data the usual distance."""
    step = STEP["hour"] if data.means else STEP.get(data.resolution)
    if step is not None:
        return int(step / timedelta(milliseconds=1))
    times = [r.time.timestamp() for r in data.rows[-500:]]
    gaps = [b - a for a, b in itertools.pairwise(times) if b > a]
    return int(statistics.median(gaps) * 1000) if gaps else 0


@require_safe
@requires("point.view")
def series_csv(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    found = _point(request, mn, st)
    _form, data, _span = _chosen_series(request, found)
    rows = data.rows if data else []
    return csv_response(
        re.sub(r"[^\w.-]", "_", f"{found.mn}-{found.st}-{data.factor if data else ''}") + ".csv",
        [_("Time"), _("Factor"), _("Value"), _("Unit"), _("Converted value"), _("Mark"), _("Valid"),
         _("Lowest"), _("Highest"), _("Over the limit"), _("Received")],
        (
            [
                _local(r.time), data.factor if data else "", r.value, data.unit if data else "",
                r.converted, r.flag, int(r.valid), r.low, r.high, int(r.over), _local(r.received),
            ]
            for r in rows
        ),
    )  # fmt: skip


@require_safe
@requires("point.raw")
def value(request: HttpRequest, mn: str, st: str) -> HttpResponse:
    """One value: the steps of its judgement and every telegram that brought it."""
    found = _point(request, mn, st, "point.raw")
    factor = request.GET.get("factor", "")
    resolution = request.GET.get("resolution", "hour")
    moment = selectors.parse_moment(request.GET.get("time", ""))
    if resolution not in RESOLUTION_LABELS or moment is None or not factor or len(factor) > 20:
        raise Http404(_("No such value."))
    now = timezone.now()
    observation = selectors.observation(found, factor, resolution, moment)
    code = current_code(factor, found.version)
    cells = selectors.cells(found, resolution, moment, now)
    cell = cells.get(code) if cells else None
    if observation is None and cell is None:
        cell = selectors.gap(found, resolution, moment, now)
    if observation is None and cell is None:
        raise Http404(_("No such value."))
    unit = selectors.value_unit(code, found)
    flag = (observation or {}).get("flag") or ""
    judged = selectors.judgements(found, resolution, moment)
    ways = _ways(found, cells or {}, factor, resolution, moment)
    alone = cell if cell and not any(shown for _limit, shown in ways) else None
    template = "monitoring/value_part.html" if request.htmx else "monitoring/value.html"
    return render(
        request,
        template,
        {
            "point": found,
            "factor": factor,
            "name": factor_name(factor, found.version),
            "resolution": resolution,
            "resolution_label": RESOLUTION_LABELS[resolution],
            "moment": moment,
            "observation": observation,
            "cell": cell,
            "faults": steps.fault_texts(cell.get("fault", 0)) if cell else "",
            "unit": unit,
            "mark": selectors.mark_name(flag, found.version),
            "opening": steps.opening(found, alone, code, unit) if alone else None,
            "judgements": ways,
            "earlier": [
                (j, _ways(found, j.factors, factor, resolution, moment))
                for j in judged
                if not j.stands
            ],
            "history": steps.history(judged, code),
            "receptions": selectors.receptions(found, factor, resolution, moment),
        },
    )


def _ways(
    found: Point, cells: dict[str, Any], factor: str, resolution: str, moment: datetime
) -> list[tuple[dict[str, Any], list[dict[str, str]] | None]]:
    """Each limit with the steps to its verdict."""
    limits = selectors.limits_of(found)
    return [
        (
            steps.limit_row(row, limits, local_day(moment)),
            steps.rendered([s.to_json() for s in one.steps], found) if one else None,
        )
        for row, one in selectors.verdicts_on(found, cells, factor, resolution, moment)
    ]


# Exceedances ------------------------------------------------------------------------------------


def _chosen_exceedances(request: HttpRequest) -> tuple[ExceedanceFilter, QuerySet[Exceedance]]:
    rows = selectors.exceedances(request.user)
    factors = (
        Exceedance.objects.restrict(request.user, "point.view")
        .order_by("factor")
        .values_list("factor", flat=True)
        .distinct()
    )
    form = ExceedanceFilter(request.GET, [(f, factor_name(f)) for f in factors])
    if not form.is_valid():
        return form, rows.none()
    want = form.cleaned_data
    if query := want["q"].strip():
        rows = rows.filter(
            Q(point__name__icontains=query)
            | Q(point__mn__icontains=query)
            | Q(point__outlet__enterprise__name__icontains=query)
        )
    if want["factor"]:
        rows = rows.filter(factor=want["factor"])
    if want["period"]:
        rows = rows.filter(period=want["period"])
    if want["since"]:
        rows = rows.filter(time__gte=day_start(want["since"]))
    if want["until"]:
        rows = rows.filter(time__lt=day_start(want["until"] + timedelta(days=1)))
    if want["show"] == ExceedanceFilter.WITHDRAWN:
        rows = rows.exclude(withdrawn="")
    elif want["show"] != "all":
        rows = rows.filter(withdrawn="")
    return form, rows


def _may_trace(request: HttpRequest, e: Exceedance) -> bool:
    """Whether one can ask what it did to the air around."""
    return may(request.user, "air.trace") and not e.withdrawn and medium(e.point) == Medium.AIR


def _exceedance_row(request: HttpRequest, e: Exceedance) -> dict[str, Any]:
    return {
        "may_trace": _may_trace(request, e),
        "exceedance": e,
        "name": factor_name(e.factor),
        "limit_unit": e.unit,
        "value_url": reverse("monitoring:exceedance", args=[e.pk]),
    }


@require_safe
@requires("point.view")
def exceedances(request: HttpRequest) -> HttpResponse:
    form, rows = _chosen_exceedances(request)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "monitoring/exceedances.html",
        {
            "form": form,
            "page": page,
            "rows": [_exceedance_row(request, e) for e in page],
            "query": request.GET.urlencode(),
        },
    )


@require_safe
@requires("point.view")
def exceedances_csv(request: HttpRequest) -> HttpResponse:
    _form, rows = _chosen_exceedances(request)
    return csv_response(
        "exceedances.csv",
        [_("Time"), _("Period"), _("Enterprise"), _("Point"), _("MN"), _("ST"), _("Factor"),
         _("Judged value"), _("Limit"), _("Unit"), _("Times over the limit"), _("Source"),
         _("How sure"), _("Withdrawn because")],
        (
            [
                _local(e.time), e.get_period_display(), str(e.point.enterprise or ""),
                e.point.name, e.point.mn, e.point.st, factor_name(e.factor), e.value,
                e.limit_value, e.unit, e.multiple, e.limit.source, e.limit.get_verified_display(),
                e.get_withdrawn_display() if e.withdrawn else "",
            ]
            for e in rows[:50_000]
        ),
    )  # fmt: skip


@require_safe
@requires("point.view")
def exceedance(request: HttpRequest, pk: int) -> HttpResponse:
    """One exceedance as it was judged: the steps that were stored with it."""
    found = get_object_or_404(
        selectors.exceedances(request.user).select_related("evidence", "superseded_by"), pk=pk
    )
    point = found.point
    sent = sent_code(found.factor, point.version)
    return render(
        request,
        "monitoring/exceedance.html",
        {
            "exceedance": found,
            "point": point,
            "name": factor_name(found.factor),
            "steps": steps.rendered(found.steps, point),
            "limit": steps.limit_row(
                found.limit, selectors.limits_of(found.point), local_day(found.time)
            ),
            "may_prove": may(request.user, "evidence.view"),
            "may_trace": _may_trace(request, found),
            "value_url": reverse("monitoring:value", args=[point.mn, point.st])
            + "?"
            + urlencode(
                {"factor": sent, "resolution": found.period, "time": found.time.isoformat()}
            ),
        },
    )
