"""Whether hours are named by their start or their end, and what a clock that is ahead does."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import naming
from jingwei.bureau.monitoring.models import Due, Exceedance, HourNaming, Judgement

from .conftest import NOW, City, hour

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}  # 150 mg/m³ at 6 % O2, limit 100
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def send_hours(city: City, late: timedelta, count: int = 30) -> None:
    """Hours, each received `late` after the time that it is named by."""
    for n in range(count, 0, -1):
        when = hour(n)
        city.send(when, OVER, received=when + late, take=False)
    city.take()


def send_moments(city: City, ahead: timedelta = timedelta(0), until: datetime = NOW) -> None:
    """Ten real-time values, by a clock that is `ahead`, each on its way for two seconds."""
    for n in range(10):
        came = until - n * MINUTE
        city.send(
            came + ahead - timedelta(seconds=2),
            OVER,
            resolution="realtime",
            received=came,
            take=False,
        )
    city.take()


def fault(when: datetime) -> Fault:
    row = Judgement.objects.get(period="hour", time=when, stands=True)
    return Fault(row.factors["a21002"].get("fault", 0))


@pytest.mark.parametrize(
    ("late", "ahead", "spoken"),
    [
        (3600, None, (1, 0)),  # at once when it is over
        (3600 + 1799, 0, (1, 0)),
        (3000, None, (1, 0)),  # ten minutes are no difference
        (2999, None, (0, 0)),
        (3600 + 1800, 0, (0, 0)),  # late: it may have been sent again
        (30 * 86400, 0, (0, 0)),
        (60, None, (0, 1)),
        (60, 0, (0, 1)),
        (60, 3600, (1, 0)),  # the clock is an hour ahead
        (-3540, 3600, (0, 1)),
        (7260, -3600, (1, 0)),  # an hour behind
    ],
)
def test_what_an_hour_speaks_for(late: int, ahead: int | None, spoken: tuple[int, int]):
    assert naming.weigh(np.array([late]), ahead) == spoken


@pytest.mark.parametrize(
    ("start", "end", "ahead", "before", "name"),
    [
        (24, 0, None, "", "start"),
        (23, 0, None, "", ""),
        (90, 10, 0, "", "start"),
        (89, 11, 0, "", ""),
        (0, 24, 0, "", "end"),
        (0, 24, None, "", ""),  # or its clock is an hour ahead
        (0, 168, None, "start", "start"),
        (0, 168, 5, "start", "end"),
        (50, 50, 0, "end", "end"),
    ],
)
def test_the_name(start: int, end: int, ahead: int | None, before: str, name: str):
    assert naming.decide(start, end, ahead, before) == name


def test_a_clock_that_goes_an_hour_ahead_is_found(city: City):
    send_hours(city, HOUR + MINUTE)
    naming.look(NOW)
    found = HourNaming.objects.get()
    assert (found.name, found.hours, found.agree, found.ahead) == ("start", 30, 30, None)
    city.catch_up()
    assert fault(hour(1)) == 0
    city.send(hour(0), OVER, received=hour(0) + MINUTE)  # what was measured from 10:00 to 11:00
    city.catch_up()
    assert fault(hour(0)) == Fault.CLOCK
    assert not Exceedance.objects.filter(time=hour(0)).exists()


def test_a_clock_that_was_ahead_from_the_first_is_found_by_the_real_time_data(city: City):
    send_hours(city, MINUTE)
    send_moments(city, ahead=HOUR)
    city.catch_up()
    assert fault(hour(5)) == 0  # nothing is known yet
    naming.look(NOW)
    found = HourNaming.objects.get()
    assert (found.name, found.agree, found.ahead) == ("start", 30, 3598)
    assert found.wrong_by == 60
    city.catch_up()
    assert {fault(hour(n)) for n in range(1, 31)} == {Fault.CLOCK}
    assert not Exceedance.objects.filter(withdrawn="", period="hour").exists()


def test_hours_that_are_named_by_their_end_are_no_wrong_clock(city: City):
    send_hours(city, MINUTE)
    send_moments(city)
    naming.look(NOW)
    found = HourNaming.objects.get()
    assert (found.name, found.hours, found.agree, found.ahead) == ("end", 30, 0, -2)
    city.catch_up()
    assert fault(hour(1)) == 0
    city.send(hour(-1), OVER, received=hour(-1) - 59 * MINUTE)  # ahead by an hour
    city.catch_up()
    assert fault(hour(-1)) == Fault.CLOCK


def test_minutes_belong_to_the_hour_that_ends_with_the_name(city: City):
    """Of the hour that is called 10:00 (from 9 to 10) 44 minutes came, of that from 10 to 11 all."""
    HourNaming.objects.create(point=city.point, name="end", weighed=NOW)
    for n in range(44):
        city.send(hour(2) + n * MINUTE, OVER, resolution="minute", take=False)
    for n in range(60):
        city.send(hour(1) + n * MINUTE, OVER, resolution="minute", take=False)
    city.take()
    for n in (1, 0):
        city.send(hour(n), OVER)
    city.catch_up()
    assert (fault(hour(1)), fault(hour(0))) == (Fault.FEW, 0)
    row = Judgement.objects.get(time=hour(0), period="hour", stands=True)
    assert row.factors["a21002"]["count"] == [60, 60]
    assert Exceedance.objects.get().time == hour(0)


def test_an_hour_made_of_minutes_has_the_name_that_the_device_would_give(city: City):
    HourNaming.objects.create(point=city.point, name="end", weighed=NOW)
    for n in range(60):
        city.send(hour(2) + n * MINUTE, OVER, resolution="minute", take=False)
    city.take()
    city.catch_up()
    assert Judgement.objects.get(period="hour").time == hour(1)
    assert Exceedance.objects.get().time == hour(1)


def test_hours_that_were_judged_under_another_name_are_judged_again(city: City):
    send_hours(city, MINUTE)
    city.catch_up()
    send_moments(city)
    assert naming.look(NOW) == 1
    assert Due.objects.filter(what="hour").count() == 30
    assert naming.look(NOW + HOUR) == 0  # once a day
    assert naming.look(NOW + timedelta(days=1)) == 1
    assert HourNaming.objects.get().since == NOW


def test_without_real_time_data_nothing_is_said_of_hours_that_come_at_their_name(city: City):
    send_hours(city, MINUTE)
    naming.look(NOW)
    found = HourNaming.objects.get()
    assert (found.name, found.hours, found.since) == ("", 30, None)
    city.catch_up()
    assert fault(hour(1)) == 0


def test_the_page_says_how_hours_are_named(city: City, dispatcher, client):
    HourNaming.objects.create(point=city.point, name="end", hours=30, weighed=NOW, ahead=3600)
    client.force_login(dispatcher)
    text = client.get(
        city.point.get_absolute_url(), headers={"accept-language": "en"}
    ).content.decode()
    assert "names its hours by their end" in text
    assert "60 minutes ahead" in text
    assert "0 of 30 hours for the start" in text
