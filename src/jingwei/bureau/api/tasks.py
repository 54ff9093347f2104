"""What the worker does for this room from time to time."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.api import services


def tick(now: datetime) -> None:
    """Forget old answers. Idempotent."""
    services.forget(now)
