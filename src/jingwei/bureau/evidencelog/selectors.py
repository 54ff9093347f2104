"""Everything that reads the evidence log for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import CharField, Min, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import CITY_WIDE, may
from jingwei.bureau.evidencelog import services
from jingwei.bureau.evidencelog.models import EvidenceEntry, Reading
from jingwei.evidence import ProofError, attest, digest, merkle, verify_inclusion
from jingwei.evidence.attest import Standing, State
from jingwei.evidence.log import LogError, OpenLog, open_log
from jingwei.evidence.policy import Policy, PolicyError
from jingwei.evidence.proof import Certificate
from jingwei.evidence.tiles import TileError

PROTECTED = ("identity.sealed", "identity.erased", "reading")
LATE = timedelta(minutes=5)


# Of no one place, and of nothing that is still open: seals, roots, rules, what was published.
COMMON = Q(
    kind__in=(
        "segment", "segment.pruned", "judgements", "exceedances", "trace", "draw", "penalty", "key",
        "calendar", "trigger", "dispatch.rule", "campaign",
    )
) | Q(kind="detection", subject__startswith="detection:")  # fmt: skip

_placed: dict[str, tuple[str, str, str]] = {}


def placed(prefix: str, model: str, action: str, key: str = "pk") -> None:
    """A room says (`AppConfig.ready`) that entries on `prefix:KEY` tell of a row of its `model`: who
    may do `action` on the row sees them, and nobody beyond the jurisdiction does."""
    _placed[prefix] = model, action, key


def restrict(user: Any, action: str) -> QuerySet[EvidenceEntry]:
    """The entries on which `user` may do `action`.

    Who works for the whole city sees all but what only auditors see: that an identity was kept, or
    who of the protected was read. An entry has no place of its own, but tells of a case, a finding,
    a device that has one (`placed`): a district's officers see those of their jurisdiction, and what
    concerns all (`COMMON`). What nobody has given a place they do not see.
    """
    if not may(user, action):
        return EvidenceEntry.objects.none()
    rows = EvidenceEntry.objects.exclude(kind__in=hidden(user))
    if everything(user):
        return rows
    whole = COMMON
    for prefix, (model, needed, key) in _placed.items():
        own = apps.get_model(model)._default_manager.restrict(user, needed)
        named = Concat(Value(f"{prefix}:"), Cast(key, CharField()))
        whole |= Q(subject__in=own.annotate(told_as=named).values("told_as"))
    return rows.filter(whole)


def everything(user: Any) -> bool:
    """Whether this person, or one whom it stands in for today, works for the whole city."""
    return any(one.is_superuser or one.role in CITY_WIDE for one in user.acts_for())


def hidden(user: Any) -> tuple[str, ...]:
    """The kinds of entries that this person does not see."""
    return () if may(user, "reading.view") else PROTECTED


def entries(user: Any, *, kind: str = "", subject: str = "") -> QuerySet[EvidenceEntry]:
    """Entries, newest first, of one kind and one subject (`case:*`: all that begin so)."""
    rows = restrict(user, "evidence.view").defer("content").order_by("-id")
    if kind:
        rows = rows.filter(kind=kind)
    if subject.endswith("*"):
        rows = rows.filter(subject__startswith=subject[:-1])
    elif subject:
        rows = rows.filter(subject=subject)
    return rows


def readings(user: Any, *, what: str = "", who: str = "") -> QuerySet[Reading]:
    """Readings of protected data, newest first, of one sort and one reader (part of the name)."""
    if not may(user, "reading.view"):
        return Reading.objects.none()
    rows = Reading.objects.select_related("actor", "evidence").order_by("-id")
    if what:
        rows = rows.filter(what=what)
    if who:
        rows = rows.filter(
            Q(actor__username__icontains=who)
            | Q(actor__last_name__icontains=who)
            | Q(actor__first_name__icontains=who)
        )
    return rows


def told(entry: EvidenceEntry) -> dict[str, Any]:
    """The content of an entry."""
    found: dict[str, Any] = json.loads(entry.content)["content"]
    return found


# Words and numbers of persons that stand in entries of before they were salted, in clear or by a
# digest that short words can be guessed from.
_IN_CLEAR = {
    "campaign": ("text",),
    "case.share": ("text",),
    "episode": ("facts",),
    "mark": ("note", "answer"),
    "sample": ("note", "why"),
    "substitution": ("absent", "substitute"),
    "calendar": ("reason",),
    "trigger": ("note",),
    "draw": ("reason",),
}


def in_clear(entry: EvidenceEntry) -> bool:
    """Whether the entry is one of before words and persons were salted, and has some in clear."""
    if entry.kind not in _IN_CLEAR:
        return False
    content = told(entry)
    name_of_party = isinstance(content.get("party"), str)
    replaced = isinstance(content.get("replaces"), dict) and "reason" in content["replaces"]
    return name_of_party or replaced or any(content.get(n) for n in _IN_CLEAR[entry.kind])


def clear_entries() -> QuerySet[EvidenceEntry]:
    """Entries of the kinds of which old ones may hold words in clear (`in_clear` tells)."""
    return EvidenceEntry.objects.filter(kind__in=_IN_CLEAR).order_by("pk")


def spoken(entry: EvidenceEntry, said: Mapping[str, Any]) -> str:
    """Why `said` are not the words that were logged (`services.record`); empty where they are, or
    nobody can tell any more: the salt was erased, or the entry tells of no words.

    Entries of before words were salted have them in clear, each under its name, or its digest.
    """
    content = told(entry)
    if "said" in content:
        if entry.salt and content["said"] != services.said_digest(said, entry.salt):
            return f"{' or '.join(said)}: not what was said when the evidence log was told of it"
        return ""
    for name, value in said.items():
        told_as = content.get(name, value)
        if isinstance(told_as, dict):
            if told_as != digest.both(str(value).encode()):
                return f"{name}: not what was said when the evidence log was told of it"
        elif told_as != value:
            return f"{name} is {value!r}, but the evidence log says {told_as!r}"
    return ""


@dataclass(frozen=True)
class Health:
    """How the log stands. `problem` is empty where all is well."""

    log: OpenLog | None
    signed: datetime | None  # when the newest checkpoint was written
    waiting: int
    oldest: datetime | None  # since when the first of them waits
    problem: str
    state: State  # what witnesses, time stamps and anchors last said
    policy: Policy | None
    policy_problem: str

    @property
    def late(self) -> bool:
        return self.oldest is not None and timezone.now() - self.oldest > LATE

    @property
    def forks(self) -> list[str]:
        """The witnesses that have seen another history."""
        return [name for name, standing in self.state.witnesses.items() if standing.fork]

    @property
    def quorum(self) -> str:
        return quorum(self.policy) if self.policy else ""

    @property
    def standings(self) -> list[tuple[str, Standing, datetime | None]]:
        """Each witness, how it stands, and when it last cosigned."""
        return [(name, one, _moment(one.at)) for name, one in self.state.witnesses.items()]

    @property
    def witnessed(self) -> bool:
        """Whether the quorum has cosigned the newest checkpoint that was sent round."""
        return bool(self.policy) and self.state.witnessed == self.state.size > 0


def _moment(text: str) -> datetime | None:
    with suppress(ValueError):  # none yet
        return datetime.fromisoformat(text)
    return None


def quorum(policy: Policy) -> str:
    """How many of which witnesses must sign, in the reader's language; empty where none must."""
    least, members = policy.demand()
    names = ", ".join(members).encode(errors="backslashreplace").decode()
    return _("%(least)d of %(names)s") % {"least": least, "names": names} if members else ""


