"""The boundary layer: similarity scales, wind profile, mixing height. SI units, arrays or scalars.

L is the Obukhov length in m, positive when stable, negative when unstable; `ustar` the friction
velocity and `wstar` the convective velocity in m/s; z0 the roughness length and zi the depth of
the boundary layer in m.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KARMAN = 0.4
GRAVITY = 9.81
AIR_DENSITY = 1.2  # kg/m³
AIR_HEAT = 1004.0  # J/(kg K)


def floats(x: npt.ArrayLike) -> Floats:
    return np.asarray(x, dtype=np.float64)


def psi_m(z: npt.ArrayLike, obukhov: npt.ArrayLike) -> Floats:
    """Stability correction of the wind profile.

    Unstable: Paulson (1970) J. Appl. Meteorol. 9, 857, with (1-16z/L)^(1/4); stable: van Ulden and
    Holtslag (1985) J. Clim. Appl. Meteorol. 24, 1196. Both as Cimorelli et al. (2005)
    J. Appl. Meteorol. 44, 682.
    """
    z, obukhov = np.broadcast_arrays(floats(z), floats(obukhov))
    ratio = z / obukhov
    x = (1 - 16 * np.minimum(ratio, 0)) ** 0.25
    unstable = 2 * np.log((1 + x) / 2) + np.log((1 + x * x) / 2) - 2 * np.arctan(x) + np.pi / 2
    stable = -17 * (1 - np.exp(-0.29 * np.maximum(ratio, 0)))
    return np.asarray(np.where(ratio < 0, unstable, stable))


def _shape(z: Floats, obukhov: npt.ArrayLike, z0: npt.ArrayLike) -> Floats:
    z0 = floats(z0)
    low = 7 * z0
    at = np.maximum(z, low)
    log = np.log(at / z0) - psi_m(at, obukhov) + psi_m(z0, obukhov)
    return np.asarray(log * np.minimum(z / low, 1), dtype=np.float64)


def wind(
    z: npt.ArrayLike,
    speed: npt.ArrayLike,
    z_speed: npt.ArrayLike,
    obukhov: npt.ArrayLike,
    z0: npt.ArrayLike,
) -> Floats:
    """Wind speed at height z from the one at `z_speed`: Monin-Obukhov profile, linear below 7 z0.

    Cimorelli et al. (2005). Above the surface layer the caller limits z.
    """
    return np.asarray(
        floats(speed) * _shape(floats(z), obukhov, z0) / _shape(floats(z_speed), obukhov, z0),
        dtype=np.float64,
    )


def friction_velocity(
    speed: npt.ArrayLike, z_speed: npt.ArrayLike, obukhov: npt.ArrayLike, z0: npt.ArrayLike
) -> Floats:
    """u* from one wind speed: k u / (ln(z/z0) - psi(z/L) + psi(z0/L)). Cimorelli (2005)."""
    return np.asarray(KARMAN * floats(speed) / _shape(floats(z_speed), obukhov, z0))


def obukhov_length(
    ustar: npt.ArrayLike, heat_flux: npt.ArrayLike, temperature: npt.ArrayLike = 293.0
) -> Floats:
    """L = -rho cp T u*³ / (k g H), m; heat flux H in W/m² (up positive), T in K.

    Cimorelli et al. (2005). |L| is kept at 1 m or more: nearer to zero the profiles have no
    meaning.
    """
    ustar, flux = floats(ustar), floats(heat_flux)
    flux = np.where(np.abs(flux) < 1e-3, -1e-3, flux)
    length = -AIR_DENSITY * AIR_HEAT * floats(temperature) * ustar**3 / (KARMAN * GRAVITY * flux)
    return np.asarray(np.where(length < 0, np.minimum(length, -1.0), np.maximum(length, 1.0)))


def convective_velocity(ustar: npt.ArrayLike, obukhov: npt.ArrayLike, zi: npt.ArrayLike) -> Floats:
    """w* = u* (zi / (k |L|))^(1/3), 0 when stable. Deardorff (1970) J. Atmos. Sci. 27, 1211."""
    obukhov = floats(obukhov)
    ratio = floats(zi) / (KARMAN * np.maximum(-obukhov, 1e-9))
    return np.asarray(np.where(obukhov < 0, floats(ustar) * np.cbrt(ratio), 0.0))


def mechanical_depth(ustar: npt.ArrayLike) -> Floats:
    """zi = 2300 u*^(3/2), m. Venkatram (1980) Boundary-Layer Meteorol. 19, 481."""
    return np.asarray(2300.0 * floats(ustar) ** 1.5)


def heat_flux(
    sun_elevation: npt.ArrayLike,
    cloud: npt.ArrayLike,
    temperature: npt.ArrayLike,
    bowen: float = 1.0,
) -> Floats:
    """Sensible heat flux by day, W/m²; sun elevation in degrees, cloud 0…1, temperature in K.

    Holtslag and van Ulden (1983) J. Clim. Appl. Meteorol. 22, 517: insolation (990 sin e - 30)
    (1 - 0.75 n^3.4), net radiation with albedo 0.18, 0.9 Rn shared by the Bowen ratio; Cimorelli
    et al. (2005).
    """
    clear = np.maximum(990 * np.sin(np.radians(floats(sun_elevation))) - 30, 0)
    cloud, kelvin = floats(cloud), floats(temperature)
    sun = clear * (1 - 0.75 * cloud**3.4)
    net = ((1 - 0.18) * sun + 5.31e-13 * kelvin**6 - 5.67e-8 * kelvin**4 + 60 * cloud) / 1.12
    return np.asarray(0.9 * net / (1 + 1 / bowen))


def stable_scales(
    speed: npt.ArrayLike,
    z_speed: npt.ArrayLike,
    z0: npt.ArrayLike,
    cloud: npt.ArrayLike,
    temperature: npt.ArrayLike = 283.0,
) -> tuple[Floats, Floats]:
    """u* and L by night from wind and cloud (0…1).

    theta* = 0.09 (1 - 0.5 n²) and the quadratic for u*: van Ulden and Holtslag (1985), Venkatram
    (1980); Cimorelli et al. (2005). Below the critical wind u* falls linearly with it.
    """
    speed = floats(speed)
    theta = 0.09 * (1 - 0.5 * floats(cloud) ** 2)
    drag = KARMAN / np.log(floats(z_speed) / floats(z0))
    u0_square = 5 * floats(z_speed) * GRAVITY * theta / floats(temperature)
    critical = np.sqrt(4 * u0_square / drag)
    used = np.maximum(speed, critical)
    root = np.sqrt(np.maximum(1 - 4 * u0_square / (drag * used**2), 0))
    ustar = drag * used * (1 + root) / 2
    below = speed < critical
    theta = np.where(below, theta * np.maximum(speed, 0.1) / critical, theta)
    ustar = np.maximum(np.where(below, ustar * speed / critical, ustar), 0.02)
    length = floats(temperature) * ustar**2 / (KARMAN * GRAVITY * theta)
    return np.asarray(ustar), np.asarray(np.maximum(length, 1.0))


def unstable_scales(
    speed: npt.ArrayLike,
    z_speed: npt.ArrayLike,
    z0: npt.ArrayLike,
    flux: npt.ArrayLike,
    temperature: npt.ArrayLike = 293.0,
) -> tuple[Floats, Floats]:
    """u* and L by day from wind and heat flux (> 0), iterated as Cimorelli et al. (2005)."""
    speed = np.maximum(floats(speed), 0.1)
    length: Any = floats(np.full(np.broadcast(speed, floats(flux)).shape, -1e5))
    ustar = friction_velocity(speed, z_speed, length, z0)
    for _ in range(30):
        length = np.minimum(obukhov_length(ustar, flux, temperature), -1.0)
        ustar = friction_velocity(speed, z_speed, length, z0)
    return ustar, floats(length)


def brunt_vaisala(
    obukhov: npt.ArrayLike, ustar: npt.ArrayLike, temperature: float = 283.0
) -> Floats:
    """N in 1/s near the ground of a stable layer: gradient at 2 m, at least 0.005 K/m.

    d theta/dz = theta*/(k z) (1 + 5 z/L): Cimorelli et al. (2005); N² = g/T dtheta/dz.
    """
    obukhov, ustar = floats(obukhov), floats(ustar)
    theta = temperature * ustar**2 / (KARMAN * GRAVITY * np.maximum(obukhov, 1.0))
    gradient = np.maximum(theta / (KARMAN * 2.0) * (1 + 10 / np.maximum(obukhov, 1.0)), 0.005)
    # The gradient of the lowest metres does not reach through the layer: 0.035 K/m is Pasquill F.
    return np.sqrt(GRAVITY / temperature * np.minimum(gradient, 0.035))
