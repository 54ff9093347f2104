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

There is one implementation, `judge_hours`, over arrays; `judge_hour` is one element of it plus the
steps that let anyone recompute it by hand. Day means are judged by the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.standards.codes import symbol

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

AIR_O2 = 21.0  # % oxygen of ambient air in the formulas of HJ 212-2017 appendix D
DIGITS = 12  # significant decimal digits of a judged value
LARGEST = 1e15  # a greater number is no measurement (HJ 212 formats have at most 14 digits)
NORMAL = frozenset({"", "N"})  # marks under which a value is judged; "" is no mark sent

SOURCE_MARKS = "HJ 212-2017; MEE Announcement 2022-21 art. 6"
SOURCE_OXYGEN = "HJ 212-2017 App. D (26)-(28); HJ 75-2017"
SOURCE_COMPARE = "GB/T 8170-2008 4.3"


class Verdict(IntEnum):
    """NONE: not judged, see the reason."""

    NONE = 0
    WITHIN = 1
    EXCEEDED = 2


class Reason(IntEnum):
    """Why there is no verdict; the first that applies, in this order."""

    JUDGED = 0
    UNIT = 1  # the limit's unit and the value's cannot be converted into each other
    VALUE_MISSING = 2  # none, not a number, beyond `LARGEST`
    MARK = 3
    VALUE_NEGATIVE = 4
    OXYGEN_MISSING = 5
    OXYGEN_MARK = 6
    OXYGEN_NEGATIVE = 7
    OXYGEN_HIGH = 8  # not below 21 %: the formula has no value

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


# Unit symbol (of `standards.codes`) -> dimension, size. Units of one dimension can be converted.
_SIZES: dict[str, tuple[str, float]] = {
    "g/m³": ("mass per gas volume", 1e3),
    "mg/m³": ("mass per gas volume", 1.0),
    "µg/m³": ("mass per gas volume", 1e-3),
    "ng/m³": ("mass per gas volume", 1e-6),
    "g/L": ("mass per water volume", 1e3),
    "mg/L": ("mass per water volume", 1.0),
    "µg/L": ("mass per water volume", 1e-3),
    "ng/L": ("mass per water volume", 1e-6),
    "MPa": ("pressure", 1e6),
    "kPa": ("pressure", 1e3),
    "Pa": ("pressure", 1.0),
}


def unit_scale(given: str, wanted: str) -> float | None:
    """By what to multiply a value in `given` to have it in `wanted`; None where nothing does.

    Units as symbols or in any spelling that `standards.codes.symbol` knows.

    >>> unit_scale("微克/升", "mg/L")
    0.001
    """
    a, b = symbol(given), symbol(wanted)
    if a == b:
        return 1.0
    if a not in _SIZES or b not in _SIZES or _SIZES[a][0] != _SIZES[b][0]:
        return None
    return _SIZES[a][1] / _SIZES[b][1]


def convert_o2(concentration: npt.ArrayLike, o2: npt.ArrayLike, reference_o2: float) -> Floats:
    """Concentration at the reference oxygen: C (21 - O2s) / (21 - O2).

    Arrays of one shape (or scalars): concentration in any unit, oxygen in % by volume, dry. NaN
    where the oxygen is missing, negative or not below 21 %. Source: HJ 212-2017 appendix D,
    formulas (26)-(28). Raises `ValueError` for a reference outside 0…21 %.

    >>> float(convert_o2(150.0, 12.0, 6.0))
    250.0
    """
    if not 0 <= reference_o2 < AIR_O2:
        raise ValueError(f"reference oxygen {reference_o2!r} %: wanted 0 or more and below 21")
    c = np.asarray(concentration, dtype=np.float64)
    measured = np.asarray(o2, dtype=np.float64)
    usable = (measured >= 0) & (measured < AIR_O2)
    room = np.where(usable, AIR_O2 - measured, np.nan)
    converted: Floats = c * (AIR_O2 - reference_o2) / room
    return converted


def judge_hours(
    value: npt.ArrayLike,
    mark: Sequence[str | None] | npt.NDArray[Any],
    o2: npt.ArrayLike | None = None,
    o2_mark: Sequence[str | None] | npt.NDArray[Any] | None = None,
    *,
    limit: Limit,
    unit: str,
    normal: frozenset[str] = NORMAL,
) -> Judgements:
    """Judge many means against one limit; arrays of shape (n,), NaN for a missing number.

    `value` in `unit`; `mark` the data marks as sent (None or "": none sent); `o2` (%) and
    `o2_mark` of the same periods, read only where the limit has a reference oxygen (None: not
    measured). `normal`: the marks under which a value is judged. Sources: the module's head.
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
    refuse(~sane, Reason.VALUE_MISSING)
    refuse(~_is_normal(mark, v.shape, normal), Reason.MARK)
    refuse(v < 0, Reason.VALUE_NEGATIVE)
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


def _is_normal(
    mark: Sequence[str | None] | npt.NDArray[Any], shape: tuple[int, ...], normal: frozenset[str]
) -> Bools:
    marks = np.atleast_1d(np.asarray(mark, dtype=object))
    if marks.shape != shape:
        raise ValueError(f"{marks.size} marks for {shape[0]} values")
    texts = np.array(["" if m is None else str(m) for m in marks.tolist()], dtype=np.str_)
    return np.isin(texts, sorted(normal))


def _significant(x: Floats) -> Floats:
    """`x` at `DIGITS` significant decimal digits, each the double nearest to that decimal."""
    out = np.array(x, dtype=np.float64)
    some = np.isfinite(out) & (out != 0)
    y = out[some]
    places = np.clip(DIGITS - 1 - np.floor(np.log10(np.abs(y))), -300, 300)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    out[some] = np.rint(y * up / down) / up * down
    return out


def _scaled(value: float | None, scale: float | None) -> float | None:
    if value is None or scale is None or not abs(value) <= LARGEST:
        return None
    return float(_significant(np.asarray([value * scale]))[0])


def _number(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None
