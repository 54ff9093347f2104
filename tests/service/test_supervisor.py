"""The supervisor with real processes: restarts, clean stop, one at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jingwei.service import supervisor

PARENT = """
import asyncio, sys
from jingwei.service.supervisor import Child, Supervisor
child = Child("c", [sys.executable, "-c", sys.argv[1]], pause=0.05)
asyncio.run(Supervisor([child], lambda name, line: print(name, line, flush=True)).run())
print("end", flush=True)
"""


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, code], stdout=subprocess.PIPE, text=True, bufsize=1
    )


def lines(process: subprocess.Popen[str], wanted: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(wanted)]


def alive(pid: int) -> bool:
    """Whether the process runs (one that has ended and waits to be collected does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_child_that_dies_is_started_again() -> None:
    parent = start("import os; print(os.getpid())")
    seen = lines(parent, 6)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 0
    pids = {s.split()[1] for s in seen if s.split()[1].isdigit()}
    assert len(pids) >= 2
    assert any("ended with 0; starting again" in s for s in seen)


def test_a_killed_child_is_started_again_and_stops_cleanly() -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(100)"
    )
    parent = start(code)
    first = int(lines(parent, 1)[0].split()[1])
    os.kill(first, signal.SIGKILL)
    ended, again = lines(parent, 2)
    assert "ended with -9" in ended
    second = int(again.split()[1])
    assert second != first
    parent.terminate()
    rest = parent.communicate(timeout=30)[0]
    assert "c bye" in rest
    assert "end" in rest
    assert not alive(second)


@pytest.mark.skipif(sys.platform != "linux", reason="a child dies with its parent on Linux only")
def test_children_die_with_a_killed_supervisor() -> None:
    parent = start("import os, time; print(os.getpid(), flush=True); time.sleep(100)")
    child = int(lines(parent, 1)[0].split()[1])
    parent.kill()
    parent.wait(10)
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)


def test_what_a_killed_child_started_goes_with_it() -> None:
    """A web server's workers hold its port and its output when their master is killed."""
    code = (
        "import os, subprocess, sys, time\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "print(os.getpid(), worker.pid, flush=True)\n"
        "time.sleep(100)"
    )
    parent = start(code)
    _, child, worker = lines(parent, 1)[0].split()
    os.kill(int(child), signal.SIGKILL)
    ended, again = lines(parent, 2)
    assert "ended with -9" in ended
    assert not alive(int(worker))
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 0
    assert not alive(int(again.split()[2]))


def test_only_one_supervisor_holds_a_data_folder(tmp_path: Path) -> None:
    held = supervisor.lock(tmp_path)
    with pytest.raises(supervisor.AlreadyRunningError, match=str(os.getpid())):
        supervisor.lock(tmp_path)
    held.close()
    supervisor.lock(tmp_path).close()


def test_a_very_long_line_is_passed_over() -> None:
    parent = start("import time; print('x' * 300000); print('after', flush=True); time.sleep(60)")
    assert parent.stdout is not None
    seen = next(line for line in parent.stdout if line.strip() == "c after")
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 0
    assert seen
