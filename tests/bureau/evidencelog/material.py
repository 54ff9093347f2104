"""What the tests of the evidence log work on: entries, the parts of a case, witnesses that run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import transaction

from jingwei.bureau.evidencelog import sealing, services
from jingwei.bureau.evidencelog.bundles import Leaf, Parts
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import record
from jingwei.evidence import canonical, digest, merkle
from jingwei.evidence.log import Log
from jingwei.evidence.note import COSIGNATURE, KeyFile
from jingwei.evidence.witness import KEY, Server, Witness
from jingwei.telemetry.journal import Journal, Telegram

PHOTO = bytes(range(256)) * 40
BODY = canonical.dumps({"text": "现场照片", "salt": "00" * 16})
JUDGED = [b'7\n%d\n%d\n{"a21002":{"value":75.5}}\n' % (3600 * n, n) for n in range(5)]


def entries(count: int, subject: str = "case:1") -> list[EvidenceEntry]:
    with transaction.atomic():
        return [record("case_event", subject, {"n": n}) for n in range(count)]


def numbers() -> list[int | None]:
    return list(EvidenceEntry.objects.order_by("id").values_list("index", flat=True))


@contextlib.contextmanager
def witnesses(data: Path, count: int = 2) -> Iterator[list[Server]]:
    """Witnesses in threads, and the policy file that names them: one less than all must sign."""
    with Log(data / "evidence") as log:
        key = log.signer.verifier
    servers, lines = [], [f"log {key}"]
    for n in range(count):
        KeyFile.create(data / f"w{n}" / KEY, f"w{n}.example", COSIGNATURE)
        one = Witness(data / f"w{n}", [key])
        server = Server(("127.0.0.1", 0), one)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        lines.append(f"witness w{n} {one.signer.verifier} {url}")
    names = " ".join(f"w{n}" for n in range(count))
    lines += [f"group g {max(1, count - 1)} {names}", "quorum g", ""]
    (data / "evidence/policy").write_text("\n".join(lines))
    try:
        yield servers
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def parts(data: Path, *, sealed: bool = True) -> Parts:
    """Two events with a text and a photo, and two telegrams of a sealed segment of seven."""
    received = datetime.now(UTC) - timedelta(hours=3)
    with contextlib.closing(Journal(data / "journal")) as journal:
        seqs = journal.append(
            [Telegram(received, "10.0.0.1:9", b"##0101QN=%d" % n) for n in range(7)]
        )
        if sealed:
            journal.roll()
    if sealed:
        assert sealing.seal_segments(data / "journal", datetime.now(UTC)) == 1
    (data / "photo.jpg").write_bytes(PHOTO)
    with transaction.atomic():
        first = services.record("case_event", "case:12", {"body": digest.both(BODY)}, actor="7")
        second = services.record("case_event", "case:12", {"files": [digest.both(PHOTO)]})
        services.record("case_event", "case:13", {"other": 1})
        tree = merkle.Tree(map(merkle.leaf_hash, JUDGED))
        batch = services.record(
            "judgements", "judge-hour:1:1", {"count": len(tree), "root": tree.root().hex()}
        )
    steps = tuple(tree.inclusion_proof(2))
    return Parts(
        title="督办 12 号 <高新区>",
        entries=[first, second],
        contents=[
            ("event-1.json", first, BODY),
            ("event-2-photo.jpg", second, data / "photo.jpg"),
        ],
        telegrams={seqs[1], seqs[6]},
        judgements={41: Leaf(41, batch, JUDGED[2], 2, len(tree), steps)},
    )
