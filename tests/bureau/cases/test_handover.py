"""Hand-over: what waits for one person goes to another, and what that changes for whom."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import F

from bureau.cases import city as cities
from bureau.cases.machine import person
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import checks, services, tasks
from jingwei.bureau.cases.errors import Refused, Stale
from jingwei.bureau.cases.handover import hand_over, matters
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.selectors import allowed, timeline, waiting_for
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.notices.models import Message

NOW = cities.NOW + timedelta(hours=1)


@pytest.fixture
def case(city) -> Case:
    """Waits for the first grid officer."""
    return cities.bring(city, cities.open_case(city), "answered")


def again(user: User) -> User:
    return User.objects.get(pk=user.pk)


def give(city, case, *, user=None, person=None, to=None, reason="调离岗位", cases=None):
    return hand_over(
        user or city.dispatcher,
        person or city.grid,
        to or city.people["grid2"],
        [case.pk] if cases is None else cases,
        reason,
        NOW,
    )


def test_it_waits_for_the_new_holder_alone(city, case) -> None:
    grid, grid2 = city.grid, city.people["grid2"]
    assert [c.pk for c in matters(grid)] == [case.pk]
    assert not waiting_for(again(grid2)).exists()
    [event] = give(city, case)
    assert not matters(grid).exists()
    assert [c.pk for c in waiting_for(again(grid2))] == [case.pk]
    assert (event.text, event.internal) == ("调离岗位", True)
    assert event.data == {"from": grid.pk, "to": grid2.pk}
    case.refresh_from_db()
    files = cities.files_for("verify")
    with pytest.raises(Refused, match=r"移交|handed over"):
        services.act(again(grid), case.pk, "verify", case.version, cities.FORMS["verify"], files)
    services.act(again(grid2), case.pk, "verify", case.version, cities.FORMS["verify"], files)
    assert list(checks.check()) == []


def test_it_can_be_handed_back(city, case) -> None:
    grid, grid2 = city.grid, city.people["grid2"]
    give(city, case)
    give(city, case, person=grid2, to=grid)
    assert [c.pk for c in matters(grid)] == [case.pk]
    assert not waiting_for(again(grid2)).exists()
    assert not Case.objects.restrict(again(grid2), "case.view").filter(pk=case.pk).exists()
    assert list(checks.check()) == []


def test_clocks_and_other_roles_stay(city, case) -> None:
    before = Case.objects.filter(pk=case.pk).values().get()
    give(city, case)
    after = Case.objects.filter(pk=case.pk).values().get()
    assert after.pop("holder_id") == city.people["grid2"].pk
    assert after.pop("version") == before.pop("version") + 1  # an open form is told of it
    before.pop("holder_id")
    assert after == before
    case.refresh_from_db()
    services.act(city.district, case.pk, "comment", case.version, {"text": "请加快"})


def test_who_left_gives_the_case_back_to_the_place(city, case) -> None:
    give(city, case)
    User.objects.filter(username="grid2").update(is_active=False)
    assert [c.pk for c in matters(city.grid)] == [case.pk]
    assert [c.pk for c in waiting_for(again(city.grid))] == [case.pk]


def test_event_leaf_and_message(city, case) -> None:
    Message.objects.all().delete()
    [event] = give(city, case)
    assert EvidenceEntry.objects.get(pk=event.evidence_id).kind == "case_event"
    message = Message.objects.get()
    assert message.user == city.people["grid2"]
    assert "调离岗位" in message.text_zh
    shown = timeline(city.dispatcher, case)[-1]
    assert [value for _label, value in shown.said] == [str(city.grid), str(city.people["grid2"])]


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "district"},
        {"user": "grid2"},
        {"user": "auditor"},
        {"to": "grid"},
        {"to": "district"},
        {"person": "enterprise", "to": "enterprise2"},
        {"person": "auditor"},
        {"reason": "  "},
        {"cases": []},
        {"cases": [10**9]},
    ],
)
def test_what_is_refused_changes_nothing(city, case, wrong) -> None:
    for name in ("user", "person", "to"):
        if name in wrong:
            wrong[name] = city.people[wrong[name]]
    events = case.events.count()
    with pytest.raises(Refused):
        give(city, case, **wrong)
    case.refresh_from_db()
    assert case.holder is None
    assert case.events.count() == events


def test_one_of_many_that_has_gone_on_stops_all(city, case) -> None:
    other = cities.bring(city, cities.open_case(city, 2), "issued")
    with pytest.raises(Refused):
        give(city, case, cases=[case.pk, other.pk])
    case.refresh_from_db()
    assert case.holder is None


def test_ones_own_matters_are_ones_own_to_give(city, case) -> None:
    assert give(city, case, user=city.grid)


def test_a_form_from_before_is_stale(city, case) -> None:
    version = case.version
    give(city, case)
    files = cities.files_for("verify")
    grid2 = again(city.people["grid2"])
    with pytest.raises(Stale):
        services.act(grid2, case.pk, "verify", version, cities.FORMS["verify"], files)


def lead(city, number=1) -> Case:
    """In handling, with the first district, in which there are two people."""
    if "district1b" not in city.people:
        person(city, "district1b", like="district")
    case = cities.handle(city, number)
    return cities.do(city.dispatcher, case, "dispatch", department=city.districts[0].pk)


def test_who_held_it_does_not_hold_it_in_another_department(city) -> None:
    """Passed on after a hand-over, it is the other department's, and can be given back."""
    case = lead(city)
    b = city.people["district1b"]
    give(city, case, user=city.district, person=city.district, to=b)
    cities.do(again(b), case, "transfer", department=city.districts[1].pk)
    assert case.holder is None
    assert [c.pk for c in waiting_for(again(city.district2))] == [case.pk]
    assert "sign" in [step.name for step in allowed(again(city.district2), case)]
    cities.do(again(city.district2), case, "give_back")
    for officer in (city.district, b):
        assert [c.pk for c in waiting_for(again(officer))] == [case.pk]
    assert list(checks.check()) == []


