"""From the lake to judgements: which hours and days are valid, and what the limits say of them.

A judgement reads first and writes afterwards, in one short transaction that locks the cursor: of
two judges at once the second finds the cursor moved, writes nothing and starts anew. What is judged
depends on what the lake, the marks and the limits say, never on the order in which it came.

Three feeds lead to it: the changes of the lake's hours and days, and `Due`, which asks for periods
that no telegram of their own asks for (minutes of an hour, hours of a day, a mark that was set).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction

from jingwei.analysis import validity
from jingwei.analysis.compliance import RATE, Limit, Reason, Verdict, judge_hours, rate
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import (
    asking,
    days,
    episodes,
    furnaces,
    gas,
    judgements,
    marking,
    naming,
    quality,
    samples,
    transmission,
)
from jingwei.bureau.monitoring.judgements import Draft
from jingwei.bureau.monitoring.models import (
    Basis,
    Cursor,
    Due,
    Exceedance,
    Furnace,
    HourNaming,
    InstrumentRange,
    Mark,
)
from jingwei.bureau.monitoring.observations import (
    FLOW,
    HOUR,
    RUN,
    Column,
    Series,
    cells,
    check,
    check_flat,
    day_start,
    from_minutes,
    medium,
    moment,
    moves,
    normal_marks,
    read,
    seconds,
    value_unit,
)
from jingwei.bureau.monitoring.spans import SPAN, neighbours, spans
from jingwei.bureau.monitoring.transmission import GRACE, SAMPLE, due_factors
from jingwei.bureau.monitoring.verdicts import as_limit, explain, is_rate, of_hours
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import codes
from jingwei.telemetry.lake import Lake

log = logging.getLogger("jingwei.monitoring")

EXCEEDED = int(Verdict.EXCEEDED)
BATCH = 4000  # changes of the lake judged in one transaction
KEPT_UNKNOWN = 50  # names of unknown points kept in the cursor

Limits = Mapping[int, list[PermitLimit]]


@dataclass
class Report:
    """What a judgement met and did; all are counts."""

    changes: int = 0  # periods of points that the lake said were touched
    due: int = 0  # periods that were due again
    judged: int = 0  # verdicts
    invalid: Counter[str] = field(default_factory=Counter)  # values, by fault
    not_judged: Counter[str] = field(default_factory=Counter)  # verdicts missing, by reason
    without_limits: int = 0  # touched periods of sources that have no limit in force
    unknown: Counter[str] = field(default_factory=Counter)  # touched periods by unknown point
    bad_limits: int = 0
    rejudged: int = 0  # periods of which another judgement stood before
    exceeded: int = 0  # new exceedances, corrected ones among them
    corrected: int = 0
    withdrawn: int = 0
    findings: int = 0  # new findings
    moved: bool = False  # something was written; False: nothing to do, or another judge was faster

    def counts(self) -> dict[str, int]:
        return {
            "changes": self.changes,
            "judged": self.judged,
            "without_limits": self.without_limits,
            "bad_limits": self.bad_limits,
            "rejudged": self.rejudged,
            "exceeded": self.exceeded,
            "corrected": self.corrected,
            "withdrawn": self.withdrawn,
            "findings": self.findings,
            **{f"invalid.{why}": n for why, n in sorted(self.invalid.items())},
            **{f"not_judged.{why}": n for why, n in sorted(self.not_judged.items())},
            "unknown": self.unknown.total(),
        }


def judge(now: datetime, period: str = "hour", limit: int = BATCH) -> Report:
    """Judge what has changed or is due: at most about `limit` changes, and as many that are due.

    `period` is "hour" or "day". Idempotent: the same observations judged again change nothing.
    Limits in force on the period's local day are applied, each version by itself. Raises nothing
    for bad data: it is counted, and the counts stay in the cursor.
    """
    name = f"judge-{period}"
    cursor, _created = Cursor.objects.get_or_create(name=name)
    lake = Lake(settings.ENV.lake)
    changes = lake.changes(cursor.batch, period, limit)
    report = Report(changes=len(changes))
    waiting = list(
        Due.objects.filter(what=period, after__lte=now)
        .order_by("after", "pk")
        .values_list("pk", "point", "time")[: 5 * limit]
    )
    if not changes and not waiting:
        return report
    head = changes[-1].batch if changes else cursor.batch
    points = {
        (p.mn, p.st): p
        for p in Point.objects.filter(mn__in={c.mn for c in changes}).select_related(
            "outlet__enterprise"
        )
    }
    touched: dict[Point, set[int]] = defaultdict(set)
    for change in changes:
        point = points.get((change.mn, change.st))
        if point is None:
            report.unknown[f"{change.mn}-{change.st}"] += 1
        elif point.kind != Point.Kind.MICRO_STATION:  # indicative: never judged
            touched[point].add(seconds(change.time))
    done = _take_due(touched, waiting, limit)
    report.due = len(done)

    work = Work(lake, now, report)
    drafts, verdicts = (work.hours if period == "hour" else work.days)(touched)

    with transaction.atomic():
        locked = Cursor.objects.select_for_update().get(name=name)
        if (locked.batch, locked.rounds) != (cursor.batch, cursor.rounds):
            return Report()  # another judge was faster
        _delete(Due, done)
        subject = f"{name}:{head}:{locked.rounds}"
        settled = episodes.settle(verdicts, period, touched, subject)
        known = judgements.last()
        changed, report.rejudged = judgements.store(drafts, period, now, subject, known)
        if period == "hour":
            transmission.count(changed, known, now)
            asking.ask_days(changed, now)
            asking.ask_accounts(changed, now)
            furnaces.inquire(changed, now)
        report.exceeded, report.corrected = settled.exceeded, settled.corrected
        report.withdrawn, report.findings = settled.withdrawn, settled.findings
        locked.batch, locked.rounds = head, locked.rounds + 1
        counts = Counter(locked.counts.get("sum", {}))
        counts.update(report.counts())
        unknown = {**locked.counts.get("unknown", {}), **report.unknown}
        locked.counts = {
            "sum": dict(counts),
            "unknown": dict(list(unknown.items())[-KEPT_UNKNOWN:]),
        }
        locked.save()
    report.moved = True
    if report.unknown:
        log.warning("the lake has data of points that are not registered: %s", dict(report.unknown))
    return report


def _take_due(
    touched: dict[Point, set[int]], waiting: list[tuple[int, int, datetime]], limit: int
) -> list[int]:
    """Add what is due to what was touched; the rows that are done with it. What the feed touches
    anyway is done too, of the rest at most `limit` periods."""
    own = {p.pk: times for p, times in touched.items()}
    done, more = [], defaultdict(set)
    count = 0
    for pk, point_id, when in waiting:
        second = seconds(when)
        if second in own.get(point_id, ()) or second in more.get(point_id, ()):
            done.append(pk)
        elif count < limit:
            more[point_id].add(second)
            done.append(pk)
            count += 1
    known = {p.pk: p for p in touched}
    missing = [pk for pk in more if pk not in known]
    known |= Point.objects.select_related("outlet__enterprise").in_bulk(missing)
    for point_id, times in more.items():
        touched[known[point_id]] |= times
    return done


def _delete(model: Any, keys: list[int]) -> None:
    for at in range(0, len(keys), 500):
        model.objects.filter(pk__in=keys[at : at + 500]).delete()


class Work:
    """Reading and judging, without writing: once, of hours or of days."""

    def __init__(self, lake: Lake, now: datetime, report: Report) -> None:
        self.lake, self.now, self.report = lake, now, report
        self.limits: dict[int, list[PermitLimit]] = defaultdict(list)
        self.displaced: Mapping[int, list[PermitLimit]] = {}
        self.ranges: dict[int, dict[str, float]] = defaultdict(dict)
        self.bases: dict[int, list[Basis]] = defaultdict(list)
        self.furnaces: dict[int, list[Furnace]] = defaultdict(list)
        self.samples: dict[int, list[tuple[int, str, samples.Cell | None]]] = {}
        self.checks: dict[int, quality.Periods] = {}
        self.standing: set[tuple[int, int]] = set()  # limit, second: exceedances that stand

    def _rows(self, touched: Mapping[Point, set[int]], period: str) -> None:
        points = list(touched)
        if touched:
            self.standing = {
                (limit, seconds(when))
                for limit, when in Exceedance.objects.filter(
                    point__in=points,
                    period=period,
                    withdrawn="",
                    time__gte=moment(min(map(min, touched.values())) - RUN * HOUR),
                    time__lte=moment(max(map(max, touched.values())) + RUN * HOUR),
                ).values_list("limit", "time")
            }
        outlets = {p.outlet_id for p in points if p.outlet_id}
        self.samples = samples.of(points, period)
        self.checks = quality.periods(points)
        for row in PermitLimit.objects.filter(outlet__in=outlets, period=period):
            self.limits[row.outlet_id].append(row)
        self.displaced = force.displaced(row for rows in self.limits.values() for row in rows)
        for point_id, factor, high in InstrumentRange.objects.filter(point__in=points).values_list(
            "point", "factor", "high"
        ):
            self.ranges[point_id][factor] = high
        for basis in Basis.objects.filter(point__in=points).order_by("since"):
            self.bases[basis.point_id].append(basis)
        for furnace in Furnace.objects.filter(outlet__in=outlets):
            self.furnaces[furnace.outlet_id].append(furnace)

    def _asked(self, point: Point) -> bool:
        """Whether anybody waits for nitrogen oxides: a limit or the register."""
        limits = self.limits.get(point.outlet_id or 0, ())
        return gas.NOX in due_factors(point) or any(row.factor == gas.NOX for row in limits)

    def hours(
        self, touched: Mapping[Point, set[int]]
    ) -> tuple[list[Draft], list[episodes.Verdict]]:
        self._rows(touched, "hour")
        drafts: list[Draft] = []
        verdicts: list[episodes.Verdict] = []
        for by_point in spans(neighbours(touched)):
            low = min(min(times) for times in by_point.values())
            high = max(max(times) for times in by_point.values())
            margin = timedelta(hours=RUN)
            start, end = moment(low) - margin, moment(high) + margin + timedelta(hours=1)
            hours = read(self.lake, "hour", start, end, by_point)
            minutes = read(self.lake, "minute", start, end, by_point)
            names = naming.of(by_point)
            marks = marking.standing([p.outlet_id for p in by_point], start, end)
            wanted = set(range(seconds(start), seconds(end), HOUR))
            for point, times in by_point.items():
                ranges = self.ranges.get(point.pk, {})
                series, short = hours[point.pk], minutes[point.pk]
                name = names.get(point.pk)
                check(point, series, ranges, HOUR if name == HourNaming.Name.START else 0)
                if short:
                    check(point, short, ranges)
                    shift = HOUR if name == HourNaming.Name.END else 0
                    from_minutes(point, series, short, wanted, shift)
                check_flat(point, series)
                gas.to_dry_standard(point, series, self.bases.get(point.pk, ()))
                gas.nitrogen_oxides(point, series, self._asked(point))
                rows = marks.get(point.outlet_id or 0, [])
                found, more = self._judge_hours(point, sorted(times), series, rows)
                drafts += found
                verdicts += more
        return drafts, verdicts

    def _judge_hours(
        self, point: Point, times: list[int], series: Series, marks: list[Mark]
    ) -> tuple[list[Draft], list[episodes.Verdict]]:
        complete = seconds(self.now - GRACE) - HOUR  # minutes make an hour only once it is complete
        wanted = set(times)
        table: dict[int, dict[str, Any]] = {}
        telegrams: dict[int, set[int]] = {}
        for code, c in series.items():
            for second, seq, one in cells(c, wanted):
                if second in c.made and second > complete:
                    continue
                if second in table:
                    table[second][code] = one
                else:
                    table[second], telegrams[second] = {code: one}, set()
                telegrams[second].update(c.made.get(second) or (seq,))
                if "fault" in one:
                    self.report.invalid.update(validity.names(one["fault"]))
        if marks:
            own = self.furnaces.get(point.outlet_id or 0, [])
            _apply(marking.effects(point, marks, own, table), series, table)
        for second, code in self._out_of_control(point, table, HOUR):
            c = series[code]
            c.fault[c.place[second]] |= np.uint16(Fault.OUT_OF_CONTROL)
        for second, code, one in self.samples.get(point.pk, ()):
            if second in wanted:
                telegrams.setdefault(second, set())
                samples.put(table.setdefault(second, {}), code, one)
        have = sorted(table)
        drafts = {s: Draft(point, s, sorted(telegrams[s]), table[s]) for s in have}
        verdicts = self._judge(point, have, series, drafts, bool(marks))
        return list(drafts.values()), verdicts

    def _out_of_control(
        self, point: Point, table: Mapping[int, Mapping[str, dict[str, Any]]], length: int
    ) -> list[tuple[int, str]]:
        """Make invalid what was measured while the instrument was out of control; which cells it was."""
        found = self.checks.get(point.pk)
        out = []
        for second, factors in table.items() if found else ():
            for code, one in factors.items():
                period = quality.at(found or {}, code, one.get("parts", ()), second, length)
                if period is not None and one["value"] is not None:
                    one["fault"] = one.get("fault", 0) | int(Fault.OUT_OF_CONTROL)
                    one["check"] = period.failed
                    self.report.invalid["out_of_control"] += 1
                    out.append((second, code))
        return out

    def _judge(
        self,
        point: Point,
        times: list[int],
        series: Series,
        drafts: dict[int, Draft],
        marked: bool,
    ) -> list[episodes.Verdict]:
        """Hold the hours against every limit in force, all hours of a limit at once."""
        out: list[episodes.Verdict] = []
        bound = set()
        for row in self.limits.get(point.outlet_id or 0, []):
            here = self._times(row, times)
            bound.update(here)
            out += self._ended(point, row, times, here)
            have = [s for s in here if row.factor in drafts[s].factors]
            if not have:
                continue
            limit = as_limit(row)
            have = self._by_samples(row, have, drafts, out)
            if not have:
                continue
            c = series[row.factor]
            at = np.array([c.place[s] for s in have])
            known = validity.reasons(c.fault[at])
            if marked:
                free = np.array(["exempt" in drafts[s].factors[row.factor] for s in have])
                known[free & (known == 0)] = Reason.EXEMPT
            many = self._compare(point, row, limit, series, have, c, at, known)
            if many is None:
                self.report.not_judged[Reason.UNIT.key] += len(have)
                continue
            key = str(row.pk)
            self._tally(many.reason)
            for s, verdict, why, value in zip(
                have,
                many.verdict.tolist(),
                many.reason.tolist(),
                many.value.tolist(),
                strict=True,
            ):
                said = drafts[s].factors[row.factor].setdefault("limits", {})
                said[key] = [verdict, why, value if verdict else None]
                if verdict == EXCEEDED or (row.pk, s) in self.standing:
                    out.append(self._verdict(drafts[s], row, verdict, why))
        if point.kind == Point.Kind.SOURCE:
            self.report.without_limits += len(times) - len(bound)
        return out

    def _times(self, row: PermitLimit, times: list[int]) -> list[int]:
        """Those of the times at which a limit is applied."""
        here = _while_in_force(row, times)
        if not force.usable(row):
            self.report.bad_limits += len(here)
            return []
        for other in self.displaced.get(row.pk, ()):
            here = sorted(set(here) - set(_while_in_force(other, here)))
        return here

    def _ended(
        self, point: Point, row: PermitLimit, times: Iterable[int], here: Iterable[int]
    ) -> list[episodes.Verdict]:
        """Of the times outside of a limit's force those at which an exceedance of it stands."""
        return [
            episodes.Verdict(point, row, moment(s), Reason(0), None, ended=True)
            for s in sorted(set(times) - set(here))
            if (row.pk, s) in self.standing
        ]

    def _by_samples(
        self,
        row: PermitLimit,
        have: list[int],
        drafts: Mapping[int, Draft],
        out: list[episodes.Verdict],
    ) -> list[int]:
        """Judge by the officers' samples what has (or had) one; the periods that are left."""
        if is_rate(row):
            return [s for s in have if drafts[s].factors[row.factor].get("origin") != SAMPLE]
        left = []
        for s in have:
            cell = drafts[s].factors[row.factor]
            if "sample" not in cell and cell.get("origin") != SAMPLE:
                left.append(s)
                continue
            one = explain(drafts[s].point, row, drafts[s].factors, row.period)
            assert one is not None
            said = [int(one.verdict), int(one.reason), one.value]
            cell.setdefault("limits", {})[str(row.pk)] = said
            self._tally([said[1]])
            if one.verdict == EXCEEDED or (row.pk, s) in self.standing:
                out.append(self._verdict(drafts[s], row, int(one.verdict), int(one.reason)))
        return left

    def _compare(
        self,
        point: Point,
        row: PermitLimit,
        limit: Limit,
        series: Series,
        have: list[int],
        c: Column,
        at: Any,
        known: validity.Codes,
    ) -> Any:
        unit = value_unit(row.factor, point)
        value = c.value[at]
        if is_rate(row):
            code = FLOW[medium(point)]
            q, q_known = _beside(series.get(code), have)
            made = rate(value, unit, q, value_unit(code, point))
            if made is None:
                return None
            known = np.where(known == 0, np.where(q_known != 0, Reason.FLOW_INVALID, 0), known)
            value, unit = np.where(known != 0, 0.0, made), RATE  # the reason first
            limit = Limit(limit.value, limit.unit, None, limit.lower)
        flags = [c.flag[i] for i in at.tolist()]
        air = series.get("a19001")
        o2, o2_known = _beside(air, have)
        o2_known = np.where(np.isnan(o2), 0, o2_known)
        o2_flags = [""] * len(have)
        if air is not None:
            o2_flags = ["" if (i := air.at(s)) is None else air.flag[i] for s in have]
        return judge_hours(
            value,
            flags,
            o2,
            o2_flags,
            limit=limit,
            unit=unit,
            normal=normal_marks(point.version),
            known=known,
            o2_known=o2_known,
        )

    def _tally(self, reasons: Any) -> None:
        for why, n in zip(*np.unique(reasons, return_counts=True), strict=True):
            if why:
                self.report.not_judged[Reason(int(why)).key] += int(n)
            else:
                self.report.judged += int(n)

    def _verdict(self, d: Draft, row: PermitLimit, verdict: int, why: int) -> episodes.Verdict:
        exceedance = None
        if verdict == EXCEEDED:
            one = explain(d.point, row, d.factors, row.period)
            assert one is not None
            assert one.value is not None
            exceedance = Exceedance(
                point=d.point,
                factor=row.factor,
                period=row.period,
                time=d.time,
                value=one.value,
                unit=codes.symbol(row.unit),
                limit=row,
                limit_value=one.limit.value,
                multiple=one.multiple,
                steps=[s.to_json() for s in one.steps],
                telegrams=d.telegrams,
            )
        return episodes.Verdict(d.point, row, d.time, Reason(why), exceedance)

    def days(
        self,
        touched: Mapping[Point, set[int]],
        *,
        every: bool = False,
        hours: Mapping[int, list[days.Hour]] | None = None,
    ) -> tuple[list[Draft], list[episodes.Verdict]]:
        """Days of outlets with daily limits, from their valid hours where hours came, else as the
        device sent them. (Of the other days the pages make the mean when they are asked.)
        `hours`: by point; None: those that stand."""
        self._rows(touched, "day")
        self.report.without_limits += sum(
            len(times)
            for p, times in touched.items()
            if p.kind == Point.Kind.SOURCE and not self.limits.get(p.outlet_id or 0)
        )
        if not every:
            touched = {p: t for p, t in touched.items() if self.limits.get(p.outlet_id or 0)}
        drafts: list[Draft] = []
        verdicts: list[episodes.Verdict] = []
        for by_point in spans(touched, 4 * SPAN):
            starts = {s for times in by_point.values() for s in times}
            start, end = moment(min(starts)), moment(max(starts)) + timedelta(days=1)
            sent = read(self.lake, "day", start, end, by_point)
            stored = days.hours(by_point, start, end) if hours is None else hours
            for point, times in by_point.items():
                check(point, sent[point.pk], self.ranges.get(point.pk, {}))
                gas.to_dry_standard(point, sent[point.pk], self.bases.get(point.pk, ()))
                gas.nitrogen_oxides(point, sent[point.pk], self._asked(point))
                rows = self.limits.get(point.outlet_id or 0, [])
                references = {r.reference_o2 for r in rows if r.reference_o2 is not None}
                over = [s for s in sorted(times) if s + 86400 <= seconds(self.now + GRACE)]
                made = days.means(point, over, stored.get(point.pk, []), sent[point.pk], references)
                sent_days = {
                    s: {k: c for k, c in cells_.items() if c.get("origin") != "hours"}
                    for s, (cells_, _telegrams) in made.items()
                }
                self._out_of_control(point, sent_days, 86400)
                for second, code, one in self.samples.get(point.pk, ()):
                    if second in over:
                        samples.put(made.setdefault(second, ({}, []))[0], code, one)
                found = [
                    Draft(point, s, telegrams, cells)
                    for s, (cells, telegrams) in sorted(made.items())
                ]
                verdicts += self._judge_days(point, found, rows)
                drafts += found
        return drafts, verdicts

    def _judge_days(
        self, point: Point, drafts: list[Draft], rows: list[PermitLimit]
    ) -> list[episodes.Verdict]:
        """Hold days against every limit in force; those made from hours all at once."""
        out: list[episodes.Verdict] = []
        bound: set[int] = set()
        for d in drafts:
            for one in d.factors.values():
                if "fault" in one:
                    self.report.invalid.update(validity.names(one["fault"]))
        for row in rows:
            here = set(self._times(row, [d.second for d in drafts]))
            bound |= here
            out += self._ended(point, row, [d.second for d in drafts], here)
            have = [d for d in drafts if d.second in here and row.factor in d.factors]
            if not have:
                continue
            limit = as_limit(row)
            by_second = {d.second: d for d in have}
            left = self._by_samples(row, list(by_second), by_second, out)
            have = [by_second[s] for s in left]
            made = [d for d in have if d.factors[row.factor].get("origin") == "hours"]
            unit = value_unit(row.factor, point)
            pairs = [of_hours(d.factors[row.factor], row, unit) for d in made]
            many = judge_hours(
                [np.nan if value is None else value for value, _ in pairs],
                [""] * len(made),
                limit=Limit(limit.value, limit.unit, None, limit.lower),
                unit=unit,
                known=[why for _, why in pairs],
            )
            said = {
                d.second: (verdict, why, value if verdict else None)
                for d, verdict, why, value in zip(
                    made,
                    many.verdict.tolist(),
                    many.reason.tolist(),
                    many.value.tolist(),
                    strict=True,
                )
            }
            for d in have:
                if d.second not in said:
                    one_day = explain(point, row, d.factors, "day")
                    assert one_day is not None
                    said[d.second] = (int(one_day.verdict), int(one_day.reason), one_day.value)
                verdict, why, value = said[d.second]
                d.factors[row.factor].setdefault("limits", {})[str(row.pk)] = [verdict, why, value]
                if verdict == EXCEEDED or (row.pk, d.second) in self.standing:
                    out.append(self._verdict(d, row, verdict, why))
            self._tally([why for _, why, _ in said.values()])
        self.report.without_limits += len(drafts) - len(bound)
        return out


