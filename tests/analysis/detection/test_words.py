"""What a sheet may claim: rarity no farther than the history reaches, no chance that nobody counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.detection.conftest import FIT, Make
from analysis.detection.injections import Columns
from jingwei.analysis.detection import Suite, labels, model
from jingwei.analysis.detection.finding import NOT_ESTIMATED


def test_rarity_goes_no_farther_than_three_times_the_history() -> None:
    near = labels.rare("statistical", None, 1.0, 7.5)
    assert "once in 10 months" in near.en
    far = labels.rare("statistical", None, 6.0, 7.5)
    assert "Rarer than once in 22 months" in far.en
    assert "7.5" in far.en
    assert "比每 22 个月一次更罕见" in far.zh
    assert "5 years" in labels.rare("statistical", None, 6.0, 20.0).en


def test_a_chance_nobody_counted_is_no_number() -> None:
    told = labels.rare("exact", None, 6.0)
    assert "not estimated" in told.en
    assert not any(c.isdigit() for c in told.en + told.zh)
    assert "0.003" in labels.rare("exact", 0.003, 2.5).en


def test_a_scaled_copy_states_no_chance(suite: Suite, columns: Columns, make: Make) -> None:
    copy = {k: v.copy() for k, v in columns.items()}
    a = FIT + 800
    copy["NOX"][a : a + 72] = np.round(0.9 * copy["NOX"][a - 400 : a - 328], 3)
    found = suite.detect(make(copy, FIT, FIT + 1000))
    (scaled,) = [f for f in found if f.detector == "copy_scaled"]
    assert "p" not in scaled.evidence.numbers
    assert "rate_per_month" not in scaled.evidence.numbers
    assert scaled.p_value == NOT_ESTIMATED
    for f in found:
        if f.tier == "statistical":
            assert suite.fused is not None
            assert f.evidence.parameters["months"] == pytest.approx(suite.fused.months, rel=1e-5)


def test_the_gate_is_measured_on_what_accuses() -> None:
    """A model that is 10 low for ever, put right by its recent error, is no good model."""
    rng = np.random.default_rng(1)
    y = 50 + 3 * np.sin(np.arange(2000) / 9) + rng.normal(size=2000) / 10
    fast = y - 10
    use = np.ones(2000, dtype=bool)
    late = np.arange(2000) >= 500
    quality = model.measured(model.Transform(False, 0, 100), y, y, fast, use, 1.0, late)
    assert quality.r2 < 0
    assert not quality.passed
    assert quality.r2_corrected > quality.r2


def test_no_band_where_the_gate_is_shut(suite: Suite, columns: Columns, make: Make) -> None:
    later = suite.look(make(columns, FIT, FIT + 300)).later
    assert later.band(suite, "NOX") is not None
    later.tracks = [replace(t, modelled=False) for t in later.tracks]
    assert later.band(suite, "NOX") is None
