"""Series, players, frames: what a logger with these data would have sent."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei import hj212
from jingwei.demo import catalogue
from jingwei.telemetry import replay, replay_files

LIBRARY = replay.Library(catalogue.DATA)
PLAYER = replay.Player(LIBRARY)
NOON = datetime(2026, 5, 4, 4, 0, tzinfo=UTC)  # 12:00 in China
TURBINE = replay.Device(
    "010110105DE00010000000A1",
    "31",
    "123456",
    (
        replay.Channel("a21002", "gas_turbine", "NOX", 0.5, shift=100, reference_o2=15, mass=True),
        replay.Channel("a19001", "gas_turbine", "TEY", -0.02, 17.6, shift=100),
        replay.Channel("a00000", "gas_turbine", "CDP", 30, shift=100, mass=True),
    ),
    "stack",
)
DONGSI = replay.Device(
    "010110101A10000000000004",
    "22",
    "123456",
    (
        replay.Channel("a34004", "prsa_beijing/Dongsi", "PM2.5", decimals=1),
        replay.Channel("a01008", "prsa_beijing/Dongsi", "WD", decimals=1),
    ),
)


def series(values, step=3600, **rest):
    return replay.Series("x", step, "cyclic", {"v": replay.Cells.of(values)}, **rest)


# ---- between the measured values


@given(
    st.lists(st.floats(0, 1e4), min_size=3, max_size=30),
    st.integers(0, 10**6),
    st.sampled_from([600, 900, 1200, 3600]),
)
def test_parts_of_a_step_average_to_the_measured_value(values, hour, part):
    s = series(values)
    start = hour * 3600
    parts = [s.mean("v", start + at, part) for at in range(0, 3600, part)]
    at = s.index(start + replay.OFFSET)
    assert math.isclose(sum(p[0] for p in parts) / len(parts), values[at], abs_tol=1e-6)
    before, after = values[at - 1], values[(at + 1) % len(values)]
    low, high = min(before, values[at], after), max(before, values[at], after)
    for _, least, most, share in parts:
        assert low - 1e-6 <= least <= most <= high + 1e-6
        assert share == 1


def test_a_long_period_is_the_mean_of_its_steps():
    s = series([1.0, 2.0, 3.0, 10.0])
    mean, low, high, share = s.mean("v", -replay.OFFSET, 4 * 3600)
    assert (mean, share) == (4.0, 1.0)
    assert low >= 1
    assert high <= 10


def test_missing_steps_are_missing():
    s = series([1.0, math.nan, 3.0])
    assert s.mean("v", 3600 - replay.OFFSET, 3600)[3] == 0
    assert math.isnan(s.mean("v", 3600 - replay.OFFSET, 3600)[0])
    mean, _, _, share = s.mean("v", -replay.OFFSET, 3 * 3600)
    assert mean == 2
    assert share == pytest.approx(2 / 3)


@pytest.mark.parametrize("year", [2025, 2026, 2028])
@pytest.mark.parametrize(
    ("month", "day", "measured"),
    [(1, 1, (2017, 1, 1)), (2, 28, (2017, 2, 28)), (3, 1, (2016, 3, 1)), (12, 31, (2016, 12, 31))],
)
def test_calendar_clock_shifts_whole_years(year, month, day, measured):
    s = LIBRARY["prsa_beijing/Dongsi"]
    local = int(datetime(year, month, day, 7, tzinfo=UTC).timestamp())
    want = int(datetime(*measured, 7, tzinfo=UTC).timestamp())
    assert s.index(local) == (want - s.start) // 3600


def test_leap_day_replays_the_day_before():
    s = LIBRARY["prsa_beijing/Dongsi"]
    leap = int(datetime(2028, 2, 29, 7, tzinfo=UTC).timestamp())
    assert s.index(leap) == s.index(leap - 86400)


def test_station_values_are_the_measured_ones():
    import pyarrow.parquet as pq

    table = pq.read_table(catalogue.DATA / "prsa_beijing.parquet").to_pylist()
    rows = {r["time"]: r for r in table if r["station"] == "Dongsi"}
    checked = 0
    for hour in range(48):
        when = NOON + timedelta(hours=hour)
        local = (when + timedelta(hours=8)).replace(year=2016, tzinfo=None)
        items = dict(PLAYER.observe(DONGSI, when, "hour"))
        value = rows[local]["PM2.5"]
        if value is None or value != value:
            assert "a34004" not in items
        else:
            assert items["a34004"]["Avg"] == f"{value:.1f}"
            checked += 1
    assert checked > 30


def test_a_missing_measured_hour_sends_nothing():
    s = LIBRARY["prsa_beijing/Dongsi"]
    gap = next(i for i, v in enumerate(s.columns["PM2.5"].values) if v != v and 30 < i < 8000)
    when = datetime.fromtimestamp(s.start + gap * 3600 - replay.OFFSET, UTC)
    for resolution in ("realtime", "minute", "hour"):
        assert "a34004" not in dict(PLAYER.observe(DONGSI, when, resolution))


# ---- what a device reports


def test_the_same_question_has_the_same_answer():
    other = replay.Player(replay.Library(catalogue.DATA))
    for resolution in ("realtime", "minute", "hour", "day"):
        assert PLAYER.observe(TURBINE, NOON, resolution) == other.observe(TURBINE, NOON, resolution)
    sent = NOON + timedelta(hours=1, seconds=7)
    assert PLAYER.frames(TURBINE, NOON, "hour", sent) == other.frames(TURBINE, NOON, "hour", sent)


def test_history_agrees_with_live():
    """The hour is the mean of its minutes, the day of its hours, and the moments lie between."""
    (code, hour), *_ = PLAYER.observe(TURBINE, NOON, "hour")
    assert code == "a21002"
    minutes = [
        float(PLAYER.observe(TURBINE, NOON + timedelta(minutes=10 * n), "minute")[0][1]["Avg"])
        for n in range(6)
    ]
    assert np.mean(minutes) == pytest.approx(float(hour["Avg"]), abs=0.006)
    for second in range(0, 3600, 300):
        moment = NOON + timedelta(seconds=second)
        (_, now), *_ = PLAYER.observe(TURBINE, moment, "realtime")
        assert float(hour["Min"]) - 0.011 <= float(now["Rtd"]) <= float(hour["Max"]) + 0.011
    start = datetime.fromtimestamp(replay.floor(NOON, "day"), UTC)
    hours = [
        dict(PLAYER.observe(TURBINE, start + timedelta(hours=n), "hour"))["a21002"]
        for n in range(24)
    ]
    day = dict(PLAYER.observe(TURBINE, NOON, "day"))["a21002"]
    assert float(day["Avg"]) == pytest.approx(np.mean([float(h["Avg"]) for h in hours]), abs=0.006)
    assert float(day["ZsAvg"]) == pytest.approx(
        np.mean([float(h["ZsAvg"]) for h in hours]), abs=0.02
    )
    assert float(day["Cou"]) == pytest.approx(sum(float(h["Cou"]) for h in hours), abs=0.02)


def test_converted_value_and_mass():
    """HJ 212-2017 appendix D (26)-(28): c (21 - O2s) / (21 - O2); (33): c Q 1e-6 in kg an hour."""
    items = dict(PLAYER.observe(TURBINE, NOON, "hour"))
    nox, o2, flow = (items[f] for f in ("a21002", "a19001", "a00000"))
    c, o, q = float(nox["Avg"]), float(o2["Avg"]), float(flow["Avg"])
    assert float(nox["ZsAvg"]) == pytest.approx(c * 6 / (21 - o), abs=0.006)
    assert float(nox["Cou"]) == pytest.approx(c * q * 3600 * 1e-6, abs=0.001)
    assert float(flow["Cou"]) == pytest.approx(q * 3600, abs=0.001)
    assert "ZsAvg" not in o2
    now = dict(PLAYER.observe(TURBINE, NOON, "realtime"))
    assert "Cou" not in now["a21002"]
    assert set(now["a21002"]) == {"Rtd", "ZsRtd", "Flag"}


def test_water_mass_from_litres():
    """mg/L x L/s: a works of 100 L/s at 20 mg/L gives 7.2 kg and 360 m3 an hour."""
    library = replay.Library(catalogue.DATA)
    library.add(
        replay.Series(
            "w", 3600, "cyclic",
            {"q": replay.Cells.of([100.0] * 3), "c": replay.Cells.of([20.0] * 3)},
        )
    )  # fmt: skip
    device = replay.Device(
        "1", "32", "1",
        (replay.Channel("w01018", "w", "c", mass=True), replay.Channel("w00000", "w", "q", mass=True)),
    )  # fmt: skip
    items = dict(replay.Player(library).observe(device, NOON, "hour"))
    assert (items["w01018"]["Cou"], items["w00000"]["Cou"]) == ("7.200", "360.000")


def test_marks_and_days_with_too_few_normal_hours():
    monday = datetime(2026, 5, 3, 16, 0, tzinfo=UTC)  # Monday 00:00 in China
    marked = replay.Device(
        "1", "31", "1", TURBINE.channels, marks=(replay.Weekly("C", 0, 9, 2 * 3600),)
    )
    flags = [
        PLAYER.observe(marked, monday + timedelta(hours=h), "hour")[0][1]["Flag"] for h in range(24)
    ]
    assert flags == ["N"] * 9 + ["C"] * 2 + ["N"] * 13
    assert PLAYER.observe(marked, monday + timedelta(hours=9), "minute")[0][1]["Flag"] == "C"
    assert PLAYER.observe(marked, monday, "day")[0][1]["Flag"] == "N"
    assert PLAYER.observe(marked, monday + timedelta(days=1, hours=9), "hour")[0][1]["Flag"] == "N"
    longer = replay.Device(
        "1", "31", "1", TURBINE.channels, marks=(replay.Weekly("M", 0, 9, 5 * 3600),)
    )
    assert PLAYER.observe(longer, monday, "day")[0][1]["Flag"] == "D"  # 19 normal hours


def test_silence():
    begin = int(NOON.timestamp())
    silent = replay.Device("1", "31", "1", TURBINE.channels, silent=((begin, begin + 3600),))
    assert PLAYER.frames(silent, NOON, "realtime", NOON) == []
    assert PLAYER.frames(silent, NOON, "realtime", NOON + timedelta(hours=1))
    assert PLAYER.frames(silent, NOON - timedelta(hours=1), "hour", NOON - timedelta(seconds=1))


def test_round_trip_of_a_device():
    device = replay.Device(
        "1", "31", "123456", TURBINE.channels, "n", (replay.Weekly("C", 1, 9),), ((1, 2),)
    )
    again = replay.Device.from_json(device.to_json(), mn="1", st="31", password="123456", name="n")
    assert again == device
    with pytest.raises(replay.SeriesError, match="no replayed device"):
        replay.Device.from_json({"channels": [{"factor": "a"}]}, mn="1", st="31", password="1")


# ---- frames


@pytest.mark.parametrize(
    ("resolution", "cn"),
    [("realtime", "2011"), ("minute", "2051"), ("hour", "2061"), ("day", "2031")],
)
def test_frames_are_read_back(resolution, cn):
    sent = NOON + timedelta(days=1, minutes=5)
    (frame,) = PLAYER.frames(TURBINE, NOON, resolution, sent)
    message = hj212.decode(frame.rstrip(b"\r\n"))
    assert message.ok, message.error
    assert not message.problems
    assert (message.cn, message.st, message.mn, message.pw) == (cn, "31", TURBINE.mn, "123456")
    assert message.version == "2017"
    assert message.wants_answer
    assert message.time == datetime.fromtimestamp(replay.floor(NOON, resolution), UTC)
    items = PLAYER.observe(TURBINE, NOON, resolution)
    assert [(i.code, i.fields) for i in message.items] == items
    assert len(frame) <= 2 + 4 + 1024 + 4 + 2


def test_long_reports_are_split():
    channels = tuple(
        replay.Channel(f"a2100{n}", "gas_turbine", "NOX", shift=n, reference_o2=11, mass=True)
        for n in range(2, 9)
    )
    device = replay.Device("1" * 24, "31", "123456", (*TURBINE.channels, *channels))
    sent = NOON + timedelta(hours=1, seconds=5)
    frames = PLAYER.frames(device, NOON, "hour", sent)
    assert len(frames) > 1
    messages = [hj212.decode(f.rstrip(b"\r\n")) for f in frames]
    assert [(m.pnum, m.pno) for m in messages] == [
        (len(frames), n) for n in range(1, len(frames) + 1)
    ]
    assert all(m.ok and m.split and m.wants_answer for m in messages)
    assert len({m.qn for m in messages}) == len(frames)
    assert len({m.data_time for m in messages}) == 1
    together = [(i.code, i.fields) for m in messages for i in m.items]
    assert together == PLAYER.observe(device, NOON, "hour")
    for frame in frames:
        cp = frame[frame.index(b"CP=") : frame.rindex(b"&&") + 2]
        assert len(cp) <= replay.MAX_CP


def test_no_two_reports_of_a_logger_share_a_qn():
    start = datetime.fromtimestamp(replay.floor(NOON, "day"), UTC)
    due = [
        TURBINE.due(period, resolution)
        for resolution in ("minute", "hour", "day")
        for period in replay.periods(start, start + timedelta(days=2), resolution)
    ]
    assert len({hj212.qn(d) for d in due}) == len(due)
    for period in replay.periods(start, start + timedelta(days=1), "hour"):
        late = TURBINE.due(period, "hour") - period - timedelta(hours=1)
        assert timedelta(seconds=2) <= late < timedelta(seconds=34)


def test_state_frame():
    (frame,) = PLAYER.state(TURBINE, NOON, NOON)
    message = hj212.decode(frame.rstrip(b"\r\n"))
    assert message.ok
    assert message.cn == "2021"
    assert [(i.code, i.fields) for i in message.items] == [("SB1", {"RS": "1"})]
    assert PLAYER.state(DONGSI, NOON, NOON) == []


def test_periods_and_floor():
    first = datetime(2026, 5, 4, 4, 10, tzinfo=UTC)
    hours = list(replay.periods(first, first + timedelta(hours=3), "hour"))
    assert hours == [datetime(2026, 5, 4, h, tzinfo=UTC) for h in (5, 6)]
    assert replay.floor(first, "day") == int(datetime(2026, 5, 3, 16, tzinfo=UTC).timestamp())
    with pytest.raises(ValueError, match="aware"):
        replay.floor(datetime(2026, 5, 4), "hour")


# ---- a user's CSV


def test_csv_in_order(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("NOX,CO\n10,1\n20,NA\n30,\n40,4\n")
    s, begins = replay_files.from_csv(path, ["NOX", "CO"], step=3600)
    assert begins is None
    assert list(s.columns["NOX"].values) == [10, 20, 30, 40]
    assert [v != v for v in s.columns["CO"].values] == [False, True, True, False]


def test_csv_by_time(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "﻿t,v\n2026-05-04 12:00,1\n2026-05-04T13:30:00+08:00,2\n2026-05-04T07:00:00Z,4\n",
        encoding="utf-8",
    )
    s, begins = replay_files.from_csv(path, ["v"], step=3600, time="t")
    assert begins == NOON
    values = list(s.columns["v"].values)
    assert values[:2] == [1, 2]
    assert math.isnan(values[2])
    assert values[3] == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NOX\n1\nhigh\n", "line 3: NOX is 'high', not a number"),
        ("CO\n1\n", "no column NOX; it has CO"),
        ("NOX\n", "no rows"),
    ],
)
def test_csv_that_cannot_be_played(tmp_path, text, says):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(replay.SeriesError, match=says):
        replay_files.from_csv(path, ["NOX"], step=3600)


def test_csv_with_a_bad_time(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("t,v\nyesterday,1\n")
    with pytest.raises(replay.SeriesError, match="line 2: 'yesterday' is no time"):
        replay_files.from_csv(path, ["v"], step=3600, time="t")


def test_unknown_series(tmp_path):
    with pytest.raises(replay.SeriesError, match=r"nothing\.parquet does not exist"):
        replay.Library(tmp_path)["nothing"]
    with pytest.raises(replay.SeriesError, match="no series 'prsa_beijing/Nowhere'"):
        LIBRARY["prsa_beijing/Nowhere"]


@pytest.mark.parametrize("name", ["gas_turbine", "wwtp_melbourne", "steel_energy"])
def test_package_data_says_source_and_licence(name):
    about = LIBRARY[name].about
    assert about["licence"] == "CC BY 4.0"
    assert "doi" in about["source"]
    assert about["units"]
    readme = (catalogue.DATA / "README.md").read_text(encoding="utf-8")
    assert f"`{name}.parquet`" in readme


def test_package_data_is_small():
    assert sum(p.stat().st_size for p in catalogue.DATA.iterdir()) < 6_000_000


def test_a_parquet_file_is_read_as_the_csv_of_the_same_rows(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = [datetime(2026, 3, 1, h) for h in (0, 1, 3)]
    pq.write_table(pa.table({"t": times, "NOX": [1.5, None, 4.0]}), tmp_path / "a.parquet")
    lines = "\n".join(f"{t},{v}" for t, v in zip(times, ("1.5", "", "4.0"), strict=True))
    (tmp_path / "a.csv").write_text(f"t,NOX\n{lines}\n")
    one, begins = replay_files.from_parquet(tmp_path / "a.parquet", ["NOX"], step=3600, time="t")
    two, same = replay_files.from_csv(tmp_path / "a.csv", ["NOX"], step=3600, time="t")
    assert begins == same
    assert repr(one.columns["NOX"].values) == repr(two.columns["NOX"].values)
    with pytest.raises(replay.SeriesError, match="no column SO2; it has t, NOX"):
        replay_files.from_parquet(tmp_path / "a.parquet", ["SO2"], step=3600)
    (tmp_path / "b.parquet").write_text("no parquet")
    with pytest.raises(replay.SeriesError, match=r"b\.parquet cannot be read"):
        replay_files.from_parquet(tmp_path / "b.parquet", ["SO2"], step=3600)
