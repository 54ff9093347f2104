"""Hours and days added up when a day is closed: what came, whichever way it is asked for."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.conftest import MN, House, make_frame

from jingwei.telemetry import rollups
from jingwei.telemetry.catalog import catalog
from jingwei.telemetry.executor import Local
from jingwei.telemetry.fsck import check
from jingwei.telemetry.lake import Lake, LakeError
from jingwei.telemetry.rebuild import rebuild

DAY = date(2026, 3, 10)
MIDNIGHT = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
OVER = MIDNIGHT + timedelta(hours=27, minutes=5)
HOUR = timedelta(hours=1)


def minutes(values, *, at=MIDNIGHT, step=7):
    return [
        make_frame(at + timedelta(minutes=step * i), {"a21026": f"{value:.1f}"}, cn="2051")
        for i, value in enumerate(values)
    ]


def fill(house, frames, now=OVER):
    house.put(frames, now - timedelta(hours=1))
    ingest = house.ingest(lambda: now)
    while ingest.step(100).telegrams:
        pass
    ingest.tidy()
    return ingest


def ready(house):
    with catalog(house.lake.root) as db:
        return db.execute("SELECT step, rows FROM rollup ORDER BY step").fetchall()


def hours(house, start=MIDNIGHT, end=MIDNIGHT + 24 * HOUR, step="hour"):
    table = house.lake.rollup("minute", step, start, end, [(MN, "31")], ["a21026"])
    return [
        (r["time"], r["received"], r["count"], r["mean"], r["min"], r["max"])
        for r in table.to_pylist()
    ]


def by_hand(values, length=HOUR, step=7):
    found = {}
    for i, value in enumerate(values):
        at = MIDNIGHT + timedelta(minutes=step * i)
        found.setdefault(MIDNIGHT + (at - MIDNIGHT) // length * length, []).append(value)
    return [
        (at, len(some), len(some), pytest.approx(fsum(some) / len(some)), min(some), max(some))
        for at, some in sorted(found.items())
    ]


def test_a_closed_day_is_added_up_and_read_without_its_minutes(house):
    values = [i * 0.7 % 13 for i in range(200)]
    values = [round(v, 1) for v in values]
    fill(house, minutes(values))
    assert ready(house) == [("day", 1), ("hour", 24)]
    assert hours(house) == by_hand(values)
    assert hours(house, step="day") == by_hand(values, 24 * HOUR)
    for path in (house.lake.root / "minute").rglob("*.parquet"):
        path.unlink()
    assert hours(house, MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR) == by_hand(values)[1:3]


def test_a_day_that_goes_on_is_added_up_as_it_is_asked_for(house):
    values = [1.0, 2.0, 6.5]
    fill(house, minutes(values), MIDNIGHT + 12 * HOUR)
    assert ready(house) == []
    assert hours(house) == by_hand(values)


def test_what_comes_late_counts_at_once_and_is_added_up_anew(house):
    fill(house, minutes([1.0] * 100))
    before = list((house.lake.root / "minute-hour").rglob("*.parquet"))
    house.put(minutes([9.0]), OVER)  # a correction of the first minute
    house.put(minutes([3.0], at=MIDNIGHT + timedelta(minutes=1)), OVER)
    ingest = house.ingest(lambda: OVER + timedelta(seconds=1))
    ingest.step()
    with catalog(house.lake.root) as db:
        (files,) = db.execute("SELECT count(*) FROM file").fetchone()
    assert files == 2, "not closed again yet"
    first = hours(house)[0]
    assert first == (MIDNIGHT, 10, 10, pytest.approx((9 + 8 + 3) / 10), 1.0, 9.0)
    whole = hours(house)
    ingest.tidy()
    assert hours(house) == whole
    assert ready(house) == [("day", 1), ("hour", 12)]
    assert list(check(house.journal, house.refused, house.lake.root, full=True)) == []
    later = house.ingest(lambda: OVER + timedelta(minutes=20))
    later.step()
    assert not any(path.exists() for path in before), "what it replaced is deleted"


def test_rebuild_gives_the_same_bytes_and_mends_what_is_damaged(house):
    fill(house, minutes([i / 10 for i in range(150)]))

    def kept():
        with catalog(house.lake.root) as db:
            paths = [p for (p,) in db.execute("SELECT path FROM rollup ORDER BY step")]
        return [(house.lake.root / p).read_bytes() for p in paths]

    def derive(**options):
        return [
            (d.same, d.replaced)
            for d in rebuild(
                house.journal, house.lake.root, DAY, DAY, Local(1), now=OVER, **options
            )
        ]

    before = kept()
    assert derive() == [(True, False)]
    with catalog(house.lake.root) as db:
        (path,) = db.execute("SELECT path FROM rollup WHERE step = 'hour'").fetchone()
    content = bytearray((house.lake.root / path).read_bytes())
    content[len(content) // 3] ^= 1
    (house.lake.root / path).write_bytes(content)
    assert derive(only_compare=True) == [(False, False)]
    assert derive() == [(False, True)]
    assert kept() == before
    assert derive() == [(True, False)]
    for path in house.lake.root.rglob("*.parquet"):
        path.unlink()
    assert list(check(house.journal, house.refused, house.lake.root))
    assert derive() == [(False, True)]
    assert kept() == before
    assert list(check(house.journal, house.refused, house.lake.root, full=True)) == []


_ELSEWHERE = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from jingwei.telemetry.lake import Lake
start = datetime.fromisoformat(sys.argv[2])
table = Lake(Path(sys.argv[1])).rollup("minute", "hour", start, start + timedelta(days=1))
print(table["count"].to_pylist())
"""


