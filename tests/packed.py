"""A small bundle made with nothing but `jingwei.evidence`, by somebody who has the log's keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jingwei.evidence import canonical, digest, merkle, proof
from jingwei.evidence.note import Checkpoint, KeyFile, sign_note

ONE, TWO = KeyFile("log.example/one", b"1" * 32), KeyFile("log.example/two", b"2" * 32)
CONTENT = b'{"text":"photo"}'
MOMENT = "2026-11-01T08:00:00.000000Z"


def entry(kind: str, subject: str, content: dict[str, Any]) -> bytes:
    fields = {"id": "1", "type": kind, "subject": subject, "time": MOMENT, "actor": ""}
    told = digest.both(canonical.dumps(content))
    return canonical.dumps({**fields, "content": content, "digest": told})


def text_of(signer: KeyFile, leaf: bytes) -> str:
    """The checkpoint's text of the log of one entry."""
    return Checkpoint(signer.name, 1, merkle.leaf_hash(leaf)).text()


def certificate(signer: KeyFile, leaf: bytes) -> bytes:
    return str(proof.Certificate(0, (), sign_note(text_of(signer, leaf), [signer]))).encode()


def build(
    folder: Path,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    *,
    subject: str = "case:1",
    signer: KeyFile = ONE,
    more: dict[str, bytes] | None = None,
) -> Path:
    """A bundle with one entry (of the log `signer`) and one content; `change` alters the manifest
    before the log of `ONE` names it."""
    leaf = entry("case_event", subject, {"body": digest.both(CONTENT)})
    files = {
        "policy": f"log {ONE.verifier}\nlog {TWO.verifier}\nquorum none\n".encode(),
        "entries/0.json": leaf,
        "entries/0.tlog-proof": certificate(signer, leaf),
        "contents/a.json": CONTENT,
        **(more or {}),
    }
    manifest: dict[str, Any] = {
        "format": "jingwei-bundle/1",
        "case": "case:1",
        "made": datetime.now(UTC).isoformat(),
        "origin": ONE.name,
        "entries": [0],
        "contents": [{"path": "contents/a.json", "entry": 0}],
        "telegrams": [],
        "judgements": [],
        "stamps": [],
        "absent": [],
        "files": {name: digest.both(data)["sha256"] for name, data in files.items()},
    }
    change(manifest)
    raw = canonical.dumps(manifest)
    export = entry("export", "case:1", {"manifest": digest.both(raw)})
    files |= {
        "manifest.json": raw,
        "manifest.entry.json": export,
        "manifest.tlog-proof": certificate(ONE, export),
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
