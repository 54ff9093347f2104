"""What the worker does for this room from time to time."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.findings import announce, clock, complaints, ratelimit


def tick(now: datetime) -> None:
    """Tell of what came in, let rise what nobody decided on in time and tell of that; forget old
    counts; finish erasing identities. Idempotent; may run on several machines."""
    announce.tell_of_new(now)
    clock.escalate(now)
    announce.tell_of_late(now)
    ratelimit.forget(now)
    complaints.finish_erasing()
