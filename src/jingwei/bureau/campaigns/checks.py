"""What `jingwei fsck` asks of this room: are programmes, summaries, shares and what was written in them
as the evidence log was told?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jingwei.bureau.campaigns.acting import testimony, words
from jingwei.bureau.campaigns.apps import APPEND_ONLY
from jingwei.bureau.campaigns.course import CALLED_OFF, CLOSED, RUNNING, WORDS
from jingwei.bureau.campaigns.models import (
    Answer,
    Change,
    Evaluation,
    Programme,
    Recommendation,
    Share,
    Summary,
)
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.bureau.findings import immutable
from jingwei.evidence import canonical, digest

ENDS = {"conclude": CLOSED, "call_off": CALLED_OFF}  # act: state after


def check() -> Iterator[str]:
    """One sentence a problem."""
    for name in immutable.missing(APPEND_ONLY):
        yield f"campaigns: the trigger {name} is missing; `jingwei prepare` puts it back"
    programmes = Programme.objects.select_related("evidence", "lead").prefetch_related("regions")
    for row in programmes.order_by("pk").iterator(chunk_size=500):
        if problem := _programme(row):
            yield f"programme {row.pk}: {problem}"
    summaries = Summary.objects.select_related("evidence").order_by("pk")
    for summary in summaries.iterator(chunk_size=500):
        is_ = {"act": "summary", "day": summary.day.isoformat(), "figures": summary.figures}
        if problem := _differs(summary.evidence, is_, {"text": summary.text}):
            yield f"summary {summary.pk}: {problem}"
    for evaluation in Evaluation.objects.select_related("evidence").order_by("pk").iterator():
        is_ = {"act": "evaluate", "figures": digest.both(canonical.dumps(evaluation.figures))}
        if problem := _differs(evaluation.evidence, is_, {}):
            yield f"evaluation {evaluation.pk}: {problem}"
    for advice in Recommendation.objects.select_related("evidence", "department").order_by("pk"):
        if problem := _recommendation(advice):
            yield f"recommendation {advice.pk}: {problem}"
    shares = Share.objects.select_related("evidence").order_by("pk")
    for share in shares.iterator(chunk_size=500):
        if problem := _share(share):
            yield f"shared case {share.pk}: {problem}"
    answers = Answer.objects.select_related("evidence", "share").order_by("pk")
    for answer in answers.iterator(chunk_size=500):
        is_ = {"act": "answer", "share": answer.share_id, "authority": answer.share.authority}
        if problem := _differs(answer.evidence, is_, {"name": answer.name, "text": answer.text}):
            yield f"answer {answer.pk}: {problem}"


def _programme(row: Programme) -> str:
    """What of a row is not as begin and changes, folded in their order, tell; empty for nothing."""
    changes = list(row.changes.select_related("evidence"))
    logged = EvidenceEntry.objects.filter(kind="campaign", subject=f"campaign:{row.pk}")
    entries = [(entry, told(entry)) for entry in logged.order_by("pk")]
    if [e.pk for e, content in entries if "seq" in content] != [c.evidence_id for c in changes]:
        return "its changes are not those that the evidence log tells of"
    is_ = {
        "act": "begin",
        "kind": row.kind,
        "title": row.title,
        "level": row.level,
        "document": row.document,
        "begins": row.begins.isoformat(),
        "ends": row.ends.isoformat(),
        "regions": sorted(r.pk for r in row.regions.all()),
        "matters": sorted(row.matters),
        "text": row.text,
        "checklist": row.checklist,
    }
    folded = told(row.evidence)
    if "lead" in folded:  # entries of before do not tell of it
        is_["lead"] = row.lead.code
    # The log has words by digest alone: those of the begin are what the first amendment found.
    for name in WORDS:
        rewritten = (c.changes[name][0] for c in changes if name in c.changes)
        folded[name] = next(rewritten, is_[name])
    if problem := spoken(row.evidence, {name: folded[name] for name in WORDS}):
        return problem
    for change in changes:
        if problem := _differs(change.evidence, testimony(change), words(change)):
            return f"change {change.seq}: {problem}"
        for name, (was, now) in change.changes.items():
            if folded.get(name, was) != was:
                return f"change {change.seq}: {name} was {folded[name]!r}, not {was!r}"
            folded[name] = now
    for name, value in is_.items():
        if value != folded[name]:
            return f"{name} is {value!r}, but the evidence log says {folded[name]!r}"
    ends = {content["act"]: entry for entry, content in entries if content["act"] in ENDS}
    state = next((ENDS[act] for act in ends), RUNNING)
    if (row.state, bool(row.closed)) != (state, bool(ends)):
        found = f"{row.state}, {'' if row.closed else 'not '}over"
        return f"it is {found}, but the evidence log says {state}"
    ended = next((c for c in changes if c.act in ENDS), None)
    if ended is not None and row.closed != ended.at:
        return f"it was over at {row.closed}, but change {ended.seq} is of {ended.at}"
    if problem := _teams(row, entries, changes):
        return problem
    return spoken(ends["conclude"], {"text": row.conclusion}) if "conclude" in ends else ""


def _teams(
    row: Programme, entries: list[tuple[EvidenceEntry, dict[str, Any]]], changes: list[Change]
) -> str:
    """What of the teams is not as they were named and taken out; empty for nothing."""
    standing: dict[int, EvidenceEntry] = {}
    for entry, content in entries:
        if content["act"] == "team":
            standing[content["team"]] = entry
        elif content["act"] == "untie":
            standing.pop(content["team"], None)
    there = {team.pk: team for team in row.teams.prefetch_related("members")}
    if set(there) != set(standing):
        return f"its teams are {sorted(there)}, but the evidence log says {sorted(standing)}"
    # Of teams named before changes were kept, the entry alone tells.
    kept = {change.evidence_id: words(change) for change in changes}
    for pk, entry in standing.items():
        team = there[pk]
        members = sorted(m.pk for m in team.members.all())
        clear = {"region": team.region_id or "", "size": len(members)}
        said = {**kept.get(entry.pk, {}), "name": team.name, "members": members}
        if problem := _differs(entry, clear, said):
            return f"team {pk}: {problem}"
    return ""


def _recommendation(row: Recommendation) -> str:
    is_ = {
        "act": "recommend",
        "cause": row.cause,
        "cases": row.count,
        "department": row.department.code,
        "due": row.due.isoformat(),
    }
    if problem := _differs(row.evidence, is_, {"measure": row.measure}):
        return problem
    entries = EvidenceEntry.objects.filter(kind="campaign", subject=f"campaign:{row.programme_id}")
    withdrawn = {"act": "withdraw", "recommendation": row.pk}
    if bool(row.withdrawn) != any(told(entry) == withdrawn for entry in entries):
        return (
            f"it is {'' if row.withdrawn else 'not '}withdrawn, but the evidence log says otherwise"
        )
    return ""


def _share(row: Share) -> str:
    is_ = {"act": "share", "authority": row.authority, "facts": row.with_facts}
    if problem := _differs(row.evidence, is_, {"request": row.request}):
        return problem
    entries = EvidenceEntry.objects.filter(kind="case.share", subject=f"case:{row.case_id}")
    revoked = {"act": "revoke", "share": row.pk}
    if bool(row.revoked) != any(told(entry) == revoked for entry in entries):
        return f"it is {'' if row.revoked else 'not '}revoked, but the evidence log says otherwise"
    return ""


def _differs(entry: EvidenceEntry, is_: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """What of a row is not as its entry tells; empty for nothing."""
    content = told(entry)
    for name, value in is_.items():
        if value != content.get(name):
            return f"{name} is {value!r}, but the evidence log says {content.get(name)!r}"
    return spoken(entry, said)
