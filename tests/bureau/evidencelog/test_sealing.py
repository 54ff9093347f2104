"""Sealed journal segments leave one entry each, whatever crashes in between."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jingwei.bureau.evidencelog import sealing
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.evidence import canonical
from jingwei.telemetry import journal, seal

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)


def fill(root: Path) -> None:
    writer = journal.Journal(root)
    for n in range(2):
        writer.append([journal.Telegram(NOW, "127.0.0.1:1", f"telegram {n}".encode())])
        writer.roll()
    writer.close()


def test_each_segment_is_recorded_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = data / "journal"
    fill(root)
    with monkeypatch.context() as patch:  # a crash before the journal knows
        patch.setattr(seal, "recorded", lambda *_: None)
        count = sealing.seal_segments(root, NOW)
    assert count >= 2
    assert sealing.seal_segments(root, NOW) == 0
    assert sealing.seal_segments(root, NOW) == 0
    rows = EvidenceEntry.objects.filter(kind="segment")
    assert len(rows) == count
    seals = [seal.stored(root, segment) for segment in journal.segments(root)]
    by_subject = {f"segment:{found.name}": found for found in seals if found}
    for row in rows:
        said = canonical.loads(row.content.encode())["content"]
        found = by_subject[row.subject]
        assert (said["root"], said["sha256"], said["count"]) == (
            found.root,
            found.sha256,
            found.count,
        )


def test_an_empty_journal(data: Path) -> None:
    assert sealing.seal_segments(data / "journal", NOW) == 0
