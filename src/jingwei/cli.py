"""`jingwei …`: every command of the system. Each package attaches its own (`commands.attach`)."""

from __future__ import annotations

import importlib
import os
import sys

import typer

app = typer.Typer(
    name="jingwei",
    help="Jingwei 泾渭: from what monitors report about pollution to supervision that anyone can verify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PLAIN = ["hj212", "standards", "telemetry", "evidence"]
ROOMS = ["evidencelog", "registry", "monitoring", "cases", "console"]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jingwei.config.settings")
    for name in [*(f"jingwei.{p}" for p in PLAIN), *(f"jingwei.bureau.{r}" for r in ROOMS)]:
        try:
            commands = importlib.import_module(f"{name}.commands")
        except ModuleNotFoundError as error:
            if error.name != f"{name}.commands":
                raise
            continue
        commands.attach(app)
    app()


if __name__ == "__main__":
    sys.exit(main())
