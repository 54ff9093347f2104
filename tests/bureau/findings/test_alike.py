"""What may be merged over the whole jurisdiction: groups by place and time, and their page."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from django.urls import reverse

from bureau.cases.city import open_case
from bureau.findings.test_episodes import near
from jingwei.bureau.findings import alike, episodes
from jingwei.bureau.findings.models import Finding, Kind

pytestmark = pytest.mark.django_db
PAGE = "findings:alike"


def found(user, **query):
    return {g.first.pk: [o.finding.pk for o in g.others] for g in alike.groups(user, query)[0]}


def test_each_stands_once_with_the_earliest_or_the_one_in_a_case(city):
    second, first = near(city, 100, hours=2), near(city)
    third = near(city, 150, hours=1)
    far, alone = near(city, 300_000), near(city, 0, hours=24 * 60)
    assert found(city.dispatcher) == {first.pk: [second.pk, third.pk]}
    assert {far.pk, alone.pk} & set(found(city.dispatcher)) == set()
    Finding.objects.filter(pk=third.pk).update(state="in_case")
    assert found(city.dispatcher) == {third.pk: [second.pk, first.pk]}
    Finding.objects.filter(pk=second.pk).update(state="dismissed")
    assert found(city.dispatcher) == {third.pk: [first.pk]}
    (group,) = alike.groups(city.dispatcher, {})[0]
    assert (round(group.others[0].metres), group.others[0].hours) == (150, 1)


def test_all_pairs_are_looked_at(city):
    """Whatever lies close is in a group, and nothing else is; two of the same group belong."""
    dice = Random(4)
    rows = [
        near(city, dice.uniform(0, 6000), dice.uniform(0, 200), dice.choice(Kind.values))
        for _ in range(60)
    ]
    made, more = alike.groups(city.dispatcher, {})
    assert not more
    assert len(made) > 3
    where = {}
    for group in made:
        for one in (group.first, *(o.finding for o in group.others)):
            assert where.setdefault(one.pk, group) is group
        for other in group.others:
            assert alike.compared(group.first, other.finding) == other
    for one, other in combinations(rows, 2):
        if alike.compared(one, other):
            assert {one.pk, other.pk} & set(where)


def test_filters_and_jurisdiction(city):
    patrol, offline = near(city), near(city, 50, kind="patrol")
    there = [near(city, 50_000, 0, "fire", region=city.regions[1]) for _ in range(2)]
    everything = {patrol.pk: [offline.pk], there[0].pk: [there[1].pk]}
    assert found(city.dispatcher) == everything
    assert found(city.district) == {patrol.pk: [offline.pk]}
    assert found(city.district2) == {there[0].pk: [there[1].pk]}
    assert found(city.dispatcher, kind="patrol") == {patrol.pk: [offline.pk]}
    assert found(city.dispatcher, region=city.regions[1].pk) == {there[0].pk: [there[1].pk]}
    assert found(city.dispatcher, q="no such title") == {}


def test_too_many_are_said_to_be(city, monkeypatch):
    near(city), near(city, 10), near(city, 20)
    monkeypatch.setattr(alike, "MOST", 2)
    made, more = alike.groups(city.dispatcher, {})
    assert more
    assert len(made) == 1


def test_the_page_merges_keeps_apart_and_comes_back(city, client):
    first, second, third = near(city), near(city, 10), near(city, 20)
    client.force_login(city.dispatcher)
    client.cookies["django_language"] = "en"
    url = reverse(PAGE)
    page = client.get(url, {"kind": "patrol"})
    assert second.get_absolute_url() in page.content.decode()
    merge = reverse("findings:merge", args=[first.pk])
    sent = {"list": "kind=patrol", "reason": "One and the same fire.", "act": "merge"}
    back = client.post(merge, {**sent, "other": [second.pk]})
    assert back.url == f"{url}?kind=patrol"
    second.refresh_from_db()
    assert second.merged_into == first
    assert found(city.dispatcher) == {first.pk: [third.pk]}
    client.post(merge, {**sent, "other": [third.pk], "act": "apart"})
    assert "Nothing to merge" in client.get(url).content.decode()
    none = client.post(merge, sent)  # nothing chosen: said on the finding's page
    assert none.status_code == 409
    assert "One and the same fire." in none.content.decode()


def test_only_who_judges_findings_opens_it(city, client):
    for user in city.people.values():
        client.force_login(user)
        judges = user.role in ("dispatcher", "district")
        assert client.get(reverse(PAGE)).status_code == (200 if judges else 403)
        linked = reverse(PAGE) in client.get(reverse("findings:list")).content.decode()
        assert linked == judges


def test_what_is_in_a_case_takes_new_ones(city):
    case = open_case(city)
    inside = case.findings.get()
    fresh = near(
        city, kind=inside.kind, enterprise=inside.enterprise, began=inside.began,
        ended=inside.ended, longitude=inside.longitude, latitude=inside.latitude,
    )  # fmt: skip
    assert found(city.dispatcher) == {inside.pk: [fresh.pk]}
    episodes.merge(city.dispatcher, [fresh.pk], inside.pk, "same")
    assert found(city.dispatcher) == {}
