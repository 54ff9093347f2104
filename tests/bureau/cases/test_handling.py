"""From finding to closure: the way, the passing on, joint handling, look-backs, verdicts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from bureau.cases.city import DOCUMENT, NOW, TASK, do, finding, handle
from jingwei.bureau.access import Role
from jingwei.bureau.cases import checks, selectors, services, tasks
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.flows.handling import HANDLING
from jingwei.bureau.cases.models import Case
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.notices.models import Message

pytestmark = pytest.mark.django_db


def dispatched(city, case=None, to=None):
    case = case or handle(city)
    return do(city.dispatcher, case, "dispatch", department=(to or city.districts[0]).pk)


def to_closed(city, case, at=NOW):
    do(city.district, case, "sign", now=at)
    do(city.district, case, "found", now=at)
    do(city.district, case, "rectified", now=at)
    do(city.grid, case, "verify", now=at)
    return do(city.dispatcher, case, "close", now=at)


@pytest.mark.parametrize("kind", Kind.values)
@pytest.mark.parametrize("known", [True, False])
def test_every_kind_of_finding_goes_the_whole_way(city, client, kind, known):
    place = {} if known else {"enterprise": None, "point": None}
    row = finding(city, kind=kind, **place)
    case = services.open_case(city.dispatcher, [row], TASK, flow="handling", now=NOW)
    case = to_closed(city, dispatched(city, case))
    assert (case.state, case.matter) == ("closed", kind)
    assert (case.enterprise is not None) == known
    assert list(checks.check()) == []
    client.force_login(city.dispatcher)
    assert client.get(case.get_absolute_url()).status_code == 200


def test_the_way_and_whose_turn_it_is(city):
    case = handle(city)
    assert selectors.waiting_for(city.dispatcher).get() == case
    dispatched(city, case)
    assert case.issued
    assert case.due == datetime(2026, 12, 4, 15, 59, 59, tzinfo=timezone.get_fixed_timezone(0))
    assert selectors.waiting_for(city.district).get() == case
    assert not selectors.waiting_for(city.district2).exists()
    with pytest.raises(Case.DoesNotExist):
        do(city.district2, case, "sign")
    case = to_closed(city, case)
    assert Finding.objects.get().state == Finding.State.IN_CASE
    # Whose turn it became; who brought it to himself needs no message.
    turns = Message.objects.filter(kind="turn").order_by("pk")
    assert list(turns.values_list("user__username", flat=True)) == [
        "district", "grid", "dispatcher",
    ]  # fmt: skip


def test_a_department_leads(city):
    """Also outside of its own area and matter: the case was given to it."""
    water = city.department.department
    water.jurisdictions.update(area="110105", matter="water")
    case = dispatched(city, to=water)
    assert selectors.waiting_for(city.department).get() == case
    do(city.department, case, "sign")
    do(city.department, case, "found")
    do(city.department, case, "rectified")
    with pytest.raises(Refused):
        do(city.department, case, "verify")
    do(city.grid, case, "verify")
    assert case.state == "verified"


def test_who_rectified_does_not_verify(city):
    case = dispatched(city)
    for name in ("sign", "found", "rectified"):
        do(city.district, case, name)
    person = city.district
    person.role, person.department = Role.GRID, city.grid.department
    person.save()
    for name in ("verify", "reject"):
        with pytest.raises(Refused):
            do(person, case, name)
    do(city.grid, case, "verify")


def test_roles_of_rectification_and_verification_are_apart():
    done = HANDLING.transition("rectified").roles
    for name in ("verify", "reject", "close", "return", "held", "relapse"):
        assert not done & HANDLING.transition(name).roles


def test_the_third_move_goes_to_the_coordinator(city):
    one, two = city.districts
    water = city.department.department
    case = dispatched(city)
    do(city.district, case, "transfer", department=two.pk)
    do(city.district2, case, "transfer", department=water.pk)
    assert case.department == water
    offered = {s.name for s in selectors.allowed(city.department, case)}
    assert offered == {"sign", "dispute", "join", "comment"}
    do(city.department, case, "dispute")
    assert (case.state, len(case.detail["moves"])) == ("disputed", 3)
    do(city.dispatcher, case, "assign", department=one.pk)
    assert (case.state, case.department, case.detail["settled"]) == ("dispatched", one, True)
    assert {s.name for s in selectors.allowed(city.district, case)} == {"sign", "join", "comment"}
    for name in ("refuse", "give_back", "transfer", "dispute"):
        with pytest.raises(Refused):
            do(city.district, case, name, department=two.pk)
    assert list(checks.check()) == []


def test_refusing_wants_a_reason_and_goes_back_to_the_sender(city):
    one, two = city.districts
    case = dispatched(city)
    with pytest.raises(Invalid):
        do(city.district, case, "refuse", text=" ")
    do(city.district, case, "refuse")
    assert (case.state, case.department) == ("triage", city.centre)
    due = case.due
    dispatched(city, case)
    assert case.due == due  # the business clock goes on
    with pytest.raises(Invalid):
        do(city.district, case, "transfer", department=two.pk, text="")
    do(city.district, case, "transfer", department=two.pk)
    do(city.district2, case, "give_back")
    assert (case.state, case.department) == ("dispatched", one)
    assert list(checks.check()) == []


def test_joint_handling(city):
    water = city.department.department
    water.jurisdictions.all().delete()
    case = dispatched(city)
    do(city.district, case, "sign")
    with pytest.raises(Case.DoesNotExist):
        do(city.department, case, "contribute")
    do(city.district, case, "join", departments=[water.pk])
    for name in ("found", "join", "rectified"):
        with pytest.raises((Refused, Case.DoesNotExist)):
            do(city.department, case, name)
    # It waits for the office that takes part until that has said what it did, and was told so.
    assert selectors.waiting_for(city.department).get() == case
    told = Message.objects.get(user=city.department, kind="turn")
    assert told.text_zh.startswith("联合办理，本单位参加")
    do(city.department, case, "contribute")
    assert not selectors.waiting_for(city.department).exists()
    do(city.district, case, "join", departments=[])
    with pytest.raises(Case.DoesNotExist):
        do(city.department, case, "contribute")
    assert list(checks.check()) == []


def test_look_backs_come_after_30_90_and_180_days(city):
    case = to_closed(city, dispatched(city))
    seen = []
    for day in range(0, 400, 5):
        now = NOW + timedelta(days=day, hours=1)
        tasks.tick(now)
        case.refresh_from_db()
        if case.state == "looking_back":
            seen.append(day)
            assert selectors.waiting_for(city.grid).get() == case
            do(city.grid, case, "held", now=now)
    assert seen == [30, 90, 180]
    assert (case.state, case.wake_at, case.detail["looks"]) == ("closed", None, [30, 90, 180])
    assert case.closed == NOW
    assert list(checks.check()) == []


def test_a_relapse_goes_to_the_dispatcher_who_reopens_with_a_new_deadline(city):
    case = to_closed(city, dispatched(city))
    later = NOW + timedelta(days=40)
    tasks.tick(later)
    do(city.grid, case, "relapse", now=later)
    assert selectors.waiting_for(city.dispatcher).get() == case
    do(city.dispatcher, case, "reopen", now=later)
    assert (case.state, case.closed, case.wake_at) == ("investigating", None, None)
    assert case.due > later
    do(city.district, case, "found", now=later)
    do(city.district, case, "rectified", now=later)
    do(city.grid, case, "verify", now=later)
    do(city.dispatcher, case, "close", now=later)
    assert case.detail["looks"] == []  # they begin anew
    assert case.wake_at > later + timedelta(days=29)
    assert list(checks.check()) == []


def test_an_alarm_that_is_overruled_goes_on_with_the_next_look_back(city):
    case = to_closed(city, dispatched(city))
    later = NOW + timedelta(days=31)
    tasks.tick(later)
    do(city.grid, case, "relapse", now=later)
    do(city.dispatcher, case, "overrule", now=later)
    assert (case.state, case.detail["looks"]) == ("closed", [30])
    assert case.wake_at.date() == (NOW + timedelta(days=90)).date()


@pytest.mark.parametrize("led", [True, False])
def test_dismissed_cases_can_be_reopened(city, led):
    case = handle(city)
    if led:
        dispatched(city, case)
        do(city.district, case, "sign")
        do(city.district, case, "nothing")
        do(city.dispatcher, case, "confirm")
    else:
        do(city.dispatcher, case, "dismiss")
    assert (case.state, case.closed) == ("dismissed", NOW)
    do(city.dispatcher, case, "reopen")
    assert (case.state, case.department) == ("investigating", city.districts[0])
    assert selectors.waiting_for(city.district).get() == case
    assert list(checks.check()) == []


def test_detections_need_a_verdict_and_others_do_not(city):
    seen = services.open_case(
        city.dispatcher,
        [finding(city, 1, kind="falsification")],
        TASK,
        flow="handling",
        now=NOW,
    )
    bare = handle(city, 2)
    for case in (seen, bare):
        dispatched(city, case)
        do(city.district, case, "sign")
    with pytest.raises(Invalid) as caught:
        do(city.district, seen, "nothing", verdict="")
    assert set(caught.value.form.errors) == {"verdict"}
    do(city.district, seen, "nothing", verdict="maintenance")
    do(city.district, bare, "found", verdict="")
    assert [(f.kind, v) for f, v, _case in selectors.verdicts()] == [
        ("falsification", "maintenance")
    ]


def test_an_order_comes_out_of_a_case_and_stays_its_child(city, client):
    row = finding(city)
    case = services.open_case(city.dispatcher, [row], TASK, flow="handling", now=NOW)
    dispatched(city, case)
    client.force_login(city.dispatcher)
    url = f"{reverse('cases:open')}?flow=order&parent={case.pk}"
    assert url.replace("&", "&amp;") in client.get(case.get_absolute_url()).content.decode()
    assert client.get(url).status_code == 200
    order = Case.objects.get(pk=client.post(url, DOCUMENT).url.rstrip("/").rsplit("/", 1)[1])
    assert (order.parent, order.enterprise) == (case, case.enterprise)
    assert list(order.findings.all()) == [row]
    assert order.title in client.get(case.get_absolute_url()).content.decode()
    do_withdraw = {"version": order.version, "text": "不需要"}
    client.post(reverse("cases:act", args=[order.pk, "withdraw"]), do_withdraw)
    row.refresh_from_db()
    assert row.state == Finding.State.IN_CASE  # the case still has it


def test_the_enterprise_knows_nothing_of_it(city):
    row = finding(city)
    case = services.open_case(city.dispatcher, [row], TASK, flow="handling", now=NOW)
    dispatched(city, case)
    assert not Case.objects.restrict(city.enterprise, "case.view").exists()


def test_delays_rise_to_the_leader(city):
    case = handle(city)
    late = NOW + timedelta(days=30)
    tasks.tick(late)
    assert selectors.waiting_for(city.leader).get() == case
    told = Message.objects.filter(kind="overdue").values_list("user__username", flat=True)
    assert set(told) == {"dispatcher", "leader"}


def test_a_case_that_was_refused_and_dismissed_comes_back_to_its_district(city):
    """Nobody leads it then: it must not wait for the city centre, where nobody could act."""
    case = dispatched(city)
    do(city.district, case, "refuse")
    do(city.dispatcher, case, "dismiss")
    case = do(city.dispatcher, case, "reopen")
    assert case.department == city.districts[0]
    assert selectors.waiting_for(city.district).get() == case


def test_who_need_not_act_any_more_need_not_read_that_he_must(city):
    case = dispatched(city)
    mine = Message.objects.filter(user=city.district, kind="turn", url=case.get_absolute_url())
    assert mine.get().read is None
    do(city.district, case, "sign")
    assert mine.get().read == NOW
    do(city.district, case, "nothing")
    told = Message.objects.filter(user=city.dispatcher, kind="turn", read=None)
    assert case.get_absolute_url() in told.values_list("url", flat=True)
    do(city.dispatcher, case, "confirm")  # over: nobody is left with anything to do
    assert not Message.objects.filter(url=case.get_absolute_url(), read=None).exists()
