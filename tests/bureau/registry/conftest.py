"""A small registry: two districts, three enterprises, and one user a role."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest


def uscc(n: int) -> str:
    """A code of the right form; selectors and pages do not look at its check character."""
    return f"91110000MA{n:08d}"


@pytest.fixture
def city(db) -> SimpleNamespace:
    from jingwei.bureau.access import Role
    from jingwei.bureau.accounts.models import Department, Jurisdiction, User
    from jingwei.bureau.registry.models import (
        Enterprise,
        Medium,
        Outlet,
        Permit,
        PermitLimit,
        Point,
        Region,
    )

    square = {
        "type": "Polygon",
        "coordinates": [[[116, 39], [117, 39], [117, 40], [116, 40], [116, 39]]],
    }
    town = Region.objects.create(code="110000", name="北京市", name_en="Beijing")
    east = Region.objects.create(
        code="110105", name="朝阳区", name_en="Chaoyang", parent=town, geometry=square,
        longitude=116.5, latitude=39.9, source="test",
    )  # fmt: skip
    west = Region.objects.create(
        code="110107", name="石景山区", name_en="Shijingshan", parent=town, geometry=square
    )

    def enterprise(n: int, region: Region, name: str, **more) -> Enterprise:
        return Enterprise.objects.create(
            uscc=uscc(n), name=name, industry=more.pop("industry", "thermal_power"),
            region=region, address=more.pop("address", "某路 1 号"), longitude=116.4, latitude=39.9,
            **more,
        )  # fmt: skip

    power = enterprise(1, east, "示例热电一厂", fictional=True)
    bare = enterprise(2, west, "示例化工厂", industry="chemicals")
    empty = enterprise(3, west, "=示例公式厂", industry="cement")

    stack = Outlet.objects.create(
        enterprise=power, code="DA001", name="1 号排气筒", medium=Medium.AIR,
        longitude=116.4, latitude=39.9, height=120,
    )  # fmt: skip
    spare = Outlet.objects.create(
        enterprise=power, code="DW001", name="总排口", medium=Medium.WATER,
        longitude=116.4, latitude=39.9,
    )  # fmt: skip
    permit = Permit.objects.create(
        enterprise=power, number=f"{power.uscc}001P", category="key",
        valid_from=date(2024, 1, 1), valid_to=date(2099, 1, 1),
    )  # fmt: skip
    Permit.objects.create(
        enterprise=bare, number=f"{bare.uscc}001P", category="simplified",
        valid_from=date(2024, 1, 1), valid_to=date(2099, 1, 1),
    )  # fmt: skip
    Permit.objects.create(
        enterprise=empty, number=f"{empty.uscc}001P", category="key",
        valid_from=date(2001, 1, 1), valid_to=date(2005, 1, 1),
    )  # fmt: skip

    def limit(factor: str, value: str, **more) -> PermitLimit:
        return PermitLimit.objects.create(
            permit=permit, outlet=stack, factor=factor, period=more.pop("period", "hour"),
            value=value, unit="mg/m³", source=more.pop("source", "GB 13223-2011, table 1"),
            verified=more.pop("verified", "verified"),
            valid_from=more.pop("valid_from", date(2024, 1, 1)), **more,
        )  # fmt: skip

    nox = limit("a21002", "50", reference_o2=15)
    old = limit("a21026", "100", valid_to=date(2024, 12, 31))
    limit("a21026", "35", valid_from=date(2025, 1, 1), verified="secondary", source="a retelling")

    point = Point.objects.create(
        mn="010000A8900016F000169DC0", st="31", name="1 号炉烟气", kind="source", outlet=stack,
        region=east, longitude=116.4, latitude=39.9, factors=["a21002", "a19001", "zz"],
        password="123456",
    )  # fmt: skip

    centre = Department.objects.create(code="city", name="市中心", kind="city")
    Jurisdiction.objects.create(department=centre, area="")
    district = Department.objects.create(code="cy", name="朝阳中心", kind="district", parent=centre)
    Jurisdiction.objects.create(department=district, area="110105")

    def user(role: Role, department: Department | None = None, code: str = "") -> User:
        return User.objects.create(username=f"{role}-user", password="!", role=role, department=department,
            enterprise_code=code,
        )  # fmt: skip

    users = {
        Role.DISPATCHER: user(Role.DISPATCHER, centre),
        Role.DISTRICT: user(Role.DISTRICT, district),
        Role.GRID: user(Role.GRID, district),
        Role.DEPARTMENT: user(Role.DEPARTMENT, district),
        Role.ENTERPRISE: user(Role.ENTERPRISE, None, bare.uscc),
        Role.AUDITOR: user(Role.AUDITOR),
        Role.LEADER: user(Role.LEADER, centre),
    }
    root = User.objects.create(username="root", password="!", is_staff=True, is_superuser=True)
    return SimpleNamespace(
        town=town, east=east, west=west, power=power, bare=bare, empty=empty, stack=stack,
        spare=spare, permit=permit, nox=nox, old=old, point=point, users=users, root=root,
        enterprise=enterprise, limit=limit,
    )  # fmt: skip


@pytest.fixture
def login(client, city):
    """`login(role)`: the client, logged in as that role's user."""
    from jingwei.bureau.access import Role

    def enter(role: str = Role.DISPATCHER, language: str = "en"):
        client.force_login(city.root if role == "root" else city.users[role])
        client.cookies["django_language"] = language
        return client

    return enter
