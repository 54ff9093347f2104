"""Forwarding to a second gateway and to a broker, each killed in the middle; nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from jingwei import hj212
from jingwei.telemetry import commands, forward, health, journal, register, senders
from jingwei.telemetry.envelope import envelope
from jingwei.telemetry.forward import Course, ForwardError, Parcel, Target
from jingwei.telemetry.intake import Intake
from jingwei.telemetry.journal import Journal
from jingwei.telemetry.keys import KeyBox
from jingwei.telemetry.mqtt import Broker, Listener
from jingwei.telemetry.places import NAME, Feed, Places, beginning
from jingwei.telemetry.register import Register

from .conftest import MN, NOON, House

app = typer.Typer()
commands.attach(app)

OTHER = "020000A8900016F000169DC0"
KEY = bytes(range(16))
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
needs_broker = pytest.mark.skipif(
    not Path(BROKER).exists(), reason="no Mosquitto on this machine (Debian: mosquitto)"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=40.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def settings_of(tmp_path, *rows):
    path = tmp_path / "targets.json"
    path.write_text(json.dumps(list(rows)))
    return path


# --- settings -----------------------------------------------------------------------------------


def test_targets_are_read_with_what_is_left_out(tmp_path):
    path = settings_of(
        tmp_path,
        {"name": "province", "url": "hj212://10.1.2.3:9000", "mn": ["36*"], "cn": ["2051", "20?1"],
         "since": "2026-03-10T12:00:00"},
        {"name": "hub", "url": "mqtts://u:p%40x@hub.example", "payload": "raw"},
    )  # fmt: skip
    one, two = forward.targets(path)
    assert (one.address, one.mqtt, one.secure) == ("hj212://10.1.2.3:9000", False, False)
    assert one.since == NOON
    assert one.wants("3601", "2031")
    assert not one.wants("3701", "2031")
    assert not one.wants("3601", "2011x")
    assert (two.address, two.password, two.port) == ("mqtts://hub.example:8883", "p@x", 8883)
    assert "p@x" not in two.address


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"url": "hj212://h"}, "name"),
        ({"name": "A B", "url": "hj212://h"}, "lower-case"),
        ({"name": "a", "url": "http://h"}, "hj212://HOST:PORT"),
        ({"name": "a", "url": "hj212://h:99999"}, "hj212://HOST:PORT"),
        ({"name": "a", "url": "hj212://h", "port": 1}, "'port' is no setting"),
        ({"name": "a", "url": "hj212://h", "mn": "36*"}, "mn: wanted a list"),
        ({"name": "a", "url": "hj212://h", "since": "noon"}, "ISO 8601"),
        ({"name": "a", "url": "mqtt://h", "topic": "x/#"}, "no # and +"),
        ({"name": "a", "url": "mqtt://h", "topic": "x/{pw}"}, "are put in"),
        ({"name": "a", "url": "mqtt://h", "payload": "xml"}, "json or raw"),
        ({"name": "a", "url": "hj212://h", "timeout": 0}, "0.1 to 600"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(tmp_path, row, reason):
    good = {"name": "good", "url": "hj212://h"}
    with pytest.raises(ForwardError, match=f"target 2.*{reason}"):
        forward.targets(settings_of(tmp_path, good, row))
    path = settings_of(tmp_path, row)
    said = CliRunner().invoke(app, ["forward", "--targets", str(path), "--data", str(tmp_path)])
    assert said.exit_code == 2
    assert not (tmp_path / NAME).exists()


def test_two_targets_of_one_name_are_refused(tmp_path):
    row = {"name": "a", "url": "hj212://h"}
    with pytest.raises(ForwardError, match="two targets"):
        forward.targets(settings_of(tmp_path, row, row))


# --- what is sent -------------------------------------------------------------------------------


def target(port=9, **more):
    return Target("peer", "hj212", "127.0.0.1", port, **more)


@pytest.fixture
def sealed(house):
    """A register with a device of each version and one whose key is known; a second without it."""
    box = KeyBox(house.root / "device.key")
    house.root.mkdir()
    house.devices()
    devices = [
        register.Device(MN, "123456", dialects=("modbus", "lower")),
        register.Device("OLD00000000001", "123456", version="2005"),
        register.Device(OTHER, "123456", version="2025", keys=(box.seal(OTHER, KEY),)),
    ]
    register.write(house.root / "register.json", devices)
    return Register(house.root / "register.json")


def prepared(sealed, raw, seq=(26_1100001 << 32) | 7, to=None):
    return senders.preparer(sealed)(to or target(), seq, NOON, raw)


def test_what_asks_for_an_answer_goes_out_as_it_came(sealed, frame):
    raw = frame()
    parcel = prepared(sealed, raw)
    assert parcel.frames == (((MN, hj212.decode(raw).qn), raw + b"\r\n"),)


def sent_anew(sealed, raw):
    """What goes out instead of `raw`; it must be the same each time, and be acknowledged."""
    parcel = prepared(sealed, raw)
    assert parcel.frames == prepared(sealed, raw).frames, "the same telegram, the same bytes"
    ((key, out),) = parcel.frames
    assert out.endswith(b"\r\n")
    verdict = Intake(sealed).judge(out.rstrip(b"\r\n"), "127.0.0.1:1")
    assert verdict.accepted, verdict
    answer = hj212.decode(verdict.answer)
    assert answer.qn == key[1], "the answer is known by the QN"
    assert answer.mn in (key[0], None)
    return verdict.message


def test_what_asks_for_none_is_made_to_ask(sealed, frame):
    quiet = frame(flag=4)
    message = sent_anew(sealed, quiet)
    assert message.flag == 5
    assert message.items == hj212.decode(quiet).items
    bare = hj212.frame(
        f"ST=32;CN=2011;PW=123456;MN={MN};CP=&&DataTime=20260310120000;w01018-Rtd=1.5&&"
    )
    assert sent_anew(sealed, bare.rstrip()).qn == "20260310120000007"


def test_a_telegram_of_2005_gets_a_number(sealed):
    raw = hj212.frame(
        "ST=32;CN=2061;PW=123456;MN=OLD00000000001;CP=&&DataTime=20260310120000;011-Avg=1.5&&"
    ).rstrip()
    message = sent_anew(sealed, raw)
    assert (message.version, message.items[0].fields) == ("2005", {"Avg": "1.5"})


@pytest.mark.parametrize("flag", [8, 9])
@pytest.mark.parametrize("form", ["raw", "hex", "base64"])
def test_what_came_encrypted_goes_out_encrypted(sealed, frame, flag, form):
    segment = hj212.opened(frame(mn=OTHER, flag=flag, cn="2061", values={"a21026": "1.25"}))
    raw = hj212.frame(segment, key=KEY, form=form).rstrip(b"\r\n")
    message = sent_anew(sealed, raw)
    assert message.items[0].fields["Avg"] == "1.25"
    ((_, out),) = prepared(sealed, raw).frames
    assert b"1.25" not in out
    if flag == 9:
        assert out == raw + b"\r\n"
    else:
        assert prepared(Register(Path("/nonexistent/register.json")), raw) == "no_key"


def test_a_check_sum_of_a_dialect_is_put_right(sealed, frame):
    good = frame()
    body = hj212.opened(good)
    from jingwei.hj212.crc import modbus

    raw = b"##%04d%b%04X" % (len(body), body, modbus(body))
    ((_, out),) = prepared(sealed, raw).frames
    assert out == good + b"\r\n"


def test_dialogues_and_what_is_not_wanted_stay_here(sealed, frame):
    answer = hj212.answer("9011", hj212.decode(frame()), QnRtn=1).rstrip()
    assert prepared(sealed, answer) is None
    assert prepared(sealed, frame(), to=target(cn=("2051",))) is None
    assert prepared(sealed, frame(), to=target(mn=("36*",))) is None
    assert prepared(sealed, b"##rubbish") == "unreadable"


def test_an_envelope_becomes_telegrams_that_fit(sealed):
    items = {f"w{n:05}": {"Avg": f"{n}.125", "Flag": "N"} for n in range(1, 80)}
    raw = envelope(MN, "32", "hour", NOON, items, {"kind": "file", "row": 2})
    frames = prepared(sealed, raw).frames
    assert len(frames) > 2
    assert len({key for key, _ in frames}) == len(frames)
    found = {}
    for (mn, qn), out in frames:
        verdict = Intake(sealed).judge(out.rstrip(b"\r\n"), "127.0.0.1:1")
        assert verdict.accepted
        assert verdict.message.problems == ()
        assert (mn, hj212.decode(verdict.answer).qn) == (MN, qn)
        assert verdict.message.time == NOON
        found |= {item.code: item.fields for item in verdict.message.items}
    assert found == items


def test_an_envelope_too_long_for_a_telegram_is_left_with_a_word(sealed):
    raw = envelope(MN, "32", "hour", NOON, {"w01018": {"Avg": "1"}}, {"kind": "file"})
    found = json.loads(raw)  # as it was kept before the fields of a factor were limited
    found["items"] = [{"code": "w01018", **{f"F{n}": "1" * 60 for n in range(200)}}]
    assert prepared(sealed, json.dumps(found).encode()) == "too_long"


def test_a_telegram_that_cannot_be_prepared_stops_nothing(house, frame):
    house.put([frame(NOON + timedelta(hours=k)) for k in range(3)])
    places = Places(house.root / NAME)

    def prepare(_target, seq, received, _raw):
        if seq & 0xFFFFFFFF == 2:
            raise AssertionError("nobody thought of this")
        return Parcel(seq, received, (), "kind")

    course = Course(target(since=NOON - timedelta(days=1)), house.root, places, Mock(), prepare)
    parcels, skipped = course._prepared([])
    assert [parcel.seq & 0xFFFFFFFF for parcel in parcels] == [1, 3]
    assert skipped == {"unreadable": 1}
    places.close()


def test_asides_that_are_gone_or_unwanted_do_not_keep_the_others_waiting(house, frame, monkeypatch):
    """Asked for again, but deleted from the journal, or left out by the target's settings now."""
    monkeypatch.setattr("jingwei.telemetry.places.READ", 2)
    good, unwanted = house.put([frame(NOON + timedelta(hours=k)) for k in range(2)])
    gone = [(1 << 32) | n for n in range(1, 5)]
    places = Places(house.root / NAME)
    places.save(
        "peer",
        {good >> 32: journal.ALL},
        0,
        0,
        [(seq, "kind", "unanswered") for seq in (*gone, unwanted, good)],
    )
    assert places.again("peer") == 6
    sent = []

    def prepare(_target, seq, received, _raw):
        return Parcel(seq, received, (), "kind") if seq == good else None

    course = Course(target(since=NOON + timedelta(days=9)), house.root, places, Mock(), prepare)
    assert course.state.aside == 6

    async def main():
        for _ in range(10):
            course._idle_until = 0.0
            await course._read()
            course._save()
            sent.extend(p.seq for p in course._waiting)
            course._waiting.clear()

    asyncio.run(main())
    assert sent == [good], "asked for once, behind those that cannot be sent"
    assert course.state.aside == places.aside("peer") == 5
    assert course.state.why["unreadable"] == 4
    assert places.again("peer") == 5, "what is gone may be asked for again, and is still counted"
    places.close()


