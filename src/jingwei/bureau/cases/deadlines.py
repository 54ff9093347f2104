"""Deadlines in working time, each with the sentences that say how it was reckoned."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jingwei.bureau.accounts.calendar import reckoned
from jingwei.bureau.cases.flow import Limit
from jingwei.standards import workdays


def deadline(
    start: datetime,
    limit: Limit,
    known: datetime | None = None,
    since: workdays.Since = "received",
) -> tuple[datetime, list[dict[str, Any]]]:
    """When a limit that starts at `start` runs out, and how that was reckoned (`reckoned`)."""
    return reckoned(start, _rule(limit), known, since)


def moment(start: datetime, limit: Limit, calendar: workdays.Calendar) -> datetime:
    """The same moment alone, by a calendar that the caller has read."""
    return workdays.deadline(_rule(limit), start, calendar)[0].astimezone(UTC)


def _rule(limit: Limit) -> workdays.Rule:
    if limit.days:
        return workdays.Rule(limit.days, "working_days")
    return workdays.Rule(limit.hours, "working_hours")
