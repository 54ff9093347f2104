"""Programmes, acted on by two at once, each on a connection of its own.

Whoever comes second is told who was faster, or gets what the first sending of his form got; nothing
is lost, nothing happens twice, and the rows are what the evidence log tells.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from bureau.campaigns.conftest import ROW, begin, workbook
from bureau.campaigns.test_course import ENDED, form
from bureau.cases.city import NOW
from bureau.cases.machine import person
from jingwei.bureau.campaigns import acting, checks, services, sheets
from jingwei.bureau.campaigns.models import (
    Change,
    Evaluation,
    Item,
    Programme,
    Share,
    Summary,
    Team,
)
from jingwei.bureau.cases import checks as case_checks
from jingwei.bureau.cases.errors import Refused, Stale
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import told
from jingwei.bureau.inspections.models import Mission
from jingwei.bureau.inspections.services import plan_inspection
from racing import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(city):
    """The city with a second dispatcher, and a campaign that runs."""
    person(city, "dispatcher2", like="dispatcher")
    today = timezone.localdate()
    city.campaign = begin(
        city, "campaign", begins=today - timedelta(days=5), ends=today + timedelta(days=20),
        text="零",
    )  # fmt: skip
    return city


def office_language(act):
    """A thread of its own has the settings' language; the words of the tests are Chinese."""

    def run():
        with translation.override("zh-hans"):
            return act()

    return run


def race(*acts):
    return together(*map(office_language, acts))


def parted(results: list[Any], won: type, lost: type[Exception]) -> tuple[Any, Exception]:
    """What the one got, and what the other was told."""
    winners = [r for r in results if isinstance(r, won)]
    losers = [r for r in results if isinstance(r, lost)]
    assert (len(winners), len(losers)) == (1, 1), results
    return winners[0], losers[0]


def sound(**leaves: int) -> None:
    """Rows are what their evidence entries tell, and of programmes there are these entries and no
    others, by their act."""
    entries = EvidenceEntry.objects.filter(kind="campaign")
    assert Counter(told(entry)["act"] for entry in entries) == leaves
    assert Change.objects.count() == sum("seq" in told(entry) for entry in entries)
    assert list(checks.check()) == []
    assert list(case_checks.check()) == []


def test_two_connections_are_two(office):
    def look():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return connection.connection

    first, second = race(look, look)
    assert first is not second


def test_two_amend_at_once(office):
    row = office.campaign

    def amend(who, plan):
        sent = form(row, plan=plan, text=f"因{plan}")
        return lambda: acting.amend(office.people[who], row.pk, sent, seen=0)

    change, error = parted(
        race(amend("dispatcher", "甲"), amend("dispatcher2", "乙")), Change, Stale
    )
    assert str(change.actor) in str(error)
    row.refresh_from_db()
    assert change.changes == {"text": ["零", row.text]}
    assert change.text == f"因{row.text}"
    sound(begin=1, amend=1)
    # The other one looks at it as it is now, and nothing of either is lost.
    acting.amend(office.dispatcher, row.pk, form(row, plan=f"{row.text}，又"), seen=1)
    assert [c.seq for c in row.changes.all()] == [1, 2]
    sound(begin=1, amend=2)


def test_an_amendment_and_the_end_at_once(office):
    row = office.campaign
    results = race(
        lambda: acting.amend(office.dispatcher, row.pk, form(row, plan="甲"), seen=0),
        lambda: acting.call_off(office.people["dispatcher2"], row.pk, ENDED, seen=0),
    )
    change, _error = parted(results, Change, Refused)  # `Stale`, or that it is over
    row.refresh_from_db()
    amended = change.act == "amend"
    assert (row.state, row.text) == (("running", "甲") if amended else ("called_off", "零"))
    assert bool(row.closed) == (not amended)
    sound(begin=1, **{change.act: 1})


