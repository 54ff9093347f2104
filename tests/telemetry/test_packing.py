"""Packed segments: the same telegrams in a fraction of the bytes, and nothing else changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.telemetry import journal, packing, seal
from jingwei.telemetry.fsck import check
from jingwei.telemetry.journal import BrokenSegmentError, Journal, JournalError, Telegram

from .forgery import forge

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


def many(n, text=b"telegram %06d " + b"x" * 300):
    return [
        Telegram(NOON + timedelta(seconds=k), f"192.0.2.{k % 9}:1", text % k, "no" * (k % 2))
        for k in range(n)
    ]


def filled(root, telegrams):
    """A journal of one recorded segment; the numbers of the telegrams."""
    writer = Journal(root)
    seqs = []
    for at in range(0, len(telegrams), 100):
        seqs += writer.append(telegrams[at : at + 100])
    writer.close()
    (sealed,) = seal.seal(root)
    seal.recorded(root, sealed.name, "entry")
    return seqs, sealed


@given(
    st.lists(
        st.tuples(
            st.integers(-(1 << 62), 1 << 62),
            st.text(max_size=30),
            st.text(max_size=30),
            st.binary(),
        ),
        max_size=20,
    )
)
@settings(deadline=None)
def test_a_block_gives_back_what_went_in(entries):
    try:
        data = b"".join(packing.framed(packing.leaf(*entry)) for entry in entries)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    again = packing.decompress(packing.compress(data), len(data))
    assert list(packing.records(again, 7)) == [(7 + k, *entry) for k, entry in enumerate(entries)]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_telegrams_or_one_error(data):
    try:
        list(packing.records(data, 1))
    except packing.PackingError:
        return
    with pytest.raises(packing.PackingError):
        packing.decompress(data or b"\1", 10_000)


def test_everything_reads_the_same_when_packed(tmp_path):
    root = tmp_path / "journal"
    telegrams = many(3_000)
    seqs, sealed = filled(root, telegrams)
    (segment,) = journal.segments(root)
    before = segment.size()
    whole = journal.read(root, limit=1 << 30)
    newest = journal.newest(root, limit=10)
    assert seal.pack(root) == 1
    assert seal.pack(root) == 0, "once is enough"
    (segment,) = journal.segments(root)
    assert segment.size() * 5 < before
    assert list(segment.path.parent.iterdir()) == [segment.path]
    assert journal.read(root, limit=1 << 30) == whole
    assert [t.raw for t in whole] == [t.raw for t in telegrams]
    assert journal.newest(root, limit=10) == newest
    assert journal.read(root, {segment.number: 1_234}, 100) == whole[1_234:1_334]
    for k in (0, 1, 799, 1_500, 2_999):
        assert journal.get(root, seqs[k]) == whole[k]
    with pytest.raises(JournalError, match="no telegram"):
        journal.get(root, seqs[-1] + 1)
    assert [
        t.seq for t in journal.newest(root, mn="", since=NOON + timedelta(seconds=2_990))
    ] == seqs[2_990:]
    with segment.open() as view:
        assert view.last() == 3_000
    assert seal.compute(root, segment) == sealed
    assert seal.stored(root, segment) == sealed
    assert segment.meta()["recorded"] == "entry"
    assert not segment.path.stat().st_mode & 0o222
    assert list(check(root, tmp_path / "refused", tmp_path / "lake"))[1:] == []


def test_what_is_found_by_device_is_the_same_when_packed(tmp_path):
    root = tmp_path / "journal"
    filled(root, [Telegram(NOON, "p", b"MN=%d;x" % (k % 3)) for k in range(300)])
    before = journal.newest(root, mn="1", limit=20)
    seal.pack(root)
    assert journal.newest(root, mn="1", limit=20) == before
    assert len(before) == 20


def test_only_what_is_recorded_is_packed(tmp_path):
    root = tmp_path / "journal"
    writer = Journal(root)
    writer.append(many(10))
    assert seal.pack(root) == 0
    writer.close()
    (sealed,) = seal.seal(root)
    assert seal.pack(root) == 0
    seal.recorded(root, sealed.name)
    assert seal.pack(root) == 1
    assert seal.seal(root) == []


def test_a_segment_that_does_not_match_its_seal_is_left_as_it_is(tmp_path):
    root = tmp_path / "journal"
    filled(root, many(50))
    (segment,) = journal.segments(root)
    forge(segment, lambda records: [(*r[:4], b"\0") if r[0] == 7 else r for r in records])
    content = segment.path.read_bytes(), segment.log.read_bytes()
    problems: list[str] = []
    assert seal.pack(root, problems=problems) == 0
    assert "was changed after it was sealed" in problems[0]
    assert (segment.path.read_bytes(), segment.log.read_bytes()) == content
    assert not list(segment.path.parent.glob(".*"))


def test_each_changed_byte_of_a_block_is_found(tmp_path):
    root = tmp_path / "journal"
    filled(root, many(40))
    seal.pack(root)
    (segment,) = journal.segments(root)
    segment.path.chmod(0o644)
    with segment.open() as view:
        ((data,),) = view.db.execute("SELECT data FROM block").fetchall()
    whole = segment.path.read_bytes()
    place = whole.index(data[:64])
    for at in range(0, min(len(data), 64), 3):
        changed = bytearray(whole)
        changed[place + at] ^= 1
        segment.path.write_bytes(changed)
        try:
            found = seal.verify(root, segment)
        except BrokenSegmentError as error:
            found = str(error)
        assert found, f"byte {at} was changed and nothing noticed"
    segment.path.write_bytes(whole)
    assert seal.verify(root, segment) is None


_PACKER = """
import sys
from pathlib import Path
from jingwei.telemetry import seal
print("ready", flush=True)
while seal.pack(Path(sys.argv[1]), 1):
    pass
"""


def test_killed_at_any_moment_it_leaves_every_telegram(tmp_path):
    root = tmp_path / "journal"
    writer = Journal(root)
    for _ in range(6):
        writer.append(many(2_000))
        writer.roll()
    for sealed in seal.seal(root):
        seal.recorded(root, sealed.name)
    whole = journal.read(root, limit=1 << 30)
    for pause in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", _PACKER, str(root)], stdout=subprocess.PIPE
        )
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert journal.read(root, limit=1 << 30) == whole
    seal.pack(root, 100)
    assert journal.read(root, limit=1 << 30) == whole
    assert list(check(root, tmp_path / "refused", tmp_path / "lake"))[1:] == []


def test_what_a_killed_packer_left_is_removed_when_it_is_old(tmp_path):
    root = tmp_path / "journal"
    filled(root, many(5))
    (segment,) = journal.segments(root)
    old, fresh = (segment.path.with_name(f".{c * 32}.new") for c in "ab")
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 4_000,) * 2)
    assert seal.pack(root) == 1
    assert not old.exists()
    assert fresh.exists()
