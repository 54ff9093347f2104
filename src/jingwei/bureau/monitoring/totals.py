"""Sums of the daily masses: by outlet, enterprise, district, basin; the tax equivalents of a month."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Avg, Count, F, Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from jingwei.bureau.monitoring.models import EmissionDay, Exceedance
from jingwei.bureau.monitoring.observations import day_start, in_force, local_day
from jingwei.bureau.monitoring.verdicts import is_rate
from jingwei.bureau.registry.models import Medium, PermitLimit, Region
from jingwei.standards import codes, tax, units

GROUPS = {
    "outlet": (
        gettext_lazy("Outlet"),
        ("point__outlet", "point__outlet__code", "point__outlet__enterprise__name"),
    ),
    "enterprise": (
        gettext_lazy("Enterprise"),
        ("point__outlet__enterprise__uscc", "point__outlet__enterprise__name"),
    ),
    "region": (gettext_lazy("District"), ("point__outlet__enterprise__region",)),
    "basin": (pgettext_lazy("river", "Basin"), ("point__outlet__basin",)),
}


@dataclass(frozen=True)
class Total:
    """The mass of one factor in one group. `substituted` of 0…1; `covered`: the share of the hours
    due that are valid, stopped or filled."""

    key: str
    name: str
    factor: str
    kg: float
    substituted: float | None
    valid: float | None
    covered: float | None
    days: int


def rows(user: Any, year: int, month: int | None = None) -> Any:
    """The daily masses of a year or month that the user may see."""
    found = EmissionDay.objects.restrict(user, "enterprise.view").filter(
        day__gte=date(year, month or 1, 1),
        day__lte=date(year, month or 12, calendar.monthrange(year, month or 12)[1]),
    )
    return found.exclude(point__outlet=None)


def totals(found: Any, group: str) -> list[Total]:
    """Sums by the group and factor, by name and factor. `found`: of `rows`, filtered further."""
    keys = GROUPS[group][1]
    if group == "basin":
        found = found.filter(point__outlet__medium=Medium.WATER)
    sums = (
        found.values(*keys, "factor")
        .annotate(
            Sum("kg"), Sum("substituted"), Sum("hours"), Sum("valid"), Sum("stopped"),
            Sum("without"), days=Count("day", distinct=True),
        )
        .order_by(*keys[::-1], "factor")
    )  # fmt: skip
    names = {r.pk: r.label for r in Region.objects.defer("geometry")} if group == "region" else {}
    return [_total(row, keys, names) for row in sums]


def _total(row: dict[str, Any], keys: tuple[str, ...], names: dict[str, str]) -> Total:
    key = str(row[keys[0]])
    name = names.get(key) or " ".join(str(row[k]) for k in keys[:0:-1])
    kg, hours = row["kg__sum"], row["hours__sum"]
    running = hours - row["stopped__sum"]
    return Total(
        key=key,
        name=name or key or _("no basin entered"),
        factor=row["factor"],
        kg=kg,
        substituted=row["substituted__sum"] / kg if kg else None,
        valid=row["valid__sum"] / running if running else None,
        covered=1 - row["without__sum"] / hours if hours else None,
        days=row["days"],
    )


# Environmental protection tax -------------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    """The equivalents of one outlet in one month, and the yuan they come to at the given rates. `over`:
    an outlet of the enterprise was over a limit in that month, so nothing is reduced."""

    outlet: int
    code: str
    enterprise: str
    uscc: str
    medium: str
    month: int
    lines: tuple[tax.Line, ...]
    equivalents: float
    yuan: float
    over: bool = False


def tax_report(found: Any, rates: dict[str, float]) -> list[Due]:
    """Month by month and outlet by outlet, by enterprise. `rates`: yuan an equivalent, by medium.

    The concentration of a month is the mean of its hourly means (air) or daily means (water), and none is
    reduced in a month in which any outlet of the enterprise was over a limit of these (implementing
    regulation art. 10, secondary). The reduction of art. 13 is reckoned only where the limit has no reference oxygen: for the
    others the mean that was measured cannot be compared with the limit as it stands.
    """
    outlet = "point__outlet"
    sums = (
        found.values(
            outlet, f"{outlet}__code", f"{outlet}__medium", f"{outlet}__enterprise__name",
            f"{outlet}__enterprise__uscc", "factor", month=F("day__month"), year=F("day__year"),
        )
        .annotate(
            Sum("kg"),
            Avg("mean"),
            weighted=Sum(F("mean") * F("valid")),
            measured=Sum("valid", filter=Q(mean__isnull=False)),
        )
        .order_by(f"{outlet}__enterprise__name", f"{outlet}__code", "month", "factor")
    )  # fmt: skip
    by_place: dict[tuple[Any, ...], dict[str, tuple[float, float | None]]] = defaultdict(dict)
    for row in sums:
        key = (
            row[outlet], row[f"{outlet}__code"], row[f"{outlet}__enterprise__name"],
            row[f"{outlet}__enterprise__uscc"], row[f"{outlet}__medium"], row["month"], row["year"],
        )  # fmt: skip
        mean = row["mean__avg"]
        if row[f"{outlet}__medium"] == Medium.AIR and row["measured"]:
            mean = row["weighted"] / row["measured"]
        by_place[key][row["factor"]] = (row["kg__sum"], mean)
    bounds = _limits({key[0] for key in by_place})
    exceeded = _exceeded({key[3] for key in by_place}, {key[6] for key in by_place})
    out = []
    for (pk, code, name, uscc, medium, month, year), masses in by_place.items():
        last = date(year, month, calendar.monthrange(year, month)[1])
        shares = {
            factor: share
            for factor, (_kg, mean) in masses.items()
            if (share := _share(bounds.get((pk, factor), ()), mean, factor, medium, last))
            is not None
        }
        over = (uscc, year, month) in exceeded
        lines = tax.report({f: kg for f, (kg, _mean) in masses.items()}, {} if over else shares)
        due = sum(line.due for line in lines)
        out.append(Due(pk, code, name, uscc, medium, month, lines, due, due * rates[medium], over))
    return out


def _exceeded(usccs: Iterable[str], years: Iterable[int]) -> set[tuple[str, int, int]]:
    """(enterprise, year, month) in which an hourly mean of the air or a daily mean of water stands as
    over a limit of its concentration, of a pollutant that is taxed."""
    found: set[tuple[str, int, int]] = set()
    for year in set(years):
        rows = Exceedance.objects.filter(
            Q(point__outlet__medium=Medium.AIR, period="hour")
            | Q(point__outlet__medium=Medium.WATER, period="day"),
            point__outlet__enterprise__uscc__in=set(usccs), withdrawn="", limit__lower=False,
            time__gte=day_start(date(year, 1, 1)), time__lt=day_start(date(year + 1, 1, 1)),
        ).select_related("limit", "point__outlet__enterprise")  # fmt: skip
        for row in rows.iterator(chunk_size=500):
            enterprise = row.point.enterprise
            if enterprise and tax.value(row.factor) and not is_rate(row.limit):
                found.add((enterprise.uscc, year, local_day(row.time).month))
    return found


def _limits(outlets: Iterable[int]) -> dict[tuple[int, str], list[PermitLimit]]:
    found: dict[tuple[int, str], list[PermitLimit]] = defaultdict(list)
    for row in PermitLimit.objects.filter(
        Q(reference_o2=None), outlet__in=list(outlets), lower=False
    ):
        found[row.outlet_id, row.factor].append(row)
    return found


def _share(
    bounds: Iterable[PermitLimit], mean: float | None, factor: str, medium: str, day: date
) -> float | None:
    """The mean concentration of a month as a share of the strictest limit in force at its end."""
    wanted = "mg/m³" if medium == Medium.AIR else "mg/L"
    values = [
        float(row.value) * scale
        for row in in_force(bounds, day)
        if row.value > 0
        and (scale := units.scale(row.unit or codes.unit(factor), wanted)) is not None
    ]
    return mean / min(values) if values and mean is not None else None
