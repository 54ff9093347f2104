"""One foreground process that keeps the others alive (`jingwei run`).

It starts each component as a child process in a session of its own, passes its output on with the
component's name before each line, restarts one that dies (after a growing pause, so that a broken
one does not spin), and stops all of them on SIGINT or SIGTERM. What a child has started goes with
it. A child dies with its supervisor, even if that is killed with `kill -9` (Linux).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

STOP_AFTER = 15.0  # seconds a child has to stop before it is killed
CALM = 60.0  # seconds after which a child counts as healthy and its pause is reset
LONGEST_PAUSE = 30.0

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child: ask Linux for a SIGTERM when the supervisor is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Return when the process is gone. Asyncio's own `wait` also waits for its output to be
    closed, which what the process started and left behind may hold open for ever."""
    while process.returncode is None:
        await asyncio.sleep(0.1)


@dataclass
class Child:
    name: str
    command: Sequence[str]
    starts: int = 0
    pid: int | None = None
    pause: float = field(default=1.0)


class AlreadyRunningError(RuntimeError):
    """Another supervisor holds this data folder."""


def lock(run: Path) -> IO[str]:
    """Hold the data folder; raises `AlreadyRunningError` with the pid of the holder."""
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = (run / "supervisor.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        raise AlreadyRunningError(handle.read().strip() or "?") from None
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


class Supervisor:
    def __init__(self, children: Sequence[Child], say: Callable[[str, str], None]) -> None:
        self.children = list(children)
        self.say = say  # (component, line)
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until a signal comes; returns when every child has stopped."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        await asyncio.gather(*(self._keep(child) for child in self.children))

    async def _keep(self, child: Child) -> None:
        while not self.stopping.is_set():
            begun = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                preexec_fn=_die_with_parent,
                # A Ctrl-C at the terminal reaches the supervisor only; it stops its children.
                start_new_session=True,
            )
            child.starts += 1
            child.pid = process.pid
            relay = asyncio.create_task(self._relay(child, process))
            ended = asyncio.create_task(_end(process))
            asked = asyncio.create_task(self.stopping.wait())
            await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if self.stopping.is_set():
                await self._stop(child, process)
            await self._clear(child, process, relay)
            if self.stopping.is_set():
                return
            if time.monotonic() - begun > CALM:
                child.pause = 1.0
            self.say(
                child.name,
                f"ended with {process.returncode}; starting again in {child.pause:.0f} s",
            )
            try:
                await asyncio.wait_for(self.stopping.wait(), child.pause)
            except TimeoutError:
                child.pause = min(child.pause * 2, LONGEST_PAUSE)

    async def _stop(self, child: Child, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(_end(process), STOP_AFTER)
            except TimeoutError:
                self.say(child.name, f"did not stop within {STOP_AFTER:.0f} s; killed")
                process.kill()
                await _end(process)

    async def _clear(
        self, child: Child, process: asyncio.subprocess.Process, relay: asyncio.Task[None]
    ) -> None:
        """End what the child started and left behind (a web server's workers hold its port)."""
        child.pid = None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            await asyncio.wait_for(relay, 5)
        except TimeoutError:
            self.say(child.name, "something still holds its output; not waiting for it")

    async def _relay(self, child: Child, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line longer than the buffer: drop what was read of it
                continue
            if not line:
                return
            self.say(child.name, line.decode(errors="replace").rstrip())