def test_another_process_reads_the_same(house):
    fill(house, minutes([1.0] * 20))
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, house.lake.root, MIDNIGHT.isoformat()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[9, 9, 2]\n"


def test_a_wrong_question_is_said_so(house):
    with pytest.raises(LakeError, match="state data are not added up by 'hour'"):
        house.lake.rollup("state", "hour", MIDNIGHT, MIDNIGHT + HOUR)
    assert house.lake.rollup("minute", "day", MIDNIGHT, MIDNIGHT + 24 * HOUR).num_rows == 0


@settings(max_examples=12, deadline=None)
@given(
    acts=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 999), st.booleans()), min_size=1, max_size=25
    )
)
def test_closed_or_not_corrected_or_not_the_sums_are_those_of_the_values(
    acts, tmp_path_factory: pytest.TempPathFactory
):
    """(which minute, value, whether to close what there is then)"""
    house = House(tmp_path_factory.mktemp("rollups"))
    truth: dict[int, float] = {}
    now = OVER
    ingest = house.ingest(lambda: now)
    for minute, value, close in acts:
        now += timedelta(seconds=1)
        truth[minute] = value / 10
        # A QN of its own: the same bytes again would be the earlier telegram.
        frames = [make_frame(MIDNIGHT + timedelta(minutes=5 * minute), {"a21026": f"{value / 10:.1f}"},
                             cn="2051", qn=f"{now:%Y%m%d%H%M%S}000")]  # fmt: skip
        house.put(frames, now)
        ingest.step()
        if close:
            ingest.tidy()
        found = {}
        for minute_, value_ in truth.items():
            at = MIDNIGHT + timedelta(minutes=5 * minute_) // HOUR * HOUR
            found.setdefault(at, []).append(value_)
        assert hours(house) == [
            (at, len(some), len(some), pytest.approx(fsum(some) / len(some)), min(some), max(some))
            for at, some in sorted(found.items())
        ]
        rows = Lake(house.lake.root).series(
            MN, "31", ["a21026"], "minute", MIDNIGHT, MIDNIGHT + 24 * HOUR
        )
        assert rows["value"].to_pylist() == [truth[m] for m in sorted(truth)]


def test_repeats_are_counted_across_the_groups_of_a_file(tmp_path, monkeypatch):
    from jingwei.telemetry import parquet

    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 2048)
    rows = (
        "SELECT 'm' AS mn, '31' AS st, 'f' AS factor, TIMESTAMPTZ '2026-03-10 00:00:00+00' +"
        " INTERVAL 1 MINUTE * (i // 3) AS time, 1.0 AS value, NULL::DOUBLE AS min, NULL::DOUBLE AS max,"
        " NULL::DOUBLE AS cou, NULL::DOUBLE AS zs, NULL::DOUBLE AS zs_min, NULL::DOUBLE AS zs_max,"
        " NULL::VARCHAR AS flag, time AS received, i AS seq FROM range(10_000) t(i)"
    )
    assert parquet.write_sorted(rows, tmp_path / "x.parquet") == 10_000
    assert rollups.repeats(str(tmp_path / "x.parquet")) == 10_000 - 3_334


def test_a_catalog_of_the_first_version_is_taken_over(house):
    fill(house, minutes([1.0] * 20))
    before = house.lake.latest("minute")
    root = house.lake.root
    with sqlite3.connect(root / "catalog.sqlite") as db:
        for statement in (
            "CREATE TABLE old(mn TEXT NOT NULL, st TEXT NOT NULL, factor TEXT NOT NULL,"
            " resolution TEXT NOT NULL, time INTEGER NOT NULL, value REAL, zs REAL, flag TEXT,"
            " received INTEGER NOT NULL, seq INTEGER NOT NULL,"
            " PRIMARY KEY (mn, st, factor, resolution)) WITHOUT ROWID",
            "INSERT INTO old SELECT mn, st, factor, resolution, time, value, zs, flag, received,"
            " seq FROM latest",
            "DROP TABLE latest",
            "ALTER TABLE old RENAME TO latest",
            "CREATE INDEX latest_resolution ON latest(resolution)",
            "ALTER TABLE file DROP COLUMN again",
            "ALTER TABLE file DROP COLUMN sha256",
            "DROP TABLE rollup",
            "PRAGMA user_version = 1",
        ):
            db.execute(statement)
    db.close()
    assert house.lake.latest("minute") == before
    assert hours(house) == by_hand([1.0] * 20)
    ingest = house.ingest(lambda: OVER)
    ingest.step()
    assert ready(house) == [("day", 1), ("hour", 3)]
    assert hours(house) == by_hand([1.0] * 20)
