"""A log that changes its keys: one tree, one name, each checkpoint by the key of its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from jingwei.evidence import keyring, merkle, rebuild
from jingwei.evidence import log as logs
from jingwei.evidence.keyring import read_statement
from jingwei.evidence.log import Log, LogError, OpenLog, open_log
from jingwei.evidence.note import (
    COSIGNATURE,
    KeyFile,
    NoteError,
    SignatureError,
    Sm2KeyFile,
    Verifier,
    parse_checkpoint,
    parse_note,
    sign_note,
)
from jingwei.evidence.witness import KEY, RefusalError, Witness, request
from killing import killed_at


def opened(folder: Path) -> OpenLog:
    found = open_log(folder)
    assert found
    return found


def rotate(folder: Path) -> str:
    """The whole way: the statement becomes an entry, then the keys change."""
    with Log(folder) as log:
        statement = log.next_keys()
        log.append([statement.encode()])
        log.rotate(statement)
    return statement


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % n for n in range(count)]


def test_the_log_goes_on_under_the_new_key(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.append(entries(300))
        log.keep(log.reader.checkpoint().decode())
        old = log.signer.verifier
    statement = rotate(tmp_path)
    log = opened(tmp_path)
    new, origin = log.verifier, old.name
    assert new != old
    assert (new.name, log.checkpoint.origin) == (origin, origin)
    assert read_statement(statement) == (origin, old, new)
    assert log.keys.retired == ((301, old),)
    # Who has only one of the two keys opens the checkpoint between them.
    for key in (old, new):
        assert parse_checkpoint(log.note, key).size == 301
    assert (tmp_path / keyring.KEY).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / keyring.NEXT_KEY).exists()
    with Log(tmp_path) as writer:
        assert writer.append([b"after"]) == range(301, 302)
    log = opened(tmp_path)
    with pytest.raises(SignatureError):
        parse_checkpoint(log.note, old)
    # Every old entry is proved under the new key, and the old checkpoint is contained.
    steps = log.reader.inclusion_proof(7, 302)
    merkle.verify_inclusion(merkle.leaf_hash(b"entry 7"), 7, 302, steps, log.checkpoint.root)
    before = log.keys.open(log.reader.checkpoint("checkpoints/300"))
    merkle.verify_consistency(
        300, 302, log.reader.consistency_proof(300, 302), before.root, log.checkpoint.root
    )
    rebuild.check(log.reader, [log.checkpoint, before])


def test_a_retired_key_signs_nothing_later(tmp_path: Path) -> None:
    """Whoever stole the old key can make no checkpoint of a later size that the log's own check takes."""
    with Log(tmp_path) as log:
        log.append(entries(3))
        old = log.signer
    rotate(tmp_path)
    with Log(tmp_path) as log:
        log.append([b"after"])
        forged = sign_note(logs.Checkpoint(old.name, 5, log.root()).text(), [old])
        with pytest.raises(LogError, match="not a checkpoint of this log"):
            log.keep(forged)
    keys = opened(tmp_path).keys
    with pytest.raises(NoteError, match="of 5 entries is signed by a key that was retired at 4"):
        keys.open(forged)
    (tmp_path / "log/checkpoint").write_text(forged)
    with pytest.raises(LogError, match="retired at 4"):
        open_log(tmp_path)


