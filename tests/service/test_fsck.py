"""`jingwei fsck`: every difference is a line, also where a check itself cannot go on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from jingwei.service import commands


def broken() -> Iterator[str]:
    yield "a [/row] is gone"
    raise KeyError("note")


def test_a_check_that_cannot_go_on_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = [
        ("one", iter(()), iter(["[old] ones"])),
        ("two", broken(), iter(())),
        ("three", iter(["last"]), iter(())),
    ]
    monkeypatch.setattr(commands, "_environment", lambda: None)
    monkeypatch.setattr(commands, "_django", lambda: None)
    monkeypatch.setattr(commands, "_checks", lambda *_: iter(rooms))
    app = typer.Typer()
    commands.attach(app)
    done = CliRunner().invoke(app, ["fsck"])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0] == "✓ one"
    assert lines.pop(1) == "one, to know: [old] ones"
    assert lines[1] == "two: a [/row] is gone"
    ended = r"two: the check ended here, so there may be more: KeyError: 'note' \(test_fsck.py line \d+\)"
    assert re.fullmatch(ended, lines[2])
    assert lines[3:] == ["three: last", "3 differences."]
