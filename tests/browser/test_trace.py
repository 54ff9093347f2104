"""Whose air is it: from an air station to a ranked list and its paper, on desktop and phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect


def test_from_an_air_station_to_a_ranked_list(person: Callable[..., Any]) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/monitoring/?kind=air_station")
    page.locator("main a", has_text="奥体中心").first.click()
    page.get_by_role("link", name="追溯来源").click()
    page.get_by_label("污染物").select_option("a21026")
    page.get_by_role("button", name="追溯来源").click()
    # The worker answers, beside what it learns at first; the page shows it by itself.
    expect(page.locator(".verdict")).to_be_visible(timeout=600_000)
    rows = page.locator("table").first.locator("tbody tr")
    assert rows.count() >= 1
    expect(page.locator("#place[data-ready]")).to_be_visible(timeout=30_000)
    expect(page.locator("#rose svg")).to_be_visible()
    assert page.locator("#wind-rows tr").count() >= 1
    expect(page.get_by_text("假定与缺失")).to_be_visible()
    address = page.url
    page.goto("/air/traces/")
    expect(page.locator("main tbody tr").first).to_contain_text("奥体中心")
    # An auditor reads the same, and cannot ask.
    other = person("auditor", phone=True)
    other.page.goto(address)
    expect(other.page.locator(".verdict")).to_be_visible()
    assert other.page.get_by_role("link", name="重新溯源").count() == 0
    wide = other.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 1
    assert not who.errors
    assert not other.errors
