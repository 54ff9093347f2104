"""What came again: telegrams that say what was said before, by the same rule in ingest and rebuild.

A device that got no answer sends its telegram again, and may give it a new QN (HJ 212 leaves that
open); a back-filled one of 2025 may bear RF. What it says is all the rest of the data segment.

What is in force counts: of a device's data of one time (a *slot*: resolution, MN, ST, time, and the
packet of a split telegram) a telegram is a repetition when it says what the last one counted said,
or when it is a late copy, byte for byte, of one that was corrected since. So a value that is
corrected and then taken back (a mark set and removed) is two new receptions.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jingwei.hj212 import Message

KEEP = 30 * 86_400_000_000  # microseconds after which what comes again counts as a new reception
_OWN = re.compile(rb"(?:^|(?<=;))(?:QN|RF)=[^;]*;")  # what a repetition may have of its own


def said(raw: bytes) -> bytes:
    """What a telegram or an envelope says: the bytes that are the same when it is sent again."""
    digits = raw[2:6]
    if not (raw.startswith(b"##") and len(digits) == 4 and digits.isdigit()):
        return raw
    end = 6 + int(digits)
    head = raw.find(b"CP=", 6, end)
    if head < 0:
        head = end
    if raw.startswith(b"QN=", 6) and raw.find(b";RF=", 6, head) < 0:
        return raw[raw.find(b";", 6, head) + 1 : end]
    return _OWN.sub(b"", raw[6:head]) + raw[head:end]


def hash64(data: bytes) -> int:
    """64 bits, as SQLite keeps them. No proof: where they agree, the bytes are compared."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


class Came(NamedTuple):
    """A telegram: its reception (microseconds), hashes of what it says and of all its bytes."""

    received: int
    seq: int
    content: Any
    whole: Any


def came(received: int, seq: int, raw: bytes) -> Came:
    """A telegram with hashes of 64 bits."""
    content = hash64(said(raw))
    return Came(received, seq, content, content ^ zlib.crc32(raw) << 31)


def slots(
    tables: Mapping[str, pa.Table], packets: Mapping[int, Message], count: int
) -> tuple[list[int], list[int]]:
    """The telegrams (of `count`) that bear data, in order, and the slot of each."""
    found = np.zeros(count, np.uint64)
    bears = np.zeros(count, bool)
    for resolution, table in tables.items():
        telegrams, rows = np.unique(table["telegram"].to_numpy(), return_index=True)
        one = table.select(["mn", "st", "time"]).take(pa.array(rows))
        slot = _mixed(
            one["time"].cast(pa.int64()).to_numpy().astype(np.uint64),
            np.uint64(hash64(resolution.encode()) % 2**64),
        )
        for name in ("mn", "st"):
            texts = one[name].combine_chunks().dictionary_encode()
            words = [hash64(text.encode()) % 2**64 for text in texts.dictionary.to_pylist()]
            slot = _mixed(slot, np.array(words, np.uint64)[texts.indices.to_numpy()])
        found[telegrams], bears[telegrams] = slot, True
    for i, message in packets.items():
        number = np.array([(message.pnum or 0) << 32 | (message.pno or 0)], np.uint64)
        found[i] = _mixed(found[i : i + 1], number)[0]
    bearing = np.flatnonzero(bears)
    return bearing.tolist(), found[bearing].view(np.int64).tolist()


Words = npt.NDArray[np.uint64]


def _mixed(state: Words, word: Words | np.uint64) -> Words:
    """SplitMix64 (Steele, Lea, Flood 2014), one step by `word`."""
    z = state + word + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def again(
    telegrams: Iterable[tuple[int, Came]],
    known: Mapping[Any, Came],
    copy: Callable[[int, int, bool], bool],
) -> tuple[set[int], dict[Any, Came]]:
    """Which of these telegrams (slot, telegram; in order) are repetitions, by `seq`, and what is to
    be remembered: by slot the telegram in force, by all its bytes one that was corrected.

    `known`: the same of earlier times. `copy(seq, earlier, whole)`: whether two telegrams whose
    hashes are the same say the same, or (whole) are the same.
    """
    found: set[int] = set()
    now: dict[Any, Came] = {}
    for slot, one in telegrams:
        before = now.get(slot) or known.get(slot)
        if before is not None and one.received - before.received <= KEEP:
            if before.content == one.content and copy(one.seq, before.seq, False):
                found.add(one.seq)
                continue
            old = now.get(one.whole) or known.get(one.whole)
            if old is not None and copy(one.seq, old.seq, True):
                found.add(one.seq)
                continue
            # The later reception is in force, whichever is taken in first.
            before, one = sorted((before, one))
            now[before.whole] = before
        now[slot] = one
    return found, now
