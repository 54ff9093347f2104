"""Plays devices against a gateway over TCP, as loggers in the field would.

Each device has its own connection. It sends its state when it has connected, real-time values
every 30 s, 10-minute, hourly and daily means when their period has ended, asks for answers, and
counts a report as delivered when 9014 with its QN has come; without one it sends again after 10 s,
three times (HJ 212-2017 table 1), and then connects anew. What it has delivered is kept in a file,
so that after a pause it sends what it missed: older reports with their old DataTime, as HJ
212-2017 does it (marked `RF=1` in 2025). What the host asks it answers (`responder`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jingwei import hj212
from jingwei.telemetry.replay import SECONDS, Device, Player, Resolution, floor
from jingwei.telemetry.responder import Responder

log = logging.getLogger("jingwei.replay")

REALTIME = 30  # seconds (HJ 212-2017: RtdInterval 30 to 3600)
ANSWER = 10.0
TRIES = 3
BACK: dict[str, timedelta] = {  # how far back missed reports are sent
    "minute": timedelta(days=3),
    "hour": timedelta(days=30),
    "day": timedelta(days=30),
}
PERIODS: tuple[Resolution, ...] = ("hour", "day", "minute")  # what is sent first of what is due


class Clock:
    """The replay's time. With `speed` it starts at `start` and runs faster until it has caught up
    with the real one; without, it is the real one."""

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        self._begun = time.time()
        self._start = start.timestamp() if start else None
        self.speed = speed if start else 1.0

    def now(self) -> datetime:
        real = time.time()
        if self._start is not None:
            real = min(real, self._start + (real - self._begun) * self.speed)
        return datetime.fromtimestamp(real, UTC)

    def wait(self, until: datetime) -> float:
        """Real seconds until the clock shows `until`; 0 when it has."""
        now = self.now()
        if until <= now:
            return 0.0
        seconds = (until - now).total_seconds()
        behind = time.time() - now.timestamp()
        if self.speed <= 1 or behind < 1:
            return seconds
        # It runs fast only as long as it is behind: then at the real pace.
        fast = behind / (self.speed - 1)
        return seconds / self.speed if seconds <= fast * self.speed else seconds - behind


class Delivered:
    """End (Unix time) of the last delivered period by device and resolution, kept in a file.

    `since`: what counts for a device that the file does not know. Without `path` nothing is kept.
    """

    def __init__(self, path: Path | None, since: datetime) -> None:
        self.path = path
        self.since = since
        self._ends: dict[str, dict[str, int]] = {}
        self._dirty = False
        if path is not None:
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                self._ends = {
                    str(key): {str(r): int(end) for r, end in ends.items()}
                    for key, ends in content["delivered"].items()
                }
            except FileNotFoundError:
                pass
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                log.warning("%s cannot be read (%s): reports may be sent again", path, error)

    def end(self, key: str, resolution: str) -> int:
        found = self._ends.get(key, {}).get(resolution)
        return floor(self.since, resolution) if found is None else found

    def put(self, key: str, resolution: str, end: int) -> None:
        self._ends.setdefault(key, {})[resolution] = end
        self._dirty = True

    def save(self) -> None:
        """Replace the file, if there is news. A full disk is logged: reports are sent again then."""
        if self.path is None or not self._dirty:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{self.path.stem}-", dir=self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as f:
                json.dump({"delivered": self._ends}, f)
            Path(name).replace(self.path)
            self._dirty = False
        except OSError as error:
            log.warning("%s cannot be written: %s", self.path, error)


@dataclass
class Counts:
    """What the fleet does; `problem` is the latest one, empty when all is well."""

    devices: int = 0
    connected: int = 0
    sent: int = 0
    delivered: int = 0
    unanswered: int = 0
    requests: int = 0  # commands from the host
    waiting: dict[str, int] = field(default_factory=dict)  # due reports by device
    problem: str = ""

    @property
    def backlog(self) -> int:
        return sum(self.waiting.values())


class UnansweredError(ConnectionError):
    """The gateway did not acknowledge a report."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way and in the device: shares 0…1 of telegrams that are lost or come
    twice, seconds by which one may be delayed, seconds by which the clock runs ahead."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    clock: float = 0.0
    seed: int = 0


