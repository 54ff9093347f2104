"""Announcement 2022-21, start-up windows, marks that the state belies; Order 820."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

import doctest
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest

from jingwei.analysis import marks
from jingwei.standards import codes, law

BEIJING = timezone(timedelta(hours=8))
NAN = float("nan")
DAY = date(2026, 3, 31)
NOON = datetime(2026, 4, 1, 12, tzinfo=BEIJING)


def test_examples_of_the_docstrings():
    assert doctest.testmod(marks).failed == doctest.testmod(law).failed == 0


def test_the_deadline_of_a_mark_is_noon_of_the_next_day():
    assert marks.due(DAY) == NOON


def test_the_announcement_binds_four_industries_from_its_day_on():
    first = date(2023, 1, 1)
    known = {w.industry for w in marks.windows()} | set(marks.INDUSTRIES) | {"", "steel", "sewage"}
    bound = {i for i in known if marks.applies(i, first)}
    assert bound == {"waste_incineration", "power", "cement", "paper"}
    assert not any(marks.applies(i, date(2022, 12, 31)) for i in known)


# Windows (secondary) ----------------------------------------------------------------------------


def test_windows_name_known_factors_and_say_how_sure_they_are():
    assert len(marks.windows()) == 11
    for w in marks.windows():
        assert w.verified == "secondary"
        assert 0 < w.hours <= w.hours_at_most
        assert all(codes.factor(f) for f in w.factors)


def test_EX_boiler():
    nox = marks.not_judged("boiler", "cold_start", "a21002", [-1, 0, 3.9, 4])
    assert nox.tolist() == [False, True, True, False]
    assert not marks.not_judged("boiler", "cold_start", "a21026", [0]).any()
    assert [marks.window("boiler", p).hours for p in ("warm_start", "stop")] == [2, 1]


def test_EX_power():
    since, load = np.arange(6.0), [10, 30, NAN, 55, 45, 60]
    assert (
        marks.not_judged("power", "cold_start", "a21002", since).tolist()
        == [True] * 4 + [False] * 2
    )
    # from 50 % load on it is judged, and stays judged
    got = marks.not_judged("power", "cold_start", "a21002", since, load, grounds=True)
    assert got.tolist() == [True, True, True, False, False, False]


def test_EX_cement():
    assert marks.not_judged("cement", "cold_start", "a21026", [35.9, 36]).tolist() == [True, False]
    assert marks.not_judged("cement", "stop", "a21002", [7.9, 8]).tolist() == [True, False]


def test_EX_sinter():
    assert marks.not_judged("sinter", "cold_start", "a21002", [7.9, 8]).tolist() == [True, False]


def test_EX_ceramic():
    for factor in ("a34013", "a21026", "a21002"):
        assert marks.not_judged("ceramic", "cold_start", factor, [3.9, 4]).tolist() == [True, False]


def test_no_window_known_is_judged():
    assert not marks.not_judged("glass", "cold_start", "a21002", [0, 1]).any()


# Contradictions ---------------------------------------------------------------------------------


def state(n=10, **more):
    still = {"velocity": 0.2, "temperature": 20, "moisture": 1, "flow": 0, "o2": 20.9, "share": 0}
    return marks.State(**{k: np.full(n, float(v)) for k, v in (still | more).items()})


def test_a_plant_that_stands_still_contradicts_nothing():
    assert marks.contradictions(state(), np.ones(10)) == ()
    assert marks.contradictions(state(), np.zeros(10)) == ()


@pytest.mark.parametrize(
    ("more", "hits"),
    [
        ({"velocity": 8, "temperature": 120, "flow": 90_000, "o2": 9, "share": 0.8}, True),
        ({"velocity": 3.1, "temperature": 42.1, "o2": 16.9}, True),
        ({"velocity": 3.1, "temperature": 42.1}, False),
        ({"velocity": 3, "temperature": 42, "flow": 10_000, "o2": 17, "share": 0.3}, False),
        ({"velocity": NAN, "temperature": NAN, "flow": NAN, "o2": 9, "share": 0.8}, False),
    ],
)
def test_A18_13(more, hits):
    assert marks.runs_though_stopped(state(**more)).all() == hits
    found = marks.contradictions(state(**more), np.ones(10))
    assert [c.rule for c in found] == (["A18-13"] if hits else [])


def test_A18_13_needs_more_than_half_of_the_marked_hours():
    busy = state(velocity=8, temperature=120, flow=90_000)
    busy.velocity[:5] = 0.0
    busy.temperature[:5] = 0.0
    assert marks.contradictions(busy, np.ones(10)) == ()
    assert marks.contradictions(busy, np.arange(10) >= 4) == (marks.Contradiction("A18-13", 5, 6),)


def test_A18_16():
    running = {"velocity": 5, "temperature": 60, "o2": 20.1}
    assert marks.air_though_running(state(**running)).all()
    assert not marks.air_though_running(state(**running | {"o2": 20})).any()
    assert not marks.air_though_running(state(**running | {"temperature": 59})).any()
    long = state(151, **running)
    assert [c.rule for c in marks.contradictions(long, np.zeros(151))] == ["A18-16"]
    long.o2[:31] = 8.0
    assert marks.contradictions(long, np.zeros(151)) == ()  # 120 h are not more than 120
    wide = state(200, **running)
    wide.o2[:40] = 8.0
    assert marks.contradictions(wide, np.zeros(200)) == ()  # 80 % are not more than 80 %


def test_O10_13():
    """A mark that the state belies is found, with numbers; that it is false a person establishes."""
    (found,) = marks.contradictions(state(4, velocity=9, temperature=150, o2=8), np.ones(4))
    assert (found.hours, found.of) == (4, 4)


# Order 820 --------------------------------------------------------------------------------------

ON = date(2026, 5, 1)


def test_R820_26():
    assert law.keep_until(date(2026, 3, 1)) == date(2031, 3, 1)
    assert law.keep_until(date(2028, 2, 29)) == date(2033, 2, 28)


def basis(rule: str, offence: str, who: str = "enterprise") -> law.Penalty:
    """The row by which the offence is fined on `ON`, as a case of a penalty finds it."""
    rows = [a.penalty for a in law.bases(offence, ON, ON, who=who) if a.penalty.rule == rule]
    assert len(rows) == 1
    return rows[0]


def test_R820_42():
    row = basis("R820-42", "monitor.missing")
    assert (row.lowest, row.highest) == (20_000, 200_000)


def test_R820_44():
    row = basis("R820-44", "data.falsified")
    assert (row.lowest, row.highest) == (100_000, 1_000_000)
    row = basis("R820-44", "data.falsified", "person")
    assert (row.lowest, row.highest) == (50_000, 200_000)


def test_R820_45():
    row = basis("R820-45", "data.falsified", "service body")
    assert (row.lowest, row.highest) == (100_000, 500_000)
    assert row.serious == (500_000, 2_000_000)


def test_a_fine_asks_for_the_law_of_the_day():
    before = date(2025, 12, 31)
    rules = {a.penalty.rule for a in law.bases("data.falsified", before, before)}
    assert "R820-44" not in rules
    assert law.bases("monitor.missing", ON, ON, who="person") == ()
