"""What `jingwei fsck` asks of this room."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.bureau.findings import clock, complaints, immutable
from jingwei.bureau.findings.apps import APPEND_ONLY
from jingwei.bureau.findings.models import Decision, DispatchRule, Finding, FindingFile, Identity
from jingwei.bureau.findings.services import said_digest
from jingwei.evidence import digest

# What is said once, when the episode is noticed, and never changes.
_FIXED = ("kind", "episode", "region")
_OF_STATE = tuple(Decision.Action(a) for a in ("dismiss", "reopen", "merge", "unmerge"))


def check() -> Iterator[str]:
    """One sentence per problem: findings without proof, or that differ from it, or from their
    decisions."""
    for name in immutable.missing(APPEND_ONLY):
        yield f"findings: the trigger {name} is missing; `jingwei prepare` puts it back"
    rows = Finding.objects.select_related("evidence").prefetch_related("decisions__evidence")
    rows = rows.order_by("pk")
    risen = clock.written()
    for finding in rows.iterator(chunk_size=500):
        yield from (f"finding {finding.pk}: {problem}" for problem in _problems(finding, risen))
    for file in (
        FindingFile.objects.select_related("evidence").order_by("pk").iterator(chunk_size=500)
    ):
        problem = _file_problem(file)
        if problem:
            yield f"finding {file.finding_id}: its file {file.pk} {problem}"
    yield from _identity_problems()
    yield from _dispatch_problems()


def _dispatch_problems() -> Iterator[str]:
    """Each rule, which decides whose a finding is, against the last that was told of it."""
    entries = EvidenceEntry.objects.filter(kind="dispatch.rule").order_by("pk")
    last = {entry.subject: entry for entry in entries.iterator(chunk_size=500)}
    for rule in DispatchRule.objects.select_related("department").order_by("pk"):
        entry = last.pop(f"dispatch:{rule.pk}", None)
        if entry is None:
            yield f"dispatch rule {rule.pk} has no entry in the evidence log"
            continue
        content = told(entry)
        is_ = {
            "act": "written" if rule.state == DispatchRule.State.TEST else rule.state,
            "area": rule.area,
            "matter": rule.matter,
            "department": rule.department.code,
        }
        for name, value in is_.items():
            if content.get(name) != value:
                yield (
                    f"dispatch rule {rule.pk}: {name} is {value!r}, but the evidence log says"
                    f" {content.get(name)!r}"
                )
                break
        else:
            if problem := spoken(entry, {"reason": rule.reason}):
                yield f"dispatch rule {rule.pk}: {problem}"
    for subject in last:
        yield f"the evidence log tells of {subject}, which is not there"


def _identity_problems() -> Iterator[str]:
    keys = complaints.keys()
    for identity in Identity.objects.select_related("evidence").order_by("pk"):
        said = json.loads(identity.evidence.content)["content"].get("sealed")
        if said != digest.both(bytes(identity.sealed)):
            yield f"identity {identity.pk}: it is not what was sealed"
        kept = keys.kept(bytes(identity.sealed))
        if identity.erased and kept:
            yield f"identity {identity.pk}: it is erased, but still has its key"
        elif not identity.erased and not kept:
            yield f"identity {identity.pk}: its key is lost"


def _file_problem(file: FindingFile) -> str:
    try:
        with file.file.open("rb") as stream:
            found = digest.both(iter(lambda: stream.read(1 << 20), b""))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if found != {"sha256": file.sha256, "sm3": file.sm3}:
        return "is not what was handed in: its digest differs"
    if found not in told(file.evidence)["files"]:
        return "is not one of those that the evidence log tells of"
    return ""


def _problems(finding: Finding, risen: Mapping[str, int]) -> Iterator[str]:
    if finding.evidence is None:
        yield "it has no entry in the evidence log"
    else:
        said = json.loads(finding.evidence.content)["content"]
        row = {"kind": finding.kind, "episode": finding.episode, "region": finding.region_id}
        for name in _FIXED:
            if said.get(name) != row[name]:
                yield f"{name} is {row[name]!r}, but the evidence log says {said.get(name)!r}"
        # What people filed stays as it was; an episode of the system's or of an interface goes on.
        lasting = (Finding.Source.FORM, Finding.Source.FILE, Finding.Source.PUBLIC)
        if finding.source in lasting and said.get("said") not in (None, said_digest(finding)):
            yield "its words are not those that the evidence log was told of"
    yield from clock.problems(finding, risen)
    for decision in finding.decisions.all():
        content = told(decision.evidence)
        row = {"action": decision.action, **decision.data}
        if any(content.get(name) != value for name, value in row.items()):
            yield f"decision {decision.pk} is not the one that the evidence log tells of"
        elif problem := spoken(decision.evidence, {"reason": decision.reason}):
            yield f"decision {decision.pk}: {problem}"
    acts = [d.action for d in finding.decisions.all() if d.action in _OF_STATE]
    last = acts[-1] if acts else ""
    if (last == Decision.Action.DISMISS) != (finding.state == Finding.State.DISMISSED):
        yield f"its state is {finding.state!r}, but its last decision says otherwise"
    if (
        finding.state == Finding.State.MERGED
        and last != Decision.Action.MERGE
        and not _merged(finding)
    ):
        yield "it is merged, but nobody decided so"


def _merged(finding: Finding) -> bool:
    """Whether it gave its hours to another finding of the same episode, which needs no person."""
    return EvidenceEntry.objects.filter(
        kind="finding.merged", subject=f"finding:{finding.pk}"
    ).exists()
