"""Rectification lists as tables (Excel or CSV): read row by row, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.accounts.models import Department
from jingwei.bureau.campaigns.models import Item, Programme
from jingwei.bureau.cases.flow import Text
from jingwei.bureau.findings.imports import Problem, table
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.registry.models import Enterprise, Region

LARGEST = 2 * 1024 * 1024

# name → heading, whether it must be filled in. In the order of the template.
COLUMNS: dict[str, tuple[Text, bool]] = {
    "number": (pgettext_lazy("list", "Number"), True),
    "title": (pgettext_lazy("list", "Title"), True),
    "text": (pgettext_lazy("list", "Problem"), True),
    "basis": (pgettext_lazy("list", "Basis"), False),
    "region": (pgettext_lazy("list", "Region"), True),
    "department": (pgettext_lazy("list", "Lead department"), True),
    "parties": (pgettext_lazy("list", "Joint departments"), False),
    "leader": (pgettext_lazy("list", "Responsible leader"), True),
    "enterprise": (pgettext_lazy("list", "Unified social credit code"), False),
    "target": (pgettext_lazy("list", "Target"), False),
    "measures": (pgettext_lazy("list", "Measures"), True),
    "due": (pgettext_lazy("list", "To be done by"), True),
    "milestones": (pgettext_lazy("list", "Milestones"), False),
}
HINTS = {
    "region": "110108 / 海淀区",
    "parties": "A；B",
    "due": "2026-12-31",
    "milestones": "2026-09-30 …；2026-12-31 …",
}


@dataclass
class Row:
    """One item as read; `problems` name what is wrong with it."""

    line: int
    number: str = ""
    title: str = ""
    text: str = ""
    basis: str = ""
    leader: str = ""
    target: str = ""
    measures: str = ""
    region: Region | None = None
    department: Department | None = None
    parties: list[Department] = field(default_factory=list)
    enterprise: Enterprise | None = None
    due: date | None = None
    milestones: list[dict[str, str]] = field(default_factory=list)


def headings() -> dict[str, str]:
    """Word → name of the column: by name, in Chinese and in English."""
    found = {name: name for name in COLUMNS}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            found |= {str(label).casefold(): name for name, (label, _need) in COLUMNS.items()}
    return found


def read(programme: Programme, data: bytes) -> tuple[list[Row], list[Problem]]:
    """The rows of a table and what is wrong with them. Raises `Refused` for what is no table."""
    if len(data) > LARGEST:
        raise Refused(_("The file is too large: at most %d MB.") % (LARGEST // 1024**2))
    rows = table(data)
    try:
        _line, heads = next(rows)
    except StopIteration:
        raise Refused(_("The table is empty.")) from None
    known = headings()
    names = [known.get(str(h or "").strip().casefold(), "") for h in heads]
    if not any(names):
        raise Refused(
            _(
                "Its first row has none of the template's columns: is it the right file (.xlsx, .csv)?"
            )
        )
    problems = [
        Problem(1, str(h), _("This column is not known; see the template."))
        for h, name in zip(heads, names, strict=True)
        if h and not name
    ]
    problems += [
        Problem(1, str(label), _("This column is missing."))
        for name, (label, need) in COLUMNS.items()
        if need and name not in names
    ]
    if problems:
        return [], problems
    desk = _Desk(programme)
    found = []
    for line, cells in rows:
        given = {
            name: _text(cell)
            for name, cell in zip(names, [*cells, *[None] * len(names)], strict=False)
            if name
        }
        row, wrong = desk.row(line, given)
        found.append(row)
        problems += wrong
    if not found:
        problems.append(Problem(0, "", _("The table has a heading, but no rows.")))
    return found, problems


class _Desk:
    """What rows are looked up in, read once."""

    def __init__(self, programme: Programme) -> None:
        self.regions: dict[str, Region] = {}
        for region in Region.objects.defer("geometry"):
            for word in (region.code, region.name, region.name_en):
                self.regions[word.casefold()] = region
        self.departments: dict[str, Department] = {}
        for department in Department.objects.exclude(kind=Department.Kind.GRID):
            for word in (department.code, department.name, department.name_en):
                self.departments[word.casefold()] = department
        self.numbers = {
            n: _("in the list already")
            for n in Item.objects.filter(programme=programme).values_list("number", flat=True)
        }

    def row(self, line: int, given: dict[str, str]) -> tuple[Row, list[Problem]]:
        row, problems = Row(line), []

        def wrong(name: str, text: str) -> None:
            problems.append(Problem(line, str(COLUMNS[name][0]), text))

        for name, (_label, need) in COLUMNS.items():
            if need and not given.get(name):
                wrong(name, _("This cell must be filled in."))
        for name, longest in (
            ("number", 20), ("title", 200), ("text", 4000), ("basis", 2000), ("leader", 60),
            ("target", 2000), ("measures", 4000),
        ):  # fmt: skip
            text = given.get(name, "")
            if len(text) > longest:
                wrong(name, _("Too long: at most %d characters.") % longest)
            setattr(row, name, text)
        if row.number in self.numbers:
            wrong("number", _("The number is there twice: %s.") % self.numbers[row.number])
        elif row.number:
            self.numbers[row.number] = _("row %d") % line
        row.region = self._named(self.regions, "region", given, wrong)
        row.department = self._named(self.departments, "department", given, wrong)
        for word in _parts(given.get("parties", "")):
            party = self._named(self.departments, "parties", {"parties": word}, wrong)
            if party is not None and party != row.department and party not in row.parties:
                row.parties.append(party)
        if given.get("enterprise"):
            row.enterprise = Enterprise.objects.filter(uscc=given["enterprise"]).first()
            if row.enterprise is None:
                wrong("enterprise", _("There is no enterprise with this code."))
        row.due = _day(given.get("due", ""), "due", wrong)
        for part in _parts(given.get("milestones", "")):
            day, _space, text = part.partition(" ")
            when = _day(day, "milestones", wrong)
            if when is None:
                continue
            if not text.strip():
                wrong("milestones", _("A milestone wants a day and a text: 2026-09-30 …"))
            elif row.due and when > row.due:
                wrong("milestones", _("%s lies behind the deadline.") % when)
            else:
                row.milestones.append({"day": when.isoformat(), "text": text.strip()})
        return row, problems

    def _named(self, table: dict[str, Any], name: str, given: dict[str, str], wrong: Any) -> Any:
        word = given.get(name, "")
        found = table.get(word.casefold()) if word else None
        if word and found is None:
            wrong(name, _("“%s” is not known here.") % word[:40])
        return found


def _parts(text: str) -> list[str]:
    return [p.strip() for p in text.replace(";", "；").replace("\n", "；").split("；") if p.strip()]


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value if value is not None else "").strip()


def _day(text: str, name: str, wrong: Any) -> date | None:
    if not text:
        return None
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 a day has no zone
        except ValueError:
            continue
    wrong(name, _("“%s” is no day such as 2026-12-31.") % text[:40])
    return None
