"""The work of the patterns on one shard of outlets: from rows of the lake to weeks and rules.

Runs in any process that sees the data folder (`telemetry.executor`): no database, no Django. The
same rows give the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from jingwei.analysis.detection import Monitor, associations, profiles
from jingwei.analysis.detection.associations import Bools, Floats
from jingwei.bureau.monitoring.detecting import limited
from jingwei.bureau.monitoring.detecting_rows import HOUR, Outlet, Span, read
from jingwei.telemetry.lake import Lake, LakeError

LEAST = 3  # values that an hour of the week needs
GAPS = 28  # hours of the week that may have fewer: calibrations come at the same hours, up to four a day
RATE = 0.1  # share of false ones among the rules of an outlet and factor
APART = 24.0  # hours between two exceedances that count as two
WEATHER = {"a01007": "wind", "a01001": "temperature"}
PARAMETERS = {
    "values_an_hour_of_the_week": LEAST,
    "hours_of_the_week_put_between_others": GAPS,
    "prediction_strength": profiles.STRENGTH,
    "outlets_to_compare": profiles.LEAST,
    "false_discovery_rate": RATE,
    "events_apart_h": APART,
    "events_a_rule": associations.SUPPORT,
    "lift_at_least": associations.LIFT,
}


@dataclass(frozen=True)
class Task:
    """outlets with the spans of campaigns in their district; stations of the city's weather."""

    lake: Path
    zone: str
    since: datetime
    until: datetime
    outlets: tuple[tuple[Outlet, tuple[Span, ...]], ...]
    stations: tuple[tuple[str, str], ...]


