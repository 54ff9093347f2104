"""Who is told when it is somebody else's turn, and when something rises."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import people
from jingwei.bureau.cases.flow import ESCALATE, HAND_OVER, NOTES
from jingwei.bureau.cases.models import OUTSIDE, Case, CaseEvent
from jingwei.bureau.notices.services import settle, tell
from jingwei.bureau.prepared import Prepared

UNDER_DISTRICT = (Role.ENTERPRISE, Role.GRID, Role.DISTRICT)


# Asked in every act; `tell` needs what people prefer.
_of_office: Prepared[User] = Prepared(
    lambda role, department: (
        User.objects.filter(is_active=True, role=role, department_id=department)
        .select_related("preference")
        .order_by("pk")
    )
)
_of_area: Prepared[User] = Prepared(
    lambda role, area: people(role, area=area).select_related("preference").order_by("pk")
)


def turn(case: Case) -> list[User]:
    """The people for whom the case waits, with their preferences."""
    found: dict[int, User] = {}
    for role in case.at.roles:
        if case.holder and case.holder.is_active and case.holder.role == role:
            named = [case.holder]
        elif case.at.lead:
            named = _of_office(str(role), case.department_id)
        elif role == Role.ENTERPRISE:
            known = people(role, enterprise=case.enterprise.uscc) if case.enterprise else ()
            named = list(known)
        elif role == Role.DEPARTMENT:
            named = list(people(role, area=case.region_id, matter=case.matter))
        else:
            named = _of_area(str(role), case.region_id)
        found |= {user.pk: user for user in named}
    return list(found.values())


def superiors(case: Case, level: int) -> QuerySet[User]:
    """The people who hear of a delay at a level: the district of those under it, the city, its
    leaders."""
    if level >= 3:
        return people(Role.LEADER)
    if level == 2 or not set(case.at.roles) & set(UNDER_DISTRICT):
        return people(Role.DISPATCHER)
    offices = Department.objects.filter(kind=Department.Kind.DISTRICT)
    return User.objects.filter(
        Q(department__in=offices.filter(jurisdictions__area=case.region_id)),
        role=Role.DISTRICT,
        is_active=True,
    )


def key_of(event: CaseEvent) -> str:
    """The key of the messages about an event: nobody gets two of them."""
    return f"case:{event.case_id}:{event.seq}"


def named(case: Case) -> str:
    """The case as a message names it: with its enterprise, where its name does not say it."""
    enterprise = case.enterprise.name if case.enterprise else ""
    if not enterprise or enterprise in str(case):
        return str(case)
    return _("%(case)s (%(enterprise)s)") % {"case": case, "enterprise": enterprise}


def _headed(what: str, case: Case) -> str:
    return _("%(what)s: %(case)s") % {"what": what, "case": named(case)}


def told(event: CaseEvent, case: Case, risen: Iterable[int] = ()) -> None:
    """Tell whose turn it is now, and the superiors of whoever is late. In the act's transaction.

    `risen`: the levels of delay that the event brought about; who is superior at several hears of
    the highest.
    """
    url, key = case.get_absolute_url(), key_of(event)
    for level in sorted(risen, reverse=True):
        tell(
            superiors(case, level), partial(_late, case, level), kind="overdue", url=url,
            key=f"{key}:late", besides=event.actor, now=event.at,
        )  # fmt: skip
    if event.transition == ESCALATE or event.transition in NOTES:  # whose room tells
        return
    asks = event.changes.get("detail", {}).get("asks")
    moved = not asks and (event.target != event.source or "department_id" in event.changes)
    if moved:
        settle("turn", url, now=event.at)  # what the last ones were told to do is done
    if case.rules.tell:
        case.rules.tell(event, case)
    if asks:

        def asked() -> str:
            return _("To be decided: %(act)s, %(case)s") % {
                "act": event.label,
                "case": named(case),
            }

        tell(
            people(asks), asked, kind="turn", url=url, key=key,
            besides=event.actor, now=event.at,
        )  # fmt: skip
    elif moved:

        def due() -> str:
            return _headed(case.state_label, case)

        if not case.at.final:
            tell(turn(case), due, kind="turn", url=url, key=key, besides=event.actor, now=event.at)
    elif event.actor is None:  # the clock found something undone that moves nothing

        def undone() -> str:
            return _headed(event.label, case)

        step = case.rules.transition(event.transition)
        besides = [u for role in step.tells for u in people(role)] if step else []
        to = list(superiors(case, 2)) + who_may_know(event, case) + besides
        tell(to, undone, kind="overdue", url=url, key=key, now=event.at)
    elif event.transition != HAND_OVER:  # which tells by itself
        _news(event, case, url, key)


def who_may_know(event: CaseEvent, case: Case) -> list[User]:
    """Those for whom the case waits; of an internal act nobody outside the bureau."""
    return [u for u in turn(case) if not (event.internal and u.role in OUTSIDE)]


def _news(event: CaseEvent, case: Case, url: str, key: str) -> None:
    """What moves nothing, but concerns others: a new deadline, a pause, a listing, a comment."""

    def joined() -> str:
        return _("Joint handling, your office takes part: %s") % named(case)

    def happened() -> str:
        return _headed(event.label, case)

    if "party_ids" in event.changes:
        parties = list(case.parties.all())
        tell(parties, joined, kind="turn", url=url, key=key, besides=event.actor, now=event.at)
    to = who_may_know(event, case)
    if case.issued and not event.internal and Role.ENTERPRISE in case.rules.known_to:
        to += people(Role.ENTERPRISE, enterprise=case.enterprise.uscc) if case.enterprise else ()
    tell(to, happened, kind="case", url=url, key=key, besides=event.actor, now=event.at)


def _late(case: Case, level: int) -> str:
    return _("Overdue, level %(level)s: %(case)s. Waits for: %(role)s") % {
        "level": level,
        "case": named(case),
        "role": case.at.waits_label,
    }
