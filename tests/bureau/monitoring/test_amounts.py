"""Daily masses from hourly data, and what of the permitted amounts is used up."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from jingwei.analysis import validity
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import amounts
from jingwei.bureau.monitoring.models import EmissionDay, Judgement, Mark
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry.models import Outlet, PermitAmount, Point

from .conftest import NOW, City, hour, make_point

AIR = {"a21002": 50.0, "a00000": 10.0, "a19001": 12.0}  # 50 mg/m³ at 10 m³/s: 1.8 kg/h
KG = 50 * 36_000 * 1e-6


def permitted(city: City, value: str, period: str = "year", **more) -> PermitAmount:
    given = {
        "permit": city.permit, "outlet": city.outlet, "factor": "a21002", "period": period,
        "value": Decimal(value), "unit": "kg/h" if period == "rate" else "kg", "source": "permit",
        "verified": "verified", "valid_from": date(2025, 1, 1),
    }  # fmt: skip
    return PermitAmount.objects.create(**(given | more))


def send(city: City, *numbers: int, values=AIR) -> None:
    for n in numbers:
        city.send(hour(n), values, take=False)
    city.take()


def refresh(city: City, now=NOW) -> int:
    city.judge(now=now)
    return amounts.refresh(now)


def row(day: date = date(2026, 11, 20), factor: str = "a21002") -> EmissionDay:
    return EmissionDay.objects.get(day=day, factor=factor)


@pytest.mark.django_db
def test_a_day_is_the_sum_of_its_hours(city: City):
    send(city, *range(6))
    assert refresh(city) > 0
    found = row()
    assert found.kg == pytest.approx(6 * KG)
    assert (found.hours, found.valid, found.substituted, found.without) == (6, 6, 0, 0)
    assert found.mean == pytest.approx(50)
    assert found.peak == pytest.approx(KG)
    assert not EmissionDay.objects.filter(factor__in=("a00000", "a19001")).exists()
    assert refresh(city) == 0


@pytest.mark.django_db
def test_invalid_hours_are_filled_for_the_mass_and_counted_by_rule(city: City):
    send(city, *(n for n in range(40) if n not in (3, 4)))
    city.send(hour(3), {"a21002": (900.0, "D"), "a00000": 10.0})
    city.send(hour(20), AIR | {"a21002": 80.0})
    refresh(city)
    found = row()
    assert (found.valid, found.rules) == (10, {"S-75-inv90": 2})
    # the largest of the valid hours before the gap, not the marked 900
    assert found.substituted == pytest.approx(2 * KG * 80 / 50)
    assert found.kg == pytest.approx(10 * KG + found.substituted)


@pytest.mark.django_db
def test_below_three_quarters_nothing_stands_in_and_a_late_hour_mends_it(city: City):
    send(city, 0, 5)
    refresh(city)
    found = row()
    assert (found.valid, found.without, found.substituted) == (2, 4, 0)
    send(city, 1, 2, 3)
    refresh(city)
    found = row()
    assert (found.valid, found.without) == (5, 0)
    assert found.rules == {"S-75-inv75": 1}


@pytest.mark.django_db
def test_a_source_that_stands_still_emits_nothing(city: City):
    send(city, 0, 1, 5)
    for n in (2, 3, 4):
        city.send(hour(n), {"a21002": (3.0, "F"), "a00000": (0.0, "F")})
    refresh(city)
    found = row()
    assert (found.stopped, found.valid, found.without) == (3, 3, 0)
    assert found.kg == pytest.approx(3 * KG)
    # out of service, but gas flows: the instrument stands, not the plant
    city.send(hour(3), {"a21002": (3.0, "F"), "a00000": (10.0, "F")})
    refresh(city)
    assert row().stopped == 2


@pytest.mark.django_db
def test_what_was_judged_invalid_is_filled_though_no_telegram_came(city: City):
    send(city, *range(40))
    refresh(city)
    assert row().valid == 12
    Judgement.objects.filter(time=hour(2)).update(stands=False)
    Judgement.objects.create(
        point=city.point, period="hour", time=hour(2), judged=NOW, telegrams="1",
        factors={"a21002": {"value": 50.0, "mark": "N", "fault": 32}},
    )  # fmt: skip
    refresh(city)
    assert (row().valid, row().rules) == (11, {"S-75-inv90": 1})
    assert refresh(city) == 0


@pytest.mark.django_db
def test_an_hour_made_from_minutes_weighs_as_it_was_judged(city: City):
    for minute in range(60):
        city.send(hour(2) + timedelta(minutes=minute), AIR, resolution="minute", take=False)
    city.take()
    city.catch_up()
    assert amounts.refresh(NOW) > 0
    assert (row().valid, row().kg) == (1, pytest.approx(KG))


@pytest.mark.django_db
def test_hours_marked_as_out_of_operation_weigh_nothing_unless_measured(city: City):
    send(city, *(n for n in range(40) if n not in (3, 4)))
    Mark.objects.create(outlet=city.outlet, sort="standstill", start=hour(4), end=hour(1), at=NOW)
    refresh(city)
    found = row()
    assert (found.valid, found.stopped, found.substituted) == (10, 2, 0)


@pytest.mark.django_db
def test_wastewater_takes_litres_a_second(city: City):
    city.outlet.medium = "water"
    city.outlet.save()
    point = make_point(city.outlet, city.region, 2, st="32", factors=["w01018", "w00000"])
    for n in range(4):
        city.send(hour(n), {"w01018": 30.0, "w00000": 100.0}, point=point, take=False)
    city.take()
    refresh(city)
    assert row(factor="w01018").kg == pytest.approx(4 * 30 * 360 * 1e-3)


@pytest.mark.django_db
def test_a_measured_flow_counts_though_the_concentration_is_marked(city: City):
    city.outlet.medium = "water"
    city.outlet.save()
    point = make_point(city.outlet, city.region, 2, st="32", factors=["w01018", "w00000"])
    given = [(30.0, "N", 100.0), (30.0, "N", 100.0), (900.0, "D", 10.0), (30.0, "N", 100.0)]
    for n, (mg, mark, flow) in enumerate(reversed(given)):
        city.send(hour(n), {"w01018": (mg, mark), "w00000": flow}, point=point, take=False)
    city.take()
    refresh(city)
    found = row(factor="w01018")
    # 3 h · 30 mg/L · 360 m³/h and 1 h · 30 mg/L (S-356) · the measured 36 m³/h
    assert found.kg == pytest.approx(3 * 10.8 + 1.08)
    assert (found.valid, found.rules, found.mean) == (3, {"S-356": 1}, pytest.approx(30))
    assert found.substituted == pytest.approx(1.08)


@pytest.mark.django_db
def test_a_point_that_fell_silent_is_counted_on(city: City):
    send(city, *range(48, 72))
    refresh(city, NOW - timedelta(hours=48))
    refresh(city)
    yesterday = row(date(2026, 11, 19))
    assert (yesterday.hours, yesterday.valid, yesterday.without) == (24, 0, 24)


@pytest.mark.django_db
def test_a_yearly_amount_over_the_permitted_one_is_one_finding(city: City):
    over = permitted(city, "20")
    whole = permitted(city, "50000", outlet=None)
    send(city, *range(12, 72))
    refresh(city)
    finding = Finding.objects.get()
    assert "年许可排放量" in finding.title
    assert finding.facts["emitted"] > 20
    assert finding.evidence is not None
    first, second = amounts.lines([over, whole], 2026, date(2026, 11, 20))
    assert (first.state, second.state) == ("over", "within")
    assert first.so_far == second.so_far == pytest.approx(finding.facts["emitted"])
    send(city, *range(11))
    refresh(city)
    assert Finding.objects.count() == 1


@pytest.mark.django_db
def test_months_and_rates_over_are_findings_of_their_own(city: City):
    permitted(city, "50", "month")
    permitted(city, "2.5", "rate")
    send(city, *range(12, 72))
    city.send(hour(30), AIR | {"a21002": 80.0})
    refresh(city)
    titles = sorted(f.title for f in Finding.objects.filter(episode__startswith="amount/"))
    assert len(titles) == 2
    assert any("2026-11" in t and "月许可排放量" in t for t in titles)
    assert any("2026-11-19" in t or "2026-11-18" in t for t in titles)
    assert not any("2026-11-17" in t for t in titles)


@pytest.mark.django_db
def test_amounts_are_judged_in_the_unit_of_the_permit(city: City):
    tonnes = permitted(city, "0.02", unit="t")
    send(city, *range(24, 72))
    refresh(city)
    (line,) = amounts.lines([tonnes], 2026, date(2026, 11, 20))
    assert line.permitted == pytest.approx(20)
    assert line.state == "over"
    assert line.year is not None
    assert line.year.projected > line.so_far


@pytest.mark.django_db
def test_no_data_is_no_verdict(city: City):
    (line,) = amounts.lines([permitted(city, "20")], 2026, date(2026, 11, 20))
    assert (line.state, line.known, line.so_far) == ("none", 0, 0)
    (line,) = amounts.lines([permitted(city, "0", factor="a21026")], 2026, date(2026, 1, 1))
    assert line.share is None


@pytest.mark.django_db
def test_a_day_of_which_nothing_is_known_is_no_day_without_emission(city: City):
    """24 kg on one day and nothing known of the next: a pace of 24 kg a day, not of 12."""
    for n, (kg, valid) in enumerate([(24.0, 24), (0.0, 0)]):
        EmissionDay.objects.create(
            point=city.point, factor="a21002", day=date(2026, 11, 18 + n), kg=kg, substituted=0,
            hours=24, valid=valid, stopped=0, without=24 - valid, rules={},
        )  # fmt: skip
    (line,) = amounts.lines([permitted(city, "100")], 2026, date(2026, 11, 20))
    assert (line.known, line.so_far, line.state) == (1, 24, "ahead")
    assert line.year is not None
    assert line.year.projected == pytest.approx(24 * 365)
    assert line.year.used_up == date(2026, 1, 5)  # were the days without data like the others
    assert amounts.used_up(line) is None  # 24 of 100 kg: no day gone by used it up
    EmissionDay.objects.filter(valid=0).update(stopped=24, without=0)  # standing still is known
    (line,) = amounts.lines([line.amount], 2026, date(2026, 11, 20))
    assert (line.known, line.year and line.year.projected) == (2, pytest.approx(12 * 365))


@pytest.mark.django_db
def test_what_is_missing_of_a_day_counts_with_the_mean_pace(city: City):
    """24 kg on a whole day and 6 kg in the 6 hours that are known of the next: a pace of 24 kg."""
    for n, (kg, valid) in enumerate([(24.0, 24), (6.0, 6)]):
        EmissionDay.objects.create(
            point=city.point, factor="a21002", day=date(2026, 11, 18 + n), kg=kg, substituted=0,
            hours=24, valid=valid, stopped=0, without=24 - valid, rules={},
        )  # fmt: skip
    (line,) = amounts.lines([permitted(city, "100")], 2026, date(2026, 11, 20))
    assert line.year is not None
    assert (line.known, line.so_far, line.year.covered) == (2, 30, 1.25)
    assert line.year.projected == pytest.approx(24 * 365)
    EmissionDay.objects.filter(valid=6).update(hours=6, without=0)  # its first day: from 18:00 on
    (line,) = amounts.lines([line.amount], 2026, date(2026, 11, 20))
    assert line.year is not None
    assert line.year.projected == pytest.approx(24 * 365)


@pytest.mark.django_db
def test_an_outlet_of_which_nothing_is_known_leaves_the_day_of_the_enterprise_in_part(city: City):
    """Two outlets of 12 kg a day each; of the second nothing is known of the second day."""
    other = Outlet.objects.create(
        enterprise=city.outlet.enterprise, code="DA002", name="2", medium="air", longitude=116.4,
        latitude=39.9,
    )  # fmt: skip
    second = make_point(other, city.region, 7)
    for day in (18, 19):
        for point in (city.point, second):
            known = point == city.point or day == 18
            EmissionDay.objects.create(
                point=point, factor="a21002", day=date(2026, 11, day), kg=12.0 * known,
                substituted=0, hours=24, valid=24 * known, stopped=0, without=24 * (not known),
                rules={},
            )  # fmt: skip
    whole = permitted(city, "100")
    whole.outlet = None
    whole.save()
    (line,) = amounts.lines([whole], 2026, date(2026, 11, 20))
    assert line.year is not None
    assert (line.so_far, line.year.covered) == (36, 1.5)
    assert line.year.projected == pytest.approx(24 * 365)


@pytest.mark.django_db
def test_points_without_flow_or_outlet_give_no_masses(city: City):
    city.send(hour(0), {"a21002": 50.0})
    make_point(None, city.region, 9, kind=Point.Kind.AIR_STATION)
    refresh(city)
    found = row()
    assert (found.kg, found.without) == (0, 1)


def test_a_quarter_begins_with_its_month():
    assert amounts.quarter_start(date(2026, 11, 20)) == date(2026, 10, 1)


def masses_of(city: City, *days: tuple[date, float], **more: float) -> list[EmissionDay]:
    return [
        EmissionDay.objects.create(
            point=city.point, factor="a21002", day=day, kg=kg, substituted=0, hours=24, valid=24,
            stopped=0, without=0, rules={}, **more,
        )
        for day, kg in days
    ]  # fmt: skip


@pytest.mark.django_db
def test_the_last_day_of_a_year_is_judged_in_the_next(city: City):
    permitted(city, "100", valid_to=date(2026, 12, 31))
    permitted(city, "40", "month")
    mine = [city.outlet.enterprise]
    rows = masses_of(city, (date(2026, 11, 30), 90.0))
    assert amounts.judge(mine, rows, date(2026, 12, 31)) == 1  # November
    rows = masses_of(city, (date(2026, 12, 31), 50.0))
    assert amounts.judge(mine, rows, date(2026, 12, 31)) == 0  # the day is not over
    assert amounts.judge(mine, [], date(2027, 1, 1)) == 2
    found = Finding.objects.get(episode__endswith="/year/2026")
    assert (found.facts["emitted"], found.ended) == (140.0, amounts.day_start(date(2027, 1, 1)))
    assert Finding.objects.filter(episode__endswith="/month/2026-12").exists()
    assert amounts.judge(mine, [], date(2027, 2, 1)) == 0


@pytest.mark.django_db
def test_of_a_year_gone_late_rows_are_judged(city: City):
    permitted(city, "100", valid_to=date(2025, 12, 31))
    rows = masses_of(city, (date(2025, 12, 30), 101.0))
    assert amounts.judge([city.outlet.enterprise], rows, date(2026, 3, 1)) == 1
    assert Finding.objects.get().episode.endswith("/year/2025")


@pytest.mark.django_db
def test_a_rate_on_its_limit_is_no_finding(city: City):
    send(city, *range(13, 16), values={"a21002": 289.6, "a00000": 49.3, "a19001": 12.0})
    permitted(city, "51.398208", "rate")
    refresh(city)
    assert row(date(2026, 11, 19)).peak == 51.398208
    assert not Finding.objects.filter(episode__startswith="amount/").exists()


@pytest.mark.django_db
def test_hours_that_a_mark_exempts_are_no_peak(city: City):
    send(city, *range(13, 20))
    city.send(hour(15), AIR | {"a21002": 80.0})
    permitted(city, "2.5", "rate")
    refresh(city)
    finding = Finding.objects.get(episode__startswith="amount/")
    Judgement.objects.filter(time=hour(15)).update(stands=False)
    one = Judgement.objects.get(time=hour(16), stands=True)
    cell = {"value": 80.0, "exempt": 1}
    Judgement.objects.create(
        **{
            f.attname: getattr(one, f.attname)
            for f in one._meta.concrete_fields
            if not f.primary_key
        }
        | {"time": hour(15), "factors": one.factors | {"a21002": cell}}
    )
    amounts.refresh(NOW)
    found = row(date(2026, 11, 19))
    assert found.peak == pytest.approx(KG)
    assert found.kg == pytest.approx(6 * KG + 80 * 36_000 * 1e-6)
    finding.refresh_from_db()  # told again: what stood against the rate does not
    assert finding.facts["emitted"] == pytest.approx(KG)
    assert "更正" in finding.next_check


@pytest.mark.django_db
@pytest.mark.parametrize("period", ["year", "month"])
def test_a_finding_of_a_sum_that_was_corrected_says_so(city: City, period: str):
    permitted(city, "100", period)
    mine, today = [city.outlet.enterprise], date(2026, 11, 20)
    rows = masses_of(city, (date(2026, 11, 3), 120.0))
    assert amounts.judge(mine, rows, today) == 1
    finding = Finding.objects.get()
    title, check = finding.title, finding.next_check
    EmissionDay.objects.update(kg=80.0)
    assert amounts.judge(mine, rows, today) == 0
    finding.refresh_from_db()
    assert (finding.facts["emitted"], finding.title) == (80.0, title)
    assert finding.next_check != check
    EmissionDay.objects.update(kg=130.0)
    amounts.judge(mine, rows, today)
    finding.refresh_from_db()
    assert (finding.facts["emitted"], finding.next_check, finding.title) == (130.0, check, title)


@pytest.mark.django_db
def test_2160_valid_hours_are_looked_for_beyond_2160_hours(city: City):
    """A plant that stood still from June to August. Before the gap 16 hours of the quarter are valid
    and 720 of September; the other 1424 of the 2160 lie before June. The first of them (80 mg/m³) is
    the highest that counts; the one before it (90) is the 2161st."""
    quarter = day_start(date(2026, 10, 1))
    hours = [quarter - timedelta(hours=n) for n in range(1, 721)]
    spring = day_start(date(2026, 6, 1))
    hours += [spring - timedelta(hours=n) for n in range(1, 1501)]
    high = {spring - timedelta(hours=1424): 80.0, spring - timedelta(hours=1425): 90.0}
    # Of the quarter's first 20 hours the 17th to the 20th are missing: 80 % captured.
    hours += [quarter + timedelta(hours=n) for n in range(16)]
    Judgement.objects.bulk_create(
        Judgement(
            point=city.point, period="hour", time=when, judged=NOW, telegrams="1",
            factors={"a21002": {"value": high.get(when, 50.0)}, "a00000": {"value": 10.0}},
        )
        for when in hours
    )  # fmt: skip
    ((_point, since, one),) = amounts._reckoned(
        [(city.point, quarter)], quarter + timedelta(hours=20)
    )
    assert since == quarter
    gap = one.hours.index(quarter + timedelta(hours=16))
    assert one.made.kg[gap : gap + 4] == pytest.approx([80 * 36_000 * 1e-6] * 4)
    assert [validity.RULES[r] for r in one.made.rule[gap : gap + 4]] == ["S-75-inv75"] * 4
