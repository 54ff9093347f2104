"""A coverage-guided fuzzer (atheris, libFuzzer) on codec and gateway.

    uv run --with atheris python bench/fuzz.py codec|stream|lake|gateway [-max_total_time=120 …]

`codec`     one frame: the decoder never raises, says the same twice (the layouts that it learns change
            nothing), and what it takes has a JSON form
`stream`    a byte stream, cut at random: the reader gives the same pieces as in one go
`lake`      telegrams in a batch: the compiled kernel says what the plain decoder says
`gateway`   what one client sends: answers only to what is in the journal, nothing stops, nothing that
            was accepted is lost

The corpus is that of the tests. Options behind the target are libFuzzer's; a finding is written to a
file `crash-…`, which is the argument to play it again.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["jingwei.hj212", "jingwei.telemetry"]):
    from jingwei import hj212
    from jingwei.hj212 import Reader, cp, sm4
    from jingwei.telemetry import columns, journal, observations, register
    from jingwei.telemetry.gateway import Connection, Gateway, Limits

import numpy as np

CORPUS = Path(__file__).parent.parent / "tests" / "data" / "hj212" / "telegrams.jsonl"
KEY = b"0123456789abcdef"
MN = "010000A8900016F000169DC0"


def telegrams(data: bytes) -> bytes:
    """The input itself, or (its first byte odd) each of its lines in a frame with a right check
    sum, which hardly any change of bytes leaves right."""
    if not data or data[0] % 2 == 0:
        return data
    return b"".join(hj212.frame(line) for line in data[1:].split(b"\n") if len(line) <= 9999)


def codec(data: bytes) -> None:
    for version, key in ((None, None), ("2005", None), ("2017", None), ("2025", KEY)):
        cp._layouts.clear()
        first = hj212.decode(data, version=version, key=key, dialects=frozenset(hj212.DIALECTS))
        again = hj212.decode(data, version=version, key=key, dialects=frozenset(hj212.DIALECTS))
        assert first == again, (first, again)
        assert first.ok == (first.error is None)
        json.dumps(first.to_json())
    inner = data[6:-4]
    if len(inner) <= 9999:
        whole = hj212.decode(hj212.frame(inner))
        assert whole.crc is None or whole.crc.ok is not False or not whole.ok
        hj212.decode_segment(inner, version="2025", key=KEY)
        for _, cipher in sm4.read(inner):
            sm4.decrypt(cipher, KEY)


def stream(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    cuts = [given.ConsumeIntInRange(1, 300) for _ in range(8)]
    content = given.ConsumeBytes(1 << 16)

    def read(parts: list[bytes]) -> list[Any]:
        reader = Reader(max_segment=2048, max_rubbish=2064)
        found = [piece for part in parts for piece in reader.feed(part)]
        return [*found, *reader.flush()]

    parts, at = [], 0
    while at < len(content):
        size = cuts[len(parts) % len(cuts)]
        parts.append(content[at : at + size])
        at += size
    assert read(parts) == read([content]), "the way it arrives matters"


def lake(data: bytes) -> None:
    data = telegrams(data)
    raws = [piece for piece in Reader().feed(data) if isinstance(piece, bytes)] or [data]
    received = np.full(len(raws), 1_773_100_000_000_000)
    seqs = np.arange(1, len(raws) + 1)
    fast = columns.read(raws, received, seqs, worth=1)
    plain = columns.read(raws, received, seqs, worth=1 << 40)
    assert sorted(fast.odd) == sorted(plain.odd), (fast.odd, plain.odd)
    assert fast.rows.keys() == plain.rows.keys()
    for name, table in fast.rows.items():
        order = [("telegram", "ascending"), ("factor", "ascending")]
        one, other = table.sort_by(order).to_pylist(), plain.rows[name].sort_by(order).to_pylist()
        assert one == other, (one, other)
    for raw in raws:
        observations.observations(observations.decode(raw), 1_773_100_000_000_000, 1)


class _Transport:
    """What a connection needs of one."""

    def __init__(self) -> None:
        self.out = b""
        self.open = True

    def get_extra_info(self, _: str) -> tuple[str, int]:
        return "192.0.2.1", 4000

    def is_closing(self) -> bool:
        return not self.open

    def write(self, data: bytes) -> None:
        self.out += data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.open = False

    abort = close


class House:
    """One gateway for all inputs, its journal looked at after each."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        devices = [
            register.Device(MN, "123456"),
            register.Device("88888880000001", "123456", "2005"),
        ]
        register.write(root / "register.json", devices)
        self.loop = asyncio.new_event_loop()
        self.gateway = Gateway(
            root / "journal", root / "refused", root / "register.json", root / "run",
            limits=Limits(linger=0.0),
        )  # fmt: skip
        self.loop.run_until_complete(self.gateway.start("127.0.0.1", 0))
        self.positions: dict[int, int] = {}

    def __call__(self, data: bytes) -> None:
        self.loop.run_until_complete(self.play(data))

    async def play(self, data: bytes) -> None:
        given = atheris.FuzzedDataProvider(data)
        size = given.ConsumeIntInRange(1, 2000)
        content = telegrams(given.ConsumeBytes(1 << 16))
        gateway, transport = self.gateway, _Transport()
        before = gateway.counts["accepted"]
        line = Connection(gateway)
        line.connection_made(transport)  # type: ignore[arg-type]
        for at in range(0, len(content), size):
            line.data_received(content[at : at + size])
        line.connection_lost(None)
        for _ in range(4000):
            if not gateway.waiting:
                break
            await asyncio.sleep(0.0005)
        assert not gateway.waiting
        assert not gateway.problem, gateway.problem
        found = journal.read(gateway.journal.root, self.positions)
        for telegram in found:
            self.positions[telegram.seq >> 32] = telegram.seq & 0xFFFFFFFF
        assert len(found) == gateway.counts["accepted"] - before
        assert transport.out.count(b"CN=901") <= len(found)


def main() -> None:
    targets = {"codec": codec, "stream": stream, "lake": lake, "gateway": None}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        raise SystemExit(__doc__)
    name = sys.argv.pop(1)
    target = House() if name == "gateway" else targets[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, line in enumerate(CORPUS.read_text().splitlines()):
            raw = json.loads(line)["raw"]
            Path(corpus, str(number)).write_text(raw)
            if raw.startswith("##"):
                Path(corpus, f"{number}.segment").write_text("1" + raw[6:-4])
                mine = re.sub("MN=[^;]*", f"MN={MN}", re.sub("PW=[^;]*", "PW=123456", raw[6:-4]))
                Path(corpus, f"{number}.mine").write_text("1" + mine)
        atheris.Setup([*sys.argv, corpus], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
