"""What is one episode and what are two: suggestions, merging, splitting, severity."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import translation

from bureau.cases.city import NOW, finding, open_case, photo
from jingwei.bureau.findings import checks, episodes, filing, services
from jingwei.bureau.findings.kinds import SCENARIOS, may_join
from jingwei.bureau.findings.models import Decision, Finding, Kind
from jingwei.bureau.findings.selectors import exceedances
from jingwei.bureau.findings.services import Refused

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
METRES = 1 / 111195  # degrees of latitude


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def near(city, metres=0.0, hours=0.0, kind="patrol", **kw):
    number = Finding.objects.count() + 1
    values = {
        "kind": kind,
        "latitude": 39.9 + metres * METRES,
        "began": NOW + hours * HOUR,
        "ended": NOW + hours * HOUR,
        "point": None,
        "enterprise": None,
    }
    return finding(city, number, **{**values, **kw})


def test_every_kind_is_described():
    assert set(SCENARIOS) == set(Kind.values)
    for kind, scenario in SCENARIOS.items():
        assert scenario.kind == kind
        assert scenario.near > 0
        assert scenario.within > 0
        assert scenario.inputs
        assert scenario.check
        names = [i.name for i in scenario.inputs]
        assert len(names) == len(set(names))
        assert not scenario.extent or scenario.extent in names
        assert may_join(kind, kind)
    assert all(may_join(a, b) == may_join(b, a) for a in SCENARIOS for b in SCENARIOS)


@pytest.mark.parametrize(
    ("metres", "hours", "other", "suggested"),
    [
        (290, 1, "patrol", True),
        (310, 1, "patrol", False),
        (290, 71, "patrol", True),
        (290, 73, "patrol", False),
        (310, 1, "complaint", True),  # the wider reach of the two kinds
        (510, 1, "complaint", False),
        (10, 1, "power", False),  # kinds that do not go together
    ],
)
def test_suggestions_keep_to_place_time_and_kind(city, metres, hours, other, suggested):
    first = near(city)
    second = near(city, metres, hours, kind=other)
    found = [(f.pk, round(m)) for f, m in episodes.suggestions(city.dispatcher, first)]
    assert found == ([(second.pk, metres)] if suggested else [])
    # and the other way round
    assert bool(episodes.suggestions(city.dispatcher, second)) == suggested


def test_nobody_is_shown_what_lies_outside_of_the_jurisdiction(city):
    first = near(city)
    near(city, 10, region=city.regions[1])
    assert episodes.suggestions(city.dispatcher, first)
    assert not episodes.suggestions(city.district, first)


def test_a_merged_finding_keeps_its_rows_and_can_be_taken_back(city):
    one, two = finding(city, 1), finding(city, 2)
    rows = exceedances(two).count()
    episodes.merge(city.dispatcher, [two.pk], one.pk, "同一时段同一排口")
    two.refresh_from_db()
    assert (two.state, two.merged_into) == (Finding.State.MERGED, one)
    assert two.exceedances.count() == rows
    assert exceedances(one).count() == 2 * rows
    assert two.decisions.get().data == {"other": one.pk}
    assert list(checks.check()) == []
    # What comes after goes on in the one that people work on.
    later = two.ended + 5 * HOUR
    values = {"kind": two.kind, "episode": two.episode, "title": "t", "region": two.region}
    values |= {"longitude": 116.3, "latitude": 39.9, "began": two.began, "ended": later}
    services.notice(**values, severity=3)
    one.refresh_from_db()
    assert (one.ended, one.severity) == (later, 3)
    episodes.unmerge(city.dispatcher, two.pk, "实为两次")
    two.refresh_from_db()
    assert (two.state, two.merged_into) == (Finding.State.NEW, None)
    assert exceedances(one).count() == rows
    assert list(checks.check()) == []


def test_merging_chains_end_in_one(city):
    a, b, c = finding(city, 1), finding(city, 2), finding(city, 3)
    episodes.merge(city.dispatcher, [a.pk], b.pk, "x")
    episodes.merge(city.dispatcher, [b.pk], c.pk, "x")
    assert set(c.merged.all()) == {a, b}
    with pytest.raises(Refused, match="new or in a case"):
        episodes.merge(city.dispatcher, [c.pk], a.pk, "x")


def test_merging_is_refused(city):
    one = finding(city, 1)
    power = near(city, kind="complaint")
    with pytest.raises(Refused, match="never one episode"):
        episodes.merge(city.dispatcher, [power.pk], one.pk, "x")
    with pytest.raises(Refused, match="Give a reason"):
        episodes.merge(city.dispatcher, [finding(city, 5).pk], one.pk, " ")
    with pytest.raises(Refused, match="role"):
        episodes.merge(city.grid, [power.pk], one.pk, "x")
    with pytest.raises(Finding.DoesNotExist):
        episodes.merge(city.district2, [power.pk], one.pk, "x")
    other = finding(city, 6)
    services.dismiss(city.dispatcher, other.pk, "检修")
    with pytest.raises(Refused, match="not open any more"):
        episodes.merge(city.dispatcher, [other.pk], one.pk, "x")
    assert not Finding.objects.filter(state=Finding.State.MERGED).exists()


def test_nobody_reads_another_enterprises_hours_by_way_of_merging(city):
    mine, theirs = finding(city, 1, 0), finding(city, 2, 1)
    assert not episodes.suggestions(city.dispatcher, mine)
    nameless = finding(city, 3, enterprise=None)
    for other, into in ((theirs, mine), (mine, theirs), (mine, nameless)):
        with pytest.raises(Refused, match="enterprise"):
            episodes.merge(city.dispatcher, [other.pk], into.pk, "x")
    assert [f for f, _m in episodes.suggestions(city.dispatcher, mine)] == [nameless]
    episodes.merge(city.dispatcher, [nameless.pk], mine.pk, "同一排口")


def test_an_enterprise_sees_no_file_of_the_bureau(city, client):
    row = finding(city, 1)
    filing.add_files(city.grid, row.pk, [(photo(), "image/png")])
    file = row.files.get()
    client.force_login(city.enterprise)
    assert client.get(row.get_absolute_url()).status_code == 200
    assert file.get_absolute_url() not in client.get(row.get_absolute_url()).content.decode()
    assert client.get(file.get_absolute_url()).status_code == 404


def test_what_is_in_a_case_is_not_torn_apart(city):
    case = open_case(city, 1)
    one, two = case.findings.get(), finding(city, 2)
    episodes.merge(city.dispatcher, [two.pk], one.pk, "同一过程")
    with pytest.raises(Refused, match="case"):
        episodes.unmerge(city.dispatcher, two.pk, "x")


def test_kept_apart_is_not_suggested_again(city):
    one, two = near(city), near(city, 20)
    episodes.keep_apart(city.dispatcher, one.pk, two.pk, "两处工地")
    assert not episodes.suggestions(city.dispatcher, one)
    assert not episodes.suggestions(city.dispatcher, two)
    assert one.decisions.get().action == Decision.Action.APART


def test_split_moves_rows_and_files(city):
    old = finding(city, 1)
    filing.add_files(city.grid, old.pk, [(photo(), "image/png")])
    picture = old.files.get()
    rows = list(exceedances(old))
    new = episodes.split(
        city.dispatcher, old.pk, rows=[rows[1].pk], files=[picture.pk], reason="两次"
    )
    old.refresh_from_db()
    assert list(exceedances(old)) == [rows[0]]
    assert list(exceedances(new)) == [rows[1]]
    assert (new.began, new.ended) == (rows[1].time, rows[1].time + HOUR)
    assert (old.facts["hours"], new.facts["hours"]) == (1, 1)
    assert new.split_from == old
    picture.refresh_from_db()
    assert picture.finding == new
    assert old.decisions.get().data["files"] == [picture.pk]
    assert list(checks.check()) == []
    # The judge does not join what a person split, and it is not suggested.
    assert not services.merge(new, old, reason="x", why="x")
    assert new not in [f for f, _m in episodes.suggestions(city.dispatcher, old)]


def test_split_is_refused(city):
    old = finding(city, 1)
    rows = [e.pk for e in exceedances(old)]
    for given, says in (([], "Choose"), (rows, "must stay"), ([10**9], "Choose")):
        with pytest.raises(Refused, match=says):
            episodes.split(city.dispatcher, old.pk, rows=given, files=[], reason="x")
    services.dismiss(city.dispatcher, old.pk, "检修")
    with pytest.raises(Refused, match="new"):
        episodes.split(city.dispatcher, old.pk, rows=rows[:1], files=[], reason="x")


def test_a_severity_that_a_person_gave_stays(city):
    row = finding(city, 1, severity=2)
    services.grade(city.dispatcher, row.pk, 1, "设备检修期间")
    again = {"kind": row.kind, "episode": row.episode, "title": "t", "region": row.region}
    again |= {"longitude": 116.3, "latitude": 39.9, "began": row.began, "ended": row.ended}
    services.notice(**again, severity=3)
    row.refresh_from_db()
    assert (row.severity, row.graded) == (1, True)
    assert row.decisions.get().data == {"before": 2, "after": 1}
    with pytest.raises(Refused, match="severity"):
        services.grade(city.dispatcher, row.pk, 9, "x")


def test_pages_merge_split_and_grade(city, client):
    one, two = finding(city, 1), finding(city, 2)
    client.force_login(city.dispatcher)
    address = reverse("findings:finding", args=[one.pk])
    page = client.get(address).content.decode()
    assert two.title in page
    answer = client.post(reverse("findings:merge", args=[one.pk]), {"other": two.pk, "reason": ""})
    assert answer.status_code == 409
    client.post(reverse("findings:merge", args=[one.pk]), {"other": two.pk, "reason": "同一过程"})
    two.refresh_from_db()
    assert two.merged_into == one
    assert two.get_absolute_url() in client.get(address).content.decode()
    client.post(reverse("findings:unmerge", args=[two.pk]), {"reason": "两次"})
    both = {"act": "apart", "other": two.pk, "reason": "两次"}
    assert client.post(reverse("findings:merge", args=[one.pk]), both).status_code == 302
    row = exceedances(one)[0]
    client.post(reverse("findings:split", args=[one.pk]), {"row": row.pk, "reason": "拆分"})
    row.refresh_from_db()
    assert row.finding.split_from == one
    client.post(reverse("findings:grade", args=[one.pk]), {"severity": "3", "reason": "投诉多"})
    one.refresh_from_db()
    assert one.severity == 3
    client.force_login(city.enterprise)
    page = client.get(address).content.decode()
    assert "投诉多" not in page, "the bureau's reasons are not the enterprise's to read"
