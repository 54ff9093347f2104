"""Do database and log agree? For `jingwei fsck` and `jingwei evidence check`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from django.conf import settings
from django.db import connection
from django.db.models import Max

from jingwei.bureau.evidencelog import selectors, services
from jingwei.bureau.evidencelog.models import EvidenceEntry, Reading
from jingwei.evidence import anchors, attest, canonical, digest, keyring, merkle, stamps
from jingwei.evidence.log import LogError, OpenLog, open_log
from jingwei.evidence.note import ED25519, Checkpoint, KeyFile, NoteError
from jingwei.evidence.policy import PolicyError
from jingwei.evidence.rebuild import Progress
from jingwei.evidence.rebuild import check as check_log
from jingwei.evidence.tiles import TileError, kept_path

TRIGGERS = {
    "sqlite": (
        "evidence_no_change",
        "evidence_no_delete",
        "evidence_no_replace",
        "evidence_no_supplant",
    ),
    "postgresql": ("evidence_no_change", "evidence_no_delete", "evidence_no_truncate"),
}


def check(progress: Progress | None = None) -> Iterator[str]:
    """One sentence for each difference: guards of the table, log on disk, rows, waiting rows.

    The log is rebuilt from its entries; of it and of the numbered rows the first difference is
    named. `progress(done, size)` is called on the way.
    """
    yield from _guards()
    try:
        last = EvidenceEntry.objects.aggregate(last=Max("index"))["last"]  # before the checkpoint
        log = open_log(settings.ENV.evidence)
        size = log.checkpoint.size if log else 0
        if last is not None and last >= size:
            raise LogError(f"the database knows leaf {last}, the log has {size} entries")
        if log:
            yield from _settings(log)
            _compare(log, -1 if last is None else last, progress)
    except LogError as error:
        yield str(error)
    for row in EvidenceEntry.objects.filter(index__isnull=True).iterator():
        if problem := _row_problem(row):
            yield f"waiting evidence entry {row.pk}: {problem}"
    for row in EvidenceEntry.objects.filter(kind="reading", reading=None).iterator():
        yield f"evidence entry {row.pk} tells of a reading that the table of readings lacks"
    for reading in Reading.objects.select_related("evidence").iterator(chunk_size=500):
        if problem := _reading_problem(reading):
            yield f"reading {reading.pk}: {problem}"


def _settings(log: OpenLog) -> Iterator[str]:
    """The policy can be used, and the signing key, where this user may read it, is the log's."""
    try:
        attest.read_policy(settings.ENV.evidence)
    except PolicyError as error:
        yield str(error)
    path = settings.ENV.evidence / keyring.KEY
    if path.exists() and not os.access(path, os.R_OK):
        return
    try:
        if KeyFile.load(path).verifier != log.verifier:
            yield f"the signing key {path} is not the one in force, {log.verifier}"
    except NoteError as error:
        yield str(error)


def notes() -> Iterator[str]:
    """What is no difference, but must be known: entries that no rule would write any more."""
    found: Counter[str] = Counter()
    for row in selectors.clear_entries().iterator(chunk_size=500):
        with suppress(ValueError, KeyError, TypeError):  # a damaged one is a difference
            found[row.kind] += selectors.in_clear(row)
    if kinds := ", ".join(f"{kind} {number}" for kind, number in sorted(found.items()) if number):
        yield (
            "entries from before words and persons were salted hold some in clear or by a bare digest:"
            f" {kinds}; they stay, for nothing can be taken out of the log, and are left out of exports"
        )
    with suppress(LogError):  # a difference
        log = open_log(settings.ENV.evidence)
        if log and (second := log.keys.second):
            told = EvidenceEntry.objects.filter(kind=services.ROTATION)
            if not told.filter(content__contains=str(second)).exists():
                yield (
                    f"no entry tells who made the second key {second}: it is from before that was"
                    " written down, or somebody put it there behind the log"
                )


def _reading_problem(row: Reading) -> str:
    """What in the row differs from its entry. Who read may have been erased in either."""
    entry = row.evidence
    try:
        said = {"what": row.what, "subject": row.subject, "at": row.at}
        told = {
            "what": selectors.told(entry)["what"],
            "subject": entry.subject,
            "at": entry.created,
        }
        for name, value in said.items():
            if value != told[name]:
                return f"{name} is {value}, but the evidence log says {told[name]}"
        if entry.actor and row.actor_id is not None and str(row.actor_id) != entry.actor:
            return "the reader is not the one that was committed to"
        return selectors.spoken(entry, {"reason": row.reason})
    except (ValueError, KeyError, TypeError):
        return "its entry is damaged"


def _compare(log: OpenLog, last: int, progress: Progress | None) -> None:
    def each(first: int, entries: Sequence[bytes]) -> None:
        rows = {
            row.index: row
            for row in EvidenceEntry.objects.filter(
                index__gte=first, index__lt=first + len(entries)
            )
        }
        for index, entry in enumerate(entries, first):
            row = rows.get(index)
            if row is None:
                if index > last and _not_yet_marked(entry):
                    continue
                raise LogError(f"leaf {index} has no row in the database")
            if row.content.encode() != entry:
                raise LogError(
                    f"row {row.pk} (leaf {index}) has another content than the log's entry"
                )
            if problem := _row_problem(row):
                raise LogError(f"row {row.pk} (leaf {index}): {problem}")

    kept = list(_kept(log))
    check_log(log.reader, [log.checkpoint, *kept], each=each, progress=progress)
    _rotations(log)
    _second(log)
    _outside(log, kept)


