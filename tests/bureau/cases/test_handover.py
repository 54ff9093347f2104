"""Hand-over: what waits for one person goes to another, and what that changes for whom."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bureau.cases import city as cities
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import checks, services
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.handover import hand_over, matters
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.selectors import timeline, waiting_for
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


def test_clocks_versions_and_other_roles_stay(city, case) -> None:
    before = Case.objects.filter(pk=case.pk).values().get()
    give(city, case)
    after = Case.objects.filter(pk=case.pk).values().get()
    assert after.pop("holder_id") == city.people["grid2"].pk
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
