"""What a forecast knows at its start: one row of numbers for a start, a station and a lead.

Nothing later than the hour of the start enters a row, except the forecast of the weather that the
caller hands in (and a dispersion forecast, where there is one).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.forecast.history import WEATHER, History
from jingwei.analysis.air.forecast.weather import LEADS

Ints = npt.NDArray[np.int64]
Single = npt.NDArray[np.float32]

MEMORY = 18.0  # h; how fast a deviation from the usual is forgotten
PATIENCE = 6  # h; a last value older than this is none
PAST = 24  # h of measured weather before the start
LAGS = (1, 2, 3, 6, 12, 24)
MEANS = (3, 6, 12, 24, 72, 168)
PAST_MEANS = (1, 24)


@dataclass(frozen=True)
class Climate:
    """What is usual: two harmonics of the year for every hour of the day, (24, 5, stations)."""

    terms: Floats

    @classmethod
    def fit(cls, history: History, values: Floats, until: int) -> Climate:
        """From the hours before `until`. A station without values gets the city's."""
        index = np.arange(min(until, len(history)))
        hour, basis = history.hour(index), _harmonics(history.day(index))
        city = np.nan_to_num(_mean(values[: len(index)]), nan=np.nan)[:, None]
        terms = np.zeros((24, basis.shape[1], values.shape[1]))
        for k in range(24):
            at = hour == k
            general = _least(basis[at], city[at, 0], np.zeros(basis.shape[1]))
            for s in range(values.shape[1]):
                terms[k, :, s] = _least(basis[at], values[: len(index)][at, s], general)
        return cls(terms)

    def __call__(self, history: History, index: Ints, station: Ints) -> Floats:
        """Usual level of hours (n,) at stations (n,), at least 0."""
        terms = self.terms[history.hour(index), :, station]
        return floats(np.maximum(np.einsum("nk,nk->n", _harmonics(history.day(index)), terms), 0.0))


