"""Export of everything about one case as an evidence bundle (`jingwei.evidence.bundle`).

A room that knows something about a case has a module `bundle` with a function
`case(pk: int) -> Parts | None`; all that answer are asked, in the order of `settings.ROOMS`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation

from jingwei.bureau.evidencelog import services
from jingwei.bureau.evidencelog.models import KINDS, EvidenceEntry
from jingwei.bureau.evidencelog.selectors import PROTECTED, in_clear, quorum
from jingwei.evidence import attest as attestation
from jingwei.evidence import bundle, canonical, digest, keyring, merkle, policy, proof, stamps
from jingwei.evidence.log import LogError, OpenLog, open_log
from jingwei.evidence.note import NoteError, Verifier, parse_checkpoint, parse_note
from jingwei.evidence.policy import Policy, PolicyError
from jingwei.evidence.tiles import TileError, kept_path
from jingwei.telemetry import journal, packing

EXPORT = "export"
VERIFIER_MODULES = (
    "__init__", "bundle", "canonical", "digest", "merkle", "note", "policy", "proof", "sm2", "stamps",
    "tiles", "verify", "web",
)  # fmt: skip
LANGUAGES = {"zh": "zh-hans", "en": "en"}


class ExportError(Exception):
    """The case cannot be exported; the text says why and what to do."""


@dataclass(frozen=True)
class Leaf:
    """A leaf of a tree whose root and size an entry names, with its proof."""

    number: int
    entry: EvidenceEntry
    data: bytes
    index: int
    size: int
    steps: tuple[bytes, ...]


@dataclass
class Parts:
    """What a room gives to the bundle of a case.

    `contents` are bytes or files that an entry names by SHA-256 and SM3, under a file name of
    ASCII letters, digits, dots and hyphens. `telegrams` are journal numbers, `judgements` the judged
    hours and days by their rows' numbers, `parents` the cases from which this one came, `absent` what
    should be here and is not, with the reason.
    """

    title: str = ""
    entries: list[EvidenceEntry] = field(default_factory=list)
    contents: list[tuple[str, EvidenceEntry, bytes | Path]] = field(default_factory=list)
    telegrams: set[int] = field(default_factory=set)
    judgements: dict[int, Leaf] = field(default_factory=dict)
    parents: list[int] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Parts) -> None:
        self.title = self.title or other.title
        self.entries += other.entries
        self.contents += other.contents
        self.telegrams |= other.telegrams
        self.judgements |= other.judgements
        self.absent += other.absent
        self.parents += other.parents


def gather(pk: int) -> Parts:
    """What the rooms know about case `pk` and about the cases from which it came, whose contents lie
    in a folder of their own; `ExportError` where no room knows it."""
    parts = _asked(pk)
    if not parts.entries:
        raise ExportError(f"there is no case {pk}, or it has left no evidence")
    known, ahead = {pk}, list(parts.parents)
    while ahead:
        parent = ahead.pop()
        if parent in known:
            continue
        known.add(parent)
        found = _asked(parent)
        found.contents = [(f"case-{parent}/{n}", entry, data) for n, entry, data in found.contents]
        parts.add(found)
        ahead += found.parents
    return parts


def _asked(pk: int) -> Parts:
    """What the rooms know about one case."""
    parts = Parts()
    for room in settings.ROOMS:
        name = f"jingwei.bureau.{room}.bundle"
        if importlib.util.find_spec(name) is None:
            continue
        found = importlib.import_module(name).case(pk)
        if found is not None:
            parts.add(found)
    return parts


def export(subject: str, parts: Parts, target: Path, *, actor: str = "") -> bundle.Report:
    """Write the bundle to `target` (a folder, or a zip where it ends so), verify it, and return that.

    The export itself becomes an entry of the log. Raises `ExportError`, `LogError`; must not run
    in a transaction. Nothing is left at `target` where it fails.
    """
    if target.exists():
        raise ExportError(f"{target} is there already")
    folder = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)  # complaints, photos, names: for the one who exports
        _Writer(folder, subject, parts, actor).write()
        roots = settings.ENV.evidence / stamps.ROOTS
        authority = roots.read_bytes() if roots.exists() else None
        report = bundle.verify(bundle.open_files(folder), authority=authority)
        if not report.proved:
            problem = next(item for item in report.items if not item.proved)
            raise ExportError(f"{problem.what}: {problem.why}")
        if target.suffix == ".zip":
            scratch = folder.with_name(folder.name + ".zip")
            _zip(folder, scratch)
            scratch.replace(target)
        else:
            for path in folder.rglob("*"):
                path.chmod(0o700 if path.is_dir() else 0o600)
            folder.replace(target)
    except (OSError, bundle.BundleError) as error:
        raise ExportError(f"the bundle cannot be written: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


class _Writer:
    def __init__(self, folder: Path, subject: str, parts: Parts, actor: str) -> None:
        self.folder, self.subject, self.parts, self.actor = folder, subject, parts, actor
        self.sums: dict[str, str] = {}
        self.absent = [{"what": what, "why": why} for what, why in dict.fromkeys(parts.absent)]

    def write(self) -> None:
        services.sequence()
        rows = self._rows()
        segments, telegrams = self._telegrams()
        rows = sorted({row.index: row for row in [*rows, *segments]}.items())
        log, note, policy_ = self._witnessed(rows[-1][0])
        self._put(bundle.POLICY, _policy_text(log, policy_))
        if (settings.ENV.evidence / keyring.SM2_VERIFIER).exists():
            self._put(
                bundle.SM2_PUBLIC, (settings.ENV.evidence / keyring.SM2_VERIFIER).read_bytes()
            )
        note = _known_signatures(note, log, policy_)
        for index, row in rows:
            self._put(f"entries/{index}.json", row.content.encode())
            self._put(f"entries/{index}.tlog-proof", _certificate(log, index, note).encode())
        contents = [self._content(*content) for content in self.parts.contents]
        judgements = [self._judgement(leaf) for _, leaf in sorted(self.parts.judgements.items())]
        size = int(note.split("\n")[1])
        manifest = {
            "format": bundle.FORMAT,
            "case": self.subject,
            "made": services.time_text(timezone.now()),
            "origin": log.checkpoint.origin,
            "entries": [index for index, _ in rows],
            "contents": [c for c in contents if c],
            "telegrams": telegrams,
            "judgements": judgements,
            "stamps": self._stamps(log, size),
            "absent": self.absent,
        }
        self._reports(manifest, [row for _, row in rows], policy_)
        self._put("verify.pyz", verifier())
        self._put("verify.html", PAGE.read_bytes())
        self._seal({**manifest, "files": self.sums})

    def _rows(self) -> list[EvidenceEntry]:
        """The entries that go in: none that tells of a protected identity or of a reading, which
        nobody but the auditors sees here, and none that has words in clear."""
        pks = {entry.pk for entry in self.parts.entries}
        # How the key in force came out of those before it.
        pks |= set(
            EvidenceEntry.objects.filter(kind=services.ROTATION).values_list("pk", flat=True)
        )
        pks |= {entry.pk for _, entry, _ in self.parts.contents}
        pks |= {leaf.entry.pk for leaf in self.parts.judgements.values()}
        rows = list(EvidenceEntry.objects.filter(pk__in=pks).exclude(kind__in=PROTECTED))
        for row in rows:
            if in_clear(row):
                self.absent.append(
                    {
                        "what": f"entry {row.index}: {row.kind} {row.subject}",
                        "why": "it is from before words and persons were salted, and has some in clear",
                    }
                )
        rows = [row for row in rows if not in_clear(row)]
        kept = {row.pk for row in rows}
        self.parts.contents = [c for c in self.parts.contents if c[1].pk in kept]
        if any(row.index is None for row in rows):
            raise ExportError("entries of the case still wait for their leaf numbers: try again")
        return rows

    def _put(self, name: str, data: bytes | Path) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, Path):
            shutil.copyfile(data, path)
        else:
            path.write_bytes(data)
        with path.open("rb") as file:
            self.sums[name] = hashlib.file_digest(file, "sha256").hexdigest()

    def _content(
        self, name: str, entry: EvidenceEntry, data: bytes | Path
    ) -> dict[str, Any] | None:
        row = EvidenceEntry.objects.get(pk=entry.pk)
        try:
            self._put(f"contents/{name}", data)
        except FileNotFoundError:
            self.absent.append({"what": name, "why": "the file is gone from the store"})
            return None
        return {"path": f"contents/{name}", "entry": row.index}

    def _judgement(self, leaf: Leaf) -> dict[str, Any]:
        entry = EvidenceEntry.objects.get(pk=leaf.entry.pk)
        name = f"judgements/{leaf.number}"
        self._put(f"{name}.txt", leaf.data)
        self._put(f"{name}.proof", proof.inner(leaf.index, leaf.size, leaf.steps).encode())
        return {"row": str(leaf.number), "entry": entry.index}

    def _telegrams(self) -> tuple[list[EvidenceEntry], list[dict[str, Any]]]:
        """The telegrams with their proofs, and the entries of the segments they lie in."""
        root = settings.ENV.journal
        rows: dict[int, EvidenceEntry] = {}
        found: list[dict[str, Any]] = []
        wanted: dict[int, list[int]] = {}
        for seq in sorted(self.parts.telegrams):
            wanted.setdefault(journal.segment_of(seq), []).append(seq)
        files = {s.number: s for s in journal.segments(root)} if wanted else {}
        for number, seqs in wanted.items():
            entry = EvidenceEntry.objects.filter(
                kind="segment", subject=f"segment:{root.name}/{number}", index__isnull=False
            ).first()
            if entry is None or number not in files:
                why = "its journal segment is not sealed yet" if number in files else "it is gone"
                self.absent += [{"what": f"telegram {seq}", "why": why} for seq in seqs]
                continue
            found += self._prove(files[number], entry, seqs)
            rows[number] = entry
        return list(rows.values()), found

    def _prove(
        self, segment: journal.Segment, entry: EvidenceEntry, seqs: list[int]
    ) -> list[dict[str, Any]]:
        tree, places, leaves = merkle.Tree(), dict[int, int](), dict[int, bytes]()
        numbers = {journal.row_of(seq): seq for seq in seqs}
        with segment.open() as view:
            for row, received, peer, reason, raw in view.records():
                leaf = packing.leaf(received, peer, reason, raw)
                if row in numbers:
                    places[numbers[row]], leaves[numbers[row]] = len(tree), leaf
                tree.append(merkle.leaf_hash(leaf))
        found = []
        for seq in seqs:
            if seq not in places:
                self.absent.append({"what": f"telegram {seq}", "why": "it is gone"})
                continue
            steps = tree.inclusion_proof(places[seq])
            self._put(f"telegrams/{seq}.bin", leaves[seq])
            self._put(f"telegrams/{seq}.proof", proof.inner(places[seq], len(tree), steps).encode())
            found.append({"seq": str(seq), "entry": entry.index})
        return found

    def _witnessed(self, index: int) -> tuple[OpenLog, str, Policy | None]:
        """The log, and a checkpoint that covers leaf `index` and that the policy accepts."""
        try:
            policy_ = attestation.read_policy(settings.ENV.evidence)
        except PolicyError as error:
            raise ExportError(str(error)) from None
        for attempt in (1, 2):
            log = open_log(settings.ENV.evidence)
            if log is None:
                raise ExportError("there is no log yet")
            for size in log.reader.kept(newest_first=True):
                if size <= index:
                    break
                note = log.reader.checkpoint(kept_path(size)).decode()
                try:
                    parse_checkpoint(note, log.verifier)  # the key in force, none before it
                    if policy_:
                        policy_.open(note)
                except NoteError:
                    continue
                return log, note, policy_
            if attempt == 1:
                state = attestation.attest(settings.ENV.evidence, every=timedelta(0))
        raise ExportError(f"no checkpoint is accepted by the policy: {state.problem}")

    def _stamps(self, log: OpenLog, size: int) -> list[dict[str, Any]]:
        """The time stamp over the certificates' checkpoint, where there is one."""
        path = log.reader.folder / (kept_path(size) + ".tsr")
        roots = settings.ENV.evidence / stamps.ROOTS
        if not path.exists() or not roots.exists():
            return []
        self._put(f"stamps/{size}.tsr", path)
        self._put("stamps/roots.pem", roots)
        return [{"path": f"stamps/{size}.tsr", "size": size}]

    def _reports(
        self, manifest: Mapping[str, Any], rows: Iterable[EvidenceEntry], policy_: Policy | None
    ) -> None:
        for name, language in LANGUAGES.items():
            with translation.override(language):
                text = render_to_string(
                    "evidencelog/report.html",
                    {
                        "manifest": manifest,
                        "made": datetime.fromisoformat(manifest["made"]),
                        "title": self.parts.title,
                        "rows": rows,
                        "kinds": KINDS,
                        "quorum": quorum(policy_) if policy_ else "",
                        "key": open_log(settings.ENV.evidence).verifier,  # type: ignore[union-attr]
                        "language": name,
                    },
                )
            self._put(f"report.{name}.html", text.encode())

    def _seal(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest and let the log say what it is."""
        raw = canonical.dumps(manifest)
        (self.folder / bundle.MANIFEST).write_bytes(raw)
        with transaction.atomic(durable=True):
            entry = services.record(
                EXPORT,
                self.subject,
                {"manifest": digest.both(raw), "files": len(manifest["files"])},
                actor=self.actor,
            )
        services.sequence()
        entry.refresh_from_db()
        if entry.index is None:
            raise ExportError("the export's own entry still waits for its leaf number: try again")
        log, note, policy_ = self._witnessed(entry.index)
        note = _known_signatures(note, log, policy_)
        (self.folder / bundle.ENTRY).write_bytes(entry.content.encode())
        (self.folder / bundle.PROOF).write_text(_certificate(log, entry.index, note))


def _certificate(log: OpenLog, index: int, note: str) -> str:
    try:
        steps = log.reader.inclusion_proof(index, int(note.split("\n")[1]))
    except TileError as error:
        raise LogError(str(error)) from None
    return str(proof.Certificate(index, tuple(steps), note))


def _known_signatures(note: str, log: OpenLog, policy_: Policy | None) -> str:
    """The checkpoint without signatures that the bundle's keys do not verify."""
    keys = [log.verifier, *([p.key for p in policy_.witnesses] if policy_ else [])]
    second = settings.ENV.evidence / keyring.SM2_VERIFIER
    if second.exists():
        keys.append(Verifier.parse(second.read_text()))
    verified = {(key.name, key.key_id) for key in parse_note(note, keys).verified}
    text, _, lines = note.rpartition("\n\n")
    kept = [
        line
        for line, signature in zip(
            lines.splitlines(keepends=True), parse_note(note, keys).signatures, strict=True
        )
        if (signature.name, signature.key_id) in verified
    ]
    return f"{text}\n\n{''.join(kept)}"


def _policy_text(log: OpenLog, policy_: Policy | None) -> bytes:
    if policy_ is None:
        return f"log {log.verifier}\nquorum none\n".encode()
    text = (settings.ENV.evidence / attestation.POLICY).read_bytes()
    # A policy may leave out the log; a reader who has nothing but the bundle needs its key.
    return text if policy.parse(text).logs else f"log {log.verifier}\n".encode() + text


PAGE = Path(bundle.__file__).with_name("verify.html")


def verifier() -> bytes:
    """The verifier as one file, `python3 verify.pyz BUNDLE`: the modules of `jingwei.evidence`."""
    source = Path(bundle.__file__).parent
    files = {"jingwei/__init__.py": b"", "__main__.py": _MAIN}
    for name in VERIFIER_MODULES:
        files[f"jingwei/evidence/{name}.py"] = (source / f"{name}.py").read_bytes()
    data = io.BytesIO()
    data.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            # A fixed date: the same version gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return data.getvalue()


_MAIN = b"""\
import sys
from jingwei.evidence.verify import main
sys.exit(main(sys.argv[1:]))
"""


def _zip(folder: Path, target: Path) -> None:
    with open(target, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        for chunk in bundle.pack(bundle.open_files(folder)):
            file.write(chunk)
