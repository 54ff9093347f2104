"""Emitted masses: by point, factor and day from hourly data, and what of the permit is used up.

A mass is concentration times flow of the same hour, both as they were judged (`Judgement`). Hours
that are not valid are filled for the mass alone (`analysis.masses`); how much of a sum is such filling
is always kept. Hours out of control
look back from the last passed check of the instrument (`quality`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction
from django.db.models import Case, Count, F, Max, Min, Q, Sum, When
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from jingwei.analysis import compliance, permits, validity
from jingwei.analysis.masses import Hours, Masses, masses
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import quality
from jingwei.bureau.monitoring.models import (
    Cursor,
    EmissionDay,
    Judgement,
    Mark,
    QualityCheck,
    TransmissionDay,
)
from jingwei.bureau.monitoring.observations import (
    day_start,
    local_day,
    medium,
    seconds,
    value_unit,
)
from jingwei.bureau.monitoring.transmission import GRACE, STOPPED
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Enterprise, Outlet, PermitAmount, Point
from jingwei.standards import units

NAME = "masses"
SWEPT = (
    "masses.swept"  # its `batch`: the hour (since 1970) in which silent points were last looked for
)
TOGETHER = 25  # points read at once
VALID = 2160  # valid hours before a gap: as far as the substitution looks back
HISTORY = timedelta(hours=VALID)  # before the quarter: what is read first for them
REACH = (1, 2, 4)  # times `HISTORY`: how far more is looked for where they are fewer
HOUR = timedelta(hours=1)
FLOW = {"air": "a00000", "water": "w00000"}
PER_VOLUME = {"air": "mg/m³", "water": "mg/L"}
Hourly = dict[tuple[int, str], npt.NDArray[np.float64]]  # hours known and due by day, (2, days)
_NOTHING = Case(  # hours of days of which nothing is known: stopped ones too say nothing then
    When(without__gt=0, valid=0, without=F("hours") - F("stopped"), then=F("stopped")), default=0
)
KEPT = ("kg", "substituted", "hours", "valid", "stopped", "without", "rules", "mean", "peak", "peak_at")  # fmt: skip


# Reading the judgements and keeping the days ----------------------------------------------------


def refresh(now: datetime) -> int:
    """Bring the daily masses up to what was judged of the hours; how many rows were written.

    Another judgement of an hour recomputes the quarters from its own on: what stands in for an hour
    depends on the whole quarter's capture rate and on the hours before.
    """
    cursor, _created = Cursor.objects.get_or_create(name=NAME)
    swept, _created = Cursor.objects.get_or_create(name=SWEPT)
    hour = int(now.timestamp() // 3600)
    newest, touched = _rejudged(cursor.batch)
    if swept.batch != hour:
        for pk in _left_behind(now):
            touched.setdefault(pk, now)
    elif newest == cursor.batch:
        return 0
    known = Point.objects.filter(
        pk__in=touched, kind=Point.Kind.SOURCE, outlet__isnull=False
    ).select_related("outlet__enterprise").in_bulk()  # fmt: skip
    found = [(known[pk], time) for pk, time in touched.items() if pk in known]
    rows: list[EmissionDay] = []
    for at in range(0, len(found), TOGETHER):
        rows += _days(found[at : at + TOGETHER], now)
    with transaction.atomic():
        locked = Cursor.objects.select_for_update().get(name=NAME)
        if (locked.batch, locked.rounds) != (cursor.batch, cursor.rounds):
            return 0  # another one was faster
        EmissionDay.objects.bulk_create(
            rows,
            batch_size=500,
            update_conflicts=True,
            unique_fields=["point", "factor", "day"],
            update_fields=list(KEPT),
        )
        locked.batch, locked.rounds = newest, locked.rounds + 1
        locked.save()
        Cursor.objects.filter(name=SWEPT).update(batch=hour)
        judge({p.outlet.enterprise for p, _t in found if p.outlet}, rows, local_day(now))
    return len(rows)


def _rejudged(after: int) -> tuple[int, dict[int, datetime]]:
    """(the newest judgement, by point the earliest hour that was judged since `after`)."""
    rows = Judgement.objects.filter(pk__gt=after, period="hour")
    newest = rows.aggregate(Max("pk"))["pk__max"] or after
    found = rows.filter(pk__lte=newest).order_by().values_list("point").annotate(Min("time"))
    return newest, dict(found)


@dataclass
class _Judged:
    """What was judged of one factor over the hours (n,): value as sent (NaN: none), whether it is
    valid, whether it bears the mark of a source out of service, whether a mark exempts it, whether its
    instrument was out of control."""

    value: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]
    still: npt.NDArray[np.bool_]
    exempt: npt.NDArray[np.bool_]
    out: npt.NDArray[np.bool_]

    @classmethod
    def none(cls, n: int) -> _Judged:
        return cls(np.full(n, np.nan), *(np.zeros(n, dtype=bool) for _ in range(4)))


def _judged(
    points: Iterable[Point], start: datetime, end: datetime
) -> tuple[dict[int, dict[str, _Judged]], dict[int, int]]:
    """By point and factor what stands of the hours from `start` on, and by point its first hour."""
    n, origin = int((end - start) / HOUR), seconds(start)
    found: dict[int, dict[str, _Judged]] = defaultdict(dict)
    first: dict[int, int] = {}
    rows = Judgement.objects.filter(
        point__in=list(points), period="hour", stands=True, time__gte=start, time__lt=end
    )
    for point, time, factors in rows.values_list("point", "time", "factors").iterator(2000):
        at, table = (seconds(time) - origin) // 3600, found[point]
        first[point] = min(at, first.get(point, at))
        for code, cell in factors.items():
            column = table.get(code)
            if column is None:
                column = table[code] = _Judged.none(n)
            if cell["value"] is not None:
                column.value[at] = cell["value"]
                column.valid[at] = not cell.get("fault")
            column.still[at] = cell.get("mark") == STOPPED
            column.exempt[at] = "exempt" in cell
            column.out[at] = "check" in cell
    return found, first


def _judged_far_enough(
    found: Sequence[tuple[Point, datetime]], end: datetime
) -> tuple[datetime, dict[int, dict[str, _Judged]], dict[int, int]]:
    """From where on the hours are read, and the hours: from so far before the quarter of each point
    that `VALID` hours of each factor are valid there, of a plant that stood still for months too; as
    far as there are any, and a year at most. (Wastewater looks back by the length of its gaps.)"""
    points = [p for p, _ in found]
    for reach in REACH:
        start = min(since for _, since in found) - reach * HISTORY
        judged, firsts = _judged(points, start, end)
        few = [
            p.pk
            for p, since in found
            if medium(p) == "air" and _few(p, judged.get(p.pk, {}), int((since - start) / HOUR))
        ]
        if not Judgement.objects.filter(point__in=few, period="hour", time__lt=start).exists():
            break
    return start, judged, firsts


def _few(point: Point, judged: Mapping[str, _Judged], before: int) -> bool:
    """Whether a pollutant has fewer than `VALID` valid hours, with flow, before the `before`-th."""
    flow = judged.get(FLOW["air"])
    return flow is not None and any(
        np.count_nonzero((c.valid & flow.valid)[:before]) < VALID
        for code, c in judged.items()
        if units.scale(value_unit(code, point), PER_VOLUME["air"]) is not None
    )


def _standstill(
    points: Iterable[Point], start: datetime
) -> dict[int, list[tuple[datetime, datetime]]]:
    """By outlet the spans that the enterprise marked as out of operation."""
    found: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    rows = Mark.objects.filter(
        outlet__in={p.outlet_id for p in points}, withdrawn=None, end__gt=start,
        sort__in=(Mark.Sort.STANDSTILL, Mark.Sort.IDLE),
    )  # fmt: skip
    for outlet, begin, end in rows.values_list("outlet", "start", "end"):
        found[outlet].append((begin, end))
    return found


def _left_behind(now: datetime) -> list[int]:
    """Points that sent nothing since yesterday began: their hours are filled or counted all the same."""
    yesterday = local_day(now) - timedelta(days=1)
    last = (
        EmissionDay.objects.filter(point__enabled=True)
        .values_list("point")
        .annotate(Max("day"))
        .order_by()
    )
    return [pk for pk, day in last if day < yesterday]


def quarter_start(day: date) -> date:
    return permits.period_start(day, "quarter")


def _days(found: Sequence[tuple[Point, datetime]], now: datetime) -> list[EmissionDay]:
    return [
        row
        for point, since, one in _reckoned(found, now - GRACE)
        for row in _rows(point, one, since)
    ]


def _reckoned(
    found: Sequence[tuple[Point, datetime]], until: datetime
) -> Iterator[tuple[Point, datetime, Reckoned]]:
    """What the hours up to a time weigh, from before the quarter of each given time on, and where
    that quarter begins."""
    end = timezone.localtime(until).replace(minute=0, second=0, microsecond=0)
    quarters = [(p, day_start(quarter_start(local_day(t)))) for p, t in found]
    start, judged, firsts = _judged_far_enough(quarters, end)
    still = _standstill([p for p, _t in found], start)
    checks = quality.counting([p for p, _t in found])
    begun = dict(
        TransmissionDay.objects.filter(point__in=[p for p, _t in found])
        .values_list("point")
        .annotate(Min("since"))
        .order_by()
    )
    for point, time in found:
        if point.pk not in firsts:
            continue
        first = start + firsts[point.pk] * HOUR
        first = max(min(first, begun.get(point.pk, first)), start)
        since = day_start(quarter_start(local_day(time)))
        for one in _reckon(
            point,
            judged[point.pk],
            start,
            first,
            end,
            still[point.outlet_id or 0],
            checks[point.pk],
        ):
            yield point, since, one


def reckoned(point: Point, factor: str, day: date, now: datetime) -> Reckoned | None:
    """What the hours of one factor weigh, around a day, by what stands now; None without any."""
    if point.outlet is None:
        return None
    over = day_start(permits.period_end(quarter_start(day), "quarter") + timedelta(days=1))
    rows = _reckoned([(point, day_start(day))], min(now - GRACE, over))
    return next((one for _point, _since, one in rows if one.factor == factor), None)


@dataclass(frozen=True)
class Reckoned:
    """One factor of a point hour by hour, all (n,): the hours and their local days, what went in,
    what it weighs, and the rate (kg/h) as a verdict has it, NaN where a mark exempts the hour."""

    factor: str
    hours: list[datetime]
    days: list[date]
    given: Hours
    made: Masses
    rate: npt.NDArray[np.float64]


def _reckon(
    point: Point,
    judged: Mapping[str, _Judged],
    start: datetime,
    first: datetime,
    end: datetime,
    spans: Sequence[tuple[datetime, datetime]],
    checks: Mapping[str, Sequence[QualityCheck]],
) -> Iterator[Reckoned]:
    """What a point's factors weigh from `first` on, the first hour that is due; `start`: of the
    judged hours; `spans`: times out of operation; `checks`: of the instruments, by factor.

    An hour that was measured as valid weighs what was measured, whatever a mark says of the plant.
    """
    assert point.outlet is not None
    kind = str(point.outlet.medium)
    n, skip = int((end - first) / HOUR), int((first - start) / HOUR)
    flow_code = FLOW[kind]
    scale = units.scale(value_unit(flow_code, point), "m³/h")
    if n <= 0 or scale is None:
        return
    hours = [first + i * HOUR for i in range(n)]
    days = [local_day(h) for h in hours]
    quarters = np.array([quarter_start(d).toordinal() for d in days])
    flow = judged.get(flow_code) or _Judged.none(int((end - start) / HOUR))
    q = flow.value[skip:]
    moves = q > 0 if point.version != "2005" else np.zeros(n, dtype=bool)
    idle = np.array([any(a < h + HOUR and h < b for a, b in spans) for h in hours])
    for code in sorted(judged):
        per = units.scale(value_unit(code, point), PER_VOLUME[kind])
        if code == flow_code or per is None:
            continue
        column = judged[code]
        still = (column.still | flow.still)[skip:] & ~moves
        conc = column.value[skip:] * per
        checked = np.zeros(n, dtype=bool)
        for row in (*checks.get(code, ()), *checks.get(flow_code, ())):
            place = int((row.time - first) // HOUR)
            if row.passed and 0 <= place < n:
                checked[place] = True
        given = Hours(
            conc, q * scale, still | idle, column.valid[skip:], flow.valid[skip:],
            (column.out | flow.out)[skip:], checked,
        )  # fmt: skip
        rate = compliance.rate(conc, PER_VOLUME[kind], q * scale, "m³/h")
        assert rate is not None
        rate[column.exempt[skip:]] = np.nan
        yield Reckoned(code, hours, days, given, masses(given, kind, quarters), rate)


def _rows(point: Point, one: Reckoned, since: datetime) -> list[EmissionDay]:
    """The rows of a factor's days from `since` on."""
    made, rate = one.made, one.rate
    conc = np.where(one.given.usable, one.given.conc, np.nan)
    by_day: dict[date, list[int]] = defaultdict(list)
    for i in range(max(0, int((since - one.hours[0]) / HOUR)), len(one.hours)):
        by_day[one.days[i]].append(i)
    out = []
    for day, places in by_day.items():
        kg, state = made.kg[places], made.state[places]
        measured = state == validity.Hour.VALID
        invalid = (state == validity.Hour.INVALID) | (state == validity.Hour.OUT_OF_CONTROL)
        weighed = measured & np.isfinite(conc[places])
        filled = invalid & np.isfinite(kg)
        rules = Counter(validity.RULES[r] for r in made.rule[places][filled].tolist() if r > 0)
        bound = measured & np.isfinite(rate[places])
        top = places[int(np.argmax(np.where(bound, rate[places], -1.0)))] if bound.any() else None
        out.append(
            EmissionDay(
                point=point,
                factor=one.factor,
                day=day,
                kg=float(np.nansum(kg)),
                substituted=float(kg[filled].sum()),
                hours=len(places),
                valid=int(measured.sum()),
                stopped=int((state == validity.Hour.STOPPED).sum()),
                without=int((invalid & ~filled).sum()),
                rules=dict(rules),
                mean=float(conc[places][weighed].mean()) if weighed.any() else None,
                peak=float(rate[top]) if top is not None else None,
                peak_at=one.hours[top] if top is not None else None,
            )
        )
    return out


