"""The bureau's calendar: published days, what administrators change, and what stays as it was."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import world as worlds
from jingwei.bureau.accounts import calendar
from jingwei.bureau.accounts.calendar import in_force, made, months
from jingwei.bureau.accounts.models import CalendarChange
from jingwei.bureau.accounts.services import Refused, change_calendar
from jingwei.bureau.cases.deadlines import deadline
from jingwei.bureau.cases.flow import Limit
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.standards import workdays

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # Friday
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


@pytest.fixture
def world(db: None, data: object) -> worlds.World:
    return worlds.build()


def change(world, first=MONDAY, last=None, kind="rest", **more):
    said = {
        "name": "水灾停工",
        "source": "市政府公告〔2026〕9号",
        "reason": "停工",
        "now": NOW,
    } | more
    return change_calendar(world.users["admin"], first, last or first, kind, **said)


def test_without_changes_it_is_the_published_one(world) -> None:
    assert in_force() == workdays.published()


def test_a_day_off_moves_new_deadlines_and_is_named(world) -> None:
    start = NOW + timedelta(hours=1)
    before, _how = deadline(start, Limit(days=1))
    change(world)
    after, how = deadline(start, Limit(days=1))
    assert (before.day, after.day) == (23, 24)
    assert "水灾停工" in how[0]["zh"]


def test_what_was_derived_before_a_change_comes_out_the_same(world) -> None:
    before, _how = deadline(NOW - timedelta(hours=1), Limit(days=1))
    change(world)
    assert deadline(NOW - timedelta(hours=1), Limit(days=1))[0] == before
    # A deadline that begins later, reckoned with what was known then.
    later = NOW + timedelta(hours=2)
    assert deadline(later, Limit(days=1), NOW - timedelta(hours=1))[0].day == 23
    assert deadline(later, Limit(days=1))[0].day == 24


def test_a_case_keeps_its_clocks_when_the_calendar_changes(world) -> None:
    from jingwei.bureau.cases import checks, clock, services
    from jingwei.bureau.cases.models import Case

    case = services.open_case(
        world.users["dispatcher"],
        [worlds.finding(world)],
        {"title": "督办单", "text": "限期整改", "basis": "许可证"},
        now=NOW - timedelta(hours=2),
    )
    services.act(
        world.users["dispatcher"], case.pk, "issue", 1, {"days": "5"}, now=NOW - timedelta(hours=2)
    )
    clocks = ("due", "level_due", "escalate_at", "derivation")
    before = Case.objects.filter(pk=case.pk).values(*clocks).get()
    change(world, MONDAY, MONDAY + timedelta(days=10))
    assert list(checks.check()) == []
    assert Case.objects.filter(pk=case.pk).values(*clocks).get() == before
    clock.escalate(case.pk, NOW + timedelta(hours=1))
    assert Case.objects.filter(pk=case.pk).values(*clocks).get() == before


def test_changes_follow_each_other_and_can_be_taken_back(world) -> None:
    new_year = date(2026, 1, 1)
    for kind, working in (
        ("work", True),
        ("ordinary", True),
        ("rest", False),
        ("published", False),
    ):
        change(world, new_year, kind=kind)
        assert in_force().exceptions.get(new_year) is not None or kind == "ordinary"
        assert workdays.is_working_day(new_year, in_force()) is working
    assert in_force().exceptions[new_year] == workdays.published().exceptions[new_year]
    change(world, MONDAY)
    change(world, MONDAY, kind="published")
    assert workdays.is_working_day(MONDAY, in_force())
    assert CalendarChange.objects.count() == 6


def test_a_year_that_was_entered_is_known(world) -> None:
    start = datetime(2027, 3, 1, 2, 0, tzinfo=UTC)
    assert "2027" in deadline(start, Limit(days=3))[1][0]["zh"].split("注意")[-1]
    change(world, date(2027, 5, 1), kind="year", name="")
    row = CalendarChange.objects.get()
    assert row.date == date(2027, 1, 1)
    assert deadline(start, Limit(days=3))[1][0]["unknown_years"] == []


def test_every_change_leaves_a_leaf(world) -> None:
    change(world, MONDAY, TUESDAY)
    entry = EvidenceEntry.objects.get(kind="calendar")
    assert "2026-11-24" in entry.content
    assert "停工" in entry.content


@pytest.mark.parametrize(
    "wrong",
    [
        {"last": MONDAY - timedelta(days=1)},
        {"last": MONDAY + timedelta(days=31)},
        {"kind": "party"},
        {"name": " "},
        {"source": ""},
        {"reason": " "},
    ],
)
def test_what_is_refused(world, wrong) -> None:
    with pytest.raises(Refused):
        change(world, **wrong)
    assert not CalendarChange.objects.exists()


def test_only_an_administrator_changes_it(world) -> None:
    with pytest.raises(Refused):
        change_calendar(
            world.users["dispatcher"], MONDAY, MONDAY, "rest", name="x", source="x", reason="x"
        )


def test_the_list_of_a_year_says_where_each_day_comes_from(world) -> None:
    change(world)
    change(world, date(2026, 1, 1), kind="ordinary")
    rows = {row.day.date: row for row in calendar.exceptions(2026)}
    assert rows[MONDAY].change.source == "市政府公告〔2026〕9号"
    assert rows[date(2026, 1, 1)].change.kind == "ordinary"
    assert rows[date(2026, 10, 1)].change is None


@given(st.integers(1900, 2200))
def test_sheets_hold_every_day_of_a_year_once_in_its_column(year: int) -> None:
    seen = []
    for month in months(year, workdays.published()):
        for week in month.weeks:
            assert len(week) == 7
            seen += [(d.date, column) for column, d in enumerate(week) if d]
    assert all(on.weekday() == column for on, column in seen)
    assert [on for on, _ in seen] == [
        date(year, 1, 1) + timedelta(days=n)
        for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    ]


def test_the_latest_row_of_a_date_counts() -> None:
    rows = [
        CalendarChange(date=MONDAY, kind=kind, name="x", at=NOW)
        for kind in ("rest", "work", "rest")
    ]
    assert made(rows).exceptions[MONDAY][0] == "rest"
    assert made(rows[:2]).exceptions[MONDAY][0] == "work"
