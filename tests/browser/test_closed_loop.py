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
# The day of the look-back: the clock's next act in this case is due now, and the clock does it.
LOOK_BACK = """
from django.utils import timezone
from jingwei.bureau.cases import clock
from jingwei.bureau.cases.models import Case
now = timezone.now()
assert Case.objects.filter(pk={pk}, state="closed", wake_at__gt=now).update(wake_at=now)
clock.wake({pk}, now)  # None where the running system was faster
assert Case.objects.get(pk={pk}).state == "looking_back"
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


def act(page: Any, transition: str, *, away: bool = False, **fields: str) -> None:
    """Open the form of an act, fill it in, send it, and wait for the page after it: the case's,
    or the list of cases where the act takes the case `away` from who does it."""
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
    if away:
        page.wait_for_url(re.compile(r"/cases/$"))
        return
    page.wait_for_function(
        "n => document.querySelectorAll('.timeline-item').length > n", arg=before
    )


def offered(page: Any) -> set[str]:
    """The acts that the page of a case offers."""
    names = page.locator(".acts > details").evaluate_all("all => all.map(e => e.id)")
    return {name.removeprefix("act-") for name in names}


def test_a_case_goes_through_five_hands(
    system: Any, person: Callable[..., Any], tmp_path: Any
) -> None:
    told = json.loads(system.shell(PEOPLE))
    photo = tmp_path / "现场.png"
    photo.write_bytes(PHOTO)
    dispatcher, district, office = (
        person(n) for n in ("dispatcher", told["district"], told["office"])
    )
    city, centre, bureau = dispatcher.page, district.page, office.page
    city.goto(f"/cases/open/?flow=handling&finding={told['finding']}")
    city.click("main form button.btn-primary")
    city.wait_for_url(re.compile(r"/cases/\d+/$"))
    case = re.search(r"/cases/\d+/", city.url).group()  # type: ignore[union-attr]
    assert centre.goto(case).status == 200
    assert "sign" not in offered(centre)
    act(city, "dispatch", department=str(told["centre"]), days="10")

    # The district passes it on; whom it does not concern does not see it. The office gives it
    # back: passed on twice, it can only go to the coordinator now, who decides.
    centre.goto(case)
    act(centre, "transfer", department=str(told["bureau"]), text="属该部门职责")
    assert person(told["stranger"]).page.goto(case).status == 404
    bureau.goto(case)
    assert {"sign", "give_back"} <= offered(bureau)
    act(bureau, "give_back", away=True, text="属地先行核实")
    centre.goto(case)
    assert offered(centre) & {"transfer", "refuse", "give_back", "dispute"} == {"dispute"}
    act(centre, "dispute", text="双方意见不一，请予协调")
    assert "sign" not in offered(centre)
    city.goto(case)
    act(city, "assign", department=str(told["bureau"]), text="按职责分工由该部门牵头")
    centre.goto(case)
    assert not offered(centre) & {"sign", "transfer", "dispute"}

    # The office leads; the district takes part with what it did, and decides nothing.
    bureau.goto(case)
    assert not offered(bureau) & {"transfer", "refuse", "give_back", "dispute"}
    act(bureau, "sign")
    joint = bureau.locator("#act-join")
    joint.locator("summary").click()
    joint.locator(f"[name=departments][value='{told['centre']}']").check()
    act(bureau, "join", text="需属地联合排查")
    centre.goto(case)
    assert "contribute" in offered(centre)
    assert not offered(centre) & {"found", "nothing", "rectified"}
    act(centre, "contribute", text="已核对施工台账")
    bureau.goto(case)
    assert "已核对施工台账" in bureau.inner_text(".timeline")
    verdict = bureau.locator("#act-found [name=verdict] option").nth(1).get_attribute("value")
    act(
        bureau, "found", text="现场未按要求覆盖，责令改正", verdict=str(verdict),
        cause_code="open_source",
    )  # fmt: skip
    act(bureau, "rectified", text="已全部覆盖")

    # The grid officer looks, on a phone; the city closes.
    grid = person(told["grid"], phone=True)
    phone = grid.page
    phone.goto(case + "check/")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert phone.evaluate(wide) <= 0
    phone.set_input_files("input[type=file]", str(photo))
    phone.click(".verdict .btn-primary")
    phone.wait_for_url(re.compile(r"/cases/\d+/$"))
    city.goto(case)
    act(city, "close", text="整改到位，同意办结。")

    # A month later the grid officer looks back and finds it as it was; the city opens it again,
    # and its lead has it with a new deadline.
    phone.goto(case)
    assert not offered(phone) & {"held", "relapse"}
    system.shell(LOOK_BACK.format(pk=case.split("/")[2]))
    phone.goto(case)
    assert {"held", "relapse"} <= offered(phone)
    assert phone.evaluate(wide) <= 0
    again = phone.locator("#act-relapse")
    if again.get_attribute("open") is None:
        again.locator("summary").click()
    again.locator("input[type=file]").set_input_files(str(photo))
    act(phone, "relapse", text="部分区域再次裸露")
    city.goto(case)
    act(city, "reopen", days="5", text="问题反弹，重新整改")
    bureau.goto(case)
    assert {"found", "nothing"} <= offered(bureau)

    city.goto(case)
    timeline = city.inner_text(".timeline")
    for word in (
        "属该部门职责", "属地先行核实", "请予协调", "由该部门牵头", "联合排查", "施工台账", "责令改正",
        "已全部覆盖", "同意办结", "再次裸露", "重新整改",
    ):  # fmt: skip
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
