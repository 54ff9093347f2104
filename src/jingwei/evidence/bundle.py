"""Evidence bundles: everything about one case, to be verified by anybody, offline.

A bundle is a folder, or a zip of it (`pack`: stored, in order, without dates, so that not one byte
of the zip is free):

    manifest.json          what is in it: canonical JSON, with the SHA-256 of every other file
    manifest.entry.json    the log's entry about this export, which names the manifest's digest
    manifest.tlog-proof    the certificate of that entry (C2SP tlog-proof)
    policy                 keys of log and witnesses, and the quorum (C2SP tlog-policy)
    log-sm2.pub            the log's second verifier key, where it has one
    entries/<leaf>.json    entries of the log, as they are in its leaves; with .tlog-proof each
    contents/…             what entries name by digest: photos, documents, texts of events
    telegrams/<seq>.bin    telegrams as leaves of their sealed segment's tree; with .proof each
    judgements/<row>.txt   judged hours and days as leaves of their batch's tree; with .proof each
    stamps/…               RFC 3161 time stamps over the checkpoint of the entries' certificates
    report.zh.html  report.en.html   the same in plain language; explain, prove nothing
    verify.pyz  verify.html          this verifier for Python and for a browser

Everything hangs on the manifest, and the manifest on the log: the export itself is an entry. The
files `manifest.*` are the only ones that the manifest does not list.

What a verifier must bring along is the policy: the one in the bundle is as good as the way on
which its keys were compared with the published ones.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from jingwei.evidence import canonical, digest, merkle, policy, proof
from jingwei.evidence.merkle import ProofError
from jingwei.evidence.note import SM2, Checkpoint, NoteError, Verifier, parse_note
from jingwei.evidence.policy import SKEW, Policy, PolicyError
from jingwei.evidence.tiles import MAX_ENTRY

FORMAT = "jingwei-bundle/1"
MANIFEST, ENTRY, PROOF = "manifest.json", "manifest.entry.json", "manifest.tlog-proof"
POLICY, SM2_PUBLIC = "policy", "log-sm2.pub"
MAX_MANIFEST = 2**23
MAX_PARTS = 400_000  # values of a manifest: 50,000 files have fewer, and each costs memory
MAX_FILES = 50_000
MAX_FILE = 2**31
MAX_ZIP = 2**32 - 2**24
MAX_DIRECTORY = 2**24
MAX_DEPTH = 8
MAX_LEAF = 2**20
MAX_NOTES = 8  # different checkpoints: an export has two, each costs its signatures once
# What comes as a leaf of a tree whose root an entry names: folder, file, type of the entry.
TELEGRAM = "telegrams", "bin", "segment"
JUDGEMENT = "judgements", "txt", "judgements"
_TREES = {"segment": "sealed segment", "judgements": "batch of judgements"}
_NAME = re.compile(r"[a-z][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+){0,6}")


class BundleError(ValueError):
    """The bundle as a whole cannot be accepted; the text says which file and why."""


@dataclass
class Item:
    """One thing that the bundle claims: `why` is empty where it is proved."""

    what: str
    why: str = ""
    note: str = ""

    @property
    def proved(self) -> bool:
        return not self.why


@dataclass
class Report:
    """What a bundle proves. `checks` are things this verifier could not look at, with the reason."""

    case: str
    origin: str
    made: str
    policy: Policy
    items: list[Item] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    witnesses: dict[str, datetime] = field(default_factory=dict)

    @property
    def proved(self) -> bool:
        return all(item.proved for item in self.items)


class Files(Protocol):
    """The files of a bundle by name."""

    def names(self) -> list[str]: ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, at most `MAX_FILE`; raises `BundleError`."""

    def compare_frame(self) -> None:
        """Raise `BundleError` where something besides the files themselves was changed."""


