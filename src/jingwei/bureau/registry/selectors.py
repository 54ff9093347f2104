"""Everything that reads regions, enterprises, permits, outlets and points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils import timezone

from jingwei.bureau.access import RestrictedQuerySet, may
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import (
    Enterprise,
    Outlet,
    Permit,
    PermitAmount,
    PermitLimit,
    Point,
    Region,
)

LATEST = 8  # findings and cases that the file of an enterprise shows


def _count(rows: QuerySet, key: str) -> Coalesce:
    """How many of `rows` belong to the enterprise; a subquery, so that counts do not multiply."""
    counted = (
        rows.filter(**{key: OuterRef("pk")})
        .order_by()
        .values(key)
        .annotate(n=Count("pk"))
        .values("n")
    )
    return Coalesce(Subquery(counted), 0)


def today() -> date:
    """The date at the edge (setting TIME_ZONE)."""
    return timezone.localdate()


def enterprises(user: Any) -> RestrictedQuerySet:
    """The enterprises the user may see, with region (without its boundary) and counts:
    `permit_count` (valid today), `limit_count` (in force today), `outlet_count`, `point_count`
    (enabled)."""
    on = today()
    return (
        Enterprise.objects.restrict(user, "enterprise.view")
        .select_related("region")
        .defer("region__geometry")
        .annotate(
            permit_count=_count(
                Permit.objects.filter(valid_from__lte=on, valid_to__gte=on), "enterprise"
            ),
            limit_count=_count(force.on(PermitLimit.objects.all(), on), "permit__enterprise"),
            outlet_count=_count(Outlet.objects.all(), "enterprise"),
            point_count=_count(Point.objects.filter(enabled=True), "outlet__enterprise"),
        )
    )


SORTS = {
    "name": ("name", "pk"),
    "region": ("region_id", "name", "pk"),
    "points": ("-point_count", "name", "pk"),
}


def search(user: Any, query: Any) -> RestrictedQuerySet:
    """The list by its URL: `region` (code), `industry`, `q` (name, code, address), `permit`
    ("none": no valid one, "no_limits": a valid one without limits in force), `sort`."""
    # PostgreSQL takes no NUL in a text.
    asked = {
        name: (query.get(name) or "").replace("\x00", "").strip()
        for name in ("region", "industry", "permit", "q")
    }
    rows = enterprises(user)
    if asked["region"]:
        rows = rows.filter(region_id=asked["region"])
    if asked["industry"]:
        rows = rows.filter(industry=asked["industry"])
    if asked["permit"] == "none":
        rows = rows.filter(permit_count=0)
    elif asked["permit"] == "no_limits":
        rows = rows.filter(permit_count__gt=0, limit_count=0)
    text = asked["q"]
    if text:
        rows = rows.filter(
            Q(name__icontains=text)
            | Q(former_names__icontains=text)
            | Q(uscc__istartswith=text)
            | Q(address__icontains=text)
        )
    return rows.order_by(*SORTS.get(query.get("sort") or "", SORTS["name"]))


def regions_with_enterprises(user: Any) -> list[Region]:
    """The regions that a filter can offer this user."""
    seen = Enterprise.objects.restrict(user, "enterprise.view").values("region")
    return list(Region.objects.filter(pk__in=seen).defer("geometry"))


@dataclass(frozen=True)
class LimitLine:
    """A limit as the page shows it."""

    limit: PermitLimit
    factor: str
    value: str
    in_force: bool


@dataclass(frozen=True)
class PermitPart:
    permit: Permit
    valid: bool
    lines: list[LimitLine]


@dataclass(frozen=True)
class PointLine:
    point: Point
    factors: list[str]


@dataclass(frozen=True)
class OutletPart:
    outlet: Outlet
    points: list[PointLine]


@dataclass(frozen=True)
class File:
    """One enterprise, one file. `findings` and `cases` are None where the user may not see any."""

    enterprise: Enterprise
    permits: list[PermitPart]
    outlets: list[OutletPart]
    findings: list[Any] | None
    cases: list[Any] | None
    may_edit: bool

    @property
    def valid_permit(self) -> bool:
        return any(p.valid for p in self.permits)


def plain(value: Decimal) -> str:
    """A decimal without trailing zeros and without exponent."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def enterprise_file(user: Any, uscc: str) -> File:
    """The file of an enterprise; Http404 where there is none that the user may see."""
    limits = PermitLimit.objects.select_related("outlet").order_by(
        "outlet__code", "factor", "period", "-valid_from"
    )
    enterprise = (
        Enterprise.objects.restrict(user, "enterprise.view")
        .select_related("region")
        .defer("region__geometry")
        .prefetch_related(
            Prefetch("permits", Permit.objects.order_by("-valid_to", "number")),
            Prefetch("permits__limits", limits),
            "permits__versions",
            "outlets",
            "outlets__points",
        )
        .filter(uscc=uscc)
        .first()
    )
    if enterprise is None:
        raise Http404
    on = today()
    return File(
        enterprise=enterprise,
        permits=[_permit(p, on) for p in enterprise.permits.all()],
        outlets=[_outlet(o) for o in enterprise.outlets.all()],
        findings=_latest(user, enterprise, "findings", "finding.view", "-ended"),
        cases=_latest(user, enterprise, "cases", "case.view", "-pk"),
        may_edit=may(user, "permit.edit"),
    )


