"""A small city for tests: one region, all roles, one enterprise with a permit, an outlet, a point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import Department, Jurisdiction, User
from jingwei.bureau.registry.models import Enterprise, Outlet, Permit, PermitLimit, Point, Region

MN = "110000000000000000000901"
PASSWORD = "a-good-password"
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[116.0, 39.8], [116.6, 39.8], [116.6, 40.2], [116.0, 40.2], [116.0, 39.8]]],
}


@dataclass
class World:
    region: Region
    elsewhere: Region
    departments: dict[str, Department]
    users: dict[str, User]  # by role, and "district_elsewhere", "admin"
    enterprise: Enterprise
    permit: Permit
    outlet: Outlet
    limit: PermitLimit
    point: Point
    station: Point


def build() -> World:
    """Write the rows; needs the database."""
    city = Region.objects.create(code="110000", name="北京市", name_en="Beijing")
    region, elsewhere = (
        Region.objects.create(
            code=code,
            name=name,
            name_en=english,
            parent=city,
            longitude=116.4,
            latitude=39.9,
            geometry=SQUARE,
        )
        for code, name, english in (
            ("110105", "朝阳区", "Chaoyang"),
            ("110108", "海淀区", "Haidian"),
        )
    )
    departments: dict[str, Department] = {}
    for code, name, kind, parent, areas in (
        ("city", "市指挥中心", "city", None, [""]),
        ("d1", "第一分中心", "district", "city", ["110105"]),
        ("d2", "第二分中心", "district", "city", ["110108"]),
        ("g1", "朝阳网格站", "grid", "d1", ["110105"]),
        ("housing", "住房城乡建设部门", "department", "city", ["110105"]),
        ("audit", "审计", "city", None, [""]),
    ):
        departments[code] = Department.objects.create(
            code=code, name=name, kind=kind, parent=departments.get(parent or "")
        )
        for area in areas:
            Jurisdiction.objects.create(department=departments[code], area=area)
    enterprise = Enterprise.objects.create(
        uscc="91110105MA00000018",
        name="示例测试热电厂",
        industry="thermal_power",
        region=region,
        longitude=116.45,
        latitude=39.92,
        fictional=True,
    )
    users: dict[str, User] = {}
    for username, role, department in (
        ("dispatcher", Role.DISPATCHER, "city"),
        ("district", Role.DISTRICT, "d1"),
        ("district_elsewhere", Role.DISTRICT, "d2"),
        ("grid", Role.GRID, "g1"),
        ("department", Role.DEPARTMENT, "housing"),
        ("enterprise", Role.ENTERPRISE, ""),
        ("auditor", Role.AUDITOR, "audit"),
        ("leader", Role.LEADER, "city"),
    ):
        user = User(
            username=username,
            role=role,
            last_name="王",
            first_name=username[:2],
            department=departments.get(department),
            enterprise_code=enterprise.uscc if role == Role.ENTERPRISE else "",
        )
        user.set_unusable_password()
        user.save()
        users[username] = user
    users["admin"] = User.objects.create_superuser("admin", password=PASSWORD)
    permit = Permit.objects.create(
        enterprise=enterprise,
        number=enterprise.uscc + "001P",
        category="key",
        valid_from=date(2024, 1, 1),
        valid_to=date(2028, 12, 31),
    )
    outlet = Outlet.objects.create(
        enterprise=enterprise,
        code="DA001",
        name="1号燃机烟囱",
        medium="air",
        longitude=116.45,
        latitude=39.92,
        height=60,
        diameter=5,
    )
    limit = PermitLimit.objects.create(
        permit=permit,
        outlet=outlet,
        factor="a21002",
        period="hour",
        value=Decimal(50),
        unit="mg/m³",
        reference_o2=15,
        source="GB 13223-2011 table 2",
        verified="verified",
        valid_from=date(2024, 1, 1),
    )
    point = Point.objects.create(
        mn=MN,
        st="31",
        name="1号燃机烟囱",
        kind="source",
        outlet=outlet,
        region=region,
        longitude=116.45,
        latitude=39.92,
        factors=["a21002", "a19001"],
        password="123456",
    )
    station = Point.objects.create(
        mn=MN[:-1] + "2",
        st="22",
        name="奥体中心",
        kind="air_station",
        region=region,
        longitude=116.407,
        latitude=40.0031,
        station_code="1011A",
        factors=["a34004"],
        password="123456",
    )
    return World(
        region, elsewhere, departments, users, enterprise, permit, outlet, limit, point, station
    )


def finding(world: World, **changes: object):
    """A finding of an exceedance at the world's point, an hour ago."""
    from jingwei.bureau.findings import services

    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    values: dict[str, object] = {
        "kind": "exceedance",
        "episode": f"exceedance/{world.point.key}/a21002/hour/{began:%Y%m%d%H}",
        "title": "示例测试热电厂 1号燃机烟囱 氮氧化物小时均值超标",
        "region": world.region,
        "enterprise": world.enterprise,
        "point": world.point,
        "longitude": world.point.longitude,
        "latitude": world.point.latitude,
        "began": began,
        "ended": began,
        **changes,
    }
    return services.notice(**values)[0]
