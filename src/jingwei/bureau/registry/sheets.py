"""Tables that people upload: CSV (UTF-8 or GB 18030) and Excel workbooks, first row the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from jingwei.telemetry import sheet

MAX_BYTES = 5 * 1024 * 1024
MAX_UNPACKED = 60 * 1024 * 1024  # of a workbook: it is a ZIP archive
MAX_ROWS = 5000


def read(upload: Any, columns: Mapping[str, Sequence[str]]) -> list[tuple[int, dict[str, str]]]:
    """(number of the row, cells by column) of every row that is not empty, as text.

    `columns`: for each column the names that its head may have; what other columns say is left out.
    Raises `ValidationError` with what to do for a file that cannot be read.
    """
    try:
        table = [
            (number, [_cell(cell) for cell in cells])
            for number, cells in sheet.rows(
                upload.read(MAX_BYTES + 1),
                max_bytes=MAX_BYTES,
                max_rows=MAX_ROWS + 1,
                unpacked=MAX_UNPACKED,
            )
        ]
    except sheet.SheetError as error:
        raise ValidationError(said(error)) from None
    if not table:
        raise ValidationError(_("The file has no rows."))
    heads = [_head(cell) for cell in table[0][1]]
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
        for number, row in table[1:]
    ]
    if not rows:
        raise ValidationError(_("The file has no rows."))
    return rows


def _head(text: str) -> str:
    return "".join(text.lower().split()).strip("*：:")


def said(error: sheet.SheetError) -> str:
    """Why a file is no table, for the person who handed it in."""
    texts = {
        "large": _("The file, or what it unpacks to, is larger than %(limit)s MB: split it."),
        "rows": _("The file has more than %(limit)s rows: split it."),
        "columns": _("Row %(row)s has more than %(limit)s columns."),
        "encoding": _("The file is neither a workbook nor text in UTF-8 or GB 18030."),
        "mixed": _(
            "Row %(row)s is written in UTF-8 and row %(other)s in GB 18030: save the file in one"
            " encoding."
        ),
        "old": _("The workbook is of the old kind (.xls): save it again as .xlsx."),
        "broken": _("The table cannot be read: save it again as .xlsx or CSV."),
    }
    return texts[error.kind] % error.facts


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, float):
        return f"{value:.12g}"
    return sheet.unguarded(sheet.text(value))
