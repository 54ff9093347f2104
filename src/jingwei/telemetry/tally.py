"""What a gateway counts of addresses and devices since its start."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

TABLE_SIZE = 2000  # peers, and unknown devices, remembered at most
T = TypeVar("T")
_INNER = ("room", "filled", "fast", "shut")


@dataclass
class Peer:
    """What is counted of one address."""

    open: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    last: datetime | None = None
    kept_hour: str = ""
    kept: int = 0


@dataclass
class Device:
    """What is counted of one MN."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last: datetime | None = None
    last_refused: datetime | None = None
    cn: str = ""
    peer: str = ""
    slowed: int = 0  # how often it was read slowly because it sent too fast
    room: float = 0.0  # telegrams that it may send in a row now, as of the last look
    filled: float = 0.0  # when that was looked at
    fast: float = 0.0  # since when it has been too fast; 0: it is not
    shut: float = 0.0  # until when it is shut out


def row(counted: Peer | Device) -> dict[str, Any]:
    """The counters as JSON values."""
    found: dict[str, Any] = {}
    for key, value in vars(counted).items():
        if not key.startswith("kept") and key not in _INNER:
            if isinstance(value, Counter):
                value = dict(value)
            elif key.startswith("last"):
                value = value.isoformat() if value else ""
            found[key] = value
    return found


def recent(
    table: OrderedDict[str, T],
    key: str,
    make: Callable[[], T],
    may_go: Callable[[T], bool] = lambda row: True,
) -> T:
    """The row of `key`, made where there is none; the table forgets the longest unused rows."""
    row = table.get(key)
    if row is None:
        row = table[key] = make()
        if len(table) > TABLE_SIZE:
            old = next((k for k, r in table.items() if k != key and may_go(r)), None)
            if old is not None:
                del table[old]
    else:
        table.move_to_end(key)
    return row