def test_a_course_goes_on_after_any_fault(house, monkeypatch):
    """A fault of one target is shown and tried again, and does not end the process of all."""
    monkeypatch.setattr(forward, "PAUSES", (0.01,))
    places = Places(house.root / NAME)
    seen = []

    def wire():
        seen.append(course.state.problem)
        if len(seen) == 3:
            course.stop.set()
        raise ValueError("odd")

    async def main():
        nonlocal course
        course = Course(target(), house.root, places, wire, lambda *_: None)
        await course.run()

    course = None
    asyncio.run(main())
    assert seen == ["", "odd", "odd"]
    places.close()


@given(data=st.binary(max_size=300))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_sent_or_left_with_a_word(data):
    empty = Register(Path("/nonexistent/register.json"))
    for to in (target(), Target("hub", "mqtt", "h", 1)):
        for raw in (data, hj212.frame(data[:200]).rstrip()):
            found = senders.preparer(empty)(to, 1, NOON, raw)
            assert found is None or isinstance(found, Parcel | str)


# --- places -------------------------------------------------------------------------------------


def test_the_place_moves_on_only_behind_what_is_done(house, frame):
    house.put([frame(NOON + timedelta(hours=k)) for k in range(5)])
    feed = Feed(house.journal, {})
    received = feed.oldest()
    assert received == journal.microseconds(NOON + timedelta(hours=1)), "not yet read: it counts"
    seqs = [seq for seq, *_ in feed.take(3)]
    assert feed.waiting() == 5
    for seq in (seqs[0], seqs[2]):
        feed.done(seq)
    (segment,) = {seq >> 32 for seq in seqs}
    assert feed.positions() == {segment: 1}
    again = Feed(house.journal, feed.positions())
    assert next(seq for seq, *_ in again.take()) == seqs[1], "not acknowledged: comes again"
    feed.done(seqs[1])
    assert feed.positions() == {segment: 3}
    for seq, *_ in feed.take():
        feed.done(seq)
    assert feed.positions() == {segment: journal.ALL}
    assert (feed.waiting(), feed.oldest()) == (0, None)


