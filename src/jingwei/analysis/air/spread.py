"""How far a plume spreads: turbulence and the sigmas. SI units, arrays or scalars.

Horizontal and vertical spread come from similarity scales and, where there is one, from measured
sigma-theta. Pasquill-Gifford curves are there only for users who know nothing but wind and cloud.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from jingwei.analysis.air.boundary import Floats, convective_velocity, floats, wind

SIGMA_V_FLOOR = 0.2  # m/s; Cimorelli et al. (2005): weak winds meander
_HALF = np.sqrt(2 / np.pi)
# Times zi: sigma_z grows no further. Reflected at ground and lid the layer is then filled evenly to
# within 2 exp(-(pi 1.2)²/2) = 0.16 %.
FILLED = 1.2


def averaging_share(time: npt.ArrayLike, scale: npt.ArrayLike) -> Floats:
    """Share of the variance of a process of Eulerian time scale `scale` (s) that samples of
    length `time` (s) still see: 1 - 2q (1 - q (1 - exp(-1/q))), q = scale/time.

    Pasquill and Smith (1983) Atmospheric Diffusion, 3rd ed., exponential correlation.
    """
    q = np.maximum(floats(scale), 1e-9) / floats(time)
    return np.asarray(np.clip(1 - 2 * q * (1 - q * (1 - np.exp(-1 / q))), 0.0, 1.0))


def lateral_turbulence(
    ustar: npt.ArrayLike,
    wstar: npt.ArrayLike,
    *,
    zi: npt.ArrayLike = 1000.0,
    speed: npt.ArrayLike = 5.0,
    averaging: float = 3600.0,
    floor: float = SIGMA_V_FLOOR,
) -> Floats:
    """sigma_v, m/s: sqrt(3.6 u*² + 0.35 w*²), at least `floor`.

    Cimorelli et al. (2005), for an hour. For shorter samples the convective part loses
    what eddies of the size of the layer bring: integral length 0.24 zi (spectral peak 1.5 zi,
    Kaimal et al. 1976 J. Atmos. Sci. 33, 2152), carried past by the wind `speed`.
    """
    convective = 0.35 * floats(wstar) ** 2
    scale = 0.24 * floats(zi) / np.maximum(floats(speed), 0.1)
    share = averaging_share(averaging, scale) / averaging_share(3600.0, scale)
    variance = 3.6 * floats(ustar) ** 2 + convective * share
    return np.asarray(np.maximum(np.sqrt(variance), floor))


def vertical_turbulence(
    z: npt.ArrayLike, ustar: npt.ArrayLike, wstar: npt.ArrayLike, zi: npt.ArrayLike
) -> Floats:
    """sigma_w at height z, m/s. Cimorelli et al. (2005).

    Convective 1.6 (z/zi)^(2/3) w*² below 0.1 zi, 0.35 w*² above; mechanical 1.3 u*
    (1 - z/zi)^(1/2). At least 0.02 m/s.
    """
    height, zi = floats(z), floats(zi)
    ratio = np.clip(height / zi, 1e-6, 1.0)
    convective = np.minimum(1.6 * ratio ** (2 / 3), 0.35) * floats(wstar) ** 2
    mechanical = 1.69 * floats(ustar) ** 2 * (1 - ratio)
    return np.asarray(np.maximum(np.sqrt(convective + mechanical), 0.02))


def sigma_y(
    time: npt.ArrayLike, sigma_v: npt.ArrayLike, zi: npt.ArrayLike, height: npt.ArrayLike = 0.46
) -> Floats:
    """Lateral spread after a travel time (s): sv t (1 + a sv t / zi)^(-0.3), m.

    a = 78 (0.46/h), h at least 0.46 m, a at least 0.7: Cimorelli et al. (2005).
    """
    reach = floats(sigma_v) * floats(time)
    alpha = np.maximum(78 * 0.46 / np.maximum(floats(height), 0.46), 0.7)
    return np.asarray(reach * (1 + alpha * reach / floats(zi)) ** -0.3)


def mean_height(sigma_z: npt.ArrayLike, height: npt.ArrayLike) -> Floats:
    """Mean height of a Gaussian plume reflected at the ground, m (first moment of the half normal)."""
    s, h = floats(sigma_z), floats(height)
    s = np.maximum(s, 1e-6)
    return np.asarray(s * _HALF * np.exp(-0.5 * (h / s) ** 2) + h * erf(h / (np.sqrt(2) * s)))


def _surface_curve(x: Floats, ratio: Floats, obukhov: Floats) -> Floats:
    grow = ratio * x
    far = x / np.abs(obukhov)
    return np.where(
        obukhov > 0,
        0.57 * grow / (1 + 3 * ratio * far ** (2 / 3)),
        0.57 * grow * (1 + 1.5 * ratio * far),
    )


def sigma_z_surface(
    x: npt.ArrayLike,
    *,
    ustar: npt.ArrayLike,
    obukhov: npt.ArrayLike,
    speed: npt.ArrayLike,
    z_speed: npt.ArrayLike,
    z0: npt.ArrayLike,
    height: npt.ArrayLike,
    zi: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    """Vertical spread of a release near the ground and the wind that carries it: (sigma_z, u_e).

    Stable 0.57 s x / (1 + 3 s (x/L)^(2/3)), unstable 0.57 s x (1 + 1.5 s x/|L|), s = u*/u_e, u_e
    the wind at the plume's mean height, found by iteration: Venkatram et al. (2013) Atmos.
    Environ. 77, 846. At most `FILLED` zi. A plume that fills the layer is at zi/2 in the mean; one
    released above that, nowhere higher than it was released.
    """
    x, obukhov, ustar = np.broadcast_arrays(floats(x), floats(obukhov), floats(ustar))
    lid = FILLED * floats(zi)
    middle = np.maximum(0.5 * floats(zi), np.minimum(floats(height), floats(zi)))
    carried = np.maximum(wind(2.0, speed, z_speed, obukhov, z0) + 0 * x, 0.5)
    sigma = x
    for _ in range(30):
        sigma = np.minimum(_surface_curve(x, ustar / carried, obukhov), lid)
        at = np.minimum(mean_height(sigma, height), middle)
        old, carried = carried, np.maximum(wind(at, speed, z_speed, obukhov, z0), 0.5)
        if np.all(np.abs(carried - old) < 1e-5 * old):
            break
    return np.asarray(sigma), np.asarray(carried)


def vertical_time_scale(
    height: npt.ArrayLike,
    sigma_w: npt.ArrayLike,
    zi: npt.ArrayLike,
    obukhov: npt.ArrayLike,
    frequency: npt.ArrayLike = 0.02,
) -> Floats:
    """Lagrangian time scale of vertical motion, s.

    Unstable 0.15 zi/sigma_w (Hanna 1982, in Nieuwstadt and van Dop, Atmospheric Turbulence and Air
    Pollution Modelling); stable l/sigma_w, 1/l = 1/(0.36 h) + N/(0.27 sigma_w)
    (Venkatram et al. 1984 Atmos. Environ. 18, 2093; Cimorelli et al. 2005).
    """
    h, sw = np.maximum(floats(height), 0.5), floats(sigma_w)
    length = 1 / (1 / (0.36 * h) + floats(frequency) / (0.27 * sw))
    return np.asarray(np.where(floats(obukhov) < 0, 0.15 * floats(zi) / sw, length / sw))


def sigma_z_elevated(time: npt.ArrayLike, sigma_w: npt.ArrayLike, scale: npt.ArrayLike) -> Floats:
    """Vertical spread of an elevated release: sw t / sqrt(1 + t / (2 T_L)), m.

    Taylor (1921) in the interpolation of Venkatram et al. (1984); Cimorelli et al. (2005).
    """
    t = floats(time)
    return np.asarray(floats(sigma_w) * t / np.sqrt(1 + t / (2 * floats(scale))))


def surface_weight(height: npt.ArrayLike, zi: npt.ArrayLike) -> Floats:
    """Share of the near-ground curve in sigma_z: 1 - h/zi. Cimorelli et al. (2005)."""
    return np.asarray(np.clip(1 - floats(height) / floats(zi), 0.0, 1.0))


def sigma_z(
    x: npt.ArrayLike,
    *,
    ustar: npt.ArrayLike,
    obukhov: npt.ArrayLike,
    speed: npt.ArrayLike,
    z_speed: npt.ArrayLike,
    z0: npt.ArrayLike,
    height: npt.ArrayLike,
    zi: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    """Vertical spread at any release height and the wind that carries the plume: (sigma_z, u_e).

    Near-ground and elevated curve weighed by `surface_weight`; a release below 0.1 zi in
    convective air, or below 2 m, is a near-ground one.
    """
    near, u_near = sigma_z_surface(
        x, ustar=ustar, obukhov=obukhov, speed=speed, z_speed=z_speed, z0=z0, height=height, zi=zi
    )
    low = floats(height) <= np.where(floats(obukhov) < 0, 0.1 * floats(zi), 2.0)
    if np.all(low):
        return near, u_near
    at = np.minimum(floats(height), 0.9 * floats(zi))
    wstar = convective_velocity(ustar, obukhov, zi)
    sw = vertical_turbulence(at, ustar, wstar, zi)
    u_high = np.maximum(wind(at, speed, z_speed, obukhov, z0), 0.5)
    time = floats(x) / u_high
    high = sigma_z_elevated(time, sw, vertical_time_scale(at, sw, zi, obukhov))
    high = np.minimum(high, FILLED * floats(zi))
    weight = np.where(low, 1.0, surface_weight(height, zi))
    return np.asarray(weight * near + (1 - weight) * high), np.asarray(
        np.where(low, u_near, np.maximum(u_high, u_near))
    )


def lid_met(
    zi: npt.ArrayLike, met: npt.ArrayLike, height: npt.ArrayLike, sigma_z: npt.ArrayLike
) -> Floats:
    """The lid that bounds a puff where the mixing depth is `zi` now, and `met` bounded it before, m.

    What is mixed stays mixed: when the layer becomes shallow in the evening, a puff keeps the depth
    that it has filled, at most two sigmas above its middle; what is above the new lid is in the
    residual layer and comes down only when a later lid takes it in (Stull 1988, An Introduction to
    Boundary Layer Meteorology, section 1.6; recalled). Meanwhile sigma_z grows no further.
    """
    reached = floats(height) + 2 * floats(sigma_z)
    return np.asarray(np.maximum(floats(zi), np.minimum(floats(met), reached)))


# Pasquill-Gifford, the fallback. --------------------------------------------------------------

# Turner (1970) Workbook of Atmospheric Dispersion Estimates, table 3-1: rows wind < 2, 2-3, 3-5,
# 5-6, > 6 m/s; columns strong, moderate, slight insolation, cloudy night, clear night.
_CLASSES = ("AABFF", "ABBEF", "BBCDE", "CCDDD", "CDDDD")


def pasquill_class(speed: float, sun_elevation: float, cloud: float) -> str:
    """Stability class "A"…"F" from wind at 10 m (m/s), sun elevation (degrees) and cloud (0…1).

    Turner (1970) table 3-1; insolation strong above 60°, moderate above 35°, else slight, one
    step less under more than half cloud; overcast is D by day and night.
    """
    if cloud > 0.94:
        return "D"
    row = int(np.searchsorted((2.0, 3.0, 5.0, 6.0), speed, side="right"))
    if sun_elevation > 0:
        column = 0 if sun_elevation > 60 else 1 if sun_elevation > 35 else 2
        column = min(column + (cloud > 0.5), 2)
    else:
        column = 3 if cloud > 0.4 else 4
    return _CLASSES[row][column]


# Briggs (1973) ATDL contribution 79, open country, 0.1-10 km, as in Hanna, Briggs and Hosker (1982)
# Handbook on Atmospheric Diffusion, table 4.5: sy = a x (1 + 0.0001x)^-1/2; sz = b x (1 + c x)^d.
_BRIGGS = {
    "A": (0.22, 0.20, 0.0, 0.0),
    "B": (0.16, 0.12, 0.0, 0.0),
    "C": (0.11, 0.08, 0.0002, -0.5),
    "D": (0.08, 0.06, 0.0015, -0.5),
    "E": (0.06, 0.03, 0.0003, -1.0),
    "F": (0.04, 0.016, 0.0003, -1.0),
}


def pasquill_gifford(x: npt.ArrayLike, stability: str) -> tuple[Floats, Floats]:
    """(sigma_y, sigma_z) at x m downwind for class "A"…"F", open country (Briggs 1973).

    Raises ValueError for another class.
    """
    if stability not in _BRIGGS:
        raise ValueError(f"stability class {stability!r}: wanted one of A B C D E F")
    a, b, c, d = _BRIGGS[stability]
    x = floats(x)
    return np.asarray(a * x / np.sqrt(1 + 1e-4 * x)), np.asarray(b * x * (1 + c * x) ** d)


def puff_sigma_z(
    time: npt.ArrayLike,
    *,
    ustar: npt.ArrayLike,
    wstar: npt.ArrayLike,
    obukhov: npt.ArrayLike,
    zi: npt.ArrayLike,
    speed: npt.ArrayLike,
    height: npt.ArrayLike,
) -> Floats:
    """Vertical spread of a puff after `time` s in a wind of `speed`, m.

    The same near-ground and elevated curves as `sigma_z`, written in travel time: x = u t.
    """
    t, us, ob, zi, h = (floats(a) for a in (time, ustar, obukhov, zi, height))
    u = np.maximum(floats(speed), 0.5)
    near = _surface_curve(u * t, us / u, ob + 0 * t)
    at = np.minimum(np.maximum(h, 0.5), 0.9 * zi)
    sw = vertical_turbulence(at, us, wstar, zi)
    high = sigma_z_elevated(t, sw, vertical_time_scale(at, sw, zi, ob))
    low = h <= np.where(ob < 0, 0.1 * zi, 2.0)
    weight = np.where(low, 1.0, surface_weight(h, zi))
    return np.asarray(weight * near + (1 - weight) * high)
