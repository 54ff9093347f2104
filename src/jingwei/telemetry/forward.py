"""Forwarding: what is received goes on to other platforms, none lost, as often as it takes.

Each target has a place of its own in the journal (`forward.sqlite`): a telegram counts as done when
the other side has acknowledged it, and the place moves on when all before it are done. Whoever is
killed, here or there, what was not acknowledged is sent again with the same bytes, so that the
other side knows it (at least once). A target that is away is tried again after a growing pause;
meanwhile nothing is read for it and nothing piles up in memory.

A telegram that one target never acknowledges, while it acknowledges others sent later, is set
aside after `TRIES` attempts: kept by its number, counted, shown, and sent again when somebody asks
(`jingwei forward --again NAME`). While a target acknowledges nothing at all, nothing is set aside.
Where it is always the same device and command (the other side does not know it, say), the others
do not wait for it: its telegrams are set aside unsent, one is tried every `PROBE` seconds, and
when that passes all of them follow.

`senders` holds the two wires (HJ 212, MQTT); this module the settings, the places and the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import logging
import re
import signal
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from jingwei.hj212.values import SHANGHAI
from jingwei.telemetry import health, journal
from jingwei.telemetry.journal import microseconds, moment
from jingwei.telemetry.places import NAME, Feed, Places, beginning
from jingwei.telemetry.register import Register

log = logging.getLogger("jingwei.forward")

WINDOW: Final = 64  # telegrams under way to one target
TRIES: Final = 3
POLL: Final = 0.3  # seconds between two looks into the journal
SAVE: Final = 1.0  # seconds after which the places are written down
MUTED: Final = 2  # telegrams of one device and command set aside before the rest is not sent
PROBE: Final = 300.0  # seconds after which one is tried again
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # before a target is tried again

_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_KEYS = {"name", "url", "mn", "cn", "since", "topic", "payload", "ca", "timeout"}
_PORTS = {"hj212": 9212, "hj212s": 9212, "mqtt": 1883, "mqtts": 8883}


class ForwardError(ValueError):
    """The targets cannot be used, or their places; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Target:
    """One other platform. `mn`, `cn`: patterns (`*`, `?`) of what goes there; `since`: how far back
    a new target begins, None for now; `topic`, `payload` ("json", "raw") for MQTT; `ca`: PEM file
    of the authority that the other side's certificate comes from; `timeout`: seconds that an
    acknowledgement may take."""

    name: str
    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""
    mn: tuple[str, ...] = ("*",)
    cn: tuple[str, ...] = ("*",)
    since: datetime | None = None
    topic: str = "jingwei/{st}/{mn}"
    payload: str = "json"
    ca: str = ""
    timeout: float = 10.0

    @property
    def mqtt(self) -> bool:
        return self.scheme.startswith("mqtt")

    @property
    def secure(self) -> bool:
        return self.scheme.endswith("s")

    @property
    def address(self) -> str:
        """Where it goes, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def wants(self, mn: str, cn: str) -> bool:
        return any(fnmatch.fnmatchcase(mn, p) for p in self.mn) and any(
            fnmatch.fnmatchcase(cn, p) for p in self.cn
        )


def targets(path: Path) -> list[Target]:
    """The targets of a file: a JSON list of objects. Raises `ForwardError`.

    {"name": "province", "url": "hj212://10.1.2.3:9212", "mn": ["3601*"], "cn": ["2051", "2061"]}
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ForwardError(f"{path} cannot be read: {error}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
        raise ForwardError(f"{path}: wanted a JSON list of targets")
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(_target(row))
        except ValueError as error:
            raise ForwardError(f"{path}, target {number}: {error}") from None
    names = Counter(target.name for target in found)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ForwardError(f"{path}: two targets have the name {twice[0]!r}")
    return found


def _target(row: Mapping[str, Any]) -> Target:
    strange = set(row) - _KEYS
    if strange:
        raise ValueError(f"{min(strange)!r} is no setting; there are {', '.join(sorted(_KEYS))}")
    name = row.get("name")
    if not isinstance(name, str) or not _WORD.fullmatch(name):
        raise ValueError(f"name {name!r}: wanted lower-case letters, digits, - and _")
    parts = urlsplit(str(row.get("url", "")))
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _PORTS or not parts.hostname or port == -1:
        raise ValueError(f"url: wanted {', '.join(f'{s}://HOST:PORT' for s in _PORTS)}")
    since = None
    if row.get("since"):
        try:
            since = datetime.fromisoformat(str(row["since"]))
        except ValueError:
            raise ValueError(f"since {row['since']!r}: wanted a time of ISO 8601") from None
        since = since if since.tzinfo else since.replace(tzinfo=SHANGHAI)
    timeout = row.get("timeout", 10.0)
    if not isinstance(timeout, int | float) or not 0.1 <= timeout <= 600:
        raise ValueError(f"timeout {timeout!r}: wanted 0.1 to 600 seconds")
    payload = str(row.get("payload", "json"))
    if payload not in ("json", "raw"):
        raise ValueError(f"payload {payload!r}: wanted json or raw")
    topic = str(row.get("topic", "jingwei/{st}/{mn}"))
    try:
        written = topic.format(mn="", st="", cn="")
    except (KeyError, IndexError, ValueError):
        raise ValueError(f"topic {topic!r}: only {{mn}}, {{st}} and {{cn}} are put in") from None
    if not topic or "#" in written or "+" in written:
        raise ValueError(f"topic {topic!r}: a topic that is written to has no # and +")
    return Target(
        name=name,
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        mn=_patterns(row, "mn"),
        cn=_patterns(row, "cn"),
        since=since,
        topic=topic,
        payload=payload,
        ca=str(row.get("ca", "")),
        timeout=float(timeout),
    )


def _patterns(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = row.get(name, ["*"])
    if not isinstance(given, list) or not given or not all(isinstance(p, str) for p in given):
        raise ValueError(f"{name}: wanted a list of patterns such as 3601*")
    return tuple(given)


@dataclass(slots=True)
class Parcel:
    """One telegram on its way to one target, as the frames or messages that are to be sent."""

    seq: int
    received: datetime
    frames: tuple[Any, ...]
    kind: str  # device and command
    fails: int = 0
    acknowledged: int = -1  # how many others were when it was first sent


# --- the engine ---------------------------------------------------------------------------------


class Wire(Protocol):
    """A connection to a target. `send` returns when everything of a parcel is acknowledged; raises
    `TimeoutError` where it never is, `ConnectionError` where the connection is lost."""

    async def open(self) -> None: ...
    async def send(self, parcel: Parcel) -> None: ...
    async def close(self) -> None: ...


Prepare = Callable[[Target, int, datetime, bytes], "Parcel | str | None"]


@dataclass(slots=True)
class State:
    """How one target stands, for the health folder."""

    connected: bool = False
    problem: str = ""
    sent: int = 0
    skipped: int = 0
    aside: int = 0
    waiting: int = 0
    last: datetime | None = None  # of the last acknowledgement
    why: Counter[str] = field(default_factory=Counter)  # what was skipped or set aside, by reason


class Course:
    """One target's way: reads, sends, remembers. `run` ends when `stop` is set."""

    def __init__(
        self, target: Target, data: Path, places: Places, wire: Callable[[], Wire], prepare: Prepare
    ) -> None:
        self.target, self.places = target, places
        self._wire, self._prepare = wire, prepare
        self._root = data / "journal"
        self.state = State()
        self.stop = asyncio.Event()
        known = places.load(target.name)
        if known is None:
            positions = beginning(self._root, target.since)
            places.save(target.name, positions, 0, 0)
            known = positions, 0, 0
        positions, self.state.sent, self.state.skipped = known
        self.state.aside = places.aside(target.name)
        self._feed = Feed(self._root, positions)
        self._saved: tuple[Any, ...] = (positions, *known[1:])
        self._waiting: deque[Parcel] = deque()
        self._aside: list[tuple[int, str, str]] = []
        self._done_again: list[int] = []
        self._again: set[int] = set()
        self._silent: Counter[str] = Counter()  # kinds that were not answered lately
        self._muted: dict[str, float] = {}  # until when, on the clock of the loop
        self._idle_until = 0.0
        self._saving = threading.Lock()
        self._window = 1

    async def run(self) -> None:
        failures = 0
        keeper = asyncio.create_task(self._keep())
        try:
            while not self.stop.is_set():
                before = self.state.sent
                try:
                    await self._session()
                    return
                except (OSError, TimeoutError, ConnectionError) as error:
                    text = str(error) or type(error).__name__
                    if text != self.state.problem:
                        log.warning("%s (%s): %s", self.target.name, self.target.address, text)
                    self.state.problem = text
                except Exception as error:  # of this target alone: the others go on
                    log.exception("%s (%s)", self.target.name, self.target.address)
                    self.state.problem = str(error) or type(error).__name__
                self.state.connected = False
                failures = 0 if self.state.sent > before else failures + 1
                pause = PAUSES[min(failures, len(PAUSES) - 1)]
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), pause)
        finally:
            keeper.cancel()
            await asyncio.to_thread(self._save)

    async def _session(self) -> None:
        """Send over one connection until it is lost or `stop` is set."""
        wire = self._wire()
        await wire.open()
        self.state.connected = True
        self._window = 1
        under_way: dict[asyncio.Task[None], Parcel] = {}
        try:
            while not self.stop.is_set():
                if not self._waiting and len(under_way) < self._window:
                    await self._read()
                while self._waiting and len(under_way) < self._window:
                    parcel = self._waiting.popleft()
                    if self._muted.get(parcel.kind, 0.0) > self._clock():
                        self._set_aside(parcel, "muted")
                        continue
                    if parcel.kind in self._muted:  # this one is the probe
                        self._muted[parcel.kind] = self._clock() + PROBE
                    if parcel.acknowledged < 0:
                        parcel.acknowledged = self.state.sent
                    under_way[asyncio.create_task(wire.send(parcel))] = parcel
                if not under_way:
                    self.state.problem = ""
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.stop.wait(), POLL)
                    continue
                ended, _ = await asyncio.wait(
                    under_way, timeout=POLL, return_when=asyncio.FIRST_COMPLETED
                )
                alone = len(under_way) == 1
                # A lost connection fails all: what was acknowledged before counts first.
                for task in sorted(ended, key=lambda t: t.exception() is not None):
                    error = task.exception()
                    if error is None:
                        self._acknowledged(under_way.pop(task))
                    elif isinstance(error, OSError | TimeoutError):
                        self._failed(under_way, task, error, alone)
                    else:
                        raise error
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            # Back to the front, in the order of the journal.
            self._waiting.extendleft(sorted(under_way.values(), key=lambda p: p.seq, reverse=True))
            self.state.connected = False
            await wire.close()

    def _acknowledged(self, parcel: Parcel) -> None:
        self.state.sent += 1
        self.state.last, self.state.problem = datetime.now(UTC), ""
        self._window = min(WINDOW, self._window * 2)
        self._silent.pop(parcel.kind, None)
        if self._muted.pop(parcel.kind, None) is not None:
            self._save()  # those set aside a moment ago, too
            self.places.again(self.target.name, parcel.kind)
        self._feed.done(parcel.seq)
        if parcel.seq in self._again:
            self._again.discard(parcel.seq)
            self._done_again.append(parcel.seq)
            self.state.aside -= 1

    def _failed(
        self,
        under_way: dict[asyncio.Task[None], Parcel],
        task: asyncio.Task[None],
        error: BaseException,
        alone: bool,
    ) -> None:
        """A parcel was not acknowledged: try again, or set it aside where the fault is its own."""
        silent = isinstance(error, TimeoutError)
        parcel = under_way[task]
        parcel.fails += TRIES if silent else alone
        if parcel.fails >= TRIES and self.state.sent > parcel.acknowledged:
            del under_way[task]
            self._set_aside(parcel, "unanswered" if silent else "disconnects")
            self._silent[parcel.kind] += 1
            if self._silent[parcel.kind] >= MUTED:
                self._muted[parcel.kind] = self._clock() + PROBE
            if silent:
                return
        elif parcel.fails:
            # The others first: whether they pass tells whose fault it is.
            del under_way[task]
            self._waiting.append(parcel)
            if silent and self.state.sent > parcel.acknowledged:
                return
        raise error

    def _set_aside(self, parcel: Parcel, why: str) -> None:
        if parcel.seq not in self._again:
            self.state.aside += 1
        self.state.why[why] += 1
        self._aside.append((parcel.seq, parcel.kind, why))
        self._again.discard(parcel.seq)
        self._feed.done(parcel.seq)

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    async def _read(self) -> None:
        if self._clock() < self._idle_until:
            return
        pending = {seq for seq, *_ in self._aside} | {*self._done_again} | self._again
        asked = [s for s in self.places.asked(self.target.name) if s not in pending]
        parcels, skipped = await asyncio.to_thread(self._prepared, asked)
        self._waiting.extend(parcels)
        self.state.skipped += sum(skipped.values())
        self.state.why.update(skipped)
        if not parcels and not skipped:
            self._idle_until = self._clock() + POLL

    def _prepared(self, asked: list[int]) -> tuple[list[Parcel], Counter[str]]:
        """What is to be sent next (in a thread)."""
        found: list[tuple[int, int, bytes]] = []
        for seq in asked:
            try:
                telegram = journal.get(self._root, seq)
            except sqlite3.Error:
                continue  # a matter of the moment
            except journal.JournalError:
                # Aside as before, until somebody asks anew: it must not keep the others waiting.
                self._aside.append((seq, "", "unreadable"))
                self.state.why["unreadable"] += 1
                continue
            found.append((seq, microseconds(telegram.received), telegram.raw))
            self._again.add(seq)
        parcels: list[Parcel] = []
        skipped: Counter[str] = Counter()
        for seq, received, raw in [*found, *self._feed.take()]:
            parcel: Parcel | str | None
            try:
                parcel = self._prepare(self.target, seq, moment(received), raw)
            except Exception:  # one telegram must not stop the others
                log.exception("%s: telegram %d cannot be prepared", self.target.name, seq)
                parcel = "unreadable"
            if isinstance(parcel, Parcel):
                parcels.append(parcel)
                continue
            self._feed.done(seq)
            if seq in self._again:  # the target does not want it any more
                self._again.discard(seq)
                self._done_again.append(seq)
                self.state.aside -= 1
            if parcel is not None:
                skipped[parcel] += 1
        return parcels, skipped

    async def _keep(self) -> None:
        """Write the place down from time to time."""
        while True:
            await asyncio.sleep(SAVE)
            try:
                await asyncio.to_thread(self._save)
            except sqlite3.Error as error:
                self.state.problem = f"{self.places.path}: {error}"

    def _save(self) -> None:
        with self._saving:
            self._save_now()

    def _save_now(self) -> None:
        now = self._feed.positions(), self.state.sent, self.state.skipped
        if now == self._saved and not self._aside and not self._done_again:
            return
        changed = {s: row for s, row in now[0].items() if self._saved[0].get(s) != row}
        aside, done = list(self._aside), list(self._done_again)
        forgotten = self.places.save(self.target.name, changed, now[1], now[2], aside, done)
        if forgotten:
            self.state.aside -= forgotten
            self.state.why["forgotten"] += forgotten
        del self._aside[: len(aside)], self._done_again[: len(done)]
        self._saved = now

    def report(self) -> dict[str, Any]:
        """How it stands, for people (in a thread: it looks at the journal)."""
        state, oldest = self.state, self._feed.oldest()
        state.waiting = self._feed.waiting()
        behind = 0.0 if oldest is None else datetime.now(UTC).timestamp() - oldest / 1e6
        return {
            "address": self.target.address,
            "mn": list(self.target.mn),
            "cn": list(self.target.cn),
            "connected": state.connected,
            "problem": state.problem or "; ".join(self._feed.problems),
            "sent": state.sent,
            "skipped": state.skipped,
            "aside": state.aside,
            "waiting": state.waiting,
            "behind": round(max(0.0, behind), 1),
            "last": state.last.isoformat() if state.last else None,
            "why": dict(state.why),
        }


