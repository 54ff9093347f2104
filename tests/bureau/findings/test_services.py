"""One finding an episode; what people decide about it, with reasons and proof."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
import typer
from django.db import IntegrityError, transaction

from bureau.cases.city import NOW, finding
from jingwei.bureau.access import Role
from jingwei.bureau.cases import apps as cases
from jingwei.bureau.cases import checks as cases_checks
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings import checks, immutable, services
from jingwei.bureau.findings.apps import APPEND_ONLY
from jingwei.bureau.findings.models import Decision, Finding, Kind
from jingwei.bureau.findings.services import Refused, notice
from jingwei.service import commands

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def see(city, begin=0, end=1, **kw):
    point = city.points[0]
    values = {
        "kind": "exceedance",
        "episode": "e",
        "title": "t",
        "region": point.region,
        "longitude": 116.3,
        "latitude": 39.9,
        "began": NOW + begin * HOUR,
        "ended": NOW + end * HOUR,
        "enterprise": point.enterprise,
        "point": point,
    }
    return notice(**{**values, **kw})


def test_the_first_call_creates_and_leaves_proof(city):
    row, created = see(city, facts={"factor": "a21002", "highest": 75.5})
    assert created
    said = json.loads(row.evidence.content)
    assert said["subject"] == f"finding:{row.pk}"
    assert said["content"]["episode"] == "e"
    assert said["content"]["point"] == city.points[0].key
    assert said["content"]["facts"] == {"factor": "a21002", "highest": 75.5}
    assert list(checks.check()) == []


def test_the_next_calls_extend(city):
    first, _ = see(city, 2, 3, severity=2, title="drei", facts={"count": 1})
    second, created = see(city, 3, 4, severity=1, title="vier", facts={"count": 2})
    assert (second.pk, created) == (first.pk, False)
    assert (second.began, second.ended) == (NOW + 2 * HOUR, NOW + 4 * HOUR)
    assert (second.severity, second.title, second.facts) == (2, "vier", {"count": 2})
    # A late call about an earlier hour widens the time and raises the severity, nothing else.
    third, _ = see(city, 0, 1, severity=3, title="null", facts={"count": 9})
    assert (third.began, third.ended) == (NOW, NOW + 4 * HOUR)
    assert (third.severity, third.title, third.facts) == (3, "vier", {"count": 2})
    assert EvidenceEntry.objects.filter(kind="finding").count() == 1


def test_a_call_that_says_nothing_takes_nothing_away(city):
    see(city, facts={"count": 1}, innocent=["a"], next_check="b", confidence="c")
    row, _ = see(city, 1, 2)
    assert (row.facts, row.innocent, row.next_check, row.confidence) == (
        {"count": 1},
        ["a"],
        "b",
        "c",
    )


def test_extending_does_not_touch_what_people_decided(city):
    row, _ = see(city)
    services.dismiss(city.district, row.pk, "校准")
    row, created = see(city, 1, 5)
    assert not created
    assert (row.state, row.reason) == (Finding.State.DISMISSED, "校准")
    assert row.ended == NOW + 5 * HOUR


@pytest.mark.parametrize("kind", Kind.values)
def test_all_eleven_kinds_come_into_one_stream(city, kind):
    row, _ = see(city, kind=kind, episode=kind, enterprise=None, point=None, region="110108")
    assert row.get_kind_display()
    assert len(Kind.values) == 11


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "smell"}, "kind"),
        ({"began": NOW.replace(tzinfo=None)}, "aware"),
        ({"ended": NOW - HOUR}, "before it begins"),
    ],
)
def test_nonsense_is_refused(city, wrong, why):
    with pytest.raises(ValueError, match=why):
        see(city, **wrong)
    assert not Finding.objects.exists()


def test_dismissing_needs_a_reason_and_can_be_taken_back(city):
    row = finding(city)
    for reason in ("", "   ", "x" * 301):
        with pytest.raises(Refused):
            services.dismiss(city.dispatcher, row.pk, reason)
    assert services.dismiss(city.dispatcher, row.pk, " 停机\n检修 ").reason == "停机 检修"
    with pytest.raises(Refused):
        services.dismiss(city.district, row.pk, "noch einmal")
    assert services.reopen(city.district, row.pk, "复核后仍超标").state == Finding.State.NEW
    with pytest.raises(Refused):
        services.reopen(city.district, row.pk, "noch einmal")
    said = [(d.action, d.reason, d.actor.username) for d in row.decisions.all()]
    assert said == [
        ("dismiss", "停机 检修", "dispatcher"),
        ("reopen", "复核后仍超标", "district"),
    ]
    assert list(checks.check()) == []


@pytest.mark.parametrize("role", Role.values)
def test_who_may_judge(city, role):
    row = finding(city)
    if role in ("dispatcher", "district"):
        assert services.dismiss(city.people[role], row.pk, "x").state == "dismissed"
    else:
        with pytest.raises(Refused):
            services.dismiss(city.people[role], row.pk, "x")


def test_nobody_judges_outside_of_the_jurisdiction(city):
    row = finding(city)
    with pytest.raises(Finding.DoesNotExist):
        services.dismiss(city.district2, row.pk, "x")


def test_a_finding_in_a_case_is_not_dismissed(city):
    row = finding(city)
    services.take([row])
    with pytest.raises(Refused):
        services.dismiss(city.dispatcher, row.pk, "x")
    with pytest.raises(Refused):
        services.take([row])
    services.release([row])
    services.dismiss(city.dispatcher, row.pk, "x")


def test_the_enterprise_reads_what_its_own_monitors_say_and_no_suspicion(city):
    for kind in Kind.values:
        see(city, kind=kind, episode=kind)
    seen = Finding.objects.restrict(city.enterprise, "finding.view")
    assert {f.kind for f in seen} == {"exceedance", "offline"}
    assert not Finding.objects.restrict(city.enterprise2, "finding.view").exists()
    assert Finding.objects.restrict(city.grid, "finding.view").count() == 11
    assert not Finding.objects.restrict(city.grid2, "finding.view").exists()


def test_decisions_are_written_once(city):
    row = finding(city)
    services.dismiss(city.dispatcher, row.pk, "x")
    decision = Decision.objects.get()
    decision.reason = "y"
    for change in (decision.save, decision.delete):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"kind": "fire"}, "kind"),
        ({"episode": "f"}, "episode"),
        ({"region_id": "110105"}, "region"),
        ({"evidence": None}, "no entry"),
        ({"state": "dismissed"}, "state"),
    ],
)
def test_a_finding_that_differs_from_its_proof_is_found(city, change, found):
    row = finding(city)
    Finding.objects.filter(pk=row.pk).update(**change)
    [problem] = checks.check()
    assert problem.startswith(f"finding {row.pk}: ")
    assert found in problem


def test_what_people_wrote_is_held_against_its_digest(city):
    row = see(city, source=Finding.Source.FORM, title="夜间异味", episode="form/1")
    row = row[0]
    services.dismiss(city.dispatcher, row.pk, "现场无异味")
    assert list(checks.check()) == []
    Finding.objects.filter(pk=row.pk).update(title="夜间臭味")
    [problem] = checks.check()
    assert problem.endswith("its words are not those that the evidence log was told of")
    Finding.objects.filter(pk=row.pk).update(title="夜间异味")
    immutable.remove(APPEND_ONLY)
    for change, said in (
        (
            {"reason": "现场有异味"},
            "reason: not what was said when the evidence log was told of it",
        ),
        ({"data": {"other": 5}}, "is not the one that the evidence log tells of"),
    ):
        before = Decision.objects.values(*change).get()
        Decision.objects.update(**change)
        problems = [p for p in checks.check() if "trigger" not in p]
        assert len(problems) == 1
        assert said in problems[0]
        Decision.objects.update(**before)
    immutable.install(APPEND_ONLY)
    assert list(checks.check()) == []


def test_missing_triggers_are_found(city):
    immutable.remove(APPEND_ONLY)
    assert len(list(checks.check())) == 3
    immutable.install(APPEND_ONLY)
    assert list(checks.check()) == []


def test_the_hint_for_a_missing_trigger_is_a_command_that_there_is(city):
    app = typer.Typer()
    commands.attach(app)
    there = typer.main.get_command(app).commands
    for room, tables in ((checks, APPEND_ONLY), (cases_checks, cases.APPEND_ONLY)):
        immutable.remove(tables)
        told = [re.search("`jingwei ([a-z]+)`", problem)[1] for problem in room.check()]
        assert told
        assert set(told) <= set(there)


def test_only_a_new_finding_steps_back_for_another(city):
    into, other, taken = finding(city, 1), finding(city, 2), finding(city, 3)
    services.take([taken])
    for row in (other, taken):
        row.state = Finding.State.NEW  # as the caller read it before somebody took it
    assert services.merge(other, into, reason="同一过程", why="x")
    assert not services.merge(taken, into, reason="同一过程", why="x")
    assert not services.merge(other, into, reason="同一过程", why="x")
    states = Finding.objects.order_by("pk").values_list("state", "reason")
    assert list(states) == [("new", ""), ("merged", "同一过程"), ("in_case", "")]
    assert EvidenceEntry.objects.filter(kind="finding.merged").count() == 1
