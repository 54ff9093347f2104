"""Reading the tables of field experiments, with errors that say what, where and what to do."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

Row = dict[str, str]


class FieldError(ValueError):
    """A file cannot be used; the text says which, where and what is wanted."""


class Said(str):
    """A text with its figures filled in, which knows both apart, so that it can be said in another
    language: `text` with places for `about`."""

    text: str
    about: dict[str, object]

    def __new__(cls, text: str, **about: object) -> Said:
        self = super().__new__(cls, text % about)
        self.text, self.about = text, about
        return self


class GridError(FieldError):
    """A gridded file cannot be used: why as `said`, after the name of the file."""

    def __init__(self, source: Path | str, text: str, **about: object) -> None:
        self.said = Said(text, **about)
        super().__init__(f"{source}: {self.said}")


def text(source: Path | str) -> str:
    """The text of a file, or of a bundled one where `source` is a plain name."""
    try:
        if isinstance(source, Path):
            raw = source.read_bytes()
        else:
            raw = (resources.files("jingwei.analysis.air") / "data" / source).read_bytes()
    except OSError as error:
        raise FieldError(f"{source}: cannot be read ({error.strerror})") from error
    try:
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise FieldError(f"{source}: is neither UTF-8 text nor such text gzipped") from error


def rows(source: Path | str, wanted: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """(line number, row) of a CSV file that has the `wanted` columns."""
    reader = csv.DictReader(io.StringIO(text(source)))
    missing = [c for c in wanted if c not in (reader.fieldnames or ())]
    if missing:
        has = ", ".join(reader.fieldnames or ()) or "nothing"
        raise FieldError(f"{source}: lacks the column {', '.join(missing)} (it has {has})")
    for row in reader:
        yield reader.line_num, row


def number(source: Path | str, line: int, row: Row, column: str) -> float:
    """A cell as a number; raises FieldError where it is none."""
    try:
        return float(row[column])
    except (TypeError, ValueError) as error:
        raise FieldError(
            f"{source}, line {line}: {column} is {row.get(column)!r}, not a number"
        ) from error


def document(source: Path | str) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json.loads(text(source))
    except json.JSONDecodeError as error:
        raise FieldError(f"{source}, line {error.lineno}: is not JSON ({error.msg})") from error
    if not isinstance(found, dict):
        raise FieldError(f"{source}: wanted a JSON object")
    return found
