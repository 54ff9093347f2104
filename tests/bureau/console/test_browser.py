"""`console.js` and `map.js` in a real browser, on pages made for the test: no server, no database."""

from __future__ import annotations

import json
import mimetypes
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders

CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium found on this machine"),
]
SITE = "http://console.test"
STYLES = ("ground", "shell", "content", "controls", "maps", "pages", "widths", "paper")
GETTEXT = (
    "gettext = (x) => x; ngettext = (one, many, n) => (n === 1 ? one : many);"
    "interpolate = (text, values) => text.replace('%s', values[0]);"
)
FORM = """<form class="form" method="post" data-draft="open">
<textarea name="text">{text}</textarea><input name="note"><button>send</button></form>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-gl=angle",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
            ],
        )
        yield browser
        browser.close()


class Site:
    """Answers of a made-up site: `pages` by path with query, POSTs with `posted`, static files."""

    def __init__(self, browser: Any) -> None:
        self.pages: dict[str, str | dict[str, Any]] = {}
        self.posted: tuple[int, str] = (303, "/done/")
        self.user = ""  # who is logged in
        self.page = browser.new_page(viewport={"width": 1366, "height": 768})
        self.page.route("**/*", self._answer)
        self.page.on("dialog", lambda dialog: dialog.accept())

    def _answer(self, route: Any) -> None:
        parts = urlsplit(route.request.url)
        if parts.path.startswith("/static/"):
            file = Path(finders.find(parts.path.removeprefix("/static/")))
            kind = (
                "text/javascript" if file.suffix == ".mjs" else mimetypes.guess_type(file.name)[0]
            )
            route.fulfill(body=file.read_bytes(), content_type=kind)
        elif route.request.method == "POST":
            status, there = self.posted
            if status == 303:
                route.fulfill(status=303, headers={"Location": SITE + there})
            else:
                self._page(route, there, status)
        else:
            content = self.pages.get(parts.path + ("?" + parts.query if parts.query else ""), "")
            if isinstance(content, dict):
                route.fulfill(body=json.dumps(content), content_type="application/json")
            else:
                self._page(route, content)

    def _page(self, route: Any, content: str, status: int = 200) -> None:
        user = f" data-user={self.user}" if self.user else ""
        body = (
            f"<!doctype html><html lang=en data-time-zone='Asia/Shanghai'{user}><title>t</title>"
            + "".join(f"<link rel=stylesheet href=/static/console/{n}.css>" for n in STYLES)
            + f"<script>{GETTEXT}</script><body>{content}"
            "<script type=module src=/static/console/console.js></script>"
        )
        route.fulfill(status=status, body=body, content_type="text/html; charset=utf-8")

    def go(self, address: str) -> Any:
        self.page.goto(SITE + address)
        return self.page

    def texts(self) -> list[str]:
        return self.page.eval_on_selector_all("textarea, input", "all => all.map(x => x.value)")


@pytest.fixture
def site(browser: Any) -> Iterator[Site]:
    made = Site(browser)
    yield made
    made.page.context.close()


def test_a_draft_comes_back_visibly_and_can_be_given_up(site: Site) -> None:
    form = FORM.format(text="prepared")
    site.pages["/a/"] = f"<details><summary>act</summary>{form}</details>"
    page = site.go("/a/")
    assert page.locator(".draft-note").count() == 0
    page.click("summary")
    page.fill("textarea", "typed")
    page.fill("input", "too")
    page.reload()
    assert site.texts() == ["typed", "too"]
    assert page.locator(".draft-note").is_visible()
    page.click(".draft-note button")
    assert site.texts() == ["prepared", ""]
    assert page.locator(".draft-note").count() == 0
    page.reload()
    assert site.texts() == ["prepared", ""]


def test_a_blank_never_hides_prepared_text(site: Site) -> None:
    site.pages["/a/"] = FORM.format(text="prepared")
    page = site.go("/a/")
    page.fill("textarea", " ")
    page.reload()
    assert site.texts() == ["prepared", ""]
    assert page.locator(".draft-note").count() == 0
    page.fill("textarea", "")
    page.fill("input", "typed")
    page.reload()
    assert site.texts() == ["prepared", "typed"]
    assert page.locator(".draft-note").is_visible()


def test_a_draft_belongs_to_its_address_with_the_query(site: Site) -> None:
    for n in ("1", "2"):
        site.pages[f"/open/?finding={n}"] = FORM.format(text=f"prepared for {n}")
    site.go("/open/?finding=1").fill("textarea", "typed for 1")
    site.go("/open/?finding=2")
    assert site.texts() == ["prepared for 2", ""]
    site.go("/open/?finding=1")
    assert site.texts() == ["typed for 1", ""]


def test_the_draft_of_a_form_that_was_sent_is_gone(site: Site) -> None:
    site.pages |= {"/a/": FORM.format(text="prepared"), "/done/": "<h1>done</h1>"}
    page = site.go("/a/")
    page.fill("textarea", "typed")
    page.click("button")
    page.wait_for_url("**/done/")
    page.wait_for_function("Object.keys(sessionStorage).length === 0")
    site.go("/a/")
    assert site.texts() == ["prepared", ""]


@pytest.mark.parametrize("status", [403, 409])
def test_the_draft_of_a_form_that_was_refused_stays(site: Site, status: int) -> None:
    site.pages["/a/"] = FORM.format(text="prepared")
    site.posted = (status, "<h1 id=refused>refused</h1>")
    page = site.go("/a/")
    page.fill("textarea", "typed")
    page.click("button")
    page.wait_for_selector("#refused")
    page.wait_for_function("sessionStorage.getItem('draft-sent') === null")  # its script has run
    site.go("/a/")
    assert site.texts() == ["typed", ""]


def test_a_draft_waits_for_its_writer_alone(site: Site) -> None:
    site.user = "7"
    site.pages["/a/"] = FORM.format(text="")
    site.pages["/login/"] = "<form class=login><input></form>"
    site.posted = (303, "/login/")  # the session had ended
    page = site.go("/a/")
    page.fill("textarea", "typed by 7")
    site.user = ""
    page.click("button")
    page.wait_for_url("**/login/")
    for user, text in (("8", ""), ("", ""), ("7", "typed by 7")):
        site.user = user
        site.go("/a/")
        assert site.texts() == [text, ""]


def test_who_logs_out_leaves_no_draft_of_the_own(site: Site) -> None:
    logout = "<form method=post data-logout><button id=out>log out</button></form>"
    site.pages["/a/"] = FORM.format(text="") + logout
    site.posted = (303, "/login/")
    kept = "Object.keys(sessionStorage).filter((key) => key.startsWith('draft:'))"
    for user in ("7", "8"):
        site.user = user
        site.go("/a/").fill("textarea", f"typed by {user}")
    page = site.page
    # A logout that was refused is none.
    site.posted = (403, "<h1 id=refused>refused</h1>")
    page.click("#out")
    page.wait_for_selector("#refused")
    page.wait_for_function("sessionStorage.getItem('logged-out') === null")
    assert len(page.evaluate(kept)) == 2
    page = site.go("/a/")
    site.user, site.posted = "", (303, "/login/")
    page.click("#out")
    page.wait_for_url("**/login/")
    page.wait_for_function("sessionStorage.getItem('logged-out') === null")
    assert [key.split(":")[1] for key in page.evaluate(kept)] == ["7"]


def test_a_draft_says_which_files_to_choose_again(site: Site) -> None:
    form = FORM.format(text="").replace("<button>", "<input type=file name=photos><button>")
    site.pages["/a/"] = form
    site.posted = (303, "/login/")  # the session had ended
    site.pages["/login/"] = "<form class=login><input></form>"
    page = site.go("/a/")
    photo = {"name": "烟囱.jpg", "mimeType": "image/jpeg", "buffer": b"x"}
    page.set_input_files("[type=file]", photo)
    page.fill("textarea", "typed")
    page.click("button")
    page.wait_for_url("**/login/")
    site.go("/a/")
    assert site.texts() == ["typed", "", ""]
    assert "烟囱.jpg" in page.inner_text(".draft-note")


def test_a_form_with_errors_has_the_address_of_its_page_again(site: Site) -> None:
    form = FORM.format(text="prepared").replace("<form", "<form action=/act/")
    site.pages["/a/?n=1"] = form
    site.posted = (422, form.replace("<textarea", "<p class=has-error>no</p><textarea"))
    page = site.go("/a/?n=1")
    page.fill("textarea", "typed")
    page.click("button")
    page.wait_for_selector(".has-error")
    page.wait_for_function("location.pathname === '/a/'")
    page.reload()
    assert page.locator(".has-error").count() == 0
    assert site.texts() == ["typed", ""]


def test_a_long_table_scrolls_with_the_page(site: Site) -> None:
    rows = "<tr><td>1</td></tr>" * 60
    site.pages["/t/"] = (
        "<div class='table-wrap scroll'><table class=table><thead><tr><th>n</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div><p>end</p>"
    )
    page = site.go("/t/")
    hidden = "e => e.scrollHeight - e.clientHeight"
    assert page.eval_on_selector(".table-wrap", hidden) == 0
    page.evaluate("window.scrollTo(0, 900)")
    assert page.eval_on_selector("thead th", "e => Math.round(e.getBoundingClientRect().top)") == 0


def test_a_table_of_values_fits_a_phone(site: Site) -> None:
    cells = "".join(
        f"<td{kind}>{text}</td>"
        for kind, text in [
            (" class=nowrap", "2026-11-22 00:00"),
            (" class=num", "62.5018"),
            (" class=num", "58.125"),
            ("", "N"),
            ("", "<span class='badge state-abnormal'>超过限值</span>"),
            (" class=nowrap", "2026-11-22 01:03:07"),
        ]
    )
    site.pages["/t/"] = (
        f"<div class=table-wrap><table class=table><tbody><tr>{cells}</tr></tbody></table></div>"
    )
    site.page.set_viewport_size({"width": 364, "height": 844})
    page = site.go("/t/")
    assert page.eval_on_selector(".table-wrap", "e => e.scrollWidth - e.clientWidth") <= 0


def square(code: str, west: float, south: float) -> dict[str, Any]:
    ring = [[west, south], [west + 0.2, south], [west + 0.2, south + 0.2], [west, south]]
    return {
        "type": "Feature",
        "properties": {"code": code, "name": code, "parent": "1"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def place(kind: str, longitude: float, latitude: float) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"kind": kind, "name": kind, "state": "normal", "url": "/"},
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
    }


def test_micro_stations_have_their_own_switch_on_the_map(site: Site) -> None:
    site.pages["/regions"] = {"type": "FeatureCollection", "features": [square("1", 116.2, 39.6)]}
    site.pages["/points"] = {
        "type": "FeatureCollection",
        "features": [place(k, 116.4, 39.9) for k in ("source", "micro_station", "micro_station")],
    }
    site.pages["/map/"] = "<div id=map class=map></div>"
    page = site.go("/map/")
    page.evaluate(
        "document.getElementById('map').setAttribute('style', 'width:900px;height:600px')"
    )
    page.evaluate(
        """async () => {
          const { createMap } = await import('/static/console/map.js');
          const box = document.getElementById('map');
          window.made = (await createMap(box, { regions: '/regions', points: '/points' })).map;
        }"""
    )
    entry = page.locator(".map-legend label", has_text="Micro-stations")
    assert entry.locator(".map-legend-count").inner_text() == "2"
    assert page.locator(".map-legend-count[data-key=normal]").inner_text() == "1"
    look = "window.made.getLayoutProperty('micro-stations', 'visibility')"
    assert page.evaluate(look) == "visible"
    entry.locator("input").uncheck()
    assert page.evaluate(look) == "none"
    assert page.evaluate("window.made.getFilter('sources')[1]") == [
        "!", ["in", ["get", "kind"], ["literal", ["air_station", "micro_station"]]],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "inside", "outside"),
    [
        ("", [(116.5, 39.9)], [(116.0, 39.5), (117.0, 40.5), (116.21, 39.61)]),
        ("110105", [(116.5, 39.9), (116.21, 39.61)], [(115.2, 39.5), (117.6, 40.9)]),
        (None, [(116.5, 39.9), (115.2, 39.5), (117.6, 40.9)], []),
    ],
)
def test_the_map_frames_the_own_areas_and_points_without_air_stations(
    site: Site,
    own: str | None,
    inside: list[tuple[float, float]],
    outside: list[tuple[float, float]],
) -> None:
    site.pages["/regions"] = {
        "type": "FeatureCollection",
        "features": [square("110105", 116.2, 39.6), square("110108", 117.3, 40.7)],
    }
    site.pages["/points"] = {
        "type": "FeatureCollection",
        "features": [
            place("source", 116.5, 39.9),
            place("air_station", 115.2, 39.5),
            place("air_station", 117.6, 40.9),
            place("micro_station", 117.6, 40.9),
        ],
    }
    data = "" if own is None else f'data-own="{own}"'
    site.pages["/map/"] = f"<div id=map class=map {data}></div>"
    page = site.go("/map/")
    page.evaluate(
        "document.getElementById('map').setAttribute('style', 'width:900px;height:600px')"
    )
    box = page.evaluate(
        """async () => {
          const { createMap } = await import('/static/console/map.js');
          const box = document.getElementById('map');
          const { map } = await createMap(box, { regions: '/regions', points: '/points' });
          return map.getBounds().toArray();
        }"""
    )

    def seen(at: tuple[float, float]) -> bool:
        (west, south), (east, north) = box
        return west < at[0] < east and south < at[1] < north

    assert [at for at in inside if not seen(at)] == []
    assert [at for at in outside if seen(at)] == []
