"""The consecutive daily penalty (按日连续处罚): whether it may be imposed, for how many days, how much.

Who was fined for an unlawful discharge and ordered to correct it, and is found to go on at the
re-check, may be fined the original amount once more for every day from the day after the order was
served to the day of the re-check. Environmental Protection Law art. 59, since 2026-08-15 art. 1060
of the Ecological and Environmental Code; Order 28 of 2014 (Measures on Consecutive Daily
Penalties). The rows of `data/daily_penalties.csv` are versions, as those of fines are (`law`); all
are from secondary sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Final

from jingwei.standards import law, tables
from jingwei.standards.discretion import Result, Step

OFFENCES: Final = frozenset(
    {"air.exceeded", "air.evaded", "water.exceeded", "water.evaded", "permit.exceeded"}
)
"""Offences of `law.offences` that are an unlawful discharge in the sense of the Measures, art. 5."""
RECHECK: Final = timedelta(days=30)  # Measures art. 10


class NotAllowedError(ValueError):
    """The rule that the facts do not keep: "offence", "order", "recheck" or "fine"."""


@dataclass(frozen=True, slots=True)
class Text:
    """One version of a provision; `part`: basis, applies, recheck, days, amount."""

    part: str
    cite_zh: str
    cite_en: str
    zh: str
    en: str
    since: date
    until: date | None
    verified: str
    source: str

    def in_force(self, on: date) -> bool:
        return self.since <= on and (self.until is None or on <= self.until)

    @property
    def named(self) -> str:
        """The provision as a step names it, with a word where it was not compared."""
        return self.cite_zh + ("" if self.verified == "verified" else "（二手来源，未与公报核对）")


@cache
def texts() -> tuple[Text, ...]:
    """All rows of `data/daily_penalties.csv`."""
    return tuple(
        Text(
            part=r["part"],
            cite_zh=r["cite_zh"],
            cite_en=r["cite_en"],
            zh=r["zh"],
            en=r["en"],
            since=date.fromisoformat(r["since"]),
            until=date.fromisoformat(r["until"]) if r["until"] else None,
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("daily_penalties.csv")
    )


def text(part: str, on: date) -> Text:
    """The version of a provision in force on a day; ValueError where there is none."""
    found = next((t for t in texts() if t.part == part and t.in_force(on)), None)
    if found is None:
        raise ValueError(f"daily penalty, {part!r}: no text in force on {on}")
    return found


def reckon(offence: str, fine: Decimal, decided: date, served: date, rechecked: date) -> Result:
    """Amount in yuan and steps, for a `fine` decided on `decided`, an order to correct that was
    served on `served`, and a re-check on `rechecked` that found the discharge going on. The texts
    are those of the day of the re-check; the original fine is not in the amount.

    Raises `NotAllowedError` where the law does not allow it.

    >>> days = date(2026, 5, 6), date(2026, 5, 1), date(2026, 5, 11)
    >>> reckon("air.exceeded", Decimal(200_000), *days).amount
    Decimal('2000000.00')
    """
    if offence not in OFFENCES:
        raise NotAllowedError("offence")
    if fine <= 0:
        raise NotAllowedError("fine")
    if rechecked <= served:
        raise NotAllowedError("order")
    if rechecked > served + RECHECK:
        raise NotAllowedError("recheck")
    amount, days = law.daily(fine, served, rechecked)
    first = served + timedelta(days=1)

    def step(zh: str, en: str, formula: str, result: str, part: str) -> Step:
        return Step(zh, en, formula, result, text(part, rechecked).named)

    return Result(
        amount=amount,
        lowest=amount,
        highest=amount,
        steps=(
            step(
                f"原处罚决定（{decided}）", f"Original decision of {decided}",
                "", f"{fine:.2f}", "basis",
            ),
            step(
                f"责令改正违法行为决定书 {served} 送达，{rechecked} 复查仍违法排放（三十日内）",
                f"Order to correct served on {served}; the re-check of {rechecked}, within thirty"
                " days, found the discharge going on",
                f"{rechecked} − {served} ≤ 30 d", f"{days} d", "recheck",
            ),
            step(
                "计罚日数：送达次日起至复查发现之日止", "Days: from the day after service to the"
                " day of the re-check", f"{first} … {rechecked}", str(days), "days",
            ),
            step(
                "按日连续处罚数额（不含原处罚）", "Consecutive daily penalty (besides the original"
                " fine)", f"{fine:.2f} × {days}", f"{amount:.2f}", "amount",
            ),
        ),
    )  # fmt: skip
