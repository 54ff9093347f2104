"""A rectification list, a special campaign and a hot spot of the demo city. All made up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

# number, title, problem, region, lead department, leader, target, measures, days until the
# deadline, milestones (days, text), how far it is.
ITEMS: tuple[tuple[Any, ...], ...] = (
    ("一-1", "沿河排污口整治", "沿线三处雨水口旱季有污水排出（示例）。", 0, "张某某（示例）", "旱季无污水排出",
     "排查混接，截污纳管。", 40, ((10, "完成排查"), (35, "完成改造")), "rectifying"),
    ("一-2", "料场扬尘治理", "露天堆场未覆盖（示例）。", 1, "李某某（示例）", "物料入棚",
     "建成封闭料棚。", 25, ((20, "料棚完工"),), "assigned"),
    ("二-1", "在线监控设施运维不规范", "部分站房标气过期（示例）。", 2, "王某某（示例）", "运维记录齐全",
     "更换标气，补齐记录。", 15, (), "cleared"),
)  # fmt: skip

CAUSE = "upkeep"  # of the item that is cleared
# What the campaign that is over found: days before the load, longitude, latitude, address, seen.
PAST = (
    (55, 116.4660, 39.8740, "示例涂装作业点", "活性炭箱超过更换周期，异味明显（示例）"),
    (48, 116.4720, 39.8700, "示例汽修喷漆房", "过滤棉破损，喷漆废气未有效收集（示例）"),
)
# Days after that in which it was handled, by whom.
HANDLED = (("dispatch", "city", 0.2), ("sign", "lead", 1), ("found", "lead", 3), ("rectified", "lead", 9), ("verify", "grid", 11), ("close", "city", 12))  # fmt: skip


def build(anchor: datetime) -> None:
    """Everything of this page; nothing where a programme is there already."""
    from django.db import transaction

    from jingwei.bureau.campaigns.models import Programme

    with transaction.atomic():
        if Programme.objects.exists():
            return
        day = timezone.localtime(anchor).date()
        regions = _districts()
        if not regions:
            return
        _list(anchor, day, regions)
        _past(anchor, day)
        _campaign(anchor, day, regions)
        _hot_spot(anchor)


def _user(username: str) -> Any:
    from jingwei.bureau.accounts.models import User

    return User.objects.get(username=username)


def _districts() -> list[tuple[Any, Any, Any]]:
    """(region, its district centre, somebody there) of districts that have people."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.selectors import district_of, districts

    found = []
    for region in districts().order_by("pk"):
        department = district_of(region.pk)
        officer = User.objects.filter(department=department, role="district").first()
        if officer is not None:
            found.append((region, department, officer))
    return found


def _list(anchor: datetime, day: Any, regions: list[tuple[Any, Any, Any]]) -> None:
    from jingwei.bureau.campaigns import services
    from jingwei.bureau.campaigns.models import Programme
    from jingwei.bureau.campaigns.sheets import Row
    from jingwei.bureau.cases import services as kernel
    from jingwei.bureau.cases.selectors import centre

    programme = services.begin(
        _user("dispatcher"),
        Programme.Kind.LIST,
        {
            "title": "省级督察反馈问题整改清单（示例）",
            "level": "provincial",
            "document": "示例督〔2026〕3号",
            "begins": day - timedelta(days=20),
            "ends": day + timedelta(days=70),
            "lead": centre(),
            "text": "逐项明确责任、措施和时限，对账销号。",
        },
    )
    rows = []
    for line, item in enumerate(ITEMS, 2):
        number, title, text, where, leader, target, measures, days, milestones, _state = item
        region, department, _officer = regions[where % len(regions)]
        row = Row(line, number, title, text, "督察反馈意见（示例）", leader, target, measures)
        row.region, row.department = region, department
        row.due = day + timedelta(days=days)
        row.milestones = [
            {"day": (day + timedelta(days=after)).isoformat(), "text": words}
            for after, words in milestones
        ]
        rows.append(row)
    start = anchor - timedelta(days=12)
    services.enter(_user("dispatcher"), programme, rows, start)
    for item, made in zip(
        programme.items.select_related("case").order_by("id"), ITEMS, strict=True
    ):
        case, state = item.case, made[-1]
        if state == "assigned":
            continue
        officer = regions[made[3] % len(regions)][2]
        acts: list[tuple[Any, str, dict[str, str]]] = [(officer, "take", {})]
        if state == "cleared":
            acts += [
                (
                    officer,
                    "report",
                    {"text": "已更换标气，记录补齐（示例）。", "cause_code": CAUSE},
                ),
                (_user("dispatcher"), "verify", {"text": "现场核查属实（示例）。"}),
                (_user("leader"), "accept", {"text": "同意销号（示例）。"}),
            ]
        for step, (who, act, data) in enumerate(acts, 1):
            case.refresh_from_db()
            kernel.act(who, case.pk, act, case.version, data, now=start + timedelta(days=step))
    services.recommend(
        _user("dispatcher"),
        programme,
        CAUSE,
        "对委托第三方运维的站房统一核查标气与维护台账（示例）。",
        regions[0][1],
        max(day, timezone.localdate()) + timedelta(days=60),
    )


