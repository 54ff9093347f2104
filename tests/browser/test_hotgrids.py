"""Hot grids: from the map's list to a finding and its push to the district, on desktop and phone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from axe_playwright_python.sync_playwright import Axe
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


def test_a_file_of_a_satellite_is_looked_at(
    person: Callable[..., Any], system: Any, tmp_path: Path
) -> None:
    """From the hot grids to a file: refused with the reason, then shown with what it would bring."""
    west, south, east, north = json.loads(system.shell(
        "import json\nfrom jingwei.bureau.air import hotgrids\n"
        "lon, lat = hotgrids.city().grid.places()\n"
        "print(json.dumps([lon.min(), lat.min(), lon.max(), lat.max()]))"
    ))  # fmt: skip
    bad, good = tmp_path / "bad.nc", tmp_path / "gems.nc"
    bad.write_text("no such thing")
    days = np.datetime64("2024-05-01T05:30", "ns") + np.arange(2) * np.timedelta64(1, "D")
    lon, lat = np.arange(west, east, 0.05), np.arange(south, north, 0.05)
    table = np.full((2, len(lat), len(lon)), 80.0)
    table[1] = np.nan
    xarray.Dataset(
        {"no2": (("time", "lat", "lon"), table, {"units": "umol m-2"})},
        coords={"time": days, "lat": lat, "lon": lon}, attrs={"title": "GEMS L3 NO2"},
    ).to_netcdf(good, engine="scipy")  # fmt: skip
    for phone in (False, True):
        who = person("dispatcher", phone=phone)
        page = who.page
        page.goto("/air/hotgrids/")
        page.get_by_role("link", name="卫星数据", exact=True).click()
        page.set_input_files("input[type=file]", bad)
        page.get_by_role("button", name="读取文件").click()
        expect(page.get_by_role("alert")).to_contain_text(
            "不是可读取的 NetCDF 文件", timeout=60_000
        )
        page.set_input_files("input[type=file]", good)
        page.get_by_role("button", name="读取文件").click()
        expect(page.get_by_role("button", name="导入 1 景")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("GEMS L3 NO2")).to_be_visible()
        expect(page.get_by_text("没有覆盖本市任何网格")).to_be_visible()
        assert not Axe().run(page).response["violations"]
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 1
        # The refusal comes with status 422, which Chromium writes on its console.
        assert not [e for e in who.errors if "422" not in e]
