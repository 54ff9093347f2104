"""Transmission days: what was due, what came, what was valid, recomputed exactly where touched."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from jingwei.bureau.monitoring import declare, selectors, services, tasks, transmission
from jingwei.bureau.monitoring.models import Furnace, Mark, TransmissionDay
from jingwei.bureau.registry.models import Point

from .conftest import NOW, City, hour, make_point, make_user

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


# Out of operation by the enterprise's mark ---------------------------------------------------------


def sent_with_gaps(city: City) -> None:
    """06:00 to 12:00: two hours valid, one negative, three of which nothing came."""
    city.send(hour(5), BOTH)
    city.send(hour(4), {"a21002": -1.0, "a19001": 8.0})
    city.send(hour(0), BOTH)
    city.catch_up()


def state(city: City) -> tuple[int, int, int, int, int]:
    found = TransmissionDay.objects.get(point=city.point, day=TODAY)
    return found.due, found.expected, found.received, found.valid, found.stopped


def test_hours_marked_as_out_of_operation_are_not_due(city: City):
    """Of 07:00 and 08:00 the one value that is not valid is stopped, and what did not come not due."""
    user = make_user("enterprise", enterprise="911100000000000001")
    sent_with_gaps(city)
    assert state(city) == (6, 12, 6, 5, 0)
    given = {"outlet": city.outlet, "note": "检修", "now": NOW}
    mark = declare.set_mark(user, sort="standstill", start=hour(4), end=hour(2), **given)
    assert state(city) == (5, 10, 6, 5, 1)
    found = TransmissionDay.objects.get(day=TODAY)
    assert (found.rates.transmission, found.rates.validity) == (pytest.approx(5 / 9), 1.0)
    assert found.due - found.hours == 2  # without link: 09:00 and 10:00
    services.expect(NOW + timedelta(hours=1))
    assert state(city) == (6, 12, 6, 5, 1)  # another hour was due
    city.send(hour(3), BOTH)  # late: it came after all, and is valid
    city.catch_up(NOW + timedelta(hours=1))
    assert state(city) == (7, 14, 8, 7, 1)
    declare.withdraw(user, mark, NOW + timedelta(hours=1))
    assert state(city) == (7, 14, 8, 7, 0)


def test_a_standstill_marked_too_late_excuses_nothing(city: City):
    sent_with_gaps(city)
    Mark.objects.create(
        outlet=city.outlet,
        sort="standstill",
        start=hour(4),
        end=hour(2),
        at=NOW + timedelta(days=2),
    )
    transmission.recount([city.point], TODAY, TODAY, NOW)
    assert state(city) == (6, 12, 6, 5, 0)


def test_an_outlet_of_two_furnaces_stands_where_both_do(city: City):
    sent_with_gaps(city)
    furnaces = [
        Furnace.objects.create(outlet=city.outlet, point=city.point, name=name) for name in "ab"
    ]
    for furnace, end, expected in (
        (furnaces[0], hour(1), (6, 12, 6, 5, 0)),
        (furnaces[1], hour(3), (6, 12, 6, 5, 1)),
    ):
        Mark.objects.create(
            outlet=city.outlet, furnace=furnace, sort="idle", start=hour(4), end=end, at=NOW
        )
        transmission.recount([city.point], TODAY, TODAY, NOW)
        assert state(city) == expected


def test_a_day_of_which_nothing_came_in_a_standstill_expects_nothing(city: City):
    yesterday = TODAY - timedelta(days=1)
    city.send(local("2026-11-18T10:00"), BOTH)
    city.catch_up()
    services.expect(NOW)
    assert row(city, yesterday) == (48, 0, 0)
    Mark.objects.create(
        outlet=city.outlet, sort="standstill", start=local("2026-11-19T00:00"),
        end=local("2026-11-20T00:00"), at=NOW - timedelta(hours=1),
    )  # fmt: skip
    transmission.recount([city.point], yesterday, yesterday, NOW)
    assert row(city, yesterday) == (0, 0, 0)
    assert TransmissionDay.objects.get(day=yesterday).rates.transmission is None
