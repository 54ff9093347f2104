"""A real system and a real browser: `jingwei run` in a data folder of its own, Debian's Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from network import free_port

ROOT = Path(__file__).parent.parent.parent
SHOTS = ROOT / "screenshots"
CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)
START = 900  # seconds that loading the demo city may take on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(1800))
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="no Chromium found on this machine"))


@dataclass
class System:
    """A running Jingwei: where it listens, what it prints, and a shell into it."""

    process: subprocess.Popen[bytes]
    env: dict[str, str]
    http: str
    gateway: tuple[str, int]
    data: Path
    log: Path

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `jingwei WORDS…` on the same data folder."""
        done = subprocess.run(
            [sys.executable, "-m", "jingwei.cli", *words],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def shell(self, code: str) -> str:
        """Run Python with Django set up on the system's own database; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", "import django; django.setup()\n" + code],
            env={**self.env, "DJANGO_SETTINGS_MODULE": "jingwei.config.settings"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.http + "/healthz", timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    data = tmp_path_factory.mktemp("system") / "var"
    http, gateway = free_port(), free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JINGWEI_", "DJANGO_", "COV_"))}
    env.update(
        JINGWEI_DATA=str(data),
        JINGWEI_HTTP=f"127.0.0.1:{http}",
        JINGWEI_GATEWAY=f"127.0.0.1:{gateway}",
        JINGWEI_PROFILE="demo",
        PYTHONUNBUFFERED="1",
    )
    log = data.parent / "run.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jingwei.cli", "run", "--no-replay"],
            env=env,
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        running = System(
            process, env, f"http://127.0.0.1:{http}", ("127.0.0.1", gateway), data, log
        )
        try:
            wait_for_health(running)
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                pytest.fail("Ctrl-C did not stop the system within a minute")
            assert process.returncode == 0, log.read_text()[-4000:]


def wait_for_health(system: System) -> None:
    end = time.monotonic() + START
    last = ""
    while time.monotonic() < end:
        if system.process.poll() is not None:
            pytest.fail("the system did not start:\n" + system.log.read_text()[-8000:])
        try:
            state = system.health()
            if state["status"] == "ok":
                return
            last = json.dumps(state)
        except OSError as error:
            last = str(error)
        time.sleep(0.5)
    pytest.fail(f"not healthy after {START} s: {last}\n" + system.log.read_text()[-8000:])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Not for the session: while Playwright is open its event loop stands in the way of others.
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                # WebGL for the map without a graphics card
                "--use-gl=angle",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
            ],
        )
        yield browser
        browser.close()


class Person:
    """Somebody in front of the console, logged in, in a browser window of their own."""

    def __init__(self, browser: Any, system: System, username: str, *, phone: bool = False) -> None:
        self.system = system
        self.errors: list[str] = []
        self.context = browser.new_context(
            base_url=system.http,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            viewport={"width": 390, "height": 844} if phone else {"width": 1366, "height": 768},
            has_touch=phone,
            is_mobile=phone,
            geolocation={"longitude": 116.4, "latitude": 39.9},
            permissions=["geolocation"],
        )
        self.context.set_default_timeout(120_000)  # a busy machine
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        if username:
            self.login(username)

    def login(self, username: str) -> None:
        from jingwei.demo import city

        self.page.goto("/accounts/login/")
        self.page.fill("input[name=username]", username)
        self.page.fill("input[name=password]", city.PASSWORD)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_url(lambda url: "/login/" not in url)

    def shot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def person(browser: Any, system: System) -> Iterator[Any]:
    """`person("dispatcher")`: a new window, logged in; closed when the test ends."""
    opened: list[Person] = []

    def enter(username: str, *, phone: bool = False, at: System | None = None) -> Person:
        opened.append(Person(browser, at or system, username, phone=phone))
        return opened[-1]

    yield enter
    for one in opened:
        one.close()
