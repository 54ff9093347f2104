"""Tables of concentrations and uncertainties as people hand them in: read, checked, screened.

One row a sample, the first column its start, then one column a species. A value is missing where the
cell is empty, -999 or says so; it lies below the limit of detection where it says "<0.02", "0.02L" or
"ND". The second table has either the same head and rows (an uncertainty a value) or two rows: limits
of detection (MDL) and fractions of error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.apportion.profiles import key
from jingwei.analysis.air.boundary import Floats

Row = tuple[int, Sequence[Any]]  # number as a spreadsheet counts, cells
MOST_SAMPLES, MOST_SPECIES, MOST_VALUES = 5_000, 100, 150_000
LEAST_SAMPLES, LEAST_SPECIES = 20, 3  # own choice: below nothing can be told
TOLD = 12  # problems that are told
# Signal to noise below which a species is bad or weak, as EPA PMF 5.0 suggests (recalled from its
# user guide, not re-read); weak: its uncertainties count three times.
BAD, WEAK = 0.5, 1.0
WEAKER = 3.0
ABSENT = 0.5  # share of samples without a value above which a species is bad; own choice
FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%d",
    "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y%m%d%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S",
    "%Y年%m月%d日", "%Y年%m月%d日%H时", "%Y年%m月%d日 %H时", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y",
)  # fmt: skip
MASS = {"µg/m³": 1.0, "ng/m³": 1e-3, "mg/m³": 1e3}
GAS = {"ppb": 1.0, "ppbC": 1.0}
UNITS = (*MASS, *GAS)
_UNIT = {
    "µg/m³": ("ug/m3", "µg/m3", "μg/m3", "ug/m³", "µg/m³", "μg/m³", "微克/立方米"),
    "ng/m³": ("ng/m3", "ng/m³", "纳克/立方米"),
    "mg/m³": ("mg/m3", "mg/m³", "毫克/立方米"),
    "ppb": ("ppb", "ppbv"),
    "ppbC": ("ppbc",),
}
_KNOWN = {word.lower(): unit for unit, words in _UNIT.items() for word in words}
_HEAD = re.compile(r"^(.*\S)\s*[(（\[]\s*([^()（）\[\]]+?)\s*[)）\]]$")
_MISSING = {"", "-999", "-999.0", "-99", "na", "n/a", "nan", "null", "none", "-", "--", "—", "/", "缺测",
            "无效", "缺失"}  # fmt: skip
_NOTHING = {"nd", "n.d.", "bdl", "<mdl", "<dl", "<lod", "未检出", "未检"}
_BELOW = re.compile(r"^(?:[<＜]\s*([0-9.eE+\-]+)|([0-9.eE+\-]+)\s*L)$")
_LIMITS = {"mdl", "dl", "lod", "检出限", "方法检出限"}
_FRACTIONS = {"ef", "errorfraction", "fraction", "uncertainty%", "误差比例", "误差分数", "相对误差"}
_TOTALS = {"mass", "pm25", "pm2.5", "pm10", "tsp", "pm1", "tnmoc", "nmhc", "tvoc", "tvocs", "vocs",
           "pm2.5质量浓度", "质量浓度", "总质量", "颗粒物质量", "非甲烷总烃"}  # fmt: skip

PROBLEMS = {
    "empty": "{table}: has no row below its head",
    "head": "{table}: the first row must name the time and {least} species or more; it has {has} columns",
    "few": "{table}: {rows} samples; {least} are wanted at least",
    "many": "{table}: {rows} samples of {species} species; at most {samples} samples, {most} species and {values} values",
    "nameless": "{table}, column {column}: has values but no name in the first row",
    "twice": "{table}: the column {species} is there twice",
    "units": "{table}: masses and volumes together ({units}): hand them in as two sets",
    "width": "{table}, row {row}: {has} cells, the head has {wanted}",
    "time": "{table}, row {row}: {text} is no time; write 2026-03-10 or 2026-03-10 08:00",
    "dated": "{table}: rows {row} and {other} have the same time {text}",
    "number": "{table}, row {row}, {species}: {text} is not a number; leave the cell empty where a value is missing",
    "limit": "{table}, row {row}, {species}: {text} without a limit of detection; write <0.02 or 0.02L, or hand in the limits",
    "columns": "{table}: column {has} where the concentrations have {wanted}: both tables need the same head",
    "rows": "{table}: {has} rows, the concentrations have {wanted}: both tables need the same rows, or the two rows MDL and EF",
    "times": "{table}, row {row}: {text} where the concentrations have {wanted}",
    "uncertainty": "{table}, row {row}, {species}: the uncertainty is {text}; it must be above 0 wherever there is a value",
    "mdl": "{table}: {species} has no limit of detection or no fraction of error above 0",
    "nothing": "{table}: no species has a value above 0 in {least} samples",
    # of profiles of own sources (`own`)
    "wanted": "the first row lacks the columns {columns}",
    "long": "{rows} rows; at most {most}",
    "sources": "{has} profiles; at most {most}",
    "unnamed": "row {row}: needs the name of the source (at most 120 characters) and a species",
    "share": "row {row}, {species}: {text} is no mass fraction",
    "sigma": "row {row}, {species}: the uncertainty is {text}; it must be above 0 and no larger than the whole",
    "again": "row {row}: {source} has {species} twice",
    "taken": "row {row}: there is a profile of the name {source} already",
    "thin": "row {row}: {source} has fewer than {least} species above 0",
    "sum": "row {row}: the fractions of {source} make {sum}, more than {most}",
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """What is wrong where; `facts` for who tells it in another language."""

    kind: str
    facts: dict[str, Any]

    @property
    def text(self) -> str:
        return PROBLEMS[self.kind].format(**self.facts)


class TableError(ValueError):
    """The tables cannot be used; `problems` are the first of them, `more` how many others there are."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(p.text for p in problems[:TOLD]))
        self.problems, self.more = problems[:TOLD], max(0, len(problems) - TOLD)


