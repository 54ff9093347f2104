"""Pages of analysis: real telegrams in the lake, what is counted, left out and shown."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

import world as worlds
from jingwei import hj212
from jingwei.bureau.air import analysis, readings, taylor, trajectories, trend, wind, yearly
from jingwei.bureau.air.models import Forecast, State, StationForecast
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.registry.models import Point
from jingwei.standards import air_year
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

FIRST = date(2026, 9, 7)  # a Monday
START = datetime(2026, 9, 6, 16, tzinfo=UTC)  # its midnight in Beijing
NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)


@pytest.fixture
def world(db) -> worlds.World:
    world = worlds.build()
    world.station.factors = ["a34004", "a05024", "a01007", "a01008"]
    world.station.save()
    return world


def send(
    data, point: Point, rows: list[list[tuple[str, str, str]]], start: datetime = START
) -> None:
    """One telegram an hour from `start`: (factor, value, mark); an empty row is an hour without."""
    telegrams = []
    for h, items in enumerate(rows):
        if not items:
            continue
        time = start + timedelta(hours=h)
        fields = [(f, {"Avg": v, "Flag": mark}) for f, v, mark in items]
        segment = hj212.segment(
            cn="2061", st=point.st, mn=point.mn, pw=point.password, qn=hj212.qn(time), flag=5,
            cp=hj212.data_cp(time, fields),
        )  # fmt: skip
        came = time + timedelta(hours=1, minutes=2)
        telegrams.append(Telegram(came, "192.0.2.7:4000", hj212.frame(segment)))
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


def week(value=lambda h: 40 + h % 24) -> list[list[tuple[str, str, str]]]:
    return [
        [("a34004", f"{value(h)}", "N"), ("a05024", f"{30 + h % 24}", "N")] for h in range(7 * 24)
    ]


def test_what_came_what_is_left_out_and_what_is_missing(world, data) -> None:
    rows = week()
    rows[3] = []  # nothing came
    rows[5] = [("a34004", "500", "M"), ("a05024", "31", "N")]  # maintenance
    rows[6] = [("a34004", "-7", "N"), ("a05024", "31", "N")]
    send(data, world.station, rows)
    h = readings.hours(world.station, ["a34004", "a05024"], FIRST, FIRST + timedelta(6), NOW)
    pm, ozone = h.factors["a34004"], h.factors["a05024"]
    assert (pm.good, pm.left, pm.missing, pm.due) == (165, 2, 1, 168)
    assert (ozone.good, ozone.left, ozone.missing) == (167, 0, 1)
    assert pm.share == 98.2
    assert np.isnan(pm.value[[3, 5, 6]]).all()
    assert pm.value[7] == 47
    assert h.local[0] == np.datetime64("2026-09-07T00")
    # Hours that are not over yet are neither due nor missing.
    early = readings.hours(world.station, ["a34004"], FIRST, FIRST, START + timedelta(hours=10))
    assert early.factors["a34004"].missing == 1


def test_means_by_the_rules_of_hj_663(world, data) -> None:
    rows = week()
    for n in range(5):
        rows[24 + n] = []  # 19 hours are left of the second day
    send(data, world.station, rows)
    h = readings.hours(world.station, ["a34004", "a05024"], FIRST, FIRST + timedelta(6), NOW)
    pm, ozone = h.factors["a34004"], h.factors["a05024"]
    day = analysis.averaged(h, pm, "day")
    assert day.means[:3] == [51.5, None, 51.5]
    assert day.counts[:2] == [24, 19]
    # The largest 8-hour mean ends at midnight: 30 + (16 … 23).
    assert analysis.averaged(h, ozone, "day8").means[0] == 49.5
    assert analysis.averaged(h, ozone, "day").means[0] == 41.5
    one = analysis.averaged(h, pm, "week")
    assert (len(one.means), one.counts) == (1, [163])
    assert one.means[0] == pytest.approx(np.nanmean(pm.value), rel=1e-3)
    assert analysis.averaged(h, pm, "month").means == [None]  # a week is no month


def test_courses_and_calendar(world, data) -> None:
    send(data, world.station, week())
    h = readings.hours(world.station, ["a34004"], FIRST, FIRST + timedelta(6), NOW)
    clock, weekday = analysis.cycles(h)
    assert [c[0][1] for _n, c in clock.rows()][:3] == [40, 41, 42]
    assert [c[0][0] for _n, c in weekday.rows()] == [24] * 7
    assert weekday.rows()[0][0] in ("周一", "Mon")
    one = analysis.calendar(h, h.factors["a34004"])
    # 51.5 µg/m³ rounds to 52: level 2 of HJ 633-2026.
    assert [(r["value"], r["level"], r["count"]) for r in one["rows"]] == [(51.5, 2, 24)] * 7


def test_of_an_outlet_what_stands_as_judged_counts(world, data) -> None:
    rows = [[("a21002", f"{30 + hour}", "N")] for hour in range(24)]
    send(data, world.point, rows)
    Judgement.objects.create(
        point=world.point, period="hour", time=START, stands=True, judged=NOW,
        factors={"a21002": {"value": 30, "fault": 2}},
    )  # fmt: skip
    Judgement.objects.create(
        point=world.point, period="hour", time=START + timedelta(hours=2), stands=True, judged=NOW,
        factors={"a21002": {"value": 33}},
    )  # fmt: skip
    nox = readings.hours(world.point, ["a21002"], FIRST, FIRST, NOW).factors["a21002"]
    assert np.isnan(nox.value[0])
    assert nox.value[1:4].tolist() == [31, 33, 33]
    assert (nox.left, nox.missing) == (1, 0)


def ask(client: Client, **want) -> str:
    answer = client.get(reverse("air:analysis"), want)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_and_its_tables(world, data, client: Client) -> None:
    send(data, world.station, week())
    client.force_login(world.users["auditor"])
    want = {
        "point": world.station.pk,
        "factor": ["a34004", "a05024"],
        "start": "2026-09-07",
        "end": "2026-09-13",
        "average": "day8",
    }
    page = ask(client, **want)
    assert "日最大8小时平均" in page
    assert page.count("data-calendar") == 2
    assert page.count("data-cycle") == 2
    answer = client.get(reverse("air:analysis_csv"), want)
    table = list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert table[1] == ["2026-09-07 00:00", "51.5", "24", "49.5", "24"]
    assert len(table) == 8
    answer = client.get(reverse("air:analysis_csv"), want | {"table": "weekday"})
    table = list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert table[1][:3] == ["周一", "24", "51.5"]
    assert len(table) == 8


def test_nothing_typed_is_lost(world, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    page = ask(client, point=world.station.pk, start="2026-09-13", end="2026-09-07", hours="24")
    assert "截止日期早于起始日期" in page or "结束" in page
    assert 'value="2026-09-13"' in page
    assert 'name="hours" value="24"' in page  # what another page asks goes on
    assert "最多 366 天" in ask(client, start="2024-01-01", end="2026-01-01")
    assert "没有有效小时值" in ask(client, start="2026-01-01", end="2026-01-03")
    answer = client.get(reverse("air:analysis_csv"), {"start": "yesterday"})
    assert answer.status_code == 400


def test_outlets_are_seen_by_their_jurisdiction_alone(world, client: Client) -> None:
    """An outlet's page of analysis opens for those who see the outlet, stations for all officers."""
    want = {"point": world.point.pk, "factor": "a21002"}
    for user, seen in (("district", True), ("district_elsewhere", False), ("dispatcher", True)):
        client.force_login(world.users[user])
        assert (world.point.name in ask(client, **want)) is seen, user
        assert world.station.name in ask(client)
    for user in ("enterprise", "grid", "department"):
        client.force_login(world.users[user])
        assert client.get(reverse("air:analysis")).status_code == 403


