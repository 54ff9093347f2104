"""`jingwei evidence …`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jingwei.evidence.rebuild import Progress

evidence = typer.Typer(
    name="evidence",
    help="The evidence log: an append-only Merkle log that anyone can check.",
    no_args_is_help=True,
)


journal = typer.Typer(
    name="journal", help="The telegrams as they were received.", no_args_is_help=True
)


@journal.callback()
def _journal() -> None:
    """The telegrams as they were received."""


@journal.command()
def prune(
    years: Annotated[
        int,
        typer.Option(envvar="JINGWEI_KEEP_YEARS", help="Keep the telegrams of so many years."),
    ],
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    refused: Annotated[
        bool, typer.Option("--refused", help="Of the refused telegrams instead.")
    ] = False,
    as_: Annotated[
        str, typer.Option("--as", metavar="USERNAME", help="Who does it; else the system's user.")
    ] = "",
) -> None:
    """Delete telegrams that are older than the rule wants them kept; less than the law's term is refused.

    Only whole segments go, whose seal stands in the evidence log; an entry there says what went, with
    a commitment to who did it, and the seal stays. What was received since the first finding of an open case is kept. Prints one
    JSON object a segment. Exit codes: 0 done, 1 something cannot be read, 2 refused.
    """
    import json
    import sqlite3
    from datetime import UTC, datetime

    import django

    try:
        django.setup()
    except ValueError as error:  # a setting that cannot be used
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    from django.conf import settings

    from jingwei.bureau.evidencelog import retention
    from jingwei.evidence.log import LogError
    from jingwei.telemetry.journal import JournalError
    from jingwei.telemetry.places import PlacesError
    from jingwei.telemetry.retention import RetentionError

    root = settings.ENV.refused if refused else settings.ENV.journal
    try:
        for one in retention.prune(root, datetime.now(UTC), years, dry=dry, actor=_actor(as_)):
            found = one.old.seal
            said = {
                "segment": found.name,
                "count": found.count,
                "first": found.first and found.first.isoformat(),
                "last": found.last and found.last.isoformat(),
                "bytes": one.old.size,
                "root": found.root,
                "held": one.old.held,
                "deleted": one.deleted,
            }
            typer.echo(json.dumps(said))
    except (RetentionError, LogError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (JournalError, PlacesError, OSError, sqlite3.Error) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def attach(app: typer.Typer) -> None:
    app.add_typer(evidence)
    app.add_typer(journal)
    app.command()(witness)


def witness(
    folder: Annotated[Path, typer.Argument(help="Where key and state of this witness lie.")],
    log: Annotated[
        list[str] | None, typer.Option(help="Verifier key of a log to cosign; may be repeated.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of this witness, used when its key is made (first start).")
    ] = "",
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on.")] = "127.0.0.1:9300",
) -> None:
    """Be a witness (C2SP tlog-witness): cosign logs that only ever grow.

    To be run by somebody independent of the log: a district, discipline inspection, a notary. The
    first start makes the key and prints the line for the log's policy file. Without a log it
    only does that. Exit codes: 0 stopped, 2 it cannot run.
    """
    import signal
    import threading

    from rich.console import Console

    from jingwei.evidence.note import COSIGNATURE, KeyFile, NoteError, Verifier
    from jingwei.evidence.witness import KEY, Server, Witness

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        if not (folder / KEY).exists():
            if not name:
                raise NoteError(f"there is no key in {folder} yet: name the witness with --name")
            KeyFile.create(folder / KEY, name, COSIGNATURE)
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise NoteError(f"--listen {listen}: wanted HOST:PORT")
        signer = Witness(folder, [Verifier.parse(key) for key in log or []])
        verifier = signer.signer.verifier
        if not log:
            out.print(f"witness NAME {verifier} http://{listen}", markup=False)
            return
        server = Server((host.strip("[]"), int(port)), signer)
    except (NoteError, OSError, sqlite3.Error) as error:
        err.print(f"the witness cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    address = ":".join(map(str, server.server_address[:2]))
    out.print(f"witness NAME {verifier} http://{address}", markup=False)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    with Progress(
        TextColumn("entries"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("entries", total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


@evidence.command()
def check() -> None:
    """Recompute the root from the entries on disk and compare everything with it.

    Compares tiles, entry bundles, checkpoint, and the rows of the database; names the first
    difference of each. Exit codes: 0 all agree, 1 a difference, 2 the check cannot run.
    """
    import django
    from rich.console import Console

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        django.setup()
    except ValueError as error:  # a setting that cannot be used
        err.print(f"the check cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    from django.conf import settings
    from django.db import DatabaseError

    from jingwei.bureau.evidencelog import checks, selectors

    try:
        with _bar() as progress:
            problems = list(checks.check(progress))
        health = selectors.health()
    except (DatabaseError, OSError) as error:
        err.print(f"the check cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    for problem in problems:
        err.print(f"difference: {problem}", markup=False)
    for note in checks.notes():
        out.print(f"note: {note}.", markup=False)
    if problems:
        raise typer.Exit(1)
    if health.log is None:
        out.print(f"There is no log in {settings.ENV.evidence} yet; {health.waiting} entries wait.")
        return
    point = health.log.checkpoint
    out.print(f"The evidence log is whole: {point.size} entries, root {point.root.hex()}.")
    out.print(f"Origin {point.origin}; {health.waiting} entries wait for a leaf number.")


@evidence.command()
def check_log(
    log: Annotated[
        str, typer.Argument(help="Folder or URL of a C2SP tlog-tiles log (checkpoint, tile/…).")
    ],
    key: Annotated[str, typer.Argument(help="Its verifier key: NAME+HASH+KEY.")],
) -> None:
    """Check anybody's C2SP tlog-tiles log: rebuild its tree from its entry bundles.

    Takes `checkpoint`, in a folder every `checkpoint.*` beside it as well. Exit codes: 0 all agree,
    1 a difference, 2 the check cannot run.
    """
    from rich.console import Console

    from jingwei.evidence.log import LogError
    from jingwei.evidence.note import NoteError, Verifier, parse_checkpoint
    from jingwei.evidence.rebuild import check as check_log
    from jingwei.evidence.tiles import Reader, UnreachableError, WebReader

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        verifier = Verifier.parse(key)
    except NoteError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(2) from None
    folder, names = Path(log), ["checkpoint"]
    if log.startswith(("http://", "https://")):
        reader: Reader = WebReader(log)
    elif (folder / "checkpoint").is_file():
        reader = Reader(folder)
        names += sorted(p.name for p in folder.glob("checkpoint.*"))
    else:
        err.print(f"there is no log in {folder}: it has no file named checkpoint", markup=False)
        raise typer.Exit(2)
    name = ""
    try:
        checkpoints = []
        for name in names:
            checkpoints.append(parse_checkpoint(reader.checkpoint(name), verifier))
        with _bar() as progress:
            check_log(reader, checkpoints, progress=progress)
    except UnreachableError as error:
        err.print(f"the check cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    except NoteError as error:
        err.print(f"difference: {name}: {error}", markup=False)
        raise typer.Exit(1) from None
    except LogError as error:
        err.print(f"difference: {error}", markup=False)
        raise typer.Exit(1) from None
    newest = max(checkpoints, key=lambda c: c.size)
    out.print(
        f"The log {newest.origin} is whole: {newest.size} entries, root {newest.root.hex()},"
        f" {len(checkpoints)} checkpoint(s) agree."
    )


def _actor(username: str) -> str:
    """Who acts, as entries have it: the number of the account, or the operating system's user."""
    import getpass

    from django.contrib.auth import get_user_model

    from jingwei.evidence.log import LogError

    if not username:
        try:
            return f"os:{getpass.getuser()}"[:64]
        except (OSError, KeyError, ImportError):  # a number without a name
            return "os"
    user = get_user_model().objects.filter(username=username, is_active=True).first()
    if user is None:
        raise LogError(f"there is no active account {username}")
    return str(user.pk)


