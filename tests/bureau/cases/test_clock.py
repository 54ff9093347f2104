"""Deadlines with their derivation, two clocks, escalation that cannot be forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import translation

from bureau.cases.city import FORMS, NOW, bring, files_for, open_case
from jingwei.bureau.cases import checks, selectors, services, tasks
from jingwei.bureau.cases.deadlines import sentences
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.models import CaseEvent

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
    real = services._escalate

    def broken(case, now):
        if case.pk == one.pk:
            raise RuntimeError("broken")
        return real(case, now)

    monkeypatch.setattr(services, "_escalate", broken)
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
