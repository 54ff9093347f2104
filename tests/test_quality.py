"""The floor under everything: style, types and architecture are tests like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=["ruff", "format", "mypy", "imports"],
)
def test_tool_finds_nothing(command: list[str]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_stands_in_the_settings_and_in_the_layers() -> None:
    """A new room must take its place in the order of the house, or nothing checks its imports."""
    from django.conf import settings

    rooms = {p.parent.name for p in (ROOT / "src/jingwei/bureau").glob("*/apps.py")}
    assert rooms == set(settings.ROOMS)
    layers = (ROOT / "pyproject.toml").read_text()
    places = [layers.index(f'"jingwei.bureau.{room}"') for room in reversed(settings.ROOMS)]
    assert places == sorted(places)