# Against the permit -----------------------------------------------------------------------------


@dataclass
class Line:
    """A permitted amount and what was emitted against it, all in kg (rate: kg/h).

    `so_far`, `substituted`: of the running period; `share`: of the permitted amount; `over`: past
    months over the permitted amount, with the excess; for a rate the days on which an hour was over.
    """

    amount: PermitAmount
    permitted: float
    so_far: float
    substituted: float
    known: int
    days: int
    year: permits.Amount | None = None
    months: Mapping[int, float] = field(default_factory=dict)
    over: Mapping[int, float] = field(default_factory=dict)
    peaks: list[EmissionDay] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        return self.so_far / self.permitted if self.permitted else None

    @property
    def exceeded(self) -> bool:
        return self.so_far > self.permitted or bool(self.over) or bool(self.peaks)

    @property
    def state(self) -> str:
        """ "over", "ahead" (the projection is over), "none" (nothing known) or "within"."""
        if self.exceeded:
            return "over"
        if self.year is not None and self.year.verdict == permits.AmountVerdict.AHEAD:
            return "ahead"
        return "within" if self.known and not force.defect(self.amount) else "none"


def lines(amounts: Iterable[PermitAmount], year: int, today: date) -> list[Line]:
    """What was emitted in a year against permitted amounts; of this year up to yesterday."""
    rows = list(amounts)
    last = min(date(year, 12, 31), today - timedelta(days=1))
    first = date(year, 1, 1)
    length = max(0, (last - first).days + 1)
    enterprises = {a.permit.enterprise_id for a in rows}
    sums: dict[tuple[int, str], npt.NDArray[np.float64]] = {}
    extra: dict[tuple[int, str], npt.NDArray[np.float64]] = {}
    hours: Hourly = {}
    found = (
        EmissionDay.objects.filter(
            point__outlet__enterprise__in=enterprises, day__gte=first, day__lte=last
        )
        .values_list("point__outlet", "factor", "day")
        .annotate(
            Sum("kg"), Sum("substituted"),
            known=Sum("hours") - Sum("without") - Sum(_NOTHING), due=24 * Count("pk"),
        )
        .order_by()
    )  # fmt: skip
    for outlet, factor, day, kg, substituted, known, due in found:
        key, i = (outlet, factor), (day - first).days
        sums.setdefault(key, np.full(length, np.nan))[i] = kg if known else np.nan
        extra.setdefault(key, np.zeros(length))[i] = substituted
        hours.setdefault(key, np.zeros((2, length)))[:, i] = known, due
    outlets: dict[int, list[int]] = defaultdict(list)
    for pk, enterprise in Outlet.objects.filter(enterprise__in=enterprises).values_list("pk", "enterprise"):  # fmt: skip
        outlets[enterprise].append(pk)
    return [_line(a, year, length, sums, extra, hours, outlets, last) for a in rows]


