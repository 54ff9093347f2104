"""What the detectors read of the lake: an outlet's hours, its peers, minutes, settings that were read.

Knows neither Django nor the database (`detecting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jingwei.analysis.detection import Monitor
from jingwei.telemetry.lake import Lake

HOUR = timedelta(hours=1)
FIRST = timedelta(days=14)  # of what is there at the first look are judged, the rest is learnt from
LEAST_PEERS = 3  # in an hour, for a median of them to count
LEAST_HOURS = 500  # of a peer's history, before one knows its level
SWING = 1.5  # % oxygen between neighbouring hours beyond which an hour's minutes differ too much
HIGHEST_O2 = 18.0  # %; above, conversion magnifies the minutes' differences
MOST_PERIOD = 15  # minutes that a "minute" value stands for at most (HJ 212: one or ten)
STOPPED = "F"
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
class Peer:
    """A comparable outlet's measurement of one factor."""

    mn: str
    st: str
    factor: str  # as sent
    normal: tuple[str, ...]  # data marks under which a value counts


@dataclass(frozen=True)
class Reading:
    """A setting of an instrument as its device told it: `name` is factor and code of the parameter."""

    name: str
    time: datetime
    value: float


@dataclass(frozen=True)
class Outlet:
    """What is to be done for one outlet. `since`, `until`: of the history to learn from (`until`
    None: the first look decides); rows of `left_out` are not learnt from, hours of `void` (upkeep
    or standstill declared in time) are neither learnt from nor judged; of `idle` (standstill, starts
    and stops among them) nothing of power is judged either."""

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
    idle: tuple[Span, ...] = ()
    peers: Mapping[str, tuple[Peer, ...]] = field(default_factory=dict)  # by target
    readings: tuple[Reading, ...] = ()  # settings of instruments, in order of time
    ends: frozenset[tuple[str, str]] = frozenset()  # points that name their hours by the end
    water: bool = False


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
    covers. What the device converted (`X_zs`) is missing where the oxygen is not normal, near air's
    or swings: there the mean of converted minutes is not the converted mean. `fill`: the columns
    that must be there, empty ones too.
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
    zs = table.column("zs").to_numpy()
    keys = [table.column(k).to_pylist() for k in ("mn", "st", "factor")]
    flags = ["" if f is None else f for f in table.column("flag").to_pylist()]
    normal = np.array([f in outlet.normal for f in flags])
    place: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(*keys, strict=True)):
        place.setdefault(key, []).append(i)
    void = np.zeros(n, dtype=bool)
    for a, b in outlet.void:
        void[rows_of(a, b, begin, n)] = True
    values: dict[str, Floats] = {}
    sent: dict[str, Floats] = {}
    steady = np.zeros(n, dtype=bool)
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
            mark[rows] = ["N" if normal[i] else flags[i] for i in at]
            if c.role == "o2":
                steady[rows] = normal[at]
        if c.name in outlet.targets:
            line[void] = np.nan
            mark[void] = "M"
            marks[c.name] = _inside(mark).tolist()
            if outlet.limits.get(c.name, (0.0, None))[1] is not None:
                sent[c.name] = np.full(n, np.nan)
                if at is not None:
                    sent[c.name][row[at]] = np.where(normal[at], zs[at], np.nan)
        values[c.name] = line
    targets = [t for t in outlet.targets if t in values]
    if not targets or not any(np.isfinite(v).any() for v in values.values()):
        return None
    roles = {c.name: c.role for c in outlet.columns if c.name in values and c.role != "target"}
    for target, line in sent.items():
        oxygen = next((values[c] for c, r in roles.items() if r == "o2"), None)
        name = f"{target}_zs"
        if name in fill or (oxygen is not None and np.isfinite(line).any()):
            if oxygen is not None:
                line[~(steady & _even(oxygen))] = np.nan
            values[name], roles[name] = line, "converted"
    for name, line in _settings(outlet, begin, n).items():
        values[name], roles[name] = line, "parameter"
    if not any(roles.get(c) in ("load", "power_production") for c in values):
        # Without a load, the state of the gas is all that the model can go by.
        for name in [c for c, r in roles.items() if r in ("temperature", "humidity", "pressure")]:
            values[f"{name}.state"] = values[name]
            roles[f"{name}.state"] = "state"
    return Monitor(begin, HOUR, values, targets, {}, roles, None, marks)


def _even(oxygen: Floats) -> npt.NDArray[np.bool_]:
    """Hours in which the oxygen lies well below air's and near that of both neighbours."""
    step = np.abs(np.diff(oxygen, prepend=oxygen[:1], append=oxygen[-1:]))
    with np.errstate(invalid="ignore"):
        return np.asarray((oxygen < HIGHEST_O2) & (np.maximum(step[:-1], step[1:]) < SWING))


