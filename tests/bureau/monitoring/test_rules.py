"""Rules in the running system, from the telegram to the verdict, each named after its id.

The tests of `tests/analysis` and `tests/standards` hold the formulas; these hold that the system does
what they say (`tests/standards/test_rules.py` asks for both).
"""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from jingwei.analysis.incineration import Duty
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import declare, furnaces, samples
from jingwei.bureau.monitoring.models import Exceedance, Furnace, Inquiry, Judgement
from jingwei.bureau.registry.models import Enterprise, Medium, PermitLimit

from .conftest import NOW, City, hour, limit, make_user

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}  # 150 mg/m³ at 6 % O2, limit 100
MINUTE = timedelta(minutes=1)
DAY = datetime(2026, 11, 18, 16, tzinfo=UTC)  # the 19th in Beijing
DUE = datetime(2026, 11, 20, 4, tzinfo=UTC)  # 12:00 of the 20th


@pytest.fixture
def enterprise(city: City):
    return make_user("enterprise", enterprise="911100000000000001")


@pytest.fixture
def furnace(city: City) -> Furnace:
    """A waste incinerator; the 24-hour limits of GB 18485-2014, at 11 % O2."""
    Enterprise.objects.update(industry="incineration")
    PermitLimit.objects.all().delete()
    for factor, value in FIVE.items():
        limit(city.outlet, city.permit, factor, str(value), period="day", reference_o2=11.0)
    return Furnace.objects.create(
        outlet=city.outlet, point=city.point, name="1号炉", middle=["m1"], upper=["u1"]
    )


FIVE = {"a34013": 20, "a21002": 250, "a21026": 80, "a21024": 50, "a21005": 80}


def cell(when: datetime, factor: str = "a21002", period: str = "hour") -> dict:
    return Judgement.objects.get(time=when, period=period, stands=True).factors[factor]


def stands() -> set[datetime]:
    return {e.time for e in Exceedance.objects.filter(withdrawn="")}


def mark(user, city: City, sort: str, start: datetime, end: datetime, **more):
    given = {"outlet": city.outlet, "note": "原因", "now": start + 30 * MINUTE} | more
    return declare.set_mark(user, sort=sort, start=start, end=end, **given)


# Waste incineration, MEE Order 10 -------------------------------------------------------------------


def test_O10_6(city: City, furnace):
    """The daily mean decides, of any of the five, not the hour: NOx 251 over 250, CO 400 for an hour."""
    for n in range(24):
        values = {"a34013": 19.0, "a21026": 79.0, "a21024": 49.0, "a19001": 11.0}
        # NOx 240 and 262 by turns: 251; CO 400 once and 66 else: (400 + 23 · 66) / 24 = 79.9
        values |= {"a21002": 240.0 + n % 2 * 22, "a21005": 400.0 if n == 5 else 66.0}
        city.send(DAY + timedelta(hours=n), values, take=False)
    city.take()
    city.catch_up()
    (row,) = Exceedance.objects.all()
    assert (row.factor, row.period, row.time) == ("a21002", "day", DAY)
    assert row.value == pytest.approx(251)
    said = {f: v for f in FIVE for v, *_ in cell(DAY, f, "day")["limits"].values()}
    assert said == {"a34013": 1, "a21002": 2, "a21026": 1, "a21024": 1, "a21005": 1}


@pytest.mark.parametrize(
    ("automatic", "sample", "over"), [(50.0, 130.0, True), (90.0, 60.0, False)]
)
def test_O10_8(city: City, dispatcher, automatic: float, sample: float, over: bool):
    """The sample is the evidence, whichever way it disagrees, and one is enough."""
    city.send(hour(2), {"a21002": automatic, "a19001": 12.0})
    city.catch_up()
    assert (hour(2) in stands()) != over
    samples.enter(
        dispatcher, city.point, factor="a21002", period="hour", taken=hour(2) + 20 * MINUTE,
        value=sample, report="环监测字〔2026〕8号", note="现场监测", now=NOW,
    )  # fmt: skip
    city.catch_up()
    assert (hour(2) in stands()) == over
    assert cell(hour(2))["value"] == automatic  # it stays beside it


def test_PEN_mark(city: City, dispatcher):
    """Marked data may establish facts: a start-up hour over the limit keeps value, verdict and mark;
    a sample of another hour does not touch it."""
    user = make_user("enterprise", enterprise="911100000000000001")
    for n in (3, 2):
        city.send(hour(n), OVER)
    mark(user, city, "cold_start", hour(3), hour(2), facilities=False)  # excuses nothing
    samples.enter(
        dispatcher, city.point, factor="a21002", period="hour", taken=hour(2) + 20 * MINUTE,
        value=60.0, report="环监测字〔2026〕9号", note="现场监测", now=NOW,
    )  # fmt: skip
    city.catch_up()
    assert stands() == {hour(3)}
    assert Exceedance.objects.get(time=hour(3)).value == 150.0


# Marks, MEE Announcement 2022-21 ---------------------------------------------------------------------


def test_M22_3(city: City, furnace, enterprise):
    """Who marks within the hour has reported: no order follows; who does not, gets one."""
    limit(city.outlet, city.permit, value="100", reference_o2=11.0)
    for n in (3, 1):
        city.send(hour(n), {"a21002": 150.0 + n, "a19001": 11.0})
    city.catch_up()
    found = hour(3) + timedelta(hours=1)
    mark(
        enterprise, city, "maintenance", hour(3), hour(2), furnace=furnace, now=found + 50 * MINUTE
    )
    furnaces.follow(NOW)
    rows = {r.time: furnaces.standing(r, NOW)[0] for r in Inquiry.objects.filter(void=False)}
    assert rows == {hour(3): Duty.MARKED, hour(1): Duty.ORDERED}


