"""The weather of the coming 48 hours, as known at the start of a forecast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.forecast.history import COMPASS, RANGE, WEATHER, History, Hours, table

LEADS = 48
# Standard deviation of the error of a forecast of a city's mean, at 1 and at 48 hours: assumed
# (no archive of forecasts is at hand), linear between. Temperature and dew point in K, pressure in
# hPa, wind in m/s.
ERRORS = {
    "temperature": (1.5, 2.0),
    "dewpoint": (2.0, 3.0),
    "pressure": (0.7, 1.5),
    "u": (1.2, 1.7),
    "v": (1.2, 1.7),
    "speed": (0.9, 1.3),
}


@dataclass(frozen=True)
class Degraded:
    """Measured weather made as bad as a forecast: normal errors of ERRORS that grow with the lead.

    `memory`: correlation of the errors of neighbouring hours; 0 as in the research, real forecasts
    are nearer to 0.9. Every start has its own errors, the same at each call.
    """

    seed: int = 1
    memory: float = 0.0
    scale: float = 1.0

    def __call__(self, history: History, starts: npt.NDArray[np.int64]) -> Floats:
        """Shape (starts, LEADS, len(WEATHER)); NaN where nothing was measured."""
        true = measured(history, starts)
        out = np.empty_like(true)
        low = np.array([ERRORS[w][0] for w in WEATHER])
        high = np.array([ERRORS[w][1] for w in WEATHER])
        grow = low + (high - low) * (np.arange(LEADS) / (LEADS - 1))[:, None]
        for n, start in enumerate(starts):
            random = np.random.default_rng((self.seed, int(start)))
            noise = random.standard_normal((LEADS, len(WEATHER)))
            for h in range(1, LEADS) if self.memory else ():
                noise[h] = self.memory * noise[h - 1] + np.sqrt(1 - self.memory**2) * noise[h]
            out[n] = true[n] + self.scale * grow * noise
        speed = WEATHER.index("speed")
        out[..., speed] = np.maximum(out[..., speed], 0)
        return out


def measured(history: History, starts: npt.NDArray[np.int64]) -> Floats:
    """The weather as it then was, (starts, LEADS, len(WEATHER)): an upper bound, never a forecast."""
    table = np.column_stack([history.weather[w] for w in WEATHER])
    at = starts[:, None] + 1 + np.arange(LEADS)
    known = at < len(table)
    return np.where(known[..., None], table[np.where(known, at, 0)], np.nan)


@dataclass(frozen=True)
class Coming:
    """A forecast of a city's weather: `times` (hours,) datetime64[h], hour by hour in the city's
    standard time; `values` (hours, len(WEATHER)), NaN where it says nothing; `notes` in words."""

    times: Hours
    values: Floats
    notes: tuple[str, ...]


_NEEDED = {"TEMP": "temperature", "PRES": "pressure", "WSPM": "speed"}


def read(source: Path) -> Coming:
    """A table of the coming weather, CSV or Parquet: `time` (standard time), TEMP and DEWP (°C), PRES
    (hPa), WSPM (m/s), wd (16 points) or WD (degrees from which it blows); several rows of an hour (grid
    points, stations) count as their mean. DEWP may be missing. Raises FieldError where it cannot be
    used."""
    given = table(source)
    names = set(given.column_names)
    lacking = [c for c in ("time", *_NEEDED) if c not in names]
    if not names & {"wd", "WD"}:
        lacking.append("wd or WD")
    if lacking:
        raise FieldError(
            f"{source}: lacks {', '.join(lacking)} (it has {', '.join(given.column_names)})"
        )
    if not len(given):
        raise FieldError(f"{source}: has no row")

    def column(name: str) -> Floats:
        try:
            return np.asarray(given[name].cast(pa.float64()).to_numpy(), float)
        except pa.ArrowException as error:
            raise FieldError(f"{source}: {name} is not a number everywhere ({error})") from error

    try:
        stamps = given["time"].cast(pa.timestamp("s")).to_numpy().astype("datetime64[h]")
    except pa.ArrowException as error:
        raise FieldError(f"{source}: time is no time ({error})") from error
    if np.isnat(stamps).any():
        raise FieldError(f"{source}: a row has no time")
    first = stamps.min()
    when = ((stamps - first) / np.timedelta64(1, "h")).astype(np.int64)
    hours = int(when.max()) + 1
    if hours > 24 * 31:
        raise FieldError(f"{source}: reaches from {first} to {stamps.max()}, more than a month")
    parts = {}
    notes = []
    for name, what in {**_NEEDED, "DEWP": "dewpoint"}.items():
        if name not in names:
            notes.append("no dew point")
            parts[what] = np.full(len(when), np.nan)
            continue
        low, high = RANGE[what]
        raw = column(name)
        with np.errstate(invalid="ignore"):
            parts[what] = np.where((raw >= low) & (raw <= high), raw, np.nan)
        if (np.isfinite(raw) & np.isnan(parts[what])).any():
            notes.append(f"{name}: values beyond {low} to {high} left out")
    if "WD" in names:
        degrees = column("WD")
    else:
        code = {c: 22.5 * i for i, c in enumerate(COMPASS)}
        degrees = np.array([code.get(str(w), np.nan) for w in given["wd"].to_pylist()])
    angle = np.radians(degrees)
    parts["u"], parts["v"] = -parts["speed"] * np.sin(angle), -parts["speed"] * np.cos(angle)
    out = np.full((hours, len(WEATHER)), np.nan)
    for k, what in enumerate(WEATHER):
        known = np.isfinite(parts[what])
        total = np.bincount(when[known], parts[what][known], minlength=hours)
        count = np.bincount(when[known], minlength=hours)
        out[:, k] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Coming(first + np.arange(hours).astype("timedelta64[h]"), out, tuple(notes))
