"""Observations from tables: CSV, Excel and Parquet, by a mapping that a person has seen work.

A mapping says which column is what:

    {"mn": {"column": "device"} or {"value": "…"}, "st": {"value": "31"},
     "time": {"column": "time", "format": "%Y-%m-%d %H:%M", "named_by_end": false},
     "resolution": "hour", "missing": ["--"], "names": {"1001A": "…"},
     "factors": {"SO2": {"code": "a21026", "field": "Avg", "scale": "1", "flag": "SO2 mark"}}}

`missing`: texts that mean no value; `names`: what the table calls a device, where it is not the
device number; a time whose `format` has no year gets `year`, or the latest that is not ahead.

`guess` proposes a mapping from the header (`stations` knows some layouts). `read` gives the envelopes of all rows and an error for each
row that cannot be taken; `take` stores all of them in one durable commit or none. An empty cell is
a missing value. Times without a zone are Asia/Shanghai; a period is named by its start, and where
a table names it by its end, `named_by_end` moves it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from jingwei.hj212.values import SHANGHAI, number
from jingwei.standards import codes
from jingwei.telemetry import sheet, stations
from jingwei.telemetry.envelope import AHEAD, CN, VALUE, EnvelopeError, check_time, envelope
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.register import Register

# (what a table calls a device, system type) → device number, None where it is not known.
Find = Callable[[str, str], "str | None"]
MAX_BYTES: Final = 200 << 20  # of a file, packed and unpacked
MAX_ROWS: Final = 500_000
ERRORS: Final = 200  # that many errors are told
FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日 %H时",
)  # fmt: skip
LENGTH: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}

_MN_NAMES = ("mn", "device", "device_id", "设备编号", "设备唯一标识", "站点编码", "监测点编码")
_TIME_NAMES = ("datatime", "time", "datetime", "监测时间", "时间", "数据时间", "日期")
_MARKS = ("标记", "-Flag", " Flag")
_UNIT = re.compile(r"\s*[(（\[].*$")


class TableError(ValueError):
    """The file or the mapping cannot be used at all; the text says what to do."""


# Why a row cannot be taken; `{}` is what stands there.
PROBLEMS: Final = {
    "device": "no device {} here",
    "time": "{} is no time, such as 2026-03-10 12:00",
    "ahead": "{}",
    "number": "{} is no decimal number",
    "twice": "{} twice in a row",
    "repeated": "the same device and time as row {}",
    "entry": "{}",
}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row cannot be taken. `row`: as a spreadsheet counts, the header being row 1; `kind`: a
    key of `PROBLEMS`; `value`: what stands there."""

    row: int
    column: str
    kind: str
    value: str

    @property
    def problem(self) -> str:
        return PROBLEMS[self.kind].format(self.value)


@dataclass(slots=True)
class Reading:
    """What a table says by a mapping. `envelopes` in the order of the rows."""

    sha256: str
    rows: int = 0
    values: int = 0
    envelopes: list[bytes] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    more_errors: int = 0

    def refuse(self, row: int, column: str, kind: str, value: str) -> None:
        if len(self.errors) < ERRORS:
            self.errors.append(RowError(row, column, kind, value))
        else:
            self.more_errors += 1


# --- tables -------------------------------------------------------------------------------------


def rows(content: bytes) -> Iterator[sheet.Row]:
    """The rows of a table, the header first. Raises `TableError`."""
    try:
        yield from sheet.rows(content, max_bytes=MAX_BYTES, max_rows=MAX_ROWS + 1)
    except sheet.SheetError as error:
        raise TableError(str(error)) from error


def header(content: bytes) -> list[str]:
    """The names of the columns. Raises `TableError`."""
    return _header(rows(content))


def _header(table: Iterator[sheet.Row]) -> list[str]:
    _, cells = next(table, (0, []))
    if not cells:
        raise TableError("the table is empty: the first row must name the columns")
    return [str(cell if cell is not None else "").strip() for cell in cells]


# --- mapping ------------------------------------------------------------------------------------


