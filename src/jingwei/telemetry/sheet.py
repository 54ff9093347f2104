"""Rows of tables that people hand in: CSV (UTF-8 or GB 18030), Excel workbooks, Parquet.

The one reader of such files: what is read is bounded in bytes (unpacked, too), rows and columns, so
that no file can exhaust the memory. The kind is told by the content, not by the name. CSV cells are
text; Excel and Parquet give numbers and times as they stand there.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal

Kind = Literal["large", "rows", "columns", "encoding", "mixed", "old", "broken"]
Row = tuple[int, list[Any]]  # number as a spreadsheet counts, cells without empty ones at the end

UNPACKED: Final = 200 << 20  # bytes of a workbook or Parquet file when unpacked: more is a bomb
_MESSAGES: Final[Mapping[Kind, str]] = {
    "large": "the file is larger than {limit} MB, unpacked perhaps: divide it",
    "rows": "more than {limit} rows: divide the file",
    "columns": "row {row} has more than {limit} columns",
    "encoding": "the file is neither a workbook nor text in UTF-8 or GB 18030",
    "mixed": "row {row} is written in UTF-8 and row {other} in GB 18030: save the file in one",
    "old": "this is a workbook of the old kind (.xls): save it as .xlsx",
    "broken": "the table cannot be read: {detail}",
}


class SheetError(ValueError):
    """A file that is no table; `kind` says why, `facts` where and how much. The text is English."""

    def __init__(self, kind: Kind, **facts: Any) -> None:
        super().__init__(_MESSAGES[kind].format(**facts))
        self.kind, self.facts = kind, facts


def rows(
    content: bytes,
    *,
    max_bytes: int,
    max_rows: int,
    max_columns: int = 400,
    unpacked: int = UNPACKED,
) -> Iterator[Row]:
    """Every row that is not empty, the first sheet of a workbook. Raises `SheetError`.

    `max_rows` counts the rows that are not empty, the header among them.
    """
    if len(content) > max_bytes:
        raise SheetError("large", limit=max_bytes >> 20)
    if content[:4] == b"PK\x03\x04":
        table = _excel(content, unpacked, max_columns)
    elif content[:4] == b"PAR1":
        table = _parquet(content, unpacked)
    elif content[:4] == b"\xd0\xcf\x11\xe0":
        raise SheetError("old")
    else:
        table = _csv(content)
    count = 0
    for number, cells in table:
        while cells and (cells[-1] is None or cells[-1] == ""):
            cells.pop()
        if not any(cell is not None and cell != "" for cell in cells):
            if number > 4 * max_rows + 1000:
                return  # what a spreadsheet carries below its last row
            continue
        count += 1
        if count > max_rows:
            raise SheetError("rows", limit=max_rows)
        if len(cells) > max_columns:
            raise SheetError("columns", row=number, limit=max_columns)
        yield number, cells


def text(value: Any) -> str:
    """A cell as text: whole numbers without .0, times as ISO has them, blank for nothing."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def unguarded(cell: str) -> str:
    """A cell as our own exports write it, without the apostrophe that guards a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@") else cell


def _csv(content: bytes) -> Iterator[Row]:
    written = _decoded(content)
    first = written.partition("\n")[0]
    sign = max(",;\t", key=first.count)
    try:
        yield from enumerate(
            csv.reader(io.StringIO(written, newline=""), delimiter=sign, strict=True), 1
        )
    except csv.Error as error:
        raise SheetError("broken", detail=error) from None


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):  # what spreadsheets call "Unicode text"
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            found = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in found:
            break
        if encoding == "gb18030":
            _one_encoding(content)
        return found
    else:
        _one_encoding(content)
    raise SheetError("encoding")


def _one_encoding(content: bytes) -> None:
    """Raises `SheetError` where some lines are Chinese text in UTF-8 and others in GB 18030.

    A line of GB 18030 is valid UTF-8 with Chinese characters in it only by a very rare chance; two
    files joined together have many such lines.
    """
    utf8 = gb = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.isascii():
            continue
        try:
            if any("\u3000" <= c <= "\u9fff" for c in line.decode()):
                utf8 = utf8 or number
        except UnicodeDecodeError:
            try:
                line.decode("gb18030")
                gb = gb or number
            except UnicodeDecodeError:
                raise SheetError("encoding") from None
        if utf8 and gb:
            raise SheetError("mixed", row=utf8, other=gb)


def _excel(content: bytes, unpacked: int, max_columns: int) -> Iterator[Row]:
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > unpacked:
                raise SheetError("large", limit=unpacked >> 20)
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        for number, cells in enumerate(
            sheet.iter_rows(values_only=True, max_col=max_columns + 1), 1
        ):
            yield number, list(cells)
        book.close()
    except SheetError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged file makes it stumble over
        raise SheetError("broken", detail=error) from None


def _parquet(content: bytes, unpacked: int) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        meta = file.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        if size > unpacked:
            raise SheetError("large", limit=unpacked >> 20)
        yield 1, list(file.schema_arrow.names)
        number = 1
        for batch in file.iter_batches(10_000):
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, list(cells)
    except (pa.ArrowException, OSError) as error:
        raise SheetError("broken", detail=error) from None
