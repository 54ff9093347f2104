"""The journal: every telegram as its bytes came, durable before it is acknowledged.

A journal is a folder of segments, `<YYYY>/<MM>/<number>.sqlite`: SQLite files with one packed row
a telegram, append-only. A segment belongs to the one `Journal` that made it; any number of writers
can work in one folder, because a segment's number is taken by exclusive creation. A segment is
rolled when its hour (UTC) ends or it has grown large. Anyone may read while others write.

The number of a segment says its month: `(year - 2000) * 10_000_000 + month * 100_000 + n`. A
telegram's number is `seq = segment << 32 | row`; it finds the telegram without any index. (It
exceeds 2**53: hand it to JavaScript as text.)

A segment is *open* while it may be written, *rolled* when it may not, *sealed* when its Merkle
root is stored in it (`seal.py`). When its seal is recorded it is packed: the same telegrams in
compressed blocks (`packing.py`) in a file that takes the place of the first. A writer looks at the state inside each commit, so that a segment
whose writer was killed can be rolled by somebody else without asking.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from jingwei.telemetry import packing
from jingwei.telemetry.packing import Record

APPLICATION_ID = 0x4A4E4757  # "JNGW": SQLite's application_id of a segment
MAX_BYTES = 256 << 20  # a segment is rolled when its telegrams reach this size
ALL = (1 << 32) - 1  # position of a segment that has been read to its end for good

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAME = re.compile(r"([1-9][0-9]{6,10})\.sqlite")
_OURS = re.compile(r"[1-9][0-9]{6,10}\.sqlite(-wal|-shm|-journal)?|\.[0-9a-f]{32}\.new(-\w+)?")

# Pages of 16 KiB: a commit of hundreds of telegrams takes a fifth less processor time than with 4, and
# the write-ahead log is copied back, which syncs twice, every 16 MiB instead of every 4.
_SCHEMA = f"""
PRAGMA page_size = 16384;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
CREATE TABLE telegram(
    row INTEGER PRIMARY KEY,
    received INTEGER NOT NULL,  -- microseconds since 1970-01-01 UTC
    peer TEXT NOT NULL,
    reason TEXT NOT NULL,       -- why it was refused; empty in the journal of accepted telegrams
    raw BLOB NOT NULL
);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER telegram_stays BEFORE UPDATE ON telegram
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER telegram_kept BEFORE DELETE ON telegram
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


PACKED = 2  # SQLite's user_version of a packed segment; 1 is that of an open one
PACKED_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {PACKED};
CREATE TABLE block(
    first INTEGER PRIMARY KEY,  -- row of its first telegram
    last INTEGER NOT NULL,
    size INTEGER NOT NULL,      -- bytes before compression
    data BLOB NOT NULL          -- see packing.py
);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER block_stays BEFORE UPDATE ON block
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER block_kept BEFORE DELETE ON block
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


class JournalError(Exception):
    """The journal cannot do what was asked; the text says what, where and why."""


class BrokenSegmentError(JournalError):
    """A file in the journal's folder that cannot be read as a segment."""


@dataclass(frozen=True, slots=True)
class Telegram:
    """One telegram as it came. `peer` is "address:port"; `seq` is 0 until it is in a journal."""

    received: datetime
    peer: str
    raw: bytes
    reason: str = ""
    seq: int = 0


