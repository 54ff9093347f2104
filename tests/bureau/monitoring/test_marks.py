"""Marks of enterprises, accounts and temperatures of furnaces, inquiries, the bulletin."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import translation

from jingwei.analysis.compliance import Reason
from jingwei.analysis.incineration import Duty
from jingwei.analysis.validity import Fault
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import said_digest
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring import belied, bulletin, declare, furnaces, marking, unexcused
from jingwei.bureau.monitoring.models import Exceedance, Furnace, FurnaceDay, Inquiry, Judgement
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.monitoring.verdicts import of_hours
from jingwei.bureau.registry.models import Enterprise, PermitLimit

from .conftest import NOW, City, hour, limit, make_user

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}
USCC = "911100000000000001"


@pytest.fixture
def enterprise(city: City):
    return make_user("enterprise", enterprise=USCC)


@pytest.fixture
def furnace(city: City) -> Furnace:
    Enterprise.objects.update(industry="incineration")
    PermitLimit.objects.all().delete()
    limit(city.outlet, city.permit, value="100", reference_o2=11.0)
    limit(city.outlet, city.permit, value="80", period="day", reference_o2=11.0)
    return Furnace.objects.create(
        outlet=city.outlet, point=city.point, name="1号炉", middle=["m1", "m2", "m3"], upper=["u1"]
    )


def mark(user, city: City, sort: str, start: datetime, end: datetime, **more):
    given = {"outlet": city.outlet, "note": "原因", "now": start + timedelta(minutes=30)} | more
    return declare.set_mark(user, sort=sort, start=start, end=end, **given)


def heat(city: City, start: datetime, values: list[float]) -> None:
    for n, value in enumerate(values):
        cells = {"m1": value, "m2": value + 2, "m3": 9999.0 * (n % 2), "u1": value}
        city.send(start + timedelta(minutes=5 * n), cells, resolution="minute", take=False)
    city.take()


# Marks ------------------------------------------------------------------------------------------


def test_a_device_mark_in_time_takes_the_exceedance_away_and_its_withdrawal_brings_it_back(
    city: City, enterprise
):
    city.send(hour(2), OVER)
    city.catch_up()
    assert Exceedance.objects.filter(withdrawn="").count() == 1
    made = mark(enterprise, city, "device_upkeep", hour(2), hour(1))
    city.catch_up()
    assert Exceedance.objects.get().withdrawn == "mark"
    row = Judgement.objects.get(stands=True, period="hour")
    assert row.factors["a21002"]["by"] == made.pk
    declare.withdraw(enterprise, made, NOW)
    city.catch_up()
    assert Exceedance.objects.filter(withdrawn="").count() == 1
    entries = EvidenceEntry.objects.filter(kind="mark")
    assert len(entries) == 2
    for entry in entries:
        assert "原因" not in entry.content
        told = json.loads(entry.content)["content"]["said"]
        assert told == said_digest({"note": made.note}, entry.salt)


def test_a_mark_after_noon_of_the_next_day_has_no_effect(city: City, enterprise):
    city.send(hour(30), OVER)  # the 19th, 05:00 in Beijing
    late = datetime(2026, 11, 20, 4, 1, tzinfo=UTC)  # 12:01 of the 20th
    mark(enterprise, city, "device_fault", hour(30), hour(29), now=late)
    city.catch_up()
    assert Exceedance.objects.filter(withdrawn="").count() == 1
    mark(enterprise, city, "device_fault", hour(30), hour(29), now=late - timedelta(minutes=1))
    city.catch_up()
    assert not Exceedance.objects.filter(withdrawn="").exists()


def test_a_start_up_window_exempts_its_factors_for_its_hours(city: City, enterprise):
    for n in range(8):
        city.send(hour(n), {"a21002": 90.0 + n, "a19001": 12.0})
    mark(enterprise, city, "cold_start", hour(7), hour(0))  # thermal power: NOx, four hours
    city.catch_up()
    standing = {e.time for e in Exceedance.objects.filter(withdrawn="")}
    assert standing == {hour(n) for n in range(4)}
    mark(enterprise, city, "cold_start", hour(7), hour(0), facilities=False)
    city.catch_up()
    assert {e.time for e in Exceedance.objects.filter(withdrawn="")} == standing


def test_M22_10(city: City, enterprise):
    """In force for waste incineration, thermal power, cement, paper: there a device mark excuses,
    elsewhere the exceedance stands."""
    Enterprise.objects.update(industry="chemicals")
    city.send(hour(2), OVER)
    made = mark(enterprise, city, "device_upkeep", hour(2), hour(1))
    city.catch_up()
    assert Exceedance.objects.get().withdrawn == ""
    assert "by" not in Judgement.objects.get(stands=True, period="hour").factors["a21002"]
    Enterprise.objects.update(industry="paper")
    declare.withdraw(enterprise, made, NOW)
    mark(enterprise, city, "device_upkeep", hour(2), hour(1))
    city.catch_up()
    assert Exceedance.objects.get().withdrawn == "mark"


@pytest.mark.parametrize(
    ("industry", "facility", "day", "binds"),
    [
        ("paper", "", date(2023, 1, 1), True),
        ("paper", "", date(2022, 12, 31), False),
        ("heating", "", date(2026, 1, 1), False),
        ("chemicals", "", date(2026, 1, 1), False),
        ("chemicals", "power_unit", date(2026, 1, 1), True),  # its own power station
        ("thermal_power", "boiler", date(2026, 1, 1), True),
        ("other", "", date(2026, 1, 1), False),
    ],
)
def test_for_whom_the_announcement_is_in_force(city: City, industry, facility, day, binds):
    city.outlet.enterprise.industry, city.outlet.facility = industry, facility
    assert marking.binds(city.outlet, day) is binds


@pytest.mark.parametrize(
    ("industry", "facility", "sort", "exempt"),
    [
        ("steel", "", "cold_start", 0),  # a converter is no sintering machine
        ("steel", "sinter", "cold_start", 8),
        ("steel", "boiler", "cold_start", 4),
        ("heating", "", "warm_start", 2),
        ("heating", "", "shutdown", 1),
        ("ceramics", "", "shutdown", 2),
        ("ceramics", "", "cold_start", 4),
        ("thermal_power", "", "cold_start", 4),
        ("thermal_power", "other", "cold_start", 0),
        ("paper", "", "cold_start", 0),  # bound by the announcement, but no window is known
    ],
)
def test_the_window_is_that_of_the_facility(
    city: City, enterprise, industry, facility, sort, exempt
):
    """EX-boiler, EX-sinter, EX-ceramic, EX-power: NOx over ten hours of one phase, by hand."""
    Enterprise.objects.update(industry=industry)
    city.outlet.facility = facility
    city.outlet.save()
    for n in range(10):
        city.send(hour(n), {"a21002": 90.0 + n, "a19001": 12.0}, take=False)
    city.take()
    mark(enterprise, city, sort, hour(9), NOW)
    city.catch_up()
    assert Exceedance.objects.filter(withdrawn="").count() == 10 - exempt


def test_only_ceramic_kilns_are_free_of_all_factors(city: City):
    boiler, kiln = (marking.marks.window(x, "cold_start") for x in ("boiler", "ceramic"))
    assert boiler is not None
    assert kiln is not None
    assert (boiler.factors, kiln.factors) == (("a21002",), ())
    assert {w.verified for w in marking.marks.windows()} == {"secondary"}


@pytest.mark.parametrize(
    ("sort", "more"),
    [
        ("device_fault", {"note": " "}),
        ("bake", {}),
        ("device_upkeep", {"end": hour(3)}),
        ("device_upkeep", {"end": hour(2) + timedelta(days=500)}),
        ("device_upkeep", {"start": NOW + timedelta(days=3), "end": NOW + timedelta(days=4)}),
    ],
)
def test_marks_that_cannot_be_are_refused(city: City, enterprise, sort, more):
    given = {"start": hour(2), "end": hour(1), "now": NOW} | more
    with pytest.raises(Refused):
        mark(enterprise, city, sort, **given)


def test_nobody_marks_for_an_enterprise(city: City):
    for user in (make_user("dispatcher"), make_user("enterprise", enterprise="911100000000000002")):
        with pytest.raises(Refused):
            mark(user, city, "device_upkeep", hour(2), hour(1))


def test_R820_25(city: City):
    """A false mark of the facility's condition is looked for: a standstill that the flue gas belies."""
    day = datetime(2026, 11, 18, 16, tzinfo=UTC)
    for n in range(6):
        running = {
            "a01011": 9.0 + n,
            "a01012": 120.0 + n,
            "a00000": 30.0 + n,
            "a19001": 8.0 + n / 9,
        }
        city.send(
            day + timedelta(hours=n), {**running, "a21002": (40.0 + n, "F")}, take=False
        )  # fmt: skip
    city.take()
    city.catch_up()
    assert belied.examine(NOW) == 1
    finding = Finding.objects.get(kind=Kind.FALSIFICATION)
    assert (finding.facts["rule"], finding.facts["hours"]) == ("A18-13", 6)
    assert belied.examine(NOW) == 0


