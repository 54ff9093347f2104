from __future__ import annotations

import numpy as np
import pytest

from analysis.detection.conftest import HOUR, START
from jingwei.analysis.detection import Monitor
from jingwei.analysis.detection.treatment import Chain, chains, findings, hours

N = 24 * 20
ROLES = {"P": "power_production", "T": "power_treatment", "ALL": "power_total"}


def shifts() -> dict[str, np.ndarray]:
    """Production from 8 to 20 o'clock every day, the treatment with it, 30 kW of light and pumps."""
    rng = np.random.default_rng(2)
    hour = np.arange(N) % 24
    on = (hour >= 8) & (hour < 20)
    p = np.where(on, 400 + 20 * rng.normal(size=N), 2.0)
    t = np.where(on, 80 + 4 * rng.normal(size=N), 1.0)
    return {"NOX": 50 + rng.normal(size=N), "P": p, "T": t, "ALL": p + t + 30}


def monitor(values: dict[str, np.ndarray]) -> Monitor:
    return Monitor(START, HOUR, values, ["NOX"], roles=ROLES)


def seen(values: dict[str, np.ndarray]) -> list[tuple[str, int, int]]:
    return [
        (f.detector, round((f.start - START) / HOUR), round((f.end - START) / HOUR))
        for f in findings(monitor(values))
    ]


def test_honest_shifts_contradict_nothing() -> None:
    values = shifts()
    assert seen(values) == []
    chain = chains(monitor(values))[0]
    assert chain == Chain("", ("P",), ("T",), "ALL")
    told = hours(monitor(values), chain)
    assert told is not None
    assert (told.judged, told.producing, told.off, told.weak) == (480, 240, 0, 0)


def test_every_contradiction_has_its_name() -> None:
    values = shifts()
    day = 24
    values["T"][2 * day + 11 : 2 * day + 15] = 1.0  # off in the middle
    values["T"][4 * day + 8 : 4 * day + 11] = 1.0  # three hours late
    values["T"][6 * day + 17 : 6 * day + 20] = 1.0  # three hours early
    values["T"][8 * day + 9 : 8 * day + 15] = 25.0  # one fan of three
    for rows in (slice(2 * day, 9 * day),):
        values["ALL"][rows] = values["P"][rows] + values["T"][rows] + 30
    values["ALL"][10 * day + 9 : 10 * day + 14] = 300.0  # less than its parts
    values["P"][12 * day + 8 : 12 * day + 20] = 2.0  # the meter of production is by-passed
    values["T"][12 * day + 8 : 12 * day + 20] = 1.0
    assert seen(values) == [
        ("power_off", 2 * day + 11, 2 * day + 15),
        ("power_late", 4 * day + 8, 4 * day + 11),
        ("power_early", 6 * day + 17, 6 * day + 20),
        ("power_weak", 8 * day + 9, 8 * day + 15),
        ("power_sum", 10 * day + 9, 10 * day + 14),
        ("power_hidden", 12 * day + 8, 12 * day + 20),
    ]
    told = hours(monitor(values), chains(monitor(values))[0])
    assert told is not None
    assert (told.off, told.weak) == (10, 6)
    found = findings(monitor(values))
    assert found[0].evidence.numbers["hours"] == 4
    assert set(found[0].evidence.series) == {"P", "T", "ALL"}
    assert "4 小时" in found[0].sentence.zh
    assert found[0].tier == "rule"


def test_the_grace_at_start_and_stop() -> None:
    values = shifts()
    values["T"][8] = 1.0  # an hour late: within the grace
    assert seen(values) == []
    strict = findings(monitor(values), [Chain("A", ("P",), ("T",), late=0.0)])
    assert [f.detector for f in strict] == ["power_late"]


def test_two_chains_are_judged_apart() -> None:
    values = shifts()
    values["P2"], values["T2"] = values["P"].copy(), values["T"].copy()
    values["T2"][40:44] = 1.0
    both = Monitor(
        START,
        HOUR,
        values,
        ["NOX"],
        roles={**ROLES, "P2": "power_production", "T2": "power_treatment"},
    )
    given = [Chain("A", ("P",), ("T",)), Chain("B", ("P2",), ("T2",))]
    found = findings(both, given)
    assert [(f.factor, f.evidence.parameters["chain"]) for f in found] == [("T2", "B")]


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_meters_that_never_ran_are_not_judged(bad: float) -> None:
    values = shifts()
    values["T"][:] = bad
    assert seen(values) == []
    assert hours(monitor(values), chains(monitor(values))[0]) is None


def test_no_meters_no_chain() -> None:
    assert chains(Monitor(START, HOUR, {"NOX": np.ones(9)}, ["NOX"])) == []
    with pytest.raises(ValueError, match="names X, which is no column"):
        findings(monitor(shifts()), [Chain("A", ("X",), ("T",))])
