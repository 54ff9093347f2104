"""Pollution equivalents of the Environmental Protection Tax Law, as a report.

Equivalents = kilograms / equivalent value (annex 2). Of one outlet's pollutants, sorted by their
equivalents, the first three of the air count, of the water the first five of class one and the
first three of the others (art. 9); below 70 % of the limit the tax is 75 %, below 50 % it is 50 %
(art. 13: 30 % or 50 % lower than the limit), but in no month in which any outlet of the taxpayer was
over a limit (implementing regulation, art. 10). A year is reckoned month by month (the law: monthly,
declared quarterly).

How sure: 51 of 61 values of water and 14 of 44 of air were read on pages that quote the annex, and
art. 10 of the regulation on one that quotes it (secondary); the other values and the articles of the
law come from memory; each row says which. The column
for pH, colour, coliforms and chlorine is not covered. This is a report to check a declaration
against, not a declaration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from jingwei.standards import tables

Group = Literal["air", "water1", "water2"]
COUNTED: Final[Mapping[str, int]] = {"air": 3, "water1": 5, "water2": 3}
RANGE: Final = {"air": (1.2, 12.0), "water": (1.4, 14.0)}  # yuan an equivalent, by province
ONE_OF: Final = frozenset({"w01018", "w01017", "w01020"})  # COD, BOD5, TOC: only one counts


@dataclass(frozen=True, slots=True)
class Value:
    """The equivalent value of a pollutant: `kg` are one equivalent."""

    group: Group
    factor: str
    zh: str
    kg: float
    verified: str
    source: str
    note: str


@cache
def values() -> tuple[Value, ...]:
    """All rows of `data/tax_equivalents.csv`; `factor` is "" where HJ 212 has no code."""
    return tuple(
        Value(
            group=r["group"],  # type: ignore[arg-type]  # the table's test checks the words
            factor=r["factor"],
            zh=r["name_zh"],
            kg=float(r["kg"]),
            verified=r["verified"],
            source=r["source"],
            note=r["note"],
        )
        for r in tables.read("tax_equivalents.csv")
    )


@cache
def value(factor: str) -> Value | None:
    """The equivalent value of a factor (HJ 212 code), None where the annex has none."""
    return next((v for v in values() if v.factor and v.factor == factor), None)


def reduction(share: float | None) -> float:
    """The part of the tax that is due at a concentration of `share` times the limit (None: unknown).

    >>> reduction(0.7), reduction(0.69), reduction(0.49), reduction(1.2), reduction(None)
    (1.0, 0.75, 0.5, 1.0, 1.0)
    """
    if share is None:
        return 1.0
    return 0.5 if share < 0.5 else 0.75 if share < 0.7 else 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """One pollutant of one outlet: its equivalents, whether it is among those that count, and the part
    of the tax that is due after the reduction."""

    factor: str
    group: Group
    kg: float
    equivalents: float
    counted: bool
    due: float
    verified: str
    part: float = 1.0


def report(
    kilograms: Mapping[str, float], shares: Mapping[str, float] | None = None
) -> tuple[Line, ...]:
    """The equivalents of one outlet in a month, the largest first within each group.

    `kilograms` by factor; `shares`: concentration / limit by factor, for the reduction; `due`: the
    equivalents that tax is paid on. Factors without a value in the annex are left out. Raises
    ValueError for a negative mass.
    """
    rows: list[tuple[Value, float, float]] = []
    for factor, kg in kilograms.items():
        if not kg >= 0:
            raise ValueError(f"{factor}: {kg} kg; wanted 0 or more")
        v = value(factor)
        if v is not None:
            rows.append((v, kg, kg / v.kg))
    rows.sort(key=lambda r: (r[0].group, -r[2], r[0].factor))
    lines: list[Line] = []
    used = dict.fromkeys(COUNTED, 0)
    oxygen = False  # whether one of COD, BOD5, TOC counts already
    for v, kg, n in rows:
        counted = used[v.group] < COUNTED[v.group] and not (v.factor in ONE_OF and oxygen)
        used[v.group] += counted
        oxygen |= counted and v.factor in ONE_OF
        part = reduction((shares or {}).get(v.factor))
        due = n * part if counted else 0.0
        lines.append(Line(v.factor, v.group, kg, n, counted, due, v.verified, part))
    return tuple(lines)
