"""Backward puffs, the inversion and its honesty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from jingwei.analysis.air import kernels, tracing
from jingwei.analysis.air.field import city
from jingwei.analysis.air.puffs import Sources, forward

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
    assert found.rate[1] == pytest.approx(1.0, rel=0.15)
    assert found.low[1] < 0.5 < 2 < found.high[1]
    assert found.probability[1] < 0.2
    assert found.high[0] - found.low[0] < 0.5


def test_gibbs_against_the_exact_posterior() -> None:
    """Two correlated rates, flat prior on the log: mean and spread by direct integration."""
    h = np.array([[50.0, 30.0], [30.0, 40.0]])
    g = h @ np.array([1.5, 1.0])
    grid = np.linspace(np.log(0.05), np.log(60), 300)
    chain = kernels.gibbs(h, g, grid, np.zeros(300), np.ones(2), np.zeros(2, bool), 20000, 500, 3)
    f = np.exp(grid)
    x, y = np.meshgrid(f, f, indexing="ij")
    log = g[0] * x + g[1] * y - 0.5 * (h[0, 0] * x * x + 2 * h[0, 1] * x * y + h[1, 1] * y * y)
    p = np.exp(log - log.max())
    p /= p.sum()
    assert chain[:, 0].mean() == pytest.approx((p * x).sum(), rel=0.02)
    assert chain[:, 1].std() == pytest.approx(
        np.sqrt((p * y**2).sum() - (p * y).sum() ** 2), rel=0.06
    )


def test_a_little_city() -> None:
    """End to end with a wrong wind: better than least squares, and not by accusing everyone."""
    truth = city.exceeders(2, enterprises=300, stations=60, hours=24, true=5)
    found = city.trace(truth, seed=2, memory=4)
    assert found.visible == 5
    assert found.recall >= 0.8
    assert found.recall > found.least_squares
    assert 0.85 <= found.coverage <= 1.0
