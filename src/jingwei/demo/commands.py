"""`jingwei demo load` and `jingwei replay`."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from jingwei.config.environment import Environment
    from jingwei.telemetry.replay import Device, Library
    from jingwei.telemetry.replay_client import Counts, Fleet

STATE = "replay.json"  # in the data folder: what has been delivered


def attach(app: typer.Typer) -> None:
    demo = typer.Typer(
        help="The demo city.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # A callback keeps `load` a command of its own although it is the only one.
    demo.callback()(_demo)
    demo.command()(load)
    app.add_typer(demo, name="demo")
    app.command()(replay)


def _demo() -> None:
    """The demo city: real geography and air of Beijing, fictional enterprises."""


def _fail(text: object) -> typer.Exit:
    typer.echo(f"jingwei: {text}", err=True)
    return typer.Exit(2)


def _environment() -> Environment:
    from jingwei.config import environment

    try:
        return environment.read()
    except environment.SettingError as error:
        raise _fail(error) from None


def load() -> None:
    """Load the demo city: organisation, enterprises, 30 days of telegrams, judgement, cases.

    Needs JINGWEI_PROFILE=demo and tables (`jingwei prepare`). What is loaded already stays.
    Exit codes: 0 loaded, 2 cannot load.
    """
    env = _environment()
    import django

    django.setup()
    from jingwei.demo import loader

    if not env.demo:
        raise _fail("the demo city is loaded in the demo profile only: set JINGWEI_PROFILE=demo")
    if loader.load():
        typer.echo("demo city: loaded")
    else:
        typer.echo("demo city: loaded already")


_SPAN = re.compile(r"(\d+)(s|m|h|d)")


def span(text: str) -> int:
    """Seconds of "90s", "15m", "24h", "30d"; raises `typer.BadParameter`."""
    match = _SPAN.fullmatch(text.strip())
    if not match or not int(match[1]):
        raise typer.BadParameter(f"{text!r}: wanted a span such as 15m, 1h or 30d")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def replay(
    file: Annotated[
        Path | None,
        typer.Argument(help="A CSV or Parquet file to play; without it the demo city is played."),
    ] = None,
    mn: Annotated[str, typer.Option("--mn", help="Device number (MN) for FILE.")] = "",
    st: Annotated[
        str, typer.Option("--st", help="System type (ST) for FILE: 31 air, 32 water.")
    ] = "31",
    password: Annotated[  # the one that loggers leave the factory with
        str, typer.Option(help="Device password (PW) for FILE.")
    ] = "123456",  # noqa: S107
    column: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=FACTOR, for example NOX=a21002; may be given several times."),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Column of FILE with the time of each row; without it rows follow each other."
        ),
    ] = None,
    step: Annotated[str, typer.Option(help="How long a row of FILE is the mean of.")] = "1h",
    gateway: Annotated[
        str, typer.Option(help="HOST:PORT; default: JINGWEI_GATEWAY, 127.0.0.1:9212.")
    ] = "",
    devices: Annotated[
        int | None, typer.Option(min=1, help="Play only the first N devices of the demo city.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=1.0, help="Play so many times faster, from --since until now.")
    ] = 1.0,
    since: Annotated[str, typer.Option(help="With --speed: how long ago to begin.")] = "24h",
    once: Annotated[
        bool, typer.Option("--once", help="Send what is due and a real-time value, then stop.")
    ] = False,
    version: Annotated[
        str, typer.Option(help="Protocol of the device that plays FILE: 2005, 2017 or 2025.")
    ] = "2017",
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="SM4 key for FILE (16 bytes or 32 hex digits): encrypt."),
    ] = None,
    copies: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Play FILE as so many devices: MN counts up."),
    ] = 1,
    loss: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of telegrams that get lost.")
    ] = 0.0,
    twice: Annotated[
        float, typer.Option(min=0, max=1, help="Share of telegrams that are sent twice.")
    ] = 0.0,
    delay: Annotated[
        float, typer.Option(min=0, help="Seconds by which telegrams are delayed at most.")
    ] = 0.0,
    clock_error: Annotated[
        float, typer.Option(help="Seconds by which the devices' clocks run ahead.")
    ] = 0.0,
    tls: Annotated[
        Path | None,
        typer.Option(help="Certificate (PEM) of the gateway: connect by TLS and trust only it."),
    ] = None,
) -> None:
    """Play measured series as instruments: real HJ 212 telegrams to the gateway over TCP.

    Without FILE all replayed points of the demo city are played, and what was missed in a pause
    is sent again. With FILE one device plays it: its rows, ending now (or at their time), then
    live. The device must be registered with that MN, ST and password, else the gateway does not
    answer. Exit codes: 0 stopped or done, 1 something was not delivered (--once), 2 cannot play.
    """  # fmt: skip
    import asyncio
    import signal
    from datetime import UTC, datetime, timedelta

    from jingwei.config import environment
    from jingwei.telemetry import replay_client
    from jingwei.telemetry.replay import Player, SeriesError

    env = _environment()
    host, port = env.gateway.host, env.gateway.port
    if gateway:
        try:
            host, port = _address(gateway)
        except ValueError as error:
            raise _fail(error) from None
    trust = None
    if tls is not None:
        import ssl

        try:
            trust = ssl.create_default_context(cafile=str(tls))
        except OSError as error:
            raise _fail(f"--tls {tls}: {error}") from None
        trust.check_hostname = False  # the one certificate is trusted, whatever its name
    now = datetime.now(UTC)
    start = now - timedelta(seconds=span(since)) if speed > 1 else None
    clock = replay_client.Clock(start, speed)
    try:
        if file is not None:
            library, chosen, begins = _from_file(
                file, mn, st, password, column or [], time, span(step), now
            )
            chosen = _copies(chosen[0], copies, version, key_file)
            delivered = replay_client.Delivered(None, begins)
            back = {r: now - begins + timedelta(days=1) for r in replay_client.BACK}
        else:
            library, chosen, anchor = _demo_devices()
            chosen = chosen[:devices]
            delivered = replay_client.Delivered(env.data / STATE, anchor)
            back = replay_client.BACK
    except (SeriesError, OSError, UnicodeDecodeError, environment.SettingError) as error:
        raise _fail(error) from None
    fleet = replay_client.Fleet(
        Player(library), chosen, host, port,
        delivered=delivered, clock=clock, once=once, back=back, tls=trust,
        faults=replay_client.Faults(loss, twice, delay, clock_error),
    )  # fmt: skip

    async def play() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with _Screen(env, fleet, beat=file is None) as told:
            await fleet.run(stop, told)

    typer.echo(f"replay: {len(chosen)} devices to {host}:{port}")
    asyncio.run(play())
    counts = fleet.counts
    typer.echo(f"replay: {counts.delivered} telegrams delivered, {counts.unanswered} unanswered")
    if fleet.failed:
        typer.echo(
            f"jingwei: {fleet.failed} devices could not deliver: {counts.problem}. Is the gateway "
            "running, and are MN, ST and password registered?",
            err=True,
        )
        raise typer.Exit(1)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"--gateway {text!r}: wanted HOST:PORT")
    return host.strip("[]"), int(port)


def _demo_devices() -> tuple[Library, list[Device], datetime]:
    """Series, devices and the end of the loaded history."""
    import django

    django.setup()
    from datetime import datetime

    from jingwei.bureau.registry.models import Point
    from jingwei.demo import catalogue, city, loader, micro

    devices = list(city.devices())
    if not devices:
        raise _fail(
            "no point replays a series: load the demo city (jingwei demo load) or give FILE"
        )
    first = Point.objects.filter(replay__isnull=False)[0]
    anchor = datetime.fromisoformat(first.replay["anchor"])
    return micro.Library(catalogue.DATA), devices, anchor - loader.LATE


def _from_file(
    file: Path,
    mn: str,
    st: str,
    password: str,
    columns: list[str],
    time: str | None,
    step: int,
    now: datetime,
) -> tuple[Library, list[Device], datetime]:
    """A library with the file's series, its device, and the time of the first row."""
    from datetime import timedelta

    from jingwei.telemetry import replay as series
    from jingwei.telemetry import replay_files as files

    pairs = [c.rpartition("=") for c in columns]
    if not mn or not pairs or not all(name and code for name, _, code in pairs):
        raise _fail("FILE needs --mn and --column, for example --mn 0123 --column NOX=a21002")
    if 86400 % step and step % 86400:
        raise _fail(f"--step: {step} s do not divide a day")
    load = files.from_parquet if file.suffix == ".parquet" else files.from_csv
    read, begins = load(file, [name for name, _, _ in pairs], step=step, time=time)
    local = int(now.timestamp()) + series.OFFSET
    if begins is None:  # the last row is the last step that is complete now
        begins = now - timedelta(seconds=local % step + len(read) * step)
    first = (int(begins.timestamp()) + series.OFFSET) // step
    library = series.Library(file.parent)
    library.add(read)
    device = series.Device(
        mn,
        st,
        password,
        tuple(
            series.Channel(code, read.name, name, shift=-first % len(read), decimals=3)
            for name, _, code in pairs
        ),
        mn,
    )
    return library, [device], begins


