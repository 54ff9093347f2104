"""Units: sizes, and what a value of one version's code is in another's. Never by code alone.

Between HJ/T 212-2005 and HJ 212-2017 heavy metals went from mg/L to µg/L or ng/L, pressure from
MPa to kPa, and the noise levels `Ld` and `Ln` changed places (2005 prints Ld = night). A unit is
looked up by version, system type and code (`codes.unit`); what cannot be converted gives None.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from jingwei.standards import codes
from jingwei.standards.codes import symbol

# Unit symbol -> dimension and size; units of one dimension can be converted into each other.
_SIZES: Final[dict[str, tuple[str, Decimal]]] = {
    unit: (dimension, Decimal(size))
    for dimension, units in {
        "mass per gas volume": {"kg/m³": "1e6", "g/m³": "1e3", "mg/m³": "1", "µg/m³": "1e-3", "ng/m³": "1e-6"},
        "mass per water volume": {"g/L": "1e3", "mg/L": "1", "µg/L": "1e-3", "ng/L": "1e-6"},
        "pressure": {"MPa": "1e6", "kPa": "1e3", "hPa": "1e2", "Pa": "1"},
        "mass": {"t": "1e9", "kg": "1e6", "g": "1e3", "mg": "1", "µg": "1e-3"},
        "mass flow": {"t/a": "1e9", "kg/a": "1e6", "g/a": "1e3"},
        "voltage": {"V": "1", "mV": "1e-3"},
        "length": {"km": "1e3", "m": "1", "mm": "1e-3"},
    }.items()
    for unit, size in units.items()
}  # fmt: skip
# Exact ratios that are no decimal fractions: volume flow in m³ per 3600 s, litres, time.
_RATIOS: Final[dict[str, tuple[str, int, int]]] = {
    "m³/s": ("flow", 3600, 1),
    "m³/h": ("flow", 1, 1),
    "L/s": ("flow", 18, 5),
    "s": ("time", 1, 1),
    "min": ("time", 60, 1),
    "h": ("time", 3600, 1),
    "d": ("time", 86400, 1),
    "g/s": ("mass rate", 18, 5),
    "kg/h": ("mass rate", 1, 1),
    "mg/s": ("mass rate", 9, 2500),
}


def scale(given: str, wanted: str) -> float | None:
    """By what to multiply a value in `given` to have it in `wanted`; None where nothing does.

    Units as symbols or in any spelling that `codes.symbol` knows.

    >>> scale("微克/升", "mg/L"), scale("L/s", "m³/h"), scale("mg/L", "mg/m³")
    (0.001, 3.6, None)
    """
    a, b = symbol(given), symbol(wanted)
    if a == b:
        return 1.0
    if a in _SIZES and b in _SIZES and _SIZES[a][0] == _SIZES[b][0]:
        return float(_SIZES[a][1] / _SIZES[b][1])
    if a in _RATIOS and b in _RATIOS and _RATIOS[a][0] == _RATIOS[b][0]:
        return (_RATIOS[a][1] * _RATIOS[b][2]) / (_RATIOS[a][2] * _RATIOS[b][1])
    return None


@dataclass(frozen=True, slots=True)
class Translation:
    """What a factor of one version is in another: `value_there = value_here * scale`."""

    code: str
    scale: float
    unit: str


# The three levels by meaning: 2005 prints Ld "night" and Ln "day".
_SWAPPED: Final = {"Ld": "Ln", "Ln": "Ld"}


def translate(code: str, version: str, to: str, st: str = "") -> Translation | None:
    """The code, scale and unit in version `to` of a factor `code` of `version`.

    None where `to` has no such factor, or the printed units cannot be converted (velocity `S02`,
    printed in m³/h in 2005). Raises ValueError for an unknown version.

    >>> translate("020", "2005", "2017")  # total mercury, printed in mg/L in 2005
    Translation(code='w20111', scale=1000.0, unit='µg/L')
    >>> translate("Ld", "2005", "2017").code
    'Ln'
    """
    here, there = codes.factor(code, version), codes.factors(to)
    if here is None:
        return None
    if version == to:
        return Translation(code, 1.0, codes.unit(code, version, st))
    if version == "2005":
        other = _SWAPPED.get(code, here.code_2017)
    elif to == "2005":
        meant = _SWAPPED.get(code, code)
        found = [f.code for f in there.values() if f.code_2017 == code]
        other = meant if code in _SWAPPED else (found[0] if len(found) == 1 else "")
    else:
        other = code
    if other not in there:
        return None
    unit = codes.unit(other, to, st)
    factor = scale(codes.unit(code, version, st), unit)
    return None if factor is None else Translation(other, factor, unit)
