"""Who stands in for whom, what a matter opens, and that the record says so."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError

import world as worlds
from jingwei.bureau.accounts import services
from jingwei.bureau.accounts.models import Department, Jurisdiction, Substitution, User
from jingwei.bureau.accounts.services import Refused, call_off, substitute
from jingwei.bureau.cases import services as cases
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.cases.selectors import timeline, waiting_for
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import said_digest
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Enterprise

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)


@pytest.fixture
def world(db: None, data: object) -> worlds.World:
    return worlds.build()


def again(user: User) -> User:
    """As the next request reads it."""
    return User.objects.get(pk=user.pk)


def arrange(
    world, absent="district", by="district_elsewhere", first=0, last=3, **more
) -> Substitution:
    by_whom = more.pop("user", world.users[absent])
    return substitute(
        by_whom,
        world.users[absent],
        world.users[by],
        TODAY + timedelta(first),
        TODAY + timedelta(last),
        more.pop("reason", "休假"),
        NOW,
    )


# --- substitutes --------------------------------------------------------------------------------


def test_a_substitute_sees_what_the_absent_one_sees_and_loses_it_again(world) -> None:
    by = world.users["district_elsewhere"]
    arrange(world, first=1, last=2)

    def enterprises() -> int:
        return Enterprise.objects.restrict(again(by), "enterprise.view").count()

    for day, seen in ((0, 0), (1, 1), (2, 1), (3, 0)):
        with time_machine.travel(NOW + timedelta(days=day), tick=False):
            assert enterprises() == seen, day
            assert again(by).areas() == (["110105", "110108"] if seen else ["110108"])


def test_called_off_is_over_at_once(world) -> None:
    row = arrange(world)
    with time_machine.travel(NOW, tick=False):
        assert len(again(world.users["district_elsewhere"]).acts_for()) == 2
        call_off(world.users["district"], row, NOW)
        assert len(again(world.users["district_elsewhere"]).acts_for()) == 1
        with pytest.raises(Refused):
            call_off(world.users["district"], row, NOW)
    kinds = EvidenceEntry.objects.filter(kind="substitution").values_list("content", flat=True)
    assert len(kinds) == 2
    assert not any("王" in content for content in kinds)
    numbers = {"absent": row.absent_id, "substitute": row.substitute_id, "reason": row.reason}
    for entry in EvidenceEntry.objects.filter(kind="substitution"):
        told = json.loads(entry.content)["content"]
        assert set(told) == {"act", "role", "begins", "ends", "said"}
        assert told["said"] == said_digest(numbers, entry.salt)


def test_who_arranges(world) -> None:
    with pytest.raises(Refused):
        arrange(world, user=world.users["district_elsewhere"])
    with pytest.raises(Refused):
        arrange(world, user=world.users["auditor"])
    assert arrange(world, user=world.users["dispatcher"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "district"},
        {"by": "grid"},
        {"by": "dispatcher"},
        {"by": "admin"},
        {"first": 3, "last": 1},
        {"first": -3, "last": -1},
        {"last": 400},
        {"reason": "  "},
    ],
)
def test_what_is_refused(world, wrong) -> None:
    with pytest.raises(Refused):
        arrange(world, **wrong)
    assert not Substitution.objects.exists()


def test_one_substitute_at_a_time_and_no_chain(world) -> None:
    third = User.objects.create(
        username="third", role="district", department=world.departments["d2"]
    )
    world.users["third"] = third
    arrange(world, first=0, last=3)
    with pytest.raises(Refused):
        arrange(world, by="third", first=3, last=5)
    with pytest.raises(Refused):
        arrange(world, absent="third", by="district", first=2, last=2)
    assert arrange(world, by="third", first=4, last=5)


def test_the_database_refuses_what_makes_no_sense(world) -> None:
    user = world.users["district"]
    with pytest.raises(IntegrityError):
        Substitution.objects.create(
            absent=user, substitute=user, begins=TODAY, ends=TODAY, reason="x", made_by=user
        )


def test_nobody_stands_in_for_an_administrator(world) -> None:
    User.objects.filter(pk=world.users["district"].pk).update(is_superuser=True)
    world.users["district"].refresh_from_db()
    with pytest.raises(Refused, match=r"administrator|管理员"):
        arrange(world)
    assert not Substitution.objects.exists()


def test_a_change_of_role_ends_what_a_substitute_may(world) -> None:
    arrange(world)
    User.objects.filter(username="district_elsewhere").update(role="grid")
    with time_machine.travel(NOW, tick=False):
        assert len(again(world.users["district_elsewhere"]).acts_for()) == 1


def test_a_substitute_acts_and_the_event_says_in_whose_place(world) -> None:
    with time_machine.travel(NOW, tick=False):
        case = cases.open_case(
            world.users["dispatcher"],
            [worlds.finding(world)],
            {"title": "督办单", "text": "限期整改", "basis": "许可证"},
            now=NOW,
        )
        cases.act(world.users["dispatcher"], case.pk, "issue", 1, {"days": "5"}, now=NOW)
        by = world.users["district_elsewhere"]
        assert not waiting_for(again(by)).exists()
        with pytest.raises(Case.DoesNotExist):
            cases.act(again(by), case.pk, "sign", 2, now=NOW)
        arrange(world)
        assert [c.pk for c in waiting_for(again(by))] == [case.pk]
        event = cases.act(again(by), case.pk, "sign", 2, now=NOW)
        assert event.data["instead_of"] == world.users["district"].pk
        assert event.actor == by
        shown = timeline(world.users["dispatcher"], case)[-1]
        assert shown.instead_of == world.users["district"]
        # In one's own place nothing is said.
        own = cases.act(world.users["dispatcher"], case.pk, "comment", 3, {"text": "快"}, now=NOW)
        assert "instead_of" not in own.data
    assert CaseEvent.objects.filter(data__has_key="instead_of").count() == 1


# --- area and matter ----------------------------------------------------------------------------


def seen(user: User, **more) -> set[str]:
    rows = Finding.objects.restrict(again(user), "finding.view").filter(**more)
    return set(rows.values_list("kind", flat=True))


def test_a_department_sees_its_matters_in_its_areas(world) -> None:
    for n, (kind, region) in enumerate(
        [("bare_land", "region"), ("fire", "region"), ("water", "region"), ("fire", "elsewhere")]
    ):
        worlds.finding(
            world,
            kind=kind,
            episode=str(n),
            region=getattr(world, region),
            enterprise=None,
            point=None,
        )
    user = world.users["department"]
    assert seen(user) == {"bare_land", "fire", "water"}
    rows = Jurisdiction.objects.filter(department=world.departments["housing"])
    rows.update(matter="construction")
    assert seen(user) == {"bare_land"}
    rows.update(matter="fire")  # a kind is a matter too
    assert seen(user) == {"fire"}
    Jurisdiction.objects.create(department=world.departments["housing"], area="", matter="water")
    assert seen(user) == {"fire", "water"}
    assert seen(user, region="110108") == set()
    rows.filter(matter="fire").update(area="")
    assert seen(user, region="110108") == {"fire"}
    # What has no matter is seen by area alone.
    assert Enterprise.objects.restrict(again(user), "enterprise.view").exists()
    rows.all().delete()
    assert seen(user) == set()


def test_two_areas_with_two_matters_do_not_mix(world) -> None:
    housing = world.departments["housing"]
    housing.jurisdictions.all().delete()
    Jurisdiction.objects.create(department=housing, area="110105", matter="water")
    Jurisdiction.objects.create(department=housing, area="110108", matter="fire")
    for n, (kind, region) in enumerate(
        [("water", "region"), ("fire", "region"), ("water", "elsewhere"), ("fire", "elsewhere")]
    ):
        worlds.finding(
            world,
            kind=kind,
            episode=str(n),
            region=getattr(world, region),
            enterprise=None,
            point=None,
        )
    assert seen(world.users["department"], region="110105") == {"water"}
    assert seen(world.users["department"], region="110108") == {"fire"}


def test_without_a_department_there_is_no_row(world) -> None:
    worlds.finding(world)
    user = User.objects.create(username="lost", role="grid")
    assert seen(user) == set()
    user.department = Department.objects.create(code="bare", name="无管辖", kind="grid")
    user.save()
    assert seen(user) == set()


def test_the_longest_substitution_is_a_year(world) -> None:
    assert services.LONGEST == 366
    assert arrange(world, last=365)
