"""From stored cells (`Judgement.factors`) to verdicts with their steps: no database, no lake.

The judgement writes what these functions say, and the pages show it again from the same cells: an
earlier judgement stays readable as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jingwei.analysis import validity
from jingwei.analysis.compliance import (
    RATE,
    SOURCE_OXYGEN,
    Judgement,
    Limit,
    Reason,
    Step,
    judge_hour,
    rate,
)
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring import gas
from jingwei.bureau.monitoring.observations import (
    FLOW,
    current_code,
    day_level,
    medium,
    normal_marks,
    value_unit,
)
from jingwei.bureau.registry.force import defect, is_rate, usable
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import units

Cells = Mapping[str, Mapping[str, Any]]

SOURCES = {
    Fault.MARK: "MEE Announcement 2022-21 art. 6",
    Fault.UNKNOWN_MARK: "HJ 212",
    Fault.NEGATIVE: "A18-3.1",
    Fault.OVER_RANGE: "A18-3.2",
    Fault.FLAT: "A18-3",
    Fault.NO_LINK: "A18-3.3",
    Fault.FEW: "HJ 212-2017 App. D",
    Fault.PART: gas.SOURCE_NOX,
    Fault.OUT_OF_CONTROL: "HJ 75-2017; HJ 356-2019",
    Fault.STATE: gas.SOURCE_BASIS,
}
SOURCE_SAMPLE = "MEE Order 10 art. 8; PEN-mark"
SOURCE_EXEMPT = "MEE Order 10 art. 10"
SOURCE_RATE = "HJ 212-2017 App. D (33), (8)"


def as_limit(row: PermitLimit) -> Limit:
    """The limit as the laboratory wants it; `ValueError` for one that cannot be judged by."""
    if not usable(row):
        raise ValueError(defect(row))
    return Limit(float(row.value), row.unit, row.reference_o2, row.lower)


def known(cell: Mapping[str, Any] | None) -> int:
    """The reason that a cell's faults give, 0 where it is valid; a missing cell has no value."""
    if cell is None:
        return int(Reason.VALUE_MISSING)
    return int(validity.reasons([cell.get("fault", 0)])[0])


def explain(point: Point, row: PermitLimit, factors: Cells, period: str) -> Judgement | None:
    """The verdict on one stored value and its steps; None where the limit cannot be judged by, or
    nothing of the factor is stored.
    """
    cell = factors.get(row.factor)
    if cell is None:
        return None
    try:
        limit = as_limit(row)
    except ValueError:
        return None
    if "sample" in cell and not is_rate(row):
        return _of_sample(point, row, limit, cell)
    if cell.get("origin") == "hours":
        one = _of_hours(point, row, limit, cell)
    elif is_rate(row):
        one = _of_rate(point, row, limit, factors)
    else:
        oxygen = factors.get("a19001")
        unit = value_unit(row.factor, point)
        one = judge_hour(
            cell["value"],
            cell.get("mark", ""),
            oxygen["value"] if oxygen else None,
            oxygen.get("mark", "") if oxygen else None,
            limit=limit,
            unit=unit,
            sent=cell.get("sent"),
            normal=normal_marks(point.version),
            known=_known_here(cell),
            o2_known=known(oxygen) if oxygen and oxygen["value"] is not None else 0,
        )
    steps = [gas.first(cell, s) if s.key == "raw" else s for s in one.steps]
    at = next(i for i, s in enumerate(steps) if s.key in ("raw", "nox", "mean")) + 1
    if at < len(steps) and steps[at].key == "mark":
        at += 1
    steps[at:at] = [*checks(cell), *gas.basis(cell, row.factor, point)]
    return Judgement(one.value, limit, one.multiple, one.verdict, one.reason, tuple(steps))


def _known_here(cell: Mapping[str, Any]) -> int:
    """`known`, or that an enterprise's mark exempts the value."""
    return known(cell) or (int(Reason.EXEMPT) if "exempt" in cell else 0)


def checks(cell: Mapping[str, Any]) -> list[Step]:
    """What was looked at to call a value valid: the shorter period's values, and the faults."""
    steps = []
    if "count" in cell and cell.get("origin") != "hours":
        received, usable = cell["count"]
        steps.append(
            Step("count", "", {"received": received, "usable": usable}, "HJ 212-2017 App. D")
        )
    mask = cell.get("fault", 0)
    found = [f for f in Fault if mask & f]
    sources = list(dict.fromkeys(SOURCES[f] for f in found if f in SOURCES))
    numbers: dict[str, float | str | None] = {
        "valid": "no" if mask else "yes",
        "reasons": ", ".join(validity.names(mask)),
    }
    for key in ("by", "exempt", "check"):
        if key in cell:
            numbers[key] = str(cell[key])
    steps.append(Step("validity", "", numbers, "; ".join(sources)))
    return steps


