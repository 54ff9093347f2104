"""Everything that writes the monitoring room: judgement of hour and day means, transmission days.

A judgement reads the lake first and writes afterwards, in one short transaction that locks the
cursor: of two judges at once the second finds the cursor moved, writes nothing and starts anew.

What an *episode* is. Standing exceedances of one point, factor and period belong to one episode as
long as each begins at most `EPISODE_GAP` after the one before. An episode has one finding, whatever
the order in which its hours arrive:

* an hour that comes late joins the finding of its episode, and `began` moves back (the episode key
  keeps the start hour that was known when the finding was made: it is a name, not a fact);
* an hour that closes the gap between two findings joins the one that people work on (in a case),
  else the earlier; the other, where it is new, is dismissed with the reason "same episode" and
  gives it its hours. Two findings that are both in cases stay as they are;
* a finding that a person dismissed takes no further hours: what comes after is a new finding;
* a correction takes hours away and updates the facts; it neither splits nor removes a finding.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from math import isclose
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from jingwei.analysis.compliance import Limit, Reason, judge_hour, judge_hours
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import merge, notice
from jingwei.bureau.monitoring.models import Cursor, Exceedance, TransmissionDay
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.evidence import canonical
from jingwei.standards import codes
from jingwei.telemetry.lake import Lake

log = logging.getLogger("jingwei.monitoring")

EPISODE_GAP = timedelta(hours=24)
BATCH = 4000  # changes of the lake judged in one transaction
GRACE = timedelta(minutes=10)  # an hour mean is due this long after its hour has ended
OXYGEN = {"2005": "S01", "2017": "a19001", "2025": "a19001"}
AHEAD = timedelta(minutes=10)  # a period that ends later than this ahead of now: wrong clock
LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
COUNTED = {"hour": "hours", "day": "days"}  # the fact that counts the periods over the limit
KEPT_UNKNOWN = 50  # names of unknown points kept in the cursor
IN_ENTRY = 80  # exceedances in one evidence entry (an entry holds at most 65,535 bytes)


@dataclass
class Report:
    """What a judgement met and did; all are counts."""

    changes: int = 0  # periods of points that the lake said were touched
    judged: int = 0  # verdicts
    not_judged: Counter[str] = field(default_factory=Counter)  # by reason
    without_limits: int = 0  # touched periods of sources that have no limit in force
    unknown: Counter[str] = field(default_factory=Counter)  # touched periods by unknown point
    bad_limits: int = 0
    exceeded: int = 0  # new exceedances, corrected ones among them
    corrected: int = 0
    withdrawn: int = 0
    findings: int = 0  # new findings
    moved: bool = False  # the cursor went on; False: nothing to do, or another judge was faster

    def counts(self) -> dict[str, int]:
        return {
            "changes": self.changes,
            "judged": self.judged,
            "without_limits": self.without_limits,
            "bad_limits": self.bad_limits,
            "exceeded": self.exceeded,
            "corrected": self.corrected,
            "withdrawn": self.withdrawn,
            "findings": self.findings,
            **{f"not_judged.{why}": n for why, n in sorted(self.not_judged.items())},
            "unknown": self.unknown.total(),
        }


@dataclass(frozen=True, slots=True)
class Cell:
    """One observation as the lake has it now."""

    value: float | None
    flag: str
    zs: float | None
    seq: int


Hours = dict[datetime, dict[str, Cell]]  # start -> factor (code of 2017) -> observation
Table = dict[int, Hours]  # by point id


def judge(now: datetime, period: str = "hour", limit: int = BATCH) -> Report:
    """Judge what the lake says has changed since the last call: at most about `limit` periods.

    `period` is "hour" or "day". Idempotent: the same observations judged again change nothing.
    Limits in force on the period's local day are applied, each version by itself. Raises nothing
    for bad data: it is counted, and the counts stay in the cursor.
    """
    name = f"judge-{period}"
    cursor, _created = Cursor.objects.get_or_create(name=name)
    lake = Lake(settings.ENV.lake)
    changes = lake.changes(cursor.batch, period, limit)
    report = Report(changes=len(changes))
    if not changes:
        return report

    head = changes[-1].batch
    points = {
        (p.mn, p.st): p
        for p in Point.objects.filter(mn__in={c.mn for c in changes}).select_related(
            "outlet__enterprise"
        )
    }
    touched: dict[date, dict[Point, set[datetime]]] = defaultdict(lambda: defaultdict(set))
    for change in changes:
        point = points.get((change.mn, change.st))
        if point is None:
            report.unknown[f"{change.mn}-{change.st}"] += 1
        elif change.time + LENGTH[period] > now + AHEAD:
            report.not_judged["clock_ahead"] += 1
        else:
            touched[local_day(change.time)][point].add(change.time)

    limits: dict[int, list[PermitLimit]] = defaultdict(list)
    for row in PermitLimit.objects.filter(
        outlet__in={p.outlet_id for p in points.values() if p.outlet_id}, period=period
    ):
        limits[row.outlet_id].append(row)

    verdicts: list[_Verdict] = []
    days: dict[tuple[int, date], _Day] = {}
    for day, by_point in touched.items():
        table = read_day(lake, period, day, by_point)
        for point, times in by_point.items():
            verdicts += _judge_point(
                point, day, times, limits[point.outlet_id or 0], table[point.pk], report
            )
            if period == "hour":
                days[point.pk, day] = _count_day(point, table[point.pk])

    with transaction.atomic():
        locked = Cursor.objects.select_for_update().get(name=name)
        if locked.batch != cursor.batch:
            return Report()  # another judge was faster
        _settle(verdicts, period, points.values(), report, f"{name}:{head}")
        if days:
            _store_days({p.pk: p for p in points.values()}, days, now)
        locked.batch = head
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


# Reading and judging ----------------------------------------------------------------------------


def local_day(moment: datetime) -> date:
    return timezone.localtime(moment).date()


def day_start(day: date) -> datetime:
    """The start of a local day."""
    return timezone.make_aware(datetime.combine(day, time.min))


def read_day(lake: Lake, period: str, day: date, points: Iterable[Point]) -> Table:
    """All observations of the points that start on the local day, by the factor codes of 2017."""
    start, end = day_start(day), day_start(day + timedelta(days=1))
    known = {(p.mn, p.st): (p.pk, p.version) for p in points}
    rows = lake.scan(period, start, end, points=sorted(known))
    columns = ("mn", "st", "factor", "time", "value", "flag", "zs", "seq")
    table: Table = {pk: {} for pk, _version in known.values()}
    for mn, st, factor, moment, value, flag, zs, seq in zip(
        *(rows.column(name).to_pylist() for name in columns), strict=True
    ):
        pk, version = known[mn, st]
        cells = table[pk].setdefault(moment, {})
        cells[current_code(factor, version)] = Cell(value, flag or "", zs, seq)
    return table


def current_code(factor: str, version: str) -> str:
    """The code of 2017 for a factor code as sent."""
    if version == "2005":
        known = codes.factor(factor, "2005")
        return (known.code_2017 or factor) if known else factor
    return factor


def normal_marks(version: str) -> frozenset[str]:
    """The data marks of a version under which a value is judged; "" (none sent) among them."""
    return frozenset({"", *(m.flag for m in codes.marks(version) if m.normal)})


def sent_code(factor: str, version: str) -> str:
    """The code under which a device of `version` sends a factor (code of 2017)."""
    if version == "2005":
        for known in codes.factors("2005").values():
            if known.code_2017 == factor:
                return known.code
    return factor


def value_unit(factor: str, point: Point) -> str:
    """The unit in which a point sends a factor (code of 2017)."""
    return codes.unit(sent_code(factor, point.version), point.version, point.st)


def in_force(limits: Iterable[PermitLimit], day: date) -> list[PermitLimit]:
    return [
        row
        for row in limits
        if row.valid_from <= day and (row.valid_to is None or day <= row.valid_to)
    ]


def as_limit(row: PermitLimit) -> Limit:
    """The limit as the laboratory wants it; `ValueError` for one that cannot be judged by."""
    return Limit(float(row.value), row.unit, row.reference_o2, row.lower)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the judgement says of one observation and one limit."""

    point: Point
    limit: PermitLimit
    time: datetime
    reason: Reason
    exceedance: Exceedance | None  # not saved


