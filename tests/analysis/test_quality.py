"""Periods out of control from checks, by hand and as properties."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.masses import Hours, masses
from jingwei.analysis.quality import Check, Period, out_of_control

START = datetime(2026, 3, 1)


def at(n: int) -> datetime:
    return START + timedelta(hours=n)


def checks(*given: tuple[int, bool]) -> list[Check]:
    return [Check(at(n), passed, n) for n, passed in given]


def test_back_to_the_last_passed_check_and_on_to_the_next():
    found = out_of_control(
        checks((0, True), (10, True), (20, False), (21, False), (22, True), (30, True), (40, False))
    )
    assert found == [Period(at(10), at(22), 20, 10), Period(at(30), None, 40, 30)]


def test_without_a_passed_check_before_it_begins_with_the_failed_one():
    assert out_of_control(checks((5, False), (7, True))) == [Period(at(5), at(7), 5, None)]
    assert out_of_control(checks((5, True), (7, True))) == []
    assert out_of_control([]) == []


def test_adjusted_and_checked_again_at_once():
    one = [Check(at(0), True, 1), Check(at(9), True, 3), Check(at(9), False, 2)]
    assert out_of_control(one) == [Period(at(0), at(9), 2, 1)]


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=20))
def test_periods_hold_every_failed_check_and_no_passed_one(given_: list[tuple[int, bool]]):
    rows = [Check(at(n), passed, i) for i, (n, passed) in enumerate(given_)]
    found = out_of_control(rows)
    for row in rows:
        inside = [p for p in found if p.begin < row.time and (p.end is None or row.time < p.end)]
        if row.passed:
            assert not inside
        else:
            assert any(p.begin <= row.time and (p.end is None or row.time <= p.end) for p in found)
    for a, b in pairwise(found):
        assert a.end is not None
        assert a.end <= b.begin
    assert found == out_of_control(
        rows[::-1]
    )  # the order in which they were entered does not matter


def test_s_75_oc_looks_back_from_the_last_passed_check():
    """Rates of 1, 5, 2 kg/h, a passed check in the fourth hour, from which on it is out of control:
    nothing measured after the check stands in, though 9 kg/h was."""
    conc = np.array([1.0, 5.0, 2.0, 9.0, 9.0, 3.0] + [1.0] * 34)
    n = len(conc)
    out = np.zeros(n, bool)
    out[3:5] = True
    checked = np.zeros(n, bool)
    checked[3] = True
    yes, no = np.ones(n, bool), np.zeros(n, bool)
    hours = Hours(conc, np.full(n, 1e6), no, ~out, yes, out, checked)
    made = masses(hours, "air", np.zeros(n, int))
    assert made.kg[:6].tolist() == [1.0, 5.0, 2.0, 5.0, 5.0, 3.0]
    assert made.rule[3:5].tolist() == [1, 1]  # S-75-oc90: 38 of 40 hours are valid
    never = masses(Hours(conc, np.full(n, 1e6), no, ~out, yes, out, no), "air", np.zeros(n, int))
    assert np.isnan(never.kg[3:5]).all()  # no passed check on record: nothing is guessed
