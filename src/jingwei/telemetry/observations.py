"""What a telegram says, as rows of the lake: the plain decoder, one telegram at a time.

`columns` does the same for many at once; this is its oracle, and it reads whatever that leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jingwei import hj212
from jingwei.hj212 import Message, number
from jingwei.telemetry import envelope
from jingwei.telemetry.envelope import COMMANDS
from jingwei.telemetry.journal import microseconds
from jingwei.telemetry.register import Register

EARLIEST, LATEST = (microseconds(datetime(year, 1, 1, tzinfo=UTC)) for year in (1990, 2200))
AHEAD = 600_000_000  # microseconds a device's clock may run ahead before it is called wrong
BEHIND = 366 * 86_400_000_000

# The fields that give `value` and `zs`, by resolution, the first present counting.
_PERIOD = (("Avg", "Rtd", "Data"), ("ZsAvg", "ZsRtd"))
_VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "realtime": (("Rtd", "Avg", "Data"), ("ZsRtd", "ZsAvg")),
    "minute": _PERIOD,
    "hour": _PERIOD,
    "day": ((*_PERIOD[0], "RT"), _PERIOD[1]),
    "state": (("RS",), ()),
}
_KNOWN = {
    resolution: frozenset((*main, *converted, "Min", "Max", "Cou", "ZsMin", "ZsMax", "Flag"))
    for resolution, (main, converted) in _VALUES.items()
}

Row = tuple[Any, ...]  # one row of the lake without its batch, times in microseconds


PROBLEMS = {
    "not_a_number": "a value is no number; it counts as missing",
    "no_value": "an item without any value",
    "given_twice": "one factor twice in a telegram; the later one counts",
    "no_time": "the telegram has no time that can be",
    "clock_ahead": "the time lies ahead of the reception; not taken for the latest value",
    "clock_behind": "the time lies more than a year back",
    "repeated": "the same telegram came again; stored once",
    "not_in_the_lake": "data of a kind that the lake has no place for; they stay in the journal",
    "unreadable": "the telegram in the journal cannot be read",
}


Keys = Callable[[str], Sequence[bytes]]  # the SM4 keys that a device (MN) has or had


def keys_beside(journal_root: Path) -> Keys:
    """The keys of the device register in the journal's data folder."""
    return Register(journal_root.with_name("register.json")).keys


def decode(raw: bytes, keys: Keys = lambda mn: ()) -> Message:
    """The message of a telegram that the gateway has accepted (in whatever CRC dialect), or of an
    envelope.

    `keys` opens what came encrypted.
    """
    if envelope.is_envelope(raw):
        return envelope.message(raw)
    dialects = frozenset(hj212.DIALECTS)
    message = hj212.decode(raw, dialects=dialects)
    if not message.ok and message.mn and (message.error or "").startswith("encrypted"):
        for key in keys(message.mn):
            clear = hj212.decode(raw, version="2025", key=key, dialects=dialects)
            if clear.ok:
                return clear
    return message


def observations(
    message: Message, received: int, seq: int, odd: Callable[[str], None] = lambda kind: None
) -> tuple[str, list[Row]]:
    """The resolution and the rows that a message brings to the lake; no rows when it is no data.

    `received` in microseconds. `odd` is told the kind (`PROBLEMS`) of everything strange.
    """
    resolution = COMMANDS.get(message.cn or "", "")
    if not message.ok:
        odd("unreadable")
        return resolution, []
    if not resolution:
        if message.items and (message.cn or "").startswith("2"):
            odd("not_in_the_lake")
        return "", []
    when = message.time
    at = 0 if when is None else microseconds(when)
    if when is None or not EARLIEST <= at < LATEST:
        odd("no_time")
        return resolution, []
    if at > received + AHEAD:
        odd("clock_ahead")
    elif at < received - BEHIND:
        odd("clock_behind")

    def value(fields: dict[str, str], *names: str) -> float | None:
        for name in names:
            text = fields.get(name)
            if text is not None:
                found = number(text)
                if found is None:
                    odd("not_a_number")
                return found
        return None

    main, converted = _VALUES[resolution]
    known = _KNOWN[resolution]
    mn, st = _sound(message.mn or ""), _sound(message.st or "")
    rows: dict[str, Row] = {}
    for item in message.items:
        fields = item.fields
        if known.isdisjoint(fields):
            odd("no_value")
            continue
        code = _sound(item.code)
        if code in rows:
            odd("given_twice")
        flag = fields.get("Flag")
        rows[code] = (
            mn,
            st,
            code,
            at,
            value(fields, *main),
            value(fields, "Min"),
            value(fields, "Max"),
            value(fields, "Cou"),
            value(fields, *converted),
            value(fields, "ZsMin"),
            value(fields, "ZsMax"),
            None if flag is None else _sound(flag),
            received,
            seq,
        )
    return resolution, list(rows.values())


def _sound(text: str) -> str:
    """Text that every store takes."""
    return text if text.isascii() else text.encode(errors="replace").decode()
