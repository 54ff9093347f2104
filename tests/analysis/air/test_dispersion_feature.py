"""The dispersion field as a feature: steady plumes by hand, and what it is worth to the forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jingwei.analysis.air import plume
from jingwei.analysis.air.forecast import dispersion, history, model, store, verify, weather
from jingwei.analysis.air.puffs import Sources
from jingwei.analysis.air.weather import Plane

PLANE = Plane(116.4, 39.9)
PLACES = np.array([[0.0, -6000.0], [5000.0, 4000.0], [-7000.0, 1000.0]])
HOURS, CUT = 6000, 4800
FEW = {"rows": 12_000, "learner": model.Boosted(rounds=60, leaf=50)}


def stacks(*at: tuple[float, float], rate: float = 60.0) -> Sources:
    xy = np.array(at, float)
    return Sources(
        x=xy[:, 0], y=xy[:, 1], height=np.full(len(at), 40.0), rate=np.full(len(at), rate),
    )  # fmt: skip


def ask(found: dispersion.Response, u: float, v: float, speed: float, sun: float) -> np.ndarray:
    return found(*(np.array([x]) for x in (u, v, speed, sun)))[0]


def test_the_plume_goes_where_the_wind_goes() -> None:
    found = dispersion.response(stacks((0.0, 0.0)), PLACES)
    south, east, west = (ask(found, *w, 4.0, 45.0) for w in ((0, -4), (4, 0), (-4, 0)))
    assert south[0] > 100 * max(south[1], south[2], 1e-9)
    assert west[2] > 100 * max(west[0], west[1], 1e-9)
    assert east[2] == pytest.approx(0, abs=1e-9)
    # At a speed and direction of the table it is the plume itself, in µg/m³.
    air = plume_air(4.0)
    alone = plume.relative_concentration(6000.0, 0.0, 1.5, height=40.0, weather=air)
    assert south[0] == pytest.approx(60e6 * float(alone), rel=1e-9)
    # Between two directions lies a mean of both.
    angle = np.radians(2.5)
    between = ask(found, 4 * np.sin(angle), -4 * np.cos(angle), 4.0, 45.0)[0]
    nodes = found.table[2, 3, [0, 71], 0]
    assert between == pytest.approx(nodes.mean())


def plume_air(speed: float) -> plume.Weather:
    from jingwei.analysis.air import boundary

    flux = boundary.heat_flux(45.0, 0.5, 288.0)
    ustar, length = boundary.unstable_scales(speed, 10.0, 1.0, flux, 288.0)
    zi = max(float(boundary.mechanical_depth(ustar)), 1200.0)
    return plume.Weather(speed, 10.0, float(length), float(ustar), 1.0, zi)


def test_calm_has_no_direction_and_what_is_missing_stays_missing() -> None:
    found = dispersion.response(stacks((0.0, 0.0)), PLACES)
    still = ask(found, 0.1, 0.2, 0.3, -20.0)
    np.testing.assert_allclose(still, found.table[0, 0].mean(axis=0))
    assert np.isnan(ask(found, np.nan, 1.0, 1.0, 10.0)).all()
    assert ask(found, 0.0, -80.0, 80.0, 10.0) == pytest.approx(ask(found, 0.0, -8.0, 8.0, 10.0))
    twice = dispersion.response(stacks((0.0, 0.0), rate=120.0), PLACES)
    np.testing.assert_allclose(twice.table, 2 * found.table)
    none = dispersion.response(stacks((0.0, 0.0), rate=0.0), PLACES)
    assert not none.table.any()
    with pytest.raises(ValueError, match="steady rates"):
        dispersion.response(stacks((0.0, 0.0)), np.zeros((0, 2)))


def city(sources: Sources) -> history.History:
    """A steady ground plus what the stacks add in a wind that turns all around."""
    random = np.random.default_rng(8)
    turn = np.cumsum(random.normal(0, 25, HOURS))
    speed = np.exp(random.normal(0.8, 0.3, HOURS))
    u, v = -speed * np.sin(np.radians(turn)), -speed * np.cos(np.radians(turn))
    times = np.datetime64("2025-01-01T00", "h") + np.arange(HOURS)
    sun = np.array([dispersion._sun(t, PLANE, 8.0) for t in times])
    adds = dispersion.response(sources, PLACES)(u, v, speed, sun)
    values = 30 * np.exp(0.1 * random.standard_normal((HOURS, 3))) + adds
    air = {
        "temperature": np.full(HOURS, 15.0), "dewpoint": np.full(HOURS, 5.0),
        "pressure": np.full(HOURS, 1010.0), "u": u, "v": v, "speed": speed,
    }  # fmt: skip
    return history.History(times, ("a", "b", "c"), {"SO2": values}, air)


def test_known_stacks_help_and_fictional_ones_do_not() -> None:
    """Three true stacks among the stations; the forecast with the field of them, of three that do not
    exist, and without."""
    true = stacks((-2000.0, 1500.0), (3000.0, -500.0), (500.0, 6500.0), rate=150.0)
    known = city(true)
    air = weather.Degraded(scale=0.5)
    starts = np.arange(CUT, HOURS - 60, 17)

    def rmse(sources: Sources | None) -> tuple[float, model.Model]:
        extra = None
        if sources is not None:
            extra = dispersion.feature(dispersion.response(sources, PLACES), air, PLANE)
        made = model.train(known, "SO2", CUT, weather=air, extra=extra, **FEW)
        found = verify.errors(known, made.at(known, starts), [(1, 48)])
        return found[0].rmse, made

    bare, _made = rmse(None)
    helped, made = rmse(true)
    invented, _made = rmse(stacks((-6000.0, -6000.0), (7000.0, -3000.0), (-3000.0, 7500.0)))
    assert made.names[-1] == dispersion.NAME
    assert helped < 0.95 * bare
    assert invented > 0.97 * bare
    # Kept and loaded, it forecasts the same where the field is handed in, and nothing without.
    data = store.dump({"SO2": made})
    again = store.load(data, {"SO2": air}, {"SO2": made.further})["SO2"]
    np.testing.assert_array_equal(again.at(known, starts[:2]).mean, made.at(known, starts[:2]).mean)
    with pytest.raises(ValueError, match="not what it learned from"):
        store.load(data, {"SO2": air})["SO2"].at(known, starts[:2])
    # What comes later enters by the forecast of the weather alone.
    coming = air(known, starts[:1])
    fixed = dispersion.feature(dispersion.response(true, PLACES), lambda _h, _s: coming, PLANE)
    later = known.weather["u"].copy()
    later[starts[0] + 1 :] *= -1
    turned = replace(known, weather={**known.weather, "u": later})
    told = [fixed(h, starts[:1])[dispersion.NAME] for h in (known, turned)]
    np.testing.assert_array_equal(*told)
    two = dispersion.feature(dispersion.response(true, PLACES[:2]), air, PLANE)
    with pytest.raises(ValueError, match="2 places, 3 stations"):
        two(known, starts[:1])
