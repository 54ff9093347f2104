"""GB 3838-2002 and the noise standards."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import noise, water


@pytest.mark.parametrize(
    ("key", "values"),
    [
        # GB 3838-2002, table 1: the limit itself still belongs to the class.
        ("codmn", [2, 4, 6, 10, 15, 15.01]),
        ("nh3n", [0.15, 0.5, 1.0, 1.5, 2.0, 2.01]),
        ("tp", [0.02, 0.1, 0.2, 0.3, 0.4, 0.401]),
        ("do", [7.5, 6, 5, 3, 2, 1.99]),
        ("bod5", [3, 3.01, 4.0, 6, 10, 11]),
    ],
)
def test_limits_of_table_1(key: str, values: list[float]):
    levels = [water.item_level(key, v) for v in values]
    assert levels == ([1, 3, 3, 4, 5, 6] if key == "bod5" else [1, 2, 3, 4, 5, 6])


def test_lakes_have_their_own_phosphorus_limits():
    assert water.classify({"tp": 0.05}).roman == "Ⅱ"
    assert water.classify({"tp": 0.05}, lake=True).roman == "Ⅲ"
    assert water.item_level("tn", 1.5) is None
    assert water.item_level("tn", 1.5, lake=True) == 4


def test_the_worst_item_decides():
    found = water.classify({"ph": 8.1, "do": 8.0, "codmn": 5.0, "nh3n": 0.9, "tp": 0.05})
    assert (found.roman, found.deciding) == ("Ⅲ", ("codmn", "nh3n"))
    assert found.levels == {"ph": 1, "do": 1, "codmn": 3, "nh3n": 3, "tp": 2}
    assert water.classify({"ph": 7, "do": 8}).deciding == ()


def test_acid_and_alkaline_water_is_worse_than_v():
    """GB 3838-2002, table 1: pH 6-9 for every class."""
    assert water.classify({"ph": 9.22, "do": 9}).roman == "劣Ⅴ"
    assert water.classify({"ph": 9.0}).roman == water.classify({"ph": 6.0}).roman == "Ⅰ"


def test_nitrogen_and_coliforms_do_not_count_unless_asked():
    """环办〔2011〕22号: total nitrogen and faecal coliforms stay out of the class."""
    values = {"tp": 0.02, "tn": 1.8, "faecal_coliforms": 50_000}
    assert water.classify(values, lake=True).roman == "Ⅱ"
    assert water.classify(values, lake=True, nutrients=True).roman == "劣Ⅴ"


def test_missing_values():
    assert water.classify({"ph": None, "do": float("nan"), "tp": -0.1}).level is None
    assert water.classify({}).roman == ""
    with pytest.raises(KeyError):
        water.classify({"nothing": None})
    with pytest.raises(KeyError):
        water.classify({"nothing": 1.0})
    with pytest.raises(ValueError, match="from 0"):
        water.item_level("tp", -1)


@pytest.mark.parametrize(
    ("name", "lake"),
    [
        ("大伙房水库", True),
        ("新河入湖区", True),
        ("程海湖中", True),
        ("花山水库出水口", False),
        ("湖口", False),
        ("永安安砂水库下游", False),
        ("珠海大桥", False),
    ],
)
def test_names_that_say_lake(name: str, lake: bool):
    assert water.stands_in_lake(name) is lake


def test_limits_never_loosen_backwards():
    for item in water.items().values():
        if item.kind == "range":
            continue
        for limits in (item.limits, item.lake):
            assert list(limits) == sorted(limits, reverse=item.kind == "min")
            assert len(limits) in (0, 5)


@given(
    key=st.sampled_from(["codmn", "cod", "nh3n", "tp", "cu", "oil"]),
    low=st.floats(0, 100),
    more=st.floats(0, 100),
    lake=st.booleans(),
)
def test_more_of_a_pollutant_is_never_better(key: str, low: float, more: float, lake: bool):
    assert water.item_level(key, low, lake=lake) <= water.item_level(key, low + more, lake=lake)


def test_equivalent_level():
    """GB 3096-2008, 3.3: adding by energy; two equal halves of 60 and 70 dB give 67.4 dB."""
    assert noise.energy_mean([60, 70]) == pytest.approx(67.4036, abs=1e-4)
    assert noise.energy_mean([55] * 7) == pytest.approx(55)
    with pytest.raises(ValueError, match="one finite level"):
        noise.energy_mean([])


def test_day_and_night():
    """GB 3096-2008, 3.5: day 06:00-22:00. 60 dB by day and 50 dB by night: Ldn = 60 dB."""
    hours = [50.0] * 6 + [60.0] * 16 + [50.0] * 2
    found = noise.day_night(hours)
    assert (found.ld, found.ln) == (pytest.approx(60), pytest.approx(50))
    assert found.ldn == pytest.approx(60)
    assert (found.day_hours, found.night_hours) == (16, 8)


def test_hours_that_were_not_measured():
    found = noise.day_night([None] * 6 + [60.0] + [math.nan] * 17)
    assert (found.ld, found.ln, found.ldn) == (pytest.approx(60), None, None)
    assert (found.day_hours, found.night_hours) == (1, 0)
    with pytest.raises(ValueError, match="24"):
        noise.day_night([50.0] * 23)


@given(levels=st.lists(st.floats(20, 140), min_size=1, max_size=24))
def test_the_mean_lies_between_and_order_does_not_matter(levels: list[float]):
    mean = noise.energy_mean(levels)
    assert min(levels) - 1e-9 <= mean <= max(levels) + 1e-9
    assert mean == pytest.approx(noise.energy_mean(sorted(levels)), abs=1e-9)
    assert mean >= sum(levels) / len(levels) - 1e-9


def test_noise_limits():
    """GB 3096-2008, table 1; GB 12348-2008, table 1."""
    assert noise.limits("2") == (60, 50)
    assert noise.limits("4b") == (70, 60)
    assert noise.limits("4", "GB 12348-2008") == (70, 55)
    with pytest.raises(ValueError, match="4a"):
        noise.limits("4")
