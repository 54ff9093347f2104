"""Which limits and amounts of permits are applied on a day, why one is not, and what is to be said of
those that are. The one place for limits and amounts alike; why it is so:
docs/decisions/0013-limits-that-overlap-or-whose-permit-expired.md.

Forms and imports refuse what is named here; a row that came past them is not judged by in silence.
"""

from __future__ import annotations

from datetime import date
from typing import TypeVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from jingwei.bureau.registry.lines import misfit
from jingwei.bureau.registry.models import PermitAmount, PermitLimit
from jingwei.standards import codes, units

Row = PermitLimit | PermitAmount
R = TypeVar("R", PermitLimit, PermitAmount)


def holds(row: Row, day: date) -> bool:
    """Whether a day lies in the row's own time of force."""
    return row.valid_from <= day and (row.valid_to is None or day <= row.valid_to)


def on(rows: QuerySet, day: date) -> QuerySet:
    """`holds` as a query."""
    return rows.filter(Q(valid_to=None) | Q(valid_to__gte=day), valid_from__lte=day)


def is_rate(row: PermitLimit) -> bool:
    """Whether a limit bounds the mass an hour (kg/h), not the concentration."""
    return units.scale(row.unit, "kg/h") is not None


# What cannot be judged by -----------------------------------------------------------------------


def defect(row: Row) -> str:
    """Why nothing can be judged by a limit or amount: "period", "factor", "reference" or "unit"; ""
    where it can."""
    limit = row if isinstance(row, PermitLimit) else None
    periods = PermitLimit.Period.values if limit else PermitAmount.Period.values
    if row.period not in periods:
        return "period"
    if codes.factor(row.factor) is None:
        return "factor"
    if limit and limit.reference_o2 is not None and not 0 <= limit.reference_o2 < 21:
        return "reference"
    rate = limit is not None and is_rate(limit)
    return "unit" if not rate and misfit(row.factor, row.period, row.unit) else ""


def usable(row: Row) -> bool:
    """Whether values can be held against it. A limit whose unit does not fit is held against them all
    the same: the judgement gives that reason, by the unit of the value itself."""
    return defect(row) in (("", "unit") if isinstance(row, PermitLimit) else ("",))


def defect_text(row: Row) -> str:
    """One sentence: why nothing is judged by it, and what to do; "" where it can be judged by."""
    found = defect(row)
    if found == "unit":
        return misfit(row.factor, row.period, row.unit)
    texts = {
        "period": _("It has no period (hourly or daily mean): enter in the permit what it is a limit of."),
        "factor": _("“%(code)s” is no factor of HJ 212, so its unit is not known: correct it in the permit."),
        "reference": _("Its reference oxygen is %(o2)s %%, where the formula has no value: from 0 to below 21 %% can be converted to. Correct it in the permit."),
    }  # fmt: skip
    text = texts.get(found, "")
    return text % {
        "code": row.factor or "—",
        "o2": f"{getattr(row, 'reference_o2', None) or 0.0:g}",
    } if text else ""  # fmt: skip
