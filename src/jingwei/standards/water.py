"""Surface water class by GB 3838-2002, table 1.

The class is that of the worst item. Lakes and reservoirs have limits of their own for total
phosphorus, and total nitrogen counts for them only. By the assessment method of 2011
(环办〔2011〕22号) water temperature, total nitrogen and faecal coliforms do not enter the class;
nitrogen is told apart as a nutrient. So `classify` leaves nitrogen out unless it is asked for.
Of dissolved oxygen in class I the standard accepts 90 % saturation or 7.5 mg/L: the second is used.

How sure: limits from memory of the standard; those of pH, oxygen, permanganate, ammonia and
phosphorus reproduce the official classes of the national network (`docs/validation/water-class.md`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from jingwei.standards import tables

ROMAN: Final = ("Ⅰ", "Ⅱ", "Ⅲ", "Ⅳ", "Ⅴ", "劣Ⅴ")
EXCLUDED: Final = frozenset({"tn", "faecal_coliforms"})


@dataclass(frozen=True, slots=True)
class Item:
    """An item of table 1: five limits from class I to V, in `unit`.

    `kind`: "max" (not above), "min" (not below), "range" (`limits` are the two ends, one for all
    classes). `lake` holds the limits of lakes and reservoirs where they differ.
    """

    key: str
    zh: str
    en: str
    unit: str
    kind: str
    limits: tuple[float, ...]
    lake: tuple[float, ...] = ()


@cache
def items() -> dict[str, Item]:
    """The items of table 1 by key (`ph`, `do`, `codmn`, `nh3n`, `tp`, `tn` …)."""

    def numbers(text: str) -> tuple[float, ...]:
        return tuple(float(x) for x in text.split())

    return {
        r["key"]: Item(
            key=r["key"],
            zh=r["name_zh"],
            en=r["name_en"],
            unit=r["unit"],
            kind=r["kind"],
            limits=numbers(r["limits"]),
            lake=numbers(r["lake"]),
        )
        for r in tables.read("gb3838.csv")
    }


@dataclass(frozen=True, slots=True)
class WaterClass:
    """`level` 1..5 for classes I to V, 6 for worse than V, None without any item.

    `deciding` are the items that have that level (none in class I); `levels` every item judged.
    """

    level: int | None
    deciding: tuple[str, ...]
    levels: dict[str, int]

    @property
    def roman(self) -> str:
        """The class as it is published: Ⅰ…Ⅴ, 劣Ⅴ; "" without any item."""
        return ROMAN[self.level - 1] if self.level else ""


def item_level(key: str, value: float, *, lake: bool = False) -> int | None:
    """The level 1..6 of one item; None for an item without limits there (nitrogen in a river).

    Raises KeyError for an unknown item, ValueError for a negative or non-finite value.
    """
    item = items()[key]
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{key} {value}: a measured value is a number from 0 on")
    limits = item.lake if lake and item.lake else item.limits
    if not limits:
        return None
    if item.kind == "range":
        return 1 if limits[0] <= value <= limits[1] else 6
    for i, limit in enumerate(limits, 1):
        if (value >= limit) if item.kind == "min" else (value <= limit):
            return i
    return 6


def classify(
    values: Mapping[str, float | None], *, lake: bool = False, nutrients: bool = False
) -> WaterClass:
    """The class of a water body from its values by item key, in mg/L (pH without unit).

    `nutrients`: let total nitrogen and coliforms count too. None, NaN and negative values count
    as not measured; unknown keys raise KeyError.
    """
    levels: dict[str, int] = {}
    for key, value in values.items():
        if value is None or not math.isfinite(value) or value < 0:
            items()[key]
            continue
        if key in EXCLUDED and not nutrients:
            continue
        level = item_level(key, value, lake=lake)
        if level is not None:
            levels[key] = level
    worst = max(levels.values(), default=None)
    deciding = tuple(k for k, v in levels.items() if v == worst) if worst and worst > 1 else ()
    return WaterClass(worst, deciding, levels)


_STILL = re.compile(r"(水库|库心|坝上|湖区|湖心|湖中)$")


def stands_in_lake(name: str) -> bool:
    """Whether a section's name says that it stands in a lake or reservoir (…水库, …入湖区, …湖心).

    An outflow (…水库出口) is a river. Names that say nothing count as rivers: give a list of the
    lakes where it is known.
    """
    return bool(_STILL.search(name.strip()))
