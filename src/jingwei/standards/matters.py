"""Matters of a department's jurisdiction, and the kinds of findings that each of them holds.

`data/matters.csv`: our own assignment; the duties follow the list of ecological protection duties
of central and state organs of 2020 (中央和国家机关有关部门生态环境保护责任清单) as commonly
reported: secondary. A kind of finding is also a matter of its own.
"""

from __future__ import annotations

from functools import cache

from jingwei.standards import tables


@cache
def table() -> dict[str, tuple[str, str, frozenset[str]]]:
    """Matter → name in Chinese, name in English, kinds of findings."""
    return {
        row["matter"]: (row["name_zh"], row["name_en"], frozenset(row["kinds"].split()))
        for row in tables.read("matters.csv")
    }


def kinds(matter: str) -> frozenset[str]:
    """The kinds of findings of a matter; one that is not in the table is a kind itself."""
    return table()[matter][2] if matter in table() else frozenset({matter})


def holding(kind: str) -> list[str]:
    """The matters that hold a kind of finding, itself included."""
    return [kind, *(name for name, (_zh, _en, held) in table().items() if kind in held)]


def name(matter: str, language: str = "zh") -> str:
    """What a matter is called; its own code where the table does not know it."""
    if matter not in table():
        return matter
    zh, en, _held = table()[matter]
    return en if language.startswith("en") else zh
