"""Limits and rules as collected: every word of the tables is one that the code knows."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import pytest

from jingwei.standards import codes, limits, rules


def one(**wanted: str) -> limits.LimitRow:
    (row,) = limits.find(**wanted)
    return row


def test_incineration_daily_means():
    """GB 18485-2014, table 4: the five factors of MEE Order 10, art. 6, at 11 % oxygen."""
    wanted = {"a34013": 20, "a21002": 250, "a21026": 80, "a21024": 50, "a21005": 80}
    found = {
        r.factor: r
        for r in limits.find(standard="GB 18485-2014", period="day")
        if r.factor in wanted
    }
    assert {k: int(r.value) for k, r in found.items()} == wanted
    assert {r.reference_o2 for r in found.values()} == {Decimal(11)}
    assert {r.verified for r in found.values()} == {"secondary"}


def test_the_furnace_temperature_is_a_floor():
    row = one(standard="GB 18485-2014", period="5min")
    assert (row.factor, row.bound, row.value, row.unit) == ("a01901", "lower", 850, "°C")


def test_power_plants_of_gb_13223_2011():
    """GB 13223-2011, table 1, read in the standard: gas turbines at 15 % oxygen."""
    rows = limits.find(standard="GB 13223-2011", factor="a21002", scope="natural gas turbine")
    assert [(r.value, r.reference_o2, r.verified) for r in rows] == [(50, 15, "verified")]


def test_sewage_works_grade_1a():
    """GB 18918-2002, table 1, grade 1A (the unit is mg/L, daily means)."""
    rows = limits.find(standard="GB 18918-2002", scope="一级A", period="day")
    assert {r.factor: r.value for r in rows if r.factor in ("w01018", "w21001")} == {
        "w01018": 50,
        "w21001": 15,
    }
    assert {r.unit for r in rows if r.factor == "w01018"} == {"mg/L"}


def test_a_range_has_two_ends():
    row = one(standard="GB 18918-2002", factor="w01001")
    assert (row.bound, row.value, row.value_to) == ("range", 6, 9)


def test_rows_name_their_clause():
    """The table of the standard; only rows of notices whose tables are not known have none."""
    without = {r.standard for r in limits.rows() if not r.clause}
    assert all(s.startswith("环") for s in without)
    assert one(standard="GB 18485-2014", period="5min").clause.endswith("部令第10号第七条")
    assert {r.clause for r in limits.find(standard="GB 18485-2014", period="day")} == {"表4"}
    assert {r.clause for r in limits.find(standard="GB 13223-2011", scope="coal boiler, new")} == {
        "表1"
    }


def test_every_row_is_typed():
    rows = limits.rows()
    assert len(rows) == 289
    assert Counter(r.verified for r in rows) == {"secondary": 128, "verified": 98, "memory": 63}
    assert {r.period for r in rows} == {"hour", "day", "test", "5min", "any"}
    for row in rows:
        assert row.medium in ("air", "water")
        assert row.bound in ("upper", "lower", "range")
        assert row.value > 0
        assert (row.value_to is not None) == (row.bound == "range")
        assert row.unit or row.factor == "w01001"
        assert row.source
        assert row.title_zh
        assert row.in_force
        assert row.in_force_from < date(2026, 1, 1)
        if row.factor:
            assert codes.factor(row.factor), row
        if row.reference_o2 is not None:
            assert 0 <= row.reference_o2 < 21


def test_rules():
    """rules.csv: 83 rules, those with full text marked."""
    assert len(rules.rows()) == 83
    assert sum(r.full_text for r in rules.rows()) == 43
    assert "DAILY" in rules.rule("O10-6").rule
    assert all(r.source and r.source != "same" for r in rules.rows())
    with pytest.raises(KeyError):
        rules.rule("nothing")
