"""Permits over time: issue, change, extend, take back. A change never rewrites what was in force.

A change names the day from which it holds and the whole of what is permitted from then on. What is
the same goes on; what differs ends on the day before, and a new row begins. Judgements made before
keep the row by which they were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.registry import services
from jingwei.bureau.registry.lines import WHOLE, Line, line_of, misfit
from jingwei.bureau.registry.models import (
    Enterprise,
    Outlet,
    Permit,
    PermitAmount,
    PermitLimit,
    PermitVersion,
)
from jingwei.standards import codes

DAY = timedelta(days=1)
Row = PermitLimit | PermitAmount


@dataclass(frozen=True)
class Change:
    """What is to hold from a day on. `lines` is the whole of what is then permitted."""

    act: str
    number: str
    category: str
    valid_from: date
    valid_to: date
    in_force: date
    note: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Difference:
    """What a change would do: rows that go on, lines that are new, (row, line) pairs that differ,
    rows that end; assumed national lines that give way to a new line."""

    kept: list[Row]
    added: list[Line]
    changed: list[tuple[Row, Line]]
    ended: list[Row]
    giving_way: list[PermitLimit] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.added or self.changed or self.ended)


def rows_on(permit: Permit, day: date) -> list[Row]:
    """Limits and amounts of a permit that are in force on a day: what the permit itself says."""
    holds = models.Q(valid_to=None) | models.Q(valid_to__gte=day)
    found: list[Row] = []
    for table in (permit.limits.filter(assumed=False), permit.amounts):
        found += table.filter(holds, valid_from__lte=day).select_related("outlet")
    return sorted(found, key=lambda r: line_of(r).key)


def difference(permit: Permit | None, change: Change) -> Difference:
    """Compare what is in force on the day before with what shall hold from `change.in_force` on."""
    rows = [] if permit is None or permit.pk is None else rows_on(permit, change.in_force)
    old = {line_of(r).key: r for r in rows}
    new = {line.key: line for line in change.lines}
    return Difference(
        kept=[r for k, r in old.items() if k in new and line_of(r) == new[k]],
        added=[line for k, line in new.items() if k not in old],
        changed=[(r, new[k]) for k, r in old.items() if k in new and line_of(r) != new[k]],
        ended=[r for k, r in old.items() if k not in new],
        giving_way=[
            r
            for r in assumed_on(permit, change.in_force)
            if line_of(r).key in new.keys() - old.keys()
        ],
    )


def assumed_on(permit: Permit | None, day: date) -> list[PermitLimit]:
    """The national lines that hold for a permit's outlets on a day or later."""
    if permit is None or permit.pk is None:
        return []
    holds = models.Q(valid_to__gte=day) & models.Q(valid_to__gte=models.F("valid_from"))
    rows = PermitLimit.objects.filter(
        models.Q(valid_to=None) | holds, outlet__enterprise=permit.enterprise_id, assumed=True
    )
    return list(rows.select_related("outlet"))


def check_amount(amount: PermitAmount) -> None:
    """Refuse an amount whose time of force overlaps another of the same kind, and one of an unknown
    factor or another unit."""
    enterprise = amount.permit.enterprise_id
    Enterprise.objects.select_for_update().get(pk=enterprise)
    if amount.outlet and amount.outlet.enterprise_id != enterprise:
        raise ValidationError({"outlet": _("The outlet belongs to another enterprise")})
    if codes.factor(amount.factor) is None:
        raise ValidationError(
            {"factor": _("%(code)s is no factor of HJ 212") % {"code": amount.factor}}
        )
    if wrong := misfit(amount.factor, amount.period, amount.unit):
        raise ValidationError({"unit": wrong})
    amount.full_clean()
    others = PermitAmount.objects.filter(
        models.Q(valid_to=None) | models.Q(valid_to__gte=amount.valid_from),
        permit__enterprise=enterprise,
        outlet=amount.outlet,
        factor=amount.factor,
        period=amount.period,
    ).exclude(pk=amount.pk)
    if amount.valid_to:
        others = others.filter(valid_from__lte=amount.valid_to)
    other = others.select_related("permit").first()
    if other is not None:
        raise ValidationError(
            {
                "valid_from": _(
                    "Permit %(permit)s already permits an amount of %(factor)s in force from "
                    "%(begin)s to %(end)s; end that one first"
                )
                % {
                    "permit": other.permit,
                    "factor": amount.factor,
                    "begin": other.valid_from,
                    "end": other.valid_to or "…",
                }
            }
        )