# Wind ----------------------------------------------------------------------------------------


def blown(h: int) -> list[tuple[str, str, str]]:
    """North-east wind carries much, others little; every tenth hour is calm, each with its vane."""
    speed = 0.3 if h % 10 == 0 else 1 + (h * 7 % 11) / 2
    direction = (h * 37) % 360 // 10 * 10 + 3
    value = 80 if 20 <= direction <= 70 else 20
    return [
        ("a34004", f"{value + h % 3}", "N"),
        ("a01007", f"{speed:.1f}", "N"),
        ("a01008", f"{direction}", "N"),
    ]


def test_roses_and_polar_plot_point_at_the_source(world, data, client: Client) -> None:
    rows = [blown(h) for h in range(14 * 24)]
    rows[1] = rows[1][:1]  # a value without wind
    send(data, world.station, rows)
    h = readings.hours(
        world.station, ["a34004", "a01007", "a01008"], FIRST, FIRST + timedelta(13), NOW
    )
    w = wind.winds(h.factors["a34004"], h)
    assert (w.both, w.known, w.bad) == (335, 335, 0)
    blow, pollution = wind.roses(w)
    assert (blow["total"], blow["calm"], blow["missing"]) == (335, 34, 0)
    assert (pollution["total"], pollution["missing"]) == (335, 1)
    shares = sum(sum(c["share"]) for c in blow["classes"])
    assert shares + 100 * blow["calm"] / blow["total"] == pytest.approx(100, abs=0.2)
    table = wind.table(w, 0.75)
    assert max(table["rows"], key=lambda r: r["mean"])["name"] in ("NE", "东北")
    mean, cpf = wind.polars(w, table["level"])
    east, north = max(mean["cells"], key=lambda c: c[2])[:2]
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(45, abs=30)
    assert all(0 <= c[3] <= c[2] <= c[4] <= 1 for c in cpf["cells"])

    client.force_login(world.users["leader"])
    want = {"point": world.station.pk, "factor": "a34004", "start": "2026-09-07", "end": "2026-09-20"}  # fmt: skip
    page = client.get(reverse("air:wind"), want).content.decode()
    assert "静风（低于 0.5 m/s）：10.1%，共 335 小时中的 34 小时" in page
    assert "另有 1 个小时有浓度而无风数据" in page
    answer = client.get(reverse("air:wind_csv"), want | {"table": "mean"})
    table = list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert len(table) == 1 + len(mean["cells"])
    answer = client.get(reverse("air:wind_csv"), want)
    assert len(answer.getvalue().decode().splitlines()) == 17


