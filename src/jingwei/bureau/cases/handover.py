"""Hand-over: what waits for one person goes to another of the same role, with a reason.

The new holder reaches the case wherever it lies, and it waits for this person alone of all people
of the role, until it is handed over again or goes to another department or district. What only the
responsible department may do goes to its people alone. Other roles, clocks and escalations are not
touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases import selectors
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import HAND_OVER
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.cases.writing import append, save
from jingwei.bureau.notices.services import tell


def matters(person: User) -> QuerySet[Case]:
    """The open cases that wait for a person in the own place, the most urgent first."""
    alone = User.objects.get(pk=person.pk)
    alone._acts_for = [alone]  # not those of whom this person stands in for
    return selectors.waiting_for(alone)


def may_hand_over(user: User, person: User) -> bool:
    """Whether `user` may hand over what `person` holds: one's own, or anybody's."""
    if not person.role or person.enterprise_code or not may(person, "case.act"):
        return False
    return may(user, "substitution.any") or user.pk == person.pk


@transaction.atomic
def hand_over(
    user: User,
    person: User,
    to: User,
    cases: Iterable[int],
    reason: str,
    now: datetime | None = None,
) -> list[CaseEvent]:
    """Give these cases of `person` to `to`; one event a case. All of them, or none: `Refused`."""
    now = now or timezone.now()
    wanted = set(cases)
    if not may_hand_over(user, person):
        raise Refused(_("You may hand over your own matters alone."))
    if to.pk == person.pk or not to.is_active or to.is_superuser or to.role != person.role:
        raise Refused(_("Choose another person of the same role."))
    if not reason.strip():
        raise Refused(_("Give a reason."))
    if not wanted:
        raise Refused(_("Choose at least one case."))
    held = set(matters(person).filter(pk__in=wanted).values_list("pk", flat=True))
    locked = list(Case.objects.select_for_update(of=("self",)).filter(pk__in=held).order_by("pk"))
    if len(locked) != len(wanted):
        raise Refused(_("Some of these cases wait for somebody else by now. Look again."))
    for case in locked:
        if case.at.lead and to.role in case.at.roles and to.department_id != case.department_id:
            raise Refused(
                _(
                    "“%(case)s” waits for %(department)s: leave it out, or choose somebody who"
                    " works there."
                )
                % {"case": case, "department": department_label(case.department)}
            )
    events = []
    for case in locked:
        case.holder = to
        save(case, case.version, {"holder_id": to.pk})
        events.append(
            append(
                case,
                HAND_OVER,
                source=case.state,
                user=user,
                now=now,
                data={"from": person.pk, "to": to.pk, "text": reason.strip()},
                changes={"holder_id": to.pk},
                internal=True,
                key=f"hand_over:{case.pk}:{secrets.token_hex(8)}",
            )
        )
    count = len(events)

    def given() -> str:
        return ngettext(
            "%(count)d case of %(person)s was handed over to you: %(reason)s",
            "%(count)d cases of %(person)s were handed over to you: %(reason)s",
            count,
        ) % {"count": count, "person": person, "reason": reason.strip()}

    tell(to, given, kind="handover", url="/cases/?mine=1", besides=user, now=now)
    return events
