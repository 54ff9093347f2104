"""What hours weigh: flue gas by its rate, wastewater by concentration and flow each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.masses import Hours, Masses, masses


def water(*hours: tuple[float, bool, float, bool]) -> Masses:
    """Masses of hours of (mg/L, valid, m³/h, valid)."""
    conc, usable, flow, flowed = (np.array(x) for x in zip(*hours, strict=True))
    no = np.zeros(len(hours), dtype=bool)
    given = Hours(conc, flow, no, usable, flowed, no, no)
    return masses(given, "water", np.zeros(len(hours), int))


def test_s_356_fills_only_the_quantity_that_is_not_valid():
    """By hand: 2 mg/L at 10 m³/h, 4 at 20, 6 at 30; then three hours without a concentration whose
    flow was measured, then one without a flow whose concentration was."""
    made = water(
        (2, True, 10, True), (4, True, 20, True), (6, True, 30, True),
        (99, False, 40, True), (99, False, 0, True), (99, False, 50, True),
        (8, True, 77, False), (9, False, 10, True),
    )  # fmt: skip
    # Nothing flowed in hour 4, so the gap of the concentration is two hours long: (4 + 6) / 2 = 5
    # mg/L at the measured 40 and 50 m³/h. The flow of hour 6 is that of the hour before, at its own
    # 8 mg/L; the concentration of hour 7 that of the hour before, at its own 10 m³/h.
    assert made.kg.tolist() == pytest.approx([0.02, 0.08, 0.18, 0.2, 0.0, 0.25, 0.4, 0.08])
    assert made.state.tolist() == [0, 0, 0, 2, 0, 2, 2, 2]
    assert made.rule.tolist() == [0, 0, 0, 5, 0, 5, 5, 5]
    none = water((9, False, 10, True), (2, True, 10, True), (9, False, 10, False))
    assert np.isnan(none.kg[0])  # nothing before it
    assert none.rule.tolist() == [-2, 0, 5]


def test_a_night_without_flow_is_not_filled_with_the_day():
    made = water((30, True, 100, True), (30, True, 100, True), (1, False, 0, True))
    assert made.kg.tolist() == pytest.approx([3.0, 3.0, 0.0])
    assert made.state.tolist() == [0, 0, 0]


def test_flue_gas_fills_the_rate_where_either_is_not_valid():
    flow, conc = np.array([1e4, 1e4, 3e4, 1e4]), np.array([50.0, 80.0, 10.0, 20.0])
    good = np.array([True, True, False, True])
    given = Hours(conc, flow, np.zeros(4, bool), good, np.ones(4, bool), *np.zeros((2, 4), bool))
    made = masses(given, "air", np.zeros(4, int))
    # 3 of 4 valid: 75 %, the largest rate of the 2160 valid hours before: 80 · 1e4 · 1e-6
    assert made.kg.tolist() == pytest.approx([0.5, 0.8, 0.8, 0.2])


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(-5, 500),
            st.none() | st.just(0.0) | st.floats(-5, 1e5),
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(["air", "water"]),
)
def test_masses_are_never_negative_and_never_invented(hours, medium):
    """Whatever is sent: no hour weighs less than nothing, and none without a rule or a measurement."""
    conc = np.array([np.nan if c is None else c for c, *_x in hours], float)
    flow = np.array([np.nan if q is None else q for _c, q, *_x in hours], float)
    usable, flowed, out, checked = (np.array([x[i] for x in hours]) for i in (2, 3, 4, 5))
    still = ~usable & ~(flow > 0)
    given_ = Hours(conc, flow, still, usable, flowed, out, checked)
    made = masses(given_, medium, np.zeros(len(hours), int))
    assert not (made.kg < 0).any()
    filled = ((made.state == 1) | (made.state == 2)) & np.isfinite(made.kg)
    assert (made.rule[filled] > 0).all()
    measured = made.state == 0
    assert np.isfinite(made.kg[measured]).all()
    if filled.any():
        if medium == "air":
            assert made.kg[filled].max() <= made.kg[measured].max()
            assert measured.any()
        else:  # what stands in was measured of each quantity, though not in one hour
            assert (flowed & (flow >= 0)).any()
