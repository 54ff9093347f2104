"""From the lake to exceedances and findings: one finding an episode, whatever comes when."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import episodes, selectors, services, tasks
from jingwei.bureau.monitoring.models import Cursor, Exceedance, TransmissionDay
from jingwei.bureau.registry.models import PermitLimit
from jingwei.telemetry.lake import Lake
from racing import together

from .conftest import NOW, City, hour, limit, make_point

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}  # 150 mg/m³ at 6 % O2, limit 100
UNDER = {"a21002": 30.0, "a19001": 12.0}  # 50


def standing() -> list[Exceedance]:
    return list(Exceedance.objects.filter(withdrawn="").order_by("time"))


def test_an_hour_over_the_limit(city: City):
    seq = city.send(hour(0), OVER)
    report = city.judge()
    assert (report.changes, report.judged, report.exceeded, report.findings) == (1, 1, 1, 1)

    (row,) = standing()
    assert (row.value, row.limit_value, row.multiple, row.unit) == (150.0, 100.0, 0.5, "mg/m³")
    assert (row.time, row.telegrams) == (hour(0), [seq])
    assert [s["key"] for s in row.steps] == [
        "raw", "mark", "validity", "basis", "converted", "limit", "verdict",
    ]  # fmt: skip
    finding = row.finding
    assert finding.episode == f"exceedance/{city.point.key}/a21002/hour/2026-11-20T03Z"
    assert (finding.began, finding.ended) == (hour(0), hour(-1))
    assert finding.title == "示例热电1厂 DA001：氮氧化物小时均值超标"
    assert finding.facts["highest"] == 150.0
    assert finding.facts["hours"] == 1
    assert finding.enterprise == city.outlet.enterprise

    entry = json.loads(row.evidence.content)
    assert entry["content"]["exceedances"][0]["telegrams"] == [str(seq)]
    assert entry["content"]["exceedances"][0]["act"] == "found"
    assert Cursor.objects.get(name="judge-hour").counts["sum"]["exceeded"] == 1


def test_judging_again_changes_nothing(city: City):
    city.send(hour(0), OVER)
    city.judge()
    entries = EvidenceEntry.objects.count()
    assert not city.judge().moved
    Cursor.objects.all().delete()  # as if the cursor had been lost: everything is judged again
    report = city.judge()
    assert (report.judged, report.exceeded, report.findings) == (1, 0, 0)
    assert (len(standing()), EvidenceEntry.objects.count()) == (1, entries)


def test_within_the_limit_leaves_nothing(city: City):
    city.send(hour(0), UNDER)
    report = city.judge()
    assert (report.judged, report.exceeded) == (1, 0)
    assert not Exceedance.objects.exists()
    assert not Finding.objects.exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a21002": (90.0, "D"), "a19001": 12.0}, "mark"),
        ({"a21002": 90.0}, "oxygen_missing"),
        ({"a21002": 90.0, "a19001": 21.0}, "oxygen_high"),
        ({"a21002": 90.0, "a19001": (12.0, "C")}, "oxygen_mark"),
        ({"a21002": "-", "a19001": 12.0}, "value_missing"),
        ({"a21002": -5.0, "a19001": 12.0}, "value_negative"),
    ],
)
def test_what_cannot_be_judged_is_counted_with_the_reason(city: City, values, reason):
    city.send(hour(0), values)
    report = city.judge()
    assert (report.judged, dict(report.not_judged)) == (0, {reason: 1})
    assert not Exceedance.objects.exists()


def test_the_oxygen_may_come_in_a_telegram_of_its_own(city: City):
    a = city.send(hour(0), {"a21002": 90.0})
    assert city.judge().not_judged["oxygen_missing"] == 1
    b = city.send(hour(0), {"a19001": 12.0})
    assert city.judge().exceeded == 1
    assert standing()[0].telegrams == sorted([a, b])


def test_one_finding_for_an_episode_of_many_hours(city: City):
    for n in range(9, -1, -1):
        city.send(hour(n), OVER)
        city.judge()
    (finding,) = Finding.objects.all()
    assert (finding.began, finding.ended) == (hour(9), hour(-1))
    assert finding.facts["hours"] == 10
    assert finding.severity == Finding.Severity.HIGH  # six hours or more
    assert {e.finding for e in standing()} == {finding}


def test_the_gap_that_ends_an_episode(city: City):
    city.send(hour(60), OVER)
    city.send(hour(36), OVER)  # 24 h later: the same episode
    city.send(hour(11), OVER)  # 25 h later: a new one
    city.judge()
    assert [f.facts["hours"] for f in Finding.objects.order_by("began")] == [2, 1]


def test_late_hours_extend_backwards(city: City):
    city.send(hour(2), OVER)
    city.judge()
    key = Finding.objects.get().episode
    city.send(hour(20), OVER)
    city.send(hour(40), OVER)
    city.judge()
    (finding,) = Finding.objects.all()
    assert (finding.began, finding.episode) == (hour(40), key)  # the key is a name, it stays
    assert finding.facts["hours"] == 3


def test_a_late_hour_that_joins_two_episodes_leaves_one_open_finding(city: City):
    city.send(hour(48), OVER)
    city.send(hour(8), OVER)
    city.judge()
    first, second = Finding.objects.order_by("began")
    city.send(hour(28), OVER)
    city.judge()
    first.refresh_from_db()
    second.refresh_from_db()
    assert {e.finding for e in standing()} == {first}
    assert (first.began, first.ended, first.facts["hours"]) == (hour(48), hour(7), 3)
    assert (second.state, second.merged_into) == (Finding.State.MERGED, first)
    assert str(first.pk) in second.reason
    assert EvidenceEntry.objects.filter(kind="finding.merged").count() == 1


def test_the_finding_that_people_work_on_survives_a_merge(city: City):
    city.send(hour(48), OVER)
    city.send(hour(8), OVER)
    city.judge()
    first, second = Finding.objects.order_by("began")
    Finding.objects.filter(pk=second.pk).update(state=Finding.State.IN_CASE)
    city.send(hour(28), OVER)
    city.judge()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (Finding.State.MERGED, Finding.State.IN_CASE)
    assert {e.finding for e in standing()} == {second}
    assert second.began == hour(48)


def test_a_finding_taken_into_a_case_meanwhile_keeps_its_hours(city: City, monkeypatch):
    """Somebody opens a case between the judge's reading of the findings and the merge."""
    city.send(hour(48), OVER)
    city.send(hour(8), OVER)
    city.judge()
    first, second = Finding.objects.order_by("began")
    city.send(hour(28), OVER)
    survivor = episodes._survivor

    def survivor_and_a_case(found):
        chosen = survivor(found)
        Finding.objects.filter(pk=second.pk).update(state=Finding.State.IN_CASE)
        return chosen

    monkeypatch.setattr(episodes, "_survivor", survivor_and_a_case)
    city.judge()
    second.refresh_from_db()
    assert (second.state, second.reason) == (Finding.State.IN_CASE, "")
    assert [e.finding for e in standing()] == [first, first, second]
    assert [f.facts["hours"] for f in Finding.objects.order_by("began")] == [2, 1]
    assert not EvidenceEntry.objects.filter(kind="finding.merged").exists()


