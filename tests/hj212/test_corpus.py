"""Every telegram of the corpus gets the right verdict and the right content."""

from collections import Counter
from typing import Any

import pytest

from jingwei.hj212 import VERSIONS, Message, Reader, Rubbish, content, decode, decode_segment

from .samples import rows
from .test_crc import printed

ROWS = rows()
LOWER = frozenset({"lower"})


def _read(row: dict[str, Any]) -> Message:
    raw = row["raw"].encode()
    return decode(raw, dialects=LOWER) if row["kind"] == "frame" else decode_segment(raw)


def _naive(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(code, field, value) by the plainest reading there is, as the oracle of the content."""
    cp = row["raw"].partition("CP=&&")[2].rpartition("&&")[0]
    found = []
    for part in cp.replace(",", ";").split(";"):
        name, equals, value = part.partition("=")
        code, dash, field = name.strip().rpartition("-")
        if equals and dash:
            found.append((code, field, value.strip(" ….⋯")))
    return found


@pytest.mark.parametrize("row", ROWS, ids=[str(n) for n in range(len(ROWS))])
def test_verdict_and_content(row: dict[str, Any]) -> None:
    message = _read(row)
    assert message.crc is not None
    assert message.crc.ok is row["crc_ok"]
    if "crc_computed" in row:
        assert message.crc.computed == row["crc_computed"]
    assert message.crc.given == row.get("crc_given")
    # Bare segments are examples of the standards: all readable.
    assert message.ok is (row["kind"] == "segment" or row["crc_ok"]), message.error
    assert (message.error is None) is message.ok
    if row["version"] in VERSIONS:
        assert message.version == row["version"]
    got = [(i.code, field, value) for i in message.items for field, value in i.fields.items()]
    assert Counter(got) == Counter(_naive(row))


def test_the_corpus_itself_agrees_with_the_printed_loop() -> None:
    checked = 0
    for row in ROWS:
        raw = row["raw"].encode()
        if row["kind"] == "segment":
            assert f"{printed(raw):04X}" == row["crc_computed"]
        elif row["length_ok"]:
            assert f"{printed(raw[6:-4]):04X}" == row["crc_computed"]
            assert (raw[-4:].upper().decode() == row["crc_computed"]) is row["crc_ok"]
        else:
            continue
        checked += 1
    assert checked == 432


def test_what_is_wrong_is_said() -> None:
    errors = Counter(
        (message.error or "").partition(":")[0]
        for message in (decode(r["raw"].encode()) for r in ROWS if r["kind"] == "frame")
        if not message.ok
    )
    assert errors == {
        "CRC dialect 'modbus' is not accepted": 14,
        "CRC dialect 'modbus-swapped' is not accepted": 1,
        "CRC dialect 'lower' is not accepted": 3,
        "wrong CRC": 4,
        "wrong length": 2,
        "incomplete": 4,
    }


@pytest.mark.parametrize(
    ("fragment", "problem"),
    [
        ("DataTime=20160824003817000", "DataTime of 17 digits"),
        ("PNO=0002;PNUM=0002", "PNO before PNUM"),
        ("ValidNum=10", "field not in the standard: ValidNum (and 1 more)"),
        ("PW=;MN=MYHJ", "PW is not 6 characters: 0"),
        ("PW=BF470F88957588DE902D1A52", "PW is not 6 characters: 24"),
        ("QN=201705121111580025588045987112", "QN is not 17 digits"),
        ("ST=101", "ST not in the standard of 2017: 101"),
        ("MN=72001", "no ST"),
        ("025-Flag=N,;&&", "empty part"),
        ("a34013-Rtd=12.34,a21026-Rtd", "',' between items"),
        ("w01001-Min=5.4,w01001-Avg=7.5,w01001-Max=7.1", "implausible: w01001"),
        ("Flag=5CP=", "no ';' before CP"),
        ("QN=20160801085857534,ST=32", "',' for ';' in the header"),
        ("LA-td=50.1", "field not in the standard: td"),
        ("Flag=7;CP=", "Flag says split, but there is no PNUM and PNO"),
        ("i12003-Info =0", "spaces"),
        ("a21-Rtd=0.00;a21-Rtd=0.00", "given twice: a21-Rtd"),
        ("Ip=122.227.179.90", "parameter not in the standard: Ip"),
        ("QN=20210301111100112;ST=21", "version bits of the Flag"),
        ("Flag=N;…&&", "ellipsis"),
    ],
)
def test_deviations_are_named(fragment: str, problem: str) -> None:
    row = next(r for r in ROWS if fragment in r["raw"])
    assert any(p.startswith(problem) for p in _read(row).problems), _read(row).problems


def test_clean_telegrams_have_no_problems() -> None:
    clean = [r for r in ROWS if r["note"] == "from the standard; bare data segment"]
    named = Counter(p.partition(":")[0] for r in clean for p in _read(r).problems)
    # What is left are defects as the standards print them (2017 C.3 and C.39; 2005 C.5).
    assert named == {"spaces": 1, "ellipsis": 11, "empty part": 1, "PNO before PNUM": 1}


def test_a_capture_of_the_whole_corpus_is_cut_right() -> None:
    frames = [r for r in ROWS if r["kind"] == "frame"]
    reader = Reader()
    parts = reader.feed(b"".join(r["raw"].encode() + b"\r\n" for r in frames)) + reader.flush()
    good = [r["raw"].encode() for r in frames if r["length_ok"]]
    assert [p for p in parts if not isinstance(p, Rubbish)] == good
    bad = [r["raw"].encode() + b"\r\n" for r in frames if not r["length_ok"]]
    assert [p.data for p in parts if isinstance(p, Rubbish)] == bad


def test_every_usable_telegram_has_a_typed_content() -> None:
    for row in ROWS:
        message = _read(row)
        if not message.ok or message.cn == "9021":  # 9021: an extension, in no standard
            continue
        typed = content(message)
        assert typed is not None, row["raw"]
        if "LA-td" in row["raw"] or "ellipsis" in row["note"]:
            continue
        assert typed.problems == (), (row["raw"], typed.problems)
