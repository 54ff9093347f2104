"""Project Prairie Grass (1956): maxima of five arcs behind a release near the ground.

The model has no parameter of this experiment but roughness and the samples' 10 minutes; it is not
told where on the arc the plume was. Deposition is off by default: the constants of the near-ground
sigma-z come in part from these same SO2 samples without correction for loss, so that they hold it
already; `deposition=True` shows what it would add.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jingwei.analysis.air.field.tables import FieldError, number, rows
from jingwei.analysis.air.loss import SO2_DAY, SO2_NIGHT
from jingwei.analysis.air.plume import Weather, relative_concentration
from jingwei.analysis.air.scores import Scores, scores

ARCS = "pg_arcs.csv.gz"
MET = "pg_met.csv"
ROUGHNESS = 0.006  # m; mown grass, Barad (1958)
SAMPLE = 600.0  # s
Z_WIND = 2.0  # m

_MET = ("run", "L_m", "ustar", "zi_m", "sigma_theta_deg", "u_2m")
_ARC = ("run", "arc_m", "azimuth_deg", "conc_mg_m3", "Q_g_s", "source_h_m", "sampler_h_m")


@dataclass(frozen=True)
class Maximum:
    """The largest sample of one arc, mg/m³, with what the model needs. `samples`: how many."""

    run: str
    arc: float
    observed: float
    rate: float
    source: float
    sampler: float
    samples: int
    weather: Weather


@dataclass(frozen=True)
class Outcome:
    maxima: tuple[Maximum, ...]
    with_theta: Scores | None
    without: Scores
    groups: dict[str, Scores]
    predicted: tuple[float, ...]
    skipped: dict[str, int]


def weather(source: Path | str = MET, roughness: float = ROUGHNESS) -> dict[str, Weather]:
    """The weather of each run. No depth and no sigma-theta: an empty cell, or none above 0."""
    found = {}
    for line, row in rows(source, _MET):
        about = {c: number(source, line, row, c) if row[c].strip() else -1.0 for c in _MET[1:]}
        theta = about["sigma_theta_deg"]
        try:
            found[row["run"].strip()] = Weather(
                speed=about["u_2m"],
                z_speed=Z_WIND,
                obukhov=about["L_m"],
                ustar=about["ustar"],
                z0=roughness,
                zi=about["zi_m"] if about["zi_m"] > 0 else None,
                sigma_theta=theta if theta > 0 else None,
                averaging=SAMPLE,
            )
        except ValueError as error:
            raise FieldError(f"{source}, line {line}: {error}") from error
    if not found:
        raise FieldError(f"{source}: has no row")
    return found


def maxima(
    arcs: Path | str = ARCS, met: Path | str = MET, roughness: float = ROUGHNESS
) -> tuple[list[Maximum], dict[str, int]]:
    """The arcs' maxima, and how many samples and arcs were left out, by reason."""
    known = weather(met, roughness)
    samples: dict[tuple[str, float], list[float]] = defaultdict(list)
    about: dict[tuple[str, float], tuple[float, float, float]] = {}
    skipped: dict[str, int] = defaultdict(int)
    lone: set[str] = set()
    for line, row in rows(arcs, _ARC):
        run = row["run"].strip()
        if run not in known:
            lone.add(run)
            continue
        value = number(arcs, line, row, "conc_mg_m3")
        if value < 0:
            skipped["missing samples"] += 1
            continue
        key = (run, number(arcs, line, row, "arc_m"))
        samples[key].append(value)
        about[key] = (
            number(arcs, line, row, "Q_g_s"),
            number(arcs, line, row, "source_h_m"),
            number(arcs, line, row, "sampler_h_m"),
        )
    if lone:
        skipped["runs without meteorology"] = len(lone)
    found = []
    for (run, arc), values in samples.items():
        if max(values) <= 0:
            skipped["arcs without the plume"] += 1
            continue
        found.append(Maximum(run, arc, max(values), *about[run, arc], len(values), known[run]))
    if not found:
        raise FieldError(f"{arcs}: no run of this file is in {met}")
    return found, dict(skipped)


def predict(of: Maximum, *, theta: bool, deposition: bool) -> float:
    """Concentration on the plume's axis at sampler height, mg/m³."""
    air = of.weather if theta else replace(of.weather, sigma_theta=None)
    surface = (SO2_DAY if air.obukhov < 0 else SO2_NIGHT) if deposition else None
    share = relative_concentration(
        of.arc, 0.0, of.sampler, height=of.source, weather=air, surface=surface
    )
    return float(share) * of.rate * 1000


def validate(
    arcs: Path | str = ARCS,
    met: Path | str = MET,
    *,
    roughness: float = ROUGHNESS,
    deposition: bool = False,
) -> Outcome:
    """All scores. Arcs of runs without sigma-theta enter only the scores without it."""
    found, skipped = maxima(arcs, met, roughness)
    observed = np.array([m.observed for m in found])
    plain = np.array([predict(m, theta=False, deposition=deposition) for m in found])
    measured = np.array([m.weather.sigma_theta is not None for m in found])
    theta = np.array([predict(m, theta=True, deposition=deposition) for m in found])
    stable = np.array([m.weather.obukhov > 0 for m in found])
    distance = np.array([m.arc for m in found])
    if (~measured).any():
        skipped["arcs without sigma-theta"] = int((~measured).sum())
    groups = {}
    parts = {"stable": stable, "unstable": ~stable}
    parts |= {f"{a:g} m": distance == a for a in sorted(set(distance.tolist()))}
    for name, part in parts.items():
        for label, values, allowed in (
            ("with", theta, measured),
            ("without", plain, measured | True),
        ):
            if (part & allowed).any():
                groups[f"{name}, {label}"] = scores(
                    observed[part & allowed], values[part & allowed]
                )
    return Outcome(
        maxima=tuple(found),
        with_theta=scores(observed[measured], theta[measured]) if measured.any() else None,
        without=scores(observed, plain),
        groups=groups,
        predicted=tuple(float(p) for p in np.where(measured, theta, plain)),
        skipped=skipped,
    )
