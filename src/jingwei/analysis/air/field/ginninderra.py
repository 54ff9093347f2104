"""The methane release at Ginninderra (2015): a known place, an unknown rate, four instrument groups.

Concentrations per 5 minutes of light beams and points. The spread is from similarity alone: wind,
Obukhov length and a roughness of mown grass. Judged are periods with wind of at least 1 m/s and an
Obukhov length of at least 2 m: below, similarity says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jingwei.analysis.air import boundary, site
from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.field.tables import FieldError, number, rows
from jingwei.analysis.air.plume import Weather, relative_concentration

ROUGHNESS = 0.02  # m, pasture
Z_WIND = 3.0  # m
HEIGHT = 0.3  # m
SAMPLE = 300.0
OFFSET = 0.1  # ppm
POINTS = 24
COLUMNS = (
    "Time", "release_rate", "air_temp", "air_pressure", "wind_speed", "wind_dir", "L", "inst_name",
    "inst_group", "source_x", "source_y", "z", "x1", "y1", "x2", "y2", "Concentration",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """One instrument group: rate and 90 % interval with the error of the plume, g/min, samples used."""

    name: str
    rate: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class Found:
    """`rate` is the median of the groups'; `true` the rate while the release ran."""

    groups: tuple[Group, ...]
    rate: float
    true: float
    read: int
    used: int

    @property
    def ratio(self) -> float:
        return self.rate / self.true

    @property
    def worst(self) -> float:
        """The group that is furthest off, as a ratio minus one."""
        return max((g.rate / self.true - 1 for g in self.groups), key=abs)


def validate(source: Path) -> Found:
    """Rate by every group. The release's own rate is used only to know when it was off or ramping:
    shares are scaled by rate over the full rate, so the answer comes in full rates."""
    table = list(rows(source, COLUMNS))
    if not table:
        raise FieldError(f"{source}: has no row")
    full = float(
        np.median(
            [r for n, row in table if (r := number(source, n, row, "release_rate")) > 0.5] or [0]
        )
    )
    if full <= 0:
        raise FieldError(f"{source}: the release never runs")
    samples: dict[str, list[tuple[str, float, float, float]]] = defaultdict(list)
    periods: dict[tuple[float, float], list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for line, row in table:
        speed, obukhov = (number(source, line, row, c) for c in ("wind_speed", "L"))
        if speed >= 1 and abs(obukhov) >= 2:
            periods[speed, obukhov].append((line, row))
    for (speed, obukhov), members in periods.items():
        lines = [_line(source, line, row) for line, row in members]
        down, across, z = (np.concatenate([one[k] for one in lines]) for k in range(3))
        ends = np.cumsum([len(one[0]) for one in lines])
        both = [
            np.split(relative_concentration(down, across, z, height=HEIGHT, weather=w), ends[:-1])
            for w in _weather(speed, obukhov)
        ]
        for k, (line, row) in enumerate(members):
            pressure, kelvin, running = (
                number(source, line, row, c) for c in ("air_pressure", "air_temp", "release_rate")
            )
            density = 0.016043 * pressure / (8.314 * kelvin)  # kg/m³ of methane
            unit = 1e3 / density / 60 * running / full  # ppm per g/min
            samples[row["inst_group"]].append(
                (
                    row["inst_name"],
                    number(source, line, row, "Concentration"),
                    float(both[0][k].mean()) * unit,
                    float(both[1][k].mean()) * unit,
                )
            )
    groups = []
    for name, found in sorted(samples.items()):
        found.sort(key=lambda s: s[0])
        names = sorted({s[0] for s in found})
        who = np.array([names.index(s[0]) for s in found])
        y, share, wide = (np.array([s[k] for s in found]) for k in (1, 2, 3))
        if not (share > 0).any():
            continue
        fit = site.fit_rate(y, share, wide, who, offset=OFFSET)
        groups.append(Group(name, fit.rate, *site.interval(fit.rate, fit.error), len(y)))
    if not groups:
        raise FieldError(f"{source}: no sample is downwind of the release")
    middle = float(np.median([g.rate for g in groups]))
    return Found(tuple(groups), middle, full, len(table), sum(len(v) for v in samples.values()))


def _weather(speed: float, obukhov: float) -> tuple[Weather, Weather]:
    """The period's weather, and the same with twice the lateral spread."""
    ustar = float(boundary.friction_velocity(speed, Z_WIND, obukhov, ROUGHNESS))
    plain = Weather(
        speed=speed, z_speed=Z_WIND, obukhov=obukhov, ustar=max(ustar, 0.03), z0=ROUGHNESS,
        zi=1000.0 if obukhov < 0 else None, averaging=SAMPLE,
    )  # fmt: skip
    wide = Weather(
        speed=speed, z_speed=Z_WIND, obukhov=obukhov, ustar=plain.ustar, z0=ROUGHNESS, zi=plain.zi,
        sigma_theta=float(np.degrees(2 * plain.sigma_v / speed)), averaging=SAMPLE,
    )  # fmt: skip
    return plain, wide


def _line(source: Path, line: int, row: dict[str, str]) -> tuple[Floats, Floats, Floats]:
    """Points of a beam, or the one point, in metres down and across the wind of the row, and z."""
    x, y, z = (number(source, line, row, c) for c in ("x1", "y1", "z"))
    f = np.zeros(1)
    to = [x, y]
    if row["x2"] not in ("", "NA"):
        f = (np.arange(POINTS) + 0.5) / POINTS
        to = [number(source, line, row, c) for c in ("x2", "y2")]
    east = x + f * (to[0] - x) - number(source, line, row, "source_x")
    north = y + f * (to[1] - y) - number(source, line, row, "source_y")
    blow = np.radians(number(source, line, row, "wind_dir") + 180)
    down = east * np.sin(blow) + north * np.cos(blow)
    return down, east * np.cos(blow) - north * np.sin(blow), z + 0 * f
