"""Login with its pauses, logout, profile, password, language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

import world as worlds
from jingwei.bureau.accounts import throttle
from jingwei.bureau.accounts.throttle import LoginFailure

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


@pytest.fixture
def world() -> worlds.World:
    made = worlds.build()
    user = made.users["dispatcher"]
    user.set_password(worlds.PASSWORD)
    user.save()
    return made


def attempt(client: Client, password: str, name: str = "dispatcher", address: str = "192.0.2.7"):
    return client.post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def test_login_leads_to_the_page_that_was_asked_for(world: worlds.World, client: Client) -> None:
    asked = client.get("/accounts/profile/")
    assert asked.status_code == 302
    answer = client.post(
        asked["Location"],
        {"username": "dispatcher", "password": worlds.PASSWORD, "next": "/accounts/profile/"},
    )
    assert answer["Location"] == "/accounts/profile/"


def test_login_leads_to_no_other_site(world: worlds.World, client: Client) -> None:
    answer = client.post(
        LOGIN + "?next=https://evil.example/",
        {"username": "dispatcher", "password": worlds.PASSWORD},
    )
    assert answer["Location"] == reverse("console:home")


def test_six_failures_demand_a_pause_even_of_the_right_password(
    world: worlds.World, client: Client
) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(throttle.FREE + 1):
            assert attempt(client, "wrong").status_code == 200
        refused = attempt(client, worlds.PASSWORD)
        assert refused.status_code == 429
        assert "15" in refused.content.decode()
        assert "_auth_user_id" not in client.session
        # Neither another name nor another address is kept out.
        assert attempt(Client(), worlds.PASSWORD, address="192.0.2.8").status_code == 302
        assert attempt(Client(), "x", name="auditor").status_code == 200
        clock.shift(timedelta(seconds=throttle.FIRST_PAUSE))
        assert attempt(client, worlds.PASSWORD).status_code == 302
        assert client.session["_auth_user_id"]


def test_a_refused_attempt_makes_the_pause_no_longer(world: worlds.World, client: Client) -> None:
    with time_machine.travel(NOW, tick=False):
        for _ in range(throttle.FREE + 4):
            attempt(client, "wrong")
        assert LoginFailure.objects.get().count == throttle.FREE + 1


def test_the_right_password_clears_the_failures(world: worlds.World, client: Client) -> None:
    for _ in range(throttle.FREE):
        attempt(client, "wrong")
    assert attempt(client, worlds.PASSWORD).status_code == 302
    assert not LoginFailure.objects.exists()


def test_the_name_is_the_same_in_capitals_and_with_spaces() -> None:
    for name in ("Wang", " wang", "WANG "):
        throttle.failed(name, "a", NOW)
    assert LoginFailure.objects.get().count == 3


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 0), (5, 0), (6, 15), (7, 30), (8, 60), (11, 480), (12, 900), (500, 900)],
)
def test_the_pause_doubles_up_to_a_quarter_of_an_hour(failures: int, seconds: int) -> None:
    LoginFailure.objects.create(key=throttle._key("w", "a"), count=failures, last=NOW)
    assert throttle.wait("w", "a", NOW) == seconds
    assert throttle.wait("w", "a", NOW + timedelta(seconds=seconds)) == 0


def test_old_failures_are_forgotten_and_deleted() -> None:
    for _ in range(20):
        throttle.failed("w", "a", NOW)
    later = NOW + throttle.FORGET
    assert throttle.wait("w", "a", later) == 0
    throttle.failed("v", "b", later)
    assert LoginFailure.objects.count() == 1


def test_logout_needs_a_post(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/")["Location"] == LOGIN
    assert client.get("/accounts/profile/").status_code == 302


def test_profile_names_role_department_and_area(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["grid"])
    page = client.get("/accounts/profile/").content.decode()
    assert "网格员" in page
    assert "市指挥中心 › 第一分中心 › 朝阳网格站" in page
    assert "朝阳区" in page


def test_profile_of_an_enterprise_names_it(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["enterprise"])
    page = client.get("/accounts/profile/").content.decode()
    assert world.enterprise.name in page
    assert world.enterprise.uscc in page


def test_password_change_keeps_this_session_and_ends_the_others(world: worlds.World) -> None:
    here, there = Client(), Client()
    for client in (here, there):
        assert client.login(username="dispatcher", password=worlds.PASSWORD)
    wrong = here.post(
        "/accounts/password/",
        {"old_password": "no", "new_password1": "q-7-Jing-Wei", "new_password2": "q-7-Jing-Wei"},
    )
    assert wrong.status_code == 200
    assert "field-error" in wrong.content.decode()
    changed = here.post(
        "/accounts/password/",
        {
            "old_password": worlds.PASSWORD,
            "new_password1": "q-7-Jing-Wei",
            "new_password2": "q-7-Jing-Wei",
        },
        follow=True,
    )
    assert "密码已修改" in changed.content.decode()
    assert there.get("/accounts/profile/").status_code == 302
    assert Client().login(username="dispatcher", password="q-7-Jing-Wei")


def test_language_switch_stays_on_the_page(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["auditor"])
    assert "我的账号" in client.get("/accounts/profile/").content.decode()
    answer = client.post("/accounts/language/", {"language": "en", "next": "/accounts/profile/"})
    assert answer["Location"] == "/accounts/profile/"
    page = client.get("/accounts/profile/").content.decode()
    assert "My account" in page
    assert '<html lang="en"' in page
    client.post("/accounts/language/", {"language": "zh-hans", "next": "/accounts/profile/"})
    assert "我的账号" in client.get("/accounts/profile/").content.decode()


def test_language_switch_leads_to_no_other_site(client: Client) -> None:
    answer = client.post("/accounts/language/", {"language": "en", "next": "https://evil.example/"})
    assert answer["Location"] == "/"