def _judge_point(
    point: Point,
    day: date,
    times: set[datetime],
    limits: list[PermitLimit],
    seen: Hours,
    report: Report,
) -> list[_Verdict]:
    valid = in_force(limits, day)
    if point.kind == Point.Kind.SOURCE and not valid:
        report.without_limits += len(times)
    out: list[_Verdict] = []
    normal = normal_marks(point.version)
    cells = {t: seen[t] for t in sorted(times) if t in seen}
    for row in valid:
        have = [t for t, c in cells.items() if row.factor in c]
        if not have:
            continue
        try:
            limit = as_limit(row)
        except ValueError:
            report.bad_limits += len(have)
            continue
        unit = value_unit(row.factor, point)
        measured = [cells[t][row.factor] for t in have]
        oxygen = [cells[t].get("a19001") for t in have]
        many = judge_hours(
            [_nan(c.value) for c in measured],
            [c.flag for c in measured],
            [_nan(o.value if o else None) for o in oxygen],
            [o.flag if o else "" for o in oxygen],
            limit=limit,
            unit=unit,
            normal=normal,
        )
        for t, c, o, over, why in zip(
            have, measured, oxygen, many.exceeded, many.reason, strict=True
        ):
            reason = Reason(int(why))
            exceedance = None
            if over:
                one = judge_hour(
                    c.value,
                    c.flag,
                    o.value if o else None,
                    o.flag if o else None,
                    limit=limit,
                    unit=unit,
                    sent=c.zs,
                    normal=normal,
                )
                assert one.value is not None
                exceedance = Exceedance(
                    point=point,
                    factor=row.factor,
                    period=row.period,
                    time=t,
                    value=one.value,
                    unit=codes.symbol(row.unit),
                    limit=row,
                    limit_value=limit.value,
                    multiple=one.multiple,
                    steps=[s.to_json() for s in one.steps],
                    telegrams=sorted({c.seq, *([o.seq] if o and limit.reference_o2 else [])}),
                )
            if reason:
                report.not_judged[reason.key] += 1
            else:
                report.judged += 1
            out.append(_Verdict(point, row, t, reason, exceedance))
    return out


