"""What this room gives to the evidence bundle of a case (`jingwei.bureau.evidencelog.bundles`)."""

from __future__ import annotations

from pathlib import Path, PurePath

from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.bundles import Parts
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring import judgements
from jingwei.bureau.monitoring.models import Judgement
from jingwei.evidence import canonical


def case(pk: int) -> Parts | None:
    """Events with their texts and files; findings, exceedances, all that was judged of their hours
    and days and the telegrams behind them; and the case from which it came, whose bundle goes in
    as well."""
    found = Case.objects.filter(pk=pk).first()
    if found is None:
        return None
    parts = Parts(title=str(found), parents=[found.parent_id] if found.parent_id else [])
    for event in found.events.select_related("evidence").prefetch_related("files"):
        parts.entries.append(event.evidence)
        # The bytes whose digest the entry names: `writing.testimony`.
        body = canonical.dumps(
            {"text": event.text, "data": event.data, "changes": event.changes, "salt": event.salt}
        )
        parts.contents.append((f"event-{event.seq}.json", event.evidence, body))
        for file in event.files.all():
            suffix = PurePath(file.name).suffix.lower()
            suffix = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
            name = f"event-{event.seq}-file-{file.position}{suffix}"
            parts.contents.append((name, event.evidence, Path(file.file.path)))
    judged: list[Judgement] = []
    for finding in found.findings.all():
        parts.entries += EvidenceEntry.objects.filter(subject=f"finding:{finding.pk}")
        for exceedance in finding.exceedances.select_related("evidence"):
            if exceedance.evidence:
                parts.entries.append(exceedance.evidence)
            parts.telegrams |= {int(seq) for seq in exceedance.telegrams}
            judged += Judgement.objects.filter(
                point=exceedance.point_id, period=exceedance.period, time=exceedance.time
            )
    parts.judgements, parts.absent = judgements.leaves(judged)
    return parts