def test_the_wind_of_an_outlet_is_that_of_the_nearest_station(world, data, client) -> None:
    send(data, world.station, [blown(h)[1:] for h in range(48)])
    send(data, world.point, [[("a21002", f"{20 + h % 9}", "N")] for h in range(48)])
    client.force_login(world.users["dispatcher"])
    want = {"point": world.point.pk, "factor": "a21002", "start": "2026-09-07", "end": "2026-09-08"}  # fmt: skip
    page = client.get(reverse("air:wind"), want).content.decode()
    assert f"风取自 {world.station.name}，相距 9.9 km" in page
    world.station.factors = ["a34004"]
    world.station.save()
    page = client.get(reverse("air:wind"), want).content.decode()
    assert "没有空气站上传风数据" in page


def test_without_wind_the_page_says_so(world, data, client: Client) -> None:
    send(data, world.station, week())
    client.force_login(world.users["dispatcher"])
    want = {"factor": "a34004", "start": "2026-09-07", "end": "2026-09-13"}
    assert "所选时段内没有风数据" in client.get(reverse("air:wind"), want).content.decode()


# Trend ---------------------------------------------------------------------------------------


def test_trend_of_days_and_its_refusals(world, data, client: Client) -> None:
    rows = week(lambda h: 40 + h // 24)  # 1 µg/m³ more each day
    rows[24 * 3] = [("a34004", "-5", "N")]
    rows[24 * 4 : 24 * 5] = [[]] * 24
    send(data, world.station, rows)
    d = readings.daily(world.station, "a34004", FIRST, FIRST + timedelta(6), NOW)
    assert d.factor.value.tolist()[:4] == [40, 41, 42, 43]
    assert (d.left, d.missing, d.rolled) == (0, 1, False)
    t = trend.trend(d, "day", season=True)
    assert t.found.slope == pytest.approx(365.25)
    assert t.known == 6
    assert not t.season
    client.force_login(world.users["dispatcher"])
    want = {"point": world.station.pk, "factor": "a34004", "start": "2026-09-07", "end": "2026-09-13"}  # fmt: skip
    page = client.get(reverse("air:trend"), want).content.decode()
    assert "365.2 <small>" in page
    assert "不足一年" in page
    page = client.get(reverse("air:trend"), want | {"weather": "out"}).content.decode()
    assert "不足 90 天" in page
    page = client.get(reverse("air:trend"), want | {"end": "2026-09-09"}).content.decode()
    assert "至少须 6 个" in page
    long = want | {"start": "2024-01-01", "weather": "out"}
    assert "最多 366 天" in client.get(reverse("air:trend"), long).content.decode()
    answer = client.get(reverse("air:trend_csv"), want)
    assert answer.getvalue().decode("utf-8-sig").splitlines()[1] == "2026-09-07 00:00,40.0,40.0"


def test_years_are_read_from_daily_sums(world, data) -> None:
    """More than a year: the same days, a marked or negative hour takes its day out."""
    rows = week()
    rows[30] = [("a34004", "900", "C")]
    rows[24 * 3] = [("a34004", "-5", "N")]
    send(data, world.station, rows)
    last = FIRST + timedelta(400)
    d = readings.daily(world.station, "a34004", FIRST, last, datetime(2028, 1, 1, tzinfo=UTC))
    assert d.rolled
    assert d.factor.value[[0, 2]].tolist() == [51.5, 51.5]
    assert np.isnan(d.factor.value[[1, 3]]).all()
    assert (d.left, d.missing) == (2, 394)


def test_season_goes_out_of_two_years(world) -> None:
    """Without the lake: 36 months with a course of the year and a fall of 3 a year."""
    first, last = date(2023, 1, 1), date(2025, 12, 31)
    day = np.arange((last - first).days + 1)
    value = 60 - 3 * day / 365.25 + 20 * np.cos(2 * np.pi * day / 365.25)
    factor = readings.Factor("a34004", "PM2.5", "µg/m³", value, 0, 0)
    d = readings.Days(world.station, factor, first, last, 0, 0, True)
    t = trend.trend(d, "month", season=True)
    assert t.season
    assert (len(t.times), t.known) == (36, 36)
    assert t.found.slope == pytest.approx(-3, abs=0.15)
    assert trend.trend(d, "month", season=False).found.low < -10


# Year ----------------------------------------------------------------------------------------


def test_a_year_of_stations_and_city(world, data, client: Client) -> None:
    other = Point.objects.create(
        mn=worlds.MN[:-1] + "3", st="22", name="示例站", kind="air_station", region=world.elsewhere,
        longitude=116.3, latitude=39.95, station_code="T3", password="123456",
    )  # fmt: skip
    rows = week()
    rows[30] = [("a34004", "900", "M"), ("a05024", "31", "N")]
    send(data, world.station, rows)
    send(data, other, week(lambda h: 60 + h % 24)[: 24 * 2])
    tables = readings.year([world.station, other], 2026, NOW)
    mine = tables[world.station.pk]
    assert mine["pm25"].shape == (365, 24)
    start = (FIRST - date(2026, 1, 1)).days
    assert mine["pm25"][start].tolist() == [40 + h for h in range(24)]
    assert np.isfinite(mine["pm25"]).sum() == 167  # the marked hour is left out
    found = yearly.evaluate([world.station, other], 2026, NOW)
    assert not found.judged
    city = {r.item: r for r in found.city}
    # Two stations of two: only the days on which both are there count.
    assert (city["pm25"].days, city["pm25"].valid, city["pm25"].reached) == (2, False, None)
    # (51.5 + 71.5) / 2 on the first day; the second lacks one hour of 46.
    assert city["pm25"].mean == pytest.approx(62, abs=0.5)
    stations = {p.pk: items for p, items in found.stations}
    assert stations[world.station.pk]["pm25"].days == 7
    assert stations[world.station.pk]["o3_8h"].percentile == 50  # 49.5, half to even

    client.force_login(world.users["leader"])
    page = client.get(reverse("air:year"), {"year": "2026"}).content.decode()
    assert "HJ 663-2026" in page
    assert "示例站" in page
    answer = client.get(reverse("air:year_csv"), {"year": "2026"})
    table = list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert table[1][:5] == ["全市", "PM2.5", "µg/m³", "2", "否"]
    assert (
        "该年没有有效小时值" in client.get(reverse("air:year"), {"year": "2019"}).content.decode()
    )


def test_a_year_of_the_old_standard_gets_its_verdict(world, data, client: Client) -> None:
    """The same figures as `jingwei air-year` gives of the same hours."""
    start = datetime(2024, 12, 31, 16, tzinfo=UTC)
    send(data, world.station, week(), start)
    now = datetime(2026, 1, 5, tzinfo=UTC)
    found = yearly.evaluate([world.station], 2025, now)
    assert found.judged
    tables = {str(k): v for k, v in readings.year([world.station], 2025, now).items()}
    told = {(p, e.item): e for p, e in air_year.evaluate(tables, 2025)}
    for row in found.city:
        e = told[air_year.CITY, row.item]
        assert (row.days, row.mean, row.percentile, row.over) == (7, e.mean, e.percentile, e.over)
        assert row.reached is None  # seven days are no year
    client.force_login(world.users["auditor"])
    page = client.get(reverse("air:year"), {"year": "2025"}).content.decode()
    assert "单项指数" in page
    assert "HJ 663-2026" not in page


# Trajectories and Taylor diagrams -----------------------------------------------------------------


def turning(hours: int) -> list[list[tuple[str, str, str]]]:
    """Twelve hours of north-west wind with clean air, twelve of south wind with dirty air, and so on."""
    rows = []
    for h in range(hours):
        clean = h // 12 % 2 == 0
        rows.append([
            ("a34004", f"{20 if clean else 120}", "N"),
            ("a01007", "4", "N"),
            ("a01008", "315" if clean else "180", "N"),
        ])  # fmt: skip
    return rows


def ways_of(world, **more):
    want = {"back": 6, "every": 1, "method": "angle", "clusters": 2, "quantile": 0.75, "size": 5}
    want |= more
    h = readings.hours(world.station, ["a34004"], FIRST, FIRST + timedelta(6), NOW)
    return trajectories.find(h, h.factors["a34004"], want, NOW), want


def test_dirty_air_comes_from_the_south(world, data) -> None:
    send(data, world.station, turning(7 * 24))
    found, want = ways_of(world)
    assert found is not None
    # The first six hours have no wind before them.
    assert (len(found.ways.arrival), found.ways.lost, found.stations) == (162, 6, 1)
    assert found.times[0] == START + timedelta(hours=6)
    one, two = trajectories.rows(found)
    assert one.ways + two.ways == 162
    north, south = sorted((one, two), key=lambda r: r.mean)
    assert north.bearing in ("NW", "西北", "NNW", "北西北", "WNW", "西西北")
    assert 150 < south.degrees < 210
    assert south.mean > 2 * north.mean
    assert south.low < south.mean < south.high
    assert south.over > 60 > north.over
    # PSCF is high where the dirty air had been, low where the clean one had.
    cells = trajectories.cells(found)
    assert sum(c["passes"] for c in cells) == 162 * 25
    place = world.station
    below = [c for c in cells if c["north"] < place.latitude - 0.2 and c["passes"] > 50]
    above = [c for c in cells if c["south"] > place.latitude + 0.2 and c["passes"] > 50]
    assert min(c["pscf"] for c in below) > max(c["pscf"] for c in above)
    assert all(c["cwt"] > 20 for c in below)
    said = " ".join(trajectories.said(found, want))
    assert "6" in said
    wide = trajectories.picture(found, found_factor(found), "pscf")
    assert len(wide["ways"]) == 162
    assert len(wide["ways"][0][1]) == 7  # places an hour apart
    assert wide["ways"][0][1][0] == [round(place.longitude, 3), round(place.latitude, 3)]


def found_factor(found):
    return readings.Factor("a34004", "PM2.5", "µg/m³", found.value, 0, 0)


def test_the_page_of_trajectories_and_its_tables(world, data, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    address = reverse("air:ways")
    want = {"point": world.station.pk, "start": "2026-09-07", "end": "2026-09-13", "every": 1, "back": 6, "clusters": 2}  # fmt: skip
    assert "没有空气站上报风速" in client.get(address, want).content.decode()
    send(data, world.station, turning(7 * 24))
    page = client.get(address, want | {"map": "cwt"})
    assert page.status_code == 200
    assert page.context["shown"] == "cwt"
    assert page.context["rows"][0].ways > 0
    text = page.content.decode()
    assert "不能看作地点" in text  # said where it is read
    assert client.get(address, want | {"map": "<x>"}).context["shown"] == "clusters"
    table = reverse("air:ways_csv")
    rows = cells_of(client.get(table, want))
    assert len(rows) == 3
    assert sum(int(r[1]) for r in rows[1:]) == 162
    ways = cells_of(client.get(table, want | {"table": "ways"}))
    assert len(ways) == 1 + 162 * 7
    cells = cells_of(client.get(table, want | {"table": "cells"}))
    assert sum(float(r[4]) for r in cells[1:]) == pytest.approx(162 * 25 / 4)
    # Too many ways and odd values are refused with a word, in the page and in the table.
    long = want | {"end": "2026-11-19"}
    assert "最多 800" in client.get(address, long).content.decode()
    assert client.get(table, long).status_code == 400
    assert client.get(table, want | {"back": "7"}).status_code == 400
    short = want | {"end": "2026-09-07", "back": 24}
    assert "风的数据不足" in client.get(address, short).content.decode()
    assert len(cells_of(client.get(table, short))) == 1


def cells_of(answer) -> list[list[str]]:
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def forecast_of(world, start: datetime, miss: float = 0.0) -> Forecast:
    """A run whose median is the truth of `week()` plus `miss` at odd hours, minus it at even ones."""
    made = Forecast.objects.create(start=start, state=State.DONE, finished=start + timedelta(hours=1), about={})  # fmt: skip
    first = round((start - START) / timedelta(hours=1)) + 1
    true = [40.0 + (first + k) % 24 for k in range(48)]
    q = [[v + (miss if k % 2 else -miss)] * 7 for k, v in enumerate(true)]
    series = {"PM2.5": {"q": q, "damped": [v + 3 for v in true], "last": 50.0}}
    StationForecast.objects.create(forecast=made, station=world.station, result={"series": series})
    return made


def test_a_taylor_diagram_of_the_forecast(world, data, client: Client) -> None:
    send(data, world.station, week())
    for day in range(4):
        forecast_of(world, START + timedelta(days=day, hours=5), miss=2.0)
    p = taylor.pairs(world.station, "PM2.5", FIRST, FIRST + timedelta(6), NOW)
    assert (p.runs, p.late, len(p.true)) == (4, 0, 4 * 48)
    np.testing.assert_allclose(p.told["damped"], p.true + 3)
    np.testing.assert_allclose(np.abs(p.told["forecast"] - p.true), 2)
    rows = taylor.by_lead(p)
    named = {(r.name, r.kind): r for r in rows}
    own, damped = named["25–48 h", "forecast"], named["25–48 h", "damped"]
    assert own.pairs == damped.pairs == 96
    # Whole days: 40 … 63, deviation of 0 … 23; damped persistence is right but for a bias of 3.
    assert damped.found.measured == pytest.approx(np.std(np.arange(24)))
    assert damped.found.correlation == pytest.approx(1)
    assert (damped.found.centred_rms, damped.found.bias) == pytest.approx((0, 3), abs=1e-9)
    assert damped.rmse == pytest.approx(3)
    assert own.found.centred_rms == pytest.approx(2)
    assert own.ratio == pytest.approx(own.found.model / own.found.measured)
    # Persistence does not move within a run, but does not differ between the runs either.
    assert named["25–48 h", "kept"].found is None
    marks = taylor.picture(rows, "x")["marks"]
    assert {m["kind"] for m in marks} == {"forecast", "damped"}
    client.force_login(world.users["dispatcher"])
    want = {"point": world.station.pk, "factor": "a34004", "start": "2026-09-07", "end": "2026-09-13"}  # fmt: skip
    page = client.get(reverse("air:taylor"), want)
    assert page.context["pictures"]["marks"] == marks
    assert "4 次" in page.content.decode()
    table = cells_of(client.get(reverse("air:taylor_csv"), want))
    assert len(table) == 1 + 12
    one = client.get(reverse("air:taylor"), want | {"compare": "station", "ahead": "7-12"})
    assert [(r.name, r.kind, r.pairs) for r in one.context["rows"]] == [
        (world.station.name, "forecast", 24), (world.station.name, "damped", 24),
    ]  # fmt: skip
    assert "该因子不作预报" in client.get(reverse("air:taylor"), want | {"factor": "a01007"}).content.decode()  # fmt: skip
    empty = want | {"start": "2026-10-01", "end": "2026-10-02"}
    assert "该时段没有预报" in client.get(reverse("air:taylor"), empty).content.decode()
    assert client.get(reverse("air:taylor_csv"), want | {"ahead": "3"}).status_code == 400


def test_a_taylor_diagram_of_two_stations(world, data, client: Client) -> None:
    other = Point.objects.get(pk=world.station.pk)
    other.pk, other.mn, other.name = None, "JW0000000000TAYLOR000002", "另一站"
    other.save()
    rows = week()
    rows[40] = []
    send(data, world.station, rows)
    send(data, other, week(lambda h: 80 + 2 * (h % 24)))
    client.force_login(world.users["dispatcher"])
    want = {"point": world.station.pk, "factor": "a34004", "start": "2026-09-07", "end": "2026-09-13", "compare": "stations"}  # fmt: skip
    (row,) = client.get(reverse("air:taylor"), want).context["rows"]
    assert (row.name, row.kind, row.pairs) == ("另一站", "station", 167)
    assert row.ratio == pytest.approx(2)
    assert row.found.correlation == pytest.approx(1)
    assert row.found.centred_rms == pytest.approx(row.found.measured)
