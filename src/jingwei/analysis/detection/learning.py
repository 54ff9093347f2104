"""What a suite learns from honest-looking history: models, families of streams, fused tail."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

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
from jingwei.analysis.detection.joint import weigh
from jingwei.analysis.detection.monitor import PROCESS, Bools, Floats, Monitor
from jingwei.analysis.detection.reasons import reason
from jingwei.analysis.detection.steps import fit_steps
from jingwei.analysis.detection.tracks import (
    Path,
    bins,
    honest,
    log_bins,
    log_residual,
    tracks_of,
)

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

FOLDS = 5  # blocks of the history, each judged by what the others taught
BURN = 2000.0  # hours of the history after which its scores count, and the same for long ones:
BURN_MOST, BURN_SHARE = 4000.0, 0.18


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
        channel.quality = model.measured(
            transform, y, walked.f, walked.fast, use, monitor.hour, late
        )
        suite.quality[name] = channel.quality
        suite.channels[name] = channel
        residual = np.where(use, walked.f - walked.fast, np.nan)
        habit = suite.habits.get(name)
        logs = (
            (np.array([0.0]), np.array([1.0]))
            if habit is None
            else log_bins(
                *log_residual(channel, np.where(use, walked.f, np.nan), walked.fast, habit.floor)
            )
        )
        suite.paths[name] = Path(walked.fast, walked.slow, bins(walked.fast, residual), logs)
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
    burn = round(max(BURN, min(BURN_MOST, BURN_SHARE * n / per_hour)) * per_hour)
    if n - burn < SHORT * per_hour:
        if not any(r.code == "short" for r in reasons):
            reasons.append(reason("short", "", days=n / per_hour / 24))
        return
    tracks, channels = tracks_of(suite, monitor, values, None)
    apart = round(APART * per_hour)
    honest = np.where(np.arange(n) >= burn, 1.0, np.nan)
    months = (n - burn) / per_hour / MONTH
    fit_steps(suite, tracks, burn, per_hour)
    found = suite.streams_of(tracks, channels, monitor, burn)
    suite.families = _fit_families(suite, found, honest, months, apart)
    _fit_fused(suite, found, burn, n, per_hour, apart)


def _fit_families(
    suite: Suite,
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
    for key, group in weigh(suite, found, result).items():
        found[key] = group
        family = Family.fit(group, honest, months, apart, 0.1)
        if family is not None:
            result[key] = family
    return result


def _outside(
    suite: Suite,
    found: dict[tuple[str, str], dict[str, Floats]],
    edges: npt.NDArray[np.int64],
    months: float,
    apart: int,
) -> dict[tuple[str, str], Floats]:
    """Bent rarity of every family in each block of the history, by what the other blocks taught."""
    n = int(edges[-1])
    out: dict[tuple[str, str], Floats] = {}
    for a, b in pairwise(edges.tolist()):
        away = np.full(n, np.nan)
        away[edges[0] :] = 1.0
        away[a:b] = np.nan
        families = _fit_families(suite, found, away, months * (FOLDS - 1) / FOLDS, apart)
        for key, group in found.items():
            value = suite.plain(key, group, families)
            if value is not None:
                row = out.setdefault(key, np.full(n, np.nan))
                row[a:b] = np.where(np.isfinite(value[a:b]), value[a:b], np.nan)
    return out


def _fit_fused(
    suite: Suite,
    found: dict[tuple[str, str], dict[str, Floats]],
    burn: int,
    n: int,
    per_hour: float,
    apart: int,
) -> None:
    """The tail of the fused score where it was not learnt. `realised` is counted on each block of the
    history with a tail fitted to the others.
    """
    edges = np.linspace(burn, n, FOLDS + 1).astype(np.int64)
    months = (n - burn) / per_hour / MONTH
    outside = _outside(suite, found, edges, months, apart)
    fused = suite.fuse(outside)
    if not len(fused):
        return
    suite.fused = Tail.fit(peaks(fused, apart), months)
    cases = {1.0: 0, 0.3: 0, 0.1: 0}
    for a, b in pairwise(edges.tolist()):
        elsewhere = fused.copy()
        elsewhere[a:b] = np.nan
        tail = Tail.fit(peaks(elsewhere, apart), months * (FOLDS - 1) / FOLDS)
        if tail is None:
            return
        for budget in cases:
            cases[budget] += count_cases(tail.rarity(fused[a:b]) >= -math.log(budget), apart)
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
