"""Rates, amounts and projections, totals, overlapping permits, self-monitoring, tax equivalents."""

from __future__ import annotations

import doctest
import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis import permits
from jingwei.analysis.compliance import Reason, Verdict
from jingwei.analysis.permits import AmountVerdict, Plan, Result, amount, completion
from jingwei.standards import codes, tax

NAN = float("nan")
kilograms = st.floats(0, 1e6)


def test_examples_of_the_docstrings():
    assert doctest.testmod(permits).failed == doctest.testmod(tax).failed == 0


# Rates ------------------------------------------------------------------------------------------


def test_rates():
    # 100 mg/m³ x 50,000 m³/h = 5 kg/h: at the limit, not over it
    got = permits.judge_rates([100, 101, 100, -1, -1, NAN], [5e4, 5e4, 5e4, 5e4, -5e4, 5e4],
                              ["N", "N", "M", "N", "N", "N"], limit=5.0)  # fmt: skip
    assert got.verdict.tolist() == [Verdict.WITHIN, Verdict.EXCEEDED, 0, 0, 0, 0]
    assert [Reason(r).name for r in got.reason[2:]] == [
        "MARK",
        "VALUE_NEGATIVE",
        "VALUE_NEGATIVE",
        "VALUE_MISSING",
    ]
    assert got.value[1] == 5.05


# Amounts ----------------------------------------------------------------------------------------


def test_a_year_by_hand():
    made = amount(2025, [10.0] * 100, 3000.0)
    assert (made.total, made.projected, made.low, made.high) == (1000.0, 3650.0, 3650.0, 3650.0)
    assert made.months[:4] == (310.0, 280.0, 310.0, 100.0)
    assert made.verdict == AmountVerdict.AHEAD
    assert made.used_up == date(2025, 1, 1) + timedelta(days=300)  # the 301st day
    assert made.until == date(2025, 4, 10)


@pytest.mark.parametrize(
    ("permitted", "verdict"),
    [
        (None, AmountVerdict.NONE),
        (3650.0, AmountVerdict.WITHIN),
        (3649.0, AmountVerdict.AHEAD),
        (1000.0, AmountVerdict.AHEAD),
        (999.0, AmountVerdict.OVER),
        (0.0, AmountVerdict.OVER),
    ],
)
def test_verdicts(permitted, verdict):
    assert amount(2025, [10.0] * 100, permitted).verdict == verdict


def test_a_gap_does_not_look_like_saved_emissions():
    days = [10.0] * 50 + [NAN] * 50
    made = amount(2025, days, 3000.0)
    assert (made.total, made.projected) == (500.0, 3650.0)
    assert made.used_up == date(2025, 1, 1) + timedelta(days=300)
    assert amount(2025, [NAN] * 10, 5.0).verdict == AmountVerdict.NONE
    assert amount(2025, [], 5.0).projected == 0.0


def test_the_missing_part_of_a_day_does_not_look_like_saved_emissions():
    """100 days of 10 kg; of the last 50 but 6 of 24 hours are known, a quarter of the mass."""
    days, covered = [10.0] * 50 + [2.5] * 50, [1.0] * 50 + [0.25] * 50
    made = amount(2025, days, 3000.0, covered=covered)
    assert (made.total, made.covered) == (625.0, 62.5)
    assert made.projected == pytest.approx(3650.0)
    assert (made.low, made.high) == (pytest.approx(3650.0), pytest.approx(3650.0))
    assert made.used_up == date(2025, 1, 1) + timedelta(days=300)
    assert made.months[:4] == (310.0, 212.5, 77.5, 25.0)  # what is known, and no more
    assert amount(2025, days, 3000.0).projected == pytest.approx(6.25 * 365)  # without the shares
    assert amount(2025, [0.0], 5.0, covered=[0.0]).verdict == AmountVerdict.NONE


def test_the_range_of_a_projection_comes_from_the_years_own_paces():
    made = amount(2024, [5.0] * 60 + [20.0] * 60, 1e9)
    left = 366 - 120
    assert made.low == made.total + left * 5.0
    assert made.high == made.total + left * 20.0
    assert made.low < made.projected < made.high


def test_what_is_substituted_is_told():
    assert amount(2025, [10.0, 12.0], 1e4, substituted=[0.0, 12.0]).substituted == 12.0


def test_months_over():
    made = amount(2025, [10.0] * 90, None)
    assert permits.months_over(made, {1: 300.0, 2: 280.0, 3: 400.0}) == {1: 10.0}


@pytest.mark.parametrize(
    "call",
    [
        lambda: amount(2025, [1.0] * 366, 1.0),
        lambda: amount(2025, [-1.0], 1.0),
        lambda: amount(2025, [1.0], -1.0),
        lambda: amount(2025, [1.0], math.nan),
        lambda: amount(2025, [1.0], 1.0, covered=[1.01]),
        lambda: amount(2025, [1.0], 1.0, covered=[math.nan]),
    ],
)
def test_bad_amounts_are_refused(call):
    with pytest.raises(ValueError):
        call()


@given(
    st.lists(st.tuples(kilograms | st.just(NAN), st.sampled_from([0.0, 0.25, 1.0])), max_size=366),
    kilograms,
)
def test_a_projection_is_never_below_what_is_there(rows, permitted):
    made = amount(2024, [d for d, _ in rows], permitted, covered=[c for _, c in rows])
    assert made.total <= made.projected * (1 + 1e-12)
    assert made.low <= made.projected <= made.high or math.isclose(made.low, made.high)
    assert sum(made.months) == pytest.approx(made.total)
    if made.verdict == AmountVerdict.OVER:
        assert made.used_up is not None
        assert made.used_up <= made.until


