"""Figures of gateway, journal, decoder and lake, beside their peers in the same run; prints JSON.

    python bench/telemetry.py [--parts …] [--seconds 60] [--connections 20000] [--points 2000]
                              [--kills 20] [--postgres postgresql://…] [--folder DIR]

Client and server share the machine; `load` is its load average before each part. Parts:

`paced`     telegrams at 3,000/s over many connections, one outstanding each: time to
            acknowledgement (after fsync), processor share and memory of the gateway
`burst`     200 connections that send back-fill, 20 outstanding each; every acknowledged telegram is
            looked up in the journal afterwards. Peer: a plain asyncio server with a naive parser
            that acknowledges without keeping anything
`decode`    telegrams/s of one core from the journal's bytes, kernel and plain decoder, beside the
            naive parser
`write`     values/s durable in commits of 2,400 values: journal, DuckDB's own file, SQLite with a row
            a value, PostgreSQL COPY (where one is given)
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
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from jingwei import hj212
from jingwei.telemetry import columns, journal, register
from jingwei.telemetry.catalog import catalog
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.lake import Lake
from jingwei.telemetry.parquet import engine

FACTORS = ["a21026", "a21002", "a34013", "a19001", "a01011", "a01012", "a01013", "a01014"]
START = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
_rng = random.Random(212)


def mn(point: int) -> str:
    return f"010000A8900016F0{point:08X}"


def frame(point: int, at: datetime, cn: str = "2051", qn: str = "") -> bytes:
    """A telegram of eight factors with Avg, Min, Max and Flag, about 650 bytes."""
    items = [
        (code, {"Avg": f"{_rng.uniform(0, 100):.3f}", "Min": f"{_rng.uniform(0, 9):.3f}",
                "Max": f"{_rng.uniform(100, 300):.3f}", "Flag": "N"})
        for code in FACTORS
    ]  # fmt: skip
    text = hj212.segment(
        cn=cn, st="31", mn=mn(point), pw="123456", qn=qn or hj212.qn(at), flag=5,
        cp=hj212.data_cp(at, items),
    )  # fmt: skip
    return hj212.frame(text)


def processor(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Proportional set size in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ms = np.array(seconds) * 1000
    return {f"p{p}_ms": round(float(np.percentile(ms, p)), 1) for p in (50, 99)} | {
        "max_ms": round(float(ms.max()), 1)
    }


# --- a client -----------------------------------------------------------------------------------


class Device(asyncio.Protocol):
    """Sends telegrams, counts answers. `outstanding` telegrams at most are unanswered."""

    def __init__(
        self, frames: list[bytes], outstanding: int, took: list[float], acked: set
    ) -> None:
        self.frames, self.outstanding = frames, outstanding
        self.took, self.acked = took, acked
        self.sent: dict[bytes, float] = {}
        self.next = 0
        self.rest = b""
        self.done = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        now = time.perf_counter()
        for line in lines:
            at = line.find(b"QN=")
            qn = line[at + 3 : at + 20]
            began = self.sent.pop(qn, None)
            if began is not None:
                self.took.append(now - began)
                self.acked.add((self.frames[0][self.frames[0].find(b"MN=") + 3 :][:24], qn))
        self.fill()

    def fill(self) -> None:
        """Send as many as may be outstanding."""
        out = []
        while len(self.sent) < self.outstanding and self.next < len(self.frames):
            out.append(self.one())
        if out:
            self.transport.write(b"".join(out))
        elif not self.sent and self.next >= len(self.frames) and not self.done.done():
            self.done.set_result(None)

    def one(self) -> bytes:
        raw = self.frames[self.next]
        self.next += 1
        at = raw.find(b"QN=")
        self.sent[raw[at + 3 : at + 20]] = time.perf_counter()
        return raw

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(error)


async def paced(port: int, connections: int, rate: float, seconds: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    acked: set = set()
    devices: list[Device] = []
    for k in range(connections):
        place = (f"127.0.{k // 16000 + 1}.1", 0)  # a source address has about 28,000 ports
        _, device = await loop.create_connection(
            lambda: Device([], 1, took, acked), "127.0.0.1", port, local_addr=place
        )
        devices.append(device)
        if k % 200 == 0:
            await asyncio.sleep(0.05)
    frames = [frame(k, START) for k in range(min(connections, 2_000))]
    began = time.perf_counter()
    sent = unready = 0
    while (now := time.perf_counter() - began) < seconds:
        while sent < now * rate:
            device = devices[sent % connections]
            raw = frames[sent % len(frames)]
            qn = f"{20260310000000000 + sent}".encode()
            at = raw.find(b"QN=")
            text = raw[6:at] + b"QN=" + qn + raw[at + 20 : -6]
            if device.sent:
                unready += 1
            else:
                device.frames = [hj212.frame(text)]
                device.next = 0
                device.fill()
            sent += 1
        await asyncio.sleep(0.005)
    await asyncio.sleep(2)
    return {
        "sent_per_s": round((sent - unready) / seconds),
        "answered": len(took),
        "unanswered": sum(bool(d.sent) for d in devices),
        "lagging": unready,
        **percentiles(took),
    }


async def burst(port: int, work: list[list[bytes]], outstanding: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    acked: set = set()
    devices = []
    for frames in work:
        _, device = await loop.create_connection(
            lambda frames=frames: Device(frames, outstanding, took, acked), "127.0.0.1", port
        )
        devices.append(device)
    began = time.perf_counter()
    for device in devices:
        device.fill()
    await asyncio.gather(*(device.done for device in devices))
    span = time.perf_counter() - began
    for device in devices:
        device.transport.close()
    return {
        "telegrams": sum(map(len, work)),
        "acked_per_s": round(len(took) / span),
        **percentiles(took),
        "acked": [(m.decode(), q.decode()) for m, q in acked],
    }


def client(name: str, *arguments: Any) -> dict[str, Any]:
    """Run a client in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        order = json.dumps([out.name, name, *arguments])
        done = subprocess.run(
            [sys.executable, __file__, "--client", order],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return dict(json.loads(Path(out.name).read_text()))


def run_client(name: str, *arguments: Any) -> dict[str, Any]:
    many_files()
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    if name == "paced":
        return run(paced(*arguments))
    port, count, each, outstanding = arguments
    work = [
        [frame(k, START + timedelta(minutes=i), qn=f"{20260310000000000 + i}") for i in range(each)]
        for k in range(count)
    ]
    return run(burst(port, work, outstanding))


# --- servers ------------------------------------------------------------------------------------


def many_files() -> int:
    """As many open files as may be; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (100_000, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
        except (ValueError, OSError):
            continue
    return soft


class Gateway:
    """The gateway as a process of its own."""

    def __init__(self, data: Path, points: int) -> None:
        data.mkdir(parents=True, exist_ok=True)
        register.write(
            data / "register.json", [register.Device(mn(k), "123456") for k in range(points)]
        )
        self.data = data
        self.port = 20_000 + random.randrange(10_000)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("jingwei")), "gateway",
             "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data),
             "--connections", "50000", "--connections-per-peer", "50000"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.wait()

    def wait(self) -> None:
        import socket

        while True:
            if self.process.poll() is not None:
                raise SystemExit(self.process.stderr.read().decode())  # type: ignore[union-attr]
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def naive(segment: bytes) -> tuple[bytes, dict[str, str]]:
    """What a first program of this kind does: bitwise check sum, split by signs."""
    crc = 0xFFFF
    for byte in segment:
        crc = (crc >> 8) ^ byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    text = segment.decode()
    head, _, cp = text.partition("CP=&&")
    fields = dict(part.split("=", 1) for part in head.split(";") if "=" in part)
    for item in cp.removesuffix("&&").split(";"):
        for part in item.split(","):
            name, _, value = part.partition("=")
            fields[name] = value
    return f"{crc:04X}".encode(), fields


async def naive_server(port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            crc, fields = naive(line[6:-6])
            if crc == line[-6:-2]:
                text = f"QN={fields['QN']};ST=91;CN=9014;PW=123456;MN={fields['MN']};Flag=4;CP=&&&&"
                writer.write(hj212.frame(text))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


# --- parts --------------------------------------------------------------------------------------


def part_paced(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    limit = many_files()
    connections = min(args.connections, limit - 200)
    gateway = Gateway(folder / "paced", min(connections, 2_000))
    try:
        before, began = processor(gateway.process.pid), time.perf_counter()
        found = client("paced", gateway.port, connections, 3_000, args.seconds)
        span = time.perf_counter() - began
        used = processor(gateway.process.pid) - before
        return {
            "connections": connections,
            "open_files_allowed": limit,
            **found,
            "gateway_core_share": round(used / span, 2),
            "gateway_pss_mb": memory(gateway.process.pid),
        }
    finally:
        gateway.stop()


def part_burst(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    gateway = Gateway(folder / "burst", 200)
    try:
        found = client("burst", gateway.port, 200, args.each, 20)
    finally:
        gateway.stop()
    acked = {tuple(pair) for pair in found.pop("acked")}
    kept = set()
    for telegram in journal.read(gateway.data / "journal", limit=1 << 40):
        message = telegram.raw
        at, qn = message.find(b"MN=") + 3, message.find(b"QN=") + 3
        kept.add((message[at : at + 24].decode(), message[qn : qn + 17].decode()))
    found["acknowledged_and_not_kept"] = len(acked - kept)
    port = 30_000 + random.randrange(2_000)
    server = subprocess.Popen([sys.executable, __file__, "--naive", str(port)])
    time.sleep(1.5)
    try:
        peer = client("burst", port, 200, max(5, args.each // 10), 20)
    finally:
        server.kill()
        server.wait()
    found["plain_asyncio_nothing_kept_per_s"] = peer["acked_per_s"]
    return found


def part_decode(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    raws = [frame(k % 2000, START + timedelta(minutes=k // 2000)) for k in range(20_000)]
    received = np.full(len(raws), journal.microseconds(START + timedelta(days=1)))
    seqs = np.arange(1, len(raws) + 1)
    columns.read(raws, received, seqs)  # compiled now

    def rate(function: Any, count: int) -> int:
        best = 0.0
        for _ in range(3):
            began = time.process_time()
            function()
            best = max(best, count / (time.process_time() - began))
        return round(best)

    some = raws[:2000]
    return {
        "bytes_a_telegram": len(raws[0]),
        "kernel_to_columns_per_s": rate(lambda: columns.read(raws * 3, np.tile(received, 3),
                                                             np.tile(seqs, 3)), 60_000),
        "plain_to_rows_per_s": rate(
            lambda: columns.read(some, received[:2000], seqs[:2000], worth=1 << 40), 2000
        ),
        "plain_decoder_per_s": rate(lambda: [hj212.decode(raw) for raw in some], 2000),
        "naive_parser_per_s": rate(lambda: [naive(raw[6:-6]) for raw in some[:300]], 300),
    }  # fmt: skip


def part_write(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    commits, per = 150, 300  # commits of 300 telegrams: 2,400 values
    raws = [frame(k, START) for k in range(per)]
    rows = [
        (mn(k), factor, START, _rng.uniform(0, 100), "N") for k in range(per) for factor in FACTORS
    ]

    def timed(commit: Any) -> dict[str, Any]:
        took = []
        for _ in range(commits):
            began = time.perf_counter()
            commit()
            took.append(time.perf_counter() - began)
        return {"values_per_s": round(commits * len(rows) / sum(took)), **percentiles(took)}

    found: dict[str, Any] = {}
    writer = Journal(folder / "write")
    telegrams = [Telegram(START, "192.0.2.1:1", raw) for raw in raws]
    found["journal"] = timed(lambda: writer.append(telegrams))
    writer.close()
    import duckdb
    import pyarrow as pa

    own = duckdb.connect(str(folder / "own.duckdb"))
    own.execute(
        "CREATE TABLE v(mn VARCHAR, factor VARCHAR, time TIMESTAMPTZ, value DOUBLE, flag VARCHAR)"
    )
    batch = pa.table(
        dict(
            zip(
                ("mn", "factor", "time", "value", "flag"),
                map(list, zip(*rows, strict=True)),
                strict=True,
            )
        )
    )
    own.register("batch", batch)
    found["duckdb_own_file"] = timed(lambda: own.execute("INSERT INTO v SELECT * FROM batch"))
    own.close()
    lite = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
    lite.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE v(mn, factor, time, value, flag);"
    )
    flat = [(m, f, t.timestamp(), v, g) for m, f, t, v, g in rows]

    def lite_commit() -> None:
        lite.execute("BEGIN")
        lite.executemany("INSERT INTO v VALUES (?, ?, ?, ?, ?)", flat)
        lite.execute("COMMIT")

    found["sqlite_a_row_a_value"] = timed(lite_commit)
    lite.close()
    if args.postgres:
        import psycopg

        with psycopg.connect(args.postgres, autocommit=True) as server:
            server.execute("DROP TABLE IF EXISTS bench_v")
            server.execute(
                "CREATE TABLE bench_v(mn text, factor text, time timestamptz, value float8, flag text)"
            )

            def copy() -> None:
                with server.cursor().copy("COPY bench_v FROM STDIN (FORMAT BINARY)") as out:
                    out.set_types(["text", "text", "timestamptz", "float8", "text"])
                    for row in rows:
                        out.write_row(row)

            found["postgresql_copy"] = timed(copy)
            found["postgresql_copy"]["fsync"] = server.execute("SHOW fsync").fetchone()[0]
            server.execute("DROP TABLE bench_v")
    found["journal_over_duckdb"] = round(
        found["journal"]["values_per_s"] / found["duckdb_own_file"]["values_per_s"], 2
    )
    return found


def part_lake(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    house = folder / "lake"
    writer = Journal(house / "journal", max_bytes=64 << 20)
    count = args.points
    telegrams = 0
    received = START + timedelta(hours=30)
    minutes = 60
    for minute in range(minutes):
        at = START + timedelta(minutes=minute)
        writer.append([Telegram(received, "p", frame(k, at).rstrip()) for k in range(count)])
        telegrams += count
    writer.close()
    now = START + timedelta(days=2)
    ingest = Ingest(house / "journal", house / "lake", clock=lambda: now)
    ingest.step(1_000)
    began, used, taken = time.perf_counter(), time.process_time(), 0
    while report := ingest.step().telegrams:
        taken += report
    span, used = time.perf_counter() - began, time.process_time() - used
    ingest.tidy()
    with catalog(house / "lake") as db:
        rows, files = 0, 0
        for path, n in db.execute("SELECT path, rows FROM file WHERE closed").fetchall():
            rows += n
            files += (house / "lake" / path).stat().st_size
    lake = Lake(house / "lake")
    found = {
        "telegrams": taken,
        "telegrams_per_s": round(taken / span),
        "telegrams_per_core_s": round(taken / used),
        "bytes_a_row_of_three_values_closed": round(files / rows, 2),
        "bytes_a_value_closed": round(files / rows / 3, 2),
    }

    def best(function: Any) -> float:
        took = []
        for _ in range(3):
            began = time.perf_counter()
            function()
            took.append(time.perf_counter() - began)
        return round(statistics.median(took) * 1000, 1)

    # 60,000 points in the table of latest values; 30 days of minutes and hours written as ingest
    # writes closed days (sorted), without going through telegrams.
    with catalog(house / "lake") as db:
        db.execute("BEGIN")
        db.executemany(
            "INSERT OR REPLACE INTO latest VALUES (?, '31', 'a21026', 'minute', 1, 1.0, NULL, 'N', 1, 1)",
            ((f"X{k:08}",) for k in range(60_000)),
        )
        db.execute("COMMIT")
    found["latest_of_60000_points_ms"] = best(lambda: lake.latest("minute"))
    synthetic(house / "lake", "minute", 1_440, 200)
    synthetic(house / "lake", "hour", 24, 1_000)
    end = START + timedelta(days=30)
    found["one_point_30_days_of_minutes_ms"] = best(
        lambda: lake.series("M000100", "31", ["a21026"], "minute", START, end)
    )
    points = [(f"M{k:06}", "31") for k in range(1_000)]

    def month() -> int:
        table = lake.scan("hour", START, end, points)
        return int((table["value"].to_numpy() > 50).sum())

    found["month_of_hours_of_1000_points_over_limit"] = month()
    found["month_of_hours_of_1000_points_ms"] = best(month)
    return found


def synthetic(root: Path, resolution: str, steps: int, points: int) -> None:
    """Thirty closed days of a factor for many points, in the lake's own form."""
    from jingwei.telemetry.parquet import write_sorted

    with catalog(root) as db:
        for day in range(30):
            name = (START + timedelta(days=day, hours=12)).date().isoformat()
            (root / resolution / name).mkdir(parents=True, exist_ok=True)
            path = f"{resolution}/{name}/synthetic.parquet"
            begin = (START + timedelta(days=day)).isoformat()
            seconds = 86_400 // steps
            rows = write_sorted(
                "SELECT format('M{:06}', p) AS mn, '31' AS st, 'a21026' AS factor,"
                f" TIMESTAMPTZ '{begin}' + INTERVAL ({seconds}) SECOND * s AS time,"
                " round(random() * 100, 3) AS value, NULL::DOUBLE AS min, NULL::DOUBLE AS max,"
                " NULL::DOUBLE AS cou, NULL::DOUBLE AS zs, NULL::DOUBLE AS zs_min,"
                " NULL::DOUBLE AS zs_max, 'N' AS flag, time AS received, p * 10000 + s AS seq"
                f" FROM range({points}) a(p), range({steps}) b(s)",
                root / path,
            )
            db.execute("DELETE FROM file WHERE resolution = ? AND day = ?", (resolution, name))
            db.execute(
                "INSERT INTO file VALUES (?, ?, ?, 1, ?, 1, 1, 1, 1)",
                (path, resolution, name, rows),
            )
    engine()  # warm


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
    gateway = Gateway(data, 50)
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
            work.append([frame(k, at, qn=f"{20260310000000000 + number + i}") for i in range(50)])
        devices: list[Device] = []
        try:
            for frames in work:
                _, device = await loop.create_connection(
                    lambda frames=frames: Device(frames, 5, took, acked), "127.0.0.1", gateway.port
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
                while not asyncio.run(load(1.0)):
                    pass
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument("--each", type=int, default=500, help="telegrams a connection of the burst")
    parser.add_argument("--points", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--postgres", default=os.environ.get("JINGWEI_BENCH_POSTGRES", ""))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--naive", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        out, *order = json.loads(args.client)
        Path(out).write_text(json.dumps(run_client(*order)))
        return
    if args.naive:
        asyncio.run(naive_server(args.naive))
        return
    folder = Path(tempfile.mkdtemp(prefix="jingwei-bench-", dir=args.folder))
    found: dict[str, Any] = {"cores": os.cpu_count(), "python": platform.python_version()}
    try:
        for name in args.parts:
            load = round(os.getloadavg()[0], 1)
            found[name] = {"load": load, **PARTS[name](folder, args)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
