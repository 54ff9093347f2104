"""How often rules fired: each room that applies rules says so here, for the page of rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SINCE_DAYS = 90  # of the counts


@dataclass(frozen=True)
class Fired:
    """How often a rule fired in the last `SINCE_DAYS` days, and where its rows are ("": no list)."""

    count: int
    url: str = ""


Counter = Callable[[Any], Mapping[str, Fired]]
_counters: list[Counter] = []


def register(counter: Counter) -> Counter:
    """Let the page of rules ask `counter(user)` for the counts of its rules, by id of the catalogue.

    To be called in `AppConfig.ready()`. Counts are of what the user may see.
    """
    if counter not in _counters:
        _counters.append(counter)
    return counter


def counts(user: Any) -> dict[str, Fired]:
    """The counts of all rooms. A rule that no room counts is left out: nobody knows, not zero."""
    found: dict[str, Fired] = {}
    for counter in _counters:
        for rule, fired in counter(user).items():
            before = found.get(rule)
            found[rule] = Fired(fired.count + before.count, before.url or fired.url) if before else fired  # fmt: skip
    return found
