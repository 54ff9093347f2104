"""Observations from an MQTT broker, each acknowledged when it is in the journal.

Two forms of JSON are read; both end as envelopes (`envelope`):

* our own: `{"mn": "…", "st": "22", "resolution": "hour", "time": "2026-03-10T12:00:00+08:00",
  "values": {"a34004": 35.2, "a21026": {"value": "12.5", "flag": "N"}}}`; instead of a value the
  fields of HJ 212 may stand: `{"Avg": "12.5", "Min": "11", "Max": "14", "Flag": "N"}`
* an Observation of OGC SensorThings 1.1 (`{"phenomenonTime": "…", "result": 35.2, …}`) on a topic
  that ends in `Datastreams(ID)/Observations`, or with `"Datastream": {"@iot.id": ID}`; which device
  and factor a datastream is stands in the mapping `{ID: {"mn", "st", "code", "resolution"}}`.

The session is persistent and every message of QoS 1 or 2 is acknowledged by hand, after the commit:
killed at any moment, the broker sends again what was not acknowledged, and the lake stores it once.
What cannot be read goes to the journal of refused telegrams with its reason, and is acknowledged:
it would come again for ever.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jingwei.telemetry import health
from jingwei.telemetry.envelope import VALUE, EnvelopeError, envelope
from jingwei.telemetry.journal import Journal, JournalError, Telegram
from jingwei.telemetry.register import Register
from jingwei.telemetry.tables import known_in

log = logging.getLogger("jingwei.mqtt")

LARGEST: Final = 256 << 10  # bytes of a message
GROUP: Final = 500  # messages in one commit
LINGER: Final = 0.02  # seconds that a group gathers
WAITING: Final = 5_000  # messages not yet committed; more wait at the broker
_DATASTREAM = re.compile(r"Datastreams\(([^()/]{1,80})\)/Observations$")


class MessageError(ValueError):
    """A message that is no observation; the text says why."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to listen. `topics`: filters, `#` and `+` allowed; `tls`: None for none."""

    host: str
    port: int = 1883
    topics: tuple[str, ...] = ("jingwei/#",)
    user: str = ""
    password: str = ""
    client: str = "jingwei"
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class Counts:
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    connected: bool = False


