"""Devices: commands through the book, settings, quarantine, and their pages."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import translation

import world as worlds
from jingwei import hj212
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring import device_labels as labels
from jingwei.bureau.monitoring import device_selectors as selectors
from jingwei.bureau.monitoring import device_services as services
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.registry import services as registry
from jingwei.bureau.registry.models import Device, Point
from jingwei.demo import catalogue
from jingwei.telemetry import book, register, replay
from jingwei.telemetry.dialogue import Timing
from jingwei.telemetry.gateway import Gateway
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.observations import PROBLEMS
from jingwei.telemetry.replay_client import Delivered, Fleet

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
DAY = {
    "BeginTime": datetime(2026, 11, 18, 16, tzinfo=UTC),
    "EndTime": datetime(2026, 11, 19, 15, tzinfo=UTC),
}
SETTINGS = {
    "version": "2025", "password": "", "key": "", "networks": [], "dialects": [], "form": "raw",
    "pull": True, "pull_from": 0, "pull_until": 24,
}  # fmt: skip


@pytest.fixture
def world(db, data):
    found = worlds.build()
    registry.publish_register()
    return found


@pytest.fixture
def commit(django_capture_on_commit_callbacks):
    def run(act, *args, **more):
        with django_capture_on_commit_callbacks(execute=True):
            return act(*args, **more)

    return run


def take(command):
    store = selectors.the_book()
    assert store.take(str(command.token), "gateway", datetime.now(UTC))
    return store


def ask(commit, world, cn="2061", params=None, user="dispatcher", **more):
    return commit(
        services.ask, world.users[user], world.point, cn, DAY if params is None else params,
        "核对缺数", **more,
    )  # fmt: skip


def test_a_command_leaves_an_evidence_entry_and_stands_in_the_book(world, commit):
    found = ask(commit, world)
    (there,) = selectors.the_book().waiting()
    assert there.id == str(found.token)
    assert (there.mn, there.st, there.cn) == (world.point.mn, "31", "2061")
    assert there.cp == "BeginTime=20261119000000;EndTime=20261119230000"
    entry = EvidenceEntry.objects.get(kind="device.command")
    said = json.loads(entry.content)["content"]
    assert (said["act"], said["cn"]) == ("asked", "2061")
    assert "核对" not in entry.content, "reasons may name people"


def test_the_same_token_asks_once(world, commit):
    token = uuid.uuid4()
    first, second = (ask(commit, world, token=token) for _ in range(2))
    assert first.pk == second.pk
    assert len(selectors.the_book().waiting()) == 1
    assert EvidenceEntry.objects.filter(kind="device.command").count() == 1


def test_who_may_and_why(world, commit):
    for name in ("grid", "department", "enterprise", "auditor"):
        with pytest.raises(PermissionDenied):
            ask(commit, world, user=name)
    with pytest.raises(PermissionDenied):
        ask(commit, world, "1072", {"NewPW": "654321"})
    with pytest.raises(ValidationError) as caught:
        services.ask(world.users["dispatcher"], world.point, "2061", DAY, "  ")
    assert "reason" in caught.value.message_dict
    with pytest.raises(ValidationError, match="not in the standard of 2017"):
        ask(commit, world, "3022", {"PolId": "a21002"})
    Point.objects.update(enabled=False)
    world.point.refresh_from_db()
    with pytest.raises(ValidationError):
        ask(commit, world)
    assert not selectors.the_book().waiting()


def test_the_outcome_comes_back(world, commit):
    found = ask(commit, world)
    store = take(found)
    store.put(str(found.token), "sent", {"qn": "1", "telegrams": 3}, NOW)
    assert services.settle() == 1
    found.refresh_from_db()
    assert (found.state, found.result["telegrams"], found.finished) == ("sent", 3, None)
    store.put(str(found.token), "done", {"qn": "1", "ExeRtn": 1, "telegrams": 24, "periods": 24}, NOW)  # fmt: skip
    assert services.settle() == 1
    assert services.settle() == 0
    found.refresh_from_db()
    assert (found.state, found.finished) == ("done", NOW)
    ended = EvidenceEntry.objects.filter(kind="device.command").last()
    assert json.loads(ended.content)["content"] == {
        "command": str(found.token), "act": "ended", "cn": "2061", "state": "done", "qn": "1",
        "ExeRtn": 1, "telegrams": 24,
    }  # fmt: skip


def test_what_a_crash_kept_out_of_the_book_is_written_again_or_expires(world):
    lost = services.ask(world.users["dispatcher"], world.point, "1011", {}, "x")  # no commit
    assert not selectors.the_book().waiting()
    services.settle()
    assert [c.id for c in selectors.the_book().waiting()] == [str(lost.token)]
    old = services.ask(
        world.users["dispatcher"], world.point, "1061", {}, "x", now=NOW - timedelta(days=9)
    )
    services.settle(NOW)
    old.refresh_from_db()
    assert old.state == "expired"


def test_a_waiting_command_can_be_taken_back_and_a_taken_one_cannot(world, commit):
    first, second = ask(commit, world), ask(commit, world, "1011", {})
    take(second)
    assert services.cancel(world.users["dispatcher"], first)
    assert not services.cancel(world.users["dispatcher"], second)
    first.refresh_from_db()
    assert first.state == "cancelled"


def test_a_new_password_is_nowhere_in_clear_and_taken_when_the_device_has_it(world, commit):
    found = ask(commit, world, "1072", {"NewPW": "aB3xY9"}, user="admin")
    raw = b"".join(p.read_bytes() for p in selectors.the_book().path.parent.glob("devices.sqlite*"))
    assert b"aB3xY9" not in raw
    assert "aB3xY9" not in json.dumps(found.params)
    assert not EvidenceEntry.objects.filter(content__contains="aB3xY9").exists()
    store = take(found)
    store.put(str(found.token), "done", {"ExeRtn": 1}, NOW)
    commit(services.settle)
    assert Point.objects.get(pk=world.point.pk).password == "aB3xY9"
    from django.conf import settings

    assert register.load(settings.ENV.register)[world.point.mn].password == "aB3xY9"


@pytest.mark.parametrize(("state", "left"), [("done", 2), ("refused", 1), ("failed", 2)])
def test_a_key_is_rotated(world, commit, state, left):
    mn = world.point.mn
    key = "0123456789abcdef"
    commit(services.change, world.users["admin"], mn, SETTINGS | {"key": key})
    world.point.refresh_from_db()
    found = ask(commit, world, "1014", {}, user="admin")
    keys = services.box()
    device = Device.objects.get(mn=mn)
    new, old = (keys.open(mn, k["sealed"]) for k in device.keys)
    assert old == key.encode()
    assert len(new) == 16
    (there,) = selectors.the_book().waiting()
    assert keys.open(mn, there.key) == old
    assert new in keys.open(mn, there.cp)
    take(found).put(str(found.token), state, {}, NOW)
    commit(services.settle)
    device.refresh_from_db()
    assert len(device.keys) == left
    from django.conf import settings

    assert len(register.load(settings.ENV.register)[mn].keys) == left


def test_a_device_that_asks_gets_a_new_key_once_a_day_and_none_in_the_clear(world, commit):
    mn, st = world.point.mn, world.point.st
    commit(services.change, world.users["admin"], mn, SETTINGS)
    store = selectors.the_book()
    now = datetime.now(UTC)

    def granted(at=now):
        store.wish(mn, st, "1014", at)
        count = commit(services.grant_keys, at)
        assert store.wishes() == []
        return count

    assert granted() == 0, "no key to send it under"
    commit(services.change, world.users["admin"], mn, SETTINGS | {"key": "0123456789abcdef"})
    assert granted(now - timedelta(hours=2)) == 1
    (there,) = store.waiting()
    assert there.automatic
    assert services.box().open(mn, there.key) == b"0123456789abcdef"
    assert granted() == 0, "once a day"
    store.wish(mn, "99", "1014", now)
    store.wish("GHOST", st, "1014", now)
    assert commit(services.grant_keys, now + timedelta(days=2)) == 0
    entry = EvidenceEntry.objects.filter(kind="device.command").latest("pk")
    assert entry.subject == f"device:{mn}"
    store.close()


def test_settings_go_into_the_register_with_evidence_and_without_secrets(world, commit):
    mn = world.point.mn
    with pytest.raises(PermissionDenied):
        services.change(world.users["dispatcher"], mn, SETTINGS)
    wanted = {
        "networks": ["10.1.0.0/16"], "dialects": ["lower"], "password": "newpw1",
        "key": "000102030405060708090a0b0c0d0e0f",
    }  # fmt: skip
    commit(services.change, world.users["admin"], mn, SETTINGS | wanted)
    from django.conf import settings

    row = register.load(settings.ENV.register)[mn]
    assert (row.version, row.password, row.networks, row.dialects) == (
        "2025", "newpw1", ("10.1.0.0/16",), ("lower",),
    )  # fmt: skip
    assert register.Register(settings.ENV.register).keys(mn) == (bytes(range(16)),)
    entry = EvidenceEntry.objects.get(kind="device")
    assert "newpw1" not in entry.content
    assert "0102030405" not in entry.content
    facts = json.loads(entry.content)["content"]
    assert facts["networks"] == ["10.1.0.0/16"]
    assert facts["key"] == "set"


# Quarantine


def stranger_frame(hour, mn="F" * 24, pw="777777", value="5.0"):
    text = hj212.segment(
        cn="2061", st="32", mn=mn, pw=pw, qn=hj212.qn(NOW + timedelta(seconds=hour)), flag=5,
        cp=f"DataTime={hj212.seconds(NOW - timedelta(hours=hour + 1))};w01018-Avg={value},w01018-Flag=N",
    )  # fmt: skip
    return hj212.frame(text).rstrip()


@pytest.fixture
def stranger(world, data):
    """A sender in no register, as the gateway keeps it."""
    mn = "F" * 24
    kept = Journal(data / "refused")
    frames = [stranger_frame(h) for h in range(5)]
    kept.append([Telegram(NOW, "192.0.2.9:1", f, "unknown_mn") for f in frames])
    kept.append([Telegram(NOW, "192.0.2.9:1", stranger_frame(9, pw="wrong1"), "unknown_mn")])
    kept.append([Telegram(NOW, "192.0.2.9:1", frames[0] + b"x", "crc")])
    kept.append([Telegram(NOW, "192.0.2.9:1", stranger_frame(1, mn="E" * 24), "unknown_mn")])
    kept.close()
    store = selectors.the_book()
    seen = {"st": ["32"], "cn": ["2061"], "factors": ["w01018"]}
    store.record(
        "gateway", [], {},
        [book.Stranger(mn, "192.0.2.9:1", NOW, NOW, 6, "2017", seen, frames[0])],
    )  # fmt: skip
    store.close()
    return mn


def values(world, **more):
    return {
        "name": "总排口", "kind": "source", "outlet": world.outlet, "region": world.region,
        "longitude": 116.4, "latitude": 39.9, "st": "32", "version": "2017",
        "factors": ["w01018"], "password": "777777",
    } | more  # fmt: skip


def test_a_stranger_is_adopted_and_its_telegrams_are_taken_in_once(world, stranger, data):
    dispatcher = world.users["dispatcher"]
    assert [s.mn for s in selectors.strangers(dispatcher)] == [stranger]
    assert selectors.strangers(world.users["district"]) == []
    with pytest.raises(PermissionDenied):
        services.adopt(world.users["district"], stranger, values(world))
    point, taken = services.adopt(dispatcher, stranger, values(world))
    assert (point.mn, taken) == (stranger, 5), "the one with the wrong password is left out"
    assert selectors.strangers(dispatcher) == []
    services.take_in(stranger)
    ingest = Ingest(data / "journal", data / "lake")
    while ingest.step().telegrams:
        pass
    ingest.close()
    from jingwei.telemetry.lake import Lake

    rows = Lake(data / "lake").scan("hour", NOW - timedelta(days=1), NOW)
    assert rows.num_rows == 5
    assert EvidenceEntry.objects.filter(kind="device.adopted").count() == 1


def test_the_password_that_it_sends_is_taken_where_none_is_typed(world, stranger):
    point, _taken = services.adopt(world.users["dispatcher"], stranger, values(world, password=""))
    assert point.password in ("777777", "wrong1")


# Pages


@pytest.fixture
def seen(world):
    """What a gateway has written of the world's device."""
    store = selectors.the_book()
    raw = b"##0050QN=1;PW=123456;MN=" + world.point.mn.encode() + b";CP=&&<b>&&"
    store.record(
        "gateway",
        [
            book.Seen(
                world.point.mn, "gateway", "192.0.2.7:4000", True, NOW, datetime.now(UTC), "2061",
                raw, 42, NOW, "password", b"##PW=000000;",
            )
        ],
        {(world.point.mn, book.day_of(datetime.now(UTC)), "password"): (3, int(time.time() * 1e6))},
        [],
    )  # fmt: skip
    store.close()


