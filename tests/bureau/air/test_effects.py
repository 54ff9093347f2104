"""What a response changed: air in the same weather, monitored emissions, the page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import world as worlds
from jingwei.bureau.air import effects, forecasting
from jingwei.bureau.air import hotgrid_selectors as selectors
from jingwei.bureau.air import hotgrid_services as services
from jingwei.bureau.air.models import Episode, EpisodeEffect, State
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring.models import EmissionDay
from jingwei.bureau.registry.models import Point

FIRST, LAST = date(2026, 6, 10), date(2026, 6, 13)
BEGIN = datetime(2026, 2, 1)  # of the archive, standard time of China
HOURS = 170 * 24


@pytest.fixture
def world(db: None) -> worlds.World:
    return worlds.build()


def archive(station: Point, cut: float, hours: int = HOURS) -> None:
    """Concentrations that emissions and wind give; a share `cut` less of NO2 during the response."""
    random = np.random.default_rng(5)
    wind = np.empty(hours)
    wind[0] = 3.0
    for h in range(1, hours):
        wind[h] = 3 + 0.95 * (wind[h - 1] - 3) + 0.35 * random.standard_normal()
    wind = np.clip(wind, 0.7, None)
    hour = np.arange(hours)
    emission = 60 * (1 + 0.4 * np.sin(2 * np.pi * hour / 24))
    no2, pm = (emission / wind * np.exp(0.12 * random.standard_normal(hours)) for _ in range(2))
    start = (FIRST - BEGIN.date()).days * 24
    end = ((LAST - BEGIN.date()).days + 1) * 24
    no2[start:end] *= 1 - cut
    times = np.datetime64(BEGIN, "s") + hour.astype("timedelta64[h]")
    table = {
        "time": times, "station": np.repeat(station.station_code or station.mn, hours),
        "NO2": no2, "PM2.5": pm, "WSPM": wind, "TEMP": 15 + 5 * np.sin(2 * np.pi * hour / 24),
        "PRES": np.full(hours, 1012.0), "wd": np.array(["N", "E", "S", "W"])[hour // 9 % 4],
    }  # fmt: skip
    forecasting.folder().mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.table(table), forecasting.archive())


def episode(**more: object) -> Episode:
    about = {"level": 2, "first": FIRST, "last": LAST, "state": Episode.State.ENDED}
    ended = datetime(2026, 6, 14, 2, tzinfo=UTC)
    return Episode.objects.create(**about | {"ended": ended} | more)


def login(world: worlds.World, name: str) -> Client:
    client = Client()
    client.force_login(world.users[name])
    return client


def test_what_was_cut_is_found_and_what_was_not_is_not(world: worlds.World, data: Path) -> None:
    archive(world.station, 0.35)
    row = services.effect_now(episode())
    assert row.state == State.DONE, row.reason
    no2, pm = (row.result["pollutants"][k] for k in ("NO2", "PM2.5"))
    assert no2["sure"]
    assert no2["change"] == pytest.approx(-0.35, abs=0.1)
    assert no2["low"] < no2["change"] < no2["high"] < 0
    assert not pm["sure"]
    assert row.result["first"] == "2026-06-10"
    hours = [r for r in no2["series"] if r[2] is not None]
    assert len(hours) == 96
    assert len(no2["series"]) == (4 + 2 * effects.SHOWN) * 24
    lines = selectors.changes(row)
    said = selectors.effect_verdict(lines)
    assert "NO2 -3" in said
    assert "PM2.5" not in said
    entry = EvidenceEntry.objects.get(pk=row.evidence_id)
    assert (entry.kind, entry.subject) == ("episode.effect", f"episode:{row.episode_id}")
    page = login(world, "leader").get(reverse("air:effect", args=[row.episode_id]))
    assert page.status_code == 200
    assert said in page.content.decode()


def test_too_short_an_archive_is_said(world: worlds.World, data: Path) -> None:
    archive(world.station, 0.3, hours=150 * 24)
    late = episode(
        first=date(2026, 2, 20), last=date(2026, 6, 20)
    )  # hardly a day is left to learn from
    row = services.effect_now(late)
    assert (row.state, row.reason) == (State.REFUSED, "few")
    page = login(world, "dispatcher").get(reverse("air:effect", args=[late.pk])).content.decode()
    assert "90 天" in page
    assert services.ask_effect(late).state == State.WAITING  # asked again, it is tried again


def test_nothing_measured_is_said(world: worlds.World, data: Path) -> None:
    row = services.effect_now(episode())
    assert (row.state, row.reason) == (State.REFUSED, "silent")


def test_a_warning_lifted_early_ends_that_day() -> None:
    row = Episode(first=FIRST, last=LAST, ended=datetime(2026, 6, 11, 20, tzinfo=UTC))
    assert effects.span(row) == (FIRST, date(2026, 6, 12))  # four in the morning of the 12th
    row.ended = datetime(2026, 9, 1, tzinfo=UTC)
    assert effects.span(row) == (FIRST, LAST)


def test_the_worker_compares_when_the_warning_is_lifted(world: worlds.World, data: Path) -> None:
    archive(world.station, 0.0)
    running = episode(state=Episode.State.DECLARED, ended=None)
    lifted = episode()
    for _tick in range(400):
        services.work(timezone.now())
        row = EpisodeEffect.objects.first()
        if row is not None and row.state != State.WAITING:
            break
    assert row is not None
    assert row.state == State.DONE
    assert row.episode == lifted
    assert not EpisodeEffect.objects.filter(episode=running).exists()


def emission(point: Point, first: date, days: int, kg: float, **more: object) -> None:
    for n in range(days):
        EmissionDay.objects.create(
            point=point, factor="a21002", day=first + timedelta(days=n), kg=kg, hours=24, valid=24,
            **more,
        )  # fmt: skip


def test_emissions_before_and_during(world: worlds.World) -> None:
    row = episode()
    emission(world.point, FIRST - timedelta(days=14), 14, 200.0)
    emission(world.point, FIRST, 4, 120.0)
    found, emitters = effects.emissions(world.users["dispatcher"], row)
    assert [(e.factor, e.points, e.before, e.during) for e in found] == [
        ("a21002", 1, 200.0, 120.0)
    ]
    assert found[0].change == pytest.approx(-40)
    assert [e.enterprise for e in emitters] == [world.enterprise]
    assert emitters[0].change == pytest.approx(-40)
    page = login(world, "dispatcher").get(reverse("air:effect", args=[row.pk])).content.decode()
    assert world.enterprise.name in page
    assert "-40 %" in page
    # Another district sees nothing of it.
    assert effects.emissions(world.users["district_elsewhere"], row) == ([], [])
    other = login(world, "district_elsewhere").get(reverse("air:effect", args=[row.pk]))
    assert world.enterprise.name not in other.content.decode()


def test_days_without_data_do_not_count_as_cut(world: worlds.World) -> None:
    row = episode()
    emission(world.point, FIRST - timedelta(days=14), 14, 200.0)
    emission(world.point, FIRST, 4, 5.0, without=20)  # the monitor was silent, not the stack
    assert effects.emissions(world.users["dispatcher"], row) == ([], [])
    EmissionDay.objects.filter(day__gte=FIRST).delete()
    emission(world.point, FIRST, 2, 100.0)  # half of the days
    assert effects.emissions(world.users["dispatcher"], row) == ([], [])


def test_asking_by_the_page(world: worlds.World, data: Path) -> None:
    client = login(world, "dispatcher")
    proposed = episode(state=Episode.State.PROPOSED, ended=None)
    address = reverse("air:effect_compute", args=[proposed.pk])
    answer = client.post(address, follow=True).content.decode()
    assert "没有启动应急" in answer
    assert not EpisodeEffect.objects.exists()
    today = timezone.localdate()
    current = episode(state=Episode.State.DECLARED, ended=None, first=today, last=today)
    answer = client.post(reverse("air:effect_compute", args=[current.pk]), follow=True)
    assert "预警期尚未结束" in answer.content.decode()
    over = episode()
    client.post(reverse("air:effect_compute", args=[over.pk]))
    assert EpisodeEffect.objects.get().episode == over
    page = client.get(reverse("air:effect", args=[over.pk])).content.decode()
    assert "计算中" in page
    waits = client.get(reverse("air:effect", args=[over.pk]), headers={"HX-Request": "true"})
    assert waits.status_code == 204
    assert (
        login(world, "leader").post(reverse("air:effect_compute", args=[over.pk])).status_code
        == 403
    )
