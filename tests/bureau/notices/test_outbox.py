"""The outbox against a real SMTP server and a real HTTP server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import transaction

import world as worlds
from bureau.notices import servers
from jingwei.bureau.notices import outbox, robots, tasks, wire
from jingwei.bureau.notices.models import Channel, Delivery, Message, Preference, Way
from jingwei.bureau.notices.services import send_again, tell

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_under_way() -> Iterator[None]:
    yield
    while outbox._under_way:
        outbox._finish()
        time.sleep(0.01)


@pytest.fixture
def web() -> Iterator[servers.Web]:
    with servers.web() as made:
        yield made


@pytest.fixture
def mail(world: worlds.World, settings) -> Iterator[servers.Mail]:
    with servers.smtp() as made:
        settings.ENV = replace(settings.ENV, mail=f"smtp://127.0.0.1:{made.port}")
        yield made


@pytest.fixture
def robot(world: worlds.World, web: servers.Web, settings) -> Channel:
    settings.ENV = replace(settings.ENV, webhook_hosts=(web.origin,), mail="")
    return Channel.objects.create(
        name="市群",
        department=world.departments["city"],
        format="wecom",
        address=f"{web.origin}/cgi-bin/webhook/send?key=k",
    )


def said(world: worlds.World, *names: str, **more: object) -> None:
    with transaction.atomic():
        tell([world.users[n] for n in names], **{"text": "有案件待办", "kind": "overdue", **more})


def work_off(now: datetime = NOW, *, rounds: int = 400) -> None:
    """Tick until nothing is under way and nothing is due."""
    for _ in range(rounds):
        tasks.tick(now)
        due = Delivery.objects.filter(state="waiting", due__lte=now).exists()
        if not outbox._under_way and not due:
            return
    raise AssertionError("the outbox does not come to an end")


# --- e-mail -------------------------------------------------------------------------------------


def test_an_e_mail_arrives(world: worlds.World, mail: servers.Mail) -> None:
    said(world, "grid", url="/cases/7/", urgent=True, now=NOW)
    assert mail.arrived == []
    work_off()
    [(sender, to, letter)] = mail.arrived
    assert (sender, to) == ("jingwei@bureau.example", ["grid@example.org"])
    assert letter["Subject"] == "泾渭: 【紧急】有案件待办"
    text = letter.get_content()
    assert "有案件待办" in text
    assert "http://127.0.0.1:8000/cases/7/" in text
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("sent", 1)
    work_off(NOW + timedelta(days=1))
    assert len(mail.arrived) == 1


def test_the_reader_chooses_the_language(world: worlds.World, mail: servers.Mail) -> None:
    Preference.objects.create(user=world.users["grid"], language="en")
    with transaction.atomic():
        tell(world.users["grid"], robots_text, kind="turn", now=NOW)
    work_off()
    assert mail.arrived[0][2]["Subject"] == "Jingwei: Cases"


def robots_text() -> str:
    from django.utils.translation import gettext as _

    return _("Cases")


def test_nothing_leaves_before_its_time(world: worlds.World, mail: servers.Mail) -> None:
    said(world, "grid", now=NOW + timedelta(hours=1))
    tasks.tick(NOW)
    assert mail.arrived == []
    assert Delivery.objects.get().attempts == 0


def test_an_unknown_address_is_given_up_a_busy_server_is_not(
    world: worlds.World, mail: servers.Mail
) -> None:
    mail.refuse = [b"550 no such user"]
    said(world, "grid", now=NOW)
    work_off()
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("dead", 1)
    assert "no such user" in row.error
    row.delete()
    mail.refuse = [b"451 try later"]
    said(world, "grid", now=NOW)
    work_off()
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("waiting", 1)
    assert row.due > NOW
    work_off(row.due + timedelta(seconds=1))
    row.refresh_from_db()
    assert (row.state, row.attempts, row.error) == ("sent", 2, "")
    assert len(mail.arrived) == 1


# --- robots -------------------------------------------------------------------------------------


def test_wecom(world: worlds.World, robot: Channel, web: servers.Web) -> None:
    world.users["grid"].phone = "13800000001"
    world.users["grid"].save()
    said(world, "grid", "district", url="/cases/7/", now=NOW)
    work_off()
    [post] = web.posts
    assert post.path == "/cgi-bin/webhook/send?key=k"
    assert post.json == {
        "msgtype": "text",
        "text": {
            "content": "有案件待办\nhttp://127.0.0.1:8000/cases/7/",
            "mentioned_mobile_list": ["13800000001"],
        },
    }


def test_dingtalk_is_signed(world: worlds.World, robot: Channel, web: servers.Web) -> None:
    Channel.objects.update(
        format="dingtalk", secret="SEC1", address=f"{web.origin}/robot/send?access_token=t"
    )
    said(world, "grid", now=NOW)
    work_off()
    [post] = web.posts
    asked = parse_qs(urlsplit(post.path).query)
    assert asked["access_token"] == ["t"]
    stamp = asked["timestamp"][0]
    assert int(stamp) == int(NOW.timestamp() * 1000)
    expected = hmac.new(b"SEC1", f"{stamp}\nSEC1".encode(), hashlib.sha256).digest()
    assert base64.b64decode(asked["sign"][0]) == expected
    assert post.json["msgtype"] == "text"
    assert post.json["at"] == {"atMobiles": [], "isAtAll": False}


def test_json_is_signed(world: worlds.World, robot: Channel, web: servers.Web) -> None:
    Channel.objects.update(format="json", secret="k")
    web.answers = [(204, b"")]
    said(world, "grid", now=NOW)
    work_off()
    [post] = web.posts
    stamp = post.headers["X-Jingwei-Timestamp"]
    expected = hmac.new(b"k", stamp.encode() + b"." + post.body, hashlib.sha256).hexdigest()
    assert post.headers["X-Jingwei-Signature"] == f"sha256={expected}"
    assert post.json["users"] == ["grid"]
    assert post.json["text"] == {"zh": "有案件待办", "en": "有案件待办"}
    assert Delivery.objects.get().state == "sent"


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        ((200, b'{"errcode":45009,"errmsg":"api freq out of limit"}'), "waiting", "45009"),
        ((200, b"<html>"), "waiting", "errcode"),
        ((503, b""), "waiting", "HTTP 503"),
        ((429, b""), "waiting", "HTTP 429"),
        ((404, b""), "dead", "HTTP 404"),
        ((302, b""), "dead", "HTTP 302"),
    ],
)
def test_what_an_answer_means(
    world: worlds.World, robot: Channel, web: servers.Web, answer, state: str, error: str
) -> None:
    web.answers = [answer]
    web.headers = {"Location": f"{web.origin}/elsewhere"}
    said(world, "grid", now=NOW)
    work_off()
    row = Delivery.objects.get()
    assert row.state == state
    assert error in row.error
    assert [p.path for p in web.posts] == ["/cgi-bin/webhook/send?key=k"]  # no redirect followed


def test_pauses_double_then_it_is_given_up_and_can_be_sent_again(
    world: worlds.World, robot: Channel, web: servers.Web
) -> None:
    web.answers = [(500, b"")] * outbox.ATTEMPTS
    said(world, "grid", now=NOW)
    pauses = []
    at = NOW
    for _ in range(outbox.ATTEMPTS):
        work_off(at)
        row = Delivery.objects.get()
        pauses.append(outbox.pause(row.attempts))
        at = row.due + timedelta(seconds=1)
    assert row.state == "dead"
    assert len(web.posts) == outbox.ATTEMPTS
    assert [b / a for a, b in itertools.pairwise(pauses)] == [2.0] * 7
    work_off(at + timedelta(days=9))
    assert len(web.posts) == outbox.ATTEMPTS
    assert send_again(Delivery.objects.all(), at) == 1
    work_off(at)
    assert Delivery.objects.get().state == "sent"


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}@evil.example/",
        "https://127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
        "file:///etc/passwd",
    ],
)
def test_no_host_is_asked_that_was_not_named(
    world: worlds.World, robot: Channel, web: servers.Web, address: str
) -> None:
    port = urlsplit(web.origin).port
    Channel.objects.update(address=address.format(port=port))
    said(world, "grid", now=NOW)
    work_off()
    row = Delivery.objects.get()
    assert row.state == "dead"
    assert "JINGWEI_WEBHOOK_HOSTS" in row.error
    assert web.posts == []


def test_a_robot_is_told_no_more_than_it_takes(
    world: worlds.World, robot: Channel, web: servers.Web
) -> None:
    now = datetime.now(UTC)
    for n in range(robots.PER_MINUTE + 3):
        said(world, "grid", text=f"第{n}条", now=now)
    for _ in range(20):
        tasks.tick(now)
        while outbox._under_way:
            outbox._finish()
    assert len(web.posts) == robots.PER_MINUTE
    assert Delivery.objects.filter(state="waiting", attempts=0).count() == 3
    work_off(now + timedelta(seconds=120))
    assert len(web.posts) == robots.PER_MINUTE + 3


def test_a_peer_that_answers_byte_by_byte_holds_up_nobody(
    world: worlds.World, robot: Channel, web: servers.Web, monkeypatch
) -> None:
    monkeypatch.setattr(wire, "LIMIT", 1.5)
    web.slow = 0.2
    said(world, "grid", now=NOW)
    tasks.tick(NOW)  # returns while the peer is still at it
    assert outbox._under_way
    assert Delivery.objects.get().state == "waiting"
    # Nobody else takes what is being sent: neither this process nor another.
    assert outbox._claim(NOW, 10) == []
    work_off()
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("waiting", 1)
    assert row.error


def test_what_a_killed_process_had_claimed_comes_up_again(
    world: worlds.World, robot: Channel, web: servers.Web
) -> None:
    said(world, "grid", now=NOW)
    assert len(outbox._claim(NOW, 10)) == 1  # and then the machine stops
    assert outbox._claim(NOW, 10) == []
    work_off(NOW + outbox.LEASE)
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("sent", 2)


def test_a_dead_server_is_an_error_of_that_row_alone(
    world: worlds.World, robot: Channel, web: servers.Web, settings
) -> None:
    settings.ENV = replace(settings.ENV, mail="smtp://127.0.0.1:1")
    Preference.objects.create(user=world.users["grid"], ways={"turn": [Way.MAIL, Way.ROBOT]})
    said(world, "grid", kind="turn", now=NOW)
    work_off()
    states = dict(Delivery.objects.values_list("way", "state"))
    assert states == {"mail": "waiting", "robot": "sent"}
    assert "ConnectionRefused" in Delivery.objects.get(way="mail").error


def test_old_messages_go_with_their_deliveries(world: worlds.World, mail: servers.Mail) -> None:
    said(world, "grid", now=NOW)
    work_off()
    tasks.tick(NOW + tasks.KEEP - timedelta(days=1))
    assert Message.objects.count() == 1
    tasks.tick(NOW + tasks.KEEP + timedelta(days=1))
    assert not Message.objects.exists()
    assert not Delivery.objects.exists()


def test_a_long_text_is_cut_between_characters() -> None:
    notice = robots.Notice(1, "case", "案" * 1000, "c", "", True, NOW)
    content = robots.wecom(notice, "https://x/", "", NOW).body.decode()
    assert "案" * 600 in content
    assert len(robots.cut("案" * 1000, 2048).encode()) == 2046
