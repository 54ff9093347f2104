"""Validity: counts, marks, checks, completeness, substitution; order and splitting do not matter."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis import validity as v
from jingwei.analysis.validity import Fault, Hour, aggregate, encode_marks, names

NAN = float("nan")
T0 = int(datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=8))).timestamp())


def series(n, seconds):
    return T0 + seconds * np.arange(n)


def one(values, level, seconds, **more):
    """The single period that so many values make."""
    means = aggregate(series(len(values), seconds), values, level, **more)
    assert len(means.start) == 1
    return means


def test_examples_of_the_docstrings():
    assert doctest.testmod(v).failed == 0


# Counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "seconds", "least"),
    [(v.AIR_MINUTE, 5, 12), (v.AIR_HOUR, 60, 45), (v.AIR_DAY, 3600, 20)],
)
def test_V_air_min(level, seconds, least):
    enough = one(np.arange(least, dtype=float), level, seconds)
    assert enough.valid.all()
    assert enough.value[0] == (least - 1) / 2
    few = one(np.arange(least - 1, dtype=float), level, seconds)
    assert names(few.fault[0]) == ("few",)
    assert few.value[0] == (least - 2) / 2  # kept, not valid


def test_V_water():
    flow = np.ones(120)
    assert one(np.full(120, 3.0), v.WATER_TEN, 5, weight=flow).valid.all()
    assert names(one(np.full(119, 3.0), v.WATER_TEN, 5, weight=flow[:119]).fault[0]) == ("few",)
    # an hour from one ten-minute value, a day from one hour: no 75 % here
    assert one([3.0], v.WATER_HOUR, 600, weight=[1.0]).valid.all()
    assert one([3.0], v.WATER_DAY, 3600, weight=[1.0]).valid.all()
    assert not one([3.0] * 17, v.WATER_DAY_356, 3600, weight=[1.0] * 17).valid.any()
    assert one([3.0] * 18, v.WATER_DAY_356, 3600, weight=[1.0] * 18).valid.all()


def test_V_conflict():
    """Twenty hours make a day, not eighteen as two secondary pages say."""
    assert not one([1.0] * 19, v.AIR_DAY, 3600).valid.any()


def test_wastewater_is_weighted_by_flow():
    day = one([10.0, 40.0], v.WATER_DAY, 3600, weight=[3.0, 1.0])
    assert day.value[0] == 17.5  # (12): 1e3 G / D


def test_nothing_flowed():
    day = one([10.0, 40.0], v.WATER_DAY, 3600, weight=[0.0, 0.0])
    assert np.isnan(day.value[0])
    assert names(day.fault[0]) == ("no_flow",)


def test_a_negative_or_missing_flow_weighs_nothing():
    day = one([10.0, 40.0, 90.0], v.WATER_DAY, 3600, weight=[1.0, -1.0, NAN])
    assert (day.value[0], day.count[0], day.good[0]) == (10.0, 3, 1)


@pytest.mark.parametrize(("values", "wanted"), [([6.0, 9.0, 7.0], 7.0), ([6, 7, 8, 9], 7.5)])
def test_ph_is_a_median(values, wanted):
    assert one(values, v.PH_HOUR, 600).value[0] == wanted


def test_days_are_those_of_beijing():
    last = int(datetime(2026, 3, 1, 15, 59, tzinfo=UTC).timestamp())
    assert v.AIR_DAY.start([last, last + 60]).tolist() == [T0, T0 + 86400]


def test_missing_values_are_counted_but_not_used():
    hour = one([1.0] * 45 + [NAN] * 15, v.AIR_HOUR, 60)
    assert (hour.count[0], hour.good[0], hour.valid[0]) == (60, 45, True)
    assert names(one([NAN] * 60, v.AIR_HOUR, 60).fault[0]) == ("missing",)


def test_what_is_held_against_a_value_below_counts():
    fault = v.check([5.0] * 44 + [-1.0, 500.0], high=100.0)
    hour = one([5.0] * 44 + [-1.0, 500.0], v.AIR_HOUR, 60, fault=fault)
    assert (hour.value[0], hour.good[0], names(hour.fault[0])) == (5.0, 44, ("few",))


def test_wrong_lengths_and_lacking_weights_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        aggregate([T0, T0 + 60], [1.0], v.AIR_HOUR)
    with pytest.raises(ValueError, match="weights"):
        aggregate([T0], [1.0], v.WATER_DAY)


# Order and splitting ----------------------------------------------------------------------------

samples = st.lists(
    st.tuples(
        st.integers(0, 4 * 24 * 6 - 1),
        st.floats(0, 1e6) | st.just(NAN),
        st.just(0.0) | st.floats(0.001, 100),
        st.sampled_from(["N", "", "D", "M", "T"]),
    ),
    max_size=120,
    unique_by=lambda s: s[0],
)
LEVELS = [v.AIR_HOUR, v.AIR_DAY, v.WATER_HOUR, v.WATER_DAY, v.PH_HOUR, v.PH_DAY]


def columns(rows, level):
    t = T0 + 600 * np.array([r[0] for r in rows], dtype=np.int64)
    return aggregate(
        t,
        np.array([r[1] for r in rows], dtype=float),
        level,
        weight=np.array([r[2] for r in rows], dtype=float),
        mark=encode_marks([r[3] for r in rows]),
    )


def same(a, b):
    for name in ("start", "value", "count", "good", "mark", "fault"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@given(samples, st.sampled_from(LEVELS), st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_matter(rows, level, random):
    mixed = rows[:]
    random.shuffle(mixed)
    same(columns(rows, level), columns(mixed, level))


@given(samples, st.sampled_from(LEVELS), st.integers(0, 96))
def test_splitting_at_a_period_does_not_matter(rows, level, at):
    rows = sorted(rows)
    bound = int(level.start([T0 + 3600 * at])[0])
    parts = [
        columns([r for r in rows if T0 + 600 * r[0] < bound], level),
        columns([r for r in rows if T0 + 600 * r[0] >= bound], level),
    ]
    whole = columns(rows, level)
    for name in ("start", "value", "count", "good", "mark", "fault"):
        joined = np.concatenate([getattr(p, name) for p in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


@given(samples, st.sampled_from(LEVELS))
def test_a_mean_lies_between_its_values(rows, level):
    means = columns(rows, level)
    for start, value in zip(means.start, means.value, strict=True):
        inside = [
            r[1]
            for r in rows
            if level.start([T0 + 600 * r[0]])[0] == start and r[3] in ("N", "") and r[1] == r[1]
        ]
        if not np.isnan(value):
            assert min(inside) * (1 - 1e-12) <= value <= max(inside) * (1 + 1e-12)


@given(samples, samples, st.sampled_from(LEVELS))
def test_late_values_change_the_touched_periods_only(rows, late, level):
    known = {r[0] for r in rows}
    late = [r for r in late if r[0] not in known]
    before, after = columns(rows, level), columns(rows + late, level)
    again = v.touched([T0 + 600 * r[0] for r in late], level)
    old, new = (~np.isin(m.start, again) for m in (before, after))
    np.testing.assert_array_equal(before.start[old], after.start[new])
    np.testing.assert_array_equal(before.value[old], after.value[new])
    assert set(after.start) == set(before.start) | set(again)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_the_last_received_of_repeated_observations_counts(pairs):
    time, received = [p[0] for p in pairs], [p[1] for p in pairs]
    wanted = {}
    for i, (t, r) in enumerate(pairs):
        if t not in wanted or r >= pairs[wanted[t]][1]:
            wanted[t] = i
    assert v.latest(time, received).tolist() == [wanted[t] for t in sorted(wanted)]


# Marks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("normal", "wanted"), [(60, "N"), (45, "N"), (44, "D"), (0, "D")])
def test_V_flag_air(normal, wanted):
    marks = encode_marks(["N"] * normal + ["M"] * (60 - normal))
    hour = one([1.0] * 60, v.AIR_HOUR, 60, mark=marks)
    assert v.LETTERS[hour.mark[0]] == wanted
    assert hour.valid[0] == (wanted == "N")


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [("NNNNNN", "N"), ("NNNNNM", "M"), ("NNCMMD", "M"), ("NNNNMD", "D"), ("FNNNNN", "F")],
)
def test_V_flag_water(marks, wanted):
    hour = one([1.0] * 6, v.WATER_HOUR, 600, weight=[1.0] * 6, mark=encode_marks(list(marks)))
    assert v.LETTERS[hour.mark[0]] == wanted
    assert (Fault.MARK in Fault(int(hour.fault[0]))) == (wanted != "N")


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        (["N", "N", "D"], "N"),  # the longest
        (["D", "C", "N"], "D"),  # equal: D > C > M > T > Td, N last
        (["Td", "T"], "T"),
        (["M", "C"], "C"),
        (["Td", "Td", "D"], "Td"),
    ],
)
def test_marks_of_2025(marks, wanted):
    level = v.Level("hour", 3600, 1, 6, "mean", v.mark_rule("2025", "air"), "test")
    n = len(marks)
    hour = one([1.0] * n, level, 600, mark=encode_marks(marks, "2025"), version="2025")
    assert v.LETTERS[hour.mark[0]] == wanted


def test_marks_go_by_version():
    assert encode_marks(["N", None, "", "B", "Td", "x"]).tolist()[:3] == [1, 0, 0]
    assert v.mark_faults(encode_marks(["N", None, "B", "Td", "x"])).tolist() == [
        0,
        0,
        Fault.MARK,
        Fault.UNKNOWN_MARK,
        Fault.UNKNOWN_MARK,
    ]
    assert v.mark_faults(encode_marks(["Td", "B"], "2025"), "2025").tolist() == [
        Fault.MARK,
        Fault.UNKNOWN_MARK,
    ]
    # an air station of 2005: 3 is normal, 2 is not
    assert v.mark_faults(encode_marks(["3", "2"], "2005"), "2005").tolist() == [0, Fault.MARK]
    assert [v.mark_rule(x, "air") for x in ("2005", "2017", "2025")] == ["flue", "flue", "longest"]
    assert v.mark_rule("2017", "water") == "water"
    with pytest.raises(ValueError, match="version"):
        v.mark_rule("2016", "air")


# Checks -----------------------------------------------------------------------------------------


def test_checks_of_single_values():
    found = v.check([1.0, -0.1, NAN, 100.0, 100.1, 1e16, np.inf], high=100.0)
    assert [names(f) for f in found] == [
        (),
        ("negative",),
        ("missing",),
        (),
        ("over_range",),
        ("over_range", "impossible"),
        ("over_range", "impossible"),
    ]
    assert v.check([-5.0], signed=True).tolist() == [0]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([3, 3, 3, 4], "...."),
        ([1, 3, 3, 3, 3, 4], ".####."),
        ([0, 0, 0, 0], "####"),
        ([-1, -1, -1, -1], "...."),
        ([3, 3, NAN, 3, 3], "....."),
        ([3, 3, 3, 3, 4, 4, 4, 4, 4], "#########"),
        ([], ""),
    ],
)
def test_flat(values, wanted):
    assert "".join(".#"[int(x)] for x in v.flat(np.array(values, dtype=float))) == wanted


def test_flat_counts_in_operation_only():
    running = np.array([True, True, True, False, True])
    assert not v.flat([3.0] * 5, running).any()


def test_steady():
    values = np.full(400, 100.0)
    values[::2] = 95.0
    assert v.steady(values).tolist() == [False] * 359 + [True] * 41
    values[::2] = 94.9
    assert not v.steady(values).any()
    assert not v.steady(np.zeros(400)).any()
    values = np.full(400, 100.0)
    values[30] = NAN
    assert v.steady(values).sum() == 400 - 31 - 359


def test_no_link():
    assert v.no_link([[1, 0, 0], [1, 1, 0]]).tolist() == [False, False, True]


@given(st.sets(st.integers(-5, 50)), st.integers(0, 40))
def test_gaps(hours, n):
    found = v.gaps([T0 + 3600 * h + 7 for h in hours], T0, T0 + 3600 * n)
    missing = {
        int((s - T0) // 3600) + i
        for s, k in zip(found.start, found.length, strict=True)
        for i in range(k)
    }
    assert missing == set(range(n)) - hours
    assert sum(found.length.tolist()) == len(missing)


def test_clock():
    day = 86400
    found = v.clock([T0 + 601, T0 + 600, T0 - 180 * day, T0 - 181 * day, T0 - 365 * day], [T0] * 5)
    assert [names(f) for f in found] == [("clock",), (), (), ("clock",), ("clock",)]
    late = [T0 - 2999, T0 - 3000, T0 - 3600, T0 - 180 * day]  # hours that are named by their start
    found = v.clock(late, [T0] * 4, length=3600)
    assert [names(f) for f in found] == [("clock",), (), (), ()]


def test_conflicts():
    time = [1, 1, 2, 2, 3, 3, 4, 5, 5]
    value = [1.0, 2.0, 7.0, 7.0, NAN, 1.0, 9.0, NAN, NAN]
    assert v.conflicts(time, value).tolist() == [1, 3]
    assert v.conflicts([], []).tolist() == []


# Completeness -----------------------------------------------------------------------------------


def test_TR():
    assert v.rates(100, 90, 81) == v.Rates(0.9, 0.9, 0.81)
    assert v.rates(0, 0, 0) == v.Rates(None, None, None)
    assert v.rates(10, 0, 0) == v.Rates(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="valid"):
        v.rates(10, 5, 6)


def test_S_75_rate():
    state = [Hour.VALID] * 72 + [Hour.INVALID] * 5 + [Hour.OUT_OF_CONTROL] * 3 + [Hour.STOPPED] * 20
    assert v.capture_rate(state) == 0.9
    assert v.capture_rate([Hour.STOPPED]) is None


# Substitution -----------------------------------------------------------------------------------


def quarter_of(gap, kind, total=2200, before=2000, extra_invalid=0):
    """Valid hours 0, 1, 2, … with one gap, and so many more invalid hours at the end."""
    state = np.full(total, Hour.VALID)
    state[before : before + gap] = kind
    if extra_invalid:
        state[-extra_invalid:] = Hour.INVALID
    return np.arange(total, dtype=float), state


@pytest.mark.parametrize("gap", [1, 24, 25])
def test_S_75_inv90(gap):
    value, state = quarter_of(gap, Hour.INVALID)
    value[1500], value[1950] = 90000.0, 80000.0  # within 720, within 180
    got = v.substitute_75(value, state, np.zeros(2200), np.zeros(2200))
    assert set(got.value[2000 : 2000 + gap]) == {80000.0 if gap <= 24 else 90000.0}
    assert {v.RULES[r] for r in got.rule[2000 : 2000 + gap]} == {"S-75-inv90"}
    assert (got.rule[:2000] == 0).all()
    assert (got.value[:2000] == value[:2000]).all()


def test_S_75_inv75():
    value, state = quarter_of(3, Hour.INVALID, total=3000, before=2400, extra_invalid=500)
    value[245] = 1e6  # within 2160 of hour 2400
    got = v.substitute_75(value, state, np.zeros(3000), np.zeros(3000))
    assert v.capture_rate(state) < 0.9
    assert set(got.value[2400:2403]) == {1e6}
    assert {v.RULES[r] for r in got.rule[2400:2403]} == {"S-75-inv75"}
    value[[239, 245]] = 1e6, 0.0  # one hour too early
    got = v.substitute_75(value, state, np.zeros(3000), np.zeros(3000))
    assert got.value[2400] == 2399.0


def test_S_75_oc90():
    value, state = quarter_of(10, Hour.OUT_OF_CONTROL)
    calibrated = np.zeros(2200)
    calibrated[1900] = 1
    got = v.substitute_75(value, state, np.zeros(2200), calibrated)
    assert set(got.value[2000:2010]) == {1899.0}  # what came after the calibration does not count
    assert {v.RULES[r] for r in got.rule[2000:2010]} == {"S-75-oc90"}
    never = v.substitute_75(value, state, np.zeros(2200), np.zeros(2200))
    assert set(never.rule[2000:2010]) == {v.NO_HISTORY}


def test_S_75_oc75():
    value, state = quarter_of(10, Hour.OUT_OF_CONTROL, extra_invalid=150)
    state[:150] = Hour.INVALID
    calibrated = np.zeros(2200)
    calibrated[1900] = 1
    got = v.substitute_75(value, state, np.zeros(2200), calibrated)
    assert {v.RULES[r] for r in got.rule[2000:2010]} == {"S-75-oc75"}


def test_below_75_percent_nothing_stands_in():
    value, state = quarter_of(100, Hour.INVALID, extra_invalid=0)
    state[:500] = Hour.INVALID
    assert v.capture_rate(state) < 0.75
    got = v.substitute_75(value, state, np.zeros(2200), np.zeros(2200))
    assert np.isnan(got.value[2000:2100]).all()
    assert set(got.rule[2000:2100]) == {v.NOT_CAPTURED}
    # each quarter has its own rate
    got = v.substitute_75(value, state, np.arange(2200) >= 1000, np.zeros(2200))
    assert {v.RULES[r] for r in got.rule[2000:2100]} == {"S-75-inv90"}


def test_S_356():
    value = np.array([1.0, 2.0, 6.0, NAN, NAN, 5.0, NAN])
    state = np.array([0, 0, 0, 2, 2, 0, 2])
    got = v.substitute_356(value, state)
    assert got.value.tolist() == [1, 2, 6, 4, 4, 5, 5]
    assert v.substitute_356(value[:5], state[:5], median=True).value[3] == 4.0
    assert v.substitute_356([NAN, 1.0], [2, 0]).rule.tolist() == [v.NO_HISTORY, 0]


def test_ph_gap_gets_the_median():
    value = np.array([7.0, 7.2, 9.0, NAN, NAN, NAN])
    assert v.substitute_356(value, [0, 0, 0, 2, 2, 2], median=True).value[3:].tolist() == [7.2] * 3


def test_S_75_2007():
    value = np.concatenate(([4.0], np.full(24, NAN), [8.0], np.full(25, NAN), [9.0]))
    state = np.where(np.isnan(value), Hour.INVALID, Hour.VALID)
    got = v.substitute_75_2007(value, state)
    assert set(got.value[1:25]) == {6.0}
    assert set(got.rule[26:51]) == {v.TOO_LONG}
    assert v.substitute_75_2007([NAN, 1.0], [2, 0]).rule[0] == v.NO_HISTORY


# Explanation ------------------------------------------------------------------------------------


def test_explanation_of_an_hour():
    marks = encode_marks(["N"] * 40 + ["M"] * 20)
    hour = one(np.arange(60.0), v.AIR_HOUR, 60, mark=marks)
    steps = {s.key: s for s in v.explain(hour, 0)}
    assert steps["count"].numbers == {"received": 60, "usable": 40, "least": 45}
    assert steps["mean"].numbers["value"] == 19.5
    assert steps["mark"].numbers["mark"] == "D"
    assert steps["validity"].numbers == {"valid": "no", "reasons": "mark, few"}
    assert all(s.source for s in steps.values())


def test_explanation_of_a_conversion():
    steps = v.explain_conversion(
        45.0, temperature=136.5, barometer=101325.0, moisture=10.0, o2=12.0, reference_o2=6.0
    )
    assert [s.key for s in steps] == ["standard", "dry", "converted"]
    # 45 x 1.5 = 67.5; / 0.9 = 75; x 15 / 9 = 125
    assert [s.numbers["result"] for s in steps] == pytest.approx([67.5, 75.0, 125.0])
    assert steps[1].numbers["c"] == steps[0].numbers["result"]
    assert v.explain_conversion(45.0) == ()
    for o2 in (21.0, None):
        (step,) = v.explain_conversion(45.0, o2=o2, reference_o2=6.0)
        assert step.numbers["result"] is None
    _, last = v.explain_conversion(45.0, moisture=100.0, o2=9.0, reference_o2=6.0)
    assert last.numbers == {"c": None, "o2": 9.0, "o2s": 6.0, "result": None}