def test_a_new_target_begins_now_or_where_it_is_told(house, frame):
    for k in range(4):
        house.put([frame(NOON + timedelta(hours=k))], received=NOON + timedelta(hours=k))
    assert Feed(house.journal, beginning(house.journal, None)).take() == []
    late = Feed(house.journal, beginning(house.journal, NOON + timedelta(hours=2)))
    assert len(late.take()) == 2


def test_places_outlive_the_process_and_asides_are_bounded(tmp_path, monkeypatch):
    from jingwei.telemetry import places as module

    monkeypatch.setattr(module, "KEPT", 3)
    places = Places(tmp_path / NAME)
    assert places.load("a") is None
    forgotten = places.save("a", {5: 7}, 3, 1, [(n, "m c", "unanswered") for n in range(5)])
    assert (forgotten, places.aside("a")) == (2, 3)
    places.close()
    places = Places(tmp_path / NAME)
    assert places.load("a") == ({5: 7}, 3, 1)
    assert places.asked("a") == []
    assert places.again("a", "other") == 0
    assert places.again("a") == 3
    assert places.asked("a") == [2, 3, 4]
    places.save("a", {}, 4, 1, done=[2])
    assert places.asked("a") == [3, 4]
    places.close()


# --- the engine over real TCP -------------------------------------------------------------------


