"""The steady plume of one source: where a straight wind may be assumed, up to about an hour of travel.

Concentrations are per unit release (s/m³), so any mass unit works.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air import spread
from jingwei.analysis.air.boundary import (
    Floats,
    convective_velocity,
    floats,
    mechanical_depth,
    wind,
)
from jingwei.analysis.air.loss import depletion, deposition_velocity

_ROOT = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Weather:
    """One period over one place.

    speed (m/s) at z_speed (m); obukhov L (m, negative unstable); ustar (m/s); z0 (m); zi (m),
    None: mechanical depth; sigma_theta: measured standard deviation of wind direction at z_speed
    (degrees), None: from similarity; averaging: length of the samples (s).
    """

    speed: float
    z_speed: float
    obukhov: float
    ustar: float
    z0: float
    zi: float | None = None
    sigma_theta: float | None = None
    averaging: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("speed", "z_speed", "ustar", "z0"):
            if not getattr(self, name) > 0:
                raise ValueError(f"weather: {name} is {getattr(self, name)}, must be above 0")
        if not abs(self.obukhov) > 0:
            raise ValueError("weather: the Obukhov length is 0 or missing")

    @property
    def depth(self) -> float:
        return self.zi if self.zi and self.zi > 0 else float(mechanical_depth(self.ustar))

    @property
    def wstar(self) -> float:
        return float(convective_velocity(self.ustar, self.obukhov, self.depth))

    @property
    def sigma_v(self) -> float:
        """Of the measured sigma-theta (radians times speed) where there is one, else similarity."""
        if self.sigma_theta is not None:
            return float(np.radians(self.sigma_theta) * self.speed)
        return float(
            spread.lateral_turbulence(
                self.ustar,
                self.wstar,
                zi=self.depth,
                speed=self.speed,
                averaging=self.averaging,
            )
        )


def ground_factor(
    z: npt.ArrayLike, height: npt.ArrayLike, sigma_z: npt.ArrayLike, zi: npt.ArrayLike
) -> Floats:
    """Vertical distribution at z of a puff at `height` between ground and lid, 1/m.

    Gaussian with images at the ground and at +-2 zi, +-4 zi (Turner 1970, equation 3.4 and chapter 3).
    Where sigma_z exceeds 0.7 zi the same sum as its cosine series, (1 + 2 q cos(pi h/zi) cos(pi z/zi)
    + 2 q^4 cos(2 pi h/zi) cos(2 pi z/zi)) / zi with q = exp(-(pi sigma_z/zi)²/2) (Poisson's summation;
    what either leaves out is below 1e-6): it goes over into evenly mixed air, 1/zi, without a step.
    Nothing comes down through the lid: 0 where the height is above zi.
    """
    z, h, s, zi = (floats(a) for a in (z, height, sigma_z, zi))
    s = np.maximum(s, 1e-6)
    total: Floats = np.zeros(np.broadcast(z, h, s, zi).shape)
    for n in range(-2, 3):
        total = total + np.exp(-0.5 * ((z - h - 2 * n * zi) / s) ** 2)
        total = total + np.exp(-0.5 * ((z + h - 2 * n * zi) / s) ** 2)
    q = np.exp(-0.5 * (np.pi * np.minimum(s / zi, 5.0)) ** 2)
    c, d = np.cos(np.pi * h / zi), np.cos(np.pi * z / zi)
    wide = (1 + 2 * q * (c * d + q**3 * (2 * c * c - 1) * (2 * d * d - 1))) / zi
    total = np.where(s > 0.7 * zi, wide, total / (_ROOT * s))
    return np.where(h > zi, 0.0, total)


def convective_factor(
    z: npt.ArrayLike, height: float, time: npt.ArrayLike, wstar: float, zi: float
) -> Floats:
    """Vertical distribution of an elevated release in convective air, 1/m: updraughts and
    downdraughts, each Gaussian, reflected at ground and lid.

    Weil et al. (1997) J. Appl. Meteorol. 36, 982, as Cimorelli et al. (2005): sigma_w² = 0.35 w*²,
    skewness 0.125 w*³/sigma_w³, R = 2, alpha = (1 + R²)/(1 + 3R²), beta = 1 + R². Recalled: neither
    paper was at hand, so no equation numbers are given.
    """
    z, t = floats(z), np.maximum(floats(time), 1e-3)
    sw = np.sqrt(0.35)
    skew, alpha, beta = 0.125 / sw**3, 5 / 13, 5.0
    root = np.sqrt((alpha * skew) ** 2 + 4 / beta)
    up, down = sw * (alpha * skew + root) / 2, sw * (alpha * skew - root) / 2
    shares = (-down / (up - down), up / (up - down))
    total: Floats = np.zeros(np.broadcast(z, t).shape)
    for share, mean, width in ((shares[0], up, 2 * up), (shares[1], down, -2 * down)):
        sigma = width * wstar * t
        # Reflections: images of z with period 2 zi; the centre is folded into the first of them.
        centre = np.mod(height + mean * wstar * t + zi, 2 * zi) - zi
        part: Floats = np.zeros(total.shape)
        for n in range(-4, 5):
            for image in (z, -z):
                part = part + np.exp(-0.5 * ((image + 2 * n * zi - centre) / sigma) ** 2)
        total = total + share * np.where(sigma > 1.5 * zi, 1 / zi, part / (_ROOT * sigma))
    return total


def relative_concentration(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    z: npt.ArrayLike,
    *,
    height: float,
    weather: Weather,
    surface: float | None = None,
) -> Floats:
    """Concentration over release rate, s/m³, at x downwind, y across, z above ground (m).

    0 upwind. `height` is the effective release height; `surface` the surface resistance (s/m) for
    what deposits, None for nothing. The sigmas are those of `spread`. Near the ground the plume
    spreads sideways for as long as the air there travels: time = x over the lower of the plume's
    wind and the wind at the height of measurement.
    """
    x, y, z = floats(x), floats(y), floats(z)
    down = np.maximum(x, 1e-3)
    w = weather
    about = {
        "ustar": w.ustar,
        "obukhov": w.obukhov,
        "speed": w.speed,
        "z_speed": w.z_speed,
        "z0": w.z0,
        "height": height,
        "zi": w.depth,
    }
    sigma_z, carried = spread.sigma_z(down, **about)
    time = down / np.minimum(carried, max(w.speed, 0.5)) if height <= 2.0 else down / carried
    sigma_y = spread.sigma_y(time, w.sigma_v, w.depth, height)
    if w.obukhov < 0 and height > 0.1 * w.depth:
        vertical = convective_factor(z, height, time, w.wstar, w.depth)
    else:
        vertical = ground_factor(z, height, sigma_z, w.depth)
    left: Floats | float = 1.0
    if surface is not None:
        steps = np.geomspace(1.0, max(float(down.max()), 2.0), 120)
        s, u = spread.sigma_z(steps, **about)
        velocity = deposition_velocity(w.ustar, w.obukhov, w.z0, surface)
        share = depletion(steps, ground_factor(0.0, height, s, w.depth) / u, velocity)
        left = np.interp(down, steps, share)
    across = np.exp(-0.5 * (y / sigma_y) ** 2) / (_ROOT * sigma_y)
    return np.asarray(np.where(x > 0, left * across * vertical / carried, 0.0))


def wind_at(z: float, weather: Weather) -> float:
    """Wind speed at z (m) in this weather, m/s."""
    return float(wind(z, weather.speed, weather.z_speed, weather.obukhov, weather.z0))
