"""What cannot be judged, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection import streams
from jingwei.analysis.detection.finding import Reason
from jingwei.analysis.detection.monitor import Floats, Monitor
from jingwei.analysis.detection.reasons import reason

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

HALF = 0.5  # of the values: with no more of them nothing is judged by statistics
SHORT = 60 * 24.0  # hours of valid history that the statistical tier needs
UNCALIBRATED = timedelta(days=730)  # without a mark of calibration
UNIT = 8.0  # a level that differs by more than this factor for days is taken for another unit


def same(history: Monitor, monitor: Monitor) -> None:
    if abs(monitor.step - history.step) > timedelta(microseconds=1):
        raise ValueError(f"step {monitor.step} differs from the history's {history.step}")
    missing = [c for c in history.values if c not in monitor.values]
    if missing:
        raise ValueError(f"columns of the history are missing: {', '.join(missing)}")
    gone = [t for t in monitor.targets if t not in history.targets]
    if gone:
        raise ValueError(f"targets that the history did not have: {', '.join(gone)}")


def complaints(monitor: Monitor) -> list[Reason]:
    """Why this history, or a column of it, cannot be learnt from."""
    out = []
    n, h = len(monitor), monitor.hour
    if n < SHORT * h:
        return [reason("short", "", days=n / h / 24)]
    for target in monitor.targets:
        y = monitor.values[target]
        valid = y[~np.isnan(y)]
        if not len(valid):
            out.append(reason("empty", target))
        elif _constant(valid):
            out.append(reason("constant", target))
        elif len(valid) <= HALF * n:
            out.append(reason("missing", target, share=1 - len(valid) / n))
        else:
            out += _unit_change(target, y, h)
        out += _calibration(monitor, None, target)
    return out


def _constant(valid: Floats) -> bool:
    """Whether values never move, or fewer than one in fifty do."""
    if valid.max() - valid.min() <= 1e-9 * max(1.0, abs(float(valid.max()))):
        return True
    return len(valid) > 1 and float(np.mean(np.diff(valid) != 0)) < 0.02


def _calibration(monitor: Monitor, history: Monitor | None, target: str) -> list[Reason]:
    """Two years without a mark of calibration, or without any marks, at the end of the rows."""
    marks, last = monitor.mark(target), monitor.calibrated_before(target, len(monitor))
    if history is not None and (marks is None or not (marks == "C").any()):
        known = [
            history.calibrated_before(target, len(history)),
            (monitor.calibrated or {}).get(target),
        ]
        last = max((time for time in known if time is not None), default=None)
    start = monitor.start if history is None else history.start
    code, since = ("unmarked", start) if last is None else ("uncalibrated", last)
    passed = monitor.end - since
    return [reason(code, target, days=passed / timedelta(days=1))] if passed >= UNCALIBRATED else []


def _unit_change(target: str, y: Floats, per_hour: float) -> list[Reason]:
    """A level that jumps by a power of ten or more and stays there."""
    w = round(720 * per_hour)
    if len(y) < 2 * w:
        return []
    with streams.Quiet():
        blocks = np.array([np.nanmedian(y[i : i + w]) for i in range(0, len(y) - w + 1, w)])
    blocks = blocks[np.isfinite(blocks) & (blocks > 0)]
    if len(blocks) < 2:
        return []
    for cut in range(1, len(blocks)):
        a, b = blocks[:cut], blocks[cut:]
        if max(a.max(), b.max()) > 0 and (a.max() * UNIT < b.min() or b.max() * UNIT < a.min()):
            return [reason("unit", target, ratio=float(np.median(b) / np.median(a)))]
    return []


def complaints_later(suite: Suite, monitor: Monitor) -> list[Reason]:
    out = []
    known = {(r.column, r.code) for r in suite.reasons}
    if len(monitor) == 0:
        return [reason("missing", "", share=1.0)]
    for target in monitor.targets:
        y = monitor.values[target]
        valid = y[~np.isnan(y)]
        out += [
            r for r in _calibration(monitor, suite.history, target) if (target, r.code) not in known
        ]
        if target in suite.silent:
            continue
        if not len(valid):
            out.append(reason("empty", target))
            continue
        if len(valid) <= HALF * len(y):
            out.append(reason("missing", target, share=1 - len(valid) / len(y)))
            continue
        old = suite.history.values[target]
        old = old[~np.isnan(old)]
        if len(valid) >= 168 * monitor.hour and len(old):
            middle, usual = float(np.median(valid)), float(np.median(old))
            low, high = (float(v) for v in np.quantile(old, [0.01, 0.99]))
            if (high > 0 and middle > UNIT * max(high, usual)) or (0 < middle * 50 < low):
                out.append(reason("unit", target, ratio=middle / usual))
    if suite.scaler is not None:
        for i, name in enumerate(suite.scaler.names):
            column = monitor.values[name]
            valid = column[~np.isnan(column)]
            if not len(valid):
                out.append(reason("state_missing", "", name=name))
                continue
            z = (valid - suite.scaler.mean[i]) / suite.scaler.deviation[i]
            if len(valid) >= 168 * monitor.hour and abs(float(np.median(z))) > 8.0:
                out.append(reason("state_unit", "", name=name))
    return out
