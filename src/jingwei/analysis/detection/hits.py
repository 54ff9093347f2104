"""What a check of the exact tier returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jingwei.analysis.detection.monitor import Bools


@dataclass
class Hit:
    """Rows first..last (both included, of the stretch judged) contradict something."""

    detector: str
    factor: str
    first: int
    last: int
    score: float
    p: float | None  # chance in honest data; None: not estimated
    numbers: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    found: int = -1  # the row at which it could first be known
    tier: str = "exact"
    also: list[str] = field(default_factory=list)


def stretches(flags: Bools, join: int = 1) -> Iterator[tuple[int, int]]:
    """First and last row of each stretch of True; gaps of less than `join` rows are bridged."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return
    breaks = np.flatnonzero(np.diff(rows) > join)
    firsts = np.r_[rows[0], rows[breaks + 1]]
    lasts = np.r_[rows[breaks], rows[-1]]
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)
