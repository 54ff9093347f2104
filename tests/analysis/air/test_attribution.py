"""Attribution at one station: a true exceeder is found, known emissions are no suspects."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from jingwei.analysis.air import attribution, loss, tracing, weather
from jingwei.analysis.air.puffs import Sources

START = datetime(2026, 6, 21, 0, tzinfo=UTC)
HOURS = 36


@pytest.fixture(scope="module")
def city():
    """Twenty sources on 16 x 16 km, twelve stations, a wind that goes once round in 36 hours."""
    random = np.random.default_rng(3)
    stations = np.column_stack([random.uniform(-9e3, 9e3, (12, 2)), np.full(12, 3.0)])
    hour = np.arange(HOURS + 1)[:, None]
    speed = np.broadcast_to(2.5 + 0.5 * np.sin(hour / 4), (HOURS + 1, 12))
    direction = np.broadcast_to((10.0 * hour) % 360, (HOURS + 1, 12))
    found = weather.from_stations(
        stations[:, :2], speed, direction, START, plane=weather.Plane(116.4, 39.9)
    )
    sources = Sources(
        x=random.uniform(-8e3, 8e3, 20),
        y=random.uniform(-8e3, 8e3, 20),
        height=np.full(20, 25.0),
        rate=random.lognormal(0, 0.5, 20),
    )
    a = tracing.matrix(sources, found.winds, stations, memory=attribution.MEMORY)
    return sources, found, stations, a


def ask(city, factor, monitored=None, change=None, **about):
    sources, found, stations, a = city
    random = np.random.default_rng(5)
    told = (a @ (sources.rate * 1e6 * factor)).reshape(HOURS, 12)
    values = 20.0 + told * (1 + 0.2 * random.standard_normal(told.shape))
    values += random.normal(0, 1, values.shape)
    if change is not None:
        change(values)
    near = int(np.argmax(a[:, int(np.argmax(factor))].toarray().reshape(HOURS, 12).sum(axis=0)))
    return attribution.attribute(
        sources,
        np.zeros(20, bool) if monitored is None else monitored,
        found,
        stations,
        values,
        station=near,
        first=attribution.MEMORY,
        **about,
    )


def test_a_source_at_ten_times_its_known_rate_comes_first(city) -> None:
    factor = np.ones(20)
    factor[7] = 10.0
    found = ask(city, factor)
    assert found.shares[0].source == 7
    assert found.shares[0].probability > 0.8
    assert found.likely > 2 * found.explained
    assert found.shares[0].low <= found.shares[0].likely <= found.shares[0].high
    # What the shares say is what the station saw, within the noise that was put in.
    assert found.likely == pytest.approx(found.increment, rel=0.35)


def test_what_is_lost_on_the_way_must_have_been_emitted(city) -> None:
    """SO2 is lost, CO is not: the same known rates explain less of it, by the matrix of that weather."""
    factor = np.ones(20)
    kept, lost = (ask(city, factor, pollutant=p, draws=40) for p in ("CO", "SO2"))
    assert kept.explained == ask(city, factor, draws=40).explained
    assert 0.5 * kept.explained < lost.explained < 0.97 * kept.explained
    winds = loss.usual(city[1].winds, "SO2")
    assert winds.loss == pytest.approx(np.log(2) / 4 / 3600)
    assert ((winds.deposition > 0.001) & (winds.deposition < 0.01)).all()
    assert (
        loss.usual(city[1].winds, "PM2.5").loss == 0.0
    )  # rain, which no station reports, is its only sink


def test_honest_emissions_make_no_suspect(city) -> None:
    found = ask(city, np.ones(20))
    assert max(s.probability for s in found.shares) < 0.5
    assert found.explained == pytest.approx(found.increment, rel=0.4)


def test_a_monitored_source_is_believed(city) -> None:
    factor = np.ones(20)
    factor[7] = 10.0
    monitored = np.zeros(20, bool)
    monitored[7] = True
    found = ask(city, factor, monitored)
    (share,) = (s for s in found.shares if s.source == 7)
    assert share.probability == 0
    assert share.known == share.likely == share.low == share.high


def test_the_same_input_gives_the_same_answer(city) -> None:
    one, two = (ask(city, np.ones(20)) for _ in range(2))
    assert one.shares == two.shares


def test_what_cannot_be_a_concentration_is_dropped_and_counted(city) -> None:
    def spoil(values) -> None:
        values[3, 2] = -999.0
        values[10:18, 4] = 33.3

    found = ask(city, np.ones(20), change=spoil)
    assert found.dropped == {"negative": 1, "stuck": 8}


def test_small_whole_numbers_may_stand_still() -> None:
    values = np.array([[2.0, 40.0]] * 10 + [[3.0, 41.0]])
    kept, dropped = attribution.clean(values)
    assert dropped == {"stuck": 10}
    assert np.isfinite(kept[:, 0]).all()


def test_background_with_few_stations_is_that_of_all_hours() -> None:
    values = np.array([[10.0, np.nan], [20.0, 40.0], [30.0, 60.0]])
    assert attribution.background(values) == pytest.approx([np.nanquantile(values, 0.1)] * 3)


def test_nothing_to_say_is_said(city) -> None:
    sources, found, stations, _ = city
    values = np.full((HOURS, 12), np.nan)
    with pytest.raises(attribution.AttributionError, match="no valid hour"):
        attribution.attribute(
            sources, np.zeros(20, bool), found, stations, values, station=0, first=12
        )
    none = Sources(*(np.zeros(0) for _ in range(4)))
    with pytest.raises(attribution.AttributionError, match="no source"):
        attribution.attribute(
            none, np.zeros(0, bool), found, stations, values + 1, station=0, first=12
        )