def microseconds(time: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exact."""
    return (time - EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + timedelta(microseconds=microseconds)


def segment_of(seq: int) -> int:
    return seq >> 32


def row_of(seq: int) -> int:
    return seq & ALL


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a journal."""

    path: Path
    number: int

    @contextlib.contextmanager
    def open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection to the segment; raises `BrokenSegmentError` when it is none."""
        try:
            db = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode={'rw' if write else 'ro'}",
                uri=True,
                isolation_level=None,
                timeout=10,
            )
        except sqlite3.Error as error:
            raise BrokenSegmentError(f"{self.path} cannot be opened: {error}") from None
        try:
            try:
                (kind,) = db.execute("PRAGMA application_id").fetchone()
            except sqlite3.Error as error:
                raise BrokenSegmentError(f"{self.path} cannot be read: {error}") from None
            if kind != APPLICATION_ID:
                raise BrokenSegmentError(f"{self.path} is not a journal segment")
            if write:
                db.execute("PRAGMA synchronous = FULL")
            try:
                yield db
            except sqlite3.OperationalError:
                raise  # busy, full, read-only: a matter of the moment
            except (sqlite3.DatabaseError, TypeError, ValueError, OverflowError) as error:
                # The latter: a column that holds what no journal writes.
                raise BrokenSegmentError(f"{self.path} is damaged: {error}") from None
        finally:
            db.close()

    def meta(self) -> dict[str, str]:
        """What the segment says of itself: state, opened, and after sealing count, root, …"""
        with self.open() as db:
            return dict(db.execute("SELECT key, value FROM meta"))

    def records(self, db: sqlite3.Connection, after: int = 0, limit: int = -1) -> Iterator[Record]:
        """(row, received in microseconds, peer, reason, raw) behind the row `after`, in order."""
        if not packed(db):
            yield from db.execute(
                "SELECT row, received, peer, reason, CAST(raw AS BLOB) FROM telegram"
                " WHERE row > ? ORDER BY row LIMIT ?",
                (after, limit),
            )
            return
        for first, size, data in db.execute(
            "SELECT first, size, CAST(data AS BLOB) FROM block WHERE last > ? ORDER BY first",
            (after,),
        ):
            for record in packing.records(packing.decompress(data, size), first):
                if record[0] > after and limit:
                    yield record
                    limit -= 1
            if not limit:
                return

    def last(self, db: sqlite3.Connection) -> int:
        """The last row, 0 where there is none."""
        query = "SELECT max(last) FROM block" if packed(db) else "SELECT max(row) FROM telegram"
        (row,) = db.execute(query).fetchone()
        return int(row or 0)

    def newest(self, text: bytes, since: int, limit: int) -> list[Telegram]:
        """The last `limit` telegrams received since, with these bytes in them; the newest first."""
        with self.open() as db:
            if not packed(db):
                records: Iterable[Record] = db.execute(
                    "SELECT row, received, peer, reason, CAST(raw AS BLOB) FROM telegram"
                    " WHERE received >= ? AND (? = x'' OR instr(raw, ?)) ORDER BY row DESC LIMIT ?",
                    (since, text, text, limit),
                ).fetchall()
                return [self.telegram(record) for record in records]
            found: list[Telegram] = []
            for first, size, data in db.execute(
                "SELECT first, size, CAST(data AS BLOB) FROM block ORDER BY first DESC"
            ):
                block = packing.decompress(data, size)
                if text in block:
                    some = [
                        record
                        for record in packing.records(block, first)
                        if record[1] >= since and text in record[4]
                    ]
                    found += [self.telegram(record) for record in reversed(some)]
                if len(found) >= limit:
                    break
            return found[:limit]

    def take(self, after: int = 0, limit: int = -1) -> tuple[list[Record], bool]:
        """The records with a row greater than `after`, and whether the segment ends with them."""
        with self.open() as db:
            db.execute("BEGIN")
            (state,) = db.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()
            found = list(self.records(db, after, limit))
            return found, state != "open" and (limit < 0 or len(found) < limit)

    def read(self, after: int = 0, limit: int = -1) -> tuple[list[Telegram], bool]:
        """The same as `Telegram`s."""
        found, ended = self.take(after, limit)
        return [self.telegram(record) for record in found], ended

    def telegram(self, record: Record) -> Telegram:
        row, received, peer, reason, raw = record
        return Telegram(moment(received), peer, raw, reason, self.number << 32 | row)


def month_of(number: int) -> str:
    """The folder of a segment: YYYY/MM."""
    year, month = divmod(number // 100_000, 100)
    return f"{year + 2000:04}/{month:02}"


_listings: dict[Path, tuple[int, list[Segment]]] = {}


def segments(root: Path) -> list[Segment]:
    """All segments in the order of their numbers."""
    found: list[Segment] = []
    for folder in root.glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]"):
        changed = folder.stat().st_mtime_ns
        cached = _listings.get(folder)
        if cached is None or cached[0] != changed:
            here = [
                Segment(path, int(match[1]))
                for path in folder.iterdir()
                if (match := _NAME.fullmatch(path.name))
                and month_of(int(match[1])) == f"{folder.parent.name}/{folder.name}"
            ]
            cached = (changed, here)
            # A folder changed just now may change again within the same tick of the clock.
            if time.time_ns() - changed > 2_000_000_000:
                _listings[folder] = cached
        found += cached[1]
    found.sort(key=lambda segment: segment.number)
    return found


def strangers(root: Path) -> list[Path]:
    """Files in the journal's folder that do not belong there."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and not (
            _OURS.fullmatch(path.name)
            and (
                path.name.startswith(".")
                or path.parent == root / month_of(int(path.name.partition(".")[0]))
            )
        )
    )


def read(
    root: Path,
    after: Mapping[int, int] | None = None,
    limit: int = 10_000,
    *,
    problems: list[str] | None = None,
) -> list[Telegram]:
    """Up to `limit` telegrams behind the position `after` (segment number → last row read).

    A file that cannot be read is passed over and named in `problems`; the others are read.
    """
    found: list[Telegram] = []
    for segment in segments(root):
        row = after.get(segment.number, 0) if after else 0
        if row == ALL:
            continue
        if len(found) >= limit:
            break
        try:
            telegrams, _ = segment.read(row, limit - len(found))
        except (BrokenSegmentError, sqlite3.OperationalError) as error:
            if problems is not None:
                problems.append(str(error))
            continue
        found += telegrams
    return found


def newest(
    root: Path,
    *,
    mn: str = "",
    since: datetime | None = None,
    limit: int = 1000,
    problems: list[str] | None = None,
) -> list[Telegram]:
    """The last `limit` telegrams (of one device, received since a time), the oldest first.

    Looks through the segments from the newest backwards.
    """
    text = f"MN={mn};".encode() if mn else b""
    first = microseconds(since) if since else -(1 << 62)
    found: list[Telegram] = []
    for segment in reversed(segments(root)):
        if len(found) >= limit:
            break
        try:
            found += segment.newest(text, first, limit - len(found))
        except (BrokenSegmentError, sqlite3.OperationalError) as error:
            if problems is not None:
                problems.append(str(error))
    return found[::-1]


