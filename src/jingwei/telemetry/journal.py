"""The journal: every telegram as its bytes came, durable before it is acknowledged.

A journal is a folder of segments. A segment that is written is a pair: `<YYYY>/<MM>/<number>.log`
holds its telegrams, one block a commit (`blocks.py`), and `<number>.sqlite` says its state. It
belongs to the one `Journal` that made it; any number of writers can work in one folder, because a
segment's number is taken by exclusive creation. A segment is rolled when its hour (UTC) ends or it
has grown large. Anyone may read while others write.

The number of a segment says its month: `(year - 2000) * 10_000_000 + month * 100_000 + n`. A
telegram's number is `seq = segment << 32 | row`; it finds the telegram without any index. (It
exceeds 2**53: hand it to JavaScript as text.)

A segment is *open* while it may be written, *rolled* when it may not, *sealed* when its Merkle
root is stored in it (`seal.py`). When its seal is recorded it is packed: the same telegrams in
compressed blocks (`packing.py`) in a SQLite file that takes the place of the pair. A writer holds
SQLite's lock and looks at the state in each commit, so that a segment whose writer was killed or
sleeps can be rolled by somebody else without asking.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from jingwei.telemetry import blocks, packing
from jingwei.telemetry.packing import Record

APPLICATION_ID = 0x4A4E4757  # "JNGW": SQLite's application_id of a segment
MAX_BYTES = 256 << 20  # a segment is rolled when its telegrams reach this size
ALL = (1 << 32) - 1  # position of a segment that has been read to its end for good

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"([1-9][0-9]{6,10})\.sqlite")
_NUMBER = re.compile(r"([1-9][0-9]{6,10})\.(?:sqlite|log)")
_OURS = re.compile(
    r"[1-9][0-9]{6,10}\.(sqlite(-wal|-shm|-journal)?|log)|\.[0-9a-f]{32}\.new(-\w+)?"
)

# Without syncs: the file is synced once it is whole, and only then gets its name.
_SCHEMA = f"""
PRAGMA synchronous = OFF;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 3;
PRAGMA journal_mode = WAL;
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


