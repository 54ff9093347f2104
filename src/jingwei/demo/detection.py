"""What the detectors find in the demo city: the outlets that were tampered with are judged at the
load, the others by the worker. One finding is handled: an analyser that hung, a fault. The weeks of all
outlets are grouped at the load.

Loading again judges again and finds the same; the acts carry tokens.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

# Act, who, hours before the load, what is said.
FAULT: tuple[tuple[str, str, float, dict[str, str]], ...] = (
    ("dispatch", "city", 200, {}),
    ("sign", "lead", 196, {"text": "已签收，赴现场核查（示例）。"}),
    ("nothing", "lead", 150, {"text": "分析仪通信板死机，仪器面板历史同样不变，运维台账有重启记录（示例）。", "verdict": "fault", "cause_code": "monitor_fault"}),
    ("confirm", "city", 140, {"text": "同意，属设备故障（示例）。"}),
)  # fmt: skip


def build(anchor: datetime) -> int:
    """Judge the outlets of the demo's injections; how many findings there are of detectors."""
    from jingwei.bureau.monitoring import detection, patterns
    from jingwei.bureau.monitoring.models import Detected
    from jingwei.bureau.registry.models import Point

    outlets = {
        p.outlet_id for p in Point.objects.filter(replay__isnull=False) if p.replay.get("altered")
    }
    if outlets:
        detection.run(anchor, outlets)
        _handle(anchor)
    patterns.run(anchor)
    return int(Detected.objects.count())


def _handle(anchor: datetime) -> None:
    """The analyser that hung: from finding to verdict."""
    from jingwei.bureau.cases import drafts, selectors, services
    from jingwei.bureau.cases.errors import Refused
    from jingwei.bureau.findings.models import Finding
    from jingwei.demo.cases import _city, _home, _user

    finding = (
        Finding.objects.filter(detected__detector="const_run", state=Finding.State.NEW)
        .order_by("began", "pk")
        .first()
    )
    chosen = [finding] if finding else []
    try:
        case = services.open_case(
            _user("dispatcher"), chosen, drafts.handling(chosen), flow="handling",
            token="demo-detection", now=anchor - timedelta(hours=202),  # noqa: S106
        )  # fmt: skip
    except Refused:  # there is none
        return
    for step, (act, who, ago, said) in enumerate(FAULT):
        case.refresh_from_db()
        data: dict[str, Any] = dict(said)
        if act == "dispatch":
            data |= {"department": selectors.district_of(case.region_id).pk, "days": 10}
        services.act(
            (_city if who == "city" else _home)(case), case.pk, act, case.version, data, {},
            token=f"demo-detection-{step}", now=anchor - timedelta(hours=ago),
        )  # fmt: skip
