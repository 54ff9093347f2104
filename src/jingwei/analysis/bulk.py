"""`compliance.judge_hours` compiled: whole days of all points, each point and factor with its limit.

The rule is the one of `compliance` and gives the same numbers to the last bit
(`tests/analysis/test_bulk.py`); this module exists for its speed alone (`bench/compliance.py`). Rows
are those of a file of the lake: sorted by point, the oxygen of a point among them. Nothing is held
but the rows given, so memory is bounded by the piece that is read at a time; pieces end where a
point ends (`pieces`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numba as nb
import numpy as np
import numpy.typing as npt

from jingwei.analysis.compliance import (
    DIGITS,
    LARGEST,
    LOWEST_POWER,
    POWERS,
    Judgements,
    Reason,
    Verdict,
    unit_scale,
)
from jingwei.standards.formulas import AIR_O2

F = TypeVar("F")
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


def _njit(function: F, **options: Any) -> F:
    return cast(F, nb.njit(cache=True, nogil=True, **options)(function))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limit of every point and factor, arrays (points, factors).

    `bound`: NaN for none; `scale`: from the unit of the values to that of the limit, NaN where
    nothing converts; `reference`: oxygen in %, NaN for none; `high`: end of the instrument's range
    in the unit of the values, inf where unknown; `lower`: whether the bound is a floor.
    """

    bound: Floats
    scale: Floats
    reference: Floats
    high: Floats
    lower: Bools

    @classmethod
    def empty(cls, points: int, factors: int) -> Limits:
        """No limit anywhere; fill in with `put`."""
        shape = (points, factors)
        return cls(
            np.full(shape, np.nan),
            np.full(shape, np.nan),
            np.full(shape, np.nan),
            np.full(shape, np.inf),
            np.zeros(shape, dtype=np.bool_),
        )

    def put(
        self,
        point: Any,
        factor: int,
        value: float,
        unit: str,
        *,
        given: str,
        reference_o2: float | None = None,
        lower: bool = False,
        high: float | None = None,
    ) -> None:
        """Set the limit of a factor at one point, or at all that an index or mask selects.

        `value` in `unit`, the measured values in `given`. Raises ValueError as `compliance.Limit`.
        """
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"limit {value!r}: wanted a number, 0 or more")
        if reference_o2 is not None and not 0 <= reference_o2 < AIR_O2:
            raise ValueError(f"reference oxygen {reference_o2!r} %: wanted 0 or more and below 21")
        scale = unit_scale(given, unit)
        self.bound[point, factor] = value
        self.scale[point, factor] = math.nan if scale is None else scale
        self.reference[point, factor] = math.nan if reference_o2 is None else reference_o2
        self.lower[point, factor] = lower
        self.high[point, factor] = math.inf if high is None else high


def _digits(x: float, powers: Floats) -> float:
    """`compliance._significant` of one number."""
    if x == 0.0 or not math.isfinite(x):
        return x
    a = abs(x)
    e = math.floor((math.frexp(a)[1] - 1) * 0.30102999566398120)  # log10 2: at most one too low
    if e < 308 and powers[e + 1 - LOWEST_POWER] <= a:
        e += 1
    places = min(max(DIGITS - 1 - e, -300), 300)
    up = powers[max(places, 0) - LOWEST_POWER]
    down = powers[max(-places, 0) - LOWEST_POWER]
    result: float = np.rint(x * up / down) / up * down
    return result


_digits = _njit(_digits, inline="always")

_R = {r.name: int(r) for r in Reason}
_JUDGED, _UNIT, _MISSING, _MARK = _R["JUDGED"], _R["UNIT"], _R["VALUE_MISSING"], _R["MARK"]
_NEGATIVE, _RANGE, _NO_LIMIT = _R["VALUE_NEGATIVE"], _R["RANGE"], _R["NO_LIMIT"]
_O2_MISSING, _O2_MARK = _R["OXYGEN_MISSING"], _R["OXYGEN_MARK"]
_O2_NEGATIVE, _O2_HIGH = _R["OXYGEN_NEGATIVE"], _R["OXYGEN_HIGH"]
_WITHIN, _EXCEEDED = int(Verdict.WITHIN), int(Verdict.EXCEEDED)


