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
from jingwei.bureau.air import analysis, readings
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.registry.models import Point
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
