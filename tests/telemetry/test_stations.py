"""Stations' tables as they are published: recognised, and every value in the journal and the lake."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from jingwei.telemetry import commands, register, stations, tables
from jingwei.telemetry.register import Register

from .conftest import NOON

app = typer.Typer()
commands.attach(app)

# Laid out as the feeds are; values made up.
AIR = """stationcode,area,positionname,latitude,longitude,timepoint,aqi,quality,primarypollutant,pm2_5,pm2_5_24h,pm10,pm10_24h,so2,so2_24h,no2,no2_24h,co,co_24h,o3,o3_24h,o3_8h,o3_8h_24h
1001A,北京市,甲站,39.8,116.3,2026-03-10T12:00:00,54,良,细颗粒物(PM2.5),38,134,-;,-;,3,22,17,42,0.7,2.2,84,62,37,37
1002A,北京市,乙站,40.2,116.1,2026-03-10T12:00:00,26,优,-;,0,98,7,7,3,13,8,28,0.2,1.4,112,83,86,85
1009A,北京市,丙站,40.2,116.1,2026-03-10T12:00:00,26,优,-;,5,98,7,7,3,13,8,28,0.2,1.4,112,83,86,85
"""
WATER = """省份,流域,断面名称,监测时间,水质类别,水温(℃),pH(无量纲),溶解氧(mg/L),电导率(μS/cm),浊度(NTU),高锰酸盐指数(mg/L),氨氮(mg/L),总磷(mg/L),总氮(mg/L),叶绿素α(mg/L),藻密度(cells/L)
北京市,海河流域,甲断面,03-10 12:00,Ⅲ,9.3,8.14,10.26,464.6,150.9,3.28,0.257,0.113,3.54,--,--
北京市,海河流域,乙断面,12-31 20:00,Ⅱ,19.3,7.18,8.13,--,--,3.02,--,0.100,3.95,0.004,120
"""


@pytest.fixture
def known(house):
    register.write(
        house.root / "register.json",
        [
            register.Device("1001A", "123456", systems=("22",), name="甲站"),
            register.Device("A110000_0002", "123456", systems=("22",), name="1002A"),
            register.Device("A110000_0101", "123456", systems=("21",), name="甲断面"),
            register.Device("A110000_0102", "123456", systems=("21",), name="乙断面"),
        ],
    )
    return Register(house.root / "register.json").find


def header(text):
    return text.splitlines()[0].split(",")


def test_layouts_are_known_by_their_columns():
    assert stations.layout(header(AIR)).name == "air-hours"
    assert stations.layout(header(WATER)).name == "water-rounds"
    assert stations.layout(["time", "pm2_5"]) is None


def test_air_hours(house, known):
    mapping = tables.guess(header(AIR))
    assert {c: p["code"] for c, p in mapping["factors"].items()} == {
        "pm2_5": "a34004", "pm10": "a34002", "so2": "a21026", "no2": "a21004", "co": "a21005",
        "o3_24h": "a05024",  # the feed has the ozone columns swapped
    }  # fmt: skip
    found = tables.read("air.csv", AIR.encode(), mapping, find=known)
    assert [(e.row, e.kind, e.value) for e in found.errors] == [(4, "device", "'1009A'")]
    tables.take(found, house.journal, "p", skip_errors=True)
    house.ingest().step()
    eleven = NOON - timedelta(hours=1)  # 12:00 names the hour from 11:00
    rows = {
        (r["mn"], r["factor"]): r["value"]
        for r in house.lake.scan("hour", eleven, NOON).to_pylist()
    }
    assert rows == {
        ("1001A", "a34004"): 38.0, ("1001A", "a21026"): 3.0, ("1001A", "a21004"): 17.0,
        ("1001A", "a21005"): 0.7, ("1001A", "a05024"): 62.0,
        ("A110000_0002", "a34004"): 0.0, ("A110000_0002", "a34002"): 7.0,
        ("A110000_0002", "a21026"): 3.0, ("A110000_0002", "a21004"): 8.0,
        ("A110000_0002", "a21005"): 0.2, ("A110000_0002", "a05024"): 83.0,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_water_rounds_have_no_year(house, known, encoding):
    mapping = tables.guess(header(WATER))
    assert len(mapping["factors"]) == 11
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    found = tables.read("w.csv", WATER.encode(encoding), mapping, find=known, now=now)
    assert found.errors == []
    assert [json.loads(raw)["time"] for raw in found.envelopes] == [
        "20260310120000", "20251231200000",
    ]  # fmt: skip
    tables.take(found, house.journal, "p")
    house.ingest().step()
    table = house.lake.series("A110000_0101", "21", None, "hour", NOON, NOON + timedelta(hours=1))
    assert dict(zip(table["factor"].to_pylist(), table["value"].to_pylist(), strict=True)) == {
        "w01001": 8.14, "w01003": 150.9, "w01009": 10.26, "w01010": 9.3, "w01014": 464.6,
        "w01019": 3.28, "w21001": 3.54, "w21003": 0.257, "w21011": 0.113,
    }  # fmt: skip
    fixed = mapping | {"time": mapping["time"] | {"year": 2024}}
    found = tables.read("w.csv", WATER.encode(), fixed, find=known, now=now)
    assert json.loads(found.envelopes[1])["time"] == "20241231200000"


def test_a_leap_day_without_a_year_is_found():
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert tables._time("02-29 08:00", "%m-%d %H:%M", None, now).year == 2024
    assert tables._time("02-30 08:00", "%m-%d %H:%M", None, now) is None


def test_the_command_takes_a_feed_with_the_mapping_that_it_proposed(house, known, tmp_path):
    feed, mapping = tmp_path / "air.csv", tmp_path / "map.json"
    feed.write_bytes("\n".join(AIR.splitlines()[:3]).encode("gb18030"))

    def run(*more):
        return CliRunner().invoke(app, ["import", str(feed), "--data", str(house.root), *more])

    mapping.write_text(run().output)
    said = json.loads(run("--mapping", str(mapping), "--yes").output)
    assert (said["rows"], said["taken"], said["errors"]) == (2, 2, [])


@pytest.mark.parametrize(("st", "code"), [("21", "w01010"), ("22", "a34004")])
def test_stations_speak_hj212_too(house, frame, st, code):
    mn = "A110000_0001"
    house.devices(mn)
    house.put([frame(NOON, {code: "9.3"}, mn=mn, st=st, flag=8)])  # as they have sent since 2020
    house.ingest().step()
    table = house.lake.series(mn, st, [code], "hour", NOON, NOON + timedelta(hours=1))
    assert table["value"].to_pylist() == [9.3]
