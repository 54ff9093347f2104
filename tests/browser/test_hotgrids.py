"""Hot grids: from the map's list to a finding and its push to the district, on desktop and phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect


def test_from_a_hot_area_to_the_four_steps(person: Callable[..., Any], system: Any) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/air/forecast/")
    page.get_by_role("link", name="热点网格").click()
    # The worker computes after the start; the page shows it by itself.
    expect(page.locator(".verdict")).to_be_visible(timeout=600_000)
    expect(page.get_by_text("虚构数据，非实测")).to_be_visible()
    expect(page.locator("#hot-map[data-ready]")).to_be_visible(timeout=60_000)
    first = page.locator("#cells tbody tr").first
    name = first.locator("button[data-cell]").inner_text()
    first.locator("button[data-cell]").click()
    first.get_by_role("button", name="列为线索").click()
    # Straight on to the push, with the finding in it.
    expect(page).to_have_url(re.compile(r"flow=four_step&finding=\d+"))
    expect(page.get_by_text(name).first).to_be_visible()
    page.goto("/air/hotgrids/")
    row = page.locator("#cells tbody tr").first
    expect(row.get_by_role("link")).to_be_visible()
    assert row.get_by_role("button", name="列为线索").count() == 0
    # An auditor reads the same on a phone, and raises nothing.
    other = person("auditor", phone=True)
    other.page.goto("/air/hotgrids/")
    expect(other.page.locator(".verdict")).to_be_visible()
    assert other.page.get_by_role("button", name="列为线索").count() == 0
    wide = other.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 1
    assert not who.errors
    assert not other.errors


def test_what_a_response_changed(person: Callable[..., Any], system: Any) -> None:
    """The demo's past warning, where the measured year reached one."""
    number = system.shell(
        "from jingwei.bureau.air.models import Episode\n"
        "print(Episode.objects.filter(state='ended').values_list('pk', flat=True).first() or '')"
    )
    if not number:
        return
    who = person("dispatcher")
    page = who.page
    page.goto(f"/air/episodes/{number}/")
    page.get_by_role("link", name="应急成效").click()
    expect(page.locator(".verdict")).to_be_visible(timeout=600_000)
    expect(page.locator("[data-picture] canvas").first).to_be_visible()
    assert page.locator("table tbody tr").count() >= 3
    assert not who.errors
