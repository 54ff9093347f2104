"""Discretion: worked by hand, and what holds for every table whatever is chosen."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import discretion, law

TODAY = date(2026, 11, 21)
SHEETS = discretion.sheets()
WEIGHTS = [s for s in SHEETS.values() if s.table.model == "weights"]
TIERS = [s for s in SHEETS.values() if s.table.model == "tiers"]


def bases_of(sheet: discretion.Sheet) -> list[law.Penalty]:
    return [p for p in law.penalties() if p.rule in sheet.rules and p.offence == sheet.offence]


@st.composite
def weighed(draw):
    sheet = draw(st.sampled_from(WEIGHTS))
    basis = draw(st.sampled_from(bases_of(sheet)))
    grades = {f.key: draw(st.sampled_from(f.grades)).number for f in sheet.factors}
    known = discretion.circumstances_for(sheet, basis)
    chosen = {
        c.key: (draw(st.decimals(c.least, c.most, places=2)) if c.least is not None else None)
        for c in draw(st.lists(st.sampled_from(known), unique=True))
    }
    return sheet, basis, grades, chosen


@st.composite
def tiered(draw):
    sheet = draw(st.sampled_from(TIERS))
    excesses = draw(
        st.lists(
            st.tuples(st.decimals("0.01", 60, places=2), st.booleans()), min_size=1, max_size=8
        )
    )
    repeats = draw(st.integers(1, 6))
    chosen = draw(st.sets(st.sampled_from(["top", "bottom"])))
    return sheet, bases_of(sheet)[0], excesses, repeats, chosen


def test_guangdong_by_hand():
    """One ordinary factor, 0.51 times over, ordinary area and time, the second in two years.

    10 + 0 + 8 + 0 + 0 + 2 + 4 = 24 %; 24 % of 1,000,000 = 240,000 yuan.
    """
    sheet = SHEETS["GD-3.4.1"]
    basis = law.bases("air.exceeded", date(2026, 11, 1), TODAY)[0].penalty
    grades = {"number": 1, "pollutant": 2, "place": 1, "period": 1, "multiple": 1, "repeats": 2}
    result = discretion.compute(sheet, basis, grades)
    assert result.amount == Decimal("240000.00")
    texts = [(s.formula, s.result) for s in result.steps]
    assert ("10 + 0 + 8 + 0 + 0 + 2 + 4 = 24 %", "24 %") in texts
    assert ("24 % × 1,000,000", "240,000") in texts
    # Apologised in public: 30 to 50 % less (art. 14).
    less = discretion.compute(sheet, basis, grades, {"apology": Decimal(40)})
    assert less.amount == Decimal("144000.00")
    assert not less.open
    # What has no figure changes nothing and is left to a person.
    same = discretion.compute(sheet, basis, grades, {"removed": None})
    assert same.amount == result.amount
    assert [c.key for c in same.open] == ["removed"]


def test_guangdong_floor_of_permits():
    """§3.4.2: 10 + 0 + 3 + 0 + 0 + 2 + 0 = 15 %, counted as 20 %."""
    sheet = SHEETS["GD-3.4.2"]
    basis = law.bases("permit.exceeded", date(2026, 7, 1), date(2026, 8, 1))[0].penalty
    grades = dict.fromkeys(("number", "pollutant", "place", "period", "multiple", "repeats"), 1)
    assert discretion.compute(sheet, basis, grades).amount == Decimal("200000.00")


def test_a_sum_below_the_law_is_lifted_to_it():
    """§2.7.1: 7 + 0 + 0 + 0 + 0 + 0 + 0 = 7 % = 70,000: the law begins at 100,000."""
    sheet = SHEETS["GD-2.7.1"]
    basis = law.bases("water.exceeded", date(2026, 11, 1), TODAY)[0].penalty
    grades = {f.key: 1 for f in sheet.factors}
    result = discretion.compute(sheet, basis, grades)
    assert result.amount == Decimal("100000.00")
    assert "70,000" in result.steps[-2].formula


def test_the_worst_of_guangdong_adds_up_to_what_the_table_prints():
    for key, worst in (("GD-3.4.1", 100), ("GD-2.7.1", 100), ("GD-3.5.1", 100), ("GD-2.8.1", 100)):
        sheet = SHEETS[key]
        total = sheet.start + sum(max(g.percent for g in f.grades) for f in sheet.factors)
        assert total == worst, key


def test_jiangmen_by_hand():
    """Two ordinary factors, 1.6 and 0.2 times over: tier 3.

    200,000 + 10,000 (one more factor) + 2 × 10,000 (1.6 rounds to 2) + 0 = 230,000 yuan.
    """
    sheet, basis = SHEETS["JM-3-3"], bases_of(SHEETS["JM-3-3"])[0]
    excesses = [(Decimal("0.2"), False), (Decimal("1.6"), False)]
    assert discretion.tier_of(sheet, excesses, 1) == 3
    result = discretion.compute(sheet, basis, {}, excesses=excesses, tier=3)
    assert result.amount == Decimal("230000.00")
    # One special factor 0.7 over: 2 steps of half a limit.
    result = discretion.compute(sheet, basis, {}, excesses=[(Decimal("0.7"), True)], tier=3)
    assert result.amount == Decimal("220000.00")
    # One ordinary factor less than once over: the middle of 100,000 … 150,000.
    assert discretion.tier_of(sheet, [(Decimal("0.5"), False)], 1) == 1
    result = discretion.compute(sheet, basis, {}, excesses=[(Decimal("0.5"), False)], tier=1)
    assert result.amount == Decimal("125000.00")
    for chosen, amount in (({"top"}, 150_000), ({"bottom"}, 100_000), ({"top", "bottom"}, 125_000)):
        assert discretion.compute(sheet, basis, {}, chosen, tier=1).amount == amount


@given(weighed())
def test_weights_stay_within_the_law_and_can_be_worked_again(case):
    sheet, basis, grades, chosen = case
    result = discretion.compute(sheet, basis, grades, chosen)
    assert basis.lowest <= result.amount <= basis.highest
    assert result.amount.as_tuple().exponent == -2
    # By hand, from nothing but the printed rows.
    rows = {(f.key, g.number): g.percent for f in sheet.factors for g in f.grades}
    percent = sheet.start + sum(rows[key, number] for key, number in grades.items())
    amount = max(min(percent, 100), sheet.floor) * basis.highest / 100
    if "apology" in chosen:
        amount = amount * (100 - chosen["apology"]) / 100
    assert result.amount == round(min(max(amount, basis.lowest), basis.highest), 2)


@given(weighed(), st.data())
def test_a_worse_grade_never_makes_it_cheaper(case, data):
    sheet, basis, grades, chosen = case
    factor = data.draw(st.sampled_from(sheet.factors))
    worse = data.draw(
        st.sampled_from(
            [g for g in factor.grades if g.percent >= factor.grade(grades[factor.key]).percent]
        )
    )
    before = discretion.compute(sheet, basis, grades, chosen).amount
    after = discretion.compute(sheet, basis, {**grades, factor.key: worse.number}, chosen).amount
    assert after >= before


@given(weighed(), st.randoms(use_true_random=False))
def test_the_order_of_factors_does_not_matter(case, rng: random.Random):
    sheet, basis, grades, chosen = case
    pairs, reasons = list(grades.items()), list(chosen.items())
    rng.shuffle(pairs)
    rng.shuffle(reasons)
    assert (
        discretion.compute(sheet, basis, dict(pairs), dict(reasons)).to_json()
        == discretion.compute(sheet, basis, grades, chosen).to_json()
    )


def test_grades_stand_from_light_to_grave():
    for sheet in WEIGHTS:
        for factor in sheet.factors:
            percents = [g.percent for g in factor.grades]
            assert percents == sorted(percents), (sheet.key, factor.key)


@given(st.sampled_from(WEIGHTS), st.decimals(0, 200, places=3), st.decimals(0, 200, places=3))
def test_a_measured_factor_has_one_grade_and_more_is_never_less(sheet, one, other):
    for factor in sheet.factors:
        if not factor.measure:
            continue
        fitting = [
            g
            for g in factor.grades
            if g.least is not None and g.least <= one and (g.below is None or one < g.below)
        ]
        assert len(fitting) <= 1
        low, high = (factor.measured(v) for v in sorted((one, other)))
        if low and high:
            assert low.percent <= high.percent
        # From its first bound on no value falls between two grades.
        if one >= min(g.least for g in factor.grades if g.least is not None):
            assert factor.measured(one) is not None


@given(tiered())
def test_tiers_stay_within_the_law_and_within_the_tier(case):
    sheet, basis, excesses, repeats, chosen = case
    number = discretion.tier_of(sheet, excesses, repeats)
    result = discretion.compute(sheet, basis, {}, chosen, excesses=excesses, tier=number)
    tier = sheet.tiers[number - 1]
    assert basis.lowest <= result.amount <= basis.highest
    assert tier.lowest <= result.amount <= tier.highest
    shuffled = discretion.compute(
        sheet, basis, {}, chosen, excesses=list(reversed(excesses)), tier=number
    )
    assert shuffled.amount == result.amount


@given(tiered(), st.integers(0, 7), st.decimals("0.01", 20, places=2))
def test_further_over_never_costs_less(case, which, more):
    sheet, basis, excesses, repeats, _ = case
    which %= len(excesses)
    worse = [*excesses]
    worse[which] = (excesses[which][0] + more, excesses[which][1])

    def amount(values, count):
        number = discretion.tier_of(sheet, values, count)
        return discretion.compute(sheet, basis, {}, excesses=values, tier=number).amount

    assert amount(worse, repeats) >= amount(excesses, repeats)
    assert amount(excesses, repeats + 1) >= amount(excesses, repeats)


def test_refusals():
    sheet = SHEETS["GD-3.4.1"]
    basis = bases_of(sheet)[0]
    grades = {f.key: 1 for f in sheet.factors}
    for wrong, message in (
        ({**grades, "place": 9}, "no grade 9"),
        ({k: v for k, v in grades.items() if k != "place"}, "no grade for place"),
        ({**grades, "mood": 1}, "no factor mood"),
    ):
        with pytest.raises(ValueError, match=message):
            discretion.compute(sheet, basis, wrong)
    for chosen, message in (
        ({"apology": Decimal(60)}, "outside 30"),
        ({"friend": None}, "unknown circumstances"),
    ):
        with pytest.raises(ValueError, match=message):
            discretion.compute(sheet, basis, grades, chosen)
    with pytest.raises(ValueError, match="not made for"):
        discretion.compute(SHEETS["GD-2.7.1"], basis, {})
    with pytest.raises(ValueError, match="no tier 9"):
        discretion.compute(SHEETS["JM-3-3"], bases_of(SHEETS["JM-3-3"])[0], {}, tier=9)


def test_the_tables_are_whole():
    assert {t.key for t in discretion.discretion_tables().values()} == {
        s.table.key for s in SHEETS.values()
    }
    known = set(law.offences())
    for sheet in SHEETS.values():
        assert sheet.offence in known, sheet.key
        assert bases_of(sheet), sheet.key
        assert bool(sheet.factors) == (sheet.table.model == "weights"), sheet.key
        assert bool(sheet.tiers) == (sheet.table.model == "tiers"), sheet.key
    for row in (*discretion.circumstances(), *discretion.minor(), *law.procedure().values()):
        assert row.verified in ("verified", "secondary", "memory")
        assert row.source
