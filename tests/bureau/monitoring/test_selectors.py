"""States of points, AQI of stations, key figures, steps and telegrams of a value."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from jingwei.bureau.monitoring import selectors, tasks
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.registry.models import Point

from .conftest import NOW, City, hour, limit, make_enterprise, make_point, make_user

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}
UNDER = {"a21002": 30.0, "a19001": 12.0}


def state(city: City, user, now: datetime = NOW) -> tuple[str, str]:
    (found,) = selectors.point_states(user, now)
    return found.state, found.reason


def test_a_point_without_data_is_offline(city: City, dispatcher):
    assert state(city, dispatcher) == ("offline", "no_data")


@pytest.mark.parametrize(
    ("resolution", "age", "online"),
    [
        ("realtime", timedelta(minutes=10), True),
        ("realtime", timedelta(minutes=10, seconds=1), False),
        ("hour", timedelta(hours=3), True),  # it ended two hours ago
        ("hour", timedelta(hours=3, seconds=1), False),
        ("minute", timedelta(minutes=1), False),
    ],
)
def test_how_long_a_point_counts_as_online(city: City, dispatcher, resolution, age, online):
    city.send(NOW - age, UNDER, resolution=resolution, received=NOW)
    assert state(city, dispatcher) == (("normal", "") if online else ("offline", "silent"))


def test_abnormal_then_watch_then_normal(city: City, dispatcher):
    city.send(hour(0), OVER)  # ends at 12:00
    tasks.tick(NOW)
    end = hour(-1)
    for after, wanted in (
        (timedelta(hours=2), "abnormal"),
        (timedelta(hours=3), "abnormal"),
        (timedelta(hours=3, minutes=1), "watch"),
        (timedelta(hours=24), "watch"),
        (timedelta(hours=24, minutes=1), "normal"),
    ):
        now = end + after
        city.send(now, UNDER, resolution="realtime", received=now)
        assert state(city, dispatcher, now)[0] == wanted, after


def test_a_withdrawn_exceedance_is_not_abnormal(city: City, dispatcher):
    city.send(hour(0), OVER)
    tasks.tick(NOW)
    city.send(hour(0), UNDER)
    tasks.tick(NOW)
    assert state(city, dispatcher) == ("normal", "")


def test_a_marked_value_is_watched(city: City, dispatcher):
    city.send(hour(0), {"a21002": (30.0, "M"), "a19001": 12.0})
    assert state(city, dispatcher) == ("watch", "mark")


def test_the_newest_value_of_each_factor_in_registered_order(city: City, dispatcher):
    city.send(hour(0), UNDER)
    city.send(NOW, {"a19001": 13.0, "a21002": 31.0}, resolution="realtime")
    (found,) = selectors.point_states(dispatcher, NOW)
    assert [(r.factor, r.value) for r in found.latest] == [("a21002", 31.0), ("a19001", 13.0)]


# Stations ---------------------------------------------------------------------------------------

AIR = {
    "a34004": 70.0,  # PM2.5: (70-60)/(115-60)*50+100 = 109.09 -> 110 in the edition of 2026
    "a34002": 100.0,
    "a21026": 10.0,
    "a21004": 40.0,
    "a21005": 0.9,
    "a05024": 100.0,
}


def station(city: City, n: int = 50) -> Point:
    return make_point(
        None,
        city.other,
        n,
        st="22",
        kind=Point.Kind.AIR_STATION,
        name="奥体中心",
        station_code="1011A",
        factors=list(AIR),
    )


def test_station_aqi_by_the_edition_of_the_date(city: City, dispatcher):
    air = station(city)
    city.send(hour(0), AIR, point=air)
    found = next(s for s in selectors.point_states(dispatcher, NOW) if s.point == air)
    assert (found.aqi.value, found.aqi.level, found.aqi.primary, found.aqi.edition) == (
        110,
        3,
        ("pm25",),
        "2026",
    )
    assert found.aqi_time == hour(0)

    old = station(city, 51)
    city.send(datetime(2026, 2, 1, tzinfo=UTC), AIR, point=old)
    found = next(s for s in selectors.point_states(dispatcher, NOW) if s.point == old)
    assert (found.aqi.value, found.aqi.edition) == (94, "2012")  # (70-35)/(75-35)*50+50


def test_a_micro_station_is_for_everybody_but_counts_nowhere(city: City, dispatcher):
    """Indicative: seen by whoever sees the air stations, without an index, judged by nobody and no
    part of the figures of home."""
    before = selectors.key_figures(dispatcher, NOW)
    micro = make_point(
        None, city.other, 60, st="22", kind="micro_station", name="微站一", factors=list(AIR)
    )
    city.send(hour(0), AIR, point=micro)
    found = next(s for s in selectors.point_states(dispatcher, NOW) if s.point == micro)
    assert found.state == "normal"
    assert (found.aqi, found.aqi_time) == (None, None)
    away = make_user("enterprise", enterprise="91110000999999999X")
    assert micro in selectors.points(away)
    assert selectors.key_figures(dispatcher, NOW).total == before.total
    tasks.tick(NOW)
    assert not Judgement.objects.filter(point=micro).exists()
    air = station(city)
    city.send(hour(0), AIR, point=air)
    tasks.tick(NOW)
    assert Judgement.objects.filter(point=air).exists()  # the same hour of a station is


def test_a_marked_or_older_item_is_missing_from_the_index(city: City, dispatcher):
    air = station(city)
    city.send(hour(1), AIR, point=air)
    rest = {**AIR, "a34004": (70.0, "D")}
    del rest["a05024"]
    city.send(hour(0), rest, point=air)
    found = next(s for s in selectors.point_states(dispatcher, NOW) if s.point == air)
    assert found.aqi.value is None
    assert set(found.aqi.missing) == {"pm25", "o3"}


# Who sees what ----------------------------------------------------------------------------------


def test_visible_points(city: City):
    air = station(city)
    _e, _p, outlet = make_enterprise(city.other, 2)
    elsewhere = make_point(outlet, city.other, 2)
    own = city.outlet.enterprise.uscc

    def seen(user) -> set[Point]:
        return {s.point for s in selectors.point_states(user, NOW)}

    assert seen(make_user("dispatcher")) == {city.point, elsewhere, air}
    assert seen(make_user("auditor")) == {city.point, elsewhere, air}
    assert seen(make_user("district", "110108")) == {city.point, air}
    assert seen(make_user("grid", "110105")) == {elsewhere, air}
    assert seen(make_user("enterprise", enterprise=own)) == {city.point, air}
    assert seen(make_user("", name="nobody")) == set()


def test_key_figures(city: City, dispatcher):
    make_point(city.outlet, city.region, 2)
    city.send(hour(13), OVER)  # 22:00 yesterday
    city.send(hour(0), OVER)
    tasks.tick(NOW)
    found = selectors.key_figures(dispatcher, NOW)
    assert (found.online, found.total, found.exceedances) == (1, 2, 1)
    assert found.transmission == pytest.approx(2 / 24)  # 12 due hours today, one came
    station(city)  # in another district: seen by all, counted for those who are in charge of it
    own = make_user("enterprise", enterprise=city.outlet.enterprise.uscc)
    found = selectors.key_figures(own, NOW)
    assert (found.total, found.exceedances) == (2, 1)
    other = selectors.key_figures(make_user("district", "110105"), NOW)
    assert (other.total, other.exceedances, other.transmission) == (1, 0, None)


# One value --------------------------------------------------------------------------------------


def steps(city: City, factor: str = "a21002", when: datetime | None = None):
    moment = when or hour(0)
    factors = selectors.cells(city.point, "hour", moment, NOW)
    if factors is None:
        return None
    return selectors.verdicts_on(city.point, factors, factor, "hour", moment)


def test_the_steps_of_a_value_are_those_that_were_stored(city: City):
    city.send(hour(0), OVER)
    ((row, one),) = steps(city)  # not judged yet: what the judgement would say
    assert (row, one.value, one.verdict.name) == (city.limits["hour"], 150.0, "EXCEEDED")
    city.judge()
    ((_row, again),) = steps(city)
    assert again == one
    city.send(hour(0), UNDER)
    ((_row, still),) = steps(city)
    assert still == one  # what stands is shown until it is judged anew
    city.judge()
    ((_row, one),) = steps(city)
    assert (one.value, one.verdict.name) == (50.0, "WITHIN")
    assert steps(city, when=hour(5)) is None
    assert steps(city, "a19001") == []
    new, old = selectors.judgements(city.point, "hour", hour(0))
    assert (new.stands, old.stands) == (True, False)
    assert old.factors["a21002"]["value"] == 90.0
    assert [len(new.numbers), len(old.numbers)] == [1, 1]
    assert new.numbers != old.numbers


def test_every_reception_with_its_telegram_and_without_the_password(city: City):
    first = city.send(hour(0), OVER)
    second = city.send(hour(0), UNDER)
    found = selectors.receptions(city.point, "a21002", "hour", hour(0))
    assert [r.version.seq for r in found] == [first, second]
    assert [r.version.value for r in found] == [90.0, 30.0]
    assert all("PW=******;" in r.text and "123456" not in r.text for r in found)
    assert "a21002-Avg=90.0" in found[0].text
    assert found[0].peer == "192.0.2.7:4000"


def test_a_telegram_that_the_journal_lost_is_said(city: City):
    city.send(hour(0), OVER)
    city.journal.close()
    for path in city.root.glob("journal/**/*.sqlite*"):
        path.unlink()
    (found,) = selectors.receptions(city.point, "a21002", "hour", hour(0))
    assert not found.found
    assert found.version.value == 90.0


# Series -----------------------------------------------------------------------------------------


def test_a_series_with_conversion_gaps_and_exceedances(city: City):
    city.send(hour(4), OVER)
    city.send(hour(3), {"a21002": (90.0, "C"), "a19001": 12.0})
    city.send(hour(1), UNDER)
    city.send(hour(0), {"a21002": 31.0})
    tasks.tick(NOW)
    found = selectors.series(city.point, "a21002", "hour", hour(4), hour(-1), NOW)
    assert [(r.value, r.converted, r.valid, r.over) for r in found.rows] == [
        (90.0, 150.0, True, True),
        (90.0, None, False, False),
        (30.0, 50.0, True, False),
        (31.0, None, True, False),
    ]
    assert (found.missing, found.unit, found.limits) == (1, "mg/m³", [city.limits["hour"]])


def test_missing_days_are_counted_by_the_calendar(city: City):
    for d in (15, 17):
        city.send(datetime(2026, 11, d, 16, tzinfo=UTC), UNDER, resolution="day")
    start = datetime(2026, 11, 15, 16, tzinfo=UTC)  # the 16th; 16, 17, 18, 19 are over
    found = selectors.series(city.point, "a21002", "day", start, NOW, NOW)
    assert (len(found.rows), found.missing) == (2, 2)


def test_the_limit_shown_is_the_one_at_the_end_of_the_period(city: City):
    city.limits["hour"].valid_to = date(2026, 11, 10)
    city.limits["hour"].save()
    later = limit(city.outlet, city.permit, value="90", valid_from=date(2026, 11, 11))
    found = selectors.series(city.point, "a21002", "hour", hour(24 * 30), NOW, NOW)
    assert found.limits == [later]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1795000000", datetime.fromtimestamp(1795000000, UTC)),
        ("2026-11-20T11:00", hour(0)),
        ("2026-11-20T03:00:00Z", hour(0)),
        ("2026-11-20T03:00:00.250000+00:00", hour(0) + timedelta(milliseconds=250)),
        ("", None),
        ("yesterday", None),
        ("2026-13-40T99:00", None),
        ("99999999999999", None),
        ("0001-01-01T00:00", None),
        ("nan", None),
    ],
)
def test_moments_of_urls(text, wanted):
    assert selectors.parse_moment(text) == wanted


def test_a_value_that_cannot_be_judged_does_not_look_lawful(city: City, dispatcher):
    """The limit asks for conversion to reference oxygen, and no oxygen is reported."""
    city.send(hour(0), {"a21002": 90.0})
    city.judge()
    assert state(city, dispatcher) == ("watch", "no_oxygen")
    found = selectors.series(city.point, "a21002", "hour", hour(3), hour(-1), NOW)
    assert [(r.over, r.unjudged) for r in found.rows] == [(False, True)]
    city.send(hour(0), UNDER)  # the correction brings the oxygen
    city.judge()
    found = selectors.series(city.point, "a21002", "hour", hour(3), hour(-1), NOW)
    assert [(r.over, r.unjudged) for r in found.rows] == [(False, False)]


def test_a_marked_value_is_shown_as_not_judged(city: City):
    city.send(hour(0), {"a21002": (90.0, "C"), "a19001": 12.0})
    found = selectors.series(city.point, "a21002", "hour", hour(3), hour(-1), NOW)
    assert [(r.valid, r.unjudged) for r in found.rows] == [(False, True)]
