"""What a gateway does for devices beside taking telegrams: commands, and a memory of each device.

The desk hears every telegram that was judged, puts split ones together, plays the dialogues of
commands that stand in the book (`book.Book`), and writes there what it saw: who is connected, last
words, errors by kind, strangers. All of it on the event loop but for the book's transactions,
which run in threads; where the book cannot be written (a full disk) nothing else suffers, and the
news is kept and written later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from jingwei import hj212
from jingwei.hj212 import Message, Reassembler
from jingwei.telemetry.book import Book, BookError, Command, Seen, Stranger, day_of
from jingwei.telemetry.dialogue import NOW, ONCE, Dialogue, Order, Timing
from jingwei.telemetry.keys import SealError
from jingwei.telemetry.register import Register

log = logging.getLogger("jingwei.desk")

POLL = 0.5  # seconds between two looks into the book for commands
NEWS = 3  # so many looks later every gateway has seen what stands in the book
WRITE = 5.0  # seconds between two writings of what was seen
AGAIN = 30.0  # a device's telegrams are written at most so often; a change of its line at once
STRANGERS = 2000
CLOCK = 1.0  # seconds after which a device that asks for the time gets it
SPLIT_TIMEOUT = 60.0
SPLIT_OPEN = 8  # unfinished split telegrams, a connection
SPLIT_BYTES = 256 << 10
SPLIT_ALL = 64 << 20  # bytes of unfinished split telegrams, all connections
KINDS = 40  # kinds of error remembered of one device between two writings
STARTS = 3  # a command is begun so often when the line is lost in the middle
OVERLAP = timedelta(minutes=1)
NEW_PASSWORD = timedelta(days=1)  # so long both passwords are taken when it was to be changed


class Line(Protocol):
    """A connection, as the desk sees it."""

    peer: str
    lost: bool
    parts: Reassembler | None
    mns: set[str]

    def send(self, data: bytes) -> None: ...


@dataclass(slots=True)
class _Memory:
    """What is known of one device since the last writing."""

    line: Line | None = None
    since: datetime | None = None
    peer: str = ""
    last: datetime | None = None
    cn: str = ""
    raw: bytes = b""
    accepted: int = 0
    bad: datetime | None = None
    reason: str = ""
    bad_raw: bytes = b""
    errors: Counter[str] = field(default_factory=Counter)
    news: bool = False  # its line has changed
    written: float = 0.0


def _held(line: Line) -> int:
    return line.parts.size if line.parts is not None else 0


@dataclass(slots=True)
class _Stranger:
    peer: str
    first: datetime
    last: datetime
    raw: bytes
    version: str
    count: int = 0
    seen: dict[str, set[str]] = field(default_factory=lambda: {"st": set(), "cn": set(), "factors": set()})  # fmt: skip


class Desk:
    """One a gateway. `start` and `stop` belong to a running event loop."""

    def __init__(
        self,
        book: Book,
        register: Register,
        name: str,
        *,
        timing: Timing | None = None,
        counts: Counter[str] | None = None,
        poll: float = POLL,
    ) -> None:
        self.book = book
        self.register = register
        self.name = name
        self.counts: Counter[str] = Counter() if counts is None else counts
        self.dialogues: dict[str, tuple[Command, Dialogue]] = {}  # by MN
        self.passwords: dict[str, tuple[str, datetime]] = {}  # MN: new one on its way, until
        self.changed: set[str] = set()  # those of them that the device has confirmed
        self.problem = ""
        self.split_limit = SPLIT_ALL
        self.split_bytes = 0
        self._splitting: set[Line] = set()  # connections with split telegrams that are not complete
        self._timing = timing
        self._poll = poll
        self._devices: dict[str, _Memory] = {}
        self._strangers: OrderedDict[str, _Stranger] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._looked = datetime.now(UTC) - NEW_PASSWORD  # until then commands 1072 are known
        self._told: dict[str, str] = {}  # their states
        self._last_qn = datetime.min.replace(tzinfo=UTC)
        self._later: set[asyncio.Future[Any]] = set()

    # Life

    async def start(self) -> None:
        await self._safely(self._begin)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for memory in self._devices.values():
            memory.news = memory.news or memory.line is not None
            memory.line = None
        for command, dialogue in list(self.dialogues.values()):
            await self._give_up(command, dialogue, "restart")
        self.dialogues.clear()
        await self._remember(all_=True)
        await asyncio.to_thread(self.book.close)

    def _begin(self) -> None:
        """What a predecessor of this name left behind."""
        now = datetime.now(UTC)
        self.book.begin(self.name)
        for command in self.book.unfinished(self.name):
            self._put_back(command, dict(command.result), "restart", now)
        self._passwords_elsewhere()

    def _passwords_elsewhere(self) -> None:
        """Take both passwords of devices whose password any gateway changes (in a thread)."""
        now = datetime.now(UTC)
        # What another gateway stamped a little earlier may be in the book a little later.
        for command in self.book.recent("1072", self._looked - OVERLAP):
            if self._told.get(command.id) == command.state:
                continue
            self._told[command.id] = command.state
            if command.state == "refused":
                self.passwords.pop(command.mn, None)
                self.changed.discard(command.mn)
            else:
                self._expect_password(command, command.changed or now)
                if command.state == "done":
                    self.changed.add(command.mn)
        self._looked = now

    async def _run(self) -> None:
        written = time.monotonic()
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self._orders()
                await self._ticks()
                if time.monotonic() - written >= WRITE:
                    written = time.monotonic()
                    await self._remember()
            except Exception:  # whatever it is, it must not end the desk
                log.exception("the desk failed")

    async def _safely(self, act: Any, *arguments: Any) -> Any:
        """Run a transaction of the book in a thread; None where it could not be done."""
        try:
            found = await asyncio.to_thread(act, *arguments)
        except BookError as error:
            if str(error) != self.problem:
                log.error("%s", error)
            self.problem = str(error)
            return None
        self.problem = ""
        return found

    # What the gateway reports (event loop)

    def heard(self, line: Line, message: Message, frame: bytes, now: datetime) -> None:
        """A telegram was accepted."""
        mn = message.mn or ""
        memory = self._devices.get(mn)
        if memory is None:
            memory = self._devices[mn] = _Memory()
        if memory.line is not line:
            memory.line, memory.since, memory.news = line, now, True
            memory.peer = line.peer
            line.mns.add(mn)
        memory.last, memory.cn, memory.raw = now, message.cn or "", frame
        memory.accepted += 1
        for problem in message.problems:
            self._error(memory, problem.partition(":")[0])
        whole: Message | None = message
        if message.split and message.data_time and message.cn != "3020":
            if line.parts is None:
                line.parts = Reassembler(
                    timeout=SPLIT_TIMEOUT, max_open=SPLIT_OPEN, max_bytes=SPLIT_BYTES
                )
            before = line.parts.size
            ready = line.parts.add(message)
            self._unfinished(line, line.parts.size - before)
            whole = None
            for one in ready:
                if self._split(one):
                    whole = one
        talk = self.dialogues.get(mn)
        if talk is not None:
            talk[1].hear(message, time.monotonic(), whole)
        if message.cn == "1013":
            self._set_clock(message, now)
        elif message.cn == "1014":  # a device sends it to ask for a key (HJ 212-2025)
            wish = self.book.wish, mn, message.st or "", "1014", now
            self._later.add(asyncio.ensure_future(self._safely(*wish)))

    def refused(
        self, line: Line, message: Message | None, reason: str, frame: bytes, now: datetime
    ) -> None:
        """A telegram, or what is none, was refused; `message` is what could be read of it."""
        mn = message.mn if message else None
        if reason == "unknown_mn" and message is not None and mn:
            self._stranger(line, message, mn, frame, now)
            return
        if not mn or self.register.get(mn) is None:
            if len(line.mns) != 1:
                return  # damaged, and of nobody known
            (mn,) = line.mns
        memory = self._devices.get(mn)
        if memory is None:
            memory = self._devices[mn] = _Memory()
        memory.bad, memory.reason, memory.bad_raw = now, reason, frame
        memory.peer = memory.peer or line.peer
        memory.news = True  # whoever looks into why wants to see it now
        self._error(memory, reason)

    def slowed(self, mn: str) -> None:
        """A device sends so fast that it is read slowly."""
        memory = self._devices.get(mn)
        if memory is not None:
            self._error(memory, "slowed")
            memory.news = True

    def cut(self, line: Line, why: str) -> None:
        """A connection is ended by the gateway."""
        for mn in line.mns:
            memory = self._devices.get(mn)
            if memory is not None:
                self._error(memory, f"cut:{why}")
                memory.news = True

    def lost(self, line: Line) -> None:
        """A connection has gone."""
        now = datetime.now(UTC)
        for mn in line.mns:
            memory = self._devices.get(mn)
            if memory is not None and memory.line is line:
                memory.line, memory.since, memory.news = None, now, True
        if line.parts is not None:
            self.split_bytes -= line.parts.size
            self._splitting.discard(line)
            line.parts = None

    def also(self, mn: str) -> str:
        """A password that the device may have by now, or an empty text."""
        found = self.passwords.get(mn)
        return found[0] if found and found[1] > datetime.now(UTC) else ""

    def _unfinished(self, line: Line, more: int) -> None:
        """Count the bytes of split telegrams that are not complete; over the limit, whoever holds
        most gives up the oldest."""
        self.split_bytes += more
        if line.parts is not None and line.parts.size:
            self._splitting.add(line)
        else:
            self._splitting.discard(line)
        while self.split_bytes > self.split_limit:
            largest = max(self._splitting, key=_held)
            assert largest.parts is not None
            before = largest.parts.size
            self._split(largest.parts.displace(f"over {self.split_limit} bytes in all"))
            self.split_bytes -= before - largest.parts.size
            if not largest.parts.size:
                self._splitting.discard(largest)

    def _error(self, memory: _Memory, kind: str) -> None:
        if kind in memory.errors or len(memory.errors) < KINDS:
            memory.errors[kind] += 1

    def _split(self, whole: Message) -> bool:
        """Count a split telegram that came out of the packets; whether it is complete."""
        complete = not any(p.startswith("split telegram without") for p in whole.problems)
        self.counts["split:complete" if complete else "split:incomplete"] += 1
        memory = self._devices.get(whole.mn or "")
        if memory is not None:
            if not complete:
                self._error(memory, "split_incomplete")
            if any(p.endswith("other content") for p in whole.problems):
                self._error(memory, "split_differs")
        return complete

    def _stranger(self, line: Line, message: Message, mn: str, frame: bytes, now: datetime) -> None:
        stranger = self._strangers.get(mn)
        if stranger is None:
            stranger = self._strangers[mn] = _Stranger(line.peer, now, now, frame, "")
            if len(self._strangers) > STRANGERS:
                self._strangers.popitem(last=False)
        stranger.peer, stranger.last, stranger.raw = line.peer, now, frame
        stranger.version = message.version or ""
        stranger.count += 1
        for name, values in (
            ("st", [message.st or ""]),
            ("cn", [message.cn or ""]),
            ("factors", [item.code for item in message.items]),
        ):
            seen = stranger.seen[name]
            for value in values:
                if value and len(seen) < 100 and len(value) <= 20:
                    seen.add(value)

    # Commands

    async def _orders(self) -> None:
        """Begin the commands whose device is here and free."""
        now = datetime.now(UTC)
        await self._safely(self.book.expire, now)
        await self._safely(self._passwords_elsewhere)
        here = [
            mn
            for mn, memory in self._devices.items()
            if memory.line is not None and mn not in self.dialogues
        ]
        waiting: list[Command] = await self._safely(self.book.waiting, here) or []
        for command in waiting:
            memory = self._devices.get(command.mn)
            if memory is None or memory.line is None or command.mn in self.dialogues:
                continue
            if not await self._safely(self.book.take, command.id, self.name, now):
                continue
            command = replace(command, starts=command.starts + 1)
            order, why = self._order(command)
            if order is None:
                await self._safely(self.book.put, command.id, "failed", {"why": why}, now)
                continue
            self.counts["commands"] += 1
            # The device may come back to another gateway with its new password: each knows it then.
            wait = NEWS * self._poll if command.cn == "1072" else 0.0
            talk = Dialogue(order, time.monotonic(), timing=self._timing, qn=self._qn(), wait=wait)
            self.dialogues[command.mn] = (command, talk)
            if command.cn == "1072":
                self._expect_password(command, now)
            self._tick(command, talk)

    def _order(self, command: Command) -> tuple[Order | None, str]:
        device = self.register.get(command.mn)
        if device is None or not device.enabled:
            return None, "unknown"
        box = self.register.box
        try:
            cp = box.open(command.mn, command.cp).decode() if command.secret else command.cp
            key = box.open(command.mn, command.key) if command.key else None
        except SealError as error:
            log.error("command %s: %s", command.id, error)
            return None, "secret"
        password = device.password
        if command.mn in self.changed:
            password = self.also(command.mn) or password
        return Order(
            command.id, command.mn, command.st, command.cn, cp, device.version, password,
            key, device.form,
        ), ""  # fmt: skip

    def _expect_password(self, command: Command, since: datetime) -> None:
        with contextlib.suppress(SealError, KeyError):
            box = self.register.box
            cp = box.open(command.mn, command.cp).decode() if command.secret else command.cp
            values = dict(part.partition("=")[::2] for part in cp.split(";"))
            password = values.get("NewPW") or values["PW"]
            self.passwords[command.mn] = (password, since + NEW_PASSWORD)

    def _qn(self) -> str:
        """A QN of its own for each dialogue of this gateway."""
        self._last_qn = max(datetime.now(UTC), self._last_qn + timedelta(milliseconds=1))
        return hj212.qn(self._last_qn)

    def _tick(self, command: Command, talk: Dialogue) -> None:
        memory = self._devices.get(command.mn)
        line = memory.line if memory else None
        if line is None or line.lost:
            talk.lost()
            return
        frame = talk.tick(time.monotonic())
        if frame is not None:
            line.send(frame)

    async def _ticks(self) -> None:
        now = datetime.now(UTC)
        self._later = {task for task in self._later if not task.done()}
        for mn, (command, talk) in list(self.dialogues.items()):
            if not talk.over:
                self._tick(command, talk)
            if talk.over:
                why = talk.result.get("why")
                if why == "line":
                    done = await self._give_up(command, talk, "line")
                else:
                    done = await self._put(command, talk.state, talk.result)
                if done:
                    del self.dialogues[mn]
                    self.counts[f"command:{talk.state}"] += 1
                    if command.cn == "1072" and talk.state == "done":
                        self.changed.add(mn)
                    elif command.cn == "1072" and talk.state == "refused":
                        self.passwords.pop(mn, None)
            elif talk.changed:
                talk.changed = False
                await self._put(command, "sent", talk.result)
        for line in list(self._splitting):
            if line.parts is not None:
                before = line.parts.size
                for whole in line.parts.expired():
                    self._split(whole)
                self._unfinished(line, line.parts.size - before)
        for mn, (_, until) in list(self.passwords.items()):
            device = self.register.get(mn)
            if until <= now or (device is not None and device.password == self.passwords[mn][0]):
                del self.passwords[mn]
                self.changed.discard(mn)

    async def _put(self, command: Command, state: str, result: dict[str, Any]) -> bool:
        await self._safely(self.book.put, command.id, state, dict(result), datetime.now(UTC))
        return not self.problem

    async def _give_up(self, command: Command, talk: Dialogue, why: str) -> bool:
        """The line has gone in the middle: wait for the next one, where asking again is safe."""
        result = dict(talk.result)
        await self._safely(self._put_back, command, result, why, datetime.now(UTC))
        return not self.problem

    def _put_back(self, command: Command, result: dict[str, Any], why: str, now: datetime) -> None:
        result["why"] = why
        again = command.cn not in ONCE and command.starts < STARTS and command.expires > now
        self.book.put(command.id, "waiting" if again else "failed", result, now)

    def _set_clock(self, message: Message, now: datetime) -> None:
        """A device asks for the time (1013): 1012 follows, once a minute at most."""
        pol = message.params.get("PolId", "")
        cp = f"PolId={pol};SystemTime={NOW}" if pol else f"SystemTime={NOW}"
        command = Command(
            f"clock-{message.mn}-{now:%Y%m%d%H%M}", message.mn or "", message.st or "", "1012", cp,
            False, "", True, now, now + timedelta(minutes=5),
        )  # fmt: skip
        # Its 9013 goes out when the group is on the disk: the time comes after it.
        asyncio.get_running_loop().call_later(
            CLOCK,
            lambda: self._later.add(asyncio.ensure_future(self._safely(self.book.ask, command))),
        )

    # Memory

    async def _remember(self, *, all_: bool = False) -> None:
        """Write what was seen since the last time."""
        now, clock = datetime.now(UTC), time.monotonic()
        day = day_of(now)
        due = [
            (mn, m) for mn, m in self._devices.items()
            if m.news or ((m.accepted or m.errors) and (all_ or clock - m.written >= AGAIN))
        ]  # fmt: skip
        strangers = self._strangers
        if not due and not strangers:
            return
        seen = [
            Seen(
                mn, self.name, m.peer, m.line is not None, m.since, m.last, m.cn, m.raw[:4096],
                m.accepted, m.bad, m.reason, m.bad_raw[:4096],
            )
            for mn, m in due
        ]  # fmt: skip
        stamp = int(now.timestamp() * 1e6)
        errors = {(mn, day, kind): (n, stamp) for mn, m in due for kind, n in m.errors.items()}
        unknown = [
            Stranger(
                mn, s.peer, s.first, s.last, s.count, s.version,
                {name: sorted(values) for name, values in s.seen.items()}, s.raw[:4096],
            )
            for mn, s in strangers.items()
        ]  # fmt: skip
        kept = [(mn, m.accepted, m.errors.copy()) for mn, m in due]
        self._strangers = OrderedDict()
        for _, memory in due:
            memory.news, memory.accepted, memory.written = False, 0, clock
            memory.errors.clear()
        await self._safely(self.book.record, self.name, seen, errors, unknown)
        if self.problem:
            for mn, accepted, counted in kept:  # not written: count it the next time
                memory = self._devices[mn]
                memory.accepted += accepted
                memory.errors += counted
                memory.news = True
            for mn, stranger in strangers.items():
                self._strangers.setdefault(mn, stranger)
