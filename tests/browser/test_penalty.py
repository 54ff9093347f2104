"""A penalty with five people in real browsers, one of them on a phone; then its bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sweep import second_machine, size, sweep
from waiting import wait_until

# An issued order of the demo city that has hours over the limit and no penalty yet, and its people.
ORDER = """
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases.models import Case
import json
orders = Case.objects.filter(flow="order", issued__isnull=False, children=None).order_by("pk")
order = next(o for o in orders if any(f["rows"] for f in o.facts))
first = order.facts[0]["rows"][0]
print(json.dumps({
    "order": order.pk,
    "water": first["factor"].startswith("w"),
    "day": order.facts[0]["began"][:10],
    "district": User.objects.filter(role="district", department=order.department)[0].username,
    "enterprise": User.objects.get(
        role="enterprise", enterprise_code=order.enterprise.uscc).username,
    "name": order.enterprise.name,
}))
"""


def act(page: Any, transition: str, **fields: str) -> None:
    """Open the form of an act, fill it in, send it, and wait for the page after it."""
    form = page.locator(f"#act-{transition}")
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    for name, value in fields.items():
        field = form.locator(f"[name={name}]")
        kind = field.evaluate("e => e.type || e.tagName")
        if kind == "checkbox":
            field.check()
        elif kind.startswith("select"):
            field.select_option(value)
        else:
            field.fill(value)
    before = page.locator(".timeline-item").count()
    form.locator("button.btn").last.click()
    page.wait_for_function(
        "n => document.querySelectorAll('.timeline-item').length > n", arg=before
    )


def today(page: Any) -> str:
    return str(page.evaluate("new Date().toLocaleDateString('sv', {timeZone: 'Asia/Shanghai'})"))


def follow(folder: Path) -> None:
    """The chain as a judge follows it: from the decision back to the bytes of a telegram."""
    entries = {int(p.stem): json.loads(p.read_text()) for p in (folder / "entries").glob("*.json")}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["absent"] == []
    said = [json.loads(p.read_text()) for p in (folder / "contents").rglob("event-*.json")]
    assert any("decision" in e["changes"].get("detail", {}) for e in said)
    facts = [
        fact
        for e in entries.values()
        if e["type"] == "exceedances"
        for fact in e["content"]["exceedances"]
    ]
    telegrams = {t["seq"]: t["entry"] for t in manifest["telegrams"]}
    rows = [
        (folder / f"judgements/{j['row']}.txt").read_text().split("\n")
        for j in manifest["judgements"]
    ]
    followed = 0
    for fact in facts:
        if not set(fact["telegrams"]) <= set(telegrams):
            continue  # of another case in the same batch
        start = int(datetime.fromisoformat(fact["time"]).timestamp())
        judged = [
            json.loads(factors)[fact["factor"]]
            for _, second, numbers, factors, _ in rows
            if int(second) == start and numbers.split() == fact["telegrams"]
        ]
        assert any("fault" not in factor for factor in judged), fact  # judged valid
        for seq in fact["telegrams"]:
            assert entries[telegrams[seq]]["type"] == "segment"
            raw = (folder / f"telegrams/{seq}.bin").read_bytes()
            assert fact["point"].partition("-")[0].encode() in raw  # the MN, as it was sent
            assert fact["factor"].encode() in raw
        followed += 1
    assert followed


def test_from_an_order_to_a_paid_and_published_penalty(
    system: Any, person: Callable[..., Any], tmp_path: Path, bare: Path
) -> None:
    told = json.loads(system.shell(ORDER))
    offence = "water.exceeded" if told["water"] else "air.exceeded"

    # 1. The district files it from the order's page; the leader approves.
    district = person(told["district"])
    page = district.page
    page.goto(f"/cases/{told['order']}/")
    page.click("a[href*='flow=penalty']")
    for name in ("act_from", "act_to", "discovered"):
        page.fill(f"[name={name}]", told["day"])
    page.select_option("[name=offence]", offence)
    page.check("[name=harm]")
    page.fill("[name=text]", "自动监测小时均值超过排放限值")
    page.click("main form button.btn-primary")
    page.wait_for_url(re.compile(r"/cases/\d+/$"))
    case = re.search(r"/cases/\d+/", page.url).group()  # type: ignore[union-attr]
    number = case.split("/")[2]
    leader = person("leader")
    leader.page.goto(case)
    act(leader.page, "approve")

    # 2. The preview follows the grades before anything is sent.
    page.goto(case)
    shown = page.inner_text("[data-result]")
    page.select_option("#act-propose [name=grades_place]", "3")
    page.wait_for_function(
        "old => document.querySelector('[data-result]').innerText !== old", arg=shown
    )
    district.shot("penalty-preview")
    page.select_option("#act-propose [name=grades_place]", "1")
    act(page, "propose", text="事实清楚，证据充分，各因素按测得事实选定。")

    # 3. The legal review is by somebody else; the party sees nothing until it is told.
    enterprise = person(told["enterprise"], phone=True)
    assert enterprise.page.goto(case).status == 404
    reviewer = person("dispatcher")
    reviewer.page.goto(case)
    act(reviewer.page, "pass", text="事实清楚、程序合法、裁量适当。")
    page.goto(case)
    act(page, "notify", received=today(page), method="direct")
    enterprise.page.goto(case)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert enterprise.page.evaluate(wide) <= 0
    enterprise.shot("penalty-phone")
    act(enterprise.page, "speak", text="已更换部件并恢复达标，请从轻处罚。", final="on")
    enterprise.page.goto(f"/penalties/{number}/notice/")
    assert "事先" in enterprise.page.inner_text(".sheet")

    # 4. Recheck and decision; without the collective discussion the reasons are not lost.
    reviewer.page.goto(case)
    act(reviewer.page, "recheck", accepted="none", text="因素未变，不予调整。")
    leader.page.goto(case)
    form = leader.page.locator("#act-decide")
    amount = form.locator("[name=amount]").input_value()
    if float(amount) >= 200_000:
        form.locator("[name=text]").fill("过罚相当")
        form.locator("button.btn").last.click()
        leader.page.wait_for_selector(".has-error")
        assert leader.page.locator("#act-decide [name=text]").input_value() == "过罚相当"
    act(leader.page, "decide", collective="on", text="经集体讨论，过罚相当。")
    leader.page.goto(f"/penalties/{number}/decision/")
    assert "整" in leader.page.inner_text(".sheet")
    leader.shot("penalty-decision")

    # 5. Served, published, paid, closed.
    page.goto(case)
    act(page, "serve", received=today(page), method="direct")
    act(page, "publish")
    act(page, "pay", on=today(page), receipt="票据 1")
    act(page, "close", text="履行完毕。")
    district.shot("penalty-closed")
    anybody = person("")
    anybody.page.goto("/penalties/public/")
    assert told["name"] in anybody.page.inner_text("main")
    assert "过罚相当" not in anybody.page.content()

    # 6. Every step has its leaf; the whole way exports and verifies.
    def exported() -> bool:
        page.goto(case)
        return "待编" not in page.inner_text(".timeline")

    assert wait_until(exported, 60)
    target = tmp_path / "bundle"
    system.command("evidence", "export", number, str(target))
    kinds = {json.loads(path.read_text())["type"] for path in (target / "entries").glob("*.json")}
    assert {
        "segment", "judgements", "exceedances", "finding", "case_event", "penalty",
    } <= kinds  # fmt: skip
    for folder in ("telegrams", "judgements", "contents"):
        assert list((target / folder).iterdir())
    assert "ALL PROVED" in system.command("evidence", "verify", str(target)).stdout
    follow(target)
    # A second machine with nothing but Python and cryptography; then no byte of any file.
    second_machine(bare, target)
    assert sweep(target) == size(target)
    system.command("fsck")
    refused = [e for e in leader.errors if "409" not in e]
    unseen = [e for e in enterprise.errors if "404" not in e]
    for errors in (district.errors, reviewer.errors, anybody.errors, refused, unseen):
        assert not errors, errors


@pytest.mark.parametrize("path", ["/penalties/", "/penalties/public/"])
def test_pages_of_penalties_fit_a_phone(person: Callable[..., Any], path: str) -> None:
    one = person("dispatcher", phone=True)
    one.page.goto(path)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert one.page.evaluate(wide) <= 0
    assert not one.errors
