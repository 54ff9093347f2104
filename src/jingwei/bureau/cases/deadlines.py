"""Deadlines in working time, each with the sentences that say how it was reckoned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from jingwei.bureau.cases.flow import Limit
from jingwei.bureau.language import english
from jingwei.standards import workdays

_KEPT = ("amount", "unit", "start", "due", "unknown_years", "zh", "en")


def deadline(start: datetime, limit: Limit) -> tuple[datetime, list[dict[str, Any]]]:
    """When a limit that starts at `start` runs out, and how that was reckoned, as plain data."""
    rule = (
        workdays.Rule(limit.days, "working_days")
        if limit.days
        else workdays.Rule(limit.hours, "working_hours")
    )
    due, derivation = workdays.deadline(rule, start)
    said = derivation.to_json()
    return due.astimezone(UTC), [{name: said[name] for name in _KEPT}]


def sentences(derivation: Iterable[Mapping[str, Any]]) -> list[str]:
    """The stored derivation in the reader's language, one sentence a step."""
    language = "en" if english() else "zh"
    return [step[language] for step in derivation]
