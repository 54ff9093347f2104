"""Hourly series of a city's stations, as the forecast learns from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.field.tables import FieldError

POLLUTANTS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3")
WEATHER = ("temperature", "dewpoint", "pressure", "u", "v", "speed")
_COLUMNS = {"TEMP": "temperature", "DEWP": "dewpoint", "PRES": "pressure", "WSPM": "speed"}
COMPASS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW",
            "NW", "NNW")  # fmt: skip
STUCK = 24  # hours of one and the same value
RANGE = {
    "temperature": (-60, 60),
    "dewpoint": (-80, 40),
    "pressure": (500, 1100),
    "speed": (0, 75),
}
Hours = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class History:
    """`times` (hours,), datetime64[h], hour by hour without gaps, named by their start, in the
    city's standard time; `values`: of each pollutant (hours, stations), µg/m³, NaN where missing;
    `weather`: mean over the city (hours,): temperature, dewpoint (°C), pressure (hPa), u, v, speed
    (m/s; wind to the east and north). `notes`: what was left out of the file, in words.
    """

    times: Hours
    stations: tuple[str, ...]
    values: dict[str, Floats]
    weather: dict[str, Floats]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = (len(self.times), len(self.stations))
        if len(self.times) < 2 or (np.diff(self.times) != np.timedelta64(1, "h")).any():
            raise ValueError("history: hours must follow one another without a gap")
        for name, series in self.values.items():
            if series.shape != wanted:
                raise ValueError(f"history: {name} has shape {series.shape}, wanted {wanted}")
        for name, one in self.weather.items():
            if one.shape != wanted[:1]:
                raise ValueError(f"history: {name} has shape {one.shape}, wanted {wanted[:1]}")

    def __len__(self) -> int:
        return len(self.times)

    def at(self, time: np.datetime64) -> int:
        """Number of the hour; beyond the ends where it lies there."""
        return int((time.astype("datetime64[h]") - self.times[0]) / np.timedelta64(1, "h"))

    def hour(self, index: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Hour of the day, 0…23."""
        first = int(self.times[0].astype(np.int64))
        return np.asarray((first + np.asarray(index, np.int64)) % 24)

    def day(self, index: npt.ArrayLike) -> Floats:
        """Day of the year, from 0."""
        when = self.times[0] + np.asarray(index, np.int64).astype("timedelta64[h]")
        return floats(when.astype("datetime64[D]") - when.astype("datetime64[Y]"))


def stuck(values: Floats, length: int = STUCK) -> npt.NDArray[np.bool_]:
    """Where a series (hours,) keeps one value for `length` hours or more, above its lowest tenth: near the
    detection limit still air repeats itself, elsewhere an instrument has stopped."""
    changes = np.flatnonzero(np.diff(values) != 0) + 1  # NaN differs from everything
    edges = np.concatenate([[0], changes, [len(values)]])
    runs = np.repeat(np.diff(edges), np.diff(edges))
    known = values[np.isfinite(values)]
    low = np.quantile(known, 0.1) if len(known) else np.inf
    return np.asarray((runs >= length) & (values > low))


def table(source: Path) -> pa.Table:
    """The rows of a Parquet or CSV file. Raises FieldError where it is neither."""
    try:
        if source.suffix == ".parquet":
            return pyarrow.parquet.read_table(source)
        return pyarrow.csv.read_csv(
            source, convert_options=pyarrow.csv.ConvertOptions(null_values=["", "NA", "NaN"])
        )
    except (OSError, pa.ArrowException) as error:
        raise FieldError(f"{source}: is neither Parquet nor CSV ({error})") from error


def read(source: Path) -> History:
    """A table with `time`, `station` and the columns of the UCI Beijing multi-site set (PM2.5 … O3 in
    µg/m³, TEMP, DEWP, PRES, wd, WSPM); Parquet or CSV. Pollutants and weather may be missing whole.

    Raises FieldError where it cannot be used.
    """
    given = table(source)
    names = set(given.column_names)
    missing = {"time", "station"} - names
    if missing or not names & set(POLLUTANTS):
        wanted = ", ".join(sorted(missing)) or f"every pollutant ({', '.join(POLLUTANTS)})"
        raise FieldError(f"{source}: lacks {wanted} (it has {', '.join(given.column_names)})")
    if not len(given):
        raise FieldError(f"{source}: has no row")
    try:
        stamps = given["time"].cast(pa.timestamp("s")).to_numpy().astype("datetime64[h]")
    except pa.ArrowException as error:
        raise FieldError(f"{source}: time is no time ({error})") from error
    if np.isnat(stamps).any():
        raise FieldError(
            f"{source}: row {int(np.flatnonzero(np.isnat(stamps))[0]) + 1} has no time"
        )
    stations, who = np.unique(
        np.asarray(given["station"].to_pylist(), dtype=str), return_inverse=True
    )
    first = stamps.min()
    when = ((stamps - first) / np.timedelta64(1, "h")).astype(np.int64)
    hours = int(when.max()) + 1
    if hours > 40 * 8784:
        raise FieldError(f"{source}: reaches from {first} to {stamps.max()}, more than 40 years")

    def spread(column: str) -> Floats:
        try:
            column_values = given[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise FieldError(f"{source}: {column} is not a number everywhere ({error})") from error
        out = np.full((hours, len(stations)), np.nan)
        out[when, who] = column_values
        return out

    notes = []
    twice = len(when) - len(np.unique(when * len(stations) + who))
    if twice:
        notes.append(f"{twice} rows repeat an hour of a station; the last one counts")
    values = {}
    for name in POLLUTANTS:
        if name not in names:
            continue
        one = spread(name)
        with np.errstate(invalid="ignore"):
            bad = ~(one >= 0) & ~np.isnan(one) | np.isinf(one)
        still = np.column_stack([stuck(one[:, k]) for k in range(len(stations))])
        for what, where in (("negative or infinite", bad), (f"stuck for {STUCK} h", still & ~bad)):
            if where.any():
                notes.append(f"{name}: {int(where.sum())} values left out ({what})")
        values[name] = np.where(bad | still, np.nan, one)
    weather = {}
    found = {}
    for column, name in _COLUMNS.items():
        if column in names:
            one = spread(column)
            low, high = RANGE[name]
            with np.errstate(invalid="ignore"):
                found[name] = np.where((one >= low) & (one <= high), one, np.nan)
            weather[name] = mean(found[name])
    if "wd" in names and "speed" in found:
        code = {c: i for i, c in enumerate(COMPASS)}
        toward = np.full((hours, len(stations)), np.nan)
        toward[when, who] = [code.get(w, np.nan) for w in given["wd"].to_pylist()]
        angle = np.radians(22.5 * toward)
        weather["u"] = mean(-found["speed"] * np.sin(angle))
        weather["v"] = mean(-found["speed"] * np.cos(angle))
    if "dewpoint" not in weather and weather.keys() >= set(WEATHER) - {"dewpoint"}:
        notes.append("no dew point: the rest of the weather is used without it")
        weather["dewpoint"] = np.full(hours, np.nan)
    lacking = [w for w in WEATHER if w not in weather]
    if lacking:
        notes.append(f"no weather: lacks {', '.join(lacking)}")
        weather = {}
    times = first + np.arange(hours).astype("timedelta64[h]")
    return History(times, tuple(str(s) for s in stations), values, weather, tuple(notes))


def mean(values: Floats) -> Floats:
    """Mean over stations (hours,), NaN where none has one."""
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)