def serve(found: list[Target], data: Path, *, say: Callable[[str], None] = log.info) -> None:
    """Forward to all targets until SIGTERM or SIGINT. Raises `ForwardError`."""
    from jingwei.telemetry import senders

    register = Register(data / "register.json")
    places = Places(data / NAME)

    async def beat(courses: list[Course]) -> None:
        while True:
            reports = {c.target.name: await asyncio.to_thread(c.report) for c in courses}
            errors = {n: r["problem"] for n, r in reports.items() if r["problem"]}
            with contextlib.suppress(OSError):
                health.beat(data / "run", "forward", targets=reports, errors=errors)
            await asyncio.sleep(2)

    def end(courses: list[Course]) -> None:
        for course in courses:
            course.stop.set()

    async def main() -> None:
        courses = [
            Course(
                target,
                data,
                places,
                lambda target=target: senders.wire(target),  # type: ignore[misc]
                senders.preparer(register),
            )
            for target in found
        ]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, courses)
        beating = asyncio.create_task(beat(courses))
        say(f"forwarding to {', '.join(f'{t.name} ({t.address})' for t in found)}")
        try:
            ended = await asyncio.gather(
                *(course.run() for course in courses), return_exceptions=True
            )
        finally:
            beating.cancel()
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        say(f"stopped; {sum(c.state.sent for c in courses)} telegrams acknowledged in all")

    try:
        asyncio.run(main())
    except sqlite3.Error as error:
        raise ForwardError(f"{places.path}: {error}") from None
    finally:
        places.close()