def _rotations(log: OpenLog) -> None:
    """Each change of the key stands in the log, signed by both, before it was made; and none is
    left half made."""
    told: dict[keyring.Verifier, tuple[int, keyring.Verifier]] = {}
    for row in EvidenceEntry.objects.filter(
        kind=services.ROTATION, index__lt=log.checkpoint.size
    ).order_by("index"):
        try:
            content = canonical.loads(row.content.encode())["content"]
            if content.get("act") in (services.PREPARED, services.SECOND):
                continue
            origin, old, new = keyring.read_statement(content["statement"])
        except (NoteError, KeyError, TypeError) as error:
            raise LogError(f"row {row.pk} (leaf {row.index}): {error}") from None
        if origin != log.checkpoint.origin:
            raise LogError(f"row {row.pk} (leaf {row.index}) changes the key of another log")
        told[old] = (row.index, new)
    retired = [r for r in log.keys.retired if r.key.kind == ED25519]
    keys = [*(r.key for r in retired), log.verifier]
    for (size, key), after in zip(retired, keys[1:], strict=True):
        index, new = told.pop(key, (size, None))
        if new != after or index >= size:
            raise LogError(f"no entry of the log tells that the key {key} was retired at {size}")
    for index, new in told.values():
        raise LogError(
            f"the change of the key to {new} (leaf {index}) was not ended: run"
            " `jingwei evidence rotate` again"
        )


def _second(log: OpenLog) -> None:
    """Each second key of which an entry tells signs, or was retired."""
    signs = {log.keys.second, *(retired.key for retired in log.keys.retired)}
    for row in EvidenceEntry.objects.filter(
        kind=services.ROTATION, subject__startswith="second-key:", index__lt=log.checkpoint.size
    ).order_by("index"):
        try:
            new = keyring.Verifier.parse(canonical.loads(row.content.encode())["content"]["new"])
        except (NoteError, KeyError, TypeError) as error:
            raise LogError(f"row {row.pk} (leaf {row.index}): {error}") from None
        if new not in signs:
            raise LogError(
                f"the second key {new} (leaf {row.index}) does not sign: run"
                " `jingwei evidence sm2-key` again, or put the file back"
            )


def _outside(log: OpenLog, kept: list[Checkpoint]) -> None:
    """Compare what anchors wrote down, and verify the time stamps of kept checkpoints."""
    folder = settings.ENV.evidence
    try:
        anchor = anchors.configured(folder)
        for moment, origin, size, root in anchor.anchored() if anchor else ():
            if origin != log.checkpoint.origin or size > log.checkpoint.size:
                raise LogError(f"the anchor of {moment} is not of this log, or of more than it has")
            if merkle.tree_root(size, log.reader.node(log.checkpoint.size)) != root:
                raise LogError(f"the anchor of {moment} names another root for {size} entries")
        for checkpoint in kept:
            path = log.reader.folder / (kept_path(checkpoint.size) + ".tsr")
            if path.exists():
                roots = (folder / stamps.ROOTS).read_bytes()
                answer = path.read_bytes()
                try:
                    stamps.verify(answer, checkpoint.text().encode(), roots)
                except stamps.NotInstalledError:
                    return
                except stamps.StampError as error:
                    raise LogError(
                        f"the time stamp of checkpoint {checkpoint.size}: {error}"
                    ) from None
    except (anchors.AnchorError, OSError, TileError) as error:
        raise LogError(str(error)) from None


def _kept(log: OpenLog) -> Iterator[Checkpoint]:
    try:
        policy = attest.read_policy(settings.ENV.evidence)
    except PolicyError:
        policy = None  # said on the page of the log
    witnesses = [party.key for party in policy.witnesses] if policy else []
    for size in log.reader.kept():
        if size > log.checkpoint.size:
            continue  # kept since the newest one was read
        name = kept_path(size)
        try:
            checkpoint = log.keys.open(log.reader.checkpoint(name), witnesses)
        except NoteError as error:
            raise LogError(f"the kept checkpoint {name} is damaged: {error}") from None
        if checkpoint.size != size:
            raise LogError(f"the kept checkpoint {name} is of size {checkpoint.size}")
        yield checkpoint


def _not_yet_marked(entry: bytes) -> bool:
    """On disk, but its number has not reached the database: the sequencer will see to it."""
    uid = services.uid_of(entry)
    row = EvidenceEntry.objects.filter(uid=uid, index__isnull=True).first() if uid else None
    return row is not None and row.content.encode() == entry


def _row_problem(row: EvidenceEntry) -> str:
    """What in the row's columns contradicts its own content."""
    try:
        content = canonical.loads(row.content.encode())
        said = {
            "id": str(row.uid),
            "type": row.kind,
            "subject": row.subject,
            "time": services.time_text(row.created),
            "digest": digest.both(canonical.dumps(content["content"])),
        }
        for name, value in said.items():
            if content[name] != value:
                return f"its {name} is not what its content says"
        if row.actor and content["actor"] != services.commitment(row.actor, row.salt):
            return "its actor is not the one that was committed to"
    except canonical.CanonicalError as error:
        return f"its content is damaged: {error}"
    except (KeyError, TypeError):
        return "its content is damaged"
    return ""


def _guards() -> Iterable[str]:
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass"
        " AND tgenabled <> 'D'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query, [EvidenceEntry._meta.db_table])
        found = {name for (name,) in cursor.fetchall()}
    for name in sorted({*TRIGGERS[connection.vendor]} - found):
        yield f"the table of evidence entries has lost its guard {name}: migrate again"
