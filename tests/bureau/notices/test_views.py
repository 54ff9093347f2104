"""The pages of messages: everybody reads his own, the administrator looks into the outbox."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import translation

import world as worlds
from jingwei.bureau.notices.models import KINDS, Channel, Delivery, Message, Way
from jingwei.bureau.notices.services import tell

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@pytest.fixture
def client(world: worlds.World) -> Client:
    made = Client(headers={"accept-language": "en"})
    made.force_login(world.users["grid"])
    return made


@pytest.fixture
def admin(world: worlds.World) -> Client:
    made = Client(headers={"accept-language": "en"})
    made.force_login(world.users["admin"])
    return made


@pytest.fixture
def told(world: worlds.World) -> list[Message]:
    with transaction.atomic():
        for n, kind in enumerate(["turn", "turn", "overdue"]):
            tell(world.users["grid"], f"letter {n}", kind=kind, url=f"/cases/?q={n}", now=NOW)
        tell(world.users["district"], "for another", kind="turn", now=NOW)
    return list(Message.objects.filter(user=world.users["grid"]).order_by("pk"))


def unread(world: worlds.World, name: str = "grid") -> int:
    return Message.objects.filter(user=world.users[name], read=None).count()


def test_the_bell_counts_and_the_list_shows_ones_own(client: Client, told) -> None:
    page = client.get("/notices/").content.decode()
    assert page.count('class="count">3') == 2  # nav and bar
    assert all(f"letter {n}" in page for n in range(3))
    assert "for another" not in page
    answer = client.get("/notices/bell/").content.decode()
    assert answer.count("3<") == 2
    assert 'id="bell-bar"' in answer


def test_the_latest_stands_first_whenever_it_was_written(world, client: Client) -> None:
    with transaction.atomic():
        for hours in (2, 5, 1):
            at = NOW - timedelta(hours=hours)
            tell(world.users["grid"], f"letter {hours}", kind="turn", now=at)
    page = client.get("/notices/").content.decode()
    assert page.index("letter 1") < page.index("letter 2") < page.index("letter 5")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("kind=overdue", {2}),
        ("q=letter 1", {1}),
        ("unread=1", {1, 2}),
        ("kind=nonsense", {0, 1, 2}),
        ("q=%00", {0, 1, 2}),
        ("q=nowhere", set()),
    ],
)
def test_filters(client: Client, told, query: str, shown: set[int]) -> None:
    client.get(told[0].get_absolute_url())
    page = client.get(f"/notices/?{query}").content.decode()
    assert {n for n in range(3) if f"letter {n}<" in page} == shown


def test_opening_leads_to_the_page_and_reads(world, client: Client, told) -> None:
    answer = client.get(told[1].get_absolute_url())
    assert answer["Location"] == "/cases/?q=1"
    assert unread(world) == 2


def test_nobody_opens_or_marks_anothers_message(world, client: Client, told) -> None:
    other = Message.objects.get(user=world.users["district"])
    assert client.get(other.get_absolute_url()).status_code == 404
    client.post("/notices/mark/", {"pk": other.pk})
    client.post("/notices/mark/")
    assert unread(world, "district") == 1


def test_marking_one_those_shown_and_back(world, client: Client, told) -> None:
    client.post("/notices/mark/", {"pk": told[0].pk})
    assert unread(world) == 2
    client.post("/notices/mark/", {"pk": told[0].pk, "unread": "1"})
    assert unread(world) == 3
    client.post("/notices/mark/?kind=overdue")
    assert unread(world) == 2
    answer = client.post("/notices/mark/", {"next": "https://evil.example/"})
    assert answer["Location"] == "/notices/"
    assert unread(world) == 0
    client.post("/notices/mark/", {"pk": "x'"})


def test_choosing_ways_quiet_hours_and_language(world, client: Client) -> None:
    page = client.get("/notices/settings/").content.decode()
    assert 'name="ways_turn" value="mail" checked' in page
    said = {
        "email": "new@example.org",
        "language": "en",
        "quiet_from": "22:00",
        "quiet_to": "07:30",
        "ways_case": ["mail", "robot"],
    }
    assert client.post("/notices/settings/", said).status_code == 302
    user = type(world.users["grid"]).objects.get(username="grid")
    assert user.email == "new@example.org"
    assert user.preference.quiet_to == time(7, 30)
    assert user.preference.chosen("case") == (Way.MAIL, Way.ROBOT)
    assert user.preference.chosen("turn") == ()
    assert set(user.preference.ways) == set(KINDS)


def test_a_wrong_choice_keeps_what_was_typed(client: Client) -> None:
    said = {"email": "no address", "language": "en", "quiet_from": "22:00", "ways_case": ["mail"]}
    page = client.post("/notices/settings/", said).content.decode()
    assert "Give both times" in page
    assert 'value="no address"' in page
    assert 'name="ways_case" value="mail" checked' in page


def test_the_outbox_is_the_administrators(client: Client, admin: Client, told) -> None:
    for address in ("/notices/outbox/", "/notices/outbox/robots/new/"):
        assert client.get(address).status_code == 403
        assert admin.get(address).status_code == 200
    assert client.post("/notices/outbox/again/").status_code == 403


def test_what_was_given_up_is_shown_and_sent_again(admin: Client, told) -> None:
    row = Delivery.objects.first()
    Delivery.objects.filter(pk=row.pk).update(state="dead", error="SMTP 550: <no>", attempts=8)
    page = admin.get("/notices/outbox/?state=dead").content.decode()
    assert "SMTP 550: &lt;no&gt;" in page
    assert admin.post("/notices/outbox/again/", {"pk": row.pk}).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("waiting", 0)


def robot(world: worlds.World, **changes: str) -> dict[str, object]:
    return {
        "name": "市群",
        "department": world.departments["city"].pk,
        "format": "wecom",
        "address": "http://127.0.0.1:1/send?key=1",
        "active": "on",
        **changes,
    }


def test_a_robot_is_kept_tried_and_keeps_its_secret(world, admin: Client) -> None:
    said = robot(world, secret="S", **{"try": "1"})
    assert admin.post("/notices/outbox/robots/new/", said).status_code == 302
    row = Channel.objects.get()
    assert Delivery.objects.get().channel == row
    address = f"/notices/outbox/robots/{row.pk}/"
    page = admin.get(address).content.decode()
    assert 'value="S"' not in page
    admin.post(address, robot(world, name="新名"))
    row.refresh_from_db()
    assert (row.name, row.secret) == ("新名", "S")
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/", "http://127.0.0.1:1@evil.example/", "javascript:1"]
)
def test_a_robot_at_a_foreign_host_is_refused(world, admin: Client, address: str) -> None:
    page = admin.post("/notices/outbox/robots/new/", robot(world, address=address))
    assert page.status_code == 200
    assert not Channel.objects.exists()


def test_every_page_speaks_chinese(world, client: Client, admin: Client, told) -> None:
    with translation.override("zh-hans"):
        for who, address in (
            (client, "/notices/"),
            (client, "/notices/settings/"),
            (admin, "/notices/outbox/"),
        ):
            page = who.get(address, headers={"accept-language": "zh-hans"}).content.decode()
            assert "消息" in page
            assert "Messages" not in page
