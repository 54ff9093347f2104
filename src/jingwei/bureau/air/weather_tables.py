"""Weather of one place, hour by hour, from a table that a person hands in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from jingwei.telemetry import sheet

# Columns, with the names that their head may have.
COLUMNS = {
    "time": ("time", "时间"),
    "speed": ("wind_speed", "speed", "wspm", "风速"),
    "direction": ("wind_direction", "direction", "wd", "风向"),
    "temperature": ("temperature", "temp", "气温"),
    "rain": ("rain", "降水量"),
    "sigma": ("sigma_theta", "风向标准差"),
}
WANTED = ("time", "speed", "direction")
RANGE = {
    "speed": (0.0, 75.0), "direction": (0.0, 360.0), "temperature": (-60.0, 60.0),
    "rain": (0.0, 300.0), "sigma": (0.0, 104.0),
}  # fmt: skip
LARGEST = 5 << 20
MOST = 9000  # rows: a year of hours
NAN = float("nan")


class TableError(ValueError):
    """The table cannot be used; the text says what to do."""


@dataclass(frozen=True)
class Hour:
    """The mean of an hour: m/s at 10 m, degrees from which the wind comes, °C, mm, degrees."""

    speed: float
    direction: float
    temperature: float = NAN
    rain: float = NAN
    sigma: float = NAN


def read(content: bytes) -> dict[datetime, Hour]:
    """The hours of a table by their beginning. Raises `TableError`."""
    try:
        rows = list(sheet.rows(content, max_bytes=LARGEST, max_rows=MOST + 1))
    except sheet.SheetError as error:
        raise TableError(_("The table cannot be read: save it again as .xlsx or CSV.")) from error
    if not rows:
        raise TableError(_("The file has no rows."))
    heads = ["".join(str(c or "").lower().split()) for c in rows[0][1]]
    places = {c: heads.index(n) for c, names in COLUMNS.items() for n in names if n in heads}
    missing = [COLUMNS[c][0] for c in WANTED if c not in places]
    if missing:
        raise TableError(
            _("The file lacks these columns: %(names)s. Download the template to see all of them.")
            % {"names": ", ".join(missing)}
        )
    found: dict[datetime, Hour] = {}
    for number, cells in rows[1:]:

        def cell(name: str, cells: list[Any] = cells) -> Any:
            at = places.get(name)
            return cells[at] if at is not None and at < len(cells) else None

        time = _time(cell("time"), number)
        if time in found:
            raise TableError(_("Row %(row)s: the hour %(time)s is there twice.") % {"row": number, "time": cell("time")})  # fmt: skip
        found[time] = Hour(**{c: _number(cell(c), c, number) for c in RANGE})
    return found


def _time(value: Any, row: int) -> datetime:
    try:
        made = value if isinstance(value, datetime) else parse_datetime(str(value or "").strip())
    except ValueError:
        made = None
    if made is None:
        raise TableError(_("Row %(row)s: “%(text)s” is no time, such as 2026-03-10 12:00.") % {"row": row, "text": value or ""})  # fmt: skip
    if made.tzinfo is None:
        made = made.replace(tzinfo=timezone.get_default_timezone())
    if made.minute or made.second:
        raise TableError(
            _("Row %(row)s: give full hours, named by their beginning.") % {"row": row}
        )
    return made


def _number(value: Any, column: str, row: int) -> float:
    text = str(value if value is not None else "").strip()
    if not text:
        return NAN
    try:
        found = float(text)
    except ValueError:
        found = NAN
    low, high = RANGE[column]
    if not low <= found <= high:
        raise TableError(
            _("Row %(row)s: “%(text)s” is no %(column)s from %(low)g to %(high)g.")
            % {"row": row, "text": text, "column": COLUMNS[column][0], "low": low, "high": high}
        )
    return found
