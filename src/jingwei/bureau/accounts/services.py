"""Everything that writes about people and days: substitutions, the calendar of working days."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import CalendarChange, SavedFilter, Substitution, User
from jingwei.bureau.evidencelog.services import record

LONGEST = 366  # days of one substitution


class Refused(Exception):  # noqa: N818
    """The act is not possible; the text says why, in the reader's language."""


# --- substitutions -------------------------------------------------------------------------------


def may_arrange(user: User, absent: User) -> bool:
    """Whether `user` may say who stands in for `absent`: for oneself, or for anybody."""
    if may(user, "substitution.any"):
        return True
    return user.pk == absent.pk and may(user, "substitution.own")


@transaction.atomic
def substitute(
    user: User,
    absent: User,
    by: User,
    begins: date,
    ends: date,
    reason: str,
    now: datetime | None = None,
) -> Substitution:
    """Let `by` stand in for `absent` from the first to the last day. Raises `Refused`."""
    now = now or timezone.now()
    if not may_arrange(user, absent):
        raise Refused(_("You may arrange a substitute for yourself alone."))
    # Held to the end: two arrangements for one person at once are taken one after the other.
    people = {p.pk: p for p in User.objects.select_for_update().filter(pk__in=[absent.pk, by.pk])}
    if absent.pk == by.pk or len(people) != 2:
        raise Refused(_("Choose another person as substitute."))
    absent, by = people[absent.pk], people[by.pk]
    if not by.is_active or not absent.role or by.role != absent.role or by.is_superuser:
        raise Refused(_("A substitute has the same role as the absent person."))
    if absent.is_superuser:
        raise Refused(_("Nobody stands in for an administrator."))
    if absent.enterprise_code != by.enterprise_code:
        raise Refused(_("A substitute represents the same enterprise."))
    if ends < begins:
        raise Refused(_("The last day lies before the first."))
    if ends < timezone.localdate(now):
        raise Refused(_("These days are past."))
    if (ends - begins).days >= LONGEST:
        raise Refused(_("A substitution lasts a year at most."))
    if not reason.strip():
        raise Refused(_("Give a reason."))
    same = Substitution.objects.filter(ended=None, begins__lte=ends, ends__gte=begins)
    if same.filter(absent=absent).exists():
        raise Refused(_("Somebody stands in for this person in these days already."))
    if same.filter(absent=by).exists():
        raise Refused(_("The substitute is absent in these days."))
    row = Substitution.objects.create(
        absent=absent, substitute=by, begins=begins, ends=ends, reason=reason.strip(), made_by=user
    )
    _record(row, "begun", user)
    return row


@transaction.atomic
def call_off(user: User, row: Substitution, now: datetime | None = None) -> Substitution:
    """End a substitution before its last day. Raises `Refused`."""
    now = now or timezone.now()
    row = Substitution.objects.select_for_update().get(pk=row.pk)
    if not may_arrange(user, row.absent):
        raise Refused(_("You may arrange a substitute for yourself alone."))
    if row.ended or row.ends < timezone.localdate(now):
        raise Refused(_("This substitution is over already."))
    row.ended = now
    row.save(update_fields=["ended"])
    _record(row, "called_off", user)
    return row


def _record(row: Substitution, what: str, user: User) -> None:
    """Persons stand in the log by a salted digest of their numbers alone."""
    record(
        "substitution",
        f"substitution:{row.pk}",
        {
            "act": what,
            "role": row.absent.role,
            "begins": row.begins,
            "ends": row.ends,
        },
        actor=str(user.pk),
        said={"absent": row.absent_id, "substitute": row.substitute_id, "reason": row.reason},
    )


# --- calendar ------------------------------------------------------------------------------------


@transaction.atomic
def change_calendar(
    user: User,
    first: date,
    last: date,
    kind: str,
    *,
    name: str = "",
    name_en: str = "",
    source: str,
    reason: str,
    now: datetime | None = None,
) -> list[CalendarChange]:
    """Make the days from `first` to `last` days off, working days, ordinary or as published.

    Deadlines that were derived before stay as they are; new ones follow. Raises `Refused`.
    """
    now = now or timezone.now()
    if not may(user, "calendar.change"):
        raise Refused(_("Only an administrator changes the calendar."))
    if kind not in CalendarChange.Kind.values:
        raise Refused(_("Choose what these days are."))
    if last < first:
        raise Refused(_("The last day lies before the first."))
    count = (last - first).days + 1
    if count > 31:
        raise Refused(
            ngettext(
                "That is %(count)d day: at most 31 at once.",
                "That are %(count)d days: at most 31 at once.",
                count,
            )
            % {"count": count}
        )
    if kind in (CalendarChange.Kind.REST, CalendarChange.Kind.WORK) and not name.strip():
        raise Refused(_("Say what the day is called, for example 春节."))
    if not source.strip() or not reason.strip():
        raise Refused(_("Give source and reason."))
    if kind == CalendarChange.Kind.YEAR:
        first = last = date(first.year, 1, 1)
        count = 1
    rows = CalendarChange.objects.bulk_create(
        CalendarChange(
            date=first + timedelta(days=i),
            kind=kind,
            name=name.strip(),
            name_en=name_en.strip(),
            source=source.strip(),
            reason=reason.strip(),
            by=user,
            at=now,
        )
        for i in range(count)
    )
    record(
        "calendar",
        f"calendar:{first.year}",
        {
            "first": first,
            "last": last,
            "kind": kind,
            "name": name.strip(),
            "source": source.strip(),
        },
        actor=str(user.pk),
        said={"reason": reason.strip()},
    )
    return rows


# --- what people keep for themselves -----------------------------------------------------------


@transaction.atomic
def save_filter(user: User, page: str, name: str, query: str) -> None:
    """Keep a view of a list under a name; the same name again replaces it."""
    SavedFilter.objects.update_or_create(user=user, page=page, name=name, defaults={"query": query})


@transaction.atomic
def drop_filter(user: User, pk: int) -> None:
    SavedFilter.objects.filter(user=user, pk=pk).delete()