@dataclass(frozen=True)
class Table:
    """Samples by time. values, errors (samples, species), NaN where missing; `below` those that were
    below the limit of detection (half of it stands for them); `unit` of all; `notes`: what was assumed,
    (kind, number)."""

    times: list[datetime]
    species: tuple[str, ...]
    values: Floats
    errors: Floats
    below: npt.NDArray[np.bool_]
    unit: str
    notes: tuple[tuple[str, int], ...]


@dataclass
class _Sheet:
    head: list[str]
    scale: list[float]
    unit: str
    rows: list[tuple[int, Sequence[Any]]]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, kind: str, **facts: Any) -> None:
        self.problems.append(Problem(kind, facts))


def unit_of(text: str) -> str | None:
    """The unit that a head names; None where it is none of those that are known."""
    return _KNOWN.get(text.strip().lower().replace(" ", ""))


def total(species: Sequence[str]) -> str | None:
    """The species that is the sum of the others (mass of the particles, sum of the gases)."""
    return next((s for s in species if key(s) in _TOTALS or s.strip().lower() in _TOTALS), None)


def _word(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _sheet(table: str, rows: Iterable[Row], unit: str) -> _Sheet:
    lines = list(rows)
    if not lines:
        raise TableError([Problem("empty", {"table": table})])
    named, scale, units = [], [], set()
    for cell in lines[0][1]:
        text = _word(cell)
        if (m := _HEAD.match(text)) and (found := unit_of(m[2])):
            text = m[1]
        else:
            found = unit
        named.append(text)
        scale.append(MASS.get(found, 1.0) / MASS.get(unit, 1.0) if unit in MASS else 1.0)
        units.add(found)
    made = _Sheet(named[1:], scale[1:], unit, lines[1:])
    if len(made.head) < LEAST_SPECIES:
        made.wrong("head", table=table, least=LEAST_SPECIES, has=len(named))
    if len(units) > 1 and not units <= set(MASS):
        made.wrong("units", table=table, units=", ".join(sorted(units)))
    for k, name in enumerate(made.head):
        if not name:
            made.wrong("nameless", table=table, column=k + 2)
        elif name in made.head[:k]:
            made.wrong("twice", table=table, species=name)
    if not made.rows:
        made.wrong("empty", table=table)
    if made.problems:
        raise TableError(made.problems)
    for number, cells in made.rows:
        if len(cells) > len(named):
            made.wrong("width", table=table, row=number, has=len(cells), wanted=len(named))
    return made


def _times(table: str, sheet: _Sheet) -> list[datetime]:
    cells = [(number, row[0] if row else None) for number, row in sheet.rows]
    texts = [_word(c) for _n, c in cells if not isinstance(c, date)]
    form = next((f for f in FORMATS if texts and all(_at(t, f) for t in texts)), None)
    out = []
    for number, cell in cells:
        if isinstance(cell, datetime):
            at: datetime | None = cell.replace(tzinfo=None)
        elif isinstance(cell, date):
            at = datetime.combine(cell, time())
        else:
            text = _word(cell)
            at = _at(text, form) if form else next(filter(None, (_at(text, f) for f in FORMATS)), None)  # fmt: skip
        if at is None:
            sheet.wrong("time", table=table, row=number, text=_word(cell))
        else:
            out.append(at)
    if len(out) < len(cells):
        raise TableError(sheet.problems)
    return out


def _at(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the wall clock of the place
    except ValueError:
        return None


def _cell(table: str, sheet: _Sheet, number: int, j: int, cell: Any) -> tuple[float, float]:
    """(value, limit): value NaN where missing; limit NaN where it is not below one, 0 where one is
    meant that is not said."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        value = float(cell)
        return (np.nan, np.nan) if value in (-999.0, -99.0) else (value * sheet.scale[j], np.nan)
    text = _word(cell)
    if text.lower() in _MISSING:
        return np.nan, np.nan
    if text.lower() in _NOTHING:
        return np.nan, 0.0
    try:
        if m := _BELOW.match(text):
            limit = float(m[1] or m[2]) * sheet.scale[j]
            return limit / 2, limit
        value = float(text.replace(",", ""))
        return (np.nan, np.nan) if value in (-999.0, -99.0) else (value * sheet.scale[j], np.nan)
    except ValueError:
        sheet.wrong("number", table=table, row=number, species=sheet.head[j], text=text)
        return np.nan, np.nan


def parse(
    concentrations: Iterable[Row], uncertainties: Iterable[Row], unit: str = "µg/m³"
) -> Table:
    """Both tables as one. `unit`: of the species whose head names none. Raises `TableError`."""
    name, other = "concentrations", "uncertainties"
    sheet = _sheet(name, concentrations, unit)
    n, m = len(sheet.rows), len(sheet.head)
    if n > MOST_SAMPLES or m > MOST_SPECIES or n * m > MOST_VALUES:
        facts = {"samples": MOST_SAMPLES, "most": MOST_SPECIES, "values": MOST_VALUES}
        raise TableError([Problem("many", {"table": name, "rows": n, "species": m, **facts})])
    if n < LEAST_SAMPLES:
        raise TableError([Problem("few", {"table": name, "rows": n, "least": LEAST_SAMPLES})])
    times = _times(name, sheet)
    values, limits = np.full((n, m), np.nan), np.full((n, m), np.nan)
    for i, (number, cells) in enumerate(sheet.rows):
        for j, cell in enumerate(cells[1 : m + 1]):
            values[i, j], limits[i, j] = _cell(name, sheet, number, j, cell)
    seen: dict[datetime, int] = {}
    for (number, _cells), at in zip(sheet.rows, times, strict=True):
        if at in seen:
            sheet.wrong(
                "dated", table=name, row=seen[at], other=number, text=f"{at:%Y-%m-%d %H:%M}"
            )
        seen.setdefault(at, number)
    if sheet.problems:
        raise TableError(sheet.problems)
    below = np.isfinite(limits)
    second = _sheet(other, uncertainties, unit)
    for has, wanted in zip([*second.head, ""], [*sheet.head, ""], strict=False):
        if has != wanted:
            second.wrong("columns", table=other, has=has, wanted=wanted)
            raise TableError(second.problems)
    labels = [re.sub(r"[\s_]", "", _word(r[0] if r else "")).lower() for _n, r in second.rows]
    if len(labels) == 2 and labels[0] in _LIMITS and labels[1] in _FRACTIONS:
        values, errors = _by_limits(other, second, values, below)
        notes = [("limits", 0)]
    else:
        errors = _by_rows(other, second, times, sheet, values, limits)
        notes = []
    bare = np.argwhere(below & ~np.isfinite(values))
    for i, j in bare[:TOLD].tolist():
        number, cells = sheet.rows[i]
        sheet.wrong(
            "limit", table=name, row=number, species=sheet.head[j], text=_word(cells[j + 1])
        )
    if sheet.problems:
        raise TableError(sheet.problems)
    errors = np.where(np.isfinite(values), errors, np.nan)
    if not (((values > 0).sum(axis=0)) >= LEAST_SAMPLES).any():
        raise TableError([Problem("nothing", {"table": name, "least": LEAST_SAMPLES})])
    order = np.argsort(np.array(times, dtype="datetime64[s]"), kind="stable")
    if (order != np.arange(n)).any():
        notes.append(("sorted", 0))
    for kind, count in (
        ("missing", int((~np.isfinite(values)).sum())),
        ("below", int(below.sum())),
        ("negative", int((values < 0).sum())),
    ):
        if count:
            notes.append((kind, count))
    return Table(
        [times[i] for i in order.tolist()], tuple(sheet.head), values[order], errors[order],
        below[order], unit, tuple(notes),
    )  # fmt: skip


def _by_limits(
    table: str, sheet: _Sheet, values: Floats, below: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """From limits of detection and fractions of error, as EPA PMF 5.0 does (recalled from its user
    guide): 5/6 of the limit at or below it, else the root of the squares of fraction times value and
    half the limit. Fractions above 1 are percent."""
    m = len(sheet.head)
    given = np.full((2, m), np.nan)
    for k, (number, cells) in enumerate(sheet.rows):
        for j, cell in enumerate(cells[1 : m + 1]):
            given[k, j], _limit = _cell(table, sheet, number, j, cell)
    limit, part = given[0], given[1] / np.array(sheet.scale)  # a fraction has no unit
    part = np.where(part > 1, part / 100, part)
    for j in np.flatnonzero(~((limit > 0) & (part > 0))).tolist():
        sheet.wrong("mdl", table=table, species=sheet.head[j])
    if sheet.problems:
        raise TableError(sheet.problems)
    full = np.where(below & ~np.isfinite(values), limit / 2, values)
    errors = np.where(full <= limit, 5 / 6 * limit, np.sqrt((part * full) ** 2 + (limit / 2) ** 2))
    return full, errors


def _by_rows(
    table: str, sheet: _Sheet, times: list[datetime], first: _Sheet, values: Floats, limits: Floats
) -> Floats:
    n, m = values.shape
    if len(sheet.rows) != n:
        raise TableError([Problem("rows", {"table": table, "has": len(sheet.rows), "wanted": n})])
    errors = np.full((n, m), np.nan)
    own = _times(table, sheet)
    for i, (number, cells) in enumerate(sheet.rows):
        if own[i] != times[i] and not sheet.problems:
            sheet.wrong("times", table=table, row=number, text=_word(cells[0] if cells else ""),
                        wanted=f"{times[i]:%Y-%m-%d %H:%M}")  # fmt: skip
        for j, cell in enumerate(cells[1 : m + 1]):
            errors[i, j], _limit = _cell(table, sheet, number, j, cell)
    # Of what lies below its limit 5/6 of it, where nothing is said.
    errors = np.where(
        np.isfinite(limits) & ~np.isfinite(errors) & (limits > 0), 5 / 6 * limits, errors
    )
    bad = np.isfinite(values) & ~(np.isfinite(errors) & (errors > 0))
    for i, j in np.argwhere(bad)[: TOLD + 1].tolist():
        number, cells = sheet.rows[i]
        text = _word(cells[j + 1]) if len(cells) > j + 1 else ""
        sheet.wrong("uncertainty", table=table, row=number, species=first.head[j], text=text or "–")
    if sheet.problems:
        raise TableError(sheet.problems)
    return errors


@dataclass(frozen=True)
class Screened:
    """What a species is good for. `noise`: signal to noise; `advice`: good, weak, bad or total; `why`:
    the word for it (noise, missing, below, nothing, total, "")."""

    species: str
    known: int
    missing: int
    below: int
    negative: int
    mean: float
    least: float
    most: float
    noise: float
    advice: str
    why: str


def screen(table: Table) -> list[Screened]:
    """Each species: how much of it there is, signal to noise (mean over the samples of what a value
    exceeds its uncertainty by, in uncertainties, 0 below; EPA PMF 5.0, recalled) and what to do."""
    whole = total(table.species)
    out = []
    for j, name in enumerate(table.species):
        v, e = table.values[:, j], table.errors[:, j]
        known = np.isfinite(v)
        count, below = int(known.sum()), int(table.below[:, j].sum())
        noise = float(np.maximum((v[known] - e[known]) / e[known], 0).mean()) if count else 0.0
        if not (v[known] > 0).sum() >= LEAST_SAMPLES:
            advice, why = "bad", "nothing"
        elif name == whole:
            advice, why = "total", "total"
        elif noise < BAD:
            advice, why = "bad", "noise"
        elif count < (1 - ABSENT) * len(v):
            advice, why = "bad", "missing"
        elif noise < WEAK:
            advice, why = "weak", "noise"
        elif below > ABSENT * count:
            advice, why = "weak", "below"
        else:
            advice, why = "good", ""
        some = v[known] if count else np.array([np.nan])
        out.append(
            Screened(
                name, count, len(v) - count, below, int((v[known] < 0).sum()), float(some.mean()),
                float(some.min()), float(some.max()), noise, advice, why,
            )
        )  # fmt: skip
    return out
