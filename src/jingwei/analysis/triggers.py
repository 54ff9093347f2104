"""Electronic supervision orders: which event, how often, in what window, who receives, what deadline.

Rules are data (`standards/data/triggers.csv`), and can be tried on history before they go live.
Nothing is sent here. Receivers and deadlines are presets of this program but for M19-5.2; the
column `verified` says what rests on a text.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from jingwei.standards import tables


@dataclass(frozen=True, slots=True)
class Trigger:
    """An order is due when `event` happened `count` times within `window` for one point or
    enterprise; it goes to `receiver` and is to be answered within `deadline`.

    Raises ValueError for a count below one, a negative window or deadline, and for a count above
    one without a window.
    """

    rule: str
    event: str
    count: int
    window: timedelta
    per: Literal["point", "enterprise"]
    receiver: str
    deadline: timedelta
    severity: int = 2
    verified: str = "preset"
    source: str = ""

    def __post_init__(self) -> None:
        if self.count < 1 or self.window < timedelta(0) or self.deadline <= timedelta(0):
            raise ValueError(f"{self.rule}: count, window or deadline out of range")
        if self.count > 1 and not self.window:
            raise ValueError(f"{self.rule}: {self.count} events need a window")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a point of an enterprise; `time` aware."""

    kind: str
    time: datetime
    point: str
    enterprise: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order that a rule would have issued: for whom, because of which events, until when."""

    trigger: Trigger
    subject: str
    issued: datetime
    due: datetime
    events: tuple[Event, ...]


@cache
def presets() -> tuple[Trigger, ...]:
    """The rules of `standards/data/triggers.csv`."""
    return tuple(
        Trigger(
            rule=r["rule"],
            event=r["event"],
            count=int(r["count"]),
            window=timedelta(hours=float(r["window_hours"])),
            per="enterprise" if r["per"] == "enterprise" else "point",
            receiver=r["receiver"],
            deadline=timedelta(hours=float(r["deadline_hours"])),
            severity=int(r["severity"]),
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("triggers.csv")
    )


def simulate(triggers: Sequence[Trigger], events: Iterable[Event]) -> list[Order]:
    """The orders that `triggers` would have issued over a history of events, by time.

    The order of `events` does not matter. Two events at one time of one subject and kind are one
    (a telegram sent again). An event counts in a window shorter than or as long as the rule's; the
    events of an order are used up, and until its deadline the same rule issues no second one for
    the same subject: the later events belong to the open order.
    """
    orders: list[Order] = []
    unique = {(e.kind, e.point, e.enterprise, e.time): e for e in events}
    by_time = sorted(unique.values(), key=lambda e: (e.time, e.enterprise, e.point, e.kind))
    for trigger in triggers:
        recent: defaultdict[str, deque[Event]] = defaultdict(deque)
        open_until: dict[str, datetime] = {}
        for e in by_time:
            if e.kind != trigger.event:
                continue
            subject = e.point if trigger.per == "point" else e.enterprise
            if subject in open_until and e.time <= open_until[subject]:
                continue
            queue = recent[subject]
            queue.append(e)
            while e.time - queue[0].time > trigger.window:
                queue.popleft()
            if len(queue) >= trigger.count:
                due = e.time + trigger.deadline
                orders.append(Order(trigger, subject, e.time, due, tuple(queue)))
                open_until[subject] = due
                queue.clear()
    orders.sort(key=lambda o: (o.issued, o.trigger.rule, o.subject))
    return orders