def _of_rate(point: Point, row: PermitLimit, limit: Limit, factors: Cells) -> Judgement:
    """kg/h: the concentration as measured times the flow of the same hour."""
    cell = factors[row.factor]
    code = FLOW[medium(point)]
    flow = factors.get(code)
    unit, flow_unit = value_unit(row.factor, point), value_unit(code, point)
    value = cell["value"]
    q = flow["value"] if flow else None
    made = rate(
        [math.nan if value is None else value], unit, [math.nan if q is None else q], flow_unit
    )
    result = None if made is None or math.isnan(made[0]) else float(made[0])
    why = _known_here(cell) or (int(Reason.FLOW_INVALID) if known(flow) else 0)
    one = judge_hour(
        0.0 if why else result,
        cell.get("mark", ""),
        limit=Limit(limit.value, limit.unit, None, limit.lower),
        unit=RATE if made is not None else "",
        normal=normal_marks(point.version),
        known=why,
    )
    raw = Step("raw", "", {"value": value, "unit": unit}, "HJ 212-2017")
    numbers = {"c": value, "unit": unit, "q": q, "q_unit": flow_unit, "result": result}
    made_step = Step("rate", "C · Q", numbers, SOURCE_RATE)
    steps = (raw, one.steps[1], made_step, *one.steps[2:])
    return Judgement(one.value, limit, one.multiple, one.verdict, one.reason, steps)


def _of_sample(point: Point, row: PermitLimit, limit: Limit, cell: Mapping[str, Any]) -> Judgement:
    """What officers sampled prevails: it is held against the limit as it was reported, and the
    automatic value stands beside it."""
    sample = cell["sample"]
    plain = Limit(limit.value, limit.unit, None, limit.lower)
    one = judge_hour(sample["value"], "", limit=plain, unit=sample["unit"])
    raw = Step(
        "raw", "", {"value": cell["value"], "unit": value_unit(row.factor, point)}, "HJ 212-2017"
    )
    bound = next(s for s in one.steps if s.key == "limit")
    bound = Step("limit", "", {**bound.numbers, "o2s": limit.reference_o2}, bound.source)
    unit_step = [s for s in one.steps if s.key == "unit"]
    steps = (
        raw, *checks(cell), Step("sample", "", dict(sample), SOURCE_SAMPLE), *unit_step, bound,
        one.steps[-1],
    )  # fmt: skip
    return Judgement(one.value, limit, one.multiple, one.verdict, one.reason, steps)


def of_hours(cell: Mapping[str, Any], row: PermitLimit, unit: str) -> tuple[float | None, int]:
    """What a day's mean (in `unit`) is judged by, and the reason that is known against it."""
    value, why = cell["value"], known(cell)
    if row.reference_o2 is not None:
        value, good, free = cell.get("converted", {}).get(f"{row.reference_o2:g}", [None, 0, None])
        if not why and good < cell["least"]:
            why = int(Reason.OXYGEN_INVALID)
    else:
        free = cell.get("free", value)
    if not why and value is not None and "free" in cell and _only_exempt(value, free, row, unit):
        why = int(Reason.EXEMPT)
    return value, why


def without_exempt(cell: Mapping[str, Any], row: PermitLimit) -> float | None:
    """The day's mean without the exempt hours, at the limit's reference oxygen; None: there is none."""
    if row.reference_o2 is None:
        return cell.get("free")
    free: float | None = cell.get("converted", {}).get(f"{row.reference_o2:g}", [None, 0, None])[2]
    return free


def _only_exempt(value: float, free: float | None, row: PermitLimit, unit: str) -> bool:
    """Whether a day is over the limit with its exempt hours alone (Order 10 art. 10)."""
    scale = units.scale(row.unit, unit)
    if scale is None:
        return False
    bound = float(row.value) * scale
    return not row.lower and value > bound and (free is None or free <= bound)


def _of_hours(point: Point, row: PermitLimit, limit: Limit, cell: Mapping[str, Any]) -> Judgement:
    """A day's mean that was made from its valid hours."""
    unit = value_unit(row.factor, point)
    value, why = of_hours(cell, row, unit)
    plain = Limit(limit.value, limit.unit, None, limit.lower)
    one = judge_hour(value, "", limit=plain, unit=unit, known=why)
    level = day_level(row.factor, point, cell.get("weighted", False))
    received, usable = cell["count"]
    count = Step(
        "count",
        f"n ≥ {cell['least']}",
        {"received": received, "usable": usable, "least": cell["least"]},
        level.source,
    )
    formula = {"mean": "Σ C / n", "weighted": "Σ C·Q / Σ Q", "median": "median"}[level.method]
    numbers: dict[str, float | str | None] = {"value": cell["value"], "unit": unit, "n": usable}
    if cell.get("sent") is not None:
        numbers["sent"] = cell["sent"]
    steps = [count, Step("mean", formula, numbers, level.source)]
    if row.reference_o2 is not None:
        _, good, _ = cell.get("converted", {}).get(f"{row.reference_o2:g}", [None, 0, None])
        numbers = {"o2s": row.reference_o2, "n": good, "result": value}
        steps.append(
            Step("converted_day", "Σ C · (21 − O2s) / (21 − O2) / n", numbers, SOURCE_OXYGEN)
        )
    if "free" in cell:
        free = without_exempt(cell, row)
        steps.append(
            Step("exempt", "", {"free": free, "unit": unit, "least": cell["least"],
                 "decides": "yes" if why == Reason.EXEMPT else "no"}, SOURCE_EXEMPT)
        )  # fmt: skip
    bound = next(s for s in one.steps if s.key == "limit")
    bound = Step("limit", "", {**bound.numbers, "o2s": limit.reference_o2}, bound.source)
    unit_step = [s for s in one.steps if s.key == "unit"]
    steps += [*unit_step, bound, one.steps[-1]]
    return Judgement(one.value, limit, one.multiple, one.verdict, one.reason, tuple(steps))


def at_hand(point: Point, factors: Cells, factor: str) -> Mapping[str, Any] | None:
    """The stored cell of a factor as a device of the point's version names it."""
    return factors.get(current_code(factor, point.version))
