"""Signed notes, keys and checkpoints: good ones open, everything else is one NoteError."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.evidence import NoteError, merkle, parse_checkpoint
from jingwei.evidence.note import (
    Checkpoint,
    KeyFile,
    Verifier,
    key_id,
    parse_note,
    sign_note,
)

# The worked example of golang.org/x/mod/sumdb/note (package documentation, BSD-3-Clause).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = KeyFile("log.example/one", bytes(range(32)))
OTHER = KeyFile("witness.example/two", bytes(range(1, 33)))
CHECKPOINT = Checkpoint("log.example/one", 7, merkle.leaf_hash(b"root"))
NOTE = sign_note(CHECKPOINT.text(), [SIGNER, OTHER])
KEY = str(SIGNER.verifier)


def test_the_note_of_the_go_documentation_opens() -> None:
    note = parse_note(GO_NOTE, GO_KEY)
    assert note.text.endswith("problem is.\n")
    assert str(note.verified[0]) == GO_KEY
    with pytest.raises(NoteError, match="the signature of PeterNeumann is false"):
        parse_note(GO_NOTE.replace("answer", "problem"), GO_KEY)


def test_a_checkpoint_opens_with_the_keys_that_are_trusted() -> None:
    opened = parse_checkpoint(NOTE, KEY)
    assert (opened.origin, opened.size, opened.root) == ("log.example/one", 7, CHECKPOINT.root)
    assert opened.verified == (SIGNER.verifier,)
    both = parse_checkpoint(NOTE.encode(), [OTHER.verifier, KEY])
    assert set(both.verified) == {SIGNER.verifier, OTHER.verifier}
    more = Checkpoint("log.example/one", 0, merkle.EMPTY_ROOT, ("an extension",))
    assert parse_checkpoint(sign_note(more.text(), [SIGNER]), KEY).extensions == ("an extension",)


def signed(*lines: str) -> str:
    return sign_note("\n".join(lines) + "\n", [SIGNER])


ROOT = base64.b64encode(CHECKPOINT.root).decode()
BAD = {
    "no trusted key": (NOTE, str(OTHER.verifier), "the log itself has not signed"),
    "unknown key": (NOTE, GO_KEY, "no signature by a trusted key"),
    "no keys": (NOTE, [], "no signature by a trusted key"),
    "cut": (NOTE[:-1], KEY, "cut short"),
    "no signature": (NOTE.split("\n\n")[0] + "\n", KEY, "no signatures"),
    "empty": ("", KEY, "no signatures"),
    "size changed": (NOTE.replace("\n7\n", "\n8\n"), KEY, "signature of log.example/one is false"),
    "huge": ("x" * 70_000, KEY, "longer than"),
    "huge bytes": (b"x" * 70_000, KEY, "longer than"),
    "not UTF-8": (b"\xff" + NOTE.encode(), KEY, "not UTF-8"),
    "surrogate": ("\ud800" + NOTE, KEY, "not UTF-8"),
    "surrogate in the key": (NOTE, KEY.replace("one", "\ud800", 1), "key name is not UTF-8"),
    "no text": (None, KEY, "no text"),
    "control": (NOTE.replace("log", "l\tog", 1), KEY, "control characters"),
    "many signatures": (NOTE + (NOTE.splitlines()[-1] + "\n") * 120, KEY, "more than 100"),
    "dash": (NOTE.replace("— log", "- log"), KEY, "signature line is malformed"),
    "base64": (NOTE.rstrip("\n") + "*\n", KEY, "no base64"),
    "short signature": (NOTE + "— x AAAA\n", KEY, "cut short"),
    "leading zero": (signed("log.example/one", "07", ROOT), KEY, "size is no number"),
    "negative": (signed("log.example/one", "-7", ROOT), KEY, "size is no number"),
    "too large": (signed("log.example/one", str(2**63), ROOT), KEY, "size is no number"),
    "digits of another script": (signed("log.example/one", "７", ROOT), KEY, "size is no number"),
    "short root": (signed("log.example/one", "7", ROOT[:40]), KEY, "root has 30 bytes"),
    "no root": (signed("log.example/one", "7"), KEY, "cut short"),
    "loose base64": (signed("log.example/one", "7", ROOT[:-2] + "B="), KEY, "canonical base64"),
    "foreign origin": (signed("log.example/three", "7", ROOT), KEY, "log itself has not signed"),
    "no origin": (signed("", "7", ROOT), KEY, "no origin"),
    "empty line": (signed("log.example/one", "7", ROOT, "", "x"), KEY, "empty extension"),
}


@pytest.mark.parametrize(("note", "keys", "reason"), BAD.values(), ids=BAD)
def test_bad_notes_get_one_reason(note, keys, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        parse_checkpoint(note, keys)


@given(st.integers(0, 8 * len(NOTE.encode()) - 1))
@settings(max_examples=300)
def test_any_flipped_bit_is_refused_or_beside_the_point(bit: int) -> None:
    """A changed bit is refused, but in the signature of a key that the reader does not know."""
    data = bytearray(NOTE.encode())
    data[bit // 8] ^= 1 << bit % 8
    try:
        opened = parse_checkpoint(bytes(data), KEY)
    except NoteError:
        return
    assert opened == parse_checkpoint(NOTE, KEY)
    assert bit // 8 >= NOTE.encode().rindex("— witness".encode())


@given(st.one_of(st.text(), st.binary()), st.one_of(st.text(), st.lists(st.text(), max_size=2)))
def test_rubbish_is_a_note_error_and_nothing_else(note, keys) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(note, keys)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "NAME\\+HASH\\+KEY"),
        ("name+00000000", "NAME\\+HASH\\+KEY"),
        (KEY.replace("one", "two"), "hash does not belong"),
        (KEY[:-1], "base64"),
        ("a b+00000000+AAAA", "key name"),
        ("name+00000000+AAAA", "no Ed25519 key"),
    ],
)
def test_bad_verifier_keys(key: str, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        Verifier.parse(key)


def test_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.key"
    made = KeyFile.create(path, "log.example/one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    loaded = KeyFile.load(path)
    assert loaded.verifier == made.verifier
    assert loaded.key_id == key_id("log.example/one", made.verifier.public)
    assert parse_note(sign_note("text\n", [loaded]), made.verifier).text == "text\n"
    with pytest.raises(FileExistsError):
        KeyFile.create(path, "log.example/one")
    assert KeyFile.load(path).verifier == made.verifier
    path.chmod(0o640)
    with pytest.raises(NoteError, match="mode 640: set it to 600"):
        KeyFile.load(path)
    path.chmod(0o600)
    good = path.read_text()
    for bad in (good[:-10], good.replace("one", "two"), "rubbish", "", good.replace("KEY", "YEK")):
        path.write_text(bad)
        with pytest.raises(NoteError, match="signing key"):
            KeyFile.load(path)
    with pytest.raises(NoteError, match="cannot read"):
        KeyFile.load(tmp_path / "none")
    with pytest.raises(NoteError, match="key name"):
        KeyFile.create(tmp_path / "x", "two words")
