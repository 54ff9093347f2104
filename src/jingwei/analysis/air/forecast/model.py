"""Learning the forecast: one model a pollutant for all stations and leads, on what damped
persistence leaves over; its spread from how it missed where it had not learned.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.forecast.cases import Climate, Ints, Rows, Single
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.forecast.weather import LEADS

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
BLOCK = 15 * 24  # h; episodes last days, so hours are split into folds by blocks
WARM = 168  # h before the first start
_LEAD_EDGES = (3, 6, 12, 18, 24, 36)
_BINS = 8
COURSES = 240  # starts whose misses are kept whole, to tell how hours, stations and pollutants miss together
UNKNOWN = 65535  # in the ranks of those misses: nothing was measured

Weather = Callable[[History, Ints], Floats]
Extra = Callable[[History, Ints], dict[str, Floats]]


@runtime_checkable
class Fitted(Protocol):
    def predict(self, rows: Single) -> Floats:
        """Expected residual of rows (m, features), (m,)."""
        ...


@runtime_checkable
class Learner(Protocol):
    """What can learn a residual from rows; `jingwei` brings `Boosted`, others plug in here.

    `rows` (m, features) float32 with NaN where something is not known, `residual` (m,) in µg/m³,
    `names` of the features.
    """

    def fit(self, rows: Single, residual: Floats, names: list[str]) -> Fitted: ...


@dataclass(frozen=True)
class Boosted:
    """Gradient-boosted trees (LightGBM), small and slow to learn: three years hold only a few hundred
    episodes."""

    rounds: int = 240
    leaves: int = 31
    rate: float = 0.05
    leaf: int = 500
    features: float = 0.5
    random: bool = False  # thresholds drawn at random: fewer trees agree on the same accident
    threads: int = 1
    seed: int = 3

    def fit(self, rows: Single, residual: Floats, names: list[str]) -> Fitted:
        try:
            import lightgbm
        except (ImportError, OSError) as error:
            raise ValueError(
                f"the forecast needs LightGBM: install jingwei[air] ({error})"
            ) from error
        about = {
            "objective": "regression",
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": min(self.leaf, max(len(rows) // 200, 5)),
            "feature_fraction": self.features,
            "bagging_fraction": 0.5,
            "bagging_freq": 1,
            "extra_trees": self.random,
            "lambda_l2": 1.0,
            "max_bin": 63,
            "num_threads": self.threads,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "verbose": -1,
        }
        found = lightgbm.train(about, lightgbm.Dataset(rows, residual), self.rounds)
        return _Trees(found, self.threads)


@dataclass(frozen=True)
class _Trees:
    booster: Any
    threads: int

    def predict(self, rows: Single) -> Floats:
        return floats(self.booster.predict(rows, num_threads=self.threads))


@dataclass(frozen=True)
class Linear:
    """Ridge regression on standardised rows, on rows above their mean and on rows that fade with the
    lead: what is too weak for a tree to find. Missing values count as the median."""

    ridge: float = 3000.0
    fades: tuple[float, ...] = (6.0, 24.0)  # h

    def fit(self, rows: Single, residual: Floats, names: list[str]) -> Fitted:
        some = np.isfinite(rows).any(axis=0)
        middle = np.zeros(rows.shape[1], np.float32)
        middle[some] = np.nanmedian(rows[:, some], axis=0)
        filled = np.where(np.isnan(rows), middle, rows)
        mean, size = filled.mean(axis=0), filled.std(axis=0) + 1e-6
        found = _Line(middle, mean, size, names.index("lead"), self.fades, np.zeros(0))
        design = found.design(rows)
        normal = design.T @ design + self.ridge * np.eye(design.shape[1])
        weights = floats(np.linalg.solve(normal, design.T @ residual))
        return replace(found, weights=weights)


@dataclass(frozen=True)
class _Line:
    middle: Single
    mean: Single
    size: Single
    lead: int
    fades: tuple[float, ...]
    weights: Floats

    def design(self, rows: Single) -> Single:
        z = (np.where(np.isnan(rows), self.middle, rows) - self.mean) / self.size
        z = np.clip(z, -4, 4).astype(np.float32)
        faded = [z * np.exp(-rows[:, [self.lead]] / hours) for hours in self.fades]
        above = np.maximum(z, 0) * np.exp(-rows[:, [self.lead]] / self.fades[-1])
        return np.concatenate([np.ones((len(z), 1), np.float32), z, *faded, above], axis=1)

    def predict(self, rows: Single) -> Floats:
        return floats(self.design(rows) @ self.weights)


@dataclass(frozen=True)
class Together:
    """The mean of several learners."""

    learners: tuple[Learner, ...]

    def fit(self, rows: Single, residual: Floats, names: list[str]) -> Fitted:
        return _Mean(tuple(one.fit(rows, residual, names) for one in self.learners))


@dataclass(frozen=True)
class _Mean:
    members: tuple[Fitted, ...]

    def predict(self, rows: Single) -> Floats:
        return floats(sum(m.predict(rows) for m in self.members) / len(self.members))


def suited(weather: bool) -> Learner:
    """What learns by default: without a forecast of the weather there is little to be learnt and much
    to be taken for it, so its trees are made dumber and a straight line has half the say. Chosen by
    the misses in the training's own left-out blocks."""
    if weather:
        return Boosted()
    return Together((Boosted(rounds=300, leaf=1500, features=0.3, random=True), Linear()))


