"""The lake against a model of it in plain Python, and its promises one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei import hj212
from jingwei.telemetry import ingest as ingest_module
from jingwei.telemetry import journal, repeats
from jingwei.telemetry.catalog import partition
from jingwei.telemetry.fsck import check
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram, microseconds, moment
from jingwei.telemetry.keys import NAME, KeyBox
from jingwei.telemetry.lake import SERIES, Lake, LakeError
from jingwei.telemetry.parquet import SCHEMA

MN = "010000A8900016F000169DC0"
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def values(table, column="value"):
    return table.column(column).to_pylist()


def test_what_a_telegram_says_is_in_the_lake(house):
    raw = hj212.frame(
        hj212.segment(
            cn="2061", st="31", mn=MN, pw="123456", qn="20260310130003000", flag=5,
            cp=hj212.data_cp(NOON, [
                ("a21026", {"Avg": "12.50", "Min": "1", "Max": "20.", "Cou": "1.2E-05",
                            "ZsAvg": "15", "ZsMin": ".5", "ZsMax": "+30", "Flag": "N"}),
                ("a19001", {"Avg": "6.1"}),
            ]),
        )
    )  # fmt: skip
    received = NOON + HOUR + timedelta(microseconds=123457)
    (seq,) = house.put([raw], received)
    report = house.ingest().step()
    assert (report.telegrams, report.observations, report.batch, report.problems) == (1, 2, 1, ())
    table = house.lake.series(MN, "31", ["a21026"], "hour", NOON, NOON + HOUR)
    assert table.column_names == list(SERIES)
    (row,) = table.to_pylist()
    assert row == {
        "factor": "a21026", "time": NOON, "value": 12.5, "min": 1.0, "max": 20.0, "cou": 1.2e-05,
        "zs": 15.0, "zs_min": 0.5, "zs_max": 30.0, "flag": "N", "received": received, "seq": seq,
    }  # fmt: skip
    assert journal.get(house.journal, seq).raw == raw
    other = house.lake.series(MN, "31", None, "hour", NOON, NOON + HOUR).to_pylist()[0]
    assert (other["factor"], other["value"], other["flag"]) == ("a19001", 6.1, None)
    latest = house.lake.latest("hour", [(MN, "31")])
    assert [(x.factor, x.time, x.value, x.zs, x.flag, x.received, x.seq) for x in latest] == [
        ("a19001", NOON, 6.1, None, None, received, seq),
        ("a21026", NOON, 12.5, 15.0, "N", received, seq),
    ]
    assert house.lake.latest("hour", [(MN, "32")]) == house.lake.latest("day") == []
    (change,) = house.lake.changes(0, "hour")
    assert (change.batch, change.mn, change.st, change.time) == (1, MN, "31", NOON)
    assert house.lake.changes(1, "hour") == house.lake.changes(0, "day") == []
    assert house.lake.batch() == 1


@pytest.mark.parametrize(
    ("cn", "resolution", "fields", "value", "zs"),
    [
        ("2011", "realtime", {"Rtd": "1", "ZsRtd": "2", "Flag": "N"}, 1, 2),
        ("2051", "minute", {"Avg": "1", "ZsAvg": "2"}, 1, 2),
        ("2061", "hour", {"Avg": "1", "Rtd": "9"}, 1, None),
        ("2031", "day", {"Avg": "1", "ZsAvg": "2"}, 1, 2),
        ("2051", "minute", {"Data": "54.2"}, 54.2, None),
        ("2021", "state", {"RS": "1"}, 1, None),
        ("2031", "day", {"Cou": "3"}, None, None),
        ("2041", "day", {"RT": "23.5"}, 23.5, None),
        ("2111", "minute", {"Avg": "861", "Flag": "N"}, 861, None),
        ("2013", "realtime", {"SampleType": "1", "Avg": "4", "Flag": "N"}, 4, None),
        ("2052", "realtime", {"Data": "54.2"}, 54.2, None),
    ],
)
def test_each_command_goes_to_its_resolution(house, cn, resolution, fields, value, zs):
    cp = hj212.data_cp(NOON, [("a21026", fields)])
    segment = hj212.segment(cn=cn, st="31", mn=MN, pw="123456", qn="20260310130003000", cp=cp)
    house.put([hj212.frame(segment)])
    house.ingest().step()
    (row,) = house.lake.series(MN, "31", None, resolution, NOON, NOON + HOUR).to_pylist()
    assert (row["value"], row["zs"]) == (value, zs)
    (latest,) = house.lake.latest(resolution)
    assert (latest.value, latest.resolution) == (value, resolution)
    assert house.lake.latest() == ([] if resolution == "state" else [latest])


def test_data_that_the_lake_has_no_place_for_are_counted(house):
    cp = hj212.data_cp(NOON, [("w01018", {"SampleRd": "51", "StandardValue": "50"})])
    segment = hj212.segment(cn="2062", st="32", mn=MN, pw="123456", qn="20260310130003000", cp=cp)
    house.put([hj212.frame(segment)])
    assert house.ingest().step().observations == 0
    assert [(p.kind, p.mn, p.count) for p in house.lake.problems()] == [("not_in_the_lake", MN, 1)]


@pytest.mark.parametrize(
    "text", ["NaN", "1e400", "-inf", "１２．５", "1_0", "0x10", "", "--", "1e9999999999"]
)
def test_a_text_that_is_no_number_becomes_null_and_is_counted(house, frame, text):
    house.put([frame(values={"a21026": text, "a34013": "3"})])
    house.ingest().step()
    table = house.lake.series(MN, "31", None, "hour", NOON, NOON + HOUR)
    assert values(table) == [None, 3.0]
    (problem,) = house.lake.problems()
    assert (problem.kind, problem.mn, problem.count) == ("not_a_number", MN, 1)
    assert problem.day == date(2026, 3, 10)
    assert journal.get(house.journal, problem.seq).raw == frame(
        values={"a21026": text, "a34013": "3"}
    )


def test_a_clock_that_is_wrong_is_counted_and_does_not_hide_the_truth(house, frame):
    ahead, behind = NOON + timedelta(days=3653), NOON - timedelta(days=3653)
    house.put([frame(ahead), frame(NOON), frame(behind)])
    house.ingest().step()
    assert {p.kind for p in house.lake.problems()} == {"clock_ahead", "clock_behind"}
    assert [x.time for x in house.lake.latest("hour")] == [NOON]
    for when in (ahead, NOON, behind):
        assert house.lake.series(MN, "31", None, "hour", when, when + HOUR).num_rows == 1
    house.ingest(lambda: NOON + timedelta(days=2)).tidy()
    assert house.lake.series(MN, "31", None, "hour", ahead, ahead + HOUR).num_rows == 1


@pytest.mark.parametrize("text", ["99991231235959", "00020101000000", "19500101000000"])
def test_an_impossible_time_is_counted_and_stops_nothing(house, frame, text):
    good = frame()
    bad = hj212.frame(
        good[6:-4].replace(hj212.seconds(NOON).encode(), text.encode(), 1)
    )  # DataTime changed, check sum right
    assert hj212.decode(bad).ok
    house.put([bad, good])
    ingest = house.ingest()
    ingest.step()
    ingest.tidy()
    assert [p.kind for p in house.lake.problems()] == ["no_time"]
    assert house.lake.series(MN, "31", None, "hour", NOON, NOON + HOUR).num_rows == 1


def test_a_factor_given_twice_in_one_telegram_counts_once(house):
    cp = f"DataTime={hj212.seconds(NOON)};a21026-Avg=1,a21026-Flag=N;a21026-Avg=2,a21026-Flag=D"
    segment = hj212.segment(
        cn="2061", st="31", mn=MN, pw="123456", qn="20260310130003000", flag=5, cp=cp
    )
    house.put([hj212.frame(segment)])
    house.ingest().step()
    assert values(house.lake.series(MN, "31", None, "hour", NOON, NOON + HOUR)) == [2.0]
    assert [p.kind for p in house.lake.problems()] == ["given_twice"]


def test_the_same_bytes_are_stored_once_and_a_correction_wins(house, frame):
    one, two = frame(values={"a21026": "1"}), frame(values={"a21026": "2"}, qn="2" * 17)
    writer = Journal(house.journal)
    ingest = house.ingest()
    seqs = []
    for minute, raw in enumerate([one, one, two, one]):
        received = NOON + HOUR + timedelta(minutes=minute)
        seqs += writer.append([Telegram(received, "p:1", raw)])
        ingest.step()
    assert [(v.value, v.seq) for v in house.lake.versions(MN, "31", "a21026", "hour", NOON)] == [
        (1.0, seqs[0]), (2.0, seqs[2]),
    ]  # fmt: skip
    assert values(house.lake.series(MN, "31", None, "hour", NOON, NOON + HOUR)) == [2.0]
    assert [x.value for x in house.lake.latest("hour")] == [2.0], "a late copy corrects nothing"
    assert [(p.kind, p.count) for p in house.lake.problems()] == [("repeated", 2)]
    assert [c.batch for c in house.lake.changes(0, "hour")] == [1, 3]


def test_different_frames_with_the_same_hash_are_both_stored(house, frame, monkeypatch):
    monkeypatch.setattr(repeats, "hash64", lambda raw: 7)
    monkeypatch.setattr(repeats, "_mixed", lambda state, word: state * np.uint64(0))
    house.put([frame(NOON), frame(NOON + HOUR)])
    ingest = house.ingest()
    ingest.step(1)
    ingest.step(1)
    table = house.lake.series(MN, "31", None, "hour", NOON, NOON + 2 * HOUR)
    assert table.num_rows == 2


QN = "202603101300000{:02}"


@pytest.mark.parametrize("batch", [1, 9])
def test_a_telegram_sent_again_with_a_new_qn_is_stored_once(house, frame, batch):
    ins = [{"a21026": "1", "a34013": "2"}, {"a21026": "1", "a34013": "2"}, {"a21026": "3"}]
    back_fill = hj212.frame(
        frame(values=ins[0], qn=QN.format(7))[6:-4].replace(b";CP", b";RF=1;CP")
    )
    first = [frame(values=values, qn=QN.format(k)) for k, values in enumerate(ins)]
    seqs = house.put([*first, first[0], back_fill.rstrip()])
    ingest = house.ingest()
    while ingest.step(batch).telegrams:
        pass
    versions = house.lake.versions(MN, "31", "a21026", "hour", NOON)
    # The back-filled one takes back what the third had corrected; the copy of the first does not.
    assert [(v.value, v.seq) for v in versions] == [(1.0, seqs[0]), (3.0, seqs[2]), (1.0, seqs[4])]
    assert [(p.kind, p.count) for p in house.lake.problems()] == [("repeated", 2)]


def test_encrypted_telegrams_sent_again_with_a_new_qn_are_stored_once(house):
    key = bytes(range(16))
    sealed = KeyBox(house.root / NAME).seal(MN, key)
    house.devices(MN, version="2025", keys=(sealed,))
    cp = hj212.data_cp(NOON, [("a21026", {"Avg": "12.5", "Flag": "N"})])
    house.put([
        hj212.frame(
            hj212.segment(
                cn="2061", st="31", mn=MN, pw="123456", qn=QN.format(k), flag=9, cp=cp
            ),
            key=key,
        ).rstrip()
        for k in range(2)
    ])  # fmt: skip
    house.ingest().step()
    assert len(house.lake.versions(MN, "31", "a21026", "hour", NOON)) == 1
    assert [(p.kind, p.count) for p in house.lake.problems()] == [("repeated", 1)]


def cut(number: int, items: str, qn: int = 0) -> bytes:
    """Packet 1 or 2 of an hour."""
    segment = hj212.segment(
        cn="2061", st="31", mn=MN, pw="123456", qn=QN.format(qn or number), flag=5, pnum=2,
        pno=number, cp=f"DataTime={hj212.seconds(NOON)};{items}",
    )  # fmt: skip
    return hj212.frame(segment).rstrip()


SEAM = [
    cut(1, "w01001-Avg=7.1,w01001-Flag=N;w01018-Avg=7.5,w01018-Min=1"),
    cut(2, "w01018-Max=9,w01018-Flag=N;w21003-Avg=0.3,w21003-Flag=N"),
]


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("packets", [SEAM, SEAM[::-1], [SEAM[0], cut(1, "w01018-Avg=7.4"), *SEAM]])
def test_an_item_cut_between_two_packets_is_whole(house, packets, batch):
    house.put(packets)
    ingest = house.ingest()
    while ingest.step(batch).telegrams:
        pass
    avg = 7.4 if len(packets) > 2 else 7.5  # what came last of packet 1, its late copy apart
    table = house.lake.series(MN, "31", ["w01018"], "hour", NOON, NOON + HOUR)
    (row,) = table.to_pylist()
    wanted = {"value": avg, "max": 9.0, "flag": "N"}
    assert {name: row[name] for name in wanted} == wanted
    latest = {x.factor: (x.value, x.flag) for x in house.lake.latest("hour")}
    assert latest["w01018"] == (avg, "N")
    assert latest["w21003"] == (0.3, "N")
    assert latest["w01001"] == (7.1, "N")


def test_packets_of_another_time_or_hours_later_are_not_put_together(house):
    other = hj212.frame(
        SEAM[1][6:-4].replace(b"DataTime=20260310120000", b"DataTime=20260310130000")
    )
    house.put([SEAM[0], other.rstrip()])
    house.put([SEAM[1]], NOON + 5 * HOUR)
    house.ingest().step()
    for when in (NOON, NOON + HOUR):
        (row,) = house.lake.series(MN, "31", ["w01018"], "hour", when, when + HOUR).to_pylist()
        assert (row["value"], row["max"]) == (None, 9.0)


# ── against a model ────────────────────────────────────────────────────────────────────────────

hours = st.sampled_from([-30, -13, -12, 0, 0, 1, 30])  # around local noon: three local days
number = st.integers(0, 99)
factors = st.sampled_from(["a21026", "a34013"])
systems = st.sampled_from(["31", "32"])
sent = st.tuples(
    st.just("send"), hours, systems, st.dictionaries(factors, number, min_size=1), st.booleans()
)
acts = st.lists(
    st.one_of(
        sent,
        sent,
        sent,
        st.tuples(st.just("again"), st.integers(0, 50)),
        st.tuples(st.just("step"), st.integers(1, 6)),
        st.tuples(st.just("tidy"), st.integers(0, 3)),
        st.tuples(st.just("roll")),
    ),
    max_size=40,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts)
def test_late_repeated_and_corrected_values_in_any_order(acts):
    with tempfile.TemporaryDirectory() as folder:
        _play(Path(folder), acts)


def _play(folder, acts):
    root, lake_root = folder / "journal", folder / "lake"
    now = NOON + timedelta(days=1)
    writer, lake = Journal(root), Lake(lake_root)
    reader = Ingest(root, lake_root, clock=lambda: now)
    frames: list[bytes] = []
    receptions = defaultdict(list)  # (st, factor, time) → [(received, seq, value)]
    stored: set[bytes] = set()
    in_force: dict[tuple[str, datetime], tuple[datetime, int, dict[str, int]]] = {}

    def receive(raw, when, system, some, received):
        (seq,) = writer.append([Telegram(received, "p:1", raw)])
        one = (received, seq, some)
        before = in_force.setdefault((system, when), one)
        if raw not in stored and (before is one or before[2] != some):
            stored.add(raw)
            in_force[system, when] = max(before, one, key=lambda found: found[:2])
            for code, value in some.items():
                receptions[system, code, when].append((received, seq, float(value)))

    told = {}
    for n, act in enumerate(acts):
        if act[0] == "send":
            _, hour, system, some, late = act
            when = NOON + hour * HOUR
            cp = hj212.data_cp(when, [(c, {"Avg": str(v)}) for c, v in some.items()])
            raw = hj212.frame(
                hj212.segment(
                    cn="2061", st=system, mn=MN, pw="123456", qn=f"{20260310000000000 + n}",
                    flag=5, cp=cp,
                )
            )  # fmt: skip
            frames.append(raw)
            # Another gateway's clock may be behind: the reception decides, not the order of rows.
            received = now + timedelta(seconds=n - (1000 if late else 0))
            told[raw] = (when, system, some)
            receive(raw, when, system, some, received)
        elif act[0] == "again" and frames:
            raw = frames[act[1] % len(frames)]
            receive(raw, *told[raw], now + timedelta(seconds=n))
        elif act[0] == "step":
            reader.step(act[1])
        elif act[0] == "tidy":
            # Within the time for which ingest knows what it has seen.
            now = min(now + timedelta(hours=act[1] * 12), NOON + timedelta(days=25))
            reader.tidy()
        elif act[0] == "roll":
            writer.roll()
    while reader.step(7).telegrams:
        pass

    start, end = NOON - timedelta(days=3), NOON + timedelta(days=3)
    wanted = {key: max(some) for key, some in receptions.items()}
    table = lake.scan("hour", start, end)
    found = {
        (r["st"], r["factor"], r["time"]): (r["received"], r["seq"], r["value"])
        for r in table.to_pylist()
    }
    assert table.num_rows == len(found), "no observation twice"
    assert found == wanted
    keys = list(zip(*(table.column(c).to_pylist() for c in ("mn", "st", "factor", "time")),
                    strict=True))  # fmt: skip
    assert keys == sorted(keys)
    assert lake.scan("hour", start, end, points=[(MN, "32")], factors=["a21026"]).num_rows == sum(
        k[0] == "32" and k[1] == "a21026" for k in wanted
    )
    for system in ("31", "32"):
        series = lake.series(MN, system, ["a21026"], "hour", NOON - 5 * HOUR, NOON + 5 * HOUR)
        assert [(r["time"], r["value"]) for r in series.to_pylist()] == sorted(
            (k[2], v[2])
            for k, v in wanted.items()
            if k[:2] == (system, "a21026") and NOON - 5 * HOUR <= k[2] < NOON + 5 * HOUR
        )
    for (system, code, when), some in list(receptions.items())[:5]:
        versions = lake.versions(MN, system, code, "hour", when)
        assert [(v.received, v.seq, v.value) for v in versions] == sorted(some)
    newest = {}
    for (system, code, when), (received, seq, value) in wanted.items():
        if when <= received + timedelta(minutes=10):
            newest[system, code] = max(newest.get((system, code), ()), (when, received, seq, value))
    # A later reception of the newest time counts even if an earlier one lay ahead of its clock.
    assert {
        (x.st, x.factor): (x.time, x.received, x.seq, x.value) for x in lake.latest("hour")
    } == newest
    changed = lake.changes(0, "hour", 1_000_000)
    assert {(c.st, c.time) for c in changed} == {(k[0], k[2]) for k in wanted}
    assert [c.batch for c in changed] == sorted(c.batch for c in changed)
    assert list(check(root, folder / "refused", lake_root, full=True)) == []


# ── files ──────────────────────────────────────────────────────────────────────────────────────


def test_partitions_are_local_days_and_months():
    def us(*parts):
        return journal.microseconds(datetime(*parts, tzinfo=UTC))

    assert partition("hour", us(2026, 3, 9, 15, 59, 59)) == "2026-03-09"
    assert partition("hour", us(2026, 3, 9, 16)) == "2026-03-10"
    assert partition("day", us(2026, 2, 28, 16)) == "2026-03-01"
    assert partition("day", us(2026, 3, 30, 16)) == "2026-03-01"
    assert partition("minute", us(1969, 12, 31, 15)) == "1969-12-31"


def parquet(house):
    """Files of observations; those that were added up have a hyphen in their resolution."""
    lake = house.root / "lake"
    found = (p.relative_to(lake).as_posix() for p in lake.rglob("*.parquet"))
    return sorted(path for path in found if "-" not in path.partition("/")[0])


def test_few_files_a_day_and_one_sorted_file_when_it_is_over(house, frame):
    now = NOON + HOUR
    ingest = house.ingest(lambda: now)
    writer = Journal(house.journal)
    mns = [f"{i:024}" for i in (3, 1, 2)]
    n = 0
    for minute in range(100):
        for mn in mns:
            n += 1
            raw = frame(NOON - timedelta(minutes=minute), mn=mn, cn="2051")
            writer.append([Telegram(now, "p:1", raw)])
        now += timedelta(seconds=30)
        ingest.step()
    with_retired = len(parquet(house))
    assert with_retired < 60, "small files are merged as they come, and retired ones deleted"
    now += timedelta(minutes=20)
    ingest.step()
    assert len(parquet(house)) <= 2 * ingest_module.MERGE

    day = "2026-03-10"
    now = datetime(2026, 3, 10, 18, 59, tzinfo=UTC)  # 02:59 on the 11th in Beijing
    ingest.tidy()
    assert len(parquet(house)) > 1
    now = datetime(2026, 3, 10, 19, 1, tzinfo=UTC)
    ingest.step()
    now += timedelta(minutes=11)
    ingest.step()
    (path,) = parquet(house)
    assert path.startswith(f"minute/{day}/")
    table = pq.read_table(house.root / "lake" / path)
    assert table.schema.equals(SCHEMA)
    rows = [tuple(r.values())[:4] for r in table.to_pylist()]
    assert rows == sorted(rows)
    assert len(rows) == n
    assert (
        pq.ParquetFile(house.root / "lake" / path).metadata.row_group(0).column(0).compression
        == "ZSTD"
    )

    # Late: a telegram for the closed day is visible at once, and the day is closed anew.
    late = frame(NOON + HOUR, mn=mns[0], cn="2051", values={"a21026": "77"})
    writer.append([Telegram(now, "p:1", late)])
    ingest.step()
    assert values(
        house.lake.series(mns[0], "31", None, "minute", NOON + HOUR, NOON + 2 * HOUR)
    ) == [77.0]
    assert len(parquet(house)) == 2
    now += timedelta(minutes=2)
    ingest.step()
    now += timedelta(minutes=11)
    ingest.step()
    (path,) = parquet(house)
    assert pq.read_metadata(house.root / "lake" / path).num_rows == n + 1


def test_a_reader_with_an_old_list_of_files_can_still_read_them(house, frame):
    now = NOON + HOUR
    ingest = house.ingest(lambda: now)
    writer = Journal(house.journal)
    for i in range(ingest_module.MERGE - 1):
        writer.append([Telegram(now, "p:1", frame(NOON - i * timedelta(minutes=1), cn="2051"))])
        ingest.step()
    before = parquet(house)
    writer.append([Telegram(now, "p:1", frame(NOON - HOUR, cn="2051"))])
    ingest.step()
    assert set(before) < set(parquet(house)), "merged away, and still there"
    now += ingest_module.KEEP_RETIRED
    ingest.step()
    assert len(parquet(house)) == 1
    assert not set(before) & set(parquet(house))


def test_a_damaged_file_stops_neither_the_taking_in_nor_other_days(house, frame):
    now = NOON + timedelta(days=2)
    yesterday = NOON - timedelta(days=1)
    house.put([frame(yesterday), frame(NOON)])
    house.ingest(lambda: NOON).step()
    (bad,) = [p for p in parquet(house) if "/2026-03-09/" in p]
    (house.root / "lake" / bad).write_bytes(b"damaged" * 1000)
    ingest = house.ingest(lambda: now)
    house.put([frame(NOON + HOUR)])
    first = ingest.step()
    assert first.observations == 1
    house.put([frame(NOON + 2 * HOUR)])
    second = ingest.step()
    assert second.observations == 1
    for report in (first, second):
        (problem,) = report.problems
        assert "2026-03-09 cannot be merged" in problem
    assert house.lake.series(MN, "31", None, "hour", NOON, NOON + 9 * HOUR).num_rows == 3
    with pytest.raises(LakeError, match="cannot be merged"):
        ingest.tidy()
    with pytest.raises(LakeError, match="lake"):
        house.lake.series(MN, "31", None, "hour", yesterday, NOON)
    now += timedelta(minutes=11)
    ingest.step()
    assert [p.split("/")[1] for p in parquet(house)] == ["2026-03-09", "2026-03-10"], "closed"


def test_what_a_killed_step_left_is_removed(house, frame):
    house.put([frame()])
    house.ingest().step()
    (path,) = parquet(house)
    orphan = house.root / "lake" / "hour/2026-03-10/0000000009-deadbeef.parquet"
    orphan.write_bytes(b"half a file")
    assert house.lake.series(MN, "31", None, "hour", NOON, NOON + HOUR).num_rows == 1
    house.ingest()
    assert parquet(house) == [path]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_step_that_cannot_write_leaves_nothing_and_can_be_repeated(house, frame, monkeypatch):
    house.put([frame(NOON), frame(NOON, cn="2051")])
    ingest = house.ingest()
    real = os.fsync

    def full(handle):
        if Path(f"/proc/self/fd/{handle}").readlink().suffix == ".parquet":
            full.calls += 1
            if full.calls == 2:
                raise OSError(28, "No space left on device")
        real(handle)

    full.calls = 0
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ingest.step()
    assert parquet(house) == []
    assert house.lake.batch() == 0
    monkeypatch.undo()
    assert ingest.step().observations == 2


# ── between processes ──────────────────────────────────────────────────────────────────────────

READER = """
import sys, time
from datetime import datetime, timedelta, UTC
from pathlib import Path
from jingwei.telemetry.lake import Lake
lake = Lake(Path(sys.argv[1]))
start = datetime.fromisoformat(sys.argv[2])
print("ready", len(lake.latest()), flush=True)
for line in sys.stdin:
    rows = lake.series(sys.argv[3], "31", None, "hour", start, start + timedelta(hours=1)).to_pylist()
    print(rows[0]["value"] if rows else None, [x.value for x in lake.latest("hour")], flush=True)
