"""Rectification lists: from the table to clear zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from bureau.campaigns.conftest import HEAD, ROW, begin, enter, workbook
from bureau.cases.city import NOW
from jingwei.bureau.campaigns import acting, flows, selectors, services, sheets
from jingwei.bureau.campaigns import tasks as lists
from jingwei.bureau.campaigns.models import Item, Programme
from jingwei.bureau.cases import checks, tasks
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case
from jingwei.bureau.findings.services import Refused as TableRefused
from jingwei.bureau.notices.models import Message


def do(who, case, act, **data):
    case.refresh_from_db()
    kernel.act(who, case.pk, act, case.version, data, now=NOW)
    case.refresh_from_db()
    return case


def changed(**cells):
    return [cells.get(name, cell) for name, cell in zip(HEAD, ROW, strict=True)]


def test_an_item_is_cleared_by_department_city_and_leader(city):
    programme, (item,) = enter(city)
    case = item.case
    assert (case.state, case.department.code) == ("assigned", "water")
    assert [d.code for d in case.parties.all()] == ["district-110108"]
    assert timezone.localtime(case.due).isoformat() == "2026-12-31T23:59:59+08:00"
    assert case.derivation[0]["zh"] == "清单规定的整改时限：2026-12-31"
    assert list(cases.waiting_for(city.department)) == [case]
    with pytest.raises(Refused, match="责任"):
        do(city.district, case, "take")
    do(city.department, case, "take")
    with pytest.raises(Refused):
        do(city.department, case, "report", text="已完工")
    do(city.district, case, "milestone", milestone="0", text="方案已批复")
    do(city.department, case, "milestone", milestone="1", text="已完工")
    assert [m["done"] for m in case.detail["milestones"]] == ["2026-11-20", "2026-11-20"]
    do(city.department, case, "report", text="三处排污口已截污")
    do(city.dispatcher, case, "return", text="一处仍有渗漏")
    do(city.department, case, "report", text="已封堵")
    do(city.dispatcher, case, "verify", text="现场核查无直排")
    with pytest.raises(Refused, match="1"):
        acting.conclude(city.dispatcher, programme.pk, "完成", {})
    do(city.leader, case, "accept", text="同意销号")
    assert (case.state, bool(case.closed)) == ("cleared", True)
    whole, (department,) = selectors.board([Case.objects.get(pk=case.pk)])
    assert (whole.percent, department.open) == (100, 0)
    acting.conclude(city.dispatcher, programme.pk, "全部销号", {})
    assert list(checks.replay(case)) == []


def test_a_late_item_rises(city):
    _programme, (item,) = enter(city, changed(完成时限="2026-11-23", 时间节点=""))
    kernel.act(city.department, item.case.pk, "take", 1, {}, now=NOW)
    tasks.tick(NOW + timedelta(days=4))
    item.case.refresh_from_db()
    assert item.case.escalated == 1


def test_a_missed_milestone_is_told_once(city):
    _programme, (item,) = enter(
        city, changed(时间节点="2026-11-23 方案；2026-11-24 招标；2026-12-20 完工")
    )
    case = item.case
    kernel.act(city.department, case.pk, "take", 1, {}, now=NOW)
    case.refresh_from_db()
    assert case.wake_at == datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)
    Message.objects.all().delete()
    tasks.tick(case.wake_at - timedelta(seconds=1))
    assert not case.events.filter(transition="missed").exists()
    for _again in range(3):  # the clock stood still over both days
        tasks.tick(NOW + timedelta(days=5))
    assert case.events.filter(transition="missed").count() == 1
    told = Message.objects.filter(text_zh__startswith="时间节点逾期")
    assert {m.user for m in told} == {city.department, city.leader, city.dispatcher}
    assert told.count() == 3
    case.refresh_from_db()
    assert case.wake_at == datetime(2026, 12, 20, 15, 59, 59, tzinfo=UTC)
    assert [m.get("missed", False) for m in case.detail["milestones"]] == [True, True, False]
    assert list(checks.replay(case)) == []


def test_items_of_before_wake_at_their_milestones_too(city, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(flows, "_planned", lambda milestones: {})
        _programme, (item,) = enter(city, changed(时间节点="2026-11-23 方案；2026-12-20 完工"))
    case = item.case
    case.refresh_from_db()
    assert case.wake_at is None
    assert "left" not in case.detail
    first, last = (datetime(2026, *d, 15, 59, 59, tzinfo=UTC) for d in ((11, 23), (12, 20)))
    lists.tick(first - timedelta(seconds=1))
    assert not case.events.filter(transition="missed").exists()
    for _again in range(2):
        lists.tick(first)
    assert case.events.filter(transition="missed").count() == 1
    case.refresh_from_db()
    assert case.wake_at == last
    assert list(checks.replay(case)) == []
    tasks.tick(last)  # from now on the clock of the cases
    assert case.events.filter(transition="missed").count() == 2


def test_an_old_item_that_cannot_be_read_stops_no_other_and_none_is_locked_in_vain(
    city, monkeypatch
):
    with monkeypatch.context() as before:
        before.setattr(flows, "_planned", lambda milestones: {})
        _programme, items = enter(
            city,
            changed(序号="1", 时间节点="2026-11-23 方案"),
            changed(序号="2", 时间节点="2026-11-23 方案"),
        )
    broken, good = (item.case for item in items)
    with CaptureQueriesContext(connection) as asked:
        lists.tick(NOW)
    assert not [q for q in asked.captured_queries if "SAVEPOINT" in q["sql"]]
    Case.objects.filter(pk=broken.pk).update(
        detail={**broken.detail, "milestones": [{"day": "someday", "text": "方案"}]}
    )
    lists.tick(NOW + timedelta(days=5))
    assert good.events.filter(transition="missed").count() == 1
    assert not broken.events.filter(transition="missed").exists()


def test_late_milestones_stand_on_the_board(city, client):
    programme, (item, _other) = enter(
        city, changed(时间节点="2020-01-01 方案；2020-02-01 招标"), changed(序号="2", 时间节点="")
    )
    whole, (department,) = selectors.board(selectors.own_cases(city.dispatcher, programme))
    assert (whole.late, department.late) == (2, 2)
    late = selectors.items(city.dispatcher, programme, {"state": "late"})
    assert [(i.number, i.late) for i in late] == [("1-2", 2)]
    client.force_login(city.dispatcher)
    page = client.get(programme.get_absolute_url()).content.decode()
    assert "逾期节点" in page
    assert "2 个节点逾期" in page
    kernel.act(city.department, item.case.pk, "take", 1, {}, now=NOW)
    do(city.department, item.case, "milestone", milestone="0", text="已批复")
    assert [i.late for i in selectors.items(city.dispatcher, programme, {"state": "late"})] == [1]


def test_a_party_is_asked_as_long_as_a_milestone_is_open(city):
    _programme, (item,) = enter(city, changed(时间节点="2026-12-20 完工"))
    case = item.case
    kernel.act(city.department, case.pk, "take", 1, {}, now=NOW)

    def asked():
        return cases.waiting_for(city.district).filter(pk=case.pk).exists()

    assert asked()
    do(city.department, case, "milestone", milestone="0", text="完工")
    assert not asked()
    assert cases.waiting_for(city.department).filter(pk=case.pk).exists()


def test_the_leader_moves_the_deadline_only_behind_it(city):
    _programme, (item,) = enter(city)
    with pytest.raises(Refused):
        do(city.leader, item.case, "extend", day="2026-12-01", text="提前")
    do(city.leader, item.case, "extend", day="2027-03-31", text="汛期")
    assert [step["en"][-10:] for step in item.case.derivation] == ["2026-12-31", "2027-03-31"]


@pytest.mark.parametrize(
    ("cells", "column", "part"),
    [
        ({"序号": ""}, "序号", "必填"),
        ({"区域": "火星区"}, "区域", "没有“火星区”"),
        ({"责任单位": "无此局"}, "责任单位", "没有"),
        ({"配合单位": "无此局"}, "配合单位", "没有"),
        ({"统一社会信用代码": "91110000X"}, "统一社会信用代码", "没有"),
        ({"完成时限": "年底"}, "完成时限", "不是日期"),
        ({"时间节点": "2027-01-05 完工"}, "时间节点", "晚于"),
        ({"时间节点": "2026-12-01"}, "时间节点", "日期和内容"),
        ({"问题": "x" * 5000}, "问题", "过长"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_and_nothing_is_entered(city, cells, column, part):
    programme = begin(city)
    rows, problems = sheets.read(programme, workbook(ROW, changed(**{"序号": "2", **cells})))
    assert [(p.row, p.column) for p in problems] == [(3, column)]
    assert part in problems[0].text
    assert len(rows) == 2
    assert Case.objects.count() == 0


def test_numbers_stand_once(city):
    programme, _items = enter(city)
    _rows, problems = sheets.read(programme, workbook(ROW, changed(序号="3"), changed(序号="3")))
    assert [p.row for p in problems] == [2, 4]


def test_what_is_no_list(city):
    programme = begin(city)
    alien = workbook(["x"], head=["未知列"])
    for data in (b"", b"\xff\xfe\x00", b"PK\x03\x04broken", alien):
        with pytest.raises(TableRefused):
            sheets.read(programme, data)
    _rows, problems = sheets.read(programme, workbook(["1", "x"], head=["序号", "未知列"]))
    assert "未知列" in {p.column for p in problems}
    with pytest.raises(Refused):
        services.enter(city.district, programme, [])


def test_all_or_nothing(city, monkeypatch):
    programme = begin(city)
    rows, _ = sheets.read(programme, workbook(ROW, changed(序号="2"), changed(序号="3")))
    real, calls = kernel.open_case, []

    def failing(*args, **kw):
        calls.append(1)
        if len(calls) == 3:
            raise Refused("no")
        return real(*args, **kw)

    monkeypatch.setattr(kernel, "open_case", failing)
    with pytest.raises(Refused):
        services.enter(city.dispatcher, programme, rows, NOW)
    assert (Case.objects.count(), Item.objects.count()) == (0, 0)


def test_pages(city, client):
    client.force_login(city.dispatcher)
    page = client.post(
        reverse("campaigns:new-list"),
        {"title": "省督察整改", "level": "provincial", "begins": "2026-11-01", "ends": "2026-10-01",
         "lead": city.centre.pk},
    )  # fmt: skip
    assert page.status_code == 422
    assert (
        "最后一天" in page.content.decode()
        or "Last" in page.content.decode()
        or "早于" in page.content.decode()
    )
    page = client.post(
        reverse("campaigns:new-list"),
        {"title": "省督察整改", "level": "provincial", "begins": "2026-11-01", "ends": "2026-12-31",
         "lead": city.centre.pk, "token": "page"},
    )  # fmt: skip
    programme = Programme.objects.get()
    assert page.url == programme.get_absolute_url()
    enter_url = reverse("campaigns:enter", args=[programme.pk])

    def sheet(*rows):
        return {"file": SimpleUploadedFile("list.xlsx", workbook(*rows))}

    bad = client.post(enter_url, sheet(changed(区域="火星区")))
    assert bad.status_code == 422
    assert "火星区" in bad.content.decode()
    good = client.post(enter_url, sheet(ROW))
    assert good.status_code == 200
    assert Case.objects.count() == 0
    signed = good.context["sheet"]
    assert client.post(enter_url, {"sheet": signed + "x"}).status_code == 302
    assert Case.objects.count() == 0
    sent = {"sheet": signed, "token": good.context["token"]}
    for _twice in range(2):
        answer = client.post(enter_url, sent, follow=True)
        assert "1 项" in " ".join(str(m) for m in answer.context["messages"])
    item = Item.objects.get()
    for url in (
        programme.get_absolute_url(),
        programme.get_absolute_url() + "?state=overdue",
        reverse("campaigns:index"),
        reverse("campaigns:report", args=[programme.pk]),
        reverse("campaigns:responsibility", args=[item.case.department_id]),
        item.case.get_absolute_url(),
    ):
        page = client.get(url)
        assert page.status_code == 200
    assert "张某" in client.get(programme.get_absolute_url()).content.decode()
    text = b"".join(client.get(reverse("campaigns:export", args=[programme.pk])))
    assert "河道排污口整治" in text.decode()
    assert (
        client.get(reverse("campaigns:export", args=[programme.pk]) + "?form=xlsx").getvalue()[:2]
        == b"PK"
    )
    assert client.get(reverse("campaigns:template")).getvalue()[:2] == b"PK"
    assert client.post(enter_url, {"sheet": signed}).status_code == 422, "entered already"
    assert Item.objects.count() == 1


def test_each_sees_its_own(city, client):
    programme, _items = enter(
        city, ROW, changed(序号="2", 区域="朝阳区", 责任单位="district-110105", 配合单位="")
    )
    seen = {}
    for who in ("dispatcher", "district", "district2", "department", "leader", "auditor"):
        seen[who] = [i.number for i in selectors.items(city.people[who], programme, {})]
    assert seen == {
        "dispatcher": ["1-2", "2"], "district": ["1-2"], "district2": ["2"],
        "department": ["1-2"], "leader": ["1-2", "2"], "auditor": ["1-2", "2"],
    }  # fmt: skip
    client.force_login(city.enterprise)
    assert client.get(reverse("campaigns:index")).status_code == 403
    client.force_login(city.district)
    assert client.get(reverse("campaigns:new-list")).status_code == 403


def test_a_table_confirmed_twice_is_entered_once(city):
    programme = begin(city)
    rows, _ = sheets.read(programme, workbook(ROW))  # all read before any is entered
    for _twice in range(2):
        assert services.enter(city.dispatcher, programme, rows, NOW, token="page") == 1
    with pytest.raises(Refused, match="1-2"):
        services.enter(city.dispatcher, programme, rows, NOW, token="another page")
    assert (Case.objects.count(), Item.objects.count()) == (1, 1)
