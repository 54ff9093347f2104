"""The book of devices: one SQLite file that the gateways and the office both open.

The office writes commands into it, a gateway takes those whose device is connected to it, plays
the dialogue and writes back how it went (`command`). The gateways write what they saw of every
device: connection, last words, errors by day and kind (`device`, `error`), and of senders that are
in no register (`stranger`). Everything survives a restart; a command has an id of the office's, so
that writing it twice asks for it once.

A command is *waiting*, *sent* (a gateway has it), and at last *done*, *refused*, *failed*,
*expired* or *cancelled*. Times are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jingwei.telemetry.journal import microseconds, moment

NAME = "devices.sqlite"  # in the data folder
OPEN = ("waiting", "sent")
STRANGERS = 5000  # senders in no register that are remembered
KEEP_ERRORS = 400 * 86_400_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS command(
    id TEXT PRIMARY KEY,
    mn TEXT NOT NULL, st TEXT NOT NULL, cn TEXT NOT NULL,
    cp TEXT NOT NULL,        -- content of CP; sealed where `secret`
    secret INTEGER NOT NULL,
    key TEXT NOT NULL,       -- sealed SM4 key to encrypt the request with, or empty
    automatic INTEGER NOT NULL,
    created INTEGER NOT NULL, expires INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    gateway TEXT NOT NULL DEFAULT '',
    starts INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS command_open ON command(automatic, created)
    WHERE state IN ('waiting', 'sent');
CREATE INDEX IF NOT EXISTS command_of_device ON command(mn, created);
CREATE INDEX IF NOT EXISTS command_lately ON command(cn, changed);
CREATE TABLE IF NOT EXISTS device(
    mn TEXT PRIMARY KEY,
    gateway TEXT NOT NULL DEFAULT '', peer TEXT NOT NULL DEFAULT '',
    connected INTEGER NOT NULL DEFAULT 0, since INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0, cn TEXT NOT NULL DEFAULT '', raw BLOB NOT NULL DEFAULT x'',
    accepted INTEGER NOT NULL DEFAULT 0,
    bad INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', bad_raw BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS error(
    mn TEXT NOT NULL, day INTEGER NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL,
    last INTEGER NOT NULL, PRIMARY KEY (mn, day, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wish(  -- what devices ask the office for: a new key (1014)
    mn TEXT NOT NULL, cn TEXT NOT NULL, st TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (mn, cn)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stranger(
    mn TEXT PRIMARY KEY, peer TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, version TEXT NOT NULL, seen TEXT NOT NULL, raw BLOB NOT NULL
) WITHOUT ROWID;
"""


