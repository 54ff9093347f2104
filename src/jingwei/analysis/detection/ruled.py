"""A finding of a plain rule: no rarity, no budget, the hours and the numbers that break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jingwei.analysis.detection.finding import Evidence, Finding, Words, digits
from jingwei.analysis.detection.monitor import Monitor

LEAD = 48  # rows shown before the stretch
TRAIL = 24
MOST = 1000  # rows of the stretch that are shown at most


def ruled(
    m: Monitor,
    detector: str,
    factor: str,
    rows: tuple[int, int],
    numbers: Mapping[str, Any],
    told: Words,
    formula: str,
    parameters: Mapping[str, Any],
    innocent: tuple[tuple[Words, Words], ...],
    check: Words,
    shown: Sequence[str] = (),
) -> Finding:
    """rows: first and last row that break the rule. told: the sentence without factor and times.
    shown: further columns in the evidence's series. p_value is 1: a rule says nothing of rarity."""
    a, b = rows
    start, end = m.time(a), m.time(b) + m.step
    lead = max(0, a - LEAD)
    until = min(len(m) - 1, max(a, min(b, a + MOST)) + TRAIL)
    return Finding(
        detector,
        factor,
        start,
        end,
        end,
        0.0,
        1.0,
        "rule",
        "screening",
        Words(
            f"{factor}：{start:%Y-%m-%d %H:%M} 至 {end:%Y-%m-%d %H:%M}，{told.zh}。",
            f"{factor}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}: {told.en}.",
        ),
        Evidence(
            digits(dict(numbers)),
            {
                name: digits(m.values[name][lead : until + 1].tolist())
                for name in dict.fromkeys((factor, *shown))
            },
            m.time(lead),
            formula,
            {**digits(dict(parameters)), "step_seconds": m.step.total_seconds()},
            m.sha256(lead, until),
            (lead, until),
        ),
        innocent,
        check,
    )
