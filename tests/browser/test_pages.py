"""Every page of the console as people see it: no axe violation, no script error, nothing cut off."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import Resolver404, get_resolver, resolve, reverse

# Views that answer with something other than a page: files, parts of pages, acts.
NO_PAGE = re.compile(
    r"^api:|^sensorthings|^admin|^None$|healthz|-json$|checkpoint|export|csv|xlsx|tile|catalog|template$"
    r"|:map$|:regions$|:series$|:file$|:side$|:language$|:logout$|:act$|:dismiss$|:reopen$|:value$"
    r"|:certificate$|:public-|:take_back$|:trigger_try$|:trigger_live$|:trigger_end$|_decline$|_again$|:compute$"
    r"|:check$|:bell$|:device_card$|:device_form$|:device_commands$|:draw-act$|:photo$|:signature$"
    r"|:worker$|:state$"
)
# Pages to which a link leads only for somebody who was sent one, or who has made something first;
# tests of their rooms open them.
ELSEWHERE = {
    "air:effect",
    "air:episode",
    "campaigns:shared",
    "inspections:party",
    "inspections:record",
    "inspections:spot",  # whom the draw sends, another one at every hour
    "findings:import",
    "monitoring:strangers",
    "monitoring:adopt",
    "notices:channel",
    "monitoring:device_settings",
}
# Pages for everybody, without a login.
OPEN = {
    "accounts:login": "/accounts/login/",
    "findings:report": "/findings/report/",
    "findings:standing": "/findings/report/receipt/",
}
ADMIN = {"notices:outbox", "notices:channel-new"}
VISITED: dict[str, set[str]] = {}


def name_of(address: str) -> str:
    try:
        return resolve(urlsplit(address).path).view_name
    except Resolver404:
        return "None"


def crawl(who: Any, errors: list[str]) -> set[str]:
    """Look at one address of each view that can be reached by links from the home page."""
    found = {"console:home"}
    waiting = [("console:home", "/")]
    while waiting:
        look(who, *waiting.pop(0), errors)
        for link in who.page.eval_on_selector_all(
            "a[href]", "a => a.map(x => x.getAttribute('href'))"
        ):
            name = name_of(link)
            if link.startswith("/") and not NO_PAGE.search(name) and name not in found:
                found.add(name)
                waiting.append((name, link))
    return found


def look(who: Any, name: str, address: str, errors: list[str]) -> None:
    page = who.page
    before = len(who.errors)
    answer = page.goto(address)
    page.wait_for_load_state("load")
    if page.locator("[data-map]").count():
        page.wait_for_selector("[data-map][data-ready]")
    where = f"{name} ({page.viewport_size['width']} px)"
    if answer.status != 200:
        errors.append(f"{where}: {answer.status}")
    for violation in Axe().run(page).response["violations"]:
        nodes = "; ".join(n["html"][:160] for n in violation["nodes"][:3])
        errors.append(f"{where}: {violation['id']}: {violation['help']}: {nodes}")
    wide = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    if wide > 1:
        errors.append(f"{where}: {wide} px wider than the screen")
    errors += [f"{where}: {text}" for text in who.errors[before:]]
    who.shot(f"{name.replace(':', '-')}-{page.viewport_size['width']}")


@pytest.mark.parametrize(
    ("username", "phone"),
    [
        ("dispatcher", False),
        ("dispatcher", True),
        ("grid1", True),
        ("enterprise", False),
        ("department", False),
        ("auditor", False),
    ],
)
def test_pages_are_sound(person: Callable, username: str, phone: bool) -> None:
    who = person(username, phone=phone)
    errors: list[str] = []
    VISITED.setdefault(username, set()).update(crawl(who, errors))
    assert not errors, "\n".join(errors)


def methods(view: Callable | None) -> list[str] | None:
    """What `require_http_methods` and its kin let a view answer; None where nothing is said."""
    while view is not None:
        if inspect.isfunction(view):
            said = inspect.getclosurevars(view).nonlocals.get("request_method_list")
            if said:
                return said
        view = getattr(view, "__wrapped__", None)
    return None


def test_the_crawl_reached_every_page() -> None:
    """Otherwise a page could hide from the tests above."""
    if len(VISITED) < 5:
        pytest.skip("needs the pages to have been visited in the same run")
    wanted = set()

    def walk(patterns: Any, space: str = "") -> None:
        for entry in patterns:
            inner = ":".join(filter(None, [space, getattr(entry, "namespace", None) or ""]))
            if hasattr(entry, "url_patterns"):
                walk(entry.url_patterns, inner)
            elif "GET" in (methods(entry.callback) or ["GET"]):
                wanted.add(":".join(filter(None, [space, entry.name or ""])))

    walk(get_resolver().url_patterns)
    pages = {n for n in wanted if not NO_PAGE.search(n)}
    missing = pages - set().union(*VISITED.values()) - ELSEWHERE - set(OPEN) - ADMIN
    assert not missing, "\n".join(sorted(missing))


def test_pages_without_a_login(person: Callable) -> None:
    errors: list[str] = []
    for phone in (False, True):
        who = person("", phone=phone)
        for name, address in OPEN.items():
            look(who, name, address, errors)
        answer = who.page.goto("/nowhere/")
        assert answer.status == 404
        for violation in Axe().run(who.page).response["violations"]:
            errors.append(f"404: {violation['id']} {violation['help']}")
    assert not errors, "\n".join(errors)


def test_pages_of_administrators(person: Callable) -> None:
    errors: list[str] = []
    who = person("admin")
    for name in sorted(ADMIN):
        look(who, name, reverse(name), errors)
    assert not errors, "\n".join(errors)


def test_the_console_speaks_english(person: Callable) -> None:
    who = person("dispatcher")
    who.page.goto("/")
    who.page.click("button[name=language][value=en]")
    who.page.wait_for_function("document.documentElement.lang.startsWith('en')")
    han = re.compile(r"[一-鿿]")
    for address in ("/", "/monitoring/", "/findings/", "/cases/", "/evidence/", "/system/"):
        who.page.goto(address)
        heads = who.page.locator("h1, h2, th, label, .btn, nav a").all_inner_texts()
        texts = [t.strip() for t in heads if t.strip()]
        assert texts
        # Names of places and people stay as they are; headings and controls do not.
        chinese = [t for t in texts if han.search(t) and t != "简体中文"]
        assert len(chinese) <= 1, (address, chinese)


def test_what_was_typed_is_not_lost(person: Callable) -> None:
    who = person("dispatcher")
    page = who.page
    page.goto("/cases/")
    page.goto(
        page.locator("a[href^='/cases/']")
        .locator("visible=true")
        .evaluate_all(
            "a => a.map(x => x.getAttribute('href')).filter(h => /^\\/cases\\/\\d+\\/$/.test(h))[0]"
        )
    )
    details = page.locator("details.act:has(textarea)").first
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    area = details.locator("textarea").first
    area.fill("写到一半的话")
    page.wait_for_timeout(1500)
    page.on("dialog", lambda d: d.accept())
    page.reload()
    assert "写到一半的话" in page.evaluate(
        "Array.from(document.querySelectorAll('textarea')).map(t => t.value).join('|')"
    )