def _line(
    amount: PermitAmount,
    year: int,
    length: int,
    sums: Mapping[tuple[int, str], npt.NDArray[np.float64]],
    extra: Mapping[tuple[int, str], npt.NDArray[np.float64]],
    hours: Hourly,
    outlets: Mapping[int, list[int]],
    last: date,
) -> Line:
    """One permitted amount. A day is known where one of its outlets has data of it, and as far as
    hours of all of them are known that are due (each counted with 24)."""
    rate = amount.period == PermitAmount.Period.RATE
    scale = units.scale(amount.unit, "kg/h" if rate else "kg") or float("nan")
    wrong = force.defect(amount)
    permitted = float(amount.value) * scale
    places = [amount.outlet_id] if amount.outlet_id else outlets[amount.permit.enterprise_id]
    series = [sums[o, amount.factor] for o in places if (o, amount.factor) in sums]
    parts = [extra[o, amount.factor] for o in places if (o, amount.factor) in extra]
    empty = np.full(length, np.nan)
    known = np.isfinite(series).any(axis=0) if series else np.zeros(length, bool)
    days = np.where(known, np.nansum(series, axis=0), np.nan) if series else empty
    filled = np.sum(parts, axis=0) if parts else np.zeros(length)
    both = sum((hours[o, amount.factor] for o in places if (o, amount.factor) in hours), np.zeros((2, length)))  # fmt: skip
    share = both[0] / np.maximum(both[1], 1)
    yearly = permits.amount(
        year, days.tolist(), None if rate or wrong else permitted,
        substituted=filled.tolist(), covered=share.tolist(),
    )  # fmt: skip
    line = Line(amount, permitted, yearly.total, yearly.substituted, int(known.sum()), length)
    if rate:
        line.peaks = list(
            EmissionDay.objects.filter(
                point__outlet__in=places, factor=amount.factor, peak__gt=permitted,
                day__gte=max(date(year, 1, 1), amount.valid_from), day__lte=last,
            ).select_related("point").order_by("-day")
        )  # fmt: skip
        highest = EmissionDay.objects.filter(
            point__outlet__in=places, factor=amount.factor, day__year=year
        ).aggregate(Max("peak"))["peak__max"]
        line.so_far, line.substituted = highest or 0.0, 0.0
    elif amount.period == PermitAmount.Period.MONTH:
        line.months = {m: v for m, v in enumerate(yearly.months, 1) if v}
        since = amount.valid_from if amount.valid_from.year == year else date(year, 1, 1)
        line.over = permits.months_over(
            yearly, dict.fromkeys(range(since.month, last.month + 1), permitted)
        )
        line.so_far = yearly.months[last.month - 1] if length else 0.0
        month = slice((date(year, last.month, 1) - date(year, 1, 1)).days, length)
        line.substituted = float(filled[month].sum())
    else:
        line.year = yearly
    return line


