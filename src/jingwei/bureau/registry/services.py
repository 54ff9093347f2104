"""Everything that writes to the registry: each function one transaction, with clear refusals.

A refusal is Django's `ValidationError` with the field it is about, so that a form can show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.registry import force
from jingwei.bureau.registry.lines import misfit
from jingwei.bureau.registry.models import (
    Device,
    Enterprise,
    Outlet,
    Permit,
    PermitLimit,
    Point,
)
from jingwei.standards import codes, uscc
from jingwei.telemetry import register

# ---- enterprises, outlets ----------------------------------------------------------------------


def check_enterprise(enterprise: Enterprise) -> None:
    """Refuse a wrong check character (GB 32100-2015) and what no enterprise may hold."""
    code = enterprise.uscc
    if (
        len(code) == 18
        and set(code) <= set(uscc.CHARACTERS)
        and uscc.check_character(code[:17]) != code[17]
    ):
        raise ValidationError(
            {
                "uscc": _(
                    "The check character of %(code)s is wrong: %(given)s stands where %(right)s "
                    "belongs. Look for a mistyped character."
                )
                % {"code": code, "given": code[17], "right": uscc.check_character(code[:17])}
            }
        )
    enterprise.full_clean()


@transaction.atomic
def create_enterprise(**values: Any) -> Enterprise:
    """A new enterprise; refuses a code whose check character is wrong (GB 32100-2015)."""
    enterprise = Enterprise(**values)
    check_enterprise(enterprise)
    enterprise.save(force_insert=True)
    return enterprise


# What later rooms do where they keep names of their own; in the transaction of the renaming.
renamed: list[Callable[[Enterprise], None]] = []


@transaction.atomic
def change_enterprise(enterprise: Enterprise) -> None:
    """Save a changed enterprise that was checked; a name that it gives up stays among its former
    names, and those that keep it are told (`renamed`)."""
    before = Enterprise.objects.select_for_update().get(pk=enterprise.pk)
    if before.name == enterprise.name:
        enterprise.save()
        return
    names = dict.fromkeys((*before.former_names.splitlines(), before.name))
    enterprise.former_names = "\n".join(name for name in names if name != enterprise.name)
    enterprise.save()
    for tell in renamed:
        tell(enterprise)


@transaction.atomic
def create_outlet(enterprise: Enterprise, **values: Any) -> Outlet:
    """A new outlet. The letters of its code say the medium (HJ 608-2017): DA air, DW water."""
    outlet = Outlet(enterprise=enterprise, **values)
    letters = {"DA": "air", "DW": "water", "YS": "water"}
    told = letters.get(outlet.code[:2])
    if told is None or not re.fullmatch(r"[A-Z]{2}\d{3}", outlet.code):
        raise ValidationError(
            {
                "code": _("%(code)s is no outlet code; wanted DA001, DW001 or YS001")
                % {"code": outlet.code}
            }
        )
    if told != outlet.medium:
        raise ValidationError(
            {
                "medium": _("An outlet with the code %(code)s is for another medium")
                % {"code": outlet.code}
            }
        )
    outlet.full_clean()
    outlet.save(force_insert=True)
    return outlet


# ---- permits and limits ------------------------------------------------------------------------


def check_permit(permit: Permit) -> None:
    """Refuse a number that is not of the enterprise, and a time that ends before it begins."""
    uscc = permit.enterprise.uscc
    if not re.fullmatch(rf"{uscc}\d{{3}}[A-Z]", permit.number):
        raise ValidationError(
            {
                "number": _(
                    "%(number)s is no permit number of this enterprise; wanted its code %(uscc)s, "
                    "three digits and a letter"
                )
                % {"number": permit.number, "uscc": uscc}
            }
        )
    if permit.valid_to < permit.valid_from:
        raise ValidationError({"valid_to": _("The permit ends before it begins")})
    permit.full_clean()


@transaction.atomic
def create_permit(enterprise: Enterprise, **values: Any) -> Permit:
    """A new permit. It may be without limits at first: `permit_flags` says so until it has some."""
    permit = Permit(enterprise=enterprise, **values)
    check_permit(permit)
    permit.save(force_insert=True)
    return permit


EXTENSION = timedelta(days=60)  # before its end: Regulation on discharge permits, art. 14
SOON = timedelta(days=120)  # so long before its end a permit's page says so; preset


def permit_flags(permit: Permit, today: date) -> list[str]:
    """What is wrong with a permit that exists, one sentence each; empty when all is well."""
    found: list[str] = []
    if not permit.limits.exists():
        found.append(str(_("This permit has no limits: nothing is judged for it.")))
    if today > permit.valid_to:
        found.append(force.expired_text(permit))
    elif today < permit.valid_from:
        found.append(str(_("This permit is not in force yet.")))
    elif today >= permit.valid_to - SOON:
        days = {"end": permit.valid_to, "by": permit.valid_to - EXTENSION}
        found.append(
            _(
                "This permit ends on %(end)s. An extension must be applied for 60 days before: by %(by)s."
            )
            % days
        )
    return found


def check_limit(limit: PermitLimit) -> None:
    """Refuse a limit whose time of force overlaps another of the same kind, and wrong values. A
    permit's own limit overlaps no assumed one: that gives way (`save_limit`).

    Locks the row of the outlet, so that two people cannot make overlapping limits at once: to be
    called in the transaction that saves the limit.
    """
    Outlet.objects.select_for_update().get(pk=limit.outlet_id)
    enterprise = limit.permit.enterprise_id
    if limit.outlet.enterprise_id != enterprise:
        raise ValidationError({"outlet": _("The outlet belongs to another enterprise")})
    if limit.valid_to and limit.valid_to < limit.valid_from:
        raise ValidationError({"valid_to": _("The limit ends before it begins")})
    if limit.reference_o2 is not None and not 0 <= limit.reference_o2 < 21:
        raise ValidationError({"reference_o2": _("Reference oxygen must be from 0 to below 21 %")})
    if codes.factor(limit.factor) is None:
        raise ValidationError(
            {"factor": _("%(code)s is no factor of HJ 212") % {"code": limit.factor}}
        )
    if wrong := misfit(limit.factor, limit.period, limit.unit):
        raise ValidationError({"unit": wrong})
    limit.full_clean()
    overlapping = _overlapping(limit)
    if not limit.assumed:
        overlapping = overlapping.filter(assumed=False)
    other = overlapping.first()
    if other is not None:
        raise ValidationError(
            {
                "valid_from": _(
                    "%(outlet)s already has a limit for %(factor)s in force from %(begin)s to "
                    "%(end)s; end that one first"
                )
                % {
                    "outlet": limit.outlet,
                    "factor": limit.factor,
                    "begin": other.valid_from,
                    "end": other.valid_to or "…",
                }
            }
        )


def _overlapping(limit: PermitLimit) -> models.QuerySet[PermitLimit]:
    """Other limits of the same kind that hold on a day on which this one does."""
    rows = (
        PermitLimit.objects.filter(
            outlet=limit.outlet, factor=limit.factor, period=limit.period, lower=limit.lower
        )
        .filter(
            models.Q(valid_to__isnull=True)
            | models.Q(valid_to__gte=limit.valid_from)
            & models.Q(valid_to__gte=models.F("valid_from"))
        )
        .exclude(pk=limit.pk)
    )
    return rows.filter(valid_from__lte=limit.valid_to) if limit.valid_to else rows


def giving_way(limit: PermitLimit) -> list[PermitLimit]:
    """The assumed national lines in whose place a permit's own limit, saved or not, stands."""
    return [] if limit.assumed else list(_overlapping(limit).filter(assumed=True))


