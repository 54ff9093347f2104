"""What `jingwei fsck` asks of this room: are programmes, summaries, shares and what was written in them
as the evidence log was told?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jingwei.bureau.campaigns.models import (
    Answer,
    Evaluation,
    Programme,
    Recommendation,
    Share,
    Summary,
)
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.evidence import canonical, digest


def check() -> Iterator[str]:
    """One sentence a problem."""
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
    }
    if "lead" in told(row.evidence):  # entries of before do not tell of it
        is_["lead"] = row.lead.code
    said = {"text": row.text, "checklist": row.checklist}
    if problem := _differs(row.evidence, is_, said):
        return problem
    entries = EvidenceEntry.objects.filter(kind="campaign", subject=f"campaign:{row.pk}")
    ends = [entry for entry in entries if told(entry)["act"] == "conclude"]
    if bool(row.closed) != bool(ends):
        return f"it is {'' if row.closed else 'not '}concluded, but the evidence log says otherwise"
    return spoken(ends[0], {"text": row.conclusion}) if ends else ""


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