def test_the_list_and_its_csv(world, seen, client):
    client.force_login(world.users["dispatcher"])
    page = client.get(reverse("monitoring:devices"))
    text = page.content.decode()
    assert world.point.mn in text
    assert "192.0.2.7:4000" in text
    assert world.station.mn in text
    only = client.get(reverse("monitoring:devices"), {"error": "password"}).content.decode()
    assert world.station.mn not in only
    assert world.point.mn in only
    never = client.get(reverse("monitoring:devices"), {"state": "never"}).content.decode()
    assert world.station.mn in never
    assert "192.0.2.7:4000" not in never
    lines = b"".join(client.get(reverse("monitoring:devices_csv")).streaming_content).decode()
    assert len(lines.strip().splitlines()) == 3
    client.force_login(world.users["district_elsewhere"])
    assert world.point.mn not in client.get(reverse("monitoring:devices")).content.decode()
    assert client.get(reverse("monitoring:device", args=[world.point.mn])).status_code == 404


def test_the_page_shows_last_words_without_the_password(world, seen, client):
    client.force_login(world.users["district"])
    text = client.get(reverse("monitoring:device", args=[world.point.mn])).content.decode()
    assert "PW=******" in text
    assert "PW=123456" not in text
    assert "&lt;b&gt;" in text
    assert "PW=000000" not in text
    assert reverse("monitoring:device_settings", args=[world.point.mn]) not in text
    card = client.get(reverse("monitoring:device_card", args=[world.point.mn])).content.decode()
    assert "192.0.2.7:4000" in card
    client.force_login(world.users["auditor"])
    text = client.get(reverse("monitoring:device", args=[world.point.mn])).content.decode()
    assert "device_ask" not in text
    assert reverse("monitoring:device_ask", args=[world.point.mn]) not in text


