"""What the system asks devices for by itself, and when it holds back."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from jingwei.bureau.monitoring import device_gaps as gaps
from jingwei.bureau.monitoring import device_selectors as selectors
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.monitoring.models import TransmissionDay
from jingwei.bureau.monitoring.services import day_start, local_day
from jingwei.bureau.registry.models import Device
from jingwei.telemetry import book

from .conftest import NOW, hour


def connect(city, *, since=timedelta(hours=1), connected=True):
    store = selectors.the_book()
    store.record(
        "gateway",
        [book.Seen(city.point.mn, "gateway", "192.0.2.1:1", connected, NOW - since, NOW, "2061", b"", 1, None, "", b"")],
        {}, [],
    )  # fmt: skip
    store.close()


def days(city, back=0, **more):
    for n in range(back + 1):
        day = local_day(NOW - timedelta(days=n))
        TransmissionDay.objects.create(
            point=city.point, day=day, since=day_start(day),
            **{"expected": 48, "received": 20, "valid": 20, **more},
        )  # fmt: skip


@pytest.fixture
def short(city):
    """A connected device that has sent today's hours but three of them (5, 6 and 8 hours ago)."""
    days(city)
    connect(city)
    for n in range(12):
        if n not in (5, 6, 8):
            city.send(hour(n), {"a21002": 10.0})
    return city


def asked():
    return [
        (c.cn, c.params["shown"]["BeginTime"], c.params["shown"]["EndTime"])
        for c in DeviceCommand.objects.order_by("id")
    ]


def end(state="done", minutes=0, **result):
    DeviceCommand.objects.filter(finished=None).update(
        state=state, result=result, finished=NOW + timedelta(minutes=minutes)
    )


def test_the_first_run_of_missing_hours_is_asked_for(short):
    assert gaps.pull(NOW) == 1
    assert asked() == [("2061", "20261120030000", "20261120030000")]
    command = DeviceCommand.objects.get()
    assert command.actor is None
    assert gaps.pull(NOW) == 0, "one at a time"
    end(ExeRtn=1)
    assert gaps.pull(NOW + timedelta(minutes=5)) == 1
    assert asked()[1] == ("2061", "20261120050000", "20261120060000")


def test_it_tries_again_later_each_time_and_then_no_more(short):
    at, moments = NOW, []
    DeviceCommand.objects.all().delete()
    for minute in range(0, 12 * 60, 10):
        at = NOW + timedelta(minutes=minute)
        connect(short)
        if gaps.pull(at):
            moments.append(minute)
            end("failed", minute, why="no_answer")
    first = [m for m, (_cn, b, _e) in zip(moments, asked(), strict=True) if b == "20261120030000"]
    assert [b - a for a, b in pairwise(first)] == [30, 60, 120, 240]
    assert len(first) == gaps.TRIES


def test_what_the_device_does_not_have_is_not_asked_for_again(short):
    gaps.pull(NOW)
    end(why="no_data")
    gaps.pull(NOW)
    assert [begin for _cn, begin, _e in asked()] == ["20261120030000", "20261120050000"]


@pytest.mark.parametrize("case", ["offline", "fresh", "off", "hours", "disabled"])
def test_it_holds_back(short, case):
    if case == "offline":
        connect(short, since=timedelta(minutes=30), connected=False)
    elif case == "fresh":
        connect(short, since=timedelta(minutes=5))
    elif case == "off":
        Device.objects.create(mn=short.point.mn, pull=False)
    elif case == "hours":  # it is 12:30
        Device.objects.create(mn=short.point.mn, pull_from=0, pull_until=6)
    else:
        short.point.enabled = False
        short.point.save()
    assert gaps.pull(NOW) == 0


def test_only_so_many_at_once(short, monkeypatch):
    monkeypatch.setattr(gaps, "AT_ONCE", 0)
    assert gaps.pull(NOW) == 0


def test_a_long_gap_is_asked_for_in_parts_and_days_after_hours(city):
    days(city, 3)
    connect(city)
    assert gaps.pull(NOW) == 1
    assert asked() == [("2061", "20261117000000", "20261117230000")]
    for n in range(90):
        city.send(hour(n), {"a21002": 1.0})
    end(ExeRtn=1)
    assert gaps.pull(NOW) == 1
    assert asked()[1] == ("2031", "20261117000000", "20261119000000")


def test_complete_devices_are_left_alone(city):
    days(city, received=48, valid=48)
    connect(city)
    assert gaps.pull(NOW) == 0
