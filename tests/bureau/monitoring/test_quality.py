"""Checks of instruments: hours out of control are invalid, their masses filled, and all can be undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from jingwei.analysis.compliance import Reason
from jingwei.analysis.validity import Fault
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring import amounts, checks, quality, selectors
from jingwei.bureau.monitoring.models import Exceedance, Judgement
from jingwei.bureau.monitoring.quality_models import QualityCheck
from jingwei.bureau.registry.models import PermitLimit

from .conftest import NOW, City, hour, limit, make_point, make_user
from .test_amounts import AIR, KG, row

pytestmark = pytest.mark.django_db
USCC = "911100000000000001"
HALF = timedelta(minutes=30)


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


@pytest.fixture
def enterprise(city: City) -> User:
    return make_user("enterprise", enterprise=USCC)


def check(user: User, city: City, time: datetime, passed: bool, **more) -> QualityCheck:
    given = {"factor": "a21002", "sort": "drift", "result": "11 %, allowed 10 %", "now": NOW} | more
    point = given.pop("point", city.point)
    return quality.enter(user, point, time=time, passed=passed, **given)


def over(city: City, hours: int = 10) -> None:
    for n in range(hours):
        city.send(hour(n), {"a21002": 90.0 + n, "a19001": 12.0}, take=False)
    city.take()
    city.catch_up()


def standing() -> set[datetime]:
    return {e.time for e in Exceedance.objects.filter(withdrawn="")}


def test_a_failed_check_makes_the_data_since_the_last_passed_one_invalid(city: City, dispatcher):
    over(city)
    assert len(standing()) == 10
    check(dispatcher, city, hour(6) + HALF, True)
    check(dispatcher, city, hour(2) + HALF, True)
    city.catch_up()
    assert len(standing()) == 10
    failed = check(dispatcher, city, hour(4), False)
    city.catch_up()
    # from the half of hour 6 to the half of hour 2: the five hours that the period touches
    assert standing() == {hour(n) for n in (9, 8, 7, 1, 0)}
    assert set(Exceedance.objects.exclude(withdrawn="").values_list("withdrawn", flat=True)) == {
        "out_of_control"
    }
    old, new = Judgement.objects.filter(period="hour", time=hour(4)).order_by("pk")
    assert "fault" not in old.factors["a21002"]  # the earlier judgement stays readable
    cell = new.factors["a21002"]
    assert (cell["fault"], cell["check"]) == (int(Fault.OUT_OF_CONTROL), failed.pk)
    assert cell["value"] == old.factors["a21002"]["value"]  # never deleted
    assert [x[1] for x in cell["limits"].values()] == [Reason.OUT_OF_CONTROL]
    assert "fault" not in new.factors["a19001"]
    quality.withdraw(dispatcher, failed, "wrong record", NOW)
    city.catch_up()
    assert len(standing()) == 10
    assert EvidenceEntry.objects.filter(kind="check").count() == 4


def test_without_an_earlier_passed_check_nothing_before_it_is_called_invalid(
    city: City, dispatcher
):
    over(city, 6)
    check(dispatcher, city, hour(2), False)
    city.catch_up()
    assert standing() == {hour(n) for n in (5, 4, 3)}
    later = hour(-1)  # what comes after it is invalid too, until a check passes
    city.send(later, {"a21002": 95.0, "a19001": 12.0})
    city.catch_up(NOW + timedelta(hours=1))
    assert later not in standing()


def test_oxygen_out_of_control_leaves_nothing_to_convert_by(city: City, dispatcher):
    over(city, 3)
    check(dispatcher, city, hour(1), False, factor="a19001")
    city.catch_up()
    assert standing() == {hour(2)}
    said = Judgement.objects.get(period="hour", time=hour(0), stands=True).factors["a21002"]
    assert [x[1] for x in said["limits"].values()] == [Reason.OXYGEN_INVALID]


def test_a_day_that_the_device_sent_itself_is_invalid_too(city: City, dispatcher):
    PermitLimit.objects.all().delete()
    daily = limit(city.outlet, city.permit, value="80", period="day", reference_o2=None)
    day = datetime.fromisoformat("2026-11-18T00:00+08:00")
    city.send(day, {"a21002": 90.0}, resolution="day")
    city.catch_up()
    assert Exceedance.objects.get(limit=daily).withdrawn == ""
    check(dispatcher, city, day + timedelta(hours=20), False)
    check(dispatcher, city, day + timedelta(hours=22), True)
    city.catch_up()
    assert Exceedance.objects.get(limit=daily).withdrawn == "out_of_control"


def test_masses_out_of_control_look_back_from_the_last_passed_check(city: City, dispatcher):
    for n in range(40):
        conc = 80.0 if n == 20 else 200.0 if n == 5 else 50.0
        city.send(hour(n), AIR | {"a21002": conc}, take=False)
    city.take()
    city.catch_up()
    amounts.refresh(NOW)
    assert row().valid == 12
    for time, passed in ((hour(6), True), (hour(4), False), (hour(2), True)):
        check(dispatcher, city, time, passed)
    city.catch_up()
    amounts.refresh(NOW)
    found = row()
    # hours 6 to 3, 4 of 40: 90 % valid; the largest of the valid hours before the check is 80 mg/m³,
    # not the 200 that was measured after it
    assert (found.valid, found.rules) == (8, {"S-75-oc90": 4})
    assert found.substituted == pytest.approx(4 * KG * 80 / 50)
    assert found.kg == pytest.approx(8 * KG + 4 * KG * 80 / 50)


def test_wastewater_out_of_control_keeps_its_measured_flow(city: City, dispatcher):
    city.outlet.medium = "water"
    city.outlet.save()
    point = make_point(city.outlet, city.region, 2, st="32", factors=["w01018", "w00000"])
    for n in range(4):
        mg = 90.0 if n == 0 else 30.0 + n / 100
        city.send(hour(n), {"w01018": mg, "w00000": 100.0 + n}, point=point, take=False)
    city.take()
    city.catch_up()
    check(dispatcher, city, hour(0), False, factor="w01018", point=point)
    city.catch_up()
    amounts.refresh(NOW)
    found = row(factor="w01018")
    measured = sum((30 + n / 100) * (100 + n) * 3.6e-3 for n in (1, 2, 3))
    assert found.rules == {"S-356": 1}
    assert found.kg == pytest.approx(measured + 30.01 * 0.36)


def test_what_the_enterprise_enters_late_counts_when_an_officer_confirms_it(
    city: City, enterprise, dispatcher
):
    over(city, 40)
    late = check(enterprise, city, hour(38), False)  # the 18th, 21:00; due on the 19th at 12:00
    assert late.counts is None
    city.catch_up()
    assert len(standing()) == 40
    with pytest.raises(Refused):
        quality.confirm(enterprise, late, NOW)
    quality.confirm(dispatcher, late, NOW)
    city.catch_up()
    assert standing() == {hour(39)}
    with pytest.raises(Refused, match="ask the officer"):
        quality.withdraw(enterprise, late, "no", NOW)
    timely = check(enterprise, city, hour(3), True)
    assert timely.counts == NOW
    city.catch_up()
    assert standing() == {hour(n) for n in (39, 3, 2, 1, 0)}


@pytest.mark.parametrize(
    "more",
    [
        {"factor": "w01018"},
        {"sort": "x"},
        {"time": NOW + HALF},
        {"time": NOW - timedelta(days=401)},
        {"result": " "},
    ],
)
def test_checks_that_cannot_be_are_refused(city: City, dispatcher, more):
    given = {"time": hour(2), "passed": False} | more
    time, passed = given.pop("time"), given.pop("passed")
    with pytest.raises(Refused):
        check(dispatcher, city, time, passed, **given)
    assert not QualityCheck.objects.exists()


def test_only_officers_and_the_enterprise_itself_enter(city: City):
    for user in (make_user("enterprise", enterprise="91110000000000000X"), make_user("auditor")):
        with pytest.raises(Refused):
            check(user, city, hour(2), False)


def test_the_page_takes_a_check_and_says_what_follows(
    city: City, client: Client, enterprise, dispatcher, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    client.cookies["django_language"] = "en"
    client.force_login(enterprise)
    address = reverse("monitoring:quality", args=[city.point.mn, city.point.st])
    assert address in client.get(city.point.get_absolute_url()).content.decode()
    given = {
        "factor": "a21002",
        "sort": "drift",
        "time": "2026-11-20T08:00",
        "passed": "no",
        "result": "",
    }
    page = client.post(address, given).content.decode()
    assert 'value="2026-11-20T08:00"' in page  # what was typed is not lost
    page = client.post(address, given | {"result": "span 11 %"}, follow=True).content.decode()
    assert "check of 2026-11-20 08:00 failed: span 11 %" in page
    assert "No passed check before it is on record" in page
    assert "still out of control" in page
    page = client.post(
        address, given | {"time": "2026-11-18T08:00", "result": "old"}, follow=True
    ).content.decode()
    assert "it has no effect until an officer confirms it" in page
    late = QualityCheck.objects.get(counts=None)
    assert client.post(reverse("monitoring:check_confirm", args=[late.pk])).status_code == 403
    client.force_login(dispatcher)
    client.post(reverse("monitoring:check_confirm", args=[late.pk]))
    late.refresh_from_db()
    assert late.confirmer == dispatcher
    client.post(reverse("monitoring:check_withdraw", args=[late.pk]), {"why": ""})
    late.refresh_from_db()
    assert late.withdrawn is None
    client.post(reverse("monitoring:check_withdraw", args=[late.pk]), {"why": "wrong day"})
    late.refresh_from_db()
    assert late.withdrawn == NOW
    client.force_login(make_user("enterprise", enterprise="91110000000000000X"))
    assert client.get(address).status_code == 404
    assert client.post(reverse("monitoring:check_withdraw", args=[late.pk])).status_code == 404


def test_a_check_that_was_changed_behind_the_log_is_found(city: City, dispatcher):
    row = check(dispatcher, city, hour(2), False)
    other = check(dispatcher, city, hour(1), True)
    quality.withdraw(dispatcher, other, "wrong record", NOW)
    assert [x for x in checks.check() if x.startswith("Check ")] == []
    QualityCheck.objects.filter(pk=row.pk).update(passed=True)
    QualityCheck.objects.filter(pk=other.pk).update(withdrawn=None)
    assert [x for x in checks.check() if x.startswith("Check ")] == [
        f"Check {row.pk}: passed is True, but the evidence log says False.",
        f"Check {other.pk} is not withdrawn, but the evidence log says otherwise.",
    ]


# What lists and maps show -----------------------------------------------------------------------


def test_a_point_out_of_control_is_watched_and_says_which_factor(city: City, dispatcher, client):
    """In real time, for lists ask the clock."""
    now = datetime.now(UTC)
    city.send(now, {"a21002": 50.0, "a19001": 12.0}, resolution="realtime", received=now)

    def told() -> tuple[str, str, frozenset[str]]:
        (found,) = selectors.point_states(dispatcher, now)
        return found.state, found.reason, found.out

    assert told() == ("normal", "", frozenset())
    failed = check(dispatcher, city, now - 2 * HALF, False, now=now)
    assert told() == ("watch", "out_of_control", {"a21002"})
    client.force_login(dispatcher)
    english = {"accept-language": "en"}
    page = client.get(reverse("monitoring:points"), headers=english).content.decode()
    assert "Data of NOx are not valid." in page
    assert '<span class="badge state-watch">out of control</span>' in page
    page = client.get(city.point.get_absolute_url(), headers=english).content.decode()
    assert "Out of control: a check of the instrument failed" in page
    table = (
        client.get(reverse("monitoring:points_csv"), headers=english).getvalue().decode("utf-8-sig")
    )
    assert [r.split(",")[-1] for r in table.split("\r\n")[:3]] == [
        "Not valid", "out of control", ""
    ]  # fmt: skip
    (feature,) = client.get(reverse("monitoring:map"), headers=english).json()["features"]
    assert feature["properties"]["state"] == "watch"
    assert "Data of NOx are not valid." in feature["properties"]["reason"]

    passed = check(dispatcher, city, now - HALF, True, now=now)
    assert told()[0] == "normal"
    quality.withdraw(dispatcher, passed, "wrong record", now)
    assert told()[0] == "watch"
    quality.withdraw(dispatcher, failed, "wrong record", now)
    assert told()[0] == "normal"


def test_a_late_check_of_the_enterprise_makes_nothing_out_of_control_before_it_is_confirmed(
    city: City, dispatcher, enterprise
):
    city.send(hour(0), {"a21002": 50.0, "a19001": 12.0})
    late = check(enterprise, city, NOW - timedelta(days=3), False)
    assert late.counts is None
    assert selectors.point_states(dispatcher, NOW)[0].state == "normal"
    quality.confirm(dispatcher, late, NOW)
    assert selectors.point_states(dispatcher, NOW)[0].reason == "out_of_control"
