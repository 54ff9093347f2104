"""Falsified, faulty and honest-but-odd data, made from honest ones, after the patterns of practice.

Each kind takes the columns of one outlet (copies), the target, the window [a, b) in rows, a random
generator and the limit, changes the columns in place and returns nothing. Strengths are moderate:
a few to 40 % of the emission hidden. `KINDS` are the 12 core kinds, `EXTRA` three more, `HONEST`
what must not raise a case, `MORE` kinds nobody tuned for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Columns = dict[str, Floats]
Rng = np.random.Generator
Kind = Callable[[Columns, str, int, int, Rng, float], None]


def red(n: int, phi: float, deviation: float, rng: Rng) -> Floats:
    """A first-order autoregressive series."""
    noise = rng.normal(size=n) * deviation * np.sqrt(1 - phi**2)
    out = np.empty(n)
    last = rng.normal() * deviation
    for i in range(n):
        last = phi * last + noise[i]
        out[i] = last
    return out


def rounded(y: Floats, like: Floats) -> Floats:
    """Five significant figures, as this instrument writes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = 4 - np.floor(np.log10(np.maximum(np.abs(y), 1e-9)))
    scale = 10.0 ** np.clip(place, 0, 6)
    return np.round(np.maximum(y, 0.0) * scale) / scale


def _noise(y: Floats) -> float:
    """Robust: spikes are no noise."""
    return float(np.nanmedian(np.abs(np.diff(y))) / 0.6745 / np.sqrt(2))


