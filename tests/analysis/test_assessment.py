"""Shares, quantiles, scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.assessment import DEPARTMENT, OFFICER, quantile, score, share


def test_weights_are_points_of_a_hundred():
    assert sum(DEPARTMENT.values()) == sum(OFFICER.values()) == 100


@pytest.mark.parametrize(("part", "whole", "found"), [(1, 4, 0.25), (0, 4, 0), (0, 0, None)])
def test_share(part, whole, found):
    assert share(part, whole) == found


def test_quantile_by_nearest_rank():
    """The example of the nearest-rank method: of 15, 20, 35, 40, 50 the 30th percentile is 20,
    the 40th 20, the 50th 35, the 100th 50."""
    values = [35, 20, 15, 50, 40]
    assert [quantile(values, q) for q in (0.3, 0.4, 0.5, 1.0)] == [20, 20, 35, 50]
    assert quantile([], 0.5) is None
    for q in (0, 1.1):
        with pytest.raises(ValueError):
            quantile(values, q)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_one_of_the_values_and_holds_its_share_below(values, q):
    found = quantile(values, q)
    assert found in values
    assert sum(v <= found for v in values) >= q * len(values) - 1e-6


def test_score():
    assert score({"handled": 1, "on_time": 0.5, "not_returned": 1}, DEPARTMENT) == 80
    # Nothing was reported: handled and on time stand for the whole.
    assert score({"handled": 1, "on_time": 0.5, "not_returned": None}, DEPARTMENT) == 75
    assert score({"handled": None}, DEPARTMENT) is None
    with pytest.raises(KeyError):
        score({"beauty": 1.0}, DEPARTMENT)


@given(st.dictionaries(st.sampled_from(list(OFFICER)), st.none() | st.floats(0, 1)))
def test_a_score_is_between_0_and_100(parts):
    found = score(parts, OFFICER)
    assert found is None or 0 <= found <= 100
