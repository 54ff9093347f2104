"""Scores of predictions against observations.

Chang and Hanna (2004) Meteorol. Atmos. Phys. 87, 167: FB > 0 means that the model is too low.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scores:
    """FAC2: share within a factor of two; fractional bias; normalised mean square error;
    geometric mean bias and variance (over pairs where both are positive); number of pairs."""

    pairs: int
    fac2: float
    fb: float
    nmse: float
    mg: float
    vg: float

    def rounded(self) -> dict[str, float | int]:
        return {k: v if isinstance(v, int) else round(v, 4) for k, v in asdict(self).items()}


def scores(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> Scores:
    """Scores of pairs, both (n,), n >= 1. Raises ValueError for no pair or a value that is no number."""
    o = np.asarray(observed, dtype=np.float64)
    p = np.asarray(predicted, dtype=np.float64)
    if o.shape != p.shape or o.ndim != 1 or not len(o):
        raise ValueError(f"scores: wanted two equal rows of numbers, got {o.shape} and {p.shape}")
    if not (np.isfinite(o).all() and np.isfinite(p).all()):
        raise ValueError("scores: a value is missing or infinite")
    both = (o > 0) & (p > 0)
    log = np.log(o[both] / p[both]) if both.any() else np.array([np.nan])
    within = (p >= 0.5 * o) & (p <= 2 * o)
    return Scores(
        pairs=len(o),
        fac2=float(np.mean(within)),
        fb=float(2 * (o.mean() - p.mean()) / (o.mean() + p.mean())),
        nmse=float(np.mean((o - p) ** 2) / (o.mean() * p.mean())),
        mg=float(np.exp(log.mean())),
        vg=float(np.exp(np.mean(log**2))),
    )