def _campaign(anchor: datetime, day: Any, regions: list[tuple[Any, Any, Any]]) -> None:
    from jingwei.bureau.campaigns import acting, selectors, services
    from jingwei.bureau.campaigns.models import Programme
    from jingwei.bureau.cases.selectors import centre

    dispatcher = _user("dispatcher")
    programme = services.begin(
        dispatcher,
        Programme.Kind.CAMPAIGN,
        {
            "title": "秋冬季工业炉窑专项行动（示例）",
            "level": "own",
            "document": "",
            "begins": day - timedelta(days=10),
            "ends": day + timedelta(days=35),
            "lead": centre(),
            "text": "检查工业炉窑治理设施运行与在线监测，发现问题限期整改。",
            "checklist": "治理设施与生产同步运行\n自动监测数据真实、标记及时\n台账与排污许可证一致",
            "regions": [region for region, _department, _officer in regions[:2]],
            "matters": [],
        },
    )
    for name, (region, _department, officer) in zip(("一组", "二组"), regions, strict=False):
        acting.add_team(dispatcher, programme, name, region, [officer], "按方案编组")
    before = min(day - timedelta(days=1), timezone.localdate())
    services.summarise(
        dispatcher,
        programme,
        before,
        "检查炉窑 14 台，发现治理设施未同步运行 1 起，已交办（示例）。",
        selectors.figures(dispatcher, programme, before),
    )
    services.evaluate(dispatcher, programme, day)
    _inspection(dispatcher, programme, anchor, day)


def _past(anchor: datetime, day: Any) -> None:
    """A campaign that is over and closed: two of its cases have one cause, so that a recommendation
    is proposed and waits for somebody to confirm it."""
    from jingwei.bureau.campaigns import acting, selectors, services
    from jingwei.bureau.campaigns.models import Programme
    from jingwei.bureau.cases import drafts
    from jingwei.bureau.cases import services as kernel
    from jingwei.bureau.cases.selectors import centre
    from jingwei.bureau.findings import filing
    from jingwei.bureau.findings.forms import Desk
    from jingwei.demo.cases import handle
    from jingwei.demo.findings import form_of

    dispatcher = _user("dispatcher")
    desk, regions = Desk(dispatcher), {}
    for number, (days, x, y, address, seen) in enumerate(PAST):
        begun = anchor - timedelta(days=days)
        said = {"longitude": x, "latitude": y, "address": address, "severity": 2,
                "means": "foot", "problem": "smoke", "seen": seen}  # fmt: skip
        form = form_of(desk, "patrol", begun, said)
        if form is None:
            continue
        form.cleaned_data["files"] = []
        finding = filing.file(dispatcher, form, token=f"demo-past-{number}")
        case = kernel.open_case(
            dispatcher, [finding], drafts.handling([finding]), flow="handling",
            token=f"demo-past-{number}", now=begun + timedelta(hours=2),
        )  # fmt: skip
        regions[case.region_id] = case.region
        for step, (act, who, after) in enumerate(HANDLED):
            words: dict[str, Any] = {}
            if act == "found":
                words = {"text": "治理设施未按期维护（示例）。", "cause_code": CAUSE}
            elif act == "rectified":
                words = {"text": "已更换耗材并建立维护台账（示例）。"}
            done = begun + timedelta(days=after, hours=3)
            handle(case, act, who, f"demo-past-{number}-{step}", done, **words)
    if not regions:
        return
    programme = services.begin(
        dispatcher,
        Programme.Kind.CAMPAIGN,
        {
            "title": "夏秋季挥发性有机物专项行动（示例）",
            "level": "own",
            "document": "",
            "begins": day - timedelta(days=60),
            "ends": day - timedelta(days=31),
            "lead": centre(),
            "text": "检查涂装、汽修等行业废气收集和治理设施运行维护。",
            "checklist": "废气收集完整\n活性炭按期更换\n维护台账齐全",
            "regions": list(regions.values()),
            "matters": [],
        },
    )
    acting.conclude(
        dispatcher,
        programme.pk,
        "两处问题均已整改，原因都是治理设施维护不到位（示例）。",
        selectors.figures(dispatcher, programme),
    )


def _inspection(dispatcher: Any, programme: Any, anchor: datetime, day: Any) -> None:
    """One inspection for the campaign, its team set and a day ahead."""
    from jingwei.bureau.cases import services as kernel
    from jingwei.bureau.inspections import selectors, services
    from jingwei.bureau.registry.models import Enterprise

    regions = programme.regions.all()
    enterprise = Enterprise.objects.filter(region__in=regions).order_by("uscc").first()
    if enterprise is None:
        return
    said = {
        "title": f"专项行动检查：{enterprise.name}",
        "origin": "targeted",
        "day": (day + timedelta(days=3)).isoformat(),
        "text": "治理设施与生产同步运行情况。",
    }
    case = services.plan_inspection(
        dispatcher, enterprise, said, programme=programme, now=anchor - timedelta(days=2)
    )
    proposed = selectors.proposed_team(case)
    others = [i.code for i in selectors.able(case) if i.code not in proposed]
    team = (proposed + others)[: max(len(proposed), selectors.MIN_TEAM)]
    if len(team) >= selectors.MIN_TEAM:
        set_at = anchor - timedelta(days=1)
        kernel.act(dispatcher, case.pk, "set_team", case.version, {"team": team}, now=set_at)


def _hot_spot(anchor: datetime) -> None:
    """Push the first hot spot that nobody handles yet to its district, which signs for it."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases import services as kernel
    from jingwei.bureau.findings.models import Finding

    found = (
        Finding.objects.filter(kind__in=("air_hotspot", "satellite"), state=Finding.State.NEW)
        .order_by("pk")
        .first()
    )
    if found is None:
        return
    case = kernel.open_case(
        _user("dispatcher"),
        [found],
        {"title": found.title, "text": "排查网格内涉气企业与工地。", "days": "10"},
        flow="four_step",
        now=anchor - timedelta(days=1),
    )
    officer = (
        User.objects.filter(department=case.department, role="district").order_by("pk").first()
    )
    if officer is not None:
        signed = anchor - timedelta(hours=20)
        kernel.act(officer, case.pk, "sign", case.version, {}, now=signed)
