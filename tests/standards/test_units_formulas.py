"""Units by version and code; the formulas of HJ 212-2017 appendix D with the printed defects mended."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.standards import codes, dmr, formulas, units

UNITS = [*units._SIZES, *units._RATIOS]
numbers = st.floats(-1e9, 1e9, allow_nan=False)
positive = st.floats(1e-6, 1e6)


@pytest.mark.parametrize("module", [units, formulas, dmr])
def test_examples_of_the_docstrings(module):
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


@given(numbers, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_a_unit_and_back(value, a, b):
    there, back = units.scale(a, b), units.scale(b, a)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert value * there * back == pytest.approx(value, rel=1e-15)


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_a_detour_makes_no_difference(a, b, c):
    ab, bc, ac = units.scale(a, b), units.scale(b, c), units.scale(a, c)
    if ab is not None and bc is not None:
        assert ac == pytest.approx(ab * bc, rel=1e-15)


@pytest.mark.parametrize(
    ("given", "wanted", "factor"),
    [
        ("mg/L", "µg/L", 1000.0),
        ("ng/L", "mg/L", 1e-6),
        ("MPa", "kPa", 1000.0),
        ("L/s", "m³/h", 3.6),
        ("g/s", "kg/h", 3.6),
        ("mg/m3", "毫克/立方米", 1.0),
        ("mg/m³", "mg/L", None),  # gas is not water
        ("m³/h", "m/s", None),
        ("%", "mg/m³", None),
    ],
)
def test_scales(given, wanted, factor):
    assert units.scale(given, wanted) == factor


@pytest.mark.parametrize(
    ("code", "version", "to", "wanted"),
    [
        ("021", "2005", "2017", None),  # alkyl mercury: see the table
        ("022", "2005", "2017", ("w20115", 1000.0, "µg/L")),  # cadmium mg/L -> µg/L
        ("w20115", "2017", "2005", ("022", 0.001, "mg/L")),
        ("Ld", "2005", "2017", ("Ln", 1.0, "dB")),  # 2005 prints Ld = night
        ("Ln", "2005", "2017", ("Ld", 1.0, "dB")),
        ("Ld", "2017", "2005", ("Ln", 1.0, "dB")),
        ("S02", "2005", "2017", None),  # velocity, printed in m³/h
        ("a21026", "2017", "2025", ("a21026", 1.0, "mg/m³")),
        ("w20115", "2017", "2017", ("w20115", 1.0, "µg/L")),
        ("nothing", "2017", "2005", None),
    ],
)
def test_by_version_and_code(code, version, to, wanted):
    if code == "021":
        here, there = codes.factor("021", "2005"), codes.factor("w20113")
        wanted = ("w20113", units.scale(here.unit, there.unit), there.unit)
    found = units.translate(code, version, to)
    assert (found and (found.code, found.scale, found.unit)) == wanted


def test_every_translation_goes_there_and_back():
    seen = 0
    for code in codes.factors("2005"):
        there = units.translate(code, "2005", "2017")
        back = there and units.translate(there.code, "2017", "2005")
        if there and back:
            seen += 1
            assert back.code == code
            assert there.scale * back.scale == pytest.approx(1.0, rel=1e-15)
    assert seen > 75


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match="version"):
        units.translate("w01018", "2017", "2016")


# Formulas ---------------------------------------------------------------------------------------


def test_F_defect5():
    # 6 m³ in ten minutes are 10 L/s; the print (D / 600) would give 0.01
    assert float(formulas.water_flow(6.0, 600)) == 10.0
    assert float(formulas.water_flow(36.0, 3600)) == 10.0
    assert float(formulas.water_flow(864.0, 86400)) == 10.0


def test_F_defect34():
    # 24 hours of 2 kg/h are 48 kg, not 0.000048
    assert formulas.emission_of_day([2.0] * 24) == 48.0


@given(positive, st.sampled_from([600.0, 3600.0, 86400.0]))
def test_volume_and_flow_are_inverse(flow, seconds):
    volume = formulas.water_volume(flow, seconds)
    assert float(formulas.water_flow(volume, seconds)) == pytest.approx(flow, rel=1e-14)


@given(positive, positive)
def test_mass_and_concentration_are_inverse(volume, concentration):
    mass = formulas.water_mass(volume, concentration)
    assert float(formulas.water_concentration(mass, volume)) == pytest.approx(
        concentration, rel=1e-14
    )


def test_by_hand():
    # 100 mg/m³ wet at 136.5 °C and half an atmosphere: x 1.5 x 2
    assert float(formulas.to_standard_state(100, 136.5, 101325 / 2, 0)) == pytest.approx(300)
    assert float(formulas.to_dry(90, 10)) == pytest.approx(100)  # the print's 1 - 10 would be -10
    assert float(formulas.from_ppm(100, formulas.MOLAR_MASS["so2"])) == pytest.approx(285.714, 1e-5)
    assert float(formulas.nox_from_ppm(70, 42)) == pytest.approx(230.0)
    assert float(formulas.excess_air(7.0)) == 1.5
    assert float(formulas.to_reference_o2(150, 12, 6)) == 250.0
    assert float(formulas.stack_flow(2.0, 10.0)) == 72000.0
    assert float(formulas.stack_flow_standard(72000, 136.5, 101325, 0, 10)) == pytest.approx(43200)
    assert float(formulas.emission_rate(100, 43200)) == pytest.approx(4.32)


@given(positive, positive)
def test_both_ways_to_nitrogen_oxides_agree_within_the_rounded_masses(no, no2):
    one = formulas.nox_from_ppm(no, no2)
    mass = formulas.MOLAR_MASS
    other = formulas.nox_as_no2(
        formulas.from_ppm(no, mass["no"]), formulas.from_ppm(no2, mass["no2"])
    )
    assert float(one) == pytest.approx(float(other), rel=1e-14)


@given(positive, st.floats(0, 20.9), st.sampled_from([3.0, 6.0, 11.0]))
def test_the_two_forms_of_the_excess_air_formula_agree(c, o2, reference):
    ratio = formulas.excess_air(o2) / formulas.excess_air(reference)
    assert float(formulas.to_reference_o2(c, o2, reference)) == pytest.approx(float(c * ratio))


@pytest.mark.parametrize(
    "nothing",
    [
        lambda: formulas.to_reference_o2(1, 21, 6),
        lambda: formulas.to_reference_o2(1, -1, 6),
        lambda: formulas.excess_air(21),
        lambda: formulas.water_flow(1, 0),
        lambda: formulas.water_concentration(1, 0),
        lambda: formulas.to_dry(1, 100),
        lambda: formulas.to_dry(1, -5),
        lambda: formulas.to_standard_state(1, -273, 101325, 0),
        lambda: formulas.to_standard_state(1, 100, 0, 0),
        lambda: formulas.stack_flow_standard(1, 20, 101325, 0, 101),
        lambda: formulas.stack_flow_standard(1, -300, 101325, 0, 1),
    ],
)
def test_where_a_formula_has_no_value_there_is_nan(nothing):
    with np.errstate(all="raise"):
        assert math.isnan(float(nothing()))


def test_a_greek_mu_is_the_micro_sign() -> None:
    assert units.scale("\N{GREEK SMALL LETTER MU}g/m³", "mg/m³") == 0.001
    assert units.scale("\N{MICRO SIGN}g/L", "\N{GREEK SMALL LETTER MU}g/L") == 1.0
