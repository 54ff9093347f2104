"""What the public reads of an order, and listed supervision."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.urls import reverse
from openpyxl import load_workbook

from bureau.cases.city import DOCUMENT, FORMS, NOW, bring, files_for, finding, open_case
from jingwei.bureau.cases import checks, listing, selectors, services, tasks
from jingwei.bureau.cases.errors import Refused

pytestmark = pytest.mark.django_db


def act(who, case, name, now=NOW, **data):
    case.refresh_from_db()
    form = {**FORMS[name], **data}
    services.act(who, case.pk, name, case.version, form, files_for(name), now=now)
    case.refresh_from_db()
    return case


def test_the_public_reads_what_was_chosen_and_nothing_else(city, client):
    case = bring(city, open_case(city), "closed")
    hidden = bring(city, open_case(city, 2), "closed")
    url = reverse("cases:public")
    assert case.number not in client.get(url).content.decode()
    act(city.dispatcher, case, "publish")
    html = client.get(url).content.decode()
    assert case.number in html
    assert FORMS["publish"]["text"] in html
    assert city.enterprises[0].name in html
    assert FORMS["close"]["text"] in html  # the conclusion was chosen
    assert DOCUMENT["text"] not in html  # the requirement was not
    assert hidden.number not in html
    for text in (FORMS["answer"]["text"], "dispatcher", "district", "更换催化剂"):
        assert text not in html
    body = b"".join(client.get(reverse("cases:public_csv"))).decode("utf-8-sig")
    header, row = list(csv.reader(io.StringIO(body)))
    assert len(header) == len(row)
    assert row[0] == case.number
    assert reverse("cases:public_xlsx") in html
    book = load_workbook(io.BytesIO(client.get(reverse("cases:public_xlsx")).getvalue())).active
    assert [[c.value or "" for c in line] for line in book.iter_rows()] == [header, row]
    act(city.dispatcher, case, "unpublish")
    assert case.number not in client.get(url).content.decode()
    assert list(checks.check()) == []


def test_without_the_name_the_enterprise_is_not_named(city, client):
    case = bring(city, open_case(city), "rectifying")
    act(city.dispatcher, case, "publish", parts=["requirement"])
    html = client.get(reverse("cases:public")).content.decode()
    assert city.enterprises[0].name not in html
    assert DOCUMENT["text"] in html


@pytest.mark.parametrize(
    "text", ["联系人13812345678", "电话010-87654321", "身份证11010519900307123X", "0108765432"]
)
def test_numbers_of_persons_are_not_published(city, text):
    case = bring(city, open_case(city), "rectifying")
    with pytest.raises(Refused, match=text[-8:]):
        act(city.dispatcher, case, "publish", text=f"已责令整改，{text}。")
    case.refresh_from_db()
    assert case.published is None


@pytest.mark.parametrize("text", ["氮氧化物 75.5 mg/m³", "示环督〔2026〕12345号", "20261120第3批"])
def test_other_numbers_are(city, text):
    case = bring(city, open_case(city), "rectifying")
    assert act(city.dispatcher, case, "publish", text=text).published == NOW


def test_the_public_list_filters(city, client):
    for number, which in ((1, 0), (2, 1)):
        case = bring_other(city, number, which)
        act(city.dispatcher, case, "publish", text=f"第{number}件")
    page = client.get(reverse("cases:public"), {"region": "110105"})
    assert [o["summary"] for o in page.context["orders"]] == ["第2件"]
    page = client.get(reverse("cases:public"), {"q": "第1件"})
    assert [o["summary"] for o in page.context["orders"]] == ["第1件"]


def bring_other(city, number, which):
    case = services.open_case(city.dispatcher, [finding(city, number, which)], DOCUMENT, now=NOW)
    return act(city.dispatcher, case, "issue")


def test_the_rules_propose_and_a_leader_decides(city, client):
    cases = [bring(city, open_case(city, n), "rectifying") for n in (1, 2, 3)]
    case = cases[-1]
    counted = {p["label"]: (p["count"], p["met"]) for p in listing.proposal(case, NOW)}
    assert list(counted.values()) == [(3, True), (0, False), (0, False)]
    client.force_login(city.dispatcher)
    assert "至少 3" in client.get(case.get_absolute_url()).content.decode()
    client.force_login(city.enterprise)
    assert "至少 3" not in client.get(case.get_absolute_url()).content.decode()
    with pytest.raises(Refused):
        act(city.leader, case, "list")
    act(city.dispatcher, case, "propose")
    assert [p["count"] for p in case.detail["listing"]] == [3, 0, 0]  # as it was proposed
    assert selectors.waiting_for(city.leader).get() == case
    with pytest.raises(Refused):
        act(city.dispatcher, case, "list")
    act(city.leader, case, "list")
    assert case.listed == NOW
    assert not selectors.waiting_for(city.leader).exists()
    assert list(selectors.search(city.dispatcher, {"listed": "1"})) == [case]
    bring_on(city, case)
    with pytest.raises(Refused):
        act(city.dispatcher, case, "close")
    act(city.leader, case, "lift")
    act(city.dispatcher, case, "close")
    assert case.state == "closed"
    assert list(checks.check()) == []


def bring_on(city, case):
    for name, who in (("answer", "enterprise"), ("verify", "grid"), ("accept", "district")):
        act(city.people[who], case, name)


def test_a_leader_may_decline(city):
    case = bring(city, open_case(city), "rectifying")
    act(city.dispatcher, case, "propose")
    act(city.leader, case, "decline")
    assert case.listed is None
    act(city.dispatcher, case, "propose")  # again, later


def test_rejections_and_a_missed_deadline_count(city):
    case = bring(city, open_case(city), "answered")
    for _ in range(2):
        act(city.grid, case, "reject")
        act(city.enterprise, case, "answer")
    act(city.grid, case, "reject")
    tasks.tick(case.due + timedelta(days=10))
    assert [p["count"] for p in listing.proposal(case, NOW)] == [1, 3, 1]
    assert "3 " in listing.words(case)
    assert [p["count"] for p in listing.proposal(case, NOW + timedelta(days=366))] == [0, 3, 1]
