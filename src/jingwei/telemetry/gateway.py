"""The gateway: devices connect by TCP, what they send is in the journal before it is acknowledged.

One event loop reads, cuts and judges; one thread commits to the journals. While a commit runs, the
next group gathers (group commit), and the answers of a group go out when it is on the disk. When
the journal cannot be written — a full disk — the group is tried again until it works; meanwhile
reading stops as soon as the bounds of `Limits` are reached, so that the devices wait and repeat:
nothing that was acknowledged is lost, and memory stays bounded.

Clients that are silent, slow, endless or senseless are cut off, with a count by kind and peer.
What was refused is kept in a journal of its own with the reason. Counters, peers and devices go to
the health folder (`health.read`, `health.read_table(run_dir, <name>)`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import ssl
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from jingwei.hj212 import MAX_SEGMENT, Message, Reader, Reassembler, Rubbish
from jingwei.telemetry import book, health
from jingwei.telemetry.desk import Desk
from jingwei.telemetry.dialogue import Timing
from jingwei.telemetry.intake import Intake
from jingwei.telemetry.journal import Journal, JournalError, Telegram
from jingwei.telemetry.register import Register
from jingwei.telemetry.tally import Device, Peer, recent, row

log = logging.getLogger("jingwei.gateway")

_OVERHEAD = 200  # bytes of memory that count for a waiting telegram beside its own


@dataclass(frozen=True)
class Limits:
    """What the gateway bears. Times in seconds."""

    idle: float = 900.0  # without one whole telegram
    handshake: float = 10.0  # for TLS
    half: float = 30.0  # for one telegram, first byte to last
    unread: float = 30.0  # answers that the client does not take
    # Bytes of a data segment: the standard says 1024, some send 1623, and ciphertext as literal
    # text takes five for one.
    segment: int = 5120
    connections: int = 20_000
    connections_per_peer: int = 2_000
    waiting: int = 32 << 20  # bytes read and not yet on the disk, all connections
    waiting_per_connection: int = 256 << 10
    rubbish: int = 64 << 10  # bytes in a row that are no telegram, a connection
    refused: int = 200  # refused telegrams in a row, a connection
    refused_kept: int = 64 << 20  # bytes of refused telegrams kept, a peer and hour
    refused_kept_all: int = 512 << 20  # the same of all peers together: strangers fill no disk
    # Accepted telegrams of one device: so many in a row as fast as they come, then so many a second
    # by reading slowly. A device that goes on like that for longer than `flood` is shut out.
    row: int = 20_000
    rate: float = 500.0
    flood: float = 900.0
    shut: float = 60.0
    linger: float = 0.01  # how long a group gathers before it is committed


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "blocked_since", "gateway", "half_since", "heard", "holds", "host", "lost", "mns",
        "parts", "peer", "reader", "refused_row", "rubbish", "transport", "waiting",
    )  # fmt: skip

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        # A reader holds at most one frame and this much rubbish: the longest frame that four digits
        # can declare is refused as one.
        size = gateway.limits.segment
        self.reader = Reader(max_segment=size, max_rubbish=max(size, MAX_SEGMENT) + 16)
        self.peer = self.host = ""
        self.transport: asyncio.Transport | None = None
        self.holds: set[str] = set()  # why reading is stopped
        self.waiting = 0  # bytes not yet on the disk
        self.heard = 0.0
        self.half_since: float | None = None
        self.blocked_since: float | None = None
        self.rubbish = 0
        self.refused_row = 0
        self.lost = False
        self.mns: set[str] = set()  # devices that speak through it
        self.parts: Reassembler | None = None  # split telegrams that are not complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername") or ("?", 0)
        self.host = str(name[0])
        self.peer = f"[{self.host}]:{name[1]}" if ":" in self.host else f"{self.host}:{name[1]}"
        self.heard = self.gateway.loop.time()
        self.gateway.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.lost:
            return
        now = self.gateway.loop.time()
        pieces = self.reader.feed(data)
        for piece in pieces:
            self.gateway.received(self, piece, now)
            if self.lost:
                return
        if not self.reader.pending:
            self.half_since = None
        elif pieces or self.half_since is None:
            self.half_since = now

    def pause_writing(self) -> None:
        self.blocked_since = self.gateway.loop.time()
        self.hold("unread")

    def resume_writing(self) -> None:
        self.blocked_since = None
        self.release("unread")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost:
            self.leave()
        self.gateway.closed(self)

    def send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def leave(self, *, cut: bool = False) -> None:
        """Hand out what has come of an unfinished telegram. `cut`: the gateway left it unfinished."""
        for piece in self.reader.flush():
            if isinstance(piece, Rubbish):
                reason = _reason(piece)
                theirs = not (cut and reason == "half")
                self.gateway.refuse(self, piece.data, reason, None, theirs=theirs)
        self.lost = True
        self.gateway.desk.lost(self)

    def hold(self, why: str) -> None:
        if not self.holds and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self.holds.add(why)

    def release(self, why: str) -> None:
        if why in self.holds:
            self.holds.discard(why)
            if not self.holds and self.transport is not None and not self.transport.is_closing():
                now = self.gateway.loop.time()
                self.heard = now  # the time without reading was not the client's
                self.half_since = now if self.reader.pending else None
                self.transport.resume_reading()

    def cut(self, why: str) -> None:
        """End the connection and count why."""
        if not self.lost:
            self.gateway.cut(self, why)
            self.leave(cut=why != "half")
            if self.transport is not None:
                # What lies in the buffer of a client that does not read would keep it open.
                if self.transport.get_write_buffer_size():
                    self.transport.abort()
                else:
                    self.transport.close()


def _reason(piece: Rubbish) -> str:
    if piece.reason.startswith("unfinished"):
        return "half"
    return "oversized" if "over the limit" in piece.reason else "rubbish"


_Entry = tuple[Connection, Telegram, "bytes | None", int]


class Gateway:
    """One server. `start` and `stop` belong to one running event loop."""

    def __init__(
        self,
        journal_root: Path,
        refused_root: Path,
        register_path: Path,
        run_dir: Path,
        *,
        limits: Limits | None = None,
        name: str = "gateway",
        timing: Timing | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.name = name
        self.run_dir = run_dir
        self.register = Register(register_path)
        self.intake = Intake(self.register)
        self.journal = Journal(journal_root)
        self.refused = Journal(refused_root)
        self.desk = Desk(
            book.Book(register_path.with_name(book.NAME)), self.register, name, timing=timing
        )
        self.intake.also = self.desk.also
        self.loop: asyncio.AbstractEventLoop = cast(asyncio.AbstractEventLoop, None)
        self.connections: set[Connection] = set()
        self.counts: Counter[str] = self.desk.counts
        self.peers: OrderedDict[str, Peer] = OrderedDict()
        self.devices: dict[str, Device] = {}
        self._kept_hour, self._kept = "", 0  # bytes of refused telegrams kept in this hour
        self.strangers: OrderedDict[str, Device] = OrderedDict()
        self.waiting = 0
        self.problem = ""  # why the journal cannot be written now
        self.started = datetime.now(UTC)
        self._accepted: list[_Entry] = []
        self._refused: list[_Entry] = []
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._abandon = threading.Event()
        self._drained: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._timer: asyncio.Task[None] | None = None
        self._held = False
        self._commit = (0.0, 0)  # seconds and telegrams of the last commit

    # Life

    async def start(
        self,
        host: str,
        port: int,
        *,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> int:
        """Listen; returns the port (useful with port 0). Raises `OSError` when it is taken."""
        self.loop = asyncio.get_running_loop()
        await self.desk.start()
        self._server = await self.loop.create_server(
            lambda: Connection(self),
            host,
            port,
            backlog=4096,
            reuse_port=reuse_port or None,
            ssl=tls,
            ssl_handshake_timeout=self.limits.handshake if tls else None,
        )
        self._drained = asyncio.Event()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()
        self._timer = asyncio.create_task(self._watch())
        self._beat()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, patience: float = 10.0) -> None:
        """Stop reading, put what has come on the disk, answer it, close. What cannot be written
        within `patience` seconds was not acknowledged and is given up."""
        if self._server is None or self._thread is None or self._drained is None:
            return
        self._server.close()
        for connection in list(self.connections):
            connection.hold("stop")
            connection.leave(cut=True)
        self._stopping.set()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), patience)
        self._abandon.set()
        self._wake.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the answers of the last commit
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.close()
        if self._timer is not None:
            self._timer.cancel()
        await self.desk.stop()
        await asyncio.to_thread(self.journal.close)
        await asyncio.to_thread(self.refused.close)
        self._table(self._rows())
        self._beat("stopped")

    # What connections report (event loop)

    def opened(self, connection: Connection) -> None:
        self.counts["connections"] += 1
        peer = self._peer(connection.host)
        peer.open += 1
        self.connections.add(connection)
        if len(self.connections) > self.limits.connections:
            connection.cut("too_many")
        elif peer.open > self.limits.connections_per_peer:
            connection.cut("too_many_of_peer")
        elif self._stopping.is_set():
            connection.cut("stopping")
        elif self._held:
            connection.hold("waiting")

    def closed(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.discard(connection)
            self._peer(connection.host).open -= 1

    def cut(self, connection: Connection, why: str) -> None:
        self.counts[f"cut:{why}"] += 1
        self.desk.cut(connection, why)
        self._peer(connection.host).cut[why] += 1

    def received(self, connection: Connection, piece: bytes | Rubbish, now: float) -> None:
        if isinstance(piece, Rubbish):
            connection.rubbish += len(piece.data)
            self.refuse(connection, piece.data, _reason(piece), None)
            if connection.rubbish > self.limits.rubbish:
                connection.cut("rubbish")
            return
        connection.heard = now
        verdict = self.intake.judge(piece, connection.peer)
        message = verdict.message
        if not verdict.accepted:
            self.refuse(connection, piece, verdict.reason, message)
            connection.refused_row += 1
            if connection.refused_row > self.limits.refused:
                connection.cut("refused")
            return
        device = self.devices.get(message.mn or "")
        if device is None:
            device = self.devices[message.mn or ""] = Device(room=self.limits.row, filled=now)
        device.room -= 1
        if device.room < 0 and self._too_fast(connection, message.mn or "", device, now):
            self.refuse(connection, piece, "flood", message)
            connection.cut("flood")
            return
        connection.refused_row = connection.rubbish = 0
        time = datetime.now(UTC)
        self.counts["accepted"] += 1
        peer = self._peer(connection.host)
        peer.accepted += 1
        peer.last = time
        device.accepted += 1
        device.last, device.cn, device.peer = time, message.cn or "", connection.peer
        self.desk.heard(connection, message, piece, time)
        self._queue(
            self._accepted, connection, Telegram(time, connection.peer, piece), verdict.answer
        )

    def _too_fast(self, connection: Connection, mn: str, device: Device, now: float) -> bool:
        """A device has used up what it may send in a row: read slowly, or (True) shut it out."""
        limits = self.limits
        if now < device.shut:
            return True
        if "rate" in connection.holds:
            return False  # it was read together with what stopped the reading
        gained = (now - device.filled) * limits.rate
        device.filled = now
        device.room = min(device.room + gained, limits.row)
        if device.room == limits.row:
            device.fast = 0.0  # it was quiet long enough
        if device.room >= 0:
            return False
        device.fast = device.fast or now
        if now - device.fast > limits.flood:
            device.fast, device.shut = 0.0, now + limits.shut
            return True
        self.counts["slowed"] += 1
        device.slowed += 1
        self.desk.slowed(mn)
        connection.hold("rate")
        # What it has read meanwhile counts as well: until there is room again, and for a second.
        pause = min(60.0, -device.room / limits.rate + 1.0)
        self.loop.call_later(pause, connection.release, "rate")
        return False

    def refuse(
        self,
        connection: Connection,
        data: bytes,
        reason: str,
        message: Message | None,
        *,
        theirs: bool = True,
    ) -> None:
        """Count what was refused, and keep it unless this peer has sent too much of it. `theirs`:
        it is told of the device."""
        self.counts[f"refused:{reason}"] += 1
        now = datetime.now(UTC)
        if theirs:
            self.desk.refused(connection, message, reason, data, now)
        mn = message.mn if message else None
        peer = self._peer(connection.host)
        peer.refused[reason] += 1
        peer.last = now
        if mn:
            device = self.devices.get(mn)
            if device is None and self.register.get(mn) is not None:
                clock = self.loop.time()
                device = self.devices[mn] = Device(room=self.limits.row, filled=clock)
            if device is None:
                device = recent(self.strangers, mn, Device)
            device.refused[reason] += 1
            device.last_refused, device.peer = now, connection.peer
        hour = f"{now:%d%H}"
        if peer.kept_hour != hour:
            peer.kept_hour, peer.kept = hour, 0
        if self._kept_hour != hour:
            self._kept_hour, self._kept = hour, 0
        peer.kept += len(data) + _OVERHEAD
        self._kept += len(data) + _OVERHEAD
        limits = self.limits
        if peer.kept > limits.refused_kept or self._kept > limits.refused_kept_all:
            self.counts["refused_not_kept"] += 1
            return
        self._queue(self._refused, connection, Telegram(now, connection.peer, data, reason), None)

    def _peer(self, host: str) -> Peer:
        return recent(self.peers, host, Peer, lambda peer: not peer.open)

    def _queue(
        self, queue: list[_Entry], connection: Connection, telegram: Telegram, answer: bytes | None
    ) -> None:
        size = len(telegram.raw) + _OVERHEAD
        connection.waiting += size
        self.waiting += size
        with self._mutex:
            queue.append((connection, telegram, answer, size))
        if not self._wake.is_set():
            self._wake.set()
        if connection.waiting > self.limits.waiting_per_connection:
            connection.hold("own")
        if self.waiting > self.limits.waiting and not self._held:
            self._held = True
            self.counts["stalls"] += 1
            for other in self.connections:
                other.hold("waiting")

    def _done(self, entries: list[_Entry]) -> None:
        """A group is on the disk: answer it and read on."""
        answers: dict[Connection, list[bytes]] = {}
        for connection, _, answer, size in entries:
            self.waiting -= size
            connection.waiting -= size
            if answer is not None:
                answers.setdefault(connection, []).append(answer)
            if connection.waiting <= self.limits.waiting_per_connection // 2:
                connection.release("own")
        for connection, some in answers.items():
            if connection.transport is not None and not connection.transport.is_closing():
                connection.transport.write(b"".join(some))
                self.counts["answered"] += len(some)
        if self._held and self.waiting <= self.limits.waiting // 2:
            self._held = False
            for connection in self.connections:
                connection.release("waiting")

    # The writer (a thread)

    def _write(self) -> None:
        portion = 1 << 30
        while True:
            self._wake.wait(1.0)
            self._wake.clear()
            if not self._stopping.is_set():
                self._stopping.wait(self.limits.linger)
            failed = ""
            for journal, name in ((self.journal, "_accepted"), (self.refused, "_refused")):
                while not failed:
                    with self._mutex:
                        entries: list[_Entry] = getattr(self, name)[:portion]
                    if not entries:
                        break
                    begun = self._time()
                    try:
                        journal.append([entry[1] for entry in entries])
                    except Exception as error:  # whatever it is, it must not end the thread
                        if not isinstance(error, JournalError):
                            log.exception("the journal failed")
                        failed = str(error) or repr(error)
                        portion = max(1, min(portion, len(entries)) // 4)
                        break
                    portion = min(portion * 4, 1 << 30)
                    self._commit = (self._time() - begun, len(entries))
                    with self._mutex:
                        del getattr(self, name)[: len(entries)]
                    self.loop.call_soon_threadsafe(self._done, entries)
            if failed != self.problem:
                if failed:
                    log.error("cannot write, will try again: %s", failed)
                else:
                    log.warning("writing again")
                self.problem = failed
            if failed:
                self._abandon.wait(0.5)
                self._wake.set()
            else:
                with contextlib.suppress(Exception):
                    self.journal.roll(if_over=True)
                    self.refused.roll(if_over=True)
            with self._mutex:
                empty = not self._accepted and not self._refused
            if self._stopping.is_set() and (empty or self._abandon.is_set()):
                assert self._drained is not None
                self.loop.call_soon_threadsafe(self._drained.set)
                return

    def _time(self) -> float:
        return self.loop.time()

    # The clock (event loop)

    async def _watch(self) -> None:
        limits = self.limits
        pause = min(1.0, limits.idle / 4, limits.half / 4, limits.unread / 4)
        beat = table = self.loop.time()
        while True:
            await asyncio.sleep(pause)
            now = self.loop.time()
            for connection in list(self.connections):
                if connection.blocked_since is not None:
                    if now - connection.blocked_since > limits.unread:
                        connection.cut("unread")
                elif connection.holds or connection.waiting:
                    continue
                elif (
                    connection.half_since is not None and now - connection.half_since > limits.half
                ):
                    connection.cut("half")
                elif now - connection.heard > limits.idle:
                    connection.cut("idle")
            if now - beat >= 2:
                beat = now
                self._beat()
            if now - table >= 10:
                table = now
                await asyncio.to_thread(self._table, self._rows())

    def _beat(self, state: str = "") -> None:
        seconds, size = self._commit
        with contextlib.suppress(OSError):
            health.beat(
                self.run_dir,
                self.name,
                state=state or ("stalled" if self.problem or self._held else "ok"),
                problem=self.problem or self.register.problem or self.desk.problem,
                dialogues=len(self.desk.dialogues),
                started=self.started.isoformat(),
                connections=len(self.connections),
                devices=len(self.devices),
                waiting_bytes=self.waiting,
                commit={"seconds": round(seconds, 4), "telegrams": size},
                counts=dict(self.counts),
            )

    def _rows(self) -> dict[str, Any]:
        return {
            "devices": {mn: row(d) for mn, d in self.devices.items()},
            "strangers": {mn: row(d) for mn, d in self.strangers.items()},
            "peers": {host: row(p) for host, p in self.peers.items()},
        }

    def _table(self, rows: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            health.table(self.run_dir, self.name, **rows)


def serve(
    address: tuple[str, int],
    journal_root: Path,
    refused_root: Path,
    register_path: Path,
    run_dir: Path,
    *,
    limits: Limits | None = None,
    name: str = "gateway",
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
    say: Callable[[str], None] = log.info,
) -> None:
    """Run a gateway until SIGTERM or SIGINT; raises `OSError` when the address cannot be used.

    `name` tells several gateways of one installation apart (health); with `reuse_port` they can
    share an address, one process a core.
    """
    limits = limits or Limits()
    _allow_files(limits.connections + 256)

    async def main() -> None:
        gateway = Gateway(
            journal_root, refused_root, register_path, run_dir, limits=limits, name=name
        )
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        port = await gateway.start(*address, reuse_port=reuse_port, tls=tls)
        how = " with TLS" if tls else ""
        say(f"listening on {address[0]}:{port}{how}, {len(gateway.register)} devices registered")
        if gateway.register.problem:
            say(gateway.register.problem)
        await stop.wait()
        await gateway.stop()
        say(
            f"stopped; {gateway.counts['accepted']} telegrams taken, "
            f"{gateway.counts['answered']} answered"
        )

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def tls_context(
    certificate: Path, key: Path | None = None, clients: Path | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or later with this chain; with `clients` each client must show one of those
    certificates (or one issued under them). Raises `OSError` (`ssl.SSLError`) for a bad file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return cast(Callable[[], asyncio.AbstractEventLoop], uvloop.new_event_loop)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        high = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, high), hard))
