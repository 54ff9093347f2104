"""What inspectors look at on the spot, by industry: `data/checklists.csv`.

Each item has its basis, the kind of its answer and the evidence that it asks for. The items and
where their bases stand were written from memory of the texts (`status`), unless marked otherwise:
a bureau reads them against the texts before it relies on them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from jingwei.standards import tables

GENERAL: Final = "general"
CHECKS: Final = ("yes", "no", "na")  # complies, does not comply, does not apply

_DECIMAL: Final = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a checklist. `kind` check: "yes", "no" or "na"; number: in `unit`, and a problem
    below `least` or above `most`. `evidence`: photo, document or nothing. `status`: how sure the
    basis is (secondary, memory)."""

    code: str
    industry: str
    part: str
    part_en: str
    item: str
    item_en: str
    kind: str
    unit: str
    least: float | None
    most: float | None
    evidence: str
    basis: str
    status: str

    def accepts(self, value: str) -> bool:
        """Whether `value` is an answer to this item (a number: decimal text, at most 9 digits before
        and 6 after the point)."""
        if self.kind == "check":
            return value in CHECKS
        return self._number(value) is not None

    def problem(self, value: str) -> bool:
        """Whether an accepted answer tells of a problem."""
        if self.kind == "check":
            return value == "no"
        number = self._number(value)
        if number is None:
            return False
        return (self.least is not None and number < self.least) or (
            self.most is not None and number > self.most
        )

    def _number(self, value: str) -> float | None:
        return float(value) if _DECIMAL.fullmatch(value) else None


@cache
def items() -> dict[str, Item]:
    """Every item by its code."""
    found: dict[str, Item] = {}
    for row in tables.read("checklists.csv"):
        found[row["code"]] = Item(
            code=row["code"],
            industry=row["industry"],
            part=row["part"],
            part_en=row["part_en"],
            item=row["item"],
            item_en=row["item_en"],
            kind=row["kind"],
            unit=row["unit"],
            least=float(row["least"]) if row["least"] else None,
            most=float(row["most"]) if row["most"] else None,
            evidence=row["evidence"],
            basis=row["basis"],
            status=row["status"],
        )
    return found


def of_campaign(lines: Iterable[str]) -> list[Item]:
    """Items made of the lines that a campaign wants checked: each complies, does not, or does not
    apply. Their basis is the campaign itself."""
    return [
        Item(
            code=f"zx{number}", industry="", part="专项行动", part_en="Campaign", item=line,
            item_en=line, kind="check", unit="", least=None, most=None, evidence="", basis="",
            status="",
        )
        for number, line in enumerate(lines, start=1)
    ]  # fmt: skip


def checklist(industry: str) -> list[Item]:
    """The general items and those of the industry, in the table's order."""
    return [item for item in items().values() if item.industry in (GENERAL, industry)]


@cache
def edition() -> str:
    """The first 12 digits of the table's SHA-256: says which edition an inspection used."""
    text = "\n".join(repr(item) for item in items().values())
    return hashlib.sha256(text.encode()).hexdigest()[:12]
