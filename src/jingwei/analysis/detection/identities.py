"""Sums that must come out: conversion to reference oxygen, means of finer values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jingwei.analysis.detection.habit import resolution
from jingwei.analysis.detection.hits import Hit, stretches
from jingwei.analysis.detection.monitor import Floats, Monitor

IDENTITY_ROWS = 3


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
    pair, o2, reference = (
        monitor.conversion(target),
        monitor.having("o2"),
        monitor.o2_reference(target),
    )
    if pair is None or not o2 or reference is None:
        return None
    raw = pair[0]
    oxygen = monitor.values[o2[0]]
    good = (oxygen >= 0) & (oxygen <= 20.0)  # nearer to 21 the formula only magnifies rounding
    result = np.full(len(monitor), np.nan)
    result[good] = monitor.values[raw][good] * (21.0 - reference) / (21.0 - oxygen[good])
    result[:start] = np.nan
    return result


def fit_identity(monitor: Monitor, target: str) -> Identity | None:
    expected, pair = converted(monitor, target, 0), monitor.conversion(target)
    if expected is None or pair is None:
        return None
    y = monitor.values[pair[1]]
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
    expected, pair = converted(monitor, target, start), monitor.conversion(target)
    if expected is None or pair is None or not identity.holds:
        return
    raw, y = pair[0], monitor.values[pair[1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (y - expected) / np.maximum(np.abs(expected), 1e-12)
        magnified = np.abs(expected / monitor.values[raw])
    # Half a last digit of what was sent, on either side: near zero it is all that the values hold.
    x = monitor.values[raw]
    digit = 0.51 * (resolution(y[~np.isnan(y)]) + resolution(x[~np.isnan(x)]) * magnified)
    flags = np.abs(y - expected) > identity.tolerance * np.abs(expected) + digit
    for first, last in stretches(flags, 3):
        rows = np.flatnonzero(flags[first : last + 1]) + first
        if len(rows) < IDENTITY_ROWS:
            continue
        worst = rows[np.argmax(np.abs(error[rows]))]
        yield Hit(
            "convert_identity",
            target,
            first,
            last,
            float(np.max(np.abs(error[rows]))),
            None,
            {
                "rows": len(rows),
                "reported": float(y[worst]),
                "recomputed": float(expected[worst]),
                "raw": float(monitor.values[raw][worst]),
                "o2": float(monitor.values[monitor.having("o2")[0]][worst]),
                "at": f"{monitor.time(int(worst)):%Y-%m-%d %H:%M}",
                "median_ratio": float(np.median(y[rows] / expected[rows])),
            },
            {
                "tolerance": identity.tolerance,
                "reference_o2": monitor.o2_reference(target),
                "least_rows": IDENTITY_ROWS,
            },
            found=int(rows[IDENTITY_ROWS - 1]),
        )


@dataclass(frozen=True)
class Agreement:
    """How many means could be held against their finer values, and how many agreed."""

    judged: int
    agreed: int


def recomputed(
    fine: Monitor, coarse: Monitor, target: str, least_share: float, weight: str = ""
) -> Floats:
    """The means of the finer values of a target over the rows of `coarse`, (T,); NaN where less than
    `least_share` of them is there. weight: a column of `fine` to weigh them by.

    ValueError where the one step is no multiple of the other.
    """
    ratio = coarse.step / fine.step
    each = round(ratio)
    if abs(ratio - each) > 1e-9 or each < 2:
        raise ValueError(f"step {coarse.step} is no multiple of {fine.step}")
    shift = round((coarse.start - fine.start) / fine.step)
    x = fine.values[target]
    w = fine.values[weight] if weight else np.ones(len(x))
    result = np.full(len(coarse), np.nan)
    for row in range(len(coarse)):
        begin = shift + row * each
        here = slice(max(0, begin), max(0, begin + each))
        good = ~(np.isnan(x[here]) | np.isnan(w[here]))
        total = float(w[here][good].sum())
        if good.sum() >= least_share * each and total > 0:
            result[row] = float((x[here][good] * w[here][good]).sum()) / total
    return result


def average_identity(
    fine: Monitor,
    coarse: Monitor,
    least_share: float = 0.75,
    tolerance: float = 0.01,
    weight: str = "",
    least_rows: int = 1,
) -> tuple[list[Hit], dict[str, Agreement]]:
    """Reported means of `coarse` that are not the means of the reported values of `fine`, and how many
    means of each target were judged.

    Both monitors hold the same targets. Judged are periods of which `least_share` of the fine rows
    are there (HJ 75-2017: an hour needs 45 minutes). weight: a column of `fine` (the flow, for
    wastewater); a mean that agrees weighted or plain agrees. least_rows: means that must depart in a
    stretch. Rows of the hits are those of `coarse`.
    """
    hits, agreement = [], {}
    for target in coarse.targets:
        if target not in fine.values:
            continue
        y = coarse.values[target]
        expected = recomputed(fine, coarse, target, least_share)
        if weight:
            other = recomputed(fine, coarse, target, least_share, weight)
            nearer = np.abs(y - other) < np.abs(y - expected)
            expected = np.where(nearer, other, expected)
        known = ~(np.isnan(y) | np.isnan(expected))
        middle = float(np.median(np.abs(y[known]))) if known.any() else 1.0
        scale = np.maximum(np.abs(expected), 1e-3 * middle)
        flags = np.abs(y - expected) > tolerance * scale + 0.51 * resolution(y[~np.isnan(y)])
        agreement[target] = Agreement(int(known.sum()), int((known & ~flags).sum()))
        for first, last in stretches(flags, 2):
            rows = np.flatnonzero(flags[first : last + 1]) + first
            if len(rows) < least_rows:
                continue
            worst = int(rows[np.argmax(np.abs(y - expected)[rows])])
            hits.append(
                Hit(
                    "average_identity",
                    target,
                    first,
                    last,
                    float(abs(y[worst] / expected[worst] - 1)) if expected[worst] else 1.0,
                    None,
                    {
                        "rows": len(rows),
                        "reported": float(y[worst]),
                        "recomputed": float(expected[worst]),
                        "at": f"{coarse.time(worst):%Y-%m-%d %H:%M}",
                    },
                    {"tolerance": tolerance, "least_share": least_share},
                    found=int(rows[least_rows - 1]),
                )
            )
    return hits, agreement
