"""`compliance.judge_hours` compiled: whole days of all points, each point and factor with its limit.

The rule is the one of `compliance` and gives the same numbers to the last bit
(`tests/analysis/test_bulk.py`); this module exists for its speed alone: `bureau.monitoring.sweep`
goes through years of the lake with it, and `bench/compliance.py` measures that. Rows are those of a
file of the lake: sorted by point, the oxygen of a point among them. Nothing is held but the rows
given, so memory is bounded by the piece that is read at a time; pieces end where a point ends
(`pieces`). `Desk` says what the words of a file mean and turns them into places (`encode`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

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


def _power(a: float, powers: Floats, guess: int) -> int:
    """The greatest e with 10^e <= `a`, which is finite and above zero. `guess` (-322 … 307) is tried
    first: neighbouring values are mostly of one magnitude."""
    if powers[guess - LOWEST_POWER] <= a < powers[guess + 1 - LOWEST_POWER]:
        return guess
    e = math.floor((math.frexp(a)[1] - 1) * 0.30102999566398120)  # log10 2: at most one too low
    if e < 308 and powers[e + 1 - LOWEST_POWER] <= a:
        e += 1
    return e


_power = _njit(_power, inline="always")


def _rounded(x: float, powers: Floats, e: int) -> float:
    """`compliance._significant` of one number of that power."""
    places = min(max(DIGITS - 1 - e, -300), 300)
    up = powers[max(places, 0) - LOWEST_POWER]
    down = powers[max(-places, 0) - LOWEST_POWER]
    result: float = np.rint(x * up / down) / up * down
    return result


_rounded = _njit(_rounded, inline="always")


def _digits(x: float, powers: Floats) -> float:
    """`compliance._significant` of one number."""
    if x == 0.0 or not math.isfinite(x):
        return x
    return _rounded(x, powers, _power(abs(x), powers, 0))


_digits = _njit(_digits)

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
    near = beside = 0  # powers of ten of the last value and the last multiple
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
        i = begin
        while i < end:
            # Rows of one factor follow each other: its limit is looked up once.
            f = factor[i]
            last = i + 1
            while last < end and factor[last] == f:
                last += 1
            limit, k, most = bound[p, f], scale[p, f], high[p, f]
            to, floor = reference[p, f], lower[p, f]
            none = math.isnan(limit)
            why = _NO_LIMIT if none else _UNIT
            if none or math.isnan(k):
                for row in range(i, last):
                    judged[row] = np.nan
                    multiple[row] = np.nan
                    verdict[row] = 0
                    reason[row] = why
                i = last
                continue
            converted = not math.isnan(to)
            for row in range(i, last):
                judged[row] = np.nan
                multiple[row] = np.nan
                verdict[row] = 0
                v = value[row]
                c = v * k
                why = _JUDGED
                if not abs(v) <= LARGEST:
                    why = _MISSING
                elif not normal[mark[row]]:
                    why = _MARK
                elif v < 0:
                    why = _NEGATIVE
                elif v > most:
                    why = _RANGE
                elif converted:
                    x = o2[hour[row]]
                    if not math.isfinite(x):
                        why = _O2_MISSING
                    elif not o2_normal[hour[row]]:
                        why = _O2_MARK
                    elif x < 0:
                        why = _O2_NEGATIVE
                    elif x >= AIR_O2:
                        why = _O2_HIGH
                    else:
                        c = c * (AIR_O2 - to) / (AIR_O2 - x)
                reason[row] = why
                if why != _JUDGED:
                    continue
                if c != 0.0 and math.isfinite(c):
                    e = _power(abs(c), powers, near)
                    near = min(max(e, -322), 307)
                    c = _rounded(c, powers, e)
                judged[row] = c
                over = limit - c if floor else c - limit
                verdict[row] = _EXCEEDED if over > 0 else _WITHIN
                if limit > 0:
                    times = over / limit
                    if times != 0.0 and math.isfinite(times):
                        e = _power(abs(times), powers, beside)
                        beside = min(max(e, -322), 307)
                        times = _rounded(times, powers, e)
                    multiple[row] = times
            i = last
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


# From the words of a file to places --------------------------------------------------------------

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Desk:
    """What the words of a file mean: points, factors and marks as places, by protocol version.

    `points`: row of the limits by (MN, ST); `version`: of each point, a place in `columns` and
    `words`; `columns`: by version the column of a factor as sent, those that nobody asks for are put
    into column `rest`; `words`: by version whether a value is judged under a mark as sent.
    """

    points: Mapping[tuple[str, str], int]
    version: npt.NDArray[np.int8]
    columns: tuple[Mapping[str, int], ...]
    words: tuple[Mapping[str, bool], ...]
    rest: int

    @property
    def normal(self) -> Bools:
        """`judge`'s table of marks: by version a mark that is not normal and one that is."""
        return np.tile(np.array([False, True]), len(self.words))


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as `judge` takes them, arrays (n,); `odd`: rows that begin at no full hour of the day, which
    are left out."""

    point: Codes
    factor: Codes
    hour: Codes
    value: Floats
    mark: Codes
    odd: int


class Words(NamedTuple):
    """A column of words: places (n,) in `known`, -1 for none."""

    code: Codes
    known: list[str]


def _encode(
    mn: Codes,
    st: Codes,
    factor: Codes,
    flag: Codes,
    time: npt.NDArray[np.int64],
    value: Floats,
    place: Codes,
    version: npt.NDArray[np.int8],
    column: Codes,
    word: Codes,
    begin: int,
    seen: npt.NDArray[np.uint32],
    out_point: Codes,
    out_factor: Codes,
    out_hour: Codes,
    out_value: Floats,
    out_mark: Codes,
) -> tuple[int, int]:
    k = odd = i = 0
    n = len(mn)
    while i < n:
        # The rows of a factor of a point follow each other: what is the same for all is looked up once.
        m, s, name = mn[i], st[i], factor[i]
        end = i + 1
        while end < n and factor[end] == name and mn[end] == m and st[end] == s:
            end += 1
        p = place[m, s]
        if p < 0:
            i = end
            continue
        v = version[p]
        f = column[v, name]
        came = np.uint32(0)
        for row in range(i, end):
            since = time[row] - begin
            hour = since // HOUR_US
            if hour * HOUR_US != since or hour < 0 or hour > 23:
                odd += 1
                continue
            came |= np.uint32(1) << np.uint32(hour)
            out_point[k] = p
            out_factor[k] = f
            out_hour[k] = hour
            out_value[k] = value[row]
            out_mark[k] = 2 * v + word[v, flag[row]]
            k += 1
        seen[p, f] |= came
        i = end
    return k, odd


_encode = _njit(_encode)


@dataclass(frozen=True, slots=True)
class Room:
    """Buffers of one thread for `encode` and `judge`, used again for every part."""

    rows: Rows
    judgements: Judgements

    @classmethod
    def of(cls, n: int) -> Room:
        """For parts of up to `n` rows."""
        point, factor, hour, mark = (np.empty(n, dtype=np.int32) for _ in range(4))
        return cls(Rows(point, factor, hour, np.empty(n), mark, 0), buffers(n))


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a file: words and numbers (n,), sorted by point; `time` in microseconds."""

    mn: Words
    st: Words
    factor: Words
    flag: Words
    time: npt.NDArray[np.int64]
    value: Floats


