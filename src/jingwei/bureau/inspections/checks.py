"""What `jingwei fsck` asks of this room: draws recompute, photos and records are what was logged."""

from __future__ import annotations

import json
from collections.abc import Iterator

from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.bureau.findings import immutable
from jingwei.bureau.inspections.apps import APPEND_ONLY
from jingwei.bureau.inspections.models import Draw, DrawStep, Photo, Record
from jingwei.evidence import canonical, digest
from jingwei.evidence import draw as rules


def check() -> Iterator[str]:
    """One sentence per problem."""
    for name in immutable.missing(APPEND_ONLY):
        yield f"inspections: the trigger {name} is missing; `jingwei prepare` puts it back"
    for draw in Draw.objects.exclude(plan_sha256="").iterator(chunk_size=20):
        yield from _draw(draw)
    yield from _steps()
    for photo in Photo.objects.select_related("evidence").iterator(chunk_size=200):
        yield from _photo(photo)
    for record in Record.objects.select_related("evidence").iterator(chunk_size=200):
        found = digest.both(canonical.dumps(record.content))
        said = json.loads(record.evidence.content)["content"]
        if not found["sha256"] == record.sha256 == said["sha256"] == record.case.detail["record"]:
            yield f"inspection {record.case_id}: the record is not the one that was logged"
        signed = {one["sha256"] for one in said["signatures"]}
        for signature in record.signatures.all():
            drawn = digest.sha256(bytes(signature.picture)).hex()
            if drawn != signature.sha256 or drawn not in signed:
                yield f"inspection {record.case_id}: signature {signature.pk} was changed"


def _steps() -> Iterator[str]:
    """The names of a draw's parties and the reason of a void one, as they were when it was logged."""
    act = DrawStep.Act
    rows = DrawStep.objects.filter(act__in=(act.COMMIT, act.REVEAL, act.VOID))
    for step in rows.select_related("evidence", "draw").order_by("pk").iterator(chunk_size=500):
        said = {"reason" if step.act == act.VOID else "name": step.text}
        if problem := spoken(step.evidence, said):
            yield f"draw {step.draw.name}, {step.act}: {problem}"
            continue
        number = told(step.evidence).get("party")
        party = step.draw.parties.filter(pk=number).first() if isinstance(number, int) else None
        if party is not None and party.name != step.text:
            yield f"draw {step.draw.name}: the party {step.text} is now called {party.name}"


def _draw(draw: Draw) -> Iterator[str]:
    steps = {s.act: json.loads(s.evidence.content)["content"] for s in draw.steps.all()}
    logged = steps.get("freeze", {}).get("plan_sha256")
    if not rules.plan_hash(draw.plan) == draw.plan_sha256 == logged:
        yield f"draw {draw.name}: the plan is not the one that was logged"
        return
    if draw.result is None:
        return
    try:
        rules.verify(draw.result)
    except rules.DrawError as error:
        yield f"draw {draw.name}: {error}"
    if draw.result["plan_sha256"] != logged:
        yield f"draw {draw.name}: the result belongs to another plan"


def _photo(photo: Photo) -> Iterator[str]:
    said = json.loads(photo.evidence.content)["content"]
    try:
        with photo.file.open("rb") as file:
            found = digest.both(iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        yield f"photo {photo.uid} cannot be read: {error.strerror or error}"
        return
    if not found["sha256"] == photo.sha256 == said["sha256"]:
        yield f"photo {photo.uid} was changed on the disk"