def _apply(effects: marking.Effects, series: Series, table: Mapping[int, dict[str, Any]]) -> None:
    """Make invalid what the enterprise marked as a fault or upkeep of the device, and say of valid
    values which mark keeps them from being a basis."""
    for second, number in effects.device.items():
        for code, one in table.get(second, {}).items():
            c = series[code]
            c.fault[c.place[second]] |= np.uint16(Fault.MARK)
            one["fault"] = int(c.fault[c.place[second]])
            one["by"] = number
    for second in effects.exempt:
        for code, one in table.get(second, {}).items():
            number_or_none = effects.is_exempt(second, code)
            if number_or_none is not None and moves(code):
                one["exempt"] = number_or_none


def _beside(c: Column | None, times: list[int]) -> tuple[Any, Any]:
    """Values of another factor at the same times (NaN: none), and what is known against them."""
    value = np.full(len(times), np.nan)
    why = np.full(len(times), int(Reason.VALUE_MISSING), dtype=np.int8)
    if c is not None:
        have = [(n, i) for n, s in enumerate(times) if (i := c.at(s)) is not None]
        if have:
            to, at = np.array(have).T
            value[to] = c.value[at]
            why[to] = validity.reasons(c.fault[at])
    return value, why


def _while_in_force(row: PermitLimit, times: list[int]) -> list[int]:
    low = seconds(day_start(row.valid_from))
    high = (
        seconds(day_start(row.valid_to + timedelta(days=1)))
        if row.valid_to and row.valid_to < date.max
        else 1 << 62
    )
    return [s for s in times if low <= s < high]


def preview(point: Point, period: str, when: datetime, now: datetime) -> dict[str, Any] | None:
    """The cells of a period as the judgement would write them now; None where nothing came."""
    work = Work(Lake(settings.ENV.lake), now, Report())
    touched = {point: {seconds(when)}}
    drafts = work.hours(touched)[0] if period == "hour" else work.days(touched, every=True)[0]
    return next((d.factors for d in drafts if d.second == seconds(when)), None)
