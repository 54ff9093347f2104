"""Tables as CSV and as Excel workbooks that a spreadsheet may open without danger.

Neither is held in memory, so a table may be long, and none is cut short without a word.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

# A cell that starts so is a formula to Excel, WPS or LibreOffice (OWASP, CSV injection), the
# full-width forms too where the reader's input method makes them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

SHEET = 1_048_576  # rows of a sheet in Excel and WPS
LONGEST = 32_767  # characters of a cell there


def _plain(value: Any) -> Any:
    """A number as it is, None as nothing, a time as local time to the minute, all else as text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool | int | float | Decimal):
        return value
    return str(value)


def cell(value: Any) -> Any:
    """A value as a CSV cell; a text that looks like a formula with a quote before it, since CSV
    has no types."""
    plain = _plain(value)
    if isinstance(plain, str) and plain.lstrip(" ").startswith(_FORMULA):
        return f"'{plain}"
    return plain


def csv_response(
    name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """`rows` as a download; UTF-8 with a mark that Excel understands."""
    writer = csv.writer(_Line())

    def lines() -> Iterator[str]:
        yield "\ufeff"
        yield writer.writerow([cell(v) for v in header])
        for row in rows:
            yield writer.writerow([cell(v) for v in row])

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": content_disposition_header(True, name),
            "X-Content-Type-Options": "nosniff",
        },
    )


def xlsx_response(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> FileResponse:
    """`rows` as an Excel workbook of one sheet, written to a file on disk that goes with the answer.
    Every text has the type of a text and is never a formula, whatever it begins with. A sheet holds
    1,048,576 rows: where there are more, its last row says so."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.freeze_panes = "A2"

    def typed(value: Any) -> Any:
        if value is None:
            return None
        plain = _plain(value)
        if not isinstance(plain, str) and math.isfinite(plain):
            return plain
        # Given as the type of the cell, or openpyxl takes what begins with = for a formula.
        made = WriteOnlyCell(sheet, value=None)
        made.value = ILLEGAL_CHARACTERS_RE.sub("", str(plain))[:LONGEST]
        made.data_type = "s"
        return made

    for row in _sheet(header, rows):
        sheet.append([typed(value) for value in row])
    file = TemporaryFile()  # noqa: SIM115  # the answer closes it
    book.save(file)
    file.seek(0)
    return FileResponse(
        file,
        as_attachment=True,
        filename=name,
        content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _sheet(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Head and rows, as many as a sheet holds; where there are more, the last says so."""
    lines = chain([header], rows)
    yield from islice(lines, SHEET - 1)
    last = list(islice(lines, 2))
    if len(last) > 1:
        last = [[_("A sheet holds no more rows, but there are more: CSV has all.")]]
    yield from last


class _Line:
    def write(self, text: str) -> str:
        return text
