"""Rounds of drand's quicknet; signatures as published by the network (rounds 1000 to 1002)."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
from typing import Any

import pytest

from jingwei.evidence import beacon
from jingwei.evidence.beacon import QUICKNET, BeaconError, NotInstalledError, verify

ROUNDS = {
    1000: "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
    1001: "b33bf3667cbd5a82de3a24b4e0e9fe5513cc1a0e840368c6e31f5fcfa79bea03f73896b25883abf2853d10337fb8fa41",
    1002: "ab066f9c12dd6de1336fca0f925192fb0c72a771c3e4c82ede1fd362c1a770f9eb05843c6308ce2530b53a99c0281a6e",
}


def test_published_rounds() -> None:
    for number, signature in ROUNDS.items():
        verify(QUICKNET, number, bytes.fromhex(signature))
    randomness = hashlib.sha256(bytes.fromhex(ROUNDS[1000])).hexdigest()
    assert randomness == "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"


@pytest.mark.parametrize(
    ("chain", "number", "signature", "reason"),
    [
        (QUICKNET, 1001, ROUNDS[1000], "round 1001 was not signed by the network"),
        (QUICKNET, 1000, ROUNDS[1001], "round 1000 was not signed by the network"),
        (QUICKNET, 1000, ROUNDS[1000][:-2] + "38", "no point of the"),
        (QUICKNET, 1000, "ab" * 48, "no point of the"),
        (QUICKNET, 1000, "c0" + "00" * 47, "no point of the group"),  # infinity
        (QUICKNET, 1000, "00" * 48, "no point of the curve"),
        (QUICKNET, 1000, ROUNDS[1000][:-2], "has 48 bytes"),
        (QUICKNET, 0, ROUNDS[1000], "has 48 bytes"),
        (QUICKNET, 2**64, ROUNDS[1000], "has 48 bytes"),
        ("00" * 32, 1000, ROUNDS[1000], "is not known here"),
    ],
)
def test_everything_else(chain: str, number: int, signature: str, reason: str) -> None:
    with pytest.raises(BeaconError, match=reason):
        verify(chain, number, bytes.fromhex(signature))


def test_of_a_draw() -> None:
    sources = [{"kind": "numbers"}, {"kind": "drand", "chain": QUICKNET}, {"kind": "drand"}]
    good = {"round": 1000, "signature": ROUNDS[1000]}
    result: dict[str, Any] = {"plan": {"sources": sources}, "values": [[1, 2], good, None]}
    assert beacon.verify_draw(result) == 1
    result["values"][1] = {**good, "round": 1002}
    with pytest.raises(BeaconError, match="round 1002 was not signed"):
        beacon.verify_draw(result)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(NotInstalledError, match="pip install py-ecc"):
        verify(QUICKNET, 1000, bytes.fromhex(ROUNDS[1000]))


def test_the_depth_of_calls_stays_bounded() -> None:
    """The package that knows the curve raises the limit of recursion when it is loaded."""
    script = (
        "import json, sys\n"
        "from jingwei.evidence import beacon\n"
        "before = sys.getrecursionlimit()\n"
        "try:\n"
        "    beacon.verify(next(iter(beacon.KEYS)), 1, bytes(48))\n"
        "except beacon.BeaconError:\n"
        "    pass\n"
        "assert 'py_ecc' in sys.modules\n"
        "assert sys.getrecursionlimit() == before\n"
        "try:\n"
        "    json.loads('[' * 100_000)\n"
        "except RecursionError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr
