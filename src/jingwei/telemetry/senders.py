"""The two wires that telegrams are forwarded on (`forward`): HJ 212 over TCP, and MQTT.

Over HJ 212 a telegram goes out with the bytes that came. It is written anew, the content untouched,
only where the other side could not acknowledge or check it: where it asks for no answer (Flag) or
has no QN, or where its check sum is of a dialect. What came by another way than HJ 212 (a file, a
broker) becomes telegrams of 2017. The same telegram always gives the same bytes. Answers in a
dialogue of ours (9011 …) are nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections import defaultdict, deque
from datetime import datetime, timedelta
from typing import Any, Final

from jingwei import hj212
from jingwei.evidence import canonical
from jingwei.hj212.values import SHANGHAI
from jingwei.telemetry import envelope
from jingwei.telemetry.envelope import COMMANDS
from jingwei.telemetry.forward import TRIES, Parcel, Prepare, Target, Wire
from jingwei.telemetry.intake import encrypted
from jingwei.telemetry.journal import ALL
from jingwei.telemetry.observations import decode
from jingwei.telemetry.register import Register

CP: Final = 900  # characters of a CP: 950 may be, and 1024 of the segment (HJ 212-2017 table 2)
_FLAG = re.compile(rb"(?<=;)Flag=(\d{1,3})(?=;)")


def preparer(register: Register) -> Prepare:
    """What a target is sent of a telegram: a parcel of frames or messages; None where it is not
    meant for it; a word where it should go and cannot."""

    def prepare(target: Target, seq: int, received: datetime, raw: bytes) -> Parcel | str | None:
        message = decode(raw, register.keys)
        closed = not message.ok and encrypted(message)
        if not message.ok and not closed:
            return "unreadable"
        mn, cn = message.mn or "", message.cn or ""
        if cn in ("9011", "9012", "9013", "9014") or not target.wants(mn, cn):
            return None
        kind = f"{mn} {cn}"
        if not target.mqtt:
            command = hj212.command(cn, message.version or "2017")
            if command is not None and command.reply is None:
                return None  # a part of a dialogue, which nobody acknowledges
            frames = _frames(register, message, seq, received, raw)
            return frames if isinstance(frames, str) else Parcel(seq, received, frames, kind)
        topic = target.topic.format(mn=mn, st=message.st, cn=cn)
        if "#" in topic or "+" in topic or "\x00" in topic:
            return "topic"
        if target.payload == "raw":
            return Parcel(seq, received, ((topic, raw),), kind)
        if closed:
            return "no_key"
        payload = observation(message, received)
        return None if payload is None else Parcel(seq, received, ((topic, payload),), kind)

    return prepare


def observation(message: hj212.Message, received: datetime) -> bytes | None:
    """Data as the JSON that `mqtt` reads; None for what is none."""
    resolution, time = COMMANDS.get(message.cn or ""), message.time
    if resolution is None or time is None or not message.items:
        return None
    return canonical.dumps(
        {
            "mn": message.mn,
            "st": message.st,
            "resolution": resolution,
            "time": time.astimezone(SHANGHAI).isoformat(),
            "values": {item.code: dict(item.fields) for item in message.items},
            "received": received.isoformat(),
        }
    )


def _frames(
    register: Register, message: hj212.Message, seq: int, received: datetime, raw: bytes
) -> tuple[Any, ...] | str:
    """(key, frame) of what is sent, `key` being (MN, QN), by which the answer names it."""
    # A number for what came without: the second of reception, and the row within the segment.
    base = received.replace(microsecond=(seq & ALL) % 1000 * 1000)
    if envelope.is_envelope(raw):
        device = register.get(message.mn or "")
        if device is None:
            return "no_device"
        try:
            telegrams = _telegrams(message, device.password, base)
        except ValueError:
            return "too_long"
        return tuple(((message.mn, number), frame) for number, frame in telegrams)
    asks = hj212.reply(message) is not None
    dialect = message.crc is not None and message.crc.dialect is not None
    if asks and message.qn and not dialect:
        return (((message.mn, message.qn), raw.rstrip() + b"\r\n"),)
    keys: tuple[bytes, ...] = ()
    if encrypted(hj212.decode(raw, dialects=frozenset(hj212.DIALECTS))):
        keys = register.keys(message.mn or "")
        if not message.ok:
            return "no_key"
    device = register.get(message.mn or "")
    segment, key = _open(raw, keys)
    number = message.qn or hj212.qn(base)
    try:
        frame = hj212.frame(
            _asking(segment, message, number), key=key, form=device.form if device else "raw"
        )
    except ValueError:
        return "too_long"
    return (((message.mn, number), frame),)


def _open(raw: bytes, keys: tuple[bytes, ...]) -> tuple[bytes, bytes | None]:
    """The clear segment and the key that opens it, None where it is clear."""
    closed = hj212.opened(raw)
    for key in keys:
        clear = hj212.opened(raw, key)
        if clear != closed:
            return clear, key
    return closed, None


def _asking(segment: bytes, message: hj212.Message, number: str) -> bytes:
    """The segment with a QN and a Flag that asks for an answer (2005: where it has a Flag)."""
    head, mark, rest = segment.partition(b"CP=")
    if not message.qn:
        head = f"QN={number};".encode() + head
    flag = _FLAG.search(head)
    if flag:
        head = head[: flag.start()] + b"Flag=%d" % (int(flag[1]) | 1) + head[flag.end() :]
    elif message.version != "2005":
        head += b"Flag=%d;" % ((9 if message.version == "2025" else 5) | (2 * message.split))
    return head + mark + rest


def _telegrams(message: hj212.Message, password: str, base: datetime) -> list[tuple[str, bytes]]:
    """An envelope as telegrams of 2017, as many as its values need: (QN, frame)."""
    time = message.time
    assert time is not None
    groups: list[list[tuple[str, dict[str, str]]]] = [[]]
    size = 24
    for item in message.items:
        length = sum(len(item.code) + len(n) + len(t) + 3 for n, t in item.fields.items())
        if groups[-1] and size + length > CP:
            groups.append([])
            size = 24
        groups[-1].append((item.code, item.fields))
        size += length
    found = []
    for part, group in enumerate(groups):
        number = hj212.qn(base + timedelta(seconds=part))
        segment = hj212.segment(
            cn=message.cn or "",
            st=message.st or "",
            mn=message.mn or "",
            pw=password,
            qn=number,
            flag=5,
            cp=hj212.data_cp(time, group),
        )
        found.append((number, hj212.frame(segment)))
    return found


# --- wires --------------------------------------------------------------------------------------


def wire(target: Target) -> Wire:
    return Mqtt(target) if target.mqtt else Tcp(target)


def _context(target: Target) -> ssl.SSLContext | None:
    if not target.secure:
        return None
    return ssl.create_default_context(cafile=target.ca or None)


class Tcp:
    """HJ 212 over TCP: a frame is acknowledged by 9014 or 9013 with its QN."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._waiting: defaultdict[Any, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._lost: Exception | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        reader, self._writer = await asyncio.wait_for(
            asyncio.open_connection(
                self._target.host, self._target.port, ssl=_context(self._target)
            ),
            self._target.timeout,
        )
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        cutter = hj212.Reader()
        error = ConnectionError("the other side has ended the connection")
        try:
            while data := await reader.read(1 << 16):
                for piece in cutter.feed(data):
                    if isinstance(piece, bytes):
                        self._answered(hj212.decode(piece))
        except OSError as problem:
            error = ConnectionError(str(problem))
        self._lost = error
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _answered(self, message: hj212.Message) -> None:
        if not message.ok or message.cn not in ("9013", "9014"):
            return
        # The answer of 2005 to data names no MN (HJ/T 212-2005 appendix C).
        keys = [(message.mn, message.qn)] if message.mn else [
            key for key in self._waiting if key[1] == message.qn
        ]  # fmt: skip
        for key in keys[:1]:
            for future in self._waiting.get(key, ()):
                if not future.done():
                    future.set_result(None)
                    break

    async def send(self, parcel: Parcel) -> None:
        for key, frame in parcel.frames:
            future = asyncio.get_running_loop().create_future()
            self._waiting[key].append(future)
            try:
                for _ in range(TRIES):
                    if self._lost is not None:
                        raise self._lost
                    assert self._writer is not None
                    self._writer.write(frame)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._target.timeout):
                            await self._writer.drain()
                            await asyncio.shield(future)
                            break
                else:
                    raise TimeoutError(f"no answer after {TRIES} times")
            finally:
                future.cancel()
                self._waiting[key].remove(future)
                if not self._waiting[key]:
                    del self._waiting[key]

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), 2)