def learner(name: str) -> Learner | None:
    """An own learner as `package.module:factory`; None for `boosted`. Raises ValueError."""
    if name == "boosted":
        return None
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute or "learner")()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"learner {name!r}: wanted boosted or module:factory ({error})") from error
    if not isinstance(found, Learner):
        raise ValueError(f"learner {name!r}: what it makes has no fit(rows, residual, names)")
    return found


@dataclass(frozen=True)
class Forecast:
    """Of one pollutant, µg/m³. mean, damped (starts, stations, LEADS); last (starts, stations);
    quantiles (starts, stations, LEADS, len(LEVELS)). Lead k is the hour k + 1 after the start's."""

    pollutant: str
    starts: Ints
    mean: Floats
    quantiles: Floats
    damped: Floats
    last: Floats


def spliced(known: Forecast, bare: Forecast, hours: int) -> Forecast:
    """`known` for the first `hours` leads, `bare` after them: for a forecast of the weather that ends
    before 48 hours. Both of the same pollutant and starts."""
    if known.pollutant != bare.pollutant or not np.array_equal(known.starts, bare.starts):
        raise ValueError("forecast: two forecasts of different things cannot be joined")
    if not 0 <= hours <= LEADS:
        raise ValueError(f"forecast: the weather reaches 0 to {LEADS} hours, not {hours}")
    mean, quantiles = known.mean.copy(), known.quantiles.copy()
    mean[..., hours:], quantiles[..., hours:, :] = (
        bare.mean[..., hours:],
        bare.quantiles[..., hours:, :],
    )
    return replace(known, mean=mean, quantiles=quantiles)


@dataclass(frozen=True)
class Spread:
    """Quantiles of the misses by lead and by level of the forecast.

    `centres` (leads, bins), `misses` (leads, bins, len(LEVELS)).
    """

    centres: Floats
    misses: Floats

    @classmethod
    def fit(cls, lead: Ints, mean: Floats, miss: Floats) -> Spread:
        centres = np.zeros((len(_LEAD_EDGES) + 1, _BINS))
        misses = np.zeros((*centres.shape, len(LEVELS)))
        for k, b, some in _bins(lead, mean):
            centres[k, b] = mean[some].mean()
            misses[k, b] = np.quantile(miss[some], LEVELS)
        return cls(centres, misses)

    def __call__(self, mean: Floats) -> Floats:
        """Quantiles of forecasts (…, LEADS): (…, LEADS, len(LEVELS)), at least 0 and in order."""
        out = np.empty((*mean.shape, len(LEVELS)))
        part = np.searchsorted(_LEAD_EDGES, np.arange(1, LEADS + 1))
        for lead, k in enumerate(part):
            m = mean[..., lead]
            for q in range(len(LEVELS)):
                out[..., lead, q] = m + np.interp(m, self.centres[k], self.misses[k, :, q])
        return floats(np.maximum(np.sort(out, axis=-1), 0.0))


