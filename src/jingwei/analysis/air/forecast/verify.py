"""What a forecast is worth: errors by lead beside persistence and damped persistence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.forecast.classes import Index, hourly
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.forecast.model import LEVELS, Forecast
from jingwei.analysis.air.forecast.weather import LEADS

SPANS = ((1, 6), (7, 12), (13, 24), (25, 48), (1, 48))


@dataclass(frozen=True)
class Errors:
    """Over the leads `first`…`last`. µg/m³; skill = 1 - MSE/MSE of the reference; `within`: share of
    the truth between the 10 % and the 90 % quantile."""

    first: int
    last: int
    cases: int
    rmse: float
    mae: float
    bias: float
    persistence: float
    damped: float
    skill_persistence: float
    skill_damped: float
    within: float


@dataclass(frozen=True)
class Alarms:
    """Hours above a level: hits over all that were forecast or came (CSI), share of those that came
    that were forecast (POD), share of those forecast that did not come (FAR); NaN where none."""

    above: float
    hours: int
    csi: float
    pod: float
    far: float


def truth(history: History, forecast: Forecast) -> Floats:
    """What came, (starts, stations, LEADS), NaN where nothing was measured."""
    values = history.values[forecast.pollutant]
    at = forecast.starts[:, None] + 1 + np.arange(LEADS)
    known = at < len(history)
    found = np.where(known[..., None], values[np.where(known, at, 0)], np.nan)
    return np.swapaxes(found, 1, 2)


def _errors(true: Floats, f: Forecast, first: int, last: int) -> Errors:
    cut = slice(first - 1, last)
    t = true[..., cut]
    now = np.broadcast_to(f.last[..., None], t.shape)
    use = np.isfinite(t) & np.isfinite(now)
    if not use.any():
        nan = float("nan")
        return Errors(first, last, 0, nan, nan, nan, nan, nan, nan, nan, nan)
    t, now = t[use], now[use]
    mean, damped = f.mean[..., cut][use], f.damped[..., cut][use]
    low = f.quantiles[..., cut, LEVELS.index(0.1)][use]
    high = f.quantiles[..., cut, LEVELS.index(0.9)][use]
    square, kept, held = (float(np.mean((x - t) ** 2)) for x in (mean, now, damped))
    return Errors(
        first=first,
        last=last,
        cases=len(t),
        rmse=square**0.5,
        mae=float(np.mean(np.abs(mean - t))),
        bias=float(np.mean(mean - t)),
        persistence=kept**0.5,
        damped=held**0.5,
        skill_persistence=1 - square / kept if kept else float("nan"),
        skill_damped=1 - square / held if held else float("nan"),
        within=float(np.mean((low <= t) & (t <= high))),
    )


def errors(
    history: History, forecast: Forecast, spans: Sequence[tuple[int, int]] = SPANS
) -> list[Errors]:
    """Errors over spans of leads, of hours with a truth and a value at the start."""
    true = truth(history, forecast)
    return [_errors(true, forecast, a, b) for a, b in spans]


def by_lead(history: History, forecast: Forecast) -> list[Errors]:
    """Errors of every lead for itself."""
    return errors(history, forecast, [(k, k) for k in range(1, LEADS + 1)])


def alarms(history: History, forecast: Forecast, above: float) -> Alarms:
    """How well hours above a level are forecast by the mean."""
    true = truth(history, forecast)
    use = np.isfinite(true) & np.isfinite(forecast.last[..., None])
    came, told = true[use] > above, forecast.mean[use] > above
    hits = int((came & told).sum())
    nan = float("nan")
    return Alarms(
        above=above,
        hours=int(came.sum()),
        csi=hits / int((came | told).sum()) if (came | told).any() else nan,
        pod=hits / int(came.sum()) if came.any() else nan,
        far=1 - hits / int(told.sum()) if told.any() else nan,
    )


@dataclass(frozen=True)
class Chance:
    """Told chances that the index is above `above` against what came: `told` the mean chance and
    `came` the share of the hours; `brier` the mean of (chance - came)², `usual` that of telling
    `came` every time; `bins`: lower edge of the chance, hours, mean chance, share that came."""

    above: int
    hours: int
    told: float
    came: float
    brier: float
    usual: float
    bins: tuple[tuple[float, int, float, float], ...]


def index_truth(history: History, forecasts: Mapping[str, Forecast], edition: str) -> Floats:
    """The hourly index that came (starts, stations, LEADS) by the pollutants of the forecasts; NaN where
    one of them was not measured."""
    parts = [hourly(name, truth(history, f), edition) for name, f in forecasts.items()]
    return np.asarray(np.stack(parts).max(axis=0) + 0 * np.stack(parts).sum(axis=0))


def chances(found: Index, came: Floats, above: Sequence[int] = (100, 150, 200)) -> list[Chance]:
    """How well the chances of high classes hold; `came` as from `index_truth`."""
    out = []
    use = np.isfinite(came)
    for level in above:
        told = found.over(level)[use]
        high = came[use] > level
        share = float(high.mean())
        part = np.minimum((told * 5).astype(int), 4)
        bins = tuple(
            (
                k / 5,
                int((part == k).sum()),
                float(told[part == k].mean()),
                float(high[part == k].mean()),
            )
            for k in range(5)
            if (part == k).any()
        )
        out.append(
            Chance(level, int(use.sum()), float(told.mean()), share,
                   float(np.mean((told - high) ** 2)), share * (1 - share), bins)
        )  # fmt: skip
    return out
