"""Chemical mass balance: how much of known sources is in a sample.

Effective variance least squares, Watson, Cooper and Huntzicker (1984) Atmos. Environ. 18, 1347.
The statistics (chi square per degree of freedom, R square of the weighted values, percent of mass, t) and
the values wanted of them are those of the EPA's CMB 8.2: recalled, its manual was not at hand; the
threshold of 0.9 above which two sources are alike is an own choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats


@dataclass(frozen=True)
class Balance:
    """One sample. contributions, errors, t (sources,): amount of each, its standard error, their
    ratio (below 2: not to be told from nothing). chi2: weighted squared residuals per degree of
    freedom (below 1 very good, above 4 bad); r2: share of the weighted variance explained (0.8 or
    more is wanted); mass: per cent of the measured mass, None without one. residuals (species,):
    calculated less measured over their joint error; alike: pairs of sources that the sample cannot
    tell apart; `dropped`: sources whose contribution came out negative and were taken out."""

    contributions: Floats
    errors: Floats
    t: Floats
    chi2: float
    r2: float
    mass: float | None
    residuals: Floats
    alike: tuple[tuple[int, int], ...]
    dropped: tuple[int, ...]


def balance(
    measured: npt.ArrayLike,
    error: npt.ArrayLike,
    profiles: npt.ArrayLike,
    profile_errors: npt.ArrayLike,
    *,
    mass: float | None = None,
    drop_negative: bool = True,
) -> Balance:
    """measured, error (species,), NaN where missing; profiles, profile_errors (sources, species):
    fractions of the source's mass. Raises ValueError for fewer species than sources or shapes or
    errors that do not fit."""
    c, s = floats(measured), floats(error)
    f, sf = floats(profiles), floats(profile_errors)
    if f.ndim != 2 or f.shape != sf.shape or c.shape != s.shape or f.shape[1:] != c.shape:
        raise ValueError(
            f"cmb: {c.shape} measured, {s.shape} errors, {f.shape} profiles do not fit together"
        )
    use = np.isfinite(c)
    if not (np.isfinite(s[use]).all() and (s[use] > 0).all()):
        raise ValueError("cmb: an uncertainty is missing or not above 0")
    if not (np.isfinite(f).all() and np.isfinite(sf).all() and (sf >= 0).all()):
        raise ValueError("cmb: a profile is missing a value or an error")
    active = list(range(len(f)))
    dropped: list[int] = []
    while True:
        if use.sum() <= len(active):
            raise ValueError(f"cmb: {use.sum()} species for {len(active)} sources")
        a, sa = f[active][:, use].T, sf[active][:, use].T
        amount = floats(np.zeros(len(active)))
        variance = floats(s[use] ** 2)
        for _ in range(200):
            variance = floats(s[use] ** 2 + (sa**2) @ amount**2)
            normal = (a.T / variance) @ a
            new = np.linalg.lstsq(normal, (a.T / variance) @ c[use], rcond=None)[0]
            done = np.all(np.abs(new - amount) <= 1e-9 * np.maximum(np.abs(new), 1e-12))
            amount = floats(new)
            if done:
                break
        worst = int(amount.argmin()) if len(amount) else 0
        if not drop_negative or not len(amount) or amount[worst] >= 0:
            break
        dropped.append(active.pop(worst))
        if not active:
            raise ValueError("cmb: every source came out negative")
    cov = np.linalg.pinv(normal)
    fit = a @ amount
    freedom = int(use.sum()) - len(active)
    square = float(np.sum((c[use] - fit) ** 2 / variance))
    whole, errors, residuals = np.zeros(len(f)), np.full(len(f), np.nan), np.full(len(c), np.nan)
    whole[active] = amount
    errors[active] = np.sqrt(np.diag(cov))
    residuals[use] = (fit - c[use]) / np.sqrt(variance)
    size = np.sqrt(np.diag(normal))
    like = normal / np.outer(size, size)
    alike = tuple(
        (active[i], active[j])
        for i in range(len(active))
        for j in range(i + 1, len(active))
        if like[i, j] > 0.9
    )
    return Balance(
        contributions=whole,
        errors=errors,
        t=np.where(errors > 0, whole / np.where(errors > 0, errors, 1.0), 0.0),
        chi2=square / freedom,
        r2=1 - square / float(np.sum(c[use] ** 2 / variance)),
        mass=None if not mass else 100 * float(whole.sum()) / mass,
        residuals=residuals,
        alike=alike,
        dropped=tuple(dropped),
    )