class Mqtt:
    """MQTT 3.1.1, QoS 1: a message is acknowledged by the broker's PUBACK."""

    def __init__(self, target: Target) -> None:
        import paho.mqtt.client as paho

        self._target = target
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._early: set[int] = set()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._lost: Exception | None = None
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"jingwei-forward-{target.name}",
            reconnect_on_failure=False,
        )
        self._client.max_inflight_messages_set(0)
        if target.user:
            self._client.username_pw_set(target.user, target.password)
        context = _context(target)
        if context is not None:
            self._client.tls_set_context(context)

        def connected(_c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
            self._loop.call_soon_threadsafe(self._connected, reason)

        def disconnected(_c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
            self._loop.call_soon_threadsafe(self._gone, str(reason))

        def published(_c: Any, _d: Any, mid: int, _r: Any, _p: Any) -> None:
            self._loop.call_soon_threadsafe(self._published, mid)

        self._client.on_connect = connected
        self._client.on_disconnect = disconnected
        self._client.on_publish = published

    def _connected(self, reason: Any) -> None:
        if not self._opened.done():
            if reason.is_failure:
                self._opened.set_exception(ConnectionError(f"the broker refuses: {reason}"))
            else:
                self._opened.set_result(None)

    def _gone(self, reason: str) -> None:
        self._lost = ConnectionError(f"the connection to the broker is lost: {reason}")
        for future in [self._opened, *self._waiting.values()]:
            if not future.done():
                future.set_exception(self._lost)

    def _published(self, mid: int) -> None:
        future = self._waiting.get(mid)
        if future is None:
            self._early.add(mid)  # acknowledged before `publish` has returned
        elif not future.done():
            future.set_result(None)

    async def open(self) -> None:
        target = self._target
        await asyncio.to_thread(self._client.connect, target.host, target.port, 30)
        self._client.loop_start()
        try:
            await asyncio.wait_for(self._opened, target.timeout)
        except BaseException:
            await self.close()
            raise

    async def send(self, parcel: Parcel) -> None:
        for topic, payload in parcel.frames:
            if self._lost is not None:
                raise self._lost
            mid = self._client.publish(topic, payload, qos=1).mid
            if mid in self._early:
                self._early.discard(mid)
                continue
            future = self._waiting[mid] = self._loop.create_future()
            try:
                await asyncio.wait_for(future, self._target.timeout * TRIES)
            finally:
                del self._waiting[mid]

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()  # taken note of
