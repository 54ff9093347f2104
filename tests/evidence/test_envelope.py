"""Secrets that can be forgotten."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei.evidence.envelope import ErasedError, KeyFolder, SealError


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "identities")


def test_what_is_sealed_opens_under_its_name_alone(keys: KeyFolder):
    sealed = keys.seal("张三 13800000000".encode(), "complaint:1")
    assert "张三".encode() not in sealed
    assert keys.open(sealed, "complaint:1").decode() == "张三 13800000000"
    with pytest.raises(SealError, match="something else"):
        keys.open(sealed, "complaint:2")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_and_it_does_not_open(keys: KeyFolder, at: int, bit: int):
    sealed = bytearray(keys.seal(b"who it was", "x"))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(SealError):
        keys.open(bytes(sealed), "x")


@pytest.mark.parametrize("rubbish", [b"", b"JW1", b"JW1" + b"\0" * 30, b"x" * 200])
def test_rubbish_is_refused(keys: KeyFolder, rubbish: bytes):
    with pytest.raises(SealError):
        keys.open(rubbish, "x")


def test_erased_means_for_ever_and_for_one_alone(keys: KeyFolder):
    one, two = keys.seal(b"one", "1"), keys.seal(b"two", "2")
    assert keys.erase(one)
    assert not keys.erase(one)
    assert not keys.kept(one)
    with pytest.raises(ErasedError):
        keys.open(one, "1")
    assert keys.open(two, "2") == b"two"


def test_rotation_destroys_the_old_master_and_keeps_what_is_sealed(keys: KeyFolder):
    sealed = [keys.seal(b"%d" % n, "x") for n in range(5)]
    old = (keys.folder / "master-0001").read_text()
    assert keys.rotate() == 5
    assert [p.name for p in sorted(keys.folder.glob("master-*"))] == ["master-0002"]
    assert [keys.open(s, "x") for s in sealed] == [b"0", b"1", b"2", b"3", b"4"]
    assert old not in "".join(p.read_text() for p in keys.folder.rglob("*") if p.is_file())


def test_a_rotation_that_was_cut_short_is_finished_by_the_next(keys: KeyFolder, monkeypatch):
    sealed = [keys.seal(b"%d" % n, "x") for n in range(4)]
    from jingwei.evidence import envelope

    wrap, count = envelope._wrap, iter(range(10))

    def failing(*args):
        if next(count) == 2:
            raise OSError("the power went")
        return wrap(*args)

    monkeypatch.setattr(envelope, "_wrap", failing)
    with pytest.raises(OSError, match="power"):
        keys.rotate()
    assert [keys.open(s, "x") for s in sealed] == [b"0", b"1", b"2", b"3"]
    monkeypatch.setattr(envelope, "_wrap", wrap)
    assert keys.rotate() == 4
    assert len(list(keys.folder.glob("master-*"))) == 1
    assert [keys.open(s, "x") for s in sealed] == [b"0", b"1", b"2", b"3"]


def test_nobody_else_may_read_the_keys(keys: KeyFolder):
    keys.seal(b"x", "x")
    for path in [keys.folder, *keys.folder.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_damaged_key_is_told_from_an_erased_one(keys: KeyFolder):
    sealed = keys.seal(b"x", "x")
    path = next((keys.folder / "keys").glob("*/*"))
    path.write_text("1 00 00")
    with pytest.raises(SealError, match="damaged") as told:
        keys.open(sealed, "x")
    assert not isinstance(told.value, ErasedError)