def pack(files: Files) -> Iterator[bytes]:
    """The zip of a bundle, the only one of these files. Reads each file twice."""
    directory, at, names = [], 0, sorted(files.names())
    for name in names:
        crc = size = 0
        for chunk in files.chunks(name):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
        raw = name.encode()
        # version, flags, method, time, date (1980-01-01), CRC, sizes, lengths of name and extra
        common = struct.pack("<5H3I2H", 20, 0, 0, 0, 33, crc, size, size, len(raw), 0)
        if at + size > MAX_ZIP:
            raise BundleError(f"more than {MAX_ZIP} bytes do not go into a zip: use a folder")
        yield b"PK\x03\x04" + common + raw
        yield from files.chunks(name)
        tail = struct.pack("<3H2I", 0, 0, 0, 0, at)
        directory.append(b"PK\x01\x02" + struct.pack("<H", 20) + common + tail + raw)
        at += 30 + len(raw) + size
    yield from directory
    length = sum(map(len, directory))
    count = len(names)
    yield b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count, count, length, at, 0)


def open_files(path: Path) -> Files:
    """A bundle's folder or zip; raises `BundleError`."""
    try:
        return _Folder(path) if path.is_dir() else _Zip(path)
    except OSError as error:
        raise BundleError(f"the bundle cannot be read: {error.strerror}") from None


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        found: list[str] = []
        ahead = [(self._folder, "", 1)]
        try:
            while ahead:
                folder, before, depth = ahead.pop()
                for path in folder.iterdir():
                    name, mode = path.name, path.lstat().st_mode
                    if stat.S_ISDIR(mode):
                        if depth == MAX_DEPTH:
                            raise BundleError(f"folders are nested deeper than {MAX_DEPTH}")
                        ahead.append((path, f"{before}{name}/", depth + 1))
                    elif stat.S_ISREG(mode):
                        found.append(before + name)
                    else:
                        raise BundleError(f"{(before + name)[:100]!r} is no plain file")
                    if len(found) + len(ahead) > MAX_FILES:
                        raise BundleError(f"more than {MAX_FILES} files")
        except OSError as error:
            raise BundleError(f"the folder cannot be read: {error.strerror}") from None
        return found

    def compare_frame(self) -> None:
        """A folder has none."""

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with (self._folder / name).open("rb") as file:
                yield from _bounded(file, name)
        except OSError as error:
            raise BundleError(f"{name} cannot be read: {error.strerror}") from None


FRAME = "the zip around the files was changed"


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            length = _bound_directory(path)
            self._zip = zipfile.ZipFile(path)
            members = self._zip.infolist()
        except BundleError:
            raise
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            raise BundleError("it is no bundle: neither a folder nor a zip file") from None
        if len(members) > MAX_FILES:
            raise BundleError(f"more than {MAX_FILES} files")
        self._members = {m.filename: m for m in members if not m.is_dir()}
        if len(self._members) != sum(not m.is_dir() for m in members):
            raise BundleError("the zip has two files of one name")
        # Members side by side, none within another: what is read is no more than what is there.
        heads = sum(30 + len(m.orig_filename.encode()) + m.file_size for m in members)
        self._side_by_side = heads + length + 22 == path.stat().st_size

    def names(self) -> list[str]:
        return list(self._members)

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            member = self._members[name]
            if member.compress_type != zipfile.ZIP_STORED:
                raise BundleError(f"{name} is compressed: a bundle is stored as it is")
            if not self._side_by_side:
                raise BundleError(FRAME)
            with self._zip.open(member) as file:
                yield from _bounded(file, name)
        except KeyError:
            raise BundleError(f"{name} is missing") from None
        except (OSError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"{name} cannot be read from the zip: {error}") from None

    def compare_frame(self) -> None:
        with self._path.open("rb") as file:
            for chunk in pack(self):
                if file.read(len(chunk)) != chunk:
                    break
            else:
                if not file.read(1):
                    return
        raise BundleError(FRAME)


