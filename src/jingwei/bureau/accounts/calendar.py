"""The bureau's calendar of working days: the published one with the changes of administrators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from jingwei.bureau.accounts.models import CalendarChange
from jingwei.bureau.language import english
from jingwei.standards import workdays
from jingwei.standards.workdays import Calendar, Rule

Kind = CalendarChange.Kind
_KEPT = ("amount", "unit", "start", "due", "unknown_years", "zh", "en")

# What tells these rows from others, the rows, and the calendar they make; new rows make it anew.
_read: tuple[Any, list[CalendarChange], Calendar] = (None, [], workdays.published())


def in_force(known: datetime | None = None) -> Calendar:
    """The calendar as it was known at a moment; without one, as it is now."""
    global _read
    with connection.cursor() as cursor:  # several times an act: not worth an ORM query each
        cursor.execute("SELECT COUNT(*), MAX(id), MAX(at) FROM accounts_calendarchange")
        state = cursor.fetchone()
    if state != _read[0]:
        rows = list(CalendarChange.objects.order_by("pk"))
        _read = (state, rows, made(rows))
    _state, rows, calendar = _read
    if known is None or not rows or rows[-1].at <= known:
        return calendar
    return made(row for row in rows if row.at <= known)


def made(rows: Iterable[CalendarChange]) -> Calendar:
    """The published calendar with changes on top, the later ones over the earlier ones."""
    published = workdays.published()
    exceptions = dict(published.exceptions)
    years = set(published.years)
    for row in rows:
        if row.kind == Kind.YEAR:
            years.add(row.date.year)
        elif row.kind == Kind.PUBLISHED and row.date in published.exceptions:
            exceptions[row.date] = published.exceptions[row.date]
        elif row.kind in (Kind.REST, Kind.WORK):
            exceptions[row.date] = (row.kind, row.name, row.name_en or row.name)
        else:
            exceptions.pop(row.date, None)
    return Calendar(exceptions, frozenset(years))


def reckoned(
    start: datetime, rule: Rule, known: datetime | None = None, since: workdays.Since = "received"
) -> tuple[datetime, list[dict[str, Any]]]:
    """When a period that starts at `start`, with `since`, runs out, and how that was reckoned, as
    plain data.

    By the bureau's calendar as it was known at `known` (`start` without it): what was derived once
    comes out the same again, whatever is entered later.
    """
    due, derivation = workdays.deadline(rule, start, in_force(known or start))
    said = derivation.to_json(since)
    return due.astimezone(UTC), [{name: said[name] for name in _KEPT}]


def sentences(derivation: Iterable[Mapping[str, Any]]) -> list[str]:
    """The stored derivation in the reader's language, one sentence a step."""
    language = "en" if english() else "zh"
    return [step[language] for step in derivation]


@dataclass(frozen=True)
class Month:
    """`weeks`: seven cells each, from Monday; None before the first and after the last day."""

    first: date
    weeks: list[list[workdays.Day | None]]


def months(year: int, calendar: Calendar) -> Iterator[Month]:
    """A year as twelve sheets."""
    for number in range(1, 13):
        first = date(year, number, 1)
        cells: list[workdays.Day | None] = [None] * first.weekday()
        on = first
        while on.month == number:
            cells.append(workdays.day(on, calendar))
            on += timedelta(days=1)
        cells += [None] * (-len(cells) % 7)
        yield Month(first, [cells[i : i + 7] for i in range(0, len(cells), 7)])


@dataclass(frozen=True)
class Special:
    """One exception from the week, with where it comes from; `change` where people entered it."""

    day: workdays.Day
    change: CalendarChange | None

    @property
    def name(self) -> str:
        return self.day.en if english() else self.day.zh


def exceptions(year: int) -> list[Special]:
    """The exceptions of a year in the order of their dates, changed days that are none included."""
    calendar = in_force()
    changes = {
        row.date: row
        for row in CalendarChange.objects.filter(date__year=year)
        .exclude(kind__in=[Kind.YEAR])
        .select_related("by")
        .order_by("pk")
    }
    dates = {d for d in calendar.exceptions if d.year == year}
    dates |= {d for d, row in changes.items() if row.kind == Kind.ORDINARY}
    return [
        Special(
            workdays.day(on, calendar),
            changes[on] if on in changes and changes[on].kind != Kind.PUBLISHED else None,
        )
        for on in sorted(dates)
    ]