@evidence.command()
def export(
    case: Annotated[int, typer.Argument(help="Number of the case, as in its address.")],
    target: Annotated[Path, typer.Argument(help="New folder, or a file ending in .zip.")],
    as_: Annotated[
        str, typer.Option("--as", metavar="USERNAME", help="Who exports; else the system's user.")
    ] = "",
) -> None:
    """Export everything about a case as a bundle that anybody can verify offline.

    The export is itself recorded in the log, with a commitment to who did it. Exit codes: 0 written and verified, 1 refused,
    2 it cannot run.
    """
    import django
    from rich.console import Console

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        django.setup()
    except ValueError as error:  # a setting that cannot be used
        err.print(f"the export cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    from django.db import DatabaseError

    from jingwei.bureau.evidencelog import bundles
    from jingwei.evidence.log import LogError

    try:
        actor = _actor(as_)
        report = bundles.export(f"case:{case}", bundles.gather(case), target, actor=actor)
    except (bundles.ExportError, LogError) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except (DatabaseError, OSError) as error:
        err.print(f"the export cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    out.print(f"{target}: {len(report.items)} items, all proved.", markup=False)
    for what, why in report.absent:
        out.print(f"absent: {what}: {why}", markup=False)


@evidence.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder or zip that was exported.")],
    policy: Annotated[
        Path | None, typer.Option(help="Whom you trust (C2SP tlog-policy); else the bundle's own.")
    ] = None,
    tsa: Annotated[
        Path | None, typer.Option(help="Certificates of the time stamp authority (PEM).")
    ] = None,
) -> None:
    """Say, item by item, what an evidence bundle proves. Needs no network and no database.

    Exit codes: 0 all is proved, 1 not all is.
    """
    from jingwei.evidence.verify import main

    own = ["--policy", str(policy)] if policy else []
    raise typer.Exit(main([str(bundle), *own, *(["--tsa", str(tsa)] if tsa else [])]))


@evidence.command()
def check_draw(
    result: Annotated[Path, typer.Argument(help="The published result.json of a random draw.")],
) -> None:
    """Recompute a random draw and verify the signatures of its drand rounds.

    The draw's own verifier (`draw.py`, standard library alone) recomputes as well, but leaves the
    signatures out: they need the package py-ecc. Exit codes: 0 right, 1 wrong, 2 it cannot run.
    """
    from rich.console import Console

    from jingwei.evidence import beacon, draw

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        with result.open("rb") as file:
            found = draw.verify(draw.load(file.read(draw.MAX_FILE + 1)))
        checked = beacon.verify_draw(found)
    except (draw.DrawError, beacon.BeaconError) as error:
        err.print(f"not valid: {error}", markup=False)
        raise typer.Exit(1) from None
    except (OSError, beacon.NotInstalledError) as error:
        err.print(f"the check cannot run: {error}", markup=False)
        raise typer.Exit(2) from None
    out.print(
        f"The draw {found['plan']['draw']} is right; signatures of {checked} drand round(s) verified.",
        markup=False,
    )


@evidence.command()
def sm2_key(
    as_: Annotated[
        str, typer.Option("--as", metavar="USERNAME", help="Who does it; else the system's user.")
    ] = "",
) -> None:
    """Make a second signing key, SM2: from then on every checkpoint carries both signatures.

    OpenSSL 3 makes and uses it. An entry tells of it, with a commitment to who did it, before the key
    signs. May be repeated after a crash. Exit codes: 0 made, 1 there is one already or it cannot be
    made, 2 it cannot run.
    """
    import django
    from rich.console import Console

    err = Console(stderr=True, soft_wrap=True)
    try:
        django.setup()
    except ValueError as error:  # a setting that cannot be used
        err.print(f"the key cannot be made: {error}", markup=False)
        raise typer.Exit(2) from None
    from django.db import DatabaseError

    from jingwei.bureau.evidencelog import services
    from jingwei.evidence.log import LogError

    try:
        key = services.second_key(actor=_actor(as_))
    except LogError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except (DatabaseError, OSError) as error:
        err.print(f"the key cannot be made: {error}", markup=False)
        raise typer.Exit(2) from None
    Console(highlight=False, soft_wrap=True).print(str(key), markup=False)


@evidence.command()
def rotate(
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only make the next key and print it.")
    ] = False,
    as_: Annotated[
        str, typer.Option("--as", metavar="USERNAME", help="Who does it; else the system's user.")
    ] = "",
) -> None:
    """Change the log's signing key (and the SM2 key, where there is one): the log goes on.

    First `--prepare`, and give the key that it prints to the witnesses and the policy file; then
    without. A statement that both keys have signed becomes an entry, the newest checkpoint gets
    both signatures, later ones that of the new key alone. The entry has a commitment to who did it.
    May be repeated after a crash. Exit codes: 0 done, 1 refused, 2 it cannot run.
    """
    import django
    from rich.console import Console

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        django.setup()
    except ValueError as error:  # a setting that cannot be used
        err.print(f"the key cannot be changed: {error}", markup=False)
        raise typer.Exit(2) from None
    from django.db import DatabaseError

    from jingwei.bureau.evidencelog import services
    from jingwei.evidence.log import LogError

    try:
        change = services.next_key if prepare else services.rotate
        key = change(actor=_actor(as_))
    except LogError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except (DatabaseError, OSError) as error:
        err.print(f"the key cannot be changed: {error}", markup=False)
        raise typer.Exit(2) from None
    out.print(f"log {key}", markup=False)
