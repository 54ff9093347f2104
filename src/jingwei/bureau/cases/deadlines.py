"""Deadlines in working time, each with the sentences that say how it was reckoned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from jingwei.bureau.accounts.calendar import in_force
from jingwei.bureau.cases.flow import Limit
from jingwei.bureau.language import english
from jingwei.standards import workdays

_KEPT = ("amount", "unit", "start", "due", "unknown_years", "zh", "en")


def deadline(
    start: datetime, limit: Limit, known: datetime | None = None
) -> tuple[datetime, list[dict[str, Any]]]:
    """When a limit that starts at `start` runs out, and how that was reckoned, as plain data.

    By the bureau's calendar as it was known at `known` (`start` without it): what was derived once
    comes out the same again, whatever is entered later.
    """
    due, derivation = workdays.deadline(_rule(limit), start, in_force(known or start))
    said = derivation.to_json()
    return due.astimezone(UTC), [{name: said[name] for name in _KEPT}]


def moment(start: datetime, limit: Limit, calendar: workdays.Calendar) -> datetime:
    """The same moment alone, by a calendar that the caller has read."""
    return workdays.deadline(_rule(limit), start, calendar)[0].astimezone(UTC)


def _rule(limit: Limit) -> workdays.Rule:
    if limit.days:
        return workdays.Rule(limit.days, "working_days")
    return workdays.Rule(limit.hours, "working_hours")


def sentences(derivation: Iterable[Mapping[str, Any]]) -> list[str]:
    """The stored derivation in the reader's language, one sentence a step."""
    language = "en" if english() else "zh"
    return [step[language] for step in derivation]
