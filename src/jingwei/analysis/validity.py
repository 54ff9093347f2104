"""Validity: from samples to minutes, hours and days; which of them may be used, and if not, why not.

A value is never deleted. It keeps its number and gets a mask of `Fault`; it is valid where the
mask is 0. Sources, and how sure each is, stand at the constants and functions; in short:

* counts: HJ 212-2017 appendix D (V-air-min, V-water: read in the standard);
* marks of 2005 and 2017: HJ 212-2017 (V-flag-air, V-flag-water: read); of 2025: secondary;
* automatic checks: practice of the regulators (A18-*: secondary);
* substitution for emission mass: HJ 75-2017 and HJ 356-2019 as public code of a regulator's
  platform has them (S-75-*, S-356: secondary). It never serves to judge a concentration.

Times are whole seconds since 1970 UTC, arrays of int64; days are those of Beijing (UTC+8). The
order of values never matters, not even in the last binary digit: they are summed in the order of
their sizes. A period that is computed again from the same values gives the same result, so
a late or corrected telegram needs only the periods of `touched`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from jingwei.analysis.compliance import LARGEST, Reason, Step
from jingwei.standards import codes, formulas

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]
Faults = npt.NDArray[np.uint16]

BEIJING: Final = 8 * 3600  # seconds by which Beijing is ahead of UTC, all year


class Fault(IntFlag):
    """Why a value may not be used; several can hold."""

    MISSING = 1  # no number
    MARK = 2  # marked as abnormal (MEE Announcement 2022-21 art. 6)
    UNKNOWN_MARK = 4  # a mark that its version does not have
    NEGATIVE = 8  # A18-3.1
    OVER_RANGE = 16  # above the instrument's range: A18-3.2
    FLAT = 32  # does not move: A18-3
    NO_LINK = 64  # no factor of the point reports: A18-3.3
    FEW = 128  # too few valid values in the level below
    NO_FLOW = 256  # flow-weighted, and nothing flowed
    IMPOSSIBLE = 512  # not a number that the quantity can have
    CLOCK = 1024  # the device's clock is wrong: the time is ahead of its arrival, or far behind
    PART = 2048  # nitrogen oxides of which only NO or only NO2 was sent
    STATE = 4096  # not of dry gas at standard state, and what converts it is missing or not valid
    OUT_OF_CONTROL = 8192  # since the last passed check of the instrument before a failed one


def names(mask: int) -> tuple[str, ...]:
    """The faults of a mask, in lower case.

    >>> names(Fault.MARK | Fault.FEW)
    ('mark', 'few')
    """
    return tuple(str(f.name).lower() for f in Fault if mask & f)


_REASON: Final = (
    (Fault.PART, Reason.PART),
    (Fault.MISSING, Reason.VALUE_MISSING),
    (Fault.IMPOSSIBLE, Reason.VALUE_MISSING),
    (Fault.CLOCK, Reason.CLOCK),
    (Fault.UNKNOWN_MARK, Reason.MARK_UNKNOWN),
    (Fault.MARK, Reason.MARK),
    (Fault.OUT_OF_CONTROL, Reason.OUT_OF_CONTROL),
    (Fault.NEGATIVE, Reason.VALUE_NEGATIVE),
    (Fault.OVER_RANGE, Reason.RANGE),
    (Fault.FEW, Reason.FEW),
    (Fault.NO_FLOW, Reason.NO_FLOW),
    (Fault.NO_LINK, Reason.VALUE_MISSING),
    (Fault.FLAT, Reason.FLAT),
    (Fault.STATE, Reason.STATE),
)


def reasons(fault: npt.ArrayLike) -> Codes:
    """Why values with these faults are not judged: codes of `compliance.Reason`, 0 where valid.

    >>> reasons([0, Fault.MARK | Fault.FLAT, Fault.FEW]).tolist()
    [0, 3, 12]
    """
    f = np.atleast_1d(np.asarray(fault, dtype=np.uint16))
    return np.select([(f & a) != 0 for a, _ in _REASON], [int(r) for _, r in _REASON], 0).astype(
        np.int8
    )


# Marks ------------------------------------------------------------------------------------------

LETTERS: Final = ("", "N", "D", "C", "M", "T", "Td", "B", "F", "P", "S", "0", "1", "2", "3")
"""All marks of all versions; their place here is their code. Of marks that lasted equally long the
earlier wins, "" and N last: D > C > M > T > Td is the order of HJ 212-2025 (secondary), the rest
has none in any text and follows behind."""

UNKNOWN: Final = -1

MarkRule = Literal["flue", "water", "longest"]


def mark_rule(version: str, medium: Literal["air", "water"]) -> MarkRule:
    """Which rule makes the mark of a period: HJ 212-2017 by medium, HJ 212-2025 the longest."""
    if version not in codes.VERSIONS:
        raise ValueError(f"version {version!r}: wanted one of {', '.join(codes.VERSIONS)}")
    return "longest" if version == "2025" else "flue" if medium == "air" else "water"


@cache
def _letters(version: str) -> dict[str, int]:
    known = {m.flag for m in codes.marks(version)} | {""}
    return {letter: i for i, letter in enumerate(LETTERS) if letter in known}


def encode_marks(marks: Sequence[str | None] | npt.NDArray[Any], version: str = "2017") -> Codes:
    """Marks as sent (None or "": none) as places in `LETTERS`; `UNKNOWN` for one that `version`
    does not have.
    """
    known = _letters(version)
    return np.array([known.get(m or "", UNKNOWN) for m in marks], dtype=np.int8)


@cache
def _normal(version: str) -> tuple[bool, ...]:
    """By code (the last place answers for UNKNOWN, -1): whether a value so marked is usable."""
    normal = {m.flag for m in codes.marks(version) if m.normal} | {""}
    return (*(letter in normal for letter in LETTERS), False)


def mark_faults(mark: Codes, version: str = "2017") -> Faults:
    """MARK where the mark is an abnormal one, UNKNOWN_MARK where the version does not have it."""
    normal = np.array(_normal(version))[mark]
    return np.where(mark == UNKNOWN, Fault.UNKNOWN_MARK, np.where(normal, 0, Fault.MARK)).astype(
        np.uint16
    )


# Checks of single values ------------------------------------------------------------------------


def check(value: npt.ArrayLike, *, high: float | None = None, signed: bool = False) -> Faults:
    """MISSING, IMPOSSIBLE, NEGATIVE, OVER_RANGE of values (n,), in the unit of `high`.

    `high`: end of the instrument's range, None where unknown; `signed`: a temperature or pressure,
    which may be below zero.
    """
    v = np.atleast_1d(np.asarray(value, dtype=np.float64))
    fault = np.zeros(v.shape, dtype=np.uint16)
    fault[np.isnan(v)] |= np.uint16(Fault.MISSING)
    fault[np.abs(v) > LARGEST] |= np.uint16(Fault.IMPOSSIBLE)
    if not signed:
        fault[v < 0] |= np.uint16(Fault.NEGATIVE)
    if high is not None:
        fault[v > high] |= np.uint16(Fault.OVER_RANGE)
    return fault


def flat(value: npt.ArrayLike, running: Bools | None = None, *, hours: int = 4) -> Bools:
    """Whether an hour belongs to a run of at least `hours` equal values, 0 or more, in operation.

    `value` (n,): consecutive hours, NaN for none; `running` (n,): the plant works (None: always).
    Source: A18-3 (secondary): "equal and >= 0 for 4 h in normal production".
    """
    v = np.atleast_1d(np.asarray(value, dtype=np.float64))
    counts: Bools = np.asarray(v >= 0, dtype=bool)
    if running is not None:
        counts &= running
    begins = np.ones(v.shape, dtype=bool)
    begins[1:] = ~(counts[1:] & counts[:-1] & (v[1:] == v[:-1]))
    at = np.flatnonzero(begins)
    length = np.diff(np.append(at, len(v)))
    return np.asarray(np.repeat(length >= hours, length) & counts, dtype=bool)


def steady(value: npt.ArrayLike, *, hours: int = 360, share: float = 0.05) -> Bools:
    """Whether an hour ends `hours` consecutive ones that all stay within `share` of their largest.

    Source: A18-3 (secondary): "hourly means within 5 % for half a month"; of what the 5 % are is
    not said: here (max - min) / max. A missing hour breaks the row; a row of zeros does not count.
    """
    v = np.atleast_1d(np.asarray(value, dtype=np.float64))
    found = np.zeros(v.shape, dtype=bool)
    if len(v) >= hours:
        windows = np.lib.stride_tricks.sliding_window_view(v, hours)
        top, low = windows.max(axis=1), windows.min(axis=1)
        found[hours - 1 :] = (top > 0) & (low >= 0) & (top - low <= share * top)
    return found


def no_link(received: npt.ArrayLike) -> Bools:
    """Whether no factor of a point reported: `received` (factors, hours) of bool -> (hours,).

    Source: A18-3.3 (secondary).
    """
    return np.logical_not(np.asarray(received, dtype=bool).any(axis=0), dtype=bool)


@dataclass(frozen=True, slots=True)
class Gaps:
    """Runs of missing periods: `start` (seconds) and `length` (periods), both (m,)."""

    start: Ints
    length: Ints


def gaps(time: npt.ArrayLike, start: int, end: int, seconds: int = 3600) -> Gaps:
    """The periods from `start` (with) to `end` (without) of which no `time` tells anything.

    Any order, any repetition. A18-1 (secondary) calls an hour overdue that is missing longer than
    168 h: `gaps(…, end=now - 168 * 3600)`.
    """
    there = np.zeros(max(0, -(-(end - start) // seconds)), dtype=bool)
    at = (np.asarray(time, dtype=np.int64) - start) // seconds
    there[at[(at >= 0) & (at < len(there))]] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([True], there, [True])).astype(np.int8)))
    return Gaps(start + edges[0::2] * seconds, edges[1::2] - edges[0::2])


def clock(
    time: npt.ArrayLike,
    received: npt.ArrayLike,
    *,
    length: int = 0,
    ahead: int = 600,
    behind: int = 180 * 86400,
) -> Faults:
    """CLOCK where a value claims to be of a time after it arrived, or long before; seconds, (n,).

    A period that is named by its start must be over when its mean arrives: its `length` (0: named
    by its end, or not known by what). More than `ahead` seconds ahead: ten minutes, for clocks that
    differ a little. More than `behind`
    seconds behind: half a year, so that data sent again after a long break pass and a device that is
    a year behind does not. Both are presets of this program; no text gives a number.
    """
    late = np.asarray(received, dtype=np.int64) - np.asarray(time, dtype=np.int64)
    wrong = (late < length - ahead) | (late > behind)
    return np.atleast_1d(np.where(wrong, Fault.CLOCK, 0)).astype(np.uint16)


def conflicts(time: npt.ArrayLike, value: npt.ArrayLike) -> Ints:
    """Times for which several values came that differ (a number and none differ too), ascending.

    Which of them counts is for `latest`; that there were several is for a person to see.
    """
    t = np.asarray(time, dtype=np.int64)
    v = np.asarray(value, dtype=np.float64)
    order = np.lexsort((v, t))
    t, v = t[order], v[order]
    differ = (t[1:] == t[:-1]) & (v[1:] != v[:-1]) & ~(np.isnan(v[1:]) & np.isnan(v[:-1]))
    return np.unique(t[1:][differ])


def latest(time: npt.ArrayLike, received: npt.ArrayLike) -> Ints:
    """Which of repeated observations count: indices, by ascending time, of the last received.

    `time`, `received` (n,): of two that arrived together the later in the arrays counts.
    """
    t = np.asarray(time, dtype=np.int64)
    r = np.asarray(received)
    order = np.lexsort((np.arange(len(t)), r, t))
    last = np.append(np.diff(t[order]) != 0, True)[: len(t)]
    return np.asarray(order[last], dtype=np.int64)


# Aggregation ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Level:
    """How values become those of a longer period.

    `seconds`: its length; `least`: how many valid values it needs; `expected`: how many there are
    when all is well; `method`; `marks`: how its mark is made.
    """

    key: str
    seconds: int
    least: int
    expected: int
    method: Literal["mean", "weighted", "median"]
    marks: MarkRule
    source: str

    def start(self, time: npt.ArrayLike) -> Ints:
        """The start of the period that a time is in; days start at midnight in Beijing."""
        t = np.asarray(time, dtype=np.int64)
        shift = BEIJING if self.seconds == 86400 else 0
        begun: Ints = (t + shift) // self.seconds * self.seconds - shift
        return begun


_D = "HJ 212-2017 App. D"
AIR_MINUTE: Final = Level("minute", 60, 12, 12, "mean", "flue", f"{_D}: n >= 12, 5 s apart at most")
AIR_HOUR: Final = Level("hour", 3600, 45, 60, "mean", "flue", f"{_D}: k >= 45 minute means")
AIR_DAY: Final = Level("day", 86400, 20, 24, "mean", "flue", f"{_D}: m >= 20 hour means")
WATER_TEN: Final = Level(
    "ten_minutes", 600, 120, 120, "weighted", "water", f"{_D}: n >= 120, 5 s apart at most"
)
WATER_HOUR: Final = Level("hour", 3600, 1, 6, "weighted", "water", f"{_D}: 1 <= m <= 6; (12)")
WATER_DAY: Final = Level("day", 86400, 1, 24, "weighted", "water", f"{_D}: 1 <= h <= 24; (12)")
PH_HOUR: Final = Level("hour", 3600, 1, 6, "median", "water", "HJ 356-2019 (memory): pH by median")
PH_DAY: Final = Level("day", 86400, 1, 24, "median", "water", "HJ 356-2019 (memory): pH by median")
WATER_DAY_356: Final = Level(
    "day", 86400, 18, 24, "weighted", "water", "HJ 356-2019 (memory): 75 % of the hours"
)


@dataclass(frozen=True, slots=True)
class Means:
    """Values of periods, all arrays (m,), by ascending `start` (seconds since 1970 UTC).

    `value`: NaN where nothing usable was there; where FEW are, the value of those few, not valid;
    `count` values came, `good` of them usable; `mark`: place in `LETTERS`; `fault`: mask.
    """

    level: Level
    start: Ints
    value: Floats
    count: Ints
    good: Ints
    mark: Codes
    fault: Faults

    @property
    def valid(self) -> Bools:
        sound: Bools = self.fault == 0
        return sound


def aggregate(
    time: npt.ArrayLike,
    value: npt.ArrayLike,
    level: Level,
    *,
    mark: Codes | None = None,
    fault: Faults | None = None,
    weight: npt.ArrayLike | None = None,
    version: str = "2017",
) -> Means:
    """Values (n,) at `time` into the periods of `level`; each time at most once (see `latest`).

    `mark`: codes of `encode_marks` (None: all normal); `fault`: what is known against a value
    already (of `check` or the level below); `weight`: the flow of the same time, for "weighted"
    levels (any unit, equal intervals), NaN or negative: the value cannot be weighted. Values are
    combined where nothing is held against them. Raises ValueError for arrays of different lengths.

    Sources: the level's; marks HJ 212-2017 (flue gas: 75 % normal, else D; wastewater: one abnormal
    value makes it abnormal), HJ 212-2025 (longest; secondary).
    """
    t = np.atleast_1d(np.asarray(time, dtype=np.int64))
    v = np.atleast_1d(np.asarray(value, dtype=np.float64))
    marks = np.ones(t.shape, dtype=np.int8) if mark is None else mark
    known = np.zeros(t.shape, dtype=np.uint16) if fault is None else fault
    w = np.ones(t.shape) if weight is None else np.atleast_1d(np.asarray(weight, np.float64))
    if level.method == "weighted" and weight is None:
        raise ValueError(f"{level.key}: a flow-weighted mean wants weights")
    if not v.shape == marks.shape == known.shape == w.shape == t.shape:
        raise ValueError("time, value, mark, fault and weight differ in length")
    usable = (known | mark_faults(marks, version)) == 0
    usable &= np.isfinite(v) & (w >= 0)

    begun = level.start(t)
    start, group = np.unique(begun, return_inverse=True)
    m = len(start)
    count = np.bincount(group, minlength=m).astype(np.int64)
    good = np.bincount(group[usable], minlength=m).astype(np.int64)

    # Usable values by period and size: the sum of a period depends on its values alone.
    at = np.flatnonzero(usable)
    at = at[np.lexsort((w[at], v[at], group[at]))]
    some = np.flatnonzero(good)
    first = np.concatenate(([0], np.cumsum(good[some])[:-1])) if len(some) else some
    result = np.full(m, np.nan)
    dry = np.zeros(m, dtype=bool)
    if len(some):
        if level.method == "median":
            low, high = first + (good[some] - 1) // 2, first + good[some] // 2
            result[some] = (v[at[low]] + v[at[high]]) / 2
        elif level.method == "weighted":
            total = np.add.reduceat(w[at], first)
            mass = np.add.reduceat(v[at] * w[at], first)
            result[some] = np.where(total > 0, mass / np.where(total > 0, total, 1.0), np.nan)
            dry[some] = total == 0
        else:
            result[some] = np.add.reduceat(v[at], first) / good[some]

    made = _period_marks(group, marks, m, level.marks, version)
    faults = mark_faults(made, version)
    faults[good == 0] |= np.uint16(Fault.MISSING)
    faults[(good > 0) & (good < level.least)] |= np.uint16(Fault.FEW)
    faults[dry] |= np.uint16(Fault.NO_FLOW)
    return Means(level, start, result, count, good, made, faults)


def _period_marks(group: Any, marks: Codes, m: int, rule: MarkRule, version: str) -> Codes:
    k = len(LETTERS) + 1  # the last column counts unknown ones
    counts = np.bincount(group * k + np.where(marks == UNKNOWN, k - 1, marks), minlength=m * k)
    counts = counts.reshape(m, k)
    normal = np.array(_normal(version))
    total = counts.sum(axis=1)
    # Of equally long marks the first of this order wins; N and "" come last.
    order = np.array([*range(2, k), 1, 0])
    longest = order[counts[:, order].argmax(axis=1)]
    n = LETTERS.index("N")
    if rule == "longest":
        made = np.where(normal[longest], n, longest)
    else:
        share = counts[:, normal].sum(axis=1)
        if rule == "flue":
            made = np.where(4 * share >= 3 * total, n, LETTERS.index("D"))
        else:
            order = order[~normal[order]]
            worst = order[counts[:, order].argmax(axis=1)]
            made = np.where(share == total, n, worst)
    return np.where(made == k - 1, UNKNOWN, made).astype(np.int8)


def touched(time: npt.ArrayLike, level: Level) -> Ints:
    """The starts of the periods that have to be computed again when values at `time` arrive."""
    return np.unique(level.start(time))


def explain(means: Means, i: int) -> tuple[Step, ...]:
    """How the `i`-th value of `means` came about and why it is valid or not, step by step."""
    level, mask = means.level, int(means.fault[i])
    value = float(means.value[i])
    formula = {"mean": "Σ C / n", "weighted": "Σ C·Q / Σ Q", "median": "median"}[level.method]
    letter = LETTERS[means.mark[i]] if means.mark[i] != UNKNOWN else "?"
    marks = {
        "flue": "HJ 212-2017: N from 75 % normal on, else D",
        "water": "HJ 212-2017: abnormal with one abnormal value",
        "longest": "HJ 212-2025 (secondary): the longest mark",
    }[level.marks]
    return (
        Step(
            "count",
            f"n >= {level.least}",
            {"received": int(means.count[i]), "usable": int(means.good[i]), "least": level.least},
            level.source,
        ),
        Step(
            "mean",
            formula,
            {"value": None if np.isnan(value) else value, "start": int(means.start[i])},
            level.source,
        ),
        Step("mark", "", {"mark": letter}, marks),
        Step(
            "validity",
            "",
            {"valid": "no" if mask else "yes", "reasons": ", ".join(names(mask))},
            "MEE Announcement 2022-21 art. 6" if mask & Fault.MARK else level.source,
        ),
    )


def explain_conversion(
    concentration: float,
    *,
    temperature: float | None = None,
    barometer: float | None = None,
    static: float = 0.0,
    moisture: float | None = None,
    o2: float | None = None,
    reference_o2: float | None = None,
) -> tuple[Step, ...]:
    """The way of a flue gas concentration from the stack to what is compared, step by step.

    To standard state (18) where `temperature` (°C) and `barometer` (Pa; `static` is gauge) are given,
    to dry gas (19) where `moisture` (%) is, to the reference oxygen (26)-(28) where `reference_o2`
    is. A step without a value (oxygen of air, missing oxygen) has None and so have all after it.
    """
    value = concentration
    steps: list[Step] = []

    def step(key: str, formula: str, result: float, **numbers: float | None) -> None:
        nonlocal value
        given = None if np.isnan(value) else value
        made = None if np.isnan(result) else result
        source = f"HJ 212-2017 App. D {clause[key]}"
        steps.append(Step(key, formula, {"c": given, **numbers, "result": made}, source))
        value = result

    clause = {"standard": "(18)", "dry": "(19), Xsw in %", "converted": "(26)-(28)"}
    if temperature is not None and barometer is not None:
        made = formulas.to_standard_state(value, temperature, barometer, static)
        step("standard", "C · 101325 / (Ba + Ps) · (273 + t) / 273", float(made),
             t=temperature, ba=barometer, ps=static)  # fmt: skip
    if moisture is not None:
        made = formulas.to_dry(value, moisture)
        step("dry", "C / (1 − Xsw / 100)", float(made), xsw=moisture)
    if reference_o2 is not None:
        oxygen = np.nan if o2 is None else o2
        made = formulas.to_reference_o2(value, oxygen, reference_o2)
        step("converted", "C · (21 − O2s) / (21 − O2)", float(made), o2=o2, o2s=reference_o2)
    return tuple(steps)


# Completeness -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of 0 to 1; None where nothing was expected (a plant that stood still all the time)."""

    transmission: float | None
    validity: float | None
    effective: float | None


