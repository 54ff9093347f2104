"""What the worker does for this room from time to time."""

from __future__ import annotations

import logging
from datetime import datetime, time, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.selectors import people
from jingwei.bureau.campaigns.course import CLOSED
from jingwei.bureau.campaigns.evaluating import LONGEST
from jingwei.bureau.campaigns.flows import RECTIFICATION, first_end
from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.cases import clock
from jingwei.bureau.cases.models import Case
from jingwei.bureau.notices.models import Message
from jingwei.bureau.notices.services import tell

log = logging.getLogger(__name__)
REMINDED = timedelta(days=30)  # how long after its stretches a campaign may still be told of


def tick(now: datetime) -> None:
    """Wake items of before; tell of campaigns that can be evaluated. Idempotent; may run on several
    machines. An item that fails is logged and does not stop the others."""
    _old_items(now)
    _to_be_evaluated(now)


def _old_items(now: datetime) -> None:
    """Wake items at a milestone that were entered before items were set to wake at all: from the
    first one missed on they do it by themselves."""
    open_ = [s.name for s in RECTIFICATION.states if RECTIFICATION.alarm(s.name)]
    old = Case.objects.filter(
        flow=RECTIFICATION.name, state__in=open_, wake_at=None, detail__left__isnull=True
    )
    for case in list(old.only("pk", "detail").order_by("pk")):
        try:
            if _missed(case, now):
                with transaction.atomic():
                    locked = Case.objects.select_for_update().get(pk=case.pk)
                    if _missed(locked, now):
                        clock.wake(case.pk, now, first_end(locked))
        except Exception:
            log.exception(
                "item %s: its milestones cannot be read; the next tick tries again", case.pk
            )


def _missed(case: Case, now: datetime) -> bool:
    end = None if "left" in case.detail else first_end(case)
    return end is not None and end <= now


def _to_be_evaluated(now: datetime) -> None:
    """Tell those who evaluate of each closed campaign whose stretch afterwards is over, once; not of
    one that was evaluated since."""
    today = timezone.localdate(now)
    closed = Programme.objects.filter(
        kind=Programme.Kind.CAMPAIGN,
        state=CLOSED,
        ends__gte=today - timedelta(days=LONGEST) - REMINDED,
        ends__lt=today,
    )
    for row in closed.order_by("pk"):
        length = timedelta(days=min((row.ends - row.begins).days + 1, LONGEST))
        over = row.ends + length  # the last day of the stretch
        midnight = timezone.make_aware(datetime.combine(over + timedelta(days=1), time()))
        if not over < today <= over + REMINDED:
            continue
        if (
            row.evaluations.filter(at__gte=midnight).exists()
            or Message.objects.filter(key=row.evaluation_key).exists()
        ):
            continue

        def words(title: str = row.title) -> str:
            return _("The campaign “%s” can be evaluated: the days after it are over.") % title

        with transaction.atomic():
            tell(
                people(Role.DISPATCHER), words, kind="turn", url=row.get_absolute_url(),
                key=row.evaluation_key, now=now,
            )  # fmt: skip
