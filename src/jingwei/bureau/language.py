"""Names of things in the language of the reader, for every room."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import get_language

from jingwei.standards import codes, tables


def english() -> bool:
    """Whether the reader reads English; else Chinese."""
    return (get_language() or "").startswith("en")


def column(names: Sequence[str]) -> str:
    """Of the names that the head of a column may have, English ones first, the reader's: the first or
    the last. Whatever reads the table takes each of them."""
    return names[0] if english() else names[-1]


def factor_name(code: str, version: str = "2017") -> str:
    """The name of a factor in the version's tables; the code itself where they do not have it."""
    known = codes.factor(code, version if version in codes.VERSIONS else "2017")
    return known.name("en" if english() else "zh-hans") if known else code


def table_text(text: str) -> str:
    """A note, scope, source or parameter of the tables of standards, as the reader reads it."""
    return text if english() else tables.chinese(text)
