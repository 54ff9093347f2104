"""Everything that writes the evidence log."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, wait
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.functional import Promise

from jingwei.bureau.evidencelog.models import EvidenceEntry, Reading
from jingwei.bureau.prepared import insert
from jingwei.evidence import attest as attestation
from jingwei.evidence import canonical, digest, keyring, tiles
from jingwei.evidence.attest import State
from jingwei.evidence.log import Log, LogBusyError, LogError
from jingwei.evidence.note import Verifier
from jingwei.evidence.policy import PolicyError

SCHEMA = 1
ROTATION = "key"
PREPARED, SECOND = "prepared", "second"  # acts of its entries that tell of no rotation
ROTATING = "log-rotating.pub"  # the new key, from before the point of no return until all is done
BATCH = 1_000
BUDGET = 0.5  # seconds that a tick waits for witnesses, time stamps and anchors

_round: Future[State] | None = None  # the round with them that is under way

logger = logging.getLogger(__name__)


def record(
    kind: str,
    subject: str,
    content: Mapping[str, Any],
    *,
    actor: str = "",
    said: Mapping[str, Any] | None = None,
) -> EvidenceEntry:
    """Leave an entry for the act that the caller's transaction does: both stand or fall together.

    `kind` is the type of entry ("finding", "case_event", …), `subject` names what it is about in
    the system's own words ("case:12", "segment:2026/11/000001"), `content` holds the facts:
    JSON values; dates, decimals and UUIDs are written as text. Put no name, telephone number or
    other personal datum in `subject` or `content`; files go in by digest (`digest.both`).
    `actor` (a user id, say) is committed to with a fresh salt and never written to the log; nor is
    `said`, what people wrote and numbers of persons: the content names its digest (`said_digest`).

    Raises `TransactionManagementError` outside of `transaction.atomic`, `CanonicalError` for
    content without a JSON form, and `ValueError` for an entry over 65,535 bytes.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "record() must run in the transaction of the act that it proves"
        )
    if not kind or len(kind) > 32 or not subject or len(subject) > 120 or len(actor) > 64:
        raise ValueError(
            "an evidence entry wants a kind (at most 32 characters), a subject (at most 120)"
            " and an actor of at most 64"
        )
    uid, created = uuid.uuid4(), timezone.now()
    salt = secrets.token_hex(16) if actor or said else ""
    facts = _plain(content)
    if said:
        facts["said"] = said_digest(said, salt)
    entry = canonical.dumps(
        {
            "id": str(uid),
            "type": kind,
            "schema": SCHEMA,
            "subject": subject,
            "time": time_text(created),
            "actor": commitment(actor, salt),
            "content": facts,
            "digest": digest.both(canonical.dumps(facts)),
        }
    )
    if len(entry) > tiles.MAX_ENTRY:
        raise ValueError(
            f"evidence entry {kind} {subject}: {len(entry)} bytes, at most {tiles.MAX_ENTRY};"
            " put large things in by digest"
        )
    row = EvidenceEntry(
        uid=uid,
        kind=kind,
        subject=subject,
        content=entry.decode(),
        actor=actor,
        salt=salt,
        created=created,
    )
    insert(row)
    return row


def reading(user: Any, what: str, subject: str, reason: str = "") -> Reading:
    """Write down that `user` reads protected data, in the transaction that hands it out.

    The log says what was read and commitments to the reader and the reason; both stand in the row.
    """
    said = {"reason": reason} if reason else None
    entry = record("reading", subject, {"what": what}, actor=str(user.pk), said=said)
    return Reading.objects.create(
        what=what, subject=subject, reason=reason, actor=user, at=entry.created, evidence=entry
    )


def commitment(actor: str, salt: str) -> str:
    """What the log says of an actor: hex SHA-256 over salt, line feed and actor; empty for none."""
    return hashlib.sha256(f"{salt}\n{actor}".encode()).hexdigest() if actor else ""


