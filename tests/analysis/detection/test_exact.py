"""The exact tier: everything planted is found, nothing in what is honest."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from analysis.detection.conftest import FIT, HOUR, LIMITS, START, Make
from analysis.detection.injections import KINDS, Columns
from jingwei.analysis.detection import Finding, Monitor, Suite, kernels
from jingwei.analysis.detection.exact import (
    NEAR_CORRELATION,
    Running,
    copied_scaled,
    mark_contradiction,
)
from jingwei.analysis.detection.identities import Agreement, average_identity, converted

LOOSE = 1e-3  # the smallest budget: what is left is the exact tier


def exact(suite: Suite, monitor: Monitor) -> list[Finding]:
    return [f for f in suite.detect(monitor, LOOSE) if f.tier == "exact"]


def injected(
    columns: Columns, kind: str, target: str, seed: int, first: int, stop: int
) -> tuple[Columns, int, int]:
    """A copy with one window falsified, somewhere in the second half of rows first..stop."""
    function, least, most = KINDS[kind]
    rng = np.random.default_rng(seed)
    length = int(rng.integers(least, most + 1))
    a = int(rng.integers((first + stop) // 2, stop - length))
    copy = {k: v.copy() for k, v in columns.items()}
    function(copy, target, a, a + length, rng, LIMITS[target])
    return copy, a, a + length


def test_no_false_case_in_the_clean_months(suite: Suite, columns: Columns, make: Make) -> None:
    monitor = make(columns, FIT, len(columns["NOX"]))
    assert exact(suite, monitor) == []


@pytest.mark.parametrize("target", ["NOX", "CO"])
@pytest.mark.parametrize("kind", ["K01 constant", "K04 copied"])
@pytest.mark.parametrize("seed", range(4))
def test_constant_and_copied_are_always_found(
    suite: Suite, columns: Columns, make: Make, kind: str, target: str, seed: int
) -> None:
    first, stop = FIT + 500, FIT + 2200
    copy, a, b = injected(columns, kind, target, seed, first, stop)
    found = exact(suite, make(copy, first, stop))
    assert len(found) == 1
    assert found[0].factor == target
    assert found[0].detector == ("const_run" if kind == "K01 constant" else "copy_exact")
    assert abs(found[0].start - (START + a * HOUR)) <= 2 * HOUR
    assert abs(found[0].end - (START + b * HOUR)) <= 2 * HOUR
    assert found[0].p_value <= 1e-4


def test_a_scaled_copy_is_found(suite: Suite, columns: Columns, make: Make) -> None:
    copy = {k: v.copy() for k, v in columns.items()}
    a = FIT + 1000
    copy["NOX"][a : a + 72] = np.round(copy["NOX"][a - 500 : a - 428] * 0.87, 3)
    found = exact(suite, make(copy, FIT, FIT + 1500))
    assert [f.detector for f in found] == ["copy_scaled"]
    assert found[0].evidence.numbers["factor"] == pytest.approx(0.87, abs=1e-3)
    assert found[0].evidence.numbers["lag_rows"] == 500


def test_a_spike_that_two_stretches_share_is_no_copy() -> None:
    """Two start-ups look alike: the correlation of the steps is theirs, the hours beside differ."""
    y = np.round(np.random.default_rng(7).normal(7.0, 0.5, 600), 2)
    y[200], y[500] = 125.85, 187.04
    correlation, lag = kernels.best_lag(np.diff(y, prepend=np.nan), 24, 24, 590, 0)
    assert correlation[510] > NEAR_CORRELATION  # the spikes alone look like a copy
    assert not list(copied_scaled(correlation, lag, y, "NMHC", 300))
    y[480:540] = np.round(y[180:240] * 1.5 + 0.1, 2)
    correlation, lag = kernels.best_lag(np.diff(y, prepend=np.nan), 24, 24, 590, 0)
    [hit] = copied_scaled(correlation, lag, y, "NMHC", 300)
    assert hit.numbers["lag_rows"] == 300
    assert hit.numbers["factor"] == pytest.approx(1.5, abs=0.01)


def test_a_stopped_plant_may_report_nothing_new(suite: Suite, columns: Columns, make: Make) -> None:
    """Constant values where no other channel moves are a hung line or a stop, no contradiction."""
    copy = {k: v.copy() for k, v in columns.items()}
    for column in copy.values():
        column[FIT + 1000 : FIT + 1040] = column[FIT + 1000]
    assert exact(suite, make(copy, FIT, FIT + 1500)) == []


def plant(n: int, seed: int = 0) -> Columns:
    """A small honest plant with raw value, O2, flow, load and a setting."""
    rng = np.random.default_rng(seed)
    load = 100 + 10 * np.sin(np.arange(n) / 9) + rng.normal(size=n)
    o2 = np.round(8 + 0.05 * (load - 100) + 0.2 * rng.normal(size=n), 2)
    raw = np.round(40 + 0.4 * (load - 100) + 2 * rng.normal(size=n), 2)
    return {
        "NOX": np.round(raw * (21 - 6) / (21 - o2), 2),
        "NOX_raw": raw,
        "O2": o2,
        "FLOW": np.round(2000 * load + 500 * rng.normal(size=n), 0),
        "LOAD": np.round(load, 2),
        "SPAN": np.full(n, 200.0),
    }


def planted(values: Columns, first: int, stop: int, marks: list[str] | None = None) -> Monitor:
    return Monitor(
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8))) + first * HOUR,
        HOUR,
        {k: v[first:stop] for k, v in values.items()},
        ["NOX"],
        {"NOX": 100.0},
        roles={"LOAD": "load", "SPAN": "parameter"},
        reference_o2=6.0,
        marks=None if marks is None else marks[first:stop],
    )


N = 3000


@pytest.fixture(scope="module")
def small() -> Suite:
    return Suite.fit(planted(plant(N + 400), 0, N))


def test_an_honest_plant_has_no_exact_finding(small: Suite) -> None:
    assert exact(small, planted(plant(N + 400), N, N + 400)) == []


def test_conversion_that_does_not_hold(small: Suite) -> None:
    values = plant(N + 400)
    a = N + 200
    values["NOX"][a : a + 20] = np.round(values["NOX"][a : a + 20] * 0.8, 2)
    found = exact(small, planted(values, N, N + 400))
    assert [f.detector for f in found] == ["convert_identity"]
    numbers = found[0].evidence.numbers
    assert numbers["recomputed"] == pytest.approx(
        numbers["raw"] * (21 - 6) / (21 - numbers["o2"]), rel=1e-4
    )
    assert numbers["median_ratio"] == pytest.approx(0.8, abs=0.01)
    assert found[0].evidence.parameters["reference_o2"] == 6.0


def test_conversion_formula() -> None:
    """HJ 212-2017 appendix D (26): 30 mg/m³ at 12 % O2 is 50 mg/m³ at 6 %."""
    values = plant(10)
    values["NOX_raw"][:] = 30.0
    values["O2"][:] = 12.0
    result = converted(planted(values, 0, 10), "NOX", 0)
    assert result is not None
    assert result == pytest.approx(np.full(10, 50.0))


def test_marked_as_stopped_while_running(small: Suite) -> None:
    values, marks = plant(N + 400), ["N"] * (N + 400)
    a = N + 200
    marks[a : a + 10] = ["F"] * 10
    found = exact(small, planted(values, N, N + 400, marks))
    assert [f.detector for f in found] == ["mark_contradiction"]
    assert found[0].start == planted(values, 0, 1).start + a * HOUR
    # Truly stopped: no finding.
    values["FLOW"][a : a + 10] = 0.0
    values["LOAD"][a : a + 10] = 0.0
    values["O2"][a : a + 10] = 20.8
    values["NOX"][a : a + 10] = values["NOX_raw"][a : a + 10] = 0.0
    assert exact(small, planted(values, N, N + 400, marks)) == []


def test_one_channel_alone_contradicts_no_mark() -> None:
    """A load signal alone is no proof that a plant ran while it was marked as stopped, nor are two
    that hold their last value."""
    breath = np.arange(48) % 5 / 10
    values = {"NOX": np.full(48, np.nan), "LOAD": 90.0 + breath, "FLOW": 300.0 + breath}
    running = Running({"LOAD": 100.0})

    def hits(roles: dict[str, str], running: Running) -> int:
        stopped = Monitor(START, HOUR, values, ["NOX"], roles=roles, marks=["F"] * 48)
        return len(list(mark_contradiction(stopped, running, 0)))

    roles = {"LOAD": "load"}
    assert hits(roles, running) == 0
    both = Running({"LOAD": 100.0, "FLOW": 300.0})
    assert hits(roles, both) == 1
    values |= {"LOAD": np.full(48, 90.0), "FLOW": np.full(48, 300.0)}
    assert hits(roles, both) == 0


def test_setting_changed_without_a_work_mark(small: Suite) -> None:
    values, marks = plant(N + 400), ["N"] * (N + 400)
    values["SPAN"][N + 250 :] = 150.0
    found = exact(small, planted(values, N, N + 400, marks))
    assert [(f.detector, f.factor) for f in found] == [("param_change", "SPAN")]
    assert found[0].evidence.numbers["before"] == 200.0
    marks[N + 245] = "C"
    assert exact(small, planted(values, N, N + 400, marks)) == []


def test_physical_bounds(small: Suite) -> None:
    values = plant(N + 400)
    values["O2"][N + 100 : N + 104] = 20.8  # air under load
    values["NOX"][N + 100 : N + 104] = np.nan
    found = exact(small, planted(values, N, N + 400))
    assert [f.detector for f in found] == ["physical_bounds"]
    assert found[0].evidence.numbers["rule"] == "O2 >= 20.5 % under load"


def test_hours_that_are_not_the_mean_of_their_minutes() -> None:
    rng = np.random.default_rng(0)
    start = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8)))
    minutes = np.round(rng.uniform(40, 60, 60 * 30), 1)
    hours = np.round(minutes.reshape(30, 60).mean(axis=1), 1)
    fine = Monitor(start, timedelta(minutes=1), {"NOX": minutes}, ["NOX"])
    hits, agreement = average_identity(fine, Monitor(start, HOUR, {"NOX": hours}, ["NOX"]))
    assert hits == []
    assert agreement["NOX"] == Agreement(30, 30)
    hours[7:9] = hours[7:9] - 9
    hits, _ = average_identity(fine, Monitor(start, HOUR, {"NOX": hours}, ["NOX"]))
    assert [(h.first, h.last) for h in hits] == [(7, 8)]
    with pytest.raises(ValueError, match="no multiple"):
        average_identity(Monitor(start, HOUR, {"NOX": hours}, ["NOX"]), fine)
