"""Periodic work: what must leave the house leaves it, and what is old goes."""

from __future__ import annotations

from datetime import datetime, timedelta

from jingwei.bureau.notices import outbox
from jingwei.bureau.notices.models import Message

KEEP = timedelta(days=400)
BATCH = 500


def tick(now: datetime) -> None:
    """Send what is due; forget messages older than `KEEP`, a few at a time."""
    outbox.send(now)
    old = list(
        Message.objects.filter(created__lt=now - KEEP)
        .order_by("created")
        .values_list("pk", flat=True)[:BATCH]
    )
    if old:
        Message.objects.filter(pk__in=old).delete()
