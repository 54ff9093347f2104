"""The log on disk: appends, tiles, proofs, crashes between every two writes, kill -9, tampering."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.evidence import log as logs
from jingwei.evidence import merkle, rebuild, tiles, verify_consistency, verify_inclusion
from jingwei.evidence.log import Log, LogBusyError, LogError, open_log
from jingwei.evidence.tiles import Reader, TileError
from killing import killed_at


def batch(start: int, count: int) -> list[bytes]:
    return [f"entry {i}".encode() * (1 + i % 3) for i in range(start, start + count)]


def check(folder: Path) -> int:
    """Check the whole log and return its size."""
    opened = open_log(folder)
    assert opened
    seen: list[bytes] = []
    rebuild.check(opened.reader, [opened.checkpoint], each=lambda _, entries: seen.extend(entries))
    assert len(seen) == opened.checkpoint.size
    return len(seen)


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 1234067, 256, "tile/0/x001/x234/067"),
        (2, 999, 17, "tile/2/999.p/17"),
        (1, 1000, 256, "tile/1/x001/000"),
        (tiles.ENTRIES, 1234067, 1, "tile/entries/x001/x234/067.p/1"),
    ],
)
def test_paths(level: int, index: int, width: int, path: str) -> None:
    """C2SP tlog-tiles: `tile/<L>/<N>[.p/<W>]`; 1234067 is its printed example."""
    assert tiles.path(level, index, width) == path


def test_bundles() -> None:
    entries = [b"", b"a", b"x" * 65_535]
    data = tiles.pack(entries)
    assert tiles.unpack(data, 3) == entries
    for bad in (data[:-1], data + b"\x00", data[:1], b"", data[:3]):
        with pytest.raises(TileError):
            tiles.unpack(bad, 3)


class Held(Reader):
    """The tiles of a tree in memory."""

    def __init__(self, tree: merkle.Tree) -> None:
        super().__init__(Path("/nonexistent"))
        self.tree = tree

    def _tile(self, level: int, index: int, width: int) -> bytes:
        assert 1 <= width <= 256
        first = index * 256
        return b"".join(self.tree.node(level * 8, n) for n in range(first, first + width))


TREE = merkle.Tree(merkle.leaf_hash(b"%d" % n) for n in range(66_100))
EDGES = [
    n + d for n in (1, 2, 256, 257, 512, 65_536, 65_792, 66_048) for d in (-1, 0, 1, 5) if n + d
]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_proofs_from_tiles_are_those_of_the_tree(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from(EDGES) | st.integers(1, 66_100))
    index = data.draw(st.sampled_from([0, size // 2, size - 1]) | st.integers(0, size - 1))
    assert Held(TREE).inclusion_proof(index, size) == TREE.inclusion_proof(index, size)


def test_no_proof_outside_of_the_tree() -> None:
    for index, size in ((-1, 5), (5, 5), (0, 0)):
        with pytest.raises(ValueError, match="is not in a tree of"):
            Held(TREE).inclusion_proof(index, size)


def test_appends_give_dense_numbers_and_proofs(tmp_path: Path) -> None:
    expected = merkle.Tree()
    checkpoints = []
    with Log(tmp_path, origin="log.example/test") as log:
        assert open_log(tmp_path).checkpoint.size == 0
        for count in (1, 1, 2, 250, 1, 1, 0, 300, 700, 1):
            entries = batch(len(expected), count)
            first = len(expected)
            assert log.append(entries) == range(first, first + count)
            for entry in entries:
                expected.append(merkle.leaf_hash(entry))
            opened = open_log(tmp_path)
            assert (opened.checkpoint.origin, opened.checkpoint.size) == (
                "log.example/test",
                len(expected),
            )
            assert opened.checkpoint.root == expected.root() == log.root()
            checkpoints.append(opened.checkpoint)
    size, root = len(expected), expected.root()
    reader = Reader(tmp_path / "log")
    rebuild.check(reader, checkpoints)
    for index in (0, 1, 3, 254, 255, 256, 257, 555, 1023, 1255, size - 1):
        entry = reader.entry(index, size)
        assert [entry] == batch(index, 1)
        proof = reader.inclusion_proof(index, size)
        assert proof == expected.inclusion_proof(index)
        verify_inclusion(merkle.leaf_hash(entry), index, size, proof, root)
    for old in checkpoints:
        proof = reader.consistency_proof(old.size, size)
        verify_consistency(old.size, size, proof, old.root, root)
    with pytest.raises(ValueError, match="not in a log of"):
        reader.entry(size, size)
    # Partial tiles go when their tile is full, and only then.
    assert not (tmp_path / "log/tile/0/000.p").exists()
    assert not (tmp_path / "log/tile/entries/000.p").exists()
    assert (tmp_path / f"log/tile/0/004.p/{size % 256}").exists()


def test_upper_tiles(tmp_path: Path) -> None:
    """Past 65,536 entries there is a full tile at level 1 and a beginning at level 2."""
    tree = merkle.CompactRange()
    with Log(tmp_path) as log:
        for start in range(0, 66_000, 6_000):
            entries = batch(start, 6_000)
            log.append(entries)
            for entry in entries:
                tree.append(merkle.leaf_hash(entry))
    opened = open_log(tmp_path)
    assert opened.checkpoint.root == tree.root()
    assert (tmp_path / "log/tile/1/000").stat().st_size == 8192
    assert (tmp_path / "log/tile/2/000.p/1").stat().st_size == 32
    assert check(tmp_path) == 66_000
    for index in (0, 65_535, 65_536, 65_999):
        proof = opened.reader.inclusion_proof(index, 66_000)
        leaf = merkle.leaf_hash(batch(index, 1)[0])
        verify_inclusion(leaf, index, 66_000, proof, tree.root())
    target = tmp_path / "log/tile/1/000"
    data = bytearray(target.read_bytes())
    data[40] ^= 1
    target.write_bytes(data)
    with pytest.raises(
        LogError, match="hash 1 in tile/1/000 is not the root of the tile tile/0/001"
    ):
        check(tmp_path)


def test_one_writer(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        with pytest.raises(LogBusyError, match="another process"):
            Log(tmp_path, wait=0.0)
        log.append(batch(0, 1))
    with pytest.raises(LogError, match="closed"):
        log.append(batch(1, 1))
    with Log(tmp_path, wait=0.0) as log:
        assert log.size == 1


def test_entry_too_large(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        with pytest.raises(LogError, match="65536 bytes, at most 65535"):
            log.append([b"x" * 65_536])
        assert log.append([b"x" * 65_535]) == range(1)
    assert check(tmp_path) == 1


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("torn", [True, False], ids=["in the write", "after the write"])
def test_crash_at_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool) -> None:
    """Whatever write is the last, the log opens again, keeps what it acknowledged, and every root
    that was ever signed for a size stays the only one."""
    signed: dict[int, str] = {}
    sign_note, replace = logs.sign_note, Log._replace
    writes = 0
    last = 0  # the number of the write with which the process ends; 0: none

    def watched_sign(text: str, signers: list) -> str:
        _, size, root, *_ = text.split("\n")
        assert signed.setdefault(int(size), root) == root, f"two roots for size {size}"
        return sign_note(text, signers)

    def watched_replace(self: Log, target: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes != last:
            replace(self, target, data)
            return
        if torn:
            (self.folder / logs.SCRATCH).write_bytes(data[: len(data) // 2])
        else:
            replace(self, target, data)
        raise Crash

    monkeypatch.setattr(logs, "sign_note", watched_sign)
    monkeypatch.setattr(Log, "_replace", watched_replace)
    crashes = kept = 0
    for step in range(1, 14):
        folder = tmp_path / str(step)
        signed.clear()
        with Log(folder) as log:
            log.append(batch(0, 250))
        with Log(folder) as log:
            writes, last = 0, step
            try:
                log.append(batch(250, 20))
                acknowledged = 270
            except Crash:
                crashes += 1
                acknowledged = 250
            last = 0
        # What comes next is other: of entries that were not kept, nothing may remain.
        with Log(folder) as log:
            assert log.size in (250, 270)
            assert log.size >= acknowledged
            kept += log.size == 270
            assert [log.reader.entry(i, log.size) for i in range(log.size)] == batch(0, log.size)
            log.append(batch(1_000, 9))
            log.append(batch(2_000, 30))
            assert check(folder) == log.size
    # bundle and tile 0 full, their beginnings, tile 1's, the state, the checkpoint
    assert crashes == 7
    assert kept == 13 - (6 if torn else 5)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer says so, acknowledges nothing, and goes on when there is room again."""
    with Log(tmp_path) as log:
        log.append(batch(0, 3))

    def full(self: Log, target: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, Log(tmp_path) as log:
        patch.setattr(Log, "_replace", full)
        with pytest.raises(LogError, match="No space left on device"):
            log.append(batch(3, 3))
    with Log(tmp_path) as log:
        assert log.append(batch(3, 3)) == range(3, 6)
    assert check(tmp_path) == 6


WRITER = """
import sys
from pathlib import Path
from jingwei.evidence.log import Log
folder, run = Path(sys.argv[1]), sys.argv[2]
with Log(folder) as log, open(folder / "acknowledged", "a", buffering=1) as out:
    n = 0
    while True:
        entries = [f"{run}-{n}-{i}".encode() for i in range(n % 37 + 1)]
        numbers = log.append(entries)
        for number, entry in zip(numbers, entries):
            out.write(f"{number} {entry.decode()}\\n")
        out.write(f"checkpoint {log.size} {log.root().hex()}\\n")
        n += 1
"""


def test_kill_9(tmp_path: Path) -> None:
    """Ten writers are killed at random moments; every acknowledged entry keeps its number, and
    every acknowledged root is still the root of its size."""
    chance = random.Random(212)
    for run in range(10):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(run)])
        log = tmp_path / "acknowledged"
        size = log.stat().st_size if log.exists() else 0
        deadline = time.monotonic() + 60
        while not log.exists() or log.stat().st_size == size:
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(chance.random() * 0.15)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        with Log(tmp_path):
            pass  # finishes what was begun
        check(tmp_path)
    opened = open_log(tmp_path)
    total = opened.checkpoint.size
    lines = [line.split() for line in log.read_text().splitlines()]
    acknowledged = [line for line in lines if len(line) == 2]
    assert len(acknowledged) > 10
    bundles: dict[int, list[bytes]] = {}
    for number, text in ((int(n), t) for n, t in acknowledged):
        bundle = bundles.setdefault(number // 256, opened.reader.entries(number // 256, total))
        assert bundle[number % 256] == text.encode()
    for _, size, root in (line for line in lines if len(line) == 3 and len(line[2]) == 64):
        assert opened.reader.root(int(size)).hex() == root


def test_kill_9_before_every_step_of_an_append(tmp_path: Path) -> None:
    """Between every two durable steps, with a bundle and a tile that become full: readers find a
    log that is whole, nothing acknowledged is lost, and no size ever has two signed roots."""
    number = kept = 0
    killed = True
    while killed:
        number += 1
        folder = tmp_path / str(number)
        with Log(folder, origin="log.example/one") as log:
            log.append(batch(0, 250))

        def act(folder: Path = folder) -> None:
            with Log(folder) as log:
                log.append(batch(250, 20))

        killed = killed_at(number, act)
        found = check(folder)  # as a reader finds it, before the next writer comes
        assert found in ((250, 270) if killed else (270,))
        seen = open_log(folder).checkpoint
        with Log(folder) as log:
            assert log.size in (found, 270)
            kept += killed and log.size == 270
            assert log.reader.root(seen.size) == seen.root
            assert [log.reader.entry(i, log.size) for i in range(log.size)] == batch(0, log.size)
            log.append(batch(1_000, 30))
            assert log.reader.root(seen.size) == seen.root
            assert check(folder) == log.size
    assert number > 15
    assert kept > 1  # after the point of no return it is finished by who comes next


def tamper(path: Path, at: int = -1) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("log/tile/entries/000", "entry 255 in tile/entries/000 is not the one"),
        ("log/tile/entries/001.p/44", "entry 299 in tile/entries/001.p/44 is not the one"),
        ("log/tile/0/000", "entry 255 in tile/entries/000 is not the one"),
        ("log/tile/0/001.p/44", "entry 299"),
        ("log/tile/0/001.p/20", "tile/0/001.p/20 is not how its tile begins"),
        ("log/tile/entries/001.p/20", "tile/entries/001.p/20 is not how its tile begins"),
        ("log/tile/1/000.p/1", "hash 0 in tile/1/000.p/1 is not the root of the tile tile/0/000"),
        ("log/checkpoint", "checkpoint is damaged"),
        ("state.json", "state.json"),
        ("log.pub", "verifier key"),
    ],
)
def test_one_changed_byte_is_found(tmp_path: Path, name: str, reason: str) -> None:
    with Log(tmp_path) as log:
        for start, count in ((0, 1), (1, 275), (276, 24)):
            log.append(batch(start, count))
    assert check(tmp_path) == 300
    tamper(tmp_path / name, -3 if name in ("state.json", "log/checkpoint", "log.pub") else -1)
    with pytest.raises(LogError, match=reason):
        check(tmp_path)


