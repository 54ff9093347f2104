"""What a value of flue gas is before anything is held against it: nitrogen oxides of NO and NO2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jingwei.analysis.compliance import Step
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring.observations import Column, Series, joined, watched
from jingwei.bureau.registry.models import Point
from jingwei.standards import formulas

NOX, NO, NO2 = "a21002", "a21003", "a21004"
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


def step(cell: Mapping[str, Any], unit: str) -> Step | None:
    """How the nitrogen oxides of a cell were made; None for any other."""
    if "parts" not in cell:
        return None
    parts = cell["parts"]
    numbers = {"no": parts.get(NO), "no2": parts.get(NO2), "result": cell["value"], "unit": unit}
    return Step("nox", "NOx = NO · 46 / 30 + NO2", numbers, SOURCE_NOX)
