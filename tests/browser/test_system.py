"""The running system as an operator sees it: health, restarts, a clear word when it cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from waiting import wait_until


def children(system) -> dict[str, int]:
    """Process ids of the components by name, read from the process table."""
    found = {}
    table = subprocess.check_output(["ps", "-ww", "-eo", "pid,ppid,args"], text=True)
    for line in table.splitlines()[1:]:
        pid, parent, *words = line.split()
        if int(parent) == system.process.pid and "jingwei.cli" in words:
            found[words[-1]] = int(pid)
    return found


@pytest.mark.parametrize("name", ["gateway", "worker", "web"])
def test_a_killed_component_is_started_again(system, name: str) -> None:
    before = children(system)
    assert set(before) == {"gateway", "worker", "web"}
    os.kill(before[name], signal.SIGKILL)

    def again() -> bool:
        now = children(system)
        if now.get(name) in (None, before[name]):
            return False
        try:
            return system.health()["status"] == "ok"
        except OSError:
            return False

    assert wait_until(again, 60)
    after = children(system)
    assert all(after[other] == before[other] for other in before if other != name)


def test_health_tells_the_state_of_each_component(system) -> None:
    state = system.health()
    assert state["status"] == "ok"
    assert {
        "database",
        "gateway",
        "worker",
        "ingest",
        "journal",
        "lake",
        "evidence",
        "disk",
    } <= set(state["components"])


def test_a_second_system_on_the_same_folder_is_told_so(system) -> None:
    second = system.command("run", check=False)
    assert second.returncode == 2
    assert "already runs" in second.stderr
    assert str(system.process.pid) in second.stderr


def test_a_port_in_use_is_said_clearly(system, tmp_path) -> None:
    env = {**system.env, "JINGWEI_DATA": str(tmp_path / "var")}
    done = subprocess.run(
        [sys.executable, "-m", "jingwei.cli", "run"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "JINGWEI_HTTP" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_said_clearly(system) -> None:
    for name, value in (("JINGWEI_HTTP", "here"), ("JINGWEI_PROFILE", "dev")):
        env = {**system.env, name: value}
        done = subprocess.run(
            [sys.executable, "-m", "jingwei.cli", "run"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert name in done.stderr
        assert "Traceback" not in done.stderr
