"""The work of the detectors on one shard of outlets: from rows of the lake to findings.

Runs in any process that sees the data folder (`telemetry.executor`): no database, no Django. A
fit is kept in a file named by everything that it rests on, so that the days after it need not
learn anew; without the file the same rows give the same fit.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from jingwei.analysis import detection
from jingwei.analysis.detection import Monitor
from jingwei.bureau.monitoring import detecting_plain
from jingwei.bureau.monitoring.detecting_rows import (
    FIRST,
    HOUR,
    Floats,
    Outlet,
    Span,
    calibrated,
    peers,
    read,
    rows_of,
)
from jingwei.telemetry.lake import Lake, LakeError

if TYPE_CHECKING:
    from jingwei.analysis.detection import Suite

LEAST = timedelta(days=5)  # of history, below that not even habits show
COARSE = 0.5  # share of hours that only continue the line of the two before


@dataclass(frozen=True)
class Task:
    lake: Path
    store: Path
    zone: str
    budget: float
    outlets: tuple[Outlet, ...]


@dataclass
class Result:
    """What came of one outlet. `error`: why nothing did, in one sentence."""

    outlet: int
    error: str = ""
    since: datetime | None = None
    until: datetime | None = None
    rows: int = 0
    sha256: str = ""  # of the history
    settings: dict[str, Any] = field(default_factory=dict)
    learnt: dict[str, Any] = field(default_factory=dict)
    judged: str = ""  # SHA-256 of the stretch
    coverage: dict[str, float] = field(default_factory=dict)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    watched: list[dict[str, Any]] = field(default_factory=list)  # `detecting_plain.Plain`
    treatment: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Kept:
    """A fit as its file has it. levels: of targets and their peers (`detecting_rows.peers`)."""

    suite: Suite
    levels: dict[str, list[float]]


@cache
def program() -> str:
    """SHA-256 over the source of the detectors, and of what gives them their rows: which program a
    fit was made by."""
    digest = hashlib.sha256()
    sources = [*Path(detection.__file__).parent.glob("*.py")]
    sources += Path(__file__).parent.glob("detecting*.py")
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def work(task: Task) -> list[Result]:
    """Fit where there is no fit, judge what came after it. One outlet's trouble stops no other."""
    results = []
    for outlet in task.outlets:
        try:
            results.append(_one(task, outlet))
        except (ValueError, LakeError, ArithmeticError, LookupError) as error:
            results.append(Result(outlet.pk, f"{type(error).__name__}: {error}"[:300]))
    return results


def _one(task: Task, outlet: Outlet) -> Result:
    # Compiled code: loaded where outlets are judged, not where findings are shown.
    from jingwei.analysis.detection.suite import summary

    zone = ZoneInfo(task.zone)
    result = Result(outlet.pk)
    lake = Lake(task.lake)
    whole: Monitor | None = None
    until = outlet.until
    if until is None:
        whole = read(lake, outlet, outlet.since, outlet.end, zone)
        if whole is None:
            result.reasons = [_nothing()]
            return result
        until = max(outlet.end - FIRST, whole.start + min(LEAST, (outlet.end - whole.start) / 2))
        until = until.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    key = _key(outlet, until)
    kept = _load(task.store / key)
    if kept is None:
        if whole is None:
            whole = read(lake, outlet, outlet.since, outlet.end, zone)
        if whole is None:
            result.reasons = [_nothing()]
            return result
        cut = min(max(round((until - whole.start) / HOUR), 0), len(whole))
        if cut < 24:
            result.reasons = [_nothing()]
            return result
        history = _fine(_without(whole.rows(0, cut), outlet.left_out), result)
        if history is None:
            return result
        history = replace(history, calibrated=calibrated(lake, outlet, history))
        levels: dict[str, list[float]] = {}
        history = peers(lake, outlet, limited(history, outlet), levels)
        kept = Kept(detection.Suite.fit(history, outlet.shares), levels)
        _keep(task.store / key, kept)
    suite = kept.suite
    history = suite.history
    result.since, result.until, result.rows = outlet.since, until, len(history)
    result.sha256 = history.sha256(0, len(history) - 1)
    result.settings = _settings(outlet, until)
    result.learnt = summary(suite)
    result.learnt["coverage"] = _coverage(history)
    result.learnt["limits"] = dict(history.limits)
    result.learnt["first"] = history.start.isoformat()
    result.learnt["targets"] = list(history.targets)
    result.learnt["roles"] = dict(history.roles or {})
    later = (
        read(lake, outlet, until, outlet.end, zone, fill=tuple(history.values))
        if whole is None
        else whole.rows(round((until - whole.start) / HOUR), len(whole))
    )
    if later is None or len(later) == 0:
        result.reasons = [*(r.to_json() for r in suite.reasons), _nothing()]
        return result
    later = peers(lake, outlet, _as(later, history), dict(kept.levels))
    found = suite.detect(later, budget=task.budget)
    result.judged = later.sha256(0, len(later) - 1)
    result.coverage = _coverage(later)
    result.reasons += [r.to_json() for r in found.reasons]
    plain = detecting_plain.judge(lake, outlet, suite, later, zone)
    result.watched, result.treatment = plain.watched, plain.treatment
    for power in (False, True):
        group = [
            f for f in [*found, *plain.findings] if detecting_plain.about_power(f.detector) == power
        ]
        result.findings += [f.to_json() for f in detecting_plain.cases(group)]
    return result


