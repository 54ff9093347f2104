"""Penalties of the demo city: one decided, paid and published, one being investigated.

Both come from closed supervision orders of `demo.cases`; the district files and investigates, the
dispatcher reviews, the leader decides. Acts carry a token, so that loading again repeats none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

Hours = float
# Hours before the load of the filing, then (act, by whom, hours before the load). The order is the
# one closed first by then.
PLANS: tuple[tuple[Hours, tuple[tuple[str, str, Hours], ...]], ...] = (
    (
        388,
        (
            ("approve", "leader", 386),
            ("propose", "district", 362),
            ("pass", "dispatcher", 342),
            ("notify", "district", 338),
            ("speak", "enterprise", 314),
            ("recheck", "dispatcher", 290),
            ("decide", "leader", 264),
            ("serve", "district", 240),
            ("publish", "district", 238),
            ("pay", "district", 72),
            ("close", "district", 48),
        ),
    ),
    (190, (("approve", "leader", 186),)),
)

_WORDS: dict[str, dict[str, Any]] = {
    "propose": {
        "text": "自动监测数据经有效性判定后超过排放限值，原始报文、判定过程、督办和核查记录"
        "相互印证；各裁量因素按测得事实选定等级（示例）。"
    },
    "pass": {"text": "主体适格、事实清楚、证据充分、程序合法、裁量适当，同意（示例）。"},
    "notify": {"method": "electronic"},
    "speak": {"text": "对事实无异议。已更换部件并恢复达标，请求酌情考虑（示例）。", "final": "on"},
    "recheck": {
        "accepted": "none",
        "text": "整改属实，已在督办中体现；裁量表所列因素未变，不予调整（示例）。",
    },
    "decide": {
        "review": "市人民政府（示例）",
        "court": "铁路运输法院（示例）",
        "bank": "示例银行示例支行，账号 0000 0000（示例）",
        "collective": "on",
        "text": "经集体讨论，同意按裁量表计算金额处罚（示例）。",
    },
    "serve": {"method": "electronic"},
    "pay": {"receipt": "示例票据 0001"},
    "close": {"text": "罚款已缴清，决定已公开，予以结案（示例）。"},
}


def build(anchor: datetime) -> int:
    """File the penalties and act on them; returns how many there are now."""
    from jingwei.bureau.cases import services
    from jingwei.bureau.cases.errors import Refused
    from jingwei.bureau.cases.models import Case
    from jingwei.bureau.penalties.flow import PENALTY
    from jingwei.demo.cases import _district

    closed = [
        order
        for order in Case.objects.filter(flow="order", state="closed").order_by("closed", "pk")
        if any(finding["rows"] for finding in order.facts)
    ]
    made, used = 0, set[int]()
    for number, (hours, acts) in enumerate(PLANS):
        filed = anchor - timedelta(hours=hours)
        order = next((o for o in closed if o.closed <= filed and o.pk not in used), None)
        if order is None or PENALTY.draft is None:  # a small demo has fewer orders
            continue
        used.add(order.pk)
        token = f"demo-penalty-{number}"
        try:
            case = services.open_case(
                _district(order),
                (),
                {**_plain(PENALTY.draft(list(order.findings.all()))), "harm": "on"},
                flow="penalty",
                parent=order,
                token=token,
                now=filed,
            )
        except Refused:  # the facts came after the day of filing: nothing to punish yet
            continue
        made += 1
        for step, (act, who, ago) in enumerate(acts):
            case.refresh_from_db()
            _act(case, act, who, f"{token}-{step}", anchor - timedelta(hours=ago))
    return made


def _plain(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _act(case: Any, act: str, who: str, token: str, now: datetime) -> None:
    from django.utils import timezone

    from jingwei.bureau.cases import services
    from jingwei.bureau.penalties import proposal
    from jingwei.demo.cases import _district, _enterprise, _user

    data = dict(_WORDS.get(act, {}))
    today = timezone.localtime(now).date().isoformat()
    if act == "propose":
        found = proposal.bases(case, now)
        sheet = proposal.sheet(case, found[0].penalty)
        if sheet is not None:
            data |= {f"grades_{k}": str(v) for k, v in proposal.suggested(case, sheet).items()}
    elif act in ("recheck", "decide"):
        data["amount"] = case.detail["notice"]["amount"]
    elif act in ("notify", "serve"):
        data["received"] = today
    elif act == "pay":
        data |= {"on": today, "amount": case.detail["decision"]["amount"]}
    actor = {
        "district": lambda: _district(case),
        "enterprise": lambda: _enterprise(case),
    }.get(who, lambda: _user(who))()
    services.act(actor, case.pk, act, case.version, data, token=token, now=now)
