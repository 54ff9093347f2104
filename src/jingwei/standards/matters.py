"""Matters of a department's jurisdiction, and the kinds of findings that each of them holds.

`data/matters.csv`: our own assignment; the duties follow the list of ecological protection duties
of central and state organs of 2020 (中央和国家机关有关部门生态环境保护责任清单) as commonly
reported: secondary. A kind of finding is also a matter of its own. `monitors` says by which
monitored values the effect on a matter is seen: `stack` and `drain` (outlets into air and water), or
factors of ambient air stations; our own assignment too.
"""

from __future__ import annotations

from collections.abc import Iterable
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


def monitors(chosen: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """By what the effect on some matters is seen (none chosen: on all): media of outlets ("air",
    "water"), and factors of ambient air stations."""
    chosen = set(chosen)
    words = {
        word
        for row in tables.read("matters.csv")
        if row["matter"] in chosen or not chosen
        for word in row["monitors"].split()
    }
    media = {medium for word, medium in (("stack", "air"), ("drain", "water")) if word in words}
    return frozenset(media), frozenset(words - {"stack", "drain"})


def name(matter: str, language: str = "zh") -> str:
    """What a matter is called; its own code where the table does not know it."""
    if matter not in table():
        return matter
    zh, en, _held = table()[matter]
    return en if language.startswith("en") else zh
