"""What `jingwei fsck` asks of this room: do exceedances, journal, lake and cursors agree?"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from jingwei.bureau.monitoring.models import Cursor, Exceedance
from jingwei.telemetry import journal
from jingwei.telemetry.lake import Lake


def check() -> Iterator[str]:
    """One sentence for each problem."""
    last = Lake(settings.ENV.lake).batch()
    for cursor in Cursor.objects.filter(name__startswith="judge-"):
        if cursor.batch > last:
            yield (
                f"Cursor {cursor.name} stands at batch {cursor.batch}, but the lake ends at {last}:"
                " the lake was rebuilt or is another one; delete the cursor to judge anew."
            )
        for key in cursor.counts.get("unknown", {}):
            yield f"The lake has data of point {key}, which is not registered."
    known: dict[int, bool] = {}
    rows = Exceedance.objects.filter(withdrawn="").values_list(
        "pk", "finding_id", "evidence_id", "telegrams"
    )
    for pk, finding, evidence, telegrams in rows.iterator():
        if finding is None:
            yield f"Exceedance {pk} belongs to no finding."
        if evidence is None:
            yield f"Exceedance {pk} has no entry in the evidence log."
        for seq in telegrams:
            if seq not in known:
                known[seq] = _stored(seq)
            if not known[seq]:
                yield f"Exceedance {pk} rests on telegram {seq}, which the journal does not have."


def _stored(seq: int) -> bool:
    try:
        journal.get(settings.ENV.journal, seq)
    except journal.JournalError:
        return False
    return True
