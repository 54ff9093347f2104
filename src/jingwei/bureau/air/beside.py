"""One computation at a time beside the worker's round, in a thread that touches no database.

What is to be computed is a row with `asked`, `started`, `finished` and `state`. Taking it up sets
`started`, and while the thread computes `started` is renewed: what a killed worker left, or one on
another machine, is taken up again once that stops. The thread has the priority of the others: at a
lower one it would keep the interpreter's lock while it waits for a processor, and the worker with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from jingwei.bureau.air.models import State

ABANDONED = timedelta(minutes=3)  # without a sign of life it is taken up again
ALIVE = timedelta(minutes=1)  # between two signs of life
BUDGET = 0.2  # seconds that a round waits for an answer

Compute = Callable[[], Any]
Keep = Callable[[Future[Any]], None]  # writes down what came of it, or why nothing did
Begun = tuple[Compute, Keep]


def take(rows: QuerySet[Any], now: datetime, first: Sequence[str] = ("asked", "pk")) -> Any:
    """The row that waits and that nobody computes, the first by these columns (else the one asked
    first), taken up; None where there is none."""
    free = Q(started=None) | Q(started__lt=now - ABANDONED)
    row = rows.filter(free, state=State.WAITING).order_by(*first).first()
    if row is None:
        return None
    mine = rows.model.objects.filter(free, pk=row.pk, state=State.WAITING).update(started=now)
    if not mine:
        return None
    row.started = now
    return row


def refused(error: Exception) -> Compute:
    """A computation that was refused before it began."""

    def compute() -> Any:
        raise error

    return compute


def here(row: Any, begun: Begun) -> Any:
    """Compute here and now (the command line); the row as it is then."""
    compute, keep = begun
    end: Future[Any] = Future()
    _compute(compute, end)
    keep(end)
    row.refresh_from_db()
    return row


class Beside:
    """The computation that is under way, if any."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.job: tuple[Any, Keep, Future[Any]] | None = None

    def work(self, now: datetime, begin: Callable[[datetime], tuple[Any, Begun] | None]) -> None:
        """Take in what is ready; else begin what `begin` gives: the row taken up, how to compute and
        keep it, or None."""
        if self.job is None:
            begun = begin(now)
            if begun is None:
                return
            row, (compute, keep) = begun
            end: Future[Any] = Future()
            self.job = (row, keep, end)
            threading.Thread(
                target=_compute, args=(compute, end), name=self.name, daemon=True
            ).start()
        row, keep, end = self.job
        wait([end], BUDGET)
        if end.done():
            self.job = None
            keep(end)
        elif now - row.started > ALIVE:
            row.started = now
            type(row).objects.filter(pk=row.pk).update(started=now)


def _compute(compute: Compute, end: Future[Any]) -> None:
    try:
        end.set_result(compute())
    except BaseException as error:
        end.set_exception(error)
