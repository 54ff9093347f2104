"""Every command, both ways, with types; the examples of the standards are built word for word."""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.hj212 import command, content, decode, decode_segment, encode, frame, request, upload
from jingwei.hj212.catalogue import ALIASES, COMMANDS, FIELDS, Field, Shape, read_value, write_value
from jingwei.standards import codes

from .samples import HEAD, rows

PRINTED = [r["raw"] for r in rows() if r["kind"] == "segment" and "ellipsis" not in r["note"]]
MN, MN05 = "010000A8900016F000169DC0", "88888880000001"
BEGIN = datetime(2016, 8, 1, 0, 40, tzinfo=UTC)  # 08:40 in Shanghai


def test_the_commands_are_those_of_the_code_table() -> None:
    grammar = {(cn, version) for cn, versions in COMMANDS.items() for version in versions}
    table = {(c.cn, c.version) for c in codes._commands().values()}
    assert grammar == table
    assert command("2082", "2017") is None
    assert command("2083", "2025") is None


@pytest.mark.parametrize("key", sorted((c, v) for c, vs in COMMANDS.items() for v in vs))
def test_directions_agree_with_the_code_table(key: tuple[str, str]) -> None:
    cn, version = key
    row = codes.command(cn, version)
    assert row is not None
    mine = COMMANDS[cn][version]
    ways = {way for way, shape in (("down", mine.down), ("up", mine.up)) if shape is not None}
    if row.direction == "both" or row.kind == "request+upload":
        # 3015, 2052, 2062 …: asked for from above, sent from below.
        assert ways == {"down", "up"}
    else:
        assert ways == {row.direction}


_TEXT: dict[str, Any] = {
    "Flag": "N", "EFlag": "A01", "SampleType": "1", "PolId": "w01018", "InfoId": "i12001",
    "ReportTarget": "3882566", "NewSK": "0123456789abcdef", "QN": "20040516010101001", "CN": "2051",
    "SN": MN, "PW": "654321", "NewPW": "654321",
}  # fmt: skip


