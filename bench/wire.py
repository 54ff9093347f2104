"""What the telemetry benchmark is played with: telegrams, clients, and servers as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from jingwei import hj212
from jingwei.telemetry import register

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


def percentiles(seconds: Any) -> dict[str, float]:
    if not len(seconds):
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


async def paced(
    port: int, connections: int, rate: float, seconds: float, number: int
) -> dict[str, Any]:
    """Client `number` of several: its devices, its share of the rate."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    acked: set = set()
    devices: list[Device] = []
    first = number * 1_000_000
    for k in range(connections):
        place = (f"127.0.{number + 1}.{k // 16000 + 1}", 0)  # an address has about 28,000 ports
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
            qn = f"{20260310000000000 + first * 1000 + sent}".encode()
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
        "sent": sent - unready,
        "answered": len(took),
        "unanswered": sum(bool(d.sent) for d in devices),
        "lagging": unready,
        "took": np.array(took, np.float32),
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
        "took": np.array(took, np.float32),
        "acked": [(m.decode(), q.decode()) for m, q in acked],
    }


def acknowledged(port: int, raw: bytes) -> None:
    """Send one telegram until it is acknowledged."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as line:
                line.settimeout(5)
                line.sendall(raw)
                if b"CN=9014" in line.recv(4096):
                    return
        except OSError:
            time.sleep(0.02)


class Client:
    """A client in a process of its own."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.out = tempfile.NamedTemporaryFile(suffix=".json")  # noqa: SIM115
        order = json.dumps([self.out.name, name, *arguments])
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--client", order], stderr=subprocess.PIPE, text=True
        )

    def result(self) -> dict[str, Any]:
        """What it found, with `took`: seconds until each answer."""
        _, errors = self.process.communicate()
        if self.process.returncode:
            raise SystemExit(errors)
        found = dict(json.loads(Path(self.out.name).read_text()))
        found["took"] = np.load(self.out.name + ".npy")
        Path(self.out.name + ".npy").unlink()
        self.out.close()
        return found


def client(name: str, *arguments: Any) -> dict[str, Any]:
    found = Client(name, *arguments).result()
    took = found.pop("took")
    return {**found, **percentiles(took)}


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
    """The gateway, as so many processes on one port as the open files allowed make necessary."""

    def __init__(self, data: Path, points: int, processes: int = 1) -> None:
        data.mkdir(parents=True, exist_ok=True)
        register.write(
            data / "register.json", [register.Device(mn(k), "123456") for k in range(points)]
        )
        self.data = data
        self.port = 20_000 + random.randrange(10_000)
        self.processes: list[subprocess.Popen[bytes]] = []
        for number in range(processes):
            self.start(number, shared=processes > 1)

    def start(self, number: int = 0, *, shared: bool = False) -> None:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("jingwei")), "gateway",
             "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data),
             "--name", f"gateway-{number}", *(["--reuse-port"] if shared else []),
             "--connections", "50000", "--connections-per-peer", "50000"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.processes[number:] = [process]
        health = self.data / "run"
        while True:
            if process.poll() is not None:
                raise SystemExit(process.stderr.read().decode())  # type: ignore[union-attr]
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if not shared or (health / f"gateway-{number}.json").exists():
                    return
            except OSError:
                pass
            time.sleep(0.02)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.processes[0]

    def processor(self) -> float:
        return sum(processor(p.pid) for p in self.processes)

    def memory(self) -> float:
        return round(sum(memory(p.pid) for p in self.processes), 1)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


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


def main() -> None:
    """Entry of the processes that the benchmark starts."""
    kind, order = sys.argv[1:]
    if kind == "--naive":
        asyncio.run(naive_server(int(order)))
        return
    out, *arguments = json.loads(order)
    found = run_client(*arguments)
    np.save(out + ".npy", found.pop("took"))
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
