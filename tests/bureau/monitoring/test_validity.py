"""Which hours and days are valid, in the running system: minutes, marks, ranges, days from hours."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei.analysis import validity
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import days, selectors, services
from jingwei.bureau.monitoring.models import (
    Due,
    Exceedance,
    InstrumentRange,
    Judgement,
    TransmissionDay,
)
from jingwei.bureau.monitoring.observations import interval
from jingwei.bureau.registry.models import Medium, PermitLimit

from .conftest import NOW, City, hour, limit, make_enterprise, make_point

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}  # 150 mg/m³ at 6 % O2, limit 100
NUMBER = itertools.count(500)


def cell(city: City, when: datetime, factor: str = "a21002", period: str = "hour", point=None):
    row = Judgement.objects.get(point=point or city.point, period=period, time=when, stands=True)
    return row.factors[factor]


def faults(city: City, when: datetime, factor: str = "a21002", point=None) -> Fault:
    return Fault(cell(city, when, factor, point=point).get("fault", 0))


def minutes(city: City, start: datetime, values: dict, count: int, step: int = 1, **more) -> None:
    for n in range(count):
        city.send(
            start + timedelta(minutes=n * step), values, resolution="minute", take=False, **more
        )
    city.take()


# Single hours -----------------------------------------------------------------------------------


def test_each_fault_is_stored_and_keeps_the_value_from_being_judged(city: City):
    InstrumentRange.objects.create(point=city.point, factor="a21002", high=500)
    sent = {
        6: ((600.0, "N"), Fault.OVER_RANGE, "range"),
        5: ((-1.0, "N"), Fault.NEGATIVE, "value_negative"),
        4: ((90.0, "C"), Fault.MARK, "mark"),
        3: ((90.0, "Q"), Fault.UNKNOWN_MARK, "mark_unknown"),
        2: (("", "N"), Fault.MISSING, "value_missing"),
    }
    for n, (value, _fault, _why) in sent.items():
        city.send(hour(n), {"a21002": value, "a19001": 12.0})
    report = city.judge()
    for n, (_value, fault, _why) in sent.items():
        assert faults(city, hour(n)) == fault
    assert dict(report.not_judged) == {why: 1 for *_x, why in sent.values()}
    assert not Exceedance.objects.exists()


def test_four_equal_hours_are_flat_and_the_fourth_takes_the_verdict_from_the_first(city: City):
    for n in (5, 4, 3):
        city.send(hour(n), OVER, breath=False)
    city.judge()
    assert Exceedance.objects.filter(withdrawn="").count() == 3
    city.send(hour(2), OVER, breath=False)
    city.judge()
    assert Exceedance.objects.filter(withdrawn="flat").count() == 3
    assert not Exceedance.objects.filter(withdrawn="").exists()
    assert {faults(city, hour(n)) for n in (5, 4, 3, 2)} == {Fault.FLAT}
    city.send(hour(4), {"a21002": 91.0, "a19001": 12.5})  # corrected: the run is broken
    city.judge()
    assert Exceedance.objects.filter(withdrawn="").count() == 4
    history = selectors.judgements(city.point, "hour", hour(5))
    assert [j.factors["a21002"].get("fault", 0) for j in history] == [0, Fault.FLAT, 0]


def test_the_running_hour_makes_nothing_flat(city: City):
    for n in (2, 1, 0):
        city.send(hour(n), OVER, breath=False)
    minutes(city, hour(-1), OVER, 20)  # 12:00, now is 12:30
    city.judge()
    assert {faults(city, hour(n)) for n in (2, 1, 0)} == {0}
    assert Exceedance.objects.filter(withdrawn="").count() == 3


def test_an_hour_needs_forty_five_of_its_minutes(city: City):
    minutes(city, hour(1), OVER, 44)
    city.send(hour(1), OVER)
    city.catch_up()
    assert cell(city, hour(1))["count"] == [44, 44]
    assert faults(city, hour(1)) == Fault.FEW
    city.send(hour(1) + timedelta(minutes=44), OVER, resolution="minute")  # a late minute
    city.catch_up()
    assert faults(city, hour(1)) == 0
    assert Exceedance.objects.get().time == hour(1)
    old, new = Judgement.objects.filter(time=hour(1)).order_by("pk")
    assert (old.stands, new.stands) == (False, True)


def test_a_device_of_ten_minutes_needs_five_of_six(city: City):
    minutes(city, hour(1), OVER, 4, 10)
    city.send(hour(1), OVER)
    minutes(city, hour(2), OVER, 5, 10)
    city.send(hour(2), OVER)
    city.catch_up()
    assert (faults(city, hour(1)), faults(city, hour(2))) == (Fault.FEW, 0)


def test_each_factor_counts_by_its_own_interval(city: City):
    """Nitrogen oxides every ten minutes (five of six make 45 minutes), oxygen every minute (45)."""
    for n in range(50):
        values = {"a19001": 12.0} | ({"a21002": 90.0} if n % 10 == 0 else {})
        city.send(hour(1) + timedelta(minutes=n), values, resolution="minute", take=False)
    city.send(hour(1), OVER)
    city.catch_up()
    assert cell(city, hour(1))["count"] == [5, 5]
    assert cell(city, hour(1), "a19001")["count"] == [50, 50]
    assert (faults(city, hour(1)), faults(city, hour(1), "a19001")) == (0, 0)


def test_a_value_out_of_turn_does_not_change_what_the_others_stand_for(city: City):
    minutes(city, hour(1), OVER, 6, 10)
    city.send(hour(1) + timedelta(minutes=33), OVER, resolution="minute")
    city.send(hour(1), OVER)
    city.catch_up()
    assert cell(city, hour(1))["count"] == [7, 7]
    assert faults(city, hour(1)) == 0


def test_minutes_with_gaps_do_not_count_for_more_than_they_are(city: City):
    """30 of 60 minutes: all lie two or more apart, but a third of them on odd minutes."""
    there = [*range(0, 40, 2), *range(41, 60, 2)]
    assert len(there) == 30
    for n in there:
        city.send(hour(1) + timedelta(minutes=n), OVER, resolution="minute", take=False)
    city.send(hour(1), OVER)
    city.catch_up()
    assert cell(city, hour(1))["count"] == [30, 30]
    assert faults(city, hour(1)) == Fault.FEW


@pytest.mark.parametrize(
    ("minute", "stands_for"),
    [
        ([0], 1),
        ([0, 30], 30),
        ([0, 10, 20, 30, 40, 50], 10),
        ([0, 10, 20, 50], 10),  # two are missing
        ([0, 10, 20, 30, 33, 40, 50], 10),
        ([0, 1, 2, 3, 10], 1),
        ([0, 1, 3, 5, 6, 8, 10], 1),  # a minute's, of which some are missing
        ([0, 5, 10, 20, 25, 35, 40, 50], 5),
        ([*range(0, 40, 2), *range(41, 60, 2)], 1),  # no two beside each other, yet of every minute
    ],
)
def test_what_a_value_stands_for(minute: list[int], stands_for: int):
    assert interval(np.array(minute) * 60) == stands_for


def test_hours_are_made_from_minutes_where_the_device_sends_only_those(city: City):
    start = hour(1)
    for n in range(60):
        values = {"a21002": 80.0 + n % 2 * 20, "a19001": 12.0}
        city.send(start + timedelta(minutes=n), values, resolution="minute", take=False)
    city.take()
    city.catch_up()
    assert cell(city, start)["origin"] == "minutes"
    assert cell(city, start)["value"] == pytest.approx(90)
    row = Exceedance.objects.get()
    assert (row.time, row.value) == (start, 150.0)
    assert len(row.telegrams) == 60
    ((_row, one),) = selectors.verdicts_on(
        city.point, selectors.cells(city.point, "hour", start, NOW), "a21002", "hour", start
    )
    assert [s.key for s in one.steps][:4] == ["raw", "mark", "count", "validity"]


def ten_minutes(city: City, start: datetime, point, marks: str) -> None:
    """Six ten-minute values of wastewater: 10, 20 … 60 mg/L at a flow of 1."""
    for n, mark in enumerate(marks):
        values = {"w01018": (10.0 * (n + 1), mark), "w00000": (1.0, "N")}
        city.send(
            start + timedelta(minutes=10 * n), values, resolution="minute", point=point, take=False
        )
    city.take()
    city.catch_up()


@pytest.mark.parametrize(
    ("version", "marks", "made", "fault", "value"),
    [
        ("2017", "NNNNNN", "N", 0, 35.0),
        ("2017", "NNNNNC", "C", Fault.MARK, 30.0),  # one is enough
        ("2017", "NNMCCC", "C", Fault.MARK, 15.0),
        ("2025", "NNNNNC", "N", 0, 30.0),  # the longest: N
        ("2025", "NNNCCC", "C", Fault.MARK, 20.0),  # as long: the abnormal one
        ("2025", "NNCCCC", "C", Fault.MARK, 15.0),
        ("2017", "FFFFFF", "F", Fault.MARK | Fault.MISSING, None),
    ],
)
def test_an_hour_of_minutes_is_marked_by_the_rule_of_its_version(
    city: City, version: str, marks: str, made: str, fault: int, value: float | None
):
    point, _row = water(city)
    point.version = version
    point.save()
    ten_minutes(city, hour(1), point, marks)
    found = cell(city, hour(1), "w01018", point=point)
    assert (found.get("mark", ""), found.get("fault", 0)) == (made, fault)
    assert found["value"] == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("odd", "made", "fault"),
    [(15, "N", 0), (16, "D", Fault.MARK | Fault.FEW), (60, "C", Fault.MARK | Fault.MISSING)],
)
def test_an_hour_of_flue_gas_is_normal_from_three_quarters_on(city: City, odd, made, fault):
    """45 of 60 minutes are 75 %, and as many as an hour needs."""
    for n in range(60):
        mark = "C" if n < odd else "N"
        values = {"a21002": (90.0, mark), "a19001": 12.0}
        city.send(hour(1) + timedelta(minutes=n), values, resolution="minute", take=False)
    city.take()
    city.catch_up()
    found = cell(city, hour(1))
    assert (found["mark"], found.get("fault", 0)) == (made, fault)


def test_minutes_of_a_standstill_make_an_hour_of_standstill(city: City):
    values = {"a21002": (0.0, "F"), "a19001": (20.5, "F")}
    minutes(city, hour(0), values, 60)
    city.catch_up()
    day = TransmissionDay.objects.get()
    assert (day.received, day.stopped, day.valid) == (2, 2, 0)
    assert day.rates.validity is None


def test_minutes_of_an_hour_that_goes_on_wait_until_it_is_complete(city: City):
    begun = hour(-1)  # 12:00, now is 12:30
    minutes(city, begun, OVER, 20)
    city.catch_up()
    assert not Judgement.objects.exists()
    assert Due.objects.get(what="hour").after == begun + timedelta(hours=1, minutes=10)
    services.catch_up(NOW + timedelta(hours=1))
    assert faults(city, begun) == Fault.FEW


def test_a_rate_limit_is_judged_by_concentration_times_flow(city: City):
    PermitLimit.objects.all().delete()
    limit(city.outlet, city.permit, value="3", unit="kg/h", reference_o2=None)
    city.send(hour(1), {"a21002": 50.0, "a00000": 10.0})  # 1.8 kg/h
    city.send(hour(0), {"a21002": 100.0, "a00000": 10.0})  # 3.6
    city.send(hour(2), {"a21002": 100.0})
    report = city.judge()
    (row,) = Exceedance.objects.all()
    assert (row.time, row.value, row.unit) == (hour(0), 3.6, "kg/h")
    assert [s["key"] for s in row.steps] == [
        "raw",
        "mark",
        "validity",
        "basis",
        "rate",
        "limit",
        "verdict",
    ]
    assert report.not_judged == {"flow_invalid": 1}


# Days -------------------------------------------------------------------------------------------

DAY = datetime(2026, 11, 18, 16, tzinfo=UTC)  # the 19th in Beijing


def send_day(city: City, hours, values, **more) -> None:
    for n in hours:
        city.send(DAY + timedelta(hours=n), values(n), take=False, **more)
    city.take()


def test_a_day_is_judged_by_its_valid_hours_and_not_by_what_the_device_sent(city: City):
    send_day(city, range(24), lambda n: {"a21002": 50.0 + n % 3, "a19001": 12.0 + n % 2 / 10})
    city.send(DAY, {"a21002": 10.0, "a19001": 12.0}, resolution="day")
    city.catch_up()
    one = cell(city, DAY, period="day")
    assert (one["value"], one["count"], one["sent"]) == (pytest.approx(51), [24, 24], 10.0)
    row = Exceedance.objects.get(period="day")
    assert row.value == pytest.approx(51 * 15 / (21 - 12.05), rel=1e-3)
    assert [s["key"] for s in row.steps] == [
        "count", "mean", "validity", "converted_day", "limit", "verdict",
    ]  # fmt: skip


def test_a_day_needs_twenty_valid_hours(city: City):
    send_day(city, range(19), lambda n: {"a21002": 80.0 + n, "a19001": 12.0 + n / 100})
    city.catch_up()
    assert cell(city, DAY, period="day")["fault"] == Fault.FEW
    assert not Exceedance.objects.filter(period="day").exists()
    city.send(DAY + timedelta(hours=19), {"a21002": 70.0, "a19001": 12.7})  # late
    city.catch_up()
    assert Exceedance.objects.filter(period="day").count() == 1


def water(city: City, **more):
    _e, permit, outlet = make_enterprise(city.region, next(NUMBER))
    outlet.medium = Medium.WATER
    outlet.save()
    given = {"period": "day", "unit": "mg/L", "reference_o2": None} | more
    row = limit(outlet, permit, "w01018", "50", **given)
    factors = ["w01018", "w00000", "w01001"]
    return make_point(outlet, city.region, next(NUMBER), st="32", factors=factors), row


def test_wastewater_days_are_weighted_by_flow_and_ph_is_the_median(city: City):
    point, _row = water(city)

    def values(n: int) -> dict:
        big = n < 12
        return {"w01018": 100.0 if big else 10.0, "w00000": 3.0 if big else 1.0, "w01001": 7.0 + n}

    send_day(city, range(24), values, point=point)
    city.catch_up()
    found = cell(city, DAY, "w01018", "day", point)
    assert found["value"] == pytest.approx((100 * 3 + 10) / 4)
    assert found["weighted"]
    assert cell(city, DAY, "w01001", "day", point)["value"] == pytest.approx(18.5)
    assert cell(city, DAY, "w00000", "day", point)["value"] == pytest.approx(2)
    assert Exceedance.objects.get(period="day").value == pytest.approx(77.5)


def test_hours_without_flow_do_not_weigh(city: City):
    point, _row = water(city)
    send_day(city, range(24), lambda n: {"w01018": 60.0, "w00000": 0.0}, point=point)
    city.catch_up()
    assert cell(city, DAY, "w01018", "day", point)["fault"] & Fault.NO_FLOW
    assert not Exceedance.objects.filter(period="day").exists()


@pytest.mark.parametrize(("exempt", "free"), [(4, 40.0), (5, None), (23, None), (24, None)])
def test_the_mean_without_exempt_hours_needs_as_many_hours_as_any(exempt: int, free: float | None):
    """24 hours: the exempt ones at 300, the others at 40; a day's mean needs 20 of them."""
    time = np.array([int(DAY.timestamp()) + 3600 * n for n in range(24)])
    out = np.arange(24) < exempt
    found = days._free(
        time, np.where(out, 300.0, 40.0), np.zeros(24, np.uint16), out, validity.AIR_DAY, None
    )
    assert found == {time[0]: free}