def test_the_end_and_an_inspection_at_once(office):
    row, unit = office.campaign, office.enterprises[0]
    today = timezone.localdate().isoformat()
    said = {"title": "x", "text": "y", "origin": "targeted", "day": today}
    ended, planned = race(
        lambda: acting.call_off(office.dispatcher, row.pk, ENDED, seen=0),
        lambda: plan_inspection(office.people["dispatcher2"], unit, said, programme=row),
    )
    assert isinstance(ended, Change), ended
    row.refresh_from_db()
    assert row.state == "called_off"
    if isinstance(planned, Case):
        assert [m.case for m in Mission.objects.filter(programme=row)] == [planned]
        assert planned.opened <= row.closed
    else:
        assert isinstance(planned, Refused), planned
        assert not Case.objects.exists()
        assert not Mission.objects.exists()
    sound(begin=1, call_off=1)


@pytest.mark.parametrize("ends", ["call_off", "conclude"])
def test_the_end_and_a_table_at_once(office, ends):
    """A list is not called off: the table always goes in. One that closes has either no item, or
    stays open because of it."""
    row = begin(office, "list")
    rows, _problems = sheets.read(row, workbook(ROW))
    user = office.people["dispatcher2"]
    how = {
        "call_off": lambda: acting.call_off(user, row.pk, ENDED, seen=0),
        "conclude": lambda: acting.conclude(user, row.pk, "无", {}, seen=0),
    }[ends]
    ended, entered = race(how, lambda: services.enter(office.dispatcher, row, rows, NOW))
    row.refresh_from_db()
    over = isinstance(ended, Change)
    assert isinstance(entered if over else ended, Refused), (ended, entered)
    assert (over, entered) == (False, 1) or ends == "conclude"
    assert row.state == ("closed" if over else "running")
    assert Item.objects.count() == Case.objects.count() == (0 if over else 1)
    sound(begin=2, **({"conclude": 1} if over else {}))


def test_two_end_it_at_once(office):
    row = office.campaign
    results = race(
        lambda: acting.call_off(office.dispatcher, row.pk, ENDED, seen=0),
        lambda: acting.conclude(office.people["dispatcher2"], row.pk, "完成", {}, seen=0),
    )
    change, _error = parted(results, Change, Refused)
    row.refresh_from_db()
    assert (row.state, row.conclusion) == {
        "call_off": ("called_off", ""),
        "conclude": ("closed", "完成"),
    }[change.act]
    assert row.closed == change.at
    sound(begin=1, **{change.act: 1})


def test_a_table_twice_at_once(office):
    row = begin(office, "list")
    rows, _problems = sheets.read(row, workbook(ROW))

    def enter(who, token):
        return lambda: services.enter(office.people[who], row, rows, NOW, token=token)

    assert race(enter("dispatcher", "t"), enter("dispatcher", "t")) == [1, 1]
    case = Item.objects.get().case
    opening = case.events.get().evidence
    assert EvidenceEntry.objects.filter(subject=f"case:{case.pk}").get() == opening
    sound(begin=2)


def test_the_same_item_from_two_people_at_once(office):
    row = begin(office, "list")
    rows, _problems = sheets.read(row, workbook(ROW))

    def enter(who):
        return lambda: services.enter(office.people[who], row, rows, NOW, token="t")

    _one, error = parted(race(enter("dispatcher"), enter("dispatcher2")), int, Refused)
    assert "1-2" in str(error)
    assert Item.objects.count() == Case.objects.count() == CaseEvent.objects.count() == 1
    sound(begin=2)


def test_a_team_twice_at_once(office):
    def name():
        return acting.add_team(
            office.dispatcher, office.campaign, "一组", None, [office.grid], "编组", token="t"
        )

    first, second = race(name, name)
    assert first == second == Team.objects.get(), (first, second)
    assert list(first.members.all()) == [office.grid]
    sound(begin=1, team=1)


def test_the_same_team_from_two_people_at_once(office):
    def name(who, member):
        user = office.people[who]
        return lambda: acting.add_team(
            user, office.campaign, "一组", None, [office.people[member]], "编组", token="t"
        )

    results = race(name("dispatcher", "grid"), name("dispatcher2", "district"))
    team, error = parted(results, Team, Refused)
    assert "同名" in str(error), error
    assert list(team.members.all()) == [office.grid if results[0] == team else office.district]
    sound(begin=1, team=1)


