"""What a value of flue gas is before it is compared: nitrogen oxides of NO and NO2; what is missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse

from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import selectors
from jingwei.bureau.monitoring.models import Exceedance, Judgement, TransmissionDay
from jingwei.bureau.registry.models import MonitoringPlan, PermitLimit

from .conftest import NOW, City, hour, limit, make_point

pytestmark = pytest.mark.django_db

# NO 60 and NO2 8 mg/m³ are 60 · 46/30 + 8 = 100 mg/m³ as NO2; at 12 % O2, to 6 %: · 15/9 = 166.67
SENT = {"a21003": 60.0, "a21004": 8.0, "a19001": 12.0}


def cell(when: datetime, factor: str = "a21002", period: str = "hour") -> dict:
    return Judgement.objects.get(period=period, time=when, stands=True).factors[factor]


@pytest.fixture
def split(city: City) -> City:
    """A point that is registered to send NO and NO2, of an outlet whose permit limits NOx."""
    city.point.factors = ["a21003", "a21004", "a19001"]
    city.point.save()
    return city


def test_nox_is_made_of_no_and_no2_and_judged(split: City):
    number = split.send(hour(1), SENT)
    split.catch_up()
    row = Exceedance.objects.get(period="hour")
    assert row.value == pytest.approx(500 / 3)
    assert row.multiple == pytest.approx(2 / 3)
    assert row.telegrams == [number]
    assert [s["key"] for s in row.steps] == [
        "nox", "mark", "validity", "converted", "limit", "verdict",
    ]  # fmt: skip
    assert row.steps[0]["numbers"] == {"no": 60.0, "no2": 8.0, "result": 100.0, "unit": "mg/m³"}
    assert "(21)" in row.steps[0]["source"]
    assert cell(hour(1))["parts"] == {"a21003": 60.0, "a21004": 8.0}


def test_nox_that_is_sent_counts_and_nothing_is_made(split: City):
    split.send(hour(1), SENT | {"a21002": 50.0})  # 83.3 at 6 %: within
    split.send(hour(0), SENT)
    split.catch_up()
    assert cell(hour(1)) == cell(hour(1)) | {"value": 50.0}
    assert "parts" not in cell(hour(1))
    assert Exceedance.objects.get().time == hour(0)


@pytest.mark.parametrize("missing", ["a21003", "a21004"])
def test_one_of_the_two_alone_gives_a_reason_and_no_value(split: City, missing: str):
    there = {"a21003": "a21004", "a21004": "a21003"}[missing]
    split.send(hour(1), {there: 900.0, "a19001": 12.0})
    report = split.judge()
    assert report.not_judged == {"part": 1}
    assert not Exceedance.objects.exists()
    found = cell(hour(1))
    assert (found["value"], Fault(found["fault"])) == (None, Fault.PART)
    ((_row, one),) = selectors.verdicts_on(
        split.point, selectors.cells(split.point, "hour", hour(1), NOW), "a21002", "hour", hour(1)
    )
    assert (one.verdict, one.reason.key, one.value) == (0, "part", None)


def test_nobody_who_does_not_ask_for_nox_is_told_that_no2_is_missing(split: City):
    PermitLimit.objects.all().delete()
    split.send(hour(1), {"a21003": 60.0, "a19001": 12.0})
    split.judge()
    assert set(Judgement.objects.get().factors) == {"a21003", "a19001"}


@pytest.mark.parametrize(
    ("no", "no2", "fault"),
    [
        ((60.0, "C"), 8.0, Fault.MARK),
        (60.0, (8.0, "D"), Fault.MARK),
        (-1.0, 8.0, Fault.NEGATIVE),
        (60.0, "", Fault.MISSING),
    ],
)
def test_nox_is_valid_only_where_both_are(split: City, no, no2, fault: Fault):
    split.send(hour(1), {"a21003": no, "a21004": no2, "a19001": 12.0})
    split.catch_up()
    assert Fault(cell(hour(1))["fault"]) & fault
    assert not Exceedance.objects.exists()


def test_no2_that_stands_at_zero_does_not_take_nox_away_but_no_that_stands_does(split: City):
    for n in range(8):
        no = 70.0 + n if n < 4 else 70.0
        split.send(hour(n), {"a21003": no, "a21004": 0.0, "a19001": 12.0 + n / 10}, breath=False)
    split.catch_up()
    assert Fault(cell(hour(1), "a21004")["fault"]) == Fault.FLAT
    assert cell(hour(1)).get("fault", 0) == 0
    assert cell(hour(1))["value"] == pytest.approx(71 * 46 / 30)
    assert Fault(cell(hour(6))["fault"]) == Fault.FLAT


def test_hours_of_minutes_make_nox_too_and_wait_until_the_hour_is_complete(split: City):
    for start in (hour(1), hour(-1)):
        for n in range(50 if start == hour(1) else 20):
            when = start + timedelta(minutes=n)
            split.send(when, SENT, resolution="minute", take=False)
    split.take()
    split.catch_up()
    row = Exceedance.objects.get()
    assert (row.time, row.value) == (hour(1), pytest.approx(500 / 3))
    assert len(row.telegrams) == 50


def test_a_day_of_nox_is_the_mean_of_its_hours(split: City):
    start = datetime(2026, 11, 18, 16, tzinfo=UTC)
    for n in range(24):
        values = {"a21003": 30.0 + n % 3, "a21004": 4.0, "a19001": 6.0 + n % 2 / 100}
        split.send(start + timedelta(hours=n), values, take=False, breath=False)
    split.take()
    split.catch_up()
    found = cell(start, period="day")
    assert found["count"] == [24, 24]
    assert found["value"] == pytest.approx(31 * 46 / 30 + 4)  # mean of 30, 31, 32


# What is limited, but does not come ---------------------------------------------------------------


def test_the_day_says_which_limited_factors_did_not_come(city: City):
    limit(city.outlet, city.permit, "a21026", "35")
    limit(city.outlet, city.permit, "a34013", "10", valid_from=date(2026, 12, 1))  # not yet
    city.send(hour(1), {"a21002": 50.0, "a19001": 12.0})
    city.catch_up()
    assert TransmissionDay.objects.get().unsent == ["a21026"]
    city.send(hour(0), {"a21002": 50.0, "a19001": 12.0, "a21026": 12.0})
    city.catch_up()
    assert TransmissionDay.objects.get().unsent == []


def test_what_another_point_or_a_person_measures_is_not_missed(city: City):
    limit(city.outlet, city.permit, "a21026", "35")
    limit(city.outlet, city.permit, "a34013", "10")
    make_point(city.outlet, city.region, 2, factors=["a21026"])
    MonitoringPlan.objects.create(
        permit=city.permit, outlet=city.outlet, factor="a34013", means="manual", every="month",
        valid_from=date(2025, 1, 1),
    )  # fmt: skip
    city.send(hour(1), {"a21002": 50.0, "a19001": 12.0})
    city.catch_up()
    assert TransmissionDay.objects.get().unsent == []


def test_point_and_bulletin_say_it(split: City, dispatcher, client):
    split.send(hour(1), {"a21003": 60.0, "a19001": 12.0})
    split.catch_up()
    day = TransmissionDay.objects.get()
    assert (day.unsent, day.faults) == (["a21002"], {})
    client.force_login(dispatcher)
    page = reverse("monitoring:bulletin") + f"?day={day.day}&region={split.point.region_id}"
    text = client.get(page, headers={"accept-language": "en"}).content.decode()
    assert "limited, but not sent: NOx" in text
    assert selectors.unsent(split.point, day.day) == day
    assert selectors.unsent(split.point, day.day + timedelta(days=3)) is None


def test_the_point_page_says_it(split: City, dispatcher, client):
    """Of now, for the page asks the clock."""
    split.send(
        now := datetime.now(UTC) - timedelta(hours=2),
        {"a21003": 60.0, "a19001": 12.0},
        received=now + timedelta(hours=1, minutes=1),
    )
    split.catch_up(datetime.now(UTC))
    client.force_login(dispatcher)
    text = client.get(
        split.point.get_absolute_url(), headers={"accept-language": "en"}
    ).content.decode()
    assert "The permit limits NOx, but no hour of it came on" in text
    assert "Only NO or only NO2 was sent" in text
