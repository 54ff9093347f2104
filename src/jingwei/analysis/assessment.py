"""How well departments and officers handled what came to them: shares, times, scores.

The weights of the scores are this program's own defaults, shown wherever a score is shown; no
regulation sets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

# Points of the score of a department and of a grid officer; each sums to 100.
DEPARTMENT: Final = {"handled": 40, "on_time": 40, "not_returned": 20}
OFFICER: Final = {"on_time": 60, "located": 20, "not_late": 20}


def share(part: int, whole: int) -> float | None:
    """`part` of `whole`, 0 to 1; None of nothing."""
    return part / whole if whole else None


def quantile(values: Sequence[float], q: float) -> float | None:
    """The smallest value that at least the share `q` of all does not exceed (nearest rank, so it
    is one of the values); None of nothing."""
    if not 0 < q <= 1:
        raise ValueError(f"q {q}: wanted above 0, at most 1")
    ordered = sorted(values)
    return ordered[ceil(q * len(ordered)) - 1] if ordered else None


def score(parts: dict[str, float | None], weights: dict[str, int]) -> float | None:
    """The weighted sum of shares in points of 100, rounded to a tenth.

    A share that is None (there was nothing of the kind) is left out, and the weights of the
    others stand for the whole; None where all are. Raises KeyError for a part without weight.
    """
    known = {name: value for name, value in parts.items() if value is not None}
    total = sum(weights[name] for name in known)
    if not total:
        return None
    return round(100 * sum(weights[name] * value for name, value in known.items()) / total, 1)
