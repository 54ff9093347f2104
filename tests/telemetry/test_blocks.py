"""The log of a segment: what went in comes out, whoever is killed or whatever is changed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.telemetry import blocks, journal, seal
from jingwei.telemetry.fsck import check

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
RECORD = st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), TEXT, TEXT, st.binary(max_size=40))


def write(path, groups):
    writer = blocks.Writer(path)
    for group in groups:
        writer.append(*(list(column) for column in zip(*group, strict=True)))
    writer.close()


def read(path, after=0):
    reader = blocks.Reader(path)
    try:
        return list(reader.records(after))
    finally:
        reader.close()


def sound(path):
    """The records, or None where the log is said to be damaged."""
    try:
        return read(path)
    except blocks.DamagedError:
        return None


@given(st.lists(st.lists(RECORD, min_size=1, max_size=6), max_size=6))
@settings(deadline=None, max_examples=60)
def test_what_went_in_comes_out(tmp_path_factory, groups):
    path = tmp_path_factory.mktemp("log") / "1.log"
    write(path, groups)
    wanted = [(n, *r) for n, r in enumerate((r for group in groups for r in group), 1)]
    assert read(path) == wanted
    for after in range(len(wanted) + 2):
        assert read(path, after) == wanted[after:]
    reader = blocks.Reader(path)
    assert reader.last() == len(wanted)
    assert [r for block in reader.newest(b"") for r in reversed(block)] == wanted[::-1]
    reader.close()


GROUPS = [[(k, "192.0.2.1:4", "", b"telegram %d" % k) for k in (n, n + 1)] for n in (1, 3, 5)]
WHOLE = [(k, k, "192.0.2.1:4", "", b"telegram %d" % k) for k in range(1, 7)]


def test_cut_anywhere_it_holds_the_blocks_that_are_whole(tmp_path):
    write(tmp_path / "1.log", GROUPS)
    data = (tmp_path / "1.log").read_bytes()
    for size in range(blocks.EMPTY, len(data) + 1):
        path = tmp_path / f"{size}.log"  # another file: this process knows the blocks of the first
        path.write_bytes(data[:size])
        whole = (size - blocks.EMPTY) * 3 // (len(data) - blocks.EMPTY) * 2
        assert read(path) == WHOLE[:whole], size


def test_a_changed_byte_is_damage_or_the_end_and_never_another_telegram(tmp_path):
    write(tmp_path / "1.log", GROUPS)
    data = (tmp_path / "1.log").read_bytes()
    last = len(data) - (len(data) - blocks.EMPTY) // 3
    for at in range(len(data)):
        path = tmp_path / f"{at}.log"
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        found = sound(path)
        if at < last:
            assert found is None, f"byte {at} of a block that is not the last"
        else:
            assert found == WHOLE[:4], f"byte {at} of the last block, which looks torn"


def test_rubbish_behind_the_end_and_blocks_of_another_log_are_no_telegrams(tmp_path):
    write(tmp_path / "1.log", GROUPS)
    write(tmp_path / "2.log", GROUPS)
    foreign = (tmp_path / "2.log").read_bytes()[blocks.EMPTY :]
    for rest in (b"\0" * 5000, os.urandom(5000), foreign):
        path = tmp_path / f"{len(rest)}-{rest[0]}.log"
        path.write_bytes((tmp_path / "1.log").read_bytes() + rest)
        assert read(path) == WHOLE


def test_a_log_that_shrinks_under_a_reader_is_damaged(tmp_path):
    path = tmp_path / "1.log"
    write(path, GROUPS)
    assert read(path) == WHOLE
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(blocks.DamagedError, match="cut off"):
        read(path)


def test_what_is_no_log_is_named(tmp_path):
    path = tmp_path / "1.log"
    for data in (b"", b"x" * 100, b"JNGWLOG1"):
        path.write_bytes(data)
        with pytest.raises(blocks.DamagedError, match=r"1\.log is not the log"):
            blocks.Reader(path)


# Real processes --------------------------------------------------------------------------------

WRITER = """
import os, random, sys
from datetime import datetime, UTC
from pathlib import Path
from jingwei.telemetry.journal import Journal, Telegram
journal = Journal(Path(sys.argv[1]), max_bytes=3_000_000)
chance, n = random.Random(int(sys.argv[2])), 0
while True:
    group = [b"%s-%d " % (sys.argv[2].encode(), n + k) + b"x" * chance.choice([0, 600, 20_000])
             for k in range(chance.choice([1, 30, 300]))]
    n += len(group)
    now = datetime.now(UTC)
    journal.append([Telegram(now, "192.0.2.1:4", raw) for raw in group])
    os.write(1, b"%d\\n" % n)
"""
KEEPER = """
import sys
from datetime import datetime, timedelta, UTC
from pathlib import Path
from jingwei.telemetry import seal
root = Path(sys.argv[1])
while True:
    for one in seal.seal(root, datetime.now(UTC) + timedelta(hours=int(sys.argv[2]))):
        seal.recorded(root, one.name)
    seal.pack(root, 1)
"""


def start(script, *words):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)], stdout=subprocess.PIPE, bufsize=0
    )


def test_writers_and_keepers_are_killed_and_nothing_acknowledged_is_lost(tmp_path):
    """kill -9 in the middle of commits, of sealing writers out, and of packing, while this process
    reads on and must see every telegram once and in order."""
    root = tmp_path / "journal"
    chance = random.Random(3)
    acknowledged: dict[int, int] = {}
    seen: dict[int, list[bytes]] = {}
    after: dict[int, int] = {}

    def look():
        for segment in journal.segments(root):
            found, _ = segment.take(after.get(segment.number, 0))
            for row, _, _, _, raw in found:
                assert row == after.get(segment.number, 0) + 1
                after[segment.number] = row
                writer, n = map(int, raw.split()[0].split(b"-"))
                mine = seen.setdefault(writer, [])
                assert n == len(mine), "one after the other, none twice"
                mine.append(raw)

    for n in range(10):
        writer, keeper = start(WRITER, root, n), start(KEEPER, root, 3 if n % 3 == 2 else 0)
        try:
            said = b""
            until = time.monotonic() + chance.uniform(0.1, 0.5)
            while time.monotonic() < until or said.count(b"\n") < 3:
                said += os.read(writer.stdout.fileno(), 1 << 16)
                look()
        finally:
            for process in (writer, keeper):
                process.kill()
        said += writer.stdout.read()
        for process in (writer, keeper):
            process.wait()
            process.stdout.close()
        acknowledged[n] = int(said.split()[-1])
        look()
        assert len(seen[n]) >= acknowledged[n], "acknowledged and not there"
    late = seal.datetime.now(seal.UTC) + seal.timedelta(hours=3)
    for one in seal.seal(root, late):
        seal.recorded(root, one.name)
    before = journal.read(root, limit=1 << 30)
    assert [t.raw for t in before] == [raw for n in seen for raw in seen[n]]
    while seal.pack(root):
        pass
    assert journal.read(root, limit=1 << 30) == before
    assert list(check(root, tmp_path / "refused", tmp_path / "lake"))[1:] == []
    for path in root.rglob("*.log"):  # a packer was killed before it removed what it had packed
        os.utime(path, (time.time() - 4_000,) * 2)
    seal._packed.clear()
    seal.pack(root)
    assert list(root.rglob("*.log")) == []
