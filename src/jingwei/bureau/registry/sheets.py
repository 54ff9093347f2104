"""Tables that people upload: CSV (UTF-8 or GB 18030) and Excel workbooks, first row the names."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import openpyxl
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_BYTES = 5 * 1024 * 1024
MAX_UNPACKED = 60 * 1024 * 1024  # of a workbook: it is a ZIP archive
MAX_ROWS = 5000


def read(upload: Any, columns: Mapping[str, Sequence[str]]) -> list[tuple[int, dict[str, str]]]:
    """(number of the row, cells by column) of every row that is not empty, as text.

    `columns`: for each column the names that its head may have; what other columns say is left out.
    Raises `ValidationError` with what to do for a file that cannot be read.
    """
    if upload.size > MAX_BYTES:
        raise ValidationError(_("The file is larger than 5 MB: split it."))
    data = upload.read()
    table = list(_workbook(data) if data[:2] == b"PK" else _csv(data))
    if not table:
        raise ValidationError(_("The file has no rows."))
    heads = [_head(cell) for cell in table[0]]
    known = {_head(name): column for column, names in columns.items() for name in (column, *names)}
    places = {known[h]: i for i, h in enumerate(heads) if h in known}
    missing = [names[0] for column, names in columns.items() if column not in places]
    if missing:
        raise ValidationError(
            _("The file lacks these columns: %(names)s. Download the template to see all of them.")
            % {"names": ", ".join(missing)}
        )
    rows = [
        (number, {c: (row[i] if i < len(row) else "").strip() for c, i in places.items()})
        for number, row in enumerate(table[1:], 2)
        if any(cell.strip() for cell in row)
    ]
    if not rows:
        raise ValidationError(_("The file has no rows."))
    return rows


def _head(text: str) -> str:
    return "".join(text.lower().split()).strip("*：:")


def _csv(data: bytes) -> Iterable[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        break
    else:
        raise ValidationError(_("The file is neither a workbook nor text in UTF-8 or GB 18030."))
    if "\x00" in text:
        raise ValidationError(_("The file is neither a workbook nor text in UTF-8 or GB 18030."))
    for number, row in enumerate(csv.reader(io.StringIO(text, newline=""))):
        if number > MAX_ROWS:
            raise ValidationError(_("The file has more than 5000 rows: split it."))
        yield [_unguarded(cell) for cell in row]


def _unguarded(cell: str) -> str:
    """A cell as our own exports write it, without the apostrophe that guards a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@") else cell


def _workbook(data: bytes) -> Iterable[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(i.file_size for i in archive.infolist()) > MAX_UNPACKED:
                raise ValidationError(_("The file is larger than 5 MB: split it."))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        found = []
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=40)):
            if number > MAX_ROWS:
                raise ValidationError(_("The file has more than 5000 rows: split it."))
            found.append([_cell(value) for value in row])
        book.close()
    except ValidationError:
        raise
    except Exception as error:  # openpyxl raises many kinds for a damaged workbook
        raise ValidationError(_("The workbook cannot be read: save it again as .xlsx.")) from error
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)