def _bound_directory(path: Path) -> int:
    """The length of a zip's directory; `BundleError` where it is too long for `zipfile`, which reads
    it whole.

    What `pack` writes ends in a plain end record: without a comment, and not of a Zip64.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 42))
        locator, end = (tail := file.read(42))[:-22], tail[-22:]
        if len(end) < 22 or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
            raise zipfile.BadZipFile
        count = int.from_bytes(end[10:12], "little")
        length = int.from_bytes(end[12:16], "little")
        if count > MAX_FILES or locator.startswith(b"PK\x06\x07"):
            raise BundleError(f"more than {MAX_FILES} files")
        if length > min(MAX_DIRECTORY, size - 22):
            raise BundleError(f"the zip's directory is longer than {MAX_DIRECTORY} bytes")
        file.seek(size - 22 - length)
        directory, at, found = file.read(length), 0, 0
    while at + 46 <= length:
        at, found = at + 46 + sum(struct.unpack("<3H", directory[at + 28 : at + 34])), found + 1
    if found != count:
        raise BundleError(f"the zip's directory does not have the {count} files that it counts")
    return length


def _bounded(file: Any, name: str) -> Iterator[bytes]:
    size = 0
    while chunk := file.read(1 << 20):
        size += len(chunk)
        if size > MAX_FILE:
            raise BundleError(f"{name} is longer than {MAX_FILE} bytes")
        yield chunk


def _read(files: Files, name: str, limit: int) -> bytes:
    data = io.BytesIO()
    for chunk in files.chunks(name):
        data.write(chunk)
        if data.tell() > limit:
            raise BundleError(f"{name} is longer than {limit} bytes")
    return data.getvalue()


def verify(
    files: Files,
    trusted: Policy | None = None,
    *,
    authority: bytes | None = None,
    now: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Verify a whole bundle with the keys of `trusted` (by default of the bundle's own policy).

    `authority` are certificates (PEM) of the time stamp authority; without them nothing vouches
    for the bundle's own, and the report says of stamps that they are unchecked.
    Raises `BundleError` where the bundle as a whole is not what was exported; else the report says
    of every item whether it is proved. Bounded in memory; reads every file once or twice.
    """
    latest = (time.time() if now is None else now) + SKEW
    names = files.names()
    for name in (MANIFEST, ENTRY, PROOF, POLICY):
        if name not in names:
            raise BundleError(f"{name} is missing")
    keys = _Keys(files, names, trusted)
    raw = _read(files, MANIFEST, MAX_MANIFEST)
    export = _open_entry(_read(files, ENTRY, MAX_ENTRY), ENTRY)
    try:
        checkpoint, _ = keys.prove(files, ENTRY, PROOF, latest)
    except (ProofError, NoteError) as error:
        raise BundleError(f"{PROOF}: {error}") from None
    if export["type"] != "export" or export["content"].get("manifest") != digest.both(raw):
        raise BundleError(f"{MANIFEST} is not the one that the log's entry {ENTRY} names")
    if problem := _dated(export, checkpoint, latest):
        raise BundleError(f"{ENTRY}: {problem}")
    manifest = _manifest(raw)
    if manifest["origin"] != checkpoint.origin:
        raise BundleError(f"{MANIFEST} is of another log than its proof")
    if datetime.fromisoformat(manifest["made"]).timestamp() > latest:
        raise BundleError(f"{MANIFEST} is dated in the future: {manifest['made']}")
    _compare_files(files, names, manifest["files"], progress)
    files.compare_frame()
    report = Report(manifest["case"], checkpoint.origin, manifest["made"], keys.policy)
    report.witnesses = keys.policy.cosigners(checkpoint)
    report.absent = [(a["what"], a["why"]) for a in manifest["absent"]]
    entries: dict[int, dict[str, Any]] = {}
    notes: set[str] = set()
    for index in manifest["entries"]:
        report.items.append(_entry(files, index, keys, checkpoint.origin, latest, entries, notes))
    named = {index: set(_digests(entry["content"])) for index, entry in entries.items()}
    for content in manifest["contents"]:
        report.items.append(_content(files, content, named))
    for telegram in manifest["telegrams"]:
        report.items.append(_leaf(files, TELEGRAM, telegram["seq"], telegram["entry"], entries))
    for judged in manifest["judgements"]:
        report.items.append(_leaf(files, JUDGEMENT, judged["row"], judged["entry"], entries))
    for stamp in manifest["stamps"]:
        _stamp(files, stamp, notes, report, authority, latest)
    return report


