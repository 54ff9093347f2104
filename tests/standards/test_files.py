"""`jingwei aqi` and `jingwei water-class`, on hand-made rows and on the official files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jingwei.standards import commands, files

HEADER = (
    "stationcode,timepoint,aqi,quality,primarypollutant,pm2_5,pm2_5_24h,pm10,pm10_24h,so2,so2_24h,"
    "no2,no2_24h,co,co_24h,o3,o3_24h,o3_8h,o3_8h_24h"
)
ROWS = [
    # PM2.5 38 -> 53.75 -> 54; the 1-h ozone of 62 stands in o3_24h.
    "A,2018-02-20T07:00:00,54,良,细颗粒物(PM2.5),38,134,20,80,3,22,17,42,0.7,2.2,84,62,37,37",
    # Two primary pollutants, PM2.5 75 and PM10 150: 100 each in 2012.
    'B,2018-02-20T07:00:00,100,良,"颗粒物(PM10),细颗粒物(PM2.5)",75,,150,,3,,17,,0.7,,84,62,37,37',
    "C,2018-02-20T07:00:00,26,优,-;,0,98,7,7,3,13,8,28,0.2,1.4,112,83,86,85",
    "D,2018-02-20T07:00:00,40,优,—,10,98,—,7,3,13,8,28,0.2,1.4,112,83,86,85",
]
TODAY = "E,2026-03-01 08:00,,,,75,75,20,,3,,17,,0.7,,62,62,37,37"

app = typer.Typer()
commands.attach(app)
runner = CliRunner()


def write(path: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(rows) + "\n", encoding=encoding)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def run(*arguments: object):
    return runner.invoke(app, [str(a) for a in arguments])


def test_feed_of_hours(tmp_path):
    given, out = write(tmp_path / "in.csv", HEADER, *ROWS), tmp_path / "out.csv"
    result = run("aqi", given, "--out", out, "--feed", "cnemc")
    assert result.exit_code == 0, result.output
    assert [(r["jw_aqi"], r["jw_class"], r["jw_primary"]) for r in read(out)] == [
        ("54", "良", "细颗粒物(PM2.5)"),
        ("100", "良", "颗粒物(PM10),细颗粒物(PM2.5)"),
        ("26", "优", "—"),
        ("", "", ""),
    ]
    assert list(read(out)[0])[:-3] == HEADER.split(",")
    assert "4 rows, 3 judged" in result.output
    assert "1 without a result: missing pm10" in result.output
    assert "3 of 3 agree" in result.output


def test_without_the_feed_ozone_stands_where_its_name_says(tmp_path):
    """Row C: 112 in `o3` gives 35; in the feed it is the day's 1-hour maximum."""
    given, out = write(tmp_path / "in.csv", HEADER, ROWS[2]), tmp_path / "out.csv"
    assert run("aqi", given, "--out", out).exit_code == 0
    assert read(out)[0]["jw_aqi"] == "35"


def test_the_date_of_the_row_decides(tmp_path):
    given, out = write(tmp_path / "in.csv", HEADER, ROWS[1], TODAY), tmp_path / "out.csv"
    assert run("aqi", given, "--out", out).exit_code == 0
    assert [r["jw_aqi"] for r in read(out)] == ["100", "114"]
    assert run("aqi", given, "--out", out, "--edition", "2026").exit_code == 0
    assert [r["jw_aqi"] for r in read(out)] == ["114", "114"]


def test_days(tmp_path):
    given, out = write(tmp_path / "in.csv", HEADER, ROWS[0]), tmp_path / "out.csv"
    assert run("aqi", given, "--out", out, "--period", "day").exit_code == 0
    # PM2.5 24 h 134: 150 + 50 x 19/35 = 177.1 -> 178.
    assert (read(out)[0]["jw_aqi"], read(out)[0]["jw_class"]) == ("178", "中度污染")


def test_an_unreadable_time_and_odd_cells_stay_empty(tmp_path):
    rows = [ROWS[0].replace("2018-02-20T07:00:00", "yesterday"), ROWS[0].replace(",38,", ",1_0,")]
    given, out = write(tmp_path / "in.csv", HEADER, *rows), tmp_path / "out.csv"
    result = run("aqi", given, "--out", out, "--feed", "cnemc")
    assert [r["jw_aqi"] for r in read(out)] == ["", ""]
    assert "1 without a result: unreadable timepoint" in result.output
    assert "1 without a result: missing pm25" in result.output


def test_a_different_official_result_is_told(tmp_path):
    given = write(tmp_path / "in.csv", HEADER, ROWS[0].replace(",54,良", ",55,良"))
    result = run("aqi", given, "--out", tmp_path / "out.csv", "--feed", "cnemc")
    assert "0 of 1 agree" in result.output
    assert "row 1: the official result is another" in result.output


def test_chunks_make_no_difference(tmp_path, monkeypatch):
    given = write(tmp_path / "in.csv", HEADER, *ROWS)
    files.judge_aqi(given, tmp_path / "whole.csv", feed="cnemc")
    monkeypatch.setattr(files, "CHUNK", 1)
    outcome = files.judge_aqi(given, tmp_path / "parts.csv", feed="cnemc")
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "parts.csv").read_bytes()
    assert (outcome.rows, outcome.judged, outcome.compared) == (4, 3, 3)


