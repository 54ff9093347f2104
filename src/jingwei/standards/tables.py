"""Reading the package's own CSV tables (UTF-8, first row names the columns)."""

from __future__ import annotations

import csv
import io
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
