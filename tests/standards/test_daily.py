"""The consecutive daily penalty: what the law asks, day by day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import daily, law

SERVED, DECIDED = date(2026, 9, 1), date(2026, 9, 3)


def test_offences_are_those_of_the_law():
    assert set(law.offences()) >= daily.OFFENCES


@given(st.integers(1, 30), st.decimals(1, 1_000_000, places=2))
def test_every_day_costs_the_original_fine_and_each_step_says_so(days, fine):
    last = SERVED + timedelta(days)
    result = daily.reckon("water.evaded", fine, DECIDED, SERVED, last)
    assert result.amount == fine * days == result.lowest == result.highest
    original, found, counted, whole = result.steps
    assert (Decimal(original.result), counted.result) == (fine, str(days))
    assert Decimal(whole.result) == Decimal(original.result) * int(counted.result)
    assert counted.formula == f"{SERVED + timedelta(1)} … {last}"
    assert str(SERVED) in found.zh
    assert all("二手来源" in step.source_zh for step in result.steps)


@pytest.mark.parametrize(
    ("offence", "fine", "days", "rule"),
    [
        ("data.falsified", 1, 5, "offence"),
        ("air.exceeded", 0, 5, "fine"),
        ("air.exceeded", 1, 0, "order"),
        ("air.exceeded", 1, -1, "order"),
        ("air.exceeded", 1, 31, "recheck"),
    ],
)
def test_what_the_law_does_not_allow(offence, fine, days, rule):
    with pytest.raises(daily.NotAllowedError, match=rule):
        daily.reckon(offence, Decimal(fine), DECIDED, SERVED, SERVED + timedelta(days))


def test_the_code_took_the_place_of_the_law():
    day = timedelta(days=1)
    assert daily.text("basis", law.CODE - day).cite_en == "Environmental Protection Law, art. 59"
    assert "1060" in daily.text("basis", law.CODE).cite_en
    with pytest.raises(ValueError, match="no text in force"):
        daily.text("basis", date(2014, 12, 31))
    for part in ("basis", "applies", "recheck", "days", "amount"):
        rows = sorted((t for t in daily.texts() if t.part == part), key=lambda t: t.since)
        assert rows[-1].until is None
        assert all(a.until == b.since - day for a, b in pairwise(rows))
