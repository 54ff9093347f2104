"""The log on disk: appended durably by one writer, read and checked by anyone.

Layout of the folder:

    log.key         the signing key, mode 600
    log.pub         its verifier key, one line, for whoever reads the log
    log-sm2.key     a second signing key, SM2, where there is one; log-sm2.pub its verifier key
    log-retired.pub earlier keys (`keyring`)
    state.json      size and root that the writer stands by
    lock            held by the one writer
    scratch         a file on its way to its name
    log/            what any web server may show (C2SP tlog-tiles)
        checkpoint
        tile/<L>/…  tile/entries/…
        checkpoints/…   earlier ones, with the signatures of witnesses (`attest`)

An append writes bundles and tiles, then `state.json`, then the checkpoint; each file appears
whole under its name (write, fsync, rename), and each step is on disk before the next begins.
`state.json` is the point of no return: before it, the new entries do not exist and what lies in
the tiles beyond the old size is rewritten; after it, they do, and whoever opens the log next
signs that root and no other. So no two roots are ever signed for one size.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from jingwei.evidence import keyring, merkle, tiles
from jingwei.evidence.keyring import (
    KEY,
    MADE_SM2_KEY,
    NEXT_KEY,
    NEXT_SM2_KEY,
    RETIRED,
    SM2_KEY,
    SM2_VERIFIER,
    VERIFIER,
    KeyPair,
    Keyring,
    Retired,
)
from jingwei.evidence.merkle import HASH_SIZE, CompactRange
from jingwei.evidence.note import (
    Checkpoint,
    KeyFile,
    NoteError,
    Sm2KeyFile,
    Verifier,
    parse_checkpoint,
    sign_note,
)
from jingwei.evidence.tiles import ENTRIES, WIDTH, Reader, TileError

STATE, LOCK, SCRATCH, PUBLIC = "state.json", "lock", "scratch", "log"


class LogError(Exception):
    """The log cannot be written, or is not what it must be; the text says what and where."""


class LogBusyError(LogError):
    """Another process is writing."""


class Log:
    """The one writer. Use as a context manager; opening takes the lock and finishes what a crash left.

    `origin` names a log that is made now (by default `jingwei/evidence/` and 8 hex digits, so that
    no two installations are taken for one another). Raises `LogBusyError` after `wait` seconds behind
    another writer, and `LogError` where the files contradict each other: then nothing is written.
    """

    def __init__(self, folder: Path, *, origin: str = "", wait: float = 10.0) -> None:
        self.folder = folder
        self.reader = Reader(folder / PUBLIC)
        self.size = 0
        self._edge: list[list[bytes]] = []  # the unfinished tile of each level
        self._bundle = bytearray()  # the unfinished entry bundle
        try:
            _make_folder(folder / PUBLIC)
            self._lock = _take_lock(folder / LOCK, wait)
        except OSError as error:
            raise LogError(f"cannot use {folder}: {error}") from None
        try:
            self._open(origin)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, entries: Sequence[bytes]) -> range:
        """Append entries (each up to 65,535 bytes) and return their leaf numbers.

        When it returns, they are on disk and a signed checkpoint covers them. When it raises
        `LogError`, nothing is acknowledged; open the log anew to go on.
        """
        if self._lock < 0:
            raise LogError("the log is closed")
        for entry in entries:
            if len(entry) > tiles.MAX_ENTRY:
                raise LogError(f"an entry has {len(entry)} bytes, at most {tiles.MAX_ENTRY} fit")
        if not entries:
            return range(self.size, self.size)
        first = self.size
        try:
            filled = self._write_tiles(entries)
            self._write_state()
            self._publish()
        except OSError as error:
            self.close()
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None
        except BaseException:
            self.close()
            raise
        for level, index in filled:
            shutil.rmtree(self.reader.folder / (tiles.path(level, index) + ".p"), True)
        return range(first, self.size)

    # -- opening

    def _open(self, origin: str) -> None:
        key, state, public = self.folder / KEY, self.folder / STATE, self.reader.folder
        fresh = not state.exists()
        if fresh and any(public.iterdir()):
            raise LogError(f"{STATE} is missing from {self.folder}: restore it from a backup")
        if fresh and not key.exists():
            KeyFile.create(key, origin or f"jingwei/evidence/{secrets.token_hex(4)}")
        self._load_keys()
        if fresh:
            self._write_state()
        self.size, root = _read_state(self.folder)
        try:
            self._read_edge()
        except (TileError, ValueError) as error:
            raise LogError(f"the log's last tiles are damaged: {error}") from None
        if self.root() != root:
            raise LogError(f"the tiles do not give the root that {STATE} names for {self.size}")
        if (public / "checkpoint").exists():
            checkpoint = self.checkpoint()
            _compare_state(checkpoint, self.size, root)
        else:
            checkpoint = None
        try:
            self._sweep()
            if checkpoint is None or checkpoint.size < self.size:
                self._publish()
            self._finish_rotation()
        except OSError as error:
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None

    def _load_keys(self) -> None:
        """The signers, and the files of their verifier keys where a crash has left them behind."""
        try:
            self.signer = KeyFile.load(self.folder / KEY)
            self._signers: list[KeyPair] = [self.signer]
            if (self.folder / SM2_KEY).exists():
                self._signers.append(Sm2KeyFile(self.signer.name, self.folder / SM2_KEY))
            self._retired = keyring.read_retired(self.folder)
            for signer, name in zip(self._signers, (VERIFIER, SM2_VERIFIER), strict=False):
                path = self.folder / name
                if path.exists():
                    there = keyring.read_verifier(path)
                    if there == signer.verifier:
                        continue
                    if all(there != retired.key for retired in self._retired):
                        raise NoteError(f"{path} is not the verifier key of the signing key")
                self._replace(path, f"{signer.verifier}\n".encode())
                _sync_folder(self.folder)
        except NoteError as error:
            raise LogError(str(error)) from None

    # -- the second key

    def second_key(self) -> Verifier:
        """Make the SM2 key that is to sign as well (or take one that was made and is not in use yet).
        Its entry must be in the log before `use_second_key`. Raises `LogError`, also where an SM2 key
        signs already."""
        if len(self._signers) > 1:
            raise LogError("there is an SM2 key already")
        try:
            path = self.folder / MADE_SM2_KEY
            made = Sm2KeyFile(self.signer.name, path) if path.exists() else None
            return (made or Sm2KeyFile.create(path, self.signer.name)).verifier
        except NoteError as error:
            raise LogError(str(error)) from None
        except OSError as error:
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None

    def use_second_key(self, key: Verifier) -> None:
        """Sign with the second key as well, which `second_key` made, from the next checkpoint on."""
        if self.second_key() != key:
            raise LogError("the second key is not the one that the log was told of: begin again")
        try:
            (self.folder / MADE_SM2_KEY).replace(self.folder / SM2_KEY)
            _sync_folder(self.folder)
            self._load_keys()
        except OSError as error:
            self.close()
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None
        except BaseException:
            self.close()
            raise

    # -- rotation of the keys

    def next_keys(self) -> str:
        """Make the keys that are to follow (or take those that are there) and return the statement
        on it (`keyring.statement`), which must be in the log before `rotate`."""
        try:
            for name, make in ((NEXT_KEY, KeyFile), (NEXT_SM2_KEY, Sm2KeyFile)):
                wanted = name == NEXT_KEY or len(self._signers) > 1
                if wanted and not (self.folder / name).exists():
                    make.create(self.folder / name, self.signer.name)
            return keyring.statement(self.signer.name, self._signers, self._next_signers())
        except NoteError as error:
            raise LogError(str(error)) from None
        except OSError as error:
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None

    def rotate(self, statement: str) -> None:
        """Sign with the next keys from now on, and the newest checkpoint with both.

        `statement` is the one that `next_keys` gave. The list of retired keys is the point of no
        return: before it nothing has changed; after it, whoever opens the log next ends the
        rotation before anything is appended.
        """
        if statement != self.next_keys():
            raise LogError("the statement is not on the keys that are to follow")
        lines = [*self._retired, *(Retired(self.size, s.verifier) for s in self._signers)]
        try:
            self._replace(self.folder / RETIRED, "".join(f"{line}\n" for line in lines).encode())
            _sync_folder(self.folder)
            self._retired = tuple(lines)
            self._finish_rotation()
        except OSError as error:
            self.close()
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None
        except BaseException:
            self.close()
            raise

    def _next_signers(self) -> list[KeyPair]:
        found: list[KeyPair] = []
        if (self.folder / NEXT_KEY).exists():
            found.append(KeyFile.load(self.folder / NEXT_KEY))
        if (self.folder / NEXT_SM2_KEY).exists():
            found.append(Sm2KeyFile(self.signer.name, self.folder / NEXT_SM2_KEY))
        return found

    def _finish_rotation(self) -> None:
        """Where a key that signs is among the retired ones, put the next one into its place."""
        retired = {line.key for line in self._retired}
        if all(signer.verifier not in retired for signer in self._signers):
            return
        try:
            following = self._next_signers()
            if self.signer.verifier in retired and not (self.folder / NEXT_KEY).exists():
                raise NoteError(
                    f"{NEXT_KEY} is missing in the middle of a rotation: restore it from a backup"
                )
            note = self.reader.checkpoint().decode()
            note = keyring.add_signatures(note, self.signer.verifier, following)
        except NoteError as error:
            raise LogError(str(error)) from None
        self._keep(note, self.size)
        # The Ed25519 key last: while it is the old one, a rotation is under way.
        for name, target in ((NEXT_SM2_KEY, SM2_KEY), (NEXT_KEY, KEY)):
            if (self.folder / name).exists():
                (self.folder / name).replace(self.folder / target)
                _sync_folder(self.folder)
        self._load_keys()

    def _read_edge(self) -> None:
        """Read the unfinished tile of each level and the unfinished bundle."""
        level = 0
        while nodes := self.size >> (tiles.HEIGHT * level):
            partial = nodes % WIDTH
            self._edge.append(
                self.reader.hashes(level, nodes // WIDTH, self.size) if partial else []
            )
            level += 1
        if self._edge and self._edge[0]:
            entries = self.reader.entries(self.size // WIDTH, self.size)
            if [merkle.leaf_hash(entry) for entry in entries] != self._edge[0]:
                raise TileError("the last entry bundle is not what the last tile says")
            self._bundle = bytearray(tiles.pack(entries))

    def _sweep(self) -> None:
        """Remove what an append that did not come to its end left beyond the log's size."""
        for level in (ENTRIES, *range(len(self._edge) + 1)):
            first = (self.size >> (tiles.HEIGHT * max(level, 0))) // WIDTH
            width = tiles.width_of(level, first, self.size)
            left: list[Path] = []
            index = first
            while True:
                full = self.reader.folder / tiles.path(level, index)
                partials = self.reader.partials(level, index)
                left += [
                    self.reader.folder / tiles.path(level, index, w)
                    for w in partials
                    if index > first or w > width
                ]
                if full.exists():
                    left.append(full)
                elif not partials:
                    break
                index += 1
            # Last one first: should a crash come in between, the rest is still found from `first`.
            for file in reversed(left):
                file.unlink()
                _sync_folder(file.parent)

    # -- writing

    def _write_tiles(self, entries: Sequence[bytes]) -> list[tuple[int, int]]:
        """Write all bundles and tiles that change; returns the (level, index) of those now full."""
        touched: set[Path] = set()
        filled: list[tuple[int, int]] = []
        changed: set[int] = set()
        for entry in entries:
            self._bundle += tiles.pack([entry])
            self.size += 1
            self._put(0, merkle.leaf_hash(entry), changed)
            if self.size % WIDTH:
                continue
            last = self.size // WIDTH - 1
            self._write(tiles.path(ENTRIES, last), self._bundle, touched)
            filled.append((ENTRIES, last))
            self._bundle.clear()
            level = 0
            while level < len(self._edge) and len(self._edge[level]) == WIDTH:
                full = self._edge[level]
                index = (self.size >> (tiles.HEIGHT * level)) // WIDTH - 1
                self._write(tiles.path(level, index), b"".join(full), touched)
                filled.append((level, index))
                self._edge[level] = []
                changed.discard(level)
                level += 1
                self._put(level, merkle.root_hash(full), changed)
        if self._bundle:
            name = tiles.path(ENTRIES, self.size // WIDTH, self.size % WIDTH)
            self._write(name, self._bundle, touched)
        for level in sorted(changed):
            hashes = self._edge[level]
            index = (self.size >> (tiles.HEIGHT * level)) // WIDTH
            self._write(tiles.path(level, index, len(hashes)), b"".join(hashes), touched)
        for folder in touched:
            _sync_folder(folder)
        return filled

    def _put(self, level: int, value: bytes, changed: set[int]) -> None:
        if level == len(self._edge):
            self._edge.append([])
        self._edge[level].append(value)
        changed.add(level)

    def root(self) -> bytes:
        """Root over all entries."""
        hashes: list[bytes] = []
        for tile in reversed(self._edge):
            edge = CompactRange()
            for value in tile:
                edge.append(value)
            hashes.extend(edge.hashes)
        return CompactRange(self.size, hashes).root()

    def checkpoint(self) -> Checkpoint:
        """The published checkpoint, opened with the log's own key; `LogError` where it is damaged."""
        try:
            return parse_checkpoint(self.reader.checkpoint(), self.signer.verifier)
        except NoteError as error:
            raise LogError(f"the published checkpoint is damaged: {error}") from None

    def keep(self, note: str) -> None:
        """Keep a checkpoint of this log for good, with all its signatures; publish it where it is
        still the newest. `LogError` unless it is a checkpoint of this log."""
        try:
            checkpoint = parse_checkpoint(note, self.signer.verifier)
            size = checkpoint.size
            node = self.reader.node(self.size)
            if size > self.size or merkle.tree_root(size, node) != checkpoint.root:
                raise NoteError("it is of another history")
        except (NoteError, TileError) as error:
            raise LogError(f"not a checkpoint of this log: {error}") from None
        try:
            self._keep(note, checkpoint.size)
        except OSError as error:
            raise LogError(f"cannot write the log in {self.folder}: {error}") from None

    def _keep(self, note: str, size: int) -> None:
        touched: set[Path] = set()
        self._write(tiles.kept_path(size), note.encode(), touched)
        if size == self.size:
            self._write("checkpoint", note.encode(), touched)
        for folder in touched:
            _sync_folder(folder)

    def _write_state(self) -> None:
        state = {"size": self.size, "root": self.root().hex()}
        self._replace(self.folder / STATE, json.dumps(state).encode() + b"\n")
        _sync_folder(self.folder)

    def _publish(self) -> None:
        text = Checkpoint(self.signer.name, self.size, self.root()).text()
        try:
            note = sign_note(text, self._signers)
        except NoteError as error:
            raise LogError(str(error)) from None
        self._replace(self.reader.folder / "checkpoint", note.encode())
        _sync_folder(self.reader.folder)

    def _write(self, name: str, data: bytes | bytearray, touched: set[Path]) -> None:
        target = self.reader.folder / name
        _make_folder(target.parent)
        self._replace(target, data)
        touched.add(target.parent)

    def _replace(self, target: Path, data: bytes | bytearray) -> None:
        """Let the whole file appear under its name; the caller syncs the folder."""
        scratch = self.folder / SCRATCH
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)


