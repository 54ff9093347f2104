"""Fines and periods: which text was in force, what is milder, how long all may take."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import law

DAYS = st.dates(date(2018, 11, 1), date(2029, 12, 31))


def cites(offence: str, act: date, decided: date) -> list[tuple[str, str]]:
    return [(a.penalty.rule, a.why) for a in law.bases(offence, act, decided)]


def test_an_act_before_the_code_is_judged_by_the_law_of_its_day():
    # Same range, so the Code is not milder: the text of the day of the act stays.
    assert cites("air.exceeded", date(2026, 8, 14), date(2026, 11, 21)) == [("AIR-99-2", "then")]
    assert cites("air.exceeded", date(2026, 8, 15), date(2026, 11, 21)) == [("CODE-1107", "then")]


def test_the_milder_later_text_goes_first():
    # Regulations on permits art. 34: from 200,000 yuan; Code art. 1103: from 100,000.
    assert cites("permit.exceeded", date(2026, 7, 1), date(2026, 11, 21)) == [
        ("CODE-1103", "milder"),
        ("PERMIT-34-1", "then"),
    ]
    assert cites("permit.exceeded", date(2026, 7, 1), date(2026, 8, 1)) == [("PERMIT-34-1", "then")]


def test_a_harsher_later_text_is_not_applied():
    # Discharge without permit: air law from 100,000, Code art. 1102 from 200,000.
    found = cites("permit.none", date(2026, 7, 1), date(2026, 11, 21))
    assert "CODE-1102" not in [rule for rule, _ in found]
    assert found[0][0] == "AIR-99-1"  # a law before the regulation


@given(st.sampled_from(sorted(law.offences())), DAYS, DAYS)
def test_the_law_before_all_is_never_harsher_than_that_of_the_act(offence, one, other):
    act, decided = min(one, other), max(one, other)
    found = law.bases(offence, act, decided)
    then = [a.penalty for a in found if a.why == "then"]
    assert all(p.in_force(act) for p in then)
    for milder in (a.penalty for a in found if a.why == "milder"):
        assert milder.in_force(decided)
        assert not milder.in_force(act)
        assert any(
            (milder.highest, milder.lowest) < (p.highest, p.lowest)
            for p in then
            if not p.in_force(decided)
        )


def test_every_version_is_whole():
    for p in law.penalties():
        assert p.lowest < p.highest, p.rule
        assert p.until is None or p.since <= p.until, p.rule
        assert p.verified in ("verified", "secondary", "memory"), p.rule
        assert p.cite_zh.startswith("《"), p.rule
        assert p.cite_zh.endswith(("条", "项", "款")), p.rule
        assert p.source, p.rule
        # Nothing of the ten repealed laws reaches past the day before the Code.
        if p.law_zh.endswith("法") and p.since < law.CODE:
            assert p.until == law.CODE - timedelta(days=1), p.rule


def test_limitation():
    assert law.limitation(date(2026, 8, 14), harm=True) == date(2028, 8, 14)
    assert law.limitation(date(2026, 8, 15), harm=True) == date(2031, 8, 15)
    assert law.limitation(date(2026, 8, 15), harm=False) == date(2028, 8, 15)
    assert law.limitation(date(2024, 2, 29), harm=False, health=True) == date(2029, 2, 28)


def test_periods_are_working_days_where_the_law_says_two_three_five_or_seven():
    units = {step: p.rule.unit for step, p in law.procedure().items()}
    for step, p in law.procedure().items():
        assert (p.rule.amount in (2, 3, 5, 7)) == (units[step] == "working_days"), step
    # 2026-09-28 is a Monday before the holidays of 1 to 7 October (20 September worked).
    served = datetime(2026, 9, 28, 2, tzinfo=UTC)
    due, derivation = law.procedure()["ask_hearing"].end(served)
    assert due.date() == date(2026, 10, 10), derivation.text("en")
    due, _ = law.procedure()["pay"].end(served)
    assert due.date() == date(2026, 10, 13)


def test_surcharge_by_hand():
    # 240,000 yuan, 3 % = 7,200 a day.
    fine = Decimal(240_000)
    assert law.surcharge(fine, date(2026, 9, 1), date(2026, 9, 1)) == (Decimal("0.00"), 0)
    assert law.surcharge(fine, date(2026, 9, 1), date(2026, 9, 11)) == (Decimal("72000.00"), 10)
    pause = [(date(2026, 9, 3), date(2026, 9, 5))]
    assert law.surcharge(fine, date(2026, 9, 1), date(2026, 9, 11), pause) == (
        Decimal("50400.00"),
        7,
    )
    assert law.surcharge(fine, date(2026, 9, 1), date(2027, 9, 1))[0] == fine


@given(
    st.decimals(1, 10**7, places=2),
    st.integers(-10, 400),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=3),
)
def test_a_surcharge_is_never_more_than_the_fine(fine, days, pauses):
    due = date(2026, 1, 1)
    spans = [(due + timedelta(n), due + timedelta(n + m)) for n, m in pauses]
    amount, counted = law.surcharge(fine, due, due + timedelta(days), spans)
    assert 0 <= amount <= fine
    assert 0 <= counted <= max(days, 0)
    assert amount <= law.surcharge(fine, due, due + timedelta(days))[0]


def test_daily_penalty():
    assert law.daily(Decimal(200_000), date(2026, 9, 1), date(2026, 9, 8)) == (
        Decimal("1400000.00"),
        7,
    )
