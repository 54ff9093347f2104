"""Histories too poor to learn from, long enough to be calibrated: a reason, never a trace or a warning.

Warnings are errors in this test run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from analysis.detection.conftest import HOUR, START
from analysis.detection.injections import Columns
from jingwei.analysis.commands import attach
from jingwei.analysis.detection import Findings, Monitor, Suite

ROWS, LATER = 8000, 400

Change = Callable[[Columns], None]


def nothing(c: Columns) -> None:
    c["NOX"][:] = np.nan


def zeros(c: Columns) -> None:
    c["NOX"][:] = 0.0


def constant(c: Columns) -> None:
    c["NOX"][:] = 50.0


def halve(c: Columns) -> None:
    c["NOX"][np.random.default_rng(0).random(len(c["NOX"])) < 0.55] = np.nan


def half_and_constant(c: Columns) -> None:
    c["NOX"][::2] = np.nan
    c["NOX"][1::2] = 7.0


def mostly_zero(c: Columns) -> None:
    c["NOX"][np.random.default_rng(0).random(len(c["NOX"])) < 0.97] = 0.0


def few(c: Columns) -> None:
    c["NOX"][90:] = np.nan


def other_unit(c: Columns) -> None:
    c["NOX"][ROWS // 2 :] *= 1000


def everything(c: Columns) -> None:
    for v in c.values():
        v[:] = np.nan


def peak(c: Columns) -> None:
    c["NOX"][4000] = 1e300


def negative(c: Columns) -> None:
    c["NOX"][:] = -50.0 + 0.1 * c["NOX"]


def changed(
    columns: Columns, change: Change, names: tuple[str, ...], targets: list[str]
) -> tuple[Monitor, Monitor]:
    """The history changed, and the honest hours after it."""
    copy = {k: columns[k][:ROWS].copy() for k in names}
    change(copy)
    after = {k: columns[k][ROWS : ROWS + LATER] for k in names}
    return (
        Monitor(START, HOUR, copy, targets),
        Monitor(START + ROWS * HOUR, HOUR, after, targets),
    )


PLAIN = ("NOX", "TEY", "AT")  # no O2, no flow, no other target
TWO = ("NOX", "CO", "TEY", "AT", "O2", "FLOW")
CASES = [
    (nothing, "empty"),
    (zeros, "constant"),
    (constant, "constant"),
    (halve, "missing"),
    (half_and_constant, "constant"),
    (few, "missing"),
    (other_unit, "unit"),
    (everything, "empty"),
    (mostly_zero, None),
    (peak, None),
]


@pytest.mark.parametrize(("change", "code"), CASES)
@pytest.mark.parametrize("names", [PLAIN, TWO])
def test_a_poor_history_gets_its_reason(
    columns: Columns, names: tuple[str, ...], change: Change, code: str | None
) -> None:
    targets = [n for n in ("NOX", "CO") if n in names]
    history, later = changed(columns, change, names, targets)
    suite = Suite.fit(history)
    found = suite.detect(later)
    if code is not None:
        assert (code, "NOX") in {(r.code, r.column) for r in suite.reasons}
        assert (code, "NOX") in {(r.code, r.column) for r in found.reasons}
        assert not [f for f in found if f.factor == "NOX"]
    if names is TWO and change is not everything:
        assert ("CO", "quiet") in suite.families  # the other target is judged all the same


@pytest.mark.parametrize("share", [0.6, 0.95])
def test_half_missing_in_the_stretch_is_said(suite: Suite, columns: Columns, share: float) -> None:
    stretch = {k: v[9600:10800].copy() for k, v in columns.items()}
    stretch["NOX"][np.random.default_rng(1).random(1200) < share] = np.nan
    found = suite.detect(Monitor(START + 9600 * HOUR, HOUR, stretch, ["NOX", "CO"]))
    assert ("missing", "NOX") in {(r.code, r.column) for r in found.reasons}
    assert not [f for f in found if f.factor == "NOX" and f.tier == "statistical"]


def test_peers_missing_half_of_the_time(columns: Columns) -> None:
    values = {k: columns[k][: ROWS + LATER] for k in PLAIN}
    rng = np.random.default_rng(3)
    peers = 60 * np.exp(0.05 * rng.normal(size=(3, ROWS + LATER)))
    peers[:, rng.random(ROWS + LATER) < 0.5] = np.nan

    def part(a: int, b: int) -> Monitor:
        return Monitor(
            START + a * HOUR,
            HOUR,
            {k: v[a:b] for k, v in values.items()},
            ["NOX"],
            peers={"NOX": peers[:, a:b]},
        )

    assert isinstance(Suite.fit(part(0, ROWS)).detect(part(ROWS, ROWS + LATER)), Findings)


def test_a_unit_changed_later_is_a_reason_only(suite: Suite, columns: Columns) -> None:
    stretch = {k: v[9600:10800].copy() for k, v in columns.items()}
    stretch["NOX"] *= 1000
    found = suite.detect(Monitor(START + 9600 * HOUR, HOUR, stretch, ["NOX", "CO"]))
    assert ("unit", "NOX") in {(r.code, r.column) for r in found.reasons}


def test_negative_values_are_no_change_of_unit(columns: Columns) -> None:
    history, later = changed(columns, negative, PLAIN, ["NOX"])
    values = {k: v.copy() for k, v in later.values.items()}
    negative(values)
    values["NOX"] *= 0.962
    again = Monitor(later.start, HOUR, values, ["NOX"])
    assert "unit" not in {r.code for r in Suite.fit(history).detect(again).reasons}


def test_nothing_that_rests_on_the_state_is_judged_after_its_unit_changed(
    suite: Suite, columns: Columns
) -> None:
    stretch = {k: v[9600:11600].copy() for k, v in columns.items()}
    stretch["AT"] += 273.15
    look = suite.look(Monitor(START + 9600 * HOUR, HOUR, stretch, ["NOX", "CO"]))
    assert ("state_unit", "") in {(r.code, r.column) for r in look.later.reasons}
    free = {"quiet", "smooth", "rough", "ceiling", "replay", "digits", "joint"}
    assert {family for _, family in look.rarity} <= free
    # what several signs add up to holds none of the silenced ones
    for target in ("NOX", "CO"):
        assert {f for t, f in look.streams if t == target} <= free


@pytest.mark.parametrize("change", [nothing, zeros, few])
def test_the_command_says_it_in_a_line(columns: Columns, tmp_path: Path, change: Change) -> None:
    history, later = changed(columns, change, PLAIN, ["NOX"])
    rows = ROWS + LATER
    data: dict[str, object] = {
        k: np.concatenate([history.values[k], later.values[k]]) for k in PLAIN
    }
    data["time"] = [START + i * HOUR for i in range(rows)]
    path = tmp_path / "poor.parquet"
    pq.write_table(pa.table(data), path)
    app = typer.Typer()
    attach(app)
    app.command("other")(lambda: None)
    until = (START + ROWS * HOUR).isoformat()
    result = CliRunner().invoke(
        app, ["detect", str(path), "--targets", "NOX", "--fit-until", until]
    )
    assert result.exit_code == 0, result.output
    assert "NOX" in result.stderr
    assert "Traceback" not in result.output
    assert all(json.loads(line)["factor"] != "NOX" for line in result.stdout.splitlines())
