"""Evidence certificates (C2SP tlog-proof): an entry's place in the log, to be checked offline."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from jingwei.evidence.merkle import HASH_SIZE, MAX_SIZE, ProofError
from jingwei.evidence.note import MAX_NOTE

HEADER = "c2sp.org/tlog-proof@v1"
MAX_EXTRA = 65_536
MAX_PROOF = MAX_NOTE + MAX_EXTRA * 2 + 64 * 50
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Leaf number, inclusion proof from the leaf upwards, and the checkpoint, a signed note."""

    index: int
    steps: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    def __str__(self) -> str:
        lines = [HEADER]
        if self.extra:
            lines.append("extra " + base64.b64encode(self.extra).decode())
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(step).decode() for step in self.steps]
        return "\n".join([*lines, "", self.note])


def parse(text: str | bytes) -> Certificate:
    """Read a tlog-proof; `ProofError` unless it is well formed. Nothing is verified by that."""
    if len(text) > MAX_PROOF:
        raise ProofError(f"the proof is longer than {MAX_PROOF} bytes")
    try:
        whole = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise ProofError("the proof is not UTF-8") from None
    head, gap, note = whole.partition("\n\n")
    lines = head.split("\n")
    if not gap or lines.pop(0) != HEADER:
        raise ProofError(f"wanted {HEADER}, index, hashes, an empty line and a checkpoint")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _base64(lines.pop(0)[6:])
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if not found or int(found[1]) > MAX_SIZE:
        raise ProofError("the proof has no line `index NUMBER`")
    if len(lines) > 64:
        raise ProofError("the proof has more than 64 hashes")
    steps = tuple(_base64(line) for line in lines)
    if any(len(step) != HASH_SIZE for step in steps):
        raise ProofError(f"a hash of the proof has not {HASH_SIZE} bytes")
    return Certificate(int(found[1]), steps, note, extra)


def inner(index: int, size: int, steps: Iterable[bytes]) -> str:
    """The proof of a telegram within the tree of its sealed segment: index, size, hashes."""
    lines = [f"index {index}", f"size {size}", *(base64.b64encode(s).decode() for s in steps)]
    return "\n".join(lines) + "\n"


def parse_inner(data: bytes) -> tuple[int, int, list[bytes]]:
    """The inverse of `inner`; raises `ProofError`."""
    found = re.fullmatch(
        rb"index (0|[1-9][0-9]{0,18})\nsize ([1-9][0-9]{0,18})\n((?:[A-Za-z0-9+/]{43}=\n){0,64})",
        data,
    )
    if not found:
        raise ProofError("wanted index, size and at most 64 hashes")
    return int(found[1]), int(found[2]), [_base64(x) for x in found[3].decode().split()]


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofError("the proof is no base64") from None
    if base64.b64encode(raw).decode() != text:
        raise ProofError("the proof is no canonical base64")
    return raw
