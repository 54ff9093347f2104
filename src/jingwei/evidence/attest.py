"""What others say of the log: witnesses, time stamps, anchors.

`attest` is called again and again by the worker. Every minute at most, when there is a new
checkpoint, it is sent to the witnesses that the policy file (`policy` in the log's folder) names with
an address, and kept with the cosignatures that came. Every hour at most, a kept checkpoint gets
an RFC 3161 time stamp (`stamps`) and is handed to the anchors (`anchors`), where these are set up.
`attest.json` says how all that went; it may be lost without harm.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jingwei.evidence import anchors, stamps
from jingwei.evidence import policy as policies
from jingwei.evidence import witness as witnesses
from jingwei.evidence.log import (
    Log,
    LogBusyError,
    LogError,
    OpenLog,
    open_log,
    replace_durably,
)
from jingwei.evidence.note import NoteError, parse_note
from jingwei.evidence.policy import Party, Policy, PolicyError
from jingwei.evidence.tiles import TileError, kept_path

POLICY, STATE = "policy", "attest.json"
EVERY = timedelta(minutes=1)
STAMP_EVERY = timedelta(hours=1)
MAX_STATE = 1_000_000


@dataclass
class Standing:
    """How one witness stands to the log."""

    size: int = 0
    at: str = ""  # of its newest cosignature, UTC
    problem: str = ""
    fork: bool = False


@dataclass
class State:
    """The last round: when it was, of which checkpoint, whether the quorum was reached."""

    size: int = 0
    at: str = ""
    witnessed: int = 0  # size of the newest checkpoint with the quorum's cosignatures
    problem: str = ""
    witnesses: dict[str, Standing] = field(default_factory=dict)
    stamped: int = 0  # size of the newest checkpoint with a time stamp
    stamped_at: str = ""  # when the last stamp was asked for
    stamp_problem: str = ""
    anchored: int = 0
    anchor_problem: str = ""


def read_policy(folder: Path) -> Policy | None:
    """The log's policy; None where there is none. Raises `PolicyError`."""
    try:
        with (folder / POLICY).open("rb") as file:
            text = file.read(policies.MAX_POLICY + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PolicyError(f"cannot read the policy: {error}") from None
    return policies.parse(text)


def read_state(folder: Path) -> State:
    """The state of the last round; an empty one where the file is gone or damaged."""
    try:
        with (folder / STATE).open("rb") as file:
            raw = json.loads(file.read(MAX_STATE))
        raw["witnesses"] = {n: Standing(**w) for n, w in raw["witnesses"].items()}
        state = State(**raw)
        for moment in (state.at, state.stamped_at, *(w.at for w in state.witnesses.values())):
            if moment and datetime.fromisoformat(moment).tzinfo is None:
                raise ValueError
        for size in (
            state.size,
            state.witnessed,
            state.stamped,
            state.anchored,
            *(w.size for w in state.witnesses.values()),
        ):
            if type(size) is not int:
                raise ValueError
        return state
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return State()


def attest(folder: Path, now: datetime | None = None, *, every: timedelta = EVERY) -> State:
    """Let the witnesses cosign the newest checkpoint, and keep it; returns how that went.

    Does nothing within `every` of the last round, nor where everything is done. Raises
    `LogError` where the log cannot be read or written; a witness that fails stops nothing.
    """
    now = now or datetime.now(UTC)
    state = read_state(folder)
    log = open_log(folder)
    if log is None or log.checkpoint.size == 0:
        return state
    if state.at and timedelta(0) <= now - datetime.fromisoformat(state.at) < every:
        return state
    try:
        policy, problem = read_policy(folder), ""
    except PolicyError as error:
        policy, problem = None, str(error)
    if (
        state.size == log.checkpoint.size
        and not state.problem
        and not problem
        and _complete(state, policy)
        and not _due(folder, state, now)
    ):
        return state
    state.at, state.problem = now.astimezone(UTC).isoformat(timespec="seconds"), problem
    note = log.note
    try:
        if policy is not None:
            note = _collect(log, policy, state)
        elif not problem:
            state.witnesses, state.witnessed = {}, 0
    except PolicyError as error:
        policy, state.problem = None, str(error)
    try:
        with Log(folder, wait=5.0) as writer:
            if writer.signer.verifier != log.verifier:
                raise NoteError("the log's key was changed in the meantime")
            writer.keep(note)
        state.size = log.checkpoint.size
        if policy is not None:
            policy.open(note)
            state.witnessed = log.checkpoint.size
    except LogBusyError:
        state.problem = "the sequencer was at work all the time"
    except NoteError as error:
        state.problem = str(error)
    if state.size == log.checkpoint.size:
        _outside(folder, log, state, now)
    _write(folder / STATE, state)
    return state


def _outside(folder: Path, log: OpenLog, state: State, now: datetime) -> None:
    """Time stamp and anchors for the checkpoint that was just kept, where it is time."""
    if not _due(folder, state, now):
        return
    state.stamped_at = now.astimezone(UTC).isoformat(timespec="seconds")
    try:
        anchor = anchors.configured(folder)
        if anchor is not None and state.anchored != state.size:
            anchor.anchor(now, log.checkpoint)
            state.anchored, state.anchor_problem = state.size, ""
    except anchors.AnchorError as error:
        state.anchor_problem = str(error)
    try:
        tsa = stamps.configured(folder)
        if tsa is not None and state.stamped != state.size:
            answer = stamps.fetch(tsa[0], log.checkpoint.text().encode(), tsa[1])
            replace_durably(log.reader.folder / (kept_path(state.size) + ".tsr"), answer)
            state.stamped, state.stamp_problem = state.size, ""
    except (stamps.StampError, OSError) as error:
        state.stamp_problem = str(error)


def _due(folder: Path, state: State, now: datetime) -> bool:
    """Whether it is time that a newer checkpoint is stamped and anchored."""
    last = datetime.fromisoformat(state.stamped_at) if state.stamped_at else None
    wanted = [
        size
        for name, size in ((stamps.TSA, state.stamped), (anchors.ANCHOR, state.anchored))
        if (folder / name).exists()
    ]
    if not wanted or min(wanted) == state.size:
        return False
    return not last or not timedelta(0) <= now - last < STAMP_EVERY


def _complete(state: State, policy: Policy | None) -> bool:
    """Whether all witnesses that the policy asks have cosigned the checkpoint of the last round."""
    if policy is None:
        return not state.witnesses
    asked = {party.name for party in policy.witnesses if party.url}
    done = {n for n, w in state.witnesses.items() if w.size == state.size and not w.problem}
    return asked == set(state.witnesses) == done and state.witnessed == state.size


def _collect(log: OpenLog, policy: Policy, state: State) -> str:
    """The checkpoint with the cosignatures that came in time; asks all witnesses at once."""
    if policy.logs and all(party.key != log.verifier for party in policy.logs):
        raise PolicyError(f"the policy does not name this log: log {log.verifier}")
    lines: dict[str, str] = {}
    asked: list[Party] = []
    before, state.witnesses = state.witnesses, {}
    for party in policy.witnesses:
        if not party.url:
            continue
        standing = state.witnesses[party.name] = before.get(party.name, Standing())
        if _has_signed(log.note, party):  # once is enough: a note has room for few signatures
            standing.size, standing.problem, standing.fork = log.checkpoint.size, "", False
        else:
            standing.problem = "no answer in time"
            asked.append(party)

    def ask(party: Party) -> None:
        standing = Standing(size=state.witnesses[party.name].size)
        standing.at = state.witnesses[party.name].at
        try:
            lines[party.name] = witnesses.submit(
                party, log.note, log.checkpoint, log.reader.consistency_proof, standing.size
            )
            standing.size = log.checkpoint.size
            standing.at = datetime.now(UTC).isoformat(timespec="seconds")
        except witnesses.AnswerError as error:
            standing.problem, standing.fork = str(error), isinstance(error, witnesses.ForkError)
        except TileError as error:
            standing.problem = str(error)
        state.witnesses[party.name] = standing

    threads = [threading.Thread(target=ask, args=[party], daemon=True) for party in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * witnesses.TIMEOUT + 5)
    return _joined(log, asked, lines, state)


def _joined(log: OpenLog, asked: list[Party], lines: dict[str, str], state: State) -> str:
    """The note with those of `lines` with which it still opens: one witness must not spoil it."""
    note, text = log.note, log.checkpoint.text()
    for party in asked:
        if (line := lines.get(party.name)) is None:
            continue
        try:
            if parse_note(note + line, [log.verifier, party.key]).text != text:
                raise NoteError("it changes the checkpoint's text")
            note += line
        except NoteError as error:
            before = state.witnesses[party.name].at
            problem = f"its cosignature cannot be used: {error}"
            state.witnesses[party.name] = Standing(at=before, problem=problem)
    return note


def _has_signed(note: str, party: Party) -> bool:
    try:
        parse_note(note, party.key)
    except NoteError:
        return False
    return True


def _write(path: Path, state: State) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(asdict(state), ensure_ascii=False))
        scratch.replace(path)
    except OSError as error:
        raise LogError(f"cannot write {path}: {error}") from None
