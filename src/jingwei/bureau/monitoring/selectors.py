"""Everything that reads: states of points, series, the steps of a value, the telegrams behind it.

Points of sources are seen by the jurisdiction; ambient air stations are public data (the bureau
publishes them hour by hour) and seen by everybody who may see points, enterprises included.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db.models import Min, Q, QuerySet, Sum
from django.utils import timezone

from jingwei.analysis.compliance import Judgement as JudgedSteps
from jingwei.analysis.compliance import judge_hours, unit_scale
from jingwei.analysis.validity import Fault
from jingwei.bureau.access import may
from jingwei.bureau.language import english, factor_name
from jingwei.bureau.monitoring import gas, quality
from jingwei.bureau.monitoring.judging import preview
from jingwei.bureau.monitoring.models import (
    Exceedance,
    HourNaming,
    Judgement,
    TransmissionDay,
    day_rates,
)
from jingwei.bureau.monitoring.services import (
    EPISODE_GAP,
    GRACE,
    LENGTH,
    OXYGEN,
    as_limit,
    current_code,
    in_force,
    local_day,
    normal_marks,
    value_unit,
)
from jingwei.bureau.monitoring.verdicts import explain
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import aqi, codes
from jingwei.telemetry import journal
from jingwei.telemetry.intake import masked
from jingwei.telemetry.lake import Lake, Latest, Version

REALTIME_FRESH = timedelta(minutes=10)  # a point with a real-time value this young is online
HOUR_FRESH = timedelta(hours=2)  # … or with an hour mean that ended this short a time ago
ABNORMAL_FOR = timedelta(hours=3)  # an exceedance that ended this short a time ago is abnormal

STATES = ("normal", "watch", "abnormal", "offline")

AQI_FACTORS = {
    "a34004": "pm25",
    "a34002": "pm10",
    "a21026": "so2",
    "a21004": "no2",
    "a21005": "co",
    "a05024": "o3",
}


def lake() -> Lake:
    return Lake(settings.ENV.lake)


def points(user: Any, action: str = "point.view") -> QuerySet[Point]:
    """The points that the user may see (see the module's head), without the regions' boundaries."""
    if not may(user, action):
        return Point.objects.none()
    own = Point.objects.restrict(user, action).values("pk")
    return (
        Point.objects.filter(Q(pk__in=own) | Q(kind__in=Point.AMBIENT))
        .select_related("region", "outlet__enterprise")
        .defer("region__geometry")
    )


@dataclass
class PointState:
    """A point as it is now. `reason` says in one key why the state is what it is; `out`: the factors
    (codes as sent) of `latest` whose instrument is out of control."""

    point: Point
    state: str
    reason: str
    last_seen: datetime | None
    latest: list[Latest] = field(default_factory=list)  # newest of each factor, any resolution
    aqi: aqi.Aqi | None = None
    aqi_time: datetime | None = None
    out: frozenset[str] = frozenset()


def point_states(
    user: Any, now: datetime | None = None, among: Iterable[Point] | None = None
) -> list[PointState]:
    """The state of every point that the user may see, in the order of the points.

    * offline: no real-time value of the last 10 minutes and no hour mean that ended in the last
      2 hours (by the time of the observation; a clock that is ahead counts as now);
    * abnormal: a standing exceedance whose period ended in the last 3 hours;
    * watch: an exceedance whose episode may still go on (24 hours), a newest value whose instrument
      is out of control (a failed check) or that is marked as not normal, or limits that demand
      conversion to reference oxygen while none is reported;
    * normal: everything else.

    The first that applies. `among` limits the work to some of the points.
    """
    now = now or timezone.now()
    chosen = list(points(user) if among is None else among)
    newest: dict[tuple[str, str], list[Latest]] = defaultdict(list)
    for row in lake().latest(points=[(p.mn, p.st) for p in chosen]):
        newest[row.mn, row.st].append(row)
    recent: dict[int, datetime] = {}
    for row in Exceedance.objects.filter(
        point__in=[p.pk for p in chosen], withdrawn="", time__gte=now - EPISODE_GAP - LENGTH["day"]
    ).values("point", "period", "time"):
        end = row["time"] + LENGTH[row["period"]]
        recent[row["point"]] = max(end, recent.get(row["point"], end))
    today = local_day(now)
    out = quality.out_now(chosen)
    converting = set(
        PermitLimit.objects.filter(reference_o2__isnull=False, valid_from__lte=today)
        .exclude(valid_to__lt=today)
        .values_list("outlet", flat=True)
    )
    return [
        _state(
            p,
            newest[p.mn, p.st],
            recent.get(p.pk),
            now,
            p.outlet_id in converting,
            out.get(p.pk, set()),
        )
        for p in chosen
    ]


def _state(
    point: Point,
    rows: list[Latest],
    over: datetime | None,
    now: datetime,
    converting: bool,
    out: set[str],
) -> PointState:
    fresh = any(
        (r.resolution == "realtime" and now - r.time <= REALTIME_FRESH)
        or (r.resolution == "hour" and now - r.time - LENGTH["hour"] <= HOUR_FRESH)
        for r in rows
    )
    best: dict[str, Latest] = {}
    for r in rows:
        if r.factor not in best or r.time_us > best[r.factor].time_us:
            best[r.factor] = r
    values = [best[f] for f in _in_order(best, point)]
    normal = normal_marks(point.version)
    failed = frozenset(f for f in best if current_code(f, point.version) in out)
    if not rows:
        state, reason = "offline", "no_data"
    elif not fresh:
        state, reason = "offline", "silent"
    elif over and now - over <= ABNORMAL_FOR:
        state, reason = "abnormal", "exceeded"
    elif over and now - over <= EPISODE_GAP:
        state, reason = "watch", "exceeded"
    elif failed:
        state, reason = "watch", "out_of_control"
    elif any((r.flag or "") not in normal for r in values):
        state, reason = "watch", "mark"
    elif converting and OXYGEN[point.version] not in best:
        state, reason = "watch", "no_oxygen"
    else:
        state, reason = "normal", ""
    found = PointState(
        point,
        state,
        reason,
        max(rows, key=attrgetter("received_us")).received if rows else None,
        values,
        out=failed,
    )
    if point.kind == Point.Kind.AIR_STATION:
        found.aqi, found.aqi_time = station_aqi(point, rows)
    return found


def _in_order(found: Iterable[str], point: Point) -> list[str]:
    """Factors in the order in which the point is registered to send them, then the others."""
    place = {code: i for i, code in enumerate(point.factors)}
    return sorted(found, key=lambda f: (place.get(f, len(place)), f))


def station_aqi(point: Point, rows: Iterable[Latest]) -> tuple[aqi.Aqi | None, datetime | None]:
    """The hourly AQI of the newest hour of a station, by the text in force on that day."""
    hours = [r for r in rows if r.resolution == "hour" and r.factor in AQI_FACTORS]
    if not hours:
        return None, None
    newest = max(r.time for r in hours)
    normal = normal_marks(point.version)
    values: dict[str, float | None] = {}
    for r in hours:
        item = AQI_FACTORS[r.factor]
        scale = unit_scale(value_unit(r.factor, point), aqi.ITEMS[item].unit)
        good = r.time == newest and r.value is not None and (r.flag or "") in normal
        values[item] = r.value * scale if good and scale and r.value is not None else None
    return aqi.hourly(values, aqi.edition(local_day(newest))), newest


@dataclass(frozen=True)
class KeyFigures:
    online: int
    total: int
    transmission: float | None  # 0 … 1; None where nothing was due yet
    exceedances: int  # standing ones whose period started today


def key_figures(
    user: Any, now: datetime | None = None, states: list[PointState] | None = None
) -> KeyFigures:
    """The figures of home, of the points in the user's own jurisdiction (not of the air stations
    elsewhere, nor of micro-stations). `states`: those of `point_states`, where the caller has them."""
    now = now or timezone.now()
    mine = Point.objects.restrict(user, "point.view").exclude(kind=Point.Kind.MICRO_STATION)
    own = set(mine.values_list("pk", flat=True))
    states = point_states(user, now) if states is None else states
    states = [s for s in states if s.point.pk in own]
    today = local_day(now)
    return KeyFigures(
        online=sum(s.state != "offline" for s in states),
        total=len(states),
        transmission=transmission_rate([s.point.pk for s in states], today),
        exceedances=exceedances(user).filter(withdrawn="", time__gte=_midnight(now)).count(),
    )


def transmission_rate(point_ids: list[int], day: Any) -> float | None:
    """Transmitted share times valid share of all the points together on a local day (0 … 1)."""
    found = TransmissionDay.objects.filter(point__in=point_ids, day=day).aggregate(
        **{name: Sum(name, default=0) for name in ("expected", "received", "valid", "stopped")}
    )
    return day_rates(**found).effective


def unsent(point: Point, day: Any) -> TransmissionDay | None:
    """The newest day of the last two with data, where a factor that is limited did not come at all."""
    found = (
        TransmissionDay.objects.filter(
            point=point, day__lte=day, day__gt=day - timedelta(days=2), hours__gt=0
        )
        .order_by("-day")
        .first()
    )
    return found if found and found.unsent else None


def naming_of(point: Point) -> HourNaming | None:
    """How a source names its hours, as weighed last."""
    return HourNaming.objects.filter(point=point).first()


def _midnight(now: datetime) -> datetime:
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def exceedances(user: Any) -> QuerySet[Exceedance]:
    return (
        Exceedance.objects.restrict(user, "point.view")
        .select_related("point__outlet__enterprise", "point__region", "limit", "finding")
        .defer("point__region__geometry", "steps")
    )


def limits_of(point: Point) -> list[PermitLimit]:
    """Every version of every limit of the point's outlet."""
    if not point.outlet_id:
        return []
    rows = PermitLimit.objects.filter(outlet=point.outlet_id).select_related("permit", "outlet")
    return list(rows.prefetch_related("permit__versions"))


