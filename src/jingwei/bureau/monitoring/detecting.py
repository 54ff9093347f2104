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
import numpy.typing as npt

from jingwei.analysis import detection
from jingwei.analysis.detection import Monitor
from jingwei.telemetry.lake import Lake, LakeError

if TYPE_CHECKING:
    from jingwei.analysis.detection import Suite

HOUR = timedelta(hours=1)
LEAST = timedelta(days=5)  # of history, below that not even habits show
FIRST = timedelta(days=14)  # of what is there at the first look are judged, the rest is learnt from
COARSE = 0.5  # share of hours that only continue the line of the two before
RULES = ("A18-18",)  # the regulator's rules that the rest of the system does not judge
Floats = npt.NDArray[np.float64]
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Column:
    """One column of an outlet's monitor: where it comes from, as what the detectors take it."""

    name: str
    mn: str
    st: str
    factor: str  # as sent
    role: str


@dataclass(frozen=True)
class Outlet:
    """What is to be done for one outlet. `since`, `until`: of the history to learn from (`until`
    None: the first look decides); rows of `left_out` are not learnt from, hours of `void` (upkeep
    declared in time) are neither learnt from nor judged."""

    pk: int
    columns: tuple[Column, ...]
    targets: tuple[str, ...]
    limits: Mapping[str, tuple[float, float | None]]  # target: limit, reference oxygen
    normal: frozenset[str]  # data marks under which a value counts
    since: datetime
    until: datetime | None
    end: datetime
    shares: Mapping[str, float] | None = None
    left_out: tuple[Span, ...] = ()
    void: tuple[Span, ...] = ()


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


@cache
def program() -> str:
    """SHA-256 over the source of the detectors: which program a fit was made by."""
    digest = hashlib.sha256()
    for path in sorted(Path(detection.__file__).parent.glob("*.py")):
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
    from jingwei.analysis.detection.rules import regulator
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
        suite = detection.Suite.fit(_limited(history, outlet), outlet.shares)
        _keep(task.store / key, suite)
    else:
        suite = kept
    history = suite.history
    result.since, result.until, result.rows = outlet.since, until, len(history)
    result.sha256 = history.sha256(0, len(history) - 1)
    result.settings = _settings(outlet)
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
    later = _as(later, history)
    found = suite.detect(later, budget=task.budget)
    result.judged = later.sha256(0, len(later) - 1)
    result.coverage = _coverage(later)
    result.reasons += [r.to_json() for r in found.reasons]
    result.findings = [f.to_json() for f in [*found, *regulator(later, RULES)]]
    return result


def _nothing() -> dict[str, Any]:
    return {
        "code": "nothing",
        "column": "",
        "text": {"zh": "没有收到小时数据，无法判断", "en": "No hourly data came: no judgement"},
    }


# --- rows ------------------------------------------------------------------------------------


