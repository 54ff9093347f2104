"""Everything that writes the monitoring room, and what other rooms need to know of it."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.monitoring import furnaces
from jingwei.bureau.monitoring.asking import follow_minutes
from jingwei.bureau.monitoring.episodes import EPISODE_GAP, fact, refresh
from jingwei.bureau.monitoring.judging import Report, judge
from jingwei.bureau.monitoring.observations import (
    LENGTH,
    OXYGEN,
    current_code,
    day_start,
    in_force,
    local_day,
    normal_marks,
    sent_code,
    value_unit,
)
from jingwei.bureau.monitoring.transmission import GRACE, expect
from jingwei.bureau.monitoring.verdicts import as_limit

__all__ = [
    "EPISODE_GAP",
    "GRACE",
    "LENGTH",
    "OXYGEN",
    "Report",
    "as_limit",
    "catch_up",
    "current_code",
    "day_start",
    "expect",
    "fact",
    "follow_minutes",
    "in_force",
    "judge",
    "local_day",
    "normal_marks",
    "refresh",
    "sent_code",
    "value_unit",
]

ROUNDS = 25  # batches in one tick: a long backlog is worked off over several ticks


def catch_up(now: datetime, rounds: int = ROUNDS) -> int:
    """Judge until caught up, at most `rounds` batches of each kind; how many there were."""
    done = 0
    for step in (follow_minutes, _hours, _days, _furnaces):
        for _ in range(rounds):
            if not step(now):
                break
            done += 1
    return done


def _hours(now: datetime) -> bool:
    return judge(now, "hour").moved


def _days(now: datetime) -> bool:
    return judge(now, "day").moved


def _furnaces(now: datetime) -> bool:
    return bool(furnaces.work(now))
