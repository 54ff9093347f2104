"""What `jingwei fsck` says of exceedances that are not what the evidence log tells of them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F

from jingwei.bureau.evidencelog.services import record, time_text
from jingwei.bureau.monitoring import checks, declare, judgements, samples
from jingwei.bureau.monitoring.models import Exceedance, Judgement, Mark, OrderProposal, Sample

from .conftest import NOW, City, hour, limit, make_point, make_user

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}
UNDER = {"a21002": 30.0, "a19001": 12.0}


@pytest.fixture
def judged(city: City) -> City:
    """Hours found, corrected, withdrawn, found again: in entries of one and of several facts."""
    for values in (OVER, UNDER, OVER, {"a21002": 120.0, "a19001": 12.0}):
        city.send(hour(9), values)
        city.judge()
    for n in range(5):
        city.send(hour(n), {"a21002": 80.1 + n, "a19001": 12.0})
    city.judge()
    return city


def test_nothing_is_said_of_what_is_right(judged: City):
    limit(judged.outlet, judged.permit, "w01001", "6", unit="无量纲", lower=True, reference_o2=None)
    water = make_point(judged.outlet, judged.region, 7, st="32", factors=["w01001"])
    # Numbers that PostgreSQL's jsonb does not give back as they were written.
    judged.send(hour(20), {"w01001": "-0"}, point=water)
    judged.send(hour(20), {"a21002": "99999999999", "a19001": "20.9999999999"})
    judged.judge()
    found = Exceedance.objects.filter(time=hour(20))
    assert sorted(e.value > 1e16 for e in found) == [False, True]
    assert list(checks.check()) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"value": 101.0}, "value is 101.0, but the evidence log says 133.5"),
        ({"value": F("value") * (1 + 2**-50)}, "value"),
        ({"limit_value": 133.0}, "limit is 133.0, but the evidence log says 100.0"),
        ({"multiple": 0.01}, "multiple"),
        ({"multiple": None}, "multiple"),
        ({"factor": "a21026"}, "factor is 'a21026', but the evidence log says 'a21002'"),
        ({"period": "day"}, "period"),
        ({"unit": "µg/m³"}, "unit"),
        ({"time": hour(0) + timedelta(seconds=1)}, "time"),
        ({"steps": []}, "steps_sha256"),
        ({"telegrams": []}, "telegrams"),
        ({"point": 0, "value": 1.0}, "point"),
        ({"limit": 0}, "permit_limit"),
    ],
)
def test_the_first_difference_of_a_row_is_named(judged: City, change, named):
    row = Exceedance.objects.get(time=hour(0))
    if "point" in change:
        change = {**change, "point": make_point(judged.outlet, judged.region, 5)}
    if "limit" in change:
        change = {"limit": judged.limits["day"]}
    Exceedance.objects.filter(pk=row.pk).update(**change)
    [problem] = checks.check()
    assert problem.startswith(f"Exceedance {row.pk}: {named}"), problem


def test_each_row_is_named_once(judged: City):
    rows = set(Exceedance.objects.values_list("pk", flat=True))
    Exceedance.objects.update(value=F("value") + 1, unit="x")
    assert {int(re.match(r"Exceedance (\d+): value is", p)[1]) for p in checks.check()} == rows
    assert len(list(checks.check())) == len(rows) == 8


@pytest.mark.parametrize(
    ("when", "withdrawn", "change"),
    [
        (hour(0), "", {"withdrawn": "within"}),  # made to vanish
        (hour(9), "within", {"withdrawn": "mark"}),  # for another reason
        (hour(9), "corrected", {"withdrawn": "within"}),
    ],
)
def test_a_row_that_the_log_did_not_withdraw_so(judged: City, when, withdrawn, change):
    Exceedance.objects.filter(time=when, withdrawn=withdrawn).update(**change)
    problems = list(checks.check())
    assert problems
    assert all("withdrawn" in p and "the evidence log tells of" in p for p in problems), problems


def test_a_row_that_was_deleted(judged: City):
    Exceedance.objects.filter(time=hour(2)).delete()
    [problem] = checks.check()
    assert f"{hour(2):%Y-%m-%dT%H}" in problem
    assert problem.endswith(": 0, but the evidence log tells of 1.")


def test_a_row_that_was_copied(judged: City):
    row = Exceedance.objects.get(time=hour(2))
    row.pk, row.withdrawn = None, "within"
    row.save()
    assert any(": 2, but the evidence log tells of 1." in p for p in checks.check())


def test_a_row_with_the_entry_of_another(judged: City):
    row = Exceedance.objects.get(time=hour(2))
    row.evidence = row.finding.evidence
    row.save()
    assert f"Exceedance {row.pk}: its entry in the evidence log does not tell of it." in list(
        checks.check()
    )


# Judgements -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"factors": {}},
        {"telegrams": "1"},
        {"judged": hour(1)},
        {"time": hour(30)},
    ],
)
def test_a_judgement_that_was_changed(judged: City, change):
    row = Judgement.objects.get(period="hour", time=hour(3))
    Judgement.objects.filter(pk=row.pk).update(**change)
    [problem] = checks.check()
    assert re.fullmatch(
        r"Judgements judge-hour:\d+:\d+: one at least is not what the evidence log says\.", problem
    )


def test_one_digit_of_a_value(judged: City):
    row = Judgement.objects.get(period="hour", time=hour(3))
    row.factors["a21002"]["value"] += 0.1
    row.save()
    assert len(list(checks.check())) == 1


def test_judgements_that_are_too_few_or_too_many(judged: City):
    row = Judgement.objects.get(period="hour", time=hour(3))
    number = row.pk
    row.delete()
    [few] = checks.check()
    assert re.search(r"judge-hour:\d+:\d+: 4, but the evidence log tells of 5\.$", few)
    row.pk = number
    row.save()  # the same in everything: nothing was lost
    assert list(checks.check()) == []
    row.pk, row.time = None, hour(29)
    row.save()
    assert list(checks.check()) == ["Judgements (hour): the evidence log does not tell of 1."]


def test_an_older_judgement_made_to_stand_again(judged: City):
    old, *_, new = Judgement.objects.filter(period="hour", time=hour(9)).order_by("pk")
    Judgement.objects.filter(pk=new.pk).update(stands=False)
    Judgement.objects.filter(pk=old.pk).update(stands=True)
    assert list(checks.check()) == [
        f"Judgement {old.pk} stands, but is not the newest.",
        f"Judgement {new.pk} is, but does not stand as the newest.",
    ]


def test_a_batch_that_is_added_meanwhile_is_no_difference(judged: City, monkeypatch):
    end = judgements.last()
    judged.send(hour(20), OVER)
    judged.judge()
    assert judgements.last() > end
    monkeypatch.setattr(judgements, "last", lambda: end)
    assert list(judgements.check()) == []


# What people said -------------------------------------------------------------------------------


def declared(city: City) -> tuple[Mark, Sample]:
    company = make_user("enterprise", enterprise=city.outlet.enterprise.uscc)
    officer = make_user("dispatcher")
    mark = declare.set_mark(
        company, outlet=city.outlet, sort="device_upkeep", start=hour(2), end=hour(1), note="校准",
        grounds=True, facilities=False, now=hour(2) + timedelta(minutes=30),
    )  # fmt: skip
    samples.enter(
        officer, city.point, factor="a21002", period="hour", taken=hour(3), value=50.0,
        report="8号", note="执法监测", now=NOW,
    )  # fmt: skip
    sample = Sample.objects.get()
    samples.withdraw(officer, sample, "错录", NOW)
    return mark, sample


def test_marks_and_samples_are_as_they_were_told(city: City):
    mark, sample = declared(city)
    assert list(checks.check()) == []
    declare.withdraw(mark.user, mark, NOW)
    assert list(checks.check()) == []
    for row, change, said in (
        (mark, {"note": "校 准"}, "note: not what was said when the evidence log was told of it."),
        (mark, {"sort": "stop"}, "sort is 'stop', but the evidence log says 'device_upkeep'."),
        (mark, {"withdrawn": None}, "not withdrawn, but the evidence log says otherwise."),
        (mark, {"refractory": True}, "refractory is True, but the evidence log says False."),
        (mark, {"resent": True}, "resent is True, but the evidence log says False."),
        (mark, {"grounds": False}, "grounds is False, but the evidence log says True."),
        (mark, {"facilities": True}, "facilities is True, but the evidence log says False."),
        (mark, {"user": sample.user}, "but the evidence log commits to another."),
        (sample, {"note": "x"}, "note or why: not what was said"),
        (sample, {"why": ""}, "note or why: not what was said"),
        (sample, {"value": 51.0}, "value is 51.0, but the evidence log says 50.0."),
    ):
        rows = type(row).objects.filter(pk=row.pk)
        before = rows.values(*change).get()
        rows.update(**change)
        [problem] = checks.check()
        assert said in problem
        rows.update(**before)
    assert list(checks.check()) == []


def test_entries_from_before_words_were_salted_are_compared_in_clear(city: City):
    mark, _sample = declared(city)
    old = {"note": mark.note, "act": "set", "sort": "device_upkeep"}
    old |= {"start": time_text(mark.start), "end": time_text(mark.end), "furnace": ""}
    old |= {"outlet": f"{city.outlet.enterprise.uscc} {city.outlet.code}"}
    with transaction.atomic():
        mark.evidence = record("mark", f"mark:{mark.pk}", old)
    mark.save()
    assert list(checks.check()) == []
    Mark.objects.update(note="x")
    [problem] = checks.check()
    assert problem.endswith("note is 'x', but the evidence log says '校准'.")


def test_why_no_order_was_issued(city: City):
    with transaction.atomic():
        row = OrderProposal.objects.create(
            code="A18-7", version=1, enterprise=city.outlet.enterprise, reason="已处置", state="declined",
            triggered=NOW, due=NOW, receiver="district", severity=2,
        )  # fmt: skip
        content = {"act": "declined", "proposal": row.pk}
        record("proposal", f"proposal:{row.pk}", content, said={"reason": "已处置"})
    assert list(checks.check()) == []
    OrderProposal.objects.update(reason="已处理")
    [problem] = checks.check()
    assert problem.startswith(f"Proposal {row.pk}: reason: not what was said")