def _nothing() -> dict[str, Any]:
    return {
        "code": "nothing",
        "column": "",
        "text": {"zh": "没有收到小时数据，无法判断", "en": "No hourly data came: no judgement"},
    }


# --- rows ------------------------------------------------------------------------------------


def _without(monitor: Monitor, spans: Sequence[Span]) -> Monitor:
    """The history without what is known not to be honest."""
    if not spans:
        return monitor
    values = {k: np.array(v) for k, v in monitor.values.items()}
    for a, b in spans:
        for target in monitor.targets:
            values[target][rows_of(a, b, monitor.start, len(monitor))] = np.nan
    return _made(monitor, values)


def coarse(y: Floats) -> bool:
    """Whether hours do not stand for measurements of their own: more than half of them go on in the
    line of those before for six hours at least, as where an analyser samples every few hours or
    once a day. What the detectors know of hours does not hold for such data."""
    valid = y[np.isfinite(y)]
    if len(valid) < 100 or valid.max() == valid.min():
        return False
    size = float(np.median(np.abs(valid - np.median(valid)))) or 1.0
    steps = np.abs(np.diff(valid))
    rounding = 2.01 * float(np.min(steps[steps > 0]))
    flat = np.abs(np.diff(y, 2)) < max(0.02 * size, min(rounding, 0.1 * size))
    length = held = 0
    for one in flat.tolist():
        length = length + 1 if one else 0
        if length >= 6:
            held += 6 if length == 6 else 1
    return held > COARSE * len(valid)


def _fine(monitor: Monitor, result: Result) -> Monitor | None:
    """Without the targets whose hours are no measurements of their own; None where none is left."""
    kept = []
    for target in monitor.targets:
        if coarse(monitor.values[target]):
            result.reasons.append(
                {
                    "code": "coarse",
                    "column": target,
                    "text": {
                        "zh": f"{target}: 多数小时值只是前值的重复或直线延伸，仪器测量间隔大于 1 小时，不按小时判断",
                        "en": f"{target}: Most hours only repeat or continue the ones before: the analyser"
                        " measures less often than hourly, so hours are not judged",
                    },
                }
            )
        else:
            kept.append(target)
    if not kept:
        return None
    if len(kept) == len(monitor.targets):
        return monitor
    gone = set(monitor.targets) - set(kept)
    return Monitor(
        monitor.start, monitor.step, {k: v for k, v in monitor.values.items() if k not in gone},
        kept, {}, {k: v for k, v in (monitor.roles or {}).items() if k not in gone}, None,
        {k: v for k, v in monitor.marks.items() if k in kept}
        if isinstance(monitor.marks, Mapping) else None,
    )  # fmt: skip


