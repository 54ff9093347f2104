"""Compliance: is a mean over the limit of its period, and how does one get from one to the other?

The rules, each with its source:

* *Validity by mark.* A value that carries a mark of an abnormal state (fault, maintenance,
  calibration, stopped, over range, manual, communication fault) is no basis for an exceedance:
  Announcement 2022-21 of the Ministry of Ecology and Environment, art. 6; marks: HJ 212-2017
  (data marks), HJ/T 212-2005. "N" is normal. Where no mark was sent, none was set: the value
  counts as normal, and the steps say so.
* *Reference oxygen.* C = C' (21 - O2s) / (21 - O2): HJ 212-2017 appendix D, formulas (26)-(28);
  HJ 75-2017. O2 missing, marked, negative or not below 21 %: no verdict, with the reason. A limit
  without reference oxygen: no conversion.
* *Comparison.* By the full value, without rounding to the digits of the limit (GB/T 8170-2008,
  4.3: the full-value method where the standard does not say otherwise). A value exactly at the
  limit does not exceed it. Values are decimal texts kept as binary doubles, so the computed value
  is first brought to `DIGITS` significant decimal digits: that takes away the binary noise (of
  some 1e-16) and nothing that any instrument sends.
* *Multiple.* (value - limit) / limit; for a lower bound the shortfall (limit - value) / limit.

`judge_hours` over arrays is the rule; `judge_hour` is one element of it plus the steps that let
anyone recompute it by hand; `bulk` is the same rule compiled, for whole days of all points, and a
test holds the two equal to the last bit. Day means are judged by the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.standards import formulas, units
from jingwei.standards.formulas import AIR_O2

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

DIGITS = 12  # significant decimal digits of a judged value
LARGEST = 1e15  # a greater number is no measurement (HJ 212 formats have at most 14 digits)
NORMAL = frozenset({"", "N"})  # marks under which a value is judged; "" is no mark sent

SOURCE_MARKS = "HJ 212-2017; MEE Announcement 2022-21 art. 6"
SOURCE_OXYGEN = "HJ 212-2017 App. D (26)-(28); HJ 75-2017"
SOURCE_COMPARE = "GB/T 8170-2008 4.3"
SOURCES = (SOURCE_MARKS, SOURCE_OXYGEN, SOURCE_COMPARE)


class Verdict(IntEnum):
    """NONE: not judged, see the reason."""

    NONE = 0
    WITHIN = 1
    EXCEEDED = 2


class Reason(IntEnum):
    """Why there is no verdict; the first that applies, in this order (RANGE after VALUE_NEGATIVE)."""

    JUDGED = 0
    UNIT = 1  # the limit's unit and the value's cannot be converted into each other
    VALUE_MISSING = 2  # none, not a number, beyond `LARGEST`
    MARK = 3
    VALUE_NEGATIVE = 4
    OXYGEN_MISSING = 5
    OXYGEN_MARK = 6
    OXYGEN_NEGATIVE = 7
    OXYGEN_HIGH = 8  # not below 21 %: the formula has no value
    RANGE = 9  # above the instrument's range (A18-3.2, secondary)
    NO_LIMIT = 10  # nothing to compare with (`bulk` only: there a point may lack a limit)
    FLAT = 11  # from here on: found by `validity`, handed over as `known`
    FEW = 12
    CLOCK = 13
    MARK_UNKNOWN = 14
    NO_FLOW = 15
    OXYGEN_INVALID = 16  # the oxygen value is not valid, for another reason than those above
    FLOW_INVALID = 17  # no valid flow: there is no rate
    EXEMPT = 18  # valid, but no basis for an exceedance: start-up, shut-down, exemption account
    PART = 19  # nitrogen oxides of which only NO or only NO2 was sent
    STATE = 20  # not at standard state, and what converts it is missing
    OUT_OF_CONTROL = 21  # a check of the instrument failed

    @property
    def key(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit: `value` in `unit`, at `reference_o2` (%) where given; `lower` makes it a floor.

    Raises `ValueError` for a value that is negative or no number, or a reference outside 0…21 %.
    """

    value: float
    unit: str
    reference_o2: float | None = None
    lower: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value >= 0):
            raise ValueError(f"limit {self.value!r}: wanted a number, 0 or more")
        o2 = self.reference_o2
        if o2 is not None and not 0 <= o2 < AIR_O2:
            raise ValueError(f"reference oxygen {o2!r} %: wanted 0 or more and below {AIR_O2:g}")