"""


def test_another_process_sees_a_value_as_soon_as_it_is_committed(house, frame):
    arguments = [str(house.root / "lake"), NOON.isoformat(), MN]
    with subprocess.Popen(
        [sys.executable, "-c", READER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def ask():
            reader.stdin.write("?\n")
            return reader.stdout.readline().strip()

        assert reader.stdout.readline() == "ready 0\n"
        assert ask() == "None []"
        ingest = house.ingest()
        for n in range(5):
            received = NOON + HOUR + timedelta(minutes=n)
            house.put([frame(values={"a21026": str(n)})], received)
            ingest.step()
            assert ask() == f"{n}.0 [{n}.0]"
        reader.stdin.close()
        assert reader.wait(20) == 0


STEPPER = """
import sys
from pathlib import Path
from jingwei.telemetry.ingest import Ingest
ingest = Ingest(Path(sys.argv[1]), Path(sys.argv[2]))
print("ready", flush=True)
while ingest.step(20).telegrams:
    pass
"""


def test_several_writers_take_turns(house, frame):
    house.put([frame(NOON + i * HOUR, values={"a21026": str(i)}) for i in range(400)])
    run = [sys.executable, "-c", STEPPER, str(house.journal), str(house.root / "lake")]
    running = [subprocess.Popen(run, stdout=subprocess.PIPE) for _ in range(3)]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    table = house.lake.scan("hour", NOON, NOON + 500 * HOUR)
    assert sorted(values(table)) == [float(i) for i in range(400)]
    assert house.lake.problems() == [
        p for p in house.lake.problems() if p.kind.startswith("clock")
    ], "nothing was taken twice"
    assert list(check(house.journal, house.refused, house.root / "lake", full=True)) == []


def test_a_lake_that_is_not_there_is_empty_and_a_wrong_question_is_said_so(tmp_path):
    lake = Lake(tmp_path / "lake")
    assert lake.latest() == []
    empty = lake.series(MN, "31", None, "hour", NOON, NOON + HOUR)
    assert (empty.num_rows, empty.column_names) == (0, list(SERIES))
    assert lake.versions(MN, "31", "a", "hour", NOON) == []
    assert lake.scan("minute", NOON, NOON).column_names == ["mn", "st", *SERIES]
    with pytest.raises(LakeError, match="no resolution"):
        lake.series(MN, "31", None, "year", NOON, NOON + HOUR)
    (tmp_path / "lake" / "catalog.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(LakeError, match=r"catalog\.sqlite"):
        lake.latest()


def test_readers_are_never_disturbed_by_the_writer(house, frame):
    """Another process ingests and merges while this one reads: every answer is a whole one."""
    total = 600
    writer = Journal(house.journal)
    writer.append(
        [
            Telegram(NOON + HOUR, "p:1", frame(NOON - i * timedelta(minutes=1), cn="2051"))
            for i in range(total)
        ]
    )
    run = [sys.executable, "-c", STEPPER, str(house.journal), str(house.root / "lake")]
    with subprocess.Popen(run, stdout=subprocess.PIPE) as process:
        seen = 0
        while seen < total:
            ended = process.poll() is not None
            count = house.lake.series(
                MN, "31", None, "minute", NOON - timedelta(days=1), NOON + HOUR
            ).num_rows
            assert count >= seen
            assert count % 20 == 0, "a batch is seen as a whole"
            seen = count
            assert seen == total or not ended
            time.sleep(0.005)
    assert process.returncode in (0, -signal.SIGTERM)


@given(st.integers(-(1 << 50), 1 << 57))
def test_times_are_exact_to_the_microsecond(us):
    assert microseconds(moment(us)) == us
    assert moment(us) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def pieces(house, day: date, rows: int):
    """The pieces of a day's hours as plain rows, and how many there are."""
    found = list(house.lake.pieces("hour", day, ("value", "flag"), rows))
    devices = [mn for piece in found for mn in set(piece.column("mn").to_pylist())]
    assert len(devices) == len(set(devices)), "a device is cut in two"
    return [row for piece in found for row in piece.to_pylist()], len(found)


