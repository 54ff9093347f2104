"""What the demo city's enterprises declared: a furnace's standstill in its order, upkeep, a false mark.

Each mark was set by the enterprise's account at a time that the rules allow, but for one that came
too late. Loading again sets none twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

# Of the furnaces by their place in the list: mark, hours before the load at which it begins and
# ends, note; set an hour after its end, but "late" three days after.
FURNACES: tuple[tuple[int, str, int, int, str], ...] = (
    (0, "stop", 268, 265, "计划检修停炉（示例）"),
    (0, "cool", 265, 247, ""),
    (0, "idle", 247, 180, "年度检修（示例）"),
    (0, "bake", 180, 169, "检修后烘炉（示例）"),
    (0, "start", 169, 166, ""),
    (0, "maintenance", 60, 57, "氮氧化物分析仪校准，更换滤芯（示例）"),
    (1, "fault", 330, 327, "给料机卡堵，已清理恢复（示例）"),
    (1, "temperature", 30, 28, "垃圾含水率高，已投用辅助燃烧器（示例）"),
    (3, "idle", 40, 36, "临时停运（示例）"),
    (4, "no_link", 100, 98, "网络中断（示例）"),
)
# Of outlets of other industries: place among those of the industry, mark, hours, note.
OUTLETS: tuple[tuple[str, str, int, int, str], ...] = (
    ("thermal_power", "device_upkeep", 90, 88, "更换采样探头滤芯（示例）"),
    ("thermal_power", "warm_start", 200, 197, "机组热态启动（示例）"),
    ("cement", "cold_start", 300, 270, "窑系统点火（示例）"),
    ("cement", "device_fault", 150, 140, "late"),
)
# Of one thermal power outlet: hours ago, passed, result. Ten hours out of control follow from it.
CHECKS: tuple[tuple[int, bool, str], ...] = (
    (80, True, "量程漂移 2.0 %，允许 ±2.5 %（示例）"),
    (72, False, "量程漂移 11.2 %，超过 ±10 %（示例）"),
    (70, True, "重新校准后量程漂移 0.8 %（示例）"),
)


def build(anchor: datetime) -> int:
    """Set the marks and have the hours that they touch judged again; how many were set."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.monitoring import declare, quality, services
    from jingwei.bureau.monitoring.models import Furnace, Mark
    from jingwei.bureau.registry.models import Outlet, Point

    if Mark.objects.exists():
        return 0
    top = anchor.replace(minute=0, second=0, microsecond=0)
    made = 0

    def say(outlet: Any, furnace: Any, sort: str, begin: int, end: int, note: str) -> None:
        nonlocal made
        user = User.objects.filter(
            role="enterprise", enterprise_code=outlet.enterprise.uscc
        ).first()
        if user is None:
            return
        stop = top - timedelta(hours=end)
        late = note == "late"
        declare.set_mark(
            user,
            outlet=outlet,
            furnace=furnace,
            sort=sort,
            start=top - timedelta(hours=begin),
            end=stop,
            note="分析仪故障，事后补报（示例）" if late else note,
            resent=sort == "no_link",
            now=min(top, (top - timedelta(hours=begin)) + timedelta(hours=72 if late else 1)),
        )
        made += 1

    furnaces = list(Furnace.objects.select_related("outlet__enterprise").order_by("pk"))
    for place, sort, begin, end, note in FURNACES:
        if place < len(furnaces):
            say(furnaces[place].outlet, furnaces[place], sort, begin, end, note)
    for number, (industry, sort, begin, end, note) in enumerate(OUTLETS):
        outlets = Outlet.objects.filter(enterprise__industry=industry).order_by("pk")
        if len(outlets) > number % 2:
            say(outlets[number % 2], None, sort, begin, end, note)
    officer = User.objects.filter(role="dispatcher").order_by("pk").first()
    power = Point.objects.filter(outlet__enterprise__industry="thermal_power").order_by("pk")
    # The first outlet tells the story of an exceedance.
    point = next((p for p in power.exclude(outlet=None)[1:20] if "a21002" in p.factors), None)
    for ago, passed, result in CHECKS if officer and point else ():
        time = top - timedelta(hours=ago)
        quality.enter(
            officer, point, factor="a21002", sort="drift", time=time, passed=passed, result=result,
            report="示例", now=time + timedelta(hours=1),
        )  # fmt: skip
    services.catch_up(anchor, rounds=10**6)
    return made
