"""The weather of the coming 48 hours, as known at the start of a forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.forecast.history import WEATHER, History

LEADS = 48
# Standard deviation of the error of a forecast of a city's mean, at 1 and at 48 hours: assumed
# (no archive of forecasts is at hand), linear between. Temperature and dew point in K, pressure in
# hPa, wind in m/s.
ERRORS = {
    "temperature": (1.5, 2.0),
    "dewpoint": (2.0, 3.0),
    "pressure": (0.7, 1.5),
    "u": (1.2, 1.7),
    "v": (1.2, 1.7),
    "speed": (0.9, 1.3),
}


@dataclass(frozen=True)
class Degraded:
    """Measured weather made as bad as a forecast: normal errors of ERRORS that grow with the lead.

    `memory`: correlation of the errors of neighbouring hours; 0 as in the research, real forecasts
    are nearer to 0.9. Every start has its own errors, the same at each call.
    """

    seed: int = 1
    memory: float = 0.0
    scale: float = 1.0

    def __call__(self, history: History, starts: npt.NDArray[np.int64]) -> Floats:
        """Shape (starts, LEADS, len(WEATHER)); NaN where nothing was measured."""
        true = measured(history, starts)
        out = np.empty_like(true)
        low = np.array([ERRORS[w][0] for w in WEATHER])
        high = np.array([ERRORS[w][1] for w in WEATHER])
        grow = low + (high - low) * (np.arange(LEADS) / (LEADS - 1))[:, None]
        for n, start in enumerate(starts):
            random = np.random.default_rng((self.seed, int(start)))
            noise = random.standard_normal((LEADS, len(WEATHER)))
            for h in range(1, LEADS) if self.memory else ():
                noise[h] = self.memory * noise[h - 1] + np.sqrt(1 - self.memory**2) * noise[h]
            out[n] = true[n] + self.scale * grow * noise
        speed = WEATHER.index("speed")
        out[..., speed] = np.maximum(out[..., speed], 0)
        return out


def measured(history: History, starts: npt.NDArray[np.int64]) -> Floats:
    """The weather as it then was, (starts, LEADS, len(WEATHER)): an upper bound, never a forecast."""
    table = np.column_stack([history.weather[w] for w in WEATHER])
    at = starts[:, None] + 1 + np.arange(LEADS)
    known = at < len(table)
    return np.where(known[..., None], table[np.where(known, at, 0)], np.nan)