@given(st.lists(st.tuples(st.sampled_from("abc"), kilograms)), st.randoms(use_true_random=False))
def test_totals_do_not_depend_on_the_order_or_on_splitting(rows, random):
    mixed = rows[:]
    random.shuffle(mixed)
    whole = permits.totals(rows)
    assert permits.totals(mixed) == whole
    half = len(rows) // 2
    parts = [permits.totals(rows[:half]), permits.totals(rows[half:])]
    for key, value in whole.items():
        assert sum(p.get(key, 0.0) for p in parts) == pytest.approx(value, rel=1e-15)


# Permits over time ------------------------------------------------------------------------------


# Self-monitoring --------------------------------------------------------------------------------

YEAR = (date(2026, 1, 1), date(2026, 12, 31))


def test_a_quarterly_plan():
    plan = Plan("a34013", "quarter", report_days=10, publish_days=20)
    results = [
        Result(date(2026, 2, 3), date(2026, 2, 10), date(2026, 2, 20)),
        Result(date(2026, 2, 9), date(2026, 2, 25), None),  # more than asked for; late, unpublished
        Result(date(2026, 8, 1), date(2026, 8, 2), date(2026, 8, 3)),
    ]
    got = completion(plan, results, *YEAR, today=date(2026, 10, 15))
    assert (got.due, got.done, got.completion) == (3, 2, 2 / 3)
    assert got.missing == ((date(2026, 4, 1), 1),)
    assert got.late == got.unpublished == (results[1],)
    assert got.publication == 2 / 3


@pytest.mark.parametrize(
    ("every", "due"),
    [("day", 365), ("week", 51), ("month", 12), ("quarter", 4), ("half_year", 2), ("year", 1)],
)
def test_what_a_year_asks_for(every, due):
    got = completion(Plan("x", every), [], *YEAR, today=date(2027, 1, 1))
    assert (got.due, got.done, got.completion) == (due, 0, 0.0)
    assert len(got.missing) == due


def test_a_period_that_is_not_over_is_not_due():
    got = completion(Plan("x", "month"), [], *YEAR, today=date(2026, 1, 31))
    assert (got.due, got.completion, got.publication) == (0, None, None)


@given(
    st.sampled_from(["day", "week", "month", "quarter", "half_year", "year"]),
    st.integers(1, 3),
    st.lists(st.integers(0, 364), max_size=40),
)
def test_completion_lies_between_none_and_all(every, times, sampled):
    results = [Result(YEAR[0] + timedelta(days=i)) for i in sampled]
    got = completion(Plan("x", every, times), results, *YEAR, today=date(2027, 1, 1))
    assert 0 <= got.done <= got.due
    assert got.done + sum(n for _, n in got.missing) == got.due
    assert got.done <= len(results)


# Tax --------------------------------------------------------------------------------------------


def test_the_annex_says_how_sure_it_is_and_names_known_factors():
    rows = tax.values()
    assert len([v for v in rows if v.group == "air"]) == 44
    assert len([v for v in rows if v.group == "water1"]) == 10
    assert {v.verified for v in rows} == {"secondary", "memory"}
    assert {v.group for v in rows} == {"air", "water1", "water2"}
    coded = [v.factor for v in rows if v.factor]
    assert len(coded) == len(set(coded))
    assert all(codes.factor(c) for c in coded)
    assert all(v.kg > 0 for v in rows)


def test_the_first_three_of_the_air_count():
    # 95 kg SO2: 100; 190 kg NOx: 200; 16.7 kg CO: 1; 10.75 kg HCl: 1 ... 2.18 kg soot: 1
    lines = tax.report({"a21026": 95.0, "a21002": 190.0, "a21005": 33.4, "a34013": 2.18, "x": 5.0})
    assert [(x.factor, x.equivalents, x.counted) for x in lines] == [
        ("a21002", 200.0, True),
        ("a21026", 100.0, True),
        ("a21005", 2.0, True),
        ("a34013", 1.0, False),
    ]
    assert [x.due for x in lines] == [200.0, 100.0, 2.0, 0.0]


def test_cod_bod_and_toc_count_once():
    lines = tax.report(
        {"w01018": 100.0, "w01017": 20.0, "w21003": 8.0, "w21011": 1.0, "w01012": 8.0}
    )
    assert [(x.factor, x.counted) for x in lines] == [
        ("w01018", True),
        ("w01017", False),
        ("w21003", True),
        ("w21011", True),
        ("w01012", False),
    ]


def test_five_of_the_first_class():
    first = ["w20111", "w20115", "w20116", "w20117", "w20119", "w20120"]
    lines = tax.report(dict.fromkeys(first, 1.0))
    assert sum(x.counted for x in lines) == 5
    assert lines[0].factor == "w20111"  # mercury: 2000 equivalents a kilogram
    assert lines[0].equivalents == 2000.0


def test_lower_concentrations_pay_less():
    (line,) = tax.report({"a21026": 95.0}, {"a21026": 0.4})
    assert (line.equivalents, line.due) == (100.0, 50.0)


def test_a_negative_mass_is_refused():
    with pytest.raises(ValueError, match="wanted 0 or more"):
        tax.report({"a21026": -1.0})
    with pytest.raises(ValueError, match="wanted 0 or more"):
        tax.report({"a21026": NAN})


def test_equivalents_of_all_groups_stay_apart():
    lines = tax.report({"a21026": 1.0, "w01018": 1.0, "w20111": 1.0})
    assert [x.group for x in lines] == ["air", "water1", "water2"]
    assert np.all([x.counted for x in lines])
