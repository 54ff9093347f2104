"""Writing exceedances and their findings: what stands, what was corrected, which episode it is.

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
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isclose
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.analysis.compliance import Reason
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import merge, notice
from jingwei.bureau.monitoring.models import Exceedance
from jingwei.bureau.monitoring.observations import LENGTH
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.evidence import canonical
from jingwei.standards import codes

EPISODE_GAP = timedelta(hours=24)
COUNTED = {"hour": "hours", "day": "days"}  # the fact that counts the periods over the limit
IN_ENTRY = 80  # exceedances in one evidence entry (an entry holds at most 65,535 bytes)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judgement says of one observation and one limit: needed of every one that exceeds,
    and of those of which an exceedance stands. `ended`: the limit no longer holds at that time."""

    point: Point
    limit: PermitLimit
    time: datetime
    reason: Reason
    exceedance: Exceedance | None  # not saved
    ended: bool = False


@dataclass(slots=True)
class Settled:
    """What settling did; all are counts."""

    exceeded: int = 0  # new exceedances, corrected ones among them
    corrected: int = 0
    withdrawn: int = 0
    findings: int = 0  # new findings


def settle(verdicts: list[Verdict], period: str, points: Iterable[Point], subject: str) -> Settled:
    """Compare with what stands, write the difference, and keep the findings right."""
    report = Settled()
    if not verdicts:
        return report
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
                why = v.reason.key if v.reason else Exceedance.Withdrawn.WITHIN
                old.withdrawn = Exceedance.Withdrawn.LIMIT if v.ended else why
                gone.append(old)
        elif old is None:
            new.append(v.exceedance)
        elif not same(old, v.exceedance):
            old.withdrawn = Exceedance.Withdrawn.CORRECTED
            v.exceedance.finding_id = old.finding_id
            replaced.append((old, v.exceedance))
    if not (new or replaced or gone):
        return report

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
    return report


def same(old: Exceedance, new: Exceedance) -> bool:
    """Whether two judgements rest on the same numbers and come to the same value."""
    return _inputs(old) == _inputs(new) and isclose(old.value, new.value, rel_tol=1e-9)


def _inputs(e: Exceedance) -> list[Any]:
    """What a judgement started from: everything in its steps that was not computed."""
    steps = {s["key"]: s["numbers"] for s in e.steps}
    air = steps.get("converted", {})
    return [
        steps.get("raw"),
        steps.get("mark", {}).get("mark"),
        *(air.get(name) for name in ("o2", "o2_mark", "o2s")),
        steps.get("rate"),
        steps.get("count"),
        steps.get("mean", {}).get("value"),
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