class Peer:
    """Another platform: acknowledges by a rule. `rule(message)` → True, False or "close"."""

    def __init__(self, rule=lambda message: True):
        self.rule = rule
        self.got: list[bytes] = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        cutter = hj212.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for raw in cutter.feed(data):
                    message = hj212.decode(raw)
                    self.got.append(raw)
                    verdict = self.rule(message)
                    if verdict == "close":
                        writer.close()
                        return
                    if verdict:
                        writer.write(hj212.answer("9014", message))
        writer.close()

    def codes(self):
        return {hj212.decode(raw).qn for raw in self.got}


def play(house, peer, done, **more):
    """Run one course against a peer until `done(course)`; its state."""

    async def main():
        async with peer:
            places = Places(house.root / NAME)
            to = target(peer.port, since=NOON - timedelta(days=1), timeout=0.2, **more)
            course = Course(
                to, house.root, places, lambda: senders.wire(to),
                senders.preparer(Register(house.root / "register.json")),
            )  # fmt: skip
            running = asyncio.create_task(course.run())
            async with asyncio.timeout(40):
                while not done(course):
                    await asyncio.sleep(0.02)
                    assert not running.done(), running
            course.stop.set()
            await running
            places.close()
            return course

    return asyncio.run(main())


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(forward, "PAUSES", (0.05,))