def _bins(lead: Ints, mean: Floats) -> Iterator[tuple[int, int, Ints]]:
    """Cases by part of the leads and by level of the forecast. Raises ValueError for too few."""
    part = np.searchsorted(_LEAD_EDGES, lead)
    for k in range(len(_LEAD_EDGES) + 1):
        at = np.flatnonzero(part == k)
        if len(at) < 4 * _BINS:
            raise ValueError("forecast: too few hours to learn the spread from")
        for b, some in enumerate(np.array_split(at[np.argsort(mean[at])], _BINS)):
            yield k, b, some


def widened(quantiles: Floats) -> Floats:
    """With those of 0 and 1, on the lines through the two outermost: (…, len(LEVELS) + 2)."""
    first = 2 * quantiles[..., :1] - quantiles[..., 1:2]
    last = 2 * quantiles[..., -1:] - quantiles[..., -2:-1]
    return np.concatenate([first, quantiles, last], axis=-1)


def rank(quantiles: Floats, value: Floats) -> Floats:
    """Where values (…) stand in distributions known by their quantiles (…, len(LEVELS)): 0…1, linear
    between the quantiles; NaN where there is no value."""
    levels, q = np.array([0.0, *LEVELS, 1.0]), widened(quantiles)
    at = np.clip((q <= value[..., None]).sum(axis=-1) - 1, 0, len(levels) - 2)
    low = np.take_along_axis(q, at[..., None], -1)[..., 0]
    high = np.take_along_axis(q, at[..., None] + 1, -1)[..., 0]
    share = np.clip((value - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    return floats(levels[at] + share * (levels[at + 1] - levels[at]))


@dataclass(frozen=True)
class Model:
    """A trained forecast of one pollutant: `at(history, starts)` forecasts.

    `courses` (COURSES, stations, LEADS), uint16: where the left-out misses of whole forecasts stand in
    their spread, 0…65534, UNKNOWN where nothing was measured; models with the same `drawn` have them
    of the same starts.
    """

    pollutant: str
    stations: tuple[str, ...]
    climate: Climate
    members: tuple[Fitted, ...]
    spread: Spread
    weather: Weather | None
    further: Extra | None
    past_weather: bool
    names: tuple[str, ...]
    courses: npt.NDArray[np.uint16] = field(
        default_factory=lambda: np.zeros((0, 0, LEADS), np.uint16), repr=False
    )
    drawn: str = ""

    def _rows(self, history: History, starts: Ints) -> Rows:
        return Rows(
            history,
            self.pollutant,
            self.climate,
            starts,
            forecast=None if self.weather is None else self.weather(history, starts),
            extra=None if self.further is None else self.further(history, starts),
            past_weather=self.past_weather,
        )

    def at(self, history: History, starts: npt.ArrayLike) -> Forecast:
        """Forecasts from the ends of the hours number `starts`. Raises ValueError where the stations
        are not those of the training, the pollutants or the weather are others, or a start has no week
        before it."""
        if history.stations != self.stations:
            raise ValueError(f"forecast: trained for {len(self.stations)} other stations")
        begin = np.asarray(starts, np.int64)
        if len(begin) and (begin.min() < WARM or begin.max() >= len(history)):
            raise ValueError(f"forecast: a start needs {WARM} hours of history before it")
        stations = len(self.stations)
        mean = np.empty((len(begin), stations, LEADS))
        damped, now = np.empty_like(mean), np.empty(mean.shape[:2])
        for low in range(0, len(begin), 64):
            part = begin[low : low + 64]
            rows = self._rows(history, part)
            if tuple(rows.names) != self.names:
                odd = sorted(set(rows.names) ^ set(self.names)) or ["their order"]
                raise ValueError(f"forecast: not what it learned from ({', '.join(odd[:5])})")
            n, s, h = (
                a.ravel()
                for a in np.meshgrid(
                    np.arange(len(part)),
                    np.arange(stations),
                    np.arange(1, LEADS + 1),
                    indexing="ij",
                )
            )
            table, base = rows.table(n, s, h)
            told = base + sum(m.predict(table) for m in self.members) / len(self.members)
            shape = (len(part), stations, LEADS)
            mean[low : low + 64] = np.maximum(told, 0.0).reshape(shape)
            damped[low : low + 64] = base.reshape(shape)
            now[low : low + 64] = rows.persistence(n, s).reshape(shape)[..., 0]
        return Forecast(self.pollutant, begin, mean, self.spread(mean), damped, now)


def joined(known: Model, bare: Model, hours: int) -> Model:
    """`known` with the courses of `bare` after the first `hours` leads, as `spliced` joins their
    forecasts."""
    if not hours:
        return bare
    if known.drawn != bare.drawn:
        return known
    courses = known.courses.copy()
    courses[..., hours:] = bare.courses[..., hours:]
    return replace(known, courses=courses)


def train(
    history: History,
    pollutant: str,
    until: int,
    *,
    weather: Weather | None = None,
    extra: Extra | None = None,
    past_weather: bool = True,
    learner: Learner | None = None,
    rows: int = 300_000,
    folds: int = 3,
    seed: int = 1,
) -> Model:
    """Learn from the hours before `until` alone.

    `weather` hands in forecasts of the weather for any starts (None: none), `extra` further
    forecasts such as that of the dispersion model. The hours are split by blocks of 15 days into
    `folds`; each member learns without one of them and is judged on it; the members' mean is the
    forecast, their misses its spread, and those of `COURSES` whole forecasts say what misses together. Raises ValueError where there is too little to learn from.
    """
    if pollutant not in history.values:
        raise ValueError(f"forecast: {pollutant} is not measured ({', '.join(history.values)} are)")
    if weather is not None and not history.weather:
        raise ValueError("forecast: there is no weather to learn from")
    until = min(until, len(history))
    possible = np.arange(WARM, until - LEADS)
    if len(possible) < 2 * folds * BLOCK:
        raise ValueError(
            f"forecast: {max(until, 0)} hours to learn from, wanted {2 * folds * BLOCK + WARM + LEADS}"
        )
    random = np.random.default_rng(seed)
    values = history.values[pollutant]
    climate = Climate.fit(history, values, until)
    starts = np.sort(random.choice(possible, min(len(possible), 6000), replace=False))
    model = Model(
        pollutant, history.stations, climate, (), Spread(np.zeros(0), np.zeros(0)),
        weather, extra, past_weather, (),
    )  # fmt: skip
    source = model._rows(history, starts)
    n = random.integers(0, len(starts), rows)
    s = random.integers(0, len(history.stations), rows)
    h = random.integers(1, LEADS + 1, rows)
    kept = np.unique(np.linspace(0, len(starts) - 1, COURSES).astype(np.int64))
    drawn = hashlib.sha256(starts[kept].tobytes()).hexdigest()[:16]
    true = source.target(n, s, h)
    known = np.isfinite(true) & np.isfinite(source.persistence(n, s))
    n, s, h, true = n[known], s[known], h[known], true[known]
    if len(n) < 1000:
        raise ValueError(f"forecast: {pollutant} has only {len(n)} usable hours of {rows}")
    table, base = source.table(n, s, h)
    residual = true - base
    begin = starts[n]
    fold = begin // BLOCK % folds
    # What a row knows or asks for reaches a day back and two days on.
    near = np.stack([(begin + d) // BLOCK % folds for d in (-24, LEADS)])
    how = learner or suited(weather is not None)
    members, misses = [], np.full(len(n), np.nan)
    for f in range(folds):
        own = (fold != f) & (near != f).all(axis=0)
        member = how.fit(table[own], residual[own], source.names)
        out = fold == f
        misses[out] = residual[out] - member.predict(table[out])
        members.append(member)
    told = np.maximum(true - misses, 0.0)
    spread = Spread.fit(h, told, true - told)
    courses = np.full((len(kept), len(history.stations), LEADS), UNKNOWN, np.uint16)
    for f, member in enumerate(members):
        out = np.flatnonzero(starts[kept] // BLOCK % folds == f)
        for some in np.array_split(out, len(out) // 16 + 1):
            shape = (len(some), *courses.shape[1:])
            n, s, h = (a.ravel() for a in np.indices(shape))
            n, h = kept[some[n]], h + 1
            table, base = source.table(n, s, h)
            mean = np.maximum(base + member.predict(table), 0.0).reshape(shape)
            true = np.where(np.isfinite(source.persistence(n, s)), source.target(n, s, h), np.nan)
            place = rank(spread(mean), true.reshape(shape))
            courses[some] = np.where(np.isnan(place), UNKNOWN, np.nan_to_num(place) * (UNKNOWN - 1))
    return Model(
        pollutant, history.stations, climate, tuple(members), spread,
        weather, extra, past_weather, tuple(source.names), courses, drawn,
    )  # fmt: skip
