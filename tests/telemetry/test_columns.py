"""The compiled decoder against the plain one: the same of every telegram, or left to it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei import hj212
from jingwei.telemetry import columns
from jingwei.telemetry.journal import microseconds

MN = "010000A8900016F000169DC0"
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
CORPUS = Path(__file__).parents[1] / "data/hj212/telegrams.jsonl"
FIELDS = ["Rtd", "Avg", "Min", "Max", "Cou", "ZsRtd", "ZsAvg", "ZsMin", "ZsMax"]


def said(raws: list[bytes], worth: int, times: list[datetime] | None = None):
    """Rows as plain tuples with their resolution, oddities, how many the kernel left."""
    times = times or [NOON + timedelta(seconds=k) for k in range(len(raws))]
    received = np.array([microseconds(time) for time in times])
    found = columns.read(raws, received, np.arange(1, len(raws) + 1), worth=worth)
    rows = set()
    for resolution, table in found.rows.items():
        for name in ("time", "received"):
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, table[name].cast(pa.int64()))
        for row in table.to_pylist():
            # repr tells -0.0 from 0.0
            rows.add((resolution, *(repr(value) for value in row.values())))
    return rows, sorted(found.odd), found.plain


def agree(raws: list[bytes], times: list[datetime] | None = None) -> int:
    """Both say the same; how many telegrams the kernel left to the plain decoder."""
    compiled, odd, left = said(raws, 1, times)
    plain, plainly_odd, _ = said(raws, 1 << 30, times)
    assert compiled == plain
    assert odd == plainly_odd
    return left


def telegram(cp: str, cn: str = "2061", flag: int = 5, head: str = "") -> bytes:
    text = f"QN=20260310120003000;ST=31;CN={cn};PW=123456;MN={MN};Flag={flag};{head}CP=&&{cp}&&"
    return hj212.frame(text)


def test_what_devices_send_is_read_by_the_kernel():
    rng = random.Random(212)
    raws = []
    for k in range(600):
        items = [
            (code, {"Avg": f"{rng.uniform(-9, 999):.{rng.randint(0, 5)}f}", "Flag": "N"}
             | {f: f"{rng.uniform(0, 99):.3f}" for f in rng.sample(FIELDS, 3)})
            for code in ("a21026", "a21002", "a34013", "a19001", "011", "w01018")
        ]  # fmt: skip
        cn = rng.choice(["2011", "2051", "2061", "2031"])
        cp = hj212.data_cp(NOON - timedelta(minutes=k), items)
        raws.append(telegram(cp, cn, rng.choice([0, 1, 4, 5, 8, 9])))
    assert agree(raws) == 0


def test_the_corpus_is_read_alike():
    raws = [
        json.loads(line)["raw"].encode() + b"\r\n"
        for line in CORPUS.read_text().splitlines()
        if json.loads(line).get("raw")
    ]
    times = [hj212.decode(raw).time or NOON for raw in raws]
    assert len(raws) > 300
    assert 0 < agree(raws, times) < len(raws)


def test_what_deviates_is_left_to_the_plain_decoder():
    time = "DataTime=20260310120000;"
    deviating = [
        telegram(time + "a21026-Avg=NaN,a21026-Flag=N"),
        telegram(time + "a21026-Avg=１,a21026-Flag=N"),
        telegram(time + "a21026-Avg=1e400"),
        telegram(time + "a21026-Avg=1.2E-05"),
        telegram(time + "a21026-Avg=.5"),
        telegram(time + "a21026-Avg=1234567890123456"),
        telegram(time + "a21026-Avg=0.1234567890123456"),
        telegram(time + "a21026-Avg="),
        telegram(time + "a21026-Avg=1,a21026-Avg=2"),
        telegram(time + "a21026-Avg=1;a21026-Min=0"),
        telegram(time + "a21026-Avg=1,a21002-Avg=2"),
        telegram(time + "a21026-Avg=1;a21002-Avg=2;a21026-Avg=3"),
        telegram(time + "a21026-Flag="),
        telegram(time + "a21026-EFlag=A"),
        telegram(time + "a21026-Data=1"),
        telegram(time + "a21026-Avg=1;"),
        telegram(time + "a21026-Avg=1,"),
        telegram(time + ";a21026-Avg=1"),
        telegram(time + "a21026-Avg=1;PolId=1"),
        telegram(time + "a 21026-Avg=1"),
        telegram("a21026-Avg=1"),
        telegram("DataTime=20260230120000;a21026-Avg=1"),
        telegram("DataTime=20260310250000;a21026-Avg=1"),
        telegram("DataTime=20260310120000000;a21026-Avg=1"),
        telegram("DataTime=20360310120000;a21026-Avg=1"),
        telegram("DataTime=20160310120000;a21026-Avg=1"),
        telegram(time),
        telegram(time + "a21026-Avg=1", cn="2021"),
        telegram(time + "a21026-Avg=1", cn="9011"),
        telegram(time + "a21026-Avg=1", flag=7, head="PNUM=2;PNO=1;"),
        telegram(time + "a21026-Avg=1", head="MN=1;"),
        telegram(time + "a21026-Avg=1").replace(b"\r\n", b"**\r\n"),
        telegram(time + "a21026-Avg=1")[:-6] + b"0000\r\n",
        telegram(time + "a21026-Avg=1")[:40],
        b"##0000FFFF\r\n", b"", b"##", b"\r\n",
    ]  # fmt: skip
    assert agree(deviating) == len(deviating)
    good = telegram(time + "a21026-Avg=1,a21026-Flag=N,a21026-EFlag=A")
    assert agree([good, good.rstrip(), good + b"\r\n"]) == 0


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_telegram_changed_anywhere_is_read_alike(data: st.DataObject):
    items = [
        (code, {f: data.draw(st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{0,9})?", fullmatch=True))
                for f in data.draw(st.sets(st.sampled_from(FIELDS), min_size=1, max_size=4))})
        for code in data.draw(st.lists(st.sampled_from(["a21026", "w01018", "011"]), max_size=3))
    ]  # fmt: skip
    text = telegram(hj212.data_cp(NOON, items)).removesuffix(b"\r\n")[6:-4]
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        put = data.draw(st.sampled_from([b"", *(bytes([c]) for c in b";,=&-.09aN \xff\x00\r#")]))
        text = text[:at] + put + text[at + 1 :]
    agree([hj212.frame(text), hj212.frame(text)[:-2]])


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_alike(raws: list[bytes]):
    agree(raws)


@given(st.integers(0, 10**15 - 1), st.integers(0, 15), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_number_of_fifteen_digits_is_the_double_of_its_text(n: int, k: int, negative: bool):
    digits = str(n).rjust(k + 1, "0")[-15:]
    k = min(k, len(digits) - 1)
    text = ("-" if negative else "") + digits[: len(digits) - k] + ("." + digits[-k:] if k else "")
    raw = telegram(f"DataTime=20260310120000;a21026-Avg={text}")
    compiled, _, left = said([raw], 1)
    assert left == 0
    (row,) = compiled
    assert row[5] == repr(float(text))


def test_a_batch_is_one_pass_however_the_telegrams_are_mixed():
    good = telegram("DataTime=20260310120000;a21026-Avg=1.5,a21026-Flag=N")
    odd = telegram("DataTime=20260310120000;a21002-Avg=x")
    rows, kinds, left = said([good, odd, good, b"rubbish"], 1)
    assert left == 2
    assert len(rows) == 3
    assert kinds == [(1, "not_a_number", MN), (3, "unreadable", "")]
