"""The validation command on the bundled runs and on files of the same layout."""

from __future__ import annotations

import csv
import gzip
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jingwei.analysis.air import commands
from jingwei.analysis.air.field import prairie_grass
from jingwei.analysis.air.scores import scores

DATA = resources.files("jingwei.analysis.air") / "data"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    commands.attach(app)
    return app


def run(app: typer.Typer, *args: str) -> tuple[int, dict[str, object] | None, str]:
    found = CliRunner().invoke(app, ["validate", *args])
    line = found.stdout.strip().splitlines()[-1] if found.stdout.strip() else ""
    return found.exit_code, json.loads(line) if line.startswith("{") else None, found.stderr


def test_bundled_runs(app: typer.Typer) -> None:
    status, found, _ = run(app, "prairie-grass")
    assert status == 0
    assert found is not None
    assert (found["runs"], found["pairs"]) == (36, 180)
    theta, plain = found["with_sigma_theta"], found["without_sigma_theta"]
    assert isinstance(theta, dict)
    assert isinstance(plain, dict)
    # What docs/validation/air.md states; a change of the physics must change both.
    assert (theta["fac2"], theta["fb"], theta["nmse"]) == pytest.approx(
        (0.939, -0.083, 0.298), abs=5e-4
    )
    assert (plain["fac2"], plain["fb"], plain["nmse"]) == pytest.approx(
        (0.900, 0.034, 0.512), abs=5e-4
    )


def test_the_same_files_by_path(app: typer.Typer, tmp_path: Path) -> None:
    arcs = tmp_path / "arcs.csv"
    arcs.write_bytes(gzip.decompress((DATA / prairie_grass.ARCS).read_bytes()))
    met = tmp_path / "met.csv"
    met.write_bytes((DATA / prairie_grass.MET).read_bytes())
    _, given, _ = run(app, "prairie-grass", "--arcs", str(arcs), "--met", str(met))
    _, bundled, _ = run(app, "prairie-grass")
    assert given == bundled


def test_a_run_without_turbulence_enters_only_the_plain_scores(tmp_path: Path) -> None:
    lines = (DATA / prairie_grass.MET).read_text().splitlines()
    rows = list(csv.DictReader(lines))
    rows[0]["sigma_theta_deg"] = ""
    met = tmp_path / "met.csv"
    with met.open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    found = prairie_grass.validate(met=met)
    assert found.with_theta is not None
    assert (found.with_theta.pairs, found.without.pairs) == (175, 180)
    assert found.skipped["arcs without sigma-theta"] == 5


def test_missing_samples_never_count(tmp_path: Path) -> None:
    maxima, skipped = prairie_grass.maxima()
    assert skipped == {"missing samples": 29}
    assert all(m.observed > 0 for m in maxima)


@pytest.mark.parametrize(
    ("arcs", "met", "words"),
    [
        ("run,arc_m\n1,50\n", None, "lacks the column azimuth_deg"),
        (None, "run,L_m,ustar,zi_m,sigma_theta_deg,u_2m\n5,-28,zero,782,9.5,5.9\n", "'zero'"),
        (None, "run,L_m,ustar,zi_m,sigma_theta_deg,u_2m\n5,0,0.3,782,9.5,5.9\n", "Obukhov"),
        (None, "run,L_m,ustar,zi_m,sigma_theta_deg,u_2m\n999,-9,0.3,782,9.5,5.9\n", "no run"),
        ("", None, "it has nothing"),
    ],
)
def test_bad_files_are_named(
    app: typer.Typer, tmp_path: Path, arcs: str | None, met: str | None, words: str
) -> None:
    args = []
    for name, text in (("arcs", arcs), ("met", met)):
        if text is not None:
            (tmp_path / name).write_text(text)
            args += [f"--{name}", str(tmp_path / name)]
    status, found, stderr = run(app, "prairie-grass", *args)
    assert (status, found) == (2, None)
    assert words in stderr


def test_report_section_is_replaced(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "air.md"
    path.write_text("# Air\n\n<!-- prairie-grass -->\nold\n<!-- /prairie-grass -->\n\nafter\n")
    run(app, "prairie-grass", "--report", str(path))
    text = path.read_text()
    assert "old" not in text
    assert "all, with sigma-theta | 180" in text
    assert text.endswith("after\n")


def test_scores_by_hand() -> None:
    found = scores([1.0, 2.0, 4.0], [1.0, 4.0, 12.0])
    assert found.fac2 == pytest.approx(2 / 3)
    assert found.fb == pytest.approx(2 * (7 - 17) / (7 + 17))
    assert found.nmse == pytest.approx((4 + 64) / 3 / (7 / 3 * 17 / 3))
    assert found.mg == pytest.approx((1 * 0.5 / 3) ** (1 / 3))
    with pytest.raises(ValueError, match="missing"):
        scores([1.0, np.nan], [1.0, 1.0])
