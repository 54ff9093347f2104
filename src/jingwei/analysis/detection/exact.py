"""The exact tier: contradictions that honest data do not contain. No training beyond counting.

Each function returns `Hit`s. p is an upper bound of the chance that honest data of this outlet
show the like somewhere in the stretch judged (Bonferroni over its rows).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jingwei.analysis.detection import kernels
from jingwei.analysis.detection.monitor import Bools, Floats, Ints, Monitor

RUN_HOURS = 5  # shorter runs are left to the regulator's rules
MOVING_SHARE = 0.02
RUN_P = 1e-4
COPY_ROWS = 6
COPY_P = 1e-6
NEAR_ROWS = 24
NEAR_CORRELATION = 0.9995
IDENTITY_ROWS = 3
STOPPED = "F"  # HJ 212-2017 data mark: stopped
RUNNING_SHARE = 0.1  # of the history's median that counts as running
MARK_ROWS = 2
BOUND_ROWS = 2
O2_AIR = 20.9


@dataclass
class Hit:
    """Rows first..last (both included, of the stretch judged) contradict something."""

    detector: str
    factor: str
    first: int
    last: int
    score: float
    p: float
    numbers: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    found: int = -1  # the row at which it could first be known
    tier: str = "exact"
    also: list[str] = field(default_factory=list)


def stretches(flags: Bools, join: int = 1) -> Iterator[tuple[int, int]]:
    """First and last row of each stretch of True; gaps of less than `join` rows are bridged."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return
    breaks = np.flatnonzero(np.diff(rows) > join)
    firsts = np.r_[rows[0], rows[breaks + 1]]
    lasts = np.r_[rows[breaks], rows[-1]]
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)


@dataclass(frozen=True)
class Habit:
    """How one target is reported when nobody meddles: its repeats, levels, resolution, digits."""

    repeat: float  # chance that a value equals the one before
    level: float  # chance that two values taken at random are equal
    common: tuple[float, ...]  # values that return so often that their runs mean nothing
    run: int  # rows from which a run of equal values is exact evidence
    copy: int  # rows from which a repeated stretch is
    resolution: float  # smallest step in which values are reported
    digits: tuple[tuple[float, tuple[float, ...]], ...]  # (unit, shares of the digits 0..9)
    floor: float  # a tenth of the median: below it lie detection limits

    @classmethod
    def fit(cls, y: Floats, noise: float, per_hour: float) -> Habit | None:
        """None when there are too few values to have habits."""
        valid = y[~np.isnan(y)]
        if len(valid) < 100:
            return None
        least = max(3, round(RUN_HOURS * per_hour))
        calm = valid[kernels.runs(valid) < least]
        values, counts = np.unique(valid, return_counts=True)
        common = tuple(float(v) for v in values[counts > 0.02 * len(valid)][:50])
        plain = calm[~np.isin(calm, common)]
        pairs = max(1, len(plain) - 1)
        repeat = (float(np.sum(plain[1:] == plain[:-1])) + 1.0) / (pairs + 1.0)
        share = counts / len(valid)
        level = max(float(np.sum(share**2)), 1.0 / len(valid))
        n = len(valid)
        run = max(least, 1 + int(np.ceil(np.log(RUN_P / n) / np.log(min(repeat, 0.999)))))
        copy = max(COPY_ROWS, int(np.ceil(np.log(COPY_P / n**2) / np.log(min(level, 0.999)))))
        return cls(
            repeat,
            level,
            common,
            run,
            copy,
            _resolution(valid),
            _digits(plain, noise),
            0.1 * abs(float(np.median(valid))),
        )


