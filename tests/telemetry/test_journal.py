from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from jingwei.telemetry import journal, seal
from jingwei.telemetry.journal import ALL, Journal, JournalError, Telegram

T0 = datetime(2026, 3, 10, 4, 30, tzinfo=UTC)


def telegrams(n, start=0, size=10):
    return [
        Telegram(T0 + timedelta(microseconds=i), f"192.0.2.1:{i}", b"%0*d" % (size, i), "")
        for i in range(start, start + n)
    ]


def test_what_is_appended_is_read_in_order_with_its_number(tmp_path):
    writer = Journal(tmp_path)
    first = writer.append(telegrams(3))
    second = writer.append([Telegram(T0, "[2001:db8::1]:7", bytes(range(256)), "crc")])
    found = journal.read(tmp_path)
    assert [t.seq for t in found] == first + second
    assert [t.raw for t in found[:3]] == [t.raw for t in telegrams(3)]
    assert found[3] == journal.get(tmp_path, second[0])
    assert found[3].raw == bytes(range(256))
    assert (found[3].received, found[3].peer, found[3].reason) == (T0, "[2001:db8::1]:7", "crc")
    assert first == [first[0], first[0] + 1, first[0] + 2]
    with pytest.raises(JournalError, match="no telegram"):
        journal.get(tmp_path, second[0] + 1)
    with pytest.raises(JournalError):
        journal.get(tmp_path, 1)
    writer.close()
    assert journal.read(tmp_path) == found
    assert writer.append([]) == []


def test_reading_goes_on_from_a_position(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(5))
    writer.roll()
    writer.append(telegrams(5, 5))
    one, two = journal.segments(tmp_path)
    assert one.number < two.number
    raws = [t.raw for t in telegrams(10)]
    assert [t.raw for t in journal.read(tmp_path, limit=7)] == raws[:7]
    assert [t.raw for t in journal.read(tmp_path, {one.number: 3})] == raws[3:]
    assert [t.raw for t in journal.read(tmp_path, {one.number: ALL, two.number: 4})] == raws[9:]
    assert one.read(0, 5) == (journal.read(tmp_path, limit=5), False)
    assert one.read(5)[1] is True, "a rolled segment that was read to its end has ended"
    assert two.read(5)[1] is False, "an open one has not"


def test_a_segment_ends_with_its_hour_or_its_size(tmp_path):
    now = T0
    writer = Journal(tmp_path, max_bytes=1000, clock=lambda: now)
    writer.append(telegrams(2))
    writer.append(telegrams(2, 2))
    assert len(journal.segments(tmp_path)) == 1
    now = T0 + timedelta(minutes=30)
    writer.append(telegrams(1, 4, size=990))
    assert len(journal.segments(tmp_path)) == 2
    writer.append(telegrams(1, 5, size=990))
    writer.append(telegrams(1, 6))
    assert len(journal.segments(tmp_path)) == 3
    now = datetime(2026, 4, 1, tzinfo=UTC)
    writer.append(telegrams(1, 7))
    assert [s.path.parent.relative_to(tmp_path).as_posix() for s in journal.segments(tmp_path)] == [
        "2026/03", "2026/03", "2026/03", "2026/04",
    ]  # fmt: skip
    assert [s.meta()["state"] for s in journal.segments(tmp_path)] == ["rolled"] * 3 + ["open"]
    now += timedelta(hours=1)
    writer.roll(if_over=True)
    assert journal.segments(tmp_path)[-1].meta()["state"] == "rolled"
    assert len(journal.read(tmp_path)) == 8


def test_the_numbers_of_a_month_end_before_those_of_the_next(tmp_path):
    writer = Journal(tmp_path, clock=lambda: T0)
    writer.append(telegrams(1))
    writer.roll()
    (one,) = journal.segments(tmp_path)
    last = one.number // 100_000 * 100_000 + 99_999
    one.log.rename(one.path.with_name(f"{last}.log"))
    one.path.rename(one.path.with_name(f"{last}.sqlite"))
    with pytest.raises(JournalError, match="99999 segments already"):
        writer.append(telegrams(1, 1))
    names = {p.name for p in one.path.parent.iterdir()}
    assert names == {f"{last}.sqlite", f"{last}.log"}


def test_a_writer_whose_segment_was_rolled_by_another_begins_a_new_one(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(2))
    (segment,) = journal.segments(tmp_path)
    with segment.open(write=True) as view:
        view.db.execute("UPDATE meta SET value = 'rolled' WHERE key = 'state'")
    (seq,) = writer.append(telegrams(1, 2))
    assert journal.segment_of(seq) != segment.number
    assert len(segment.read()[0]) == 2, "nothing was added to it"


WRITER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from jingwei.telemetry.journal import Journal, Telegram
root, name = Path(sys.argv[1]), sys.argv[2]
journal = Journal(root, max_bytes=400)
for i in range(60):
    journal.append([Telegram(datetime.now(UTC), name, b"%s-%04d" % (name.encode(), i))])