@transaction.atomic
def apply(user: Any, enterprise: Enterprise, permit: Permit | None, change: Change) -> Permit:
    """Issue a permit (`permit` None) or change one; the permit.

    Raises `ValidationError` with the field it is about, or with the line's own words.
    """
    if user is not None and not may(user, "permit.edit"):
        raise ValidationError(_("Your role may not change permits."))
    if permit is None:
        permit = Permit(enterprise=enterprise, number=change.number)
        last = None
    else:
        permit = Permit.objects.select_for_update().get(pk=permit.pk)
        last = permit.versions.last() or _baseline(permit)
    _check_days(permit, last, change)
    permit.category = change.category
    permit.valid_from, permit.valid_to = change.valid_from, change.valid_to
    services.check_permit(permit)
    made = difference(permit, change)
    if last is not None and made.empty and _same(last, change):
        raise ValidationError(_("Nothing differs from what is in force: there is no change."))
    for row in [*made.ended, *(row for row, _line in made.changed)]:
        if row.valid_from >= change.in_force:
            raise ValidationError(
                {
                    "in_force": _("%(row)s begins on %(day)s: choose a later day for the change.")
                    % {"row": row, "day": row.valid_from}
                }
            )
    permit.save()
    version = PermitVersion.objects.create(
        permit=permit,
        number=(last.number if last else 0) + 1,
        act=change.act,
        in_force=change.in_force,
        category=change.category,
        valid_from=change.valid_from,
        valid_to=change.valid_to,
        note=change.note,
        actor=user,
    )
    for row in [*made.ended, *(row for row, _line in made.changed)]:
        version.ended.append(
            [row._meta.model_name, row.pk, row.valid_to.isoformat() if row.valid_to else None]
        )
        row.valid_to = change.in_force - DAY
        row.save(update_fields=["valid_to"])
    outlets = {o.code: o for o in enterprise.outlets.all()}
    for line in [*made.added, *(line for _row, line in made.changed)]:
        _add(version, line, outlets)
    version.evidence = _record(version, "changed" if last else "issued", user)
    version.save(update_fields=["ended", "evidence"])
    return permit


def _baseline(permit: Permit) -> PermitVersion:
    """The first version of a permit that was entered without one."""
    return PermitVersion.objects.create(
        permit=permit,
        number=1,
        act=PermitVersion.Act.ISSUED,
        in_force=permit.valid_from,
        category=permit.category,
        valid_from=permit.valid_from,
        valid_to=permit.valid_to,
    )


def _check_days(permit: Permit, last: PermitVersion | None, change: Change) -> None:
    if not change.valid_from <= change.in_force <= change.valid_to:
        raise ValidationError(
            {"in_force": _("The change must take force while the permit is valid.")}
        )
    if last is not None and change.in_force <= last.in_force:
        raise ValidationError(
            {
                "in_force": _("Version %(number)d is in force from %(day)s: choose a later day.")
                % {"number": last.number, "day": last.in_force}
            }
        )


def _same(version: PermitVersion, change: Change) -> bool:
    return (version.category, version.valid_from, version.valid_to) == (
        change.category,
        change.valid_from,
        change.valid_to,
    )


def _add(version: PermitVersion, line: Line, outlets: dict[str, Outlet]) -> None:
    values: dict[str, Any] = {
        "permit": version.permit,
        "outlet": None if line.outlet == WHOLE else outlets[line.outlet],
        "factor": line.factor,
        "period": line.period,
        "value": line.value,
        "unit": line.unit,
        "source": line.source,
        "verified": line.verified,
        "valid_from": version.in_force,
        "version": version,
    }
    row: Row
    if line.amount:
        row = PermitAmount(**values)
        check_amount(row)
    else:
        row = PermitLimit(reference_o2=line.reference_o2, lower=line.lower, **values)
        services.check_limit(row)
        services.save_limit(row)
        return
    row.save(force_insert=True)