class _Link:
    """One connection of one device: sends, waits for answers, hears what the host asks."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        responder: Responder,
        faults: Faults,
        chance: random.Random,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._responder = responder
        self._faults = faults
        self._chance = chance
        self._last = datetime.min.replace(tzinfo=UTC)
        self._wanted: tuple[str | None, str | None] | None = None  # QN and PNO of the answer
        self._come = asyncio.Event()
        # What the host asks; None: the connection has ended.
        self.requests: asyncio.Queue[hj212.Message | None] = asyncio.Queue()
        self._ear = asyncio.create_task(self._listen())

    def moment(self, now: datetime) -> datetime:
        """`now`, or a little later: each report has a QN of its own (milliseconds), and the
        packets of a split one take the next milliseconds."""
        self._last = max(now, self._last + timedelta(milliseconds=10))
        return self._last

    async def send(self, frame: bytes) -> None:
        """Put the frame on the wire, as far as the faults let it."""
        faults, chance = self._faults, self._chance
        if faults.delay:
            await asyncio.sleep(chance.random() * faults.delay)
        if faults.loss and chance.random() < faults.loss:
            return
        self._writer.write(frame)
        if faults.duplicate and chance.random() < faults.duplicate:
            self._writer.write(frame)
        await self._writer.drain()

    async def deliver(self, frame: bytes, counts: Counts, timeout: float) -> None:
        """Send until 9014 with the frame's QN has come; `UnansweredError` after three tries."""
        device = self._responder.device
        message = hj212.decode(frame.rstrip(b"\r\n"), version=device.version, key=device.sm4)
        self._wanted = (message.qn, None if message.pno is None else str(message.pno))
        self._come.clear()
        for _ in range(TRIES):
            await self.send(frame)
            counts.sent += 1
            try:
                async with asyncio.timeout(timeout):
                    await self._come.wait()
            except TimeoutError:
                counts.unanswered += 1
                continue
            if self._ear.done():
                raise ConnectionResetError("the gateway closed the connection")
            counts.delivered += 1
            return
        raise UnansweredError(f"no answer to {TRIES} telegrams")

    async def _listen(self) -> None:
        frames = hj212.Reader()
        try:
            while data := await self._reader.read(4096):
                for frame in frames.feed(data):
                    if isinstance(frame, bytes):
                        self._hear(frame)
        except OSError:
            pass
        self.requests.put_nowait(None)
        asyncio.get_running_loop().call_soon(self._come.set)

    def _hear(self, frame: bytes) -> None:
        device = self._responder.device
        message = hj212.decode(frame, version=device.version, key=device.sm4)
        if message.cn == "9014" and self._wanted is not None:
            qn, pno = self._wanted
            if message.qn == qn and message.params.get("PNO", pno) == pno:
                self._wanted = None
                self._come.set()
        elif message.ok and self._responder.asks(message):
            self.requests.put_nowait(message)

    async def close(self) -> None:
        self._ear.cancel()
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(2):
                await self._writer.wait_closed()