def _permit(permit: Permit, on: date) -> PermitPart:
    valid = force.valid_on(permit, on)
    lines = [
        LimitLine(
            limit=limit,
            factor=factor_name(limit.factor),
            value=plain(limit.value),
            in_force=force.holds(limit, on),
        )
        for limit in permit.limits.all()
    ]
    return PermitPart(permit, valid, lines)


def _outlet(outlet: Outlet) -> OutletPart:
    return OutletPart(
        outlet,
        [
            PointLine(point, [factor_name(code, point.version) for code in point.factors])
            for point in outlet.points.all()
        ],
    )


def _latest(
    user: Any, enterprise: Enterprise, relation: str, action: str, order: str
) -> list[Any] | None:
    """Rows of a room at the right of this one, by their reverse relation and their own rules."""
    if not may(user, action):
        return None
    rows = getattr(enterprise, relation).all()
    return list(rows.restrict(user, action).order_by(order)[:LATEST])


def boundaries() -> dict[str, Any]:
    """The boundaries as GeoJSON (RFC 7946, WGS-84): code, both names, place of the label."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": region.code,
                "properties": {
                    "code": region.code,
                    "name": region.label,
                    "name_zh": region.name,
                    "name_en": region.name_en,
                    "parent": region.parent_id,
                    "longitude": region.longitude,
                    "latitude": region.latitude,
                    "source": region.source,
                },
                "geometry": region.geometry,
            }
            for region in Region.objects.exclude(geometry=None).order_by("code")
        ],
    }


_KINDS = {PermitLimit: "a limit", PermitAmount: "an amount"}
_DEFECTS: dict[str, Callable[[Any], str]] = {
    "period": lambda row: "has no period",
    "factor": lambda row: "is of a factor that is in no table of HJ 212-2017",
    "reference": lambda row: f"has a reference oxygen of {row.reference_o2:g} %",
    "unit": lambda row: f"has the unit {row.unit!r}, which does not fit",
}


def problems() -> Iterator[str]:
    """What does not fit together in the reference data: one sentence each."""
    limits = PermitLimit.objects.select_related("outlet__enterprise", "permit").order_by("pk")
    amounts = PermitAmount.objects.select_related("outlet", "permit__enterprise").order_by("pk")
    rows: list[Any] = [*limits, *amounts]
    for row in rows:
        if row.outlet and row.permit.enterprise_id != row.outlet.enterprise_id:
            yield (
                f"Permit {row.permit} has {_KINDS[type(row)]} for {row.outlet.code} of another"
                f" enterprise, {row.outlet.enterprise}."
            )
        if found := force.defect(row):
            where = row.outlet.code if row.outlet else "the whole enterprise"
            yield (
                f"Permit {row.permit}: {_KINDS[type(row)]} of {row.factor!r} at {where}"
                f" {_DEFECTS[found](row)}: nothing is judged by it."
            )
    for table in (limits, amounts):
        by_key = {r.pk: r for r in table}
        for pk, others in force.displaced(by_key.values()).items():
            row, other = by_key[pk], others[0]
            yield (
                f"{row.permit.enterprise}: {row.factor} at"
                f" {row.outlet.code if row.outlet else 'the whole enterprise'} ({row.period}):"
                f" {force.value_text(row)} (permit {row.permit}, from {row.valid_from}) and"
                f" {force.value_text(other)} (permit {other.permit}, from {other.valid_from}) are in"
                " force at once: the latter is applied; end the former."
            )
