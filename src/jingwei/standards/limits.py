"""Emission and discharge limits of the standards, row by row as they were collected.

How sure a row is stands in `verified`: "verified" was read in the standard, "secondary" was read
somewhere that quotes it, "memory" was checked against nothing. Show it wherever a limit is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Literal

from jingwei.standards import tables
from jingwei.standards.codes import symbol

Period = Literal["5min", "hour", "day", "test", "any"]
Verified = Literal["verified", "secondary", "memory"]


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit.

    `value` is the upper bound, the lower one where `bound == "lower"` (furnace temperature), and
    the lower end of a range up to `value_to` where `bound == "range"` (pH). `reference_o2` in %:
    a measured value is converted to it before it is compared; None: no conversion is told.
    `clause`: the table or article of the standard ("" where it is not known), from memory but for
    the rows that were read in the standard. `factor` is the HJ 212 code, "" where there is none (dioxins, animal and vegetable oil).
    `period`: "hour" and "day" are means, "test" the mean of a manual test, "any" every value.
    `in_force_from` and `in_force_to` are the standard's dates, from memory.
    """

    standard: str
    clause: str
    title_zh: str
    title_en: str
    factor: str
    name_zh: str
    medium: str
    period: Period
    value: Decimal
    value_to: Decimal | None
    unit: str
    reference_o2: Decimal | None
    bound: Literal["upper", "lower", "range"]
    scope: str
    note: str
    verified: Verified
    source: str
    in_force_from: date
    in_force_to: date | None

    @property
    def in_force(self) -> bool:
        """Whether no later text has ended it."""
        return self.in_force_to is None


@cache
def rows() -> tuple[LimitRow, ...]:
    """All rows of `data/limits.csv`, in its order, with the dates of their standards."""
    force = {r["standard"]: r for r in tables.read("standards_in_force.csv")}
    return tuple(_row(r, force[r["standard"]]) for r in tables.read("limits.csv"))


def _row(r: dict[str, str], text: dict[str, str]) -> LimitRow:
    return LimitRow(
        standard=r["standard"],
        clause=r["clause"],
        title_zh=text["title_zh"],
        title_en=text["title_en"],
        factor=r["item_code"],
        name_zh=r["item"],
        medium=r["medium"],
        period=r["period"],  # type: ignore[arg-type]  # the table's test checks the words
        value=Decimal(r["value"]),
        value_to=Decimal(r["value_to"]) if r["value_to"] else None,
        unit=symbol(r["unit"]),
        reference_o2=Decimal(r["reference_o2"]) if r["reference_o2"] else None,
        bound=r["bound"],  # type: ignore[arg-type]
        scope=r["scope"],
        note=r["note"],
        verified=r["verified"],  # type: ignore[arg-type]
        source=r["source"],
        in_force_from=date.fromisoformat(text["in_force_from"]),
        in_force_to=date.fromisoformat(text["in_force_to"]) if text["in_force_to"] else None,
    )


def find(
    *,
    standard: str | None = None,
    factor: str | None = None,
    period: str | None = None,
    scope: str | None = None,
) -> tuple[LimitRow, ...]:
    """The rows that have all the given values exactly."""
    return tuple(
        r
        for r in rows()
        if (standard is None or r.standard == standard)
        and (factor is None or r.factor == factor)
        and (period is None or r.period == period)
        and (scope is None or r.scope == scope)
    )
