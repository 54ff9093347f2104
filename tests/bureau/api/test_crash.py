"""Web processes, killed while other systems send: what was answered is stored, once."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bureau.monitoring.conftest import City, city, make_user  # noqa: F401
from jingwei.bureau.accounts.models import User
from jingwei.bureau.api import services
from jingwei.telemetry import journal
from jingwei.telemetry.catalog import catalog
from network import free_port
from processes import database

KILLS = 10
SENDERS = 3
FIRST = datetime.fromisoformat("2026-03-01T00:00:00+08:00")


def start(root: Path, port: int) -> subprocess.Popen[bytes]:
    told = os.environ | {
        "JINGWEI_DATABASE": database(), "JINGWEI_DATA": str(root),
        "JINGWEI_HTTP": f"127.0.0.1:{port}", "JINGWEI_WEB_WORKERS": "1",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "jingwei.cli", "web"], env=told, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def servants(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that answer requests."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def send(port: int, token: str, key: str, body: str) -> int:
    """The status of one request; 0 where there was no whole answer."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        line.request("POST", "/api/v1/observations", body, {
            "Authorization": f"Bearer {token}", "Content-Type": "application/json",
            "Idempotency-Key": key,
        })  # fmt: skip
        answer = line.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        line.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_web_processes_are_killed_again_and_again_under_load(city: City):  # noqa: F811
    admin = User.objects.create_superuser("root", password="x" * 12)
    _, token = services.issue(
        admin, name="区平台", user=make_user("dispatcher"), scopes=["observations:write"], days=9
    )
    port, chance = free_port(), random.Random(3)
    answered: list[str] = []
    stop = threading.Event()
    surprises: list[int] = []

    def sender(number: int) -> None:
        k = number
        while not stop.is_set():
            when = (FIRST + timedelta(hours=k)).isoformat()
            entry = {"mn": city.point.mn, "st": city.point.st, "resolution": "hour",
                     "time": when, "values": {"a21002": k}}  # fmt: skip
            body = json.dumps({"observations": [entry]})
            while (status := send(port, token, f"hour-{k}", body)) != 201:
                if status not in (0, 503):
                    surprises.append(status)
                if stop.is_set():
                    return
                time.sleep(0.02)
            answered.append(when)
            k += SENDERS

    process = start(city.root, port)
    senders = [threading.Thread(target=sender, args=(n,)) for n in range(SENDERS)]
    for thread in senders:
        thread.start()
    try:

        def await_more() -> None:
            before, end = len(answered), time.monotonic() + 120
            while len(answered) < before + 10:
                assert time.monotonic() < end, (surprises, process.poll())
                time.sleep(0.01)

        for n in range(KILLS):
            await_more()
            time.sleep(chance.random() * 0.2)
            if n % 2:
                for pid in servants(process):  # the server begins another by itself
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            else:
                os.killpg(process.pid, signal.SIGKILL)  # as the supervisor clears up after it
                process.wait()
                process = start(city.root, port)
        await_more()
    finally:
        stop.set()
        for thread in senders:
            thread.join()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert surprises == []
    told = [json.loads(t.raw)["time"] for t in journal.read(city.root / "journal", limit=1 << 30)]
    stored = {f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[8:10]}:00:00+08:00" for t in told}
    assert set(answered) <= stored
    assert len(set(answered)) == len(answered) > KILLS * 10
    city.take()
    with catalog(city.root / "lake") as db:
        assert db.execute("SELECT sum(rows) FROM file").fetchone() == (len(stored),)
