"""What is computed beside the worker's round: who takes it up, and when somebody else does."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jingwei.bureau.air import beside, forecast_services
from jingwei.bureau.air.models import Forecast, ForecastModel, HotGrid, State

NOW = datetime(2026, 11, 20, 4, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def row(db: None) -> ForecastModel:
    made = forecast_services.learn()
    assert forecast_services.learn() == made  # one that still waits is not asked twice
    return made


def begin(now: datetime, compute: Any, kept: list[Any]) -> Any:
    row = beside.take(ForecastModel.objects.all(), now)
    return None if row is None else (row, (compute, lambda end: kept.append(end)))


def test_what_a_killed_worker_left_is_taken_up_again(row: ForecastModel) -> None:
    rows = ForecastModel.objects.all()
    assert beside.take(rows, NOW) == row
    assert beside.take(rows, NOW + MINUTE) is None
    assert beside.take(rows, NOW + beside.ABANDONED + MINUTE) == row


def test_the_oldest_that_waits_comes_first(db: None) -> None:
    days = [
        HotGrid.objects.create(
            asked=NOW - n * MINUTE, first=NOW.date(), last=NOW.date(), state=state
        )
        for n, state in ((1, State.WAITING), (2, State.WAITING), (3, State.DONE))
    ]
    assert beside.take(HotGrid.objects.all(), NOW) == days[1]
    assert beside.take(HotGrid.objects.all(), NOW) == days[0]
    assert beside.take(Forecast.objects.all(), NOW) is None


def test_the_forecast_of_the_newest_hour_comes_first(db) -> None:
    for hours in (12, 6, 18):  # hindcasts are asked for with the first start
        forecast_services.ask(NOW - timedelta(hours=hours))
    found = [forecast_services.taken(NOW) for _ in range(4)]
    assert [NOW - f.start if f else None for f in found] == [
        timedelta(hours=6), timedelta(hours=12), timedelta(hours=18), None,
    ]  # fmt: skip


def test_what_is_being_computed_shows_that_it_lives(row: ForecastModel, monkeypatch: Any) -> None:
    monkeypatch.setattr(beside, "BUDGET", 0)
    go, kept, work = threading.Event(), [], beside.Beside("test")
    for minute in range(12):
        work.work(NOW + minute * timedelta(seconds=61), lambda now: begin(now, go.wait, kept))
    later = NOW + 12 * MINUTE
    assert beside.take(ForecastModel.objects.all(), later) is None  # no other worker takes it
    go.set()
    monkeypatch.setattr(beside, "BUDGET", 10)
    work.work(later, lambda now: None)
    assert [end.result() for end in kept] == [True]
    assert work.job is None
    assert beside.take(ForecastModel.objects.all(), later + beside.ABANDONED) == row


def test_what_fails_is_kept_as_such_and_the_next_begins(row: ForecastModel) -> None:
    kept: list[Any] = []
    beside.here(row, (beside.refused(ValueError("why")), kept.append))
    assert str(kept[0].exception()) == "why"