def constant(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K01: the value of the first hour, repeated."""
    y = c[t]
    y[a:b] = y[a] if not np.isnan(y[a]) else np.nanmedian(y)


def pinned(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K02: a small wobble about a safe value, without regard to the load."""
    y = c[t]
    safe = min(float(np.nanmedian(y[a:b])), 0.9 * limit) * rng.uniform(0.8, 1.0)
    wobble = _noise(y) * rng.uniform(0.15, 0.5)
    y[a:b] = rounded(safe + red(b - a, rng.uniform(0, 0.6), wobble, rng), y)


def clipped(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K03: what lies above a cap below the limit is written just under the cap."""
    y = c[t]
    cap = min(limit * rng.uniform(0.9, 0.98), float(np.nanquantile(y[a:b], rng.uniform(0.7, 0.9))))
    over = y[a:b] > cap
    y[a:b][over] = rounded(cap * (1 - 0.03 * rng.random(int(over.sum()))), y)


def copied(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K04: a stretch of the weeks before, value for value."""
    y = c[t]
    back = int(rng.integers(b - a, 60 * 24))
    y[a:b] = y[a - back : b - back]


def periodic(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K05: one day again and again, with a little noise."""
    y = c[t]
    day = y[a - 24 : a].copy()
    again = np.tile(day, (b - a) // 24 + 1)[: b - a]
    y[a:b] = rounded(again + rng.normal(size=b - a) * _noise(y) * rng.uniform(0.1, 0.35), y)


def smoothed(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K06: a running mean of 7 to 13 hours, lowered a little."""
    y = c[t]
    w = int(rng.integers(7, 14))
    padded = y[a - w : b]
    filled = np.where(np.isnan(padded), np.nanmean(padded), padded)
    mean = np.convolve(filled, np.ones(w) / w, "valid")[-(b - a) :]
    y[a:b] = rounded(mean * rng.uniform(0.85, 1.0), y)


def typed(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K07: written by hand: lower, to a decimal, ending in 0 or 5 more often than not."""
    y = c[t]
    unit = 10.0 ** np.floor(np.log10(0.35 * _noise(y)))
    v = np.round(y[a:b] * rng.uniform(0.75, 0.95) / unit)
    fives = rng.random(b - a) < rng.uniform(0.35, 0.6)
    v[fives] = 5 * np.round(v[fives] / 5)
    y[a:b] = np.maximum(v, 1) * unit


def step(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K08: a gap for calibration, then a lower slope for good."""
    y = c[t]
    gap = int(rng.integers(2, 7))
    y[a : a + gap] = np.nan
    y[a + gap : b] = rounded(y[a + gap : b] * rng.uniform(0.6, 0.85), y)


def oxygen(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K09: O2 read low, so that the converted value falls with it."""
    o2 = c["O2"]
    low = o2[a:b] - rng.uniform(1.0, 3.0)
    c[t][a:b] = rounded(c[t][a:b] * (21 - o2[a:b]) / (21 - low), c[t])
    o2[a:b] = np.round(low, 3)


def nitrogen(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K10: N2 at the probe: every gas falls, O2 too."""
    share = rng.uniform(0.65, 0.85)
    for name in ("NOX", "CO", "O2"):
        if name in c:
            c[name][a:b] = rounded(c[name][a:b] * share, c[name])


def night(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K11: a bypass at night: 22 to 5 o'clock reads lower (row 0 = 0 o'clock)."""
    y = c[t]
    hours = np.arange(a, b) % 24
    dark = (hours >= 22) | (hours < 5)
    y[a:b][dark] = rounded(y[a:b][dark] * rng.uniform(0.55, 0.8), y)


def generated(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K12: a random generator with the right spread and memory, lower, deaf to the load."""
    y = c[t]
    past = y[max(0, a - 720) : a]
    past = past[~np.isnan(past)]
    logs = np.log(np.maximum(past, 0.05))
    x = red(b - a, rng.uniform(0.0, 0.8), float(logs.std()) * rng.uniform(0.4, 0.9), rng)
    y[a:b] = rounded(np.exp(np.median(logs) + x) * rng.uniform(0.7, 0.95), y)


def dropped(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K13: what exceeds is missing."""
    y = c[t]
    cut = min(limit, float(np.nanquantile(y[a:b], 0.9)))
    y[a:b][y[a:b] > cut] = np.nan


def drifting(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K14: lowered a little more every day, to 60-75 % at the end."""
    y = c[t]
    y[a:b] = rounded(y[a:b] * np.linspace(1.0, rng.uniform(0.6, 0.75), b - a), y)


def flow_low(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """K15: the section entered too small: flow is 58 to 80 % of what it was."""
    c["FLOW"][a:b] = np.round(c["FLOW"][a:b] * rng.uniform(0.58, 0.8), 2)


def calibration(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """N01: two to four missing hours a week; nothing else."""
    for at in range(a, b, 168):
        c[t][at : at + int(rng.integers(2, 5))] = np.nan


def outage(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """N02: one to three days without data, for every pollutant."""
    for name in ("NOX", "CO"):
        if name in c:
            c[name][a:b] = np.nan


def spike(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """N03: single hours far too high, as after a start or a blow-back."""
    y = c[t]
    for at in rng.integers(a, b, 3):
        y[at] = y[at] * rng.uniform(2.0, 4.0)


def air(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """M01: air drawn into the sample: gases fall, O2 rises towards 20.9."""
    share = rng.uniform(0.65, 0.85)
    for name in ("NOX", "CO"):
        if name in c:
            c[name][a:b] = rounded(c[name][a:b] * share, c[name])
    c["O2"][a:b] = np.round(c["O2"][a:b] * share + 20.9 * (1 - share), 3)


def offset(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """M02: a zero offset: a fixed amount less, never below 0."""
    y = c[t]
    y[a:b] = rounded(
        np.maximum(y[a:b] - float(np.nanmedian(y[a:b])) * rng.uniform(0.15, 0.4), 0.01), y
    )


def old_copy(c: Columns, t: str, a: int, b: int, rng: Rng, limit: float) -> None:
    """M03: a copied stretch, scaled, so that no value is the same."""
    y = c[t]
    back = int(rng.integers(b - a, 60 * 24))
    y[a:b] = rounded(y[a - back : b - back] * rng.uniform(0.8, 0.95), y)


# kind -> (function, least and most hours of the window)
KINDS: dict[str, tuple[Kind, int, int]] = {
    "K01 constant": (constant, 6, 48),
    "K02 pinned": (pinned, 72, 240),
    "K03 clipped": (clipped, 336, 720),
    "K04 copied": (copied, 24, 72),
    "K05 periodic": (periodic, 72, 240),
    "K06 smooth": (smoothed, 72, 240),
    "K07 typed": (typed, 168, 480),
    "K08 step": (step, 336, 720),
    "K09 O2 low": (oxygen, 120, 480),
    "K10 N2": (nitrogen, 72, 336),
    "K11 night": (night, 336, 720),
    "K12 generated": (generated, 120, 480),
}
EXTRA: dict[str, tuple[Kind, int, int]] = {
    "K13 dropped": (dropped, 504, 1000),
    "K14 drift": (drifting, 720, 1440),
    "K15 flow low": (flow_low, 120, 480),
}
HONEST: dict[str, tuple[Kind, int, int]] = {
    "N01 calibration": (calibration, 336, 672),
    "N02 outage": (outage, 24, 73),
    "N03 spike": (spike, 168, 336),
}
MORE: dict[str, tuple[Kind, int, int]] = {
    "M01 air": (air, 72, 336),
    "M02 offset": (offset, 336, 720),
    "M03 scaled copy": (old_copy, 48, 120),
}
EVERY = {**KINDS, **EXTRA, **HONEST, **MORE}


def process_columns(columns: Columns, seed: int) -> Columns:
    """O2 and FLOW for a series that has none, from load and ambient air with red noise."""
    rng = np.random.default_rng(seed)
    load = (columns["TEY"] - 133.0) / 15.0
    warm = (columns["AT"] - 17.0) / 7.0
    n = len(load)
    return {
        **columns,
        "O2": np.round(14.2 - 0.6 * load + 0.1 * warm + red(n, 0.9, 0.15, rng), 3),
        "FLOW": np.round(300 + 25 * load - 6 * warm + red(n, 0.9, 5.0, rng), 2),
    }
