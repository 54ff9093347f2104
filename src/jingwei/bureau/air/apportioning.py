"""Source apportionment of a set of samples: from rows to the question, and from the question to the
answer, which touches no database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import QuerySet
from django.utils import timezone

from jingwei.analysis.air import receptor, weather
from jingwei.analysis.air import ways as backward
from jingwei.analysis.air.apportion import own, profiles, study, tables
from jingwei.analysis.air.apportion.study import StudyError, Tell, short
from jingwei.analysis.air.field.tables import FieldError
from jingwei.bureau.air import dispersion, grid_words
from jingwei.bureau.air.models import Apportionment, Dispersion, SampleSet, SourceProfile
from jingwei.bureau.air.readings import DIRECTION, SPEED
from jingwei.bureau.air.tracing import HOUR, RefusedError, means, near
from jingwei.bureau.registry.models import Point
from jingwei.evidence import canonical
from jingwei.telemetry import sheet

Floats = npt.NDArray[np.float64]
LARGEST = 20 << 20  # bytes of a table
BACK = 24  # hours of a way
CELL = 5_000.0  # m
QUANTILE = 0.75
ARRIVALS = 1_500  # ways at most
LONGEST = 366  # days of wind
LEAST = 24  # hours with wind and a sample, below which no direction is told


def rows(content: bytes) -> list[tuple[int, list[Any]]]:
    """The rows of a table that was handed in. Raises `SheetError`."""
    return list(
        sheet.rows(
            content, max_bytes=LARGEST, max_rows=tables.MOST_SAMPLES + 1,
            max_columns=tables.MOST_SPECIES + 1,
        )
    )  # fmt: skip


def told(table: tables.Table) -> dict[str, Any]:
    """A table as `SampleSet.table` keeps it."""

    def numbers(values: Floats) -> list[list[float | None]]:
        return [[None if v != v else v for v in row] for row in values.tolist()]

    return {
        "times": [t.isoformat() for t in table.times],
        "species": list(table.species),
        "values": numbers(table.values),
        "errors": numbers(table.errors),
        "below": np.argwhere(table.below).tolist(),
        "unit": table.unit,
    }


def table_of(row: SampleSet) -> tables.Table:
    """What `told` kept."""
    kept = row.table
    values = np.array([[np.nan if v is None else v for v in r] for r in kept["values"]], float)
    errors = np.array([[np.nan if v is None else v for v in r] for r in kept["errors"]], float)
    below = np.zeros(values.shape, bool)
    for i, j in kept["below"]:
        below[i, j] = True
    return tables.Table(
        [datetime.fromisoformat(t) for t in kept["times"]], tuple(kept["species"]), values, errors,
        below, kept["unit"], (),
    )  # fmt: skip


def wanted_of(said: dict[str, Any]) -> study.Wanted:
    """`Apportionment.wanted` as the study takes it."""
    return study.Wanted(
        use=dict(said["use"]),
        factors=tuple(said["factors"]),
        robust=bool(said["robust"]),
        forbidden=tuple(tuple(names) for names in said["forbidden"]),
        balance=tuple(said["balance"]),
        both=bool(said.get("both")),
    )


@dataclass(frozen=True)
class Winds:
    """The hours around the samples: `start` of the first of those of which the ways need the wind;
    `place` (n, 2) of the stations, speed and direction (hours, n); `own`: the column of the station of
    the samples, None where it sends no wind."""

    plane: weather.Plane
    start: datetime
    place: Floats
    speed: Floats
    direction: Floats
    own: int | None


@dataclass(frozen=True)
class Grid:
    """A gridded file of weather that was handed in for the dispersion model."""

    file: Path
    sha256: str
    names: dict[str, str]


@dataclass(frozen=True)
class Question:
    """All that the answer rests on. `times`: starts of the samples, aware; `windless`: why no wind is
    there, in one word; `grid`: a gridded file of weather for the ways, its SHA-256 and the names of its
    variables, instead of the stations' wind."""

    table: tables.Table
    wanted: study.Wanted
    library: profiles.Library
    times: list[datetime]
    hours: float
    winds: Winds | None
    windless: str
    grid: Grid | None = None

    def digest(self) -> str:
        made = hashlib.sha256()
        about = [
            told_for_digest(self.table), str(self.wanted), list(self.library.codes),
            list(self.library.sources), list(self.library.species), str(self.hours), self.windless,
        ]  # fmt: skip
        if self.grid is not None:
            about += [self.grid.sha256, self.grid.names]
        made.update(canonical.dumps(about))
        for array in (self.library.values, self.library.errors):
            made.update(np.ascontiguousarray(np.nan_to_num(array, nan=-1.0)).tobytes())
        for array in (self.table.values, self.table.errors):
            made.update(np.ascontiguousarray(np.nan_to_num(array, nan=-999.0)).tobytes())
        if self.winds is not None:
            made.update(self.winds.start.isoformat().encode())
            for array in (self.winds.place, self.winds.speed, self.winds.direction):
                made.update(np.ascontiguousarray(np.nan_to_num(array, nan=-999.0)).tobytes())
        return made.hexdigest()


