"""One release on a site: Chilbolton (bundled) and Ginninderra (a made-up file of its layout)."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jingwei.analysis.air import commands, site
from jingwei.analysis.air.field import chilbolton, city, ginninderra

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


def test_bundled_releases(app: typer.Typer) -> None:
    status, found, _ = run(app, "chilbolton")
    assert status == 0
    assert found is not None
    releases = found["releases"]
    assert isinstance(releases, list)
    assert [r["minutes"] for r in releases] == [139, 347]
    for r in releases:
        assert r["location_error_m"] < 4
        assert 0.6 < r["rate_ratio"] < 1.5
        assert r["rate_covered"]


def test_one_release_by_path(app: typer.Typer, tmp_path: Path) -> None:
    args = []
    for option, name in (
        ("measurements", chilbolton.MEASUREMENTS[0]), ("wind", chilbolton.WIND[0]),
        ("instruments", chilbolton.INSTRUMENTS), ("sources", chilbolton.SOURCES),
    ):  # fmt: skip
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
        args += [f"--{option}", str(tmp_path / name)]
    status, found, _ = run(app, "chilbolton", *args)
    assert status == 0
    assert found is not None
    assert len(found["releases"]) == 1  # type: ignore[arg-type]
    # The truth is used for comparison only: without it the same place and rate come out.
    blind = chilbolton.locate(
        chilbolton.read(
            chilbolton.MEASUREMENTS[0], chilbolton.WIND[0], chilbolton.INSTRUMENTS, None
        )
    )
    first = found["releases"][0]  # type: ignore[index]
    assert (blind.x, blind.rate) == pytest.approx((first["x"], first["rate_kg_s"]), rel=1e-3)
    assert (blind.error, blind.ratio, blind.covered) == (None, None, None)


def test_unequal_files_are_refused(app: typer.Typer, tmp_path: Path) -> None:
    short = tmp_path / "m_1.csv"
    short.write_text("Measurements\n2.0\n2.1\n")
    status, _, stderr = run(app, "chilbolton", "--measurements", str(short))
    assert (status, "--wind" in stderr) == (2, True)
    wind = tmp_path / "w.csv"
    wind.write_bytes((DATA / chilbolton.WIND[0]).read_bytes())
    status, _, stderr = run(app, "chilbolton", "--measurements", str(short), "--wind", str(wind))
    assert (status, "7 beams x 139 minutes" in stderr) == (2, True)


def test_errors_that_grow_with_the_plume_do_not_lower_the_rate() -> None:
    """The plume of a minute is where its mean is not: plain least squares comes out too low."""
    random = np.random.default_rng(2)
    at = random.uniform(-3, 3, 4000)
    miss = at + 0.7 * random.standard_normal(4000)
    share, wide = np.exp(-0.5 * at**2), np.exp(-0.5 * (at / 2) ** 2)
    y = 2 + 3 * np.exp(-0.5 * miss**2) + 0.02 * random.standard_normal(4000)
    who = np.repeat(np.arange(4), 1000)
    x = np.column_stack([share, np.ones(4000)])
    plain = np.linalg.lstsq(x, y, rcond=None)[0][0]
    fit = site.fit_rate(y, share, wide, who, offset=0.1)
    assert abs(fit.rate - 3) < abs(plain - 3)
    assert fit.error < 0.3


def test_no_plume_gives_no_rate() -> None:
    random = np.random.default_rng(2)
    y = 2 + 0.02 * random.standard_normal(300)
    share = np.abs(random.standard_normal(300))
    fit = site.fit_rate(y, share, share, np.zeros(300, int), offset=0.1)
    assert fit.rate < 2 * fit.error + 0.005


def test_beam_share_is_the_mean_of_its_points() -> None:
    about = {
        "towards": np.array([0.0]), "speed": np.array([2.0]), "lateral": np.array([0.2]),
        "vertical": np.array([0.1]),
    }  # fmt: skip
    start, end = np.array([[40.0, -30.0, 1.5]]), np.array([[40.0, 30.0, 1.5]])
    beam = site.beam_shares(0, 0, 0.3, starts=start, ends=end, points=400, **about)[0, 0]
    y = (np.arange(400) + 0.5) / 400 * 60 - 30
    sy, sz = 0.2 * 40 + 0.25, 0.1 * 40 + 0.25
    up = np.exp(-0.5 * (1.2 / sz) ** 2) + np.exp(-0.5 * (1.8 / sz) ** 2)
    told = np.exp(-0.5 * (y / sy) ** 2).mean() * up / (2 * np.pi * sy * sz * 2.0)
    assert beam == pytest.approx(told, rel=1e-6)
    behind = site.beam_shares(90, 0, 0.3, starts=start, ends=end, **about)
    assert behind[0, 0] == 0


def made_up(path: Path, rate: float) -> None:
    """A file of Ginninderra's layout from the plume itself: 240 periods, two points, one beam."""
    random = np.random.default_rng(1)
    rows = []
    for k in range(240):
        speed = round(random.uniform(1.5, 5), 3)
        length = round(float(random.choice([-15.0, -60.0, 50.0])) + k * 1e-3, 3)
        toward = random.uniform(60, 120)
        on = rate if k % 6 else 0.0
        for name, group, place in (
            ("a", "EC", "20,2,NA,NA"), ("b", "EC", "30,-4,NA,NA"), ("r", "Boreal", "15,-15,15,15"),
        ):  # fmt: skip
            row = dict(zip(("x1", "y1", "x2", "y2"), place.split(","), strict=True))
            row |= {"source_x": "0", "source_y": "0", "z": "1.5", "wind_dir": str(toward + 180)}
            down, across, z = ginninderra._line(path, 1, row)
            weather = ginninderra._weather(speed, length)[0]
            share = ginninderra.relative_concentration(down, across, z, height=0.3, weather=weather)
            density = 0.016043 * 95000 / (8.314 * 285)
            ppm = 1.8 + float(share.mean()) * 1e3 / density / 60 * on
            ppm += 0.01 * random.standard_normal()
            rows.append(
                f"t{k},{on},285,95000,{speed},{toward + 180},{length},{name},{group},0,0,1.5,{place},{ppm}"
            )
    path.write_text(",".join(ginninderra.COLUMNS) + "\n" + "\n".join(rows) + "\n")


