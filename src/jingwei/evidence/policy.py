"""Whom a reader trusts (C2SP tlog-policy): logs, witnesses, and how many of them must have cosigned.

log jingwei.example/evidence+… https://jingwei.example/evidence/public
witness 纪委监委 w1.example+… http://w1.example:9300
witness 公证处 w2.example+…
witness 高新区 w3.example+…
group two 2 纪委监委 公证处 高新区
quorum two
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from jingwei.evidence.note import (
    COSIGNATURE,
    Checkpoint,
    NoteError,
    SignatureError,
    Verifier,
    parse_checkpoint,
)

MAX_POLICY = 65_536
MAX_LINES = 1_000
SKEW = 300
"""Seconds by which a witness's clock may be ahead of the reader's."""

_CONTROL = re.compile(rb"[^\x09\x0a\x20-\x7e\x80-\xff]")
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


class PolicyError(ValueError):
    """A policy that cannot be used; the text says in which line and why."""


class QuorumError(SignatureError):
    """The log has signed the checkpoint, but not enough witnesses have."""


@dataclass(frozen=True)
class Party:
    """A log or a witness: its name in the policy, its key, and where it is reached (or "")."""

    name: str
    key: Verifier
    url: str = ""


@dataclass(frozen=True)
class Policy:
    """`quorum` is "none", a witness or a group; `groups` are (threshold, members)."""

    logs: tuple[Party, ...]
    witnesses: tuple[Party, ...]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str

    def open(self, note: str | bytes, *, now: float | None = None) -> Checkpoint:
        """Open a checkpoint that one of the logs has signed and the quorum has cosigned.

        Raises `NoteError`: also for a cosignature that is dated more than five minutes after `now`
        (POSIX seconds; the clock's by default), and `QuorumError` where witnesses are missing.
        """
        keys = [party.key for party in (*self.logs, *self.witnesses)]
        checkpoint = parse_checkpoint(note, keys)
        latest = (time.time() if now is None else now) + SKEW
        for key, moment in checkpoint.times:
            if moment > latest:
                raise NoteError(f"the cosignature of {key.name} is dated in the future: {moment}")
        if not self.satisfied(checkpoint):
            names = ", ".join(self.cosigners(checkpoint)) or "none"
            raise QuorumError(
                f"the quorum {self.quorum} is not reached: cosigned by {names}"
                f" of {', '.join(party.name for party in self.witnesses)}"
            )
        return checkpoint

    def cosigners(self, checkpoint: Checkpoint) -> dict[str, datetime]:
        """The witnesses that have cosigned, and when (UTC)."""
        times = dict(checkpoint.times)
        return {
            party.name: _moment(times[party.key]) for party in self.witnesses if party.key in times
        }

    def satisfied(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint's verified cosignatures make up the quorum."""
        seen = dict.fromkeys(self.cosigners(checkpoint), True)
        seen["none"] = True
        for name, (threshold, members) in self.groups.items():  # in the order of their definition
            seen[name] = sum(seen.get(member, False) for member in members) >= threshold
        return seen.get(self.quorum, False)

    def demand(self) -> tuple[int, tuple[str, ...]]:
        """The quorum: how many, and of which witnesses or groups."""
        if self.quorum in self.groups:
            return self.groups[self.quorum]
        return (0, ()) if self.quorum == "none" else (1, (self.quorum,))

    def describe(self) -> str:
        """The quorum in a few characters: "2 of A, B, C"."""
        least, members = self.demand()
        return f"{least} of {', '.join(members)}" if self.quorum in self.groups else self.quorum


def parse(text: str | bytes) -> Policy:
    """Read a policy file; `PolicyError` names the first line that cannot be used."""
    raw = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    if len(raw) > MAX_POLICY or raw.count(b"\n") > MAX_LINES:
        raise PolicyError(f"the policy is longer than {MAX_POLICY} bytes or {MAX_LINES} lines")
    if found := _CONTROL.search(raw):
        raise PolicyError(f"the policy has the control character {found[0][0]:#04x}")
    if raw and not raw.endswith(b"\n"):
        raise PolicyError("the policy's last line has no end: it may be cut short")
    logs: list[Party] = []
    witnesses: list[Party] = []
    groups: dict[str, tuple[int, tuple[str, ...]]] = {}
    names, members, keys = {"none"}, set[str](), set[bytes]()
    quorum = ""
    # Octets beyond ASCII are opaque: `surrogateescape` keeps different ones different.
    for number, line in enumerate(raw.decode(errors="surrogateescape").split("\n"), 1):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        try:
            match words:
                case [""]:
                    pass
                case [first, *_] if first.startswith("#"):
                    pass
                case ["log", key, *url] if len(url) < 2:
                    logs.append(_party("", key, url, keys, log=True))
                case ["witness", name, key, *url] if len(url) < 2:
                    _define(name, names)
                    witnesses.append(_party(name, key, url, keys, log=False))
                case ["group", name, threshold, *group] if group:
                    for member in group:
                        if member not in names or member == "none":
                            raise PolicyError(f"{member} is not defined above")
                        if member in members:
                            raise PolicyError(f"{member} is a member twice")
                        members.add(member)
                    _define(name, names)
                    groups[name] = _threshold(threshold, len(group)), tuple(group)
                case ["quorum", name]:
                    if quorum:
                        raise PolicyError("there is a second quorum")
                    if name not in names:
                        raise PolicyError(f"{name} is not defined above")
                    quorum = name
                case _:
                    raise PolicyError(
                        "wanted log, witness, group or quorum with what belongs to it"
                    )
        except ValueError as error:
            raise PolicyError(f"line {number} of the policy: {error}") from None
    if not quorum:
        raise PolicyError("the policy has no quorum line")
    return Policy(tuple(logs), tuple(witnesses), groups, quorum)


def _party(name: str, key: str, url: list[str], keys: set[bytes], *, log: bool) -> Party:
    verifier = Verifier.parse(key)
    if log == (verifier.kind == COSIGNATURE):
        raise NoteError("the key is one of a witness" if log else "the key is none of a witness")
    if verifier.public in keys:
        raise PolicyError("the same key comes twice")
    keys.add(verifier.public)
    return Party(name or verifier.name, verifier, url[0] if url else "")


def _define(name: str, names: set[str]) -> None:
    if name in names:
        raise PolicyError(f"the name {name} comes twice")
    names.add(name)


def _threshold(text: str, n: int) -> int:
    if text in ("any", "all"):
        return 1 if text == "any" else n
    if not _NUMBER.fullmatch(text) or int(text) > n:
        raise PolicyError(f"the threshold must be any, all or 1 to {n}")
    return int(text)


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)
