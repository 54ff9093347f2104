"""The clock: called again and again, right after any pause."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jingwei.bureau.cases import clock
from jingwei.bureau.cases.models import Case

log = logging.getLogger(__name__)
TOGETHER = 100  # cases whose escalations are written in one transaction


def tick(now: datetime) -> None:
    """Do whatever the clock has to do at `now`: wake cases, write the escalations that are due.

    Idempotent; may run on several machines. One case that fails is logged and does not stop the
    others.
    """
    for pk in _due("wake_at", now):
        _one(clock.wake, pk, now)
    late = _due("escalate_at", now)
    for start in range(0, len(late), TOGETHER):
        cases = late[start : start + TOGETHER]
        try:
            clock.escalate_all(cases, now)
        except Exception:  # which of them? each by itself
            for pk in cases:
                _one(clock.escalate, pk, now)


def _due(name: str, now: datetime) -> list[int]:
    due = Case.objects.filter(**{f"{name}__lte": now}).order_by(name, "pk")
    return list(due.values_list("pk", flat=True))


def _one(act: Callable[[int, datetime], Any], pk: int, now: datetime) -> None:
    try:
        act(pk, now)
    except Exception:
        log.exception("case %s: the clock failed; the next tick tries again", pk)
