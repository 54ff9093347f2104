"""Figures of gateway, journal, decoder and lake, beside their peers in the same run; prints JSON.

    python bench/telemetry.py [--full] [--parts …] [--seconds 20] [--connections 2000]
                              [--each 100] [--points 500] [--minutes-of 200] [--kills 10]
                              [--postgres postgresql://…] [--folder DIR]

`--full` takes the sizes of the goals: 20,000 connections for ten minutes, 200 kills, 99 million
minutes in the lake. Client and server share the machine; `load` is its load average before each
part. Where a process may not have 20,000 files open, client and gateway are spread over several.
Parts:

`paced`     telegrams at 3,000/s over many connections, one outstanding each: time to
            acknowledgement (after fsync), processor share and memory of the gateway
`burst`     200 connections that send back-fill, 20 outstanding each; every acknowledged telegram is
            looked up in the journal afterwards. Peer: a plain asyncio server with a naive parser
            that acknowledges without keeping anything
`decode`    telegrams/s of one core from the journal's bytes, kernel and plain decoder, beside the
            naive parser
`write`     values/s durable in commits of 2,400 values: journal, DuckDB's own file, SQLite with a row
            a value, PostgreSQL COPY (where one is given); beside them what the disk takes for a
            durable write by itself, and the same per second of processor time
`lake`      values/s from journal to lake; bytes/value of closed days; the latest value of all points,
            one point's 30 days of minutes, a month of hours of 1,000 points against a limit
`kills`     kill -9 of gateway or ingest at random moments under load: telegrams acknowledged and
            not in the journal, or twice in the lake; time until the next acknowledgement
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import wire
from telemetry_stores import part_decode, part_lake, part_write

from jingwei.telemetry import journal
from jingwei.telemetry.catalog import catalog
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.parquet import engine


def part_paced(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    limit = wire.many_files()
    many = -(-args.connections // (limit - 500))  # so many processes, for client and gateway each
    gateway = wire.Gateway(folder / "paced", min(args.connections, 2_000), many)
    try:
        before = gateway.processor()
        clients = [
            wire.Client(
                "paced", gateway.port, args.connections // many, 3_000 / many, args.seconds, n
            )
            for n in range(many)
        ]
        memory = 0.0
        while any(one.process.poll() is None for one in clients):
            memory = max(memory, gateway.memory())
            time.sleep(2)
        found = [one.result() for one in clients]
        used = gateway.processor() - before
    finally:
        gateway.stop()
    return {
        "connections": args.connections // many * many,
        "open_files_allowed": limit,
        "gateway_processes": many,
        "sent_per_s": round(sum(f["sent"] for f in found) / args.seconds),
        **{key: sum(f[key] for f in found) for key in ("answered", "unanswered", "lagging")},
        **wire.percentiles(np.concatenate([f["took"] for f in found])),
        "gateway_core_share": round(
            used / args.seconds, 2
        ),  # with connecting: too much if anything
        "gateway_cpu_us_a_telegram": round(used / max(1, sum(f["answered"] for f in found)) * 1e6),
        "gateway_pss_mb_max": memory,
    }


def part_burst(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    gateway = wire.Gateway(folder / "burst", 200)
    try:
        before = gateway.processor()
        found = wire.client("burst", gateway.port, 200, args.each, 20)
        used = gateway.processor() - before
    finally:
        gateway.stop()
    acked = {tuple(pair) for pair in found.pop("acked")}
    kept = set()
    for telegram in journal.read(gateway.data / "journal", limit=1 << 40):
        message = telegram.raw
        at, qn = message.find(b"MN=") + 3, message.find(b"QN=") + 3
        kept.add((message[at : at + 24].decode(), message[qn : qn + 17].decode()))
    found["acknowledged_and_not_kept"] = len(acked - kept)
    found["gateway_cpu_us_a_telegram"] = round(used / found["telegrams"] * 1e6)
    port = 30_000 + random.randrange(2_000)
    server = subprocess.Popen([sys.executable, wire.__file__, "--naive", str(port)])
    time.sleep(1.5)
    try:
        peer = wire.client("burst", port, 200, max(5, args.each // 10), 20)
    finally:
        server.kill()
        server.wait()
    found["plain_asyncio_nothing_kept_per_s"] = peer["acked_per_s"]
    return found


_INGEST = """
import sys, time
from pathlib import Path
from jingwei.telemetry.ingest import Ingest
root = Path(sys.argv[1])
ingest = Ingest(root / "journal", root / "lake")
while True:
    if not ingest.step(2000).telegrams:
        time.sleep(0.05)
