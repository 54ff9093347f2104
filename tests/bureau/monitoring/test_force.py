"""Limits and amounts that overlap, and those of a permit that has expired (decision 0013)."""

from __future__ import annotations

import html
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import amounts, expired, services
from jingwei.bureau.monitoring.models import EmissionDay, Exceedance
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.registry import changes, force
from jingwei.bureau.registry.models import Outlet, Permit, PermitAmount, PermitLimit
from jingwei.bureau.registry.selectors import problems

from .conftest import NOW, City, hour, limit, make_user

OVER = {"a21002": 90.0, "a19001": 12.0}  # 150 mg/m³ at 6 % O2
TODAY = local_day(NOW)
LAPSED = date(2026, 10, 31)


def pages(city: City, client) -> dict[str, str]:
    """What a dispatcher reads of hour 0: value, point, permit and its amounts."""
    client.force_login(make_user("dispatcher", name="looks"))
    client.cookies["django_language"] = "en"
    query = f"?factor=a21002&resolution=hour&time={int(hour(0).timestamp())}"
    urls = {
        "value": reverse("monitoring:value", args=[city.point.mn, city.point.st]) + query,
        "point": city.point.get_absolute_url(),
        "permit": city.permit.get_absolute_url(),
        "amounts": reverse("monitoring:permit_amounts", args=[city.permit.pk]),
    }
    return {k: html.unescape(client.get(url).content.decode()) for k, url in urls.items()}


def amount(city: City, value: str = "20", **more) -> PermitAmount:
    given = {
        "permit": city.permit, "outlet": city.outlet, "factor": "a21002", "period": "year",
        "unit": "t", "source": "许可证", "verified": "verified", "valid_from": date(2025, 1, 1),
    }  # fmt: skip
    return PermitAmount.objects.create(value=Decimal(value), **(given | more))


# Overlap ----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("later", "exceeded"), [("200", 0), ("80", 1)])
def test_of_two_limits_that_overlap_the_one_that_began_last_is_applied(
    city: City, client, later, exceeded
):
    limit(city.outlet, city.permit, value=later, valid_from=date(2026, 6, 1))
    city.send(hour(0), OVER)
    report = city.judge()
    assert (report.judged, report.exceeded) == (1, exceeded)
    said = f"≤ 100 mg/m³, in force from 2025-01-01 (permit {city.permit.number}), overlaps it."
    seen = pages(city, client)
    assert said in seen["value"]
    assert seen["value"].count("From the value to the verdict") == 1
    assert said in seen["point"]
    assert said in seen["permit"]
    assert f"Not applied: ≤ {later} mg/m³, in force" in seen["permit"]
    (problem,) = problems()
    assert "are in force at once: the latter is applied" in problem


@pytest.mark.django_db
def test_an_exceedance_goes_with_the_limit_that_gave_way(city: City):
    city.send(hour(0), OVER)
    assert city.judge().exceeded == 1
    limit(city.outlet, city.permit, value="200", valid_from=date(2026, 6, 1))
    city.send(hour(0), {"a21002": 91.0, "a19001": 12.0})
    city.judge()
    assert Exceedance.objects.get().withdrawn == "limit"


@pytest.mark.django_db
def test_days_are_judged_by_one_limit_too(city: City):
    limit(city.outlet, city.permit, value="200", period="day", valid_from=date(2026, 6, 1))
    start = day_start(TODAY - timedelta(days=1))
    for n in range(24):
        city.send(start + timedelta(hours=n), {"a21002": 90.0 + n / 10, "a19001": 12.0})
    services.catch_up(NOW)
    assert not Exceedance.objects.filter(period="day").exists()


@pytest.mark.django_db
def test_a_rate_and_a_concentration_do_not_overlap(city: City):
    limit(city.outlet, city.permit, value="3", unit="kg/h", reference_o2=None, valid_from=date(2026, 6, 1))  # fmt: skip
    city.send(hour(0), {**OVER, "a00000": 10.0})  # 3.24 kg/h
    assert city.judge().exceeded == 2
    assert list(problems()) == []


