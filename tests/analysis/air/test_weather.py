"""Weather from stations: a true field comes back, gaps are filled and said, and air is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.air import tracing, weather
from jingwei.analysis.air.puffs import Sources

START = datetime(2026, 6, 21, 0, tzinfo=UTC)
PLANE = weather.Plane(116.4, 39.9)
PLACES = np.array([[0.0, 0.0], [12e3, 5e3], [-9e3, 11e3], [4e3, -14e3]])


def steady(hours: int = 13, speed: float = 3.0, direction: float = 270.0):
    return np.full((hours, 4), speed), np.full((hours, 4), direction)


@pytest.mark.parametrize(
    ("time", "place", "degrees"),
    [
        # Noon of the solstices at Beijing: 90 - latitude ± obliquity; the equinox at the equator.
        (datetime(2026, 6, 21, 4, 16, tzinfo=UTC), (116.4, 39.9), 73.54),
        (datetime(2026, 12, 22, 4, 12, tzinfo=UTC), (116.4, 39.9), 26.66),
        (datetime(2026, 3, 20, 12, 7, tzinfo=UTC), (0.0, 0.0), 90.0),
    ],
)
def test_the_sun_stands_where_astronomy_says(time, place, degrees) -> None:
    assert weather.sun_elevation(time, *place) == pytest.approx(degrees, abs=0.7)


def test_the_sun_does_not_mind_the_name_of_the_time_zone() -> None:
    from zoneinfo import ZoneInfo

    time = datetime(2026, 6, 21, 4, 16, tzinfo=UTC)
    local = time.astimezone(ZoneInfo("Asia/Shanghai"))
    assert weather.sun_elevation(local, 116.4, 39.9) == weather.sun_elevation(time, 116.4, 39.9)


def test_an_even_wind_stays_even() -> None:
    found = weather.from_stations(PLACES, *steady(), START, plane=PLANE)
    assert found.calm == found.filled == 0
    assert found.direction == pytest.approx(270)
    w = found.winds
    assert np.ptp(w.u, axis=(1, 2)) == pytest.approx(0, abs=1e-9)
    assert w.v == pytest.approx(0, abs=1e-9)
    assert (w.u > 3).all()  # at 50 m there is more wind than at 10 m
    assert w.zi[6].mean() > w.zi[0].mean()  # eight in the morning to two in the afternoon


@given(st.integers(0, 2**32 - 1))
def test_divergence_is_taken_out_and_rotation_left(seed: int) -> None:
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 24), indexing="ij")
    swirl = random.normal()
    source = random.normal()
    u, v = -swirl * y + source * x, swirl * x + source * y

    def spread(u, v):
        return np.gradient(u, axis=1) + np.gradient(v, axis=0)

    def turn(u, v):
        return np.gradient(v, axis=1) - np.gradient(u, axis=0)

    a, b = weather.divergence_free(u, v, 1.0)
    inner = (slice(3, -3), slice(3, -3))
    assert np.abs(spread(a, b)[inner]).max() <= 0.1 * np.abs(spread(u, v)[inner]).max() + 1e-9
    assert turn(a, b)[inner] == pytest.approx(turn(u, v)[inner], abs=1e-6)


def test_short_gaps_are_filled_and_counted() -> None:
    speed, direction = steady()
    speed[5:7] = np.nan
    found = weather.from_stations(PLACES, speed, direction, START, plane=PLANE)
    assert found.filled == 2
    assert np.isfinite(found.winds.u).all()


def test_a_long_gap_is_refused_with_its_beginning() -> None:
    speed, direction = steady()
    speed[4:9] = np.nan
    with pytest.raises(weather.WeatherError, match="2026-06-21 04:00"):
        weather.from_stations(PLACES, speed, direction, START, plane=PLANE)
    with pytest.raises(weather.WeatherError, match="2026-06-21 00:00"):
        weather.from_stations(
            PLACES[:1], np.full((2, 1), np.nan), np.zeros((2, 1)), START, plane=PLANE
        )


def test_short_gaps_at_the_ends_take_the_nearest_hour() -> None:
    speed, direction = steady()
    speed[:2] = speed[-3:] = np.nan
    found = weather.from_stations(PLACES, speed, direction, START, plane=PLANE)
    assert found.filled == 4  # the last row only closes the last hour
    assert found.winds.u[0] == pytest.approx(found.winds.u[2], rel=0.2)
    assert (found.winds.u > 3).all()
    speed[:4] = np.nan
    with pytest.raises(weather.WeatherError, match="2026-06-21 00:00"):
        weather.from_stations(PLACES, speed, direction, START, plane=PLANE)


def test_hours_near_wind_can_be_judged() -> None:
    speed, direction = steady(25)
    everything = np.ones(24, bool)
    assert weather.judged(speed, direction, everything) == (0, 24)
    speed[:6] = np.nan  # a late beginning costs what lies more than three hours before it
    assert weather.judged(speed, direction, everything) == (3, 24)
    speed[12:20] = np.nan  # of two sides that with more of the wanted hours
    assert weather.judged(speed, direction, everything) == (3, 14)
    assert weather.judged(speed, direction, np.arange(24) > 15) == (17, 24)
    for part in ((3, 14), (17, 24)):  # and each of them is taken as it is
        cut = slice(part[0], part[1] + 1)
        weather.from_stations(PLACES, speed[cut], direction[cut], START, plane=PLANE)
    assert weather.judged(speed * np.nan, direction, everything) is None


def test_calm_hours_take_the_direction_of_those_around_and_keep_their_speed() -> None:
    speed, direction = steady()
    speed[6], direction[6] = 0.2, 90.0
    found = weather.from_stations(PLACES, speed, direction, START, plane=PLANE)
    assert found.calm == 1
    assert found.speed[6] == pytest.approx(0.2)
    assert (found.winds.u[6] > 0).all()
    # At both ends of the calm hour the wind is half that of the hour beside it.
    assert found.winds.u[6:8].max() < 0.6 * found.winds.u[5].min()


def test_always_calm_the_air_stands_and_spreads() -> None:
    found = weather.from_stations(PLACES, *steady(speed=0.1), START, plane=PLANE)
    assert found.still
    assert found.calm == 12
    assert np.isnan(found.direction).all()
    assert (found.winds.u == 0).all()
    assert not weather.from_stations(PLACES, *steady(), START, plane=PLANE).still
    # What stands near reaches the station from every side alike, what stands far does not.
    around = Sources(
        x=np.array([1e3, -1e3, 0.0, 40e3]), y=np.array([0.0, 0.0, 1e3, 0.0]),
        height=np.full(4, 20.0), rate=np.ones(4),
    )  # fmt: skip
    a = tracing.matrix(around, found.winds, [[0.0, 0.0, 3.0]], memory=6, threads=1).toarray()[-1]
    assert a[:3] == pytest.approx([a[0]] * 3, rel=1e-6)
    assert a[0] > 0
    assert a[3] < 1e-4 * a[0]


def night(*rows: float) -> weather.Weather:
    """A winter's night from 18:00 on, one row an hour with 3 m/s from these directions."""
    direction = np.repeat(np.array(rows)[:, None], 4, axis=1)
    start = datetime(2026, 12, 21, 10, tzinfo=UTC)
    return weather.from_stations(
        PLACES, np.full(direction.shape, 3.0), direction, start, plane=PLANE
    )


