"""The worker: everything that happens without a person (`jingwei worker`).

One loop. Each round moves new telegrams from the journal into the lake, seals journal segments
that are complete, and then asks every room for its periodic work (`tasks.tick(now)`), in the
order of the rooms, the evidence log last so that it takes up what the others recorded. Each part
is idempotent and keeps its own place in the stores; a part that fails is reported, counted, and
tried again in the next round, and stops none of the others.
"""

from __future__ import annotations

import importlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from jingwei.config.environment import Environment
from jingwei.telemetry import health
from jingwei.telemetry.ingest import Ingest

log = logging.getLogger("jingwei.worker")

PAUSE = 0.5  # seconds between two rounds without work
TICK = 2.0  # seconds between two rounds of the rooms' periodic work
SEAL = 30.0


class Part:
    """One piece of the loop, with its own counters, so that one failure hides no other."""

    def __init__(self, name: str, act: Callable[[datetime], object], every: float) -> None:
        self.name, self.act, self.every = name, act, every
        self.due = 0.0
        self.runs = self.failures = 0
        self.error = ""

    def run(self, clock: float) -> None:
        if clock < self.due:
            return
        self.due = clock + self.every
        self.runs += 1
        try:
            self.act(datetime.now(UTC))
            self.error = ""
        except Exception as error:  # one part must not stop the others
            self.failures += 1
            if str(error) != self.error:
                log.exception("%s failed", self.name)
            self.error = f"{type(error).__name__}: {error}"
            self.due = clock + max(self.every, 5.0)


def _tick(room: str) -> Callable[[datetime], object] | None:
    name = f"jingwei.bureau.{room}.tasks"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
    tick: Callable[[datetime], object] = module.tick
    return tick


def run(env: Environment, rooms: list[str]) -> None:
    """Run until SIGTERM or SIGINT."""
    from django.db import close_old_connections

    from jingwei.bureau.evidencelog import sealing

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    ingest = Ingest(env.journal, env.lake)
    taken = 0

    def take(_: datetime) -> None:
        nonlocal taken
        while not stop.is_set():
            report = ingest.step()
            taken += report.telegrams
            if not report.telegrams:
                break

    parts = [Part("ingest", take, 0.0)]
    parts.append(Part("seal", lambda now: sealing.seal_segments(env.journal, now), SEAL))
    for room in [*rooms[1:], rooms[0]]:
        tick = _tick(room)
        if tick:
            parts.append(Part(room, tick, TICK))

    beat = 0.0
    while not stop.is_set():
        before = taken
        close_old_connections()
        for part in parts:
            if stop.is_set():
                break
            part.run(time.monotonic())
        if time.monotonic() - beat > 2:
            beat = time.monotonic()
            health.beat(
                env.run,
                "worker",
                telegrams=taken,
                errors={p.name: p.error for p in parts if p.error},
                failures=sum(p.failures for p in parts),
            )
        if taken == before:
            stop.wait(PAUSE)
    ingest.close()
