"""Two at once, each on a connection of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import translation

from bureau.cases.city import FORMS, NOW, bring, build, finding, open_case
from bureau.cases.machine import person
from jingwei.bureau.cases import checks, services, tasks
from jingwei.bureau.cases.errors import Stale
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import notice
from racing import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_who_act_at_once_one_wins_and_the_other_is_told():
    city = build()
    case = bring(city, open_case(city), "issued")

    def act(user, name):
        return lambda: services.act(user, case.pk, name, case.version, FORMS[name], now=NOW)

    results = together(
        act(city.district, "sign"), act(city.dispatcher, "extend"), act(city.dispatcher, "extend")
    )
    won = [r for r in results if isinstance(r, CaseEvent)]
    told = [r for r in results if isinstance(r, Stale)]
    assert len(won) == 1, results
    assert len(told) == 2
    assert all(str(won[0].actor) in str(error) for error in told)
    assert case.events.count() == 3
    assert list(checks.check()) == []


def test_a_form_sent_twice_at_once_acts_once():
    city = build()
    case = bring(city, open_case(city), "issued")

    def act():
        return services.act(city.district, case.pk, "sign", case.version, {}, token="t", now=NOW)

    first, second = together(act, act)
    assert first == second, (first, second)
    assert case.events.count() == 3


def test_comments_do_not_disturb_each_other():
    city = build()
    case = bring(city, open_case(city), "issued")

    def act(user):
        return lambda: services.act(user, case.pk, "comment", 0, FORMS["comment"], now=NOW)

    results = together(
        *(act(u) for u in (city.district, city.grid, city.enterprise, city.dispatcher))
    )
    assert all(isinstance(r, CaseEvent) for r in results), results
    assert sorted(r.seq for r in results) == [3, 4, 5, 6]
    assert list(checks.check()) == []


def test_document_numbers_are_dense_and_unique():
    city = build()
    cases = [open_case(city, number) for number in range(5)]

    def issue(case):
        return lambda: services.act(city.dispatcher, case.pk, "issue", 1, FORMS["issue"], now=NOW)

    results = together(*(issue(c) for c in cases))
    assert all(isinstance(r, CaseEvent) for r in results), results
    numbers = set(Case.objects.values_list("number", flat=True))
    assert numbers == {f"示环督〔2026〕{n}号" for n in range(1, 6)}


def test_the_clock_on_two_machines_rises_once():
    city = build()
    cases = [bring(city, open_case(city, number), "issued") for number in range(3)]
    late = NOW + timedelta(days=40)
    results = together(*[lambda: tasks.tick(late)] * 3)
    assert results == [None] * 3
    for case in cases:
        assert case.events.filter(transition=ESCALATE).count() == 4
    assert list(checks.check()) == []


def test_an_act_and_the_clock_at_once():
    city = build()
    case = bring(city, open_case(city), "rectifying")
    results = together(
        lambda: tasks.tick(case.due),
        lambda: services.act(
            city.enterprise, case.pk, "answer", case.version, FORMS["answer"], now=case.due
        ),
    )
    assert isinstance(results[1], CaseEvent), results
    case.refresh_from_db()
    assert (case.state, case.escalated) == ("answered", 0)
    assert list(checks.check()) == []


def test_two_cases_cannot_take_the_same_finding():
    from bureau.cases.city import DOCUMENT

    city = build()
    row = finding(city)

    def take():
        return services.open_case(city.dispatcher, [row], DOCUMENT, now=NOW)

    results = together(take, take)
    assert sorted(type(r).__name__ for r in results) == ["Case", "Refused"], results
    assert Case.objects.count() == 1


@pytest.mark.parametrize("same_finding", [True, False])
def test_an_opening_form_sent_twice_at_once_opens_one_case(same_finding):
    from bureau.cases.city import DOCUMENT

    city = build()
    first = finding(city)
    second = first if same_finding else finding(city, 2)

    def send(row):
        return lambda: services.open_case(city.dispatcher, [row], DOCUMENT, token="t", now=NOW)

    results = together(send(first), send(second), send(first), send(second))
    assert [type(r) for r in results] == [Case] * 4, results
    assert set(results) == {Case.objects.get()}
    assert Finding.objects.filter(state=Finding.State.IN_CASE).count() == 1


def test_one_episode_is_one_finding_however_many_notice_it():
    city = build()
    point = city.points[0]

    def see(hour):
        return lambda: notice(
            kind="exceedance",
            episode="the-same",
            title="x",
            region=point.region,
            longitude=116.3,
            latitude=39.9,
            began=NOW + timedelta(hours=hour),
            ended=NOW + timedelta(hours=hour + 1),
            severity=1 + hour % 3,
            point=point,
            enterprise=point.enterprise,
        )

    results = together(*(see(hour) for hour in range(6)))
    assert all(isinstance(r, tuple) for r in results), results
    assert sorted(created for _row, created in results) == [False] * 5 + [True]
    row = Finding.objects.get()
    assert (row.began, row.ended, row.severity) == (NOW, NOW + timedelta(hours=6), 3)


# --- each flow: two people act at once, one wins, the other is told ---------------------------


def _handling():
    from bureau.cases import city as cities

    city = build()
    person(city, "district1b", like="district")
    desk = {**cities.HANDLING["dispatch"], "department": city.districts[0].pk}
    case = cities.do(city.dispatcher, cities.handle(city), "dispatch", **desk)
    return city, case, [("district", "sign", {}), ("district1b", "refuse", {"text": "不属本辖区"})]


def _penalty():
    from bureau.penalties import office

    city = office.build()
    case = office.open_penalty(city)
    return city, case, [("leader", "approve", {}), ("leader2", "reject", {"text": "证据不足"})]


def _inspection():
    from bureau.inspections.test_inspections import OPENING
    from jingwei.bureau.inspections import services as inspections

    city = build()
    person(city, "district1b", like="district")
    case = inspections.plan_inspection(city.dispatcher, city.enterprises[0], OPENING, now=NOW)
    why = {"text": "停产"}
    return city, case, [("dispatcher", "cancel", why), ("district1b", "cancel", why)]


def _rectification():
    from bureau.campaigns.conftest import enter

    city = build()
    person(city, "department2", like="department")
    _programme, (item,) = enter(city)
    return city, item.case, [("department", "take", {}), ("department2", "take", {})]


def _four_step():
    city = build()
    person(city, "district1b", like="district")
    row = finding(city, kind="air_hotspot", enterprise=None, point=None)
    data = {"title": "热点网格", "text": "排查周边涉气企业", "days": "10"}
    case = services.open_case(city.dispatcher, [row], data, flow="four_step", now=NOW)
    return city, case, [("district", "sign", {}), ("district1b", "sign", {})]


@pytest.mark.parametrize("ready", [_handling, _penalty, _inspection, _rectification, _four_step])
def test_in_every_flow_one_wins_and_the_other_is_told(ready, data):
    with translation.override("zh-hans"):
        city, case, acts = ready()
    case.refresh_from_db()
    acted = case.events.exclude(transition=ESCALATE)  # some cases are late by then
    before, version = acted.count(), case.version

    def act(who, name, form):
        return lambda: services.act(city.people[who], case.pk, name, version, form, now=NOW)

    results = together(*(act(*each) for each in acts))
    won = [r for r in results if isinstance(r, CaseEvent)]
    told = [r for r in results if isinstance(r, Stale)]
    assert (len(won), len(told)) == (1, 1), results
    assert str(won[0].actor) in str(told[0])
    case.refresh_from_db()
    assert (acted.count(), case.version) == (before + 1, version + 1)
    assert list(checks.replay(case)) == []
