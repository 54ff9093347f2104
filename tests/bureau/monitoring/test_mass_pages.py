"""How masses were reckoned: the steps of a permitted amount, of a rate, of a day hour by hour."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from jingwei.bureau.monitoring import amounts, mass_steps
from jingwei.bureau.monitoring.models import EmissionDay

from .conftest import NOW, City, hour, make_point, make_user
from .test_amounts import AIR, KG, permitted, refresh, row, send

DAY = date(2026, 11, 20)


def results(steps: list[dict[str, str]]) -> list[str]:
    return [f"{s['working']} → {s['result']}" for s in steps]


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


@pytest.fixture
def officer(client: Client, dispatcher, monkeypatch: pytest.MonkeyPatch) -> Client:
    client.force_login(dispatcher)
    client.cookies["django_language"] = "en"
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    return client


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.django_db
def test_a_day_says_of_every_hour_what_it_weighs_and_why(city: City):
    """Forty hours of 1.8 kg/h, two of them not sent: filled with the largest before, 80 mg/m³."""
    send(city, *(n for n in range(40) if n not in (3, 4, 20)))
    city.send(hour(20), AIR | {"a21002": 80.0})
    refresh(city)
    one = amounts.reckoned(city.point, "a21002", DAY, NOW)
    assert one is not None
    hours = mass_steps.hours_of(one, DAY, "air", 2.0)
    assert [h.state for h in hours] == ["measured"] * 7 + ["filled"] * 2 + ["measured"] * 3
    assert hours[7].kg == pytest.approx(KG * 80 / 50)
    assert (hours[7].over, hours[0].over) == (None, False)  # what is filled is never judged
    assert sum(h.kg or 0 for h in hours) == pytest.approx(row().kg)
    steps = mass_steps.of_day(one, hours, DAY, "air")
    assert results(steps) == [
        "12 = 10 + 2 + 0 + 0 → 83.3 % of the hours in operation are valid",
        "38 / 40 → 95.0 %",
        "n = 10 → 18 kg",
        "S-75-inv90: 2 h → 5.76 kg",
        "18 + 5.76 → 23.76 kg",
    ]
    (past,) = [
        h
        for h in mass_steps.hours_of(one, DAY - timedelta(days=1), "air", 2.0)
        if h.time == hour(20)
    ]
    assert past.over is True


@pytest.mark.django_db
def test_an_hour_of_wastewater_shows_with_what_it_was_reckoned(city: City):
    city.outlet.medium = "water"
    city.outlet.save()
    point = make_point(city.outlet, city.region, 2, st="32", factors=["w01018", "w00000"])
    for n, mark in enumerate(["D", "N", "N"]):
        city.send(hour(n), {"w01018": (30.0, mark), "w00000": 100.0 + n}, point=point, take=False)
    city.take()
    refresh(city)
    one = amounts.reckoned(point, "w01018", DAY, NOW)
    assert one is not None
    last = mass_steps.hours_of(one, DAY, "water", None)[-1]
    assert (last.state, last.conc_valid, last.flow_valid) == ("filled", False, True)
    assert last.used == "30 mg/L × 360 m³/h"
    assert last.kg == pytest.approx(10.8)


@pytest.mark.django_db
def test_a_yearly_amount_shows_its_way_to_the_verdict(city: City, officer: Client):
    amount = permitted(city, "0.02", unit="t")
    send(city, *(n for n in range(40) if n != 3))
    refresh(city)
    page = text(officer.get(reverse("monitoring:amount", args=[amount.pk])))
    # up to yesterday: 28 h of 1.8 kg, all measured; hour 3 before the last is of today
    assert "28 = 28 + 0 + 0 + 0" in page
    assert "50.4 kg" in page
    assert "Over the permitted amount" in page


@pytest.mark.django_db
def test_steps_of_an_amount_by_hand(city: City):
    """Two days of 24 h: 40 kg of which 4 filled in 3 h, and 2 h out of operation."""
    for n, (kg, filled) in enumerate([(25.0, 0.0), (15.0, 4.0)]):
        EmissionDay.objects.create(
            point=city.point, factor="a21002", day=date(2026, 11, 17 + n), kg=kg,
            substituted=filled, hours=24, valid=24 if n == 0 else 18, stopped=2 * n, without=n,
            rules={"S-75-inv90": 3} if n else {},
        )  # fmt: skip
    amount = permitted(city, "0.03", unit="t")
    (line,) = amounts.lines([amount], 2026, DAY)
    rows = mass_steps.days_of(amount, date(2026, 1, 1), date(2026, 11, 19))
    part = mass_steps.added(rows, date(2026, 1, 1))
    assert (part.filled, part.without, len(part.days)) == (3, 1, 2)
    assert results(mass_steps.of_amount(line, part, "air", complete=False)) == [
        "48 = 42 + 3 + 2 + 1 → 91.3 % of the hours in operation are valid",
        "n = 42 → 36 kg",
        "S-75-inv90: 3 h → 4 kg",
        "36 + 4 → 40 kg",
        "0.03 t → ≤ 30 kg",
        "40 > 30 → Over the permitted amount",
        "40 + 363.042 × 20.4255 → 7455.32 kg",  # 47 of 48 hours: 365 / (47 / 24) × 40
    ]
    verdict = mass_steps.of_amount(line, part, "air", complete=True)[-1]
    assert verdict["note"] == "10 kg more than permitted; 1 hours without mass are not in the sum"
    (month,) = mass_steps.by_month(rows)
    assert (month.start, month.kg) == (date(2026, 11, 1), 40)


@pytest.mark.django_db
def test_a_rate_a_little_over_is_told_from_the_permitted_one(city: City):
    amount = permitted(city, "2.5", "rate")
    top = EmissionDay(point=city.point, factor="a21002", peak=2.5000004, peak_at=hour(1))
    *_way, verdict = mass_steps.of_rate(amount, 2.5, top, "air")
    assert (verdict["working"], verdict["result"]) == (
        "2.5000004 > 2.5", "Over the permitted amount"
    )  # fmt: skip


@pytest.mark.django_db
def test_pages_lead_from_the_point_to_amounts_and_hours(city: City, officer: Client):
    yearly, monthly = permitted(city, "20"), permitted(city, "50", "month")
    rate = permitted(city, "2.5", "rate")
    send(city, *range(12, 72))
    city.send(hour(30), AIR | {"a21002": 80.0})
    refresh(city)
    page = text(officer.get(city.point.get_absolute_url()))
    for amount in (yearly, monthly, rate):
        address = reverse("monitoring:amount", args=[amount.pk])
        assert address in page
        assert "From the hours to the verdict" in text(officer.get(address))
    days = text(officer.get(reverse("monitoring:amount", args=[rate.pk]) + "?month=11"))
    hours = reverse("monitoring:masses", args=[city.point.mn, city.point.st])
    assert f"{hours}?factor=a21002&amp;day=2026-11-19" in days
    assert days.count("Over the permitted amount") == 3  # the head, the verdict and the day
    over = text(officer.get(hours + "?factor=a21002&day=2026-11-19"))
    assert over.count("Exceeds the limit") == 1
    assert "Permitted rate 2.5 kg/h (permit)" in over


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?day=x", "?factor=x&day=0001-01-01", "?day=9999-12-31"])
def test_wrong_addresses_and_empty_days_are_no_errors(city: City, officer: Client, query: str):
    hours = reverse("monitoring:masses", args=[city.point.mn, city.point.st])
    assert "No emissions in this period" in text(officer.get(hours + query))
    amount = reverse("monitoring:amount", args=[permitted(city, "20").pk])
    assert "No emissions" in text(officer.get(amount + "?year=99999&month=13"))


@pytest.mark.django_db
def test_another_enterprise_sees_neither(city: City, client: Client):
    client.force_login(make_user("enterprise", enterprise="91110000000000000X"))
    assert (
        client.get(reverse("monitoring:amount", args=[permitted(city, "1").pk])).status_code == 404
    )
    hours = reverse("monitoring:masses", args=[city.point.mn, city.point.st])
    assert client.get(hours).status_code == 404