def test_two_findings_in_cases_stay_as_they_are(city: City):
    city.send(hour(48), OVER)
    city.send(hour(8), OVER)
    city.judge()
    Finding.objects.update(state=Finding.State.IN_CASE)
    city.send(hour(28), OVER)
    city.judge()
    assert [f.facts["hours"] for f in Finding.objects.order_by("began")] == [2, 1]
    assert set(Finding.objects.values_list("state", flat=True)) == {Finding.State.IN_CASE}


def test_a_dismissed_finding_takes_no_further_hours(city: City):
    city.send(hour(5), OVER)
    city.judge()
    Finding.objects.update(state=Finding.State.DISMISSED)
    city.send(hour(4), OVER)
    city.send(hour(3), OVER)
    city.judge()
    city.send(hour(2), OVER)
    city.judge()
    old, new = Finding.objects.order_by("began")
    assert (old.state, old.facts["hours"]) == (Finding.State.DISMISSED, 1)
    assert (new.state, new.facts["hours"], new.began) == (Finding.State.NEW, 3, hour(4))


@given(
    order=st.permutations(range(8)),
    cuts=st.sets(st.integers(1, 7)),
    hours=st.lists(st.integers(0, 200), min_size=8, max_size=8, unique=True),
)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_of_arrival_gives_the_same_episodes(city: City, order, cuts, hours):
    """Hours sent in any order and judged at any moments: the episodes are those of the sorted hours."""
    point = make_point(city.outlet, city.region, n=next(_NUMBER))
    times = sorted(hour(n) for n in hours)
    wanted = [[times[0]]]
    for a, b in itertools.pairwise(times):
        if b - a <= services.EPISODE_GAP:
            wanted[-1].append(b)
        else:
            wanted.append([b])
    for i, at in enumerate(order):
        city.send(times[at], OVER, point=point)
        if i in cuts:
            city.judge()
    city.judge()
    got: dict[int, list[datetime]] = {}
    for e in Exceedance.objects.filter(point=point, withdrawn="").order_by("time"):
        got.setdefault(e.finding_id, []).append(e.time)
    assert sorted(got.values()) == wanted
    open_ones = Finding.objects.filter(point=point, state=Finding.State.NEW)
    assert sorted((f.began, f.ended - timedelta(hours=1), f.facts["hours"]) for f in open_ones) == [
        (rows[0], rows[-1], len(rows)) for rows in wanted
    ]


