"""Reports over the daily masses: who sees what, sums, tax equivalents, files."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from jingwei.bureau.accounts.models import User
from jingwei.bureau.monitoring import totals
from jingwei.bureau.monitoring.models import EmissionDay, Exceedance
from jingwei.bureau.registry.models import Outlet, PermitAmount, PermitLimit, Point

from .conftest import City, make_enterprise, make_point, make_user

pytestmark = pytest.mark.django_db
YEAR = timezone.localdate().year
PAGES = ["amounts", "totals", "tax"]


@pytest.fixture(autouse=True)
def in_english(client):
    client.cookies["django_language"] = "en"
    with translation.override("en"):
        yield


def day(point: Point, on: date, factor: str = "a21002", kg: float = 10.0, **more) -> EmissionDay:
    given = {"hours": 24, "valid": 24, "kg": kg, "mean": 20.0, "peak": kg / 20, "peak_at": datetime(on.year, on.month, on.day, 4, tzinfo=timezone.get_current_timezone())}  # fmt: skip
    return EmissionDay.objects.create(point=point, factor=factor, day=on, **(given | more))


@pytest.fixture
def two(city: City) -> City:
    """Two enterprises in two districts, with a week of masses each."""
    _e, _permit, outlet = make_enterprise(city.other, 2)
    outlet.medium, outlet.code, outlet.basin = "water", "DW001", "北运河水系"
    outlet.save()
    city.second = make_point(outlet, city.other, 2, st="32", factors=["w01018", "w00000"])
    for n in range(7):
        day(city.point, date(YEAR, 1, 1 + n), substituted=1.0, valid=20, rules={"S-75-inv90": 4})
        day(city.second, date(YEAR, 1, 1 + n), "w01018", 100.0, mean=20.0)
    PermitAmount.objects.create(
        permit=city.permit, outlet=None, factor="a21002", period="year", value=Decimal("0.05"),
        unit="t", source="permit", verified="secondary", valid_from=date(2025, 1, 1),
    )  # fmt: skip
    return city


def table(response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(response).decode("utf-8-sig"))))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("role", "area", "first", "second"),
    [
        ("dispatcher", "", True, True),
        ("auditor", "", True, True),
        ("district", "110108", True, False),
        ("grid", "110105", False, True),
        ("department", "110108", True, False),
    ],
)
def test_everybody_sees_the_own_area(client, two, name, role, area, first, second):
    client.force_login(make_user(role, area))
    for url in (reverse(f"monitoring:{name}"), reverse(f"monitoring:{name}_csv")):
        response = client.get(url)
        body = b"".join(response).decode() if response.streaming else response.content.decode()
        assert ("示例热电1厂" in body) is first
        assert ("示例热电2厂" in body) is (second and name != "amounts")


def test_an_enterprise_sees_itself(client, two):
    client.force_login(make_user("enterprise", enterprise="911100000000000002"))
    page = client.get(reverse("monitoring:totals")).content.decode()
    assert "示例热电2厂" in page
    assert "示例热电1厂" not in page
    pk = two.permit.pk
    assert client.get(reverse("monitoring:permit_amounts", args=[pk])).status_code == 404


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "query", ["year=x", "year=1", "month=13", "region=%00", "q=%00", "air=99", "page=x", "state=x"]
)
def test_bad_filters_are_said_or_passed_over(client, two, name, query):
    client.force_login(make_user("dispatcher"))
    for url in (reverse(f"monitoring:{name}"), reverse(f"monitoring:{name}_csv")):
        assert client.get(f"{url}?{query}").status_code == 200


def test_sums_by_every_group(client, two):
    found = totals.rows(make_user("dispatcher"), YEAR)
    assert {r.name: r.kg for r in totals.totals(found, "enterprise")} == {
        "示例热电1厂": 70, "示例热电2厂": 700,
    }  # fmt: skip
    assert [(r.name, r.kg) for r in totals.totals(found, "basin")] == [("北运河水系", 700)]
    assert {r.name for r in totals.totals(found, "region")} == {"Haidian", "Chaoyang"}
    (air,) = (r for r in totals.totals(found, "outlet") if r.factor == "a21002")
    assert air.name == "示例热电1厂 DA001"
    assert (air.substituted, air.valid, air.days) == pytest.approx((0.1, 20 / 24, 7))
    assert not totals.totals(totals.rows(make_user("auditor"), YEAR, 2), "outlet")


def test_amounts_say_what_is_over_first(client, two):
    client.force_login(make_user("dispatcher"))
    page = client.get(reverse("monitoring:amounts")).content.decode()
    assert "Over the permitted amount" in page
    assert "From a secondary source" in page
    rows = table(client.get(reverse("monitoring:amounts_csv") + "?state=over"))
    assert float(rows[1][5]) == 50
    assert float(rows[1][6]) == 70
    assert len(table(client.get(reverse("monitoring:amounts_csv") + "?state=within"))) == 1
    part = client.get(
        reverse("monitoring:permit_amounts", args=[two.permit.pk]), headers={"HX-Request": "true"}
    )
    assert "<html" not in part.content.decode()
    assert "10.0 % substituted" in part.content.decode()


def test_equivalents_by_outlet_and_month(client, two):
    """100 kg a day of COD, one equivalent a kilogram (annex 2): 700; at 20 of 50 mg/L half of it."""
    PermitLimit.objects.create(
        permit=two.permit, outlet=two.second.outlet, factor="w01018", period="day", value=50,
        unit="mg/L", source="GB 18918", verified="verified", valid_from=date(2020, 1, 1),
    )  # fmt: skip
    found = totals.tax_report(
        totals.rows(make_user("dispatcher"), YEAR), {"air": 12.0, "water": 1.4}
    )
    water = next(d for d in found if d.medium == "water")
    assert water.lines[0].equivalents == pytest.approx(700)
    assert water.equivalents == pytest.approx(350)
    assert water.yuan == pytest.approx(350 * 1.4)
    air = next(d for d in found if d.medium == "air")  # limit at reference oxygen: no reduction
    assert air.equivalents == pytest.approx(70 / 0.95)


def over(point: Point, limit: PermitLimit, on: date, period: str = "day") -> Exceedance:
    time = datetime(on.year, on.month, on.day, tzinfo=timezone.get_current_timezone())
    return Exceedance.objects.create(
        point=point, factor=limit.factor, period=period, time=time, value=60, unit="mg/L",
        limit=limit, limit_value=50, multiple=0.2,
    )  # fmt: skip


def test_nothing_is_reduced_in_a_month_in_which_an_outlet_was_over(client, two):
    """Regulation art. 10: 20 of 50 mg/L is half the tax, but not where any outlet of the enterprise
    was over a limit in the month; a corrected exceedance and another month do not count."""
    cod = PermitLimit.objects.create(
        permit=two.permit, outlet=two.second.outlet, factor="w01018", period="day", value=50,
        unit="mg/L", source="GB 18918", verified="verified", valid_from=date(2020, 1, 1),
    )  # fmt: skip
    other = make_point(
        Outlet.objects.create(
            enterprise=two.second.outlet.enterprise, code="DW002", name="x", medium="water",
            longitude=116, latitude=40,
        ),
        two.other, 3, st="32",
    )  # fmt: skip
    day(two.second, date(YEAR, 2, 1), "w01018", 100.0, mean=20.0)

    def due() -> list[float]:
        user = User.objects.get(username="dispatcher-all")
        found = totals.tax_report(totals.rows(user, YEAR), {"air": 1.2, "water": 1.4})
        return [d.equivalents for d in found if d.medium == "water"]

    make_user("dispatcher")
    row = over(other, cod, date(YEAR, 1, 20))
    over(two.second, cod, date(YEAR, 1, 21), "hour")  # of water the day counts, not the hour
    assert due() == pytest.approx([700, 50])
    client.force_login(User.objects.get(username="dispatcher-all"))
    page = client.get(reverse("monitoring:tax")).content.decode()
    assert "over a limit this month: nothing is reduced" in page
    assert "reduced to 50.0 %" in page
    row.withdrawn = "within"
    row.save()
    assert due() == pytest.approx([350, 50])


def test_the_mean_of_flue_gas_is_that_of_its_hours(city: City):
    """20 h at 10 mg/m³ and 4 h at 80: 520 / 24 = 21.7 of 40 mg/m³, 54 %: three quarters of the tax.
    The mean of the two daily means would be 45 and nothing reduced."""
    PermitLimit.objects.all().delete()
    PermitLimit.objects.create(
        permit=city.permit, outlet=city.point.outlet, factor="a21002", period="hour", value=40,
        unit="mg/m3", source="x", verified="verified", valid_from=date(2020, 1, 1),
    )  # fmt: skip
    day(city.point, date(YEAR, 1, 1), kg=95.0, mean=10.0, valid=20)
    day(city.point, date(YEAR, 1, 2), kg=95.0, mean=80.0, valid=4)
    (due,) = totals.tax_report(
        totals.rows(make_user("dispatcher"), YEAR), {"air": 1.2, "water": 1.4}
    )
    assert (due.lines[0].part, due.equivalents) == (0.75, pytest.approx(150))


def test_a_limit_that_had_ended_gives_no_reduction(two):
    PermitLimit.objects.create(
        permit=two.permit, outlet=two.second.outlet, factor="w01018", period="day", value=50,
        unit="mg/L", source="GB 18918", verified="verified", valid_from=date(2020, 1, 1),
        valid_to=date(YEAR, 1, 1) - timedelta(days=1),
    )  # fmt: skip
    found = totals.tax_report(
        totals.rows(make_user("dispatcher"), YEAR), {"air": 12.0, "water": 1.4}
    )
    assert next(d for d in found if d.medium == "water").equivalents == pytest.approx(700)