@dataclass
class Result:
    """What came of one outlet. weeks: factor -> shape of the week (168); rules: factor -> rules as
    JSON; events: factor -> exceedances; reasons: factor -> why there is no week."""

    outlet: int
    error: str = ""
    since: datetime | None = None
    rows: int = 0
    sha256: str = ""
    weather: str = ""
    weeks: dict[str, list[float]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    events: dict[str, int | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@cache
def program() -> str:
    """SHA-256 over the source of what is done here."""
    digest = hashlib.sha256()
    for module in (profiles.__file__, associations.__file__, __file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()


def work(task: Task) -> list[Result]:
    """Weeks and rules of each outlet. One outlet's trouble stops no other."""
    lake = Lake(task.lake)
    weather = _weather(lake, task)
    results = []
    for outlet, campaigns in task.outlets:
        try:
            results.append(_one(lake, task, outlet, campaigns, weather))
        except (ValueError, LakeError, ArithmeticError, LookupError) as error:
            results.append(Result(outlet.pk, f"{type(error).__name__}: {error}"[:300]))
    return results


def _one(
    lake: Lake, task: Task, outlet: Outlet, campaigns: tuple[Span, ...], weather: dict[str, Floats]
) -> Result:
    result = Result(outlet.pk)
    monitor = read(lake, outlet, task.since, task.until, ZoneInfo(task.zone))
    if monitor is None:
        result.reasons = {"": "nothing"}
        return result
    result.since, result.rows = monitor.start, len(monitor)
    result.sha256 = monitor.sha256(0, len(monitor) - 1)
    monitor = limited(monitor, outlet)
    for column in (*monitor.targets, *monitor.having("flow")):
        week = profiles.profile(monitor, column, LEAST, GAPS)
        if week is None:
            result.reasons[column] = "gaps"
        else:
            result.weeks[column] = [float(f"{x:.4g}") for x in week]
    first = round((monitor.start - task.since) / HOUR)
    beside = {k: v[first : first + len(monitor)] for k, v in weather.items()}
    result.weather = _sha(beside)
    more = {g: i for k, v in beside.items() for g, i in associations.levels(k, v).items()}
    during = np.zeros(len(monitor), dtype=bool)
    for a, b in campaigns:
        from_, to = (round((t - monitor.start) / HOUR) for t in (a, b))
        during[max(0, from_) : max(0, to)] = True
    if during.any():
        more["campaign"] = {"during": during}
    for target in monitor.targets:
        limit = monitor.limits.get(target)
        if limit is None:
            result.events[target] = None
            continue
        result.events[target] = _count(monitor, target, limit)
        found = associations.exceedances(monitor, target, more, RATE, APART)
        result.rules[target] = [
            {k: v for k, v in rule.to_json().items() if k != "sentence"} for rule in found
        ]
    return result


def _count(monitor: Monitor, target: str, limit: float) -> int:
    with np.errstate(invalid="ignore"):
        over: Bools = monitor.values[target] > limit
    return int(associations.episodes(over, max(1, round(APART * monitor.hour))).sum())


def _weather(lake: Lake, task: Task) -> dict[str, Floats]:
    """Median over the city's stations of each hour from `since` on; empty where none measures it."""
    n = round((task.until - task.since) / HOUR)
    if not task.stations or n <= 0:
        return {}
    table = lake.scan(
        "hour", task.since, task.until, points=list(task.stations), factors=sorted(WEATHER)
    )
    stamp = table.column("time").cast("int64").to_numpy() // 1_000_000
    row = (stamp - int(task.since.timestamp())) // 3600
    value = table.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
    factor = np.array(table.column("factor").to_pylist(), dtype=object)
    found = {}
    for code, name in WEATHER.items():
        here = (factor == code) & np.isfinite(value) & (row >= 0) & (row < n)
        if not here.any():
            continue
        order = np.lexsort((value[here], row[here]))
        rows, values = row[here][order], value[here][order]
        first, count = np.unique(rows, return_index=True, return_counts=True)[1:]
        line = np.full(n, np.nan)
        line[rows[first]] = (values[first + (count - 1) // 2] + values[first + count // 2]) / 2
        found[name] = line
    return found


def _sha(columns: Mapping[str, Floats]) -> str:
    if not columns:
        return ""
    digest = hashlib.sha256()
    for name in sorted(columns):
        part = columns[name].astype("<f8")
        part[np.isnan(part)] = np.nan
        digest.update(name.encode() + b"\n" + part.tobytes())
    return digest.hexdigest()


# --- the industry ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """The weeks of an industry's factor, in the outlets' order."""

    industry: str
    factor: str
    outlets: tuple[int, ...]
    weeks: tuple[tuple[float, ...], ...]


@dataclass
class Grouped:
    """Kinds of week of a block; `standings`: outlet -> (kind, where it stands in it or None)."""

    industry: str
    factor: str
    sha256: str
    sizes: list[int]
    centers: list[list[float]]
    strength: dict[str, float]
    standings: dict[int, tuple[int, dict[str, Any] | None]]


def group(block: Block) -> Grouped:
    """The kinds of week in an industry, and where each outlet stands; none where it has too few."""
    weeks = np.array(block.weeks, dtype=np.float64)
    digest = hashlib.sha256()
    for outlet, week in zip(block.outlets, weeks, strict=True):
        digest.update(f"{outlet}\n".encode() + week.astype("<f8").tobytes())
    if len(weeks) < profiles.LEAST:
        standings = dict.fromkeys(block.outlets, (0, None))
        return Grouped(block.industry, block.factor, digest.hexdigest(), [], [], {}, standings)
    found = profiles.kinds(weeks)
    told = profiles.compare(weeks, found)
    return Grouped(
        block.industry,
        block.factor,
        digest.hexdigest(),
        np.bincount(found.labels, minlength=found.count).tolist(),
        [[float(f"{x:.4g}") for x in center] for center in found.centers],
        {str(k): round(v, 3) for k, v in found.strength.items()},
        {
            outlet: (
                int(found.labels[i]),
                None
                if (s := told[i]) is None
                else {
                    "peers": s.peers,
                    "distance": float(f"{s.distance:.4g}"),
                    "p": float(f"{s.p:.4g}"),
                    "q": float(f"{s.q:.4g}"),
                    "hours": [[h, float(f"{a:.3g}"), float(f"{b:.3g}")] for h, a, b in s.hours],
                },
            )
            for i, outlet in enumerate(block.outlets)
        },
    )
