"""`jingwei identities rotate`."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from jingwei.bureau.findings import commands, complaints


def app() -> typer.Typer:
    made = typer.Typer()
    commands.attach(made)
    return made


def test_rotate_tells_how_many_and_destroys_the_old_master(data) -> None:
    keys = complaints.keys()
    sealed = [keys.seal(b"%d" % n, "x") for n in range(3)]
    said = CliRunner().invoke(app(), ["identities", "rotate"])
    assert (said.exit_code, said.output) == (0, "identities: 3 keys wrapped under a new master\n")
    assert [keys.open(s, "x") for s in sealed] == [b"0", b"1", b"2"]
    assert [p.name for p in keys.folder.glob("master-*")] == ["master-0002"]


def test_rotate_stops_at_a_key_that_cannot_be_read(data) -> None:
    keys = complaints.keys()
    keys.seal(b"x", "x")
    (keys.folder / "master-0001").write_text("cut")
    said = CliRunner().invoke(app(), ["identities", "rotate"])
    assert said.exit_code == 2
    assert (keys.folder / "master-0001").exists()
