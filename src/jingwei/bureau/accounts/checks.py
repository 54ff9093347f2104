"""What `jingwei fsck` asks of this room: who stands in for whom, and which days are working days, as
the evidence log was told of it. Both decide who may act, and until when."""

from __future__ import annotations

from collections.abc import Iterator

from jingwei.bureau.accounts.models import CalendarChange, Substitution
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told


def check() -> Iterator[str]:
    """One sentence a problem."""
    for row in Substitution.objects.order_by("pk").iterator(chunk_size=500):
        if problem := _substitution(row):
            yield f"substitution {row.pk}: {problem}"
    entries = list(EvidenceEntry.objects.filter(kind="calendar"))
    for day in CalendarChange.objects.order_by("pk").iterator(chunk_size=500):
        if not any(_tells(entry, day) for entry in entries):
            yield f"calendar: the evidence log does not tell of {day.date} ({day.kind}) as it is here"


def _substitution(row: Substitution) -> str:
    subject = f"substitution:{row.pk}"
    acts = []
    said = {"absent": row.absent_id, "substitute": row.substitute_id, "reason": row.reason}
    for entry in EvidenceEntry.objects.filter(kind="substitution", subject=subject):
        content = told(entry)
        acts.append(content["act"])
        if problem := spoken(entry, said):
            return problem
        if (content["begins"], content["ends"]) != (row.begins.isoformat(), row.ends.isoformat()):
            return f"it is from {row.begins} to {row.ends}, not as the evidence log says"
    if sorted(acts) != ["begun", "called_off"][: 2 if row.ended else 1]:
        return "the evidence log does not tell when it was begun and called off as the row does"
    return ""


def _tells(entry: EvidenceEntry, day: CalendarChange) -> bool:
    content = told(entry)
    row = {"kind": day.kind, "name": day.name, "source": day.source}
    return (
        content["first"] <= day.date.isoformat() <= content["last"]
        and all(content[name] == value for name, value in row.items())
        and not spoken(entry, {"reason": day.reason})
    )
