"""What `jingwei fsck` asks of this room."""

from __future__ import annotations

import json
from collections.abc import Iterator

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings import immutable
from jingwei.bureau.findings.apps import APPEND_ONLY
from jingwei.bureau.findings.models import Decision, Finding

# What is said once, when the episode is noticed, and never changes.
_FIXED = ("kind", "episode", "region")


def check() -> Iterator[str]:
    """One sentence per problem: findings without proof, or that differ from it, or from their
    decisions."""
    for name in immutable.missing(APPEND_ONLY):
        yield f"findings: the trigger {name} is missing; `jingwei prepare` puts it back"
    rows = Finding.objects.select_related("evidence").prefetch_related("decisions").order_by("pk")
    for finding in rows.iterator(chunk_size=500):
        yield from (f"finding {finding.pk}: {problem}" for problem in _problems(finding))


def _problems(finding: Finding) -> Iterator[str]:
    if finding.evidence is None:
        yield "it has no entry in the evidence log"
    else:
        said = json.loads(finding.evidence.content)["content"]
        row = {"kind": finding.kind, "episode": finding.episode, "region": finding.region_id}
        for name in _FIXED:
            if said.get(name) != row[name]:
                yield f"{name} is {row[name]!r}, but the evidence log says {said.get(name)!r}"
    last = list(finding.decisions.all())[-1:]
    dismissed = bool(last) and last[0].action == Decision.Action.DISMISS
    if dismissed != (finding.state == Finding.State.DISMISSED) and not _merged(finding):
        yield f"its state is {finding.state!r}, but its last decision says otherwise"


def _merged(finding: Finding) -> bool:
    """Whether it gave its hours to another finding of the same episode, which needs no person."""
    return EvidenceEntry.objects.filter(
        kind="finding.merged", subject=f"finding:{finding.pk}"
    ).exists()
