"""What the kernel offers beyond the order: cases without finding or enterprise, details, joint
handling, acts of the clock, every kind of field."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django import forms
from django.urls import reverse

from bureau.cases.city import NOW, finding, open_case
from jingwei.bureau.access import Role
from jingwei.bureau.cases import checks, selectors, services, tasks
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.flow import Field, Flow, FlowError, Limit, State, Transition
from jingwei.bureau.cases.flows import FLOWS, register
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case, CaseEvent

pytestmark = pytest.mark.django_db

BUREAU = frozenset({Role.DISPATCHER, Role.DISTRICT})
LEAD = frozenset({Role.DISTRICT, Role.DEPARTMENT})


def _join(case, data, now):
    return {"party_ids": data["parties"], "detail": {"joint": True}}


def _sleep(case, data, now):
    return {"wake_at": now + timedelta(days=30), "closed": now, "detail": {"slept": now}}


TRIAL = Flow(
    name="trial",
    label="Trial",
    states=(
        State("begun", "Begun", (Role.DISTRICT, Role.DEPARTMENT), Limit(days=1), lead=True),
        State("asleep", "Asleep", colour="normal"),
        State("checked", "Checked", Role.LEADER),
    ),
    opening=Transition(
        "open", "Opened", (), "begun", BUREAU,
        (Field("amount", "Amount", "number", least=1, most=10), Field("text", "Text")),
        effect=lambda case, data, now: {
            "title": data["text"], "issued": now, "detail": {"amount": data["amount"]},
        },
    ),
    transitions=(
        Transition("join", "Join", ("begun",), None, LEAD | {Role.DISPATCHER},
                   (Field("parties", "Parties", "departments"),), effect=_join, only="lead"),
        Transition("note", "Note", ("begun",), None, LEAD, (Field("text", "Text"),), only="joint",
                   locks=False),
        Transition("finish", "Finish", ("begun",), "asleep", LEAD, effect=_sleep, only="lead"),
        Transition("look", "Look again", ("asleep",), "checked", frozenset(), clock=True,
                   effect=lambda case, data, now: {"detail": {"looked": True}}),
        Transition("redo", "Once more", ("asleep",), "begun", BUREAU, reopens=True),
        Transition("done", "Done", ("checked",), "asleep", frozenset({Role.LEADER})),
    ),
    escalation=((1, None), (3, Limit(days=1))),
    action="case.act",
    known_to=frozenset({Role.DEPARTMENT}),
)  # fmt: skip


@pytest.fixture
def trial(city, monkeypatch):
    monkeypatch.setitem(FLOWS, "trial", TRIAL)
    return services.open_case(
        city.dispatcher,
        (),
        {"amount": "2.50", "text": "苗木市场扬尘"},
        flow="trial",
        region="110108",
        opening={"matter": "bare_land", "detail": {"seen": date(2026, 11, 1)}},
        now=NOW,
    )


def act(user, case, name, data=None, now=NOW):
    case.refresh_from_db()
    event = services.act(user, case.pk, name, case.version, data or {}, now=now)
    case.refresh_from_db()
    return event


def test_a_case_without_finding_and_enterprise(city, trial, client):
    trial.refresh_from_db()
    assert (trial.enterprise, trial.region_id, trial.department) == (
        None, "110108", city.districts[0],
    )  # fmt: skip
    assert trial.detail == {"seen": "2026-11-01", "amount": "2.50"}
    assert list(checks.check()) == []
    client.force_login(city.dispatcher)
    for url in (
        trial.get_absolute_url(),
        reverse("cases:list") + "?flow=trial",
        reverse("cases:export") + "?flow=trial",
    ):
        response = client.get(url)
        body = b"".join(response) if response.streaming else response.content
        assert "苗木市场扬尘" in body.decode()
    assert "苗木市场扬尘" not in client.get(reverse("cases:list") + "?flow=order").content.decode()


def test_who_sees_it(city, trial):
    def sees(user):
        return Case.objects.restrict(user, "case.view").filter(pk=trial.pk).exists()

    assert [name for name, user in city.people.items() if sees(user)] == [
        "dispatcher", "district", "grid", "department", "auditor", "leader",
    ]  # fmt: skip
    # A department with one matter sees that matter alone; no enterprise sees this flow.
    city.department.department.jurisdictions.update(matter="water")
    assert not sees(type(city.department).objects.get(pk=city.department.pk))
    trial.enterprise = city.enterprises[0]
    trial.save()
    assert not sees(city.enterprise)


def test_joint_handling(city, trial):
    water = city.department.department
    city.department.department.jurisdictions.all().delete()
    city.people["district2"].department.jurisdictions.all().delete()
    with pytest.raises(Case.DoesNotExist):
        act(city.department, trial, "note", {"text": "x"})
    act(city.district, trial, "join", {"parties": [water.pk, city.districts[1].pk]})
    assert trial.party_ids == sorted([water.pk, city.districts[1].pk])
    assert trial.detail["joint"] is True
    for user in (city.department, city.district2):
        act(user, trial, "note", {"text": "已到场"})
        seen = CaseEvent.objects.restrict(user, "case.view").filter(case=trial)
        assert seen.filter(transition="note").exists()
        with pytest.raises(Refused):
            act(user, trial, "join", {"parties": [water.pk]})
    assert selectors.waiting_for(city.district).filter(pk=trial.pk).exists()
    assert not selectors.waiting_for(city.department).filter(pk=trial.pk).exists()
    act(city.dispatcher, trial, "join", {"parties": [city.districts[1].pk]})
    assert list(checks.check()) == []
    trial.parties.clear()
    assert any("party_ids" in p for p in checks.check())


def test_the_clock_acts(city, trial):
    act(city.district, trial, "finish")
    assert (trial.state, trial.wake_at) == ("asleep", NOW + timedelta(days=30))
    with pytest.raises(Refused):
        act(city.dispatcher, trial, "look")
    tasks.tick(NOW + timedelta(days=29))
    trial.refresh_from_db()
    assert trial.state == "asleep"
    late = NOW + timedelta(days=45)
    tasks.tick(late)
    tasks.tick(late)
    trial.refresh_from_db()
    assert (trial.state, trial.wake_at, trial.detail["looked"]) == ("checked", None, True)
    event = trial.events.get(transition="look")
    assert (event.actor, event.role, event.at) == (None, "", late)
    assert event.data["due"] == (NOW + timedelta(days=30)).isoformat()
    assert selectors.waiting_for(city.leader).filter(pk=trial.pk).exists()
    assert list(checks.check()) == []


def test_a_final_state_is_left_by_acts_that_reopen(city, trial):
    act(city.district, trial, "finish")
    act(city.dispatcher, trial, "redo")
    assert trial.state == "begun"
    assert list(checks.check()) == []


def test_delays_rise_to_the_leader(city, trial):
    trial.refresh_from_db()
    assert not selectors.waiting_for(city.leader).exists()
    tasks.tick(trial.level_due + timedelta(days=7))
    assert selectors.waiting_for(city.leader).get() == trial
    assert selectors.waiting_for(city.dispatcher).get() == trial


def test_a_child_takes_over_place_and_enterprise(city, monkeypatch):
    monkeypatch.setitem(FLOWS, "trial", TRIAL)
    parent = open_case(city)
    values = {"amount": "1", "text": "派生"}
    child = services.open_case(
        city.dispatcher, (), values, flow="trial", parent=parent, now=NOW, token="a"
    )
    assert (child.parent, child.enterprise, child.region_id) == (
        parent, parent.enterprise, parent.region_id,
    )  # fmt: skip
    again = services.open_case(
        city.dispatcher, (), values, flow="trial", parent=parent, now=NOW, token="a"
    )
    assert again == child
    with pytest.raises(Refused):  # of a case that the other district does not see
        services.open_case(city.district2, (), values, flow="trial", parent=parent, now=NOW)
    with pytest.raises(Refused):
        services.open_case(city.dispatcher, (), values, flow="trial", now=NOW)  # no place
    with pytest.raises(Invalid):
        services.open_case(
            city.dispatcher, (), {**values, "amount": "11"}, flow="trial", parent=parent, now=NOW
        )


def test_findings_of_a_flow_that_needs_no_enterprise(city, monkeypatch):
    monkeypatch.setitem(FLOWS, "trial", TRIAL)
    row = finding(city, 3, kind="bare_land", enterprise=None, point=None)
    case = services.open_case(
        city.district, [row], {"amount": "1", "text": "裸地"}, flow="trial", now=NOW
    )
    assert (case.region_id, case.matter, case.enterprise) == (row.region_id, "bare_land", None)


@pytest.mark.parametrize(
    ("kind", "sent", "said"),
    [
        ("number", "12.5", Decimal("12.5")),
        ("date", "2026-11-20", date(2026, 11, 20)),
        ("bool", "on", True),
        ("line", "x", "x"),
        ("days", "7", 7),
        (lambda field, case: forms.IntegerField(), "3", 3),
    ],
)
def test_kinds_of_fields(city, kind, sent, said):
    step = Transition("t", "t", ("a",), None, BUREAU, (Field("value", "Value", kind),))
    form = TransitionForm(step, None, {"value": sent})
    assert form.is_valid(), form.errors
    assert form.said == {"value": said}
    assert not TransitionForm(step, None, {}).is_valid()


def test_fields_that_choose(city, trial):
    one, two = city.districts
    fields = (
        Field("several", "Several", "choices", choices=lambda case: [("a", "A"), ("b", "B")]),
        Field("department", "Department", "department"),
        Field("departments", "Departments", "departments"),
        Field("person", "Person", "person"),
    )
    step = Transition("t", "t", ("a",), None, BUREAU, fields)
    data = {
        "several": ["a", "b"],
        "department": str(one.pk),
        "departments": [str(one.pk), str(two.pk)],
        "person": str(city.district.pk),
    }
    form = TransitionForm(step, trial, data)
    assert form.is_valid(), form.errors
    assert form.said == {
        "several": ["a", "b"],
        "department": one.pk,
        "departments": [one.pk, two.pk],
        "person": city.district.pk,
    }
    wrong = {**data, "several": ["z"], "department": "999", "person": str(city.grid2.pk)}
    assert set(TransitionForm(step, trial, wrong).errors) == {"several", "department", "person"}


def test_an_unknown_kind_of_field_and_a_second_flow_of_a_name_are_refused():
    with pytest.raises(FlowError, match="kind"):
        Field("x", "x", "colour")
    with pytest.raises(FlowError, match="another"):
        register(
            Flow(
                "order", "x", (State("a", "a"),),
                Transition("open", "o", (), "a", BUREAU), (),
            )
        )  # fmt: skip