def _made(
    monitor: Monitor, values: Mapping[str, Floats], limits: Mapping[str, float] | None = None
) -> Monitor:
    return Monitor(
        monitor.start, monitor.step, values, monitor.targets,
        monitor.limits if limits is None else limits, monitor.roles, monitor.reference_o2,
        monitor.marks, monitor.peers, monitor.calibrated,
    )  # fmt: skip


def limited(history: Monitor, outlet: Outlet) -> Monitor:
    """With the limits on the scale of what is measured: a limit at reference oxygen stands at the
    outlet's usual oxygen, (21 - O2) / (21 - O2s) of it (HJ 212-2017 App. D (26)-(28))."""
    limits = {}
    oxygen = history.having("o2")
    for target, (limit, reference) in outlet.limits.items():
        if target not in history.targets:
            continue
        if reference is not None and oxygen:
            o2 = history.values[oxygen[0]]
            o2 = o2[np.isfinite(o2) & (o2 < 20.0)]
            if not len(o2):
                continue
            limit *= (21.0 - float(np.median(o2))) / (21.0 - reference)
        elif reference is not None:
            continue
        limits[target] = float(f"{limit:.6g}")
    references = {t: o2s for t, (_, o2s) in outlet.limits.items() if o2s is not None}
    return replace(_made(history, history.values, limits), reference_o2=references)


def _as(later: Monitor, history: Monitor) -> Monitor:
    """The stretch with the history's columns, targets and limits, and what settings were first read
    since."""
    n = len(later)
    values = {
        name: later.values[name] if name in later.values else np.full(n, np.nan)
        for name in history.values
    }
    new = {name: later.values[name] for name in later.having("parameter") if name not in values}
    marks = dict(later.marks) if isinstance(later.marks, Mapping) else None
    if marks is not None:
        marks = {t: marks[t] for t in history.targets if t in marks}
    return Monitor(
        later.start, later.step, values | new, history.targets, history.limits,
        {**(history.roles or {}), **dict.fromkeys(new, "parameter")}, history.reference_o2, marks,
    )  # fmt: skip


def _coverage(monitor: Monitor) -> dict[str, float]:
    return {
        name: round(float(np.isfinite(v).mean()), 4) if len(v) else 0.0
        for name, v in monitor.values.items()
        if not name.endswith(".state") and (monitor.roles or {}).get(name) != "parameter"
    }


# --- fits kept ---------------------------------------------------------------------------------


def _settings(outlet: Outlet, until: datetime) -> dict[str, Any]:
    """What a fit rests on beside the rows, as JSON."""
    return {
        "peers": {t: [asdict(p) for p in group] for t, group in outlet.peers.items()},
        "readings": [
            [r.name, r.time.isoformat(), r.value] for r in outlet.readings if r.time < until
        ],
        "columns": [asdict(c) for c in outlet.columns],
        "targets": list(outlet.targets),
        "limits": {k: list(v) for k, v in outlet.limits.items()},
        "shares": None if outlet.shares is None else dict(outlet.shares),
        "left_out": [[a.isoformat(), b.isoformat()] for a, b in outlet.left_out],
    }


def _key(outlet: Outlet, until: datetime) -> str:
    text = json.dumps(
        [
            outlet.pk,
            outlet.since.timestamp(),
            until.timestamp(),
            program(),
            _settings(outlet, until),
        ],
        sort_keys=True,
    )
    return f"{outlet.pk}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.fit"


def _load(path: Path) -> Kept | None:
    """The fit of a file; None where there is none or it is damaged (it is then made again)."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    kept = pickle.loads(zlib.decompress(data[32:]))  # noqa: S301  # our own file, digest checked
    return kept if isinstance(kept, Kept) else None


def _keep(path: Path, kept: Kept) -> None:
    """Write the fit, and take away the outlet's older ones."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    packed = zlib.compress(pickle.dumps(kept, protocol=5), 1)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    with os.fdopen(handle, "wb") as f:
        f.write(hashlib.sha256(packed).digest() + packed)
    Path(name).replace(path)
    for old in path.parent.glob(f"{path.name.partition('-')[0]}-*.fit"):
        if old != path:
            old.unlink(missing_ok=True)
