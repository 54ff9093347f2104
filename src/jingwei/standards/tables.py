"""Reading the package's own CSV tables (UTF-8, first row names the columns)."""

from __future__ import annotations

import csv
import io
from functools import cache
from importlib.resources import files


def read(name: str) -> list[dict[str, str]]:
    """The rows of `data/<name>`; a row with too many or too few cells is a ValueError."""
    text = files("jingwei.standards").joinpath("data", *name.split("/")).read_text("utf-8")
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None)
    rows: list[dict[str, str]] = []
    for row in reader:
        if "" in row or None in row.values():
            raise ValueError(f"{name}, line {reader.line_num}: wrong number of cells")
        rows.append(dict(row))
    return rows


@cache
def _words() -> dict[str, str]:
    return {r["en"]: r["zh"] for r in read("words_zh.csv")}


def chinese(text: str) -> str:
    """What a note, scope, source or parameter of these tables says in Chinese; itself if it is so.

    >>> chinese("manual test"), chinese("一级A")
    ('手工监测', '一级A')
    """
    return _words().get(text, text)
