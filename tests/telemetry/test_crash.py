"""Real processes, killed; a real disk, full. What was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from jingwei import hj212
from jingwei.telemetry import health, journal
from jingwei.telemetry.catalog import LakeError, catalog
from jingwei.telemetry.fsck import check

NOON = hj212.moment("20260310120000")
KILLS = 10
DEVICES = 8
MNS = [f"{i:024}" for i in range(DEVICES)]

INGEST = """
import sys, time
from pathlib import Path
from jingwei.telemetry.ingest import Ingest
ingest = Ingest(Path(sys.argv[1]) / "journal", Path(sys.argv[1]) / "lake")
print("ready", flush=True)
while True:
    if not ingest.step(50).telegrams:
        time.sleep(0.01)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_gateway(root, port, *options):
    process = subprocess.Popen(
        [sys.executable, "-m", "jingwei.cli", "gateway", "--listen", f"127.0.0.1:{port}",
         "--data", str(root), *options],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    line = process.stdout.readline()
    assert "listening" in line, line
    return process


def start_ingest(root):
    process = subprocess.Popen(
        [sys.executable, "-c", INGEST, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


async def device(mn, port, make, acknowledged, stop):
    """A logger as the standard wants it: repeats the same telegram until 9014 comes."""
    n = 0
    while not stop.is_set():
        n += 1
        raw = make(NOON + n * timedelta(minutes=1), {"a21026": str(n)}, mn=mn, cn="2051")
        qn = hj212.decode(raw).qn
        while not stop.is_set():
            with contextlib.suppress(OSError, TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    cutter = hj212.Reader()
                    while True:
                        writer.write(raw + b"\r\n")
                        data = await asyncio.wait_for(reader.read(4096), 5)
                        if not data:
                            break
                        (answer,) = map(hj212.decode, cutter.feed(data))
                        assert (answer.cn, answer.qn) == ("9014", qn)
                        acknowledged.append(raw)
                        n += 1
                        raw = make(
                            NOON + n * timedelta(minutes=1), {"a21026": str(n)}, mn=mn, cn="2051"
                        )
                        qn = hj212.decode(raw).qn
                        if stop.is_set():
                            return
                finally:
                    writer.close()
            await asyncio.sleep(0.02)


def test_gateway_and_ingest_are_killed_again_and_again_under_load(house, frame):
    house.devices(*MNS)
    port = free_port()
    acknowledged: list[bytes] = []
    chance = random.Random(5)

    async def main():
        stop = asyncio.Event()
        running = [start_gateway(house.root, port), start_ingest(house.root)]
        devices = [asyncio.create_task(device(mn, port, frame, acknowledged, stop)) for mn in MNS]
        for n in range(KILLS):
            before = len(acknowledged)
            while len(acknowledged) < before + 20:
                await asyncio.sleep(0.01)
                for task in devices:
                    assert not task.done(), task
            await asyncio.sleep(chance.random() * 0.3)
            which = n % 2
            await asyncio.to_thread(kill, running[which])
            running[which] = await asyncio.to_thread(
                *((start_gateway, house.root, port) if which == 0 else (start_ingest, house.root))
            )
        before = len(acknowledged)
        while len(acknowledged) < before + 20:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*devices)
        for process in running:
            await asyncio.to_thread(kill, process)

    asyncio.run(asyncio.wait_for(main(), 240))
    stored = Counter(house.raws())
    lost = [raw for raw in acknowledged if raw not in stored]
    assert lost == [], "acknowledged and not in the journal"
    assert len(set(acknowledged)) == len(acknowledged) > KILLS * 20

    ingest = house.ingest()
    while ingest.step().telegrams:
        pass
    table = house.lake.scan("minute", NOON, NOON + timedelta(days=30))
    raws = {telegram.seq: telegram.raw for telegram in journal.read(house.journal, limit=1 << 30)}
    assert {raws[seq] for seq in table.column("seq").to_pylist()} == set(stored)
    assert table.num_rows == len(stored)
    with catalog(house.root / "lake") as db:
        (rows,) = db.execute("SELECT sum(rows) FROM file").fetchone()
    assert rows == len(stored), "stored twice"
    assert list(check(house.journal, house.refused, house.root / "lake", full=True)) == []


def test_sigterm_stops_the_gateway_cleanly(house, frame):
    house.devices()
    port = free_port()
    process = start_gateway(house.root, port)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(frame() + b"\r\n")
        assert b"CN=9014" in line.recv(4096)
        process.send_signal(signal.SIGTERM)
        assert line.recv(4096) == b""
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "1 telegrams taken, 1 answered" in rest
    (segment,) = journal.segments(house.journal)
    assert segment.meta()["state"] == "rolled"
    assert health.read(house.run)["gateway"]["state"] == "stopped"


def test_a_taken_port_is_said_in_one_line(house):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "jingwei.cli", "gateway", "--listen", f"127.0.0.1:{port}",
             "--data", str(house.root)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"127.0.0.1:{port} cannot be used" in line


# ── a full disk ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MiB of its own (tmpfs); needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a tmpfs (test_gateway and test_journal fill SQLite's pages)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"\0" * 4096)
    with path.open("ab", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"\0")
    return path


@pytest.mark.parametrize("begun", [True, False])
def test_a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost(
    house, small_disk, frame, begun
):
    house = type(house)(small_disk)
    house.devices()
    port = free_port()
    process = start_gateway(small_disk, port)
    sent = [frame(NOON + timedelta(minutes=n), cn="2051") for n in range(2000)]
    cutter = hj212.Reader()
    answers = 0
    try:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.settimeout(30)
            if begun:
                line.sendall(sent[0] + b"\r\n")
                answers += len(cutter.feed(line.recv(4096)))
            filler = fill(small_disk)
            line.settimeout(1)
            with contextlib.suppress(TimeoutError):
                line.sendall(b"".join(f + b"\r\n" for f in sent[answers:]))
            for _ in range(60):  # ever smaller groups fit into what the last pages have left
                with contextlib.suppress(TimeoutError):
                    while True:
                        answers += len(cutter.feed(line.recv(65536)))
                beat = health.read(house.run)["gateway"]
                stored = len(house.raws())
                if beat.get("state") == "stalled" and stored == answers:
                    break
            assert beat["state"] == "stalled"
            assert "full" in beat["problem"] or "space" in beat["problem"]
            assert stored == answers < len(sent)
            with pytest.raises((OSError, LakeError)):
                house.ingest().step()
            filler.unlink()
            line.settimeout(30)
            while answers < len(sent):
                answers += len(cutter.feed(line.recv(65536)))
        assert house.raws() == sent
        ingest = house.ingest()
        while ingest.step(500).telegrams:
            pass
        series = house.lake.series("010000A8900016F000169DC0", "31", None, "minute", NOON,
                                   NOON + timedelta(days=2))  # fmt: skip
        assert series.num_rows == len(sent)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