_NUMBER = itertools.count(100)


# Corrections ------------------------------------------------------------------------------------


def test_a_correction_within_the_limit_withdraws(city: City):
    city.send(hour(1), OVER)
    city.send(hour(0), OVER, breath=False)
    city.judge()
    city.send(hour(0), UNDER)
    report = city.judge()
    assert (report.exceeded, report.withdrawn) == (0, 1)
    gone = Exceedance.objects.get(time=hour(0))
    assert (gone.withdrawn, gone.value, gone.superseded_by) == ("within", 150.0, None)
    finding = Finding.objects.get()
    assert (finding.facts["hours"], finding.facts["corrected"]) == (1, 1)
    act = json.loads(EvidenceEntry.objects.filter(kind="exceedances").last().content)
    assert act["content"]["exceedances"][0]["act"] == "withdrawn"


def test_a_correction_that_still_exceeds_supersedes(city: City):
    city.send(hour(0), OVER)
    city.judge()
    city.send(hour(0), {"a21002": 120.0, "a19001": 12.0})
    report = city.judge()
    assert (report.exceeded, report.corrected, report.findings) == (1, 1, 0)
    old = Exceedance.objects.get(withdrawn="corrected")
    (new,) = standing()
    assert (old.value, new.value, old.superseded_by) == (150.0, 200.0, new)
    assert new.finding == old.finding
    assert new.finding.facts["highest"] == 200.0


def test_a_correction_by_mark_withdraws_with_that_reason(city: City):
    city.send(hour(0), OVER)
    city.judge()
    city.send(hour(0), {"a21002": (90.0, "M"), "a19001": 12.0})
    city.judge()
    assert Exceedance.objects.get().withdrawn == "mark"
    finding = Finding.objects.get()
    assert (finding.facts["hours"], finding.state) == (0, Finding.State.NEW)
    assert "更正" in finding.next_check


def test_a_corrected_oxygen_value_is_a_correction(city: City):
    city.send(hour(0), OVER)
    city.judge()
    city.send(hour(0), {"a19001": 6.0})
    assert city.judge().withdrawn == 1


def test_back_and_forth(city: City):
    for values in (OVER, UNDER, OVER):
        city.send(hour(0), values)
        city.judge()
    assert len(standing()) == 1
    assert Exceedance.objects.count() == 2
    assert Finding.objects.count() == 1


def test_the_same_value_again_changes_nothing(city: City):
    city.send(hour(0), OVER)
    city.judge()
    city.send(hour(0), OVER)  # a telegram that says the same is a repetition: stored once
    report = city.judge()
    assert (report.judged, report.exceeded, report.withdrawn) == (0, 0, 0)
    assert Exceedance.objects.count() == 1


