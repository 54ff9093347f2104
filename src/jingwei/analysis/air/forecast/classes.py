"""From concentrations of all pollutants to the hourly index, its class and heavy episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.forecast.model import LEVELS, Forecast
from jingwei.standards import aqi

_ITEM = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "CO": "co", "O3": "o3"}
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


def index(forecasts: Mapping[str, Forecast], edition: str = "2026") -> Index:
    """The AQI of forecasts of the same starts.

    Its quantile is the largest IAQI of the pollutants' quantiles: pollutants are taken to be high
    together, which makes high classes a little too likely, never too unlikely. Beyond the 5 % and
    95 % quantiles the distribution goes on like a line through the two outermost.
    """
    names = tuple(forecasts)
    parts = []
    for name in names:
        given = forecasts[name].quantiles * _SCALE.get(name, 1.0)
        parts.append(aqi.iaqi_array(_ITEM[name], given, edition).astype(float))
    stacked = np.stack(parts)
    top = np.maximum.accumulate(stacked.max(axis=0), axis=-1)
    uppers = np.array([x.upper for x in aqi.LEVELS][:-1], float)
    return Index(
        names,
        top,
        stacked[..., LEVELS.index(0.5)].argmax(axis=0),
        np.diff(_below(top, uppers), axis=-1, prepend=0.0, append=1.0),
    )


def _below(quantiles: Floats, bounds: Floats) -> Floats:
    """Probability of at most each bound, from quantiles at LEVELS: (…, len(bounds))."""
    levels = np.array([0.0, *LEVELS, 1.0])
    first = 2 * quantiles[..., :1] - quantiles[..., 1:2]
    last = 2 * quantiles[..., -1:] - quantiles[..., -2:-1]
    q = np.concatenate([first, quantiles, last], axis=-1)
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
    uppers = [x.upper for x in aqi.LEVELS]
    if above not in uppers[:-1]:
        raise ValueError(f"episodes: {above} is no upper bound of a class ({uppers[:-1]})")
    chance = found.probability[start, ..., uppers.index(above) + 1 :].sum(axis=-1)
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