def read(
    topic: str,
    payload: bytes,
    streams: Mapping[str, Mapping[str, str]],
    known: Callable[[str], bool] = lambda mn: True,
) -> bytes:
    """The envelope of a message; raises `MessageError`."""
    if len(payload) > LARGEST:
        raise MessageError(f"{len(payload)} bytes: at most {LARGEST}")
    try:
        # Numbers stay the text that was sent.
        found = json.loads(payload, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise MessageError("no JSON object")
    stream = _stream(topic, found)
    if stream is None:
        mn, st, resolution = (_word(found, name) for name in ("mn", "st", "resolution"))
        when, values = found.get("time"), found.get("values")
    else:
        if stream not in streams:
            raise MessageError(f"datastream {stream[:40]!r} is not in the mapping")
        row = streams[stream]
        mn, st, resolution = row["mn"], row["st"], row.get("resolution", "realtime")
        when, values = found.get("phenomenonTime"), {row["code"]: found.get("result")}
        if isinstance(when, str):
            when = when.partition("/")[0]  # an interval: its start
    if not isinstance(values, dict) or not values:
        raise MessageError("no values")
    if not known(mn):
        raise MessageError(f"device {mn[:40]!r} is not in the register")
    items = {str(code): _fields(code, value, resolution) for code, value in values.items()}
    source = {"kind": "mqtt", "topic": topic[:200]}
    try:
        return envelope(mn, st, resolution, _time(when), items, source)
    except EnvelopeError as error:
        raise MessageError(str(error)) from None


def _stream(topic: str, found: Mapping[str, Any]) -> str | None:
    match = _DATASTREAM.search(topic)
    if match:
        return match[1]
    inner = found.get("Datastream")
    if isinstance(inner, dict) and "@iot.id" in inner:
        return str(inner["@iot.id"])
    return None


def _word(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise MessageError(f"{name}: wanted a text")
    return value


def _fields(code: str, value: Any, resolution: str) -> dict[str, str]:
    """The fields of one factor: a number, or an object with value and flag."""
    main = VALUE.get(resolution, "Avg")
    if isinstance(value, dict) and "value" not in value:
        return {str(name): str(text) for name, text in value.items()}  # fields of HJ 212
    if isinstance(value, dict):
        number, flag = value.get("value"), value.get("flag")
        fields = {main: str(number)}
        if flag is not None:
            fields["Flag"] = str(flag)
        return fields
    if not isinstance(value, str):
        raise MessageError(f"{code}: {value!r} is no number")
    return {main: value}


def _time(when: Any) -> datetime:
    if not isinstance(when, str):
        raise MessageError("no time")
    try:
        found = datetime.fromisoformat(when)
    except ValueError:
        raise MessageError(f"time {when[:40]!r} is none of ISO 8601") from None
    if found.tzinfo is None:
        raise MessageError(f"time {when[:40]!r} has no zone")
    return found


class Listener:
    """Takes messages until `stop` is set. Reconnects by itself."""

    def __init__(
        self, broker: Broker, data: Path, streams: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        import paho.mqtt.client as paho

        self.broker, self.data, self.streams = broker, data, streams or {}
        self.counts = Counts()
        self.stop = threading.Event()
        self._register = Register(data / "register.json")
        self._messages: queue.Queue[Any] = queue.Queue(WAITING)
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=broker.client,
            clean_session=False,
            manual_ack=True,
        )
        self._client.max_inflight_messages_set(WAITING)
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            self._client.tls_set_context(broker.tls)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = lambda _client, _data, message: self._messages.put(message)

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            log.error("the broker refuses: %s", reason)
            return
        self.counts.connected = True
        client.subscribe([(topic, 1) for topic in self.broker.topics])

    def _disconnected(self, _client: Any, _data: Any, _f: Any, reason: Any, _more: Any) -> None:
        self.counts.connected = False
        if reason.is_failure:
            log.warning("the connection to the broker is lost: %s", reason)

    def run(self) -> None:
        """Listen; `OSError` where the broker cannot be reached at the start."""
        journal, refused = Journal(self.data / "journal"), Journal(self.data / "refused")
        self._client.connect(self.broker.host, self.broker.port, keepalive=30)
        self._client.loop_start()
        beat = 0.0
        try:
            while not self.stop.is_set():
                group = self._group()
                if group:
                    self._keep(group, journal, refused)
                else:
                    journal.roll(if_over=True)
                    refused.roll(if_over=True)
                if time.monotonic() - beat > 2:
                    beat = time.monotonic()
                    health.beat(
                        self.data / "run",
                        "mqtt",
                        connected=self.counts.connected,
                        problem="" if self.counts.connected else "no connection to the broker",
                        taken=self.counts.taken,
                        refused=dict(self.counts.refused),
                    )
        finally:
            self._client.loop_stop()
            self._client.disconnect()
            journal.close()
            refused.close()

    def _group(self) -> list[Any]:
        try:
            group = [self._messages.get(timeout=0.2)]
        except queue.Empty:
            return []
        end = time.monotonic() + LINGER
        while len(group) < GROUP:
            try:
                group.append(self._messages.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                break
        return group

    def _keep(self, group: list[Any], journal: Journal, refused: Journal) -> None:
        """Commit a group, then acknowledge it; a journal that cannot be written is tried again."""
        now, known = datetime.now(UTC), known_in(self._register)
        good: list[Telegram] = []
        bad: list[Telegram] = []
        peer = f"mqtt:{self.broker.host}:{self.broker.port}"
        for message in group:
            try:
                good.append(
                    Telegram(now, peer, read(message.topic, message.payload, self.streams, known))
                )
            except (ValueError, ArithmeticError, TypeError, LookupError, RecursionError) as error:
                # Whatever a message brings, it must not end the listener: it would come again.
                reason = str(error).encode(errors="backslashreplace").decode()
                self.counts.refused[reason.partition(":")[0][:40]] += 1
                bad.append(Telegram(now, peer, message.payload[:LARGEST], reason[:200]))
        for writer, some in ((journal, good), (refused, bad)):
            while some and not self.stop.is_set():
                try:
                    writer.append(some)
                    break
                except JournalError as error:
                    log.error("%s; trying again", error)
                    self.stop.wait(1.0)
            if self.stop.is_set() and some and writer is journal:
                return  # not acknowledged: the broker sends it again
        self.counts.taken += len(good)
        for message in group:
            if message.qos:
                self._client.ack(message.mid, message.qos)