@transaction.atomic
def enter_limit(user: Any, limit: PermitLimit) -> list[PermitLimit]:
    """Save one checked limit outside of a version (the administration, the national line), with an
    entry in the evidence log; the assumed lines that gave way. `user` None: the program itself.
    """
    act = "limit changed" if limit.pk else "limit entered"
    rows = services.save_limit(limit)
    record(
        "permit",
        f"permit:{limit.permit_id}",
        {
            "act": act,
            "permit": limit.permit.number,
            "limit": limit.pk,
            "line": _fact(line_of(limit)),
            "valid_from": limit.valid_from,
            "valid_to": limit.valid_to,
            "assumed": limit.assumed,
            "gave_way": [_fact(line_of(r)) for r in rows],
        },
        actor=str(user.pk) if user is not None else "",
    )
    return rows


def _record(version: PermitVersion, act: str, user: Any) -> Any:
    """The evidence of an act on a version: what is permitted from its first day on."""
    permit = version.permit
    return record(
        "permit",
        f"permit:{permit.pk}",
        {
            "act": act,
            "permit": permit.number,
            "version": version.number,
            "kind": str(version.act),
            "in_force": version.in_force,
            "category": str(version.category),
            "valid_from": version.valid_from,
            "valid_to": version.valid_to,
            "lines": facts(permit, version.in_force),
        },
        actor=str(user.pk) if user is not None else "",
    )


def facts(permit: Permit, day: date) -> list[list[Any]]:
    """What is permitted on a day, as the evidence log is told of it."""
    return [_fact(line_of(r)) for r in rows_on(permit, day)]


def _fact(line: Line) -> list[Any]:
    return [
        line.outlet,
        line.factor,
        line.period,
        "lower" if line.lower else "upper",
        f"{line.value:f}",
        line.unit,
        line.reference_o2,
        line.verified,
    ]


@transaction.atomic
def take_back(user: Any, permit: Permit) -> PermitVersion:
    """Undo the last change, as long as no judgement rests on it; the version that was taken back.

    The entry in the evidence log stays, and another says that the change was taken back.
    """
    if not may(user, "permit.edit"):
        raise ValidationError(_("Your role may not change permits."))
    permit = Permit.objects.select_for_update().get(pk=permit.pk)
    versions = list(permit.versions.order_by("-number")[:2])
    if len(versions) < 2:
        raise ValidationError(_("There is no change that could be taken back."))
    last, before = versions
    _record(last, "taken back", user)
    try:
        last.limits.all().delete()
        last.amounts.all().delete()
    except ProtectedError:
        raise ValidationError(
            _("Values were judged by this version already: enter a further change instead.")
        ) from None
    tables: dict[str, Any] = {"permitlimit": PermitLimit, "permitamount": PermitAmount}
    for table, pk, ended in last.ended:
        tables[table].objects.filter(pk=pk).update(
            valid_to=date.fromisoformat(ended) if ended else None
        )
    permit.category = before.category
    permit.valid_from, permit.valid_to = before.valid_from, before.valid_to
    permit.save(update_fields=["category", "valid_from", "valid_to"])
    last.delete()
    return last


def history(permit: Permit) -> list[tuple[PermitVersion, Difference | None]]:
    """The versions, newest first, each with what it changed (None: the first one)."""
    versions = list(permit.versions.select_related("actor", "evidence").order_by("number"))
    rows: list[Row] = [
        *permit.limits.filter(assumed=False).select_related("outlet"),
        *permit.amounts.select_related("outlet"),
    ]
    out: list[tuple[PermitVersion, Difference | None]] = []
    for version in versions:
        if version.number == 1:
            out.append((version, None))
            continue
        last = version.in_force - DAY
        before = {line_of(r).key: r for r in _holding(rows, last)}
        after = {line_of(r).key: r for r in _holding(rows, version.in_force)}
        out.append(
            (
                version,
                Difference(
                    kept=[],
                    added=[line_of(r) for k, r in after.items() if k not in before],
                    changed=[
                        (r, line_of(after[k]))
                        for k, r in before.items()
                        if k in after and line_of(after[k]) != line_of(r)
                    ],
                    ended=[r for k, r in before.items() if k not in after],
                ),
            )
        )
    return out[::-1]


def _holding(rows: Iterable[Row], day: date) -> list[Row]:
    return [r for r in rows if r.valid_from <= day and (r.valid_to is None or day <= r.valid_to)]