class _Keys:
    """Whose signatures count (`policy`), and whose are known at all."""

    def __init__(self, files: Files, names: list[str], trusted: Policy | None) -> None:
        try:
            own = policy.parse(_read(files, POLICY, policy.MAX_POLICY))
        except PolicyError as error:
            raise BundleError(f"{POLICY}: {error}") from None
        self.policy = trusted or own
        known = [p.key for p in (*own.logs, *own.witnesses)]
        if not self.policy.logs:
            raise BundleError("the policy names no log")
        if SM2_PUBLIC in names:
            try:
                key = Verifier.parse(_read(files, SM2_PUBLIC, 1000).decode())
                if key.kind != SM2:
                    raise NoteError("it is no SM2 key")
            except (NoteError, UnicodeDecodeError) as error:
                raise BundleError(f"{SM2_PUBLIC}: {error}") from None
            known.append(key)
        self._opened: dict[str, Checkpoint | NoteError] = {}
        known += [p.key for p in (*self.policy.logs, *self.policy.witnesses)]
        self._known = list(dict.fromkeys(known))

    def prove(
        self, files: Files, entry: str, certificate: str, latest: float
    ) -> tuple[Checkpoint, proof.Certificate]:
        """Verify an entry's certificate; raises `ProofError` or `NoteError`."""
        found = proof.parse(_read(files, certificate, proof.MAX_PROOF))
        if found.extra:
            raise ProofError("the proof has extra data, which a bundle's proofs have not")
        checkpoint = self._open(found.note, latest)
        leaf = merkle.leaf_hash(_read(files, entry, MAX_ENTRY))
        merkle.verify_inclusion(leaf, found.index, checkpoint.size, found.steps, checkpoint.root)
        return checkpoint, found

    def _open(self, text: str, latest: float) -> Checkpoint:
        """Open a checkpoint; each is verified once, however many proofs end in it."""
        if text not in self._opened:
            if len(self._opened) == MAX_NOTES:
                raise NoteError(f"the bundle has more than {MAX_NOTES} different checkpoints")
            try:
                self._opened[text] = self._verify(text, latest)
            except NoteError as error:
                self._opened[text] = error
        found = self._opened[text]
        if isinstance(found, NoteError):
            raise found
        return found

    def _verify(self, text: str, latest: float) -> Checkpoint:
        note = parse_note(text, self._known)
        verified = {(key.name, key.key_id) for key in note.verified}
        for signature in note.signatures:
            if (signature.name, signature.key_id) not in verified:
                raise NoteError(f"{signature.name} signs with a key that no policy names")
        return self.policy.open(text, now=latest - SKEW)


def _manifest(raw: bytes) -> dict[str, Any]:
    wanted = {
        "format": str, "case": str, "made": str, "origin": str, "entries": list, "contents": list,
        "telegrams": list, "judgements": list, "stamps": list, "absent": list, "files": dict,
    }  # fmt: skip
    if sum(raw.count(sign) for sign in (b",", b"[", b"{", b"\\")) > MAX_PARTS:
        raise BundleError(f"{MANIFEST} has more than {MAX_PARTS} values")
    try:
        manifest = canonical.loads(raw)
        if set(manifest) != set(wanted) or manifest["format"] != FORMAT:
            raise ValueError
        for name, kind in wanted.items():
            if not isinstance(manifest[name], kind):
                raise ValueError
        for index in manifest["entries"]:
            if type(index) is not int or index < 0:
                raise ValueError
        _shape(manifest["contents"], path=str, entry=int)
        _shape(manifest["telegrams"], seq=str, entry=int)
        _shape(manifest["judgements"], row=str, entry=int)
        _shape(manifest["stamps"], path=str, size=int)
        _shape(manifest["absent"], what=str, why=str)
        for name, value in manifest["files"].items():
            if not _NAME.fullmatch(name) or not re.fullmatch("[0-9a-f]{64}", value):
                raise ValueError
        if not manifest["entries"]:
            raise BundleError(f"{MANIFEST} names no entry: there is nothing to prove")
        if datetime.fromisoformat(manifest["made"]).tzinfo is None:
            raise ValueError
        # Each file is looked at once, so that the work grows with the bundle and no faster.
        for name, by, most in (
            ("entries", "", MAX_FILES), ("contents", "path", MAX_FILES),
            ("telegrams", "seq", MAX_FILES), ("judgements", "row", MAX_FILES),
            ("stamps", "path", MAX_NOTES), ("absent", "", MAX_FILES),
        ):  # fmt: skip
            if len(manifest[name]) > most:
                raise BundleError(f"{MANIFEST} names more than {most} {name}")
            if name != "absent" and len(
                {item[by] if by else item for item in manifest[name]}
            ) < len(manifest[name]):
                raise BundleError(f"{MANIFEST} names one of the {name} twice")
        numbers = [t["seq"] for t in manifest["telegrams"]]
        numbers += [j["row"] for j in manifest["judgements"]]
        if not all(re.fullmatch("[0-9]{1,20}", number) for number in numbers):
            raise ValueError
        for item in (*manifest["contents"], *manifest["stamps"]):
            if item["path"] not in manifest["files"]:
                raise ValueError
    except BundleError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise BundleError(f"{MANIFEST} is no manifest of a bundle") from None
    return dict(manifest)


