from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei import hj212
from jingwei.hj212.catalogue import COMMANDS
from jingwei.telemetry import register
from jingwei.telemetry.intake import REASONS, Intake, masked
from jingwei.telemetry.register import Device, Register

MN = "010000A8900016F000169DC0"
PEER = "192.0.2.1:4000"


@pytest.fixture
def intake(tmp_path):
    path = tmp_path / "register.json"
    register.write(
        path,
        [
            Device(MN, "123456", systems=("31", "32")),
            Device("0" * 24, "123456", networks=("10.0.0.0/8",)),
            Device("1" * 24, "123456", enabled=False),
            Device("2" * 24, "123456", dialects=("lower",)),
            Device("3" * 14, "123456", version="2005"),
            Device("4" * 24, "123456", version="2025"),
        ],
    )
    return Intake(Register(path))


def test_a_good_telegram_is_accepted_and_answered_with_its_own_qn(intake, frame):
    verdict = intake.judge(frame(qn="20260310130001002"), PEER)
    assert (verdict.accepted, verdict.reason) == (True, "")
    answer = hj212.decode(verdict.answer)
    assert answer.ok
    assert (answer.cn, answer.qn, answer.st) == ("9014", "20260310130001002", "91")
    assert answer.mn == MN
    assert answer.flag == 4
    assert intake.judge(frame(flag=4), PEER).answer is None, "no answer was asked for"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mn": "F" * 24}, "unknown_mn"),
        ({"pw": "654321"}, "password"),
        ({"pw": ""}, "password"),
        ({"st": "21"}, "st"),
        ({"mn": "0" * 24}, "network"),
        ({"mn": "1" * 24}, "disabled"),
    ],
)
def test_what_the_register_forbids_is_refused_without_an_answer(intake, frame, change, reason):
    verdict = intake.judge(frame(**change), PEER)
    assert (verdict.accepted, verdict.reason, verdict.answer) == (False, reason, None)
    assert reason in REASONS
    assert verdict.message.cn == "2061", "what was read is there for the lists"


def test_a_device_may_send_from_its_network(intake, frame):
    assert intake.judge(frame(mn="0" * 24), "10.3.2.1:99").accepted
    assert intake.judge(frame(mn="0" * 24), "[::ffff:10.3.2.1]:99").accepted


def test_what_cannot_be_read_is_refused(intake, frame):
    good = frame()
    assert intake.judge(good[:-4] + b"0000", PEER).reason == "crc"
    assert intake.judge(good.replace(b"12.5", b"92.5"), PEER).reason == "crc"
    assert intake.judge(b"##0010QN=1234567ABCD", PEER).reason == "crc"
    body = b"QN=20260310130001002;ST=31;CN=2061;PW=123456;Flag=5;CP=&&&&"
    assert intake.judge(hj212.frame(body), PEER).reason == "format", "no MN"
    assert intake.judge(b"", PEER).reason == "format"
    for cut in range(len(good)):
        assert not intake.judge(good[:cut], PEER).accepted


def test_a_crc_dialect_is_accepted_only_where_the_register_says_so(intake, frame):
    lower = [
        f[:-4] + f[-4:].lower()
        for f in (
            frame(mn=mn, qn=f"2026031013000{n:04}") for mn in (MN, "2" * 24) for n in range(9)
        )
    ]
    assert any(f[-4:] != f[-4:].upper() for f in lower)
    for f in lower:
        is_upper = f[-4:] == f[-4:].upper()
        verdict = intake.judge(f, PEER)
        assert verdict.accepted is (is_upper or b"MN=2" in f)
        assert verdict.reason in ("", "crc")


def test_the_version_is_that_of_the_register(intake):
    segment = (
        "QN=20260310130001002;ST=31;CN=2061;PW=123456;MN=33333333333333;Flag=1;"
        "CP=&&DataTime=20260310120000;B01-Avg=1&&"
    )
    verdict = intake.judge(hj212.frame(segment), PEER)
    assert verdict.accepted
    assert verdict.message.version == "2005"
    answer = hj212.decode(verdict.answer, version="2005")
    assert (answer.cn, answer.qn, answer.params["CN"]) == ("9014", "20260310130001002", "2061")


