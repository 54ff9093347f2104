"""Findings of the demo city that no monitor makes: one or two of every kind, a few dispatch rules,
two complaints from the public page. All of it fictional; the photos are drawn placeholders.

Each carries a token, so that loading again after an interruption files none twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import exp
from typing import Any

# Kind, hours before the load, longitude, latitude, address, severity, photo, facts.
PLANS: tuple[tuple[str, float, float, float, str, int, bool, dict[str, Any]], ...] = (
    ("patrol", 5, 116.4682, 39.8725, "示例大街与示例路交叉口西北角工地", 2, True, {"means": "drone", "problem": "smoke", "seen": "土方作业未洒水，扬尘明显（示例）"}),
    ("bare_land", 30, 116.4698, 39.8731, "示例大街北侧拆迁地块", 1, True, {"area_m2": 12500, "site": "demolition", "covered": 40, "builder": "示例建设单位"}),
    ("fire", 3, 116.2180, 39.7052, "示例村东侧农田", 3, True, {"seen_by": "camera", "burning": "玉米秸秆（示例）", "area_m2": 350}),
    ("satellite", 20, 116.5300, 39.9200, "", 1, False, {"gas": "no2", "satellite": "TROPOMI 对流层 NO₂ 柱浓度（示例）", "value": 212, "background": 118, "unit": "μmol/m²", "cell_m": 5500}),
    ("air_hotspot", 8, 116.3560, 39.9610, "示例小学微型站", 2, False, {"factor": "a34004", "value": 148, "background": 61, "unit": "μg/m³", "wind_direction": 315, "wind_speed": 1.8, "extent_m": 900}),
    ("water", 26, 116.4010, 40.0205, "清河示例断面", 2, True, {"section": "清河示例断面", "factor": "w21003", "value": 2.6, "unit": "mg/L", "target": "Ⅳ", "found": "劣Ⅴ"}),
    ("power", 14, 116.5320, 39.9130, "示例工业园区", 2, False, {"facility": "示例活性炭吸附装置", "production_kwh": 8420, "treatment_kwh": 12, "usual_ratio": 0.11}),
    ("falsification", 12, 116.2050, 40.1080, "示例热电企业监测站房", 3, True, {"method": "sampling", "factor": "a21026", "signs": "采样管路疑似接入稀释气（示例）"}),
    ("offline", 40, 116.5020, 39.6120, "示例企业废水排放口", 1, False, {"silent_hours": 9.5, "said": "数采仪供电线路检修（示例）"}),
)  # fmt: skip
# Area, kind, department, reason, in force
RULES = (
    ("", "bare_land", "dept-housing", "扬尘管控责任清单（示例）", True),
    ("", "water", "dept-water", "河湖长制责任分工（示例）", True),
    ("", "patrol", "dept-urban", "城市管理职责分工（示例）", False),
)
COMPLAINTS: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
    ("smoke", "110105", "示例小区南门外", "夜间有刺鼻气味，持续到凌晨（示例）", {"name": "示例举报人", "phone": "00000000000"}),
    ("sewage", "110108", "示例河桥下", "排口流出黑水，有泡沫（示例）", {}),
)  # fmt: skip


def build(anchor: datetime) -> int:
    """File what is planned; returns how many findings there are of it now."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.findings import filing
    from jingwei.bureau.findings.forms import Desk
    from jingwei.demo.cases import placeholder

    dispatcher = User.objects.get(username="dispatcher")
    desk = Desk(dispatcher)
    made = 0
    for number, (kind, hours, x, y, address, severity, photo, facts) in enumerate(PLANS):
        begun = anchor - timedelta(hours=hours)
        said = {"longitude": x, "latitude": y, "address": address, "severity": severity, **facts}
        form = form_of(desk, kind, begun, said)
        if form is None:
            continue
        if kind == "air_hotspot":
            form.extra["series"] = _peak(begun)
        form.cleaned_data["files"] = (
            [(SimpleUploadedFile("placeholder.png", placeholder(), "image/png"), "image/png")]
            if photo
            else []
        )
        filing.file(dispatcher, form, token=f"demo-finding-{number}")
        made += 1
    _rules(dispatcher)
    _complaints(anchor)
    return made


def form_of(desk: Any, kind: str, begun: datetime, said: dict[str, Any]) -> Any:
    """The filled form; None where the city was loaded in part and its district is not there."""
    from jingwei.bureau.findings.forms import FindingForm, starting

    data = {**starting(kind), "began": begun.isoformat(), "confidence": "示例数据", **said}
    form = FindingForm(
        kind, desk, {name: str(value) for name, value in data.items()}, uploads=False
    )
    return form if form.is_valid() else None


def _peak(begun: datetime) -> dict[str, Any]:
    """A hump over a day, hour by hour: what a small sensor may show."""
    data = [
        [
            (begun + timedelta(hours=h - 23)).isoformat(),
            round(55 + 93 * exp(-(((h - 22) / 4) ** 2)), 1),
        ]
        for h in range(24)
    ]
    return {"name": "PM₂.₅", "unit": "μg/m³", "data": data}


def _rules(dispatcher: Any) -> None:
    from jingwei.bureau.accounts.models import Department
    from jingwei.bureau.findings import dispatch
    from jingwei.bureau.findings.models import DispatchRule

    for area, matter, code, reason, live in RULES:
        department = Department.objects.filter(code=code).first()
        if department is None or DispatchRule.objects.filter(area=area, matter=matter).exists():
            continue
        rule = dispatch.write(
            dispatcher, area=area, matter=matter, department=department, reason=reason
        )
        if live:
            dispatch.put_in_force(dispatcher, rule.pk, reason)


def _complaints(anchor: datetime) -> None:
    from jingwei.bureau.findings.complaints import complain
    from jingwei.bureau.findings.models import Complaint
    from jingwei.bureau.registry.models import Region

    if Complaint.objects.exists():
        return
    for number, (problem, code, address, said, identity) in enumerate(COMPLAINTS):
        region = Region.objects.filter(pk=code).first()
        if region:
            complain(
                problem=problem,
                region=region,
                address=address,
                said=said,
                when=anchor - timedelta(hours=9 + 20 * number),
                identity=identity,
            )
