"""The pause ledger: the deadline stands still, moves by the working time, and proves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from bureau.cases.city import FORMS, NOW, bring, do, handle, open_case
from jingwei.bureau.accounts.calendar import sentences
from jingwei.bureau.cases import checks, selectors, services, tasks
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.pauses import moved
from jingwei.standards import workdays

MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)  # 10:00 in Beijing


def act(city, case, name, now):
    services.act(city.dispatcher, case.pk, name, case.version, FORMS[name], now=now)
    case.refresh_from_db()


@pytest.mark.django_db
def test_the_deadline_moves_by_the_working_days_of_the_pause(city):
    """Due 2026-12-04; paused Monday to Monday a week later: 5 working days, so 2026-12-11."""
    case = bring(city, open_case(city), "rectifying")
    assert case.due == datetime(2026, 12, 4, 15, 59, 59, tzinfo=UTC)
    act(city, case, "pause", MONDAY)
    assert (case.paused, case.running_due, case.escalate_at) == (MONDAY, None, None)
    act(city, case, "resume", MONDAY + timedelta(days=7))
    assert case.due == datetime(2026, 12, 11, 15, 59, 59, tzinfo=UTC)
    assert case.paused is None
    [entry] = case.pauses
    assert (entry["ground"], entry["basis"]) == ("analysis", FORMS["pause"]["basis"])
    with translation.override("zh-hans"):
        assert "中止计时" in sentences(case.derivation)[-1]
        assert "2026-12-11 24:00" in sentences(case.derivation)[-1]
    with translation.override("en"):
        assert "5 working days" in sentences(case.derivation)[-1]
    assert list(checks.check()) == []


@pytest.mark.django_db
def test_nothing_rises_while_it_stands_and_all_does_after(city):
    case = bring(city, open_case(city), "rectifying")
    act(city, case, "pause", MONDAY)
    tasks.tick(MONDAY + timedelta(days=60))
    assert not case.events.filter(transition=ESCALATE).exists()
    assert not selectors.overdue(city.dispatcher, MONDAY + timedelta(days=60)).exists()
    act(city, case, "resume", MONDAY + timedelta(days=1))
    tasks.tick(case.due)
    assert case.events.filter(transition=ESCALATE).count() == 1
    assert list(checks.check()) == []


@pytest.mark.django_db
def test_the_level_clock_goes_on(city):
    case = bring(city, open_case(city), "issued")
    due = case.level_due
    act(city, case, "pause", NOW)
    assert case.level_due == due
    tasks.tick(due)
    assert case.events.filter(transition=ESCALATE).get().data["rule"] == "level"


@pytest.mark.django_db
def test_twice_is_refused_and_so_is_a_pause_after_the_deadline(city):
    case = bring(city, open_case(city), "rectifying")
    with pytest.raises(Refused):
        act(city, case, "resume", MONDAY)
    with pytest.raises(Refused):
        act(city, case, "pause", case.due + timedelta(hours=1))
    act(city, case, "pause", MONDAY)
    with pytest.raises(Refused):
        act(city, case, "pause", MONDAY)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"due": datetime(2027, 1, 1, tzinfo=UTC)}, "its derivation ends"),
        ({"pauses": []}, "ledger does not have"),
        ({"paused": NOW}, "do not agree"),
        ({"derivation": []}, "no derivation"),
    ],
)
def test_fsck_finds_a_deadline_that_no_pause_explains(city, change, found):
    case = bring(city, open_case(city), "rectifying")
    act(city, case, "pause", MONDAY)
    act(city, case, "resume", MONDAY + timedelta(days=7))
    Case.objects.filter(pk=case.pk).update(**change)
    assert any(found in p for p in checks.check())


@pytest.mark.django_db
def test_fsck_finds_a_step_that_counts_days_outside_of_the_pause(city):
    case = bring(city, open_case(city), "rectifying")
    act(city, case, "pause", MONDAY)
    act(city, case, "resume", MONDAY + timedelta(days=7))
    steps = [dict(s) for s in case.derivation]
    steps[-1]["counted"] = ["2026-12-01", *steps[-1]["counted"][1:]]
    Case.objects.filter(pk=case.pk).update(derivation=steps)
    assert any("other days than lie in it" in p for p in checks.check())


@pytest.mark.django_db
def test_what_is_reported_while_it_stands_is_not_paused_any_more(city):
    """Paused Monday to Monday a week later, when the rectification is reported."""
    case = do(city.dispatcher, handle(city), "dispatch", department=city.districts[0].pk)
    for name in ("sign", "found"):
        do(city.district, case, name)
    do(city.dispatcher, case, "pause", now=MONDAY)
    do(city.district, case, "rectified", now=MONDAY + timedelta(days=7))
    assert (case.paused, case.due) == (None, datetime(2026, 12, 11, 15, 59, 59, tzinfo=UTC))
    assert [p["to"] for p in case.pauses] == ["2026-11-30T02:00:00+00:00"]
    assert list(checks.check()) == []
    do(city.grid, case, "reject", now=MONDAY + timedelta(days=8))
    assert (case.running_due, case.escalate_at) == (case.due, case.due)
    do(city.district, case, "rectified", now=MONDAY + timedelta(days=9))
    do(city.grid, case, "verify", now=MONDAY + timedelta(days=9))
    do(city.dispatcher, case, "close", now=MONDAY + timedelta(days=9))
    do(city.dispatcher, case, "reopen", now=MONDAY + timedelta(days=100))
    assert case.running_due == case.due > MONDAY + timedelta(days=100)
    assert list(checks.check()) == []


@pytest.mark.django_db
def test_a_pause_goes_on_where_it_can_be_ended(city):
    case = do(city.dispatcher, handle(city), "dispatch", department=city.districts[0].pk)
    do(city.dispatcher, case, "pause", now=MONDAY)
    for name in ("sign", "found"):
        do(city.district, case, name, now=MONDAY + timedelta(days=1))
    assert (case.state, case.paused) == ("rectifying", MONDAY)
    do(city.dispatcher, case, "resume", now=MONDAY + timedelta(days=2))
    assert list(checks.check()) == []


@pytest.mark.django_db
def test_a_case_that_was_closed_while_it_stood_is_found_and_reopens_with_its_new_deadline(city):
    """As they could be closed before; written by hand."""
    case = do(city.dispatcher, handle(city), "dispatch", department=city.districts[0].pk)
    for name in ("sign", "nothing"):
        do(city.district, case, name)
    do(city.dispatcher, case, "confirm")
    begun = {"from": NOW.isoformat(), "to": None, "ground": "other", "reason": "x", "basis": "x"}
    Case.objects.filter(pk=case.pk).update(paused=NOW, pauses=[begun])
    assert any("paused, but the case is over" in p for p in checks.check())
    do(city.dispatcher, case, "reopen", now=MONDAY)
    assert (case.paused, case.pauses[0]["to"]) == (None, MONDAY.isoformat())
    assert case.running_due == datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC)
    assert len(case.derivation) == 1


minutes = st.integers(0, 60 * 24 * 40)


@given(minutes, minutes, minutes)
def test_two_pauses_one_after_the_other_are_one_of_the_same_days(a, b, c):
    """Days counted: no working day is lost or counted twice where a pause is cut in two."""
    start = datetime(2026, 9, 1, tzinfo=UTC)
    one, two, three = sorted(start + timedelta(minutes=m) for m in (a, b, c))
    due = datetime(2026, 10, 30, 15, 59, 59, tzinfo=UTC)
    half, _step = moved(due, one, two, "working_days")
    both, _step = moved(half, two, three, "working_days")
    assert both == moved(due, one, three, "working_days")[0]


@given(minutes, minutes)
def test_office_time_is_what_a_deadline_in_hours_uses_up(a, b):
    start = datetime(2026, 9, 1, tzinfo=UTC)
    begun, ended = sorted(start + timedelta(minutes=m) for m in (a, b))
    passed = workdays.office_time(begun, ended)
    hours = int(passed.total_seconds() // 3600)
    if hours:
        assert workdays.add_working_hours(begun, hours)[0] <= ended
    assert workdays.add_working_hours(begun, hours + 1)[0] > ended


def test_hours_are_counted_in_office_time():
    due = datetime(2026, 11, 24, 2, tzinfo=UTC)
    new, step = moved(due, MONDAY, MONDAY + timedelta(hours=4), "working_hours")
    # 10:00 to 14:00 with the break at noon: 2.5 office hours, moved by 3.
    assert step["amount"] == 3
    assert new == datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
    assert moved(due, MONDAY, MONDAY, "working_hours") == (due, None)
