"""Signatures of drand rounds, through the optional package py-ecc.

quicknet, the network whose rounds draws name (https://docs.drand.love): scheme
`bls-unchained-g1-rfc9380`. A round's signature is a point of G1, the group's key one of G2, the
message SHA-256 over the round's number in 8 bytes, big-endian, hashed to the curve after RFC 9380.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from typing import Any

QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
KEYS = {
    QUICKNET: (
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    )
}
_DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


class BeaconError(ValueError):
    """The round is not the network's; the text says why."""


class NotInstalledError(Exception):
    """The package py-ecc is missing."""


def verify(chain: str, number: int, signature: bytes) -> None:
    """Return None if the network `chain` (its hash in hex) has signed round `number`.

    Raises `BeaconError` for everything else, `NotInstalledError` without py-ecc.
    """
    if chain not in KEYS:
        raise BeaconError(f"the key of the drand network {chain[:64]} is not known here")
    if len(signature) != 48 or not 0 < number < 2**64:
        raise BeaconError(f"round {number}: a signature of quicknet has 48 bytes")
    depth = sys.getrecursionlimit()
    try:
        curve = importlib.import_module("py_ecc.optimized_bls12_381")
        hashing = importlib.import_module("py_ecc.bls.hash_to_curve")
        points = importlib.import_module("py_ecc.bls.point_compression")
        group = importlib.import_module("py_ecc.bls.g2_primitives")
    except ImportError:
        raise NotInstalledError(
            "signatures of drand need the package py-ecc: pip install py-ecc"
        ) from None
    finally:
        # The package raises it to 100,000, with which deeply nested JSON, whoever sends it, ends
        # the process instead of being refused.
        sys.setrecursionlimit(depth)
    raw = bytes.fromhex(KEYS[chain])
    key = points.decompress_G2((int.from_bytes(raw[:48], "big"), int.from_bytes(raw[48:], "big")))
    try:
        point = points.decompress_G1(int.from_bytes(signature, "big"))
    except ValueError:
        raise BeaconError(f"round {number}: the signature is no point of the curve") from None
    if curve.is_inf(point) or not group.subgroup_check(point):
        raise BeaconError(f"round {number}: the signature is no point of the group")
    message = hashlib.sha256(number.to_bytes(8, "big")).digest()
    hashed = hashing.hash_to_G1(message, _DOMAIN, hashlib.sha256)
    product = curve.pairing(curve.G2, point, final_exponentiate=False) * curve.pairing(
        curve.neg(key), hashed, final_exponentiate=False
    )
    if curve.final_exponentiate(product) != curve.FQ12.one():
        raise BeaconError(f"round {number} was not signed by the network")


def verify_draw(result: Mapping[str, Any]) -> int:
    """Verify the rounds in a result that `draw.verify` has accepted; returns how many there are."""
    checked = 0
    for source, value in zip(result["plan"]["sources"], result["values"], strict=True):
        if source["kind"] == "drand" and value is not None:
            verify(source["chain"], value["round"], bytes.fromhex(value["signature"]))
            checked += 1
    return checked