def limits_on(rows: list[PermitLimit], factor: str, period: str, day: Any) -> list[PermitLimit]:
    return [r for r in in_force(rows, day) if r.factor == factor and r.period == period]


# The value and what stands behind it ------------------------------------------------------------


def observation(
    point: Point, factor: str, resolution: str, moment: datetime
) -> dict[str, Any] | None:
    """One observation as the lake has it now (the latest reception), or None."""
    rows = (
        lake()
        .series(
            point.mn, point.st, [factor], resolution, moment, moment + timedelta(microseconds=1)
        )
        .to_pylist()
    )
    return rows[0] if rows else None


def judgements(
    point: Point, resolution: str, moment: datetime, *, stands: bool | None = None
) -> list[Judgement]:
    """What was judged of an hour or a day, the newest first. `stands`: only that, or only the rest."""
    rows = Judgement.objects.filter(point=point, period=resolution, time=moment)
    return list((rows if stands is None else rows.filter(stands=stands)).order_by("-pk"))


def cells(point: Point, resolution: str, moment: datetime, now: datetime) -> dict[str, Any] | None:
    """The judged cells of an hour or day: those that stand, or, where none do (yet), those that the
    judgement would write now. None where nothing came, or for other resolutions."""
    if resolution not in LENGTH:
        return None
    standing = judgements(point, resolution, moment, stands=True)
    return standing[0].factors if standing else preview(point, resolution, moment, now)


def verdicts_on(
    point: Point, factors: Mapping[str, Any], factor: str, resolution: str, moment: datetime
) -> list[tuple[PermitLimit, JudgedSteps | None]]:
    """The way from the raw value to the verdict, for every limit in force for it; None stands for a
    limit that cannot be judged by, one without a period among them."""
    code = current_code(factor, point.version)
    if code not in factors:
        return []
    rows = [r for r in in_force(limits_of(point), local_day(moment)) if r.factor == code]
    found = [r for r in rows if r.period == resolution or r.period not in PermitLimit.Period]
    return [(row, explain(point, row, factors, resolution)) for row in found]


@dataclass(frozen=True)
class Reception:
    """One telegram that brought the observation. `text`: the frame with the password masked."""

    version: Version
    peer: str
    text: str
    sha256: str
    size: int
    found: bool  # False: the journal has no such telegram (any more)


_SECONDS = re.compile(r"-?[0-9]{1,11}([.][0-9]{1,6})?")


def receptions(point: Point, factor: str, resolution: str, moment: datetime) -> list[Reception]:
    """Every reception of the observation, the one in force last, with its telegram."""
    out = []
    for version in lake().versions(point.mn, point.st, factor, resolution, moment):
        try:
            telegram = journal.get(settings.ENV.journal, version.seq)
        except journal.JournalError:
            out.append(Reception(version, "", "", "", 0, False))
            continue
        raw = telegram.raw
        out.append(
            Reception(
                version=version,
                peer=telegram.peer,
                text=masked(raw),
                sha256=hashlib.sha256(raw).hexdigest(),
                size=len(raw),
                found=True,
            )
        )
    return out


# Series -----------------------------------------------------------------------------------------

SPANS = {"24h": timedelta(hours=24), "3d": timedelta(days=3), "7d": timedelta(days=7),
         "30d": timedelta(days=30)}  # fmt: skip