def test_each_command_of_each_version_has_a_form_that_can_be_sent(world, client, commit):
    client.force_login(world.users["admin"])
    for version in ("2005", "2017", "2025"):
        Point.objects.filter(pk=world.point.pk).update(version=version)
        world.point.refresh_from_db()
        from jingwei.bureau.monitoring.device_views import _offered

        offered = [cn for _group, some in _offered(world.point, world.users["admin"]) for cn, _l in some]  # fmt: skip
        assert len(offered) > 15
        for cn in offered:
            form = client.get(
                reverse("monitoring:device_form", args=[world.point.mn]), {"cn": cn}
            ).context["form"]
            sent = {"cn": cn, "st": "31", "reason": "试", "token": str(uuid.uuid4())}
            for name, field in form.fields.items():
                choices = list(getattr(field, "choices", ()))
                if choices and isinstance(choices[0][1], list):  # by equipment
                    choices = choices[0][1]
                initial = field.initial
                sent.setdefault(
                    name,
                    choices[0][0] if choices
                    else "" if initial is None and not field.required
                    else initial.strftime("%Y-%m-%dT%H:%M") if hasattr(initial, "strftime")
                    else {"CstartTime": "01:00", "NewPW": "654321"}.get(
                        name, str(max(getattr(field, "min_value", None) or 0, 10))
                    ),
                )  # fmt: skip
            answer = client.post(reverse("monitoring:device_ask", args=[world.point.mn]), sent)
            assert answer.status_code == 302, (version, cn, answer.context["form"].errors)
        assert DeviceCommand.objects.filter(point=world.point).count() == len(offered)
        DeviceCommand.objects.all().delete()


