"""Loads the demo city: organisation, registry, 30 days of telegrams, judgement, a few cases.

Everything goes the way of real data: frames of HJ 212-2017, the gateway's intake, the journal,
ingest, judgement, the case flow. Each step looks at what is there and does the rest, so loading
again does nothing, and loading after an interruption goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from jingwei.demo import (
    air,
    campaigns,
    catalogue,
    city,
    detection,
    findings,
    inspections,
    marks,
    micro,
    penalties,
    plan,
    tables,
)
from jingwei.telemetry import journal, replay

LATE = timedelta(seconds=120)  # what ended this long before the load has arrived
MINUTES = timedelta(days=3)  # of 10-minute data
PEER = "127.0.0.1:0"
BATCH = 4000  # telegrams in one commit of the journal
STEP = 20_000  # telegrams in one batch of the lake
PATIENCE = 10  # seconds after which a log, which shows no bar, hears how far a step is


class Progress(Protocol):
    """Told what is being done and how far it is: `progress("history", 3, 31)`; a total of 0 is one
    not known."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


def load(
    progress: Progress | None = None,
    part: city.Part | None = None,
    *,
    now: datetime | None = None,
    cases: bool = True,
) -> bool:
    """Load the demo city where it is not yet loaded; True if there was something to do.

    `part` makes less of it. Without `progress` a bar is shown where stderr is a terminal. Raises
    `RuntimeError` outside the demo profile.
    """
    from django.conf import settings

    from jingwei.bureau.registry.services import publish_register
    from jingwei.demo.cases import build
    from jingwei.demo.permits import build as build_permits

    if not settings.ENV.demo:
        raise RuntimeError(
            "the demo city is loaded in the demo profile only (JINGWEI_PROFILE=demo)"
        )
    place = settings.ENV.data / "demo.json"
    known = _anchor()
    if known is not None and _read(place).get("anchor") == known:
        return False
    with contextlib.ExitStack() as stack:
        tell = progress or stack.enter_context(_bar())
        part = part or city.Part()
        anchor = _registry(now or datetime.now(UTC), part, tell)
        publish_register()
        _history(anchor, part, tell)
        _judge(anchor, tell)
        marks.build(anchor)
        if cases:
            steps: dict[str, Callable[[datetime], object]] = {
                "findings": findings.build,
                "detection": detection.build,
                "cases": build,
                "penalties": penalties.build,
                "inspections": inspections.build,
                "permits": build_permits,
                "campaigns": campaigns.build,
                "air": air.build,
                "tables": tables.build,
            }
            for step, make in steps.items():
                tell(step, 0, 1)
                make(anchor)
                tell(step, 1, 1)
        _write(place, {"anchor": anchor.isoformat()})
    return True


