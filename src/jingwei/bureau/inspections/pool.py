"""Everything that writes the pool of inspectors, their recusals, and the grades of enterprises."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.inspections.models import Grade, Inspector, Recusal
from jingwei.bureau.registry.models import Enterprise

COLUMNS = ("uscc", "credit", "risk", "source", "on")
MAX_ROWS = 200_000


def _manager(user: Any) -> None:
    if not may(user, "draw.manage"):
        raise Refused(_("Your role may not do this."))


@transaction.atomic
def keep_inspector(user: Any, form: Any) -> Inspector:
    """Save a valid `InspectorForm`."""
    _manager(user)
    inspector: Inspector = form.save()
    return inspector


@transaction.atomic
def recuse(
    user: Any,
    inspector: Inspector,
    uscc: str,
    reason: str,
    note: str,
    *,
    now: datetime | None = None,
) -> Recusal:
    """The inspector does not inspect the enterprise; a second time changes the reason."""
    _manager(user)
    enterprise = Enterprise.objects.restrict(user, "enterprise.view").filter(uscc=uscc).first()
    if enterprise is None:
        raise Refused(_("There is no enterprise with the code %s.") % uscc)
    row, _made = Recusal.objects.update_or_create(
        inspector=inspector,
        enterprise=enterprise,
        defaults={"reason": reason, "note": note, "by": user, "at": now or timezone.now()},
    )
    return row


@transaction.atomic
def end_recusal(user: Any, recusal: Recusal) -> None:
    """The reason does not hold any more; plans that are frozen keep it."""
    _manager(user)
    recusal.delete()


@transaction.atomic
def import_grades(user: Any, text: str) -> int:
    """Grades from CSV with the columns `COLUMNS`; all of it or nothing. How many were set.

    Raises `Refused` with the number of the first line that cannot be read.
    """
    _manager(user)
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    if set(COLUMNS) - set(reader.fieldnames or ()):
        raise Refused(_("The first line must name the columns: %s") % ",".join(COLUMNS))
    known = dict(Enterprise.objects.restrict(user, "enterprise.view").values_list("uscc", "pk"))
    found: dict[int, Grade] = {}
    for number, row in enumerate(reader, start=2):
        value = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if number > MAX_ROWS:
            raise Refused(_("The file has more than %d lines.") % MAX_ROWS)
        if value["uscc"] not in known:
            raise Refused(
                _("Line %(number)d: there is no enterprise with the code %(code)s.")
                % {"number": number, "code": value["uscc"][:40]}
            )
        try:
            day = date.fromisoformat(value["on"])
        except ValueError:
            raise Refused(_("Line %d: “on” must be a day like 2026-11-21.") % number) from None
        if value["credit"] not in Grade.Credit.values or value["risk"] not in Grade.Risk.values:
            raise Refused(
                _("Line %(number)d: credit is one of %(credits)s, risk one of %(risks)s.")
                % {
                    "number": number,
                    "credits": ", ".join(Grade.Credit.values),
                    "risks": ", ".join(Grade.Risk.values),
                }
            )
        pk = known[value["uscc"]]
        found[pk] = Grade(
            enterprise_id=pk,
            credit=value["credit"],
            risk=value["risk"],
            source=value["source"][:120],
            on=day,
        )
    Grade.objects.bulk_create(
        found.values(),
        batch_size=500,
        update_conflicts=True,
        unique_fields=["enterprise"],
        update_fields=["credit", "risk", "source", "on"],
    )
    return len(found)
