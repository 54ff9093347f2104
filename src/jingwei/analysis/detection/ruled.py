"""Findings of what needs no history: a plain rule, or sums that must come out. No rarity, no budget,
the hours and the numbers that break it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jingwei.analysis.detection import texts
from jingwei.analysis.detection.finding import (
    NOT_ESTIMATED,
    Draft,
    Evidence,
    Finding,
    Words,
    digits,
)
from jingwei.analysis.detection.hits import Hit
from jingwei.analysis.detection.monitor import Floats, Monitor

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


def exactly(m: Monitor, hit: Hit, also: Mapping[str, Floats]) -> Finding:
    """The finding of a hit of the exact tier that no suite has learnt of. also: further series shown."""
    text = texts.DETECTORS[hit.detector]
    lead, until = max(0, hit.first - LEAD), min(len(m) - 1, min(hit.last, hit.first + MOST) + TRAIL)
    rows = slice(lead, until + 1)
    draft = Draft(hit.detector, hit.factor, hit.first, hit.last, hit.found, 0.0, "exact")
    series = {hit.factor: m.values[hit.factor], **also}
    return Finding(
        hit.detector,
        hit.factor,
        m.time(hit.first),
        m.time(hit.last) + m.step,
        m.time(hit.found) + m.step,
        digits(-math.log10(max(NOT_ESTIMATED, 1e-12))),
        digits(NOT_ESTIMATED),
        "exact",
        "evidence",
        texts.sentence(draft, hit.factor, m, digits(hit.numbers), None),
        Evidence(
            digits(hit.numbers),
            {name: digits(column[rows].tolist()) for name, column in series.items()},
            m.time(lead),
            text.formula,
            {**digits(hit.parameters), "step_seconds": m.step.total_seconds()},
            m.sha256(lead, until),
            (lead, until),
        ),
        text.innocent,
        text.check,
    )
