"""`jingwei detect`, its sheets, and what it says of bad files."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from analysis.detection.conftest import HOUR, START
from analysis.detection.injections import Columns
from jingwei.analysis.commands import attach

ROWS = 4000
CUT = 3400


def app() -> typer.Typer:
    made = typer.Typer()
    attach(made)
    made.command("other")(lambda: None)  # with one command only, typer would drop its name
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app(), ["detect", *arguments])


def table(columns: Columns) -> dict[str, object]:
    data: dict[str, object] = {k: v[:ROWS] for k, v in columns.items()}
    data["time"] = [START + i * HOUR for i in range(ROWS)]
    return data


@pytest.fixture(scope="module")
def file(columns: Columns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = table(columns)
    nox = columns["NOX"][:ROWS].copy()
    nox[3700:3730] = nox[3700]
    data["NOX"] = nox
    path = tmp_path_factory.mktemp("detect") / "outlet.parquet"
    pq.write_table(pa.table(data), path)
    return path


UNTIL = (START + CUT * HOUR).isoformat()
USUAL = ("--targets", "NOX,CO", "--limit", "NOX=80", "--fit-until", UNTIL)


@pytest.fixture(scope="module")
def done(file: Path) -> tuple[Result, Path]:
    out = file.parent / "sheets"
    return run(str(file), *USUAL, "--budget", "0.1", "--out", str(out)), out


def test_a_file_gives_lines_and_sheets(done: tuple[Result, Path]) -> None:
    result, out = done
    assert result.exit_code == 0, result.output
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    frozen = [f for f in findings if f["detector"] == "const_run"]
    assert len(frozen) == 1
    assert frozen[0]["start"] == (START + 3700 * HOUR).isoformat()
    sheets = sorted(out.glob("*.html"))
    assert len(sheets) == len(findings)
    text = next(s for s in sheets if "const_run" in s.name).read_text(encoding="utf-8")
    assert frozen[0]["sentence"]["zh"] in text
    assert frozen[0]["evidence"]["sha256"] in text
    assert "<svg" in text
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", text)


def test_the_same_file_gives_the_same_bytes_and_rules_on_request(
    file: Path, done: tuple[Result, Path]
) -> None:
    result = run(str(file), *USUAL, "--rules")
    lines = result.stdout.splitlines()
    plain = done[0].stdout.splitlines()
    assert lines[: len(plain)] == plain
    assert {"A18-3", "A18-6"} <= {json.loads(line)["detector"] for line in lines[len(plain) :]}


def bad(tmp_path: Path, columns: Columns, **change: object) -> Path:
    data = {**table(columns), **change}
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({k: v for k, v in data.items() if v is not None}), path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--targets", "SO2", "--fit-until", UNTIL), "target SO2 is no column"),
        (("--targets", "NOX", "--fit-until", "soon"), "no ISO 8601 time"),
        (("--targets", "NOX", "--fit-until", "2050-01-01"), "must lie inside the file"),
        ((*USUAL, "--limit", "CO"), "must read NAME=VALUE"),
        ((*USUAL, "--limit", "CO=many"), "no number"),
        ((*USUAL, "--budget", "0"), "budget must lie"),
        ((*USUAL, "--role", "AT=weather"), "role weather of AT is unknown"),
    ],
)
def test_a_wrong_option_gets_one_sentence(
    file: Path, options: tuple[str, ...], message: str
) -> None:
    result = run(str(file), *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def times(row: int, shift: timedelta) -> list[object]:
    """Hourly times of which one is moved."""
    return [START + i * HOUR + (shift if i == row else timedelta(0)) for i in range(ROWS)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": None}, "has no column time"),
        ({"time": ["2012-01-01"] * ROWS}, "not a timestamp"),
        ({"time": times(50, timedelta(hours=-9))}, "do not rise at row 51"),
        ({"time": times(50, timedelta(minutes=20))}, "do not lie on a grid"),
        ({"NOX": ["1"] * ROWS}, "is text, not a number"),
    ],
)
def test_a_wrong_table_gets_one_sentence(
    tmp_path: Path, columns: Columns, change: dict[str, object], message: str
) -> None:
    result = run(str(bad(tmp_path, columns, **change)), *USUAL)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_file_and_no_parquet(tmp_path: Path) -> None:
    text = tmp_path / "text.parquet"
    text.write_text("time,NOX\n")
    assert "is no file" in run(str(tmp_path / "none.parquet"), *USUAL).stderr
    assert "is no Parquet file" in run(str(text), *USUAL).stderr


def test_missing_rows_are_missing_hours(tmp_path: Path, columns: Columns) -> None:
    keep = np.r_[0:1000, 1010:ROWS]
    data = {k: np.asarray(v)[keep] for k, v in table(columns).items()}
    path = tmp_path / "holes.parquet"
    pq.write_table(pa.table(data), path)
    from jingwei.analysis.detection.files import read

    monitor = read(path, ["NOX"])
    assert len(monitor) == ROWS
    assert np.isnan(monitor.values["NOX"][1000:1010]).all()
    assert monitor.values["NOX"][1010] == columns["NOX"][1010]
