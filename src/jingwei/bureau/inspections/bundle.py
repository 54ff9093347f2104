"""What this room gives to the evidence bundle of a case: the signed record and the photos."""

from __future__ import annotations

from pathlib import Path

from jingwei.bureau.evidencelog.bundles import Parts
from jingwei.bureau.findings.files import EXTENSIONS
from jingwei.bureau.inspections.models import Photo, Record
from jingwei.evidence import canonical


def case(pk: int) -> Parts | None:
    """The record's bytes, its signatures and the photos, as the evidence log names them; None
    without any."""
    photos = list(Photo.objects.filter(case=pk).select_related("evidence"))
    record = Record.objects.filter(case=pk).select_related("evidence").first()
    if record is None and not photos:
        return None
    parts = Parts()
    if record is not None:
        parts.entries.append(record.evidence)
        parts.contents.append(
            ("inspection-record.json", record.evidence, canonical.dumps(record.content))
        )
        for n, signature in enumerate(record.signatures.all(), 1):
            name = f"inspection-signature-{n}.png"
            parts.contents.append((name, record.evidence, bytes(signature.picture)))
    for photo in photos:
        parts.entries.append(photo.evidence)
        name = f"inspection-photo-{photo.uid}.{EXTENSIONS[photo.content_type]}"
        parts.contents.append((name, photo.evidence, Path(photo.file.path)))
    return parts