def rates(expected: int, received: int, valid: int) -> Rates:
    """Transmission rate, validity rate and their product, the effective transmission rate.

    `expected` values of hours with operation, `received` of them, `valid` of those received.
    Source: TR (secondary). Raises ValueError unless 0 <= valid <= received <= expected.

    >>> rates(100, 90, 81)
    Rates(transmission=0.9, validity=0.9, effective=0.81)
    """
    if not 0 <= valid <= received <= expected:
        raise ValueError(f"{valid} valid of {received} received of {expected} expected")
    if not expected:
        return Rates(None, None, None)
    validity = valid / received if received else 0.0
    return Rates(received / expected, validity, valid / expected)


class Hour(IntEnum):
    """The state of an hour in the sense of HJ 75-2017."""

    VALID = 0
    OUT_OF_CONTROL = 1  # since the last good calibration
    INVALID = 2  # maintenance, fault, missing
    STOPPED = 3  # the plant stood still


def capture_rate(state: npt.ArrayLike) -> float | None:
    """Valid capture rate: (hours - stopped - invalid) / (hours - stopped); None when all stood.

    `state`: codes of `Hour`; hours out of control count as invalid. Source: S-75-rate (secondary).
    """
    s = np.asarray(state)
    worked = int((s != Hour.STOPPED).sum())
    return int((s == Hour.VALID).sum()) / worked if worked else None


