"""Graded warnings: proposed from the days, decided by a person, kept with evidence."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

import world as worlds
from jingwei.analysis.air.forecast import daily
from jingwei.analysis.air.forecast.history import History
from jingwei.bureau.air import episodes, forecasting
from jingwei.bureau.air import forecast_selectors as selectors
from jingwei.bureau.air.models import Episode, Forecast, State, StationForecast
from jingwei.bureau.evidencelog.models import EvidenceEntry


def days(*values: int | None, ahead: int = 2) -> list[dict]:
    return [
        {"day": f"2026-11-{10 + k}", "aqi": v, "primary": ["pm25"],
         "ahead": 24 if k >= len(values) - ahead else 0}
        for k, v in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def world(db) -> worlds.World:
    return worlds.build()


def test_no_grade_no_proposal(world) -> None:
    assert episodes.propose(days(100, 120, 151, 90)) is None
    assert not Episode.objects.exists()


def test_a_proposal_says_grade_days_and_is_in_the_log(world) -> None:
    row = episodes.propose(days(100, 120, 160, 170))
    assert row is not None
    assert (row.level, row.first, row.last) == (1, date(2026, 11, 12), date(2026, 11, 13))
    assert row.state == Episode.State.PROPOSED
    assert EvidenceEntry.objects.get(pk=row.evidence_id).subject == f"episode:{row.pk}"


def test_days_that_are_over_warn_of_nothing(world) -> None:
    assert episodes.propose(days(160, 170, 90, 80), ahead=2) is None


def test_a_day_that_is_missing_ends_a_row_of_days(world) -> None:
    gap = [d for d in days(100, 160, 100, 160) if d["day"] != "2026-11-12"]
    assert episodes.propose(gap) is None
    row = episodes.propose([days(160)[0], *days(0, 0, 160, 170)[2:]], ahead=2)
    assert row is not None
    assert (row.level, row.first, row.last) == (1, date(2026, 11, 12), date(2026, 11, 13))
    assert episodes.propose([]) is None


def test_a_worse_forecast_brings_an_open_proposal_up_to_date_a_milder_one_does_not(world) -> None:
    row = episodes.propose(days(100, 120, 160, 170))
    assert episodes.propose(days(100, 120, 160, 165)) is None
    worse = episodes.propose(days(160, 170, 210, 220))
    assert worse == row
    assert worse.level == 2
    assert EvidenceEntry.objects.filter(subject=f"episode:{row.pk}").count() == 2


def test_declared_then_raised_then_lifted(world) -> None:
    user = world.users["dispatcher"]
    row = episodes.propose(days(100, 120, 160, 170))
    episodes.decide(user, row, declare=True, level=1, note="")
    assert episodes.propose(days(100, 120, 160, 170)) is None
    more = episodes.propose(days(120, 160, 210, 220))
    assert more.previous == row
    episodes.decide(user, more, declare=True, level=2, note="")
    row.refresh_from_db()
    assert row.state == Episode.State.ENDED
    episodes.end(user, more, "冷空气到来")
    more.refresh_from_db()
    assert (more.state, more.end_note) == (Episode.State.ENDED, "冷空气到来")
    assert EvidenceEntry.objects.filter(kind="episode").count() == 6


def test_the_index_of_a_day_mixes_what_was_measured_and_what_is_expected() -> None:
    hours = 9 * 24
    start = datetime(2026, 11, 19, 15, tzinfo=UTC)  # 23:00 local: the day is over
    first = forecasting.local(start) - np.timedelta64(hours - 1, "h")
    values = np.full((hours, 2), 60.0)
    values[-24:, 0], values[-24:, 1] = 100.0, 130.0
    values[-36:-30] = np.nan  # six hours of the day before
    known = History(first + np.arange(hours), ("a", "b"), {"PM2.5": values}, {})
    coming = np.broadcast_to(np.repeat([250.0, 350.0], 24)[:, None], (2, 48, 1))
    found = forecasting.days(daily.days(known.times, known.values, {"PM2.5": coming}, 3))
    assert [(d["day"], d["aqi"], d["ahead"]) for d in found] == [
        ("2026-11-16", 100, 0),
        ("2026-11-17", 100, 0),
        # the 18th has 18 hours only
        ("2026-11-19", 150, 0),
        ("2026-11-20", 300, 24),
        ("2026-11-21", 400, 24),
    ]
    assert found[-1]["primary"] == ["pm25"]


def test_a_person_decides_on_the_page_and_what_was_typed_stays(world, client: Client) -> None:
    row = episodes.propose(days(100, 120, 160, 170))
    address, act = row.get_absolute_url(), reverse("air:act", args=[row.pk])
    client.force_login(world.users["leader"])
    assert "发布预警" not in client.get(address).content.decode()
    assert client.post(act, {"act": "declare"}).status_code == 403
    client.force_login(world.users["dispatcher"])
    assert "发布预警" in client.get(address).content.decode()
    answer = client.post(act, {"act": "dismiss", "level": "1", "note": ""})
    assert answer.status_code == 422
    assert "请说明理由" in answer.content.decode()
    answer = client.post(act, {"act": "declare", "level": "3", "note": ""})
    assert answer.status_code == 422
    assert (
        client.post(act, {"act": "declare", "level": "2", "note": "本地预案更严"}).status_code
        == 302
    )
    row.refresh_from_db()
    assert (row.state, row.level, row.actor) == (
        Episode.State.DECLARED,
        2,
        world.users["dispatcher"],
    )
    page = client.get(address).content.decode()
    assert "本地预案更严" in page
    assert "解除预警" in page
    assert client.post(act, {"act": "declare", "level": "2", "note": "x"}).status_code == 422
    assert client.post(act, {"act": "end", "note": "转好"}).status_code == 302
    listing = client.get(reverse("air:episodes")).content.decode()
    assert "已解除" in listing
    assert "环大气〔2024〕6号" in listing


def test_a_proposal_shows_where_and_when_the_hours_are_worst(world, client: Client) -> None:
    start = datetime(2026, 11, 11, 11, tzinfo=UTC)
    run = Forecast.objects.create(
        start=start, state=State.DONE,
        about={"reach": 0, "silent": [], "dropped": {}, "pollutants": [], "days": [],
               "grades": [0.8, 0.31, 0.02]},
    )  # fmt: skip
    chance = [[0.5, 0.3, 0.1, 0.1, 0.0, 0.0]] * 48
    chance[20] = [0.0, 0.1, 0.1, 0.5, 0.3, 0.0]
    median = [[90] * 7] * 48
    median[19:22] = [[160] * 7] * 3
    part = StationForecast.objects.create(
        forecast=run, station=world.station, result={"chance": chance, "aqi": median, "series": {}}
    )
    found = selectors.peaks([part], run)
    assert [(p.above, round(p.chance), p.stations) for p in found] == [(150, 80, 1), (200, 30, 0)]
    assert found[0].when == datetime(2026, 11, 12, 8, tzinfo=UTC)
    row = episodes.propose(days(100, 120, 160, 170), run)
    client.force_login(world.users["dispatcher"])
    page = client.get(row.get_absolute_url()).content.decode()
    assert "&gt; 200" in page
    assert "30 %" in page
    assert "11-12 16:00" in page
    assert "31 %" in page  # orange or higher
    assert "&gt; 300" not in page
    assert world.station.name in page
    # A district that does not see the station is not told of it.
    client.force_login(world.users["district_elsewhere"])
    page = client.get(row.get_absolute_url()).content.decode()
    assert world.station.name not in page
    # An episode of measured days has no hours to come.
    row.forecast = None
    row.save()
    client.force_login(world.users["dispatcher"])
    assert "&gt; 150" not in client.get(row.get_absolute_url()).content.decode()