def guess(header: Iterable[Any]) -> dict[str, Any]:
    """A mapping as the header suggests it: device, time and factors by code or name."""
    cells = [str(cell if cell is not None else "").strip() for cell in header]
    known_as = stations.layout(cells)
    found: dict[str, Any] = {
        "mn": {"value": ""},
        "st": {"value": "31"},
        "time": {"column": "", "format": "", "named_by_end": False},
        "resolution": "hour",
        "missing": [],
        "factors": {},
    }
    aliases: Mapping[str, str] = {**stations.WATER, **stations.AIR}
    if known_as is not None:
        aliases = known_as.factors
        found |= {
            "st": {"value": known_as.st},
            "time": dict(known_as.time),
            "resolution": known_as.resolution,
            "missing": list(known_as.missing),
        }
    known = codes.factors("2017")
    names = {f.zh: f.code for f in known.values()}
    names |= {f.en.lower(): f.code for f in known.values() if f.en}
    for column in cells:
        bare = _UNIT.sub("", column)
        if column.lower() == (known_as.device if known_as else "") or (
            known_as is None and column.lower() in _MN_NAMES
        ):
            found["mn"] = {"column": column}
        elif known_as is None and column.lower() in _TIME_NAMES:
            found["time"]["column"] = column
        elif not column.endswith(_MARKS):
            code = aliases.get(bare.lower())
            if code is None and known_as is None:
                code = bare if bare in known else names.get(bare) or names.get(bare.lower())
            if code:
                found["factors"][column] = {"code": code, "field": "", "scale": "1", "flag": ""}
    for column, part in found["factors"].items():
        part["flag"] = next((f"{column}{end}" for end in _MARKS if f"{column}{end}" in cells), "")
    return found


def check(mapping: Mapping[str, Any], header: list[str]) -> None:
    """Raises `TableError` where the mapping cannot be applied to a table with this header."""

    def column(name: Any, what: str) -> None:
        if name not in header:
            raise TableError(f"mapping, {what}: the table has no column {name!r}")

    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TableError(f"the table has two columns {twice!r}")
    for what in ("mn", "st"):
        part = mapping.get(what)
        if not isinstance(part, Mapping) or not (part.get("column") or part.get("value")):
            raise TableError(f"mapping, {what}: wanted a column or a value")
        if part.get("column"):
            column(part["column"], what)
    time = mapping.get("time")
    if not isinstance(time, Mapping) or not time.get("column"):
        raise TableError("mapping, time: wanted a column")
    column(time["column"], "time")
    if time.get("year") and (not isinstance(time["year"], int) or not 1990 <= time["year"] <= 2100):
        raise TableError(f"mapping, time: the year {time['year']!r} cannot be")
    if not all(isinstance(text, str) for text in mapping.get("missing") or ()):
        raise TableError("mapping, missing: wanted a list of texts")
    if not isinstance(mapping.get("names") or {}, Mapping):
        raise TableError("mapping, names: wanted an object of names and device numbers")
    if mapping.get("resolution") not in CN:
        raise TableError(f"mapping, resolution: wanted one of {', '.join(CN)}")
    if time.get("named_by_end") and mapping["resolution"] not in LENGTH:
        raise TableError("mapping, time: only a minute, hour or day can be named by its end")
    factors = mapping.get("factors")
    if not isinstance(factors, Mapping) or not factors:
        raise TableError("mapping, factors: wanted at least one column")
    for name, part in factors.items():
        column(name, f"factor {name}")
        if not isinstance(part, Mapping) or not part.get("code"):
            raise TableError(f"mapping, factor {name}: wanted a code")
        if part.get("flag"):
            column(part["flag"], f"mark of {name}")
        try:
            scale = Decimal(str(part.get("scale") or "1"))
        except InvalidOperation:
            scale = Decimal(0)
        if not scale.is_finite() or scale <= 0:
            raise TableError(
                f"mapping, factor {name}: the scale {part.get('scale')!r} is no number"
            )


# --- reading ------------------------------------------------------------------------------------