@transaction.atomic
def create_limit(permit: Permit, outlet: Outlet, **values: Any) -> PermitLimit:
    """A new limit; refuses one whose time of force overlaps another of the same kind."""
    limit = PermitLimit(permit=permit, outlet=outlet, **values)
    check_limit(limit)
    save_limit(limit)
    return limit


gave_way: list[Callable[[PermitLimit, date], None]] = []
"""What other rooms do when a permit's own limit took the place of an assumed one: called with it and
the first day on which it did."""


@transaction.atomic
def save_limit(limit: PermitLimit) -> list[PermitLimit]:
    """Save a checked limit. An assumed national line ends on the day before a permit's own; where it
    would end before it began it goes, or stays as one that never holds where a value was judged by it.
    The lines that gave way.
    """
    rows = giving_way(limit)
    since = max(limit.valid_from, min((r.valid_from for r in rows), default=limit.valid_from))
    for row in rows:
        end = limit.valid_from - timedelta(days=1)
        try:
            with transaction.atomic():
                if end < row.valid_from:
                    row.delete()
                    continue
        except models.ProtectedError:
            pass
        PermitLimit.objects.filter(pk=row.pk).update(valid_to=end)
    limit.save()
    if rows:
        for act in gave_way:
            act(limit, since)
    return rows