def _inside(mark: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Marks in which the first and the last hour of a standstill are work on it: while a plant stops
    or starts both the mark and the gas are right."""
    still = np.r_[False, mark == STOPPED, False]
    out = mark.copy()
    out[np.flatnonzero(still[1:-1] & ~(still[:-2] & still[2:]))] = "M"
    return out


def _settings(outlet: Outlet, begin: datetime, n: int) -> dict[str, Floats]:
    """The settings that were read, each in the hour of its reading; the last one in an hour counts."""
    found: dict[str, Floats] = {}
    for one in outlet.readings:
        at = int((one.time - begin) // HOUR)
        if 0 <= at < n:
            found.setdefault(one.name, np.full(n, np.nan))[at] = one.value
    return found


def peers(lake: Lake, outlet: Outlet, monitor: Monitor, levels: dict[str, list[float]]) -> Monitor:
    """The monitor with what comparable outlets reported in the same hours.

    One line a target: the median of the peers, each over its own level, times the target's level; an
    hour with fewer than three of them has none. levels: target -> the levels, its own and then the
    peers'; those of a target that is not among them are learnt from these rows and put there.
    """
    groups = {
        target: group
        for target in monitor.targets
        if len(group := outlet.peers.get(target, ())) >= LEAST_PEERS
    }
    if not groups:
        return monitor
    every = [one for group in groups.values() for one in group]
    table = lake.scan(
        "hour", monitor.start, monitor.end,
        points=sorted({(p.mn, p.st) for p in every}), factors=sorted({p.factor for p in every}),
    )  # fmt: skip
    found: dict[str, Floats] = {}
    for target, group in groups.items():
        lines = [_hours(table, one, monitor) for one in group]
        if target not in levels:
            levels[target] = [_level(monitor.values[target]), *(_level(x) for x in lines)]
        own, *each = levels[target]
        block = np.array([x / level for x, level in zip(lines, each, strict=True)])
        enough = np.isfinite(block).sum(axis=0) >= LEAST_PEERS
        if not np.isfinite(own) or sum(np.isfinite(each)) < LEAST_PEERS:
            continue
        line = np.full(len(monitor), np.nan)
        line[enough] = own * np.nanmedian(block[:, enough], axis=0)
        found[target] = line[None, :]
    return replace(monitor, peers=found) if found else monitor


def _level(y: Floats) -> float:
    """The median of a history; NaN where it is too short or not above zero."""
    valid = y[np.isfinite(y)]
    middle = float(np.median(valid)) if len(valid) >= LEAST_HOURS else 0.0
    return middle if middle > 0 else float("nan")


def _hours(table: pa.Table, one: Peer, monitor: Monitor) -> Floats:
    """A peer's values over the rows of a monitor of hours."""
    line = np.full(len(monitor), np.nan)
    stamp, value = _part(table, one.mn, one.st, one.factor, frozenset(one.normal))
    line[(stamp - int(monitor.start.timestamp())) // 3600] = value
    return line


def _part(
    table: pa.Table, mn: str, st: str, factor: str, normal: frozenset[str]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The seconds and values of one factor of a point; NaN under a mark that is not normal."""
    mask = None
    for name, wanted in (("mn", mn), ("st", st), ("factor", factor)):
        here = pc.equal(table.column(name).cast(pa.string()), wanted)
        mask = here if mask is None else pc.and_(mask, here)
    part = table.filter(mask)
    good = np.isin([f or "" for f in part.column("flag").to_pylist()], sorted(normal))
    stamp = part.column("time").cast("int64").to_numpy() // 1_000_000
    return stamp, np.where(good, part.column("value").to_numpy(), np.nan)


def minutes(
    lake: Lake, outlet: Outlet, start: datetime, end: datetime, zone: ZoneInfo
) -> dict[str, Monitor]:
    """Target -> its values in steps of its minutes over [start, end), by their names, with the flow
    of wastewater beside them. A value under a mark that is not normal is missing.

    A target without minute values, or with steps that do not part an hour, is left out.
    """
    wanted = [
        c for c in outlet.columns if c.role == "target" or (outlet.water and c.role == "flow")
    ]
    points = sorted({(c.mn, c.st) for c in wanted})
    table = lake.scan(
        "minute", start, end, points=points, factors=sorted({c.factor for c in wanted})
    )
    if not len(table):
        return {}
    lines: dict[str, tuple[npt.NDArray[np.int64], Floats]] = {}
    for c in wanted:
        stamp, value = _part(table, c.mn, c.st, c.factor, outlet.normal)
        if len(stamp) > 1:
            lines[c.name] = stamp, value
    flow = next((c.name for c in wanted if c.role == "flow" and c.name in lines), "")
    found = {}
    for c in wanted:
        if c.role != "target" or c.name not in lines:
            continue
        gaps = np.diff(lines[c.name][0])
        step = int(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0
        if step < 60 or step > MOST_PERIOD * 60 or 3600 % step:
            continue
        n = int((end - start).total_seconds()) // step
        values = {}
        for name in dict.fromkeys((c.name, *([flow] if flow else []))):
            stamp, value = lines[name]
            values[name] = line = np.full(n, np.nan)
            at = (stamp - int(start.timestamp())) // step
            line[at[at < n]] = value[at < n]
        found[c.name] = Monitor(
            start.astimezone(zone), timedelta(seconds=step), values, [c.name],
            roles={flow: "flow"} if flow else None,
        )  # fmt: skip
    return found


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


def rows_of(a: datetime, b: datetime, begin: datetime, n: int) -> slice:
    return slice(max(0, int((a - begin) // HOUR)), min(n, max(0, int(-(-(b - begin) // HOUR)))))
