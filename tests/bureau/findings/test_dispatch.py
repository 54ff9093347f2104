"""Area × matter → department: which rule wins, what a trial shows, who may maintain."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone, translation

from bureau.cases.city import finding
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings import checks, dispatch
from jingwei.bureau.findings.models import DispatchRule, Finding
from jingwei.bureau.findings.services import Refused

pytestmark = pytest.mark.django_db
State = DispatchRule.State


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def rule(city, area="", matter="", department="water", live=True):
    row = dispatch.write(
        city.dispatcher,
        area=area,
        matter=matter,
        department=Department.objects.get(code=department),
        reason="三定方案",
    )
    return dispatch.put_in_force(city.dispatcher, row.pk, "会议纪要") if live else row


def recent(city, number=1, which=0, **kw):
    row = finding(city, number, which, **kw)
    now = timezone.now()
    Finding.objects.filter(pk=row.pk).update(began=now, ended=now)
    return Finding.objects.get(pk=row.pk)


def test_without_rules_the_district_centre_is_proposed(city):
    said = dispatch.propose(finding(city, 1, which=1))
    assert (said.department, said.rule) == (city.districts[1], None)
    assert "jurisdiction" in said.why


def test_where_nobody_is_responsible_nobody_is_proposed(city):
    Department.objects.filter(kind="district").update(kind="grid")
    assert dispatch.propose(finding(city, 1)).department is None


@pytest.mark.parametrize(
    ("rules", "wins"),
    [
        ([("", "")], 0),
        ([("", ""), ("", "exceedance")], 1),
        ([("", "exceedance"), ("110000", "")], 1),  # the city by its code is smaller than all
        ([("110000", "exceedance"), ("110108", "")], 1),
        ([("110108", ""), ("110108", "exceedance")], 1),
        ([("110105", "exceedance"), ("", "fire"), ("", "")], 2),
        ([("110105", "exceedance")], None),
    ],
)
def test_the_smallest_area_wins_then_the_matter(city, rules, wins):
    made = [rule(city, area, matter) for area, matter in rules]
    said = dispatch.propose(finding(city, 1))
    assert said.rule == (None if wins is None else made[wins])
    if wins is not None:
        assert f"Rule {made[wins].pk}" in said.why


def test_a_rule_in_test_mode_proposes_nothing_and_shows_what_it_would_do(city):
    here, there = recent(city, 1), recent(city, 2, which=1)
    old = finding(city, 3)
    Finding.objects.filter(pk=old.pk).update(ended=timezone.now() - timedelta(days=91))
    tried = rule(city, "110108", "exceedance", live=False)
    assert tried.state == State.TEST
    assert dispatch.propose(here).rule is None
    trial = dispatch.trial(tried)
    assert (trial.total, trial.fits) == (2, 1)
    assert [(f.pk, a.code, b.code) for f, a, b in trial.moved] == [
        (here.pk, city.districts[0].code, "water")
    ]
    assert ("市水务局", 0, 1) in [tuple(d) for d in trial.departments] or any(
        d[1:] == (0, 1) for d in trial.departments
    )
    dispatch.put_in_force(city.dispatcher, tried.pk, "x")
    assert dispatch.propose(here).department.code == "water"
    assert dispatch.propose(there).department == city.districts[1]
    assert dispatch.trial(tried).moved == []


def test_a_new_rule_takes_the_place_of_the_old_with_entries(city):
    first, second = rule(city, "110108"), rule(city, "110108", department="city")
    first.refresh_from_db()
    assert (first.state, second.state) == (State.RETIRED, State.LIVE)
    entries = EvidenceEntry.objects.filter(kind="dispatch.rule").order_by("pk")
    acts = [json.loads(e.content)["content"]["act"] for e in entries]
    assert acts == ["written", "live", "written", "retired", "live"]
    with pytest.raises(IntegrityError), transaction.atomic():
        DispatchRule.objects.filter(pk=first.pk).update(state=State.LIVE)
    dispatch.retire(city.dispatcher, second.pk, "撤销")
    assert dispatch.propose(finding(city, 1)).rule is None
    with pytest.raises(Refused, match="retired already"):
        dispatch.retire(city.dispatcher, second.pk, "x")
    with pytest.raises(Refused, match="test mode"):
        dispatch.put_in_force(city.dispatcher, second.pk, "x")


def test_fsck_finds_a_rule_that_is_not_as_it_was_told(city):
    water = rule(city, "110108", "exceedance")
    tried = rule(city, live=False)
    assert list(checks.check()) == []
    entry = EvidenceEntry.objects.filter(kind="dispatch.rule").first()
    assert entry.salt
    assert water.reason not in entry.content
    rows = DispatchRule.objects.filter(pk=water.pk)
    for change, said in (
        ({"area": "110105"}, "area is '110105', but the evidence log says '110108'"),
        ({"matter": "complaint"}, "matter is 'complaint'"),
        ({"department": city.districts[0]}, "department is"),
        ({"state": State.RETIRED}, "act is 'retired', but the evidence log says 'live'"),
        ({"reason": "y"}, "reason: not what was said"),
    ):
        before = rows.values(*change).get()
        rows.update(**change)
        [problem] = checks.check()
        assert problem.startswith(f"dispatch rule {water.pk}: ")
        assert said in problem
        rows.update(**before)
    DispatchRule.objects.filter(pk=tried.pk).delete()
    assert list(checks.check()) == [
        f"the evidence log tells of dispatch:{tried.pk}, which is not there"
    ]


def test_who_may_and_what_is_demanded(city):
    water = Department.objects.get(code="water")
    with pytest.raises(Refused, match="role"):
        dispatch.write(city.district, area="", matter="", department=water, reason="x")
    for wrong in ({"area": "999999"}, {"matter": "weather"}, {"reason": " "}):
        with pytest.raises(Refused):
            dispatch.write(
                city.dispatcher,
                **{"area": "", "matter": "", "department": water, "reason": "x", **wrong},
            )
    assert not DispatchRule.objects.exists()


def test_the_pages(city, client):
    row = recent(city, 1)
    client.force_login(city.dispatcher)
    address = reverse("findings:rules")
    assert client.get(address).status_code == 200
    water = Department.objects.get(code="water")
    said = {"area": "110108", "matter": "", "department": water.pk, "reason": "三定方案"}
    assert client.post(address, {**said, "reason": ""}).status_code == 422
    answer = client.post(address, said)
    page = client.get(answer["Location"]).content.decode()
    assert row.title in page
    assert client.post(answer["Location"], {"act": "live", "reason": ""}).status_code == 409
    client.post(answer["Location"], {"act": "live", "reason": "会议纪要"})
    assert DispatchRule.objects.get().state == State.LIVE
    assert "市水务局" in client.get(row.get_absolute_url()).content.decode()
    client.post(answer["Location"], {"act": "retire", "reason": "撤销"})
    assert client.get(answer["Location"]).status_code == 200
    client.force_login(city.district)
    assert client.get(address).status_code == 403