def judge(enterprises: Iterable[Enterprise], rows: Iterable[EmissionDay], today: date) -> int:
    """Findings for amounts over the permitted ones; how many are new. In the caller's transaction.

    Every year that the rows touch is judged, and that of yesterday, with the amounts that were in
    force at its end, of the running year yesterday.
    """
    chosen = list(enterprises)
    if not chosen:
        return 0
    of_chosen = PermitAmount.objects.filter(permit__enterprise__in=chosen)
    yesterday = today - timedelta(days=1)
    made = 0
    with translation.override("zh-hans"):  # a record, written in the language of the office
        for year in sorted({row.day.year for row in rows} | {yesterday.year}):
            if year <= yesterday.year:
                amounts = force.amounts(of_chosen, min(yesterday, date(year, 12, 31)))
                made += sum(_findings(line, year, today) for line in lines(amounts, year, today))
    return made


def _findings(line: Line, year: int, today: date) -> int:
    _corrected(line, year)
    amount = line.amount
    factor = factor_name(amount.factor)
    if amount.period == PermitAmount.Period.YEAR and line.so_far > line.permitted:
        title = _("%(factor)s emitted in %(year)d is over the permitted yearly amount") % {
            "factor": factor, "year": year,
        }  # fmt: skip
        begin, end = date(year, 1, 1), min(today, date(year + 1, 1, 1))
        return _notice(line, f"{year}", title, begin, end, line.so_far)
    made = 0
    if amount.period == PermitAmount.Period.MONTH:
        for month, excess in line.over.items():
            begin = date(year, month, 1)
            end = min(today, permits.period_start(begin + timedelta(days=31), "month"))
            title = _("%(factor)s emitted in %(month)s is over the permitted monthly amount") % {
                "factor": factor, "month": f"{begin:%Y-%m}",
            }  # fmt: skip
            made += _notice(line, f"{begin:%Y-%m}", title, begin, end, line.permitted + excess)
    for row in line.peaks:
        title = _("%(factor)s was emitted faster than the permitted rate on %(day)s") % {
            "factor": factor, "day": row.day,
        }  # fmt: skip
        made += _notice(line, f"{row.day}", title, row.day, row.day + timedelta(days=1), row.peak or 0.0)  # fmt: skip
    return made