def test_ginninderra_layout(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    made_up(path, 5.0)
    status, found, _ = run(app, "ginninderra", str(path))
    assert status == 0
    assert found is not None
    period = found["periods"][0]  # type: ignore[index]
    assert period["true_g_min"] == 5.0
    assert period["ratio"] == pytest.approx(1.0, abs=0.05)
    assert set(period["groups"]) == {"EC", "Boreal"}
    assert period["covered"] == {"EC": True, "Boreal": True}
    assert found["met"] is True


def test_an_interval_is_no_narrower_than_the_plume_is_unsure() -> None:
    """A thousand samples do not make a straight plume right."""
    low, high = site.interval(5.0, 1e-6)
    assert np.log(high / low) == pytest.approx(2 * 1.6449 * site.STRUCTURE, rel=0.03)
    wide = site.interval(5.0, 2.0)
    assert wide[0] < low < 5.0 < high < wide[1]


def test_ginninderra_bad_files(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("Time,release_rate\n1,2\n")
    status, _, stderr = run(app, "ginninderra", str(path))
    assert (status, "lacks the column" in stderr) == (2, True)
    made_up(path, 0.0)
    status, _, stderr = run(app, "ginninderra", str(path))
    assert (status, "never runs" in stderr) == (2, True)


def test_puffs_and_city_commands(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands on small cases: the figures are there and make sense."""
    region = city.region
    monkeypatch.setattr(city, "region", lambda *_: region(3, 80, 2))
    status, found, _ = run(app, "puffs")
    assert status == 0
    assert found is not None
    assert found["exact"]["nmse"] <= 0.02  # type: ignore[index]
    assert found["mass_error_mesh"] <= 1e-6  # type: ignore[operator]

    # A hundred enterprises, one of the two cities found well and one badly.
    def made(truth: int, seed: int) -> city.Found:
        good = seed == 1
        told = np.full(100, 0.01)
        told[:4] = 0.9
        exceeds = np.zeros(100, bool)
        exceeds[: 4 if good else 1] = True
        return city.Found(
            recall=1.0 if good else 0.4, least_squares=0.0, coverage=0.9, listed=0.8,
            exceeding=0.5, caught=0.75 if good else float("nan"), probability=told,
            exceeds=exceeds, unsettled=0, located=4, visible=4, seconds=0.0,
        )  # fmt: skip

    monkeypatch.setattr(city, "exceeders", lambda seed, enterprises: enterprises)
    monkeypatch.setattr(city, "trace", made)
    status, found, _ = run(app, "city", "--seeds", "2", "--enterprises", "100")
    assert status == 0
    assert found is not None
    assert (found["cities"], found["recall_30"], found["met"]) == (2, 0.7, True)
    assert found["coverage_90"] == {
        "all": 0.9, "first_30": 0.8, "exceeders_in_first_30": 0.75, "exceeders": 0.5,
    }  # fmt: skip
    assert found["reliability"] == [
        {"from": 0.0, "to": 0.05, "sources": 192, "told": 0.01, "true": 0.0},
        {"from": 0.8, "to": 0.95, "sources": 8, "told": 0.9, "true": 0.625},
    ]
    monkeypatch.setattr(city, "trace", lambda truth, seed: made(truth, 2))
    _, found, _ = run(app, "city", "--seeds", "2", "--enterprises", "100")
    assert found is not None
    assert (found["recall_30"], found["met"]) == (0.4, False)
