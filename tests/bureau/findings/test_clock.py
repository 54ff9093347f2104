"""The clock of new findings: deadlines that no edit moves, delays that nobody can forget, and
messages that stay few."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.urls import reverse
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bureau.cases.city import NOW, build, finding
from bureau.cases.test_races import together
from jingwei.bureau.accounts.calendar import sentences
from jingwei.bureau.accounts.models import CalendarChange, Department
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import told
from jingwei.bureau.findings import announce, checks, clock, dispatch, episodes, services, tasks
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.notices.models import Delivery, Message, Preference

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)
LOW, MEDIUM, HIGH = Finding.Severity.values


def arrive(city, number=1, which=0, *, now=NOW, **kw):
    return finding(city, number, which, now=now, **kw)


def copies(row, count):
    """As many more, which came in as it did."""
    made = []
    for number in range(count):
        made.append(copy(row))
        made[-1].pk, made[-1].episode, made[-1].evidence = None, f"burst/{number}", None
    Finding.objects.bulk_create(made)


def written(row):
    entries = EvidenceEntry.objects.filter(kind="finding.overdue", subject=f"finding:{row.pk}")
    return [(told(e)["level"], datetime.fromisoformat(told(e)["reached"])) for e in entries]


@pytest.mark.parametrize(
    ("severity", "due", "words"),
    [
        # Friday 10:00: 2 + 2 hours; 2 + 4.5 and 1.5 on Monday; three working days end on Wednesday.
        (HIGH, datetime(2026, 11, 20, 7, 30, tzinfo=UTC), "4 个工作小时"),
        (MEDIUM, datetime(2026, 11, 23, 2, 0, tzinfo=UTC), "8 个工作小时"),
        (LOW, datetime(2026, 11, 25, 15, 59, 59, tzinfo=UTC), "3 个工作日"),
    ],
)
def test_the_deadline_goes_by_severity_and_says_how_it_was_reckoned(city, severity, due, words):
    row = arrive(city, severity=severity)
    assert row.due == due
    assert words in sentences(row.derivation)[0]
    assert datetime.fromisoformat(told(row.evidence)["due"]) == due
    assert list(checks.check()) == []


def test_the_deadline_goes_by_the_calendar_of_the_bureau(city):
    CalendarChange.objects.create(
        date="2026-11-23", kind="rest", name="停电", by=city.dispatcher, at=NOW - WEEK
    )
    assert arrive(city).due == datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def test_no_edit_moves_the_clock(city):
    row = arrive(city)
    services.grade(city.dispatcher, row.pk, HIGH, "扰民")
    _row, created = services.notice(
        kind=row.kind, episode=row.episode, title=row.title, region=row.region, longitude=116.3,
        latitude=39.9, began=row.began, ended=NOW + WEEK, severity=HIGH, now=NOW + WEEK,
    )  # fmt: skip
    assert not created
    services.dismiss(city.dispatcher, row.pk, "误报")
    services.reopen(city.dispatcher, row.pk, "再看")
    before, row = row, Finding.objects.get(pk=row.pk)
    assert (row.due, row.derivation) == (before.due, before.derivation)
    assert row.severity == HIGH
    assert list(checks.check()) == []


def test_what_is_split_off_has_the_clock_of_what_it_was_in(city):
    row = arrive(city)
    tasks.tick(row.due)
    rows = list(row.exceedances.values_list("pk", flat=True))
    new = episodes.split(city.dispatcher, row.pk, rows=rows[:1], files=[], reason="两件事")
    row.refresh_from_db()
    assert (new.due, new.escalated, new.escalate_at) == (row.due, 1, row.escalate_at)
    tasks.tick(row.escalate_at)
    assert list(checks.check()) == []


def test_after_a_week_without_a_tick_each_level_is_written_once(city):
    row = arrive(city)
    late = row.due + WEEK
    for _again in range(3):
        tasks.tick(late)
    row.refresh_from_db()
    # Due on Monday at 10:00; 8 working hours later it is Tuesday 10:00.
    assert written(row) == [(1, row.due), (2, row.due + timedelta(days=1))]
    assert (row.escalated, row.escalate_at) == (2, None)
    overdue = Message.objects.filter(kind="overdue")
    assert {m.user for m in overdue} == {city.dispatcher, city.leader}
    assert overdue.count() == 2
    assert list(checks.check()) == []


def test_the_levels_come_one_after_the_other(city):
    row = arrive(city)
    tasks.tick(row.due - timedelta(seconds=1))
    assert written(row) == []
    tasks.tick(row.due)
    assert [level for level, _at in written(row)] == [1]
    assert {m.user for m in Message.objects.filter(kind="overdue")} == {city.dispatcher}
    row.refresh_from_db()
    tasks.tick(row.escalate_at)
    assert [level for level, _at in written(row)] == [1, 2]
    assert city.leader in {m.user for m in Message.objects.filter(kind="overdue")}


@pytest.mark.parametrize("end", ["dismiss", "take", "merge"])
def test_what_is_decided_on_does_not_rise(city, end):
    row, other = arrive(city), arrive(city, 2)
    if end == "dismiss":
        services.dismiss(city.dispatcher, row.pk, "误报")
    elif end == "take":
        services.take([row])
    else:
        episodes.merge(city.dispatcher, [row.pk], other.pk, "同一件事")
    tasks.tick(row.due + WEEK)
    assert written(row) == []
    assert [level for level, _at in written(other)] == [1, 2]


def test_what_is_given_back_is_as_late_as_it_is(city):
    """Else whoever opens a draft and withdraws it would have a new period."""
    row = arrive(city)
    services.take([row])
    tasks.tick(row.due + WEEK)
    services.release([row])
    tasks.tick(row.due + WEEK)
    assert [level for level, _at in written(row)] == [1, 2]


def test_the_indexes_suffice_for_what_every_tick_asks(city):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads small tables whole")
    row = arrive(city)
    tasks.tick(NOW)
    row.refresh_from_db()
    copies(row, 500)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as SQLite knows it of itself after a while
    asked = Finding.objects.filter(state=clock.NEW, escalate_at__lte=NOW).order_by("escalate_at")
    assert "finding_escalation_due" in asked.explain()
    assert "finding_untold" in announce._untold().explain()


# --- who hears of it -----------------------------------------------------------------------------


def hear(kind="finding"):
    return sorted(m.user.username for m in Message.objects.filter(kind=kind))


def test_the_district_hears_of_what_lies_in_it(city):
    row = arrive(city)
    assert not Message.objects.exists()
    tasks.tick(NOW)
    tasks.tick(NOW + WEEK / 100)
    assert hear() == ["district"]
    [message] = Message.objects.all()
    assert row.title in message.text_zh
    assert message.url == row.get_absolute_url()


def test_the_department_of_the_rule_hears_of_it_and_the_dispatcher_who_may_judge(city):
    water = Department.objects.get(code="water")
    rule = dispatch.write(
        city.dispatcher, area="110108", matter="exceedance", department=water, reason="分工"
    )
    dispatch.put_in_force(city.dispatcher, rule.pk, "试过")
    arrive(city)
    tasks.tick(NOW)
    assert hear() == ["department", "dispatcher"]


def test_nobody_is_told_of_what_he_may_not_see(city):
    """The rule of the city names a department whose jurisdiction ends at the district."""
    water = Department.objects.get(code="water")
    rule = dispatch.write(city.dispatcher, area="", matter="", department=water, reason="分工")
    dispatch.put_in_force(city.dispatcher, rule.pk, "试过")
    arrive(city, which=1)
    tasks.tick(NOW)
    assert hear() == ["dispatcher"]


def test_a_message_says_no_word_of_who_complained(city):
    arrive(city, kind="complaint", title="张三举报李四", episode="public/1")
    tasks.tick(NOW)
    [message] = Message.objects.all()
    assert "张三" not in message.text_zh + message.text_en
    assert "海淀区" in message.text_zh


def test_a_thousand_findings_are_one_message_and_one_mail(city, settings):
    settings.ENV = replace(settings.ENV, mail="smtp://127.0.0.1:1")
    city.district.email = "district@example.org"
    city.district.save()
    Preference.objects.create(user=city.district, ways={"finding": ["mail"]})
    copies(arrive(city), 1000)
    tasks.tick(NOW)
    assert hear() == ["district"]
    [message] = Message.objects.all()
    assert "1001" in message.text_zh
    assert message.url == reverse("findings:list") + "?state=new"
    assert Delivery.objects.count() == 1
    # What comes a minute later waits, marked as it is; then it is told.
    late = arrive(city, 2, now=NOW)
    tasks.tick(NOW + timedelta(minutes=1))
    assert Message.objects.count() == 1
    tasks.tick(NOW + announce.APART)
    assert Message.objects.filter(url=late.get_absolute_url()).count() == 1
    assert not Finding.objects.filter(announced=None).exists()


def test_a_thousand_delays_are_one_message_a_superior(city):
    row = arrive(city)
    copies(row, 1000)
    tasks.tick(row.due + WEEK)
    assert EvidenceEntry.objects.filter(kind="finding.overdue").count() == 2 * 1001
    assert hear("overdue") == ["dispatcher", "leader"]


# --- proof ---------------------------------------------------------------------------------------


def test_fsck_sees_a_clock_that_was_moved(city):
    row = arrive(city)
    tasks.tick(row.due)
    Finding.objects.filter(pk=row.pk).update(due=row.due + WEEK)
    found = list(checks.check())
    assert any("derivation gives" in problem for problem in found)
    assert any("evidence log says" in problem for problem in found)
    Finding.objects.filter(pk=row.pk).update(due=row.due, escalated=0)
    assert any("level 0" in problem for problem in checks.check())
    Finding.objects.filter(pk=row.pk).update(due=None, escalated=1)
    assert any("no clock" in problem for problem in checks.check())


def test_findings_of_before_begin_at_the_migration_and_no_storm_breaks_out(city):
    row = arrive(city)
    nothing = {"due": None, "derivation": [], "escalate_at": None, "announced": None}
    Finding.objects.update(**nothing)
    import_module("jingwei.bureau.findings.migrations.0003_clock").start(apps, None)
    before, row = row, Finding.objects.get(pk=row.pk)
    assert row.due > row.announced > before.due - WEEK
    tasks.tick(row.announced)
    assert not Message.objects.exists()
    tasks.tick(row.due)
    assert [level for level, _at in written(row)] == [1]


# --- pages ---------------------------------------------------------------------------------------


def test_the_list_and_the_board_say_what_is_overdue(client, city):
    late = arrive(city, 1)  # the clock of the test lies before that of the machine or long after
    Finding.objects.filter(pk=late.pk).update(due=datetime(2026, 1, 1, tzinfo=UTC))
    soon = arrive(city, 2)
    Finding.objects.filter(pk=soon.pk).update(due=datetime(2126, 1, 1, tzinfo=UTC))
    client.force_login(city.dispatcher)
    page = client.get(reverse("findings:list") + "?overdue=1").content.decode()
    assert late.get_absolute_url() in page
    assert soon.get_absolute_url() not in page
    assert "已逾期" in page
    home = client.get("/home/side/").content.decode()
    assert home.index(late.get_absolute_url()) < home.index(soon.get_absolute_url())
    assert "1 条已逾期" in home
    assert "推算过程" in client.get(soon.get_absolute_url()).content.decode()


def test_an_enterprise_does_not_learn_until_when_the_bureau_wants_to_decide(client, city):
    row = arrive(city)
    client.force_login(city.enterprise)
    for url in (row.get_absolute_url(), reverse("findings:list"), reverse("findings:export")):
        response = client.get(url)
        body = b"".join(response) if response.streaming else response.content
        assert "处置期限" not in body.decode()
    assert row.get_absolute_url() in client.get(reverse("findings:list")).content.decode()
    page = client.get(reverse("findings:list") + "?overdue=1").content.decode()
    assert row.get_absolute_url() in page


# --- at once, and after anything ------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_machines_tick_at_once_and_each_level_is_written_and_told_once():
    city = build()
    rows = [arrive(city, number, number % 2) for number in range(6)]
    late = max(row.due for row in rows) + WEEK
    assert together(*[lambda: tasks.tick(late)] * 3) == [None] * 3
    for row in rows:
        assert [level for level, _at in written(row)] == [1, 2]
    # What one of them had in hand, the others passed over: it is told of a little later.
    assert {*hear("overdue")} == {"dispatcher", "leader"}
    tasks.tick(late + announce.APART)
    assert len(hear("overdue")) <= 2 * 4
    assert not Finding.objects.filter(announced=None).exists()
    assert list(checks.check()) == []


@pytest.mark.django_db(transaction=True)
def test_of_a_tick_and_a_person_who_decides_nobody_is_lost():
    city = build()
    row = arrive(city)
    late = row.due + WEEK
    results = together(
        lambda: tasks.tick(late), lambda: services.dismiss(city.dispatcher, row.pk, "误报")
    )
    assert results[0] is None
    assert isinstance(results[1], Finding), results
    row.refresh_from_db()
    assert row.state == Finding.State.DISMISSED
    assert row.escalated == max((level for level, _at in written(row)), default=0)
    assert list(checks.check()) == []


class Clocks(RuleBasedStateMachine):
    """Findings come in, are edited, decided on and given back, while time passes and the clock is
    asked seldom or often, by one machine or two."""

    def __init__(self):
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.now, self.number, self.known = NOW, 0, {}

    def teardown(self):
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    @initialize()
    def city_is_there(self):
        self.city = build()

    def some(self, data, state):
        rows = list(Finding.objects.filter(state=state).order_by("pk"))
        return data.draw(st.sampled_from(rows)) if rows else None

    @rule(severity=st.sampled_from([LOW, MEDIUM, HIGH]), which=st.integers(0, 1))
    def arrives(self, severity, which):
        self.number += 1
        row = arrive(self.city, self.number, which, severity=severity, now=self.now)
        self.known[row.pk] = (row.due, row.derivation, 0)

    @rule(hours=st.integers(1, 24 * 8))
    def time_passes(self, hours):
        self.now += timedelta(hours=hours)

    @rule(times=st.integers(1, 3))
    def ticks(self, times):
        for _again in range(times):
            tasks.tick(self.now)
        for row in Finding.objects.filter(state=Finding.State.NEW):
            passed = [level for level, at in clock.levels(row) if at <= self.now]
            due, derivation, _level = self.known[row.pk]
            self.known[row.pk] = (due, derivation, max(passed, default=0))

    @rule(data=st.data(), severity=st.sampled_from([LOW, MEDIUM, HIGH]))
    def is_graded(self, data, severity):
        if row := self.some(data, Finding.State.NEW):
            services.grade(self.city.dispatcher, row.pk, severity, "核实")

    @rule(data=st.data())
    def is_dismissed(self, data):
        if row := self.some(data, Finding.State.NEW):
            services.dismiss(self.city.dispatcher, row.pk, "误报")

    @rule(data=st.data())
    def is_reopened(self, data):
        if row := self.some(data, Finding.State.DISMISSED):
            services.reopen(self.city.dispatcher, row.pk, "再看")

    @rule(data=st.data())
    def is_taken(self, data):
        if row := self.some(data, Finding.State.NEW):
            services.take([row])

    @rule(data=st.data())
    def is_released(self, data):
        if row := self.some(data, Finding.State.IN_CASE):
            services.release([row])

    @invariant()
    def each_has_the_clock_it_began_with_and_the_level_it_reached(self):
        for row in Finding.objects.all():
            assert (row.due, row.derivation, row.escalated) == self.known[row.pk]
            assert [level for level, _at in written(row)] == list(range(1, row.escalated + 1))

    @invariant()
    def nothing_contradicts_the_log(self):
        assert list(checks.check()) == []


def test_clocks_after_anything():
    run_state_machine_as_test(
        Clocks, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