def test_hourly_means_are_means_of_their_hour_and_no_moments() -> None:
    """West until 06:00, then east: the air turns round at six and comes back as far as it went."""
    found = night(*[270.0] * 6, *[90.0] * 7)
    (way,) = weather.trajectories(found.winds, (0.0, 0.0), [9], 6, 600.0)
    hour = found.winds.u[3].mean() * 3600
    assert abs(way[-1][0]) < 0.01 * hour  # three hours there, three hours back
    assert np.argmax(way[:, 0]) * 600.0 == 3 * 3600
    assert way[18, 0] == pytest.approx(2.5 * hour, rel=0.01)  # half an hour to slow down
    assert found.direction[:7] == pytest.approx([270.0] * 6 + [90.0])  # the hours stay as sent


def test_the_sun_of_an_hour_is_that_of_its_middle() -> None:
    """At 120° E the sun is highest at noon: hours on both sides of it are alike."""
    start = datetime(2026, 6, 20, 16, tzinfo=UTC)
    found = weather.from_stations(PLACES, *steady(24), start, plane=weather.Plane(120.0, 39.9))
    length = found.winds.obukhov.mean(axis=(1, 2))
    for before, after in ((9, 14), (6, 17)):
        assert length[before] == pytest.approx(length[after], rel=0.05)


def test_the_mixed_layer_does_not_know_when_the_question_begins() -> None:
    """By 16:00 of a June day the sun has heated the ground since sunrise, whatever row is the first."""
    depth = []
    for first in (0, 5, 9, 12, 14):
        start = datetime(2026, 6, 20, 16, tzinfo=UTC) + timedelta(hours=first)  # local midnight
        found = weather.from_stations(PLACES, *steady(25 - first), start, plane=PLANE)
        depth.append(found.winds.zi[16 - first].mean())
    assert depth == pytest.approx([depth[0]] * 5, rel=1e-6)


def test_impossible_wind_does_not_count() -> None:
    speed, direction = steady()
    speed[:, 1], direction[:, 2] = -9.0, 999.0
    found = weather.from_stations(PLACES, speed, direction, START, plane=PLANE)
    assert found.stations == 2


def test_air_comes_from_where_the_wind_comes() -> None:
    found = weather.from_stations(PLACES, *steady(), START, plane=PLANE)
    (way,) = weather.trajectories(found.winds, (0.0, 0.0), [12], 6)
    assert way[-1][2] == pytest.approx(6)
    assert way[-1][1] == pytest.approx(0, abs=1e-6)
    west = sum(found.winds.u[h].mean() for h in range(7, 12)) * 3600
    assert -way[-1][0] == pytest.approx(west, rel=0.25)


def test_the_plane_goes_there_and_back() -> None:
    x, y = PLANE.to([116.5, 116.3], [40.0, 39.8])
    longitude, latitude = PLANE.back(x, y)
    assert longitude == pytest.approx([116.5, 116.3])
    assert latitude == pytest.approx([40.0, 39.8])
    assert y == pytest.approx([11119.5, -11119.5], rel=1e-3)


def test_a_start_without_time_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="time zone"):
        weather.from_stations(PLACES, *steady(), START.replace(tzinfo=None), plane=PLANE)


def test_days_go_on() -> None:
    found = weather.from_stations(PLACES, *steady(49), START, plane=PLANE)
    day = found.winds.zi.mean(axis=(1, 2))
    assert day[6] > day[18]
    assert day[30] > day[18]
    assert found.start + timedelta(hours=48) == datetime(2026, 6, 23, tzinfo=UTC)