# Furnaces ---------------------------------------------------------------------------------------


def test_six_periods_below_850_are_a_violation_and_a_mark_takes_them_out(
    city: City, furnace, enterprise
):
    heat(city, hour(2), [900.0] * 5 + [840.0] * 6)
    city.catch_up()
    day = FurnaceDay.objects.get()
    assert (day.periods, day.below, day.marked) == (11, 6, 0)
    assert day.lowest == pytest.approx(840.0)  # the mean of the medians of both sections
    finding = Finding.objects.get(episode__startswith="furnace/")
    assert finding.facts["periods"] == 6
    mark(enterprise, city, "temperature", hour(2) + timedelta(minutes=25), hour(1), furnace=furnace)
    city.catch_up()
    day.refresh_from_db()
    finding.refresh_from_db()
    assert (day.below, day.marked, finding.facts["periods"]) == (0, 6, 0)


def test_a_mark_that_the_furnace_belies_is_a_finding(city: City, furnace, enterprise):
    heat(city, hour(2), [900.0] * 12)
    city.send(hour(2), {"a21002": 30.0, "a19001": 9.0})
    mark(enterprise, city, "idle", hour(2), hour(1), furnace=furnace)
    city.catch_up()
    found = Finding.objects.get(kind=Kind.FALSIFICATION)
    assert (found.facts["problem"], found.facts["lowest"]) == ("oxygen", 9.0)
    assert "停运" in found.title


