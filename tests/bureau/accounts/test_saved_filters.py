"""Filters that people keep of the lists of findings, cases, inspections and penalties."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bureau.cases.city import build
from jingwei.bureau.accounts.lists import KEEPABLE
from jingwei.bureau.accounts.models import SavedFilter

SENT = {
    "cases:list": "q=超标&state=open&page=7&evil=1",
    "findings:list": "q=超标&kind=complaint&point=110108-31&page=7&evil=1",
    "penalties:list": "q=超标&state=open&offence=air.exceeded&page=7&evil=1",
    "inspections:list": "q=超标&origin=targeted&state=planned&page=7&evil=1",
}


@pytest.fixture
def city(db):
    return build()


def save(client, page: str, query: str, name: str = " 我的 超标 "):
    return client.post(
        reverse("accounts:save_filter"), {"page": page, "query": query, "name": name}
    )


def test_every_list_that_says_so_is_tried_here() -> None:
    assert set(SENT) == set(KEEPABLE)


@pytest.mark.parametrize("page", SENT)
def test_saved_filters_are_one_s_own(city, client, page: str) -> None:
    client.force_login(city.dispatcher)
    answer = save(client, page, SENT[page])
    row = SavedFilter.objects.get()
    assert (row.name, row.user, row.page) == ("我的 超标", city.dispatcher, page)
    assert answer.url == f"{reverse(page)}?{row.query}"
    assert "page=" not in row.query
    assert "evil" not in row.query
    shown = client.get(reverse(page)).content.decode()
    assert f"?{row.query.replace('&', '&amp;')}" in shown
    assert client.get(answer.url).status_code == 200
    save(client, page, "q=臭气")  # replaced
    assert SavedFilter.objects.count() == 1
    for query, name in (("", "x"), ("evil=1", "x"), ("q=1", " ")):
        save(client, page, query, name)
    assert SavedFilter.objects.count() == 1
    client.get(reverse(page))  # shows what the posts had to say
    for other in set(SENT) - {page}:
        assert "我的 超标" not in client.get(reverse(other)).content.decode()
    client.force_login(city.district)
    assert "我的 超标" not in client.get(reverse(page)).content.decode()
    drop = reverse("accounts:drop_filter", args=[row.pk])
    assert client.post(drop).status_code == 404
    client.force_login(city.dispatcher)
    assert client.post(drop).url == reverse(page)
    assert not SavedFilter.objects.exists()


def test_the_same_name_may_stand_for_a_filter_of_each_list(city, client) -> None:
    client.force_login(city.dispatcher)
    for page, query in SENT.items():
        save(client, page, query)
    assert set(SavedFilter.objects.values_list("page", flat=True)) == set(SENT)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        client.get(reverse("cases:list"))
    assert sum("savedfilter" in q["sql"] for q in asked) <= 1


def test_a_filter_that_is_too_long_is_refused_and_not_cut(city, client) -> None:
    client.force_login(city.dispatcher)
    answer = save(client, "cases:list", "q=" + "超" * 60 + "&state=open", "\0长")
    assert "超" * 60 in client.get(answer.url).content.decode()  # still set on the page
    assert not SavedFilter.objects.exists()
    save(client, "cases:list", "q=" + "超" * 40, "\0长")
    assert SavedFilter.objects.get().name == "长"


def test_of_what_is_no_such_list_nothing_is_kept(city, client) -> None:
    client.force_login(city.dispatcher)
    for page in ("", "console:home", "https://elsewhere.example/"):
        assert save(client, page, "q=1").status_code == 404
    client.logout()
    assert save(client, "cases:list", "q=1").status_code == 302
    assert not SavedFilter.objects.exists()