def _values(field: Field) -> st.SearchStrategy[Any]:
    match field.kind:
        case "time" | "stamp":
            dates = st.datetimes(datetime(2000, 1, 2), datetime(2090, 1, 1), timezones=st.just(UTC))
            step = 1000 if field.kind == "stamp" else 1_000_000
            return dates.map(lambda d: d.replace(microsecond=d.microsecond // step * step))
        case "clock":
            return st.times().map(lambda t: t.replace(microsecond=0))
        case "hhmm":
            return st.times().map(lambda t: t.replace(second=0, microsecond=0))
        case "integer" if field.among:
            return st.sampled_from(sorted(field.among))
        case "integer":
            return st.integers(field.low, field.high)
        case "decimal":
            return st.decimals(-1000, 10**6, places=3)
        case "log":
            return st.sampled_from(["1", "168.0", "清洗管路", "a;b,c = d"])
    return st.just(_TEXT[field.name])


def _shapes() -> list[tuple[str, str, str]]:
    return sorted(
        (cn, version, way)
        for cn, versions in COMMANDS.items()
        for version, found in versions.items()
        for way, shape in (("down", found.down), ("up", found.up))
        if shape is not None
    )


@pytest.mark.parametrize("case", _shapes(), ids=" ".join)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_every_command_both_ways(case: tuple[str, str, str], draw: st.DataObject) -> None:
    cn, version, way = case
    found = COMMANDS[cn][version]
    shape = found.down if way == "down" else found.up
    assert isinstance(shape, Shape)
    params: dict[str, Any] = {}
    for name in shape.params:
        if name not in shape.required and draw.draw(st.booleans()):
            continue
        one = _values(FIELDS[name])
        many = name in shape.repeated
        params[name] = tuple(draw.draw(st.lists(one, min_size=1, max_size=3))) if many else (
            draw.draw(one)
        )  # fmt: skip
    items = []
    if shape.items:
        for n in range(draw.draw(st.integers(1, 3))):
            fields = {f: draw.draw(_values(FIELDS[f])) for f in sorted(shape.items)}
            items.append((f"w0{n}018", fields))
    text = encode(cn, version, way, params, items)  # type: ignore[arg-type]
    head = f"QN=20240601085857223;ST=32;CN={cn};PW=123456;MN={MN};Flag=4;"
    message = decode(frame(f"{head}CP=&&{text}&&"), version=version)
    assert message.ok, message.error
    typed = content(message)
    assert typed is not None
    assert typed.problems == ()
    assert typed.params == params
    assert list(typed.items) == items
    if found.up != found.down:
        assert typed.direction == way or set(params) <= set(_common(found))


def _common(found: Any) -> set[str]:
    """Names that stand in both directions: they alone do not tell which way it went."""
    return set(found.down.params) & set(found.up.params)


# (CN, version, system, what is sent down, what the standard prints)
DOWN: list[tuple[str, str, dict[str, Any], list[tuple[str, dict[str, Any]]]]] = [
    ("1000", "2017", {"OverTime": 5, "ReCount": 3}, []),
    ("1011", "2017", {"PolId": "w01018"}, []),
    ("1012", "2017", {"PolId": "w01018",
                      "SystemTime": datetime(2016, 8, 1, 0, 58, 57, tzinfo=UTC)}, []),
    ("1061", "2017", {}, []),
    ("1062", "2017", {"RtdInterval": 30}, []),
    ("1063", "2017", {}, []),
    ("1064", "2017", {"MinInterval": 10}, []),
    ("1072", "2017", {"NewPW": "654321"}, []),
    ("2011", "2017", {}, []),
    ("2012", "2017", {}, []),
    ("2021", "2017", {}, []),
    ("2022", "2017", {}, []),
    ("2051", "2017", {"BeginTime": BEGIN, "EndTime": BEGIN}, []),
    ("2061", "2017", {"BeginTime": BEGIN.replace(minute=0), "EndTime": BEGIN.replace(minute=0)}, []),
    ("3011", "2017", {"PolId": "w01018"}, []),
    ("3012", "2017", {"PolId": "w01018"}, []),
    ("3013", "2017", {"PolId": "w01018"}, []),
    ("3014", "2017", {"PolId": "w01018"}, []),
    ("3015", "2017", {}, []),
    ("3016", "2017", {"PolId": "w01018", "CstartTime": time(0, 0), "Ctime": 2}, []),
    ("3017", "2017", {"PolId": "w01018"}, []),
    ("3018", "2017", {"PolId": "w01018"}, []),
    ("3019", "2017", {"PolId": "w01018"}, []),
    ("3020", "2017", {"PolId": "w01018", "InfoId": "i13004"}, []),
    ("3021", "2017", {"PolId": "w01018", "InfoId": "i13004"}, [("i13004", {"Info": "168.0"})]),
    ("1000", "2005", {"OverTime": 5, "ReCount": 3}, []),
    ("1001", "2005", {"WarnTime": 5}, []),
    ("1012", "2005", {"SystemTime": datetime(2004, 5, 15, 17, 1, 1, tzinfo=UTC)}, []),
    ("1031", "2005", {}, []),
    ("1041", "2005", {}, []),
    ("1042", "2005", {"ReportTime": time(1, 1)}, []),
    ("1061", "2005", {}, []),
    ("1062", "2005", {"RtdInterval": 30}, []),
    ("1072", "2005", {"PW": "654321"}, []),
    ("2011", "2005", {}, []),
    ("2012", "2005", {}, []),
    ("2021", "2005", {}, []),
    ("2022", "2005", {}, []),
    ("1012", "2025", {"PolId": "w01018",
                      "SystemTime": datetime(2024, 6, 1, 0, 58, 57, tzinfo=UTC)}, []),
    ("1072", "2025", {"NewPW": "654321"}, []),
    ("2061", "2025", {"BeginTime": datetime(2024, 6, 1, 0, 0, tzinfo=UTC),
                      "EndTime": datetime(2024, 6, 1, 0, 0, tzinfo=UTC)}, []),
    ("3018", "2025", {"PolId": "w01018"}, []),
    ("3021", "2025", {"PolId": "w01018", "InfoId": "i13004"}, [("i13004", {"Info": "168.0"})]),
]  # fmt: skip


@pytest.mark.parametrize(("cn", "version", "params", "items"), DOWN)
def test_requests_are_the_printed_ones(
    cn: str, version: str, params: dict[str, Any], items: list[tuple[str, dict[str, Any]]]
) -> None:
    number = {"2005": "20040516010101001", "2017": "20160801085857223"}.get(
        version, "20240601085857223"
    )
    text = request(
        cn, version=version, st="32", mn=MN05 if version == "2005" else MN, pw="123456",
        number=number, params=params, items=items,
    )  # fmt: skip
    assert text in PRINTED
    typed = content(decode_segment(text.encode()))
    assert typed is not None
    assert typed.direction == "down"
    assert typed.params == params


def test_uploads_of_each_version() -> None:
    data: dict[str, Any] = {"params": {"DataTime": datetime(2016, 8, 1, tzinfo=UTC)}}
    data["items"] = [("w01018", {"Avg": Decimal("40.10"), "Flag": "N"})]
    common: dict[str, Any] = {"st": "32", "pw": "123456", **data}
    cp = "CP=&&DataTime=20160801080000;w01018-Avg=40.10,w01018-Flag=N&&"
    number = "20160801090000001"
    assert upload("2061", version="2017", mn=MN, number=number, **common) == (
        f"QN={number};ST=32;CN=2061;PW=123456;MN={MN};Flag=5;{cp}"
    )
    assert upload(
        "2061", version="2025", mn=MN, number=number, refill=True, answer=False, **common
    ) == (f"QN={number};ST=32;CN=2061;PW=123456;MN={MN};Flag=8;RF=1;{cp}")
    assert upload("2061", version="2005", mn=MN05, number=number, **common) == (
        f"ST=32;CN=2061;QN={number};PW=123456;MN={MN05};{cp}"
    )
    assert upload("2061", version="2005", mn=MN05, number=None, **common) == (
        f"ST=32;CN=2061;PW=123456;MN={MN05};{cp}"
    )
    with pytest.raises(ValueError, match="needs a QN"):
        upload("2061", version="2017", mn=MN, number=None, **common)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2082", "2017", "up"), "CN 2082 is not in the standard of 2017"),
        (("2111", "2017", "up"), "CN 2111 is not in the standard of 2017"),
        (("1062", "2017", "up"), "never sent up"),
        (("1062", "2017", "down"), "RtdInterval is missing"),
        (("1062", "2017", "down", {"RtdInterval": 29}), "29 is not within 30..3600"),
        (("1062", "2017", "down", {"RtdInterval": "30"}), "'30' is no integer"),
        (("1064", "2017", "down", {"MinInterval": 7}), "7 is none of 1, 2, 3"),
        (("1062", "2017", "down", {"RtdInterval": 30, "X": 1}), "X does not belong to it"),
        (("1072", "2017", "down", {"NewPW": "12345"}), "has not 6 characters"),
        (("1072", "2017", "down", {"NewPW": "1;2345"}), "cannot stand in CP"),
        (("1012", "2017", "down", {"SystemTime": datetime(2024, 1, 1)}), "aware"),
        (("3011", "2017", "down", {"PolId": ("a", "b")}), "given 2 times"),
        (("2011", "2017", "up", {"DataTime": BEGIN}, [("w01018", {"Avg": 1})]), "w01018-Avg does not"),
        (("2011", "2005", "up", {"DataTime": BEGIN}, [("011", {"EFlag": "A"})]), "011-EFlag does not"),
        (("2011", "2017", "up", {"DataTime": BEGIN}, [("w;x", {"Rtd": 1})]), "cannot stand in CP"),
        (("2011", "2017", "up", {"DataTime": BEGIN}, [("w01018", {})]), "has no fields"),
        (("2011", "2017", "up", {"DataTime": BEGIN}, [("w1", {"Rtd": Decimal("NaN")})]), "not finite"),
        (("2011", "2017", "up", {"DataTime": BEGIN}, [("w1", {"Rtd": "1e999"})]), "no decimal number"),
        (("3021", "2017", "down", {"PolId": "w", "InfoId": "i"}, [("i", {"Info": "a//b"})]), "holds '//'"),
    ],
)  # fmt: skip
def test_what_does_not_belong_is_an_error(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(*arguments)


def test_ranges_differ_by_version() -> None:
    assert encode("1000", "2005", "down", {"OverTime": 30000, "ReCount": 3}) == (
        "OverTime=30000;ReCount=3"
    )
    with pytest.raises(ValueError, match=r"not within 1\.\.99"):
        encode("1000", "2017", "down", {"OverTime": 30000, "ReCount": 3})


def test_decimals_keep_their_text() -> None:
    rtd = FIELDS["Rtd"]
    assert write_value(rtd, Decimal("1.230")) == "1.230"
    assert write_value(rtd, Decimal("1E-7")) == "0.0000001"
    assert write_value(rtd, "1.2e-05") == "1.2e-05"
    assert str(read_value(rtd, "0040.10")) == "40.10"


@pytest.mark.parametrize(
    ("name", "text"),
    [("DataTime", "20240230000000"), ("CstartTime", "2400"), ("CstartTime", "240000"),
     ("ReportTime", "0160"), ("RtdInterval", "3.5"), ("RtdInterval", "-30"), ("RtdInterval", "９０"),
     ("Avg", "NaN"), ("ResultType", "2"), ("SystemTime", "")],
)  # fmt: skip
def test_texts_of_the_wrong_type(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_value(FIELDS[name], text)


def test_what_cannot_be_typed_is_named_and_left_out() -> None:
    cp = "DataTime=20240601080000;w01018-Avg=abc,w01018-Max=2,w01018-Foo=1;Ip=1.2.3.4"
    typed = content(decode(frame(f"{HEAD}CP=&&{cp}&&")))
    assert typed is not None
    assert typed.items == (("w01018", {"Max": Decimal(2)}),)
    assert typed.problems == (
        "Ip does not belong to CN 2051",
        "w01018-Avg: 'abc' is no decimal number",
        "w01018-Foo does not belong to CN 2051",
    )
    short = content(decode(frame(f"{HEAD.replace('2051', '1062')}CP=&&&&")))
    assert short is not None
    assert short.problems == ("RtdInterval is missing",)
    assert content(decode(frame(f"{HEAD.replace('2051', '9021')}CP=&&&&"))) is None


def test_spellings_of_the_standards_are_the_same_name() -> None:
    assert set(ALIASES.values()) <= set(FIELDS)
    for text in ("PolId=101;CTime=4", "PolID=101;Ctime=4"):
        message = decode(frame(f"ST=32;CN=3014;PW=123456;MN={MN05};CP=&&{text}&&"))
        typed = content(message)
        assert typed is not None
        assert typed.params == {"PolId": "101", "Ctime": (4,)}
        assert typed.problems == message.problems == ()


def test_1001_means_three_things() -> None:
    # 2005: set the alarm time; 2017: not there; 2025: hardware serials of a logger without MN.
    assert command("1001", "2017") is None
    message = decode(
        frame("QN=20260601085857223;ST=31;CN=1001;PW=123456;MN=;Flag=9;CP=&&i23005-Info=A1&&")
    )
    assert message.ok, message.error
    typed = content(message)
    assert typed is not None
    assert typed.direction == "up"
    assert typed.command.reply == "9013"