@pytest.mark.parametrize("closed", [False, True])
def test_pieces_are_the_day_with_whole_devices(house, frame, closed, monkeypatch):
    """What `scan` says, for who reads all of it: also of repeated observations the last alone."""
    monkeypatch.setattr("jingwei.telemetry.parquet.ROWS_A_GROUP", 2048)
    day, start = date(2026, 3, 10), NOON - 12 * HOUR
    frames = []
    for n in range(64):  # the last four again, with other values
        for h in range(24):
            at, qn = start + h * HOUR, f"20260310{n:03d}{h:02d}0000"
            value = {"a21026": f"{n}.{h}", "a19001": f"{h}"}
            frames.append(frame(at, value, mn=f"{n % 60:024d}", qn=qn))
    house.put(frames)
    ingest = house.ingest(lambda: NOON + timedelta(days=3 * closed))
    while ingest.step(5000).telegrams:
        pass
    if closed:
        ingest.tidy()
    scanned = house.lake.scan("hour", start, start + 24 * HOUR).to_pylist()
    wanted = [
        {k: row[k] for k in ("mn", "st", "factor", "time", "value", "flag")} for row in scanned
    ]
    assert len(wanted) == 60 * 24 * 2
    for rows in (100, 1 << 20):
        got, count = pieces(house, day, rows)
        assert got == wanted
        assert (count > 1) == (closed and rows == 100)
    assert list(house.lake.pieces("hour", day + timedelta(days=1), ("value",))) == []


def test_many_points_are_found_like_few(house, frame, monkeypatch):
    points = [(f"{k:024}", "31") for k in range(40)]
    house.put([frame(NOON + timedelta(minutes=k % 3), mn=mn) for k, (mn, _) in enumerate(points)])
    house.put([frame(NOON, mn=mn, cn="2051") for mn, _ in points[::2]])
    house.ingest().step()
    for some in (points, points[::3], [*points[5:7], ("nobody", "31"), (points[0][0], "32")], []):
        few = house.lake.latest(points=some)
        with monkeypatch.context() as patch:
            patch.setattr("jingwei.telemetry.lake.SINGLY", -1)
            assert house.lake.latest(points=some) == few
        assert few == [row for row in house.lake.latest() if (row.mn, row.st) in some]
        assert {(row.mn, row.st) for row in few} == set(some) & set(points)
