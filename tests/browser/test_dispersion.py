"""Where do the plumes go: from the form to the field on the map, on desktop and phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect


def test_from_the_form_to_the_field(person: Callable[..., Any]) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/air/traces/")
    page.get_by_role("link", name="扩散模拟", exact=True).click()
    page.get_by_role("link", name="计算扩散").click()
    expect(page.locator("#disperse[data-ready]")).to_be_visible()
    expect(page.get_by_label("气象文件")).to_be_hidden()
    page.get_by_label("排放口", exact=True).select_option("industry")
    page.get_by_label("行业", exact=True).select_option("incineration")
    page.get_by_role("button", name="计算扩散").click()
    # The worker computes, beside what it learns at first; the page shows it by itself.
    expect(page.locator(".verdict")).to_be_visible(timeout=600_000)
    expect(page.locator("#place[data-ready]")).to_be_visible(timeout=30_000)
    expect(page.locator("#place[data-hour]")).to_be_visible(timeout=30_000)
    assert page.locator("#legend li").count() >= 3
    assert page.locator("#chart canvas").count() >= 1
    page.locator("#hour").evaluate("e => { e.value = '2'; e.dispatchEvent(new Event('input')); }")
    expect(page.locator('#place[data-hour="1"]')).to_be_visible(timeout=30_000)
    page.locator("#place canvas").click()
    expect(page.locator("#spot h3")).to_be_visible()
    assert page.get_by_role("region", name="贡献大小").locator("tbody tr").count() >= 1
    address = page.url
    # An auditor reads the same, and cannot ask.
    other = person("auditor", phone=True)
    other.page.goto(address)
    expect(other.page.locator(".verdict")).to_be_visible()
    assert other.page.get_by_role("link", name="重新计算").count() == 0
    wide = other.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 1
    assert not who.errors
    assert not other.errors