def _shape(items: list[Any], **kinds: type) -> None:
    for item in items:
        if set(item) != set(kinds) or any(type(item[n]) is not k for n, k in kinds.items()):
            raise ValueError


def _compare_files(
    files: Files,
    names: list[str],
    wanted: Mapping[str, str],
    progress: Callable[[str], None] | None,
) -> None:
    there = set(names)
    extra = there - set(wanted) - {MANIFEST, ENTRY, PROOF}
    if extra:
        raise BundleError(f"{min(extra)[:200]!r} does not belong to the bundle")
    for name, value in sorted(wanted.items()):
        if name not in there:
            raise BundleError(f"{name} is missing")
        found = hashlib.sha256()
        for chunk in files.chunks(name):
            found.update(chunk)
        if found.hexdigest() != value:
            raise BundleError(f"{name} is not the file that was exported: its SHA-256 differs")
        if progress:
            progress(name)


def _open_entry(data: bytes, name: str) -> dict[str, Any]:
    """An entry's fields; its content's digests are compared. Raises `BundleError`."""
    try:
        entry = canonical.loads(data)
        texts = ("id", "type", "subject", "time", "actor")
        if not all(isinstance(entry[field], str) for field in texts):
            raise ValueError
        if not isinstance(entry["content"], dict):
            raise ValueError
        datetime.fromisoformat(entry["time"]).astimezone(UTC)
        same = entry["digest"] == digest.both(canonical.dumps(entry["content"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise BundleError(f"{name} is no entry of the log") from None
    if not same:
        raise BundleError(f"{name}: the digests are not those of its content")
    return dict(entry)


def _dated(entry: Mapping[str, Any], checkpoint: Checkpoint, latest: float) -> str:
    moment = datetime.fromisoformat(entry["time"]).timestamp()
    if moment > latest:
        return f"it is dated in the future: {entry['time']}"
    if checkpoint.times and moment > max(t for _, t in checkpoint.times) + SKEW:
        return f"it is dated {entry['time']}, after the witnesses had signed"
    return ""


def _entry(
    files: Files,
    index: int,
    keys: _Keys,
    origin: str,
    latest: float,
    entries: dict[int, dict[str, Any]],
    notes: set[str],
) -> Item:
    name = f"entries/{index}.json"
    item = Item(f"entry {index}")
    try:
        entry = _open_entry(_read(files, name, MAX_ENTRY), name)
        item.what = f"entry {index}: {entry['type']} {entry['subject']} {entry['time']}"
        checkpoint, found = keys.prove(files, name, f"entries/{index}.tlog-proof", latest)
        if found.index != index:
            raise ProofError(f"the proof is of leaf {found.index}")
        if checkpoint.origin != origin:
            raise ProofError(f"it is of another log: {checkpoint.origin}")
        item.why = _dated(entry, checkpoint, latest)
        notes.add(found.note)
        if not item.why:
            entries[index] = entry
    except (BundleError, ProofError, NoteError) as error:
        item.why = str(error)
    return item


def _content(
    files: Files, content: Mapping[str, Any], named: Mapping[int, set[tuple[str, str]]]
) -> Item:
    path, of = content["path"], content["entry"]
    item = Item(f"{path} (named by entry {of})")
    try:
        if of not in named:
            raise BundleError(f"entry {of} is not proved")
        found = digest.both(files.chunks(path))
        if (found["sha256"], found["sm3"]) not in named[of]:
            raise BundleError(f"entry {of} names no such SHA-256 and SM3")
    except BundleError as error:
        item.why = str(error)
    return item


def _digests(value: Any) -> Iterator[tuple[str, str]]:
    """The pairs of SHA-256 and SM3 that objects somewhere in `value` name."""
    if isinstance(value, dict):
        first, second = value.get("sha256"), value.get("sm3")
        if isinstance(first, str) and isinstance(second, str):
            yield first, second
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _digests(part)


def _leaf(
    files: Files, what: tuple[str, str, str], number: str, of: int, entries: Mapping[int, Any]
) -> Item:
    """A leaf of a tree of which entry `of` names the root and the number of leaves."""
    folder, suffix, kind = what
    name = f"{folder}/{number}"
    item = Item(f"{folder[:-1]} {number} (in the {_TREES[kind]} of entry {of})")
    entry = entries.get(of)
    try:
        if entry is None:
            raise BundleError(f"entry {of} is not proved")
        content = entry["content"]
        if entry["type"] != kind or type(content.get("count")) is not int:
            raise BundleError(f"entry {of} is no {_TREES[kind]}")
        leaf = _read(files, f"{name}.{suffix}", MAX_LEAF)
        index, size, steps = proof.parse_inner(_read(files, f"{name}.proof", 4096))
        if size != content["count"]:
            raise ProofError(f"the proof is of {size} {folder}, entry {of} has {content['count']}")
        root = bytes.fromhex(content.get("root", ""))
        merkle.verify_inclusion(merkle.leaf_hash(leaf), index, size, steps, root)
    except (BundleError, ProofError) as error:
        item.why = str(error)
    except (ValueError, TypeError):
        item.why = f"entry {of} is no {_TREES[kind]}"
    return item


def _stamp(
    files: Files,
    stamp: Mapping[str, Any],
    notes: set[str],
    report: Report,
    authority: bytes | None,
    latest: float,
) -> None:
    """Time stamps need a library of their own, and certificates that do not come from the bundle:
    without them they stay unchecked, and that is said."""
    item = Item(f"{stamp['path']} (time stamp over the checkpoint of {stamp['size']} entries)")
    text = next((t for t in (n.rpartition("\n\n")[0] + "\n" for n in sorted(notes))
                 if t.split("\n")[1:2] == [str(stamp["size"])]), None)  # fmt: skip
    if text is None:
        item.why = "no entry was proved with that checkpoint"
        report.items.append(item)
        return
    try:
        from jingwei.evidence import stamps
    except ImportError:
        report.unchecked.append(f"{item.what}: wants jingwei's stamps and rfc3161-client")
        return
    try:
        own = _read(files, "stamps/roots.pem", stamps.MAX_STAMP)
        roots = own if authority is None else authority
        moment = stamps.verify(_read(files, stamp["path"], stamps.MAX_STAMP), text.encode(), roots)
        item.note = moment.isoformat()
        if moment.timestamp() > latest:
            item.why = f"it is dated in the future: {item.note}"
        elif authority is None:
            report.unchecked.append(
                f"{item.what}: {item.note}; the authority's certificate comes from the bundle"
                f" (SHA-256 {', '.join(stamps.fingerprints(own))}): bring your own with --tsa FILE"
            )
            return
    except stamps.NotInstalledError as error:
        report.unchecked.append(f"{item.what}: {error}")
        return
    except (stamps.StampError, BundleError) as error:
        item.why = str(error)
    report.items.append(item)