def told_for_digest(table: tables.Table) -> list[Any]:
    return [[t.isoformat() for t in table.times], list(table.species), table.unit]


def question(row: Apportionment) -> Question:
    """Reads the samples and the wind of their hours. Raises `RefusedError`."""
    samples = row.samples
    table = table_of(samples)
    wanted = wanted_of(row.wanted)
    try:
        study.taken(table, wanted.use)
    except (StudyError, ValueError) as error:
        raise RefusedError(*_parted(error)) from error
    zone = timezone.get_default_timezone()
    times = [t.replace(tzinfo=zone) for t in table.times]
    winds, windless, grid = None, "station", None
    if samples.station is not None:
        grid = _grid(row.wanted.get("wind"))
        winds, windless = _winds(samples.station, times, samples.hours, grid is not None)
    kept = SourceProfile.objects.filter(pk__in=row.wanted.get("own", ()))
    return Question(table, wanted, library(kept), times, samples.hours, winds, windless, grid)


def _grid(said: dict[str, Any] | None) -> Grid | None:
    """Raises `RefusedError` where the file is not there any more."""
    if not said:
        return None
    path = dispersion.weather_place(said["file"])
    try:
        same = hashlib.sha256(path.read_bytes()).hexdigest() == said["file"]
    except OSError:
        same = False
    if not same:
        raise RefusedError("weather")
    return Grid(path, said["file"], said.get("names") or {})


def _parted(error: Exception) -> tuple[str, str]:
    code, _space, about = str(error).partition(" ")
    return (code, about) if isinstance(error, StudyError) else ("species", "")


def _winds(
    station: Point, times: list[datetime], hours: float, grid: bool
) -> tuple[Winds | None, str]:
    """`grid`: there is other wind, so that none of the stations is needed."""
    end = times[-1] + timedelta(hours=hours)
    first = max(times[0], end - timedelta(days=LONGEST))
    start = first.replace(minute=0, second=0, microsecond=0) - timedelta(hours=BACK)
    count = int(np.ceil((end - start) / HOUR))
    plane = weather.Plane(station.longitude, station.latitude)
    stations = near(plane, Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True))
    table = means(stations, (SPEED, DIRECTION), start, count)
    speed, direction = table[SPEED], table[DIRECTION]
    blowing = (np.isfinite(speed) & np.isfinite(direction)).any(axis=0)
    if not blowing.any() and not grid:
        return None, "windless"
    x, y = plane.to([p.longitude for p in stations], [p.latitude for p in stations])
    kept = [p.pk for p, b in zip(stations, blowing.tolist(), strict=True) if b]
    return Winds(
        plane, start, np.column_stack([x, y])[blowing], speed[:, blowing], direction[:, blowing],
        kept.index(station.pk) if station.pk in kept else None,
    ), ""  # fmt: skip


def compute(question: Question, tell: Tell) -> dict[str, Any]:
    """The study, and from where each factor comes. Raises `RefusedError`."""
    try:
        found = study.study(question.table, question.wanted, question.library, tell)
    except StudyError as error:
        raise RefusedError(*_parted(error)) from error
    tell("wind", 0, 1)
    found["wind"] = _directions(question, found["contributions"])
    found["digest"] = question.digest()
    return found


def _hours(question: Question, winds: Winds) -> npt.NDArray[np.int64]:
    """Of each hour of the wind the sample that was taken in it, -1 for none."""
    at = np.full(len(winds.speed), -1, np.int64)
    for i, time in enumerate(question.times):
        low = (time - winds.start) / HOUR
        first, last = int(np.floor(low)), int(np.ceil(low + question.hours))
        if last > 0:
            at[max(first, 0) : last] = i
    return at


def _directions(question: Question, contributions: list[list[float | None]]) -> dict[str, Any]:
    """CPF by sector and PSCF by cell for each factor; `reason` in one word where there is neither.

    A sample of many hours stands for each of them: what is known of its direction is blurred by the
    turns of the wind in it."""
    winds = question.winds
    if winds is None:
        return {"reason": question.windless}
    at = _hours(question, winds)
    amounts = np.array([[np.nan if v is None else v for v in r] for r in contributions], float)
    value = np.where(at[:, None] >= 0, amounts[at], np.nan)
    out: dict[str, Any] = {"stations": int(winds.speed.shape[1])}
    if winds.own is not None:
        out |= _sectors(value, winds.direction[:, winds.own], winds.speed[:, winds.own])
    else:
        out["sectors"], out["no_sectors"] = [], "own"
    out |= _cells(question, winds, value)
    return out


def _sectors(value: Floats, direction: Floats, speed: Floats) -> dict[str, Any]:
    both = np.isfinite(value[:, 0]) & np.isfinite(direction) & np.isfinite(speed)
    if both.sum() < LEAST:
        return {"sectors": [], "no_sectors": "few"}
    count = receptor.fitting(direction[both & (speed >= receptor.CALM)])
    found = [receptor.sectors(v, direction, speed, count=count, quantile=QUANTILE) for v in value.T]
    return {
        "hours": int(both.sum()),
        "calm": found[0].calm,
        "sectors": [
            {"hours": s.hours.tolist(), "mean": short(s.mean), "cpf": short(s.cpf)} for s in found
        ],
    }