# Substitution, for emission mass only -----------------------------------------------------------

RULES: Final = (
    "",
    "S-75-oc90",
    "S-75-oc75",
    "S-75-inv90",
    "S-75-inv75",
    "S-356",
    "S-75-2007",
)
NOT_CAPTURED, NO_HISTORY, TOO_LONG = -1, -2, -3


@dataclass(frozen=True, slots=True)
class Substituted:
    """`value` (n,): as measured where valid, else what stands in for emission mass, NaN for none;
    `rule` (n,): place in `RULES` (0: measured or stopped), or why nothing stands in: NOT_CAPTURED
    (rate below 75 %), NO_HISTORY (no valid hours or no calibration before), TOO_LONG.
    """

    value: Floats
    rule: Codes


def _runs(same: npt.NDArray[Any]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.concatenate(([True], same[1:] != same[:-1], [True])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)) if len(same) else []


def substitute_75(
    value: npt.ArrayLike, state: npt.ArrayLike, quarter: npt.ArrayLike, calibrated: npt.ArrayLike
) -> Substituted:
    """What stands in for hours of flue gas that are not valid, for emission mass only.

    All (n,), consecutive hours: `value` of any quantity, `state` codes of `Hour`, `quarter` a
    label, `calibrated` whether a calibration was passed in that hour. By the quarter's capture
    rate: from 90 %, runs up to 24 h get the largest of the last 180 valid hours, longer ones of
    720; from 75 %, of 2160; below, nothing. Hours out of control look back from the last
    calibration before them, invalid ones from the failure. Where fewer valid hours are on record,
    those count. A calibration in the first hour out of control is the last one before it.

    Source: HJ 75-2017 as the public code of a regulator's platform has it (S-75-*: secondary).
    """
    v = np.array(value, dtype=np.float64)
    s, q = np.asarray(state), np.asarray(quarter)
    rule = np.zeros(v.shape, dtype=np.int8)
    share = {label: capture_rate(s[q == label]) or 0.0 for label in np.unique(q).tolist()}
    valid = np.flatnonzero((s == Hour.VALID) & np.isfinite(v))
    checked = np.flatnonzero(np.asarray(calibrated, dtype=bool))
    measured = v.copy()
    for begin, end in _runs(s):
        kind = s[begin]
        if kind not in (Hour.OUT_OF_CONTROL, Hour.INVALID):
            continue
        back = begin
        if kind == Hour.OUT_OF_CONTROL:
            before = checked[checked <= begin]
            back = int(before[-1]) if len(before) else 0
        history = valid[valid < back]
        for i in range(begin, end):
            rate = share[q[i].item()]
            v[i] = np.nan
            if rate < 0.75:
                rule[i] = NOT_CAPTURED
            elif not len(history):
                rule[i] = NO_HISTORY
            else:
                hours = 2160 if rate < 0.9 else 180 if end - begin <= 24 else 720
                v[i] = measured[history[-hours:]].max()
                key = "oc" if kind == Hour.OUT_OF_CONTROL else "inv"
                rule[i] = RULES.index(f"S-75-{key}{90 if rate >= 0.9 else 75}")
    return Substituted(v, rule)