def _copies(device: Device, count: int, version: str, key_file: Path | None) -> list[Device]:
    """So many loggers with the same series; the last digits of the MN count up."""
    from dataclasses import replace

    from jingwei.hj212 import VERSIONS
    from jingwei.telemetry.keys import read_key

    if version not in VERSIONS:
        raise _fail(f"--version {version}: wanted one of {', '.join(VERSIONS)}")
    key = None
    if key_file is not None:
        if version != "2025":
            raise _fail("--key-file: only devices of --version 2025 encrypt")
        try:
            data = key_file.read_bytes()
            key = data if len(data) == 16 else read_key(data.decode("ascii", "replace"))
        except (OSError, ValueError) as error:
            raise _fail(f"--key-file {key_file}: {error}") from None
    device = replace(device, version=version, sm4=key)
    digits = len(str(count))
    if count > 1 and len(device.mn) <= digits:
        raise _fail(f"--mn {device.mn}: too short for {count} copies")
    return [
        device if count == 1 else replace(device, mn=f"{device.mn[:-digits]}{n:0{digits}}", name="")
        for n in range(1, count + 1)
    ]


class _Screen:
    """Says how the replay goes: a live line on a terminal, else a line a minute and on a problem;
    and the heartbeat of the demo's replay."""

    def __init__(self, env: Environment, fleet: Fleet, *, beat: bool) -> None:
        from rich.console import Console

        self._env, self._fleet, self._beat = env, fleet, beat
        self._console = Console()
        self._status = self._console.status("replay: connecting …")
        self._last = 0.0
        self._beaten = 0.0
        self._problem = ""

    def __enter__(self) -> _Screen:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, counts: Counts) -> None:
        import time

        from jingwei.telemetry import health

        line = (
            f"replay: {counts.connected} of {counts.devices} connected, {counts.delivered} "
            f"delivered, {counts.backlog} waiting"
        )
        if counts.problem:
            line += f" — {counts.problem}"
        now = time.monotonic()
        if self._console.is_terminal:
            self._status.update(line)
        elif now - self._last >= 60 or (counts.problem and counts.problem != self._problem):
            self._console.print(line, highlight=False, soft_wrap=True)
            self._last = now
        self._problem = counts.problem
        if self._beat and now - self._beaten >= 5:
            self._beaten = now
            # A full disk is the gateway's to report; the replay goes on.
            with contextlib.suppress(OSError):
                health.beat(
                    self._env.run,
                    "replay",
                    devices=counts.devices,
                    connected=counts.connected,
                    delivered=counts.delivered,
                    waiting=counts.backlog,
                    problem=counts.problem,
                )
