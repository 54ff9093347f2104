"""Every kernel against plain NumPy or plain Python, on series with holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.analysis.detection import kernels


def holed(seed: int, n: int, share: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=n).cumsum(), 1)
    x[rng.random(n) < share] = np.nan
    return x


series = st.builds(
    holed, st.integers(0, 10**6), st.integers(1, 400), st.sampled_from([0.0, 0.1, 0.6, 1.0])
)
window = st.integers(1, 60)
fast = settings(max_examples=60, deadline=None)


def past(x: np.ndarray, t: int, w: int) -> np.ndarray:
    part = x[max(0, t - w + 1) : t + 1]
    return part[~np.isnan(part)]


@fast
@given(series, window, st.integers(1, 20))
def test_rolling_mean(x: np.ndarray, w: int, least: int) -> None:
    out = kernels.rolling_mean(x, w, least)
    for t in range(len(x)):
        p = past(x, t, w)
        if len(p) < least:
            assert np.isnan(out[t])
        else:
            assert out[t] == pytest.approx(p.mean(), abs=1e-9)


def test_running_sums_do_not_drift() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=3 * kernels.FRESH) + 1e9
    out = kernels.rolling_mean(x, 24, 1)
    exact = np.lib.stride_tricks.sliding_window_view(x, 24).mean(axis=1)
    assert np.abs(out[23:] - exact).max() < 1e-5


@fast
@given(series, st.integers(0, 10**6), window)
def test_rolling_moments(x: np.ndarray, seed: int, w: int) -> None:
    y = holed(seed, len(x), 0.1)
    out = kernels.rolling_moments(x, y, w, 2)
    for t in range(len(x)):
        a, b = x[max(0, t - w + 1) : t + 1], y[max(0, t - w + 1) : t + 1]
        ok = ~(np.isnan(a) | np.isnan(b))
        if ok.sum() < 2:
            assert np.isnan(out[:, t]).all()
            continue
        a, b = a[ok], b[ok]
        assert out[0, t] == len(a)
        expected = [a.mean(), b.mean(), a.var(), b.var(), np.mean((a - a.mean()) * (b - b.mean()))]
        assert out[1:, t] == pytest.approx(expected, abs=1e-8)


@fast
@given(series)
def test_runs(x: np.ndarray) -> None:
    out = kernels.runs(x)
    length = 0
    for t in range(len(x)):
        if np.isnan(x[t]):
            length = 0
        elif t and x[t] == x[t - 1]:
            length += 1
        else:
            length = 1
        assert out[t] == length


@fast
@given(series, st.integers(2, 30), st.integers(1, 12))
def test_top_spread(x: np.ndarray, w: int, k: int) -> None:
    out = kernels.top_spread(x, w, k, 1)
    for t in range(len(x)):
        p = np.sort(past(x, t, w))[::-1]
        if len(p) >= max((3 * w) // 4, k):
            assert out[t] == p[0] - p[k - 1]
        else:
            assert np.isnan(out[t])


@fast
@given(st.lists(st.integers(-1, 9), min_size=1, max_size=200), window)
def test_digit_counts(digits: list[int], w: int) -> None:
    out = kernels.digit_counts(np.array(digits, dtype=np.int64), w, 10)
    for t in range(len(digits)):
        part = [d for d in digits[max(0, t - w + 1) : t + 1] if d >= 0]
        assert out[t].tolist() == [part.count(d) for d in range(10)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_best_lag_is_the_best_correlation(seed: int) -> None:
    d = np.diff(holed(seed, 120, 0.02))
    w, low, high = 8, 8, 40
    best, where = kernels.best_lag(d, w, low, high, 0)
    for t in range(len(d)):
        found = []
        for lag in range(low, high + 1):
            if t - w + 1 - lag < 0:
                continue
            a, b = d[t - w + 1 : t + 1], d[t - w + 1 - lag : t + 1 - lag]
            if np.isnan(a).any() or np.isnan(b).any() or a.std() == 0 or b.std() == 0:
                continue
            found.append(float(np.corrcoef(a, b)[0, 1]))
        if found:
            assert best[t] == pytest.approx(max(found), abs=1e-9)
            assert low <= where[t] <= high
        else:
            assert best[t] == -1


@fast
@given(st.lists(st.integers(0, 3), min_size=12, max_size=80), st.integers(1, 6))
def test_equal_windows_have_equal_hashes_and_others_do_not(codes: list[int], w: int) -> None:
    hashes = kernels.windows(np.array(codes, dtype=np.int64), w)
    places: dict[tuple[int, ...], int] = {}
    for t in range(w - 1, len(codes)):
        key = tuple(codes[t - w + 1 : t + 1])
        assert places.setdefault(key, int(hashes[t])) == int(hashes[t])
    assert len(set(places.values())) == len(places)


def test_cusum_and_scale() -> None:
    z = np.array([0.0, -2.0, np.nan, -2.0, 3.0, -1.0])
    assert kernels.cusum(z, 0.5, 1.0).tolist() == [0.0, 1.5, 1.5, 3.0, 0.0, 0.5]
    r = np.ones(50)
    out = kernels.lagged_scale(r, 10.0, 5, 10)
    assert np.isnan(out[:14]).all()
    assert out[14:] == pytest.approx(1.2533)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_ridge_kernels_solve_the_normal_equations(seed: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, w = rng.normal(size=(60, p)), rng.normal(size=60), rng.random(60)
    gram, cross = np.zeros((p, p)), np.zeros(p)
    kernels.learn(gram, cross, x, y, w)
    full = x.T @ (x * w[:, None])
    assert np.tril(gram) == pytest.approx(np.tril(full))
    penalty = rng.random(p) + 0.1
    expected = np.linalg.solve(full + np.diag(penalty), x.T @ (w * y))
    assert kernels.solve(gram, cross, penalty) == pytest.approx(expected, abs=1e-8)


def plain_screen(x: np.ndarray, w: int, low: float, high: float, k: float) -> np.ndarray:
    """One series, in binary64."""
    keep, step = 1 - 1 / w, 1 / w
    run = e1 = e2 = band = gone = down = 0.0
    out = np.array([0.0, np.inf, np.inf, 0.0, 0.0, 0.0])
    for t in range(2, len(x)):
        v, d = x[t], x[t] - x[t - 1]
        dd = d - (x[t - 1] - x[t - 2])
        run = run + 1 if d == 0 else 0.0
        e1 = keep * e1 + step * (e1 if np.isnan(dd) else d * d)
        e2 = keep * e2 + step * (e2 if np.isnan(dd) else dd * dd)
        band = keep * band + step * (low <= v <= high)
        gone = keep * gone + step * np.isnan(v)
        down = down if np.isnan(v) else max(0.0, down - v - k)
        out[0], out[3], out[4], out[5] = (
            max(out[0], run), max(out[3], band), max(out[4], down), max(out[5], gone),
        )  # fmt: skip
        if t >= 3 * w:
            out[1], out[2] = min(out[1], e1), min(out[2], e2 / (e1 + 1e-12))
    return out


def test_fused_screen_equals_the_plain_one() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(600, kernels.LANES)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    x[100:130, 3] = x[100, 3] if not np.isnan(x[100, 3]) else 0.5
    out = kernels.screen(x, 24, 0.8, 1.0, 0.5)
    for j in range(kernels.LANES):
        expected = plain_screen(x[:, j].astype(np.float64), 24, np.float32(0.8), 1.0, 0.5)
        assert out[:, j] == pytest.approx(expected, rel=2e-4, abs=2e-5)
    assert out[0, 3] >= 29
