"""Published vectors: other people's good and bad proofs, a log of another implementation, SM3."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from jingwei.evidence import ProofError, digest, merkle, parse_checkpoint, rebuild
from jingwei.evidence.merkle import verify_consistency, verify_inclusion
from jingwei.evidence.tiles import Reader

VECTORS = Path(__file__).parent.parent / "data" / "vectors"
TESSERA = VECTORS / "tessera-log"
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def cases(name: str) -> list[dict]:
    return [json.loads(line) for line in (VECTORS / f"merkle/{name}.jsonl").open()]


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def proof(case: dict) -> list[bytes]:
    return [raw(step) for step in case["proof"] or []]


def test_the_vectors_are_all_there() -> None:
    assert [len(cases(name)) for name in ("inclusion", "consistency")] == [98, 98]
    for name in ("inclusion", "consistency"):
        assert {case["wantErr"] for case in cases(name)} == {True, False}


@pytest.mark.parametrize("case", cases("inclusion"), ids=lambda case: case["file"])
def test_inclusion(case: dict) -> None:
    arguments = (
        raw(case["leafHash"]),
        case["leafIdx"],
        case["treeSize"],
        proof(case),
        raw(case["root"]),
    )
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


@pytest.mark.parametrize("case", cases("consistency"), ids=lambda case: case["file"])
def test_consistency(case: dict) -> None:
    arguments = (
        case["size1"],
        case["size2"],
        proof(case),
        raw(case["root1"]),
        raw(case["root2"]),
    )
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_consistency(*arguments)
    else:
        verify_consistency(*arguments)


def test_consistency_with_the_empty_tree_is_refused_by_convention() -> None:
    """The convention case of the vectors has roots that are no hashes; here with the right root."""
    with pytest.raises(ProofError, match="proves nothing"):
        verify_consistency(0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT)


def test_tessera_golden_log() -> None:
    """All 16 checkpoints open with the log's key and are rebuilt from entries and from tiles."""
    reader = Reader(TESSERA)
    checkpoints = [
        parse_checkpoint(reader.checkpoint(f"checkpoint.{n}"), TESSERA_KEY) for n in range(16)
    ]
    assert [c.size for c in checkpoints] == list(range(16))
    rebuild.check(reader, checkpoints)
    last = checkpoints[-1]
    for checkpoint in checkpoints:
        assert reader.root(checkpoint.size) == checkpoint.root
    for checkpoint in checkpoints[1:]:
        steps = reader.consistency_proof(checkpoint.size, last.size)
        verify_consistency(checkpoint.size, last.size, steps, checkpoint.root, last.root)
    for index in range(last.size):
        leaf = merkle.leaf_hash(reader.entry(index, last.size))
        steps = reader.inclusion_proof(index, last.size)
        verify_inclusion(leaf, index, last.size, steps, last.root)


@pytest.mark.parametrize("fallback", [False, True], ids=["hashlib", "cryptography"])
def test_sm3(fallback: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if fallback:

        def without_sm3(name: str) -> None:
            raise ValueError(f"unsupported hash type {name}")

        monkeypatch.setattr(digest.hashlib, "new", without_sm3)
    vectors = json.loads((VECTORS / "sm/sm3.json").read_text())["vectors"]
    assert len(vectors) == 3
    for vector in vectors:
        data = bytes.fromhex(vector["input"])
        assert digest.sm3(data).hex() == vector["digest"].lower()
        assert digest.both([data[:1], data[1:]])["sm3"] == vector["digest"].lower()
        assert digest.both(data)["sha256"] == digest.sha256(data).hex()
