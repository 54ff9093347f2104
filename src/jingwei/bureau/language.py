"""Names of things in the language of the reader, for every room."""

from __future__ import annotations

from django.utils.translation import get_language

from jingwei.standards import codes, tables


def english() -> bool:
    """Whether the reader reads English; else Chinese."""
    return (get_language() or "").startswith("en")


def factor_name(code: str, version: str = "2017") -> str:
    """The name of a factor in the version's tables; the code itself where they do not have it."""
    known = codes.factor(code, version if version in codes.VERSIONS else "2017")
    return known.name("en" if english() else "zh-hans") if known else code


def table_text(text: str) -> str:
    """A note, scope, source or parameter of the tables of standards, as the reader reads it."""
    return text if english() else tables.chinese(text)