# Limits -----------------------------------------------------------------------------------------


def test_the_limit_in_force_on_the_local_day_counts(city: City):
    PermitLimit.objects.filter(period="hour").update(valid_to=date(2026, 11, 19))
    limit(city.outlet, city.permit, value="200", valid_from=date(2026, 11, 20))
    city.send(datetime(2026, 11, 19, 15, tzinfo=UTC), OVER)  # 23:00 on the 19th: limit 100
    city.send(datetime(2026, 11, 19, 16, tzinfo=UTC), OVER)  # 00:00 on the 20th: limit 200
    report = city.judge()
    assert (report.judged, report.exceeded) == (2, 1)
    assert standing()[0].limit_value == 100


def test_a_point_without_limits_is_counted(city: City):
    PermitLimit.objects.all().delete()
    city.send(hour(0), OVER)
    report = city.judge()
    assert (report.without_limits, report.judged, report.moved) == (1, 0, True)


def test_an_unknown_point_is_counted_and_named(city: City):
    city.send(hour(0), OVER, mn="NOBODYKNOWS0000000000001")
    city.send(hour(0), OVER)
    report = city.judge()
    assert dict(report.unknown) == {"NOBODYKNOWS0000000000001-31": 1}
    assert report.exceeded == 1
    kept = Cursor.objects.get(name="judge-hour").counts["unknown"]
    assert kept == {"NOBODYKNOWS0000000000001-31": 1}


def test_a_limit_that_cannot_be_judged_by_stops_nothing(city: City):
    PermitLimit.objects.filter(period="hour").update(reference_o2=21.0)
    limit(city.outlet, city.permit, value="90", valid_from=date(2025, 2, 1))
    city.send(hour(0), OVER)
    report = city.judge()
    assert (report.bad_limits, report.exceeded) == (1, 1)


def test_a_unit_that_does_not_fit_is_a_reason(city: City):
    PermitLimit.objects.filter(period="hour").update(unit="mg/L")
    city.send(hour(0), OVER)
    assert city.judge().not_judged["unit"] == 1


def test_a_lower_limit(city: City):
    limit(city.outlet, city.permit, "w01001", "6", unit="无量纲", lower=True, reference_o2=None)
    water = make_point(city.outlet, city.region, 7, st="32", factors=["w01001"])
    city.send(hour(0), {"w01001": 5.5}, point=water)
    city.judge()
    (row,) = standing()
    assert row.multiple == pytest.approx(0.5 / 6)
    assert "低于" in row.finding.title


def test_units_follow_the_version_of_the_device(city: City):
    # Lead: µg/L in HJ 212-2017, mg/L in HJ/T 212-2005; the limit is in mg/L.
    limit(city.outlet, city.permit, "w20120", "0.1", unit="mg/L", reference_o2=None)
    new = make_point(city.outlet, city.region, 8, st="32", factors=["w20120"])
    city.send(hour(0), {"w20120": 120.0}, point=new)
    city.judge()
    assert [e.value for e in standing()] == [0.12]


def test_a_device_of_2005_is_judged_by_todays_codes(city: City):
    limit(city.outlet, city.permit, "a21026", "50")
    old = make_point(city.outlet, city.region, 9, version="2005", factors=["02", "S01"])
    city.send(hour(0), {"02": 60.0, "S01": 12.0}, point=old)
    assert city.judge().exceeded == 1
    (row,) = standing()
    assert (row.factor, row.value, row.unit) == ("a21026", 100.0, "mg/m³")
    day = TransmissionDay.objects.get(point=old)
    assert (day.expected, day.received, day.valid) == (2, 2, 2)
    cells = selectors.cells(old, "hour", hour(0), NOW)
    ((_limit, one),) = selectors.verdicts_on(old, cells, "02", "hour", hour(0))
    assert one.value == 100.0


def test_an_hour_from_the_future_is_not_judged(city: City):
    city.send(hour(-3), OVER)
    report = city.judge()
    assert (dict(report.not_judged), report.exceeded) == ({"clock": 1}, 0)


# Days, batches, two judges ----------------------------------------------------------------------