journal.close()
"""


def test_several_processes_write_into_one_folder(tmp_path):
    names = ["a", "b", "c"]
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in names
    ]
    assert [p.wait(60) for p in running] == [0, 0, 0]
    found = journal.read(tmp_path)
    assert len({t.seq for t in found}) == len(found) == 180
    for name in names:
        assert [t.raw.decode() for t in found if t.peer == name] == [
            f"{name}-{i:04}" for i in range(60)
        ]
    for segment in journal.segments(tmp_path):
        assert len({t.peer for t in segment.read()[0]}) == 1, "a segment has one writer"
    assert journal.strangers(tmp_path) == []


def test_what_does_not_belong_there_is_named_and_stops_nothing(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(2))
    writer.roll()
    writer.append(telegrams(2, 2))
    writer.roll()
    _, torn = journal.segments(tmp_path)
    torn.path.write_bytes(torn.path.read_bytes()[:1000])
    folder = torn.path.parent
    (folder / f"{torn.number + 1}.sqlite").write_bytes(b"not a database at all" * 100)
    with sqlite3.connect(folder / f"{torn.number + 2}.sqlite") as other:
        other.execute("CREATE TABLE telegram(x)")
    other.close()
    (folder / f"{torn.number + 3}.sqlite").touch()
    (folder / "notes.txt").write_text("hello")
    (tmp_path / "2026").mkdir(exist_ok=True)
    problems: list[str] = []
    assert [t.raw for t in journal.read(tmp_path, problems=problems)] == [
        t.raw for t in telegrams(2)
    ]
    assert len(problems) == 4
    for number, problem in zip(range(torn.number, torn.number + 4), problems, strict=True):
        assert f"{number}.sqlite" in problem
    assert journal.strangers(tmp_path) == [folder / "notes.txt"]
    problems.clear()
    assert len(journal.newest(tmp_path, problems=problems)) == 2
    assert len(problems) == 4
    (seq,) = writer.append(telegrams(1, 9))
    assert journal.segment_of(seq) == torn.number + 4, "a taken number is not used again"
    assert journal.get(tmp_path, seq).raw == telegrams(1, 9)[0].raw


def test_a_full_disk_stores_nothing_by_halves_and_works_again_after_it(tmp_path, monkeypatch):
    """The system call that a full disk ends half way, and then refuses (a real disk: test_crash)."""
    writer = Journal(tmp_path)
    writer.append(telegrams(1))
    room = 50_000
    whole = os.pwritev, os.pwrite

    def some(fd, parts, at):
        return whole[1](fd, b"".join(parts)[:room], at)

    def none(fd, data, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwritev", some)
    monkeypatch.setattr(os, "pwrite", none)
    for _ in range(2):
        with pytest.raises(JournalError, match="No space left"):
            writer.append(telegrams(100, 1, size=1000))
        assert [t.raw for t in journal.read(tmp_path)] == [t.raw for t in telegrams(1)]
    monkeypatch.setattr(os, "pwrite", whole[1])  # short writes are carried on
    writer.append(telegrams(100, 1, size=1000))
    assert [t.raw for t in journal.read(tmp_path)] == [
        t.raw for t in telegrams(1) + telegrams(100, 1, size=1000)
    ]
    assert len(journal.segments(tmp_path)) == 1


def test_what_cannot_be_written_down_begins_no_new_segment(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(1))
    with pytest.raises(UnicodeEncodeError):
        writer.append([Telegram(T0, "\ud800", b"x")])
    writer.append(telegrams(1, 1))
    assert [t.raw for t in journal.read(tmp_path)] == [t.raw for t in telegrams(2)]
    assert len(journal.segments(tmp_path)) == 1


def test_a_commit_that_was_broken_off_is_followed_by_a_new_segment(tmp_path, monkeypatch):
    writer = Journal(tmp_path)
    writer.append(telegrams(1))

    def stop(fd):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", stop)
        with pytest.raises(KeyboardInterrupt):
            writer.append(telegrams(1, 1))
    writer.append(telegrams(1, 2))
    assert [t.raw for t in journal.read(tmp_path)] == [t.raw for t in telegrams(3)]
    writer.close()
    assert [one.count for one in seal.seal(tmp_path)] == [2, 1]


def test_after_a_failed_sync_another_segment_is_begun(tmp_path, monkeypatch):
    writer = Journal(tmp_path)
    writer.append(telegrams(1))

    def broken(fd):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(JournalError, match="Input/output"):
            writer.append(telegrams(1, 1))
    (seq,) = writer.append(telegrams(1, 1))
    old, new = journal.segments(tmp_path)
    assert journal.segment_of(seq) == new.number
    assert old.meta()["state"] == "rolled"


def test_a_segment_of_an_earlier_version_is_named(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(1))
    writer.close()
    (segment,) = journal.segments(tmp_path)
    with segment.open(write=True) as view:
        view.db.execute("PRAGMA user_version = 1")
    problems: list[str] = []
    assert journal.read(tmp_path, problems=problems) == []
    assert "earlier version" in problems[0]


def test_newest_finds_one_device_and_one_time(tmp_path):
    writer = Journal(tmp_path)
    for hour in range(4):
        writer.append(
            [
                Telegram(T0 + timedelta(hours=hour), "p:1", f"##..MN={mn};n={hour}".encode())
                for mn in ("A", "AB")
            ]
        )
        writer.roll()
    assert [t.raw[-1:] for t in journal.newest(tmp_path, mn="A")] == [b"0", b"1", b"2", b"3"]
    assert len(journal.newest(tmp_path, limit=3)) == 3
    late = journal.newest(tmp_path, since=T0 + timedelta(hours=2), mn="AB", limit=10)
    assert [t.raw[-1:] for t in late] == [b"2", b"3"]