# ---- points and the device register ------------------------------------------------------------


def check_point(point: Point) -> None:
    """Refuse a key that no telegram can carry, and a password that the logger does not have."""
    if re.search(r"[;,=&#\s]", point.mn) or not point.mn:
        raise ValidationError({"mn": _("A device number has no space and none of ; , = & #")})
    if not re.fullmatch(r"\d{2,3}", point.st):
        raise ValidationError({"st": _("%(st)s is no system type") % {"st": point.st}})
    if point.version not in codes.VERSIONS:
        raise ValidationError(
            {
                "version": _("%(version)s is no protocol version; wanted one of %(all)s")
                % {"version": point.version, "all": ", ".join(codes.VERSIONS)}
            }
        )
    point.full_clean()
    sibling = Point.objects.filter(mn=point.mn).exclude(pk=point.pk).first()
    if sibling and (sibling.password, sibling.version) != (point.password, point.version):
        raise ValidationError(
            {
                "password": _(
                    "%(other)s is reported by the same logger: password and version must be equal"
                )
                % {"other": sibling}
            }
        )


@transaction.atomic
def create_point(**values: Any) -> Point:
    """A new point (key: MN + ST). Points of one logger share password and version."""
    point = Point(**values)
    check_point(point)
    point.save(force_insert=True)
    return point


def _wire(device: Device | None) -> dict[str, Any]:
    """What the register says of a logger beside its points."""
    if device is None:
        return {}
    return {
        "networks": tuple(device.networks),
        "dialects": tuple(device.dialects),
        "keys": tuple(key["sealed"] for key in device.keys),
        "form": device.form,
    }


def publish_register() -> int:
    """Write the device register that the gateway reads, if it differs; the number of devices.

    One device a logger (MN), with the systems of its enabled points. A logger without an enabled
    point stays in the register as not enabled, so that its telegrams are refused with that reason.
    """
    rows: dict[str, list[Point]] = {}
    settled = {device.mn: device for device in Device.objects.all()}
    for point in Point.objects.order_by("mn", "st"):
        rows.setdefault(point.mn, []).append(point)
    devices: dict[str, register.Device] = {}
    for mn, points in rows.items():
        enabled = [p for p in points if p.enabled]
        first = (enabled or points)[0]
        devices[mn] = register.Device(
            mn=mn,
            password=first.password,
            version=first.version,
            systems=tuple(p.st for p in enabled or points),
            name=first.name,
            enabled=bool(enabled),
            **_wire(settled.get(mn)),
        )
    path = settings.ENV.register
    try:
        same = path.exists() and register.load(path) == devices
    except register.RegisterError:
        same = False  # a broken file is replaced by a good one
    if not same:
        register.write(path, devices.values())
    return len(devices)