def test_M22_4(city: City, enterprise):
    """A mark of the device makes data invalid, one of the plant's condition does not."""
    for n in (3, 2, 1):
        city.send(hour(n), OVER)
    mark(enterprise, city, "device_fault", hour(3), hour(2))
    mark(enterprise, city, "cold_start", hour(2), hour(1))
    city.catch_up()
    assert Fault(cell(hour(3))["fault"]) == Fault.MARK
    assert cell(hour(2)).get("fault", 0) == 0
    assert "exempt" in cell(hour(2))
    assert stands() == {hour(1)}


@pytest.mark.parametrize(("late", "counts"), [(0, True), (1, False)])
def test_M22_5(city: City, enterprise, late: int, counts: bool):
    city.send(DAY + timedelta(hours=10), OVER)
    start = DAY + timedelta(hours=10)
    now = DUE + timedelta(seconds=late)
    mark(enterprise, city, "device_fault", start, start + timedelta(hours=1), now=now)
    city.catch_up()
    assert stands() == (set() if counts else {start})


@pytest.mark.parametrize(
    ("sort", "met", "hours"),
    [
        ("device_upkeep", True, set()),
        ("cold_start", True, {5, 4}),  # thermal power: four hours from the start
        ("cold_start", False, {9, 8, 7, 6, 5, 4}),  # facilities did not meet the requirements
    ],
)
def test_M22_6(city: City, enterprise, sort: str, met: bool, hours: set[int]):
    """Six hours under a mark: device marks excuse all, condition marks within the limited time."""
    for n in range(9, 3, -1):
        city.send(hour(n), {"a21002": 90.0 + n, "a19001": 12.0})
    mark(enterprise, city, sort, hour(9), hour(3), facilities=met)
    city.catch_up()
    assert stands() == {hour(n) for n in hours}


def test_M22_8(city: City, enterprise, dispatcher, client):
    """Who sees the value sees the mark with it."""
    city.send(hour(2), {"a21002": (90.0, "C"), "a19001": 12.0})
    city.send(hour(1), OVER)
    made = mark(enterprise, city, "device_upkeep", hour(1), hour(0))
    city.catch_up()
    client.force_login(dispatcher)
    args = [city.point.mn, city.point.st]
    for when, words in ((hour(2), "C Calibration"), (hour(1), f"mark {made.pk} of the enterprise")):
        query = {"factor": "a21002", "resolution": "hour", "time": int(when.timestamp())}
        answer = client.get(
            reverse("monitoring:value", args=args), query, headers={"accept-language": "en"}
        )
        assert words in answer.content.decode()


# Validity, HJ 212-2017 App. D -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "hours", "valid"), [(45, 20, True), (44, 20, False), (45, 19, False)]
)
def test_V_air_min(city: City, minutes: int, hours: int, valid: bool):
    """45 minutes make an hour, 20 hours a day. (The 12 values of a minute only the logger sees.)"""
    for k in range(minutes):
        values = {"a21002": 80.0 + k / 100, "a19001": 6.0}
        city.send(DAY + k * MINUTE, values, resolution="minute", take=False)
    for n in range(1, hours):
        city.send(
            DAY + timedelta(hours=n), {"a21002": 80.0 + n, "a19001": 6.0 + n / 100}, take=False
        )
    city.take()
    city.catch_up()
    first = Fault(cell(DAY).get("fault", 0))
    assert first == (Fault.FEW if minutes < 45 else 0)
    assert Fault(cell(DAY, period="day").get("fault", 0)) == (0 if valid else Fault.FEW)
    assert (DAY in {e.time for e in Exceedance.objects.filter(period="day")}) == valid


def ten_minutes(city: City, marks: str) -> None:
    outlet = city.outlet
    outlet.medium = Medium.WATER
    outlet.save()
    city.point.st, city.point.factors = "32", ["w01018", "w00000"]
    city.point.save()
    for n, letter in enumerate(marks):
        values = {"w01018": (10.0 * (n + 1), letter), "w00000": float(n + 1)}
        city.send(hour(1) + 10 * n * MINUTE, values, resolution="minute", take=False)
    city.take()
    city.catch_up()


@pytest.mark.parametrize("n", [1, 6])
def test_V_water(city: City, n: int):
    """One ten-minute value makes an hour; several are weighed by their flow."""
    ten_minutes(city, "N" * n)
    found = cell(hour(1), "w01018")
    assert found.get("fault", 0) == 0
    # (10·1 + 20·2 + … + 60·6) / (1 + … + 6) = 910 / 21
    assert found["value"] == pytest.approx(10.0 if n == 1 else 910 / 21)


@pytest.mark.parametrize(("normal", "letter"), [(60, "N"), (45, "N"), (44, "D"), (1, "D")])
def test_V_flag_air(city: City, normal: int, letter: str):
    for n in range(60):
        values = {"a21002": (90.0, "N" if n < normal else "M"), "a19001": 6.0}
        city.send(hour(1) + n * MINUTE, values, resolution="minute", take=False)
    city.take()
    city.catch_up()
    assert cell(hour(1))["mark"] == letter
    assert bool(cell(hour(1)).get("fault", 0) & Fault.MARK) == (letter == "D")


@pytest.mark.parametrize(("marks", "letter"), [("NNNNNN", "N"), ("NNNNNM", "M"), ("NNDMMN", "M")])
def test_V_flag_water(city: City, marks: str, letter: str):
    ten_minutes(city, marks)
    found = cell(hour(1), "w01018")
    assert found["mark"] == letter
    assert bool(found.get("fault", 0) & Fault.MARK) == (letter != "N")