def _resolution(valid: Floats) -> float:
    """Largest power of ten of which 99 % of the values are whole multiples."""
    sample = valid[:: max(1, len(valid) // 4000)]
    for exponent in range(2, -7, -1):
        unit = 10.0**exponent
        scaled = sample / unit
        if np.mean(np.abs(scaled - np.round(scaled)) < 1e-6 * np.maximum(1, np.abs(scaled))) > 0.99:
            return unit
    return 1e-6


def digit_of(y: Floats, unit: float) -> Ints:
    """The decimal digit of y at the place of unit (its decade), -1 where missing."""
    scaled = np.abs(np.where(np.isnan(y), 0.0, y)) / unit
    digit = np.floor(scaled + 1e-6).astype(np.int64) % 10
    return np.where(np.isnan(y), -1, digit)


def _digits(plain: Floats, noise: float) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """The places at which the last digit is noise: two decades below a third of the noise."""
    if len(plain) < 500 or not noise > 0:
        return ()
    top = int(np.floor(np.log10(0.35 * noise)))
    fine = _resolution(plain)
    result = []
    for exponent in (top, top - 1):
        unit = 10.0**exponent
        if unit < 0.99 * fine:
            continue
        counts = np.bincount(digit_of(plain, unit), minlength=10)[:10]
        share = (counts + 5.0) / (counts.sum() + 50.0)
        if share.max() < 0.3:
            result.append((unit, tuple(share.tolist())))
    return tuple(result)


def constant_run(
    y: Floats,
    habit: Habit,
    process: dict[str, Floats],
    flow: Floats | None,
    target: str,
    start: int,
) -> Iterator[Hit]:
    """Identical reported values over hours in which the other channels move. Rows >= start.

    At least half of the other channels must move, by more than `MOVING_SHARE` of their deviation. Runs
    of a value that returns often anyway or lies at the floor of what is measured (a detection limit,
    0 when stopped) count only when four times as long and where the flow says that the plant runs.
    """
    runs = kernels.runs(y)
    n = len(y)
    ends = np.flatnonzero((runs >= habit.run) & np.r_[runs[1:] <= 1, True])
    for last in ends.tolist():
        length = int(runs[last])
        first = last - length + 1
        if last < start:
            continue
        value = float(y[last])
        rows = slice(first, last + 1)
        moving = {}
        seen = 0
        for name, column in process.items():
            part = column[rows]
            part = part[~np.isnan(part)]
            if len(part) < 2:
                continue
            seen += 1
            if part.max() - part.min() > MOVING_SHARE * float(np.nanstd(column)):
                moving[name] = [float(part.min()), float(part.max())]
        if len(moving) < max(1, (seen + 1) // 2):
            continue  # the whole line hangs, or the plant stands still
        if value in habit.common or abs(value) <= habit.floor:
            if flow is None:
                continue
            here = flow[rows]
            middle = float(np.nanmedian(flow)) if np.any(~np.isnan(flow)) else 0.0
            if not np.mean(here > 0.5 * middle) > 0.9 or length < 4 * habit.run:
                continue
        chance = min(1.0, n * habit.repeat ** (length - 1))
        yield Hit(
            "const_run",
            target,
            first,
            last,
            float(length),
            chance,
            {"rows": length, "value": value, "moving": dict(list(moving.items())[:5])},
            {"least_rows": habit.run, "repeat_chance": habit.repeat},
            found=first + habit.run - 1,
        )


def flat(y: Floats, per_hour: float) -> list[tuple[int, int]]:
    """First and last rows of stretches of at least 8 h that move by under 2 % of the usual change:
    frozen but for the jitter of a converter. History is screened for them; in a later stretch the
    statistical tier judges them.
    """
    d = np.abs(np.diff(y))
    valid = d[~np.isnan(d)]
    if not len(valid):
        return []
    usual = float(np.median(valid))
    still = np.r_[False, d <= 0.02 * usual]
    least = max(4, round(8 * per_hour))
    return [(a - 1, b) for a, b in stretches(still) if b - a + 2 >= least and usual > 0]


def copied(y: Floats, habit: Habit, target: str, start: int) -> Iterator[Hit]:
    """Stretches of distinct values that equal an earlier stretch value for value. Rows >= start."""
    w = habit.copy
    n = len(y)
    if n < 2 * w:
        return
    missing = np.isnan(y)
    _, codes = np.unique(np.where(missing, np.inf, y), return_inverse=True)
    codes = codes.astype(np.int64)
    hashes = kernels.windows(codes, w)
    bad = kernels.rolling_mean(missing.astype(np.float64), w, w) > 0
    changes = np.r_[0.0, (np.diff(codes) != 0).astype(np.float64)]
    lively = kernels.rolling_mean(changes, w, w) > 0.7
    usable = np.flatnonzero(~bad & lively & (np.arange(n) >= w - 1))
    order = usable[np.argsort(hashes[usable], kind="stable")]
    sorted_hashes = hashes[order]
    group = np.r_[0, np.cumsum(np.diff(sorted_hashes) != 0)] if len(order) else np.zeros(0, int)
    # The first of each group of equal hashes is the earliest window.
    firsts = np.r_[0, np.flatnonzero(np.diff(group)) + 1] if len(order) else np.zeros(0, int)
    earliest = np.full(n, -1, dtype=np.int64)
    if len(order):
        earliest[order] = order[firsts][group]
    row = max(start, w - 1)
    while row < n:
        source = int(earliest[row])
        if (
            source < 0
            or source > row - w
            or not np.array_equal(codes[row - w + 1 : row + 1], codes[source - w + 1 : source + 1])
        ):
            row += 1
            continue
        lag = row - source
        first, last = row - w + 1, row
        while first - 1 - lag >= 0 and codes[first - 1] == codes[first - 1 - lag]:
            first -= 1
        while last + 1 < n and codes[last + 1] == codes[last + 1 - lag] and not missing[last + 1]:
            last += 1
        length = last - first + 1
        distinct = len(np.unique(y[first : last + 1]))
        if distinct >= min(COPY_ROWS, w) - 1:
            yield Hit(
                "copy_exact",
                target,
                first,
                last,
                float(length),
                min(1.0, n**2 * habit.level**distinct),
                {"rows": length, "lag_rows": lag, "distinct": distinct},
                {"least_rows": w, "equal_chance": habit.level},
                found=max(first + w - 1, 0),
            )
        row = last + 1


def copied_scaled(
    correlation: Floats, lag: Ints, y: Floats, habit: Habit, target: str, start: int
) -> Iterator[Hit]:
    """Stretches that repeat an earlier one up to factor, offset and rounding. Rows >= start.

    correlation, lag: of the last NEAR_ROWS differences with the best earlier ones.
    """
    flags = correlation >= NEAR_CORRELATION
    flags[:start] = False
    for first, last in stretches(flags, 2):
        begin = max(0, first - NEAR_ROWS)
        back = int(lag[last])
        a, b = y[begin : last + 1], y[begin - back : last + 1 - back]
        if begin - back < 0 or len(np.unique(a[~np.isnan(a)])) < COPY_ROWS:
            continue
        slope = float(np.nanstd(a) / np.nanstd(b)) if np.nanstd(b) > 0 else float("nan")
        if abs(slope - 1) < 1e-9 and np.array_equal(a, b):
            continue  # an exact copy: said by `copied`
        offset = float(np.nanmean(a) - slope * np.nanmean(b))
        yield Hit(
            "copy_scaled",
            target,
            begin,
            last,
            float(correlation[first : last + 1].max()),
            1e-9,
            {"rows": last - begin + 1, "lag_rows": back, "factor": slope, "offset": offset},
            {"rows": NEAR_ROWS, "least_correlation": NEAR_CORRELATION},
            found=first,
        )


@dataclass(frozen=True)
class Identity:
    """How well converted = raw (21 - reference) / (21 - O2) holds in the history."""

    tolerance: float  # relative
    holds: bool
    share: float


def converted(monitor: Monitor, target: str, start: int) -> Floats | None:
    """What the target should read after conversion, (T,); None where it cannot be computed.

    C = C' (21 - O2s) / (21 - O2): HJ 212-2017 appendix D, formulas (26)-(28).
    """
    raw, o2, reference = monitor.raw_of(target), monitor.having("o2"), monitor.o2_reference(target)
    if raw is None or not o2 or reference is None:
        return None
    oxygen = monitor.values[o2[0]]
    good = (oxygen >= 0) & (oxygen <= 20.0)  # nearer to 21 the formula only magnifies rounding
    result = np.full(len(monitor), np.nan)
    result[good] = monitor.values[raw][good] * (21.0 - reference) / (21.0 - oxygen[good])
    result[:start] = np.nan
    return result


def fit_identity(monitor: Monitor, target: str) -> Identity | None:
    expected = converted(monitor, target, 0)
    if expected is None:
        return None
    y = monitor.values[target]
    floor = 1e-3 * float(np.nanmedian(np.abs(y))) if np.any(~np.isnan(y)) else 0.0
    error = np.abs(y - expected) / np.maximum(np.abs(expected), max(floor, 1e-12))
    error = error[~np.isnan(error)]
    if len(error) < 24:
        return None
    middle = float(np.median(error))
    # Rounding of three numbers, and hours whose minutes were converted one by one.
    tolerance = max(0.01, 3.0 * float(np.quantile(error, 0.99))) if middle < 0.02 else 0.0
    if middle >= 0.02 or tolerance > 0.1:
        return Identity(0.1, middle < 0.02, float(np.mean(error <= 0.1)))
    return Identity(tolerance, True, float(np.mean(error <= tolerance)))


def convert_identity(
    monitor: Monitor, target: str, identity: Identity, start: int
) -> Iterator[Hit]:
    """The converted value is not what the reported raw value and O2 give."""
    expected = converted(monitor, target, start)
    if expected is None or not identity.holds:
        return
    y = monitor.values[target]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (y - expected) / np.maximum(np.abs(expected), 1e-12)
    flags = np.abs(error) > identity.tolerance
    for first, last in stretches(flags, 3):
        rows = np.flatnonzero(flags[first : last + 1]) + first
        if len(rows) < IDENTITY_ROWS:
            continue
        worst = rows[np.argmax(np.abs(error[rows]))]
        raw = monitor.raw_of(target)
        assert raw is not None
        yield Hit(
            "convert_identity",
            target,
            first,
            last,
            float(np.max(np.abs(error[rows]))),
            1e-6,
            {
                "rows": len(rows),
                "reported": float(y[worst]),
                "recomputed": float(expected[worst]),
                "raw": float(monitor.values[raw][worst]),
                "o2": float(monitor.values[monitor.having("o2")[0]][worst]),
                "median_ratio": float(np.median(y[rows] / expected[rows])),
            },
            {
                "tolerance": identity.tolerance,
                "reference_o2": monitor.o2_reference(target),
                "least_rows": IDENTITY_ROWS,
            },
            found=int(rows[IDENTITY_ROWS - 1]),
        )


def average_identity(
    fine: Monitor, coarse: Monitor, least_share: float = 0.75, tolerance: float = 0.01
) -> list[Hit]:
    """Reported means of `coarse` that are not the means of the reported values of `fine`.

    Both monitors hold the same targets. Judged are periods of which `least_share` of the fine rows
    are there (HJ 75-2017: an hour needs 45 minutes). Rows of the hits are those of `coarse`.
    """
    ratio = coarse.step / fine.step
    each = round(ratio)
    if abs(ratio - each) > 1e-9 or each < 2:
        raise ValueError(f"step {coarse.step} is no multiple of {fine.step}")
    shift = (coarse.start - fine.start) / fine.step
    hits = []
    for target in coarse.targets:
        if target not in fine.values:
            continue
        x, y = fine.values[target], coarse.values[target]
        expected = np.full(len(y), np.nan)
        for row in range(len(y)):
            begin = round(shift) + row * each
            part = x[max(0, begin) : max(0, begin + each)]
            part = part[~np.isnan(part)]
            if len(part) >= least_share * each:
                expected[row] = part.mean()
        scale = np.maximum(np.abs(expected), 1e-3 * np.nanmedian(np.abs(y)) if len(y) else 1.0)
        flags = np.abs(y - expected) > tolerance * scale + 0.51 * _resolution(y[~np.isnan(y)])
        for first, last in stretches(flags, 2):
            worst = first + int(np.nanargmax(np.abs(y - expected)[first : last + 1]))
            hits.append(
                Hit(
                    "average_identity",
                    target,
                    first,
                    last,
                    float(abs(y[worst] / expected[worst] - 1)) if expected[worst] else 1.0,
                    1e-6,
                    {
                        "rows": int(flags[first : last + 1].sum()),
                        "reported": float(y[worst]),
                        "recomputed": float(expected[worst]),
                    },
                    {"tolerance": tolerance, "least_share": least_share},
                    found=first,
                )
            )
    return hits


@dataclass(frozen=True)
class Running:
    """Medians of the history by which one sees that a plant runs."""

    medians: dict[str, float]

    @classmethod
    def fit(cls, monitor: Monitor) -> Running:
        medians = {}
        for name in monitor.having("flow", "load", "power_production"):
            column = monitor.values[name]
            valid = column[~np.isnan(column)]
            if len(valid) > 24 and np.median(valid) > 0:
                medians[name] = float(np.median(valid))
        return cls(medians)

    def signs(self, monitor: Monitor) -> dict[str, Bools]:
        """Sign of running -> rows that show it. Thresholds: A18-13 of the regulator's practice for
        O2 and temperature, a tenth of the own median for flow, load and power."""
        result = {}
        for name, middle in self.medians.items():
            if name in monitor.values:
                result[name] = monitor.values[name] > RUNNING_SHARE * middle
        for name in monitor.having("o2"):
            result[name] = (monitor.values[name] < 17.0) & (monitor.values[name] > 0.0)
        for name in monitor.having("temperature"):
            result[name] = monitor.values[name] > 42.0
        for name, limit in monitor.limits.items():
            if name in monitor.values:
                result[name] = monitor.values[name] > 0.3 * limit
        return result


def mark_contradiction(monitor: Monitor, running: Running, start: int) -> Iterator[Hit]:
    """Marked as stopped, while at least two channels show that the plant runs."""
    signs = running.signs(monitor)
    if not signs:
        return
    count = np.sum([s.astype(np.int64) for s in signs.values()], axis=0)
    need = min(2, len(signs))
    for target in monitor.targets:
        marks = monitor.mark(target)
        if marks is None:
            continue
        flags = (marks == STOPPED) & (count >= need)
        flags[:start] = False
        for first, last in stretches(flags, 2):
            rows = np.flatnonzero(flags[first : last + 1]) + first
            if len(rows) < MARK_ROWS:
                continue
            values = {
                name: float(np.nanmedian(monitor.values[name][rows]))
                for name in signs
                if np.any(~np.isnan(monitor.values[name][rows]))
            }
            yield Hit(
                "mark_contradiction",
                target,
                first,
                last,
                float(len(rows)),
                1e-6,
                {"rows": len(rows), "mark": STOPPED, "medians": values},
                {"least_signs": need, "running_share": RUNNING_SHARE, "usual": running.medians},
                found=int(rows[MARK_ROWS - 1]),
            )


def parameter_change(monitor: Monitor, before: dict[str, float], start: int) -> Iterator[Hit]:
    """A setting of the instrument changed, with no mark of calibration or maintenance within a day.

    before: column -> last value of the history.
    """
    day = round(24 * monitor.hour)
    marks = [m for t in monitor.targets if (m := monitor.mark(t)) is not None]
    worked = np.zeros(len(monitor), dtype=bool)
    for m in marks:
        worked |= np.isin(m, ["C", "M"])
    for name in monitor.having("parameter"):
        column = monitor.values[name]
        last = before.get(name, float("nan"))
        for row in range(start, len(monitor)):
            value = float(column[row])
            if np.isnan(value):
                continue
            if not np.isnan(last) and abs(value - last) > 1e-9 * max(abs(last), 1.0):
                around = worked[max(0, row - day) : row + day + 1]
                if not around.any():
                    yield Hit(
                        "param_change",
                        name,
                        row,
                        row,
                        abs(value / last - 1) if last else abs(value),
                        1e-6,
                        {"before": last, "after": value},
                        {"hours_without_work_mark": 24},
                        found=row,
                    )
            last = value


def physical_bounds(monitor: Monitor, running: Running, start: int) -> Iterator[Hit]:
    """What no gas can be: negative, beyond air's oxygen, air's oxygen under load."""
    checks: list[tuple[str, str, Bools]] = []
    for name in monitor.having("o2"):
        v = monitor.values[name]
        checks.append((name, "O2 < 0", v < 0.0))
        checks.append((name, "O2 > 21.5 %", v > 21.5))
        loads = [
            monitor.values[c] > 0.5 * m
            for c, m in running.medians.items()
            if c in monitor.having("load", "power_production")
        ]
        if loads:
            checks.append((name, "O2 >= 20.5 % under load", (v >= 20.5) & np.all(loads, axis=0)))
    for name in monitor.having("humidity"):
        v = monitor.values[name]
        checks.append((name, "humidity outside 0..100 %", (v < 0.0) | (v > 101.0)))
    for name in monitor.having("flow"):
        checks.append((name, "flow < 0", monitor.values[name] < 0.0))
    for name in monitor.targets:
        v = monitor.values[name]
        valid = np.abs(v[~np.isnan(v)])
        floor = -0.02 * monitor.limits.get(name, float(valid.max()) if len(valid) else 1.0)
        checks.append((name, "concentration < 0", v < floor))
    for name, rule, flags in checks:
        flags = flags.copy()
        flags[:start] = False
        for first, last in stretches(flags, 2):
            rows = np.flatnonzero(flags[first : last + 1]) + first
            if len(rows) < BOUND_ROWS:
                continue
            yield Hit(
                "physical_bounds",
                name,
                first,
                last,
                float(len(rows)),
                1e-6,
                {
                    "rows": len(rows),
                    "rule": rule,
                    "lowest": float(monitor.values[name][rows].min()),
                    "highest": float(monitor.values[name][rows].max()),
                },
                {"least_rows": BOUND_ROWS},
                found=int(rows[BOUND_ROWS - 1]),
            )


def digit_preference(
    y: Floats, habit: Habit, target: str, start: int, w: int = 336
) -> tuple[Floats, Floats]:
    """-log10 p of the last digits of the last w and w/2 rows against the outlet's own digits.

    G = 2 sum n_d ln(n_d / (n p_d)), chi-squared with 9 degrees of freedom; repeated values are
    left out (a frozen run is not typed). Returns the larger over the digit's places, (2, T).
    """
    from scipy.stats import chi2

    out = [np.zeros(len(y)), np.zeros(len(y))]
    fresh = np.r_[True, y[1:] != y[:-1]] & ~np.isnan(y)
    for unit, share in habit.digits:
        digit = np.where(fresh, digit_of(y, unit), -1).astype(np.int64)
        expected_share = np.array(share)
        for i, window in enumerate((w, w // 2)):
            counts = kernels.digit_counts(digit, window, 10).astype(np.float64)
            total = counts.sum(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                terms = counts * np.log(counts / (total[:, None] * expected_share))
            g = 2.0 * np.nansum(terms, axis=1)
            score = -chi2.logsf(g, 9) / np.log(10.0)
            score[total < 0.4 * window] = 0.0
            out[i] = np.maximum(out[i], score)
    return out[0], out[1]