def test_a_day_mean_is_judged_by_the_daily_limit(city: City):
    start = datetime(2026, 11, 18, 16, tzinfo=UTC)  # the 19th in Beijing
    city.send(start, {"a21002": 60.0, "a19001": 12.0}, resolution="day")  # 100 at 6 %
    assert not city.judge("hour").moved
    report = city.judge("day")
    assert report.exceeded == 1
    (row,) = standing()
    assert (row.period, row.limit_value, row.finding.facts["period"]) == ("day", 80, "day")
    assert "日均值" in row.finding.title
    assert row.finding.ended - row.finding.began == timedelta(days=1)


def test_consecutive_days_are_one_episode(city: City):
    for d in (16, 17, 18):
        start = datetime(2026, 11, d, 16, tzinfo=UTC)
        city.send(start, {"a21002": 60.0, "a19001": 12.0}, resolution="day")
    city.judge("day")
    assert Finding.objects.get().facts["days"] == 3


def test_a_backlog_is_worked_off_in_batches(city: City, monkeypatch):
    for n in range(30):
        city.send(hour(n), OVER)  # every telegram its own ingest batch
    reports = []
    while (report := services.judge(NOW, "hour", limit=7)).moved:
        reports.append(report.changes)
    assert sum(reports) == 30
    assert max(reports) <= 7
    assert (len(standing()), Finding.objects.count()) == (30, 1)


def test_tick_catches_up_and_repeats_without_effect(city: City):
    for n in range(5):
        city.send(hour(n), OVER)
    tasks.tick(NOW)
    rows = (Exceedance.objects.count(), EvidenceEntry.objects.count())
    tasks.tick(NOW)
    assert (Exceedance.objects.count(), EvidenceEntry.objects.count()) == rows
    assert rows[0] == 5


def test_of_two_judges_at_once_one_writes(city: City, monkeypatch):
    """The second judge comes in after the first has read the lake and before it writes."""
    city.send(hour(0), OVER)
    scan, inner = Lake.scan, []

    def scan_and_be_overtaken(self, *args, **kwargs):
        found = scan(self, *args, **kwargs)
        if not inner:
            inner.append(None)
            inner[0] = services.judge(NOW, "hour")
        return found

    monkeypatch.setattr(Lake, "scan", scan_and_be_overtaken)
    outer = services.judge(NOW, "hour")
    assert inner[0].moved
    assert not outer.moved
    assert (len(standing()), Finding.objects.count()) == (1, 1)
    assert Cursor.objects.get(name="judge-hour").counts["sum"]["exceeded"] == 1


def test_a_failure_while_writing_leaves_nothing_behind(city: City, monkeypatch):
    city.send(hour(0), OVER)

    def fails(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(episodes, "record", fails)
        with pytest.raises(OSError, match="disk full"):
            city.judge()
    assert not Exceedance.objects.exists()
    assert not Finding.objects.exists()
    assert city.judge().exceeded == 1


def test_many_exceedances_fit_into_evidence_entries(city: City):
    for n in range(200):
        city.send(hour(n), OVER, take=False)
    city.take()
    city.judge()
    entries = EvidenceEntry.objects.filter(kind="exceedances")
    sizes = [len(json.loads(e.content)["content"]["exceedances"]) for e in entries]
    assert sum(sizes) == 200
    assert all(e.evidence_id for e in standing())


@pytest.mark.django_db(transaction=True)
def test_many_judges_in_threads_make_one_finding(city: City):
    for n in range(12):
        city.send(hour(n), OVER)

    def work() -> list[services.Report]:
        return [services.judge(NOW, "hour", limit=2) for _ in range(30)]

    results = together(*[work] * 4)
    assert all(isinstance(r, list) for r in results), results
    done = [report for reports in results for report in reports]
    assert sum(r.exceeded for r in done) == 12
    assert sum(r.findings for r in done) == 1
    assert (len(standing()), Finding.objects.count()) == (12, 1)
    assert Finding.objects.get().facts["hours"] == 12
    assert Cursor.objects.get(name="judge-hour").counts["sum"]["exceeded"] == 12
