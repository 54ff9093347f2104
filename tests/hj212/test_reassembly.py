"""Split telegrams: put together, with limits and a clock."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.hj212 import Message, Reassembler, decode, decode_segment, frame

from .samples import HEAD, rows


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _packet(
    number: int, total: int, cp: str | None = None, time: str = "20240601080000"
) -> Message:
    cp = f"w{number:05}-Avg={number}.5,w{number:05}-Flag=N" if cp is None else cp
    head = HEAD.replace("Flag=5", "Flag=7").replace("223;", f"{number % 1000:03};", 1)
    message = decode(frame(f"{head}PNUM={total};PNO={number};CP=&&DataTime={time};{cp}&&"))
    assert message.ok, message.error
    return message


def test_example_c49_of_2017() -> None:
    packets = [
        decode_segment(r["raw"].encode())
        for r in rows()
        if r["source"].startswith("HJ 212-2017 C.49") and "PNUM" in r["raw"]
    ]
    reassembler = Reassembler()
    assert reassembler.add(packets[0]) == []
    assert reassembler.open == 1
    (whole,) = reassembler.add(packets[1])
    assert reassembler.open == 0
    assert whole.ok
    assert [item.code for item in whole.items] == ["w00000", "w01001", "w01018"]
    assert whole.data_time == "20160801080000"
    assert whole.qn == "20160801085857534"
    assert not whole.split
    assert whole.raw == packets[0].raw + b"\r\n" + packets[1].raw


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12).flatmap(lambda n: st.permutations(range(1, n + 1))), st.data())
def test_any_order_and_repeats_give_the_same(order: list[int], draw: st.DataObject) -> None:
    total = len(order)
    sent = list(order)
    for _ in range(draw.draw(st.integers(0, 4))):
        sent.insert(draw.draw(st.integers(0, len(sent) - 1)), draw.draw(st.sampled_from(order)))
    reassembler = Reassembler()
    done = []
    for number in sent:
        done += reassembler.add(_packet(number, total))
        if done:
            break
    (whole,) = done
    assert [item.code for item in whole.items] == [f"w{n:05}" for n in range(1, total + 1)]
    assert whole.problems == ()


def test_what_is_not_split_goes_through() -> None:
    reassembler = Reassembler()
    plain = decode(frame(f"{HEAD}CP=&&DataTime=20240601080000;w01018-Avg=1&&"))
    single = _packet(1, 1)
    broken = decode(b"##0001")
    log = decode(
        frame(
            f"{HEAD.replace('2051', '3020')}PNUM=2;PNO=1;"
            "CP=&&DataTime=20240601080000;i11001-Info=//x//&&"
        )
    )
    assert log.split
    for message in (plain, single, broken, log):
        assert reassembler.add(message) == [message]
    assert reassembler.open == 0


def test_an_item_cut_between_two_packets() -> None:
    reassembler = Reassembler()
    reassembler.add(_packet(1, 2, "w01018-Min=1,w01018-Avg=2"))
    (whole,) = reassembler.add(_packet(2, 2, "w01018-Max=3,w01018-Flag=N;w21003-Avg=1"))
    assert [(i.code, i.fields) for i in whole.items] == [
        ("w01018", {"Min": "1", "Avg": "2", "Max": "3", "Flag": "N"}),
        ("w21003", {"Avg": "1"}),
    ]


def test_other_content_under_the_same_number_is_named() -> None:
    reassembler = Reassembler()
    reassembler.add(_packet(1, 2, "w01018-Avg=1"))
    reassembler.add(_packet(1, 2, "w01018-Avg=9"))
    (whole,) = reassembler.add(_packet(2, 2))
    assert whole.items[0].fields == {"Avg": "9"}
    assert "packet 1 came again with other content" in whole.problems


def test_different_times_and_totals_are_different_telegrams() -> None:
    reassembler = Reassembler()
    assert reassembler.add(_packet(1, 2)) == []
    assert reassembler.add(_packet(2, 3)) == []
    assert reassembler.add(_packet(2, 2, time="20240601090000")) == []
    assert reassembler.open == 3


def test_what_never_ends_comes_out_incomplete() -> None:
    clock = Clock()
    reassembler = Reassembler(timeout=60, clock=clock)
    reassembler.add(_packet(1, 4))
    reassembler.add(_packet(3, 4))
    clock.now += 59.9
    assert reassembler.expired() == []
    clock.now += 0.1
    (part,) = reassembler.expired()
    assert [i.code for i in part.items] == ["w00001", "w00003"]
    assert part.ok
    assert part.problems == ("split telegram without packet 2, 4 of 4: not complete after 60 s",)
    assert reassembler.open == 0
    assert reassembler.expired() == []


def test_pnum_without_end_is_bounded() -> None:
    reassembler = Reassembler(max_bytes=20_000)
    out: list[Message] = []
    held = 0
    for number in range(1, 2001):
        out += reassembler.add(_packet(number, 9999))
        held = max(held, sum(g.size for g in reassembler._open.values()))
    assert held <= 20_000 + 300
    assert all("over 20000 bytes" in m.problems[-1] for m in out)
    assert sum(len(m.items) for m in out) + held // 150 >= 1900  # nothing is thrown away


def test_many_open_telegrams_are_bounded() -> None:
    reassembler = Reassembler(max_open=10)
    out = list(
        itertools.chain.from_iterable(
            reassembler.add(_packet(1, 2, time=f"202406{day:02}{hour:02}0000"))
            for day in range(1, 4)
            for hour in range(24)
        )
    )
    assert reassembler.open == 10
    assert len(out) == 62
    assert out[0].data_time == "20240601000000"  # the oldest first
    assert out[0].problems == (
        "split telegram without packet 2 of 2: more than 10 split telegrams at once",
    )


@pytest.mark.parametrize("version", ["2005", "2017", "2025"])
def test_all_versions(version: str) -> None:
    reassembler = Reassembler()
    head = "ST=32;CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;"
    for number in (1, 2):
        raw = frame(f"{head}PNO={number};PNUM=2;CP=&&DataTime=20040516021000;10{number}-Avg=1&&")
        out = reassembler.add(decode(raw, version=version))
    assert [i.code for i in out[0].items] == ["101", "102"]
