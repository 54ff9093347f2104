"""What a value of flue gas is before anything is held against it: of dry gas at standard state, and
nitrogen oxides of NO and NO2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jingwei.analysis import validity
from jingwei.analysis.compliance import Step
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring.observations import (
    Column,
    Series,
    day_start,
    joined,
    seconds,
    value_unit,
    watched,
)
from jingwei.bureau.monitoring.sending_models import Basis
from jingwei.bureau.monitoring.transmission import SAMPLE
from jingwei.bureau.registry.models import Point
from jingwei.standards import formulas, units

NOX, NO, NO2 = "a21002", "a21003", "a21004"
TEMPERATURE, STATIC, MOISTURE, BAROMETER = "a01012", "a01013", "a01014", "a01006"
SOURCE_BASIS = "HJ 212-2017 App. D (18), (19)"
SOURCE_NOX = "HJ 212-2017 App. D (21)"


def nitrogen_oxides(point: Point, series: Series, asked: bool) -> None:
    """Fill in the nitrogen oxides of the times for which a source sent NO and NO2 but no NOx.

    NOx = NO · 46/30 + NO2, as NO2. It is valid where both are; NO2 that does not move counts, for
    it is a small part that often stands at zero (of NO that does not move nothing is made). Where
    only one of the two came there is no value, with the fault `PART`; that is said where nitrogen
    oxides are `asked` for, by a limit or the register. Source: HJ 212-2017 App. D (21).
    """
    if not watched(point) or not (NO in series or NO2 in series):
        return
    no, no2, sent = series.get(NO), series.get(NO2), series.get(NOX)
    there = {NO: no.place if no else {}, NO2: no2.place if no2 else {}}
    both = there[NO].keys() & there[NO2].keys()
    times = sorted(
        (both | ((there[NO].keys() | there[NO2].keys()) if asked else set()))
        - (sent.place.keys() if sent else set())
    )
    if not times:
        return
    n = len(times)
    made = Column(
        np.array(times, dtype=np.int64), np.full(n, np.nan), [""] * n, np.full(n, np.nan),
        np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.uint16),
    )  # fmt: skip
    for i, second in enumerate(times):
        found = [(c, c.place[second]) for c in (no, no2) if c is not None and second in c.place]
        made.seq[i] = max(c.seq[at] for c, at in found)
        made.received[i] = max(c.received[at] for c, at in found)
        of = {code: float(c.value[c.place[second]]) for code, c in ((NO, no), (NO2, no2))
              if c is not None and second in c.place}  # fmt: skip
        made.parts[second] = of
        if telegrams := {q for c, _ in found for q in c.made.get(second, ())}:
            made.made[second] = sorted(telegrams)
        if len(found) < 2:
            made.fault[i] = Fault.PART
            continue
        marks = {c.flag[at] for c, at in found}
        made.flag[i] = marks.pop() if len(marks) == 1 else ""
        faults = [int(c.fault[at]) for c, at in found]
        made.fault[i] = faults[0] | (faults[1] & ~int(Fault.FLAT))
        made.value[i] = float(formulas.nox_as_no2(of[NO], of[NO2]))
    series[NOX] = joined(sent, made)


def is_concentration(code: str, point: Point) -> bool:
    """Whether a factor is the mass of something in so much flue gas."""
    return watched(point) and units.scale(value_unit(code, point), "mg/m³") is not None


def to_dry_standard(point: Point, series: Series, bases: Iterable[Basis]) -> None:
    """Bring what a point sends on another basis to dry gas at standard state, by the temperature,
    pressures and moisture of the same time; without valid ones of these the value stays as it came,
    with the fault `STATE`. Of a factor the last of `bases` (ascending) whose day has come counts.

    Source: HJ 212-2017 App. D (18), (19), on means of hours instead of single values.
    """
    by_factor: dict[str, list[tuple[int, Basis]]] = {}
    for row in bases:
        by_factor.setdefault(row.factor, []).append((seconds(day_start(row.since)), row))
    for code, rows in by_factor.items():
        c = series.get(code)
        if c is None or not is_concentration(code, point):
            continue
        c.value = c.value.copy()
        for i, second in enumerate(c.time.tolist()):
            row = next((r for begin, r in reversed(rows) if begin <= second), None)
            if row is None or row.state == Basis.State.STANDARD or not np.isfinite(c.value[i]):
                continue
            about = _state(point, series, row, second)
            c.state[second] = {"value": float(c.value[i]), "state": str(row.state)} | about
            made = formulas_of(c.state[second])[-1].numbers["result"]
            if made is None or None in about.values():
                c.fault[i] |= np.uint16(Fault.STATE)
            else:
                c.value[i] = made


def _state(point: Point, series: Series, row: Basis, second: int) -> dict[str, float | None]:
    """What the conversion from the basis wants at that time, None for what is not there or not valid."""

    def at(code: str, unit: str) -> float | None:
        c = series.get(code)
        i = c.at(second) if c is not None else None
        size = units.scale(value_unit(code, point), unit)
        if c is None or i is None or c.fault[i] or size is None:
            return None
        return float(c.value[i]) * size

    out: dict[str, float | None] = {}
    if row.state in (Basis.State.STACK, Basis.State.STACK_WET):
        out["t"] = at(TEMPERATURE, "°C")
        out["ba"] = at(BAROMETER, "Pa")
        if out["ba"] is None and row.barometer is not None:
            out["ba"] = row.barometer * 1000
        out["ps"] = at(STATIC, "Pa")
    if row.state in (Basis.State.WET, Basis.State.STACK_WET):
        out["xsw"] = at(MOISTURE, "%")
    return out


def formulas_of(state: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps from the value as sent to dry gas at standard state."""
    given = {k: np.nan if state.get(k) is None else state[k] for k in ("t", "ba", "ps", "xsw")}
    stack, wet = "t" in state, "xsw" in state
    return validity.explain_conversion(
        state["value"],
        temperature=given["t"] if stack else None,
        barometer=given["ba"] if stack else None,
        static=given["ps"] if stack else 0.0,
        moisture=given["xsw"] if wet else None,
    )


def basis(cell: Mapping[str, Any], code: str, point: Point) -> list[Step]:
    """On what basis a value of flue gas is taken, and the way to it where it was sent on another."""
    if not is_concentration(code, point) or cell.get("origin") in ("hours", SAMPLE):
        return []
    state = cell.get("state")
    if state is None:
        return [Step("basis", "", {"state": "standard"}, SOURCE_BASIS)]
    found = [
        Step(s.key, s.formula, {k: _plain(x) for k, x in s.numbers.items()}, s.source)
        for s in formulas_of(state)
    ]
    return [Step("basis", "", {"state": state["state"]}, SOURCE_BASIS), *found]


def _plain(x: Any) -> Any:
    return None if isinstance(x, float) and math.isnan(x) else x


def first(cell: Mapping[str, Any], raw: Step) -> Step:
    """The first step of a value: as sent, or how it was made."""
    if "state" in cell:
        return Step(
            raw.key, raw.formula, {**raw.numbers, "value": cell["state"]["value"]}, raw.source
        )
    return step(cell, str(raw.numbers["unit"])) or raw


def step(cell: Mapping[str, Any], unit: str) -> Step | None:
    """How the nitrogen oxides of a cell were made; None for any other."""
    if "parts" not in cell:
        return None
    parts = cell["parts"]
    numbers = {"no": parts.get(NO), "no2": parts.get(NO2), "result": cell["value"], "unit": unit}
    return Step("nox", "NOx = NO · 46 / 30 + NO2", numbers, SOURCE_NOX)