def _ways(question: Question, winds: Winds, every: int) -> backward.Ways:
    """By the wind of the stations, or through the gridded file. Raises `RefusedError`: "windless"; "file"
    with what is wrong with it, "elsewhere" with its area, "span" with its hours."""
    if question.grid is None:
        try:
            return backward.backward(
                winds.place, winds.speed, winds.direction, winds.start,
                plane=winds.plane, place=(0.0, 0.0), hours=BACK, every=every,
            )  # fmt: skip
        except weather.WeatherError:
            raise RefusedError("windless") from None
    from jingwei.analysis.air import meteorology

    try:
        found = meteorology.read(question.grid.file, winds.plane, names=question.grid.names or None)
    except FieldError as error:
        raise RefusedError("file", grid_words.why(error)[:300]) from None
    mesh = found.winds
    ny, nx = mesh.u.shape[1:]
    east, north = mesh.x0 + (nx - 1) * mesh.size, mesh.y0 + (ny - 1) * mesh.size
    if not (mesh.x0 <= 0 <= east and mesh.y0 <= 0 <= north):
        (w, s), (e, n) = winds.plane.back(mesh.x0, mesh.y0), winds.plane.back(east, north)
        raise RefusedError("elsewhere", f"{w:.2f}–{e:.2f}°E, {s:.2f}–{n:.2f}°N")
    began = datetime.fromtimestamp(int(found.start.astype("datetime64[s]").astype(int)), UTC)
    try:
        return backward.through(
            mesh, len(winds.speed), round((began - winds.start) / HOUR),
            place=(0.0, 0.0), hours=BACK, every=every,
        )  # fmt: skip
    except weather.WeatherError:
        ends = (timezone.localtime(t) for t in (began, began + mesh.hours * HOUR))
        raise RefusedError("span", " – ".join(f"{t:%Y-%m-%d %H:%M}" for t in ends)) from None


def _cells(question: Question, winds: Winds, value: Floats) -> dict[str, Any]:
    sampled = int(np.isfinite(value[:, 0]).sum())
    every = max(1, int(np.ceil(sampled / ARRIVALS)))
    try:
        ways = _ways(question, winds, every)
    except RefusedError as error:
        return {"cells": [], "no_cells": error.code, "no_cells_about": error.about}
    some = np.isfinite(value[ways.arrival, 0])
    if some.sum() < LEAST:
        return {"cells": [], "no_cells": "few"}
    tracks = [t for t, s in zip(ways.tracks, some.tolist(), strict=True) if s]
    fields = [
        receptor.potential_sources(
            tracks, value[ways.arrival[some], a], size=CELL, quantile=QUANTILE
        )
        for a in range(value.shape[1])
    ]
    f, half = fields[0], CELL / 2
    west, south = winds.plane.back(f.x - half, f.y - half)
    east, north = winds.plane.back(f.x + half, f.y + half)
    cells = [
        [
            round(float(west[i]), 4), round(float(south[j]), 4), round(float(east[i]), 4),
            round(float(north[j]), 4), int(f.passes[j, i]), [short(float(g.pscf[j, i])) for g in fields],
        ]
        for j in range(len(f.y))
        for i in range(len(f.x))
        if f.passes[j, i] > 0
    ]  # fmt: skip
    return {
        "cells": cells, "ways": int(some.sum()), "outside": short(float(ways.outside[some].mean())),
        "per_hour": round(3600 / backward.STEP), "grid": question.grid is not None,
    }  # fmt: skip


def progress(into: dict[str, Any]) -> Callable[[str, int, int], None]:
    """A `Tell` that leaves what it is told where the worker's round finds it."""

    def tell(step: str, done: int, of: int) -> None:
        into.update(step=step, done=done, of=of)

    return tell


def bundled() -> profiles.Library:
    return profiles.read(profiles.BUNDLED)


def in_use() -> QuerySet[SourceProfile]:
    """Own profiles that were not withdrawn."""
    return SourceProfile.objects.filter(ended=None)


def gridded() -> list[Dispersion]:
    """The latest run of the dispersion model with each gridded file of weather that was readable."""
    rows = Dispersion.objects.filter(state=Dispersion.State.DONE, asked_for__weather="grid")
    found: dict[str, Dispersion] = {}
    for row in rows.exclude(weather="").defer("result").order_by("-asked", "-pk"):
        found.setdefault(row.weather, row)
    return list(found.values())


def library(kept: QuerySet[SourceProfile]) -> profiles.Library:
    """The published profiles and these own ones."""
    rows = [(str(p.pk), p.name, own.fractions(p.rows)) for p in kept.order_by("pk")]
    return profiles.joined(bundled(), rows)


def sources(species: Iterable[str]) -> list[str]:
    """Of which sources CMB can be made with these species."""
    return study.sources(library(in_use()), list(species))