spans = st.lists(
    st.tuples(st.integers(0, 40), st.integers(-1, 40), st.integers(1, 5), st.booleans(),
              st.sampled_from(["mg/m3", "µg/m³", "kg/h"]), st.sampled_from([None, 6.0, 21.0])),
    max_size=6,
)  # fmt: skip


@given(spans, st.integers(0, 60))
def test_every_day_has_at_most_one_limit_that_can_be_judged_by(rows, day):
    first = date(2026, 1, 1)
    made = [
        PermitLimit(
            pk=n, outlet_id=1, factor="a21002", period="hour", value=Decimal(value), unit=unit,
            reference_o2=o2, assumed=assumed, valid_from=first + timedelta(days=begin),
            valid_to=None if length < 0 else first + timedelta(days=begin + length),
        )
        for n, (begin, length, value, assumed, unit, o2) in enumerate(rows)
    ]  # fmt: skip
    on = first + timedelta(days=day)
    held = [r for r in made if force.holds(r, on)]
    found = force.applied(made, on)
    assert set(found) <= set(held)
    for rate in (True, False):
        sound = [r for r in held if not force.defect(r) and force.is_rate(r) == rate]
        one = [r for r in found if not force.defect(r) and force.is_rate(r) == rate]
        assert len(one) == bool(sound)
        own = [r for r in sound if not r.assumed]
        if own:
            assert not one[0].assumed
            assert one[0].valid_from == max(r.valid_from for r in own)
    # the judge takes away, row by row, the times of those that displace it: the same rows are left
    gone = force.displaced(made)
    left = [r for r in held if not any(force.holds(o, on) for o in gone.get(r.pk, ()))]
    assert left == found


@pytest.mark.django_db
def test_of_overlapping_amounts_one_is_applied(city: City, client):
    other = Permit.objects.create(
        enterprise=city.permit.enterprise, number=f"{city.permit.enterprise.uscc}002P",
        category="key", valid_from=date(2026, 1, 1), valid_to=date(2030, 1, 1),
    )  # fmt: skip
    lax, strict = amount(city, "20"), amount(city, "9000", unit="kg", permit=other)
    every = PermitAmount.objects.all()
    assert force.amounts(every, TODAY) == [strict]  # of the same day: the stricter
    later = amount(city, "30", valid_from=date(2026, 3, 1))
    assert force.amounts(every, TODAY) == [later]
    assert force.amounts(every, date(2026, 2, 1)) == [strict]
    seen = pages(city, client)
    assert "≤ 20 t, in force from 2025-01-01" in seen["amounts"]
    assert "Not applied: ≤ 30 t" in seen["permit"]
    assert len([p for p in problems() if "at once" in p]) == 2
    assert lax in every


@pytest.mark.django_db
def test_an_amount_in_another_unit_is_named_and_stops_nothing(city: City, client):
    row = amount(city, unit="mg/L")
    EmissionDay.objects.create(
        point=city.point, factor="a21002", day=TODAY - timedelta(days=1), kg=30000, hours=24, valid=24
    )  # fmt: skip
    assert amounts.judge([city.permit.enterprise], [], TODAY) == 0
    (problem,) = problems()
    assert "an amount of 'a21002' at DA001 has the unit 'mg/L'" in problem
    assert "“mg/L” does not fit" in pages(city, client)["permit"]
    page = html.unescape(client.get(reverse("monitoring:amount", args=[row.pk])).content.decode())
    assert "Nothing is judged by this amount." in page
    assert "nan" not in page.lower()


@pytest.mark.django_db
def test_an_amount_of_an_unknown_factor_is_refused_and_named(city: City):
    row = amount(city, factor="z99999")
    with pytest.raises(ValidationError, match="z99999"):
        changes.check_amount(row)
    (problem,) = problems()
    assert "an amount of 'z99999' at DA001 is of a factor that is in no table" in problem


# Expired permits --------------------------------------------------------------------------------


def expire(city: City) -> None:
    Permit.objects.filter(pk=city.permit.pk).update(valid_to=LAPSED)
    city.permit.refresh_from_db()