def read(
    name: str,
    content: bytes,
    mapping: Mapping[str, Any],
    *,
    find: Find = lambda name, st: name,
    now: datetime | None = None,
) -> Reading:
    """Every row by the mapping. `find` gives the number of the device that the table names, where
    it is known here with that system type.

    Raises `TableError` where nothing can be read at all.
    """
    now = now or datetime.now(UTC)
    table = rows(content)
    columns = _header(table)
    check(mapping, columns)
    place = {column: i for i, column in enumerate(columns)}
    found = Reading(hashlib.sha256(content).hexdigest())
    resolution = mapping["resolution"]
    blank = {None, "", *(mapping.get("missing") or ())}
    names = mapping.get("names") or {}
    seen: dict[tuple[str, str, datetime], int] = {}
    for row, cells in table:
        found.rows += 1

        def cell(column: str, cells: list[Any] = cells) -> Any:
            at = place[column]
            return cells[at] if at < len(cells) else None

        texts = {
            what: sheet.text(cell(part["column"]) if part.get("column") else part["value"])
            for what, part in (("mn", mapping["mn"]), ("st", mapping["st"]))
        }
        mn = find(str(names.get(texts["mn"], texts["mn"])), texts["st"])
        if mn is None:
            found.refuse(row, mapping["mn"].get("column", ""), "device", repr(texts["mn"][:40]))
            continue
        when = cell(mapping["time"]["column"])
        time = _time(when, mapping["time"].get("format") or "", mapping["time"].get("year"), now)
        if time is None:
            found.refuse(row, mapping["time"]["column"], "time", repr(sheet.text(when)[:40]))
            continue
        if mapping["time"].get("named_by_end"):
            time -= LENGTH[resolution]
        try:
            check_time(time, now)
        except EnvelopeError as error:
            found.refuse(row, mapping["time"]["column"], "ahead", str(error))
            continue
        items: dict[str, dict[str, str]] = {}
        sound = True
        for column, part in mapping["factors"].items():
            value = cell(column)
            if (value.strip() if isinstance(value, str) else value) in blank:
                continue
            text = _decimal(value, str(part.get("scale") or "1"))
            if text is None:
                found.refuse(row, column, "number", repr(str(value)[:40]))
                sound = False
                continue
            fields = items.setdefault(part["code"], {})
            key = part.get("field") or VALUE[resolution]
            if key in fields:
                found.refuse(row, column, "twice", f"{part['code']} {key}")
                sound = False
            fields[key] = text
            if part.get("flag"):
                mark = sheet.text(cell(part["flag"]))
                if mark:
                    fields["Flag"] = mark
        if not sound or not items:
            continue
        before = seen.setdefault((mn, texts["st"], time), row)
        if before != row:
            found.refuse(row, mapping["time"]["column"], "repeated", str(before))
            continue
        try:
            source = {
                "kind": "file",
                "name": Path(name).name[:120],
                "row": row,
                "sha256": found.sha256,
            }
            found.envelopes.append(envelope(mn, texts["st"], resolution, time, items, source))
            found.values += sum(len(fields) - ("Flag" in fields) for fields in items.values())
        except EnvelopeError as error:
            found.refuse(row, "", "entry", str(error))
    return found


def take(reading: Reading, journal_root: Path, peer: str, *, skip_errors: bool = False) -> int:
    """Store all rows in one durable commit; how many envelopes. Raises `TableError` for errors.

    A second time stores them again in the journal and changes nothing in the lake.
    """
    if reading.errors and not skip_errors:
        total = len(reading.errors) + reading.more_errors
        raise TableError(
            f"{total} rows have errors: mend them, or say that they are to be left out"
        )
    if not reading.envelopes:
        raise TableError("there is nothing to take in")
    now = datetime.now(UTC)
    writer = Journal(journal_root)
    try:
        return len(writer.append([Telegram(now, peer, raw) for raw in reading.envelopes]))
    finally:
        writer.close()


def known_in(register: Register) -> Callable[[str], bool]:
    """Whether the register has the device and it is enabled."""

    def known(mn: str) -> bool:
        device = register.get(mn)
        return device is not None and device.enabled

    return known


def _decimal(value: Any, scale: str) -> str | None:
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if isinstance(value, bool) or number(text) is None:
        return None
    return text if scale == "1" else f"{(Decimal(text) * Decimal(scale)).normalize():f}"


def _time(value: Any, pattern: str, year: Any, now: datetime) -> datetime | None:
    """The time of a cell; None where it is none."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=SHANGHAI)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=SHANGHAI)
    text = str(value if value is not None else "").strip()
    if pattern and "%Y" not in pattern:
        return _yearless(text, pattern, year, now)
    for wanted in (pattern,) if pattern else FORMATS:
        try:
            found = datetime.strptime(text, wanted)  # noqa: DTZ007 the zone comes next
            return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)
        except ValueError:
            continue
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


def _yearless(text: str, pattern: str, year: Any, now: datetime) -> datetime | None:
    """A time without a year, in the given one or the latest in which it is not ahead."""
    this = now.astimezone(SHANGHAI).year
    for one in [int(year)] if year else range(this, this - 9, -1):  # 29 February: eight years
        try:
            found = datetime.strptime(f"{one} {text}", f"%Y {pattern}")  # noqa: DTZ007
        except ValueError:
            continue
        found = found.replace(tzinfo=SHANGHAI)
        if year or found <= now + AHEAD:
            return found
    return None
