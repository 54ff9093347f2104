"""From concentrations of all pollutants to the hourly index, its class and heavy episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.forecast.model import LEVELS, UNKNOWN, Forecast, Model, widened
from jingwei.standards import aqi

_ITEM = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "CO": "co", "O3": "o3"}
LEAST = 100  # starts with all pollutants, below which it is not told how they miss together
_SCALE = {"CO": 1e-3}  # the index judges CO in mg/m³


@dataclass(frozen=True)
class Index:
    """index (starts, stations, LEADS, len(LEVELS)): quantiles of the AQI; leading (same less the
    last axis): the pollutant that makes the median, by its number in `pollutants`; probability
    (…, LEADS, 6): of each class."""

    pollutants: tuple[str, ...]
    index: Floats
    leading: npt.NDArray[np.int64]
    probability: Floats

    def over(self, above: int) -> Floats:
        """Chance (starts, stations, LEADS) of an index above a class's upper bound."""
        uppers = [x.upper for x in aqi.LEVELS]
        if above not in uppers[:-1]:
            raise ValueError(f"index: {above} is no upper bound of a class ({uppers[:-1]})")
        return np.asarray(self.probability[..., uppers.index(above) + 1 :].sum(axis=-1))


def hourly(pollutant: str, values: Floats, edition: str = "2026") -> Floats:
    """IAQI of concentrations in µg/m³; NaN where there is none."""
    found = aqi.iaqi_array(_ITEM[pollutant], values * _SCALE.get(pollutant, 1.0), edition)
    return np.where(found < 0, np.nan, found.astype(float))


@dataclass(frozen=True)
class Together:
    """How hours, stations and pollutants miss together. `order` (pollutants, stations, LEADS, courses):
    the place of each course among all, 0…courses - 1, for every pollutant, station and lead."""

    order: npt.NDArray[np.int64]

    def draws(self, forecasts: Mapping[str, Forecast], start: int) -> dict[str, Floats]:
        """Courses of each pollutant (stations, LEADS, courses), µg/m³, of the start with this number.

        At each lead they have the forecast's quantiles, and they go up and down together as the
        left-out forecasts did (empirical copula). Beyond the 5 % and 95 % quantiles the distribution
        goes on like a line through the two outermost.
        """
        count = self.order.shape[-1]
        weights = _drawing((np.arange(count) + 0.5) / count)
        found = {}
        for order, (name, told) in zip(self.order, forecasts.items(), strict=True):
            sorted_ = np.maximum(widened(told.quantiles[start]) @ weights, 0.0)
            found[name] = np.take_along_axis(sorted_, order, axis=-1)
        return found


