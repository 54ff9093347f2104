"""Periodic work: judge what came in, keep the transmission days."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.monitoring import amounts, device_services, services

ROUNDS = 25  # batches in one tick: a long backlog is worked off over several ticks


def tick(now: datetime) -> None:
    """Judge until caught up (at most `ROUNDS` batches a period), then what is expected by now."""
    for period in ("hour", "day"):
        for _ in range(ROUNDS):
            if not services.judge(now, period).moved:
                break
    services.expect(now)
    device_services.settle(now)
    amounts.refresh(now)