def test_exempt_hours_are_booked_by_their_particles(city: City, furnace, enterprise):
    city.send(hour(3), {"a21002": 150.0, "a19001": 11.0, "a34013": 20.0})
    city.send(hour(2), {"a21002": 160.0, "a19001": 11.0, "a34013": 200.0})  # too dusty
    city.catch_up()
    assert Exceedance.objects.filter(withdrawn="").count() == 2
    mark(enterprise, city, "start", hour(3), hour(1), furnace=furnace)
    city.catch_up()
    assert {e.time for e in Exceedance.objects.filter(withdrawn="")} == {hour(2)}
    assert Exceedance.objects.get(time=hour(3)).withdrawn == "exempt"
    assert marking.account(furnace, NOW, NOW).accounts.start_stop.tolist() == [1, 1]
    city.send(hour(2), {"a34013": 100.0})  # corrected: now it is exempt too
    city.catch_up()
    assert not Exceedance.objects.filter(withdrawn="").exists()


def test_an_inquiry_goes_from_found_to_ordered_to_answered(city: City, furnace, enterprise):
    found = hour(1) + timedelta(hours=1)
    city.send(hour(1), {"a21002": 150.0, "a19001": 11.0})
    city.send(hour(0), {"a21002": 0.0, "a19001": 11.5})
    city.catch_up()
    row = Inquiry.objects.get(time=hour(1))
    assert (row.why, row.found) == ("exceeded", found)
    assert Inquiry.objects.get(time=hour(0)).why == "zero"
    assert furnaces.standing(row, found + timedelta(minutes=59))[0] == Duty.WAITING
    assert furnaces.follow(found + timedelta(minutes=61)) == 1
    row.refresh_from_db()
    assert furnaces.standing(row, NOW)[0] == Duty.ORDERED
    declare.answer(enterprise, row, "已核实，数据属实", found + timedelta(hours=5))
    entry = EvidenceEntry.objects.get(subject=f"inquiry:{row.pk}")
    assert "已核实" not in entry.content
    told = json.loads(entry.content)["content"]["said"]
    assert told == said_digest({"answer": "已核实，数据属实"}, entry.salt)
    row.refresh_from_db()
    assert furnaces.standing(row, NOW + timedelta(days=1))[0] == Duty.ANSWERED
    with pytest.raises(Refused):
        declare.answer(enterprise, row, "再次", NOW)
    city.send(hour(0), {"a21002": 20.0, "a19001": 11.5})  # the zero is corrected
    city.catch_up()
    assert Inquiry.objects.get(time=hour(0)).void


