"""Periodic work: judge what came in, keep the transmission days, follow marks and inquiries."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.monitoring import (
    amounts,
    belied,
    detection,
    device_gaps,
    device_services,
    expired,
    furnaces,
    naming,
    national,
    patterns,
    plans,
    services,
    triggers,
    unexcused,
)


def tick(now: datetime) -> None:
    """Judge until caught up (some batches at most), then what is expected by now; the detectors
    and patterns work beside this round."""
    national.enter(now)
    services.catch_up(now)
    services.expect(now)
    expired.look(now)
    naming.look(now)
    unexcused.look(now)
    furnaces.follow(now)
    belied.examine(now)
    device_services.settle(now)
    device_services.grant_keys(now)
    device_gaps.tick(now)
    amounts.refresh(now)
    triggers.propose(now)
    plans.remind(now)
    detection.tick(now)
    patterns.tick(now)
