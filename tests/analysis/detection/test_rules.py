"""The regulator's rules, each broken on purpose and each kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from jingwei.analysis.detection import Monitor
from jingwei.analysis.detection.rules import APPLICABLE, ELSEWHERE, NAMES, hourly, regulator
from jingwei.standards.rules import rows

START = datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=8)))
N = 24 * 30
Values = dict[str, np.ndarray]


def outlet() -> tuple[Values, list[str]]:
    rng = np.random.default_rng(0)
    day = 1.1 - 0.2 * ((np.arange(N) % 24 >= 21) | (np.arange(N) % 24 <= 4))
    return {
        "NOX": 50 * day * rng.uniform(0.8, 1.2, N),
        "O2": rng.uniform(7, 9, N),
        "FLOW": 9e4 * day * rng.uniform(0.95, 1.05, N),
        "TEMP": rng.uniform(70, 80, N),
        "WET": rng.uniform(8, 9, N),
        "MADE": rng.uniform(90, 110, N),
        "CLEANED": rng.uniform(9, 11, N),
        "SECTION": np.full(N, 6.06),
    }, ["N"] * N


def monitor(values: Values, marks: list[str]) -> Monitor:
    return Monitor(
        START, timedelta(hours=1), values, ["NOX"], {"NOX": 100.0}, marks=marks,
        roles={"TEMP": "temperature", "WET": "humidity", "MADE": "power_production",
               "CLEANED": "power_treatment", "SECTION": "parameter"},
    )  # fmt: skip


def put(column: str, rows: slice, value: float) -> Callable[[Values, list[str]], None]:
    def change(values: Values, marks: list[str]) -> None:
        values[column][rows] = value

    return change


def silence(values: Values, marks: list[str]) -> None:
    for column in values.values():
        column[50:60] = np.nan


def stop(values: Values, marks: list[str]) -> None:
    marks[100:120] = ["F"] * 20


def nights(values: Values, marks: list[str]) -> None:
    dark = (np.arange(N) % 24 >= 21) | (np.arange(N) % 24 <= 4)
    values["NOX"][dark] *= 1.8
    values["FLOW"][dark] *= 1.8


def jumps(values: Values, marks: list[str]) -> None:
    for at in (20, 60, 100, 140):
        values["NOX"][at - 1] = 20
        values["NOX"][at : at + 6] = [40, 40.4, 40.2, 40.1, 40.3, 40.2]
        values["O2"][at - 1 : at + 1] = 8.0
        values["FLOW"][at] = values["FLOW"][at - 1]


def hug(values: Values, marks: list[str]) -> None:
    values["NOX"][:400] = np.random.default_rng(1).uniform(90, 99, 400)


def air(values: Values, marks: list[str]) -> None:
    values["O2"][100:260] = 20.6


BREAKS: dict[str, Callable[[Values, list[str]], None]] = {
    "A18-1": put("NOX", slice(100, 280), np.nan),
    "A18-3": put("NOX", slice(100, 104), 41.0),
    "A18-3.1": put("NOX", slice(100, 101), -3.0),
    "A18-3.3": silence,
    "A18-6": put("NOX", slice(100, 101), 130.0),
    "A18-7": put("NOX", slice(100, 104), 130.5),
    "A18-8": put("NOX", slice(96, 120), 101.0),
    "A18-11": jumps,
    "A18-12": hug,
    "A18-13": stop,
    "A18-14": nights,
    "A18-15": put("SECTION", slice(300, 720), 3.5),
    "A18-16": air,
    "A18-18": put("CLEANED", slice(300, 310), 0.0),
}


def test_every_rule_of_the_standard_is_accounted_for() -> None:
    known = {r.id for r in rows() if r.id.startswith("A18-")}
    assert known == set(APPLICABLE) | set(ELSEWHERE)
    assert set(APPLICABLE) == set(NAMES) == set(BREAKS)


def test_an_honest_outlet_breaks_none() -> None:
    assert regulator(monitor(*outlet())) == []


@pytest.mark.parametrize("name", list(BREAKS))
def test_a_broken_rule_is_named(name: str) -> None:
    values, marks = outlet()
    BREAKS[name](values, marks)
    found = regulator(monitor(values, marks))
    assert name in {f.detector for f in found}
    for finding in found:
        assert finding.tier == "rule"
        assert finding.evidence.formula
        assert finding.sentence.zh.endswith(f"（{finding.detector}）。")


@pytest.mark.parametrize(("column", "to"), [("O2", 9.0), ("FLOW", 7e4)])
def test_a_jump_that_the_plant_explains_is_none(column: str, to: float) -> None:
    values, marks = outlet()
    jumps(values, marks)
    for at in (20, 60, 100, 140):
        values[column][at] = to
    assert "A18-11" not in {f.detector for f in regulator(monitor(values, marks))}


@pytest.mark.parametrize("first", ["CLEANED", "SPARE"])
def test_a_spare_that_takes_over_is_no_treatment_off(first: str) -> None:
    """From hour 300 the spare runs instead: an ordinary changeover. With both off from hour 600 the
    rule fires, whichever meter is named first."""
    values, marks = outlet()
    duty, spare = values.pop("CLEANED"), np.zeros(N)
    duty[300:], spare[300:600] = 0.0, 10.0
    pair = {"CLEANED": duty, "SPARE": spare}
    values |= {first: pair.pop(first), **pair}
    roles = dict.fromkeys(("CLEANED", "SPARE"), "power_treatment") | {"MADE": "power_production"}
    found = [
        f
        for f in regulator(
            Monitor(START, timedelta(hours=1), values, ["NOX"], marks=marks, roles=roles)
        )
        if f.detector == "A18-18"
    ]
    assert [f.start for f in found] == [START + timedelta(hours=600)]


def test_a_meter_that_says_nothing_accuses_nobody() -> None:
    values, marks = outlet()
    values["CLEANED"][300:400] = np.nan
    assert "A18-18" not in {f.detector for f in regulator(monitor(values, marks))}


def test_minutes_become_hours_of_45_minutes() -> None:
    x = np.arange(180.0)
    x[60:76] = np.nan  # 44 minutes are left
    m = hourly(Monitor(START, timedelta(minutes=1), {"NOX": x}, ["NOX"]))
    assert m.values["NOX"][[0, 2]] == pytest.approx([29.5, 149.5])
    assert np.isnan(m.values["NOX"][1])
