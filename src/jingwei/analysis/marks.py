"""Marks of automatic monitoring data in all industries: MEE Announcement 2022-21, and what belies them.

"M22-…" are articles of 《污染物排放自动监测设备标记规则》; its body was read in full, its annex (the list
of industry marks) was not found. The start-up and shut-down windows are secondary
(`standards/data/start_stop.csv`), and so is what a stopped plant looks like (A18-13, A18-16).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from jingwei.standards import tables
from jingwei.standards.workdays import SHANGHAI

Bools = npt.NDArray[np.bool_]

IN_FORCE: Final = date(2023, 1, 1)
INDUSTRIES: Final = ("waste_incineration", "power", "cement", "paper")
"""Industries for which the announcement is in force since `IN_FORCE` (M22-10)."""


def applies(industry: str, on: date) -> bool:
    """Whether the announcement binds that industry on that day (M22-10).

    >>> applies("cement", date(2023, 1, 1)), applies("boiler", date(2023, 1, 1))
    (True, False)
    """
    return industry in INDUSTRIES and on >= IN_FORCE


def due(day: date) -> datetime:
    """Until when the marks of a day may be set by hand: 12:00 of the next day (M22-5), aware.

    >>> due(date(2026, 3, 31)).isoformat()
    '2026-04-01T12:00:00+08:00'
    """
    return datetime.combine(day + timedelta(days=1), time(12), SHANGHAI)


# Start-up and shut-down windows -----------------------------------------------------------------

Phase = Literal["cold_start", "warm_start", "stop"]


@dataclass(frozen=True, slots=True)
class Window:
    """So many `hours` of a phase are not judged for `factors` (HJ 212 codes; empty: all).

    `hours_at_most`: the longest where there are grounds; `until_load`: the window ends when the
    load (%) is reached.
    """

    rule: str
    industry: str
    phase: str
    hours: float
    hours_at_most: float
    factors: tuple[str, ...]
    until_load: float | None
    note: str
    verified: str
    source: str


@cache
def windows() -> tuple[Window, ...]:
    """All rows of `standards/data/start_stop.csv`."""
    return tuple(
        Window(
            rule=r["rule"],
            industry=r["industry"],
            phase=r["phase"],
            hours=float(r["hours"]),
            hours_at_most=float(r["hours_at_most"] or r["hours"]),
            factors=tuple(r["factors"].split()),
            until_load=float(r["until_load"]) if r["until_load"] else None,
            note=r["note"],
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("start_stop.csv")
    )


def window(industry: str, phase: str) -> Window | None:
    """The window of an industry's phase, None where none is known."""
    return next((w for w in windows() if (w.industry, w.phase) == (industry, phase)), None)


def not_judged(
    industry: str,
    phase: str,
    factor: str,
    since: npt.ArrayLike,
    load: npt.ArrayLike | None = None,
    *,
    grounds: bool = False,
) -> Bools:
    """Which hours of a phase are not judged: `since` (n,) hours from its begin, `load` (n,) in %.

    No window known: all are judged. `grounds`: the longer time applies. A load that is missing (NaN)
    does not end the window.
    """
    hours = np.atleast_1d(np.asarray(since, dtype=np.float64))
    w = window(industry, phase)
    if w is None or (w.factors and factor not in w.factors):
        return np.zeros(hours.shape, dtype=bool)
    free = (hours >= 0) & (hours < (w.hours_at_most if grounds else w.hours))
    if load is not None and w.until_load is not None:
        reached = np.asarray(load, dtype=np.float64) >= w.until_load
        free &= ~np.logical_or.accumulate(np.atleast_1d(reached))
    return np.asarray(free, dtype=bool)


# Marks that the state belies --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """What was measured in the flue, arrays (n,) of hours, NaN for unknown: velocity m/s,
    temperature °C, moisture %, flow m³/h, oxygen %, and concentration as a share of the limit.
    """

    velocity: npt.ArrayLike
    temperature: npt.ArrayLike
    moisture: npt.ArrayLike
    flow: npt.ArrayLike
    o2: npt.ArrayLike
    share: npt.ArrayLike


def _count(*conditions: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.asarray(np.sum(conditions, axis=0), dtype=np.int64)


def runs_though_stopped(state: State) -> Bools:
    """Hours in which three of five signs say that a plant marked as stopped is running (A18-13,
    secondary): velocity > 3 m/s, temperature > 42 °C, flow > 10,000 m³, O2 < 17 %, concentration
    > 30 % of the limit. Unknown ones say nothing.
    """
    s = [np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (
        state.velocity, state.temperature, state.flow, state.o2, state.share)]  # fmt: skip
    signs = _count(s[0] > 3, s[1] > 42, s[2] > 10_000, s[3] < 17, s[4] > 0.3)
    return np.asarray(signs >= 3, dtype=bool)


def air_though_running(state: State) -> Bools:
    """Hours with O2 above 20 %, as if stopped, in which two of four signs say that the plant is
    running (A18-16, secondary): velocity >= 5 m/s, temperature >= 60 °C, moisture >= 5 %, flow
    >= 80,000 m³.
    """
    s = [np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (
        state.velocity, state.temperature, state.moisture, state.flow, state.o2)]  # fmt: skip
    signs = _count(s[0] >= 5, s[1] >= 60, s[2] >= 5, s[3] >= 80_000)
    return np.asarray((s[4] > 20) & (signs >= 2), dtype=bool)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A mark that the state contradicts often enough to be a finding: `hours` of `of` speak
    against it. A finding accuses nobody; innocent explanations: a fan that cools the flue, a
    neighbour's gas in a common stack, a drifting oxygen meter.
    """

    rule: str
    hours: int
    of: int


def contradictions(state: State, stopped: npt.ArrayLike) -> tuple[Contradiction, ...]:
    """What speaks against the marks of a span of hours (n,): `stopped` where marked as stopped.

    A18-13: more than half of the marked hours look like running. A18-16: more than 120 hours, and
    more than 80 % of all, have the oxygen of air while the rest looks like running. (Secondary.)
    """
    marked = np.atleast_1d(np.asarray(stopped, dtype=bool))
    found = []
    runs = int((runs_though_stopped(state) & marked).sum())
    total = int(marked.sum())
    if 2 * runs > total:
        found.append(Contradiction("A18-13", runs, total))
    air = int(air_though_running(state).sum())
    if air > 120 and 10 * air > 8 * len(marked):
        found.append(Contradiction("A18-16", air, len(marked)))
    return tuple(found)
