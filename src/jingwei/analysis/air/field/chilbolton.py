"""Controlled methane releases at Chilbolton: seven light beams, one unknown place and rate each.

Nothing is fitted beforehand: the spread is that of the measured turbulence, times factors of
0.7, 1 and 1.4 across and upwards that all count alike; the interval adds a lognormal model error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jingwei.analysis.air import site
from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.field.tables import FieldError, document, number, rows

MEASUREMENTS = ("chilbolton_measurements_1.csv", "chilbolton_measurements_2.csv")
WIND = ("chilbolton_wind_1.csv", "chilbolton_wind_2.csv")
INSTRUMENTS = "chilbolton_instruments.json"
SOURCES = "chilbolton_sources.json"

DENSITY = 0.67  # kg/m³ of methane at 15 °C and 1005 hPa, ideal gas
OFFSET = 0.1  # ppm by which a beam may differ from the others
FACTORS = (0.7, 1.0, 1.4)
_WIND = (
    "Average Speed",
    "Average Direction",
    "Average Tan_gamma Horizontal",
    "Average Tan_gamma Vertical",
)


@dataclass(frozen=True)
class Release:
    """Samples of one release: ppm (beams, minutes); direction the wind blows to, in radians."""

    name: str
    ppm: Floats
    speed: Floats
    towards: Floats
    lateral: Floats
    vertical: Floats
    starts: Floats
    ends: Floats
    place: Floats | None
    rate: float | None


@dataclass(frozen=True)
class Found:
    """Estimate of one release: place and 90 % radius (m), rate and 90 % interval (kg/s)."""

    name: str
    x: float
    y: float
    radius: float
    rate: float
    low: float
    high: float
    error: float | None
    ratio: float | None
    covered: bool | None
    located: bool | None
    minutes: int


def read(
    measurements: Path | str, wind: Path | str, instruments: Path | str, sources: Path | str | None
) -> Release:
    """One release. The number in the measurements' name says which of the sources is its truth."""
    about = document(instruments)
    places = [k for k in about if k.startswith("reflector")]
    sensor = about.get("line_of_sight_sensor")
    if not places or sensor is None:
        raise FieldError(f"{instruments}: wanted line_of_sight_sensor and reflector_1 …")
    places.sort(key=lambda k: int(k.rsplit("_", 1)[-1]))
    air = np.array([[number(wind, n, r, c) for c in _WIND] for n, r in rows(wind, _WIND)])
    ppm = np.array(
        [
            number(measurements, n, r, "Measurements")
            for n, r in rows(measurements, ["Measurements"])
        ]
    )
    if not len(air) or len(ppm) != len(air) * len(places):
        raise FieldError(
            f"{measurements}: {len(ppm)} values, wanted {len(places)} beams x {len(air)} minutes"
        )
    place, rate = None, None
    name = Path(str(measurements)).stem
    if sources is not None:
        true = document(sources)
        which = [k for k in true if k.endswith("_location")]
        match = [k for k in which if name.rsplit("_", 1)[-1] == k.split("_")[1]]
        if len(which) == 1 or match:
            key = (match or which)[0]
            place = np.array(true[key][:2], dtype=np.float64)
            rate = float(true[key.replace("_location", "_emission_rate")])
    return Release(
        name=name,
        ppm=ppm.reshape(len(places), len(air)),
        speed=np.maximum(air[:, 0], 0.3),
        towards=np.radians(air[:, 1]),
        # The tangent of a turbulence angle near 90° has no meaning: bounded at 56°.
        lateral=np.clip(air[:, 2], 0.05, 1.5),
        vertical=np.clip(air[:, 3], 0.03, 0.8),
        starts=np.repeat(np.array([sensor], dtype=np.float64), len(places), axis=0),
        ends=np.array([about[k] for k in places], dtype=np.float64),
        place=place,
        rate=rate,
    )


