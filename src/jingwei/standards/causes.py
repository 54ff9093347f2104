"""Causes of a problem, coded, and the measure that a recurring one proposes.

`data/causes.csv`: our own list. A cause proposes its measure from `least` closed cases on; who is
asked to do it (`WHO`) and within how many days are proposals too: a person confirms them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jingwei.standards import tables

WHO = {
    "district": ("属地区中心", "District centre of the place"),
    "law": ("执法部门", "Enforcement department"),
    "monitoring": ("监测部门", "Monitoring department"),
    "permit": ("排污许可管理部门", "Permit department"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A row of the list; texts are (Chinese, English)."""

    code: str
    name: tuple[str, str]
    least: int  # closed cases from which on it proposes its measure
    measure: tuple[str, str]
    who: tuple[str, str]
    days: int  # after the proposal


@cache
def table() -> dict[str, Cause]:
    """Code → cause, in the order of the list."""
    return {
        row["cause"]: Cause(
            code=row["cause"],
            name=(row["name_zh"], row["name_en"]),
            least=int(row["least"]),
            measure=(row["measure_zh"], row["measure_en"]),
            who=WHO[row["who"]],
            days=int(row["days"]),
        )
        for row in tables.read("causes.csv")
    }


def said(texts: tuple[str, str], language: str = "zh") -> str:
    """The text of a row in a language: English where asked for, else Chinese."""
    return texts[language.startswith("en")]


def name(code: str, language: str = "zh") -> str:
    """What a cause is called; its own code where the list does not know it."""
    return said(table()[code].name, language) if code in table() else code
