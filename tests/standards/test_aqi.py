"""HJ 633-2012 and HJ 633-2026."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import aqi

CLEAN = {"pm25": 10.0, "pm10": 20.0, "so2": 5.0, "no2": 20.0, "co": 0.4, "o3": 60.0}
CLEAN_DAY = {"pm25": 10.0, "pm10": 20.0, "so2": 5.0, "no2": 20.0, "co": 0.4, "o3_8h": 60.0}
KINDS = sorted(aqi._table())


@pytest.mark.parametrize(
    ("item", "value", "edition", "period", "wanted"),
    [
        # Golden checks of HJ 633-2026 (secondary).
        ("pm25", 75, "2026", "day", 114),
        ("pm10", 150, "2026", "day", 112),
        ("so2", 475, "2026", "hour", 97),
        ("so2", 801, "2026", "hour", 200),
        ("o3_8h", 1200, "2026", "day", 300),
        ("pm25", 60, "2026", "hour", 100),
        # HJ 633-2012, table 1: 100 at 75 and 150.
        ("pm25", 75, "2012", "day", 100),
        ("pm10", 150, "2012", "day", 100),
        ("pm25", 38, "2012", "hour", 54),  # 50 + 50 x 3/40 = 53.75, rounded up
        ("so2", 801, "2012", "hour", None),
        ("o3_8h", 801, "2012", "day", None),
        ("co", 2.0, "2012", "day", 50),
        ("co", 2.04, "2012", "day", 50),  # rounds to 2.0 first
        ("co", 2.06, "2012", "day", 53),  # rounds to 2.1: 52.5, up
        ("o3", 1200, "2012", "hour", 500),
        ("o3", 9999, "2012", "hour", 500),
        ("pm25", 0, "2026", "hour", 0),
    ],
)
def test_individual_index(item: str, value: float, edition: str, period: str, wanted: int | None):
    assert aqi.iaqi(item, value, edition, period) == wanted
    array = aqi.iaqi_array(item, [value], edition, period)
    assert array.tolist() == [-1 if wanted is None else wanted]


@pytest.mark.parametrize(("edition", "period", "item"), KINDS)
def test_breakpoints_give_their_index(edition: str, period: str, item: str):
    points = aqi.breakpoints(item, edition, period)
    assert [aqi.iaqi(item, c, edition, period) for c in points] == list(aqi.INDEX[: len(points)])
    assert list(points) == sorted(set(points))


def test_the_editions_differ_in_particles_only():
    for period in ("hour", "day"):
        for item in aqi.HOURLY if period == "hour" else aqi.DAILY:
            old, new = (aqi.breakpoints(item, e, period) for e in ("2012", "2026"))
            assert (old != new) == (item in ("pm25", "pm10"))
            if old != new:
                assert [a != b for a, b in zip(old, new, strict=True)].index(True) == 2
                assert (old[3:], old[:2]) == (new[3:], new[:2])


def test_concentrations_are_rounded_half_to_even():
    """GB/T 8170-2008, 3.2."""
    assert str(aqi.rounded("pm25", 2.5)) == "2"
    assert str(aqi.rounded("pm25", 3.5)) == "4"
    assert str(aqi.rounded("co", 0.25)) == "0.2"
    assert str(aqi.rounded("co", 0.35)) == "0.4"
    assert aqi.iaqi("pm25", 35.5, "2012") == aqi.iaqi("pm25", 36, "2012") == 52
    assert aqi.iaqi("pm25", 34.5, "2012") == aqi.iaqi("pm25", 34, "2012") == 49


def test_the_date_decides():
    assert aqi.edition(date(2026, 2, 28)) == "2012"
    assert aqi.edition(date(2026, 3, 1)) == "2026"
    assert aqi.edition(datetime(2026, 3, 1, 0, 0)) == "2026"


def test_an_hour():
    found = aqi.hourly({**CLEAN, "pm25": 75}, "2026")
    assert (found.value, found.level, found.primary) == (114, 3, ("pm25",))
    assert found.label.zh == "轻度污染"
    assert found.iaqi["o3"] == 19
    assert aqi.hourly({**CLEAN, "pm25": 75}, "2012").value == 100


def test_no_primary_pollutant_up_to_50():
    """HJ 633-2012, 4.4: primary pollutants exist above 50 only."""
    assert aqi.hourly({**CLEAN, "pm25": 35}, "2012").primary == ()
    assert aqi.hourly({**CLEAN, "pm25": 36}, "2012").primary == ("pm25",)


def test_ties_are_all_named():
    found = aqi.hourly({**CLEAN, "pm25": 75, "pm10": 150}, "2012")
    assert (found.value, found.primary) == (100, ("pm10", "pm25"))


def test_missing_items():
    """HJ 633-2026: nothing is published up to 100, the index above; 2012: nothing."""
    lacking = {**CLEAN, "no2": None, "co": float("nan"), "so2": -1.0}
    found = aqi.hourly(lacking, "2026")
    assert (found.value, found.level, found.primary) == (None, None, ())
    assert found.missing == ("so2", "no2", "co")
    assert found.label is None
    high = aqi.hourly({**lacking, "pm25": 75}, "2026")
    assert (high.value, high.missing) == (114, ("so2", "no2", "co"))
    assert aqi.hourly({**lacking, "pm25": 150}, "2012").value is None
    assert aqi.hourly({}, "2026").value is None


def test_so2_above_800_is_handed_over_in_2012():
    """HJ 633-2012, table 1, note 2."""
    assert aqi.hourly({**CLEAN, "so2": 900}, "2026").value == 200
    assert aqi.hourly({**CLEAN, "so2": 900}, "2012").missing == ("so2",)
    assert aqi.hourly({**CLEAN, "so2": 900, "so2_24h": 475}, "2012").value == 150


def test_ozone_above_800_is_handed_over_in_2012():
    """HJ 633-2012, table 1, note 3."""
    assert aqi.daily({**CLEAN_DAY, "o3_8h": 900}, "2026").value == 300
    assert aqi.daily({**CLEAN_DAY, "o3_8h": 900}, "2012").value is None
    found = aqi.daily({**CLEAN_DAY, "o3_8h": 900, "o3": 1000}, "2012")
    assert (found.value, found.primary) == (400, ("o3_8h",))


def test_refusals():
    with pytest.raises(ValueError, match="o3_8h"):
        aqi.iaqi("o3_8h", 1, "2026", "hour")
    with pytest.raises(ValueError, match="from 0"):
        aqi.iaqi("pm25", -1)
    with pytest.raises(ValueError, match="2019"):
        aqi.hourly(CLEAN, "2019")
    with pytest.raises(ValueError, match="negative"):
        aqi.level(-1)


def test_levels():
    """HJ 633-2012, table 2."""
    assert [aqi.level(v) for v in (0, 50, 51, 100, 101, 150, 151, 200, 201, 300, 301, 500)] == [
        1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6,
    ]  # fmt: skip


kinds = st.sampled_from(KINDS)
concentrations = st.one_of(
    st.floats(0, 4000), st.integers(0, 40000).map(lambda n: n / 20), st.just(float("nan"))
)


@given(kind=kinds, low=st.floats(0, 4000), more=st.floats(0, 1000))
def test_the_index_never_falls_with_the_concentration(kind, low: float, more: float):
    edition, period, item = kind
    a, b = (aqi.iaqi(item, c, edition, period) for c in (low, low + more))
    assert b is None or (a is not None and a <= b)


@given(kind=kinds, value=concentrations)
def test_scalar_and_array_agree(kind, value: float):
    edition, period, item = kind
    array = aqi.iaqi_array(item, np.array([value]), edition, period)
    one = None if value != value else aqi.iaqi(item, value, edition, period)
    assert array.tolist() == [-1 if one is None else one]


rows = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys((*aqi.HOURLY, "o3_8h", "so2_24h"), concentrations),
    ),
    min_size=1,
    max_size=20,
)


@given(
    rows=rows, edition=st.sampled_from(["2012", "2026"]), period=st.sampled_from(["hour", "day"])
)
def test_index_of_arrays_is_the_index_of_each(rows, edition: str, period: str):
    arrays = {k: np.array([r[k] for r in rows]) for k in rows[0]}
    found = aqi.index_array(arrays, edition, period)
    for i, row in enumerate(rows):
        one = (aqi.hourly if period == "hour" else aqi.daily)(row, edition)
        assert found.value[i] == (-1 if one.value is None else one.value)
        assert found.level[i] == (one.level or 0)
        assert tuple(k for k, m in found.primary.items() if m[i]) == one.primary
        assert tuple(k for k, m in found.missing.items() if m[i]) == one.missing
