"""Backward puffs, the inversion and its honesty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_matrix, hstack

from jingwei.analysis.air import reference, sampler, tracing
from jingwei.analysis.air.field import city
from jingwei.analysis.air.puffs import Grid, Sources, Winds, forward

PLACES = np.array([[25e3, 25e3, 2.0], [30e3, 28e3, 2.0], [20e3, 33e3, 2.0]])


def test_backwards_is_forwards() -> None:
    sources, winds, grid = city.region(30, 100, 4, seed=2)
    a = tracing.matrix(sources, winds, PLACES, arrivals=6, threads=2)
    told = forward(
        sources, winds, grid, receptors=PLACES, releases=12, mesh=False, threads=2
    ).stations[..., 0]
    found = (a @ sources.rate).reshape(4, 3)
    assert a.shape == (12, 30)
    # The two spread with the turbulence of different places on the way.
    assert found[1:] == pytest.approx(told[1:], rel=0.3)
    assert found[1:].sum() == pytest.approx(told[1:].sum(), rel=0.1)


def test_loss_and_deposition_are_the_same_backwards() -> None:
    """Each source's share at each receptor is that of the model forwards, within 2 %, with first-order
    loss and deposition that change by the hour, in a turning wind over even ground."""
    hours = 5
    angle = np.radians(np.linspace(-12, 12, hours + 1))
    one = np.ones((hours + 1, 2, 2))
    winds = Winds(
        x0=-1e5, y0=-1e5, size=2e5, u=4 * np.cos(angle)[:, None, None] * one,
        v=4 * np.sin(angle)[:, None, None] * one, ustar=0.4 * one, obukhov=-200.0 * one,
        zi=700.0 * one, deposition=np.array([0.01, 0.0, 0.03, 0.02, 0.01]),
        loss=np.array([0.0, 1e-4, 3e-5, 2e-4, 5e-5]),
    )  # fmt: skip
    x = np.array([-3e3, -8e3, -8e3, -15e3, -25e3, -25e3])
    sources = Sources(
        x=x, y=np.array([0.0, 500.0, -1e3, 0.0, -1e3, -2e3]), rate=np.ones(6),
        height=np.array([15.0, 20.0, 90.0, 45.0, 30.0, 150.0]), group=np.arange(6, dtype=np.int32),
    )  # fmt: skip
    places = np.array([[0.0, 0.0, 3.0], [2e3, 1.5e3, 3.0]])

    def both(air: Winds) -> tuple[np.ndarray, np.ndarray]:
        told = forward(
            sources, air, Grid(-30e3, -15e3, 1e3, 40, 30), receptors=places, releases=60, mesh=False,
            schedule=(60, 60, 60, 60), threads=1,
        ).stations  # fmt: skip
        a = tracing.matrix(sources, air, places, arrivals=60, schedule=(60, 60, 60, 60), threads=1)
        return told, a.toarray().reshape(told.shape)

    told, found = both(winds)
    some = told > 0.1 * told[2:].max(axis=(0, 1))
    some[:2] = False  # the air is still filling
    assert some.any(axis=(0, 1)).all()
    assert found[some] == pytest.approx(told[some], rel=0.02)
    plain, _ = both(replace(winds, deposition=0.0, loss=0.0))
    assert (told[some] / plain[some]).min() < 0.5
    _, wet = both(replace(winds, deposition=0.0))
    _, dry = both(replace(winds, loss=0.0))
    assert (found[some] < wet[some]).all()
    assert (found[some] < dry[some]).all()


def day_and_night(depths: list[float], ustar: list[float]) -> Winds:
    """2 m/s to the east; convective where the layer is deep, stable where it is shallow."""
    one = np.ones((len(depths), 2, 2))
    zi = np.array(depths)[:, None, None] * one
    return Winds(
        x0=-1e5, y0=-1e5, size=2e5, u=2 * one, v=0 * one, zi=zi,
        ustar=np.array(ustar)[:, None, None] * one, obukhov=np.where(zi > 500, -30.0, 20.0),
    )  # fmt: skip


SUNSET = day_and_night([1500.0] * 7 + [100.0] * 8, [0.3] * 7 + [0.08] * 8)
SUNRISE = day_and_night([100.0] * 7 + [400.0, 900.0, 1400.0] + [1500.0] * 5, [0.08] * 7 + [0.3] * 8)


@pytest.mark.parametrize("winds", [SUNSET, SUNRISE], ids=["sunset", "sunrise"])
@pytest.mark.parametrize("deposition", [0.0, 0.01])
@pytest.mark.parametrize("height", [40.0, 150.0])
def test_a_lid_that_falls_or_rises_is_the_same_backwards(
    winds: Winds, deposition: float, height: float
) -> None:
    """A receptor at 30 km, hour by hour, of what was released before the lid moved, and after: within 15 %."""
    winds = replace(winds, deposition=deposition)
    sources = Sources(
        x=np.array([-30e3]), y=np.zeros(1), height=np.array([height]), rate=np.ones(1)
    )
    places = np.array([[0.0, 0.0, 3.0]])
    told = forward(
        sources, winds, Grid(-40e3, -10e3, 1e3, 50, 20), receptors=places, releases=60, mesh=False,
        threads=1, schedule=(60, 20, 20, 20),
    ).stations[:, 0, 0]  # fmt: skip
    a = tracing.matrix(
        sources, winds, places, arrivals=60, threads=1, schedule=(20, 20, 20, 20)
    ).toarray()[:, 0]
    some = np.arange(winds.hours) >= 6
    assert a[some] == pytest.approx(told[some], rel=0.15, abs=0.01 * told[6])


def test_what_is_mixed_stays_mixed_at_sunset() -> None:
    """A puff that has filled the layer keeps its depth below the lid of the night, none is lost, and
    what hangs above that lid stays there until the next one takes it in."""
    sources = Sources(x=np.array([-30e3]), y=np.zeros(1), height=np.array([40.0]), rate=np.ones(1))
    grid = Grid(-40e3, -10e3, 5e3, 10, 4)
    places = np.array([[0.0, 0.0, 3.0]])
    # Steps short beside the puff: the slow twin takes a step for its middle.
    about: dict[str, Any] = {"receptors": places, "memory": 6, "schedule": (60, 20, 20, 20)}
    found = forward(sources, SUNSET, grid, threads=1, **about)
    told = found.stations[:, 0, 0]
    # On its way since the afternoon; narrower than before, as the wind meanders less at night.
    assert (told[7:9] < 1.6 * told[6]).all()
    b = found.balance
    assert b.airborne + b.left + b.lost + b.aged == pytest.approx(b.emitted, rel=1e-5)
    _, slow = reference.forward(sources, SUNSET, grid, **about)
    assert told[6:] == pytest.approx(slow[6:, 0], rel=0.01)
    aloft = replace(sources, height=np.array([150.0]))
    night = day_and_night([100.0] * 7 + [1500.0] * 8, [0.08] * 7 + [0.3] * 8)
    told = forward(aloft, night, grid, receptors=places, mesh=False, threads=1).stations[:, 0, 0]
    assert (told[:7] == 0).all()
    assert told[7] > 0


def test_matrix_is_causal() -> None:
    """A source downwind of the receptor has no share."""
    _, winds, _ = city.region(1, 100, 3)
    winds = replace(winds, u=0 * winds.u + 4, v=0 * winds.v)
    places = np.array([[25e3, 25e3, 2.0]])
    at = Sources(
        x=np.array([15e3, 35e3]), y=np.full(2, 25e3), height=np.full(2, 20.0), rate=np.ones(2)
    )
    a = tracing.matrix(at, winds, places, threads=1).toarray()
    assert a[-1, 0] > 0
    assert (a[:, 1] == 0).all()
    with pytest.raises(ValueError, match="receptors"):
        tracing.matrix(at, winds, [[np.nan, 0.0, 0.0]])


def test_turned_wind() -> None:
    _, winds, _ = city.region(1, 100, 2)
    found = tracing.turned(winds, 90.0, 2.0)
    assert found.u == pytest.approx(-2 * winds.v)
    assert found.v == pytest.approx(2 * winds.u)


@pytest.fixture(scope="module")
def small() -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """40 sources, 12 hours of 10 stations; sources 7 and 20 exceed eight times; 38 stands at 39."""
    random = np.random.default_rng(4)
    a = random.random((120, 40)) * (random.random((120, 40)) < 0.2)
    a[:, 39] = 1.02 * a[:, 38]
    inventory = random.lognormal(0, 0.5, 40)
    factor = random.lognormal(0, 0.2, 40)
    factor[[7, 20]] = 8.0
    exact = a @ (inventory * factor)
    return csr_matrix(a), inventory, exact * (1 + 0.1 * random.standard_normal(120))


def test_exceeders_lead_the_list(small: tuple[csr_matrix, np.ndarray, np.ndarray]) -> None:
    a, inventory, measured = small
    found = tracing.invert(a, measured, inventory, hours=12, noise=0.05, relative=0.1)
    assert {c.source for c in found.ranked[:2]} == {7, 20}
    for c in found.ranked[:2]:
        assert c.probability > 0.95
        assert c.low < 8 * c.inventory < c.high
    assert [c.probability for c in found.ranked] == sorted(
        (c.probability for c in found.ranked), reverse=True
    )
    assert found.probability[[0, 1, 2]].max() < 0.2


def test_sources_that_look_alike_are_named(
    small: tuple[csr_matrix, np.ndarray, np.ndarray],
) -> None:
    a, inventory, measured = small
    found = tracing.invert(a, measured, inventory, hours=12, noise=0.05, first=40, draws=300)
    by = {c.source: c.alike for c in found.ranked}
    assert by[38] == (39,)
    assert by[39] == (38,)
    assert by[7] == ()


def test_a_monitored_source_keeps_its_rate(
    small: tuple[csr_matrix, np.ndarray, np.ndarray],
) -> None:
    a, inventory, measured = small
    pinned = np.zeros(40, bool)
    pinned[7] = True
    found = tracing.invert(a, measured, inventory, hours=12, noise=0.05, pinned=pinned, draws=300)
    assert found.probability[7] == 0
    assert found.rate[7] == inventory[7]


def test_gaps_are_left_out_and_no_data_is_refused(
    small: tuple[csr_matrix, np.ndarray, np.ndarray],
) -> None:
    a, inventory, measured = small
    some = measured.copy()
    some[:30] = np.nan
    found = tracing.invert(a, some, inventory, hours=12, noise=0.05, relative=0.1, draws=500)
    assert {c.source for c in found.ranked[:2]} == {7, 20}
    with pytest.raises(ValueError, match="no measurement"):
        tracing.invert(a, measured * np.nan, inventory, hours=12, noise=0.05)
    with pytest.raises(ValueError, match="do not fit"):
        tracing.invert(a, measured, inventory, hours=7, noise=0.05)
    with pytest.raises(ValueError, match="inventory"):
        tracing.invert(a, measured, -inventory, hours=12, noise=0.05)


def test_unseen_sources_keep_their_prior() -> None:
    """A source that no station sees: wide interval round its inventory, no accusation."""
    a = csr_matrix(np.array([[1.0, 0.0]] * 20))
    found = tracing.invert(a, np.ones(20), np.ones(2), hours=4, noise=0.1, draws=4000)
    assert found.seen == 1
    assert found.rate[1] == pytest.approx(1.0, rel=0.1)
    assert found.low[1] < 0.6 < 1.7 < found.high[1]
    assert 0.01 < found.probability[1] < 0.1
    assert found.high[0] - found.low[0] < 0.5
    assert np.isnan(found.rhat[1])


def sampled(
    b: np.ndarray, y: np.ndarray, wind: np.ndarray, hours: list[int], grid: np.ndarray,
    usual: tuple[float, float], share: tuple[float, float], draws: int, plume: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    part = csc_matrix(b.astype(np.float32))
    n = b.shape[1]
    return sampler.chain(
        part.indptr.astype(np.int64), part.indices.astype(np.int64), part.data, y,
        np.ones(len(y)), wind, np.array(hours), grid, np.ones(n), np.zeros(n, bool),
        np.array(usual), np.array(share), 1e6, plume, draws, 500, 3,
    )  # fmt: skip


def test_sampler_against_the_exact_posterior() -> None:
    """Two correlated rates, flat prior on the log, and a common error of the wind in each hour: mean
    and spread by direct integration, the wind's error as covariance."""
    random = np.random.default_rng(8)
    b = random.uniform(0, 4, (8, 2))
    wind = random.normal(0, 1.5, (8, 2))
    y = b @ np.array([1.5, 1.0]) + random.standard_normal(8)
    grid = np.linspace(np.log(0.05), np.log(60), 300)
    # Everything is far off: the share is known to be 1.
    chain, about = sampled(b, y, wind, [0, 4, 8], grid, (1e9, 1e9), (1e12, 1e-6), 20000)
    assert about[:, 1].min() > 0.999
    f = np.exp(grid)
    x, z = np.meshgrid(f, f, indexing="ij")
    log = np.zeros(x.shape)
    for k in (0, 4):
        cov = np.linalg.inv(np.eye(4) + wind[k : k + 4] @ wind[k : k + 4].T)
        off = y[k : k + 4, None, None] - b[k : k + 4, :1, None] * x - b[k : k + 4, 1:, None] * z
        log -= 0.5 * np.einsum("iab,ij,jab->ab", off, cov, off)
    p = np.exp(log - log.max())
    p /= p.sum()
    for k, value in ((0, x), (1, z)):
        mean = (p * value).sum()
        assert chain[:, k].mean() == pytest.approx(mean, rel=0.03)
        assert chain[:, k].std() == pytest.approx(np.sqrt((p * value**2).sum() - mean**2), rel=0.08)


