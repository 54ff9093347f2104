"""Reading: traces as pages show them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.analysis.air import loss, savings
from jingwei.bureau.access import may
from jingwei.bureau.air import downwind
from jingwei.bureau.air.models import Trace
from jingwei.bureau.air.tracing import EMITTED, HOUR, LONGEST
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.selectors import findings
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.models import Exceedance
from jingwei.bureau.monitoring.observations import medium
from jingwei.bureau.monitoring.selectors import exceedances
from jingwei.bureau.registry.models import Enterprise, Medium, Outlet, PermitLimit, Point
from jingwei.standards import geo

SUSPECT = 0.5  # probability from which a source is named as one to look at
CLASSES = (0.5, 1.0, 2.0, 4.0, 6.0)  # m/s; borders of the wind rose
SHARES = 40
SLIGHT = 0.005  # µg/m³; what adds less is not listed


def traces(user: Any) -> QuerySet[Trace]:
    return Trace.objects.restrict(user, "air.view").select_related("station__region", "actor")


def stations(user: Any, action: str = "air.trace") -> QuerySet[Point]:
    """Air stations at which the user may ask."""
    return (
        Point.objects.restrict(user, action)
        .filter(kind=Point.Kind.AIR_STATION, enabled=True)
        .select_related("region")
        .defer("region__geometry")
        .order_by("name")
    )


def factors() -> list[tuple[str, str]]:
    return [(f, factor_name(f)) for f in EMITTED]


def proposed(user: Any, finding: Finding, now: datetime) -> dict[str, Any]:
    """What to ask for a finding: a station (of a stack one downwind, see `proposed_by`, else the
    nearest), what it was about, its hours with 3 on both sides, at most `LONGEST`."""
    own = finding.point if finding.point and finding.point.kind == Point.Kind.AIR_STATION else None
    place = (finding.longitude, finding.latitude)
    emitted = str(finding.facts.get("factor", ""))
    point = finding.point
    stack = point is not None and point.kind == Point.Kind.SOURCE and medium(point) == Medium.AIR
    found = _asked(user, place, emitted, finding.began, finding.ended, now, stack)
    return found | ({"station": own} if own else {}) | {"factor": found["factor"] or "a34004"}


def proposed_by(user: Any, exceedance: Exceedance, now: datetime) -> dict[str, Any]:
    """What to ask for an exceedance of a stack: what it did to a station downwind in its hours and 3
    on both sides (`downwind`: how it was chosen; None for what is no stack). `factor` is empty where nothing in the air is traced back to what it emitted."""
    point = exceedance.point
    long = 24 if exceedance.period == PermitLimit.Period.DAY else 1
    end = exceedance.time + long * HOUR
    return _asked(
        user, (point.longitude, point.latitude), exceedance.factor, exceedance.time, end, now, True
    )


def _asked(
    user: Any, place: tuple[float, float], emitted: str, began: datetime, ended: datetime,
    now: datetime, stack: bool,
) -> dict[str, Any]:  # fmt: skip
    end = min(ended + 3 * HOUR, now).replace(minute=0, second=0, microsecond=0)
    start = (began - 3 * HOUR).replace(minute=0, second=0, microsecond=0)
    start, known = max(start, end - LONGEST), list(stations(user))
    under = downwind.choose(known, place, start, end) if stack else None
    near = (
        under.station
        if under
        else min(known, key=lambda p: geo.distance((p.longitude, p.latitude), place), default=None)
    )
    factor = traced(emitted)
    return {"station": near, "factor": factor, "start": start, "end": end, "downwind": under}


def traced(emitted: str) -> str:
    """What stations measure of what a stack emitted; empty where nothing is traced back to it."""
    return next((f for f, codes in EMITTED.items() if emitted == f or emitted in codes), "")


def asked_finding(user: Any, number: str) -> Finding | None:
    if not number.isdecimal():
        return None
    return findings(user).filter(pk=int(number)).first()


def asked_exceedance(user: Any, number: str) -> Exceedance | None:
    """One that stands, of a stack; what water exceeds is not in the air."""
    found = exceedances(user).filter(pk=int(number)).first() if number.isdecimal() else None
    stands = found is not None and not found.withdrawn and medium(found.point) == Medium.AIR
    return found if stands else None


@dataclass
class Line:
    """A source in the table: what it adds at the station."""

    outlet: Outlet
    basis: str
    rate: float
    known: float
    likely: float
    low: float
    high: float
    rates: tuple[float, float, float] | None  # likely, 5 %, 95 %, g/s; None in traces of old
    probability: float
    share: float | None
    distance: float
    bearing: str
    alike: list[Outlet]
    open: bool


def named(stations: list[str], most: int = 8) -> str:
    """Names of stations for a sentence, the first of many."""
    return _(", ").join(stations[:most]) + (" …" if len(stations) > most else "")


def bases() -> dict[str, str]:
    """Whence the rate of an outlet is known, in words."""
    return {
        "monitor": _("monitor"), "permit": _("permit"), "inventory": _("inventory"),
        "assumed": _("assumed"),
    }  # fmt: skip


def bearings() -> tuple[str, ...]:
    return (
        _("N"), _("NNE"), _("NE"), _("ENE"), _("E"), _("ESE"), _("SE"), _("SSE"),
        _("S"), _("SSW"), _("SW"), _("WSW"), _("W"), _("WNW"), _("NW"), _("NNW"),
    )  # fmt: skip


def bearing(degrees: float) -> str:
    return bearings()[int((degrees % 360) / 22.5 + 0.5) % 16]


def lines(user: Any | None, trace: Trace, limit: int = SHARES) -> list[Line]:
    """The ranked sources. Wind knows no district: sources elsewhere are named too; those whose file
    `user` may open are `open`."""
    rows = trace.result.get("shares", [])[:limit]
    wanted = {r["outlet"] for r in rows} | {j for r in rows for j in r["alike"]}
    outlets = Outlet.objects.select_related("enterprise__region").in_bulk(wanted)
    own: set[int] = set()
    if user is not None:
        files = Enterprise.objects.restrict(user, "enterprise.view")
        own = set(files.filter(outlets__in=wanted).values_list("pk", flat=True))
    here = (trace.station.longitude, trace.station.latitude)
    increment = trace.result.get("increment") or 0.0
    found = []
    for row in rows:
        outlet = outlets.get(row["outlet"])
        if outlet is None or (row["likely"] < SLIGHT and row["probability"] < 0.2):
            continue
        there = (outlet.longitude, outlet.latitude)
        east = (there[0] - here[0]) * np.cos(np.radians(here[1]))
        north = there[1] - here[1]
        found.append(
            Line(
                outlet=outlet,
                basis=row["basis"],
                rate=row["rate"],
                known=row["known"],
                likely=row["likely"],
                low=row["low"],
                high=row["high"],
                rates=(row["rate_likely"], row["rate_low"], row["rate_high"])
                if "rate_likely" in row
                else None,
                probability=row["probability"],
                share=row["likely"] / increment if increment > 0 else None,
                distance=geo.distance(here, there),
                bearing=bearing(float(np.degrees(np.arctan2(east, north)))),
                alike=[outlets[j] for j in row["alike"] if j in outlets],
                open=outlet.enterprise_id in own,
            )
        )
    return found


def said(trace: Trace) -> list[str]:
    """What was assumed, left out or filled in, in sentences."""
    about = Counter(trace.result.get("said", {}))
    found = [
        _("%(n)d stations within 60 km, %(wind)d of them with wind.")
        % {"n": about["stations"], "wind": about["wind_stations"]},
        _("Background: the 10 % quantile of the stations in each hour (with fewer than four: of all hours)."),
        _("Mixing and turbulence are computed from wind, sun and half-covered sky; nothing was measured aloft."),
        _("In made-up cities the range (5–95 %) of sources that emitted far too much and were found held the truth in 64 to 87 of 100, not in 90: take it for too narrow there."),
    ]  # fmt: skip
    for key, text in (
        ("basis_monitor", _("%d outlets by their monitors (believed as reported), at the mean of the whole days asked about: an hour's peak is not in it.")),
        ("basis_permit", _("%d outlets by their permitted yearly amount, evenly over the year.")),
        ("basis_inventory", _("%d outlets by the annual amount of the inventory, evenly over the year.")),
        ("basis_assumed", _("%d outlets without a known amount: the lower quartile of the others was assumed.")),
        ("several", _("%d outlets have several monitors of this pollutant: the register does not say whether they watch one duct. Their mean was taken; if each watches a duct of its own, the outlet emits their sum.")),
        ("no_height", _("%d outlets without a stack height: 15 m was assumed.")),
        ("no_rise", _("%d outlets without diameter, gas velocity or gas temperature: no plume rise was counted, so their share may be too high.")),
        ("calm", _("%d hours with calm at all stations: the direction of the hours around was taken.")),
        ("filled", _("%d hours without any wind were filled from the hours around.")),
        ("short", _("Air is followed back %d hours less than usual: before that no station had wind.")),
        ("unjudged", _("%d of the asked hours were not judged: no station had wind within three hours of them.")),
        ("unsettled", _("On %d of the sources listed the sampler has not settled: take their figures as rough.")),
        ("dropped_negative", _("%d negative concentrations were left out.")),
        ("dropped_stuck", _("%d concentrations that did not move for six hours or more were left out.")),
    ):  # fmt: skip
        if about[key]:
            found.append(text % about[key])
    if about["still"]:
        found.append(_("Calm at all stations throughout: the air has no direction. The list goes by distance and known emissions alone and is much less sure; ask again for hours with wind."))  # fmt: skip
    if trace.factor in ("a34002", "a34004"):
        found.append(_("Particles: only what stacks emit as particles is traced; dust of roads and sites, and particles formed in the air, are not."))  # fmt: skip
    if about["lost"]:
        found.append(lost_said())
    if name := NAMES.get(trace.factor) if "parts" in about else None:
        found.append(part_said(name))
    elif trace.factor == "a21004":
        found.append(_("Nitrogen oxides of stacks are counted as NO2: an upper bound."))
    return found


# What a station measures and of whose emission only a part is that, as `savings.PARTS` names them.
NAMES = {"a21004": "NO2", "a34002": "PM10", "a34004": "PM2.5"}


def part_said(name: str) -> str:
    """Which part of what stacks emit is counted as the pollutant."""
    low, high = (round(100 * v) for v in savings.PARTS[name])
    about = {"name": name, "part": round(100 * savings.part(name)), "low": low, "high": high}
    if name == "NO2":
        return _("Of the nitrogen oxides of stacks %(part)d %% are counted as NO2; the true part may be %(low)d to %(high)d %%.") % about  # fmt: skip
    return _("Of the particles of stacks %(part)d %% are counted as %(name)s; the true part may be %(low)d to %(high)d %%.") % about  # fmt: skip


def lost_said() -> str:
    """How SO2 leaves the air on its way."""
    about = loss.LOSSES["SO2"]
    return _("On its way SO2 leaves the air with a half-life of %(hours)g h and by dry deposition (%(cited)s); rain is not counted, as no station reports it.") % {"hours": about.half_life, "cited": about.cited.rsplit(";", 1)[0]}  # fmt: skip


def verdict(trace: Trace, rows: list[Line]) -> str:
    """The answer in one sentence."""
    increment = trace.result.get("increment") or 0.0
    explained = trace.result.get("explained") or 0.0
    suspects = sum(r.probability >= SUSPECT for r in rows)
    if increment <= 1.0:
        return _("The station was not above its surroundings: the air came from beyond the city.")
    share = round(100 * min(explained / increment, 9.99))
    if suspects:
        return ngettext(
            "Known emissions explain %(share)d %% of the increment; %(n)d source would have to emit more than three times what is known of it.",
            "Known emissions explain %(share)d %% of the increment; %(n)d sources would have to emit more than three times what is known of them.",
            suspects,
        ) % {"share": share, "n": suspects}  # fmt: skip
    if share < 50:
        return _("Registered sources explain %d %% of the increment and none of them stands out: look for what is not registered (traffic, dust, coal, formation in the air).") % share  # fmt: skip
    return _("Known emissions explain %d %% of the increment; nobody has to emit more than is known.") % share  # fmt: skip


def why(trace: Trace) -> str:
    """Why there is no answer, and what to do."""
    code, _space, about = trace.reason.partition(" ")
    return {
        "secondary": _("This pollutant is not emitted but formed in the air: tracing stacks would say nothing."),
        "station": _("The station is not in operation any more: ask of another one."),
        "no_sources": _("No registered outlet within 60 km emits this pollutant: enter permits and limits first."),
        "wind": _("The wind does not suffice (%s). Choose hours in which the stations report wind.") % about,
        "nothing": _("Nothing can be attributed (%s).") % about,
        "error": _("The computation failed; the fault is in the log of the worker. Ask again or tell the administrator."),
    }.get(code, trace.reason)  # fmt: skip


def chart(trace: Trace) -> dict[str, Any]:
    rows = trace.result["series"]
    unit = "µg/m³"
    return {
        "label": _("Measured, background and what known emissions explain"),
        "step": 3_600_000,
        "exact": "minute",
        "series": [
            {"name": name, "unit": unit, "data": [[r[0], r[k]] for r in rows], "dashed": k > 1}
            for k, name in ((1, _("Measured")), (2, _("Background")))
        ]
        + [
            {
                "name": _("Background and known emissions"),
                "unit": unit,
                "data": [
                    [r[0], None if r[2] is None or r[3] is None else round(r[2] + r[3], 2)]
                    for r in rows
                ],
                "dashed": True,
            }
        ],
    }


def rose(trace: Trace) -> dict[str, Any]:
    """Hours by direction (16) and speed class, and the mean increment by direction."""
    counts = np.zeros((len(CLASSES), 16), int)
    sums: list[list[float]] = [[] for _sector in range(16)]
    calm = 0
    for (speed, direction), row in zip(trace.result["wind"], trace.result["series"], strict=True):
        if speed is None:
            continue
        if speed < CLASSES[0]:
            calm += 1
            continue
        sector = int((direction % 360) / 22.5 + 0.5) % 16
        counts[int(np.searchsorted(CLASSES, speed, side="right")) - 1, sector] += 1
        if row[1] is not None and row[2] is not None:
            sums[sector].append(row[1] - row[2])
    names = [f"{low:g}–{high:g}" for low, high in pairwise(CLASSES)] + [f"> {CLASSES[-1]:g}"]
    return {
        "bearings": list(bearings()),
        "calm": calm,
        "classes": [
            {"name": f"{n} m/s", "hours": [int(c) for c in row]}
            for n, row in zip(names, counts, strict=True)
        ],
        "increment": [round(float(np.mean(s)), 1) if s else None for s in sums],
        "words": {
            "hours": _("Hours by wind direction"),
            "increment": _("Mean increment by wind direction (µg/m³)"),
        },
    }


def shapes(trace: Trace, rows: list[Line]) -> dict[str, Any]:
    """GeoJSON: the ways of the air, the sources by what they add, the station."""

    def feature(kind: str, geometry: dict[str, Any], **about: Any) -> dict[str, Any]:
        return {"type": "Feature", "properties": {"what": kind, **about}, "geometry": geometry}

    ways = [
        feature("way", {"type": "LineString", "coordinates": [c[:2] for c in way]})
        for way in trace.result["ways"]
        if len(way) > 1
    ]
    top = max((r.likely for r in rows), default=0.0) or 1.0
    sources = [
        feature(
            "source",
            {"type": "Point", "coordinates": [r.outlet.longitude, r.outlet.latitude]},
            name=f"{r.outlet.enterprise.name} {r.outlet.code}",
            size=round(4 + 14 * (r.likely / top) ** 0.5, 1),
            suspect=r.probability >= SUSPECT,
        )
        for r in rows
    ]
    return {"type": "FeatureCollection", "features": ways + sources}


def may_ask(user: Any) -> bool:
    return may(user, "air.trace")
