"""A small city: two districts with a grid each, two enterprises, one person for each role."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

from django.core.files.uploadedfile import SimpleUploadedFile

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # Friday, 10:00 in Beijing

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da"
    "63382020f01f00045401e01626a60b0000000049454e44ae426082"
)


def photo(name="photo.png", content=PNG) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, "image/png")


def build() -> SimpleNamespace:
    from jingwei.bureau.accounts.models import Department, Jurisdiction, User
    from jingwei.bureau.registry.models import (
        Enterprise,
        Outlet,
        Permit,
        PermitLimit,
        Point,
        Region,
    )

    city = Region.objects.create(code="110000", name="北京市", name_en="Beijing")
    regions = [
        Region.objects.create(code="110108", name="海淀区", name_en="Haidian", parent=city),
        Region.objects.create(code="110105", name="朝阳区", name_en="Chaoyang", parent=city),
    ]
    kinds = Department.Kind
    centre = Department.objects.create(code="city", name="市生态环境指挥中心", kind=kinds.CITY)
    Jurisdiction.objects.create(department=centre, area="")
    districts, grids = [], []
    for region in regions:
        for kind, found in ((kinds.DISTRICT, districts), (kinds.GRID, grids)):
            department = Department.objects.create(
                code=f"{kind}-{region.code}", name=f"{region.name}{kind}", kind=kind, parent=centre
            )
            Jurisdiction.objects.create(department=department, area=region.code)
            found.append(department)
    water = Department.objects.create(code="water", name="市水务局", kind=kinds.DEPARTMENT)
    Jurisdiction.objects.create(department=water, area="110108")

    enterprises, points, limits = [], [], []
    for i, region in enumerate(regions):
        enterprise = Enterprise.objects.create(
            uscc=f"91110000DEMO0000{i}X",
            name=f"示例热电{i + 1}厂",
            industry="thermal_power",
            region=region,
            longitude=116.3,
            latitude=39.9,
            fictional=True,
        )
        outlet = Outlet.objects.create(
            enterprise=enterprise,
            code="DA001",
            name="1号排气筒",
            medium="air",
            longitude=116.3,
            latitude=39.9,
        )
        permit = Permit.objects.create(
            enterprise=enterprise,
            number=f"{enterprise.uscc}001P",
            category="key",
            valid_from=date(2025, 1, 1),
            valid_to=date(2029, 12, 31),
        )
        limits.append(
            PermitLimit.objects.create(
                permit=permit,
                outlet=outlet,
                factor="a21002",
                period="hour",
                value=50,
                unit="mg/m3",
                source="GB 13223-2011 表2",
                verified="verified",
                valid_from=date(2025, 1, 1),
            )
        )
        points.append(
            Point.objects.create(
                mn=f"8888888000000{i}",
                st="31",
                name=f"{enterprise.name}1号",
                kind="source",
                outlet=outlet,
                region=region,
                longitude=116.3,
                latitude=39.9,
                factors=["a21002"],
                password="123456",
            )
        )
        enterprises.append(enterprise)

    def person(name, role, department=None, enterprise=None):
        return User.objects.create(
            username=name,
            role=role,
            department=department,
            first_name=name,
            enterprise_code=enterprise.uscc if enterprise else "",
        )

    people = {
        "dispatcher": person("dispatcher", "dispatcher", centre),
        "district": person("district", "district", districts[0]),
        "grid": person("grid", "grid", grids[0]),
        "department": person("department", "department", water),
        "enterprise": person("enterprise", "enterprise", enterprise=enterprises[0]),
        "auditor": person("auditor", "auditor", centre),
        "leader": person("leader", "leader", centre),
        "district2": person("district2", "district", districts[1]),
        "grid2": person("grid2", "grid", grids[1]),
        "enterprise2": person("enterprise2", "enterprise", enterprise=enterprises[1]),
    }
    return SimpleNamespace(
        regions=regions,
        centre=centre,
        districts=districts,
        enterprises=enterprises,
        points=points,
        limits=limits,
        people=people,
        **people,
    )


def finding(city, number=1, which=0, **kw):
    """A finding with two exceeding hours behind it."""
    from jingwei.bureau.findings.services import notice
    from jingwei.bureau.monitoring.models import Exceedance

    point = city.points[which]
    begin = NOW - timedelta(hours=3)
    values = {
        "kind": "exceedance",
        "episode": f"exceedance:{point.key}:a21002:{number}",
        "title": f"{point.name}氮氧化物超标",
        "region": point.region,
        "longitude": point.longitude,
        "latitude": point.latitude,
        "began": begin,
        "ended": begin + timedelta(hours=1),
        "enterprise": point.enterprise,
        "point": point,
        "facts": {"factor": "a21002", "highest": 75.5},
    }
    row, _created = notice(**{**values, **kw})
    if row.kind == "exceedance":
        for hour in range(2):
            Exceedance.objects.create(
                point=point,
                factor="a21002",
                period="hour",
                time=begin + timedelta(hours=hour, days=-number),
                value=75.5,
                unit="mg/m3",
                limit=city.limits[which],
                limit_value=50,
                multiple=0.51,
                finding=row,
            )
    return row


DOCUMENT = {
    "title": "督促整改",
    "text": "查明原因，立即整改。",
    "basis": "排污许可管理条例第十七条",
}
FORMS = {
    "issue": {"days": "10"},
    "amend": DOCUMENT,
    "withdraw": {"text": "重复"},
    "sign": {},
    "answer": {"text": "已更换催化剂"},
    "verify": {"position": "116.3,39.9,12"},
    "reject": {"text": "仍有异味"},
    "accept": {},
    "send_back": {"text": "材料不全"},
    "close": {"text": "整改到位"},
    "return": {"text": "请复核"},
    "extend": {"days": "5", "text": "设备到货延迟"},
    "transfer": {"region": "110105", "text": "属地调整"},
    "comment": {"text": "请加快"},
    "pause": {"ground": "analysis", "text": "委托检测", "basis": "《行政处罚法》第五十八条"},
    "resume": {"text": "检测报告已出"},
    "propose": {"text": "屡次超标"},
    "list": {"text": "同意挂牌"},
    "decline": {"text": "先行约谈"},
    "lift": {"text": "整改到位，摘牌"},
    "publish": {"text": "某电厂氮氧化物超标，已责令整改。", "parts": ["enterprise", "result"]},
    "unpublish": {"text": "内容有误"},
}
FILES = dict.fromkeys(("verify", "reject", "held", "relapse"), "photos")


def files_for(transition):
    return {FILES[transition]: [photo()]} if transition in FILES else {}


def open_case(city, number=1, which=0, **kw):
    from jingwei.bureau.cases import services

    return services.open_case(
        city.dispatcher, [finding(city, number, which)], DOCUMENT, now=NOW, **kw
    )


# The way to each state, by whom.
WAYS = {
    "draft": [],
    "issued": [("issue", "dispatcher")],
    "rectifying": [("sign", "district")],
    "answered": [("answer", "enterprise")],
    "verified": [("verify", "grid")],
    "accepted": [("accept", "district")],
    "closed": [("close", "dispatcher")],
}


def bring(city, case, state, now=NOW):
    """Act until the case is in `state`."""
    from jingwei.bureau.cases import services

    if state == "withdrawn":
        services.act(city.dispatcher, case.pk, "withdraw", case.version, FORMS["withdraw"], now=now)
    else:
        for name, steps in WAYS.items():
            for transition, who in steps:
                case.refresh_from_db()
                services.act(
                    city.people[who],
                    case.pk,
                    transition,
                    case.version,
                    FORMS[transition],
                    files_for(transition),
                    now=now,
                )
            if name == state:
                break
    case.refresh_from_db()
    return case


# --- the flow of handling ----------------------------------------------------------------------

HANDLING = {
    "dispatch": {"days": "10"},  # and the department
    "dismiss": {"text": "重复线索"},
    "sign": {},
    "refuse": {"text": "不属本辖区"},
    "give_back": {"text": "职责不符"},
    "dispute": {"text": "职责不符"},
    "transfer": {"text": "属水务职责"},  # and the department
    "coordinate": {"text": "属水务职责"},  # and the department
    "assign": {"text": "按三定方案"},  # and the department
    "join": {"text": "需联合排查"},
    "contribute": {"text": "已提供管网图"},
    "found": {"text": "裸土未覆盖", "verdict": "confirmed", "cause_code": "open_source"},
    "nothing": {"text": "已覆盖", "verdict": "other", "cause_code": "none"},
    "confirm": {},
    "look_again": {"text": "照片不清"},
    "rectified": {"text": "已覆盖防尘网"},
    "verify": {},
    "reject": {"text": "仍有裸露"},
    "close": {"text": "整改到位"},
    "return": {"text": "资料不全"},
    "held": {},
    "relapse": {"text": "再次裸露"},
    "overrule": {"text": "属临时堆放"},
    "reopen": {"days": "5", "text": "群众再次反映"},
    "pause": FORMS["pause"],
    "resume": FORMS["resume"],
    "extend": {"days": "5", "text": "雨季"},
    "comment": {"text": "请加快"},
}
TASK = {"title": "裸地扬尘", "text": "到现场核实。"}


def handle(city, number=1, user=None, **kw):
    """Open a case in handling; of bare land without an enterprise where nothing else is said."""
    from jingwei.bureau.cases import services

    values = {"kind": "bare_land", "enterprise": None, "point": None, **kw}
    row = finding(city, number, **values)
    return services.open_case(user or city.dispatcher, [row], TASK, flow="handling", now=NOW)


def do(who, case, act, now=NOW, **data):
    """Act on a case in handling; the case afterwards."""
    from jingwei.bureau.cases import services

    case.refresh_from_db()
    services.act(
        who, case.pk, act, case.version, {**HANDLING[act], **data}, files_for(act), now=now
    )
    case.refresh_from_db()
    return case
