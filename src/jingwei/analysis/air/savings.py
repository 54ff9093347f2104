"""What a cut of emissions is expected to save, and how sure that is.

Concentrations of what stacks emit themselves go in proportion to the emission, so a cut of x % saves
x % of what they add. Unsure is what they add: the rates are known only so well, of nitrogen oxides and
particles only a part arrives as what stations measure, and the plume model is off by a factor that hits
all of them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats

# Standard deviation of the logarithm of true over modelled concentration: VG = exp(s²) of Prairie
# Grass without measured turbulence is 1.258 (docs/validation/air.md). That is of arc maxima under a
# known wind; means over stations and hours miss less by direction, but share the rest.
MODEL = 0.48
# Of the rates: a monitor that passes is within 15 % (HJ 75-2017, relative accuracy of SO2 and NOx,
# taken as one standard deviation); a permit is Student-t of scale 0.4 and two degrees
# of freedom in the logarithm (own choice); an inventory's yearly amount counts as sure as a permit's (own
# choice: it says what was emitted, but by emission factors); where nothing is known but that it emits,
# twice that.
RATES = {"monitor": 0.15, "permit": 0.4, "inventory": 0.4, "assumed": 0.8}
DEGREES = 2.0
# What part of nitrogen oxides (as NO2) is NO2 at a station, and what part of all particles of a stack
# is finer than 10 and 2.5 µm: the middle 90 %, taken as lognormal and the same for all stacks. NO2: the
# least and the most of the ratio method ARM2 in the US guideline on air quality models (40 CFR 51,
# appendix W, 4.2.3.4; 0.9 is the most in China's HJ 2.2 as well). Particles: between electrostatic
# precipitator and bag filter of a coal boiler in AP-42, table 1.1-6 (PM10 67 and 92 %, PM2.5 29 and
# 53 %), for PM2.5 wider upwards for wet precipitators: own choice. All recalled, not read anew.
PARTS = {"NO2": (0.5, 0.9), "PM10": (0.67, 0.92), "PM2.5": (0.29, 0.8)}
MOST = np.log(30.0)  # no rate is farther off than 30 times


@dataclass(frozen=True)
class Interval:
    """Median and the middle 90 %."""

    low: float
    middle: float
    high: float


def part(pollutant: str) -> float:
    """The middle of `PARTS`; 1 for what is measured as it is emitted."""
    return float(np.sqrt(np.prod(PARTS.get(pollutant, (1.0, 1.0)))))


def intervals(
    adds: npt.ArrayLike,
    basis: Sequence[str],
    *,
    pollutant: str = "",
    draws: int = 4000,
    seed: int = 1,
) -> list[Interval]:
    """For each row of `adds` (m, n), µg/m³ that n sources add by their known rates, the sum of what
    they truly add. `basis` (n,): how each rate is known, a key of `RATES`; `pollutant`: one of `PARTS`
    whose additions rest on its middle part. The same draws serve all
    rows, so that rows can be compared. Raises ValueError for other shapes, negative or missing values.
    """
    a = floats(adds)
    if a.ndim != 2 or a.shape[1] != len(basis) or not (np.isfinite(a) & (a >= 0)).all():
        raise ValueError(f"savings: {a.shape} additions of {len(basis)} sources, none negative")
    unknown = sorted(set(basis) - set(RATES))
    if unknown:
        raise ValueError(f"savings: basis {unknown[0]!r}, wanted one of {' '.join(RATES)}")
    truth = factors(basis, draws, seed, pollutant)
    quantiles = np.quantile(truth @ a.T, [0.05, 0.5, 0.95], axis=0)
    return [Interval(*map(float, q)) for q in quantiles.T]


def factors(basis: Sequence[str], draws: int, seed: int, pollutant: str = "") -> Floats:
    """True over known contribution (draws, n): the rate of each source for itself, one error of the
    model and one of the part for all. A further source leaves the draws of the others as they are."""
    normal, heavy, common = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
    scale = np.array([RATES[b] for b in basis])
    shape = (len(basis), draws)
    known, vague = normal.standard_normal(shape).T, heavy.standard_t(DEGREES, shape).T
    rate = scale * np.where(np.array(basis) == "monitor", known, vague)
    low, high = np.log(PARTS.get(pollutant, (1.0, 1.0)))
    # Both are normal in the logarithm, so they add up by squares.
    spread = np.hypot(MODEL, (high - low) / (2 * 1.6449))
    return np.asarray(
        np.exp(np.clip(rate, -MOST, MOST) + spread * common.standard_normal((draws, 1)))
    )