# Writing: exceedances and findings --------------------------------------------------------------


def _settle(
    verdicts: list[_Verdict],
    period: str,
    points: Iterable[Point],
    report: Report,
    subject: str,
) -> None:
    """Compare with what stands, write the difference, and keep the findings right."""
    if not verdicts:
        return
    times = [v.time for v in verdicts]
    standing = {
        (e.point_id, e.limit_id, e.time): e
        for e in Exceedance.objects.filter(
            point__in=list(points),
            period=period,
            withdrawn="",
            time__gte=min(times),
            time__lte=max(times),
        )
    }
    new: list[Exceedance] = []
    replaced: list[tuple[Exceedance, Exceedance]] = []
    gone: list[Exceedance] = []
    for v in verdicts:
        old = standing.get((v.point.pk, v.limit.pk, v.time))
        if v.exceedance is None:
            if old:
                old.withdrawn = v.reason.key if v.reason else Exceedance.Withdrawn.WITHIN
                gone.append(old)
        elif old is None:
            new.append(v.exceedance)
        elif not _same(old, v.exceedance):
            old.withdrawn = Exceedance.Withdrawn.CORRECTED
            v.exceedance.finding_id = old.finding_id
            replaced.append((old, v.exceedance))
    if not (new or replaced or gone):
        return

    Exceedance.objects.bulk_update([*gone, *(old for old, _new in replaced)], ["withdrawn"])
    added = [*new, *(e for _old, e in replaced)]
    report.findings += _assign(new, added, gone)
    entries = [
        *((e, "found") for e in new),
        *((e, "corrected") for _old, e in replaced),
        *((e, "withdrawn") for e in gone),
    ]
    for part in range(0, len(entries), IN_ENTRY):
        rows = entries[part : part + IN_ENTRY]
        entry = record(
            "exceedances",
            subject if not part else f"{subject}:{part // IN_ENTRY}",
            {"exceedances": [fact(e, act) for e, act in rows]},
        )
        for e, act in rows:
            if act != "withdrawn":
                e.evidence = entry
    Exceedance.objects.bulk_create(added, batch_size=500)
    for old, one in replaced:
        old.superseded_by = one
    Exceedance.objects.bulk_update([old for old, _new in replaced], ["superseded_by"])
    report.exceeded += len(added)
    report.corrected += len(replaced)
    report.withdrawn += len(gone)


def _same(old: Exceedance, new: Exceedance) -> bool:
    """Whether two judgements rest on the same numbers and come to the same value."""
    return _inputs(old) == _inputs(new) and isclose(old.value, new.value, rel_tol=1e-9)


