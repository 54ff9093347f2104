"""Officers' samples prevail over automatic values; what came twice with other values is found."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from jingwei.analysis.compliance import Reason, Verdict
from jingwei.analysis.validity import Fault
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import said_digest
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring import amounts, samples, selectors
from jingwei.bureau.monitoring.models import (
    EmissionDay,
    Exceedance,
    Judgement,
    Sample,
    TransmissionDay,
)

from .conftest import NOW, City, hour, make_user

pytestmark = pytest.mark.django_db
FINE = {"a21002": 50.0, "a19001": 12.0, "a00000": 10.0}  # 83 mg/m³ at 6 % O2, limit 100


def enter(user: User, city: City, n: int, number: float, period: str = "hour", **more) -> Sample:
    given = {
        "factor": "a21002", "period": period, "taken": hour(n) + timedelta(minutes=20),
        "value": number, "report": "环监测字〔2026〕8号", "note": "执法大队，现场监测", "now": NOW,
    }  # fmt: skip
    return samples.enter(user, city.point, **(given | more))


def said(city: City, n: int, key: str = "hour") -> list:
    row = Judgement.objects.get(point=city.point, period=key, time=hour(n), stands=True)
    return row.factors["a21002"]["limits"][str(city.limits[key].pk)]


def test_a_sample_over_the_limit_prevails_until_it_is_withdrawn(city: City, dispatcher):
    city.send(hour(2), FINE)
    city.catch_up()
    assert said(city, 2)[0] == Verdict.WITHIN
    sample = enter(dispatcher, city, 2, 130.0)
    city.catch_up()
    assert said(city, 2) == [Verdict.EXCEEDED, 0, 130.0]
    row = Exceedance.objects.get()
    keys = [s["key"] for s in row.steps]
    assert keys == ["raw", "validity", "sample", "limit", "verdict"]
    assert row.steps[0]["numbers"]["value"] == 50.0  # the automatic value stays beside it
    assert sample.evidence is not None
    day = TransmissionDay.objects.get()
    amounts.refresh(NOW)
    assert (day.received, day.valid) == (2, 2)
    assert EmissionDay.objects.get(factor="a21002").mean == 50.0
    sample = samples.withdraw(dispatcher, sample, "报告作废", NOW)
    city.catch_up()
    assert said(city, 2)[0] == Verdict.WITHIN
    assert Exceedance.objects.get().withdrawn == "within"
    entries = list(EvidenceEntry.objects.filter(kind="sample").order_by("pk"))
    for entry, why in zip(entries, ("", sample.why), strict=True):
        assert "执法大队" not in entry.content
        assert "报告作废" not in entry.content
        told = json.loads(entry.content)["content"]["said"]
        assert told == said_digest({"note": sample.note, "why": why}, entry.salt)


def test_a_sample_within_the_limit_takes_an_automatic_exceedance_away(city: City, dispatcher):
    city.send(hour(2), FINE | {"a21002": 90.0})
    city.catch_up()
    enter(dispatcher, city, 2, 60.0)
    city.catch_up()
    assert said(city, 2) == [Verdict.WITHIN, 0, 60.0]
    assert Exceedance.objects.get().withdrawn == "within"


def test_a_sample_counts_where_the_automatic_value_is_invalid_or_missing(city: City, dispatcher):
    city.send(hour(2), FINE | {"a21002": (90.0, "D")})
    one = enter(dispatcher, city, 2, 130.0)
    other = enter(dispatcher, city, 4, 140.0)
    city.catch_up()
    assert [e.value for e in Exceedance.objects.order_by("time")] == [140.0, 130.0]
    assert TransmissionDay.objects.get().received == 2  # of one hour
    samples.withdraw(dispatcher, one, "错录", NOW)
    samples.withdraw(dispatcher, other, "错录", NOW)
    city.catch_up()
    assert {e.withdrawn for e in Exceedance.objects.all()} == {"mark", "value_missing"}
    assert said(city, 4)[1] == Reason.VALUE_MISSING


def test_a_sample_of_a_day_prevails_over_its_mean(city: City, dispatcher):
    now = NOW + timedelta(days=1)
    for n in range(4, 24):
        city.send(hour(n), FINE, take=False)
    city.take()
    enter(dispatcher, city, 20, 95.0, "day")
    city.catch_up(now)
    row = Judgement.objects.get(period="day", stands=True, factors__a21002__sample__value=95.0)
    assert row.factors["a21002"]["limits"][str(city.limits["day"].pk)][:2] == [2, 0]


@pytest.mark.parametrize(
    "more",
    [
        {"value": -1.0}, {"value": float("nan")}, {"report": " "}, {"note": ""},
        {"taken": NOW + timedelta(hours=1)}, {"factor": "zz"}, {"period": "minute"},
    ],
)  # fmt: skip
def test_samples_that_cannot_be_are_refused(city: City, dispatcher, more):
    with pytest.raises(Refused):
        enter(dispatcher, city, 2, 60.0, **more)
    assert not Sample.objects.exists()


def test_only_officers_enter_and_one_sample_is_enough(city: City, dispatcher):
    enterprise = make_user("enterprise", enterprise=city.outlet.enterprise.uscc)
    with pytest.raises(Refused):
        enter(enterprise, city, 2, 60.0)
    sample = enter(dispatcher, city, 2, 60.0)
    with pytest.raises(Refused):
        enter(dispatcher, city, 2, 61.0)
    with pytest.raises(Refused):
        samples.withdraw(dispatcher, sample, "")
    samples.withdraw(dispatcher, sample, "错录")
    with pytest.raises(Refused):
        samples.withdraw(dispatcher, sample, "错录")


def test_the_page_takes_a_sample_and_keeps_what_was_typed(city: City, client: Client, dispatcher):
    client.force_login(dispatcher)
    address = f"/monitoring/points/{city.point.mn}/31/samples/"
    taken = timezone.localtime(timezone.now() - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    typed = {"what": "a21002 hour", "taken": taken, "value": "88.5", "report": "8号"}
    page = client.post(address, typed).content.decode()
    assert "88.5" in page
    assert not Sample.objects.exists()
    assert client.post(address, typed | {"note": "执法监测"}).status_code == 302
    again = client.post(address, typed | {"note": "执法监测"}).content.decode()
    assert "该时段已有执法监测结果" in again
    sample = Sample.objects.get()
    assert (sample.value, sample.unit) == (88.5, "mg/m3")
    assert "8号" in client.get(address).content.decode()
    assert (
        client.post(f"/monitoring/samples/{sample.pk}/withdraw/", {"why": "错录"}).status_code
        == 302
    )
    sample.refresh_from_db()
    assert sample.withdrawn is not None


# What came twice, and what did not come ---------------------------------------------------------


def test_hours_that_came_with_other_values_are_listed_for_those_who_may_see(
    city: City, client: Client, dispatcher
):
    when = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    city.received = when + timedelta(hours=1)
    city.send(when, FINE)
    city.send(when, FINE)  # the same again is no conflict
    city.send(when + timedelta(hours=1), FINE)
    city.send(when + timedelta(hours=1), FINE | {"a21002": 70.0})
    client.force_login(dispatcher)
    page = client.get("/monitoring/repeats/").content.decode()
    assert page.count("50 → <strong>70</strong>") == 1
    assert "共 1 条" in page
    assert "50 → 70" in client.get("/monitoring/repeats.csv").getvalue().decode()
    client.force_login(make_user("district", city.other.code))
    assert "→" not in client.get("/monitoring/repeats/").content.decode()


def test_a_missing_hour_says_whether_anything_of_the_point_came(
    city: City, client: Client, dispatcher
):
    city.send(hour(6), FINE)
    city.send(hour(4), {"a19001": 12.0})
    city.send(hour(1), FINE)
    city.catch_up()
    found = selectors.series(city.point, "a21002", "hour", hour(8), NOW, NOW)
    rows = {r.time: Fault(r.fault) for r in selectors.with_gaps(found, NOW)}
    assert {t: f for t, f in rows.items() if f} == {
        hour(5): Fault.NO_LINK, hour(4): Fault.MISSING, hour(3): Fault.NO_LINK,
        hour(2): Fault.NO_LINK, hour(0): Fault.NO_LINK,
    }  # fmt: skip
    assert selectors.gap(city.point, "hour", hour(3), NOW) == {"value": None, "fault": 64}
    assert selectors.gap(city.point, "hour", hour(7), NOW) is None  # before its first hour
    client.force_login(dispatcher)
    address = f"/monitoring/points/{city.point.mn}/31/value/?factor=a21002&resolution=hour&time="
    page = client.get(address + str(int(hour(3).timestamp()))).content.decode()
    assert "通讯中断" in page or "无连接" in page or "未联网" in page