def get(root: Path, seq: int) -> Telegram:
    """The telegram with this number; raises `JournalError` when there is none."""
    number, row = segment_of(seq), row_of(seq)
    segment = Segment(root / month_of(number) / f"{number}.sqlite", number)
    with segment.open() as db:
        found = next(segment.records(db, row - 1, 1), None)
        if found is None or found[0] != row:
            deleted = db.execute("SELECT value FROM meta WHERE key = 'pruned'").fetchone()
            gone = f"; they were deleted on {deleted[0][:10]}" if deleted else ""
            raise JournalError(f"no telegram {seq} in {segment.path}{gone}")
    return segment.telegram(found)


def packed(db: sqlite3.Connection) -> bool:
    """Whether the segment holds its telegrams in compressed blocks."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return bool(version == PACKED)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, durable."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


class Journal:
    """A writer. Thread-safe; makes its segments when the first telegram needs one.

    `max_bytes`: telegram bytes after which a segment is rolled. `clock` gives aware UTC.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.root = root
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._number = 0
        self._row = 0
        self._bytes = 0
        self._hour: datetime | None = None

    def append(self, telegrams: Sequence[Telegram]) -> list[int]:
        """Store the telegrams in one durable commit and return their numbers.

        Raises `JournalError` when they could not be stored (a full disk, for example); then none
        of them counts as stored, and the call may be repeated.
        """
        if not telegrams:
            return []
        with self._lock:
            try:
                return self._append(telegrams)
            except (sqlite3.Error, OSError) as error:
                # A full disk leaves the segment good; after anything else a new one is begun.
                if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                    self._leave()
                raise JournalError(f"journal {self.root}: {error}") from error

    def _append(self, telegrams: Sequence[Telegram]) -> list[int]:
        now = self._clock()
        if self._db is not None and (self._bytes >= self._max_bytes or self._hour != _hour(now)):
            self._leave()
        while True:
            db = self._db or self._begin(now)
            row = self._row
            try:
                db.execute("BEGIN IMMEDIATE")
                (state,) = db.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()
                if state == "open":
                    db.executemany(
                        "INSERT INTO telegram VALUES (?, ?, ?, ?, ?)",
                        [
                            (row + n, microseconds(t.received), t.peer, t.reason, t.raw)
                            for n, t in enumerate(telegrams, 1)
                        ],
                    )
                    db.execute("COMMIT")
                    break
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            self._leave()  # somebody rolled it because its hour was over
        self._row = row + len(telegrams)
        self._bytes += sum(len(t.raw) for t in telegrams)
        first = self._number << 32 | row
        return [first + n for n in range(1, len(telegrams) + 1)]

    def _begin(self, now: datetime) -> sqlite3.Connection:
        folder = self.root / f"{now:%Y}" / f"{now:%m}"
        make_folder(folder)
        blank = folder / f".{uuid.uuid4().hex}.new"
        try:
            with contextlib.closing(sqlite3.connect(blank, isolation_level=None)) as db:
                db.executescript(_SCHEMA)
                db.executemany(
                    "INSERT INTO meta VALUES (?, ?)",
                    [("state", "open"), ("opened", now.isoformat())],
                )
            base = (now.year - 2000) * 10_000_000 + now.month * 100_000
            number = (
                max(
                    (int(m[1]) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))),
                    default=base,
                )
                + 1
            )
            while True:
                if number >= base + 100_000:
                    raise JournalError(
                        f"{folder}: the month has {number - base - 1} segments already: no more"
                        " can be numbered; begin segments less often"
                    )
                try:
                    os.link(blank, folder / f"{number}.sqlite")  # exclusive, and never half-made
                    break
                except FileExistsError:
                    number += 1
        finally:
            for rest in folder.glob(blank.name + "*"):
                rest.unlink(missing_ok=True)
        sync_folder(folder)
        db = sqlite3.connect(
            folder / f"{number}.sqlite", isolation_level=None, check_same_thread=False, timeout=10
        )
        db.execute("PRAGMA synchronous = FULL")
        self._db, self._number, self._row, self._bytes = db, number, 0, 0
        self._hour = _hour(now)
        return db

    def _leave(self) -> None:
        db, self._db = self._db, None
        if db is None:
            return
        # Where this fails the sealer rolls the segment after its hour.
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
            db.execute("UPDATE meta SET value = 'rolled' WHERE key = 'state' AND value = 'open'")
        with contextlib.suppress(sqlite3.Error):
            db.close()

    def roll(self, *, if_over: bool = False) -> None:
        """End the present segment, so that it can be sealed; the next append begins another.

        With `if_over` only when its hour has ended: a writer that has nothing to write calls this.
        """
        with self._lock:
            if not if_over or self._hour != _hour(self._clock()):
                self._leave()

    def close(self) -> None:
        """Roll, and leave nothing open. What was appended is durable already."""
        self.roll()


def _hour(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
