"""A duty officer and what the detectors raised: list, sheet, outlet, and the order in two clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe


def sound(who: Any) -> None:
    assert Axe().run(who.page).response["violations"] == []
    assert who.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("phone", [False, True])
def test_from_the_fleet_to_the_sheet_and_the_outlet(person: Callable, phone: bool) -> None:
    who = person("dispatcher", phone=phone)
    page = who.page
    page.goto("/monitoring/detection/")
    sound(who)
    assert page.locator("a", has_text="数据复制").count() >= 1
    page.locator("table a", has_text="非甲烷总烃").first.click()
    page.wait_for_selector("#detection-chart canvas")
    assert page.locator(".sheet-sentence").is_visible()
    assert "估计少报" in page.inner_text(".sheet-rare")
    assert "演示注入" in page.inner_text(".sheet-head")
    sound(who)
    page.click("text=查看本排放口的检测情况")
    assert "时段外 R²" in page.inner_text("main")
    sound(who)
    assert who.errors == []


def test_a_standard_gas_check_is_drafted_in_one_click(person: Callable) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/monitoring/detection/?detector=copy_exact")
    page.locator("table a", has_text="数据复制").first.click()
    page.click("button:has-text('下达标准气核查')")
    page.wait_for_url(lambda url: "/cases/" in url)
    assert "采样探头" in page.inner_text("main")
    assert "标准气核查" in page.inner_text("h1")
    sound(who)
    assert who.errors == []


def test_an_enterprise_sees_nothing_of_it(person: Callable) -> None:
    who = person("enterprise")
    assert who.page.goto("/monitoring/detection/").status == 403
    who.page.goto("/monitoring/")
    assert who.page.locator("nav a", has_text="数据检测").count() == 0
