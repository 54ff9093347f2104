"""How a target is reported when nobody meddles: repeats, levels, resolution, last digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jingwei.analysis.detection import kernels
from jingwei.analysis.detection.monitor import Floats, Ints

RUN_HOURS = 5  # shorter runs are left to the regulator's rules
RUN_P = 1e-4
COPY_ROWS = 6
COPY_P = 1e-6


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
            resolution(valid),
            _digits(plain, noise),
            0.1 * abs(float(np.median(valid))),
        )


def resolution(valid: Floats) -> float:
    """Largest power of ten of which 99 % of the values are whole multiples (of none: 1e-6)."""
    if not len(valid):
        return 1e-6
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
    digit = np.floor(scaled + 1e-6) % 10
    return np.where(np.isnan(y), -1, digit).astype(np.int64)


def _digits(plain: Floats, noise: float) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """The places at which the last digit is noise: two decades below a third of the noise."""
    if len(plain) < 500 or not noise > 0:
        return ()
    top = int(np.floor(np.log10(0.35 * noise)))
    fine = resolution(plain)
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