def extend(city: City, in_force: date = TODAY, valid_from: date = date(2026, 11, 1)) -> None:
    lines = [changes.line_of(r) for r in changes.rows_on(city.permit, in_force)]
    changes.apply(
        make_user("dispatcher", name="extends"), city.permit.enterprise, city.permit,
        changes.Change("extended", city.permit.number, "key", valid_from, date(2031, 10, 31),
                       in_force, "", lines),
    )  # fmt: skip


@pytest.mark.django_db
def test_an_expired_permits_limits_and_amounts_go_on_with_a_remark(city: City, client):
    amount(city)
    expire(city)
    city.send(hour(0), OVER)
    assert city.judge().exceeded == 1
    said = "The permit expired on 2026-10-31 and no extension is entered here."
    seen = pages(city, client)
    for name, page in seen.items():
        assert said in page, name
    row = Exceedance.objects.get()
    page = client.get(reverse("monitoring:exceedance", args=[row.pk])).content.decode()
    assert said in html.unescape(page)
    file = html.unescape(client.get(city.permit.enterprise.get_absolute_url()).content.decode())
    assert "Values are still judged by what was last permitted" in file
    extend(city)
    for name, page in pages_again(city, client).items():
        assert said not in page, name


def pages_again(city: City, client) -> dict[str, str]:
    from jingwei.bureau.accounts.models import User

    User.objects.filter(username="looks").delete()
    return pages(city, client)


@pytest.mark.django_db
def test_a_permit_is_valid_by_the_version_of_the_day_or_a_later_one_that_reaches_back(city: City):
    expire(city)
    extend(city)
    permit = Permit.objects.get(pk=city.permit.pk)
    days = [LAPSED, date(2026, 11, 1), TODAY, date(2031, 10, 31)]
    assert all(force.valid_on(permit, d) for d in days)
    assert not force.valid_on(permit, date(2031, 11, 1))
    assert not force.valid_on(permit, date(2024, 12, 31))


@pytest.mark.django_db
def test_discharge_after_the_end_of_a_permit_is_a_finding_once_a_day(city: City):
    city.send(hour(0), OVER)
    city.catch_up()
    services.expect(NOW)
    assert expired.look(NOW) == 0  # valid
    expire(city)
    assert expired.look(NOW) == 0  # looked today
    tomorrow = NOW + timedelta(days=1)
    assert expired.look(tomorrow) == 1
    row = Finding.objects.get(episode__startswith=expired.EPISODE)
    assert row.facts["expired"] == "2026-10-31"
    assert row.began == day_start(date(2026, 11, 1))
    assert "有效期已于 2026-10-31 届满" in row.title
    assert any("视为准予延续" in text for text in row.innocent)
    assert expired.look(tomorrow + timedelta(days=1)) == 0
    with translation.override("en"):
        extend(city)
    expired.look(tomorrow + timedelta(days=2))
    row.refresh_from_db()
    assert "请核实后排除" in row.next_check


@pytest.mark.django_db
def test_no_finding_where_nothing_came_or_another_permit_took_its_place(city: City):
    expire(city)
    assert expired.look(NOW) == 0  # nothing was sent since
    city.send(hour(0), OVER)
    city.catch_up()
    services.expect(NOW)
    PermitLimit.objects.update(valid_to=LAPSED)
    other = Permit.objects.create(
        enterprise=city.permit.enterprise, number=f"{city.permit.enterprise.uscc}002P",
        category="key", valid_from=date(2026, 11, 1), valid_to=date(2031, 10, 31),
    )  # fmt: skip
    limit(city.outlet, other, valid_from=date(2026, 11, 1))
    assert expired.look(NOW + timedelta(days=1)) == 0
    assert Outlet.objects.count() == 1


@pytest.mark.django_db
def test_the_permits_page_names_the_day_by_which_an_extension_is_due(city: City, client):
    end = timezone.localdate() + timedelta(days=100)
    Permit.objects.filter(pk=city.permit.pk).update(valid_to=end)
    page = pages(city, client)["permit"]
    assert f"This permit ends on {end}." in page
    assert f"by {end - timedelta(days=60)}" in page