def health() -> Health:
    """The newest checkpoint, opened with the log's key, and what waits for a leaf number."""
    waiting = EvidenceEntry.objects.filter(index__isnull=True)
    oldest = waiting.aggregate(oldest=Min("created"))["oldest"]
    log, signed, problem = None, None, ""
    try:
        log = open_log(settings.ENV.evidence)
        if log:
            seconds = (log.reader.folder / "checkpoint").stat().st_mtime
            signed = datetime.fromtimestamp(seconds, UTC)
    except (LogError, OSError) as error:
        problem = str(error)
    policy, policy_problem = None, ""
    try:
        policy = attest.read_policy(settings.ENV.evidence)
    except PolicyError as error:
        policy_problem = str(error)
    state = attest.read_state(settings.ENV.evidence)
    return Health(log, signed, waiting.count(), oldest, problem, state, policy, policy_problem)


@dataclass(frozen=True)
class Proof:
    """An entry's inclusion proof against the newest checkpoint; `problem` says why it fails."""

    leaf: str
    steps: tuple[str, ...] = ()
    size: int = 0
    root: str = ""
    problem: str = ""


def certificate(entry: EvidenceEntry) -> str | None:
    """The entry's certificate (C2SP tlog-proof) under the newest checkpoint; None where it has none."""
    if entry.index is None:
        return None
    try:
        log = open_log(settings.ENV.evidence)
        if log is None or entry.index >= log.checkpoint.size:
            return None
        steps = log.reader.inclusion_proof(entry.index, log.checkpoint.size)
    except (LogError, TileError):
        return None
    return str(Certificate(entry.index, tuple(steps), log.note))


def proof(entry: EvidenceEntry) -> Proof | None:
    """Prove, now, that this row is in the log; None while it waits for its leaf number."""
    if entry.index is None:
        return None
    leaf = merkle.leaf_hash(entry.content.encode())
    try:
        log = open_log(settings.ENV.evidence)
        if log is None:
            raise LogError(f"there is no log in {settings.ENV.evidence}")
        size, root = log.checkpoint.size, log.checkpoint.root
        if entry.index >= size:
            raise LogError(f"the checkpoint covers {size} entries only")
        steps = log.reader.inclusion_proof(entry.index, size)
        verify_inclusion(leaf, entry.index, size, steps, root)
    except (LogError, TileError, ProofError) as error:
        return Proof(leaf.hex(), problem=str(error))
    return Proof(leaf.hex(), tuple(step.hex() for step in steps), size, root.hex())
