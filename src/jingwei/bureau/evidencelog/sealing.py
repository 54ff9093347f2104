"""Sealed journal segments on their way into the evidence log."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from django.db import transaction

from jingwei.bureau.evidencelog import services
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.telemetry import seal

KIND = "segment"

logger = logging.getLogger(__name__)


def seal_segments(journal: Path, now: datetime) -> int:
    """Seal the journal's complete segments, leave an entry for each, pack what has its entry.

    Returns how many entries were written.

    Safe to repeat after a crash anywhere: a seal comes again until it is marked as recorded, and
    an entry that is there already is not written twice.
    """
    problems: list[str] = []
    done = 0
    for sealed in seal.seal(journal, now, problems=problems):
        subject = f"segment:{sealed.name}"
        with transaction.atomic():
            entry = EvidenceEntry.objects.filter(kind=KIND, subject=subject).first()
            if entry is None:
                entry = services.record(
                    KIND,
                    subject,
                    {
                        "count": sealed.count,
                        "first": sealed.first,
                        "last": sealed.last,
                        "root": sealed.root,
                        "sha256": sealed.sha256,
                    },
                )
                done += 1
        seal.recorded(journal, sealed.name, str(entry.uid))
    seal.pack(journal, problems=problems)
    for problem in problems:
        logger.error("%s", problem)
    return done