class BookError(Exception):
    """The book cannot be read or written; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it stands in the book."""

    id: str
    mn: str
    st: str
    cn: str
    cp: str
    secret: bool
    key: str
    automatic: bool
    created: datetime
    expires: datetime
    state: str = "waiting"
    gateway: str = ""
    starts: int = 0
    changed: datetime | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gateways saw of one device."""

    mn: str
    gateway: str
    peer: str
    connected: bool
    since: datetime | None
    last: datetime | None
    cn: str
    raw: bytes
    accepted: int
    bad: datetime | None
    reason: str
    bad_raw: bytes


@dataclass(frozen=True, slots=True)
class Stranger:
    """A sender that is in no register. `seen`: system types, commands and factors, sorted."""

    mn: str
    peer: str
    first: datetime
    last: datetime
    count: int
    version: str
    seen: Mapping[str, Sequence[str]]
    raw: bytes


_COMMAND = (
    "id, mn, st, cn, cp, secret, key, automatic, created, expires, state, gateway, starts,"
    " changed, result"
)


def _command(row: Sequence[Any]) -> Command:
    values = list(row)
    values[5], values[7] = bool(row[5]), bool(row[7])
    values[8], values[9] = moment(row[8]), moment(row[9])
    values[13], values[14] = _when(row[13]), json.loads(row[14])
    return Command(*values)


def _seen(row: Sequence[Any]) -> Seen:
    values = list(row)
    values[3] = bool(row[3])
    for place in (4, 5, 9):
        values[place] = _when(row[place])
    return Seen(*values)


def _when(value: int) -> datetime | None:
    return moment(value) if value else None


class Book:
    """Opens the file when it is needed, and makes it where there is none. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction."""
        with self._lock:
            try:
                db = self._db or self._open()
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError) as error:
                raise BookError(f"{self.path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        db = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True, isolation_level=None, timeout=10, check_same_thread=False,
        )  # fmt: skip
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        self._db = db
        return db

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            if self._db is None and not self.path.exists():
                return []
            try:
                return (self._db or self._open()).execute(query, values).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise BookError(f"{self.path}: {error}") from error

    # Commands, the office's side

    def ask(self, command: Command) -> None:
        """Write a command; one with an id that is there already changes nothing."""
        with self._write() as db:
            db.execute(
                f"INSERT OR IGNORE INTO command ({_COMMAND}) VALUES"  # noqa: S608
                " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '', 0, ?, '{}')",
                (
                    command.id, command.mn, command.st, command.cn, command.cp,
                    command.secret, command.key, command.automatic,
                    microseconds(command.created), microseconds(command.expires),
                    microseconds(command.created),
                ),
            )  # fmt: skip

    def cancel(self, id_: str, now: datetime) -> bool:
        """Take back a command that no gateway has taken yet; False where it is too late."""
        with self._write() as db:
            return bool(
                db.execute(
                    "UPDATE command SET state = 'cancelled', changed = ? WHERE id = ?"
                    " AND state = 'waiting'",
                    (microseconds(now), id_),
                ).rowcount
            )

    def commands(self, ids: Iterable[str]) -> dict[str, Command]:
        """The commands with these ids."""
        found: dict[str, Command] = {}
        some = list(ids)
        for at in range(0, len(some), 500):
            part = some[at : at + 500]
            marks = ", ".join("?" * len(part))
            query = f"SELECT {_COMMAND} FROM command WHERE id IN ({marks})"  # noqa: S608
            found |= {row[0]: _command(row) for row in self._read(query, part)}
        return found

    # Commands, a gateway's side

    def waiting(self, here: Iterable[str] | None = None, limit: int = 500) -> list[Command]:
        """What waits for its device: people's commands before automatic ones, the oldest first.

        `here`: only for these devices where there is more than `limit`, so that what waits for
        devices that are away keeps nobody waiting who is here.
        """
        query = f"SELECT {_COMMAND} FROM command WHERE state = 'waiting'"  # noqa: S608
        order = " ORDER BY automatic, created LIMIT ?"
        rows = self._read(query + order, (limit,))
        if len(rows) == limit and here is not None:
            among = " AND mn IN (SELECT value FROM json_each(?))"
            rows = self._read(query + among + order, (json.dumps(list(here)), limit))
        return [_command(row) for row in rows]

    def take(self, id_: str, gateway: str, now: datetime) -> bool:
        """Take a waiting command whose device has no other under way; False where somebody else
        was faster."""
        with self._write() as db:
            return bool(
                db.execute(
                    "UPDATE command SET state = 'sent', gateway = ?, starts = starts + 1,"
                    " changed = ? WHERE id = ? AND state = 'waiting' AND NOT EXISTS"
                    " (SELECT 1 FROM command o WHERE o.mn = command.mn AND o.state = 'sent')",
                    (gateway, microseconds(now), id_),
                ).rowcount
            )

    def put(self, id_: str, state: str, result: Mapping[str, Any], now: datetime) -> None:
        """Write how a command that was taken stands; `waiting` gives it back."""
        with self._write() as db:
            db.execute(
                "UPDATE command SET state = ?, result = ?, changed = ? WHERE id = ?"
                " AND state = 'sent'",
                (state, json.dumps(result, ensure_ascii=False), microseconds(now), id_),
            )

    def expire(self, now: datetime) -> None:
        """End what has waited too long."""
        at = microseconds(now)
        if self._read("SELECT 1 FROM command WHERE state = 'waiting' AND expires <= ?", (at,)):
            with self._write() as db:
                db.execute(
                    "UPDATE command SET state = 'expired', changed = ? WHERE state = 'waiting'"
                    " AND expires <= ?",
                    (at, at),
                )

    def unfinished(self, gateway: str) -> list[Command]:
        """What a gateway of this name had taken when it ended."""
        return [
            _command(row)
            for row in self._read(
                f"SELECT {_COMMAND} FROM command WHERE state = 'sent' AND gateway = ?",  # noqa: S608
                (gateway,),
            )
        ]

    def recent(self, cn: str, since: datetime) -> list[Command]:
        """Commands of one number that were sent since a time, the oldest first."""
        return [
            _command(row)
            for row in self._read(
                f"SELECT {_COMMAND} FROM command WHERE cn = ? AND starts > 0"  # noqa: S608
                " AND changed >= ? ORDER BY changed",
                (cn, microseconds(since)),
            )
        ]

    # What devices ask for

    def wish(self, mn: str, st: str, cn: str, now: datetime) -> None:
        """A device asks the office for something; again is the same wish."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO wish VALUES (?, ?, ?, ?)", (mn, cn, st, microseconds(now))
            )

    def wishes(self) -> list[tuple[str, str, str, datetime]]:
        """(mn, cn, st, when) of what devices ask for, the oldest first."""
        rows = self._read("SELECT mn, cn, st, at FROM wish ORDER BY at")
        return [(mn, cn, st, moment(at)) for mn, cn, st, at in rows]

    def settled(self, mn: str, cn: str, at: datetime) -> None:
        """A wish of that time has been dealt with."""
        with self._write() as db:
            db.execute(
                "DELETE FROM wish WHERE mn = ? AND cn = ? AND at <= ?", (mn, cn, microseconds(at))
            )

    # What the gateways saw

    def record(
        self,
        gateway: str,
        devices: Iterable[Seen],
        errors: Mapping[tuple[str, int, str], tuple[int, int]],
        strangers: Iterable[Stranger],
    ) -> None:
        """Add what was seen since the last time: `accepted` and counts are added to those there.

        `errors`: (mn, day, kind) → (count, last); `day` is days since 1970-01-01 of China's time.
        """
        with self._write() as db:
            db.executemany(
                "INSERT INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET"
                # A device may have moved to another gateway meanwhile: the later line counts.
                " gateway = CASE WHEN excluded.since >= since THEN excluded.gateway ELSE gateway END,"
                " peer = CASE WHEN excluded.since >= since THEN excluded.peer ELSE peer END,"
                " connected = CASE WHEN excluded.since >= since THEN excluded.connected"
                " ELSE connected END, since = max(since, excluded.since),"
                " last = max(last, excluded.last),"
                " cn = CASE WHEN excluded.last >= last THEN excluded.cn ELSE cn END,"
                " raw = CASE WHEN excluded.last >= last THEN excluded.raw ELSE raw END,"
                " accepted = accepted + excluded.accepted,"
                " reason = CASE WHEN excluded.bad > bad THEN excluded.reason ELSE reason END,"
                " bad_raw = CASE WHEN excluded.bad > bad THEN excluded.bad_raw ELSE bad_raw END,"
                " bad = max(bad, excluded.bad)",
                [
                    (
                        d.mn, gateway, d.peer, d.connected, _stamp(d.since), _stamp(d.last), d.cn,
                        d.raw, d.accepted, _stamp(d.bad), d.reason, d.bad_raw,
                    )
                    for d in devices
                ],
            )  # fmt: skip
            db.executemany(
                "INSERT INTO error VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " count = count + excluded.count, last = max(last, excluded.last)",
                [(*key, *value) for key, value in errors.items()],
            )
            for s in strangers:
                row = db.execute("SELECT seen FROM stranger WHERE mn = ?", (s.mn,)).fetchone()
                seen = _union(json.loads(row[0]) if row else {}, s.seen)
                db.execute(
                    "INSERT INTO stranger VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET peer = excluded.peer, last = excluded.last,"
                    " count = count + excluded.count, version = excluded.version,"
                    " seen = excluded.seen, raw = excluded.raw",
                    (
                        s.mn, s.peer, _stamp(s.first), _stamp(s.last), s.count, s.version,
                        json.dumps(seen), s.raw,
                    ),
                )  # fmt: skip
            db.execute(
                "DELETE FROM stranger WHERE mn IN"
                " (SELECT mn FROM stranger ORDER BY last DESC LIMIT -1 OFFSET ?)",
                (STRANGERS,),
            )

    def begin(self, gateway: str) -> None:
        """A gateway of this name starts: nobody is connected to it, and old errors go."""
        with self._write() as db:
            db.execute("UPDATE device SET connected = 0 WHERE gateway = ?", (gateway,))
            db.execute("DELETE FROM error WHERE last < ?", (time.time_ns() // 1000 - KEEP_ERRORS,))

    def devices(self, mns: Iterable[str] | None = None) -> dict[str, Seen]:
        """What was seen of these devices, or of all."""
        columns = (
            "mn, gateway, peer, connected, since, last, cn, raw, accepted, bad, reason, bad_raw"
        )
        if mns is None:
            rows = self._read(f"SELECT {columns} FROM device")  # noqa: S608
        else:
            rows = []
            some = list(mns)
            for at in range(0, len(some), 500):
                part = some[at : at + 500]
                marks = ", ".join("?" * len(part))
                rows += self._read(
                    f"SELECT {columns} FROM device WHERE mn IN ({marks})",  # noqa: S608
                    part,
                )
        return {row[0]: _seen(row) for row in rows}

    def errors(self, since_day: int, mn: str = "") -> list[tuple[str, str, int, datetime]]:
        """(mn, kind, count, last) since a day, of one device or of all, the latest first."""
        return [
            (a, b, c, moment(d))
            for a, b, c, d in self._read(
                "SELECT mn, kind, sum(count), max(last) FROM error WHERE day >= ?"
                " AND (? = '' OR mn = ?) GROUP BY mn, kind ORDER BY max(last) DESC",
                (since_day, mn, mn),
            )
        ]

    def strangers(self) -> list[Stranger]:
        """Senders that are in no register, the latest first."""
        return [
            Stranger(r[0], r[1], moment(r[2]), moment(r[3]), r[4], r[5], json.loads(r[6]), r[7])
            for r in self._read("SELECT * FROM stranger ORDER BY last DESC")
        ]

    def forget(self, mn: str) -> None:
        """A stranger has been adopted or turned away."""
        with self._write() as db:
            db.execute("DELETE FROM stranger WHERE mn = ?", (mn,))


def _stamp(time: datetime | None) -> int:
    return microseconds(time) if time else 0


def _union(
    old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    return {
        name: sorted({*old.get(name, ()), *new.get(name, ())})[:200]
        for name in old.keys() | new.keys()
    }


def day_of(time: datetime) -> int:
    """Days since 1970-01-01 in China's time."""
    return int((time.timestamp() + 8 * 3600) // 86400)
