"""Telegrams to messages: what is read, what is named, what is refused; and nothing raises."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jingwei.hj212 import (
    DIALECTS,
    Message,
    crc16,
    data_cp,
    decode,
    decode_segment,
    frame,
    number,
    qn,
    segment,
)
from jingwei.hj212.crc import modbus

from .samples import HEAD, rows

ALL = frozenset(DIALECTS)
JANUARY = datetime(2024, 1, 31, 23, 59, 59, 123456, UTC)


def _read(cp: str, head: str = HEAD) -> Message:
    return decode(frame(f"{head}CP=&&{cp}&&"))


def _kinds(message: Message) -> set[str]:
    return {problem.partition(":")[0] for problem in message.problems}


# ── the worked examples of the standards ───────────────────────────────────────────────────────


def test_worked_example_of_2017() -> None:
    raw = (
        b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;"
        b"Flag=5;CP=&&RtdInterval=30&&1C80\r\n"
    )
    message = decode(raw)
    assert message.to_json() == {
        "ok": True, "error": None, "version": "2017", "qn": "20160801085857223", "st": "32",
        "cn": "1062", "mn": "010000A8900016F000169DC0", "flag": 5, "pnum": None, "pno": None,
        "data_time": None, "rf": None, "items": [], "params": {"RtdInterval": "30"},
        "crc": {"given": "1C80", "computed": "1C80", "ok": True, "dialect": None}, "problems": [],
    }  # fmt: skip
    assert message.pw == "100000"
    assert message.raw == raw
    assert message.wants_answer
    assert not message.split
    assert message.time is None


def test_worked_example_of_2025() -> None:
    message = decode(
        b"##0087QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;"
        b"Flag=9;CP=&&&&2200\r\n"
    )
    assert (message.ok, message.version, message.cn, message.problems) == (True, "2025", "1011", ())


def test_an_hour_of_2017() -> None:
    message = _read(
        "DataTime=20240601080000;w00000-Cou=63.0,w00000-Avg=17.5,w00000-Flag=N;"
        "w01018-Min=0040.10,w01018-Avg=40.1,w01018-Max=40.1,w01018-Flag=D"
    )
    assert message.ok
    assert message.problems == ()
    assert message.data_time == "20240601080000"
    assert message.time == datetime(2024, 6, 1, 0, tzinfo=UTC)
    assert [(i.code, i.fields) for i in message.items] == [
        ("w00000", {"Cou": "63.0", "Avg": "17.5", "Flag": "N"}),
        ("w01018", {"Min": "0040.10", "Avg": "40.1", "Max": "40.1", "Flag": "D"}),
    ]
    assert message.to_json()["items"][1] == {
        "code": "w01018", "Min": "0040.10", "Avg": "40.1", "Max": "40.1", "Flag": "D",
    }  # fmt: skip


def test_back_filled_data_of_2025_are_marked_before_cp() -> None:
    head = HEAD.replace("Flag=5", "Flag=9") + "RF=1;"
    assert _read("DataTime=20240601080000;w01018-Avg=1", head).rf == "1"


# ── versions ───────────────────────────────────────────────────────────────────────────────────

MN14, MN24 = "88888880000001", "010000A8900016F000169DC0"


@pytest.mark.parametrize(
    ("head", "cp", "version"),
    [
        (f"ST=32;CN=2051;PW=123456;MN={MN14};", "DataTime=20240601080000;011-Avg=1", "2005"),
        (f"ST=32;CN=2051;PW=123456;MN={MN24};", "DataTime=20240601080000;011-Avg=1", "2005"),
        (f"ST=32;CN=2051;PW=123456;MN={MN14};", "DataTime=20240601080000;w01018-Avg=1", "2017"),
        (f"QN=20040516010101001;ST=32;CN=2011;PW=123456;MN={MN14};Flag=3;", "", "2005"),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN14};Flag=3;", "", "2005"),
        ("QN=20240516010101001;ST=32;CN=2011;PW=123456;MN=0001;Flag=0;", "", "2017"),
        ("QN=20240516010101001;ST=32;CN=2011;PW=123456;MN=0001;Flag=3;", "", "2005"),
        (
            "QN=20240516010101001;ST=32;CN=2011;PW=123456;MN=0001;Flag=2;",
            "DataTime=20240601080000;a01001-Rtd=1",
            "2017",
        ),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN14};Flag=0;", "", "2005"),
        ("QN=20040516010101001;ST=32;CN=2011;PW=123456;MN=0001;Flag=0;", "", "2005"),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN14};Flag=4;", "", "2017"),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN24};Flag=7;", "", "2017"),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN24};Flag=8;", "", "2025"),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN24};Flag=11;", "", "2025"),
        (f"QN=20240516010101001;ST=32;CN=2011;PW=123456;MN={MN24};Flag=12;", "", "2017"),
    ],
)
def test_version_without_a_register(head: str, cp: str, version: str) -> None:
    assert _read(cp, head).version == version


def test_the_register_decides_and_doubts_are_named() -> None:
    raw = frame(f"{HEAD}CP=&&&&")
    message = decode(raw, version="2025")
    assert message.ok
    assert message.version == "2025"
    assert "version bits of the Flag: they say 2017, read as 2025" in message.problems
    assert decode(raw, version="2017").problems == ()
    old = _read("DataTime=20210301111100;w01001-Rtd=8", HEAD.replace("Flag=5", "Flag=8"))
    assert old.version == "2025"
    assert "version bits of the Flag: they say 2025 in a telegram of 2021" in old.problems


def test_wrong_arguments_are_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="version '2016'"):
        decode(b"", version="2016")
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        decode_segment(b"", key=b"abc")


# ── check sums ─────────────────────────────────────────────────────────────────────────────────


def _swap(value: int) -> int:
    return (value & 0xFF) << 8 | value >> 8


def _dialect_frames() -> dict[str, bytes]:
    """One frame in each dialect, of a telegram whose check sums cannot be taken for each other."""
    for n in range(100_000):
        body = f"QN={n:017};ST=32;CN=1062;PW=100000;MN={MN24};Flag=5;CP=&&RtdInterval=30&&".encode()
        right, other = crc16(body), modbus(body)
        mixed = f"{right:04X}"
        sums = {right, _swap(right), other, _swap(other)}
        if mixed[0] == "0" and mixed != mixed.lower() and len(sums) == 4 and other > 0x1000:
            front = b"##%04d%b" % (len(body), body)
            return {
                "lower": front + b"%04x\r\n" % right,
                "unpadded": front + b"%X\r\n" % right,
                "modbus": front + b"%04X\r\n" % other,
                "swapped": front + b"%04X\r\n" % _swap(right),
                "modbus-swapped": front + b"%04X\r\n" % _swap(other),
            }
    raise AssertionError("no such telegram")


DIALECT_FRAMES = _dialect_frames()


@pytest.mark.parametrize("name", DIALECT_FRAMES)
def test_a_dialect_is_named_and_taken_only_where_it_is_allowed(name: str) -> None:
    raw = DIALECT_FRAMES[name]
    refused = decode(raw)
    assert not refused.ok
    assert refused.error is not None
    assert refused.error.startswith(f"CRC dialect '{name}' is not accepted")
    assert not decode(raw, dialects=ALL - {name}).ok
    taken = decode(raw, dialects=frozenset({name}))
    assert taken.ok
    assert taken.params == refused.params == {"RtdInterval": "30"}
    assert taken.crc is not None
    assert refused.crc is not None
    assert (taken.crc.dialect, taken.crc.ok) == (name, True)
    # Lower-case digits are the printed check sum itself; its use still has to be allowed.
    assert (refused.crc.dialect, refused.crc.ok) == (name, name == "lower")
    assert taken.crc.given == refused.crc.given == raw.rstrip().rpartition(b"&&")[2].decode()


def test_wrong_check_sum() -> None:
    raw = frame(f"{HEAD}CP=&&DataTime=20240601080000;w01018-Avg=1.0&&")
    message = decode(raw.replace(b"Avg=1.0", b"Avg=2.0"), dialects=ALL)
    assert not message.ok
    assert message.error is not None
    assert message.error.startswith("wrong CRC: ")
    assert message.crc is not None
    assert (message.crc.ok, message.crc.dialect) == (False, None)
    assert message.items[0].fields == {"Avg": "2.0"}  # still shown


# ── frames that are none ───────────────────────────────────────────────────────────────────────

GOOD = frame(f"{HEAD}CP=&&DataTime=20240601080000;w01018-Avg=1.0&&")
SIZE = int(GOOD[2:6])


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "no frame: it does not begin with '##'"),
        (b"hello\r\n", "no frame: it does not begin with '##'"),
        (b"##", "no frame: no four digits of length"),
        (b"##12x4" + GOOD[6:], "no frame: no four digits of length"),
        ("##０１２３".encode() + GOOD[6:], "no frame: no four digits of length"),
        (b"##0000", "incomplete: 0 of 4 bytes"),
        (GOOD[:-3], "wrong CRC"),  # three digits of the four
        (GOOD[:-6], f"incomplete: {SIZE} of {SIZE + 4} bytes"),
        (GOOD[:60], f"incomplete: 54 of {SIZE + 4} bytes"),
        (b"##%04d" % (SIZE + 1) + GOOD[6:], f"wrong length: {SIZE + 1} declared, {SIZE} bytes"),
        (b"##%04d" % (SIZE - 1) + GOOD[6:], f"wrong length: {SIZE - 1} declared, {SIZE} bytes"),
        (b"##9999" + GOOD[6:], f"wrong length: 9999 declared, {SIZE} bytes present"),
        (GOOD[:-2] + b"zz\r\n", "no CRC behind the declared length"),
        (GOOD + GOOD, f"more than one telegram: {SIZE + 12} bytes behind the first"),
        (GOOD.rstrip() + GOOD, f"more than one telegram: {SIZE + 10} bytes behind the first"),
    ],
)
def test_what_is_no_frame(raw: bytes, error: str) -> None:
    message = decode(raw, dialects=frozenset({"lower"}))
    assert not message.ok
    assert message.error is not None
    assert message.error.startswith(error)
    json.dumps(message.to_json())


def test_length_counted_in_characters() -> None:
    body = f"{HEAD.replace('2051', '3020')}CP=&&DataTime=20240601080000;i11001-Info=//清洗管路//&&"
    right = frame(body)
    message = decode(b"##%04d%b" % (len(body), right[6:]))
    assert not message.ok
    assert message.error is not None
    assert f"({len(body)} characters: bytes are to be counted)" in message.error
    assert decode(right).ok


# ── content: named or refused ──────────────────────────────────────────────────────────────────

T = "DataTime=20240601080000;"


@pytest.mark.parametrize(
    ("cp", "kind", "items"),
    [
        (T + "a1-Avg=1,a1-Flag=N,;", "empty part", [("a1", {"Avg": "1", "Flag": "N"})]),
        (T + "a1-Avg=1;;a2-Avg=2", "empty part", [("a1", {"Avg": "1"}), ("a2", {"Avg": "2"})]),
        (T + "a1-Avg=1;a1-Flag=N", "';' inside an item", [("a1", {"Avg": "1", "Flag": "N"})]),
        (
            T + "a1-Avg=1,a2-Avg=2",
            "',' between items",
            [("a1", {"Avg": "1"}), ("a2", {"Avg": "2"})],
        ),
        (
            T + "a1-SampleTime=20240601070000,1-Avg=2,a1-Flag=N",
            "',' between items",
            [("a1", {"SampleTime": "20240601070000", "Flag": "N"}), ("1", {"Avg": "2"})],
        ),
        (T + "a1-Avg=1;a1-Avg=1", "given twice", [("a1", {"Avg": "1"}), ("a1", {"Avg": "1"})]),
        (T + "a1-Avg=1,a1-Avg=2", "given twice", [("a1", {"Avg": "1"}), ("a1", {"Avg": "2"})]),
        (T + " a1-Avg = 1 , a1-Flag=N", "spaces", [("a1", {"Avg": "1", "Flag": "N"})]),
        (T + "a1-Foo=1", "field not in the standard", [("a1", {"Foo": "1"})]),
        (T + "pms_rules-Avg=7", "", [("pms_rules", {"Avg": "7"})]),
        (T + "a1-Avg=1;a1-i13004=5", "';' inside an item", [("a1", {"Avg": "1", "i13004": "5"})]),
        (T + "a1-Min=3,a1-Avg=2,a1-Max=4", "implausible", None),
        (T + "a1-Min=5,a1-Max=4", "implausible", None),
        (T + "a1-Avg=1…", "ellipsis", [("a1", {"Avg": "1"})]),
        (T + "DataTime=20240601080000;a1-Avg=1", "given twice", [("a1", {"Avg": "1"})]),
        (
            T + "L5-Data=53.0;L10-Data=53.0;L5-DayData=52.0",
            "",
            [("L5", {"Data": "53.0"}), ("L10", {"Data": "53.0"}), ("L5", {"DayData": "52.0"})],
        ),
        ("DataTime=20240601080000123;a1-Avg=1", "DataTime of 17 digits", None),
        ("Ip=1.2.3.4", "parameter not in the standard", []),
    ],
)
def test_harmless_deviations(
    cp: str, kind: str, items: list[tuple[str, dict[str, str]]] | None
) -> None:
    message = _read(cp)
    assert message.ok, message.error
    assert _kinds(message) == ({kind} if kind else set())
    if items is not None:
        assert [(i.code, i.fields) for i in message.items] == items


@pytest.mark.parametrize(
    ("cp", "error"),
    [
        (T + "w01018", "ungrammatical: 'w01018' in CP"),
        (T + "=5", "ungrammatical: '=5' in CP"),
        (T + "-Avg=5", "ungrammatical: '-Avg=5' in CP"),
        (T + "w01018-=5", "ungrammatical: 'w01018-=5' in CP"),
        (T + "w01018-Avg=1&&w", "ungrammatical: '&&' inside CP"),
        (T + "DataTime=20240601090000;w01018-Avg=1", "ungrammatical: two different DataTime"),
        (T + "w01018-Avg=1\x00", "ungrammatical: control characters"),
        ("w01018-Avg=1", "no DataTime"),
        ("DataTime=20240230080000;w01018-Avg=1", "DataTime '20240230080000' is no time"),
        ("DataTime=2024-06-01 08:00;w01018-Avg=1", "DataTime '2024-06-01 08:00' is no time"),
        ("DataTime=２０２４０６０１０８００００;w01018-Avg=1", "DataTime '２０２４"),
    ],
)
def test_content_that_is_refused(cp: str, error: str) -> None:
    message = _read(cp)
    assert not message.ok
    assert message.error is not None
    assert message.error.startswith(error)


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (HEAD.replace("CN=2051;", ""), "no CN"),
        (HEAD.replace("CN=2051", "CN=20511"), "CN '20511' is no four digits"),
        (HEAD.replace("CN=2051", "CN=２０５１"), "CN '２０５１' is no four digits"),
        (HEAD.replace("MN=010000A8900016F000169DC0;", ""), "no MN"),
        (HEAD.replace("MN=010000A8900016F000169DC0;", "MN=;"), "no MN"),
        (HEAD + "MN=OTHER;", "ungrammatical: two different MN in the header"),
        (HEAD.replace("123456", "123\n56"), "ungrammatical: control characters in the header"),
        (HEAD + "hello;", "ungrammatical: 'hello' in the header"),
        (HEAD + "PNUM=2;PNO=3;", "split packet 3 of 2"),
        (HEAD + "PNUM=2;PNO=0;", "split packet 0 of 2"),
        (HEAD + "PNUM=2;", "PNUM and PNO are not two numbers"),
        (HEAD + "PNUM=99999;PNO=1;", "PNUM and PNO are not two numbers"),
        (HEAD + "PNUM=-2;PNO=1;", "PNUM and PNO are not two numbers"),
    ],
)
def test_headers_that_are_refused(head: str, error: str) -> None:
    message = _read(T + "w01018-Avg=1", head)
    assert not message.ok
    assert message.error is not None
    assert message.error.startswith(error)


@pytest.mark.parametrize(
    ("head", "kinds"),
    [
        (HEAD, set()),
        (HEAD.replace("ST=32;", ""), {"no ST"}),
        (HEAD.replace("ST=32", "ST=80"), {"ST not in the standard of 2017"}),
        (HEAD.replace("PW=123456;", ""), {"no PW"}),
        (HEAD.replace("PW=123456", "PW="), {"PW is not 6 characters"}),
        (HEAD.replace("QN=20240601085857223;", ""), {"no QN"}),
        (HEAD.replace("Flag=5;", ""), {"no Flag"}),
        (HEAD.replace("Flag=5", "Flag=x"), {"Flag is no number"}),
        (HEAD.replace("Flag=5", "Flag=256"), {"Flag is no number"}),
        (HEAD.replace("CN=2051", "CN=9021"), {"CN in no version of the standard"}),
        (HEAD.replace("CN=2051", "CN=2111"), {"CN not in the standard of 2017"}),
        (HEAD + "Foo=1;", {"header field not in the standard"}),
        (HEAD + "MN=010000A8900016F000169DC0;", {"given twice"}),
        (
            HEAD + "PNO=1;PNUM=2;",
            {"PNO before PNUM", "PNUM and PNO, but the Flag does not say split"},
        ),
        (HEAD.replace("Flag=5", "Flag=7"), {"Flag says split, but there is no PNUM and PNO"}),
        (HEAD.replace(";Flag", "; Flag"), {"spaces"}),
        (HEAD[:-1], {"no ';' before CP"}),
        (HEAD.replace(";ST", ",ST"), {"',' for ';' in the header"}),
        (HEAD + ";", {"empty part"}),
    ],
)
def test_headers_that_deviate(head: str, kinds: set[str]) -> None:
    message = _read(T + "w01018-Avg=1", head)
    assert message.ok, message.error
    assert _kinds(message) == kinds


def test_a_password_may_hold_a_comma() -> None:
    assert _read("", HEAD.replace("123456", "a,b,c,")).pw == "a,b,c,"


def test_other_endings() -> None:
    stars = decode(GOOD.rstrip() + b"**\r\n")
    assert stars.ok
    assert stars.problems == ("terminator '**' instead of CR LF",)
    body = f"{HEAD}CP=&&{T}w01018-Avg=1"
    assert decode(frame(body)).problems == ("CP is not closed by '&&'",)
    assert decode(frame(HEAD.replace("2051", "9013"))).problems == ("no CP",)
    assert decode(frame(f"{HEAD}CP=5")).error == "ungrammatical: no '&&' behind 'CP='"


def test_over_1024_bytes_is_named() -> None:
    items = ";".join(f"w{n:05}-Avg={n}.25,w{n:05}-Flag=N" for n in range(60))
    message = _read(T + items)
    assert message.ok
    assert len(message.items) == 60
    assert _kinds(message) == {"segment over 1024 bytes"}


def test_repeated_problems_are_counted() -> None:
    message = _read(T + "a1-Foo=1,a1-Bar=2,a1-Baz=3")
    assert message.problems == ("field not in the standard: Foo (and 2 more)",)


def test_log_texts_may_hold_separators() -> None:
    head = HEAD.replace("2051", "3020")
    message = _read(T + "PolId=w01018;i11001-Info=//a,b;c=d\r\n/ e//,i11002-Info=//x;y//", head)
    assert message.ok, message.error
    assert message.params == {"PolId": "w01018"}
    got = [(i.code, i.fields) for i in message.items]
    assert got == [
        ("i11001", {"Info": "//a,b;c=d\r\n/ e//"}),
        ("i11002", {"Info": "//x;y//"}),
    ]


def test_names_that_come_again_are_joined() -> None:
    message = _read("PolId=101;PolId=102", HEAD.replace("2051", "1021").replace("Flag=5;", ""))
    assert message.params == {"PolId": "101,102"}


# ── text and numbers ───────────────────────────────────────────────────────────────────────────


def test_gb18030_is_read_and_named() -> None:
    head = HEAD.replace("2051", "3020")
    body = f"{head}CP=&&{T}PolId=w01018;i11001-Info=//清洗管路//&&"
    message = decode(frame(body.encode("gb18030")))
    assert message.ok
    assert message.problems == ("encoding: GB18030 instead of UTF-8",)
    assert message.items[0].fields == {"Info": "//清洗管路//"}
    assert decode(frame(body)).problems == ()


def test_neither_utf8_nor_gb18030() -> None:
    message = decode(frame(f"{HEAD}CP=&&i11001-Info=".encode() + b"\xff\xff&&"))
    assert message.error == "not text: neither UTF-8 nor GB18030"
    assert message.mn == "010000A8900016F000169DC0"


@pytest.mark.parametrize(
    "text",
    ["NaN", "nan", "inf", "-Infinity", "1e400", "１２", "1_0", "0x10", "", "--", "1,5"[:1] + "．5",
     "1.2.3", "1e", "+", ".", "1 0", "٣"],
)  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None
    message = _read(f"{T}w01018-Avg={text},w01018-Flag=N;w21003-Avg=1.0")
    assert message.ok  # the other values are good
    assert message.items[0].fields["Avg"] == text
    assert "not a number" in _kinds(message)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("-1.50", -1.5), ("+3", 3.0), (".5", 0.5), ("5.", 5.0), ("1.2E-05", 1.2e-5),
     ("007", 7.0), ("1e-400", 0.0), ("9" * 300, float("9" * 300))],
)  # fmt: skip
def test_what_is_a_number(text: str, value: float) -> None:
    assert number(text) == value
    message = _read(f"{T}w01018-Avg={text}")
    assert message.problems == ()
    assert message.items[0].fields["Avg"] == text


@given(st.text(max_size=12))
def test_number_never_raises_and_never_gives_what_is_not_finite(text: str) -> None:
    value = number(text)
    assert value is None or value - value == 0.0


def test_request_numbers_are_shanghai_time() -> None:
    assert qn(JANUARY) == "20240201075959123"
    with pytest.raises(ValueError, match="aware"):
        qn(datetime(2024, 1, 1))


# ── round trips and fuzz ───────────────────────────────────────────────────────────────────────

_code = st.from_regex(r"\A[a-z][0-9]{5}\Z")
_value = st.decimals(-1000, 100000, places=3).map(str)
_item = st.fixed_dictionaries(
    {"Avg": _value}, optional={"Cou": _value, "Flag": st.sampled_from("NFMSDCTB")}
)


@settings(max_examples=150, deadline=None)
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),
    st.dictionaries(_code, _item, max_size=30),
    st.sampled_from([4, 5, 8, 9]),
    st.one_of(st.none(), st.integers(2, 99)),
)
def test_what_is_built_is_read_back(
    time: datetime, items: dict[str, dict[str, str]], flag: int, pnum: int | None
) -> None:
    time = time.replace(microsecond=0)
    text = segment(
        cn="2061", st="32", mn=MN24, pw="123456", qn=qn(time), flag=flag,
        cp=data_cp(time, items.items()), pnum=pnum, pno=None if pnum is None else 1,
    )  # fmt: skip
    message = decode(frame(text))
    assert message.ok, message.error
    assert _kinds(message) <= {"segment over 1024 bytes", "version bits of the Flag"}
    assert message.time == time
    assert message.flag == flag | (0 if pnum is None else 2)
    assert (message.qn, message.st, message.cn, message.mn) == (qn(time), "32", "2061", MN24)
    assert (message.pnum, message.pno) == (pnum, None if pnum is None else 1)
    assert {i.code: i.fields for i in message.items} == items
    assert decode_segment(text.encode()).items == message.items


def _sound(message: Message) -> None:
    """What must be true of a message whatever came in."""
    assert message.ok is (message.error is None)
    text = json.dumps(message.to_json(), ensure_ascii=False)
    text.encode()
    assert "\x00" not in "".join(v or "" for v in (message.mn, message.qn, message.st, message.pw))
    if message.ok:
        assert message.cn is not None


SEEDS = [r["raw"].encode() for r in rows()]


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, "2005", "2017", "2025"]))
@example(b"##0000FFFF", None)
@example(b"##0007CP=&&&&0000", None)
def test_random_bytes_never_raise(data: bytes, version: str | None) -> None:
    _sound(decode(data, version=version))
    _sound(decode_segment(data, version=version, key=b"k" * 16))
    _sound(decode(frame(data), version=version))
    message = decode(frame(HEAD.encode() + b"CP=&&" + data + b"&&"), version=version)
    _sound(message)


_text = st.text(st.sampled_from("=;,-&/ .…DataTimeRtdFlgN0159a\r\n\0_汉１"), max_size=60)


@settings(max_examples=400, deadline=None)
@given(_text, _text)
def test_almost_grammatical_text_never_raises(header: str, cp: str) -> None:
    _sound(decode(frame(f"{HEAD}{header}CP=&&{cp}&&"), key=b"k" * 16))
    _sound(decode_segment(f"{header}CP=&&{T}{cp}&&".encode()))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_mutated_telegrams_never_raise(seed: bytes, draw: st.DataObject) -> None:
    data = bytearray(seed)
    for _ in range(draw.draw(st.integers(1, 4))):
        i = draw.draw(st.integers(0, max(len(data) - 1, 0)))
        match draw.draw(st.integers(0, 3)):
            case 0:
                data[i : i + 1] = draw.draw(st.binary(max_size=3))
            case 1:
                del data[i : i + draw.draw(st.integers(1, 20))]
            case 2:
                data[i:i] = data[max(i - 10, 0) : i]
            case 3:
                data = data[:i]
    raw = bytes(data)
    _sound(decode(raw))
    _sound(decode(raw, dialects=ALL, version="2025", key=b"k" * 16))
    inner = raw[6:-4] if raw.startswith(b"##") else raw
    _sound(decode(frame(inner)))
    _sound(decode_segment(inner))


_USUAL = "QN=20260310130000123;ST=31;CN=2061;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
_PLAIN = "DataTime=20260310120000;a21026-Min=1,a21026-Avg=2,a21026-Max=3,a21026-Flag=N"


@settings(max_examples=600, deadline=None)
@given(st.data(), st.sampled_from(("2017", "2025")), st.booleans())
def test_the_short_way_says_what_the_long_way_says(
    draw: st.DataObject, version: str, of_corpus: bool
) -> None:
    """Telegrams as the standard prints them, and such with one or two signs changed."""
    from jingwei.hj212 import decoder

    text = (_USUAL.replace("Flag=5", f"Flag={draw.draw(st.sampled_from('01234567895'))}")
            + f"CP=&&{_PLAIN}&&").encode()  # fmt: skip
    if of_corpus:
        text = draw.draw(st.sampled_from(SEEDS))[6:-4] or text
    data = bytearray(text)
    for _ in range(draw.draw(st.integers(0, 2))):
        i = draw.draw(st.integers(0, len(data) - 1))
        data[i : i + draw.draw(st.integers(0, 2))] = draw.draw(
            st.sampled_from(
                (b"", b"&", b"&&", b";", b",", b"=", b"9", b"x", b" ", b"\n", b"\xc3\xa4")
            )
        )
    raw = frame(bytes(data[:9999])).rstrip(b"\r\n")
    if draw.draw(st.booleans()):
        raw = raw[:-1] + draw.draw(st.sampled_from((b"0", b"a", b"\r")))
    found = decode(raw, version=version)
    short = decoder._USUAL
    decoder._USUAL = re.compile("(?!)")
    try:
        assert decode(raw, version=version) == found
    finally:
        decoder._USUAL = short


def test_the_short_way_is_taken() -> None:
    from jingwei.hj212 import decoder

    raw = frame(f"{_USUAL}CP=&&{_PLAIN}&&").rstrip()
    assert decoder._usual(raw, "2017") == decode(raw, version="2017")
    assert decoder._usual(raw.replace(b"Flag=5", b"Flag=9"), "2025") is None, "the check sum"
    assert decoder._usual(frame(f"{_USUAL}CP=&&{_PLAIN};a21026-Zzz=1&&").rstrip(), "2017").problems


def test_the_memory_of_names_is_bounded() -> None:
    from jingwei.hj212 import cp as names

    for start in range(0, 40_000, 400):
        _read(T + ";".join(f"x{n}-Avg=1" for n in range(start, start + 400)))
    assert len(names._known) <= names._KNOWN_LIMIT
    _read(T + "y" * 200 + "-Avg=1")
    assert max(map(len, names._known)) <= 64


_values = st.sampled_from(
    ("1", "0.5", "-2", "7.250", "", "1e400", "nan", "inf", "x", "1_0", " 1", "١", "N")
)
_parts = st.tuples(
    st.sampled_from(("DataTime", "w01018-Avg", "w01018-Min", "w01018-Max", "w01018-Flag", "a21026-Rtd",
                     "a21026-Flag", "a21026-Zzz", "PolId", "w01018-Avg ", "?")),
    st.sampled_from((";", ",", ";;", "=")),
)  # fmt: skip


@given(st.lists(_parts, min_size=1, max_size=8), st.data())
def test_a_layout_that_is_known_changes_nothing(parts: list[Any], draw: st.DataObject) -> None:
    """What was learned of names and separators says the same of any values as reading each part."""
    from jingwei.hj212 import cp as reading

    def text(values: list[str]) -> str:
        return "".join(
            f"{name}={value}{sign}" for (name, sign), value in zip(parts, values, strict=True)
        ).removesuffix(parts[-1][1])

    def read(cp: str) -> tuple[Any, ...]:
        problems = reading.Problems()
        found = reading.Content({}, [], {}, None, None)
        reading.read_cp(cp, found, problems)
        assert len(found.all()) == len(tuple(found.all()))
        return found.all(), found.params, found.data_time, found.error, problems.texts()

    some = draw.draw(st.lists(_values, min_size=len(parts), max_size=len(parts)))
    reading._layouts.clear()
    plain = read(text(some))
    reading._layouts.clear()
    clean = {"DataTime": "20260310120000"}
    read(text([clean.get(name, "1") for name, _ in parts]))
    assert read(text(some)) == plain


def test_the_memory_of_layouts_is_bounded_and_used() -> None:
    from jingwei.hj212 import cp as reading

    reading._layouts.clear()
    for start in range(reading._LAYOUTS + 10):
        _read(T + f"x{start}-Avg=1")
    assert 0 < len(reading._layouts) <= reading._LAYOUTS
    reading._layouts.clear()
    text = T + "w01018-Avg=1,w01018-Min=1,w01018-Max=2,w01018-Flag=N;w21003-Rtd=3"
    first = _read(text)
    ((_, names),) = reading._layouts
    assert names[1:] == ("w01018-Avg", "w01018-Min", "w01018-Max", "w01018-Flag", "w21003-Rtd")
    assert _read(text) == first
    _read(T + ";".join(f"x{n}-Avg=1" for n in range(400)))
    assert len(reading._layouts) == 1, "too wide to be remembered"
