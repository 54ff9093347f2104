"""`jingwei evidence …`: exit codes and one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer
from django.db import transaction
from typer.testing import CliRunner

from jingwei.bureau.evidencelog import commands
from jingwei.bureau.evidencelog.services import record, sequence

KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
TESSERA = Path(__file__).parents[2] / "data/vectors/tessera-log"


def run(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    commands.attach(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["evidence", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def entries(count: int) -> None:
    with transaction.atomic():
        for n in range(count):
            record("case_event", "case:1", {"n": n})


@pytest.mark.django_db(transaction=True)
def test_check(data: Path) -> None:
    entries(3)
    code, text = run("check")
    assert (code, text) == (0, f"There is no log in {data / 'evidence'} yet; 3 entries wait.\n")
    sequence()
    code, text = run("check")
    assert code == 0
    assert "The evidence log is whole: 3 entries, root " in text
    path = data / "evidence/log/tile/entries/000.p/3"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    code, text = run("check")
    assert code == 1
    assert text.startswith("difference: entry 2 in tile/entries/000.p/3 is not the one")


@pytest.mark.django_db
def test_check_cannot_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from jingwei.bureau.evidencelog import checks

    def broken(progress: object) -> list[str]:
        raise OperationalError("no such table")

    monkeypatch.setattr(checks, "check", broken)
    assert run("check") == (2, "the check cannot run: no such table\n")


def test_check_log_of_another(tmp_path: Path) -> None:
    code, text = run("check-log", TESSERA, KEY)
    assert code == 0
    assert "The log example.com/log/testdata is whole: 15 entries" in text
    assert "17 checkpoint(s) agree" in text
    folder = tmp_path / "log"
    shutil.copytree(TESSERA, folder)
    for name, reason in (
        ("checkpoint.7", "difference: checkpoint.7: the signature"),
        ("tile/0/000.p/15", "difference: entry 14"),
        ("tile/0/000.p/4", "difference: tile/0/000.p/4 is not how its tile begins"),
        ("tile/entries/000.p/15", "difference: "),
    ):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:])
        code, text = run("check-log", folder, KEY)
        assert code == 1
        assert text.startswith(reason), text
        path.write_bytes(whole)
    assert run("check-log", folder, KEY)[0] == 0


def test_check_log_cannot_run(tmp_path: Path) -> None:
    code, text = run("check-log", tmp_path, KEY)
    assert code == 2
    assert "it has no file named checkpoint" in text
    code, text = run("check-log", TESSERA, "nonsense")
    assert code == 2
    assert "NAME+HASH+KEY" in text
