"""What comes in wrong: each gets a reason, none a guess, and what is right beside it is judged."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import selectors
from jingwei.bureau.monitoring.models import Exceedance, Judgement
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.registry.models import PermitLimit
from jingwei.bureau.registry.selectors import problems

from .conftest import NOW, City, hour, limit, make_point, make_user

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}  # 150 mg/m³ at 6 % O2, limit 100


def judged(city: City) -> tuple[dict[str, int], int]:
    report = city.judge()
    return dict(report.not_judged), report.exceeded


def cells(city: City, when: datetime) -> dict:
    return Judgement.objects.get(point=city.point, period="hour", time=when, stands=True).factors


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"a21002": 90.0, "a19001": 21.0}, "oxygen_high"),
        ({"a21002": 90.0, "a19001": 25.0}, "oxygen_high"),
        ({"a21002": 90.0, "a19001": -0.1}, "oxygen_negative"),
        ({"a21002": 90.0, "a19001": (12.0, "D")}, "oxygen_mark"),
        ({"a21002": 90.0, "a19001": ""}, "oxygen_missing"),
        ({"a21002": 90.0}, "oxygen_missing"),
        ({"a21002": -90.0, "a19001": 12.0}, "value_negative"),
        ({"a21002": 1e300, "a19001": 12.0}, "value_missing"),
    ],
)
def test_no_verdict_without_a_sound_value_and_oxygen(city: City, sent: dict, why: str):
    city.send(hour(1), sent)
    city.send(hour(0), OVER)
    assert judged(city) == ({why: 1}, 1)
    assert Exceedance.objects.get().time == hour(0)


@pytest.mark.parametrize("unit", ["", "mg/L", "毫克", "mg", "kg/h/m3"])
def test_a_limit_whose_unit_is_missing_or_wrong_judges_nothing(city: City, unit: str):
    PermitLimit.objects.filter(period="hour").update(unit=unit)
    city.send(hour(0), OVER)
    assert judged(city) == ({"unit": 1}, 0)


def shown(city: City, client, factor: str = "a21002", resolution: str = "hour") -> str:
    """The page of the value of hour 0, or of its day."""
    client.force_login(make_user("dispatcher", name="looks"))
    client.cookies["django_language"] = "en"
    when = hour(0) if resolution == "hour" else day_start(local_day(hour(0)))
    query = {"factor": factor, "resolution": resolution, "time": int(when.timestamp())}
    url = reverse("monitoring:value", args=[city.point.mn, city.point.st])
    page = client.get(url, query).content.decode()
    assert client.get(city.permit.get_absolute_url()).status_code == 200
    return html.unescape(page)


@pytest.mark.parametrize(
    ("forced", "why", "found"),
    [
        ({"period": ""}, "It has no period", "has no period"),
        ({"reference_o2": 21.0}, "Its reference oxygen is 21 %", "has a reference oxygen of 21 %"),
        ({"reference_o2": -1.0}, "Its reference oxygen is -1 %", "has a reference oxygen of -1 %"),
    ],
)
def test_a_limit_that_cannot_be_judged_by_says_why(city: City, client, forced, why, found):
    """The forms and imports refuse one; where it is there all the same it is not taken for another."""
    PermitLimit.objects.filter(period="hour").update(**forced)
    city.send(hour(0), OVER)
    assert judged(city) == ({}, 0)
    assert not Exceedance.objects.exists()
    page = shown(city, client)
    assert "Nothing is judged by this limit." in page
    assert f"≤ 100 mg/m³: {why}" in page
    assert "From the value to its validity" in page
    assert why in html.unescape(client.get(city.permit.get_absolute_url()).content.decode())
    assert why in html.unescape(client.get(city.point.get_absolute_url()).content.decode())
    (problem,) = problems()
    assert found in problem
    assert "a21002" in problem


def test_an_exceedance_goes_where_its_limit_cannot_be_judged_by_any_more(city: City):
    city.send(hour(0), OVER)
    assert judged(city) == ({}, 1)
    PermitLimit.objects.filter(period="hour").update(reference_o2=21.0)
    city.send(hour(0), {"a21002": 91.0, "a19001": 12.0})
    assert judged(city) == ({}, 0)
    assert Exceedance.objects.get().withdrawn == "limit"


def test_an_unknown_factor_is_kept_beside_the_others(city: City):
    city.send(hour(0), {**OVER, "z99999": 5.0})
    assert judged(city) == ({}, 1)
    assert "a21002" in cells(city, hour(0))


@pytest.mark.parametrize("unit", ["", "mg/m3"])
def test_nothing_is_judged_by_a_limit_of_an_unknown_factor(city: City, client, unit):
    """Nobody knows in which unit it is sent: not even where the limit has none either."""
    limit(city.outlet, city.permit, "z99999", "1", unit=unit, reference_o2=None)
    city.send(hour(0), {**OVER, "z99999": 5.0})
    assert judged(city) == ({}, 1)
    assert Exceedance.objects.get().factor == "a21002"
    assert "“z99999” is no factor of HJ 212" in shown(city, client, "z99999")
    (problem,) = problems()
    assert "'z99999' at DA001 is of a factor that is in no table" in problem


def test_a_limit_of_ph_has_no_unit_and_is_judged_by(city: City):
    limit(city.outlet, city.permit, "w01001", "6", unit="", lower=True, reference_o2=None)
    water = make_point(city.outlet, city.region, 7, st="32", factors=["w01001"])
    city.send(hour(0), {"w01001": 5.5}, point=water)
    assert judged(city) == ({}, 1)
    assert list(problems()) == []


@pytest.mark.parametrize(
    ("late", "wrong"),
    [
        (timedelta(minutes=-9), False),
        (timedelta(minutes=-11), True),
        (timedelta(days=-365), True),
        (timedelta(days=30), False),
        (timedelta(days=365), True),
    ],
)
def test_a_clock_ahead_or_a_year_behind(city: City, late: timedelta, wrong: bool):
    when = hour(2)
    city.send(when, OVER, received=when + late)
    found = judged(city)
    assert found == (({"clock": 1}, 0) if wrong else ({}, 1))
    assert bool(cells(city, when)["a21002"].get("fault", 0) & Fault.CLOCK) == wrong


def test_of_two_values_of_an_hour_the_later_counts_and_both_stay_readable(city: City):
    city.send(hour(0), {"a21002": 30.0, "a19001": 12.0})
    city.send(hour(0), OVER)
    assert judged(city) == ({}, 1)
    assert [r.version.value for r in selectors.receptions(city.point, "a21002", "hour", hour(0))] == [30.0, 90.0]  # fmt: skip


def test_a_negative_flow_makes_no_rate_and_no_verdict(city: City):
    PermitLimit.objects.all().delete()
    limit(city.outlet, city.permit, value="3", unit="kg/h", reference_o2=None)
    city.send(hour(1), {"a21002": 100.0, "a00000": -10.0})
    city.send(hour(0), {"a21002": 100.0, "a00000": 10.0})  # 3.6 kg/h
    assert judged(city) == ({"flow_invalid": 1}, 1)
    assert cells(city, hour(1))["a00000"]["fault"] == Fault.NEGATIVE


odd = st.sampled_from(["", "0", "-0.0", "21", "20.9999999999999", "-1", "1e15", "1e16", "1e308", "0.0000001"])  # fmt: skip


@given(st.lists(st.tuples(odd, odd, odd), min_size=1, max_size=4))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_sent_gets_a_verdict_or_a_reason(city: City, rows):
    start = datetime(2026, 11, 10, tzinfo=UTC)
    for n, (value, oxygen, flow) in enumerate(rows):
        sent = {"a21002": value, "a19001": oxygen, "a00000": flow}
        city.send(start + timedelta(hours=n), sent)
    city.judge()
    for n in range(len(rows)):
        when = start + timedelta(hours=n)
        found = selectors.cells(city.point, "hour", when, NOW)
        said = selectors.verdicts_on(city.point, found, "a21002", "hour", when)
        assert len(said) == 1
        one = said[0][1]
        assert bool(one.verdict) != bool(one.reason)
        assert (one.value is None) == bool(one.reason)
        assert one.value is None or 0 <= one.value < float("inf")
