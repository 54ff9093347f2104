"""Tables as CSV that a spreadsheet may open without danger."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

# A cell that starts so is a formula to Excel, WPS or LibreOffice (OWASP, CSV injection), the
# full-width forms too where the reader's input method makes them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

MOST = 50_000  # rows of a workbook


def cell(value: Any) -> Any:
    """A value as a CSV cell: local time to the minute; a text that looks like a formula quoted."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


class _Line:
    def write(self, text: str) -> str:
        return text


def xlsx_response(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """The first 50,000 `rows` as an Excel workbook, which is made in memory: every text is a text and
    never a formula, times are local."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.freeze_panes = "A2"

    def cells(row: Sequence[Any]) -> Iterator[Any]:
        for value in row:
            plain = cell(value)
            if not isinstance(plain, str):
                yield plain
                continue
            # Given as the type of the cell, or openpyxl takes what begins with = for a formula.
            made = WriteOnlyCell(sheet, value=None)
            made.value = ILLEGAL_CHARACTERS_RE.sub("", plain)
            made.data_type = "s"
            yield made

    for row in (header, *islice(rows, MOST)):
        sheet.append(list(cells(row)))
    out = io.BytesIO()
    book.save(out)
    return HttpResponse(
        out.getvalue(),
        content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        headers={
            "Content-Disposition": content_disposition_header(True, name),
            "X-Content-Type-Options": "nosniff",
        },
    )


def csv_response(
    name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """`rows` as a download, sent while they are read; UTF-8 with a mark that Excel understands."""
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
