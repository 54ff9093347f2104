"""Days from hours: the means of the valid hours, and what of them is exempt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from jingwei.analysis import validity
from jingwei.analysis.validity import Fault
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.monitoring.observations import (
    FLOW,
    Series,
    cells,
    day_level,
    medium,
    seconds,
)
from jingwei.bureau.monitoring.transmission import SAMPLE
from jingwei.bureau.registry.models import Point
from jingwei.standards import formulas

OXYGEN = "a19001"
Hour = tuple[int, dict[str, Any], str]  # second, cells, telegrams


def hours(points: Iterable[Point], start: datetime, end: datetime) -> dict[int, list[Hour]]:
    """The standing hours of sources, by point and time."""
    found: dict[int, list[Hour]] = defaultdict(list)
    for point, when, factors, telegrams in (
        Judgement.objects.filter(
            point__in=[p for p in points if p.kind == Point.Kind.SOURCE],
            period="hour",
            stands=True,
            time__gte=start,
            time__lt=end,
        )
        .order_by("point", "time")
        .values_list("point", "time", "factors", "telegrams")
    ):
        found[point].append((seconds(when), factors, telegrams))
    return found


def means(
    point: Point,
    starts: list[int],
    rows: list[Hour],
    sent: Series,
    references: set[float],
) -> dict[int, tuple[dict[str, Any], list[int]]]:
    """Cells and telegrams of each day (by its start): made from the valid hours of the day where
    hours of the factor came, else as the device sent it. `references`: the reference oxygens (%)
    for which converted means are wanted: those of the converted hours.
    """
    wanted = set(starts)
    out: dict[int, tuple[dict[str, Any], list[int]]] = {}
    telegrams: dict[int, set[int]] = defaultdict(set)
    for second, _, numbers in rows:
        telegrams[_day(second)].update(map(int, numbers.split()))
    for code, c in sent.items():
        for second, seq, one in cells(c, wanted):
            out.setdefault(second, ({}, []))[0][code] = one
            telegrams[second].add(seq)
    by_code: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for second, factors, _ in rows:
        if _day(second) in wanted:
            for code, one in factors.items():
                if one.get("origin") != SAMPLE:
                    by_code[code].append((second, one))
    air = _column(by_code.get(OXYGEN, []))
    flow = _column(by_code.get(FLOW[medium(point)], []))
    for code, found in by_code.items():
        for second, made in _made(point, code, found, air, flow, references).items():
            known = out.setdefault(second, ({}, []))[0].get(code)
            if known and known.get("value") is not None:
                made["sent"] = known["value"]
            out[second][0][code] = made
    return {s: (factors, sorted(telegrams[s])) for s, (factors, _) in sorted(out.items())}


def _day(second: int) -> int:
    return (second + validity.BEIJING) // 86400 * 86400 - validity.BEIJING


Values = dict[int, float]


def _column(rows: list[tuple[int, dict[str, Any]]]) -> Values:
    """The valid values by second."""
    return {s: c["value"] for s, c in rows if not c.get("fault") and c["value"] is not None}


def _made(
    point: Point,
    code: str,
    rows: list[tuple[int, dict[str, Any]]],
    air: Values,
    flow: Values,
    references: set[float],
) -> dict[int, dict[str, Any]]:
    level = day_level(code, point, bool(flow))
    time = np.array([s for s, _ in rows], dtype=np.int64)
    value = np.array([np.nan if c["value"] is None else c["value"] for _, c in rows])
    fault = np.array([c.get("fault", 0) for _, c in rows], dtype=np.uint16)
    weight = (
        np.array([flow.get(s, np.nan) for s in time.tolist()])
        if level.method == "weighted"
        else None
    )
    exempt = np.array([_exempt(c) for _, c in rows], dtype=bool)
    found = validity.aggregate(time, value, level, fault=fault, weight=weight)
    out = {}
    for i, second in enumerate(found.start.tolist()):
        one: dict[str, Any] = {
            "value": _number(found.value[i]),
            "origin": "hours",
            "count": [int(found.count[i]), int(found.good[i])],
            "least": level.least,
        }
        if found.fault[i]:
            one["fault"] = int(found.fault[i])
        if weight is not None:
            one["weighted"] = True
        out[second] = one
    for second, mean in _free(time, value, fault, exempt, level, weight).items():
        out[second]["free"] = mean
    for reference in references:
        o2 = np.array([air.get(s, np.nan) for s in time.tolist()])
        converted = formulas.to_reference_o2(value, o2, reference)
        bad = np.where(np.isfinite(converted), fault, fault | np.uint16(Fault.MISSING))
        bad = bad.astype(np.uint16)
        there = validity.aggregate(time, converted, level, fault=bad, weight=weight)
        free = _free(time, converted, bad, exempt, level, weight)
        for i, second in enumerate(there.start.tolist()):
            out[second].setdefault("converted", {})[f"{reference:g}"] = [
                _number(there.value[i]),
                int(there.good[i]),
                free.get(second),
            ]
    return out


def _free(
    time: Any, value: Any, fault: Any, exempt: Any, level: validity.Level, weight: Any
) -> Mapping[int, float | None]:
    """The means without the exempt hours, of the days that have such hours (Order 10 art. 10: how
    they are taken out is not said; a day exceeds only where it does so with them and without
    them); None where the hours that are left are fewer than a day's mean needs, for they make
    none."""
    if not exempt.any():
        return {}
    out = np.where(exempt, fault | np.uint16(Fault.MARK), fault).astype(np.uint16)
    found = validity.aggregate(time, value, level, fault=out, weight=weight)
    days = {_day(s) for s in time[exempt].tolist()}
    return {
        s: _number(found.value[i]) if found.good[i] >= level.least else None
        for i, s in enumerate(found.start.tolist())
        if s in days
    }


def _exempt(one: Mapping[str, Any]) -> bool:
    return "exempt" in one


def _number(x: Any) -> float | None:
    return float(x) if np.isfinite(x) else None