def test_running_it_again_replaces_the_columns(tmp_path):
    given = write(tmp_path / "in.csv", HEADER, *ROWS)
    files.judge_aqi(given, tmp_path / "a.csv", feed="cnemc")
    files.judge_aqi(tmp_path / "a.csv", tmp_path / "b.csv", feed="cnemc")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_gb18030_is_read(tmp_path):
    given = write(tmp_path / "in.csv", HEADER, *ROWS, encoding="gb18030")
    outcome = files.judge_aqi(given, tmp_path / "out.csv", feed="cnemc")
    assert outcome.agree == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "lacks the column pm2_5"),
        (HEADER + ",pm10\n", "pm10 more than once"),
        (f"{HEADER}\n{ROWS[0]},extra\n", "line 2: 20 cells, but the header has 19"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text: str, words: str):
    given, out = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_text(text, encoding="utf-8")
    result = run("aqi", given, "--out", out)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_other_refusals(tmp_path):
    given = write(tmp_path / "in.csv", HEADER, *ROWS)
    for arguments, words in (
        (("aqi", tmp_path / "no.csv", "--out", tmp_path / "o.csv"), "no such file"),
        (("aqi", given, "--out", given), "is the input"),
        (("aqi", given, "--out", tmp_path / "no" / "o.csv"), "no such folder"),
        (("aqi", given, "--out", tmp_path / "o.csv", "--feed", "x"), "wanted cnemc"),
        (("aqi", given, "--out", tmp_path / "o.csv", "--edition", "1996"), "2012 or 2026"),
        (("aqi", given, "--out", tmp_path / "o.csv", "--period", "week"), "hour or day"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert words in result.output
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    result = run("aqi", tmp_path / "binary.csv", "--out", tmp_path / "o.csv")
    assert result.exit_code == 2
    assert "neither UTF-8 nor GB 18030" in result.output


WATER = (
    "断面名称,水质类别,pH(无量纲),溶解氧(mg/L),高锰酸盐指数(mg/L),氨氮(mg/L),总磷(mg/L),总氮(mg/L)"
)
WATER_ROWS = [
    "某河大桥,Ⅱ,7.9,8.4,2.1,0.077,0.050,9.0",
    "某某水库,Ⅲ,7.9,8.4,2.1,0.077,0.050,9.0",
    "某湖心亭,Ⅲ,7.9,8.4,2.1,0.077,0.050,9.0",
    "某桥,Ⅲ,7.9,8.4,2.1,0.077,0.100,9.0",
    "停测站,--,--,--,--,--,--,--",
    "碱水,劣Ⅴ,9.3,8.4,2.1,0.077,--,--",
]


def test_water_classes(tmp_path):
    given, out = write(tmp_path / "in.csv", WATER, *WATER_ROWS), tmp_path / "out.csv"
    result = run("water-class", given, "--out", out, "--explain", tmp_path / "why.csv")
    assert result.exit_code == 0, result.output
    assert [r["jw_class"] for r in read(out)] == ["Ⅱ", "Ⅲ", "Ⅱ", "Ⅱ", "--", "劣Ⅴ"]
    assert "3 of 5 agree" in result.output
    why = {r["section"]: r["reason"] for r in read(tmp_path / "why.csv")}
    assert "phosphorus limits of lakes" in why["某湖心亭"]
    assert "tp 0.1 is printed on a limit" in why["某桥"]
    assert len(why) == 2


def test_a_list_of_lakes(tmp_path):
    given = write(tmp_path / "in.csv", WATER, *WATER_ROWS)
    lakes = write(tmp_path / "lakes.txt", "某湖心亭", "")
    result = run("water-class", given, "--out", tmp_path / "out.csv", "--lakes", lakes)
    assert read(tmp_path / "out.csv")[2]["jw_class"] == "Ⅲ"
    assert "4 of 5 agree" in result.output
    assert "某桥: official Ⅲ, here Ⅱ" in result.output


def test_water_needs_its_columns(tmp_path):
    given = write(tmp_path / "in.csv", "断面名称,水质类别", "某桥,Ⅱ")
    result = run("water-class", given, "--out", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "lacks the column pH(无量纲), 溶解氧(mg/L)" in result.output


def test_every_complete_row_of_the_national_feed_agrees(shared, tmp_path):
    """4,432 station-hours of 2018 and 2019: AQI, class and primary pollutants, exactly."""
    source = shared / "data" / "cnemc_snapshots" / "station_hours.csv"
    outcome = files.judge_aqi(source, tmp_path / "out.csv", feed="cnemc")
    assert (outcome.rows, outcome.compared, outcome.agree) == (4432, 3758, 3758)
    rows = read(tmp_path / "out.csv")
    complete = [
        r
        for r in rows
        if all(
            r[c].replace(".", "").isdigit()
            for c in ("pm2_5", "pm10", "so2", "no2", "co", "o3_24h", "aqi")
        )
    ]
    assert len(complete) == 3758
    assert all(r["jw_aqi"] == r["aqi"] and r["jw_class"] == r["quality"] for r in complete)


def test_national_water_stations_agree(shared, tmp_path):
    """578 automatic stations: 96.5 % of those with a class, every other one explained."""
    source = shared / "data" / "cn_water_stations" / "station_values.csv"
    outcome, different = files.judge_water(source, tmp_path / "out.csv")
    assert (outcome.rows, outcome.compared) == (578, 572)
    assert outcome.agree / outcome.compared >= 0.965
    assert len(different) == outcome.compared - outcome.agree
    assert not [d for d in different if "not explained" in d.reason]