def _episodes(amount: PermitAmount) -> str:
    """What the keys of an amount's findings begin with."""
    outlet, enterprise = amount.outlet, amount.permit.enterprise
    return f"amount/{enterprise.uscc}/{outlet.code if outlet else '*'}/{amount.factor}/{amount.period}/"


def _corrected(line: Line, year: int) -> None:
    """Tell again the findings of a year that were made against this amount and no longer stand."""
    amount, start = line.amount, _episodes(line.amount)
    if amount.period == PermitAmount.Period.YEAR:
        over = {f"{year}"} if line.so_far > line.permitted else set()
    else:
        over = {f"{year}-{m:02d}" for m in line.over} | {f"{p.day}" for p in line.peaks}
    for one in Finding.objects.filter(
        enterprise=amount.permit.enterprise_id, episode__startswith=f"{start}{year}"
    ):
        period = one.episode.removeprefix(start)
        if period in over or one.facts.get("permitted") != line.permitted:
            continue
        begin, end = local_day(one.began), local_day(one.ended)
        if amount.period != PermitAmount.Period.YEAR and end <= amount.valid_from:
            continue
        if amount.period == PermitAmount.Period.YEAR:
            now: float | None = line.so_far
        elif amount.period == PermitAmount.Period.MONTH:
            now = line.months.get(begin.month, 0.0)
        else:
            place = Q(point__outlet=amount.outlet_id) if amount.outlet_id else Q(point__outlet__enterprise=amount.permit.enterprise_id)  # fmt: skip
            rows = EmissionDay.objects.filter(place, factor=amount.factor, day=begin)
            now = rows.aggregate(Max("peak"))["peak__max"]
        _notice(line, period, one.title, begin, end, now, corrected=True)


