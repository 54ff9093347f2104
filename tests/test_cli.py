"""The list of commands."""

from __future__ import annotations

import importlib
import subprocess
import sys

from typer.main import get_command

from jingwei import cli


def test_every_command_is_explained_in_chinese():
    for name in cli.PACKAGES:
        importlib.import_module(f"jingwei.{name}.commands").attach(cli.app)
    cli.speak("zh-hans")
    commands = {}
    for name, command in get_command(cli.app).commands.items():
        commands[name] = command
        for inner, one in getattr(command, "commands", {}).items():
            commands[f"{name} {inner}"] = one
    assert set(cli.CHINESE) == set(commands)
    for name, command in commands.items():
        assert command.help.startswith(cli.CHINESE[name])


def test_a_process_that_starts_imports_nothing_heavy():
    """Each process of the system starts through this module, after a kill as well."""
    heavy = ("numpy", "rich", "django", "pyarrow", "duckdb", "numba", "httpx")
    script = (
        "import importlib, sys\n"
        "from jingwei import cli\n"
        "for name in cli.PACKAGES:\n"
        "    importlib.import_module(f'jingwei.{name}.commands').attach(cli.app)\n"
        "import jingwei.telemetry.gateway\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_web_process_starts_without_the_compiler():
    script = (
        "import sys\n"
        "import jingwei.config.wsgi\n"
        "from django.urls import reverse\n"
        "reverse('console:home')\n"
        "print([name for name in ('numba', 'scipy.sparse', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