class OpenLog(NamedTuple):
    """A log as its readers have it: the key they trust, the newest checkpoint, the files."""

    keys: Keyring
    note: str
    checkpoint: Checkpoint
    reader: Reader

    @property
    def verifier(self) -> Verifier:
        """The key in force."""
        return self.keys.current


def open_log(folder: Path) -> OpenLog | None:
    """Open the log in `folder` for reading; None where none was begun yet.

    Raises `LogError` where the key or the checkpoint is missing, damaged or forged, or the
    checkpoint is ahead of what the writer stands by.
    """
    if not (folder / STATE).exists() and not (folder / PUBLIC / "checkpoint").exists():
        return None
    reader = Reader(folder / PUBLIC)
    # The keys are read after the checkpoint, as is the state: a new key is published before it
    # signs alone, and the state is set before the checkpoint, so both can only be newer.
    try:
        note = reader.checkpoint()
    except NoteError as error:
        raise LogError(f"the published checkpoint is damaged: {error}") from None
    try:
        keys = keyring.read(folder)
    except NoteError as error:
        raise LogError(str(error)) from None
    try:
        checkpoint = keys.open(note)
    except NoteError as error:
        raise LogError(f"the published checkpoint is damaged: {error}") from None
    _compare_state(checkpoint, *_read_state(folder))
    return OpenLog(keys, note.decode(), checkpoint, reader)


def _read_state(folder: Path) -> tuple[int, bytes]:
    try:
        value = json.loads((folder / STATE).read_bytes())
        size, root = value["size"], bytes.fromhex(value["root"])
        if type(size) is not int or size < 0 or len(root) != HASH_SIZE:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise LogError(f"{folder / STATE} is damaged: restore it from a backup") from None
    return size, root


def _compare_state(checkpoint: Checkpoint, size: int, root: bytes) -> None:
    if checkpoint.size > size:
        raise LogError(
            f"the checkpoint covers {checkpoint.size} entries, {STATE} only {size}:"
            " the folder was set back; restore the newest backup"
        )
    if checkpoint.size == size and checkpoint.root != root:
        raise LogError(f"the checkpoint and {STATE} name different roots for size {size}")


def _take_lock(path: Path, wait: float) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(fd)
                raise LogBusyError(f"another process is writing the log in {path.parent}") from None
            time.sleep(0.02)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents so that they survive a power failure."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def replace_durably(path: Path, data: bytes) -> None:
    """Let a whole file appear under its name, on disk when this returns."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
