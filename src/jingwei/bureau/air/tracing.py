"""A question becomes data, and the answer becomes words: from the register and the lake to
`analysis.air.attribution` and back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db.models import Count, F, Sum

from jingwei.analysis.air import attribution, loss, savings, weather
from jingwei.analysis.air.attribution import MEMORY, AttributionError, attribute
from jingwei.analysis.air.puffs import Sources
from jingwei.analysis.air.weather import WeatherError
from jingwei.bureau.air.models import AnnualAmount, Trace
from jingwei.bureau.monitoring.models import EmissionDay
from jingwei.bureau.monitoring.observations import local_day, medium, normal_marks, value_unit
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Medium, Outlet, PermitAmount, PermitLimit, Point
from jingwei.standards import units
from jingwei.telemetry.lake import Lake

HOUR = timedelta(hours=1)
LONGEST = attribution.LONGEST * HOUR
REACH = 60_000.0  # m; sources and stations farther from the asked one do not count
DEFAULT_HEIGHT = 15.0  # m; GB 16297-1996 7.4 wants an exhaust stack to be no lower
SPEED, DIRECTION, TEMPERATURE = "a01007", "a01008", "a01001"
GAS_VELOCITY, GAS_TEMPERATURE = "a01011", "a01012"
# What is measured in the air, and which emission of a stack may be in it: the first that is known.
EMITTED = {
    "a21026": ("a21026",),
    "a21004": ("a21002", "a21004"),
    "a21005": ("a21005",),
    "a34002": ("a34013",),
    "a34004": ("a34013",),
}
NAMES = {"a21026": "SO2", "a21004": "NO2", "a21005": "CO", "a34002": "PM10", "a34004": "PM2.5"}
# Of these emissions only a part arrives (`savings.PARTS`).
PART = {
    ("a21004", "a21002"): "NO2",
    ("a34002", "a34013"): "PM10",
    ("a34004", "a34013"): "PM2.5",
}


class RefusedError(Exception):
    """The question has no answer; `code` says why, `about` what it needs."""

    def __init__(self, code: str, about: str = "") -> None:
        super().__init__(f"{code} {about}".strip())
        self.code, self.about = code, about


@dataclass
class Question:
    """All that goes into an answer. Rows of `values` and `wind` are the hours from `start`."""

    factor: str
    start: datetime
    first: int
    station: int
    points: list[Point]
    values: npt.NDArray[np.float64]
    wind: npt.NDArray[np.float64]  # (2, hours + 1, points)
    warmth: float
    outlets: list[Outlet]
    rates: npt.NDArray[np.float64]
    basis: list[str]
    gas: npt.NDArray[np.float64]  # (3, outlets): height, velocity, temperature; NaN unknown
    several: int = 0

    def digest(self) -> str:
        """SHA-256 over everything, in one canonical form."""
        facts = {
            "factor": self.factor,
            "start": self.start.isoformat(),
            "first": self.first,
            "station": self.points[self.station].mn,
            "points": [[p.mn, p.st, p.longitude, p.latitude] for p in self.points],
            "values": _rounded(self.values),
            "wind": _rounded(self.wind),
            "warmth": round(self.warmth, 3),
            "outlets": [
                [o.enterprise.uscc, o.code, o.longitude, o.latitude, o.diameter]
                for o in self.outlets
            ],
            "rates": _rounded(self.rates),
            "basis": self.basis,
            "gas": _rounded(self.gas),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _rounded(values: npt.NDArray[np.float64]) -> Any:
    return [[None if x != x else round(float(x), 9) for x in row] for row in np.atleast_2d(values.reshape(len(values), -1))]  # fmt: skip


def question(trace: Trace) -> Question:
    """Read what is needed. Raises `RefusedError`."""
    if trace.factor not in EMITTED:
        raise RefusedError("secondary")
    start = trace.start - MEMORY * HOUR
    hours = round((trace.end - start) / HOUR)
    plane = weather.Plane(trace.station.longitude, trace.station.latitude)
    points = near(plane, Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True))
    station = next((i for i, p in enumerate(points) if p.pk == trace.station_id), None)
    if station is None:
        raise RefusedError("station")
    table = means(points, (trace.factor, SPEED, DIRECTION, TEMPERATURE), start, hours + 1)
    values = np.full((hours, len(points)), np.nan)
    for i, p in enumerate(points):
        scale = units.scale(value_unit(trace.factor, p), "µg/m³")
        if scale:
            values[:, i] = scale * table[trace.factor][:hours, i]
    warmth = (
        float(np.nanmean(table[TEMPERATURE])) if np.isfinite(table[TEMPERATURE]).any() else 15.0
    )
    wind = np.stack([table[SPEED], table[DIRECTION]])
    # The wind at the end of the last hour is that of its beginning, where it has not come yet.
    last = ~np.isfinite(wind[:, -1])
    wind[:, -1] = np.where(last, wind[:, -2], wind[:, -1])
    outlets, rates, basis, _beyond = emissions(trace.factor, trace.start, trace.end, plane)
    if not outlets:
        raise RefusedError("no_sources")
    return Question(
        trace.factor, start, MEMORY, station, points, values, wind, warmth, outlets, rates, basis,
        gas(outlets, start, hours), several(trace.factor, trace.start, trace.end, outlets),
    )  # fmt: skip


def middle(places: Sequence[tuple[float, float]]) -> weather.Plane:
    """The plane about the middle of places (longitude, latitude); one of them far off does not move it."""
    x, y = np.median(places, axis=0)
    return weather.Plane(float(x), float(y))


def reached(plane: weather.Plane, row: Any) -> bool:
    """Whether a row with longitude and latitude lies within `REACH` of the plane's origin."""
    return bool(np.hypot(*plane.to(row.longitude, row.latitude)) <= REACH)