def test_a_form_keeps_what_was_typed_and_says_what_is_wrong(world, client):
    client.force_login(world.users["dispatcher"])
    address = reverse("monitoring:device_ask", args=[world.point.mn])
    answer = client.post(
        address,
        {"cn": "2061", "st": "31", "BeginTime": "2026-11-20T08:00", "EndTime": "2026-11-19T08:00", "reason": "缺数"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "缺数" in answer.content.decode()
    assert "EndTime" in answer.context["form"].errors
    assert client.post(address, {"cn": "1072", "st": "31"}).status_code == 404
    assert client.post(address, {"cn": "2061", "st": "99"}).status_code == 404
    assert not DeviceCommand.objects.exists()


def test_the_settings_page(world, client, commit):
    address = reverse("monitoring:device_settings", args=[world.point.mn])
    client.force_login(world.users["dispatcher"])
    assert client.get(address).status_code == 403
    client.force_login(world.users["admin"])
    assert client.get(address).status_code == 200
    base = {"version": "2017", "form": "raw", "pull": "on", "pull_from": "0", "pull_until": "24"}
    for wrong, field in [
        ({"networks": "10.1.0.0/33"}, "networks"),
        ({"key": "abc"}, "key"),
        ({"key": "0" * 32}, "key"),  # 2017 encrypts nothing
        ({"password": "a;b"}, "password"),
        ({"pull_until": "0"}, "pull_until"),
    ]:
        answer = client.post(address, base | wrong)
        assert answer.status_code == 422
        assert field in answer.context["form"].errors
    good = base | {"networks": "10.1.2.3/16\n192.0.2.7", "dialects": ["lower", "modbus"]}
    assert client.post(address, good).status_code == 302
    device = Device.objects.get(mn=world.point.mn)
    assert device.networks == ["10.1.0.0/16", "192.0.2.7/32"]
    assert device.dialects == ["lower", "modbus"]


def test_the_quarantine_page_and_the_form(world, stranger, client):
    client.force_login(world.users["dispatcher"])
    page = client.get(reverse("monitoring:strangers"))
    assert stranger in page.content.decode()
    assert stranger not in client.get(reverse("monitoring:strangers"), {"q": "zzz"}).content.decode()  # fmt: skip
    address = reverse("monitoring:adopt", args=[stranger])
    text = client.get(address).content.decode()
    assert "w01018" in text
    assert "777777" not in text
    sent = {
        "name": "总排口",
        "kind": "source",
        "st": "32",
        "version": "2017",
        "factors": ["w01018"],
    }
    answer = client.post(address, sent)
    assert answer.status_code == 422
    assert "outlet" in answer.context["form"].errors
    answer = client.post(address, sent | {"outlet": world.outlet.pk})
    assert answer.status_code == 302, answer.context["form"].errors
    point = Point.objects.get(mn=stranger)
    assert (point.longitude, point.region) == (world.outlet.longitude, world.enterprise.region)
    assert client.get(address).status_code == 404


def test_encrypted_last_words_are_opened_for_the_page(world, commit, client):
    key = b"0123456789abcdef"
    mn = world.point.mn
    commit(services.change, world.users["admin"], mn, SETTINGS | {"key": key.decode()})
    text = hj212.segment(
        cn="2011", st="31", mn=mn, pw="123456", qn=hj212.qn(NOW), flag=9,
        cp="DataTime=20261120120000;a21002-Rtd=45.6,a21002-Flag=N",
    )  # fmt: skip
    raw = hj212.frame(text, key=key)
    store = selectors.the_book()
    store.record(
        "gateway",
        [book.Seen(mn, "gateway", "192.0.2.7:1", True, NOW, NOW, "2011", raw, 1, None, "", b"")],
        {}, [],
    )  # fmt: skip
    store.close()
    client.force_login(world.users["dispatcher"])
    page = client.get(reverse("monitoring:device", args=[mn])).content.decode()
    assert "a21002-Rtd=45.6" in page
    assert "PW=******" in page
    assert key.decode() not in page


# The whole way


def test_from_the_form_to_the_device_and_back(world, data, client, commit):
    """The page asks, a real gateway and a replayed logger on TCP answer, the page shows it."""
    channels = (replay.Channel("a21002", "gas_turbine", "NOX", 0.5),)
    device = replay.Device(world.point.mn, "31", world.point.password, channels)
    ready, stop = threading.Event(), threading.Event()

    async def site():
        gateway = Gateway(
            data / "journal", data / "refused", data / "register.json", data / "run",
            timing=Timing(answer=1.0),
        )  # fmt: skip
        gateway.desk._poll = 0.02
        port = await gateway.start("127.0.0.1", 0)
        fleet = Fleet(
            replay.Player(replay.Library(catalogue.DATA)), [device], "127.0.0.1", port,
            delivered=Delivered(None, datetime.now(UTC)), site=0.0,
        )  # fmt: skip
        halt = asyncio.Event()
        running = asyncio.create_task(fleet.run(halt))
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        halt.set()
        await running
        await gateway.stop()

    thread = threading.Thread(target=lambda: asyncio.run(site()))
    thread.start()
    try:
        assert ready.wait(20)
        client.force_login(world.users["dispatcher"])
        now = datetime.now(UTC) + timedelta(hours=8)
        address = reverse("monitoring:device_ask", args=[world.point.mn])
        sent = {
            "cn": "2061", "st": "31", "reason": "补取", "token": str(uuid.uuid4()),
            "BeginTime": (now - timedelta(hours=6)).strftime("%Y-%m-%dT%H:00"),
            "EndTime": (now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:00"),
        }  # fmt: skip
        commit(client.post, address, sent)
        part = reverse("monitoring:device_commands", args=[world.point.mn])
        for _ in range(600):
            client.get(part)
            found = DeviceCommand.objects.get()
            if found.finished:
                break
            time.sleep(0.05)
        assert found.state == "done", found.result
        assert found.result["periods"] == 5
        text = client.get(part).content.decode()
        assert "every 2s" not in text, "nothing is open: no polling"
    finally:
        stop.set()
        thread.join()


def test_what_the_lake_finds_odd_stands_with_the_device(world, client, data):
    """A clock ten years off: taken, counted, and said in words on the device's page."""
    now = datetime.now(UTC)
    when = now + timedelta(days=3650)
    text = hj212.segment(
        cn="2061", st="31", mn=world.point.mn, pw="123456", qn=hj212.qn(now), flag=5,
        cp=f"DataTime={hj212.seconds(when)};a21026-Avg=5,a21026-Flag=N",
    )  # fmt: skip
    journal = Journal(data / "journal")
    journal.append([Telegram(now, "10.0.0.1:1", hj212.frame(text).rstrip())])
    journal.close()
    ingest = Ingest(data / "journal", data / "lake")
    while ingest.step().telegrams:
        pass
    ingest.close()
    (row,) = selectors.devices(world.users["dispatcher"], world.point.mn, now=now)
    (odd,) = row.errors
    assert (odd.kind, odd.count, odd.harm) == ("clock_ahead", 1, False)
    client.force_login(world.users["dispatcher"])
    page = client.get(
        reverse("monitoring:device", args=[world.point.mn]), headers={"accept-language": "zh-hans"}
    )
    assert "时钟超前" in page.content.decode()


def test_every_kind_of_error_has_words():
    """Whatever the decoder can name is said in Chinese on the console."""
    values = {"version": hj212.VERSIONS, "name": ("Flag", "PNUM", "PNO")}
    kinds = set(PROBLEMS)
    for module in ("cp", "decoder"):
        tree = ast.parse(Path(hj212.__file__).with_name(f"{module}.py").read_text("utf-8"))
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "problems.add"):
                continue
            match call.args[0]:
                case ast.Constant(value=str(kind)):
                    kinds.add(kind)
                case ast.JoinedStr() as parts:
                    (name,) = [
                        p.value.id for p in parts.values if isinstance(p, ast.FormattedValue)
                    ]
                    for value in values[name]:
                        kinds.add(eval(compile(ast.Expression(parts), "", "eval"), {name: value}))
    assert len(kinds) > 30
    with translation.override("zh-hans"):
        silent = [k for k in kinds if not re.search("[\u4e00-\u9fff]", labels.error(k))]
    assert not silent


def test_a_log_is_asked_for_of_a_span(world, client, commit):
    client.force_login(world.users["dispatcher"])
    form = client.get(reverse("monitoring:device_form", args=[world.point.mn]), {"cn": "3020"})
    groups = dict(form.context["form"].fields["InfoId"].choices)
    assert sum(len(some) for some in groups.values()) == 74  # 38 rows, four of them with ten each
    sent = {
        "cn": "3020", "st": "31", "reason": "查运行日志", "token": str(uuid.uuid4()),
        "PolId": world.point.factors[0], "InfoId": "i21001",
        "BeginTime": "2026-11-19T08:00", "EndTime": "2026-11-20T08:00",
    }  # fmt: skip
    address = reverse("monitoring:device_ask", args=[world.point.mn])
    assert commit(client.post, address, sent).status_code == 302
    (there,) = selectors.the_book().waiting()
    assert "i21001" in there.cp
    assert "BeginTime=20261119080000,EndTime=20261120080000" in there.cp.replace(";", ",")


def test_only_parameters_can_be_set():
    settable = [code for _label, some in labels.informations("3021", "2017") for code, _l in some]
    assert "i13007" in settable
    assert not {"i11001", "i12001", "i21001"} & set(settable)
    assert "i23005" in str(labels.informations("3020", "2025"))
    assert "i23005" not in str(labels.informations("3020", "2017"))
