"""Segments, frames and answers as the standards print them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from jingwei.hj212 import answer, data_cp, decode, decode_segment, frame, reply, segment

from .samples import HEAD, rows

PRINTED = {r["raw"] for r in rows() if r["kind"] == "segment"}
MN = "010000A8900016F000169DC0"


def _body(raw: bytes) -> str:
    message = decode(raw)
    assert message.ok, message.error
    assert message.problems == ()
    return raw[6:-6].decode()


def test_segment_is_the_header_of_2017() -> None:
    text = segment(
        cn="1062", st="32", mn=MN, pw="123456", qn="20160801085857223", flag=5, cp="RtdInterval=30"
    )
    assert text in PRINTED


def test_split_packets() -> None:
    text = segment(
        cn="2061", st="32", mn=MN, pw="123456", qn="20160801085857534", pnum=2, pno=1, cp="x"
    )
    assert text.endswith("Flag=6;PNUM=2;PNO=1;CP=&&x&&")
    with pytest.raises(ValueError, match="go together"):
        segment(cn="2061", st="32", mn=MN, pw="123456", qn="1", pnum=2)


@pytest.mark.parametrize("bad", ["a;b", "a=b", "a&b", "a,b", "a\r", "#"])
def test_header_values_cannot_break_the_grammar(bad: str) -> None:
    with pytest.raises(ValueError, match="MN"):
        segment(cn="2061", st="32", mn=bad, pw="123456", qn="1")


def test_data_cp() -> None:
    when = datetime(2016, 8, 1, 8, 58, 57, tzinfo=timezone(timedelta(hours=8)))
    items = [("w01001", {"Rtd": "7.1", "Flag": "N"}), ("w01018", {"Rtd": "2.20"})]
    assert data_cp(when, items) == (
        "DataTime=20160801085857;w01001-Rtd=7.1,w01001-Flag=N;w01018-Rtd=2.20"
    )
    assert data_cp(when.astimezone(UTC), []) == "DataTime=20160801085857"
    with pytest.raises(ValueError, match="aware"):
        data_cp(datetime(2016, 8, 1), [])


def _find(*fragments: str) -> bytes:
    (text,) = {t for t in PRINTED if all(f in t for f in fragments)}
    return text.encode()


# (what is answered, CN of the answer, its values, the answer as printed)
@pytest.mark.parametrize(
    ("to", "cn", "params", "printed"),
    [
        # HJ 212-2017 C.1: 9011 and 9012 of a command.
        (_find("CN=1000", "Flag=5"), "9011", {"QnRtn": 1}, _find("223;ST=91;CN=9011", "Flag=4")),
        (_find("CN=1000", "Flag=5"), "9012", {"ExeRtn": 1}, _find("CN=9012", "Flag=4", "&&ExeRtn")),
        # C.11, C.12: 9013 of a notice, 9014 of data.
        (_find("CN=2012", "Flag=5"), "9013", {}, _find("CN=9013", "Flag=4", "CP=&&&&")),
        (_find("DataTime=20160801084000", "Flag=5", "Cou=10.5"), "9014", {},
         _find("QN=20160801085000001;ST=91;CN=9014")),
        # HJ/T 212-2005 C.1 and following: the QN inside CP.
        (_find("CN=1072", "Flag=3"), "9011", {"QnRtn": 1},
         _find("ST=91;CN=9011", "Flag=0", "QnRtn=1")),
        (_find("CN=1072", "Flag=3"), "9012", {"ExeRtn": 1},
         _find("ST=91;CN=9012", "20040516010101001;ExeRtn")),
        (_find("CN=2012", "MN=88888880000001"), "9013", {},
         _find("ST=91;CN=9013", "MN=88888880000001;CP")),
        (_find("CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;CP"), "9014", {},
         _find("ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&")),
        (_find("ST=91;CN=9012", "QN=20040516010101001"), "9014", {}, _find("CN=9014", "CN=9012")),
        # HJ 212-2025 (caoyiliang/HJ212).
        (_find("CN=1012", "Flag=9"), "9013", {}, _find("CN=9013", "Flag=8")),
    ],
)  # fmt: skip
def test_answers_as_printed(to: bytes, cn: str, params: dict[str, int], printed: bytes) -> None:
    assert answer(cn, decode_segment(to), **params) == frame(printed)


def test_answer_to_split_data_of_2005() -> None:
    to = decode_segment(_find("PNO=1;PNUM=1", "CN=2051;QN"))
    # Printed with one more ';' at the end, which is nothing.
    assert _body(answer("9014", to)) + "" == (
        "ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051;PNO=1;PNUM=1&&"
    )


def test_only_answers_answer() -> None:
    with pytest.raises(ValueError, match="CN 2011 is no answer"):
        answer("2011", decode_segment(_find("CN=1012", "Flag=9")))


def test_what_is_answered_with_an_answer_has_its_qn() -> None:
    message = decode(answer("9011", decode_segment(_find("CN=1072", "Flag=3")), QnRtn=2))
    assert message.version == "2005"
    assert message.qn == "20040516010101001"
    assert message.params == {"QN": "20040516010101001", "QnRtn": "2"}


@pytest.mark.parametrize(
    ("head", "cp", "version", "wanted"),
    [
        (HEAD, "DataTime=20240601080000;w01018-Avg=1", None, "9014"),
        (HEAD.replace("Flag=5", "Flag=4"), "DataTime=20240601080000;w01018-Avg=1", None, None),
        (HEAD.replace("Flag=5", "Flag=7"), "DataTime=20240601080000;w01018-Avg=1", None, "9014"),
        (HEAD.replace("CN=2051", "CN=1013"), "PolId=w01018", None, "9013"),
        (HEAD.replace("CN=2051", "CN=2081"), "DataTime=20240601080000", None, "9014"),
        (HEAD.replace("CN=2051", "CN=9011"), "QnRtn=1", None, None),
        (HEAD.replace("CN=2051", "CN=9021"), "", None, "9014"),
        (HEAD.replace("CN=2051;", "CN=9015;").replace("Flag=5", "Flag=9"), "", None, "9013"),
        (HEAD.replace("CN=2051;", "CN=9015;").replace("Flag=5", "Flag=8"), "", None, None),
        (HEAD.replace("CN=2051;", "CN=1014;").replace("Flag=5", "Flag=9"), "SKCreateTime=1", None,
         "9013"),
        ("ST=32;CN=2051;PW=123456;MN=88888880000001;", "DataTime=20040516021000", None, None),
        ("ST=32;CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;",
         "DataTime=20040516021000", None, "9014"),
        ("ST=32;CN=1011;PW=123456;MN=88888880000001;",
         "QN=20040516010101001;SystemTime=20040516010102", None, None),
        ("QN=20040516010101001;ST=32;CN=2072;PW=123456;MN=88888880000001;Flag=0;",
         "AlarmTime=20040506010101;101-Ala=1.1,AlarmType=1", None, "9013"),
    ],
)  # fmt: skip
def test_what_the_host_answers(head: str, cp: str, version: str | None, wanted: str | None) -> None:
    message = decode(frame(f"{head}CP=&&{cp}&&"), version=version)
    assert message.ok, message.error
    assert reply(message) == wanted
