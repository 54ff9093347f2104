"""The clock: called again and again, right after any pause."""

from __future__ import annotations

import logging
from datetime import datetime

from jingwei.bureau.cases import services
from jingwei.bureau.cases.models import Case

log = logging.getLogger(__name__)


def tick(now: datetime) -> None:
    """Do whatever the clock has to do at `now`: wake cases, write the escalations that are due.

    Idempotent; may run on several machines. One case that fails is logged and does not stop the
    others.
    """
    for name, act in (("wake_at", services.wake), ("escalate_at", services.escalate)):
        due = Case.objects.filter(**{f"{name}__lte": now}).order_by(name, "pk")
        for pk in list(due.values_list("pk", flat=True)):
            try:
                act(pk, now)
            except Exception:
                log.exception("case %s: the clock failed (%s); the next tick tries again", pk, name)
