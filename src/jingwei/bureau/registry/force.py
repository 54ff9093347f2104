"""Which limits and amounts of permits are applied on a day, why one is not, and what is to be said of
those that are. The one place for limits and amounts alike; why it is so:
docs/decisions/0013-limits-that-overlap-or-whose-permit-expired.md.

Forms and imports refuse what is named here; a row that came past them is not judged by in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, TypeVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from jingwei.bureau.registry.lines import WANTED, line_of, misfit, unit_of
from jingwei.bureau.registry.models import Permit, PermitAmount, PermitLimit
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
        "period": _("It has no period: enter in the permit what it is a limit of."),
        "factor": _("“%(code)s” is no factor of HJ 212, so its unit is not known: correct it in the permit."),
        "reference": _("Its reference oxygen is %(o2)s %%, where the formula has no value: from 0 to below 21 %% can be converted to. Correct it in the permit."),
    }  # fmt: skip
    text = texts.get(found, "")
    return text % {
        "code": row.factor or "—",
        "o2": f"{getattr(row, 'reference_o2', None) or 0.0:g}",
    } if text else ""  # fmt: skip


# Which is applied -------------------------------------------------------------------------------


def _kind(row: Row) -> tuple[Any, ...]:
    """What only one row may say on a day. A rate and a concentration stand side by side."""
    if isinstance(row, PermitLimit):
        return row.outlet_id, row.factor, row.period, row.lower, is_rate(row)
    return row.outlet_id or -row.permit.enterprise_id, row.factor, row.period


def _rank(row: Row) -> tuple[Any, ...]:
    """Of two that overlap the greater is applied: the permit's own before an assumed national line,
    then the one that began last, then the stricter."""
    limit = row if isinstance(row, PermitLimit) else None
    wanted = WANTED.get(row.period) or ("kg/h" if limit and is_rate(limit) else unit_of(row.factor))
    size = float(row.value) * (units.scale(row.unit, wanted) or 1.0)
    lower = limit is not None and limit.lower
    return not (limit and limit.assumed), row.valid_from, size if lower else -size, row.pk


def displaced(rows: Iterable[R]) -> Mapping[int, list[R]]:
    """By key of a row those that are applied in its place where both hold. What nothing can be judged
    by takes no other's place."""
    groups: dict[tuple[Any, ...], list[R]] = defaultdict(list)
    for row in rows:
        groups[_kind(row)].append(row)
    found: dict[int, list[R]] = {}
    for group in groups.values():
        sound = [r for r in group if not defect(r)] if len(group) > 1 else []
        for row in group:
            over = [
                r for r in sound if r.pk != row.pk and _overlap(r, row) and _rank(r) > _rank(row)
            ]
            if over:
                found[row.pk] = over
    return found


def _overlap(a: Row, b: Row) -> bool:
    end = min(a.valid_to or date.max, b.valid_to or date.max)
    return max(a.valid_from, b.valid_from) <= end


def applied(rows: Iterable[R], day: date) -> list[R]:
    """Those of the rows (all of a kind) that are in force on a day, each kind of limit once."""
    found = [r for r in rows if holds(r, day)]
    gone = displaced(found)
    return [r for r in found if r.pk not in gone]


def amounts(chosen: QuerySet, day: date) -> list[PermitAmount]:
    """Those of the chosen amounts that are applied on a day and can be judged by."""
    rows = on(chosen, day).select_related("permit__enterprise", "outlet")
    found = [r for r in rows.prefetch_related("permit__versions") if usable(r)]
    gone = displaced(amounts_beside(found, day))
    return [r for r in found if r.pk not in gone]


def amounts_beside(rows: Iterable[PermitAmount], day: date) -> list[PermitAmount]:
    """Every amount in force on a day, of the enterprises of some."""
    enterprises = {r.permit.enterprise_id for r in rows}
    found = PermitAmount.objects.filter(permit__enterprise__in=enterprises)
    return list(on(found, day).select_related("permit"))


# What is to be said of it -----------------------------------------------------------------------


def valid_on(permit: Permit, day: date) -> bool:
    """Whether a permit is valid on a day: by the version in force then, or by a later one that
    reaches back (an extension that was entered late). A permit without versions speaks for itself."""
    versions = sorted(permit.versions.all(), key=lambda v: v.in_force)
    then = [v for v in versions if v.in_force <= day][-1:]
    spans = [*then, *(v for v in versions if v.in_force > day)] or [permit]
    return any(s.valid_from <= day <= s.valid_to for s in spans)


def remarks(row: Row, rows: Iterable[Row], day: date) -> list[str]:
    """What a reader has to know of a row that is applied on a day; `rows`: all beside it."""
    return said([row], rows, day)[row.pk]


def said(some: Iterable[Row], rows: Iterable[Row], day: date) -> dict[int, list[str]]:
    """`remarks` of some rows at once, by key."""
    beside = overlaps(rows, day)
    return {row.pk: [*_of_permit(row.permit, day), *beside.get(row.pk, ())] for row in some}


def _of_permit(permit: Permit, day: date) -> list[str]:
    if valid_on(permit, day):
        return []
    if permit.valid_from > day:
        return [_("The permit is valid only from %(day)s.") % {"day": permit.valid_from}]
    return [expired_text(permit)]


def overlaps(rows: Iterable[Row], day: date) -> dict[int, list[str]]:
    """By key of a row one sentence a row that is in force on the day, too, and in whose place it is
    applied."""
    here = [r for r in rows if holds(r, day)]
    found: dict[int, list[str]] = defaultdict(list)
    gone = displaced(here)
    for other in here:
        for row in gone.get(other.pk, ()):
            found[row.pk].append(
                _("%(other)s, in force from %(begin)s (permit %(permit)s), overlaps it. The one that began last is applied, for a changed permit takes the place of the earlier one; of two of the same day the stricter. End the other one.")
                % {"other": value_text(other), "begin": other.valid_from, "permit": other.permit.number}
            )  # fmt: skip
    return found


def value_text(row: Row) -> str:
    """A limit or amount as a sign, a number and a unit."""
    line = line_of(row)
    return f"{'≥' if line.lower else '≤'} {line.value:f} {line.unit}".rstrip()


def expired_text(permit: Permit) -> str:
    """That a permit has expired, and what that means for its limits and amounts."""
    return _("The permit expired on %(day)s and no extension is entered here. What it last permitted is still applied; before acting on it, find out whether the extension was applied for in time and decided.") % {"day": permit.valid_to}  # fmt: skip
