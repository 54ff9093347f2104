"""`jingwei identities …`."""

from __future__ import annotations

import typer

identities = typer.Typer(
    name="identities", help="The protected identities of whistle-blowers.", no_args_is_help=True
)


def attach(app: typer.Typer) -> None:
    # A callback keeps `rotate` a command of its own although it is the only one.
    identities.callback()(_identities)
    app.add_typer(identities)


def _identities() -> None:
    """The protected identities of whistle-blowers."""


@identities.command()
def rotate() -> None:
    """Make a new master key and wrap the key of every identity anew; the old master is destroyed.

    Do it when somebody who could read the folder leaves, and after a copy of it was made for a
    move. Interrupted, it is done again. Exit codes: 0 done, 2 a key cannot be read.
    """
    import django

    django.setup()
    from jingwei.bureau.findings.complaints import keys
    from jingwei.evidence.envelope import SealError

    folder = keys()
    try:
        count = folder.rotate()
    except (SealError, OSError) as error:
        typer.echo(f"jingwei: {folder.folder}: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"identities: {count} keys wrapped under a new master")