STEP = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
MAX_ROWS = 50_000  # of one answer; a longer period is cut at its beginning, and the answer says so


@dataclass(frozen=True)
class Row:
    """One value of a series, ready to be shown."""

    time: datetime
    value: float | None
    converted: float | None
    flag: str
    valid: bool
    fault: int  # mask of `analysis.validity.Fault`; 0 where valid, or where it was not looked at
    low: float | None
    high: float | None
    received: datetime | None
    over: bool
    unjudged: bool  # there is a limit, but the value cannot be held against it


@dataclass(frozen=True)
class Series:
    point: Point
    factor: str
    name: str
    unit: str
    resolution: str
    start: datetime
    end: datetime
    rows: list[Row]
    limits: list[PermitLimit]  # in force at the end of the period
    cut: bool
    missing: int  # periods without a row between start and end, up to now (None where no grid)
    means: bool = False  # the rows are hours added up, not values

    @property
    def converted(self) -> bool:
        return not self.means and any(x.reference_o2 is not None for x in self.limits)


def series(
    point: Point, factor: str, resolution: str, start: datetime, end: datetime, now: datetime
) -> Series:
    """The values of one factor in a period, judged against what is in force, with gaps counted."""
    code = current_code(factor, point.version)
    wanted = [factor]
    limits = limits_on(limits_of(point), code, resolution, local_day(min(end, now)))
    oxygen_code = OXYGEN[point.version]
    reference = next((x.reference_o2 for x in limits if x.reference_o2 is not None), None)
    if reference is not None and factor != oxygen_code:
        wanted.append(oxygen_code)
    table = lake().series(point.mn, point.st, wanted, resolution, start, end).to_pylist()
    oxygen = {r["time"]: r for r in table if r["factor"] == oxygen_code} if reference else {}
    raw = [r for r in table if r["factor"] == factor]
    cut = len(raw) > MAX_ROWS
    raw = raw[-MAX_ROWS:]
    normal = normal_marks(point.version)
    standing = set(
        Exceedance.objects.filter(
            point=point,
            factor=code,
            period=resolution,
            withdrawn="",
            time__gte=start,
            time__lt=end,
        ).values_list("time", flat=True)
    )
    first = next((x for x in limits if x.reference_o2 is not None), None)
    judged = resolution in PermitLimit.Period and bool(limits)
    stored = _stored(point, code, resolution, start, end)
    made = [r for t, r in stored.items() if t not in {x["time"] for x in raw}]
    raw = sorted([*raw, *made], key=lambda r: r["time"])[-MAX_ROWS:]
    converted = _converted(raw, oxygen, first, point, code) if first else [None] * len(raw)
    rows = []
    for r, c in zip(raw, converted, strict=True):
        one = stored.get(r["time"])
        mask = one["fault"] if one else 0
        if one and first is not None:
            c = one["limits"].get(str(first.pk), [0, 0, c])[2]
        valid = not mask if one else r["value"] is not None and (r["flag"] or "") in normal
        over = r["time"] in standing
        rows.append(
            Row(
                time=r["time"],
                value=r["value"],
                converted=c,
                flag=r["flag"] or "",
                valid=valid,
                fault=mask,
                low=r["min"],
                high=r["max"],
                received=r["received"],
                over=over,
                unjudged=judged
                and not over
                and (
                    any(v[1] for v in one["limits"].values())
                    if one
                    else not valid or (first is not None and c is None)
                ),
            )
        )
    return Series(
        point=point,
        factor=factor,
        name=factor_name(factor, point.version),
        unit=value_unit(code, point),
        resolution=resolution,
        start=start,
        end=end,
        rows=rows,
        limits=limits,
        cut=cut,
        missing=_missing(rows, resolution, start, min(end, now)),
    )