@pytest.mark.parametrize(
    ("cn", "mn", "flag", "answer"),
    [
        ("2011", MN, 5, "9014"),
        ("2051", MN, 5, "9014"),
        ("2031", MN, 5, "9014"),
        ("2021", MN, 5, "9014"),
        ("2081", MN, 5, "9014"),
        ("3020", MN, 5, "9014"),
        ("1013", MN, 5, "9013"),
        ("9015", "4" * 24, 9, "9013"),
        ("9015", "4" * 24, 8, None),
        ("9016", MN, 5, "9014"),
        ("9011", MN, 5, None),
        ("9012", MN, 5, None),
        ("9013", MN, 5, None),
        ("1072", MN, 5, None),
    ],
)
def test_what_is_answered_with_what(intake, cn, mn, flag, answer):
    segment = hj212.segment(
        cn=cn, st="31", mn=mn, pw="123456", qn="20260310130001002", flag=flag, cp=""
    )
    verdict = intake.judge(hj212.frame(segment), PEER)
    assert verdict.accepted
    assert (verdict.answer and hj212.decode(verdict.answer).cn) == answer


@pytest.mark.parametrize("version", hj212.VERSIONS)
@pytest.mark.parametrize("cn", COMMANDS)
def test_the_codec_and_the_gateway_agree_on_every_command(intake, cn, version):
    """What only the host sends gets no answer; what the version does not have, that of data."""
    mn = {"2005": "3" * 14, "2017": MN, "2025": "4" * 24}[version]
    flag = {"2005": 1, "2017": 5, "2025": 9}[version]
    verdict = intake.judge(
        hj212.frame(
            f"QN=20260310130001002;ST=31;CN={cn};PW=123456;MN={mn};Flag={flag};"
            "CP=&&DataTime=20260310120000&&"
        ),
        PEER,
    )
    assert verdict.accepted
    found = COMMANDS[cn].get(version)
    wanted = "9014" if found is None else found.reply
    if cn in ("9011", "9012", "9013", "9014"):
        wanted = None
    assert hj212.reply(verdict.message) == wanted
    assert (verdict.answer and hj212.decode(verdict.answer, version=version).cn) == wanted
    if found is not None and found.up is None:
        assert wanted is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 170), st.integers(0, 170), st.booleans())
def test_nothing_that_is_sent_raises_or_is_taken_by_mistake(tmp_path_factory, junk, a, b, frames):
    good = hj212.frame(
        "QN=20260310130001002;ST=31;CN=2061;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
        "CP=&&DataTime=20260310120000;a21026-Avg=1.5,a21026-Flag=N&&"
    ).rstrip()
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    if not path.exists():
        register.write(path, [Device(MN, "123456")])
    low, high = sorted((a, b))
    changed = good[:low] + junk + good[high:]
    raw = hj212.frame(changed[6:-4]).rstrip() if frames else changed
    verdict = Intake(Register(path)).judge(raw, PEER)
    assert (verdict.reason == "") is verdict.accepted
    if verdict.accepted:
        assert verdict.message.mn == MN
        assert verdict.message.pw == "123456"
    else:
        assert verdict.answer is None


def test_an_answer_of_the_device_may_carry_the_interaction_system(intake, frame):
    segment = hj212.segment(
        cn="9011", st="91", mn=MN, pw="123456", qn="20260310130001002", cp="QnRtn=1"
    )
    assert intake.judge(hj212.frame(segment), PEER).accepted


def test_a_telegram_is_shown_without_its_password():
    raw = b"##0042QN=1;PW=123456;MN=A1;CP=&&a=\xff&&CRC1\r\n"
    assert masked(raw) == "##0042QN=1;PW=******;MN=A1;CP=&&a=\\xff&&CRC1"
    assert masked(b"\xe4\xb8\xad PW=1") == "中 PW=******"