PACKED = 2  # SQLite's user_version of a packed segment; 3 is that of a pair, 1 was a row a telegram
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
    span = time - EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def moment(microseconds: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + timedelta(microseconds=microseconds)


def segment_of(seq: int) -> int:
    return seq >> 32


def row_of(seq: int) -> int:
    return seq & ALL


@dataclass(frozen=True, slots=True)
class View:
    """An open segment: its SQLite file, and its log unless it is packed."""

    db: sqlite3.Connection
    log: blocks.Reader | None

    def meta(self) -> dict[str, str]:
        """What the segment says of itself: state, opened, and after sealing count, root, …"""
        return dict(self.db.execute("SELECT key, value FROM meta"))

    def records(self, after: int = 0) -> Iterator[Record]:
        """(row, received in microseconds, peer, reason, raw) behind the row `after`, in order."""
        if self.log is not None:
            yield from self.log.records(after)
            return
        for first, size, data in self.db.execute(
            "SELECT first, size, CAST(data AS BLOB) FROM block WHERE last > ? ORDER BY first",
            (after,),
        ):
            for record in packing.records(packing.decompress(data, size), first):
                if record[0] > after:
                    yield record

    def newest(self, text: bytes) -> Iterator[list[Record]]:
        """The telegrams of each block that has this text in its bytes, the newest block first."""
        if self.log is not None:
            yield from self.log.newest(text)
            return
        for first, size, data in self.db.execute(
            "SELECT first, size, CAST(data AS BLOB) FROM block ORDER BY first DESC"
        ):
            block = packing.decompress(data, size)
            if text in block:
                yield list(packing.records(block, first))

    def last(self) -> int:
        """The last row, 0 where there is none."""
        if self.log is not None:
            return self.log.last()
        (row,) = self.db.execute("SELECT max(last) FROM block").fetchone()
        return int(row or 0)


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a journal; `path` is its SQLite file."""

    path: Path
    number: int

    @property
    def log(self) -> Path:
        """Its telegrams while it is not packed."""
        return self.path.with_suffix(blocks.SUFFIX)

    def size(self) -> int:
        """Bytes on the disk."""
        with contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_size + self.log.stat().st_size
        return self.path.stat().st_size

    @contextlib.contextmanager
    def open(self, *, write: bool = False) -> Iterator[View]:
        """A view of the segment; raises `BrokenSegmentError` when it is none."""
        with contextlib.ExitStack() as stack:
            try:
                db = self._connect(stack, write)
                log = self._log(stack, db)
                if log is None and not packed(db):  # it was packed just now
                    db = self._connect(stack, write)
                    log = self._log(stack, db)
                    if log is None and not packed(db):
                        raise BrokenSegmentError(
                            f"{self.path} has lost its telegrams: no {self.log}"
                        )
            except (sqlite3.Error, OSError, blocks.DamagedError) as error:
                raise BrokenSegmentError(f"{self.path} cannot be read: {error}") from None
            try:
                yield View(db, log)
            except sqlite3.OperationalError:
                raise  # busy, full, read-only: a matter of the moment
            except (
                sqlite3.DatabaseError, TypeError, ValueError, OverflowError, struct.error
            ) as error:  # fmt: skip
                # The latter: a column that holds what no journal writes.
                raise BrokenSegmentError(f"{self.path} is damaged: {error}") from None

    def _connect(self, stack: contextlib.ExitStack, write: bool) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={'rw' if write else 'ro'}",
            uri=True,
            isolation_level=None,
            timeout=10,
        )
        stack.callback(db.close)
        try:
            (kind,) = db.execute("PRAGMA application_id").fetchone()
        except sqlite3.OperationalError as error:
            if write or error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
            # A sealer was killed; who only reads cannot undo what it had begun.
            with self.open(write=True):
                pass
            return self._connect(stack, write)
        if kind != APPLICATION_ID:
            raise BrokenSegmentError(f"{self.path} is not a journal segment")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 1:
            raise BrokenSegmentError(
                f"{self.path} was written by an earlier version of Jingwei, which kept a row a"
                " telegram; only that version can pack it"
            )
        if write:
            db.execute("PRAGMA synchronous = FULL")
        return db

    def _log(self, stack: contextlib.ExitStack, db: sqlite3.Connection) -> blocks.Reader | None:
        with contextlib.suppress(FileNotFoundError):
            if not packed(db):
                log = blocks.Reader(self.log)
                stack.callback(log.close)
                return log
        return None

    def meta(self) -> dict[str, str]:
        with self.open() as view:
            return view.meta()

    def newest(self, text: bytes, since: int, limit: int) -> list[Telegram]:
        """The last `limit` telegrams received since, with these bytes in them; the newest first."""
        found: list[Telegram] = []
        with self.open() as view:
            for records in view.newest(text):
                found += [
                    self.telegram(record)
                    for record in reversed(records)
                    if record[1] >= since and text in record[4]
                ]
                if len(found) >= limit:
                    break
        return found[:limit]

    def take(self, after: int = 0, limit: int = -1) -> tuple[list[Record], bool]:
        """The records with a row greater than `after`, and whether the segment ends with them.

        They are on the disk, whatever became of their writer.
        """
        with self.open() as view:
            state = view.meta()["state"]  # first: what is rolled now gets no more
            records = view.records(after)
            found = list(records if limit < 0 else islice(records, limit))
            if found and view.log is not None and state != "sealed":
                view.log.sync()
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
            and not (path.suffix == blocks.SUFFIX and _orphan(path))
        )
    )


def _orphan(log: Path) -> bool:
    """Whether a log holds telegrams and nothing says what they are."""
    try:
        return not log.with_suffix(".sqlite").exists() and log.stat().st_size > blocks.EMPTY
    except FileNotFoundError:
        return False


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
    with segment.open() as view:
        found = next(view.records(row - 1), None)
        if found is None or found[0] != row:
            deleted = view.meta().get("pruned", "")
            gone = f"; they were deleted on {deleted[:10]}" if deleted else ""
            raise JournalError(f"no telegram {seq} in {segment.path}{gone}")
    return segment.telegram(found)


def packed(db: sqlite3.Connection) -> bool:
    """Whether the segment holds its telegrams in compressed blocks."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return bool(version == PACKED)


def sync(path: Path) -> None:
    """Make a file durable, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, durable."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def put(segment: Segment, whole: Path) -> None:
    """Let a packed file take the place of a segment. Atomic: a reader sees the one or the other."""
    whole.chmod(0o444)
    whole.rename(segment.path)
    sync(segment.path.parent)
    segment.log.unlink(missing_ok=True)


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
        self._log: blocks.Writer | None = None
        self._number = 0
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
            except BaseException as error:
                # A full disk leaves the segment good; after anything else a new one is begun.
                if isinstance(error, sqlite3.Error) or not (self._log and self._log.sound):
                    self._leave()
                if isinstance(error, sqlite3.Error | OSError):
                    raise JournalError(f"journal {self.root}: {error}") from error
                raise

    def _append(self, telegrams: Sequence[Telegram]) -> list[int]:
        now = self._clock()
        if self._log is not None and (self._bytes >= self._max_bytes or self._hour != _hour(now)):
            self._leave()
        received = [microseconds(t.received) for t in telegrams]
        raws = [t.raw for t in telegrams]
        while True:
            db, log = self._db, self._log
            if db is None or log is None:
                db, log = self._begin(now)
            db.execute("BEGIN IMMEDIATE")  # nobody rolls the segment meanwhile
            try:
                (state,) = db.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()
                if state == "open":
                    row = log.append(
                        received, [t.peer for t in telegrams], [t.reason for t in telegrams], raws
                    )
                    break
            finally:
                db.execute("ROLLBACK")  # the file of the state was only read
            self._leave()  # somebody rolled it because its hour was over
        self._bytes += sum(map(len, raws))
        first = self._number << 32 | row
        return list(range(first, first + len(telegrams)))

    def _begin(self, now: datetime) -> tuple[sqlite3.Connection, blocks.Writer]:
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
            sync(blank)
            number, log = _take_number(folder, blank, now)
        finally:
            for rest in folder.glob(blank.name + "*"):
                rest.unlink(missing_ok=True)
        try:
            sync(folder)
            db = sqlite3.connect(
                folder / f"{number}.sqlite", isolation_level=None, check_same_thread=False,
                timeout=10,
            )  # fmt: skip
            db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            log.close()
            raise
        self._db, self._log, self._number, self._bytes = db, log, number, 0
        self._hour = _hour(now)
        return db, log

    def _leave(self) -> None:
        db, log, self._db, self._log = self._db, self._log, None, None
        if db is None or log is None:
            return
        rows = str(log.rows) if log.sound else None
        log.close()
        # Where this fails the sealer rolls the segment after its hour.
        with contextlib.suppress(sqlite3.Error):
            db.execute("BEGIN IMMEDIATE")
            done = db.execute(
                "UPDATE meta SET value = 'rolled' WHERE key = 'state' AND value = 'open'"
            )
            if done.rowcount and rows is not None:
                db.execute("INSERT INTO meta VALUES ('rows', ?)", (rows,))
            db.execute("COMMIT")
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


def _take_number(folder: Path, blank: Path, now: datetime) -> tuple[int, blocks.Writer]:
    """Make the next segment of a month from its SQLite file; its number and its log.

    Both names are made exclusively, and that of the log first: no reader sees a half of the pair.
    """
    base = (now.year - 2000) * 10_000_000 + now.month * 100_000
    number = max(
        (int(match[1]) for p in folder.iterdir() if (match := _NUMBER.fullmatch(p.name))),
        default=base,
    )
    while True:
        number += 1
        if number >= base + 100_000:
            raise JournalError(
                f"{folder}: the month has {number - base - 1} segments already: no more"
                " can be numbered; begin segments less often"
            )
        path = folder / f"{number}{blocks.SUFFIX}"
        try:
            log = blocks.Writer(path)
        except FileExistsError:
            continue
        try:
            os.link(blank, folder / f"{number}.sqlite")  # never half-made
        except BaseException as error:
            log.close()
            path.unlink(missing_ok=True)
            if not isinstance(error, FileExistsError):
                raise
        else:
            return number, log
