"""Tables as CSV and as Excel workbooks that a spreadsheet may open without danger.

Both are sent while the rows are read, so a table of any length takes no more memory than a short
one, and none is cut short without a word.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from django.http import StreamingHttpResponse
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

    return _download(name, lines(), "text/csv; charset=utf-8")


def xlsx_response(
    name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """`rows` as an Excel workbook of one sheet. Every text has the type of a text and is never a
    formula, whatever it begins with. A sheet holds 1,048,576 rows: where there are more, its last
    row says so."""
    mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _download(name, _workbook(header, rows), mime)


def _download(name: str, parts: Iterator[Any], mime: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        parts,
        content_type=mime,
        headers={
            "Content-Disposition": content_disposition_header(True, name),
            "X-Content-Type-Options": "nosniff",
        },
    )


class _Line:
    def write(self, text: str) -> str:
        return text


# --- workbook --------------------------------------------------------------------------------
# The least that ECMA-376 part 1 asks for: the package with its relationships (part 2), a workbook
# (18.2.27), a sheet (18.3.1.99) whose texts stand in its cells (18.18.11, `inlineStr`).

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1"'
        f' Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1"'
        f' Type="{_LINKS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
_FROZEN = (  # the header stays in sight
    '<sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    "</sheetView></sheetViews>"
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_CHUNK = 64 * 1024


class _Sink:
    """What a `ZipFile` writes to; it cannot seek, so that what was written can be sent off."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        found = b"".join(self.parts)
        self.parts.clear()
        return found


def _workbook(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_DEFLATED) as book:  # type: ignore[arg-type]
        for path, text in _PARTS.items():
            book.writestr(path, _HEAD + text)
        with book.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}">{_FROZEN}<sheetData>'.encode())
            held: list[str] = []
            size = 0
            for line in _lines(header, rows):
                held.append(line)
                size += len(line)
                if size > _CHUNK:
                    sheet.write("".join(held).encode())
                    held, size = [], 0
                    if part := sink.taken():
                        yield part
            sheet.write(("".join(held) + "</sheetData></worksheet>").encode())
    yield sink.taken()


def _lines(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield _line(header, 1)
    number = 1
    more = iter(rows)
    row = next(more, None)
    while row is not None:
        number += 1
        following = next(more, None)
        if number == SHEET and following is not None:
            yield _line([_("A sheet holds no more rows, but there are more: CSV has all.")], number)
            return
        yield _line(row, number)
        row = following


def _line(values: Sequence[Any], number: int) -> str:
    cells = "".join(
        _cell(_plain(v), f"{_column(i)}{number}")
        for i, v in enumerate(values)
        if v is not None and v != ""
    )
    return f'<row r="{number}">{cells}</row>'


def _column(index: int) -> str:
    """The letters of a column counted from 0: A, B, …, Z, AA, …"""
    more, rest = divmod(index, 26)
    return (_column(more - 1) if more else "") + chr(65 + rest)


def _cell(value: Any, place: str) -> str:
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
    if isinstance(value, int | float | Decimal) and math.isfinite(value):
        return f'<c r="{place}"><v>{value}</v></c>'
    text = escape(_NOT_XML.sub("", str(value))[:LONGEST])
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
