"""Figures of gateway, journal, decoder and lake, beside their peers in the same run; prints JSON.

    python bench/telemetry.py [--full] [--parts …] [--seconds 20] [--connections 2000]
                              [--each 100] [--points 500] [--minutes-of 200] [--kills 10]
                              [--postgres postgresql://…] [--folder DIR] [--table]

`--full` takes the sizes of the goals: 20,000 connections for ten minutes, 200 kills, 52 million
minutes in the lake; some 20 minutes on a calm machine of two cores. Client and server share the machine; `load` is its load average before each
part. Where a process may not have 20,000 files open, client and gateway are spread over several.
Parts:

`paced`     telegrams at 3,000/s over many connections, one outstanding each: time to
            acknowledgement (after fsync), processor share and memory of the gateway
`burst`     200 connections that send back-fill, 20 outstanding each; every acknowledged telegram is
            looked up in the journal afterwards. Peer: a plain asyncio server with a naive parser
            that acknowledges without keeping anything
`decode`    telegrams/s of one core from the journal's bytes, kernel and plain decoder, beside the
            naive parser
`write`     values/s durable in commits of 2,400 and of 24,000 values: journal, DuckDB's own file,
            (as it comes, and with its checkpoints put off), SQLite with a row a value, PostgreSQL
            COPY (where one is given), in turns; beside them what the disk takes for a durable write
            by itself, the same per second of processor time, and bytes written
`latest`    the newest values of 60,000 points, as the console's pages ask for them
`lake`      values/s from journal to lake; bytes/value of closed days; one point's 30 days of minutes,
            a month of hours of 1,000 points against a limit
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
from telemetry_stores import part_decode, part_lake, part_latest, part_write

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
        "seconds": args.seconds,
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
                time.sleep(rng.uniform(0, 0.8))
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


def rows(found: dict[str, Any]) -> list[str]:
    """The measured parts as rows of the table in docs/validation/telemetry.md."""
    out = ["| | goal | measured | load |", "|---|---|---|---|"]

    def row(part: str, what: str, goal: str, measured: str) -> None:
        out.append(f"| {what} | {goal} | {measured} | {found[part]['load']:.0f} |")

    if p := found.get("paced"):
        row("paced", "sustained 3,000 telegrams/s, acknowledged after fsync",
            "p99 ≤ 300 ms, ≤ 60 % of one core, 20,000 connections for 10 min",
            f"p99 {p.get('p99_ms', 0):.0f} ms, {p['gateway_core_share']:.0%} of one core,"
            f" {p['connections']:,} connections for {p['seconds']:.0f} s, {p['sent_per_s']:,}/s sent,"
            f" {p['unanswered']} unanswered")  # fmt: skip
    if p := found.get("burst"):
        row("burst", "burst, 200 connections", "≥ 15,000 telegrams/s, none lost",
            f"{p['acked_per_s']:,}/s, {p['acknowledged_and_not_kept'] or 'none'} lost;"
            f" {p['gateway_cpu_us_a_telegram']} µs of processor time a telegram")  # fmt: skip
    if p := found.get("decode"):
        row("decode", "decode from the journal", "≥ 300,000 telegrams/s/core",
            f"{p['kernel_to_columns_per_s']:,}")  # fmt: skip
    if p := found.get("write"):
        row("write", "durable writing",
            "≥ 1,000,000 values/s calm, ≥ 2.5 × DuckDB's own file",
            "; ".join(
                f"commits of {size:,} values {p[f'journal{key}']['values_per_s'] / 1e6:.2f} M/s,"
                f" {p[f'journal_over_duckdb{key}']} × on the disk,"
                f" {p[f'journal_over_duckdb_in_cpu_time{key}']} × in processor time"
                for size, key in ((2_400, ""), (24_000, "_24000_a_commit"))
            ) + f"; fdatasync alone {p['fdatasync_of_40_kb_ms']['p50_ms']} ms")  # fmt: skip
    if p := found.get("latest"):
        row("latest", "latest value of 60,000 points", "≤ 200 ms",
            f"{p['of_60000_points_ms']:.0f} ms")  # fmt: skip
    if p := found.get("lake"):
        row("lake", "bytes a value in closed days", "≤ 10", f"{p['bytes_a_value_closed']}")
        row("lake", "30 days of minutes of one point", "≤ 100 ms",
            f"{p['one_point_30_days_of_minutes_ms']:.0f} ms of"
            f" {p['rows_of_30_days_of_minutes']:,} rows; by hours from the roll-ups"
            f" {p['one_point_30_days_of_hours_from_minutes_ms']:.0f} ms")  # fmt: skip
        row("lake", "month of hours of 1,000 points against a limit", "≤ 1 s",
            f"{p['month_of_hours_of_1000_points_ms'] / 1000:.2f} s")  # fmt: skip
    if p := found.get("kills"):
        row("kills", "kill -9 of gateway or ingest", "none lost, none twice, recovery ≤ 5 s",
            f"{p['acknowledged_and_lost'] or 'none'} of {p['acknowledged']:,} lost,"
            f" {p['rows_twice'] or 'none'} twice in {p['kills']} kills; recovery"
            f" {p['recovery_s_median']} s in the median, {p['recovery_s_max']} s at most")  # fmt: skip
    if p := found.get("paced"):
        row("paced", f"memory at {p['connections']:,} connections", "≤ 1 GiB at 20,000",
            f"{p['gateway_pss_mb_max']:.0f} MB")  # fmt: skip
    return out


PARTS = {
    "paced": part_paced,
    "burst": part_burst,
    "decode": part_decode,
    "write": part_write,
    "latest": part_latest,
    "lake": part_lake,
    "kills": part_kills,
}
# Sizes of a small run and of a full one.
SIZES = {
    "seconds": (20.0, 600.0),
    "connections": (2_000, 20_000),
    "each": (100, 500),
    "points": (500, 2_000),
    "minutes_of": (200, 1_200),
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
    parser.add_argument("--table", action="store_true", help="print the rows of the note as well")
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
    if args.table:
        print("\n" + "\n".join(rows(found)))


if __name__ == "__main__":
    main()
