"""Periodic work: judge what came in, keep the transmission days."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.monitoring import (
    amounts,
    device_gaps,
    device_services,
    plans,
    services,
    triggers,
)


def tick(now: datetime) -> None:
    """Judge until caught up (some batches at most), then what is expected by now."""
    services.catch_up(now)
    services.expect(now)
    device_services.settle(now)
    device_gaps.tick(now)
    amounts.refresh(now)
    triggers.propose(now)
    plans.remind(now)
