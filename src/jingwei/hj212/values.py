"""Decimal text and times as HJ 212 sends them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

# China has kept one zone without summer time since 1991; every version of the standard is younger.
SHANGHAI: Final = timezone(timedelta(hours=8), "Asia/Shanghai")

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TIME: Final = re.compile(r"[0-9]{14}(?:[0-9]{3})?")


def number(text: str) -> float | None:
    """The value of a decimal number as text, or None where the text is none.

    Taken: an optional sign, ASCII digits with at most one point, an optional decimal exponent
    (no version of the standard prints one, but loggers send `1.2E-05`). Refused: the empty text,
    spaces, NaN, infinities and what overflows to one (`1e400`), digits of other scripts
    (full-width `１`), hexadecimal, underscores, thousands separators.
    """
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if value - value == 0.0 else None


def moment(text: str) -> datetime | None:
    """The aware UTC time for `yyyyMMddHHmmss` (or with `fff`) of Asia/Shanghai; None if it is none."""
    if _TIME.fullmatch(text) is None:
        return None
    try:
        local = datetime(
            int(text[:4]),
            int(text[4:6]),
            int(text[6:8]),
            int(text[8:10]),
            int(text[10:12]),
            int(text[12:14]),
            int(text[14:] or 0) * 1000,
            SHANGHAI,
        )
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _local(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"an aware time is wanted, not {time.isoformat()}")
    return time.astimezone(SHANGHAI)


def seconds(time: datetime) -> str:
    """`yyyyMMddHHmmss` in Asia/Shanghai for an aware time; ValueError for a naive one."""
    return _local(time).strftime("%Y%m%d%H%M%S").rjust(14, "0")


def qn(now: datetime) -> str:
    """The request number for an aware time: `yyyyMMddHHmmssfff`, Asia/Shanghai (HJ 212-2017 table 2)."""
    return f"{seconds(now)}{now.microsecond // 1000:03d}"