# Completeness -----------------------------------------------------------------------------------


def test_standstill_is_neither_expected_nor_invalid(city: City):
    for n in range(6):
        mark = "F" if n < 2 else "N"
        city.send(hour(n), {"a21002": (30.0 + n, mark), "a19001": (12.0 + n, mark)})
    city.send(hour(6), {"a21002": -3.0, "a19001": 12.0})
    city.catch_up()
    day = TransmissionDay.objects.get()
    assert (day.received, day.valid, day.stopped, day.hours) == (14, 9, 4, 7)
    assert (day.rates.transmission, day.rates.validity) == (1.0, 0.9)
    assert day.rate == pytest.approx(0.9)


# Any order, any splitting -----------------------------------------------------------------------

SENT = st.lists(
    st.tuples(
        st.integers(0, 9),  # hour
        st.sampled_from(["hour", "minute"]),
        st.sampled_from([30.0, 90.0, 90.0, 120.0, -1.0]),
        st.sampled_from(["N", "N", "N", "C", ""]),
        st.integers(0, 5),  # ten minutes within the hour
    ),
    min_size=1,
    max_size=14,
)


def standing(point) -> list:
    """What stands of a point, without numbers of rows and telegrams."""
    limits = {str(row.pk) for row in PermitLimit.objects.filter(outlet=point.outlet)}
    assert limits
    return [
        (j.period, j.time, j.factors)
        for j in Judgement.objects.filter(point=point, stands=True).order_by("period", "time")
    ]