def test_sampler_learns_spread_and_share() -> None:
    """300 rates measured well: 285 within lognormal 0.25 of the inventory, 15 far off."""
    random = np.random.default_rng(9)
    factor = random.lognormal(0, 0.25, 300)
    factor[:15] = random.uniform(5, 20, 15)
    b = 50 * np.eye(300)
    about = (np.zeros((300, 0)), [0, 300], tracing.GRID, (4.0, 0.64), (1.0, 49.0), 2000)
    chain, hyper = sampled(b, b @ factor + random.standard_normal(300), *about)
    assert hyper[:, 0].mean() == pytest.approx(0.25, rel=0.15)
    assert 0.03 < hyper[:, 1].mean() < 0.08
    assert chain.mean(axis=0) == pytest.approx(factor, rel=0.15)
    # What is wrong with a plume all the time widens those far off and no others.
    wider, _ = sampled(b, b @ factor + random.standard_normal(300), *about, plume=0.25)
    assert np.log(wider[:, :15]).std(axis=0).mean() == pytest.approx(0.25, rel=0.1)
    assert np.log(wider[:, 30:]).std(axis=0).mean() < 0.06


def test_the_expected_matrix_is_that_of_winds_with_errors() -> None:
    """What puffs under many wrong winds bring in the mean, and not what those of the given wind do."""
    _, winds, _ = city.region(1, 100, 6, seed=2)
    winds = replace(winds, u=0 * winds.u + 4, v=0 * winds.v)
    places = np.array([[30e3, 25e3 + 400 * k, 2.0] for k in range(-6, 7)])
    source = Sources(
        x=np.array([20e3]), y=np.array([25e3]), height=np.full(1, 20.0), rate=np.ones(1)
    )
    ways = tracing.transport(source, winds, places, degrees=8.0, speed=0.15, memory=4, threads=1)
    random = np.random.default_rng(1)
    many = np.mean(
        [
            tracing.matrix(
                source, tracing.turned(winds, 8 * t, float(np.exp(0.15 * s))), places, memory=4,
                threads=1,
            )[-13:].toarray()
            for t, s in random.standard_normal((200, 2))
        ],
        axis=0,
    )  # fmt: skip
    told, given = (x[-13:].toarray().ravel() for x in (ways.mean, ways.members[0][1]))
    many = many.ravel()
    assert given.max() > 1.3 * many.max()
    # Three winds stand for all: ten kilometres away the middle one shows a little.
    assert told[6] == pytest.approx(many[6], rel=0.3)
    assert np.abs(told - many).sum() < 0.5 * np.abs(given - many).sum()
    assert sum(w for w, _ in ways.members) == pytest.approx(1)


