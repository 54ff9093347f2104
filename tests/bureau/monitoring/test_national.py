"""The national daily line of furnaces whose permit has none."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from jingwei.bureau.monitoring import national
from jingwei.bureau.monitoring.models import Exceedance, Furnace
from jingwei.bureau.registry.models import Enterprise, Permit, PermitLimit

from .conftest import NOW, City, hour, limit

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 20)


@pytest.fixture
def furnace(city: City) -> Furnace:
    Enterprise.objects.update(industry="incineration")
    PermitLimit.objects.all().delete()
    return Furnace.objects.create(outlet=city.outlet, point=city.point, name="1号炉")


def lines(**more) -> dict[str, float]:
    rows = PermitLimit.objects.filter(period="day", **more)
    return {r.factor: float(r.value) for r in rows}


def test_the_five_lines_of_gb_18485_hold_where_the_permit_has_none(city: City, furnace: Furnace):
    assert national.enter(NOW) == 5
    assert lines() == {
        "a34013": 20, "a21002": 250, "a21026": 80, "a21024": 50, "a21005": 80,
    }  # fmt: skip
    row = PermitLimit.objects.get(factor="a21002")
    assert (row.reference_o2, row.verified, row.valid_to) == (11.0, "secondary", None)
    assert "国家标准限值：许可证未载明" in row.source
    assert row.source.startswith("GB 18485-2014 ")
    assert national.enter(NOW) == 0


def test_a_day_over_the_national_line_exceeds(city: City, furnace: Furnace):
    """24 hours of 260 mg/m³ at 11 % O2, as measured: over 250; the day was judged before."""
    for n in range(12, 36):
        city.send(hour(n), {"a21002": 260.0, "a19001": 11.0}, take=False)
    city.take()
    city.catch_up()
    assert not Exceedance.objects.exists()
    national.enter(NOW)
    city.catch_up()
    one = Exceedance.objects.get()
    assert (one.period, one.limit_value, one.value) == ("day", 250, pytest.approx(260))


def test_the_line_of_the_permit_comes_first(city: City, furnace: Furnace):
    own = limit(city.outlet, city.permit, value="200", period="day", reference_o2=11.0)
    assert national.enter(NOW) == 4
    assert lines(factor="a21002") == {"a21002": 200}
    own.valid_to = TODAY - timedelta(days=1)
    own.save()
    limit(
        city.outlet, city.permit, value="180", period="day", reference_o2=11.0,
        valid_from=date(2027, 1, 1),
    )  # fmt: skip
    assert national.enter(NOW) == 1  # between the two
    row = PermitLimit.objects.get(factor="a21002", value=250)
    assert (row.valid_from, row.valid_to) == (TODAY, date(2026, 12, 31))


def test_without_a_permit_in_force_nothing_is_entered(city: City, furnace: Furnace):
    Permit.objects.update(valid_to=TODAY - timedelta(days=1))
    assert national.enter(NOW) == 0
    Furnace.objects.all().delete()
    Permit.objects.update(valid_to=date(2030, 1, 1))
    assert national.enter(NOW) == 0