def _inputs(e: Exceedance) -> list[Any]:
    """What a judgement started from: everything in its steps that was not computed."""
    steps = {s["key"]: s["numbers"] for s in e.steps}
    air = steps.get("converted", {})
    return [
        steps["raw"],
        steps["mark"]["mark"],
        *(air.get(name) for name in ("o2", "o2_mark", "o2s")),
        steps["limit"],
    ]


def fact(e: Exceedance, act: str) -> dict[str, Any]:
    """What the evidence log says of an exceedance; the steps by the digest of their RFC 8785 form."""
    # All numbers as floats: PostgreSQL gives 1e20 and -0.0 back as 10^20 and 0.
    steps = canonical.dumps(json.loads(json.dumps(e.steps), parse_int=float))
    return {
        "act": act,
        "reason": str(e.withdrawn),
        "point": e.point.key,
        "factor": e.factor,
        "period": str(e.period),
        "time": e.time,
        "value": e.value,
        "unit": e.unit,
        "limit": e.limit_value,
        "permit_limit": e.limit_id,
        "multiple": e.multiple,
        "telegrams": [str(seq) for seq in e.telegrams],
        "steps_sha256": hashlib.sha256(steps).hexdigest(),
    }


def _assign(new: list[Exceedance], added: list[Exceedance], gone: list[Exceedance]) -> int:
    """Give every new exceedance its finding and bring the facts of all touched findings up to date.

    Returns how many findings were made. `new` rows are not saved yet.
    """
    groups: dict[tuple[int, str, str], list[Exceedance]] = defaultdict(list)
    for e in new:
        groups[e.point_id, e.factor, e.period].append(e)
    touched: set[int] = {e.finding_id for e in [*added, *gone] if e.finding_id}
    made = 0
    for (point_id, factor, period), rows in groups.items():
        known = list(
            Exceedance.objects.filter(point_id=point_id, factor=factor, period=period, withdrawn="")
            .filter(
                time__gte=min(e.time for e in rows) - EPISODE_GAP,
                time__lte=max(e.time for e in rows) + EPISODE_GAP,
            )
            .select_related("finding")
        )
        for cluster in _clusters([*known, *rows]):
            fresh = [e for e in cluster if e.finding_id is None]
            if not fresh:
                continue
            found = {e.finding_id: e.finding for e in cluster if e.finding_id}
            finding = _survivor(found.values())
            if finding is None:
                finding, created = _notice(fresh[0].point, fresh, f"{fresh[0].time:%Y-%m-%dT%H}Z")
                made += created
            else:
                for other in found.values():
                    if other.pk != finding.pk and _merge(other, finding):
                        touched.discard(other.pk)
            for e in fresh:
                e.finding = finding
            touched.add(finding.pk)

    unsaved: dict[int, list[Exceedance]] = defaultdict(list)
    for e in added:
        if e.finding_id:
            unsaved[e.finding_id].append(e)
    for finding in Finding.objects.filter(pk__in=touched).select_related(
        "point__outlet__enterprise"
    ):
        _refresh(finding, unsaved[finding.pk])
    return made


def _clusters(rows: list[Exceedance]) -> list[list[Exceedance]]:
    """Rows in order of time, cut where the gap is wider than an episode's."""
    out: list[list[Exceedance]] = []
    for e in sorted(rows, key=lambda e: e.time):
        if out and e.time - out[-1][-1].time <= EPISODE_GAP:
            out[-1].append(e)
        else:
            out.append([e])
    return out


def _survivor(found: Iterable[Finding]) -> Finding | None:
    """The finding that takes new hours: one in a case before a new one, the earlier before the later;
    last one that a person merged into another that still goes on."""
    rank = {Finding.State.IN_CASE: 0, Finding.State.NEW: 1, Finding.State.MERGED: 2}
    usable = [
        f
        for f in found
        if f.state in rank and not (f.merged_into and f.merged_into.state not in rank)
    ]
    return min(usable, key=lambda f: (rank[Finding.State(f.state)], f.began, f.pk), default=None)


def _merge(other: Finding, into: Finding) -> bool:
    """Two findings turned out to be one episode: `other`, if still new, gives its hours to `into`."""
    with translation.override("zh-hans"):
        reason = _("Same episode as finding %(number)d: hours in between came late.") % {
            "number": into.pk
        }
    merged = merge(other, into, reason=reason, why="late hours joined two episodes")
    if merged:
        Exceedance.objects.filter(finding=other).update(finding=into)
    return merged


def refresh(finding: Finding) -> None:
    """Bring the facts of a finding whose exceedances were moved to what stands now."""
    _refresh(finding, [])


