"""What leaves the air on the way: dry and wet deposition, first-order loss. SI units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import KARMAN, Floats, floats, psi_m

if TYPE_CHECKING:
    from jingwei.analysis.air.puffs import Winds

# Surface resistance of SO2, s/m, over range land in midsummer, dry: Wesely (1989) Atmos. Environ.
# 23, 1293, tables 1-2 (cuticle 2000, lower canopy 2000, canopy air 100, ground 350; stomata 120
# closed at night; D(H2O)/D(SO2) = 1.9), worked out for 30 °C and 800 W/m², and for the night.
SO2_DAY = 159.0
SO2_NIGHT = 355.0


def aerodynamic_resistance(
    z: npt.ArrayLike, ustar: npt.ArrayLike, obukhov: npt.ArrayLike, z0: npt.ArrayLike
) -> Floats:
    """r_a = (ln(z/z0) - psi(z/L)) / (k u*), s/m, at least 0. Wesely and Hicks (1977)."""
    top = np.log(floats(z) / floats(z0)) - psi_m(z, obukhov)
    return np.asarray(np.maximum(top, 0) / (KARMAN * np.maximum(floats(ustar), 0.01)))


def sublayer_resistance(ustar: npt.ArrayLike, schmidt: float = 1.25) -> Floats:
    """r_b = 2/(k u*) (Sc/Pr)^(2/3), s/m, Pr = 0.72. Hicks et al. (1987) Water Air Soil Pollut. 36."""
    return np.asarray(2 / (KARMAN * np.maximum(floats(ustar), 0.01)) * (schmidt / 0.72) ** (2 / 3))


def deposition_velocity(
    ustar: npt.ArrayLike,
    obukhov: npt.ArrayLike,
    z0: npt.ArrayLike,
    surface: npt.ArrayLike,
    z: npt.ArrayLike = 2.0,
) -> Floats:
    """v_d = 1/(r_a + r_b + r_c), m/s; `surface` r_c in s/m. Wesely (1989)."""
    return np.asarray(
        1
        / (
            aerodynamic_resistance(z, ustar, obukhov, z0)
            + sublayer_resistance(ustar)
            + floats(surface)
        )
    )


def washout(rain: npt.ArrayLike, a: float = 2e-5, b: float = 0.8) -> Floats:
    """Scavenging rate a P^b, 1/s; rain P in mm/h. The default is for SO2 under the cloud:
    Maul (1978) Atmos. Environ. 12, 2515, rounded; for fine particles take a = 8.4e-5, b = 0.79
    (Baklanov and Sørensen 2001 Phys. Chem. Earth B 26, 787).
    """
    return np.asarray(a * np.maximum(floats(rain), 0) ** b)


def half_life(hours: npt.ArrayLike) -> Floats:
    """First-order rate ln 2 / T, 1/s, of a half-life in hours. SO2 by day: 4 h in cities
    (HJ 2.2-2018)."""
    return np.asarray(np.log(2) / (3600 * floats(hours)))


def depletion(x: npt.ArrayLike, ground: npt.ArrayLike, velocity: npt.ArrayLike) -> Floats:
    """Share of the release still in the air along a plume: exp(-∫ v_d c dx), shape (n,).

    `ground` is the crosswind-integrated concentration at the ground over the release rate, s/m²,
    at the distances x (n,). Source depletion: Chamberlain (1953), AERE HP/R 1261.
    """
    x, c = floats(x), floats(ground)
    steps = 0.5 * (c[1:] + c[:-1]) * np.diff(x)
    total = np.concatenate([[c[0] * x[0]], c[0] * x[0] + np.cumsum(steps)])
    return np.asarray(np.exp(-floats(velocity) * total))


@dataclass(frozen=True)
class Losses:
    """What takes a pollutant out of the air unless a person says otherwise. `half_life` h of first-order
    loss, None for none; `surface` resistance s/m by day and night, None: it does not deposit;
    `scavenging` a, b of `washout`, None: rain does not take it. `cited`: from where."""

    half_life: float | None = None
    surface: tuple[float, float] | None = None
    scavenging: tuple[float, float] | None = None
    cited: str = ""


# Fine particles' own deposition, and what nitrogen oxides and carbon monoxide lose within two days, are
# left at none by choice: no figure at hand holds for a whole city.
_RAIN = "Baklanov and Sørensen (2001)"
LOSSES = {
    "SO2": Losses(
        4.0, (SO2_DAY, SO2_NIGHT), (2e-5, 0.8), "HJ 2.2-2018; Wesely (1989); Maul (1978)"
    ),
    "NO2": Losses(),
    "CO": Losses(),
    "PM10": Losses(scavenging=(8.4e-5, 0.79), cited=_RAIN),
    "PM2.5": Losses(scavenging=(8.4e-5, 0.79), cited=_RAIN),
}


def velocity(
    ustar: Floats, obukhov: Floats, surface: tuple[float, float], z0: float = 1.0
) -> Floats:
    """Deposition velocity of each hour, m/s, mean over the nodes of u* and L (hours, ...), at 10 m over
    the roughness `z0`; by day where the air is unstable."""
    resistance = np.where(floats(obukhov) < 0, surface[0], surface[1])
    found = deposition_velocity(ustar, obukhov, z0, resistance, 10.0)
    return np.asarray(found.reshape(len(found), -1).mean(axis=1))


def usual(winds: Winds, pollutant: str) -> Winds:
    """The weather with what takes a pollutant out of the air by `LOSSES`, but for rain, which no
    station reports; as it is for a pollutant that is not there."""
    if pollutant not in LOSSES:
        return winds
    about = LOSSES[pollutant]
    rate = float(half_life(about.half_life)) if about.half_life else 0.0
    speed: Floats | float = 0.0
    if about.surface:
        speed = velocity(winds.ustar[:-1], winds.obukhov[:-1], about.surface)
    return replace(winds, loss=rate, deposition=speed)
