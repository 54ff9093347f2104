"""Telegrams deleted by rule: not before the law allows, not what a case needs, provable afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jingwei.bureau.evidencelog import commands, retention, sealing
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.evidence import canonical
from jingwei.evidence.merkle import CompactRange, leaf_hash
from jingwei.telemetry import journal, packing, seal
from jingwei.telemetry.places import NAME, Places
from jingwei.telemetry.retention import Hold, RetentionError

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)
YEARS = (2019, 2020, 2021, 2022, 2026)


@pytest.fixture
def root(data: Path) -> Path:
    """One segment in each of some years, sealed and recorded."""
    root = data / "journal"
    for year in YEARS:
        at = datetime(year, 11, 20, 12, tzinfo=UTC)
        writer = journal.Journal(root, clock=lambda at=at: at)
        writer.append([journal.Telegram(at, "127.0.0.1:1", b"telegram of %d" % year)])
        writer.close()
    assert sealing.seal_segments(root, NOW) == len(YEARS)
    return root


def years(root: Path) -> list[int]:
    return [t.received.year for t in journal.read(root)]


def test_what_is_older_than_the_rule_goes_and_stays_provable(root: Path) -> None:
    copies = {t.received.year: t for t in journal.read(root)}
    seals = {s.number: seal.stored(root, s) for s in journal.segments(root)}
    found = list(retention.prune(root, NOW, 5))
    assert [one.old.seal.last.year for one in found if one.deleted] == [2019, 2020, 2021]
    assert years(root) == [2022, 2026]
    for segment in journal.segments(root):
        assert seal.stored(root, segment) == seals[segment.number], "the seal stays"
        assert seal.verify(root, segment) is None
    entry = EvidenceEntry.objects.filter(kind=retention.KIND).order_by("pk")[1]
    said = canonical.loads(entry.content.encode())["content"]
    sealed = EvidenceEntry.objects.get(uid=said["entry"])
    assert canonical.loads(sealed.content.encode())["content"]["root"] == said["root"]
    edge = CompactRange()  # whoever kept a copy proves it by the root that was recorded
    copy = copies[2020]
    edge.append(
        leaf_hash(packing.leaf(journal.microseconds(copy.received), copy.peer, "", copy.raw))
    )
    assert edge.root().hex() == said["root"]
    with pytest.raises(journal.JournalError, match="they were deleted on 2026-11-21"):
        journal.get(root, copy.seq)
    assert list(retention.prune(root, NOW, 5)) == []
    assert EvidenceEntry.objects.filter(kind=retention.KIND).count() == 3


def test_less_than_the_legal_term_is_refused(root: Path) -> None:
    with pytest.raises(RetentionError, match=r"4 years are too few.*5 years at least"):
        list(retention.prune(root, NOW, 4))
    assert years(root) == list(YEARS)


def test_what_is_needed_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        retention, "_holders", [lambda: [Hold("case:7", datetime(2020, 3, 1, tzinfo=UTC))]]
    )
    found = list(retention.prune(root, NOW, 5))
    assert [(one.old.seal.last.year, one.old.held, one.deleted) for one in found] == [
        (2019, (), True),
        (2020, ("case:7",), False),
        (2021, ("case:7",), False),
    ]
    assert years(root) == [2020, 2021, 2022, 2026]


def test_what_a_target_has_not_forwarded_stays(root: Path) -> None:
    numbers = [segment.number for segment in journal.segments(root)]
    done = dict.fromkeys(numbers, journal.ALL)
    places = Places(root.with_name(NAME))
    places.save("ready", done, 5, 0)
    places.save("away", done | {numbers[1]: 0}, 4, 0)
    found = list(retention.prune(root, NOW, 5))
    assert [(one.old.held, one.deleted) for one in found] == [
        ((), True), (("forward:away",), False), (("forward:away",), False),
    ]  # fmt: skip
    places.save("away", done, 5, 0)
    places.close()
    assert [one.deleted for one in retention.prune(root, NOW, 5)] == [True, True]


def test_a_crash_between_entry_and_deletion(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(retention.retention, "prune", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(retention.prune(root, NOW, 5))
    assert years(root) == list(YEARS)
    list(retention.prune(root, NOW, 5))
    assert years(root) == [2022, 2026]
    assert EvidenceEntry.objects.filter(kind=retention.KIND).count() == 3


def test_what_is_not_sealed_or_not_recorded_stays(data: Path) -> None:
    root = data / "journal"
    at = datetime(2019, 1, 1, tzinfo=UTC)
    writer = journal.Journal(root, clock=lambda: at)
    writer.append([journal.Telegram(at, "127.0.0.1:1", b"telegram")])
    writer.close()
    assert list(retention.prune(root, NOW, 5)) == []
    seal.seal(root, NOW)
    assert list(retention.prune(root, NOW, 5)) == []
    assert years(root) == [2019]


def test_the_command(root: Path) -> None:
    run = CliRunner().invoke
    app = typer.Typer()
    commands.attach(app)
    dry = run(app, ["journal", "prune", "--years", "5", "--dry-run"])
    rows = [json.loads(line) for line in dry.stdout.splitlines()]
    assert [(r["last"][:4], r["deleted"], r["held"]) for r in rows] == [
        ("2019", False, []), ("2020", False, []), ("2021", False, []),
    ]  # fmt: skip
    assert years(root) == list(YEARS)
    less = run(app, ["journal", "prune", "--years", "3", "--dry-run"])
    assert less.exit_code == 2
    assert "Order 820" in less.stderr
    done = run(app, ["journal", "prune"], env={"JINGWEI_KEEP_YEARS": "6"})
    assert [json.loads(line)["deleted"] for line in done.stdout.splitlines()] == [True, True]
    assert years(root) == [2021, 2022, 2026]
    rows = EvidenceEntry.objects.filter(kind=retention.KIND)
    assert {row.actor[:2] for row in rows} == {"os"}
    again = run(app, ["journal", "prune", "--years", "5", "--as", "nobody"])
    assert (again.exit_code, again.stderr) == (2, "there is no active account nobody\n")


def test_open_cases_hold(data: Path) -> None:
    """The first finding of an open case is where the hold begins; a closed case holds nothing."""
    from tests.bureau.cases.city import build, open_case

    from jingwei.bureau.cases import holds
    from jingwei.bureau.cases.models import Case

    city = build()
    case = open_case(city)
    (hold,) = holds.open_cases()
    began = min(f.began for f in case.findings.all())
    assert (hold.why, hold.since) == (f"case:{case.pk}", began - timedelta(days=31))
    assert hold in retention.holds(), "the room has said so"
    Case.objects.filter(pk=case.pk).update(closed=NOW)
    assert holds.open_cases() == []