def test_twice_and_with_sm2(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.append(entries(3))
        Sm2KeyFile.create(tmp_path / keyring.SM2_KEY, log.signer.name)
    with Log(tmp_path) as log:
        log.append([b"with both"])
        log.keep(log.reader.checkpoint().decode())
    first = opened(tmp_path).keys
    assert first.second is not None
    rotate(tmp_path)
    second = opened(tmp_path).keys
    assert second.second not in (None, first.second)
    assert second.retired == ((5, first.current), (5, first.second))
    note = opened(tmp_path).note
    assert len(parse_note(note, [first.current, first.second]).verified) == 2
    assert len(parse_note(note, [second.current, second.second]).verified) == 2
    rotate(tmp_path)
    third = opened(tmp_path)
    assert [r.size for r in third.keys.retired] == [5, 5, 6, 6]
    assert third.keys.open(third.reader.checkpoint("checkpoints/004")).size == 4
    # A changed byte in the second signature is found as well.
    path = tmp_path / "log/checkpoints/004"
    text = path.read_text()
    at = text.rstrip().rindex("\n") + len(first.current.name) + 20
    path.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    with pytest.raises(NoteError):
        third.keys.open(path.read_bytes())


@pytest.mark.parametrize("sm2", [False, True])
def test_kill_9_at_every_step(tmp_path: Path, sm2: bool) -> None:
    """Before each fsync, rename and link of a rotation: readers always have a key, the log opens,
    keeps what it has, and the rotation comes to its end."""
    number, ended = 0, 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        with Log(folder, origin="log.example/one") as log:
            log.append(entries(3))
            if sm2:
                Sm2KeyFile.create(folder / keyring.SM2_KEY, log.signer.name)
        with Log(folder) as log:
            log.append([b"x"])
            old = log.signer.verifier
        killed = killed_at(number, lambda folder=folder: rotate(folder) and None)
        between = opened(folder)  # as a reader finds it, before any writer comes
        assert between.checkpoint.size in (4, 5)
        assert parse_checkpoint(between.note, old)
        with Log(folder) as log:  # the worker comes next
            size = log.size
            log.append([b"goes on"])
            moved = log.signer.verifier != old
            # What it signs now is signed by the key in force, and by no other.
            names = {
                s.key_id for s in parse_note(opened(folder).note, log.signer.verifier).signatures
            }
            assert names == {s.key_id for s in log._signers}
        assert moved or not (folder / keyring.RETIRED).exists()
        ended += killed and moved
        if not moved:
            rotate(folder)
        last = opened(folder)
        assert last.verifier != old
        assert [r.key for r in last.keys.retired][:1] == [old]
        assert len(last.keys.retired) == (2 if sm2 else 1)
        kept = last.keys.open(last.reader.checkpoint(f"checkpoints/{last.keys.retired[0].size:03}"))
        rebuild.check(last.reader, [last.checkpoint, kept])
        assert [last.reader.entry(n, size) for n in range(4)] == [*entries(3), b"x"]
        assert not list(folder.glob("log*-next.key"))
        if not killed:
            break
    assert number > 20
    assert ended >= 4  # killed after the point of no return, and ended by who came next


def test_a_second_key_killed_at_every_step(tmp_path: Path) -> None:
    """Before each fsync, rename and link: no key signs of which the log was not told, and whoever
    calls again ends it with the same key."""

    def second(folder: Path) -> None:
        with Log(folder) as log:
            key = log.second_key()
            if str(key).encode() not in [log.reader.entry(n, log.size) for n in range(log.size)]:
                log.append([str(key).encode()])
            log.use_second_key(key)

    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        with Log(folder, origin="log.example/one") as log:
            log.append(entries(3))
        killed = killed_at(number, lambda folder=folder: second(folder))
        with Log(folder) as log:  # the worker comes next
            log.append([b"goes on"])
            signs = opened(folder).keys.second
            told = [log.reader.entry(n, log.size).decode() for n in range(log.size)]
        assert signs is None or str(signs) in told
        assert len(parse_note(opened(folder).note, opened(folder).verifier).signatures) == (
            1 if signs is None else 2
        )
        if signs is None:
            second(folder)
        last = opened(folder).keys.second
        assert signs in (None, last)
        if len(told) == 5:
            assert str(last) == told[3]
        with Log(folder) as log, pytest.raises(LogError, match="there is an SM2 key already"):
            log.second_key()
        assert not (folder / keyring.MADE_SM2_KEY).exists()
        if not killed:
            break
    assert number > 12


def test_what_cannot_be_rotated(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.append(entries(2))
        statement = log.next_keys()
        assert log.next_keys() == statement
        with pytest.raises(LogError, match="not on the keys that are to follow"):
            log.rotate(statement.replace("old", "odd"))
        log.rotate(statement)
    # The next key is gone in the middle: nothing is signed.
    with Log(tmp_path) as log:
        log.next_keys()
    lines = (tmp_path / keyring.RETIRED).read_text()
    (tmp_path / keyring.RETIRED).write_text(f"{lines}2 {opened(tmp_path).verifier}\n")
    (tmp_path / keyring.NEXT_KEY).unlink()
    with pytest.raises(LogError, match="missing in the middle of a rotation"):
        Log(tmp_path)
    (tmp_path / keyring.RETIRED).write_text(lines)
    # Somebody else's verifier key in the place of the log's.
    stranger = KeyFile("jingwei/evidence/00000000", bytes(32)).verifier
    (tmp_path / keyring.VERIFIER).write_text(f"{stranger}\n")
    with pytest.raises(LogError, match="is not the verifier key of the signing key"):
        Log(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "1 x\n",
        "-1 {key}\n",
        "١ {key}\n",
        "1 {key}",
        "1 {key}\n\n",
        "99999999999999999999 {key}\n",
    ],
)
def test_bad_lists_of_retired_keys(tmp_path: Path, text: str) -> None:
    with Log(tmp_path) as log:
        log.append(entries(2))
        key = log.signer.verifier
    (tmp_path / keyring.RETIRED).write_text(text.format(key=key))
    with pytest.raises(LogError, match="cannot read the retired keys"):
        open_log(tmp_path)
    with pytest.raises(LogError, match="cannot read the retired keys"):
        Log(tmp_path)


def test_bad_statements() -> None:
    old, new = (KeyFile("log.example", bytes([n]) * 32) for n in (1, 2))
    good = keyring.statement("log.example", [old], [new])
    assert read_statement(good) == ("log.example", old.verifier, new.verifier)
    text = good.partition("\n\n")[0] + "\n"
    for bad in (
        "",
        "x\n\n— x x\n",
        sign_note(text, [old]),
        sign_note(text, [new]),
        sign_note(text.replace("rotation", "notation"), [old, new]),
        good.replace("old ", "odd "),
        good[:-3] + "A=\n",
    ):
        with pytest.raises(NoteError):
            read_statement(bad)


def test_a_witness_follows(tmp_path: Path) -> None:
    """It knows both keys while the log changes over: its memory of the log's name goes on, so the
    change opens no door for another history."""
    with Log(tmp_path / "log") as log:
        log.append(entries(3))
        old = log.signer.verifier
    KeyFile.create(tmp_path / "w" / KEY, "w.example", COSIGNATURE)
    Witness(tmp_path / "w", [old]).add_checkpoint(request(0, [], opened(tmp_path / "log").note))
    rotate(tmp_path / "log")
    log = opened(tmp_path / "log")
    witness = Witness(tmp_path / "w", [old, log.verifier])
    witness.add_checkpoint(request(3, log.reader.consistency_proof(3, 4), log.note))
    with Log(tmp_path / "log") as writer:
        writer.append([b"after"])
        new = writer.signer
    log = opened(tmp_path / "log")
    after = Witness(tmp_path / "w", [log.verifier])  # the old key is taken out
    line = after.add_checkpoint(request(4, log.reader.consistency_proof(4, 5), log.note))
    assert line.startswith("— w.example ")
    # The thief of the old key is refused; so is the new key with another history.
    thief = KeyFile(new.name, bytes(32))
    for signer, status in ((thief, 403), (new, 422)):
        other = sign_note(logs.Checkpoint(new.name, 6, bytes(32)).text(), [signer])
        with pytest.raises(RefusalError) as refused:
            after.add_checkpoint(request(5, [bytes(32)] * 3, other))
        assert refused.value.status == status
    assert isinstance(old, Verifier)
