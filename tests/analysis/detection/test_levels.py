"""Levels: what one analyser does alone, what the plant does, and what several weak signs come to."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.detection.conftest import FIT, Make
from analysis.detection.injections import Columns
from analysis.detection.test_suite import falsified
from jingwei.analysis.detection import Suite, kernels, model, steps, streams, texts
from jingwei.analysis.detection.calibration import MODELLED, SHARES

FIRST = FIT + 100
AT = FIRST + 1650


def stepped(columns: Columns, *names: str) -> Columns:
    """Four missing hours, then 65 % of what it was, for the pollutants named."""
    copy = {k: v.copy() for k, v in columns.items()}
    for name in names:
        copy[name][AT : AT + 4] = np.nan
        copy[name][AT + 4 :] = np.round(copy[name][AT + 4 :] * 0.65, 3)
    return copy


def test_a_step_at_a_gap(suite: Suite, columns: Columns, make: Make) -> None:
    look = suite.look(make(stepped(columns, "NOX"), FIRST, AT + 200))
    clean = suite.look(make(columns, FIRST, AT + 200))
    key = ("NOX", "step_at_gap")
    assert clean.rarity[key].max() == -np.inf  # no gap, no step
    assert look.streams[key]["gap"].max() > np.log(7)  # honest gaps: once in seven months


def test_a_step_of_all_pollutants_is_the_plants() -> None:
    own = {("z", 24): np.array([3.0, 3.0, 3.0]), ("u", 24): np.array([1.0, 8.0, np.nan])}
    other = {("z", 24): np.array([2.0, -9.0, np.nan]), ("u", 24): np.array([99.0, 0.0, 0.0])}
    one = {("z", 24): 0.5, ("u", 24): 1.0}
    alone = steps._alone(own, [other], one, [{("z", 24): 1.0, ("u", 24): 1.0}])
    # 6 - 2 beats 1 - 6 (held); 8 beats 6; a step of the other that is not known takes nothing off.
    assert alone[24].tolist() == [4.0, 8.0, 6.0]


def test_what_all_pollutants_show_is_taken_off() -> None:
    low = np.array([3.0, 3.0, np.nan])
    groups = {
        "NOX": {"low": {"24": low}, "white": {"48": low}},
        "CO": {"low": {"24": np.array([2.0, -1.0, 5.0])}},
    }
    streams.alone(groups)
    assert groups["NOX"]["low"]["24"] == pytest.approx([1.0, 3.0, np.nan], nan_ok=True)
    assert groups["CO"]["low"]["24"] == pytest.approx([-1.0, -4.0, 5.0])
    assert groups["NOX"]["white"]["48"] is low
    only = {"NOX": {"low": {"24": low}}}
    streams.alone(only)
    assert only["NOX"]["low"]["24"] is low


def test_a_generator_is_deaf_to_the_plant(suite: Suite, columns: Columns, make: Make) -> None:
    """The process explains less than half as much of it as of the same honest days (e^0.7), and so
    little as honest history shows less than once in four months."""
    for seed in range(3):
        copy, a, b, stop = falsified(columns, "K12 generated", "NOX", seed)
        made, clean = suite.look(make(copy, FIRST, stop)), suite.look(make(columns, FIRST, stop))
        rows = slice(a - FIRST + 120 + made.later.shift, b - FIRST + made.later.shift)
        for window in ("level120", "level168", "change168"):
            a_, b_ = (x.streams["NOX", "deaf"][window][rows] for x in (made, clean))
            assert np.nanmax(a_) > np.nanmax(b_) + 0.7
        rarity = made.rarity["NOX", "deaf"][a - FIRST : b - FIRST]
        assert rarity.max() > np.log(4)


def test_the_share_that_a_window_explains() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(5000, 3))
    y = x @ np.array([1.0, -2.0, 0.5]) + rng.normal(size=5000)
    x[100:130, 1] = np.nan
    y[4000:4400] = rng.normal(size=400) * 3  # deaf
    y[4600] = np.nan
    share = kernels.explained(x, y, 200, 150)
    assert np.isnan(share[:149]).all()
    for end in (700, 2500, 4095, 4096, 4097, 4399, 4700):
        use = np.arange(end - 199, end + 1)
        use = use[~(np.isnan(y[use]) | np.isnan(x[use]).any(axis=1))]
        a, b = x[use] - x[use].mean(axis=0), y[use] - y[use].mean()
        c = a.T @ a / len(use)
        fit = np.linalg.solve(c + np.diag(0.02 * np.diag(c) + 0.001), a.T @ b / len(use))
        assert share[end] == pytest.approx(
            1 - np.mean((b - a @ fit) ** 2) / np.mean(b**2), rel=1e-9
        )
    assert share[4399] < 0.05 < 0.7 < share[2500]
    flat = kernels.explained(x, np.ones(5000), 200, 150)
    assert np.isnan(flat).all()  # nothing to explain


def test_joint_signs_are_told(suite: Suite, columns: Columns, make: Make) -> None:
    copy, a, _, stop = falsified(columns, "K12 generated", "NOX", 1)
    look = suite.look(make(copy, FIRST, stop))
    drafts = [d for d in look._alarms(3.0) if d.detector == "joint" and d.found >= a - FIRST]
    signs = drafts[0].numbers["signs"]
    assert 2 <= len(signs) <= 4
    assert list(signs.values()) == sorted(signs.values(), reverse=True)
    assert set(signs) <= set(SHARES)


def test_an_alarm_is_explained_by_the_state(suite: Suite, columns: Columns, make: Make) -> None:
    found = suite.detect(make(stepped(columns, "NOX"), FIRST, AT + 200), 1.0)
    told = [f for f in found if f.detector in MODELLED and f.factor == "NOX"]
    parameters = told[0].evidence.parameters
    assert suite.scaler is not None
    assert set(parameters["contributions"]) == set(suite.scaler.names)
    assert told[0].start.isoformat() <= parameters["explained_row"] <= told[0].end.isoformat()


def test_nothing_of_a_stretch_is_learnt_for_its_hidden_share(
    suite: Suite, columns: Columns, make: Make
) -> None:
    """Whatever is written after its begin, what was expected there stays the same."""
    first = AT - FIRST
    one = suite.look(make(columns, FIRST, AT + 500)).later.frozen(suite, "NOX", first)[0]
    copy = {k: v.copy() for k, v in columns.items()}
    copy["NOX"][AT:] *= 0.5
    two = suite.look(make(copy, FIRST, AT + 500)).later.frozen(suite, "NOX", first)[0]
    assert two[first:] == pytest.approx(one[first:])


def test_the_model_on_a_stretch_it_had_not_seen(suite: Suite, columns: Columns, make: Make) -> None:
    seen = suite.look(make(columns, FIT, len(columns["NOX"]))).quality()
    assert seen["NOX"].r2 > 0.55
    assert seen["CO"].r2 > 0.55
    assert seen["NOX"].rows > 5000


def test_the_correction_knows_nothing_young() -> None:
    r = np.zeros(200)
    r[50:] = 1.0
    out = kernels.follow(r, 60.0, 72, 0.4, 10.0)
    assert (out[:122] == 0).all()
    assert 0.25 < out[-1] < 0.4
    f, fast = np.r_[np.zeros(50), np.ones(150)], np.zeros(200)
    assert model.corrected(f, fast, np.ones(200, dtype=bool), 1.0) == pytest.approx(out)


def test_every_family_has_its_share_and_its_words(suite: Suite) -> None:
    assert {family for _, family in suite.families} | {"step_at_gap"} <= set(SHARES)
    assert set(SHARES) <= set(texts.DETECTORS)
