"""Trigger rules: versions, simulation on history, proposals that a person decides on."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone, translation

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import take
from jingwei.bureau.monitoring import fired, mark_views, triggers
from jingwei.bureau.monitoring.models import (
    Exceedance,
    Furnace,
    Inquiry,
    Mark,
    OrderProposal,
    TransmissionDay,
)
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry import triggers as rules
from jingwei.bureau.registry.models import Enterprise, Outlet, Point, TriggerRule

from .conftest import City, make_point, make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(minute=0, second=0, microsecond=0)
SAID = {
    "event": "hour_exceeded", "count": 4, "window_hours": 23.0, "per": "point",
    "receiver": "district", "deadline_hours": 48.0, "severity": 2, "verified": "secondary",
    "source": "A18-7",
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_english(client):
    client.cookies["django_language"] = "en"
    with translation.override("en"):
        yield


def over(city: City, *hours_ago: int, period: str = "hour", **more) -> list[Exceedance]:
    """Exceedances whose period ended so many hours before NOW, with one finding."""
    finding = Finding.objects.create(
        kind="exceedance", episode=f"e{Finding.objects.count()}", title="超标",
        region=city.region, enterprise=city.outlet.enterprise, point=city.point,
        longitude=1, latitude=1, began=NOW, ended=NOW,
    )  # fmt: skip
    length = timedelta(hours=1) if period == "hour" else timedelta(days=1)
    return [
        Exceedance.objects.create(
            point=city.point, factor="a21002", period=period, time=NOW - timedelta(hours=n) - length,
            value=120, unit="mg/m³", limit=city.limits[period], limit_value=100, finding=finding, **more,
        )
        for n in hours_ago
    ]  # fmt: skip


def rule(user, **more) -> TriggerRule:
    return rules.draft(user, more.pop("code", "A18-7"), note="", **(SAID | more))


def test_presets_stand_until_somebody_writes_a_version(dispatcher):
    assert rules.known()["A18-7"].shown.version == 0
    first = rule(dispatcher)
    assert (first.version, first.state) == (1, "draft")
    live(dispatcher, first)
    second = rule(dispatcher, count=2)
    assert rules.known("A18-7")["A18-7"].live == first
    live(dispatcher, second)
    first.refresh_from_db()
    assert (first.state, first.count) == ("ended", 4)
    assert rules.known("A18-7")["A18-7"].shown == second
    with pytest.raises(ValidationError, match="Only a draft"):
        rules.go_live(dispatcher, first)
    with pytest.raises(ValidationError, match="Only a draft"):
        triggers.try_out(dispatcher, first)
    with pytest.raises(ValidationError, match="reason"):
        rules.end(dispatcher, "A18-7", " ")
    rules.end(dispatcher, "A18-7", "too many")
    assert not TriggerRule.objects.filter(state="live").exists()
    assert EvidenceEntry.objects.filter(kind="trigger").count() == 7


def test_a_rule_goes_live_only_after_a_trial_of_this_version(city: City, dispatcher):
    over(city, 10, 9, 8, 7)
    first = rule(dispatcher)
    with pytest.raises(ValidationError, match="Version 1 was not tried on history yet"):
        rules.go_live(dispatcher, first)
    tried = triggers.try_out(dispatcher, first, NOW)
    assert (tried.simulation["orders"], tried.simulation["enterprises"]) == (1, 1)
    told = EvidenceEntry.objects.filter(kind="trigger").latest("pk")
    assert '"act":"tried"' in told.content
    TriggerRule.objects.update(count=3)  # rewritten past the forms
    with pytest.raises(ValidationError, match="not tried"):
        rules.go_live(dispatcher, first)
    TriggerRule.objects.update(count=4)
    rules.go_live(dispatcher, first)
    second = rule(dispatcher, count=2)  # the trial of the first is none of the second
    with pytest.raises(ValidationError, match="Version 2 was not tried"):
        rules.go_live(dispatcher, second)
    assert TriggerRule.objects.get(state="live") == first
    with pytest.raises(ValidationError, match="may not"):
        triggers.try_out(make_user("district", "110108"), second)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"event": "rain"}, "no such event"),
        ({"window_hours": 0.0}, "need a window"),
        ({"count": 0}, "greater than or equal to 1"),
        ({"deadline_hours": 0.0}, "greater than or equal"),
        ({"receiver": "nobody"}, "not a valid choice"),
        ({"severity": 9}, "less than or equal to 3"),
    ],
)
def test_a_rule_that_cannot_be_counted_is_refused(dispatcher, wrong, text):
    with pytest.raises(ValidationError, match=text):
        rule(dispatcher, **wrong)
    assert not TriggerRule.objects.exists()


def test_others_may_not_change_rules():
    with pytest.raises(ValidationError, match="may not"):
        rule(make_user("district", "110108"))


def test_simulation_counts_what_stands(city: City, dispatcher):
    made = rule(dispatcher)
    over(city, 10, 9, 8)
    assert triggers.simulate(made, NOW) == []
    (last,) = over(city, 7)
    (order,) = triggers.simulate(made, NOW)
    assert order.enterprise == city.outlet.enterprise
    assert order.point == city.point
    assert order.order.issued == NOW - timedelta(hours=7)
    assert len(order.findings) == 2
    assert triggers.by_enterprise([order]) == [(order.enterprise, 1, order.order.issued)]
    assert not OrderProposal.objects.exists()  # a simulation leaves nothing
    last.withdrawn = "within"
    last.save()
    assert triggers.simulate(made, NOW) == []


def test_furnaces_have_an_event_of_their_own(city: City, dispatcher):
    over(city, 10, 9, 8, 7)
    over(city, 7, period="day")
    hourly = rule(dispatcher)
    daily = rule(dispatcher, code="O10", event="incineration_day_exceeded", count=1)
    assert (len(triggers.simulate(hourly, NOW)), len(triggers.simulate(daily, NOW))) == (1, 0)
    Enterprise.objects.update(industry="incineration")
    assert (len(triggers.simulate(hourly, NOW)), len(triggers.simulate(daily, NOW))) == (0, 1)


def live(user, made: TriggerRule, *at) -> TriggerRule:
    """Go live after a trial on history."""
    triggers.try_out(user, made)
    return rules.go_live(user, made, *at)


def days_over(city: City, *days: date, factor: str = "a21002", point: Point | None = None) -> None:
    """Days on which an outlet exceeds, with one finding."""
    made = over(city, *range(len(days)), period="day")
    for row, day in zip(made, days, strict=True):
        row.time, row.factor, row.point = day_start(day), factor, point or city.point
        row.save()


@pytest.mark.parametrize(
    ("days", "issued"),
    [
        ("07-31 08-27 08-28 08-29 08-30", ""),  # five within 744 h, but four in one month
        ("08-01 08-05 08-09 08-20", ""),
        ("08-01 08-05 08-09 08-20 08-31", "09-01"),
        ("08-01 08-02 08-03 08-04 08-05 08-06 08-20", "08-06"),
    ],
)
def test_exceedance_days_count_by_natural_month_and_furnace(city: City, dispatcher, days, issued):
    """O10-10a: live and on history as the account of the furnace and the page of rules count."""
    Enterprise.objects.update(industry="incineration")
    furnace = Furnace.objects.create(outlet=city.outlet, name="1号炉", point=city.point)
    chosen = [date.fromisoformat(f"2026-{d}") for d in days.split()]
    days_over(city, *chosen)
    days_over(city, chosen[0], factor="a21026")  # a second pollutant of the same day
    preset = rules.presets()["O10-10a"]
    values = {name: getattr(preset, name) for name in rules.FIELDS}
    made = rules.draft(dispatcher, "O10-10a", note="", **values)
    now = day_start(date(2026, 9, 15))
    orders = triggers.simulate(made, now)
    wanted = [day_start(date.fromisoformat(f"2026-{issued}"))] if issued else []
    assert [o.order.issued for o in orders] == wanted
    assert [m for m, _n in mark_views._stop_months(furnace, date(2026, 9, 15))] == (
        ["2026-08"] if issued else []
    )
    assert fired._stopped(dispatcher, now - timedelta(days=90))["O10-10a"].count == len(orders)
    live(dispatcher, made, day_start(date(2026, 7, 1)))
    assert triggers.propose(now) == len(orders)
    assert triggers.propose(now) == 0
    if issued:
        assert orders[0].point == city.point
        assert OrderProposal.objects.get().findings.count() == len(orders[0].findings) == 2


def test_another_furnace_of_the_works_does_not_add_to_the_month(city: City, dispatcher):
    Enterprise.objects.update(industry="incineration")
    days_over(city, *(date(2026, 8, d) for d in (1, 2, 3)))
    outlet = Outlet.objects.create(
        enterprise=city.outlet.enterprise, code="DA009", name="2号炉", medium="air",
        longitude=116.3, latitude=39.9,
    )  # fmt: skip
    other = make_point(outlet, city.region, 9)
    days_over(city, *(date(2026, 8, d) for d in (4, 5, 6, 7)), point=other)
    made = rule(dispatcher, code="O10", event="incineration_month_exceeded", count=1)
    assert triggers.simulate(made, day_start(date(2026, 9, 15))) == []
    days_over(city, date(2026, 8, 9), point=other)
    (order,) = triggers.simulate(made, day_start(date(2026, 9, 15)))
    assert (order.point, order.order.issued) == (other, day_start(date(2026, 8, 10)))


def test_a_month_is_proposed_once_though_late_data_move_its_fifth_day(city: City, dispatcher):
    Enterprise.objects.update(industry="incineration")
    made = rule(dispatcher, code="O10", event="incineration_month_exceeded", count=1)
    live(dispatcher, made, day_start(date(2026, 8, 1)))
    days_over(city, *(date(2026, 8, d) for d in (1, 2, 3, 4, 25)))
    assert triggers.propose(day_start(date(2026, 8, 27))) == 1
    days_over(city, date(2026, 8, 6))  # came late: the fifth day was the 6th
    assert triggers.propose(day_start(date(2026, 8, 29))) == 0
    days_over(city, *(date(2026, 9, d) for d in (1, 2, 3, 4, 5)))
    assert triggers.propose(day_start(date(2026, 9, 7))) == 1


def test_days_with_a_low_rate_and_hours_that_are_missing(city: City, dispatcher, monkeypatch):
    today = timezone.localdate(NOW)
    for n in range(1, 10):
        day = today - timedelta(days=n)
        start = timezone.make_aware(timezone.datetime.combine(day, timezone.datetime.min.time()))
        TransmissionDay.objects.create(
            point=city.point, day=day, since=start, expected=48, received=0, valid=0
        )
    low = rule(dispatcher, code="P-2", event="transmission_low", count=3, window_hours=72.0)
    gone = rule(dispatcher, code="A18-1", event="hour_missing", count=169, window_hours=168.0)
    assert len(triggers.simulate(low, NOW)) >= 1
    assert len(triggers.simulate(gone, NOW)) == 1
    monkeypatch.delitem(triggers._sources, "maintenance_over")
    unknown = rule(dispatcher, code="X", event="maintenance_over", count=1)
    assert not triggers.recorded("maintenance_over")
    assert triggers.simulate(unknown, NOW) == []


def test_furnaces_that_were_not_marked_or_too_long_in_maintenance(city: City, dispatcher):
    furnace = Furnace.objects.create(outlet=city.outlet, name="1号炉", point=city.point)
    asked = {"furnace": furnace, "time": NOW, "factor": "a21002"}
    hour = timedelta(hours=1)
    Inquiry.objects.create(**asked, why="zero", found=NOW - 5 * hour)
    Inquiry.objects.create(**asked, why="range", found=NOW - 5 * hour, marked=NOW - 4.5 * hour)
    Inquiry.objects.create(**asked, why="exceeded", found=NOW - 5 * hour, void=True)
    Inquiry.objects.create(**asked, why="constant", found=NOW)
    late = rule(dispatcher, code="M19", event="incineration_unmarked", count=1)
    (order,) = triggers.simulate(late, NOW)
    assert (order.order.issued, order.point) == (NOW - 4 * hour, city.point)

    begin = timezone.make_aware(timezone.datetime(NOW.year, NOW.month, 1))
    now = begin + timedelta(days=20)
    for n in range(2):
        start = begin + timedelta(days=2 * n)
        Mark.objects.create(
            outlet=city.outlet, furnace=furnace, sort="maintenance", start=start,
            end=start + 20 * hour, at=NOW,
        )  # fmt: skip
    upkeep = rule(dispatcher, code="A18-4", event="maintenance_over", count=1)
    (order,) = triggers.simulate(upkeep, now)
    assert order.order.issued == begin + timedelta(days=2) + 10 * hour  # the 31st hour begins


def test_a_live_rule_proposes_once_and_only_what_came_after(city: City, dispatcher):
    made = rule(dispatcher)
    over(city, 60, 59, 58, 57)  # long before it went live
    live(dispatcher, made, NOW - timedelta(hours=5))
    assert triggers.propose(NOW) == 0
    over(city, 8, 7, 6, 4)
    assert triggers.propose(NOW) == 1
    assert triggers.propose(NOW) == 0
    proposal = OrderProposal.objects.get()
    assert proposal.triggered == NOW - timedelta(hours=4)
    assert proposal.due == NOW + timedelta(hours=44)
    assert proposal.findings.count() == 1
    assert proposal.evidence is not None
    over(city, 5)  # comes late and would have triggered an hour earlier
    assert triggers.propose(NOW) == 0
    assert OrderProposal.objects.count() == 1


def test_a_draft_and_an_ended_rule_propose_nothing(city: City, dispatcher):
    made = rule(dispatcher)
    over(city, 8, 7, 6, 4)
    assert triggers.propose(NOW) == 0
    live(dispatcher, made, NOW - timedelta(hours=20))
    rules.end(dispatcher, "A18-7", "no")
    assert triggers.propose(NOW) == 0


@pytest.fixture
def proposal(city: City, dispatcher) -> OrderProposal:
    live(dispatcher, rule(dispatcher), NOW - timedelta(hours=20))
    over(city, 8, 7, 6, 4)
    triggers.propose(NOW)
    return OrderProposal.objects.get()


def test_a_person_declines_with_a_reason_or_takes_it_into_a_case(proposal, dispatcher):
    with pytest.raises(ValidationError, match="reason"):
        triggers.decline(dispatcher, proposal, "  ")
    with pytest.raises(ValidationError, match="may not"):
        triggers.decline(make_user("auditor"), proposal, "no")
    triggers.decline(dispatcher, proposal, "already handled")
    assert proposal.state == "declined"
    with pytest.raises(ValidationError, match="meanwhile"):
        triggers.decline(dispatcher, proposal, "again")


def test_findings_in_a_case_deal_with_the_proposal(proposal):
    take(proposal.findings.all())
    triggers.propose(NOW)
    proposal.refresh_from_db()
    assert proposal.state == "taken"


# Pages ------------------------------------------------------------------------------------------


def posted(**more) -> dict[str, str]:
    return {k: str(v) for k, v in ({"code": "A18-7", "note": "try"} | SAID | more).items()}


def test_the_way_from_preset_to_live(city: City, client, dispatcher):
    over(city, 10, 9, 8, 7)
    client.force_login(dispatcher)
    url = reverse("monitoring:trigger", args=["A18-7"])
    assert "A18-7" in client.get(reverse("monitoring:triggers")).content.decode()
    tried = client.post(url, posted(do="simulate"))
    assert "示例热电1厂" in tried.content.decode()
    assert not TriggerRule.objects.exists()
    assert client.post(url, posted(do="save", count=4)).status_code == 302
    page = client.get(url).content.decode()
    assert "Draft" in page
    live_, try_ = (reverse(f"monitoring:trigger_{do}", args=["A18-7"]) for do in ("live", "try"))
    assert live_ not in page
    refused = client.post(live_, follow=True).content.decode()
    assert "Version 1 was not tried on history yet" in refused
    client.post(try_)
    page = client.get(url).content.decode()
    assert live_ in page
    assert "orders 1, enterprises 1" in page
    client.post(live_)
    assert TriggerRule.objects.get().state == "live"
    client.post(reverse("monitoring:trigger_end", args=["A18-7"]), {"reason": "enough"})
    assert TriggerRule.objects.get().state == "ended"


def test_a_preset_is_tried_before_it_goes_live(city: City, client, dispatcher):
    client.force_login(dispatcher)
    live_, try_ = (reverse(f"monitoring:trigger_{do}", args=["P-2"]) for do in ("live", "try"))
    assert "Try the preset on history first." in client.post(live_, follow=True).content.decode()
    assert not TriggerRule.objects.exists()
    client.post(try_)
    assert TriggerRule.objects.get().state == "draft"
    client.post(live_)
    assert TriggerRule.objects.get().state == "live"


def test_a_wrong_form_says_why(city: City, client, dispatcher):
    client.force_login(dispatcher)
    url = reverse("monitoring:trigger", args=["A18-7"])
    response = client.post(url, posted(do="save", count=5, window_hours=0))
    assert response.status_code == 422
    assert "need a window" in response.content.decode()
    assert client.get(reverse("monitoring:trigger", args=["nothing"])).status_code == 404
    made = client.post(reverse("monitoring:trigger_new"), posted(do="save", code="NEW-1"))
    assert made["Location"] == reverse("monitoring:trigger", args=["NEW-1"])


@pytest.mark.parametrize(
    ("role", "area", "there"),
    [("auditor", "", True), ("district", "110108", True), ("district", "110105", False), ("grid", "110108", True)],
)  # fmt: skip
def test_the_office_sees_proposals_of_its_area(client, proposal, role, area, there):
    client.force_login(make_user(role, area))
    page = client.get(reverse("monitoring:proposals"), {"state": "open"}).content.decode()
    assert ("示例热电1厂" in page) is there
    one = reverse("monitoring:proposal", args=[proposal.pk])
    assert client.get(one).status_code == (200 if there else 404)
    assert client.post(reverse("monitoring:proposal_decline", args=[proposal.pk])).status_code == 403  # fmt: skip


def test_enterprises_see_none(client, proposal):
    client.force_login(make_user("enterprise", enterprise=proposal.enterprise.uscc))
    for name in ("proposals", "triggers"):
        assert client.get(reverse(f"monitoring:{name}")).status_code == 403


def test_the_page_of_a_proposal(client, proposal, dispatcher):
    client.force_login(dispatcher)
    url = reverse("monitoring:proposal", args=[proposal.pk])
    page = client.get(url).content.decode()
    assert f"finding={proposal.findings.get().pk}" in page
    refused = client.post(
        reverse("monitoring:proposal_decline", args=[proposal.pk]), {"reason": ""}
    )
    assert refused.status_code == 409
    done = client.post(
        reverse("monitoring:proposal_decline", args=[proposal.pk]), {"reason": "已另案处理"}
    )
    assert done.status_code == 302
    assert "已另案处理" in client.get(url).content.decode()
