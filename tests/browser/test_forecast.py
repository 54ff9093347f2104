"""What the air will be: from the navigation to a station's band, skill and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

LEARNED = 900_000  # ms; the worker learns beside everything else


def test_from_the_navigation_to_a_stations_forecast(person: Callable[..., Any]) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/air/forecast/")
    # The worker learns and forecasts; the page shows it by itself.
    row = page.locator("main tbody tr", has_text="奥体中心").last
    expect(row).to_be_visible(timeout=LEARNED)
    expect(page.get_by_role("region", name="日 AQI 等级概率")).to_contain_text("全市")
    # The map: the keyboard moves the hour, a station tells its classes and what stacks add.
    expect(page.locator("#place[data-drawn]")).to_be_visible(timeout=60_000)
    first = page.locator("#hour-text").text_content()
    page.locator("#hour").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#hour-text")).not_to_have_text(first)
    station = page.locator("#station-list").get_by_role("button", name="奥体中心")
    station.focus()
    page.keyboard.press("Enter")
    expect(station).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#sources h3")).to_contain_text("奥体中心")
    expect(page.locator("#sources .note").first).to_contain_text("排放口")
    row.get_by_role("link").first.click()
    expect(page.locator("#band canvas")).to_be_visible()
    expect(page.locator("#leads canvas")).to_be_visible()
    assert page.locator("ol.hours > li").count() == 48
    page.get_by_role("link", name="PM10", exact=True).click()
    expect(page.locator("#band canvas")).to_be_visible()
    expect(page.get_by_role("heading", name="预报水平：PM10")).to_be_visible()
    expect(page.get_by_text("假定与缺失")).to_be_visible()
    address = page.url
    page.get_by_role("link", name="空气质量预报").click()
    page.get_by_role("link", name="重污染", exact=True).click()
    expect(page.get_by_text("环大气〔2024〕6号")).to_be_visible()
    page.get_by_role("link", name="决策报告").click()
    page.locator("input[name^=cut-]").first.fill("50")
    page.get_by_role("button", name="计算").click()
    expect(page.locator("main p strong", has_text="−50 %")).to_be_visible()
    page.goto(address)
    other = person("auditor", phone=True)
    other.page.goto(page.url)
    expect(other.page.locator("#band canvas")).to_be_visible()
    wide = other.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 1
    assert not who.errors
    assert not other.errors
