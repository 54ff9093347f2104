"""`jingwei …`: every command of the system. Each package attaches its own (`commands.attach`)."""

from __future__ import annotations

import importlib
import os

import typer

app = typer.Typer(
    name="jingwei",
    help="Jingwei 泾渭: from what monitors report about pollution to supervision that anyone can verify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order in which `jingwei --help` lists them.
PACKAGES = [
    "service",
    "demo",
    "hj212",
    "telemetry",
    "standards",
    "analysis",
    "analysis.air",
    "bureau.evidencelog",
    "bureau.findings",
    "bureau.air",
]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jingwei.config.settings")
    for name in PACKAGES:
        importlib.import_module(f"jingwei.{name}.commands").attach(app)
    app()


if __name__ == "__main__":
    main()