def read(
    lake: Lake,
    outlet: Outlet,
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    fill: Sequence[str] = (),
) -> Monitor | None:
    """The hours of an outlet from its first value on (or from `start`, with `fill`); None for none.

    A target's value under a mark that is not normal is missing; so is one in an hour that `void`
    covers. `fill`: the columns that must be there, empty ones too.
    """
    points = {(c.mn, c.st) for c in outlet.columns}
    table = lake.scan("hour", start, end, points=sorted(points))
    if not len(table):
        return None
    stamp = table.column("time").cast("int64").to_numpy() // 1_000_000
    first = int(start.timestamp()) if fill else int(stamp.min())
    first -= first % 3600
    n = max(0, -(-(int(end.timestamp()) - first) // 3600))
    begin = datetime.fromtimestamp(first, zone)
    row = ((stamp - first) // 3600).astype(np.int64)
    value = table.column("value").to_numpy()
    keys = [table.column(k).to_pylist() for k in ("mn", "st", "factor")]
    flags = ["" if f is None else f for f in table.column("flag").to_pylist()]
    normal = np.array([f in outlet.normal for f in flags])
    place: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(*keys, strict=True)):
        place.setdefault(key, []).append(i)
    void = np.zeros(n, dtype=bool)
    for a, b in outlet.void:
        void[_rows(a, b, begin, n)] = True
    values: dict[str, Floats] = {}
    marks: dict[str, list[str]] = {}
    for c in outlet.columns:
        at = place.get((c.mn, c.st, c.factor))
        if at is None and c.name not in fill and c.name not in outlet.targets:
            continue
        line = np.full(n, np.nan)
        mark = np.full(n, "", dtype="<U8")
        if at is not None:
            rows = row[at]
            line[rows] = np.where(normal[at] | (c.name not in outlet.targets), value[at], np.nan)
            mark[rows] = ["N" if normal[i] else (flags[i] if flags[i] != "F" else "M") for i in at]
        if c.name in outlet.targets:
            line[void] = np.nan
            mark[void] = "M"
            marks[c.name] = mark.tolist()
        values[c.name] = line
    targets = [t for t in outlet.targets if t in values]
    if not targets or not any(np.isfinite(v).any() for v in values.values()):
        return None
    roles = {c.name: c.role for c in outlet.columns if c.name in values and c.role != "target"}
    if not any(roles.get(c) in ("load", "power_production") for c in values):
        # Without a load, the state of the gas is all that the model can go by.
        for name in [c for c, r in roles.items() if r in ("temperature", "humidity", "pressure")]:
            values[f"{name}.state"] = values[name]
            roles[f"{name}.state"] = "state"
    return Monitor(begin, HOUR, values, targets, {}, roles, None, marks)


def calibrated(lake: Lake, outlet: Outlet, history: Monitor) -> dict[str, datetime]:
    """Target -> the last calibration marked before the history, or the first hour known of the two
    years up to its end."""
    from jingwei.analysis.detection.complaints import UNCALIBRATED

    wanted = {(c.mn, c.st, c.factor): c.name for c in outlet.columns if c.name in history.targets}
    table = lake.scan(
        "hour", history.end - UNCALIBRATED - FIRST, history.start,
        points=sorted({(mn, st) for mn, st, _ in wanted}), factors=sorted({f for *_, f in wanted}),
    )  # fmt: skip
    known: dict[str, tuple[bool, datetime]] = {}
    for mn, st, factor, time, flag in zip(
        *(table.column(k).to_pylist() for k in ("mn", "st", "factor", "time", "flag")), strict=True
    ):
        name = wanted.get((mn, st, factor))
        if name is not None and (flag == "C" or name not in known):
            known[name] = (flag == "C", time)
    return {name: time.astimezone(history.start.tzinfo) for name, (_, time) in known.items()}


def _rows(a: datetime, b: datetime, begin: datetime, n: int) -> slice:
    return slice(max(0, int((a - begin) // HOUR)), min(n, max(0, int(-(-(b - begin) // HOUR)))))


def _without(monitor: Monitor, spans: Sequence[Span]) -> Monitor:
    """The history without what is known not to be honest."""
    if not spans:
        return monitor
    values = {k: np.array(v) for k, v in monitor.values.items()}
    for a, b in spans:
        for target in monitor.targets:
            values[target][_rows(a, b, monitor.start, len(monitor))] = np.nan
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
        monitor.marks, None, monitor.calibrated,
    )  # fmt: skip


def _limited(history: Monitor, outlet: Outlet) -> Monitor:
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
    return _made(history, history.values, limits)


def _as(later: Monitor, history: Monitor) -> Monitor:
    """The stretch with the history's columns, targets and limits."""
    n = len(later)
    values = {
        name: later.values[name] if name in later.values else np.full(n, np.nan)
        for name in history.values
    }
    marks = dict(later.marks) if isinstance(later.marks, Mapping) else None
    if marks is not None:
        marks = {t: marks[t] for t in history.targets if t in marks}
    return Monitor(
        later.start, later.step, values, history.targets, history.limits, history.roles, None, marks
    )


def _coverage(monitor: Monitor) -> dict[str, float]:
    return {
        name: round(float(np.isfinite(v).mean()), 4) if len(v) else 0.0
        for name, v in monitor.values.items()
        if not name.endswith(".state")
    }


# --- fits kept ---------------------------------------------------------------------------------


def _settings(outlet: Outlet) -> dict[str, Any]:
    """What a fit rests on beside the rows, as JSON."""
    return {
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
            _settings(outlet),
        ],
        sort_keys=True,
    )
    return f"{outlet.pk}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.fit"


def _load(path: Path) -> Suite | None:
    """The fit of a file; None where there is none or it is damaged (it is then made again)."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    suite = pickle.loads(zlib.decompress(data[32:]))  # noqa: S301  # our own file, digest checked
    return suite if isinstance(suite, detection.Suite) else None


def _keep(path: Path, suite: Suite) -> None:
    """Write the fit, and take away the outlet's older ones."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    packed = zlib.compress(pickle.dumps(suite, protocol=5), 1)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    with os.fdopen(handle, "wb") as f:
        f.write(hashlib.sha256(packed).digest() + packed)
    Path(name).replace(path)
    for old in path.parent.glob(f"{path.name.partition('-')[0]}-*.fit"):
        if old != path:
            old.unlink(missing_ok=True)