def test_sources_out_of_sight_change_nothing(
    small: tuple[csr_matrix, np.ndarray, np.ndarray],
) -> None:
    """A thousand sources that no station sees cost nothing and change nothing."""
    a, inventory, measured = small
    more = hstack([a, csr_matrix((120, 1000))]).tocsr()
    about = {"hours": 12, "noise": 0.05, "relative": 0.1}
    one = tracing.invert(a, measured, inventory, **about)
    other = tracing.invert(more, measured, np.concatenate([inventory, np.ones(1000)]), **about)
    assert other.seen == one.seen
    assert other.rate[:40] == pytest.approx(one.rate)
    assert {c.source for c in other.ranked[:2]} == {7, 20}


@pytest.fixture(scope="module")
def little() -> city.Found:
    truth = city.exceeders(2, enterprises=300, stations=60, hours=24, true=5)
    return city.trace(truth, seed=2, memory=4)


def test_a_little_city(little: city.Found) -> None:
    """End to end with a wrong wind: better than least squares, and not by accusing everyone."""
    assert little.visible == 5
    assert little.recall >= 0.8
    assert little.recall > little.least_squares
    assert little.unsettled <= 10
    # Accused with 0.8 or more are few who are innocent.
    accused = little.probability >= 0.8
    assert accused.sum() >= 2
    assert little.exceeds[accused].mean() >= 0.6
    assert little.probability[~little.exceeds].mean() < 0.03


