"""What the registered stacks will add at the stations: their known emissions in the wind of the forecast.

`stacks` reads the register, `contributions` computes without database or lake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import loss, weather
from jingwei.analysis.air import tracing as backward
from jingwei.analysis.air.attribution import MEMORY
from jingwei.analysis.air.forecast.history import WEATHER, History
from jingwei.analysis.air.puffs import Sources
from jingwei.analysis.air.weather import WeatherError
from jingwei.bureau.air import tracing
from jingwei.bureau.air.tracing import EMITTED, HOUR, NAMES

TOP = 12  # outlets named for a station and pollutant
SLIGHT = 0.01  # µg/m³, mean over the hours; what adds less is counted with the rest


@dataclass(frozen=True)
class Stacks:
    """Outlets (n) within reach of the stations' middle, on whose plane all is computed; `gas` (3, n):
    height, velocity, temperature, NaN unknown; `rates` g/s by pollutant, 0 where not emitted; `assumed`:
    how many of the rates are only assumed; `basis` how each rate is known, by pollutant and outlet."""

    plane: weather.Plane
    outlets: tuple[int, ...]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    diameter: npt.NDArray[np.float64]
    gas: npt.NDArray[np.float64]
    rates: dict[str, npt.NDArray[np.float64]]
    assumed: int
    basis: dict[str, dict[int, str]] = field(default_factory=dict)


def stacks(points: Sequence[Any], start: datetime, hours: int = 24) -> Stacks | None:
    """What is known of the registered stacks: rates of the `hours` before `start`, gas of the last day of
    them; None where there is none."""
    if not points:
        return None
    plane = tracing.middle([(p.longitude, p.latitude) for p in points])
    found: dict[int, Any] = {}
    known: dict[str, dict[int, float]] = {}
    how: dict[str, dict[int, str]] = {}
    assumed = 0
    for factor in EMITTED:
        outlets, rates, basis, _beyond = tracing.emissions(
            factor, start - hours * HOUR, start, plane
        )
        found |= {o.pk: o for o in outlets}
        known[NAMES[factor]] = dict(zip((o.pk for o in outlets), rates.tolist(), strict=True))
        how[NAMES[factor]] = dict(zip((o.pk for o in outlets), basis, strict=True))
        assumed += basis.count("assumed")
    if not found:
        return None
    keys = sorted(found)
    rows = [found[k] for k in keys]
    x, y = plane.to([o.longitude for o in rows], [o.latitude for o in rows])
    return Stacks(
        plane, tuple(keys), np.atleast_1d(x), np.atleast_1d(y),
        np.array([o.diameter or 0.0 for o in rows]),
        tracing.gas(rows, start - 24 * HOUR, 24),
        {n: np.array([of.get(k, 0.0) for k in keys]) for n, of in known.items()},
        assumed,
        how,
    )  # fmt: skip


def sources(given: Stacks, rate: npt.NDArray[np.float64]) -> Sources:
    """The stacks with these rates; what is not known of them as everywhere: 15 m, no plume rise."""
    height, velocity, gas = given.gas
    return Sources(
        x=given.x,
        y=given.y,
        height=np.where(np.isfinite(height), height, tracing.DEFAULT_HEIGHT),
        rate=rate,
        diameter=given.diameter,
        velocity=np.nan_to_num(velocity),
        gas=np.nan_to_num(gas),
    )


def told_basis(given: Stacks, found: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """How the rates of the named outlets are known: by pollutant and basis the outlets."""
    out: dict[str, dict[str, list[int]]] = {}
    for name, known in given.basis.items():
        named = {pk for place in found for pk in place.get(name, {}).get("outlets", [])}
        for pk in sorted(named):
            out.setdefault(name, {}).setdefault(known[pk], []).append(pk)
    return out


def contributions(
    given: Stacks,
    places: Sequence[tuple[float, float]],
    known: History,
    coming: npt.NDArray[np.float64],
    reach: int,
    start: datetime,
) -> tuple[list[dict[str, Any]], str]:
    """For each place (longitude, latitude) and pollutant the outlets that add most, µg/m³ in each of
    the `reach` hours after `start`, and the rest of them together; and why there is nothing, "" where
    there is.

    One wind for the city: that of the last `MEMORY` hours as measured, then that of the forecast
    (`coming` (LEADS, len(WEATHER))).
    """
    nothing: list[dict[str, Any]] = [{} for _p in places]
    if not reach or not known.weather:
        return nothing, "wind"
    cut = slice(len(known) - MEMORY, len(known))
    past = np.column_stack([known.weather[w][cut] for w in ("u", "v", "speed")])
    order = [WEATHER.index(w) for w in ("u", "v", "speed")]
    wind = np.concatenate([past, coming[:reach][:, order], coming[reach - 1 : reach][:, order]])
    direction = np.degrees(np.arctan2(-wind[:, 0], -wind[:, 1])) % 360
    warmth = float(np.nanmean(coming[:reach, 0])) if np.isfinite(coming[:reach, 0]).any() else 15.0
    try:
        air = weather.from_stations(
            np.zeros((1, 2)), wind[:, 2:], direction[:, None], start - (MEMORY - 1) * HOUR,
            plane=given.plane, temperature=warmth + 273.15,
        )  # fmt: skip
    except WeatherError:
        return nothing, "wind"
    plumes = sources(given, np.ones(len(given.x)))
    px, py = given.plane.to([p[0] for p in places], [p[1] for p in places])
    spots = np.column_stack([px, py, np.full(len(px), 3.0)])
    # What leaves the air in the same way shares a matrix.
    matrices: dict[loss.Losses, Any] = {}
    for name, rate in given.rates.items():
        if (rate > 0).any() and fate(name) not in matrices:
            matrices[fate(name)] = backward.matrix(
                plumes, loss.usual(air.winds, name), spots, memory=MEMORY, threads=1
            )
    hours = MEMORY + np.arange(reach)
    found = nothing
    for number in range(len(places)):
        rows = hours * len(places) + number
        reached = {
            kind: m[rows].toarray() for kind, m in matrices.items()
        }  # (reach, outlets), s/m³
        for name, rate in given.rates.items():
            if not (rate > 0).any():
                continue
            adds = reached[fate(name)] * (1e6 * rate)
            mean = adds.mean(axis=0)
            first = [int(j) for j in np.argsort(-mean)[:TOP] if mean[j] >= SLIGHT]
            if not first:
                continue
            rest = adds.sum(axis=1) - adds[:, first].sum(axis=1)
            found[number][name] = {
                "outlets": [given.outlets[j] for j in first],
                "hours": [np.round(adds[:, j], 2).tolist() for j in first],
                "rest": np.round(rest, 2).tolist(),
            }
    return found, ""


def fate(name: str) -> loss.Losses:
    """What takes a pollutant out of the air without rain."""
    about = loss.LOSSES[name]
    return loss.Losses(about.half_life, about.surface)
