"""What a value of flue gas is before it is compared: nitrogen oxides of NO and NO2; what is missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse

from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import gas, selectors
from jingwei.bureau.monitoring.models import Basis, Exceedance, Judgement, TransmissionDay
from jingwei.bureau.registry.models import MonitoringPlan, PermitLimit
from jingwei.standards import tables

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
        "nox", "mark", "validity", "basis", "converted", "limit", "verdict",
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


# The state of the gas -----------------------------------------------------------------------------


def keys(row: Exceedance) -> list[str]:
    return [s["key"] for s in row.steps]


def test_a_value_is_taken_as_dry_at_standard_state_and_the_steps_say_so(city: City):
    city.send(hour(1), {"a21002": 90.0, "a19001": 12.0, "a01014": 16.0, "a01012": 127.0})
    city.judge()
    row = Exceedance.objects.get()
    assert row.value == 150.0  # 90 · 15 / 9: nothing else was done to it
    assert keys(row) == ["raw", "mark", "validity", "basis", "converted", "limit", "verdict"]
    assert row.steps[3]["numbers"] == {"state": "standard"}
    assert row.steps[3]["source"].startswith("HJ 212-2017 App. D")


def test_wet_gas_is_brought_to_dry_gas_by_its_moisture(city: City):
    Basis.objects.create(point=city.point, factor="a21002", state="wet")
    city.send(hour(1), {"a21002": 84.0, "a19001": 6.0, "a01014": 16.0})  # 84 / 0.84 = 100: within
    city.send(hour(0), {"a21002": 84.42, "a19001": 6.0, "a01014": 16.0})  # 100.5
    city.judge()
    row = Exceedance.objects.get()
    assert (row.time, row.value) == (hour(0), pytest.approx(100.5))
    assert keys(row) == ["raw", "mark", "validity", "basis", "dry", "converted", "limit", "verdict"]
    assert row.reported["value"] == 84.42
    assert row.steps[4]["numbers"] == {"c": 84.42, "xsw": 16.0, "result": pytest.approx(100.5)}
    assert cell(hour(1))["value"] == pytest.approx(100.0)
    assert cell(hour(1))["state"] == {"value": 84.0, "state": "wet", "xsw": 16.0}


def test_gas_at_the_state_of_the_stack_is_brought_to_standard_state(city: City):
    """t = 127 °C, Ba + Ps = 102.325 − 1 kPa = 101325 Pa: times 400 / 273; of wet gas / 0.84 more."""
    Basis.objects.create(point=city.point, factor="a21002", state="stack")
    air = {"a19001": 6.0, "a01012": 127.0, "a01013": -1.0, "a01006": 102.325, "a01014": 16.0}
    city.send(hour(2), {"a21002": 68.0, **air})
    city.send(hour(1), {"a21002": 69.0, **air})
    city.judge()
    assert cell(hour(2))["value"] == pytest.approx(68 * 400 / 273)  # 99.63
    assert Exceedance.objects.get().value == pytest.approx(69 * 400 / 273)  # 101.1
    Basis.objects.update(state="stack_wet")
    city.send(hour(0), {"a21002": 60.0, **air})
    city.judge()
    assert cell(hour(0))["value"] == pytest.approx(60 * 400 / 273 / 0.84)  # 104.7
    assert keys(Exceedance.objects.get(time=hour(0)))[3:6] == ["basis", "standard", "dry"]


@pytest.mark.parametrize(
    ("state", "air"),
    [
        ("wet", {}),
        ("wet", {"a01014": (16.0, "D")}),
        ("wet", {"a01014": 100.0}),
        ("stack", {"a01012": 127.0, "a01013": -1.0}),  # nobody says the air pressure
        ("stack", {"a01012": 127.0, "a01006": 101.325}),
    ],
)
def test_without_what_converts_it_a_value_is_not_judged_and_says_why(city: City, state, air):
    Basis.objects.create(point=city.point, factor="a21002", state=state)
    city.send(hour(1), {"a21002": 900.0, "a19001": 12.0, **air})
    assert city.judge().not_judged == {"state": 1}
    assert (cell(hour(1))["value"], Fault(cell(hour(1))["fault"])) == (900.0, Fault.STATE)


def test_the_air_pressure_may_be_declared_and_a_basis_begins_on_its_day(city: City):
    Basis.objects.create(
        point=city.point,
        factor="a21002",
        state="stack",
        barometer=102.325,
        since=date(2026, 11, 20),
    )
    air = {"a19001": 6.0, "a01012": 127.0, "a01013": -1.0}
    yesterday = datetime(2026, 11, 19, 15, tzinfo=UTC)  # 23:00 in Beijing
    for when in (yesterday, yesterday + timedelta(hours=1)):
        city.send(when, {"a21002": 50.0, **air})
    city.judge()
    assert cell(yesterday)["value"] == 50.0
    assert cell(yesterday + timedelta(hours=1))["value"] == pytest.approx(50 * 400 / 273)


def test_no_and_no2_are_converted_before_nox_is_made_of_them(split: City):
    Basis.objects.create(point=split.point, factor="a21003", state="wet")
    split.send(hour(1), {"a21003": 50.4, "a21004": 8.0, "a19001": 6.0, "a01014": 16.0})
    split.judge()
    assert cell(hour(1))["value"] == pytest.approx(60 * 46 / 30 + 8)  # 50.4 / 0.84 = 60


def test_the_page_of_a_value_shows_its_state(city: City, dispatcher, client):
    Basis.objects.create(point=city.point, factor="a21002", state="wet")
    city.send(hour(1), {"a21002": 84.42, "a19001": 6.0, "a01014": 16.0})
    city.catch_up()
    client.force_login(dispatcher)
    url = reverse("monitoring:value", args=[city.point.mn, city.point.st])
    query = {"factor": "a21002", "resolution": "hour", "time": int(hour(1).timestamp())}
    text = client.get(url, query, headers={"accept-language": "en"}).content.decode()
    for words in ("standard state, wet", "84.42 / (1 − 16 / 100)", "100.5"):
        assert words in text
    text = client.get(url, query, headers={"accept-language": "zh-hans"}).content.decode()
    for words in ("标准状态、湿基", "HJ 212-2017 附录 D (18)、(19)", "HJ 212-2017 附录 D (19)"):
        assert words in text
    assert "App. D" not in text


def test_the_sources_of_all_steps_have_their_chinese():
    state = {"value": 60.0, "state": "stack_wet", "t": 127.0, "ba": 1e5, "ps": 0.0, "xsw": 16.0}
    sources = {gas.SOURCE_NOX, gas.SOURCE_BASIS, *(s.source for s in gas.formulas_of(state))}
    assert len(sources) == 4
    assert [s for s in sources if tables.chinese(s) == s] == []
