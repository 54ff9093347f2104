"""What other rooms show on the page of a case: each registers itself, the kernel knows none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jingwei.bureau.cases.models import Case

# What to show to this user of this case: `template` and whatever it needs; None for nothing.
Panel = Callable[[Any, Case], dict[str, Any] | None]
_panels: list[Panel] = []


def register(panel: Panel) -> None:
    if panel not in _panels:
        _panels.append(panel)


def of(user: Any, case: Case) -> list[dict[str, Any]]:
    return [found for panel in _panels if (found := panel(user, case))]