def _shares(of: Release, x: float, y: float, across: float, up: float, points: int) -> Floats:
    found = site.beam_shares(
        x, y, 0.3, towards=of.towards, speed=of.speed, lateral=across * of.lateral,
        vertical=up * of.vertical, starts=of.starts, ends=of.ends, points=points,
    )  # fmt: skip
    return np.asarray(found.ravel() * 1e6 / DENSITY)


def locate(of: Release, *, draws: int = 4000, seed: int = 1) -> Found:
    """Place and rate of one release. Least squares find the region, the likelihood the place."""
    low = np.minimum(of.starts, of.ends).min(axis=0) - 20
    high = np.maximum(of.starts, of.ends).max(axis=0) + 20
    y = of.ppm.ravel()
    beams, minutes = of.ppm.shape
    who = np.repeat(np.arange(beams), minutes)
    basis = np.stack([np.ones(minutes), np.linspace(-1, 1, minutes)])
    clean = np.eye(minutes) - basis.T @ np.linalg.solve(basis @ basis.T, basis)
    flat = of.ppm @ clean
    coarse = []
    for px in np.arange(low[0], high[0], 4.0):
        for py in np.arange(low[1], high[1], 4.0):
            a = _shares(of, px, py, 0.85, 0.85, 20).reshape(beams, minutes) @ clean
            size = float((a * a).sum())
            gain = max(float((a * flat).sum()), 0.0) ** 2 / size if size > 0 else 0.0
            coarse.append((gain, px, py))
    best = max(coarse)
    cells = [
        (px, py)
        for px in best[1] + np.arange(-8.0, 8.1, 2.0)
        for py in best[2] + np.arange(-8.0, 8.1, 2.0)
    ]
    fits = []
    for px, py in cells:
        share = _shares(of, px, py, 1.0, 1.0, 30)
        wide = _shares(of, px, py, 2.0, 1.0, 30)
        fits.append(site.fit_rate(y, share, wide, who, offset=OFFSET, kappas=(0.6, 1.0)))
    # Where would the likelihood point with other ten minutes? Blocks drawn anew, all beams together.
    spots = np.array(cells)
    terms = np.array([f.terms for f in fits]).reshape(len(cells), beams, minutes).sum(axis=1)
    blocks = np.add.reduceat(terms, np.arange(0, minutes, 10), axis=1)
    random = np.random.default_rng(seed)
    chosen = random.multinomial(blocks.shape[1], np.full(blocks.shape[1], 1 / blocks.shape[1]), 400)
    drawn = spots[np.argmax(blocks @ chosen.T, axis=0)]
    middle = drawn.mean(axis=0)
    radius = max(float(np.quantile(np.hypot(*(drawn - middle).T), 0.9)), 1.5)
    rates = []
    for across in FACTORS:
        for up in FACTORS:
            share = _shares(of, float(middle[0]), float(middle[1]), across, up, 40)
            wide = _shares(of, float(middle[0]), float(middle[1]), 2 * across, up, 40)
            fit = site.fit_rate(y, share, wide, who, offset=OFFSET)
            some = fit.rate + fit.error * random.standard_normal(draws)
            rates.append(np.maximum(some, 0) * random.lognormal(0, site.STRUCTURE, draws))
    five, half, last = np.quantile(np.concatenate(rates), [0.05, 0.5, 0.95])
    known = of.rate is not None and of.place is not None
    return Found(
        name=of.name,
        x=float(middle[0]),
        y=float(middle[1]),
        radius=radius,
        rate=float(half),
        low=float(five),
        high=float(last),
        error=float(np.hypot(*(middle - of.place))) if known and of.place is not None else None,
        ratio=float(half / of.rate) if of.rate else None,
        covered=bool(five <= of.rate <= last) if of.rate else None,
        located=bool(np.hypot(*(middle - of.place)) <= radius) if of.place is not None else None,
        minutes=minutes,
    )
