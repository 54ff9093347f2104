"""Judging means against limits: printed rules, hand-computed examples, properties against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.compliance import (
    Limit,
    Reason,
    Verdict,
    convert_o2,
    judge_hour,
    judge_hours,
    unit_scale,
)

NOX = Limit(100.0, "mg/m3", 6.0)  # GB 13223-2011, coal boilers: 100 mg/m³ at 6 % O2


def decimal(lo: int, hi: int, places: int) -> st.SearchStrategy[str]:
    """Decimal texts as instruments send them."""
    return st.integers(lo * 10**places, hi * 10**places).map(
        lambda n: f"{n // 10**places}.{n % 10**places:0{places}d}"
    )


# Conversion to reference oxygen ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("c", "o2", "reference", "wanted"),
    [
        # by hand: c (21 - ref) / (21 - o2)
        (150.0, 12.0, 6.0, 250.0),  # 150 * 15 / 9
        (100.0, 6.0, 6.0, 100.0),  # at the reference nothing changes
        (80.0, 3.5, 3.0, 80.0 * 18 / 17.5),
        (30.0, 14.0, 11.0, 30.0 * 10 / 7),  # a waste incinerator, GB 18485: 11 %
        (25.0, 15.0, 15.0, 25.0),  # a gas turbine, GB 13223: 15 %
        (50.0, 0.0, 6.0, 50.0 * 15 / 21),
    ],
)
def test_reference_oxygen_by_hand(c, o2, reference, wanted):
    assert float(convert_o2(c, o2, reference)) == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize("o2", [21.0, 21.5, 100.0, -0.1, math.nan, math.inf])
def test_no_conversion_where_the_formula_has_no_value(o2):
    with np.errstate(all="raise"):  # not even a division by zero that is thrown away
        assert math.isnan(float(convert_o2(100.0, o2, 6.0)))


@pytest.mark.parametrize("reference", [21.0, 25.0, -1.0])
def test_a_reference_outside_the_air_is_refused(reference):
    with pytest.raises(ValueError, match="reference oxygen"):
        convert_o2(1.0, 1.0, reference)
    with pytest.raises(ValueError, match="reference oxygen"):
        Limit(1.0, "mg/m3", reference)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_limit_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="limit"):
        Limit(value, "mg/m3")


@given(
    c=decimal(0, 9999, 3),
    o2=decimal(0, 20, 2),
    reference=st.sampled_from([3.0, 6.0, 8.0, 9.0, 11.0, 15.0]),
)
def test_conversion_follows_the_formula_and_goes_back(c, o2, reference):
    exact = Fraction(c) * (21 - Fraction(reference)) / (21 - Fraction(o2))
    got = convert_o2(float(c), float(o2), reference)
    assert float(got) == pytest.approx(float(exact), rel=1e-12)
    back = float(got) * (21 - float(o2)) / (21 - reference)
    assert back == pytest.approx(float(c), rel=1e-12)


# Units ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "wanted", "scale"),
    [
        ("毫克/立方米", "mg/m3", 1.0),
        ("µg/L", "mg/L", 1e-3),  # metals: µg/L on the wire, mg/L in GB 18918
        ("纳克/立方米", "mg/m³", 1e-6),
        ("mg/L", "mg/m3", None),  # water is not air
        ("", "mg/L", None),  # an unknown factor has no unit
        ("MPa", "kPa", 1e3),
        ("时", "日", None),
    ],
)
def test_units(given_, wanted, scale):
    assert unit_scale(given_, wanted) == (scale if scale is None else pytest.approx(scale))


# Judgement --------------------------------------------------------------------------------------


def test_the_golden_example_with_all_its_steps():
    j = judge_hour(90.0, "N", 12.0, "N", limit=NOX, unit="毫克/立方米", sent=149.8)
    assert (j.verdict, j.value, j.multiple, j.reason) == (Verdict.EXCEEDED, 150.0, 0.5, 0)
    assert [s.key for s in j.steps] == ["raw", "mark", "converted", "limit", "verdict"]
    by = {s.key: s for s in j.steps}
    assert by["raw"].numbers == {"value": 90.0, "unit": "毫克/立方米"}
    assert by["converted"].numbers == {
        "c": 90.0,
        "o2": 12.0,
        "o2_mark": "N",
        "o2s": 6.0,
        "result": 150.0,
        "sent": 149.8,
    }
    assert "HJ 212-2017" in by["converted"].source
    assert by["verdict"].numbers["multiple"] == 0.5


def test_units_are_a_step_of_their_own():
    j = judge_hour(120.0, "N", limit=Limit(0.1, "mg/L"), unit="µg/L")
    assert (j.verdict, j.value) == (Verdict.EXCEEDED, 0.12)
    unit = next(s for s in j.steps if s.key == "unit")
    assert unit.numbers["k"] == 1e-3
    assert unit.numbers["result"] == 0.12


@pytest.mark.parametrize(
    ("value", "lower", "verdict", "multiple"),
    [
        (100.0, False, Verdict.WITHIN, 0.0),  # exactly at the limit is no exceedance
        (100.1, False, Verdict.EXCEEDED, 0.001),
        (99.9, False, Verdict.WITHIN, -0.001),
        (0.0, False, Verdict.WITHIN, -1.0),
        (100.0, True, Verdict.WITHIN, 0.0),
        (99.9, True, Verdict.EXCEEDED, 0.001),
        (100.1, True, Verdict.WITHIN, -0.001),
    ],
)
def test_at_and_around_the_limit(value, lower, verdict, multiple):
    j = judge_hour(value, "N", limit=Limit(100.0, "mg/m3", lower=lower), unit="mg/m3")
    assert j.verdict == verdict
    assert j.multiple == pytest.approx(multiple, abs=1e-12)


def test_no_float_surprise_at_the_limit():
    # 100 * (21 - 6) / (21 - 11.1) * ... in binary lands beside the decimal; the decimal decides.
    for c, o2 in [("66.6", "11.01"), ("33.3", "16.005"), ("6.6", "20.01"), ("93.2", "7.02")]:
        exact = Fraction(c) * 15 / (21 - Fraction(o2))
        assert exact == 100, (c, o2)  # each of them is exactly at the limit
        assert judge_hour(float(c), "N", float(o2), "N", limit=NOX, unit="mg/m3").verdict == 1


@given(
    c=decimal(0, 999, 2),
    o2=decimal(0, 20, 2),
    limit=decimal(1, 999, 2),
    reference=st.sampled_from([None, 3.0, 6.0, 11.0, 15.0]),
    lower=st.booleans(),
)
def test_verdict_equals_exact_decimal_arithmetic(c, o2, limit, reference, lower):
    exact = Fraction(c)
    if reference is not None:
        exact = exact * (21 - Fraction(reference)) / (21 - Fraction(o2))
    bound = Fraction(limit)
    over = exact < bound if lower else exact > bound
    j = judge_hour(
        float(c), "N", float(o2), "N", limit=Limit(float(limit), "x", reference, lower), unit="x"
    )
    assert j.verdict == (Verdict.EXCEEDED if over else Verdict.WITHIN)
    wanted = (bound - exact if lower else exact - bound) / bound
    assert j.multiple == pytest.approx(float(wanted), abs=1e-9, rel=1e-9)


@given(c=st.integers(0, 2000), steps=st.integers(0, 2000))
def test_a_value_made_to_lie_at_the_limit_never_exceeds(c, steps):
    """Whatever the oxygen, the concentration that converts exactly to the limit is within."""
    o2 = Fraction(c, 100)  # 0 … 20 %
    at = 100 * (21 - o2) / 15
    j = judge_hour(float(at), "N", float(o2), "N", limit=NOX, unit="mg/m3")
    assert j.verdict == Verdict.WITHIN
    more = at + Fraction(1 + steps, 1000)
    j = judge_hour(float(more), "N", float(o2), "N", limit=NOX, unit="mg/m3")
    assert j.verdict == Verdict.EXCEEDED


@pytest.mark.parametrize(
    ("value", "mark", "o2", "o2_mark", "unit", "reason"),
    [
        (None, "N", 6.0, "N", "mg/m3", Reason.VALUE_MISSING),
        (math.nan, "N", 6.0, "N", "mg/m3", Reason.VALUE_MISSING),
        (math.inf, "N", 6.0, "N", "mg/m3", Reason.VALUE_MISSING),
        *[(500.0, m, 6.0, "N", "mg/m3", Reason.MARK) for m in "FMSDCTB"],
        (500.0, "Td", 6.0, "N", "mg/m3", Reason.MARK),
        (500.0, "n", 6.0, "N", "mg/m3", Reason.MARK),  # marks are case-sensitive
        (-0.1, "N", 6.0, "N", "mg/m3", Reason.VALUE_NEGATIVE),
        (500.0, "N", None, None, "mg/m3", Reason.OXYGEN_MISSING),
        (500.0, "N", 6.0, "C", "mg/m3", Reason.OXYGEN_MARK),
        (500.0, "N", -1.0, "N", "mg/m3", Reason.OXYGEN_NEGATIVE),
        (500.0, "N", 21.0, "N", "mg/m3", Reason.OXYGEN_HIGH),
        (500.0, "N", 30.0, "N", "mg/m3", Reason.OXYGEN_HIGH),
        (500.0, "N", 6.0, "N", "mg/L", Reason.UNIT),
        (500.0, "N", 6.0, "N", "", Reason.UNIT),
    ],
)
def test_no_verdict_has_a_reason(value, mark, o2, o2_mark, unit, reason):
    with np.errstate(divide="raise", over="raise"):
        j = judge_hour(value, mark, o2, o2_mark, limit=NOX, unit=unit)
    assert (j.verdict, j.reason, j.value, j.multiple) == (Verdict.NONE, reason, None, None)
    assert j.steps[-1].numbers["reason"] == reason.key


def test_no_reference_oxygen_no_conversion():
    j = judge_hour(90.0, "N", None, None, limit=Limit(100.0, "mg/m3"), unit="mg/m3")
    assert (j.verdict, j.value) == (Verdict.WITHIN, 90.0)
    assert "converted" not in [s.key for s in j.steps]


def test_no_mark_sent_counts_as_normal_and_is_said():
    for mark in ("", None):
        j = judge_hour(101.0, mark, limit=Limit(100.0, "mg/m3"), unit="mg/m3")
        assert j.verdict == Verdict.EXCEEDED
        assert next(s for s in j.steps if s.key == "mark").numbers == {"mark": "", "valid": "yes"}


def test_marks_of_another_version_can_be_given():
    limit = Limit(100.0, "mg/m3")
    assert judge_hour(101.0, "3", limit=limit, unit="mg/m3").reason == Reason.MARK
    j = judge_hour(101.0, "3", limit=limit, unit="mg/m3", normal=frozenset({"3"}))
    assert j.verdict == Verdict.EXCEEDED


def test_over_a_limit_of_zero_there_is_no_multiple():
    j = judge_hour(0.001, "N", limit=Limit(0.0, "mg/L"), unit="mg/L")
    assert (j.verdict, j.multiple) == (Verdict.EXCEEDED, None)
    assert judge_hour(0.0, "N", limit=Limit(0.0, "mg/L"), unit="mg/L").verdict == Verdict.WITHIN


_HOUR = st.tuples(
    st.one_of(st.just(math.nan), st.floats(-10, 1000)),
    st.sampled_from(["N", "", None, "D", "M", "T"]),
    st.one_of(st.just(math.nan), st.floats(-1, 25)),
    st.sampled_from(["N", "", "C"]),
)


@given(hours=st.lists(_HOUR, min_size=1, max_size=40), order=st.randoms(use_true_random=False))
def test_arrays_agree_with_scalars_in_any_order(hours, order):
    def judged(rows):
        v, m, o, om = map(list, zip(*rows, strict=True))
        return judge_hours(v, m, o, om, limit=NOX, unit="mg/m3")

    whole = judged(hours)
    shuffled = list(range(len(hours)))
    order.shuffle(shuffled)
    again = judged([hours[i] for i in shuffled])
    for a, b in zip(
        (whole.value, whole.multiple, whole.verdict, whole.reason),
        (again.value, again.multiple, again.verdict, again.reason),
        strict=True,
    ):
        np.testing.assert_array_equal(a[shuffled], b)
    for i, (v, m, o, om) in enumerate(hours):
        one = judge_hour(v, m, o, om, limit=NOX, unit="mg/m3")
        assert (one.verdict, one.reason) == (whole.verdict[i], whole.reason[i])
        assert one.value is None or one.value == whole.value[i]


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ValueError, match="2 marks for 3 values"):
        judge_hours([1.0, 2.0, 3.0], ["N", "N"], limit=NOX, unit="mg/m3")


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True))
def test_any_number_gets_an_answer(value, o2):
    j = judge_hour(value, "N", o2, "N", limit=NOX, unit="mg/m3")
    assert (j.verdict == Verdict.NONE) == (j.reason != Reason.JUDGED)
