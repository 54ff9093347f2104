"""The formulas of HJ 212-2017 appendix D, over arrays, with its printed defects mended.

Every argument is a float or an array; all arrays of one call have one shape. A missing number is
NaN and stays NaN; where a formula has no value (division by zero, oxygen of air) the result is
NaN, never an infinity. The numbers in brackets are those of the standard.

Defects of the print, mended here (read on the page images, see `data/rules.csv`, F-defect5 and
F-defect34): formulas (5)-(7) give L/s from m³ without the factor 1000; formula (34) multiplies a
sum of kg by 1e-6 once more; formulas (19) and (31) take Xsw, given in %, as a fraction.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

AIR_O2: Final = 21.0  # % oxygen of ambient air in (26)-(28)
STANDARD_PRESSURE: Final = 101325.0  # Pa
STANDARD_TEMPERATURE: Final = 273.0  # K, as the formulas print it
MOLAR_VOLUME: Final = 22.4  # L/mol at standard state
MOLAR_MASS: Final = {"so2": 64.0, "no": 30.0, "no2": 46.0, "co": 28.0, "hcl": 36.5, "hf": 20.0}
"""g/mol, the rounded masses that the regulatory formulas use (NO2/NO = 46/30)."""


def _f(x: ArrayLike) -> Floats:
    return np.asarray(x, dtype=np.float64)


def _over(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """A quotient, NaN where the denominator is not positive."""
    below = _f(denominator)
    safe = np.where(below > 0, below, np.nan)
    result: Floats = _f(numerator) / safe
    return result


# Wastewater -------------------------------------------------------------------------------------


def water_volume(flow: ArrayLike, seconds: ArrayLike) -> Floats:
    """(1) D = Q T 1e-3: m³ discharged at a flow of L/s in so many seconds.

    >>> float(water_volume(10.0, 600.0))
    6.0
    """
    return _f(flow) * _f(seconds) * 1e-3


def water_flow(volume: ArrayLike, seconds: ArrayLike) -> Floats:
    """(5)-(7) mended, Q = 1000 D / T: mean flow in L/s of m³ in 600, 3600 or 86400 seconds.

    >>> float(water_flow(6.0, 600.0))
    10.0
    """
    return _over(_f(volume) * 1000.0, seconds)


def water_mass(volume: ArrayLike, concentration: ArrayLike) -> Floats:
    """(8) G = D C 1e-3: kg in so many m³ at mg/L."""
    return _f(volume) * _f(concentration) * 1e-3


def water_concentration(mass: ArrayLike, volume: ArrayLike) -> Floats:
    """(12) C = 1e3 G / D: flow-weighted mean concentration, mg/L, of kg in m³; NaN without flow."""
    return _over(_f(mass) * 1e3, volume)


# Flue gas ---------------------------------------------------------------------------------------


def to_standard_state(
    value: ArrayLike, temperature: ArrayLike, barometer: ArrayLike, static: ArrayLike
) -> Floats:
    """(18) C 101325 / (Ba + Ps) (273 + t) / 273: a concentration at the stack's state, at 0 °C and
    101325 Pa. `temperature` °C, `barometer` (Ba) and `static` (Ps, gauge) Pa.
    """
    kelvin = STANDARD_TEMPERATURE + _f(temperature)
    result: Floats = (
        _over(_f(value) * STANDARD_PRESSURE, _f(barometer) + _f(static))
        * np.where(kelvin > 0, kelvin, np.nan)
        / STANDARD_TEMPERATURE
    )
    return result


def to_dry(wet: ArrayLike, moisture: ArrayLike) -> Floats:
    """(19) mended: C dry = C wet / (1 - Xsw / 100), moisture Xsw in % by volume, 0 to below 100."""
    xsw = _f(moisture)
    return _over(wet, np.where(xsw >= 0, 1.0 - xsw / 100.0, np.nan))


def from_ppm(ppm: ArrayLike, molar_mass: float) -> Floats:
    """(20) C = ppm M / 22.4: mg/m³ at standard state from µmol/mol.

    >>> float(from_ppm(22.4, MOLAR_MASS["so2"]))
    64.0
    """
    return _f(ppm) * (molar_mass / MOLAR_VOLUME)


def nox_as_no2(no: ArrayLike, no2: ArrayLike) -> Floats:
    """(21) NOx = NO M(NO2)/M(NO) + NO2, all mg/m³: nitrogen oxides are judged as NO2.

    >>> float(nox_as_no2(30.0, 4.0))
    50.0
    """
    return _f(no) * (MOLAR_MASS["no2"] / MOLAR_MASS["no"]) + _f(no2)


def nox_from_ppm(no: ArrayLike, no2: ArrayLike) -> Floats:
    """(22) NOx = (NO + NO2) M(NO2) / 22.4: mg/m³ as NO2 from µmol/mol."""
    return from_ppm(_f(no) + _f(no2), MOLAR_MASS["no2"])


def excess_air(o2: ArrayLike) -> Floats:
    """(26) a = 21 / (21 - O2); NaN where O2 (% dry) is negative or not below 21."""
    oxygen = _f(o2)
    return _over(AIR_O2, np.where(oxygen >= 0, AIR_O2 - oxygen, np.nan))


def to_reference_o2(concentration: ArrayLike, o2: ArrayLike, reference_o2: float) -> Floats:
    """(27), (28) C (21 - O2s) / (21 - O2). Raises ValueError for a reference outside 0…21 %."""
    if not 0 <= reference_o2 < AIR_O2:
        raise ValueError(f"reference oxygen {reference_o2!r} %: wanted 0 or more and below 21")
    oxygen = _f(o2)
    room = np.where((oxygen >= 0) & (oxygen < AIR_O2), AIR_O2 - oxygen, np.nan)
    result: Floats = _f(concentration) * (AIR_O2 - reference_o2) / room
    return result


def stack_flow(area: ArrayLike, velocity: ArrayLike) -> Floats:
    """(30) Q = 3600 F V: m³/h at the stack's state, of m² and m/s."""
    return 3600.0 * _f(area) * _f(velocity)


def stack_flow_standard(
    flow: ArrayLike,
    temperature: ArrayLike,
    barometer: ArrayLike,
    static: ArrayLike,
    moisture: ArrayLike,
) -> Floats:
    """(31) mended: Q 273 / (273 + t) (Ba + Ps) / 101325 (1 - Xsw / 100), dry m³/h at standard state."""
    kelvin = STANDARD_TEMPERATURE + _f(temperature)
    xsw = _f(moisture)
    dry = np.where((xsw >= 0) & (xsw < 100), 1.0 - xsw / 100.0, np.nan)
    pressure = _f(barometer) + _f(static)
    return (
        _over(_f(flow) * STANDARD_TEMPERATURE, kelvin)
        * np.where(pressure > 0, pressure, np.nan)
        / STANDARD_PRESSURE
        * dry
    )


def emission_rate(concentration: ArrayLike, flow: ArrayLike) -> Floats:
    """(33) G = C Q 1e-6: kg/h of mg/m³ (measured, not converted to reference oxygen) and m³/h,
    both dry at standard state.
    """
    return _f(concentration) * _f(flow) * 1e-6


def emission_of_day(hours: ArrayLike) -> float:
    """(34) mended, Gd = sum of Gh: kg of a day from its hours (kg/h over one hour each), NaN left out.

    The print multiplies by 1e-6 although Gh is in kg/h already: read literally, a day's emission
    would be a million times too small.

    >>> emission_of_day([1.5, 2.5, float("nan")])
    4.0
    """
    return float(np.nansum(_f(hours)))
