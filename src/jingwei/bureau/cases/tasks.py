"""The clock: called again and again, right after any pause."""

from __future__ import annotations

import logging
from datetime import datetime

from jingwei.bureau.cases import services
from jingwei.bureau.cases.models import Case

log = logging.getLogger(__name__)


def tick(now: datetime) -> None:
    """Write every escalation that is due at `now`. Idempotent; may run on several machines.

    One case that cannot be escalated is logged and does not stop the others.
    """
    due = Case.objects.filter(escalate_at__lte=now).order_by("escalate_at", "pk")
    for pk in list(due.values_list("pk", flat=True)):
        try:
            services.escalate(pk, now)
        except Exception:
            log.exception("case %s: its escalation failed; the next tick tries again", pk)
