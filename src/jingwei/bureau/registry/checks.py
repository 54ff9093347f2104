"""For `jingwei fsck`: does the reference data fit together, and is what permits, plans, results and
triggers say what the evidence log was told of them?
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken
from jingwei.bureau.registry import changes, selectors, triggers
from jingwei.bureau.registry.models import (
    ManualResult,
    MonitoringPlan,
    PermitVersion,
    TriggerRule,
)


def check() -> Iterator[str]:
    """One sentence a problem: overlapping limits, limits of a foreign outlet, unknown factors; rows
    that differ from their entries in the evidence log."""
    yield from selectors.problems()
    yield from _permits()
    yield from _plans()
    yield from _results()
    yield from _triggers()


def _told(entry: EvidenceEntry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.content)["content"]
    return found


def _plain(value: Any) -> Any:
    """A value as the log has it: dates as texts, all numbers alike."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value)
    return str(value)


def _permits() -> Iterator[str]:
    """What each version permits from its day on. Rows entered without a version have no entry."""
    rows = PermitVersion.objects.exclude(evidence=None).select_related("permit", "evidence")
    for version in rows.order_by("pk").iterator(chunk_size=200):
        said = _plain(_told(version.evidence)["lines"])
        have = _plain(changes.facts(version.permit, version.in_force))
        for line in [x for x in have if x not in said]:
            yield f"Permit {version.permit} permits {line} on {version.in_force}, of which the evidence log does not tell."
        for line in [x for x in said if x not in have]:
            yield f"Permit {version.permit}: the evidence log tells of {line} on {version.in_force}, which is not there."


def _plans() -> Iterator[str]:
    """Lines of monitoring plans against the last that was told of each."""
    last: dict[str, EvidenceEntry] = {}
    entries = EvidenceEntry.objects.filter(kind="permit", subject__startswith="plan:")
    for entry in entries.order_by("pk").iterator(chunk_size=500):
        last[entry.subject] = entry
    lines = {f"plan:{p.pk}": p for p in MonitoringPlan.objects.select_related("permit", "outlet")}
    for subject, line in lines.items():
        if subject not in last:
            yield f"Line {line.pk} of a monitoring plan has no entry in the evidence log."
    for subject, entry in last.items():
        row = lines.get(subject)
        if row is None:
            yield f"The evidence log tells of {subject}, which is not there."
            continue
        is_ = {
            "permit": row.permit.number, "outlet": row.outlet.code, "factor": row.factor,
            "means": str(row.means), "every": str(row.every), "times": row.times,
            "valid_from": row.valid_from, "valid_to": row.valid_to,
        }  # fmt: skip
        yield from _differs(f"Line {row.pk} of a monitoring plan", is_, _told(entry))


def _results() -> Iterator[str]:
    for row in (
        ManualResult.objects.select_related("evidence", "outlet__enterprise")
        .order_by("pk")
        .iterator(chunk_size=500)
    ):
        if row.evidence is None:
            yield f"Manual result {row.pk} has no entry in the evidence log."
            continue
        is_ = {
            "outlet": f"{row.outlet.enterprise.uscc} {row.outlet.code}", "factor": row.factor,
            "sampled": row.sampled, "value": float(row.value) if row.value is not None else None,
            "unit": row.unit, "below_detection": row.below_detection, "report": row.report,
            "reported": row.reported,
        }  # fmt: skip
        said = _told(row.evidence)
        if said["value"] is not None:
            said["value"] = float(said["value"])
        yield from _differs(f"Manual result {row.pk}", is_, said)


def _triggers() -> Iterator[str]:
    """By what rule orders were proposed, and what was noted of it."""
    rows = TriggerRule.objects.select_related("evidence").order_by("pk")
    for row in rows.iterator(chunk_size=500):
        what = f"Trigger {row.code}, version {row.version}"
        if row.evidence is None:
            yield f"{what} has no entry in the evidence log."
            continue
        acts = {TriggerRule.State.DRAFT: "drafted", TriggerRule.State.LIVE: "live"}
        # One that another took the place of ended without an entry of its own.
        act = acts.get(row.state) or _told(row.evidence)["act"]
        is_ = {"act": act} | {name: getattr(row, name) for name in triggers.FIELDS}
        yield from _differs(what, is_, _told(row.evidence))
        if problem := spoken(row.evidence, {"note": row.note}):
            yield f"{what}: {problem}."
        if row.state == TriggerRule.State.LIVE and not triggers.is_tried(row):
            yield f"{what} is live, but was not tried on history as it stands."


def _differs(what: str, is_: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    for name, value in is_.items():
        if _plain(value) != _plain(said.get(name)):
            yield f"{what}: {name} is {value}, but the evidence log says {said.get(name)}."
            return
