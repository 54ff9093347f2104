"""Deleting telegrams by rule: what goes leaves an entry, what a case needs stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from jingwei.bureau.evidencelog import services
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.telemetry import places, retention
from jingwei.telemetry.retention import Hold, Old

KIND = "segment.pruned"
RULE = "R820-26"

_holders: list[Callable[[], list[Hold]]] = []


def holds_of(holder: Callable[[], list[Hold]]) -> None:
    """A room says what its work needs (`AppConfig.ready`)."""
    if holder not in _holders:
        _holders.append(holder)


def holds() -> list[Hold]:
    return [hold for holder in _holders for hold in holder()]


@dataclass(frozen=True, slots=True)
class Pruned:
    """One segment, and whether its telegrams are deleted now."""

    old: Old
    deleted: bool


def prune(
    journal: Path, now: datetime, years: int, *, dry: bool = False, actor: str = ""
) -> Iterator[Pruned]:
    """Delete what was received more than `years` ago, segment by segment, but for what is held.

    What a target of the forwarding has not done yet is held, too.

    The entry comes first: after a crash in between the next call finds it and deletes. Raises
    `RetentionError` for less than the legal term, `JournalError` or `OSError` where a segment
    cannot be read, `PlacesError` where the places of the forwarding cannot.
    """
    limit = retention.before(now, years)
    kept = holds()
    if journal == settings.ENV.journal:  # what was refused is not forwarded
        unread = places.unread(journal.with_name(places.NAME), journal)
        kept += [Hold(f"forward:{name}", since) for name, since in unread.items()]
    for one in retention.old(journal, limit, kept):
        if dry or one.held:
            yield Pruned(one, False)
            continue
        subject = f"segment:{one.seal.name}"
        with transaction.atomic():
            if not EvidenceEntry.objects.filter(kind=KIND, subject=subject).exists():
                services.record(
                    KIND,
                    subject,
                    {
                        "rule": RULE,
                        "years": years,
                        "entry": one.recorded,
                        "count": one.seal.count,
                        "first": one.seal.first,
                        "last": one.seal.last,
                        "root": one.seal.root,
                        "sha256": one.seal.sha256,
                    },
                    actor=actor,
                )
        retention.prune(one, now)
        yield Pruned(one, True)
