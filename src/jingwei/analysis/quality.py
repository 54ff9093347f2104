"""Periods out of control: between the last passed check of an instrument and the next passed one, where
a check in between failed.

Data of such a period are not valid, back to the last passed check. Source: HJ 75-2017 (flue gas) and
HJ 355-2019 with HJ 356-2019 (wastewater), from memory; what stands in for their masses: S-75-oc*,
S-356 (secondary).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one instrument: when, whether it passed, and what the caller calls it."""

    time: datetime
    passed: bool
    key: int


@dataclass(frozen=True, slots=True)
class Period:
    """Out of control from `begin` to `end` (None: still), by the first failed check `failed`; `good`:
    the passed check before it. Without one it begins with the failed check itself: how far back the
    data are wrong nobody knows then, and it is not guessed.
    """

    begin: datetime
    end: datetime | None
    failed: int
    good: int | None


def out_of_control(checks: Iterable[Check]) -> list[Period]:
    """The periods out of control of one instrument, in the order of time. Of checks at the same moment
    the failed come first: who adjusts and checks again passes after it.

    >>> from datetime import datetime as t
    >>> good, bad, again = (Check(t(2026, 3, d), d != 8, d) for d in (1, 8, 9))
    >>> [(p.begin.day, p.end.day, p.failed, p.good) for p in out_of_control([good, bad, again])]
    [(1, 9, 8, 1)]
    """
    found: list[Period] = []
    good: Check | None = None
    failed: Check | None = None
    for check in sorted(checks, key=lambda c: (c.time, c.passed, c.key)):
        if not check.passed:
            failed = failed or check
            continue
        if failed is not None:
            found.append(_period(good, failed, check.time))
            failed = None
        good = check
    if failed is not None:
        found.append(_period(good, failed, None))
    return found


def _period(good: Check | None, failed: Check, end: datetime | None) -> Period:
    return Period(good.time if good else failed.time, end, failed.key, good.key if good else None)
