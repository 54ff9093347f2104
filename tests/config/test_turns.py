"""Requests of one process take turns, and none waits for one that takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest

from jingwei.config import turns


class Work:
    """An application whose requests end when the test says so."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.began: list[str] = []
        self.ends: dict[str, threading.Event] = {}
        self.most = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name = environ["name"]
        self.began.append(name)
        self.inside.append(name)
        self.most = max(self.most, len(self.inside))
        try:
            assert self.ends[name].wait(20)
            if name == "broken":
                raise RuntimeError(name)
            return [name.encode()]
        finally:
            self.inside.remove(name)


@pytest.fixture
def work() -> Work:
    return Work()


def send(work: Work, application: Any, name: str) -> threading.Thread:
    def ask() -> None:
        with suppress(RuntimeError):
            application({"name": name}, None)

    work.ends[name] = threading.Event()
    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def until(what: Any) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_one_at_a_time_in_the_order_they_came(work: Work, monkeypatch: Any) -> None:
    monkeypatch.setattr(turns, "TURN_S", 20.0)
    application = turns.in_turns(work)
    threads = []
    for n in range(4):
        threads.append(send(work, application, str(n)))
        if n == 0:
            until(lambda: work.began == ["0"])
        else:
            time.sleep(0.05)  # so that they ask in this order
    assert work.began == ["0"]
    for n in range(4):
        until(lambda n=n: work.began[-1] == str(n))
        work.ends[str(n)].set()
    for thread in threads:
        thread.join(20)
    assert work.began == ["0", "1", "2", "3"]
    assert work.most == 1


def test_a_request_that_takes_long_loses_its_turn(work: Work) -> None:
    application = turns.in_turns(work)
    long = send(work, application, "long")
    until(lambda: work.began == ["long"])
    short = send(work, application, "short")
    until(lambda: "short" in work.began)  # though "long" goes on
    assert work.inside == ["long", "short"]
    work.ends["long"].set()  # its end does not give away the turn of the other
    long.join(20)
    work.ends["short"].set()
    short.join(20)


def test_an_error_gives_the_turn_on(work: Work, monkeypatch: Any) -> None:
    monkeypatch.setattr(turns, "TURN_S", 20.0)
    application = turns.in_turns(work)
    broken = send(work, application, "broken")
    until(lambda: work.began == ["broken"])
    after = send(work, application, "after")
    work.ends["broken"].set()
    until(lambda: work.began == ["broken", "after"])
    work.ends["after"].set()
    broken.join(20)
    after.join(20)
