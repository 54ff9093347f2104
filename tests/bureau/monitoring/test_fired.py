"""How often rules fired: each counter against what was stored."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.urls import reverse

from jingwei.analysis.detection.texts import DETECTORS
from jingwei.bureau.evidencelog.retention import KIND
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.monitoring import fired
from jingwei.bureau.monitoring.detection_models import Detected
from jingwei.bureau.monitoring.models import (
    Exceedance,
    Furnace,
    FurnaceDay,
    Mark,
    OrderProposal,
    TransmissionDay,
)
from jingwei.bureau.registry import fired as rules
from jingwei.bureau.registry.models import Enterprise

from .conftest import NOW, City, limit
from .test_marks import enterprise, furnace

__all__ = ["enterprise", "furnace"]
pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
OLD = timedelta(days=91)


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(fired.timezone, "now", lambda: NOW)


def count(user, *rules: str) -> list[int]:
    found = fired.counts(user)
    return [found[rule].count for rule in rules]


def lay(user, city: City, sort: str, ago: timedelta, hours: int = 1, **more) -> Mark:
    """A mark that was set half an hour after its start, unless `at` says otherwise."""
    start = NOW.replace(minute=0) - ago
    given = {"at": start + HOUR / 2, "end": start + hours * HOUR} | more
    return Mark.objects.create(outlet=city.outlet, sort=sort, start=start, user=user, **given)


def test_marks_by_their_clause_and_time(city: City, furnace: Furnace, enterprise, dispatcher):
    for n, sort in enumerate(fired.CLAUSES):
        for k in range(n + 1):
            lay(enterprise, city, sort, timedelta(days=3 * n + 1, hours=2 * k), furnace=furnace)
    lay(enterprise, city, "bake", OLD, furnace=furnace)
    lay(enterprise, city, "idle", 2 * HOUR, furnace=furnace, withdrawn=NOW)
    assert count(dispatcher, *fired.CLAUSES.values()) == list(range(1, 12))
    on_time = sum(range(1, 12))
    assert count(dispatcher, "M22-3", "M22-4", "M22-5") == [on_time, 0, 0]
    lay(enterprise, city, "device_fault", timedelta(days=5), at=NOW)
    assert count(dispatcher, "M22-3", "M22-4", "M22-5") == [on_time, 1, 1]


@pytest.mark.parametrize(
    ("industry", "rule"), [("heating", "EX-boiler"), ("cement", "EX-cement"), ("steel", None)]
)
def test_starts_by_the_window_of_their_industry(
    city: City, enterprise, dispatcher, industry: str, rule: str | None
):
    Enterprise.objects.update(industry=industry)
    lay(enterprise, city, "cold_start", timedelta(days=2))
    lay(enterprise, city, "standstill", timedelta(days=3))
    found = fired.counts(dispatcher)
    assert {r: n.count for r, n in found.items() if r.startswith("EX-") and n.count} == (
        {rule: 1} if rule else {}
    )


def test_marks_out_of_order(city: City, furnace: Furnace, enterprise, dispatcher):
    """Heating up, then start-up: fine. Start-up after cooling down without heating up: not."""
    lay(enterprise, city, "bake", 30 * HOUR, furnace=furnace)
    lay(enterprise, city, "start", 29 * HOUR, furnace=furnace)
    assert count(dispatcher, "M19-order") == [0]
    lay(enterprise, city, "stop", 20 * HOUR, furnace=furnace)
    lay(enterprise, city, "cool", 19 * HOUR, furnace=furnace)
    lay(enterprise, city, "start", 18 * HOUR, furnace=furnace)
    assert count(dispatcher, "M19-order") == [1]


def test_exempt_hours_of_the_last_ninety_days_alone(
    city: City, furnace: Furnace, enterprise, dispatcher
):
    """The account is of the year; what is counted is of 90 days, by article."""
    lay(enterprise, city, "bake", OLD, 8, furnace=furnace)
    assert count(dispatcher, "O10-10c", "O10-10d", "A18-4") == [0, 0, 0]
    lay(enterprise, city, "bake", timedelta(days=9), 5, furnace=furnace)
    lay(enterprise, city, "idle", timedelta(days=8), 3, furnace=furnace)
    lay(enterprise, city, "maintenance", timedelta(days=7), 31, furnace=furnace)
    assert count(dispatcher, "O10-10b", "O10-10c", "O10-10d", "A18-4") == [0, 5, 3, 1]


def test_days_of_furnaces(city: City, furnace: Furnace, dispatcher):
    for n, (below, marked, missing) in enumerate([(5, 1, 0), (6, 0, 2), (0, 0, 0)]):
        FurnaceDay.objects.create(
            furnace=furnace, day=date(2026, 11, 10 + n), periods=280 + n, below=below,
            marked=marked, unexcused=missing,
        )  # fmt: skip
    FurnaceDay.objects.create(
        furnace=furnace, day=date(2026, 8, 1), periods=288, below=9, marked=0, unexcused=1
    )
    assert count(dispatcher, "M19-3.4", "O10-7", "O10-11", "O10-12") == [843, 12, 1, 1]


def test_missing_hours_and_those_with_too_few_minutes(city: City, dispatcher):
    """A18-1 says both: an hour that is missing, and one with fewer than 45 minutes."""
    TransmissionDay.objects.create(
        point=city.point, day=date(2026, 11, 10), since=NOW, expected=48, received=40, valid=37,
        hours=24, due=24, faults={"few": 3},
    )  # fmt: skip
    assert count(dispatcher, "A18-1", "V-air-min", "A18-3.3") == [11, 3, 0]


def finding(city: City, kind: str, episode: str, **more) -> Finding:
    return Finding.objects.create(
        kind=kind, episode=episode, title="线索", region=city.region, longitude=116.4,
        latitude=39.9, began=NOW - HOUR, ended=NOW, point=city.point, severity=2, **more,
    )  # fmt: skip


def test_findings_by_rule_and_detector(city: City, dispatcher):
    finding(city, Kind.FALSIFICATION, "mark/1", facts={"mark": 1, "rule": "M19-4.1-停运"})
    finding(city, Kind.FALSIFICATION, "standstill/1", facts={"rule": "A18-13", "marked": 20})
    finding(city, Kind.FALSIFICATION, "other/1", facts={"note": "人工"})
    names = [*DETECTORS][:2]
    for n, detector in enumerate([names[0], names[0], names[1], "power_off"]):
        Detected.objects.create(
            finding=finding(city, Kind.FALSIFICATION, f"detected/{n}"), outlet=city.outlet,
            detector=detector, factor="a21002", tier="rule", grade="screening", began=NOW - HOUR,
            ended=NOW, found=NOW, p_value=0.1, budget=0.1, noticed=NOW,
        )  # fmt: skip
    assert count(dispatcher, "O10-13", "A18-13", "R820-25", "A18-16") == [1, 1, 2, 0]
    assert count(dispatcher, f"D-{names[0]}", f"D-{names[1]}", "A18-18") == [2, 1, 1]


def test_lines_that_are_assumed(city: City, dispatcher):
    Enterprise.objects.update(industry="incineration")
    for n, (factor, assumed) in enumerate([("a21005", False), ("a21026", True)]):
        row = limit(city.outlet, city.permit, factor, period="day", assumed=assumed)
        Exceedance.objects.create(
            point=city.point, factor=factor, period="day", time=NOW - (2 + n) * 24 * HOUR,
            value=120.0, unit="mg/m3", limit=row, limit_value=100.0, multiple=0.2,
        )  # fmt: skip
    assert count(dispatcher, "O10-6", "O10-6-line") == [2, 1]


def test_proposed_orders_by_their_rule(city: City, dispatcher):
    assert count(dispatcher, "T-A18-7", "T-P-1") == [0, 0]
    OrderProposal.objects.create(
        code="P-1", version=1, enterprise=city.outlet.enterprise, triggered=NOW - HOUR,
        due=NOW + HOUR, receiver="city", severity=2,
    )  # fmt: skip
    assert count(dispatcher, "T-A18-7", "T-P-1") == [0, 1]


@pytest.mark.parametrize(("after", "found"), [(HOUR, 1), (OLD, 0)])
def test_segments_deleted_after_their_term(city: City, dispatcher, monkeypatch, after, found):
    entry = record(KIND, "1", {"segment": 1})
    monkeypatch.setattr(fired.timezone, "now", lambda: entry.created + after)
    assert count(dispatcher, "R820-26") == [found]


def test_O10_9(city: City, furnace: Furnace, dispatcher, client):
    """What is taken as evidence on site stands on the furnace's page, where inspectors look."""
    client.force_login(dispatcher)
    client.cookies["django_language"] = "en"
    page = client.get(reverse("monitoring:furnace", args=[furnace.pk])).content.decode()
    for line in (
        "Five-minute means of the furnace temperature",
        "Daily means of the automatic monitoring",
        "Data that are missing or not valid",
        "Marks, and the records that they rest on",
        "Data taken from the device, signed by the person in charge",
    ):
        assert line in page


def test_R820_23(city: City, dispatcher, client):
    """A duty of the enterprise: its page has the text, and says where what comes of it is counted."""
    client.force_login(dispatcher)
    client.cookies["django_language"] = "en"
    page = client.get(reverse("registry:rule", args=["R820-23"])).content.decode()
    assert "发现自动监测设备传输异常应当及时报告并检修" in page
    assert "counted under TR, A18-3.3 and R820-42" in page
    assert {"TR", "A18-3.3", "R820-42"} <= set(rules.counts(dispatcher))
