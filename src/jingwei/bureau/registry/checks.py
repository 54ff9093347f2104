"""For `jingwei fsck`: does the reference data fit together?"""

from __future__ import annotations

from collections.abc import Iterator

from jingwei.bureau.registry import selectors


def check() -> Iterator[str]:
    """One sentence a problem: overlapping limits, limits of a foreign outlet, unknown factors."""
    yield from selectors.problems()