def substitute_356(
    value: npt.ArrayLike, state: npt.ArrayLike, *, median: bool = False
) -> Substituted:
    """What stands in for hours of wastewater that are not valid, for emission mass only.

    `value`, `state` (n,) as in `substitute_75`; each gap gets the mean (`median=True`, for pH: the
    median) of the valid hours in the window of its own length before it. Where there are none:
    NO_HISTORY. Source: HJ 356 as public code has it (S-356: secondary).
    """
    v = np.array(value, dtype=np.float64)
    s = np.asarray(state)
    rule = np.zeros(v.shape, dtype=np.int8)
    bad = (s == Hour.OUT_OF_CONTROL) | (s == Hour.INVALID)
    measured, valid = v.copy(), (s == Hour.VALID) & np.isfinite(v)
    for begin, end in _runs(bad):
        if not bad[begin]:
            continue
        window = slice(max(0, begin - (end - begin)), begin)
        found = np.sort(measured[window][valid[window]])
        if len(found):
            v[begin:end] = np.median(found) if median else found.mean()
            rule[begin:end] = RULES.index("S-356")
        else:
            v[begin:end], rule[begin:end] = np.nan, NO_HISTORY
    return Substituted(v, rule)


def substitute_75_2007(value: npt.ArrayLike, state: npt.ArrayLike) -> Substituted:
    """The older way, for data of before HJ 75-2017: gaps up to 24 h get the mean of the two nearest
    valid hours, longer ones nothing (TOO_LONG). Source: HJ/T 75-2007 (S-75-2007: secondary).
    """
    v = np.array(value, dtype=np.float64)
    s = np.asarray(state)
    rule = np.zeros(v.shape, dtype=np.int8)
    bad = (s == Hour.OUT_OF_CONTROL) | (s == Hour.INVALID)
    valid = np.flatnonzero((s == Hour.VALID) & np.isfinite(v))
    measured = v.copy()
    for begin, end in _runs(bad):
        if not bad[begin]:
            continue
        at = int(np.searchsorted(valid, begin))
        v[begin:end] = np.nan
        if end - begin > 24:
            rule[begin:end] = TOO_LONG
        elif 0 < at < len(valid):
            v[begin:end] = (measured[valid[at - 1]] + measured[valid[at]]) / 2
            rule[begin:end] = RULES.index("S-75-2007")
        else:
            rule[begin:end] = NO_HISTORY
    return Substituted(v, rule)
