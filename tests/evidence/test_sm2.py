"""SM2: the standard's worked example, OpenSSL's signatures, bad ones, keys and second signatures."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from jingwei.evidence import keyring, merkle, sm2
from jingwei.evidence.log import Log, LogError, open_log
from jingwei.evidence.note import (
    SM2,
    Checkpoint,
    NoteError,
    Sm2KeyFile,
    Verifier,
    parse_checkpoint,
    parse_note,
    sign_note,
)

CASE = json.loads((Path(__file__).parent.parent / "data/vectors/sm/sm2.json").read_text())
PUBLIC = b"\x04" + bytes.fromhex(CASE["public_x"] + CASE["public_y"])
MESSAGE = bytes.fromhex(CASE["message"])
SIGNATURE = bytes.fromhex(CASE["r"] + CASE["s"])


def test_the_worked_example() -> None:
    """GB/T 32918.5-2017 annex A: e, and the signature (r, s) over "message digest"."""
    assert sm2.message_digest(PUBLIC, MESSAGE).hex().upper() == CASE["e"]
    assert sm2.verify(PUBLIC, MESSAGE, SIGNATURE)
    assert sm2.verify(PUBLIC, MESSAGE, SIGNATURE, bytes.fromhex(CASE["id"]))
    # Its private key gives the public one: the arithmetic is right for this base point.
    x, y, z = sm2._multiply(int(CASE["private"], 16), (*sm2.G, 1))
    inverse = pow(z, -1, sm2.P)
    assert x * inverse**2 % sm2.P == int(CASE["public_x"], 16)
    assert y * inverse**3 % sm2.P == int(CASE["public_y"], 16)
    assert sm2._multiply(sm2.N, (*sm2.G, 1))[2] == 0


def test_signatures_of_openssl(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(CASE["openssl_verify"]["private_pem"])
    public = sm2.public_key(key)
    for case in CASE["openssl_verify"]["cases"]:
        e, signature = bytes.fromhex(case["e"]), sm2.from_der(bytes.fromhex(case["sig"]))
        assert sm2.verify_digest(public, e, signature)
        assert not sm2.verify_digest(public, e[:-1] + bytes([e[-1] ^ 1]), signature)


def test_everything_else_is_false() -> None:
    n = sm2.N.to_bytes(32, "big")
    r, s = SIGNATURE[:32], SIGNATURE[32:]
    opposite = ((-int.from_bytes(r, "big")) % sm2.N).to_bytes(32, "big")  # r + s = 0 mod n
    for bad in (b"", SIGNATURE[:-1], SIGNATURE + b"x", bytes(64), r + bytes(32), bytes(32) + s):
        assert not sm2.verify(PUBLIC, MESSAGE, bad)
    for bad in (r + n, n + s, s + r, r + opposite, b"\xff" * 64):
        assert not sm2.verify(PUBLIC, MESSAGE, bad)
    assert not sm2.verify(PUBLIC, MESSAGE + b"x", SIGNATURE)
    assert not sm2.verify(PUBLIC, MESSAGE, SIGNATURE, b"another identity")
    for key in (b"", PUBLIC[:-1], b"\x02" + PUBLIC[1:], PUBLIC[:-1] + b"\x00", bytes(65)):
        assert not sm2.verify(key, MESSAGE, SIGNATURE)
    for at in range(64):
        bad = SIGNATURE[:at] + bytes([SIGNATURE[at] ^ 1]) + SIGNATURE[at + 1 :]
        assert not sm2.verify(PUBLIC, MESSAGE, bad)


@pytest.mark.parametrize(
    "der",
    ["", "30", "3003020101", "300602010102010100", "30060201010201", "3006020101030101",
     "3006020181020101", "300702020001020101", "3046022200" + "11" * 33 + "02220011" + "11" * 32],
)  # fmt: skip
def test_bad_der(der: str) -> None:
    with pytest.raises(sm2.Sm2Error):
        sm2.from_der(bytes.fromhex(der))
    assert sm2.from_der(bytes.fromhex("3006020101020102"))[31::32] == b"\x01\x02"


def test_keys_and_notes(tmp_path: Path) -> None:
    """Twenty signatures by OpenSSL, each verified by our own code, and openssl verifies ours back."""
    signer = Sm2KeyFile.create(tmp_path / "k", "log.example/one")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert Verifier.parse(str(signer.verifier)) == signer.verifier
    assert signer.verifier.kind == SM2
    for n in range(20):
        text = Checkpoint("log.example/one", n, merkle.leaf_hash(b"%d" % n)).text()
        note = sign_note(text, [signer])
        assert parse_checkpoint(note, signer.verifier).size == n
        with pytest.raises(NoteError, match="is false"):
            parse_note(note.replace(f"\n{n}\n", f"\n{n + 1}\n"), signer.verifier)
    with pytest.raises(FileExistsError):
        Sm2KeyFile.create(tmp_path / "k", "log.example/one")
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(NoteError, match="mode 600"):
        Sm2KeyFile("log.example/one", tmp_path / "k")
    (tmp_path / "bad").write_text("rubbish")
    (tmp_path / "bad").chmod(0o600)
    with pytest.raises(NoteError, match=r"cannot read the signing key .*: openssl pkey: "):
        Sm2KeyFile("log.example/one", tmp_path / "bad")
    off = str(signer.verifier)[:-4]
    with pytest.raises(NoteError):
        Verifier.parse(off + "AAAA")


def test_the_second_signature_of_the_log(tmp_path: Path) -> None:
    with Log(tmp_path, origin="log.example/one") as log:
        log.append([b"first"])
    Sm2KeyFile.create(tmp_path / keyring.SM2_KEY, "log.example/one")
    with Log(tmp_path) as log:
        log.append([b"second"])
    second = Verifier.parse((tmp_path / keyring.SM2_VERIFIER).read_text())
    opened = open_log(tmp_path)
    both = parse_checkpoint(opened.note, [opened.verifier, second])
    assert both.verified == (opened.verifier, second)
    assert parse_checkpoint(opened.note, second).size == 2  # either is enough by itself
    lines = opened.note.splitlines(keepends=True)
    other = sign_note("x\n", [Sm2KeyFile("log.example/one", tmp_path / keyring.SM2_KEY)])
    swapped = "".join(lines[:-1]) + other.splitlines(keepends=True)[-1]
    with pytest.raises(NoteError, match=r"signature of log\.example/one is false"):
        parse_checkpoint(swapped, second)


def test_the_log_waits_where_openssl_cannot_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoint goes out without the second signature; what was written is kept."""
    Sm2KeyFile.create(tmp_path / keyring.SM2_KEY, "x")
    with Log(tmp_path) as log, monkeypatch.context() as patch:

        def broken(*_: object, **__: object) -> None:
            raise subprocess.TimeoutExpired("openssl", 30)

        patch.setattr(sm2.subprocess, "run", broken)
        with pytest.raises(LogError, match="cannot sign with SM2: openssl dgst"):
            log.append([b"one"])
    with Log(tmp_path) as log:
        assert log.size == 1
        assert len(open_log(tmp_path).note.splitlines()) == 6
    monkeypatch.setattr(sm2.shutil, "which", lambda _: None)
    with pytest.raises(LogError, match="needs the program openssl"):
        Log(tmp_path)
