"""Every page that links lead to, by HTTP under row-level security: each works for each role, and
shows nothing of another district, whoever found the address."""

from __future__ import annotations

import html
import re
from urllib.parse import urljoin, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.urls import Resolver404, resolve

from bureau.cases.city import bring, build, finding, open_case
from bureau.penalties import office
from jingwei.bureau import rows
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.cases import services

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite has no row-level security"
    ),
]
LINK = re.compile(r'(?:href|hx-get|data-url|data-src|src|action)="([^"]+)"')
# 404 here: no checkpoint is signed, no telegram in the lake.
ABSENT = re.compile(r"^/evidence/public/checkpoint$|/value/")


@pytest.fixture
def city(data):
    """In each of two districts an order, what is to be handled, a penalty, and a loose finding;
    somebody whose department has no place."""
    found = build()
    found.names = []
    for which, district in enumerate((found.district, found.people["district2"])):
        order = bring(found, open_case(found, 10 + which, which=which), "issued")
        services.open_case(district, (), office.OPEN, flow="penalty", parent=order, now=office.NOW)
        loose = finding(found, 20 + which, which)
        services.open_case(
            found.dispatcher, [finding(found, 30 + which, which)],
            {"title": f"办理{which}号", "text": "核实"}, flow="handling",
        )  # fmt: skip
        found.names.append({found.enterprises[which].name, order.number, loose.title})
    nowhere = Department.objects.create(code="nowhere", name="新设分中心", kind="district")
    found.people["nowhere"] = User.objects.create(
        username="nowhere", role="district", department=nowhere
    )
    rows.arm()
    yield found
    rows.disarm()


def kind_of(address: str) -> str:
    """The view behind an address, with or without a query; empty where there is none."""
    parts = urlsplit(address)
    try:
        return resolve(parts.path).view_name + ("?" if parts.query else "")
    except Resolver404:
        return ""


def crawl(client: Client, wrong: list[tuple[str, object]]) -> dict[str, str]:
    """The pages that links lead to from the home page, one of a view with a query and one without:
    address and text."""
    pages: dict[str, str] = {}
    waiting, kinds = ["/"], set[str]()
    while waiting:
        address = waiting.pop(0)
        kind = kind_of(address)
        if kind in kinds:
            continue
        kinds.add(kind)
        answer = client.get(address)
        pages[address] = text_of(answer)
        if answer.status_code in (301, 302):
            waiting.append(urljoin(address, answer["Location"]))
        elif answer.status_code not in (200, 204, 405) and not ABSENT.search(address):
            wrong.append((address, answer.status_code))  # (405: the address of a form)
        if answer.get("Content-Type", "").startswith("text/html"):
            for found in LINK.findall(pages[address]):
                link = urljoin(address, html.unescape(found)).partition("#")[0]
                if link.startswith("/") and not link.startswith(("/static", "/admin", "/i18n")):
                    waiting.append(link)
    return pages


def text_of(answer: object) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode("utf-8", "replace")


def entered(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def leaks(text: str, names: set[str]) -> set[str]:
    return {name for name in names if name in text}


def test_every_page_of_every_role_works_and_stays_in_its_district(city):
    found: dict[str, dict[str, str]] = {}
    for name in (
        "dispatcher", "leader", "auditor", "district", "district2", "grid", "department",
        "enterprise", "nowhere",
    ):  # fmt: skip
        wrong: list[tuple[str, object]] = []
        found[name] = crawl(entered(city.people[name]), wrong)
        assert not wrong, (name, wrong)
        assert len(found[name]) > 10, name
    one, two = city.names
    for name, own in (("dispatcher", one | two), ("district", one), ("district2", two)):
        assert leaks("".join(found[name].values()), own) == own, name
    foreign = {
        "district": two, "grid": two, "department": two, "enterprise": two, "district2": one,
        "nowhere": one | two,
    }  # fmt: skip
    for name, names in foreign.items():
        shown = {a: bad for a, text in found[name].items() if (bad := leaks(text, names))}
        assert not shown, (name, shown)
    # What links led others to, asked by those whom it is not for.
    addresses = {a for a in found["district2"] if re.search(r"\d", urlsplit(a).path)}
    assert len(addresses) > 10
    for name in ("district", "grid", "enterprise", "nowhere"):
        client = entered(city.people[name])
        for address in sorted(addresses - found[name].keys()):
            answer = client.get(address)
            assert answer.status_code < 500, (name, address)
            assert not leaks(text_of(answer), foreign[name]), (name, address)
    # All of this went by the role that the policies hold: without a user nothing can be read.
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, (SELECT count(*) FROM cases_case)")
        assert cursor.fetchone() == (rows.ROLE, 0)