# Pages ------------------------------------------------------------------------------------------


@pytest.fixture
def in_english(client):
    client.cookies["django_language"] = "en"
    with translation.override("en"):
        yield client


def test_the_enterprise_marks_on_its_page(in_english, city: City, furnace, enterprise):
    client = in_english
    client.force_login(enterprise)
    page = reverse("monitoring:mark_new")
    now = datetime.now(UTC)
    local = (now + timedelta(hours=8)).replace(tzinfo=None)
    values = {
        "place": f"f{furnace.pk}", "sort": "maintenance", "note": "",
        "start": f"{local - timedelta(hours=2):%Y-%m-%dT%H:%M}", "end": f"{local:%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    answer = client.post(page, values)
    assert "needs its cause" in answer.content.decode()
    assert client.post(page, values | {"note": "zero and span"}).status_code == 302
    shown = client.get(furnace.get_absolute_url()).content.decode()
    assert "zero and span" in shown
    assert "CEMS maintenance" in shown
    pk = furnace.marks.get().pk
    client.post(reverse("monitoring:mark_withdraw", args=[pk]))
    assert furnace.marks.get().withdrawn
    assert "withdrawn" in client.get(reverse("monitoring:marks")).content.decode()
    client.force_login(make_user("enterprise", enterprise="911100000000000002"))
    assert client.get(furnace.get_absolute_url()).status_code == 404
    assert client.post(reverse("monitoring:mark_withdraw", args=[pk])).status_code == 404


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_no_bulletin_where_dates_end(client, city: City, day: str):
    client.force_login(make_user("dispatcher"))
    page = client.get("/monitoring/bulletin/", {"day": day})
    assert page.status_code == 200
    assert page.context["form"].errors["day"]
    assert page.context["found"].first.year in range(2020, 2190)  # yesterday instead


def test_the_bulletin_counts_by_district(in_english, city: City):
    client = in_english
    day = datetime(2026, 11, 18, 16, tzinfo=UTC)
    for n in range(24):
        city.send(
            day + timedelta(hours=n),
            {"a21002": 90.0 + n if n < 3 else 20.0 + n, "a19001": 12.0 + n / 99},
            take=False,
        )
    city.take()
    city.catch_up()
    first = (day + timedelta(hours=8)).date()
    found = bulletin.make(make_user("dispatcher"), first, first, "110108")
    (line,) = found.regions
    assert (line.hours, line.days, len(line.enterprises), line.points) == (3, 0, 1, 1)
    assert line.rates.effective == 1.0
    assert not bulletin.make(make_user("district", "110105"), first, first).regions
    client.force_login(make_user("auditor"))
    for span in ("day", "month"):
        page = client.get(
            reverse("monitoring:bulletin") + f"?day={first}&span={span}&region=110108"
        )
        assert "Haidian" in page.content.decode()
        assert "153" in page.content.decode()
    answer = client.get(reverse("monitoring:bulletin_csv") + f"?day={first}")
    rows = list(csv.reader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert rows[1][0] == "Haidian"
    assert (rows[1][9], rows[1][10]) == ("0", "3")
    assert (
        client.get(reverse("monitoring:bulletin") + "?day=x&span=y&region=%00").status_code == 200
    )


def test_a_value_shows_what_was_judged_when(in_english, city: City):
    client = in_english
    client.force_login(make_user("dispatcher"))
    city.send(hour(1), OVER)
    city.catch_up()
    city.send(hour(1), {"a21002": (90.0, "C"), "a19001": 12.0})
    city.catch_up()
    page = client.get(
        reverse("monitoring:value", args=[city.point.mn, city.point.st])
        + f"?factor=a21002&resolution=hour&time={int(hour(1).timestamp())}"
    ).content.decode()
    assert "History of judgements" in page
    assert "marked as abnormal" in page
    assert "Exceeds the limit (150)" in page


# Data missing or invalid without an excuse (Order 10 art. 12) -----------------------------------

FIVE = {
    "a34013": 5.0,
    "a21002": 90.0,
    "a21026": 20.0,
    "a21024": 10.0,
    "a21005": 30.0,
    "a19001": 11.0,
}


@pytest.fixture
def whole_day(city: City, furnace: Furnace) -> datetime:
    """A local day of five pollutants with hour 3 missing, hour 5 marked as a fault by the device,
    and hour 7 as calibration."""
    city.point.factors = list(FIVE)
    city.point.save()
    start = day_start(local_day(NOW)) - timedelta(days=1)
    for n in range(24):
        if n != 3:
            mark = {5: "D", 7: "C"}.get(n, "N")
            values = FIVE | {"a21002": (90.0 + n, mark)}
            city.send(start + timedelta(hours=n), values, take=False)
    city.take()
    return start


def test_hours_without_valid_data_are_a_finding_once_marks_are_due(
    city: City, furnace, enterprise, whole_day
):
    early = whole_day + timedelta(days=1, hours=11)
    city.catch_up(early)
    day = FurnaceDay.objects.get(day=local_day(whole_day))
    assert (day.unexcused, day.missing) == (
        2,
        {"missing": 1, "mark": 1, "maintenance": 1},
    )
    assert not Finding.objects.filter(episode__startswith="unexcused/").exists()
    unexcused.look(NOW)  # 12:30: marks of yesterday are no longer due
    city.catch_up(NOW)
    finding = Finding.objects.get(episode__startswith="unexcused/")
    assert (finding.kind, finding.facts["hours"]) == ("offline", 2)
    assert (finding.began, finding.ended) == (
        whole_day + timedelta(hours=3), whole_day + timedelta(hours=6)
    )  # fmt: skip
    assert unexcused.look(NOW) == 0
    city.send(whole_day + timedelta(hours=3), FIVE)
    city.catch_up(NOW)
    finding.refresh_from_db()
    assert finding.facts["hours"] == 1


def test_maintenance_in_time_and_a_standstill_excuse(city: City, furnace, enterprise, whole_day):
    hours = {n: whole_day + timedelta(hours=n) for n in (3, 4, 5, 6)}
    mark(enterprise, city, "maintenance", hours[3], hours[4], furnace=furnace, note="检修",
         now=hours[4])  # fmt: skip
    mark(enterprise, city, "idle", hours[5], hours[6], furnace=furnace, now=hours[6])
    city.catch_up()
    books = marking.account(furnace, NOW, NOW)
    assert unexcused.used(furnace, whole_day, books) == 1
    assert unexcused.used(furnace, whole_day + timedelta(days=1), books) == 2  # and the device's
    unexcused.look(NOW)
    city.catch_up()
    assert not FurnaceDay.objects.filter(unexcused__gt=0).exists()
    assert not Finding.objects.filter(episode__startswith="unexcused/").exists()


def test_the_devices_own_marks_excuse_within_the_hours_of_the_quarter(
    city: City, furnace, enterprise, whole_day
):
    FurnaceDay.objects.create(
        furnace=furnace, day=local_day(whole_day) - timedelta(days=5), periods=0, below=0, marked=0,
        missing={"maintenance": 30},
    )  # fmt: skip
    city.catch_up()
    assert FurnaceDay.objects.get(day=local_day(whole_day)).unexcused == 3


def test_an_hour_that_is_judged_before_it_is_due_does_not_count(city: City, furnace, whole_day):
    """A quarter past ten the hour from nine is judged, but may still be completed."""
    city.catch_up()
    now = whole_day + timedelta(hours=10, minutes=15)
    found, _device = unexcused.hours(furnace, whole_day, now)
    assert sorted(found) == [(whole_day + timedelta(hours=n)).timestamp() for n in (3, 5)]


def test_values_that_do_not_move_are_not_missing(city: City, furnace, enterprise, whole_day):
    for n in range(10, 14):
        city.send(whole_day + timedelta(hours=n), FIVE | {"a21026": 20.0}, breath=False)
    city.catch_up()
    flat = Judgement.objects.get(time=whole_day + timedelta(hours=12), period="hour", stands=True)
    assert flat.factors["a21026"]["fault"] == Fault.FLAT
    day = FurnaceDay.objects.get(day=local_day(whole_day))
    assert (day.unexcused, day.missing) == (2, {"missing": 1, "mark": 1, "maintenance": 1})


@pytest.mark.parametrize(
    ("value", "free", "why"), [(90.0, 70.0, Reason.EXEMPT), (90.0, 85.0, 0), (70.0, 60.0, 0)]
)
def test_exempt_hours_alone_over_a_limit_in_another_unit(value: float, free: float, why: int):
    row = PermitLimit(value=Decimal(80_000), unit="µg/m³", factor="a21002")
    assert of_hours({"value": value, "free": free}, row, "mg/m³") == (value, why)
