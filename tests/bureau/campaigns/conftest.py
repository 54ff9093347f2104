from __future__ import annotations

import io
from datetime import date

import pytest
from django.utils import translation

from bureau.cases import city as cities
from jingwei.bureau.campaigns import services, sheets


@pytest.fixture(autouse=True)
def _office():
    """The headings and words of the office, whatever language another test has left behind."""
    with translation.override("zh-hans"):
        yield


@pytest.fixture
def city(db):
    return cities.build()


HEAD = ["序号", "标题", "问题", "依据", "区域", "责任单位", "配合单位", "责任领导", "统一社会信用代码",
        "整改目标", "整改措施", "完成时限", "时间节点"]  # fmt: skip
ROW = ["1-2", "河道排污口整治", "沿线三处排污口直排", "督察反馈意见三", "海淀区", "市水务局", "district-110108",
       "张某", "", "消除直排", "截污纳管", "2026-12-31", "2026-11-25 完成方案；2026-12-20 完工"]  # fmt: skip


def workbook(*rows, head=HEAD) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(head)
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def begin(city, kind="list", **changes):
    data = {
        "title": "中央生态环境保护督察反馈问题整改",
        "level": "central",
        "document": "督察〔2026〕1号",
        "begins": date(2026, 11, 1),
        "ends": date(2026, 12, 31),
        "lead": city.centre,
        "text": "逐项整改，对账销号。",
        "checklist": "",
        "regions": [],
        "matters": [],
        **changes,
    }
    return services.begin(city.dispatcher, kind, data)


def enter(city, *rows, now=cities.NOW):
    """A list with these rows entered; the list and its items."""
    programme = begin(city)
    found, problems = sheets.read(programme, workbook(*(rows or (ROW,))))
    assert problems == []
    services.enter(city.dispatcher, programme, found, now)
    return programme, list(programme.items.select_related("case"))
