"""MQTT against a real broker (Mosquitto)."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.telemetry import journal, mqtt
from jingwei.telemetry.catalog import catalog
from jingwei.telemetry.journal import Journal
from jingwei.telemetry.mqtt import Broker, Listener, MessageError

MN = "010000A8900016F000169DC0"
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
KILLS = 10
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
STREAMS = {"7": {"mn": MN, "st": "22", "code": "a34004", "resolution": "hour"}}

needs_broker = pytest.mark.skipif(
    not Path(BROKER).exists(), reason="no Mosquitto on this machine (Debian: mosquitto)"
)


def own(k=0, **changes):
    time_ = (NOON + timedelta(hours=k)).isoformat()
    return {"mn": MN, "st": "22", "resolution": "hour", "time": time_,
            "values": {"a34004": 35.20, "a21026": {"value": "12.50", "flag": "N"}}} | changes  # fmt: skip


def test_both_forms_are_read_and_numbers_stay_as_sent():
    raw = json.loads(mqtt.read("x", b'{"mn":"A","st":"22","resolution":"hour",'
                               b'"time":"2026-03-10T12:00:00+08:00","values":{"a34004":35.20}}', {}))  # fmt: skip
    assert raw["items"] == [{"code": "a34004", "Avg": "35.20"}]
    thing = {"phenomenonTime": "2026-03-10T04:00:00Z/2026-03-10T05:00:00Z", "result": 8.0}
    for topic, more in (
        ("v1.1/Datastreams(7)/Observations", {}),
        ("obs", {"Datastream": {"@iot.id": 7}}),
    ):
        raw = json.loads(mqtt.read(topic, json.dumps(thing | more).encode(), STREAMS))
        assert (raw["mn"], raw["time"], raw["items"]) == (
            MN, "20260310120000", [{"code": "a34004", "Avg": "8.0"}],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "no JSON"),
        (b"[1]", "no JSON object"),
        (json.dumps(own(mn=None)).encode(), "mn"),
        (json.dumps(own(resolution="year")).encode(), "resolution"),
        (json.dumps(own(time="2026-03-10T12:00:00")).encode(), "no zone"),
        (json.dumps(own(time="noon")).encode(), "none of ISO"),
        (json.dumps(own(values={})).encode(), "no values"),
        (json.dumps(own(values={"a34004": None})).encode(), "is no number"),
        (json.dumps(own(values={"a34004": "NaN"})).encode(), "no decimal number"),
        (b'{"mn":"A","st":"22","resolution":"hour","time":"2026-03-10T12:00:00Z","values":{"a":1e400}}',
         "no decimal number"),
        (json.dumps({"Datastream": {"@iot.id": 9}, "result": 1}).encode(), "not in the mapping"),
        (json.dumps(own(time="0001-01-01T00:00:00+14:00")).encode(), "calendar"),
        (json.dumps(own(time="9999-12-31T23:59:59-12:00")).encode(), "calendar"),
        (json.dumps(own(values={"a34004": {"value": "1", "flag": "\ud800"}})).encode(), "surrogate"),
        (json.dumps(own(values={"a34004": {"code": "1", "Avg": "2"}})).encode(), "called code"),
        (json.dumps(own(values={"a34004": {f"F{n}": "1" for n in range(17)}})).encode(),
         "17 fields: at most 16"),
        (b"x" * (mqtt.LARGEST + 1), "bytes"),
    ],
)  # fmt: skip
def test_what_is_no_observation_says_why(message, reason):
    with pytest.raises(MessageError, match=reason):
        mqtt.read("x", message, STREAMS)


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)
    | st.dictionaries(st.sampled_from(["mn", "st", "time", "values", "result", "Datastream"]), inner),
    max_leaves=10,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@settings(deadline=None)
def test_any_bytes_are_an_observation_or_one_reason(payload):
    try:
        mqtt.read("v1.1/Datastreams(7)/Observations", payload, STREAMS)
    except MessageError:
        return


def test_no_message_ends_the_listener(house, monkeypatch):
    """Not even one whose reading fails in a way that nobody thought of: it would come again."""
    house.devices()
    listener = Listener(Broker("127.0.0.1", 1), house.root, STREAMS)
    kept, refused = Journal(house.journal), Journal(house.refused)
    payloads = [
        json.dumps(own(time="0001-01-01T00:00:00+14:00")),
        json.dumps(own(values={"\ud800": None})),
        json.dumps(own()),
    ]
    group = [SimpleNamespace(topic="x", payload=p.encode(), qos=0) for p in payloads]
    listener._keep(group, kept, refused)
    assert (listener.counts.taken, sum(listener.counts.refused.values())) == (1, 2)
    assert [t.raw for t in journal.read(house.refused)] == [m.payload for m in group[:2]]
    for error in (OverflowError("x"), KeyError("x"), TypeError("x"), RecursionError("x")):
        monkeypatch.setattr(mqtt, "read", Mock(side_effect=error))
        listener._keep(group[2:], kept, refused)
    assert (listener.counts.taken, sum(listener.counts.refused.values())) == (1, 6)


@pytest.fixture
def broker(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "max_queued_messages 0\nmax_inflight_messages 200\n"
    )
    process = subprocess.Popen(
        [BROKER, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None
            time.sleep(0.05)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def publish(port, messages):
    import paho.mqtt.client as paho

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="station")
    client.connect("127.0.0.1", port)
    client.loop_start()
    for message in messages:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        client.publish("jingwei/station", payload, qos=1).wait_for_publish(10)
    client.loop_stop()
    client.disconnect()


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@needs_broker
def test_messages_are_in_the_lake_and_rubbish_is_kept_apart(house, broker):
    house.devices()
    listener = Listener(Broker("127.0.0.1", broker), house.root, STREAMS)
    thread = threading.Thread(target=listener.run)
    thread.start()
    try:
        until(lambda: listener.counts.connected)
        time.sleep(0.2)  # subscribed
        publish(broker, [own(0), b"rubbish", own(1), own(1), own(2, mn="GHOST")])
        until(lambda: listener.counts.taken == 3 and sum(listener.counts.refused.values()) == 2)
    finally:
        listener.stop.set()
        thread.join()
    assert house.ingest().step().observations == 4, "the same message again is stored once"
    table = house.lake.series(MN, "22", ["a34004"], "hour", NOON, NOON + timedelta(hours=3))
    assert table["value"].to_pylist() == [35.2, 35.2]
    kept = journal.read(house.refused)
    assert kept[0].raw == b"rubbish"
    assert "GHOST" in kept[1].reason


@needs_broker
def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(house, broker):
    house.devices()
    start = [sys.executable, "-m", "jingwei.cli", "mqtt"]
    told = os.environ | {
        "JINGWEI_MQTT": f"mqtt://127.0.0.1:{broker}", "JINGWEI_DATA": str(house.root)
    }  # fmt: skip
    chance = random.Random(7)

    def taken():
        return {json.loads(t.raw)["time"] for t in journal.read(house.journal, limit=1 << 30)}

    process = subprocess.Popen(start, env=told)
    until(lambda: (house.root / "run" / "mqtt.json").exists())
    publish(broker, [own(0)])  # it has subscribed: the broker keeps what comes from now on
    until(taken)
    count, stop = 1, threading.Event()

    def send():
        nonlocal count
        while not stop.is_set():
            publish(broker, [own(count + k) for k in range(10)])
            count += 10

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(KILLS):
            before = len(taken())
            until(lambda: len(taken()) > before + 5)  # noqa: B023
            time.sleep(chance.random() * 0.2)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process = subprocess.Popen(start, env=told)
        stop.set()
        sender.join()
        until(lambda: len(taken()) == count, 40)
    finally:
        stop.set()
        process.terminate()
        process.wait()
    ingest = house.ingest()
    while ingest.step().telegrams:
        pass
    table = house.lake.series(MN, "22", ["a34004"], "hour", NOON, NOON + timedelta(hours=count))
    assert table.num_rows == count > KILLS * 5
    with catalog(house.root / "lake") as db:
        assert db.execute("SELECT sum(rows) FROM file").fetchone() == (2 * count,)