def test_who_held_an_order_does_not_hold_it_in_another_district(city) -> None:
    person(city, "district1b", like="district")
    order, b = cities.bring(city, cities.open_case(city), "issued"), city.people["district1b"]
    give(city, order, user=city.district, person=city.district, to=b)
    order.refresh_from_db()
    services.act(again(b), order.pk, "transfer", order.version, cities.FORMS["transfer"], now=NOW)
    order.refresh_from_db()
    assert order.holder is None
    assert "sign" in [step.name for step in allowed(again(city.district2), order)]
    assert not allowed(again(b), order)
    assert list(checks.check()) == []


def test_who_works_for_the_city_keeps_it_wherever_it_goes(city) -> None:
    person(city, "dispatcher2", like="dispatcher")
    case, to = cities.handle(city), city.people["dispatcher2"]
    give(city, case, person=city.dispatcher, to=to)
    with pytest.raises(Refused, match=r"移交|handed over"):
        cities.do(again(city.dispatcher), case, "dispatch", department=city.districts[0].pk)
    cities.do(again(to), case, "dispatch", department=city.districts[0].pk)
    assert case.holder == to


def test_a_grid_officer_keeps_it_while_it_stays_in_the_district(city) -> None:
    case, grid2 = lead(city), city.people["grid2"]
    for act in ("sign", "found", "rectified"):
        cities.do(city.district, case, act)
    give(city, case)
    cities.do(again(grid2), case, "reject")
    for act, who in (("rectified", city.district), ("verify", again(grid2))):
        cities.do(who, case, act)
    assert case.holder == grid2


def test_what_the_responsible_department_alone_may_do_stays_in_it(city) -> None:
    """Given to another district nobody could act: its people may not, the others do not hold it."""
    case = lead(city)
    with pytest.raises(Refused, match=str(case)):
        give(city, case, person=city.district, to=city.district2)
    case.refresh_from_db()
    assert case.holder is None


def test_the_citys_people_hand_over_among_themselves_what_is_late(city) -> None:
    case = lead(city)
    tasks.tick(case.due + timedelta(days=30))
    person(city, "dispatcher2", like="dispatcher")
    assert give(city, case, person=city.dispatcher, to=city.people["dispatcher2"])


def test_hand_overs_of_before_count_as_versions_after_the_migration(city, case) -> None:
    give(city, case)
    other = cities.bring(city, cities.open_case(city, 2), "issued")
    Case.objects.filter(pk=case.pk).update(version=F("version") - 1)
    assert any("its events say" in problem for problem in checks.check())
    migration = import_module("jingwei.bureau.cases.migrations.0010_handover_versions")
    migration.count(apps, SimpleNamespace(connection=connection))
    assert list(checks.check()) == []
    assert Case.objects.get(pk=other.pk).version == other.version
