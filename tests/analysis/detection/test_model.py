"""The expected-emission model: it learns, it does not see what it must not see, it adds up."""

from __future__ import annotations

import numpy as np
import pytest

from jingwei.analysis.detection import model


@pytest.fixture(scope="module")
def world() -> tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray]:
    """(scaler, scaled state, features, a channel that is quadratic in the state)."""
    rng = np.random.default_rng(0)
    n = 2500
    columns = {"LOAD": 100 + 10 * rng.normal(size=n), "AIR": 15 + 5 * rng.normal(size=n)}
    scaler = model.Scaler.fit({**columns, "FIXED": np.ones(n)})
    assert scaler.names == ("LOAD", "AIR")  # a constant says nothing
    z = scaler.scaled(columns)
    y = 50 + 6 * z[:, 0] - 3 * z[:, 1] + 2 * z[:, 0] * z[:, 1] + rng.normal(size=n)
    return scaler, z, scaler.features(z, 1.0), y


def walked(phi: np.ndarray, y: np.ndarray) -> np.ndarray:
    return model.walk(phi, y, ~np.isnan(y), 700.0, 72, 96, 1.0, None)[0]


def test_it_learns_the_response(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, _, phi, y = world
    predicted = walked(phi, y)
    assert np.isnan(predicted[: model.LEAST]).all()
    assert model.quality(y, predicted, np.arange(len(y)) > 1200).r2 > 0.93


def test_what_is_written_now_is_not_learnt_for_three_days(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, _, phi, y = world
    other = y.copy()
    other[2000:] = 5.0
    a, b = walked(phi, y), walked(phi, other)
    assert np.array_equal(a[: 2000 + 72], b[: 2000 + 72], equal_nan=True)
    assert not np.allclose(a[2300:], b[2300:])


def test_missing_rows_are_neither_learnt_nor_predicted(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scaler, z, _, y = world
    holes = z.copy()
    holes[1500:1510, 0] = np.nan
    predicted = walked(scaler.features(holes, 1.0), y)
    assert np.isnan(predicted[1500:1510]).all()
    assert np.isfinite(predicted[1530:]).all()


def test_no_input_sends_the_prediction_to_infinity(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scaler, z, _, y = world
    wild = z.copy()
    wild[2000:] *= 1e6
    predicted = walked(scaler.features(wild, 1.0), y)
    spread = y.max() - y.min()
    assert np.nanmax(predicted) < y.max() + 2 * spread
    assert np.nanmin(predicted) > y.min() - 2 * spread


def test_contributions_add_up_to_the_prediction(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scaler, z, phi, y = world
    _, memory = model.walk(phi, y, ~np.isnan(y), 700.0, 0, len(y), 1.0, None)
    beta = model.kernels.solve(memory.gram, memory.cross, np.full(len(memory.cross), model.PENALTY))
    parts = model.contributions(scaler, z, 2400, memory, 1.0)
    base = scaler.features(np.zeros((13, 2)), 1.0)[-1] @ beta
    whole = scaler.features(z[2388:2401], 1.0)[-1] @ beta
    assert sum(parts.values()) == pytest.approx(whole - base, abs=1e-6)


def test_contributions_are_shapley_values(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two columns: the mean of what each adds when it comes first and when it comes last. Orders
    drawn by chance must come to the same for two columns."""
    scaler, z, phi, y = world
    _, memory = model.walk(phi, y, ~np.isnan(y), 700.0, 0, len(y), 1.0, None)
    beta = model.kernels.solve(memory.gram, memory.cross, np.full(len(memory.cross), model.PENALTY))

    def worth(*kept: int) -> float:
        part = np.zeros((13, 2))
        part[:, list(kept)] = z[2388:2401, list(kept)]
        return float(scaler.features(part, 1.0)[-1] @ beta)

    first = 0.5 * (worth(0) - worth()) + 0.5 * (worth(0, 1) - worth(1))
    exact = model.contributions(scaler, z, 2400, memory, 1.0)
    assert exact[scaler.names[0]] == pytest.approx(first, abs=1e-9)
    monkeypatch.setattr(model, "EXACT", 1)
    drawn = model.contributions(scaler, z, 2400, memory, 1.0)
    assert drawn == pytest.approx(exact, abs=1e-9)


def test_importance_names_what_matters(
    world: tuple[model.Scaler, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scaler, z, phi, y = world
    half = np.arange(len(y)) < 1500
    _, memory = model.walk(phi, y, half, 700.0, 0, len(y), 1.0, None)
    found = model.importance(scaler, z, y, ~half, 1.0, memory)
    assert found["LOAD"] > found["AIR"] > 0.5


def test_skewed_channels_are_taken_by_their_root() -> None:
    rng = np.random.default_rng(0)
    skewed = np.exp(rng.normal(size=1000))
    t = model.Transform.fit(skewed)
    assert t.root
    assert t.back(t.forward(skewed)) == pytest.approx(skewed)
    assert not model.Transform.fit(100 + rng.normal(size=1000)).root
