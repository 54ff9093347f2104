"""An inspection with several people: planned at a desk, done on a phone that loses its connection,
signed, handed over, opened as an order; a draw checked by somebody without a login."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

PHOTO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
PLAN = """
from django.utils import timezone
from jingwei.bureau.accounts.models import User
from jingwei.bureau.inspections.models import Inspector
from jingwei.bureau.inspections import services
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.registry.models import Enterprise
e = Enterprise.objects.get(pk={enterprise})
d = User.objects.get(username="dispatcher")
case = services.plan_inspection(d, e, {{"title": "{title}", "origin": "targeted", "day": str(timezone.localdate())}})
from jingwei.bureau.inspections import selectors
team = selectors.able(case)[:2]
kernel.act(d, case.pk, "set_team", case.version, {{"team": [i.code for i in team]}})
print(case.pk)
"""


def wait_for(page, condition: str, timeout: int = 60_000) -> None:
    page.wait_for_function(f"() => {{ {CODE} return {condition}; }}", timeout=timeout)


CODE = """const n = (name) => Number(document.getElementById(`count-${name}`).textContent);"""


def draw_signature(page, signer: str) -> None:
    page.click(f"[data-signer='{signer}']")
    page.wait_for_selector("#pad[open]")
    box = page.locator("#pad canvas").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 60)
    page.mouse.down()
    for step in range(1, 12):
        page.mouse.move(box["x"] + 30 + 20 * step, box["y"] + 60 + 40 * (step % 2))
    page.mouse.up()
    page.click("#pad button[value=done]")
    page.wait_for_selector(f"li:has([data-signer='{signer}']) img")


def setting(system, title: str) -> dict:
    """An enterprise of a district, with its people, and an inspection with a team."""
    found = json.loads(
        system.shell(
            "import json\n"
            "from jingwei.bureau.accounts.models import User\n"
            "from jingwei.bureau.registry.models import Enterprise\n"
            "e = Enterprise.objects.filter(industry='thermal_power').order_by('pk')[0]\n"
            "grid = User.objects.filter(role='grid', department__jurisdictions__area=e.region_id)[0]\n"
            "d = User.objects.filter(role='district', department__jurisdictions__area=e.region_id)[0]\n"
            "own = User.objects.get(role='enterprise', enterprise_code=e.uscc)\n"
            "print(json.dumps({'enterprise': e.pk, 'name': e.name, 'grid': grid.username,"
            " 'district': d.username, 'own': own.username}))"
        ).splitlines()[-1]
    )
    found["case"] = int(
        system.shell(PLAN.format(enterprise=found["enterprise"], title=title)).splitlines()[-1]
    )
    return found


def answer_all(page, *, but: tuple[str, ...] = ()) -> int:
    """Every item that has no answer yet complies; numbers lie within."""
    done = 0
    for article in page.query_selector_all("[data-item]"):
        if article.get_attribute("data-item") in but:
            continue
        button = article.query_selector("[data-value='yes']")
        if button:
            button.click()
        else:
            field = article.query_selector("[data-field='value']")
            field.fill("5.6")
            field.evaluate("f => f.blur()")
        done += 1
    return done


def test_a_phone_that_loses_its_connection_loses_nothing(
    system, person: Callable, tmp_path
) -> None:
    about = setting(system, "离线检查")
    picture = tmp_path / "photo.png"
    picture.write_bytes(PHOTO)
    phone = person(about["grid"], phone=True)
    page = phone.page
    page.goto("/inspections/")
    page.click(f"a[href='/inspections/{about['case']}/spot/']")
    page.wait_for_selector("#spot[data-kept='whole']", timeout=60_000)
    total = page.locator("[data-item]").count()
    assert total >= 18

    # With a connection: one answer is confirmed.
    page.click("#item-G01 [data-value='yes']")
    wait_for(page, "n('confirmed') === 1")

    # Without: answers, a number, a note and photos stay on the phone, through a reload.
    phone.context.set_offline(True)
    page.click("#item-G03 [data-value='no']")
    page.fill("#item-G03 [data-field='note']", "标志牌缺失")
    page.locator("#item-G03 [data-field='note']").blur()
    page.set_input_files("#item-G03 input[type=file]", picture)
    page.set_input_files("#item-G04 input[type=file]", picture)
    page.click("#item-G04 [data-value='yes']")
    wait_for(page, "n('kept') === 4 && n('confirmed') === 1")
    assert "no connection" in page.inner_text("#line") or "无网络" in page.inner_text("#line")
    phone.shot("spot-offline")
    page.reload()
    page.wait_for_selector("#spot[data-ready='true']")
    wait_for(page, "n('kept') === 4 && n('confirmed') === 1")
    assert page.input_value("#item-G03 [data-field='note']") == "标志牌缺失"
    assert page.get_attribute("#item-G03 [data-value='no']", "aria-pressed") == "true"
    assert page.locator("#item-G03 .files img").count() == 1
    answer_all(page, but=("G01", "G03", "G04"))
    wait_for(page, f"n('kept') === {total + 1}")

    # Signed without a connection too; the page is closed and opened again.
    page.wait_for_selector("#sign:not([hidden])")
    page.fill("#representative", "赵厂长")
    signers = page.eval_on_selector_all("[data-signer]", "b => b.map(x => x.dataset.signer)")
    assert len(signers) == 3
    for signer in signers:
        draw_signature(page, signer)
    phone.shot("spot-signatures")
    page.reload()
    page.wait_for_selector("#sign:not([hidden]) li img")
    page.fill("#representative", "赵厂长")
    page.click("#finish")
    page.wait_for_selector("#finishing:not([hidden])")
    wait_for(page, f"n('kept') === {total + 1}")
    assert system.shell(
        "from jingwei.bureau.cases.models import Case\n"
        f"print(Case.objects.get(pk={about['case']}).state)"
    ).endswith("spot")

    # The connection is back: everything goes, once.
    phone.context.set_offline(False)
    page.wait_for_selector("#finished:not([hidden])", timeout=60_000)
    phone.shot("spot-finished")
    shown = page.inner_text("#finished-hash")
    page.reload()
    there = json.loads(
        system.shell(
            "import json\n"
            "from jingwei.bureau.cases.models import Case\n"
            "from jingwei.bureau.inspections.models import Record\n"
            f"c = Case.objects.get(pk={about['case']})\n"
            "print(json.dumps({'state': c.state, 'answers': c.answers.count(),"
            " 'versions': sorted(c.answers.values_list('version', flat=True)),"
            " 'photos': [[p.item, p.sha256, p.position is not None] for p in c.photos.all()],"
            " 'record': c.record.sha256, 'signatures': c.record.signatures.count(),"
            " 'note': c.answers.get(item='G03').note,"
            " 'acts': list(c.events.values_list('transition', flat=True))}))"
        ).splitlines()[-1]
    )
    assert there["state"] == "signed"
    assert there["answers"] == total
    assert set(there["versions"]) == {1}
    assert sorted(p[0] for p in there["photos"]) == ["G03", "G04"]
    assert there["record"] == shown
    assert there["signatures"] == 3
    assert there["note"] == "标志牌缺失"
    assert there["acts"].count("start") == there["acts"].count("sign") == 1
    kept = page.evaluate(
        """async () => {
          const db = await new Promise((resolve) => {
            const r = indexedDB.open('jingwei-inspections', 1);
            r.onsuccess = () => resolve(r.result);
          });
          let rows = 0;
          for (const name of db.objectStoreNames) {
            const s = db.transaction(name).objectStore(name);
            rows += await new Promise((ok) => { const r = s.count(); r.onsuccess = () => ok(r.result); });
          }
          return rows;
        }"""
    )
    assert kept == 0
    # What the console of the browser said: nothing but that the network was away.
    assert not [e for e in phone.errors if "ERR_INTERNET_DISCONNECTED" not in e]


def test_two_phones_are_told_of_each_other(system, person: Callable) -> None:
    about = setting(system, "两人检查")
    one, two = person(about["grid"], phone=True), person(about["district"], phone=True)
    for who in (one, two):
        who.page.goto(f"/inspections/{about['case']}/spot/")
        who.page.wait_for_selector("#spot[data-kept='whole']", timeout=60_000)
    two.context.set_offline(True)
    two.page.click("#item-G01 [data-value='na']")
    wait_for(two.page, "n('kept') === 1")
    one.page.click("#item-G01 [data-value='no']")
    wait_for(one.page, "n('confirmed') === 1")
    two.context.set_offline(False)
    two.page.wait_for_selector("#item-G01 .conflict:not([hidden])", timeout=60_000)
    assert "不符合" in two.page.inner_text("#item-G01 .conflict p")
    two.shot("spot-conflict")
    two.page.click("#item-G01 [data-settle='theirs']")
    wait_for(two.page, "n('confirmed') === 1")
    assert two.page.get_attribute("#item-G01 [data-value='no']", "aria-pressed") == "true"


KEPT = """async () => Object.fromEntries(await Promise.all((await caches.keys())
  .filter((name) => name.startsWith('inspections:'))
  .map(async (name) => [name, (await (await caches.open(name)).keys()).length])))"""


def test_a_kept_page_is_its_users_and_gone_when_he_is(system, person: Callable) -> None:
    about = setting(system, "换人检查")
    spot = f"/inspections/{about['case']}/spot/"
    phone = person(about["grid"], phone=True)
    page = phone.page

    def opened() -> str:
        page.goto(spot)
        page.wait_for_selector("#spot[data-kept='whole']", timeout=60_000)
        user = page.get_attribute("html", "data-user")
        assert page.evaluate(KEPT) == {f"inspections:{user}": 1}
        return user

    def shown_without_connection() -> str | None:
        """Whose page opens; None for none."""
        phone.context.set_offline(True)
        try:
            page.goto(spot, wait_until="commit")
            return page.get_attribute("html", "data-user")
        except Exception as error:
            if "ERR_" not in str(error):
                raise
            return None
        finally:
            phone.context.set_offline(False)

    first = opened()
    assert shown_without_connection() == first
    # He logs out: nobody finds it any more, not in the browser's store either.
    page.goto("/inspections/")
    page.evaluate("document.querySelector('form[data-logout]').requestSubmit()")
    page.wait_for_url("**/login/**")
    page.wait_for_function(f"async () => !Object.keys(await ({KEPT})()).length")
    assert shown_without_connection() is None
    # Somebody else on the same phone, after a session that ran out: hers alone.
    phone.login(about["grid"])
    assert opened() == first
    phone.context.clear_cookies()
    page.goto(spot)
    page.wait_for_url("**/login/**")
    page.wait_for_function(f"async () => !Object.keys(await ({KEPT})()).length")
    phone.login(about["district"])
    assert shown_without_connection() is None
    second = opened()
    assert second != first
    assert shown_without_connection() == second


def test_from_a_plan_to_an_order(system, person: Callable) -> None:
    """Flow 5 with a dispatcher, a district officer, a grid officer on a phone and the enterprise."""
    about = setting(system, "未用")
    desk = person("dispatcher")
    page = desk.page
    uscc = system.shell(
        "from jingwei.bureau.registry.models import Enterprise\n"
        f"print(Enterprise.objects.get(pk={about['enterprise']}).uscc)"
    ).splitlines()[-1]
    page.goto("/inspections/new/")
    page.fill("#uscc", uscc)
    page.fill("[name=title]", "投诉专项检查")
    page.fill("[name=day]", "2026-12-02")
    page.click("main form button.btn-primary")
    page.wait_for_url(re.compile(r"/cases/\d+/$"))
    case = int(re.search(r"/cases/(\d+)/", page.url).group(1))
    boxes = page.locator("#act-set_team input[type=checkbox]")
    assert boxes.count() >= 2
    for i in range(2):
        boxes.nth(i).check()
    page.click("#act-set_team button.btn")
    page.wait_for_selector("text=检查组已定")
    desk.shot("inspection-planned")

    phone = person(about["grid"], phone=True)
    phone.page.goto(f"/inspections/{case}/spot/")
    phone.page.wait_for_selector("#spot[data-ready='true']")
    phone.page.click("#item-G03 [data-value='no']")
    phone.page.fill("#item-G03 [data-field='note']", "无标志牌")
    phone.page.locator("#item-G03 [data-field='note']").blur()
    total = 1 + answer_all(phone.page, but=("G03",))
    wait_for(phone.page, f"n('confirmed') === {total}")
    phone.page.check("#refusing")
    phone.page.fill("#reason", "对结论有异议")
    phone.page.fill("#witness", "社区钱某")
    signers = phone.page.eval_on_selector_all("[data-signer]", "b => b.map(x => x.dataset.signer)")
    assert "witness" in signers
    for signer in signers:
        draw_signature(phone.page, signer)
    phone.page.click("#finish")
    phone.page.wait_for_selector("#finished:not([hidden])", timeout=60_000)

    district = person(about["district"])
    page = district.page
    page.goto(f"/cases/{case}/")
    page.click("#act-problems summary")
    page.fill("#act-problems textarea", "排放口无标志牌")
    page.click("#act-problems button.btn")
    page.wait_for_selector("#act-hand_over")
    page.select_option("#act-hand_over select", "order")
    page.fill("#act-hand_over textarea", "限期设置标志牌")
    page.click("#act-hand_over button.btn")
    page.wait_for_selector("text=待公开")
    page.goto(f"/inspections/{case}/record/")
    assert "拒绝签名" in page.inner_text(".record")
    assert page.locator(".signed img").count() == 3
    district.shot("inspection-record")

    page = desk.page
    page.goto(f"/cases/{case}/")
    page.click("#act-publish button.btn")
    page.wait_for_selector("text=结果已公开")
    page.click("a:has-text('启动办理')")
    page.click("main form button.btn-primary")
    page.wait_for_url(re.compile(r"/cases/\d+/$"))
    assert page.url != f"{system.http}/cases/{case}/"
    page.goto(f"/cases/{case}/")
    desk.shot("inspection-published")

    own = person(about["own"])
    own.page.goto(f"/inspections/{case}/record/")
    assert "现场检查笔录" in own.page.inner_text(".record")
    own.page.goto("/inspections/")
    assert own.page.locator(f"a[href='/cases/{case}/']").count() == 1
    stranger = person("enterprise" if about["own"] != "enterprise" else "enterprise2")
    assert stranger.page.goto(f"/inspections/{case}/record/").status == 404


def test_anybody_checks_a_ticket(system, person: Callable) -> None:
    visitor = person("")
    page = visitor.page
    page.goto("/inspections/public/")
    page.click("main .list li:has(.state-normal) a")
    code = page.locator("td.mono").first.inner_text()
    page.fill("#code", code)
    page.click("main form button.btn-primary")
    page.wait_for_selector("output.badge.state-normal")
    assert "相符" in page.inner_text("output")
    visitor.shot("draw-public")
    own = person("enterprise")
    own.page.goto("/inspections/draws/own/")
    own.page.wait_for_selector("output.badge.state-normal")
    assert not visitor.errors


def test_a_draw_is_planned_committed_to_and_frozen(system, person: Callable) -> None:
    """The dispatcher plans it, three parties commit on their own pages, it is frozen; one reveals."""
    desk = person("dispatcher")
    page = desk.page
    page.goto("/inspections/draws/new/")
    page.fill("[name=purpose]", "验收抽查")
    page.fill("[name=lottery]", "双色球 2099001 期，红球")
    page.fill("[name=lottery_time]", "2099-01-01T21:15")
    page.fill("[name=parties]", "市纪委监委\n市司法局\n企业协会")
    page.fill("[name=reveal_time]", "2099-01-01T20:00")
    page.fill("[name=load]", "9")
    page.click("main form button.btn-primary")
    page.wait_for_url(re.compile(r"/inspections/draws/\d+/$"))
    desk.shot("draw-draft")
    page.fill("#x-reason", "停产检修")
    page.click("form[action$='/exclude/'] button")
    page.wait_for_selector("text=停产检修")
    page.click("form[action$='/freeze/'] button")
    assert "尚未提交承诺值" in page.inner_text(".alert-error")
    page.goto(page.url.replace("freeze/", ""))
    links = page.eval_on_selector_all("a[href*='/party/']", "a => a.map(x => x.href)")
    assert len(links) == 3
    party = person("", phone=True)
    for link in links:
        party.page.goto(link)
        party.page.wait_for_function("document.getElementById('commitment').value.length === 64")
        secret = party.page.input_value("#secret")
        assert re.fullmatch("[0-9a-f]{64}", secret)
        party.shot("draw-party")
        party.page.click("form button.btn-primary")
        party.page.wait_for_selector(".alert-success, .messages")
    page.reload()
    page.click("form[action$='/freeze/'] button")
    page.wait_for_selector("text=已冻结，等待种子")
    desk.shot("draw-frozen")
    visitor = person("")
    visitor.page.goto(page.get_attribute("a[href*='/inspections/public/']", "href"))
    text = visitor.page.inner_text("main")
    assert "停产检修" not in text
    assert re.search("[0-9a-f]{64}", text)
    party.page.goto(links[0])  # the browser that committed still knows its secret
    party.page.wait_for_function("document.getElementById('secret').value.length === 64")
    party.page.click("form button.btn-primary")
    party.page.wait_for_selector("#party .alert-success")
    assert not [e for e in party.errors + visitor.errors if "409" not in e]
