"""The keys of a log as they follow one another: which one must have signed a checkpoint.

A log keeps its name, its tree and its numbers when its key is changed (`Log.rotate`). In its folder:

    log.pub            the verifier key in force; log-sm2.pub the second one, where there is one
    log-retired.pub    a line `SIZE KEY` for each earlier one: it signed no checkpoint of more entries
    log-next.key       made for a rotation that has not come to its end; log-sm2-next.key as well
    log-sm2-made.key   a second key that the log has not been told of yet: it signs nothing

The checkpoint of that size is signed by both, so who trusts the old key is led to the new one; and
as the tree goes on, every old entry can be proved under the new key alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jingwei.evidence.note import (
    ED25519,
    Checkpoint,
    KeyFile,
    NoteError,
    SignatureError,
    Signer,
    Sm2KeyFile,
    Verifier,
    parse_checkpoint,
    parse_note,
    sign_note,
    signature_line,
)

KEY, VERIFIER = "log.key", "log.pub"
SM2_KEY, SM2_VERIFIER = "log-sm2.key", "log-sm2.pub"
NEXT_KEY, NEXT_SM2_KEY = "log-next.key", "log-sm2-next.key"
MADE_SM2_KEY = "log-sm2-made.key"
RETIRED = "log-retired.pub"
MAX_RETIRED = 1_000_000
KeyPair = KeyFile | Sm2KeyFile
_TITLE = "jingwei/evidence rotation of a log's key"


class Retired(NamedTuple):
    """An earlier key, and the size of the last checkpoint that it signed."""

    size: int
    key: Verifier

    def __str__(self) -> str:
        return f"{self.size} {self.key}"


@dataclass(frozen=True)
class Keyring:
    """What a reader of the log's own folder knows of its keys."""

    current: Verifier
    second: Verifier | None = None
    retired: tuple[Retired, ...] = ()

    def open(self, note: str | bytes, others: Iterable[Verifier] = ()) -> Checkpoint:
        """Open a checkpoint by the key that was in force at its size; `NoteError` where there is none.

        Every signature by one of these keys, or of the `others` (witnesses), must be true.
        """
        second = [self.second] if self.second else []
        keys = [self.current, *second, *(r.key for r in self.retired), *others]
        checkpoint = parse_checkpoint(note, list(dict.fromkeys(keys)))
        if self.current in checkpoint.verified:
            return checkpoint
        own = [
            r.size for r in self.retired if r.key.kind == ED25519 and r.key in checkpoint.verified
        ]
        if not own:
            raise SignatureError("the log's Ed25519 key has not signed the checkpoint")
        if checkpoint.size > max(own):
            raise SignatureError(
                f"the checkpoint of {checkpoint.size} entries is signed by a key that was retired"
                f" at {max(own)}"
            )
        return checkpoint


def read(folder: Path) -> Keyring:
    """The keys in the log's folder; raises `NoteError` that names the file."""
    second = folder / SM2_VERIFIER
    return Keyring(
        read_verifier(folder / VERIFIER),
        read_verifier(second) if second.exists() else None,
        read_retired(folder),
    )


def read_verifier(path: Path) -> Verifier:
    """The verifier key in a file; raises `NoteError` that names it."""
    try:
        with path.open("rb") as file:
            return Verifier.parse(file.read(1000).decode())
    except (OSError, ValueError) as error:
        raise NoteError(f"cannot read the verifier key {path}: {error}") from None


def read_retired(folder: Path) -> tuple[Retired, ...]:
    """The log's earlier keys, oldest first; raises `NoteError`."""
    try:
        with (folder / RETIRED).open("rb") as file:
            raw = file.read(MAX_RETIRED + 1)
        if len(raw) > MAX_RETIRED or (raw and not raw.endswith(b"\n")):
            raise NoteError("it is cut short")
        found = []
        for line in raw.decode().splitlines():
            size, _, key = line.partition(" ")
            if not size.isascii() or not size.isdigit() or len(size) > 19:
                raise NoteError("wanted SIZE KEY in each line")
            found.append(Retired(int(size), Verifier.parse(key)))
        return tuple(found)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise NoteError(f"cannot read the retired keys {folder / RETIRED}: {error}") from None


def statement(origin: str, old: Sequence[KeyPair], new: Sequence[KeyPair]) -> str:
    """The signed note by which a log's keys pass on to the next ones: `old` and `new` are the
    Ed25519 signer and, where there is one, the SM2 signer. The Ed25519 keys sign it, both."""
    lines = [_TITLE, origin]
    lines += [f"old {signer.verifier}" for signer in old]
    lines += [f"new {signer.verifier}" for signer in new]
    return sign_note("\n".join(lines) + "\n", [old[0], new[0]])


def read_statement(note: str) -> tuple[str, Verifier, Verifier]:
    """(origin, old key, new key) of a statement that both Ed25519 keys have signed; `NoteError`."""
    head = note.partition("\n\n")[0].split("\n")
    old = [line[4:] for line in head if line.startswith("old ")]
    new = [line[4:] for line in head if line.startswith("new ")]
    if len(head) < 4 or head[0] != _TITLE or not old or not new:
        raise NoteError("it is no statement on a rotation")
    keys = Verifier.parse(old[0]), Verifier.parse(new[0])
    if {key.kind for key in keys} != {ED25519} or len(parse_note(note, keys).verified) != 2:
        raise NoteError("the statement is not signed by both keys")
    return head[1], *keys


def add_signatures(note: str, known: Verifier, signers: Sequence[Signer]) -> str:
    """The note, which `known` has signed, with the lines of those signers that are not in it yet."""
    there = {(s.name, s.key_id) for s in parse_note(note, known).signatures}
    text = note.rpartition("\n\n")[0] + "\n"
    return note + "".join(
        signature_line(text, s) for s in signers if (s.name, s.key_id) not in there
    )
