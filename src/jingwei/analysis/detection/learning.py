"""What a suite learns from honest-looking history: models, families of streams, fused tail."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection import model
from jingwei.analysis.detection.calibration import (
    APART,
    DECADE,
    LOGS,
    MONTH,
    Family,
    Tail,
    peaks,
)
from jingwei.analysis.detection.complaints import SHORT
from jingwei.analysis.detection.finding import Reason, digits
from jingwei.analysis.detection.monitor import PROCESS, Bools, Floats, Monitor
from jingwei.analysis.detection.reasons import reason
from jingwei.analysis.detection.steps import fit_steps
from jingwei.analysis.detection.tracks import Path, bins, honest, tracks_of

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

FOLDS = 5
BURN = 2000.0  # hours of the history after which its scores count


def fit_models(suite: Suite, monitor: Monitor, blocked: set[str], reasons: list[Reason]) -> None:
    process = {c: monitor.values[c] for c in monitor.having(*PROCESS)}
    scaler = model.Scaler.fit(process) if process else None
    if scaler is None or not scaler.names:
        reasons.append(reason("no_state", ""))
        return
    suite.scaler = scaler
    z = scaler.scaled(process)
    phi = scaler.features(z, monitor.hour)
    for name in [*monitor.targets, *monitor.having("o2", "flow")]:
        y = monitor.values[name]
        if name in blocked or (~np.isnan(y)).sum() < SHORT * monitor.hour:
            continue
        use = honest(suite, monitor, name)
        if not use.any():
            continue
        transform = model.Transform.fit(y[use])
        channel = model.Channel(name, transform, [], model.Quality(0.0, 0.0, 0, False))
        walked, memories = channel.run(phi, y, use, monitor.hour, fresh=True)
        channel.memories = memories
        late = use.copy()
        late[: round(BURN * monitor.hour)] = False
        channel.quality = model.quality(y, transform.back(walked.fast), late)
        suite.quality[name] = channel.quality
        suite.channels[name] = channel
        residual = np.where(use, walked.f - walked.fast, np.nan)
        suite.paths[name] = Path(walked.fast, walked.slow, bins(walked.fast, residual))
        if name in monitor.targets:
            if not channel.quality.passed:
                reasons.append(reason("gate", name, r2=channel.quality.r2))
            rows = np.arange(len(y)) >= len(y) - round(1440 * monitor.hour)
            _, memory = model.walk(
                phi, walked.f, use & ~rows, model.SLOW[0], 0, len(y), monitor.hour, None
            )
            suite.importance[name] = model.importance(
                scaler, z, walked.f, use & rows, monitor.hour, memory
            )


def calibrate(suite: Suite, monitor: Monitor, blocked: set[str], reasons: list[Reason]) -> None:
    n, per_hour = len(monitor), monitor.hour
    values = {
        t: np.where(suite.screened[t], np.nan, monitor.values[t])
        if t in suite.screened
        else monitor.values[t]
        for t in monitor.targets
    }
    nuisance(values, per_hour)
    burn = round(BURN * per_hour)
    if n - burn < SHORT * per_hour:
        if not any(r.code == "short" for r in reasons):
            reasons.append(reason("short", "", days=n / per_hour / 24))
        return
    tracks, channels = tracks_of(suite, monitor, values, None)
    apart = round(APART * per_hour)
    honest = np.where(np.arange(n) >= burn, 1.0, np.nan)
    months = (n - burn) / per_hour / MONTH
    # Learn each stream on all of the history, and apart from that on either half, so that what
    # the budget gives can be counted where it was not learnt.
    fit_steps(suite, tracks, burn, per_hour)
    found = suite.streams_of(tracks, channels, monitor, burn)
    suite.families = _fit_families(found, honest, months, apart)
    _fit_fused(suite, found, burn, n, per_hour, apart)


def _fit_families(
    found: dict[tuple[str, str], dict[str, Floats]],
    honest: Floats,
    months: float,
    apart: int,
) -> dict[tuple[str, str], Family]:
    result = {}
    for key, group in found.items():
        if key[1] == "step_at_gap":
            continue
        least = DECADE if key[1] in LOGS else 0.02
        family = Family.fit(group, honest, months, apart, least)
        if family is not None:
            result[key] = family
    return result


def _fuse(
    suite: Suite,
    found: dict[tuple[str, str], dict[str, Floats]],
    families: dict[tuple[str, str], Family] | None = None,
) -> Floats:
    best: Floats | None = None
    for key, group in found.items():
        rarity = suite.rarity(key, group, families)
        if rarity is None:
            continue
        best = rarity if best is None else np.maximum(best, rarity)
    return np.zeros(0) if best is None else best


def _fit_fused(
    suite: Suite,
    found: dict[tuple[str, str], dict[str, Floats]],
    burn: int,
    n: int,
    per_hour: float,
    apart: int,
) -> None:
    """The tail of the fused score where it was not learnt: each fifth of the history is scored
    by families learnt on the other four, and the tail is fitted to that. `realised` is counted
    on each fifth with a tail fitted to the other four.
    """
    edges = np.linspace(burn, n, FOLDS + 1).astype(int)
    months = (n - burn) / per_hour / MONTH
    outside = np.full(n, np.nan)
    for a, b in pairwise(edges):
        away = np.full(n, np.nan)
        away[burn:] = 1.0
        away[a:b] = np.nan
        families = _fit_families(found, away, months * (FOLDS - 1) / FOLDS, apart)
        score = _fuse(suite, found, families)[a:b]
        outside[a:b] = np.where(np.isfinite(score), score, np.nan)
    suite.fused = Tail.fit(peaks(outside, apart), months)
    cases = {1.0: 0, 0.3: 0, 0.1: 0}
    for a, b in pairwise(edges):
        others = outside.copy()
        others[a:b] = np.nan
        tail = Tail.fit(peaks(others, apart), months * (FOLDS - 1) / FOLDS)
        if tail is None:
            return
        rarity = tail.rarity(outside[a:b])
        for budget in cases:
            cases[budget] += count_cases(rarity >= -math.log(budget), apart)
    suite.realised = {
        str(b): {
            "nominal": b,
            "realised": digits(c / months),
            "cases": c,
            "months": digits(months),
        }
        for b, c in cases.items()
    }


def nuisance(values: dict[str, Floats], per_hour: float) -> None:
    """Put into a copy of the history what honest monitors do: a calibration gap of 2 h a week, an
    outage of one to three days every six weeks, a spike of an hour a month. In place; the same
    every time."""
    generator = np.random.Generator(np.random.PCG64(53553))
    for name in values:
        y = np.array(values[name])
        n = len(y)
        week = round(168 * per_hour)
        for begin in range(round(40 * per_hour), n, week):
            at = begin + int(generator.integers(0, max(1, week // 2)))
            y[at : at + round(2 * per_hour)] = np.nan
        for begin in range(0, n, 6 * week):
            at = begin + int(generator.integers(0, 5 * week))
            y[at : at + round(int(generator.integers(24, 73)) * per_hour)] = np.nan
        for begin in range(0, n, round(MONTH * per_hour)):
            at = begin + int(generator.integers(0, round(700 * per_hour)))
            y[at : at + max(1, round(per_hour))] *= 1.0 + 2.0 * generator.random()
        values[name] = y


def count_cases(flags: Bools, apart: int) -> int:
    """Alarms fused: a case takes in all within `apart` rows of its first."""
    rows = np.flatnonzero(flags)
    count, until = 0, -1
    for row in rows.tolist():
        if row > until:
            count += 1
            until = row + apart
    return count