@dataclass(frozen=True, slots=True)
class Judgements:
    """Many verdicts, all arrays of the same shape.

    `value`: what was compared, in the limit's unit (NaN where there is no verdict); `multiple`:
    times over the limit, positive exactly where exceeded (NaN without verdict, and for a limit of
    zero); `verdict`: codes of `Verdict`; `reason`: codes of `Reason`.
    """

    value: Floats
    multiple: Floats
    verdict: Codes
    reason: Codes

    @property
    def exceeded(self) -> Bools:
        over: Bools = self.verdict == Verdict.EXCEEDED
        return over


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a computation: what (`key`), by which formula, with which numbers, by which text."""

    key: str
    formula: str
    numbers: Mapping[str, float | str | None]
    source: str

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "formula": self.formula,
            "numbers": dict(self.numbers),
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """One verdict with its way. `value` and `multiple` are None where there is none."""

    value: float | None
    limit: Limit
    multiple: float | None
    verdict: Verdict
    reason: Reason
    steps: tuple[Step, ...]


# Kept under these names for the rooms that judge and show single values.
unit_scale = units.scale
convert_o2 = formulas.to_reference_o2


def judge_hours(
    value: npt.ArrayLike,
    mark: Sequence[str | None] | npt.NDArray[Any],
    o2: npt.ArrayLike | None = None,
    o2_mark: Sequence[str | None] | npt.NDArray[Any] | None = None,
    *,
    limit: Limit,
    unit: str,
    normal: frozenset[str] = NORMAL,
    high: float | None = None,
    known: npt.ArrayLike | None = None,
    o2_known: npt.ArrayLike | None = None,
) -> Judgements:
    """Judge many means against one limit; arrays of shape (n,), NaN for a missing number.

    `value` in `unit`; `mark` the data marks as sent (None or "": none sent); `o2` (%) and
    `o2_mark` of the same periods, read only where the limit has a reference oxygen (None: not
    measured). `normal`: the marks under which a value is judged; `high`: end of the instrument's
    range, in `unit` (None: not known). `known`, `o2_known`: codes of `Reason` that are known
    already against value and oxygen (`validity.reasons`; None or 0: nothing). Sources: the module's
    head. For many points with a limit each, see `bulk`.
    """
    v = np.atleast_1d(np.asarray(value, dtype=np.float64))
    scale = unit_scale(unit, limit.unit)
    reason = np.zeros(v.shape, dtype=np.int8)

    def refuse(where: Bools, why: Reason) -> None:
        reason[where & (reason == Reason.JUDGED)] = why

    sane = np.abs(v) <= LARGEST
    judged = np.where(sane, v, np.nan) * (math.nan if scale is None else scale)
    if scale is None:
        reason[:] = Reason.UNIT
    if known is not None:  # first: it says why there is no number, too
        before = np.atleast_1d(np.asarray(known, dtype=np.int8))
        reason = np.where(reason == Reason.JUDGED, before, reason)
    refuse(~sane, Reason.VALUE_MISSING)
    refuse(~_is_normal(mark, v.shape, normal), Reason.MARK)
    refuse(v < 0, Reason.VALUE_NEGATIVE)
    if high is not None:
        refuse(v > high, Reason.RANGE)
    if limit.reference_o2 is not None:
        oxygen = (
            np.full(v.shape, np.nan)
            if o2 is None
            else np.atleast_1d(np.asarray(o2, dtype=np.float64))
        )
        refuse(~np.isfinite(oxygen), Reason.OXYGEN_MISSING)
        if o2_mark is not None:
            refuse(~_is_normal(o2_mark, v.shape, normal), Reason.OXYGEN_MARK)
        refuse(oxygen < 0, Reason.OXYGEN_NEGATIVE)
        if o2_known is not None:
            refuse(np.atleast_1d(np.asarray(o2_known)) != 0, Reason.OXYGEN_INVALID)
        refuse(oxygen >= AIR_O2, Reason.OXYGEN_HIGH)
        judged = convert_o2(judged, oxygen, limit.reference_o2)

    good = reason == Reason.JUDGED
    judged = _significant(np.where(good, judged, np.nan))
    bound = limit.value
    with np.errstate(invalid="ignore"):
        over = judged < bound if limit.lower else judged > bound
    verdict = np.where(good, np.where(over, Verdict.EXCEEDED, Verdict.WITHIN), Verdict.NONE).astype(
        np.int8
    )
    if bound > 0:
        multiple = _significant((bound - judged if limit.lower else judged - bound) / bound)
    else:
        multiple = np.full(v.shape, np.nan)
    return Judgements(judged, multiple, verdict, reason)


def judge_hour(
    value: float | None,
    mark: str | None,
    o2: float | None = None,
    o2_mark: str | None = None,
    *,
    limit: Limit,
    unit: str,
    sent: float | None = None,
    normal: frozenset[str] = NORMAL,
    known: int = 0,
    o2_known: int = 0,
) -> Judgement:
    """Judge one mean (see `judge_hours`) and keep every step with its numbers.

    `sent`: the converted value the device itself sent (ZsAvg), kept beside ours in the steps; it
    is never what is judged, since nobody knows which reference oxygen the device used.

    >>> j = judge_hour(90.0, "N", 12.0, "N", limit=Limit(100.0, "mg/m3", 6.0), unit="mg/m3")
    >>> j.verdict.name, j.value, j.multiple
    ('EXCEEDED', 150.0, 0.5)
    """
    many = judge_hours(
        [math.nan if value is None else value],
        [mark],
        None if o2 is None else [o2],
        None if o2 is None else [o2_mark],
        limit=limit,
        unit=unit,
        normal=normal,
        known=[known],
        o2_known=[o2_known],
    )
    reason, verdict = Reason(int(many.reason[0])), Verdict(int(many.verdict[0]))
    judged = float(many.value[0]) if verdict else None
    multiple = _number(float(many.multiple[0]))
    steps = [
        Step("raw", "", {"value": _number(value), "unit": unit}, "HJ 212-2017"),
        Step(
            "mark",
            "",
            {"mark": mark or "", "valid": "yes" if (mark or "") in normal else "no"},
            SOURCE_MARKS,
        ),
    ]
    scale = unit_scale(unit, limit.unit)
    scaled = _scaled(value, scale)
    if scale not in (None, 1.0):
        steps.append(
            Step(
                "unit",
                "C · k",
                {"c": _number(value), "k": scale, "result": scaled, "unit": limit.unit},
                "HJ 212",
            )
        )
    if limit.reference_o2 is not None:
        numbers: dict[str, float | str | None] = {
            "c": scaled,
            "o2": _number(o2),
            "o2_mark": o2_mark or "",
            "o2s": limit.reference_o2,
            "result": judged,
        }
        if sent is not None and math.isfinite(sent):
            numbers["sent"] = sent
        steps.append(Step("converted", "C · (21 − O2s) / (21 − O2)", numbers, SOURCE_OXYGEN))
    steps.append(
        Step(
            "limit",
            "",
            {
                "limit": limit.value,
                "unit": limit.unit,
                "o2s": limit.reference_o2,
                "bound": "lower" if limit.lower else "upper",
            },
            "",
        )
    )
    formula = "C < L; (L − C) / L" if limit.lower else "C > L; (C − L) / L"
    steps.append(
        Step(
            "verdict",
            formula if verdict else "",
            {
                "verdict": verdict.name.lower(),
                "reason": reason.key if reason else "",
                "value": judged,
                "limit": limit.value,
                "multiple": multiple,
            },
            SOURCE_COMPARE if verdict else "",
        )
    )
    return Judgement(judged, limit, multiple, verdict, reason, tuple(steps))


RATE = "kg/h"


def rate(value: npt.ArrayLike, unit: str, flow: npt.ArrayLike, flow_unit: str) -> Floats | None:
    """kg/h of concentrations (as measured, not converted to reference oxygen) and flows, both (n,).

    None where the units make no mass: a rate needs mass per volume and volume per time. Source:
    HJ 212-2017 App. D (33) for flue gas, (8) for wastewater.

    >>> rate([50.0], "mg/m³", [10.0], "m³/s"), rate([40.0], "mg/L", [100.0], "L/s")
    (array([1.8]), array([14.4]))
    """
    per_hour = unit_scale(flow_unit, "m³/h")
    gas, water = unit_scale(unit, "mg/m³"), unit_scale(unit, "mg/L")
    if per_hour is None or (gas is None and water is None):
        return None
    q = np.asarray(flow, dtype=np.float64) * per_hour
    c = np.asarray(value, dtype=np.float64)
    if gas is not None:
        return _significant(np.atleast_1d(formulas.emission_rate(c * gas, q)))
    assert water is not None
    return _significant(np.atleast_1d(c * water * q * 1e-3))


def _is_normal(
    mark: Sequence[str | None] | npt.NDArray[Any], shape: tuple[int, ...], normal: frozenset[str]
) -> Bools:
    marks = np.atleast_1d(np.asarray(mark, dtype=object))
    if marks.shape != shape:
        raise ValueError(f"{marks.size} marks for {shape[0]} values")
    texts = np.array(["" if m is None else str(m) for m in marks.tolist()], dtype=np.str_)
    return np.isin(texts, sorted(normal))


# 1e-323 … 1e308, each the double nearest to it (10.0**n may be a neighbour).
LOWEST_POWER = -323
POWERS = np.array([float(f"1e{i}") for i in range(LOWEST_POWER, 309)])


def _significant(x: Floats) -> Floats:
    """`x` at `DIGITS` significant decimal digits, each the double nearest to that decimal."""
    out = np.array(x, dtype=np.float64)
    some = np.isfinite(out) & (out != 0)
    y = out[some]
    exponent = np.searchsorted(POWERS, np.abs(y), side="right") - 1 + LOWEST_POWER
    places = np.clip(DIGITS - 1 - exponent, -300, 300)
    up = POWERS[np.maximum(places, 0) - LOWEST_POWER]
    down = POWERS[np.maximum(-places, 0) - LOWEST_POWER]
    out[some] = np.rint(y * up / down) / up * down
    return out


def _scaled(value: float | None, scale: float | None) -> float | None:
    if value is None or scale is None or not abs(value) <= LARGEST:
        return None
    return float(_significant(np.asarray([value * scale]))[0])


def _number(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None
