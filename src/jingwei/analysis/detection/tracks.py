"""From columns to tracks: report, expectation, standardised residual of each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection import kernels, model, streams
from jingwei.analysis.detection.habit import Habit
from jingwei.analysis.detection.model import Channel
from jingwei.analysis.detection.monitor import Bools, Floats, Monitor

if TYPE_CHECKING:
    from jingwei.analysis.detection.later import Later
    from jingwei.analysis.detection.suite import Suite

SCALE_HALF = 1500.0
SCALE_LAG = 168.0
HELD = 1.5  # deviations to which the robust residual is held


@dataclass
class Path:
    """One channel over the history: what the model said, for later stretches to stand on."""

    fast: Floats
    slow: Floats
    bins: tuple[Floats, Floats]  # expected level -> relative size of the residual
    logs: tuple[Floats, Floats]  # ln(expected) -> deviation of the log residual


def honest(suite: Suite, monitor: Monitor, name: str) -> Bools:
    """Rows of the history that a model may learn from."""
    y = monitor.values[name]
    good = ~np.isnan(y)
    if name in suite.screened:
        good &= ~suite.screened[name]
    marks = monitor.mark(name)
    if marks is not None:
        good &= np.isin(marks, ["", "N"])
    return good


def tracks_of(
    suite: Suite, monitor: Monitor, values: Mapping[str, Floats], later: Later | None
) -> tuple[list[streams.Track], list[streams.ChannelTrack]]:
    """The tracks over the history itself (later None) or over context and later stretch."""
    per_hour = monitor.hour
    tracks, channels = [], []
    for name in [*monitor.targets, *monitor.having("o2", "flow")]:
        y = values.get(name, monitor.values[name])
        channel = suite.channels.get(name)
        is_target = name in monitor.targets
        if is_target and name in suite.silent:
            continue
        if channel is None:
            if is_target and name in suite.habits:
                full = y if later is None else later.column(name)
                tracks.append(
                    _bare(name, full, per_hour, monitor if later is None else later.whole)
                )
            continue
        path = suite.paths[name]
        if later is None:
            f = channel.transform.forward(y)
            fast, slow, whole = path.fast, path.slow, monitor
            settled = np.ones(len(f), dtype=bool)
        else:
            f = channel.transform.forward(later.column(name))
            fast, slow = later.paths[name]
            whole = later.whole
            settled = later.settled
        pull, weight = _relative(channel, f, fast, path, suite.habits.get(name))
        relative = np.interp(fast, path.bins[0], path.bins[1])
        relative[np.isnan(fast)] = np.nan
        r = (f - fast) / relative
        lag = round(SCALE_LAG * per_hour)
        half = SCALE_HALF * per_hour
        sigma = kernels.lagged_scale(r, half, lag, round(300 * per_hour))
        zs_r = (f - slow) / relative
        sigma_s = kernels.lagged_scale(zs_r, half, lag, round(300 * per_hour))
        z, zs = r / sigma, zs_r / sigma_s
        near = model.corrected(f, fast, ~np.isnan(f), per_hour)
        zn = (f - near) / relative / sigma
        if is_target:
            spike = _spikes(z)
            f = np.where(spike, np.nan, f)
            z, zs = np.where(spike, np.nan, z), np.where(spike, np.nan, zs)
        most = 4.0 if is_target else 12.0
        z, zs = np.clip(z, -most, most), np.clip(zs, -most, most)
        if is_target:
            limit = monitor.limits.get(name, float("nan"))
            tracks.append(
                streams.Track(
                    name,
                    y if later is None else later.column(name),
                    f,
                    fast,
                    slow,
                    z,
                    zs,
                    sigma * relative,
                    float(channel.transform.forward(np.array([limit]))[0]),
                    channel.transform.root,
                    channel.quality.passed,
                    per_hour,
                    whole.hours_of_day(),
                    ~np.isnan(fast),
                    settled,
                    np.where(spike, np.nan, pull),
                    np.where(spike, np.nan, weight),
                    np.clip(np.where(spike, np.nan, zn), -most, most),
                )
            )
        elif channel.quality.r2 > 0.2:
            zc = z.copy()
            zc[~settled] = np.nan
            assert monitor.roles is not None
            channels.append(streams.ChannelTrack(name, monitor.roles[name], zc))
    return tracks, channels


def _bare(name: str, y: Floats, per_hour: float, whole: Monitor) -> streams.Track:
    """A track without a model."""
    nothing = np.full(len(y), np.nan)
    return streams.Track(
        name,
        y,
        y,
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        float("nan"),
        False,
        False,
        per_hour,
        whole.hours_of_day(),
        np.zeros(len(y), dtype=bool),
        np.ones(len(y), dtype=bool),
        nothing,
        nothing,
        nothing,
    )


def _relative(
    channel: Channel, f: Floats, fast: Floats, path: Path, habit: Habit | None
) -> tuple[Floats, Floats]:
    """The robust relative residual as (numerator, weight), both (T,): their window sums' ratio is a
    mean of ln(report / expected), each row held to `HELD` deviations and weighted by 1 / deviation^2,
    in units of the usual deviation."""
    if habit is None:
        return np.full(len(f), np.nan), np.full(len(f), np.nan)
    r, level = log_residual(channel, f, fast, habit.floor)
    deviation = np.interp(level, *path.logs)
    usual = float(np.median(path.logs[1]))
    weight = np.where(np.isnan(r), np.nan, (usual / deviation) ** 2)
    return np.clip(r / deviation, -HELD, HELD) * deviation / usual * weight, weight


def log_residual(channel: Channel, f: Floats, fast: Floats, floor: float) -> tuple[Floats, Floats]:
    """ln(report / expected) and ln(expected), both (T,); what lies below the floor counts as it."""
    least = max(floor, 1e-9)
    level = np.log(np.maximum(channel.transform.back(fast), least))
    return np.log(np.maximum(channel.transform.back(f), least)) - level, level


def log_bins(residual: Floats, level: Floats) -> tuple[Floats, Floats]:
    """Deviation (1.48 median |r|) of the log residual at twelve levels of the expectation."""
    ok = ~(np.isnan(residual) | np.isnan(level))
    r, e = np.abs(residual[ok]), level[ok]
    if len(r) < 500:
        return np.array([0.0]), np.array([1.0])
    edges = np.quantile(e, np.linspace(0, 1, 13))
    centers, sizes = [], []
    for a, b in pairwise(edges):
        inside = (e >= a) & (e <= b)
        centers.append(float(e[inside].mean()))
        sizes.append(1.4826 * float(np.median(r[inside])))
    size = np.array(sizes)
    return np.array(centers), np.maximum(size, max(0.2 * float(np.median(size)), 1e-9))


def _spikes(z: Floats) -> Bools:
    """First rows of a jump far up: a start, a blow-back. What stays up is seen in the next row."""
    before = np.r_[0.0, np.nan_to_num(z[:-1])]
    result: Bools = (z > 5.0) & (before < 3.0)
    return result


def bins(expected: Floats, residual: Floats) -> tuple[Floats, Floats]:
    """Relative size of the residual at ten levels of the expectation, mean 1."""
    ok = ~(np.isnan(expected) | np.isnan(residual))
    e, r = expected[ok], np.abs(residual[ok])
    if len(e) < 500:
        return np.array([0.0]), np.array([1.0])
    edges = np.quantile(e, np.linspace(0, 1, 11))
    centers, sizes = [], []
    for a, b in pairwise(edges):
        inside = (e >= a) & (e <= b)
        if inside.sum() >= 20:
            centers.append(float(e[inside].mean()))
            sizes.append(float(np.mean(np.minimum(r[inside], np.quantile(r, 0.99)))))
    size = np.array(sizes) / np.mean(sizes)
    return np.array(centers), np.clip(size, 0.4, 2.5)
