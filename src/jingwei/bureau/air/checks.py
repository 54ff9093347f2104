"""What `jingwei fsck` asks of this room: are warnings, their reasons and the answers of source tracing
as the evidence log was told?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jingwei.bureau.air.models import Episode, Trace
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.evidence import canonical, digest


def check() -> Iterator[str]:
    """One sentence a problem."""
    episodes = Episode.objects.select_related("evidence").order_by("pk")
    for row in episodes.iterator(chunk_size=500):
        if problem := _episode(row):
            yield f"warning {row.pk}: {problem}"
    traces = Trace.objects.filter(state=Trace.State.DONE).select_related("evidence", "station")
    for trace in traces.order_by("pk").iterator(chunk_size=50):
        if problem := _trace(trace):
            yield f"source tracing {trace.pk}: {problem}"


def _episode(row: Episode) -> str:
    """The row against the entry of its last act."""
    if row.evidence is None:
        return "it has no entry in the evidence log"
    is_ = {
        "act": row.state,
        "level": row.level,
        "first": row.first.isoformat(),
        "last": row.last.isoformat(),
    }
    if problem := _differs(row.evidence, is_):
        return problem
    words = {"note": row.note, "end_note": row.end_note}
    content = told(row.evidence)
    if "facts" in content:  # of before words were salted
        facts = digest.both(canonical.dumps({"days": row.days, **words}))
        return "" if facts == content["facts"] else "its days or reasons are not those of the log"
    if digest.both(canonical.dumps(row.days)) != content["days"]:
        return "its days are not those that the evidence log names"
    return spoken(row.evidence, words)


def _trace(row: Trace) -> str:
    if row.evidence is None:
        return "it has no entry in the evidence log"
    is_ = {
        "station": row.station.mn,
        "factor": row.factor,
        "input": row.digest,
        "result": digest.both(canonical.dumps(row.result)),
    }
    return _differs(row.evidence, is_)


def _differs(entry: EvidenceEntry, is_: dict[str, Any]) -> str:
    content = told(entry)
    for name, value in is_.items():
        if value != content.get(name):
            return f"{name} is {value!r}, but the evidence log says {content.get(name)!r}"
    return ""
