"""Who may be behind what a station measured: matrix, inversion and shares for one station and time.

Raises nothing about people: it ranks sources by how probable it is that they emit far more than is
known of them, says how much of the increment known emissions explain, and what stays unexplained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import loss, tracing
from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.puffs import Sources
from jingwei.analysis.air.tracing import Candidate
from jingwei.analysis.air.weather import Weather

Bools = npt.NDArray[np.bool_]

# Own choices, tried on made-up cities only: errors of wind, model and background, and what is stuck.
TURN, STRETCH = 8.0, 0.15  # one standard deviation of wind direction (degrees) and speed
STUCK = 6  # equal hours in a row that no station measures
LIVELY = 20.0  # steps of its rounding; a value below may well stand still
MEMORY = 12  # hours that a puff is followed back
LONGEST = 72  # hours asked about at once
THRESHOLD = 3.0  # times the known rate that counts as far more
RELATIVE = 0.3  # error of the model by value
CALM_RELATIVE = 1.0  # the same where the air stands: how far it drifts is unknown
INSTRUMENT, UNEVEN = 2.0, 0.2  # µg/m³; share of the background that differs from place to place


class AttributionError(ValueError):
    """Nothing can be attributed: why, in words."""


@dataclass(frozen=True)
class Share:
    """One source at the asked station, means over the asked hours, µg/m³.

    `known`: from its known rate; `likely`, `low`, `high`: from the posterior median and the middle
    90 % of its rate; `probability` that it emits more than the threshold's times what is known (0 for a
    monitored one); `reach`: µg/m³ at the station per g/s; `alike`: sources that the data cannot tell
    from it; `settled`: the two chains of the sampler agree.
    """

    source: int
    known: float
    likely: float
    low: float
    high: float
    probability: float
    reach: float
    alike: tuple[int, ...]
    settled: bool = True


@dataclass(frozen=True)
class Attribution:
    """Hourly at the asked station: measured, background, from known rates (all µg/m³, NaN missing);
    means over its measured hours: increment over background, explained by known rates, explained by
    likely rates; the shares, most probable exceeder first, then by likely share."""

    measured: Floats
    background: Floats
    modelled: Floats
    increment: float
    explained: float
    likely: float
    shares: tuple[Share, ...]
    used: int
    dropped: dict[str, int]


def clean(values: npt.ArrayLike) -> tuple[Floats, dict[str, int]]:
    """Values (hours, stations) without what cannot be a concentration, and how many went why."""
    v = floats(values).copy()
    dropped = {"negative": int((v < 0).sum())}
    v[v < 0] = np.nan
    stuck = np.zeros(v.shape, bool)
    for column in range(v.shape[1]):
        levels = np.unique(v[:, column][np.isfinite(v[:, column])])
        least = LIVELY * np.diff(levels).min() if len(levels) > 1 else 0.0
        run = 0
        for hour in range(1, len(v)):
            same = v[hour, column] == v[hour - 1, column] and v[hour, column] >= least
            run = run + 1 if same else 0
            if run + 1 >= STUCK:
                stuck[hour - run : hour + 1, column] = True
    dropped["stuck"] = int(stuck.sum())
    v[stuck] = np.nan
    return v, {k: n for k, n in dropped.items() if n}


def background(values: Floats) -> Floats:
    """What comes from beyond: the 10 % quantile over four stations or more of an hour; with fewer,
    of all hours and stations."""
    whole = np.nanquantile(values, 0.1) if np.isfinite(values).any() else np.nan
    each = np.full(len(values), whole)
    for hour, row in enumerate(values):
        if np.isfinite(row).sum() >= 4:
            each[hour] = np.nanquantile(row, 0.1)
    return each


def attribute(
    sources: Sources,
    monitored: Bools,
    weather: Weather,
    stations: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    station: int,
    first: int,
    pollutant: str = "",
    threshold: float = THRESHOLD,
    draws: int = 600,
    seed: int = 1,
) -> Attribution:
    """sources: known rates in g/s (one of 0 has no share); stations (n, 3) m; values (hours, n) µg/m³, hourly means
    whose hour h begins at `weather.start` + h; the asked hours are `first` and later, those before
    are lead-in. `pollutant`: one of `loss.LOSSES`, lost on the way as there. Same input and seed, same answer."""
    v, dropped = clean(values)
    places = floats(stations).reshape(-1, 3)
    hours = weather.winds.hours
    if v.shape != (hours, len(places)):
        raise ValueError(f"attribute: values {v.shape}, wanted ({hours}, {len(places)})")
    if not len(sources):
        raise AttributionError("no source of this pollutant is registered in reach")
    asked = np.isfinite(v[:, station]) & (np.arange(hours) >= first)
    if not asked.any():
        raise AttributionError("the station has no valid hour in the asked time")
    base = background(v)
    winds = loss.usual(weather.winds, pollutant)
    ways = tracing.transport(sources, winds, places, degrees=TURN, speed=STRETCH, memory=MEMORY)
    a = ways.mean
    micro = replace(sources, rate=sources.rate * 1e6).rate  # µg/s
    noise = np.sqrt(INSTRUMENT**2 + (UNEVEN * base) ** 2)
    answer = tracing.invert(
        a,
        (v - base[:, None]).ravel(),
        micro,
        hours=hours,
        relative=CALM_RELATIVE if weather.still else RELATIVE,
        noise=np.repeat(np.nan_to_num(noise, nan=INSTRUMENT), len(places)),
        members=ways.members,
        threshold=threshold,
        pinned=monitored,
        first=len(sources),
        draws=draws,
        seed=seed,
    )
    rows = a[np.flatnonzero(asked) * len(places) + station]
    reach = np.asarray(rows.mean(axis=0)).ravel()
    here = a[np.arange(hours) * len(places) + station]
    shares = [
        Share(
            c.source,
            float(reach[c.source] * micro[c.source]),
            float(reach[c.source] * c.rate),
            float(reach[c.source] * c.low),
            float(reach[c.source] * c.high),
            c.probability,
            float(reach[c.source] * 1e6),
            c.alike,
            c.settled,
        )
        for c in (_pinned(c, monitored, micro) for c in answer.ranked)
        if reach[c.source] > 0 and micro[c.source] > 0
    ]
    shares.sort(key=lambda s: (-round(s.probability, 2), -s.likely))
    return Attribution(
        measured=v[:, station],
        background=base,
        modelled=np.asarray(here @ micro).ravel(),
        increment=float(np.mean((v[:, station] - base)[asked])),
        explained=float(np.sum(reach * micro)),
        likely=float(sum(s.likely for s in shares)),
        shares=tuple(shares),
        used=int(np.isfinite(v).sum()),
        dropped=dropped,
    )


def _pinned(c: Candidate, monitored: Bools, rate: Floats) -> Candidate:
    """A monitored source emits what its monitor says, not what its neighbours suggest."""
    known = float(rate[c.source])
    return replace(c, rate=known, low=known, high=known) if monitored[c.source] else c
