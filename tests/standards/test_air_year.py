"""A year of hourly air data in a file, evaluated by station and for the city."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jingwei.standards import commands

RUN = CliRunner()
app = typer.Typer()
commands.attach(app)


def year_of_hours(path: Path, days: int = 365) -> Path:
    """Two stations: PM2.5 of 30 and 40 every hour, on the last twenty days 80; ozone 100."""
    with path.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["station", "time", "pm25", "o3"])
        for n in range(days * 24):
            when = datetime(2025, 1, 1) + timedelta(hours=n)
            for station, base in (("1001A", 30), ("1002A", 40)):
                value = 80 if n >= (days - 20) * 24 else base
                writer.writerow([station, f"{when:%Y-%m-%d %H:%M}", value, 100])
    return path


def rows(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    with path.open(newline="") as f:
        return {(r["place"], r["item"]): r for r in csv.DictReader(f)}


def test_a_year_by_station_and_for_the_city(tmp_path: Path):
    out = tmp_path / "out.csv"
    done = RUN.invoke(app, ["air-year", str(year_of_hours(tmp_path / "in.csv")), "--year", "2025", "--out", str(out)])  # fmt: skip
    assert done.exit_code == 0, done.output
    found = rows(out)
    one = found["1001A", "pm25"]
    # 345 days of 30 and 20 of 80: 32.7, rounded 33; the 95th percentile lies in the last twenty.
    assert (one["mean"], one["percentile"], one["over"], one["days"]) == ("33", "80", "20", "365")
    assert (one["valid"], one["reached"]) == ("yes", "no")
    city = found["*", "pm25"]
    assert (city["mean"], city["single_index"]) == ("37", "1.0571")
    assert found["*", "o3_8h"]["reached"] == "yes"


def test_half_a_year_is_no_valid_year(tmp_path: Path):
    out = tmp_path / "out.csv"
    RUN.invoke(app, ["air-year", str(year_of_hours(tmp_path / "in.csv", 180)), "--year", "2025", "--out", str(out)])  # fmt: skip
    one = rows(out)["1001A", "pm25"]
    assert (one["valid"], one["reached"]) == ("no", "")


def test_bad_rows_are_left_out_and_counted(tmp_path: Path):
    path = tmp_path / "in.csv"
    path.write_text("station,time,pm25\n1,gestern,3\n1,2024-01-01 00:00,3\n1,2025-01-01 00:00,-3\n1,2025-01-01 01:00,x\n")  # fmt: skip
    done = RUN.invoke(app, ["air-year", str(path), "--year", "2025", "--out", str(tmp_path / "o")])
    assert done.exit_code == 0
    for text in ("1 left out: time that cannot be read", "1 left out: another year",
                 "2 left out: value that is negative or no number"):  # fmt: skip
        assert text in done.output


@pytest.mark.parametrize(("head", "year"), [("a,b", "2025"), ("station,time,pm25", "2026")])
def test_what_cannot_be_used_is_refused(tmp_path: Path, head: str, year: str):
    path = tmp_path / "in.csv"
    path.write_text(head + "\n1,2026-01-01 00:00,3\n")
    done = RUN.invoke(app, ["air-year", str(path), "--year", year, "--out", str(tmp_path / "o")])
    assert done.exit_code == 2
    assert "jingwei:" in done.output
