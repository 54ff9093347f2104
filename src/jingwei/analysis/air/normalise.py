"""What would have been measured had the weather always been the same mixture: the trend without it.

After Grange et al. (2018) Atmos. Chem. Phys. 18, 6223 and Grange and Carslaw (2019) Sci. Total
Environ. 653, 578: boosted trees learn the hourly value from time and weather; at each time the
prediction is averaged over many rows of weather, hour and weekday drawn from the whole period.
Needs LightGBM (extra `air`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats

LEAST = 90 * 24  # hours with value and weather
WEEK = 7.0  # days
PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 30,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "max_bin": 63,
    "force_col_wise": True,
    "num_threads": 1,
    "deterministic": True,
    "seed": 1,
    "verbose": -1,
}


class NormaliseError(ValueError):
    """No weather-normalised trend is possible: why, in one word (`few`, `library`)."""


@dataclass(frozen=True)
class Normalised:
    """By week: days since the start (middle of the week), measured mean (NaN: none), normalised
    mean; `explained`: share of the variance of held-out weeks that the model explains (below 0:
    worse than their mean); `hours` used; `season`: whether the day of the year was a predictor."""

    days: Floats
    measured: Floats
    normal: Floats
    explained: float
    hours: int
    season: bool


def normalise(
    day: npt.ArrayLike,
    value: npt.ArrayLike,
    clock: npt.ArrayLike,
    weather: npt.ArrayLike,
    *,
    draws: int = 200,
    rounds: int = 120,
    seed: int = 1,
) -> Normalised:
    """day (n,): days since the start, hourly; value (n,); clock (n, 3): hour, weekday, day of the
    year; weather (n, k), NaN where missing. Hours without the value or without any weather are left
    out. Every fifth week is held out to say how well the model does. Same input, same answer.

    The day of the year is a predictor from two years on: before, season and trend are one.
    Raises `NormaliseError`.
    """
    t, y, c, w = floats(day), floats(value), floats(clock), floats(weather)
    if not len(t) == len(y) == len(c) == len(w) or c.shape[1:] != (3,) or w.ndim != 2:
        raise ValueError(f"normalise: {t.shape}, {y.shape}, {c.shape}, {w.shape} do not fit")
    use = np.isfinite(y) & np.isfinite(w).any(axis=1)
    if use.sum() < LEAST:
        raise NormaliseError("few")
    try:
        import lightgbm
    except (ImportError, OSError):
        raise NormaliseError("library") from None
    t, y, c, w = t[use], y[use], c[use], w[use]
    season = bool(np.ptp(t) >= 730)
    rows = np.column_stack([t, c if season else c[:, :2], w])
    week = np.floor(t / WEEK).astype(np.int64)
    held = week % 5 == 2

    def learn(some: npt.NDArray[np.bool_]) -> object:
        return lightgbm.train(PARAMETERS, lightgbm.Dataset(rows[some], y[some]), rounds)

    explained = np.nan
    if held.any() and (~held).any() and np.ptp(y[held]) > 0:
        told = learn(~held).predict(rows[held], num_threads=1)  # type: ignore[attr-defined]
        explained = 1 - float(np.mean((y[held] - told) ** 2)) / float(y[held].var())
    model = learn(np.ones(len(y), dtype=bool))
    random = np.random.default_rng(seed)
    weeks = np.arange(week[0], week[-1] + 1)
    middle = np.clip((weeks + 0.5) * WEEK, t[0], t[-1])
    drawn = rows[random.integers(0, len(rows), draws)]
    many = np.tile(drawn, (len(weeks), 1))
    many[:, 0] = np.repeat(middle, draws)
    normal = model.predict(many, num_threads=1).reshape(len(weeks), draws).mean(axis=1)  # type: ignore[attr-defined]
    count = np.bincount(week - week[0], minlength=len(weeks))
    total = np.bincount(week - week[0], y, minlength=len(weeks))
    measured = np.where(count >= 0.5 * 24 * WEEK, total / np.maximum(count, 1), np.nan)
    return Normalised(middle, measured, np.asarray(normal), explained, len(y), season)
