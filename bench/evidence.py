"""Figures of the evidence log, beside pymerkle in the same run; prints JSON.

    python bench/evidence.py [--entries 100000] [--proofs 20000] [--folder DIR]

Rates are by the clock; those in `by_processor_time` by the time that this process had a processor,
which tell more where others work on the machine (`load`), and nothing of waiting for the disk.

`append`: entries a second into the log on disk, durable (fsync) and covered by a signed checkpoint
when the call returns, by batch size. `proofs`: inclusion proofs a second from the tiles, of entries
all over the log; `cold` are the first ones, which read a tile and hash its 255 nodes nearly each time.
`verify`: inclusion verifications a second. `bytes_per_million`: size of all files of the log for a
million entries of the stated length (entry bundles, hash tiles). pymerkle (GPL, never a dependency:
`pip install pymerkle` where this runs) is measured with its in-memory and its SQLite tree;
the former keeps nothing on disk, the latter commits one entry at a time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from jingwei.evidence import canonical, merkle, sm2
from jingwei.evidence.log import Log, open_log
from jingwei.evidence.note import KeyFile, parse_checkpoint, sign_note

LENGTH = 600  # bytes of a typical entry (a case event)


# What others publish of theirs; not measured here, on other machines.
PUBLISHED = {
    "Tessera POSIX, mirrored SAS disks, 12 cores": "2,900 appends/s, 1,600 with deduplication",
    "Tessera POSIX, e2-micro": "more than 1,500 appends/s",
    "source": "transparency-dev/tessera docs/performance.md; rekor-tiles publishes no rate",
}


def entries(start: int, count: int) -> list[bytes]:
    fill = "x" * (LENGTH - 60)
    return [canonical.dumps({"fill": fill, "id": f"{i:032x}"}) for i in range(start, start + count)]


def rate(count: int, began: float) -> float:
    return round(count / (time.perf_counter() - began), 1)


class Timed:
    """Rates by the clock in `found`, by processor time in `found["by_processor_time"]`."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found, self.processor = found, found.setdefault("by_processor_time", {})

    def start(self) -> None:
        self.began, self.used = time.perf_counter(), time.process_time()

    def end(self, name: str, count: int) -> None:
        used = time.process_time() - self.used
        self.found[name] = rate(count, self.began)
        self.processor[name] = round(count / used, 1)


def append(folder: Path, total: int) -> dict[str, float]:
    """Appends a second by batch size; the log ends with at least `total` entries."""
    found: dict[str, float] = {}
    size = 0
    for batch, count in ((1, 200), (10, 2_000), (100, 10_000), (1_000, 0)):
        count = count or max(batch, (total - size) // batch * batch)
        work = [entries(size + i, batch) for i in range(0, count, batch)]
        with Log(folder) as log:
            began = time.perf_counter()
            for one in work:
                log.append(one)
            found[str(batch)] = rate(count, began)
        size += count
    return found


def jingwei(folder: Path, total: int, asked: int) -> dict[str, Any]:
    found: dict[str, Any] = {"append_per_s_by_batch": append(folder, total)}
    log = open_log(folder)
    assert log
    size, root, reader = log.checkpoint.size, log.checkpoint.root, log.reader
    timed = Timed(found)
    chance = random.Random(1)
    places = [chance.randrange(size) for _ in range(asked)]
    timed.start()
    proofs = [reader.inclusion_proof(index, size) for index in places]
    timed.end("proofs_per_s", len(proofs))
    found["proofs"] = len(proofs)
    cold = type(reader)(reader.folder)
    timed.start()
    for index in places[:200]:
        cold.inclusion_proof(index, size)
    timed.end("proofs_cold_per_s", 200)
    near = [size - 1 - i % 2_000 for i in range(2_000)]
    timed.start()
    for index in near:
        reader.inclusion_proof(index, size)
    timed.end("proofs_of_recent_entries_per_s", len(near))
    leaves = [merkle.leaf_hash(reader.entry(index, size)) for index in places]
    timed.start()
    for leaf, index, steps in zip(leaves, places, proofs, strict=True):
        merkle.verify_inclusion(leaf, index, size, steps, root)
    timed.end("verify_per_s", len(proofs))
    timed.start()
    for _ in range(1_000):
        parse_checkpoint(log.note, log.verifier)
    timed.end("checkpoints_opened_per_s", 1_000)
    used = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    found["entries"] = size
    found["entry_bytes"] = len(entries(0, 1)[0])
    found["bytes_per_million"] = used * 1_000_000 // size
    found["bytes_per_million_without_the_entries"] = (
        (used - size * (found["entry_bytes"] + 2)) * 1_000_000 // size
    )
    return found


def signatures() -> dict[str, float]:
    """Signing and verifying one checkpoint: Ed25519, SM2 (made by openssl, verified by own code)."""
    found: dict[str, float] = {}
    text = f"log.example\n1000\n{'A' * 43}=\n"
    signer = KeyFile("log.example", bytes(32))
    began = time.perf_counter()
    for _ in range(1_000):
        sign_note(text, [signer])
    found["ed25519_sign_per_s"] = rate(1_000, began)
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "k"
        key.write_bytes(sm2.generate())
        public = sm2.public_key(key)
        began = time.perf_counter()
        made = [sm2.sign(key, b"%d" % i) for i in range(20)]
        found["sm2_sign_per_s"] = rate(20, began)
        began = time.perf_counter()
        assert all(sm2.verify(public, b"%d" % i, s) for i, s in enumerate(made))
        found["sm2_verify_per_s"] = rate(20, began)
    return found


def pymerkle(folder: Path, total: int, asked: int) -> dict[str, Any]:
    try:
        package = importlib.import_module("pymerkle")
    except ImportError:
        return {"missing": "pip install pymerkle"}
    found: dict[str, Any] = {}
    for name, make, count in (
        ("memory", lambda: package.InmemoryTree(algorithm="sha256"), min(total, 20_000)),
        ("sqlite", lambda: package.SqliteTree(str(folder / "p.db"), algorithm="sha256"), 2_000),
    ):
        tree = make()
        work = entries(0, count)
        figures: dict[str, Any] = {"entries": count}
        timed = Timed(figures)
        timed.start()
        for entry in work:
            tree.append_entry(entry)
        timed.end("append_per_s", count)
        chance = random.Random(1)
        places = [chance.randrange(1, count + 1) for _ in range(asked)]
        root = tree.get_root()
        timed.start()
        proofs = [tree.prove_inclusion(index, count) for index in places]
        timed.end("proofs_per_s", len(proofs))
        bases = [tree.get_leaf(index) for index in places]
        timed.start()
        for base, one in zip(bases, proofs, strict=True):
            package.verify_inclusion(base, root, one)
        timed.end("verify_per_s", len(proofs))
        found[name] = figures
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--proofs", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="evidence-", dir=options.folder))
    try:
        figures = {
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
            "load": os.getloadavg()[0],
            "jingwei": jingwei(folder / "log", options.entries, options.proofs),
            "signatures": signatures(),
            "pymerkle": pymerkle(folder, options.entries, min(200, options.proofs)),
            "published": PUBLISHED,
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