def _refresh(finding: Finding, unsaved: list[Exceedance]) -> None:
    """Bring the facts of a finding to what stands now."""
    rows = [
        *Exceedance.objects.filter(finding=finding, withdrawn="").select_related("limit"),
        *unsaved,
    ]
    assert finding.point is not None
    _notice(finding.point, rows, finding=finding)


def _notice(
    point: Point, rows: list[Exceedance], start: str = "", finding: Finding | None = None
) -> tuple[Finding, bool]:
    """Create the finding of an episode, or bring an existing one up to date."""
    rows = sorted(rows, key=lambda e: e.time)
    facts: dict[str, Any]
    if rows:
        worst = max(rows, key=lambda e: (e.multiple or 0.0, -e.time.timestamp()))
        last = rows[-1]
        factor, period = last.factor, str(last.period)
        facts = {
            "factor": factor,
            "period": period,
            "highest": worst.value,
            "highest_at": worst.time.isoformat(),
            "limit": worst.limit_value,
            "lower_bound": worst.limit.lower,
            "unit": worst.unit,
            "reference_o2": worst.limit.reference_o2,
            "multiple": worst.multiple,
            COUNTED[period]: len({e.time for e in rows}),
            "source": worst.limit.source,
            "verified": worst.limit.verified,
        }
        began, ended = rows[0].time, last.time + LENGTH[period]
        severity = _severity(worst.multiple, facts[COUNTED[period]], period)
    else:
        assert finding is not None
        factor, period = finding.facts["factor"], finding.facts["period"]
        facts = {**finding.facts, COUNTED[period]: 0}
        began, ended, severity = finding.began, finding.ended, finding.severity
    if finding:
        facts["corrected"] = (
            Exceedance.objects.filter(finding=finding).exclude(withdrawn="").count()
        )
    if finding:
        # `notice` takes over what reaches furthest; a correction may have taken the last hour away.
        began, ended = min(began, finding.began), max(ended, finding.ended)
    with translation.override("zh-hans"):  # a record, written once in the language of the office
        title = _title(point, factor, period, bool(facts.get("lower_bound")))
        check = (
            _(
                "Compare the data of the analyser, the logger and the platform; check working"
                " condition, treatment and calibration records of these hours on the spot."
            )
            if rows
            else _("The values were corrected and no exceedance stands; verify, then dismiss.")
        )
        innocent = [
            _("Start-up, shut-down or low load that was not marked in time."),
            _("Calibration, drift or fault of the analyser that was not marked."),
        ]
        if facts.get("reference_o2") is not None:
            innocent.append(_("High oxygen (air leakage, low load) enlarges the converted value."))
    return notice(
        kind=Kind.EXCEEDANCE,
        episode=finding.episode if finding else f"exceedance/{point.key}/{factor}/{period}/{start}",
        title=title,
        region=point.region_id,
        longitude=point.longitude,
        latitude=point.latitude,
        began=began,
        ended=ended,
        severity=severity,
        enterprise=point.enterprise,
        point=point,
        facts=facts,
        innocent=innocent,
        next_check=check,
        confidence=_confidence(facts),
    )


def _title(point: Point, factor: str, period: str, lower: bool) -> str:
    known = codes.factor(factor)
    values = {
        "place": f"{point.enterprise or point.name} {point.outlet.code if point.outlet else ''}",
        "factor": known.zh if known else factor,
    }
    text = {
        ("hour", False): _("%(place)s: hourly mean of %(factor)s over the limit"),
        ("day", False): _("%(place)s: daily mean of %(factor)s over the limit"),
        ("hour", True): _("%(place)s: hourly mean of %(factor)s under the lower limit"),
        ("day", True): _("%(place)s: daily mean of %(factor)s under the lower limit"),
    }[period, lower]
    return (text % values)[:200]


def _confidence(facts: dict[str, Any]) -> str:
    with translation.override("zh-hans"):
        if facts.get("verified") == PermitLimit.Verified.VERIFIED:
            return _("Valid data, limit read in the standard.")
        return _("Valid data; the limit comes from a source that was not verified.")


def _severity(multiple: float | None, count: int, period: str) -> int:
    """High from twice the limit, or from 6 hours or 2 days in one episode; else medium."""
    long = count >= (6 if period == "hour" else 2)
    return 3 if long or (multiple is not None and multiple >= 1) else 2