def over(point) -> list:
    return list(
        Exceedance.objects.filter(point=point, withdrawn="")
        .order_by("period", "time")
        .values_list("period", "time", "value", "multiple")
    )


@given(sent=SENT, data=st.data())
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_same_telegrams_in_any_order_and_any_portions_lead_to_the_same(city: City, sent, data):
    """Two points get the same telegrams, of the same times of arrival: one in that order and judged
    once, the other in another order and judged after every few. What stands is the same."""
    points = [
        make_point(city.outlet, city.region, next(NUMBER), password="123456") for _ in range(2)
    ]
    begin = datetime(2026, 11, 18, 18, tzinfo=UTC)
    order = data.draw(st.permutations(range(len(sent))))
    cuts = data.draw(st.sets(st.integers(0, len(sent))))
    arrived = [NOW - timedelta(minutes=30) + timedelta(seconds=i) for i in range(len(sent))]

    def send(i: int, point) -> None:
        n, resolution, value, mark, part = sent[i]
        at = begin + timedelta(hours=n)
        if resolution == "minute":
            at += timedelta(minutes=10 * part)
        values = {"a21002": (value, mark), "a19001": 12.0 + n / 10}
        city.send(
            at, values, point=point, resolution=resolution, received=arrived[i], breath=False
        )  # fmt: skip

    for i in range(len(sent)):
        send(i, points[0])
    city.catch_up()
    for step, i in enumerate(order):
        send(i, points[1])
        if step in cuts:
            city.catch_up()
    city.catch_up()
    assert standing(points[0]) == standing(points[1])
    assert over(points[0]) == over(points[1])
    day = [
        TransmissionDay.objects.filter(point=p).values_list("day", "received", "valid", "stopped")
        for p in points
    ]
    assert list(day[0]) == list(day[1])
