"""`/healthz`: each component, each state."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client

from jingwei.telemetry import health
from jingwei.telemetry.journal import Journal, Telegram

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def running(data: object, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Folders, a journal with a telegram, and two living processes."""
    env = settings.ENV
    for folder in (env.run, env.lake, env.evidence):
        folder.mkdir()
    journal = Journal(env.journal)
    journal.append([Telegram(datetime.now(UTC), "192.0.2.1:1", b"##0000")])
    journal.close()
    health.beat(env.run, "gateway", state="ok", connections=3)
    health.beat(env.run, "worker", errors={})
    health.beat(env.run, "ingest", telegrams=7, errors={})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 4 * 10**11, 6 * 10**11))
    return env


def ask(client: Client) -> tuple[int, str, dict[str, str]]:
    answer = client.get("/healthz")
    said = answer.json()
    return (
        answer.status_code,
        said["status"],
        {name: c["status"] for name, c in said["components"].items()},
    )


def test_all_is_well(running: Any, client: Client) -> None:
    code, status, components = ask(client)
    assert (code, status) == (200, "ok")
    assert set(components) == {
        "database", "gateway", "worker", "ingest", "journal", "lake", "evidence", "disk",
    }  # fmt: skip
    assert set(components.values()) == {"ok"}


def test_nothing_but_the_web_server_runs(data: object, client: Client) -> None:
    code, status, components = ask(client)
    assert (code, status) == (200, "degraded")
    assert components["gateway"] == components["worker"] == "down"
    assert components["database"] == "ok"


def test_a_process_that_fell_silent_is_down(running: Any, client: Client) -> None:
    with time_machine.travel(datetime.now(UTC).timestamp() + 60):
        assert ask(client)[2]["gateway"] == "down"


def test_a_process_that_was_killed_is_down_at_once(running: Any, client: Client) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    beat = running.run / "gateway.json"
    said = {**json.loads(beat.read_text()), "host": socket.gethostname(), "pid": child.pid}
    beat.write_text(json.dumps(said))
    assert ask(client)[2]["gateway"] == "ok"
    child.kill()
    child.communicate()
    assert ask(client)[2]["gateway"] == "down"
    # Of a process elsewhere only its age is known.
    beat.write_text(json.dumps({**said, "host": "another.example"}))
    assert ask(client)[2]["gateway"] == "ok"


def test_the_replay_counts_where_it_ran_today(running: Any, client: Client, settings: Any) -> None:
    health.beat(running.run, "replay", devices=4, problem="")
    assert ask(client)[2]["replay"] == "ok"
    now = datetime.now(UTC).timestamp()
    with time_machine.travel(now + 60):
        assert ask(client)[2]["replay"] == "down"
    with time_machine.travel(now + 25 * 3600):
        assert "replay" not in ask(client)[2]
    settings.ENV = replace(running, profile="production")
    assert "replay" not in ask(client)[2]


@pytest.mark.parametrize(
    ("name", "said", "state"),
    [
        ("gateway", {"state": "stalled", "problem": "no space left"}, "degraded"),
        ("gateway", {"state": "stopped"}, "down"),
        ("worker", {"errors": {"ingest": "OSError: …"}}, "degraded"),
    ],
)
def test_what_a_process_says_of_itself_counts(
    running: Any, client: Client, name: str, said: dict[str, Any], state: str
) -> None:
    health.beat(running.run, name, **said)
    assert ask(client)[2][name] == state


def test_an_unreadable_beat_is_down(running: Any, client: Client) -> None:
    (running.run / "worker.json").write_text("{half")
    assert ask(client)[2]["worker"] == "down"


def test_a_damaged_journal_segment(running: Any, client: Client) -> None:
    (segment,) = (p for p in running.journal.rglob("*") if p.is_file() and "sqlite" in p.name)
    segment.write_bytes(b"no database at all" * 100)
    code, status, components = ask(client)
    assert (code, status, components["journal"]) == (200, "degraded", "degraded")


@pytest.mark.parametrize(("free", "state"), [(4 * 10**10, "degraded"), (10**6, "down")])
def test_a_full_disk(
    running: Any, client: Client, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - free, free))
    code, status, components = ask(client)
    assert (code, status, components["disk"]) == (200, "degraded", state)


def test_without_database_it_says_so(running: Any, client: Client) -> None:
    def broken(*args: object) -> None:
        raise OperationalError("the server at /secret/path is gone")

    with connection.execute_wrapper(broken):
        answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "down"
    assert answer.json()["components"]["database"] == {"status": "down"}
    assert answer.json()["components"]["gateway"]["status"] == "ok"


def test_it_tells_the_public_no_paths_and_no_errors(running: Any, client: Client) -> None:
    health.beat(running.run, "gateway", state="stalled", problem=f"{running.journal}: full")
    health.beat(running.run, "worker", errors={"ingest": f"OSError: {running.lake}"})
    text = client.get("/healthz").content.decode()
    assert str(running.data) not in text
    assert "OSError" not in text