# Writing: transmission --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Day:
    received: int
    valid: int
    first: datetime | None


def _due_factors(point: Point) -> frozenset[str]:
    return frozenset(current_code(code, point.version) for code in point.factors)


def _count_day(point: Point, seen: Hours) -> _Day:
    """What a point sent of the hours of one local day, of the factors that it should send."""
    due, normal = _due_factors(point), normal_marks(point.version)
    received = valid = 0
    for cells in seen.values():
        for code, cell in cells.items():
            if code in due:
                received += 1
                valid += cell.value is not None and cell.flag in normal
    return _Day(received, valid, min(seen, default=None))


def _expected(point: Point, day: date, since: datetime, now: datetime) -> int:
    """Hours of the day due by `now`, from `since`, times the factors that the point should send."""
    end = min(day_start(day + timedelta(days=1)), now - GRACE)
    hours = max(0, int((end - since) / timedelta(hours=1)))
    return hours * len(_due_factors(point))


def _store_days(
    points: dict[int, Point], days: dict[tuple[int, date], _Day], now: datetime
) -> None:
    """Write the touched days. On a point's first day hours are expected from its first hour only."""
    by_point: dict[int, dict[date, _Day]] = defaultdict(dict)
    for (point_id, day), counted in days.items():
        if counted.first is not None:
            by_point[point_id][day] = counted
    firsts = {
        row["point"]: row["first"]
        for row in TransmissionDay.objects.filter(point__in=by_point)
        .values("point")
        .annotate(first=Min("day"))
        .order_by()
    }
    rows = []
    for point_id, counted in by_point.items():
        point, known = points[point_id], firsts.get(point_id)
        first = min(min(counted), known) if known else min(counted)
        for day, c in counted.items():
            assert c.first is not None
            since = c.first if day == first else day_start(day)
            rows.append(
                TransmissionDay(
                    point=point,
                    day=day,
                    since=since,
                    expected=_expected(point, day, since, now),
                    received=c.received,
                    valid=c.valid,
                )
            )
        if known and first < known and known not in counted:  # no longer the first: a whole day
            TransmissionDay.objects.filter(point=point, day=known).update(
                since=day_start(known), expected=_expected(point, known, day_start(known), now)
            )
    TransmissionDay.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["point", "day"],
        update_fields=["since", "expected", "received", "valid"],
    )


def expect(now: datetime) -> int:
    """Bring what is expected up to `now`: days without any data get a row, open days grow.

    Returns how many rows were written. Points that never sent anything, and disabled ones, expect
    nothing. One read where no hour has become due since the last call.
    """
    cursor, _created = Cursor.objects.get_or_create(name="expect")
    hour = int((now - GRACE).timestamp()) // 3600
    return _expect(now, hour) if cursor.batch < hour else 0


@transaction.atomic
def _expect(now: datetime, hour: int) -> int:
    cursor = Cursor.objects.select_for_update().get(name="expect")
    if cursor.batch >= hour:
        return 0
    back_to = local_day(datetime.fromtimestamp(cursor.batch * 3600, UTC))
    today = local_day(now)
    spans = {
        row["point"]: (row["first"], row["last"])
        for row in TransmissionDay.objects.filter(point__enabled=True)
        .values("point")
        .annotate(first=Min("day"), last=Max("day"))
        .order_by()
    }
    points = Point.objects.in_bulk(list(spans))
    start = max(back_to, min((first for first, _last in spans.values()), default=today))
    there = {
        (row.point_id, row.day): row
        for row in TransmissionDay.objects.filter(point__in=points, day__gte=start)
    }
    missing, grown = [], []
    for point_id, (first, _last) in spans.items():
        point = points[point_id]
        day = max(start, first)
        while day <= today:
            row = there.get((point_id, day))
            since = row.since if row else day_start(day)
            expected = _expected(point, day, since, now)
            if row is None:
                missing.append(
                    TransmissionDay(
                        point=point, day=day, since=since, expected=expected, received=0, valid=0
                    )
                )
            elif row.expected != expected:
                row.expected = expected
                grown.append(row)
            day += timedelta(days=1)
    TransmissionDay.objects.bulk_create(missing, batch_size=500, ignore_conflicts=True)
    TransmissionDay.objects.bulk_update(grown, ["expected"], batch_size=500)
    cursor.batch = hour
    cursor.save(update_fields=["batch"])
    return len(missing) + len(grown)


def _nan(x: float | None) -> float:
    return float("nan") if x is None else x
