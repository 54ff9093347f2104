"""Puts split telegrams together again (PNUM packets, PNO the number of this one).

In HJ 212-2017 (C.49, C.50) every packet of a split telegram repeats the DataTime and has its own
QN; in 2005 all have the same QN. What belongs together is therefore told by MN, ST, CN, PNUM and
DataTime, in both. Packets of logs and device information (3020) each have a DataTime of their
own and are complete in themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from jingwei.hj212.message import Item, Message

Split = tuple[str | None, str | None, str | None, int | None, str | None]


def split(message: Message) -> Split:
    """What the packets of one split telegram have in common."""
    return message.mn, message.st, message.cn, message.pnum, message.data_time


def completed(packet: Message, others: Iterable[Message]) -> Message:
    """The packet with the fields that other packets of its telegram give to its items, where an
    item was cut between them; the packet itself where none was."""
    more: dict[str, dict[str, str]] = {}
    own = {item.code: item.fields for item in packet.items}
    for other in others:
        for item in other.items:
            fields = more.get(item.code) or own.get(item.code)
            if fields is not None and not fields.keys() & item.fields.keys():
                more[item.code] = {**item.fields, **fields}
    if not more:
        return packet
    items = tuple(Item(i.code, more.get(i.code, i.fields)) for i in packet.items)
    return replace(packet, items=items)


@dataclass(slots=True)
class _Group:
    since: float
    packets: dict[int, Message] = field(default_factory=dict)
    size: int = 0
    problems: list[str] = field(default_factory=list)


def _merged(group: _Group) -> Message:
    """One message out of the packets that have come, in the order of their numbers."""
    packets = [group.packets[number] for number in sorted(group.packets)]
    first = packets[0]
    items: list[Item] = []
    by_code: dict[str, dict[str, str]] = {}
    params: dict[str, str] = {}
    problems = dict.fromkeys(group.problems)
    for packet in packets:
        problems.update(dict.fromkeys(packet.problems))
        params.update(packet.params)
        for item in packet.items:
            known = by_code.get(item.code)
            if known is not None and not known.keys() & item.fields.keys():
                known.update(item.fields)  # an item that was cut between two packets
                continue
            copy = Item(item.code, dict(item.fields))
            by_code[item.code] = copy.fields
            items.append(copy)
    return replace(
        first,
        pnum=None,
        pno=None,
        items=tuple(items),
        params=params,
        crc=None,
        problems=tuple(problems),
        raw=b"\r\n".join(packet.raw for packet in packets),
    )


class Reassembler:
    """Collects the packets of split telegrams; for one connection or for many.

    `add` hands back what is ready: an unsplit or unusable message at once, a split one when its
    last packet is there. Nothing is kept for ever: what is not complete `timeout` seconds after
    its first packet comes out of `expired`, and the oldest telegram comes out of `add` when there
    are more than `max_open` of them or when one grows over `max_bytes`; as far as it has come,
    with the missing packets named in `problems`. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        *,
        timeout: float = 60.0,
        max_open: int = 64,
        max_bytes: int = 1 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout
        self._max_open = max_open
        self._max_bytes = max_bytes
        self._clock = clock
        self._open: dict[Split, _Group] = {}  # in the order of their first packets
        self.size = 0  # bytes of the packets that are held

    @property
    def open(self) -> int:
        """How many telegrams are waiting for packets."""
        return len(self._open)

    def add(self, message: Message) -> list[Message]:
        """The messages that `message` completes or displaces."""
        if not (message.ok and message.split and message.data_time) or message.cn == "3020":
            return [message]
        assert message.pnum is not None
        assert message.pno is not None
        key = split(message)
        group = self._open.get(key)
        if group is None:
            group = self._open[key] = _Group(self._clock())
        before = group.packets.get(message.pno)
        if before is not None:
            if (before.items, before.params) != (message.items, message.params):
                group.problems.append(f"packet {message.pno} came again with other content")
            group.size -= len(before.raw)
            self.size -= len(before.raw)
        group.packets[message.pno] = message
        group.size += len(message.raw)
        self.size += len(message.raw)
        if len(group.packets) == message.pnum:
            del self._open[key]
            self.size -= group.size
            return [_merged(group)]
        out = []
        if group.size > self._max_bytes:
            out.append(self._give_up(key, f"over {self._max_bytes} bytes"))
        while len(self._open) > self._max_open:
            out.append(self.displace(f"more than {self._max_open} split telegrams at once"))
        return out

    def displace(self, reason: str) -> Message:
        """Give up the oldest telegram; KeyError where none is open."""
        if not self._open:
            raise KeyError("no split telegram is open")
        return self._give_up(next(iter(self._open)), reason)

    def expired(self) -> list[Message]:
        """The telegrams whose time is over, as far as they have come."""
        now = self._clock()
        late = [key for key, group in self._open.items() if now - group.since >= self._timeout]
        return [self._give_up(key, f"not complete after {self._timeout:g} s") for key in late]

    def _give_up(self, key: Split, reason: str) -> Message:
        group = self._open.pop(key)
        self.size -= group.size
        total = key[3] or 0
        missing = [str(n) for n in range(1, total + 1) if n not in group.packets]
        names = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        group.problems.append(f"split telegram without packet {names} of {total}: {reason}")
        return _merged(group)
