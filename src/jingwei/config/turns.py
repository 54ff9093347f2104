"""On SQLite the requests of one process take turns."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

# A request that takes longer loses its turn: the next one then runs beside it.
TURN_S = 0.1


def in_turns(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Let one request of this process run at a time, except beside one that takes long.

    Threads of one interpreter do not make each other faster, but each that holds the database's
    write lock and waits for the interpreter makes all other processes wait, too.
    """
    changed = threading.Condition()
    waiting: deque[object] = deque()
    holder: list[tuple[object, float]] = []  # whose turn it is, until when (s, monotonic)

    def guard(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        me = object()
        with changed:
            waiting.append(me)
            try:
                while True:
                    left = holder[0][1] - time.monotonic() if holder else 0
                    if waiting[0] is me and left <= 0:
                        break
                    changed.wait(left if left > 0 else None)
            finally:
                waiting.remove(me)
                changed.notify_all()
            holder[:] = [(me, time.monotonic() + TURN_S)]
        try:
            return application(environ, start_response)
        finally:
            with changed:
                if holder and holder[0][0] is me:
                    holder.clear()
                    changed.notify_all()

    return guard
