"""The worker: everything that happens without a person (`jingwei worker`).

A thread moves new telegrams from the journal into the lake. A loop seals journal segments that
are complete and asks every room for its periodic work (`tasks.tick(now)`), in the order of the
rooms, the evidence log last so that it takes up what the others recorded. Each part is idempotent
and keeps its own place in the stores; a part that fails is reported, counted, and tried again in
the next round, and stops none of the others.
"""

from __future__ import annotations

import contextlib
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

PAUSE = 0.3  # seconds between two rounds without work
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


def _beat(env: Environment, name: str, **details: object) -> None:
    """Say that this part lives; a full disk must not end it."""
    with contextlib.suppress(OSError):
        health.beat(env.run, name, **details)


def _take(env: Environment, stop: threading.Event) -> None:
    """Move telegrams from the journal into the lake, in a thread of its own: a long judgement
    must not keep a value from the console."""
    taken = 0
    ingest = Ingest(env.journal, env.lake)

    def step(_: datetime) -> None:
        nonlocal taken
        while not stop.is_set():
            report = ingest.step()
            taken += report.telegrams
            if not report.telegrams:
                break
        if env.lake_store:
            ingest.move(env.lake_store)

    part = Part("ingest", step, 0.0)
    beat = 0.0
    while not stop.is_set():
        part.run(time.monotonic())
        if time.monotonic() - beat > 2:
            beat = time.monotonic()
            errors = {part.name: part.error} if part.error else {}
            _beat(env, "ingest", telegrams=taken, errors=errors, failures=part.failures)
        stop.wait(PAUSE)
    ingest.close()


def run(env: Environment, rooms: list[str]) -> None:
    """Run until SIGTERM or SIGINT."""
    from django.db import close_old_connections

    from jingwei.bureau.evidencelog import sealing

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    ingest = threading.Thread(target=_take, args=(env, stop), name="ingest")
    ingest.start()

    def seal(now: datetime) -> None:
        for folder in (env.journal, env.refused):
            sealing.seal_segments(folder, now)

    parts = [Part("seal", seal, SEAL)]
    for room in [*rooms[1:], rooms[0]]:
        tick = _tick(room)
        if tick:
            parts.append(Part(room, tick, TICK))

    beat = 0.0
    while not stop.is_set():
        close_old_connections()
        for part in parts:
            if stop.is_set():
                break
            part.run(time.monotonic())
        if time.monotonic() - beat > 2:
            beat = time.monotonic()
            _beat(
                env,
                "worker",
                errors={p.name: p.error for p in parts if p.error},
                failures=sum(p.failures for p in parts),
            )
        if not ingest.is_alive():
            log.error("the ingest thread has ended; leaving, so that the supervisor starts anew")
            break
        stop.wait(PAUSE)
    stop.set()
    ingest.join()
