"""Pages of analysis: the choice stands in the address, every picture is drawn and has its table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect


def sound(who: Any) -> None:
    """No axe violation, nothing wider than the screen, no script error."""
    found = Axe().run(who.page).response["violations"]
    assert not [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]
    wide = who.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 1
    assert not who.errors


def test_time_plot_variation_and_calendar(person: Callable[..., Any]) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/monitoring/?kind=air_station")
    page.locator("main a", has_text="奥体中心").first.click()
    page.get_by_role("link", name="分析", exact=True).click()
    expect(page.locator("h1")).to_have_text("奥体中心")
    page.get_by_role("checkbox", name="臭氧").check()
    page.get_by_label("平均方式").select_option("day")
    page.get_by_role("button", name="显示").click()
    page.wait_for_url(lambda url: "average=day" in url and "factor=a05024" in url)
    expect(page.locator("#series canvas")).to_be_visible()
    expect(page.locator("[data-cycle] svg").first).to_be_visible()
    assert page.locator("[data-calendar] svg").count() == 2
    page.locator("summary", has_text="以表格显示").nth(1).click()
    assert page.locator("details[open] tbody tr").first.is_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="下载 CSV").first.click()
    assert download.value.suggested_filename.endswith("-series.csv")
    sound(who)
    # The address is the choice: a colleague on a phone sees the same.
    other = person("auditor", phone=True)
    other.page.goto(page.url)
    expect(other.page.get_by_role("checkbox", name="臭氧")).to_be_checked()
    expect(other.page.locator("[data-calendar] svg").first).to_be_visible()
    sound(other)


def test_roses_and_polar_plot(person: Callable[..., Any]) -> None:
    who = person("district1")
    page = who.page
    page.goto("/air/analysis/")
    page.get_by_role("link", name="风与污染").click()
    expect(page.locator("[data-rose] svg")).to_have_count(2)
    expect(page.locator("[data-polar] canvas")).to_have_count(2)
    expect(page.get_by_text("静风（低于 0.5 m/s）").first).to_be_visible()
    page.get_by_role("button", name="上界").click()
    expect(page.locator("[data-show='4']")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("高值起点").select_option("0.9")
    page.get_by_role("button", name="显示").click()
    page.wait_for_url(lambda url: "quantile=0.9" in url)
    expect(page.get_by_text("90% 分位数")).to_be_visible()
    sound(who)


def test_trend(person: Callable[..., Any]) -> None:
    who = person("auditor", phone=True)
    page = who.page
    page.goto("/air/analysis/trend/")
    expect(page.get_by_text("年斜率", exact=True)).to_be_visible()
    expect(page.locator("#trend canvas")).to_be_visible()
    # The demo city has a month: the weather cannot be taken out of it, and the page says why.
    page.get_by_label("气象").select_option("out")
    page.get_by_role("button", name="显示").click()
    expect(page.get_by_role("alert")).to_contain_text("不足 90 天")
    sound(who)


def test_evaluation_of_a_year(person: Callable[..., Any]) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/air/analysis/year/")
    expect(page.locator("table").first.locator("tbody tr")).to_have_count(6)
    page.get_by_label("污染物").select_option("o3_8h")
    page.get_by_role("button", name="显示").click()
    page.wait_for_url(lambda url: "item=o3_8h" in url)
    assert page.locator("table").nth(1).locator("tbody tr").count() >= 10
    expect(page.get_by_role("alert")).to_contain_text("不作评价")
    sound(who)
    page.locator("table").nth(1).locator("tbody a").first.click()
    expect(page.locator("#series canvas")).to_be_visible()


def test_trajectories_and_their_maps(person: Callable[..., Any]) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/air/analysis/")
    page.get_by_role("link", name="后向轨迹").click()
    expect(page.locator("#place[data-ready]")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("不能看作地点")).to_be_visible()
    rows = page.get_by_role("region", name="聚类").locator("tbody tr")
    expect(rows).to_have_count(4)
    page.locator("select[name=clusters]").select_option("3")
    page.get_by_label("相似度").select_option("euclid")
    page.get_by_role("button", name="显示").click()
    page.wait_for_url(lambda url: "clusters=3" in url and "method=euclid" in url)
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="CWT").click()
    expect(page.locator("[data-shows=cwt]")).to_have_attribute("aria-pressed", "true")
    assert "map=cwt" in page.url
    with page.expect_download() as download:
        page.get_by_role("link", name="网格 CSV").click()
    assert download.value.suggested_filename.endswith("-cells.csv")
    sound(who)
    other = person("auditor", phone=True)
    other.page.goto(page.url)
    expect(other.page.locator("[data-shows=cwt]")).to_have_attribute("aria-pressed", "true")
    expect(other.page.locator("#place[data-ready]")).to_be_visible(timeout=60_000)
    sound(other)


def test_taylor_diagram_of_stations(person: Callable[..., Any]) -> None:
    who = person("auditor", phone=True)
    page = who.page
    page.goto("/air/analysis/")
    page.get_by_role("link", name="泰勒图").click()
    page.get_by_label("比较").select_option("stations")
    page.get_by_role("button", name="显示").click()
    page.wait_for_url(lambda url: "compare=stations" in url)
    expect(page.locator("#taylor svg")).to_be_visible()
    assert page.get_by_role("region", name="统计").locator("tbody tr").count() >= 5
    with page.expect_download() as download:
        page.get_by_role("link", name="下载 CSV").click()
    assert download.value.suggested_filename.endswith("-taylor.csv")
    sound(who)
