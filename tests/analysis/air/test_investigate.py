"""From files to a ranked list, on a small made-up city, and what is said of bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jingwei.analysis.air import commands, investigate, weather
from jingwei.analysis.air.forecast import history
from jingwei.analysis.air.puffs import Grid, Sources, forward

HOURS = 60
CENTRE = (117.0, 36.5)
NAMES = ("core", "north", "east", "south", "west", "far")
SHIFTS = ((0, 0), (0, 6e3), (6e3, 0), (0, -6e3), (-6e3, 0), (9e3, 9e3))
WORKS = ((-3e3, 500.0), (4e3, 3e3), (1e3, -5e3), (-7e3, -7e3), (2e3, 8e3), (-5e3, 4e3))
GUILTY = 0


def degrees(x: float, y: float) -> tuple[float, float]:
    lat = CENTRE[1] + np.degrees(y / weather.EARTH)
    lon = CENTRE[0] + np.degrees(x / weather.EARTH / np.cos(np.radians(CENTRE[1])))
    return float(lon), float(lat)


def rows(**change: object) -> list[dict[str, object]]:
    """What the stations measured; the wind turns through all directions."""
    hour = np.arange(HOURS)
    toward = 2 * np.pi * hour / 24
    speed = 2.5 + np.sin(hour / 5)
    u, v = speed * np.sin(toward), speed * np.cos(toward)
    times = np.datetime64("2024-05-01T00", "h") + hour
    values = {"PM2.5": np.full((HOURS, len(NAMES)), 10.0)}
    air = {
        "temperature": np.full(HOURS, 18.0), "dewpoint": np.full(HOURS, 8.0),
        "pressure": np.full(HOURS, 1005.0), "u": u, "v": v, "speed": speed,
    }  # fmt: skip
    city = history.History(times, NAMES, values, air)
    air, _ = investigate.city_wind(city, 0, HOURS - 1, CENTRE)
    factor = np.ones(len(WORKS))
    factor[GUILTY] = 12.0
    place = np.array(WORKS)
    sources = Sources(
        x=place[:, 0], y=place[:, 1], height=np.full(len(WORKS), 20.0),
        rate=20.0 / 3600 * 1e9 * factor,
    )  # fmt: skip
    at = np.column_stack([np.array(SHIFTS), np.full(len(NAMES), 3.0)])
    told = forward(
        sources, air.winds, Grid(-20e3, -20e3, 1000.0, 41, 41), receptors=at, mesh=False, releases=6
    ).stations[..., 0]
    noise = np.random.default_rng(7).normal(1.0, 0.1, told.shape)
    compass = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W",
               "WNW", "NW", "NNW")  # fmt: skip
    out = []
    for h in range(HOURS):
        origin = np.degrees(np.arctan2(-u[h], -v[h])) % 360
        for s, name in enumerate(NAMES):
            out.append(
                {
                    "time": f"{np.datetime_as_string(times[h])}:00:00".replace("T", " "),
                    "station": name,
                    "PM2.5": round(float(8 + told[h, s] * noise[h, s]), 3),
                    "TEMP": 18, "DEWP": 8, "PRES": 1005, "WSPM": round(float(speed[h]), 2),
                    "wd": compass[round(origin / 22.5) % 16],
                }
            )  # fmt: skip
    return out


def write(path: Path, table: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture(scope="module")
def measured() -> list[dict[str, object]]:
    return rows()


def files(folder: Path, measured: list[dict[str, object]], **column: object) -> dict[str, Path]:
    stations = [
        {"station": n, **dict(zip(("longitude", "latitude"), degrees(*at), strict=True))}
        for n, at in zip(NAMES, SHIFTS, strict=True)
    ]
    works = [
        {
            "source": f"works {k}",
            **dict(zip(("longitude", "latitude"), degrees(*at), strict=True)),
            "rate": 20, "height": 20, "monitored": "", **column,
        }
        for k, at in enumerate(WORKS)
    ]  # fmt: skip
    return {
        "data": write(folder / "data.csv", measured),
        "stations": write(folder / "stations.csv", stations),
        "sources": write(folder / "sources.csv", works),
    }


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    commands.attach(app)
    return app


def run(app: typer.Typer, given: dict[str, Path], *args: str) -> tuple[int, str, str]:
    about = ["--from", "2024-05-01T14:00", "--to", "2024-05-03T08:00", "--pollutant", "PM2.5"]
    options = [x for k, v in given.items() for x in (f"--{k}", str(v))]
    found = CliRunner().invoke(app, ["trace-files", "--station", "core", *options, *about, *args])
    return found.exit_code, found.stdout, found.stderr


def test_the_guilty_works_leads_the_list(
    app: typer.Typer, tmp_path: Path, measured: list[dict[str, object]]
) -> None:
    status, out, err = run(app, files(tmp_path, measured))
    assert status == 0, err
    found = json.loads(out.strip().splitlines()[-1])
    first = found["suspects"][0]
    assert first["name"] == f"works {GUILTY}"
    assert first["probability"] > 0.9
    # 240 kg/h in truth; the prior pulls towards the inventory of 20, the interval says how far.
    assert 60 < first["low"] < first["rate"] < first["high"]
    assert first["distance"] == pytest.approx(np.hypot(*WORKS[GUILTY]), rel=0.01)
    assert first["bearing"] == pytest.approx(279.5, abs=1)
    assert all(s["probability"] < 0.5 for s in found["suspects"][1:])
    assert sum(s["share"] for s in found["suspects"]) <= 1 + 1e-9
    assert found["hours"] == 43
    assert "works 0" in out


def test_what_is_missing_is_said(
    app: typer.Typer, tmp_path: Path, measured: list[dict[str, object]]
) -> None:
    table = [dict(r) for r in measured]
    for r in table:
        hour = str(r["time"])[5:13]
        if hour == "05-02 03":
            r["WSPM"] = r["wd"] = ""  # one hour without wind
        if hour == "05-02 04":
            r["WSPM"] = 0.1
        if r["station"] == "core" and hour == "05-02 05":
            r["PM2.5"] = -3
        if r["station"] == "west" and str(r["time"]) > "2024-05-01 20":
            r["PM2.5"] = 31.0
    given = files(tmp_path, table, height="")
    stations = (tmp_path / "stations.csv").read_text().splitlines()
    (tmp_path / "stations.csv").write_text("\n".join(stations[:-1]) + "\n")
    status, out, err = run(app, given, "--to", "2024-05-04T08:00")
    assert status == 0, err
    for words in (
        "6 of 6 sources have no height: taken as 15 m",
        "wind was missing in 1 hours and was bridged",
        "1 hours were calm",
        "1 values left out (negative or infinite)",
        "values left out (stuck for 24 h)",
        "without a place and left out: far",
        "data end after 46 of 67 hours",
        "core has no value in 1 of 46 hours",
        "6 of 6 sources are without plume rise",
    ):  # fmt: skip
        assert words in err, words
    assert json.loads(out.strip().splitlines()[-1])["suspects"][0]["name"] == "works 0"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--station", "nowhere"), "station 'nowhere': wanted one of"),
        (("--from", "yesterday"), "--from 'yesterday' is no time"),
        (("--to", "2024-04-01"), "lies before --from"),
        (("--to", "2024-06-01"), "longer than 72 hours"),
        (("--from", "2024-08-01", "--to", "2024-08-02"), "no data in the period"),
        (("--pollutant", "SO2"), "SO2 is not measured (PM2.5 are)"),
        (("--threshold", "0"), "threshold"),
    ],
)
def test_bad_questions_are_refused(
    app: typer.Typer, tmp_path: Path, measured: list[dict[str, object]], args: tuple[str, ...],
    words: str,
) -> None:  # fmt: skip
    status, out, err = run(app, files(tmp_path, measured), *args)
    assert (status, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("sources", "117.0", "17.0", "no source lies within 60 km"),
        ("sources", ",20,", ",much,", "'much', not a number"),
        ("sources", ",20,", ",-1,", "rate is -1.0, must not be negative"),
        ("sources", "latitude", "lat", "lacks the column latitude"),
        ("stations", "36.5", "136.5", "is no place on earth"),
        ("stations", "core", "heart", "station 'core' has no place"),
    ],
)
def test_bad_files_are_named(
    app: typer.Typer, tmp_path: Path, measured: list[dict[str, object]], name: str, old: str,
    new: str, words: str,
) -> None:  # fmt: skip
    given = files(tmp_path, measured)
    if words.startswith("no source"):
        table = list(csv.DictReader(given[name].open()))
        for r in table:
            r["longitude"] = str(float(r["longitude"]) - 50)
        write(given[name], table)  # type: ignore[arg-type]
    else:
        given[name].write_text(given[name].read_text().replace(old, new))
    status, _, err = run(app, given)
    assert status == 2
    assert words in err


def test_hours_without_wind_are_not_judged_and_the_others_are(
    app: typer.Typer, tmp_path: Path, measured: list[dict[str, object]]
) -> None:
    table = [dict(r) for r in measured]
    for r in table:
        if "2024-05-02 03" <= str(r["time"])[:13] <= "2024-05-02 08":
            r["WSPM"] = r["wd"] = ""
    status, out, err = run(app, files(tmp_path, table))
    assert status == 0, err
    # Judged is the longer side of the gap, from three hours before its first wind at 09:00 on.
    assert "16 of 43 hours have no wind within 3 hours and are not judged" in err
    assert "wind was missing in 3 hours" in err
    found = json.loads(out.strip().splitlines()[-1])
    assert found["hours"] == 27
    assert found["suspects"][0]["name"] == f"works {GUILTY}"
    for r in table:
        r["WSPM"] = r["wd"] = ""
    status, _, err = run(app, files(tmp_path, table))
    assert status == 2
    assert "no station has wind from 2024-05-01" in err
