from __future__ import annotations

import hashlib
import os
import stat
import struct
from datetime import UTC, datetime, timedelta

import pytest

from jingwei.telemetry import journal, seal
from jingwei.telemetry.journal import Journal, JournalError, Telegram

from .forgery import forge

T0 = datetime(2026, 3, 10, 4, 30, tzinfo=UTC)


def telegrams(n):
    return [
        Telegram(T0 + timedelta(seconds=i), f"192.0.2.1:{i}", b"raw %d" % i, "crc" * (i % 2))
        for i in range(n)
    ]


def rfc6962(entries):
    """MTH exactly as RFC 6962 section 2.1 defines it, recursively."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\1" + rfc6962(entries[:k]) + rfc6962(entries[k:])).digest()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_the_seal_is_the_tree_hash_of_the_documented_bytes(tmp_path, count):
    root = tmp_path / "journal"
    writer = Journal(root)
    sent = telegrams(count)
    writer.append(sent)
    assert seal.seal(root, T0) == [], "an open segment in its hour is left to its writer"
    writer.close()
    leaves = []
    for t in sent:
        micro = int(t.received.timestamp()) * 1_000_000
        leaves.append(
            struct.pack(">qH", micro, len(t.peer)) + t.peer.encode()
            + struct.pack(">H", len(t.reason)) + t.reason.encode() + t.raw
        )  # fmt: skip
    (sealed,) = seal.seal(root)
    assert sealed.root == rfc6962(leaves).hex()
    flat = b"".join(struct.pack(">I", len(leaf)) + leaf for leaf in leaves)
    assert sealed.sha256 == hashlib.sha256(flat).hexdigest()
    assert (sealed.count, sealed.first, sealed.last) == (count, T0, sent[-1].received)
    assert sealed.name == f"journal/{sealed.number}"


def test_a_seal_comes_again_until_it_is_recorded_and_the_file_is_read_only_then(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(3))
    writer.close()
    (segment,) = seal.sealable(tmp_path)
    (first,) = seal.seal(tmp_path)
    assert seal.sealable(tmp_path) == []
    assert seal.seal(tmp_path) == [first], "the caller died before it recorded the seal"
    seal.recorded(tmp_path, first.name, "entry 7")
    assert seal.seal(tmp_path) == []
    assert segment.meta()["recorded"] == "entry 7"
    assert stat.S_IMODE(segment.path.stat().st_mode) == 0o444
    seal.recorded(tmp_path, first.name, "entry 8")
    assert segment.meta()["recorded"] == "entry 7"
    assert len(segment.read()[0]) == 3
    assert stat.S_IMODE(segment.log.stat().st_mode) == 0o444
    assert set(segment.path.parent.iterdir()) == {segment.path, segment.log}
    with pytest.raises(JournalError, match="no segment"):
        seal.recorded(tmp_path, "journal/1")


def test_the_segment_of_a_dead_writer_is_sealed_after_its_hour_and_shut_to_it(tmp_path):
    now = T0
    writer = Journal(tmp_path, clock=lambda: now)
    writer.append(telegrams(3))
    assert seal.seal(tmp_path, T0 + timedelta(minutes=31)) == []
    (sealed,) = seal.seal(tmp_path, T0 + timedelta(minutes=33))
    assert sealed.count == 3
    (seq,) = writer.append(telegrams(1))  # it was only asleep
    assert journal.segment_of(seq) != sealed.number
    (segment, _) = journal.segments(tmp_path)
    assert seal.verify(tmp_path, segment) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda a, b, c: [a, (*b[:4], b"\0"), c],
        lambda a, b, c: [(a[0], a[1] + 1, *a[2:]), b, c],
        lambda a, b, c: [(*a[:2], "192.0.2.9:1", *a[3:]), b, c],
        lambda a, b, c: [a, (*b[:3], "", b[4]), c],
        lambda a, b, c: [a, b],
        lambda a, b, c: [a, b, c, (9, 0, "", "", b"")],
        lambda a, b, c: [b, c, a],
    ],
    ids=["raw", "received", "peer", "reason", "deleted", "added", "order"],
)
def test_every_change_after_sealing_is_found(tmp_path, change):
    writer = Journal(tmp_path)
    writer.append(telegrams(3))
    writer.close()
    (sealed,) = seal.seal(tmp_path)
    seal.recorded(tmp_path, sealed.name)
    (segment,) = journal.segments(tmp_path)
    assert seal.verify(tmp_path, segment) is None
    forge(segment, lambda records: change(*records))
    assert "was changed after it was sealed" in (seal.verify(tmp_path, segment) or "")


def test_a_last_block_that_the_disk_lost_is_noticed_before_sealing(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(3))
    writer.append(telegrams(2))
    writer.close()
    (segment,) = journal.segments(tmp_path)
    os.truncate(segment.log, segment.log.stat().st_size - 1)
    problems: list[str] = []
    assert seal.seal(tmp_path, problems=problems) == []
    assert "holds 3 telegrams, 5 were written" in problems[0]


def test_a_segment_that_cannot_be_read_stops_no_other(tmp_path):
    writer = Journal(tmp_path)
    for i in range(3):
        writer.append(telegrams(i + 1))
        writer.roll()
    bad = journal.segments(tmp_path)[1]
    bad.path.write_bytes(b"x" * 5000)
    problems: list[str] = []
    assert [s.count for s in seal.seal(tmp_path, problems=problems)] == [1, 3]
    assert len(problems) == 1
    assert str(bad.path) in problems[0]


def test_a_reader_in_the_way_delays_the_read_only_mark_and_nothing_else(tmp_path):
    writer = Journal(tmp_path)
    writer.append(telegrams(3))
    writer.close()
    (segment,) = journal.segments(tmp_path)
    with segment.open() as view:
        view.db.execute("BEGIN")
        view.db.execute("SELECT * FROM meta").fetchone()
        (sealed,) = seal.seal(tmp_path)
        seal.recorded(tmp_path, sealed.name)
    assert segment.path.stat().st_mode & 0o200
    assert seal.seal(tmp_path) == []
    assert not segment.path.stat().st_mode & 0o222
