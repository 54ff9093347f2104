"""Split telegrams on the way to the lake: an item that was cut between two packets is one again.

Each packet brings its own rows, so that a packet which never comes costs nothing but itself. Where
a factor's fields lie in several packets, the row of the later one bears them all; being the latest
reception, it is in force. By the same rule in ingest and rebuild.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jingwei import hj212
from jingwei.hj212 import Message

TOGETHER = 3_600_000_000  # microseconds between two packets of one telegram, at most

Packet = tuple[int, int, Message]  # received (microseconds), seq, message


def completed(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Packets of any telegrams, in the order of reception, each with what the packets of its
    telegram that came before it say of its items. What is as it was, is the same object."""
    groups: dict[hj212.Split, dict[int, tuple[int, Message]]] = {}
    for received, seq, message in sorted(packets, key=lambda packet: packet[:2]):
        group = groups.setdefault(hj212.split(message), {})
        others = [
            other
            for number, (at, other) in sorted(group.items())
            if number != message.pno and received - at <= TOGETHER
        ]
        yield received, seq, hj212.completed(message, others)
        group[message.pno or 0] = received, message
