"""The commands that run the system: `run`, `web`, `worker`, `prepare`, `fsck`, `manage`."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jingwei.config import environment

if TYPE_CHECKING:
    from rich.console import Console


# Every process of the system comes by here at its start, and most print nothing with rich.


@cache
def out() -> Console:
    from rich.console import Console

    return Console()


@cache
def err() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _environment() -> environment.Environment:
    try:
        return environment.read()
    except environment.SettingError as error:
        err().print(f"[red]setting:[/red] {error}")
        raise typer.Exit(2) from None


def _django() -> None:
    import django

    django.setup()


def _free(address: environment.Address, setting: str) -> None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            err().print(
                f"[red]{address} cannot be used:[/red] {error.strerror}. "
                f"Stop what listens there, or set {setting} to another HOST:PORT."
            )
            raise typer.Exit(2) from None


def prepare() -> None:
    """Make folders and tables, collect static files, load the demo city in the demo profile."""
    os.umask(0o077)  # what the system stores is its own
    env = _environment()
    _django()
    _prepare(env)


def _prepare(env: environment.Environment) -> None:
    from django.db import OperationalError

    from jingwei.bureau.rows import RightsError
    from jingwei.service import prepare as steps

    try:
        steps.everything(env, out().print)
    except environment.SettingError as error:
        err().print(f"[red]setting:[/red] {error}")
        raise typer.Exit(2) from None
    except OperationalError as error:
        err().print(f"[red]database:[/red] {str(error).strip()}\nSee JINGWEI_DATABASE.")
        raise typer.Exit(2) from None
    except RightsError as error:
        err().print(f"[red]database:[/red] {error}", soft_wrap=True)
        raise typer.Exit(2) from None


def run(
    replay: Annotated[
        bool, typer.Option(help="Replay the demo city's instruments (demo profile only).")
    ] = True,
) -> None:
    """Run the whole system in the foreground: gateway, worker, web server.

    In the demo profile (JINGWEI_PROFILE=demo) the demo city is loaded first and its instruments
    are replayed. Ctrl-C stops everything cleanly. Exit codes: 0 stopped, 2 cannot start.
    """
    os.umask(0o077)  # what the system stores is its own
    env = _environment()
    begun = time.monotonic()
    from jingwei.service import supervisor

    try:
        held = supervisor.lock(env.run)
    except supervisor.AlreadyRunningError as error:
        err().print(
            f"[red]Jingwei already runs[/red] on {env.data} (process {error}). "
            "Stop it first, or set JINGWEI_DATA to another folder."
        )
        raise typer.Exit(2) from None
    _free(env.http, "JINGWEI_HTTP")
    _free(env.gateway, "JINGWEI_GATEWAY")
    _django()
    _prepare(env)

    me = [sys.executable, "-m", "jingwei.cli"]
    shared = ["--reuse-port"] if env.gateways > 1 else []
    children = [
        *(
            supervisor.Child(name, [*me, "gateway", "--name", name, *shared])
            for name in gateways(env.gateways)
        ),
        supervisor.Child("worker", [*me, "worker"]),
        supervisor.Child("web", [*me, "web"]),
    ]
    if env.mqtt:
        children.append(supervisor.Child("mqtt", [*me, "mqtt"]))
    if env.forward:
        children.append(supervisor.Child("forward", [*me, "forward"]))
    if env.demo and replay:
        children.append(supervisor.Child("replay", [*me, "replay"]))
    _banner(env, [child.name for child in children], time.monotonic() - begun)

    def say(component: str, line: str) -> None:
        out().print(f"{component:>8} | {line}", markup=False, highlight=False, soft_wrap=True)

    async def supervise() -> None:
        await supervisor.Supervisor(children, say).run()

    asyncio.run(supervise())
    held.close()
    out().print("stopped.")


def gateways(count: int) -> list[str]:
    """Names of the gateway processes: the first is "gateway" whatever their number."""
    return ["gateway", *(f"gateway-{n}" for n in range(2, count + 1))]


def _banner(env: environment.Environment, names: list[str], seconds: float) -> None:
    out().rule("Jingwei 泾渭")
    out().print(f"  console    http://{env.http}/", highlight=False)
    out().print(f"  telegrams  tcp://{env.gateway}  (HJ 212)", highlight=False)
    out().print(f"  data       {env.data}", highlight=False, soft_wrap=True)
    out().print(f"  running    {', '.join(names)}   (ready after {seconds:.1f} s)", highlight=False)
    if env.demo:
        from jingwei.demo import city

        out().print("  accounts   all with the password " + city.PASSWORD, highlight=False)
        for username, role in city.accounts():
            out().print(f"             {username:<12} {role}", highlight=False)
        out().print("  The enterprises of the demo city are fictional.")
    out().print("  Ctrl-C stops everything.")
    out().rule()


def web(
    workers: Annotated[
        int, typer.Option(envvar="JINGWEI_WEB_WORKERS", min=1, help="Web processes.")
    ] = min(2, os.cpu_count() or 1),
) -> None:
    """Serve the console (Granian). Put a TLS proxy before it where it leaves the machine."""
    env = _environment()
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings
    from granian.server import Server

    Server(
        "jingwei.config.wsgi:application",
        address=env.http.host,
        port=env.http.port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=4,
        respawn_failed_workers=True,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=20_000),
        log_access=False,
    ).serve()


def worker() -> None:
    """Move telegrams into the lake, judge them, watch deadlines, write the evidence log."""
    env = _environment()
    _django()
    from django.conf import settings

    from jingwei.service import worker as loop

    loop.run(env, settings.ROOMS)


Check = tuple[str, Iterator[str], Iterator[str]]


def _checks(env: environment.Environment, full: bool) -> Iterator[Check]:
    """Name, differences, and what is none but must be known."""
    from jingwei.telemetry import fsck as stores

    yield "journal and lake", stores.check(env.journal, env.refused, env.lake, full=full), iter(())
    from django.conf import settings

    for room in settings.ROOMS:
        name = f"jingwei.bureau.{room}.checks"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            continue
        yield room, module.check(), module.notes() if hasattr(module, "notes") else iter(())


def _told(problems: Iterator[str]) -> Iterator[str]:
    """The problems; where what is checked is damaged so that the check cannot go on, that is one."""
    try:
        yield from problems
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        yield (
            f"the check ended here, so there may be more: {type(error).__name__}: {error}"
            f" ({Path(where.filename).name} line {where.lineno})"
        )


def fsck(
    full: Annotated[
        bool, typer.Option(help="Compare every telegram with the lake, not a sample.")
    ] = False,
) -> None:
    """Check that journal, lake, database and evidence log agree.

    Every difference is one line. Exit codes: 0 all agree, 1 differences found, 2 cannot run.
    """
    from rich.markup import escape

    env = _environment()
    _django()
    found = 0
    for name, problems, notes in _checks(env, full):
        here = 0
        with out().status(f"{name} …"):
            for problem in _told(problems):
                here += 1
                out().print(f"[red]{name}:[/red] {escape(problem)}", soft_wrap=True)
        found += here
        if not here:
            out().print(f"[green]✓[/green] {name}")
        for note in _told(notes):
            out().print(f"[yellow]{name}, to know:[/yellow] {escape(note)}", soft_wrap=True)
    out().print("all agree." if not found else f"{found} differences.")
    raise typer.Exit(1 if found else 0)


def manage(context: typer.Context) -> None:
    """Run a management command of Django, for example `jingwei manage createsuperuser`."""
    from django.core.management import execute_from_command_line

    _environment()
    execute_from_command_line(["jingwei manage", *context.args])


def attach(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(prepare)
    app.command()(web)
    app.command()(worker)
    app.command()(fsck)
    app.command(
        context_settings={
            "allow_extra_args": True,
            "ignore_unknown_options": True,
            "help_option_names": [],
        }
    )(manage)