def _read(place: Path) -> dict[str, Any]:
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(place: Path, state: dict[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{place.stem}-", dir=place.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as f:
        json.dump(state, f)
        f.flush()
        os.fsync(f.fileno())
    Path(name).replace(place)


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        said: dict[str, float] = {}

        def line(step: str, done: int, total: int) -> None:
            now = monotonic()
            if step not in said:
                said[step] = now
                console.print(f"demo city: {step} …", highlight=False)
            elif done != total and now - said[step] >= PATIENCE:
                said[step] = now
                far = f"{done} of {total}" if total else f"{done} batches done"
                console.print(f"demo city: {step}: {far} …", highlight=False)

        yield line
        return
    with Bar(
        TextColumn("demo city: {task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=console,
    ) as bar:  # fmt: skip
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total or None)
            bar.update(tasks[step], completed=done, total=total or None)

        yield show


# ---- registry -----------------------------------------------------------------------------------


def _anchor() -> str | None:
    """The moment at which the history of the registry's replayed points ends; None without any."""
    from jingwei.bureau.registry.models import Point

    first = Point.objects.filter(replay__isnull=False).first()
    return first.replay["anchor"] if first else None


def _registry(now: datetime, part: city.Part, tell: Progress) -> datetime:
    """Organisation and registry where there are none; the moment at which the history ends."""
    from django.db import transaction

    tell("organisation and enterprises", 0, 1)
    now = now.replace(second=0, microsecond=0)
    with transaction.atomic():
        city.build_organisation()
        known = _anchor()
        if known is None:
            city.build_registry(now, part)
        else:
            now = datetime.fromisoformat(known)
    tell("organisation and enterprises", 1, 1)
    return now


# ---- history ------------------------------------------------------------------------------------


def _history(anchor: datetime, part: city.Part, tell: Progress) -> None:
    """The telegrams of the past days, in the order in which they would have come; those that an
    interrupted load has left in the journal are passed over."""
    from django.conf import settings

    from jingwei.telemetry.ingest import Ingest
    from jingwei.telemetry.intake import Intake
    from jingwei.telemetry.journal import Journal, Telegram
    from jingwei.telemetry.register import Register

    env = settings.ENV
    step = "telegrams by day"
    devices = list(city.devices())
    # Only a whole city has outlets with a longer past: small ones are for tests.
    longer = city.long_past() if part.days == plan.DAYS else {}
    days = _days(anchor, max([part.days, *longer.values()]))
    whole = len(days) - len(_days(anchor, part.days))
    sending = [
        devices if n >= whole else [d for d in devices if longer.get(d.mn, 0) > part.days]
        for n in range(len(days))
    ]
    tell(step, 0, len(days))
    known = _journalled(env.journal)
    intake = Intake(Register(env.register))
    book = Journal(env.journal)
    lake = Ingest(env.journal, env.lake)
    waiting = 0
    try:
        for number, frames in enumerate(_frames(sending, days, anchor), 1):
            telegrams = []
            for sent, frame in frames:
                if known and _digest(frame) in known:
                    continue
                verdict = intake.judge(frame, PEER)
                if not verdict.accepted:
                    raise RuntimeError(f"the intake refuses a demo telegram: {verdict.reason}")
                telegrams.append(Telegram(sent, PEER, frame))
            for at in range(0, len(telegrams), BATCH):
                book.append(telegrams[at : at + BATCH])
            waiting += len(telegrams)
            if waiting >= STEP or number == len(days):
                while lake.step(STEP).telegrams:
                    pass
                waiting = 0
            tell(step, number, len(days))
    finally:
        book.close()
        lake.close()


def _digest(frame: bytes) -> bytes:
    return hashlib.blake2b(frame, digest_size=16).digest()


def _journalled(root: Path) -> set[bytes]:
    """Digests of the telegrams that the journal holds."""
    return {
        _digest(telegram.raw)
        for segment in journal.segments(root)
        for telegram in segment.read()[0]
    }


def _days(anchor: datetime, days: int) -> list[datetime]:
    """Starts of the local days of the history, the present one last."""
    start = city.window(anchor, days)
    count = int((anchor - start).total_seconds() // 86400) + 1
    return [start + timedelta(days=n) for n in range(count)]


_player: replay.Player | None = None


def day_frames(
    devices: list[replay.Device], start: datetime, anchor: datetime
) -> list[tuple[datetime, bytes]]:
    """(time of arrival, frame) of all devices for one local day, in order: hours, the day, and in
    the last three days 10-minute means; nothing that had not arrived at `anchor`."""
    global _player
    if _player is None:
        _player = replay.Player(micro.Library(catalogue.DATA))
    end = min(start + timedelta(days=1), anchor - LATE)
    wanted: list[replay.Resolution] = ["hour", "day"]
    if start + timedelta(days=1) > anchor - MINUTES:
        wanted.append("minute")
    found = []
    for device in devices:
        for resolution in wanted[:1] if device.hourly else wanted:
            for period in replay.periods(start, end, resolution):
                sent = device.due(period, resolution)
                found += [
                    # as the gateway's reader hands a frame on: without the line end
                    (sent, frame.removesuffix(b"\r\n"))
                    for frame in _player.frames(device, period, resolution, sent)
                ]
    found.sort(key=lambda pair: pair[0])
    return found


def _frames(
    sending: list[list[replay.Device]], days: list[datetime], anchor: datetime
) -> Iterator[list[tuple[datetime, bytes]]]:
    """`day_frames` of those that sent on each day, made in a process beside this one where there are
    several days."""
    if len(days) < 4:
        yield from (day_frames(d, day, anchor) for d, day in zip(sending, days, strict=True))
        return
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        ahead = 2
        jobs = [pool.submit(day_frames, sending[n], days[n], anchor) for n in range(ahead)]
        for number in range(len(days)):
            result = jobs.pop(0).result()
            if number + ahead < len(days):
                then = number + ahead
                jobs.append(pool.submit(day_frames, sending[then], days[then], anchor))
            yield result


# ---- judgement and cases ------------------------------------------------------------------------


def _judge(anchor: datetime, tell: Progress) -> None:
    """Judge everything in the lake, then what had to be there by now."""
    from jingwei.bureau.monitoring import services

    done = 0
    tell("judgement", 0, 0)
    while more := services.catch_up(anchor, rounds=1):
        done += more
        tell("judgement", done, 0)
    services.expect(anchor)
    tell("judgement", done or 1, done or 1)
