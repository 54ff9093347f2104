"""`jingwei gateway`, `jingwei telegrams` and `jingwei lake`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import typer

SHANGHAI = timezone(timedelta(hours=8))

Data = Annotated[
    Path, typer.Option(envvar="JINGWEI_DATA", help="Folder of everything the system stores.")
]

Executor_ = Annotated[
    str,
    typer.Option(
        envvar="JINGWEI_EXECUTOR",
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster (tcp://HOST:8786); empty: processes on this machine.",
    ),
]
Processes = Annotated[
    int, typer.Option(min=0, help="So many processes on this machine; 0: as many as cores.")
]


def gateway(
    listen: Annotated[
        str, typer.Option(envvar="JINGWEI_GATEWAY", metavar="HOST:PORT", help="Where to listen.")
    ] = "127.0.0.1:9212",
    data: Data = Path("var"),
    name: Annotated[
        str, typer.Option(help="Name of this gateway, where several work in one data folder.")
    ] = "gateway",
    reuse_port: Annotated[
        bool, typer.Option(help="Share the port with other gateways on this machine.")
    ] = False,
    idle: Annotated[
        float, typer.Option(min=1, help="Cut off after so many seconds without a telegram.")
    ] = 900,
    half: Annotated[float, typer.Option(min=0.1, help="Seconds that one telegram may take.")] = 30,
    connections: Annotated[int, typer.Option(min=1, help="Connections at most.")] = 20_000,
    connections_per_peer: Annotated[
        int, typer.Option(min=1, help="Connections of one address at most.")
    ] = 2_000,
    rate: Annotated[
        float,
        typer.Option(
            envvar="JINGWEI_GATEWAY_RATE",
            min=1,
            help="Telegrams of one device a second that are taken without end; more in a row are"
            " read slowly, and after a quarter of an hour the device is shut out for a minute.",
        ),
    ] = 500,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="JINGWEI_GATEWAY_TLS_CERT",
            help="Certificate chain (PEM): every connection must be TLS.",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="JINGWEI_GATEWAY_TLS_KEY", help="Its private key (PEM), where not in the chain."
        ),
    ] = None,
    tls_clients: Annotated[
        Path | None,
        typer.Option(
            envvar="JINGWEI_GATEWAY_TLS_CLIENTS",
            help="Certificates (PEM) of which each client must show one.",
        ),
    ] = None,
) -> None:
    """Take telegrams (HJ 212) by TCP into the journal.

    A telegram is acknowledged when it is on the disk. SIGTERM or Ctrl-C stops cleanly.
    Exit codes: 0 stopped, 2 a setting or the address cannot be used.
    """
    import logging

    from jingwei.telemetry.gateway import Limits, serve, tls_context

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        typer.echo(
            f"JINGWEI_GATEWAY={listen!r}: wanted HOST:PORT, for example 127.0.0.1:9212", err=True
        )
        raise typer.Exit(2)
    data = data.expanduser().resolve()
    if tls_cert is None and (tls_key is not None or tls_clients is not None):
        typer.echo("JINGWEI_GATEWAY_TLS_CERT is missing: TLS needs a certificate", err=True)
        raise typer.Exit(2)
    try:
        tls = tls_context(tls_cert, tls_key, tls_clients) if tls_cert is not None else None
    except (OSError, ValueError) as error:
        typer.echo(f"TLS: {tls_cert}: {error}", err=True)
        raise typer.Exit(2) from None
    try:
        serve(
            (host.strip("[]"), int(port)),
            data / "journal",
            data / "refused",
            data / "register.json",
            data / "run",
            limits=Limits(
                idle=idle,
                half=half,
                connections=connections,
                connections_per_peer=connections_per_peer,
                rate=rate,
            ),
            name=name,
            reuse_port=reuse_port,
            tls=tls,
            say=typer.echo,
        )
    except OSError as error:
        typer.echo(f"{listen} cannot be used: {error.strerror or error}", err=True)
        raise typer.Exit(2) from None


def telegrams(
    seq: Annotated[
        list[int] | None, typer.Argument(help="Numbers of telegrams to show; none: list them.")
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="Show what was refused, with the reason.")
    ] = False,
    mn: Annotated[str, typer.Option(help="Only of this device.")] = "",
    since: Annotated[
        str, typer.Option(help="Only received since this ISO time, or for so long: 30m, 2h, 7d.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="So many at most, the newest.")] = 1000,
    data: Data = Path("var"),
) -> None:
    """Show telegrams as they were received: one JSON object a line, the oldest first.

    Bytes that are no UTF-8 are shown as \\xNN. Exit codes: 0 shown, 1 no such telegram,
    2 a wrong option.
    """
    import json

    from jingwei.telemetry import journal

    root = data.expanduser().resolve() / ("refused" if refused else "journal")
    try:
        after = _since(since)
    except ValueError:
        typer.echo(f"--since {since!r}: wanted an ISO time, or 30m, 2h, 7d", err=True)
        raise typer.Exit(2) from None
    problems: list[str] = []
    try:
        if seq:
            found = [journal.get(root, number) for number in seq]
        else:
            found = journal.newest(root, mn=mn, since=after, limit=limit, problems=problems)
    except journal.JournalError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    for telegram in found:
        typer.echo(
            json.dumps(
                {
                    "seq": telegram.seq,
                    "received": telegram.received.isoformat(),
                    "peer": telegram.peer,
                    **({"reason": telegram.reason} if telegram.reason else {}),
                    "raw": telegram.raw.decode("utf-8", "backslashreplace"),
                },
                ensure_ascii=False,
            )
        )
    for problem in problems:
        typer.echo(problem, err=True)


def rebuild(
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="First local day.")],
    end: Annotated[str, typer.Option("--to", metavar="DAY", help="Last local day.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Only compare; change nothing in the lake.")
    ] = False,
    executor: Executor_ = "",
    processes: Processes = 0,
    data: Data = Path("var"),
) -> None:
    """Derive days of the lake anew from the journal: one JSON object a partition.

    "same": the file in the lake has the very bytes that the journal gives. Days that are not over
    are left out; the system may run meanwhile. Exit codes: 0 all the same, or replaced; 1 with
    --check: some differ, or something cannot be read; 2 a wrong option.
    """
    import dataclasses
    import json
    from datetime import date

    from jingwei.telemetry import executor as engines
    from jingwei.telemetry.lake import LakeError
    from jingwei.telemetry.rebuild import rebuild as derive

    try:
        first = date.fromisoformat(start)
        last = date.fromisoformat(end) if end else first
    except ValueError:
        typer.echo("--from, --to: wanted days such as 2026-03-10", err=True)
        raise typer.Exit(2) from None
    if last < first:
        typer.echo(f"--to {end} lies before --from {start}", err=True)
        raise typer.Exit(2)
    root = data.expanduser().resolve()
    if not (root / "journal").is_dir():
        typer.echo(f"{root} holds no journal; see --data", err=True)
        raise typer.Exit(2)
    differ = False
    try:
        for day in derive(
            root / "journal",
            root / "lake",
            first,
            last,
            engines.executor(executor, processes),
            now=datetime.now(UTC),
            only_compare=check,
        ):
            differ |= not day.same
            typer.echo(json.dumps(dataclasses.asdict(day)))
    except (LakeError, engines.ExecutorError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if check and differ:
        raise typer.Exit(1)


def roll_up(
    executor: Executor_ = "",
    processes: Processes = 0,
    data: Data = Path("var"),
) -> None:
    """Add up every closed day that has not been yet: one JSON object a partition.

    The running system does so by itself, day by day; this is for many at once, after an import for
    example. Exit codes: 0 done, 1 something cannot be read or written, 2 a wrong option.
    """
    import json

    from jingwei.telemetry import executor as engines
    from jingwei.telemetry import rebuild as derive
    from jingwei.telemetry.catalog import LakeError

    root = data.expanduser().resolve()
    if not (root / "lake").is_dir():
        typer.echo(f"{root} holds no lake; see --data", err=True)
        raise typer.Exit(2)
    try:
        for resolution, day in derive.roll_up(
            root / "journal",
            root / "lake",
            engines.executor(executor, processes),
            now=datetime.now(UTC),
        ):
            typer.echo(json.dumps({"resolution": resolution, "day": day}))
    except (LakeError, engines.ExecutorError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def import_(
    file: Annotated[Path, typer.Argument(help="A table: .csv, .xlsx or .parquet.")],
    mapping: Annotated[
        Path | None,
        typer.Option(help="JSON file that says which column is what; without: propose one."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take it in; else only look.")] = False,
    skip_errors: Annotated[
        bool, typer.Option("--skip-errors", help="Leave out rows with errors.")
    ] = False,
    data: Data = Path("var"),
) -> None:
    """Take observations from a table into the journal: all rows in one commit, or none.

    Prints one JSON object: rows, values, errors by row. Devices must be in the register.
    Exit codes: 0 fine, 1 rows with errors (nothing is taken), 2 file or mapping cannot be used.
    """
    import dataclasses
    import json

    from jingwei.telemetry import tables
    from jingwei.telemetry.journal import JournalError
    from jingwei.telemetry.register import Register

    root = data.expanduser().resolve()
    try:
        content = file.read_bytes()
        if mapping is None:
            proposed = tables.guess(tables.header(content))
            typer.echo(json.dumps(proposed, ensure_ascii=False, indent=2))
            return
        wanted = json.loads(mapping.read_text())
        if not isinstance(wanted, dict):
            raise tables.TableError(f"{mapping}: wanted a JSON object")
        found = tables.read(file.name, content, wanted, find=Register(root / "register.json").find)
        taken = 0
        if yes and (skip_errors or not found.errors):
            taken = tables.take(found, root / "journal", f"file:{file.name}", skip_errors=True)
    except (OSError, ValueError, JournalError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    said = {
        "sha256": found.sha256,
        "rows": found.rows,
        "values": found.values,
        "taken": taken,
        "errors": [dataclasses.asdict(error) for error in found.errors],
        "more_errors": found.more_errors,
    }
    typer.echo(json.dumps(said, ensure_ascii=False, indent=2))
    if found.errors and not skip_errors:
        raise typer.Exit(1)


def mqtt(
    broker: Annotated[
        str,
        typer.Option(
            envvar="JINGWEI_MQTT",
            metavar="mqtt[s]://[USER:PASSWORD@]HOST[:PORT]",
            help="The broker.",
        ),
    ],
    topic: Annotated[
        list[str] | None,
        typer.Option(
            envvar="JINGWEI_MQTT_TOPICS", help="Topic filter; may be given several times."
        ),
    ] = None,
    streams: Annotated[
        Path | None,
        typer.Option(
            envvar="JINGWEI_MQTT_STREAMS",
            help="JSON: which device and factor each SensorThings datastream is.",
        ),
    ] = None,
    client: Annotated[
        str, typer.Option(help="Client id; the broker keeps its session.")
    ] = "jingwei",
    data: Data = Path("var"),
) -> None:
    """Take observations (JSON, SensorThings) from an MQTT broker into the journal.

    A message is acknowledged when it is on the disk. Devices must be in the register. Exit codes:
    0 stopped, 2 a setting or the broker cannot be used.
    """
    import json
    import logging
    import signal
    import ssl
    from urllib.parse import unquote, urlsplit

    from jingwei.telemetry.mqtt import Broker, Listener

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        parts = urlsplit(broker)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("JINGWEI_MQTT: wanted mqtt://HOST:PORT or mqtts://HOST:PORT")
        secure = parts.scheme == "mqtts"
        mapping = json.loads(streams.read_text()) if streams else {}
        if not isinstance(mapping, dict) or not all(
            isinstance(row, dict) and {"mn", "st", "code"} <= set(row) for row in mapping.values()
        ):
            raise ValueError(f'{streams}: wanted {{"ID": {{"mn": …, "st": …, "code": …}}}}')
        listener = Listener(
            Broker(
                parts.hostname,
                parts.port or (8883 if secure else 1883),
                tuple(topic or ("jingwei/#",)),
                unquote(parts.username or ""),
                unquote(parts.password or ""),
                client,
                ssl.create_default_context() if secure else None,
            ),
            data.expanduser().resolve(),
            mapping,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: listener.stop.set())
        listener.run()
    except (OSError, ValueError) as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(2) from None


def forward(
    targets: Annotated[
        Path,
        typer.Option(
            envvar="JINGWEI_FORWARD", metavar="FILE", help="JSON list of the other platforms."
        ),
    ],
    again: Annotated[
        str, typer.Option(metavar="NAME", help="Send what was set aside for this target again.")
    ] = "",
    data: Data = Path("var"),
) -> None:
    """Send what is received on to other platforms (HJ 212 relay, MQTT), as often as it takes.

    What the other side has not acknowledged is sent again, after a restart too. Exit codes:
    0 stopped (with --again: asked), 2 the targets cannot be used.
    """
    import logging

    from jingwei.telemetry import forward as engine
    from jingwei.telemetry.places import NAME, Places, PlacesError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    root = data.expanduser().resolve()
    try:
        found = engine.targets(targets)
        if again:
            if again not in {target.name for target in found}:
                raise engine.ForwardError(f"{targets} has no target {again!r}")
            places = Places(root / NAME)
            count = places.again(again)
            places.close()
            typer.echo(f"{count} telegrams will be sent again")
            return
        engine.serve(found, root, say=typer.echo)
    except (engine.ForwardError, PlacesError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _since(text: str) -> datetime | None:
    now = datetime.now(UTC)
    if not text:
        return None
    if text[-1] in "smhd" and text[:-1].isdigit():
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[text[-1]]
        try:
            return now - timedelta(**{unit: int(text[:-1])})
        except OverflowError as error:
            raise ValueError(text) from error
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=SHANGHAI)


def attach(app: typer.Typer) -> None:
    app.command()(gateway)
    app.command()(telegrams)
    app.command("import")(import_)
    app.command()(mqtt)
    app.command()(forward)
    lake = typer.Typer(help="The store of observations.", no_args_is_help=True)
    lake.command()(rebuild)
    lake.command("roll-up")(roll_up)
    app.add_typer(lake, name="lake")
