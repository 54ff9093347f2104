"""Home, navigation, system page, error pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.http import Http404
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.safestring import mark_safe

import world as worlds
from jingwei.bureau.access import PERMISSIONS, Role
from jingwei.bureau.console import context, views
from jingwei.bureau.console.templatetags import shell
from jingwei.telemetry import health
from jingwei.telemetry.journal import Journal, Telegram

ROLES = ["dispatcher", "district", "grid", "department", "enterprise", "auditor", "admin"]


@pytest.fixture
def world(db: None, data: object) -> worlds.World:
    return worlds.build()


def login(world: worlds.World, role: str) -> Client:
    client = Client()
    client.force_login(world.users[role])
    return client


def nav(page: str) -> list[str]:
    return re.findall(r'class="nav-item" href="([^"]+)" title="', page)


# Home ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_home_opens_for_every_role(world: worlds.World, role: str) -> None:
    worlds.finding(world)
    page = login(world, role).get("/").content.decode()
    assert 'data-points="/monitoring/map.geojson"' in page
    assert 'id="stat-online"' in page


def test_navigation_holds_what_the_role_may(world: worlds.World) -> None:
    everything = [reverse(section.view) for section in context.SECTIONS]
    assert nav(login(world, "dispatcher").get("/").content.decode()) == everything
    for role in Role:
        allowed = [reverse(s.view) for s in context.SECTIONS if role in PERMISSIONS[s.action]]
        assert nav(login(world, role).get("/").content.decode()) == allowed
    assert reverse("console:system") not in nav(
        login(world, "enterprise").get("/").content.decode()
    )


def test_administration_is_a_section_for_superusers_alone(world: worlds.World) -> None:
    assert nav(login(world, "admin").get("/").content.decode())[-1] == reverse("admin:index")
    officer = world.users["dispatcher"]
    officer.is_staff = True
    officer.save()
    assert reverse("admin:index") not in nav(login(world, "dispatcher").get("/").content.decode())


@pytest.mark.parametrize(
    ("role", "own"),
    [
        ("dispatcher", None),
        ("auditor", None),
        ("admin", None),
        ("district", "110105"),
        ("grid", "110105"),
        ("department", "110105"),
        ("enterprise", ""),
    ],
)
def test_the_map_is_framed_to_the_jurisdiction(
    world: worlds.World, role: str, own: str | None
) -> None:
    page = login(world, role).get("/").content.decode()
    assert re.findall(r' data-own="([^"]*)"', page) == ([] if own is None else [own])


@pytest.mark.parametrize("section", context.SECTIONS, ids=lambda s: s.view)
def test_the_current_section_is_marked_once(world: worlds.World, section: context.Section) -> None:
    page = login(world, "dispatcher").get(reverse(section.view)).content.decode()
    marked = re.findall(r'class="nav-item" href="([^"]+)"[^>]* aria-current="page"', page)
    assert marked == [reverse(section.view)]


def test_new_findings_stand_on_home_and_count_for_those_who_judge(world: worlds.World) -> None:
    finding = worlds.finding(world)
    for role, counted in [("dispatcher", True), ("district", True), ("auditor", False)]:
        page = login(world, role).get("/").content.decode()
        assert finding.get_absolute_url() in page
        assert ('class="count" title="条新线索"' in page) is counted
    for role in ("district_elsewhere", "department"):
        page = login(world, role).get("/").content.decode()
        assert (finding.get_absolute_url() in page) is (role == "department")


def test_figures_of_an_enterprise_are_its_own(world: worlds.World) -> None:
    side = login(world, "enterprise").get("/home/side/").content.decode()
    assert re.search(r'stat-value">0<small>/ 1</small>', side)
    assert "/monitoring/?kind=source" in side
    side = login(world, "dispatcher").get("/home/side/").content.decode()
    assert re.search(r'stat-value">0<small>/ 2</small>', side)


def test_home_asks_the_database_no_more_for_many_rows_than_for_one(
    world: worlds.World,
) -> None:
    client = login(world, "dispatcher")
    worlds.finding(world)
    with CaptureQueriesContext(connection) as one:
        client.get("/")
    for number in range(5):
        worlds.finding(world, episode=f"many/{number}")
    with CaptureQueriesContext(connection) as many:
        client.get("/")
    assert len(many) == len(one) <= 26


def test_side_is_a_fragment_and_is_not_kept(world: worlds.World) -> None:
    answer = login(world, "grid").get("/home/side/", headers={"HX-Request": "true"})
    assert b"<html" not in answer.content
    assert "no-store" in answer["Cache-Control"]


def test_side_warns_the_office_of_a_system_that_is_not_well(world: worlds.World) -> None:
    warning = 'href="/system/">'
    page = login(world, "dispatcher").get("/home/side/").content.decode()
    banner = page[page.index(warning) : page.index("</ul>", page.index(warning))]
    assert "后台处理" in banner  # which part, and when it was looked at
    assert re.search(r"截至 \d\d:\d\d:\d\d", banner)
    assert "数据库" not in banner  # is well
    assert warning not in login(world, "enterprise").get("/home/side/").content.decode()


@pytest.mark.parametrize(
    ("rate", "shown"), [(None, ""), (1.0, "100"), (0.99996, "99.9"), (0.9, "90"), (0.0, "0")]
)
def test_a_transmission_rate_is_never_rounded_up(rate: float | None, shown: str) -> None:
    from jingwei.bureau.console.selectors import Side
    from jingwei.bureau.monitoring.selectors import KeyFigures

    side = Side(datetime.now(UTC), KeyFigures(0, 0, rate, 0), {}, {}, [], 0, [], 0, [], [], [])
    assert side.transmission_percent == shown


def test_the_navigation_stays_narrow(world: worlds.World) -> None:
    client = login(world, "auditor")
    assert 'class="nav-collapsed"' not in client.get("/").content.decode()
    client.cookies["nav"] = "narrow"
    assert 'class="nav-collapsed"' in client.get("/").content.decode()


@pytest.mark.parametrize(("language", "word"), [("zh-hans", "图例"), ("en", None)])
def test_js_translations(client: Client, language: str, word: str | None) -> None:
    answer = client.get(f"/i18n/{language}.js")
    assert answer["Content-Type"].startswith("text/javascript")
    assert ("\\u56fe\\u4f8b" in answer.content.decode()) is bool(word)
    again = client.get(f"/i18n/{language}.js", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


@pytest.mark.django_db
def test_js_translations_of_an_unknown_language(client: Client) -> None:
    assert client.get("/i18n/xx.js").status_code == 404


# System --------------------------------------------------------------------------------------


def refuse(settings: object, *telegrams: tuple[str, bytes]) -> None:
    journal = Journal(settings.ENV.refused)  # type: ignore[attr-defined]
    now = datetime.now(UTC)
    journal.append([Telegram(now, "192.0.2.1:5000", raw, reason) for reason, raw in telegrams])
    journal.close()


def test_system_shows_refused_telegrams_without_their_password(
    world: worlds.World, settings: object
) -> None:
    refuse(
        settings,
        ("unknown_mn", b"##0025QN=1;ST=31;PW=654321;MN=9;\xff\xfe<b>x\r\n"),
        ("crc", b"##0003abcFFFF\r\n"),
    )
    client = login(world, "auditor")
    page = client.get("/system/").content.decode()
    assert "设备编号（MN）未登记 (1)" in page
    assert "654321" not in page
    assert "PW=******;MN=9;\\xff\\xfe&lt;b&gt;x" in page
    page = client.get("/system/?reason=crc").content.decode()
    assert "abcFFFF" in page
    assert "MN=9" not in page


def test_system_shows_who_is_connected(world: worlds.World, settings: object) -> None:
    run = settings.ENV.run  # type: ignore[attr-defined]
    health.table(
        run,
        "gateway",
        peers={
            "192.0.2.9": {
                "open": 2,
                "accepted": 70,
                "refused": {"crc": 3},
                "cut": {"idle": 1},
                "last": datetime.now(UTC).isoformat(),
            }
        },
        strangers={"STRANGER01": {}},
        devices={},
    )
    health.beat(run, "worker", errors={"cases": "ValueError: broken"})
    page = login(world, "dispatcher").get("/system/").content.decode()
    for text in ("192.0.2.9", "校验码错误 3", "长时间无数据 1", "STRANGER01", "ValueError: broken"):
        assert text in page


def test_system_survives_a_damaged_store(world: worlds.World, settings: object) -> None:
    refuse(settings, ("crc", b"##"))
    root = settings.ENV.refused  # type: ignore[attr-defined]
    (path,) = root.rglob("*.sqlite3") if list(root.rglob("*.sqlite3")) else root.rglob("*.sqlite")
    path.write_bytes(b"no database")
    assert login(world, "dispatcher").get("/system/").status_code == 200


# Error pages ---------------------------------------------------------------------------------


def test_404_says_what_to_do_to_everybody(world: worlds.World, client: Client) -> None:
    for user in (client, login(world, "grid")):
        answer = user.get("/no/such/page")
        assert answer.status_code == 404
        assert "没有这个页面" in answer.content.decode()
        assert 'href="/"' in answer.content.decode()


def test_403_for_a_role_that_may_not(world: worlds.World) -> None:
    answer = login(world, "enterprise").get("/system/")
    assert answer.status_code == 403
    assert "您的角色无权打开此页" in answer.content.decode()


def test_400(rf: RequestFactory, world: worlds.World) -> None:
    request = rf.get("/x")
    request.user = world.users["grid"]
    answer = views.error_400(request, Http404())
    assert answer.status_code == 400
    assert "无法理解此请求" in answer.content.decode()


def test_an_expired_form_says_that_nothing_was_saved(world: worlds.World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.users["grid"])
    answer = client.post("/accounts/password/", {"old_password": "x"})
    assert answer.status_code == 403
    assert "表单已失效" in answer.content.decode()
    assert 'class="error-page"' in answer.content.decode()  # console.js keeps the draft by it


def test_who_sends_a_form_without_a_session_comes_back_to_its_page(
    world: worlds.World, client: Client
) -> None:
    """The act has no page of its own: after the login the browser finds form and draft."""
    act, page = "/findings/1/dismiss/", "http://testserver/findings/1/?a=b"
    answer = client.post(act, {"reason": "x"}, headers={"referer": page})
    assert answer["Location"] == "/accounts/login/?next=/findings/1/%3Fa%3Db"
    evil = client.post(act, headers={"referer": "https://evil.example/login"})
    assert evil["Location"] == f"/accounts/login/?next={act}"
    assert client.get(page, headers={"referer": "http://testserver/"})["Location"].endswith(
        "?next=/findings/1/%3Fa%3Db"
    )


def test_a_referer_never_leads_to_another_site(world: worlds.World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.users["grid"])
    for path in ("//evil.example/x", "///evil.example/x", "/\\evil.example/x"):
        came = {"referer": f"http://testserver{path}"}
        assert (
            "evil.example" not in client.post("/accounts/password/", headers=came).content.decode()
        )
        there = Client().post("/findings/1/dismiss/", headers=came)["Location"]
        assert there == "/accounts/login/?next=/findings/1/dismiss/"


def test_a_page_says_to_the_browser_whose_drafts_to_show(world: worlds.World) -> None:
    page = login(world, "grid").get("/").content.decode()
    assert f'data-user="{world.users["grid"].pk}"' in page
    assert re.search(r'action="/accounts/logout/" data-logout', page)
    assert "data-user" not in Client().get("/accounts/login/").content.decode()


def test_the_kept_options_know_neither_safe_texts_nor_foreign_values() -> None:
    shell._options.cache_clear()
    assert "<b>" not in shell.options([("1", mark_safe("<b>"))])
    assert "<b>" not in shell.options([("1", "<b>")])
    assert 'value="1" selected' in shell.options([("1", "<b>")], 1)
    before = shell._options.cache_info().currsize
    for n in range(5):
        assert "selected" not in shell.options([("1", "<b>")], f"made up {n}")
    assert shell._options.cache_info().currsize == before == 2


def test_500_needs_no_database(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    """Outside a database mark any query raises: the page makes none."""
    answer = views.error_500(rf.get("/cases/"))
    page = answer.content.decode()
    assert answer.status_code == 500
    (number,) = re.findall(r" · ([0-9a-f]{8})<", page)
    assert number in caplog.text


def test_a_failing_view_shows_the_500_page(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(user: object) -> None:
        raise RuntimeError("secret detail")

    client = login(world, "grid")
    client.raise_request_exception = False
    monkeypatch.setattr("jingwei.bureau.console.selectors.side", fail)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "系统出错了" in answer.content.decode()
    assert "secret detail" not in answer.content.decode()
