"""What the worker does for this room from time to time."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.findings import complaints, ratelimit


def tick(now: datetime) -> None:
    """Forget old counts; finish erasing identities. Idempotent."""
    ratelimit.forget(now)
    complaints.finish_erasing()
