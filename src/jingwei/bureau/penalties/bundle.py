"""What this room gives to the evidence bundle of a case: what was published of a decision."""

from __future__ import annotations

from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.bundles import Parts
from jingwei.bureau.evidencelog.models import EvidenceEntry


def case(pk: int) -> Parts | None:
    """The entry of the publication; the decision itself is an event of the case."""
    found = Case.objects.filter(pk=pk, flow="penalty").first()
    if found is None:
        return None
    published = found.detail.get("published")
    entries = EvidenceEntry.objects.filter(pk=published["entry"]) if published else []
    return Parts(entries=list(entries))