def joint(models: Sequence[Model]) -> Together | None:
    """What the misses of the models' left-out forecasts say; None where they were not learned from the
    same starts, or fewer than `LEAST` have all pollutants. What was not measured is taken to miss
    like the mean of the other stations at that hour, else like the hours beside it."""
    if not models or not models[0].drawn or len({m.drawn for m in models}) > 1:
        return None
    ranks = np.stack([np.moveaxis(m.courses, 0, -1) for m in models]) / (UNKNOWN - 1)
    ranks[ranks > 1] = np.nan
    ranks = ranks[..., np.isfinite(ranks).any(axis=(1, 2)).all(axis=0)]
    if ranks.shape[-1] < LEAST:
        return None
    known = np.isfinite(ranks)
    count = known.sum(axis=1)
    city = np.where(count > 0, np.where(known, ranks, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
    hours = np.arange(city.shape[1])
    for pollutant in city:
        for course in pollutant.T:
            there = np.isfinite(course)
            course[~there] = np.interp(hours[~there], hours[there], course[there])
    filled = np.where(known, ranks, city[:, None])
    return Together(filled.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable"))


def index(
    forecasts: Mapping[str, Forecast], edition: str = "2026", together: Together | None = None
) -> Index:
    """The AQI of forecasts of the same starts: the largest IAQI of the pollutants.

    `together`, of `joint`: the pollutants are high together as often as in the left-out forecasts.
    Without it the quantile of the index is the largest IAQI of the pollutants' quantiles, as if they
    were always high together; then the chance of at most a value is the largest that is possible
    (Fréchet's upper bound), so the chances of high classes are the lowest that are possible.
    """
    names = tuple(forecasts)
    given = [forecasts[n].quantiles * _SCALE.get(n, 1.0) for n in names]
    stacked = np.stack(
        [
            aqi.iaqi_array(_ITEM[n], q, edition).astype(float)
            for n, q in zip(names, given, strict=True)
        ]
    )
    leading = stacked[..., LEVELS.index(0.5)].argmax(axis=0)
    uppers = np.array([x.upper for x in aqi.LEVELS][:-1], float)
    if together is None or len(names) == 1:
        top = np.maximum.accumulate(stacked.max(axis=0), axis=-1)
        under = _below(top, uppers)
    else:
        top = np.empty(given[0].shape)
        under = np.empty((*top.shape[:-1], len(uppers)))
        for start in range(len(top)):  # one start at a time: all draws of a year would not fit
            sample = np.full((*top.shape[1:-1], together.order.shape[-1]), -1, np.int16)
            for n, v in together.draws(forecasts, start).items():
                values = v * _SCALE.get(n, 1.0)
                np.maximum(sample, aqi.iaqi_array(_ITEM[n], values, edition), out=sample)
            top[start] = np.moveaxis(
                np.quantile(sample, LEVELS, axis=-1, method="inverted_cdf"), 0, -1
            )
            under[start] = (sample[..., None] <= uppers).mean(axis=-2)
    return Index(names, top, leading, np.diff(under, axis=-1, prepend=0.0, append=1.0))


def _drawing(rank: Floats) -> Floats:
    """Weights (len(LEVELS) + 2, cases) that make the quantiles of ranks from those at the levels."""
    levels = np.array([0.0, *LEVELS, 1.0])
    low = np.clip(np.searchsorted(levels, rank, side="right") - 1, 0, len(levels) - 2)
    share = (rank - levels[low]) / (levels[low + 1] - levels[low])
    found = np.zeros((len(levels), len(rank)))
    found[low, np.arange(len(rank))] = 1 - share
    found[low + 1, np.arange(len(rank))] = share
    return found


def _below(quantiles: Floats, bounds: Floats) -> Floats:
    """Probability of at most each bound, from quantiles at LEVELS: (…, len(bounds))."""
    levels = np.array([0.0, *LEVELS, 1.0])
    q = widened(quantiles)
    out = np.empty((*q.shape[:-1], len(bounds)))
    for k, bound in enumerate(bounds):
        under = q <= bound
        j = np.clip(under.sum(axis=-1) - 1, 0, len(levels) - 2)
        low = np.take_along_axis(q, j[..., None], -1)[..., 0]
        high = np.take_along_axis(q, j[..., None] + 1, -1)[..., 0]
        share = np.clip((bound - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        p = levels[j] + share * (levels[j + 1] - levels[j])
        out[..., k] = np.where(under.any(axis=-1), np.where(under.all(axis=-1), 1.0, p), 0.0)
    return np.maximum.accumulate(out, axis=-1)


@dataclass(frozen=True)
class Episode:
    """Hours above a level at one station: leads `first`…`last` (1…48), the highest value and its lead,
    and the largest probability on the way."""

    station: int
    first: int
    last: int
    peak: float
    peak_lead: int
    probability: float


def episodes(found: Index, start: int, above: int = 200, least: int = 3) -> list[Episode]:
    """Where and when the median AQI stays above a class's upper bound for `least` hours or more, from
    start number `start`; the worst first. 200: heavily polluted."""
    chance = found.over(above)[start]
    median = found.index[start, ..., LEVELS.index(0.5)]
    out = []
    for s, series in enumerate(median):
        edges = np.flatnonzero(np.diff(np.r_[0, (series > above).astype(int), 0]))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            if b - a >= least:
                peak = int(a + series[a:b].argmax())
                out.append(
                    Episode(s, int(a) + 1, int(b), float(series[peak]), peak + 1,
                            float(chance[s, a:b].max()))
                )  # fmt: skip
    return sorted(out, key=lambda e: (-e.peak, e.first, e.station))
