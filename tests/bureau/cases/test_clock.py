"""Deadlines with their derivation, two clocks, escalation that cannot be forgotten."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import translation

from bureau.cases import city as cities
from bureau.cases.city import FORMS, NOW, bring, files_for, open_case
from jingwei.bureau.accounts.calendar import sentences
from jingwei.bureau.cases import checks, clock, selectors, services, statistics, tasks
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.models import CaseEvent
from jingwei.bureau.notices.models import Message

pytestmark = pytest.mark.django_db


def escalations(case):
    return [
        (e.data["rule"], e.data["level"], e.data["reached"])
        for e in case.events.filter(transition=ESCALATE)
    ]


def test_a_deadline_says_how_it_was_reckoned(city):
    """Friday 2026-11-20, 10 working days: two weekends are passed over, 2026-12-04 ends it."""
    case = bring(city, open_case(city), "issued")
    assert case.due == datetime(2026, 12, 4, 15, 59, 59, tzinfo=UTC)
    with translation.override("zh-hans"):
        [line] = sentences(case.derivation)
    assert "10 个工作日" in line
    assert "周末" in line
    with translation.override("en"):
        assert "10 working days" in sentences(case.derivation)[0]
    # To be signed for within 8 working hours: 6 on Friday, 2 on Monday.
    assert case.level_due == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def test_an_extension_counts_from_the_old_deadline_and_keeps_the_history(city):
    case = bring(city, open_case(city), "rectifying")
    services.act(city.dispatcher, case.pk, "extend", case.version, FORMS["extend"], now=NOW)
    case.refresh_from_db()
    assert case.due == datetime(2026, 12, 11, 15, 59, 59, tzinfo=UTC)
    assert [d["amount"] for d in case.derivation] == [10, 5]


def test_an_extension_into_the_past_is_refused(city):
    case = bring(city, open_case(city), "rectifying")
    late = case.due + timedelta(days=60)
    with pytest.raises(Refused):
        services.act(city.dispatcher, case.pk, "extend", case.version, FORMS["extend"], now=late)


def test_only_a_new_state_starts_the_level_clock(city):
    case = bring(city, open_case(city), "issued")
    before = case.level_since, case.level_due
    later = NOW + timedelta(hours=1)
    services.act(city.grid, case.pk, "comment", 0, FORMS["comment"], now=later)
    services.act(city.dispatcher, case.pk, "extend", case.version, FORMS["extend"], now=later)
    case.refresh_from_db()
    assert (case.level_since, case.level_due) == before
    services.act(city.district, case.pk, "sign", case.version, {}, now=later)
    case.refresh_from_db()
    assert (case.level_since, case.level_due) == (later, None)


def test_the_business_clock_never_starts_anew(city):
    case = bring(city, open_case(city), "answered")
    due = case.due
    services.act(
        city.grid,
        case.pk,
        "reject",
        case.version,
        FORMS["reject"],
        files_for("reject"),
        now=NOW + timedelta(days=1),
    )
    case.refresh_from_db()
    assert case.state == "rectifying"
    assert case.due == due


def test_nothing_rises_before_its_time(city):
    case = bring(city, open_case(city), "rectifying")
    tasks.tick(case.due - timedelta(seconds=1))
    assert escalations(case) == []
    tasks.tick(case.due)
    assert [e[:2] for e in escalations(case)] == [("business", 1)]
    case.refresh_from_db()
    assert case.escalated == 1


def test_a_tick_may_run_as_often_as_it_likes(city):
    case = bring(city, open_case(city), "rectifying")
    for hours in (0, 0, 1, 2, 200, 200, 300):
        tasks.tick(case.due + timedelta(hours=hours))
    assert [e[:2] for e in escalations(case)] == [("business", 1), ("business", 2)]
    assert list(checks.check()) == []


def test_after_an_outage_every_level_is_written_once_with_its_true_time(city):
    case = bring(city, open_case(city), "issued")
    back = NOW + timedelta(days=40)
    tasks.tick(back)
    tasks.tick(back)
    # In the order in which they fell due: the signature (Monday 10:00), two working days later,
    # the order's own deadline, two working days later.
    assert escalations(case) == [
        ("level", 1, "2026-11-23T02:00:00+00:00"),
        ("level", 2, "2026-11-25T15:59:59+00:00"),
        ("business", 1, "2026-12-04T15:59:59+00:00"),
        ("business", 2, "2026-12-08T15:59:59+00:00"),
    ]
    assert set(CaseEvent.objects.filter(transition=ESCALATE).values_list("at", flat=True)) == {back}
    case.refresh_from_db()
    assert (case.escalated, case.escalate_at) == (2, None)
    assert list(checks.check()) == []


def test_a_queue_without_anybody_in_it_rises_too(city):
    case = bring(city, open_case(city), "issued")
    from jingwei.bureau.accounts.models import User

    city.district.role = ""
    city.district.save()
    assert not User.objects.filter(role="district", department=case.department).exists()
    tasks.tick(case.level_due)
    assert escalations(case)


def test_delays_come_to_the_district_then_to_the_city(city):
    case = bring(city, open_case(city), "rectifying")

    def waits(user):
        return selectors.waiting_for(user).filter(pk=case.pk).exists()

    assert [waits(u) for u in (city.enterprise, city.district, city.dispatcher)] == [1, 0, 0]
    tasks.tick(case.due)
    assert [waits(u) for u in (city.enterprise, city.district, city.dispatcher)] == [1, 1, 0]
    tasks.tick(case.due + timedelta(days=10))
    assert [waits(u) for u in (city.enterprise, city.district, city.dispatcher)] == [1, 1, 1]
    assert not waits(city.district2)


def test_an_extension_lowers_the_escalation_and_the_new_deadline_can_rise_again(city):
    case = bring(city, open_case(city), "rectifying")
    tasks.tick(case.due)
    services.act(
        city.dispatcher,
        case.pk,
        "extend",
        case.version,
        FORMS["extend"],
        now=case.due + timedelta(hours=1),
    )
    case.refresh_from_db()
    assert case.escalated == 0
    assert case.escalate_at == case.due
    tasks.tick(case.due)
    assert [e[:2] for e in escalations(case)] == [("business", 1), ("business", 1)]
    assert list(checks.check()) == []


def test_the_clock_does_not_make_a_form_stale(city):
    case = bring(city, open_case(city), "rectifying")
    tasks.tick(case.due)
    services.act(city.enterprise, case.pk, "answer", case.version, FORMS["answer"], now=case.due)
    case.refresh_from_db()
    assert case.state == "answered"
    assert case.escalated == 0


def test_a_closed_case_does_not_rise(city):
    case = bring(city, open_case(city), "closed")
    tasks.tick(NOW + timedelta(days=400))
    assert case.escalate_at is None
    assert escalations(case) == []


def test_one_broken_case_does_not_stop_the_others(city, monkeypatch, caplog):
    one = bring(city, open_case(city, 1), "rectifying")
    two = bring(city, open_case(city, 2), "rectifying")
    real = clock.escalate_locked

    def broken(case, now):
        if case.pk == one.pk:
            raise RuntimeError("broken")
        return real(case, now)

    monkeypatch.setattr(clock, "escalate_locked", broken)
    tasks.tick(one.due)
    assert escalations(two)
    assert f"case {one.pk}" in caplog.text


def test_key_figures(city):
    assert selectors.key_figures(city.dispatcher) == {"open": 0, "overdue": 0, "median_days": None}
    case = bring(city, open_case(city, 1), "accepted")
    late = bring(city, open_case(city, 2), "rectifying")
    for days, number in ((2, 3), (4, 4)):
        other = bring(city, open_case(city, number), "accepted")
        services.act(
            city.dispatcher,
            other.pk,
            "close",
            other.version,
            FORMS["close"],
            now=NOW + timedelta(days=days),
        )
    figures = selectors.key_figures(city.dispatcher, late.due)
    assert figures["open"] == 2
    assert figures["overdue"] == 2
    assert figures["median_days"] == 3
    assert case.state == "accepted"
    assert selectors.key_figures(city.district2)["open"] == 0


def act(who, case, name, now, **data):
    case.refresh_from_db()
    form = {**FORMS[name], **data}
    services.act(who, case.pk, name, case.version, form, files_for(name), now=now)
    case.refresh_from_db()
    return case


def test_a_late_case_stays_late_when_it_comes_back(city):
    """An answer that is rejected does not end the delay: level and superiors are as before."""
    case = bring(city, open_case(city), "rectifying")
    late = case.due + timedelta(days=10)
    tasks.tick(late)
    act(city.enterprise, case, "answer", late)
    assert case.escalated == 0
    Message.objects.all().delete()
    act(city.grid, case, "reject", late)
    assert (case.state, case.escalated, case.escalate_at) == ("rectifying", 2, None)
    people = (city.enterprise, city.district, city.dispatcher)
    assert all(selectors.waiting_for(u).filter(pk=case.pk).exists() for u in people)
    told = Message.objects.filter(kind="overdue").values_list("user__username", flat=True)
    assert sorted(told) == ["dispatcher", "district"]
    tasks.tick(late + timedelta(days=100))
    assert len(escalations(case)) == 2  # each once, however often it comes back
    assert list(checks.check()) == []


def test_a_level_that_passed_while_the_clock_stood_rises_at_the_next_tick(city):
    case = bring(city, open_case(city), "answered")
    late = case.due + timedelta(days=10)
    act(city.grid, case, "reject", late)
    assert [e[0] for e in escalations(case)] == ["level", "level"]  # the grid's
    assert (case.escalated, case.escalate_at) == (0, case.due)
    tasks.tick(late)
    case.refresh_from_db()
    assert case.escalated == 2
    assert list(checks.check()) == []


def test_a_delay_that_no_tick_has_seen_is_written_by_the_act_that_ends_it(city):
    case = bring(city, open_case(city), "rectifying")
    late = case.due + timedelta(days=6)
    act(city.enterprise, case, "answer", late)
    assert escalations(case) == [
        ("business", 1, "2026-12-04T15:59:59+00:00"),
        ("business", 2, "2026-12-08T15:59:59+00:00"),
    ]
    assert case.escalated == 0
    for who, name in ((city.grid, "verify"), (city.district, "accept"), (city.dispatcher, "close")):
        act(who, case, name, late)
    tasks.tick(late)
    assert len(escalations(case)) == 2
    whole, _each = statistics.figures(
        city.dispatcher, date(2026, 11, 1), date(2026, 12, 31), now=late
    )
    assert (whole.missed, whole.on_time) == (1, 0)
    assert list(checks.check()) == []


def test_a_refused_act_writes_no_delay(city):
    case = bring(city, open_case(city), "rectifying")
    with pytest.raises(Invalid):
        act(city.enterprise, case, "answer", case.due + timedelta(days=6), text="")
    assert escalations(case) == []


def test_who_gets_a_case_passed_on_has_a_level_clock_of_its_own(city):
    case = cities.do(
        city.dispatcher, cities.handle(city), "dispatch", department=city.districts[0].pk
    )
    due, later = case.due, case.level_due + timedelta(days=9)
    tasks.tick(later)
    cities.do(city.district, case, "transfer", now=later, department=city.districts[1].pk)
    assert (case.state, case.level_since, case.due) == ("dispatched", later, due)
    assert case.level_due > later
    assert case.escalated == 0  # the delay was that of the department before
    assert list(checks.check()) == []

    order = bring(city, open_case(city, 2), "issued")
    since = order.level_since
    act(city.dispatcher, order, "transfer", NOW + timedelta(hours=1))
    assert (order.state, order.level_since) == ("issued", since + timedelta(hours=1))
    assert list(checks.check()) == []
