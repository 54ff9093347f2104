"""Did an emergency response help? What would have been measured in the same weather without it.

Boosted trees learn the hourly value from hour, weekday, season and weather on the days around the
response and say what these days' emissions would have given in its weather, as Petetin et al. (2020)
Atmos. Chem. Phys. 20, 11119 did for the lockdown of Spain; how far such a statement errs is measured on
blocks of days as long as the response that were held out. Needs LightGBM (extra `air`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.normalise import LEAST, PARAMETERS, NormaliseError

BLOCKS = 12  # held-out blocks that an interval needs
FOLDS = 5
COVERED = 0.75  # of the hours of a block or of the response that must have a value
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Response:
    """Means over the response's hours with a value: `measured`, `expected` without it, and the ratio of
    the two less 1 with the middle 90 % that chance leaves to it (`low`, `high`); `hourly`: expected,
    NaN beyond the response; `explained`: share of the variance of held-out hours that the weather
    explains; `hours` learned from, `blocks` held out."""

    measured: float
    expected: float
    change: float
    low: float
    high: float
    hourly: Floats
    explained: float
    hours: int
    blocks: int

    @property
    def sure(self) -> bool:
        """Whether the change is more than chance."""
        return self.high < 0 or self.low > 0


def trailing(weather: npt.ArrayLike, hours: int = 24) -> Floats:
    """Means of each column over the last `hours`, the present one included; NaN where all are."""
    given = floats(weather)
    known = np.isfinite(given)
    total, count = (
        np.cumsum(np.vstack([np.zeros((1, given.shape[1])), a]), axis=0)
        for a in (np.where(known, given, 0.0), known.astype(float))
    )
    start = np.maximum(np.arange(len(given)) + 1 - hours, 0)
    end = np.arange(len(given)) + 1
    n = count[end] - count[start]
    return np.where(n > 0, (total[end] - total[start]) / np.maximum(n, 1), np.nan)


def compare(
    value: npt.ArrayLike,
    clock: npt.ArrayLike,
    weather: npt.ArrayLike,
    during: Bools,
    other: Bools,
    *,
    rounds: int = 120,
) -> Response:
    """value (n,) hour by hour; clock (n, k): hour, weekday, day of the year; weather (n, m), NaN where
    missing, of which the means of the last 24 h are added; `during`: the hours of the response, one
    block; `other`: hours of other responses and of what follows at once, not learned from. Same input,
    same answer. Raises `NormaliseError`: `few` (hours to learn from), `gap` (of the response too few
    hours have a value or weather), `library`.
    """
    y, c, w = floats(value), floats(clock), floats(weather)
    if not len(y) == len(c) == len(w) == len(during) == len(other) or not during.any():
        raise ValueError(f"response: {y.shape}, {c.shape}, {w.shape} do not fit")
    rows = np.column_stack([c, w, trailing(w)])
    known = np.isfinite(y) & np.isfinite(w).any(axis=1)
    asked = during & known
    if asked.sum() < COVERED * during.sum():
        raise NormaliseError("gap")
    learn = known & ~during & ~other
    length = int(during.sum())
    block = np.arange(len(y)) // length
    full = [b for b in np.unique(block[learn]) if (learn & (block == b)).sum() >= COVERED * length]
    if learn.sum() < LEAST or len(full) < BLOCKS:
        raise NormaliseError("few")
    try:
        import lightgbm
    except (ImportError, OSError):
        raise NormaliseError("library") from None

    def fit(some: Bools) -> object:
        return lightgbm.train(PARAMETERS, lightgbm.Dataset(rows[some], y[some]), rounds)

    told = np.full(len(y), np.nan)
    for fold in range(FOLDS):
        held = learn & (block % FOLDS == fold)
        if held.any():
            told[held] = fit(learn & ~held).predict(rows[held], num_threads=1)  # type: ignore[attr-defined]
    ratios = np.array(
        [np.log(max(y[b].mean(), 1e-9) / max(told[b].mean(), 1e-9))
         for b in (learn & (block == k) for k in full)]
    )  # fmt: skip
    low, high = np.quantile(ratios, [0.05, 0.95])
    hourly = np.full(len(y), np.nan)
    hourly[asked] = np.maximum(fit(learn).predict(rows[asked], num_threads=1), 0.0)  # type: ignore[attr-defined]
    measured, expected = float(y[asked].mean()), float(hourly[asked].mean())
    ratio = np.log(max(measured, 1e-9) / max(expected, 1e-9))
    variance = float(y[learn].var())
    return Response(
        measured, expected, float(np.expm1(ratio)), float(np.expm1(ratio - high)),
        float(np.expm1(ratio - low)), hourly,
        1 - float(np.mean((y[learn] - told[learn]) ** 2)) / variance if variance > 0 else np.nan,
        int(learn.sum()), len(full),
    )  # fmt: skip