def test_intervals_hold_what_they_promise_for_those_listed(little: city.Found) -> None:
    """Three more cities beside the little one: 120 listed, 20 exceeders; promised are 0.9. A share of
    0.8 of 120 lies three standard errors below."""
    more = [little] + [
        city.trace(
            city.exceeders(seed, enterprises=300, stations=60, hours=24, true=5),
            seed=seed, memory=4,
        )
        for seed in (3, 4, 5)
    ]  # fmt: skip
    assert np.mean([f.listed for f in more]) >= 0.8
    assert np.mean([f.coverage for f in more]) >= 0.85
    # Of those that are found the promise is harder: the list picks what stands out.
    assert sum(f.caught * f.located for f in more) / sum(f.located for f in more) >= 0.5
    for low, _, count, told, true in city.reliability(more):
        # Within three standard errors of what was told, and 0.1 for what is wrong with the model.
        assert abs(true - told) < 3 * np.sqrt(max(told * (1 - told), 0.02) / count) + 0.1, low


def test_reliability_counts_by_what_was_told() -> None:
    nothing = dict.fromkeys(
        ("recall", "least_squares", "coverage", "listed", "exceeding", "caught"), 0.0
    )
    one = city.Found(
        probability=np.array([0.0, 0.02, 0.6, 0.7, 1.0]),
        exceeds=np.array([False, False, True, False, True]),
        unsettled=0, located=0, visible=0, seconds=0.0, **nothing,
    )  # fmt: skip
    assert city.reliability([one, one]) == [
        (0.0, 0.05, 4, 0.01, 0.0),
        (0.5, 0.8, 4, pytest.approx(0.65), 0.5),
        (0.95, 1.0, 2, 1.0, 1.0),
    ]
