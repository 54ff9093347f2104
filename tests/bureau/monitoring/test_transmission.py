"""Transmission days: what was due, what came, what was valid, recomputed exactly where touched."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from jingwei.bureau.monitoring import selectors, services, tasks
from jingwei.bureau.monitoring.models import TransmissionDay
from jingwei.bureau.registry.models import Point

from .conftest import NOW, City, hour, make_point

pytestmark = pytest.mark.django_db

BOTH = {"a21002": 50.0, "a19001": 8.0}
TODAY = date(2026, 11, 20)  # NOW is 12:30 in Beijing: 12 hours are due


def row(city: City, day: date = TODAY) -> tuple[int, int, int]:
    found = TransmissionDay.objects.get(point=city.point, day=day)
    return found.expected, found.received, found.valid


def local(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00")


def test_the_first_day_counts_from_the_first_hour(city: City):
    for n in range(3):  # 09:00, 10:00, 11:00
        city.send(hour(n), BOTH)
    city.judge()
    assert row(city) == (3 * 2, 6, 6)
    assert TransmissionDay.objects.get().rate == 1.0


def test_gaps_and_marks_count(city: City):
    city.send(hour(3), BOTH)
    city.send(hour(2), {"a21002": (50.0, "D"), "a19001": 8.0})
    city.send(hour(0), {"a21002": 50.0})  # 10:00 never came, 11:00 without oxygen
    city.judge()
    assert row(city) == (4 * 2, 5, 4)
    assert TransmissionDay.objects.get().rate == pytest.approx(5 / 8 * 4 / 5)


def test_a_factor_that_is_not_due_is_not_counted(city: City):
    city.send(hour(0), {**BOTH, "a01001": 20.0})
    city.judge()
    assert row(city) == (2, 2, 2)


def test_a_repeated_hour_counts_once_and_a_corrected_mark_recounts(city: City):
    city.send(hour(0), {"a21002": (50.0, "C"), "a19001": 8.0})
    city.judge()
    assert row(city) == (2, 2, 1)
    city.send(hour(0), BOTH)
    city.judge()
    assert row(city) == (2, 2, 2)


def test_an_hour_is_due_ten_minutes_after_its_end(city: City):
    city.send(hour(0), BOTH)
    city.judge()
    for minutes, due in ((39, 1), (40, 2), (99, 2), (100, 3)):
        services.expect(NOW + timedelta(minutes=minutes))
        assert row(city)[0] == due * 2, minutes


def test_days_of_silence_get_a_row(city: City):
    city.send(local("2026-11-17T22:00"), BOTH)
    city.judge()
    services.expect(NOW)
    rows = TransmissionDay.objects.order_by("day").values_list("day", "expected", "received")
    assert list(rows) == [
        (date(2026, 11, 17), 4, 2),
        (date(2026, 11, 18), 48, 0),
        (date(2026, 11, 19), 48, 0),
        (date(2026, 11, 20), 24, 0),
    ]
    assert services.expect(NOW) == 0


def test_an_earlier_day_that_comes_late_moves_the_start(city: City):
    city.send(hour(0), BOTH)
    city.judge()
    assert row(city) == (2, 2, 2)
    city.send(local("2026-11-18T23:00"), BOTH)
    city.judge()
    services.expect(NOW)
    assert row(city, date(2026, 11, 18)) == (2, 2, 2)
    assert row(city, date(2026, 11, 19)) == (48, 0, 0)
    assert row(city) == (24, 2, 2)  # no longer the first day: all 12 due hours count


def test_yesterday_grows_to_its_end_after_midnight(city: City):
    city.send(hour(0), BOTH)
    city.judge()
    services.expect(NOW)
    services.expect(NOW + timedelta(hours=13))  # 01:30 of the next day
    assert row(city)[0] == 13 * 2  # from 11:00 to 24:00
    assert row(city, date(2026, 11, 21)) == (2, 0, 0)


def test_a_worker_that_was_away_for_days_catches_up(city: City):
    city.send(hour(0), BOTH)
    city.judge()
    services.expect(NOW)
    services.expect(NOW + timedelta(days=3))
    assert row(city)[0] == 26
    assert row(city, date(2026, 11, 21))[0] == 48


def test_disabled_and_never_seen_points_expect_nothing(city: City):
    make_point(city.outlet, city.region, 2)
    city.send(hour(0), BOTH)
    tasks.tick(NOW)
    Point.objects.filter(pk=city.point.pk).update(enabled=False)
    services.expect(NOW + timedelta(days=2))
    assert TransmissionDay.objects.count() == 1


def test_the_rate_of_many_points(city: City):
    other = make_point(city.outlet, city.region, 2)
    city.send(hour(1), BOTH)
    city.send(hour(0), BOTH)
    city.send(hour(1), BOTH, point=other)
    tasks.tick(NOW)
    ids = [city.point.pk, other.pk]
    assert selectors.transmission_rate(ids, TODAY) == pytest.approx(6 / 8)
    assert selectors.transmission_rate([], TODAY) is None
