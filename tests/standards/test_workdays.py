"""Working days and deadlines. The calendar of 2026 is that of the State Council's notice."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import workdays
from jingwei.standards.workdays import SHANGHAI, Rule

RECEIVED = datetime(2026, 9, 30, 17, 40, tzinfo=SHANGHAI)  # a Wednesday, before National Day


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("day", "working"),
    [
        (date(2026, 10, 1), False),  # National Day
        (date(2026, 10, 7), False),
        (date(2026, 10, 8), True),
        (date(2026, 10, 10), True),  # Saturday made up
        (date(2026, 10, 11), False),  # Sunday
        (date(2026, 2, 14), True),  # Saturday made up for Spring Festival
        (date(2026, 2, 23), False),
        (date(2025, 1, 26), True),  # Sunday made up
        (date(2024, 9, 17), False),  # Mid-Autumn
    ],
)
def test_days(day: date, working: bool):
    assert workdays.is_working_day(day) is working


def test_seven_working_days_over_national_day():
    due, how = workdays.deadline(Rule(7, "working_days"), RECEIVED)
    assert due == at(2026, 10, 15, 23, 59, 59)
    assert how.counted[0] == date(2026, 10, 8)
    assert [d.date.day for d in how.skipped] == [1, 2, 3, 4, 5, 6, 7, 11]
    assert [d.date for d in how.made_up] == [date(2026, 10, 10)]
    assert how.text() == (
        "收到 2026-09-30 17:40（周三） → 当日不计，自 2026-10-08 起算 → "
        "跳过 10-01…10-07 国庆节、10-11 周末 → 调休上班计入 2026-10-10 → "
        "7 个工作日，截止 2026-10-15 24:00"
    )
    assert "passed over: 10-01…10-07 National Day; 10-11 weekend" in how.text("en")
    assert how.text("zh", "issued").startswith("签发 2026-09-30 17:40（周三） → 当日不计")
    assert how.to_json("issued")["en"].startswith("issued 2026-09-30 17:40 (Wed)")


def test_working_hours_pass_in_office_time_only():
    """20 minutes on the 30th, eight hours on the 8th, the rest on the 9th."""
    due, how = workdays.add_working_hours(RECEIVED, 10)
    assert due == at(2026, 10, 9, 10, 10)
    assert how.counted == (date(2026, 9, 30), date(2026, 10, 8), date(2026, 10, 9))
    assert workdays.add_working_hours(at(2026, 9, 28, 11, 0), 2)[0] == at(2026, 9, 28, 14, 30)
    assert workdays.add_working_hours(at(2026, 9, 28, 3, 0), 8)[0] == at(2026, 9, 28, 18, 0)
    assert workdays.add_working_hours(at(2026, 9, 28, 19, 0), 1)[0] == at(2026, 9, 29, 9, 30)


def test_calendar_days_end_on_a_working_day():
    """Civil Code art. 203: a last day that is a day off moves to the day after the days off."""
    due, how = workdays.add_days(RECEIVED, 3)
    assert due == at(2026, 10, 8, 23, 59, 59)
    assert [d.date.day for d in how.skipped] == [3, 4, 5, 6, 7]
    assert workdays.add_days(at(2026, 9, 28, 9, 0), 2)[0] == at(2026, 9, 30, 23, 59, 59)


def test_hours_run_day_and_night():
    due, how = workdays.add_hours(RECEIVED, 6)
    assert due == at(2026, 9, 30, 23, 40)
    assert how.skipped == ()
    assert how.text().endswith("6小时，截止 2026-09-30 23:40")


def test_a_year_without_data_warns_and_counts_weekends():
    due, how = workdays.add_working_days(at(2026, 12, 29, 10, 0), 6)
    assert how.unknown_years == (2027,)
    assert due == at(2027, 1, 6, 23, 59, 59)
    assert "尚无 2027 年放假安排数据" in how.text()
    assert "no holiday notice for 2027" in how.text("en")
    assert workdays.add_working_days(at(2026, 12, 21, 10, 0), 2)[1].unknown_years == ()


def test_the_derivation_is_plain_data():
    _due, how = workdays.deadline(Rule(7, "working_days"), RECEIVED)
    stored = json.loads(json.dumps(how.to_json()))
    assert (stored["amount"], stored["unit"]) == (7, "working_days")
    assert stored["skipped"][0] == {"date": "2026-10-01", "zh": "国庆节", "en": "National Day"}
    assert stored["due"] == "2026-10-15T23:59:59+08:00"
    assert stored["zh"] == how.text()


def test_a_start_in_utc_is_read_in_shanghai():
    """2026-09-30 16:30 UTC is October 1st in Shanghai."""
    due, how = workdays.add_working_days(datetime(2026, 9, 30, 16, 30, tzinfo=UTC), 1)
    assert how.start == at(2026, 10, 1, 0, 30)
    assert due == at(2026, 10, 8, 23, 59, 59)


def test_refusals():
    with pytest.raises(ValueError, match="time zone"):
        workdays.add_working_days(datetime(2026, 1, 1), 1)
    with pytest.raises(ValueError, match="period of 0"):
        Rule(0, "days")
    with pytest.raises(ValueError, match="unit"):
        Rule(1, "weeks")
    with pytest.raises(TypeError):
        workdays.day(RECEIVED)


def test_the_table_holds_whole_years():
    """Each year has its seven holidays and nothing that contradicts itself."""
    assert workdays.known_years() == frozenset(range(2020, 2027))
    for year in workdays.known_years():
        days = [workdays.day(date(year, 1, 1) + timedelta(i)) for i in range(365)]
        off = {d.zh for d in days if not d.working and d.zh != "周末"}
        assert {"元旦", "春节", "清明节", "劳动节", "端午节", "国庆节"} <= off
        assert all(d.date.weekday() >= 5 for d in days if d.working and d.zh)
        assert 240 <= sum(d.working for d in days) <= 255


starts = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2029, 1, 1)).map(
    lambda t: t.replace(tzinfo=SHANGHAI)
)


@given(start=starts, amount=st.integers(1, 60))
def test_working_days_are_counted_exactly(start: datetime, amount: int):
    """Between the day after the start and the due day lie exactly `amount` working days."""
    due, how = workdays.add_working_days(start, amount)
    day, count = start.date(), 0
    while day < due.date():
        day += timedelta(days=1)
        count += workdays.is_working_day(day)
    assert count == amount
    assert workdays.is_working_day(due.date())
    assert how.due == due > start


@given(start=starts, first=st.integers(1, 40), second=st.integers(1, 40))
def test_working_hours_add_up(start: datetime, first: int, second: int):
    """A hours and then B hours are A + B hours."""
    middle = workdays.add_working_hours(start, first)[0]
    assert (
        workdays.add_working_hours(middle, second)[0]
        == workdays.add_working_hours(start, first + second)[0]
    )


@given(start=starts, amount=st.integers(1, 60), later=st.timedeltas(timedelta(0), timedelta(30)))
def test_a_later_start_never_ends_earlier(start: datetime, amount: int, later: timedelta):
    for unit in ("working_days", "working_hours", "days", "hours"):
        rule = Rule(amount, unit)
        assert workdays.deadline(rule, start + later)[0] >= workdays.deadline(rule, start)[0]
