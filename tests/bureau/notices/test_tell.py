"""Who is told what, once, in both languages, and which rows of the outbox come of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

import world as worlds
from jingwei.bureau.accounts.models import Substitution, User
from jingwei.bureau.accounts.selectors import people
from jingwei.bureau.notices.models import KINDS, Channel, Delivery, Message, Preference, Way
from jingwei.bureau.notices.services import after_quiet_hours, tell

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # Friday, 10:00 in Beijing


def who(**filters: object) -> set[str]:
    return set(Message.objects.filter(**filters).values_list("user__username", flat=True))


def substitute(world: worlds.World, absent: str, by: str, first: int, last: int, **more) -> None:
    Substitution.objects.create(
        absent=world.users[absent],
        substitute=world.users[by],
        begins=date(2026, 11, first),
        ends=date(2026, 11, last),
        reason="休假",
        made_by=world.users["admin"],
        **more,
    )


def test_a_department_is_everybody_active_in_it(world: worlds.World) -> None:
    User.objects.filter(username="auditor").update(department=world.departments["d1"])
    User.objects.create(username="gone", department=world.departments["d1"], is_active=False)
    assert tell(world.departments["d1"], gettext_lazy("Findings"), kind="case", now=NOW) == 2
    assert who() == {"district", "auditor"}


def test_a_query_a_person_and_a_department_are_told_once_each(world: worlds.World) -> None:
    both = [world.users["district"], world.departments["d1"], world.users["grid"]]
    assert tell(both, gettext_lazy("Findings"), kind="case") == 2
    assert tell(people("grid", area="110105"), gettext_lazy("Findings"), kind="case") == 1
    assert who(kind="case") == {"district", "grid"}


def test_people_of_a_role_and_a_place(world: worlds.World) -> None:
    def names(**asked: object) -> set[str]:
        return {u.username for u in people(**asked)}

    assert names(role="district", area="110105") == {"district"}
    assert names(role="district", area="110108") == {"district_elsewhere"}
    assert names(role="grid", area="110108") == set()
    assert names(role="dispatcher", area="110108") == {"dispatcher"}
    assert names(role="enterprise", enterprise=world.enterprise.uscc) == {"enterprise"}
    world.departments["housing"].jurisdictions.update(matter="water")
    assert names(role="department", area="110105", matter="water") == {"department"}
    assert names(role="department", area="110105", matter="urban") == set()


def test_both_languages_are_kept_whatever_the_writers_is(world: worlds.World) -> None:
    tell(world.users["grid"], lambda: _("Cases") + " 7", kind="turn", url="/cases/7/")
    message = Message.objects.get()
    assert (message.text_zh, message.text_en) == ("案件 7", "Cases 7")
    assert message.url == "/cases/7/"


def test_the_same_key_is_told_once_but_to_everybody(world: worlds.World) -> None:
    assert tell(world.users["grid"], "a", kind="case", key="case:1:2") == 1
    assert (
        tell([world.users["grid"], world.users["district"]], "b", kind="case", key="case:1:2") == 1
    )
    assert who(text_zh="a") == {"grid"}
    assert who(text_zh="b") == {"district"}


def test_who_did_it_is_not_told(world: worlds.World) -> None:
    to = [world.users["grid"], world.users["district"]]
    assert tell(to, "a", kind="case", besides=world.users["grid"]) == 1
    assert who() == {"district"}


@pytest.mark.parametrize(
    ("first", "last", "more", "told"),
    [
        (20, 20, {}, True),
        (18, 21, {}, True),
        (21, 25, {}, False),
        (10, 19, {}, False),
        (18, 21, {"ended": NOW}, False),
    ],
)
def test_a_substitute_is_told_in_the_days_of_the_absence(
    world: worlds.World, first: int, last: int, more: dict, told: bool
) -> None:
    substitute(world, "district", "district_elsewhere", first, last, **more)
    tell(world.users["district"], "a", kind="turn", now=NOW)
    assert who() == {"district"} | ({"district_elsewhere"} if told else set())
    mailed = set(Delivery.objects.values_list("message__user__username", flat=True))
    assert mailed == {"district_elsewhere" if told else "district"}
    if told:
        assert who(instead_of=world.users["district"]) == {"district_elsewhere"}


def test_the_days_of_an_absence_are_local_days(world: worlds.World) -> None:
    substitute(world, "district", "district_elsewhere", 20, 20)
    # 2026-11-19 16:00 UTC is midnight of the 20th in Beijing.
    tell(world.users["district"], "a", kind="case", now=datetime(2026, 11, 19, 16, 0, tzinfo=UTC))
    assert who() == {"district", "district_elsewhere"}


def test_it_stands_or_falls_with_the_act(world: worlds.World) -> None:
    def act() -> None:
        with transaction.atomic():
            tell(world.users["grid"], "a", kind="turn")
            assert Delivery.objects.count() == 1
            raise RuntimeError("the act fails after all")

    with pytest.raises(RuntimeError):
        act()
    assert not Message.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_write_outside_of_a_transaction(data: object) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        tell([], "a", kind="turn")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "gossip"},
        {"url": "https://evil.example/"},
        {"url": "//evil.example/"},
        {"text": "  "},
        {"key": "x" * 121},
    ],
)
def test_nonsense_is_refused(world: worlds.World, wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        tell(world.users["grid"], **{"text": "a", "kind": "turn", **wrong})
    assert not Message.objects.exists()


# --- ways ---------------------------------------------------------------------------------------


def test_mail_goes_to_whom_it_is_chosen_and_has_an_address(world: worlds.World) -> None:
    Preference.objects.create(user=world.users["grid"], ways={"turn": []})
    Preference.objects.create(user=world.users["district"], ways={"case": [Way.MAIL]})
    User.objects.filter(username="dispatcher").update(email="")
    everybody = User.objects.filter(username__in=["grid", "district", "dispatcher", "auditor"])
    tell(everybody, "a", kind="turn")
    mailed = Delivery.objects.filter(way=Way.MAIL)
    assert set(mailed.values_list("message__user__username", flat=True)) == {"district", "auditor"}
    mailed.delete()
    tell(everybody, "a", kind="case")
    assert [d.message.user.username for d in Delivery.objects.all()] == ["district"]


def test_without_a_mail_server_nothing_piles_up(world: worlds.World, settings) -> None:
    from dataclasses import replace

    settings.ENV = replace(settings.ENV, mail="", webhook_hosts=())
    tell(world.users["grid"], "a", kind="overdue")
    assert Message.objects.count() == 1
    assert not Delivery.objects.exists()


def test_a_robot_says_once_what_many_of_its_department_are_told(world: worlds.World) -> None:
    city = Channel.objects.create(
        name="市群", department=world.departments["city"], format="wecom", address="http://x/"
    )
    grids = Channel.objects.create(
        name="网格群", department=world.departments["g1"], format="wecom", address="http://x/"
    )
    Channel.objects.create(
        name="停用",
        department=world.departments["d1"],
        format="wecom",
        address="http://x/",
        active=False,
    )
    to = [world.users[n] for n in ("grid", "district", "district_elsewhere", "enterprise")]
    tell(to, "a", kind="overdue")
    found = {d.channel: set(d.people) for d in Delivery.objects.filter(way=Way.ROBOT)}
    assert found == {
        grids: {world.users["grid"].pk},
        city: {world.users["district"].pk, world.users["district_elsewhere"].pk},
    }


def test_telling_many_costs_no_more_queries_than_telling_one(world: worlds.World) -> None:
    User.objects.bulk_create(
        User(username=f"u{n}", email=f"u{n}@example.org", department=world.departments["d1"])
        for n in range(50)
    )
    with CaptureQueriesContext(
        connection,
    ) as one:
        tell(world.users["grid"], "a", kind="turn", key="k1")
    with CaptureQueriesContext(connection) as many:
        assert tell(world.departments["d1"], "a", kind="turn", key="k2") == 51
    assert len(many) == len(one) <= 6


# --- quiet hours --------------------------------------------------------------------------------


def test_quiet_hours_hold_back_all_but_what_is_urgent(world: worlds.World) -> None:
    Preference.objects.create(user=world.users["grid"], quiet_from=time(22), quiet_to=time(7, 30))
    night = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # 23:00
    tell(world.users["grid"], "a", kind="turn", now=night)
    tell(world.users["grid"], "b", kind="turn", now=night, urgent=True)
    due = {d.message.text_zh: d.due for d in Delivery.objects.select_related("message")}
    assert due == {"a": datetime(2026, 11, 20, 23, 30, tzinfo=UTC), "b": night}


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    begin=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    end=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
def test_the_end_of_quiet_hours_is_never_quiet_and_never_past(now, begin, end) -> None:
    chosen = Preference(quiet_from=begin, quiet_to=end)
    due = after_quiet_hours(chosen, now)
    assert due >= now
    assert (due - now).total_seconds() <= 86400
    assert after_quiet_hours(chosen, due) == due


def test_every_kind_has_a_name_and_known_ways() -> None:
    for name, kind in KINDS.items():
        assert str(kind.label), name
        assert set(kind.ways) <= set(Way)
        assert len(name) <= 16