def said_digest(said: Mapping[str, Any], salt: str) -> dict[str, str]:
    """What the log says of words and persons: digests over them and a value drawn from the entry's
    salt. Whoever shows that value to prove the words does not give the actor away."""
    own = hashlib.sha256(f"said\n{salt}".encode()).hexdigest()
    return digest.both(canonical.dumps({"salt": own, **_plain(said)}))


def time_text(moment: datetime) -> str:
    """UTC in microseconds: `2026-11-21T03:00:00.000000Z`."""
    if moment.tzinfo is None:
        raise canonical.CanonicalError(f"{moment} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Any) -> Any:
    """`value` with dates, decimals, UUIDs and translated texts as text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID | Promise):
        return str(value)
    return value


def sequence(*, limit: int = 100_000) -> int:
    """Give leaf numbers to entries that wait for one, and return how many.

    One process at a time (a file lock in the log's folder): where another is at work, this
    returns 0. Up to `limit` entries, by 1,000 a batch. The log on disk is the truth: entries that
    a crash left there without a number in the database are recognised by their bytes and get it,
    not a second leaf. Raises `LogError` where log and database contradict each other, or the disk
    refuses; nothing is lost, the entries wait. Must not run in a transaction.
    """
    done = 0
    try:
        with Log(settings.ENV.evidence, wait=0.0) as log:
            done += _recognise(log)
            while done < limit:
                rows = list(EvidenceEntry.objects.filter(index__isnull=True).order_by("id")[:BATCH])
                if not rows:
                    break
                numbers = log.append([row.content.encode() for row in rows])
                for row, number in zip(rows, numbers, strict=True):
                    row.index = number
                _mark(rows)
                done += len(rows)
    except LogBusyError:
        pass
    return done


def attest(now: datetime) -> State | None:
    """Once a minute at most: witnesses cosign the newest checkpoint, and it is kept.

    The round runs in a thread of its own, which touches files and network alone: this waits
    `BUDGET` for its end and returns the state, or None where others are slow; then a later call
    takes up the end, and no second round begins before. What goes wrong with witnesses or policy
    stands in the state, is shown on the health page, and stops nothing. Raises `LogError`.
    """
    global _round
    if _round is None:
        _round = Future()
        threading.Thread(
            target=_attest, args=(_round, settings.ENV.evidence, now), name="attest", daemon=True
        ).start()
    wait([_round], BUDGET)
    if not _round.done():
        return None
    ended, _round = _round, None
    return ended.result()


def _attest(end: Future[State], folder: Path, now: datetime) -> None:
    try:
        end.set_result(attestation.attest(folder, now))
    except BaseException as error:
        end.set_exception(error)


def next_key(*, actor: str = "") -> Verifier:
    """Make the key that the log is to have next (or take the one that is there), and return it: for
    the witnesses and the policy, before `rotate`. An entry tells of it. Raises `LogError`."""
    with Log(settings.ENV.evidence) as log:
        origin, old, new = keyring.read_statement(log.next_keys())
    with transaction.atomic(durable=True):
        content = {"act": PREPARED, "origin": origin, "old": str(old), "new": str(new)}
        _told(f"next-key:{new.key_id.hex()}", content, actor)
    return new


def second_key(*, actor: str = "") -> Verifier:
    """Make a second signing key, SM2: from then on every checkpoint carries both signatures.

    First the log is told of it, then the key signs. Safe to repeat after a crash anywhere. Raises
    `LogError`, also where there is one already. Must not run in a transaction.
    """
    folder = settings.ENV.evidence
    with Log(folder) as log:
        first, new = log.signer.verifier, log.second_key()
    content = {"act": SECOND, "origin": first.name, "first": str(first), "new": str(new)}
    _in_log(f"second-key:{new.key_id.hex()}", content, actor)
    with Log(folder) as log:
        log.use_second_key(new)
    return new


def rotate(*, actor: str = "") -> Verifier:
    """Change the log's signing key, the SM2 key as well where there is one; returns the new one.

    The tree and its numbers go on. First a statement signed by both keys becomes an entry, then
    the newest checkpoint gets both signatures, and from there the new key signs. Safe to repeat
    after a crash anywhere: what was begun is ended, by this or by whoever opened the log since, and
    no second rotation begins. Raises `LogError`, also where the policy does
    not name the new key yet: else no witness could be asked. Must not run in a transaction.
    """
    folder = settings.ENV.evidence
    begun = folder / ROTATING
    with Log(folder) as log:  # ends what had passed the point of no return
        prepared = (folder / keyring.NEXT_KEY).exists()
        if not prepared and _begun(begun) == str(log.signer.verifier):
            begun.unlink()
            return log.signer.verifier
        statement = log.next_keys()
    origin, old, new = keyring.read_statement(statement)
    try:
        policy = attestation.read_policy(folder)
    except PolicyError as error:
        raise LogError(str(error)) from None
    if policy and policy.logs and all(party.key != new for party in policy.logs):
        raise LogError(f"first give the new key to the policy and to the witnesses: log {new}")
    content = {"origin": origin, "old": str(old), "new": str(new), "statement": statement}
    _in_log(f"key:{new.key_id.hex()}", content, actor)
    with Log(folder) as log:
        with begun.open("w") as file:
            file.write(str(new))
            file.flush()
            os.fsync(file.fileno())
        log.rotate(statement)  # syncs the folder
        begun.unlink()
    return new


def _told(subject: str, content: Mapping[str, Any], actor: str) -> EvidenceEntry:
    """The entry that tells of a key: the one that a crash left, else a new one."""
    there = EvidenceEntry.objects.filter(kind=ROTATION, subject=subject).first()
    return there or record(ROTATION, subject, content, actor=actor)


def _in_log(subject: str, content: Mapping[str, Any], actor: str) -> None:
    """Tell of a key, and wait until that is in the log."""
    with transaction.atomic(durable=True):
        entry = _told(subject, content, actor)
    end = time.monotonic() + 30
    while entry.index is None:
        sequence()
        entry.refresh_from_db()
        if time.monotonic() > end:
            raise LogError("the sequencer was at work all the time: try again")


def _begun(path: Path) -> str:
    """The key of the rotation that was begun and has not been told of; empty for none."""
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _recognise(log: Log) -> int:
    """Number the rows of entries that are on disk, but whose numbers did not reach the database."""
    with transaction.atomic(durable=True):
        last = EvidenceEntry.objects.aggregate(last=Max("index"))["last"]
        known = 0 if last is None else last + 1
        if known > log.size:
            raise LogError(
                f"the database knows leaf {last}, the log in {log.folder} has {log.size} entries:"
                " restore the log's folder from its newest backup"
            )
        found = 0
        while known < log.size:
            number = known // tiles.WIDTH
            entries = log.reader.entries(number, log.size)[known % tiles.WIDTH :]
            rows = {
                row.uid: row
                for row in EvidenceEntry.objects.filter(
                    uid__in=[uid for uid in map(uid_of, entries) if uid], index__isnull=True
                )
            }
            numbered = []
            for index, entry in enumerate(entries, known):
                row = rows.get(uid_of(entry))
                if row is None or row.content.encode() != entry:
                    logger.error("leaf %d of the evidence log has no row in the database", index)
                    continue
                row.index = index
                numbered.append(row)
            _mark(numbered)
            found += len(numbered)
            known += len(entries)
    return found


def _mark(rows: list[EvidenceEntry]) -> None:
    with transaction.atomic():
        for row in rows:
            EvidenceEntry.objects.filter(pk=row.pk).update(index=row.index)


def uid_of(entry: bytes) -> uuid.UUID | None:
    try:
        return uuid.UUID(json.loads(entry)["id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@transaction.atomic
def erase_actor(entry: EvidenceEntry) -> None:
    """Forget who acted: the commitment in the log can then be opened by nobody."""
    EvidenceEntry.objects.filter(pk=entry.pk).update(actor="", salt="")
