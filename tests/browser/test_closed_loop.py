"""A case handled by five people, one on a phone, and a list from its table to clear zero."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any

PHOTO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
# A new finding, and who works where it is: its district, its grid, an office, another district.
PEOPLE = """
import json
from jingwei.bureau.accounts.models import User
from jingwei.bureau.findings.models import Finding
def of(role, region):
    return [u for u in User.objects.filter(role=role).order_by("pk") if region in (u.areas() or ())]
found = next(f for f in Finding.objects.filter(state="new", region__isnull=False).order_by("-pk")
    if of("grid", f.region_id))
district = of("district", found.region_id)[0]
office = User.objects.filter(role="department").order_by("pk")[0]
print(json.dumps({
    "finding": found.pk,
    "district": district.username,
    "centre": district.department_id,
    "office": office.username,
    "bureau": office.department_id,
    "grid": of("grid", found.region_id)[0].username,
    "stranger": User.objects.filter(role="district").exclude(
        department=district.department).order_by("pk")[0].username,
}))
"""
DISTRICT = """
import json
from jingwei.bureau.accounts.models import User
user = User.objects.get(username="district1")
print(json.dumps([user.department.code, sorted(user.areas())[0]]))
"""
HEAD = ("序号", "标题", "问题", "区域", "责任单位", "责任领导", "整改措施", "完成时限", "时间节点")


def workbook(*rows: tuple[str, ...]) -> dict[str, Any]:
    """An .xlsx as a browser uploads it."""
    from openpyxl import Workbook

    book = Workbook()
    for row in (HEAD, *rows):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return {"name": "整改清单.xlsx", "mimeType": kind, "buffer": out.getvalue()}


def act(page: Any, transition: str, **fields: str) -> None:
    """Open the form of an act, fill it in, send it, and wait for the page after it."""
    form = page.locator(f"#act-{transition}")
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    for name, value in fields.items():
        field = form.locator(f"[name={name}]")
        if field.evaluate("e => e.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    before = page.locator(".timeline-item").count()
    form.locator("button.btn").last.click()
    page.wait_for_function(
        "n => document.querySelectorAll('.timeline-item').length > n", arg=before
    )


def test_a_case_goes_through_five_hands(
    system: Any, person: Callable[..., Any], tmp_path: Any
) -> None:
    told = json.loads(system.shell(PEOPLE))
    dispatcher, district, office = (
        person(n) for n in ("dispatcher", told["district"], told["office"])
    )
    dispatcher.page.goto(f"/cases/open/?flow=handling&finding={told['finding']}")
    dispatcher.page.click("main form button.btn-primary")
    dispatcher.page.wait_for_url(re.compile(r"/cases/\d+/$"))
    case = re.search(r"/cases/\d+/", dispatcher.page.url).group()  # type: ignore[union-attr]
    assert district.page.goto(case).status == 200
    assert district.page.locator("#act-sign").count() == 0
    act(dispatcher.page, "dispatch", department=str(told["centre"]), days="10")

    # The district passes it on; whom it does not concern does not see it.
    district.page.goto(case)
    act(district.page, "transfer", department=str(told["bureau"]), text="属该部门职责")
    assert person(told["stranger"]).page.goto(case).status == 404
    office.page.goto(case)
    act(office.page, "sign")
    page = office.page
    page.locator("#act-found").evaluate("e => e.open = true")
    verdict = page.locator("#act-found [name=verdict]")
    act(page, "found", text="现场未按要求覆盖，责令改正", verdict=str(
        verdict.locator("option").nth(1).get_attribute("value")
    ))  # fmt: skip
    act(page, "rectified", text="已全部覆盖")

    # The grid officer looks, on a phone; the city closes.
    grid = person(told["grid"], phone=True)
    grid.page.goto(case + "check/")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert grid.page.evaluate(wide) <= 0
    photo = tmp_path / "现场.png"
    photo.write_bytes(PHOTO)
    grid.page.set_input_files("input[type=file]", str(photo))
    grid.page.click(".verdict .btn-primary")
    grid.page.wait_for_url(re.compile(r"/cases/\d+/$"))
    dispatcher.page.goto(case)
    act(dispatcher.page, "close", text="整改到位，同意办结。")
    timeline = dispatcher.page.inner_text(".timeline")
    for word in ("属该部门职责", "责令改正", "已全部覆盖", "同意办结"):
        assert word in timeline
    for one in (dispatcher, district, office, grid):
        assert one.errors == []


def test_a_list_goes_from_its_table_to_clear_zero(system: Any, person: Callable[..., Any]) -> None:
    department, region = json.loads(system.shell(DISTRICT))
    row = ("1", "河道排污口整治", "三处排污口直排", region, department, "张某", "截污纳管", "2027-06-30",
           "2027-03-31 完工")  # fmt: skip
    dispatcher = person("dispatcher")
    page = dispatcher.page
    page.goto("/campaigns/new-list/")
    page.fill("[name=title]", "验收清单")
    page.select_option("[name=level]", "central")
    page.fill("[name=begins]", "2026-01-01")
    page.fill("[name=ends]", "2027-12-31")
    page.select_option("[name=lead]", index=1)
    page.click("main form button.btn-primary")
    page.wait_for_url(re.compile(r"/campaigns/\d+/$"))
    programme = page.url

    # A row with mistakes: both are named, and nothing is entered.
    wrong = ("2", "无主事项", "问题", region, "无此局", "", "措施", "年底", "")
    page.set_input_files("[name=file]", workbook(row, wrong))
    page.click("form:has([name=file]) button.btn-primary")
    page.wait_for_selector("text=无此局")
    assert "年底" in page.inner_text("main")
    assert page.locator("input[name=sheet]").count() == 0
    assert [e for e in dispatcher.errors if "422" not in e] == []
    dispatcher.errors.clear()
    page.goto(programme)
    assert "河道排污口整治" not in page.inner_text("main")

    page.set_input_files("[name=file]", workbook(row))
    page.click("form:has([name=file]) button.btn-primary")
    page.wait_for_selector("input[name=sheet]", state="attached")
    assert "河道排污口整治" in page.inner_text("main")
    page.click("form:has(input[name=sheet]) button.btn-primary")
    page.click("a:has-text('河道排污口整治')")
    page.wait_for_url(re.compile(r"/cases/\d+/$"))
    case = page.url

    district = person("district1", phone=True)
    district.page.goto(case)
    act(district.page, "take")
    act(district.page, "milestone", milestone="0", text="三处均已截污")
    act(district.page, "report", text="三处排污口已纳管")
    page.goto(case)
    act(page, "verify", text="现场无直排")
    leader = person("leader")
    leader.page.goto(case)
    act(leader.page, "accept", text="同意销号")
    page.goto(programme)
    assert "1 / 1 · 100 %" in page.inner_text("main")
    page.click("summary:has-text('结论')")
    page.fill("[name=text]", "全部事项已销号")
    page.click("form:has([name=text]) button.btn")
    page.wait_for_selector("text=全部事项已销号")
    for one in (dispatcher, district, leader):
        assert one.errors == []
