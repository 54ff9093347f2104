"""The 48-hour forecast on a made-up city whose air follows the wind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import typer
from typer.testing import CliRunner

from jingwei.analysis.air import commands
from jingwei.analysis.air.forecast import (
    cases,
    classes,
    daily,
    history,
    model,
    store,
    verify,
    verify_days,
    weather,
)
from jingwei.analysis.air.forecast.commands import section
from jingwei.standards import aqi

HOURS, STATIONS = 9000, 3
CUT = 7500
FEW = {"rows": 12_000, "learner": model.Boosted(rounds=40, leaf=50)}


def made_up(seed: int = 5) -> history.History:
    """Particles gather in still air and are blown away by wind, which comes and goes over days."""
    random = np.random.default_rng(seed)
    wind = np.zeros(HOURS)
    for k in range(1, HOURS):
        wind[k] = 0.97 * wind[k - 1] + 0.25 * random.standard_normal()
    speed = np.exp(0.6 * wind + 0.7)
    level = np.full(HOURS, 50.0)
    for k in range(1, HOURS):
        level[k] = level[k - 1] * np.exp(-0.03 * speed[k]) + 3.0
    stations = level[:, None] * np.array([0.8, 1.0, 1.2])
    stations = stations * np.exp(0.1 * random.standard_normal((HOURS, STATIONS)))
    hour = np.arange(HOURS) % 24
    air = {
        "temperature": 15 + 5 * np.sin(hour / 24 * 2 * np.pi),
        "dewpoint": np.full(HOURS, 5.0),
        "pressure": np.full(HOURS, 1010.0),
        "u": 0 * speed,
        "v": -speed,
        "speed": speed,
    }
    times = np.datetime64("2015-01-01T00", "h") + np.arange(HOURS)
    other = 20 + 0.2 * stations
    return history.History(times, ("a", "b", "c"), {"PM2.5": stations, "NO2": other}, air)


@pytest.fixture(scope="module")
def city() -> history.History:
    return made_up()


@pytest.fixture(scope="module")
def trained(city: history.History) -> model.Model:
    return model.train(city, "PM2.5", CUT, weather=weather.Degraded(), **FEW)


STARTS = np.arange(CUT, HOURS - 60, 37)


def test_it_beats_damped_persistence_and_its_intervals_hold(
    city: history.History, trained: model.Model
) -> None:
    found = verify.errors(city, trained.at(city, STARTS))[-1]
    assert found.cases == len(STARTS) * STATIONS * 48
    assert found.damped < found.persistence
    assert found.skill_damped > 0.3
    assert found.skill_persistence > found.skill_damped
    assert 0.7 < found.within < 0.92


def test_a_shuffled_future_changes_nothing(city: history.History) -> None:
    """Neither what is learned nor what is forecast sees what was measured later."""
    random = np.random.default_rng(8)
    start = CUT + 200
    city = replace(city, values={k: 3 * v for k, v in city.values.items()})

    def shuffled(series: np.ndarray, after: int) -> np.ndarray:
        out = series.copy()
        out[after:] = random.permutation(out[after:])
        return out

    def forged(after: int, air: bool) -> history.History:
        return replace(
            city,
            values={k: shuffled(v, after) for k, v in city.values.items()},
            weather={k: shuffled(v, after) if air else v for k, v in city.weather.items()},
        )

    for kind, air in ((None, True), (weather.Degraded(), False)):
        plain = model.train(city, "PM2.5", CUT, weather=kind, **FEW)
        other = model.train(forged(CUT, air), "PM2.5", CUT, weather=kind, **FEW)
        told = plain.at(city, [start])
        later = forged(start + 1, air)
        joint = classes.joint([plain])
        same = classes.joint([other])
        days = verify_days.tell(city, {"PM2.5": told}, joint, "2026")
        assert np.nanmax(days.chance) > 0
        for told_later in (plain.at(later, [start]), other.at(later, [start])):
            found = verify_days.tell(later, {"PM2.5": told_later}, same, "2026")
            np.testing.assert_array_equal(found.chance, days.chance)
            np.testing.assert_array_equal(found.grade_chance, days.grade_chance)
            np.testing.assert_array_equal(found.expected, days.expected)
            assert not np.array_equal(found.came, days.came, equal_nan=True)
        assert not np.array_equal(later.values["PM2.5"], city.values["PM2.5"])
        for again in (plain.at(later, [start]), other.at(later, [start])):
            np.testing.assert_array_equal(again.mean, told.mean)
            np.testing.assert_array_equal(again.quantiles, told.quantiles)
            np.testing.assert_array_equal(again.damped, told.damped)
        # The past does matter, else the test could not fail.
        earlier = replace(city, values={k: 2 * v for k, v in city.values.items()})
        assert not np.array_equal(plain.at(earlier, [start]).mean, told.mean)


def test_the_start_itself_is_known_and_the_hour_after_is_the_first(
    city: history.History, trained: model.Model
) -> None:
    found = trained.at(city, [CUT])
    np.testing.assert_array_equal(found.last[0], city.values["PM2.5"][CUT])
    np.testing.assert_array_equal(verify.truth(city, found)[0, :, 0], city.values["PM2.5"][CUT + 1])


def test_degraded_weather_has_the_errors_it_states(city: history.History) -> None:
    starts = np.arange(0, 4000, 2)
    error = weather.Degraded(seed=3)(city, starts) - weather.measured(city, starts)
    for name in ("temperature", "u"):
        k = history.WEATHER.index(name)
        low, high = weather.ERRORS[name]
        assert error[:, 0, k].std() == pytest.approx(low, rel=0.06)
        assert error[:, -1, k].std() == pytest.approx(high, rel=0.06)
    kept = weather.Degraded(seed=3, memory=0.9)(city, starts) - weather.measured(city, starts)
    assert np.corrcoef(kept[:, 20, 0], kept[:, 21, 0])[0, 1] == pytest.approx(0.9, abs=0.03)
    again = weather.Degraded(seed=3)(city, starts[5:6])
    np.testing.assert_array_equal(again[0], (error + weather.measured(city, starts))[5])


def test_own_learners_and_further_forecasts_plug_in(city: history.History) -> None:
    class Mean:
        seen: list[str] = []

        def fit(self, rows: np.ndarray, residual: np.ndarray, names: list[str]) -> Mean:
            type(self).seen = names
            assert rows.shape == (len(residual), len(names))
            self.value = float(residual.mean())
            return self

        def predict(self, rows: np.ndarray) -> np.ndarray:
            return np.full(len(rows), self.value)

    def dispersion(h: history.History, starts: np.ndarray) -> dict[str, np.ndarray]:
        return {"dispersion": np.ones((len(starts), STATIONS, 48))}

    found = model.train(city, "NO2", CUT, extra=dispersion, learner=Mean(), rows=5000)
    assert Mean.seen[-1] == "dispersion"
    told = found.at(city, [CUT])
    assert np.ptp(told.mean - told.damped) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="wanted boosted or module:factory"):
        model.learner("no.such:thing")


def test_linear_learner_finds_a_line_that_fades_with_the_lead() -> None:
    random = np.random.default_rng(6)
    rows = random.standard_normal((4000, 3)).astype(np.float32)
    rows[:, 0] = random.integers(1, 49, 4000)
    true = 5 * rows[:, 1] * np.exp(-rows[:, 0] / 24) + 2.0
    rows[::50, 2] = np.nan
    found = model.Linear(ridge=1.0).fit(rows, true, ["lead", "a", "b"])
    inside = np.abs(rows[:, 1]) < 2
    assert found.predict(rows)[inside] == pytest.approx(true[inside], abs=0.2)
    both = model.Together((model.Linear(ridge=1.0), model.Linear(ridge=1e12)))
    half = both.fit(rows, true, ["lead", "a", "b"]).predict(rows)
    assert half == pytest.approx(found.predict(rows) / 2, abs=0.01)


def test_weather_that_ends_is_joined_to_none(city: history.History, trained: model.Model) -> None:
    bare = model.train(city, "PM2.5", CUT, **FEW)
    known, blind = trained.at(city, [CUT]), bare.at(city, [CUT])
    found = model.spliced(known, blind, 30)
    np.testing.assert_array_equal(found.mean[..., :30], known.mean[..., :30])
    np.testing.assert_array_equal(found.quantiles[..., 30:, :], blind.quantiles[..., 30:, :])
    with pytest.raises(ValueError, match="different things"):
        model.spliced(known, bare.at(city, [CUT + 1]), 30)
    with pytest.raises(ValueError, match="0 to 48 hours, not 60"):
        model.spliced(known, blind, 60)


def test_rows_by_hand(city: history.History) -> None:
    climate = cases.Climate.fit(city, city.values["PM2.5"], CUT)
    rows = cases.Rows(city, "PM2.5", climate, np.array([500, 800]))
    table, damped = rows.table(np.array([1]), np.array([2]), np.array([30]))
    get = dict(zip(rows.names, table[0], strict=True))
    v = city.values["PM2.5"]
    assert get["now"] == pytest.approx(v[800, 2], rel=1e-6)
    assert get["lag 6"] == pytest.approx(v[794, 2], rel=1e-6)
    assert get["mean 12"] == pytest.approx(v[789:801, 2].mean(), rel=1e-5)
    assert get["city"] == pytest.approx(v[800].mean(), rel=1e-6)
    assert get["same hour"] == pytest.approx(v[782, 2], rel=1e-6)
    weight = np.exp(-30 / 18)
    usual = climate(city, np.array([830]), np.array([2]))[0]
    assert damped[0] == pytest.approx(weight * v[800, 2] + (1 - weight) * usual)


def test_gaps_are_forgiven_for_six_hours(city: history.History, trained: model.Model) -> None:
    values = city.values["PM2.5"].copy()
    values[CUT - 5 : CUT + 1, 0] = np.nan
    values[CUT - 40 : CUT + 1, 1] = np.nan
    holes = replace(city, values={**city.values, "PM2.5": values})
    found = trained.at(holes, [CUT])
    assert found.last[0, 0] == values[CUT - 6, 0]
    assert np.isnan(found.last[0, 1])
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.quantiles).all()


def flat(pollutant: str, levels: list[float]) -> model.Forecast:
    q = np.broadcast_to(np.array(levels), (1, 1, 48, len(model.LEVELS)))
    mean = q[..., 3]
    return model.Forecast(pollutant, np.array([0]), mean, q, mean, mean[..., 0])


def together(pollutants: int, alike: bool, courses: int = 400) -> classes.Together:
    """One station; everything high together, or each pollutant and hour by itself."""
    random = np.random.default_rng(1)
    shape = (pollutants, 1, 48, courses)
    draws = np.broadcast_to(random.random(courses), shape) if alike else random.random(shape)
    return classes.Together(draws.argsort(axis=-1).argsort(axis=-1))


def test_index_is_that_of_the_worst_pollutant() -> None:
    # GB 3095-2026: PM2.5 60 is IAQI 100, 115 is 150; CO in mg/m³.
    pm = flat("PM2.5", [20, 35, 50, 60, 115, 150, 250])
    co = flat("CO", [2000.0] * 7)
    found = classes.index({"PM2.5": pm, "CO": co})
    assert found.index[0, 0, 0].tolist() == [29, 50, 80, 100, 150, 200, 300]
    assert found.pollutants[found.leading[0, 0, 0]] == "PM2.5"
    p = found.probability[0, 0, 0]
    assert p.sum() == pytest.approx(1)
    assert p.cumsum()[:4] == pytest.approx([0.1, 0.5, 0.75, 0.9])
    old = classes.index({"PM2.5": pm}, "2012")
    assert old.index[0, 0, 0, 3] == 82  # 75 µg/m³ was IAQI 100


def test_independent_pollutants_are_seldom_high_together() -> None:
    """Each is above 100 every other time: one of them three times of four, not every other."""
    pm = flat("PM2.5", [20, 35, 50, 60, 115, 150, 250])
    no2 = flat("NO2", [20, 50, 150, 200, 700, 900, 1000])  # IAQI 100 at 200 µg/m³ an hour
    apart, same = together(2, alike=False), together(2, alike=True)
    bound = classes.index({"PM2.5": pm, "NO2": no2})
    assert bound.over(100) == pytest.approx(0.5)
    assert classes.index({"PM2.5": pm, "NO2": no2}, together=same).over(100) == pytest.approx(0.5, abs=0.04)  # fmt: skip
    found = classes.index({"PM2.5": pm, "NO2": no2}, together=apart)
    assert found.over(100).mean() == pytest.approx(0.75, abs=0.02)
    assert (found.index[..., :5] >= bound.index[..., :5]).all()
    assert (np.diff(found.index, axis=-1) >= 0).all()
    assert found.probability.sum(axis=-1) == pytest.approx(1)
    # With one alone there is nothing to join.
    alone = classes.index({"PM2.5": pm}, together=together(1, alike=True))
    np.testing.assert_array_equal(alone.index, classes.index({"PM2.5": pm}).index)
    with pytest.raises(ValueError, match="no upper bound"):
        found.over(120)


def test_chances_of_the_index_hold_for_pollutants_that_go_their_own_ways(
    city: history.History,
) -> None:
    other = made_up(11).values["PM2.5"]
    own = replace(city, values={"PM2.5": city.values["PM2.5"], "NO2": 3.0 * other})
    made = {n: model.train(own, n, CUT, **FEW) for n in own.values}
    told = {n: m.at(own, STARTS) for n, m in made.items()}
    joint = classes.joint(list(made.values()))
    assert joint is not None
    pm, no2 = (joint.order[k, :, 11].reshape(-1) for k in range(2))
    assert abs(np.corrcoef(pm, no2)[0, 1]) < 0.25
    near, far = (np.corrcoef(joint.order[0, 0, 11], joint.order[0, 0, k])[0, 1] for k in (12, 47))
    assert near > 0.6 > far  # hours that follow one another miss alike
    assert np.corrcoef(joint.order[0, 0, 30], joint.order[0, 1, 30])[0, 1] > 0.5
    came = verify.index_truth(own, told, "2026")
    joined, bound = (verify.chances(classes.index(told, "2026", r), came, (100,))[0] for r in (joint, None))  # fmt: skip
    assert 0.1 < joined.came < 0.9
    assert joined.brier < joined.usual
    assert bound.told < joined.told
    assert abs(joined.told - joined.came) < abs(bound.told - bound.came)
    assert joined.brier < bound.brier
    # Models that drew other cases cannot be joined, nor those kept before there were ranks.
    strange = replace(made["NO2"], drawn="other")
    assert classes.joint([made["PM2.5"], strange]) is None
    assert classes.joint([replace(m, drawn="") for m in made.values()]) is None
    again = store.load(store.dump(made))
    np.testing.assert_array_equal(classes.joint([again[n] for n in own.values]).order, joint.order)


def test_the_day_takes_measured_hours_the_mean_and_the_best_eight_of_ozone() -> None:
    times = np.datetime64("2026-05-01T00", "h") + np.arange(
        42
    )  # until 17 o'clock of the second day
    pm = np.full((42, 2), 60.0)
    ozone = np.full((42, 2), 20.0)
    pm[24:30], pm[3:8, 0] = 30.0, np.nan
    coming = np.full((2, 48, 1), 90.0)
    o3 = np.full((2, 48, 1), 20.0)
    o3[:, 14:22] = 160.0  # 8 to 15 o'clock of the third day
    found = daily.days(times, {"PM2.5": pm, "O3": ozone}, {"PM2.5": coming, "O3": o3}, back=1)
    assert [str(d) for d in found.day] == ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]
    assert found.ahead.tolist() == [0, 6, 24, 18]
    # The first station has 19 hours of the first day, and half of the stations are no city (HJ 663).
    assert np.isnan(found.iaqi["PM2.5"][0, 0, 0])
    assert found.iaqi["PM2.5"][1, 0, 0] == 100
    assert np.isnan(found.iaqi["PM2.5"][-1, 0, 0])
    mean = (6 * 30 + 12 * 60 + 6 * 90) / 24
    assert found.iaqi["PM2.5"][0, 1, 0] == aqi.iaqi("pm25", mean, "2026", "day")
    assert found.iaqi["O3"][1, 2, 0] == aqi.iaqi("o3_8h", 160, "2026", "day")
    assert found.index[1, 2, 0] == aqi.iaqi("pm25", 90, "2026", "day")
    assert np.isnan(found.index[:, 3]).all()  # 18 hours of the fourth day


def test_the_city_is_the_mean_of_the_stations_days() -> None:
    """Ozone is high at each of four stations at another time; the mean over the stations never is."""
    times = np.datetime64("2026-05-01T00", "h") + np.arange(24)
    ozone = np.full((24, 4), 20.0)
    for k in range(3):
        ozone[8 * k : 8 * k + 8, k] = 200.0
    ozone[:, 3] = np.nan
    found = daily.days(times, {"O3": ozone}, {}, edition="2026")
    assert found.iaqi["O3"][-1, 0, 0] == aqi.iaqi("o3_8h", 200, "2026", "day")
    ozone[:, 2] = np.nan
    assert np.isnan(daily.days(times, {"O3": ozone}, {}, edition="2026").index[-1, 0, 0])


def test_hours_that_miss_together_make_bad_days_likelier() -> None:
    """Hour by hour the chance of more than 60 µg/m³ is a half and that of 115 a quarter; a mean of
    hours that go their own ways seldom reaches 115, of hours that go together as often."""
    told = {"PM2.5": flat("PM2.5", [20, 35, 50, 60, 115, 150, 250])}
    times = np.datetime64("2026-05-01T00", "h") + np.arange(24)  # the day is over
    past = {"PM2.5": np.full((24, 1), 60.0)}
    over = {
        alike: daily.days(times, past, together(1, alike).draws(told, 0)) for alike in (True, False)
    }
    assert over[True].over(150)[0, 1:] == pytest.approx(0.25, abs=0.02)
    assert (over[False].over(150)[0, 1:] < 0.05).all()
    np.testing.assert_array_equal(over[True].over(150)[0], over[True].over(150)[-1])
    # Two days above 150 are orange only if the third joins; of two alike both or none are.
    ahead = over[True].ahead
    assert ahead.tolist() == [0, 24, 24]
    yellow, orange, red = daily.grades(over[True].index[-1], ahead)
    assert yellow == pytest.approx(0.25, abs=0.02)
    assert yellow > orange >= red == 0
    assert daily.grades(over[False].index[-1], ahead)[0] < 0.02


def test_the_expected_day_is_above_a_bound_where_more_than_half_of_its_chance_is() -> None:
    """Skewed and wide, so that the mean often lies on the other side of a bound than the middle."""
    times = np.datetime64("2026-05-01T00", "h") + np.arange(24)
    past = {"PM2.5": np.full((24, 1), 60.0), "O3": np.full((24, 1), 60.0)}
    random = np.random.default_rng(4)
    sides = set()
    for _ in range(40):
        told = {
            n: flat(n, np.sort(random.lognormal(random.uniform(3.5, 5.5), 0.8, 7)).tolist())
            for n in past
        }
        for alike in (True, False):
            drawn = daily.days(times, past, together(2, alike).draws(told, 0))
            mean = drawn.index.mean(axis=-1)
            for above in daily.ABOVE:
                np.testing.assert_array_equal(drawn.expected > above, drawn.over(above) > 0.5)
                sides |= set(((drawn.expected > above) == (mean > above)).ravel().tolist())
    assert sides == {True, False}


def test_what_leads_a_day_is_what_makes_the_index_most_often() -> None:
    times = np.datetime64("2026-05-01T00", "h") + np.arange(24)
    past = {"PM2.5": np.full((24, 1), 115.0), "PM10": np.full((24, 1), 250.0)}
    assert aqi.iaqi("pm25", 115, "2026", "day") == aqi.iaqi("pm10", 250, "2026", "day")
    coming = {n: np.full((1, 48, 3), 20.0) for n in past}
    coming["PM10"][:, :24, 0] = 400.0
    coming["PM2.5"][:, :24, 1:] = 80.0
    found = daily.days(times, past, coming, edition="2026")
    assert found.leading(0, 0) == ["PM2.5", "PM10"]
    assert found.leading(-1, 1) == ["PM2.5"]
    assert found.leading(-1, 2) == []  # an index of 50 or lower has none


def test_chances_of_days_are_judged_against_what_came(city: history.History) -> None:
    """Of the made-up city, whose days above 100 come and go with the wind."""
    strong = replace(city, values={"PM2.5": 2.0 * city.values["PM2.5"]})
    made = model.train(strong, "PM2.5", CUT, weather=weather.Degraded(), **FEW)
    told = {"PM2.5": made.at(strong, np.arange(CUT, HOURS - 60, 12))}
    found = verify_days.tell(strong, told, classes.joint([made]), "2026")
    for j, above in enumerate(daily.ABOVE):
        told_ = np.isfinite(found.expected)
        np.testing.assert_array_equal(
            found.expected[told_] > above, found.chance[..., j][told_] > 0.5
        )
    judged = {(c.place, c.ahead, c.above): c for c in verify_days.chances(found, strong)}
    for place in ("city", "stations"):
        for ahead in (0, 1):
            one = judged[place, ahead, 100]
            assert 0.02 < one.came < 0.98
            assert abs(one.told - one.came) < 0.12
            assert one.brier < one.climate
            assert sum(b[1] for b in one.bins) == one.days
        assert (
            judged[place, 0, 100].brier
            < judged[place, 1, 100].brier
            < judged[place, 1, 100].persistence
        )
    assert judged["stations", 1, 100].days == 3 * judged["city", 1, 100].days
    # What never comes is told never.
    assert judged["city", 1, 300].told < 0.05
    levels = verify_days.grades(found)
    assert [g.level for g in levels] == [1, 2, 3]
    assert all(0 <= g.brier <= 1 for g in levels)
    seen = verify_days.episodes(found, strong)
    assert seen.ahead + seen.late <= seen.were


def test_episodes_are_named_before_they_begin() -> None:
    """Six days, one start a day at 23 o'clock; days 3 and 4 are above 150, told from day 1 on, and a
    false one is told for day 6 of which nothing comes."""
    city = np.array([80.0, 90, 80, 180, 190, 80, 90, 80])
    starts = np.array([47, 71, 95, 119])
    day = np.array([1, 2, 3, 4])
    expected = np.full((4, 3, 2), 80.0)
    expected[0, 2] = 170
    expected[1, 1], expected[1, 2] = 180, 180
    expected[2, 1] = 180
    expected[3, 2] = 210
    told = verify_days.Told(
        starts, day, expected, np.zeros((4, 3, 2, 4)), np.zeros((4, 3, 2)),
        np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), np.zeros((4, 3)), np.array([0, 3, 3, 6]),
        np.repeat(city[:, None], 2, axis=1), 1, np.datetime64("2016-01-01"),
    )  # fmt: skip
    times = np.datetime64("2016-01-01T00", "h") + np.arange(8 * 24)
    known = history.History(times, ("a",), {"PM2.5": np.zeros((192, 1))}, {})
    found = verify_days.episodes(told, known)
    assert (found.were, found.ahead, found.late, found.lead, found.false) == (1, 1, 0, 0.0, 1)
    # The same hours, of a history that begins at 10 o'clock of the day before the first one told of.
    early = replace(known, times=known.times[0] - 14 + np.arange(192 + 14), values={"PM2.5": np.zeros((206, 1))})  # fmt: skip
    late = replace(told, starts=starts + 14)
    assert verify_days.episodes(late, early) == found
    # "Once more" is the last day that is over.
    sure = replace(told, came=city[day[:, None] + np.minimum(np.arange(3), 7 - day[:, None])][..., None].repeat(2, 2))  # fmt: skip
    told_, same = (verify_days.chances(t, h) for t, h in ((sure, known), (replace(sure, starts=starts + 14), early)))  # fmt: skip
    assert [c.csi_persistence for c in same if c.csi_persistence == c.csi_persistence] == [
        c.csi_persistence for c in told_ if c.csi_persistence == c.csi_persistence
    ]
    assert [c.persistence for c in same] == [c.persistence for c in told_]


def test_episodes_say_where_and_when() -> None:
    pm = flat("PM2.5", [100, 110, 120, 130, 140, 150, 160])
    q = pm.quantiles.copy()
    q[0, 0, 10:16] += 100  # leads 11 to 16
    q[0, 0, 13] += 50
    q[0, 0, 30:32] += 100  # too short
    found = classes.index({"PM2.5": replace(pm, quantiles=q)})
    (one,) = classes.episodes(found, 0, above=200)
    assert (one.first, one.last, one.peak_lead) == (11, 16, 14)
    assert one.probability > 0.9
    with pytest.raises(ValueError, match="no upper bound"):
        classes.episodes(found, 0, above=120)


def write(path: Path, city: history.History, **columns: list[object]) -> Path:
    angle = np.full(HOURS * STATIONS, "N")
    table = {
        "time": np.repeat(city.times.astype("datetime64[s]"), STATIONS),
        "station": np.tile(city.stations, HOURS),
        "PM2.5": city.values["PM2.5"].ravel(),
        "TEMP": np.repeat(city.weather["temperature"], STATIONS),
        "DEWP": np.repeat(city.weather["dewpoint"], STATIONS),
        "PRES": np.repeat(city.weather["pressure"], STATIONS),
        "WSPM": np.repeat(city.weather["speed"], STATIONS),
        "wd": angle,
        **columns,
    }
    pyarrow.parquet.write_table(pa.table(table), path)
    return path


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    commands.attach(app)
    return app


def test_command(app: typer.Typer, tmp_path: Path, city: history.History) -> None:
    path = write(tmp_path / "city.parquet", city)
    found = CliRunner().invoke(
        app,
        ["validate", "forecast", "--data", str(path), "--train-to", "2015-11", "--until",
         "2015-12-20", "--every", "24", "--rows", "8000", "--report", str(tmp_path / "air.md")],
    )  # fmt: skip
    assert found.exit_code == 0, found.stderr
    told = json.loads(found.stdout.strip().splitlines()[-1])
    assert [f["weather"] for f in told["forecasts"]] == ["degraded", "none"]
    assert (told["stations"], told["starts"]) == (3, 20)
    first, second = told["forecasts"]
    assert first["rmse"] < second["rmse"] < first["persistence_rmse"]
    days = {d["weather"]: d for d in told["days"]}
    assert set(days) == {"degraded", "none"}
    assert days["degraded"]["starts"] == 20
    assert {(c["place"], c["ahead"]) for c in days["degraded"]["chances"]} >= {("city", 1), ("stations", 0)}  # fmt: skip
    written = (tmp_path / "air.md").read_text()
    assert "<!-- forecast -->" in written
    assert "forecast-days" not in written  # of one pollutant alone there is no index
    assert "| stations | next day | > 100 |" in found.stderr
    names = [
        ["PM2.5"],
        ["O3"],
        ["O3", "CO"],
        ["PM10", "NO2", "SO2", "CO"],
        ["SO2", "PM10", "NO2", "CO", "O3", "PM2.5"],
    ]
    assert [section(n) for n in names] == [
        "forecast", "forecast-O3", "forecast-CO-O3", "forecast-CO-NO2-PM10-SO2", "forecast-all",
    ]  # fmt: skip


def test_read_restores_what_was_written_and_leaves_out_what_cannot_be(
    tmp_path: Path, city: history.History
) -> None:
    values = city.values["PM2.5"].copy()
    values[100, 0], values[200, 1] = -5, np.inf
    values[300:330, 2] = 80.0
    found = history.read(write(tmp_path / "a.parquet", city, **{"PM2.5": values.ravel()}))
    assert np.isnan(found.values["PM2.5"][[100, 200], [0, 1]]).all()
    assert np.isnan(found.values["PM2.5"][300:330, 2]).all()
    assert np.isfinite(found.values["PM2.5"]).sum() == HOURS * STATIONS - 32
    assert "2 values left out (negative or infinite)" in found.notes[0]
    assert "30 values left out (stuck for 24 h)" in found.notes[1]
    np.testing.assert_allclose(found.weather["v"], city.weather["v"])
    assert (found.times == city.times).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,value\n2015-01-01 00:00:00,3\n", "lacks station"),
        ("time,station,level\n2015-01-01 00:00:00,a,3\n", "lacks every pollutant"),
        ("time,station,PM2.5\n2015-01-01 00:00:00,a,much\n", "not a number everywhere"),
        ("time,station,PM2.5\nyesterday,a,3\n", "time is no time"),
        ("time,station,PM2.5\n", "has no row"),
        ("time,station,PM2.5\n1915-01-01 00:00:00,a,1\n2015-01-01 00:00:00,a,1\n", "40 years"),
        ("time,station,PM2.5\n2015-01-01 00:00:00,a,1\n2015-01-01 01:00:00,a,1\n", "train-to"),
    ],
)
def test_bad_files_are_named(app: typer.Typer, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    args = ["validate", "forecast", "--data", str(path), "--train-to", "2016-02"]
    found = CliRunner().invoke(app, args)
    assert found.exit_code == 2
    assert words in found.stderr
    assert found.stderr.strip().splitlines()[-1].startswith("jingwei: ")


def test_too_little_history_is_said(city: history.History) -> None:
    with pytest.raises(ValueError, match="2000 hours to learn from"):
        model.train(city, "PM2.5", 2000)
    with pytest.raises(ValueError, match="O3 is not measured"):
        model.train(city, "O3", CUT)
    bare = replace(city, weather={})
    with pytest.raises(ValueError, match="no weather"):
        model.train(bare, "PM2.5", CUT, weather=weather.Degraded())
