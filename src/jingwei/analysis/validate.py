"""`jingwei validate NAME`: the laboratory against the field. Each part attaches its own names.

A validation prints what it did on stderr and, as the last line on stdout, one JSON object with its
figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import typer

app = typer.Typer(
    name="validate",
    help="Measure the analyses against field data; the last line is a JSON object with the figures.",
    no_args_is_help=True,
)
_attached: WeakSet[typer.Typer] = WeakSet()


def extend(parent: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Add one validation; hangs the group into `parent` the first time it is seen."""
    if parent not in _attached:
        parent.add_typer(app)
        _attached.add(parent)
    if name not in {c.name for c in app.registered_commands}:
        app.command(name)(command)


def tell(text: str) -> None:
    typer.echo(text, err=True)


def figures(found: Mapping[str, Any]) -> None:
    """The last line of the output."""
    typer.echo(json.dumps(found, ensure_ascii=False))


@contextmanager
def refusing() -> Iterator[None]:
    """Bad input ends with one line on stderr and exit status 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.echo(f"jingwei: {error}", err=True)
        raise typer.Exit(2) from error