def with_gaps(data: Series, now: datetime) -> list[Row]:
    """The rows of a series, the newest first; of hours of a source also those of which nothing came,
    with `NO_LINK` where no factor of the point reported (A18-3.3) and `MISSING` where others did."""
    rows = list(reversed(data.rows))
    begin = _begun(data.point)
    if data.resolution != "hour" or data.point.kind != Point.Kind.SOURCE or begin is None:
        return rows
    have = {r.time for r in rows}
    first = max(data.start, begin)
    last = min(data.end, now - GRACE) - LENGTH["hour"]
    reported = _reported(data.point, first, last + LENGTH["hour"])
    missing = []
    at = datetime.fromtimestamp(-(-first.timestamp() // 3600) * 3600, UTC)
    while at <= last and len(missing) < MAX_ROWS:
        if at not in have:
            fault = Fault.MISSING if at in reported else Fault.NO_LINK
            missing.append(
                Row(at, None, None, "", False, int(fault), None, None, None, False, False)
            )
        at += LENGTH["hour"]
    return sorted([*rows, *missing], key=lambda r: r.time, reverse=True)


def gap(point: Point, resolution: str, moment: datetime, now: datetime) -> dict[str, Any] | None:
    """The cell of an hour of which nothing of a factor came; None where none was due."""
    begin = _begun(point)
    over = moment + LENGTH["hour"] + GRACE <= now and moment.timestamp() % 3600 == 0
    if resolution != "hour" or begin is None or moment < begin or not over:
        return None
    there = _reported(point, moment, moment + LENGTH["hour"])
    return {"value": None, "fault": int(Fault.MISSING if there else Fault.NO_LINK)}


def _begun(point: Point) -> datetime | None:
    """The first hour that is due of a point."""
    found: datetime | None = TransmissionDay.objects.filter(point=point).aggregate(Min("since"))[
        "since__min"
    ]
    return found


def _reported(point: Point, start: datetime, end: datetime) -> set[datetime]:
    """The hours of which anything of the point came."""
    return set(
        Judgement.objects.filter(
            point=point, period="hour", stands=True, time__gte=start, time__lt=end
        )
        .exclude(telegrams="")
        .values_list("time", flat=True)
    )


def _stored(
    point: Point, code: str, resolution: str, start: datetime, end: datetime
) -> dict[datetime, dict[str, Any]]:
    """What stands of a factor's hours or days, by time, in the form of the lake's rows."""
    if resolution not in LENGTH:
        return {}
    return {
        when: {
            "time": when,
            "value": cell["value"],
            "flag": cell.get("mark", ""),
            "min": None,
            "max": None,
            "received": judged,
            "fault": cell.get("fault", 0),
            "limits": cell.get("limits", {}),
        }
        for when, judged, factors in Judgement.objects.filter(
            point=point, period=resolution, stands=True, time__gte=start, time__lt=end
        ).values_list("time", "judged", "factors")
        if (cell := factors.get(code)) is not None
    }


def _converted(
    raw: list[dict[str, Any]],
    oxygen: Mapping[datetime, dict[str, Any]],
    row: PermitLimit,
    point: Point,
    code: str,
) -> list[float | None]:
    """The values at the reference oxygen of the limit, None where there is no verdict."""
    if not raw:
        return []
    nothing: dict[str, Any] = {"value": None, "flag": None}
    air = [oxygen.get(r["time"], nothing) for r in raw]
    try:
        many = judge_hours(
            [_nan(r["value"]) for r in raw],
            [r["flag"] for r in raw],
            [_nan(o["value"]) for o in air],
            [o["flag"] for o in air],
            limit=as_limit(row),
            unit=value_unit(code, point),
            normal=normal_marks(point.version),
        )
    except ValueError:
        return [None] * len(raw)
    return [None if v != v else float(v) for v in many.value]


def _missing(rows: list[Row], resolution: str, start: datetime, end: datetime) -> int:
    step = STEP.get(resolution)
    if step is None or end <= start:
        return 0
    if resolution == "day":
        due = (local_day(end) - local_day(start)).days
    else:
        due = int((end - start) / step)
    return max(0, due - sum(r.time + step <= end for r in rows))


def mark_name(flag: str, version: str) -> str:
    known = codes.mark(flag, version)
    if known is None:
        return flag
    return known.en if english() else known.zh


def sent_factors(point: Point) -> list[str]:
    """The factors that the point is registered to send or has sent, registered ones first."""
    seen = {r.factor for r in lake().latest(points=[(point.mn, point.st)])}
    if point.kind == Point.Kind.SOURCE and {gas.NO, gas.NO2} <= seen:
        seen.add(gas.NOX)  # made here where it is not sent
    return _in_order(seen | set(point.factors), point)


def _nan(x: float | None) -> float:
    return float("nan") if x is None else x


def parse_moment(text: str) -> datetime | None:
    """An instant given in a URL: seconds since 1970, or ISO 8601 (without zone: local time)."""
    try:
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
        if timezone.is_naive(moment):
            moment = timezone.make_aware(moment)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