def test_every_byte_of_a_small_log_counts(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.append(batch(0, 2))
        log.append(batch(2, 1))
    files = [p for p in (tmp_path / "log").rglob("*") if p.is_file()]
    assert len(files) == 5
    for path in files:
        for at in range(path.stat().st_size):
            tamper(path, at)
            with pytest.raises(LogError):
                check(tmp_path)
            tamper(path, at)
    assert check(tmp_path) == 3


@pytest.mark.parametrize("how", ["missing", "cut", "long"])
@pytest.mark.parametrize("name", ["tile/0/000.p/3", "tile/entries/000.p/3"])
def test_missing_and_cut_files(tmp_path: Path, name: str, how: str) -> None:
    with Log(tmp_path) as log:
        log.append(batch(0, 3))
    path = tmp_path / "log" / name
    if how == "missing":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-1] if how == "cut" else data + b"x")
    with pytest.raises(LogError, match=name):
        check(tmp_path)
    with pytest.raises(LogError, match="last tiles are damaged"):
        Log(tmp_path)


def test_the_writer_refuses_a_log_that_contradicts_itself(tmp_path: Path) -> None:
    """It never signs over a difference: it stops and says what to do."""
    with Log(tmp_path) as log:
        log.append(batch(0, 3))
        old_state = (tmp_path / "state.json").read_bytes()
        old_checkpoint = (tmp_path / "log/checkpoint").read_bytes()
        log.append(batch(3, 3))
    new_state = (tmp_path / "state.json").read_bytes()
    new_checkpoint = (tmp_path / "log/checkpoint").read_bytes()

    (tmp_path / "state.json").write_bytes(old_state)
    with pytest.raises(LogError, match="the folder was set back"):
        Log(tmp_path)
    with pytest.raises(LogError, match="the folder was set back"):
        open_log(tmp_path)
    (tmp_path / "state.json").unlink()
    with pytest.raises(LogError, match=r"state.json is missing"):
        Log(tmp_path)
    (tmp_path / "state.json").write_bytes(new_state)
    (tmp_path / "log.key").rename(tmp_path / "away")
    with pytest.raises(LogError, match="cannot read the signing key"):
        Log(tmp_path)
    (tmp_path / "away").rename(tmp_path / "log.key")
    # A checkpoint that lags is what a crash leaves: it is signed again, the same.
    (tmp_path / "log/checkpoint").write_bytes(old_checkpoint)
    Log(tmp_path).close()
    assert (tmp_path / "log/checkpoint").read_bytes() == new_checkpoint
    # Another key's log put in its place
    with Log(tmp_path / "other") as other:
        other.append(batch(0, 6))
    (tmp_path / "other/log/checkpoint").replace(tmp_path / "log/checkpoint")
    with pytest.raises(LogError, match="no signature by a trusted key"):
        Log(tmp_path)


def test_nothing_there_yet(tmp_path: Path) -> None:
    assert open_log(tmp_path) is None
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot use"):
        Log(tmp_path / "file")


def test_names_that_are_no_numbers_for_int(tmp_path: Path) -> None:
    """`str.isdigit` takes a superscript for a digit; `int` does not."""
    with Log(tmp_path) as log:
        log.append([b"x"])
        log.keep(open_log(tmp_path).note)
    reader = open_log(tmp_path).reader
    partial = reader.folder / (tiles.path(0, 0) + ".p")
    before = reader.partials(0, 0)
    (partial / "\u00b2").touch()
    for name in ("\u00b2\u00b2\u00b2", "x\u00b2\u00b2\u00b2"):
        (reader.folder / "checkpoints" / name).mkdir()
    assert (reader.kept(), reader.partials(0, 0)) == ([1], before)