def test_lost_answers_and_lost_telegrams_are_sent_again_the_same(house, frame, quick):
    house.devices()
    sent = house.put([frame(NOON + timedelta(hours=k)) for k in range(30)])
    seen = set()

    def rule(message):
        first = message.qn not in seen
        seen.add(message.qn)
        return not (first and int(message.data_time[8:10]) % 5 == 0)

    peer = Peer(rule)
    course = play(house, peer, lambda c: c.state.sent == len(sent))
    assert course.state.aside == 0
    assert len(peer.codes()) == 30
    assert set(peer.got) == set(house.raws()), "the very bytes, each time"
    assert len(peer.got) > 30


@pytest.mark.parametrize("fault", [False, "close"])
def test_what_one_side_never_takes_is_set_aside_and_may_be_sent_again(house, frame, quick, fault):
    house.devices(MN, OTHER)
    frames = [frame(NOON + timedelta(hours=k)) for k in range(6)]
    frames.insert(2, frame(mn=OTHER))
    house.put(frames)
    peer = Peer(lambda message: fault if message.mn == OTHER else True)
    course = play(house, peer, lambda c: c.state.sent == 6 and c.state.aside == 1)
    assert sum(course.state.why.values()) == 1
    assert course.report()["waiting"] == 0
    # The other side has learned of the device, and somebody asks.
    assert CliRunner().invoke(
        app,
        ["forward", "--targets",
         str(settings_of(house.root, {"name": "peer", "url": "hj212://h"})),
         "--data", str(house.root), "--again", "peer"],
    ).output == "1 telegrams will be sent again\n"  # fmt: skip
    peer = Peer()
    course = play(house, peer, lambda c: c.state.aside == 0)
    assert [hj212.decode(raw).mn for raw in peer.got] == [OTHER]
    assert course.state.sent == 7
    places = Places(house.root / NAME)
    assert places.aside("peer") == 0
    places.close()


def test_a_silent_side_loses_nothing(house, frame, quick):
    house.devices()
    house.put([frame(NOON + timedelta(hours=k)) for k in range(3)])
    peer = Peer(lambda message: False)
    course = play(house, peer, lambda c: len(peer.got) > 3 * forward.TRIES)
    assert (course.state.sent, course.state.aside) == (0, 0)
    assert "no answer" in course.state.problem
    assert play(house, Peer(), lambda c: c.state.sent == 3).state.aside == 0


def test_an_unknown_device_does_not_hold_up_the_others_and_follows_when_known(
    house, frame, quick, monkeypatch
):
    monkeypatch.setattr(forward, "PROBE", 1.0)
    house.devices(MN, OTHER)
    count = 150
    frames = []
    for k in range(count):
        frames += [frame(NOON + timedelta(hours=k)), frame(NOON + timedelta(hours=k), mn=OTHER)]
    house.put(frames)
    known = False
    peer = Peer(lambda message: known or message.mn == MN)

    def first(course):
        nonlocal known
        if course.state.sent >= count:
            known = True
            if time.monotonic() > first.next:  # the device goes on sending
                first.next = time.monotonic() + 1.2
                first.more += 1
                house.put([frame(NOON + timedelta(hours=900 + first.more), mn=OTHER)])
        return course.state.aside == 0 and course.state.sent == 2 * count + first.more

    first.next, first.more = 0.0, 0
    course = play(house, peer, first)
    assert course.state.why["muted"] > 0
    assert course.state.aside == 0
    assert len(peer.codes()) >= count + 1


# --- real processes, killed ---------------------------------------------------------------------


