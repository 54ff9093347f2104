"""Secrets at rest, and telegrams of 2025 through intake, gateway and ingest with them."""

from __future__ import annotations

import json

import pytest

from jingwei import hj212
from jingwei.telemetry import register
from jingwei.telemetry.intake import Intake
from jingwei.telemetry.keys import NAME, KeyBox, SealError, read_key
from jingwei.telemetry.register import Device, Register

MN = "010000A8900016F000169DC0"
OTHER = "F" * 24
PEER = "192.0.2.1:4000"
OLD, NEW, OLDEST = b"0123456789abcdef", bytes(range(16)), b"k" * 16


def telegram(key=None, form="raw", value="12.5", mn=MN):
    return hj212.frame(
        hj212.segment(
            cn="2061", st="31", mn=mn, pw="123456", qn="20260310130001002", flag=9,
            cp=f"DataTime=20260310120000;a21026-Avg={value},a21026-Flag=N",
        ),
        key=key, form=form,
    ).rstrip(b"\r\n")  # fmt: skip


def publish(house, keys=(OLD,), **more):
    box = KeyBox(house.root / NAME)
    sealed = tuple(box.seal(MN, key) for key in keys)
    register.write(
        house.root / "register.json", [Device(MN, "123456", "2025", keys=sealed, **more)]
    )
    return Intake(Register(house.root / "register.json"))


def test_a_secret_opens_with_its_box_and_for_its_device_only(tmp_path):
    box = KeyBox(tmp_path / "a" / NAME)
    sealed = box.seal(MN, OLD)
    assert KeyBox(box.path).open(MN, sealed) == OLD
    assert sealed != box.seal(MN, OLD), "a fresh nonce each time"
    assert box.path.stat().st_mode & 0o777 == 0o600
    assert OLD.hex() not in sealed
    with pytest.raises(SealError, match="not sealed with"):
        box.open(OTHER, sealed)
    other = KeyBox(tmp_path / "b" / NAME)
    with pytest.raises(SealError, match="missing"):
        other.open(MN, sealed)
    other.seal(MN, b"x")
    with pytest.raises(SealError, match="not sealed with"):
        other.open(MN, sealed)
    for broken in ("", "a1.", "a1.!!", sealed[:-8], "x" + sealed):
        with pytest.raises(SealError):
            box.open(MN, broken)
    box.path.write_text("short")
    with pytest.raises(SealError, match="64 hexadecimal digits"):
        box.seal(MN, OLD)


def test_a_key_is_written_as_digits_or_as_characters():
    assert read_key(" 000102030405060708090a0b0c0d0e0F ") == NEW
    assert read_key("0123456789abcdef") == OLD
    for wrong in ("", "0123", "zz" * 16, "键" * 16, "0" * 31):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            read_key(wrong)


@pytest.mark.parametrize("form", ["raw", "hex", "base64", "literal"])
def test_an_encrypted_telegram_is_taken_with_the_key_of_its_device(house, form):
    verdict = publish(house).judge(telegram(OLD, form), PEER)
    assert verdict.accepted, verdict.message.error
    assert verdict.message.items[0].fields["Avg"] == "12.5"
    assert hj212.decode(verdict.answer).cn == "9014"


def test_after_a_rotation_both_keys_open_and_an_older_one_does_not(house):
    intake = publish(house, (NEW, OLD, OLDEST))
    assert intake.judge(telegram(NEW), PEER).message.problems == ()
    late = intake.judge(telegram(OLD), PEER)
    assert late.accepted
    assert "the key before the present one" in late.message.problems
    assert intake.judge(telegram(OLDEST), PEER).reason == "wrong_key"
    assert "not open" in intake.judge(telegram(OLDEST), PEER).message.error


def test_without_a_key_or_with_a_wrong_one_the_reason_says_so(house):
    assert publish(house, ()).judge(telegram(OLD), PEER).reason == "no_key"
    intake = publish(house, (NEW,))
    assert intake.judge(telegram(OLD), PEER).reason == "wrong_key"
    assert intake.judge(telegram(OLD, mn=OTHER), PEER).reason == "unknown_mn"
    clear = intake.judge(telegram(), PEER)
    assert clear.accepted
    assert "clear text although the device has a key" in clear.message.problems
    flipped = bytearray(telegram(NEW))
    flipped[-20] ^= 1
    assert not intake.judge(bytes(flipped), PEER).accepted


def test_a_lost_key_file_is_said_and_nothing_is_taken_for_clear(house):
    publish(house)
    (house.root / NAME).unlink()
    found = Register(house.root / "register.json")
    assert Intake(found).judge(telegram(OLD), PEER).reason == "wrong_key"
    assert "is missing" in found.problem


def test_what_came_encrypted_reaches_the_lake_with_keys_that_have_long_gone(house):
    publish(house, (NEW, OLD, OLDEST))
    house.put([telegram(OLDEST, value="1"), telegram(NEW, "base64", value="2"), telegram()])
    ingest = house.ingest()
    assert ingest.step().observations == 3
    ingest.close()
    assert [p.kind for p in house.lake.problems()] == []


def test_the_register_file_holds_no_key(house):
    publish(house)
    text = (house.root / "register.json").read_text()
    assert OLD.decode() not in text
    assert OLD.hex() not in text
    assert json.loads(text)["devices"][0]["keys"][0].startswith("a1.")
