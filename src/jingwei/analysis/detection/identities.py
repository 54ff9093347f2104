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
            None,
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
        flags = np.abs(y - expected) > tolerance * scale + 0.51 * resolution(y[~np.isnan(y)])
        for first, last in stretches(flags, 2):
            worst = first + int(np.nanargmax(np.abs(y - expected)[first : last + 1]))
            hits.append(
                Hit(
                    "average_identity",
                    target,
                    first,
                    last,
                    float(abs(y[worst] / expected[worst] - 1)) if expected[worst] else 1.0,
                    None,
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
