"""People and acts of a penalty: an order as its parent, a form for every act, ways to every state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from bureau.cases import city as cases_city
from jingwei.bureau.accounts.models import User

NOW = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)  # Monday, 10:00 in Beijing
SERVED = "2026-11-10"
GRADES = {
    "grades_number": "1",
    "grades_pollutant": "2",
    "grades_place": "1",
    "grades_period": "1",
    "grades_multiple": "1",
    "grades_repeats": "2",
}
OPEN = {
    "offence": "air.exceeded",
    "act_from": "2026-10-28",
    "act_to": "2026-10-29",
    "discovered": "2026-10-29",
    "harm": "on",
    "text": "1号排气筒氮氧化物小时均值超标",
}
FORMS: dict[str, dict[str, Any]] = {
    "approve": {},
    "reject": {"text": "证据不足"},
    "propose": {**GRADES, "text": "事实清楚，证据充分"},
    "evidence": {"text": "现场检查笔录"},
    "reclassify": {**OPEN, "text": "更正时间"},
    "propose_daily": {
        "served": "2026-10-29",
        "rechecked": "2026-11-02",
        "text": "复查仍超标",
    },
    "propose_none": {"ground": "GD-8", "text": "首次、0.08倍、已改正"},
    "propose_crime": {"to": "市公安局", "text": "涉嫌篡改数据"},
    "pass": {"text": "合法适当"},
    "pass_other": {"text": "同意"},
    "back": {"text": "补充证据"},
    "notify": {"method": "direct"},  # received on the day of the act
    "speak": {"text": "已更换催化剂，请从轻", "final": "on"},
    "ask_hearing": {"text": "要求听证"},
    "waive": {},
    "lapse": {},
    "announce": {"on": "2026-11-20", "place": "市局二楼会议室"},
    "hold": {"text": "双方陈述质证"},
    "absent": {},
    "withdraw": {},
    "recheck": {"accepted": "part", "amount": "200000", "text": "整改属实"},
    "reopen": {"text": "补充调查"},
    "decide": {"amount": "200000", "collective": "on", "text": "过罚相当"},
    "decide_none": {"text": "符合首违不罚"},
    "decide_crime": {"text": "移送"},
    "return": {"text": "重新核算"},
    "refer": {"to": "市公安局", "text": "篡改监测数据"},
    "serve": {"received": SERVED, "method": "direct"},
    "publish": {},
    "pay": {"on": SERVED, "amount": "200000", "receipt": "非税 0001"},
    "pay_part": {"on": SERVED, "amount": "50000", "receipt": "非税 0002"},
    "defer": {"until": "2027-01-15", "text": "资金困难"},
    "contest": {"kind": "review", "since": "2026-11-12"},
    "contest_end": {"until": "2026-11-13", "text": "维持"},
    "revoke": {"text": "复议撤销"},
    "urge": {},
    "enforce": {"court": "区人民法院", "text": "逾期未缴"},
    "close": {"text": "履行完毕"},
    "comment": {"text": "抓紧"},
    "pause": {"ground": "analysis", "text": "委托鉴定", "basis": "《生态环境行政处罚办法》"},
    "resume": {"text": "鉴定意见已收到"},
}
FILES = {"evidence"}
# The plain way: (act, who, days after NOW).
WAY = (
    ("approve", "leader", 0),
    ("propose", "district", 1),
    ("pass", "reviewer", 2),
    ("notify", "district", 3),
    ("speak", "enterprise", 4),
    ("recheck", "reviewer", 5),
    ("decide", "leader", 7),
    ("serve", "district", 8),
    ("publish", "district", 8),
    ("pay", "district", 9),
    ("close", "district", 10),
)


def build() -> SimpleNamespace:
    """The city of the case room, with a second dispatcher as legal reviewer and a second leader."""
    city = cases_city.build()
    for name, like in (
        ("reviewer", city.dispatcher),
        ("leader2", city.people["leader"]),
        ("district1b", city.district),
    ):
        user = User.objects.create(
            username=name, role=like.role, department=like.department, first_name=name
        )
        city.people[name] = user
        setattr(city, name, user)
    city.leader = city.people["leader"]
    return city


def order(city: SimpleNamespace, number: int = 1, multiple: float = 0.51) -> Any:
    """A supervision order issued for two hours over the limit."""
    case = cases_city.open_case(city, number)
    case.findings.first().exceedances.update(multiple=multiple)
    cases_city.bring(city, case, "rectifying", now=NOW - timedelta(days=2))
    return case


def open_penalty(city: SimpleNamespace, parent: Any = None, **changes: Any) -> Any:
    from jingwei.bureau.cases import services

    return services.open_case(
        city.district,
        (),
        {**OPEN, **changes},
        flow="penalty",
        parent=parent or order(city),
        now=NOW,
    )


def files_for(act: str) -> dict[str, Any]:
    return {"files": [cases_city.photo()]} if act in FILES else {}


def act(
    city: SimpleNamespace, case: Any, name: str, who: str, days: float = 0, **changes: Any
) -> Any:
    from jingwei.bureau.cases import services

    case.refresh_from_db()
    now = NOW + timedelta(days=days)
    today = {"received": now.date().isoformat()} if name == "notify" else {}
    event = services.act(
        city.people[who],
        case.pk,
        name,
        case.version,
        {**FORMS[name], **today, **changes},
        files_for(name),
        now=now,
    )
    case.refresh_from_db()
    return event


def bring(city: SimpleNamespace, case: Any, until: str) -> Any:
    """Go the plain way up to and with the act `until`."""
    for name, who, days in WAY:
        act(city, case, name, who, days)
        if name == until:
            break
    return case
