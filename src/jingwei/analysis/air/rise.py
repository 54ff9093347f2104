"""How high a plume rises. SI units, arrays or scalars."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import GRAVITY, Floats, floats


def buoyancy_flux(
    velocity: npt.ArrayLike, diameter: npt.ArrayLike, gas: npt.ArrayLike, air: npt.ArrayLike
) -> Floats:
    """F = g v d²/4 (Ts - Ta)/Ts, m⁴/s³; temperatures in K; 0 for a gas colder than the air.

    Briggs (1975) in Haugen, Lectures on Air Pollution and Environmental Impact Analyses.
    """
    gas = floats(gas)
    warm = np.maximum(gas - floats(air), 0) / gas
    return np.asarray(GRAVITY * floats(velocity) * floats(diameter) ** 2 / 4 * warm)


def downwash(
    height: npt.ArrayLike, diameter: npt.ArrayLike, velocity: npt.ArrayLike, wind: npt.ArrayLike
) -> Floats:
    """Release height behind the stack tip: h + 2 d (v/u - 1.5) where v < 1.5 u. Briggs (1974)."""
    ratio = np.minimum(floats(velocity) / np.maximum(floats(wind), 0.5) - 1.5, 0)
    return np.asarray(np.maximum(floats(height) + 2 * floats(diameter) * ratio, 0.0))


def plume_rise(
    *,
    velocity: npt.ArrayLike,
    diameter: npt.ArrayLike,
    gas: npt.ArrayLike,
    air: npt.ArrayLike,
    wind: npt.ArrayLike,
    frequency: npt.ArrayLike = 0.0,
) -> Floats:
    """Final rise above the release, m; `frequency` N in 1/s, 0 where the air is not stable.

    Neutral and unstable: 21.425 F^(3/4)/u below F = 55, else 38.71 F^(3/5)/u; stable: 2.6
    (F/(u N²))^(1/3), in calm 4 F^(1/4) N^(-3/4), whichever is lower; momentum 3 d v/u, stable 1.5
    (Fm/(u N))^(1/3), where that is more. Briggs (1969) Plume Rise, (1975); the arrangement is that
    of the EPA's ISC3 user's guide, volume II, section 1.1.4. Wind at the stack's mouth, at least
    0.5 m/s.
    """
    u = np.maximum(floats(wind), 0.5)
    v, d, n = floats(velocity), floats(diameter), floats(frequency)
    flux = buoyancy_flux(v, d, gas, air)
    neutral = np.where(flux < 55, 21.425 * flux**0.75, 38.71 * flux**0.6) / u
    momentum = 3 * d * v / u
    safe = np.where(n > 0, n, 1.0)
    bent = 2.6 * np.cbrt(flux / (u * safe**2))
    calm = 4.0 * flux**0.25 * safe**-0.75
    impulse = v**2 * d**2 / 4 * floats(air) / floats(gas)
    stable_momentum = np.minimum(1.5 * np.cbrt(impulse / (u * safe)), momentum)
    stable = np.maximum(np.minimum(bent, calm), stable_momentum)
    return np.asarray(np.where(n > 0, stable, np.maximum(neutral, momentum)))


def penetration(rise: npt.ArrayLike, lid: npt.ArrayLike) -> Floats:
    """Share of the plume that goes through the lid; `lid` is zi minus the stack's height, m.

    0 where lid/rise >= 1.5, 1 where <= 0.5, between them 1.5 - lid/rise: Weil and Brower (1984)
    J. Air Pollut. Control Assoc. 34, 818.
    """
    ratio = floats(lid) / np.maximum(floats(rise), 1e-6)
    return np.asarray(np.clip(1.5 - ratio, 0.0, 1.0))


def terrain_height(
    release: npt.ArrayLike, ground: npt.ArrayLike, wind: npt.ArrayLike, frequency: npt.ArrayLike
) -> Floats:
    """Effective height of a plume above ground that stands `ground` m over the stack's base.

    The layer under the dividing streamline (1 - Fr) H, Fr = u/(N H), goes round the hill, what is
    above goes over it: the plume is lowered by the share of it under that line (Snyder et al. 1985
    J. Fluid Mech. 152, 249), half and half otherwise; Cimorelli et al. (2005).
    """
    h, g = floats(release), np.maximum(floats(ground), 0.0)
    froude = floats(wind) / np.maximum(floats(frequency) * np.maximum(g, 1e-6), 1e-9)
    divide = g * np.clip(1 - froude, 0.0, 1.0)
    share = np.clip(divide / np.maximum(h, 1e-6), 0.0, 1.0)
    level = 0.5 * (1 + share)
    return np.asarray(np.maximum(level * (h - g) + (1 - level) * h, 0.0))