def _notice(
    line: Line,
    period: str,
    title: str,
    begin: date,
    end: date,
    emitted: float | None,
    *,
    corrected: bool = False,
) -> int:
    """One finding an amount and period; told again it only brings the figures up to date.
    `corrected`: `title` is that of the finding, and the amount is within the permitted one again."""
    amount = line.amount
    enterprise = amount.permit.enterprise
    outlet = amount.outlet
    unit = "kg/h" if amount.period == PermitAmount.Period.RATE else "kg"
    place = outlet or enterprise
    _finding, created = notice(
        kind=Kind.EXCEEDANCE,
        episode=f"{_episodes(amount)}{period}",
        title=title
        if corrected
        else f"{enterprise.name} {outlet.code if outlet else ''} {title}".replace("  ", " ")[:200],
        region=enterprise.region_id,
        enterprise=enterprise,
        longitude=place.longitude,
        latitude=place.latitude,
        began=day_start(begin),
        ended=day_start(end),
        severity=3 if amount.period == PermitAmount.Period.YEAR else 2,
        facts={
            "factor": amount.factor,
            "emitted": emitted,
            "permitted": line.permitted,
            "substituted": line.substituted,
            **_projection(line),
            "unit": unit,
            "permit": amount.permit.number,
            "source": amount.source,
            "verified": str(amount.verified),
        },
        innocent=[
            _("Part of the sum stands in for invalid hours, with the largest values of hours before."),
            _("The permitted amount in the file is not that of the newest permit."),
        ],
        next_check=_("The values were corrected and no exceedance stands; verify, then dismiss.")
        if corrected
        else _("Compare the daily masses with the enterprise's own account and the permit."),
        confidence=_("Computed from hourly concentration and flow; substitution rules from secondary sources."),
    )  # fmt: skip
    return int(created)


def _projection(line: Line) -> dict[str, Any]:
    """What a finding of a yearly amount says of the year's end."""
    year = line.year
    if year is None or not line.known:
        return {}
    ahead = {"projected": year.projected, "low": year.low, "high": year.high}
    end = used_up(line)
    return ahead | ({"used_up": end.isoformat()} if end else {})


def used_up(line: Line) -> date | None:
    """The day on which a yearly amount was or will be used up. None for a day gone by on which it was
    not: only with the days that have no data would it have been."""
    year = line.year
    if year is None or year.used_up is None:
        return None
    over = year.verdict == permits.AmountVerdict.OVER
    return year.used_up if over or year.used_up > year.until else None


def known_factors(rows: Any) -> list[str]:
    """Factors that occur, by code."""
    return list(rows.order_by("factor").values_list("factor", flat=True).distinct())
