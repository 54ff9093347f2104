"""One release on a site of some hundred metres: where it is, how strong, and how sure that is.

Sensors are points or light beams; samples of minutes; the plume goes straight within a minute. A
minute's plume is never where its mean says, so the error of a sample grows with the plume itself:
var = s0² + (k q a)², a the share of a wider plume. Fitting with equal errors would put the
misses into the background and the rate would come out too low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats

KAPPAS = (0.3, 0.6, 1.0, 1.6)
STRUCTURE = (
    0.25  # of the log of a rate: what a straight plume over a site does not know; own choice
)


@dataclass(frozen=True)
class Fit:
    """Rate (u/s), its standard error, the log likelihood; `kappa` is k above, `terms` (m,) what each
    sample gives to the likelihood before autocorrelation is allowed for."""

    rate: float
    error: float
    log: float
    kappa: float
    terms: Floats


def fit_rate(
    measured: npt.ArrayLike,
    share: npt.ArrayLike,
    wide: npt.ArrayLike,
    sensor: npt.ArrayLike,
    *,
    offset: float,
    kappas: tuple[float, ...] = KAPPAS,
) -> Fit:
    """The rate behind samples (m,): y = background + offset of the sensor + rate * share + error.

    share, wide (m,): u/m³ (or any unit of y) per unit rate; sensor (m,): its number. Background is
    one level and a slope over the samples' order; a sensor differs from it by about `offset`. The
    rate is at least 0. Errors are made wider by the autocorrelation of the residuals.
    """
    y, a, w = floats(measured), floats(share), floats(wide)
    who = np.asarray(sensor, dtype=np.int64)
    sensors = int(who.max()) + 1
    counts = np.bincount(who, minlength=sensors)
    order = np.arange(len(y)) - (np.cumsum(counts) - counts)[who]
    slope = order / np.maximum(counts[who] - 1, 1) - 0.5
    x = np.column_stack([a, np.ones(len(y)), slope, who[:, None] == np.arange(sensors)])
    ridge = np.diag(np.r_[0.0, 0.0, 0.0, np.full(sensors, 1 / offset**2)])
    best: Fit | None = None
    for kappa in kappas:
        q, s0 = 0.0, float(np.std(y))
        level = np.zeros(len(y))
        for _ in range(12):
            variance = s0**2 + (kappa * q * w) ** 2
            normal = (x.T / variance) @ x + ridge
            normal[0, 0] += 1e-300
            solved = np.linalg.solve(normal, (x.T / variance) @ y)
            q = max(float(solved[0]), 0.0)
            level = x[:, 1:] @ solved[1:]
            r = y - level - q * a
            # s0 from the samples that the plume hardly touches: median absolute deviation.
            quiet = (kappa * q * w) < s0
            if quiet.sum() > 20:
                s0 = max(1.4826 * float(np.median(np.abs(r[quiet]))), 1e-9)
        variance = s0**2 + (kappa * q * w) ** 2
        terms = -0.5 * (np.log(variance) + np.minimum(r**2 / variance, 25.0))
        log = float(terms.sum())
        z = r / np.sqrt(variance)
        pairs = who[1:] == who[:-1]
        z = np.clip(z, -3, 3)
        rho = float(np.clip(np.sum((z[1:] * z[:-1])[pairs]) / np.sum(z**2), 0.0, 0.95))
        stretch = (1 + rho) / (1 - rho) * max(float(np.mean(z**2)), 1.0)
        error = float(np.sqrt(np.linalg.inv(normal)[0, 0] * stretch))
        if best is None or log / stretch > best.log:
            best = Fit(q, error, log / stretch, kappa, terms)
    assert best is not None
    return best


def beam_shares(
    x: float,
    y: float,
    height: float,
    *,
    towards: Floats,
    speed: Floats,
    lateral: Floats,
    vertical: Floats,
    starts: Floats,
    ends: Floats,
    initial: float = 0.25,
    points: int = 40,
) -> Floats:
    """Path means of a unit release at (x, y, height): (beams, samples), s/m³.

    towards: direction to which the wind blows, radians, anticlockwise from +x; lateral, vertical:
    spread per distance (tangent of the turbulence angle); initial: spread at the source, m; starts, ends (beams, 3).
    """
    f = (np.arange(points) + 0.5) / points
    line = starts[:, None, :] + f[None, :, None] * (ends - starts)[:, None, :]
    dx, dy = line[..., 0, None] - x, line[..., 1, None] - y
    c, s = np.cos(towards), np.sin(towards)
    down, across = dx * c + dy * s, dy * c - dx * s
    reach = np.maximum(down, 0.5)
    sy, sz = lateral * reach + initial, vertical * reach + initial
    z = line[..., 2, None]
    up = np.exp(-0.5 * ((z - height) / sz) ** 2) + np.exp(-0.5 * ((z + height) / sz) ** 2)
    density = np.exp(-0.5 * (across / sy) ** 2) * up / (2 * np.pi * sy * sz * speed)
    return np.asarray(np.where(down > 0, density, 0.0).mean(axis=1))


def interval(
    rate: float, error: float, *, draws: int = 20_000, seed: int = 1
) -> tuple[float, float]:
    """Middle 90 % of a fitted rate: noise of the samples and the plume's lognormal `STRUCTURE`."""
    random = np.random.default_rng(seed)
    some = np.maximum(rate + error * random.standard_normal(draws), 0.0)
    low, high = np.quantile(some * random.lognormal(0, STRUCTURE, draws), [0.05, 0.95])
    return float(low), float(high)
