"""What a telegram says, whatever was new about it when it was sent again."""

from __future__ import annotations

import pytest

from jingwei import hj212
from jingwei.telemetry.repeats import said

HEAD = "QN=20260310130003000;ST=31;CN=2061;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
CP = "CP=&&DataTime=20260310120000;a21026-Avg=12.5,a21026-Flag=N&&"
QN, NEW = "QN=20260310130003000;", "QN=20260310131500777;"


def frame(head: str, cp: str = CP) -> bytes:
    return hj212.frame(head + cp).rstrip()


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(QN, NEW),
        HEAD.replace(QN, "QN=1;"),
        HEAD.replace(QN, ""),
        HEAD + "RF=1;",
        HEAD.replace(QN, "") + NEW,
        HEAD.replace(QN, "ST=31;RF=1;" + NEW).replace(";ST=31;CN", ";CN"),
    ],
)
def test_qn_rf_length_and_check_sum_say_nothing(head):
    assert said(frame(head)) == said(frame(HEAD)) == (HEAD.removeprefix(QN) + CP).encode()
    assert said(frame(head) + b"\r\n") == said(frame(HEAD))


@pytest.mark.parametrize(
    "other",
    [
        frame(HEAD, CP.replace("12.5", "12.6")),
        frame(HEAD, CP.replace("Flag=N", "Flag=D")),
        frame(HEAD, CP.replace("0310120000", "0310130000")),
        frame(HEAD.replace("9DC0", "9DC1")),
        frame(HEAD.replace("2061", "2051")),
        frame(HEAD.replace("Flag=5;", "Flag=7;PNUM=2;PNO=1;")),
        frame(HEAD, CP.replace("DataTime", "QN=1;DataTime")),
        b"{" + frame(HEAD),
        b"##00",
        b"",
    ],
)
def test_all_else_does(other):
    assert said(other) != said(frame(HEAD))
