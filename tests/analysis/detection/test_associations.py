from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from analysis.detection.conftest import HOUR, START
from jingwei.analysis.detection import Monitor
from jingwei.analysis.detection.associations import (
    adjust,
    calendar,
    episodes,
    exceedances,
    fisher,
    levels,
    rules,
)

N = 24 * 365


def made(seed: int, planted: bool) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """A year of rare events over seven groups of conditions that change slowly or fast; where
    planted, three times as many at night and, apart from that, in fog on high load."""
    rng = np.random.default_rng(seed)
    hour = np.arange(N) % 24
    items = {
        "hour": {f"{a}": (hour >= a) & (hour < a + 6) for a in range(0, 24, 6)},
        "day": {f"{d}": (np.arange(N) // 24) % 7 == d for d in range(7)},
    }
    for group, block, parts in (
        ("weather", 12, 4),
        ("load", 8, 3),
        ("campaign", 72, 2),
        ("wind", 6, 3),
        ("peers", 5, 2),
    ):
        state = rng.integers(0, parts, N // block + 1).repeat(block)[:N]
        items[group] = {f"{i}": state == i for i in range(parts)}
    rate = np.full(N, 0.006)
    if planted:
        rate[items["hour"]["0"]] *= 4
        rate[items["weather"]["2"] & items["load"]["1"]] *= 6
    return episodes(rng.random(N) < rate, 1), items


def test_fisher_is_fishers() -> None:
    for n, k, drawn, hits in ((50, 20, 10, 8), (1000, 30, 12, 2), (8, 4, 4, 3)):
        table = [[hits, k - hits], [drawn - hits, n - k - drawn + hits]]
        assert fisher(n, k, drawn, hits) == pytest.approx(
            fisher_exact(table, alternative="greater").pvalue
        )


def test_adjusted_p_is_benjamini_hochbergs() -> None:
    """R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), "BH")."""
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_planted_rules_come_back_and_few_others() -> None:
    found_night = found_pair = false = total = 0
    for seed in range(12):
        events, items = made(seed, planted=True)
        found = rules(events, items, q=0.1)
        names = [set(r.items) for r in found]
        found_night += {("hour", "0")} in names
        found_pair += {("weather", "2"), ("load", "1")} in names
        for r in found:
            total += 1
            # True: the planted ones, and what they imply for one of their items.
            told = set(r.items) & {("hour", "0"), ("weather", "2"), ("load", "1")}
            false += not told
    assert found_night == 12
    assert found_pair >= 11
    assert false <= 0.1 * total


def test_nothing_planted_nothing_found() -> None:
    """At q = 0.1 a family of true nulls gives any rule at all in at most a tenth of the worlds."""
    assert sum(bool(rules(*made(seed, planted=False), q=0.1)) for seed in range(100, 130)) <= 6


def test_a_pair_must_add_to_its_items() -> None:
    """Night alone explains it: night and any weather is no rule of its own."""
    rng = np.random.default_rng(4)
    night = np.arange(N) % 24 < 6
    weather = (rng.integers(0, 2, N // 12 + 1).repeat(12)[:N]).astype(bool)
    events = rng.random(N) < np.where(night, 0.02, 0.002)
    found = rules(events, {"hour": {"night": night, "day": ~night}, "weather": {"rain": weather}})
    assert [r.items for r in found] == [(("hour", "night"),)]
    assert found[0].lift == pytest.approx(10, rel=0.4)
    assert found[0].to_json()["sentence"]["zh"] != found[0].sentence().en


def test_one_bad_day_counts_once() -> None:
    over = np.zeros(100, dtype=bool)
    over[[3, 4, 5, 20, 40, 70]] = True
    assert np.flatnonzero(episodes(over, 24)).tolist() == [3, 40, 70]


def test_exceedances_of_a_monitor() -> None:
    rng = np.random.default_rng(5)
    hours = np.arange(N) % 24
    load = rng.normal(size=N)
    y = 50 + rng.normal(size=N)
    y[(hours < 6) & (rng.random(N) < 0.05)] = 120.0
    y[rng.random(N) < 0.3] = np.nan
    monitor = Monitor(
        START, HOUR, {"NOX": y, "LOAD": load}, ["NOX"], {"NOX": 80.0}, {"LOAD": "load"}
    )
    found = exceedances(monitor, "NOX")
    assert found[0].items == (("hour", "00-06"),)
    assert {r.items for r in found} == {(("hour", "00-06"),)}
    assert exceedances(Monitor(START, HOUR, {"NOX": y}, ["NOX"]), "NOX") == []


def test_items() -> None:
    monitor = Monitor(START, HOUR, {"NOX": np.ones(24 * 14)}, ["NOX"])
    made_of = calendar(monitor)
    assert sum(v.sum() for k, v in made_of["hour"].items()) == 24 * 14
    # 2012-01-01 was a Sunday.
    assert made_of["weekday"]["7"][:24].all()
    assert made_of["weekday"]["6-7"].sum() == 4 * 24
    assert {k: int(v.sum()) for k, v in levels("LOAD", np.arange(9.0))["LOAD"].items()} == {
        "low": 3, "high": 3, "middle": 3,
    }  # fmt: skip
    with pytest.raises(ValueError, match="has 3 rows"):
        rules(np.ones(4, dtype=bool), {"a": {"b": np.ones(3, dtype=bool)}})
