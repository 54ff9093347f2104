"""The list of commands."""

from __future__ import annotations

import importlib

from typer.main import get_command

from jingwei import cli


def test_every_command_is_explained_in_chinese():
    for name in cli.PACKAGES:
        importlib.import_module(f"jingwei.{name}.commands").attach(cli.app)
    cli.speak("zh-hans")
    commands = get_command(cli.app).commands
    assert set(cli.CHINESE) == set(commands)
    for name, command in commands.items():
        assert command.help.startswith(cli.CHINESE[name])