def test_a_team_named_and_taken_out_at_once(office):
    team = acting.add_team(office.dispatcher, office.campaign, "一组", None, [office.grid], "编组")
    results = race(
        lambda: acting.remove_team(office.dispatcher, office.campaign, team.pk, "撤"),
        lambda: acting.remove_team(office.people["dispatcher2"], office.campaign, team.pk, "撤"),
        lambda: acting.add_team(
            office.dispatcher, office.campaign, "二组", None, [office.district], "编组"
        ),
    )
    assert results[:2] == [None, None], results
    assert results[2] == Team.objects.get()
    assert [c.seq for c in office.campaign.changes.all()] == [1, 2, 3]
    sound(begin=1, team=2, untie=1)


@pytest.mark.parametrize("act", ["amend", "call_off", "conclude"])
def test_a_form_sent_twice_at_once_acts_once(office, act):
    row, user = office.campaign, office.dispatcher
    send = {
        "amend": lambda: acting.amend(user, row.pk, form(row, plan="甲"), seen=0, token="t"),
        "call_off": lambda: acting.call_off(user, row.pk, ENDED, seen=0, token="t"),
        "conclude": lambda: acting.conclude(user, row.pk, "完成", {}, seen=0, token="t"),
    }[act]
    first, second = race(send, send)
    assert first == second == Change.objects.get(), (first, second)
    sound(begin=1, **{act: 1})


def test_begun_twice_at_once(office):
    data = {
        "title": "第二行动", "level": "own", "document": "", "begins": office.campaign.begins,
        "ends": office.campaign.ends, "lead": office.centre, "text": "", "checklist": "",
        "regions": office.regions, "matters": [],
    }  # fmt: skip

    def send():
        return services.begin(office.dispatcher, "campaign", data, token="t")

    results = race(*[send] * 4)
    assert set(results) == {Programme.objects.get(title="第二行动")}, results
    assert set(results[0].regions.all()) == set(office.regions)
    sound(begin=2)


def test_a_summary_and_an_evaluation_twice_at_once(office):
    row, day = office.campaign, timezone.localdate()

    def summarise():
        return services.summarise(office.dispatcher, row, day, "小结", {}, token="t")

    def evaluate():
        return services.evaluate(office.dispatcher, row, token="t")

    results = race(summarise, summarise)
    assert set(results) == {Summary.objects.get()}, results
    results = race(evaluate, evaluate)
    assert set(results) == {Evaluation.objects.get()}, results
    sound(begin=1, summary=1, evaluate=1)


def test_a_link_made_and_answered_twice_at_once(office):
    from bureau.campaigns.test_campaigns import issued
    from jingwei.bureau.campaigns.flows import ANSWER
    from jingwei.bureau.cases.forms import TransitionForm

    case = issued(office)

    def share():
        return services.share(office.dispatcher, case.pk, "邻市", "协查", False, 9, form="t")

    first, second = race(share, share)
    assert first == second, (first, second)
    made = Share.objects.get()

    def answer():
        form = TransitionForm(ANSWER, case, {"name": "李某", "text": "已核查"})
        assert form.is_valid()
        return services.answer(made, form, token="t")

    results = race(answer, answer)
    assert set(results) == {made.answers.get()}, results
    assert [e.transition for e in case.events.all()][-2:] == [
        "neighbour_shared",
        "neighbour_answered",
    ]
    assert EvidenceEntry.objects.filter(kind="case.share").count() == 2
    sound(begin=1)


def test_the_button_pressed_twice_answers_as_for_the_first(office):
    """The way from the page: its token makes both requests one deed."""
    row = office.campaign
    client = Client()
    client.force_login(office.dispatcher)
    token = client.get(row.get_absolute_url()).context["token"]
    cookies = client.cookies
    team = {"name": "一组", "text": "编组", "members": [office.grid.pk], "token": token}

    def press():
        again = Client()
        again.cookies = cookies
        return again.post(reverse("campaigns:act", args=[row.pk, "team"]), team)

    answers = together(press, press)
    assert [(a.status_code, a.url) for a in answers] == [(302, row.get_absolute_url())] * 2
    assert Team.objects.count() == 1
    sound(begin=1, team=1)
