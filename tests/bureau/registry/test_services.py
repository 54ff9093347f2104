"""What the registry's services accept and refuse, and the device register."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from jingwei.bureau.registry import services, tasks
from jingwei.bureau.registry.changes import check_amount
from jingwei.bureau.registry.models import PermitAmount, PermitLimit, Point, Region
from jingwei.telemetry import register
from racing import together

pytestmark = pytest.mark.django_db
USCC = "91350100M000100Y43"  # the example of GB 32100-2015


@pytest.fixture
def region():
    return Region.objects.create(code="110105", name="朝阳区")


@pytest.fixture
def enterprise(region):
    return services.create_enterprise(
        uscc=USCC, name="厂", industry="cement", region=region, longitude=116.5, latitude=39.9
    )


@pytest.fixture
def permit(enterprise):
    return services.create_permit(
        enterprise, number=f"{USCC}001P", category="key",
        valid_from=date(2024, 1, 1), valid_to=date(2028, 12, 31),
    )  # fmt: skip


@pytest.fixture
def outlet(enterprise):
    return services.create_outlet(
        enterprise, code="DA001", name="窑尾", medium="air", longitude=116.5, latitude=39.9
    )


def limit(permit, outlet, **changes):
    values = {
        "factor": "a21002", "period": "hour", "value": 320, "unit": "mg/m³", "reference_o2": 10,
        "source": "GB 4915-2013", "verified": "secondary", "valid_from": date(2024, 1, 1),
    }  # fmt: skip
    return services.create_limit(permit, outlet, **{**values, **changes})


def point(region, outlet=None, **changes):
    values = {
        "mn": "A1", "st": "31", "name": "点", "kind": "source", "region": region, "outlet": outlet,
        "longitude": 116.5, "latitude": 39.9, "factors": ["a21002"], "password": "123456",
    }  # fmt: skip
    return services.create_point(**{**values, **changes})


def refused(field):
    return pytest.raises(ValidationError, match=field)


@pytest.mark.parametrize(
    "code",
    ["91350100M000100Y44", "91350100M000100Y4", "91350100M000100O43", "", "9135010OM000100Y43"],
)
def test_a_wrong_credit_code_is_refused(region, code):
    with refused("uscc"):
        services.create_enterprise(
            uscc=code, name="厂", industry="cement", region=region, longitude=116.5, latitude=39.9
        )


def test_a_place_outside_the_world_is_refused(region):
    with refused("longitude"):
        services.create_enterprise(
            uscc=USCC, name="厂", industry="cement", region=region, longitude=1165, latitude=39.9
        )


@pytest.mark.parametrize("number", ["001P", f"{USCC}01P", f"{USCC}001", "91130200699229617X001P"])
def test_a_permit_number_is_the_code_with_three_digits_and_a_letter(enterprise, number):
    with refused("number"):
        services.create_permit(
            enterprise, number=number, category="key",
            valid_from=date(2024, 1, 1), valid_to=date(2028, 1, 1),
        )  # fmt: skip


def test_a_permit_that_ends_before_it_begins_is_refused(permit):
    permit.valid_to = date(2020, 1, 1)
    with refused("valid_to"):
        services.check_permit(permit)


def test_a_permit_without_limits_is_taken_and_flagged(permit, outlet):
    today = date(2026, 5, 4)
    assert len(services.permit_flags(permit, today)) == 1
    limit(permit, outlet)
    assert services.permit_flags(permit, today) == []
    assert len(services.permit_flags(permit, date(2030, 1, 1))) == 1
    assert len(services.permit_flags(permit, date(2020, 1, 1))) == 1


def test_overlapping_limits_are_refused_and_following_ones_taken(permit, outlet):
    first = limit(permit, outlet)
    with refused("valid_from"):
        limit(permit, outlet, valid_from=date(2026, 1, 1), value=100)
    limit(permit, outlet, period="day")
    limit(permit, outlet, factor="a21026")
    first.valid_to = date(2025, 12, 31)
    services.check_limit(first)
    first.save()
    later = limit(permit, outlet, valid_from=date(2026, 1, 1), value=100)
    with refused("valid_from"):
        limit(permit, outlet, valid_from=date(2025, 12, 31), valid_to=date(2025, 12, 31))
    first.valid_to = date(2026, 1, 1)
    with refused("valid_from"):
        services.check_limit(first)
    assert later.value == 100


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": -1}, "limit_not_negative|value"),
        ({"unit": "banana"}, "unit"),
        ({"unit": ""}, "unit"),
        ({"unit": "mg/L"}, "unit"),  # of water, for a gas
        ({"period": "rate"}, "unit"),  # kg/h
        ({"factor": "a00nox"}, "factor"),
        ({"reference_o2": 21}, "reference_o2"),
        ({"valid_to": date(2023, 1, 1)}, "valid_to"),
        ({"period": "week"}, "period"),
        ({"source": ""}, "source"),
    ],
)
def test_wrong_limits_are_refused(permit, outlet, changes, field):
    with pytest.raises(ValidationError, match=field):
        limit(permit, outlet, **changes)


def test_a_limit_for_the_outlet_of_another_is_refused(region, permit):
    other = services.create_enterprise(
        uscc="91130200699229617X", name="他厂", industry="steel", region=region,
        longitude=116.5, latitude=39.9,
    )  # fmt: skip
    stack = services.create_outlet(
        other, code="DA001", name="x", medium="air", longitude=116.5, latitude=39.9
    )
    with refused("outlet"):
        limit(permit, stack)


@pytest.mark.parametrize(("code", "medium"), [("DA1", "air"), ("XX001", "air"), ("DW001", "air")])
def test_wrong_outlets_are_refused(enterprise, code, medium):
    with pytest.raises(ValidationError):
        services.create_outlet(
            enterprise, code=code, name="x", medium=medium, longitude=116.5, latitude=39.9
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mn": "A;1"}, "mn"),
        ({"mn": ""}, "mn"),
        ({"st": "air"}, "st"),
        ({"version": "2016"}, "version"),
    ],
)
def test_wrong_points_are_refused(region, changes, field):
    with refused(field):
        point(region, **changes)


def test_points_of_one_logger_share_the_password(region):
    point(region)
    with refused("password"):
        point(region, st="51", password="654321")
    point(region, st="51")


def test_the_register_follows_the_points(region, settings, data):
    from datetime import UTC, datetime

    path = settings.ENV.register
    first = point(region)
    point(region, st="51")
    point(region, mn="B2", password="222222", version="2025")
    assert services.publish_register() == 2
    devices = register.load(path)
    assert devices["A1"] == register.Device(
        mn="A1", password="123456", version="2017", systems=("31", "51"), name="点"
    )
    assert devices["B2"].version == "2025"
    assert path.stat().st_mode & 0o777 == 0o600

    stamp = path.stat().st_mtime_ns, path.stat().st_ino
    tasks.tick(datetime.now(UTC))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == stamp  # nothing new, nothing written

    first.enabled = False
    first.save()
    tasks.tick(datetime.now(UTC))
    assert register.load(path)["A1"].systems == ("51",)
    assert register.load(path)["A1"].enabled
    Point.objects.filter(mn="A1").update(enabled=False)
    tasks.tick(datetime.now(UTC))
    assert not register.load(path)["A1"].enabled

    path.write_text("{ half")
    tasks.tick(datetime.now(UTC))
    assert set(register.load(path)) == {"A1", "B2"}


@pytest.mark.django_db(transaction=True)
def test_of_two_overlapping_limits_at_once_one_is_refused(permit, outlet):
    def save():
        row = PermitLimit(
            permit=permit, outlet=outlet, factor="a21002", period="hour", value=320, unit="mg/m³",
            source="GB 4915-2013", verified="secondary", valid_from=date(2024, 1, 1),
        )  # fmt: skip
        with transaction.atomic():  # as the admin does
            services.check_limit(row)
            row.save()

    results = together(save, save)
    assert sorted(type(r).__name__ for r in results) == ["NoneType", "ValidationError"], results


def test_an_amount_in_a_unit_of_concentration_is_refused(permit, outlet):
    row = PermitAmount(
        permit=permit, outlet=outlet, factor="a21002", period="year", value=3, unit="mg/m³",
        source="排污许可证", verified="secondary", valid_from=date(2024, 1, 1),
    )  # fmt: skip
    with transaction.atomic(), refused("unit"):
        check_amount(row)
    row.unit = "t"
    with transaction.atomic():
        check_amount(row)