def _harmonics(day: Floats) -> Floats:
    angle = 2 * np.pi * day / 365.25
    return np.column_stack(
        [np.ones(len(day)), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
    )


def _least(basis: Floats, values: Floats, otherwise: Floats) -> Floats:
    known = np.isfinite(values)
    if known.sum() < 60:
        # Too little for a year's course: the general course, at this station's level where known.
        found = otherwise.copy()
        if known.any():
            found[0] += float(np.mean(values[known] - basis[known] @ otherwise))
        return found
    return floats(np.linalg.lstsq(basis[known], values[known], rcond=None)[0])


def _mean(values: Floats) -> Floats:
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def last(values: Floats, patience: int = PATIENCE) -> Floats:
    """The newest value of each hour (hours, …) that is at most `patience` hours old, else NaN."""
    out = values.copy()
    for k in range(1, patience + 1):
        gap = np.isnan(out[k:])
        out[k:][gap] = values[:-k][gap]
    return out


def trailing(values: Floats, hours: int) -> Floats:
    """Mean of the last `hours` values up to each hour, NaN where fewer than a third are known."""
    known = np.isfinite(values)
    total = np.cumsum(np.where(known, values, 0.0), axis=0)
    count = np.cumsum(known, axis=0)
    total[hours:] -= total[:-hours].copy()
    count[hours:] -= count[:-hours].copy()
    return np.where(count * 3 >= hours, total / np.maximum(count, 1), np.nan)


def _windows(values: Floats, width: int, ahead: int) -> Floats:
    """Means over [k - width + 1 + ahead, k + ahead] along axis 1 (n, hours, c), cut at the ends."""
    hours = values.shape[1]
    total = np.concatenate([np.zeros_like(values[:, :1]), np.cumsum(values, axis=1)], axis=1)
    k = np.arange(hours)
    high = np.minimum(k + ahead + 1, hours)
    low = np.clip(k + ahead + 1 - width, 0, hours - 1)
    return np.asarray((total[:, high] - total[:, low]) / (high - low)[None, :, None])


class Rows:
    """Rows for forecasts of one pollutant from the given starts (numbers of hours).

    `forecast`: (starts, LEADS, len(WEATHER)) or None; `extra`: further forecasts such as that of a
    dispersion model, name -> (starts, stations, LEADS). `past_weather`: whether measured weather up
    to the start may be used.
    """

    def __init__(
        self,
        history: History,
        pollutant: str,
        climate: Climate,
        starts: Ints,
        *,
        forecast: Floats | None = None,
        extra: dict[str, Floats] | None = None,
        past_weather: bool = True,
    ) -> None:
        self.history, self.climate, self.starts = history, climate, starts
        self.values = history.values[pollutant]
        self.extra = extra or {}
        self._last = last(self.values)[starts]
        self.state_names, self.state = self._state(pollutant)
        self.air_names, self.air = self._air(forecast, past_weather and bool(history.weather))

    def _state(self, pollutant: str) -> tuple[list[str], Single]:
        """(starts, stations, features): what is known of a station and of the city at the start."""
        names, parts = [], []
        v = self.values
        city = np.broadcast_to(_mean(v)[:, None], v.shape)

        def add(name: str, table: Floats) -> None:
            names.append(name)
            parts.append(table[self.starts])

        add("now", last(v))
        for lag in LAGS:
            add(f"lag {lag}", np.concatenate([np.full((lag, v.shape[1]), np.nan), v[:-lag]]))
        for width in MEANS:
            add(f"mean {width}", trailing(v, width))
        city_now = last(city)
        add("city", city_now)
        for width in MEANS:
            add(f"city mean {width}", trailing(city, width))
        some = floats(np.isfinite(v).any(axis=1))[:, None] > 0
        spread = np.nanstd(np.where(some, v, 0.0), axis=1)
        add("city spread", np.broadcast_to(spread[:, None], v.shape))
        for other, series in self.history.values.items():
            if other != pollutant:
                add(other, last(series))
                add(f"{other} mean 24", trailing(series, 24))
        return names, np.stack(parts, axis=-1).astype(np.float32)

    def _air(self, forecast: Floats | None, past: bool) -> tuple[list[str], Single]:
        """(starts, LEADS, features): weather until the start and, where forecast, after it."""
        n = len(self.starts)
        if not past:
            return [], np.zeros((n, LEADS, 0), np.float32)
        table = np.column_stack([self.history.weather[w] for w in WEATHER])
        at = self.starts[:, None] + np.arange(1 - PAST, 1)
        before = np.where((at >= 0)[..., None], table[np.maximum(at, 0)], np.nan)
        names, flat = [], []
        for width in PAST_MEANS:
            names += [f"{w} past {width}" for w in WEATHER]
            flat.append((trailing(table, width) if width > 1 else last(table))[self.starts])
        known = np.concatenate(flat, axis=1)
        parts = [np.broadcast_to(known[:, None], (n, LEADS, known.shape[1]))]
        pressure = WEATHER.index("pressure")
        if forecast is not None:
            whole = np.concatenate([before, forecast], axis=1)
            # An hour without weather takes that of the hour before it; the sums need every one.
            for k in range(1, whole.shape[1]):
                gap = np.isnan(whole[:, k])
                whole[:, k][gap] = whole[:, k - 1][gap]
            whole = np.nan_to_num(whole)
            ws = whole[..., WEATHER.index("speed")]
            u, v = whole[..., WEATHER.index("u")], whole[..., WEATHER.index("v")]
            t, td = whole[..., 0], whole[..., 1]
            more = np.stack([t - td, np.maximum(-v, 0), np.maximum(v, 0), u * v, ws * ws], axis=-1)
            whole = np.concatenate([whole, more], axis=-1)
            full = [*WEATHER, "depression", "northerly", "southerly", "uv", "square"]
            cut = slice(PAST, None)
            # How far the air has come since the start, and the strongest wind on the way.
            lead = np.arange(1, LEADS + 1)[:, None]
            since = np.cumsum(whole[:, cut], axis=1) / lead
            strongest = np.maximum.accumulate(_windows(whole, 3, 1)[:, cut][..., [4, 5, 7]], axis=1)
            # Pollution runs up while the air stands and is gone after a front: exponential memory of
            # ventilation over the whole way.
            for label, values in (
                ("at", whole[:, cut]),
                ("around", _windows(whole, 7, 3)[:, cut]),
                ("6 h", _windows(whole, 6, 0)[:, cut]),
                ("12 h", _windows(whole, 12, 0)[:, cut]),
                ("24 h", _windows(whole, 24, 0)[:, cut]),
                ("since", since),
            ):
                names += [f"{w} {label}" for w in full]
                parts.append(values)
            names += ["strongest v", "strongest speed", "strongest northerly"]
            parts.append(strongest)
            change = whole[:, cut][..., [0, 1, pressure]] - whole[:, :LEADS][..., [0, 1, pressure]]
            names += ["t change", "td change", "p change"]
            parts.append(change)
        return names, np.concatenate(parts, axis=-1).astype(np.float32)

    @property
    def names(self) -> list[str]:
        return [
            "lead", "hour", "sin year", "cos year", "usual", "usual now", "damped", "same hour",
            "station", *self.state_names, *self.air_names, *self.extra,
        ]  # fmt: skip

    def base(self, n: Ints, s: Ints, lead: Ints) -> tuple[Floats, Floats, Floats]:
        """Damped persistence; the usual level then, and at the start.

        The last value with the weight exp(-lead/18 h), the rest the usual level of the hour; the
        usual level alone where there is no last value.
        """
        start = self.starts[n]
        then = self.climate(self.history, start + lead, s)
        weight = np.exp(-lead / MEMORY)
        now = self._last[n, s]
        return (
            np.where(np.isnan(now), then, weight * now + (1 - weight) * then),
            then,
            self.climate(self.history, start, s),
        )

    def persistence(self, n: Ints, s: Ints) -> Floats:
        return self._last[n, s]

    def target(self, n: Ints, s: Ints, lead: Ints) -> Floats:
        """What came, NaN where nothing was measured."""
        at = self.starts[n] + lead
        known = at < len(self.history)
        return np.where(known, self.values[np.where(known, at, 0), s], np.nan)

    def table(self, n: Ints, s: Ints, lead: Ints) -> tuple[Single, Floats]:
        """(rows (m, features), damped persistence (m,)) for starts number n, stations s, leads 1…48."""
        damped, then, now = self.base(n, s, lead)
        at = self.starts[n] + lead
        year = 2 * np.pi * self.history.day(at) / 365.25
        # The newest known value at the same hour of the day.
        back = at - 24 * -(-lead // 24)
        same = np.where(back >= 0, self.values[np.maximum(back, 0), s], np.nan)
        own = np.column_stack(
            [lead, self.history.hour(at), np.sin(year), np.cos(year), then, now, damped, same, s]
        ).astype(np.float32)
        more = [e[n, s, lead - 1].astype(np.float32)[:, None] for e in self.extra.values()]
        return np.concatenate([own, self.state[n, s], self.air[n, lead - 1], *more], axis=1), damped