def near(plane: weather.Plane, rows: Any) -> list[Any]:
    """Those of a queryset that are `reached`."""
    return [row for row in rows.order_by("pk") if reached(plane, row)]


def means(
    points: list[Point], factors: tuple[str, ...], start: datetime, hours: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Hour means as sent, (hours, points) for each factor; NaN where missing or marked not normal."""
    place = {(p.mn, p.st): i for i, p in enumerate(points)}
    normal = [normal_marks(p.version) for p in points]
    found = {f: np.full((hours, len(points)), np.nan) for f in factors}
    rows = Lake(settings.ENV.lake).scan("hour", start, start + hours * HOUR, list(place), factors)
    for row in rows.to_pylist():
        i = place[row["mn"], row["st"]]
        at = (row["time"] - start) / HOUR
        if row["value"] is not None and at == int(at) and (row["flag"] or "") in normal[i]:
            found[row["factor"]][int(at), i] = row["value"]
    return found


def emissions(
    factor: str, start: datetime, end: datetime, plane: weather.Plane
) -> tuple[list[Outlet], npt.NDArray[np.float64], list[str], list[Outlet]]:
    """Outlets in reach that emit the factor, what of their known rates is the factor at a station, in
    g/s, whence each is known, and the outlets beyond reach that emit it. A rate is known by "monitor",
    else "permit", else "inventory" (the newest year that was handed in), else "assumed" (the lower
    quartile of the known rates above 0). A monitor or an inventory that says 0 is known; hours without a
    value count neither as mass nor as time. Of several monitors at an outlet the mean is taken: they are
    believed to watch one duct (`several`)."""
    codes = EMITTED[factor]
    day = local_day(start)
    listed: dict[int, dict[str, float]] = defaultdict(dict)
    handed = AnnualAmount.objects.filter(factor__in=codes).order_by("year")
    for outlet, code, tonnes in handed.values_list("outlet", "factor", "tonnes"):
        listed[outlet][code] = tonnes * 1e6 / (8760 * 3600)  # the newest year stays
    limited = set(
        PermitLimit.objects.filter(factor__in=codes, valid_from__lte=day)
        .exclude(valid_to__lt=day)
        .values_list("outlet", flat=True)
    )
    amounts: dict[int, dict[str, float]] = defaultdict(dict)
    shared: dict[int, dict[str, float]] = defaultdict(dict)
    yearly = PermitAmount.objects.filter(factor__in=codes, period=PermitAmount.Period.YEAR)
    for amount in force.amounts(yearly, day):
        scale = units.scale(amount.unit, "kg")
        rate = float(amount.value) * (scale or np.nan) * 1000 / (8760 * 3600)
        own = amounts[amount.outlet_id] if amount.outlet_id else shared[amount.permit.enterprise_id]
        own[amount.factor] = own.get(amount.factor, 0.0) + rate
    measured: dict[int, dict[str, float]] = defaultdict(dict)
    for row in (
        EmissionDay.objects.filter(factor__in=codes, day__gte=day, day__lte=local_day(end - HOUR))
        .values("point__outlet", "factor")
        .annotate(kg=Sum("kg"), known=Sum("hours") - Sum("without"))
        .order_by()
    ):
        if row["known"] > 0:
            rate = row["kg"] * 1000 / (row["known"] * 3600)
            measured[row["point__outlet"]][row["factor"]] = rate

    def first(of: dict[str, float]) -> float | None:
        """The rate of the first emission that is known, its part that is the factor; None without one."""
        for code in codes:
            if code in of:
                return of[code] * savings.part(PART.get((factor, code), ""))
        return None

    rows = Outlet.objects.filter(
        medium=Medium.AIR,
        pk__in=limited
        | set(amounts)
        | set(measured)
        | {o for o, of in listed.items() if any(of.values())},
    )
    outlets: list[Outlet] = []
    beyond: list[Outlet] = []
    for row in rows.select_related("enterprise").order_by("pk"):
        (outlets if reached(plane, row) else beyond).append(row)
    parts = Counter(o.enterprise_id for o in outlets if o.pk not in amounts)
    rates, basis = [], []
    for o in outlets:
        permitted = first(amounts.get(o.pk, {})) or (
            (first(shared.get(o.enterprise_id, {})) or 0.0) / max(parts[o.enterprise_id], 1)
        )
        if (watched := first(measured.get(o.pk, {}))) is not None:
            rates.append(watched)
            basis.append("monitor")
        elif permitted > 0:
            rates.append(permitted)
            basis.append("permit")
        elif (told := first(listed.get(o.pk, {}))) is not None:
            rates.append(told)
            basis.append("inventory")
        else:
            rates.append(np.nan)
            basis.append("assumed")
    found = np.array(rates, dtype=float)
    known = found[found > 0]
    found[~np.isfinite(found)] = np.quantile(known, 0.25) if len(known) else 1.0
    return outlets, found, basis, beyond


def several(factor: str, start: datetime, end: datetime, outlets: list[Outlet]) -> int:
    """Of how many outlets `emissions` takes the mean of more than one monitor. Where each watches a duct of
    its own, the outlet emits their sum; the register does not tell."""
    rows = (
        EmissionDay.objects.filter(
            factor__in=EMITTED[factor], day__gte=local_day(start), day__lte=local_day(end - HOUR),
            hours__gt=F("without"), point__outlet__in=outlets,
        )
        .values_list("point__outlet", "factor")
        .annotate(Count("point", distinct=True))
        .order_by()
    )  # fmt: skip
    monitors: dict[int, dict[str, int]] = defaultdict(dict)
    for outlet, code, number in rows:
        monitors[outlet][code] = number
    return sum(of[next(c for c in EMITTED[factor] if c in of)] > 1 for of in monitors.values())


def gas(outlets: list[Outlet], start: datetime, hours: int) -> npt.NDArray[np.float64]:
    """Height (m), exit velocity (m/s) and gas temperature (K) of each outlet; NaN unknown."""
    found = np.full((3, len(outlets)), np.nan)
    found[0] = [np.nan if o.height is None else o.height for o in outlets]
    place = {o.pk: i for i, o in enumerate(outlets)}
    points = [p for p in Point.objects.filter(outlet__in=place, enabled=True) if medium(p) == "air"]
    if not points:
        return found
    table = means(points, (GAS_VELOCITY, GAS_TEMPERATURE), start, hours)
    for k, (factor, zero) in enumerate(((GAS_VELOCITY, 0.0), (GAS_TEMPERATURE, 273.15)), 1):
        for i, p in enumerate(points):
            seen = table[factor][:, i]
            seen = seen[np.isfinite(seen) & (seen > 0)]
            if len(seen):
                found[k, place[p.outlet_id]] = seen.mean() + zero
    return found


def answer(q: Question) -> dict[str, Any]:
    """Compute; touches neither database nor lake. Raises `RefusedError`."""
    middle = q.points[q.station]
    plane = weather.Plane(middle.longitude, middle.latitude)
    x, y = plane.to([p.longitude for p in q.points], [p.latitude for p in q.points])
    places = np.column_stack([x, y, np.full(len(x), 3.0)])
    asked = range(q.first, len(q.values))
    wanted = np.isfinite(q.values[:, q.station])
    wanted[: q.first] = False
    begin, stop = weather.judged(q.wind[0], q.wind[1], wanted) or (0, len(q.values))
    try:
        found = weather.from_stations(
            places[:, :2], q.wind[0, begin : stop + 1], q.wind[1, begin : stop + 1],
            q.start + begin * HOUR, plane=plane, temperature=q.warmth + 273.15,
        )  # fmt: skip
    except WeatherError as error:
        raise RefusedError("wind", str(error)) from None
    sx, sy = plane.to([o.longitude for o in q.outlets], [o.latitude for o in q.outlets])
    height, velocity, gas = q.gas
    sources = Sources(
        x=np.atleast_1d(sx),
        y=np.atleast_1d(sy),
        height=np.where(np.isfinite(height), height, DEFAULT_HEIGHT),
        rate=q.rates,
        diameter=np.array([o.diameter or 0.0 for o in q.outlets]),
        velocity=np.nan_to_num(velocity),
        gas=np.nan_to_num(gas),
    )
    monitored = np.array([b == "monitor" for b in q.basis])
    about = loss.LOSSES[NAMES[q.factor]]
    try:
        told = attribute(
            sources, monitored, found, places, q.values[begin:stop],
            station=q.station, first=max(q.first - begin, 0), pollutant=NAMES[q.factor],
        )  # fmt: skip
    except AttributionError as error:
        raise RefusedError("nothing", str(error)) from None
    told_hours = range(max(q.first, begin), stop)
    ways = weather.trajectories(
        found.winds,
        places[q.station][:2],
        [h - begin + 0.5 for h in told_hours[::3]],
        MEMORY,
        900.0,
    )

    def row(h: int) -> list[Any]:
        if h not in told_hours:
            return [_figure(float(q.values[h, q.station])), None, None]
        return [_figure(a[h - begin]) for a in (told.measured, told.background, told.modelled)]

    def blown(h: int) -> list[Any]:
        if h not in told_hours:
            return [None, None]
        way = float(found.direction[h - begin])
        return [_figure(found.speed[h - begin]), None if way != way else round(way)]

    pk = [o.pk for o in q.outlets]
    rises = np.isfinite(velocity) & np.isfinite(gas) & (np.asarray(sources.diameter) > 0)
    return {
        "series": [
            [(q.start + h * HOUR).isoformat(), *row(h)]
            for h in asked
        ],
        "increment": _figure(told.increment),
        "explained": _figure(told.explained),
        "likely": _figure(told.likely),
        "used": told.used,
        "shares": [
            {
                "outlet": pk[s.source],
                "basis": q.basis[s.source],
                "rate": _figure(float(q.rates[s.source])),
                "known": _figure(s.known),
                "likely": _figure(s.likely),
                "low": _figure(s.low),
                "high": _figure(s.high),
                # The rates that add so much, g/s.
                **{f"rate_{k}": _figure(getattr(s, k) / s.reach) for k in ("likely", "low", "high")},
                "probability": round(s.probability, 2),
                "alike": [pk[j] for j in s.alike],
            }
            for s in told.shares
        ],
        "wind": [blown(h) for h in asked],
        "ways": [
            [[round(float(c), 4) for c in (*plane.back(px, py), age)] for px, py, age in way[::2]]
            for way in ways
        ],
        "said": {
            "stations": len(q.points),
            "wind_stations": found.stations,
            "calm": 0 if found.still else found.calm,
            "filled": found.filled,
            "still": int(found.still),
            "parts": 1,
            "lost": int(bool(about.half_life or about.surface)),
            "short": min(begin, q.first),
            "unsettled": sum(not s.settled for s in told.shares[:30]),
            "unjudged": len(asked) - len(told_hours),
            **{f"dropped_{k}": n for k, n in told.dropped.items()},
            **{f"basis_{k}": n for k, n in Counter(q.basis).items()},
            "no_height": int((~np.isfinite(height)).sum()),
            "no_rise": int((~rises).sum()),
            "several": q.several,
        },
    }  # fmt: skip


def _figure(value: float) -> float | None:
    return None if value != value else float(f"{value:.4g}")
