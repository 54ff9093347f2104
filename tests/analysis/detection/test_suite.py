"""The whole suite: what it finds, what it leaves alone, what it says when it cannot judge.

Warnings are errors in this test run, so that none can hide.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.detection.conftest import FIT, HOUR, LIMITS, START, Make
from analysis.detection.injections import EVERY, Columns
from jingwei.analysis.detection import Finding, Findings, Monitor, Suite
from jingwei.analysis.detection.complaints import complaints, complaints_later
from jingwei.analysis.detection.suite import summary

FIRST = FIT + 100
LEAD = 1650


def falsified(columns: Columns, kind: str, target: str, seed: int) -> tuple[Columns, int, int, int]:
    """(columns, first row of the window, its stop, stop of the stretch)."""
    function, least, most = EVERY[kind]
    rng = np.random.default_rng(seed)
    length = int(rng.integers(least, most + 1))
    a = FIRST + LEAD + int(rng.integers(0, 600))
    copy = {k: v.copy() for k, v in columns.items()}
    function(copy, target, a, a + length, rng, LIMITS[target])
    return copy, a, a + length, a + length + 24


def within(finding: Finding, a: int, b: int) -> bool:
    return START + a * HOUR < finding.found <= START + (b + 24) * HOUR


@pytest.mark.parametrize(
    ("kind", "target", "detectors"),
    [
        ("K02 pinned", "NOX", {"daily_replay", "still", "decouple", "quiet"}),
        ("K05 periodic", "NOX", {"daily_replay", "replay", "copy_scaled"}),
        ("K06 smooth", "CO", {"smooth", "quiet", "still", "white", "daily_replay"}),
        ("K07 typed", "NOX", {"digits"}),
        ("K09 O2 low", "NOX", {"channel"}),
        ("K13 dropped", "CO", {"hot_missing"}),
        ("K15 flow low", "NOX", {"channel"}),
    ],
)
def test_falsified_stretches_are_found(
    suite: Suite, columns: Columns, make: Make, kind: str, target: str, detectors: set[str]
) -> None:
    """At a tenth of a false case a month; smoothing after one year of history at three tenths."""
    hits = 0
    budget = 0.3 if kind == "K06 smooth" else 0.1
    for seed in range(3):
        copy, a, b, stop = falsified(columns, kind, target, seed)
        found = suite.detect(make(copy, FIRST, stop), budget)
        names = {n.split(":")[0] for f in found if within(f, a, b) for n in (f.detector, *f.also)}
        hits += bool(names & detectors)
    assert hits >= 2


@pytest.mark.parametrize("kind", ["N01 calibration", "N02 outage", "N03 spike"])
def test_honest_events_raise_no_case(suite: Suite, columns: Columns, make: Make, kind: str) -> None:
    new = 0
    for seed in range(2):
        copy, a, b, stop = falsified(columns, kind, "NOX", seed)
        clean = {(f.detector, f.factor) for f in suite.detect(make(columns, FIRST, stop), 0.3)}
        for f in suite.detect(make(copy, FIRST, stop), 0.3):
            new += within(f, a, b) and (f.detector, f.factor) not in clean
    assert new == 0


def test_honest_months_stay_near_the_budget(suite: Suite, columns: Columns, make: Make) -> None:
    monitor = make(columns, FIT, len(columns["NOX"]))
    months = len(monitor) / 730.5
    look = suite.look(monitor)
    # Seven months: 7 cases are expected at 1, and 13 are hardly ever reached (Poisson, 98 %).
    assert len(look.findings(1.0)) <= 13
    assert len(look.findings(0.1)) <= len(look.findings(0.3)) <= len(look.findings(1.0))
    assert months > 7
    for budget in ("1.0", "0.3"):
        assert 0.3 <= suite.realised[budget]["realised"] / float(budget) <= 2.0


def test_models_pass_their_gate_out_of_time(suite: Suite) -> None:
    assert suite.quality["NOX"].r2 > 0.75
    assert suite.quality["NOX"].passed
    assert suite.quality["CO"].r2 > 0.5
    assert suite.importance["CO"]["TIT"] > 10 * abs(suite.importance["CO"]["AH"])


def test_hidden_share_is_near_the_truth(suite: Suite, columns: Columns, make: Make) -> None:
    copy = {k: v.copy() for k, v in columns.items()}
    a, b = FIRST + LEAD, FIRST + LEAD + 240
    copy["NOX"][a:b] = np.round(copy["NOX"][a:b] * 0.7, 3)
    found = [f for f in suite.detect(make(copy, FIRST, b + 24), 1.0) if within(f, a, b)]
    share = found[0].hidden_share
    assert share is not None
    assert share.estimate == pytest.approx(0.3, abs=0.1)
    assert share.low < 0.3 < share.high


def test_same_input_same_bytes(suite: Suite, columns: Columns, make: Make) -> None:
    copy, _, _, stop = falsified(columns, "K02 pinned", "NOX", 1)
    lines = [f.line() for f in suite.detect(make(copy, FIRST, stop), 1.0)]
    assert lines
    again = pickle.loads(pickle.dumps(suite))
    assert [f.line() for f in again.detect(make(copy, FIRST, stop), 1.0)] == lines


def test_learning_twice_gives_the_same_suite(columns: Columns, make: Make) -> None:
    part = make(columns, 0, 3600)
    later = make(columns, 3600, 4400)
    one, two = Suite.fit(part), Suite.fit(part)
    assert [f.line() for f in one.detect(later, 3.0)] == [f.line() for f in two.detect(later, 3.0)]
    assert summary(one) == summary(two)


def test_evidence_can_be_recomputed(suite: Suite, columns: Columns, make: Make) -> None:
    copy, _, _, stop = falsified(columns, "K01 constant", "CO", 2)
    monitor = make(copy, FIRST, stop)
    finding = suite.detect(monitor)[-1]
    first, last = finding.evidence.rows
    assert finding.evidence.sha256 == monitor.sha256(first, last)
    assert finding.evidence.sha256 == monitor.rows(first, last + 1).sha256(0, last - first)
    shown = finding.evidence.series["CO"]
    assert shown == pytest.approx(monitor.values["CO"][first : last + 1].tolist(), rel=1e-5)
    assert finding.evidence.series_start == monitor.time(first)
    other = {k: v.copy() for k, v in monitor.values.items()}
    other["AT"][first] += 1e-9
    changed = Monitor(monitor.start, HOUR, other, ["NOX", "CO"], LIMITS)
    assert changed.sha256(first, last) != finding.evidence.sha256


def test_what_a_finding_tells(suite: Suite, columns: Columns, make: Make) -> None:
    copy, _, _, stop = falsified(columns, "K02 pinned", "NOX", 0)
    for finding in suite.detect(make(copy, FIRST, stop), 3.0):
        told = json.loads(finding.line())
        assert finding.start < finding.end
        assert finding.start < finding.found
        assert 0 <= finding.p_value <= 1
        assert len(told["innocent_explanations"]) == 3
        for words in (told["sentence"], told["next_check"]):
            assert words["zh"] != words["en"]
        assert told["evidence"]["formula"]
        assert len(told["evidence"]["sha256"]) == 64


def test_one_case_in_seven_days(suite: Suite, columns: Columns, make: Make) -> None:
    """Two frozen stretches two days apart are one case, a third one nine days later another."""
    copy = {k: v.copy() for k, v in columns.items()}
    for at in (FIT + 500, FIT + 548, FIT + 770):
        copy["NOX"][at : at + 12] = copy["NOX"][at]
    found = [f for f in suite.detect(make(copy, FIT, FIT + 1000), 0.001) if f.tier == "exact"]
    assert [f.found for f in found][1] == START + (FIT + 770 + 5) * HOUR
    assert len(found) == 2
    assert "const_run:NOX" in found[0].also


def test_a_stretch_inside_the_history(suite: Suite, columns: Columns, make: Make) -> None:
    """The rows of the history after its begin are not its past."""
    copy = {k: v.copy() for k, v in columns.items()}
    a = FIT - 500
    copy["NOX"][a : a + 24] = copy["NOX"][a]
    found = suite.detect(make(copy, FIT - 1500, FIT + 200))
    assert "const_run" in {f.detector for f in found}
    assert not [f for f in found if f.detector == "copy_exact"]


def test_short_stretches(suite: Suite, columns: Columns, make: Make) -> None:
    for rows in (1, 2, 30):
        assert isinstance(suite.detect(make(columns, FIT, FIT + rows)), Findings)
    empty = suite.detect(make(columns, FIT, FIT))
    assert list(empty) == []
    assert {r.code for r in empty.reasons} == {"missing"}


def two_plants(n: int) -> Columns:
    """A plant whose treatment uses power, and which has three peers."""
    rng = np.random.default_rng(8)
    load = 100 + 10 * np.sin(np.arange(n) / 9) + 3 * rng.normal(size=n)
    treatment = np.where(rng.random(n // 12 + 1).repeat(12)[:n] < 0.04, 0.3, 1.0) * (
        10 + 0.3 * rng.normal(size=n)
    )
    nox = 60 + 2.0 * (load - 100) + 3 * rng.normal(size=n) + np.where(treatment < 5, 30, 0)
    return {"NOX": np.round(nox, 2), "LOAD": load, "TREAT": treatment}


def with_peers(values: Columns, peers: np.ndarray, first: int, stop: int) -> Monitor:
    return Monitor(
        START + first * HOUR,
        HOUR,
        {k: v[first:stop] for k, v in values.items()},
        ["NOX"],
        roles={"LOAD": "load", "TREAT": "power_treatment"},
        peers={"NOX": peers[:, first:stop]},
    )


def test_peers_and_power_of_the_treatment() -> None:
    n, learnt = 8000, 6800
    values = two_plants(n)
    rng = np.random.default_rng(9)
    peers = 60 * np.exp(0.05 * rng.normal(size=(3, n)))
    suite = Suite.fit(with_peers(values, peers, 0, learnt))
    assert {("NOX", "peer"), ("NOX", "facility_power")} <= set(suite.families)
    low = {k: v.copy() for k, v in values.items()}
    low["NOX"][learnt + 500 : learnt + 900] *= 0.7
    look = suite.look(with_peers(low, peers, learnt, learnt + 900))
    assert look.rarity["NOX", "peer"].max() > -np.log(0.1)
    idle = {k: v.copy() for k, v in values.items()}
    idle["TREAT"][learnt + 600 : learnt + 700] = 2.0  # treatment off, reports unmoved
    load = values["LOAD"][learnt + 600 : learnt + 700]
    idle["NOX"][learnt + 600 : learnt + 700] = 60 + 2.0 * (load - 100) + 3 * rng.normal(size=100)
    calm = suite.look(with_peers(values, peers, learnt, learnt + 900))
    off = suite.look(with_peers(idle, peers, learnt, learnt + 900))
    key = ("NOX", "facility_power")
    assert off.rarity[key].max() > calm.rarity[key].max()
    assert off.rarity[key].max() > -np.log(1.0)


# -- bad input ---------------------------------------------------------------------------------


def changed(columns: Columns, rows: int, change: Callable[[Columns], None]) -> Monitor:
    copy = {k: v[:rows].copy() for k, v in columns.items()}
    change(copy)
    return Monitor(START, HOUR, copy, ["NOX", "CO"], LIMITS)


def set_nan(c: Columns) -> None:
    c["NOX"][:] = np.nan


def halve(c: Columns) -> None:
    c["NOX"][np.random.default_rng(0).random(len(c["NOX"])) < 0.55] = np.nan


def freeze(c: Columns) -> None:
    c["NOX"][:] = 50.0


def other_unit(c: Columns) -> None:
    c["NOX"][len(c["NOX"]) // 2 :] *= 1000


def everything(c: Columns) -> None:
    for v in c.values():
        v[:] = np.nan


def state(c: Columns) -> None:
    for name in list(c):
        if name not in ("NOX", "CO"):
            c[name][:] = 1.0


@pytest.mark.parametrize(
    ("change", "rows", "code", "column"),
    [
        (lambda c: None, 500, "short", ""),
        (set_nan, 3000, "empty", "NOX"),
        (halve, 3000, "missing", "NOX"),
        (freeze, 3000, "constant", "NOX"),
        (other_unit, 3000, "unit", "NOX"),
        (everything, 3000, "empty", "NOX"),
        (state, 3000, "no_state", ""),
    ],
)
def test_poor_history_gets_a_reason(
    columns: Columns,
    make: Make,
    change: Callable[[Columns], None],
    rows: int,
    code: str,
    column: str,
) -> None:
    suite = Suite.fit(changed(columns, rows, change))
    assert (code, column) in {(r.code, r.column) for r in suite.reasons}
    found = suite.detect(make(columns, rows, rows + 400))
    assert (code, column) in {(r.code, r.column) for r in found.reasons}
    assert not [f for f in found if f.factor == column]
    for reason in found.reasons:
        assert reason.text.zh != reason.text.en


def test_poor_stretches_get_a_reason(suite: Suite, columns: Columns) -> None:
    def later(change: Callable[[Columns], None]) -> Findings:
        copy = {k: v[FIT : FIT + 1200].copy() for k, v in columns.items()}
        change(copy)
        return suite.detect(Monitor(START + FIT * HOUR, HOUR, copy, ["NOX", "CO"], LIMITS))

    def kelvin(c: Columns) -> None:
        c["AT"][:] += 273.15

    def milligrams(c: Columns) -> None:
        c["NOX"][:] *= 1000

    for change, code in ((set_nan, "empty"), (kelvin, "state_unit"), (milligrams, "unit")):
        found = later(change)
        assert code in {r.code for r in found.reasons}
        assert not [
            f for f in found if f.tier == "statistical" and code in ("unit",) and f.factor == "NOX"
        ]
    assert {r.code for r in later(everything).reasons} >= {"empty"}


def test_two_years_without_recent_data(suite: Suite, columns: Columns) -> None:
    copy = {k: v[FIT : FIT + 200].copy() for k, v in columns.items()}
    later = Monitor(START + timedelta(days=1200), HOUR, copy, ["NOX", "CO"], LIMITS)
    assert "stale" in {r.code for r in suite.detect(later).reasons}


def test_two_years_without_a_calibration(columns: Columns) -> None:
    rows = 9000
    copy = {k: v[:rows].copy() for k, v in columns.items()}

    def reasons(marks: list[str] | None, known: int | None) -> set[tuple[str, str]]:
        since = None if known is None else {"NOX": START - timedelta(days=known)}
        suite = Suite.fit(
            Monitor(START, HOUR, copy, ["NOX"], LIMITS | {}, marks=marks, calibrated=since)
        )
        said = {(r.code, r.column) for r in suite.reasons}
        assert (("NOX", "low") in suite.families) == (("uncalibrated", "NOX") not in said)
        assert ("NOX", "quiet") in suite.families
        return said

    worked = ["N"] * rows
    worked[8000] = "C"
    assert reasons(["N"] * rows, 360) == {("uncalibrated", "NOX")}  # 375 days and 360 before
    assert reasons(["N"] * rows, None) == set()
    assert reasons(worked, 360) == set()


def test_two_years_end_in_the_stretch(columns: Columns) -> None:
    """365 days of history and 365 of the stretch: the reason comes with the stretch."""
    n = 8760
    parts = [
        {k: v[a : a + n] if len(v) >= a + n else np.resize(v, n) for k, v in columns.items()}
        for a in (0, 1)
    ]

    def whole(marks: list[str] | None) -> list[Monitor]:
        return [
            Monitor(START + i * n * HOUR, HOUR, part, ["NOX"], marks=marks)
            for i, part in enumerate(parts)
        ]

    for marks, code in ((None, "unmarked"), (["N"] * n, "uncalibrated")):
        history, later = whole(marks)
        suite = Suite(history)  # not learnt: only the reasons are asked for
        assert [r.code for r in complaints_later(suite, later)] == [code]
    assert [r.code for r in complaints(whole(["N"] * n)[0])] == []
    history, later = whole(["N"] * (n - 1) + ["C"])
    assert [r.code for r in complaints_later(Suite(history), later)] == []


GOOD = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8)))
X = np.arange(5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((datetime(2026, 1, 1), HOUR, {"A": X}, ["A"]), "no time zone"),
        ((GOOD, timedelta(0), {"A": X}, ["A"]), "step must be positive"),
        ((GOOD, HOUR, {}, ["A"]), "no columns"),
        ((GOOD, HOUR, {"A": X, "B": X[:3]}, ["A"]), "differ in length"),
        ((GOOD, HOUR, {"A": X}, ["B"]), "target B is no column"),
        ((GOOD, HOUR, {"A": X}, []), "targets is empty"),
        ((GOOD, HOUR, {"A": X}, "A"), "one text"),
        ((GOOD, HOUR, {"A": ["x"] * 5}, ["A"]), "no number"),
        ((GOOD, HOUR, {"A": X.reshape(1, 5)}, ["A"]), "dimensions"),
        ((GOOD, HOUR, {"A": X}, ["A"], {"A": -1.0}), "positive number"),
        ((GOOD, HOUR, {"A": X}, ["A"], {}, {"A": "pollutant"}), "unknown"),
        ((GOOD, HOUR, {"A": X}, ["A"], {}, {"B": "o2"}), "no column"),
        ((GOOD, HOUR, {"A": X}, ["A"], {}, None, None, ["N"]), "marks of A have 1 rows"),
        ((GOOD, HOUR, {"A": X}, ["A"], {}, None, None, None, {"A": np.ones((2, 3))}), "peers of A"),
    ],
)
def test_what_cannot_be_a_monitor(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Monitor(*arguments)  # type: ignore[arg-type]


def test_what_cannot_be_judged_by_this_suite(suite: Suite, columns: Columns, make: Make) -> None:
    good = make(columns, FIT, FIT + 50)
    with pytest.raises(ValueError, match="budget must lie"):
        suite.detect(good, 0.0)
    with pytest.raises(ValueError, match="differs from the history's"):
        suite.detect(Monitor(good.start, 2 * HOUR, good.values, ["NOX"], LIMITS))
    fewer = {k: v for k, v in good.values.items() if k != "AT"}
    with pytest.raises(ValueError, match="columns of the history are missing: AT"):
        suite.detect(Monitor(good.start, HOUR, fewer, ["NOX"], LIMITS))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 1e-9, 1.0, 1e12, -5.0, np.inf]),
    st.floats(0, 1),
    st.integers(1, 700),
)
def test_no_input_brings_it_down(
    suite: Suite, columns: Columns, seed: int, factor: float, holes: float, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    copy = {k: v[FIT : FIT + rows].copy() for k, v in columns.items()}
    for name in rng.choice(list(copy), 3):
        with np.errstate(invalid="ignore"):
            copy[name] *= factor
        copy[name][rng.random(rows) < holes] = np.nan
    found = suite.detect(Monitor(START + FIT * HOUR, HOUR, copy, ["NOX", "CO"], LIMITS), 1.0)
    for finding in found:
        json.loads(finding.line())
