"""What the office declares of a point's instruments: the entry in the log, what is judged again."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import translation

from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import entries
from jingwei.bureau.monitoring import bases
from jingwei.bureau.monitoring.models import Basis, Due, Exceedance, InstrumentRange, Judgement

from .conftest import NOW, City, hour, make_point, make_user

pytestmark = pytest.mark.django_db
AIR = {"a19001": 6.0, "a01014": 20.0}  # moisture 20 %: of dry gas is 1 / 0.8 as much


@pytest.fixture
def root(db) -> User:
    return User.objects.create_superuser("root", password="x")


@pytest.fixture
def judged(city: City) -> City:
    """Two hours of 90 mg/m³ (limit 100), of the 19th and the 20th, and one of another factor alone."""
    city.point.factors = ["a21002", "a19001", "a01014"]
    city.point.save()
    for n in (1, 20):  # 10:00 on the 20th, 15:00 on the 19th in Beijing
        city.send(hour(n), {"a21002": 90.0, **AIR})
    city.send(hour(2), AIR)
    city.catch_up()
    return city


def values(when: datetime) -> list[tuple[float, bool]]:
    rows = Judgement.objects.filter(period="hour", time=when).order_by("pk")
    return [(r.factors["a21002"]["value"], r.stands) for r in rows]


def wet(city: City, since: date = date(2026, 11, 20), **more) -> Basis:
    return Basis(point=city.point, factor="a21002", state="wet", since=since, **more)


def test_a_basis_leaves_an_entry_and_has_judged_again_what_it_touches(judged: City, root: User):
    assert not Exceedance.objects.exists()
    found = bases.declare(root, wet(judged), NOW)
    assert (found.hours, found.exceedances) == ([hour(1)], 0)
    assert set(Due.objects.values_list("what", "time")) == {
        ("hour", hour(1)), ("day", datetime(2026, 11, 19, 16, tzinfo=UTC)),
    }  # fmt: skip
    judged.catch_up()
    assert values(hour(1)) == [(90.0, False), (pytest.approx(112.5), True)]
    assert values(hour(20)) == [(90.0, True)]
    assert Exceedance.objects.get(withdrawn="").value == pytest.approx(112.5)
    entry = EvidenceEntry.objects.get(kind="basis")
    content = json.loads(entry.content)["content"]
    assert content == {
        "act": "entered", "point": judged.point.key, "factor": "a21002", "state": "wet",
        "since": "2026-11-20", "barometer": None, "before": None, "hours": 1, "days": 1,
        "at": content["at"],
    }  # fmt: skip
    assert list(entries(make_user("district", judged.region.code), kind="basis")) == [entry]
    assert not entries(make_user("district", judged.other.code), kind="basis").exists()


def test_a_change_touches_where_old_and_new_differ_and_withdraws_what_no_longer_exceeds(
    judged: City, root: User
):
    bases.declare(root, wet(judged, since=date(2026, 11, 19)), NOW)
    judged.catch_up()
    assert Exceedance.objects.filter(withdrawn="").count() == 2
    row = Basis.objects.get()
    row.since = date(2026, 11, 20)
    assert bases.touched(row).hours == [hour(20)]
    assert bases.touched(row).exceedances == 1
    row.state, row.since = "standard", date(2026, 11, 19)
    found = bases.declare(root, row, NOW)
    assert (found.hours, found.exceedances) == ([hour(20), hour(1)], 2)
    judged.catch_up()
    assert not Exceedance.objects.filter(withdrawn="").exists()
    assert set(Exceedance.objects.values_list("withdrawn", flat=True)) == {"within"}
    content = json.loads(EvidenceEntry.objects.filter(kind="basis").last().content)["content"]
    assert content["act"] == "changed"
    assert content["before"] == {"state": "wet", "since": "2026-11-19", "barometer": None}


def test_what_changes_nothing_touches_nothing(judged: City, root: User):
    row = wet(judged)
    row.state = "standard"
    assert not bases.declare(root, row, NOW)
    row.barometer = 101.0  # of no use for a state that asks for none
    assert not bases.touched(row)
    later = wet(judged, since=date(2026, 11, 21))
    assert not bases.declare(root, later, NOW)
    assert not Due.objects.filter(what="hour").exists()
    assert EvidenceEntry.objects.filter(kind="basis").count() == 2


def test_an_hour_is_judged_by_the_basis_that_holds_on_its_day_when_a_second_row_begins(
    judged: City, root: User
):
    bases.declare(root, wet(judged, since=date(2026, 11, 19)), NOW)
    row = wet(judged)
    row.state = "standard"
    assert bases.touched(row).hours == [hour(1)]


def test_nitrogen_oxides_follow_the_basis_of_their_part(city: City, root: User):
    city.point.factors = ["a21003", "a21004", "a19001", "a01014"]
    city.point.save()
    city.send(hour(1), {"a21003": 60.0, "a21004": 8.0, **AIR})  # 100 as NO2: within
    city.catch_up()
    bases.declare(root, Basis(point=city.point, factor="a21003", state="wet"), NOW)
    city.catch_up()
    assert Exceedance.objects.get().value == pytest.approx(60 / 0.8 * 46 / 30 + 8)


def test_a_range_leaves_an_entry_too_and_its_hours_are_judged_again(judged: City, root: User):
    found = bases.declare(
        root, InstrumentRange(point=judged.point, factor="a21002", high=80.0), NOW
    )
    assert found.hours == [hour(20), hour(1)]
    judged.catch_up()
    cells = Judgement.objects.get(period="hour", stands=True, time=hour(1)).factors
    assert "fault" in cells["a21002"]
    row = InstrumentRange.objects.get()
    assert not bases.touched(row)
    row.high = 500.0
    bases.declare(root, row, NOW)
    judged.catch_up()
    cells = Judgement.objects.get(period="hour", stands=True, time=hour(1)).factors
    assert "fault" not in cells["a21002"]
    last = json.loads(EvidenceEntry.objects.filter(kind="basis").last().content)["content"]
    assert (last["high"], last["before"]) == (500.0, {"high": 80.0})


@pytest.mark.parametrize(
    ("factor", "words"),
    [("SO2", "does not send SO2"), ("a21026", "does not send a21026"), ("a19001", "no concentration")],
)  # fmt: skip
def test_a_basis_that_could_never_matter_is_refused(judged: City, root: User, factor, words):
    with translation.override("en"), pytest.raises(ValidationError, match=words):
        bases.declare(root, Basis(point=judged.point, factor=factor, state="wet"), NOW)
    assert not Basis.objects.exists()


def test_a_judge_at_work_starts_anew(judged: City, root: User, monkeypatch):
    """What was read before the declaration is not written after it."""
    from jingwei.bureau.monitoring import judging

    judged.send(hour(0), {"a21002": 91.0, **AIR})
    real = judging.episodes.settle
    read = judging.Work.hours

    def hours(self, touched):
        made = read(self, touched)
        monkeypatch.setattr(judging.Work, "hours", read)
        bases.declare(root, wet(judged), NOW)
        return made

    monkeypatch.setattr(judging.Work, "hours", hours)
    assert not judged.judge().moved
    assert not Judgement.objects.filter(period="hour", time=hour(0)).exists()
    assert judging.episodes.settle is real
    judged.catch_up()
    assert values(hour(0)) == [(pytest.approx(91 / 0.8), True)]


# The administration -----------------------------------------------------------------------------


def test_the_administration_says_first_what_is_judged_again(judged: City, root: User, client):
    client.force_login(root)
    url = reverse("admin:monitoring_basis_add")
    typed = {
        "point": judged.point.pk, "factor": "a21002", "state": "wet", "since": "2026-11-19",
        "barometer": "",
    }  # fmt: skip
    english = {"accept-language": "en"}
    page = client.post(url, typed, headers=english).content.decode()
    assert "2 hours and 2 days from 2026-11-19 to 2026-11-20 were judged already" in page
    assert "nothing has been saved yet" in page
    assert not Basis.objects.exists()
    chinese = client.post(url, typed, headers={"accept-language": "zh-hans"}).content.decode()
    assert "2 个小时值、2 个日均值已经判定" in chinese
    done = client.post(url, {**typed, "again": "on"}, headers=english, follow=True)
    assert "2 hours and 2 days are judged again" in done.content.decode()
    row = Basis.objects.get()
    assert Due.objects.filter(what="hour").count() == 2
    change = reverse("admin:monitoring_basis_change", args=[row.pk])
    page = client.post(change, {"state": "standard", "since": "2026-11-19", "barometer": ""})
    assert page.status_code == 200
    row.refresh_from_db()
    assert row.state == "wet"
    assert client.get(reverse("admin:monitoring_basis_delete", args=[row.pk])).status_code == 403


def test_the_administration_refuses_with_the_words_of_the_service(judged: City, root: User, client):
    client.force_login(root)
    other = make_point(judged.outlet, judged.region, 2, factors=["a21026"])
    page = client.post(
        reverse("admin:monitoring_instrumentrange_add"),
        {"point": other.pk, "factor": "a21002", "high": "500"},
        headers={"accept-language": "en"},
    )
    assert "The point does not send a21002; it sends a21026." in page.content.decode()
    assert page.context["errors"]