"""


def part_kills(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    data = folder / "kills"
    rng = random.Random(9)
    acked: set = set()
    recovery: list[float] = []
    number = 0
    start = [sys.executable, "-c", _INGEST, str(data)]
    gateway = wire.Gateway(data, 50)
    worker = subprocess.Popen(start)

    async def load(seconds: float, kill_after: float = 0.0) -> bool:
        """Send for so long and kill the gateway on the way; whether anything was acknowledged."""
        nonlocal number
        loop = asyncio.get_running_loop()
        took: list[float] = []
        work = []
        for k in range(20):
            at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=number % 40_000)
            number += 50
            work.append(
                [wire.frame(k, at, qn=f"{20260310000000000 + number + i}") for i in range(50)]
            )
        devices: list[wire.Device] = []
        try:
            for frames in work:
                _, device = await loop.create_connection(
                    lambda frames=frames: wire.Device(frames, 5, took, acked),
                    "127.0.0.1",
                    gateway.port,
                )
                devices.append(device)
        except OSError:
            return False
        for device in devices:
            device.fill()
        if kill_after:
            await asyncio.sleep(kill_after)
            gateway.process.kill()
        await asyncio.wait([device.done for device in devices], timeout=seconds)
        for device in devices:
            device.transport.abort()
        return bool(took)

    try:
        for _ in range(args.kills):
            asyncio.run(load(2.0))
            if rng.random() < 0.6:
                asyncio.run(load(0.5, rng.uniform(0.001, 0.05)))
                gateway.process.wait()
                began = time.perf_counter()
                gateway.start()
                number += 1
                at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=number % 40_000)
                wire.acknowledged(
                    gateway.port, wire.frame(49, at, qn=f"{20260310000000000 + number}")
                )
                recovery.append(time.perf_counter() - began)
            else:
                worker.kill()
                worker.wait()
                worker = subprocess.Popen(start)
                time.sleep(rng.uniform(0, 1.5))
    finally:
        gateway.stop()
        worker.kill()
        worker.wait()
    ingest = Ingest(data / "journal", data / "lake")
    while ingest.step().telegrams:
        pass
    kept = set()
    for telegram in journal.read(data / "journal", limit=1 << 40):
        at, qn = telegram.raw.find(b"MN=") + 3, telegram.raw.find(b"QN=") + 3
        kept.add((telegram.raw[at : at + 24], telegram.raw[qn : qn + 17]))
    with catalog(data / "lake") as db:
        paths = [str(data / "lake" / p) for (p,) in db.execute("SELECT path FROM file")]
    twice = (
        engine()
        .execute(
            "SELECT count(*) FROM (SELECT seq, factor FROM read_parquet(?)"
            " GROUP BY seq, factor HAVING count(*) > 1)",
            [paths],
        )
        .fetchone()[0]
    )
    return {
        "kills": args.kills,
        "of_the_gateway": len(recovery),
        "acknowledged": len(acked),
        "acknowledged_and_lost": len(acked - kept),
        "rows_twice": twice,
        "recovery_s_max": round(max(recovery, default=0.0), 2),
        "recovery_s_median": round(statistics.median(recovery), 2) if recovery else None,
    }


PARTS = {
    "paced": part_paced,
    "burst": part_burst,
    "decode": part_decode,
    "write": part_write,
    "lake": part_lake,
    "kills": part_kills,
}
# Sizes of a small run and of a full one.
SIZES = {
    "seconds": (20.0, 600.0),
    "connections": (2_000, 20_000),
    "each": (100, 500),
    "points": (500, 2_000),
    "minutes_of": (200, 2_300),
    "kills": (10, 200),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the sizes of the goals")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--each", type=int, help="telegrams a connection of the burst")
    parser.add_argument("--points", type=int)
    parser.add_argument("--minutes-of", type=int, help="points in the 30 days of minutes")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--postgres", default=os.environ.get("JINGWEI_BENCH_POSTGRES", ""))
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    for name, sizes in SIZES.items():
        if getattr(args, name) is None:
            setattr(args, name, sizes[args.full])
    folder = Path(tempfile.mkdtemp(prefix="jingwei-bench-", dir=args.folder))
    found: dict[str, Any] = {"cores": os.cpu_count(), "python": platform.python_version()}
    try:
        for name in args.parts:
            load, began = round(os.getloadavg()[0], 1), time.perf_counter()
            found[name] = {"load": load, **PARTS[name](folder, args)}
            found[name]["took_s"] = round(time.perf_counter() - began)
            print(f"{name}: {found[name]['took_s']} s", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