def _judge(
    point: Codes,
    factor: Codes,
    hour: Codes,
    value: Floats,
    mark: Codes,
    normal: Bools,
    oxygen: int,
    hours: int,
    bound: Floats,
    scale: Floats,
    reference: Floats,
    high: Floats,
    lower: Bools,
    powers: Floats,
    judged: Floats,
    multiple: Floats,
    verdict: npt.NDArray[np.int8],
    reason: npt.NDArray[np.int8],
) -> None:
    n = len(point)
    o2 = np.full(hours, np.nan)
    o2_normal = np.ones(hours, dtype=np.bool_)
    begin = 0
    while begin < n:
        p = point[begin]
        end = begin
        o2[:] = np.nan
        o2_normal[:] = True
        while end < n and point[end] == p:
            if factor[end] == oxygen:
                o2[hour[end]] = value[end]
                o2_normal[hour[end]] = normal[mark[end]]
            end += 1
        for i in range(begin, end):
            f = factor[i]
            judged[i] = np.nan
            multiple[i] = np.nan
            verdict[i] = 0
            limit = bound[p, f]
            v = value[i]
            c = v * scale[p, f]
            why = _JUDGED
            if math.isnan(limit):
                why = _NO_LIMIT
            elif math.isnan(scale[p, f]):
                why = _UNIT
            elif not abs(v) <= LARGEST:
                why = _MISSING
            elif not normal[mark[i]]:
                why = _MARK
            elif v < 0:
                why = _NEGATIVE
            elif v > high[p, f]:
                why = _RANGE
            elif not math.isnan(reference[p, f]):
                x = o2[hour[i]]
                if not math.isfinite(x):
                    why = _O2_MISSING
                elif not o2_normal[hour[i]]:
                    why = _O2_MARK
                elif x < 0:
                    why = _O2_NEGATIVE
                elif x >= AIR_O2:
                    why = _O2_HIGH
                else:
                    c = c * (AIR_O2 - reference[p, f]) / (AIR_O2 - x)
            reason[i] = why
            if why != _JUDGED:
                continue
            c = _digits(c, powers)
            judged[i] = c
            over = limit - c if lower[p, f] else c - limit
            verdict[i] = _EXCEEDED if over > 0 else _WITHIN
            if limit > 0:
                multiple[i] = _digits(over / limit, powers)
        begin = end


_judge = _njit(_judge)


def buffers(n: int) -> Judgements:
    """Room for the judgements of up to `n` rows, for `judge(…, out=…)`; the contents are undefined."""
    return Judgements(np.empty(n), np.empty(n), np.empty(n, np.int8), np.empty(n, np.int8))


def judge(
    point: Codes,
    factor: Codes,
    hour: Codes,
    value: Floats,
    mark: Codes,
    *,
    limits: Limits,
    normal: Bools,
    oxygen: int = -1,
    out: Judgements | None = None,
) -> Judgements:
    """Judge rows (n,) of one day or any other span, sorted by point.

    `point`, `factor`: rows and columns of `limits`; `hour`: of the span, from 0; `value`: NaN for
    none; `mark`: places in `normal`, which says under which marks a value is judged; `oxygen`: the
    factor that is oxygen in % (-1: none). Every row must be there once: of repeated hours the caller
    takes the latest (`validity.latest`, `Lake.scan`). Raises ValueError for arrays of different
    lengths, rows that are not sorted by point, and codes outside their tables.
    """
    n = len(point)
    if not n == len(factor) == len(hour) == len(value) == len(mark):
        raise ValueError("point, factor, hour, value and mark differ in length")
    if n:
        points, factors = limits.bound.shape
        if point[0] < 0 or point[-1] >= points or (point[1:] < point[:-1]).any():
            raise ValueError("rows are not sorted by point, or a point is not in the limits")
        for name, codes, size in (
            ("factor", factor, factors),
            ("mark", mark, len(normal)),
            ("hour", hour, 1 << 24),
        ):
            if codes.min() < 0 or codes.max() >= size:
                raise ValueError(f"a {name} is outside its table of {size}")
    if out is None:
        out = buffers(n)
    elif len(out.value) < n:
        raise ValueError(f"buffers of {len(out.value)} rows for {n}")
    out = Judgements(out.value[:n], out.multiple[:n], out.verdict[:n], out.reason[:n])
    hours = int(hour.max()) + 1 if n else 0
    _judge(point, factor, hour, value, mark, normal, oxygen, hours, limits.bound, limits.scale,
           limits.reference, limits.high, limits.lower, POWERS, out.value, out.multiple,
           out.verdict, out.reason)  # fmt: skip
    return out


def pieces(point: Codes, size: int) -> Iterator[slice]:
    """Cut rows that are sorted by point into pieces of about `size` rows, never within a point.

    >>> list(pieces(np.array([0, 0, 0, 1, 1, 2]), 2))
    [slice(0, 3, None), slice(3, 5, None), slice(5, 6, None)]
    """
    begin, n = 0, len(point)
    while begin < n:
        end = min(begin + max(size, 1), n)
        if end < n:
            end = int(np.searchsorted(point, point[end - 1], side="right"))
        yield slice(begin, end)
        begin = end