def start(*arguments, word=""):
    process = subprocess.Popen(
        [sys.executable, "-m", "jingwei.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if word:
        line = process.stdout.readline()
        assert word in line, line
    return process


def end(process):
    process.terminate()
    process.wait(20)
    process.stdout.close()


def killed(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_both_sides_killed_nothing_is_lost_and_the_lakes_agree(house, frame, tmp_path):
    house.devices()
    there = House(tmp_path / "there")
    there.devices()
    port, count = free_port(), 600
    path = settings_of(tmp_path, {"name": "province", "url": f"hj212://127.0.0.1:{port}",
                                  "since": "2026-03-10T00:00:00", "timeout": 2})  # fmt: skip

    def gateway():
        return start(
            "gateway", "--listen", f"127.0.0.1:{port}", "--data", there.root, word="listening"
        )

    def forwarder():
        return start("forward", "--targets", path, "--data", house.root, word="forwarding")

    writer = Journal(house.journal)
    stop = threading.Event()

    def fill():
        for k in range(0, count, 10):
            some = [frame(NOON + timedelta(hours=n), values={"a21026": f"{n}.5"}, flag=4 + n % 2)
                    for n in range(k, k + 10)]  # fmt: skip
            writer.append([journal.Telegram(datetime.now(UTC), "192.0.2.1:1", raw) for raw in some])
            stop.wait(0.05)

    filling = threading.Thread(target=fill)
    filling.start()
    peer, here = gateway(), forwarder()
    try:
        for pause in (0.3, 0.2, 0.4):
            time.sleep(pause)
            killed(here)
            here = forwarder()
            time.sleep(pause)
            killed(peer)
            peer = gateway()
        filling.join()
        until(lambda: len({hj212.decode(r).data_time for r in there.raws()}) == count)

        def calm():
            said = health.read(house.run).get("forward", {}).get("targets", {}).get("province", {})
            return said.get("waiting") == 0 and said.get("connected")

        until(calm)
    finally:
        stop.set()
        filling.join()
        writer.close()
        end(here)
        end(peer)
    for one in (house, there):
        ingest = one.ingest()
        while ingest.step().telegrams:
            pass
        ingest.close()
    span = (MN, "31", ["a21026"], "hour", NOON, NOON + timedelta(hours=count))
    ours, theirs = house.lake.series(*span), there.lake.series(*span)
    assert theirs.num_rows == count
    assert theirs["value"] == ours["value"]
    assert theirs["time"] == ours["time"]


@contextlib.contextmanager
def mosquitto(tmp_path, port):
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
        f"persistence_location {tmp_path}/\nautosave_interval 1\nautosave_on_changes true\n"
        "max_queued_messages 0\n"
    )
    running = []

    def begin():
        running.append(
            subprocess.Popen(
                [BROKER, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("no broker")

    def stop():
        running[-1].terminate()
        running[-1].wait()

    begin()
    try:
        yield begin, stop
    finally:
        stop()


@needs_broker
def test_a_second_installation_hears_everything_through_a_broker(house, frame, tmp_path):
    house.devices()
    there = House(tmp_path / "there")
    there.devices()
    port, count = free_port(), 300
    path = settings_of(tmp_path, {"name": "hub", "url": f"mqtt://127.0.0.1:{port}",
                                  "since": "2026-03-10T00:00:00", "timeout": 2})  # fmt: skip
    house.put(
        [frame(NOON + timedelta(hours=n), values={"a21026": f"{n}.50"}) for n in range(count)]
    )
    house.put([hj212.answer("9011", hj212.decode(frame()), QnRtn=1).rstrip()])  # nobody else's
    with mosquitto(tmp_path, port) as (begin, stop):
        listener = Listener(Broker("127.0.0.1", port), there.root)
        hearing = threading.Thread(target=listener.run)
        hearing.start()
        until(lambda: listener.counts.connected)
        time.sleep(0.2)
        here = start("forward", "--targets", path, "--data", house.root, word="forwarding")
        try:
            time.sleep(0.3)
            killed(here)
            stop()
            here = start("forward", "--targets", path, "--data", house.root, word="forwarding")
            time.sleep(0.5)
            begin()
            until(lambda: len(set(there.raws())) == count)
        finally:
            end(here)
            listener.stop.set()
            hearing.join()
    ingest = there.ingest()
    while ingest.step().telegrams:
        pass
    ingest.close()
    table = there.lake.series(MN, "31", ["a21026"], "hour", NOON, NOON + timedelta(hours=count))
    assert table["value"].to_pylist() == [n + 0.5 for n in range(count)]
    assert set(table["flag"].to_pylist()) == {"N"}
