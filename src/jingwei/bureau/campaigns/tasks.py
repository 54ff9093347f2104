"""What the worker does for this room from time to time."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from jingwei.bureau.campaigns.flows import RECTIFICATION, first_end
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.models import Case


def tick(now: datetime) -> None:
    """Wake items at a milestone that were entered before items were set to wake at all: from the
    first one missed on they do it by themselves. Idempotent; may run on several machines."""
    open_ = [s.name for s in RECTIFICATION.states if RECTIFICATION.alarm(s.name)]
    old = Case.objects.filter(
        flow=RECTIFICATION.name, state__in=open_, wake_at=None, detail__left__isnull=True
    )
    for pk in list(old.values_list("pk", flat=True)):
        with transaction.atomic():
            case = Case.objects.select_for_update().get(pk=pk)
            end = None if "left" in case.detail else first_end(case)
            if end is not None and end <= now:
                kernel.wake(pk, now, end)