class Fleet:
    """Plays `devices` against `host:port` until stopped, or once through all that is due."""

    def __init__(
        self,
        player: Player,
        devices: Sequence[Device],
        host: str,
        port: int,
        *,
        delivered: Delivered,
        clock: Clock | None = None,
        once: bool = False,
        back: dict[str, timedelta] | None = None,
        resolutions: Sequence[Resolution] = PERIODS,
        answer_timeout: float = ANSWER,
        faults: Faults | None = None,
        tls: ssl.SSLContext | None = None,
        site: float = 1.0,
    ) -> None:
        """`faults` go for every device; `site`: how fast acts at the site are done (0: at once)."""
        self.player = player
        self.devices = devices
        self.host, self.port = host, port
        self.delivered = delivered
        self.clock = clock or Clock()
        self.once = once
        self.back = back or BACK
        self.resolutions = tuple(resolutions)
        self.answer_timeout = answer_timeout
        self.faults = faults or Faults()
        self.tls = tls
        self.site = site
        self.responders = [
            Responder(player, device, clock_error=self.faults.clock) for device in devices
        ]
        self.counts = Counts(devices=len(devices))
        self.failed = 0  # devices that could not deliver (once only)

    async def run(
        self,
        stop: asyncio.Event | None = None,
        told: Callable[[Counts], None] | None = None,
        every: float = 1.0,
    ) -> Counts:
        """Play; `told` is called about every `every` seconds. Returns when `stop` is set, or with
        `once` when every device is done."""
        stop = stop or asyncio.Event()
        tasks = [asyncio.create_task(self._device(d, n)) for n, d in enumerate(self.devices)]
        halt = asyncio.create_task(stop.wait())
        try:
            while not halt.done() and not all(t.done() for t in tasks):
                waiting = [t for t in tasks if not t.done()]
                await asyncio.wait(
                    [halt, *waiting], timeout=every, return_when=asyncio.FIRST_COMPLETED
                )
                for task in tasks:
                    if task.done():
                        task.result()  # raises what no dialogue could raise: a broken series
                self.delivered.save()
                if told:
                    told(self.counts)
        finally:
            halt.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.delivered.save()
        return self.counts

    async def _device(self, device: Device, number: int) -> None:
        # Not all at the same moment, as in the field.
        await asyncio.sleep(0 if self.once else number % 50 * 0.05)
        pause = 1.0
        tries = 0
        responder = self.responders[number]
        chance = random.Random(self.faults.seed + number)  # noqa: S311
        while True:
            if device.is_silent(self.clock.now()):
                if self.once:
                    return
                await asyncio.sleep(30)
                continue
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
            except OSError as error:
                self.counts.problem = f"{self.host}:{self.port}: {error.strerror or error}"
                link = None
            else:
                link = _Link(reader, writer, responder, self.faults, chance)
            if link is not None:
                self.counts.connected += 1
                try:
                    await self._talk(responder, link)
                    return
                except (OSError, ConnectionError) as error:
                    self.counts.problem = f"{device.name or device.mn}: {error}"
                    if not isinstance(error, UnansweredError):
                        pause = 1.0
                finally:
                    self.counts.connected -= 1
                    await link.close()
            tries += 1
            if self.once and tries >= TRIES:
                self.failed += 1
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)

    async def _talk(self, responder: Responder, link: _Link) -> None:
        """The dialogue on one connection; returns only with `once`."""
        clock = self.clock
        for frame in self.player.state(responder.device, *self._now(responder, link)):
            await link.deliver(frame, self.counts, self.answer_timeout)
        realtime = clock.now() + timedelta(days=365 if responder.device.hourly else 0)
        while True:
            await self._serve(responder, link)
            device = responder.device
            now = clock.now()
            if now >= realtime:
                for frame in self.player.frames(
                    device, now, "realtime", link.moment(now), label=responder.error
                ):
                    await link.deliver(frame, self.counts, self.answer_timeout)
                    self.counts.problem = ""
                # At least a second of real time between two, however fast the clock runs.
                pause = max(responder.realtime, min(clock.speed, 3600.0))
                realtime = now + timedelta(seconds=pause)
                continue
            found = self._due(device, now)
            if found is not None:
                resolution, start, count = found
                self.counts.waiting[device.key] = count
                sent = link.moment(clock.now())
                end = int(start.timestamp()) + SECONDS[resolution]
                late = count > 1 or now.timestamp() - end > SECONDS[resolution]
                for frame in self.player.frames(
                    device, start, resolution, sent, refill=late, label=responder.error
                ):
                    await link.deliver(frame, self.counts, self.answer_timeout)
                    self.counts.problem = ""
                self.delivered.put(device.key, resolution, end)
                continue
            self.counts.waiting.pop(device.key, None)
            if self.once:
                return
            pause = max(0.05, clock.wait(min(realtime, self._next(device))))
            try:
                async with asyncio.timeout(pause):
                    request = await link.requests.get()
            except TimeoutError:
                continue
            await self._obey(responder, link, request)

    def _now(self, responder: Responder, link: _Link) -> tuple[datetime, datetime]:
        """The device's time for DataTime and QN."""
        now = self.clock.now() + responder.error
        return now, link.moment(now)

    async def _serve(self, responder: Responder, link: _Link) -> None:
        """Do what the host has asked meanwhile."""
        while not link.requests.empty():
            await self._obey(responder, link, link.requests.get_nowait())

    async def _obey(self, responder: Responder, link: _Link, request: hj212.Message | None) -> None:
        if request is None:
            raise ConnectionResetError("the gateway closed the connection")
        self.counts.requests += 1
        for step in responder.answer(request, self.clock.now()):
            if step.pause:
                await asyncio.sleep(step.pause * self.site)
            elif step.wait:
                await link.deliver(step.frame, self.counts, self.answer_timeout)
            else:
                await link.send(step.frame)

    def _due(self, device: Device, now: datetime) -> tuple[Resolution, datetime, int] | None:
        """The report to send next, and how many are due; None while there is none or the device
        is silent."""
        if device.is_silent(now):
            return None
        moment = now.timestamp()
        first: tuple[Resolution, datetime] | None = None
        count = 0
        for resolution in self._sends(device):
            step = SECONDS[resolution]
            start = max(
                self.delivered.end(device.key, resolution),
                floor(now - self.back[resolution], resolution),
            )
            begins = datetime.fromtimestamp(start, UTC)
            if device.due(begins, resolution) <= now:
                late = (device.due(begins, resolution) - begins).total_seconds() - step
                count += int((moment - late - start) // step)
                first = first or (resolution, begins)
        return None if first is None else (*first, count)

    def _next(self, device: Device) -> datetime:
        """When the device's next report falls due."""
        return min(
            device.due(datetime.fromtimestamp(self.delivered.end(device.key, r), UTC), r)
            for r in self._sends(device)
        )

    def _sends(self, device: Device) -> Sequence[Resolution]:
        """The periods of which the device reports."""
        return ("hour",) if device.hourly else self.resolutions