def encode(
    page: Page, desk: Desk, begin: int, seen: npt.NDArray[np.uint32], size: int, room: Room
) -> Iterator[Rows]:
    """The rows of a page as `judge` takes them, in parts of about `size` that end where a device ends.

    Rows of points that are not on the desk fall out. `begin`: microseconds of the day's start. `seen`
    (points, columns): which hours of the day came, a bit each, is filled in. Each part is good until
    the next: `room` is used again.
    """
    mn, st, factor, flag = page.mn, page.st, page.factor, page.flag
    place = np.array(
        [[desk.points.get((m, s), -1) for s in st.known] for m in mn.known], dtype=np.int32
    ).reshape(len(mn.known), len(st.known))
    column = np.array(
        [[table.get(name, desk.rest) for name in factor.known] for table in desk.columns],
        dtype=np.int32,
    ).reshape(len(desk.columns), len(factor.known))
    # The last place is that of none (-1): no mark was sent.
    word = np.array(
        [[table.get(name, False) for name in (*flag.known, "")] for table in desk.words],
        dtype=np.int32,
    )
    for part in pieces(mn.code, size):
        n = part.stop - part.start
        to = room.rows if n <= len(room.rows.point) else Room.of(n).rows
        k, odd = _encode(
            mn.code[part], st.code[part], factor.code[part], flag.code[part], page.time[part],
            page.value[part], place, desk.version, column, word, begin, seen,
            to.point, to.factor, to.hour, to.value, to.mark,
        )  # fmt: skip
        yield Rows(to.point[:k], to.factor[:k], to.hour[:k], to.value[:k], to.mark[:k], odd)
