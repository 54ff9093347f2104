"""The national daily line of furnaces whose permit has none."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring import national, selectors
from jingwei.bureau.monitoring.models import Exceedance, Furnace, Judgement
from jingwei.bureau.registry import changes, services
from jingwei.bureau.registry import lines as permit_lines
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


# A line of the permit's own ---------------------------------------------------------------------

OWN = {
    "factor": "a21002", "period": "day", "value": Decimal(200), "unit": "mg/m3",
    "reference_o2": 11.0, "source": "许可证", "verified": "verified",
}  # fmt: skip
YESTERDAY = TODAY - timedelta(days=1)


def day_of(city: City, nox: float) -> None:
    """The 19th in Beijing, 24 hours at 11 % O2."""
    for n in range(12, 36):
        city.send(hour(n), {"a21002": nox, "a19001": 11.0}, take=False)
    city.take()
    city.catch_up()


def test_the_permits_own_line_takes_the_place_of_the_national_one(city: City, furnace: Furnace):
    national.enter(NOW)
    own = services.create_limit(city.permit, city.outlet, valid_from=date(2026, 12, 1), **OWN)
    old = PermitLimit.objects.get(factor="a21002", assumed=True)
    assert (old.valid_to, own.assumed) == (date(2026, 11, 30), False)
    assert national.enter(NOW) == 0
    own.valid_to = date(2027, 6, 30)
    own.save()
    later = NOW + timedelta(days=300)
    Permit.objects.update(valid_to=date(2030, 1, 1))
    assert national.enter(later) == 1  # the own one has ended: the national one holds again
    assert PermitLimit.objects.get(assumed=True, factor="a21002", valid_to=None).valid_from == date(
        2027, 7, 1
    )


def test_a_day_judged_by_the_national_line_is_judged_again_by_the_own_one(
    city: City, furnace: Furnace
):
    national.enter(NOW)
    day_of(city, 260.0)
    assert Exceedance.objects.get(period="day").limit_value == 250
    services.create_limit(
        city.permit, city.outlet, valid_from=YESTERDAY, **(OWN | {"value": Decimal(300)})
    )
    city.catch_up(max(NOW, datetime.now(UTC)))
    assert Exceedance.objects.get(period="day").withdrawn == "limit"
    cell = Judgement.objects.get(period="day", stands=True).factors["a21002"]
    assert [v[0] for v in cell["limits"].values()] == [1]  # within 300
    assert Judgement.objects.filter(period="day", stands=False).exists()


def test_a_stricter_line_of_its_own_finds_what_the_national_one_let_pass(
    city: City, furnace: Furnace
):
    national.enter(NOW)
    day_of(city, 220.0)
    assert not Exceedance.objects.filter(period="day").exists()
    services.create_limit(city.permit, city.outlet, valid_from=date(2025, 1, 1), **OWN)
    city.catch_up(max(NOW, datetime.now(UTC)))
    assert Exceedance.objects.get(period="day", withdrawn="").limit_value == 200
    assert not PermitLimit.objects.filter(assumed=True, factor="a21002").exists()


def test_a_national_line_by_which_was_judged_stays_but_never_holds(city: City, furnace: Furnace):
    national.enter(NOW)
    day_of(city, 260.0)
    services.create_limit(city.permit, city.outlet, valid_from=date(2025, 1, 1), **OWN)
    city.catch_up(max(NOW, datetime.now(UTC)))
    old = PermitLimit.objects.get(assumed=True, factor="a21002")
    assert old.never
    assert {(e.limit_value, e.withdrawn) for e in Exceedance.objects.filter(period="day")} == {
        (250, "limit"), (200, ""),
    }  # fmt: skip
    assert old not in selectors.limits_on(
        selectors.limits_of(city.point), "a21002", "day", old.valid_from
    )
    assert national.enter(NOW) == 0


def test_the_administration_says_which_line_gives_way(city: City, furnace: Furnace, client):
    national.enter(NOW)
    client.force_login(root := User.objects.create_superuser("root", password="x"))
    typed = {k: str(v) for k, v in OWN.items()} | {
        "permit": city.permit.pk, "outlet": city.outlet.pk, "valid_from": "2026-12-01",
    }  # fmt: skip
    page = client.post(
        reverse("admin:registry_permitlimit_add"), typed, follow=True,
        headers={"accept-language": "en"},
    ).content.decode()  # fmt: skip
    assert "NOx 250 mg/m³, held because the permit said nothing" in page
    assert "gives way to the permit&#x27;s own from 2026-12-01 on" in page
    entry = EvidenceEntry.objects.filter(kind="permit").latest("pk")
    content = json.loads(entry.content)["content"]
    assert (content["act"], content["valid_from"]) == ("limit entered", "2026-12-01")
    assert content["gave_way"][0][4] == "250"
    assert root.is_superuser


def test_a_change_of_the_permit_shows_the_line_that_gives_way(
    city: City, furnace: Furnace, dispatcher, client
):
    national.enter(NOW)
    line = permit_lines.Line("DA001", "a21002", "day", Decimal(200), "mg/m³", 11.0, source="许可证")
    change = changes.Change(
        "changed", city.permit.number, "key", date(2025, 1, 1), date(2030, 1, 1), date(2026, 12, 1),
        "", [line],
    )  # fmt: skip
    found = changes.difference(city.permit, change)
    assert [(r.factor, r.value) for r in found.giving_way] == [("a21002", 250)]
    assert (len(found.added), found.ended) == (1, [])  # the other four go on
    changes.apply(dispatcher, city.permit.enterprise, city.permit, change)
    assert lines(valid_to=None) == {
        "a34013": 20, "a21026": 80, "a21024": 50, "a21005": 80, "a21002": 200,
    }  # fmt: skip
    client.force_login(dispatcher)
    url = reverse("registry:permit", args=[city.permit.pk]) + "?on=2026-12-02"
    page = client.get(url, headers={"accept-language": "en"}).content.decode()
    assert page.count("National line, not of the permit") == 4
